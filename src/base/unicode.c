#include "base/unicode.h"

#include <string.h>
#include <utf8proc.h>

int64_t unicode_chars(const uint8_t *p, size_t n)
{
    int64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += (p[i] & 0xc0) != 0x80;
    return count;
}

size_t unicode_skip(const uint8_t *p, size_t n, int64_t chars)
{
    size_t i = 0;
    while (i < n && chars-- > 0)
        for (i++; i < n && (p[i] & 0xc0) == 0x80; i++)
            ;
    return i;
}

size_t unicode_last(const uint8_t *p, size_t n)
{
    size_t at = n - 1;
    while (at > 0 && (p[at] & 0xc0) == 0x80)
        at--;
    return at;
}

size_t unicode_read(const uint8_t *p, size_t n, int32_t *ret_char)
{
    utf8proc_int32_t c;
    *ret_char = *p;
    if (*p < 0x80)
        return 1;
    utf8proc_ssize_t used = utf8proc_iterate(p, (utf8proc_ssize_t)n, &c);
    if (used <= 0)
        return 1;
    *ret_char = c;
    return (size_t)used;
}

size_t unicode_write(int32_t c, uint8_t *out)
{
    return (size_t)utf8proc_encode_char(c, out);
}

size_t unicode_grapheme(const uint8_t *p, size_t n)
{
    int32_t before, c, state = 0;
    if (n == 0)
        return 0;
    size_t at = unicode_read(p, n, &before);
    while (at < n) {
        size_t used = unicode_read(p + at, n - at, &c);
        if (utf8proc_grapheme_break_stateful(before, c, &state))
            break;
        before = c;
        at += used;
    }
    return at;
}

bool unicode_set_has(const struct unicode_set *s, int32_t c)
{
    uint32_t low = 0, high = s->n; /* how many bounds are c or below */
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (s->bounds[middle] <= (uint32_t)c)
            low = middle + 1;
        else
            high = middle;
    }
    return low & 1;
}

bool unicode_is_alphanumeric(int32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return unicode_set_has(&unicode_alphanumeric, c);
}

bool unicode_is_han(int32_t c)
{
    return unicode_set_has(&unicode_han, c);
}

bool unicode_case_is_known(int32_t c)
{
    return c < 0x80 || utf8proc_category(c) != UTF8PROC_CATEGORY_CN;
}

/* Characters whose upper case is more than one character (Unicode's SpecialCasing, the rows without a condition), ascending. */
static const struct {
    int32_t from;
    uint16_t to[3];
} long_uppers[] = {
    {0xdf, {0x53, 0x53}},
    {0x149, {0x2bc, 0x4e}},
    {0x1f0, {0x4a, 0x30c}},
    {0x390, {0x399, 0x308, 0x301}},
    {0x3b0, {0x3a5, 0x308, 0x301}},
    {0x587, {0x535, 0x552}},
    {0x1e96, {0x48, 0x331}},
    {0x1e97, {0x54, 0x308}},
    {0x1e98, {0x57, 0x30a}},
    {0x1e99, {0x59, 0x30a}},
    {0x1e9a, {0x41, 0x2be}},
    {0x1f50, {0x3a5, 0x313}},
    {0x1f52, {0x3a5, 0x313, 0x300}},
    {0x1f54, {0x3a5, 0x313, 0x301}},
    {0x1f56, {0x3a5, 0x313, 0x342}},
    {0x1f80, {0x1f08, 0x399}},
    {0x1f81, {0x1f09, 0x399}},
    {0x1f82, {0x1f0a, 0x399}},
    {0x1f83, {0x1f0b, 0x399}},
    {0x1f84, {0x1f0c, 0x399}},
    {0x1f85, {0x1f0d, 0x399}},
    {0x1f86, {0x1f0e, 0x399}},
    {0x1f87, {0x1f0f, 0x399}},
    {0x1f88, {0x1f08, 0x399}},
    {0x1f89, {0x1f09, 0x399}},
    {0x1f8a, {0x1f0a, 0x399}},
    {0x1f8b, {0x1f0b, 0x399}},
    {0x1f8c, {0x1f0c, 0x399}},
    {0x1f8d, {0x1f0d, 0x399}},
    {0x1f8e, {0x1f0e, 0x399}},
    {0x1f8f, {0x1f0f, 0x399}},
    {0x1f90, {0x1f28, 0x399}},
    {0x1f91, {0x1f29, 0x399}},
    {0x1f92, {0x1f2a, 0x399}},
    {0x1f93, {0x1f2b, 0x399}},
    {0x1f94, {0x1f2c, 0x399}},
    {0x1f95, {0x1f2d, 0x399}},
    {0x1f96, {0x1f2e, 0x399}},
    {0x1f97, {0x1f2f, 0x399}},
    {0x1f98, {0x1f28, 0x399}},
    {0x1f99, {0x1f29, 0x399}},
    {0x1f9a, {0x1f2a, 0x399}},
    {0x1f9b, {0x1f2b, 0x399}},
    {0x1f9c, {0x1f2c, 0x399}},
    {0x1f9d, {0x1f2d, 0x399}},
    {0x1f9e, {0x1f2e, 0x399}},
    {0x1f9f, {0x1f2f, 0x399}},
    {0x1fa0, {0x1f68, 0x399}},
    {0x1fa1, {0x1f69, 0x399}},
    {0x1fa2, {0x1f6a, 0x399}},
    {0x1fa3, {0x1f6b, 0x399}},
    {0x1fa4, {0x1f6c, 0x399}},
    {0x1fa5, {0x1f6d, 0x399}},
    {0x1fa6, {0x1f6e, 0x399}},
    {0x1fa7, {0x1f6f, 0x399}},
    {0x1fa8, {0x1f68, 0x399}},
    {0x1fa9, {0x1f69, 0x399}},
    {0x1faa, {0x1f6a, 0x399}},
    {0x1fab, {0x1f6b, 0x399}},
    {0x1fac, {0x1f6c, 0x399}},
    {0x1fad, {0x1f6d, 0x399}},
    {0x1fae, {0x1f6e, 0x399}},
    {0x1faf, {0x1f6f, 0x399}},
    {0x1fb2, {0x1fba, 0x399}},
    {0x1fb3, {0x391, 0x399}},
    {0x1fb4, {0x386, 0x399}},
    {0x1fb6, {0x391, 0x342}},
    {0x1fb7, {0x391, 0x342, 0x399}},
    {0x1fbc, {0x391, 0x399}},
    {0x1fc2, {0x1fca, 0x399}},
    {0x1fc3, {0x397, 0x399}},
    {0x1fc4, {0x389, 0x399}},
    {0x1fc6, {0x397, 0x342}},
    {0x1fc7, {0x397, 0x342, 0x399}},
    {0x1fcc, {0x397, 0x399}},
    {0x1fd2, {0x399, 0x308, 0x300}},
    {0x1fd3, {0x399, 0x308, 0x301}},
    {0x1fd6, {0x399, 0x342}},
    {0x1fd7, {0x399, 0x308, 0x342}},
    {0x1fe2, {0x3a5, 0x308, 0x300}},
    {0x1fe3, {0x3a5, 0x308, 0x301}},
    {0x1fe4, {0x3a1, 0x313}},
    {0x1fe6, {0x3a5, 0x342}},
    {0x1fe7, {0x3a5, 0x308, 0x342}},
    {0x1ff2, {0x1ffa, 0x399}},
    {0x1ff3, {0x3a9, 0x399}},
    {0x1ff4, {0x38f, 0x399}},
    {0x1ff6, {0x3a9, 0x342}},
    {0x1ff7, {0x3a9, 0x342, 0x399}},
    {0x1ffc, {0x3a9, 0x399}},
    {0xfb00, {0x46, 0x46}},
    {0xfb01, {0x46, 0x49}},
    {0xfb02, {0x46, 0x4c}},
    {0xfb03, {0x46, 0x46, 0x49}},
    {0xfb04, {0x46, 0x46, 0x4c}},
    {0xfb05, {0x53, 0x54}},
    {0xfb06, {0x53, 0x54}},
    {0xfb13, {0x544, 0x546}},
    {0xfb14, {0x544, 0x535}},
    {0xfb15, {0x544, 0x53b}},
    {0xfb16, {0x54e, 0x546}},
    {0xfb17, {0x544, 0x53d}},
};

