/* count_hash: the number of different hashes of a group's values. One table for all groups, over one list of (group, hash). */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "exec/agg.h"
#include "exec/value_hash.h"

struct seen {
    uint64_t hash;
    uint32_t group;
};

struct count_agg {
    struct agg base;
    struct ahash hasher;
    struct vec seen;  /* struct seen, each once */
    struct vec slots; /* uint32: index into seen + 1; 0 = free */
    size_t n_slots;
    uint32_t n_seen, n_groups;
    struct vec counts; /* uint32 a group */
    bool sorted;       /* by group, for the states: no more updates */
    struct vec starts; /* uint32: then group g is seen[starts[g] .. starts[g + 1]) */
    struct vec hashes, scratch;
};

static int count_resolve(struct agg_call *call, struct error *err)
{
    if (call->n_args != 1)
        return error_set(err, ST_EXECUTE_QUERY, "This feature is not implemented: count_hash with multiple arguments");
    if (!value_hash_supported(call->args[0]))
        return agg_type_error(call, 0, err);
    call->value_type = type_ref(type_of(TYPE_INT64));
    call->nullable = false;
    struct dtype *list = agg_list_type(type_of(TYPE_UINT64));
    if (!list)
        return error_no_memory(err, sizeof *list);
    int st = agg_add_state(call, "count_hash", list, err);
    type_unref(list);
    return st;
}

static int count_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    (void)call;
    (void)budget;
    struct count_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    a->hasher = ahash_seeded(0x4047821dc6144e4bu, 0x2abddf23ad417112u, 0x6a52eeecd26eff21u, 0x91cf673b965a7875u);
    *ret_agg = &a->base;
    return ST_OK;
}

static int count_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    struct count_agg *a = (struct count_agg *)base;
    TRY(vec_reserve(&a->counts, base->budget, n_groups, 4, err));
    a->n_groups = n_groups;
    return ST_OK;
}

static inline size_t slot_of(const struct count_agg *a, struct seen s)
{
    return hash_u64(s.hash ^ s.group * 0x9e3779b97f4a7c15u) & (a->n_slots - 1);
}

static int grow_slots(struct count_agg *a, struct error *err)
{
    struct vec bigger = {0};
    size_t n = a->n_slots ? a->n_slots * 2 : 256;
    TRY(vec_reserve(&bigger, a->base.budget, n, 4, err));
    vec_release(&a->slots, a->base.budget);
    a->slots = bigger;
    a->n_slots = n;
    uint32_t *slots = bigger.data;
    for (uint32_t i = 0; i < a->n_seen; i++) {
        size_t j = slot_of(a, VEC(&a->seen, struct seen)[i]);
        while (slots[j])
            j = (j + 1) & (n - 1);
        slots[j] = i + 1;
    }
    return ST_OK;
}

static int see(struct count_agg *a, struct seen s, struct error *err)
{
    if ((size_t)a->n_seen * 2 >= a->n_slots)
        TRY(grow_slots(a, err));
    uint32_t *slots = a->slots.data;
    size_t j = slot_of(a, s);
    for (; slots[j]; j = (j + 1) & (a->n_slots - 1)) {
        const struct seen *other = VEC(&a->seen, struct seen) + slots[j] - 1;
        if (other->hash == s.hash && other->group == s.group)
            return ST_OK;
    }
    if (a->n_seen == INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "count_hash has more than 2^31 distinct values");
    TRY(vec_reserve(&a->seen, a->base.budget, (size_t)a->n_seen + 1, sizeof s, err));
    VEC(&a->seen, struct seen)[a->n_seen++] = s;
    slots[j] = a->n_seen;
    VEC(&a->counts, uint32_t)[s.group]++;
    return ST_OK;
}

/* Without GROUP BY the NULL counts as a value, as the peer has it; with GROUP BY it does not. */
static int count_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct count_agg *a = (struct count_agg *)base;
    TRY(vec_reserve(&a->hashes, base->budget, (size_t)rows->n + 1, 8, err));
    TRY(value_hash_column(&a->hasher, args[0], a->hashes.data, &a->scratch, base->budget, err));
    const uint64_t *hashes = a->hashes.data;
    for (int64_t i = 0; i < rows->n; i++)
        if (hashes[i] || !rows->groups)
            TRY(see(a, (struct seen){hashes[i], agg_row_group(rows, i)}, err));
    return ST_OK;
}

