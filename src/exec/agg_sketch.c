/* hll, hll_merge, uddsketch_state and uddsketch_merge: sketches in the bytes that user tables store (format/sketch). Value and state are the same.
 *
 * NULLs are left out. Bytes that hll_merge cannot read are left out as well, those of uddsketch_merge fail the query: the peer's ways.
 */
#include <stdlib.h>

#include "exec/agg.h"
#include "exec/value_hash.h"
#include "format/sketch/hll.h"
#include "format/sketch/uddsketch.h"

enum { HLL, HLL_MERGE, UDD, UDD_MERGE };
enum { UDD_BUCKETS, UDD_ERROR, UDD_VALUE };

/* Bytes of one sketch at most: those of uddsketches are bounded by their budget long before. */
enum { SKETCH_BYTES_MAX = INT32_MAX, HLL_BYTES = 13200 }; /* of a dense one */

union sketch {
    struct hll hll;
    struct uddsketch udd;
};

struct sketch_agg {
    struct agg base;
    struct ahash hasher;
    int64_t buckets;
    double error_rate;
    struct vec sketches; /* union sketch a group */
    uint32_t opened;
    struct vec hashes, scratch;
};

static bool is_udd(const struct agg_call *call)
{
    return call->function->which >= UDD;
}

/* What is wrong with the arguments or bytes of a call is a failed execution, which the peer words as one of planning. */
static int as_execution(int st, struct error *err)
{
    if (st != ST_INVALID_ARGUMENTS && st != ST_CORRUPT)
        return st;
    if (err)
        err->status = ST_EXECUTE_QUERY;
    error_prefix(err, "Error during planning");
    return ST_EXECUTE_QUERY;
}

static int udd_constants(const struct agg_call *call, int64_t *ret_buckets, double *ret_error, struct error *err)
{
    struct uddsketch probe;
    TRY(agg_constant_int(call, UDD_BUCKETS, ret_buckets, err));
    TRY(agg_constant_float(call, UDD_ERROR, ret_error, err));
    TRY(as_execution(uddsketch_init(&probe, NULL, *ret_buckets < 0 ? 0 : (uint64_t)*ret_buckets, *ret_error, err), err));
    uddsketch_release(&probe);
    return ST_OK;
}

static int sketch_resolve(struct agg_call *call, struct error *err)
{
    int64_t buckets;
    double error_rate;
    uint32_t at = is_udd(call) ? UDD_VALUE : 0;
    const struct dtype *t = call->args[at];
    switch (call->function->which) {
    case HLL:
        TRY(type_is_string(t) ? ST_OK : agg_type_error(call, at, err));
        break;
    case UDD:
        TRY(t->id == TYPE_FLOAT64 ? ST_OK : agg_type_error(call, at, err));
        break;
    default:
        TRY(type_is_binary(t) ? ST_OK : agg_type_error(call, at, err));
        break;
    }
    if (is_udd(call))
        TRY(udd_constants(call, &buckets, &error_rate, err));
    call->value_type = type_ref(type_of(TYPE_BINARY));
    return agg_add_state_named(call, "0", call->value_type, err);
}

static int sketch_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    (void)budget;
    int64_t buckets = 0;
    double error_rate = 0;
    if (is_udd(call))
        TRY(udd_constants(call, &buckets, &error_rate, err));
    struct sketch_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    a->hasher = ahash_seeded(0x517cc1b727220a95u, 0x428a2f98d728ae22u, 0x7137449123ef65cdu, 0xb5c0fbcfec4d3b2fu);
    a->buckets = buckets;
    a->error_rate = error_rate;
    *ret_agg = &a->base;
    return ST_OK;
}

static int sketch_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    struct sketch_agg *a = (struct sketch_agg *)base;
    TRY(vec_reserve(&a->sketches, base->budget, n_groups, sizeof(union sketch), err));
    for (; a->opened < n_groups; a->opened++) {
        union sketch *s = VEC(&a->sketches, union sketch) + a->opened;
        if (is_udd(base->call))
            TRY(uddsketch_init(&s->udd, base->budget, (uint64_t)a->buckets, a->error_rate, err));
        else
            hll_init(&s->hll, base->budget);
    }
    return ST_OK;
}

static int merge_bytes(struct sketch_agg *a, union sketch *into, const uint8_t *bytes, size_t size, struct error *err)
{
    union sketch other;
    if (is_udd(a->base.call)) {
        TRY(as_execution(uddsketch_decode(bytes, size, a->base.budget, &other.udd, err), err));
        int st = as_execution(uddsketch_merge(&into->udd, &other.udd, err), err);
        uddsketch_release(&other.udd);
        return st;
    }
    int st = hll_decode(bytes, size, a->base.budget, &other.hll, err);
    if (st == ST_CORRUPT)
        return ST_OK;
    TRY(st);
    st = hll_merge(&into->hll, &other.hll, err);
    hll_release(&other.hll);
    return st;
}

