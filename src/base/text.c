/* See text.h. Durations follow the humantime format, sizes the peer's ReadableSize. */
#include "base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

size_t utf8_length(const uint8_t *p, size_t room)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    size_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (!n || room < n)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

bool utf8_valid(const void *text, size_t size)
{
    const uint8_t *p = text, *end = p + size;
    while (p < end) {
        if (end - p >= 8 && !(load_le64(p) & 0x8080808080808080u)) {
            p += 8;
            continue;
        }
        size_t n = utf8_length(p, (size_t)(end - p));
        if (!n)
            return false;
        p += n;
    }
    return true;
}

size_t utf8_find_error(const void *text, size_t size, size_t *ret_bytes)
{
    const uint8_t *p = text;
    size_t at = 0, n;
    while (at < size && (n = utf8_length(p + at, size - at)))
        at += n;
    *ret_bytes = 0;
    /* A beginning of k bytes is good when some tail completes it: of each second byte's range both ends are tried. */
    for (size_t k = 1; at + k <= size && k <= 4; k++) {
        uint8_t low[4] = {0}, high[4];
        memset(low, 0x80, sizeof low);
        memset(high, 0xbf, sizeof high);
        memcpy(low, p + at, k);
        memcpy(high, p + at, k);
        if (utf8_length(low, 4) < k && utf8_length(high, 4) < k) {
            *ret_bytes = k > 1 ? k - 1 : 1;
            return at;
        }
    }
    return at;
}

void utf8_mend(char *text)
{
    size_t size = strlen(text), n;
    if (utf8_valid(text, size))
        return;
    for (size_t i = 0; i < size; i += n ? n : 1) {
        n = utf8_length((const uint8_t *)text + i, size - i);
        if (!n)
            text[i] = '?';
    }
}

bool text_is_ascii(const void *text, size_t size)
{
    const uint8_t *p = text;
    uint64_t seen = 0;
    size_t i = 0;
    for (; i + 8 <= size; i += 8)
        seen |= load_le64(p + i);
    for (; i < size; i++)
        seen |= p[i];
    return !(seen & 0x8080808080808080u);
}

static uint64_t unit_ns(const char *word, size_t n)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"nanos", 1},
                 {"nsec", 1},
                 {"ns", 1},
                 {"usec", 1000},
                 {"us", 1000},
                 {"µs", 1000},
                 {"micros", 1000},
                 {"millis", 1000000},
                 {"msec", 1000000},
                 {"ms", 1000000},
                 {"seconds", 1000000000},
                 {"second", 1000000000},
                 {"secs", 1000000000},
                 {"sec", 1000000000},
                 {"s", 1000000000},
                 {"minutes", 60000000000},
                 {"minute", 60000000000},
                 {"mins", 60000000000},
                 {"min", 60000000000},
                 {"m", 60000000000},
                 {"hours", 3600000000000},
                 {"hour", 3600000000000},
                 {"hrs", 3600000000000},
                 {"hr", 3600000000000},
                 {"h", 3600000000000},
                 {"days", 86400000000000},
                 {"day", 86400000000000},
                 {"d", 86400000000000},
                 {"weeks", 604800000000000},
                 {"week", 604800000000000},
                 {"wks", 604800000000000},
                 {"wk", 604800000000000},
                 {"w", 604800000000000},
                 {"months", 2630016000000000},
                 {"month", 2630016000000000},
                 {"M", 2630016000000000},
                 {"years", 31557600000000000},
                 {"year", 31557600000000000},
                 {"yrs", 31557600000000000},
                 {"yr", 31557600000000000},
                 {"y", 31557600000000000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == n && memcmp(units[i].name, word, n) == 0)
            return units[i].ns;
    return 0;
}

bool duration_parse(const char *text, int64_t *ret_ns)
{
    const unsigned __int128 most = (unsigned __int128)UINT64_MAX * 1000000000; /* humantime counts seconds in 64 bits */
    unsigned __int128 total = 0;
    bool any = false;
    for (;; any = true) {
        while (isspace((unsigned char)*text))
            text++;
        if (!*text)
            break;
        uint64_t number = 0;
        const char *digits = text;
        for (; isdigit((unsigned char)*text); text++)
            if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
                return false;
        if (text == digits)
            return false;
        while (isspace((unsigned char)*text))
            text++;
        const char *word = text;
        while (isalpha((unsigned char)*text) || (unsigned char)*text >= 0x80)
            text++;
        uint64_t unit = unit_ns(word, (size_t)(text - word));
        if (text == word && number == 0 && !*text)
            unit = 1; /* a lone "0" */
        if (!unit)
            return false;
        total += (unsigned __int128)number * unit;
        if (total > most)
            return false;
    }
    if (any)
        *ret_ns = total > INT64_MAX ? INT64_MAX : (int64_t)total;
    return any;
}

bool size_parse(const char *text, uint64_t *ret_bytes)
{
    static const char letters[] = "KMGTP";
    char *end;
    while (isspace((unsigned char)*text))
        text++;
    if ((!isdigit((unsigned char)*text) && *text != '.') || (*text == '0' && (text[1] | 0x20) == 'x'))
        return false;
    double bytes = strtod(text, &end);
    while (isspace((unsigned char)*end))
        end++;
    const char *letter = *end ? memchr(letters, *end, sizeof letters - 1) : NULL;
    if (letter) {
        bytes = ldexp(bytes, 10 * (int)(letter - letters + 1));
        end += end[1] == 'i' && end[2] == 'B' ? 2 : 1;
    }
    end += *end == 'B';
    while (isspace((unsigned char)*end))
        end++;
    if (*end || !(bytes >= 0 && bytes < 18446744073709549568.0))
        return false;
    *ret_bytes = (uint64_t)bytes;
    return true;
}
