/* Expressions: binding against a schema, evaluation, and what the planner asks of them. */
#include "exec/expr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/expr_internal.h"
#include "exec/kernel_list.h"

enum { ARGS_ON_STACK = 16, BIND_DEPTH_MAX = 250 };

static int out_of_memory(struct error *err)
{
    return err ? (int)err->status : ST_NO_MEMORY;
}

/* ---- binding ---- */

int expr_type_error(const struct expr *e, struct error *err)
{
    char text[300] = "", one[100];
    size_t n = 0;
    for (uint32_t i = 0; i < e->n_args && n < sizeof text - 1; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? ", " : "", type_print(e->args[i]->type, one, sizeof one));
    return error_set(err, ST_PLAN_QUERY, "no function matches %s(%s)", e->function->name, text);
}

static int bind_at(const struct plan_expr *p, const struct schema *input, const char *timezone, struct arena *arena, unsigned depth, struct expr **ret,
                   struct error *err);

static int bind_call(struct expr *e, const struct function *f, const struct plan_expr *p, const struct schema *input, unsigned depth, struct error *err)
{
    e->kind = EXPR_CALL;
    e->function = f;
    if (p->n_args < f->min_args || p->n_args > f->max_args)
        return error_set(err, ST_PLAN_QUERY, "%s takes %u to %u arguments, the plan gives %u", f->name, f->min_args, f->max_args, p->n_args);
    e->args = arena_array(e->arena, p->n_args + 1, sizeof *e->args, err);
    if (!e->args)
        return out_of_memory(err);
    for (; e->n_args < p->n_args; e->n_args++) {
        TRY(bind_at(p->args[e->n_args], input, e->timezone, e->arena, depth + 1, &e->args[e->n_args], err));
        e->nullable = e->nullable || e->args[e->n_args]->nullable;
    }
    for (uint32_t i = 0; i < e->n_args; i++)
        if (e->args[i]->type->id == TYPE_RANGE && !function_takes_ranges(f))
            return error_set(err, ST_PLAN_QUERY, "%s cannot take a range vector", f->name);
    return f->bind(e, err);
}

static int bind_into(struct expr *e, const struct plan_expr *p, const struct schema *input, unsigned depth, struct error *err)
{
    const struct function *f;
    switch (p->kind) {
    case PLAN_LITERAL:
        e->kind = EXPR_LITERAL;
        e->literal = column_ref(p->literal);
        e->type = type_ref(p->literal->type);
        e->nullable = column_is_null(p->literal, 0);
        return ST_OK;
    case PLAN_FIELD:
        if (p->field >= input->n_fields)
            return error_set(err, ST_UNEXPECTED, "the plan refers to column %u of %u", p->field, input->n_fields);
        e->kind = EXPR_COLUMN;
        e->column = p->field;
        e->field = field_ref(input->fields[p->field]);
        e->type = type_ref((struct dtype *)type_values(input->fields[p->field]->type));
        e->nullable = input->fields[p->field]->nullable;
        return ST_OK;
    case PLAN_CALL:
        f = function_find(p->name);
        if (!f)
            return error_set(err, ST_UNEXPECTED, "this server does not have the function %s", p->name);
        return bind_call(e, f, p, input, depth, err);
    case PLAN_IF:
        e->flag = p->has_base;
        e->flag2 = p->has_else;
        return bind_call(e, &function_case, p, input, depth, err);
    case PLAN_IN:
        return bind_call(e, &function_in, p, input, depth, err);
    case PLAN_CAST:
        e->flag = p->null_on_failure;
        e->type = type_ref((struct dtype *)type_values(p->type)); /* dictionaries are how columns travel, no type of values */
        return bind_call(e, &function_cast, p, input, depth, err);
    default:
        return error_set(err, ST_UNSUPPORTED, "a %s cannot be evaluated by a region server", p->name);
    }
}

