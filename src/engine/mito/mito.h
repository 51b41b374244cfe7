/* The mito engine: regions of time series in a WAL, memtables and Parquet SSTs.
 *
 *   write ──► decode to columns ──► [region lock: number it, queue it in the WAL] ──► wait for the log ──► memtable ──► ack
 *   flush ──► freeze the memtable ──► sorted source per time window ──► SSTs ──► manifest edit ──► forget memtable and WAL
 *   scan  ──► snapshot of memtables and files ──► sources grouped by overlapping time ──► merge ──► batches
 *
 * Lock order (outer to inner): mito_engine.lock, mito_region.job_lock, mito_region.lock, the locks inside a memtable. No I/O under mito_region.lock.
 */
#ifndef ENGINE_MITO_MITO_H
#define ENGINE_MITO_MITO_H

#include <pthread.h>

#include "base/hash.h"
#include "engine/engine.h"
#include "engine/mito/manifest.h"
#include "engine/mito/memtable.h"
#include "engine/mito/options.h"
#include "engine/mito/sst.h"
#include "os/disk.h"
#include "os/thread.h"
#include "store/object_store.h"
#include "wal/peer_log.h"
#include "wal/wal.h"

struct mito_options {
    struct object_store *store;  /* borrowed, like wal and the budgets: they outlive the engine */
    struct wal *wal;             /* NULL: a reader, which opens followers without replay and writes nothing */
    struct disk *disk, *wal_disk; /* of the store and of the log: while either is full, writes and schema changes are refused. NULL: never full */
    struct peer_log *peer_log;   /* of the datanode whose folder this was; NULL: none */
    struct budget *root_budget;  /* memory_limit */
    uint64_t node_id;
    size_t write_buffer_bytes;   /* global_write_buffer_size: flush at half, stall at all of it */
    size_t write_reject_bytes;   /* global_write_buffer_reject_size */
    struct sst_cache_sizes
        caches; /* sst_meta_cache_size, index.*_cache_size, index.content_cache_page_size, page_cache_size, selector_result_cache_size */
    uint32_t checkpoint_distance;
    bool default_flat_format;
    uint8_t flush_indexes, compaction_indexes, query_indexes; /* enum sst_index_kind bits: what is built when, and what queries may use */
    uint8_t later_indexes[2];    /* what is built in the background once files of level 0, of level 1 are there (build_mode async) */
    unsigned max_background_jobs;
    unsigned max_background_compactions; /* 0 = 1 */
    size_t compaction_bytes_max;         /* experimental_compaction_memory_limit; 0 = memory_limit alone */
    int64_t compaction_wait_ms; /* experimental_compaction_on_exhausted: how long a compaction waits for others to need less; 0 = not at all */
    int64_t min_compaction_interval_ms;
    int64_t auto_flush_interval_ms;
    uint64_t wal_purge_bytes;    /* past this the regions that hold the oldest segment are flushed */
    size_t memtable_key_bytes_max; /* a memtable with more of them is replaced; 0 = 1 GiB */
    int64_t write_stall_max_ms;  /* a stalled write fails after this */
    int64_t scan_part_rows;      /* the least that a part of a scan has, as far as the data can be cut so; 0 = 65,536 */
    bool gc_enabled;             /* removed files stay until a metasrv has them collected (gc.c) */
    int64_t gc_lingering_ms;
    int64_t gc_unknown_ms;       /* how old a file that no manifest has on record must be */
};

enum region_state {
    REGION_FOLLOWER, REGION_WRITABLE, REGION_ALTERING, REGION_TRUNCATING, REGION_DROPPING, REGION_DOWNGRADING, REGION_CLOSED, REGION_ENTERING_STAGING,
    REGION_STAGING,
};

struct mito_region {
    _Atomic int refs;
    uint64_t id;
    struct mito_engine *engine;
    char *dir;                          /* "data/.../1024_0000000001/" */
    struct sst_folder *folder;          /* who uses it; NULL once the region is dropped */

    pthread_mutex_t job_lock;           /* one flush, alter, truncate or compaction commit at a time; guards `manifest` and its updates */
    struct manifest_manager *manifest;
    bool rewriting;                     /* a compaction or index build runs; guarded by job_lock */

