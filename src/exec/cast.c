/* CAST and TRY_CAST (functions.md 4.8). A value that does not fit fails the query (CAST) or becomes NULL (TRY_CAST). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bits.h"
#include "base/half.h"
#include "base/number.h"
#include "base/text.h"
#include "exec/cast_text.h"
#include "exec/expr_internal.h"
#include "exec/temporal.h"
#include "exec/zone.h"

/* A value on its way from one type to another. */
struct scalar {
    enum { AS_INT, AS_UINT, AS_FLOAT, AS_DECIMAL } form;
    int64_t i;
    uint64_t u;
    double f;
    __int128 d;
    int precision, scale; /* AS_DECIMAL */
};

static bool is_number(const struct dtype *t)
{
    return type_is_integer(t) || type_is_float(t) || t->id == TYPE_DECIMAL128;
}

/* Types that are an integer underneath and count something. */
static bool is_counted(const struct dtype *t)
{
    return (t->id >= TYPE_DATE32 && t->id <= TYPE_DURATION);
}

bool cast_supported(const struct dtype *from, const struct dtype *to)
{
    if (from->id == TYPE_NULL || type_equal(from, to, false))
        return true;
    if (from->id == TYPE_DICTIONARY)
        return cast_supported(type_values(from), to);
    if (type_is_nested(from) || type_is_nested(to))
        return cast_nested_supported(from, to);
    if (from->id == TYPE_FIXED_BINARY || to->id == TYPE_FIXED_BINARY)
        return type_is_binary(from) || type_is_binary(to);
    if (type_is_string(to))
        return is_number(from) || is_counted(from) || type_is_interval(from) || from->id == TYPE_BOOL || type_is_varlen(from);
    if (type_is_string(from))
        return is_number(to) || to->id == TYPE_BOOL || type_is_binary(to) || to->id == TYPE_TIMESTAMP || to->id == TYPE_DATE32 ||
               to->id == TYPE_DATE64 || to->id == TYPE_TIME32 || to->id == TYPE_TIME64 || type_is_interval(to);
    if (type_is_binary(from))
        return type_is_binary(to);
    if (type_is_binary(to))
        return type_is_integer(from);
    if (to->id == TYPE_BOOL)
        return is_number(from) && from->id != TYPE_DECIMAL128;
    if (from->id == TYPE_BOOL)
        return is_number(to) && to->id != TYPE_DECIMAL128;
    if (is_number(from) && is_number(to))
        return (from->id != TYPE_FLOAT16 || to->id != TYPE_DECIMAL128) && (from->id != TYPE_DECIMAL128 || to->id != TYPE_FLOAT16);
    if (type_is_integer(from) || from->id == TYPE_FLOAT32 || from->id == TYPE_FLOAT64)
        return is_counted(to) || (from->id == TYPE_INT32 && to->id == TYPE_INTERVAL_YEAR_MONTH);
    if (from->id == TYPE_DECIMAL128 || to->id == TYPE_DECIMAL128) {
        const struct dtype *other = from->id == TYPE_DECIMAL128 ? to : from;
        return other->id == TYPE_TIMESTAMP || other->id == TYPE_DURATION;
    }
    if (is_counted(from) && is_number(to))
        return true;
    if (is_counted(from) && is_counted(to)) {
        bool points = (from->id == TYPE_TIMESTAMP || from->id == TYPE_DATE32 || from->id == TYPE_DATE64) &&
                      (to->id == TYPE_TIMESTAMP || to->id == TYPE_DATE32 || to->id == TYPE_DATE64);
        bool clocks = (from->id == TYPE_TIME32 || from->id == TYPE_TIME64 || from->id == TYPE_TIMESTAMP) && (to->id == TYPE_TIME32 || to->id == TYPE_TIME64);
        return points || clocks || (from->id == TYPE_DURATION && to->id == TYPE_DURATION);
    }
    if (type_is_interval(from) || from->id == TYPE_DURATION)
        return to->id == TYPE_INTERVAL_MONTH_DAY_NANO || (to->id == TYPE_DURATION && from->id == TYPE_INTERVAL_MONTH_DAY_NANO);
    return false;
}

/* ---- numbers ---- */

