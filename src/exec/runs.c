/* Finding runs. A byte a row is marked by one comparing loop a column, which the compiler vectorises; the marks are then counted, and the places
 * collected where there are few. */
#include "exec/runs.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

#define MARK(ctype)                                                                                                                                  \
    do {                                                                                                                                             \
        const ctype *v = COLUMN_VALUES(c, ctype);                                                                                                    \
        for (int64_t i = 1; i < n; i++)                                                                                                              \
            marks[i] |= v[i] != v[i - 1];                                                                                                            \
    } while (0)

static void mark_texts(const struct column *c, int64_t n, uint8_t *marks)
{
    int32_t before, size;
    const uint8_t *last = column_bytes(c, 0, &before);
    for (int64_t i = 1; i < n; i++) {
        const uint8_t *s = column_bytes(c, i, &size);
        marks[i] |= size != before || (size && memcmp(s, last, (size_t)size) != 0);
        last = s;
        before = size;
    }
}

static void mark_wide(const struct column *c, size_t width, int64_t n, uint8_t *marks)
{
    const uint8_t *v = c->buffers[0]->data + (size_t)c->offset * width;
    for (int64_t i = 1; i < n; i++)
        marks[i] |= memcmp(v + (size_t)i * width, v + (size_t)(i - 1) * width, width) != 0;
}

/* Values under nulls are anything: rows that they mark are starts too many, which does no harm. */
static void mark_column(const struct column *c, int64_t n, uint8_t *marks)
{
    if (c->type->id == TYPE_NULL)
        return;
    if (c->validity && column_null_count(c) > 0)
        for (int64_t i = 1; i < n; i++)
            marks[i] |= column_is_null(c, i) != column_is_null(c, i - 1);
    if (c->type->id == TYPE_DICTIONARY) {
        MARK(uint32_t);
    } else if (type_is_nested(c->type)) {
        memset(marks, 1, (size_t)n);
    } else if (type_is_varlen(c->type)) {
        mark_texts(c, n, marks);
    } else if (c->type->id == TYPE_BOOL) {
        for (int64_t i = 1; i < n; i++)
            marks[i] |= column_bool(c, i) != column_bool(c, i - 1);
    } else {
        switch (type_width(c->type)) {
        case 1:
            MARK(uint8_t);
            break;
        case 2:
            MARK(uint16_t);
            break;
        case 4:
            MARK(uint32_t);
            break;
        case 8:
            MARK(uint64_t);
            break;
        default:
            mark_wide(c, (size_t)type_width(c->type), n, marks);
        }
    }
}

static void collect(const uint8_t *marks, int64_t n, uint32_t *starts)
{
    uint32_t at = 0;
    for (int64_t i = 0; i < n; i += 8) {
        if (load_le64(marks + i) == 0)
            continue;
        for (int64_t k = i; k < i + 8 && k < n; k++)
            if (marks[k])
                starts[at++] = (uint32_t)k;
    }
    starts[at] = (uint32_t)n;
}

int runs_find(struct runs *r, struct budget *budget, struct column *const *columns, uint32_t n_columns, int64_t n, uint32_t most, uint32_t *ret_n,
              struct error *err)
{
    uint32_t count = 0;
    TRY(vec_reserve(&r->marks, budget, (size_t)n + 8, 1, err));
    uint8_t *marks = r->marks.data;
    memset(marks, 0, (size_t)n + 8);
    marks[0] = 1;
    for (uint32_t k = 0; k < n_columns; k++)
        mark_column(columns[k], n, marks);
    for (int64_t i = 0; i < n; i++)
        count += marks[i];
    *ret_n = 0;
    if (count > most)
        return ST_OK;
    TRY(vec_reserve(&r->starts, budget, (size_t)count + 1, 4, err));
    collect(marks, n, r->starts.data);
    *ret_n = count;
    return ST_OK;
}

void runs_release(struct runs *r, struct budget *budget)
{
    vec_release(&r->marks, budget);
    vec_release(&r->starts, budget);
}

/* ---- the row before ---- */

int row_edge_init(struct row_edge *e, uint32_t n_columns, struct error *err)
{
    e->last = calloc((size_t)n_columns + 1, sizeof *e->last);
    e->n_columns = n_columns;
    return e->last ? ST_OK : error_no_memory(err, n_columns * sizeof *e->last);
}

void row_edge_release(struct row_edge *e)
{
    for (uint32_t k = 0; e->last && k < e->n_columns; k++)
        column_unref(e->last[k]);
    free(e->last);
    *e = (struct row_edge){0};
}

int row_edge_keep(struct row_edge *e, struct budget *budget, struct column *const *columns, int64_t row, struct error *err)
{
    uint32_t index = (uint32_t)row;
    for (uint32_t k = 0; k < e->n_columns; k++) {
        struct column *one, *plain;
        if (e->last[k] && column_values_equal(e->last[k], 0, columns[k], row))
            continue;
        TRY(column_take(budget, columns[k], &index, 1, &one, err));
        int st = column_decode_dictionary(budget, one, &plain, err);
        column_unref(one);
        TRY(st);
        column_unref(e->last[k]);
        e->last[k] = plain;
    }
    return ST_OK;
}

bool row_edge_differs(const struct row_edge *e, struct column *const *columns, int64_t row)
{
    for (uint32_t k = 0; k < e->n_columns; k++)
        if (!e->last[k] || !column_values_equal(e->last[k], 0, columns[k], row))
            return true;
    return false;
}

bool rows_differ(struct column *const *columns, uint32_t n_columns, int64_t i)
{
    for (uint32_t k = 0; k < n_columns; k++)
        if (!column_values_equal(columns[k], i - 1, columns[k], i))
            return true;
    return false;
}