    pthread_mutex_t lock;               /* guards everything below */
    /* What a heartbeat reads, of thousands of regions: side by side, up to `files`. */
    enum region_state state;
    enum region_state resume;           /* where a transient state ends; another role may have been given meanwhile (role.c) */
    bool catching_up;
    bool freezing;                      /* a flush waits for writes in flight; new ones wait for it */
    bool in_doubt;                      /* the manifest is: no writes before that is settled */
    bool flush_failed;                  /* the last one */
    bool overtaken;                     /* another node has written to the manifest: a follower until it has caught up */
    uint32_t n_frozen, n_files;
    struct memtable *active;
    struct memtable **frozen;           /* old to new; waiting for a flush */
    uint64_t committed_sequence, last_entry_id, flushed_entry_id, manifest_version, manifest_bytes, removed_files;
    uint64_t written_bytes;
    struct { uint64_t rows, bytes, index_bytes; } in_files; /* sums of `files` */
    struct sst_file **files;
    pthread_cond_t changed;             /* state, freezing or inflight changed */
    char *staging_expr;                 /* REGION_STAGING: the expression to be; NULL = all writes are rejected */
    uint32_t inflight;                  /* writes between numbering and memtable */
    struct region_metadata *metadata;
    struct region_options options;
    uint64_t partition_version;         /* of metadata->partition_expr */
    bool expr_to_record;                /* metadata->partition_expr is the route's: the manifest has none yet */
    enum sst_format format;
    bool wal_enabled;                   /* false: wal.provider = noop */
    int64_t last_flush_ms, last_compaction_ms;
    int64_t recorded_window_seconds;    /* the manifest's compaction_time_window; 0 = none yet */
    unsigned failed_compactions;        /* in the background, since one has succeeded */
    int64_t retry_compaction_ms;        /* monotonic; 0 = nothing to try again */
    _Atomic bool compaction_queued, index_build_queued;
    bool orphans_sought;                /* or a file has left since, and may still be read */
};

/* compact_room.c */
struct compact_room {
    pthread_mutex_t lock; /* guards `used` */
    pthread_cond_t freed;
    size_t bytes_max, used; /* bytes_max 0 = without end */
    int64_t wait_ms;
};

struct mito_engine {
    struct engine base;
    struct mito_options options;
    struct engine_host host;            /* zero = this node alone decides */
    struct budget write_budget, scan_budget, job_budget, compact_budget, cache_budget;
    struct sst_caches caches;
    pthread_rwlock_t lock;              /* guards `regions` */
    struct u64_map regions;
    struct thread_pool *replayers;      /* decode log records beside the threads that open regions */
    struct thread_pool *jobs;           /* flushes in the background */
    struct thread_pool *compactions;    /* a lane of their own: however many wait, no flush waits for them */
    struct work_context compact_work;   /* cancelled when the engine stops */
    struct compact_room compact_room;
    _Atomic bool flush_scheduled, space_flush_scheduled;
    int64_t space_flush_ms;             /* when the last one began; the keeper's */
    bool log_failure_told;              /* the keeper's */
    pthread_mutex_t memory_lock;
    pthread_cond_t memory_freed;        /* after each flush */
    pthread_t keeper;                   /* house-keeping thread */
    pthread_mutex_t keeper_lock;
    pthread_cond_t keeper_wake;
    pthread_cond_t reaped;              /* the folder of a dropped region is gone */
    bool stopping;                      /* guarded by keeper_lock */
    struct dropped_region *dropped;     /* folders to remove once their readers are done; guarded by keeper_lock */
    pthread_mutex_t held_lock;
    struct sst_file *held; /* with gc_enabled: files that left a manifest while somebody read them, each with a reference; guarded by held_lock */
};

/* A stored column under the type that an ALTER gave it; what does not fit becomes null. The casts are the query side's, and the program, which knows both sides,
 * sets this before it makes the engine. */
extern int (*mito_cast)(struct budget *budget, struct column *c, struct dtype *type, struct column **ret_column, struct error *err);

/* Where a region's folder stands below {table id}_{sequence}/ (mito-on-disk.md 1): the metric engine keeps two regions there. */
enum region_path_type { REGION_PATH_BARE, REGION_PATH_DATA, REGION_PATH_METADATA };

int mito_engine_new(const struct mito_options *options, struct engine **ret_engine, struct error *err);

/* ---- shared between the files of this folder ---- */

/* All regions, each with a reference; NULL when there is no memory for the list. */
struct mito_region **mito_all_regions(struct mito_engine *e, size_t *ret_n);
/* One reference, or ST_REGION_NOT_FOUND. */
int mito_region_get(struct mito_engine *e, uint64_t region_id, struct mito_region **ret_region, struct error *err);
void mito_region_unref(struct mito_region *r);
/* ST_REGION_NOT_READY naming the state. */
int mito_region_wrong_state(const struct mito_region *r, const char *wanted, struct error *err);

