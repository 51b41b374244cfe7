/* Words of texts for full-text indexes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "format/index/tokens.h"

/* The words, each with a '|' behind it. */
static void join(const char *text, size_t size, char *out)
{
    const uint8_t *p = (const uint8_t *)text;
    for (size_t pos = 0, start, n; token_next(p, size, &pos, &start, &n); *out++ = '|') {
        assert_true(n > 0 && start + n == pos && pos <= size);
        memcpy(out, text + start, n);
        out += n;
    }
    *out = 0;
}

static void test_words(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", ""},
        {" ", ""},
        {"--- !?", ""},
        {"a", "a|"},
        {"_", "_|"},
        {"Hello, world!!! This is a----++   test012_345+67890", "Hello|world|This|is|a|test012_345|67890|"},
        {"x=1;y=-2.5", "x|1|y|2|5|"},
        {" lead and trail ", "lead|and|trail|"},
        {"a\tb\nc\rd\x7f"
         "e",
         "a|b|c|d|e|"},
        {"__a__ b_", "__a__|b_|"},
        {"don't", "don|t|"},
        {"/api/v1?id=0x1F", "api|v1|id|0x1F|"},
        {"caf\u00e9, na\u00efve \u4f60\u597d\uff0c\u4e16\u754c!", "caf\u00e9|na\u00efve|\u4f60\u597d|\u4e16\u754c|"},
        {"e\u0301t\u00e9 \u0915\u093f\u0924\u093e\u092c", "e|t\u00e9|\u0915\u093f\u0924\u093e\u092c|"}, /* an accent is no letter, a vowel sign is */
        {"\u24b6b \u00b2\u00bd\u2167 \u2460_\u0663", "\u24b6b|\u00b2\u00bd\u2167|\u2460_\u0663|"},      /* letters in circles, all numbers */
        {"a\xff\xfe"
         "b",
         "a|b|"},
    };
    (void)state;
    char got[100];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        join(cases[i].text, strlen(cases[i].text), got);
        assert_string_equal(got, cases[i].words);
    }
    join("a\0b", 3, got); /* a zero is a character that is in no word */
    assert_string_equal(got, "a|b|");
    join("abcdef", 3, got);
    assert_string_equal(got, "abc|");
}

/* Which of the characters are in words, and what becomes of each in lower case. */
static void test_characters(void **state)
{
    static const char word[] = "_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char lower[] = "_0123456789abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
    (void)state;
    for (int c = 0; c < 256; c++) {
        uint8_t text = (uint8_t)c, low[UNICODE_CASE_MAX];
        const char *at = memchr(word, c, sizeof word - 1);
        size_t pos = 0, start, n;
        assert_int_equal(token_next(&text, 1, &pos, &start, &n), at != NULL);
        assert_true(token_lower(&text, 1, low, &n));
        assert_int_equal(n, 1);
        assert_int_equal(low[0], at ? (uint8_t)lower[at - word] : text);
        assert_int_equal(text_is_ascii(&text, 1), c < 128);
    }
}

static void test_lower(void **state)
{
    static const char *const cases[][2] = {
        {"\u00c9T\u00c9_1", "\u00e9t\u00e9_1"},
        {"\u0130x", "i\u0307x"},                                  /* the one character that becomes two */
        {"\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c2"}, /* a sigma at the end of a word */
        {"\u03a3\u03a3_", "\u03c3\u03c2_"},
        {"\u03a3", "\u03c3"},
        {"\u1e9e\u2126", "\u00df\u03c9"},
        {"\u01c5", "\u01c6"},
    };
    uint8_t out[100];
    size_t n;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(token_lower((const uint8_t *)cases[i][0], strlen(cases[i][0]), out, &n));
        assert_int_equal(n, strlen(cases[i][1]));
        assert_memory_equal(out, cases[i][1], n);
    }
    assert_false(token_lower((const uint8_t *)"a\U00010d50", 5, out, &n)); /* a letter of Unicode 16, whose small form our tables do not know */
}

static void test_ascii(void **state)
{
    char text[40];
    (void)state;
    memset(text, 'x', sizeof text);
    assert_true(text_is_ascii(NULL, 0));
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)0x80;
        for (size_t n = 0; n <= sizeof text; n++)
            assert_int_equal(text_is_ascii(text, n), n <= i);
        text[i] = 'x';
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_characters), cmocka_unit_test(test_lower),
                                       cmocka_unit_test(test_ascii)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
