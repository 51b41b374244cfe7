/* The reading half of the log: the scan at open, deletion, statistics, inspection. Format and argument: wal.c; replay: wal_replay.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wal/internal.h"

enum {
    EARLY_END_BYTES = 1 << 20,
    LISTED_OFFSETS_MAX = 16 << 20, /* 64 MiB of them */
    LONG_RECORD_BYTES = 64 << 10,  /* behind one as long only the next header is read, not all that is between them */
    HEADER_STEP_BYTES = 4 << 10,
};

struct names {
    uint64_t *sequences;
    size_t count, capacity;
};

static int collect(void *ctx, const char *name, bool is_dir, struct error *err)
{
    struct names *l = ctx;
    if (is_dir || strlen(name) != 20 || strspn(name, "0123456789abcdef") != 16 || strcmp(name + 16, ".wal"))
        return ST_OK;
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 64;
        uint64_t *grown = realloc(l->sequences, capacity * sizeof(*grown));
        if (!grown)
            return error_no_memory(err, capacity * sizeof(*grown));
        l->sequences = grown;
        l->capacity = capacity;
    }
    l->sequences[l->count++] = strtoull(name, NULL, 16);
    return ST_OK;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The largest `synced` that the valid records behind an invalid one at c->at carry: how much of the segment is vouched for. */
static int vouched(struct segment_cursor c, uint64_t *ret_synced, struct error *err)
{
    struct record_header h;
    bool valid;
    uint64_t most = 0;
    c.window = NULL; /* a window of its own */
    c.filled = c.capacity = 0;
    int st = cursor_resync(&c, err);
    while (st == ST_OK && c.at < c.end) {
        st = cursor_header(&c, &h, &valid, err);
        if (st != ST_OK)
            break;
        if (!valid) {
            st = cursor_resync(&c, err);
            continue;
        }
        if (h.synced > most)
            most = h.synced;
        c.at += RECORD_HEADER_BYTES + h.size;
    }
    cursor_release(&c);
    if (st == ST_OK)
        *ret_synced = most;
    return st;
}

/* `hidden`: one cannot tell whose records it hit. */
static void note_damage(struct wal *w, struct segment *s, uint64_t offset, bool hidden, struct wal_report *report)
{
    if (hidden)
        s->damage_epoch = ++w->epoch;
    report->skipped_records++;
    if (!report->detail[0])
        snprintf(report->detail, sizeof(report->detail), "segment %016llx: damaged at offset %llu", (unsigned long long)s->sequence,
                 (unsigned long long)offset);
}

/* The checkpoint at the head. *ret_torn = true when the segment was being begun and nothing follows. */
static int scan_checkpoint(struct wal *w, struct segment *s, struct segment_cursor *c, bool newest, struct wal_report *report, bool *ret_torn,
                           struct error *err)
{
    struct record_header h;
    bool valid;
    const uint8_t *payload = NULL;
    TRY(cursor_header(c, &h, &valid, err));
    bool fits = valid && wal_is_checkpoint(&h);
    if (fits)
        TRY(cursor_payload(c, &h, &payload, err));
    if (payload) {
        c->at += RECORD_HEADER_BYTES + h.size;
        s->body_at = c->at;
        return wal_checkpoint_apply(w, s->sequence, payload, (size_t)h.size, err);
    }
    uint64_t at = c->at;
    TRY(cursor_resync(c, err));
    if (newest && c->at == c->end) { /* it was synced before anything followed it */
        *ret_torn = true;
        return ST_OK;
    }
    s->body_at = c->at;
    note_damage(w, s, at, true, report);
    return ST_OK;
}

/* Appends to the region's list of offsets. A list that would take too much memory is given up, and its replay walks the segment instead. */
static void list_offset(struct wal *w, struct segment *s, uint64_t region_id, uint64_t offset)
{
    struct span *span = u64_map_get(&s->spans, region_id);
    bool first = span->first_offset == offset;
    if (!first && !span->offsets)
        return; /* was given up */
    if (offset <= UINT32_MAX && w->listed_offsets < LISTED_OFFSETS_MAX) {
        if (span->n_offsets == span->offsets_room) {
            uint32_t room = span->offsets_room ? 2 * span->offsets_room : 4, *grown = realloc(span->offsets, room * sizeof(*grown));
            if (!grown)
                goto give_up;
            span->offsets = grown;
            span->offsets_room = room;
        }
        span->offsets[span->n_offsets++] = (uint32_t)offset;
        w->listed_offsets++;
        return;
    }
give_up:
    w->listed_offsets -= span->n_offsets;
    free(span->offsets);
    span->offsets = NULL;
    span->n_offsets = span->offsets_room = 0;
}

