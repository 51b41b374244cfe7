/* String, MySQL-like and IP functions (functions.md 1.2, 1.3, 1.10, 1.15). */
#include "expr_calc.h"

static struct plan_expr *S(const char *text)
{
    return L(T(UTF8), text);
}

static struct plan_expr *N(const char *text)
{
    return L(T(INT64), text);
}

static void test_characters(void **state)
{
    (void)state;
    given(T(UTF8), "abc|\xc3\xa9t\xc3\xa9||NULL|\xf0\x9f\x98\x80");
    IS(CALL("ascii", F(0)), "97|233|0|NULL|128512");
    IS(CALL("levenshtein", F(0), S("abd")), "1|3|3|NULL|3");
    IS(CALL("initcap", S("hello wORLD-2nd \xc3\x89T\xc3\x89")), "Hello World-2nd \xc3\x89t\xc3\xa9|Hello World-2nd \xc3\x89t\xc3\xa9|Hello World-2nd \xc3\x89t\xc3\xa9|"
                                                            "Hello World-2nd \xc3\x89t\xc3\xa9|Hello World-2nd \xc3\x89t\xc3\xa9");
    n_input = 0;
    given(T(INT64), "65|0|8364|NULL");
    IS(CALL("chr", CALL("add", F(0), N("1"))), "B|\x01|\xe2\x82\xad|NULL");
    IS(CALL("chr", N("-1")), QUERY_ERROR);
    IS(CALL("chr", N("55296")), QUERY_ERROR);
    IS(CALL("chr", N("1114112")), QUERY_ERROR);
    n_input = 0;
    given(T(INT32), "255|-276243|0|NULL");
    IS(CALL("to_hex", F(0)), "ff|fffffffffffbc8ed|0|NULL");
}

static void test_case(void **state)
{
    (void)state;
    given(T(UTF8), "stra\xc3\x9f" "e|\xce\x91\xce\xa3|\xef\xac\x83|\xc4\xb0|\xce\xa3\xce\xb1");
    IS(CALL("upper", F(0)), "STRASSE|\xce\x91\xce\xa3|FFI|\xc4\xb0|\xce\xa3\xce\x91");
    IS(CALL("lower", F(0)), "stra\xc3\x9f" "e|\xce\xb1\xcf\x82|\xef\xac\x83|i\xcc\x87|\xcf\x83\xce\xb1"); /* the sigma at the end of a word */
}

static void test_pad(void **state)
{
    (void)state;
    given(T(UTF8), "ab|\xc3\xa9|abcdef|NULL|");
    IS(CALL("lpad", F(0), N("4")), "  ab|   \xc3\xa9|abcd|NULL|    ");
    IS(CALL("lpad", F(0), N("5"), S("xy\xc3\xa9")), "xy\xc3\xa9" "ab|xy\xc3\xa9x\xc3\xa9|abcde|NULL|xy\xc3\xa9xy");
    IS(CALL("rpad", F(0), N("3"), S("-")), "ab-|\xc3\xa9--|abc|NULL|---");
    IS(CALL("rpad", F(0), N("3"), S("")), "ab|\xc3\xa9|abc|NULL|");
    IS(CALL("lpad", F(0), N("-1")), "|||NULL|");
    IS(CALL("lpad", F(0), N("2147483648")), QUERY_ERROR);
    IS(CALL("repeat", F(0), N("2")), "abab|\xc3\xa9\xc3\xa9|abcdefabcdef|NULL|");
    IS(CALL("repeat", F(0), N("0")), "|||NULL|");
    IS(CALL("repeat", F(0), N("9223372036854775807")), QUERY_ERROR);
}

static void test_split(void **state)
{
    (void)state;
    given(T(UTF8), "a.b.c|a|..|NULL|");
    IS(CALL("split_part", F(0), S("."), N("1")), "a|a||NULL|");
    IS(CALL("split_part", F(0), S("."), N("3")), "c|||NULL|");
    IS(CALL("split_part", F(0), S("."), N("-1")), "c|a||NULL|");
    IS(CALL("split_part", F(0), S("."), N("-3")), "a|||NULL|");
    IS(CALL("split_part", F(0), S(""), N("-1")), "a.b.c|a|..|NULL|");
    IS(CALL("split_part", F(0), S(""), N("2")), "|||NULL|");
    IS(CALL("split_part", F(0), S("."), N("0")), QUERY_ERROR);
    IS(CALL("substr_index", F(0), S("."), N("2")), "a.b|a|.|NULL|");
    IS(CALL("substr_index", F(0), S("."), N("-1")), "c|a||NULL|");
    IS(CALL("substr_index", F(0), S("."), N("-9")), "a.b.c|a|..|NULL|");
    IS(CALL("substr_index", F(0), S("."), N("0")), "|||NULL|");
    IS(CALL("find_in_set", S("b"), S("a,b,c")), "2|2|2|2|2");
    IS(CALL("find_in_set", F(0), S("x,a,a.b.c,")), "3|2|0|NULL|4");
    IS(CALL("find_in_set", S(""), F(0)), "0|0|0|NULL|1");
    IS(CALL("concat_ws", S("-"), F(0), S("z")), "a.b.c-z|a-z|..-z|z|-z");
    IS(CALL("concat_ws", S("NULL"), F(0), S("z")), "NULL|NULL|NULL|NULL|NULL");
    IS(CALL("concat_ws", F(0)), "|||NULL|"); /* what is left of NULL literals */
}

