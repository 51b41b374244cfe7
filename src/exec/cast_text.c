#include "exec/cast_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/half.h"
#include "base/number.h"
#include "exec/expr_internal.h"
#include "exec/temporal.h"
#include "exec/zone.h"

/* ---- to text ---- */

static size_t print_float(double v, bool single, char *out, size_t room)
{
    char digits[NUMBER_RYU_MAX];
    return (size_t)snprintf(out, room, "%.*s", (int)number_ryu(v, single, digits), digits);
}

/* Arrow leaves these to Rust's own printing. */
static size_t print_half(double v, char *out, size_t room)
{
    char digits[NUMBER_PLAIN_MAX];
    return (size_t)snprintf(out, room, "%.*s", (int)number_plain(v, true, digits), digits);
}

static size_t print_int128(__int128 v, char *out, size_t room)
{
    char digits[48];
    size_t n = sizeof digits;
    unsigned __int128 u = v < 0 ? 0 - (unsigned __int128)v : (unsigned __int128)v;
    digits[--n] = 0;
    do {
        digits[--n] = (char)('0' + (int)(u % 10));
        u /= 10;
    } while (u);
    return (size_t)snprintf(out, room, "%s%s", v < 0 ? "-" : "", digits + n);
}

/* As Arrow: of a product that outgrew its type, the first digits. */
static size_t print_decimal(__int128 v, int precision, int scale, char *out, size_t room)
{
    char digits[48], zeros[48];
    bool negative = v < 0;
    size_t n = print_int128(v, digits, sizeof digits);
    if (negative)
        memmove(digits, digits + 1, n--);
    if (n > (size_t)precision)
        digits[n = (size_t)precision] = 0;
    if (scale <= 0 || scale > 38) {
        scale = scale < -38 ? -38 : scale > 0 ? 0 : scale;
        memset(zeros, '0', sizeof zeros);
        return (size_t)snprintf(out, room, "%s%s%.*s", negative ? "-" : "", digits, v ? -scale : 0, zeros);
    }
    if (n <= (size_t)scale) {
        size_t pad = (size_t)scale + 1 - n;
        memmove(digits + pad, digits, n + 1);
        memset(digits, '0', pad);
        n += pad;
    }
    return (size_t)snprintf(out, room, "%s%.*s.%s", negative ? "-" : "", (int)(n - (size_t)scale), digits, digits + n - (size_t)scale);
}

static size_t print_date(int64_t days, char *out, size_t room)
{
    int64_t year;
    int32_t month, day;
    civil_of_days(days, &year, &month, &day);
    if (year < 0 || year > 9999)
        return (size_t)snprintf(out, room, "%c%05lld-%02d-%02d", year < 0 ? '-' : '+', (long long)llabs(year), month, day);
    return (size_t)snprintf(out, room, "%04lld-%02d-%02d", (long long)year, month, day);
}

/* HH:MM:SS and 0, 3, 6 or 9 fraction digits. */
static size_t print_clock(int64_t nanos, char *out, size_t room)
{
    int64_t s = nanos / 1000000000, f = nanos % 1000000000;
    size_t n = (size_t)snprintf(out, room, "%02lld:%02lld:%02lld", (long long)(s / 3600), (long long)(s / 60 % 60), (long long)(s % 60));
    if (f == 0 || n >= room)
        return n;
    if (f % 1000000 == 0)
        return n + (size_t)snprintf(out + n, room - n, ".%03lld", (long long)(f / 1000000));
    if (f % 1000 == 0)
        return n + (size_t)snprintf(out + n, room - n, ".%06lld", (long long)(f / 1000));
    return n + (size_t)snprintf(out + n, room - n, ".%09lld", (long long)f);
}

/* A time of day; a number outside the day is shown as it is. */
static size_t print_time(int64_t v, uint8_t unit, char *out, size_t room)
{
    if (v < 0 || v >= 86400 * units_per_second(unit))
        return (size_t)snprintf(out, room, "%lld", (long long)v);
    return print_clock(v * (1000000000 / units_per_second(unit)), out, room);
}

