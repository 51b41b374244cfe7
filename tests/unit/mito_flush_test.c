/* Flushes under pressure and at a close: a region that cannot be flushed keeps its own rows in memory and nobody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/log.h"
#include "mito_node.h"

enum { STUCK = 1, OTHER = 2, BUFFER_BYTES = 1 << 20, ROWS = 512, ROW_BYTES = 64 };
#define REGION(table) ((uint64_t)(table) << 32)

static void create_with(struct node *n, unsigned table, const char *wal_options)
{
    static const struct node_column columns[] = {{"ts", WIRE_TIMESTAMP_MS, WIRE_TIME}, {"s", WIRE_STRING, WIRE_FIELD}};
    struct error err = {0};
    if (node_create(n, REGION(table), columns, 2, wal_options ? (const char *[]){"wal_options", wal_options, NULL} : NULL, &err) != ST_OK)
        fail_msg("create: %s", err.msg);
}

static void create(struct node *n, unsigned table)
{
    create_with(n, table, NULL);
}

static int write_rows(struct node *n, unsigned table, int64_t first, struct error *err)
{
    struct dynbuf rows, row, value;
    char text[ROW_BYTES + 1];
    memset(text, 'x', ROW_BYTES);
    text[ROW_BYTES] = 0;
    dynbuf_init(&rows, 1 << 20);
    put_row_column(&rows, "ts", WIRE_TIMESTAMP_MS, WIRE_TIME);
    put_row_column(&rows, "s", WIRE_STRING, WIRE_FIELD);
    for (int64_t i = 0; i < ROWS; i++) {
        dynbuf_init(&row, 1 << 12);
        dynbuf_init(&value, 1 << 12);
        put_row_value(&row, WIRE_TIMESTAMP_MS, false, first + i);
        pb_put_string(&value, 13, text, NULL);
        put_message(&row, 1, &value);
        put_message(&rows, 2, &row);
    }
    return node_write(n, REGION(table), false, &rows, err);
}

static bool may_commit(void *ctx, uint64_t region_id)
{
    (void)ctx;
    return region_id != REGION(STUCK);
}

static void one_stuck_region(void **state)
{
    (void)state;
    struct fs_sim *sim;
    struct node n = {.write_buffer_bytes = BUFFER_BYTES};
    struct error err = {0};
    struct engine_host host = {.may_commit = may_commit};
    assert_int_equal(fs_sim_new(1, &sim, &err), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    if (node_open(&n, fs_sim_fs(sim), &err) != ST_OK)
        fail_msg("open: %s", err.msg);
    create(&n, STUCK);
    create(&n, OTHER);
    n.engine->ops->attach(n.engine, &host);
    struct mito_engine *e = (struct mito_engine *)n.engine;
    int64_t at = 0;
    for (; budget_used(&e->write_budget) < BUFFER_BYTES * 5 / 8; at += ROWS) /* more than the other will have when the buffer is full */
        if (write_rows(&n, STUCK, at, &err) != ST_OK)
            fail_msg("write to the stuck one: %s", err.msg);
    for (int i = 0; i < 100; i++)
        if (write_rows(&n, OTHER, (int64_t)i * ROWS, &err) != ST_OK)
            fail_msg("write %d to the other one: %s", i, err.msg);
    node_close(&n);
    fs_sim_free(sim);
}

/* ---- closing without a log ---- */

static struct {
    struct node *node;
    const struct object_store_ops *ops;
    int written, acked;
} meanwhile;

/* The flush of the close begins to write: so does somebody else. */
static int create_object(struct object_store *s, const char *key, struct object_writer **ret_writer, struct error *err)
{
    if (!meanwhile.written++)
        meanwhile.acked = write_rows(meanwhile.node, OTHER, 1000000, NULL) == ST_OK;
    return meanwhile.ops->create(s, key, ret_writer, err);
}

static int64_t count_rows(struct node *n, unsigned region)
{
    struct table *table;
    struct batch_stream *stream;
    struct batch *batch;
    const uint32_t column = 0;
    struct scan_request q = {.columns = &column, .n_columns = 1, .limit = -1};
    int64_t rows = 0;
    assert_int_equal(n->engine->ops->table(n->engine, REGION(region), &table, NULL), ST_OK);
    assert_int_equal(table->ops->scan(table, &q, NULL, &stream, NULL), ST_OK);
    for (;;) {
        assert_int_equal(batch_stream_next(stream, &batch, NULL), ST_OK);
        if (!batch)
            break;
        rows += batch->n_rows;
        batch_unref(batch);
    }
    batch_stream_free(stream);
    table_free(table);
    return rows;
}

