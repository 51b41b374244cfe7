/* Puffin files of any bytes: the list of blobs, and what every blob says of itself. */
#include <string.h>

#include "format/puffin/puffin.h"

struct bytes {
    const uint8_t *data;
    size_t size;
};

static int read_bytes(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    const struct bytes *b = ctx;
    (void)err;
    if (offset > b->size || size > b->size - offset)
        __builtin_trap(); /* the codec asks for nothing outside */
    memcpy(data, b->data + offset, size);
    return ST_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, size};
    struct puffin_source s = {read_bytes, &b, 0, size}, blob;
    struct puffin_file f;
    struct arena arena;
    uint8_t byte;
    arena_init(&arena, NULL);
    if (puffin_open(&s, &arena, &f, NULL) == ST_OK)
        for (uint32_t i = 0; i < f.n_blobs; i++)
            if (puffin_find(&f, f.blobs[i].type) && puffin_blob_source(&s, &f.blobs[i], &blob, NULL) == ST_OK && blob.size_bytes)
                puffin_read(&blob, blob.size_bytes - 1, &byte, 1, NULL);
    arena_release(&arena);
    return 0;
}
