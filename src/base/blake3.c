#include "base/blake3.h"

#include <stdbool.h>
#include <string.h>

enum { CHUNK_BYTES = 1024, BLOCK_BYTES = 64, DEPTH_MAX = 54 /* 2^54 chunks are 2^64 bytes */ };
enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

static const uint32_t iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* Where round r reads its message words: the permutation applied r times. */
static const uint8_t schedule[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1}, {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4}, {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

static uint32_t rotate(uint32_t v, int by)
{
    return v >> by | v << (32 - by);
}

static void mix(uint32_t *s, int a, int b, int c, int d, uint32_t x, uint32_t y)
{
    s[a] += s[b] + x;
    s[d] = rotate(s[d] ^ s[a], 16);
    s[c] += s[d];
    s[b] = rotate(s[b] ^ s[c], 12);
    s[a] += s[b] + y;
    s[d] = rotate(s[d] ^ s[a], 8);
    s[c] += s[d];
    s[b] = rotate(s[b] ^ s[c], 7);
}

/* A node of the tree that is not compressed yet: the last one gets the ROOT flag. */
struct node {
    uint32_t chaining[8], block[16], size, flags;
    uint64_t counter;
};

static void compress(const struct node *n, uint32_t flags, uint32_t out[8])
{
    uint32_t s[16];
    memcpy(s, n->chaining, 32);
    memcpy(s + 8, iv, 16);
    s[12] = (uint32_t)n->counter;
    s[13] = (uint32_t)(n->counter >> 32);
    s[14] = n->size;
    s[15] = n->flags | flags;
    for (int r = 0; r < 7; r++) {
        const uint8_t *m = schedule[r];
        for (int i = 0; i < 4; i++)
            mix(s, i, 4 + i, 8 + i, 12 + i, n->block[m[2 * i]], n->block[m[2 * i + 1]]);
        for (int i = 0; i < 4; i++)
            mix(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, n->block[m[8 + 2 * i]], n->block[m[9 + 2 * i]]);
    }
    for (int i = 0; i < 8; i++)
        out[i] = s[i] ^ s[i + 8];
}

static void load_block(struct node *n, const uint8_t *data, size_t size)
{
    uint8_t padded[BLOCK_BYTES] = {0};
    if (size)
        memcpy(padded, data, size);
    for (int i = 0; i < 16; i++)
        n->block[i] =
            (uint32_t)padded[4 * i] | (uint32_t)padded[4 * i + 1] << 8 | (uint32_t)padded[4 * i + 2] << 16 | (uint32_t)padded[4 * i + 3] << 24;
    n->size = (uint32_t)size;
}

/* All of a chunk but its last block, which stays in *n. */
static void read_chunk(const uint8_t *data, size_t size, uint64_t index, struct node *n)
{
    memcpy(n->chaining, iv, sizeof iv);
    n->counter = index;
    n->flags = CHUNK_START;
    for (; size > BLOCK_BYTES; data += BLOCK_BYTES, size -= BLOCK_BYTES) {
        load_block(n, data, BLOCK_BYTES);
        compress(n, 0, n->chaining);
        n->flags = 0;
    }
    load_block(n, data, size);
    n->flags |= CHUNK_END;
}

static void make_parent(struct node *n, const uint32_t left[8], const uint32_t right[8])
{
    memcpy(n->chaining, iv, sizeof iv);
    memcpy(n->block, left, 32);
    memcpy(n->block + 8, right, 32);
    n->counter = 0;
    n->size = BLOCK_BYTES;
    n->flags = PARENT;
}

void blake3(const void *data, size_t size, uint8_t ret_hash[BLAKE3_BYTES])
{
    uint32_t stack[DEPTH_MAX][8], hash[8];
    size_t depth = 0;
    const uint8_t *at = data;
    struct node n;
    uint64_t chunks = 0;
    for (; size > CHUNK_BYTES; at += CHUNK_BYTES, size -= CHUNK_BYTES) {
        read_chunk(at, CHUNK_BYTES, chunks++, &n);
        compress(&n, 0, hash);
        for (uint64_t whole = chunks; !(whole & 1); whole >>= 1) { /* subtrees that are complete now */
            make_parent(&n, stack[--depth], hash);
            compress(&n, 0, hash);
        }
        memcpy(stack[depth++], hash, sizeof hash);
    }
    read_chunk(at, size, chunks, &n);
    while (depth) {
        compress(&n, 0, hash);
        make_parent(&n, stack[--depth], hash);
    }
    compress(&n, ROOT, hash);
    for (int i = 0; i < BLAKE3_BYTES; i++)
        ret_hash[i] = (uint8_t)(hash[i / 4] >> 8 * (i % 4));
}
