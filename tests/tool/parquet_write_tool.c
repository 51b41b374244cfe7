/* Writes a deterministic Parquet file with every type that the writer knows; tests/py/test_parquet_writer.py computes the same values on its own.
 * parquet_write_tool FILE ROWS ROWS_PER_GROUP [CODEC [BATCH_ROWS]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "format/parquet/parquet.h"

struct build {
    struct field *fields[64];
    struct parquet_column_options options[64];
    uint32_t n;
    enum parquet_codec codec;
};

static void add(struct build *b, const char *name, struct dtype *type, bool nullable, bool dictionary, bool delta)
{
    b->fields[b->n] = field_new(name, type, nullable);
    b->options[b->n++] = (struct parquet_column_options){.codec = b->codec, .dictionary = dictionary, .delta = delta};
    type_unref(type);
}

static int write_file(void *ctx, const void *data, size_t size, struct error *err)
{
    return fwrite(data, 1, size, ctx) == size ? ST_OK : error_set(err, ST_STORAGE, "short write");
}

static void define(struct build *b)
{
    struct field *item = field_new("item", type_of(TYPE_INT32), true), *s = field_new("s", type_of(TYPE_UTF8), true);
    struct field *members[] = {item, s};
    add(b, "ts", type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), false, false, true);
    add(b, "seq", type_of(TYPE_UINT64), false, false, true);
    add(b, "op", type_of(TYPE_UINT8), false, true, false);
    add(b, "bool", type_of(TYPE_BOOL), true, true, false);
    add(b, "i8", type_of(TYPE_INT8), true, true, false);
    add(b, "i16", type_of(TYPE_INT16), true, true, false);
    add(b, "i32", type_of(TYPE_INT32), true, false, true);
    add(b, "i64", type_of(TYPE_INT64), true, true, false);
    add(b, "u16", type_of(TYPE_UINT16), true, true, false);
    add(b, "u32", type_of(TYPE_UINT32), true, false, false);
    add(b, "f32", type_of(TYPE_FLOAT32), true, true, false);
    add(b, "f64", type_of(TYPE_FLOAT64), true, true, false);
    add(b, "str", type_of(TYPE_UTF8), true, true, false);
    add(b, "wide", type_of(TYPE_BINARY), false, true, false);
    add(b, "date", type_of(TYPE_DATE32), true, true, false);
    add(b, "ts_s", type_temporal(TYPE_TIMESTAMP, UNIT_SECOND), true, true, false);
    add(b, "ts_ns", type_temporal(TYPE_TIMESTAMP, UNIT_NANO), true, true, false);
    add(b, "time_us", type_temporal(TYPE_TIME64, UNIT_MICRO), true, true, false);
    add(b, "dur", type_temporal(TYPE_DURATION, UNIT_MICRO), true, true, false);
    add(b, "dec9", type_decimal(TYPE_DECIMAL128, 9, 2), true, true, false);
    add(b, "dec18", type_decimal(TYPE_DECIMAL128, 18, 3), true, true, false);
    add(b, "dec38", type_decimal(TYPE_DECIMAL128, 38, 4), true, true, false);
    add(b, "fix", type_fixed_binary(5), true, true, false);
    add(b, "nulls", type_of(TYPE_INT32), true, true, false);
    add(b, "list", type_list(TYPE_LIST, item), true, true, false);
    add(b, "struct", type_struct(members, 2), true, true, false);
    add(b, "late", type_of(TYPE_FLOAT64), true, true, false);
    add(b, "tag", type_of(TYPE_UTF8), true, true, false);
    field_unref(item);
    field_unref(s);
}

static int fill_scalar(struct column_builder *b, const char *name, int64_t i, struct error *err)
{
    char text[64];
    int64_t v = (i * 7919) % 10007 - 5000;
    uint8_t wide[32];
    memset(wide, v < 0 ? 0xff : 0, sizeof wide);
    store_le64(wide, (uint64_t)v);
    switch ((enum type_id)b->type->id) {
    case TYPE_BOOL: return column_builder_append_bool(b, v % 3 == 0, err);
    case TYPE_UTF8: return column_builder_append_bytes(b, text, (size_t)snprintf(text, sizeof text, "v%ld", (long)(i % 97)), err);
    case TYPE_BINARY: return column_builder_append_bytes(b, text, (size_t)snprintf(text, sizeof text, "key-%050ld", (long)i), err);
    case TYPE_FLOAT32: { float f = i % 11 == 3 ? (float)(0.0 / 0.0) : (float)v / 4; return column_builder_append_fixed(b, &f, err); }
    case TYPE_FLOAT64: { double f = i % 13 == 4 ? 0.0 : (double)v / 8; return column_builder_append_fixed(b, &f, err); }
    case TYPE_FIXED_BINARY: memcpy(wide, "fixed", 5); wide[4] = (uint8_t)(i % 256); return column_builder_append_fixed(b, wide, err);
    case TYPE_TIMESTAMP:
        if (strcmp(name, "ts") == 0)
            store_le64(wide, (uint64_t)(1700000000000 + i * 10));
        return column_builder_append_fixed(b, wide, err);
    case TYPE_UINT64: store_le64(wide, 42); return column_builder_append_fixed(b, wide, err);
    case TYPE_UINT8: wide[0] = 1; return column_builder_append_fixed(b, wide, err);
    case TYPE_TIME64: store_le64(wide, (uint64_t)(v + 5000)); return column_builder_append_fixed(b, wide, err);
    default: return column_builder_append_fixed(b, wide, err);
    }
}

static int fill(struct column_builder *b, const struct field *f, int64_t i, struct error *err)
{
    const char *name = f->name;
    bool null = f->nullable && (i % 5 == 2 || strcmp(name, "nulls") == 0 || (strcmp(name, "late") == 0 && i < 3000));
    if (null)
        return column_builder_append_null(b, err);
    if (f->type->id == TYPE_LIST) {
        for (int64_t k = 0; k < i % 4; k++) {
            int32_t v = (int32_t)(i + k);
            TRY(k == 1 ? column_builder_append_null(&b->children[0], err) : column_builder_append_fixed(&b->children[0], &v, err));
        }
        return column_builder_append_nested(b, err);
    }
    if (f->type->id == TYPE_STRUCT) {
        int32_t v = (int32_t)i;
        TRY(i % 3 == 0 ? column_builder_append_null(&b->children[0], err) : column_builder_append_fixed(&b->children[0], &v, err));
        TRY(column_builder_append_bytes(&b->children[1], "abc", (size_t)(i % 4), err));
        return column_builder_append_nested(b, err);
    }
    return fill_scalar(b, name, i, err);
}

/* The tag column comes as keys into a dictionary of its own for each batch. */
static int tag_column(int64_t first, int64_t n, struct column **ret_column, struct error *err)
{
    struct column_builder values;
    struct column *dictionary;
    struct buffer *keys, *validity;
    struct dtype *type = type_dictionary(TYPE_UINT32, type_of(TYPE_UTF8));
    TRY(column_builder_init(&values, NULL, type_of(TYPE_UTF8), err));
    for (int k = 0; k < 10; k++) {
        char text[16];
        TRY(column_builder_append_bytes(&values, text, (size_t)snprintf(text, sizeof text, "t%ld", (long)((k + first) % 10)), err));
    }
    TRY(column_builder_finish(&values, &dictionary, err));
    column_builder_release(&values);
    TRY(buffer_new(NULL, (size_t)n * 4, &keys, err));
    TRY(buffer_new(NULL, bits_bytes(n), &validity, err));
    for (int64_t i = 0; i < n; i++) {
        store_le32(keys->data + i * 4, (uint32_t)(i % 10));
        bit_put(validity->data, i, (first + i) % 5 != 2);
    }
    int st = column_new_nested(type, n, -1, validity, keys, &dictionary, 1, ret_column, err);
    type_unref(type);
    return st;
}

