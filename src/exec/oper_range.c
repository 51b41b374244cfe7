/* RangeManipulate (promql-nodes.md 7): for every point of a grid of times, the window of each series' samples that ends there.
 *
 * A window is offset and length into the columns of the chunk that holds the series: nothing is copied. The field columns become range columns, one
 * more holds the windows of the time column, and all the others the value of the series' first row. The upper end of the grid and the windows follow
 * the definition, not the peer's cursor, which loses points on grids that do not start at a multiple of the interval (7.4).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/oper_series.h"

struct range_oper {
    struct oper base;
    int64_t start, end, interval, range;
    uint32_t time;
    bool *is_field; /* by input column */
    struct series_reader reader;
    uint32_t series; /* in the reader's chunk */
    bool running;    /* in the middle of the series: the next point is t, the last possible one `last` */
    int64_t t, last;
    uint32_t left, right; /* the window before: rows [left, right) of the chunk */
    uint32_t *rows;       /* output under way, OPER_BATCH_ROWS of them */
    int64_t *times;
    struct range *windows;
};

/* Is there a point whose window holds a sample? Without one the series gives no rows. */
static bool any_window(const struct range_oper *o, const int64_t *ts, uint32_t from, uint32_t to)
{
    int64_t t;
    for (uint32_t i = from; i < to && o->range > 0; i++) {
        int64_t lo = ts[i] > o->t ? ts[i] : o->t, hi = add_clamped(ts[i], o->range - 1);
        if (grid_first(o->start, o->interval, lo, hi < o->last ? hi : o->last, &t))
            return true;
    }
    return false;
}

/* Sets the series' first point and bound; false when it has no points. */
static bool start_series(struct range_oper *o, const int64_t *ts, uint32_t from, uint32_t to)
{
    int64_t last = add_clamped(ts[to - 1], o->range);
    o->last = last < o->end ? last : o->end;
    o->left = o->right = from;
    return grid_first(o->start, o->interval, ts[from] > o->start ? ts[from] : o->start, o->last, &o->t) && any_window(o, ts, from, to);
}

static struct range window_at(struct range_oper *o, const int64_t *ts, uint32_t end_row)
{
    int64_t after = add_clamped(o->t, -o->range); /* the window is (t - range, t] */
    while (o->right < end_row && ts[o->right] <= o->t)
        o->right++;
    while (o->left < o->right && ts[o->left] <= after)
        o->left++;
    return o->right > o->left ? (struct range){o->left, o->right - o->left} : (struct range){0, 0};
}

/* Fills rows, times and windows from the chunk; less than OPER_BATCH_ROWS means that the chunk is used up. */
static uint32_t fill(struct range_oper *o)
{
    const struct series_chunk *c = &o->reader.chunk;
    const int64_t *ts = COLUMN_VALUES(c->batch->columns[o->time], int64_t);
    const uint32_t *starts = VEC(&c->starts, const uint32_t);
    uint32_t n = 0;
    for (; o->series < c->n; o->series++) {
        uint32_t from = starts[o->series], to = starts[o->series + 1];
        if (!o->running)
            o->running = start_series(o, ts, from, to);
        while (o->running) {
            if (n == OPER_BATCH_ROWS)
                return n;
            o->rows[n] = from;
            o->times[n] = o->t;
            o->windows[n++] = window_at(o, ts, to);
            o->running = (uint64_t)o->last - (uint64_t)o->t >= (uint64_t)o->interval;
            if (o->running)
                o->t += o->interval;
        }
    }
    return n;
}

/* The windows over a column of the chunk. */
static int range_column(struct dtype *type, struct column *values, struct buffer *windows, uint32_t n, struct column **ret_column, struct error *err)
{
    struct column *child = column_ref(values);
    return column_new_nested(type, n, 0, NULL, buffer_ref(windows), &child, 1, ret_column, err);
}

static int emit(struct range_oper *o, uint32_t n, struct batch **ret_batch, struct error *err)
{
    const struct batch *b = o->reader.chunk.batch;
    struct schema *schema = o->base.schema;
    struct column **ranges = calloc(schema->n_fields, sizeof *ranges);
    struct buffer *windows = NULL;
    uint32_t hidden = schema->n_fields - 1; /* the series numbers, behind the appended range of times */
    int st = ranges ? buffer_new_uninit(oper_budget(&o->base), n * sizeof *o->windows, &windows, err) : error_no_memory(err, 1024);
    if (st == ST_OK)
        memcpy(windows->data, o->windows, n * sizeof *o->windows);
    for (uint32_t i = 0; st == ST_OK && i < hidden; i++) {
        bool appended = i == hidden - 1;
        if (appended || o->is_field[i])
            st = range_column(schema->fields[i]->type, b->columns[appended ? o->time : i], windows, n, &ranges[i], err);
    }
    if (st == ST_OK)
        st = series_emit(&o->base, b, o->rows, n, o->time, o->times, ranges, ret_batch, err);
    for (uint32_t i = 0; ranges && i < schema->n_fields; i++)
        column_unref(ranges[i]);
    free(ranges);
    buffer_unref(windows);
    return st;
}

