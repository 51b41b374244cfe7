#include "base/bits.h"

int64_t bits_count(const uint8_t *bits, int64_t offset, int64_t n)
{
    int64_t count = 0, i = offset, end = offset + n;
    for (; i < end && (i & 7); i++)
        count += bit_get(bits, i);
    for (; i + 64 <= end; i += 64)
        count += __builtin_popcountll(load_le64(bits + (i >> 3)));
    for (; i < end; i++)
        count += bit_get(bits, i);
    return count;
}

void bits_copy(uint8_t *dst, int64_t dst_offset, const uint8_t *src, int64_t src_offset, int64_t n)
{
    int64_t i = 0;
    if ((dst_offset & 7) == (src_offset & 7)) {
        for (; i < n && ((dst_offset + i) & 7); i++)
            bit_put(dst, dst_offset + i, bit_get(src, src_offset + i));
        int64_t whole = (n - i) >> 3;
        if (whole > 0)
            memcpy(dst + ((dst_offset + i) >> 3), src + ((src_offset + i) >> 3), (size_t)whole);
        i += whole << 3;
    }
    for (; i < n; i++)
        bit_put(dst, dst_offset + i, bit_get(src, src_offset + i));
}

void bits_fill(uint8_t *bits, int64_t offset, int64_t n, bool on)
{
    int64_t i = offset, end = offset + n;
    for (; i < end && (i & 7); i++)
        bit_put(bits, i, on);
    if (end - i >= 8) {
        memset(bits + (i >> 3), on ? 0xff : 0, (size_t)((end - i) >> 3));
        i += (end - i) & ~(int64_t)7;
    }
    for (; i < end; i++)
        bit_put(bits, i, on);
}
