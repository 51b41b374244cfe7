#include "engine/mito/series.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "format/key/key.h"

struct bytes { const uint8_t *data; uint32_t size; };
struct wire_name { struct bytes span; uint32_t series; };

struct series_table {
    pthread_mutex_t lock;
    struct region_metadata *metadata;
    struct budget *budget;
    struct arena arena;           /* key and span bytes */
    struct bytes *keys;           /* by series id */
    struct wire_name *names;
    uint32_t n_series, keys_capacity, n_names, names_capacity;
    struct dict_map by_key, by_name;
    struct dynbuf key_scratch;
    struct series_snapshot *latest; /* NULL or a snapshot of n_series series */
};

struct series_snapshot {
    _Atomic int refs;
    struct region_metadata *metadata;
    struct budget *budget;
    uint32_t n;
    uint32_t *ranks;
    struct column *keys;
    pthread_mutex_t lock; /* guards tags */
    struct column **tags; /* metadata->n_key of them, NULL until asked for */
};

int series_table_new(struct region_metadata *metadata, struct budget *budget, struct series_table **ret_table, struct error *err)
{
    struct series_table *t = calloc(1, sizeof *t);
    if (!t)
        return error_no_memory(err, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    t->metadata = region_metadata_ref(metadata);
    t->budget = budget;
    arena_init(&t->arena, budget);
    dict_map_init(&t->by_key);
    dict_map_init(&t->by_name);
    dynbuf_init(&t->key_scratch, (size_t)1 << 30);
    *ret_table = t;
    return ST_OK;
}

void series_table_free(struct series_table *t)
{
    if (!t)
        return;
    series_snapshot_unref(t->latest);
    budget_release(t->budget, t->keys_capacity * sizeof *t->keys + t->names_capacity * sizeof *t->names);
    dict_map_release(&t->by_key);
    dict_map_release(&t->by_name);
    dynbuf_release(&t->key_scratch);
    arena_release(&t->arena);
    free(t->keys);
    free(t->names);
    region_metadata_unref(t->metadata);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static dict_key key_at(const void *ctx, uint32_t id)
{
    const struct series_table *t = ctx;
    return (dict_key){t->keys[id].data, t->keys[id].size};
}

static dict_key name_at(const void *ctx, uint32_t id)
{
    const struct series_table *t = ctx;
    return (dict_key){t->names[id].span.data, t->names[id].span.size};
}

/* Doubles an array that is full; the growth is charged. */
static int room_for_one(struct series_table *t, void **array, uint32_t used, uint32_t *capacity, size_t element, struct error *err)
{
    if (used < *capacity)
        return ST_OK;
    uint32_t bigger = *capacity ? *capacity * 2 : 16;
    TRY(budget_charge(t->budget, (bigger - *capacity) * element, err));
    void *grown = realloc(*array, bigger * element);
    if (!grown) {
        budget_release(t->budget, (bigger - *capacity) * element);
        return error_no_memory(err, bigger * element);
    }
    *array = grown;
    *capacity = bigger;
    return ST_OK;
}

static int intern_key(struct series_table *t, const struct dynbuf *key, uint32_t *ret_id, struct error *err)
{
    uint64_t hash = hash_bytes(key->data, key->size);
    uint32_t id = dict_map_find(&t->by_key, hash, key->data, key->size, key_at, t);
    bool added;
    if (id != UINT32_MAX) {
        *ret_id = id;
        return ST_OK;
    }
    TRY(room_for_one(t, (void **)&t->keys, t->n_series, &t->keys_capacity, sizeof *t->keys, err));
    uint8_t *copy = (uint8_t *)arena_copy(&t->arena, key->data, key->size, err);
    if (!copy)
        return err ? (int)err->status : ST_NO_MEMORY;
    t->keys[t->n_series] = (struct bytes){copy, (uint32_t)key->size};
    TRY(dict_map_intern(&t->by_key, hash, key->data, key->size, key_at, t, ret_id, &added, err));
    t->n_series++;
    series_snapshot_unref(t->latest);
    t->latest = NULL;
    return ST_OK;
}

/* A span that no map knows yet. */
static int resolve_new(struct series_table *t, const struct row_write *w, int64_t row, uint32_t *ret_id, struct error *err)
{
    struct key_span span = w->spans[row];
    uint32_t name;
    bool added;
    dynbuf_clear(&t->key_scratch);
    TRY(row_write_encode_key(w, span, &t->key_scratch, err));
    TRY(intern_key(t, &t->key_scratch, ret_id, err));
    TRY(room_for_one(t, (void **)&t->names, t->n_names, &t->names_capacity, sizeof *t->names, err));
    uint8_t *copy = (uint8_t *)arena_copy(&t->arena, span.data, span.size, err);
    if (!copy)
        return err ? (int)err->status : ST_NO_MEMORY;
    t->names[t->n_names] = (struct wire_name){{copy, span.size}, *ret_id};
    TRY(dict_map_intern(&t->by_name, w->hashes[row], span.data, span.size, name_at, t, &name, &added, err));
    t->n_names++;
    return ST_OK;
}

int series_table_resolve(struct series_table *t, const struct row_write *w, uint32_t *ret_ids, struct error *err)
{
    int st = ST_OK;
    pthread_mutex_lock(&t->lock);
    if (!w->spans) { /* no tags: one series with the empty key */
        uint32_t id = 0;
        dynbuf_clear(&t->key_scratch);
        st = intern_key(t, &t->key_scratch, &id, err);
        memset(ret_ids, 0, (size_t)w->n_rows * sizeof *ret_ids);
    }
    for (int64_t i = 0; w->spans && i < w->n_rows && st == ST_OK; i++) {
        uint32_t name = dict_map_find(&t->by_name, w->hashes[i], w->spans[i].data, w->spans[i].size, name_at, t);
        if (name != UINT32_MAX)
            ret_ids[i] = t->names[name].series;
        else
            st = resolve_new(t, w, i, &ret_ids[i], err);
    }
    pthread_mutex_unlock(&t->lock);
    return st;
}

uint32_t series_table_count(struct series_table *t)
{
    pthread_mutex_lock(&t->lock);
    uint32_t n = t->n_series;
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* ---- snapshots ---- */

struct ranked { struct bytes key; uint32_t id; };

static int by_key_bytes(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    uint32_t n = x->key.size < y->key.size ? x->key.size : y->key.size;
    int c = n ? memcmp(x->key.data, y->key.data, n) : 0;
    return c ? c : (x->key.size > y->key.size) - (x->key.size < y->key.size);
}

static int fill_snapshot(struct series_table *t, struct series_snapshot *s, struct ranked *ranked, struct error *err)
{
    size_t total = 0;
    struct buffer *offsets = NULL, *bytes = NULL;
    for (uint32_t i = 0; i < s->n; i++) {
        ranked[i] = (struct ranked){t->keys[i], i};
        total += t->keys[i].size;
    }
    if (total > INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "the primary keys of a memtable take more than 2 GiB");
    qsort(ranked, s->n, sizeof *ranked, by_key_bytes);
    TRY(buffer_new_uninit(t->budget, ((size_t)s->n + 1) * 4, &offsets, err));
    int st = buffer_new_uninit(t->budget, total, &bytes, err);
    if (st != ST_OK) {
        buffer_unref(offsets);
        return st;
    }
    int32_t *o = (int32_t *)(void *)offsets->data;
    int32_t at = 0;
    for (uint32_t r = 0; r < s->n; r++) {
        s->ranks[ranked[r].id] = r;
        o[r] = at;
        if (ranked[r].key.size)
            memcpy(bytes->data + at, ranked[r].key.data, ranked[r].key.size);
        at += (int32_t)ranked[r].key.size;
    }
    o[s->n] = at;
    return column_new(type_of(TYPE_BINARY), s->n, 0, NULL, offsets, bytes, &s->keys, err);
}

static int make_snapshot(struct series_table *t, struct series_snapshot **ret_snapshot, struct error *err)
{
    uint32_t n = t->n_series;
    struct series_snapshot *s = calloc(1, sizeof *s);
    struct ranked *ranked = malloc((n + 1) * sizeof *ranked);
    if (s) {
        atomic_init(&s->refs, 1);
        s->n = n;
        s->budget = t->budget;
        s->metadata = region_metadata_ref(t->metadata);
        pthread_mutex_init(&s->lock, NULL);
        s->ranks = malloc((n + 1) * sizeof *s->ranks);
        s->tags = calloc(t->metadata->n_key + 1, sizeof *s->tags);
    }
    int st = s && ranked && s->ranks && s->tags ? fill_snapshot(t, s, ranked, err) : error_no_memory(err, n * sizeof *ranked);
    free(ranked);
    if (st == ST_OK)
        *ret_snapshot = s;
    else
        series_snapshot_unref(s);
    return st;
}

int series_table_snapshot(struct series_table *t, struct series_snapshot **ret_snapshot, struct error *err)
{
    pthread_mutex_lock(&t->lock);
    int st = t->latest ? ST_OK : make_snapshot(t, &t->latest, err);
    if (st == ST_OK) {
        atomic_fetch_add(&t->latest->refs, 1);
        *ret_snapshot = t->latest;
    }
    pthread_mutex_unlock(&t->lock);
    return st;
}

void series_snapshot_unref(struct series_snapshot *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    for (uint32_t k = 0; s->tags && k < s->metadata->n_key; k++)
        column_unref(s->tags[k]);
    free(s->tags);
    free(s->ranks);
    column_unref(s->keys);
    region_metadata_unref(s->metadata);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

uint32_t series_snapshot_count(const struct series_snapshot *s)
{
    return s->n;
}

const uint32_t *series_snapshot_ranks(const struct series_snapshot *s)
{
    return s->ranks;
}

struct column *series_snapshot_keys(const struct series_snapshot *s)
{
    return s->keys;
}

/* Decodes every key once, filling the columns of all tags. */
static int decode_tags(struct series_snapshot *s, struct error *err)
{
    uint32_t n_key = s->metadata->n_key, made = 0;
    struct column_builder *builders = calloc(n_key, sizeof *builders);
    int st = builders ? ST_OK : error_no_memory(err, n_key * sizeof *builders);
    for (; st == ST_OK && made < n_key; made += st == ST_OK)
        st = column_builder_init(&builders[made], s->budget, s->metadata->columns[s->metadata->key[made]].type, err);
    for (uint32_t i = 0; st == ST_OK && i < s->n; i++) {
        int32_t size;
        const uint8_t *key = column_bytes(s->keys, i, &size);
        size_t pos = 0;
        for (uint32_t k = 0; st == ST_OK && k < n_key; k++)
            st = key_decode_value(key, (size_t)size, &pos, &builders[k], err);
    }
    for (uint32_t k = 0; st == ST_OK && k < n_key; k++)
        st = column_builder_finish(&builders[k], &s->tags[k], err);
    for (uint32_t k = 0; st != ST_OK && k < n_key; k++) { /* all or none: the next call decodes them again */
        column_unref(s->tags[k]);
        s->tags[k] = NULL;
    }
    for (uint32_t k = 0; k < made; k++)
        column_builder_release(&builders[k]);
    free(builders);
    return st;
}

int series_snapshot_tag(struct series_snapshot *s, uint32_t k, struct column **ret_tag, struct error *err)
{
    pthread_mutex_lock(&s->lock);
    int st = s->tags[k] ? ST_OK : decode_tags(s, err);
    if (st == ST_OK)
        *ret_tag = s->tags[k];
    pthread_mutex_unlock(&s->lock);
    return st;
}
