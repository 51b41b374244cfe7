/* Row writes apart from their decoding: life cycle, missing columns, keys, and the conversion of Arrow batches. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "format/key/key.h"
#include "format/rows/internal.h"
#include "format/rows/values.h"

int row_write_alloc(struct row_write *w, struct region_metadata *metadata, int64_t n_rows, bool is_delete, struct budget *budget, struct error *err)
{
    *w = (struct row_write){.metadata = region_metadata_ref(metadata), .is_delete = is_delete, .n_rows = n_rows, .budget = budget};
    arena_init(&w->arena, budget);
    w->columns = calloc(metadata->n_columns, sizeof *w->columns);
    int st = w->columns ? ST_OK : error_no_memory(err, metadata->n_columns * sizeof *w->columns);
    if (st == ST_OK && metadata->n_key) {
        size_t bytes = (size_t)n_rows * (sizeof *w->spans + sizeof *w->hashes);
        st = budget_charge(budget, bytes, err);
        if (st == ST_OK) {
            w->charged_bytes = bytes;
            w->spans = malloc((size_t)n_rows * sizeof *w->spans + 1);
            w->hashes = malloc((size_t)n_rows * sizeof *w->hashes + 1);
            if (!w->spans || !w->hashes)
                st = error_no_memory(err, bytes);
        }
    }
    if (st != ST_OK)
        row_write_release(w);
    return st;
}

void row_write_release(struct row_write *w)
{
    if (!w || !w->metadata)
        return;
    for (uint32_t i = 0; w->columns && i < w->metadata->n_columns; i++)
        column_unref(w->columns[i]);
    free(w->columns);
    free(w->spans);
    free(w->hashes);
    budget_release(w->budget, w->charged_bytes);
    buffer_unref(w->times);
    buffer_unref(w->scratch);
    arena_release(&w->arena);
    region_metadata_unref(w->metadata);
    *w = (struct row_write){0};
}

void row_write_time_bounds(struct row_write *w)
{
    const int64_t *t = (const int64_t *)(const void *)w->times->data;
    w->time_min = INT64_MAX;
    w->time_max = INT64_MIN;
    for (int64_t i = 0; i < w->n_rows; i++) {
        w->time_min = t[i] < w->time_min ? t[i] : w->time_min;
        w->time_max = t[i] > w->time_max ? t[i] : w->time_max;
    }
}

int column_repeat(struct budget *budget, struct column *value, int64_t n, struct column **ret_column, struct error *err)
{
    struct buffer *rows;
    TRY(buffer_new(budget, (size_t)n * 4, &rows, err)); /* n times row 0 */
    int st = column_take(budget, value, (const uint32_t *)(const void *)rows->data, n, ret_column, err);
    buffer_unref(rows);
    return st;
}

int column_zeros(struct budget *budget, struct dtype *type, int64_t n, struct column **ret_column, struct error *err)
{
    struct column *nulls;
    TRY(column_new_nulls(budget, type, n, &nulls, err));
    /* Nulls are zeros underneath: only the bitmap has to go. */
    buffer_unref(nulls->validity);
    nulls->validity = NULL;
    nulls->null_count = type->id == TYPE_NULL ? n : 0;
    *ret_column = nulls;
    return ST_OK;
}

int row_write_fill_missing(struct row_write *w, uint32_t index, struct error *err)
{
    const struct region_column *c = &w->metadata->columns[index];
    if (w->is_delete) {
        if (c->semantic != SEMANTIC_FIELD)
            return error_set(err, ST_INVALID_ARGUMENTS, "delete requests need column %s", c->name);
        return c->nullable ? ST_OK : column_zeros(w->budget, c->type, w->n_rows, &w->columns[index], err);
    }
    if (c->default_kind == DEFAULT_FUNCTION)
        return error_set(err, ST_UNEXPECTED, "unexpected impure default value of column %s: %s", c->name, c->default_json ? c->default_json : "");
    bool null_default = c->default_kind == DEFAULT_VALUE && column_is_null(c->default_value, 0);
    if (c->default_kind == DEFAULT_NONE || null_default) {
        if (!c->nullable)
            return error_set(err, ST_INVALID_ARGUMENTS, "missing column %s", c->name);
        return ST_OK;
    }
    if (c->semantic == SEMANTIC_TAG)
        return ST_OK; /* row_write_encode_key() knows the default */
    struct column *filled;
    TRY(column_repeat(w->budget, c->default_value, w->n_rows, &filled, err));
    if (index != w->metadata->time_index) {
        w->columns[index] = filled;
        return ST_OK;
    }
    w->times = buffer_ref(filled->buffers[0]);
    column_unref(filled);
    return ST_OK;
}

