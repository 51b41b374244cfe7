/* CRCs of 32 bits by a table of bytes, whatever the polynomial (its bits reversed): what crc32.c and crc32c.c do without help from the CPU. */
#ifndef BASE_CRC_TABLE_H
#define BASE_CRC_TABLE_H

#include <stddef.h>
#include <stdint.h>

static inline void crc_table_fill(uint32_t table[256], uint32_t polynomial)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ polynomial : c >> 1;
        table[i] = c;
    }
}

static inline uint32_t crc_table_run(const uint32_t table[256], uint32_t crc, const uint8_t *p, size_t size)
{
    while (size--)
        crc = table[(crc ^ *p++) & 255] ^ crc >> 8;
    return crc;
}

#endif
