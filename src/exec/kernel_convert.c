/* Functions that make dates and times from numbers and text: the to_timestamp family, to_date, to_time, to_unixtime, make_date, ...
 * (functions.md 1.6, 1.12).
 *
 * What a cast can do becomes a cast while binding; the kernels below see text, and what has rules of its own.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/cast_text.h"
#include "exec/chrono.h"
#include "exec/kernel_typed.h"
#include "exec/temporal.h"
#include "exec/zone.h"

enum { SECOND_NS = 1000000000, TO_ANY_TIMESTAMP = 4 /* ops 0..3 are units; this is to_timestamp() */ };

/* Kernels of this file carry the session's zone. */
static int kernel_in_session(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                             struct error *err)
{
    const struct call c = {e, ctx, args, (void *)zone_of_session(ctx->timezone)};
    return kernel_fixed_run(&c, rows, ret, err);
}

/* ---- to_timestamp ---- */

/* The session's zone is part of the type. */
static struct dtype *session_timestamp(const struct expr *e, enum time_unit unit)
{
    return e->timezone && *e->timezone ? type_timestamp_zoned(unit, e->timezone) : type_ref(type_temporal(TYPE_TIMESTAMP, unit));
}

static int bind_to_timestamp(struct expr *e, struct error *err)
{
    int op = e->function->op;
    enum time_unit unit = op == TO_ANY_TIMESTAMP ? UNIT_NANO : (enum time_unit)op;
    const struct dtype *t = e->args[0]->type;
    bool number = type_is_float(t) || t->id == TYPE_DECIMAL128;
    TRY(expr_bind_strings(e, 1, e->n_args, err));
    if (!(e->type = session_timestamp(e, unit)))
        return error_no_memory(err, sizeof *e->type);
    e->nullable = e->args[0]->nullable;
    if (type_is_string(t))
        return ST_OK;
    if (number && op == TO_ANY_TIMESTAMP)
        return type_is_float(t) ? expr_bind_cast(e, 0, type_of(TYPE_FLOAT64), err) : ST_OK;
    if (number)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_INT64), err));
    else if (type_is_integer(t) && op == TO_ANY_TIMESTAMP)
        TRY(expr_bind_cast(e, 0, type_temporal(TYPE_TIMESTAMP, UNIT_SECOND), err));
    else if (!type_is_integer(t) && t->id != TYPE_TIMESTAMP && t->id != TYPE_NULL)
        return expr_type_error(e, err);
    if (e->args[0]->type->id == TYPE_TIMESTAMP && !e->args[0]->type->timezone &&
        type_is_integer(t)) /* a number counts from 1970 in UTC, whatever the session */
        TRY(expr_bind_cast(e, 0, type_temporal(TYPE_TIMESTAMP, unit), err));
    return e->args[0]->type->id == TYPE_TIMESTAMP && type_is_integer(t) ? ST_OK : expr_bind_cast(e, 0, e->type, err);
}

/* Tries the formats of arguments 1.. in order; false when none fits. */
static bool by_formats(const struct call *c, int64_t row, const uint8_t *p, size_t n, const struct tzif *zone, int64_t *ret_seconds,
                       int32_t *ret_nanos)
{
    struct chrono_time t;
    size_t size;
    for (uint32_t k = 1; k < c->e->n_args; k++) {
        if (value_is_null(&c->args[k], row))
            continue;
        const uint8_t *format = value_text(&c->args[k], row, &size);
        if (chrono_parse(format, size, p, n, &t) && chrono_resolve(&t, zone, false, ret_seconds)) {
            *ret_nanos = t.nanos;
            return true;
        }
    }
    return false;
}

/* Text to nanoseconds, which must fit, and then to the unit, towards zero: the peer's order. */
static int parse_timestamp(const struct call *c, int64_t row, int64_t *ret, struct error *err)
{
    size_t n;
    int64_t seconds, nanos;
    int32_t fraction;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    bool good = c->e->n_args == 1 ? text_to_timestamp((const char *)p, n, c->state, UNIT_NANO, &nanos)
                                  : by_formats(c, row, p, n, c->state, &seconds, &fraction) && !__builtin_mul_overflow(seconds, SECOND_NS, &nanos) &&
                                        !__builtin_add_overflow(nanos, fraction, &nanos);
    if (!good)
        return error_set(err, ST_EXECUTE_QUERY, "Error parsing timestamp from '%.*s'", n > 100 ? 100 : (int)n, (const char *)p);
    *ret = nanos / (SECOND_NS / units_per_second(c->e->type->unit));
    return ST_OK;
}