static struct scalar read_number(const struct column *c, int64_t i)
{
    struct scalar s = {.form = AS_INT};
    switch ((enum type_id)c->type->id) {
    case TYPE_BOOL: s.i = column_bool(c, i); break;
    case TYPE_INT8: s.i = COLUMN_VALUES(c, int8_t)[i]; break;
    case TYPE_INT16: s.i = COLUMN_VALUES(c, int16_t)[i]; break;
    case TYPE_INT32: case TYPE_DATE32: case TYPE_TIME32: s.i = COLUMN_VALUES(c, int32_t)[i]; break;
    case TYPE_UINT8: s.i = COLUMN_VALUES(c, uint8_t)[i]; break;
    case TYPE_UINT16: s.i = COLUMN_VALUES(c, uint16_t)[i]; break;
    case TYPE_UINT32: s.i = COLUMN_VALUES(c, uint32_t)[i]; break;
    case TYPE_UINT64: s.form = AS_UINT; s.u = COLUMN_VALUES(c, uint64_t)[i]; break;
    case TYPE_FLOAT16: s.form = AS_FLOAT; s.f = half_to_double(COLUMN_VALUES(c, uint16_t)[i]); break;
    case TYPE_FLOAT32: s.form = AS_FLOAT; s.f = (double)COLUMN_VALUES(c, float)[i]; break;
    case TYPE_FLOAT64: s.form = AS_FLOAT; s.f = COLUMN_VALUES(c, double)[i]; break;
    case TYPE_DECIMAL128: s.form = AS_DECIMAL; s.d = COLUMN_VALUES(c, __int128)[i]; s.precision = c->type->precision; s.scale = c->type->scale; break;
    default: s.i = COLUMN_VALUES(c, int64_t)[i];
    }
    return s;
}

/* 10^n, n in 0..38. */
static __int128 power10(int n)
{
    __int128 p = 1;
    while (n-- > 0)
        p *= 10;
    return p;
}

/* v * 10^(to - from), rounding half away from zero when digits go. */
static bool rescale(__int128 v, int from, int to, __int128 *out)
{
    if (to >= from)
        return to - from <= 38 && !__builtin_mul_overflow(v, power10(to - from), out);
    if (from - to > 38) {
        *out = 0;
        return true;
    }
    __int128 p = power10(from - to), q = v / p, r = v % p;
    *out = q + (r >= p / 2 ? 1 : 0) - (-r >= p / 2 ? 1 : 0);
    return true;
}

/* Whether every decimal of its type fits: Arrow then does not look at the value, which may have outgrown its type. */
static bool always_fits(const struct scalar *s, const struct dtype *to)
{
    int more = to->scale - s->scale;
    return s->form == AS_DECIMAL && (more >= 0 ? s->precision + more <= to->precision : s->precision + more < to->precision);
}

static bool write_decimal(const struct scalar *s, const struct dtype *to, uint8_t *out)
{
    __int128 d, limit = power10(to->precision);
    if (s->form == AS_FLOAT) {
        double v = s->f * pow(10, to->scale);
        v = round(v);
        if (!(fabs(v) < 1.7e38))
            return false;
        d = (__int128)v;
    } else if (s->form == AS_DECIMAL) {
        if (!rescale(s->d, s->scale, to->scale, &d))
            return false;
    } else if (!rescale(s->form == AS_UINT ? (__int128)s->u : s->i, 0, to->scale, &d)) {
        return false;
    }
    if (!always_fits(s, to) && (d >= limit || d <= -limit))
        return false;
    memcpy(out, &d, 16);
    return true;
}

static double to_float(const struct scalar *s)
{
    switch (s->form) {
    case AS_INT: return (double)s->i;
    case AS_UINT: return (double)s->u;
    case AS_FLOAT: return s->f;
    default: return (double)s->d / (s->scale >= 0 ? (double)power10(s->scale) : pow(10, s->scale));
    }
}

