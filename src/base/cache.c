#include "base/cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"

struct entry {
    struct cache_key key;
    struct cached *value;
    unsigned rounds;     /* that it still gets as the oldest */
    struct entry *chain; /* in its bucket; also of entries that are to be freed */
    struct entry *newer, *older;
};

struct cache {
    struct budget budget;
    struct cache_options options;
    pthread_mutex_t lock; /* guards what follows */
    struct entry **buckets;
    size_t n_buckets, n_entries, bytes;
    struct entry *newest, *oldest;
};

enum { BUCKETS_MIN = 64, ROUNDS_MAX = 3 };

void cached_unref(struct cached *v)
{
    if (v && atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1)
        v->free(v);
}

int cache_new(const struct cache_options *options, struct cache **ret_cache, struct error *err)
{
    struct cache *c = calloc(1, sizeof *c);
    struct entry **buckets = c ? calloc(BUCKETS_MIN, sizeof(struct entry *)) : NULL;
    if (!buckets) {
        free(c);
        return error_no_memory(err, sizeof *c);
    }
    c->options = *options;
    c->buckets = buckets;
    c->n_buckets = BUCKETS_MIN;
    budget_init(&c->budget, options->name, options->knob, SIZE_MAX, options->parent);
    pthread_mutex_init(&c->lock, NULL);
    metric_add(options->hits, 0);
    *ret_cache = c;
    return ST_OK;
}

struct budget *cache_budget(struct cache *c)
{
    return &c->budget;
}

static struct entry **bucket_of(const struct cache *c, struct cache_key key)
{
    return &c->buckets[hash_u64(key.owner * 0x9e3779b97f4a7c15u + key.item) & (c->n_buckets - 1)];
}

static struct entry **find(const struct cache *c, struct cache_key key)
{
    struct entry **at = bucket_of(c, key);
    while (*at && ((*at)->key.owner != key.owner || (*at)->key.item != key.item))
        at = &(*at)->chain;
    return at;
}

static void unlink_entry(struct cache *c, struct entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_entry(struct cache *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

/* Takes the entry out and puts it on the list of those to be freed. */
static void take_out(struct cache *c, struct entry **at, struct entry **gone)
{
    struct entry *e = *at;
    *at = e->chain;
    unlink_entry(c, e);
    c->n_entries--;
    c->bytes -= e->value->bytes;
    metric_set(c->options.bytes, (int64_t)c->bytes);
    e->chain = *gone;
    *gone = e;
}

static void free_entries(struct entry *gone)
{
    while (gone) {
        struct entry *next = gone->chain;
        cached_unref(gone->value);
        free(gone);
        gone = next;
    }
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    for (struct entry *e = c->oldest, *next; e; e = next) {
        next = e->newer;
        cached_unref(e->value);
        free(e);
    }
    pthread_mutex_destroy(&c->lock);
    free(c->buckets);
    free(c);
}

/* Whether every budget above has at least a quarter of its room left, and this much of it beside. */
static bool has_room(const struct cache *c, size_t bytes)
{
    for (const struct budget *b = c->budget.parent; b; b = b->parent)
        if (b->limit != SIZE_MAX && budget_used(b) + bytes > b->limit / 4 * 3)
            return false;
    return true;
}

bool cache_admits(const struct cache *c, size_t bytes)
{
    return bytes <= c->options.bytes_max / 4 && has_room(c, bytes);
}

/* Until what is left fits, the oldest go. What is freed only after that still counts in the budgets: one entry in eight goes at most when these are
 * full. */
static void evict(struct cache *c, struct entry **gone)
{
    size_t least = has_room(c, 0) ? c->options.bytes_max : c->bytes - c->bytes / 8;
    size_t most = c->options.bytes_max < least ? c->options.bytes_max : least;
    while (c->oldest && c->bytes > most)
        take_out(c, find(c, c->oldest->key), gone);
}

static void grow(struct cache *c)
{
    size_t n = 2 * c->n_buckets;
    struct entry **buckets = calloc(n, sizeof(struct entry *));
    if (!buckets)
        return; /* longer chains will do */
    free(c->buckets);
    c->buckets = buckets;
    c->n_buckets = n;
    for (struct entry *e = c->oldest; e; e = e->newer) {
        struct entry **at = bucket_of(c, e->key);
        e->chain = *at;
        *at = e;
    }
}

struct cached *cache_get(struct cache *c, struct cache_key key)
{
    struct entry *gone = NULL;
    pthread_mutex_lock(&c->lock);
    struct entry *e = *find(c, key);
    struct cached *value = e ? e->value : NULL;
    if (e) {
        atomic_fetch_add_explicit(&value->refs, 1, memory_order_relaxed);
        unlink_entry(c, e);
        link_entry(c, e);
        e->rounds += e->rounds < ROUNDS_MAX;
    }
    evict(c, &gone);
    pthread_mutex_unlock(&c->lock);
    metric_add(value ? c->options.hits : c->options.misses, 1);
    free_entries(gone);
    return value;
}

/* Whether the newcomer has room, or gets it from entries that nobody uses. */
static bool make_room(struct cache *c, size_t bytes, struct entry **gone)
{
    while (c->oldest && c->bytes + bytes > c->options.bytes_max) {
        struct entry *e = c->oldest;
        if (!e->rounds) {
            take_out(c, find(c, e->key), gone);
            continue;
        }
        e->rounds--;
        unlink_entry(c, e);
        link_entry(c, e);
        return false;
    }
    return true;
}

/* Puts the entry in, or among those to be freed. */
static void insert(struct cache *c, struct entry *e, struct entry **gone)
{
    struct entry **at = find(c, e->key);
    if (*at)
        take_out(c, at, gone);
    if (!make_room(c, e->value->bytes, gone)) {
        e->chain = *gone;
        *gone = e;
        return;
    }
    if (c->n_entries == c->n_buckets)
        grow(c);
    at = bucket_of(c, e->key);
    e->chain = *at;
    *at = e;
    link_entry(c, e);
    c->n_entries++;
    c->bytes += e->value->bytes;
}

void cache_put(struct cache *c, struct cache_key key, struct cached *value)
{
    struct entry *gone = NULL, *e = cache_admits(c, value->bytes) ? malloc(sizeof *e) : NULL;
    if (e) {
        atomic_fetch_add_explicit(&value->refs, 1, memory_order_relaxed);
        *e = (struct entry){.key = key, .value = value, .rounds = 1};
    }
    pthread_mutex_lock(&c->lock);
    if (e)
        insert(c, e, &gone);
    evict(c, &gone);
    metric_set(c->options.bytes, (int64_t)c->bytes);
    pthread_mutex_unlock(&c->lock);
    free_entries(gone);
}

void cache_forget(struct cache *c, uint64_t owner, uint64_t n)
{
    struct entry *gone = NULL;
    pthread_mutex_lock(&c->lock);
    for (uint64_t i = 0; i < n; i++) {
        struct entry **at = find(c, (struct cache_key){owner, i});
        if (*at)
            take_out(c, at, &gone);
    }
    pthread_mutex_unlock(&c->lock);
    free_entries(gone);
}
