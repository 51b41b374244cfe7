/* Row writes to columns. The picture of a request as it arrives:
 *
 *   Rows     { schema: ColumnSchema*, rows: Row* }
 *   Row      0A len Value  0A len Value ...        one Value per schema column, in schema order
 *   Value    key payload                           nothing at all = NULL
 *
 * Three steps: plan (match the schema with the region's columns, choose a decoder per column), decode (one pass over the rows),
 * finish (fill in missing columns). The rows of TSBS hold 21 values; the loop body of decode_row() is what ingestion costs.
 */
#include "format/rows/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "format/rows/internal.h"
#include "format/rows/values.h"

struct slot { /* one column of the request's schema */
    const struct region_column *column;
    uint32_t index; /* into metadata->columns */
    struct value_form form;
    int32_t tag;         /* position in the primary key, -1 for others */
    uint32_t tag_run;    /* so many tags stand here, in key order, as spans of the request */
    uint32_t short_head; /* of an Int64: `0A 02 key`, what stands before a value below 128; else 0 */
    bool is_time;
    bool is_whole_key; /* __primary_key; then nothing else is set */
    struct buffer *values, *validity, *bytes;
    struct column_builder nested;
    bool has_nested;
    int64_t nulls;
};

struct decoder {
    struct region_metadata *meta;
    struct row_write *out;
    struct slot *slots;
    uint32_t n_slots, n_planned; /* slots ready, slots allocated */
    int64_t n_rows;
    bool whole_keys;        /* a column holds encoded keys: tags are not told */
    bool tags_in_order;     /* all tags present, side by side and in key order: spans point into the request */
    const uint8_t **tag_at; /* per key column: where its `0A len value` stands in the current row; NULL = missing column */
    uint32_t *tag_size;
    struct dynbuf scratch_spans; /* for spans put together by hand */
};

static bool count(const uint8_t *rows, size_t size, int64_t *ret_rows, uint32_t *ret_columns)
{
    struct pb_reader r = pb_reader_of(rows, size);
    struct pb_field f;
    int64_t n = 0;
    uint32_t columns = 0;
    while (pb_next(&r, &f)) {
        n += f.number == 2 && f.wire == PB_BYTES;
        columns += f.number == 1 && f.wire == PB_BYTES;
    }
    *ret_rows = n;
    *ret_columns = columns;
    return pb_done(&r);
}

bool rows_count(const uint8_t *rows, size_t size, int64_t *ret_rows)
{
    uint32_t columns;
    return count(rows, size, ret_rows, &columns);
}

/* ---- plan ---- */

bool wire_column_read(const struct pb_field *message, struct wire_column *ret_column)
{
    struct pb_reader r = pb_inside(message);
    struct pb_field f;
    *ret_column = (struct wire_column){.name = ""};
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES) {
            ret_column->name = (const char *)f.data;
            ret_column->name_size = f.size;
        } else if (f.number == 2) {
            ret_column->datatype = (int32_t)f.value;
        } else if (f.number == 3) {
            ret_column->semantic = (int32_t)f.value;
        } else if (f.number == 4) {
            ret_column->extension = f;
        }
    }
    return pb_done(&r);
}

/* Precision and scale of ColumnDataTypeExtension.decimal_type = 1; (38, 10) without it. */
static void read_decimal_extension(const struct pb_field *extension, uint64_t *ret_precision, uint64_t *ret_scale)
{
    struct pb_reader r = pb_inside(extension);
    struct pb_field f, part;
    *ret_precision = 38;
    *ret_scale = 10;
    while (extension->data && pb_next(&r, &f)) {
        if (f.number != 1 || f.wire != PB_BYTES)
            continue;
        *ret_precision = *ret_scale = 0;
        for (struct pb_reader inside = pb_inside(&f); pb_next(&inside, &part);) {
            if (part.number == 1)
                *ret_precision = part.value;
            else if (part.number == 2)
                *ret_scale = part.value;
        }
    }
}

