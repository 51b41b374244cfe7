/* Scalar expressions over small batches: operators, casts and the functions that came first. */
#include "expr_calc.h"

static void test_compare_every_type(void **state)
{
    (void)state;
    static const enum type_id numbers[] = {TYPE_INT8, TYPE_INT16, TYPE_INT32, TYPE_INT64, TYPE_UINT8, TYPE_UINT16, TYPE_UINT32, TYPE_UINT64, TYPE_FLOAT32,
        TYPE_FLOAT64, TYPE_DATE32, TYPE_DATE64, TYPE_TIMESTAMP, TYPE_TIME32, TYPE_TIME64, TYPE_DURATION, TYPE_INTERVAL_YEAR_MONTH,
        TYPE_UTF8, TYPE_LARGE_UTF8, TYPE_UTF8_VIEW, TYPE_BINARY, TYPE_LARGE_BINARY, TYPE_BINARY_VIEW, TYPE_DECIMAL128};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct dtype *t = numbers[i] == TYPE_DECIMAL128 ? decimal(10, 2) : type_of(numbers[i]);
        n_input = 0;
        given(t, "1|2|3|NULL|2|NULL|5|6|7");
        given(t, "2|2|2|2|NULL|NULL|5|7|6");
        IS(CALL("equal", F(0), F(1)), "false|true|false|NULL|NULL|NULL|true|false|false");
        IS(CALL("not_equal", F(0), F(1)), "true|false|true|NULL|NULL|NULL|false|true|true");
        IS(CALL("lt", F(0), F(1)), "true|false|false|NULL|NULL|NULL|false|true|false");
        IS(CALL("lte", F(0), F(1)), "true|true|false|NULL|NULL|NULL|true|true|false");
        IS(CALL("gt", F(0), F(1)), "false|false|true|NULL|NULL|NULL|false|false|true");
        IS(CALL("gte", F(0), F(1)), "false|true|true|NULL|NULL|NULL|true|false|true");
        IS(CALL("is_distinct_from", F(0), F(1)), "true|false|true|true|true|false|false|true|true");
        IS(CALL("is_not_distinct_from", F(0), F(1)), "false|true|false|false|false|true|true|false|false");
        IS(CALL("lt", F(0), L(t, "3")), "true|true|false|NULL|true|NULL|false|false|false");
        IS(CALL("lt", L(t, "3"), F(0)), "false|false|false|NULL|false|NULL|true|true|true");
    }
}

static void test_compare_order(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct dtype *t = i ? T(FLOAT64) : T(FLOAT32);
        n_input = 0;
        given(t, "nan|0|-0|-nan|inf|-inf|nan");
        given(t, "nan|-0|0|-inf|nan|-inf|1");
        IS(CALL("equal", F(0), F(1)), "true|false|false|false|false|true|false");
        IS(CALL("lt", F(0), F(1)), "false|false|true|true|true|false|false");
        IS(CALL("gte", F(0), L(t, "0")), "true|true|false|false|true|false|true");
        IS(IN(F(0), L(t, "nan"), L(t, "-0")), "true|false|true|false|false|false|true");
    }
    n_input = 0;
    given(T(UTF8), "|a|ab|\xc3\xa9|b");
    IS(CALL("lt", F(0), L(T(UTF8), "ab")), "true|true|false|false|false");
    n_input = 0;
    given(T(BOOL), "true|false|NULL");
    IS(CALL("gt", F(0), L(T(BOOL), "false")), "true|false|NULL");
    n_input = 0;
    given(T(INTERVAL_MONTH_DAY_NANO), "1/0/0|0/30/0|0/0/5|1/0/-1");
    IS(CALL("gt", F(0), L(T(INTERVAL_MONTH_DAY_NANO), "0/30/0")), "true|false|false|true");
    IS(CALL("equal", F(0), L(T(INTERVAL_MONTH_DAY_NANO), "1/0/0")), "true|false|false|false");
}

static void test_compare_mixed(void **state)
{
    (void)state;
    given(T(INT64), "1|-1|NULL");
    given(T(UINT64), "1|18446744073709551615|3");
    IS(CALL("equal", F(0), F(1)), "true|false|NULL");
    IS(CALL("lt", F(0), F(1)), "false|true|NULL");
    IS(CALL("equal", F(0), L(T(UTF8), "1")), "true|false|NULL");
    IS(CALL("gte", F(0), L(T(FLOAT64), "0.5")), "true|false|NULL");
    IS(CALL("equal", F(0), L(T(NULL), "NULL")), "NULL|NULL|NULL");
    n_input = 0;
    given(stamp(UNIT_MILLI), "0|1500|NULL");
    IS(CALL("lt", F(0), L(stamp(UNIT_SECOND), "1")), "true|false|NULL");
    IS(CALL("gte", F(0), L(T(UTF8), "1970-01-01 00:00:01")), "false|true|NULL");
    IS(CALL("equal", F(0), L(T(BOOL), "true")), "!plan query");
}

