/* Small texts that several layers read: UTF-8, hexadecimal digits, durations and sizes. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed UTF-8 sequence (RFC 3629) at p, 0 when it is not one. room >= 1. */
size_t utf8_length(const uint8_t *p, size_t room);
bool utf8_valid(const void *text, size_t size);
/* Where the first ill-formed sequence begins, `size` if there is none, and its bytes (the longest beginning of a well-formed one, at least 1); 0 = the text ends within it. */
size_t utf8_find_error(const void *text, size_t size, size_t *ret_bytes);
/* Puts '?' in place of each byte that belongs to no well-formed sequence. */
void utf8_mend(char *text);
bool text_is_ascii(const void *text, size_t size);
/* 0 to 15, or -1. */
static inline int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* humantime: "2h", "1day 12h", "15ms", "0"; nanoseconds, at most INT64_MAX (292 years). False when it is no duration. */
bool duration_parse(const char *text, int64_t *ret_ns);
/* "512MB", "1.5 GiB", "1024"; powers of 1024. False when it is no size. */
bool size_parse(const char *text, uint64_t *ret_bytes);

#endif