static int64_t saturated(double v)
{
    return isnan(v) ? 0 : v >= 0x1p63 ? INT64_MAX : v < -0x1p63 ? INT64_MIN : (int64_t)v;
}

static int to_timestamp_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const struct dtype *t = c->args[0].column->type;
    int64_t v;
    if ((*ret_null = value_is_null(&c->args[0], row)))
        return ST_OK;
    if (type_is_string(t)) {
        TRY(parse_timestamp(c, row, &v, err));
    } else if (t->id == TYPE_FLOAT64) {
        v = saturated(value_double(&c->args[0], row) * 1e9);
    } else if (t->id == TYPE_DECIMAL128) {
        __int128 d = COLUMN_VALUES(c->args[0].column, __int128)[c->args[0].scalar ? 0 : row];
        int scale = t->scale;
        for (; scale < 9; scale++)
            d = (__int128)((unsigned __int128)d * 10); /* wraps, as the cut to 64 bits below does */
        for (; scale > 9; scale--)
            d /= 10;
        v = (int64_t)d;
    } else {
        v = value_int64(&c->args[0], row);
    }
    memcpy(ret_value, &v, 8);
    return ST_OK;
}

/* ---- to_date, to_time ---- */

static int bind_to_date(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type;
    TRY(expr_bind_strings(e, 1, e->n_args, err));
    e->type = type_of(TYPE_DATE32);
    e->nullable = e->args[0]->nullable;
    if (type_is_string(t))
        return ST_OK;
    if (type_is_float(t) || t->id == TYPE_DECIMAL128)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_INT64), err));
    else if (!type_is_integer(t) && t->id != TYPE_TIMESTAMP && t->id != TYPE_DATE32 && t->id != TYPE_DATE64 && t->id != TYPE_NULL)
        return expr_type_error(e, err);
    return expr_bind_cast(e, 0, e->type, err);
}

static int to_date_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n;
    int64_t seconds;
    int32_t nanos, days;
    if ((*ret_null = value_is_null(&c->args[0], row)))
        return ST_OK;
    if (!type_is_string(c->args[0].column->type)) {
        days = value_int32(&c->args[0], row);
    } else {
        const uint8_t *p = value_text(&c->args[0], row, &n);
        bool good = c->e->n_args == 1 ? text_to_date((const char *)p, n, &days) : by_formats(c, row, p, n, NULL, &seconds, &nanos);
        if (good && c->e->n_args > 1) { /* days of milliseconds, both cut towards zero, as in the peer */
            int64_t ms;
            good = !__builtin_mul_overflow(seconds, 1000, &ms) && !__builtin_add_overflow(ms, nanos / 1000000, &ms) && llabs(ms / 86400000) <= INT32_MAX;
            days = (int32_t)(ms / 86400000);
        }
        if (!good)
            return error_set(err, ST_EXECUTE_QUERY, "Error parsing date from '%.*s'", n > 100 ? 100 : (int)n, (const char *)p);
    }
    memcpy(ret_value, &days, 4);
    return ST_OK;
}

static int bind_to_time(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type;
    TRY(expr_bind_strings(e, 1, e->n_args, err));
    e->type = type_temporal(TYPE_TIME64, UNIT_NANO);
    e->nullable = e->args[0]->nullable;
    if (t->id != TYPE_NULL && t->id != TYPE_TIMESTAMP && !type_is_string(t))
        return expr_type_error(e, err);
    return type_is_string(t) ? ST_OK : expr_bind_cast(e, 0, e->type, err);
}

static int to_time_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    static const char *const defaults[] = {"%H:%M:%S%.f", "%H:%M"};
    size_t n, size;
    int64_t v;
    bool good = false;
    if ((*ret_null = value_is_null(&c->args[0], row)))
        return ST_OK;
    if (!type_is_string(c->args[0].column->type)) {
        v = value_int64(&c->args[0], row);
        memcpy(ret_value, &v, 8);
        return ST_OK;
    }
    const uint8_t *p = value_text(&c->args[0], row, &n);
    for (uint32_t k = 1; k < c->e->n_args && !good; k++) {
        if (value_is_null(&c->args[k], row))
            continue;
        const uint8_t *format = value_text(&c->args[k], row, &size);
        good = chrono_parse_clock(format, size, p, n, &v);
    }
    for (int k = 0; k < 2 && c->e->n_args == 1 && !good; k++)
        good = chrono_parse_clock((const uint8_t *)defaults[k], strlen(defaults[k]), p, n, &v);
    if (!good)
        return error_set(err, ST_EXECUTE_QUERY, "Error parsing '%.*s' as time", n > 100 ? 100 : (int)n, (const char *)p);
    memcpy(ret_value, &v, 8);
    return ST_OK;
}

