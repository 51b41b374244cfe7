/* Which files of a region to compact (mito-engine.md 6.2): a pure function of what is known of them. */
#ifndef ENGINE_MITO_COMPACT_PICK_H
#define ENGINE_MITO_COMPACT_PICK_H

#include <stdbool.h>
#include <stdint.h>

#include "arrow/type.h"
#include "base/error.h"

struct pick_file { int64_t time_min, time_max; uint64_t sequence, size_bytes; uint8_t level; }; /* times inclusive, in the time index's unit */

struct pick_options {
    enum time_unit unit;
    int64_t window_seconds;    /* 0 = inferred from the level 0 files */
    uint32_t trigger_files;    /* this many groups without overlap are worth merging */
    uint64_t output_bytes_max;
    bool append;
    uint32_t outputs_max;      /* merges asked for at once */
};

struct pick_merge {            /* one merge: indexes into the files, oldest sequence first */
    uint32_t *files, n_files;
    bool drop_deletes;         /* nothing outside of the merge can hold an older row under a delete */
};

struct pick_result { int64_t window_seconds; struct pick_merge *merges; uint32_t n_merges; };

/* The merges have no file in common. */
int compact_pick(const struct pick_file *files, uint32_t n_files, const struct pick_options *options, struct pick_result *ret_result, struct error *err);
void pick_result_release(struct pick_result *r);

/* Length of the time windows that suits the level 0 files. */
int64_t pick_infer_window(const struct pick_file *files, uint32_t n_files, enum time_unit unit);

/* Whether the newest row of a file is older than ttl_ms before now_ms. */
bool pick_expired(int64_t time_max, enum time_unit unit, int64_t ttl_ms, int64_t now_ms);

#endif
