/* Time zone files (RFC 8536, TZif version 1 to 4): bytes in, offsets out. Pure: the caller reads the file.
 *
 * A zone is a list of transitions and, behind the last, a rule in POSIX notation that goes on forever. Times are seconds since 1970-01-01 UTC; leap
 * seconds are not counted.
 */
#ifndef FORMAT_TZIF_TZIF_H
#define FORMAT_TZIF_TZIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { TZIF_ABBREVIATION_MAX = 16 };

/* An offset that holds for some time. */
struct tzif_type {
    int32_t offset_s; /* east of UTC */
    char abbreviation[TZIF_ABBREVIATION_MAX];
};

/* One of the two days of a year when a POSIX rule changes: month m, week w (5 = last), weekday d (Sunday = 0), or a day of the year. */
struct tzif_change {
    char kind; /* M, J (1..365, no leap day), or D (0..365) */
    int month, week, day;
    int32_t time_s;
};

struct tzif {
    int64_t *at; /* n_transitions, ascending */
    uint8_t *to; /* index into types */
    uint32_t n_transitions;
    struct tzif_type *types;
    uint32_t n_types;
    bool has_rule, has_summer;
    struct tzif_type winter, summer; /* of the rule */
    struct tzif_change start, end;   /* of summer time, in local time before the change */
};

/* The zone owns its memory; tzif_release(). ST_CORRUPT for bytes that are no such file. */
int tzif_decode(const uint8_t *data, size_t size, struct tzif *ret_zone, struct error *err);
/* A zone that always has this offset; abbreviated like +05:30. */
int tzif_fixed(int32_t offset_s, struct tzif *ret_zone, struct error *err);
void tzif_release(struct tzif *z);

/* What holds at a point in time; borrowed from the zone. */
const struct tzif_type *tzif_at(const struct tzif *z, int64_t utc_s);
/* The points in time at which local clocks show local_s: 0 (skipped), 1 or 2 (earlier first) of them. */
int tzif_from_local(const struct tzif *z, int64_t local_s, int64_t ret_utc_s[2]);

#endif
