/* Lists, structs and maps. The expected values are DataFusion 53's. */
#include "expr_calc.h"

#define I(text) L(T(INT64), text)
#define S(text) L(T(UTF8), text)
#define LIST(text) L(list_of(T(INT64)), text)

static void test_making(void **state)
{
    (void)state;
    given(T(INT64), "1|NULL|3");
    IS(CALL("make_array", F(0), I("7")), "[1,7]|[NULL,7]|[3,7]");
    IS(CALL("make_array", I("1"), L(T(FLOAT64), "2.5")), "[1,2.5]|[1,2.5]|[1,2.5]");
    IS(CALL("make_array", S("a"), L(T(NULL), "NULL")), "[a,NULL]|[a,NULL]|[a,NULL]");
    IS(CALL("array_append", CALL("make_array", I("1")), F(0)), "[1,1]|[1,NULL]|[1,3]");
    IS(CALL("array_append", LIST("NULL"), I("1")), "[1]|[1]|[1]");
    IS(CALL("array_append", L(T(NULL), "NULL"), I("1")), "[1]|[1]|[1]");
    IS(CALL("list_push_front", F(0), LIST("[8]")), "[1,8]|[NULL,8]|[3,8]");
    IS(CALL("array_repeat", F(0), I("2")), "[1,1]|[NULL,NULL]|[3,3]");
    IS(CALL("array_repeat", F(0), I("-1")), "[]|[]|[]");
    IS(CALL("array_repeat", LIST("[1]"), I("2")), "[[1],[1]]|[[1],[1]]|[[1],[1]]");
    IS(CALL("array_concat", LIST("[1]"), LIST("NULL"), LIST("[2]")), "[1,2]|[1,2]|[1,2]");
    IS(CALL("array_concat", LIST("NULL"), LIST("NULL")), "NULL|NULL|NULL");
    IS(CALL("array_concat", LIST("[1]"), L(list_of(list_of(T(INT64))), "[[2]]")), "[[1],[2]]|[[1],[2]]|[[1],[2]]");
    IS(with_args(PLAN_CALL, "make_array", NULL), "[]|[]|[]");
    IS(CALL("array_append", I("1"), I("1")), "!plan query");
}

/* NULLs inside are equal to each other and before values; || joins lists. */
static void test_operators(void **state)
{
    (void)state;
    given(list_of(T(INT64)), "[1,2]|NULL");
    IS(CALL("str_concat", F(0), LIST("[9]")), "[1,2,9]|[9]");
    IS(CALL("str_concat", F(0), I("9")), "[1,2,9]|[9]");
    IS(CALL("str_concat", I("9"), F(0)), "[9,1,2]|[9]");
    IS(IN(F(0), LIST("[1]"), LIST("[1,2]")), "true|NULL");
    IS(IN(F(0), LIST("[1]"), LIST("NULL")), "NULL|NULL");
    IS(CASE(true, true, F(0), LIST("[1,2]"), I("1"), I("0")), "1|0");
    IS(CASE(true, true, F(0), LIST("[1]"), CALL("divide", I("1"), I("0")), I("0")), "0|0");
    IS(CALL("nullif", F(0), LIST("[1,2]")), "NULL|NULL");
    IS(CALL("equal", F(0), I("1")), "!plan query");
    IS(CALL("equal", F(0), L(list_of(list_of(T(INT64))), "[[1]]")), "!plan query");
}

