/* InstantManipulate (promql-nodes.md 6): for every point of a grid of times, the newest sample of each series that is not too old.
 *
 * Goes by samples, not by points: a sample answers for the points from its own time up to the next sample's, at most the lookback, and those are
 * counted out by arithmetic. So neither a fine grid nor a wide one costs more than the rows it gives, and the work can stop and go on in the middle
 * of a sample's points.
 */
#include <math.h>
#include <stdlib.h>

#include "exec/oper_series.h"

struct instant_oper {
    struct oper base;
    int64_t start, end, interval, lookback;
    uint32_t time, field; /* field PLAN_NO_COLUMN = no test for NaN */
    struct series_reader reader;
    uint32_t series, row; /* the next sample to look at, in the reader's chunk */
    bool answering;       /* row `row` answers for points t .. last */
    int64_t t, last;
    uint32_t *rows; /* output under way, OPER_BATCH_ROWS of them */
    int64_t *times;
};

/* Does this sample, which the next one's time ends, answer for any point? Sets t and last. */
static bool points_of(struct instant_oper *o, const int64_t *ts, uint32_t row, uint32_t end_row)
{
    int64_t lo = ts[row] > o->start ? ts[row] : o->start, hi = o->end;
    int64_t old = o->lookback > 0 ? add_clamped(ts[row], o->lookback - 1) : ts[row];
    if (old < hi)
        hi = old;
    if (row + 1 < end_row) {
        if (ts[row + 1] <= ts[row])
            return false; /* the last of several at one time counts */
        if (ts[row + 1] - 1 < hi)
            hi = ts[row + 1] - 1;
    }
    if (!grid_first(o->start, o->interval, lo, hi, &o->t))
        return false;
    o->last = hi;
    return true;
}

static bool is_stale(const struct instant_oper *o, const struct batch *b, uint32_t row)
{
    if (o->field == PLAN_NO_COLUMN)
        return false;
    const struct column *c = b->columns[o->field];
    return c->type->id == TYPE_FLOAT64 && !column_is_null(c, row) && isnan(COLUMN_VALUES(c, double)[row]);
}

/* Fills rows and times from the chunk; less than OPER_BATCH_ROWS means that the chunk is used up. */
static uint32_t fill(struct instant_oper *o)
{
    const struct series_chunk *c = &o->reader.chunk;
    const int64_t *ts = COLUMN_VALUES(c->batch->columns[o->time], int64_t);
    const uint32_t *starts = VEC(&c->starts, const uint32_t);
    uint32_t n = 0;
    while (o->series < c->n) {
        if (!o->answering) {
            if (o->row == starts[o->series + 1]) {
                o->series++;
                continue;
            }
            o->answering = points_of(o, ts, o->row, starts[o->series + 1]) && !is_stale(o, c->batch, o->row);
            if (!o->answering) {
                o->row++;
                continue;
            }
        }
        if (n == OPER_BATCH_ROWS)
            return n;
        o->rows[n] = o->row;
        o->times[n++] = o->t;
        if ((uint64_t)o->last - (uint64_t)o->t >= (uint64_t)o->interval) {
            o->t += o->interval;
        } else {
            o->answering = false;
            o->row++;
        }
    }
    return n;
}

static int instant_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct instant_oper *o = (struct instant_oper *)base;
    uint32_t n;
    *ret_batch = NULL;
    for (;;) {
        if (o->series >= o->reader.chunk.n) {
            TRY(series_reader_next(&o->reader, err));
            base->n_series = o->reader.n_series;
            o->series = o->row = 0;
            if (o->reader.chunk.n == 0)
                return ST_OK;
        }
        n = fill(o);
        if (n)
            return series_emit(base, o->reader.chunk.batch, o->rows, n, o->time, o->times, NULL, ret_batch, err);
        TRY(work_check(base->work, err));
    }
}

static void instant_free(struct oper *base)
{
    struct instant_oper *o = (struct instant_oper *)base;
    series_reader_release(&o->reader);
    free(o->rows);
    free(o->times);
    free(o);
}

static int instant_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    const struct instant_oper *o = (const struct instant_oper *)base;
    (void)verbose;
    return dynbuf_printf(out, err, "PromInstantManipulateExec: range=[%lld..%lld], lookback=[%lld], interval=[%lld], time index=[%s]",
                         (long long)o->start, (long long)o->end, (long long)o->lookback, (long long)o->interval, base->schema->fields[o->time]->name);
}

static const struct oper_ops instant_ops = {instant_next, instant_free, instant_describe, series_metrics};

int oper_instant_new(struct oper *input, const struct plan_series *node, struct oper **ret_oper, struct error *err)
{
    struct instant_oper *o = calloc(1, sizeof *o);
    if (!o) {
        oper_free(input);
        return error_no_memory(err, sizeof *o);
    }
    o->base = (struct oper){.ops = &instant_ops, .schema = schema_ref(input->schema), .input = input, .work = input->work};
    o->start = node->start;
    o->end = node->end;
    o->interval = node->interval;
    o->lookback = node->span;
    o->time = node->time;
    o->field = node->field;
    o->reader.input = input;
    o->rows = malloc(OPER_BATCH_ROWS * sizeof *o->rows);
    o->times = malloc(OPER_BATCH_ROWS * sizeof *o->times);
    if (!o->rows || !o->times) {
        oper_free(&o->base);
        return error_no_memory(err, OPER_BATCH_ROWS * 12);
    }
    *ret_oper = &o->base;
    return ST_OK;
}
