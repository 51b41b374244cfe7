/* approx_distinct and count_hash: how many different values a group has, by their hashes.
 *
 * approx_distinct is HyperLogLog with 2^14 one-byte registers. A group starts with a small hash table of the registers it has set, four bytes each,
 * and gets the full array when that is no longer much smaller: a query with many groups of few values would otherwise take 16 KiB for each of them.
 * count_hash keeps the hashes themselves: one table for all groups over one list of (group, hash).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "exec/agg.h"
#include "exec/value_hash.h"

enum { REGISTERS = 1 << 14, REGISTER_BITS = 14, HASH_BITS = 64 - REGISTER_BITS, SPARSE_MAX = 2048 };

/* ---- approx_distinct ---- */

/* Sparse: `capacity` codes (register << 8 | value), 0 = free, open addressing by register. Dense: one byte a register, capacity = REGISTERS. */
struct registers {
    void *data;
    uint32_t used, capacity;
};

struct approx_agg {
    struct agg base;
    struct ahash hasher;
    struct vec groups; /* struct registers */
    uint32_t n_groups;
    struct vec hashes, scratch;
};

static size_t registers_bytes(uint32_t capacity)
{
    return capacity == REGISTERS ? REGISTERS : (size_t)capacity * 4;
}

static void put_code(uint32_t *codes, uint32_t capacity, uint32_t code, uint32_t *used)
{
    uint32_t mask = capacity - 1, i = code >> 8 & mask;
    while (codes[i] && codes[i] >> 8 != code >> 8)
        i = (i + 1) & mask;
    *used += codes[i] == 0;
    if (codes[i] < code)
        codes[i] = code;
}

static int grow_registers(struct registers *r, struct budget *budget, struct error *err)
{
    uint32_t capacity = r->capacity == 0 ? 8 : r->capacity < SPARSE_MAX ? r->capacity * 2 : REGISTERS, used = 0;
    size_t bytes = registers_bytes(capacity);
    TRY(budget_charge(budget, bytes, err));
    void *data = calloc(1, bytes);
    if (!data) {
        budget_release(budget, bytes);
        return error_no_memory(err, bytes);
    }
    for (uint32_t i = 0; i < r->capacity; i++) {
        uint32_t code = ((uint32_t *)r->data)[i];
        if (code && capacity == REGISTERS)
            ((uint8_t *)data)[code >> 8] = (uint8_t)code;
        else if (code)
            put_code(data, capacity, code, &used);
    }
    free(r->data);
    budget_release(budget, r->capacity ? registers_bytes(r->capacity) : 0);
    *r = (struct registers){data, used, capacity};
    return ST_OK;
}

static inline int add_hash(struct registers *r, uint64_t hash, struct budget *budget, struct error *err)
{
    uint32_t index = hash & (REGISTERS - 1), value = 1 + (uint32_t)__builtin_ctzll(hash >> REGISTER_BITS | 1ull << HASH_BITS);
    if (r->capacity != REGISTERS && r->used * 4 >= r->capacity * 3)
        TRY(grow_registers(r, budget, err));
    if (r->capacity == REGISTERS) {
        uint8_t *at = (uint8_t *)r->data + index;
        *at = *at < value ? (uint8_t)value : *at;
    } else {
        put_code(r->data, r->capacity, index << 8 | value, &r->used);
    }
    return ST_OK;
}

