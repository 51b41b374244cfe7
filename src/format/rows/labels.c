/* Writes of the metric engine's logical tables as rows of their common data region.
 *
 * Many tables, one pass: times and values of all rows go into two shared buffers; labels stay as they came (rows.h), a span per row, and each table
 * adds one layout that says what its spans mean. A key, and the tsid in it, is made for spans that the series dictionary meets for the first time.
 * Sources: metric-engine.md 8.2 to 8.5.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "format/key/key.h"
#include "format/rows/internal.h"
#include "format/rows/values.h"

enum place_kind { PLACE_LABEL, PLACE_TIME, PLACE_VALUE };

struct label_decoder {
    struct row_write *out;
    struct region_metadata *meta;
    const struct region_column *time, *value;
    uint32_t value_index;
    struct value_form time_form, value_form;
    struct buffer *values, *validity;
    int64_t nulls, row;
    struct buffer *scratch; /* spans of tables whose labels do not stand side by side */
    size_t wire_bytes;      /* of all tables */
    uint8_t *kinds;         /* enum place_kind per column of the current table's rows */
    uint32_t n_kinds, kinds_room, labels_max;
    bool has_value, adjacent;
    const uint8_t *schema; /* the wire bytes of the last table's column schemas, if they were in one piece */
    size_t schema_size;
};

/* ---- layouts ---- */

static int find_roles(struct label_decoder *d, struct error *err)
{
    const struct region_metadata *m = d->meta;
    d->time = &m->columns[m->time_index];
    for (uint32_t i = 0; i < m->n_columns; i++) {
        if (m->columns[i].semantic != SEMANTIC_FIELD)
            continue;
        if (d->value || m->columns[i].type->id != TYPE_FLOAT64)
            return error_set(err, ST_INVALID_ARGUMENTS, "region %llu has not just one field of Float64", (unsigned long long)m->region_id);
        d->value = &m->columns[i];
        d->value_index = i;
    }
    if (!d->value)
        return error_set(err, ST_INVALID_ARGUMENTS, "region %llu has no field", (unsigned long long)m->region_id);
    TRY(value_form_of(d->time, &d->time_form, err));
    return value_form_of(d->value, &d->value_form, err);
}

static int add_kind(struct label_decoder *d, enum place_kind kind, struct error *err)
{
    if (d->n_kinds == d->kinds_room) {
        uint32_t room = d->kinds_room ? d->kinds_room * 2 : 32;
        uint8_t *more = realloc(d->kinds, room);
        if (!more)
            return error_no_memory(err, room);
        d->kinds = more;
        d->kinds_room = room;
    }
    d->kinds[d->n_kinds++] = (uint8_t)kind;
    return ST_OK;
}

/* One column of a table's rows; `columns` collects the labels. */
static int plan_column(struct label_decoder *d, const struct wire_column *w, uint32_t *columns, uint32_t *n_labels, bool *has_time, struct error *err)
{
    int index = region_metadata_find(d->meta, w->name, w->name_size);
    if (index < 0)
        return error_set(err, ST_COLUMN_NOT_FOUND, "Column not found: %.*s in region %llu", (int)(w->name_size < 200 ? w->name_size : 200), w->name,
                         (unsigned long long)d->meta->region_id);
    const struct region_column *c = &d->meta->columns[index];
    TRY(wire_column_check(w, c, err));
    bool *once = c == d->time ? has_time : c == d->value ? &d->has_value : NULL;
    if (once && *once)
        return error_set(err, ST_INVALID_ARGUMENTS, "duplicate column %s", c->name);
    if (once) {
        *once = true;
        return add_kind(d, c == d->time ? PLACE_TIME : PLACE_VALUE, err);
    }
    if (!type_is_string(c->type))
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s is no label", c->name);
    columns[(*n_labels)++] = (uint32_t)index;
    return add_kind(d, PLACE_LABEL, err);
}

