/* PromQL's functions over range vectors, and prom_round (promql-nodes.md 8).
 *
 * A window is a pointer into the series' columns and a length; each function is one that answers for one window. A null sample counts as absent: when
 * the values have nulls they are squeezed out once for all windows of the batch, whose bounds are then looked up in a table of ranks. Operations are
 * in the peer's order, so that results are equal to the bit wherever it does not sum in another order.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "exec/expr_internal.h"
#include "exec/vec.h"

enum prom_function {
    PROM_RATE,
    PROM_INCREASE,
    PROM_DELTA,
    PROM_IRATE,
    PROM_IDELTA,
    PROM_RESETS,
    PROM_CHANGES,
    PROM_DERIV,
    PROM_PREDICT_LINEAR,
    PROM_AVG,
    PROM_SUM,
    PROM_MIN,
    PROM_MAX,
    PROM_COUNT,
    PROM_LAST,
    PROM_PRESENT,
    PROM_ABSENT,
    PROM_STDVAR,
    PROM_STDDEV,
    PROM_QUANTILE,
    PROM_SMOOTHING
};

struct window {
    const int64_t *ts;
    const double *v;
    uint32_t n;         /* samples that are not null */
    uint32_t slots;     /* with the null ones */
    double a, b;        /* further arguments of the row; NaN where null or of another type */
    int64_t eval_ms, t; /* rate, increase, delta: evaluation time and width of the window; predict_linear: seconds ahead */
    bool t_null;
    double *scratch; /* room for the longest window: quantile */
};

/* ---- functions of one window: false = NULL ---- */

/* 8.1; counters are rate and increase. */
static bool extrapolated(const struct window *w, bool counter, bool per_second, double *ret)
{
    uint32_t n = w->n;
    if (n < 2)
        return false;
    double res = w->v[n - 1] - w->v[0];
    for (uint32_t i = 1; counter && i < n; i++)
        if (w->v[i] < w->v[i - 1])
            res += w->v[i - 1];
    int64_t from = (int64_t)((uint64_t)w->eval_ms - (uint64_t)w->t);
    double to_start = (double)(int64_t)((uint64_t)w->ts[0] - (uint64_t)from) / 1000.0;
    double to_end = (double)(int64_t)((uint64_t)w->eval_ms - (uint64_t)w->ts[n - 1]) / 1000.0;
    double span = (double)(int64_t)((uint64_t)w->ts[n - 1] - (uint64_t)w->ts[0]) / 1000.0, average = span / (double)(n - 1);
    if (counter && res > 0 && w->v[0] >= 0) {
        double to_zero = span * (w->v[0] / res);
        if (to_zero < to_start)
            to_start = to_zero;
    }
    double threshold = average * 1.1, extended = span;
    extended += to_start < threshold ? to_start : average / 2;
    extended += to_end < threshold ? to_end : average / 2;
    double factor = extended / span;
    if (per_second)
        factor /= (double)w->t / 1000.0;
    *ret = res * factor;
    return true;
}

static bool instant_delta(const struct window *w, bool rate, double *ret)
{
    uint32_t n = w->n;
    if (n < 2)
        return false;
    double last = w->v[n - 1], before = w->v[n - 2];
    if (!rate) {
        *ret = last - before;
        return true;
    }
    double d = last < before ? last : last - before;
    *ret = d / ((double)(int64_t)((uint64_t)w->ts[n - 1] - (uint64_t)w->ts[n - 2]) / 1000.0);
    return true;
}

static bool count_steps(const struct window *w, bool resets, double *ret)
{
    uint32_t steps = 0;
    if (w->n == 0)
        return false;
    for (uint32_t i = 1; i < w->n; i++) {
        double a = w->v[i - 1], b = w->v[i];
        steps += resets ? b < a : b != a && !(isnan(a) && isnan(b));
    }
    *ret = steps;
    return true;
}

/* A sum with Neumaier's compensation. */
struct sum {
    double sum, c;
};

static void sum_add(struct sum *s, double x)
{
    double next = s->sum + x;
    s->c += fabs(s->sum) >= fabs(x) ? (s->sum - next) + x : (x - next) + s->sum;
    s->sum = next;
}

static double sum_of(const struct sum *s)
{
    return s->sum + s->c;
}

