/* Mathematics and functions that choose among their arguments (functions.md 1.1, 1.5, 1.9, 1.10). */
#include "expr_calc.h"

static struct plan_expr *D(const char *text)
{
    return L(T(FLOAT64), text);
}

static struct plan_expr *N(const char *text)
{
    return L(T(INT64), text);
}

static void test_floats(void **state)
{
    (void)state;
    given(T(FLOAT64), "1|-1|0|nan|NULL|-0");
    IS(CALL("isnan", CALL("sqrt", F(0))), "false|true|false|true|NULL|false");
    IS(CALL("ln", CALL("abs", F(0))), "0|0|-inf|nan|NULL|-inf");
    IS(CALL("signum", F(0)), "1|-1|0|nan|NULL|0");
    IS(CALL("isnan", F(0)), "false|false|false|true|NULL|false");
    IS(CALL("iszero", F(0)), "false|false|true|false|NULL|true");
    IS(CALL("nanvl", F(0), N("7")), "1|-1|0|7|NULL|-0");
    IS(CALL("nanvl", F(0), N("NULL")), "1|-1|0|NULL|NULL|-0");
    IS(CALL("power", F(0), N("3")), "1|-1|0|nan|NULL|-0");
    IS(CALL("atan2", F(0), D("1")), "0.78539816339744828|-0.78539816339744828|0|nan|NULL|-0");
    IS(CALL("degrees", F(0)), "57.295779513082323|-57.295779513082323|0|nan|NULL|-0");
    IS(CALL("logb", D("8"), D("2")), "3|3|3|3|3|3");
    IS(CALL("log", D("100")), "2|2|2|2|2|2");
    IS(with_args(PLAN_CALL, "pi", NULL), "3.1415926535897931|3.1415926535897931|3.1415926535897931|3.1415926535897931|3.1415926535897931|3.1415926535897931");
    n_input = 0;
    given(T(FLOAT32), "2.5|-2.5|1e30|NULL");
    IS(CALL("trunc", F(0)), "2|-2|1.00000002e+30|NULL");
    IS(CALL("round", F(0)), "3|-3|1.00000002e+30|NULL");
    IS(CALL("trunc", CALL("divide", F(0), L(T(FLOAT32), "2")), N("1")), "1.20000005|-1.20000005|5.00000008e+29|NULL");
    IS(CALL("ceil", F(0)), "3|-2|1.00000002e+30|NULL");
}

static void test_integers(void **state)
{
    (void)state;
    given(T(INT64), "12|-18|0|NULL|5");
    IS(CALL("gcd", F(0), N("8")), "4|2|8|NULL|1");
    IS(CALL("negate", CALL("add", F(0), N("9223372036854775807"))), "9223372036854775797|-9223372036854775789|-9223372036854775807|NULL|9223372036854775804");
    IS(CALL("negate", CALL("add", CALL("multiply", F(0), N("0")), N("-9223372036854775808"))), /* wraps, but in a constant */
       "-9223372036854775808|-9223372036854775808|-9223372036854775808|NULL|-9223372036854775808");
    IS(CALL("negate", N("-9223372036854775808")), QUERY_ERROR);
    IS(CALL("negate", N("NULL")), "NULL|NULL|NULL|NULL|NULL");
    IS(CALL("lcm", F(0), N("8")), "24|72|0|NULL|40");
    IS(CALL("gcd", N("-9223372036854775808"), N("0")), QUERY_ERROR);
    IS(CALL("lcm", N("9223372036854775807"), N("2")), QUERY_ERROR);
    IS(CALL("factorial", F(0)), "479001600|1|1|NULL|120");
    IS(CALL("factorial", N("21")), QUERY_ERROR);
    IS(CALL("mod", F(0), N("7")), "5|-4|0|NULL|5");
    IS(CALL("isnan", CALL("mod", F(0), D("0"))), "true|true|true|NULL|true");
    IS(CALL("mod", F(0), N("0")), QUERY_ERROR);
}

