/* A table in memory for tests: rows are given as text, one batch a call, and scans honour the wanted columns only. */
#ifndef TESTS_MEMORY_TABLE_H
#define TESTS_MEMORY_TABLE_H

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrow/scan.h"

struct memory_table {
    struct table base;
    struct batch *batches[64];
    uint32_t n_batches;
    bool *dictionary;                  /* columns that scans give as dictionaries */
    struct scan_request last;          /* what the last scan asked for (columns and predicates: counts only) */
    uint32_t last_columns[64];
    _Atomic uint32_t pulled;           /* batches handed out */
    uint32_t parts;                    /* the table can be cut into so many; 0 = it cannot */
    const char *(*failure)(uint32_t batch); /* the error in place of a batch, or NULL */
};

struct memory_stream {
    struct batch_stream base;
    struct memory_table *table;
    uint32_t columns[64], n_columns, at, end;
};

/* One value from text: "NULL", numbers, true/false, anything for strings. */
static inline void memory_append(struct column_builder *b, const char *text)
{
    int64_t i = strtoll(text, NULL, 10);
    double d = strtod(text, NULL);
    float f = (float)d;
    __int128 wide = i;
    int st;
    if (strcmp(text, "NULL") == 0)
        st = column_builder_append_null(b, NULL);
    else if (b->type->id == TYPE_BOOL)
        st = column_builder_append_bool(b, strcmp(text, "true") == 0, NULL);
    else if (type_is_varlen(b->type))
        st = column_builder_append_bytes(b, text, strlen(text), NULL);
    else if (b->type->id == TYPE_FLOAT64)
        st = column_builder_append_fixed(b, &d, NULL);
    else if (b->type->id == TYPE_FLOAT32)
        st = column_builder_append_fixed(b, &f, NULL);
    else
        st = column_builder_append_fixed(b, type_width(b->type) == 16 ? (void *)&wide : (void *)&i, NULL);
    assert(st == ST_OK);
    (void)st;
}

/* The same values as a dictionary whose entries are in order of first appearance, one entry a distinct value. */
static inline struct column *memory_dictionary(struct column *c)
{
    struct column_builder b;
    struct column *values = NULL, *out = NULL;
    struct buffer *keys;
    assert(column_builder_init(&b, NULL, c->type, NULL) == ST_OK);
    assert(buffer_new(NULL, (size_t)c->length * 4, &keys, NULL) == ST_OK);
    uint32_t *k = (uint32_t *)(void *)keys->data, n = 0;
    int64_t first[4096];
    for (int64_t i = 0; i < c->length; i++) {
        int32_t size, other;
        const uint8_t *s = column_bytes(c, i, &size);
        uint32_t j = 0;
        if (column_is_null(c, i))
            continue;
        for (; j < n; j++) {
            const uint8_t *o = column_bytes(c, first[j], &other);
            if (other == size && memcmp(o, s, (size_t)size) == 0)
                break;
        }
        if (j == n) {
            first[n++] = i;
            column_builder_append_bytes(&b, s, (size_t)size, NULL);
        }
        k[i] = j;
    }
    if (!n)
        column_builder_append_null(&b, NULL);
    assert(column_builder_finish(&b, &values, NULL) == ST_OK);
    column_builder_release(&b);
    struct dtype *t = type_dictionary(TYPE_UINT32, c->type);
    assert(column_new_nested(t, c->length, c->null_count, buffer_ref(c->validity), keys, &values, 1, &out, NULL) == ST_OK);
    type_unref(t);
    return out;
}

static inline int memory_next(struct batch_stream *base, struct batch **ret_batch, struct error *err)
{
    struct memory_stream *s = (struct memory_stream *)base;
    struct column *columns[64];
    *ret_batch = NULL;
    if (s->at == s->end)
        return ST_OK;
    const char *failure = s->table->failure ? s->table->failure(s->at) : NULL;
    if (failure)
        return error_set(err, ST_CORRUPT, "%s", failure);
    struct batch *b = s->table->batches[s->at++];
    s->table->pulled++;
    for (uint32_t i = 0; i < s->n_columns; i++) {
        struct column *c = b->columns[s->columns[i]];
        columns[i] = s->table->dictionary[s->columns[i]] ? memory_dictionary(c) : column_ref(c);
    }
    return batch_new(base->schema, b->n_rows, columns, ret_batch, err);
}

