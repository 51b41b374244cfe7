/* Roaring bitmaps in the portable format, as far as indexes need them: written from ascending numbers, read into plain bits. Pure. */
#ifndef FORMAT_INDEX_ROARING_H
#define FORMAT_INDEX_ROARING_H

#include "base/buffer.h"

/* Appends the bitmap of n strictly ascending numbers; without run containers, as the peer writes. */
int roaring_write(const uint32_t *numbers, size_t n, struct dynbuf *out, struct error *err);
/* Sets the bits of the bitmap's numbers. ST_CORRUPT for anything malformed and for numbers of n_bits and more. */
int roaring_or(const uint8_t *data, size_t size, uint8_t *bits, uint64_t n_bits, struct error *err);

#endif
