/* The writing half of the log: group commit, rotation, durability.
 *
 * A log is a folder of segments <sequence as %016x>.wal. A segment is a header of 64 bytes (magic, version, sequence, random salt, CRC) and records:
 *
 *   u32 CRC-32C of the salt and the 44 bytes that follow | u32 CRC-32C of the payload | u64 payload bytes | u64 region | u64 entry |
 *   u64 previous entry of the region (0: none) | u64 synced | payload
 *
 * all little-endian. The first record is a checkpoint, others are notes (checkpoint.c). The salt keeps stale bytes of other segments out. `previous`
 * chains the records of a region, so that a lost record or segment is noticed by exactly the regions that lose by it; the checkpoints do the same for
 * the last record of a region. `synced` says how much of the segment was on disk when the record was written: an invalid record in the newest segment
 * is damage when a later record vouches for its bytes, and otherwise an unsynced tail, which nobody was promised. A segment is synced before its
 * successor is begun, hence only the newest can have such a tail; an empty successor counts, and a clean stop leaves one.
 *
 * The first thread that waits becomes the leader: it takes what is queued, writes it with one call, syncs once, and wakes the others. A failed
 * write is undone by truncation, and everything queued then fails, so that no later record overtakes an earlier one. So is, in the fsync mode, a
 * batch whose sync found the disk full. What a failed sync of acknowledged records, or a failed truncation, leads to: wal_sync.c.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/crc32c.h"
#include "os/thread.h"
#include "wal/internal.h"

enum { BATCH_VECTORS = 1000, BATCH_BYTES = 16 << 20 };

struct request {
    struct request *next;
    struct record_header header;
    uint8_t bytes[RECORD_HEADER_BYTES];
    bool done;
    struct error error;
    int n;
    struct iovec iov[];
};

void wal_segment_path(const struct wal *w, uint64_t sequence, char ret_path[PATH_BYTES])
{
    snprintf(ret_path, PATH_BYTES, "%s/%016llx.wal", w->dir, (unsigned long long)sequence);
}

static void free_values(struct u64_map *m)
{
    size_t pos = 0;
    uint64_t key;
    void *value;
    while (u64_map_next(m, &pos, &key, &value))
        free(value);
    u64_map_release(m);
}

void span_free(struct span *span)
{
    if (span)
        free(span->offsets);
    free(span);
}

void segment_free(struct segment *s)
{
    size_t pos = 0;
    uint64_t key;
    void *value;
    if (!s)
        return;
    while (u64_map_next(&s->spans, &pos, &key, &value))
        span_free(value);
    u64_map_release(&s->spans);
    free(s);
}

int wal_add_segment(struct wal *w, struct segment *s, struct error *err)
{
    if (w->count == w->capacity) {
        size_t capacity = w->capacity ? 2 * w->capacity : 16;
        struct segment **grown = realloc(w->segments, capacity * sizeof(*grown));
        if (!grown)
            return error_no_memory(err, capacity * sizeof(*grown));
        w->segments = grown;
        w->capacity = capacity;
    }
    w->segments[w->count++] = s;
    return ST_OK;
}

/* Header and checkpoint. The header is on disk before anything follows it: a damaged one in a longer file was damaged later. */
static int write_head(struct wal *w, struct segment *s, struct fs_file *f, struct error *err)
{
    uint8_t header[SEGMENT_HEADER_BYTES], bytes[RECORD_HEADER_BYTES];
    segment_header_put(header, s->sequence, s->salt);
    struct iovec v = {header, sizeof(header)};
    TRY(f->ops->write_at(f, 0, &v, 1, err));
    TRY(wal_sync_or_fail(w, f, true, err));
    struct dynbuf list;
    dynbuf_init(&list, SIZE_MAX / 2);
    pthread_mutex_lock(&w->lock);
    int st = wal_checkpoint_build(w, &list, err);
    pthread_mutex_unlock(&w->lock);
    if (st == ST_OK) {
        record_header_put(bytes, s->salt, &(struct record_header){ .payload_crc = crc32c(0, list.data, list.size), .size = list.size,
                                                                   .region_id = CHECKPOINT_REGION, .synced = SEGMENT_HEADER_BYTES });
        struct iovec record[2] = { { bytes, sizeof(bytes) }, { list.data, list.size } };
        st = f->ops->write_at(f, SEGMENT_HEADER_BYTES, record, 2, err);
        s->size = s->body_at = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + list.size;
    }
    dynbuf_release(&list);
    return st == ST_OK ? wal_sync_or_fail(w, f, true, err) : st;
}

