/* The compaction picker: tables of files and what must be picked of them (mito-engine.md 6.2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/mito/compact_pick.h"

enum { FILES_MAX = 12, MERGES_MAX = 3 };
#define MIB (1ull << 20)

struct pick_case {
    const char *name;
    struct pick_file files[FILES_MAX]; /* up to the first without size */
    struct pick_options options;       /* zeros: seconds, 1 h windows, 4 files, 512 MiB, 8 outputs */
    const char *expected;              /* merges as sorted indexes, "!" = may drop deletes: "0 1!;2 3" */
};

#define FILE(min, max, seq, mib) {(min), (max), (seq), (uint64_t)((mib) * MIB), 0}

static const struct pick_case cases[] = {
    {"nothing", {{0}}, {0}, ""},
    {"one file", {FILE(0, 10, 1, 1)}, {0}, ""},
    {"two apart are too few", {FILE(0, 10, 1, 1), FILE(20, 30, 2, 1)}, {0}, ""},
    {"two that overlap", {FILE(0, 10, 1, 1), FILE(5, 30, 2, 1)}, {0}, "0 1!"},
    {"two that touch are one run", {FILE(0, 10, 1, 1), FILE(10, 30, 2, 1)}, {0}, ""},
    {"four apart", {FILE(0, 10, 1, 1), FILE(20, 30, 2, 1), FILE(40, 50, 3, 1), FILE(60, 70, 4, 1)}, {0}, "0 1 2 3!"},
    {"three apart, trigger 3", {FILE(0, 10, 1, 1), FILE(20, 30, 2, 1), FILE(40, 50, 3, 1)}, {.trigger_files = 3}, "0 1 2!"},
    {"one sequence is one group", {FILE(0, 10, 7, 1), FILE(5, 30, 7, 1), FILE(0, 30, 7, 1)}, {0}, ""},
    {"windows do not mix", {FILE(0, 10, 1, 1), FILE(3601, 3700, 2, 1), FILE(20, 30, 3, 1), FILE(3800, 3900, 4, 1)}, {.trigger_files = 2}, "0 2!;1 3!"},
    {"a window ends with its last second", {FILE(0, 3600, 1, 1), FILE(3600, 3601, 2, 1)}, {.trigger_files = 2}, ""},
    {"before the epoch", {FILE(-10, -5, 1, 1), FILE(-7, 0, 2, 1), FILE(1, 2, 3, 1)}, {0}, "0 1!"},
    {"milliseconds", {FILE(0, 1000, 1, 1), FILE(500, 3600000, 2, 1), FILE(3601000, 3602000, 3, 1)}, {.unit = UNIT_MILLI}, "0 1!"},
    {"outputs are bounded", {FILE(0, 10, 1, 1), FILE(5, 11, 2, 1), FILE(3601, 3700, 3, 1), FILE(3650, 3900, 4, 1)}, {.outputs_max = 1}, "0 1!"},
    /* sequential merge: too large a neighbour is left alone */
    {"a full file stays", {FILE(0, 10, 1, 500), FILE(20, 30, 2, 20), FILE(40, 50, 3, 20), FILE(60, 70, 4, 20)}, {0}, "1 2 3!"},
    {"nothing fits", {FILE(0, 10, 1, 500), FILE(20, 30, 2, 500), FILE(40, 50, 3, 500), FILE(60, 70, 4, 500)}, {0}, ""},
    /* reduce runs: the cheapest pair of runs, only where they overlap */
    {"only what overlaps", {FILE(0, 10, 1, 1), FILE(20, 30, 2, 1), FILE(25, 35, 3, 1)}, {0}, "1 2!"},
    {"three runs, the cheap pair", {FILE(0, 100, 1, 300), FILE(0, 100, 2, 10), FILE(0, 100, 3, 10)}, {0}, "1 2"},
    /* the pair by size is 0 and 2; what file 1 has replaced in 0 must not come to life over it */
    {"a sequence between comes along", {FILE(0, 100, 1, 10), FILE(0, 100, 2, 300), FILE(0, 100, 3, 10)}, {0}, "0 1 2!"},
    {"even from another window", {FILE(0, 100, 1, 10), FILE(50, 5000, 2, 300), FILE(0, 100, 3, 10)}, {0}, "0 1 2!"},
    {"unless it does not overlap", {FILE(0, 100, 1, 10), FILE(101, 5000, 2, 300), FILE(0, 100, 3, 10)}, {0}, "0 2!"},
    {"deletes stay while an older file overlaps", {FILE(0, 5000, 1, 300), FILE(10, 100, 2, 10), FILE(50, 100, 3, 10)}, {0}, "1 2"},
    {"touching in one instant counts", {FILE(100, 5000, 1, 300), FILE(10, 100, 2, 10), FILE(50, 90, 3, 10)}, {0}, "1 2"},
    /* append mode */
    {"append: large files stay", {FILE(0, 10, 1, 600), FILE(5, 30, 2, 600)}, {.append = true}, ""},
    {"append: never drops deletes", {FILE(0, 10, 1, 1), FILE(5, 30, 2, 1)}, {.append = true}, "0 1"},
    {"append: sequences need no company", {FILE(0, 100, 1, 10), FILE(0, 100, 2, 300), FILE(0, 100, 3, 10)}, {.append = true}, "0 2"},
    {"the ends of time", {FILE(INT64_MIN, INT64_MAX, 1, 1), FILE(INT64_MIN, INT64_MAX, 2, 1)}, {0}, "0 1!"},
};

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void to_text(const struct pick_result *r, char *out, size_t room)
{
    size_t at = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < r->n_merges; i++) {
        uint32_t sorted[64];
        assert_true(r->merges[i].n_files <= 64);
        memcpy(sorted, r->merges[i].files, r->merges[i].n_files * sizeof *sorted);
        qsort(sorted, r->merges[i].n_files, sizeof *sorted, ascending);
        for (uint32_t k = 0; k < r->merges[i].n_files; k++)
            at += (size_t)snprintf(out + at, room - at, "%s%u", k ? " " : i ? ";" : "", sorted[k]);
        at += (size_t)snprintf(out + at, room - at, "%s", r->merges[i].drop_deletes ? "!" : "");
    }
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pick_options o = cases[i].options;
        struct pick_result r;
        char text[512];
        uint32_t n = 0;
        while (n < FILES_MAX && cases[i].files[n].size_bytes)
            n++;
        o.window_seconds = o.window_seconds ? o.window_seconds : 3600;
        o.trigger_files = o.trigger_files ? o.trigger_files : 4;
        o.output_bytes_max = o.output_bytes_max ? o.output_bytes_max : 512 * MIB;
        o.outputs_max = o.outputs_max ? o.outputs_max : 8;
        assert_int_equal(compact_pick(cases[i].files, n, &o, &r, NULL), ST_OK);
        to_text(&r, text, sizeof text);
        if (strcmp(text, cases[i].expected) != 0)
            fail_msg("%s: picked \"%s\", expected \"%s\"", cases[i].name, text, cases[i].expected);
        pick_result_release(&r);
    }
}

