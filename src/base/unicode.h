/* Unicode text in UTF-8: characters, grapheme clusters and case (functions.md 1.2, 1.3). Bytes that are not UTF-8 count as one character each and
 * stay. */
#ifndef BASE_UNICODE_H
#define BASE_UNICODE_H

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

/* A set of characters: the numbers where it begins and ends to hold them, in turn, ascending. */
struct unicode_set {
    uint32_t n;
    const uint32_t *bounds;
};
extern const struct unicode_set unicode_alphanumeric, unicode_han, unicode_cased, unicode_case_ignorable;
bool unicode_set_has(const struct unicode_set *s, int32_t c);
bool unicode_is_alphanumeric(int32_t c);
bool unicode_is_han(int32_t c); /* of the Chinese script */
/* false: the character is newer than the tables of cases, which therefore leave it as it is. */
bool unicode_case_is_known(int32_t c);

/* One character's full mapping, without context; up to 12 bytes into `out`. */
size_t unicode_upper_char(int32_t c, uint8_t *out);
size_t unicode_lower_char(int32_t c, uint8_t *out);
/* Whole text, with the final sigma's rule; room for n * UNICODE_CASE_MAX bytes. Returns the bytes written. */
size_t unicode_upper(const uint8_t *p, size_t n, uint8_t *out);
size_t unicode_lower(const uint8_t *p, size_t n, uint8_t *out);

#endif