static void test_logic(void **state)
{
    (void)state;
    given(T(BOOL), "true|true|true|false|false|false|NULL|NULL|NULL");
    given(T(BOOL), "true|false|NULL|true|false|NULL|true|false|NULL");
    IS(CALL("and", F(0), F(1)), "true|false|NULL|false|false|false|NULL|false|NULL");
    IS(CALL("or", F(0), F(1)), "true|true|true|true|false|NULL|true|NULL|NULL");
    IS(CALL("xor", F(0), F(1)), "false|true|NULL|true|false|NULL|NULL|NULL|NULL");
    IS(CALL("and_not", F(0), F(1)), "false|true|NULL|false|false|NULL|NULL|NULL|NULL");
    IS(CALL("not", F(1)), "false|true|NULL|false|true|NULL|false|true|NULL");
    IS(CALL("is_null", F(1)), "false|false|true|false|false|true|false|false|true");
    IS(CALL("is_not_null", F(1)), "true|true|false|true|true|false|true|true|false");
    IS(CALL("is_true", F(1)), "true|false|false|true|false|false|true|false|false");
    IS(CALL("is_not_true", F(1)), "false|true|true|false|true|true|false|true|true");
    IS(CALL("is_false", F(1)), "false|true|false|false|true|false|false|true|false");
    IS(CALL("is_not_false", F(1)), "true|false|true|true|false|true|true|false|true");
    IS(CALL("and", F(0), L(T(NULL), "NULL")), "NULL|NULL|NULL|false|false|false|NULL|NULL|NULL");
    IS(CALL("and", F(0), F(1), L(T(BOOL), "false")), "false|false|false|false|false|false|false|false|false");
}

/* A constant in a list of constants and columns: the constants' answer holds for every row. */
static void test_constant_in(void **state)
{
    (void)state;
    given(T(INT64), "0|1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17");
    struct plan_expr *five = L(T(INT64), "5"), *six = L(T(INT64), "6");
    IS(IN(five, F(0), six), "false|false|false|false|false|true|false|false|false|false|false|false|false|false|false|false|false|false");
    IS(IN(five, F(0), five), "true|true|true|true|true|true|true|true|true|true|true|true|true|true|true|true|true|true");
    IS(CALL("between", five, six, F(0)), "false|false|false|false|false|false|false|false|false|false|false|false|false|false|false|false|false|false");
    IS(CALL("between", six, five, F(0)), "false|false|false|false|false|false|true|true|true|true|true|true|true|true|true|true|true|true");
}

static void test_case_in(void **state)
{
    (void)state;
    given(T(INT64), "1|2|3|NULL");
    given(T(INT64), "0|2|0|0");
    struct plan_expr *one = L(T(INT64), "1"), *two = L(T(INT64), "2"), *zero = L(T(INT64), "0"), *null = L(T(INT64), "NULL");
    IS(CASE(false, true, CALL("equal", F(0), one), L(T(UTF8), "a"), CALL("lt", F(0), L(T(INT64), "3")), L(T(UTF8), "b"), L(T(UTF8), "c")), "a|b|c|c");
    IS(CASE(false, false, CALL("equal", F(0), one), F(1)), "0|NULL|NULL|NULL");
    IS(CASE(true, true, F(0), one, L(T(UTF8), "x"), null, L(T(UTF8), "y"), L(T(UTF8), "z")), "x|z|z|z");
    IS(CASE(true, true, F(0), L(T(INT32), "1"), one, L(T(FLOAT64), "2"), two, zero), "1|2|0|0");
    IS(CALL("coalesce", null, F(0), L(T(INT64), "9")), "1|2|3|9");
    IS(IN(F(0), one, two), "true|true|false|NULL");
    IS(IN(F(0), one, null), "true|NULL|NULL|NULL");
    IS(CALL("not", IN(F(0), one, null)), "false|NULL|NULL|NULL");
    IS(IN(F(0), F(1), L(T(INT32), "3")), "false|true|true|NULL");
    IS(CALL("nullif", F(0), F(1)), "1|NULL|3|NULL");
    IS(CALL("nullif", F(0), L(T(INT32), "3")), "1|2|NULL|NULL");
    IS(CALL("nullif", one, F(1)), "1|1|1|1");
    IS(CALL("between", F(0), two, L(T(INT64), "3")), "false|true|true|NULL");
    IS(CALL("between", F(0), L(T(FLOAT64), "1.5"), two), "false|true|false|NULL");
    IS(CALL("between", F(0), two, null), "false|NULL|NULL|NULL");
    IS(CALL("between", F(0), null, two), "NULL|NULL|false|NULL");
    /* branches not taken do not fail the query */
    struct plan_expr *ratio = CALL("divide", F(0), F(1)), *guard = CALL("not_equal", F(1), zero);
    IS(ratio, QUERY_ERROR);
    IS(CASE(false, true, guard, ratio, L(T(INT64), "-1")), "-1|1|-1|-1");
    IS(CASE(false, false, guard, CASE(true, false, F(0), two, ratio)), "NULL|1|NULL|NULL");
    IS(CASE(true, true, F(1), zero, F(0), ratio), "1|1|3|NULL");
    IS(CASE(false, true, CALL("equal", F(1), zero), CALL("is_null", F(0)), CALL("gt", ratio, zero)), "false|true|false|true");
    IS(CALL("and", guard, CALL("gt", ratio, zero)), "false|true|false|false");
    IS(CALL("or", CALL("equal", F(1), zero), CALL("gt", ratio, zero)), "true|true|true|true");
    IS(CALL("coalesce", CASE(false, false, guard, ratio), F(0)), "1|1|3|NULL");
    IS(CASE(false, true, guard, one, ratio), QUERY_ERROR);
}