static void test_order(void **state)
{
    (void)state;
    given(list_of(T(INT64)), "[1,2]|NULL|[]|[NULL]|[1,NULL]|[2]");
    IS(CALL("equal", F(0), LIST("[1,2]")), "true|NULL|false|false|false|false");
    IS(CALL("not_equal", F(0), LIST("[NULL]")), "true|NULL|true|false|true|true");
    IS(CALL("lt", F(0), LIST("[1,2]")), "false|NULL|true|true|true|false");
    IS(CALL("gte", LIST("[1,2]"), F(0)), "true|NULL|true|true|true|false");
    IS(CALL("gt", F(0), F(0)), "false|NULL|false|false|false|false");
    IS(CALL("equal", F(0), L(list_of(T(FLOAT64)), "[1,2]")), "true|NULL|false|false|false|false");
    IS(CALL("equal", F(0), L(list_of(T(NULL)), "[NULL]")), "false|NULL|false|true|false|false");
    IS(CALL("equal", F(0), L(T(NULL), "NULL")), "NULL|NULL|NULL|NULL|NULL|NULL");
    IS(CALL("is_distinct_from", F(0), LIST("NULL")), "true|false|true|true|true|true");
    IS(CALL("is_not_distinct_from", F(0), LIST("[1,NULL]")), "false|false|false|false|true|false");
    IS(CALL("between", F(0), LIST("[]"), LIST("[1,NULL]")), "false|NULL|true|true|true|false");
    IS(CALL("greatest", F(0), LIST("[1]")), "[1,2]|[1]|[1]|[1]|[1,NULL]|[2]");
    IS(CALL("least", F(0), LIST("[1]"), LIST("NULL")), "[1]|[1]|[]|[1]|[1]|[1]");
    n_input = 0;
    given(T(INT64), "1|NULL|3");
    struct plan_expr *pair = CALL("struct", F(0), S("x"));
    IS(CALL("equal", pair, CALL("struct", I("1"), S("x"))), "true|false|false");
    IS(CALL("lt", pair, CALL("struct", I("3"), S("a"))), "true|true|false");
    IS(CALL("lt", pair, CALL("struct", L(T(FLOAT64), "2.5"), S("a"))), "true|true|false");
    IS(CALL("equal", pair, CALL("struct", I("1"))), "!plan query");
    IS(CALL("greatest", pair, CALL("struct", I("2"), S("b"))), "{2,b}|{2,b}|{3,x}");
}

static void test_parts(void **state)
{
    (void)state;
    given(list_of(T(INT64)), "[1,2,3,4]|[]|NULL|[NULL,5]");
    IS(CALL("array_element", F(0), I("1")), "1|NULL|NULL|NULL");
    IS(CALL("array_element", F(0), I("-1")), "4|NULL|NULL|5");
    IS(CALL("array_element", F(0), I("0")), "NULL|NULL|NULL|NULL");
    IS(CALL("array_element", F(0), I("-9223372036854775808")), "NULL|NULL|NULL|NULL");
    IS(CALL("array_slice", F(0), I("0"), I("2")), "[1,2]|[]|NULL|[NULL,5]");
    IS(CALL("array_slice", F(0), I("-3"), I("-2")), "[2,3]|[]|NULL|[NULL]");
    IS(CALL("array_slice", F(0), I("3"), I("1")), "[]|[]|NULL|[]");
    IS(CALL("array_slice", F(0), I("1"), I("9"), I("2")), "[1,3]|[]|NULL|[NULL]");
    IS(CALL("array_slice", F(0), I("4"), I("1"), I("-2")), "[4,2]|[]|NULL|[]");
    IS(CALL("array_slice", F(0), I("2"), I("NULL")), "NULL|NULL|NULL|NULL");
    IS(CALL("array_slice", F(0), I("1"), I("2"), I("0")), QUERY_ERROR);
    IS(CALL("array_pop_back", F(0)), "[1,2,3]|[]|NULL|[NULL]");
    IS(CALL("array_pop_front", F(0)), "[2,3,4]|[]|NULL|[5]");
    IS(CALL("array_reverse", F(0)), "[4,3,2,1]|[]|NULL|[5,NULL]");
    IS(CALL("array_resize", F(0), I("3")), "[1,2,3]|[NULL,NULL,NULL]|NULL|[NULL,5,NULL]");
    IS(CALL("array_resize", F(0), I("3"), I("9")), "[1,2,3]|[9,9,9]|NULL|[NULL,5,9]");
    IS(CALL("array_resize", F(0), I("-1")), QUERY_ERROR);
    IS(CALL("array_any_value", F(0)), "1|NULL|NULL|5");
    IS(CALL("array_max", F(0)), "4|NULL|NULL|5");
    IS(CALL("list_min", F(0)), "1|NULL|NULL|5");
    n_input = 0;
    given(list_of(list_of(T(INT64))), "[[1,2],[3]]|[NULL,[4]]|NULL");
    IS(CALL("flatten", F(0)), "[1,2,3]|[4]|NULL");
    IS(CALL("flatten", CALL("flatten", F(0))), "[1,2,3]|[4]|NULL");
    IS(CALL("cardinality", F(0)), "4|0|NULL");
    IS(CALL("array_ndims", F(0)), "2|2|NULL");
    IS(CALL("array_dims", F(0)), "[2,2]|[2]|NULL");
    IS(CALL("array_length", F(0)), "2|2|NULL");
    IS(CALL("array_length", F(0), I("2")), "2|NULL|NULL");
}