/* 8.2 */
static bool regression(const struct window *w, int64_t intercept_ms, double *ret_slope, double *ret_intercept)
{
    struct sum sx = {0}, sy = {0}, sxy = {0}, sxx = {0};
    bool constant = true;
    double n = w->n;
    if (w->n < 2)
        return false;
    for (uint32_t i = 0; i < w->n; i++) {
        double x = (double)(int64_t)((uint64_t)w->ts[i] - (uint64_t)intercept_ms) / 1000.0, y = w->v[i];
        constant = constant && y == w->v[0];
        sum_add(&sx, x);
        sum_add(&sy, y);
        sum_add(&sxy, x * y);
        sum_add(&sxx, x * x);
    }
    if (constant) {
        *ret_slope = 0;
        *ret_intercept = w->v[0];
        return isfinite(w->v[0]);
    }
    double x = sum_of(&sx), y = sum_of(&sy), covariance = sum_of(&sxy) - x * y / n, variance = sum_of(&sxx) - x * x / n;
    *ret_slope = covariance / variance;
    *ret_intercept = y / n - *ret_slope * x / n;
    return true;
}

static double window_sum(const struct window *w)
{
    double s[4] = {0};
    uint32_t i = 0;
    for (; i + 4 <= w->n; i += 4)
        for (int k = 0; k < 4; k++)
            s[k] += w->v[i + k];
    for (; i < w->n; i++)
        s[0] += w->v[i];
    return (s[0] + s[2]) + (s[1] + s[3]);
}

static int64_t order_of(double d)
{
    int64_t bits;
    memcpy(&bits, &d, 8);
    return total_order64(bits);
}

static bool extreme(const struct window *w, bool most, double *ret)
{
    uint32_t best = 0;
    if (w->n == 0)
        return false;
    int64_t key = order_of(w->v[0]);
    for (uint32_t i = 1; i < w->n; i++) {
        int64_t k = order_of(w->v[i]);
        if (most ? k > key : k < key) {
            key = k;
            best = i;
        }
    }
    *ret = w->v[best];
    return true;
}

static bool variance(const struct window *w, double *ret)
{
    double mean = 0, m2 = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        double delta = w->v[i] - mean;
        mean += delta / (double)(i + 1);
        m2 += delta * (w->v[i] - mean);
    }
    *ret = m2 / (double)w->n;
    return w->n > 0;
}

/* 8.3 */
static bool deviation(const struct window *w, double *ret)
{
    struct sum mean = {0}, dev = {0};
    for (uint32_t i = 0; i < w->n; i++) {
        double delta = w->v[i] - sum_of(&mean);
        sum_add(&mean, delta / (double)(i + 1));
        sum_add(&dev, delta * (w->v[i] - sum_of(&mean)));
    }
    *ret = sqrt(sum_of(&dev) / (double)w->n);
    return w->n > 0;
}

/* 8.5 */
static double smoothed(const struct window *w)
{
    double sf = w->a, tf = w->b;
    if (isnan(sf) || isnan(tf) || w->n == 0)
        return NAN;
    if (sf < 0 || tf < 0)
        return -INFINITY;
    if (sf > 1 || tf > 1)
        return INFINITY;
    if (w->n <= 2)
        return NAN;
    double s0 = 0, s1 = w->v[0], b = w->v[1] - w->v[0];
    for (uint32_t i = 1; i < w->n; i++) {
        if (i > 1)
            b = tf * (s1 - s0) + (1 - tf) * b;
        double y = (1 - sf) * (s1 + b);
        s0 = s1;
        s1 = sf * w->v[i] + y;
    }
    return s1;
}