/* The whole number in it, truncated; false when there is none in 128 bits. */
static bool to_integer(const struct scalar *s, __int128 *out)
{
    switch (s->form) {
    case AS_INT: *out = s->i; return true;
    case AS_UINT: *out = (__int128)s->u; return true;
    case AS_FLOAT:
        if (!(fabs(s->f) < 1.7e38))
            return false;
        *out = (__int128)s->f;
        return true;
    default:
        if (s->scale < 0)
            return !__builtin_mul_overflow(s->d, power10(-s->scale), out);
        *out = s->d / power10(s->scale);
        return true;
    }
}

static bool write_number(const struct scalar *s, const struct dtype *to, uint8_t *out)
{
    static const struct { __int128 min, max; } ranges[] = {{INT8_MIN, INT8_MAX}, {INT16_MIN, INT16_MAX}, {INT32_MIN, INT32_MAX}, {INT64_MIN, INT64_MAX},
                                                           {0, UINT8_MAX}, {0, UINT16_MAX}, {0, UINT32_MAX}, {0, UINT64_MAX}};
    __int128 v;
    if (to->id == TYPE_DECIMAL128)
        return write_decimal(s, to, out);
    if (to->id == TYPE_FLOAT64) {
        double d = to_float(s);
        memcpy(out, &d, 8);
        return true;
    }
    if (to->id == TYPE_FLOAT32) {
        float f = (float)to_float(s);
        memcpy(out, &f, 4);
        return true;
    }
    if (to->id == TYPE_FLOAT16) {
        store_le16(out, half_of_double(to_float(s)));
        return true;
    }
    int width = type_width(to);
    int range = type_is_integer(to) ? to->id - TYPE_INT8 : width == 4 ? 2 : 3;
    if (!to_integer(s, &v) || v < ranges[range].min || v > ranges[range].max)
        return false;
    memcpy(out, &v, (size_t)width);
    return true;
}

/* ---- points in time ---- */

static bool cast_counted_value(int64_t v, const struct dtype *from, const struct dtype *to, uint8_t *out)
{
    __int128 t;
    bool from_date = from->id == TYPE_DATE32, to_date = to->id == TYPE_DATE32;
    if ((to->id == TYPE_TIME32 || to->id == TYPE_TIME64) && from->id == TYPE_TIMESTAMP) {
        int64_t per_day = 86400 * units_per_second(from->unit), rest = floor_mod(v, per_day);
        t = (__int128)rest * units_per_second(to->unit) / units_per_second(from->unit);
    } else if (to_date) {
        int64_t per_day = from->id == TYPE_DATE64 ? 86400000 : 86400 * units_per_second(from->unit);
        t = from->id == TYPE_DATE64 ? v / per_day : floor_div(v, per_day);
    } else {
        int64_t per_from = from_date ? 1 : from->id == TYPE_DATE64 ? 1000 : units_per_second(from->unit);
        int64_t per_to = to->id == TYPE_DATE64 ? 1000 : units_per_second(to->unit);
        t = (__int128)v * (from_date ? 86400 : 1);
        t = per_to >= per_from ? t * (per_to / per_from) : t / (per_from / per_to); /* coarser: towards zero */
    }
    int width = type_width(to);
    if (width == 4 ? t < INT32_MIN || t > INT32_MAX : t < INT64_MIN || t > INT64_MAX)
        return false;
    memcpy(out, &t, (size_t)width);
    return true;
}

static bool cast_interval(const struct column *c, int64_t i, const struct dtype *to, uint8_t *out)
{
    struct { int32_t months, days; int64_t nanos; } v = {0, 0, 0};
    const uint8_t *p = c->buffers[0]->data + (c->offset + i) * type_width(c->type);
    int32_t ms;
    switch ((enum type_id)c->type->id) {
    case TYPE_INTERVAL_YEAR_MONTH: memcpy(&v.months, p, 4); break;
    case TYPE_INTERVAL_DAY_TIME:
        memcpy(&v.days, p, 4);
        memcpy(&ms, p + 4, 4);
        v.nanos = (int64_t)ms * 1000000;
        break;
    case TYPE_DURATION:
        memcpy(&v.nanos, p, 8);
        if (__builtin_mul_overflow(v.nanos, 1000000000 / units_per_second(c->type->unit), &v.nanos))
            return false;
        break;
    case TYPE_INT32: memcpy(out, p, 4); return true; /* months */
    default: memcpy(&v, p, 16);
    }
    if (to->id == TYPE_DURATION) {
        int64_t d = v.nanos / (1000000000 / units_per_second(to->unit));
        if (v.months || v.days)
            return false;
        memcpy(out, &d, 8);
        return true;
    }
    memcpy(out, &v, 16);
    return true;
}