/* ---- keys ---- */

static int encode_tag(const struct region_column *c, const uint8_t *value, size_t size, struct dynbuf *out, struct error *err)
{
    struct value_form form;
    struct pb_field m;
    bool present;
    uint8_t fixed[16];
    TRY(value_form_of(c, &form, err));
    if (!value_member(value, size, &m, &present))
        return error_set(err, ST_INVALID_ARGUMENTS, "a value of column %s is malformed protobuf", c->name);
    if (!present) {
        if (!c->nullable)
            return error_set(err, ST_INVALID_ARGUMENTS, "column %s is not null but input has null", c->name);
        return key_append_null(out, err);
    }
    if (m.number != form.field && !(m.number == 15 && form.field == 18))
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s has a value of another type (member %u)", c->name, m.number);
    switch (form.kind) {
    case VALUE_BYTES: {
        if (m.wire != PB_BYTES)
            return error_set(err, ST_INVALID_ARGUMENTS, "a value of column %s is malformed", c->name);
        if (type_is_string(c->type) && !utf8_valid(m.data, m.size))
            return error_set(err, ST_INVALID_ARGUMENTS, "a value of column %s is not UTF-8", c->name);
        if (type_is_string(c->type))
            return key_append_string(out, m.data, m.size, err);
        struct column_builder b;
        struct column *one = NULL;
        TRY(column_builder_init(&b, NULL, c->type, err));
        int st = column_builder_append_bytes(&b, m.data, m.size, err);
        if (st == ST_OK && (st = column_builder_finish(&b, &one, err)) == ST_OK)
            st = key_append_value(out, one, 0, err);
        column_unref(one);
        column_builder_release(&b);
        return st;
    }
    case VALUE_BOOL:
        if (m.wire == PB_BYTES)
            return error_set(err, ST_INVALID_ARGUMENTS, "a value of column %s is malformed", c->name);
        fixed[0] = m.value != 0;
        return key_append_fixed(out, c->type, fixed, err);
    case VALUE_NESTED:
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s has a type that a primary key cannot hold", c->name);
    default:
        TRY(value_to_fixed(&form, &m, fixed, err));
        return key_append_fixed(out, c->type, fixed, err);
    }
}

int row_write_encode_key(const struct row_write *w, struct key_span span, struct dynbuf *out, struct error *err)
{
    if (w->spans_are_keys)
        return dynbuf_append(out, span.data, span.size, err);
    struct pb_reader r = pb_reader_of(span.data, span.size);
    for (uint32_t k = 0; k < w->metadata->n_key; k++) {
        const struct region_column *c = &w->metadata->columns[w->metadata->key[k]];
        uint64_t n;
        if (r.p < r.end && *r.p == 0x0b) {
            r.p++;
            if (c->default_kind == DEFAULT_VALUE)
                TRY(key_append_value(out, c->default_value, 0, err));
            else
                TRY(key_append_null(out, err));
            continue;
        }
        if (r.p >= r.end || *r.p++ != 0x0a || !pb_varint(&r, &n) || n > (uint64_t)(r.end - r.p))
            return error_set(err, ST_INVALID_ARGUMENTS, "the tags of a row are malformed");
        TRY(encode_tag(c, r.p, (size_t)n, out, err));
        r.p += n;
    }
    return ST_OK;
}

/* ---- Arrow batches ---- */

/* Charges `keys` to the write as far as that has not been done: *charged bytes of it. */
static int charge_keys(struct row_write *w, const struct dynbuf *keys, size_t *charged, struct error *err)
{
    if (keys->capacity > *charged) {
        TRY(budget_charge(w->budget, keys->capacity - *charged, err));
        w->charged_bytes += keys->capacity - *charged;
        *charged = keys->capacity;
    }
    return ST_OK;
}