static int scan_records(struct wal *w, struct segment *s, struct segment_cursor *c, bool newest, struct wal_report *report, struct error *err)
{
    uint64_t synced = newest ? 0 : UINT64_MAX;
    bool asked = !newest;
    while (c->at < c->end) {
        struct record_header h;
        bool valid;
        const uint8_t *payload = NULL;
        TRY(cursor_header(c, &h, &valid, err));
        c->step = valid && !newest && h.size >= LONG_RECORD_BYTES ? HEADER_STEP_BYTES : 0;
        bool note = valid && wal_is_note(&h);
        if (valid && (newest || note))
            TRY(cursor_payload(c, &h, &payload, err));
        if (note && payload)
            wal_note_apply(w, s, payload);
        if (!valid || (newest && !payload)) {
            if (!asked)
                TRY(vouched(*c, &synced, err));
            asked = true;
            if (synced <= c->at)
                break; /* a tail that was never synced */
            note_damage(w, s, c->at, !valid, report);
            if (!valid) {
                TRY(cursor_resync(c, err));
                continue;
            }
        }
        if (h.region_id != CHECKPOINT_REGION) {
            TRY(wal_index(w, s, c->at, &h, err));
            list_offset(w, s, h.region_id, c->at);
        }
        c->at += RECORD_HEADER_BYTES + h.size;
        report->records += !note;
        report->bytes += note ? 0 : h.size;
    }
    return ST_OK;
}

int wal_vouch(struct wal *w, uint64_t sequence, struct error *err)
{
    struct fs *fs = w->options.fs;
    char path[PATH_BYTES];
    struct fs_file *f;
    wal_segment_path(w, sequence + 1, path);
    TRY(fs->ops->open(fs, path, FS_WRITE | FS_TRUNCATE, &f, err));
    f->ops->close(f);
    return fs->ops->sync_dir(fs, w->dir, err);
}

/* Cuts off what lies behind the last whole record of the newest segment, at `end`, and syncs what a killed process left in the kernel. */
static int settle_end(struct wal *w, struct fs_file *f, uint64_t sequence, uint64_t end, uint64_t size, struct wal_report *report, struct error *err)
{
    if (end < size) {
        report->torn_bytes += size - end;
        if (report->skipped_records) /* what is cut may have held the only record that vouched for what stays */
            TRY(wal_vouch(w, sequence, err));
        TRY(f->ops->truncate(f, end, err));
    }
    return f->ops->sync(f, err);
}

static int scan_segment(struct wal *w, uint64_t sequence, bool newest, struct wal_report *report, struct error *err)
{
    struct fs *fs = w->options.fs;
    char path[PATH_BYTES];
    wal_segment_path(w, sequence, path);
    struct fs_file *f;
    TRY(fs->ops->open(fs, path, newest ? FS_WRITE : FS_READ, &f, err));
    struct segment_cursor c = {0};
    struct segment *s = NULL;
    uint8_t head[SEGMENT_HEADER_BYTES];
    uint64_t size, found = 0;
    bool torn = false, headed = false;
    int st = f->ops->size(f, &size, err);
    size_t got = 0;
    if (st == ST_OK)
        st = f->ops->read_at(f, 0, head, sizeof(head), &got, err);
    if (st == ST_OK && !(s = calloc(1, sizeof(*s))))
        st = error_no_memory(err, sizeof(*s));
    if (st != ST_OK)
        goto out;
    u64_map_init(&s->spans);
    s->sequence = sequence;
    headed = got == sizeof(head) && segment_header_get(head, &found, &s->salt) && found == sequence;
    if (headed) {
        cursor_init(&c, f, s->salt, SEGMENT_HEADER_BYTES, size);
        st = scan_checkpoint(w, s, &c, newest, report, &torn, err);
    } else { /* headers are synced before anything follows: a short file held nothing, a longer one was damaged */
        torn = newest && size <= SEGMENT_HEADER_BYTES;
        c.at = size;
        if (!torn)
            note_damage(w, s, 0, true, report);
    }
    if (torn) {
        /* It was being begun when the machine stopped and held nothing. Its presence tells every scan that its predecessor was synced whole, so it
         * stays, empty, until its number is used. */
        report->torn_bytes += size;
        w->next_sequence = sequence;
        if (st == ST_OK && size)
            st = f->ops->truncate(f, 0, err);
        goto out;
    }
    w->next_sequence = sequence + 1;
    if (st == ST_OK && headed)
        st = scan_records(w, s, &c, newest, report, err);
    if (st == ST_OK && newest)
        st = settle_end(w, f, sequence, c.at, size, report, err);
    if (st == ST_OK) {
        s->size = s->scanned = newest ? c.at : size;
        st = wal_add_segment(w, s, err);
    }
    if (st == ST_OK) {
        report->segments++;
        s = NULL;
    }
out:
    cursor_release(&c);
    segment_free(s);
    f->ops->close(f);
    return st;
}

