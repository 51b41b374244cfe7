/* round, ceil, floor and power of decimals, which stay decimals (functions.md 1.5). The tables that name them are in kernel_math.c. */
#include <math.h>
#include <string.h>

#include "exec/decimal.h"

enum { DIGITS_MAX = 38 };

bool decimal_power10(int n, __int128 *ret)
{
    __int128 p = 1;
    if (n < 0 || n > DIGITS_MAX)
        return false;
    while (n-- > 0)
        p *= 10;
    *ret = p;
    return true;
}

static __int128 decimal_at(const struct value *v, int64_t row)
{
    return COLUMN_VALUES(v->column, __int128)[v->scalar ? 0 : row];
}

static int overflow(const struct call *c, struct error *err)
{
    return error_set(err, ST_EXECUTE_QUERY, "Decimal overflow while applying %s", c->e->function->name);
}

static bool fits(const struct dtype *t, __int128 v)
{
    __int128 limit;
    return decimal_power10(t->precision, &limit) && v < limit && v > -limit;
}

/* ---- ceil, floor ---- */

int decimal_bind_whole(struct expr *e, struct error *err)
{
    (void)err;
    e->type = type_ref(e->args[0]->type);
    return ST_OK;
}

int decimal_whole_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    __int128 v = decimal_at(&c->args[0], row), p, r;
    bool up = strncmp(c->e->function->name, "ceil", 4) == 0;
    (void)ret_null;
    if (c->e->type->scale > 0 && decimal_power10(c->e->type->scale, &p)) {
        __int128 rest = v % p;
        r = v - rest + (up && rest > 0 ? p : !up && rest < 0 ? -p : 0);
        if (!fits(c->e->type, r))
            return overflow(c, err);
        v = r;
    }
    memcpy(ret_value, &v, 16);
    return ST_OK;
}

/* ---- round ---- */

/* The digits of a round() when they are known while binding: 0 without the argument, *ret_known = false for a column. */
static int literal_digits(const struct expr *e, bool *ret_known)
{
    const struct column *digits = e->n_args > 1 ? expr_literal(e->args[1]) : NULL;
    *ret_known = e->n_args == 1 || digits;
    return digits && !column_is_null(digits, 0) ? COLUMN_VALUES(digits, int32_t)[0] : 0;
}

/* Known digits below the scale become the scale; a round to tens may need one digit more. */
int decimal_bind_round(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type;
    bool known;
    int digits = literal_digits(e, &known), precision = t->precision, scale = t->scale;
    bool grows = !known || (scale == 0 && digits < 0 && -digits <= precision);
    if (known && scale >= 0)
        scale = digits < 0 ? 0 : digits < scale ? digits : scale;
    if (grows && precision < DIGITS_MAX)
        precision++;
    e->type = type_decimal(TYPE_DECIMAL128, (uint8_t)precision, (int8_t)scale);
    return e->type ? ST_OK : error_no_memory(err, sizeof *e->type);
}

int decimal_round_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const struct dtype *t = c->args[0].column->type;
    int digits = c->e->n_args > 1 ? value_int32(&c->args[1], row) : 0, cut = digits > t->scale ? 0 : t->scale - digits,
        shift = c->e->type->scale - digits;
    __int128 v = decimal_at(&c->args[0], row), p;
    (void)ret_null;
    if (digits < 0 && -digits > t->precision - t->scale) {
        v = 0; /* more digits than there are */
    } else if (cut > 0) {
        if (!decimal_power10(cut, &p))
            return overflow(c, err);
        __int128 q = v / p, rest = v % p;
        v = q + (rest >= p / 2) - (rest <= -(p / 2));
        if (!decimal_power10(shift, &p) || __builtin_mul_overflow(v, p, &v))
            return overflow(c, err);
    }
    if (c->e->type->precision == DIGITS_MAX && !fits(c->e->type, v))
        return overflow(c, err);
    memcpy(ret_value, &v, 16);
    return ST_OK;
}

/* ---- power ---- */

/* A whole exponent from a literal is computed in decimals, everything else as Float64 and back. */
static bool whole_power(__int128 base, int scale, int64_t exponent, __int128 *ret)
{
    __int128 r = 1;
    if (exponent == 0)
        return decimal_power10(scale, ret);
    for (__int128 square = base; exponent;) {
        if (exponent & 1 && __builtin_mul_overflow(r, square, &r))
            return false;
        exponent >>= 1;
        if (exponent && __builtin_mul_overflow(square, square, &square))
            return false;
    }
    *ret = r;
    return true;
}

int decimal_power_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const struct dtype *t = c->e->type;
    __int128 v = decimal_at(&c->args[0], row), r, p, one = 1;
    double exponent = value_double(&c->args[1], row);
    if (t->scale < 0 || !decimal_power10(t->scale, &one))
        return overflow(c, err);
    if (c->args[1].scalar && exponent >= 0 && exponent < UINT32_MAX && exponent == trunc(exponent)) {
        int64_t n = (int64_t)exponent, divide = n > 1 ? t->scale * (n - 1) : 0;
        if (!whole_power(v, t->scale, n, &r) || divide > DIGITS_MAX || !decimal_power10((int)divide, &p))
            return overflow(c, err);
        r /= p;
    } else {
        double scaled = round(pow((double)v / (double)one, exponent) * (double)one);
        bool whole = fabs(scaled) < 0x1p127;
        r = whole ? (__int128)scaled : 0;
        if (!c->args[1].scalar)
            *ret_null = !whole || !fits(t, r); /* the cast back from Float64 forgives */
        else if (!whole)
            return overflow(c, err);
    }
    memcpy(ret_value, &r, 16);
    return ST_OK;
}