static int range_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct range_oper *o = (struct range_oper *)base;
    uint32_t n;
    *ret_batch = NULL;
    for (;;) {
        if (o->series >= o->reader.chunk.n) {
            TRY(series_reader_next(&o->reader, err));
            base->n_series = o->reader.n_series;
            o->series = 0;
            if (o->reader.chunk.n == 0)
                return ST_OK;
        }
        n = fill(o);
        if (n)
            return emit(o, n, ret_batch, err);
        TRY(work_check(base->work, err));
    }
}

static void range_free(struct oper *base)
{
    struct range_oper *o = (struct range_oper *)base;
    series_reader_release(&o->reader);
    free(o->is_field);
    free(o->rows);
    free(o->times);
    free(o->windows);
    free(o);
}

static int range_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    const struct range_oper *o = (const struct range_oper *)base;
    (void)verbose;
    return dynbuf_printf(out, err, "PromRangeManipulateExec: req range=[%lld..%lld], interval=[%lld], eval range=[%lld], time index=[%s]",
                         (long long)o->start, (long long)o->end, (long long)o->interval, (long long)o->range, base->schema->fields[o->time]->name);
}

static const struct oper_ops range_ops = {range_next, range_free, range_describe, series_metrics};

/* A range of the field's values under `name`. */
static struct field *range_field(const struct field *f, const char *name)
{
    struct dtype *type = type_range((struct dtype *)type_values(f->type));
    struct field *made = type ? field_new(name, type, f->nullable) : NULL;
    struct field *with = made ? field_with_meta(made, f->meta, f->n_meta) : NULL;
    field_unref(made);
    type_unref(type);
    return with;
}

static struct schema *range_schema(const struct schema *in, const bool *is_field, uint32_t time)
{
    uint32_t n = in->n_fields, made = 0;
    struct field **fields = calloc((size_t)n + 1, sizeof *fields);
    char *name = NULL;
    struct schema *schema = NULL;
    bool good = fields != NULL;
    if (good && asprintf(&name, "%s_range", in->fields[time]->name) < 0) {
        name = NULL;
        good = false;
    }
    for (; good && made + 1 < n; made += good) {
        fields[made] = is_field[made] ? range_field(in->fields[made], in->fields[made]->name) : field_ref(in->fields[made]);
        good = fields[made] != NULL;
    }
    if (good) {
        struct field *plain = field_new(name, in->fields[time]->type, in->fields[time]->nullable);
        fields[made] = plain ? range_field(plain, name) : NULL;
        field_unref(plain);
        good = fields[made] != NULL;
        made += good;
    }
    if (good) {
        fields[made] = field_ref(in->fields[n - 1]);
        made++;
        schema = schema_new(fields, made);
    }
    for (uint32_t i = 0; fields && i < made; i++)
        field_unref(fields[i]);
    free(fields);
    free(name);
    return schema;
}

int oper_range_new(struct oper *input, const struct plan_series *node, struct oper **ret_oper, struct error *err)
{
    struct range_oper *o = calloc(1, sizeof *o);
    bool *is_field = calloc(input->schema->n_fields, sizeof *is_field);
    struct schema *schema = NULL;
    for (uint32_t i = 0; is_field && i < node->n_columns; i++)
        is_field[node->columns[i]] = true;
    if (o && is_field)
        schema = range_schema(input->schema, is_field, node->time);
    if (!schema) {
        free(o);
        free(is_field);
        oper_free(input);
        return error_no_memory(err, sizeof *o);
    }
    o->base = (struct oper){.ops = &range_ops, .schema = schema, .input = input, .work = input->work};
    o->start = node->start;
    o->end = node->end;
    o->interval = node->interval;
    o->range = node->span;
    o->time = node->time;
    o->is_field = is_field;
    o->reader.input = input;
    o->rows = malloc(OPER_BATCH_ROWS * sizeof *o->rows);
    o->times = malloc(OPER_BATCH_ROWS * sizeof *o->times);
    o->windows = malloc(OPER_BATCH_ROWS * sizeof *o->windows);
    if (!o->rows || !o->times || !o->windows) {
        oper_free(&o->base);
        return error_no_memory(err, OPER_BATCH_ROWS * 20);
    }
    *ret_oper = &o->base;
    return ST_OK;
}
