/* Variance, covariance and correlation: running means and centred second moments (Welford), as the state layouts want them. The order of operations
 * is DataFusion's, to the last digit of what one stream of rows gives; so is the one function that adds up products instead, `corr` with GROUP BY. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/agg.h"

enum {
    VAR,
    VAR_POP,
    STDDEV,
    STDDEV_POP,
    COVAR,
    COVAR_POP,
    CORR,
    REGR_SLOPE,
    REGR_INTERCEPT,
    REGR_COUNT,
    REGR_R2,
    REGR_AVGX,
    REGR_AVGY,
    REGR_SXX,
    REGR_SYY,
    REGR_SXY
};

/* The first argument is "1", the second "2"; for regr_*(y, x), x is "1". Of sums (adds_products()): the values, their squares and their products. */
struct moments {
    uint64_t count;
    double mean1, m1, mean2, m2, co;
};

/* The state form is not among them: a frontend takes its fields for means and moments. */
static bool adds_products(const struct agg_call *call)
{
    return call->function->which == CORR && call->grouped && !call->state;
}

struct moment_agg {
    struct agg base;
    struct vec acc;
    struct vec doubles[2]; /* the arguments of a batch that are no doubles themselves */
};

static int moment_resolve(struct agg_call *call, struct error *err)
{
    int which = call->function->which;
    for (uint32_t k = 0; k < call->n_args; k++)
        if (!agg_is_number(call->args[k]))
            return agg_type_error(call, k, err);
    static const char *const var[] = {"mean", "m2", NULL}, *const covar[] = {"mean1", "mean2", "algo_const", NULL},
                             *const corr[] = {"mean1", "m2_1", "mean2", "m2_2", "algo_const", NULL}, *const regr[] = {"mean_x", "mean_y",     "m2_x",
                                                                                                                      "m2_y",   "algo_const", NULL};
    const char *const *parts = which <= STDDEV_POP ? var : which <= COVAR_POP ? covar : which == CORR ? corr : regr;
    call->value_type = type_ref(type_of(which == REGR_COUNT ? TYPE_UINT64 : TYPE_FLOAT64));
    TRY(agg_add_state(call, "count", type_of(TYPE_UINT64), err));
    for (; *parts; parts++)
        TRY(agg_add_state(call, *parts, type_of(TYPE_FLOAT64), err));
    return ST_OK;
}

static int moment_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    (void)call;
    (void)budget;
    struct moment_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    *ret_agg = &a->base;
    return ST_OK;
}

static int moment_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    return vec_reserve(&((struct moment_agg *)base)->acc, base->budget, n_groups, sizeof(struct moments), err);
}

static inline void add_one(struct moments *m, double x)
{
    double d = x - m->mean1;
    m->count++;
    m->mean1 += d / (double)m->count;
    m->m1 += d * (x - m->mean1);
}

static inline void add_pair(struct moments *m, double x, double y)
{
    double dx = x - m->mean1, dy = y - m->mean2, n = (double)++m->count;
    m->mean1 += dx / n;
    m->mean2 += dy / n;
    m->m1 += dx * (x - m->mean1);
    m->m2 += dy * (y - m->mean2);
    m->co += dx * (y - m->mean2);
}

static inline void add_products(struct moments *m, double x, double y)
{
    m->count++;
    m->mean1 += x;
    m->mean2 += y;
    m->co += x * y;
    m->m1 += x * x;
    m->m2 += y * y;
}

static int doubles_of(struct moment_agg *a, uint32_t arg, const struct column *c, const double **ret_values, struct error *err)
{
    if (c->type->id != TYPE_FLOAT64) {
        TRY(vec_reserve(&a->doubles[arg], a->base.budget, (size_t)c->length + 1, sizeof(double), err));
        agg_load_doubles(c, a->doubles[arg].data);
        *ret_values = a->doubles[arg].data;
    } else {
        *ret_values = COLUMN_VALUES(c, double);
    }
    return ST_OK;
}

static int moment_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct moments *acc = ((struct moment_agg *)base)->acc.data;
    const double *x, *y = NULL;
    TRY(doubles_of((struct moment_agg *)base, 0, args[0], &x, err));
    if (base->call->n_args > 1)
        TRY(doubles_of((struct moment_agg *)base, 1, args[1], &y, err));
    bool nulls = column_null_count(args[0]) || (y && column_null_count(args[1])), products = adds_products(base->call);
    if (base->function->which >= REGR_SLOPE) {
        const double *first = x;
        x = y;
        y = first;
    }
    uint32_t run = 0;
    for (int64_t i = 0; i < rows->n; i++) {
        while (rows->starts && i >= rows->starts[run + 1])
            run++;
        if (nulls && (column_is_null(args[0], i) || (y && column_is_null(args[1], i))))
            continue;
        struct moments *m = &acc[rows->starts ? agg_run_group(rows, run) : rows->groups[i]];
        if (!y)
            add_one(m, x[i]);
        else if (products)
            add_products(m, x[i], y[i]);
        else
            add_pair(m, x[i], y[i]);
    }
    return ST_OK;
}

