/* The log of a node cannot sync records that are acknowledged, because its disk is full or fails, and what it could not sync is gone from it. The engine
 * flushes by itself, and a power cut then finds every acknowledged row. After a full disk writes go on without a restart. */
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

static bool in_doubt(struct node *n)
{
    struct wal_stats stats;
    wal_stats(n->wal, &stats);
    return stats.unsettled || stats.failed;
}

static bool is_flushed(struct node *n, uint64_t region)
{
    struct mito_region *r;
    assert_int_equal(mito_region_get((struct mito_engine *)n->engine, region, &r, NULL), ST_OK);
    pthread_mutex_lock(&r->lock);
    bool flushed = r->flushed_entry_id == r->last_entry_id && r->n_frozen == 0;
    pthread_mutex_unlock(&r->lock);
    mito_region_unref(r);
    return flushed;
}

static void outlive(enum fs_sim_fault fault)
{
    struct fs_sim *sim;
    struct error err = {0};
    struct node n = {.sync_interval_ms = 5};
    bool full = fault == FS_SIM_NO_SPACE;
    log_set_level(LOG_OFF);
    assert_int_equal(fs_sim_new(1, &sim, NULL), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    assert_int_equal(node_open(&n, fs_sim_fs(sim), &err), ST_OK);
    assert_int_equal(node_create_plain(&n, REGION, NULL), ST_OK);
    assert_int_equal(node_create_plain(&n, OTHER, NULL), ST_OK);
    int64_t rows = 0, others = 1, end = clock_monotonic_ns() + (int64_t)WAIT_MS * 1000000;
    assert_int_equal(node_write_plain(&n, OTHER, 1, 0, 0, &err), ST_OK); /* begins a segment */
    fs_sim_fail_syncs(sim, fault);
    while (!in_doubt(&n) && clock_monotonic_ns() < end) {
        rows += node_write_plain(&n, REGION, 1, rows, rows, &err) == ST_OK;
        others += node_write_plain(&n, OTHER, 1, others, others, &err) == ST_OK;
        clock_sleep_ns(1000000);
    }
    assert_true(in_doubt(&n));
    assert_int_equal(node_write_plain(&n, REGION, 2, 0, 0, &err), full ? ST_NO_SPACE : ST_STORAGE);
    assert_int_equal(node_rows(&n, REGION), rows);
    fs_sim_fail(sim, FS_SIM_IO, 0, false);
    if (full) /* it takes its rows to files: else they would be nowhere, and the log would wait for them */
        assert_int_equal(n.engine->ops->close(n.engine, OTHER, &err), ST_OK);
    while (full && node_write_plain(&n, REGION, 3, 0, 0, &err) != ST_OK && clock_monotonic_ns() < end) /* the keeper flushes once a second */
        clock_sleep_ns(10000000);
    while (!full && !(is_flushed(&n, REGION) && is_flushed(&n, OTHER)) && clock_monotonic_ns() < end)
        clock_sleep_ns(10000000);
    rows += full;
    assert_true(clock_monotonic_ns() < end);
    assert_int_equal(in_doubt(&n), !full);
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

static void rows_outlive_a_sync_without_space(void **state)
{
    (void)state;
    outlive(FS_SIM_NO_SPACE);
}

static void rows_outlive_a_failed_sync(void **state)
{
    (void)state;
    outlive(FS_SIM_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_outlive_a_sync_without_space), cmocka_unit_test(rows_outlive_a_failed_sync)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
