/* Which rows of a row group a scan has to decode: narrowed by pages (the page index), then by the values of the columns that predicates name. */
#ifndef ENGINE_MITO_SST_SELECT_H
#define ENGINE_MITO_SST_SELECT_H

#include "engine/mito/sst_footer.h"

struct row_selection { /* ascending, disjoint, never empty ranges */
    struct budget *budget;
    struct parquet_row_range *ranges;
    uint32_t n, room;
    int64_t n_rows;
};

/* All of the row group's rows. */
int row_selection_init(struct row_selection *s, struct budget *budget, int64_t n_rows, struct error *err);
void row_selection_release(struct row_selection *s);
/* More rows, behind those that are there. */
int row_selection_add(struct row_selection *s, int64_t start, int64_t end, struct error *err);
/* Keeps the rows at rows[0..n), ascending numbers of the selected rows. */
int row_selection_keep(struct row_selection *s, const uint32_t *rows, int64_t n, struct error *err);
/* Keeps the first n rows. */
void row_selection_cut(struct row_selection *s, int64_t n);

/* Keeps the rows that are in `other`, too, whose row `base` is row 0 here. */
int row_selection_intersect(struct row_selection *s, const struct row_selection *other, int64_t base, struct error *err);
/* Keeps the rows of the segments, each so many rows, whose bit is set. */
int row_selection_keep_segments(struct row_selection *s, const uint8_t *bits, uint64_t n_segments, uint64_t rows_per_segment, struct error *err);
/* The number of selected rows in [start, end) is not zero. */
bool row_selection_touches(const struct row_selection *s, int64_t start, int64_t end);

/* Drops the pages that by their bounds hold no wanted time, or no row that satisfies the predicates that the source may use; counts them. Files without a
 * page index keep everything. */
int sst_select_pages(const struct sst_footer *f, const struct read_request *q, const struct parquet_source *source, uint32_t row_group,
                     struct row_selection *s, int64_t *pages_pruned, struct error *err);

#endif