static int bind_at(const struct plan_expr *p, const struct schema *input, const char *timezone, struct arena *arena, unsigned depth, struct expr **ret,
                   struct error *err)
{
    struct expr *e = ARENA_NEW(arena, struct expr, err);
    if (!e)
        return out_of_memory(err);
    if (depth > BIND_DEPTH_MAX)
        return error_set(err, ST_UNEXPECTED, "an expression is nested deeper than %d", BIND_DEPTH_MAX);
    e->arena = arena;
    e->timezone = timezone;
    int st = bind_into(e, p, input, depth, err);
    if (st != ST_OK) {
        expr_release(e);
        return st;
    }
    *ret = e;
    return ST_OK;
}

int expr_bind(const struct plan_expr *plan, const struct schema *input, const char *timezone, struct arena *arena, struct expr **ret_expr,
              struct error *err)
{
    return bind_at(plan, input, timezone, arena, 0, ret_expr, err);
}

void expr_release(struct expr *e)
{
    if (!e)
        return;
    for (uint32_t i = 0; i < e->n_args; i++)
        expr_release(e->args[i]);
    e->n_args = 0;
    type_unref(e->type);
    field_unref(e->field);
    column_unref(e->literal);
    e->type = NULL;
    e->field = NULL;
    e->literal = NULL;
}

int expr_bind_cast(struct expr *e, uint32_t i, struct dtype *type, struct error *err)
{
    struct expr *inner = e->args[i];
    if (type_equal(inner->type, type, false))
        return ST_OK;
    struct expr *cast = ARENA_NEW(e->arena, struct expr, err);
    struct expr **args = ARENA_ARRAY(e->arena, 1, struct expr *, err);
    if (!cast || !args)
        return out_of_memory(err);
    if (!cast_supported(inner->type, type))
        return expr_type_error(e, err);
    *args = inner;
    *cast = (struct expr){.kind = EXPR_CALL, .function = &function_cast, .type = type_ref(type), .nullable = inner->nullable, .args = args, .n_args = 1,
                          .arena = e->arena};
    e->args[i] = cast;
    return ST_OK;
}

int expr_bind_strings(struct expr *e, uint32_t from, uint32_t to, struct error *err)
{
    for (uint32_t i = from; i < to && i < e->n_args; i++) {
        if (e->args[i]->type->id == TYPE_NULL)
            TRY(expr_bind_cast(e, i, type_of(TYPE_UTF8), err));
        if (!type_is_string(e->args[i]->type))
            return expr_type_error(e, err);
    }
    return ST_OK;
}

bool expr_is_scalar(const struct expr *e)
{
    if (e->kind == EXPR_COLUMN || (e->kind == EXPR_CALL && e->function->per_row))
        return false;
    for (uint32_t i = 0; i < e->n_args; i++)
        if (!expr_is_scalar(e->args[i]))
            return false;
    return true;
}

/* ---- common types ---- */

static int integer_bits(const struct dtype *t)
{
    static const int bits[] = {8, 16, 32, 64};
    return bits[(t->id - TYPE_INT8) & 3];
}

static struct dtype *common_integer(const struct dtype *a, const struct dtype *b)
{
    bool sa = type_is_signed(a), sb = type_is_signed(b);
    int wa = integer_bits(a), wb = integer_bits(b);
    if (sa == sb)
        return type_ref(type_of((enum type_id)(wa >= wb ? a->id : b->id)));
    int is = sa ? wa : wb, un = sa ? wb : wa; /* the signed one and the unsigned one */
    int need = un * 2 > is ? un * 2 : is;
    if (need > 64)
        return type_decimal(TYPE_DECIMAL128, 20, 0);
    return type_ref(type_of(need == 16 ? TYPE_INT16 : need == 32 ? TYPE_INT32 : TYPE_INT64));
}

static struct dtype *decimal_for(const struct dtype *t)
{
    static const uint8_t digits[] = {3, 5, 10, 20};
    return t->id == TYPE_DECIMAL128 ? type_ref((struct dtype *)t) : type_decimal(TYPE_DECIMAL128, digits[(t->id - TYPE_INT8) & 3], 0);
}

