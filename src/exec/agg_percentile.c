/* median, percentile_cont and PromQL's quantile: exact order statistics over all values of a group.
 *
 * Values are turned into unsigned integers of the same order (IEEE total order for floats), in which the k-th smallest is found by radix selection:
 * one histogram of a byte after the other, keeping only the values that share the bytes chosen so far. No input makes it worse than linear.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/agg_collect.h"

enum { MEDIAN, CONT, QUANTILE };

typedef unsigned __int128 wide;

struct percentile_agg {
    struct agg base;
    struct agg_collect rows;
    uint32_t n_groups, value; /* value = the argument with the values */
    double fraction;
    struct vec keys, scratch; /* the ordered integers of one group, and room to work */
};

/* ---- order statistics ---- */

#define SELECT(NAME, key)                                                                                                                            \
    /* The k-th smallest (from 0) of v[0..n), which are used up. */                                                                                  \
    static key NAME(key *v, size_t n, size_t k)                                                                                                      \
    {                                                                                                                                                \
        for (int shift = (int)sizeof(key) * 8 - 8; shift >= 0 && n > 1; shift -= 8) {                                                                \
            size_t counts[256] = {0}, at = 0, kept = 0;                                                                                              \
            for (size_t i = 0; i < n; i++)                                                                                                           \
                counts[(uint8_t)(v[i] >> shift)]++;                                                                                                  \
            while (k >= counts[at])                                                                                                                  \
                k -= counts[at++];                                                                                                                   \
            if (counts[at] == n)                                                                                                                     \
                continue;                                                                                                                            \
            for (size_t i = 0; i < n; i++)                                                                                                           \
                if ((uint8_t)(v[i] >> shift) == at)                                                                                                  \
                    v[kept++] = v[i];                                                                                                                \
            n = kept;                                                                                                                                \
        }                                                                                                                                            \
        return v[0];                                                                                                                                 \
    }

SELECT(select_word, uint64_t)
SELECT(select_wide, wide)

#define SELECT_PAIR(NAME, key, SELECT_ONE)                                                                                                           \
    /* The k-th and the next smallest; v stays as it is. */                                                                                          \
    static void NAME(const key *v, key *scratch, size_t n, size_t k, key *ret_lower, key *ret_upper)                                                 \
    {                                                                                                                                                \
        size_t up_to = 0;                                                                                                                            \
        key above = (key) ~(key)0;                                                                                                                   \
        memcpy(scratch, v, n * sizeof *v);                                                                                                           \
        key lower = SELECT_ONE(scratch, n, k);                                                                                                       \
        for (size_t i = 0; i < n; i++) {                                                                                                             \
            up_to += v[i] <= lower;                                                                                                                  \
            above = v[i] > lower && v[i] < above ? v[i] : above;                                                                                     \
        }                                                                                                                                            \
        *ret_lower = lower;                                                                                                                          \
        *ret_upper = up_to > k + 1 || k + 1 >= n ? lower : above;                                                                                    \
    }

SELECT_PAIR(pair_words, uint64_t, select_word)
SELECT_PAIR(pair_wides, wide, select_wide)

/* ---- values as ordered integers ---- */

#define SIGN64 (1ull << 63)

static inline uint64_t order_f64(int64_t bits)
{
    return (uint64_t)total_order64(bits) ^ SIGN64;
}

static inline double unorder_f64(uint64_t key)
{
    int64_t bits = total_order64((int64_t)(key ^ SIGN64));
    double v;
    memcpy(&v, &bits, 8);
    return v;
}

