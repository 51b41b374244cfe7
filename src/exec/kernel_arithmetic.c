/* + - * / % and unary minus and abs (functions.md 4.4). Integers wrap; division by zero fails the query; floats follow IEEE. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/expr_internal.h"
#include "exec/temporal.h"

enum { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD };

/* ---- decimals ---- */

/* v * 10^n; false when that is over 128 bits, n below 0 included. */
static bool scaled(__int128 v, int n, __int128 *out)
{
    if (n < 0 || n > 76)
        return false;
    for (; n > 0 && v; n--)
        if (__builtin_mul_overflow(v, 10, &v))
            return false;
    *out = v;
    return true;
}

static struct dtype *decimal_result(int op, const struct dtype *a, const struct dtype *b)
{
    int p1 = a->precision, s1 = a->scale, p2 = b->precision, s2 = b->scale, scale, precision;
    int whole = p1 - s1 > p2 - s2 ? p1 - s1 : p2 - s2, least = p1 - s1 < p2 - s2 ? p1 - s1 : p2 - s2;
    scale = s1 > s2 ? s1 : s2;
    switch (op) {
    case OP_ADD: case OP_SUB: precision = whole + scale + 1; break;
    case OP_MUL: scale = s1 + s2; precision = p1 + p2 + 1; break;
    case OP_DIV: scale = s1 + 4 > 38 ? 38 : s1 + 4; precision = p1 - s1 + s2 + scale; break;
    default: precision = least + scale;
    }
    if (scale > 38)
        return NULL;
    return type_decimal(TYPE_DECIMAL128, (uint8_t)(precision > 38 ? 38 : precision < 1 ? 1 : precision), (int8_t)scale);
}

/* One decimal operation; false on overflow. *zero: division by zero. */
static bool decimal_op(int op, const struct dtype *ta, const struct dtype *tb, const struct dtype *tr, __int128 a, __int128 b, __int128 *out, bool *zero)
{
    __int128 x = a, y = b;
    switch (op) {
    case OP_ADD: case OP_SUB: case OP_MOD:
        if (!scaled(a, tr->scale - ta->scale, &x) || !scaled(b, tr->scale - tb->scale, &y))
            return false;
        if (op == OP_ADD)
            return !__builtin_add_overflow(x, y, out);
        if (op == OP_SUB)
            return !__builtin_sub_overflow(x, y, out);
        *zero = y == 0;
        *out = *zero || y == -1 ? 0 : x % y;
        return true;
    case OP_MUL:
        return !__builtin_mul_overflow(a, b, out);
    default: {
        int shift = tr->scale - ta->scale + tb->scale;
        *zero = b == 0;
        if (*zero)
            return true;
        if (!scaled(a, shift, &x) || (b == -1 && __builtin_sub_overflow((__int128)0, x, out)))
            return false;
        *out = b == -1 ? -x : x / b;
        return true;
    }
    }
}

/* ---- binding ---- */

static bool is_time(const struct dtype *t)
{
    return t->id == TYPE_TIMESTAMP || t->id == TYPE_DATE32 || t->id == TYPE_DATE64 || t->id == TYPE_DURATION || type_is_interval(t);
}

static int bind_arithmetic(struct expr *e, struct error *err)
{
    if (is_time(e->args[0]->type) || is_time(e->args[1]->type))
        return temporal_bind(e, e->function->op == OP_ADD, err);
    TRY(expr_bind_common(e, 0, 1, true, err));
    const struct dtype *a = e->args[0]->type, *b = e->args[1]->type;
    if (a->id == TYPE_DECIMAL128 && b->id == TYPE_DECIMAL128) {
        e->type = decimal_result(e->function->op, a, b);
        return e->type ? ST_OK : error_set(err, ST_EXECUTE_QUERY, "the scale of a decimal product is over 38");
    }
    if (!type_is_integer(a) && a->id != TYPE_FLOAT32 && a->id != TYPE_FLOAT64)
        return expr_type_error(e, err);
    e->type = type_ref((struct dtype *)a);
    return ST_OK;
}

/* ---- kernels ---- */

