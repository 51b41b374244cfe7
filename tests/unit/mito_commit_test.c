/* Whatever allocation fails in a flush, compaction, ALTER, TRUNCATE, index build, drop or the end of a staging, and whether all behind it fail, too:
 * the region shows what its manifest says, and an operation that has failed has changed nothing. So nothing behind a durable commit needs memory.
 *
 *   COMMIT_STRIDE=1 mito_commit_test     each allocation; default: of those that are not among an operation's last ones every 31st
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "failing_alloc.h"
#include "mito_node.h"

enum operation { FLUSH, COMPACT, ALTER_COLUMN, ALTER_INDEX, BUILD, TRUNCATE, TRUNCATE_RANGE, ENTER_STAGING, APPLY_STAGING, DROP, OPERATIONS };
static const char *const names[] = {"flush",    "compaction",      "add column",    "set index",     "index build",
                                    "truncate", "truncate ranges", "enter staging", "apply staging", "drop"};

static const uint64_t REGION = (uint64_t)1024 << 32, SIBLING = ((uint64_t)1024 << 32) + 1;
static const char expr[] = "{\"Expr\":{\"lhs\":{\"Column\":\"host\"},\"op\":\"Lt\",\"rhs\":{\"Value\":{\"String\":\"m\"}}}}";

static void count_inside(bool begins)
{
    alloc_count(begins);
}

/* ---- what the operations find ---- */

static void write_row(struct node *n, uint64_t region, int64_t value)
{
    assert_int_equal(node_write_plain(n, region, value % 3, 1000 * (value % 4), value, NULL), ST_OK);
}

static struct mito_region *region_of(struct node *n, uint64_t id)
{
    struct mito_region *r = NULL;
    return mito_region_get((struct mito_engine *)n->engine, id, &r, NULL) == ST_OK ? r : NULL;
}

static int set_index(struct node *n)
{
    struct dynbuf body, item, set;
    dynbuf_init(&body, 1 << 10);
    dynbuf_init(&item, 1 << 10);
    dynbuf_init(&set, 1 << 10);
    pb_put_string(&set, 1, "v", NULL);
    put_message(&item, 2, &set);
    put_message(&body, 1, &item);
    return node_alter(n, REGION, 13, &body, NULL);
}

/* The manifest that a repartition leaves for the region: its own files and one of the sibling. */
static void put_blob(struct node *n)
{
    struct mito_region *r = region_of(n, REGION), *s = region_of(n, SIBLING);
    const struct manifest *own = manifest_state(r->manifest);
    struct manifest m = *own;
    struct file_meta *files = calloc(own->n_files + 1, sizeof *files);
    memcpy(files, own->files, own->n_files * sizeof *files);
    files[own->n_files] = manifest_state(s->manifest)->files[0];
    m.files = files;
    m.n_files = own->n_files + 1;
    m.metadata = region_metadata_with_version(own->metadata, own->metadata->schema_version);
    m.metadata->partition_expr = strdup(expr);
    assert_int_equal(manifest_blob_put(n->store, r->dir, "blob", &m, NULL), ST_OK);
    region_metadata_unref(m.metadata);
    free(files);
    mito_region_unref(r);
    mito_region_unref(s);
}

static void prepare(struct node *n, enum operation op)
{
    assert_int_equal(node_create_plain(n, REGION, NULL), ST_OK);
    for (int64_t i = 0; i < 5; i++) {
        write_row(n, REGION, i);
        assert_int_equal(node_flush(n, REGION, NULL), ST_OK);
    }
    write_row(n, REGION, 5);
    if (op == BUILD)
        assert_int_equal(set_index(n), ST_OK);
    if (op != APPLY_STAGING)
        return;
    assert_int_equal(node_create_plain(n, SIBLING, NULL), ST_OK);
    write_row(n, SIBLING, 6);
    assert_int_equal(node_flush(n, SIBLING, NULL), ST_OK);
    assert_int_equal(mito_region_enter_staging((struct mito_engine *)n->engine, REGION, expr, NULL), ST_OK);
    put_blob(n);
}

