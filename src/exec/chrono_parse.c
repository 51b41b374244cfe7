#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/civil.h"
#include "exec/chrono.h"
#include "exec/zone.h"

enum { SECOND_NS = 1000000000, NOT_SET = INT32_MIN, DEPTH_MAX = 4 };

/* What a text has told so far. */
struct fields {
    int64_t year, century, year2, iso_year, iso_year2, month, day, yday, week_sunday, week_monday, iso_week, weekday; /* weekday: Monday = 0 */
    int64_t hour, hour12, afternoon, minute, second, nano, offset_s, timestamp;
};

struct reader {
    const char *p, *end;
};

static void skip_spaces(struct reader *r)
{
    while (r->p < r->end && isspace((unsigned char)*r->p))
        r->p++;
}

/* Sets a field once; a second value has to agree. */
static bool set(int64_t *field, int64_t v)
{
    if (*field != NOT_SET && *field != v)
        return false;
    *field = v;
    return true;
}

static bool read_digits(struct reader *r, int least, int most, int64_t *ret)
{
    int n = 0;
    int64_t v = 0;
    for (; r->p < r->end && n < most && isdigit((unsigned char)*r->p); r->p++, n++)
        v = v * 10 + (*r->p - '0');
    *ret = v;
    return n >= least;
}

/* A number of up to `width` digits; signed ones may have a sign and then any number of digits. */
static bool read_number(struct reader *r, int width, bool is_signed, int64_t *ret)
{
    skip_spaces(r);
    if (is_signed && r->p < r->end && (*r->p == '-' || *r->p == '+')) {
        bool negative = *r->p++ == '-';
        if (!read_digits(r, 1, 18, ret))
            return false;
        *ret = negative ? -*ret : *ret;
        return true;
    }
    return read_digits(r, 1, width, ret);
}

static bool read_name(struct reader *r, const char *const *names, int n, int64_t *ret)
{
    for (int i = 0; i < n; i++) {
        size_t left = (size_t)(r->end - r->p), size = strlen(names[i]);
        if (left < 3 || strncasecmp(r->p, names[i], 3) != 0)
            continue;
        r->p += left >= size && strncasecmp(r->p, names[i], size) == 0 ? size : 3;
        *ret = i;
        return true;
    }
    return false;
}

/* Digits behind the dot, the first nine of them. */
static bool read_fraction(struct reader *r, int least, int most, int64_t *ret)
{
    int64_t v = 0;
    int n = 0;
    for (; r->p < r->end && isdigit((unsigned char)*r->p) && n < most; r->p++, n++)
        if (n < 9)
            v = v * 10 + (*r->p - '0');
    if (n < least)
        return false;
    for (int i = n; i < 9; i++)
        v *= 10;
    *ret = v;
    return true;
}

/* [+-]hh[:]mm; in the short form minutes may be missing and Z is allowed. */
static bool read_offset(struct reader *r, bool short_form, int64_t *ret)
{
    int64_t hours, minutes = 0;
    skip_spaces(r);
    if (short_form && r->p < r->end && (*r->p == 'Z' || *r->p == 'z')) {
        r->p++;
        *ret = 0;
        return true;
    }
    if (r->p == r->end || (*r->p != '+' && *r->p != '-'))
        return false;
    int sign = *r->p++ == '-' ? -1 : 1;
    if (!read_digits(r, 2, 2, &hours))
        return false;
    bool colon = r->p < r->end && *r->p == ':';
    r->p += colon;
    if (!read_digits(r, 2, 2, &minutes) && (!short_form || colon))
        return false;
    *ret = sign * (hours * 3600 + minutes * 60);
    return minutes < 60 && hours < 24;
}

static bool parse(const char *f, size_t n, struct reader *r, struct fields *x, int depth);

static bool parse_text(const char *format, struct reader *r, struct fields *x, int depth)
{
    return depth < DEPTH_MAX && parse(format, strlen(format), r, x, depth + 1);
}

static bool number_into(struct reader *r, int width, bool is_signed, int64_t low, int64_t high, int64_t *field)
{
    int64_t v;
    return read_number(r, width, is_signed, &v) && v >= low && v <= high && set(field, v);
}

