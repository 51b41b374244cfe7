/* date_trunc, date_bin, date_part and interval arithmetic (functions.md 1.6, 4.6). Timestamps without zone; zoned ones are UTC on a datanode. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "exec/temporal.h"

bool temporal_add(int64_t value, uint8_t unit, int64_t months, int64_t days, __int128 nanos, int64_t *ret)
{
    int64_t per_day = 86400 * units_per_second(unit), day = floor_div(value, per_day), rest = floor_mod(value, per_day);
    if (months) {
        int64_t year;
        int32_t month, dom;
        civil_of_days(day, &year, &month, &dom);
        int64_t all = year * 12 + month - 1;
        if (__builtin_add_overflow(all, months, &all))
            return false;
        year = floor_div(all, 12);
        month = (int32_t)(all - year * 12) + 1;
        if (year > 400000 || year < -400000)
            return false;
        int32_t last = days_in_month(year, month);
        day = days_of_civil(year, month, dom < last ? dom : last);
    }
    if (__builtin_add_overflow(day, days, &day))
        return false;
    __int128 scale = 1000000000 / units_per_second(unit), down = nanos / scale - (nanos % scale < 0); /* to the unit below, as for a point in time */
    __int128 t = (__int128)day * per_day + rest + down;
    if (t < INT64_MIN || t > INT64_MAX)
        return false;
    *ret = (int64_t)t;
    return true;
}

/* ---- arithmetic ---- */

static bool is_interval(const struct dtype *t)
{
    return t->id >= TYPE_INTERVAL_YEAR_MONTH && t->id <= TYPE_INTERVAL_MONTH_DAY_NANO;
}

static bool is_point(const struct dtype *t)
{
    return t->id == TYPE_TIMESTAMP || t->id == TYPE_DATE32 || t->id == TYPE_DATE64;
}

int temporal_bind(struct expr *e, bool add, struct error *err)
{
    struct dtype *a = e->args[0]->type, *b = e->args[1]->type;
    if (a->id == TYPE_NULL || b->id == TYPE_NULL) {
        e->type = type_ref(a->id == TYPE_NULL ? b : a);
        return expr_bind_cast(e, a->id == TYPE_NULL ? 0 : 1, e->type, err);
    }
    if (strcmp(e->function->name, "add") != 0 && strcmp(e->function->name, "subtract") != 0)
        return expr_type_error(e, err);
    if (is_point(a) && (is_interval(b) || b->id == TYPE_DURATION)) {
        e->type = type_ref(a);
    } else if (add && is_point(b) && (is_interval(a) || a->id == TYPE_DURATION)) {
        e->type = type_ref(b);
    } else if (!add && a->id == TYPE_DATE32 && b->id == TYPE_DATE32) {
        e->type = type_of(TYPE_INT64);
    } else if (!add && is_point(a) && is_point(b)) {
        TRY(expr_bind_common(e, 0, 1, false, err));
        const struct dtype *both = e->args[0]->type;
        e->type = type_temporal(TYPE_DURATION, both->id == TYPE_DATE64 ? UNIT_MILLI : (enum time_unit)both->unit);
    } else if (a->id == TYPE_DURATION && b->id == TYPE_DURATION && a->unit == b->unit) {
        e->type = type_ref(a);
    } else if (is_interval(a) && is_interval(b)) {
        TRY(expr_bind_cast(e, 0, type_of(TYPE_INTERVAL_MONTH_DAY_NANO), err));
        TRY(expr_bind_cast(e, 1, type_of(TYPE_INTERVAL_MONTH_DAY_NANO), err));
        e->type = type_of(TYPE_INTERVAL_MONTH_DAY_NANO);
    } else {
        return expr_type_error(e, err);
    }
    return ST_OK;
}

struct span { int64_t months, days; __int128 nanos; };

/* An interval or duration of row i. */
static struct span span_at(const struct value *v, int64_t i)
{
    const struct column *c = v->column;
    const uint8_t *base = c->buffers[0]->data + (c->offset + (v->scalar ? 0 : i)) * type_width(c->type);
    int32_t a, b;
    int64_t n;
    switch ((enum type_id)c->type->id) {
    case TYPE_INTERVAL_YEAR_MONTH:
        memcpy(&a, base, 4);
        return (struct span){a, 0, 0};
    case TYPE_INTERVAL_DAY_TIME:
        memcpy(&a, base, 4);
        memcpy(&b, base + 4, 4);
        return (struct span){0, a, (int64_t)b * 1000000};
    case TYPE_DURATION:
        memcpy(&n, base, 8);
        return (struct span){0, 0, (__int128)n * (1000000000 / units_per_second(c->type->unit))};
    default:
        memcpy(&a, base, 4);
        memcpy(&b, base + 4, 4);
        memcpy(&n, base + 8, 8);
        return (struct span){a, b, n};
    }
}