static bool answer(enum prom_function f, const struct window *w, double *ret)
{
    double slope, intercept;
    switch (f) {
    case PROM_RATE:
        return extrapolated(w, true, true, ret);
    case PROM_INCREASE:
        return extrapolated(w, true, false, ret);
    case PROM_DELTA:
        return extrapolated(w, false, false, ret);
    case PROM_IRATE:
        return instant_delta(w, true, ret);
    case PROM_IDELTA:
        return instant_delta(w, false, ret);
    case PROM_RESETS:
        return count_steps(w, true, ret);
    case PROM_CHANGES:
        return count_steps(w, false, ret);
    case PROM_DERIV:
        return w->n && regression(w, w->ts[0], ret, &intercept);
    case PROM_PREDICT_LINEAR:
        if (w->t_null || !w->n || !regression(w, w->ts[w->n - 1], &slope, &intercept))
            return false;
        *ret = slope * (double)w->t + intercept;
        return true;
    case PROM_AVG:
        *ret = window_sum(w) / (double)w->slots;
        return w->n > 0;
    case PROM_SUM:
        *ret = window_sum(w);
        return w->n > 0;
    case PROM_MIN:
        return extreme(w, false, ret);
    case PROM_MAX:
        return extreme(w, true, ret);
    case PROM_COUNT:
        *ret = w->slots;
        return w->slots > 0;
    case PROM_LAST:
        *ret = w->n ? w->v[w->n - 1] : 0;
        return w->n > 0;
    case PROM_PRESENT:
        *ret = 1;
        return w->slots > 0;
    case PROM_ABSENT:
        *ret = 1;
        return w->slots == 0;
    case PROM_STDVAR:
        return variance(w, ret);
    case PROM_STDDEV:
        return deviation(w, ret);
    case PROM_QUANTILE:
        if (w->n)
            memcpy(w->scratch, w->v, w->n * sizeof *w->v);
        *ret = float_quantile(w->scratch, w->n, w->a);
        return true;
    case PROM_SMOOTHING:
        *ret = smoothed(w);
        return true;
    }
    return false;
}

/* 8.4 */
static int by_total_order(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    int64_t k = order_of(x), l = order_of(y);
    return (k > l) - (k < l);
}

double float_quantile(double *values, size_t n, double q)
{
    if (isnan(q) || n == 0)
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    qsort(values, n, sizeof *values, by_total_order);
    double rank = q * (double)(n - 1);
    size_t low = (size_t)floor(rank), high = low + 1 < n ? low + 1 : n - 1;
    double weight = rank - floor(rank);
    return values[low] * (1 - weight) + values[high] * weight;
}

/* ---- the rows of a batch ---- */

struct windows {
    struct budget *budget;
    const struct range *time_ranges, *ranges;
    const int64_t *ts;
    const double *v;
    struct column *numbers;                    /* the values as Float64 */
    struct vec ranks, squeezed_ts, squeezed_v; /* values with nulls only: samples before each slot, and the samples */
    const uint32_t *rank;                      /* NULL = no nulls */
    struct vec scratch;
};

static void windows_release(struct windows *s)
{
    column_unref(s->numbers);
    vec_release(&s->ranks, s->budget);
    vec_release(&s->squeezed_ts, s->budget);
    vec_release(&s->squeezed_v, s->budget);
    vec_release(&s->scratch, s->budget);
}

static int squeeze(struct windows *s, struct error *err)
{
    const struct column *c = s->numbers;
    size_t n = (size_t)c->length;
    TRY(vec_reserve(&s->ranks, s->budget, n + 1, sizeof(uint32_t), err));
    TRY(vec_reserve(&s->squeezed_ts, s->budget, n + 1, sizeof(int64_t), err));
    TRY(vec_reserve(&s->squeezed_v, s->budget, n + 1, sizeof(double), err));
    uint32_t *rank = VEC(&s->ranks, uint32_t), at = 0;
    int64_t *ts = VEC(&s->squeezed_ts, int64_t);
    double *v = VEC(&s->squeezed_v, double);
    for (size_t i = 0; i < n; i++) {
        rank[i] = at;
        ts[at] = s->ts[i];
        v[at] = s->v[i];
        at += !column_is_null(c, (int64_t)i);
    }
    rank[n] = at;
    s->rank = rank;
    s->ts = ts;
    s->v = v;
    return ST_OK;
}