static void test_arithmetic(void **state)
{
    (void)state;
    given(T(INT8), "127|-128|7|NULL|-7");
    given(T(INT8), "1|-1|2|0|2");
    IS(CALL("add", F(0), F(1)), "-128|127|9|NULL|-5");
    IS(CALL("subtract", F(0), F(1)), "126|-127|5|NULL|-9");
    IS(CALL("multiply", F(0), F(1)), "127|-128|14|NULL|-14");
    IS(CALL("modulus", F(0), F(1)), "0|0|1|NULL|-1");
    IS(CALL("divide", F(0), F(1)), QUERY_ERROR); /* -128 / -1 */
    IS(CALL("divide", F(0), L(T(INT8), "2")), "63|-64|3|NULL|-3");
    IS(CALL("divide", F(0), L(T(INT8), "0")), QUERY_ERROR);
    IS(CALL("modulus", F(0), L(T(INT8), "0")), QUERY_ERROR);
    IS(CALL("negate", F(0)), "-127|-128|-7|NULL|7");
    IS(CALL("abs", F(1)), "1|1|2|0|2");
    IS(CALL("abs", F(0)), QUERY_ERROR);
    IS(CALL("add", F(0), L(T(INT64), "1000")), "1127|872|1007|NULL|993");
    n_input = 0;
    given(T(INT64), "9223372036854775807|-9223372036854775808");
    IS(CALL("add", F(0), L(T(INT64), "1")), "-9223372036854775808|-9223372036854775807");
    IS(CALL("modulus", F(0), L(T(INT64), "-1")), "0|0");
    n_input = 0;
    given(T(UINT64), "18446744073709551615|0");
    IS(CALL("add", F(0), L(T(UINT64), "1")), "0|1");
    IS(CALL("negate", F(0)), "!plan query");
    n_input = 0;
    given(T(FLOAT64), "1|-1|0|NULL|7.5");
    IS(CALL("divide", F(0), L(T(FLOAT64), "0")), "inf|-inf|-nan|NULL|inf");
    IS(CALL("modulus", F(0), L(T(FLOAT64), "2")), "1|-1|0|NULL|1.5");
    IS(CALL("negate", F(0)), "-1|1|-0|NULL|-7.5");
    IS(CALL("floor", F(0)), "1|-1|0|NULL|7");
    IS(CALL("ceil", F(0)), "1|-1|0|NULL|8");
    IS(CALL("round", F(0)), "1|-1|0|NULL|8");
    IS(CALL("round", L(T(FLOAT64), "-2.5"), L(T(INT64), "0")), "-3|-3|-3|-3|-3");
    IS(CALL("round", F(0), L(T(INT64), "-1")), "0|-0|0|NULL|10");
    IS(CALL("round", F(0), L(T(INT32), "NULL")), "NULL|NULL|NULL|NULL|NULL");
}

static const char *printed(struct plan_expr *p)
{
    return calc(cast(p, T(UTF8), false));
}
#define PRINTS(plan, text) assert_string_equal(printed(plan), text)

