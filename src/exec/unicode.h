/* Unicode text in UTF-8: characters, grapheme clusters and case (functions.md 1.2, 1.3). Bytes that are not UTF-8 count as one character each and
 * stay. */
#ifndef EXEC_UNICODE_H
#define EXEC_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNICODE_CASE_MAX = 4 }; /* bytes that one byte of text can become, at most, when its case changes */

int64_t unicode_chars(const uint8_t *p, size_t n);
/* Byte position behind the first `chars` characters. */
size_t unicode_skip(const uint8_t *p, size_t n, int64_t chars);
/* Byte position where the last character starts; n > 0. */
size_t unicode_last(const uint8_t *p, size_t n);
/* Bytes of the grapheme cluster at the start; 0 only for empty text. */
size_t unicode_grapheme(const uint8_t *p, size_t n);
/* Reads a character at the start of n > 0 bytes; its size. Bytes that are no UTF-8 give themselves. */
size_t unicode_read(const uint8_t *p, size_t n, int32_t *ret_char);
size_t unicode_write(int32_t c, uint8_t *out); /* up to 4 bytes */
bool unicode_is_alphanumeric(int32_t c);

/* One character's full mapping, without context; up to 12 bytes into `out`. */
size_t unicode_upper_char(int32_t c, uint8_t *out);
size_t unicode_lower_char(int32_t c, uint8_t *out);
/* Whole text, with the final sigma's rule; room for n * UNICODE_CASE_MAX bytes. Returns the bytes written. */
size_t unicode_upper(const uint8_t *p, size_t n, uint8_t *out);
size_t unicode_lower(const uint8_t *p, size_t n, uint8_t *out);

#endif