/* Makes `keys`, whose offsets stand in the spans, the write's own scratch; on failure they stay the caller's. */
static int take_keys(struct row_write *w, struct dynbuf *keys, struct error *err)
{
    TRY(buffer_wrap(keys->data, keys->size, free, keys->data, &w->scratch, err));
    for (int64_t i = 0; i < w->n_rows; i++) {
        w->spans[i].data = keys->data + (size_t)w->spans[i].data;
        w->hashes[i] = hash_bytes(w->spans[i].data, w->spans[i].size);
    }
    w->spans_are_keys = true;
    return ST_OK;
}

int row_write_make_keys(struct row_write *w, row_key_fn append, void *ctx, struct error *err)
{
    struct dynbuf keys;
    size_t charged = 0;
    dynbuf_init(&keys, SIZE_MAX / 2);
    int st = ST_OK;
    for (int64_t i = 0; i < w->n_rows && st == ST_OK; i++) {
        size_t start = keys.size;
        st = append(ctx, i, &keys, err);
        if (st == ST_OK)
            st = charge_keys(w, &keys, &charged, err);
        w->spans[i] = (struct key_span){(const uint8_t *)start, (uint32_t)(keys.size - start)};
    }
    if (st == ST_OK)
        st = take_keys(w, &keys, err);
    if (st != ST_OK)
        dynbuf_release(&keys);
    return st;
}

/* The tags of a batch by their places in the key; NULL: the batch has no such column. */
struct batch_tags {
    const struct region_metadata *metadata;
    struct column *const *columns;
};

static int append_batch_key(void *ctx, int64_t row, struct dynbuf *keys, struct error *err)
{
    const struct batch_tags *tags = ctx;
    const struct region_metadata *m = tags->metadata;
    for (uint32_t k = 0; k < m->n_key; k++) {
        const struct region_column *c = &m->columns[m->key[k]];
        struct column *tag = tags->columns[k];
        if (tag && !column_is_null(tag, row))
            TRY(key_append_value(keys, tag, row, err));
        else if (!tag && c->default_kind == DEFAULT_VALUE)
            TRY(key_append_value(keys, c->default_value, 0, err));
        else if (tag && !c->nullable)
            return error_set(err, ST_INVALID_ARGUMENTS, "column %s is not null but input has null", c->name);
        else
            TRY(key_append_null(keys, err));
    }
    return ST_OK;
}

/* A column of whole keys: the spans are its values. */
static int take_whole_keys(struct row_write *w, struct column *given, struct error *err)
{
    struct column *keys;
    if (!type_is_binary(type_values(given->type)) || !w->metadata->n_key || w->spans_are_keys)
        return error_set(err, ST_INVALID_ARGUMENTS,
                         "column " KEY_NAME_WHOLE " must be the only one of its name, binary, of a region with a primary key");
    TRY(column_decode_dictionary(w->budget, given, &keys, err));
    int st = column_null_count(keys) ? error_set(err, ST_INVALID_ARGUMENTS, "column " KEY_NAME_WHOLE " has nulls") : ST_OK;
    for (int64_t i = 0; st == ST_OK && i < w->n_rows; i++) {
        int32_t size;
        const uint8_t *key = column_bytes(keys, i, &size);
        w->spans[i] = (struct key_span){key, (uint32_t)size};
        w->hashes[i] = hash_bytes(key, (size_t)size);
    }
    if (st == ST_OK) {
        w->scratch = buffer_ref(keys->buffers[1]);
        w->spans_are_keys = w->keys_unchecked = true;
    }
    column_unref(keys);
    return st;
}

int row_write_check_key(const struct region_metadata *metadata, struct key_span key, struct error *err)
{
    size_t pos = 0;
    int st = ST_OK;
    if (metadata->sparse_key)
        st = key_sparse_check(key.data, key.size, NULL, NULL, err);
    for (uint32_t k = 0; !metadata->sparse_key && st == ST_OK && k < metadata->n_key; k++)
        st = key_skip_value(key.data, key.size, &pos, metadata->columns[metadata->key[k]].type, err);
    if (st == ST_OK && !metadata->sparse_key && pos != key.size)
        st = error_set(err, ST_CORRUPT, "primary key: bytes behind the last column");
    if (st == ST_CORRUPT) {
        st = ST_INVALID_ARGUMENTS;
        if (err)
            err->status = ST_INVALID_ARGUMENTS;
    }
    return st;
}

