/* CRC-32C: eight bytes a step in hardware, a table of bytes otherwise.
 *
 * The instruction takes three cycles and can begin one in each: three lanes side by side keep it busy. A lane's CRC is carried over the lanes behind
 * it by a multiplication, which is linear in its bits: four tables of a byte each.
 */
#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>

#include "base/crc_table.h"

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    crc_table_fill(table, 0x82f63b78);
}

static uint32_t crc_soft(uint32_t crc, const uint8_t *p, size_t size)
{
    pthread_once(&table_once, make_table);
    return crc_table_run(table, crc, p, size);
}

#if defined(__x86_64__)
enum { LANE_BYTES = 1024 };

static uint32_t lane_table[4][256]; /* what becomes of a byte of the CRC behind LANE_BYTES zeros */
static pthread_once_t lanes_once = PTHREAD_ONCE_INIT;

__attribute__((target("sse4.2"))) static void make_lane_table(void)
{
    for (uint32_t k = 0; k < 4; k++)
        for (uint32_t bit = 1; bit < 256; bit <<= 1) {
            uint64_t c = (uint64_t)bit << (8 * k);
            for (uint32_t i = 0; i < LANE_BYTES / 8; i++)
                c = __builtin_ia32_crc32di(c, 0);
            for (uint32_t b = 0; b < bit; b++)
                lane_table[k][bit | b] = (uint32_t)c ^ lane_table[k][b];
        }
}

static uint32_t over_lane(uint32_t c)
{
    return lane_table[0][c & 255] ^ lane_table[1][c >> 8 & 255] ^ lane_table[2][c >> 16 & 255] ^ lane_table[3][c >> 24];
}

/* Three lanes at p. */
__attribute__((target("sse4.2"))) static uint32_t crc_lanes(uint32_t crc, const uint8_t *p)
{
    uint64_t c[3] = {crc, 0, 0}, word[3];
    for (size_t i = 0; i < LANE_BYTES; i += 8) {
        for (size_t k = 0; k < 3; k++)
            memcpy(&word[k], p + k * LANE_BYTES + i, 8);
        c[0] = __builtin_ia32_crc32di(c[0], word[0]);
        c[1] = __builtin_ia32_crc32di(c[1], word[1]);
        c[2] = __builtin_ia32_crc32di(c[2], word[2]);
    }
    return over_lane(over_lane((uint32_t)c[0]) ^ (uint32_t)c[1]) ^ (uint32_t)c[2];
}

__attribute__((target("sse4.2"))) static uint32_t crc_hard(uint32_t crc, const uint8_t *p, size_t size)
{
    uint64_t word;
    if (size >= 3 * LANE_BYTES)
        pthread_once(&lanes_once, make_lane_table);
    for (; size >= 3 * LANE_BYTES; p += 3 * LANE_BYTES, size -= 3 * LANE_BYTES)
        crc = crc_lanes(crc, p);
    uint64_t c = crc;
    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&word, p, 8);
        c = __builtin_ia32_crc32di(c, word);
    }
    for (; size; p++, size--)
        c = __builtin_ia32_crc32qi((uint32_t)c, *p);
    return (uint32_t)c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    crc = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_hard(crc, data, size);
#endif
    return ~crc_soft(crc, data, size);
}
