/* Conversions and formats of dates and times, with and without a session time zone (functions.md 1.6, 1.12, 4.6 to 4.11). */
#include "expr_calc.h"

static struct plan_expr *S(const char *text)
{
    return L(T(UTF8), text);
}

static struct plan_expr *I(const char *text)
{
    return L(T(INT32), text);
}

static struct dtype *zoned(enum time_unit unit, const char *zone)
{
    return types[n_types++] = type_timestamp_zoned(unit, zone);
}

static void test_to_timestamp(void **state)
{
    (void)state;
    given(T(UTF8), "1970-01-01|2024-02-29T12:34:56.789Z|NULL|1969-12-31 23:59:59.5|2024-01-01 00:00:00+08:00");
    IS(CALL("to_timestamp", F(0)), "0|1709210096789000000|NULL|-500000000|1704038400000000000");
    IS(CALL("to_timestamp_seconds", F(0)), "0|1709210096|NULL|0|1704038400"); /* nanoseconds, cut towards zero */
    IS(CALL("to_timestamp_millis", F(0)), "0|1709210096789|NULL|-500|1704038400000");
    IS(CALL("to_timestamp", S("2024-02-30")), QUERY_ERROR);
    IS(CALL("to_timestamp", S("3000-01-01")), QUERY_ERROR); /* over the nanoseconds of 64 bits */
    IS(CALL("to_timestamp_micros", S("3000-01-01")), QUERY_ERROR);
    IS(CALL("to_timestamp_seconds", S("01/02/2024 03:04"), S("%Y"), S("%m/%d/%Y %H:%M")), "1704164640|1704164640|1704164640|1704164640|1704164640");
    IS(CALL("to_timestamp_seconds", S("2024-01-01 00:00:00 Asia/Shanghai"), S("%Y-%m-%d %H:%M:%S %Z")),
       "1704038400|1704038400|1704038400|1704038400|1704038400");
    n_input = 0;
    given(T(INT64), "1|-1|NULL");
    IS(CALL("to_timestamp", F(0)), "1000000000|-1000000000|NULL");
    IS(CALL("to_timestamp_millis", F(0)), "1|-1|NULL");
    IS(CALL("to_timestamp", L(T(INT64), "9223372037")), QUERY_ERROR);
    IS(CALL("to_timestamp", L(T(FLOAT64), "1.5")), "1500000000|1500000000|1500000000");
    IS(CALL("to_timestamp", L(decimal(10, 2), "150")), "1500000000|1500000000|1500000000");
    session_timezone = "Asia/Shanghai";
    IS(CALL("to_timestamp", S("2024-01-01 08:00:00")), "1704067200000000000|1704067200000000000|1704067200000000000");
    IS(CALL("arrow_typeof", CALL("to_timestamp", F(0))), "Timestamp(ns, \"Asia/Shanghai\")|Timestamp(ns, \"Asia/Shanghai\")|Timestamp(ns, \"Asia/Shanghai\")");
    session_timezone = NULL;
}

static void test_parts(void **state)
{
    (void)state;
    given(T(INT32), "2024|-1|NULL");
    IS(CALL("make_date", F(0), I("2"), I("3")), "19756|-719860|NULL");
    IS(CALL("make_date", I("2023"), I("2"), I("29")), QUERY_ERROR);
    IS(CALL("make_time", I("23"), I("59"), I("58")), "86398|86398|86398");
    IS(CALL("make_time", I("24"), I("0"), I("0")), QUERY_ERROR);
    IS(CALL("from_unixtime", F(0)), "2024|-1|NULL");
    IS(CALL("to_date", S("2024-01-02")), "19724|19724|19724");
    IS(CALL("to_date", F(0)), "2024|-1|NULL");
    IS(CALL("to_date", S("1969/12/31"), S("%Y/%m/%d")), "-1|-1|-1");
    IS(CALL("to_date", S("2024-060"), S("%Y-%j")), "19782|19782|19782");
    IS(CALL("to_date", S("2024-W09-4"), S("%G-W%V-%u")), "19782|19782|19782");
    IS(CALL("to_date", S("Thursday, 29 FEB 24"), S("%A, %d %b %y")), "19782|19782|19782");
    IS(CALL("to_date", S("Friday, 29 Feb 24"), S("%A, %d %b %y")), QUERY_ERROR);
    IS(CALL("to_date", S("x")), QUERY_ERROR);
    IS(CALL("to_time", S("12:34:56.5")), "45296500000000|45296500000000|45296500000000");
    IS(CALL("to_time", S("12:34 PM"), S("%I:%M %p")), "45240000000000|45240000000000|45240000000000");
    IS(CALL("to_time", S("25:00")), QUERY_ERROR);
}

