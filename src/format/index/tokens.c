#include "format/index/tokens.h"

static bool in_ascii_word(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10 || c == '_';
}

/* Whether the character at text[at] is part of a word, and its size. */
static bool in_word(const uint8_t *text, size_t size, size_t at, size_t *ret_size)
{
    int32_t c;
    *ret_size = 1;
    if (text[at] < 0x80)
        return in_ascii_word(text[at]);
    *ret_size = unicode_read(text + at, size - at, &c);
    return *ret_size > 1 && unicode_is_alphanumeric(c);
}

bool token_next(const uint8_t *text, size_t size, size_t *pos, size_t *ret_start, size_t *ret_size)
{
    size_t start = *pos, n;
    while (start < size && !in_word(text, size, start, &n))
        start += n;
    if (start >= size)
        return false;
    size_t end = start + n;
    while (end < size && in_word(text, size, end, &n))
        end += n;
    *pos = end;
    *ret_start = start;
    *ret_size = end - start;
    return true;
}

bool token_lower(const uint8_t *word, size_t size, uint8_t *out, size_t *ret_size)
{
    for (size_t i = 0, n; i < size; i += n) {
        int32_t c;
        n = unicode_read(word + i, size - i, &c);
        if (!unicode_case_is_known(c))
            return false;
    }
    *ret_size = unicode_lower(word, size, out);
    return true;
}
