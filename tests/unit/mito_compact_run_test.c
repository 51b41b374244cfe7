/* Running compactions: a failed one is tried again by itself, requests may ask for several merges at a time, and memory is waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "mito_node.h"
#include "os/thread.h"

static const uint64_t REGION = (uint64_t)1024 << 32;
enum { FILES = 12, WAIT_MS = 60000, STEP_MS = 100000 };

/* A node with a region of so many files, each with rows of the times 0 to n - 1 steps. */
static void open_filled(struct node *n, struct fs_sim **ret_sim, int64_t steps)
{
    struct error err = {0};
    log_set_level(LOG_OFF);
    assert_int_equal(fs_sim_new(1, ret_sim, NULL), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(*ret_sim), "/home", NULL), ST_OK);
    assert_int_equal(node_open(n, fs_sim_fs(*ret_sim), &err), ST_OK);
    assert_int_equal(node_create_plain(n, REGION, &err), ST_OK);
    for (int64_t i = 0; i < FILES; i++) {
        for (int64_t k = 0; k < steps; k++)
            assert_int_equal(node_write_plain(n, REGION, i, k * STEP_MS + i, i, &err), ST_OK);
        assert_int_equal(node_flush(n, REGION, &err), ST_OK);
    }
}

static struct mito_region *region_of(struct node *n)
{
    struct mito_region *r;
    assert_int_equal(mito_region_get((struct mito_engine *)n->engine, REGION, &r, NULL), ST_OK);
    return r;
}

static uint32_t files_of(struct mito_region *r)
{
    pthread_mutex_lock(&r->lock);
    uint32_t n = r->n_files;
    pthread_mutex_unlock(&r->lock);
    return n;
}

static void failed_is_tried_again(void **state)
{
    (void)state;
    struct node n = {0};
    struct fs_sim *sim;
    int64_t end = clock_monotonic_ns() + (int64_t)WAIT_MS * 1000000;
    open_filled(&n, &sim, 1);
    struct mito_region *r = region_of(&n);
    uint32_t files = files_of(r);
    fs_sim_fail_syncs(sim, FS_SIM_IO);
    mito_schedule_compaction(r);
    for (bool failed = false; !failed && clock_monotonic_ns() < end; clock_sleep_ns(1000000)) {
        pthread_mutex_lock(&r->lock);
        failed = r->failed_compactions > 0 && r->retry_compaction_ms > 0;
        pthread_mutex_unlock(&r->lock);
    }
    assert_int_equal(files_of(r), files);
    fs_sim_fail(sim, FS_SIM_IO, 0, false);
    while (files_of(r) == files && clock_monotonic_ns() < end) /* nothing is flushed, nobody asks */
        clock_sleep_ns(10000000);
    assert_true(files_of(r) < files);
    assert_int_equal(node_rows(&n, REGION), FILES);
    mito_region_unref(r);
    node_close(&n);
    fs_sim_free(sim);
}

/* {parallelism = 4}, and before it {strict_window = 3 {window_seconds = 1: 100}} */
static void several_at_a_time(void **state)
{
    (void)state;
    static const uint8_t requests[][6] = {{0x1a, 0x02, 0x08, 0x64, 0x20, 1}, {0x1a, 0x02, 0x08, 0x64, 0x20, 4}, {0x20, 4}};
    enum { STEPS = 10 };
    for (int i = 0; i < 3; i++) {
        struct node n = {.compactions = 3};
        struct fs_sim *sim;
        struct error err = {0};
        open_filled(&n, &sim, STEPS);
        int st = n.engine->ops->compact(n.engine, REGION, (struct message){requests[i], i < 2 ? 6 : 2}, &err);
        if (st != ST_OK)
            fail_msg("%s", err.msg);
        struct mito_region *r = region_of(&n);
        assert_int_equal(node_rows(&n, REGION), FILES * STEPS);
        if (i < 2)
            assert_int_equal(files_of(r), STEPS);
        for (uint32_t k = 0; i < 2 && k < r->n_files; k++)
            assert_int_equal(r->files[k]->meta.time_min / STEP_MS, r->files[k]->meta.time_max / STEP_MS);
        mito_region_unref(r);
        node_close(&n);
        fs_sim_free(sim);
    }
}

/* A region of host, ts and v whose rows live an hour, and whose files hold 20,000 days each: the second such window ends in 2079. */
static int create_with_ttl(struct node *n, struct error *err)
{
    static const struct node_column columns[] = {
        {"host", WIRE_STRING, WIRE_TAG}, {"ts", WIRE_TIMESTAMP_MS, WIRE_TIME}, {"v", WIRE_INT64, WIRE_FIELD}};
    static const char *const options[] = {"ttl", "1h", "compaction.type", "twcs", "compaction.twcs.time_window", "20000d", NULL};
    return node_create(n, REGION, columns, 3, options, err);
}

