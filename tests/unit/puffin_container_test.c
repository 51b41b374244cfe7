/* Puffin files: the peer's are read, rewritten to the same bytes, and damaged ones refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/puffin/puffin.h"

struct bytes {
    uint8_t data[8192];
    size_t size;
};

static int read_bytes(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    const struct bytes *b = ctx;
    (void)err;
    assert_true(offset <= b->size && size <= b->size - offset);
    memcpy(data, b->data + offset, size);
    return ST_OK;
}

static struct bytes load(const char *path)
{
    static struct bytes b;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    b.size = fread(b.data, 1, sizeof b.data, f);
    fclose(f);
    return b;
}

static int append(void *ctx, const void *data, size_t size, struct error *err)
{
    return dynbuf_append(ctx, data, size, err);
}

static void rewrite(const char *path, uint32_t n_blobs)
{
    struct bytes b = load(path);
    struct puffin_source s = {read_bytes, &b, 0, b.size}, blob;
    struct puffin_file f;
    struct puffin_writer w;
    struct arena a;
    struct dynbuf out;
    arena_init(&a, NULL);
    dynbuf_init(&out, 1 << 20);
    assert_int_equal(puffin_open(&s, &a, &f, NULL), ST_OK);
    assert_int_equal(f.n_blobs, n_blobs);
    puffin_writer_init(&w, append, &out);
    for (uint32_t i = 0; i < f.n_blobs; i++) {
        uint8_t data[8192];
        assert_int_equal(puffin_blob_source(&s, &f.blobs[i], &blob, NULL), ST_OK);
        assert_int_equal(puffin_read(&blob, 0, data, blob.size_bytes, NULL), ST_OK);
        assert_int_equal(puffin_add_blob(&w, f.blobs[i].type, f.blobs[i].properties, f.blobs[i].n_properties, data, blob.size_bytes, NULL), ST_OK);
    }
    assert_int_equal(puffin_writer_finish(&w, NULL), ST_OK);
    assert_int_equal(out.size, b.size);
    assert_int_equal(w.bytes, b.size);
    assert_memory_equal(out.data, b.data, b.size);
    puffin_writer_release(&w);
    dynbuf_release(&out);
    arena_release(&a);
}

static void test_rewrite(void **state)
{
    (void)state;
    rewrite(TEST_DATA "/puffin/table_id.puffin", 1);
    rewrite(TEST_DATA "/puffin/g_index.puffin", 3);
}

static void test_properties(void **state)
{
    (void)state;
    struct bytes b = load(TEST_DATA "/puffin/g_index.puffin");
    struct puffin_source s = {read_bytes, &b, 0, b.size};
    struct puffin_file f;
    struct arena a;
    arena_init(&a, NULL);
    assert_int_equal(puffin_open(&s, &a, &f, NULL), ST_OK);
    const struct puffin_blob *blob = puffin_find(&f, "greptime-fulltext-index-bloom-4");
    assert_non_null(blob);
    assert_string_equal(puffin_property(blob, "fulltext_config"), "{\"analyzer\":\"English\",\"case_sensitive\":false}");
    assert_null(puffin_property(blob, "other"));
    assert_null(puffin_find(&f, "greptime-bloom-filter-v1-4"));
    arena_release(&a);
}

/* Whatever is cut off or overwritten: an error or a list whose blobs lie inside, never more. */
static void test_damage(void **state)
{
    (void)state;
    const struct bytes whole = load(TEST_DATA "/puffin/table_id.puffin");
    for (size_t i = 0; i < 2 * whole.size; i++) {
        struct bytes b = whole;
        if (i < whole.size)
            b.size = i;
        else
            b.data[i - whole.size] ^= 0x5a;
        struct puffin_source s = {read_bytes, &b, 0, b.size};
        struct puffin_file f;
        struct arena a;
        arena_init(&a, NULL);
        int st = puffin_open(&s, &a, &f, NULL);
        assert_true(st == ST_OK || st == ST_CORRUPT || st == ST_UNSUPPORTED);
        if (i < whole.size)
            assert_int_not_equal(st, ST_OK);
        for (uint32_t k = 0; st == ST_OK && k < f.n_blobs; k++)
            assert_true(f.blobs[k].offset + f.blobs[k].length <= b.size);
        arena_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rewrite), cmocka_unit_test(test_properties), cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