#define EACH(EXPR)                                                   \
    for (int64_t i = 0; i < n; i++) {                                \
        const __auto_type x = a[i * sa];                             \
        const __auto_type y = b[i * sb];                             \
        out[i] = EXPR;                                               \
    }

/* Unsigned arithmetic wraps; the cast back is what two's complement means. */
#define INTEGER_KERNEL(name, ctype, utype, MIN)                                                                                           \
    static const char *name(int op, const ctype *a, int64_t sa, const ctype *b, int64_t sb, int64_t n, const uint8_t *valid, ctype *out)   \
    {                                                                                                                                     \
        switch (op) {                                                                                                                     \
        case OP_ADD: EACH((ctype)((utype)x + (utype)y)) return NULL;                                                                      \
        case OP_SUB: EACH((ctype)((utype)x - (utype)y)) return NULL;                                                                      \
        case OP_MUL: EACH((ctype)((uint64_t)x * (uint64_t)y)) return NULL;                                                                \
        default:                                                                                                                          \
            for (int64_t i = 0; i < n; i++) {                                                                                             \
                ctype x = a[i * sa], y = b[i * sb];                                                                                       \
                out[i] = 0;                                                                                                               \
                if (valid && !bit_get(valid, i))                                                                                          \
                    continue;                                                                                                             \
                if (y == 0)                                                                                                               \
                    return "Divide by zero error";                                                                                        \
                if (MIN && x == (ctype)(MIN) && y == (ctype)-1) {                                                                         \
                    if (op == OP_DIV)                                                                                                     \
                        return "Overflow happened on a division";                                                                         \
                } else {                                                                                                                  \
                    out[i] = op == OP_DIV ? (ctype)(x / y) : (ctype)(x % y);                                                              \
                }                                                                                                                         \
            }                                                                                                                             \
            return NULL;                                                                                                                  \
        }                                                                                                                                 \
    }

INTEGER_KERNEL(ints8, int8_t, uint8_t, INT8_MIN)
INTEGER_KERNEL(ints16, int16_t, uint16_t, INT16_MIN)
INTEGER_KERNEL(ints32, int32_t, uint32_t, INT32_MIN)
INTEGER_KERNEL(ints64, int64_t, uint64_t, INT64_MIN)
INTEGER_KERNEL(uints8, uint8_t, uint8_t, 0)
INTEGER_KERNEL(uints16, uint16_t, uint16_t, 0)
INTEGER_KERNEL(uints32, uint32_t, uint32_t, 0)
INTEGER_KERNEL(uints64, uint64_t, uint64_t, 0)

#define FLOAT_KERNEL(name, ctype, MOD)                                                                      \
    static void name(int op, const ctype *a, int64_t sa, const ctype *b, int64_t sb, int64_t n, ctype *out)  \
    {                                                                                                       \
        switch (op) {                                                                                       \
        case OP_ADD: EACH(x + y) break;                                                                     \
        case OP_SUB: EACH(x - y) break;                                                                     \
        case OP_MUL: EACH(x * y) break;                                                                     \
        case OP_DIV: EACH(x / y) break;                                                                     \
        default: EACH(MOD(x, y)) break;                                                                     \
        }                                                                                                   \
    }

FLOAT_KERNEL(floats32, float, fmodf)
FLOAT_KERNEL(floats64, double, fmod)

static const char *run_decimal(int op, const struct expr *e, const struct value *args, int64_t rows, const uint8_t *valid, __int128 *out)
{
    const __int128 *a = COLUMN_VALUES(args[0].column, __int128), *b = COLUMN_VALUES(args[1].column, __int128);
    for (int64_t i = 0; i < rows; i++) {
        bool zero = false;
        out[i] = 0;
        if (valid && !bit_get(valid, i))
            continue;
        if (!decimal_op(op, args[0].column->type, args[1].column->type, e->type, a[args[0].scalar ? 0 : i], b[args[1].scalar ? 0 : i], &out[i], &zero))
            return "a decimal result overflows 128 bits";
        if (zero)
            return "Divide by zero error";
    }
    return NULL;
}