static int64_t number_at(const struct value *v, int64_t i)
{
    int64_t at = v->scalar ? 0 : i;
    return type_width(v->column->type) == 4 ? COLUMN_VALUES(v->column, int32_t)[at] : COLUMN_VALUES(v->column, int64_t)[at];
}

/* point ± span */
static bool move_point(const struct dtype *t, int64_t point, struct span s, bool add, int64_t *ret)
{
    int sign = add ? 1 : -1;
    if (t->id == TYPE_DATE32) {
        int64_t days = s.days + (int64_t)(s.nanos / 86400000000000);
        int64_t moved;
        if (!temporal_add(point * 86400, UNIT_SECOND, sign * s.months, sign * days, 0, &moved))
            return false;
        *ret = floor_div(moved, 86400);
        return *ret >= INT32_MIN && *ret <= INT32_MAX;
    }
    return temporal_add(point, t->id == TYPE_DATE64 ? UNIT_MILLI : t->unit, sign * s.months, sign * s.days, sign * s.nanos, ret);
}

static bool one_row(const struct expr *e, const struct value *args, int64_t i, bool add, uint8_t *out)
{
    const struct dtype *a = args[0].column->type, *b = args[1].column->type;
    int64_t result;
    if (is_interval(a) && is_interval(b)) {
        struct span x = span_at(&args[0], i), y = span_at(&args[1], i);
        struct { int32_t months, days; int64_t nanos; } sum;
        int sign = add ? 1 : -1;
        if (__builtin_add_overflow(x.months, sign * y.months, &sum.months) || __builtin_add_overflow(x.days, sign * y.days, &sum.days) ||
            (add ? __builtin_add_overflow(x.nanos, y.nanos, &sum.nanos) : __builtin_sub_overflow(x.nanos, y.nanos, &sum.nanos)))
            return false;
        memcpy(out + i * 16, &sum, 16);
        return true;
    }
    bool good;
    bool span_second = is_interval(b) || (b->id == TYPE_DURATION && a->id != TYPE_DURATION);
    bool span_first = is_interval(a) || (a->id == TYPE_DURATION && b->id != TYPE_DURATION);
    if (span_second && b->id == TYPE_DURATION && b->unit == a->unit && a->id == TYPE_TIMESTAMP)
        span_second = false; /* plain numbers of one unit: exact for any size */
    if (span_first && a->id == TYPE_DURATION && a->unit == b->unit && b->id == TYPE_TIMESTAMP)
        span_first = false;
    if (span_second)
        good = move_point(a, number_at(&args[0], i), span_at(&args[1], i), add, &result);
    else if (span_first)
        good = move_point(b, number_at(&args[1], i), span_at(&args[0], i), true, &result);
    else if (add)
        good = !__builtin_add_overflow(number_at(&args[0], i), number_at(&args[1], i), &result);
    else
        good = !__builtin_sub_overflow(number_at(&args[0], i), number_at(&args[1], i), &result);
    if (good)
        memcpy(out + i * type_width(e->type), &result, (size_t)type_width(e->type));
    return good;
}