struct named {
    const char *name;
    uint32_t place;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static int sort_labels(struct label_decoder *d, struct key_layout *l, struct error *err)
{
    struct arena *arena = &d->out->arena;
    struct named *order = ARENA_ARRAY(arena, l->n_labels + 1, struct named, err);
    uint32_t *places = ARENA_ARRAY(arena, l->n_labels + 1, uint32_t, err);
    if (!order || !places)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < l->n_labels; i++)
        order[i] = (struct named){d->meta->columns[l->columns[i]].name, i};
    qsort(order, l->n_labels, sizeof *order, by_name);
    for (uint32_t i = 0; i < l->n_labels; i++) {
        places[i] = order[i].place;
        if (i && strcmp(order[i].name, order[i - 1].name) == 0)
            return error_set(err, ST_INVALID_ARGUMENTS, "duplicate column %s", order[i].name);
    }
    l->by_name = places;
    return ST_OK;
}

/* What makes the layout's spans mean what they do. */
static int identify(struct label_decoder *d, struct key_layout *l, struct error *err)
{
    uint32_t *identity = ARENA_ARRAY(&d->out->arena, (size_t)l->n_labels + 1, uint32_t, err);
    if (!identity)
        return ST_NO_MEMORY;
    identity[0] = l->table_id;
    for (uint32_t i = 0; i < l->n_labels; i++)
        identity[i + 1] = d->meta->columns[l->columns[i]].id;
    l->identity = identity;
    l->hash = hash_bytes(identity, ((size_t)l->n_labels + 1) * sizeof *identity);
    return ST_OK;
}

/* The wire bytes of the column schemas when they lead the message in one piece; their number in *ret_n. */
static size_t schema_prefix(const uint8_t *rows, size_t size, uint32_t *ret_n)
{
    struct pb_reader r = pb_reader_of(rows, size);
    struct pb_field f;
    size_t end = 0;
    *ret_n = 0;
    while (pb_next(&r, &f) && f.number == 1 && f.wire == PB_BYTES) {
        end = (size_t)(r.p - rows);
        ++*ret_n;
    }
    return end;
}

static int plan_schema(struct label_decoder *d, const struct label_rows *t, uint32_t n, struct key_layout *l, struct error *err)
{
    struct pb_reader r = pb_reader_of(t->rows, t->size);
    struct pb_field f;
    struct wire_column w;
    bool has_time = false;
    uint32_t *columns = ARENA_ARRAY(&d->out->arena, (size_t)n + 1, uint32_t, err);
    if (!columns)
        return ST_NO_MEMORY;
    d->n_kinds = 0;
    d->has_value = false;
    while (pb_next(&r, &f) && f.number == 1 && f.wire == PB_BYTES) {
        if (!wire_column_read(&f, &w))
            return error_set(err, ST_INVALID_ARGUMENTS, "a column schema is malformed protobuf");
        TRY(plan_column(d, &w, columns, &l->n_labels, &has_time, err));
    }
    if (!has_time)
        return error_set(err, ST_INVALID_ARGUMENTS, "missing required time index column %s", d->time->name);
    uint32_t first = 0, last = 0, labels = 0;
    for (uint32_t i = 0; i < d->n_kinds; i++)
        if (d->kinds[i] == PLACE_LABEL) {
            first = labels++ ? first : i;
            last = i;
        }
    d->adjacent = labels == 0 || last - first + 1 == labels;
    l->columns = columns;
    return sort_labels(d, l, err);
}

static int plan_table(struct label_decoder *d, const struct label_rows *t, struct error *err)
{
    struct key_layout *l = &d->out->layouts[d->out->n_layouts];
    uint32_t n;
    size_t size = schema_prefix(t->rows, t->size, &n);
    *l = (struct key_layout){.first_row = d->row, .table_id = t->table_id};
    if (d->schema && size == d->schema_size && memcmp(d->schema, t->rows, size) == 0) { /* tables of one shape often follow each other */
        l->n_labels = l[-1].n_labels;
        l->columns = l[-1].columns;
        l->by_name = l[-1].by_name;
    } else {
        TRY(plan_schema(d, t, n, l, err));
        d->schema = t->rows;
        d->schema_size = size;
    }
    d->labels_max = l->n_labels > d->labels_max ? l->n_labels : d->labels_max;
    d->out->n_layouts++;
    return identify(d, l, err);
}

