/* Metadata from a CreateRequest, and column definitions from the wire (region-rpc.md 3.4, 4.3). */
#include <string.h>

#include "base/text.h"
#include "format/region/internal.h"

static int broken(const char *what, struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "malformed %s", what);
}

/* What arrives damaged is the client's fault. */
static int as_argument_error(int st, struct error *err)
{
    if (st != ST_CORRUPT)
        return st;
    if (err)
        err->status = ST_INVALID_ARGUMENTS;
    return ST_INVALID_ARGUMENTS;
}

static int read_option(const struct pb_field *entry, struct region_column *c, struct error *err)
{
    static const struct { const char *name, *key; } known[] = {{"fulltext", "greptime:fulltext"}, {"inverted_index", "greptime:inverted_index"},
        {"skipping_index", "greptime:skipping_index"}, {"vector_index", "greptime:vector_index"}, {"ARROW:extension:name", "ARROW:extension:name"},
        {"ARROW:extension:metadata", "ARROW:extension:metadata"}};
    struct pb_reader r = pb_inside(entry);
    struct pb_field f, key = {.data = (const uint8_t *)""}, value = {.data = (const uint8_t *)""};
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            key = f;
        else if (f.number == 2 && f.wire == PB_BYTES)
            value = f;
    }
    if (!pb_done(&r) || !utf8_valid(value.data, value.size))
        return broken("column options", err);
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i].name) == key.size && memcmp(known[i].name, key.data, key.size) == 0)
            return column_meta_set(c, known[i].key, (const char *)value.data, value.size, err);
    }
    return ST_OK;
}

static int read_options(const struct pb_field *options, struct region_column *c, struct error *err)
{
    struct pb_reader r = pb_inside(options);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            TRY(read_option(&f, c, err));
    }
    return pb_done(&r) ? ST_OK : broken("column options", err);
}

struct column_def { struct pb_field name, constraint, comment, extension, options; int32_t datatype; uint64_t semantic; bool nullable; };

static int split_def(const struct pb_field *message, struct column_def *d, struct error *err)
{
    const struct pb_field empty = {.data = (const uint8_t *)""};
    struct pb_reader r = pb_inside(message);
    struct pb_field f;
    *d = (struct column_def){.name = empty, .constraint = empty, .comment = empty, .extension = empty, .options = empty};
    while (pb_next(&r, &f)) {
        bool bytes = f.wire == PB_BYTES, number = f.wire == PB_VARINT;
        if (f.number == 1 && bytes)
            d->name = f;
        else if (f.number == 2 && number)
            d->datatype = (int32_t)f.value;
        else if (f.number == 3 && number)
            d->nullable = f.value;
        else if (f.number == 4 && bytes)
            d->constraint = f;
        else if (f.number == 5 && number)
            d->semantic = f.value;
        else if (f.number == 6 && bytes)
            d->comment = f;
        else if (f.number == 7 && bytes)
            d->extension = f;
        else if (f.number == 8 && bytes)
            d->options = f;
    }
    return pb_done(&r) ? ST_OK : broken("column definition", err);
}

static int fill_column(const struct column_def *d, struct region_column *c, struct error *err)
{
    if (!d->name.size || memchr(d->name.data, 0, d->name.size) || !utf8_valid(d->name.data, d->name.size))
        return error_set(err, ST_INVALID_ARGUMENTS, "bad column name");
    if (!(c->name = text_copy(d->name.data, d->name.size)))
        return error_no_memory(err, d->name.size);
    if (d->semantic > SEMANTIC_TIMESTAMP)
        return error_set(err, ST_INVALID_ARGUMENTS, "unknown semantic type of column %s", c->name);
    c->semantic = (enum semantic_type)d->semantic;
    c->nullable = d->nullable;
    c->is_time_index = c->semantic == SEMANTIC_TIMESTAMP;
    TRY(region_column_type_from_proto(d->datatype, d->extension.data, d->extension.size, c, err));
    if (c->is_time_index)
        TRY(column_meta_set(c, "greptime:time_index", "true", 4, err));
    if (d->comment.size) {
        if (!utf8_valid(d->comment.data, d->comment.size))
            return broken("column comment", err);
        TRY(column_meta_set(c, "greptime:storage:comment", (const char *)d->comment.data, d->comment.size, err));
    }
    TRY(read_options(&d->options, c, err));
    if (!d->constraint.size)
        return ST_OK;
    TRY(as_argument_error(default_from_text((const char *)d->constraint.data, d->constraint.size, c, err), err));
    if (!c->nullable && c->default_kind == DEFAULT_VALUE && column_is_null(c->default_value, 0))
        return error_set(err, ST_INVALID_ARGUMENTS, "default of column %s is NULL, but the column is not nullable", c->name);
    return ST_OK;
}

