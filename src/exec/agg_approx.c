/* approx_distinct: HyperLogLog with 2^14 one-byte registers, the state of DataFusion (functions.md 2.5 b).
 *
 * A group starts with a small hash table of the registers it has set, four bytes each, and gets the full array when that is no longer much smaller:
 * a query with many groups of few values would otherwise take 16 KiB for each of them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/agg.h"
#include "exec/value_hash.h"

enum { REGISTERS = 1 << 14, REGISTER_BITS = 14, HASH_BITS = 64 - REGISTER_BITS, SPARSE_MAX = 2048 };

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

static inline int raise_register(struct registers *r, uint32_t index, uint32_t value, struct budget *budget, struct error *err)
{
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

static inline int add_hash(struct registers *r, uint64_t hash, struct budget *budget, struct error *err)
{
    uint32_t value = 1 + (uint32_t)__builtin_ctzll(hash >> REGISTER_BITS | 1ull << HASH_BITS);
    return raise_register(r, hash & (REGISTERS - 1), value, budget, err);
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

/* The peer finds out when it makes its accumulators: within the query where it is grouped, before it where not. */
static int not_counted(const struct agg_call *call, struct error *err)
{
    char type[100];
    return error_set(err, call->grouped ? ST_EXECUTE_QUERY : ST_UNSUPPORTED,
                     "This feature is not implemented: Support for 'approx_distinct' for data type %s is not implemented",
                     type_print(call->args[0], type, sizeof type));
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
        return not_counted(call, err);
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

static int approx_combine(struct agg *base, struct agg *from, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    const struct registers *others = VEC(&((struct approx_agg *)from)->groups, struct registers) + first;
    for (uint32_t i = 0; i < n; i++) {
        struct registers *r = VEC(&((struct approx_agg *)base)->groups, struct registers) + groups[i];
        for (uint32_t k = 0; k < others[i].capacity; k++) {
            bool dense = others[i].capacity == REGISTERS;
            uint32_t code = dense ? k << 8 | ((uint8_t *)others[i].data)[k] : ((uint32_t *)others[i].data)[k];
            if ((uint8_t)code)
                TRY(raise_register(r, code >> 8, (uint8_t)code, base->budget, err));
        }
    }
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

const struct agg_function agg_approx_functions[] = {
    {.name = "approx_distinct",
     .args_min = 1,
     .args_max = 1,
     .resolve = approx_resolve,
     .open = approx_open,
     .reserve = approx_reserve,
     .update = approx_update,
     .finish = approx_finish,
     .state = approx_state,
     .combine = approx_combine,
     .free = approx_free,
     .dictionaries = true,
     .result_bytes = REGISTERS,
     .distinct = AGG_DISTINCT_IGNORED},
    {.name = NULL},
};
