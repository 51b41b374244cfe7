#include "format/tzif/tzif.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/civil.h"

#define FAR_S (INT64_MAX / 2) /* no rule is asked about times behind this, and no sum of seconds overflows before it */

enum { HEADER_BYTES = 44, TRANSITIONS_MAX = 100000, TYPES_MAX = 256, DAY_S = 86400 };

struct header {
    uint32_t isut, isstd, leap, transitions, types, chars;
    uint8_t version;
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int corrupt(struct error *err, const char *what)
{
    return error_set(err, ST_CORRUPT, "time zone file: %s", what);
}

static int read_header(const uint8_t *p, size_t n, struct header *ret, struct error *err)
{
    if (n < HEADER_BYTES || memcmp(p, "TZif", 4) != 0)
        return corrupt(err, "no header");
    *ret = (struct header){be32(p + 20), be32(p + 24), be32(p + 28), be32(p + 32), be32(p + 36), be32(p + 40), p[4]};
    if (ret->transitions > TRANSITIONS_MAX || ret->types > TYPES_MAX || ret->types == 0 || ret->chars > 10000 || ret->leap > 10000 ||
        ret->isut > TYPES_MAX || ret->isstd > TYPES_MAX)
        return corrupt(err, "counts out of range");
    return ST_OK;
}

static size_t body_bytes(const struct header *h, size_t time_bytes)
{
    return h->transitions * (time_bytes + 1) + h->types * 6 + h->chars + h->leap * (time_bytes + 4) + h->isstd + h->isut;
}

/* ---- the POSIX rule ---- */

struct reader {
    const char *p, *end;
};

static bool take(struct reader *r, char c)
{
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool take_number(struct reader *r, int max, int *ret)
{
    int v = 0;
    if (r->p == r->end || !isdigit((unsigned char)*r->p))
        return false;
    for (; r->p < r->end && isdigit((unsigned char)*r->p); r->p++)
        if ((v = v * 10 + (*r->p - '0')) > max)
            return false;
    *ret = v;
    return true;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct reader *r, int32_t *ret_s)
{
    int h, m = 0, s = 0;
    bool negative = take(r, '-');
    if (!negative)
        take(r, '+');
    if (!take_number(r, 167, &h) || (take(r, ':') && (!take_number(r, 59, &m) || (take(r, ':') && !take_number(r, 59, &s)))))
        return false;
    *ret_s = (negative ? -1 : 1) * (h * 3600 + m * 60 + s);
    return true;
}

/* A name in letters, or anything between < and >. */
static bool take_name(struct reader *r, char out[TZIF_ABBREVIATION_MAX])
{
    bool quoted = take(r, '<');
    size_t n = 0;
    for (; r->p < r->end && (quoted ? *r->p != '>' : isalpha((unsigned char)*r->p)); r->p++) {
        if (n + 1 >= TZIF_ABBREVIATION_MAX)
            return false;
        out[n++] = *r->p;
    }
    out[n] = 0;
    return n >= 3 && (!quoted || take(r, '>'));
}

static bool take_change(struct reader *r, struct tzif_change *c)
{
    *c = (struct tzif_change){.kind = 'D', .time_s = 2 * 3600};
    if (!take(r, ','))
        return false;
    if (take(r, 'M')) {
        c->kind = 'M';
        if (!take_number(r, 12, &c->month) || !take(r, '.') || !take_number(r, 5, &c->week) || !take(r, '.') || !take_number(r, 6, &c->day) ||
            c->month == 0 || c->week == 0)
            return false;
    } else {
        c->kind = take(r, 'J') ? 'J' : 'D';
        if (!take_number(r, 365, &c->day))
            return false;
    }
    return !take(r, '/') || take_time(r, &c->time_s);
}

static int read_rule(const char *p, size_t n, struct tzif *z, struct error *err)
{
    struct reader r = {p, p + n};
    if (n == 0)
        return ST_OK;
    if (!take_name(&r, z->winter.abbreviation) || !take_time(&r, &z->winter.offset_s))
        return corrupt(err, "bad rule");
    z->winter.offset_s = -z->winter.offset_s; /* POSIX counts to the west */
    z->has_rule = true;
    if (r.p == r.end)
        return ST_OK;
    z->summer.offset_s = z->winter.offset_s + 3600;
    if (!take_name(&r, z->summer.abbreviation))
        return corrupt(err, "bad rule");
    if (r.p < r.end && *r.p != ',') {
        if (!take_time(&r, &z->summer.offset_s))
            return corrupt(err, "bad rule");
        z->summer.offset_s = -z->summer.offset_s;
    }
    if (!take_change(&r, &z->start) || !take_change(&r, &z->end) || r.p != r.end)
        return corrupt(err, "bad rule");
    z->has_summer = true;
    return ST_OK;
}

/* Local seconds at which the change of a year happens, by the clock before it. */
static int64_t change_of(const struct tzif_change *c, int64_t year)
{
    int64_t day = days_of_civil(year, 1, 1);
    bool leap = days_of_civil(year + 1, 1, 1) - day == 366;
    if (c->kind == 'J') {
        day += c->day - 1 + (leap && c->day >= 60);
    } else if (c->kind == 'D') {
        day += c->day;
    } else {
        int64_t first = days_of_civil(year, c->month, 1),
                next = c->month == 12 ? days_of_civil(year + 1, 1, 1) : days_of_civil(year, c->month + 1, 1);
        int64_t weekday = ((first + 4) % 7 + 7) % 7;
        day = first + ((c->day - weekday) % 7 + 7) % 7 + (c->week - 1) * 7;
        while (day >= next)
            day -= 7;
    }
    return day * DAY_S + c->time_s;
}

static const struct tzif_type *by_rule(const struct tzif *z, int64_t utc_s)
{
    int64_t year;
    int32_t month, day;
    if (!z->has_summer)
        return &z->winter;
    civil_of_days((utc_s + z->winter.offset_s - ((utc_s + z->winter.offset_s) % DAY_S + DAY_S) % DAY_S) / DAY_S, &year, &month, &day);
    int64_t start = change_of(&z->start, year) - z->winter.offset_s, end = change_of(&z->end, year) - z->summer.offset_s;
    bool summer = start < end ? utc_s >= start && utc_s < end : utc_s >= start || utc_s < end;
    return summer ? &z->summer : &z->winter;
}

/* ---- the file ---- */

static int read_types(const uint8_t *p, const struct header *h, struct tzif *z, struct error *err)
{
    const char *names = (const char *)p + h->types * 6;
    for (uint32_t i = 0; i < h->types; i++) {
        uint32_t name = p[6 * i + 5];
        if (name >= h->chars)
            return corrupt(err, "an abbreviation is out of range");
        z->types[i].offset_s = (int32_t)be32(p + 6 * i);
        if (z->types[i].offset_s < -DAY_S || z->types[i].offset_s > DAY_S)
            return corrupt(err, "an offset is over a day");
        snprintf(z->types[i].abbreviation, TZIF_ABBREVIATION_MAX, "%.*s", (int)strnlen(names + name, h->chars - name), names + name);
    }
    return ST_OK;
}

static int read_body(const uint8_t *p, const struct header *h, size_t time_bytes, struct tzif *z, struct error *err)
{
    z->at = malloc((h->transitions + 1) * sizeof *z->at);
    z->to = malloc(h->transitions + 1);
    z->types = calloc(h->types, sizeof *z->types);
    if (!z->at || !z->to || !z->types)
        return error_no_memory(err, h->transitions * 9);
    z->n_transitions = h->transitions;
    z->n_types = h->types;
    for (uint32_t i = 0; i < h->transitions; i++) {
        z->at[i] = time_bytes == 4 ? (int32_t)be32(p + 4 * i) : (int64_t)((uint64_t)be32(p + 8 * i) << 32 | be32(p + 8 * i + 4));
        z->to[i] = p[h->transitions * time_bytes + i];
        if (z->to[i] >= h->types || (i && z->at[i] <= z->at[i - 1]))
            return corrupt(err, "transitions are out of order");
    }
    return read_types(p + h->transitions * (time_bytes + 1), h, z, err);
}

static int decode(const uint8_t *data, size_t size, struct tzif *z, struct error *err)
{
    struct header h;
    TRY(read_header(data, size, &h, err));
    size_t body = body_bytes(&h, 4);
    if (size - HEADER_BYTES < body)
        return corrupt(err, "cut off");
    if (h.version < '2')
        return read_body(data + HEADER_BYTES, &h, 4, z, err);
    data += HEADER_BYTES + body; /* the second part has all of it in 64 bits */
    size -= HEADER_BYTES + body;
    TRY(read_header(data, size, &h, err));
    body = body_bytes(&h, 8);
    if (size - HEADER_BYTES < body)
        return corrupt(err, "cut off");
    TRY(read_body(data + HEADER_BYTES, &h, 8, z, err));
    data += HEADER_BYTES + body;
    size -= HEADER_BYTES + body;
    if (size < 2 || data[0] != '\n')
        return corrupt(err, "no footer");
    const uint8_t *end = memchr(data + 1, '\n', size - 1);
    return end ? read_rule((const char *)data + 1, (size_t)(end - data - 1), z, err) : corrupt(err, "no footer");
}

int tzif_decode(const uint8_t *data, size_t size, struct tzif *ret_zone, struct error *err)
{
    struct tzif z = {0};
    int st = decode(data, size, &z, err);
    if (st != ST_OK) {
        tzif_release(&z);
        return st;
    }
    *ret_zone = z;
    return ST_OK;
}

int tzif_fixed(int32_t offset_s, struct tzif *ret_zone, struct error *err)
{
    struct tzif z = {.n_types = 1, .types = calloc(1, sizeof *z.types)};
    if (!z.types)
        return error_no_memory(err, sizeof *z.types);
    unsigned size = (unsigned)abs(offset_s);
    z.types[0].offset_s = offset_s;
    snprintf(z.types[0].abbreviation, TZIF_ABBREVIATION_MAX, "%c%02u:%02u", offset_s < 0 ? '-' : '+', size / 3600 % 100, size / 60 % 60);
    *ret_zone = z;
    return ST_OK;
}

void tzif_release(struct tzif *z)
{
    free(z->at);
    free(z->to);
    free(z->types);
    *z = (struct tzif){0};
}

const struct tzif_type *tzif_at(const struct tzif *z, int64_t utc_s)
{
    uint32_t low = 0, high = z->n_transitions; /* the first transition after utc_s */
    if (z->has_rule && (!z->n_transitions || utc_s >= z->at[z->n_transitions - 1]) && utc_s < FAR_S && utc_s > -FAR_S)
        return by_rule(z, utc_s);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (z->at[middle] <= utc_s)
            low = middle + 1;
        else
            high = middle;
    }
    return &z->types[low ? z->to[low - 1] : 0];
}

int tzif_from_local(const struct tzif *z, int64_t local_s, int64_t ret_utc_s[2])
{
    if (local_s >= FAR_S || local_s <= -FAR_S) {
        ret_utc_s[0] = local_s;
        return 1;
    }
    /* No offset is over a day and no two transitions are closer than that: the two offsets around the time are the only candidates. */
    int32_t before = tzif_at(z, local_s - DAY_S)->offset_s, after = tzif_at(z, local_s + DAY_S)->offset_s;
    int n = 0;
    int64_t early = local_s - (before > after ? before : after), late = local_s - (before > after ? after : before);
    if (tzif_at(z, early)->offset_s == local_s - early)
        ret_utc_s[n++] = early;
    if (late != early && tzif_at(z, late)->offset_s == local_s - late)
        ret_utc_s[n++] = late;
    return n;
}
