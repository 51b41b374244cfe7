/* What the ways of reading a memtable share; private to memtable*.c. */
#ifndef ENGINE_MITO_MEMTABLE_SOURCE_H
#define ENGINE_MITO_MEMTABLE_SOURCE_H

#include "engine/mito/memtable_part.h"

struct memtable_view { /* some parts of a memtable as they were when it was made, and a series snapshot that knows all their series */
    struct memtable *memtable;
    struct mem_part **parts;
    uint32_t n_parts;
    struct series_snapshot *series;
};

struct mem_ref { /* a row of a view */
    uint32_t part, row;
};

struct memtable_source {
    struct row_source base;
    struct memtable_view *view;
    struct region_metadata *metadata;
    struct mem_part **parts; /* the view's */
    uint32_t n_parts;
    struct series_snapshot *series;
    struct buffer *refs;     /* struct mem_ref per row, sorted */
    struct buffer *ranks;    /* uint32 per row, in the same order */
    int64_t n_rows, next_row;
    uint32_t *columns, n_columns;
    bool any_deletes;
    bool borrows;            /* a part of another source, to which everything belongs */
    struct budget *budget;
    struct work_context *work;
};

/* Opens and sorts: what memtable_view_source_new() does with parts that are not sorted. Takes the view, also on failure. */
int memtable_sort_view(struct memtable_view *view, const struct read_request *q, struct memtable_source **ret_source, struct error *err);

/* memtable_source_keys() and _cut_keys() for a view that is one sorted part. */
bool memtable_is_sorted_source(const struct row_source *s);
uint32_t memtable_sorted_keys(const struct row_source *whole, int64_t stride, struct key_bytes *ret_keys, uint32_t room);
void memtable_sorted_cut_keys(const struct row_source *whole, const struct key_bytes *keys, uint32_t n, struct source_part *ret_parts);
int memtable_sorted_part(const struct row_source *whole, const struct source_part *part, struct row_source **ret_source, struct error *err);

/* Reads a view that is one sorted part (memtable_sorted.c). Takes the view, also on failure. */
int memtable_sorted_source_new(struct memtable_view *view, const struct read_request *q, struct row_source **ret_source, struct error *err);

/* For each series rank whether the tag predicates let it through, by malloc; NULL = all. */
int memtable_wanted_series(const struct memtable_view *view, const struct read_request *q, bool **ret_wanted, struct error *err);

/* The values of a field at the rows refs[0..n). */
int memtable_gather_field(struct memtable_source *s, uint32_t column, const struct mem_ref *refs, int64_t n, struct column **ret_column, struct error *err);

/* Key column k by rank, for rows with these ranks (uint32, borrowed): the region's column, or with UINT32_MAX the encoded key. */
int memtable_rank_column(struct series_snapshot *series, struct budget *budget, uint32_t k, struct buffer *ranks, int64_t n, struct column **ret_column,
                         struct error *err);

/* Which of the key columns a column is; UINT32_MAX = none. */
uint32_t memtable_key_position(const struct region_metadata *metadata, uint32_t column);

#endif