/* Leader only, without the lock. */
static int begin_segment(struct wal *w, struct error *err)
{
    struct fs *fs = w->options.fs;
    struct segment *s = calloc(1, sizeof(*s));
    if (!s)
        return error_no_memory(err, sizeof(*s));
    u64_map_init(&s->spans);
    s->sequence = w->next_sequence;
    random_bytes(&s->salt, sizeof(s->salt));
    char path[PATH_BYTES];
    wal_segment_path(w, s->sequence, path);
    struct fs_file *f = NULL;
    int st = fs->ops->open(fs, path, FS_WRITE | FS_TRUNCATE, &f, err);
    if (st == ST_OK)
        st = write_head(w, s, f, err);
    if (st == ST_OK)
        st = wal_sync_or_fail(w, NULL, true, err);
    if (st == ST_OK) {
        pthread_mutex_lock(&w->lock);
        st = wal_add_segment(w, s, err);
        if (st == ST_OK) {
            w->file = f;
            w->synced = s->size;
            w->unsynced_crc = 0;
            w->next_sequence++;
        }
        pthread_mutex_unlock(&w->lock);
    }
    if (st != ST_OK) {
        if (f) {
            f->ops->close(f);
            fs->ops->remove(fs, path, NULL);
        }
        segment_free(s);
    }
    return st;
}

/* Leader only: the newest segment, rotated when full. */
static int ready_segment(struct wal *w, struct error *err)
{
    if (w->file && w->segments[w->count - 1]->size >= w->options.segment_bytes) {
        TRY(wal_sync_newest(w, err));
        pthread_mutex_lock(&w->lock);
        struct fs_file *f = w->file;
        w->file = NULL;
        pthread_mutex_unlock(&w->lock);
        f->ops->close(f);
    }
    return w->file ? ST_OK : begin_segment(w, err);
}

int wal_index(struct wal *w, struct segment *s, uint64_t offset, const struct record_header *h, struct error *err)
{
    struct region_state *r;
    TRY(wal_region(w, h->region_id, &r, err));
    struct span *span = u64_map_get(&s->spans, h->region_id);
    if (!span) {
        if (!(span = calloc(1, sizeof(*span))))
            return error_no_memory(err, sizeof(*span));
        span->first_offset = offset;
        int st = u64_map_put(&s->spans, h->region_id, span, err);
        if (st != ST_OK) {
            free(span);
            return st;
        }
        r->spans++;
    }
    if (h->prev_entry_id == 0 && r->last_entry_id) { /* the region was forgotten and began anew: what lies before counts no more */
        for (size_t i = 0; i < w->count; i++)
            if (w->segments[i] != s)
                wal_drop_span(w, w->segments[i], h->region_id);
        span->first_offset = offset;
        w->listed_offsets -= span->n_offsets;
        span->n_offsets = 0;
    }
    if (h->prev_entry_id == 0)
        r->expected = 0;
    r->epoch = w->epoch;
    span->last_offset = offset;
    span->last_entry_id = r->last_entry_id = h->entry_id;
    return ST_OK;
}