int wire_column_check(const struct wire_column *w, const struct region_column *c, struct error *err)
{
    int32_t datatype = w->datatype == 14 ? 17 : w->datatype; /* DATETIME is a timestamp in microseconds */
    bool good = datatype == c->wire_type;
    if (good && c->type->id == TYPE_DECIMAL128) {
        uint64_t precision, scale;
        read_decimal_extension(&w->extension, &precision, &scale);
        good = precision == c->type->precision && (int8_t)scale == c->type->scale;
    }
    /* Binary is accepted for vectors and JSON: their bytes are the same (region-rpc.md 3.1). */
    if (!good && datatype == 11 && (c->logical == LOGICAL_VECTOR || c->logical == LOGICAL_JSONB))
        good = true;
    if (!good)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s expect type %d, given: %d", c->name, c->wire_type, w->datatype);
    if (w->semantic != (int32_t)c->semantic)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s has semantic type %d, given: %d", c->name, (int)c->semantic, w->semantic);
    return ST_OK;
}

static int32_t tag_position(const struct region_metadata *m, uint32_t index)
{
    for (uint32_t k = 0; k < m->n_key; k++)
        if (m->key[k] == index)
            return (int32_t)k;
    return -1;
}

static int plan_whole_key(struct decoder *d, struct slot *s, const struct wire_column *w, struct error *err)
{
    if (d->whole_keys || w->datatype != 11 || w->semantic != SEMANTIC_TAG || !d->meta->n_key)
        return error_set(err, ST_INVALID_ARGUMENTS,
                         "column " KEY_NAME_WHOLE " must be the only one of its name, a binary tag of a region with a primary key");
    *s = (struct slot){.index = UINT32_MAX, .tag = -1, .is_whole_key = true};
    d->whole_keys = true;
    d->out->spans_are_keys = d->out->keys_unchecked = true;
    return ST_OK;
}

static int plan_slot(struct decoder *d, struct slot *s, const struct wire_column *w, struct error *err)
{
    if (w->name_size == sizeof KEY_NAME_WHOLE - 1 && memcmp(w->name, KEY_NAME_WHOLE, w->name_size) == 0)
        return plan_whole_key(d, s, w, err);
    int index = region_metadata_find(d->meta, w->name, w->name_size);
    if (index < 0)
        return error_set(err, ST_INVALID_ARGUMENTS, "unknown column %.*s", (int)(w->name_size < 200 ? w->name_size : 200), w->name);
    s->index = (uint32_t)index;
    s->column = &d->meta->columns[index];
    TRY(wire_column_check(w, s->column, err));
    for (struct slot *other = d->slots; other < s; other++)
        if (other->index == s->index)
            return error_set(err, ST_INVALID_ARGUMENTS, "duplicate column %s", s->column->name);
    TRY(value_form_of(s->column, &s->form, err));
    s->tag = s->column->semantic == SEMANTIC_TAG ? tag_position(d->meta, s->index) : -1;
    s->is_time = s->index == d->meta->time_index;
    return ST_OK;
}

static int slot_buffers(struct decoder *d, struct slot *s, struct error *err)
{
    struct budget *budget = d->out->budget;
    size_t n = (size_t)d->n_rows;
    if (s->tag >= 0 || s->is_whole_key)
        return ST_OK;
    if (s->form.kind == VALUE_NESTED) {
        TRY(column_builder_init(&s->nested, budget, s->column->type, err));
        s->has_nested = true;
        return ST_OK;
    }
    if (s->form.kind == VALUE_BOOL)
        return buffer_new(budget, bits_bytes(d->n_rows), &s->values, err);
    if (s->form.kind == VALUE_BYTES) {
        TRY(buffer_new_uninit(budget, (n + 1) * 4, &s->values, err));
        ((int32_t *)(void *)s->values->data)[0] = 0;
        TRY(buffer_new_uninit(budget, n * 16, &s->bytes, err));
        s->bytes->size = 0;
        return ST_OK;
    }
    return buffer_new_uninit(budget, n * (size_t)s->form.width, &s->values, err);
}

