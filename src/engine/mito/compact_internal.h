/* What the files of compaction share: a snapshot of a region, one merge of some of its files, and how it is written and committed (compact.c). */
#ifndef ENGINE_MITO_COMPACT_INTERNAL_H
#define ENGINE_MITO_COMPACT_INTERNAL_H

#include "engine/mito/compact_pick.h"
#include "engine/mito/mito.h"

/* The files of a region at one moment, and by which rules they are to be compacted. */
struct compact_snapshot {
    struct mito_region *region;
    struct region_metadata *metadata;
    enum merge_mode mode;
    enum sst_format format;
    enum ttl_kind ttl_kind;
    int64_t ttl_ms;
    struct sst_index_options index; /* with a reference */
    struct pick_options pick;
    struct sst_file **files;
    uint32_t n_files;
};

struct compaction { /* one merge */
    const struct compact_snapshot *of;
    struct sst_file **inputs; /* borrowed from the snapshot, oldest sequence first */
    uint32_t n_inputs;
    int64_t time_min, time_max; /* rows outside are left out (strict windows); else everything */
    bool drop_deletes;
    int64_t window_seconds;
    uint64_t output_bytes_max; /* 0 = one file */
    struct file_meta *outputs;
    uint32_t n_outputs;
};

/* What is there now of a writable region. */
int compact_snapshot_take(struct mito_region *r, struct compact_snapshot *ret, struct error *err);
void compact_snapshot_release(struct compact_snapshot *s);
/* What the picker sees; malloc'ed. */
int compact_describe_files(const struct compact_snapshot *s, struct pick_file **ret_files, struct error *err);

/* Merges the inputs into c->outputs. */
int compact_outputs_write(struct compaction *c, struct error *err);
void compact_outputs_remove(struct compaction *c); /* their objects */
void compact_outputs_release(struct compaction *c);
/* Commits what was written, or, after a failure `st`, removes it. */
int compact_finish(struct compaction *c, int st, struct error *err);
void compact_count_request(void);

/* compact_strict.c: every file is cut at the window borders: each window's rows, from all files that reach into it, become one output. */
int compact_strict(struct mito_region *r, int64_t seconds, uint32_t parallelism, struct error *err);

#endif
