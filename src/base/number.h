/* Floating-point numbers as the shortest text that reads back as the same number, and texts of any length as the nearest number. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { NUMBER_DIGITS_MAX = 17, NUMBER_PLAIN_MAX = 352, NUMBER_RYU_MAX = 32 };

/* The digits of |v|, finite, and where the point stands: 0.DIGITS * 10^point. Zero is "0" with point 1. `single`: v is a float. Returns how many
 * digits. */
size_t number_digits(double v, bool single, char out[NUMBER_DIGITS_MAX], int *ret_point);

/* Without an exponent, however long, and without ".0": 1, -0.5, 100000000000000000000, NaN, inf. Returns the length; no terminating zero. */
size_t number_plain(double v, bool single, char out[NUMBER_PLAIN_MAX]);

/* As Rust's ryu, serde_json and Arrow print it: 1.0, 0.001, 1e16, 1.5e-7, -0.0, NaN, inf; a `single` gets its exponent from 1e13 on and below 1e-6.
 * Returns the length; no terminating zero. */
size_t number_ryu(double v, bool single, char out[NUMBER_RYU_MAX]);

/* All of the n bytes as a number: decimal, perhaps with an exponent, or inf, infinity or nan in any case, and a sign before any of them; no spaces, no
 * hexadecimals. What is too large is infinite, what is too small 0. `single`: the nearest float. */
bool number_parse(const char *text, size_t n, bool single, double *ret);

#ifdef __cplusplus
}
#endif

#endif
