/* Rows of logical tables: decoded against their data region, keyed, and written down for the log in a form that decodes to the same rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/proto/wire.h"
#include "format/rows/rows.h"
#include "row_samples.h"

#define COLUMNS(value_nullable)                                                                                                                    \
    RS_TIME "," RS_COLUMN("val", "{\"Float64\":{}}", value_nullable, "null", "Field", "1") ","                                                          \
        RS_COLUMN("__table_id", "{\"UInt32\":{}}", "false", "null", "Tag", "2147483652") ","                                                            \
        RS_COLUMN("__tsid", "{\"UInt64\":{}}", "false", "null", "Tag", "2147483651") "," RS_TAG("namespace", RS_STRING, "null", "7") ","                 \
        RS_TAG("host", RS_STRING, "null", "2")
#define KEY "2147483652,2147483651,7,2"

static struct region_metadata *data_region(bool sparse, bool value_nullable)
{
    const char *nullable = RS_META(COLUMNS("true"), KEY), *not_null = RS_META(COLUMNS("false"), KEY);
    const char *given = value_nullable ? nullable : not_null, *dense = strstr(given, "\"dense\"");
    char text[4096];
    struct region_metadata *m;
    assert_non_null(dense);
    snprintf(text, sizeof text, "%.*s\"%s\"%s", (int)(dense - given), given, sparse ? "sparse" : "dense", dense + 7);
    assert_int_equal(region_metadata_from_json(text, strlen(text), &m, NULL), ST_OK);
    return m;
}

/* ---- requests ---- */

static void put_schema(struct dynbuf *rows, const char *name, unsigned type, unsigned semantic)
{
    struct dynbuf c;
    dynbuf_init(&c, 256);
    pb_put_string(&c, 1, name, NULL);
    pb_put_uint(&c, 2, type, NULL);
    pb_put_uint(&c, 3, semantic, NULL);
    pb_put_bytes(rows, 1, c.data, c.size, NULL);
    dynbuf_release(&c);
}

static void put_number(struct dynbuf *row, unsigned member, uint64_t v)
{
    struct dynbuf c;
    dynbuf_init(&c, 64);
    pb_put_uint(&c, member, v, NULL);
    pb_put_bytes(row, 1, c.data, c.size, NULL);
    dynbuf_release(&c);
}

static void put_double(struct dynbuf *row, double v)
{
    struct dynbuf c;
    uint64_t bits;
    memcpy(&bits, &v, 8);
    dynbuf_init(&c, 64);
    pb_put_fixed64(&c, 10, bits, NULL);
    pb_put_bytes(row, 1, c.data, c.size, NULL);
    dynbuf_release(&c);
}

static void put_text(struct dynbuf *row, const char *text)
{
    struct dynbuf c;
    dynbuf_init(&c, 4096);
    if (text)
        pb_put_string(&c, 13, text, NULL);
    pb_put_bytes(row, 1, c.data, c.size, NULL);
    dynbuf_release(&c);
}

/* A row (host, ts, val, namespace) or, adjacent, (ts, val, host, namespace). */
static void put_row(struct dynbuf *rows, bool adjacent, const char *host, int64_t time, double value, const char *namespace)
{
    struct dynbuf row;
    dynbuf_init(&row, 1 << 16);
    if (!adjacent)
        put_text(&row, host);
    put_number(&row, 17, (uint64_t)time);
    put_double(&row, value);
    if (adjacent)
        put_text(&row, host);
    put_text(&row, namespace);
    pb_put_bytes(rows, 2, row.data, row.size, NULL);
    dynbuf_release(&row);
}

static void begin(struct dynbuf *rows, bool adjacent)
{
    dynbuf_init(rows, 1 << 20);
    if (!adjacent)
        put_schema(rows, "host", 12, 0);
    put_schema(rows, "ts", 16, 2);
    put_schema(rows, "val", 10, 1);
    if (adjacent)
        put_schema(rows, "host", 12, 0);
    put_schema(rows, "namespace", 12, 0);
}

