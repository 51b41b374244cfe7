/* SeriesDivide and SeriesNormalize (promql-nodes.md 4 and 5). Both work on batches as they come; no series is collected here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/oper_series.h"

/* ---- divide ---- */

struct divide_oper {
    struct oper base;
    uint32_t *keys, n_keys, time;
    struct batch *last; /* the last row of the batch before */
    uint32_t number;    /* of the newest series */
    struct vec changed; /* by row of a batch: 1 = starts a series */
};

/* Marks the rows 1 .. n-1 whose value is not their predecessor's. */
static void mark_changes(const struct column *c, uint8_t *changed, int64_t n)
{
    if (column_null_count(c) == 0 && c->type->id == TYPE_DICTIONARY) {
        const uint32_t *code = COLUMN_VALUES(c, uint32_t);
        for (int64_t i = 1; i < n; i++)
            if (code[i] != code[i - 1] && !column_values_equal(c, i, c, i - 1))
                changed[i] = 1;
    } else if (column_null_count(c) == 0 && !type_is_varlen(c->type) && type_width(c->type) == 8) {
        const uint64_t *v = COLUMN_VALUES(c, uint64_t);
        for (int64_t i = 1; i < n; i++)
            changed[i] |= v[i] != v[i - 1];
    } else {
        for (int64_t i = 1; i < n; i++)
            if (!changed[i] && !column_values_equal(c, i, c, i - 1))
                changed[i] = 1;
    }
}

static bool continues(const struct divide_oper *o, const struct batch *b)
{
    for (uint32_t k = 0; k < o->n_keys; k++)
        if (!column_values_equal(o->last->columns[o->keys[k]], 0, b->columns[o->keys[k]], 0))
            return false;
    return true;
}

/* Rows without a time can be in no window. Replaces *b. */
static int drop_timeless(struct divide_oper *o, struct batch **b, struct error *err)
{
    const struct column *time = (*b)->columns[o->time];
    struct batch *timed = NULL;
    struct vec rows = {0};
    uint32_t n = 0;
    if (column_null_count(time) == 0)
        return ST_OK;
    int st = vec_reserve(&rows, oper_budget(&o->base), (size_t)time->length + 1, sizeof(uint32_t), err);
    for (int64_t i = 0; st == ST_OK && i < time->length; i++) {
        VEC(&rows, uint32_t)[n] = (uint32_t)i;
        n += !column_is_null(time, i);
    }
    if (st == ST_OK)
        st = batch_take(oper_budget(&o->base), *b, rows.data, n, &timed, err);
    vec_release(&rows, oper_budget(&o->base));
    if (st == ST_OK) {
        batch_unref(*b);
        *b = timed;
    }
    return st;
}

/* The series numbers of b's rows. */
static int number_rows(struct divide_oper *o, const struct batch *b, struct column **ret_numbers, struct error *err)
{
    struct buffer *numbers;
    TRY(vec_reserve(&o->changed, oper_budget(&o->base), (size_t)b->n_rows, 1, err));
    uint8_t *changed = VEC(&o->changed, uint8_t);
    memset(changed, 0, (size_t)b->n_rows);
    changed[0] = !o->last || !continues(o, b);
    for (uint32_t k = 0; k < o->n_keys; k++)
        mark_changes(b->columns[o->keys[k]], changed, b->n_rows);
    TRY(buffer_new_uninit(oper_budget(&o->base), (size_t)b->n_rows * sizeof(uint32_t), &numbers, err));
    uint32_t *out = (uint32_t *)(void *)numbers->data, number = o->number;
    for (int64_t i = 0; i < b->n_rows; i++)
        out[i] = number += changed[i];
    o->base.n_series += number - o->number;
    o->number = number;
    return column_new(type_of(TYPE_UINT32), b->n_rows, 0, NULL, numbers, NULL, ret_numbers, err);
}

/* b with one column more. */
static int divide_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct divide_oper *o = (struct divide_oper *)base;
    struct column *numbers;
    struct batch *b, *tail;
    *ret_batch = NULL;
    TRY(oper_next(base->input, &b, err));
    if (!b)
        return ST_OK;
    int st = drop_timeless(o, &b, err);
    if (st == ST_OK && b->n_rows == 0) {
        *ret_batch = b; /* of the input's schema, but empty: the pull skips it */
        return ST_OK;
    }
    if (st == ST_OK)
        st = batch_slice(b, b->n_rows - 1, 1, &tail, err);
    if (st == ST_OK) {
        st = number_rows(o, b, &numbers, err);
        batch_unref(o->last); /* needed no more, whatever came of it */
        o->last = tail;
    }
    if (st == ST_OK)
        st = batch_with_column(base->schema, b, numbers, ret_batch, err);
    batch_unref(b);
    return st;
}

static void divide_free(struct oper *base)
{
    struct divide_oper *o = (struct divide_oper *)base;
    batch_unref(o->last);
    vec_release(&o->changed, oper_budget(base));
    free(o->keys);
    free(o);
}

static int divide_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    const struct divide_oper *o = (const struct divide_oper *)base;
    (void)verbose;
    return series_print_columns(base, "PromSeriesDivideExec: tags=", o->keys, o->n_keys, "\"", out, err);
}

static const struct oper_ops divide_ops = {divide_next, divide_free, divide_describe, series_metrics};