static void test_decimals(void **state)
{
    (void)state;
    static const char most[] = "170141183460469231731687303715884105727", least[] = "-170141183460469231731687303715884105728";
    given(decimal(10, 2), "12345|-5|NULL|200");
    given(decimal(8, 3), "1000|2500|1|-3000");
    PRINTS(F(0), "123.45|-0.05|NULL|2.00");
    PRINTS(CALL("add", F(0), F(1)), "124.450|2.450|NULL|-1.000");
    PRINTS(CALL("subtract", F(0), F(1)), "122.450|-2.550|NULL|5.000");
    PRINTS(CALL("multiply", F(0), F(1)), "123.45000|-0.12500|NULL|-6.00000");
    PRINTS(CALL("divide", F(0), F(1)), "123.450000|-0.020000|NULL|-0.666666");
    PRINTS(CALL("modulus", F(0), F(1)), "0.450|-0.050|NULL|2.000");
    PRINTS(CALL("negate", F(0)), "-123.45|0.05|NULL|-2.00");
    PRINTS(CALL("add", F(0), L(T(INT64), "1")), "124.45|0.95|NULL|3.00");
    IS(CALL("divide", F(0), L(decimal(5, 0), "0")), QUERY_ERROR);
    IS(CALL("gt", F(0), L(T(INT64), "2")), "true|false|NULL|false");
    n_input = 0;
    given(decimal(38, 0), least);
    PRINTS(F(0), "-17014118346046923173168730371588410572"); /* a digit more than its type has */
    IS(CALL("negate", F(0)), QUERY_ERROR);
    IS(CALL("add", F(0), L(decimal(38, 0), "-1")), QUERY_ERROR);
    IS(CALL("divide", F(0), L(decimal(38, 0), "-1")), QUERY_ERROR);
    IS(CALL("multiply", L(decimal(38, 0), most), F(0)), QUERY_ERROR);
    IS(CALL("multiply", L(decimal(38, 20), "1"), L(decimal(38, 20), "1")), "!execute query");
    PRINTS(L(decimal(38, 38), "-1"), "-0.00000000000000000000000000000000000001");
    PRINTS(L(decimal(5, -2), "12"), "1200");
}

static void test_cast_to_text(void **state)
{
    (void)state;
    given(T(FLOAT64), "1|0.1|-0|1e15|1e16|1e20|1e-5|1e-7|1.5e-7|123456.789|nan|inf|-inf|5e-324|NULL");
    PRINTS(F(0), "1.0|0.1|-0.0|1000000000000000.0|1e16|1e20|0.00001|1e-7|1.5e-7|123456.789|NaN|inf|-inf|5e-324|NULL");
    n_input = 0;
    given(T(FLOAT32), "1|0.1|16777216|1.2345678e12|1e13|1e-5|1e-7|3.4028235e38");
    PRINTS(F(0), "1.0|0.1|16777216.0|1234567800000.0|1e13|0.00001|1e-7|3.4028235e38");
    n_input = 0;
    given(stamp(UNIT_MILLI), "0|-1|1580474096000|1580474096120|253402300800000|-62167219200001|NULL");
    PRINTS(F(0), "1970-01-01T00:00:00|1969-12-31T23:59:59.999|2020-01-31T12:34:56|2020-01-31T12:34:56.120|+10000-01-01T00:00:00|"
                 "-00001-12-31T23:59:59.999|NULL");
    n_input = 0;
    PRINTS(L(stamp(UNIT_NANO), "-9223372036854775808"), "1677-09-21T00:12:43.145224192");
    PRINTS(L(T(TIMESTAMP), "-9223372036854775808"), "-292277022657-01-27T08:29:52");
    PRINTS(L(T(DATE32), "18292"), "2020-01-31");
    PRINTS(L(T(DATE32), "-1"), "1969-12-31");
    PRINTS(L(type_temporal(TYPE_TIME64, UNIT_MICRO), "45296000120"), "12:34:56.000120");
    PRINTS(L(T(INTERVAL_MONTH_DAY_NANO), "1/2/11045000000000"), "1 mons 2 days 3 hours 4 mins 5.000000000 secs");
    PRINTS(L(T(INTERVAL_YEAR_MONTH), "14"), "1 years 2 mons");
    PRINTS(L(type_temporal(TYPE_DURATION, UNIT_MILLI), "1000"), "0 days 0 hours 0 mins 1.000 secs");
    PRINTS(L(T(BOOL), "true"), "true");
    IS(cast(L(T(BINARY), "\xff"), T(UTF8), false), QUERY_ERROR);
    IS(cast(L(T(BINARY), "\xff"), T(UTF8), true), "NULL");
}

