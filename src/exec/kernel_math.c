/* Mathematics (functions.md 1.5, 1.9): Float32 arguments are computed in single precision, everything else as Float64.
 *
 * Where the C library and the peer's runtime differ (inverse hyperbolic functions, cot, signum) the peer's formula is written out, rounding each
 * step. Decimals keep their type in round, ceil, floor and power.
 */
#include <math.h>
#include <string.h>

#include "exec/decimal.h"
#include "os/thread.h"

/* ---- one float to another ---- */

#define PI_64 3.14159265358979323846
#define PI_32 3.14159274101257324219f

static double acosh_64(double x)
{
    return x < 1 ? NAN : log(x + sqrt(x - 1) * sqrt(x + 1));
}

static float acosh_32(float x)
{
    return x < 1 ? NAN : logf(x + sqrtf(x - 1) * sqrtf(x + 1));
}

static double asinh_64(double x)
{
    double a = fabs(x), inverse = 1 / a;
    return copysign(log1p(a + a / (hypot(1, inverse) + inverse)), x);
}

static float asinh_32(float x)
{
    float a = fabsf(x), inverse = 1 / a;
    return copysignf(log1pf(a + a / (hypotf(1, inverse) + inverse)), x);
}

static double atanh_64(double x)
{
    return 0.5 * log1p(2 * x / (1 - x));
}

static float atanh_32(float x)
{
    return 0.5f * log1pf(2 * x / (1 - x));
}

static double degrees_64(double x)
{
    return x * (180 / PI_64);
}
static float degrees_32(float x)
{
    return x * 57.2957795130823208767981548141051703f;
}
static double radians_64(double x)
{
    return x * (PI_64 / 180);
}
static float radians_32(float x)
{
    return x * (PI_32 / 180);
}
static double cot_64(double x)
{
    return 1 / tan(x);
}
static float cot_32(float x)
{
    return 1 / tanf(x);
}
/* The C library's own are a unit off at times; these are rounded once. */
static double cbrt_64(double x)
{
    return (double)cbrtl((long double)x);
}
static float cbrt_32(float x)
{
    return (float)cbrtl((long double)x);
}
static double signum_64(double x)
{
    return x == 0 ? 0 : isnan(x) ? (double)NAN : copysign(1, x); /* a NaN loses its sign */
}
static float signum_32(float x)
{
    return x == 0 ? 0 : isnan(x) ? NAN : copysignf(1, x);
}

enum {
    ACOS,
    ACOSH,
    ASIN,
    ASINH,
    ATAN,
    ATANH,
    COS,
    COSH,
    SIN,
    SINH,
    TAN,
    TANH,
    CBRT,
    EXP,
    SQRT,
    LN,
    LOG2,
    LOG10,
    DEGREES,
    RADIANS,
    COT,
    SIGNUM,
    CEIL,
    FLOOR
};

static const struct {
    double (*f64)(double);
    float (*f32)(float);
} unary[] = {
    [ACOS] = {acos, acosf},
    [ACOSH] = {acosh_64, acosh_32},
    [ASIN] = {asin, asinf},
    [ASINH] = {asinh_64, asinh_32},
    [ATAN] = {atan, atanf},
    [ATANH] = {atanh_64, atanh_32},
    [COS] = {cos, cosf},
    [COSH] = {cosh, coshf},
    [SIN] = {sin, sinf},
    [SINH] = {sinh, sinhf},
    [TAN] = {tan, tanf},
    [TANH] = {tanh, tanhf},
    [CBRT] = {cbrt_64, cbrt_32},
    [EXP] = {exp, expf},
    [SQRT] = {sqrt, sqrtf},
    [LN] = {log, logf},
    [LOG2] = {log2, log2f},
    [LOG10] = {log10, log10f},
    [DEGREES] = {degrees_64, degrees_32},
    [RADIANS] = {radians_64, radians_32},
    [COT] = {cot_64, cot_32},
    [SIGNUM] = {signum_64, signum_32},
    [CEIL] = {ceil, ceilf},
    [FLOOR] = {floor, floorf},
};

/* A column of values that are computed for every row, null or not. */
static int kernel_plain(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct buffer **ret_values,
                        struct buffer **ret_validity, int64_t *ret_nulls, struct error *err)
{
    TRY(kernel_validity(ctx->budget, args, e->n_args, rows, ret_validity, ret_nulls, err));
    int st = buffer_new_uninit(ctx->budget, (size_t)rows * (size_t)type_width(e->type), ret_values, err);
    if (st != ST_OK)
        buffer_unref(*ret_validity);
    return st;
}