static void test_searching(void **state)
{
    (void)state;
    given(list_of(T(INT64)), "[1,2,NULL,2]|[]|NULL|[3]");
    IS(CALL("array_position", F(0), I("2")), "2|NULL|NULL|NULL");
    IS(CALL("array_position", F(0), I("NULL")), "3|NULL|NULL|NULL");
    IS(CALL("array_position", F(0), I("2"), I("3")), QUERY_ERROR);
    IS(CALL("array_position", LIST("[1,2,3,2]"), I("2"), I("3")), "4|4|4|4");
    IS(CALL("array_positions", F(0), I("2")), "[2,4]|[]|NULL|[]");
    IS(CALL("array_has", F(0), I("2")), "true|false|NULL|false");
    IS(CALL("array_has", F(0), I("NULL")), "NULL|NULL|NULL|NULL");
    IS(CALL("array_has_all", F(0), LIST("[2,NULL]")), "true|false|NULL|false");
    IS(CALL("array_has_any", F(0), LIST("[3,2]")), "true|false|NULL|true");
    IS(CALL("array_has_any", LIST("[3]"), F(0)), "false|false|NULL|true");
    IS(CALL("array_has_all", LIST("[3]"), F(0)), "false|true|NULL|true");
    IS(CALL("array_has_all", F(0), LIST("NULL")), "true|true|true|true");
    IS(CALL("arrow_at", LIST("[2]"), F(0)), "true|false|NULL|false");
    IS(CALL("array_remove", F(0), I("2")), "[1,NULL,2]|[]|NULL|[3]");
    IS(CALL("array_remove_n", F(0), I("2"), I("2")), "[1,NULL]|[]|NULL|[3]");
    IS(CALL("array_remove_all", F(0), I("NULL")), "[1,2,2]|[]|NULL|[3]");
    IS(CALL("array_replace", F(0), I("2"), I("9")), "[1,9,NULL,2]|[]|NULL|[3]");
    IS(CALL("array_replace_n", F(0), I("2"), I("NULL"), I("5")), "[1,NULL,NULL,NULL]|[]|NULL|[3]");
    IS(CALL("array_replace_all", F(0), I("NULL"), I("0")), "[1,2,0,2]|[]|NULL|[3]");
    IS(CALL("array_distinct", F(0)), "[1,2,NULL]|[]|NULL|[3]");
    IS(CALL("array_union", F(0), LIST("[2,7,7]")), "[1,2,NULL,7]|[2,7]|NULL|[3,2,7]");
    IS(CALL("array_intersect", F(0), LIST("[2,NULL,3]")), "[2,NULL]|[]|NULL|[3]");
    IS(CALL("array_intersect", F(0), LIST("[3,NULL,2,5,NULL]")), "[NULL,2]|[]|NULL|[3]");
    IS(CALL("array_except", F(0), LIST("[1]")), "[2,NULL]|[]|NULL|[3]");
    IS(CALL("array_except", F(0), LIST("NULL")), "NULL|NULL|NULL|NULL");
    IS(CALL("array_sort", F(0)), "[NULL,1,2,2]|[]|NULL|[3]");
    IS(CALL("array_sort", F(0), S("desc"), S("NULLS LAST")), "[2,2,1,NULL]|[]|NULL|[3]");
    IS(CALL("array_sort", F(0), S("up")), QUERY_ERROR);
    IS(CALL("array_sort", F(0), S("NULL")), "NULL|NULL|NULL|NULL");
    IS(CALL("empty", F(0)), "false|true|NULL|false");
    IS(CALL("array_distance", LIST("[1,2]"), LIST("[4,6]")), "5|5|5|5");
    IS(CALL("array_distance", LIST("[1]"), LIST("[4,6]")), QUERY_ERROR);
    IS(CALL("array_distance", LIST("[NULL]"), LIST("[4]")), "NULL|NULL|NULL|NULL");
}