/* ---- one value to a fixed-width type ---- */

static bool text_to_clock(const char *p, size_t n, const struct dtype *to, uint8_t *out)
{
    int64_t v;
    if (!text_to_time(p, n, to->unit, &v))
        return false;
    memcpy(out, &v, (size_t)type_width(to)); /* little-endian: the low half is the Time32 */
    return true;
}

/* Fails when the interval's type has no place for a part that is not zero. */
static bool text_to_span(const char *p, size_t n, const struct dtype *to, uint8_t *out)
{
    struct { int32_t months, days; int64_t nanos; } v;
    if (!text_to_interval(p, n, &v.months, &v.days, &v.nanos))
        return false;
    if (to->id == TYPE_INTERVAL_MONTH_DAY_NANO) {
        memcpy(out, &v, 16);
    } else if (to->id == TYPE_INTERVAL_YEAR_MONTH) {
        memcpy(out, &v.months, 4);
        return v.days == 0 && v.nanos == 0;
    } else {
        int64_t ms = v.nanos / 1000000;
        memcpy(out, &v.days, 4);
        memcpy(out + 4, &ms, 4);
        return v.months == 0 && v.nanos % 1000000 == 0 && ms >= INT32_MIN && ms <= INT32_MAX;
    }
    return true;
}

static bool from_text(const struct column *c, int64_t i, const struct dtype *to, const struct tzif *zone, uint8_t *out)
{
    int32_t n;
    const char *p = (const char *)column_bytes(c, i, &n);
    struct scalar s = {.form = AS_INT};
    if (to->id == TYPE_DATE32)
        return text_to_date(p, (size_t)n, (int32_t *)(void *)out);
    if (to->id == TYPE_TIMESTAMP || to->id == TYPE_DATE64)
        return text_to_timestamp(p, (size_t)n, zone, to->id == TYPE_DATE64 ? UNIT_MILLI : to->unit, (int64_t *)(void *)out);
    if (to->id == TYPE_TIME32 || to->id == TYPE_TIME64)
        return text_to_clock(p, (size_t)n, to, out);
    if (type_is_interval(to))
        return text_to_span(p, (size_t)n, to, out);
    if (to->id == TYPE_DECIMAL128)
        return text_to_decimal(p, (size_t)n, to->precision, to->scale, (__int128 *)(void *)out);
    if (type_is_float(to)) {
        s.form = AS_FLOAT;
        return number_parse(p, (size_t)n, to->id != TYPE_FLOAT64, &s.f) && write_number(&s, to, out);
    }
    s.form = AS_DECIMAL;
    return text_to_integer(p, (size_t)n, &s.d) && write_number(&s, to, out);
}

/* Wall time in a zone: of zone-less timestamps that become zoned, and of zoned ones that become dates or times. */
static bool cast_wall(const struct column *c, int64_t i, const struct dtype *to, const struct tzif *zone, uint8_t *out)
{
    int64_t v = COLUMN_VALUES(c, int64_t)[i], per = units_per_second(c->type->unit), seconds = floor_div(v, per), found[2];
    __int128 moved = v;
    if (to->id != TYPE_TIMESTAMP)
        moved += (__int128)tzif_at(zone, seconds)->offset_s * per;
    else if (tzif_from_local(zone, seconds, found) == 1)
        moved += (__int128)(found[0] - seconds) * per;
    else
        return false;
    if (moved < INT64_MIN || moved > INT64_MAX)
        return false;
    return cast_counted_value((int64_t)moved, c->type, to, out);
}

