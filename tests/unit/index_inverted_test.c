/* Inverted indexes: the map format against known bytes, against a plain search, and the bitmaps; damaged blobs refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "format/index/inverted.h"
#include "format/index/roaring.h"
#include "blob_bytes.h"

static void test_known_maps(void **state)
{
    static const uint8_t one[] = {3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0x11, 0x85, 1, 0, 0, 0, 0, 0, 0, 0, 0x13, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x83, 0x17, 0x1e};
    static const uint8_t none[] = {3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0, 0, 0, 0, 0, 0, 0, 0x54, 0x6b, 0x2d, 0x0f};
    struct fst_builder *b;
    struct dynbuf out;
    (void)state;
    dynbuf_init(&out, 1 << 20);
    assert_int_equal(fst_builder_new(NULL, &b, NULL), ST_OK);
    assert_int_equal(fst_builder_finish(b, &out, NULL), ST_OK);
    assert_int_equal(out.size, sizeof none);
    assert_memory_equal(out.data, none, sizeof none);
    fst_builder_free(b);
    dynbuf_clear(&out);
    assert_int_equal(fst_builder_new(NULL, &b, NULL), ST_OK);
    assert_int_equal(fst_builder_add(b, (const uint8_t *)"a", 1, 5, NULL), ST_OK);
    assert_int_equal(fst_builder_finish(b, &out, NULL), ST_OK);
    assert_int_equal(out.size, sizeof one);
    assert_memory_equal(out.data, one, sizeof one);
    fst_builder_free(b);
    dynbuf_release(&out);
}

/* The column `code` of a datanode's file: 200, 404 and 500 in each of three segments. */
static void test_golden(void **state)
{
    struct dynbuf blob, description, file;
    struct inverted_builder b;
    struct arena a;
    struct inverted_index x;
    uint8_t data[8192];
    (void)state;
    FILE *f = fopen(TEST_DATA "/puffin/g_index.puffin", "rb");
    assert_non_null(f);
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    dynbuf_init(&blob, 1 << 20);
    dynbuf_init(&description, 1 << 20);
    dynbuf_init(&file, 1 << 20);
    arena_init(&a, NULL);
    assert_int_equal(dynbuf_append(&file, data, n, NULL), ST_OK);
    struct puffin_source s = {read_bytes, &file, 4, 620};
    assert_int_equal(inverted_index_open(&s, &a, &x, NULL), ST_OK);
    const struct inverted_column *c = inverted_index_find(&x, 5);
    assert_non_null(c);
    inverted_builder_init(&b, NULL, 1024);
    for (int i = 0; i < 3000; i++) {
        const uint16_t codes[] = {500, 200, 404};
        uint8_t value[5] = {1, 0x80, 0, (uint8_t)(codes[i % 3] >> 8), (uint8_t)codes[i % 3]};
        assert_int_equal(inverted_builder_add(&b, value, sizeof value, NULL), ST_OK);
        inverted_builder_advance(&b, 1);
    }
    assert_int_equal(inverted_builder_finish(&b, 5, &blob, &description, NULL), ST_OK);
    assert_int_equal(blob.size, c->n_bytes);
    assert_memory_equal(blob.data, data + 4 + c->base_offset, blob.size);
    inverted_builder_release(&b);
    arena_release(&a);
    dynbuf_release(&blob);
    dynbuf_release(&description);
    dynbuf_release(&file);
}

enum { ROWS = 40000, SEGMENT = 64, SEGMENTS = (ROWS + SEGMENT - 1) / SEGMENT };

/* The value of a row: few and many different ones, prefixes of each other, the empty one, nulls. */
static size_t value_of(int row, char *out)
{
    uint32_t h = (uint32_t)row * 2654435761u >> 7;
    switch (h % 5) {
    case 0: return 0;
    case 1: return (size_t)sprintf(out, "%.*s", (int)(h % 9), "aaaaaaaaa");
    case 2: return (size_t)sprintf(out, "host-%u", h % 37);
    case 3: return (size_t)sprintf(out, "%c%u", (int)(h % 251 + 1), h % 5003);
    default: return (size_t)sprintf(out, "trace/%08x/%u", h, row / 1000);
    }
}
static bool is_null(int row) { return row % 97 == 13; }

static void build(struct dynbuf *blob)
{
    struct inverted_builder b;
    struct dynbuf description;
    char value[64];
    dynbuf_init(&description, 1 << 24);
    inverted_builder_init(&b, NULL, SEGMENT);
    for (int i = 0; i < ROWS; i++) {
        size_t n = value_of(i, value);
        assert_int_equal(inverted_builder_add(&b, is_null(i) ? NULL : value, n, NULL), ST_OK);
        inverted_builder_advance(&b, 1);
    }
    assert_int_equal(inverted_builder_finish(&b, 7, blob, &description, NULL), ST_OK);
    assert_int_equal(inverted_index_end(ROWS, SEGMENT, blob, &description, NULL), ST_OK);
    inverted_builder_release(&b);
    dynbuf_release(&description);
}

static int compare(const char *x, size_t n, const struct fst_bound *b)
{
    int c = memcmp(x, b->data, n < b->size ? n : b->size);
    return c ? c : (n > b->size) - (n < b->size);
}