static double sigma(double x)
{
    double y = 1, z = x, before;
    if (x == 1)
        return INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

static double tau(double x)
{
    double y = 1, z = 1 - x, before;
    if (x == 0 || x == 1)
        return 0;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

/* Ertl's improved raw estimator, from how many registers have which value. */
static uint64_t estimate(const struct registers *r)
{
    uint32_t counts[HASH_BITS + 2] = {0};
    const double m = REGISTERS;
    if (r->capacity == REGISTERS) {
        for (uint32_t i = 0; i < REGISTERS; i++)
            counts[((uint8_t *)r->data)[i]]++;
    } else {
        counts[0] = REGISTERS - r->used;
        for (uint32_t i = 0; i < r->capacity; i++)
            counts[(uint8_t)((uint32_t *)r->data)[i]] += ((uint32_t *)r->data)[i] != 0;
    }
    double z = m * tau((m - counts[HASH_BITS + 1]) / m);
    for (int i = HASH_BITS; i > 0; i--)
        z = (z + counts[i]) * 0.5;
    z += m * sigma(counts[0] / m);
    return (uint64_t)round(0.5 / M_LN2 * m * m / z);
}

static int approx_resolve(struct agg_call *call, struct error *err)
{
    const struct dtype *t = call->args[0];
    call->value_type = type_ref(type_of(TYPE_UINT64));
    call->nullable = false;
    if (t->id == TYPE_NULL)
        return agg_add_state(call, call->function->name, call->args[0], err);
    bool temporal = t->id == TYPE_DATE32 || t->id == TYPE_DATE64 || t->id == TYPE_TIME32 || t->id == TYPE_TIME64 || t->id == TYPE_TIMESTAMP;
    if (!type_is_integer(t) && !temporal && !type_is_string(t) && t->id != TYPE_BINARY && t->id != TYPE_LARGE_BINARY)
        return agg_type_error(call, 0, err);
    return agg_add_state(call, "hll_registers", type_of(TYPE_BINARY), err);
}

static int approx_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    (void)call;
    (void)budget;
    struct approx_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    a->hasher = ahash_seeded(0x885f6cab121d01a3u, 0x71e4379f2976ad8fu, 0xbf30173dd28a8816u, 0x0eaea5d736d733a4u);
    *ret_agg = &a->base;
    return ST_OK;
}

static int approx_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    struct approx_agg *a = (struct approx_agg *)base;
    TRY(vec_reserve(&a->groups, base->budget, n_groups, sizeof(struct registers), err));
    a->n_groups = n_groups;
    return ST_OK;
}

static int approx_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct approx_agg *a = (struct approx_agg *)base;
    struct registers *groups = a->groups.data;
    TRY(vec_reserve(&a->hashes, base->budget, (size_t)rows->n + 1, 8, err));
    TRY(value_hash_column(&a->hasher, args[0], a->hashes.data, &a->scratch, base->budget, err));
    const uint64_t *hashes = a->hashes.data;
    for (int64_t i = 0; i < rows->n; i++)
        if (hashes[i] && (i == 0 || hashes[i] != hashes[i - 1] || agg_row_group(rows, i) != agg_row_group(rows, i - 1)))
            TRY(add_hash(&groups[agg_row_group(rows, i)], hashes[i], base->budget, err));
    return ST_OK;
}

static int approx_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    const struct registers *groups = VEC(&((struct approx_agg *)base)->groups, struct registers) + first;
    struct buffer *values;
    TRY(buffer_new(base->budget, (size_t)n * 8, &values, err));
    for (uint32_t i = 0; i < n; i++)
        store_le64(values->data + i * 8, estimate(&groups[i]));
    return column_new(type_of(TYPE_UINT64), n, 0, NULL, values, NULL, ret_column, err);
}

static int approx_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    const struct registers *groups = VEC(&((struct approx_agg *)base)->groups, struct registers) + first;
    struct dtype *type = base->call->state_fields[0]->type;
    struct buffer *offsets = NULL, *bytes = NULL;
    if (type->id == TYPE_NULL)
        return column_new_nulls(base->budget, type, n, &ret_children[0], err);
    if ((size_t)n * REGISTERS > INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "the states of a batch grow past 2 GiB");
    TRY(buffer_new(base->budget, (size_t)n * REGISTERS, &bytes, err));
    int st = buffer_new(base->budget, ((size_t)n + 1) * 4, &offsets, err);
    if (st != ST_OK) {
        buffer_unref(bytes);
        return st;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct registers *r = &groups[i];
        uint8_t *to = bytes->data + (size_t)i * REGISTERS;
        store_le32(offsets->data + ((size_t)i + 1) * 4, (i + 1) * REGISTERS);
        if (r->capacity == REGISTERS)
            memcpy(to, r->data, REGISTERS);
        for (uint32_t k = 0; r->capacity != REGISTERS && k < r->capacity; k++)
            if (((uint32_t *)r->data)[k])
                to[((uint32_t *)r->data)[k] >> 8] = (uint8_t)((uint32_t *)r->data)[k];
    }
    return column_new(type, n, 0, NULL, offsets, bytes, &ret_children[0], err);
}