/* ceil and floor know decimals as well. */
static int bind_whole(struct expr *e, struct error *err)
{
    return e->args[0]->type->id == TYPE_DECIMAL128 ? decimal_bind_whole(e, err) : bind_signature(e, err);
}

static int kernel_unary(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                        struct error *err)
{
    struct buffer *validity, *values;
    int64_t nulls;
    int op = e->function->op;
    if (e->type->id == TYPE_DECIMAL128)
        return kernel_fixed_rows(e, ctx, args, rows, ret, err);
    TRY(kernel_plain(e, ctx, args, rows, &values, &validity, &nulls, err));
    if (e->type->id == TYPE_FLOAT32) {
        const float *x = COLUMN_VALUES(args[0].column, float);
        for (int64_t i = 0; i < rows; i++)
            ((float *)(void *)values->data)[i] = unary[op].f32(x[i]);
    } else {
        const double *x = COLUMN_VALUES(args[0].column, double);
        for (int64_t i = 0; i < rows; i++)
            ((double *)(void *)values->data)[i] = unary[op].f64(x[i]);
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

/* ---- two floats, or a float and digits ---- */

/* Both Float32, or both Float64. */
static int bind_pair(struct expr *e, struct error *err)
{
    bool single = e->args[0]->type->id == TYPE_FLOAT32 && e->args[1]->type->id == TYPE_FLOAT32;
    for (uint32_t i = 0; i < 2 && !single; i++)
        TRY(expr_bind_cast(e, i, type_of(TYPE_FLOAT64), err));
    e->type = type_ref(e->args[0]->type);
    return ST_OK;
}

static double whole_power(double base, int n)
{
    return __builtin_powi(base, n);
}

/* logb(x, base): Float32 and decimals keep their rules for x, the base follows. */
static int bind_log(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type;
    bool single = t->id == TYPE_FLOAT32;
    if (!single && t->id != TYPE_DECIMAL128)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_FLOAT64), err));
    if (e->n_args > 1)
        TRY(expr_bind_cast(e, 1, type_of(single ? TYPE_FLOAT32 : TYPE_FLOAT64), err));
    e->type = type_of(single ? TYPE_FLOAT32 : TYPE_FLOAT64);
    return ST_OK;
}

/* A whole base of at least 2 counts whole powers of a decimal's whole part. */
static double log_decimal(__int128 v, int scale, double base)
{
    __int128 p = 1;
    int64_t power = 0;
    if (scale >= 0 && v >= 0 && base == trunc(base) && base >= 2 && base <= UINT32_MAX && decimal_power10(scale, &p)) {
        if ((v /= p) == 0)
            return NAN;
        for (; v >= (__int128)base; power++)
            v /= (__int128)base;
        return (double)power;
    }
    return log((double)v / whole_power(10, scale)) / log(base);
}

static int log_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const struct value *x = &c->args[0], *base = c->e->n_args > 1 ? &c->args[1] : NULL;
    int64_t at = x->scalar ? 0 : row;
    (void)ret_null;
    (void)err;
    if (c->e->type->id == TYPE_FLOAT32) {
        float b = base ? COLUMN_VALUES(base->column, float)[base->scalar ? 0 : row] : 10, r = logf(COLUMN_VALUES(x->column, float)[at]) / logf(b);
        memcpy(ret_value, &r, 4);
        return ST_OK;
    }
    double b = base ? value_double(base, row) : 10, r;
    if (x->column->type->id == TYPE_DECIMAL128)
        r = log_decimal(COLUMN_VALUES(x->column, __int128)[at], x->column->type->scale, b);
    else
        r = log(value_double(x, row)) / log(b);
    memcpy(ret_value, &r, 8);
    return ST_OK;
}

static int atan2_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    (void)ret_null;
    (void)err;
    if (c->e->type->id == TYPE_FLOAT32) {
        float r = atan2f(COLUMN_VALUES(c->args[0].column, float)[c->args[0].scalar ? 0 : row],
                         COLUMN_VALUES(c->args[1].column, float)[c->args[1].scalar ? 0 : row]);
        memcpy(ret_value, &r, 4);
    } else {
        double r = atan2(value_double(&c->args[0], row), value_double(&c->args[1], row));
        memcpy(ret_value, &r, 8);
    }
    return ST_OK;
}

static int bind_power(struct expr *e, struct error *err)
{
    bool decimal = e->args[0]->type->id == TYPE_DECIMAL128;
    if (!decimal)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_FLOAT64), err));
    TRY(expr_bind_cast(e, 1, type_of(TYPE_FLOAT64), err));
    e->nullable = e->nullable || (decimal && !expr_is_scalar(e->args[1]));
    e->type = type_ref(e->args[0]->type);
    return ST_OK;
}

