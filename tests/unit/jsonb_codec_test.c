/* JSONB: bytes and texts as the crate jsonb 0.4.4 gives them, paths, and documents cut at every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "format/jsonb/path.h"

static void to_hex(const struct dynbuf *b, char *out)
{
    for (size_t i = 0; i < b->size; i++)
        sprintf(out + 2 * i, "%02x", b->data[i]);
    out[2 * b->size] = 0;
}

static void test_text_and_bytes(void **state)
{
    static const struct { const char *text, *bytes, *printed; } samples[] = {
        {"{\"b\":1,\"a\":[true,null,\"x\"],\"b\":-300}", "40000002100000011000000150000011200000036162" "8000000340000000000000001000000178" "40fed4",
         "{\"a\":[true,null,\"x\"],\"b\":-300}"},
        {"70000", "20000000200000055000011170", "70000"},
        {" -1 ", "200000002000000240ff", "-1"},
        {"1.5", "2000000020000009603ff8000000000000", "1.5"},
        {"\"\\ud83d\\ude00\"", "2000000010000004f09f9880", "\"\xf0\x9f\x98\x80\""},
        {"1e400", "200000002000000120", "inf"},
        {"[]", "80000000", "[]"},
        {"\\n[1 , 2]\\x0C", "80000002200000022000000250015002", "[1,2]"},
        {"18446744073709551616", "20000000200000096043f0000000000000", "1.8446744073709552e19"},
        {"\"\\u0000\\u0001\\n'\\\"\\u{0041}\\udc00\"", NULL, "\"\\0\\u0001\\n'\\\"A\\\\udc00\""},
        {"\"\xcc\x80\xc2\xa0\xee\x80\x80\"", NULL, "\"\\u0300\\u00A0\\uE000\""},
        {"\"\\udb40\\udc01\"", NULL, "\"\\uDB40\\uDC01\""},
        {"{\"k\\\"q\":1}", NULL, "{\"k\"q\":1}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct dynbuf bytes, text;
        struct error err;
        char hex[1000];
        dynbuf_init(&bytes, 1 << 20);
        dynbuf_init(&text, 1 << 20);
        assert_int_equal(jsonb_parse(samples[i].text, strlen(samples[i].text), NULL, &bytes, &err), ST_OK);
        to_hex(&bytes, hex);
        if (samples[i].bytes)
            assert_string_equal(hex, samples[i].bytes);
        assert_int_equal(jsonb_print(bytes.data, bytes.size, NULL, &text, &err), ST_OK);
        assert_int_equal(dynbuf_append_byte(&text, 0, NULL), ST_OK);
        assert_string_equal((char *)text.data, samples[i].printed);
        for (size_t cut = 4; cut < bytes.size; cut++) {
            text.size = 0;
            assert_int_equal(jsonb_print(bytes.data, cut, NULL, &text, &err), ST_CORRUPT);
        }
        dynbuf_release(&bytes);
        dynbuf_release(&text);
    }
}

static void test_bad_text(void **state)
{
    static const char *const samples[] = {"",    "[1,]", "{\"a\"}", "{1:2}",     "01",       "1.",    "1e",        "-",
                                          "nul", "\"",   "\"\\x\"", "\"\\u12\"", "\"\xff\"", "[1] 2", "{\"a\":1,}"};
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct dynbuf bytes;
        struct error err = {0};
        dynbuf_init(&bytes, 1 << 20);
        assert_int_equal(jsonb_parse(samples[i], strlen(samples[i]), NULL, &bytes, &err), ST_INVALID_ARGUMENTS);
        assert_true(strstr(err.msg, "JSON") != NULL);
        dynbuf_release(&bytes);
    }
    struct dynbuf bytes;
    char deep[2000];
    memset(deep, '[', sizeof deep);
    dynbuf_init(&bytes, 1 << 20);
    assert_int_equal(jsonb_parse(deep, sizeof deep, NULL, &bytes, NULL), ST_INVALID_ARGUMENTS);
    dynbuf_release(&bytes);
}

/* What the path finds, as text; "" for nothing, "!" when it is no path. */
static const char *find(const char *document, const char *path)
{
    static char text[2000];
    struct dynbuf bytes, hits, printed;
    struct arena arena;
    struct jsonpath *p;
    arena_init(&arena, NULL);
    dynbuf_init(&bytes, 1 << 20);
    dynbuf_init(&hits, 1 << 20);
    dynbuf_init(&printed, 1 << 20);
    assert_int_equal(jsonb_parse(document, strlen(document), NULL, &bytes, NULL), ST_OK);
    int st = jsonpath_parse(&arena, path, strlen(path), &p, NULL);
    strcpy(text, "!");
    if (st == ST_OK) {
        assert_int_equal(jsonpath_select(p, bytes.data, bytes.size, NULL, &hits, NULL), ST_OK);
        if (hits.size)
            assert_int_equal(jsonb_print(hits.data, hits.size, NULL, &printed, NULL), ST_OK);
        snprintf(text, sizeof text, "%.*s", (int)printed.size, printed.data ? (char *)printed.data : "");
        bool found;
        for (size_t cut = 0; cut < bytes.size; cut++)
            assert_int_equal(jsonpath_finds(p, bytes.data, cut, NULL, &found, NULL), ST_OK);
    } else {
        assert_int_equal(st, ST_INVALID_ARGUMENTS);
    }
    arena_release(&arena);
    dynbuf_release(&bytes);
    dynbuf_release(&hits);
    dynbuf_release(&printed);
    return text;
}

