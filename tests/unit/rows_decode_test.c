/* Row writes: every type on the wire, NULL rules, defaults, columns out of order, missing and unknown, tags put together, deletes, and Arrow batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "format/key/key.h"
#include "format/rows/rows.h"
#include "row_samples.h"

/* A Rows message under construction: "name datatype semantic" columns, then rows of values given as C strings with lengths. */
struct message { uint8_t bytes[4096]; size_t size; uint8_t row[1024]; size_t row_size; };

static void put(uint8_t *to, size_t *size, uint8_t tag, const void *data, size_t n)
{
    assert_true(n < 128);
    to[(*size)++] = tag;
    to[(*size)++] = (uint8_t)n;
    memcpy(to + *size, data, n);
    *size += n;
}

static void column(struct message *m, const char *name, uint8_t datatype, uint8_t semantic, const char *extension)
{
    uint8_t c[128];
    size_t n = 0;
    put(c, &n, 0x0a, name, strlen(name));
    c[n++] = 0x10, c[n++] = datatype, c[n++] = 0x18, c[n++] = semantic;
    if (extension)
        put(c, &n, 0x22, extension, strlen(extension));
    put(m->bytes, &m->size, 0x0a, c, n);
}

#define VALUE(m, text) put((m)->row, &(m)->row_size, 0x0a, text, sizeof text - 1)

static void row(struct message *m)
{
    put(m->bytes, &m->size, 0x12, m->row, m->row_size);
    m->row_size = 0;
}

static int decode(const struct message *m, unsigned sample, bool is_delete, struct row_write *w, struct error *err)
{
    struct region_metadata *meta;
    assert_int_equal(row_sample(sample, &meta, err), ST_OK);
    int st = row_write_decode(m->bytes, m->size, meta, is_delete, NULL, w, err);
    region_metadata_unref(meta);
    return st;
}

static const struct { const char *name; uint8_t type; const char *extension; const char *value; size_t size; const char *want; size_t want_size; } kinds[] = {
#define K(name, type, ext, value, want) {name, type, ext, value, sizeof value - 1, want, sizeof want - 1}
    K("b", 0, NULL, "\x58\x01", "\1"), K("i8", 1, NULL, "\x08\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\xfb"), K("i16", 2, NULL, "\x10\x81\x02", "\1\1"),
    K("i32", 3, NULL, "\x18\x85\x80\x00", "\5\0\0\0"), K("i64", 4, NULL, "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\xff\xff\xff\xff\xff\xff\xff\xff"),
    K("i64", 4, NULL, "\x20\x7f", "\x7f\0\0\0\0\0\0\0"), K("i64", 4, NULL, "\x20\x80\x01", "\x80\0\0\0\0\0\0\0"), K("u64", 8, NULL, "\x40\0", "\0\0\0\0\0\0\0\0"),
    K("u8", 5, NULL, "\x28\xff\x01", "\xff"), K("u16", 6, NULL, "\x30\x07", "\7\0"), K("u32", 7, NULL, "\x38\x07", "\7\0\0\0"),
    K("u64", 8, NULL, "\x40\x80\x01", "\x80\0\0\0\0\0\0\0"), K("f32", 9, NULL, "\x4d\0\0\x80\x3f", "\0\0\x80\x3f"),
    K("f64", 10, NULL, "\x51\0\0\0\0\0\0\xf0\x3f", "\0\0\0\0\0\0\xf0\x3f"), K("bin", 11, NULL, "\x62\2\0\xff", "\0\xff"), K("str", 12, NULL, "\x6a\2hi", "hi"),
    K("str", 12, NULL, "\x6a\x82\0hi", "hi"), K("str", 12, NULL, "\x6a\0", ""), K("date", 13, NULL, "\x70\x03", "\3\0\0\0"), K("us", 14, NULL, "\x78\x03", "\3\0\0\0\0\0\0\0"), K("us", 17, NULL, "\x90\1\3", "\3\0\0\0\0\0\0\0"),
    K("time", 19, NULL, "\xa0\1\3", "\3\0\0\0"), K("ns", 22, NULL, "\xb8\1\3", "\3\0\0\0\0\0\0\0"), K("ym", 23, NULL, "\xc0\1\3", "\3\0\0\0"),
    K("dt", 24, NULL, "\xc8\1\x85\x80\x80\x80\x10", "\1\0\0\0\5\0\0\0"), K("mdn", 25, NULL, "\xd2\1\6\x08\1\x10\2\x18\3", "\1\0\0\0\2\0\0\0\3\0\0\0\0\0\0\0"),
    K("dec", 30, "\x0a\4\x08\x0a\x10\2", "\xfa\1\4\x08\1\x10\2", "\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"), K("j", 11, NULL, "\x62\1x", "x"),
    K("v", 32, NULL, "\x62\x08" "12345678", "12345678")};

