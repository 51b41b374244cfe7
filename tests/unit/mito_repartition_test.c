/* A region that takes over files of another one, whose sequences it knows nothing of: what is written to it must win against what they hold, be it
 * written while the repartition goes on or afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/log.h"
#include "mito_node.h"

#define OLD   ((uint64_t)7 << 32)
#define NEW   (OLD | 3)
#define BELOW "{\"Expr\":{\"lhs\":{\"Column\":\"k\"},\"op\":\"Lt\",\"rhs\":{\"Value\":{\"Int32\":50}}}}"
#define FROM  "{\"Expr\":{\"lhs\":{\"Column\":\"k\"},\"op\":\"GtEq\",\"rhs\":{\"Value\":{\"Int32\":50}}}}"
enum { KEYS = 100 };

static void create(struct node *n, uint64_t region)
{
    static const struct node_column columns[] = {{"k", WIRE_INT32, WIRE_TAG}, {"ts", WIRE_TIMESTAMP_MS, WIRE_TIME}, {"v", WIRE_INT64, WIRE_FIELD}};
    struct error err = {0};
    if (node_create(n, region, columns, 3, NULL, &err) != ST_OK)
        fail_msg("create: %s", err.msg);
}

static void write_keys(struct node *n, uint64_t region, int first, int count, int64_t value)
{
    struct dynbuf rows, row;
    struct error err = {0};
    dynbuf_init(&rows, 1 << 20);
    put_row_column(&rows, "k", WIRE_INT32, WIRE_TAG);
    put_row_column(&rows, "ts", WIRE_TIMESTAMP_MS, WIRE_TIME);
    put_row_column(&rows, "v", WIRE_INT64, WIRE_FIELD);
    for (int k = first; k < first + count; k++) {
        dynbuf_init(&row, 1 << 12);
        put_row_value(&row, WIRE_INT32, false, k);
        put_row_value(&row, WIRE_TIMESTAMP_MS, false, 1000);
        put_row_value(&row, WIRE_INT64, false, value);
        put_message(&rows, 2, &row);
    }
    if (node_write(n, region, false, &rows, &err) != ST_OK)
        fail_msg("write: %s", err.msg);
}

static int64_t value_of(struct node *n, uint64_t region, int key)
{
    struct table *table;
    struct batch_stream *stream;
    struct batch *batch;
    struct error err = {0};
    const uint32_t columns[] = {0, 2};
    struct scan_request q = {.columns = columns, .n_columns = 2, .limit = -1};
    int64_t value = -1;
    assert_int_equal(n->engine->ops->table(n->engine, region, &table, &err), ST_OK);
    assert_int_equal(table->ops->scan(table, &q, NULL, &stream, &err), ST_OK);
    for (;;) {
        if (batch_stream_next(stream, &batch, &err) != ST_OK)
            fail_msg("scan: %s", err.msg);
        if (!batch)
            break;
        for (int64_t i = 0; i < batch->n_rows; i++)
            if (COLUMN_VALUES(batch->columns[0], int32_t)[i] == key)
                value = COLUMN_VALUES(batch->columns[1], int64_t)[i];
        batch_unref(batch);
    }
    batch_stream_free(stream);
    table_free(table);
    return value;
}

static void open_both(struct node *n)
{
    for (int i = 0; i < 2; i++) {
        struct error err = {0};
        struct region_open_request open = {.region_id = i ? NEW : OLD, .path = NODE_PATH, .writable = true};
        if (n->engine->ops->open(n->engine, &open, &err) != ST_OK)
            fail_msg("open: %s", err.msg);
    }
}

static void split(struct node *n, void (*meanwhile)(struct node *n))
{
    struct engine *e = n->engine;
    struct error err = {0};
    const uint64_t inputs[] = {OLD};
    const struct region_pair mapping[] = {{OLD, OLD}, {OLD, NEW}};
    const struct region_text exprs[] = {{OLD, BELOW}, {NEW, FROM}};
    struct region_remap_request remap = {OLD, inputs, 1, mapping, 2, exprs, 2};
    for (int i = 0; i < 2; i++)
        if (e->ops->enter_staging(e, exprs[i].region_id, exprs[i].text, &err) != ST_OK)
            fail_msg("enter staging: %s", err.msg);
    meanwhile(n);
    if (e->ops->remap(e, &remap, &err) != ST_OK)
        fail_msg("remap: %s", err.msg);
    for (int i = 1; i >= 0; i--) { /* the central one last: with its success the blobs go */
        char name[64];
        snprintf(name, sizeof name, "remap_manifest_%llu", (unsigned long long)exprs[i].region_id);
        struct region_apply_request apply = {exprs[i].region_id, OLD, exprs[i].text, name};
        if (e->ops->apply_staging(e, &apply, &err) != ST_OK)
            fail_msg("apply: %s", err.msg);
    }
}

static void write_while_staging(struct node *n)
{
    write_keys(n, NEW, 60, 1, 2);
}

static void later_writes_win(void **state)
{
    (void)state;
    struct fs_sim *sim;
    struct node n = {0};
    struct error err = {0};
    assert_int_equal(fs_sim_new(1, &sim, &err), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    if (node_open(&n, fs_sim_fs(sim), &err) != ST_OK)
        fail_msg("open: %s", err.msg);
    create(&n, OLD);
    create(&n, NEW);
    for (int64_t value = -10; value <= 1; value++)
        write_keys(&n, OLD, 0, KEYS, value);
    split(&n, write_while_staging);
    assert_int_equal(value_of(&n, NEW, 50), 1);
    assert_int_equal(value_of(&n, NEW, 49), -1);
    assert_int_equal(value_of(&n, NEW, 60), 2);
    write_keys(&n, NEW, 70, 1, 3);
    assert_int_equal(value_of(&n, NEW, 70), 3);
    for (int round = 0; round < 2; round++) { /* out of the log, out of files */
        node_close(&n);
        if (node_open(&n, fs_sim_fs(sim), &err) != ST_OK)
            fail_msg("open: %s", err.msg);
        open_both(&n);
        assert_int_equal(value_of(&n, NEW, 60), 2);
        assert_int_equal(value_of(&n, NEW, 70), 3);
        write_keys(&n, NEW, 80, 1, 4 + round);
        assert_int_equal(value_of(&n, NEW, 80), 4 + round);
        if (node_flush(&n, NEW, &err) != ST_OK)
            fail_msg("flush: %s", err.msg);
        if (n.engine->ops->compact(n.engine, NEW, (struct message){(const uint8_t *)"", 0}, &err) != ST_OK)
            fail_msg("compact: %s", err.msg);
        assert_int_equal(value_of(&n, NEW, 80), 4 + round);
    }
    node_close(&n);
    fs_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(later_writes_win)};
    log_set_level(LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
