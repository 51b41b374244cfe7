/* The query of a scan: filters that are taken and refused, and filters made of pieces at random: whatever they say, a plan comes out that can be
 * decoded, or an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/proto/wire.h"
#include "format/substrait/plan.h"
#include "region/scan_plan.h"
#include "row_samples.h"

/* The status of making the request; of one that is made, the plan in it decodes. */
static int try_plan(const struct region_metadata *m, const char *filter, struct error *err)
{
    uint32_t columns[64], n = m->n_columns < 64 ? m->n_columns : 64;
    struct scan_plan plan = {.meta = m, .columns = columns, .n_columns = n, .filter = filter, .limit = 7};
    struct arena arena;
    struct dynbuf request;
    for (uint32_t i = 0; i < n; i++)
        columns[i] = n - 1 - i;
    arena_init(&arena, NULL);
    dynbuf_init(&request, 16 << 20);
    int st = scan_plan_request(&plan, &arena, &request, err);
    if (st == ST_OK) {
        struct pb_reader r = pb_reader_of(request.data, request.size);
        struct pb_field f, bytes = {0};
        struct plan *decoded;
        while (pb_next(&r, &f))
            if (f.number == 3 && f.wire == PB_BYTES)
                bytes = f;
        assert_true(pb_done(&r) && bytes.data);
        assert_int_equal(plan_decode(bytes.data, bytes.size, &arena, &decoded, err), ST_OK);
        plan_release(decoded);
    }
    dynbuf_release(&request);
    arena_release(&arena);
    return st;
}

static struct region_metadata *sample(unsigned i)
{
    struct region_metadata *m;
    assert_int_equal(row_sample(i, &m, NULL), ST_OK);
    return m;
}

static void test_filters(void **state)
{
    static const char *const good[] = {
        NULL,        "x > 1.5", "s = 'it''s' AND x IS NOT NULL and \"ts\" >= 1700000000000", "ts < '2023-11-14T22:13:20Z'", "x <> -2e3",
        "s is null", "  x==1 ",
    };
    static const char *const bad[] = {
        "",     "x",        "x >",     "x > 1 AND", "x > 1 OR x < 0", "nonsense = 1", "x = 'high'", "s = 'open",
        "x IS", "x IS NOT", "x = 1 1", "> 1",       "ts = 'when'",    "x > 1; y < 2",
    };
    struct region_metadata *m = sample(SAMPLE_NO_TAGS);
    struct error err;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (try_plan(m, good[i], &err) != ST_OK)
            fail_msg("%s: %s", good[i] ? good[i] : "no filter", err.msg);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (try_plan(m, bad[i], &err) != ST_INVALID_ARGUMENTS)
            fail_msg("%s: not refused", bad[i]);
    region_metadata_unref(m);
}

static void test_any_filter(void **state)
{
    static const char *const pieces[] = {
        "k",
        "ts",
        "i8",
        "u64",
        "f32",
        "str",
        "bin",
        "date",
        "dec",
        "b",
        " ",
        " = ",
        " >= ",
        "<>",
        " IS NULL",
        " is not null",
        " AND ",
        "'",
        "\"",
        "''",
        "-1",
        "300",
        "18446744073709551615",
        "1e400",
        "nan",
        "'a''b'",
        "true",
        "2024-02-30",
        "\xff",
        "(",
        "9223372036854775808",
        "\"k\"",
        "1970-01-01T00:00:00Z",
    };
    struct region_metadata *m = sample(SAMPLE_TYPES);
    uint64_t seed = 7;
    unsigned made = 0;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char filter[512] = "";
        size_t size = 0;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        for (unsigned n = 1 + (unsigned)(seed >> 60); n; n--) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const char *piece = pieces[(seed >> 33) % (sizeof pieces / sizeof *pieces)];
            size += (size_t)snprintf(filter + size, sizeof filter - size, "%s", piece);
        }
        struct error err;
        int st = try_plan(m, filter, &err);
        made += st == ST_OK;
        assert_true(st == ST_OK || st == ST_INVALID_ARGUMENTS);
    }
    assert_true(made > 10);
    region_metadata_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_filters), cmocka_unit_test(test_any_filter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