static void test_formats(void **state)
{
    (void)state;
    given(stamp(UNIT_MILLI), "1709210096789|0|-1|NULL");
    IS(CALL("to_char", F(0), S("%Y-%m-%d %H:%M:%S%.3f")), "2024-02-29 12:34:56.789|1970-01-01 00:00:00.000|1969-12-31 23:59:59.999|NULL");
    IS(CALL("to_char", F(0), S("%a %A %b %B %j %U %W %V %G %u %w %e %-d %_m %q")),
       "Thu Thursday Feb February 060 08 09 09 2024 4 4 29 29  2 1|Thu Thursday Jan January 001 00 00 01 1970 4 4  1 1  1 1|"
       "Wed Wednesday Dec December 365 52 52 01 1970 3 3 31 31 12 4|NULL");
    IS(CALL("to_char", F(0), S("%I %l %p %P %y %C %s %f %.f %6f %R %T %D %F %v")),
       "12 12 PM pm 24 20 1709210096 789000000 .789 789000 12:34 12:34:56 02/29/24 2024-02-29 29-Feb-2024|"
       "12 12 AM am 70 19 0 000000000  000000 00:00 00:00:00 01/01/70 1970-01-01  1-Jan-1970|"
       "11 11 PM pm 69 19 -1 999000000 .999 999000 23:59 23:59:59 12/31/69 1969-12-31 31-Dec-1969|NULL");
    IS(CALL("to_char", F(0), S("%Z")), QUERY_ERROR);
    IS(CALL("to_char", F(0), S("%Q")), QUERY_ERROR);
    IS(CALL("to_char", F(0), S("%")), QUERY_ERROR);
    IS(CALL("date_format", F(0), S("%c %z")), "Thu Feb 29 12:34:56 2024 +0000|Thu Jan  1 00:00:00 1970 +0000|Wed Dec 31 23:59:59 1969 +0000|NULL");
    session_timezone = "America/New_York";
    IS(CALL("date_format", F(0), S("%H:%M %Z %:z")), "07:34 EST -05:00|19:00 EST -05:00|18:59 EST -05:00|NULL");
    session_timezone = NULL;
    n_input = 0;
    given(T(DATE32), "19782|NULL");
    IS(CALL("to_char", F(0), S("%d %H")), "29 00|NULL");
    IS(CALL("date_format", F(0), S("%Y")), "2024|NULL");
    n_input = 0;
    given(type_temporal(TYPE_TIME64, UNIT_NANO), "45296500000000|NULL");
    IS(CALL("to_char", F(0), S("%H-%M")), "12-34|NULL");
    IS(CALL("to_char", F(0), S("%d")), QUERY_ERROR);
    n_input = 0;
    given(type_temporal(TYPE_DURATION, UNIT_MILLI), "90061500|-1500|0|NULL");
    IS(CALL("to_char", F(0), S("iso8601")), "PT90061.5S|-PT1.5S|P0D|NULL");
    IS(CALL("to_char", F(0), S("pretty")), "1 days 1 hours 1 mins 1.500 secs|0 days 0 hours 0 mins -1.500 secs|0 days 0 hours 0 mins 0.000 secs|NULL");
}

static void test_unixtime(void **state)
{
    (void)state;
    given(T(UTF8), "2023-03-01T06:35:02Z|2023-03-01 06:35:02.9+08:00|2023-03-01| 2023-03-01 06:35:02 |x|NULL");
    IS(CALL("to_unixtime", F(0)), "1677652502|1677623702|1677628800|1677652502|NULL|NULL");
    session_timezone = "Asia/Shanghai";
    IS(CALL("to_unixtime", F(0)), "1677652502|1677623702|1677542400|1677623702|NULL|NULL");
    session_timezone = "America/New_York"; /* an hour that comes twice, and one that does not come */
    IS(CALL("to_unixtime", S("2024-11-03 01:30:00")), "1730611800|1730611800|1730611800|1730611800|1730611800|1730611800");
    IS(CALL("to_unixtime", S("2024-03-10 02:30:00")), "NULL|NULL|NULL|NULL|NULL|NULL");
    session_timezone = NULL;
    n_input = 0;
    given(stamp(UNIT_MILLI), "-1|1500|NULL");
    IS(CALL("to_unixtime", F(0)), "-1|1|NULL");
    IS(CALL("to_unixtime", L(T(DATE32), "-1")), "-86400|-86400|-86400");
}

