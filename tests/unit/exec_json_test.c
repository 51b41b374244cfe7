/* JSON functions on JSONB, on text and on structs. */
#include "expr_calc.h"

/* {"a":1,"b":"x","c":[1,2]} | [1] | "12" | 1.5 | NULL | {"a":true} (text) | nonsense */
static const char documents[] = "0x40000003100000011000000110000001200000021000000150000010616263" "500178" "8000000220000002200000025001" "5002|0x80000001200000025001|"
                                "0x20000000100000023132|0x2000000020000009603ff8000000000000|NULL|{\"a\":true}|nonsense";

static void test_parse_and_print(void **state)
{
    (void)state;
    given(T(UTF8), "{\"b\":[1, 2.5]}|\"\xc3\xa9\"|NULL");
    IS(CALL("json_to_string", CALL("parse_json", F(0))), "{\"b\":[1,2.5]}|\"\xc3\xa9\"|NULL");
    n_input = 0;
    given(T(UTF8), "1|{");
    IS(CALL("parse_json", F(0)), QUERY_ERROR);
    n_input = 0;
    given(T(BINARY), documents);
    IS(CALL("json_to_string", F(0)), QUERY_ERROR);
    n_input = 0;
    given(T(BINARY), "0x|NULL|{\"a\": 1}");
    IS(CALL("json_to_string", F(0)), "|NULL|{\"a\":1}");
}

static void test_getters(void **state)
{
    (void)state;
    given(T(BINARY), documents);
    IS(CALL("json_get_int", F(0), L(T(UTF8), "$.a")), "1|NULL|NULL|NULL|NULL|1|NULL");
    IS(CALL("json_get_int", F(0), L(T(UTF8), "$")), "NULL|NULL|12|NULL|NULL|NULL|NULL");
    IS(CALL("json_get_float", F(0), L(T(UTF8), "$")), "NULL|NULL|12|1.5|NULL|NULL|NULL");
    IS(CALL("json_get_float", F(0), L(T(UTF8), "[0]")), "NULL|1|NULL|NULL|NULL|NULL|NULL");
    IS(CALL("json_get_bool", F(0), L(T(UTF8), "a")), "NULL|NULL|NULL|NULL|NULL|true|NULL");
    IS(CALL("json_get_string", F(0), L(T(UTF8), "b")), "x|NULL|NULL|NULL|NULL|NULL|NULL");
    IS(CALL("json_get_string", F(0), L(T(UTF8), "$.a")), "1|NULL|NULL|NULL|NULL|true|NULL");
    IS(CALL("json_get_string", F(0), L(T(UTF8), "$.c")), "NULL|NULL|NULL|NULL|NULL|NULL|NULL");
    IS(CALL("json_get_int", F(0), L(T(UTF8), "no [ path")), "NULL|NULL|NULL|NULL|NULL|NULL|NULL");
    IS(CALL("json_get_int", F(0), L(T(UTF8), "NULL")), "NULL|NULL|NULL|NULL|NULL|NULL|NULL");
    IS(CALL("json_get", F(0), L(T(UTF8), "a"), L(T(INT64), "NULL")), "1|NULL|NULL|NULL|NULL|1|NULL");
    IS(CALL("json_get", F(0), L(T(UTF8), "b"), L(T(UTF8), "NULL")), "x|NULL|NULL|NULL|NULL|NULL|NULL");
    IS(CALL("json_get", F(0), L(T(UTF8), "b"), L(T(INT32), "NULL")), QUERY_ERROR);
    IS(CALL("json_get", F(0), L(T(UTF8), "b")), QUERY_ERROR);
    IS(CALL("json_to_string", CALL("json_get_object", F(0), L(T(UTF8), "$"))), "{\"a\":1,\"b\":\"x\",\"c\":[1,2]}|NULL|NULL|NULL|NULL|{\"a\":true}|NULL");
    IS(CALL("json_get_object", F(0), L(T(UTF8), "no [ path")), QUERY_ERROR);
    IS(CALL("json_get_int", L(T(INT64), "1"), L(T(UTF8), "a")), "!plan query");
}

static void test_tests(void **state)
{
    (void)state;
    given(T(BINARY), documents);
    IS(CALL("json_is_object", F(0)), "true|false|false|false|NULL|true|false");
    IS(CALL("json_is_array", F(0)), "false|true|false|false|NULL|false|false");
    IS(CALL("json_is_string", F(0)), "false|false|true|false|NULL|false|false");
    IS(CALL("json_is_float", F(0)), "false|false|false|true|NULL|false|false");
    IS(CALL("json_is_int", F(0)), "false|false|false|false|NULL|false|false");
    IS(CALL("json_is_null", F(0)), "false|false|false|false|NULL|false|false");
    IS(CALL("json_path_exists", F(0), L(T(UTF8), "$.a")), "true|false|false|false|NULL|true|false");
    IS(CALL("json_path_exists", F(0), L(T(UTF8), "$[")), QUERY_ERROR);
    IS(CALL("json_path_exists", F(0), L(T(NULL), "NULL")), "NULL|NULL|NULL|NULL|NULL|NULL|NULL");
    IS(CALL("json_path_match", F(0), L(T(UTF8), "$.a == 1")), "true|false|false|false|NULL|false|NULL");
    IS(CALL("json_path_match", F(0), L(T(UTF8), "$.a")), "NULL|NULL|NULL|NULL|NULL|NULL|NULL");
    n_input = 0;
    given(T(BINARY), "0x2000000000000000|0x2000000040000000|0x200000002000000240ff");
    IS(CALL("json_is_null", F(0)), "true|false|false");
    IS(CALL("json_is_bool", F(0)), "false|true|false");
    IS(CALL("json_is_int", F(0)), "false|false|true");
    IS(CALL("json_path_match", F(0), L(T(UTF8), "1 == 1")), "NULL|true|true");
}

static void test_structs(void **state)
{
    struct field *members[] = {field_new("a.b", T(INT64), true), field_new("s", T(UTF8), true), field_new("_raw", T(UTF8), true)};
    (void)state;
    struct dtype *type = types[n_types++] = type_struct(members, 3);
    for (int i = 0; i < 3; i++)
        field_unref(members[i]);
    given(type, "{7,x,NULL}|{NULL,y,NULL}|NULL");
    IS(CALL("json_get_int", F(0), L(T(UTF8), "$.a.b")), "7|NULL|NULL");
    IS(CALL("json_get_string", F(0), L(T(UTF8), "s")), "x|y|NULL");
    IS(CALL("json_get_string", F(0), L(T(UTF8), "a.b")), "7||NULL");
    IS(CALL("json_get_float", F(0), L(T(UTF8), "a.b")), "NULL|NULL|NULL");
    IS(CALL("json_get_string", F(0), L(T(UTF8), "other")), "NULL|NULL|NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_parse_and_print), TEST(test_getters), TEST(test_tests), TEST(test_structs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