static inline void memory_stream_free(struct batch_stream *base)
{
    schema_unref(base->schema);
    free(base);
}

static inline int memory_stream_new(struct memory_table *t, const struct scan_request *r, struct batch_stream **ret_stream)
{
    static const struct batch_stream_ops ops = {memory_next, memory_stream_free};
    struct memory_stream *s = calloc(1, sizeof *s);
    struct field *fields[64];
    s->table = t;
    s->end = t->n_batches;
    s->n_columns = r->n_columns;
    for (uint32_t i = 0; i < r->n_columns; i++) {
        s->columns[i] = r->columns[i];
        fields[i] = t->base.schema->fields[r->columns[i]];
    }
    s->base.ops = &ops;
    s->base.schema = schema_new(fields, r->n_columns);
    *ret_stream = &s->base;
    return ST_OK;
}

static inline int memory_scan(struct table *base, const struct scan_request *r, struct work_context *work, struct batch_stream **ret_stream, struct error *err)
{
    struct memory_table *t = (struct memory_table *)base;
    (void)work;
    (void)err;
    t->last = *r;
    if (r->n_columns)
        memcpy(t->last_columns, r->columns, r->n_columns * sizeof *t->last_columns);
    return memory_stream_new(t, r, ret_stream);
}

struct memory_parts {
    struct scan_parts base;
    struct memory_table *table;
    struct scan_request request;
    uint32_t columns[64];
};

static inline int memory_part_open(struct scan_parts *base, uint32_t part, struct batch_stream **ret_stream, struct error *err)
{
    struct memory_parts *p = (struct memory_parts *)base;
    (void)err;
    int st = memory_stream_new(p->table, &p->request, ret_stream);
    ((struct memory_stream *)*ret_stream)->at = p->table->n_batches * part / base->n;
    ((struct memory_stream *)*ret_stream)->end = p->table->n_batches * (part + 1) / base->n;
    return st;
}

static inline void memory_parts_free(struct scan_parts *base)
{
    free(base);
}

static inline int memory_cut(struct table *base, const struct scan_request *r, struct work_context *work, struct scan_parts **ret_parts, struct error *err)
{
    static const struct scan_parts_ops ops = {memory_part_open, memory_parts_free};
    struct memory_parts *p = calloc(1, sizeof *p);
    (void)work;
    (void)err;
    p->base = (struct scan_parts){.ops = &ops, .n = ((struct memory_table *)base)->parts};
    p->table = (struct memory_table *)base;
    p->request = *r;
    p->request.columns = memcpy(p->columns, r->columns, r->n_columns * sizeof *p->columns);
    *ret_parts = &p->base;
    return ST_OK;
}

static inline void memory_table_destroy(struct memory_table *t)
{
    for (uint32_t i = 0; i < t->n_batches; i++)
        batch_unref(t->batches[i]);
    schema_unref(t->base.schema);
    free(t->dictionary);
    free(t);
}

static inline void memory_free(struct table *t)
{
    (void)t; /* the test owns it, to look at it after the query */
}

/* Makes a table one that can be cut. */
static inline void memory_table_cut(struct memory_table *t, uint32_t parts)
{
    static const struct table_ops ops = {memory_scan, memory_free, memory_cut};
    t->base.ops = &ops;
    t->parts = parts;
}

/* The schema's reference is taken. No key; the time index is the first timestamp that is not nullable. */
static inline struct memory_table *memory_table_new(struct schema *schema)
{
    static const struct table_ops ops = {memory_scan, memory_free, NULL};
    struct memory_table *t = calloc(1, sizeof *t);
    t->base = (struct table){.ops = &ops, .schema = schema, .time_index = -1, .region_id = (uint64_t)1024 << 32};
    t->dictionary = calloc(schema->n_fields + 1, sizeof(bool));
    for (uint32_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i]->type->id == TYPE_TIMESTAMP && !schema->fields[i]->nullable && t->base.time_index < 0)
            t->base.time_index = (int32_t)i;
    return t;
}

