/* What the writing and the reading half of the log share. */
#ifndef WAL_INTERNAL_H
#define WAL_INTERNAL_H

#include <pthread.h>

#include "base/hash.h"
#include "wal/segment.h"

enum { PATH_BYTES = 4096 };

/* Where one region's records lie in one segment. */
struct span {
    uint64_t first_offset, last_entry_id;
};

struct segment {
    uint64_t sequence, salt, size;
    struct u64_map spans; /* region id -> struct span, owned */
};

struct region_state {
    uint64_t last_entry_id;
};

struct request; /* one queued append */

struct wal {
    struct wal_options options;
    char dir[PATH_BYTES - 64];
    struct fs_file *lock_file;

    pthread_mutex_t lock; /* guards everything below, except that the leader alone touches `file` */
    pthread_cond_t changed;
    struct request *first, **last;
    bool writing;         /* there is a leader, or the background sync holds `file` */
    bool stopping;
    struct fs_file *file; /* of the newest segment, NULL when none was begun */
    uint64_t synced;      /* bytes of it known to be on disk */
    struct segment **segments; /* ascending by sequence */
    size_t count, capacity;
    uint64_t next_sequence;
    struct u64_map regions; /* region id -> struct region_state, owned */
    struct wal_stats stats;
    pthread_t syncer;
    bool has_syncer;
};

void segment_free(struct segment *s);
void wal_segment_path(const struct wal *w, uint64_t sequence, char ret_path[PATH_BYTES]);
/* Notes a record in the index; call with the lock held or before the log is shared. */
int wal_index(struct wal *w, struct segment *s, uint64_t offset, const struct record_header *h, struct error *err);
int wal_add_segment(struct wal *w, struct segment *s, struct error *err);
/* Builds the index from the files and repairs the tail. */
int wal_scan(struct wal *w, struct wal_report *report, struct error *err);

#endif
