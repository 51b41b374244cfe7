/* date_trunc, date_bin and date_part (functions.md 1.6). Zoned timestamps are truncated and taken apart by their local clock; bins count in UTC.
 *
 * Buckets of whole units need a division a row, less when neighbours share one; calendar units go through the civil date.
 */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "exec/kernel_typed.h"
#include "exec/temporal.h"
#include "exec/zone.h"

#define DAY_NS 86400000000000LL
enum { SECOND_NS = 1000000000 };

static bool is_clock(const struct dtype *t)
{
    return t->id == TYPE_TIME32 || t->id == TYPE_TIME64;
}

/* Text and dates as timestamps. */
static int bind_point(struct expr *e, uint32_t i, struct error *err)
{
    const struct dtype *t = e->args[i]->type;
    bool convert = type_is_string(t) || t->id == TYPE_DATE32 || t->id == TYPE_NULL;
    return convert ? expr_bind_cast(e, i, type_temporal(TYPE_TIMESTAMP, UNIT_NANO), err) : ST_OK;
}

/* A timestamp's distance from its local clock, in its own units. */
static int64_t local_shift(const struct tzif *zone, int64_t value, int64_t per_second)
{
    return zone ? tzif_at(zone, floor_div(value, per_second))->offset_s * per_second : 0;
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
    TRY(bind_point(e, 1, err));
    const struct dtype *t = e->args[1]->type;
    if (!unit || !type_is_string(unit->type) || column_is_null(unit, 0) || (t->id != TYPE_TIMESTAMP && !is_clock(t)))
        return expr_type_error(e, err);
    if (trunc_unit(unit) == TRUNC_NONE || (is_clock(t) && trunc_unit(unit) > TRUNC_HOUR))
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
    if (what == TRUNC_DAY)
        return saturated((__int128)day * per_day);
    if (what == TRUNC_WEEK)
        return saturated((__int128)(day - weekday_of_days(day)) * per_day);
    civil_of_days(day, &year, &month, &dom);
    if (what == TRUNC_QUARTER)
        month = (month - 1) / 3 * 3 + 1;
    else if (what == TRUNC_YEAR)
        month = 1;
    return saturated((__int128)days_of_civil(year, month, 1) * per_day);
}

/* A local time back in UTC. One that comes twice keeps the offset that the value had; one that is skipped: that of three hours before, as in the
 * peer. */
static int64_t from_local(const struct tzif *zone, int64_t local, int64_t per_second, int64_t shift)
{
    int64_t seconds = floor_div(local, per_second), found[2];
    int n = tzif_from_local(zone, seconds, found);
    if (n == 1)
        return saturated((__int128)local - (__int128)(seconds - found[0]) * per_second);
    if (n == 0)
        shift = local_shift(zone, local - 3 * 3600 * per_second, per_second);
    return saturated((__int128)local - shift);
}

static int64_t trunc_local(const struct tzif *zone, int64_t value, int what, int64_t width, int64_t per_second)
{
    int64_t shift = local_shift(zone, value, per_second), local = saturated((__int128)value + shift);
    local = what >= TRUNC_DAY ? trunc_calendar(local, what, per_second) : saturated((__int128)local - floor_mod(local, width));
    return from_local(zone, local, per_second, shift);
}