/* Whether tags may stay where they are in the request, and which values can be read the short way. */
static int plan_ways(struct decoder *d, struct error *err)
{
    int32_t expect = 0;
    bool in_order = true;
    uint32_t first = 0;
    for (uint32_t i = 0; i < d->n_slots; i++) {
        struct slot *s = &d->slots[i];
        if (d->whole_keys && s->tag >= 0)
            return error_set(err, ST_INVALID_ARGUMENTS, "tag %s stands beside " KEY_NAME_WHOLE, s->column->name);
        if (s->tag < 0) {
            if (!s->is_whole_key && s->form.kind == VALUE_INT && s->form.width == 8 && s->form.key_size == 1)
                s->short_head = 0x020a | (uint32_t)s->form.key[0] << 16;
            in_order = in_order && (expect == 0 || expect == (int32_t)d->meta->n_key);
            continue;
        }
        first = expect == 0 ? i : first;
        in_order = in_order && s->tag == expect++;
    }
    if (in_order && expect && expect == (int32_t)d->meta->n_key)
        d->slots[first].tag_run = d->meta->n_key;
    d->tags_in_order = d->n_slots && d->slots[first].tag_run;
    return ST_OK;
}

static int plan(struct decoder *d, const uint8_t *rows, size_t size, uint32_t n, struct error *err)
{
    struct pb_reader r = pb_reader_of(rows, size);
    struct pb_field f;
    struct wire_column w;
    d->n_rows = d->out->n_rows;
    if (n > d->meta->n_columns)
        return error_set(err, ST_INVALID_ARGUMENTS, "the write has %u columns, the region %u", n, d->meta->n_columns);
    d->n_planned = n;
    d->slots = calloc(n ? n : 1, sizeof *d->slots);
    d->tag_at = calloc(d->meta->n_key + 1, sizeof *d->tag_at);
    d->tag_size = calloc(d->meta->n_key + 1, sizeof *d->tag_size);
    if (!d->slots || !d->tag_at || !d->tag_size)
        return error_no_memory(err, n * sizeof *d->slots);
    while (pb_next(&r, &f)) {
        if (f.number != 1 || f.wire != PB_BYTES)
            continue;
        if (!wire_column_read(&f, &w))
            return error_set(err, ST_INVALID_ARGUMENTS, "a column schema is malformed protobuf");
        TRY(plan_slot(d, &d->slots[d->n_slots], &w, err));
        TRY(slot_buffers(d, &d->slots[d->n_slots], err));
        d->n_slots++;
    }
    return plan_ways(d, err);
}

/* ---- decode ---- */

static int put_null(struct decoder *d, struct slot *s, int64_t row, struct error *err)
{
    if (!s->column->nullable)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s is not null but input has null", s->column->name);
    if (s->has_nested)
        return column_builder_append_null(&s->nested, err);
    if (!s->validity) {
        TRY(buffer_new(d->out->budget, bits_bytes(d->n_rows), &s->validity, err));
        bits_fill(s->validity->data, 0, d->n_rows, true);
    }
    bit_clear(s->validity->data, row);
    s->nulls++;
    if (s->form.kind == VALUE_BYTES) {
        int32_t *o = (int32_t *)(void *)s->values->data;
        o[row + 1] = o[row];
    } else if (s->form.kind != VALUE_BOOL) {
        memset(s->values->data + row * s->form.width, 0, (size_t)s->form.width);
    }
    return ST_OK;
}

