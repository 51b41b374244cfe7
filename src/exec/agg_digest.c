/* approx_median, approx_percentile_cont and approx_percentile_cont_with_weight: a t-digest a group.
 *
 * Values wait in one list for all groups; when it is long they are brought together by group and sorted, and each group's digest takes its part at
 * once. So a digest is rewritten once in thousands of rows, and a group costs nothing before its first value.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/agg.h"
#include "exec/tdigest.h"

enum { MEDIAN, CONT, WEIGHTED };
enum { DEFAULT_SIZE = 100, PENDING_ROWS = 32768 };

struct digest_agg {
    struct agg base;
    double fraction;
    uint64_t max_size;
    uint32_t n_groups, opened;  /* digests before `opened` are initialised */
    struct vec digests;         /* struct tdigest a group */
    struct vec pending, groups; /* struct centroid and uint32 a value */
    size_t n_pending;
    struct vec sorted, spare, starts, scratch;
};

static int digest_constants(const struct agg_call *call, double *ret_fraction, uint64_t *ret_size, struct error *err)
{
    uint32_t p = call->function->which == WEIGHTED ? 2 : 1;
    int64_t size = DEFAULT_SIZE;
    *ret_fraction = 0.5;
    if (call->function->which != MEDIAN) {
        TRY(agg_constant_float(call, p, ret_fraction, err));
        if (!(*ret_fraction >= 0 && *ret_fraction <= 1))
            return error_set(err, ST_EXECUTE_QUERY, "the percentile must be between 0.0 and 1.0, %g is not", *ret_fraction);
        if (call->n_args > p + 1)
            TRY(agg_constant_int(call, p + 1, &size, err));
        if (size <= 0)
            return error_set(err, ST_EXECUTE_QUERY, "the number of centroids must be positive, %lld is not", (long long)size);
        if (call->descending)
            *ret_fraction = 1 - *ret_fraction;
    }
    *ret_size = (uint64_t)size;
    return ST_OK;
}

static int digest_resolve(struct agg_call *call, struct error *err)
{
    double fraction;
    uint64_t size;
    for (uint32_t k = 0; k < 1u + (call->function->which == WEIGHTED); k++)
        if (!agg_is_number(call->args[k]) || call->args[k]->id == TYPE_DECIMAL128)
            return agg_type_error(call, k, err);
    TRY(digest_constants(call, &fraction, &size, err));
    call->value_type = type_ref(call->args[0]);
    static const char *const parts[] = {"sum", "count", "max", "min"};
    TRY(agg_add_state(call, "max_size", type_of(TYPE_UINT64), err));
    for (int k = 0; k < 4; k++)
        TRY(agg_add_state(call, parts[k], type_of(TYPE_FLOAT64), err));
    struct dtype *list = agg_list_type(type_of(TYPE_FLOAT64));
    if (!list)
        return error_no_memory(err, sizeof *list);
    int st = agg_add_state(call, "centroids", list, err);
    type_unref(list);
    return st;
}

static int digest_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    (void)budget;
    double fraction;
    uint64_t size;
    TRY(digest_constants(call, &fraction, &size, err));
    struct digest_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    a->fraction = fraction;
    a->max_size = size;
    *ret_agg = &a->base;
    return ST_OK;
}

static int digest_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    struct digest_agg *a = (struct digest_agg *)base;
    TRY(vec_reserve(&a->digests, base->budget, n_groups, sizeof(struct tdigest), err));
    for (; a->opened < n_groups; a->opened++)
        VEC(&a->digests, struct tdigest)[a->opened] = tdigest_empty();
    a->n_groups = n_groups;
    return ST_OK;
}

/* Brings the waiting values together by group, `starts` as agg_collect has them. */
static int group_pending(struct digest_agg *a, struct error *err)
{
    struct budget *budget = a->base.budget;
    TRY(vec_reserve(&a->sorted, budget, a->n_pending, sizeof(struct centroid), err));
    TRY(vec_reserve(&a->spare, budget, a->n_pending, sizeof(struct centroid), err));
    TRY(vec_reserve(&a->starts, budget, (size_t)a->n_groups + 2, 4, err));
    uint32_t *starts = a->starts.data;
    const uint32_t *groups = a->groups.data;
    const struct centroid *pending = a->pending.data;
    struct centroid *sorted = a->sorted.data;
    memset(starts, 0, ((size_t)a->n_groups + 2) * 4);
    for (size_t i = 0; i < a->n_pending; i++)
        starts[groups[i] + 2]++;
    for (uint32_t g = 0; g < a->n_groups; g++)
        starts[g + 1] += starts[g];
    for (size_t i = 0; i < a->n_pending; i++)
        sorted[starts[groups[i] + 1]++] = pending[i];
    return ST_OK;
}

