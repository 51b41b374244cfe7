/* LIKE and ILIKE, regular expressions, and a few string functions (functions.md 4.5, 4.7, 1.2). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "exec/expr_internal.h"
#include "exec/regex.h"

enum { LIKE_CASE = 1, LIKE_NOT = 2 };

static int bind_like(struct expr *e, struct error *err)
{
    TRY(expr_bind_cast(e, 1, type_of(TYPE_UTF8), err));
    if (e->args[0]->type->id == TYPE_NULL)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_UTF8), err));
    if (!type_is_string(e->args[0]->type))
        return expr_type_error(e, err);
    if (e->n_args == 3) {
        struct column *escape = expr_literal(e->args[2]);
        int32_t n;
        if (!escape || !(type_is_string(escape->type) || escape->type->id == TYPE_NULL))
            return expr_type_error(e, err);
        if (!column_is_null(escape, 0) && (*column_bytes(escape, 0, &n) != '\\' || n != 1))
            return error_set(err, ST_EXECUTE_QUERY, "LIKE does not support escape characters other than the backslash");
    }
    e->type = type_of(TYPE_BOOL);
    return ST_OK;
}

/* Bytes of the UTF-8 character at p. */
static size_t char_bytes(const uint8_t *p, const uint8_t *end)
{
    size_t n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    return n > (size_t)(end - p) ? (size_t)(end - p) : n;
}

static inline uint8_t fold(uint8_t c, bool ignore_case)
{
    return ignore_case ? (uint8_t)tolower(c) : c;
}

/* Linear in practice: after a '%' only the last one is ever retried. */
static bool like(const uint8_t *s, const uint8_t *s_end, const uint8_t *p, const uint8_t *p_end, bool ignore_case)
{
    const uint8_t *retry_s = NULL, *retry_p = NULL;
    while (s < s_end || p < p_end) {
        if (p < p_end && *p == '%') {
            retry_p = ++p;
            retry_s = s;
            continue;
        }
        if (p < p_end && s < s_end) {
            if (*p == '_') {
                p++;
                s += char_bytes(s, s_end);
                continue;
            }
            const uint8_t *c = *p == '\\' && p + 1 < p_end ? p + 1 : p;
            if (fold(*c, ignore_case) == fold(*s, ignore_case)) {
                p = c + 1;
                s++;
                continue;
            }
        }
        if (!retry_p || retry_s >= s_end)
            return false;
        p = retry_p;
        s = retry_s += char_bytes(retry_s, s_end);
    }
    return true;
}

static int kernel_like(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *bytes, *validity;
    int64_t nulls;
    bool ignore_case = e->function->op & LIKE_CASE, negate = (e->function->op & LIKE_NOT) != 0;
    TRY(kernel_validity(ctx->budget, args, 2, rows, &validity, &nulls, err));
    int st = buffer_new(ctx->budget, (size_t)rows + 8, &bytes, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    for (int64_t i = 0; i < rows; i++) {
        int32_t n, m;
        if (validity && !bit_get(validity->data, i))
            continue;
        const uint8_t *s = value_bytes(&args[0], i, &n), *p = value_bytes(&args[1], i, &m);
        bytes->data[i] = like(s, s + n, p, p + m, ignore_case) != negate;
    }
    st = kernel_bools(ctx->budget, bytes->data, rows, validity, nulls, ret, err);
    buffer_unref(bytes);
    return st;
}

static int bind_regex(struct expr *e, struct error *err)
{
    for (uint32_t i = 0; i < 2; i++)
        TRY(expr_bind_cast(e, i, type_of(TYPE_UTF8), err));
    e->type = type_of(TYPE_BOOL);
    return ST_OK;
}

static int kernel_regex(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *bytes, *validity;
    struct regex *regex = NULL;
    int64_t nulls;
    bool negate = (e->function->op & LIKE_NOT) != 0;
    TRY(kernel_validity(ctx->budget, args, 2, rows, &validity, &nulls, err));
    int st = buffer_new(ctx->budget, (size_t)rows + 8, &bytes, err);
    for (int64_t i = 0; st == ST_OK && i < rows; i++) {
        int32_t n, m;
        if (validity && !bit_get(validity->data, i))
            continue;
        const char *s = (const char *)value_bytes(&args[0], i, &n), *p = (const char *)value_bytes(&args[1], i, &m);
        char why[200];
        if (!regex || !args[1].scalar) {
            regex_free(regex);
            regex = regex_new(p, (size_t)m, e->function->op & LIKE_CASE, why, sizeof why);
            if (!regex)
                st = error_set(err, ST_EXECUTE_QUERY, "Regular expression did not compile: %s", why);
        }
        if (st == ST_OK)
            bytes->data[i] = regex_match(regex, s, (size_t)n) != negate;
    }
    regex_free(regex);
    if (st != ST_OK) {
        buffer_unref(validity);
        buffer_unref(bytes);
        return st;
    }
    st = kernel_bools(ctx->budget, bytes->data, rows, validity, nulls, ret, err);
    buffer_unref(bytes);
    return st;
}

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
    {"like", 2, 3, bind_like, kernel_like, 0, true},
    {"ilike", 2, 3, bind_like, kernel_like, LIKE_CASE, true},
    {"like_match", 2, 2, bind_like, kernel_like, 0, true},
    {"like_imatch", 2, 2, bind_like, kernel_like, LIKE_CASE, true},
    {"like_not_match", 2, 2, bind_like, kernel_like, LIKE_NOT, true},
    {"like_not_imatch", 2, 2, bind_like, kernel_like, LIKE_NOT | LIKE_CASE, true},
    {"regex_match", 2, 2, bind_regex, kernel_regex, 0, true},
    {"regex_imatch", 2, 2, bind_regex, kernel_regex, LIKE_CASE, true},
    {"regex_not_match", 2, 2, bind_regex, kernel_regex, LIKE_NOT, true},
    {"regex_not_imatch", 2, 2, bind_regex, kernel_regex, LIKE_NOT | LIKE_CASE, true},
    {"character_length", 1, 1, bind_length, kernel_length, 0, true},
    {"str_concat", 2, 2, bind_concat, kernel_concat, 1, true},
    {"concat", 1, 250, bind_concat, kernel_concat, 0, false},
    {0},
};
