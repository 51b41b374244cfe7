/* Text to intervals: `1 year 2.5 days 03 s`, each unit at most once, a fraction goes on in the smaller units (30 days a month). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "exec/cast_text.h"

enum { DAYS_A_MONTH = 30, WORD_MAX = 20 };
#define DAY_NS 86400000000000LL

/* One of a unit: months, or days, or nanoseconds. */
static const struct unit {
    const char *names;
    int months, days;
    int64_t nanos;
} units[] = {
    {"c cent cents century centuries", 1200, 0, 0},
    {"dec decs decade decades", 120, 0, 0},
    {"y yr yrs year years", 12, 0, 0},
    {"mon mons month months", 1, 0, 0},
    {"w week weeks", 0, 7, 0},
    {"d day days", 0, 1, 0},
    {"h hr hrs hour hours", 0, 0, 3600000000000LL},
    {"m min mins minute minutes", 0, 0, 60000000000LL},
    {"s sec secs second seconds", 0, 0, 1000000000LL},
    {"ms msec msecs msecond mseconds millisecond milliseconds", 0, 0, 1000000},
    {"us usec usecs usecond useconds microsecond microseconds", 0, 0, 1000},
    {"nanosecond nanoseconds", 0, 0, 1},
};

static int find_unit(const char *word, size_t n)
{
    for (size_t u = 0; u < sizeof units / sizeof *units; u++)
        for (const char *p = units[u].names; *p;) {
            size_t size = strcspn(p, " ");
            if (size == n && strncasecmp(p, word, n) == 0)
                return (int)u;
            p += size + (p[size] == ' ');
        }
    return -1;
}

struct cursor {
    const char *p, *end;
};

static void skip_spaces(struct cursor *c)
{
    while (c->p < c->end && isspace((unsigned char)*c->p))
        c->p++;
}

/* A decimal number: its whole part, and the fraction as billionths, both with its sign. */
static bool take_number(struct cursor *c, int64_t *ret_whole, int64_t *ret_billionths)
{
    bool negative = c->p < c->end && *c->p == '-', any = false;
    int64_t whole = 0, part = 0, scale = 100000000;
    if (c->p < c->end && (*c->p == '-' || *c->p == '+'))
        c->p++;
    for (; c->p < c->end && isdigit((unsigned char)*c->p); c->p++, any = true)
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *c->p - '0', &whole))
            return false;
    if (c->p < c->end && *c->p == '.')
        for (c->p++; c->p < c->end && isdigit((unsigned char)*c->p); c->p++, scale /= 10, any = true)
            part += scale * (*c->p - '0');
    *ret_whole = negative ? -whole : whole;
    *ret_billionths = negative ? -part : part;
    return any;
}

/* Adds `number` of a unit. What is left of a month becomes days, what is left of a day nanoseconds. */
static void add_unit(const struct unit *u, int64_t whole, int64_t part, __int128 *months, __int128 *days, __int128 *nanos)
{
    __int128 rest;
    if (u->months) {
        rest = (__int128)part * u->months; /* billionths of a month */
        *months += (__int128)whole * u->months + rest / 1000000000;
        rest = rest % 1000000000 * DAYS_A_MONTH;
        *days += rest / 1000000000;
        *nanos += rest % 1000000000 * DAY_NS / 1000000000;
    } else if (u->days) {
        rest = (__int128)part * u->days;
        *days += (__int128)whole * u->days + rest / 1000000000;
        *nanos += rest % 1000000000 * DAY_NS / 1000000000;
    } else {
        *nanos += (__int128)whole * u->nanos + (__int128)part * u->nanos / 1000000000;
    }
}

bool text_to_interval(const char *p, size_t n, int32_t *ret_months, int32_t *ret_days, int64_t *ret_nanos)
{
    struct cursor c = {p, p + n};
    __int128 months = 0, days = 0, nanos = 0;
    unsigned seen = 0;
    for (skip_spaces(&c); c.p < c.end; skip_spaces(&c)) {
        int64_t whole, part;
        if (!take_number(&c, &whole, &part))
            return false;
        skip_spaces(&c);
        const char *word = c.p;
        while (c.p < c.end && isalpha((unsigned char)*c.p) && c.p - word < WORD_MAX)
            c.p++;
        int u = c.p == word && c.p == c.end ? 3 : find_unit(word, (size_t)(c.p - word)); /* without a unit: months */
        if (u < 0 || seen & 1u << u)
            return false;
        seen |= 1u << u;
        add_unit(&units[u], whole, part, &months, &days, &nanos);
    }
    if (!seen || months < INT32_MIN || months > INT32_MAX || days < INT32_MIN || days > INT32_MAX || nanos < INT64_MIN || nanos > INT64_MAX)
        return false;
    *ret_months = (int32_t)months;
    *ret_days = (int32_t)days;
    *ret_nanos = (int64_t)nanos;
    return true;
}
