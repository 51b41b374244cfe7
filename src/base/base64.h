/* Base64 with the alphabet of RFC 4648, section 4. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that n encoded bytes take at most. */
static inline size_t base64_room(size_t n)
{
    return (n + 2) / 3 * 4;
}

/* Writes the text of n bytes, base64_room(n) of it at most; returns its length. */
size_t base64_encode(const void *bytes, size_t n, bool padded, uint8_t *out);
/* Writes what n characters say, less than n bytes. Padding may be there or not; the bits behind the last byte must be zero. Returns the bytes written,
 * or -1: then some may have been. */
int64_t base64_decode(const void *text, size_t n, uint8_t *out);

#endif