/* In the type's zone, with the offset there; Z for UTC. */
static size_t print_timestamp(const struct dtype *t, int64_t v, char *out, size_t room)
{
    const struct tzif *zone = NULL;
    int64_t per = units_per_second(t->unit), seconds = floor_div(v, per), nanos = floor_mod(v, per) * (1000000000 / per);
    int32_t offset = t->timezone && zone_find(t->timezone, &zone, NULL) == ST_OK ? tzif_at(zone, seconds)->offset_s : 0;
    int64_t day = floor_div(seconds, 86400), clock = floor_mod(seconds, 86400) + offset;
    size_t n = print_date(day + floor_div(clock, 86400), out, room);
    n += (size_t)snprintf(out + n, room - n, "T");
    n += print_clock(floor_mod(clock, 86400) * 1000000000 + nanos, out + n, room - n);
    if (!t->timezone)
        return n;
    if (offset == 0)
        return n + (size_t)snprintf(out + n, room - n, "Z");
    return n + (size_t)snprintf(out + n, room - n, "%c%02d:%02d", offset < 0 ? '-' : '+', abs(offset) / 3600, abs(offset) / 60 % 60);
}

static size_t put_part(char *out, size_t room, size_t n, long long value, const char *name)
{
    return value && n < room ? n + (size_t)snprintf(out + n, room - n, "%s%lld %s", n ? " " : "", value, name) : n;
}

static size_t print_interval(const struct column *c, int64_t i, char *out, size_t room)
{
    const uint8_t *p = c->buffers[0]->data + (c->offset + i) * type_width(c->type);
    int32_t a = 0, b = 0;
    int64_t nanos = 0;
    out[0] = 0;
    memcpy(&a, p, 4);
    if (c->type->id == TYPE_INTERVAL_YEAR_MONTH)
        return (size_t)snprintf(out, room, "%d years %d mons", (int)floor_div(a, 12), (int)floor_mod(a, 12));
    memcpy(&b, p + 4, 4);
    if (c->type->id == TYPE_INTERVAL_DAY_TIME) {
        nanos = (int64_t)b * 1000000;
        b = a;
        a = 0;
    } else {
        memcpy(&nanos, p + 8, 8);
    }
    size_t n = put_part(out, room, 0, a, "mons");
    n = put_part(out, room, n, b, "days");
    n = put_part(out, room, n, nanos / 3600000000000, "hours");
    n = put_part(out, room, n, nanos / 60000000000 % 60, "mins");
    int64_t rest = nanos % 60000000000;
    if (rest == 0 || n >= room)
        return n;
    const char *sign = rest < 0 ? "-" : "";
    rest = llabs(rest);
    bool milli = c->type->id == TYPE_INTERVAL_DAY_TIME;
    return n + (size_t)snprintf(out + n, room - n, milli ? "%s%s%lld.%03lld secs" : "%s%s%lld.%09lld secs", n ? " " : "", sign,
                                (long long)(rest / 1000000000), (long long)(rest % 1000000000 / (milli ? 1000000 : 1)));
}

static size_t print_duration(int64_t v, uint8_t unit, char *out, size_t room)
{
    static const int digits[] = {0, 3, 6, 9};
    int64_t per = units_per_second(unit), s = v / per;
    size_t n = (size_t)snprintf(out, room, "%lld days %lld hours %lld mins ", (long long)(s / 86400), (long long)(s / 3600 % 24), (long long)(s / 60 % 60));
    if (unit == UNIT_SECOND)
        return n + (size_t)snprintf(out + n, room - n, "%lld secs", (long long)(s % 60));
    return n + (size_t)snprintf(out + n, room - n, "%s%lld.%0*lld secs", v < 0 && v % per && s % 60 == 0 ? "-" : "", (long long)(s % 60), digits[unit],
                                (long long)llabs(v % per));
}

