/* Arithmetic of dates, timestamps, durations and intervals (functions.md 4.6). Months and days of zoned timestamps step by the local calendar. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "exec/temporal.h"
#include "exec/zone.h"

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
    if (is_point(a) && (type_is_interval(b) || b->id == TYPE_DURATION)) {
        e->type = type_ref(a);
    } else if (add && is_point(b) && (type_is_interval(a) || a->id == TYPE_DURATION)) {
        e->type = type_ref(b);
    } else if (!add && a->id == TYPE_DATE32 && b->id == TYPE_DATE32) {
        e->type = type_of(TYPE_INT64);
    } else if (!add && is_point(a) && is_point(b)) {
        TRY(expr_bind_common(e, 0, 1, false, err));
        const struct dtype *both = e->args[0]->type;
        e->type = both->id == TYPE_DATE64 ? type_of(TYPE_INT64) : type_temporal(TYPE_DURATION, (enum time_unit)both->unit);
    } else if (a->id == TYPE_DURATION && b->id == TYPE_DURATION && a->unit == b->unit) {
        e->type = type_ref(a);
    } else if (type_is_interval(a) && a->id == b->id) {
        e->type = type_ref(a);
    } else if (type_is_interval(a) && type_is_interval(b)) {
        TRY(expr_bind_cast(e, 0, type_of(TYPE_INTERVAL_MONTH_DAY_NANO), err));
        TRY(expr_bind_cast(e, 1, type_of(TYPE_INTERVAL_MONTH_DAY_NANO), err));
        e->type = type_of(TYPE_INTERVAL_MONTH_DAY_NANO);
    } else {
        return expr_type_error(e, err);
    }
    return ST_OK;
}

struct span span_at(const struct value *v, int64_t i)
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

/* Months and days on the local calendar of a zone, then the exact rest. */
static bool move_local(const struct tzif *zone, uint8_t unit, int64_t point, struct span s, int sign, int64_t *ret)
{
    int64_t per = units_per_second(unit), local, moved, seconds = floor_div(point, per), found[2];
    if (__builtin_add_overflow(point, tzif_at(zone, seconds)->offset_s * per, &local) || !temporal_add(local, unit, sign * s.months, sign * s.days, 0, &moved))
        return false;
    if (tzif_from_local(zone, floor_div(moved, per), found) != 1)
        return false; /* skipped or twice */
    return temporal_add(moved - (floor_div(moved, per) - found[0]) * per, unit, 0, 0, sign * s.nanos, ret);
}

/* point ± span. Dates move by whole days: the hours of an interval go, and those of a Date64, both towards zero, as in Arrow. */
static bool move_point(const struct dtype *t, const struct tzif *zone, int64_t point, struct span s, bool add, int64_t *ret)
{
    int sign = add ? 1 : -1;
    if (zone && (s.months || s.days))
        return move_local(zone, t->unit, point, s, sign, ret);
    if (t->id != TYPE_TIMESTAMP) {
        int64_t moved, per_day = t->id == TYPE_DATE64 ? 86400000 : 1, days = s.days + (int64_t)(s.nanos / 86400000000000);
        if (!temporal_add(point / per_day * 86400, UNIT_SECOND, sign * s.months, sign * days, 0, &moved))
            return false;
        moved = floor_div(moved, 86400);
        *ret = moved * per_day;
        return moved >= INT32_MIN && moved <= INT32_MAX;
    }
    return temporal_add(point, t->unit, sign * s.months, sign * s.days, sign * s.nanos, ret);
}

struct month_day_nano { int32_t months, days; int64_t nanos; };

/* A sum or difference of two intervals of this type. */
static bool write_interval(const struct month_day_nano *v, const struct dtype *t, uint8_t *out)
{
    int64_t ms = v->nanos / 1000000;
    int32_t parts[2] = {v->days, (int32_t)ms};
    if (t->id == TYPE_INTERVAL_DAY_TIME)
        memcpy(out, parts, sizeof parts);
    else
        memcpy(out, v, (size_t)type_width(t)); /* the months come first */
    return t->id != TYPE_INTERVAL_DAY_TIME || ms == parts[1];
}

static bool one_row(const struct expr *e, const struct value *args, const struct tzif *zone, int64_t i, bool add, uint8_t *out)
{
    const struct dtype *a = args[0].column->type, *b = args[1].column->type;
    int64_t result;
    if (type_is_interval(a) && type_is_interval(b)) {
        struct span x = span_at(&args[0], i), y = span_at(&args[1], i);
        struct month_day_nano sum;
        int sign = add ? 1 : -1;
        if (__builtin_add_overflow(x.months, sign * y.months, &sum.months) || __builtin_add_overflow(x.days, sign * y.days, &sum.days) ||
            (add ? __builtin_add_overflow(x.nanos, y.nanos, &sum.nanos) : __builtin_sub_overflow(x.nanos, y.nanos, &sum.nanos)))
            return false;
        return write_interval(&sum, e->type, out + i * type_width(e->type));
    }
    bool good;
    bool span_second = type_is_interval(b) || (b->id == TYPE_DURATION && a->id != TYPE_DURATION);
    bool span_first = type_is_interval(a) || (a->id == TYPE_DURATION && b->id != TYPE_DURATION);
    if (span_second && b->id == TYPE_DURATION && b->unit == a->unit && a->id == TYPE_TIMESTAMP)
        span_second = false; /* plain numbers of one unit: exact for any size */
    if (span_first && a->id == TYPE_DURATION && a->unit == b->unit && b->id == TYPE_TIMESTAMP)
        span_first = false;
    if (span_second)
        good = move_point(a, zone, value_number(&args[0], i), span_at(&args[1], i), add, &result);
    else if (span_first)
        good = move_point(b, zone, value_number(&args[1], i), span_at(&args[0], i), true, &result);
    else if (add)
        good = !__builtin_add_overflow(value_number(&args[0], i), value_number(&args[1], i), &result);
    else
        good = !__builtin_sub_overflow(value_number(&args[0], i), value_number(&args[1], i), &result);
    if (good && a->id == TYPE_DATE64 && b->id == TYPE_DATE64)
        result /= 86400000; /* the days between dates, as of those that count days */
    if (good)
        memcpy(out + i * type_width(e->type), &result, (size_t)type_width(e->type));
    return good;
}

int temporal_arithmetic(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, bool add, struct column **ret,
                        struct error *err)
{
    struct buffer *validity, *values;
    const struct tzif *zone;
    int64_t nulls;
    TRY(zone_of_type(e->type, &zone, err));
    TRY(kernel_validity(ctx->budget, args, 2, rows, &validity, &nulls, err));
    int st = buffer_new(ctx->budget, (size_t)rows * (size_t)type_width(e->type), &values, err);
    for (int64_t i = 0; st == ST_OK && i < rows; i++)
        if ((!validity || bit_get(validity->data, i)) && !one_row(e, args, zone, i, add, values->data)) {
            buffer_unref(values);
            st = error_set(err, ST_EXECUTE_QUERY, "Timestamp out of range or overflow in date arithmetic");
        }
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}