static int power_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    if (c->e->type->id == TYPE_DECIMAL128)
        return decimal_power_row(c, row, ret_value, ret_null, err);
    double r = pow(value_double(&c->args[0], row), value_double(&c->args[1], row));
    memcpy(ret_value, &r, 8);
    return ST_OK;
}

/* trunc(x[, digits]); in a column without digits a zero loses its sign */
static int trunc_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    bool plain = c->e->n_args == 1, unsign = plain && !c->args[0].scalar;
    int64_t digits = plain ? 0 : value_int64(&c->args[1], row);
    int n = digits > 400 ? 400 : digits < -400 ? -400 : (int)digits;
    (void)ret_null;
    (void)err;
    if (c->e->type->id == TYPE_FLOAT32) {
        float x = COLUMN_VALUES(c->args[0].column, float)[c->args[0].scalar ? 0 : row], scale = __builtin_powif(10, n);
        float r = unsign && x == 0 ? 0 : truncf(x * scale) / scale;
        memcpy(ret_value, &r, 4);
    } else {
        double x = value_double(&c->args[0], row), scale = whole_power(10, n), r = unsign && x == 0 ? 0 : trunc(x * scale) / scale;
        memcpy(ret_value, &r, 8);
    }
    return ST_OK;
}

/* The second argument where the first is NaN; NULL is not NaN. */
static int nanvl_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t width = (size_t)type_width(c->e->type);
    (void)err;
    for (const struct value *from = c->args; from < c->args + 2; from++) {
        int64_t at = from->scalar ? 0 : row;
        bool nan = width == 4 ? isnan(COLUMN_VALUES(from->column, float)[at]) : isnan(COLUMN_VALUES(from->column, double)[at]);
        *ret_null = value_is_null(from, row);
        memcpy(ret_value, from->column->buffers[0]->data + (size_t)(from->column->offset + at) * width, width);
        if (*ret_null || !nan)
            break;
    }
    return ST_OK;
}

/* round(x[, digits]): half away from zero, in the type of x. */
static int bind_round(struct expr *e, struct error *err)
{
    if (e->n_args == 2)
        TRY(expr_bind_cast(e, 1, type_of(TYPE_INT32), err));
    if (e->args[0]->type->id == TYPE_DECIMAL128)
        return decimal_bind_round(e, err);
    if (e->args[0]->type->id != TYPE_FLOAT32)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_FLOAT64), err));
    e->type = type_ref(e->args[0]->type);
    return ST_OK;
}

static int kernel_round(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                        struct error *err)
{
    struct buffer *validity, *values;
    int64_t nulls;
    if (e->type->id == TYPE_DECIMAL128)
        return kernel_fixed_rows(e, ctx, args, rows, ret, err);
    TRY(kernel_plain(e, ctx, args, rows, &values, &validity, &nulls, err));
    for (int64_t i = 0; i < rows; i++) {
        int64_t at = args[0].scalar ? 0 : i;
        double digits = e->n_args == 2 ? COLUMN_VALUES(args[1].column, int32_t)[args[1].scalar ? 0 : i] : 0;
        if (e->type->id == TYPE_FLOAT32) {
            float x = COLUMN_VALUES(args[0].column, float)[at], scale = powf(10, (float)digits);
            ((float *)(void *)values->data)[i] = roundf(x * scale) / scale;
        } else {
            double x = COLUMN_VALUES(args[0].column, double)[at], scale = pow(10, digits);
            ((double *)(void *)values->data)[i] = round(x * scale) / scale;
        }
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

/* ---- tests ---- */

enum { IS_NAN, IS_ZERO };

static int test_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    bool single = c->args[0].column->type->id == TYPE_FLOAT32;
    double x = single ? (double)COLUMN_VALUES(c->args[0].column, float)[row] : COLUMN_VALUES(c->args[0].column, double)[row];
    (void)ret_null;
    (void)err;
    *(uint8_t *)ret_value = c->e->function->op == IS_NAN ? isnan(x) : x == 0;
    return ST_OK;
}

/* ---- whole numbers ---- */

static int factorial_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    int64_t n = value_int64(&c->args[0], row), product = 1;
    (void)ret_null;
    if (n > 20)
        return error_set(err, ST_EXECUTE_QUERY, "Overflow happened on FACTORIAL(%lld)", (long long)n);
    for (int64_t i = 2; i <= n; i++)
        product *= i;
    memcpy(ret_value, &product, 8);
    return ST_OK;
}

