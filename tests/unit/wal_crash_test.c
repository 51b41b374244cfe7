/* The log over the simulated file system: power cuts and failing calls at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "os/fs_sim.h"
#include "os/thread.h"
#include "wal/wal.h"
#include "wal_replay_all.h"

enum { REGIONS = 3, BYTES_MAX = 1400 };

struct model {
    struct fs_sim *sim;
    uint64_t seed, random;
    enum wal_durability durability;
    uint64_t acked[REGIONS + 1], tried[REGIONS + 1], flushed[REGIONS + 1];
};

static uint64_t pick(struct model *m, uint64_t below)
{
    return hash_u64(m->random += 0x9e3779b97f4a7c15u) % below;
}

static size_t payload_of(uint64_t region, uint64_t entry, uint8_t *out)
{
    uint64_t h = hash_u64(region << 32 | entry);
    size_t size = (size_t)(h % BYTES_MAX);
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(h >> i % 7 * 8);
    return size;
}

struct seen {
    uint64_t region, last;
};

static int check_record(void *ctx, const struct wal_record *r, struct error *err)
{
    struct seen *s = ctx;
    uint8_t want[BYTES_MAX];
    (void)err;
    assert_int_equal(r->region_id, s->region);
    assert_int_equal(r->entry_id, s->last + 1);
    assert_int_equal(r->size, payload_of(r->region_id, r->entry_id, want));
    if (r->size)
        assert_memory_equal(r->payload, want, r->size);
    s->last = r->entry_id;
    return ST_OK;
}

static int open_log(struct model *m, struct wal **ret_wal, struct error *err)
{
    struct wal_options o = {.fs = fs_sim_fs(m->sim), .dir = "/log", .durability = m->durability, .sync_interval_ms = 1, .segment_bytes = 3000};
    return wal_open(&o, ret_wal, NULL, err);
}

/* Random work until the first failure (or, with go_on, `steps` steps whatever fails). */
static void work(struct model *m, struct wal *w, int steps, bool go_on)
{
    uint8_t data[BYTES_MAX];
    for (int i = 0; i < steps; i++) {
        uint64_t r = 1 + pick(m, REGIONS), what = pick(m, 10);
        int st;
        if (what == 0) {
            m->flushed[r] += pick(m, m->acked[r] - m->flushed[r] + 1);
            st = wal_obsolete(w, r, m->flushed[r], NULL);
        } else {
            uint64_t entry = m->acked[r] + 1;
            struct iovec v = {data, payload_of(r, entry, data)};
            m->tried[r] = m->tried[r] > entry ? m->tried[r] : entry;
            st = wal_append(w, r, entry, &v, 1, NULL);
            if (st == ST_OK)
                m->acked[r] = entry;
        }
        if (st != ST_OK && !go_on)
            return;
    }
}

/* Opens and compares; afterwards the model is what was found. */
static void check(struct model *m)
{
    struct wal *w = NULL;
    struct error err = {0};
    if (open_log(m, &w, &err) != ST_OK)
        fail_msg("seed %llu: open: %s", (unsigned long long)m->seed, err.msg);
    for (uint64_t r = 1; r <= REGIONS; r++) {
        struct seen s = {r, m->flushed[r]};
        if (wal_replay_all(w, r, m->flushed[r], check_record, &s, &err) != ST_OK)
            fail_msg("seed %llu: region %llu: %s", (unsigned long long)m->seed, (unsigned long long)r, err.msg);
        if (s.last > m->tried[r] || (m->durability == WAL_FSYNC && s.last < m->acked[r]))
            fail_msg("seed %llu: region %llu ends at %llu, acknowledged %llu", (unsigned long long)m->seed, (unsigned long long)r,
                     (unsigned long long)s.last, (unsigned long long)m->acked[r]);
        m->acked[r] = m->tried[r] = s.last;
    }
    wal_close(w);
}

static void power_cuts(struct model *m)
{
    for (int session = 0; session < 4; session++) {
        struct wal *w = NULL;
        fs_sim_fail(m->sim, FS_SIM_POWER, fs_sim_calls(m->sim) + 1 + pick(m, session % 2 ? 20 : 120), true);
        if (open_log(m, &w, NULL) == ST_OK) {
            work(m, w, 100, false);
            wal_close(w);
        }
        fs_sim_power_cut(m->sim);
        check(m);
    }
}

static void power_cut_at_random(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        struct model m = {.seed = seed, .random = seed, .durability = (enum wal_durability)(seed % 3)};
        assert_int_equal(fs_sim_new(seed, &m.sim, NULL), ST_OK);
        power_cuts(&m);
        fs_sim_free(m.sim);
    }
}

static void every_call_fails(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        uint64_t calls = 1;
        for (uint64_t nth = 1; nth <= calls; nth++) {
            struct model m = {.seed = nth, .random = 5, .durability = WAL_FSYNC};
            assert_int_equal(fs_sim_new(nth, &m.sim, NULL), ST_OK);
            for (int session = 0; session < 2; session++) {
                struct wal *w = NULL;
                fs_sim_fail(m.sim, variant & 1 ? FS_SIM_NO_SPACE : FS_SIM_IO, nth, variant & 2);
                if (open_log(&m, &w, NULL) == ST_OK) {
                    work(&m, w, 40, true);
                    wal_close(w);
                }
            }
            if (nth == 1 || calls < fs_sim_calls(m.sim))
                calls = fs_sim_calls(m.sim) < 400 ? fs_sim_calls(m.sim) : 400;
            fs_sim_fail(m.sim, FS_SIM_IO, 0, false);
            if (nth % 2)
                fs_sim_power_cut(m.sim);
            check(&m);
            fs_sim_free(m.sim);
        }
    }
}