static bool cast_fixed(const struct column *c, int64_t i, const struct dtype *to, const struct tzif *zone, uint8_t *out)
{
    const struct dtype *from = c->type;
    if (to->id == TYPE_FIXED_BINARY) {
        int32_t n;
        const uint8_t *p = column_bytes(c, i, &n);
        if (n == to->width)
            memcpy(out, p, (size_t)n);
        return n == to->width;
    }
    if (type_is_string(from))
        return from_text(c, i, to, zone, out);
    if (zone)
        return cast_wall(c, i, to, zone, out);
    if (type_is_interval(from) || type_is_interval(to))
        return cast_interval(c, i, to, out);
    if (is_counted(from) && is_counted(to))
        return cast_counted_value(read_number(c, i).i, from, to, out);
    struct scalar s = read_number(c, i);
    return write_number(&s, to, out);
}

static int bad_value(const struct column *c, int64_t i, const struct dtype *to, struct error *err)
{
    char text[64] = "", target[100];
    text_of_value(c, i, text, sizeof text);
    return error_set(err, ST_EXECUTE_QUERY, "Cast error: Cannot cast value '%s' to value of %s type", text, type_print(to, target, sizeof target));
}

/* ---- whole columns ---- */

/* Validity that starts as the input's and loses the rows that do not fit. */
struct outcome {
    struct buffer *validity;
    int64_t nulls;
};

static int outcome_init(struct expr_context *ctx, const struct column *c, bool may_fail, struct outcome *o, struct error *err)
{
    *o = (struct outcome){NULL, column_null_count(c)};
    if (o->nulls == 0 && !may_fail)
        return ST_OK;
    TRY(buffer_new(ctx->budget, bits_bytes(c->length), &o->validity, err));
    if (c->validity)
        bits_copy(o->validity->data, 0, c->validity->data, c->offset, c->length);
    else
        bits_fill(o->validity->data, 0, c->length, true);
    return ST_OK;
}

/* The zone whose wall clock a cast depends on: NULL for most casts. */
static int zone_of_cast(const struct dtype *from, const struct dtype *to, const struct tzif **ret_zone, struct error *err)
{
    bool to_zoned = to->id == TYPE_TIMESTAMP && (type_is_string(from) || (from->id == TYPE_TIMESTAMP && !from->timezone));
    bool to_local = to->id == TYPE_DATE32 || to->id == TYPE_TIME32 || to->id == TYPE_TIME64;
    *ret_zone = NULL;
    return to_zoned ? zone_of_type(to, ret_zone, err) : to_local ? zone_of_type(from, ret_zone, err) : ST_OK;
}

static int cast_to_fixed(struct expr_context *ctx, const struct column *c, struct dtype *to, bool null_on_failure, struct column **ret, struct error *err)
{
    struct buffer *values;
    struct outcome o;
    int32_t width = type_width(to);
    const struct tzif *zone;
    TRY(zone_of_cast(c->type, to, &zone, err));
    TRY(outcome_init(ctx, c, null_on_failure, &o, err));
    int st = buffer_new(ctx->budget, (size_t)c->length * (size_t)width, &values, err);
    for (int64_t i = 0; st == ST_OK && i < c->length; i++) {
        if (o.validity && !bit_get(o.validity->data, i))
            continue;
        if (cast_fixed(c, i, to, zone, values->data + i * width))
            continue;
        if (!null_on_failure || (c->type->id == TYPE_DATE32 && to->id == TYPE_TIMESTAMP)) { /* DataFusion checks such dates before TRY_CAST can forgive */
            buffer_unref(values);
            st = bad_value(c, i, to, err);
        } else {
            bit_clear(o.validity->data, i);
            o.nulls++;
            memset(values->data + i * width, 0, (size_t)width);
        }
    }
    if (st != ST_OK) {
        buffer_unref(o.validity);
        return st;
    }
    return column_new(to, c->length, o.nulls, o.validity, values, NULL, ret, err);
}