/* A decimal that holds both (comparison). */
static struct dtype *common_decimal(const struct dtype *a, const struct dtype *b)
{
    struct dtype *x = decimal_for(a), *y = decimal_for(b), *both = NULL;
    if (x && y) {
        int scale = x->scale > y->scale ? x->scale : y->scale;
        int whole = x->precision - x->scale > y->precision - y->scale ? x->precision - x->scale : y->precision - y->scale;
        both = type_decimal(TYPE_DECIMAL128, (uint8_t)(whole + scale > 38 ? 38 : whole + scale), (int8_t)scale);
    }
    type_unref(x);
    type_unref(y);
    return both;
}

static bool is_number(const struct dtype *t)
{
    return type_is_integer(t) || type_is_float(t) || t->id == TYPE_DECIMAL128;
}

static struct dtype *common_type(const struct dtype *a, const struct dtype *b);

/* Of lists and of structs: item by item, members by position. */
static struct dtype *common_nested(const struct dtype *a, const struct dtype *b)
{
    struct dtype *both = NULL;
    uint32_t made = 0, n = a->n_children;
    bool lists = type_is_list(a) && type_is_list(b);
    if (!lists && (a->id != TYPE_STRUCT || b->id != TYPE_STRUCT || n != b->n_children))
        return NULL;
    struct field **members = calloc(n + 1, sizeof *members);
    for (; members && made < n; made++) {
        const struct dtype *x = a->children[made]->type, *y = b->children[made]->type;
        struct dtype *t = type_equal(x, y, false) ? type_ref((struct dtype *)x) : common_type(x, y);
        members[made] = t ? field_new(a->children[made]->name, t, true) : NULL;
        type_unref(t);
        if (!members[made])
            break;
    }
    if (made == n && members)
        both = lists ? type_list(TYPE_LIST, members[0]) : type_struct(members, n);
    for (uint32_t i = 0; i < made; i++)
        field_unref(members[i]);
    free(members);
    return both;
}

/* The common type of two different types, one reference; NULL = none. */
static struct dtype *common_type(const struct dtype *a, const struct dtype *b)
{
    if (a->id == TYPE_NULL)
        return type_ref((struct dtype *)b);
    if (b->id == TYPE_NULL)
        return type_ref((struct dtype *)a);
    if (type_is_nested(a) && type_is_nested(b))
        return common_nested(a, b);
    if (is_number(a) && is_number(b)) {
        if (type_is_float(a) || type_is_float(b)) {
            bool wide = a->id == TYPE_FLOAT64 || b->id == TYPE_FLOAT64 || a->id == TYPE_DECIMAL128 || b->id == TYPE_DECIMAL128;
            return type_ref(type_of(wide ? TYPE_FLOAT64 : TYPE_FLOAT32));
        }
        return a->id == TYPE_DECIMAL128 || b->id == TYPE_DECIMAL128 ? common_decimal(a, b) : common_integer(a, b);
    }
    if (type_is_string(a) && type_is_string(b))
        return type_ref(type_of(a->id == TYPE_UTF8_VIEW || b->id == TYPE_UTF8_VIEW ? TYPE_UTF8_VIEW : TYPE_LARGE_UTF8));
    if (type_is_binary(a) && type_is_binary(b))
        return type_ref(type_of(a->id == TYPE_BINARY_VIEW || b->id == TYPE_BINARY_VIEW ? TYPE_BINARY_VIEW : TYPE_LARGE_BINARY));
    if (a->id == TYPE_TIMESTAMP && b->id == TYPE_TIMESTAMP) {
        const struct dtype *zoned = a->timezone ? a : b;
        uint8_t unit = a->unit > b->unit ? a->unit : b->unit;
        return zoned->timezone ? type_timestamp_zoned((enum time_unit)unit, zoned->timezone) : type_ref(type_temporal(TYPE_TIMESTAMP, (enum time_unit)unit));
    }
    bool text_a = type_is_string(a), text_b = type_is_string(b);
    if (text_a && (is_number(b) || b->id == TYPE_BOOL))
        return type_ref((struct dtype *)a);
    if (text_b && (is_number(a) || a->id == TYPE_BOOL))
        return type_ref((struct dtype *)b);
    if (text_a && cast_supported(a, b))
        return type_ref((struct dtype *)b);
    if (text_b && cast_supported(b, a))
        return type_ref((struct dtype *)a);
    if (a->id == TYPE_DATE32 && b->id == TYPE_TIMESTAMP)
        return type_ref((struct dtype *)b);
    if (b->id == TYPE_DATE32 && a->id == TYPE_TIMESTAMP)
        return type_ref((struct dtype *)a);
    return NULL;
}

