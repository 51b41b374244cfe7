/* bool_and, bool_or, bit_and, bit_or and bit_xor: all of them fold 64-bit words. NULLs are skipped; a group without values gives NULL. */
#include <stdlib.h>
#include <string.h>

#include "exec/agg.h"

enum { AND, OR, XOR };

struct fold { uint64_t value, seen; };

struct bit_agg {
    struct agg base;
    struct vec acc;
};

static int bit_resolve(struct agg_call *call, struct error *err)
{
    struct dtype *t = call->args[0];
    bool logical = memcmp(call->function->name, "bool", 4) == 0;
    if (logical ? t->id != TYPE_BOOL : !type_is_integer(t))
        return agg_type_error(call, 0, err);
    call->value_type = type_ref(t);
    return agg_add_state(call, call->function->name, t, err);
}

static int bit_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    (void)call;
    (void)budget;
    struct bit_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    *ret_agg = &a->base;
    return ST_OK;
}

static int bit_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    return vec_reserve(&((struct bit_agg *)base)->acc, base->budget, n_groups, sizeof(struct fold), err);
}

static int bit_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct fold *acc = ((struct bit_agg *)base)->acc.data;
    const struct column *c = args[0];
    size_t width = (size_t)type_width(c->type);
    int which = base->function->which;
    uint32_t run = 0;
    (void)err;
    for (int64_t i = 0; i < rows->n; i++) {
        uint64_t v = 0;
        while (rows->starts && i >= rows->starts[run + 1])
            run++;
        if (column_is_null(c, i))
            continue;
        if (c->type->id == TYPE_BOOL)
            v = column_bool(c, i);
        else
            memcpy(&v, c->buffers[0]->data + (size_t)(c->offset + i) * width, width);
        struct fold *f = &acc[rows->starts ? agg_run_group(rows, run) : rows->groups[i]];
        f->value = !f->seen ? v : which == AND ? f->value & v : which == OR ? f->value | v : f->value ^ v;
        f->seen = 1;
    }
    return ST_OK;
}

static int bit_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    const struct fold *acc = VEC(&((struct bit_agg *)base)->acc, struct fold) + first;
    struct column_builder b;
    struct dtype *t = base->call->value_type;
    TRY(column_builder_init(&b, base->budget, t, err));
    int st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < n; i++)
        st = !acc[i].seen          ? column_builder_append_null(&b, err)
             : t->id == TYPE_BOOL ? column_builder_append_bool(&b, acc[i].value, err)
                                  : column_builder_append_fixed(&b, &acc[i].value, err);
    if (st == ST_OK)
        st = column_builder_finish(&b, ret_column, err);
    column_builder_release(&b);
    return st;
}

static int bit_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    return bit_finish(base, first, n, &ret_children[0], err);
}

static void bit_free(struct agg *base)
{
    vec_release(&((struct bit_agg *)base)->acc, base->budget);
    free(base);
}

#define FUNCTION(NAME, WHICH, DISTINCT) {.name = NAME, .which = WHICH, .args_min = 1, .args_max = 1, .resolve = bit_resolve, .open = bit_open, \
    .reserve = bit_reserve, .update = bit_update, .finish = bit_finish, .state = bit_state, .combine = agg_combine_results, .free = bit_free, \
    .distinct = AGG_DISTINCT_##DISTINCT}

const struct agg_function agg_bit_functions[] = {
    FUNCTION("bool_and", AND, IGNORED), FUNCTION("bool_or", OR, IGNORED), FUNCTION("bit_and", AND, IGNORED), FUNCTION("bit_or", OR, IGNORED),
    FUNCTION("bit_xor", XOR, APPLIES), {.name = NULL},
};
