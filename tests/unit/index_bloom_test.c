/* Bloom filter blobs: the peer's bytes made again, segments tested, damaged descriptions refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "format/index/bloom.h"
#include "blob_bytes.h"

static void test_plan(void **state)
{
    static const struct {
        uint64_t n, bytes;
        struct bloom_plan plan;
    } known[] = {{0, 64, {1, 0, 32}}, {1, 64, {1, 0, 32}}, {2, 64, {1, 9, 18}},   {3, 64, {1, 3, 13}},      {4, 64, {1, 2, 10}},
                 {5, 64, {1, 2, 8}},  {8, 64, {1, 44, 0}}, {100, 128, {2, 7, 0}}, {1000, 1216, {19, 6, 0}}, {10240, 12288, {192, 6, 0}}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_int_equal(bloom_bytes(known[i].n, 0.01), known[i].bytes);
        struct bloom_plan p = bloom_plan(known[i].bytes, known[i].n);
        assert_int_equal(p.n_blocks, known[i].plan.n_blocks);
        assert_int_equal(p.n_bits, known[i].plan.n_bits);
        assert_int_equal(p.round, known[i].plan.round);
    }
}

/* The blob of a metric table's __table_id: 146 rows of two values. */
static void test_golden(void **state)
{
    uint8_t file[512];
    (void)state;
    FILE *f = fopen(TEST_DATA "/puffin/table_id.puffin", "rb");
    assert_non_null(f);
    assert_int_equal(fread(file, 1, sizeof file, f), 236);
    fclose(f);
    struct bloom_builder b;
    struct dynbuf out;
    dynbuf_init(&out, 1 << 20);
    bloom_builder_init(&b, NULL, 1024, 0.01);
    for (int row = 0; row < 146; row++) {
        const uint8_t value[] = {1, 0, 0, 4, row % 2 ? 0x0b : 0x0c};
        assert_int_equal(bloom_builder_add(&b, bloom_hash(value, sizeof value), NULL), ST_OK);
        assert_int_equal(bloom_builder_advance(&b, 1, NULL), ST_OK);
    }
    assert_int_equal(bloom_builder_finish(&b, &out, NULL), ST_OK);
    assert_int_equal(out.size, 87);
    assert_memory_equal(out.data, file + 4, 87);
    bloom_builder_release(&b);
    dynbuf_release(&out);
}

static uint64_t number_hash(uint64_t v)
{
    return bloom_hash(&v, sizeof v);
}

/* Segments of 100 rows: values 3 * segment ... + 2; segments 4 to 6 are empty and share a filter. */
static void build(struct dynbuf *out)
{
    struct bloom_builder b;
    bloom_builder_init(&b, NULL, 100, 0.01);
    for (uint64_t row = 0; row < 950; row++) {
        uint64_t s = row / 100;
        if (s < 4 || s > 6)
            assert_int_equal(bloom_builder_add(&b, number_hash(3 * s + row % 3), NULL), ST_OK);
        assert_int_equal(bloom_builder_advance(&b, 1, NULL), ST_OK);
    }
    assert_int_equal(bloom_builder_finish(&b, out, NULL), ST_OK);
    bloom_builder_release(&b);
}

static void test_segments(void **state)
{
    struct dynbuf out;
    struct arena a;
    struct bloom_index x;
    struct buffer *scratch = NULL;
    (void)state;
    dynbuf_init(&out, 1 << 20);
    arena_init(&a, NULL);
    build(&out);
    struct puffin_source blob = {read_bytes, &out, 0, out.size};
    assert_int_equal(bloom_index_open(&blob, &a, &x, NULL), ST_OK);
    assert_int_equal(x.n_segments, 10);
    assert_int_equal(x.n_filters, 8);
    assert_int_equal(x.n_rows, 950);
    int wrong = 0;
    for (uint32_t s = 0; s < x.n_segments; s++)
        for (uint64_t v = 0; v < 40; v++) {
            bool any, there = v / 3 == s && (s < 4 || s > 6);
            uint64_t hash = number_hash(v);
            assert_int_equal(bloom_index_test(&blob, &x, s, &(struct bloom_probe){&hash, 1}, 1, NULL, &scratch, &any, NULL), ST_OK);
            if (there)
                assert_true(any);
            wrong += any && !there;
        }
    assert_true(wrong < 20);
    buffer_unref(scratch);
    arena_release(&a);
    dynbuf_release(&out);
}

static void test_damage(void **state)
{
    struct dynbuf whole;
    (void)state;
    dynbuf_init(&whole, 1 << 20);
    build(&whole);
    for (size_t i = 0; i < whole.size; i++) {
        for (int cut = 0; cut < 2; cut++) {
            struct dynbuf b;
            struct arena a;
            struct bloom_index x;
            struct buffer *scratch = NULL;
            uint64_t hash = 7;
            bool any;
            dynbuf_init(&b, 1 << 20);
            assert_int_equal(dynbuf_append(&b, whole.data, cut ? i : whole.size, NULL), ST_OK);
            if (!cut)
                b.data[i] ^= 0x83;
            arena_init(&a, NULL);
            struct puffin_source blob = {read_bytes, &b, 0, b.size};
            if (bloom_index_open(&blob, &a, &x, NULL) == ST_OK)
                for (uint32_t s = 0; s < x.n_segments; s++)
                    assert_int_equal(bloom_index_test(&blob, &x, s, &(struct bloom_probe){&hash, 1}, 1, NULL, &scratch, &any, NULL), ST_OK);
            buffer_unref(scratch);
            arena_release(&a);
            dynbuf_release(&b);
        }
    }
    dynbuf_release(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plan), cmocka_unit_test(test_golden), cmocka_unit_test(test_segments),
                                       cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
