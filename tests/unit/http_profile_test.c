/* Tests of the forms of a CPU profile, from stacks that are made up of this program's own functions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/proto/wire.h"
#include "http/heap_stacks.h"
#include "http/profile.h"

__attribute__((noinline)) static int leaf_of_it(int x)
{
    return x * 3 + rand();
}

__attribute__((noinline)) static int middle_of_it(int x)
{
    return leaf_of_it(x) + 1;
}

__attribute__((noinline)) static int root_of_it(int x)
{
    return middle_of_it(x) + leaf_of_it(x);
}

static const struct profile_meaning cpu = {"samples", "count", "cpu", "nanoseconds", 10000000, 1700000000000000000, 5000000000};

static void write_form(enum profile_form form, struct dynbuf *out)
{
    struct error err;
    /* Return addresses stand one byte behind what they are looked up by. */
    uintptr_t a[] = {(uintptr_t)leaf_of_it, (uintptr_t)middle_of_it + 1, (uintptr_t)root_of_it + 1},
              b[] = {(uintptr_t)leaf_of_it, (uintptr_t)root_of_it + 1}, c[] = {1};
    struct sampled_stack stacks[] = {{30, "worker", 3, a}, {60, "worker", 2, b}, {10, "<odd> & \x01", 1, c}};
    struct sampled_stacks p = {.list = stacks, .n = 3, .dropped = 7};
    dynbuf_init(out, 1 << 20);
    assert_int_equal(profile_write(&p, form, &cpu, out, &err), ST_OK);
    assert_int_equal(dynbuf_append_byte(out, 0, &err), ST_OK);
    out->size--;
}

static void text(void **state)
{
    (void)state;
    struct dynbuf out;
    write_form(PROFILE_TEXT, &out);
    assert_string_equal((char *)out.data, "FRAME: leaf_of_it -> FRAME: middle_of_it -> FRAME: root_of_it -> THREAD: worker 30\n"
                                          "FRAME: leaf_of_it -> FRAME: root_of_it -> THREAD: worker 60\n"
                                          "FRAME: 0x1 -> THREAD: <odd> & \x01 10\n"
                                          "7 samples were dropped\n");
    dynbuf_release(&out);
}

static void flamegraph(void **state)
{
    (void)state;
    struct dynbuf out;
    write_form(PROFILE_FLAMEGRAPH, &out);
    const char *svg = (char *)out.data;
    assert_int_equal(strncmp(svg, "<svg ", 5), 0);
    assert_non_null(strstr(svg, "<title>root_of_it (90 samples, 90.00%)</title>"));
    assert_non_null(strstr(svg, "<title>middle_of_it (30 samples, 30.00%)</title>"));
    assert_non_null(strstr(svg, "<title>&lt;odd&gt; &amp; ? (10 samples, 10.00%)</title>"));
    assert_non_null(strstr(svg, "</svg>\n"));
    dynbuf_release(&out);
}

static void proto(void **state)
{
    (void)state;
    struct dynbuf out;
    struct pb_field f, g;
    unsigned counts[16] = {0}, frames = 0;
    uint64_t values[6], n_values = 0;
    const char *strings[64];
    size_t sizes[64];
    write_form(PROFILE_PROTO, &out);
    struct pb_reader r = pb_reader_of(out.data, out.size);
    while (pb_next(&r, &f)) {
        assert_true(f.number < 16);
        if (f.number == 2) {
            struct pb_reader in = pb_inside(&f);
            while (pb_next(&in, &g)) {
                frames += g.number == 1;
                if (g.number == 2)
                    values[n_values++] = g.value;
            }
            assert_true(pb_done(&in));
        }
        if (f.number == 6) {
            strings[counts[6]] = (const char *)f.data;
            sizes[counts[6]] = f.size;
        }
        counts[f.number]++;
    }
    assert_true(pb_done(&r));
    assert_int_equal(counts[1], 2);
    assert_int_equal(counts[2], 3);
    assert_int_equal(frames, 6);
    assert_int_equal(counts[4], 4); /* addresses */
    assert_int_equal(counts[5], 4); /* functions */
    assert_int_equal(counts[6], 6 + 4 + 3);
    assert_int_equal(sizes[0], 0);
    assert_memory_equal(strings[7], "leaf_of_it", sizes[7]);
    const uint64_t want[] = {30, 300000000, 60, 600000000, 10, 100000000};
    assert_memory_equal(values, want, sizeof(want));
    dynbuf_release(&out);
}

static void nothing(void **state)
{
    (void)state;
    struct dynbuf out;
    struct sampled_stacks p = {0};
    dynbuf_init(&out, 1000);
    for (int form = PROFILE_PROTO; form <= PROFILE_FLAMEGRAPH; form++)
        assert_int_equal(profile_write(&p, (enum profile_form)form, &cpu, &out, NULL), ST_OK);
    assert_int_equal(out.size, 0);
    dynbuf_release(&out);
}

/* A dump as jemalloc writes it; each stack's samples stand for more than they are. */
static void heap(void **state)
{
    (void)state;
    struct sampled_stacks s;
    struct error err;
    struct dynbuf out;
    char dump[600], title[100];
    int n =
        snprintf(dump, sizeof(dump),
                 "heap_v2/524288\n  t*: 3: 1049600 [0: 0]\n  t0: 3: 1049600 [0: 0]\n@ 0x%zx 0x%zx\n  t*: 1: 1048576 [0: 0]\n  t0: 1: 1048576 [0: 0]\n"
                 "@ 0x%zx\n  t*: 2: 1024 [0: 0]\n@ 0x5\n  t*: 0: 0 [0: 0]\n\nMAPPED_LIBRARIES:\n@ 0x1\n",
                 (size_t)leaf_of_it + 1, (size_t)root_of_it + 1, (size_t)middle_of_it + 1);
    assert_int_equal(heap_stacks_parse(dump, (size_t)n, &s, &err), ST_OK);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.list[0].weight, (uint64_t)(1048576 / (1 - exp(-2))));
    assert_int_equal(s.list[1].weight, (uint64_t)(1024 / (1 - exp(-512.0 / 524288))));
    const struct profile_meaning bytes = {.type = "inuse_space", .unit = "bytes", .period_type = "space", .period_unit = "bytes"};
    dynbuf_init(&out, 1 << 20);
    assert_int_equal(profile_write(&s, PROFILE_FLAMEGRAPH, &bytes, &out, &err), ST_OK);
    assert_int_equal(dynbuf_append_byte(&out, 0, &err), ST_OK);
    snprintf(title, sizeof(title), "<title>leaf_of_it (%llu bytes, ", (unsigned long long)s.list[0].weight);
    assert_non_null(strstr((char *)out.data, title));
    assert_non_null(strstr((char *)out.data, "<title>all ("));
    sampled_stacks_release(&s);
    dynbuf_release(&out);
    for (int size = 0; size < n; size++) { /* cut off anywhere: an answer, or an error */
        if (heap_stacks_parse(dump, (size_t)size, &s, &err) == ST_OK)
            sampled_stacks_release(&s);
        else
            assert_int_equal(err.status, ST_CORRUPT);
    }
    assert_int_equal(heap_stacks_parse("heap_v1/1\n", 10, &s, &err), ST_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(text), cmocka_unit_test(flamegraph), cmocka_unit_test(proto), cmocka_unit_test(nothing),
                                       cmocka_unit_test(heap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
