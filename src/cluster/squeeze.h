/* Deflate for a sequence of messages that are nearly alike (the reports of regions). Pure. */
#ifndef CLUSTER_SQUEEZE_H
#define CLUSTER_SQUEEZE_H

#include "base/buffer.h"

/* Appends raw deflate blocks, none of them the last one, that end at a byte and refer to nothing in front of them. starts[0..n): where the messages begin
 * in the data, ascending; they only say where to look for likeness. */
int squeeze(const uint8_t *data, size_t size, const uint32_t *starts, size_t n, struct dynbuf *out, struct error *err);

#endif
