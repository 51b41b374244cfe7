#include "base/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const void *bytes, size_t n, bool padded, uint8_t *out)
{
    const uint8_t *p = bytes, *start = out;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i < 3 ? n - i : 3;
        uint32_t bits = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);
        for (size_t k = 0; k < 4; k++)
            if (k <= left || padded)
                *out++ = k <= left ? (uint8_t)alphabet[bits >> (18 - 6 * k) & 63] : '=';
    }
    return (size_t)(out - start);
}

int64_t base64_decode(const void *text, size_t n, uint8_t *out)
{
    const uint8_t *p = text;
    uint32_t bits = 0;
    int64_t bytes = 0;
    size_t digits = 0, padding = 0;
    while (n && p[n - 1] == '=' && padding < 2) {
        n--;
        padding++;
    }
    for (; digits < n; digits++) {
        const char *digit = p[digits] ? strchr(alphabet, p[digits]) : NULL;
        if (!digit)
            return -1;
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        if (digits % 4 == 0)
            continue;
        out[bytes++] = (uint8_t)(bits >> (6 - 2 * (digits % 4)));
    }
    uint32_t rest = digits % 4 == 2 ? bits & 15 : digits % 4 == 3 ? bits & 3 : 0;
    return digits % 4 == 1 || rest || (padding && (digits + padding) % 4) ? -1 : bytes;
}