#define RUN(kernel, ctype)                                                                                                              \
    kernel(op, COLUMN_VALUES(args[0].column, ctype), !args[0].scalar, COLUMN_VALUES(args[1].column, ctype), !args[1].scalar, rows, valid, \
           (ctype *)(void *)out)
#define RUN_FLOAT(kernel, ctype)                                                                                                 \
    kernel(op, COLUMN_VALUES(args[0].column, ctype), !args[0].scalar, COLUMN_VALUES(args[1].column, ctype), !args[1].scalar, rows, \
           (ctype *)(void *)out)

static const char *run(const struct expr *e, const struct value *args, int64_t rows, const uint8_t *valid, uint8_t *out)
{
    int op = e->function->op;
    switch ((enum type_id)e->type->id) {
    case TYPE_INT8: return RUN(ints8, int8_t);
    case TYPE_INT16: return RUN(ints16, int16_t);
    case TYPE_INT32: return RUN(ints32, int32_t);
    case TYPE_INT64: return RUN(ints64, int64_t);
    case TYPE_UINT8: return RUN(uints8, uint8_t);
    case TYPE_UINT16: return RUN(uints16, uint16_t);
    case TYPE_UINT32: return RUN(uints32, uint32_t);
    case TYPE_UINT64: return RUN(uints64, uint64_t);
    case TYPE_FLOAT32: RUN_FLOAT(floats32, float); return NULL;
    case TYPE_FLOAT64: RUN_FLOAT(floats64, double); return NULL;
    default: return run_decimal(op, e, args, rows, valid, (__int128 *)(void *)out);
    }
}