static bool parse_clock_letter(char c, struct reader *r, struct fields *x, int depth)
{
    int64_t v;
    switch (c) {
    case 'H':
    case 'k':
        return number_into(r, 2, false, 0, 23, &x->hour);
    case 'I':
    case 'l':
        return read_number(r, 2, false, &v) && v >= 1 && v <= 12 && set(&x->hour12, v % 12);
    case 'M':
        return number_into(r, 2, false, 0, 59, &x->minute);
    case 'S':
        return number_into(r, 2, false, 0, 60, &x->second);
    case 'f':
        return number_into(r, 9, false, 0, SECOND_NS - 1, &x->nano);
    case 'p':
    case 'P':
        if (r->end - r->p < 2 || (r->p[1] | 32) != 'm' || ((*r->p | 32) != 'a' && (*r->p | 32) != 'p'))
            return false;
        r->p += 2;
        return set(&x->afternoon, (r->p[-2] | 32) == 'p');
    case 'R':
        return parse_text("%H:%M", r, x, depth);
    case 'T':
    case 'X':
        return parse_text("%H:%M:%S", r, x, depth);
    case 'r':
        return parse_text("%I:%M:%S %p", r, x, depth);
    case 'z':
        return read_offset(r, false, &v) && set(&x->offset_s, v);
    case 's':
        return read_number(r, 18, true, &v) && set(&x->timestamp, v);
    default:
        return false;
    }
}

static bool parse_letter(char c, struct reader *r, struct fields *x, int depth)
{
    int64_t v;
    switch (c) {
    case 'Y':
        return number_into(r, 4, true, -262143, 262142, &x->year);
    case 'C':
        return number_into(r, 2, false, 0, 99, &x->century);
    case 'y':
        return number_into(r, 2, false, 0, 99, &x->year2);
    case 'q':
        return read_number(r, 1, false, &v) && v >= 1 && v <= 4;
    case 'm':
        return number_into(r, 2, false, 1, 12, &x->month);
    case 'd':
    case 'e':
        return number_into(r, 2, false, 1, 31, &x->day);
    case 'b':
    case 'h':
    case 'B':
        return read_name(r, chrono_months, 12, &v) && set(&x->month, v + 1);
    case 'a':
    case 'A':
        return read_name(r, chrono_weekdays, 7, &v) && set(&x->weekday, v);
    case 'w':
        return read_number(r, 1, false, &v) && v <= 6 && set(&x->weekday, (v + 6) % 7);
    case 'u':
        return read_number(r, 1, false, &v) && v >= 1 && v <= 7 && set(&x->weekday, v - 1);
    case 'U':
        return number_into(r, 2, false, 0, 53, &x->week_sunday);
    case 'W':
        return number_into(r, 2, false, 0, 53, &x->week_monday);
    case 'G':
        return number_into(r, 4, true, -262143, 262142, &x->iso_year);
    case 'g':
        return number_into(r, 2, false, 0, 99, &x->iso_year2);
    case 'V':
        return number_into(r, 2, false, 1, 53, &x->iso_week);
    case 'j':
        return number_into(r, 3, false, 1, 366, &x->yday);
    case 'D':
    case 'x':
        return parse_text("%m/%d/%y", r, x, depth);
    case 'F':
        return parse_text("%Y-%m-%d", r, x, depth);
    case 'v':
        return parse_text("%e-%b-%Y", r, x, depth);
    case 'c':
        return parse_text("%a %b %e %H:%M:%S %Y", r, x, depth);
    case '+':
        return parse_text("%Y-%m-%dT%H:%M:%S%.f%#z", r, x, depth);
    case 't':
    case 'n':
        skip_spaces(r);
        return true;
    case '%':
        return r->p < r->end && *r->p++ == '%';
    default:
        return parse_clock_letter(c, r, x, depth);
    }
}

static bool starts(const char *p, size_t n, const char *with)
{
    return n >= strlen(with) && memcmp(p, with, strlen(with)) == 0;
}

