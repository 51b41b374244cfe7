/* BLAKE3, hash mode (github.com/BLAKE3-team/BLAKE3-specs): no library in Debian 12 has it. Portable code, one chunk after the other. */
#ifndef BASE_BLAKE3_H
#define BASE_BLAKE3_H

#include <stddef.h>
#include <stdint.h>

enum { BLAKE3_BYTES = 32 };

void blake3(const void *data, size_t size, uint8_t ret_hash[BLAKE3_BYTES]);

#endif