static inline float unorder_f32(uint64_t key)
{
    int32_t bits = total_order32((int32_t)(int64_t)(key ^ SIGN64));
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

#define LOAD(ctype, EXPR)                                                                                                                            \
    for (size_t i = 0; i < n; i++) {                                                                                                                 \
        ctype x = COLUMN_VALUES(c, ctype)[from + i];                                                                                                 \
        to[i] = (EXPR);                                                                                                                              \
    }                                                                                                                                                \
    break;

static void load_words(const struct column *c, size_t from, size_t n, uint64_t *to)
{
    switch (c->type->id) {
    case TYPE_INT8:
        LOAD(int8_t, (uint64_t)(int64_t)x ^ SIGN64)
    case TYPE_INT16:
        LOAD(int16_t, (uint64_t)(int64_t)x ^ SIGN64)
    case TYPE_INT32:
        LOAD(int32_t, (uint64_t)(int64_t)x ^ SIGN64)
    case TYPE_INT64:
        LOAD(int64_t, (uint64_t)x ^ SIGN64)
    case TYPE_UINT8:
        LOAD(uint8_t, x)
    case TYPE_UINT16:
        LOAD(uint16_t, x)
    case TYPE_UINT32:
        LOAD(uint32_t, x)
    case TYPE_UINT64:
        LOAD(uint64_t, x)
    case TYPE_FLOAT32:
        LOAD(int32_t, (uint64_t)(int64_t)total_order32(x) ^ SIGN64)
    default:
        LOAD(int64_t, order_f64(x))
    }
    for (size_t i = 0; i < n && c->validity; i++)
        if (column_is_null(c, (int64_t)(from + i)))
            to[i] = order_f64(0); /* only quantile keeps NULLs: they are zeros to it */
}

/* Keys of one group into a->keys; room for a copy in a->scratch. */
static int load_group(struct percentile_agg *a, size_t from, size_t n, struct error *err)
{
    const struct column *c = a->rows.columns[0];
    size_t width = c->type->id == TYPE_DECIMAL128 ? sizeof(wide) : 8;
    TRY(vec_reserve(&a->keys, a->base.budget, n, width, err));
    TRY(vec_reserve(&a->scratch, a->base.budget, n, width, err));
    if (width == 8) {
        load_words(c, from, n, a->keys.data);
        return ST_OK;
    }
    memcpy(a->keys.data, c->buffers[0]->data + ((size_t)c->offset + from) * width, n * width);
    for (size_t i = 0; i < n; i++)
        VEC(&a->keys, wide)[i] ^= (wide)1 << 127;
    return ST_OK;
}

/* ---- the functions ---- */

/* (a + b) / 2 cut towards zero, without overflow. */
static __int128 middle(__int128 a, __int128 b)
{
    __int128 sum;
    return __builtin_add_overflow(a, b, &sum) ? a / 2 + b / 2 + (a % 2 + b % 2) / 2 : sum / 2;
}

static void median_at(struct percentile_agg *a, size_t n, uint8_t *to)
{
    const struct dtype *t = a->base.call->value_type;
    size_t k = n % 2 ? n / 2 : n / 2 - 1;
    if (t->id == TYPE_DECIMAL128) {
        wide low, high;
        pair_wides(a->keys.data, a->scratch.data, n, k, &low, &high);
        low ^= (wide)1 << 127;
        high ^= (wide)1 << 127;
        __int128 v = n % 2 ? (__int128)low : middle((__int128)low, (__int128)high);
        memcpy(to, &v, sizeof v);
        return;
    }
    uint64_t low, high;
    pair_words(a->keys.data, a->scratch.data, n, k, &low, &high);
    high = n % 2 ? low : high;
    if (t->id == TYPE_FLOAT64) {
        double x = unorder_f64(low), v = n % 2 ? x : (x + unorder_f64(high)) / 2;
        memcpy(to, &v, sizeof v);
    } else if (t->id == TYPE_FLOAT32) {
        float x = unorder_f32(low), v = n % 2 ? x : (x + unorder_f32(high)) / 2;
        memcpy(to, &v, sizeof v);
    } else {
        bool sign = type_is_signed(t);
        __int128 v = sign ? middle((int64_t)(low ^ SIGN64), (int64_t)(high ^ SIGN64)) : middle(low, high);
        memcpy(to, &v, (size_t)type_width(t)); /* little-endian: the low bytes */
    }
}

/* Between the values around index p * (n - 1); the weight is cut to six decimals, as the peer does. */
static void cont_at(struct percentile_agg *a, size_t n, uint8_t *to)
{
    double index = a->fraction * (double)(n - 1), whole = floor(index), weight = floor((index - whole) * 1e6) / 1e6;
    bool exact = whole == ceil(index);
    uint64_t low, high;
    pair_words(a->keys.data, a->scratch.data, n, (size_t)whole, &low, &high);
    if (a->base.call->value_type->id == TYPE_FLOAT64) {
        double x = unorder_f64(low), v = exact ? x : x + (unorder_f64(high) - x) * weight;
        memcpy(to, &v, sizeof v);
    } else {
        double x = (double)unorder_f32(low);
        float v = (float)(exact ? x : x + ((double)unorder_f32(high) - x) * weight);
        memcpy(to, &v, sizeof v);
    }
}

static void quantile_at(struct percentile_agg *a, size_t n, uint8_t *to)
{
    double v = isnan(a->fraction) || n == 0 ? NAN : a->fraction < 0 ? -INFINITY : INFINITY;
    if (n && a->fraction >= 0 && a->fraction <= 1) {
        double rank = a->fraction * (double)(n - 1), whole = floor(rank), weight = rank - whole;
        uint64_t low, high;
        pair_words(a->keys.data, a->scratch.data, n, (size_t)whole, &low, &high);
        v = unorder_f64(low) * (1 - weight) + unorder_f64(high) * weight;
    }
    memcpy(to, &v, sizeof v);
}

static int percentile_resolve(struct agg_call *call, struct error *err)
{
    int which = call->function->which;
    struct dtype *t = call->args[which == QUANTILE];
    double p;
    if (which == MEDIAN && t->id == TYPE_NULL)
        t = type_of(TYPE_FLOAT64);
    bool fits = which == MEDIAN ? type_is_integer(t) || t->id == TYPE_DECIMAL128 || t->id == TYPE_FLOAT32 || t->id == TYPE_FLOAT64
                                : t->id == TYPE_FLOAT64 || (which == CONT && t->id == TYPE_FLOAT32);
    if (!fits)
        return agg_type_error(call, which == QUANTILE, err);
    if (which != MEDIAN)
        TRY(agg_constant_float(call, which == CONT, &p, err));
    if (which == CONT && !(p >= 0 && p <= 1))
        return error_set(err, ST_EXECUTE_QUERY, "the percentile must be between 0.0 and 1.0, %g is not", p);
    call->value_type = type_ref(t);
    if (which == QUANTILE)
        return ST_OK;
    struct dtype *list = agg_list_type(t);
    if (!list)
        return error_no_memory(err, sizeof *list);
    int st = agg_add_state(call, call->function->name, list, err);
    type_unref(list);
    return st;
}

static int percentile_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    struct percentile_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    agg_collect_init(&a->rows, budget, 1);
    int which = call->function->which;
    a->value = which == QUANTILE;
    int st = which == MEDIAN ? ST_OK : agg_constant_float(call, which == CONT, &a->fraction, err);
    if (which == CONT && call->descending)
        a->fraction = 1 - a->fraction;
    if (st != ST_OK) {
        free(a);
        return st;
    }
    *ret_agg = &a->base;
    return ST_OK;
}