/* A full disk is noticed by the write or, where space is given out late, by the sync: what was appended is taken back, and the log goes on. */
static void full_disk_passes(void **state)
{
    (void)state;
    static const enum wal_durability modes[] = {WAL_FSYNC, WAL_OS}; /* not the one with a thread that syncs at any time */
    for (int mode = 0; mode < 2; mode++)
        for (uint64_t nth = 1; nth < 12; nth++) {
            struct model m = {.seed = nth, .random = nth, .durability = modes[mode]};
            struct wal *w = NULL;
            struct wal_stats stats;
            uint8_t data[BYTES_MAX];
            assert_int_equal(fs_sim_new(nth, &m.sim, NULL), ST_OK);
            assert_int_equal(open_log(&m, &w, NULL), ST_OK);
            fs_sim_fail(m.sim, FS_SIM_NO_SPACE, fs_sim_calls(m.sim) + nth, false);
            for (uint64_t entry = 1; entry <= 10; entry++) {
                struct iovec v = {data, payload_of(1, entry, data)};
                int st = wal_append(w, 1, entry, &v, 1, NULL);
                if (st == ST_NO_SPACE)
                    st = wal_append(w, 1, entry, &v, 1, NULL);
                wal_stats(w, &stats);
                if (st != ST_OK)
                    fail_msg("mode %d, call %llu is full: %s", mode, (unsigned long long)nth, stats.failure);
                m.acked[1] = m.tried[1] = entry;
            }
            wal_close(w);
            fs_sim_fail(m.sim, FS_SIM_IO, 0, false);
            if (modes[mode] == WAL_FSYNC)
                fs_sim_power_cut(m.sim);
            check(&m);
            assert_int_equal(m.acked[1], 10);
            fs_sim_free(m.sim);
        }
}

/* A sync of acknowledged records finds the disk full. Where they can still be read they are written again: nothing is lost, not even by a power cut.
 * Where they are gone the log takes nothing until nobody needs them; the region's rows are in memory, and a flush of these is what wal_obsolete()
 * tells of. */
static void full_disk_at_a_sync(void **state)
{
    (void)state;
    for (int variant = 0; variant < 8; variant++)
        for (uint64_t before = 0; before < 6; before++) {
            bool gone = variant & 1, syncer = variant & 2, again = variant & 4; /* again: the first attempt to settle fails, too */
            struct model m = {.seed = before, .random = before, .durability = syncer ? WAL_INTERVAL : WAL_OS};
            struct wal *w = NULL;
            struct wal_stats stats;
            uint8_t data[BYTES_MAX];
            assert_int_equal(fs_sim_new(before, &m.sim, NULL), ST_OK);
            assert_int_equal(open_log(&m, &w, NULL), ST_OK);
            uint64_t entry = 1;
            for (; entry <= before; entry++) {
                struct iovec v = {data, payload_of(1, entry, data)};
                assert_int_equal(wal_append(w, 1, entry, &v, 1, NULL), ST_OK);
            }
            struct iovec other = {data, payload_of(2, 1, data)};
            assert_int_equal(wal_append(w, 2, 1, &other, 1, NULL), ST_OK);
            fs_sim_fail_syncs(m.sim, gone ? FS_SIM_NO_SPACE : FS_SIM_NO_SPACE_LATE);
            int st = ST_OK;
            for (; st == ST_OK && entry < 200; entry++) { /* until the segment is full, or the syncer has been there */
                struct iovec v = {data, payload_of(1, entry, data)};
                st = wal_append(w, 1, entry, &v, 1, NULL);
                if (st != ST_OK)
                    break;
                if (syncer)
                    clock_sleep_ns(2000000);
            }
            assert_int_equal(st, ST_NO_SPACE);
            m.acked[1] = entry - 1;
            wal_stats(w, &stats);
            assert_true(stats.unsettled);
            assert_false(stats.failed);
            struct iovec v = {data, payload_of(1, entry, data)};
            if (again)
                assert_int_equal(wal_append(w, 1, entry, &v, 1, NULL), ST_NO_SPACE);
            fs_sim_fail(m.sim, FS_SIM_IO, 0, false);
            if (gone) {
                assert_int_equal(wal_append(w, 1, entry, &v, 1, NULL), ST_NO_SPACE); /* there is room, but records are gone */
                m.flushed[1] = m.acked[1];
                assert_int_equal(wal_obsolete(w, 1, m.flushed[1], NULL), ST_OK);
                m.flushed[2] = 1;
                assert_int_equal(wal_obsolete(w, 2, 1, NULL), ST_OK);
            }
            assert_int_equal(wal_append(w, 1, entry, &v, 1, NULL), ST_OK);
            m.acked[1] = m.tried[1] = entry;
            m.acked[2] = m.tried[2] = 1;
            wal_stats(w, &stats);
            assert_false(stats.unsettled);
            assert_int_equal(stats.failure[0], 0);
            wal_close(w);
            fs_sim_power_cut(m.sim); /* the log was synced when it was closed */
            m.durability = WAL_FSYNC;
            check(&m);
            assert_int_equal(m.acked[1], entry);
            fs_sim_free(m.sim);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cut_at_random),
        cmocka_unit_test(every_call_fails),
        cmocka_unit_test(full_disk_passes),
        cmocka_unit_test(full_disk_at_a_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
