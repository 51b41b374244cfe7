#include "engine/mito/series.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "format/key/key.h"

struct bytes { const uint8_t *data; uint32_t size; };
struct wire_name { struct bytes span; uint32_t series, layout; }; /* layout: NO_LAYOUT or an id of by_layout */

#define NO_LAYOUT UINT32_MAX

struct series_table {
    pthread_mutex_t lock;
    struct region_metadata *metadata;
    struct budget *budget;
    struct arena arena;           /* key and span bytes */
    struct bytes *keys;           /* by series id */
    struct wire_name *names;
    struct bytes *layouts;        /* identities (rows.h), by layout id */
    uint32_t n_series, keys_capacity, n_names, names_capacity, n_layouts, layouts_capacity;
    struct dict_map by_key, by_name, by_layout;
    size_t map_bytes;             /* of all three, charged */
    size_t key_bytes;
    struct dynbuf key_scratch;
    struct series_snapshot *latest; /* NULL or a snapshot of n_series series */
};

struct series_snapshot {
    _Atomic int refs;
    struct region_metadata *metadata;
    struct budget *budget;
    size_t charged;       /* for ranks */
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
    dict_map_init(&t->by_layout);
    dynbuf_init(&t->key_scratch, (size_t)1 << 30);
    *ret_table = t;
    return ST_OK;
}