/* Checks the two range vectors and makes the values accessible as doubles. */
static int windows_open(struct windows *s, struct expr_context *ctx, const struct value *args, int64_t rows, bool scratch, struct error *err)
{
    const struct column *time = args[0].column, *value = args[1].column;
    uint32_t longest = 0;
    s->budget = ctx->budget;
    s->time_ranges = COLUMN_VALUES(time, struct range);
    s->ranges = COLUMN_VALUES(value, struct range);
    for (int64_t i = 0; i < rows; i++) {
        struct range r = s->ranges[i], t = s->time_ranges[i];
        if (r.length != t.length)
            return error_set(err, ST_EXECUTE_QUERY, "range vectors of %u times and %u values in one row", t.length, r.length);
        if ((uint64_t)r.offset + r.length > (uint64_t)value->dictionary->length || (uint64_t)t.offset + t.length > (uint64_t)time->dictionary->length)
            return error_set(err, ST_EXECUTE_QUERY, "illegal range: offset %u and length %u in %lld values", r.offset, r.length,
                             (long long)value->dictionary->length);
        longest = r.length > longest ? r.length : longest;
    }
    TRY(expr_cast(ctx, value->dictionary, type_of(TYPE_FLOAT64), true, &s->numbers, err));
    s->ts = COLUMN_VALUES(time->dictionary, int64_t);
    s->v = COLUMN_VALUES(s->numbers, double);
    if (scratch)
        TRY(vec_reserve(&s->scratch, s->budget, (size_t)longest + 1, sizeof(double), err));
    if (column_null_count(s->numbers) == 0)
        return ST_OK;
    if (time->dictionary->length != s->numbers->length)
        return error_set(err, ST_EXECUTE_QUERY, "range vectors over %lld times and %lld values", (long long)time->dictionary->length,
                         (long long)s->numbers->length);
    return squeeze(s, err);
}

static double float_arg(const struct value *v, int64_t i)
{
    bool good = v->column->type->id == TYPE_FLOAT64 && !value_is_null(v, i);
    return good ? COLUMN_VALUES(v->column, double)[v->scalar ? 0 : i] : NAN;
}

static int64_t int_arg(const struct value *v, int64_t i, bool *ret_null)
{
    bool whole = v->column->type->id == TYPE_INT64 || v->column->type->id == TYPE_TIMESTAMP;
    *ret_null = !whole || value_is_null(v, i);
    return *ret_null ? 0 : COLUMN_VALUES(v->column, int64_t)[v->scalar ? 0 : i];
}

/* The window of row i with its arguments; false = an argument is NULL that must not be. */
static bool window_at(const struct windows *s, enum prom_function f, const struct value *args, int64_t i, struct window *w)
{
    struct range r = s->ranges[i], t = s->time_ranges[i];
    bool null = false, null_range = false;
    w->slots = r.length;
    if (s->rank) {
        /* Windows over times are those over values here: the operator cuts both alike, and squeezed ones must. */
        w->n = s->rank[r.offset + r.length] - s->rank[r.offset];
        w->v = s->v + s->rank[r.offset];
        w->ts = s->ts + s->rank[t.offset];
    } else {
        w->n = r.length;
        w->v = s->v + r.offset;
        w->ts = s->ts + t.offset;
    }
    if (f <= PROM_DELTA) {
        w->eval_ms = int_arg(&args[2], i, &null);
        w->t = int_arg(&args[3], i, &null_range);
    } else if (f == PROM_PREDICT_LINEAR) {
        w->t = int_arg(&args[2], i, &w->t_null);
    } else if (f == PROM_QUANTILE || f == PROM_SMOOTHING) {
        w->a = float_arg(&args[2], i);
        w->b = f == PROM_SMOOTHING ? float_arg(&args[3], i) : 0;
    }
    return !null && !null_range;
}

static int kernel_window(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                         struct error *err)
{
    enum prom_function f = (enum prom_function)e->function->op;
    struct windows s = {0};
    struct window w = {0};
    struct buffer *values = NULL, *validity = NULL;
    int64_t nulls = 0;
    int st = windows_open(&s, ctx, args, rows, f == PROM_QUANTILE, err);
    if (st == ST_OK)
        st = buffer_new_uninit(ctx->budget, (size_t)rows * sizeof(double), &values, err);
    if (st == ST_OK)
        st = buffer_new(ctx->budget, bits_bytes(rows), &validity, err);
    if (st == ST_OK) {
        double *out = (double *)(void *)values->data;
        w.scratch = VEC(&s.scratch, double);
        for (int64_t i = 0; i < rows; i++) {
            if (window_at(&s, f, args, i, &w) && answer(f, &w, &out[i])) {
                bit_set(validity->data, i);
            } else {
                out[i] = 0;
                nulls++;
            }
        }
    }
    windows_release(&s);
    if (st != ST_OK || !nulls) {
        buffer_unref(validity);
        validity = NULL;
    }
    if (st != ST_OK) {
        buffer_unref(values);
        return st;
    }
    return column_new(type_of(TYPE_FLOAT64), rows, nulls, validity, values, NULL, ret, err);
}