/* Rows as text, values separated by blanks or newlines, e.g. "a 1 2.5\nb NULL 3". */
static inline void memory_table_add(struct memory_table *t, const char *rows)
{
    struct column_builder b[64];
    struct column *columns[64];
    uint32_t n = t->base.schema->n_fields, at = 0;
    char *copy = strdup(rows), *save = NULL;
    for (uint32_t i = 0; i < n; i++)
        assert(column_builder_init(&b[i], NULL, t->base.schema->fields[i]->type, NULL) == ST_OK);
    for (char *word = strtok_r(copy, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
        memory_append(&b[at++ % n], word);
    assert(at % n == 0);
    for (uint32_t i = 0; i < n; i++) {
        assert(column_builder_finish(&b[i], &columns[i], NULL) == ST_OK);
        column_builder_release(&b[i]);
    }
    assert(batch_new(t->base.schema, columns[0]->length, columns, &t->batches[t->n_batches++], NULL) == ST_OK);
    free(copy);
}

/* A value as text, structs as {a,b}, lists as [a,b]; for comparisons in tests. */
static inline void memory_print(const struct column *c, int64_t i, char *out, size_t room)
{
    size_t n = strlen(out);
    if (column_is_null(c, i)) {
        snprintf(out + n, room - n, "NULL");
    } else if (c->type->id == TYPE_STRUCT) {
        snprintf(out + n, room - n, "{");
        for (uint32_t k = 0; k < c->n_children; k++) {
            memory_print(c->children[k], i + c->offset, out, room);
            n = strlen(out);
            snprintf(out + n, room - n, k + 1 < c->n_children ? "," : "}");
        }
    } else if (c->type->id == TYPE_LIST) {
        const int32_t *o = COLUMN_VALUES(c, int32_t) + i;
        snprintf(out + n, room - n, "[");
        for (int32_t k = o[0]; k < o[1]; k++) {
            memory_print(c->children[0], k, out, room);
            n = strlen(out);
            snprintf(out + n, room - n, k + 1 < o[1] ? "," : "");
        }
        n = strlen(out);
        snprintf(out + n, room - n, "]");
    } else if (c->type->id == TYPE_BOOL) {
        snprintf(out + n, room - n, column_bool(c, i) ? "true" : "false");
    } else if (type_is_varlen(c->type)) {
        int32_t size;
        const uint8_t *s = column_bytes(c, i, &size);
        snprintf(out + n, room - n, "%.*s", (int)size, (const char *)s);
    } else if (c->type->id == TYPE_FLOAT64) {
        snprintf(out + n, room - n, "%g", COLUMN_VALUES(c, double)[i]);
    } else if (c->type->id == TYPE_FLOAT32) {
        snprintf(out + n, room - n, "%g", (double)COLUMN_VALUES(c, float)[i]);
    } else {
        int64_t v = 0;
        size_t width = (size_t)type_width(c->type);
        memcpy(&v, c->buffers[0]->data + (size_t)(c->offset + i) * width, width > 8 ? 8 : width);
        if (width < 8 && (type_is_signed(c->type) || c->type->id == TYPE_DATE32))
            v = (int64_t)((uint64_t)v << (64 - 8 * width)) >> (64 - 8 * width);
        snprintf(out + n, room - n, "%lld", (long long)v);
    }
}

/* All rows of a batch as lines "a b c\n", behind what `out` holds. */
static inline void memory_print_batch(const struct batch *b, char *out, size_t room)
{
    for (int64_t i = 0; i < b->n_rows; i++)
        for (uint32_t k = 0; k < b->schema->n_fields; k++) {
            memory_print(b->columns[k], i, out, room);
            size_t n = strlen(out);
            snprintf(out + n, room - n, k + 1 < b->schema->n_fields ? " " : "\n");
        }
}

#endif