void series_table_free(struct series_table *t)
{
    if (!t)
        return;
    series_snapshot_unref(t->latest);
    budget_release(t->budget, t->keys_capacity * sizeof *t->keys + t->names_capacity * sizeof *t->names +
                                  t->layouts_capacity * sizeof *t->layouts + t->map_bytes);
    dict_map_release(&t->by_key);
    dict_map_release(&t->by_name);
    dict_map_release(&t->by_layout);
    dynbuf_release(&t->key_scratch);
    arena_release(&t->arena);
    free(t->keys);
    free(t->names);
    free(t->layouts);
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

static dict_key layout_at(const void *ctx, uint32_t id)
{
    const struct series_table *t = ctx;
    return (dict_key){t->layouts[id].data, t->layouts[id].size};
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

static int copy_bytes(struct series_table *t, const void *data, size_t size, struct bytes *ret, struct error *err)
{
    const uint8_t *copy = (const uint8_t *)arena_copy(&t->arena, data, size, err);
    if (!copy)
        return err ? (int)err->status : ST_NO_MEMORY;
    *ret = (struct bytes){copy, (uint32_t)size};
    return ST_OK;
}

static int intern_key(struct series_table *t, uint64_t hash, struct bytes key, uint32_t *ret_id, struct error *err)
{
    bool added;
    TRY(room_for_one(t, (void **)&t->keys, t->n_series, &t->keys_capacity, sizeof *t->keys, err));
    TRY(copy_bytes(t, key.data, key.size, &t->keys[t->n_series], err));
    TRY(dict_map_intern(&t->by_key, hash, key.data, key.size, key_at, t, ret_id, &added, err));
    t->n_series++;
    t->key_bytes += key.size;
    series_snapshot_unref(t->latest);
    t->latest = NULL;
    return ST_OK;
}

static int find_key(struct series_table *t, const struct row_write *w, struct bytes key, uint64_t hash, uint32_t *ret_id, struct error *err)
{
    *ret_id = dict_map_find(&t->by_key, hash, key.data, key.size, key_at, t);
    if (*ret_id != UINT32_MAX)
        return ST_OK;
    if (w->keys_unchecked)
        TRY(row_write_check_key(w->metadata, (struct key_span){key.data, key.size}, err));
    return intern_key(t, hash, key, ret_id, err);
}

static int encode_key(struct series_table *t, struct row_write *w, const struct key_layout *layout, int64_t row, struct error *err)
{
    dynbuf_clear(&t->key_scratch);
    return layout ? row_write_encode_labels(w, layout, w->spans[row], &t->key_scratch, err) : row_write_encode_key(w, w->spans[row], &t->key_scratch, err);
}

/* Maps grow as they like; what they have grown by is charged after each write. */
static int charge_maps(struct series_table *t, struct error *err)
{
    size_t bytes = dict_map_bytes(&t->by_key) + dict_map_bytes(&t->by_name) + dict_map_bytes(&t->by_layout);
    if (bytes <= t->map_bytes)
        return ST_OK;
    TRY(budget_charge(t->budget, bytes - t->map_bytes, err));
    t->map_bytes = bytes;
    return ST_OK;
}

/* A span that no map knows yet. */
static int resolve_new(struct series_table *t, struct row_write *w, const struct key_layout *layout, uint32_t layout_id, int64_t row, bool keep_name,
                       uint32_t *ret_id, struct error *err)
{
    struct key_span span = w->spans[row];
    uint32_t name;
    bool added;
    TRY(encode_key(t, w, layout, row, err));
    struct bytes key = {t->key_scratch.data, (uint32_t)t->key_scratch.size};
    TRY(find_key(t, w, key, hash_bytes(key.data, key.size), ret_id, err));
    if (!keep_name)
        return ST_OK;
    TRY(room_for_one(t, (void **)&t->names, t->n_names, &t->names_capacity, sizeof *t->names, err));
    struct wire_name *n = &t->names[t->n_names];
    TRY(copy_bytes(t, span.data, span.size, &n->span, err));
    n->series = *ret_id;
    n->layout = layout_id;
    TRY(dict_map_intern(&t->by_name, w->hashes[row], span.data, span.size, name_at, t, &name, &added, err));
    t->n_names++;
    return ST_OK;
}

static int layout_id_of(struct series_table *t, const struct key_layout *l, uint32_t *ret_id, struct error *err)
{
    size_t size = ((size_t)l->n_labels + 1) * sizeof *l->identity;
    bool added;
    *ret_id = dict_map_find(&t->by_layout, l->hash, l->identity, size, layout_at, t);
    if (*ret_id != UINT32_MAX)
        return ST_OK;
    TRY(room_for_one(t, (void **)&t->layouts, t->n_layouts, &t->layouts_capacity, sizeof *t->layouts, err));
    TRY(copy_bytes(t, l->identity, size, &t->layouts[t->n_layouts], err));
    TRY(dict_map_intern(&t->by_layout, l->hash, l->identity, size, layout_at, t, ret_id, &added, err));
    t->n_layouts++;
    return ST_OK;
}

/* Rows [from, to), whose spans mean what `layout` says (NULL: the region's key). */
static int resolve_rows(struct series_table *t, struct row_write *w, const struct key_layout *layout, int64_t from, int64_t to, uint32_t *ret_ids,
                        struct error *err)
{
    uint32_t layout_id = NO_LAYOUT;
    if (layout)
        TRY(layout_id_of(t, layout, &layout_id, err));
    for (int64_t i = from; i < to; i++) {
        struct bytes span = {w->spans[i].data, w->spans[i].size};
        if (w->spans_are_keys) {
            TRY(find_key(t, w, span, w->hashes[i], &ret_ids[i], err));
            continue;
        }
        uint32_t name = dict_map_find(&t->by_name, w->hashes[i], span.data, span.size, name_at, t);
        if (name != UINT32_MAX && t->names[name].layout == layout_id)
            ret_ids[i] = t->names[name].series;
        else /* a name that equal hashes of different tables have taken is not kept a second time */
            TRY(resolve_new(t, w, layout, layout_id, i, name == UINT32_MAX, &ret_ids[i], err));
    }
    return ST_OK;
}

int series_table_resolve(struct series_table *t, struct row_write *w, uint32_t *ret_ids, struct error *err)
{
    int st = ST_OK;
    pthread_mutex_lock(&t->lock);
    if (!w->spans) { /* no tags: one series with the empty key */
        uint32_t id = 0;
        st = find_key(t, w, (struct bytes){(const uint8_t *)"", 0}, hash_bytes("", 0), &id, err);
        memset(ret_ids, 0, (size_t)w->n_rows * sizeof *ret_ids);
    } else if (!w->n_layouts) {
        st = resolve_rows(t, w, NULL, 0, w->n_rows, ret_ids, err);
    }
    for (uint32_t l = 0; l < w->n_layouts && st == ST_OK; l++) {
        int64_t to = l + 1 < w->n_layouts ? w->layouts[l + 1].first_row : w->n_rows;
        st = resolve_rows(t, w, &w->layouts[l], w->layouts[l].first_row, to, ret_ids, err);
    }
    if (st == ST_OK)
        st = charge_maps(t, err);
    pthread_mutex_unlock(&t->lock);
    return st;
}

void series_table_keys(struct series_table *t, const uint32_t *ids, int64_t n, struct key_span *ret_keys)
{
    pthread_mutex_lock(&t->lock);
    for (int64_t i = 0; i < n; i++)
        ret_keys[i] = (struct key_span){t->keys[ids[i]].data, t->keys[ids[i]].size}; /* the bytes stay where they are, the array may move */
    pthread_mutex_unlock(&t->lock);
}

size_t series_table_key_bytes(struct series_table *t)
{
    pthread_mutex_lock(&t->lock);
    size_t bytes = t->key_bytes;
    pthread_mutex_unlock(&t->lock);
    return bytes;
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
    size_t kept = (n + (size_t)1) * sizeof *t->latest->ranks, scratch = (n + (size_t)1) * sizeof(struct ranked);
    TRY(budget_charge(t->budget, kept + scratch, err));
    struct series_snapshot *s = calloc(1, sizeof *s);
    struct ranked *ranked = malloc(scratch);
    budget_release(t->budget, s ? 0 : kept);
    if (s) {
        s->charged = kept;
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
    budget_release(t->budget, scratch);
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
    budget_release(s->budget, s->charged);
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
static int decode_dense(struct series_snapshot *s, struct error *err)
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

/* One column out of sparse keys: a region may have far more labels than a query wants. */
static int decode_sparse(struct series_snapshot *s, uint32_t k, struct error *err)
{
    const struct region_column *c = &s->metadata->columns[s->metadata->key[k]];
    struct column_builder b;
    struct dynbuf text;
    dynbuf_init(&text, (size_t)1 << 30);
    TRY(column_builder_init(&b, s->budget, c->type, err));
    int st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < s->n; i++) {
        int32_t size;
        const uint8_t *key = column_bytes(s->keys, i, &size);
        st = key_sparse_decode(key, (size_t)size, c->id, &text, &b, err);
    }
    if (st == ST_OK)
        st = column_builder_finish(&b, &s->tags[k], err);
    column_builder_release(&b);
    dynbuf_release(&text);
    return st;
}

int series_snapshot_tag(struct series_snapshot *s, uint32_t k, struct column **ret_tag, struct error *err)
{
    pthread_mutex_lock(&s->lock);
    int st = s->tags[k] ? ST_OK : s->metadata->sparse_key ? decode_sparse(s, k, err) : decode_dense(s, err);
    if (st == ST_OK)
        *ret_tag = s->tags[k];
    pthread_mutex_unlock(&s->lock);
    return st;
}
