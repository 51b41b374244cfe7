/* The log on the real file system: order, rotation, deletion, group commit, and what damage does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/thread.h"
#include "wal/wal.h"
#include "wal_replay_all.h"

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
    struct wal_options o = {.fs = fs_posix(), .dir = dir, .durability = durability, .sync_interval_ms = 5, .segment_bytes = segment_bytes};
    struct wal *w = NULL;
    struct error err = {0};
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
    struct iovec v[2] = {{data, size / 2}, {data + size / 2, size - size / 2}};
    struct error err = {0};
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
    struct seen s = {region, after};
    struct error err = {0};
    *ret_st = wal_replay_all(w, region, after, check_record, &s, &err);
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
        struct wal_options second = {.fs = fs_posix(), .dir = dir};
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
    assert_int_equal(wal_last_entry_id(w, 1), 101);                /* its records may come back with the next scan: a new life begins behind them */
    append(w, 1, 102);
    wal_close(w);
    w = open_log(WAL_FSYNC, 1000, NULL);
    check_region(w, 1, 101, 102);
    check_region(w, 2, 5, 11);
    assert_int_equal(wal_obsolete(w, 1, 102, NULL), ST_OK);
    assert_int_equal(wal_obsolete(w, 2, 11, NULL), ST_OK);
    wal_stats(w, &after);
    assert_int_equal(after.segments, 1); /* that of the note about region 1: region 2 still kept the others */
    wal_close(w);
    drop_dir();
}

enum { THREADS = 8, EACH = 150 };

struct worker {
    struct wal *wal;
    uint64_t region;
};

/* A region's last entry is known from a checkpoint only, and the region is dropped: a new life must still begin behind that entry, because the
 * checkpoint goes on saying that it was there. */
static void last_entry_of_a_checkpoint(void **state)
{
    (void)state;
    struct wal_stats stats;
    uint64_t last = 0, other = 0;
    fresh_dir();
    struct wal *w = open_log(WAL_FSYNC, 1000, NULL);
    for (stats.segments = 0; stats.segments < 2; wal_stats(w, &stats))
        append(w, 1, ++last);
    for (size_t was = stats.segments; stats.segments == was; wal_stats(w, &stats))
        append(w, 2, ++other);
    assert_int_equal(wal_obsolete(w, 1, last, NULL), ST_OK);
    assert_int_equal(wal_obsolete(w, 2, other - 1, NULL), ST_OK);
    wal_stats(w, &stats);
    assert_int_equal(stats.segments, 1);
    wal_close(w);
    w = open_log(WAL_FSYNC, 1000, NULL);
    assert_int_equal(wal_last_entry_id(w, 1), last);
    check_region(w, 1, last, last);
    assert_int_equal(wal_obsolete(w, 1, UINT64_MAX, NULL), ST_OK);
    assert_int_equal(wal_last_entry_id(w, 1), last);
    append(w, 1, last + 1);
    wal_close(w);
    w = open_log(WAL_FSYNC, 1000, NULL);
    check_region(w, 1, last, last + 1);
    check_region(w, 2, other - 1, other);
    wal_close(w);
    drop_dir();
}

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
            workers[i] = (struct worker){w, (uint64_t)i + 1};
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

/* A folder of segments in memory, to be damaged and written out again. */
enum { FILES = 8 };
struct image {
    int n;
    char paths[FILES][128];
    struct dynbuf data[FILES];
};

static int take_file(void *ctx, const char *name, bool is_dir, struct error *err)
{
    struct image *m = ctx;
    if (is_dir || !strstr(name, ".wal"))
        return ST_OK;
    assert_true(m->n < FILES);
    int i = m->n++;
    for (; i > 0 && strcmp(strrchr(m->paths[i - 1], '/') + 1, name) > 0; i--) { /* ascending */
        memcpy(m->paths[i], m->paths[i - 1], sizeof(m->paths[i]));
        m->data[i] = m->data[i - 1];
    }
    snprintf(m->paths[i], sizeof(m->paths[i]), "%s/%s", dir, name);
    dynbuf_init(&m->data[i], 1 << 20);
    return fs_read_all(fs_posix(), m->paths[i], 1 << 20, &m->data[i], err);
}