int oper_divide_new(struct oper *input, const uint32_t *keys, uint32_t n_keys, uint32_t time, struct oper **ret_oper, struct error *err)
{
    struct divide_oper *o = calloc(1, sizeof *o);
    uint32_t *copy = calloc(n_keys + 1, sizeof *copy);
    struct schema *schema = schema_with_field(input->schema, "__series", type_of(TYPE_UINT32), false);
    if (!o || !copy || !schema) {
        free(o);
        free(copy);
        schema_unref(schema);
        oper_free(input);
        return error_no_memory(err, sizeof *o);
    }
    if (n_keys)
        memcpy(copy, keys, n_keys * sizeof *copy);
    o->base = (struct oper){.ops = &divide_ops, .schema = schema, .input = input, .work = input->work};
    o->keys = copy;
    o->n_keys = n_keys;
    o->time = time;
    *ret_oper = &o->base;
    return ST_OK;
}

/* ---- normalize ---- */

struct normalize_oper {
    struct oper base;
    int64_t offset_ms;
    bool filter_nan;
    uint32_t time;
};

/* The rows without NaN in any Float64 column, as indexes; *ret_rows NULL = all. */
static int numeric_rows(const struct oper *o, const struct batch *b, struct buffer **ret_rows, int64_t *ret_n, struct error *err)
{
    struct buffer *bad = NULL, *rows;
    uint8_t any = 0;
    int64_t n = 0;
    *ret_rows = NULL;
    for (uint32_t k = 0; k < b->schema->n_fields; k++) {
        const struct column *c = b->columns[k];
        if (c->type->id != TYPE_FLOAT64)
            continue;
        if (!bad)
            TRY(buffer_new(oper_budget(o), (size_t)b->n_rows, &bad, err));
        const double *v = COLUMN_VALUES(c, double);
        bool nulls = column_null_count(c) > 0;
        for (int64_t i = 0; i < b->n_rows; i++) {
            uint8_t nan = v[i] != v[i] && !(nulls && column_is_null(c, i));
            bad->data[i] |= nan;
            any |= nan;
        }
    }
    int st = any ? buffer_new_uninit(oper_budget(o), (size_t)b->n_rows * sizeof(uint32_t), &rows, err) : ST_OK;
    if (st == ST_OK && any) {
        uint32_t *out = (uint32_t *)(void *)rows->data;
        for (int64_t i = 0; i < b->n_rows; i++) {
            out[n] = (uint32_t)i;
            n += !bad->data[i];
        }
        *ret_rows = rows;
        *ret_n = n;
    }
    buffer_unref(bad);
    return st;
}

/* The time column moved by the offset; wraps around as the peer's does. */
static int moved_time(const struct normalize_oper *o, struct column *time, struct column **ret_time, struct error *err)
{
    struct buffer *values, *validity;
    if (o->offset_ms == 0) {
        *ret_time = column_ref(time);
        return ST_OK;
    }
    TRY(column_copy_validity(oper_budget(&o->base), time, &validity, err));
    int st = buffer_new_uninit(oper_budget(&o->base), (size_t)time->length * 8, &values, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    const uint64_t *from = COLUMN_VALUES(time, uint64_t);
    uint64_t *to = (uint64_t *)(void *)values->data;
    for (int64_t i = 0; i < time->length; i++)
        to[i] = from[i] + (uint64_t)o->offset_ms;
    return column_new(time->type, time->length, column_null_count(time), validity, values, NULL, ret_time, err);
}

static int normalize_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct normalize_oper *o = (struct normalize_oper *)base;
    uint32_t n = base->schema->n_fields, made = 0;
    struct buffer *rows = NULL;
    struct batch *b, *kept;
    int64_t n_rows = 0;
    *ret_batch = NULL;
    TRY(oper_next(base->input, &b, err));
    if (!b)
        return ST_OK;
    int st = o->filter_nan ? numeric_rows(base, b, &rows, &n_rows, err) : ST_OK;
    if (st == ST_OK && rows) {
        st = batch_take(oper_budget(base), b, (const uint32_t *)(const void *)rows->data, n_rows, &kept, err);
        if (st == ST_OK) {
            batch_unref(b);
            b = kept;
        }
    }
    struct column **columns = st == ST_OK ? calloc(n, sizeof *columns) : NULL;
    if (st == ST_OK && !columns)
        st = error_no_memory(err, n * sizeof *columns);
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        if (made == o->time)
            st = moved_time(o, b->columns[made], &columns[made], err);
        else
            columns[made] = column_ref(b->columns[made]);
    }
    if (st == ST_OK)
        st = batch_new(base->schema, b->n_rows, columns, ret_batch, err);
    else
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    free(columns);
    buffer_unref(rows);
    batch_unref(b);
    return st;
}

static void normalize_free(struct oper *base)
{
    free(base);
}

static int normalize_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    const struct normalize_oper *o = (const struct normalize_oper *)base;
    (void)verbose;
    return dynbuf_printf(out, err, "PromSeriesNormalizeExec: offset=[%lld], time index=[%s], filter NaN: [%s]", (long long)o->offset_ms,
                         base->schema->fields[o->time]->name, o->filter_nan ? "true" : "false");
}

static const struct oper_ops normalize_ops = {normalize_next, normalize_free, normalize_describe, series_metrics};

int oper_normalize_new(struct oper *input, const struct plan_series *node, struct oper **ret_oper, struct error *err)
{
    struct normalize_oper *o = calloc(1, sizeof *o);
    if (!o) {
        oper_free(input);
        return error_no_memory(err, sizeof *o);
    }
    o->base = (struct oper){.ops = &normalize_ops, .schema = schema_ref(input->schema), .input = input, .work = input->work};
    o->offset_ms = node->span;
    o->filter_nan = node->filter_nan;
    o->time = node->time;
    *ret_oper = &o->base;
    return ST_OK;
}