/* ---- the operations ---- */

static int add_column(struct node *n)
{
    struct dynbuf body, item;
    dynbuf_init(&body, 1 << 10);
    dynbuf_init(&item, 1 << 10);
    put_column_def(&item, 1, "w", WIRE_INT64, WIRE_FIELD, 3, NULL);
    put_message(&body, 1, &item);
    return node_alter(n, REGION, 2, &body, NULL);
}

static int truncate_region(struct node *n, bool all)
{
    struct dynbuf body, kind, range;
    dynbuf_init(&body, 1 << 10);
    dynbuf_init(&kind, 1 << 10);
    dynbuf_init(&range, 1 << 10);
    pb_put_uint(&body, 1, REGION, NULL);
    pb_put_uint(&range, 2, 1000, NULL);
    if (all)
        dynbuf_release(&range);
    else
        put_message(&kind, 2, &range);
    put_message(&body, all ? 2 : 3, &kind);
    node_calls();
    int st = node_called(n->engine->ops->truncate(n->engine, REGION, message_of(&body), NULL));
    dynbuf_release(&body);
    return st;
}

static int run(struct node *n, enum operation op)
{
    static const uint8_t strict[] = {0x1a, 0x02, 0x08, 0x64}; /* {strict_window = 3 {window_seconds = 1: 100}}: all files become one */
    struct mito_engine *e = (struct mito_engine *)n->engine;
    switch (op) {
    case FLUSH:
        return node_flush(n, REGION, NULL);
    case ALTER_COLUMN:
        return add_column(n);
    case ALTER_INDEX:
        return set_index(n);
    case TRUNCATE:
    case TRUNCATE_RANGE:
        return truncate_region(n, op == TRUNCATE);
    default:
        break;
    }
    node_calls();
    int st = op == COMPACT         ? n->engine->ops->compact(n->engine, REGION, (struct message){strict, sizeof strict}, NULL)
             : op == BUILD         ? mito_region_build_index(e, REGION, NULL)
             : op == ENTER_STAGING ? mito_region_enter_staging(e, REGION, expr, NULL)
             : op == APPLY_STAGING ? mito_region_apply_staging(e, &(struct region_apply_request){REGION, REGION, expr, "blob"}, NULL)
                                   : mito_region_drop(e, REGION, false, NULL);
    return node_called(st);
}

/* ---- what is there afterwards ---- */