static bool parse_specifier(const char *f, size_t n, struct reader *r, struct fields *x, int depth, size_t *ret_used)
{
    static const char *const fractions[] = {"3f", "6f", "9f"}, *const dotted[] = {".f", ".3f", ".6f", ".9f"},
                             *const offsets[] = {"#z", ":::z", "::z", ":z"};
    int64_t v;
    for (int i = 0; i < 3; i++)
        if (starts(f, n, fractions[i])) {
            *ret_used = 2;
            return read_fraction(r, 3 * i + 3, 3 * i + 3, &v) && set(&x->nano, v);
        }
    for (int i = 0; i < 4; i++)
        if (starts(f, n, dotted[i])) {
            *ret_used = strlen(dotted[i]);
            if (r->p == r->end || *r->p != '.')
                return true;
            r->p++;
            return read_fraction(r, 1, INT16_MAX, &v) && set(&x->nano, v);
        }
    for (int i = 0; i < 4; i++)
        if (starts(f, n, offsets[i])) {
            *ret_used = strlen(offsets[i]);
            return read_offset(r, i == 0, &v) && set(&x->offset_s, v);
        }
    size_t padded = n > 1 && *f && strchr("-_0", *f);
    *ret_used = padded + 1;
    return n > padded && parse_letter(f[padded], r, x, depth);
}

static bool parse(const char *f, size_t n, struct reader *r, struct fields *x, int depth)
{
    for (size_t i = 0, used; i < n; i += used) {
        used = 1;
        if (f[i] == '%') {
            i++;
            if (!parse_specifier(f + i, n - i, r, x, depth, &used))
                return false;
        } else if (isspace((unsigned char)f[i])) {
            skip_spaces(r);
        } else {
            if (r->p == r->end || *r->p != f[i])
                return false;
            r->p++;
        }
    }
    return true;
}

/* ---- what it means ---- */

static bool full_year(int64_t year, int64_t century, int64_t year2, int64_t *ret)
{
    if (year != NOT_SET) {
        *ret = year;
        return year2 == NOT_SET || floor_mod(year, 100) == year2;
    }
    *ret = century != NOT_SET ? century * 100 + year2 : year2 + (year2 < 70 ? 2000 : 1900);
    return year2 != NOT_SET;
}

/* The date, from whichever fields suffice; all the others have to agree with it. */
static bool date_of(const struct fields *x, int64_t *ret_days)
{
    int64_t year, days, iso_year, unused;
    int32_t month, day;
    if (full_year(x->year, x->century, x->year2, &year)) {
        if (x->month != NOT_SET && x->day != NOT_SET) {
            if (x->day > days_in_month(year, (int32_t)x->month))
                return false;
            days = days_of_civil(year, (int32_t)x->month, (int32_t)x->day);
        } else if (x->yday != NOT_SET) {
            days = days_of_civil(year, 1, 1) + x->yday - 1;
        } else if ((x->week_sunday != NOT_SET || x->week_monday != NOT_SET) && x->weekday != NOT_SET) {
            int64_t first = days_of_civil(year, 1, 1);
            bool sunday = x->week_sunday != NOT_SET;
            int64_t start = sunday ? (weekday_of_days(first) + 1) % 7 : weekday_of_days(first); /* weekday of 1 January, from the week's first day */
            days = first + (7 - start) % 7 + ((sunday ? x->week_sunday : x->week_monday) - 1) * 7 + (sunday ? (x->weekday + 1) % 7 : x->weekday);
        } else {
            return false;
        }
        civil_of_days(days, &unused, &month, &day);
        if (unused != year)
            return false;
    } else if (x->iso_week != NOT_SET && x->weekday != NOT_SET && full_year(x->iso_year, NOT_SET, x->iso_year2, &iso_year)) {
        int64_t fourth = days_of_civil(iso_year, 1, 4);
        days = fourth - weekday_of_days(fourth) + (x->iso_week - 1) * 7 + x->weekday;
    } else {
        return false;
    }
    int32_t week = iso_week_of_days(days, &iso_year);
    civil_of_days(days, &year, &month, &day);
    if ((x->weekday != NOT_SET && x->weekday != weekday_of_days(days)) || (x->iso_week != NOT_SET && x->iso_week != week) ||
        (x->month != NOT_SET && x->month != month) || (x->yday != NOT_SET && x->yday != days - days_of_civil(year, 1, 1) + 1))
        return false;
    *ret_days = days;
    return true;
}