/* Where in the region's folder `dir` "/{table id}_{sequence}/" stands; *ret_size = its length. NULL: nowhere. */
const char *mito_own_folder(const char *dir, uint64_t region_id, int *ret_size);
/* The folder of another region of the same table and part; the caller frees it. */
int mito_sibling_dir(const char *dir, uint64_t region_id, uint64_t sibling_id, char **ret_dir, struct error *err);
/* Width of the region's time windows: the option, else what the manifest has recorded, else 0. r->lock held. */
int64_t mito_window_seconds(const struct mito_region *r);
/* After a commit: takes over the manifest's counters. r->lock held. */
void mito_note_manifest(struct mito_region *r);
/* Takes over all of the manifest but its files; asks the host from now on whether it may be written. r->lock held, or the region not shared. */
void mito_adopt(struct mito_region *r);

/* Regions of before manifests had a partition expression take that of their table's route (region_open.c), and record it once they are led from here.
 * The route's, which may take asking metasrv: malloc'ed; NULL when it is not needed or not known. */
char *mito_route_expr(const struct mito_region *r, const struct region_metadata *metadata);
/* Takes the text (NULL: nothing) over into the region's metadata. r->lock held, or the region not shared. */
int mito_take_expr(struct mito_region *r, char *expr, struct error *err);
void mito_record_expr(struct mito_region *r);

/* role.c */
int mito_region_set_role(struct mito_engine *e, uint64_t region_id, enum region_role role, struct error *err);
int mito_region_set_role_gracefully(struct mito_engine *e, uint64_t region_id, enum region_role role, struct region_last_entries *ret_entries, struct error *err);
int mito_region_catchup(struct mito_engine *e, const struct region_catchup_request *request, struct error *err);
int mito_region_sync(struct mito_engine *e, const struct region_sync_request *request, struct error *err);
/* Its role, or the one that it will have when its transient state ends. r->lock held. */
enum region_role mito_region_role(const struct mito_region *r);
/* Moves a writable region into a transient state, in which writes wait; nothing is in flight afterwards. */
int mito_enter(struct mito_region *r, enum region_state state, struct error *err);
/* Ends it in `state`, or in what a role change meanwhile wants. */
void mito_leave(struct mito_region *r, enum region_state state);
/* The region follows from now on, whatever a lease says, until it has caught up. r->lock held. */
void mito_note_overtaken(struct mito_region *r);
/* Takes over what the other node has written, unless there are rows here that only this node has: metasrv may then lead it from here again. */
void mito_follow_overtaker(struct mito_region *r);
/* Forgets a staging that will not be applied. r->lock held. */
void mito_drop_staging(struct mito_region *r);

/* staging.c */
int mito_region_enter_staging(struct mito_engine *e, uint64_t region_id, const char *partition_expr, struct error *err);
int mito_region_remap(struct mito_engine *e, const struct region_remap_request *request, struct error *err);
int mito_region_apply_staging(struct mito_engine *e, const struct region_apply_request *request, struct error *err);

/* gc.c */
/* Remembers a file that has left its manifest for as long as somebody else holds it. */
void mito_hold_file(struct mito_engine *e, struct sst_file *file);
/* Forgets those that nobody holds any more; `all`: every one. */
void mito_release_held(struct mito_engine *e, bool all);
int mito_region_file_refs(struct mito_engine *e, uint64_t region_id, uint64_t source_id, uint64_t *ret_manifest_version, struct region_file_sink *sink,
                          struct error *err);
int mito_region_gc(struct mito_engine *e, const struct region_gc_request *request, enum region_path_type path_type, struct region_file_sink *deleted,
                   struct error *err);

/* region_open.c */
int mito_region_dir(const char *path, size_t path_size, enum region_path_type type, uint64_t region_id, char **ret_dir, struct error *err);
int mito_region_create(struct mito_engine *e, struct message create, struct region_response *ret, struct error *err);
/* What a create request says, its columns apart. Borrowed. */
struct mito_create {
    const char *path;         /* {catalog}/{schema} */
    size_t path_size;
    enum region_path_type path_type;
    const struct kv *options;
    uint32_t n_options;
};
/* The same from parts; idempotent. */
int mito_region_create_as(struct mito_engine *e, struct region_metadata *metadata, const struct mito_create *create, struct region_response *ret,
                          struct error *err);