/* ---- rows ---- */

static int bad_value(const struct region_column *c, struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "a value of column %s is malformed or of another type", c->name);
}

/* A value in any legal encoding. */
static int put_general(const struct region_column *c, const struct value_form *form, const uint8_t *v, const uint8_t *end, void *out,
                       bool *ret_present, struct error *err)
{
    struct pb_field m;
    if (!value_member(v, (size_t)(end - v), &m, ret_present))
        return bad_value(c, err);
    if (!*ret_present)
        return c->nullable ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "column %s is not null but input has null", c->name);
    if (m.number != form->field && !(m.number == 15 && form->field == 18))
        return bad_value(c, err);
    return value_to_fixed(form, &m, out, err);
}

static int put_time(struct label_decoder *d, const uint8_t *v, const uint8_t *end, struct error *err)
{
    const struct value_form *f = &d->time_form;
    int64_t *out = (int64_t *)(void *)d->out->times->data + d->row;
    bool present;
    if (end - v > 2 && v[0] == f->key[0] && v[1] == f->key[1] && whole_varint(v + 2, end, (uint64_t *)out))
        return ST_OK;
    return put_general(d->time, f, v, end, out, &present, err);
}

static int set_nulls(struct label_decoder *d, int64_t from, int64_t n, struct error *err)
{
    if (!d->validity) {
        TRY(buffer_new(d->out->budget, bits_bytes(d->out->n_rows), &d->validity, err));
        bits_fill(d->validity->data, 0, d->out->n_rows, true);
    }
    bits_fill(d->validity->data, from, n, false);
    memset(d->values->data + from * 8, 0, (size_t)n * 8);
    d->nulls += n;
    return ST_OK;
}

static int put_number(struct label_decoder *d, const uint8_t *v, const uint8_t *end, struct error *err)
{
    bool present;
    if (end - v == 9 && v[0] == d->value_form.key[0]) {
        memcpy(d->values->data + d->row * 8, v + 1, 8);
        return ST_OK;
    }
    TRY(put_general(d->value, &d->value_form, v, end, d->values->data + d->row * 8, &present, err));
    return present ? ST_OK : set_nulls(d, d->row, 1, err);
}

static int decode_row(struct label_decoder *d, const struct key_layout *l, const uint8_t *p, const uint8_t *end, struct error *err)
{
    const uint8_t *first = p, *behind = p, *value;
    uint8_t *gathered = d->scratch ? d->scratch->data + d->scratch->size : NULL;
    bool any = false;
    for (uint32_t i = 0; i < d->n_kinds; i++) {
        const uint8_t *start = p;
        if (!row_next_value(&p, end, &value))
            return error_set(err, ST_INVALID_ARGUMENTS, "row %lld has %u values, its schema %u", (long long)d->row, i, d->n_kinds);
        if (d->kinds[i] == PLACE_TIME) {
            TRY(put_time(d, value, p, err));
        } else if (d->kinds[i] == PLACE_VALUE) {
            TRY(put_number(d, value, p, err));
        } else if (d->adjacent) {
            first = any ? first : start;
            behind = p;
            any = true;
        } else {
            memcpy(d->scratch->data + d->scratch->size, start, (size_t)(p - start));
            d->scratch->size += (size_t)(p - start);
        }
    }
    if (p != end)
        return error_set(err, ST_INVALID_ARGUMENTS, "row %lld has more values than its schema's %u", (long long)d->row, d->n_kinds);
    struct key_span *span = &d->out->spans[d->row];
    *span = d->adjacent ? (struct key_span){first, (uint32_t)(behind - first)}
                        : (struct key_span){gathered, (uint32_t)(d->scratch->data + d->scratch->size - gathered)};
    d->out->hashes[d->row++] = hash_bytes(span->data, span->size) + l->hash * 0x9e3779b97f4a7c15u;
    return ST_OK;
}

