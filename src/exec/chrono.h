/* Dates and times by format strings, with the specifiers of Rust's chrono (functions.md 4.11). */
#ifndef EXEC_CHRONO_H
#define EXEC_CHRONO_H

#include "exec/text_writer.h"
#include "format/tzif/tzif.h"

/* A local date and time. */
struct moment {
    int64_t days;                 /* since 1970-01-01, local */
    int64_t nanos;                /* of that day, local */
    const struct tzif_type *zone; /* NULL: without a zone */
    bool clock_only;              /* there is no date */
    bool nameless;                /* %Z shows the zone's offset, as Arrow's zones do */
};

extern const char *const chrono_months[12];
extern const char *const chrono_weekdays[7]; /* from Monday */

/* The moment of a point in time, `per_second` units a second, in a zone (NULL: without one). */
struct moment moment_of(int64_t value, int64_t per_second, const struct tzif *zone);

/* Appends the moment. ST_EXECUTE_QUERY for a specifier that is unknown, or asks for a zone that is not there. */
int chrono_print(const uint8_t *format, size_t n, const struct moment *m, struct text_writer *w, struct error *err);

/* What a text said: seconds since 1970-01-01 UTC when it named a zone or offset (absolute), else of the local clock. */
struct chrono_time {
    int64_t seconds;
    int32_t nanos;
    bool absolute;
};

/* Reads the whole text by a format; false when it does not fit. */
bool chrono_parse(const uint8_t *format, size_t n, const uint8_t *text, size_t size, struct chrono_time *ret_time);
/* The point in time in a zone (NULL: UTC). False when the local time is skipped there, or comes twice and `earlier` does not say to take the first.
 */
bool chrono_resolve(const struct chrono_time *t, const struct tzif *zone, bool earlier, int64_t *ret_seconds);
/* The time of day alone; the date may be missing. */
bool chrono_parse_clock(const uint8_t *format, size_t n, const uint8_t *text, size_t size, int64_t *ret_nanos);

#endif
