/* The whole engine over a simulated disk: random writes, deletes, flushes, compactions and restarts, with power cuts that drop or tear whatever was
 * not synced. In the fsync mode every acknowledged row must be there afterwards, once, and nothing that was never sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/mito/mito.h"
#include "format/proto/wire.h"
#include "os/fs_sim.h"

enum { KEYS = 40, SEEDS = 200, CUTS = 5, STEPS = 40 };
static const uint64_t REGION = (uint64_t)1024 << 32;

struct model { /* the last acknowledged value of each key (-1 = absent), and those sent since without an acknowledgement: any of them may be there */
    int64_t acked[KEYS], maybe[KEYS][64];
    int n_maybe[KEYS];
};

struct node {
    struct fs *fs;
    struct budget root;
    struct object_store *store;
    struct wal *wal;
    struct engine *engine;
};

static uint64_t random_state;

static unsigned next_random(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

static int node_open(struct node *n, struct fs *fs, bool create, struct error *err)
{
    static const char columns[] = "\x0a\x02ts\x10\x10\x28\x02"; /* name ts, timestamp_ms, TIMESTAMP */
    struct wal_report report;
    memset(n, 0, sizeof *n);
    n->fs = fs;
    budget_init(&n->root, "node", "memory_limit", (size_t)1 << 30, NULL);
    TRY(object_store_open_folder(fs, "/home", &n->store, err));
    struct wal_options wo = {.fs = fs, .dir = "/home/wal", .durability = WAL_FSYNC, .segment_bytes = 4096};
    TRY(wal_open(&wo, &n->wal, &report, err));
    struct mito_options mo = {.store = n->store, .wal = n->wal, .root_budget = &n->root, .write_buffer_bytes = 64 << 20, .write_reject_bytes = 128 << 20,
                              .checkpoint_distance = 3, .default_flat_format = true, .max_background_jobs = 1, .auto_flush_interval_ms = INT64_MAX / 2,
                              .wal_purge_bytes = UINT64_MAX, .write_stall_max_ms = 1000};
    TRY(mito_engine_new(&mo, &n->engine, err));
    if (!create) {
        struct region_open_request open = {.region_id = REGION, .path = "greptime/public", .writable = true};
        return n->engine->ops->open(n->engine, &open, err);
    }
    struct dynbuf body;
    struct region_response response = {0};
    dynbuf_init(&body, 4096);
    dynbuf_init(&response.column_metadata, 1 << 20);
    static const char host[] = "\x0a\x0a\x0a\x04host\x10\x0c\x18\x01", value[] = "\x0a\x09\x0a\x01v\x10\x04\x18\x01\x28\x01\x10\x02";
    pb_put_uint(&body, 1, REGION, NULL);
    pb_put_string(&body, 2, "mito", NULL);
    pb_put_bytes(&body, 3, host, sizeof host - 1, NULL);
    struct dynbuf time;
    dynbuf_init(&time, 256);
    pb_put_bytes(&time, 1, columns, sizeof columns - 1, NULL);
    pb_put_uint(&time, 2, 1, NULL);
    pb_put_bytes(&body, 3, time.data, time.size, NULL);
    pb_put_bytes(&body, 3, value, sizeof value - 1, NULL);
    pb_put_uint(&body, 4, 0, NULL);
    pb_put_string(&body, 5, "greptime/public", NULL);
    int st = n->engine->ops->create(n->engine, (struct message){body.data, body.size}, &response, err);
    dynbuf_release(&time);
    dynbuf_release(&body);
    dynbuf_release(&response.column_metadata);
    return st;
}

static void node_close(struct node *n)
{
    if (n->engine)
        n->engine->ops->free(n->engine);
    wal_close(n->wal);
    if (n->store)
        n->store->ops->free(n->store);
}

static void put_column(struct dynbuf *rows, const char *name, unsigned type, unsigned semantic)
{
    struct dynbuf c;
    dynbuf_init(&c, 256);
    pb_put_string(&c, 1, name, NULL);
    pb_put_uint(&c, 2, type, NULL);
    pb_put_uint(&c, 3, semantic, NULL);
    pb_put_bytes(rows, 1, c.data, c.size, NULL);
    dynbuf_release(&c);
}

static void put_value(struct dynbuf *row, unsigned member, uint64_t number, const char *text)
{
    struct dynbuf v;
    dynbuf_init(&v, 64);
    if (text)
        pb_put_string(&v, member, text, NULL);
    else
        pb_put_uint(&v, member, number, NULL);
    pb_put_bytes(row, 1, v.data, v.size, NULL);
    dynbuf_release(&v);
}

/* Writes or deletes `count` keys from `first` on in one request. */
static int write_keys(struct node *n, unsigned first, unsigned count, int64_t value, bool is_delete, struct error *err)
{
    struct dynbuf rows, row, request;
    uint64_t affected;
    dynbuf_init(&rows, 1 << 20);
    dynbuf_init(&row, 4096);
    dynbuf_init(&request, 1 << 20);
    put_column(&rows, "host", 12, 0);
    put_column(&rows, "ts", 16, 2);
    if (!is_delete)
        put_column(&rows, "v", 4, 1);
    for (unsigned k = first; k < first + count; k++) {
        char host[16];
        snprintf(host, sizeof host, "h%u", k % 7);
        dynbuf_clear(&row);
        put_value(&row, 13, 0, host);
        put_value(&row, 17, 1000 + k, NULL);
        if (!is_delete)
            put_value(&row, 4, (uint64_t)value, NULL);
        pb_put_bytes(&rows, 2, row.data, row.size, NULL);
    }
    pb_put_uint(&request, 1, REGION, NULL);
    pb_put_bytes(&request, 2, rows.data, rows.size, NULL);
    int st = n->engine->ops->write(n->engine, REGION, is_delete, (struct message){request.data, request.size}, &affected, err);
    dynbuf_release(&rows);
    dynbuf_release(&row);
    dynbuf_release(&request);
    return st;
}

static void random_step(struct node *n, struct model *m, int64_t value)
{
    struct error err;
    unsigned what = next_random(12);
    if (what == 0) {
        (void)n->engine->ops->flush(n->engine, REGION, &err);
    } else if (what == 1) {
        (void)n->engine->ops->compact(n->engine, REGION, (struct message){(const uint8_t *)"", 0}, &err);
    } else {
        unsigned first = next_random(KEYS), count = 1 + next_random(KEYS - first < 8 ? KEYS - first : 8);
        bool is_delete = what == 2;
        int st = write_keys(n, first, count, value, is_delete, &err);
        for (unsigned k = first; k < first + count; k++) {
            if (st == ST_OK) {
                m->acked[k] = is_delete ? -1 : value;
                m->n_maybe[k] = 0;
            } else {
                m->maybe[k][m->n_maybe[k]++] = is_delete ? -1 : value;
            }
        }
    }
}

static void check(struct node *n, struct model *m, uint64_t seed)
{
    struct table *table;
    struct batch_stream *stream;
    struct batch *batch;
    struct error err = {0};
    const uint32_t columns[] = {1, 2};
    struct scan_request q = {.columns = columns, .n_columns = 2, .limit = -1};
    int64_t have[KEYS];
    for (int k = 0; k < KEYS; k++)
        have[k] = -1;
    assert_int_equal(n->engine->ops->table(n->engine, REGION, &table, &err), ST_OK);
    assert_int_equal(table->ops->scan(table, &q, NULL, &stream, &err), ST_OK);
    for (;;) {
        if (batch_stream_next(stream, &batch, &err) != ST_OK)
            fail_msg("seed %llu: scan: %s", (unsigned long long)seed, err.msg);
        if (!batch)
            break;
        for (int64_t i = 0; i < batch->n_rows; i++) {
            int64_t k = COLUMN_VALUES(batch->columns[0], int64_t)[i] - 1000;
            assert_in_range(k, 0, KEYS - 1);
            if (have[k] != -1)
                fail_msg("seed %llu: key %lld is there twice", (unsigned long long)seed, (long long)k);
            have[k] = COLUMN_VALUES(batch->columns[1], int64_t)[i];
        }
        batch_unref(batch);
    }
    batch_stream_free(stream);
    table_free(table);
    for (int k = 0; k < KEYS; k++) {
        bool good = have[k] == m->acked[k];
        for (int i = 0; i < m->n_maybe[k]; i++)
            good = good || have[k] == m->maybe[k][i];
        if (!good)
            fail_msg("seed %llu: key %d holds %lld, acknowledged was %lld", (unsigned long long)seed, k, (long long)have[k], (long long)m->acked[k]);
        m->acked[k] = have[k]; /* a write in doubt is settled now */
        m->n_maybe[k] = 0;
    }
}

static void one_seed(uint64_t seed)
{
    struct fs_sim *sim = NULL;
    struct model m = {0};
    struct node n;
    struct error err = {0};
    random_state = seed * 7919 + 1;
    assert_int_equal(fs_sim_new(seed, &sim, &err), ST_OK);
    for (int k = 0; k < KEYS; k++)
        m.acked[k] = -1;
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    if (node_open(&n, fs_sim_fs(sim), true, &err) != ST_OK)
        fail_msg("create: %s", err.msg);
    int64_t value = 1;
    for (int cut = 0; cut < CUTS; cut++) {
        for (unsigned steps = next_random(STEPS); steps; steps--)
            random_step(&n, &m, value++);
        /* Somewhere in the next steps the machine is gone: every file call from then on fails, until the cut. */
        fs_sim_fail(sim, FS_SIM_POWER, fs_sim_calls(sim) + 1 + next_random(40), true);
        for (unsigned steps = next_random(8); steps; steps--)
            random_step(&n, &m, value++);
        node_close(&n);
        fs_sim_power_cut(sim);
        if (node_open(&n, fs_sim_fs(sim), false, &err) != ST_OK)
            fail_msg("seed %llu cut %d: %s", (unsigned long long)seed, cut, err.msg);
        check(&n, &m, seed);
    }
    node_close(&n);
    fs_sim_free(sim);
}

static void power_cuts(void **state)
{
    (void)state;
    log_set_level(LOG_OFF);
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        one_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(power_cuts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