static int kernel_arithmetic(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *validity, *values;
    int64_t nulls;
    if (is_time(args[0].column->type) || is_time(args[1].column->type))
        return temporal_arithmetic(e, ctx, args, rows, e->function->op == OP_ADD, ret, err);
    TRY(kernel_validity(ctx->budget, args, 2, rows, &validity, &nulls, err));
    int st = buffer_new_uninit(ctx->budget, (size_t)rows * (size_t)type_width(e->type), &values, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    const char *fault = run(e, args, rows, validity ? validity->data : NULL, values->data);
    if (fault) {
        buffer_unref(validity);
        buffer_unref(values);
        return error_set(err, ST_EXECUTE_QUERY, "%s%s", strncmp(fault, "Overflow", 8) == 0 ? "Arithmetic overflow: " : "", fault);
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

/* ---- one argument ---- */

enum { UNARY_NEGATE, UNARY_ABS };

static int bind_unary(struct expr *e, struct error *err)
{
    struct dtype *t = e->args[0]->type;
    int op = e->function->op;
    bool plain = type_is_signed(t) || t->id == TYPE_FLOAT32 || t->id == TYPE_FLOAT64 || t->id == TYPE_DECIMAL128;
    if (op == UNARY_ABS ? type_is_integer(t) : type_is_interval(t))
        plain = true;
    if (!plain)
        return expr_type_error(e, err);
    e->type = type_ref(e->args[0]->type);
    return ST_OK;
}

/* Every part of an interval; false when one does not fit. */
static bool negate_interval(int width, const uint8_t *in, uint8_t *out)
{
    int32_t parts[2] = {0, 0};
    int64_t nanos = 0;
    size_t n = width == 4 ? 4 : 8;
    memcpy(parts, in, n);
    if (__builtin_sub_overflow(0, parts[0], &parts[0]) || __builtin_sub_overflow(0, parts[1], &parts[1]))
        return false;
    memcpy(out, parts, n);
    if (width < 16)
        return true;
    memcpy(&nanos, in + 8, 8);
    if (__builtin_sub_overflow((int64_t)0, nanos, &nanos))
        return false;
    memcpy(out + 8, &nanos, 8);
    return true;
}

#define UNARY_INT(ctype, utype)                                                                    \
    for (int64_t i = 0; i < rows; i++) {                                                           \
        const ctype x = COLUMN_VALUES(v->column, ctype)[i];                                        \
        const ctype y = negate || x < 0 ? (ctype)(0 - (utype)x) : x;                               \
        ((ctype *)(void *)out)[i] = y;                                                             \
        overflow = overflow || (checked && x < 0 && y < 0 && !value_is_null(v, i));                \
    }

#define UNARY_FLOAT(ctype, magnitude)                                                              \
    for (int64_t i = 0; i < rows; i++) {                                                           \
        const ctype x = COLUMN_VALUES(v->column, ctype)[i];                                        \
        ((ctype *)(void *)out)[i] = negate ? -x : magnitude(x);                                    \
    }

/* False when a result does not fit. The minus of integers wraps in a column, as in DataFusion, and not in a constant. */
static bool run_unary(bool negate, const struct value *v, int64_t rows, uint8_t *out)
{
    const struct dtype *t = v->column->type;
    bool overflow = false, checked = !negate || t->id == TYPE_DECIMAL128 || v->scalar;
    int width = type_width(t);
    const uint8_t *in = v->column->buffers[0]->data + v->column->offset * width;
    switch ((enum type_id)t->id) {
    case TYPE_INT8: UNARY_INT(int8_t, uint8_t) break;
    case TYPE_INT16: UNARY_INT(int16_t, uint16_t) break;
    case TYPE_INT32: UNARY_INT(int32_t, uint32_t) break;
    case TYPE_INT64: UNARY_INT(int64_t, uint64_t) break;
    case TYPE_DECIMAL128: UNARY_INT(__int128, unsigned __int128) break;
    case TYPE_FLOAT32: UNARY_FLOAT(float, fabsf) break;
    case TYPE_FLOAT64: UNARY_FLOAT(double, fabs) break;
    case TYPE_INTERVAL_YEAR_MONTH: case TYPE_INTERVAL_DAY_TIME: case TYPE_INTERVAL_MONTH_DAY_NANO:
        for (int64_t i = 0; i < rows; i++)
            overflow = overflow || (!value_is_null(v, i) && !negate_interval(width, in + i * width, out + i * width));
        break;
    default: memcpy(out, in, (size_t)rows * (size_t)width); /* the absolute value of an unsigned number */
    }
    return !overflow;
}

static int kernel_unary(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *validity, *values;
    int64_t nulls;
    TRY(kernel_validity(ctx->budget, args, 1, rows, &validity, &nulls, err));
    int st = buffer_new(ctx->budget, (size_t)rows * (size_t)type_width(e->type), &values, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    if (!run_unary(e->function->op == UNARY_NEGATE, &args[0], rows, values->data)) {
        buffer_unref(validity);
        buffer_unref(values);
        return error_set(err, ST_EXECUTE_QUERY, "Arithmetic overflow: the result of %s does not fit", e->function->name);
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

/* GreptimeDB's mod(): in 64 bits when both are integers of one kind, else as Float64. */
static int bind_mod(struct expr *e, struct error *err)
{
    const struct dtype *a = e->args[0]->type, *b = e->args[1]->type;
    bool whole = type_is_integer(a) && type_is_integer(b) && type_is_signed(a) == type_is_signed(b);
    struct dtype *type = type_of(!whole ? TYPE_FLOAT64 : type_is_signed(a) ? TYPE_INT64 : TYPE_UINT64);
    TRY(expr_bind_cast(e, 0, type, err));
    TRY(expr_bind_cast(e, 1, type, err));
    e->type = type;
    return ST_OK;
}

const struct function functions_arithmetic[] = {
    {"add", 2, 2, bind_arithmetic, kernel_arithmetic, OP_ADD, true},
    {"subtract", 2, 2, bind_arithmetic, kernel_arithmetic, OP_SUB, true},
    {"multiply", 2, 2, bind_arithmetic, kernel_arithmetic, OP_MUL, true},
    {"divide", 2, 2, bind_arithmetic, kernel_arithmetic, OP_DIV, true},
    {"modulus", 2, 2, bind_arithmetic, kernel_arithmetic, OP_MOD, true},
    {"mod", 2, 2, bind_mod, kernel_arithmetic, OP_MOD, true},
    {"negate", 1, 1, bind_unary, kernel_unary, UNARY_NEGATE, true},
    {"negative", 1, 1, bind_unary, kernel_unary, UNARY_NEGATE, true},
    {"abs", 1, 1, bind_unary, kernel_unary, UNARY_ABS, true},
    {0},
};