/* ---- GreptimeDB's to_unixtime ---- */

static int bind_to_unixtime(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type;
    e->type = type_of(TYPE_INT64);
    e->nullable = true;
    if (type_is_integer(t) || t->id == TYPE_NULL)
        return expr_bind_cast(e, 0, type_of(TYPE_INT64), err);
    return t->id == TYPE_DATE32 || t->id == TYPE_TIMESTAMP || type_is_string(t) ? ST_OK : expr_type_error(e, err);
}

/* Timestamps, then dates; a date is that of the moment in UTC. */
static bool unixtime_of_text(const char *p, size_t n, const struct tzif *zone, int64_t *ret_seconds)
{
    static const char *const formats[] = {"%+", "%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f",
                                          "%F"};
    struct chrono_time t;
    while (n && memchr(" \t\n\r", *p, 4)) {
        p++;
        n--;
    }
    while (n && memchr(" \t\n\r", p[n - 1], 4))
        n--;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (!chrono_parse((const uint8_t *)formats[i], strlen(formats[i]), (const uint8_t *)p, n, &t))
            continue;
        if (i == 2)
            t.absolute = true;
        if (!chrono_resolve(&t, zone, true, ret_seconds))
            continue;
        if (i == 5)
            *ret_seconds -= floor_mod(*ret_seconds, 86400);
        return true;
    }
    return false;
}

static int to_unixtime_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const struct dtype *t = c->args[0].column->type;
    size_t n;
    int64_t v;
    (void)err;
    if (type_is_string(t)) {
        const uint8_t *p = value_text(&c->args[0], row, &n);
        *ret_null = !unixtime_of_text((const char *)p, n, c->state, &v);
    } else if (t->id == TYPE_DATE32) {
        v = (int64_t)value_int32(&c->args[0], row) * 86400;
    } else {
        v = value_int64(&c->args[0], row);
        if (t->id == TYPE_TIMESTAMP)
            v = floor_div(v, units_per_second(t->unit));
    }
    memcpy(ret_value, &v, 8);
    return ST_OK;
}

/* ---- from numbers ---- */

static int bind_from_unixtime(struct expr *e, struct error *err)
{
    TRY(expr_bind_cast(e, 0, type_of(TYPE_INT64), err));
    e->nullable = true;
    if (e->n_args == 1) {
        e->type = type_temporal(TYPE_TIMESTAMP, UNIT_SECOND);
        return ST_OK;
    }
    const struct column *zone = expr_literal(e->args[1]);
    char name[64];
    int32_t n;
    if (!zone || !type_is_string(zone->type) || column_is_null(zone, 0))
        return error_set(err, ST_EXECUTE_QUERY, "from_unixtime requires its second argument to be a constant string");
    const uint8_t *p = column_bytes(zone, 0, &n);
    if (n == 0 || n >= (int32_t)sizeof name || memchr(p, 0, (size_t)n))
        return error_set(err, ST_EXECUTE_QUERY, "from_unixtime: bad time zone");
    memcpy(name, p, (size_t)n);
    name[n] = 0;
    e->type = type_timestamp_zoned(UNIT_SECOND, name);
    return e->type ? ST_OK : error_no_memory(err, sizeof *e->type);
}

static int from_unixtime_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    int64_t v = value_int64(&c->args[0], row);
    (void)ret_null;
    (void)err;
    memcpy(ret_value, &v, 8);
    return ST_OK;
}

static int bind_parts(struct expr *e, struct error *err)
{
    for (uint32_t i = 0; i < 3; i++)
        TRY(expr_bind_cast(e, i, type_of(TYPE_INT32), err));
    e->type = e->function->op ? type_temporal(TYPE_TIME32, UNIT_SECOND) : type_of(TYPE_DATE32);
    return ST_OK;
}

static int make_date_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    int32_t y = value_int32(&c->args[0], row), m = value_int32(&c->args[1], row), d = value_int32(&c->args[2], row);
    (void)ret_null;
    if (y < -262143 || y > 262142 || m < 1 || m > 12 || d < 1 || d > days_in_month(y, m))
        return error_set(err, ST_EXECUTE_QUERY, "Unable to parse date from %d, %d, %d", y, m, d);
    memcpy(ret_value, &(int32_t){(int32_t)days_of_civil(y, m, d)}, 4);
    return ST_OK;
}