static void approx_free(struct agg *base)
{
    struct approx_agg *a = (struct approx_agg *)base;
    for (uint32_t g = 0; g < a->n_groups; g++) {
        struct registers *r = VEC(&a->groups, struct registers) + g;
        free(r->data);
        budget_release(base->budget, r->capacity ? registers_bytes(r->capacity) : 0);
    }
    vec_release(&a->groups, base->budget);
    vec_release(&a->hashes, base->budget);
    vec_release(&a->scratch, base->budget);
    free(a);
}

/* ---- count_hash ---- */

struct seen {
    uint64_t hash;
    uint32_t group;
};

struct count_agg {
    struct agg base;
    struct ahash hasher;
    struct vec seen;   /* struct seen, each once */
    struct vec slots;  /* uint32: index into seen + 1; 0 = free */
    size_t n_slots;
    uint32_t n_seen, n_groups;
    struct vec counts; /* uint32 a group */
    struct vec hashes, scratch;
};

static int count_resolve(struct agg_call *call, struct error *err)
{
    if (call->n_args != 1)
        return error_set(err, ST_EXECUTE_QUERY, "count_hash with multiple arguments is not supported");
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

static int count_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    const uint32_t *counts = VEC(&((struct count_agg *)base)->counts, uint32_t) + first;
    struct buffer *values;
    TRY(buffer_new(base->budget, (size_t)n * 8, &values, err));
    for (uint32_t i = 0; i < n; i++)
        store_le64(values->data + i * 8, counts[i]);
    return column_new(type_of(TYPE_INT64), n, 0, NULL, values, NULL, ret_column, err);
}

static int count_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    struct count_agg *a = (struct count_agg *)base;
    const uint32_t *counts = VEC(&a->counts, uint32_t) + first;
    struct buffer *offsets = NULL, *values = NULL;
    struct column *items;
    struct vec at = {0}; /* where the next hash of a group goes */
    TRY(vec_reserve(&at, base->budget, (size_t)n + 1, 4, err));
    int st = buffer_new(base->budget, ((size_t)n + 1) * 4, &offsets, err);
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        VEC(&at, uint32_t)[i + 1] = VEC(&at, uint32_t)[i] + counts[i];
        store_le32(offsets->data + ((size_t)i + 1) * 4, VEC(&at, uint32_t)[i + 1]);
    }
    if (st == ST_OK)
        st = buffer_new_uninit(base->budget, (size_t)VEC(&at, uint32_t)[n] * 8, &values, err);
    for (uint32_t i = 0; st == ST_OK && i < a->n_seen; i++) {
        const struct seen *s = VEC(&a->seen, struct seen) + i;
        if (s->group - first < n)
            store_le64(values->data + (size_t)VEC(&at, uint32_t)[s->group - first]++ * 8, s->hash);
    }
    if (st == ST_OK)
        st = column_new(type_of(TYPE_UINT64), (int64_t)(values->size / 8), 0, NULL, values, NULL, &items, err);
    vec_release(&at, base->budget);
    if (st == ST_OK)
        return column_new_nested(base->call->state_fields[0]->type, n, 0, NULL, offsets, &items, 1, &ret_children[0], err);
    buffer_unref(offsets);
    return st;
}

static void count_free(struct agg *base)
{
    struct count_agg *a = (struct count_agg *)base;
    struct vec *const all[] = {&a->seen, &a->slots, &a->counts, &a->hashes, &a->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        vec_release(all[i], base->budget);
    free(a);
}

const struct agg_function agg_distinct_functions[] = {
    {.name = "approx_distinct", .args_min = 1, .args_max = 1, .resolve = approx_resolve, .open = approx_open, .reserve = approx_reserve,
     .update = approx_update, .finish = approx_finish, .state = approx_state, .free = approx_free, .dictionaries = true,
     .distinct = AGG_DISTINCT_IGNORED},
    {.name = "count_hash", .args_min = 0, .args_max = AGG_ARGS_MAX, .resolve = count_resolve, .open = count_open, .reserve = count_reserve,
     .update = count_update, .finish = count_finish, .state = count_state, .free = count_free, .dictionaries = true, .distinct = AGG_DISTINCT_IGNORED},
    {.name = NULL},
};
