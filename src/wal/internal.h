/* What the writing and the reading half of the log share. */
#ifndef WAL_INTERNAL_H
#define WAL_INTERNAL_H

#include <pthread.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "wal/segment.h"

enum { PATH_BYTES = 4096, NOTE_BYTES = 16, NOTE_ENTRY = 1 };

/* Where one region's records lie in one segment. A scan lists their offsets, so that a replay need not look at the records of all other regions; the
 * list is given up by the first replay, and when there are too many. */
struct span {
    uint64_t first_offset, last_offset, last_entry_id;
    uint32_t *offsets; /* NULL: not listed */
    uint32_t n_offsets, offsets_room;
};

struct segment {
    uint64_t sequence, salt, size;
    uint64_t body_at;      /* behind header and checkpoint */
    uint64_t scanned;      /* what lies before was scanned: lists of offsets hold all of it */
    uint64_t damage_epoch; /* wal.epoch at its last damage, 0 if none */
    struct u64_map spans;  /* region id -> struct span, owned */
};

struct region_state {
    uint64_t last_entry_id;
    uint64_t expected; /* last entry according to a checkpoint, when it was not found; 0: nothing is missed */
    uint64_t epoch;    /* wal.epoch when its last record was indexed */
    uint64_t listed;   /* sequence of the last checkpoint that listed it */
    size_t spans;      /* segments that hold entries it needs */
};

struct request; /* one queued append */

struct wal {
    struct wal_options options;
    char dir[PATH_BYTES - 64];
    struct fs_file *lock_file;

    pthread_mutex_t lock; /* guards everything below, except that the leader alone touches `file` */
    pthread_cond_t changed;
    struct request *first, **last;
    bool writing; /* there is a leader, or the background sync holds `file` */
    bool stopping;
    struct fs_file *file;      /* of the newest segment, NULL when none was begun */
    uint64_t synced;           /* bytes of it known to be on disk */
    uint32_t unsynced_crc;     /* over the headers of the records behind these */
    struct segment **segments; /* ascending by sequence */
    size_t count, capacity;
    uint64_t next_sequence;
    uint64_t listed_offsets; /* over all spans */
    struct u64_map regions;  /* region id -> struct region_state, owned */
    /* Counts the damages that could be laid on no region, and how many of them a later checkpoint has proven harmless or found the losers of. While
     * there are more, a region without a record behind the last one may have lost its end. */
    uint64_t epoch, proven_epoch;
    struct wal_stats stats;
    pthread_t syncer;
    bool has_syncer;
};

/* ---- wal_sync.c ---- */
/* Leader only, without the lock: syncs the newest segment, or settles it. ST_NO_SPACE: it is unsettled. */
int wal_sync_newest(struct wal *w, struct error *err);
/* The same for a file (NULL: the folder). `takes_back`: the caller takes back what it could not sync for want of space, and the log goes on without
 * it when there is some again; any other failure is that of the log. */
int wal_sync_or_fail(struct wal *w, struct fs_file *f, bool takes_back, struct error *err);
/* With the lock held, all three. The log is read-only from now on; the first reason stays. */
void wal_fail(struct wal *w, const struct error *why);
void wal_unsettle(struct wal *w, const struct error *why);
void wal_note_synced(struct wal *w); /* all that the newest segment has */

/* Makes the empty successor of a segment that is synced, or cut to what was. It tells every later scan so: damage in the segment is no unsynced tail. */
int wal_vouch(struct wal *w, uint64_t sequence, struct error *err);
void segment_free(struct segment *s);
void span_free(struct span *span);
void wal_segment_path(const struct wal *w, uint64_t sequence, char ret_path[PATH_BYTES]);
/* Notes a record in the index; call with the lock held or before the log is shared. */
int wal_index(struct wal *w, struct segment *s, uint64_t offset, const struct record_header *h, struct error *err);
/* The state of a region, made if absent. */
int wal_region(struct wal *w, uint64_t region_id, struct region_state **ret_region, struct error *err);
void wal_drop_span(struct wal *w, struct segment *s, uint64_t region_id);
bool wal_in_doubt(const struct wal *w);
int wal_checkpoint_build(struct wal *w, struct dynbuf *out, struct error *err);
bool wal_is_checkpoint(const struct record_header *h);
/* What the checkpoint at the head of segment `sequence` says about the segments indexed so far. */
int wal_checkpoint_apply(struct wal *w, uint64_t sequence, const uint8_t *payload, size_t size, struct error *err);
/* Writes down that entries <= entry_id of the region are obsolete (checkpoint.c). Without the lock. */
int wal_note(struct wal *w, uint64_t region_id, uint64_t entry_id, struct error *err);
bool wal_is_note(const struct record_header *h);
/* A note in segment `s`, which is being scanned and not among w->segments yet. */
void wal_note_apply(struct wal *w, struct segment *s, const uint8_t payload[NOTE_BYTES]);
/* Entries <= entry_id of the region keep no segment any more; the sequence of the newest one that they kept, 0 if none. With the lock held. */
uint64_t wal_unpin(struct wal *w, uint64_t region_id, uint64_t entry_id);
int wal_add_segment(struct wal *w, struct segment *s, struct error *err);
/* Builds the index from the files and repairs the tail. */
int wal_scan(struct wal *w, struct wal_report *report, struct error *err);

#endif