int expr_bind_common(struct expr *e, uint32_t a, uint32_t b, bool arithmetic, struct error *err)
{
    struct dtype *x = e->args[a]->type, *y = e->args[b]->type;
    if (type_equal(x, y, false))
        return ST_OK;
    if (arithmetic && (x->id == TYPE_DECIMAL128 || y->id == TYPE_DECIMAL128) && !type_is_float(x) && !type_is_float(y) && is_number(x) && is_number(y)) {
        struct dtype *dx = decimal_for(x), *dy = decimal_for(y);
        int st = dx && dy ? expr_bind_cast(e, a, dx, err) : error_no_memory(err, 64);
        if (st == ST_OK)
            st = expr_bind_cast(e, b, dy, err);
        type_unref(dx);
        type_unref(dy);
        return st;
    }
    struct dtype *both = common_type(x, y);
    if (!both)
        return expr_type_error(e, err);
    int st = expr_bind_cast(e, a, both, err);
    if (st == ST_OK)
        st = expr_bind_cast(e, b, both, err);
    type_unref(both);
    return st;
}

/* ---- questions ---- */

struct dtype *expr_type(const struct expr *e)
{
    return e->type;
}

bool expr_nullable(const struct expr *e)
{
    return e->nullable;
}

int expr_column(const struct expr *e)
{
    return e->kind == EXPR_COLUMN ? (int)e->column : -1;
}

struct column *expr_literal(const struct expr *e)
{
    return e->kind == EXPR_LITERAL ? e->literal : NULL;
}

void expr_columns_used(const struct expr *e, bool *used)
{
    if (e->kind == EXPR_COLUMN)
        used[e->column] = true;
    for (uint32_t i = 0; i < e->n_args; i++)
        expr_columns_used(e->args[i], used);
}

/* ---- evaluation ---- */

static int eval(const struct expr *e, struct expr_context *ctx, const struct batch *batch, struct value *ret, struct error *err);

/* The only dictionary among the arguments when all others are scalars; -1 when the function has to see every row. */
static int lone_dictionary(const struct expr *e, const struct value *args, int64_t rows)
{
    int found = -1;
    if (!e->function->strict || (e->function == &function_cast && type_is_list(e->type))) /* such a cast makes [NULL] of NULL */
        return -1;
    for (uint32_t i = 0; i < e->n_args; i++) {
        if (args[i].scalar)
            continue;
        if (args[i].column->type->id != TYPE_DICTIONARY || found >= 0)
            return -1;
        found = (int)i;
    }
    return found >= 0 && args[found].column->dictionary->length <= rows ? found : -1;
}

/* Runs the kernel on the dictionary's values and hands each row its value's result. */
static int call_on_dictionary(const struct expr *e, struct expr_context *ctx, struct value *args, int which, struct column **ret, struct error *err)
{
    struct column *coded = args[which].column, *results;
    struct buffer *rows = NULL;
    args[which].column = coded->dictionary;
    int st = e->function->kernel(e, ctx, args, coded->dictionary->length, &results, err);
    args[which].column = coded;
    TRY(st);
    const uint32_t *codes = COLUMN_VALUES(coded, uint32_t);
    if (column_null_count(coded)) {
        st = buffer_new_uninit(ctx->budget, (size_t)coded->length * 4, &rows, err);
        for (int64_t i = 0; st == ST_OK && i < coded->length; i++)
            ((uint32_t *)(void *)rows->data)[i] = column_is_null(coded, i) ? UINT32_MAX : codes[i];
        codes = rows ? (const uint32_t *)(const void *)rows->data : NULL;
    }
    if (st == ST_OK)
        st = column_take(ctx->budget, results, codes, coded->length, ret, err);
    buffer_unref(rows);
    column_unref(results);
    return st;
}

