/* Replay: a region's records, read by as many threads as the caller has.
 *
 * The scan at open has listed where the records lie, so that the row of stretches is known before any of them is read; where there is no list (it was
 * given up, or the records were written since), the headers are walked first. Whoever reads a stretch checks its records and their chain; what leads
 * to its first record is checked when the stretches are joined in their order. So nothing but that check happens on one thread.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "wal/internal.h"

enum {
    STRETCH_BYTES =
        256 << 10, /* records that begin within as many bytes make a stretch: what is read should stay in a core's cache until it is decoded */
    STRETCH_READ_BYTES = 2 << 20, /* no more is read at a time, save for a record that is longer */
    SPARSE_BYTES = 8 << 10,       /* records further apart than this may have others in between, and are looked at first */
    HEADER_STEP_BYTES = 8 << 10,
};

/* What one segment holds of the region. Shared by the stretches that are read from it. */
struct part {
    _Atomic int refs;
    struct fs_file *file; /* NULL until the replay gets to it */
    uint64_t region_id, after, sequence, salt, walk_from, end, last_entry_id;
    uint32_t *offsets; /* of records before walk_from */
    uint64_t *places;  /* of all of them, once the replay has got to it */
    size_t n_offsets, n_places;
};

struct wal_stretch {
    struct part *part;
    const uint64_t *places;
    size_t n;
    uint64_t end;      /* nothing behind it is the stretch's */
    bool is_last;      /* of its part */
    uint64_t previous; /* entry before its first one, once it was read */
    uint64_t last;     /* its last entry > after, 0 if there is none */
};

struct wal_replay {
    struct wal *wal;
    uint64_t region_id, after, last; /* last: newest entry that was joined */
    struct part **parts;
    size_t n_parts, at_part, at_place;
};

static void part_unref(struct part *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    if (p->file)
        p->file->ops->close(p->file);
    free(p->offsets);
    free(p->places);
    free(p);
}

/* ---- the row of stretches ---- */

/* What of a segment holds entries of the region; takes the list of offsets. With the lock held. */
static int part_of(struct wal *w, struct segment *s, struct span *span, uint64_t region_id, uint64_t after, struct part **ret_part, struct error *err)
{
    struct part *p = calloc(1, sizeof(*p));
    if (!p)
        return error_no_memory(err, sizeof(*p));
    atomic_init(&p->refs, 1);
    p->region_id = region_id;
    p->after = after;
    p->sequence = s->sequence;
    p->salt = s->salt;
    p->walk_from = span->offsets ? s->scanned : span->first_offset;
    p->end = s->size;
    p->last_entry_id = span->last_entry_id;
    p->offsets = span->offsets;
    p->n_offsets = span->n_offsets;
    w->listed_offsets -= span->n_offsets;
    span->offsets = NULL;
    span->n_offsets = span->offsets_room = 0;
    *ret_part = p;
    return ST_OK;
}

/* With the lock held. */
static int find_parts(struct wal_replay *r, struct error *err)
{
    struct wal *w = r->wal;
    const struct region_state *state = u64_map_get(&w->regions, r->region_id);
    if (state && state->expected > r->after && state->expected > state->last_entry_id)
        return error_set(err, ST_CORRUPT, "log of region %llu ends at entry %llu instead of %llu", (unsigned long long)r->region_id,
                         (unsigned long long)state->last_entry_id, (unsigned long long)state->expected);
    if (wal_in_doubt(w) && (!state || state->epoch < w->epoch))
        return error_set(err, ST_CORRUPT, "log of region %llu may have lost its end: the log is damaged behind it", (unsigned long long)r->region_id);
    r->parts = calloc(w->count + 1, sizeof(*r->parts));
    if (!r->parts)
        return error_no_memory(err, (w->count + 1) * sizeof(*r->parts));
    for (size_t i = 0; i < w->count; i++) {
        struct segment *s = w->segments[i];
        struct span *span = u64_map_get(&s->spans, r->region_id);
        if (span && span->last_entry_id > r->after) {
            TRY(part_of(w, s, span, r->region_id, r->after, &r->parts[r->n_parts], err));
            r->n_parts++;
        }
    }
    return ST_OK;
}

