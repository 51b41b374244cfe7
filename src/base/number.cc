// Shortest digits come from std::to_chars (Ryu), the nearest number from std::from_chars, which needs no zero at the end; C has nothing like them.
#include "base/number.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <system_error>

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

// Whether a decimal number that is not 0 is 1 or more: tells one that is too large for a type from one that is too small.
static bool is_large(const char *p, const char *end)
{
    const int64_t far = 1000000000000000000;
    int64_t point = 0, exponent = 0; // 0.DIGITS * 10^point
    bool fraction = false, digits = false;
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            fraction = true;
            continue;
        }
        digits = digits || *p != '0';
        point += fraction ? -!digits : digits;
    }
    bool negative = end - p > 1 && p[1] == '-';
    for (; p < end; p++)
        if (*p >= '0' && *p <= '9' && exponent < far / 10)
            exponent = exponent * 10 + (*p - '0');
    return point + (negative ? -exponent : exponent) > 0;
}

template <typename number> static bool parse(const char *p, const char *end, double *ret)
{
    number v = 0;
    auto found = std::from_chars(p, end, v);
    if (found.ptr != end || found.ec == std::errc::invalid_argument || end[-1] == ')') // nan(...) is C's
        return false;
    if (found.ec == std::errc::result_out_of_range)
        v = is_large(p, end) ? std::numeric_limits<number>::infinity() : 0;
    *ret = static_cast<double>(v);
    return true;
}

bool number_parse(const char *text, size_t n, bool single, double *ret)
{
    const char *end = text + n;
    bool negative = n && *text == '-';
    text += n && (*text == '-' || *text == '+');
    if (text == end || *text == '-' || !(single ? parse<float>(text, end, ret) : parse<double>(text, end, ret)))
        return false;
    *ret = negative ? -*ret : *ret;
    return true;
}