static void test_map(void **state)
{
    (void)state;
    given(T(UTF8), "12345|e\xcc\x81" "1|NULL|");
    IS(CALL("translate", F(0), S("143"), S("ax")), "a2x5|e\xcc\x81" "a|NULL|");
    IS(CALL("translate", F(0), S("e\xcc\x81"), S("E")), "12345|E1|NULL|");
    IS(CALL("overlay", F(0), S("XX"), N("2")), "1XX45|eXX|NULL|XX");
    IS(CALL("overlay", F(0), S("XX"), N("2"), N("1")), "1XX345|eXX1|NULL|XX");
    IS(CALL("overlay", F(0), S("-"), N("-5"), N("2")), "-12345|-e\xcc\x81" "1|NULL|-");
    IS(CALL("overlay", F(0), S("-"), N("9223372036854775807"), N("5")), "-|-|NULL|-");
}

static void test_mysql(void **state)
{
    (void)state;
    given(T(INT64), "1|2|3|NULL|0");
    IS(CALL("elt", F(0), S("a"), S("b")), "a|b|NULL|NULL|NULL");
    IS(CALL("field", F(0), N("2"), N("1")), "2|1|0|0|0");
    IS(CALL("space", F(0)), " |  |   |NULL|");
    IS(CALL("space", N("1048577")), QUERY_ERROR);
    IS(CALL("locate", S("b"), S("abcb"), F(0)), "2|2|4|NULL|0");
    IS(CALL("locate", S(""), S("ab"), F(0)), "1|2|3|NULL|0");
    IS(CALL("locate", S("\xc3\xa9"), S("e\xc3\xa9")), "2|2|2|2|2");
    IS(CALL("insert", S("Quadratic"), F(0), N("2"), S("What")), "Whatadratic|QWhatdratic|QuWhatratic|NULL|Quadratic");
    IS(CALL("insert", S("ab"), N("2"), N("-1"), S("-")), "a-b|a-b|a-b|a-b|a-b");
    IS(CALL("format", CALL("multiply", F(0), N("-1234567")), N("2")), "-1,234,567.00|-2,469,134.00|-3,703,701.00|NULL|0.00");
    n_input = 0;
    given(T(FLOAT64), "1234.5678|-0.5|nan|inf|-999.995");
    IS(CALL("format", F(0), N("2")), "1,234.57|-0.50|NaN|Infinity|-1,000.00");
}

static void test_ip(void **state)
{
    (void)state;
    given(T(UTF8), "192.168.1.0|10.0.0.0|NULL|1.2.3.4");
    IS(CALL("ipv4_string_to_num", F(0)), "3232235776|167772160|NULL|16909060");
    IS(CALL("ipv4_num_to_string", CALL("ipv4_string_to_num", F(0))), "192.168.1.0|10.0.0.0|NULL|1.2.3.4");
    IS(CALL("ipv4_to_cidr", F(0)), "192.168.1.0/24|10.0.0.0/8|NULL|1.2.3.4/32");
    IS(CALL("ipv4_to_cidr", F(0), N("12")), "192.160.0.0/12|10.0.0.0/12|NULL|1.0.0.0/12");
    IS(CALL("ipv4_to_cidr", S("172.16")), "172.16.0.0/16|172.16.0.0/16|172.16.0.0/16|172.16.0.0/16");
    IS(CALL("ipv4_in_range", F(0), S("192.168.0.0/16")), "true|false|NULL|false");
    IS(CALL("ipv4_in_range", F(0), S("0.0.0.0/0")), "true|true|NULL|true");
    IS(CALL("ipv4_in_range", F(0), S("1.2.3.4/33")), QUERY_ERROR);
    IS(CALL("ipv4_in_range", F(0), S("1.2.3.4/+3")), QUERY_ERROR);
    IS(CALL("ipv4_string_to_num", S("01.2.3.4")), QUERY_ERROR);
    IS(CALL("ipv4_num_to_string", N("4294967296")), QUERY_ERROR);
    n_input = 0;
    given(T(UTF8), "2001:db8::|fe80::1|::1|2001:0db8:0:1::|a:b:c:100::|::|NULL");
    IS(CALL("ipv6_to_cidr", F(0)), "2001:db8::/32|fe80::/16|::1/128|2001:db8::/32|a:b:c:100::/56|::/128|NULL");
    IS(CALL("ipv6_to_cidr", F(0), N("16")), "2001::/16|fe80::/16|::/16|2001::/16|a::/16|::/16|NULL");
    IS(CALL("ipv6_in_range", F(0), S("2001:db8::/32")), "true|false|false|true|false|false|NULL");
    IS(CALL("ipv6_to_cidr", S("zz")), QUERY_ERROR);
    n_input = 0;
    given(T(UTF8), "20010db800000000000000000000ff01|00000000000000000000ffffc0a80001|00010000000000000001000000000000|NULL");
    IS(CALL("ipv6_num_to_string", F(0)), "2001:db8::ff01|::ffff:192.168.0.1|1::1:0:0:0|NULL");
    IS(CALL("ipv6_num_to_string", S("20")), QUERY_ERROR);
    IS(CALL("octet_length", CALL("chr", N("65"))), "1|1|1|1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_characters), TEST(test_case), TEST(test_pad), TEST(test_split), TEST(test_map), TEST(test_mysql), TEST(test_ip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