static void take_image(struct image *m)
{
    m->n = 0;
    assert_int_equal(fs_posix()->ops->list(fs_posix(), dir, take_file, m, NULL), ST_OK);
}

static int remove_file(void *ctx, const char *name, bool is_dir, struct error *err)
{
    char path[PATH_MAX];
    (void)ctx, (void)is_dir;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return fs_posix()->ops->remove(fs_posix(), path, err);
}

static void put_image(const struct image *m, int skip)
{
    fs_posix()->ops->list(fs_posix(), dir, remove_file, NULL, NULL);
    for (int i = 0; i < m->n; i++) {
        if (i == skip)
            continue;
        FILE *f = fopen(m->paths[i], "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(m->data[i].data, 1, m->data[i].size, f), m->data[i].size);
        fclose(f);
    }
}

static void free_image(struct image *m)
{
    for (int i = 0; i < m->n; i++)
        dynbuf_release(&m->data[i]);
}

/* Regions 1..3 with 16 entries each, region 4 with entries in the first segment only, region 5 that is known to be flushed up to entry 2. */
static void make_image(struct image *m)
{
    fresh_dir();
    struct wal *w = open_log(WAL_OS, 1000, NULL);
    for (uint64_t e = 1; e <= 16; e++) {
        for (uint64_t r = 1; r <= 3; r++)
            append(w, r, e);
        if (e < 4)
            append(w, 4, e);
        if (e < 3)
            append(w, 5, e);
    }
    wal_obsolete(w, 5, 2, NULL);
    take_image(m); /* as after a kill: a clean stop leaves one file more */
    wal_close(w);
    assert_true(m->n >= 3);
}

/* Replays all regions: complete or ST_CORRUPT, except that `torn` allows the last entries to be gone. Returns how many failed. */
static int check_damaged(struct wal *w, bool torn)
{
    int failed = 0, st;
    uint64_t missing = 0;
    static const uint64_t ends[] = {0, 16, 16, 16, 3, 2};
    for (uint64_t r = 1; r <= 5; r++) {
        uint64_t last = replay(w, r, r == 5 ? 2 : 0, &st);
        assert_true(st == ST_OK || st == ST_CORRUPT);
        failed += st != ST_OK;
        if (st == ST_OK)
            missing += ends[r] - last;
    }
    if (!torn)
        assert_int_equal(missing, 0);
    if (failed) {
        struct wal_report again;
        wal_close(w);
        w = open_log(WAL_OS, 1000, &again);
        append(w, 6, 1); /* a new segment with its checkpoint must not hide the damage */
        wal_close(w);
        w = open_log(WAL_OS, 1000, &again);
        int still = 0;
        for (uint64_t r = 1; r <= 5; r++) {
            replay(w, r, r == 5 ? 2 : 0, &st);
            still += st != ST_OK;
        }
        assert_int_equal(still, failed);
    }
    wal_close(w);
    return failed;
}

static void torn_tail(void **state)
{
    (void)state;
    struct image m;
    make_image(&m);
    struct dynbuf *last = &m.data[m.n - 1];
    size_t whole = last->size;
    for (last->size = 0; last->size <= whole; last->size++) {
        struct wal_report report;
        put_image(&m, -1);
        struct wal *w = open_log(WAL_OS, 1000, &report);
        assert_int_equal(report.skipped_records, 0);
        assert_int_equal(check_damaged(w, true), 0);
        w = open_log(WAL_OS, 1000, &report);
        assert_int_equal(report.torn_bytes + report.skipped_records, 0);
        uint64_t next[4];
        for (uint64_t r = 1; r <= 3; r++)
            append(w, r, next[r] = wal_last_entry_id(w, r) + 1);
        wal_close(w);
        w = open_log(WAL_OS, 1000, &report);
        for (uint64_t r = 1; r <= 3; r++)
            check_region(w, r, 0, next[r]);
        wal_close(w);
    }
    free_image(&m);
    drop_dir();
}

static void bit_flips(void **state)
{
    (void)state;
    struct image m;
    size_t silent = 0;
    make_image(&m);
    for (int i = 0; i < m.n; i++) {
        for (size_t at = 0; at < m.data[i].size; at++) {
            uint8_t bit = (uint8_t)(1 << at % 8);
            struct wal_report report;
            m.data[i].data[at] ^= bit;
            put_image(&m, -1);
            m.data[i].data[at] ^= bit;
            struct wal *w = open_log(WAL_OS, 1000, &report);
            bool newest = i == m.n - 1;
            int failed = check_damaged(w, newest);
            if (!newest && at >= 64)
                assert_true(failed <= 1);                        /* one record lost: nobody else suffers */
            if (report.skipped_records + report.torn_bytes == 0) /* a payload of an older segment: only its replay notices */
                silent += !failed;
        }
    }
    char data[256];
    assert_int_equal(silent, payload_of(5, 1, data) + payload_of(5, 2, data)); /* which nobody needs */
    free_image(&m);
    drop_dir();
}

static void missing_segments(void **state)
{
    (void)state;
    struct image m;
    make_image(&m);
    for (int i = 0; i < m.n; i++) {
        struct wal_report report;
        put_image(&m, i);
        struct wal *w = open_log(WAL_OS, 1000, &report);
        int st, failed = 0;
        for (uint64_t r = 1; r <= 5; r++) {
            replay(w, r, r == 5 ? 2 : 0, &st);
            failed += st != ST_OK;
        }
        if (i < m.n - 1) /* the newest one cannot be missed */
            assert_true(failed >= 3 && failed <= 4);
        wal_close(w);
    }
    free_image(&m);
    drop_dir();
}

/* Damage in the middle of the newest segment, which later records prove to have been on disk. */
static void damage_in_newest(void **state)
{
    (void)state;
    struct image m;
    fresh_dir();
    struct wal *w = open_log(WAL_FSYNC, 0, NULL);
    append(w, 1, 1);
    append(w, 2, 1);
    append(w, 3, 1);
    append(w, 1, 2);
    append(w, 1, 3);
    take_image(&m);
    wal_close(w);
    assert_int_equal(m.n, 1);
    size_t last_bytes = 48 + payload_of(1, 3, (char[256]){0});
    for (size_t at = 0; at < m.data[0].size - last_bytes; at++) {
        struct wal_report report;
        m.data[0].data[at] ^= 4;
        put_image(&m, -1);
        m.data[0].data[at] ^= 4;
        w = open_log(WAL_FSYNC, 0, &report);
        assert_true(report.skipped_records > 0);
        int st[4];
        for (uint64_t r = 1; r <= 3; r++) {
            uint64_t last = replay(w, r, 0, &st[r]);
            assert_true(st[r] == ST_CORRUPT || last == (r == 1 ? 3 : 1));
        }
        assert_true(at < 120 || st[1] != ST_OK || st[2] != ST_OK || st[3] != ST_OK);
        wal_close(w);
    }
    free_image(&m);
    drop_dir();
}

/* After a clean stop all was on disk, in every mode: whatever is damaged then was damaged later, the last record, too. */
static void damage_after_clean_stop(void **state)
{
    (void)state;
    struct image m;
    fresh_dir();
    struct wal *w = open_log(WAL_OS, 0, NULL);
    for (uint64_t e = 1; e <= 3; e++)
        append(w, 1, e);
    append(w, 2, 1);
    wal_close(w);
    struct wal_report report;
    w = open_log(WAL_OS, 0, &report);
    assert_int_equal(report.torn_bytes + report.skipped_records, 0);
    check_region(w, 1, 0, 3);
    wal_close(w);
    take_image(&m);
    assert_int_equal(m.n, 2);
    int segment = m.data[0].size ? 0 : 1;
    assert_int_equal(m.data[1 - segment].size, 0);
    for (size_t at = 0; at < m.data[segment].size; at++) {
        int st[3];
        m.data[segment].data[at] ^= 4;
        put_image(&m, -1);
        m.data[segment].data[at] ^= 4;
        w = open_log(WAL_OS, 0, &report);
        assert_int_equal(report.torn_bytes, 0);
        for (uint64_t r = 1; r <= 2; r++) {
            uint64_t last = replay(w, r, 0, &st[r]);
            assert_true(st[r] == ST_CORRUPT || last == (r == 1 ? 3 : 1)); /* lost or whole, never quietly shorter */
        }
        wal_close(w);
    }
    free_image(&m);
    drop_dir();
}

static void early_end(void **state)
{
    (void)state;
    fresh_dir();
    struct wal *w = open_log(WAL_OS, 0, NULL);
    static char big[400000];
    struct iovec v = {big, sizeof(big)};
    struct wal_stats stats;
    for (uint64_t e = 1; e <= 2; e++)
        assert_int_equal(wal_append(w, 1, e, &v, 1, NULL), ST_OK);
    assert_int_equal(wal_obsolete(w, 1, 2, NULL), ST_OK);
    wal_stats(w, &stats);
    assert_int_equal(stats.segments, 1); /* not worth it */
    assert_int_equal(wal_append(w, 1, 3, &v, 1, NULL), ST_OK);
    assert_int_equal(wal_obsolete(w, 1, 3, NULL), ST_OK);
    wal_stats(w, &stats);
    assert_int_equal(stats.segments, 0);
    append(w, 1, 4);
    wal_close(w);
    w = open_log(WAL_OS, 0, NULL);
    check_region(w, 1, 3, 4);
    assert_int_equal(wal_append(w, UINT64_MAX, 1, &v, 1, NULL), ST_INVALID_ARGUMENTS);
    wal_close(w);
    drop_dir();
}

/* What has been made obsolete keeps no segment after a restart either, be it a stop or a kill: its region may be gone, and never say so again. */
static void obsolete_after_restart(void **state)
{
    (void)state;
    for (int killed = 0; killed < 2; killed++) {
        struct image m = {0};
        struct wal_stats stats;
        struct wal_report report;
        fresh_dir();
        struct wal *w = open_log(WAL_FSYNC, 0, NULL);
        for (uint64_t e = 1; e <= 5; e++)
            for (uint64_t r = 1; r <= 4; r++)
                append(w, r, e);
        assert_int_equal(wal_obsolete(w, 1, 5, NULL), ST_OK);
        assert_int_equal(wal_obsolete(w, 2, UINT64_MAX, NULL), ST_OK);
        assert_int_equal(wal_obsolete(w, 4, 3, NULL), ST_OK); /* it needs two more */
        append(w, 1, 6);
        take_image(&m);
        wal_close(w);
        if (killed)
            put_image(&m, -1);
        free_image(&m);
        w = open_log(WAL_FSYNC, 0, &report);
        assert_int_equal(report.records, 21);
        assert_int_equal(report.torn_bytes + report.skipped_records, 0);
        check_region(w, 1, 5, 6);
        check_region(w, 3, 0, 5);
        check_region(w, 4, 3, 5);
        assert_int_equal(wal_last_entry_id(w, 2), 5);
        assert_int_equal(wal_obsolete(w, 1, 6, NULL), ST_OK);
        assert_int_equal(wal_obsolete(w, 3, 5, NULL), ST_OK);
        wal_stats(w, &stats);
        assert_int_equal(stats.oldest_pinning_region, 4);
        assert_int_equal(wal_obsolete(w, 4, 5, NULL), ST_OK);
        wal_stats(w, &stats);
        assert_int_equal(stats.oldest_pinning_region, 0);
        assert_int_equal(stats.segments, 1);
        wal_close(w);
        drop_dir();
    }
}

/* Records of all sizes, alone and among those of another region: what a stretch reads at once differs. */
static size_t big_payload(uint64_t region, uint64_t entry, uint8_t *out)
{
    static const size_t sizes[] = {10, 0, 300000, 40, 3000000, 70000, 20, 5000};
    size_t n = region == 1 && entry > 40 ? 33 : sizes[(region * 3 + entry) % 8];
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(region + entry + i * i / 7);
    return n;
}

static uint8_t big[3000000];

static int check_big(void *ctx, const struct wal_record *r, struct error *err)
{
    uint64_t *entries = ctx;
    size_t n = big_payload(r->region_id, r->entry_id, big);
    (void)err;
    assert_int_equal(r->size, n);
    assert_true(n == 0 || memcmp(r->payload, big, n) == 0);
    assert_true(entries[1] == 0 || r->entry_id == entries[1] + 1);
    entries[0]++;
    entries[1] = r->entry_id;
    return ST_OK;
}

/* Reads the stretches from the last to the first, then joins them in order. */
static void check_stretches(struct wal *w, uint64_t region, uint64_t after, uint64_t last)
{
    struct wal_replay *r;
    struct wal_stretch *s[1000];
    size_t n = 0;
    uint64_t found = 0;
    assert_int_equal(wal_replay_open(w, region, after, &r, NULL), ST_OK);
    do
        assert_int_equal(wal_replay_next(r, &s[n++], NULL), ST_OK);
    while (s[n - 1]);
    for (size_t i = n - 1; i-- > 0;) {
        uint64_t entries[2] = {0, 0};
        assert_int_equal(wal_stretch_read(s[i], check_big, entries, NULL), ST_OK);
        found += entries[0];
    }
    assert_int_equal(found, last - after);
    for (size_t i = 0; i + 1 < n; i++) {
        assert_int_equal(wal_replay_join(r, s[i], NULL), ST_OK);
        wal_stretch_free(s[i]);
    }
    wal_replay_close(r);
}

static void stretches(void **state)
{
    (void)state;
    fresh_dir();
    for (int round = 0; round < 2; round++) { /* the second one has records that the scan listed and others that it did not see */
        struct wal *w = open_log(WAL_OS, 8 << 20, NULL);
        for (uint64_t e = 1; e <= 50; e++)
            for (uint64_t region = 1; region <= 2; region++) {
                uint64_t entry = (uint64_t)round * 50 + e;
                struct iovec v = {big, big_payload(region, entry, big)};
                if (region == 1 || e % 4)
                    assert_int_equal(wal_append(w, region, region == 1 ? entry : entry - entry / 4, &v, 1, NULL), ST_OK);
            }
        check_stretches(w, 1, 0, (uint64_t)(round + 1) * 50);
        check_stretches(w, 1, 45, (uint64_t)(round + 1) * 50);
        wal_close(w);
        w = open_log(WAL_OS, 8 << 20, NULL);
        check_stretches(w, 1, 7, (uint64_t)(round + 1) * 50);
        wal_close(w);
    }
    drop_dir();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_reopen_replay),
        cmocka_unit_test(rotation_and_obsolete),
        cmocka_unit_test(last_entry_of_a_checkpoint),
        cmocka_unit_test(many_threads),
        cmocka_unit_test(torn_tail),
        cmocka_unit_test(bit_flips),
        cmocka_unit_test(missing_segments),
        cmocka_unit_test(damage_in_newest),
        cmocka_unit_test(damage_after_clean_stop),
        cmocka_unit_test(early_end),
        cmocka_unit_test(obsolete_after_restart),
        cmocka_unit_test(stretches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
