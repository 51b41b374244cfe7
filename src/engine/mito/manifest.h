/* The manifest of a region: which files it has, and what it has flushed (mito-on-disk.md section 2).
 *
 * A directory of JSON deltas and checkpoints in the object store, byte-compatible with GreptimeDB 1.0.x. One manager owns one region's manifest; the
 * engine serialises its updates. A delta that is durable is the commit point of every change.
 */
#ifndef ENGINE_MITO_MANIFEST_H
#define ENGINE_MITO_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "format/region/metadata.h"
#include "store/object_store.h"

#define FILE_ID_SIZE 37 /* UUID text and its zero */

enum sst_index_kind { SST_INDEX_INVERTED = 1, SST_INDEX_FULLTEXT = 2, SST_INDEX_BLOOM = 4, SST_INDEX_ALL = 7 };

struct sst_column_index { uint32_t column_id; uint8_t kinds; };

/* FileMeta (mito-on-disk.md 2.4). Times are in `time_unit`, the time index's own. */
struct file_meta {
    uint64_t region_id;       /* whose folder holds the file */
    char file_id[FILE_ID_SIZE];
    int64_t time_min, time_max; /* inclusive */
    enum time_unit time_unit;
    uint8_t level;            /* 0 flushed, 1 compacted */
    uint64_t file_size, max_row_group_uncompressed_size;
    uint8_t available_indexes; /* enum sst_index_kind bits */
    struct sst_column_index *indexes; uint32_t n_indexes; /* owned */
    uint64_t index_file_size, index_version;
    uint64_t num_rows, num_row_groups, num_series;
    uint64_t sequence;        /* 0 = null */
    char *partition_expr;     /* owned, NULL = null */
};

void file_meta_release(struct file_meta *f);
int file_meta_copy(const struct file_meta *f, struct file_meta *ret_copy, struct error *err);
/* No index any more; one that is written later will have that version. */
void file_meta_clear_index(struct file_meta *f, uint64_t version);

enum sst_format { SST_FORMAT_PRIMARY_KEY, SST_FORMAT_FLAT };

/* A file that an edit has taken out of the manifest, or an index that it has replaced. */
struct removed_file { int64_t removed_at_ms; char file_id[FILE_ID_SIZE]; bool is_index, has_index_version; uint64_t index_version; };

struct manifest { /* the folded state */
    struct region_metadata *metadata; /* NULL before the first Change */
    struct file_meta *files; uint32_t n_files;
    uint64_t version;
    uint64_t flushed_entry_id, flushed_sequence;
    bool has_committed_sequence; uint64_t committed_sequence;
    bool has_truncated_entry_id; uint64_t truncated_entry_id;
    char *compaction_time_window;     /* humantime text as stored, NULL = null */
    enum sst_format sst_format;
    int append_mode;                  /* -1 null, 0, 1 */
    struct removed_file *removed; uint32_t n_removed, removed_room; /* for garbage collection */
};

struct manifest_edit {
    const struct file_meta *add; uint32_t n_add;
    const struct file_meta *remove; uint32_t n_remove;
    int64_t timestamp_ms;
    const char *compaction_time_window;  /* NULL = null */
    bool has_flushed; uint64_t flushed_entry_id, flushed_sequence;
    bool has_committed_sequence; uint64_t committed_sequence;
};

struct manifest_manager;

/* Reads pointer, checkpoint and deltas of <region_dir>/manifest/. ST_NOT_FOUND when there is no manifest (or no Change in it); ST_CORRUPT names the file. */
int manifest_open(struct object_store *store, const char *region_dir, uint32_t checkpoint_distance, struct manifest_manager **ret_manager, struct error *err);

/* A new region: writes version 0. Log entries <= flushed_entry_id are of a former life of the region id. */
int manifest_create(struct object_store *store, const char *region_dir, uint32_t checkpoint_distance, struct region_metadata *metadata,
                    enum sst_format format, uint64_t flushed_entry_id, struct manifest_manager **ret_manager, struct error *err);
void manifest_free(struct manifest_manager *m);

/* Asked right before each delta is written; false = ST_REGION_NOT_READY and nothing written. A delta never replaces one that is there: then another node
 * has written the same version, and the update fails with ST_REGION_NOT_READY too. */