/* Each region gets back the entry before its first one in [batch, end), of which nothing is in the segment any more. With the lock. */
static void take_back(struct wal *w, struct segment *s, struct request *batch, const struct request *end)
{
    for (struct request *r = batch; r != end; r = r->next) {
        bool first = true;
        for (struct request *p = batch; p != r; p = p->next)
            first = first && p->header.region_id != r->header.region_id;
        struct region_state *state = u64_map_get(&w->regions, r->header.region_id);
        struct span *span = u64_map_get(&s->spans, r->header.region_id);
        if (first && state && state->last_entry_id)
            state->last_entry_id = r->header.prev_entry_id;
        if (first && span) {
            span->last_entry_id = r->header.prev_entry_id;
            if (span->first_offset >= s->size)
                wal_drop_span(w, s, r->header.region_id);
        }
    }
}

/* Numbers the requests from *next on, puts their records into the index and into iov, and moves *end behind them. On failure nothing from *next on is
 * in the index, so that nothing of it must be undone. With the lock. */
static int index_batch(struct wal *w, struct segment *s, struct request **next, struct iovec *iov, uint64_t *end, struct error *err)
{
    while (*next) {
        struct request *r = *next;
        struct region_state *state = u64_map_get(&w->regions, r->header.region_id);
        *next = r->next;
        r->header.prev_entry_id = state ? state->last_entry_id : 0;
        r->header.synced = w->synced;
        record_header_put(r->bytes, s->salt, &r->header);
        if (r->header.region_id != CHECKPOINT_REGION)
            TRY(wal_index(w, s, *end, &r->header, err));
        *iov++ = (struct iovec){r->bytes, RECORD_HEADER_BYTES};
        memcpy(iov, r->iov, (size_t)r->n * sizeof(*iov));
        iov += r->n;
        *end += RECORD_HEADER_BYTES + r->header.size;
    }
    return ST_OK;
}

/* Writes a batch to the newest segment. Leader only, without the lock. */
static int write_batch(struct wal *w, struct request *batch, struct error *err)
{
    if (w->stats.unsettled)
        TRY(wal_sync_newest(w, err));
    TRY(ready_segment(w, err));
    struct segment *s = w->segments[w->count - 1];
    size_t vectors = 0;
    for (struct request *r = batch; r; r = r->next)
        vectors += 1 + (size_t)r->n;
    struct iovec stack[64], *iov = vectors <= 64 ? stack : malloc(vectors * sizeof(*iov));
    if (!iov)
        return error_no_memory(err, vectors * sizeof(*iov));
    uint64_t end = s->size;
    struct request *unindexed = batch;
    pthread_mutex_lock(&w->lock);
    int st = index_batch(w, s, &unindexed, iov, &end, err);
    pthread_mutex_unlock(&w->lock);
    if (st == ST_OK)
        st = w->file->ops->write_at(w->file, s->size, iov, (int)vectors, err);
    if (iov != stack)
        free(iov);
    bool written = st == ST_OK, syncs = w->options.durability == WAL_FSYNC;
    if (written && syncs)
        st = wal_sync_or_fail(w, w->file, true, err);
    /* What lies before was synced by the batches before, so that a second sync proves it: only what is cut off was ever in doubt. */
    bool taken_back = !written || st == ST_NO_SPACE;
    struct error undo;
    int undone = taken_back ? w->file->ops->truncate(w->file, s->size, &undo) : ST_OK;
    if (taken_back && written && undone == ST_OK)
        undone = w->file->ops->sync(w->file, &undo);
    pthread_mutex_lock(&w->lock);
    if (undone == ST_NO_SPACE)
        wal_unsettle(w, &undo);
    else if (undone != ST_OK)
        wal_fail(w, &undo);
    if (!taken_back) {
        s->size = end;
        for (struct request *r = batch; r; r = r->next)
            w->unsynced_crc = crc32c(w->unsynced_crc, r->bytes, RECORD_HEADER_BYTES);
        if (st == ST_OK && syncs)
            wal_note_synced(w);
    } else {
        take_back(w, s, batch, unindexed);
    }
    pthread_mutex_unlock(&w->lock);
    return st;
}

static void finish(struct wal *w, struct request *list, int st, const struct error *err)
{
    for (struct request *next; list; list = next) {
        next = list->next;
        if (st == ST_OK) {
            bool note = list->header.region_id == CHECKPOINT_REGION; /* the log's own */
            w->stats.appended_records += !note;
            w->stats.appended_bytes += note ? 0 : list->header.size;
        } else {
            list->error = *err;
        }
        list->error.status = (enum status)st;
        list->done = true;
    }
}

