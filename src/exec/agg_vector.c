/* vec_sum, vec_product and vec_avg: element by element over vectors of f32: packed little-endian bytes, or text like [1.0, 2.0].
 *
 * A NULL makes the sum or product of its group NULL, for vec_avg it is left out. All vectors of a group have one length.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/agg.h"
#include "exec/vector_text.h"

enum { SUM, PRODUCT, AVG };

struct vector_state {
    struct byte_slot values; /* f32s */
    uint64_t count;          /* of vectors */
    bool has_null;
};

struct vector_agg {
    struct agg base;
    struct vec states;
    struct vec parsed; /* a vector that was text */
    uint32_t n_groups;
};

static int vector_resolve(struct agg_call *call, struct error *err)
{
    if (!type_is_varlen(call->args[0]))
        return agg_type_error(call, 0, err);
    call->value_type = type_ref(type_of(TYPE_BINARY));
    TRY(agg_add_state_named(call, call->function->which == AVG ? "sum" : "x", call->value_type, err));
    return call->function->which == AVG ? agg_add_state_named(call, "count", type_of(TYPE_UINT64), err) : ST_OK;
}

static int vector_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    (void)call;
    (void)budget;
    struct vector_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    *ret_agg = &a->base;
    return ST_OK;
}

static int vector_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    struct vector_agg *a = (struct vector_agg *)base;
    TRY(vec_reserve(&a->states, base->budget, n_groups, sizeof(struct vector_state), err));
    a->n_groups = n_groups;
    return ST_OK;
}

static void combine(float *into, const uint8_t *from, size_t n, bool product)
{
    for (size_t i = 0; i < n; i++) {
        float x;
        memcpy(&x, from + i * 4, 4);
        into[i] = product ? into[i] * x : into[i] + x;
    }
}

static int add_vector(struct vector_agg *a, struct vector_state *s, const uint8_t *bytes, size_t size, struct error *err)
{
    const char *name = a->base.function->name;
    bool product = a->base.function->which == PRODUCT;
    if (size % 4)
        return error_set(err, ST_EXECUTE_QUERY, "%s: %zu bytes are no vector of 32-bit floats", name, size);
    if (!s->count)
        TRY(byte_slot_set(&s->values, a->base.budget, bytes, size, err));
    else if (s->values.size != size)
        return error_set(err, ST_EXECUTE_QUERY, "%s: vectors of %u and %zu elements", name, s->values.size / 4, size / 4);
    float *values = (float *)(void *)s->values.data;
    for (size_t i = 0; !s->count && !product && i < size / 4; i++)
        values[i] += 0.0f; /* a sum starts at zero: -0.0 becomes 0.0 */
    if (s->count)
        combine(values, bytes, size / 4, product);
    s->count++;
    return ST_OK;
}

static int vector_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct vector_agg *a = (struct vector_agg *)base;
    const struct column *c = args[0];
    bool nulls = column_null_count(c) > 0, text = type_is_string(c->type);
    for (int64_t i = 0; i < rows->n; i++) {
        struct vector_state *s = VEC(&a->states, struct vector_state) + agg_row_group(rows, i);
        if (nulls && column_is_null(c, i)) {
            s->has_null |= base->function->which != AVG;
            continue;
        }
        if (s->has_null)
            continue;
        int32_t size;
        const uint8_t *bytes = column_bytes(c, i, &size);
        size_t n = (size_t)size;
        if (text) {
            TRY(vector_parse(bytes, n, base->budget, &a->parsed, &n, err));
            bytes = n ? a->parsed.data : (const uint8_t *)"";
            n *= sizeof(float);
        }
        TRY(add_vector(a, s, bytes, n, err));
    }
    return ST_OK;
}

static int vectors(struct vector_agg *a, bool average, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct column_builder b;
    struct vec scratch = {0};
    TRY(column_builder_init(&b, a->base.budget, type_of(TYPE_BINARY), err));
    int st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        const struct vector_state *s = VEC(&a->states, struct vector_state) + first + i;
        const float *values = (const float *)(const void *)s->values.data;
        if (!s->count || s->has_null) {
            st = column_builder_append_null(&b, err);
            continue;
        }
        if (average) {
            st = vec_reserve(&scratch, a->base.budget, (size_t)s->values.size + 1, 1, err);
            for (uint32_t k = 0; st == ST_OK && k < s->values.size / 4; k++)
                VEC(&scratch, float)[k] = values[k] / (float)s->count;
            values = scratch.data;
        }
        if (st == ST_OK)
            st = column_builder_append_bytes(&b, values, s->values.size, err);
    }
    if (st == ST_OK)
        st = column_builder_finish(&b, ret_column, err);
    vec_release(&scratch, a->base.budget);
    column_builder_release(&b);
    return st;
}

static int vector_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    return vectors((struct vector_agg *)base, base->function->which == AVG, first, n, ret_column, err);
}

static int vector_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    struct vector_agg *a = (struct vector_agg *)base;
    struct buffer *counts;
    TRY(vectors(a, false, first, n, &ret_children[0], err));
    if (base->function->which != AVG)
        return ST_OK;
    TRY(buffer_new(base->budget, (size_t)n * 8, &counts, err));
    for (uint32_t i = 0; i < n; i++)
        store_le64(counts->data + i * 8, VEC(&a->states, struct vector_state)[first + i].count);
    return column_new(type_of(TYPE_UINT64), n, 0, NULL, counts, NULL, &ret_children[1], err);
}

static void vector_free(struct agg *base)
{
    struct vector_agg *a = (struct vector_agg *)base;
    for (uint32_t g = 0; g < a->n_groups; g++)
        byte_slot_release(&VEC(&a->states, struct vector_state)[g].values, base->budget);
    vec_release(&a->states, base->budget);
    vec_release(&a->parsed, base->budget);
    free(a);
}

#define FUNCTIONS                                                                                                                                    \
    .args_min = 1, .args_max = 1, .resolve = vector_resolve, .open = vector_open, .reserve = vector_reserve, .update = vector_update,                \
    .finish = vector_finish, .state = vector_state, .free = vector_free, .distinct = AGG_DISTINCT_IGNORED

const struct agg_function agg_vector_functions[] = {
    {.name = "vec_sum", .which = SUM, FUNCTIONS},
    {.name = "vec_product", .which = PRODUCT, FUNCTIONS},
    {.name = "vec_avg", .which = AVG, FUNCTIONS},
    {.name = NULL},
};
