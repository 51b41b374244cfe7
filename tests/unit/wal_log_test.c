/* The log on the real file system: order, rotation, deletion, group commit, and what damage does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/thread.h"
#include "wal/wal.h"

static char dir[64];

static void fresh_dir(void)
{
    snprintf(dir, sizeof(dir), "/tmp/wal_log_test.XXXXXX");
    assert_non_null(mkdtemp(dir));
}

static void drop_dir(void)
{
    assert_int_equal(fs_remove_tree(fs_posix(), dir, NULL), ST_OK);
}

static struct wal *open_log(enum wal_durability durability, uint64_t segment_bytes, struct wal_report *ret_report)
{
    struct wal_options o = { .fs = fs_posix(), .dir = dir, .durability = durability, .sync_interval_ms = 5, .segment_bytes = segment_bytes };
    struct wal *w = NULL;
    struct error err = { 0 };
    if (wal_open(&o, &w, ret_report, &err) != ST_OK)
        fail_msg("%s", err.msg);
    return w;
}

/* The payload follows from region and entry, so that a reader can tell a wrong record. */
static size_t payload_of(uint64_t region, uint64_t entry, char out[256])
{
    size_t size = (size_t)((region * 7 + entry * 13) % 50);
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(region + entry * 3 + i);
    return size;
}

static void append(struct wal *w, uint64_t region, uint64_t entry)
{
    char data[256];
    size_t size = payload_of(region, entry, data);
    struct iovec v[2] = { { data, size / 2 }, { data + size / 2, size - size / 2 } };
    struct error err = { 0 };
    if (wal_append(w, region, entry, v, 2, &err) != ST_OK)
        fail_msg("%s", err.msg);
}

struct seen {
    uint64_t region, last;
};

static int check_record(void *ctx, const struct wal_record *r, struct error *err)
{
    struct seen *s = ctx;
    char want[256];
    (void)err;
    assert_int_equal(r->region_id, s->region);
    assert_int_equal(r->entry_id, s->last + 1);
    assert_int_equal(r->size, payload_of(r->region_id, r->entry_id, want));
    if (r->size)
        assert_memory_equal(r->payload, want, r->size);
    s->last = r->entry_id;
    return ST_OK;
}

/* Replays, checking every record; the last entry seen, *ret_st = how it ended. */
static uint64_t replay(struct wal *w, uint64_t region, uint64_t after, int *ret_st)
{
    struct seen s = { region, after };
    struct error err = { 0 };
    *ret_st = wal_replay(w, region, after, check_record, &s, &err);
    return s.last;
}

static void check_region(struct wal *w, uint64_t region, uint64_t after, uint64_t last)
{
    int st;
    assert_int_equal(replay(w, region, after, &st), last);
    assert_int_equal(st, ST_OK);
}

static void append_reopen_replay(void **state)
{
    (void)state;
    fresh_dir();
    struct wal_report report;
    for (int mode = WAL_FSYNC; mode <= WAL_OS; mode++) {
        struct wal *w = open_log((enum wal_durability)mode, 0, &report);
        uint64_t from = (uint64_t)mode * 20;
        assert_int_equal(report.records, from * 3);
        assert_int_equal(report.torn_bytes + report.skipped_records, 0);
        for (uint64_t e = from + 1; e <= from + 20; e++)
            for (uint64_t r = 1; r <= 3; r++)
                append(w, r, e);
        for (uint64_t r = 1; r <= 3; r++) {
            check_region(w, r, 0, from + 20);
            check_region(w, r, from + 7, from + 20);
            assert_int_equal(wal_last_entry_id(w, r), from + 20);
        }
        assert_int_equal(wal_last_entry_id(w, 9), 0);
        struct wal_options second = { .fs = fs_posix(), .dir = dir };
        struct wal *no = NULL;
        assert_int_equal(wal_open(&second, &no, NULL, NULL), ST_ILLEGAL_STATE); /* the lock */
        wal_close(w);
    }
    struct wal *w = open_log(WAL_FSYNC, 0, &report);
    for (uint64_t r = 1; r <= 3; r++)
        check_region(w, r, 0, 60);
    check_region(w, 4, 0, 0);
    wal_close(w);
    drop_dir();
}