/* Nanoseconds of the day. */
static bool clock_of(const struct fields *x, int64_t *ret_nanos)
{
    int64_t hour = x->hour;
    if (hour == NOT_SET && x->hour12 != NOT_SET && x->afternoon != NOT_SET)
        hour = x->hour12 + 12 * x->afternoon;
    if (hour == NOT_SET || x->minute == NOT_SET || (x->second == NOT_SET && x->nano != NOT_SET))
        return false;
    if ((x->hour12 != NOT_SET && hour % 12 != x->hour12) || (x->afternoon != NOT_SET && (hour >= 12) != x->afternoon))
        return false;
    *ret_nanos = (hour * 3600 + x->minute * 60 + (x->second == NOT_SET ? 0 : x->second)) * SECOND_NS + (x->nano == NOT_SET ? 0 : x->nano);
    return true;
}

static void clear(struct fields *x)
{
    int64_t *all = (int64_t *)x;
    for (size_t i = 0; i < sizeof *x / sizeof *all; i++)
        all[i] = NOT_SET;
}

/* A format that ends in " %Z" reads an IANA name behind the last space. */
static bool take_zone_name(const char **format, size_t *n, struct reader *r, const struct tzif **zone)
{
    char name[64];
    size_t end = *n;
    while (end && isspace((unsigned char)(*format)[end - 1]))
        end--;
    if (end < 3 || memcmp(*format + end - 3, " %Z", 3) != 0)
        return memmem(*format, *n, "%Z", 2) == NULL;
    while (r->end > r->p && isspace((unsigned char)r->end[-1]))
        r->end--;
    const char *space = memrchr(r->p, ' ', (size_t)(r->end - r->p));
    size_t size = space ? (size_t)(r->end - space) - 1 : 0;
    if (size == 0 || size >= sizeof name)
        return false;
    memcpy(name, space + 1, size);
    name[size] = 0;
    r->end = space;
    *n = end - 3;
    return zone_find(name, zone, NULL) == ST_OK;
}

bool chrono_parse(const uint8_t *format, size_t n, const uint8_t *text, size_t size, struct chrono_time *ret_time)
{
    struct reader r = {(const char *)text, (const char *)text + size};
    const struct tzif *zone = NULL;
    struct fields x;
    const char *f = (const char *)format;
    int64_t days, nanos = 0;
    clear(&x);
    if (!take_zone_name(&f, &n, &r, &zone) || !parse(f, n, &r, &x, 0) || r.p != r.end)
        return false;
    if (x.timestamp != NOT_SET) {
        *ret_time = (struct chrono_time){x.timestamp, (int32_t)(x.nano == NOT_SET ? 0 : x.nano), true};
        return true;
    }
    if (!date_of(&x, &days) || (!clock_of(&x, &nanos) && x.offset_s != NOT_SET))
        return false;
    struct chrono_time t = {days * 86400 + nanos / SECOND_NS, (int32_t)(nanos % SECOND_NS), x.offset_s != NOT_SET};
    if (t.absolute)
        t.seconds -= x.offset_s;
    else if (zone && !(t.absolute = chrono_resolve(&t, zone, false, &t.seconds)))
        return false;
    *ret_time = t;
    return true;
}

bool chrono_resolve(const struct chrono_time *t, const struct tzif *zone, bool earlier, int64_t *ret_seconds)
{
    int64_t found[2] = {t->seconds};
    int n = t->absolute || !zone ? 1 : tzif_from_local(zone, t->seconds, found);
    if (n == 0 || (n == 2 && !earlier))
        return false;
    *ret_seconds = found[0];
    return true;
}

bool chrono_parse_clock(const uint8_t *format, size_t n, const uint8_t *text, size_t size, int64_t *ret_nanos)
{
    struct reader r = {(const char *)text, (const char *)text + size};
    struct fields x;
    clear(&x);
    return parse((const char *)format, n, &r, &x, 0) && r.p == r.end && clock_of(&x, ret_nanos);
}
