/* Checking a region on disk without opening it: its manifest, its SSTs, their indexes, and what lies beside them (`regionctl check`). Reads only. */
#ifndef ENGINE_MITO_VERIFY_H
#define ENGINE_MITO_VERIFY_H

#include "engine/mito/manifest.h"

enum verify_level {
    VERIFY_NOTE,     /* worth knowing; nothing is wrong */
    VERIFY_LEFTOVER, /* a file that nobody needs: of a crash, or of a drop that was not finished */
    VERIFY_BAD_FILE, /* an SST that cannot be read, or is not what the manifest says */
    VERIFY_BROKEN,   /* the region cannot be opened, or lacks rows */
};

/* `key`: the object that it is about. */
typedef void (*verify_say)(void *ctx, enum verify_level level, const char *key, const char *text);

struct verify_request {
    struct object_store *store;
    const char *region_dir; /* with a trailing slash */
    /* Files that regions list in folders of others, sorted: they are no leftovers of these. */
    const char (*shared)[FILE_ID_SIZE];
    size_t n_shared;
    bool full;              /* decode every row: order, times and sequences */
    verify_say say;
    void *ctx;
};

struct verify_result {
    uint64_t region_id, flushed_entry_id, manifest_version, files, indexed_files, rows, bytes;
    bool readable; /* the manifest could be read; the rest is zero otherwise */
};

/* Adds to a malloc'ed list the files that the region lists in folders of others, which a repartition makes it do; none if it cannot be read. */
int mito_verify_shared(struct object_store *store, const char *region_dir, char (**files)[FILE_ID_SIZE], size_t *n, struct error *err);

/* Fails only when the check itself cannot go on. */
int mito_verify_region(const struct verify_request *q, struct verify_result *ret_result, struct error *err);

#endif