static int decode_arguments(struct expr_context *ctx, struct value *args, uint32_t n, struct error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        struct column *plain;
        if (args[i].column->type->id != TYPE_DICTIONARY)
            continue;
        TRY(column_decode_dictionary(ctx->budget, args[i].column, &plain, err));
        column_unref(args[i].column);
        args[i].column = plain;
    }
    return ST_OK;
}

static int run_kernel(const struct expr *e, struct expr_context *ctx, struct value *args, uint32_t n, int64_t rows, struct column **ret, struct error *err)
{
    int dictionary = lone_dictionary(e, args, rows);
    if (dictionary >= 0) {
        struct error inner = {0};
        int st = call_on_dictionary(e, ctx, args, dictionary, ret, &inner);
        if (st != ST_EXECUTE_QUERY) {
            if (st != ST_OK && err)
                *err = inner;
            return st;
        }
        /* The value that failed may belong to no row. */
    }
    TRY(decode_arguments(ctx, args, n, err));
    return e->function->kernel(e, ctx, args, rows, ret, err);
}

static int eval_arguments(const struct expr *e, struct expr_context *ctx, const struct batch *batch, struct value *ret, struct error *err)
{
    struct value on_stack[ARGS_ON_STACK], *args = on_stack;
    uint32_t n = 0;
    bool scalar = !e->function->per_row;
    if (e->n_args > ARGS_ON_STACK && !(args = malloc(e->n_args * sizeof *args)))
        return error_no_memory(err, e->n_args * sizeof *args);
    int st = ST_OK;
    for (; st == ST_OK && n < e->n_args; n += st == ST_OK) {
        st = eval(e->args[n], ctx, batch, &args[n], err);
        scalar = scalar && st == ST_OK && args[n].scalar;
    }
    int64_t rows = scalar ? 1 : batch->n_rows;
    if (st == ST_OK) {
        st = run_kernel(e, ctx, args, n, rows, &ret->column, err);
        ret->scalar = scalar;
    }
    for (uint32_t i = 0; i < n; i++)
        column_unref(args[i].column);
    if (args != on_stack)
        free(args);
    return st;
}

static int eval_call(const struct expr *e, struct expr_context *ctx, const struct batch *batch, struct value *ret, struct error *err)
{
    if (!expr_can_be_lazy(e))
        return eval_arguments(e, ctx, batch, ret, err);
    if (!ctx->careful) {
        struct error inner = {0};
        int st = eval_arguments(e, ctx, batch, ret, &inner);
        if (st != ST_EXECUTE_QUERY || expr_is_scalar(e)) {
            if (st != ST_OK && err)
                *err = inner;
            return st;
        }
        ctx->careful = true;
    } else if (expr_is_scalar(e)) {
        return eval_arguments(e, ctx, batch, ret, err);
    }
    ret->scalar = false;
    return expr_eval_lazy(e, ctx, batch, &ret->column, err);
}

static int eval(const struct expr *e, struct expr_context *ctx, const struct batch *batch, struct value *ret, struct error *err)
{
    switch (e->kind) {
    case EXPR_COLUMN:
        *ret = (struct value){column_ref(batch->columns[e->column]), false};
        return ST_OK;
    case EXPR_LITERAL:
        *ret = (struct value){column_ref(e->literal), true};
        return ST_OK;
    default:
        return eval_call(e, ctx, batch, ret, err);
    }
}

