/* min and max over every orderable type.
 *
 * Floats are compared in IEEE total order (NaN above infinity) by turning their bits into integers, so all fixed types share integer kernels.
 * Strings and binary keep one growing byte string a group. Lists and structs are compared by their sort keys, NULLs in them after all values as the
 * peer has them in aggregates; the values themselves stand in one column, a row a group.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/agg.h"

enum { MIN, MAX };

typedef void (*minmax_kernel)(void *values, uint8_t *seen, const struct column *c, const struct agg_rows *rows, bool max);

struct minmax_agg {
    struct agg base;
    struct vec values; /* the ordered integers, or struct byte_slot */
    struct vec seen;   /* a byte a group */
    size_t width;
    uint32_t n_groups;
    minmax_kernel kernel; /* NULL = var-length and nested */
    struct sort_keys keys; /* nested: of the batch */
    struct column *best;   /* nested: row g is group g's value; NULL or shorter when the last groups have none */
    struct vec from;       /* nested, scratch: uint32 a group, where its value comes from */
};

static inline int16_t ordered_f16(int16_t bits) { return (int16_t)(bits ^ (bits < 0 ? 0x7fff : 0)); }
#define PLAIN(x) (x)

#define MINMAX_LOOP(OP, ctype, ORDER)                                             \
    for (uint32_t r = 0; rows->starts && r < rows->n_runs; r++) {                 \
        uint32_t g = agg_run_group(rows, r), i = rows->starts[r];                 \
        uint32_t to = rows->starts[r + 1];                                        \
        while (bits && i < to && !bit_get(bits, off + i))                         \
            i++;                                                                  \
        if (i == to)                                                              \
            continue;                                                             \
        ctype best = seen[g] ? values[g] : ORDER(v[i]);                           \
        if (!bits) {                                                              \
            for (; i < to; i++) {                                                 \
                ctype x = ORDER(v[i]);                                            \
                best = x OP best ? x : best;                                      \
            }                                                                     \
        } else {                                                                  \
            for (; i < to; i++) {                                                 \
                ctype x = ORDER(v[i]);                                            \
                best = bit_get(bits, off + i) && x OP best ? x : best;            \
            }                                                                     \
        }                                                                         \
        values[g] = best;                                                         \
        seen[g] = 1;                                                              \
    }                                                                             \
    for (int64_t i = 0; !rows->starts && i < rows->n; i++) {                      \
        if (bits && !bit_get(bits, off + i))                                      \
            continue;                                                             \
        uint32_t g = rows->groups[i];                                             \
        ctype x = ORDER(v[i]);                                                    \
        if (!seen[g] || x OP values[g])                                           \
            values[g] = x;                                                        \
        seen[g] = 1;                                                              \
    }

#define MINMAX_KERNEL(NAME, ctype, ORDER)                                                                                             \
    static void NAME(void *values_, uint8_t *seen, const struct column *c, const struct agg_rows *rows, bool max)                    \
    {                                                                                                                                 \
        ctype *values = values_;                                                                                                      \
        const ctype *v = COLUMN_VALUES(c, ctype);                                                                                     \
        const uint8_t *bits = column_null_count(c) ? c->validity->data : NULL;                                                        \
        int64_t off = c->offset;                                                                                                      \
        if (max) {                                                                                                                    \
            MINMAX_LOOP(>, ctype, ORDER)                                                                                              \
        } else {                                                                                                                      \
            MINMAX_LOOP(<, ctype, ORDER)                                                                                              \
        }                                                                                                                             \
    }

MINMAX_KERNEL(minmax_i8, int8_t, PLAIN)
MINMAX_KERNEL(minmax_i16, int16_t, PLAIN)
MINMAX_KERNEL(minmax_i32, int32_t, PLAIN)
MINMAX_KERNEL(minmax_i64, int64_t, PLAIN)
MINMAX_KERNEL(minmax_u8, uint8_t, PLAIN)
MINMAX_KERNEL(minmax_u16, uint16_t, PLAIN)
MINMAX_KERNEL(minmax_u32, uint32_t, PLAIN)
MINMAX_KERNEL(minmax_u64, uint64_t, PLAIN)
MINMAX_KERNEL(minmax_f16, int16_t, ordered_f16)
MINMAX_KERNEL(minmax_f32, int32_t, total_order32)
MINMAX_KERNEL(minmax_f64, int64_t, total_order64)

