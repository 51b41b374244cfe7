/* Hashing (XXH3 of libxxhash) and the two hash maps that the project uses. Neither map is thread-safe. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

uint64_t hash_bytes(const void *data, size_t size);

/* A strong mix of one word (splitmix64's finaliser). */
static inline uint64_t hash_u64(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* u64 -> pointer, open addressing; the values are borrowed. */
struct u64_map {
    struct u64_map_slot *slots;
    size_t count, capacity;
};

void u64_map_init(struct u64_map *m);
void u64_map_release(struct u64_map *m);
void *u64_map_get(const struct u64_map *m, uint64_t key); /* NULL when absent */
int u64_map_put(struct u64_map *m, uint64_t key, void *value, struct error *err); /* value must not be NULL; replaces */
void *u64_map_remove(struct u64_map *m, uint64_t key);    /* returns what was there */

/* Walks all entries: start with *pos = 0; false at the end. The map must not change meanwhile. */
bool u64_map_next(const struct u64_map *m, size_t *pos, uint64_t *ret_key, void **ret_value);

/* bytes -> u32, for dictionaries: ids are dense from 0 in order of first appearance. Keys are borrowed through
 * `key_of`, so that the caller stores each key once, wherever it likes. */
struct dict_map {
    uint32_t *slots;  /* id + 1; 0 = free */
    uint32_t *tags;   /* low half of the hash, beside slots: growing needs no key */
    size_t count, capacity;
};

typedef struct dict_key { const void *data; size_t size; } dict_key;
typedef dict_key (*dict_key_of)(const void *ctx, uint32_t id);

void dict_map_init(struct dict_map *m);
void dict_map_release(struct dict_map *m);

/* `hash` may be any function of the key, and more: a key that is looked for under another hash than it was added under is not found. */

/* Finds `key`, or adds it under the next id (*ret_added = true: the caller must make key_of(id) return it at once). */
int dict_map_intern(struct dict_map *m, uint64_t hash, const void *key, size_t size, dict_key_of key_of, const void *ctx, uint32_t *ret_id,
                    bool *ret_added, struct error *err);

/* Finds only; UINT32_MAX when absent. */
uint32_t dict_map_find(const struct dict_map *m, uint64_t hash, const void *key, size_t size, dict_key_of key_of, const void *ctx);

/* Bytes of the table itself. */
size_t dict_map_bytes(const struct dict_map *m);

#endif
