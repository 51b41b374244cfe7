/* What the scans of a region share: a snapshot, and of each scan the plan that its streams read by; private to scan*.c. */
#ifndef ENGINE_MITO_SCAN_PLAN_H
#define ENGINE_MITO_SCAN_PLAN_H

#include "base/arena.h"
#include "engine/mito/mito.h"

struct mito_table {
    struct table base;
    _Atomic int refs; /* the table and its plans */
    struct mito_engine *engine;
    struct region_metadata *metadata;
    struct memtable **memtables; /* old to new */
    uint32_t n_memtables;
    struct sst_file **files;
    uint32_t n_files;
    enum merge_mode mode;
    uint8_t indexes; /* kinds that queries may use */
};

void mito_table_unref(struct mito_table *t);

struct scan_origin {            /* a memtable or a file, not opened yet */
    struct memtable_view *view; /* owned until it is opened */
    struct sst_file *file;
    int64_t time_min, time_max, rows;
    uint64_t age; /* files by sequence, then memtables: older ones first */
};

/* A part of an origin that has been opened; the plan owns the whole. */
struct scan_part {
    struct row_source *whole;
    struct source_part part;
};

/* What is read in one go: a group of origins, or a part of it. */
struct scan_piece {
    uint32_t first, n;       /* origins */
    int64_t rows;            /* at most, before merging */
    struct scan_part *parts; /* n, the plan's; NULL: the piece opens its origins */
};

/* Shared by the streams of a scan. Nothing in it changes once there is a stream, but that each origin is opened by the one stream that reads it. */
struct scan_plan {
    _Atomic int refs;
    struct mito_table *snapshot;
    struct schema *schema;
    struct scan_request request; /* its arrays are the plan's own */
    uint32_t *columns;
    struct scan_predicate *predicates;
    bool *fields;
    struct work_context *work;
    struct budget *budget;
    int64_t time_min, time_max;
    struct scan_origin *origins; /* sorted by group */
    uint32_t n_origins;
    struct scan_piece *pieces; /* in the order of reading */
    uint32_t n_pieces, pieces_room;
    struct row_source **wholes;
    uint32_t n_wholes;
    struct scan_stats stats; /* of opening them */
    struct arena arena;      /* what scan_cut.c notes */
    int64_t start_ns;
};

/* The groups as pieces. One reference to the caller. */
int scan_plan_new(struct mito_table *t, const struct scan_request *request, struct work_context *work, struct scan_plan **ret_plan,
                  struct error *err);
void scan_plan_unref(struct scan_plan *p);
int scan_plan_add_piece(struct scan_plan *p, const struct scan_piece *piece, struct error *err);
/* Whether the newest row of a series in the group is among the newest ones of its origins, and that is all that is asked for. */
int scan_plan_last_rows(const struct scan_plan *p, const struct scan_piece *group, bool *ret_suffice, struct error *err);
/* How origin `o` is to be read; `alone`: it is all of its group; `last_rows`: of each series only the newest row that it has matters. */
struct read_request scan_plan_read(const struct scan_plan *p, bool alone, bool last_rows, struct scan_stats *stats);
int scan_plan_open(const struct scan_plan *p, struct scan_origin *o, bool alone, bool last_rows, struct scan_stats *stats,
                   struct row_source **ret_source, struct error *err);

/* The rows of the pieces [first, first + n) one after another. */
int scan_stream_new(struct scan_plan *p, uint32_t first, uint32_t n, struct batch_stream **ret_stream, struct error *err);

/* scan_cut.c: table_ops.cut */
int mito_table_cut(struct table *table, const struct scan_request *request, struct work_context *work, struct scan_parts **ret_parts,
                   struct error *err);

#endif
