/* Digits and bits of an H3 index. Private to format/h3. */
#ifndef FORMAT_H3_INTERNAL_H
#define FORMAT_H3_INTERNAL_H

#include "format/h3/h3.h"
#include "format/h3/tables.h"

enum { DIGIT_CENTER, DIGIT_K, DIGIT_J, DIGIT_JK, DIGIT_I, DIGIT_IK, DIGIT_IJ, DIGIT_NONE };

static inline int digit_shift(int resolution)
{
    return (H3_RESOLUTION_MAX - resolution) * 3;
}

static inline int digit_at(uint64_t cell, int resolution)
{
    return (int)(cell >> digit_shift(resolution) & 7);
}

static inline uint64_t with_digit(uint64_t cell, int resolution, int digit)
{
    return (cell & ~(7ull << digit_shift(resolution))) | (uint64_t)digit << digit_shift(resolution);
}

static inline uint64_t with_base_cell(uint64_t cell, int base_cell)
{
    return (cell & ~(127ull << 45)) | (uint64_t)base_cell << 45;
}

/* The first digit that is not the center's; DIGIT_CENTER when there is none. */
int h3_leading_digit(uint64_t cell);
int h3_turn_digit(int digit, bool clockwise);
uint64_t h3_turn(uint64_t cell, bool clockwise);
/* Counter-clockwise around a pentagon, which has no k axis. */
uint64_t h3_turn_pentagon(uint64_t cell);

#endif