static void test_text(void **state)
{
    (void)state;
    given(list_of(T(FLOAT64)), "[1,NULL,2.5]|[]|NULL");
    IS(CALL("array_to_string", F(0), S("-")), "1-2.5||NULL");
    IS(CALL("list_join", F(0), S("-"), S("?")), "1-?-2.5||NULL");
    IS(CALL("array_to_string", L(list_of(list_of(T(INT64))), "[[1,2],[3]]"), S(",")), "1,2,3|1,2,3|1,2,3");
    n_input = 0;
    given(T(UTF8), "a,b,,c||NULL|\xc3\xa9x");
    IS(CALL("string_to_array", F(0), S(",")), "[a,b,,c]|[]|NULL|[\xc3\xa9x]");
    IS(CALL("array_length", CALL("string_to_array", F(0), S(","))), "4|1|NULL|1");
    IS(CALL("string_to_array", F(0), S("NULL")), "[a,,,b,,,,,c]|[]|NULL|[\xc3\xa9,x]");
    IS(CALL("string_to_array", F(0), S("")), "[a,b,,c]|[]|NULL|[\xc3\xa9x]");
    IS(CALL("string_to_array", F(0), S(","), S("b")), "[a,NULL,,c]|[]|NULL|[\xc3\xa9x]");
}

static void test_series(void **state)
{
    (void)state;
    given(T(INT64), "3|NULL");
    IS(CALL("range", F(0)), "[0,1,2]|NULL");
    IS(CALL("range", I("5"), F(0), I("-1")), "[5,4]|NULL");
    IS(CALL("generate_series", I("1"), F(0)), "[1,2,3]|NULL");
    IS(CALL("range", I("1"), F(0), I("0")), QUERY_ERROR);
    IS(CALL("generate_series", I("9223372036854775806"), I("9223372036854775807")), "[9223372036854775806,9223372036854775807]|[9223372036854775806,9223372036854775807]");
    IS(CALL("range", L(T(DATE32), "18292"), L(T(DATE32), "18355"), L(T(INTERVAL_MONTH_DAY_NANO), "1/0/0")), "[18292,18321,18350]|[18292,18321,18350]");
    IS(CALL("generate_series", L(stamp(UNIT_NANO), "0"), L(stamp(UNIT_NANO), "10"), L(T(INTERVAL_MONTH_DAY_NANO), "0/0/5")), "[0,5,10]|[0,5,10]");
}