static void test_cast_from_text(void **state)
{
    (void)state;
    given(T(UTF8), "12|-128|+5|128|x|1.5| 1|NULL|");
    IS(cast(F(0), T(INT8), false), QUERY_ERROR);
    IS(cast(F(0), T(INT8), true), "12|-128|5|NULL|NULL|NULL|NULL|NULL|NULL");
    IS(cast(F(0), T(UINT8), true), "12|NULL|5|128|NULL|NULL|NULL|NULL|NULL");
    IS(cast(F(0), T(FLOAT64), true), "12|-128|5|128|NULL|1.5|NULL|NULL|NULL");
    IS(cast(F(0), decimal(4, 1), true), "120|-1280|50|1280|NULL|15|10|NULL|0");
    n_input = 0;
    given(T(UTF8), "2020-01-31|2020-01-31T12:34:56|2020-01-31 12:34:56.120Z|2020-01-31T12:34:56+01:30|2019-02-29|2020-13-01|1969-12-31 23:59:59.999");
    IS(cast(F(0), stamp(UNIT_MILLI), true), "1580428800000|1580474096000|1580474096120|1580468696000|NULL|NULL|-1");
    IS(cast(F(0), T(DATE32), true), "18292|18292|18292|18292|NULL|NULL|-1");
    n_input = 0;
    given(T(UTF8), "t| TRUE |on|1|f|no|off|0|2");
    IS(cast(F(0), T(BOOL), true), "true|true|true|true|false|false|false|false|NULL");
    n_input = 0;
    given(T(UTF8), "2024-02-29T12:34:56Z|2024-02-29T12:34:56 Z|2024-02-29T12:34:56 |2024-02-29T12:34:60|2024-02-29T12:34:61|-2024-01-01|+2024-1-1|+24-01-01");
    IS(cast(F(0), stamp(UNIT_SECOND), true), "1709210096|NULL|NULL|1709210100|NULL|NULL|NULL|NULL");
    IS(cast(F(0), T(DATE32), true), "19782|NULL|NULL|19782|NULL|-1458779|19723|NULL");
    n_input = 0;
    given(T(UTF8), "inf|-Infinity|NaN|1e3|0x10|1e|.5");
    IS(cast(F(0), T(FLOAT64), true), "inf|-inf|nan|1000|NULL|NULL|0.5");
    n_input = 0;
    given(T(UTF8), "1.25|-1.25|170141183460469231731687303715884105727.9|.|1e3");
    IS(cast(F(0), decimal(38, 1), true), "13|-13|NULL|0|NULL");
}

static void test_cast_numbers(void **state)
{
    (void)state;
    given(T(FLOAT64), "1.9|-1.9|nan|inf|300|-129|NULL");
    IS(cast(F(0), T(INT8), true), "1|-1|NULL|NULL|NULL|NULL|NULL");
    IS(cast(F(0), T(INT8), false), QUERY_ERROR);
    IS(cast(F(0), T(BOOL), false), "true|true|true|true|true|true|NULL");
    IS(cast(F(0), decimal(4, 0), true), "2|-2|NULL|NULL|300|-129|NULL");
    n_input = 0;
    IS(cast(L(T(FLOAT64), "1e300"), T(FLOAT32), false), "inf");
    IS(cast(L(T(INT64), "-1"), T(UINT64), true), "NULL");
    IS(cast(L(T(UINT64), "18446744073709551615"), T(INT64), true), "NULL");
    IS(cast(L(decimal(5, 2), "-199"), T(INT32), false), "-1");
    IS(cast(L(decimal(5, 2), "155"), decimal(5, 1), false), "16");
    IS(cast(L(decimal(5, 2), "-155"), decimal(5, 1), false), "-16");
    IS(cast(L(decimal(5, 2), "99999"), decimal(4, 2), true), "NULL");
    IS(cast(L(decimal(5, 2), "150"), T(BOOL), false), "!unsupported");
    IS(cast(L(T(BOOL), "true"), T(INT16), false), "1");
    IS(cast(L(T(INT64), "1000000"), decimal(5, 0), false), QUERY_ERROR);
}

static void test_cast_times(void **state)
{
    (void)state;
    given(stamp(UNIT_MILLI), "-1|1999|-1999|NULL");
    IS(cast(F(0), stamp(UNIT_SECOND), false), "0|1|-1|NULL");
    IS(cast(F(0), stamp(UNIT_MICRO), false), "-1000|1999000|-1999000|NULL");
    IS(cast(F(0), T(DATE32), false), "-1|0|-1|NULL");
    IS(cast(F(0), T(INT64), false), "-1|1999|-1999|NULL");
    IS(cast(F(0), type_temporal(TYPE_TIME32, UNIT_MILLI), false), "86399999|1999|86398001|NULL");
    n_input = 0;
    IS(cast(L(T(TIMESTAMP), "9223372036854775807"), stamp(UNIT_NANO), false), QUERY_ERROR);
    IS(cast(L(T(DATE32), "1"), stamp(UNIT_MILLI), false), "86400000");
    IS(cast(L(T(DATE32), "2147483647"), stamp(UNIT_NANO), true), QUERY_ERROR); /* as DataFusion: checked before TRY_CAST */
    IS(cast(L(T(DATE32), "2"), T(DATE64), false), "172800000");
    IS(cast(L(T(INTERVAL_MONTH_DAY_NANO), "0/0/5000000"), type_temporal(TYPE_DURATION, UNIT_MILLI), false), "5");
    IS(cast(L(T(INTERVAL_MONTH_DAY_NANO), "0/1/0"), type_temporal(TYPE_DURATION, UNIT_MILLI), true), "NULL");
    IS(cast(L(T(FLOAT16), "1"), stamp(UNIT_MILLI), true), "!unsupported");
}

