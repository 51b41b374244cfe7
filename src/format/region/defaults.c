/* Column defaults: the JSON constraint (region-rpc.md 5.4), its value as a column of one row, and casts of it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/civil.h"
#include "format/region/internal.h"

void default_clear(struct region_column *c)
{
    free(c->default_json);
    column_unref(c->default_value);
    c->default_json = NULL;
    c->default_value = NULL;
    c->default_kind = DEFAULT_NONE;
}

static int does_not_fit(const struct json_value *v, const struct region_column *c, struct error *err)
{
    int shown = v->size > 100 ? 100 : (int)v->size;
    return error_set(err, ST_CORRUPT, "default of column %s does not fit its type: %.*s", c->name ? c->name : "?", shown, v->text);
}

static const char *number_tag(const struct dtype *t)
{
    static const char *const tags[] = {
        [TYPE_INT8] = "Int8",     [TYPE_INT16] = "Int16",   [TYPE_INT32] = "Int32",   [TYPE_INT64] = "Int64",     [TYPE_UINT8] = "UInt8",
        [TYPE_UINT16] = "UInt16", [TYPE_UINT32] = "UInt32", [TYPE_UINT64] = "UInt64", [TYPE_FLOAT32] = "Float32", [TYPE_FLOAT64] = "Float64"};
    return t->id >= TYPE_INT8 && t->id <= TYPE_FLOAT64 && t->id != TYPE_FLOAT16 ? tags[t->id] : NULL;
}

static bool in_range(const struct dtype *t, __int128 v)
{
    int bits = 8 * type_width(t);
    if (!type_is_signed(t))
        return v >= 0 && v < (__int128)1 << bits;
    return v >= -((__int128)1 << (bits - 1)) && v < (__int128)1 << (bits - 1);
}

static bool read_number(const struct json_value *v, const struct dtype *t, uint8_t *ret_value)
{
    if (type_is_float(t)) {
        double d;
        if (!json_double(v, &d))
            return false;
        float f = (float)d;
        memcpy(ret_value, t->id == TYPE_FLOAT32 ? (void *)&f : (void *)&d, (size_t)type_width(t));
        return true;
    }
    __int128 n;
    if (!json_is(v, JSON_NUMBER) || !json_i128(v, &n) || !in_range(t, n))
        return false;
    memcpy(ret_value, &n, (size_t)type_width(t));
    return true;
}

static bool read_temporal(const struct json_value *v, const struct dtype *t, uint8_t *ret_value)
{
    int64_t n;
    if (!json_i64(json_get(v, "value"), &n) || !json_get(v, "unit") || !json_is_string(json_get(v, "unit"), time_unit_names[t->unit]))
        return false;
    if (t->id == TYPE_TIME32 && (n < INT32_MIN || n > INT32_MAX))
        return false;
    memcpy(ret_value, &n, (size_t)type_width(t));
    return true;
}

static bool read_interval(const struct json_value *v, const struct dtype *t, uint8_t *ret_value)
{
    static const char *const names[] = {"months", "days", "milliseconds", "nanoseconds"};
    int64_t n[4] = {0};
    for (int i = 0; i < 4; i++) {
        const struct json_value *m = json_get(v, names[i]);
        if (m && (!json_i64(m, &n[i]) || (i < 3 && (n[i] < INT32_MIN || n[i] > INT32_MAX))))
            return false;
    }
    int32_t months = (int32_t)n[0], days = (int32_t)n[1], millis = (int32_t)n[2];
    if (t->id == TYPE_INTERVAL_YEAR_MONTH) {
        memcpy(ret_value, &months, 4);
    } else {
        bool wide = t->id == TYPE_INTERVAL_MONTH_DAY_NANO;
        memcpy(ret_value, wide ? &months : &days, 4);
        memcpy(ret_value + 4, wide ? &days : &millis, 4);
        if (wide)
            memcpy(ret_value + 8, &n[3], 8);
    }
    return json_is(v, JSON_OBJECT);
}

static bool read_decimal(const struct json_value *v, const struct dtype *t, uint8_t *ret_value)
{
    __int128 n;
    int64_t precision, scale;
    if (!json_i128(json_get(v, "value"), &n) || !json_i64(json_get(v, "precision"), &precision) || !json_i64(json_get(v, "scale"), &scale) ||
        scale != t->scale)
        return false;
    memcpy(ret_value, &n, 16);
    return true;
}

/* The tag that a value of the type carries, and its fixed-width bytes; *ret_bytes = false for var-length. */
static bool read_fixed(const struct json_value *tag, const struct dtype *t, uint8_t *ret_value)
{
    const char *number = number_tag(t);
    if (number)
        return strcmp(tag->key, number) == 0 && read_number(tag, t, ret_value);
    switch (t->id) {
    case TYPE_DATE32: {
        int64_t days;
        if (strcmp(tag->key, "Date") != 0 || !json_i64(tag, &days) || days < INT32_MIN || days > INT32_MAX)
            return false;
        int32_t d = (int32_t)days;
        memcpy(ret_value, &d, 4);
        return true;
    }
    case TYPE_TIMESTAMP:
        return strcmp(tag->key, "Timestamp") == 0 && read_temporal(tag, t, ret_value);
    case TYPE_TIME32:
    case TYPE_TIME64:
        return strcmp(tag->key, "Time") == 0 && read_temporal(tag, t, ret_value);
    case TYPE_DURATION:
        return strcmp(tag->key, "Duration") == 0 && read_temporal(tag, t, ret_value);
    case TYPE_INTERVAL_YEAR_MONTH:
        return strcmp(tag->key, "IntervalYearMonth") == 0 && read_interval(tag, t, ret_value);
    case TYPE_INTERVAL_DAY_TIME:
        return strcmp(tag->key, "IntervalDayTime") == 0 && read_interval(tag, t, ret_value);
    case TYPE_INTERVAL_MONTH_DAY_NANO:
        return strcmp(tag->key, "IntervalMonthDayNano") == 0 && read_interval(tag, t, ret_value);
    case TYPE_DECIMAL128:
        return strcmp(tag->key, "Decimal128") == 0 && read_decimal(tag, t, ret_value);
    default:
        return false;
    }
}