static int delete_plain(struct node *n, int64_t host, int64_t ts, struct error *err)
{
    struct dynbuf rows, row;
    dynbuf_init(&rows, 1 << 16);
    dynbuf_init(&row, 1 << 16);
    put_row_column(&rows, "host", WIRE_STRING, WIRE_TAG);
    put_row_column(&rows, "ts", WIRE_TIMESTAMP_MS, WIRE_TIME);
    put_row_value(&row, WIRE_STRING, false, host);
    put_row_value(&row, WIRE_TIMESTAMP_MS, false, ts);
    put_message(&rows, 2, &row);
    return node_write(n, REGION, true, &rows, err);
}

/* A file of deletes whose times have all expired stays as long as the rows that it hides do; then both go. */
static void expired_deletes_hide_what_stays(void **state)
{
    (void)state;
    struct node n = {0};
    struct fs_sim *sim;
    struct error err = {0};
    struct dynbuf instant;
    const int64_t old = 1735689600000, future = 3155760000000; /* the beginnings of 2025 and 2070 */
    log_set_level(LOG_OFF);
    assert_int_equal(fs_sim_new(1, &sim, NULL), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    assert_int_equal(node_open(&n, fs_sim_fs(sim), &err), ST_OK);
    if (create_with_ttl(&n, &err) != ST_OK)
        fail_msg("%s", err.msg);
    struct mito_region *r = region_of(&n);
    assert_int_equal(node_write_plain(&n, REGION, 1, old, 1, &err), ST_OK);
    assert_int_equal(node_write_plain(&n, REGION, 1, future, 2, &err), ST_OK);
    assert_int_equal(node_flush(&n, REGION, &err), ST_OK);
    assert_int_equal(files_of(r), 1);
    assert_int_equal(delete_plain(&n, 1, old, &err), ST_OK);
    assert_int_equal(node_flush(&n, REGION, &err), ST_OK);
    assert_int_equal(files_of(r), 2);
    assert_int_equal(node_rows(&n, REGION), 1);
    assert_int_equal(n.engine->ops->compact(n.engine, REGION, (struct message){0}, &err), ST_OK);
    assert_int_equal(node_rows(&n, REGION), 1);
    dynbuf_init(&instant, 1 << 10);
    put_option(&instant, 1, "ttl", "instant");
    assert_int_equal(node_alter(&n, REGION, 6, &instant, &err), ST_OK);
    assert_int_equal(n.engine->ops->compact(n.engine, REGION, (struct message){0}, &err), ST_OK);
    assert_int_equal(files_of(r), 0);
    mito_region_unref(r);
    node_close(&n);
    fs_sim_free(sim);
}

static void *give_later(void *p)
{
    clock_sleep_ns(50000000);
    compact_room_give(p, 60);
    return NULL;
}

static void memory_is_waited_for(void **state)
{
    (void)state;
    struct work_context work = {0};
    struct compact_room room;
    pthread_t thread;
    size_t first, second;
    compact_room_init(&room, 100, 0);
    assert_int_equal(compact_room_take(&room, 60, &work, &first, NULL), ST_OK);
    assert_int_equal(compact_room_take(&room, 60, &work, &second, NULL), ST_EXHAUSTED);
    assert_int_equal(compact_room_take(&room, 40, &work, &second, NULL), ST_OK);
    compact_room_give(&room, second);
    room.wait_ms = WAIT_MS;
    assert_int_equal(thread_start(&thread, "giver", give_later, &room, NULL), ST_OK);
    assert_int_equal(compact_room_take(&room, 1000, &work, &second, NULL), ST_OK); /* all there is */
    assert_int_equal(second, 100);
    pthread_join(thread, NULL);
    atomic_store(&work.cancelled, true);
    assert_int_equal(compact_room_take(&room, 1, &work, &first, NULL), ST_EXHAUSTED);
    compact_room_give(&room, second);
    compact_room_release(&room);
    compact_room_init(&room, 0, 0); /* no limit */
    assert_int_equal(compact_room_take(&room, SIZE_MAX / 4, &work, &first, NULL), ST_OK);
    assert_int_equal(compact_room_take(&room, SIZE_MAX / 4, &work, &second, NULL), ST_OK);
    compact_room_give(&room, first);
    compact_room_give(&room, second);
    compact_room_release(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(failed_is_tried_again), cmocka_unit_test(several_at_a_time),
                                       cmocka_unit_test(expired_deletes_hide_what_stays), cmocka_unit_test(memory_is_waited_for)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