static size_t print_value(const struct column *c, int64_t i, char *out, size_t room)
{
    int32_t n;
    switch ((enum type_id)c->type->id) {
    case TYPE_BOOL: return (size_t)snprintf(out, room, "%s", column_bool(c, i) ? "true" : "false");
    case TYPE_INT8: return (size_t)snprintf(out, room, "%d", COLUMN_VALUES(c, int8_t)[i]);
    case TYPE_INT16: return (size_t)snprintf(out, room, "%d", COLUMN_VALUES(c, int16_t)[i]);
    case TYPE_INT32: return (size_t)snprintf(out, room, "%d", COLUMN_VALUES(c, int32_t)[i]);
    case TYPE_INT64: return (size_t)snprintf(out, room, "%lld", (long long)COLUMN_VALUES(c, int64_t)[i]);
    case TYPE_UINT8: return (size_t)snprintf(out, room, "%u", COLUMN_VALUES(c, uint8_t)[i]);
    case TYPE_UINT16: return (size_t)snprintf(out, room, "%u", COLUMN_VALUES(c, uint16_t)[i]);
    case TYPE_UINT32: return (size_t)snprintf(out, room, "%u", COLUMN_VALUES(c, uint32_t)[i]);
    case TYPE_UINT64: return (size_t)snprintf(out, room, "%llu", (unsigned long long)COLUMN_VALUES(c, uint64_t)[i]);
    case TYPE_FLOAT16: return print_half(half_to_double(COLUMN_VALUES(c, uint16_t)[i]), out, room);
    case TYPE_FLOAT32: return print_float((double)COLUMN_VALUES(c, float)[i], true, out, room);
    case TYPE_FLOAT64: return print_float(COLUMN_VALUES(c, double)[i], false, out, room);
    case TYPE_DECIMAL128: return print_decimal(COLUMN_VALUES(c, __int128)[i], c->type->precision, c->type->scale, out, room);
    case TYPE_DATE32: return print_date(COLUMN_VALUES(c, int32_t)[i], out, room);
    case TYPE_TIMESTAMP: return print_timestamp(c->type, COLUMN_VALUES(c, int64_t)[i], out, room);
    case TYPE_DATE64: return print_timestamp(type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), COLUMN_VALUES(c, int64_t)[i], out, room);
    case TYPE_TIME32: return print_time(COLUMN_VALUES(c, int32_t)[i], c->type->unit, out, room);
    case TYPE_TIME64: return print_time(COLUMN_VALUES(c, int64_t)[i], c->type->unit, out, room);
    case TYPE_DURATION: return print_duration(COLUMN_VALUES(c, int64_t)[i], c->type->unit, out, room);
    case TYPE_INTERVAL_YEAR_MONTH: case TYPE_INTERVAL_DAY_TIME: case TYPE_INTERVAL_MONTH_DAY_NANO: return print_interval(c, i, out, room);
    default:
        if (type_is_varlen(c->type)) {
            const uint8_t *p = column_bytes(c, i, &n);
            return (size_t)snprintf(out, room, "%.*s", n, (const char *)p);
        }
        return (size_t)snprintf(out, room, "?");
    }
}

size_t text_of_value(const struct column *c, int64_t i, char *out, size_t room)
{
    size_t n = print_value(c, i, out, room);
    return n < room ? n : room - 1;
}

/* ---- from text ---- */

bool text_to_integer(const char *p, size_t n, __int128 *out)
{
    bool negative = n && *p == '-';
    __int128 v = 0;
    if (n && (*p == '-' || *p == '+')) {
        p++;
        n--;
    }
    if (n == 0)
        return false;
    for (; n > 1 && *p == '0'; n--) /* as many as there are */
        p++;
    if (n > 38)
        return false;
    for (; n; n--, p++) {
        if (!isdigit((unsigned char)*p))
            return false;
        v = v * 10 + (*p - '0');
    }
    *out = negative ? -v : v;
    return true;
}

bool text_to_bool(const char *p, size_t n, bool *out)
{
    static const char *const yes[] = {"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"}, *const no[] = {"f", "fa", "fal", "fals", "false", "n", "no", "of",
                                                                                                             "off", "0"};
    while (n && isspace((unsigned char)*p)) {
        p++;
        n--;
    }
    while (n && isspace((unsigned char)p[n - 1]))
        n--;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (strlen(yes[i]) == n && strncasecmp(yes[i], p, n) == 0) {
            *out = true;
            return true;
        }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (strlen(no[i]) == n && strncasecmp(no[i], p, n) == 0) {
            *out = false;
            return true;
        }
    return false;
}

