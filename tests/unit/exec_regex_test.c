/* Regular expressions (functions.md 1.4, 1.10), digests and encodings (1.7). */
#include "expr_calc.h"

static struct plan_expr *S(const char *text)
{
    return L(T(UTF8), text);
}

static struct plan_expr *N(const char *text)
{
    return L(T(INT64), text);
}

static void test_regex(void **state)
{
    (void)state;
    given(T(UTF8), "foobar|FOO|\xc3\xa9t\xc3\xa9 9||NULL");
    IS(CALL("regexp_like", F(0), S("o{2}")), "true|false|false|false|NULL");
    IS(CALL("regexp_like", F(0), S("^foo"), S("i")), "true|true|false|false|NULL");
    IS(CALL("regexp_like", F(0), S("o"), S("g")), QUERY_ERROR);
    IS(CALL("regexp_like", F(0), S("^\\w+ \\d$")), "false|false|true|false|NULL"); /* Unicode letters */
    IS(CALL("regexp_like", F(0), S("(")), QUERY_ERROR);
    IS(CALL("regexp_like", F(0), S("\\C")), QUERY_ERROR);
    IS(CALL("regexp_like", F(0), S("f o # a comment"), S("x")), "true|false|false|false|NULL");
    IS(CALL("regexp_count", F(0), S("o")), "2|0|0|0|0");
    IS(CALL("regexp_count", F(0), S("o"), N("3")), "1|0|0|0|0");
    IS(CALL("regexp_count", F(0), S("x*")), "7|4|6|0|0"); /* empty matches */
    IS(CALL("regexp_count", F(0), S("o"), N("0")), QUERY_ERROR);
    IS(CALL("regexp_instr", F(0), S("[o9]")), "2|0|5|0|NULL");
    IS(CALL("regexp_instr", F(0), S("o"), N("1"), N("2")), "3|0|0|0|NULL");
    IS(CALL("regexp_instr", F(0), S("(f)(o)"), N("1"), N("1"), S("i"), N("2")), "2|2|0|0|NULL");
    IS(CALL("regexp_extract", F(0), S("[a-z]{3,}r")), "foobar|NULL|NULL|NULL|NULL");
}

static void test_replace(void **state)
{
    (void)state;
    given(T(UTF8), "foobarbaz|b|NULL");
    IS(CALL("regexp_replace", F(0), S("b(..)"), S("X\\1Y")), "fooXarYbaz|b|NULL");
    IS(CALL("regexp_replace", F(0), S("b(..)"), S("X$1Y"), S("g")), "fooXX|b|NULL");
    IS(CALL("regexp_replace", F(0), S("b(..)"), S("X${1}Y"), S("g")), "fooXarYXazY|b|NULL");
    IS(CALL("regexp_replace", F(0), S("B(?<rest>..)"), S("[$rest$$]"), S("gi")), "foo[ar$][az$]|b|NULL");
    IS(CALL("regexp_replace", F(0), S("x*"), S("-"), S("g")), "-f-o-o-b-a-r-b-a-z-|-b-|NULL");
    IS(CALL("regexp_replace", F(0), S("b"), S("$9\\")), "foo\\arbaz|\\|NULL");
    IS(CALL("regexp_match", F(0), S("b(.)(.)")), "[a,r]|NULL|NULL");
    IS(CALL("regexp_match", F(0), S("(x)?b(z)?")), "[]|[]|NULL");
    IS(CALL("regexp_match", F(0), S("b")), "[b]|[b]|NULL");
    IS(CALL("regexp_match", F(0), S("")), "[]|[]|NULL");
}

static void test_digests(void **state)
{
    (void)state;
    given(T(UTF8), "abc||NULL");
    IS(CALL("md5", F(0)), "900150983cd24fb0d6963f7d28e17f72|d41d8cd98f00b204e9800998ecf8427e|NULL");
    IS(CALL("encode", CALL("sha224", F(0)), S("hex")),
       "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7|d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f|NULL");
    IS(CALL("encode", CALL("sha256", F(0)), S("base64")), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0|47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU|NULL");
    IS(CALL("encode", CALL("digest", F(0), S("blake3")), S("hex")),
       "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85|af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262|NULL");
    IS(CALL("encode", CALL("digest", F(0), S("blake2s")), S("hex")),
       "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982|69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9|NULL");
    IS(CALL("digest", F(0), S("crc32")), QUERY_ERROR);
    IS(CALL("encode", F(0), S("base64pad")), "YWJj||NULL");
    IS(CALL("encode", S("a"), S("base64pad")), "YQ==|YQ==|YQ==");
    IS(CALL("encode", CALL("decode", S("YQ"), S("base64")), S("hex")), "61|61|61");
    IS(CALL("encode", CALL("decode", S("YWI="), S("base64")), S("hex")), "6162|6162|6162");
    IS(CALL("decode", S("6"), S("hex")), QUERY_ERROR);
    IS(CALL("decode", S("Y"), S("base64")), QUERY_ERROR);
    IS(CALL("decode", S("YR"), S("base64")), QUERY_ERROR); /* bits behind the end */
    IS(CALL("encode", F(0), S("base32")), QUERY_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_regex), TEST(test_replace), TEST(test_digests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
