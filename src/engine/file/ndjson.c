/* Newline-delimited JSON objects, by name: an absent key is null, keys that the schema does not know are skipped, a value of another kind fails the
 * query. */
#include <stdlib.h>
#include <string.h>

#include "engine/file/file.h"
#include "format/json/json.h"

enum { CHUNK_BYTES = 256 << 10, LINE_BYTES_MAX = 64 << 20 };

struct ndjson_decoder {
    struct file_decoder base;
    struct file_read read;
    struct byte_stream *bytes;
    struct dynbuf text; /* what has been read and not decoded */
    size_t at;
    bool over;
    uint64_t line;
    struct column_builder *builders;
};

/* The next line in d->text; *ret_size = -1 at the end. */
static int next_line(struct ndjson_decoder *d, const char **ret_line, int64_t *ret_size, struct error *err)
{
    for (size_t searched = 0;;) {
        uint8_t *from = d->text.data ? d->text.data + d->at : NULL,
                *end = from ? memchr(from + searched, '\n', d->text.size - d->at - searched) : NULL;
        size_t left = d->text.size - d->at;
        if (end || (d->over && left)) {
            *ret_line = (const char *)from;
            *ret_size = end ? end - from : (int64_t)left;
            d->at += (size_t)*ret_size + (end != NULL);
            d->line++;
            return ST_OK;
        }
        *ret_size = -1;
        if (d->over)
            return ST_OK;
        searched = left;
        if (d->at) {
            memmove(d->text.data, from, left);
            d->text.size = left;
            d->at = 0;
        }
        size_t got;
        TRY(dynbuf_reserve(&d->text, CHUNK_BYTES, err));
        TRY(byte_stream_read(d->bytes, d->text.data + d->text.size, CHUNK_BYTES, &got, err));
        d->text.size += got;
        d->over = got < CHUNK_BYTES;
    }
}

static int wrong(const struct ndjson_decoder *d, const char *name, const char *want, struct error *err)
{
    return error_set(err, ST_CORRUPT, "%s line %llu: %s is no %s", d->read.path, (unsigned long long)d->line, name, want);
}

static int append_value(const struct ndjson_decoder *d, struct column_builder *b, const struct json_value *v, const char *name, unsigned depth,
                        struct error *err);

static int append_nested(const struct ndjson_decoder *d, struct column_builder *b, const struct json_value *v, const char *name, unsigned depth,
                         struct error *err)
{
    if (b->type->id == TYPE_STRUCT) {
        if (!json_is(v, JSON_OBJECT))
            return wrong(d, name, "object", err);
        for (uint32_t i = 0; i < b->n_children; i++)
            TRY(append_value(d, &b->children[i], json_get(v, b->type->children[i]->name), b->type->children[i]->name, depth + 1, err));
    } else {
        if (!json_is(v, JSON_ARRAY))
            return wrong(d, name, "array", err);
        for (const struct json_value *item = v->first; item; item = item->next)
            TRY(append_value(d, &b->children[0], item, name, depth + 1, err));
    }
    return column_builder_append_nested(b, err);
}

static int append_number(const struct ndjson_decoder *d, struct column_builder *b, const struct json_value *v, const char *name, struct error *err)
{
    __int128 n;
    double x;
    if (v->kind != JSON_NUMBER)
        return wrong(d, name, "number", err);
    if (type_is_float(b->type)) {
        if (!json_double(v, &x))
            return wrong(d, name, "number", err);
        float f = (float)x;
        return column_builder_append_fixed(b, b->type->id == TYPE_FLOAT32 ? (const void *)&f : (const void *)&x, err);
    }
    if (!json_i128(v, &n)) {
        if (!json_double(v, &x) || !(x >= -0x1p63 && x < 0x1p63) || x != (double)(int64_t)x)
            return wrong(d, name, "integer", err);
        n = (int64_t)x;
    }
    int bits = type_width(b->type) * 8;
    bool is_signed = type_is_signed(b->type);
    __int128 max = ((__int128)1 << (bits - is_signed)) - 1, min = is_signed ? -max - 1 : 0;
    if (n < min || n > max)
        return wrong(d, name, "integer of that size", err);
    uint64_t low = (uint64_t)n;
    return column_builder_append_fixed(b, &low, err);
}

