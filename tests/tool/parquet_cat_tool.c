/* Prints a Parquet file as JSON lines, one row a line, for comparison with other readers.
 *
 * The first line holds the column names. Values: null, true, integers (also instants, dates, durations in their unit), "x<hex>" for strings and
 * bytes, "f<bits>" or "fnan" for floats, "d<little-endian hex>" for decimals, arrays for lists, structs and maps.
 * parquet_cat_tool FILE [dict] [rows=START:END[,START:END...]]
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/parquet/parquet.h"

static int read_at(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    FILE *f = ctx;
    if (fseeko(f, (off_t)offset, SEEK_SET) != 0 || fread(data, 1, size, f) != size)
        return error_set(err, ST_STORAGE, "short read");
    return ST_OK;
}

static void print_hex(char kind, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    putchar('"');
    putchar(kind);
    for (size_t i = 0; i < n; i++) {
        putchar(digits[p[i] >> 4]);
        putchar(digits[p[i] & 15]);
    }
    putchar('"');
}

static void print_float(const struct column *c, int64_t i)
{
    if (c->type->id == TYPE_FLOAT64) {
        double v = COLUMN_VALUES(c, double)[i];
        uint64_t bits;
        memcpy(&bits, &v, 8);
        isnan(v) ? (void)printf("\"fnan\"") : (void)printf("\"f%016" PRIx64 "\"", bits);
    } else if (c->type->id == TYPE_FLOAT32) {
        float v = COLUMN_VALUES(c, float)[i];
        uint32_t bits;
        memcpy(&bits, &v, 4);
        isnan(v) ? (void)printf("\"fnan\"") : (void)printf("\"f%08" PRIx32 "\"", bits);
    } else {
        uint16_t bits = COLUMN_VALUES(c, uint16_t)[i];
        (bits & 0x7fff) > 0x7c00 ? (void)printf("\"fnan\"") : (void)printf("\"f%04x\"", bits);
    }
}

static void print_value(const struct column *c, int64_t i);

static void print_list(const struct column *c, int64_t i)
{
    const int32_t *o = (const int32_t *)(const void *)c->buffers[0]->data + c->offset + i;
    putchar('[');
    for (int32_t k = o[0]; k < o[1]; k++) {
        if (k > o[0])
            putchar(',');
        print_value(c->children[0], k);
    }
    putchar(']');
}

static void print_struct(const struct column *c, int64_t i)
{
    putchar('[');
    for (uint32_t k = 0; k < c->n_children; k++) {
        if (k)
            putchar(',');
        print_value(c->children[k], c->offset + i);
    }
    putchar(']');
}

static void print_value(const struct column *c, int64_t i)
{
    if (column_is_null(c, i)) {
        printf("null");
        return;
    }
    int32_t n, width = type_width(c->type);
    const uint8_t *p;
    switch ((enum type_id)c->type->id) {
    case TYPE_BOOL: printf(column_bool(c, i) ? "true" : "false"); return;
    case TYPE_UINT8: printf("%u", COLUMN_VALUES(c, uint8_t)[i]); return;
    case TYPE_UINT16: printf("%u", COLUMN_VALUES(c, uint16_t)[i]); return;
    case TYPE_UINT32: printf("%" PRIu32, COLUMN_VALUES(c, uint32_t)[i]); return;
    case TYPE_UINT64: printf("%" PRIu64, COLUMN_VALUES(c, uint64_t)[i]); return;
    case TYPE_FLOAT16: case TYPE_FLOAT32: case TYPE_FLOAT64: print_float(c, i); return;
    case TYPE_DICTIONARY: print_value(c->dictionary, COLUMN_VALUES(c, uint32_t)[i]); return;
    case TYPE_LIST: case TYPE_LARGE_LIST: case TYPE_MAP: print_list(c, i); return;
    case TYPE_STRUCT: print_struct(c, i); return;
    case TYPE_DECIMAL128: case TYPE_DECIMAL256: print_hex('d', c->buffers[0]->data + (size_t)(c->offset + i) * (size_t)width, (size_t)width); return;
    case TYPE_FIXED_BINARY: print_hex('x', c->buffers[0]->data + (size_t)(c->offset + i) * (size_t)width, (size_t)width); return;
    default: break;
    }
    if (type_is_varlen(c->type)) {
        p = column_bytes(c, i, &n);
        print_hex('x', p, (size_t)n);
    } else if (width == 1) {
        printf("%d", COLUMN_VALUES(c, int8_t)[i]);
    } else if (width == 2) {
        printf("%d", COLUMN_VALUES(c, int16_t)[i]);
    } else if (width == 4) {
        printf("%" PRId32, COLUMN_VALUES(c, int32_t)[i]);
    } else {
        printf("%" PRId64, COLUMN_VALUES(c, int64_t)[i]);
    }
}

static int print_group(const struct parquet_file *f, const struct parquet_source *source, uint32_t g, const struct parquet_selection *selection,
                       int flags, struct error *err)
{
    uint32_t n = parquet_schema(f)->n_fields;
    struct column **columns = calloc(n ? n : 1, sizeof *columns);
    int st = ST_OK;
    for (uint32_t i = 0; i < n && st == ST_OK; i++)
        st = parquet_read_column(f, source, g, i, selection, NULL, flags, NULL, &columns[i], err);
    for (int64_t row = 0; st == ST_OK && n > 0 && row < columns[0]->length; row++) {
        putchar('[');
        for (uint32_t i = 0; i < n; i++) {
            if (i)
                putchar(',');
            print_value(columns[i], row);
        }
        printf("]\n");
    }
    for (uint32_t i = 0; i < n; i++)
        column_unref(columns[i]);
    free(columns);
    return st;
}

int main(int argc, char **argv)
{
    struct parquet_row_range ranges[64];
    struct parquet_selection selection = {ranges, 0};
    struct parquet_file *f;
    struct error err = {0};
    int flags = 0;
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (!file)
        return fprintf(stderr, "usage: parquet_cat_tool FILE [dict] [rows=A:B,...]\n"), 2;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "dict") == 0)
            flags = PARQUET_AS_DICTIONARY;
        char *p = strncmp(argv[i], "rows=", 5) == 0 ? argv[i] + 5 : NULL;
        for (int used; p && *p && selection.n < 64; selection.n++) {
            if (sscanf(p, "%" SCNd64 ":%" SCNd64 "%n", &ranges[selection.n].start, &ranges[selection.n].end, &used) != 2)
                break;
            p += used + (p[used] == ',');
        }
    }
    fseeko(file, 0, SEEK_END);
    struct parquet_source source = {read_at, file, (uint64_t)ftello(file)};
    int st = parquet_open(&source, NULL, &f, &err);
    if (st == ST_OK) {
        char name[256];
        for (uint32_t i = 0; i < parquet_schema(f)->n_fields; i++)
            printf("%s%s: %s", i ? "; " : "", parquet_schema(f)->fields[i]->name, type_print(parquet_schema(f)->fields[i]->type, name, sizeof name));
        printf("\n");
        for (uint32_t g = 0; g < parquet_n_row_groups(f) && st == ST_OK; g++)
            st = print_group(f, &source, g, selection.n ? &selection : NULL, flags, &err);
        parquet_file_free(f);
    }
    fclose(file);
    if (st != ST_OK)
        fprintf(stderr, "%s: %s\n", status_name((enum status)st), err.msg);
    return st == ST_OK ? 0 : 1;
}