/* The values of a table that names no value column. */
static int fill_values(struct label_decoder *d, int64_t from, struct error *err)
{
    const struct region_column *c = d->value;
    int64_t n = d->row - from;
    if (d->out->is_delete)
        return c->nullable ? set_nulls(d, from, n, err) : (memset(d->values->data + from * 8, 0, (size_t)n * 8), ST_OK);
    if (c->default_kind == DEFAULT_FUNCTION)
        return error_set(err, ST_INVALID_ARGUMENTS, "the default of column %s is a function, its value must be given", c->name);
    if (c->default_kind == DEFAULT_VALUE && !column_is_null(c->default_value, 0)) {
        for (int64_t i = from; i < d->row; i++)
            memcpy(d->values->data + i * 8, COLUMN_VALUES(c->default_value, double), 8);
        return ST_OK;
    }
    return c->nullable ? set_nulls(d, from, n, err) : error_set(err, ST_INVALID_ARGUMENTS, "missing column %s", c->name);
}

static int decode_table(struct label_decoder *d, const struct label_rows *t, struct error *err)
{
    struct pb_reader r = pb_reader_of(t->rows, t->size);
    struct pb_field f;
    bool in_rows = false;
    TRY(plan_table(d, t, err));
    const struct key_layout *l = &d->out->layouts[d->out->n_layouts - 1];
    if (!d->adjacent && !d->scratch) { /* as long as all that may follow: spans must not move */
        TRY(buffer_new_uninit(d->out->budget, d->wire_bytes, &d->scratch, err));
        d->scratch->size = 0;
    }
    while (pb_next(&r, &f)) {
        if (f.number == 2 && f.wire == PB_BYTES) {
            in_rows = true;
            TRY(decode_row(d, l, f.data, f.data + f.size, err));
        } else if (f.number == 1 && in_rows) {
            return error_set(err, ST_INVALID_ARGUMENTS, "a column schema stands behind rows");
        }
    }
    return d->has_value ? ST_OK : fill_values(d, l->first_row, err);
}

static int finish(struct label_decoder *d, struct error *err)
{
    struct row_write *w = d->out;
    w->labels = ARENA_ARRAY(&w->arena, d->labels_max + 1, struct key_label, err);
    if (!w->labels)
        return ST_NO_MEMORY;
    w->scratch = d->scratch;
    d->scratch = NULL;
    if (w->is_delete && d->value->nullable)
        return ST_OK;
    struct buffer *values = d->values, *validity = d->validity;
    d->values = d->validity = NULL;
    TRY(column_new(d->value->type, w->n_rows, d->nulls, validity, values, NULL, &w->columns[d->value_index], err));
    return ST_OK;
}

int row_write_decode_labels(const struct label_rows *tables, uint32_t n_tables, struct region_metadata *metadata, bool is_delete,
                            struct budget *budget, struct row_write *ret_write, struct error *err)
{
    struct row_write w = {0};
    struct label_decoder d = {.out = &w, .meta = metadata};
    int64_t n_rows = 0, n;
    for (uint32_t i = 0; i < n_tables; i++) {
        if (!rows_count(tables[i].rows, tables[i].size, &n))
            return error_set(err, ST_INVALID_ARGUMENTS, "the rows of a write are malformed protobuf");
        n_rows += n;
        d.wire_bytes += tables[i].size;
    }
    TRY(row_write_alloc(&w, metadata, n_rows, is_delete, budget, err));
    int st = find_roles(&d, err);
    if (st == ST_OK && !(w.layouts = ARENA_ARRAY(&w.arena, (size_t)n_tables + 1, struct key_layout, err)))
        st = ST_NO_MEMORY;
    if (st == ST_OK)
        st = buffer_new_uninit(budget, (size_t)n_rows * 8, &w.times, err);
    if (st == ST_OK)
        st = buffer_new_uninit(budget, (size_t)n_rows * 8, &d.values, err);
    for (uint32_t i = 0; i < n_tables && st == ST_OK; i++)
        st = decode_table(&d, &tables[i], err);
    if (st == ST_OK)
        st = finish(&d, err);
    buffer_unref(d.values);
    buffer_unref(d.validity);
    buffer_unref(d.scratch);
    free(d.kinds);
    if (st != ST_OK) {
        row_write_release(&w);
        return st;
    }
    row_write_time_bounds(&w);
    *ret_write = w;
    return ST_OK;
}