int mito_region_open(struct mito_engine *e, const struct region_open_request *open, enum region_path_type path_type, struct error *err);
/* A sibling as its manifest says, for reading: without its log, and known to nobody else. */
int mito_stored_region(const struct mito_region *sibling, uint64_t region_id, struct mito_region **ret_region, struct error *err);
int mito_region_close(struct mito_engine *e, uint64_t region_id, struct error *err);
/* Takes the region out of the registry; its reference goes to the caller. */
struct mito_region *mito_unregister(struct mito_engine *e, uint64_t region_id);
/* No write is in flight afterwards, none starts. */
void mito_stop_writes(struct mito_region *r, enum region_state state);

/* region_drop.c */
/* keep_files: other regions of the table may list them. */
int mito_region_drop(struct mito_engine *e, uint64_t region_id, bool keep_files, struct error *err);
/* Removes the folders of dropped regions that nobody reads any more; `force`: all of them, and waits for those that somebody else is removing. */
void mito_reap_dropped(struct mito_engine *e, bool force);
/* To be called before a region is opened or made in that folder: no drop of an old one there is unfinished afterwards. ST_REGION_NOT_FOUND: it was this
 * region's, begun before the process started. */
int mito_finish_drop(struct mito_engine *e, const char *dir, uint64_t region_id, struct error *err);

/* Notes whether the manifest is in doubt after a failed update, and says so. job_lock held. */
bool mito_note_doubt(struct mito_region *r);
/* Settles a manifest in doubt, so that writes can go on. */
int mito_settle(struct mito_region *r, struct error *err);

/* region_write.c */
int mito_region_write(struct mito_engine *e, uint64_t region_id, bool is_delete, struct message write, uint64_t *ret_rows, struct error *err);
/* A delete that works while a disk is full, as long as there is some of its reserve: its rows do not go to the log, but to files at once. After a
 * failure they may be deleted for readers, and for good with a later flush. */
int mito_region_delete_and_flush(struct mito_engine *e, uint64_t region_id, struct message write, struct error *err);
int mito_region_bulk_insert(struct mito_engine *e, uint64_t region_id, struct message bulk, uint64_t *ret_rows, struct error *err);
/* A put or delete that the metric engine decodes into rows of the region. The log gets them with whole keys. */
struct mito_keyed_write {
    /* Called again when the schema changed before the write was numbered. */
    int (*decode)(void *ctx, struct region_metadata *metadata, struct budget *budget, struct row_write *ret_write, struct error *err);
    void *ctx;
    bool is_delete, has_version;
    uint64_t version; /* of the partition expression that routed the write */
};
int mito_region_write_keyed(struct mito_engine *e, uint64_t region_id, const struct mito_keyed_write *write, uint64_t *ret_rows, struct error *err);

/* Rows out of WAL records, in the order of the log and ready for the active memtable. They stand on their own: the records may go. */
struct replayed {
    struct replayed_rows {
        struct row_write write;
        struct prepared_write prepared;
        uint64_t sequence;
        bool one_sequence;
    } *rows;
    uint32_t n, room;
    uint64_t last_entry_id;
};
/* Decodes a WAL record behind those that are there, for a region that is being opened; any number of threads at once, each into its own. */
int mito_replay_decode(struct mito_region *r, const struct wal_record *record, struct replayed *out, struct error *err);
/* Puts the rows into the active memtable, in the order of the log. *rows_total += their number. */
int mito_replay_apply(struct mito_region *r, struct replayed *rows, uint64_t *rows_total, struct error *err);
void mito_replayed_release(struct replayed *rows);

/* replay.c */
int mito_replay_logs(struct mito_region *r, bool may_flush, struct error *err);
/* The highest entry id that either log knows of a region. */
uint64_t mito_last_logged_entry(struct mito_engine *e, uint64_t region_id);

/* flush.c */
int mito_region_flush(struct mito_region *r, struct error *err);
int mito_flush_locked(struct mito_region *r, struct error *err);   /* job_lock held */
/* Tells the logs that what the manifest covers is no longer needed. job_lock held. */
int mito_log_obsolete(struct mito_region *r, struct error *err);
/* Waits for the writes in flight and moves the active memtable to the frozen ones. region->lock held; new writes wait while it runs. */
int mito_freeze(struct mito_region *r, struct error *err);
/* Whether its keys are as many as a memtable may have: it is to be frozen. */
bool mito_is_full(const struct mito_engine *e, struct memtable *m);
void mito_schedule_flush(struct mito_engine *e);
/* Waits up to max_ms until memtables are below the write buffer; false when they are not. */
bool mito_wait_for_flush(struct mito_engine *e, int64_t max_ms);
/* Stalls or refuses a write while memtables use too much memory. */
int mito_wait_for_memory(struct mito_engine *e, struct error *err);
/* ST_NO_SPACE while a disk is full: for what lets data grow. */
int mito_check_room(const struct mito_engine *e, struct error *err);
/* While a disk is full, or the end of the log in doubt: flushes all regions in the background, now and then, so that the log is needed less. The
 * keeper's. */