size_t unicode_upper_char(int32_t c, uint8_t *out)
{
    size_t low = 0, high = sizeof long_uppers / sizeof *long_uppers, n = 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (long_uppers[middle].from < c)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == sizeof long_uppers / sizeof *long_uppers || long_uppers[low].from != c)
        return unicode_write(utf8proc_toupper(c), out);
    for (int i = 0; i < 3 && long_uppers[low].to[i]; i++)
        n += unicode_write(long_uppers[low].to[i], out + n);
    return n;
}

size_t unicode_lower_char(int32_t c, uint8_t *out)
{
    if (c == 0x130) { /* the capital I with a dot keeps its dot */
        memcpy(out, "i\xcc\x87", 3);
        return 3;
    }
    return unicode_write(utf8proc_tolower(c), out);
}

/* Whether the sigma at [at, at + size) ends a word: something cased before it, nothing cased behind. */
static bool is_final(const uint8_t *p, size_t n, size_t at, size_t size)
{
    bool before = false;
    int32_t c;
    for (size_t i = at; i > 0;) {
        i = unicode_last(p, i);
        unicode_read(p + i, n - i, &c);
        if (unicode_set_has(&unicode_case_ignorable, c))
            continue;
        before = unicode_set_has(&unicode_cased, c);
        break;
    }
    for (size_t i = at + size; before && i < n;) {
        i += unicode_read(p + i, n - i, &c);
        if (!unicode_set_has(&unicode_case_ignorable, c))
            return !unicode_set_has(&unicode_cased, c);
    }
    return before;
}

size_t unicode_upper(const uint8_t *p, size_t n, uint8_t *out)
{
    uint8_t *start = out;
    for (size_t i = 0; i < n;) {
        int32_t c;
        if (p[i] < 0x80) {
            uint8_t b = p[i++];
            *out++ = b >= 'a' && b <= 'z' ? b - 32 : b;
            continue;
        }
        size_t used = unicode_read(p + i, n - i, &c);
        if (used == 1)
            *out++ = p[i];
        else
            out += unicode_upper_char(c, out);
        i += used;
    }
    return (size_t)(out - start);
}

size_t unicode_lower(const uint8_t *p, size_t n, uint8_t *out)
{
    uint8_t *start = out;
    for (size_t i = 0; i < n;) {
        int32_t c;
        if (p[i] < 0x80) {
            uint8_t b = p[i++];
            *out++ = b >= 'A' && b <= 'Z' ? b + 32 : b;
            continue;
        }
        size_t used = unicode_read(p + i, n - i, &c);
        if (used == 1)
            *out++ = p[i];
        else if (c == 0x3a3)
            out += unicode_write(is_final(p, n, i, used) ? 0x3c2 : 0x3c3, out);
        else
            out += unicode_lower_char(c, out);
        i += used;
    }
    return (size_t)(out - start);
}
