/* Functions that hand on one of their arguments: nvl2, if, greatest, least, clamp (functions.md 1.1, 1.9, 1.10). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/cast_text.h"
#include "exec/kernel_typed.h"
#include "exec/sort_key.h"

enum { CHOICE_NULL = 255 };

static int new_choice(struct expr_context *ctx, int64_t rows, struct buffer **ret_choice, struct error *err)
{
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows + 8, ret_choice, err));
    memset((*ret_choice)->data, CHOICE_NULL, (size_t)rows);
    return ST_OK;
}

/* ---- nvl2, if ---- */

static int bind_nvl2(struct expr *e, struct error *err)
{
    TRY(expr_bind_common(e, 1, 2, false, err));
    e->type = type_ref(e->args[1]->type);
    e->nullable = e->args[1]->nullable || e->args[2]->nullable;
    return ST_OK;
}

/* The branches are not cast: two types are an error when the query runs, as in the peer. */
static int bind_if(struct expr *e, struct error *err)
{
    const struct dtype *a = e->args[1]->type, *b = e->args[2]->type;
    if (a->id == TYPE_NULL)
        TRY(expr_bind_cast(e, 1, e->args[2]->type, err));
    else if (b->id == TYPE_NULL)
        TRY(expr_bind_cast(e, 2, e->args[1]->type, err));
    else if (!type_equal(a, b, false))
        return error_set(err, ST_EXECUTE_QUERY, "Invalid argument error: arguments need to have the same data type");
    e->type = type_ref(e->args[1]->type);
    e->nullable = true;
    return ST_OK;
}

/* MySQL's truth: NULL is false, numbers are true unless zero, anything else is true. */
static bool is_truthy(const struct value *v, int64_t row)
{
    const struct column *c = v->column;
    int64_t at = v->scalar ? 0 : row;
    if (column_is_null(c, at))
        return false;
    if (c->type->id == TYPE_BOOL)
        return column_bool(c, at);
    if (c->type->id == TYPE_FLOAT32)
        return COLUMN_VALUES(c, float)[at] != 0;
    if (c->type->id == TYPE_FLOAT64)
        return COLUMN_VALUES(c, double)[at] != 0;
    if (!type_is_integer(c->type))
        return true;
    static const uint8_t zeros[8];
    size_t width = (size_t)type_width(c->type);
    return memcmp(c->buffers[0]->data + (size_t)(c->offset + at) * width, zeros, width) != 0;
}

enum { PICK_NOT_NULL, PICK_TRUTHY };

/* Argument 1 where argument 0 holds, else argument 2. */
static int kernel_pick(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *choice;
    TRY(new_choice(ctx, rows, &choice, err));
    for (int64_t i = 0; i < rows; i++)
        choice->data[i] = (e->function->op == PICK_TRUTHY ? is_truthy(&args[0], i) : !value_is_null(&args[0], i)) ? 0 : 1;
    int st = kernel_choose(ctx, e->type, args + 1, 2, choice->data, rows, ret, err);
    buffer_unref(choice);
    return st;
}

static int isnull_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    (void)ret_null;
    (void)err;
    *(uint8_t *)ret_value = value_is_null(&c->args[0], row);
    return ST_OK;
}

/* ---- greatest, least ---- */

static int bind_extreme(struct expr *e, struct error *err)
{
    bool nullable = true;
    for (int round = 0; round < 2; round++) /* the first argument's type grows; then the others follow */
        for (uint32_t i = 1; i < e->n_args; i++)
            TRY(expr_bind_common(e, 0, i, false, err));
    for (uint32_t i = 0; i < e->n_args; i++)
        nullable = nullable && e->args[i]->nullable;
    e->nullable = nullable;
    e->type = type_ref(e->args[0]->type);
    return type_is_nested(e->type) && !sort_key_supported(e->type) ? expr_type_error(e, err) : ST_OK;
}