static void rotation_and_obsolete(void **state)
{
    (void)state;
    fresh_dir();
    struct wal *w = open_log(WAL_OS, 1000, NULL);
    for (uint64_t e = 1; e <= 100; e++) {
        append(w, 1, e);
        if (e % 10 == 0)
            append(w, 2, e / 10);
    }
    struct wal_stats before, after;
    wal_stats(w, &before);
    assert_true(before.segments > 5);
    assert_int_equal(before.appended_records, 110);
    assert_int_equal(wal_obsolete(w, 1, 100, NULL), ST_OK);
    wal_stats(w, &after);
    assert_int_equal(after.oldest_pinning_region, 2);
    check_region(w, 2, 0, 10);
    check_region(w, 1, 100, 100);
    assert_int_equal(wal_obsolete(w, 2, 5, NULL), ST_OK);
    wal_stats(w, &after);
    assert_true(after.segments < before.segments && after.bytes < before.bytes);
    check_region(w, 2, 5, 10);
    wal_close(w);
    w = open_log(WAL_FSYNC, 1000, NULL);
    check_region(w, 2, 5, 10);
    check_region(w, 1, 100, 100);
    append(w, 1, 101);
    append(w, 2, 11);
    check_region(w, 1, 100, 101);
    assert_int_equal(wal_obsolete(w, 1, UINT64_MAX, NULL), ST_OK); /* dropped, made again */
    assert_int_equal(wal_last_entry_id(w, 1), 0);
    append(w, 1, 1);
    wal_close(w);
    w = open_log(WAL_FSYNC, 1000, NULL);
    check_region(w, 1, 0, 1);
    check_region(w, 2, 5, 11);
    assert_int_equal(wal_obsolete(w, 1, 1, NULL), ST_OK);
    assert_int_equal(wal_obsolete(w, 2, 11, NULL), ST_OK);
    wal_stats(w, &after);
    assert_int_equal(after.segments, 0);
    wal_close(w);
    drop_dir();
}

enum { THREADS = 8, EACH = 150 };

struct worker {
    struct wal *wal;
    uint64_t region;
};

static void *work(void *p)
{
    struct worker *k = p;
    for (uint64_t e = 1; e <= EACH; e++) {
        append(k->wal, k->region, e);
        if (e % 40 == 0 && k->region % 2)
            assert_int_equal(wal_obsolete(k->wal, k->region, e - 20, NULL), ST_OK);
        if (e % 50 == 0) {
            struct wal_stats stats;
            wal_stats(k->wal, &stats);
            check_region(k->wal, k->region, e - 10, e);
        }
    }
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    for (int mode = WAL_FSYNC; mode <= WAL_OS; mode++) {
        fresh_dir();
        struct wal *w = open_log((enum wal_durability)mode, 20000, NULL);
        pthread_t threads[THREADS];
        struct worker workers[THREADS];
        for (int i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){ w, (uint64_t)i + 1 };
            assert_int_equal(thread_start(&threads[i], "worker", work, &workers[i], NULL), ST_OK);
        }
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        struct wal_stats stats;
        wal_stats(w, &stats);
        assert_int_equal(stats.appended_records, THREADS * EACH);
        assert_true(stats.syncs <= stats.appended_records);
        wal_close(w);
        w = open_log(WAL_FSYNC, 0, NULL);
        for (uint64_t r = 1; r <= THREADS; r++)
            check_region(w, r, r % 2 ? 100 : 0, EACH);
        wal_close(w);
        drop_dir();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_reopen_replay),
        cmocka_unit_test(rotation_and_obsolete),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
