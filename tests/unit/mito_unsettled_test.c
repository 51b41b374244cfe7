/* The log of a node finds its disk full when it syncs records that are acknowledged, and what it could not sync is gone from it. The engine flushes
 * by itself, writes go on without a restart, and a power cut then finds every acknowledged row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "mito_node.h"
#include "os/thread.h"

static const uint64_t REGION = (uint64_t)1024 << 32, OTHER = (uint64_t)1025 << 32;
enum { WAIT_MS = 60000 };

static bool unsettled(struct node *n)
{
    struct wal_stats stats;
    wal_stats(n->wal, &stats);
    assert_false(stats.failed);
    return stats.unsettled;
}

static void rows_outlive_a_sync_without_space(void **state)
{
    struct fs_sim *sim;
    struct error err = {0};
    struct node n = {.sync_interval_ms = 5};
    (void)state;
    log_set_level(LOG_OFF);
    assert_int_equal(fs_sim_new(1, &sim, NULL), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    assert_int_equal(node_open(&n, fs_sim_fs(sim), &err), ST_OK);
    assert_int_equal(node_create_plain(&n, REGION, NULL), ST_OK);
    assert_int_equal(node_create_plain(&n, OTHER, NULL), ST_OK);
    int64_t rows = 0, others = 1, end = clock_monotonic_ns() + (int64_t)WAIT_MS * 1000000;
    assert_int_equal(node_write_plain(&n, OTHER, 1, 0, 0, &err), ST_OK); /* begins a segment */
    fs_sim_fail_syncs(sim, FS_SIM_NO_SPACE);
    while (!unsettled(&n) && clock_monotonic_ns() < end) {
        rows += node_write_plain(&n, REGION, 1, rows, rows, &err) == ST_OK;
        others += node_write_plain(&n, OTHER, 1, others, others, &err) == ST_OK;
        clock_sleep_ns(1000000);
    }
    assert_true(unsettled(&n));
    assert_int_equal(node_write_plain(&n, REGION, 2, 0, 0, &err), ST_NO_SPACE);
    assert_int_equal(node_rows(&n, REGION), rows);
    fs_sim_fail(sim, FS_SIM_IO, 0, false);
    while (node_write_plain(&n, REGION, 3, 0, 0, &err) != ST_OK && clock_monotonic_ns() < end) /* the keeper flushes once a second */
        clock_sleep_ns(10000000);
    rows++;
    assert_false(unsettled(&n));
    assert_int_equal(node_rows(&n, REGION), rows);
    node_close(&n);
    fs_sim_power_cut(sim);
    assert_int_equal(node_open(&n, fs_sim_fs(sim), &err), ST_OK);
    for (int i = 0; i < 2; i++) {
        struct region_open_request open = {.region_id = i ? OTHER : REGION, .path = NODE_PATH, .writable = true};
        if (n.engine->ops->open(n.engine, &open, &err) != ST_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(node_rows(&n, open.region_id), i ? others : rows);
    }
    node_close(&n);
    fs_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_outlive_a_sync_without_space)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