/* With the lock held: writes one batch of the queue. */
static void lead(struct wal *w)
{
    struct request *batch = w->first, *r = batch;
    size_t vectors = 1 + (size_t)r->n;
    uint64_t bytes = r->header.size;
    while (r->next && vectors + 1 + (size_t)r->next->n <= BATCH_VECTORS && bytes + r->next->header.size <= BATCH_BYTES) {
        r = r->next;
        vectors += 1 + (size_t)r->n;
        bytes += r->header.size;
    }
    w->first = r->next;
    if (!w->first)
        w->last = &w->first;
    r->next = NULL;
    w->writing = true;
    struct error err = {.status = ST_OK};
    int st = w->stats.failed ? error_set(&err, ST_STORAGE, "%s", w->stats.failure) : ST_OK;
    pthread_mutex_unlock(&w->lock);
    if (st == ST_OK)
        st = write_batch(w, batch, &err);
    pthread_mutex_lock(&w->lock);
    w->writing = false;
    finish(w, batch, st, &err);
    if (st != ST_OK) {
        finish(w, w->first, st, &err);
        w->first = NULL;
        w->last = &w->first;
    }
    pthread_cond_broadcast(&w->changed);
}

static int enqueue(struct wal *w, uint64_t region_id, uint64_t entry_id, const struct iovec *iov, int n, uint64_t *ret_ticket, struct error *err)
{
    assert(n >= 0 && n < BATCH_VECTORS);
    size_t size = 0;
    uint32_t crc = 0;
    for (int i = 0; i < n; i++) {
        if (iov[i].iov_len > w->options.record_bytes_max - size)
            return error_set(err, ST_INVALID_ARGUMENTS, "log record larger than %zu bytes", w->options.record_bytes_max);
        size += iov[i].iov_len;
        crc = crc32c(crc, iov[i].iov_base, iov[i].iov_len);
    }
    struct request *r = calloc(1, sizeof(*r) + (size_t)n * sizeof(*iov));
    if (!r)
        return error_no_memory(err, sizeof(*r));
    r->header = (struct record_header){.payload_crc = crc, .size = size, .region_id = region_id, .entry_id = entry_id};
    r->n = n;
    if (n)
        memcpy(r->iov, iov, (size_t)n * sizeof(*iov));
    int st = ST_OK;
    pthread_mutex_lock(&w->lock);
    if (w->stats.failed) {
        st = error_set(err, ST_STORAGE, "%s", w->stats.failure);
    } else {
        *w->last = r;
        w->last = &r->next;
    }
    pthread_mutex_unlock(&w->lock);
    if (st != ST_OK)
        free(r);
    else
        *ret_ticket = (uint64_t)(uintptr_t)r;
    return st;
}

int wal_enqueue(struct wal *w, uint64_t region_id, uint64_t entry_id, const struct iovec *iov, int n, uint64_t *ret_ticket, struct error *err)
{
    if (region_id == CHECKPOINT_REGION)
        return error_set(err, ST_INVALID_ARGUMENTS, "no region has the id %llu", (unsigned long long)region_id);
    return enqueue(w, region_id, entry_id, iov, n, ret_ticket, err);
}