/* As Arrow: spaces around are dropped, no exponent, and no digits at all are zero. */
bool text_to_decimal(const char *p, size_t n, int precision, int scale, __int128 *out)
{
    __int128 v = 0, limit = 1;
    int decimals = -1;
    bool negative = false, round_up = false;
    while (n && isspace((unsigned char)*p)) {
        p++;
        n--;
    }
    while (n && isspace((unsigned char)p[n - 1]))
        n--;
    if (n && (*p == '-' || *p == '+')) {
        negative = *p++ == '-';
        n--;
    }
    for (; n; n--, p++) {
        if (*p == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (!isdigit((unsigned char)*p))
            return false;
        if (decimals >= scale) {
            if (decimals++ == scale)
                round_up = *p >= '5';
            continue;
        }
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
            return false;
        if (decimals >= 0)
            decimals++;
    }
    for (int d = decimals < 0 ? 0 : decimals; d < scale; d++)
        if (__builtin_mul_overflow(v, 10, &v))
            return false;
    for (int i = 0; i < precision; i++)
        limit *= 10;
    if (v >= limit - round_up)
        return false;
    v += round_up;
    *out = negative ? -v : v;
    return true;
}

struct cursor { const char *p; size_t n; };

/* Exactly `digits` digits. */
static bool take_digits(struct cursor *c, size_t digits, int64_t *out)
{
    if (c->n < digits)
        return false;
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        if (!isdigit((unsigned char)c->p[i]))
            return false;
        *out = *out * 10 + (c->p[i] - '0');
    }
    c->p += digits;
    c->n -= digits;
    return true;
}

static bool take_char(struct cursor *c, const char *any)
{
    if (!c->n || !strchr(any, *c->p) || !*c->p)
        return false;
    c->p++;
    c->n--;
    return true;
}

static bool valid_date(int64_t y, int64_t m, int64_t d)
{
    if (m < 1 || m > 12 || d < 1 || d > 31)
        return false;
    int64_t ry;
    int32_t rm, rd;
    civil_of_days(days_of_civil(y, (int32_t)m, (int32_t)d), &ry, &rm, &rd);
    return rm == m && rd == d;
}

/* Z, [+-]hh[[:]mm] or an IANA name behind a time; *zone becomes NULL when it is an offset (seconds east of UTC), else what names the zone. */
static bool take_zone(struct cursor *c, const struct tzif **zone, int64_t *offset)
{
    char name[64];
    *offset = 0;
    if (c->n == 0)
        return true;
    if (c->n == 1 && (*c->p | 32) == 'z') { /* only right behind the time */
        *zone = NULL;
        return true;
    }
    while (take_char(c, " "))
        ;
    if (c->n == 0)
        return false;
    if (isalpha((unsigned char)*c->p)) {
        if (c->n < 2 || c->n >= sizeof name)
            return false;
        memcpy(name, c->p, c->n);
        name[c->n] = 0;
        return zone_find(name, zone, NULL) == ST_OK;
    }
    *zone = NULL;
    bool west = *c->p == '-';
    int64_t hours, minutes = 0;
    if (!take_char(c, "+-") || !take_digits(c, 2, &hours))
        return false;
    take_char(c, ":");
    if (c->n && !take_digits(c, 2, &minutes))
        return false;
    *offset = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
    return c->n == 0 && hours < 24 && minutes < 60;
}

/* Digits behind a dot, the first nine of them, as nanoseconds; false when there are none. */
static bool take_fraction(struct cursor *c, int64_t *nanos)
{
    int64_t scale = 100000000;
    *nanos = 0;
    if (!c->n || !isdigit((unsigned char)*c->p))
        return false;
    for (; c->n && isdigit((unsigned char)*c->p); c->p++, c->n--, scale /= 10)
        *nanos += scale * (*c->p - '0');
    return true;
}

bool text_to_timestamp(const char *p, size_t n, const struct tzif *zone, uint8_t unit, int64_t *out)
{
    struct cursor c = {p, n};
    int64_t y, mo, d, h = 0, mi = 0, s = 0, offset = 0, nanos = 0, found[2];
    if (!take_digits(&c, 4, &y) || !take_char(&c, "-") || !take_digits(&c, 2, &mo) || !take_char(&c, "-") || !take_digits(&c, 2, &d) || !valid_date(y, mo, d))
        return false;
    if (c.n) {
        if (!take_char(&c, "Tt ") || !take_digits(&c, 2, &h))
            return false;
        bool colons = take_char(&c, ":");
        if (!take_digits(&c, 2, &mi) || (colons && !take_char(&c, ":")) || !take_digits(&c, 2, &s) || h > 23 || mi > 59 || s > 60) /* a leap second is the next minute's first */
            return false;
        if ((take_char(&c, ".") && !take_fraction(&c, &nanos)) || !take_zone(&c, &zone, &offset))
            return false;
    }
    int64_t seconds = days_of_civil(y, (int32_t)mo, (int32_t)d) * 86400 + h * 3600 + mi * 60 + s - offset;
    if (zone && tzif_from_local(zone, seconds, found) != 1)
        return false;
    __int128 t = (__int128)(zone ? found[0] : seconds) * units_per_second(unit) + nanos / (1000000000 / units_per_second(unit));
    if (t < INT64_MIN || t > INT64_MAX)
        return false;
    *out = (int64_t)t;
    return true;
}

