/* CRC-32C (Castagnoli), with the SSE4.2 instruction where the processor has it. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 at the start) over the bytes. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

#endif
