/* What the manifest's files share: folding states and writing the texts (pure), and the manager. */
#ifndef ENGINE_MITO_MANIFEST_INTERNAL_H
#define ENGINE_MITO_MANIFEST_INTERNAL_H

#include "engine/mito/manifest.h"

#define MANIFEST_TEXT_MAX ((size_t)256 << 20)

int manifest_copy(const struct manifest *m, struct manifest *ret_copy, struct error *err);

/* Delta texts. */
int manifest_edit_json(const struct manifest_edit *e, struct dynbuf *out, struct error *err);
int manifest_change_json(const struct region_metadata *metadata, enum sst_format format, int append_mode, const struct manifest_edit *edit, /* or NULL */
                         struct dynbuf *out, struct error *err);
int manifest_truncate_json(uint64_t region_id, uint64_t entry_id, uint64_t sequence, struct dynbuf *out, struct error *err);
int manifest_truncate_files_json(uint64_t region_id, const struct file_meta *files, uint32_t n, struct dynbuf *out, struct error *err);
int manifest_expr_json(const char *partition_expr, struct dynbuf *out, struct error *err);
/* `with_removed`: the removed files too (only garbage collection wants them). */
int manifest_checkpoint_json(const struct manifest *m, uint64_t compacted_actions, bool with_removed, struct dynbuf *out, struct error *err);
/* The RegionManifest object alone, as in a checkpoint and in the blobs of a repartition. */
int manifest_json(const struct manifest *m, bool with_removed, struct dynbuf *out, struct error *err);
int file_meta_json(const struct file_meta *f, struct dynbuf *out, struct error *err);

/* ---- the manager ---- */
#define MANIFEST_KEY_MAX 1400

struct manifest_file { uint64_t version, size; bool checkpoint, gzip; };

struct manifest_manager {
    struct object_store *store;
    char *dir;                   /* ".../manifest/" */
    uint32_t distance;
    struct manifest state;
    uint64_t next_version, checkpoint_version; /* checkpoint_version: 0 before the first, as version 0 cannot be one */
    struct manifest_file *files; /* what is in the folder; no order */
    uint32_t n_files, room;
    struct dynbuf doubtful;      /* text of version next_version - 1, when writing it failed and so did removing it */
    bool (*may_write)(void *ctx);
    void *may_write_ctx;
    uint64_t first_missing, n_missing; /* versions that were not there when it was read */
    bool durable;                /* what this process has read of the folder is on disk: it may have read what another one could not sync */
    bool keep_removed;
    bool overtaken;              /* another node has written a version that this one was about to */
    struct dynbuf staged;        /* the actions of the staged deltas, joined by commas */
    uint32_t staged_exprs, staged_edits;
};

/* Asks the guard and writes the text under a key that must be new. */
int manifest_put_delta(struct manifest_manager *m, const char *key, const struct dynbuf *text, struct error *err);
/* Writes a delta's text as the next version and takes it over. `prepare` may be NULL. */
int manifest_commit(struct manifest_manager *m, const struct dynbuf *text, const struct manifest_prepare *prepare, struct error *err);

#endif