/* The kinds without a kernel of their own, as ordered 128-bit numbers. */
static __int128 wide_value(const struct column *c, int64_t i)
{
    const uint8_t *p = c->buffers[0]->data;
    __int128 v;
    switch (c->type->id) {
    case TYPE_BOOL:
        return column_bool(c, i);
    case TYPE_INTERVAL_DAY_TIME:
        p += (c->offset + i) * 8;
        return ((__int128)(int32_t)load_le32(p) << 32) | (load_le32(p + 4) ^ 0x80000000u);
    case TYPE_INTERVAL_MONTH_DAY_NANO:
        p += (c->offset + i) * 16;
        return ((__int128)(int32_t)load_le32(p) << 96) | ((__int128)(load_le32(p + 4) ^ 0x80000000u) << 64) | (load_le64(p + 8) ^ 1ull << 63);
    default:
        memcpy(&v, p + (c->offset + i) * 16, 16);
        return v;
    }
}

static void minmax_wide(void *values_, uint8_t *seen, const struct column *c, const struct agg_rows *rows, bool max)
{
    __int128 *values = values_;
    uint32_t run = 0;
    for (int64_t i = 0; i < rows->n; i++) {
        while (rows->starts && i >= rows->starts[run + 1])
            run++;
        if (column_is_null(c, i))
            continue;
        uint32_t g = rows->starts ? agg_run_group(rows, run) : rows->groups[i];
        __int128 x = wide_value(c, i);
        if (!seen[g] || (max ? x > values[g] : x < values[g]))
            values[g] = x;
        seen[g] = 1;
    }
}

static minmax_kernel pick_kernel(const struct dtype *t, size_t *ret_width)
{
    *ret_width = (size_t)type_width(t);
    switch (t->id) {
    case TYPE_INT8: return minmax_i8;
    case TYPE_INT16: return minmax_i16;
    case TYPE_INT32: case TYPE_DATE32: case TYPE_TIME32: case TYPE_INTERVAL_YEAR_MONTH: return minmax_i32;
    case TYPE_INT64: case TYPE_DATE64: case TYPE_TIME64: case TYPE_TIMESTAMP: case TYPE_DURATION: return minmax_i64;
    case TYPE_UINT8: return minmax_u8;
    case TYPE_UINT16: return minmax_u16;
    case TYPE_UINT32: return minmax_u32;
    case TYPE_UINT64: return minmax_u64;
    case TYPE_FLOAT16: return minmax_f16;
    case TYPE_FLOAT32: return minmax_f32;
    case TYPE_FLOAT64: return minmax_f64;
    case TYPE_BOOL: case TYPE_INTERVAL_DAY_TIME: case TYPE_INTERVAL_MONTH_DAY_NANO: case TYPE_DECIMAL128:
        *ret_width = 16;
        return minmax_wide;
    default: return NULL;
    }
}

static int minmax_resolve(struct agg_call *call, struct error *err)
{
    char text[128];
    size_t width;
    struct dtype *t = call->args[0];
    bool nested = type_is_nested(t) && sort_key_supported(t);
    if (!type_is_varlen(t) && !nested && t->id != TYPE_NULL && !pick_kernel(t, &width))
        return error_set(err, ST_PLAN_QUERY, "%s does not take %s", call->function->name, type_print(t, text, sizeof text));
    call->value_type = type_ref(t);
    return agg_add_state(call, "value", t, err);
}

static int minmax_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    (void)budget;
    struct minmax_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    a->kernel = pick_kernel(call->args[0], &a->width);
    if (!a->kernel)
        a->width = sizeof(struct byte_slot);
    *ret_agg = &a->base;
    return ST_OK;
}

static int minmax_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    struct minmax_agg *a = (struct minmax_agg *)base;
    TRY(vec_reserve(&a->values, base->budget, n_groups, a->width, err));
    TRY(vec_reserve(&a->seen, base->budget, n_groups, 1, err));
    a->n_groups = n_groups;
    return ST_OK;
}

