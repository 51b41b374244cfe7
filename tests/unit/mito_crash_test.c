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
#include "mito_node.h"

enum { KEYS = 40, SEEDS = 200, CUTS = 5, STEPS = 40 };
static const uint64_t REGION = (uint64_t)1024 << 32;

struct model { /* the last acknowledged value of each key (-1 = absent), and those sent since without an acknowledgement: any of them may be there */
    int64_t acked[KEYS], maybe[KEYS][64];
    int n_maybe[KEYS];
};

static uint64_t random_state;

static unsigned next_random(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

/* Opens the node with its region, or makes that. */
static int open_all(struct node *n, struct fs *fs, bool create, struct error *err)
{
    struct region_open_request open = {.region_id = REGION, .path = NODE_PATH, .writable = true};
    memset(n, 0, sizeof *n);
    TRY(node_open(n, fs, err));
    return create ? node_create_plain(n, REGION, err) : n->engine->ops->open(n->engine, &open, err);
}

/* Writes or deletes `count` keys from `first` on in one request. */
static int write_keys(struct node *n, unsigned first, unsigned count, int64_t value, bool is_delete, struct error *err)
{
    struct dynbuf rows;
    dynbuf_init(&rows, 1 << 20);
    put_row_column(&rows, "host", WIRE_STRING, WIRE_TAG);
    put_row_column(&rows, "ts", WIRE_TIMESTAMP_MS, WIRE_TIME);
    if (!is_delete)
        put_row_column(&rows, "v", WIRE_INT64, WIRE_FIELD);
    for (unsigned k = first; k < first + count; k++) {
        struct dynbuf row;
        dynbuf_init(&row, 4096);
        put_row_value(&row, WIRE_STRING, false, k % 7);
        put_row_value(&row, WIRE_TIMESTAMP_MS, false, 1000 + k);
        if (!is_delete)
            put_row_value(&row, WIRE_INT64, false, value);
        put_message(&rows, 2, &row);
    }
    return node_write(n, REGION, is_delete, &rows, err);
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
    if (open_all(&n, fs_sim_fs(sim), true, &err) != ST_OK)
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
        if (open_all(&n, fs_sim_fs(sim), false, &err) != ST_OK)
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
