#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/civil.h"
#include "exec/chrono.h"

const char *const chrono_months[12] = {"January", "February", "March",     "April",   "May",      "June",
                                       "July",    "August",   "September", "October", "November", "December"};
const char *const chrono_weekdays[7] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};

enum { SECOND_NS = 1000000000 };

struct moment moment_of(int64_t value, int64_t per_second, const struct tzif *zone)
{
    int64_t seconds = floor_div(value, per_second), nanos = floor_mod(value, per_second) * (SECOND_NS / per_second);
    struct moment m = {0, 0, zone ? tzif_at(zone, seconds) : NULL, false};
    int64_t day = floor_div(seconds, 86400), clock = floor_mod(seconds, 86400) + (m.zone ? m.zone->offset_s : 0);
    m.days = day + floor_div(clock, 86400);
    m.nanos = floor_mod(clock, 86400) * SECOND_NS + nanos;
    return m;
}

/* What a format is printed from. */
struct parts {
    const struct moment *m;
    int64_t year, iso_year;
    int32_t month, day, weekday, week, yday; /* weekday: Monday = 0; yday from 0 */
    int64_t hour, minute, second, nano;
};

static struct parts parts_of(const struct moment *m)
{
    struct parts p = {.m = m};
    civil_of_days(m->days, &p.year, &p.month, &p.day);
    p.weekday = weekday_of_days(m->days);
    p.week = iso_week_of_days(m->days, &p.iso_year);
    p.yday = (int32_t)(m->days - days_of_civil(p.year, 1, 1));
    p.hour = m->nanos / (3600LL * SECOND_NS);
    p.minute = m->nanos / (60LL * SECOND_NS) % 60;
    p.second = m->nanos / SECOND_NS % 60;
    p.nano = m->nanos % SECOND_NS;
    return p;
}

/* A number in `width` places; pad is '0', ' ' or '-' (none). Years outside 0..9999 get a sign. */
static int put_number(struct text_writer *w, int64_t v, int width, char pad, bool year, struct error *err)
{
    if (year && (v < 0 || v > 9999)) {
        if (pad == '-')
            return text_writer_printf(w, err, "%+lld", (long long)v);
        return text_writer_printf(w, err, pad == '0' ? "%+0*lld" : "%+*lld", width + 1, (long long)v);
    }
    if (pad == '-')
        return text_writer_printf(w, err, "%lld", (long long)v);
    return text_writer_printf(w, err, pad == '0' ? "%0*lld" : "%*lld", width, (long long)v);
}

static int put_offset(struct text_writer *w, const struct parts *p, int colons, struct error *err)
{
    if (!p->m->zone)
        return error_set(err, ST_EXECUTE_QUERY, "the format asks for a time zone that the value does not have");
    int32_t offset = p->m->zone->offset_s;
    unsigned s = (unsigned)abs(offset);
    char sign = offset < 0 ? '-' : '+';
    if (colons == 2)
        return text_writer_printf(w, err, "%c%02u:%02u:%02u", sign, s / 3600, s / 60 % 60, s % 60);
    if (colons == 3)
        return text_writer_printf(w, err, "%c%02u", sign, s / 3600);
    return text_writer_printf(w, err, colons ? "%c%02u:%02u" : "%c%02u%02u", sign, s / 3600, (s + 30) / 60 % 60); /* rounded to minutes */
}

/* Digits of the fraction; 0 = as many groups of three as it takes, none for zero. */
static int put_fraction(struct text_writer *w, int64_t nano, int digits, bool dot, struct error *err)
{
    if (digits == 0 && nano == 0)
        return ST_OK;
    if (digits == 0)
        digits = nano % 1000000 == 0 ? 3 : nano % 1000 == 0 ? 6 : 9;
    int64_t v = digits == 3 ? nano / 1000000 : digits == 6 ? nano / 1000 : nano;
    return text_writer_printf(w, err, "%s%0*lld", dot ? "." : "", digits, (long long)v);
}

