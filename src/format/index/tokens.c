#include "format/index/tokens.h"

static bool in_word(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10 || c == '_';
}

bool token_next(const uint8_t *text, size_t size, size_t *pos, size_t *ret_start, size_t *ret_size)
{
    size_t start = *pos;
    while (start < size && !in_word(text[start]))
        start++;
    if (start >= size)
        return false;
    size_t end = start + 1;
    while (end < size && in_word(text[end]))
        end++;
    *pos = end;
    *ret_start = start;
    *ret_size = end - start;
    return true;
}

void token_lower(const uint8_t *text, size_t size, uint8_t *out)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(text[i] + ((uint8_t)(text[i] - 'A') < 26 ? 'a' - 'A' : 0));
}
