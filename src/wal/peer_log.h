/* The raft-engine log that a GreptimeDB 1.0.x datanode left in the WAL folder: read when its regions open, never written.
 *
 * Its entries are replayed like those of our own log and precede them; what a flush has covered is known from the region's manifest (flushed entry
 * id), so a crash at any point repeats or skips nothing. When no region needs an entry any more, a small file in our own folder says so, and later
 * starts do not read the peer's files. They stay where they are; an operator may remove them then.
 */
#ifndef WAL_PEER_LOG_H
#define WAL_PEER_LOG_H

#include "base/budget.h"
#include "wal/wal.h"

struct peer_log_options {
    struct fs *fs;
    const char *dir;       /* with the *.raftlog and *.rewrite files */
    const char *done_path; /* where it is noted that nobody needs them */
    struct budget *budget;
    bool read_only;       /* neither makes the lock file nor writes the note */
};

struct peer_log_report { /* what open met and survived */
    uint64_t files, regions, entries, bytes;
    uint64_t ignored_files; /* older than a gap in the numbers */
    uint64_t torn_bytes;    /* behind the last whole batch of the newest files, padding of zeros not counted */
    uint64_t damages;       /* places in older files that cannot be read; regions that may have lost entries there do not open */
    char detail[256];       /* of the first damage */
};

struct peer_log;

/* Reads all batches' footers, unless nobody needs them any more. Holds the folder's lock until closed: no datanode can start on it. *ret_log = NULL
 * when there are no such files. ST_ILLEGAL_STATE when a datanode has them open. */
int peer_log_open(const struct peer_log_options *options, struct peer_log **ret_log, struct peer_log_report *ret_report, struct error *err);
void peer_log_close(struct peer_log *l); /* NULL is allowed */

/* Replays the entries of one region with id > after, in order, on this thread. *ret_missing = entries that the log should have had between
 * after and its first one (the peer replays on in such a case, and so does this). ST_CORRUPT, maybe after some entries, when one cannot be read or
 * when some are lost. Thread-safe. */
int peer_log_replay(struct peer_log *l, uint64_t region_id, uint64_t after_entry_id,
                    int (*each)(void *ctx, const struct wal_record *record, struct error *err), void *ctx, uint64_t *ret_missing, struct error *err);

/* Highest entry id of the region, 0 if none. NULL log: 0. */
uint64_t peer_log_last_entry_id(struct peer_log *l, uint64_t region_id);

/* Entries <= entry_id of the region are no longer needed. Failures to note that only cost time at the next start. NULL log: nothing. */
void peer_log_obsolete(struct peer_log *l, uint64_t region_id, uint64_t entry_id);

/* Regions that still have entries here. NULL log: 0. */
uint64_t peer_log_pending_regions(struct peer_log *l);

#endif