static void test_time_functions(void **state)
{
    (void)state;
    given(stamp(UNIT_MILLI), "-1|1580474096120|NULL|-86400001");
    IS(CALL("date_trunc", L(T(UTF8), "second"), F(0)), "-1000|1580474096000|NULL|-86401000");
    IS(CALL("date_trunc", L(T(UTF8), "HOUR"), F(0)), "-3600000|1580472000000|NULL|-90000000");
    IS(CALL("date_trunc", L(T(UTF8), "day"), F(0)), "-86400000|1580428800000|NULL|-172800000");
    IS(CALL("date_trunc", L(T(UTF8), "week"), F(0)), "-259200000|1580083200000|NULL|-259200000");
    IS(CALL("date_trunc", L(T(UTF8), "month"), F(0)), "-2678400000|1577836800000|NULL|-2678400000");
    IS(CALL("date_trunc", L(T(UTF8), "quarter"), F(0)), "-7948800000|1577836800000|NULL|-7948800000");
    IS(CALL("date_trunc", L(T(UTF8), "year"), F(0)), "-31536000000|1577836800000|NULL|-31536000000");
    IS(CALL("date_trunc", L(T(UTF8), "eon"), F(0)), QUERY_ERROR);
    IS(CALL("date_bin", L(T(INTERVAL_MONTH_DAY_NANO), "0/0/60000000000"), F(0)), "-60000|1580474040000|NULL|-86460000");
    IS(CALL("date_bin", L(T(INTERVAL_MONTH_DAY_NANO), "0/0/60000000000"), F(0), L(stamp(UNIT_MILLI), "30000")), "-30000|1580474070000|NULL|-86430000");
    IS(CALL("date_bin", L(T(INTERVAL_MONTH_DAY_NANO), "1/0/0"), F(0)), "-2678400000|1577836800000|NULL|-2678400000");
    IS(CALL("date_bin", L(T(INTERVAL_MONTH_DAY_NANO), "1/1/0"), F(0)), QUERY_ERROR);
    IS(CALL("date_bin", L(T(INTERVAL_MONTH_DAY_NANO), "0/0/0"), F(0)), QUERY_ERROR);
    IS(CALL("date_part", L(T(UTF8), "year"), F(0)), "1969|2020|NULL|1969");
    IS(CALL("date_part", L(T(UTF8), "month"), F(0)), "12|1|NULL|12");
    IS(CALL("date_part", L(T(UTF8), "day"), F(0)), "31|31|NULL|30");
    IS(CALL("date_part", L(T(UTF8), "hour"), F(0)), "23|12|NULL|23");
    IS(CALL("date_part", L(T(UTF8), "second"), F(0)), "59|56|NULL|59");
    IS(CALL("date_part", L(T(UTF8), "millisecond"), F(0)), "59999|56120|NULL|59999");
    IS(CALL("date_part", L(T(UTF8), "week"), F(0)), "1|5|NULL|1");
    IS(CALL("date_part", L(T(UTF8), "dow"), F(0)), "3|5|NULL|2");
    IS(CALL("date_part", L(T(UTF8), "doy"), F(0)), "365|31|NULL|364");
    IS(CALL("date_part", L(T(UTF8), "epoch"), F(0)), "-0.001|1580474096.1199999|NULL|-86400.001000000004");
    /* the ends of the range neither trap nor wrap to the other end */
    n_input = 0;
    given(T(TIMESTAMP), "-9223372036854775808|9223372036854775807");
    IS(CALL("date_trunc", L(T(UTF8), "day"), F(0)), "-9223372036854775808|9223372036854720000");
    IS(CALL("date_trunc", L(T(UTF8), "year"), F(0)), "-9223372036854775808|9223372036825516800");
    IS(CALL("date_part", L(T(UTF8), "hour"), F(0)), "8|15");
}