static int append_bytes(struct column_builder *b, const struct json_value *tag, const struct region_column *c, struct error *err)
{
    if (type_is_string(b->type)) {
        if (strcmp(tag->key, "String") != 0 || tag->kind != JSON_STRING)
            return does_not_fit(tag, c, err);
        return column_builder_append_bytes(b, tag->string, tag->string_size, err);
    }
    if (strcmp(tag->key, "Binary") != 0 || tag->kind != JSON_ARRAY)
        return does_not_fit(tag, c, err);
    uint8_t *bytes = malloc(tag->count + 1), *p = bytes;
    int st = bytes ? ST_OK : error_no_memory(err, tag->count);
    for (const struct json_value *m = tag->first; m && st == ST_OK; m = m->next) {
        uint64_t n;
        if (!json_u64(m, &n) || n > 255)
            st = does_not_fit(tag, c, err);
        else
            *p++ = (uint8_t)n;
    }
    if (st == ST_OK)
        st = column_builder_append_bytes(b, bytes, (size_t)(p - bytes), err);
    free(bytes);
    return st;
}

int region_value_from_json(const struct json_value *v, const struct region_column *c, struct column **ret_value, struct error *err)
{
    struct column_builder b;
    const struct json_value *tag = json_only_member(v);
    uint8_t fixed[32] = {0};
    bool on;
    if (json_is_string(v, "Null"))
        return column_new_nulls(NULL, c->type, 1, ret_value, err);
    if (!tag || type_is_nested(c->type) || c->type->id == TYPE_DICTIONARY || c->type->id == TYPE_NULL)
        return does_not_fit(v, c, err);
    TRY(column_builder_init(&b, NULL, c->type, err));
    int st;
    if (type_is_varlen(c->type))
        st = append_bytes(&b, tag, c, err);
    else if (c->type->id == TYPE_BOOL)
        st = strcmp(tag->key, "Boolean") == 0 && json_bool(tag, &on) ? column_builder_append_bool(&b, on, err) : does_not_fit(v, c, err);
    else
        st = read_fixed(tag, c->type, fixed) ? column_builder_append_fixed(&b, fixed, err) : does_not_fit(v, c, err);
    if (st == ST_OK)
        st = column_builder_finish(&b, ret_value, err);
    column_builder_release(&b);
    return st;
}

