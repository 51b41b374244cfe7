/* Strings inside keys; private to format/key. */
#ifndef FORMAT_KEY_INTERNAL_H
#define FORMAT_KEY_INTERNAL_H

#include "format/key/key.h"

int key_corrupt(const char *what, struct error *err);

/* Measures the string at key[pos] (its presence byte is behind us); *ret_end is behind it. */
int key_string_measure(const uint8_t *key, size_t size, size_t pos, size_t *ret_length, size_t *ret_end, struct error *err);

/* Appends the string of `length` bytes that key_string_measure() found at pos, without its chunk lengths. */
int key_string_append(const uint8_t *key, size_t pos, size_t length, struct dynbuf *out, struct error *err);

#endif
