/* The calendar (proleptic Gregorian) and division that rounds down. Days count from 1970-01-01. */
#ifndef BASE_CIVIL_H
#define BASE_CIVIL_H

#include <stdint.h>

static inline int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* What floor_div() leaves, 0 <= it < b; exact for every a. */
static inline int64_t floor_mod(int64_t a, int64_t b)
{
    int64_t m = a % b;
    return m < 0 ? m + b : m;
}

void civil_of_days(int64_t days, int64_t *ret_year, int32_t *ret_month, int32_t *ret_day);
int64_t days_of_civil(int64_t year, int32_t month, int32_t day);
int32_t days_in_month(int64_t year, int32_t month);
/* Monday = 0 .. Sunday = 6. */
int32_t weekday_of_days(int64_t days);
/* ISO 8601 week, 1..53, and the year that it belongs to. */
int32_t iso_week_of_days(int64_t days, int64_t *ret_year);

#endif
