/* What is deleted while the manifest is in doubt: the disk failed when a change of it was written and when that was to be taken back, so a power cut
 * may yet bring the change or take it away, whatever is read of it before. The files that it lists, or the rows in the log that it has in files, must
 * be there then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "mito_node.h"

#define REGION ((uint64_t)7 << 32)
#define OTHER  (REGION | 1)
enum { CALLS_MAX = 40 }; /* file calls of a flush or compaction, at most */

static int count(void *ctx, const struct region_file_ref *ref, struct error *err)
{
    (void)ref;
    (void)err;
    ++*(unsigned *)ctx;
    return ST_OK;
}

/* As a metasrv orders it once every node has said that it needs no file of the region; how many files went. */
static int order_collection(struct node *n, unsigned *ret_gone, struct error *err)
{
    unsigned gone = 0;
    struct region_file_sink sink = {count, &gone};
    struct engine *e = n->engine;
    struct region_gc_request request = {.region_id = REGION, .has_manifest_version = true, .full_listing = true};
    TRY(e->ops->file_refs(e, REGION, REGION, &request.manifest_version, &sink, err));
    assert_int_equal(gone, 0);
    TRY(e->ops->gc(e, &request, &sink, err));
    *ret_gone = gone;
    return ST_OK;
}

static unsigned collect(struct node *n)
{
    unsigned gone;
    OK(order_collection(n, &gone, err));
    return gone;
}

static bool in_doubt(struct node *n)
{
    struct region_stat stat;
    OK(n->engine->ops->stat(n->engine, REGION, &stat, err));
    return stat.manifest_in_doubt;
}

static void begin(struct node *n, uint64_t seed, bool collects, struct fs_sim **ret_sim)
{
    *n = (struct node){.collects = collects};
    OK(fs_sim_new(seed, ret_sim, err));
    OK(fs_mkdirs(fs_sim_fs(*ret_sim), "/home", err));
    OK(node_open(n, fs_sim_fs(*ret_sim), err));
    OK(node_create_plain(n, REGION, err));
    OK(node_write_plain(n, REGION, 1, 1, 1, err));
}

static int compact(struct node *n)
{
    static const uint8_t strict[] = {0x1a, 0x02, 0x08, 0x64}; /* {strict_window = 3 {window_seconds = 1: 100}}: all files become one */
    return n->engine->ops->compact(n->engine, REGION, (struct message){strict, sizeof strict}, NULL);
}

/* File call `nth` of the flush (or of a compaction) fails, and all behind it. */
static int failing_at(struct node *n, struct fs_sim *sim, bool compacts, uint64_t nth)
{
    fs_sim_fail(sim, FS_SIM_IO, fs_sim_calls(sim) + nth, true);
    int st = compacts ? compact(n) : node_flush(n, REGION, NULL);
    fs_sim_fail(sim, FS_SIM_IO, 0, false);
    return st;
}

static int flush_failing_at(struct node *n, struct fs_sim *sim, uint64_t nth)
{
    return failing_at(n, sim, false, nth);
}

/* Two files of one row each, which is the same, and nothing in the log. */
static void begin_compaction(struct node *n)
{
    OK(node_flush(n, REGION, err));
    OK(node_write_plain(n, REGION, 1, 1, 1, err));
    OK(node_flush(n, REGION, err));
}

/* The flush fails, files are collected, the power is cut; whether the manifest was in doubt meanwhile. */
static bool outlive(uint64_t nth, uint64_t seed, int *ret_flushed)
{
    struct fs_sim *sim;
    struct node n;
    struct region_open_request open = {.region_id = REGION, .path = NODE_PATH, .writable = true};
    begin(&n, seed, true, &sim);
    *ret_flushed = flush_failing_at(&n, sim, nth);
    bool doubt = in_doubt(&n);
    unsigned gone = collect(&n);
    assert_true(!doubt || gone == 0);
    node_close(&n);
    fs_sim_power_cut(sim);
    OK(node_open(&n, fs_sim_fs(sim), err));
    OK(n.engine->ops->open(n.engine, &open, err));
    assert_int_equal(node_rows(&n, REGION), 1);
    node_close(&n);
    fs_sim_free(sim);
    return doubt;
}

static void rows_outlive_collection_and_power_cut(void **state)
{
    (void)state;
    enum { CUTS = 8 }; /* each keeps other names */
    unsigned doubts = 0;
    int flushed = ST_STORAGE;
    for (uint64_t nth = 1; flushed != ST_OK; nth++) {
        bool doubt = true;
        for (uint64_t seed = 1; doubt && seed <= CUTS; seed++)
            doubts += doubt = outlive(nth, seed, &flushed);
    }
    assert_true(doubts > 0);
}