static int count_object(void *ctx, const struct object_info *info, struct error *err)
{
    (void)err;
    *(uint32_t *)ctx += !info->is_dir;
    return ST_OK;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool lists(const struct mito_region *r, const struct file_meta *m)
{
    for (uint32_t i = 0; i < r->n_files; i++)
        if (strcmp(r->files[i]->meta.file_id, m->file_id) == 0)
            return r->files[i]->meta.index_version == m->index_version && r->files[i]->meta.available_indexes == m->available_indexes;
    return false;
}

/* The region and its manifest, read anew, say the same. */
static bool agrees(struct node *n, struct mito_region *r)
{
    struct manifest_manager *stored;
    assert_int_equal(mito_settle(r, NULL), ST_OK);
    assert_int_equal(manifest_open(n->store, r->dir, 3, &stored, NULL), ST_OK);
    const struct manifest *m = manifest_state(stored);
    bool same = m->n_files == r->n_files && m->version == r->manifest_version && m->flushed_entry_id == r->flushed_entry_id &&
                m->metadata->schema_version == r->metadata->schema_version && m->metadata->n_columns == r->metadata->n_columns &&
                same_text(m->metadata->partition_expr, r->metadata->partition_expr);
    for (uint32_t i = 0; same && i < m->n_files; i++)
        same = lists(r, &m->files[i]);
    manifest_free(stored);
    return same;
}

/* Whether all is as it must be after the operation's end. */
static bool is_right(struct node *n, enum operation op, int st, uint64_t version_before)
{
    struct mito_region *r = region_of(n, REGION);
    if (op == DROP && st == ST_OK) {
        uint32_t objects = 0;
        mito_reap_dropped((struct mito_engine *)n->engine, true);
        assert_int_equal(n->store->ops->list(n->store, "data", true, count_object, &objects, NULL), ST_OK);
        return !r && objects == 0;
    }
    enum region_state settled = op == APPLY_STAGING || op == ENTER_STAGING ? REGION_STAGING : REGION_WRITABLE;
    bool commits_once = op != ALTER_COLUMN && op != ALTER_INDEX && op != ENTER_STAGING && op != BUILD; /* those flush first, or commit by file */
    bool right = r && agrees(n, r);
    if (op == DROP) /* whose marker may be there: it is not written to until it is dropped again */
        right = right && (r->state == REGION_WRITABLE || r->state == REGION_DROPPING);
    else if (op == APPLY_STAGING || op == ENTER_STAGING)
        right = right && (st == ST_OK) == (r->state == (op == APPLY_STAGING ? REGION_WRITABLE : REGION_STAGING)) &&
                (r->state == REGION_WRITABLE || r->state == settled);
    else
        right = right && r->state == REGION_WRITABLE;
    if (commits_once)
        right = right && (st == ST_OK) == (r->manifest_version > version_before);
    if (op == ALTER_COLUMN)
        right = right && (st == ST_OK) == (r->metadata->n_columns == 4);
    mito_region_unref(r);
    return right;
}

/* One course; gives how many allocations the operation has made. */
static uint64_t course(enum operation op, uint64_t nth, bool sticky)
{
    struct fs_sim *sim;
    struct node n = {0};
    struct error err = {0};
    assert_int_equal(fs_sim_new(1, &sim, NULL), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    if (node_open(&n, fs_sim_fs(sim), &err) != ST_OK)
        fail_msg("%s", err.msg);
    prepare(&n, op);
    struct mito_region *r = region_of(&n, REGION);
    uint64_t version = r->manifest_version;
    mito_region_unref(r);
    node_around = count_inside;
    alloc_fail(nth, sticky);
    int st = run(&n, op);
    uint64_t calls = atomic_load(&failing_alloc.calls);
    alloc_fail(0, false);
    node_around = NULL;
    if (!is_right(&n, op, st, version))
        fail_msg("%s, allocation %llu failed%s: the region is not what its manifest says, or what was answered (status %d)", names[op],
                 (unsigned long long)nth, sticky ? " and all behind it" : "", st);
    if ((op == APPLY_STAGING || op == DROP) && st != ST_OK) { /* asked for again, with memory */
        assert_int_equal(run(&n, op), ST_OK);
        assert_true(is_right(&n, op, ST_OK, version));
    }
    node_close(&n);
    fs_sim_free(sim);
    return calls;
}

enum { LAST_CALLS = 30 };

static void nothing_fails_behind_a_commit(void **state)
{
    (void)state;
    const char *text = getenv("COMMIT_STRIDE");
    uint64_t stride = text ? strtoull(text, NULL, 10) : 31;
    log_set_level(LOG_OFF);
    for (enum operation op = 0; op < OPERATIONS; op++) {
        uint64_t calls = course(op, 0, false);
        assert_true(calls > 5);
        if (getenv("COMMIT_STRIDE"))
            fprintf(stderr, "%s: %llu allocations\n", names[op], (unsigned long long)calls);
        for (uint64_t nth = 1; nth <= calls; nth += nth + stride + LAST_CALLS <= calls ? stride : 1)
            for (int sticky = 0; sticky < 2; sticky++)
                course(op, nth, sticky);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_fails_behind_a_commit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
