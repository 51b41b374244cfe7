/* See cluster/report.h. */
#include "cluster/report.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/crc32.h"
#include "base/hash.h"
#include "cluster/squeeze.h"

enum {
    CHUNK_REGIONS = 64,
    COLD_AFTER = 3,     /* heartbeats without a change */
    REFRESH_EVERY = 64, /* an unchanged region is asked again each so many heartbeats, should a change ever go unnoticed */
    BYTES_MAX = 256 << 20,
    CACHE_LINE = 64,
};

struct chunk;

struct entry {
    uint64_t activity, seen; /* seen: the number of the last update that met the region */
    struct chunk *chunk;     /* NULL: hot */
    const char *engine;
    unsigned idle; /* updates without a change */
    struct region_stat stat;
};

struct chunk {
    struct chunk *next;
    struct entry *entries[CHUNK_REGIONS];
    uint32_t starts[CHUNK_REGIONS]; /* in plain */
    unsigned n;
    bool stale;  /* plain is not what the entries say */
    bool packed; /* deflated is plain's */
    struct dynbuf plain, deflated;
    uint32_t crc;
};

struct report {
    struct u64_map entries;
    struct chunk *chunks;
    uint64_t updates;
    size_t n_seen;     /* entries that the last update met */
    struct dynbuf hot; /* scratch, as is where each region begins in it */
    uint32_t *starts;
    size_t n_starts, room;
};

int report_new(struct report **ret_report, struct error *err)
{
    struct report *r = calloc(1, sizeof(*r));
    if (!r)
        return error_no_memory(err, sizeof(*r));
    u64_map_init(&r->entries);
    dynbuf_init(&r->hot, BYTES_MAX);
    *ret_report = r;
    return ST_OK;
}

void report_free(struct report *r)
{
    size_t pos = 0;
    uint64_t id;
    void *value;
    if (!r)
        return;
    while (u64_map_next(&r->entries, &pos, &id, &value))
        free(value);
    u64_map_release(&r->entries);
    while (r->chunks) {
        struct chunk *c = r->chunks;
        r->chunks = c->next;
        dynbuf_release(&c->plain);
        dynbuf_release(&c->deflated);
        free(c);
    }
    dynbuf_release(&r->hot);
    free(r->starts);
    free(r);
}

size_t report_regions(const struct report *r)
{
    return r->entries.count;
}

/* ---- taking in ---- */

static void leave_chunk(struct entry *e)
{
    struct chunk *c = e->chunk;
    for (unsigned i = 0; c && i < c->n; i++)
        if (c->entries[i] == e) {
            c->entries[i] = c->entries[--c->n];
            c->stale = true;
            break;
        }
    e->chunk = NULL;
}

/* Stays hot when memory fails. */
static void join_chunk(struct report *r, struct entry *e)
{
    struct chunk *c = r->chunks;
    while (c && c->n == CHUNK_REGIONS)
        c = c->next;
    if (!c) {
        c = calloc(1, sizeof(*c));
        if (!c)
            return;
        dynbuf_init(&c->plain, BYTES_MAX);
        dynbuf_init(&c->deflated, BYTES_MAX);
        c->next = r->chunks;
        r->chunks = c;
    }
    c->entries[c->n++] = e;
    c->stale = true;
    e->chunk = c;
}

static bool same(const struct region_stat *a, const struct region_stat *b)
{
    return a->role == b->role && a->num_rows == b->num_rows && a->memtable_bytes == b->memtable_bytes && a->wal_bytes == b->wal_bytes &&
           a->manifest_bytes == b->manifest_bytes && a->sst_bytes == b->sst_bytes && a->sst_num == b->sst_num && a->index_bytes == b->index_bytes &&
           a->written_bytes == b->written_bytes && a->manifest_version == b->manifest_version && a->flushed_entry_id == b->flushed_entry_id &&
           a->removed_files == b->removed_files && a->has_metadata_part == b->has_metadata_part &&
           a->metadata_manifest_version == b->metadata_manifest_version && a->metadata_flushed_entry_id == b->metadata_flushed_entry_id;
}