/* What a region in doubt needs of other regions' files is not told, for it is not known; what the flush has left goes once the doubt is settled. */
static void doubt_ends_with_a_write(void **state)
{
    (void)state;
    struct fs_sim *sim;
    struct node n;
    uint64_t version;
    unsigned n_refs = 0;
    struct region_file_sink sink = {count, &n_refs};
    for (uint64_t nth = 1;; nth++) {
        begin(&n, 1, true, &sim);
        assert_int_not_equal(flush_failing_at(&n, sim, nth), ST_OK);
        if (in_doubt(&n))
            break;
        OK(n.engine->ops->file_refs(n.engine, REGION, OTHER, &version, &sink, err));
        node_close(&n);
        fs_sim_free(sim);
    }
    assert_int_equal(n.engine->ops->file_refs(n.engine, REGION, OTHER, &version, &sink, NULL), ST_REGION_NOT_READY);
    assert_int_equal(collect(&n), 0);
    OK(node_write_plain(&n, REGION, 1, 2, 2, err));
    assert_false(in_doubt(&n));
    OK(n.engine->ops->file_refs(n.engine, REGION, OTHER, &version, &sink, err));
    assert_int_equal(n_refs, 0);
    assert_int_equal(collect(&n), 1);
    OK(node_flush(&n, REGION, err));
    assert_int_equal(collect(&n), 0);
    assert_int_equal(node_rows(&n, REGION), 2);
    node_close(&n);
    fs_sim_free(sim);
}

struct course {
    bool collects, compacts;
    uint64_t nth, cut, seed;
};

/* The node starts again while the manifest is in doubt: what it reads then may not be what a power cut leaves, and comes at call `cut`. Meanwhile the
 * log is cut, and what is without record goes, by a collection or in front of the next flush or compaction. */
static void outlive_restart(const struct course *c, bool *ret_doubt, bool *ret_ended)
{
    struct fs_sim *sim;
    struct node n;
    struct region_open_request open = {.region_id = REGION, .path = NODE_PATH, .writable = true};
    begin(&n, c->seed, c->collects, &sim);
    if (c->compacts)
        begin_compaction(&n);
    bool doubt = failing_at(&n, sim, c->compacts, c->nth) != ST_OK && in_doubt(&n);
    node_close(&n);
    OK(node_open(&n, fs_sim_fs(sim), err));
    fs_sim_fail(sim, FS_SIM_POWER, fs_sim_calls(sim) + c->cut, true);
    int st = n.engine->ops->open(n.engine, &open, NULL);
    if (st == ST_OK && c->collects)
        st = order_collection(&n, &(unsigned){0}, NULL);
    if (st == ST_OK)
        st = c->compacts ? compact(&n) : node_flush(&n, REGION, NULL);
    node_close(&n);
    fs_sim_power_cut(sim);
    OK(node_open(&n, fs_sim_fs(sim), err));
    OK(n.engine->ops->open(n.engine, &open, err));
    assert_int_equal(node_rows(&n, REGION), 1);
    node_close(&n);
    fs_sim_free(sim);
    *ret_doubt = doubt;
    *ret_ended = st == ST_OK;
}

static void outlive_restarts(bool compacts)
{
    for (int collects = 0; collects < 2; collects++) {
        unsigned doubts = 0;
        for (uint64_t nth = 1; nth <= CALLS_MAX; nth++) {
            bool doubt = true, ended = false;
            for (uint64_t cut = 1; doubt && !ended; cut++, doubts += doubt) /* each keeps other names */
                outlive_restart(&(struct course){collects, compacts, nth, cut, nth * 100 + cut}, &doubt, &ended);
        }
        assert_true(doubts > 0);
    }
}

static void flushed_rows_outlive_restart_and_power_cut(void **state)
{
    (void)state;
    outlive_restarts(false);
}

static void compacted_rows_outlive_restart_and_power_cut(void **state)
{
    (void)state;
    outlive_restarts(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_outlive_collection_and_power_cut), cmocka_unit_test(doubt_ends_with_a_write),
                                       cmocka_unit_test(flushed_rows_outlive_restart_and_power_cut),
                                       cmocka_unit_test(compacted_rows_outlive_restart_and_power_cut)};
    log_set_level(LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