static void test_fan_in(void **state)
{
    (void)state;
    struct pick_file files[200];
    struct pick_options o = {.window_seconds = 3600, .trigger_files = 4, .output_bytes_max = 512 * MIB, .outputs_max = 8};
    struct pick_result r;
    for (uint32_t i = 0; i < 200; i++) /* no two overlap */
        files[i] = (struct pick_file)FILE(i * 10, i * 10 + 5, i + 1, 1);
    assert_int_equal(compact_pick(files, 200, &o, &r, NULL), ST_OK);
    assert_int_equal(r.n_merges, 1);
    assert_int_equal(r.merges[0].n_files, 32);
    pick_result_release(&r);
    for (uint32_t i = 0; i < 200; i++) /* all do; the cheapest pair is the oldest and the newest */
        files[i] = (struct pick_file)FILE(0, 100, i + 1, i == 0 || i == 199 ? 1 : 50);
    assert_int_equal(compact_pick(files, 200, &o, &r, NULL), ST_OK);
    assert_int_equal(r.n_merges, 1);
    assert_int_equal(r.merges[0].n_files, 32);
    for (uint32_t i = 0; i < 32; i++) /* the oldest ones, in order: no sequence between them is left out */
        assert_int_equal(r.merges[0].files[i], i);
    assert_false(r.merges[0].drop_deletes);
    pick_result_release(&r);
}