static void types(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct message m = {.size = 0};
        struct row_write w;
        struct error err = {0};
        column(&m, "ts", 16, 2, NULL);
        column(&m, kinds[i].name, kinds[i].type, 1, kinds[i].extension);
        VALUE(&m, "\x88\1\x05");
        put(m.row, &m.row_size, 0x0a, kinds[i].value, kinds[i].size);
        row(&m);
        VALUE(&m, "\x88\1\x06");
        VALUE(&m, "");
        row(&m);
        if (decode(&m, SAMPLE_TYPES, false, &w, &err) != ST_OK)
            fail_msg("%s: %s", kinds[i].name, err.msg);
        int index = region_metadata_find(w.metadata, kinds[i].name, strlen(kinds[i].name));
        const struct column *c = w.columns[index];
        assert_int_equal(w.n_rows, 2);
        assert_int_equal(w.time_min, 5);
        assert_int_equal(w.time_max, 6);
        assert_false(column_is_null(c, 0));
        assert_true(column_is_null(c, 1));
        assert_int_equal(column_null_count(c), 1);
        if (type_is_varlen(c->type)) {
            int32_t n;
            const uint8_t *bytes = column_bytes(c, 0, &n);
            assert_int_equal(n, kinds[i].want_size);
            assert_memory_equal(bytes, kinds[i].want, n);
        } else {
            assert_memory_equal(c->buffers[0]->data, kinds[i].want, kinds[i].want_size);
        }
        row_write_release(&w);
        for (size_t cut = 0; cut < m.size; cut++) { /* every truncation is refused or decodes to fewer rows */
            struct message shorter = m;
            shorter.size = cut;
            if (decode(&shorter, SAMPLE_TYPES, false, &w, &err) == ST_OK) {
                assert_true(w.n_rows < 2);
                row_write_release(&w);
            }
        }
    }
}

static void nested(void **state)
{
    struct message m = {.size = 0};
    struct row_write w;
    struct error err = {0};
    (void)state;
    column(&m, "ts", 16, 2, NULL);
    column(&m, "nj", 31, 1, NULL);
    column(&m, "l", 40, 1, NULL);
    column(&m, "st", 41, 1, NULL);
    VALUE(&m, "\x88\1\x05");
    VALUE(&m, "\xd2\2\x14\x3a\x12" "\x0a\7\x0a\1a\x12\2\x10\x09" "\x0a\7\x0a\1c\x12\2\x08\1");
    VALUE(&m, "\xc2\2\x08\x0a\2\x18\1\x0a\0\x0a\0");
    VALUE(&m, "\xca\2\x09\x12\2\x20\7\x12\3\x6a\1z");
    row(&m);
    if (decode(&m, SAMPLE_TYPES, false, &w, &err) != ST_OK)
        fail_msg("%s", err.msg);
    struct column *nj = w.columns[region_metadata_find(w.metadata, "nj", 2)], *l = w.columns[region_metadata_find(w.metadata, "l", 1)],
                  *s = w.columns[region_metadata_find(w.metadata, "st", 2)];
    assert_int_equal(COLUMN_VALUES(nj->children[0], int64_t)[0], 9);
    assert_true(column_is_null(nj->children[1], 0));
    assert_int_equal(l->children[0]->length, 3);
    assert_int_equal(column_null_count(l->children[0]), 2);
    assert_int_equal(COLUMN_VALUES(s->children[0], int64_t)[0], 7);
    row_write_release(&w);
}