int default_from_json(const struct json_value *v, struct region_column *c, struct error *err)
{
    const struct json_value *tag = json_only_member(v);
    struct column *value = NULL;
    enum default_kind kind;
    if (tag && strcmp(tag->key, "Function") == 0) {
        if (c->type->id != TYPE_TIMESTAMP ||
            !(json_is_string(tag, "current_timestamp") || json_is_string(tag, "current_timestamp()") || json_is_string(tag, "now()")))
            return does_not_fit(v, c, err);
        kind = DEFAULT_FUNCTION;
    } else if (tag && strcmp(tag->key, "Value") == 0) {
        TRY(region_value_from_json(tag, c, &value, err));
        kind = DEFAULT_VALUE;
    } else {
        return does_not_fit(v, c, err);
    }
    char *text = text_copy(v->text, v->size);
    if (!text) {
        column_unref(value);
        return error_no_memory(err, v->size);
    }
    default_clear(c);
    c->default_kind = kind;
    c->default_json = text;
    c->default_value = value;
    return ST_OK;
}

int default_from_text(const char *text, size_t size, struct region_column *c, struct error *err)
{
    struct arena arena;
    const struct json_value *v;
    arena_init(&arena, NULL);
    int st = json_parse(&arena, text, size, &v, err);
    if (st == ST_OK)
        st = default_from_json(v, c, err);
    arena_release(&arena);
    return st;
}

/* ---- values from text ---- */

/* Days since 1970-01-01 of a proleptic Gregorian date. */
static int64_t days_of(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400), doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    return era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

static bool read_date(const char **p, int64_t *ret_days)
{
    int y, m, d, used = 0;
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (sscanf(*p, "%4d-%2d-%2d%n", &y, &m, &d, &used) != 3 || m < 1 || m > 12 || d < 1)
        return false;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (d > month_days[m - 1] + (m == 2 && leap))
        return false;
    *p += used;
    *ret_days = days_of(y, (unsigned)m, (unsigned)d);
    return true;
}

/* "YYYY-MM-DD[ T]hh:mm:ss[.f][Z|±hh:mm]" in the type's unit; without a zone it is UTC. */
static bool read_timestamp(const char *p, unsigned unit, int64_t *ret_value)
{
    static const int64_t per_second[] = {1, 1000, 1000000, 1000000000};
    int64_t days, nanos = 0;
    int h = 0, m = 0, s = 0, used = 0, zone_h, zone_m, sign = 0;
    if (!read_date(&p, &days))
        return false;
    if (*p == ' ' || *p == 'T') {
        if (sscanf(++p, "%2d:%2d:%2d%n", &h, &m, &s, &used) != 3 || h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59)
            return false;
        p += used;
        if (*p == '.') {
            int64_t scale = 100000000;
            for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
                nanos += (*p - '0') * scale;
        }
    }
    while (*p == ' ')
        p++;
    if (*p == '+' || *p == '-') {
        sign = *p == '-' ? -1 : 1;
        if (sscanf(p + 1, "%2d:%2d%n", &zone_h, &zone_m, &used) != 2)
            return false;
        p += 1 + used;
    } else if (*p == 'Z') {
        p++;
    }
    if (*p)
        return false;
    __int128 t = (__int128)days * 86400 + h * 3600 + m * 60 + s - (sign ? sign * (zone_h * 3600 + zone_m * 60) : 0);
    t = t * per_second[unit] + nanos / (1000000000 / per_second[unit]);
    if (t < INT64_MIN || t > INT64_MAX)
        return false;
    *ret_value = (int64_t)t;
    return true;
}

/* Decimal digits to the unscaled value at `scale`, rounding half away from zero. */
static bool read_decimal_text(const char *p, int scale, int precision, __int128 *ret_value)
{
    bool negative = *p == '-', digits = false, point = false;
    __int128 v = 0, limit = 1;
    int places = 0;
    for (int i = 0; i < precision; i++)
        limit *= 10;
    p += *p == '-' || *p == '+';
    for (; *p; p++) {
        if (*p == '.' && !point) {
            point = true;
            continue;
        }
        if (*p < '0' || *p > '9')
            return false;
        digits = true;
        if (point && places >= scale) {
            v += places == scale && *p >= '5';
            places++;
            continue;
        }
        if (v >= limit)
            return false;
        v = v * 10 + (*p - '0');
        places += point;
    }
    for (; places < scale; places++) {
        if (v >= limit)
            return false;
        v *= 10;
    }
    if (!digits || v >= limit)
        return false;
    *ret_value = negative ? -v : v;
    return true;
}