static int make_time_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    int32_t h = value_int32(&c->args[0], row), m = value_int32(&c->args[1], row), s = value_int32(&c->args[2], row);
    (void)ret_null;
    if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59)
        return error_set(err, ST_EXECUTE_QUERY, "Unable to parse time from %d, %d, %d", h, m, s);
    memcpy(ret_value, &(int32_t){h * 3600 + m * 60 + s}, 4);
    return ST_OK;
}

/* ---- to_local_time: what the clock shows, without the zone ---- */

static int bind_local(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type;
    if (t->id == TYPE_NULL)
        TRY(expr_bind_cast(e, 0, type_temporal(TYPE_TIMESTAMP, UNIT_NANO), err));
    t = e->args[0]->type;
    if (t->id != TYPE_TIMESTAMP)
        return expr_type_error(e, err);
    e->type = type_temporal(TYPE_TIMESTAMP, (enum time_unit)t->unit);
    return ST_OK;
}

static int local_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const struct dtype *t = c->args[0].column->type;
    int64_t v = value_int64(&c->args[0], row), per = units_per_second(t->unit);
    const struct tzif *zone;
    (void)ret_null;
    if (t->timezone) {
        TRY(zone_find(t->timezone, &zone, err));
        if (__builtin_add_overflow(v, tzif_at(zone, floor_div(v, per))->offset_s * per, &v))
            return error_set(err, ST_EXECUTE_QUERY, "a local time is out of range");
    }
    memcpy(ret_value, &v, 8);
    return ST_OK;
}

/* ---- date_add, date_sub ---- */

static int bind_shift(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type, *by = e->args[1]->type;
    bool interval = by->id >= TYPE_INTERVAL_YEAR_MONTH && by->id <= TYPE_INTERVAL_MONTH_DAY_NANO;
    if (!interval && by->id != TYPE_DURATION)
        TRY(expr_bind_cast(e, 1, type_of(TYPE_INTERVAL_MONTH_DAY_NANO), err));
    if (type_is_string(t) || t->id == TYPE_NULL)
        TRY(expr_bind_cast(e, 0, type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), err));
    t = e->args[0]->type;
    if (t->id != TYPE_TIMESTAMP && t->id != TYPE_DATE32 && t->id != TYPE_DATE64)
        return expr_type_error(e, err);
    e->type = type_ref(e->args[0]->type);
    return ST_OK;
}

static int kernel_shift(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                        struct error *err)
{
    return temporal_arithmetic(e, ctx, args, rows, e->function->op == 0, ret, err);
}

#define CONVERSION(name, max, bind, op, row)                                                                                                         \
    {                                                                                                                                                \
        name, 1, max, bind, kernel_in_session, op, max == 1, .fixed_row = row                                                                        \
    }

const struct function functions_convert[] = {
    CONVERSION("to_timestamp", 100, bind_to_timestamp, TO_ANY_TIMESTAMP, to_timestamp_row),
    CONVERSION("to_timestamp_seconds", 100, bind_to_timestamp, UNIT_SECOND, to_timestamp_row),
    CONVERSION("to_timestamp_millis", 100, bind_to_timestamp, UNIT_MILLI, to_timestamp_row),
    CONVERSION("to_timestamp_micros", 100, bind_to_timestamp, UNIT_MICRO, to_timestamp_row),
    CONVERSION("to_timestamp_nanos", 100, bind_to_timestamp, UNIT_NANO, to_timestamp_row),
    CONVERSION("to_date", 100, bind_to_date, 0, to_date_row),
    CONVERSION("to_time", 100, bind_to_time, 0, to_time_row),
    CONVERSION("to_unixtime", 1, bind_to_unixtime, 0, to_unixtime_row),
    CONVERSION("to_local_time", 1, bind_local, 0, local_row),
    {"from_unixtime", 1, 2, bind_from_unixtime, kernel_fixed_rows, 0, true, .fixed_row = from_unixtime_row},
    {"make_date", 3, 3, bind_parts, kernel_fixed_rows, 0, true, .fixed_row = make_date_row},
    {"make_time", 3, 3, bind_parts, kernel_fixed_rows, 1, true, .fixed_row = make_time_row},
    {"date_add", 2, 2, bind_shift, kernel_shift, 0, true},
    {"date_sub", 2, 2, bind_shift, kernel_shift, 1, true},
    {0},
};