int wal_scan(struct wal *w, struct wal_report *report, struct error *err)
{
    struct fs *fs = w->options.fs;
    struct names l = {0};
    int st = fs->ops->list(fs, w->dir, collect, &l, err);
    if (st == ST_OK && l.count)
        qsort(l.sequences, l.count, sizeof(*l.sequences), by_number);
    w->next_sequence = 1;
    for (size_t i = 0; i < l.count && st == ST_OK; i++)
        st = scan_segment(w, l.sequences[i], i + 1 == l.count, report, err);
    free(l.sequences);
    return st;
}

uint64_t wal_last_entry_id(struct wal *w, uint64_t region_id)
{
    pthread_mutex_lock(&w->lock);
    struct region_state *r = u64_map_get(&w->regions, region_id);
    uint64_t last = !r ? 0 : r->expected > r->last_entry_id ? r->expected : r->last_entry_id;
    pthread_mutex_unlock(&w->lock);
    return last;
}

bool wal_is_pinned(struct wal *w, uint64_t region_id)
{
    if (!w)
        return false;
    pthread_mutex_lock(&w->lock);
    const struct region_state *r = u64_map_get(&w->regions, region_id);
    bool pinned = r && r->spans > 0;
    pthread_mutex_unlock(&w->lock);
    return pinned;
}

/* How many of the segments may go once nobody needs them. The last one stays while it is written, or while its checkpoint knows of losses. */
static size_t deletable(const struct wal *w)
{
    size_t pos = 0;
    uint64_t region_id;
    void *value;
    if (w->count == 0 || w->file)
        return w->count ? w->count - 1 : 0;
    while (u64_map_next(&w->regions, &pos, &region_id, &value))
        if (((const struct region_state *)value)->expected)
            return w->count - 1;
    return w->count;
}

/* Only from the old end: a region's chain must not lose its middle. A segment whose damage nobody could be blamed for stays, for the same reason. */
static int delete_segments(struct wal *w, struct error *err)
{
    struct fs *fs = w->options.fs;
    int st = ST_OK;
    size_t gone = 0, most = deletable(w);
    while (gone < most && w->segments[gone]->spans.count == 0 && w->segments[gone]->damage_epoch <= w->proven_epoch) {
        char path[PATH_BYTES];
        wal_segment_path(w, w->segments[gone]->sequence, path);
        st = fs->ops->remove(fs, path, err);
        if (st == ST_NOT_FOUND)
            st = ST_OK;
        if (st != ST_OK)
            break;
        segment_free(w->segments[gone++]);
    }
    w->count -= gone;
    if (gone) {
        memmove(w->segments, w->segments + gone, w->count * sizeof(*w->segments));
        /* A power cut must not bring them back once their numbers may have been given out again. */
        st = status_merge(st, fs->ops->sync_dir(fs, w->dir, st == ST_OK ? err : NULL));
    }
    return st;
}

/* Ends the active segment early when it holds nothing but obsolete records and is worth it. With the lock held. */
static int end_obsolete(struct wal *w, struct error *err)
{
    if (!w->file || w->stats.failed)
        return ST_OK;
    const struct segment *s = w->segments[w->count - 1];
    if (s->spans.count || s->size - s->body_at <= EARLY_END_BYTES)
        return ST_OK;
    w->writing = true;
    pthread_mutex_unlock(&w->lock);
    int st = wal_sync_newest(w, err);
    pthread_mutex_lock(&w->lock);
    w->writing = false;
    if (st == ST_OK) {
        w->file->ops->close(w->file);
        w->file = NULL;
    }
    pthread_cond_broadcast(&w->changed);
    return st;
}

