/* String functions (functions.md 1.2, 1.3). */
#include <string.h>

#include "exec/expr_internal.h"

/* ---- lengths, case, concatenation ---- */

static int bind_length(struct expr *e, struct error *err)
{
    if (!type_is_string(e->args[0]->type))
        TRY(expr_bind_cast(e, 0, type_of(TYPE_UTF8), err));
    e->type = type_of(e->args[0]->type->id == TYPE_LARGE_UTF8 ? TYPE_INT64 : TYPE_INT32);
    return ST_OK;
}

static int kernel_length(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *validity, *values;
    int64_t nulls;
    int32_t width = type_width(e->type);
    TRY(kernel_validity(ctx->budget, args, 1, rows, &validity, &nulls, err));
    int st = buffer_new(ctx->budget, (size_t)rows * (size_t)width, &values, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    for (int64_t i = 0; i < rows; i++) {
        int32_t n;
        int64_t chars = 0;
        const uint8_t *p = value_bytes(&args[0], i, &n);
        for (int32_t k = 0; k < n; k++)
            chars += (p[k] & 0xc0) != 0x80;
        memcpy(values->data + i * width, &chars, (size_t)width);
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

static int bind_concat(struct expr *e, struct error *err)
{
    struct dtype *type = type_of(TYPE_UTF8);
    for (uint32_t i = 0; i < e->n_args; i++)
        if (e->args[i]->type->id == TYPE_UTF8_VIEW || (e->args[i]->type->id == TYPE_LARGE_UTF8 && type->id == TYPE_UTF8))
            type = e->args[i]->type;
    for (uint32_t i = 0; i < e->n_args; i++)
        TRY(expr_bind_cast(e, i, type, err));
    e->nullable = e->nullable && e->function->op;
    e->type = type_ref(type);
    return ST_OK;
}

/* op 1: NULL when an argument is (the operator); op 0: NULL counts as empty (the function). */
static int kernel_concat(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct column_builder b;
    struct dynbuf text;
    dynbuf_init(&text, INT32_MAX);
    TRY(column_builder_init(&b, ctx->budget, e->type, err));
    int st = ST_OK;
    for (int64_t i = 0; st == ST_OK && i < rows; i++) {
        bool null = false;
        dynbuf_clear(&text);
        for (uint32_t k = 0; st == ST_OK && k < e->n_args; k++) {
            int32_t n;
            if (value_is_null(&args[k], i)) {
                null = e->function->op;
                continue;
            }
            const uint8_t *p = value_bytes(&args[k], i, &n);
            st = dynbuf_append(&text, p, (size_t)n, err);
        }
        if (st == ST_OK)
            st = null ? column_builder_append_null(&b, err) : column_builder_append_bytes(&b, text.data, text.size, err);
    }
    if (st == ST_OK)
        st = column_builder_finish(&b, ret, err);
    column_builder_release(&b);
    dynbuf_release(&text);
    return st;
}

const struct function functions_text[] = {
    {"character_length", 1, 1, bind_length, kernel_length, 0, true},
    {"char_length", 1, 1, bind_length, kernel_length, 0, true},
    {"length", 1, 1, bind_length, kernel_length, 0, true},
    {"str_concat", 2, 2, bind_concat, kernel_concat, 1, true},
    {"concat", 1, 250, bind_concat, kernel_concat, 0, false},
    {0},
};