/* Keeps the best bytes of every group: those of the column, or of its sort keys. from[g] = where the value of a changed group comes from. */
static int update_bytes(struct minmax_agg *a, const struct column *c, const struct agg_rows *rows, uint32_t *from, uint32_t from_base,
                        struct error *err)
{
    struct byte_slot *slots = a->values.data;
    uint8_t *seen = a->seen.data;
    bool max = a->base.function->which == MAX;
    uint32_t run = 0;
    for (int64_t i = 0; i < rows->n; i++) {
        while (rows->starts && i >= rows->starts[run + 1])
            run++;
        if (column_is_null(c, i))
            continue;
        uint32_t g = rows->starts ? agg_run_group(rows, run) : rows->groups[i];
        size_t size;
        int32_t n;
        const uint8_t *s = from ? sort_keys_at(&a->keys, i, &size) : column_bytes(c, i, &n);
        if (!from)
            size = (size_t)n;
        int order = seen[g] ? sort_key_compare(s, size, slots[g].data, slots[g].size) : 0;
        if (seen[g] && (max ? order <= 0 : order >= 0))
            continue;
        TRY(byte_slot_set(&slots[g], a->base.budget, s, size, err));
        seen[g] = 1;
        if (from)
            from[g] = from_base + (uint32_t)i;
    }
    return ST_OK;
}

static int update_nested(struct minmax_agg *a, struct column *c, const struct agg_rows *rows, struct error *err)
{
    const struct sort_spec spec = {0};
    uint32_t old = a->best ? (uint32_t)a->best->length : 0;
    struct column *parts[2] = {a->best, c}, *joined, *best;
    if (c->length > UINT32_MAX - 1 - old)
        return error_set(err, ST_EXHAUSTED, "a batch is too large");
    TRY(sort_keys_encode(&a->keys, a->base.budget, &c, &spec, 1, c->length, err));
    TRY(vec_reserve(&a->from, a->base.budget, (size_t)a->n_groups + 1, sizeof(uint32_t), err));
    uint32_t *from = a->from.data;
    for (uint32_t g = 0; g < a->n_groups; g++)
        from[g] = g < old ? g : UINT32_MAX;
    TRY(update_bytes(a, c, rows, from, old, err));
    TRY(column_concat(a->base.budget, old ? parts : parts + 1, old ? 2 : 1, &joined, err));
    int st = column_take(a->base.budget, joined, from, a->n_groups, &best, err);
    column_unref(joined);
    TRY(st);
    column_unref(a->best);
    a->best = best;
    return ST_OK;
}

static int minmax_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct minmax_agg *a = (struct minmax_agg *)base;
    if (args[0]->type->id == TYPE_NULL)
        return ST_OK;
    if (type_is_nested(args[0]->type))
        return update_nested(a, args[0], rows, err);
    if (!a->kernel)
        return update_bytes(a, args[0], rows, NULL, 0, err);
    a->kernel(a->values.data, a->seen.data, args[0], rows, base->function->which == MAX);
    return ST_OK;
}

/* The inverse of the orders above. */
static void put_value(const struct minmax_agg *a, const struct dtype *t, uint32_t g, struct buffer *to, uint32_t i)
{
    const void *v = VEC(&a->values, const uint8_t) + g * a->width;
    __int128 w = 0;
    if (a->width == 16)
        memcpy(&w, v, 16);
    switch (t->id) {
    case TYPE_BOOL:
        bit_put(to->data, i, w != 0);
        break;
    case TYPE_INTERVAL_DAY_TIME:
        store_le32(to->data + i * 8, (uint32_t)(w >> 32));
        store_le32(to->data + i * 8 + 4, (uint32_t)w ^ 0x80000000u);
        break;
    case TYPE_INTERVAL_MONTH_DAY_NANO:
        store_le32(to->data + i * 16, (uint32_t)(w >> 96));
        store_le32(to->data + i * 16 + 4, (uint32_t)(w >> 64) ^ 0x80000000u);
        store_le64(to->data + i * 16 + 8, (uint64_t)w ^ 1ull << 63);
        break;
    case TYPE_FLOAT16: store_le16(to->data + i * 2, (uint16_t)ordered_f16((int16_t)load_le16(v))); break;
    case TYPE_FLOAT32: store_le32(to->data + i * 4, (uint32_t)total_order32((int32_t)load_le32(v))); break;
    case TYPE_FLOAT64: store_le64(to->data + i * 8, (uint64_t)total_order64((int64_t)load_le64(v))); break;
    default: memcpy(to->data + i * a->width, v, a->width);
    }
}

