/* CRC-32 as gzip has it (IEEE 802.3, reflected). Pure. */
#ifndef BASE_CRC32_H
#define BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* `crc` of what stands in front, 0 at the start: the same numbers as zlib's crc32(), many times as fast. */
uint32_t crc32_ieee(uint32_t crc, const void *data, size_t size);

#endif