static int entry_of(struct report *r, const struct region_activity *a, struct entry **ret_entry, struct error *err)
{
    struct entry *e = u64_map_get(&r->entries, a->region_id);
    if (!e) {
        e = calloc(1, sizeof(*e));
        int rc = e ? u64_map_put(&r->entries, a->region_id, e, err) : error_no_memory(err, sizeof(*e));
        if (rc) {
            free(e);
            return rc;
        }
    }
    __builtin_prefetch(e, 1);
    *ret_entry = e;
    return ST_OK;
}

static void note_seen(struct report *r, struct entry *e)
{
    e->seen = r->updates;
    r->n_seen++;
    if (!e->chunk && ++e->idle > COLD_AFTER)
        join_chunk(r, e);
}

static void take_stat(struct report *r, struct entry *e, const struct region_activity *a, const struct region_stat *stat)
{
    if (!e->seen || !same(stat, &e->stat)) {
        e->idle = 0;
        leave_chunk(e);
    }
    e->engine = region_activity_engine(a);
    e->stat = *stat;
    e->activity = a->activity;
    note_seen(r, e);
}

/* Up to REGION_STATS_MAX regions, in rounds, so that the waits for the memory of each overlap. */
static int update_some(struct report *r, struct region_server *regions, const struct region_activity *list, size_t n, struct error *err)
{
    struct entry *entries[REGION_STATS_MAX], *asked[REGION_STATS_MAX];
    struct region_activity ask[REGION_STATS_MAX];
    struct region_stat stats[REGION_STATS_MAX];
    bool known[REGION_STATS_MAX];
    size_t n_ask = 0;
    for (size_t i = 0; i < n; i++)
        TRY(entry_of(r, &list[i], &entries[i], err));
    for (size_t i = 0; i < n; i++) {
        struct entry *e = entries[i];
        if (e->seen && e->activity == list[i].activity && (r->updates + list[i].region_id) % REFRESH_EVERY != 0) {
            note_seen(r, e);
            continue;
        }
        for (const char *p = (const char *)&e->stat; p < (const char *)(e + 1); p += CACHE_LINE)
            __builtin_prefetch(p, 1);
        ask[n_ask] = list[i];
        asked[n_ask++] = e;
    }
    TRY(region_server_stats(regions, ask, n_ask, stats, known, err));
    for (size_t i = 0; i < n_ask; i++)
        if (known[i])
            take_stat(r, asked[i], &ask[i], &stats[i]);
    return ST_OK;
}

/* Regions that are not here any more. */
static void forget_unseen(struct report *r)
{
    size_t pos = 0;
    uint64_t id, gone[64];
    void *value;
    unsigned n;
    do {
        n = 0;
        pos = 0;
        while (n < 64 && u64_map_next(&r->entries, &pos, &id, &value))
            if (((struct entry *)value)->seen != r->updates)
                gone[n++] = id;
        for (unsigned i = 0; i < n; i++) {
            struct entry *e = u64_map_remove(&r->entries, gone[i]);
            leave_chunk(e);
            free(e);
        }
    } while (n == 64);
}

int report_update(struct report *r, struct region_server *regions, struct error *err)
{
    struct region_activity *list;
    size_t n;
    TRY(region_server_activities(regions, &list, &n, err));
    r->updates++;
    r->n_seen = 0;
    int rc = ST_OK;
    for (size_t i = 0, some; rc == ST_OK && i < n; i += some) {
        some = n - i < REGION_STATS_MAX ? n - i : REGION_STATS_MAX;
        rc = update_some(r, regions, list + i, some, err);
    }
    free(list);
    if (rc == ST_OK && r->n_seen != r->entries.count)
        forget_unseen(r);
    return rc;
}

