/* Primary keys: every example of mito-on-disk.md 4, both ways, and keys cut at every length. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "format/key/key.h"
#include "format/key/sparse.h"

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned v;
    int used;
    for (; sscanf(hex, " %2x%n", &v, &used) == 1; hex += used)
        out[n++] = (uint8_t)v;
    return n;
}

static void check(struct dtype *type, const void *value, size_t size, const char *hex)
{
    uint8_t want[64];
    size_t n = unhex(hex, want), pos = 0;
    struct column_builder b;
    struct column *c, *back;
    struct dynbuf out, again;
    dynbuf_init(&out, 4096);
    dynbuf_init(&again, 4096);
    assert_int_equal(column_builder_init(&b, NULL, type, NULL), ST_OK);
    int st = !value ? column_builder_append_null(&b, NULL) : type_is_varlen(type) ? column_builder_append_bytes(&b, value, size, NULL) : column_builder_append_fixed(&b, value, NULL);
    assert_int_equal(st, ST_OK);
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    assert_int_equal(key_append_value(&out, c, 0, NULL), ST_OK);
    assert_int_equal(out.size, n);
    assert_memory_equal(out.data, want, n);
    for (size_t cut = 0; cut < n; cut++) { /* exact-size copies, so that a sanitizer sees reads past the end */
        uint8_t *part = malloc(cut + 1);
        memcpy(part, want, cut);
        part = realloc(part, cut ? cut : 1);
        pos = 0;
        assert_int_equal(key_decode_value(part, cut, &pos, &b, NULL), ST_CORRUPT);
        assert_int_equal(pos, 0);
        free(part);
    }
    column_builder_release(&b);
    assert_int_equal(column_builder_init(&b, NULL, type, NULL), ST_OK);
    assert_int_equal(key_decode_value(want, n, &pos, &b, NULL), ST_OK);
    assert_int_equal(pos, n);
    pos = 0;
    assert_int_equal(key_skip_value(want, n, &pos, type, NULL), ST_OK);
    assert_int_equal(pos, n);
    assert_int_equal(column_builder_finish(&b, &back, NULL), ST_OK);
    assert_int_equal(key_append_value(&again, back, 0, NULL), ST_OK);
    assert_int_equal(again.size, n);
    assert_memory_equal(again.data, want, n);
    column_builder_release(&b);
    column_unref(c);
    column_unref(back);
    dynbuf_release(&out);
    dynbuf_release(&again);
}

#define FIXED(type, ctype, v, hex) do { ctype v_ = (v); check((type), &v_, sizeof v_, (hex)); } while (0)

static void examples(void **state)
{
    struct dtype *text = type_of(TYPE_UTF8), *bytes = type_of(TYPE_BINARY), *dec = type_decimal(TYPE_DECIMAL128, 10, 2),
                 *big = type_decimal(TYPE_DECIMAL128, 38, -3);
    (void)state;
    FIXED(type_of(TYPE_INT32), int32_t, -2, "01 7f ff ff fe");
    FIXED(type_of(TYPE_UINT32), uint32_t, 1025, "01 00 00 04 01");
    FIXED(type_of(TYPE_INT64), int64_t, 128, "01 80 00 00 00 00 00 00 80");
    FIXED(type_of(TYPE_FLOAT32), float, 1.0f, "01 bf 80 00 00");
    FIXED(type_of(TYPE_FLOAT32), float, -1.0f, "01 40 7f ff ff");
    check(text, "", 0, "01 00");
    check(text, "abc", 3, "01 01 61 62 63 00 00 00 00 00 03");
    check(text, "abcdefgh", 8, "01 01 61 62 63 64 65 66 67 68 08");
    check(text, "abcdefghi", 9, "01 01 61 62 63 64 65 66 67 68 09 69 00 00 00 00 00 00 00 01");
    check(bytes, "hi", 2, "01 01 68 01 69 00");
    check(bytes, "", 0, "01 00");
    FIXED(type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), int64_t, 42, "01 80 00 00 00 00 00 00 2a");
    FIXED(type_temporal(TYPE_DURATION, UNIT_MILLI), int64_t, 44, "01 80 00 00 00 00 00 00 2c 01");
    FIXED(type_of(TYPE_DATE32), int32_t, 19000, "01 80 00 4a 38");
    FIXED(dec, __int128, 1234, "01 80 00 00 00 00 00 00 00 00 00 00 00 00 00 04 d2 0a 82");
    FIXED(big, __int128, -1, "01 7f ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff 26 7d");
    FIXED(type_of(TYPE_FLOAT64), double, -NAN, "01 ff f8 00 00 00 00 00 00");
    FIXED(type_of(TYPE_FLOAT64), double, -0.0, "01 80 00 00 00 00 00 00 00");
    check(type_of(TYPE_INT64), NULL, 0, "00");
    type_unref(dec);
    type_unref(big);
}

static void sparse(void **state)
{
    uint8_t key[128];
    size_t n = unhex("80 00 00 04 01 00 00 04 0c 80 00 00 03 01 04 8d a7 03 92 63 cf 1e 00 00 00 04 01 01 32 30 30 00 00 00 00 00 03"
                     "00 00 00 02 01 01 69 32 00 00 00 00 00 00 02 00 00 00 03 01 01 6a 6f 62 31 00 00 00 00 04", key);
    uint32_t table;
    uint64_t tsid;
    bool found;
    struct dynbuf out;
    (void)state;
    dynbuf_init(&out, 64);
    assert_int_equal(key_sparse_prefix(key, n, &table, &tsid, NULL), ST_OK);
    assert_int_equal(table, 1036);
    assert_true(tsid == 0x048da7039263cf1eu);
    assert_int_equal(key_sparse_label(key, n, 3, &out, &found, NULL), ST_OK);
    assert_true(found && out.size == 4 && memcmp(out.data, "job1", 4) == 0);
    assert_int_equal(key_sparse_label(key, n, 9, &out, &found, NULL), ST_OK);
    assert_false(found);
    assert_int_equal(key_sparse_label(key, n - 1, 9, &out, &found, NULL), ST_CORRUPT);
    assert_int_equal(key_sparse_prefix(key, 21, &table, &tsid, NULL), ST_CORRUPT);
    dynbuf_release(&out);
}