/* H:MM[:SS[.fraction]] [AM|PM], or a number of units. */
bool text_to_time(const char *p, size_t n, uint8_t unit, int64_t *out)
{
    struct cursor c = {p, n};
    int64_t h, m, s = 0, nanos = 0, per = units_per_second(unit);
    __int128 raw;
    if (text_to_integer(p, n, &raw)) {
        *out = (int64_t)raw;
        return unit <= UNIT_MILLI ? raw >= INT32_MIN && raw <= INT32_MAX : raw >= INT64_MIN && raw <= INT64_MAX;
    }
    if (!(take_digits(&c, 2, &h) || take_digits(&c, 1, &h)) || !take_char(&c, ":") || !take_digits(&c, 2, &m))
        return false;
    if (take_char(&c, ":") && (!take_digits(&c, 2, &s) || (take_char(&c, ".") && !take_fraction(&c, &nanos))))
        return false;
    if (c.n) {
        bool afternoon = c.n == 3 && (c.p[1] | 32) == 'p';
        if (c.n != 3 || *c.p != ' ' || (c.p[2] | 32) != 'm' || (!afternoon && (c.p[1] | 32) != 'a') || h < 1 || h > 12)
            return false;
        h = h % 12 + 12 * afternoon;
    }
    if (h > 23 || m > 59 || s > 59)
        return false;
    *out = (h * 3600 + m * 60 + s) * per + nanos / (1000000000 / per);
    return true;
}

/* A date with a sign: the year has at least four digits. */
static bool signed_date(const char *p, size_t n, int32_t *out)
{
    struct cursor c = {p + 1, n - 1};
    int64_t y = 0, m, d, digits = 0, digit;
    for (; digits < 6 && take_digits(&c, 1, &digit); digits++)
        y = y * 10 + digit;
    if (digits < 4 || !take_char(&c, "-") || !(take_digits(&c, 2, &m) || take_digits(&c, 1, &m)) || !take_char(&c, "-") ||
        !(take_digits(&c, 2, &d) || take_digits(&c, 1, &d)) || c.n)
        return false;
    y = *p == '-' ? -y : y;
    if (y < -262143 || y > 262142 || !valid_date(y, m, d))
        return false;
    *out = (int32_t)days_of_civil(y, (int32_t)m, (int32_t)d);
    return true;
}

bool text_to_date(const char *p, size_t n, int32_t *out)
{
    struct cursor c = {p, n};
    int64_t y, m, d, seconds;
    if (n && (*p == '-' || *p == '+'))
        return signed_date(p, n, out);
    if (n > 10) {
        if (!text_to_timestamp(p, n, NULL, UNIT_SECOND, &seconds))
            return false;
        *out = (int32_t)floor_div(seconds, 86400);
        return true;
    }
    if (n == 8 && take_digits(&c, 4, &y) && take_digits(&c, 2, &m) && take_digits(&c, 2, &d) && valid_date(y, m, d)) {
        *out = (int32_t)days_of_civil(y, (int32_t)m, (int32_t)d);
        return true;
    }
    c = (struct cursor){p, n};
    if (!take_digits(&c, 4, &y) || !take_char(&c, "-") || !(take_digits(&c, 2, &m) || take_digits(&c, 1, &m)) || !take_char(&c, "-") ||
        !(take_digits(&c, 2, &d) || take_digits(&c, 1, &d)) || c.n || !valid_date(y, m, d))
        return false;
    *out = (int32_t)days_of_civil(y, (int32_t)m, (int32_t)d);
    return true;
}