int wal_replay_open(struct wal *w, uint64_t region_id, uint64_t after_entry_id, struct wal_replay **ret_replay, struct error *err)
{
    struct wal_replay *r = calloc(1, sizeof(*r));
    if (!r)
        return error_no_memory(err, sizeof(*r));
    *r = (struct wal_replay){.wal = w, .region_id = region_id, .after = after_entry_id, .last = after_entry_id};
    pthread_mutex_lock(&w->lock);
    int st = find_parts(r, err);
    pthread_mutex_unlock(&w->lock);
    if (st == ST_OK)
        *ret_replay = r;
    else
        wal_replay_close(r);
    return st;
}

void wal_replay_close(struct wal_replay *r)
{
    if (!r)
        return;
    for (size_t i = r->at_part; i < r->n_parts; i++)
        part_unref(r->parts[i]);
    free(r->parts);
    free(r);
}

static int add_place(struct part *p, size_t *room, uint64_t at, struct error *err)
{
    if (p->n_places == *room) {
        size_t more = *room ? 2 * *room : 256;
        uint64_t *grown = realloc(p->places, more * sizeof(*grown));
        if (!grown)
            return error_no_memory(err, more * sizeof(*grown));
        p->places = grown;
        *room = more;
    }
    p->places[p->n_places++] = at;
    return ST_OK;
}

/* The records that no list names. An invalid place that was one of ours is noticed by the chain. */
static int walk_headers(struct part *p, size_t room, struct error *err)
{
    struct segment_cursor c;
    int st = ST_OK;
    cursor_init(&c, p->file, p->salt, p->walk_from, p->end);
    while (st == ST_OK && c.at < c.end) {
        struct record_header h;
        bool valid;
        st = cursor_header(&c, &h, &valid, err);
        if (st != ST_OK)
            break;
        if (!valid) {
            st = cursor_resync(&c, err);
            continue;
        }
        if (h.region_id == p->region_id && h.entry_id > p->after)
            st = add_place(p, &room, c.at, err);
        c.at += RECORD_HEADER_BYTES + h.size;
    }
    cursor_release(&c);
    return st;
}

static int open_part(struct wal *w, struct part *p, struct error *err)
{
    struct fs *fs = w->options.fs;
    char path[PATH_BYTES];
    wal_segment_path(w, p->sequence, path);
    TRY(fs->ops->open(fs, path, FS_READ, &p->file, err));
    size_t room = p->n_offsets;
    if (room && !(p->places = malloc(room * sizeof(*p->places))))
        return error_no_memory(err, room * sizeof(*p->places));
    for (; p->n_places < room; p->n_places++)
        p->places[p->n_places] = p->offsets[p->n_places];
    free(p->offsets);
    p->offsets = NULL;
    return walk_headers(p, room, err);
}

int wal_replay_next(struct wal_replay *r, struct wal_stretch **ret_stretch, struct error *err)
{
    if (r->at_part == r->n_parts) {
        *ret_stretch = NULL;
        return ST_OK;
    }
    struct part *p = r->parts[r->at_part];
    if (!p->file)
        TRY(open_part(r->wal, p, err));
    if (!p->n_places)
        return error_set(err, ST_CORRUPT, "log of region %llu lacks entry %llu (segment %016llx)", (unsigned long long)r->region_id,
                         (unsigned long long)p->last_entry_id, (unsigned long long)p->sequence);
    struct wal_stretch *s = calloc(1, sizeof(*s));
    if (!s)
        return error_no_memory(err, sizeof(*s));
    size_t first = r->at_place, behind = first + 1;
    while (behind < p->n_places && p->places[behind] - p->places[first] < STRETCH_BYTES)
        behind++;
    *s = (struct wal_stretch){.part = p, .places = p->places + first, .n = behind - first, .is_last = behind == p->n_places};
    s->end = s->is_last ? p->end : p->places[behind];
    if (s->is_last) { /* it takes over the replay's reference */
        r->at_part++;
        r->at_place = 0;
    } else {
        atomic_fetch_add(&p->refs, 1);
        r->at_place = behind;
    }
    *ret_stretch = s;
    return ST_OK;
}