static struct label_rows table_of(uint32_t id, const struct dynbuf *rows)
{
    return (struct label_rows){id, rows->data, rows->size};
}

/* Keys of all rows, to be released as one. */
static void keys_of(struct row_write *w, struct dynbuf *bytes, struct key_span *keys)
{
    dynbuf_init(bytes, 1 << 20);
    assert_int_equal(dynbuf_reserve(bytes, 1 << 16, NULL), ST_OK);
    for (uint32_t l = 0; l < w->n_layouts; l++)
        for (int64_t i = w->layouts[l].first_row; i < (l + 1 < w->n_layouts ? w->layouts[l + 1].first_row : w->n_rows); i++) {
            size_t at = bytes->size;
            assert_int_equal(row_write_encode_labels(w, &w->layouts[l], w->spans[i], bytes, NULL), ST_OK);
            keys[i] = (struct key_span){bytes->data + at, (uint32_t)(bytes->size - at)};
            assert_int_equal(row_write_check_key(w->metadata, keys[i], NULL), ST_OK);
        }
}

static bool same_key(struct key_span a, struct key_span b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* ---- tests ---- */

static void keys_and_the_log(bool sparse)
{
    struct region_metadata *m = data_region(sparse, true);
    struct dynbuf first, second, key_bytes, logged;
    struct key_span keys[6];
    struct row_write w, again;
    begin(&first, true);
    begin(&second, false);
    put_row(&first, true, "127.0.0.1", 1000, 1.5, "greptimedb");
    put_row(&first, true, "127.0.0.1", -2000, -0.0, "greptimedb");
    put_row(&first, true, NULL, 3, 2, "");
    put_row(&second, false, "127.0.0.1", 4, 3, "greptimedb");
    put_row(&second, false, NULL, 5, 4, NULL);
    put_row(&second, false, "127.0.0.1", 6, 5, NULL);
    const struct label_rows tables[] = {table_of(1025, &first), table_of(1026, &second)};
    assert_int_equal(row_write_decode_labels(tables, 2, m, false, NULL, &w, NULL), ST_OK);
    assert_int_equal(w.n_rows, 6);
    assert_true(w.time_min == -2000 && w.time_max == 1000);
    keys_of(&w, &key_bytes, keys);
    assert_true(same_key(keys[0], keys[1]) && !same_key(keys[0], keys[3])); /* the table is part of the key */
    assert_true(w.hashes[0] == w.hashes[1] && w.hashes[0] != w.hashes[3]);
    if (sparse) {
        uint32_t id;
        uint64_t tsid, other;
        assert_int_equal(keys[0].size, 70);
        assert_int_equal(key_sparse_prefix(keys[0].data, keys[0].size, &id, &tsid, NULL), ST_OK);
        assert_true(id == 1025 && tsid == 2721566936019240841u); /* metric-engine.md 8.5 */
        assert_int_equal(key_sparse_prefix(keys[3].data, keys[3].size, &id, &other, NULL), ST_OK);
        assert_true(id == 1026 && other == tsid);
        assert_int_equal(key_sparse_prefix(keys[4].data, keys[4].size, &id, &tsid, NULL), ST_OK);
        assert_true(keys[4].size == KEY_SPARSE_PREFIX_BYTES && tsid == 0);
    }
    dynbuf_init(&logged, 1 << 20);
    assert_int_equal(row_write_encode_rows(&w, keys, &logged, NULL), ST_OK);
    assert_int_equal(row_write_decode(logged.data, logged.size, m, false, NULL, &again, NULL), ST_OK);
    assert_true(again.spans_are_keys && again.keys_unchecked && again.n_rows == 6);
    for (int i = 0; i < 6; i++)
        assert_true(same_key(again.spans[i], keys[i]));
    assert_memory_equal(again.times->data, w.times->data, 6 * 8);
    assert_memory_equal(again.columns[1]->buffers[0]->data, w.columns[1]->buffers[0]->data, 6 * 8);
    row_write_release(&w);
    row_write_release(&again);
    dynbuf_release(&first);
    dynbuf_release(&second);
    dynbuf_release(&key_bytes);
    dynbuf_release(&logged);
    region_metadata_unref(m);
}

static void sparse(void **state)
{
    (void)state;
    keys_and_the_log(true);
}

static void dense(void **state)
{
    (void)state;
    keys_and_the_log(false);
}

static int decode_one(struct region_metadata *m, const struct dynbuf *rows, bool is_delete, struct row_write *ret)
{
    struct label_rows t = table_of(7, rows);
    return row_write_decode_labels(&t, 1, m, is_delete, NULL, ret, NULL);
}

/* A table without its value column: null, or refused; deletes have none. */
static void missing_value(void **state)
{
    struct region_metadata *nullable = data_region(true, true), *not_null = data_region(true, false);
    struct dynbuf rows, row;
    struct row_write w;
    (void)state;
    dynbuf_init(&rows, 4096);
    dynbuf_init(&row, 4096);
    put_schema(&rows, "ts", 16, 2);
    put_number(&row, 17, 5);
    pb_put_bytes(&rows, 2, row.data, row.size, NULL);
    assert_int_equal(decode_one(nullable, &rows, false, &w), ST_OK);
    assert_true(w.columns[1] && column_is_null(w.columns[1], 0) && w.spans[0].size == 0);
    row_write_release(&w);
    assert_int_equal(decode_one(not_null, &rows, false, &w), ST_INVALID_ARGUMENTS);
    assert_int_equal(decode_one(nullable, &rows, true, &w), ST_OK);
    assert_true(w.is_delete && !w.columns[1]);
    row_write_release(&w);
    assert_int_equal(decode_one(not_null, &rows, true, &w), ST_OK);
    assert_true(COLUMN_VALUES(w.columns[1], double)[0] == 0);
    row_write_release(&w);
    dynbuf_release(&rows);
    dynbuf_release(&row);
    region_metadata_unref(nullable);
    region_metadata_unref(not_null);
}

static void refused(void **state)
{
    static const struct { const char *name; unsigned type, semantic; int status; } bad[] = {
        {"nobody", 12, 0, ST_COLUMN_NOT_FOUND}, {"host", 4, 0, ST_INVALID_ARGUMENTS},       {"host", 12, 1, ST_INVALID_ARGUMENTS},
        {"__tsid", 8, 0, ST_INVALID_ARGUMENTS}, {"namespace", 12, 0, ST_INVALID_ARGUMENTS}, {"ts", 16, 2, ST_INVALID_ARGUMENTS}};
    struct region_metadata *m = data_region(true, true);
    struct row_write w;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct dynbuf rows;
        dynbuf_init(&rows, 4096);
        put_schema(&rows, "ts", 16, 2);
        put_schema(&rows, "val", 10, 1);
        put_schema(&rows, "namespace", 12, 0);
        put_schema(&rows, bad[i].name, bad[i].type, bad[i].semantic);
        assert_int_equal(decode_one(m, &rows, false, &w), bad[i].status);
        dynbuf_release(&rows);
    }
    struct dynbuf rows;
    begin(&rows, true);
    put_row(&rows, true, "h", 1, 1, "n");
    for (size_t cut = 1; cut < rows.size; cut++) /* wherever it is cut: rows that are whole, or an error */
        if (decode_one(m, &(struct dynbuf){.data = rows.data, .size = rows.size - cut}, false, &w) == ST_OK) {
            assert_int_equal(w.n_rows, 0);
            row_write_release(&w);
        }
    dynbuf_release(&rows);
    region_metadata_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sparse), cmocka_unit_test(dense), cmocka_unit_test(missing_value), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