static void test_time_arithmetic(void **state)
{
    (void)state;
    struct dtype *span = T(INTERVAL_MONTH_DAY_NANO);
    given(stamp(UNIT_MILLI), "1580428800000|1582934400000|0|NULL"); /* 2020-01-31, 2020-02-29, 1970-01-01 */
    IS(CALL("add", F(0), L(span, "1/0/0")), "1582934400000|1585440000000|2678400000|NULL");
    IS(CALL("add", L(span, "13/0/0"), F(0)), "1614470400000|1616976000000|34214400000|NULL");
    IS(CALL("subtract", F(0), L(span, "2/0/0")), "1575072000000|1577577600000|-5270400000|NULL");
    IS(CALL("subtract", F(0), L(span, "12/0/0")), "1548892800000|1551312000000|-31536000000|NULL");
    IS(CALL("add", F(0), L(span, "1/1/1000000")), "1583020800001|1585526400001|2764800001|NULL");
    IS(CALL("subtract", F(0), L(span, "0/0/1")), "1580428799999|1582934399999|-1|NULL");
    IS(CALL("subtract", F(0), F(0)), "0|0|0|NULL");
    IS(CALL("add", F(0), L(type_temporal(TYPE_DURATION, UNIT_SECOND), "2")), "1580428802000|1582934402000|2000|NULL");
    IS(CALL("subtract", F(0), L(type_temporal(TYPE_DURATION, UNIT_SECOND), "9223372036854775807")), QUERY_ERROR);
    IS(CALL("multiply", F(0), L(span, "1/0/0")), "!plan query");
    n_input = 0;
    given(T(DATE32), "18292|0");
    IS(CALL("add", F(0), L(span, "1/0/0")), "18321|31");
    IS(CALL("subtract", F(0), L(span, "0/1/86400000000000")), "18290|-2");
    IS(CALL("subtract", F(0), L(T(DATE32), "1")), "18291|-1");
    n_input = 0;
    given(T(TIMESTAMP), "9223372036854775807|-9223372036854775808");
    IS(CALL("add", F(0), L(span, "0/1/0")), QUERY_ERROR);
    IS(CALL("add", F(0), L(span, "1/0/0")), QUERY_ERROR);
    IS(CALL("subtract", F(0), L(T(TIMESTAMP), "1")), QUERY_ERROR);
}

static void test_patterns(void **state)
{
    (void)state;
    given(T(UTF8), "abc|a%c|a\nc|\xc3\xa9" "c|ABC||NULL|abcabc");
#define LIKE(pattern) CALL("like", F(0), L(T(UTF8), pattern))
    IS(LIKE("abc"), "true|false|false|false|false|false|NULL|false");
    IS(LIKE("a_c"), "true|true|true|false|false|false|NULL|false");
    IS(LIKE("_c"), "false|false|false|true|false|false|NULL|false");
    IS(LIKE("a%"), "true|true|true|false|false|false|NULL|true");
    IS(LIKE("%c"), "true|true|true|true|false|false|NULL|true");
    IS(LIKE("%bca%"), "false|false|false|false|false|false|NULL|true");
    IS(LIKE("a%c"), "true|true|true|false|false|false|NULL|true");
    IS(LIKE("a\\%c"), "false|true|false|false|false|false|NULL|false");
    IS(LIKE("\\abc"), "true|false|false|false|false|false|NULL|false");
    IS(LIKE("abc\\"), "false|false|false|false|false|false|NULL|false");
    IS(LIKE("%"), "true|true|true|true|true|true|NULL|true");
    IS(LIKE(""), "false|false|false|false|false|true|NULL|false");
    IS(LIKE("%%_%"), "true|true|true|true|true|false|NULL|true");
    IS(LIKE("NULL"), "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL");
    IS(CALL("like", F(0), F(0)), "true|true|true|true|true|true|NULL|true");
    IS(CALL("like", F(0), L(T(UTF8), "a"), L(T(UTF8), "!")), QUERY_ERROR);
    IS(CALL("ilike", F(0), L(T(UTF8), "aB%")), "true|false|false|false|true|false|NULL|true");
    IS(CALL("ilike", F(0), L(T(UTF8), "\xc3\x89_")), "false|false|false|true|false|false|NULL|false");
    IS(CALL("like_not_match", F(0), L(T(UTF8), "a%")), "false|false|false|true|true|true|NULL|false");
#define REGEX(name, pattern) CALL(name, F(0), L(T(UTF8), pattern))
    IS(REGEX("regex_match", "b"), "true|false|false|false|false|false|NULL|true");
    IS(REGEX("regex_match", "^a.c$"), "true|true|false|false|false|false|NULL|false");
    IS(REGEX("regex_imatch", "C$"), "true|true|true|true|true|false|NULL|true");
    IS(REGEX("regex_not_match", "^a"), "false|false|false|true|true|true|NULL|false");
    IS(REGEX("regex_not_imatch", "^a"), "false|false|false|true|false|true|NULL|false");
    IS(REGEX("regex_match", ""), "true|true|true|true|true|true|NULL|true");
    IS(REGEX("regex_match", "("), QUERY_ERROR);
    IS(CALL("length", F(0)), "3|3|3|2|3|0|NULL|6");
    IS(CALL("str_concat", F(0), L(T(UTF8), "x")), "abcx|a%cx|a\ncx|\xc3\xa9" "cx|ABCx|x|NULL|abcabcx");
    IS(CALL("concat", F(0), L(T(UTF8), "x")), "abcx|a%cx|a\ncx|\xc3\xa9" "cx|ABCx|x|x|abcabcx");
}