/* Lists and structs by their sort keys. A NULL inside never wins: it is the smallest for greatest, the largest for least. */
static int choose_nested(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, uint8_t *choice, struct error *err)
{
    bool greatest = e->function->op;
    const struct sort_spec spec = {.nulls_first = greatest};
    struct sort_keys *keys = calloc(e->n_args, sizeof *keys);
    int st = keys ? ST_OK : error_no_memory(err, e->n_args * sizeof *keys);
    for (uint32_t k = 0; k < e->n_args && st == ST_OK; k++)
        st = sort_keys_encode(&keys[k], ctx->budget, &args[k].column, &spec, 1, args[k].column->length, err);
    for (int64_t i = 0; i < rows && st == ST_OK; i++) {
        const uint8_t *best = NULL;
        size_t best_size = 0, size;
        for (uint32_t k = 0; k < e->n_args; k++) {
            const uint8_t *key = sort_keys_at(&keys[k], args[k].scalar ? 0 : i, &size);
            int order = best ? sort_key_compare(key, size, best, best_size) : 0;
            if (value_is_null(&args[k], i) || (best && (greatest ? order <= 0 : order >= 0)))
                continue;
            choice[i] = (uint8_t)k;
            best = key;
            best_size = size;
        }
    }
    for (uint32_t k = 0; keys && k < e->n_args; k++)
        sort_keys_release(&keys[k], ctx->budget);
    free(keys);
    return st;
}

/* Keeps, by row, which argument is best so far, and compares it with the next. */
static int kernel_extreme(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                          struct error *err)
{
    const char *better = e->function->op ? "gt" : "lt";
    struct buffer *choice;
    TRY(new_choice(ctx, rows, &choice, err));
    bool nested = type_is_nested(e->type);
    int st = nested ? choose_nested(e, ctx, args, rows, choice->data, err) : ST_OK;
    for (uint32_t k = 0; k < e->n_args && st == ST_OK && !nested; k++) {
        struct column *best = NULL, *wins = NULL;
        if (k)
            st = kernel_choose(ctx, e->type, args, k, choice->data, rows, &best, err);
        if (st == ST_OK && k)
            st = kernel_compared(better, ctx, &args[k], &(struct value){best, false}, rows, &wins, err);
        for (int64_t i = 0; st == ST_OK && i < rows; i++)
            if (!value_is_null(&args[k], i) && (choice->data[i] == CHOICE_NULL || (!column_is_null(wins, i) && column_bool(wins, i))))
                choice->data[i] = (uint8_t)k;
        column_unref(best);
        column_unref(wins);
    }
    if (st == ST_OK)
        st = kernel_choose(ctx, e->type, args, e->n_args, choice->data, rows, ret, err);
    buffer_unref(choice);
    return st;
}

/* ---- clamp ---- */

enum { CLAMP_BOTH, CLAMP_MIN, CLAMP_MAX };

static int bind_clamp(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type;
    bool column = !expr_is_scalar(e->args[0]);
    for (uint32_t i = 0; i < e->n_args; i++) {
        const struct column *bound = i ? expr_literal(e->args[i]) : NULL;
        if (!type_equal(e->args[i]->type, t, false))
            return error_set(err, ST_EXECUTE_QUERY, "argument data types mismatch in %s", e->function->name);
        if (column && bound && column_is_null(bound, 0))
            return error_set(err, ST_EXECUTE_QUERY, "a bound of %s is null", e->function->name);
    }
    if (!type_is_integer(t) && t->id != TYPE_FLOAT32 && t->id != TYPE_FLOAT64)
        return error_set(err, ST_EXECUTE_QUERY, "unsupported numeric data type of %s", e->function->name);
    e->type = type_ref(e->args[0]->type);
    e->nullable = true;
    return ST_OK;
}