void manifest_set_guard(struct manifest_manager *m, bool (*may_write)(void *ctx), void *ctx);

/* Whether that has happened: whatever this node would add now would stand on a state that lacks the other's change, so all updates fail from then on. */
bool manifest_overtaken(const struct manifest_manager *m);

/* Whether the store holds a version above the current one: another node has led the region meanwhile. */
int manifest_is_behind(struct manifest_manager *m, bool *ret_behind, struct error *err);

/* Whether versions between those that were read are missing: of updates that failed, which the next checkpoint makes good, or of deltas that got lost.
 * No more can be told from a folder. */
bool manifest_has_gap(const struct manifest_manager *m, uint64_t *ret_first, uint64_t *ret_count);

/* The current state; valid until the next update. Callers serialise reads with updates. */
const struct manifest *manifest_state(const struct manifest_manager *m);

/* Each writes one delta and, when due, a checkpoint (whose failure only delays the next). After a failed update the state is unchanged and the version
 * consumed; if it could not even be made sure that the delta is not there, the manifest is in doubt, and later updates fail until that is settled. */
int manifest_update_edit(struct manifest_manager *m, const struct manifest_edit *edit, struct error *err);
int manifest_update_change(struct manifest_manager *m, struct region_metadata *metadata, enum sst_format format, int append_mode, struct error *err);
int manifest_update_truncate_all(struct manifest_manager *m, uint64_t truncated_entry_id, uint64_t truncated_sequence, struct error *err);
int manifest_update_truncate_files(struct manifest_manager *m, const struct file_meta *remove, uint32_t n, struct error *err);

/* Whether a failed delta may come to life at the next open, and removing it then. Files that a delta in doubt names must stay. */
bool manifest_in_doubt(const struct manifest_manager *m);
int manifest_settle(struct manifest_manager *m, struct error *err);
/* A power cut might undo what was read when the manifest was opened, where the process before this one ended before it had synced that, or bring back what
 * it had removed. Behind this it cannot: to be called before anything is deleted that another state of the manifest needs. */
int manifest_make_durable(struct manifest_manager *m, struct error *err);

/* Removed files are on record until they are forgotten (keep), or until the next update. */
void manifest_keep_removed(struct manifest_manager *m, bool keep);
void manifest_forget_removed(struct manifest_manager *m, const struct removed_file *gone, uint32_t n);

/* ---- staging (mito-on-disk.md 2.9): deltas that become one when staging ends well ---- */
/* Forgets staged deltas and removes them and the blobs from the store. */
int manifest_staging_clear(struct manifest_manager *m, struct error *err);
int manifest_stage_expr(struct manifest_manager *m, const char *partition_expr, struct error *err);
int manifest_stage_edit(struct manifest_manager *m, const struct manifest_edit *edit, struct error *err);
/* Called with the state that is to be, before it is written: what takes it over takes its memory here, because afterwards nothing may fail. Its
 * failure is that of the update, which then changes nothing. */
struct manifest_prepare {
    int (*prepare)(void *ctx, const struct manifest *next, struct error *err);
    void *ctx;
};
/* Writes all that is staged as one delta; needs an expression and an edit. `prepare` may be NULL. */
int manifest_staging_commit(struct manifest_manager *m, const struct manifest_prepare *prepare, struct error *err);
/* Reads the manifest that a repartition left for a region in `region_dir`'s blobs, and writes one. */
int manifest_blob_get(struct object_store *store, const char *region_dir, const char *name, struct manifest *ret_manifest, struct error *err);
int manifest_blob_put(struct object_store *store, const char *region_dir, const char *name, const struct manifest *manifest, struct error *err);

uint64_t manifest_bytes(const struct manifest_manager *m); /* live deltas and checkpoint */

/* Folds one delta / checkpoint text into a state: pure, for fuzzing and `regionctl inspect manifest`. */
int manifest_apply_delta(struct manifest *state, const char *text, size_t size, struct error *err);
int manifest_load_checkpoint(struct manifest *state, const char *text, size_t size, uint64_t *ret_last_version, struct error *err);
int manifest_load(struct manifest *state, const char *text, size_t size, struct error *err); /* a RegionManifest object alone */
void manifest_release(struct manifest *state);

#endif