static struct key_label label(uint32_t id, const char *name, const char *value)
{
    return (struct key_label){id, name, strlen(name), (const uint8_t *)value, strlen(value)};
}

#define TSID(...) key_tsid((const struct key_label[]){__VA_ARGS__}, sizeof((const struct key_label[]){__VA_ARGS__}) / sizeof(struct key_label))

/* metric-engine.md 8.5 and rows of a real cluster. */
static void tsids(void **state)
{
    (void)state;
    assert_true(TSID(label(2, "host", "127.0.0.1"), label(1, "namespace", "greptimedb")) == 2721566936019240841u);
    assert_true(TSID(label(1, "job", "tag_0")) == 2955007454552897459u);
    assert_true(TSID(label(1, "a", "A"), label(2, "b", "B")) == 389993161530827604u);
    assert_true(TSID(label(1, "a", "A"), label(2, "c", "C")) == 17115505648791394694u);
    assert_true(TSID(label(1, "a", "")) == 7451932209818078817u);
    assert_true(TSID(label(1, "a", "12345678")) == 11214225022440443873u);
    assert_true(TSID(label(1, "a", "123456789abcd")) == 9310616465184725070u);
    assert_true(key_tsid(NULL, 0) == 0);
    assert_true(TSID(label(3, "job", "job1")) == 0x56b6cf9dd07f3091u);
    assert_true(TSID(label(2, "instance", "i2"), label(3, "job", "job0")) == 0x243b13c12c517911u);
    assert_true(TSID(label(4, "code", "200"), label(2, "instance", "i2"), label(3, "job", "job1")) == 0x048da7039263cf1eu);
}

static int count_label(void *ctx, uint32_t column_id, struct error *err)
{
    (void)column_id;
    (void)err;
    ++*(int *)ctx;
    return ST_OK;
}

/* Labels to key bytes and back. */
static void sparse_both_ways(void **state)
{
    const struct key_label labels[] = {label(2, "host", "127.0.0.1"), label(7, "none", ""), label(1, "namespace", "greptimedb")};
    const struct key_label two[] = {labels[0], labels[2]};
    const struct { uint32_t id; const char *text; } wants[] = {{2, "127.0.0.1"}, {7, ""}, {1, "greptimedb"}, {5, NULL}};
    uint8_t want[128];
    struct column_builder b;
    struct column *c;
    struct dynbuf key, scratch;
    int n_labels = 0;
    (void)state;
    dynbuf_init(&key, 1024);
    dynbuf_init(&scratch, 1024);
    size_t n = unhex("80 00 00 04 01 00 00 04 01 80 00 00 03 01 25 c4 f2 b5 75 e0 07 89 00 00 00 02 01 01 31 32 37 2e 30 2e 30 2e 09 31 00 00 00 00 00 00 00 01"
                     "00 00 00 01 01 01 67 72 65 70 74 69 6d 65 09 64 62 00 00 00 00 00 00 02", want);
    assert_int_equal(key_sparse_append(&key, 1025, two, 2, NULL), ST_OK);
    assert_int_equal(key.size, n);
    assert_memory_equal(key.data, want, n);
    dynbuf_clear(&key);
    assert_int_equal(key_sparse_append(&key, 9, labels, 3, NULL), ST_OK);
    assert_int_equal(key_sparse_check(key.data, key.size, count_label, &n_labels, NULL), ST_OK);
    assert_int_equal(n_labels, 3);
    for (size_t cut = 1; cut < key.size; cut++) { /* a cut key is either damaged or has fewer labels */
        n_labels = 0;
        if (key_sparse_check(key.data, key.size - cut, count_label, &n_labels, NULL) == ST_OK)
            assert_in_range(n_labels, 0, 2);
    }
    assert_int_equal(column_builder_init(&b, NULL, type_of(TYPE_UTF8), NULL), ST_OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(key_sparse_decode(key.data, key.size, wants[i].id, &scratch, &b, NULL), ST_OK);
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    for (size_t i = 0; i < 4; i++) {
        int32_t size = 0;
        const uint8_t *text = wants[i].text ? column_bytes(c, (int64_t)i, &size) : NULL;
        assert_int_equal(column_is_null(c, (int64_t)i), !wants[i].text);
        if (wants[i].text)
            assert_true((size_t)size == strlen(wants[i].text) && memcmp(text, wants[i].text, (size_t)size) == 0);
    }
    column_unref(c);
    column_builder_release(&b);
    assert_int_equal(column_builder_init(&b, NULL, type_of(TYPE_UINT64), NULL), ST_OK);
    assert_int_equal(key_sparse_decode(key.data, key.size, KEY_COLUMN_TSID, &scratch, &b, NULL), ST_OK);
    assert_int_equal(key_sparse_decode(key.data, key.size, KEY_COLUMN_TABLE_ID, &scratch, &b, NULL), ST_CORRUPT);
    column_builder_release(&b);
    dynbuf_release(&key);
    dynbuf_release(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples), cmocka_unit_test(sparse), cmocka_unit_test(tsids),
                                       cmocka_unit_test(sparse_both_ways)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