static void test_structs_and_maps(void **state)
{
    (void)state;
    given(T(INT64), "1|NULL|3");
    given(T(UTF8), "x|y|NULL");
    IS(CALL("named_struct", S("a"), F(0), S("b"), F(1)), "{1,x}|{NULL,y}|{3,NULL}");
    IS(CALL("struct", F(0), S("q")), "{1,q}|{NULL,q}|{3,q}");
    IS(CALL("get_field", CALL("named_struct", S("a"), F(0), S("b"), F(1)), S("b")), "x|y|NULL");
    IS(CALL("get_field", CALL("named_struct", S("s"), CALL("struct", F(0))), S("s"), S("c0")), "1|NULL|3");
    IS(CALL("get_field", CALL("struct", F(0)), S("c1")), "!plan query");
    IS(CALL("get_field", F(0), S("c1")), "!plan query");
    struct plan_expr *map = CALL("map", L(list_of(T(UTF8)), "[a,b]"), CALL("make_array", F(0), I("2")));
    IS(map, "[{a,1},{b,2}]|[{a,NULL},{b,2}]|[{a,3},{b,2}]");
    IS(CALL("map_keys", map), "[a,b]|[a,b]|[a,b]");
    IS(CALL("map_values", map), "[1,2]|[NULL,2]|[3,2]");
    IS(CALL("map_entries", map), "[{a,1},{b,2}]|[{a,NULL},{b,2}]|[{a,3},{b,2}]");
    IS(CALL("element_at", map, S("a")), "[1]|[NULL]|[3]");
    IS(CALL("map_extract", map, S("z")), "[NULL]|[NULL]|[NULL]");
    IS(CALL("get_field", map, S("b")), "2|2|2");
    IS(CALL("cardinality", map), "2|2|2");
    IS(CALL("map", L(list_of(T(UTF8)), "[a,a]"), LIST("[1,2]")), QUERY_ERROR);
    IS(CALL("map", L(list_of(T(UTF8)), "[NULL]"), LIST("[1]")), QUERY_ERROR);
    IS(CALL("map", L(list_of(T(UTF8)), "[a]"), LIST("[1,2]")), QUERY_ERROR);
}

static void test_zip(void **state)
{
    (void)state;
    given(list_of(T(INT64)), "[1,2]|[]|NULL|[3]");
    given(list_of(T(UTF8)), "[a]|NULL|NULL|[b,c,d]");
    IS(CALL("arrays_zip", F(0), F(1)), "[{1,a},{2,NULL}]|[]|NULL|[{3,b},{NULL,c},{NULL,d}]");
    IS(CALL("list_zip", F(1), LIST("[7]"), F(0)), "[{a,7,1},{NULL,NULL,2}]|[{NULL,7,NULL}]|[{NULL,7,NULL}]|[{b,7,3},{c,NULL,NULL},{d,NULL,NULL}]");
    IS(CALL("arrays_zip", F(0), L(T(NULL), "NULL")), "[{1,NULL},{2,NULL}]|[]|NULL|[{3,NULL}]");
    IS(CALL("arrays_zip", F(0), I("1")), "!plan query");
}

static void test_casts(void **state)
{
    (void)state;
    given(list_of(T(INT64)), "[1,NULL]|NULL|[]|[7]");
    IS(cast(F(0), T(UTF8), false), "[1, ]|NULL|[]|[7]");
    IS(cast(F(0), list_of(T(UTF8)), false), "[1,NULL]|NULL|[]|[7]");
    IS(cast(F(0), list_of(T(INT8)), false), "[1,NULL]|NULL|[]|[7]");
    IS(cast(I("5"), list_of(T(FLOAT64)), false), "[5]|[5]|[5]|[5]");
    IS(cast(F(0), T(INT64), false), "!unsupported");
    IS(cast(L(list_of(T(UTF8)), "[x,1]"), list_of(T(INT64)), true), "[NULL,1]|[NULL,1]|[NULL,1]|[NULL,1]");
    IS(cast(L(list_of(T(UTF8)), "[x,1]"), list_of(T(INT64)), false), QUERY_ERROR);
    IS(CASE(false, true, CALL("is_null", F(0)), LIST("[0]"), F(0)), "[1,NULL]|[0]|[]|[7]");
    struct field *f = field_new("c0", T(UTF8), true);
    struct dtype *type = types[n_types++] = type_struct(&f, 1);
    field_unref(f);
    IS(cast(CALL("struct", I("5")), type, false), "{5}|{5}|{5}|{5}");
    IS(cast(CALL("struct", I("5"), I("6")), type, false), "!unsupported");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_making), TEST(test_operators), TEST(test_order), TEST(test_parts), TEST(test_searching), TEST(test_text), TEST(test_series), TEST(test_structs_and_maps), TEST(test_zip),
                                       TEST(test_casts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