static int cast_to_bool(struct expr_context *ctx, const struct column *c, bool null_on_failure, struct column **ret, struct error *err)
{
    struct buffer *bits;
    struct outcome o;
    TRY(outcome_init(ctx, c, null_on_failure, &o, err));
    int st = buffer_new(ctx->budget, bits_bytes(c->length), &bits, err);
    for (int64_t i = 0; st == ST_OK && i < c->length; i++) {
        bool v = false, good = true;
        if (o.validity && !bit_get(o.validity->data, i))
            continue;
        if (type_is_string(c->type)) {
            int32_t n;
            const char *p = (const char *)column_bytes(c, i, &n);
            good = text_to_bool(p, (size_t)n, &v);
        } else {
            struct scalar s = read_number(c, i);
            v = s.form == AS_FLOAT ? s.f != 0 : s.form == AS_UINT ? s.u != 0 : s.i != 0;
        }
        if (good) {
            bit_put(bits->data, i, v);
        } else if (null_on_failure) {
            bit_clear(o.validity->data, i);
            o.nulls++;
        } else {
            buffer_unref(bits);
            st = bad_value(c, i, type_of(TYPE_BOOL), err);
        }
    }
    if (st != ST_OK) {
        buffer_unref(o.validity);
        return st;
    }
    return column_new(type_of(TYPE_BOOL), c->length, o.nulls, o.validity, bits, NULL, ret, err);
}

/* Positions count from the column's first byte: all of it is looked at together there. */
static int not_utf8(const struct column *c, int64_t i, struct error *err)
{
    int32_t n, first_n;
    const uint8_t *p = column_bytes(c, i, &n), *first = column_bytes(c, 0, &first_n);
    size_t bytes, at = utf8_find_error(p, (size_t)n, &bytes) + (first && p > first ? (size_t)(p - first) : 0);
    if (!bytes)
        return error_set(err, ST_EXECUTE_QUERY, "Invalid argument error: Encountered non UTF-8 data: incomplete utf-8 byte sequence from index %zu", at);
    return error_set(err, ST_EXECUTE_QUERY, "Invalid argument error: Encountered non UTF-8 data: invalid utf-8 sequence of %zu bytes from index %zu", bytes, at);
}

static int cast_to_text(struct expr_context *ctx, const struct column *c, struct dtype *to, bool null_on_failure, struct column **ret, struct error *err)
{
    struct column_builder b;
    char text[256];
    TRY(column_builder_init(&b, ctx->budget, to, err));
    int st = ST_OK;
    for (int64_t i = 0; st == ST_OK && i < c->length; i++) {
        int32_t n;
        if (column_is_null(c, i)) {
            st = column_builder_append_null(&b, err);
        } else if (type_is_varlen(c->type)) {
            const uint8_t *p = column_bytes(c, i, &n);
            if (!type_is_string(to) || utf8_valid(p, (size_t)n))
                st = column_builder_append_bytes(&b, p, (size_t)n, err);
            else
                st = null_on_failure ? column_builder_append_null(&b, err) : not_utf8(c, i, err);
        } else if (type_is_binary(to)) { /* an integer or bytes of fixed width as they lie in memory */
            size_t width = (size_t)type_width(c->type);
            st = column_builder_append_bytes(&b, c->buffers[0]->data + (size_t)(c->offset + i) * width, width, err);
        } else {
            st = column_builder_append_bytes(&b, text, text_of_value(c, i, text, sizeof text), err);
        }
    }
    if (st == ST_OK)
        st = column_builder_finish(&b, ret, err);
    column_builder_release(&b);
    return st;
}

/* The frequent conversions without a look at each value's form. */
static bool cast_fast(const struct column *c, const struct dtype *to, uint8_t *out)
{
    int64_t n = c->length;
#define WIDEN(from_id, from, to_id, into)                                      \
    if (c->type->id == (from_id) && to->id == (to_id)) {                       \
        const from *x = COLUMN_VALUES(c, from);                                \
        for (int64_t i = 0; i < n; i++)                                        \
            ((into *)(void *)out)[i] = (into)x[i];                             \
        return true;                                                           \
    }
    WIDEN(TYPE_INT64, int64_t, TYPE_FLOAT64, double)
    WIDEN(TYPE_INT32, int32_t, TYPE_FLOAT64, double)
    WIDEN(TYPE_INT32, int32_t, TYPE_INT64, int64_t)
    WIDEN(TYPE_FLOAT32, float, TYPE_FLOAT64, double)
    WIDEN(TYPE_UINT32, uint32_t, TYPE_INT64, int64_t)
    WIDEN(TYPE_UINT32, uint32_t, TYPE_FLOAT64, double)
    WIDEN(TYPE_UINT64, uint64_t, TYPE_FLOAT64, double)
    WIDEN(TYPE_INT16, int16_t, TYPE_INT64, int64_t)
    WIDEN(TYPE_INT8, int8_t, TYPE_INT64, int64_t)
#undef WIDEN
    return false;
}