/* Columns of a one-row write to SAMPLE_RULES, "kdtmcsn" picks which are there; an upper-case letter gives NULL. */
static int rules(const char *which, bool is_delete, struct row_write *w, struct error *err)
{
    struct message m = {.size = 0};
    for (const char *p = which; *p; p++)
        switch (*p | 0x20) {
        case 'k': column(&m, "k", 12, 0, NULL); if (*p == 'k') VALUE(&m, "\x6a\1K"); else VALUE(&m, ""); break;
        case 'd': column(&m, "d", 12, 0, NULL); if (*p == 'd') VALUE(&m, "\x6a\1D"); else VALUE(&m, ""); break;
        case 't': column(&m, "ts", 16, 2, NULL); if (*p == 't') VALUE(&m, "\x88\1\x05"); else VALUE(&m, ""); break;
        case 'm': column(&m, "must", 4, 1, NULL); if (*p == 'm') VALUE(&m, "\x20\1"); else VALUE(&m, ""); break;
        case 'n': column(&m, "now", 16, 1, NULL); if (*p == 'n') VALUE(&m, "\x88\1\x05"); else VALUE(&m, ""); break;
        case 'x': column(&m, "x", 4, 1, NULL); VALUE(&m, "\x20\1"); break;
        case 'w': column(&m, "must", 3, 1, NULL); VALUE(&m, "\x18\1"); break;
        case 'f': column(&m, "must", 4, 0, NULL); VALUE(&m, "\x20\1"); break;
        case 'o': column(&m, "must", 4, 1, NULL); VALUE(&m, "\x18\1"); break;
        case 'u': column(&m, "k", 12, 0, NULL); VALUE(&m, "\x6a\2\xff\xfe"); break;
        case '-': column(&m, "now", 16, 1, NULL); break;
        case '+': VALUE(&m, ""); break;
        }
    row(&m);
    *err = (struct error){0};
    static struct message kept; /* the spans point into it */
    kept = m;
    return decode(&kept, SAMPLE_RULES, is_delete, w, err);
}

static void check_key(const struct row_write *w, const char *first, const char *second)
{
    struct dynbuf got, want;
    dynbuf_init(&got, 1000);
    dynbuf_init(&want, 1000);
    assert_int_equal(row_write_encode_key(w, w->spans[0], &got, NULL), ST_OK);
    key_append_string(&want, first, strlen(first), NULL);
    if (second)
        key_append_string(&want, second, strlen(second), NULL);
    else
        key_append_null(&want, NULL);
    assert_int_equal(got.size, want.size);
    assert_memory_equal(got.data, want.data, want.size);
    dynbuf_release(&got);
    dynbuf_release(&want);
}

static void put_rules(void **state)
{
    static const struct { const char *which; int status; const char *key2; } cases[] = {{"kdtmn", ST_OK, "D"}, {"dtkmn", ST_OK, "D"}, {"nmtdk", ST_OK, "D"},
        {"ktmn", ST_OK, "dflt"}, {"ktmN", ST_OK, "dflt"}, {"kDtmn", ST_OK, NULL}, {"kdtmnx", ST_INVALID_ARGUMENTS, 0}, {"kdtmnm", ST_INVALID_ARGUMENTS, 0},
        {"kdtmnk", ST_INVALID_ARGUMENTS, 0}, {"kdtn", ST_INVALID_ARGUMENTS, 0}, {"kdtMn", ST_INVALID_ARGUMENTS, 0}, {"kdTmn", ST_INVALID_ARGUMENTS, 0},
        {"dtmn", ST_INVALID_ARGUMENTS, 0}, {"kdmn", ST_INVALID_ARGUMENTS, 0}, {"kdtm", ST_UNEXPECTED, 0}, {"kdtwn", ST_INVALID_ARGUMENTS, 0},
        {"kdtfn", ST_INVALID_ARGUMENTS, 0}, {"kdton", ST_INVALID_ARGUMENTS, 0}, {"kdtm-", ST_INVALID_ARGUMENTS, 0}, {"kdtmn+", ST_INVALID_ARGUMENTS, 0}};
    struct row_write w;
    struct error err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int st = rules(cases[i].which, false, &w, &err);
        if (st != cases[i].status || (st != ST_OK && !err.msg[0]))
            fail_msg("%s: %d %s", cases[i].which, st, err.msg);
        if (st != ST_OK)
            continue;
        check_key(&w, "K", cases[i].key2);
        struct column *c = w.columns[region_metadata_find(w.metadata, "c", 1)], *s = w.columns[region_metadata_find(w.metadata, "s", 1)];
        assert_int_equal(COLUMN_VALUES(c, int32_t)[0], 42);
        int32_t n;
        assert_memory_equal(column_bytes(s, 0, &n), "abc", 3);
        assert_null(w.columns[region_metadata_find(w.metadata, "n", 1)]);
        row_write_release(&w);
    }
    struct dynbuf key;
    dynbuf_init(&key, 1000);
    assert_int_equal(rules("Kdtmn", false, &w, &err), ST_OK); /* tags are looked at when the key is made */
    assert_int_equal(row_write_encode_key(&w, w.spans[0], &key, &err), ST_INVALID_ARGUMENTS);
    row_write_release(&w);
    assert_int_equal(rules("udtmn", false, &w, &err), ST_OK);
    assert_int_equal(row_write_encode_key(&w, w.spans[0], &key, &err), ST_INVALID_ARGUMENTS);
    row_write_release(&w);
    dynbuf_release(&key);
}

