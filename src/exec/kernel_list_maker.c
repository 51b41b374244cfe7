/* See kernel_list.h. */
#include "exec/kernel_list.h"

#include <stdlib.h>
#include <string.h>

bool type_is_list(const struct dtype *t)
{
    return t->id == TYPE_LIST || t->id == TYPE_LARGE_LIST || t->id == TYPE_FIXED_LIST;
}

struct dtype *list_type_of(struct dtype *item)
{
    struct field *f = field_new("item", item, true);
    struct dtype *t = f ? type_list(TYPE_LIST, f) : NULL;
    field_unref(f);
    return t;
}

bool list_range(const struct value *v, int64_t row, int64_t *ret_from, int64_t *ret_to)
{
    const struct column *c = v->column;
    int64_t i = v->scalar ? 0 : row;
    if (column_is_null(c, i))
        return false;
    if (c->type->id == TYPE_FIXED_LIST) {
        *ret_from = (c->offset + i) * c->type->width;
        *ret_to = *ret_from + c->type->width;
        return true;
    }
    const int32_t *o = COLUMN_VALUES(c, int32_t) + i;
    *ret_from = o[0];
    *ret_to = o[1];
    return true;
}

/* ---- maker ---- */

int list_maker_init(struct list_maker *m, struct budget *budget, int64_t rows, struct error *err)
{
    *m = (struct list_maker){.budget = budget, .rows = rows};
    return buffer_new(budget, ((size_t)rows + 1) * 4, &m->offsets, err);
}

void list_maker_release(struct list_maker *m)
{
    vec_release(&m->items, m->budget);
    buffer_unref(m->offsets);
    buffer_unref(m->validity);
    m->offsets = m->validity = NULL;
}

int list_maker_item(struct list_maker *m, int64_t index, struct error *err)
{
    if (m->n_items == INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "the lists of a batch exceed 2^31 items");
    TRY(vec_reserve(&m->items, m->budget, m->n_items + 1, 4, err));
    VEC(&m->items, uint32_t)[m->n_items++] = (uint32_t)index;
    return ST_OK;
}

int list_maker_range(struct list_maker *m, int64_t base, int64_t from, int64_t to, struct error *err)
{
    for (int64_t i = from; i < to; i++)
        TRY(list_maker_item(m, base + i, err));
    return ST_OK;
}

int list_maker_end(struct list_maker *m, int64_t row, bool null, struct error *err)
{
    ((int32_t *)(void *)m->offsets->data)[row + 1] = (int32_t)m->n_items;
    if (!null)
        return ST_OK;
    if (!m->validity) {
        TRY(buffer_new(m->budget, bits_bytes(m->rows), &m->validity, err));
        bits_fill(m->validity->data, 0, m->rows, true);
    }
    bit_clear(m->validity->data, row);
    m->nulls++;
    return ST_OK;
}

static int number_items(const struct list_maker *m, struct column **ret, struct error *err)
{
    struct buffer *values;
    TRY(buffer_new_uninit(m->budget, m->n_items * 8, &values, err));
    for (size_t i = 0; i < m->n_items; i++)
        ((uint64_t *)(void *)values->data)[i] = VEC(&m->items, uint32_t)[i];
    return column_new(type_of(TYPE_UINT64), (int64_t)m->n_items, 0, NULL, values, NULL, ret, err);
}

int list_maker_finish(struct list_maker *m, struct dtype *type, struct column *pool, struct column **ret_column, struct error *err)
{
    static const uint32_t none;
    struct column *items;
    const uint32_t *indexes = m->n_items ? VEC(&m->items, const uint32_t) : &none;
    TRY(pool ? column_take(m->budget, pool, indexes, (int64_t)m->n_items, &items, err) : number_items(m, &items, err));
    int st = column_new_nested(type, m->rows, m->nulls, m->validity, m->offsets, &items, 1, ret_column, err);
    m->offsets = m->validity = NULL;
    return st;
}

int list_pool(struct expr_context *ctx, const struct value *args, uint32_t n, uint64_t as_lists, struct column **ret_pool, int64_t *ret_bases,
              struct error *err)
{
    struct column **parts = calloc(n + 1, sizeof *parts);
    int64_t at = 0;
    if (!parts)
        return error_no_memory(err, n * sizeof *parts);
    for (uint32_t i = 0; i < n; i++) {
        parts[i] = i < 64 && as_lists >> i & 1 ? args[i].column->children[0] : args[i].column;
        ret_bases[i] = at;
        at += parts[i]->length;
    }
    int st = at < UINT32_MAX ? column_concat(ctx->budget, parts, n, ret_pool, err)
                             : error_set(err, ST_EXHAUSTED, "the lists of a batch exceed 2^32 items");
    free(parts);
    return st;
}

/* ---- binding ---- */

static int cast_to_list(struct expr *e, uint32_t arg, struct dtype *item, struct error *err)
{
    struct dtype *list = list_type_of(item);
    int st = list ? expr_bind_cast(e, arg, list, err) : error_no_memory(err, 64);
    type_unref(list);
    return st;
}

int list_bind_list(struct expr *e, uint32_t arg, struct error *err)
{
    if (e->args[arg]->type->id == TYPE_NULL)
        return cast_to_list(e, arg, type_of(TYPE_NULL), err);
    return type_is_list(e->args[arg]->type) ? ST_OK : expr_type_error(e, err);
}

int list_bind_integer(struct expr *e, uint32_t arg, struct error *err)
{
    const struct dtype *t = e->args[arg]->type;
    return type_is_integer(t) || t->id == TYPE_NULL ? expr_bind_cast(e, arg, type_of(TYPE_INT64), err) : expr_type_error(e, err);
}

int list_bind_pair(struct expr *e, uint32_t list, uint32_t other, bool both_lists, struct error *err)
{
    TRY(list_bind_list(e, list, err));
    if (both_lists)
        TRY(list_bind_list(e, other, err));
    struct dtype *item = list_item_type(e->args[list]->type), *theirs = both_lists ? list_item_type(e->args[other]->type) : e->args[other]->type;
    if (type_equal(item, theirs, false))
        return ST_OK;
    if (item->id == TYPE_NULL)
        return cast_to_list(e, list, theirs, err);
    return both_lists ? cast_to_list(e, other, item, err) : expr_bind_cast(e, other, item, err);
}

int list_bind_joined(struct expr *e, struct error *err)
{
    bool left = type_is_list(e->args[0]->type), right = type_is_list(e->args[1]->type);
    bool left_item = right && !left && e->args[0]->type->id != TYPE_NULL, right_item = left && !right && e->args[1]->type->id != TYPE_NULL;
    e->function = function_find(left_item ? "array_prepend" : right_item ? "array_append" : "array_concat");
    return e->function->bind(e, err);
}
