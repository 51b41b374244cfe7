/* Values that are kept between uses, those last used first, up to a number of bytes.
 *
 * The oldest value gets another round before it goes, and more of them when it has been used; a newcomer that would need its room is not taken in
 * meanwhile. So a reader of more than fits keeps a part, and does not sweep out what others use.
 *
 * A value is counted: what falls out of the cache lives on for as long as somebody uses it. Its memory is charged to cache_budget() by whoever makes it.
 * The cache gives way: it takes nothing in, and gives back what it has, while the budgets above it have less than a quarter of their room left.
 * Thread-safe; no lock is held while a value is freed.
 */
#ifndef BASE_CACHE_H
#define BASE_CACHE_H

#include "base/budget.h"
#include "base/metrics.h"

/* The first member of a value. */
struct cached {
    _Atomic int refs;
    size_t bytes; /* about what the value takes; not 0 */
    void (*free)(struct cached *value);
};

static inline void cached_init(struct cached *v, size_t bytes, void (*free)(struct cached *value))
{
    atomic_init(&v->refs, 1);
    v->bytes = bytes;
    v->free = free;
}
void cached_unref(struct cached *v); /* NULL is allowed */

struct cache_key {
    uint64_t owner, item; /* owners have numbers that are never used again */
};

struct cache_options {
    const char *name, *knob; /* as of a budget */
    struct budget *parent;
    size_t bytes_max;
    struct metric *hits, *misses, *bytes;
};

struct cache;

int cache_new(const struct cache_options *options, struct cache **ret_cache, struct error *err);
void cache_free(struct cache *c); /* NULL is allowed; nobody uses it any more */
struct budget *cache_budget(struct cache *c);

/* Whether a value of that size would be taken in now. */
bool cache_admits(const struct cache *c, size_t bytes);
/* A reference, or NULL. */
struct cached *cache_get(struct cache *c, struct cache_key key);
/* Keeps the value (a reference of its own), in the place of one that is there under that key, unless there is no room for it. */
void cache_put(struct cache *c, struct cache_key key, struct cached *value);
/* The owner is gone, and with it the values under its items 0 to n - 1. What it may have under others goes as the cache fills. */
void cache_forget(struct cache *c, uint64_t owner, uint64_t n);

#endif
