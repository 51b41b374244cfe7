/* first_value and last_value, with and without ORDER BY, for values of every type.
 *
 * Within a batch the winning row of each group is found first; the winners' values (and sort key values) are then gathered at once into a chunk,
 * and the group remembers chunk and row. When the chunks hold far more rows than there are groups they are rewritten. Invariant: chunk[g] is
 * UINT32_MAX, or row[g] of chunks[chunk[g]] is the group's winner so far and best[g] its encoded sort key.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/agg.h"

enum { FIRST, LAST };

struct place {
    uint32_t chunk, row; /* chunk + 1; 0 = no row yet */
};

struct order_agg {
    struct agg base;
    uint32_t n_columns;      /* value, then sort keys */
    struct column **chunks;  /* n_chunks * n_columns */
    uint32_t n_chunks, chunk_capacity;
    uint64_t chunk_rows;
    uint32_t n_groups;
    struct vec places;       /* struct place a group */
    struct vec candidates;   /* uint32 a group: row of this batch + 1 */
    struct vec best;         /* stride bytes a group, or struct byte_slot */
    struct vec touched, rows;/* uint32: groups with a candidate, their rows */
    uint32_t stride;         /* of the sort keys, 0 = variable */
    struct sort_keys keys;
};

static int order_resolve(struct agg_call *call, struct error *err)
{
    call->value_type = type_ref(call->args[0]);
    TRY(agg_add_state(call, call->function->name, call->value_type, err));
    for (uint32_t k = 0; k < call->n_sorts; k++) {
        if (call->n_state >= AGG_STATE_MAX - 1)
            return error_set(err, ST_UNSUPPORTED, "%s has too many ORDER BY keys", call->name);
        TRY(agg_sort_field(call, k, true, &call->state_fields[call->n_state], err));
        call->n_state++;
    }
    return agg_add_state(call, call->function->which == FIRST ? "first_value_is_set" : "last_value_is_set", type_of(TYPE_BOOL), err);
}

static int order_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    (void)budget;
    struct dtype *types[AGG_STATE_MAX];
    struct order_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    for (uint32_t k = 0; k < call->n_sorts; k++)
        types[k] = call->sort_fields[k]->type;
    a->n_columns = 1 + call->n_sorts;
    a->stride = sort_keys_stride(types, call->n_sorts);
    *ret_agg = &a->base;
    return ST_OK;
}

static size_t best_width(const struct order_agg *a)
{
    return a->stride ? a->stride : sizeof(struct byte_slot);
}

static int order_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    struct order_agg *a = (struct order_agg *)base;
    TRY(vec_reserve(&a->places, base->budget, n_groups, sizeof(struct place), err));
    TRY(vec_reserve(&a->candidates, base->budget, n_groups, 4, err));
    if (base->call->n_sorts)
        TRY(vec_reserve(&a->best, base->budget, n_groups, best_width(a), err));
    a->n_groups = n_groups;
    return ST_OK;
}

/* Is row i better than what its group has? Then it becomes the group's best key. */
static int challenge(struct order_agg *a, uint32_t g, bool has, int64_t i, bool *ret_wins, struct error *err)
{
    size_t size;
    bool last = a->base.function->which == LAST;
    if (!a->base.call->n_sorts) {
        *ret_wins = last || !has;
        return ST_OK;
    }
    const uint8_t *key = sort_keys_at(&a->keys, i, &size);
    if (a->stride) {
        uint8_t *best = VEC(&a->best, uint8_t) + (size_t)g * a->stride;
        int order = has ? memcmp(key, best, a->stride) : 0;
        *ret_wins = !has || (last ? order > 0 : order < 0);
        if (*ret_wins)
            memcpy(best, key, a->stride);
        return ST_OK;
    }
    struct byte_slot *best = VEC(&a->best, struct byte_slot) + g;
    int order = has ? sort_key_compare(key, size, best->data, best->size) : 0;
    *ret_wins = !has || (last ? order > 0 : order < 0);
    return *ret_wins ? byte_slot_set(best, a->base.budget, key, size, err) : ST_OK;
}

static int add_chunk(struct order_agg *a, struct column *const *columns, const uint32_t *rows, uint32_t n, struct error *err)
{
    if (a->n_chunks == a->chunk_capacity) {
        uint32_t capacity = a->chunk_capacity ? a->chunk_capacity * 2 : 16;
        struct column **grown = realloc(a->chunks, (size_t)capacity * a->n_columns * sizeof *grown);
        if (!grown)
            return error_no_memory(err, (size_t)capacity * a->n_columns * sizeof *grown);
        a->chunks = grown;
        a->chunk_capacity = capacity;
    }
    struct column **to = a->chunks + (size_t)a->n_chunks * a->n_columns;
    uint32_t made = 0;
    int st = ST_OK;
    for (; st == ST_OK && made < a->n_columns; made += st == ST_OK) {
        struct column *taken;
        st = column_take(a->base.budget, columns[made], rows, n, &taken, err);
        if (st == ST_OK) {
            st = column_decode_dictionary(a->base.budget, taken, &to[made], err);
            column_unref(taken);
        }
    }
    if (st != ST_OK) {
        for (uint32_t k = 0; k < made; k++)
            column_unref(to[k]);
        return st;
    }
    a->n_chunks++;
    a->chunk_rows += n;
    return ST_OK;
}

