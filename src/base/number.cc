// Shortest digits come from std::to_chars (Ryu); C has nothing like it.
#include "base/number.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

size_t number_digits(double v, bool single, char out[NUMBER_DIGITS_MAX], int *ret_point)
{
    char text[40];
    double magnitude = std::fabs(v);
    auto end = single ? std::to_chars(text, text + sizeof text - 1, static_cast<float>(magnitude), std::chars_format::scientific)
                      : std::to_chars(text, text + sizeof text - 1, magnitude, std::chars_format::scientific);
    *end.ptr = 0;
    size_t n = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p != '.' && n < NUMBER_DIGITS_MAX)
            out[n++] = *p;
    *ret_point = *p ? std::atoi(p + 1) + 1 : 1;
    return n;
}

// The sign, and all of NaN and the infinities; *ret_done = nothing is left to print.
static char *put_sign(double v, char *p, bool *ret_done)
{
    *ret_done = !std::isfinite(v);
    if (std::signbit(v) && !std::isnan(v))
        *p++ = '-';
    if (*ret_done) {
        std::memcpy(p, std::isnan(v) ? "NaN" : "inf", 3);
        p += 3;
    }
    return p;
}

static char *put_positional(char *p, const char *digits, int n, int point)
{
    if (point <= 0) {
        *p++ = '0';
        *p++ = '.';
        for (; point < 0; point++)
            *p++ = '0';
    }
    for (int i = 0; i < n; i++) {
        if (i == point && i > 0)
            *p++ = '.';
        *p++ = digits[i];
    }
    for (int i = n; i < point; i++)
        *p++ = '0';
    return p;
}

size_t number_plain(double v, bool single, char out[NUMBER_PLAIN_MAX])
{
    char digits[NUMBER_DIGITS_MAX];
    int point;
    bool done;
    char *p = put_sign(v, out, &done);
    if (!done) {
        int n = static_cast<int>(number_digits(v, single, digits, &point));
        p = put_positional(p, digits, n, point);
    }
    return static_cast<size_t>(p - out);
}

size_t number_ryu(double v, bool single, char out[NUMBER_RYU_MAX])
{
    char digits[NUMBER_DIGITS_MAX];
    int point, low = single ? -6 : -5, high = single ? 13 : 16;
    bool done;
    char *p = put_sign(v, out, &done);
    if (done)
        return static_cast<size_t>(p - out);
    int n = static_cast<int>(number_digits(v, single, digits, &point));
    if (point > low && point <= high) {
        p = put_positional(p, digits, n, point);
        if (n <= point) {
            *p++ = '.';
            *p++ = '0';
        }
        return static_cast<size_t>(p - out);
    }
    *p++ = digits[0];
    if (n > 1) {
        *p++ = '.';
        std::memcpy(p, digits + 1, static_cast<size_t>(n - 1));
        p += n - 1;
    }
    p += std::sprintf(p, "e%d", point - 1);
    return static_cast<size_t>(p - out);
}
