/* Rows back to the wire: what the log keeps of writes that did not arrive in the region's own form (wal.md 2.1). */
#include <string.h>

#include "format/rows/internal.h"
#include "format/rows/values.h"

struct out_column {
    const struct region_column *column;
    struct value_form form;
    const double *values;
    const struct column *nulls;
};

static int put_schema(struct dynbuf *out, const char *name, int32_t datatype, enum semantic_type semantic, struct error *err)
{
    uint8_t head[32], *p = head;
    size_t n = strlen(name);
    size_t inside = 1 + pb_varint_size(n) + n + 1 + pb_varint_size((uint64_t)datatype) + (semantic ? 2 : 0);
    *p++ = 0x0a;
    p = pb_write_varint(p, inside);
    *p++ = 0x0a;
    p = pb_write_varint(p, n);
    TRY(dynbuf_append(out, head, (size_t)(p - head), err));
    TRY(dynbuf_append(out, name, n, err));
    p = head;
    *p++ = 0x10;
    p = pb_write_varint(p, (uint64_t)datatype);
    if (semantic) {
        *p++ = 0x18;
        *p++ = (uint8_t)semantic;
    }
    return dynbuf_append(out, head, (size_t)(p - head), err);
}

/* The one field that such regions have, or none. */
static int find_field(const struct row_write *w, struct out_column *ret, bool *ret_has, struct error *err)
{
    const struct region_metadata *m = w->metadata;
    *ret_has = false;
    for (uint32_t i = 0; i < m->n_columns; i++) {
        if (m->columns[i].semantic != SEMANTIC_FIELD || !w->columns[i])
            continue;
        if (*ret_has || m->columns[i].type->id != TYPE_FLOAT64)
            return error_set(err, ST_UNSUPPORTED, "only regions with one Float64 field take such rows");
        *ret = (struct out_column){.column = &m->columns[i], .values = COLUMN_VALUES(w->columns[i], double), .nulls = w->columns[i]};
        TRY(value_form_of(ret->column, &ret->form, err));
        *ret_has = true;
    }
    return ST_OK;
}

/* Wire bytes of a row but for its key: 0A len 0A len 62 len <key> 0A len <time> 0A len <value>. */
static uint8_t *put_row(uint8_t *p, struct key_span key, const struct value_form *time_form, int64_t time, const struct out_column *field, int64_t i)
{
    size_t value = 1 + pb_varint_size(key.size) + key.size, t = 2 + pb_varint_size((uint64_t)time);
    bool null = field && column_is_null(field->nulls, i);
    size_t row = 1 + pb_varint_size(value) + value + 2 + t + (field ? 2 + (null ? 0 : 9) : 0);
    *p++ = 0x12;
    p = pb_write_varint(p, row);
    *p++ = 0x0a;
    p = pb_write_varint(p, value);
    *p++ = 0x62;
    p = pb_write_varint(p, key.size);
    memcpy(p, key.data, key.size);
    p += key.size;
    *p++ = 0x0a;
    *p++ = (uint8_t)t;
    *p++ = time_form->key[0];
    *p++ = time_form->key[1];
    p = pb_write_varint(p, (uint64_t)time);
    if (field) {
        *p++ = 0x0a;
        *p++ = null ? 0 : 9;
        if (!null) {
            *p++ = field->form.key[0];
            memcpy(p, field->values + i, 8);
            p += 8;
        }
    }
    return p;
}

int row_write_encode_rows(const struct row_write *w, const struct key_span *keys, struct dynbuf *out, struct error *err)
{
    enum { ROW_BYTES_MAX = 64 }; /* but for the key */
    const struct region_column *time = &w->metadata->columns[w->metadata->time_index];
    const int64_t *times = (const int64_t *)(const void *)w->times->data;
    struct value_form time_form;
    struct out_column field = {0};
    bool has_field;
    size_t bytes = 0;
    TRY(value_form_of(time, &time_form, err));
    TRY(find_field(w, &field, &has_field, err));
    TRY(put_schema(out, KEY_NAME_WHOLE, 11, SEMANTIC_TAG, err));
    TRY(put_schema(out, time->name, time->wire_type, SEMANTIC_TIMESTAMP, err));
    if (has_field)
        TRY(put_schema(out, field.column->name, field.column->wire_type, SEMANTIC_FIELD, err));
    for (int64_t i = 0; i < w->n_rows; i++)
        bytes += ROW_BYTES_MAX + keys[i].size;
    TRY(dynbuf_reserve(out, bytes, err));
    uint8_t *p = out->data + out->size;
    for (int64_t i = 0; i < w->n_rows; i++)
        p = put_row(p, keys[i], &time_form, times[i], has_field ? &field : NULL, i);
    out->size = (size_t)(p - out->data);
    return ST_OK;
}
