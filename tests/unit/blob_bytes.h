/* A blob in memory, as readers of index blobs ask for it. */
#ifndef TESTS_BLOB_BYTES_H
#define TESTS_BLOB_BYTES_H

#include <string.h>

#include "base/buffer.h"

/* ctx: a struct dynbuf. */
static inline int read_bytes(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    const struct dynbuf *b = ctx;
    (void)err;
    assert_true(offset <= b->size && size <= b->size - offset);
    memcpy(data, b->data + offset, size);
    return ST_OK;
}

#endif
