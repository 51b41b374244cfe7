/* IEEE 754 half precision, the bits of Arrow's Float16. By hand: not every compiler that builds this has the type. */
#ifndef BASE_HALF_H
#define BASE_HALF_H

#include <math.h>
#include <stdint.h>

static inline double half_to_double(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return copysign(v, h & 0x8000 ? -1.0 : 1.0);
}

/* The nearest half, ties to even. */
static inline uint16_t half_of_double(double v)
{
    uint16_t sign = signbit(v) ? 0x8000 : 0;
    double size = fabs(v);
    int exponent;
    if (isnan(v))
        return sign | 0x7e00;
    if (size >= 65520)
        return sign | 0x7c00;
    frexp(size, &exponent); /* size < 2^exponent */
    if (exponent < -13 || size == 0)
        exponent = -13;                                               /* from here on the units are those of the smallest numbers */
    uint32_t units = (uint32_t)nearbyint(ldexp(size, 11 - exponent)); /* a carry into the exponent is right as it is */
    return (uint16_t)(sign | (units + (uint32_t)((exponent + 13) << 10)));
}

#endif