/* Neighbours usually fall into one bucket: a comparison is cheaper than a division. */
static void trunc_fixed(const int64_t *in, int64_t *out, int64_t rows, int64_t width)
{
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

static void trunc_rows(const struct column *c, const struct tzif *zone, int what, int64_t rows, uint8_t *values)
{
    static const int64_t seconds[] = {[TRUNC_SECOND] = 1, [TRUNC_MINUTE] = 60, [TRUNC_HOUR] = 3600, [TRUNC_DAY] = 86400};
    int64_t per = units_per_second(c->type->unit);
    int64_t width = what == TRUNC_MICRO ? per / 1000000 : what == TRUNC_MILLI ? per / 1000 : what <= TRUNC_DAY ? seconds[what] * per : 0;
    if (type_width(c->type) == 4) {
        const int32_t *in = COLUMN_VALUES(c, int32_t);
        for (int64_t i = 0; i < rows; i++)
            ((int32_t *)(void *)values)[i] = width <= 1 ? in[i] : in[i] - (int32_t)floor_mod(in[i], width);
        return;
    }
    const int64_t *in = COLUMN_VALUES(c, int64_t);
    int64_t *out = (int64_t *)(void *)values;
    if (what <= TRUNC_DAY && width <= 1)
        memcpy(out, in, (size_t)rows * 8);
    else if (zone)
        for (int64_t i = 0; i < rows; i++)
            out[i] = trunc_local(zone, in[i], what, width, per);
    else if (what > TRUNC_DAY)
        for (int64_t i = 0; i < rows; i++)
            out[i] = trunc_calendar(in[i], what, per);
    else
        trunc_fixed(in, out, rows, width);
}

static int kernel_trunc(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                        struct error *err)
{
    struct buffer *validity, *values;
    const struct tzif *zone;
    int64_t nulls;
    TRY(zone_of_type(e->type, &zone, err));
    TRY(kernel_validity(ctx->budget, &args[1], 1, rows, &validity, &nulls, err));
    int st = buffer_new_uninit(ctx->budget, (size_t)rows * (size_t)type_width(e->type), &values, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    trunc_rows(args[1].column, zone, trunc_unit(args[0].column), rows, values->data);
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

/* ---- date_bin ---- */

static int bind_bin(struct expr *e, struct error *err)
{
    if (!type_is_interval(e->args[0]->type) && e->args[0]->type->id != TYPE_DURATION)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_INTERVAL_MONTH_DAY_NANO), err));
    TRY(bind_point(e, 1, err));
    const struct dtype *t = e->args[1]->type;
    if (!expr_is_scalar(e->args[0]) || (t->id != TYPE_TIMESTAMP && !is_clock(t)))
        return expr_type_error(e, err);
    if (e->n_args == 3) {
        if (!is_clock(t))
            TRY(bind_point(e, 2, err));
        if (!expr_is_scalar(e->args[2]) || is_clock(e->args[2]->type) != is_clock(t) || (!is_clock(t) && e->args[2]->type->id != TYPE_TIMESTAMP))
            return expr_type_error(e, err);
    }
    e->type = type_ref(e->args[1]->type);
    e->nullable = true;
    return ST_OK;
}

/* A negative stride goes towards the origin, as the peer's does. */
static __int128 bin_fixed(__int128 t, __int128 origin, __int128 stride)
{
    __int128 d = t - origin, m = d - d % stride;
    if (stride > 1 && d < 0 && m != d)
        m -= stride;
    return origin + m;
}

static __int128 bin_months(__int128 t, __int128 origin, int64_t stride)
{
    int64_t origin_s = (int64_t)(origin / SECOND_NS), origin_day = floor_div(origin_s, 86400), day = floor_div((int64_t)(t / SECOND_NS), 86400), oy,
            y, at;
    int32_t om, od, m, d;
    civil_of_days(origin_day, &oy, &om, &od);
    civil_of_days(day, &y, &m, &d);
    int64_t bin = (int64_t)bin_fixed((y - oy) * 12 + (m - om), 0, stride);
    if (!temporal_add(origin_s, UNIT_SECOND, bin, 0, 0, &at))
        return t;
    if ((__int128)at * SECOND_NS > t)
        (void)temporal_add(origin_s, UNIT_SECOND, bin - stride, 0, 0, &at);
    return (__int128)at * SECOND_NS;
}