static void test_zones(void **state)
{
    (void)state;
    struct dtype *new_york = zoned(UNIT_SECOND, "America/New_York");
    given(new_york, "1710054000|1710053999|4102444800|NULL"); /* 2024-03-10 03:00 EDT, the second before, 2100-01-01 */
    IS(cast(F(0), T(UTF8), false), "2024-03-10T03:00:00-04:00|2024-03-10T01:59:59-05:00|2099-12-31T19:00:00-05:00|NULL");
    IS(cast(F(0), T(DATE32), false), "19792|19792|47481|NULL");
    IS(CALL("to_local_time", F(0)), "1710039600|1710035999|4102426800|NULL");
    IS(cast(CALL("to_local_time", F(0)), new_york, false), "1710054000|1710053999|4102444800|NULL");
    IS(CALL("add", F(0), L(T(INTERVAL_MONTH_DAY_NANO), "0/1/0")), "1710140400|1710136799|4102531200|NULL");
    IS(CALL("date_trunc", S("day"), F(0)), "1710046800|1710046800|4102376400|NULL");
    IS(CALL("date_part", S("hour"), F(0)), "3|1|19|NULL");
    n_input = 0;
    given(stamp(UNIT_SECOND), "1710037800|1730597400"); /* 2024-03-10 02:30 and 2024-11-03 01:30, wall time */
    IS(cast(F(0), new_york, false), QUERY_ERROR);
    IS(cast(F(0), new_york, true), "NULL|NULL");
    IS(cast(S("2024-07-01 00:00:00"), new_york, false), "1719806400|1719806400");
    IS(cast(S("2024-07-01 00:00:00 europe/berlin"), new_york, false), "1719784800|1719784800");
    IS(cast(F(0), zoned(UNIT_SECOND, "Mars/Olympus"), false), "!plan query");
}

static void test_text(void **state)
{
    (void)state;
    given(T(UTF8), "1 year 2 mons 3 days|1.5 months|-2h 3min 4.5s|3w|7|NULL");
    IS(CALL("equal", cast(F(0), T(INTERVAL_MONTH_DAY_NANO), false), L(T(INTERVAL_MONTH_DAY_NANO), "1/15/0")), "false|true|false|false|false|NULL");
    IS(cast(cast(F(0), T(INTERVAL_MONTH_DAY_NANO), false), T(UTF8), false),
       "14 mons 3 days|1 mons 15 days|-1 hours -56 mins -55.500000000 secs|21 days|7 mons|NULL");
    IS(cast(S("1 day 1 day"), T(INTERVAL_MONTH_DAY_NANO), false), QUERY_ERROR);
    IS(cast(S("01:02:03"), T(INTERVAL_MONTH_DAY_NANO), false), QUERY_ERROR);
    n_input = 0;
    given(T(UTF8), "12:34|1:02:03.25|01:00 PM|5|NULL");
    IS(cast(F(0), type_temporal(TYPE_TIME64, UNIT_MICRO), false), "45240000000|3723250000|46800000000|5|NULL");
    IS(cast(S("24:00"), type_temporal(TYPE_TIME32, UNIT_SECOND), true), "NULL|NULL|NULL|NULL|NULL");
}

static void test_calendar(void **state)
{
    (void)state;
    given(type_temporal(TYPE_TIME64, UNIT_MICRO), "45296789012|NULL");
    IS(CALL("date_trunc", S("minute"), F(0)), "45240000000|NULL");
    IS(CALL("date_trunc", S("day"), F(0)), QUERY_ERROR);
    IS(CALL("date_bin", L(T(INTERVAL_MONTH_DAY_NANO), "0/0/900000000000"), F(0)), "45000000000|NULL");
    IS(CALL("date_part", S("millisecond"), F(0)), "56789|NULL");
    IS(CALL("date_part", S("year"), F(0)), QUERY_ERROR);
    n_input = 0;
    given(T(INTERVAL_MONTH_DAY_NANO), "14/9/-3723000000000|NULL");
    IS(CALL("date_part", S("year"), F(0)), "1|NULL");
    IS(CALL("date_part", S("month"), F(0)), "2|NULL");
    IS(CALL("date_part", S("week"), F(0)), "1|NULL");
    IS(CALL("date_part", S("hour"), F(0)), "-1|NULL");
    IS(CALL("date_part", S("epoch"), F(0)), "37061877|NULL");
    IS(CALL("date_part", S("quarter"), F(0)), QUERY_ERROR);
    n_input = 0;
    given(type_temporal(TYPE_DURATION, UNIT_MILLI), "90061500|-1500|9999999999999|NULL");
    IS(CALL("date_part", S("day"), F(0)), "1|0|115740|NULL");
    IS(CALL("date_part", S("hour"), F(0)), "25|0|2777777|NULL"); /* all of it in hours */
    IS(CALL("date_part", S("second"), F(0)), "90061|-1|NULL|NULL");
    IS(CALL("date_part", S("millisecond"), F(0)), "90061000|-1500|NULL|NULL");
    IS(CALL("date_part", S("epoch"), F(0)), "90061|-1.5|NULL|NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_to_timestamp), TEST(test_parts), TEST(test_formats), TEST(test_unixtime), TEST(test_zones), TEST(test_text), TEST(test_calendar)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