/* false = NULL; so are the others. */
static bool correlation(const struct moments *m, double *ret_value)
{
    double n = (double)m->count, s1 = sqrt(m->m1 / n), s2 = sqrt(m->m2 / n);
    *ret_value = NAN;
    if (isnan(m->mean1) && isnan(m->mean2)) /* also of one pair */
        return true;
    if (m->count < 2 || isnan(m->mean1) || isnan(m->mean2) || s1 == 0 || s2 == 0)
        return false;
    *ret_value = m->co / n / s1 / s2;
    return true;
}

static bool correlation_of_products(const struct moments *m, double *ret_value)
{
    double n = (double)m->count, mean1 = m->mean1 / n, mean2 = m->mean2 / n, spread = sqrt((m->m1 - m->mean1 * mean1) * (m->m2 - m->mean2 * mean2));
    *ret_value = NAN;
    if (isnan(m->mean1) && isnan(m->mean2))
        return true;
    if (m->count < 2 || isnan(m->mean1) || isnan(m->mean2) || spread == 0)
        return false;
    *ret_value = (m->co - m->mean1 * mean2) / spread;
    return true;
}

/* A mean behind the merge of a part into nothing, by which each of the peer's regressions ends. */
static double merged_mean(double mean, uint64_t count)
{
    return count ? mean * (double)count / (double)count : mean;
}

static bool regression(const struct moments *m, int which, double *ret_value)
{
    double n = (double)m->count, co = m->co / n, var_x = m->m1 / n, var_y = m->m2 / n;
    double mean_x = merged_mean(m->mean1, m->count), mean_y = merged_mean(m->mean2, m->count), *v = ret_value;
    switch (which) {
    case REGR_SLOPE:
        *v = co / var_x;
        return m->count > 1 && var_x != 0;
    case REGR_INTERCEPT:
        *v = mean_y - co / var_x * mean_x;
        return m->count > 1 && var_x != 0;
    case REGR_R2:
        *v = co * co / (var_x * var_y);
        return m->count > 1 && var_x != 0 && var_y != 0;
    case REGR_AVGX:
        *v = mean_x;
        return m->count > 0;
    case REGR_AVGY:
        *v = mean_y;
        return m->count > 0;
    case REGR_SXX:
        *v = m->m1;
        return m->count > 0;
    case REGR_SYY:
        *v = m->m2;
        return m->count > 0;
    default:
        *v = m->co;
        return m->count > 0;
    }
}

static bool moment_value(const struct moments *m, const struct agg_call *call, double *ret_value)
{
    double n = (double)m->count, m1 = m->count == 1 && !call->grouped ? 0 : m->m1, *v = ret_value; /* of one value, even an infinite one, 0 */
    switch (call->function->which) {
    case VAR:
        *v = m->m1 / (n - 1);
        return m->count > 1;
    case STDDEV:
        *v = sqrt(m->m1 / (n - 1));
        return m->count > 1;
    case VAR_POP:
        *v = m1 / n;
        return m->count > 0;
    case STDDEV_POP:
        *v = sqrt(m1 / n);
        return m->count > 0;
    case COVAR:
        *v = m->co / (n - 1);
        return m->count > 1;
    case COVAR_POP:
        *v = m->co / n;
        return m->count > 0;
    case CORR:
        return adds_products(call) ? correlation_of_products(m, v) : correlation(m, v);
    default:
        return regression(m, call->function->which, v);
    }
}

static int counts(const struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct buffer *values;
    TRY(buffer_new(base->budget, (size_t)n * 8, &values, err));
    for (uint32_t i = 0; i < n; i++)
        store_le64(values->data + i * 8, VEC(&((const struct moment_agg *)base)->acc, struct moments)[first + i].count);
    return column_new(type_of(TYPE_UINT64), n, 0, NULL, values, NULL, ret_column, err);
}

static int moment_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    const struct moments *acc = VEC(&((struct moment_agg *)base)->acc, struct moments) + first;
    struct buffer *values = NULL, *validity = NULL;
    uint32_t nulls = 0;
    if (base->function->which == REGR_COUNT)
        return counts(base, first, n, ret_column, err);
    TRY(buffer_new(base->budget, (size_t)n * 8, &values, err));
    int st = buffer_new(base->budget, bits_bytes(n), &validity, err);
    if (st != ST_OK) {
        buffer_unref(values);
        return st;
    }
    for (uint32_t i = 0; i < n; i++) {
        double v;
        bool valid = moment_value(&acc[i], base->call, &v);
        bit_put(validity->data, i, valid);
        nulls += !valid;
        if (valid)
            memcpy(values->data + i * 8, &v, 8);
    }
    if (!nulls) {
        buffer_unref(validity);
        validity = NULL;
    }
    return column_new(base->call->value_type, n, nulls, validity, values, NULL, ret_column, err);
}