/* Without a log the close flushes: what is acknowledged until it is done must be there afterwards. */
static void close_without_log(void **state)
{
    (void)state;
    struct fs_sim *sim;
    struct node n = {0};
    struct error err = {0};
    const char *options = "{\"wal.provider\":\"noop\"}";
    struct kv kv = {"wal_options", (char *)options};
    struct region_open_request open = {.region_id = REGION(OTHER), .path = NODE_PATH, .options = &kv, .n_options = 1, .writable = true};
    assert_int_equal(fs_sim_new(1, &sim, &err), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    if (node_open(&n, fs_sim_fs(sim), &err) != ST_OK)
        fail_msg("open: %s", err.msg);
    create_with(&n, OTHER, options);
    assert_int_equal(write_rows(&n, OTHER, 0, &err), ST_OK);
    meanwhile.node = &n;
    meanwhile.ops = n.store->ops;
    struct object_store_ops hooked = *meanwhile.ops;
    hooked.create = create_object;
    n.store->ops = &hooked;
    assert_int_equal(n.engine->ops->close(n.engine, REGION(OTHER), &err), ST_OK);
    n.store->ops = meanwhile.ops;
    assert_true(meanwhile.written > 0);
    if (n.engine->ops->open(n.engine, &open, &err) != ST_OK)
        fail_msg("open: %s", err.msg);
    assert_int_equal(count_rows(&n, OTHER), ROWS * (1 + meanwhile.acked));
    node_close(&n);
    fs_sim_free(sim);
}

/* ---- keys ---- */

enum { SERIES = 60, KEYS_MAX = 16 << 10, MANY = 3 };

/* As many new series, each with a row. */
static void write_series(struct node *n, int first)
{
    struct dynbuf rows, row, value;
    struct error err = {0};
    char host[ROW_BYTES + 1];
    dynbuf_init(&rows, 1 << 20);
    put_row_column(&rows, "host", WIRE_STRING, WIRE_TAG);
    put_row_column(&rows, "ts", WIRE_TIMESTAMP_MS, WIRE_TIME);
    for (int i = 0; i < SERIES; i++) {
        dynbuf_init(&row, 1 << 12);
        dynbuf_init(&value, 1 << 12);
        snprintf(host, sizeof host, "%0*d", ROW_BYTES, first + i);
        pb_put_string(&value, 13, host, NULL);
        put_message(&row, 1, &value);
        put_row_value(&row, WIRE_TIMESTAMP_MS, false, 1);
        put_message(&rows, 2, &row);
    }
    if (node_write(n, REGION(MANY), false, &rows, &err) != ST_OK)
        fail_msg("write: %s", err.msg);
}

static uint32_t count_frozen(struct node *n)
{
    struct mito_region *r;
    assert_int_equal(mito_region_get((struct mito_engine *)n->engine, REGION(MANY), &r, NULL), ST_OK);
    uint32_t frozen = r->n_frozen;
    mito_region_unref(r);
    return frozen;
}

static void create_many(struct node *n)
{
    static const struct node_column columns[] = {{"host", WIRE_STRING, WIRE_TAG}, {"ts", WIRE_TIMESTAMP_MS, WIRE_TIME}};
    struct error err = {0};
    if (node_create(n, REGION(MANY), columns, 2, NULL, &err) != ST_OK)
        fail_msg("create: %s", err.msg);
}

/* A memtable whose keys are too many could neither be read nor flushed: another one takes its place before, in writes and when the log is replayed.
 */
static void many_keys(void **state)
{
    (void)state;
    enum { WRITES = 40 };
    struct fs_sim *sim;
    struct node n = {.key_bytes_max = KEYS_MAX};
    struct error err = {0};
    struct region_open_request open = {.region_id = REGION(MANY), .path = NODE_PATH, .writable = true};
    assert_int_equal(fs_sim_new(1, &sim, &err), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    if (node_open(&n, fs_sim_fs(sim), &err) != ST_OK)
        fail_msg("open: %s", err.msg);
    create_many(&n);
    for (int i = 0; i < WRITES; i++)
        write_series(&n, i * SERIES);
    assert_in_range(count_frozen(&n), 5, WRITES);
    assert_int_equal(count_rows(&n, MANY), SERIES * WRITES);
    node_close(&n);
    if (node_open(&n, fs_sim_fs(sim), &err) != ST_OK || n.engine->ops->open(n.engine, &open, &err) != ST_OK)
        fail_msg("open: %s", err.msg);
    assert_in_range(count_frozen(&n), 1, WRITES);
    assert_int_equal(count_rows(&n, MANY), SERIES * WRITES);
    if (node_flush(&n, REGION(MANY), &err) != ST_OK)
        fail_msg("flush: %s", err.msg);
    assert_int_equal(count_frozen(&n), 0);
    assert_int_equal(count_rows(&n, MANY), SERIES * WRITES);
    node_close(&n);
    fs_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_stuck_region), cmocka_unit_test(close_without_log), cmocka_unit_test(many_keys)};
    log_set_level(LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
