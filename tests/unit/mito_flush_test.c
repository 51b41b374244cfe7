/* Flushes under pressure: a region that cannot be flushed keeps its own rows in memory and nobody else's. */
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

static void create(struct node *n, unsigned table)
{
    struct dynbuf body;
    struct error err = {0};
    dynbuf_init(&body, 1 << 16);
    pb_put_uint(&body, 1, REGION(table), NULL);
    pb_put_string(&body, 2, "mito", NULL);
    put_column_def(&body, 3, "ts", WIRE_TIMESTAMP_MS, WIRE_TIME, 0, NULL);
    put_column_def(&body, 3, "s", WIRE_STRING, WIRE_FIELD, 1, NULL);
    pb_put_string(&body, 5, NODE_PATH, NULL);
    if (node_create(n, &body, &err) != ST_OK)
        fail_msg("create: %s", err.msg);
    dynbuf_release(&body);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_stuck_region)};
    log_set_level(LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