static int put_bytes(struct slot *s, int64_t row, const uint8_t *data, size_t size, struct error *err)
{
    size_t at = s->bytes->size, end = at + size;
    if (end > INT32_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s has more than 2 GiB in one write", s->column->name);
    if (s->column->logical == LOGICAL_VECTOR && size != (size_t)s->column->vector_dim * 4)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s takes vectors of %u dimensions, given %zu bytes", s->column->name,
                         s->column->vector_dim, size);
    if (type_is_string(s->column->type) && !utf8_valid(data, size))
        return error_set(err, ST_INVALID_ARGUMENTS, "a value of column %s is not UTF-8", s->column->name);
    if (end > s->bytes->capacity) {
        size_t keep = s->bytes->size;
        TRY(buffer_resize(s->bytes, end + end / 2, err));
        s->bytes->size = keep;
    }
    memcpy(s->bytes->data + at, data, size);
    s->bytes->size = end;
    ((int32_t *)(void *)s->values->data)[row + 1] = (int32_t)end;
    return ST_OK;
}

/* Any value in any legal encoding; the fast path in decode_row() takes nearly all. */
static int put_general(struct decoder *d, struct slot *s, int64_t row, const uint8_t *v, size_t size, struct error *err)
{
    struct pb_field m;
    bool present;
    if (!value_member(v, size, &m, &present))
        return error_set(err, ST_INVALID_ARGUMENTS, "a value of column %s is malformed protobuf", s->column->name);
    if (!present)
        return put_null(d, s, row, err);
    bool bytes_for_json = s->column->logical == LOGICAL_JSONB && m.number == 12;
    if (m.number != s->form.field && !bytes_for_json && !(m.number == 15 && s->form.field == 18))
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s has a value of another type (member %u)", s->column->name, m.number);
    switch (s->form.kind) {
    case VALUE_BOOL:
        if (m.wire == PB_BYTES)
            return error_set(err, ST_INVALID_ARGUMENTS, "a value of column %s is malformed", s->column->name);
        bit_put(s->values->data, row, m.value != 0);
        return ST_OK;
    case VALUE_BYTES:
        if (m.wire != PB_BYTES)
            return error_set(err, ST_INVALID_ARGUMENTS, "a value of column %s is malformed", s->column->name);
        return put_bytes(s, row, m.data, m.size, err);
    case VALUE_NESTED:
        return value_append_nested(&s->nested, &m, 0, err);
    default:
        return value_to_fixed(&s->form, &m, s->values->data + row * s->form.width, err);
    }
}

static inline int put_value(struct decoder *d, struct slot *s, int64_t row, const uint8_t *v, const uint8_t *end, struct error *err)
{
    const struct value_form *f = &s->form;
    uint64_t n;
    if (v == end)
        return put_null(d, s, row, err);
    if (end - v <= f->key_size || v[0] != f->key[0] || (f->key_size == 2 && v[1] != f->key[1]))
        return put_general(d, s, row, v, (size_t)(end - v), err);
    const uint8_t *p = v + f->key_size;
    switch (f->kind) {
    case VALUE_INT:
        if (!whole_varint(p, end, &n))
            break;
        if (f->width == 8)
            ((uint64_t *)(void *)s->values->data)[row] = n;
        else
            memcpy(s->values->data + row * f->width, &n, (size_t)f->width);
        return ST_OK;
    case VALUE_FIXED64:
        if (end - p != 8)
            break;
        memcpy(s->values->data + row * 8, p, 8);
        return ST_OK;
    case VALUE_FIXED32:
        if (end - p != 4)
            break;
        memcpy(s->values->data + row * 4, p, 4);
        return ST_OK;
    case VALUE_BYTES: {
        struct pb_reader r = {p, end};
        if (!pb_varint(&r, &n) || n != (uint64_t)(end - r.p))
            break;
        return put_bytes(s, row, r.p, (size_t)n, err);
    }
    default:
        break;
    }
    return put_general(d, s, row, v, (size_t)(end - v), err);
}