/* ---- keys ---- */

/* The label at *r: NULL value when it is null. */
static int read_label(struct pb_reader *r, const struct region_column *c, struct key_label *ret_label, struct error *err)
{
    const uint8_t *value;
    struct pb_field m;
    bool present;
    if (!row_next_value(&r->p, r->end, &value) || !value_member(value, (size_t)(r->p - value), &m, &present))
        return error_set(err, ST_INVALID_ARGUMENTS, "a value of column %s is malformed protobuf", c->name);
    *ret_label = (struct key_label){.column_id = c->id, .name = c->name, .name_size = strlen(c->name)};
    if (!present)
        return ST_OK;
    if (m.number != 13 || m.wire != PB_BYTES)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s has a value of another type (member %u)", c->name, m.number);
    if (!utf8_valid(m.data, m.size))
        return error_set(err, ST_INVALID_ARGUMENTS, "a value of column %s is not UTF-8", c->name);
    ret_label->value = m.data;
    ret_label->value_size = m.size;
    return ST_OK;
}

/* The dense form: every column of the region's key, absent labels null. `labels` are those present, in name order. */
static int append_dense(const struct region_metadata *m, uint32_t table_id, const struct key_label *labels, uint32_t n, struct dynbuf *out,
                        struct error *err)
{
    uint64_t tsid = key_tsid(labels, n);
    for (uint32_t k = 0; k < m->n_key; k++) {
        const struct region_column *c = &m->columns[m->key[k]];
        uint32_t i = 0;
        if (c->id == KEY_COLUMN_TABLE_ID || c->id == KEY_COLUMN_TSID) {
            TRY(key_append_fixed(out, c->type, c->id == KEY_COLUMN_TSID ? (const void *)&tsid : (const void *)&table_id, err));
            continue;
        }
        while (i < n && labels[i].column_id != c->id)
            i++;
        TRY(i < n ? key_append_string(out, labels[i].value, labels[i].value_size, err) : key_append_null(out, err));
    }
    return ST_OK;
}

int row_write_encode_labels(struct row_write *w, const struct key_layout *layout, struct key_span span, struct dynbuf *out, struct error *err)
{
    const struct region_metadata *m = w->metadata;
    struct pb_reader r = pb_reader_of(span.data, span.size);
    struct key_label *at_place = w->labels, sorted_small[32], *sorted = sorted_small;
    uint32_t n = 0;
    for (uint32_t i = 0; i < layout->n_labels; i++)
        TRY(read_label(&r, &m->columns[layout->columns[i]], &at_place[i], err));
    if (layout->n_labels > 32 && !(sorted = malloc(layout->n_labels * sizeof *sorted)))
        return error_no_memory(err, layout->n_labels * sizeof *sorted);
    for (uint32_t i = 0; i < layout->n_labels; i++)
        if (at_place[layout->by_name[i]].value)
            sorted[n++] = at_place[layout->by_name[i]];
    int st = m->sparse_key ? key_sparse_append(out, layout->table_id, sorted, n, err) : append_dense(m, layout->table_id, sorted, n, out, err);
    if (sorted != sorted_small)
        free(sorted);
    return st;
}

/* ---- Arrow batches ---- */

struct label_batch { /* columns of the batch that are labels, in name order */
    struct column **columns;
    struct key_label *labels, *row;
    uint32_t n, table_id;
};

static int append_label_key(void *ctx, int64_t row, struct dynbuf *keys, struct error *err)
{
    struct label_batch *b = ctx;
    uint32_t n = 0;
    for (uint32_t k = 0; k < b->n; k++) {
        int32_t size;
        if (column_is_null(b->columns[k], row))
            continue;
        b->row[n] = b->labels[k];
        b->row[n].value = column_bytes(b->columns[k], row, &size);
        b->row[n++].value_size = (size_t)size;
    }
    return key_sparse_append(keys, b->table_id, b->row, n, err);
}