int column_def_read(const uint8_t *def, size_t size, struct region_column *ret_column, struct error *err)
{
    struct pb_reader r = pb_reader_of(def, size);
    struct pb_field f, inner = {0};
    struct column_def d;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            inner = f;
        else if (f.number == 2 && f.wire == PB_VARINT)
            ret_column->id = (uint32_t)f.value;
    }
    if (!pb_done(&r))
        return broken("column definition", err);
    if (!inner.data)
        return error_set(err, ST_INVALID_ARGUMENTS, "missing column_def");
    TRY(split_def(&inner, &d, err));
    return fill_column(&d, ret_column, err);
}

static int read_partition(const struct pb_field *partition, struct meta_builder *b, struct error *err)
{
    struct pb_reader r = pb_inside(partition);
    struct pb_field f, expr = {.data = (const uint8_t *)""};
    while (pb_next(&r, &f)) {
        if (f.number == 3 && f.wire == PB_BYTES)
            expr = f;
    }
    if (!pb_done(&r) || memchr(expr.data, 0, expr.size) || !utf8_valid(expr.data, expr.size) || b->partition_expr)
        return broken("partition", err);
    b->partition_expr = text_copy(expr.data, expr.size);
    return b->partition_expr ? ST_OK : error_no_memory(err, expr.size);
}

/* primary_key, packed or not. */
static int read_key(const struct pb_field *f, struct meta_builder *b, struct error *err)
{
    struct pb_reader r;
    uint64_t id;
    if (f->wire == PB_VARINT)
        return meta_builder_add_key(b, (uint32_t)f->value, err);
    if (f->wire != PB_BYTES)
        return broken("primary key", err);
    for (r = pb_inside(f); r.p < r.end;) {
        if (!pb_varint(&r, &id))
            return broken("primary key", err);
        TRY(meta_builder_add_key(b, (uint32_t)id, err));
    }
    return ST_OK;
}

static int read_create(const uint8_t *create_request, size_t size, struct meta_builder *b, struct error *err)
{
    struct pb_reader r = pb_reader_of(create_request ? create_request : (const uint8_t *)"", size);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT) {
            b->region_id = f.value;
        } else if (f.number == 3 && f.wire == PB_BYTES) {
            struct region_column *c;
            TRY(meta_builder_insert(b, b->n_columns, &c, err));
            TRY(column_def_read(f.data, f.size, c, err));
        } else if (f.number == 4) {
            TRY(read_key(&f, b, err));
        } else if (f.number == 7 && f.wire == PB_BYTES) {
            TRY(read_partition(&f, b, err));
        }
    }
    return pb_done(&r) ? ST_OK : broken("create request", err);
}

int region_metadata_from_create(const uint8_t *create_request, size_t size, bool sparse_key, enum status rule, struct region_metadata **ret_meta,
                                struct error *err)
{
    struct meta_builder b = {.sparse_key = sparse_key};
    int st = read_create(create_request, size, &b, err);
    if (st == ST_OK)
        st = meta_finish(&b, rule != ST_OK, rule != ST_OK ? rule : ST_INVALID_ARGUMENTS, ret_meta, err);
    meta_builder_release(&b);
    return st;
}