static void test_choice(void **state)
{
    (void)state;
    given(T(INT64), "1|5|NULL|NULL");
    given(T(INT64), "3|2|4|NULL");
    IS(CALL("greatest", F(0), F(1)), "3|5|4|NULL");
    IS(CALL("least", F(0), F(1), N("2")), "1|2|2|2");
    IS(CALL("nvl2", F(0), F(1), N("9")), "3|2|9|9");
    IS(CALL("nvl", F(0), F(1)), "1|5|4|NULL");
    IS(CALL("if", F(0), F(1), N("9")), "3|2|9|9");
    IS(CALL("if", F(0), F(1), L(T(INT32), "9")), QUERY_ERROR);
    IS(CALL("isnull", F(0)), "false|false|true|true");
    IS(CALL("clamp", F(0), N("2"), N("4")), "2|4|NULL|NULL");
    IS(CALL("clamp", F(0), N("4"), N("2")), QUERY_ERROR);
    IS(CALL("clamp_min", F(0), N("NULL")), QUERY_ERROR);
    IS(CALL("clamp_max", F(0), F(1)), "1|2|NULL|NULL");
    IS(CALL("arrow_typeof", F(0)), "Int64|Int64|Int64|Int64");
    IS(CALL("arrow_cast", F(0), L(T(UTF8), "Timestamp(Second, None)")), "1|5|NULL|NULL");
    IS(CALL("arrow_typeof", CALL("arrow_cast", F(0), L(T(UTF8), "Timestamp(ms, \"UTC\")"))),
       "Timestamp(ms, \"UTC\")|Timestamp(ms, \"UTC\")|Timestamp(ms, \"UTC\")|Timestamp(ms, \"UTC\")");
    IS(CALL("arrow_cast", F(0), L(T(UTF8), "Decimal128(10, 2)")), "100|500|NULL|NULL");
    IS(CALL("arrow_cast", F(0), L(T(UTF8), "Timestamp(ns,None)")), "1|5|NULL|NULL");
    IS(CALL("arrow_cast", F(0), L(T(UTF8), "List(Int64)")), "[1]|[5]|[NULL]|[NULL]");
    IS(CALL("arrow_cast", F(0), L(T(UTF8), " LargeList( nullable Int8 ) ")), "[1]|[5]|[NULL]|[NULL]");
    IS(CALL("arrow_typeof", CALL("arrow_cast", CALL("struct", F(0), F(0)), L(T(UTF8), "Struct(\"a b\": Int8, \"d\": Duration(s))"))),
       "Struct(\"a b\": Int8, \"d\": Duration(s))|Struct(\"a b\": Int8, \"d\": Duration(s))|Struct(\"a b\": Int8, \"d\": "
       "Duration(s))|Struct(\"a b\": Int8, \"d\": Duration(s))");
    static const char *const wrong[] = {"Nonsense", "", "Int64)", "List(", "List(Int64", "Struct(\"a\")", "Struct()", "Time32(ns)", "Decimal128(39, 2)",
                                        "Timestamp(s, \"UTC)", "Timestamp(x)", "Decimal128(99999999999999999999, 0)", "Interval(Day)",
                                        "List(List(List(List(List(List(List(List(List(List(List(List(List(List(List(List(List(List("};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        IS(CALL("arrow_cast", F(0), L(T(UTF8), wrong[i])), QUERY_ERROR);
    IS(CALL("octet_length", cast(cast(F(0), T(BINARY), false), T(UTF8), false)), "8|8|NULL|NULL");
    IS(CALL("rate", F(0), F(1)), QUERY_ERROR);
    n_input = 0;
    given(T(FLOAT64), "1|nan|NULL");
    IS(CALL("greatest", F(0), D("2")), "2|nan|2");
    IS(CALL("least", F(0), D("2")), "1|2|2");
    IS(CALL("if", F(0), D("1"), D("0")), "1|1|0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_floats), TEST(test_integers), TEST(test_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