int temporal_arithmetic(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, bool add, struct column **ret,
                        struct error *err)
{
    struct buffer *validity, *values;
    int64_t nulls;
    TRY(kernel_validity(ctx->budget, args, 2, rows, &validity, &nulls, err));
    int st = buffer_new(ctx->budget, (size_t)rows * (size_t)type_width(e->type), &values, err);
    for (int64_t i = 0; st == ST_OK && i < rows; i++)
        if ((!validity || bit_get(validity->data, i)) && !one_row(e, args, i, add, values->data)) {
            buffer_unref(values);
            st = error_set(err, ST_EXECUTE_QUERY, "Timestamp out of range or overflow in date arithmetic");
        }
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

/* ---- date_trunc ---- */

enum { TRUNC_MICRO, TRUNC_MILLI, TRUNC_SECOND, TRUNC_MINUTE, TRUNC_HOUR, TRUNC_DAY, TRUNC_WEEK, TRUNC_MONTH, TRUNC_QUARTER, TRUNC_YEAR, TRUNC_NONE };

static int trunc_unit(const struct column *c)
{
    static const char *const names[] = {"microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"};
    int32_t n;
    const uint8_t *p = column_bytes(c, 0, &n);
    for (int i = 0; i < TRUNC_NONE; i++)
        if (strlen(names[i]) == (size_t)n && strncasecmp(names[i], (const char *)p, (size_t)n) == 0)
            return i;
    return TRUNC_NONE;
}

static int bind_trunc(struct expr *e, struct error *err)
{
    struct column *unit = expr_literal(e->args[0]);
    if (type_is_string(e->args[1]->type) || e->args[1]->type->id == TYPE_DATE32)
        TRY(expr_bind_cast(e, 1, type_temporal(TYPE_TIMESTAMP, UNIT_NANO), err));
    if (!unit || !type_is_string(unit->type) || column_is_null(unit, 0) || e->args[1]->type->id != TYPE_TIMESTAMP)
        return expr_type_error(e, err);
    if (trunc_unit(unit) == TRUNC_NONE)
        return error_set(err, ST_EXECUTE_QUERY, "Unsupported date_trunc granularity");
    e->type = type_ref(e->args[1]->type);
    return ST_OK;
}

static int64_t saturated(__int128 t)
{
    return t < INT64_MIN ? INT64_MIN : t > INT64_MAX ? INT64_MAX : (int64_t)t;
}

static int64_t trunc_calendar(int64_t value, int what, int64_t per_second)
{
    int64_t per_day = 86400 * per_second, day = floor_div(value, per_day), year;
    int32_t month, dom;
    if (what == TRUNC_WEEK) /* 1970-01-01 was a Thursday */
        return saturated((__int128)(day - weekday_of_days(day)) * per_day);
    civil_of_days(day, &year, &month, &dom);
    if (what == TRUNC_QUARTER)
        month = (month - 1) / 3 * 3 + 1;
    else if (what == TRUNC_YEAR)
        month = 1;
    return saturated((__int128)days_of_civil(year, month, 1) * per_day);
}

static int kernel_trunc(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    static const int64_t seconds[] = {[TRUNC_SECOND] = 1, [TRUNC_MINUTE] = 60, [TRUNC_HOUR] = 3600, [TRUNC_DAY] = 86400};
    struct buffer *validity, *values;
    int64_t nulls, per = units_per_second(e->type->unit);
    int what = trunc_unit(args[0].column);
    int64_t width = what == TRUNC_MICRO ? per / 1000000 : what == TRUNC_MILLI ? per / 1000 : what <= TRUNC_DAY ? seconds[what] * per : 0;
    TRY(kernel_validity(ctx->budget, &args[1], 1, rows, &validity, &nulls, err));
    int st = buffer_new_uninit(ctx->budget, (size_t)rows * 8, &values, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    const int64_t *in = COLUMN_VALUES(args[1].column, int64_t);
    int64_t *out = (int64_t *)(void *)values->data;
    if (what > TRUNC_DAY) {
        for (int64_t i = 0; i < rows; i++)
            out[i] = trunc_calendar(in[i], what, per);
    } else if (width <= 1) {
        memcpy(out, in, (size_t)rows * 8);
    } else {
        /* Neighbours usually fall into one bucket: a comparison is cheaper than a division. */
        int64_t from = 1, to = 0;
        for (int64_t i = 0; i < rows; i++) {
            if (in[i] < from || in[i] >= to) {
                if (__builtin_sub_overflow(in[i], floor_mod(in[i], width), &from))
                    from = INT64_MIN;
                if (__builtin_add_overflow(from, width, &to))
                    to = INT64_MAX;
            }
            out[i] = from;
        }
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

/* ---- date_bin ---- */

static int bind_bin(struct expr *e, struct error *err)
{
    if (!is_interval(e->args[0]->type) && e->args[0]->type->id != TYPE_DURATION)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_INTERVAL_MONTH_DAY_NANO), err));
    if (type_is_string(e->args[1]->type) || e->args[1]->type->id == TYPE_DATE32)
        TRY(expr_bind_cast(e, 1, type_temporal(TYPE_TIMESTAMP, UNIT_NANO), err));
    if (!expr_is_scalar(e->args[0]) || e->args[1]->type->id != TYPE_TIMESTAMP)
        return expr_type_error(e, err);
    if (e->n_args == 3) {
        if (e->args[2]->type->id != TYPE_TIMESTAMP)
            TRY(expr_bind_cast(e, 2, type_temporal(TYPE_TIMESTAMP, UNIT_NANO), err));
        if (!expr_is_scalar(e->args[2]))
            return expr_type_error(e, err);
    }
    e->type = type_ref(e->args[1]->type);
    e->nullable = true;
    return ST_OK;
}

static __int128 bin_fixed(__int128 t, __int128 origin, __int128 stride)
{
    __int128 d = t - origin, m = d - d % stride;
    if (stride > 1 && d < 0 && m != d)
        m -= stride;
    return origin + m;
}

static __int128 bin_months(__int128 t, __int128 origin, int64_t stride)
{
    int64_t origin_day = floor_div((int64_t)(origin / 1000000000), 86400), day = floor_div((int64_t)(t / 1000000000), 86400), oy, y;
    int32_t om, od, m, d;
    civil_of_days(origin_day, &oy, &om, &od);
    civil_of_days(day, &y, &m, &d);
    int64_t delta = (y - oy) * 12 + (m - om), bin = floor_div(delta, stride) * stride;
    int64_t at;
    if (!temporal_add((int64_t)(origin / 1000000000), UNIT_SECOND, bin, 0, 0, &at))
        return t;
    if ((__int128)at * 1000000000 > t)
        (void)temporal_add((int64_t)(origin / 1000000000), UNIT_SECOND, bin - stride, 0, 0, &at);
    return (__int128)at * 1000000000;
}

static int kernel_bin(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *validity, *values;
    int64_t nulls, scale = 1000000000 / units_per_second(e->type->unit);
    __int128 origin = 0;
    if (column_is_null(args[0].column, 0) || (e->n_args == 3 && column_is_null(args[2].column, 0)))
        return column_new_nulls(ctx->budget, e->type, rows, ret, err);
    struct span s = span_at(&args[0], 0);
    __int128 stride = (__int128)s.days * 86400000000000 + s.nanos;
    if (e->n_args == 3)
        origin = (__int128)COLUMN_VALUES(args[2].column, int64_t)[0] * (1000000000 / units_per_second(args[2].column->type->unit));
    if (s.months ? stride != 0 || s.months < 0 : stride <= 0)
        return error_set(err, ST_EXECUTE_QUERY, "DATE_BIN stride must be non-zero and of months or of days and time, not both");
    TRY(kernel_validity(ctx->budget, &args[1], 1, rows, &validity, &nulls, err));
    int st = buffer_new_uninit(ctx->budget, (size_t)rows * 8, &values, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    const int64_t *in = COLUMN_VALUES(args[1].column, int64_t);
    int64_t *out = (int64_t *)(void *)values->data;
    for (int64_t i = 0; i < rows; i++) {
        __int128 t = (__int128)in[args[1].scalar ? 0 : i] * scale;
        out[i] = (int64_t)((s.months ? bin_months(t, origin, s.months) : bin_fixed(t, origin, stride)) / scale);
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

/* ---- date_part ---- */

enum { PART_YEAR, PART_QUARTER, PART_MONTH, PART_WEEK, PART_DAY, PART_HOUR, PART_MINUTE, PART_SECOND, PART_MILLI, PART_MICRO, PART_DOW, PART_ISODOW, PART_DOY,
       PART_EPOCH, PART_ISOYEAR, PART_NONE };

static int part_of(const struct column *c)
{
    static const struct { const char *name; int part; } names[] = {{"year", PART_YEAR}, {"years", PART_YEAR}, {"y", PART_YEAR}, {"quarter", PART_QUARTER},
        {"qtr", PART_QUARTER}, {"month", PART_MONTH}, {"months", PART_MONTH}, {"mon", PART_MONTH}, {"mons", PART_MONTH}, {"week", PART_WEEK},
        {"weeks", PART_WEEK}, {"w", PART_WEEK}, {"day", PART_DAY}, {"days", PART_DAY}, {"d", PART_DAY}, {"hour", PART_HOUR}, {"hours", PART_HOUR},
        {"h", PART_HOUR}, {"hr", PART_HOUR}, {"hrs", PART_HOUR}, {"minute", PART_MINUTE}, {"minutes", PART_MINUTE}, {"min", PART_MINUTE}, {"mins", PART_MINUTE},
        {"m", PART_MINUTE}, {"second", PART_SECOND}, {"seconds", PART_SECOND}, {"sec", PART_SECOND}, {"secs", PART_SECOND}, {"s", PART_SECOND},
        {"millisecond", PART_MILLI}, {"milliseconds", PART_MILLI}, {"ms", PART_MILLI}, {"msec", PART_MILLI}, {"microsecond", PART_MICRO},
        {"microseconds", PART_MICRO}, {"us", PART_MICRO}, {"usec", PART_MICRO}, {"dow", PART_DOW}, {"isodow", PART_ISODOW}, {"doy", PART_DOY},
        {"epoch", PART_EPOCH}, {"isoyear", PART_ISOYEAR}};
    int32_t n;
    const uint8_t *p = column_bytes(c, 0, &n);
    while (n > 1 && (*p == '\'' || *p == '"')) {
        p++;
        n -= 2;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == (size_t)n && strncasecmp(names[i].name, (const char *)p, (size_t)n) == 0)
            return names[i].part;
    return PART_NONE;
}

static int bind_part(struct expr *e, struct error *err)
{
    struct column *part = expr_literal(e->args[0]);
    const struct dtype *t = e->args[1]->type;
    if (type_is_string(t))
        TRY(expr_bind_cast(e, 1, type_temporal(TYPE_TIMESTAMP, UNIT_NANO), err));
    t = e->args[1]->type;
    if (!part || !type_is_string(part->type) || column_is_null(part, 0) || (t->id != TYPE_TIMESTAMP && t->id != TYPE_DATE32))
        return expr_type_error(e, err);
    if (part_of(part) == PART_NONE)
        return error_set(err, ST_EXECUTE_QUERY, "Date part not supported by date_part");
    e->type = type_of(part_of(part) == PART_EPOCH ? TYPE_FLOAT64 : TYPE_INT32);
    return ST_OK;
}

static int64_t part_at(int part, int64_t value, int64_t per)
{
    int64_t per_day = 86400 * per, day = floor_div(value, per_day), rest = floor_mod(value, per_day), year, iso_year;
    int32_t month, dom;
    civil_of_days(day, &year, &month, &dom);
    switch (part) {
    case PART_YEAR: return year;
    case PART_QUARTER: return (month - 1) / 3 + 1;
    case PART_MONTH: return month;
    case PART_WEEK: return iso_week_of_days(day, &iso_year);
    case PART_ISOYEAR: iso_week_of_days(day, &iso_year); return iso_year;
    case PART_DAY: return dom;
    case PART_HOUR: return rest / (3600 * per);
    case PART_MINUTE: return rest / (60 * per) % 60;
    case PART_SECOND: return rest / per % 60;
    case PART_MILLI: return (int64_t)((__int128)(rest % (60 * per)) * 1000 / per);
    case PART_MICRO: return (int64_t)((__int128)(rest % (60 * per)) * 1000000 / per);
    case PART_DOW: return (weekday_of_days(day) + 1) % 7;
    case PART_ISODOW: return weekday_of_days(day);
    default: return day - days_of_civil(year, 1, 1) + 1;
    }
}

static int kernel_part(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *validity, *values;
    const struct dtype *t = args[1].column->type;
    int64_t nulls, per = t->id == TYPE_DATE32 ? 1 : units_per_second(t->unit), scale = t->id == TYPE_DATE32 ? 86400 : 1;
    int part = part_of(args[0].column);
    TRY(kernel_validity(ctx->budget, &args[1], 1, rows, &validity, &nulls, err));
    int st = buffer_new_uninit(ctx->budget, (size_t)rows * (size_t)type_width(e->type), &values, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    for (int64_t i = 0; i < rows; i++) {
        int64_t v = number_at(&args[1], i) * scale;
        if (part == PART_EPOCH)
            ((double *)(void *)values->data)[i] = (double)v / (double)per;
        else
            ((int32_t *)(void *)values->data)[i] = (int32_t)part_at(part, v, per);
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

const struct function functions_time[] = {
    {"date_trunc", 2, 2, bind_trunc, kernel_trunc, 0, false},
    {"date_bin", 2, 3, bind_bin, kernel_bin, 0, false},
    {"date_part", 2, 2, bind_part, kernel_part, 0, false},
    {0},
};