static void drop_chunks(struct column **chunks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        column_unref(chunks[i]);
    free(chunks);
}

/* The winners of groups [first, first + n) of one column; groups without a row give NULL. */
static int gather(struct order_agg *a, uint32_t column, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct place *places = VEC(&a->places, struct place) + first;
    struct vec indices = {0}, base = {0};
    struct column **parts = NULL, *all = NULL;
    int st = vec_reserve(&indices, a->base.budget, n ? n : 1, 4, err);
    if (st == ST_OK)
        st = vec_reserve(&base, a->base.budget, a->n_chunks ? a->n_chunks : 1, 8, err);
    if (st == ST_OK && a->n_chunks && !(parts = calloc(a->n_chunks, sizeof *parts)))
        st = error_no_memory(err, a->n_chunks * sizeof *parts);
    if (st == ST_OK && a->n_chunks == 0) {
        st = column_new_nulls(a->base.budget, a->base.call->state_fields[column]->type, n, ret_column, err);
        goto out;
    }
    uint64_t at = 0;
    for (uint32_t c = 0; st == ST_OK && c < a->n_chunks; c++) {
        VEC(&base, uint64_t)[c] = at;
        parts[c] = a->chunks[(size_t)c * a->n_columns + column];
        at += (uint64_t)parts[c]->length;
    }
    if (st == ST_OK && at >= UINT32_MAX)
        st = error_set(err, ST_EXHAUSTED, "an aggregation keeps more than 2^32 values");
    if (st == ST_OK)
        st = column_concat(a->base.budget, parts, a->n_chunks, &all, err);
    for (uint32_t i = 0; st == ST_OK && i < n; i++)
        VEC(&indices, uint32_t)[i] = places[i].chunk ? (uint32_t)(VEC(&base, uint64_t)[places[i].chunk - 1] + places[i].row) : UINT32_MAX;
    if (st == ST_OK)
        st = column_take(a->base.budget, all, indices.data, n, ret_column, err);
out:
    column_unref(all);
    free(parts);
    vec_release(&indices, a->base.budget);
    vec_release(&base, a->base.budget);
    return st;
}

/* Rewrites the chunks into one with a row for each group. */
static int compact(struct order_agg *a, struct error *err)
{
    struct column **fresh = calloc(a->n_columns, sizeof *fresh);
    int st = fresh ? ST_OK : error_no_memory(err, a->n_columns * sizeof *fresh);
    for (uint32_t k = 0; st == ST_OK && k < a->n_columns; k++)
        st = gather(a, k, 0, a->n_groups, &fresh[k], err);
    if (st != ST_OK) {
        if (fresh)
            drop_chunks(fresh, a->n_columns);
        return st;
    }
    drop_chunks(a->chunks, (size_t)a->n_chunks * a->n_columns);
    a->chunks = fresh;
    a->n_chunks = a->chunk_capacity = 1;
    a->chunk_rows = a->n_groups;
    struct place *places = a->places.data;
    for (uint32_t g = 0; g < a->n_groups; g++)
        if (places[g].chunk)
            places[g] = (struct place){1, g};
    return ST_OK;
}