static int flush(struct digest_agg *a, struct error *err)
{
    struct budget *budget = a->base.budget;
    if (!a->n_pending)
        return ST_OK;
    TRY(group_pending(a, err));
    const uint32_t *starts = a->starts.data;
    for (uint32_t g = 0; g < a->n_groups; g++) {
        struct centroid *c = VEC(&a->sorted, struct centroid) + starts[g];
        size_t n = starts[g + 1] - starts[g];
        struct tdigest *d = VEC(&a->digests, struct tdigest) + g;
        if (!n)
            continue;
        tdigest_sort(c, a->spare.data, n);
        TRY((a->base.function->which == WEIGHTED ? tdigest_add_centroids : tdigest_add_values)(d, a->max_size, c, n, &a->scratch, budget, err));
    }
    a->n_pending = 0;
    return ST_OK;
}

static int digest_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct digest_agg *a = (struct digest_agg *)base;
    bool weighted = base->function->which == WEIGHTED, nulls = column_null_count(args[0]) || (weighted && column_null_count(args[1]));
    TRY(vec_reserve(&a->pending, base->budget, a->n_pending + (size_t)rows->n, sizeof(struct centroid), err));
    TRY(vec_reserve(&a->groups, base->budget, a->n_pending + (size_t)rows->n, 4, err));
    TRY(vec_reserve(&a->scratch, base->budget, (size_t)rows->n + 1, sizeof(struct centroid), err));
    double *values = a->scratch.data, *weights = values + rows->n;
    agg_load_doubles(args[0], values);
    if (weighted)
        agg_load_doubles(args[1], weights);
    struct centroid *to = VEC(&a->pending, struct centroid) + a->n_pending;
    uint32_t *groups = VEC(&a->groups, uint32_t) + a->n_pending;
    size_t n = 0;
    for (int64_t i = 0; i < rows->n; i++) {
        if (nulls && (column_is_null(args[0], i) || (weighted && column_is_null(args[1], i))))
            continue;
        to[n] = (struct centroid){values[i], weighted ? weights[i] : 1};
        groups[n] = agg_row_group(rows, i);
        n += !weighted || weights[i] > 0; /* other weights count for nothing */
    }
    a->n_pending += n;
    return a->n_pending >= PENDING_ROWS && a->n_pending >= a->n_groups ? flush(a, err) : ST_OK;
}

static int digest_combine(struct agg *base, struct agg *from_base, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    struct digest_agg *a = (struct digest_agg *)base, *from = (struct digest_agg *)from_base;
    TRY(flush(a, err)); /* what waits has come before */
    TRY(flush(from, err));
    for (uint32_t i = 0; i < n; i++) {
        struct tdigest *d = VEC(&a->digests, struct tdigest) + groups[i];
        TRY(tdigest_merge(d, a->max_size, VEC(&from->digests, struct tdigest) + first + i, &a->scratch, base->budget, err));
    }
    return ST_OK;
}

/* A double as an integer, cut towards zero and to the type's range; NaN is 0. */
static uint64_t saturated(double v, const struct dtype *t)
{
    int bits = 8 * type_width(t) - type_is_signed(t);
    double limit = ldexp(1, bits);
    uint64_t most = bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
    if (isnan(v) || (v <= 0 && !type_is_signed(t)))
        return 0;
    if (v >= limit)
        return most;
    if (v < -limit)
        return ~most;
    return v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
}

static int digest_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct digest_agg *a = (struct digest_agg *)base;
    struct dtype *t = base->call->value_type;
    size_t width = (size_t)type_width(t);
    struct buffer *values = NULL, *validity = NULL;
    int64_t nulls = 0;
    TRY(flush(a, err));
    int st = buffer_new(base->budget, n * width, &values, err);
    if (st == ST_OK)
        st = buffer_new(base->budget, bits_bytes(n), &validity, err);
    if (st != ST_OK) {
        buffer_unref(values);
        return st;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct tdigest *d = VEC(&a->digests, struct tdigest) + first + i;
        bool any = d->count != 0;
        bit_put(validity->data, i, any);
        nulls += !any;
        double v = any ? tdigest_quantile(d, a->fraction) : 0;
        float f = (float)v;
        uint64_t whole = type_is_integer(t) ? saturated(v, t) : 0;
        memcpy(values->data + i * width, t->id == TYPE_FLOAT64 ? (void *)&v : t->id == TYPE_FLOAT32 ? (void *)&f : (void *)&whole, width);
    }
    return column_new(t, n, nulls, validity, values, NULL, ret_column, err);
}