int wal_wait(struct wal *w, uint64_t ticket, struct error *err)
{
    struct request *r = (struct request *)(uintptr_t)ticket;
    pthread_mutex_lock(&w->lock);
    while (!r->done) {
        if (!w->writing)
            lead(w);
        else
            pthread_cond_wait(&w->changed, &w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    int st = (int)r->error.status;
    if (st != ST_OK && err)
        *err = r->error;
    free(r);
    return st;
}

int wal_append(struct wal *w, uint64_t region_id, uint64_t entry_id, const struct iovec *iov, int n, struct error *err)
{
    uint64_t ticket;
    TRY(wal_enqueue(w, region_id, entry_id, iov, n, &ticket, err));
    return wal_wait(w, ticket, err);
}

int wal_note(struct wal *w, uint64_t region_id, uint64_t entry_id, struct error *err)
{
    uint8_t note[NOTE_BYTES];
    uint64_t ticket;
    struct iovec v = {note, sizeof(note)};
    store_le64(note, region_id);
    store_le64(note + 8, entry_id);
    TRY(enqueue(w, CHECKPOINT_REGION, NOTE_ENTRY, &v, 1, &ticket, err));
    return wal_wait(w, ticket, err);
}

static void *sync_main(void *p)
{
    struct wal *w = p;
    pthread_mutex_lock(&w->lock);
    while (!w->stopping) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        int64_t ns = t.tv_nsec + w->options.sync_interval_ms % 1000 * 1000000;
        t.tv_sec += w->options.sync_interval_ms / 1000 + ns / 1000000000;
        t.tv_nsec = ns % 1000000000;
        while (!w->stopping && pthread_cond_timedwait(&w->changed, &w->lock, &t) == 0)
            continue;
        while (w->writing)
            pthread_cond_wait(&w->changed, &w->lock);
        if (w->file && !w->stats.failed) {
            w->writing = true;
            pthread_mutex_unlock(&w->lock);
            wal_sync_newest(w, NULL);
            pthread_mutex_lock(&w->lock);
            w->writing = false;
            pthread_cond_broadcast(&w->changed);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

int wal_open(const struct wal_options *options, struct wal **ret_wal, struct wal_report *ret_report, struct error *err)
{
    struct wal *w = calloc(1, sizeof(*w));
    if (!w)
        return error_no_memory(err, sizeof(*w));
    w->options = *options;
    if (!w->options.segment_bytes)
        w->options.segment_bytes = 64u << 20;
    if (!w->options.record_bytes_max)
        w->options.record_bytes_max = 512u << 20;
    if (w->options.sync_interval_ms <= 0)
        w->options.sync_interval_ms = 1000;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &attr);
    pthread_condattr_destroy(&attr);
    w->last = &w->first;
    u64_map_init(&w->regions);
    struct fs *fs = options->fs;
    struct wal_report report = {0};
    char path[PATH_BYTES];
    int st = ST_OK;
    if ((size_t)snprintf(w->dir, sizeof(w->dir), "%s", options->dir) >= sizeof(w->dir))
        st = error_set(err, ST_INVALID_ARGUMENTS, "the path of the log folder is too long");
    if (st == ST_OK)
        st = fs_mkdirs(fs, w->dir, err);
    snprintf(path, sizeof(path), "%s/lock", w->dir);
    if (st == ST_OK)
        st = fs->ops->open(fs, path, FS_WRITE, &w->lock_file, err);
    if (st == ST_OK)
        st = fs->ops->lock(w->lock_file, err);
    if (st == ST_OK)
        st = wal_scan(w, &report, err);
    if (st == ST_OK && w->options.durability == WAL_INTERVAL) {
        st = thread_start(&w->syncer, "wal-sync", sync_main, w, err);
        w->has_syncer = st == ST_OK;
    }
    if (st != ST_OK) {
        wal_close(w);
        return st;
    }
    *ret_wal = w;
    if (ret_report)
        *ret_report = report;
    return ST_OK;
}

void wal_close(struct wal *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    assert(!w->first);
    w->stopping = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (w->has_syncer)
        pthread_join(w->syncer, NULL);
    if (w->file) {
        if (!w->stats.failed && wal_sync_newest(w, NULL) == ST_OK)
            (void)wal_vouch(w, w->segments[w->count - 1]->sequence, NULL); /* without it, damage would read as a tail of a kill */
        w->file->ops->close(w->file);
    }
    if (w->lock_file)
        w->lock_file->ops->close(w->lock_file);
    for (size_t i = 0; i < w->count; i++)
        segment_free(w->segments[i]);
    free(w->segments);
    free_values(&w->regions);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