static size_t put_length(uint8_t *to, size_t n)
{
    to[0] = (uint8_t)(n < 128 ? n : n | 0x80);
    to[1] = (uint8_t)(n >> 7);
    return n < 128 ? 1 : 2;
}

/* Tags whose values' lengths take one byte or two. */
static void long_tags(void **state)
{
    char text[301];
    (void)state;
    for (size_t n = 0; n <= 300; n += n < 118 || n > 132 ? 59 : 1) {
        struct message m = {.size = 0};
        struct row_write w;
        struct error err = {0};
        memset(text, 'x', n);
        text[n] = 0;
        column(&m, "k", 12, 0, NULL);
        column(&m, "d", 12, 0, NULL);
        column(&m, "ts", 16, 2, NULL);
        column(&m, "must", 4, 1, NULL);
        column(&m, "now", 16, 1, NULL);
        uint8_t value[400], *row = m.row;
        value[0] = 0x6a;
        size_t head = 1 + put_length(value + 1, n);
        memcpy(value + head, text, n);
        row[0] = 0x0a;
        m.row_size = 1 + put_length(row + 1, head + n);
        memcpy(row + m.row_size, value, head + n);
        m.row_size += head + n;
        VALUE(&m, "\x6a\1D");
        VALUE(&m, "\x88\1\x05");
        VALUE(&m, "\x20\x2a");
        VALUE(&m, "");
        m.bytes[m.size++] = 0x12;
        m.size += put_length(m.bytes + m.size, m.row_size);
        memcpy(m.bytes + m.size, row, m.row_size);
        m.size += m.row_size;
        if (decode(&m, SAMPLE_RULES, false, &w, &err) != ST_OK)
            fail_msg("%zu: %s", n, err.msg);
        check_key(&w, text, "D");
        assert_int_equal(COLUMN_VALUES(w.columns[region_metadata_find(w.metadata, "must", 4)], int64_t)[0], 42);
        row_write_release(&w);
        m.size--;
        assert_int_equal(decode(&m, SAMPLE_RULES, false, &w, &err), ST_INVALID_ARGUMENTS);
    }
}

static void delete_rules(void **state)
{
    struct row_write w;
    struct error err;
    (void)state;
    assert_int_equal(rules("tkd", true, &w, &err), ST_OK);
    assert_true(w.is_delete);
    check_key(&w, "K", "D");
    assert_int_equal(COLUMN_VALUES(w.columns[region_metadata_find(w.metadata, "must", 4)], int64_t)[0], 0);
    assert_int_equal(COLUMN_VALUES(w.columns[region_metadata_find(w.metadata, "c", 1)], int32_t)[0], 0);
    assert_null(w.columns[region_metadata_find(w.metadata, "s", 1)]);
    row_write_release(&w);
    assert_int_equal(rules("tk", true, &w, &err), ST_INVALID_ARGUMENTS);
    assert_int_equal(rules("kd", true, &w, &err), ST_INVALID_ARGUMENTS);
}

static struct batch *batch_of(struct region_metadata *meta, const char *const *names, uint32_t n)
{
    struct field *fields[8];
    struct column *columns[8];
    struct batch *b;
    for (uint32_t i = 0; i < n; i++) {
        const struct region_column *c = &meta->columns[region_metadata_find(meta, names[i], strlen(names[i]))];
        struct column_builder builder;
        assert_int_equal(column_builder_init(&builder, NULL, c->type, NULL), ST_OK);
        for (int64_t row = 0; row < 3; row++)
            assert_int_equal(type_is_varlen(c->type) ? column_builder_append_bytes(&builder, "K", 1, NULL) : column_builder_append_fixed(&builder, &row, NULL), ST_OK);
        assert_int_equal(column_builder_finish(&builder, &columns[i], NULL), ST_OK);
        column_builder_release(&builder);
        fields[i] = field_new(names[i], c->type, c->nullable);
    }
    struct schema *s = schema_new(fields, n);
    assert_int_equal(batch_new(s, 3, columns, &b, NULL), ST_OK);
    schema_unref(s);
    for (uint32_t i = 0; i < n; i++)
        field_unref(fields[i]);
    return b;
}

