#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash_bytes(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

struct u64_map_slot {
    uint64_t key;
    void *value; /* NULL = free */
};

void u64_map_init(struct u64_map *m)
{
    *m = (struct u64_map){0};
}

void u64_map_release(struct u64_map *m)
{
    free(m->slots);
    u64_map_init(m);
}

/* The slot that holds the key, or the free one where it belongs. Needs a free slot in the table. */
static size_t u64_probe(const struct u64_map *m, uint64_t key)
{
    size_t mask = m->capacity - 1, i = hash_u64(key) & mask;
    while (m->slots[i].value && m->slots[i].key != key)
        i = (i + 1) & mask;
    return i;
}

void *u64_map_get(const struct u64_map *m, uint64_t key)
{
    return m->capacity ? m->slots[u64_probe(m, key)].value : NULL;
}

static int u64_grow(struct u64_map *m, struct error *err)
{
    struct u64_map bigger = {.capacity = m->capacity ? m->capacity * 2 : 16, .count = m->count};
    bigger.slots = calloc(bigger.capacity, sizeof *bigger.slots);
    if (!bigger.slots)
        return error_no_memory(err, bigger.capacity * sizeof *bigger.slots);
    for (size_t i = 0; i < m->capacity; i++)
        if (m->slots[i].value)
            bigger.slots[u64_probe(&bigger, m->slots[i].key)] = m->slots[i];
    free(m->slots);
    *m = bigger;
    return ST_OK;
}

int u64_map_put(struct u64_map *m, uint64_t key, void *value, struct error *err)
{
    assert(value);
    if (m->count * 4 >= m->capacity * 3)
        TRY(u64_grow(m, err));
    size_t i = u64_probe(m, key);
    m->count += !m->slots[i].value;
    m->slots[i] = (struct u64_map_slot){key, value};
    return ST_OK;
}

void *u64_map_remove(struct u64_map *m, uint64_t key)
{
    if (!m->capacity)
        return NULL;
    size_t mask = m->capacity - 1, hole = u64_probe(m, key);
    void *value = m->slots[hole].value;
    if (!value)
        return NULL;
    m->count--;
    /* Moves later members of the cluster back, so that no tombstones are needed. */
    for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        size_t home = hash_u64(m->slots[i].key) & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole].value = NULL;
    return value;
}

bool u64_map_next(const struct u64_map *m, size_t *pos, uint64_t *ret_key, void **ret_value)
{
    for (; *pos < m->capacity; ++*pos) {
        if (!m->slots[*pos].value)
            continue;
        *ret_key = m->slots[*pos].key;
        *ret_value = m->slots[*pos].value;
        ++*pos;
        return true;
    }
    return false;
}

void dict_map_init(struct dict_map *m)
{
    *m = (struct dict_map){0};
}

void dict_map_release(struct dict_map *m)
{
    free(m->slots);
    free(m->tags);
    dict_map_init(m);
}

size_t dict_map_bytes(const struct dict_map *m)
{
    return m->capacity * (sizeof *m->slots + sizeof *m->tags);
}

static int dict_grow(struct dict_map *m, struct error *err)
{
    size_t capacity = m->capacity ? m->capacity * 2 : 16, mask = capacity - 1;
    uint32_t *slots = calloc(capacity, sizeof *slots), *tags = calloc(capacity, sizeof *tags);
    if (!slots || !tags) {
        free(slots);
        free(tags);
        return error_no_memory(err, capacity * 8);
    }
    for (size_t i = 0; i < m->capacity; i++) {
        if (!m->slots[i])
            continue;
        size_t j = m->tags[i] & mask;
        while (slots[j])
            j = (j + 1) & mask;
        slots[j] = m->slots[i];
        tags[j] = m->tags[i];
    }
    free(m->slots);
    free(m->tags);
    m->slots = slots;
    m->tags = tags;
    m->capacity = capacity;
    return ST_OK;
}

static size_t dict_probe(const struct dict_map *m, uint64_t hash, const void *key, size_t size, dict_key_of key_of, const void *ctx)
{
    uint32_t tag = (uint32_t)hash;
    size_t mask = m->capacity - 1, i = tag & mask;
    for (; m->slots[i]; i = (i + 1) & mask) {
        if (m->tags[i] != tag)
            continue;
        dict_key other = key_of(ctx, m->slots[i] - 1);
        if (other.size == size && (size == 0 || memcmp(other.data, key, size) == 0))
            break;
    }
    return i;
}

uint32_t dict_map_find(const struct dict_map *m, uint64_t hash, const void *key, size_t size, dict_key_of key_of, const void *ctx)
{
    if (!m->capacity)
        return UINT32_MAX;
    return m->slots[dict_probe(m, hash, key, size, key_of, ctx)] - 1;
}

int dict_map_intern(struct dict_map *m, uint64_t hash, const void *key, size_t size, dict_key_of key_of, const void *ctx, uint32_t *ret_id,
                    bool *ret_added, struct error *err)
{
    if (m->count * 4 >= m->capacity * 3)
        TRY(dict_grow(m, err));
    size_t i = dict_probe(m, hash, key, size, key_of, ctx);
    *ret_added = !m->slots[i];
    if (*ret_added) {
        if (m->count >= UINT32_MAX - 1)
            return error_set(err, ST_EXHAUSTED, "a dictionary holds more than 2^32 values");
        m->slots[i] = (uint32_t)++m->count;
        m->tags[i] = (uint32_t)hash;
    }
    *ret_id = m->slots[i] - 1;
    return ST_OK;
}
