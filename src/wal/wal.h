/* The write-ahead log of the node: one segmented log shared by all regions.
 *
 * A record carries (region id, entry id, payload); the payload is the peer's WalEntry protobuf (wal.md 2.1), so that it is the same whatever log
 * stores it. Entry ids count up by one per region. An append returns when the record is as durable as the mode promises:
 *   fsync     on disk; concurrent appends share one fdatasync (group commit)
 *   interval  handed to the kernel; a background thread syncs every sync_interval_ms
 *   os        handed to the kernel; synced at segment rotation and close only
 */
#ifndef WAL_WAL_H
#define WAL_WAL_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "os/fs.h"

enum wal_durability { WAL_FSYNC, WAL_INTERVAL, WAL_OS };

struct wal_options {
    struct fs *fs;
    const char *dir;
    enum wal_durability durability;
    int64_t sync_interval_ms;     /* interval mode; default 1000 */
    uint64_t segment_bytes;       /* rotation; default 64 MiB */
    size_t record_bytes_max;      /* larger appends fail with ST_INVALID_ARGUMENTS; default 512 MiB */
};

struct wal_record {
    uint64_t region_id, entry_id;
    const uint8_t *payload; /* valid for the call only */
    size_t size;
};

/* What open or replay met and survived; each is also a metric and a line in /status. */
struct wal_report {
    uint64_t records, bytes, segments;
    uint64_t torn_bytes;      /* cut off behind the last record of the newest segment that is whole: never known to be on disk */
    uint64_t skipped_records; /* damaged places in what had been on disk; replay fails for the regions that lost records there */
    char detail[256];
};

struct wal;

/* Opens the folder (made if absent), takes its lock, finds the end of the log and cuts a torn tail. */
int wal_open(const struct wal_options *options, struct wal **ret_wal, struct wal_report *ret_report, struct error *err);

/* Syncs and closes. NULL is allowed. */
void wal_close(struct wal *w);

/* Appends the concatenation of iov as one record. Calls for one region must be made in entry order (they are logged in call order); from any thread.
 * A failed write is undone; it fails the appends queued behind it too, and nothing else; so does, in the fsync mode, a sync that finds the disk full.
 * In the other modes such a sync leaves acknowledged records in doubt: the log is unsettled, and appends fail with ST_NO_SPACE until they are safe,
 * or nobody needs them any more (wal_sync.c). Any other failed sync, or a write that could not be undone, makes the log read-only: every later append
 * fails with the same message until the process restarts. Region UINT64_MAX is refused. */
int wal_append(struct wal *w, uint64_t region_id, uint64_t entry_id, const struct iovec *iov, int n, struct error *err);

/* The two halves of wal_append(), for callers that hold a lock while they order the records: enqueue puts the record in the log's queue and returns
 * a ticket; wait returns once it is as durable as the mode says, and must be called once for every ticket, before wal_close(). The iov memory must
 * stay valid until wait returns. Queued records are written when somebody waits. */
int wal_enqueue(struct wal *w, uint64_t region_id, uint64_t entry_id, const struct iovec *iov, int n, uint64_t *ret_ticket, struct error *err);
int wal_wait(struct wal *w, uint64_t ticket, struct error *err);

/* ---- replay: wal_replay.c ----
 *
 * The records of one region with entry_id > after, in entry order, as a row of stretches: records that stand near each other in one segment. One
 * thread asks for stretches and joins them in their order; in between any threads may read them, many at once. */
struct wal_replay;
struct wal_stretch;

/* ST_CORRUPT when the log knows that the region lost its end, or when the newest segment is damaged where nobody can tell whose record is lost and
 * this region has none behind it. A damaged end of the newest segment cannot be told from a write that never finished: see torn_bytes. The log must
 * outlive the replay; nothing may make entries of the region obsolete behind `after` meanwhile. */
int wal_replay_open(struct wal *w, uint64_t region_id, uint64_t after_entry_id, struct wal_replay **ret_replay, struct error *err);
/* The next stretch, NULL behind the last one. ST_CORRUPT when records are missing. */
int wal_replay_next(struct wal_replay *r, struct wal_stretch **ret_stretch, struct error *err);
/* How many bytes reading it takes, about; it needs memory for as many. */
size_t wal_stretch_bytes(const struct wal_stretch *s);
/* Calls `each` for its records in their order. Thread-safe. ST_CORRUPT when one of them is damaged, or when one is missing between them. */
int wal_stretch_read(struct wal_stretch *s, int (*each)(void *ctx, const struct wal_record *record, struct error *err), void *ctx, struct error *err);
/* To be called for each stretch in turn, after it was read and before anything of it is used: ST_CORRUPT when records are missing before it, or behind
 * the last one of a segment. */
int wal_replay_join(struct wal_replay *r, const struct wal_stretch *s, struct error *err);
void wal_stretch_free(struct wal_stretch *s); /* NULL is allowed; may outlive the replay */
void wal_replay_close(struct wal_replay *r);  /* NULL is allowed */

/* Highest entry id of the region that the log remembers, 0 if none. */
uint64_t wal_last_entry_id(struct wal *w, uint64_t region_id);
/* Whether segments hold entries that the region needs, as far as the log knows; it knows more behind wal_obsolete(). */
bool wal_is_pinned(struct wal *w, uint64_t region_id);

/* Entries <= entry_id of the region are no longer needed; segments that nobody needs are deleted, oldest first (the active one is ended for it when
 * it holds more than 1 MiB). UINT64_MAX for all of them: the region is gone, but its last entry id stays known, as records of it may come back at the
 * next open; who makes it anew must begin behind them. The log writes it down, as far as it can: who opens a region says it again. Segments with
 * damage that can be laid on no region stay until somebody removes them.
 * NULL is a log in which nothing is. */
int wal_obsolete(struct wal *w, uint64_t region_id, uint64_t entry_id, struct error *err);

/* All of them, and the next entry follows none: it begins the region's life in this log anew, behind a gap that is no loss. Its id must be higher than
 * wal_last_entry_id() was. */
int wal_begin_anew(struct wal *w, uint64_t region_id, struct error *err);

struct wal_stats {
    enum wal_durability durability;
    int64_t sync_interval_ms;
    uint64_t segments, bytes, appended_records, appended_bytes, syncs, unsynced_bytes;
    uint64_t oldest_pinning_region; /* the region that keeps the oldest segment alive, 0 if none */
    bool failed, unsettled;
    char failure[256]; /* why */
};
void wal_stats(struct wal *w, struct wal_stats *ret_stats); /* zeros for NULL */

/* Walks every record of a segment file except its checkpoint and notes, for `regionctl inspect wal`: damaged ones are reported with payload NULL and
 * size = bytes skipped. */
int wal_inspect(struct fs *fs, const char *path, int (*each)(void *ctx, uint64_t offset, const struct wal_record *record, struct error *err),
                void *ctx, struct error *err);

#endif