/* Order of two numbers of one type; 2 when a NaN is among them. */
static int number_order(const struct dtype *t, const uint8_t *a, const uint8_t *b)
{
#define ORDER(ctype)                                                                                                                                 \
    do {                                                                                                                                             \
        ctype x, y;                                                                                                                                  \
        memcpy(&x, a, sizeof x);                                                                                                                     \
        memcpy(&y, b, sizeof y);                                                                                                                     \
        return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;                                                                                              \
    } while (0)
    switch ((enum type_id)t->id) {
    case TYPE_INT8:
        ORDER(int8_t);
    case TYPE_INT16:
        ORDER(int16_t);
    case TYPE_INT32:
        ORDER(int32_t);
    case TYPE_INT64:
        ORDER(int64_t);
    case TYPE_UINT8:
        ORDER(uint8_t);
    case TYPE_UINT16:
        ORDER(uint16_t);
    case TYPE_UINT32:
        ORDER(uint32_t);
    case TYPE_UINT64:
        ORDER(uint64_t);
    case TYPE_FLOAT32:
        ORDER(float);
    default:
        ORDER(double);
    }
#undef ORDER
}

static int clamp_error(const struct call *c, int64_t row, struct error *err)
{
    char text[2][64];
    for (uint32_t i = 0; i < 2; i++) {
        size_t n = text_of_value(c->args[1 + i].column, c->args[1 + i].scalar ? 0 : row, text[i], sizeof text[i]);
        if (n > 2 && strcmp(text[i] + n - 2, ".0") == 0)
            text[i][n - 2] = 0;
    }
    return error_set(err, ST_EXECUTE_QUERY, "min '%s' > max '%s'", text[0], text[1]);
}

static int clamp_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    int op = c->e->function->op;
    size_t width = (size_t)type_width(c->e->type);
    const uint8_t *at[3];
    (void)ret_null;
    for (uint32_t i = 0; i < c->e->n_args; i++) {
        const struct column *column = c->args[i].column;
        at[i] = column->buffers[0]->data + (size_t)(column->offset + (c->args[i].scalar ? 0 : row)) * width;
    }
    const uint8_t *low = op == CLAMP_MAX ? NULL : at[1], *high = op == CLAMP_BOTH ? at[2] : op == CLAMP_MAX ? at[1] : NULL, *best = at[0];
    if (low && high && number_order(c->e->type, low, high) == 1)
        return clamp_error(c, row, err);
    if (low && number_order(c->e->type, best, low) == -1)
        best = low;
    else if (high && number_order(c->e->type, best, high) == 1)
        best = high;
    memcpy(ret_value, best, width);
    return ST_OK;
}

/* rate() gives one row less than it gets, which no plan can use: the peer fails it as well. */
static int kernel_rate(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    (void)ctx;
    (void)args;
    (void)ret;
    return error_set(err, ST_EXECUTE_QUERY, "%s returned a different number of rows than expected: %lld instead of %lld", e->function->name,
                     (long long)rows - 1, (long long)rows);
}

const struct function functions_choice[] = {
    {"nvl2", 3, 3, bind_nvl2, kernel_pick, PICK_NOT_NULL, false},
    {"if", 3, 3, bind_if, kernel_pick, PICK_TRUTHY, false},
    {"isnull", 1, 1, bind_signature, kernel_fixed_rows, 0, false, "A:O", .fixed_row = isnull_row},
    {"greatest", 1, 250, bind_extreme, kernel_extreme, 1, false},
    {"least", 1, 250, bind_extreme, kernel_extreme, 0, false},
    {"clamp", 3, 3, bind_clamp, kernel_fixed_rows, CLAMP_BOTH, true, .fixed_row = clamp_row},
    {"clamp_min", 2, 2, bind_clamp, kernel_fixed_rows, CLAMP_MIN, true, .fixed_row = clamp_row},
    {"clamp_max", 2, 2, bind_clamp, kernel_fixed_rows, CLAMP_MAX, true, .fixed_row = clamp_row},
    {"rate", 2, 2, bind_signature, kernel_rate, 0, false, "A:D"},
    {0},
};