static int percentile_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    (void)err;
    ((struct percentile_agg *)base)->n_groups = n_groups;
    return ST_OK;
}

static int percentile_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct percentile_agg *a = (struct percentile_agg *)base;
    if (args[a->value]->type->id == TYPE_NULL)
        return ST_OK;
    return agg_collect_add(&a->rows, args + a->value, rows, base->function->which != QUANTILE, err);
}

static int percentile_combine(struct agg *base, struct agg *from, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    return agg_collect_combine(&((struct percentile_agg *)base)->rows, &((struct percentile_agg *)from)->rows, first, n, groups, err);
}

static int fill_values(struct percentile_agg *a, uint32_t first, uint32_t n, struct buffer *values, struct buffer *validity, int64_t *ret_nulls,
                       struct error *err)
{
    const uint32_t *starts = agg_collect_starts(&a->rows, first);
    size_t width = (size_t)type_width(a->base.call->value_type);
    for (uint32_t i = 0; i < n; i++) {
        size_t count = starts[i + 1] - starts[i];
        uint8_t *to = values->data + i * width;
        bit_put(validity->data, i, count || a->base.function->which == QUANTILE);
        *ret_nulls += !count && a->base.function->which != QUANTILE;
        if (count)
            TRY(load_group(a, starts[i], count, err));
        if (a->base.function->which == QUANTILE)
            quantile_at(a, count, to);
        else if (count)
            (a->base.function->which == MEDIAN ? median_at : cont_at)(a, count, to);
    }
    return ST_OK;
}

static int percentile_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct percentile_agg *a = (struct percentile_agg *)base;
    struct dtype *t = base->call->value_type;
    struct buffer *values = NULL, *validity = NULL;
    int64_t nulls = 0;
    TRY(agg_collect_arrange(&a->rows, a->n_groups, NULL, 0, err));
    int st = buffer_new(base->budget, (size_t)n * (size_t)type_width(t), &values, err);
    if (st == ST_OK)
        st = buffer_new(base->budget, bits_bytes(n), &validity, err);
    if (st == ST_OK)
        st = fill_values(a, first, n, values, validity, &nulls, err);
    if (st == ST_OK)
        return column_new(t, n, nulls, validity, values, NULL, ret_column, err);
    buffer_unref(values);
    buffer_unref(validity);
    return st;
}

static int percentile_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    struct percentile_agg *a = (struct percentile_agg *)base;
    TRY(agg_collect_arrange(&a->rows, a->n_groups, NULL, 0, err));
    return agg_collect_lists(&a->rows, 0, base->call->state_fields[0]->type, false, first, n, &ret_children[0], err);
}

static void percentile_free(struct agg *base)
{
    struct percentile_agg *a = (struct percentile_agg *)base;
    agg_collect_release(&a->rows);
    vec_release(&a->keys, base->budget);
    vec_release(&a->scratch, base->budget);
    free(a);
}

#define FUNCTIONS                                                                                                                                    \
    .resolve = percentile_resolve, .open = percentile_open, .reserve = percentile_reserve, .update = percentile_update, .finish = percentile_finish, \
    .combine = percentile_combine, .free = percentile_free

const struct agg_function agg_percentile_functions[] = {
    {.name = "median", .which = MEDIAN, .args_min = 1, .args_max = 1, .state = percentile_state, FUNCTIONS},
    {.name = "percentile_cont", .which = CONT, .args_min = 2, .args_max = 2, .state = percentile_state, FUNCTIONS},
    {.name = "quantile", .which = QUANTILE, .args_min = 2, .args_max = 2, .distinct = AGG_DISTINCT_IGNORED, FUNCTIONS},
    {.name = NULL},
};