/* Random files: whatever is picked, the picker must come to rest, and nobody outside of a merge may lose against an older row inside. */
static void test_safe_and_ends(void **state)
{
    (void)state;
    unsigned seed = 7;
    for (int round = 0; round < 300; round++) {
        struct pick_file files[40];
        uint32_t n = 2 + (unsigned)rand_r(&seed) % 38;
        for (uint32_t i = 0; i < n; i++) {
            int64_t min = rand_r(&seed) % 10000;
            files[i] = (struct pick_file)FILE(min, min + rand_r(&seed) % 3000, i / (1 + (unsigned)round % 3) + 1, 1 + rand_r(&seed) % 90);
        }
        for (int rest = 0;; rest++) {
            struct pick_options o = {.window_seconds = 3600, .trigger_files = 4, .output_bytes_max = 512 * MIB, .outputs_max = 1};
            struct pick_result r;
            assert_true(rest < 200);
            assert_int_equal(compact_pick(files, n, &o, &r, NULL), ST_OK);
            if (!r.n_merges)
                break;
            const struct pick_merge *m = &r.merges[0];
            bool in[40] = {0};
            struct pick_file out = {INT64_MAX, INT64_MIN, 0, 0, 1};
            for (uint32_t k = 0; k < m->n_files; k++) {
                const struct pick_file *f = &files[m->files[k]];
                in[m->files[k]] = true;
                out.time_min = f->time_min < out.time_min ? f->time_min : out.time_min;
                out.time_max = f->time_max > out.time_max ? f->time_max : out.time_max;
                out.sequence = f->sequence > out.sequence ? f->sequence : out.sequence;
                out.size_bytes += f->size_bytes;
            }
            for (uint32_t k = 0; k < m->n_files; k++)
                for (uint32_t i = 0; i < n; i++)
                    assert_false(!in[i] && files[i].sequence > files[m->files[k]].sequence && files[i].sequence <= out.sequence &&
                                 files[i].time_min <= files[m->files[k]].time_max && files[i].time_max >= files[m->files[k]].time_min);
            uint32_t kept = 0;
            for (uint32_t i = 0; i < n; i++)
                if (!in[i])
                    files[kept++] = files[i];
            files[kept++] = out;
            n = kept;
            pick_result_release(&r);
        }
    }
}

static void test_window(void **state)
{
    (void)state;
    static const struct { int64_t min, max; uint8_t level; int64_t expected; } spans[] = {
        {0, 3600, 0, 3600}, {0, 3601, 0, 7200}, {-3600, 3600, 0, 7200}, {0, 43200, 0, 43200}, {0, 86400, 0, 86400}, {0, 86401, 0, 604800},
        {0, 10000000, 0, 604800}, {0, 10, 1, 604800}, {INT64_MIN, INT64_MAX, 0, 604800},
    };
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        struct pick_file f = {spans[i].min, spans[i].max, 1, 1, spans[i].level};
        assert_int_equal(pick_infer_window(&f, 1, UNIT_SECOND), spans[i].expected);
    }
    assert_int_equal(pick_infer_window(NULL, 0, UNIT_SECOND), 604800);
}

static void test_expired(void **state)
{
    (void)state;
    assert_true(pick_expired(999, UNIT_MILLI, 1000, 2000));
    assert_false(pick_expired(1000, UNIT_MILLI, 1000, 2000));
    assert_true(pick_expired(0, UNIT_SECOND, 1000, 1001));
    assert_false(pick_expired(1000000, UNIT_MICRO, 1000, 2000));
    assert_true(pick_expired(999999999, UNIT_NANO, 1000, 2000));
    assert_true(pick_expired(INT64_MIN, UNIT_SECOND, INT64_MAX, 0));
    assert_false(pick_expired(INT64_MAX, UNIT_SECOND, 0, INT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases), cmocka_unit_test(test_fan_in), cmocka_unit_test(test_safe_and_ends), cmocka_unit_test(test_window),
        cmocka_unit_test(test_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
