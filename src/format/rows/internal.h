/* Shared by the two ways into a row_write. Private to format/rows. */
#ifndef FORMAT_ROWS_INTERNAL_H
#define FORMAT_ROWS_INTERNAL_H

#include "format/rows/rows.h"

/* Empty columns, and room for spans and hashes when the region has tags. */
int row_write_alloc(struct row_write *w, struct region_metadata *metadata, int64_t n_rows, bool is_delete, struct budget *budget, struct error *err);

/* Sets time_min and time_max from `times`. */
void row_write_time_bounds(struct row_write *w);

/* What a column that the write does not mention holds: default, null, or zeros in deletes (region-rpc.md 4.1). Tags are left to the key encoder. */
int row_write_fill_missing(struct row_write *w, uint32_t index, struct error *err);

#endif