static int append(struct parquet_writer *w, struct schema *schema, int64_t first, int64_t n, struct error *err)
{
    struct column *columns[64];
    struct batch *batch;
    for (uint32_t c = 0; c < schema->n_fields; c++) {
        struct column_builder b;
        if (strcmp(schema->fields[c]->name, "tag") == 0) {
            TRY(tag_column(first, n, &columns[c], err));
            continue;
        }
        TRY(column_builder_init(&b, NULL, schema->fields[c]->type, err));
        for (int64_t i = first; i < first + n; i++)
            TRY(fill(&b, schema->fields[c], i, err));
        TRY(column_builder_finish(&b, &columns[c], err));
        column_builder_release(&b);
    }
    /* batch_new() wants the declared types; keys stand for values, so the batch has a schema of its own. */
    struct field *fields[64];
    for (uint32_t c = 0; c < schema->n_fields; c++)
        fields[c] = field_new(schema->fields[c]->name, columns[c]->type, schema->fields[c]->nullable);
    struct schema *own = schema_new(fields, schema->n_fields);
    for (uint32_t c = 0; c < schema->n_fields; c++)
        field_unref(fields[c]);
    TRY(batch_new(own, n, columns, &batch, err));
    schema_unref(own);
    int st = parquet_writer_append(w, batch, err);
    batch_unref(batch);
    return st;
}

int main(int argc, char **argv)
{
    struct build b = {.codec = argc > 4 ? (enum parquet_codec)atoi(argv[4]) : PARQUET_ZSTD};
    int64_t rows = argc > 3 ? atoll(argv[2]) : 0, step = argc > 5 ? atoll(argv[5]) : 1700;
    FILE *file = argc > 3 ? fopen(argv[1], "wb") : NULL;
    struct error err = {0};
    if (!file)
        return fprintf(stderr, "usage: parquet_write_tool FILE ROWS ROWS_PER_GROUP [CODEC [BATCH_ROWS]]\n"), 2;
    define(&b);
    struct schema *schema = schema_new(b.fields, b.n);
    struct kv kv = {"greptime:metadata", "{\"made\":\"by a test\"}"};
    struct parquet_writer_options o = {.schema = schema, .columns = b.options, .dictionary_bytes_max = 1 << 18, .page_bytes_max = 1 << 20,
                                       .page_rows_max = 3000, .row_group_rows = atoll(argv[3]), .created_by = "regiond test", .kv = &kv, .n_kv = 1,
                                       .store_arrow_schema = true, .write = write_file, .ctx = file};
    struct parquet_writer *w = NULL;
    struct parquet_write_result result = {0};
    int st = parquet_writer_new(&o, &w, &err);
    for (int64_t at = 0; st == ST_OK && at < rows; at += step)
        st = append(w, schema, at, step < rows - at ? step : rows - at, &err);
    if (st == ST_OK)
        st = parquet_writer_finish(w, &result, &err);
    parquet_writer_free(w);
    schema_unref(schema);
    for (uint32_t i = 0; i < b.n; i++)
        field_unref(b.fields[i]);
    if (fclose(file) != 0 || st != ST_OK)
        return fprintf(stderr, "%s: %s\n", status_name((enum status)st), err.msg), 1;
    printf("%lu bytes, %ld rows, %u row groups\n", (unsigned long)result.file_bytes, (long)result.n_rows, result.n_row_groups);
    return 0;
}