static int make_obsolete(struct wal *w, uint64_t region_id, uint64_t entry_id, bool anew, struct error *err)
{
    if (!w)
        return ST_OK;
    pthread_mutex_lock(&w->lock);
    while (w->writing) /* the leader looks at the segments without the lock */
        pthread_cond_wait(&w->changed, &w->lock);
    uint64_t unpinned = wal_unpin(w, region_id, entry_id);
    struct region_state *r = anew ? u64_map_get(&w->regions, region_id) : NULL;
    if (r)
        r->last_entry_id = r->expected = 0;
    int st = end_obsolete(w, err);
    st = status_merge(st, delete_segments(w, st == ST_OK ? err : NULL));
    bool remains = unpinned && w->count && w->segments[0]->sequence <= unpinned;
    pthread_mutex_unlock(&w->lock);
    if (remains)
        (void)wal_note(w, region_id, entry_id, NULL); /* see checkpoint.c: its loss costs only space */
    return st;
}

int wal_obsolete(struct wal *w, uint64_t region_id, uint64_t entry_id, struct error *err)
{
    return make_obsolete(w, region_id, entry_id, false, err);
}

int wal_begin_anew(struct wal *w, uint64_t region_id, struct error *err)
{
    return make_obsolete(w, region_id, UINT64_MAX, true, err);
}

void wal_stats(struct wal *w, struct wal_stats *ret_stats)
{
    if (!w) {
        *ret_stats = (struct wal_stats){0};
        return;
    }
    pthread_mutex_lock(&w->lock);
    struct wal_stats s = w->stats;
    s.durability = w->options.durability;
    s.sync_interval_ms = w->options.sync_interval_ms;
    s.segments = w->count;
    s.bytes = 0;
    for (size_t i = 0; i < w->count; i++)
        s.bytes += w->segments[i]->size;
    s.unsynced_bytes = w->file ? w->segments[w->count - 1]->size - w->synced : 0;
    size_t pos = 0;
    void *value;
    s.oldest_pinning_region = 0;
    if (w->count)
        u64_map_next(&w->segments[0]->spans, &pos, &s.oldest_pinning_region, &value);
    pthread_mutex_unlock(&w->lock);
    *ret_stats = s;
}

int wal_inspect(struct fs *fs, const char *path, int (*each)(void *ctx, uint64_t offset, const struct wal_record *record, struct error *err),
                void *ctx, struct error *err)
{
    struct fs_file *f;
    TRY(fs->ops->open(fs, path, FS_READ, &f, err));
    uint8_t head[SEGMENT_HEADER_BYTES];
    uint64_t size, sequence, salt;
    struct segment_cursor c = {0};
    int st = f->ops->size(f, &size, err);
    if (st == ST_OK && size == 0) { /* it vouches for its predecessor */
        f->ops->close(f);
        return ST_OK;
    }
    if (st == ST_OK)
        st = fs_read_exact(f, 0, head, sizeof(head), err);
    if (st == ST_OK && !segment_header_get(head, &sequence, &salt))
        st = error_set(err, ST_CORRUPT, "%s: not a log segment, or its header is damaged", path);
    if (st == ST_OK)
        cursor_init(&c, f, salt, SEGMENT_HEADER_BYTES, size);
    while (st == ST_OK && c.at < c.end) {
        struct record_header h;
        bool valid;
        uint64_t at = c.at;
        struct wal_record record = {0};
        st = cursor_header(&c, &h, &valid, err);
        if (st == ST_OK && valid)
            st = cursor_payload(&c, &h, &record.payload, err);
        if (st != ST_OK)
            break;
        if (valid) {
            record.region_id = h.region_id;
            record.entry_id = h.entry_id;
            record.size = (size_t)h.size;
            c.at += RECORD_HEADER_BYTES + h.size;
        } else {
            st = cursor_resync(&c, err);
            record.size = (size_t)(c.at - at);
        }
        if (st == ST_OK && !(valid && record.payload && (wal_is_checkpoint(&h) || wal_is_note(&h))))
            st = each(ctx, at, &record, err);
    }
    cursor_release(&c);
    f->ops->close(f);
    return st;
}