static bool between(const char *x, size_t n, const struct inverted_range *r)
{
    int low = r->low.data ? compare(x, n, &r->low) : 1, high = r->high.data ? compare(x, n, &r->high) : -1;
    return (low > 0 || (low == 0 && r->low.inclusive)) && (high < 0 || (high == 0 && r->high.inclusive));
}

static bool is_odd(const void *ctx, const uint8_t *value, size_t size)
{
    unsigned sum = (unsigned)*(const int *)ctx;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + value[i];
    return sum & 1;
}

static void test_ranges(void **state)
{
    struct dynbuf blob;
    struct arena a;
    struct inverted_index x;
    (void)state;
    dynbuf_init(&blob, 1 << 26);
    arena_init(&a, NULL);
    build(&blob);
    struct puffin_source s = {read_bytes, &blob, 0, blob.size};
    assert_int_equal(inverted_index_open(&s, &a, &x, NULL), ST_OK);
    assert_int_equal(inverted_index_segments(&x), SEGMENTS);
    const struct inverted_column *c = inverted_index_find(&x, 7);
    assert_non_null(c);
    for (int k = 0; k < 200; k++) {
        char low[64], high[64];
        size_t n = value_of(k * 131, low), m = k % 3 ? value_of(k * 577 + 1, high) : (memcpy(high, low, n), n);
        struct inverted_range r = {{k % 7 == 3 ? NULL : low, n, k % 2 || !(k % 3)},
                                   {k % 7 == 4 ? NULL : high, m, k % 5 || !(k % 3)},
                                   k % 4 == 1 ? is_odd : NULL,
                                   &k};
        uint8_t bits[SEGMENTS / 8 + 1] = {0}, want[SEGMENTS / 8 + 1] = {0};
        assert_int_equal(inverted_index_select(&s, &x, c, &r, 1, bits, NULL, NULL), ST_OK);
        for (int i = 0; i < ROWS; i++) {
            char value[64];
            size_t size = value_of(i, value);
            if (!is_null(i) && between(value, size, &r) && (!r.holds || r.holds(r.ctx, (const uint8_t *)value, size)))
                bit_set(want, i / SEGMENT);
        }
        assert_memory_equal(bits, want, sizeof bits);
    }
    arena_release(&a);
    dynbuf_release(&blob);
}

static void test_roaring(void **state)
{
    static uint32_t numbers[100000];
    static uint8_t bits[100000], want[100000];
    struct dynbuf out;
    (void)state;
    dynbuf_init(&out, 1 << 20);
    for (int dense = 0; dense < 3; dense++) {
        size_t n = 0;
        memset(bits, 0, sizeof bits);
        memset(want, 0, sizeof want);
        for (uint32_t i = 0; i < 400000; i++)
            if (dense == 2 ? i % 5 : dense ? i % 40 == 7 : i == 5 || i == 70000)
                if (n < 100000) {
                    numbers[n++] = i;
                    bit_set(want, i);
                }
        dynbuf_clear(&out);
        assert_int_equal(roaring_write(numbers, n, &out, NULL), ST_OK);
        assert_int_equal(roaring_or(out.data, out.size, bits, 400000, NULL), ST_OK);
        assert_memory_equal(bits, want, sizeof bits);
        assert_int_equal(roaring_or(out.data, out.size, bits, 1000, NULL), ST_CORRUPT);
        assert_int_equal(roaring_or(out.data, out.size - 1, bits, 400000, NULL), ST_CORRUPT);
    }
    /* Runs, which others write: {3, 4, 5, 9}. */
    static const uint8_t runs[] = {0x3b, 0x30, 0, 0, 1, 0, 0, 3, 0, 2, 0, 3, 0, 2, 0, 9, 0, 0, 0};
    memset(bits, 0, sizeof bits);
    assert_int_equal(roaring_or(runs, sizeof runs, bits, 16, NULL), ST_OK);
    assert_int_equal(bits[0], 0x38);
    assert_int_equal(bits[1], 0x02);
    dynbuf_release(&out);
}

/* A byte changed anywhere in the map is noticed; anywhere else it does no harm. */
static void test_damage(void **state)
{
    struct dynbuf blob;
    struct arena a;
    struct inverted_index x;
    struct inverted_range all = {{NULL, 0, false}, {NULL, 0, false}, NULL, NULL};
    static uint8_t bits[SEGMENTS / 8 + 1];
    (void)state;
    dynbuf_init(&blob, 1 << 26);
    arena_init(&a, NULL);
    build(&blob);
    struct puffin_source s = {read_bytes, &blob, 0, blob.size};
    assert_int_equal(inverted_index_open(&s, &a, &x, NULL), ST_OK);
    struct inverted_column c = *inverted_index_find(&x, 7);
    for (size_t i = 0; i < blob.size; i += 1 + blob.size / 300) {
        blob.data[i] ^= 0x21;
        int st = inverted_index_select(&s, &x, &c, &all, 1, bits, NULL, NULL);
        if (i >= c.base_offset + c.fst_offset && i < c.base_offset + c.fst_offset + c.fst_bytes)
            assert_int_equal(st, ST_CORRUPT);
        struct inverted_index y;
        struct arena other;
        arena_init(&other, NULL);
        inverted_index_open(&s, &other, &y, NULL);
        arena_release(&other);
        blob.data[i] ^= 0x21;
    }
    arena_release(&a);
    dynbuf_release(&blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_maps), cmocka_unit_test(test_golden), cmocka_unit_test(test_ranges),
                                       cmocka_unit_test(test_roaring), cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