static int moment_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    const struct moments *acc = VEC(&((struct moment_agg *)base)->acc, struct moments) + first;
    int which = base->function->which;
    TRY(counts(base, first, n, &ret_children[0], err));
    for (uint32_t k = 1; k < base->call->n_state; k++) {
        struct buffer *values;
        TRY(buffer_new(base->budget, (size_t)n * 8, &values, err));
        for (uint32_t i = 0; i < n; i++) {
            const struct moments *m = &acc[i];
            const double var[] = {m->mean1, m->m1}, covar[] = {m->mean1, m->mean2, m->co}, corr[] = {m->mean1, m->m1, m->mean2, m->m2, m->co},
                         regr[] = {merged_mean(m->mean1, m->count), merged_mean(m->mean2, m->count), m->m1, m->m2, m->co};
            const double *from = which <= STDDEV_POP ? var : which <= COVAR_POP ? covar : which == CORR ? corr : regr;
            memcpy(values->data + i * 8, &from[k - 1], 8);
        }
        TRY(column_new(type_of(TYPE_FLOAT64), n, 0, NULL, values, NULL, &ret_children[k], err));
    }
    return ST_OK;
}

/* Means and second moments of two sets of rows together (Chan, Golub and LeVeque). */
static void merge(struct moments *m, const struct moments *more)
{
    double n = (double)m->count, k = (double)more->count, d1 = more->mean1 - m->mean1, d2 = more->mean2 - m->mean2, w = k / (n + k);
    if (!more->count)
        return;
    if (!m->count) {
        *m = *more;
        return;
    }
    m->count += more->count;
    m->m1 += more->m1 + d1 * d1 * n * w;
    m->m2 += more->m2 + d2 * d2 * n * w;
    m->co += more->co + d1 * d2 * n * w;
    m->mean1 += d1 * w;
    m->mean2 += d2 * w;
}

static void merge_products(struct moments *m, const struct moments *more)
{
    m->count += more->count;
    m->mean1 += more->mean1;
    m->mean2 += more->mean2;
    m->co += more->co;
    m->m1 += more->m1;
    m->m2 += more->m2;
}

static int moment_combine(struct agg *base, struct agg *from, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    (void)err;
    bool products = adds_products(base->call);
    for (uint32_t i = 0; i < n; i++) {
        struct moments *m = VEC(&((struct moment_agg *)base)->acc, struct moments) + groups[i];
        const struct moments *more = VEC(&((struct moment_agg *)from)->acc, struct moments) + first + i;
        if (products)
            merge_products(m, more);
        else
            merge(m, more);
    }
    return ST_OK;
}

static void moment_free(struct agg *base)
{
    struct moment_agg *a = (struct moment_agg *)base;
    vec_release(&a->acc, base->budget);
    vec_release(&a->doubles[0], base->budget);
    vec_release(&a->doubles[1], base->budget);
    free(a);
}

#define FUNCTION(NAME, WHICH, ARGS, DISTINCT)                                                                                                        \
    {                                                                                                                                                \
        .name = NAME, .which = WHICH, .args_min = ARGS, .args_max = ARGS, .resolve = moment_resolve, .open = moment_open, .reserve = moment_reserve, \
        .update = moment_update, .finish = moment_finish, .state = moment_state, .combine = moment_combine, .free = moment_free,                     \
        .distinct = AGG_DISTINCT_##DISTINCT                                                                                                          \
    }

const struct agg_function agg_moment_functions[] = {
    FUNCTION("var", VAR, 1, APPLIES),
    FUNCTION("var_pop", VAR_POP, 1, APPLIES),
    FUNCTION("stddev", STDDEV, 1, REFUSED),
    FUNCTION("stddev_pop", STDDEV_POP, 1, REFUSED),
    FUNCTION("covar_samp", COVAR, 2, IGNORED),
    FUNCTION("covar_pop", COVAR_POP, 2, IGNORED),
    FUNCTION("corr", CORR, 2, IGNORED),
    FUNCTION("regr_slope", REGR_SLOPE, 2, IGNORED),
    FUNCTION("regr_intercept", REGR_INTERCEPT, 2, IGNORED),
    FUNCTION("regr_count", REGR_COUNT, 2, IGNORED),
    FUNCTION("regr_r2", REGR_R2, 2, IGNORED),
    FUNCTION("regr_avgx", REGR_AVGX, 2, IGNORED),
    FUNCTION("regr_avgy", REGR_AVGY, 2, IGNORED),
    FUNCTION("regr_sxx", REGR_SXX, 2, IGNORED),
    FUNCTION("regr_syy", REGR_SYY, 2, IGNORED),
    FUNCTION("regr_sxy", REGR_SXY, 2, IGNORED),
    {.name = NULL},
};