static bool same_layout(const struct dtype *a, const struct dtype *b)
{
    if (type_is_varlen(a) && type_is_varlen(b))
        return !(type_is_binary(a) && type_is_string(b));
    bool raw64_a = a->id == TYPE_INT64 || (is_counted(a) && type_width(a) == 8), raw64_b = b->id == TYPE_INT64 || (is_counted(b) && type_width(b) == 8);
    if (raw64_a && raw64_b && (a->id == TYPE_INT64 || b->id == TYPE_INT64))
        return true;
    bool same_clock = a->timezone || !b->timezone || strcasecmp(b->timezone, "UTC") == 0 || strcmp(b->timezone, "+00:00") == 0;
    return a->id == TYPE_TIMESTAMP && b->id == TYPE_TIMESTAMP && a->unit == b->unit && same_clock;
}

static int cast_plain(struct expr_context *ctx, struct column *c, struct dtype *to, bool null_on_failure, struct column **ret, struct error *err)
{
    if (type_equal(c->type, to, false) || same_layout(c->type, to))
        return column_retype(c, to, ret, err);
    if (c->type->id == TYPE_NULL)
        return column_new_nulls(ctx->budget, to, c->length, ret, err);
    if (!cast_supported(c->type, to)) {
        char a[100], b[100];
        return error_set(err, ST_UNSUPPORTED, "Unsupported CAST from %s to %s", type_print(c->type, a, sizeof a), type_print(to, b, sizeof b));
    }
    if (type_is_nested(c->type) || type_is_nested(to))
        return cast_nested(ctx, c, to, null_on_failure, ret, err);
    if (to->id == TYPE_BOOL)
        return cast_to_bool(ctx, c, null_on_failure, ret, err);
    if (type_is_varlen(to))
        return cast_to_text(ctx, c, to, null_on_failure, ret, err);
    struct buffer *values;
    TRY(buffer_new_uninit(ctx->budget, (size_t)c->length * (size_t)type_width(to), &values, err));
    if (!cast_fast(c, to, values->data)) {
        buffer_unref(values);
        return cast_to_fixed(ctx, c, to, null_on_failure, ret, err);
    }
    struct outcome o;
    int st = outcome_init(ctx, c, false, &o, err);
    if (st != ST_OK) {
        buffer_unref(values);
        return st;
    }
    return column_new(to, c->length, o.nulls, o.validity, values, NULL, ret, err);
}

int expr_cast(struct expr_context *ctx, struct column *c, struct dtype *type, bool null_on_failure, struct column **ret_column, struct error *err)
{
    struct column *plain;
    TRY(column_decode_dictionary(ctx->budget, c, &plain, err));
    int st = cast_plain(ctx, plain, type, null_on_failure, ret_column, err);
    column_unref(plain);
    return st;
}

static int bind_cast(struct expr *e, struct error *err)
{
    char a[100], b[100];
    e->nullable = e->nullable || e->flag;
    if (!cast_supported(e->args[0]->type, e->type))
        return error_set(err, ST_UNSUPPORTED, "Unsupported CAST from %s to %s", type_print(e->args[0]->type, a, sizeof a), type_print(e->type, b, sizeof b));
    return ST_OK;
}

static int kernel_cast(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    (void)rows;
    return cast_plain(ctx, args[0].column, e->type, e->flag, ret, err);
}

const struct function function_cast = {"cast", 1, 1, bind_cast, kernel_cast, 0, true};

int expr_cast_column(struct budget *budget, struct column *c, struct dtype *type, bool null_on_failure, struct column **ret_column, struct error *err)
{
    struct expr_context ctx = {.budget = budget};
    return expr_cast(&ctx, c, type, null_on_failure, ret_column, err);
}

int expr_try_cast_column(struct budget *budget, struct column *c, struct dtype *type, struct column **ret_column, struct error *err)
{
    return expr_cast_column(budget, c, type, true, ret_column, err);
}