static int print(const char *format, size_t n, const struct parts *p, struct text_writer *w, struct error *err);

static int print_text(const char *format, const struct parts *p, struct text_writer *w, struct error *err)
{
    return print(format, strlen(format), p, w, err);
}

struct number {
    int64_t value;
    int width;
    char pad;
    bool year;
};

static bool date_number(char c, const struct parts *p, struct number *r)
{
    switch (c) {
    case 'Y':
        *r = (struct number){p->year, 4, '0', true};
        return true;
    case 'C':
        *r = (struct number){floor_div(p->year, 100), 2, '0', false};
        return true;
    case 'y':
        *r = (struct number){floor_mod(p->year, 100), 2, '0', false};
        return true;
    case 'q':
        *r = (struct number){(p->month - 1) / 3 + 1, 1, '0', false};
        return true;
    case 'm':
        *r = (struct number){p->month, 2, '0', false};
        return true;
    case 'd':
        *r = (struct number){p->day, 2, '0', false};
        return true;
    case 'e':
        *r = (struct number){p->day, 2, ' ', false};
        return true;
    case 'w':
        *r = (struct number){(p->weekday + 1) % 7, 1, '0', false};
        return true;
    case 'u':
        *r = (struct number){p->weekday + 1, 1, '0', false};
        return true;
    case 'U':
        *r = (struct number){(p->yday - (p->weekday + 1) % 7 + 7) / 7, 2, '0', false};
        return true;
    case 'W':
        *r = (struct number){(p->yday - p->weekday + 7) / 7, 2, '0', false};
        return true;
    case 'G':
        *r = (struct number){p->iso_year, 4, '0', true};
        return true;
    case 'g':
        *r = (struct number){floor_mod(p->iso_year, 100), 2, '0', false};
        return true;
    case 'V':
        *r = (struct number){p->week, 2, '0', false};
        return true;
    case 'j':
        *r = (struct number){p->yday + 1, 3, '0', false};
        return true;
    default:
        return false;
    }
}

static bool time_number(char c, const struct parts *p, struct number *r)
{
    int64_t hour12 = p->hour % 12 ? p->hour % 12 : 12;
    switch (c) {
    case 'H':
        *r = (struct number){p->hour, 2, '0', false};
        return true;
    case 'k':
        *r = (struct number){p->hour, 2, ' ', false};
        return true;
    case 'I':
        *r = (struct number){hour12, 2, '0', false};
        return true;
    case 'l':
        *r = (struct number){hour12, 2, ' ', false};
        return true;
    case 'M':
        *r = (struct number){p->minute, 2, '0', false};
        return true;
    case 'S':
        *r = (struct number){p->second, 2, '0', false};
        return true;
    case 'f':
        *r = (struct number){p->nano, 9, '0', false};
        return true;
    case 's':
        *r = (struct number){p->m->days * 86400 + p->m->nanos / SECOND_NS - (p->m->zone ? p->m->zone->offset_s : 0), 1, '0', false};
        return true;
    default:
        return false;
    }
}

/* Numeric specifiers; false when c is none. */
static bool number_of(char c, const struct parts *p, struct number *r)
{
    return date_number(c, p, r) || time_number(c, p, r);
}