static void test_strings(void **state)
{
    (void)state;
    struct dtype *t = T(UTF8);
    given(t, "  aBc |\xc3\xa9t\xc3\x89||NULL|xxaxx");
    IS(CALL("upper", F(0)), "  ABC |\xc3\x89T\xc3\x89||NULL|XXAXX");
    IS(CALL("lower", F(0)), "  abc |\xc3\xa9t\xc3\xa9||NULL|xxaxx");
    IS(CALL("btrim", F(0)), "aBc|\xc3\xa9t\xc3\x89||NULL|xxaxx");
    IS(CALL("ltrim", F(0)), "aBc |\xc3\xa9t\xc3\x89||NULL|xxaxx");
    IS(CALL("rtrim", F(0)), "  aBc|\xc3\xa9t\xc3\x89||NULL|xxaxx");
    IS(CALL("trim", F(0), L(t, "x\xc3\x89")), "  aBc |\xc3\xa9t||NULL|a");
    IS(CALL("substr", F(0), L(T(INT64), "2")), " aBc |t\xc3\x89||NULL|xaxx");
    IS(CALL("substr", F(0), L(T(INT64), "0"), L(T(INT64), "3")), "  |\xc3\xa9t||NULL|xx");
    IS(CALL("substr", F(0), L(T(INT64), "1"), L(T(INT64), "-1")), QUERY_ERROR);
    IS(CALL("substr", F(0), L(T(INT64), "9223372036854775807"), L(T(INT64), "9223372036854775807")), "|||NULL|");
    IS(CALL("substr", F(0), L(T(INT64), "-9223372036854775808"), L(T(INT64), "5")), "|||NULL|");
    IS(CALL("left", F(0), L(T(INT64), "-2")), "  aB|\xc3\xa9||NULL|xxa");
    IS(CALL("right", F(0), L(T(INT64), "2")), "c |t\xc3\x89||NULL|xx");
    IS(CALL("right", F(0), L(T(INT64), "-9223372036854775808")), "|||NULL|");
    IS(CALL("replace", F(0), L(t, "x"), L(t, "yz")), "  aBc |\xc3\xa9t\xc3\x89||NULL|yzyzayzyz");
    IS(CALL("reverse", F(0)), " cBa  |\xc3\x89t\xc3\xa9||NULL|xxaxx");
    IS(CALL("length", F(0)), "6|3|0|NULL|5");
    IS(CALL("octet_length", F(0)), "6|5|0|NULL|5");
    IS(CALL("bit_length", F(0)), "48|40|0|NULL|40");
    IS(CALL("strpos", F(0), L(t, "\xc3\x89")), "0|3|0|NULL|0");
    IS(CALL("strpos", F(0), L(t, "")), "1|1|1|NULL|1");
    IS(CALL("starts_with", F(0), L(t, "xx")), "false|false|false|NULL|true");
    IS(CALL("ends_with", F(0), L(t, "c ")), "true|false|false|NULL|false");
    IS(CALL("contains", F(0), L(t, "a")), "true|false|false|NULL|true");
    IS(CALL("concat", F(0), L(T(INT64), "7"), F(0)), "  aBc 7  aBc |\xc3\xa9t\xc3\x89" "7\xc3\xa9t\xc3\x89|7|7|xxaxx7xxaxx");
    IS(CALL("upper", L(T(INT64), "1")), "!plan query");
    IS(CALL("upper", L(T(NULL), "NULL")), "NULL|NULL|NULL|NULL|NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_compare_every_type), TEST(test_compare_order), TEST(test_compare_mixed), TEST(test_logic), TEST(test_case_in), TEST(test_constant_in),
        TEST(test_arithmetic), TEST(test_decimals), TEST(test_cast_to_text), TEST(test_cast_from_text), TEST(test_cast_numbers), TEST(test_cast_times),
        TEST(test_time_functions), TEST(test_time_arithmetic), TEST(test_patterns), TEST(test_strings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