static int add_texts(struct sketch_agg *a, struct column *c, const struct agg_rows *rows, struct error *err)
{
    TRY(vec_reserve(&a->hashes, a->base.budget, (size_t)rows->n + 1, 8, err));
    TRY(value_hash_column(&a->hasher, c, a->hashes.data, &a->scratch, a->base.budget, err));
    const uint64_t *hashes = a->hashes.data;
    for (int64_t i = 0; i < rows->n; i++)
        if (hashes[i] && (i == 0 || hashes[i] != hashes[i - 1] || agg_row_group(rows, i) != agg_row_group(rows, i - 1)))
            TRY(hll_add(&VEC(&a->sketches, union sketch)[agg_row_group(rows, i)].hll, hashes[i], err));
    return ST_OK;
}

static int sketch_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct sketch_agg *a = (struct sketch_agg *)base;
    struct column *c = args[is_udd(base->call) ? UDD_VALUE : 0], *plain;
    int st = ST_OK;
    if (base->function->which == HLL)
        return add_texts(a, c, rows, err);
    TRY(column_decode_dictionary(base->budget, c, &plain, err));
    for (int64_t i = 0; st == ST_OK && i < rows->n; i++) {
        union sketch *s = VEC(&a->sketches, union sketch) + agg_row_group(rows, i);
        int32_t size;
        if (column_is_null(plain, i))
            continue;
        if (base->function->which == UDD) {
            st = uddsketch_add(&s->udd, COLUMN_VALUES(plain, double)[i], err);
            continue;
        }
        const uint8_t *bytes = column_bytes(plain, i, &size);
        st = merge_bytes(a, s, bytes, (size_t)size, err);
    }
    column_unref(plain);
    return st;
}

static int sketch_combine(struct agg *base, struct agg *from, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    const union sketch *others = VEC(&((struct sketch_agg *)from)->sketches, union sketch) + first;
    for (uint32_t i = 0; i < n; i++) {
        union sketch *s = VEC(&((struct sketch_agg *)base)->sketches, union sketch) + groups[i];
        TRY(is_udd(base->call) ? as_execution(uddsketch_merge(&s->udd, &others[i].udd, err), err) : hll_merge(&s->hll, &others[i].hll, err));
    }
    return ST_OK;
}

static int sketch_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct sketch_agg *a = (struct sketch_agg *)base;
    struct column_builder b;
    struct dynbuf bytes;
    TRY(column_builder_init(&b, base->budget, type_of(TYPE_BINARY), err));
    dynbuf_init(&bytes, SKETCH_BYTES_MAX);
    int st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        const union sketch *s = VEC(&a->sketches, union sketch) + first + i;
        dynbuf_clear(&bytes);
        st = is_udd(base->call) ? uddsketch_encode(&s->udd, &bytes, err) : hll_encode(&s->hll, &bytes, err);
        if (st == ST_OK)
            st = column_builder_append_bytes(&b, bytes.data, bytes.size, err);
    }
    if (st == ST_OK)
        st = column_builder_finish(&b, ret_column, err);
    dynbuf_release(&bytes);
    column_builder_release(&b);
    return st;
}

static int sketch_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    return sketch_finish(base, first, n, &ret_children[0], err);
}

static void sketch_free(struct agg *base)
{
    struct sketch_agg *a = (struct sketch_agg *)base;
    for (uint32_t g = 0; g < a->opened; g++) {
        union sketch *s = VEC(&a->sketches, union sketch) + g;
        if (is_udd(base->call))
            uddsketch_release(&s->udd);
        else
            hll_release(&s->hll);
    }
    vec_release(&a->sketches, base->budget);
    vec_release(&a->hashes, base->budget);
    vec_release(&a->scratch, base->budget);
    free(a);
}

#define FUNCTIONS(ARGS)                                                                                                                              \
    .args_min = ARGS, .args_max = ARGS, .resolve = sketch_resolve, .open = sketch_open, .reserve = sketch_reserve, .update = sketch_update,          \
    .finish = sketch_finish, .state = sketch_state, .combine = sketch_combine, .free = sketch_free, .dictionaries = true, .distinct = AGG_DISTINCT_IGNORED

const struct agg_function agg_sketch_functions[] = {
    {.name = "hll", .which = HLL, .result_bytes = HLL_BYTES, FUNCTIONS(1)},
    {.name = "hll_merge", .which = HLL_MERGE, .result_bytes = HLL_BYTES, FUNCTIONS(1)},
    {.name = "uddsketch_state", .which = UDD, FUNCTIONS(3)},
    {.name = "uddsketch_merge", .which = UDD_MERGE, FUNCTIONS(3)},
    {.name = NULL},
};