/* Everything else that is one letter. */
static int print_letter(char c, const struct parts *p, struct text_writer *w, struct error *err)
{
    switch (c) {
    case 'b':
    case 'h':
        return text_writer_put(w, chrono_months[p->month - 1], 3, err);
    case 'B':
        return text_writer_put(w, chrono_months[p->month - 1], strlen(chrono_months[p->month - 1]), err);
    case 'a':
        return text_writer_put(w, chrono_weekdays[p->weekday], 3, err);
    case 'A':
        return text_writer_put(w, chrono_weekdays[p->weekday], strlen(chrono_weekdays[p->weekday]), err);
    case 'P':
        return text_writer_put(w, p->hour < 12 ? "am" : "pm", 2, err);
    case 'p':
        return text_writer_put(w, p->hour < 12 ? "AM" : "PM", 2, err);
    case 'D':
    case 'x':
        return print_text("%m/%d/%y", p, w, err);
    case 'F':
        return print_text("%Y-%m-%d", p, w, err);
    case 'v':
        return print_text("%e-%b-%Y", p, w, err);
    case 'R':
        return print_text("%H:%M", p, w, err);
    case 'T':
    case 'X':
        return print_text("%H:%M:%S", p, w, err);
    case 'r':
        return print_text("%I:%M:%S %p", p, w, err);
    case 'c':
        return print_text("%a %b %e %H:%M:%S %Y", p, w, err);
    case '+':
        return print_text("%Y-%m-%dT%H:%M:%S%.f%:z", p, w, err);
    case 't':
        return text_writer_put(w, "\t", 1, err);
    case 'n':
        return text_writer_put(w, "\n", 1, err);
    case '%':
        return text_writer_put(w, "%", 1, err);
    case 'z':
        return put_offset(w, p, 0, err);
    case 'Z':
        if (!p->m->zone || p->m->nameless)
            return put_offset(w, p, 1, err);
        return text_writer_put(w, p->m->zone->abbreviation, strlen(p->m->zone->abbreviation), err);
    default:
        return error_set(err, ST_EXECUTE_QUERY, "invalid date format: unknown specifier %%%c", c >= ' ' && c < 0x7f ? c : '?');
    }
}

static bool starts(const char *p, size_t n, const char *with)
{
    return n >= strlen(with) && memcmp(p, with, strlen(with)) == 0;
}

/* One specifier behind its %; the bytes used in *ret_used. */
static int print_specifier(const char *f, size_t n, const struct parts *p, struct text_writer *w, size_t *ret_used, struct error *err)
{
    static const struct {
        const char *text;
        int digits;
        bool dot;
    } fractions[] = {{".f", 0, true}, {".3f", 3, true}, {".6f", 6, true}, {".9f", 9, true}, {"3f", 3, false}, {"6f", 6, false}, {"9f", 9, false}};
    static const char *const zones[] = {":z", "::z", ":::z"};
    struct number number;
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++)
        if (starts(f, n, fractions[i].text)) {
            *ret_used = strlen(fractions[i].text);
            return put_fraction(w, p->nano, fractions[i].digits, fractions[i].dot, err);
        }
    for (int i = 0; i < 3; i++)
        if (starts(f, n, zones[i])) {
            *ret_used = (size_t)i + 2;
            return put_offset(w, p, i + 1, err);
        }
    size_t padded = n && strchr("-_0", *f) && *f;
    *ret_used = padded + 1;
    if (n < padded + 1)
        return error_set(err, ST_EXECUTE_QUERY, "invalid date format: a %% at its end");
    if (p->m->clock_only && f[padded] && strchr("YCyqmbhBdeaAwuUWGgVjDxFvc+s", f[padded]))
        return error_set(err, ST_EXECUTE_QUERY, "the format asks for a date that the value does not have");
    if (number_of(f[padded], p, &number))
        return put_number(w, number.value, number.width, !padded ? number.pad : *f == '_' ? ' ' : *f, number.year, err);
    if (padded)
        return error_set(err, ST_EXECUTE_QUERY, "invalid date format: padding of a specifier that is no number");
    return print_letter(*f, p, w, err);
}

static int print(const char *format, size_t n, const struct parts *p, struct text_writer *w, struct error *err)
{
    for (size_t i = 0, used; i < n; i += used) {
        const char *percent = memchr(format + i, '%', n - i);
        used = percent ? (size_t)(percent - format) - i : n - i;
        TRY(text_writer_put(w, format + i, used, err));
        if (!percent)
            break;
        i += used + 1;
        TRY(print_specifier(format + i, n - i, p, w, &used, err));
    }
    return ST_OK;
}

int chrono_print(const uint8_t *format, size_t n, const struct moment *m, struct text_writer *w, struct error *err)
{
    struct parts p = parts_of(m);
    return print((const char *)format, n, &p, w, err);
}
