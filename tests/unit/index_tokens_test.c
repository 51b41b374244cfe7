/* Words of ASCII texts for full-text indexes. */
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
        uint8_t text = (uint8_t)c, low;
        const char *at = memchr(word, c, sizeof word - 1);
        size_t pos = 0, start, n;
        assert_int_equal(token_next(&text, 1, &pos, &start, &n), at != NULL);
        token_lower(&text, 1, &low);
        assert_int_equal(low, at ? (uint8_t)lower[at - word] : text);
        assert_int_equal(text_is_ascii(&text, 1), c < 128);
    }
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_characters), cmocka_unit_test(test_ascii)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
