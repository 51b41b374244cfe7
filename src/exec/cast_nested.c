/* Casts of lists and structs: the casts of their items and members, once for the whole column (functions.md 4.8). */
#include <stdlib.h>
#include <string.h>

#include "exec/cast_text.h"
#include "exec/expr_internal.h"
#include "exec/kernel_list.h"
#include "exec/text_writer.h"

/* The member of `from` that becomes member i of `to`: by name, else by position. */
static uint32_t member_for(const struct dtype *from, const struct dtype *to, uint32_t i)
{
    for (uint32_t k = 0; k < from->n_children; k++)
        if (strcmp(from->children[k]->name, to->children[i]->name) == 0)
            return k;
    return i;
}

bool cast_nested_supported(const struct dtype *from, const struct dtype *to)
{
    if (type_is_list(from) && type_is_string(to)) {
        while (type_is_list(from))
            from = list_item_type(from);
        return !type_is_nested(from);
    }
    if (type_is_list(to))
        return to->id != TYPE_FIXED_LIST && cast_supported(type_is_list(from) ? list_item_type(from) : from, list_item_type(to));
    if (from->id != TYPE_STRUCT || to->id != TYPE_STRUCT || from->n_children != to->n_children)
        return false;
    for (uint32_t i = 0; i < to->n_children; i++)
        if (!cast_supported(from->children[member_for(from, to, i)]->type, to->children[i]->type))
            return false;
    return true;
}

/* The lists that rows have, one behind the other: nulls may stand before items that nobody asked to cast. */
static int compact(struct expr_context *ctx, struct column *c, struct column **ret, struct error *err)
{
    const struct value v = {c, false};
    struct list_maker m;
    struct dtype *type = list_type_of(list_item_type(c->type));
    int st = type ? list_maker_init(&m, ctx->budget, c->length, err) : error_no_memory(err, 64);
    if (st != ST_OK) {
        type_unref(type);
        return st;
    }
    for (int64_t i = 0; i < c->length && st == ST_OK; i++) {
        int64_t from = 0, to = 0;
        bool null = !list_range(&v, i, &from, &to);
        st = list_maker_range(&m, 0, from, to, err);
        if (st == ST_OK)
            st = list_maker_end(&m, i, null, err);
    }
    if (st == ST_OK)
        st = list_maker_finish(&m, type, c->children[0], ret, err);
    list_maker_release(&m);
    type_unref(type);
    return st;
}

static int list_to_list(struct expr_context *ctx, struct column *c, struct dtype *to, bool null_on_failure, struct column **ret, struct error *err)
{
    struct column *plain, *items;
    TRY(compact(ctx, c, &plain, err));
    int st = expr_cast(ctx, plain->children[0], list_item_type(to), null_on_failure, &items, err);
    if (st == ST_OK)
        st = column_new_nested(to, plain->length, column_null_count(plain), buffer_ref(plain->validity), buffer_ref(plain->buffers[0]), &items, 1, ret, err);
    column_unref(plain);
    return st;
}

static int scalar_to_list(struct expr_context *ctx, struct column *c, struct dtype *to, bool null_on_failure, struct column **ret, struct error *err)
{
    struct column *items;
    struct buffer *offsets;
    TRY(expr_cast(ctx, c, list_item_type(to), null_on_failure, &items, err));
    int st = buffer_new_uninit(ctx->budget, ((size_t)c->length + 1) * 4, &offsets, err);
    if (st != ST_OK) {
        column_unref(items);
        return st;
    }
    for (int64_t i = 0; i <= c->length; i++)
        ((int32_t *)(void *)offsets->data)[i] = (int32_t)i;
    return column_new_nested(to, c->length, 0, NULL, offsets, &items, 1, ret, err);
}

/* What a cast of a struct's members goes by. */
struct struct_cast {
    struct expr_context *ctx;
    struct dtype *to;
    bool null_on_failure;
};

static int cast_member(void *ctx, const struct column *c, uint32_t i, struct column **ret, struct error *err)
{
    const struct struct_cast *cast = ctx;
    struct column *member;
    TRY(column_slice(c->children[member_for(c->type, cast->to, i)], c->offset, c->length, &member, err));
    int st = expr_cast(cast->ctx, member, cast->to->children[i]->type, cast->null_on_failure, ret, err);
    column_unref(member);
    return st;
}

/* [a, b] with nulls as empty text; bytes in hexadecimal. */
static int print_list(const struct column *c, int64_t i, struct text_writer *w, struct error *err)
{
    const struct value v = {(struct column *)c, false};
    const struct column *items = c->children[0];
    int64_t from, to;
    char text[400];
    if (!list_range(&v, i, &from, &to))
        return ST_OK;
    TRY(text_writer_put(w, "[", 1, err));
    for (int64_t k = from; k < to; k++) {
        int32_t n;
        if (k > from)
            TRY(text_writer_put(w, ", ", 2, err));
        if (type_is_list(items->type)) {
            TRY(print_list(items, k, w, err));
        } else if (type_is_varlen(items->type) && !column_is_null(items, k)) {
            const uint8_t *p = column_bytes(items, k, &n);
            for (int32_t b = 0; b < n && type_is_binary(items->type); b++)
                TRY(text_writer_printf(w, err, "%02x", p[b]));
            if (type_is_string(items->type))
                TRY(text_writer_put(w, p, (size_t)n, err));
        } else if (!column_is_null(items, k)) {
            TRY(text_writer_put(w, text, text_of_value(items, k, text, sizeof text), err));
        }
    }
    return text_writer_put(w, "]", 1, err);
}

static int list_to_text(struct expr_context *ctx, struct column *c, struct dtype *to, struct column **ret, struct error *err)
{
    struct text_writer w;
    struct buffer *validity;
    TRY(column_copy_validity(ctx->budget, c, &validity, err));
    int st = text_writer_init(&w, ctx->budget, c->length, 0, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    for (int64_t i = 0; i < c->length && st == ST_OK; i++) {
        st = print_list(c, i, &w, err);
        text_writer_end_row(&w, i);
    }
    if (st == ST_OK)
        return text_writer_finish(&w, to, c->length, validity, validity ? column_null_count(c) : 0, ret, err);
    text_writer_release(&w);
    buffer_unref(validity);
    return st;
}

int cast_nested(struct expr_context *ctx, struct column *c, struct dtype *to, bool null_on_failure, struct column **ret, struct error *err)
{
    if (type_is_list(to))
        return type_is_list(c->type) ? list_to_list(ctx, c, to, null_on_failure, ret, err) : scalar_to_list(ctx, c, to, null_on_failure, ret, err);
    if (to->id == TYPE_STRUCT)
        return column_new_struct(ctx->budget, to, c, cast_member, &(struct struct_cast){ctx, to, null_on_failure}, ret, err);
    return list_to_text(ctx, c, to, ret, err);
}