static int count_combine(struct agg *base, struct agg *from_base, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    const struct count_agg *from = (const struct count_agg *)from_base;
    for (uint32_t i = 0; i < from->n_seen; i++) {
        struct seen s = VEC(&from->seen, const struct seen)[i];
        if (s.group - first < n)
            TRY(see((struct count_agg *)base, (struct seen){s.hash, groups[s.group - first]}, err));
    }
    return ST_OK;
}

static int count_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    const uint32_t *counts = VEC(&((struct count_agg *)base)->counts, uint32_t) + first;
    struct buffer *values;
    TRY(buffer_new(base->budget, (size_t)n * 8, &values, err));
    for (uint32_t i = 0; i < n; i++)
        store_le64(values->data + i * 8, counts[i]);
    return column_new(type_of(TYPE_INT64), n, 0, NULL, values, NULL, ret_column, err);
}

static int sort_by_group(struct count_agg *a, struct error *err)
{
    struct vec sorted = {0};
    if (a->sorted)
        return ST_OK;
    TRY(vec_reserve(&a->starts, a->base.budget, (size_t)a->n_groups + 1, 4, err));
    TRY(vec_reserve(&sorted, a->base.budget, (size_t)a->n_seen + 1, sizeof(struct seen), err));
    uint32_t *starts = a->starts.data, *counts = a->counts.data;
    for (uint32_t g = 0; g < a->n_groups; g++)
        starts[g + 1] = starts[g] + counts[g];
    for (uint32_t i = 0; i < a->n_seen; i++) {
        struct seen s = VEC(&a->seen, struct seen)[i];
        VEC(&sorted, struct seen)[starts[s.group + 1] - counts[s.group]--] = s;
    }
    vec_release(&a->seen, a->base.budget);
    a->seen = sorted;
    a->sorted = true;
    return ST_OK;
}

static int count_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    struct count_agg *a = (struct count_agg *)base;
    struct buffer *offsets, *values = NULL;
    struct column *items;
    TRY(sort_by_group(a, err));
    const uint32_t *starts = VEC(&a->starts, uint32_t) + first;
    const struct seen *seen = VEC(&a->seen, struct seen) + starts[0];
    uint32_t total = starts[n] - starts[0];
    TRY(buffer_new_uninit(base->budget, ((size_t)n + 1) * 4, &offsets, err));
    for (uint32_t i = 0; i <= n; i++)
        store_le32(offsets->data + (size_t)i * 4, starts[i] - starts[0]);
    int st = buffer_new_uninit(base->budget, (size_t)total * 8, &values, err);
    for (uint32_t i = 0; st == ST_OK && i < total; i++)
        store_le64(values->data + (size_t)i * 8, seen[i].hash);
    if (st == ST_OK)
        st = column_new(type_of(TYPE_UINT64), total, 0, NULL, values, NULL, &items, err);
    if (st == ST_OK)
        return column_new_nested(base->call->state_fields[0]->type, n, 0, NULL, offsets, &items, 1, &ret_children[0], err);
    buffer_unref(offsets);
    return st;
}

static void count_free(struct agg *base)
{
    struct count_agg *a = (struct count_agg *)base;
    struct vec *const all[] = {&a->seen, &a->slots, &a->counts, &a->starts, &a->hashes, &a->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        vec_release(all[i], base->budget);
    free(a);
}

const struct agg_function agg_count_hash_functions[] = {
    {.name = "count_hash",
     .args_min = 0,
     .args_max = AGG_ARGS_MAX,
     .resolve = count_resolve,
     .open = count_open,
     .reserve = count_reserve,
     .update = count_update,
     .finish = count_finish,
     .state = count_state,
     .combine = count_combine,
     .free = count_free,
     .dictionaries = true,
     .distinct = AGG_DISTINCT_IGNORED},
    {.name = NULL},
};