/* A default in every row's key may be much more than the rows that came: it is charged. */
static void keys_are_charged(void **state)
{
    enum { DEFAULT_BYTES = 100000 };
    static const char *const names[] = {"k", "ts"};
    static char json[DEFAULT_BYTES + 2000], text[DEFAULT_BYTES + 1];
    struct region_metadata *meta;
    struct row_write w;
    struct error err = {0};
    struct budget budget;
    (void)state;
    memset(text, 'x', DEFAULT_BYTES);
    snprintf(json, sizeof json, RS_META(RS_TAG("k", RS_STRING, "null", "0") "," RS_TAG("d", RS_STRING, "{\"Value\":{\"String\":\"%s\"}}", "1") "," RS_TIME, "0,1"), text);
    assert_int_equal(region_metadata_from_json(json, strlen(json), &meta, &err), ST_OK);
    struct batch *b = batch_of(meta, names, 2);
    budget_init(&budget, "writes", "memory_limit", 2 * DEFAULT_BYTES, NULL);
    assert_int_equal(row_write_from_batch(b, meta, &budget, &w, &err), ST_EXHAUSTED);
    assert_int_equal(budget.used, 0);
    budget_init(&budget, "writes", "memory_limit", 20 * DEFAULT_BYTES, NULL);
    assert_int_equal(row_write_from_batch(b, meta, &budget, &w, &err), ST_OK);
    assert_true(budget.used > 3 * DEFAULT_BYTES);
    row_write_release(&w);
    assert_int_equal(budget.used, 0);
    batch_unref(b);
    region_metadata_unref(meta);
}

static void batches(void **state)
{
    static const char *const names[] = {"now", "must", "ts", "k"};
    struct region_metadata *meta;
    struct row_write w;
    struct error err = {0};
    (void)state;
    assert_int_equal(row_sample(SAMPLE_RULES, &meta, &err), ST_OK);
    struct batch *b = batch_of(meta, names, 4);
    if (row_write_from_batch(b, meta, NULL, &w, &err) != ST_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(w.time_max, 2);
    assert_true(w.spans_are_keys);
    check_key(&w, "K", "dflt");
    assert_int_equal(COLUMN_VALUES(w.columns[region_metadata_find(meta, "must", 4)], int64_t)[2], 2);
    assert_int_equal(COLUMN_VALUES(w.columns[region_metadata_find(meta, "c", 1)], int32_t)[2], 42);
    row_write_release(&w);
    batch_unref(b);
    b = batch_of(meta, names, 3);
    assert_int_equal(row_write_from_batch(b, meta, NULL, &w, &err), ST_INVALID_ARGUMENTS);
    batch_unref(b);
    b = batch_of(meta, names + 1, 3);
    assert_int_equal(row_write_from_batch(b, meta, NULL, &w, &err), ST_UNEXPECTED);
    batch_unref(b);
    /* Dictionaries are as good as plain columns, the time index included. */
    struct batch *plain = batch_of(meta, names, 4);
    struct field *fields[4];
    struct column *columns[4];
    for (uint32_t i = 0; i < 4; i++) {
        struct dtype *type = type_dictionary(TYPE_UINT32, plain->columns[i]->type);
        struct buffer *codes;
        assert_int_equal(buffer_new(NULL, 12, &codes, NULL), ST_OK);
        for (uint32_t row = 0; row < 3; row++)
            ((uint32_t *)(void *)codes->data)[row] = 2 - row;
        struct column *child = column_ref(plain->columns[i]);
        assert_int_equal(column_new_nested(type, 3, 0, NULL, codes, &child, 1, &columns[i], NULL), ST_OK);
        fields[i] = field_new(names[i], type, true);
        type_unref(type);
    }
    struct schema *schema = schema_new(fields, 4);
    assert_int_equal(batch_new(schema, 3, columns, &b, NULL), ST_OK);
    if (row_write_from_batch(b, meta, NULL, &w, &err) != ST_OK)
        fail_msg("%s", err.msg);
    for (int64_t row = 0; row < 3; row++) {
        assert_int_equal(((const int64_t *)(const void *)w.times->data)[row], 2 - row);
        assert_int_equal(COLUMN_VALUES(w.columns[region_metadata_find(meta, "must", 4)], int64_t)[row], 2 - row);
    }
    check_key(&w, "K", "dflt");
    row_write_release(&w);
    batch_unref(b);
    batch_unref(plain);
    schema_unref(schema);
    for (uint32_t i = 0; i < 4; i++)
        field_unref(fields[i]);
    region_metadata_unref(meta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(types), cmocka_unit_test(nested), cmocka_unit_test(put_rules), cmocka_unit_test(long_tags),
                                       cmocka_unit_test(delete_rules),
                                       cmocka_unit_test(batches), cmocka_unit_test(keys_are_charged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
