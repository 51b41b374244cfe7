/* Checkpoints: the first record of every segment, which makes the loss of older records provable. Notes: what is obsolete since.
 *
 * A checkpoint is a record of region UINT64_MAX, entry 0, whose payload is a u64 of flags and pairs (u64 region, u64 last entry) of the regions that
 * still needed entries of older segments when this one was begun. It is on disk before any other record of its segment. Whoever scans the log
 * compares: a region whose last entry was not found has lost records, even if it never wrote another one; a listed region that shows younger entries,
 * and an unlisted one that shows any, show the remains of a former life whose deletion was undone by a power cut. FLAG_DOUBT says that the writer
 * itself had met damage that it could lay on no region: its list proves nothing about older damage.
 *
 * A note is a record of region UINT64_MAX, entry 1: u64 region, u64 entry. The region's entries up to that one, as far as they stand before the
 * note, are obsolete. Without it a restart would find them again and keep their segments, and all younger ones, for a region that is idle, dropped or
 * elsewhere now and so never makes them obsolete a second time. A note that is lost costs disk space, nothing else.
 */
#include <stdlib.h>

#include "base/bits.h"
#include "wal/internal.h"

enum { FLAG_DOUBT = 1, PAIR_BYTES = 16 };

bool wal_in_doubt(const struct wal *w)
{
    return w->epoch > w->proven_epoch;
}

void wal_drop_span(struct wal *w, struct segment *s, uint64_t region_id)
{
    struct span *span = u64_map_remove(&s->spans, region_id);
    if (!span)
        return;
    w->listed_offsets -= span->n_offsets;
    span_free(span);
    struct region_state *r = u64_map_get(&w->regions, region_id);
    if (r)
        r->spans--;
}

int wal_region(struct wal *w, uint64_t region_id, struct region_state **ret_region, struct error *err)
{
    struct region_state *r = u64_map_get(&w->regions, region_id);
    if (!r) {
        if (!(r = calloc(1, sizeof(*r))))
            return error_no_memory(err, sizeof(*r));
        int st = u64_map_put(&w->regions, region_id, r, err);
        if (st != ST_OK) {
            free(r);
            return st;
        }
    }
    *ret_region = r;
    return ST_OK;
}

int wal_checkpoint_build(struct wal *w, struct dynbuf *out, struct error *err)
{
    size_t pos = 0;
    uint64_t region_id;
    void *value;
    TRY(dynbuf_reserve(out, 8 + PAIR_BYTES * w->regions.count, err));
    store_le64(out->data + out->size, wal_in_doubt(w) ? FLAG_DOUBT : 0);
    out->size += 8;
    while (u64_map_next(&w->regions, &pos, &region_id, &value)) {
        const struct region_state *r = value;
        uint64_t last = r->spans && r->last_entry_id > r->expected ? r->last_entry_id : r->expected;
        if (!last)
            continue;
        store_le64(out->data + out->size, region_id);
        store_le64(out->data + out->size + 8, last);
        out->size += PAIR_BYTES;
    }
    return ST_OK;
}

static void forget_spans(struct wal *w, uint64_t region_id)
{
    for (size_t i = 0; i < w->count; i++)
        wal_drop_span(w, w->segments[i], region_id);
}

bool wal_is_checkpoint(const struct record_header *h)
{
    return h->region_id == CHECKPOINT_REGION && h->entry_id == 0 && h->size % PAIR_BYTES == 8;
}

int wal_checkpoint_apply(struct wal *w, uint64_t sequence, const uint8_t *payload, size_t size, struct error *err)
{
    bool doubt = load_le64(payload) & FLAG_DOUBT;
    for (size_t at = 8; at + PAIR_BYTES <= size; at += PAIR_BYTES) {
        uint64_t region_id = load_le64(payload + at), last = load_le64(payload + at + 8);
        struct region_state *r;
        TRY(wal_region(w, region_id, &r, err));
        r->listed = sequence;
        if (r->last_entry_id > last && !doubt) {
            forget_spans(w, region_id);
            r->last_entry_id = last;
            r->expected = last;
        } else if (r->last_entry_id < last) {
            r->expected = last;
        }
    }
    if (doubt)
        return ST_OK;
    size_t pos = 0;
    uint64_t region_id;
    void *value;
    while (u64_map_next(&w->regions, &pos, &region_id, &value)) {
        struct region_state *r = value;
        if (r->listed == sequence)
            continue;
        forget_spans(w, region_id);
        r->last_entry_id = r->expected = 0;
    }
    w->proven_epoch = w->epoch;
    return ST_OK;
}

static bool unpin(struct wal *w, struct segment *s, uint64_t region_id, uint64_t entry_id)
{
    const struct span *span = u64_map_get(&s->spans, region_id);
    bool done = span && span->last_entry_id <= entry_id;
    if (done)
        wal_drop_span(w, s, region_id);
    return done;
}

uint64_t wal_unpin(struct wal *w, uint64_t region_id, uint64_t entry_id)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < w->count; i++)
        if (unpin(w, w->segments[i], region_id, entry_id))
            newest = w->segments[i]->sequence;
    struct region_state *r = u64_map_get(&w->regions, region_id);
    if (r && r->expected && r->expected <= entry_id) {
        r->last_entry_id = r->last_entry_id > r->expected ? r->last_entry_id : r->expected; /* the next scan may expect it again */
        r->expected = 0;
    }
    return newest;
}

bool wal_is_note(const struct record_header *h)
{
    return h->region_id == CHECKPOINT_REGION && h->entry_id == NOTE_ENTRY && h->size == NOTE_BYTES;
}

void wal_note_apply(struct wal *w, struct segment *s, const uint8_t payload[NOTE_BYTES])
{
    uint64_t region_id = load_le64(payload), entry_id = load_le64(payload + 8);
    (void)unpin(w, s, region_id, entry_id);
    (void)wal_unpin(w, region_id, entry_id);
}