int expr_eval(const struct expr *e, struct expr_context *ctx, const struct batch *batch, struct column **ret_column, struct error *err)
{
    struct value v;
    struct buffer *zeros;
    TRY(eval(e, ctx, batch, &v, err));
    if (!v.scalar) {
        *ret_column = v.column;
        return ST_OK;
    }
    int st = buffer_new(ctx->budget, (size_t)batch->n_rows * 4, &zeros, err);
    if (st == ST_OK) {
        st = column_take(ctx->budget, v.column, (const uint32_t *)(const void *)zeros->data, batch->n_rows, ret_column, err);
        buffer_unref(zeros);
    }
    column_unref(v.column);
    return st;
}

int expr_filter(const struct expr *e, struct expr_context *ctx, const struct batch *batch, struct buffer **ret_rows, int64_t *ret_n, struct error *err)
{
    struct value v;
    TRY(eval(e, ctx, batch, &v, err));
    *ret_rows = NULL;
    if (v.scalar) {
        *ret_n = v.column->type->id == TYPE_BOOL && !column_is_null(v.column, 0) && column_bool(v.column, 0) ? batch->n_rows : 0;
        column_unref(v.column);
        return ST_OK;
    }
    const struct column *c = v.column;
    struct buffer *rows = NULL;
    int64_t n = 0;
    int st = c->type->id == TYPE_BOOL ? buffer_new_uninit(ctx->budget, (size_t)c->length * 4, &rows, err)
                                      : error_set(err, ST_PLAN_QUERY, "a filter is not a Boolean expression");
    if (st == ST_OK) {
        uint32_t *out = (uint32_t *)(void *)rows->data;
        bool nulls = column_null_count(c) > 0;
        for (int64_t i = 0; i < c->length; i++) {
            out[n] = (uint32_t)i;
            n += column_bool(c, i) && !(nulls && column_is_null(c, i));
        }
        *ret_rows = rows;
        *ret_n = n;
    }
    column_unref(v.column);
    return st;
}

/* ---- shared by kernels ---- */

int kernel_validity(struct budget *budget, const struct value *args, uint32_t n, int64_t rows, struct buffer **ret_validity, int64_t *ret_nulls,
                    struct error *err)
{
    bool all_null = false, any = false;
    for (uint32_t i = 0; i < n; i++) {
        all_null = all_null || (args[i].scalar && column_is_null(args[i].column, 0)) || args[i].column->type->id == TYPE_NULL;
        any = any || column_null_count(args[i].column) > 0;
    }
    *ret_validity = NULL;
    *ret_nulls = 0;
    if (!any && !all_null)
        return ST_OK;
    TRY(buffer_new(budget, bits_bytes(rows), ret_validity, err));
    uint8_t *bits = (*ret_validity)->data;
    if (!all_null) {
        bits_fill(bits, 0, rows, true);
        for (uint32_t k = 0; k < n; k++) {
            const struct column *c = args[k].column;
            if (args[k].scalar || !c->validity)
                continue;
            if ((c->offset & 7) == 0) {
                const uint8_t *from = c->validity->data + (c->offset >> 3);
                for (size_t b = 0; b < bits_bytes(rows); b++)
                    bits[b] &= from[b];
            } else {
                for (int64_t i = 0; i < rows; i++)
                    if (!bit_get(c->validity->data, c->offset + i))
                        bit_clear(bits, i);
            }
        }
    }
    *ret_nulls = rows - bits_count(bits, 0, rows);
    return ST_OK;
}

int kernel_bools(struct budget *budget, const uint8_t *bytes, int64_t rows, struct buffer *validity, int64_t nulls, struct column **ret, struct error *err)
{
    struct buffer *bits;
    int st = buffer_new(budget, bits_bytes(rows), &bits, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    int64_t i = 0;
    for (; i + 8 <= rows; i += 8) /* the lowest bit of each byte, gathered by a multiplication */
        bits->data[i >> 3] = (uint8_t)((load_le64(bytes + i) & 0x0101010101010101u) * 0x0102040810204080u >> 56);
    for (; i < rows; i++)
        if (bytes[i])
            bit_set(bits->data, i);
    return column_new(type_of(TYPE_BOOL), rows, nulls, validity, bits, NULL, ret, err);
}