static int order_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct order_agg *a = (struct order_agg *)base;
    const struct agg_call *call = base->call;
    uint32_t n_touched = 0, run = 0;
    bool plain_first = base->function->which == FIRST && !call->n_sorts;
    if (call->n_sorts)
        TRY(sort_keys_encode(&a->keys, base->budget, args + call->n_args, call->sorts, call->n_sorts, rows->n, err));
    TRY(vec_reserve(&a->touched, base->budget, (size_t)rows->n + 1, 4, err));
    TRY(vec_reserve(&a->rows, base->budget, (size_t)rows->n + 1, 4, err));
    struct place *places = a->places.data;
    uint32_t *candidates = a->candidates.data, *touched = a->touched.data, *winners = a->rows.data;
    for (int64_t i = 0; i < rows->n; i++) {
        bool wins;
        while (rows->starts && i >= rows->starts[run + 1])
            run++;
        uint32_t g = rows->starts ? agg_run_group(rows, run) : rows->groups[i];
        TRY(challenge(a, g, places[g].chunk || candidates[g], i, &wins, err));
        if (!wins) {
            if (plain_first && rows->starts)
                i = rows->starts[run + 1] - 1;
            continue;
        }
        if (!candidates[g])
            touched[n_touched++] = g;
        candidates[g] = (uint32_t)i + 1;
    }
    if (!n_touched)
        return ST_OK;
    for (uint32_t t = 0; t < n_touched; t++)
        winners[t] = candidates[touched[t]] - 1;
    struct column *columns[AGG_STATE_MAX];
    columns[0] = args[0];
    for (uint32_t k = 0; k < call->n_sorts; k++)
        columns[1 + k] = args[call->n_args + k];
    TRY(add_chunk(a, columns, winners, n_touched, err));
    for (uint32_t t = 0; t < n_touched; t++) {
        places[touched[t]] = (struct place){a->n_chunks, t};
        candidates[touched[t]] = 0;
    }
    return a->chunk_rows > 65536 + 2 * (uint64_t)a->n_groups || a->n_chunks > 4096 ? compact(a, err) : ST_OK;
}

/* Results come in slices of the groups; gathering each from one compact chunk keeps that linear. */
static int ready(struct order_agg *a, struct error *err)
{
    return a->n_chunks > 1 ? compact(a, err) : ST_OK;
}

static int order_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct order_agg *a = (struct order_agg *)base;
    TRY(ready(a, err));
    return gather(a, 0, first, n, ret_column, err);
}

static int order_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    struct order_agg *a = (struct order_agg *)base;
    struct buffer *set;
    TRY(ready(a, err));
    for (uint32_t k = 0; k < a->n_columns; k++)
        TRY(gather(a, k, first, n, &ret_children[k], err));
    TRY(buffer_new(base->budget, bits_bytes(n), &set, err));
    for (uint32_t i = 0; i < n; i++)
        bit_put(set->data, i, VEC(&a->places, struct place)[first + i].chunk != 0);
    return column_new(type_of(TYPE_BOOL), n, 0, NULL, set, NULL, &ret_children[a->n_columns], err);
}

/* The winners of `from` as rows. */
static int order_combine(struct agg *base, struct agg *from_base, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    struct order_agg *from = (struct order_agg *)from_base;
    struct column *columns[AGG_STATE_MAX];
    struct vec present = {0};
    uint32_t made = 0, n_present = 0;
    TRY(ready(from, err));
    TRY(vec_reserve(&present, base->budget, (size_t)n + 1, 8, err));
    uint32_t *rows = present.data, *targets = rows + n;
    for (uint32_t i = 0; i < n; i++) { /* a FILTER leaves groups without any row */
        rows[n_present] = i;
        targets[n_present] = groups[i];
        n_present += VEC(&from->places, struct place)[first + i].chunk != 0;
    }
    int st = ST_OK;
    for (; st == ST_OK && n_present && made < from->n_columns; made += st == ST_OK) {
        struct column *all;
        st = gather(from, made, first, n, &all, err);
        if (st == ST_OK) {
            st = column_take(base->budget, all, rows, n_present, &columns[made], err);
            column_unref(all);
        }
    }
    if (st == ST_OK && n_present)
        st = order_update(base, columns, &(struct agg_rows){.n = n_present, .groups = targets}, err);
    for (uint32_t k = 0; k < made; k++)
        column_unref(columns[k]);
    vec_release(&present, base->budget);
    return st;
}

static void order_free(struct agg *base)
{
    struct order_agg *a = (struct order_agg *)base;
    struct budget *budget = base->budget;
    drop_chunks(a->chunks, (size_t)a->n_chunks * a->n_columns);
    for (uint32_t g = 0; !a->stride && base->call->n_sorts && a->best.data && g < a->n_groups; g++)
        byte_slot_release(VEC(&a->best, struct byte_slot) + g, budget);
    vec_release(&a->places, budget);
    vec_release(&a->candidates, budget);
    vec_release(&a->best, budget);
    vec_release(&a->touched, budget);
    vec_release(&a->rows, budget);
    sort_keys_release(&a->keys, budget);
    free(a);
}

#define FUNCTIONS .args_min = 1, .args_max = 1, .resolve = order_resolve, .open = order_open, .reserve = order_reserve, .update = order_update, \
                  .finish = order_finish, .state = order_state, .combine = order_combine, .free = order_free, .ordered = true, .dictionaries = true, .distinct = AGG_DISTINCT_IGNORED

const struct agg_function agg_order_functions[] = {
    {.name = "first_value", .which = FIRST, FUNCTIONS},
    {.name = "last_value", .which = LAST, FUNCTIONS},
    {.name = NULL},
};