static int put_bytes(struct dynbuf *out, const uint8_t *data, size_t n, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"Value\":{\"Binary\":["));
    for (size_t i = 0; i < n; i++)
        TRY(dynbuf_printf(out, err, "%s%u", i ? "," : "", data[i]));
    return dynbuf_append(out, "]}}", 3, err);
}

static bool integer_of(const char *text, __int128 *ret)
{
    struct json_value v = {.kind = JSON_STRING, .string = text, .string_size = strlen(text)};
    return json_i128(&v, ret);
}

/* The constraint JSON for `text` read as the column's type; *ret_ok = false when it cannot be read. */
static int put_parsed(const struct region_column *c, const char *text, bool quoted, struct dynbuf *out, bool *ret_ok, struct error *err)
{
    const struct dtype *t = c->type;
    const char *tag = number_tag(t), *end = text;
    __int128 n;
    int64_t days, instant;
    *ret_ok = true;
    if (type_is_string(t)) {
        TRY(dynbuf_printf(out, err, "{\"Value\":{\"String\":"));
        TRY(json_put_string(out, text, strlen(text), err));
        return dynbuf_append(out, "}}", 2, err);
    }
    if (c->logical == LOGICAL_PLAIN && type_is_binary(t))
        return put_bytes(out, (const uint8_t *)text, strlen(text), err);
    if (t->id == TYPE_BOOL && (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0))
        return dynbuf_printf(out, err, "{\"Value\":{\"Boolean\":%s}}", strcasecmp(text, "true") ? "false" : "true");
    if (tag && type_is_float(t)) {
        char *stop;
        double d = strtod(text, &stop);
        if (*text && !*stop) {
            TRY(dynbuf_printf(out, err, "{\"Value\":{\"%s\":", tag));
            TRY(t->id == TYPE_FLOAT32 ? json_put_float(out, strtof(text, NULL), err) : json_put_double(out, d, err));
            return dynbuf_append(out, "}}", 2, err);
        }
    }
    if (tag && type_is_integer(t) && integer_of(text, &n) && in_range(t, n)) {
        TRY(dynbuf_printf(out, err, "{\"Value\":{\"%s\":", tag));
        TRY(json_put_i128(out, n, err));
        return dynbuf_append(out, "}}", 2, err);
    }
    if (t->id == TYPE_DATE32 && read_date(&end, &days) && !*end)
        return dynbuf_printf(out, err, "{\"Value\":{\"Date\":%lld}}", (long long)days);
    if (t->id == TYPE_TIMESTAMP && !quoted && integer_of(text, &n) && n >= INT64_MIN && n <= INT64_MAX)
        return dynbuf_printf(out, err, "{\"Value\":{\"Timestamp\":{\"value\":%lld,\"unit\":\"%s\"}}}", (long long)n, time_unit_names[t->unit]);
    if (t->id == TYPE_TIMESTAMP && read_timestamp(text, t->unit, &instant))
        return dynbuf_printf(out, err, "{\"Value\":{\"Timestamp\":{\"value\":%lld,\"unit\":\"%s\"}}}", (long long)instant, time_unit_names[t->unit]);
    if (t->id == TYPE_DECIMAL128 && read_decimal_text(text, t->scale, t->precision, &n)) {
        TRY(dynbuf_printf(out, err, "{\"Value\":{\"Decimal128\":{\"value\":"));
        TRY(json_put_i128(out, n, err));
        return dynbuf_printf(out, err, ",\"precision\":%u,\"scale\":%d}}}", t->precision, t->scale);
    }
    *ret_ok = false;
    return ST_OK;
}

int default_from_literal(struct region_column *c, const char *text, size_t size, bool quoted, bool negative, struct error *err)
{
    struct dynbuf out;
    bool ok = false;
    if (memchr(text, 0, size))
        return error_set(err, ST_INVALID_ARGUMENTS, "the default of column %s holds a zero byte", c->name);
    char *copy = malloc(size + 2);
    if (!copy)
        return error_no_memory(err, size + 2);
    copy[0] = '-';
    memcpy(copy + negative, text, size);
    copy[negative + size] = 0;
    dynbuf_init(&out, 64 << 20);
    int st = put_parsed(c, copy, quoted, &out, &ok, err);
    if (st == ST_OK)
        st = ok ? default_from_text((const char *)out.data, out.size, c, err)
                : error_set(err, ST_INVALID_ARGUMENTS, "'%.80s' is no value of the type of column %s", copy, c->name);
    dynbuf_release(&out);
    free(copy);
    return st;
}