/* Puts the span of a row together when its tags are not side by side in key order. */
static int assemble_span(struct decoder *d, int64_t row, struct error *err)
{
    size_t start = d->scratch_spans.size;
    for (uint32_t k = 0; k < d->meta->n_key; k++) {
        if (d->tag_at[k])
            TRY(dynbuf_append(&d->scratch_spans, d->tag_at[k], d->tag_size[k], err));
        else
            TRY(dynbuf_append_byte(&d->scratch_spans, 0x0b, err)); /* no wire tag: cannot be mistaken for one */
    }
    /* The offset stands in for the address until the buffer has stopped moving. */
    d->out->spans[row] = (struct key_span){(const uint8_t *)start, (uint32_t)(d->scratch_spans.size - start)};
    return ST_OK;
}

/* The bytes of a row's __primary_key. */
static int put_whole_key(struct decoder *d, int64_t row, const uint8_t *v, const uint8_t *end, struct error *err)
{
    struct pb_field m;
    bool present;
    if (!value_member(v, (size_t)(end - v), &m, &present) || !present || m.number != 12 || m.wire != PB_BYTES || m.size > UINT32_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "row %lld has no " KEY_NAME_WHOLE, (long long)row);
    d->out->spans[row] = (struct key_span){m.data, (uint32_t)m.size};
    return ST_OK;
}

/* n values that are shorter than 128 bytes each; *p moves behind them. */
static inline bool skip_short_values(const uint8_t **p, const uint8_t *end, uint32_t n)
{
    const uint8_t *at = *p;
    for (uint32_t i = 0; i < n; i++) {
        if (end - at < 2 || at[0] != 0x0a || at[1] >= 0x80)
            return false;
        at += 2 + at[1];
    }
    if (at > end)
        return false;
    *p = at;
    return true;
}

static int decode_row(struct decoder *d, int64_t row, const uint8_t *p, const uint8_t *end, struct error *err)
{
    const uint8_t *first_tag = NULL, *behind_tags = NULL;
    for (uint32_t i = 0; i < d->n_slots; i++) {
        struct slot *s = &d->slots[i];
        const uint8_t *start = p, *value;
        if (s->short_head && end - p >= 4 && (load_le32(p) & 0x80ffffff) == s->short_head) {
            ((uint64_t *)(void *)s->values->data)[row] = p[3];
            p += 4;
            continue;
        }
        if (s->tag_run && skip_short_values(&p, end, s->tag_run)) {
            first_tag = start;
            behind_tags = p;
            i += s->tag_run - 1;
            continue;
        }
        if (!row_next_value(&p, end, &value))
            return error_set(err, ST_INVALID_ARGUMENTS, "row %lld has %u values, its schema %u", (long long)row, i, d->n_slots);
        if (s->tag >= 0) {
            if (!first_tag)
                first_tag = start;
            behind_tags = p;
            d->tag_at[s->tag] = start;
            d->tag_size[s->tag] = (uint32_t)(p - start);
        } else if (s->is_whole_key) {
            TRY(put_whole_key(d, row, value, p, err));
        } else {
            TRY(put_value(d, s, row, value, p, err));
        }
    }
    if (p != end)
        return error_set(err, ST_INVALID_ARGUMENTS, "row %lld has more values than its schema's %u", (long long)row, d->n_slots);
    if (d->whole_keys)
        return ST_OK;
    if (d->meta->n_key && d->tags_in_order)
        d->out->spans[row] = (struct key_span){first_tag, (uint32_t)(behind_tags - first_tag)};
    else if (d->meta->n_key)
        return assemble_span(d, row, err);
    return ST_OK;
}

static int decode_rows(struct decoder *d, const uint8_t *rows, size_t size, struct error *err)
{
    struct pb_reader r = pb_reader_of(rows, size);
    struct pb_field f;
    int64_t row = 0;
    while (pb_next(&r, &f)) {
        if (f.number == 2 && f.wire == PB_BYTES) {
            TRY(decode_row(d, row, f.data, f.data + f.size, err));
            row++;
        }
    }
    return ST_OK;
}

