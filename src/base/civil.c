#include "base/civil.h"

#include <stdbool.h>

void civil_of_days(int64_t days, int64_t *ret_year, int32_t *ret_month, int32_t *ret_day)
{
    /* Years start in March, so that the leap day is the last; 146097 days make 400 years. */
    int64_t z = days + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *ret_day = (int32_t)(doy - (153 * mp + 2) / 5 + 1);
    *ret_month = (int32_t)(mp < 10 ? mp + 3 : mp - 9);
    *ret_year = yoe + era * 400 + (*ret_month <= 2);
}

int64_t days_of_civil(int64_t year, int32_t month, int32_t day)
{
    int64_t y = year - (month <= 2), era = floor_div(y, 400), yoe = y - era * 400;
    int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1, doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

int32_t days_in_month(int64_t year, int32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

int32_t weekday_of_days(int64_t days)
{
    return (int32_t)floor_mod(days + 3, 7); /* 1970-01-01 was a Thursday */
}

int32_t iso_week_of_days(int64_t days, int64_t *ret_year)
{
    int64_t thursday = days - weekday_of_days(days) + 3;
    int32_t month, day;
    civil_of_days(thursday, ret_year, &month, &day);
    return (int32_t)((thursday - days_of_civil(*ret_year, 1, 1)) / 7 + 1);
}