/* ---- casts ---- */

bool type_can_cast(const struct dtype *from, const struct dtype *to)
{
    if (type_equal(from, to, false))
        return true;
    bool from_number = number_tag(from) || from->id == TYPE_DECIMAL128, to_number = number_tag(to) || to->id == TYPE_DECIMAL128;
    bool from_time = from->id >= TYPE_DATE32 && from->id <= TYPE_DURATION, to_time = to->id >= TYPE_DATE32 && to->id <= TYPE_DURATION;
    if (type_is_nested(from) || type_is_nested(to))
        return from->id == TYPE_STRUCT && to->id == TYPE_STRUCT;
    if (from->id == TYPE_BOOL)
        return number_tag(to) || type_is_string(to);
    if (to->id == TYPE_BOOL)
        return number_tag(from) || type_is_string(from);
    if (type_is_string(to))
        return true;
    if (type_is_string(from))
        return to_number || to_time || type_is_binary(to);
    if (from_number && to_number)
        return true;
    if (from_time && to_time) /* an instant has no length, and a length or a time of day no date */
        return from->id == TYPE_TIMESTAMP ? to->id != TYPE_DURATION : from->id == TYPE_DATE32 ? to->id == TYPE_TIMESTAMP : from->id == to->id;
    return (from_time && (to->id == TYPE_INT64 || to->id == TYPE_INT32)) || (to_time && (from->id == TYPE_INT64 || from->id == TYPE_INT32));
}

/* The value of a scalar default as text that put_parsed() reads. */
static int value_text(const struct column *v, struct dynbuf *out, struct error *err)
{
    const struct dtype *t = v->type;
    __int128 n = 0;
    int32_t size;
    if (t->id == TYPE_BOOL)
        return dynbuf_printf(out, err, column_bool(v, 0) ? "true" : "false");
    if (type_is_varlen(t)) {
        const uint8_t *p = column_bytes(v, 0, &size);
        return dynbuf_append(out, p, (size_t)size, err);
    }
    int width = type_width(t);
    const uint8_t *p = v->buffers[0]->data + v->offset * width;
    if (t->id == TYPE_FLOAT32 || t->id == TYPE_FLOAT64) {
        double d;
        float f;
        memcpy(&d, p, t->id == TYPE_FLOAT64 ? 8 : 0);
        memcpy(&f, p, 4);
        return t->id == TYPE_FLOAT32 ? json_put_float(out, f, err) : json_put_double(out, d, err);
    }
    memcpy(&n, p, (size_t)width);
    if (width < 16 && type_is_integer(t) && !type_is_signed(t))
        return json_put_i128(out, n, err);
    if (width < 16 && n >> (8 * width - 1) & 1)
        n -= (__int128)1 << (8 * width);
    return json_put_i128(out, n, err);
}

static double value_number(const char *text)
{
    return strcasecmp(text, "true") == 0 ? 1 : strtod(text, NULL);
}

/* Words for truths, or a beginning of one, as Arrow reads them; "" for other texts, which no boolean column takes. */
static const char *boolean_of(const char *text)
{
    static const struct { const char *word, *value; } words[] = {{"true", "true"}, {"yes", "true"}, {"on", "true"}, {"1", "true"},
                                                                  {"false", "false"}, {"no", "false"}, {"off", "false"}, {"0", "false"}};
    size_t n = strlen(text);
    for (size_t i = 0; n && strcasecmp(text, "o") != 0 && i < sizeof words / sizeof *words; i++)
        if (n <= strlen(words[i].word) && strncasecmp(text, words[i].word, n) == 0)
            return words[i].value;
    return "";
}

/* A date, and the time of day when `clock` is set: the fraction in threes of digits, as Arrow prints it. */
static void print_instant(int64_t units, int64_t per_second, bool clock, char *out, size_t room)
{
    int64_t year, day = floor_div(units, 86400 * per_second), rest = floor_mod(units, 86400 * per_second), second = rest / per_second;
    int64_t nanos = rest % per_second * (1000000000 / per_second);
    int32_t month, mday;
    civil_of_days(day, &year, &month, &mday);
    int n = snprintf(out, room, "%04lld-%02d-%02d", (long long)year, month, mday);
    if (!clock)
        return;
    n += snprintf(out + n, room - (size_t)n, "T%02d:%02d:%02d", (int)(second / 3600), (int)(second / 60 % 60), (int)(second % 60));
    int digits = nanos == 0 ? 0 : nanos % 1000000 == 0 ? 3 : nanos % 1000 == 0 ? 6 : 9;
    for (int i = digits; i && i < 9; i++)
        nanos /= 10;
    if (digits)
        snprintf(out + n, room - (size_t)n, ".%0*lld", digits, (long long)nanos);
}