/* ---- writing ---- */

static int refresh_chunk(struct chunk *c, struct error *err)
{
    if (!c->stale)
        return ST_OK;
    dynbuf_clear(&c->plain);
    for (unsigned i = 0; i < c->n; i++) {
        c->starts[i] = (uint32_t)c->plain.size;
        TRY(message_put_region(&c->plain, &c->entries[i]->stat, c->entries[i]->engine, err));
    }
    c->stale = c->packed = false;
    return ST_OK;
}

static int pack_chunk(struct chunk *c, struct error *err)
{
    if (c->packed)
        return ST_OK;
    dynbuf_clear(&c->deflated);
    TRY(squeeze(c->plain.data, c->plain.size, c->starts, c->n, &c->deflated, err));
    c->crc = crc32_ieee(0, c->plain.data, c->plain.size);
    c->packed = true;
    return ST_OK;
}

static int write_gzip(struct report *r, struct dynbuf *out, size_t plain_bytes, struct error *err)
{
    static const uint8_t head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff}, last_block[] = {0x03, 0x00};
    uint8_t tail[8];
    TRY(dynbuf_append(out, head, sizeof(head), err));
    TRY(squeeze(r->hot.data, r->hot.size, r->starts, r->n_starts, out, err));
    uLong crc = crc32_ieee(0, r->hot.data, r->hot.size);
    for (struct chunk *c = r->chunks; c; c = c->next) {
        if (!c->n)
            continue;
        TRY(pack_chunk(c, err));
        TRY(dynbuf_append(out, c->deflated.data, c->deflated.size, err));
        crc = crc32_combine(crc, c->crc, (z_off_t)c->plain.size);
    }
    for (int i = 0; i < 4; i++) {
        tail[i] = (uint8_t)(crc >> 8 * i);
        tail[4 + i] = (uint8_t)(plain_bytes >> 8 * i);
    }
    TRY(dynbuf_append(out, last_block, sizeof(last_block), err));
    return dynbuf_append(out, tail, sizeof(tail), err);
}

/* For the start of every region, and none is known yet. */
static int make_room(struct report *r, struct error *err)
{
    r->n_starts = 0;
    if (r->room >= r->entries.count)
        return ST_OK;
    size_t room = r->entries.count + r->entries.count / 4;
    uint32_t *more = realloc(r->starts, room * sizeof(*more));
    if (!more)
        return error_no_memory(err, room * sizeof(*more));
    r->starts = more;
    r->room = room;
    return ST_OK;
}

int report_write(struct report *r, const struct dynbuf *node, struct dynbuf *out, bool *ret_gzipped, struct error *err)
{
    size_t pos = 0, bytes;
    uint64_t id;
    void *value;
    dynbuf_clear(&r->hot);
    dynbuf_clear(out);
    TRY(dynbuf_append(&r->hot, node->data, node->size, err));
    TRY(make_room(r, err));
    while (u64_map_next(&r->entries, &pos, &id, &value)) {
        const struct entry *e = value;
        if (e->chunk || !e->seen) /* not seen: memory failed before it was */
            continue;
        r->starts[r->n_starts++] = (uint32_t)r->hot.size;
        TRY(message_put_region(&r->hot, &e->stat, e->engine, err));
    }
    bytes = r->hot.size;
    for (struct chunk *c = r->chunks; c; c = c->next) {
        TRY(refresh_chunk(c, err));
        bytes += c->plain.size;
    }
    *ret_gzipped = bytes > REPORT_PLAIN_BYTES;
    if (*ret_gzipped)
        return write_gzip(r, out, bytes, err);
    TRY(dynbuf_append(out, r->hot.data, r->hot.size, err));
    for (struct chunk *c = r->chunks; c; c = c->next)
        if (c->plain.size)
            TRY(dynbuf_append(out, c->plain.data, c->plain.size, err));
    return ST_OK;
}