static int take_times(struct row_write *w, struct column *given, struct error *err)
{
    struct column *time;
    TRY(column_decode_dictionary(w->budget, given, &time, err));
    int st = ST_OK;
    if (column_null_count(time))
        st = error_set(err, ST_INVALID_ARGUMENTS, "the time index of a bulk insert has nulls");
    if (st == ST_OK)
        st = buffer_new_uninit(w->budget, (size_t)w->n_rows * 8, &w->times, err);
    if (st == ST_OK && w->n_rows)
        memcpy(w->times->data, COLUMN_VALUES(time, int64_t), (size_t)w->n_rows * 8);
    column_unref(time);
    return st;
}

/* One column of the batch to its place; tags[] collects those of the key. */
static int adopt_column(struct row_write *w, struct field *field, struct column *column, bool *present, struct column **tags, struct error *err)
{
    const struct region_metadata *m = w->metadata;
    if (strcmp(field->name, KEY_NAME_WHOLE) == 0)
        return take_whole_keys(w, column, err);
    int index = region_metadata_find(m, field->name, strlen(field->name));
    if (index < 0)
        return error_set(err, ST_INVALID_ARGUMENTS, "unknown column %.200s", field->name);
    const struct region_column *c = &m->columns[index];
    char have[128], want[128];
    if (present[index])
        return error_set(err, ST_INVALID_ARGUMENTS, "duplicate column %s", c->name);
    if (!type_equal(type_values(column->type), c->type, false))
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s has type %s, given %s", c->name, type_print(c->type, want, sizeof want),
                         type_print(column->type, have, sizeof have));
    if (!c->nullable && (column_null_count(column) || (column->dictionary && column_null_count(column->dictionary))))
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s is not null but input has null", c->name);
    present[index] = true;
    for (uint32_t k = 0; k < m->n_key; k++)
        if (m->key[k] == (uint32_t)index) {
            if (!tags)
                return error_set(err, ST_INVALID_ARGUMENTS, "column %s is a tag of the region, but no label of the table", c->name);
            tags[k] = column;
            return ST_OK;
        }
    if ((uint32_t)index == m->time_index)
        return take_times(w, column, err);
    return column_decode_dictionary(w->budget, column, &w->columns[index], err);
}

int row_write_adopt(int64_t n_rows, struct field *const *fields, struct column *const *columns, uint32_t n, struct region_metadata *metadata,
                    struct column **tags, struct budget *budget, struct row_write *ret_write, struct error *err)
{
    struct row_write w;
    TRY(row_write_alloc(&w, metadata, n_rows, false, budget, err));
    bool *present = calloc(metadata->n_columns, sizeof *present);
    int st = present ? ST_OK : error_no_memory(err, metadata->n_columns);
    for (uint32_t i = 0; st == ST_OK && i < n; i++)
        st = adopt_column(&w, fields[i], columns[i], present, tags, err);
    bool keys_made = !tags || w.spans_are_keys;
    for (uint32_t i = 0; st == ST_OK && i < metadata->n_columns; i++)
        if (!present[i] && !(keys_made && metadata->columns[i].semantic == SEMANTIC_TAG))
            st = row_write_fill_missing(&w, i, err);
    free(present);
    if (st == ST_OK)
        *ret_write = w;
    else
        row_write_release(&w);
    return st;
}

int row_write_from_batch(const struct batch *batch, struct region_metadata *metadata, struct budget *budget, struct row_write *ret_write,
                         struct error *err)
{
    struct row_write w;
    struct column **tags = calloc(metadata->n_key + 1, sizeof *tags);
    if (!tags)
        return error_no_memory(err, metadata->n_key * sizeof *tags);
    int st = row_write_adopt(batch->n_rows, batch->schema->fields, batch->columns, batch->schema->n_fields, metadata, tags, budget, &w, err);
    if (st == ST_OK && metadata->n_key && !w.spans_are_keys && (st = row_write_make_keys(&w, append_batch_key, &(struct batch_tags){metadata, tags}, err)) != ST_OK) /* tags beside whole keys say nothing new */
        row_write_release(&w);
    free(tags);
    TRY(st);
    row_write_time_bounds(&w);
    *ret_write = w;
    return ST_OK;
}