/* The default's text under the new type: in `buf`, or as it is. */
static const char *cast_text(const struct dtype *from, const struct dtype *to, const char *text, char *buf, size_t room)
{
    static const int64_t units[] = {1, 1000, 1000000, 1000000000};
    bool instant = from->id == TYPE_TIMESTAMP, to_date = to->id == TYPE_DATE32;
    if (to->id == TYPE_BOOL)
        return type_is_string(from) ? boolean_of(text) : value_number(text) != 0 ? "true" : "false";
    if (from->id == TYPE_BOOL && number_tag(to))
        return strcmp(text, "true") == 0 ? "1" : "0";
    if (type_is_integer(to) && (type_is_float(from) || from->id == TYPE_DECIMAL128)) {
        double d = strtod(text, NULL);
        if (from->id == TYPE_DECIMAL128)
            d /= pow(10, from->scale);
        snprintf(buf, room, "%.0f", trunc(fabs(d) < 1e20 ? d : 1e20));
        return strcmp(buf, "-0") == 0 ? "0" : buf;
    }
    if ((instant || from->id == TYPE_DATE32) && to->id == TYPE_TIMESTAMP) {
        int64_t by = instant ? units[from->unit] : 1;
        __int128 n = (__int128)strtoll(text, NULL, 10) * (instant ? 1 : 86400) * units[to->unit];
        n = n >= 0 ? n / by : -((-n + by - 1) / by);
        if (n < INT64_MIN || n > INT64_MAX)
            return "";
        snprintf(buf, room, "%lld", (long long)n);
    } else if (instant && (to_date || type_is_string(to))) {
        print_instant(strtoll(text, NULL, 10), units[from->unit], !to_date, buf, room);
    } else if ((from->id == TYPE_DATE32 && type_is_string(to)) || (from->id == TYPE_INT32 && to_date)) {
        print_instant(strtoll(text, NULL, 10) * 86400, 1, false, buf, room);
    } else if (from->id == TYPE_DECIMAL128 && (type_is_float(to) || type_is_string(to))) {
        snprintf(buf, room, "%.*f", from->scale > 0 ? from->scale : 0, strtod(text, NULL) / pow(10, from->scale));
    } else if (from->id == TYPE_FLOAT32 && to->id == TYPE_FLOAT64) {
        snprintf(buf, room, "%.17g", (double)strtof(text, NULL));
    } else {
        return text;
    }
    return buf;
}

/* What does not fit becomes NULL, as in rows. */
static int set_cast(struct region_column *c, const struct dtype *from, const char *text, struct error *err)
{
    char buf[80];
    text = cast_text(from, c->type, text, buf, sizeof buf);
    int st = default_from_literal(c, text, strlen(text), type_is_string(from), false, NULL);
    if (st == ST_OK)
        return ST_OK;
    if (st != ST_INVALID_ARGUMENTS || !c->nullable)
        return error_set(err, st, "the default of column %s cannot be cast to its new type", c->name);
    return default_from_text("{\"Value\":\"Null\"}", 16, c, err);
}

int default_cast(struct region_column *c, const struct dtype *from, struct error *err)
{
    if (c->default_kind != DEFAULT_VALUE)
        return ST_OK;
    if (column_is_null(c->default_value, 0))
        return default_from_text("{\"Value\":\"Null\"}", 16, c, err);
    if (type_is_nested(from))
        return error_set(err, ST_INVALID_ARGUMENTS, "the default of column %s cannot be cast", c->name);
    struct dynbuf text;
    dynbuf_init(&text, 64 << 20);
    int st = value_text(c->default_value, &text, err);
    if (st == ST_OK)
        st = dynbuf_append_byte(&text, 0, err);
    if (st == ST_OK)
        st = set_cast(c, from, (const char *)text.data, err);
    dynbuf_release(&text);
    return st;
}