/* ---- reading one ---- */

size_t wal_stretch_bytes(const struct wal_stretch *s)
{
    uint64_t bytes = s->end - s->places[0];
    return bytes < STRETCH_READ_BYTES ? (size_t)bytes : STRETCH_READ_BYTES;
}

static int read_record(struct wal_stretch *s, struct segment_cursor *c, const struct record_header *h,
                       int (*each)(void *ctx, const struct wal_record *record, struct error *err), void *ctx, struct error *err)
{
    const struct part *p = s->part;
    const uint8_t *payload;
    if (!s->last) {
        s->previous = h->prev_entry_id;
    } else if (h->prev_entry_id > p->after && h->prev_entry_id != s->last) {
        return error_set(err, ST_CORRUPT, "log of region %llu: entry %llu is missing (segment %016llx)", (unsigned long long)p->region_id,
                         (unsigned long long)h->prev_entry_id, (unsigned long long)p->sequence);
    }
    TRY(cursor_payload(c, h, &payload, err));
    if (!payload)
        return error_set(err, ST_CORRUPT, "log of region %llu: entry %llu is damaged (segment %016llx, offset %llu)",
                         (unsigned long long)p->region_id, (unsigned long long)h->entry_id, (unsigned long long)p->sequence,
                         (unsigned long long)c->at);
    struct wal_record record = {h->region_id, h->entry_id, payload, (size_t)h->size};
    s->last = h->entry_id;
    return each(ctx, &record, err);
}

int wal_stretch_read(struct wal_stretch *s, int (*each)(void *ctx, const struct wal_record *record, struct error *err), void *ctx, struct error *err)
{
    const struct part *p = s->part;
    struct segment_cursor c;
    size_t all = wal_stretch_bytes(s);
    int st = ST_OK;
    s->last = 0;
    cursor_init(&c, p->file, p->salt, s->places[0], s->end);
    c.step = all / s->n <= SPARSE_BYTES ? all : HEADER_STEP_BYTES;
    for (size_t i = 0; st == ST_OK && i < s->n; i++) {
        struct record_header h;
        bool valid;
        c.at = s->places[i];
        st = cursor_header(&c, &h, &valid, err);
        if (st == ST_OK && (!valid || h.region_id != p->region_id))
            st = error_set(err, ST_CORRUPT, "log of region %llu: the record at offset %llu of segment %016llx changed while it was read",
                           (unsigned long long)p->region_id, (unsigned long long)c.at, (unsigned long long)p->sequence);
        if (st == ST_OK && i == 0 && s->n > 1 && c.at + RECORD_HEADER_BYTES + h.size == s->places[1])
            c.step = all; /* nothing in between */
        if (st == ST_OK && h.entry_id > p->after)
            st = read_record(s, &c, &h, each, ctx, err);
    }
    cursor_release(&c);
    return st;
}

int wal_replay_join(struct wal_replay *r, const struct wal_stretch *s, struct error *err)
{
    const struct part *p = s->part;
    if (s->last && s->previous > r->after && s->previous != r->last)
        return error_set(err, ST_CORRUPT, "log of region %llu: entry %llu is missing (segment %016llx)", (unsigned long long)r->region_id,
                         (unsigned long long)s->previous, (unsigned long long)p->sequence);
    if (s->last)
        r->last = s->last;
    if (s->is_last && r->last < p->last_entry_id)
        return error_set(err, ST_CORRUPT, "log of region %llu ends at entry %llu instead of %llu (segment %016llx)", (unsigned long long)r->region_id,
                         (unsigned long long)r->last, (unsigned long long)p->last_entry_id, (unsigned long long)p->sequence);
    return ST_OK;
}

void wal_stretch_free(struct wal_stretch *s)
{
    if (s)
        part_unref(s->part);
    free(s);
}
