/* Index files of any bytes: the list of blobs, and every blob, as each kind of index that there is: opened, and asked whether it holds something. The
 * bytes are also tried as one blob without a file around it, which finds more of what blobs can be. */
#include <string.h>

#include "format/index/bloom.h"
#include "format/index/inverted.h"

struct bytes {
    const uint8_t *data;
    size_t size;
};

static int read_bytes(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    const struct bytes *b = ctx;
    (void)err;
    if (offset > b->size || size > b->size - offset)
        __builtin_trap(); /* the codecs ask for nothing outside */
    memcpy(data, b->data + offset, size);
    return ST_OK;
}

static void try_bloom(const struct puffin_source *s, struct arena *a)
{
    struct bloom_index x;
    struct buffer *scratch = NULL;
    const uint64_t hashes[] = {0, 0x123456789abcdef};
    const struct bloom_probe probes[] = {{hashes, 2}, {hashes + 1, 1}};
    bool any;
    if (bloom_index_open(s, a, &x, NULL) == ST_OK)
        for (uint32_t i = 0; i < x.n_segments && i < 64; i++)
            bloom_index_test(s, &x, i, probes, 2, NULL, &scratch, &any, NULL);
    buffer_unref(scratch);
}

static bool is_even(const void *ctx, const uint8_t *value, size_t size)
{
    uint8_t sum = 0;
    (void)ctx;
    for (size_t i = 0; i < size; i++)
        sum += value[i];
    return sum % 2 == 0;
}

static void try_inverted(const struct puffin_source *s, struct arena *a)
{
    struct inverted_index x;
    const struct inverted_range ranges[] = {{.holds = is_even}, {{"a", 1, true}, {"b\x80", 2, false}, NULL, NULL}};
    uint8_t bits[1 << 13];
    if (inverted_index_open(s, a, &x, NULL) == ST_OK && inverted_index_segments(&x) <= 8 * sizeof bits)
        for (uint32_t i = 0; i < x.n_columns && i < 4; i++)
            inverted_index_select(s, &x, &x.columns[i], ranges, 2, bits, NULL, NULL);
}

static void try_blob(const struct puffin_source *s, struct arena *a)
{
    try_bloom(s, a);
    try_inverted(s, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, size};
    struct puffin_source s = {read_bytes, &b, 0, size}, blob;
    struct puffin_file f;
    struct arena a;
    arena_init(&a, NULL);
    try_blob(&s, &a);
    if (puffin_open(&s, &a, &f, NULL) == ST_OK)
        for (uint32_t i = 0; i < f.n_blobs && i < 16; i++)
            if (puffin_find(&f, f.blobs[i].type) && puffin_blob_source(&s, &f.blobs[i], &blob, NULL) == ST_OK)
                try_blob(&blob, &a);
    arena_release(&a);
    return 0;
}
