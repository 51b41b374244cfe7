/* CRC-32: 64 bytes a step where the CPU multiplies without carries, a table of bytes otherwise.
 *
 * A CRC is the remainder of a division, and the remainder stays the same when bits in front are replaced by a multiple of theirs that is congruent:
 * each 128-bit lane is multiplied by x^512 mod P and added to the bytes 64 further on. Four lanes side by side keep the multiplier busy. What is
 * left, 16 bytes with the same remainder as all that went before, goes through the table.
 */
#include "base/crc32.h"

#include <pthread.h>
#include <string.h>

#include "base/crc_table.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    crc_table_fill(table, 0xedb88320);
}

static uint32_t crc_soft(uint32_t crc, const uint8_t *p, size_t size)
{
    return crc_table_run(table, crc, p, size);
}

#if defined(__x86_64__)
enum { STEP = 64, LANE = 16 };

__attribute__((target("pclmul,sse4.1"))) static __m128i load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* `a` moved forward by the distance that `k` stands for, onto `b`. */
__attribute__((target("pclmul,sse4.1"))) static __m128i folded(__m128i a, __m128i k, __m128i b)
{
    return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(a, k, 0x00), _mm_clmulepi64_si128(a, k, 0x11)), b);
}

/* All whole lanes of at least one step. *ret_done: how many bytes that were. */
__attribute__((target("pclmul,sse4.1"))) static uint32_t crc_hard(uint32_t crc, const uint8_t *p, size_t size, size_t *ret_done)
{
    /* x^(n+32) and x^(n-32) mod P, reflected, for n = 512 and 128 bits. */
    const __m128i over_step = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4), over_lane = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    __m128i lane[4];
    uint8_t rest[LANE];
    size_t at = STEP;
    for (int i = 0; i < 4; i++)
        lane[i] = load(p + i * LANE);
    lane[0] = _mm_xor_si128(lane[0], _mm_cvtsi32_si128((int)crc));
    for (; at + STEP <= size; at += STEP)
        for (int i = 0; i < 4; i++)
            lane[i] = folded(lane[i], over_step, load(p + at + (size_t)i * LANE));
    for (int i = 1; i < 4; i++)
        lane[0] = folded(lane[0], over_lane, lane[i]);
    for (; at + LANE <= size; at += LANE)
        lane[0] = folded(lane[0], over_lane, load(p + at));
    _mm_storeu_si128((__m128i *)(void *)rest, lane[0]);
    *ret_done = at;
    return crc_soft(0, rest, LANE);
}
#endif

uint32_t crc32_ieee(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;
    size_t done = 0;
    pthread_once(&table_once, make_table);
    crc = ~crc;
#if defined(__x86_64__)
    if (size >= STEP && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"))
        crc = crc_hard(crc, p, size, &done);
#endif
    return ~crc_soft(crc, p + done, size - done);
}
