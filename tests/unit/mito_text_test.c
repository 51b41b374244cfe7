/* Rows of long texts: a flush, a scan and a compaction take pieces of them that fit into memory, whatever the memtable and the row groups hold. What
 * the log has acknowledged could else never be flushed, and what was flushed never be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/log.h"
#include "mito_node.h"

enum { ROW_BYTES = 5000, HOSTS = 500, WRITES = 80, ROOM_BYTES = 176 << 20 };
#define REGION ((uint64_t)7 << 32)

static char text[ROW_BYTES + 1];

static void create(struct node *n)
{
    static const struct node_column columns[] = {
        {"host", WIRE_STRING, WIRE_TAG}, {"ts", WIRE_TIMESTAMP_MS, WIRE_TIME}, {"s", WIRE_STRING, WIRE_FIELD}};
    struct error err = {0};
    if (node_create(n, REGION, columns, 3, NULL, &err) != ST_OK)
        fail_msg("create: %s", err.msg);
}

/* A row of each host; the text says which, and of which version. */
static void write_time(struct node *n, int time, char version)
{
    struct dynbuf rows, row, value;
    struct error err = {0};
    dynbuf_init(&rows, 1 << 24);
    put_row_column(&rows, "host", WIRE_STRING, WIRE_TAG);
    put_row_column(&rows, "ts", WIRE_TIMESTAMP_MS, WIRE_TIME);
    put_row_column(&rows, "s", WIRE_STRING, WIRE_FIELD);
    for (int host = 0; host < HOSTS; host++) {
        dynbuf_init(&row, 1 << 14);
        dynbuf_init(&value, 1 << 14);
        put_row_value(&row, WIRE_STRING, false, host);
        put_row_value(&row, WIRE_TIMESTAMP_MS, false, time);
        memset(text, version, ROW_BYTES);
        text[sprintf(text, "%d", time)] = ' ';
        pb_put_string(&value, 13, text, NULL);
        put_message(&row, 1, &value);
        put_message(&rows, 2, &row);
    }
    if (node_write(n, REGION, false, &rows, &err) != ST_OK)
        fail_msg("write: %s", err.msg);
}

/* All rows, those of the first `updated` times in version 'b'. */
static void check(struct node *n, int updated)
{
    struct table *table;
    struct batch_stream *stream;
    struct batch *batch;
    struct error err = {0};
    const uint32_t columns[] = {1, 2};
    struct scan_request q = {.columns = columns, .n_columns = 2, .limit = -1};
    int64_t rows = 0;
    assert_int_equal(n->engine->ops->table(n->engine, REGION, &table, &err), ST_OK);
    assert_int_equal(table->ops->scan(table, &q, NULL, &stream, &err), ST_OK);
    for (;;) {
        if (batch_stream_next(stream, &batch, &err) != ST_OK)
            fail_msg("scan: %s", err.msg);
        if (!batch)
            break;
        for (int64_t i = 0; i < batch->n_rows; i++) {
            int32_t size;
            int64_t time = COLUMN_VALUES(batch->columns[0], int64_t)[i];
            const uint8_t *s = column_bytes(batch->columns[1], i, &size);
            assert_int_equal(size, ROW_BYTES);
            assert_int_equal(atoll((const char *)s), time);
            assert_int_equal(s[size - 1], time < updated ? 'b' : 'a');
        }
        rows += batch->n_rows;
        batch_unref(batch);
    }
    batch_stream_free(stream);
    table_free(table);
    assert_int_equal(rows, HOSTS * WRITES);
}

static void flush(struct node *n)
{
    struct error err = {0};
    n->root.limit = budget_used(&n->root) + ROOM_BYTES;
    if (node_flush(n, REGION, &err) != ST_OK)
        fail_msg("flush: %s", err.msg);
    n->root.limit = budget_used(&n->root) + ROOM_BYTES;
}

static void long_texts(void **state)
{
    (void)state;
    struct fs_sim *sim;
    struct node n = {.write_buffer_bytes = (size_t)1 << 30};
    struct error err = {0};
    enum { UPDATED = 10 };
    assert_int_equal(fs_sim_new(1, &sim, &err), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    if (node_open(&n, fs_sim_fs(sim), &err) != ST_OK)
        fail_msg("open: %s", err.msg);
    create(&n);
    for (int time = 0; time < WRITES; time++)
        write_time(&n, time, 'a');
    flush(&n);
    check(&n, 0);
    for (int time = 0; time < UPDATED; time++)
        write_time(&n, time, 'b');
    check(&n, UPDATED);
    flush(&n);
    check(&n, UPDATED);
    if (n.engine->ops->compact(n.engine, REGION, (struct message){(const uint8_t *)"", 0}, &err) != ST_OK)
        fail_msg("compact: %s", err.msg);
    check(&n, UPDATED);
    node_close(&n);
    fs_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(long_texts)};
    log_set_level(LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