/* ---- finish ---- */

static int finish_slot(struct decoder *d, struct slot *s, struct error *err)
{
    if (s->tag >= 0 || s->is_whole_key)
        return ST_OK;
    struct column **out = &d->out->columns[s->index];
    if (s->has_nested)
        return column_builder_finish(&s->nested, out, err);
    struct buffer *validity = s->validity, *values = s->values, *bytes = s->bytes;
    s->validity = s->values = s->bytes = NULL;
    if (s->is_time) {
        d->out->times = values;
        buffer_unref(validity);
        buffer_unref(bytes);
        return ST_OK;
    }
    return column_new(s->column->type, d->n_rows, s->nulls, validity, values, bytes, out, err);
}

static void finish_spans(struct decoder *d)
{
    struct row_write *w = d->out;
    if (!d->meta->n_key)
        return;
    for (int64_t i = 0; i < w->n_rows; i++) {
        if (!d->tags_in_order && !d->whole_keys)
            w->spans[i].data = d->scratch_spans.data + (size_t)w->spans[i].data;
        w->hashes[i] = hash_bytes(w->spans[i].data, w->spans[i].size);
    }
}

static int finish(struct decoder *d, struct error *err)
{
    struct row_write *w = d->out;
    bool *present = calloc(d->meta->n_columns, sizeof *present);
    int st = present ? ST_OK : error_no_memory(err, d->meta->n_columns);
    for (uint32_t i = 0; st == ST_OK && i < d->n_slots; i++) {
        if (!d->slots[i].is_whole_key)
            present[d->slots[i].index] = true;
        st = finish_slot(d, &d->slots[i], err);
    }
    for (uint32_t k = 0; st == ST_OK && d->whole_keys && k < d->meta->n_key; k++)
        present[d->meta->key[k]] = true;
    for (uint32_t i = 0; st == ST_OK && i < d->meta->n_columns; i++)
        if (!present[i])
            st = row_write_fill_missing(w, i, err);
    free(present);
    TRY(st);
    finish_spans(d);
    if (d->scratch_spans.data) {
        TRY(buffer_wrap(d->scratch_spans.data, d->scratch_spans.size, free, d->scratch_spans.data, &w->scratch, err));
        d->scratch_spans = (struct dynbuf){0};
    }
    return ST_OK;
}

int row_write_decode(const uint8_t *rows, size_t size, struct region_metadata *metadata, bool is_delete, struct budget *budget,
                     struct row_write *ret_write, struct error *err)
{
    struct row_write w = {.budget = budget};
    struct decoder d = {.meta = metadata, .out = &w};
    dynbuf_init(&d.scratch_spans, SIZE_MAX / 2);
    int64_t n_rows;
    uint32_t n_columns;
    if (!count(rows, size, &n_rows, &n_columns))
        return error_set(err, ST_INVALID_ARGUMENTS, "the rows of a write are malformed protobuf");
    TRY(row_write_alloc(&w, metadata, n_rows, is_delete, budget, err));
    int st = plan(&d, rows, size, n_columns, err);
    if (st == ST_OK)
        st = decode_rows(&d, rows, size, err);
    if (st == ST_OK)
        st = finish(&d, err);
    for (uint32_t i = 0; d.slots && i < d.n_planned; i++) {
        buffer_unref(d.slots[i].values);
        buffer_unref(d.slots[i].validity);
        buffer_unref(d.slots[i].bytes);
        if (d.slots[i].has_nested)
            column_builder_release(&d.slots[i].nested);
    }
    free(d.slots);
    free(d.tag_at);
    free(d.tag_size);
    dynbuf_release(&d.scratch_spans);
    if (st != ST_OK) {
        row_write_release(&w);
        return st;
    }
    row_write_time_bounds(&w);
    *ret_write = w;
    return ST_OK;
}