static int append_value(const struct ndjson_decoder *d, struct column_builder *b, const struct json_value *v, const char *name, unsigned depth,
                        struct error *err)
{
    enum { DEPTH_MAX = 32 };
    bool truth;
    if (depth > DEPTH_MAX)
        return wrong(d, name, "value of bearable depth", err);
    if (!v || v->kind == JSON_NULL)
        return column_builder_append_null(b, err);
    if (type_is_nested(b->type))
        return append_nested(d, b, v, name, depth, err);
    if (type_is_varlen(b->type)) { /* scalars have a text, too */
        if (v->kind == JSON_STRING)
            return column_builder_append_bytes(b, v->string, v->string_size, err);
        return v->kind == JSON_OBJECT || v->kind == JSON_ARRAY ? wrong(d, name, "string", err)
                                                               : column_builder_append_bytes(b, v->text, v->size, err);
    }
    if (b->type->id == TYPE_BOOL)
        return json_bool(v, &truth) ? column_builder_append_bool(b, truth, err) : wrong(d, name, "boolean", err);
    return append_number(d, b, v, name, err);
}

/* Types that values are read into directly; the others are cast from text. */
static bool direct(const struct dtype *t)
{
    return t->id == TYPE_BOOL || type_is_integer(t) || t->id == TYPE_FLOAT32 || t->id == TYPE_FLOAT64 || type_is_varlen(t) || type_is_nested(t);
}

static int read_record(struct ndjson_decoder *d, const char *line, size_t size, bool *ret_any, struct error *err)
{
    struct arena arena;
    const struct json_value *v;
    size_t blank = 0;
    while (blank < size && (line[blank] == ' ' || line[blank] == '\t' || line[blank] == '\r'))
        blank++;
    *ret_any = blank < size;
    if (!*ret_any)
        return ST_OK;
    arena_init(&arena, d->read.budget);
    int st = json_parse(&arena, line, size, &v, err);
    if (st != ST_OK)
        error_prefix(err, "%s line %llu", d->read.path, (unsigned long long)d->line);
    else if (v->kind != JSON_OBJECT)
        st = error_set(err, ST_CORRUPT, "%s line %llu is no JSON object", d->read.path, (unsigned long long)d->line);
    for (uint32_t i = 0; st == ST_OK && i < d->read.n_columns; i++) {
        const char *name = d->read.region->columns[d->read.columns[i]].name;
        st = append_value(d, &d->builders[i], json_get(v, name), name, 0, err);
    }
    arena_release(&arena);
    return st;
}

static int ndjson_next(struct file_decoder *base, struct column **ret_columns, int64_t *ret_rows, struct error *err)
{
    struct ndjson_decoder *d = (struct ndjson_decoder *)base;
    int64_t rows = 0;
    while (rows < FILE_BATCH_ROWS) {
        const char *line;
        int64_t size;
        bool any;
        TRY(next_line(d, &line, &size, err));
        if (size < 0)
            break;
        TRY(read_record(d, line, (size_t)size, &any, err));
        rows += any;
    }
    *ret_rows = rows;
    return file_columns_finish(&d->read, d->builders, rows, ret_columns, err);
}

static void ndjson_free(struct file_decoder *base)
{
    struct ndjson_decoder *d = (struct ndjson_decoder *)base;
    byte_stream_close(d->bytes);
    file_columns_free(&d->read, d->builders);
    dynbuf_release(&d->text);
    free(d);
}

static const struct file_decoder_ops ndjson_ops = {ndjson_next, ndjson_free};

int ndjson_decoder_open(const struct file_read *read, struct file_decoder **ret_decoder, struct error *err)
{
    struct ndjson_decoder *d = calloc(1, sizeof *d);
    if (!d)
        return error_no_memory(err, sizeof *d);
    d->base.ops = &ndjson_ops;
    d->read = *read;
    dynbuf_init(&d->text, LINE_BYTES_MAX + CHUNK_BYTES);
    int st = byte_stream_open(read->engine->fs, read->path, read->region->compression, &d->bytes, err);
    if (st == ST_OK)
        st = file_columns_new(read, direct, &d->builders, err);
    if (st == ST_OK)
        *ret_decoder = &d->base;
    else
        ndjson_free(&d->base);
    return st;
}