void mito_free_space(struct mito_engine *e);

/* ddl.c */
int mito_region_alter(struct mito_engine *e, uint64_t region_id, struct message alter, struct region_response *ret, struct error *err);
int mito_region_truncate(struct mito_engine *e, uint64_t region_id, struct message truncate, struct error *err);

/* compact.c */
int mito_region_compact(struct mito_engine *e, uint64_t region_id, struct message compact, struct error *err);
/* What follows a flush: expired files are dropped, and windows that have collected too many files compacted, in the background. */
void mito_schedule_compaction(struct mito_region *r);
/* The same where one has failed a while ago. The keeper's. */
void mito_retry_compaction(struct mito_region *r);

/* compact_room.c */
void compact_room_init(struct compact_room *r, size_t bytes_max, int64_t wait_ms);
void compact_room_release(struct compact_room *r);
/* Reserves that much, or all there can be; gives back *ret_taken later. ST_EXHAUSTED when others had not given it back in time. */
int compact_room_take(struct compact_room *r, size_t bytes, const struct work_context *work, size_t *ret_taken, struct error *err);
void compact_room_give(struct compact_room *r, size_t bytes);

/* index_build.c */
int mito_region_build_index(struct mito_engine *e, uint64_t region_id, struct error *err);
/* In the background, what the files lack of options.later_indexes. */
void mito_schedule_index_build(struct mito_region *r);

/* orphans.c: removes files of the folder that the region does not list, once, before its first job writes one. job_lock held. */
void mito_remove_orphans(struct mito_region *r);
bool mito_is_data_file(const char *name); /* named as SST and index files are */

/* region_files.c. One compaction or index build of a region at a time: false = it is busy. */
bool mito_rewrite_begin(struct mito_region *r);
void mito_rewrite_end(struct mito_region *r);
/* The file list. What is to be added is made ready before the manifest says so, because afterwards nothing may fail: the region would show
 * other files than it has. Both under one job_lock, or before the region is shared. */
struct added_files { struct sst_file **files, **list; uint32_t n; /* list: room for all */ };
int mito_files_prepare(struct mito_region *r, const struct file_meta *metas, uint32_t n, struct added_files *ret_added, struct error *err);
void mito_files_publish(struct mito_region *r, struct added_files *added); /* r->lock held */
void mito_files_forget(struct added_files *added);                         /* fine after publishing, too */
/* r->lock held for these. */
/* Drops the listed files from the region and marks those for deletion that nobody else can need. */
void mito_files_remove(struct mito_region *r, struct sst_file *const *files, uint32_t n);
bool mito_files_have(const struct mito_region *r, const struct sst_file *file);
/* Puts `fresh`, the same file with a new index, in the place of `old`. */
void mito_files_swap(struct mito_region *r, struct sst_file *old, struct sst_file *fresh);
/* The same in two halves for a whole new list, that of `m`; files that stay are kept open. job_lock held, r->lock need not be. What is not switched
 * to is forgotten by mito_files_forget(). */
int mito_files_prepare_all(struct mito_region *r, const struct manifest *m, struct added_files *ret_all, struct error *err);
void mito_files_switch(struct mito_region *r, struct added_files *all); /* r->lock held */

/* scan.c */
int mito_region_table(struct mito_engine *e, uint64_t region_id, struct table **ret_table, struct error *err);
/* Another region of the same table and part: as it is here, or as storage has it when another node leads it. */
int mito_sibling_table(struct mito_engine *e, uint64_t region_id, uint64_t sibling_id, struct table **ret_table, struct error *err);

/* partition.c: sst_source_new(), without the rows that the region's partition expression leaves to other regions. */
bool mito_file_is_shared(const struct sst_file *file, const struct region_metadata *metadata); /* it may hold such rows */
int mito_file_source(struct sst_file *file, const struct read_request *request, struct row_source **ret_source, struct error *err);

/* inspect.c */
int mito_inspect(struct mito_engine *e, const char *name, struct table **ret_table, struct error *err);

#endif