/* The labels of the batch; every other column goes to *rest. */
static int split_labels(const struct batch *batch, const struct region_metadata *logical, const struct region_metadata *m, struct label_batch *b,
                        struct field **rest, struct column **rest_columns, uint32_t *n_rest, struct error *err)
{
    struct named *order = calloc(batch->schema->n_fields + 1, sizeof *order);
    int st = order ? ST_OK : error_no_memory(err, batch->schema->n_fields * sizeof *order);
    for (uint32_t i = 0; i < batch->schema->n_fields && st == ST_OK; i++) {
        const char *name = batch->schema->fields[i]->name;
        int index = region_metadata_find(m, name, strlen(name)), own = region_metadata_find(logical, name, strlen(name));
        if (index < 0) {
            st = error_set(err, ST_COLUMN_NOT_FOUND, "Column not found: %.200s in region %llu", name, (unsigned long long)m->region_id);
        } else if (own < 0 || logical->columns[own].semantic != SEMANTIC_TAG) {
            rest[*n_rest] = batch->schema->fields[i];
            rest_columns[(*n_rest)++] = batch->columns[i];
        } else if (!type_is_string(type_values(batch->columns[i]->type))) {
            st = error_set(err, ST_INVALID_ARGUMENTS, "label %s is no string", name);
        } else {
            order[b->n++] = (struct named){name, i};
        }
    }
    if (st == ST_OK)
        qsort(order, b->n, sizeof *order, by_name);
    uint32_t made = 0;
    for (; made < b->n && st == ST_OK; made += st == ST_OK) {
        const char *name = order[made].name;
        if (made && strcmp(name, order[made - 1].name) == 0)
            st = error_set(err, ST_INVALID_ARGUMENTS, "duplicate column %s", name);
        const struct region_column *c = &m->columns[region_metadata_find(m, name, strlen(name))];
        b->labels[made] = (struct key_label){.column_id = c->id, .name = c->name, .name_size = strlen(c->name)};
        if (st == ST_OK)
            st = column_decode_dictionary(NULL, batch->columns[order[made].place], &b->columns[made], err);
    }
    b->n = made;
    free(order);
    return st;
}

int row_write_from_label_batch(const struct batch *batch, uint32_t table_id, const struct region_metadata *logical, struct region_metadata *metadata,
                               struct budget *budget, struct row_write *ret_write, struct error *err)
{
    uint32_t fields = batch->schema->n_fields, n_rest = 0;
    struct label_batch b = {.columns = calloc(fields + 1, sizeof *b.columns),
                            .labels = calloc(fields + 1, sizeof *b.labels),
                            .row = calloc(fields + 1, sizeof *b.row),
                            .table_id = table_id};
    struct field **rest = calloc(fields + 1, sizeof *rest);
    struct column **rest_columns = calloc(fields + 1, sizeof *rest_columns);
    struct row_write w = {0};
    bool ready = false;
    int st = b.columns && b.labels && b.row && rest && rest_columns ? ST_OK : error_no_memory(err, fields * sizeof *b.labels);
    if (st == ST_OK && !metadata->sparse_key)
        st = error_set(err, ST_UNSUPPORTED, "bulk inserts need a region with sparse primary keys");
    if (st == ST_OK)
        st = split_labels(batch, logical, metadata, &b, rest, rest_columns, &n_rest, err);
    if (st == ST_OK)
        st = row_write_adopt(batch->n_rows, rest, rest_columns, n_rest, metadata, NULL, budget, &w, err);
    ready = st == ST_OK;
    if (st == ST_OK)
        st = row_write_make_keys(&w, append_label_key, &b, err);
    for (uint32_t i = 0; i < b.n; i++)
        column_unref(b.columns[i]);
    free(b.columns);
    free(b.labels);
    free(b.row);
    free(rest);
    free(rest_columns);
    if (st == ST_OK) {
        row_write_time_bounds(&w);
        *ret_write = w;
    } else if (ready) {
        row_write_release(&w);
    }
    return st;
}