static int finish_bytes(const struct minmax_agg *a, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct column_builder b;
    TRY(column_builder_init(&b, a->base.budget, a->base.call->value_type, err));
    int st = ST_OK;
    for (uint32_t i = first; st == ST_OK && i < first + n; i++) {
        const struct byte_slot *s = VEC(&a->values, struct byte_slot) + i;
        st = VEC(&a->seen, uint8_t)[i] ? column_builder_append_bytes(&b, s->data, s->size, err) : column_builder_append_null(&b, err);
    }
    if (st == ST_OK)
        st = column_builder_finish(&b, ret_column, err);
    column_builder_release(&b);
    return st;
}

static int finish_nested(struct minmax_agg *a, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    if (!a->best)
        return column_new_nulls(a->base.budget, a->base.call->value_type, n, ret_column, err);
    TRY(vec_reserve(&a->from, a->base.budget, (size_t)n + 1, sizeof(uint32_t), err));
    uint32_t *from = a->from.data;
    for (uint32_t i = 0; i < n; i++)
        from[i] = first + i < (uint32_t)a->best->length ? first + i : UINT32_MAX;
    return column_take(a->base.budget, a->best, from, n, ret_column, err);
}

static int minmax_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct minmax_agg *a = (struct minmax_agg *)base;
    struct dtype *t = base->call->value_type;
    struct buffer *values, *validity;
    uint32_t nulls = 0;
    if (t->id == TYPE_NULL)
        return column_new_nulls(base->budget, t, n, ret_column, err);
    if (type_is_nested(t))
        return finish_nested(a, first, n, ret_column, err);
    if (!a->kernel)
        return finish_bytes(a, first, n, ret_column, err);
    TRY(buffer_new(base->budget, t->id == TYPE_BOOL ? bits_bytes(n) : (size_t)n * (size_t)type_width(t), &values, err));
    int st = buffer_new(base->budget, bits_bytes(n), &validity, err);
    if (st != ST_OK) {
        buffer_unref(values);
        return st;
    }
    for (uint32_t i = 0; i < n; i++) {
        bool seen = VEC(&a->seen, uint8_t)[first + i];
        bit_put(validity->data, i, seen);
        nulls += !seen;
        if (seen)
            put_value(a, t, first + i, values, i);
    }
    if (!nulls) {
        buffer_unref(validity);
        validity = NULL;
    }
    return column_new(t, n, nulls, validity, values, NULL, ret_column, err);
}

static int minmax_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    return minmax_finish(base, first, n, &ret_children[0], err);
}

static void minmax_free(struct agg *base)
{
    struct minmax_agg *a = (struct minmax_agg *)base;
    for (uint32_t g = 0; !a->kernel && a->values.data && g < a->n_groups; g++)
        byte_slot_release(VEC(&a->values, struct byte_slot) + g, base->budget);
    vec_release(&a->values, base->budget);
    vec_release(&a->seen, base->budget);
    vec_release(&a->from, base->budget);
    sort_keys_release(&a->keys, base->budget);
    column_unref(a->best);
    free(a);
}

#define FUNCTIONS .args_min = 1, .args_max = 1, .resolve = minmax_resolve, .open = minmax_open, .reserve = minmax_reserve, .update = minmax_update, \
                  .finish = minmax_finish, .state = minmax_state, .combine = agg_combine_results, .free = minmax_free, .distinct = AGG_DISTINCT_IGNORED

const struct agg_function agg_minmax_functions[] = {
    {.name = "min", .which = MIN, FUNCTIONS},
    {.name = "max", .which = MAX, FUNCTIONS},
    {.name = NULL},
};