static bool is_range_of(const struct expr *e, bool time)
{
    if (e->type->id != TYPE_RANGE)
        return false;
    const struct dtype *t = e->type->children[0]->type;
    return time ? t->id == TYPE_TIMESTAMP && t->unit == UNIT_MILLI : type_is_integer(t) || t->id == TYPE_FLOAT32 || t->id == TYPE_FLOAT64;
}

static int bind_window(struct expr *e, struct error *err)
{
    if (!is_range_of(e->args[0], true) || !is_range_of(e->args[1], false))
        return expr_type_error(e, err);
    for (uint32_t i = 2; i < e->n_args; i++)
        if (e->args[i]->type->id == TYPE_RANGE)
            return expr_type_error(e, err);
    e->type = type_of(TYPE_FLOAT64);
    e->nullable = true;
    return ST_OK;
}

/* ---- prom_round ---- */

static int bind_round(struct expr *e, struct error *err)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (e->args[i]->type->id == TYPE_RANGE)
            return expr_type_error(e, err);
        TRY(expr_bind_cast(e, i, type_of(TYPE_FLOAT64), err));
    }
    e->type = type_of(TYPE_FLOAT64);
    return ST_OK;
}

/* Half-way values go away from zero. */
static int kernel_round(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                        struct error *err)
{
    struct buffer *values, *validity;
    int64_t nulls;
    (void)e;
    TRY(kernel_validity(ctx->budget, args, 2, rows, &validity, &nulls, err));
    int st = buffer_new_uninit(ctx->budget, (size_t)rows * sizeof(double), &values, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    const double *v = COLUMN_VALUES(args[0].column, double), *to = COLUMN_VALUES(args[1].column, double);
    double *out = (double *)(void *)values->data;
    for (int64_t i = 0; i < rows; i++) {
        double x = v[args[0].scalar ? 0 : i], nearest = to[args[1].scalar ? 0 : i];
        out[i] = nearest == 0 ? round(x) : round(x / nearest) * nearest;
    }
    return column_new(type_of(TYPE_FLOAT64), rows, nulls, validity, values, NULL, ret, err);
}

bool function_takes_ranges(const struct function *f)
{
    return f->kernel == kernel_window;
}

#define OVER_TIME(name, args, op)                                                                                                                    \
    {                                                                                                                                                \
        "prom_" name, args, args, bind_window, kernel_window, op, false                                                                              \
    }

const struct function functions_prom[] = {
    OVER_TIME("rate", 4, PROM_RATE),
    OVER_TIME("increase", 4, PROM_INCREASE),
    OVER_TIME("delta", 4, PROM_DELTA),
    OVER_TIME("irate", 2, PROM_IRATE),
    OVER_TIME("idelta", 2, PROM_IDELTA),
    OVER_TIME("resets", 2, PROM_RESETS),
    OVER_TIME("changes", 2, PROM_CHANGES),
    OVER_TIME("deriv", 2, PROM_DERIV),
    OVER_TIME("predict_linear", 3, PROM_PREDICT_LINEAR),
    OVER_TIME("avg_over_time", 2, PROM_AVG),
    OVER_TIME("sum_over_time", 2, PROM_SUM),
    OVER_TIME("min_over_time", 2, PROM_MIN),
    OVER_TIME("max_over_time", 2, PROM_MAX),
    OVER_TIME("count_over_time", 2, PROM_COUNT),
    OVER_TIME("last_over_time", 2, PROM_LAST),
    OVER_TIME("present_over_time", 2, PROM_PRESENT),
    OVER_TIME("absent_over_time", 2, PROM_ABSENT),
    OVER_TIME("stdvar_over_time", 2, PROM_STDVAR),
    OVER_TIME("stddev_over_time", 2, PROM_STDDEV),
    OVER_TIME("quantile_over_time", 3, PROM_QUANTILE),
    OVER_TIME("double_exponential_smoothing", 4, PROM_SMOOTHING),
    OVER_TIME("holt_winters", 4, PROM_SMOOTHING),
    {"prom_round", 2, 2, bind_round, kernel_round, 0, true},
    {NULL, 0, 0, NULL, NULL, 0, false},
};