static int kernel_bin(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *validity, *values;
    int64_t nulls, scale = SECOND_NS / units_per_second(e->type->unit);
    int32_t width = type_width(e->type);
    __int128 origin = 0;
    if (column_is_null(args[0].column, 0))
        return column_new_nulls(ctx->budget, e->type, rows, ret, err);
    if (e->n_args == 3 && column_is_null(args[2].column, 0))
        return error_set(err, ST_EXECUTE_QUERY, "DATE_BIN expects a timestamp or a time as its origin, not NULL");
    struct span s = span_at(&args[0], 0);
    __int128 stride = (__int128)s.days * DAY_NS + s.nanos;
    if (e->n_args == 3)
        origin = (__int128)value_number(&args[2], 0) * (SECOND_NS / units_per_second(args[2].column->type->unit));
    if (s.months ? stride != 0 : stride == 0)
        return error_set(err, ST_EXECUTE_QUERY, "DATE_BIN stride must be non-zero and of months or of days and time, not both");
    if (is_clock(e->type) && (s.months || stride >= DAY_NS))
        return error_set(err, ST_EXECUTE_QUERY, "DATE_BIN stride for TIME input must be less than 1 day");
    TRY(kernel_validity(ctx->budget, &args[1], 1, rows, &validity, &nulls, err));
    int st = buffer_new_uninit(ctx->budget, (size_t)rows * (size_t)width, &values, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    for (int64_t i = 0; i < rows; i++) {
        __int128 t = (__int128)value_number(&args[1], i) * scale;
        int64_t bin = (int64_t)((s.months ? bin_months(t, origin, s.months) : bin_fixed(t, origin, stride)) / scale);
        if (is_clock(e->type))
            bin = floor_mod(bin, 86400 * units_per_second(e->type->unit));
        memcpy(values->data + i * width, &bin, (size_t)width);
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

/* ---- date_part ---- */

enum {
    PART_YEAR,
    PART_QUARTER,
    PART_MONTH,
    PART_WEEK,
    PART_DAY,
    PART_HOUR,
    PART_MINUTE,
    PART_SECOND,
    PART_MILLI,
    PART_MICRO,
    PART_DOW,
    PART_ISODOW,
    PART_DOY,
    PART_EPOCH,
    PART_ISOYEAR,
    PART_NONE
};

static int part_of(const struct column *c)
{
    static const struct {
        const char *name;
        int part;
    } names[] = {{"year", PART_YEAR},
                 {"years", PART_YEAR},
                 {"y", PART_YEAR},
                 {"quarter", PART_QUARTER},
                 {"qtr", PART_QUARTER},
                 {"month", PART_MONTH},
                 {"months", PART_MONTH},
                 {"mon", PART_MONTH},
                 {"mons", PART_MONTH},
                 {"week", PART_WEEK},
                 {"weeks", PART_WEEK},
                 {"w", PART_WEEK},
                 {"day", PART_DAY},
                 {"days", PART_DAY},
                 {"d", PART_DAY},
                 {"hour", PART_HOUR},
                 {"hours", PART_HOUR},
                 {"h", PART_HOUR},
                 {"hr", PART_HOUR},
                 {"hrs", PART_HOUR},
                 {"minute", PART_MINUTE},
                 {"minutes", PART_MINUTE},
                 {"min", PART_MINUTE},
                 {"mins", PART_MINUTE},
                 {"m", PART_MINUTE},
                 {"second", PART_SECOND},
                 {"seconds", PART_SECOND},
                 {"sec", PART_SECOND},
                 {"secs", PART_SECOND},
                 {"s", PART_SECOND},
                 {"millisecond", PART_MILLI},
                 {"milliseconds", PART_MILLI},
                 {"ms", PART_MILLI},
                 {"msec", PART_MILLI},
                 {"microsecond", PART_MICRO},
                 {"microseconds", PART_MICRO},
                 {"us", PART_MICRO},
                 {"usec", PART_MICRO},
                 {"dow", PART_DOW},
                 {"isodow", PART_ISODOW},
                 {"doy", PART_DOY},
                 {"epoch", PART_EPOCH},
                 {"isoyear", PART_ISOYEAR}};
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

/* Parts that a type has: a clock has no date, an interval no week. */
static bool has_part(const struct dtype *t, int part)
{
    if (is_clock(t))
        return (part >= PART_HOUR && part <= PART_MICRO) || part == PART_EPOCH;
    if (type_is_interval(t))
        return part != PART_QUARTER && part != PART_DOW && part != PART_ISODOW && part != PART_DOY && part != PART_ISOYEAR;
    return t->id != TYPE_DURATION || part == PART_WEEK || (part >= PART_DAY && part <= PART_MICRO) || part == PART_EPOCH;
}

static int bind_part(struct expr *e, struct error *err)
{
    struct column *part = expr_literal(e->args[0]);
    if (type_is_string(e->args[1]->type) || e->args[1]->type->id == TYPE_NULL)
        TRY(expr_bind_cast(e, 1, type_temporal(TYPE_TIMESTAMP, UNIT_NANO), err));
    const struct dtype *t = e->args[1]->type;
    bool known = t->id == TYPE_TIMESTAMP || t->id == TYPE_DATE32 || t->id == TYPE_DATE64 || t->id == TYPE_DURATION || is_clock(t) || type_is_interval(t);
    if (!part || !type_is_string(part->type) || column_is_null(part, 0) || !known)
        return expr_type_error(e, err);
    int which = part_of(part);
    if (which == PART_NONE || !has_part(t, which))
        return error_set(err, ST_EXECUTE_QUERY, "Date part not supported by date_part");
    e->type = type_of(which == PART_EPOCH ? TYPE_FLOAT64 : TYPE_INT32);
    e->nullable = e->args[1]->nullable || t->id == TYPE_DURATION;
    return ST_OK;
}

static int64_t part_at(int part, int64_t value, int64_t per)
{
    int64_t per_day = 86400 * per, day = floor_div(value, per_day), rest = floor_mod(value, per_day), year, iso_year;
    int32_t month, dom;
    civil_of_days(day, &year, &month, &dom);
    switch (part) {
    case PART_YEAR:
        return year;
    case PART_QUARTER:
        return (month - 1) / 3 + 1;
    case PART_MONTH:
        return month;
    case PART_WEEK:
        return iso_week_of_days(day, &iso_year);
    case PART_ISOYEAR:
        iso_week_of_days(day, &iso_year);
        return iso_year;
    case PART_DAY:
        return dom;
    case PART_HOUR:
        return rest / (3600 * per);
    case PART_MINUTE:
        return rest / (60 * per) % 60;
    case PART_SECOND:
        return rest / per % 60;
    case PART_MILLI:
        return (int64_t)((__int128)(rest % (60 * per)) * 1000 / per);
    case PART_MICRO:
        return (int64_t)((__int128)(rest % (60 * per)) * 1000000 / per);
    case PART_DOW:
        return (weekday_of_days(day) + 1) % 7;
    case PART_ISODOW:
        return weekday_of_days(day);
    default:
        return day - days_of_civil(year, 1, 1) + 1;
    }
}

/* The nanoseconds below a second, which the peer has only when all nanoseconds of the span fit into 32 bits. */
static int64_t span_fraction(struct span s)
{
    return s.nanos >= INT32_MIN && s.nanos <= INT32_MAX ? (int64_t)(s.nanos % SECOND_NS) : 0;
}

/* Parts of a span. An interval's fields each for itself, its clock as hours, minutes and seconds; a duration as a whole in the unit asked for. */
static int64_t span_part(const struct dtype *t, int part, struct span s)
{
    bool whole = t->id == TYPE_DURATION;
    if (whole)
        s.days = (int64_t)(s.nanos / DAY_NS);
    int64_t minutes = (int64_t)(s.nanos / (60LL * SECOND_NS)), seconds = (int64_t)(s.nanos / SECOND_NS);
    switch (part) {
    case PART_YEAR:
        return s.months / 12;
    case PART_MONTH:
        return s.months % 12;
    case PART_WEEK:
        return s.days / 7;
    case PART_DAY:
        return s.days;
    case PART_HOUR:
        return (int64_t)(s.nanos / (3600LL * SECOND_NS));
    case PART_MINUTE:
        return whole ? minutes : minutes % 60;
    default:
        return whole ? seconds : seconds % 60;
    }
}

/* The Int32 of a span's part; false (NULL) when it does not fit. Milli- and microseconds wrap. */
static bool span_number(const struct dtype *t, int part, struct span s, int32_t *ret)
{
    int64_t v = span_part(t, part == PART_MILLI || part == PART_MICRO ? PART_SECOND : part, s);
    if (v < INT32_MIN || v > INT32_MAX)
        return false;
    if (part == PART_MILLI || part == PART_MICRO)
        v = v * (part == PART_MILLI ? 1000 : 1000000) + span_fraction(s) / (part == PART_MILLI ? 1000000 : 1000);
    *ret = (int32_t)(uint32_t)(uint64_t)v;
    return true;
}

static double epoch_at(const struct value *v, int64_t row, int64_t per)
{
    const struct dtype *t = v->column->type;
    if (type_is_interval(t)) {
        struct span s = span_at(v, row);
        return (double)s.months * 30 * 86400 + (double)s.days * 86400 + (double)s.nanos / 1e9;
    }
    if (t->id == TYPE_DURATION) {
        struct span s = span_at(v, row);
        return (double)span_part(t, PART_SECOND, s) + (double)span_fraction(s) / 1e9;
    }
    return (double)(value_number(v, row) * (t->id == TYPE_DATE32 ? 86400 : 1)) / (double)per;
}

static int part_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const struct value *v = &c->args[1];
    const struct dtype *t = v->column->type;
    bool span = type_is_interval(t) || t->id == TYPE_DURATION;
    int64_t per = t->id == TYPE_DATE32 || type_is_interval(t) ? 1 : t->id == TYPE_DATE64 ? 1000 : units_per_second(t->unit);
    int part = part_of(c->args[0].column);
    int32_t r = 0;
    (void)err;
    if ((*ret_null = value_is_null(v, row)))
        return ST_OK;
    if (part == PART_EPOCH) {
        int64_t seconds = t->id == TYPE_DURATION ? span_part(t, PART_SECOND, span_at(v, row)) : 0;
        double epoch = epoch_at(v, row, per);
        *ret_null = seconds < INT32_MIN || seconds > INT32_MAX;
        memcpy(ret_value, &epoch, 8);
        return ST_OK;
    }
    if (span) {
        *ret_null = !span_number(t, part, span_at(v, row), &r);
    } else {
        int64_t value = value_number(v, row) * (t->id == TYPE_DATE32 ? 86400 : 1);
        r = (int32_t)part_at(part, saturated((__int128)value + local_shift(c->state, value, per)), per);
    }
    memcpy(ret_value, &r, 4);
    return ST_OK;
}

static int kernel_part(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    const struct tzif *zone;
    TRY(zone_of_type(args[1].column->type, &zone, err));
    const struct call c = {e, ctx, args, (void *)zone};
    return kernel_fixed_run(&c, rows, ret, err);
}

const struct function functions_time[] = {
    {"date_trunc", 2, 2, bind_trunc, kernel_trunc, 0, false},
    {"datetrunc", 2, 2, bind_trunc, kernel_trunc, 0, false},
    {"date_bin", 2, 3, bind_bin, kernel_bin, 0, false},
    {"date_part", 2, 2, bind_part, kernel_part, 0, false, .fixed_row = part_row},
    {"datepart", 2, 2, bind_part, kernel_part, 0, false, .fixed_row = part_row},
    {0},
};