static uint64_t magnitude(int64_t v)
{
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

enum { GCD, LCM };

static int gcd_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    uint64_t a = magnitude(value_int64(&c->args[0], row)), b = magnitude(value_int64(&c->args[1], row)), r = common_divisor(a, b);
    (void)ret_null;
    if (c->e->function->op == LCM && r && __builtin_mul_overflow(a / r, b, &r))
        r = UINT64_MAX;
    if (r > INT64_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "Signed integer overflow in %s", c->e->function->name);
    memcpy(ret_value, &r, 8);
    return ST_OK;
}

/* ---- constants and chance ---- */

static int pi_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    (void)c;
    (void)row;
    (void)ret_null;
    (void)err;
    memcpy(ret_value, &(double){PI_64}, 8);
    return ST_OK;
}

/* All rows' random bits in one system call; 53 of 64 make the fraction. */
static int kernel_random(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                         struct error *err)
{
    struct buffer *values;
    (void)args;
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows * 8, &values, err));
    random_bytes(values->data, (size_t)rows * 8);
    for (int64_t i = 0; i < rows; i++) {
        uint64_t bits;
        memcpy(&bits, values->data + i * 8, 8);
        ((double *)(void *)values->data)[i] = (double)(bits >> 11) * 0x1p-53;
    }
    return column_new(e->type, rows, 0, NULL, values, NULL, ret, err);
}

#define UNARY(name, op)                                                                                                                              \
    {                                                                                                                                                \
        name, 1, 1, bind_signature, kernel_unary, op, true, "F:="                                                                                    \
    }

const struct function functions_math[] = {
    UNARY("acos", ACOS),
    UNARY("acosh", ACOSH),
    UNARY("asin", ASIN),
    UNARY("asinh", ASINH),
    UNARY("atan", ATAN),
    UNARY("atanh", ATANH),
    UNARY("cos", COS),
    UNARY("cosh", COSH),
    UNARY("sin", SIN),
    UNARY("sinh", SINH),
    UNARY("tan", TAN),
    UNARY("tanh", TANH),
    UNARY("cbrt", CBRT),
    UNARY("exp", EXP),
    UNARY("sqrt", SQRT),
    UNARY("ln", LN),
    UNARY("log2", LOG2),
    UNARY("log10", LOG10),
    UNARY("degrees", DEGREES),
    UNARY("radians", RADIANS),
    UNARY("cot", COT),
    UNARY("signum", SIGNUM),
    {"ceil", 1, 1, bind_whole, kernel_unary, CEIL, true, "F:=", .fixed_row = decimal_whole_row},
    {"ceiling", 1, 1, bind_whole, kernel_unary, CEIL, true, "F:=", .fixed_row = decimal_whole_row},
    {"floor", 1, 1, bind_whole, kernel_unary, FLOOR, true, "F:=", .fixed_row = decimal_whole_row},
    {"round", 1, 2, bind_round, kernel_round, 0, true, .fixed_row = decimal_round_row},
    {"atan2", 2, 2, bind_pair, kernel_fixed_rows, 0, true, .fixed_row = atan2_row},
    {"power", 2, 2, bind_power, kernel_fixed_rows, 0, true, .fixed_row = power_row},
    {"pow", 2, 2, bind_power, kernel_fixed_rows, 0, true, .fixed_row = power_row},
    {"logb", 1, 2, bind_log, kernel_fixed_rows, 0, true, .fixed_row = log_row},
    {"log", 1, 1, bind_log, kernel_fixed_rows, 0, true, .fixed_row = log_row},
    FIXED_FUNCTION("trunc", 1, 2, "FI:=", trunc_row, 0),
    {"nanvl", 2, 2, bind_pair, kernel_fixed_rows, 0, false, .fixed_row = nanvl_row},
    FIXED_FUNCTION("isnan", 1, 1, "F:O", test_row, IS_NAN),
    FIXED_FUNCTION("is_nan", 1, 1, "F:O", test_row, IS_NAN),
    FIXED_FUNCTION("iszero", 1, 1, "F:O", test_row, IS_ZERO),
    FIXED_FUNCTION("factorial", 1, 1, "I:I", factorial_row, 0),
    FIXED_FUNCTION("gcd", 2, 2, "II:I", gcd_row, GCD),
    FIXED_FUNCTION("lcm", 2, 2, "II:I", gcd_row, LCM),
    FIXED_FUNCTION("pi", 0, 0, ":D", pi_row, 0),
    {"random", 0, 0, bind_signature, kernel_random, 0, false, ":D", .per_row = true},
    {"rand", 0, 0, bind_signature, kernel_random, 0, false, ":D", .per_row = true},
    {0},
};