static void test_paths(void **state)
{
    static const char document[] = "{\"a\":[1,2.5,\"x\",{\"p\":10.5}],\"b\":null,\"price\":10.5,\"n\":-3,\"o\":{\"k\":{\"z\":true}}}";
    static const struct { const char *path, *found; } samples[] = {
        {"$.a[0]", "1"}, {"a[0]", "1"}, {"$.a[last]", "{\"p\":10.5}"}, {"$.a[LAST - 1]", "\"x\""}, {"$.a[1 to 2]", "[2.5,\"x\"]"}, {"$.a[0,2,9]", "[1,\"x\"]"},
        {"$.a[-1]", ""}, {"$.a[last+1]", ""}, {"$.o.k.z", "true"}, {"$.o:k[\"z\"]", "true"}, {"o.*", "{\"z\":true}"}, {"$.\"price\"", "10.5"}, {"$.missing", ""},
        {"$.b", "null"}, {"$.n[*]", "-3"}, {"$.a[*].p", "10.5"}, {"$.a[*]?(@.p > 10)", "{\"p\":10.5}"}, {"$.a[*] ?(@ == \"x\" || @ < 2)", "[1,\"x\"]"},
        {"$.a[*]?(exists(@.p))", "{\"p\":10.5}"}, {"$.n == -3", "true"}, {"$.n < -5", "false"}, {"$.a[*] > 10", "true"}, {"$.n == -3 && ($.b == null || 1 == 2)", "true"},
        {"1 == $.a[0]", "true"}, {"exists($.a)", "true"}, {"$.a == 1", "false"}, {"$.price == 10.5", "!"}, {"$.n == .5", "false"}, {"$. a", "!"}, {"$.a[", "!"}, {"$.\"a", "!"}, {"$.a?(@ > )", "!"}, {"$.a ?(1)", "!"}, {"$.\"\"", "!"}, {"99e", ""}, {"99999999999999999999e", "!"}};
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        assert_string_equal(find(document, samples[i].path), samples[i].found);
    assert_string_equal(find("12", "$[*]"), "12");
    assert_string_equal(find("12", "$ == 12"), "false"); /* the document itself is no scalar inside one */
    assert_string_equal(find("[1,[2,[3]]]", "$[*][*][0]"), "3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text_and_bytes), cmocka_unit_test(test_bad_text), cmocka_unit_test(test_paths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
