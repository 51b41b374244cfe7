/* The in-memory part of a region: rows that the WAL has and no SST yet.
 *
 * Columns end to end: a write's decoded columns become an immutable part as they are; many small parts are merged into one, so that neither a
 * million single-row writes nor one bulk write costs more than it should. Readers take a snapshot of the part list and never wait for writers.
 */
#ifndef ENGINE_MITO_MEMTABLE_H
#define ENGINE_MITO_MEMTABLE_H

#include "engine/mito/source.h"
#include "format/rows/rows.h"

struct memtable;

int memtable_new(struct region_metadata *metadata, struct budget *budget, struct memtable **ret_memtable, struct error *err);
struct memtable *memtable_ref(struct memtable *m);
void memtable_unref(struct memtable *m);

/* What a write needs before it is logged: series ids for its rows (charged and owned by the handle). */
struct prepared_write {
    struct buffer *series; /* uint32 per row */
};
int memtable_prepare(struct memtable *m, struct row_write *w, struct prepared_write *ret_prepared, struct error *err);
void prepared_write_release(struct prepared_write *p);

/* The primary keys of the n rows of a prepared write; their bytes live as long as the memtable. */
void memtable_keys(struct memtable *m, const struct prepared_write *p, int64_t n, struct key_span *ret_keys);

/* Adds the rows of a prepared write; takes the columns out of `w`. Row i gets sequence `sequence + i`, or all get `sequence` (bulk inserts).
 * Thread-safe. Fails only when memory is out. */
int memtable_append(struct memtable *m, struct row_write *w, struct prepared_write *p, uint64_t sequence, bool one_sequence, struct error *err);

struct memtable_stats {
    int64_t rows, time_min, time_max; /* the bounds are undefined when rows == 0 */
    uint64_t max_sequence;
    size_t bytes;
};
void memtable_stats(struct memtable *m, struct memtable_stats *ret_stats);
void memtable_stats_ahead(const struct memtable *m); /* a hint that memtable_stats() follows */

/* Of its primary keys. They are read as one column of text, which ends at 2 GiB: a memtable must be replaced before. */
size_t memtable_key_bytes(struct memtable *m);

/* What a read sees of a memtable: some of its parts as they are when the view is made. A view keeps what it shows alive. */
struct memtable_view;

/* The views that together hold all rows, older writes first: at most two, none of them empty. Reading sorts: when enough rows have come unsorted since the
 * last time, they and the sorted ones are first made into one sorted part, which takes their place, so that what one read has sorted the next ones find
 * sorted (and then share without copying). Without memory for that nothing is replaced. */
int memtable_open_views(struct memtable *m, struct work_context *work, struct memtable_view *ret_views[2], uint32_t *ret_n, struct error *err);
/* All rows in one view. */
int memtable_view_all(struct memtable *m, struct memtable_view **ret_view, struct error *err);
void memtable_view_free(struct memtable_view *v); /* NULL is allowed */
bool memtable_view_may_delete(const struct memtable_view *v);
/* Rows and times only. */
void memtable_view_stats(const struct memtable_view *v, struct memtable_stats *ret_stats);
/* As memtable_source_new() below. Takes the view, also on failure. */
int memtable_view_source_new(struct memtable_view *v, const struct read_request *request, struct row_source **ret_source, struct error *err);

/* Cuts the source of a view before its first row is read, as sst_source_cut() does; none where its rows are not sorted for good or are not read at all. */
int memtable_source_cut(const struct row_source *whole, int64_t part_rows, struct source_part **ret_parts, uint32_t *ret_n, struct error *err);
int memtable_source_part(const struct row_source *whole, const struct source_part *part, struct row_source **ret_source, struct error *err);
/* As sst_source_keys() and sst_source_cut_keys(), for any source of a view. */
uint32_t memtable_source_keys(const struct row_source *whole, int64_t stride, struct key_bytes *ret_keys, uint32_t room);
void memtable_source_cut_keys(const struct row_source *whole, const struct key_bytes *keys, uint32_t n, struct source_part *ret_parts);
/* Whether a view can be cut: its source is cheap to make, and its parts are cheap, too. */
bool memtable_view_can_cut(const struct memtable_view *v, const struct read_request *request);

/* The rows of the memtable as a sorted source. Columns are indexes into request->metadata, which must be the memtable's own. Tag and time
 * predicates and the sequence bound are applied exactly; those on fields only where rows stand for themselves. Holds the memtable. */
int memtable_source_new(struct memtable *m, const struct read_request *request, struct row_source **ret_source, struct error *err);

#endif