/* The numbers of the digests: max_size, sum, count, max, min. */
static int state_numbers(const struct digest_agg *a, uint32_t which, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct buffer *values;
    TRY(buffer_new_uninit(a->base.budget, (size_t)n * 8, &values, err));
    for (uint32_t i = 0; i < n; i++) {
        const struct tdigest *d = VEC(&a->digests, struct tdigest) + first + i;
        const double numbers[] = {0, d->sum, d->count, d->max, d->min};
        memcpy(values->data + i * 8, which ? (const void *)&numbers[which] : &a->max_size, 8);
    }
    return column_new(a->base.call->state_fields[which]->type, n, 0, NULL, values, NULL, ret_column, err);
}

static int state_centroids(const struct digest_agg *a, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    const struct tdigest *digests = VEC(&a->digests, struct tdigest) + first;
    struct buffer *offsets, *values = NULL;
    struct column *items;
    size_t total = 0;
    TRY(buffer_new(a->base.budget, ((size_t)n + 1) * 4, &offsets, err));
    for (uint32_t i = 0; i < n && total <= INT32_MAX; i++) {
        total += 2 * (size_t)digests[i].n;
        ((int32_t *)(void *)offsets->data)[i + 1] = (int32_t)total;
    }
    int st = total > INT32_MAX ? error_set(err, ST_EXHAUSTED, "the states of a batch have more than 2^31 centroids") : ST_OK;
    if (st == ST_OK)
        st = buffer_new_uninit(a->base.budget, total * 8, &values, err);
    if (st == ST_OK) {
        uint8_t *to = values->data;
        for (uint32_t i = 0; i < n; i++) /* a centroid lies in memory as it does in the list: mean, weight */
            if (digests[i].n)
                to =
                    (uint8_t *)memcpy(to, digests[i].centroids.data, digests[i].n * sizeof(struct centroid)) + digests[i].n * sizeof(struct centroid);
        st = column_new(type_of(TYPE_FLOAT64), (int64_t)total, 0, NULL, values, NULL, &items, err);
    }
    if (st == ST_OK)
        return column_new_nested(a->base.call->state_fields[5]->type, n, 0, NULL, offsets, &items, 1, ret_column, err);
    buffer_unref(offsets);
    return st;
}

static int digest_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    struct digest_agg *a = (struct digest_agg *)base;
    TRY(flush(a, err));
    for (uint32_t k = 0; k < 5; k++)
        TRY(state_numbers(a, k, first, n, &ret_children[k], err));
    return state_centroids(a, first, n, &ret_children[5], err);
}

static void digest_free(struct agg *base)
{
    struct digest_agg *a = (struct digest_agg *)base;
    struct vec *const all[] = {&a->digests, &a->pending, &a->groups, &a->sorted, &a->spare, &a->starts, &a->scratch};
    for (uint32_t g = 0; g < a->opened; g++)
        tdigest_release(VEC(&a->digests, struct tdigest) + g, base->budget);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        vec_release(all[i], base->budget);
    free(a);
}

#define FUNCTIONS                                                                                                                                    \
    .resolve = digest_resolve, .open = digest_open, .reserve = digest_reserve, .update = digest_update, .finish = digest_finish,                     \
    .state = digest_state, .combine = digest_combine, .free = digest_free

const struct agg_function agg_digest_functions[] = {
    {.name = "approx_median", .which = MEDIAN, .args_min = 1, .args_max = 1, .distinct = AGG_DISTINCT_REFUSED, FUNCTIONS},
    {.name = "approx_percentile_cont", .which = CONT, .args_min = 2, .args_max = 3, .distinct = AGG_DISTINCT_IGNORED, FUNCTIONS},
    {.name = "approx_percentile_cont_with_weight", .which = WEIGHTED, .args_min = 3, .args_max = 4, .distinct = AGG_DISTINCT_REFUSED, FUNCTIONS},
    {.name = NULL},
};
