/* Collects ranges of rows out of many batches and makes one batch of them: the output side of a merge.
 *
 * Rows are named by (batch, row) and copied only in gather_finish(); until then the batches must stay alive, see gather_retire().
 */
#ifndef ENGINE_MITO_GATHER_H
#define ENGINE_MITO_GATHER_H

#include "engine/mito/source.h"

struct gather_range { const struct row_batch *batch; int64_t start, n; };
struct gather_fill { int64_t out_row; uint32_t column; const struct row_batch *batch; int64_t row; };

struct gather {
    struct budget *budget;
    uint32_t n_columns;
    int64_t n_rows;
    struct gather_range *ranges; size_t n_ranges, ranges_room;
    struct gather_fill *fills; size_t n_fills, fills_room;         /* values that replace those of an output row */
    struct row_batch **retired; size_t n_retired, retired_room;    /* owned until the rows are copied */
};

void gather_init(struct gather *g, struct budget *budget, uint32_t n_columns);
void gather_release(struct gather *g);

/* Appends rows [start, start + n) of the batch; ranges that continue one another become one. */
int gather_add(struct gather *g, const struct row_batch *batch, int64_t start, int64_t n, struct error *err);
/* Output row `out_row` takes its value of `column` from that row instead. */
int gather_fill_value(struct gather *g, int64_t out_row, uint32_t column, const struct row_batch *batch, int64_t row, struct error *err);
/* Takes over a batch that its source has moved past; freed as soon as no collected row needs it. Takes it also on failure. */
int gather_retire(struct gather *g, struct row_batch *batch, struct error *err);
/* The collected rows as one batch (there must be some); empties the collection. */
int gather_finish(struct gather *g, struct row_batch **ret_batch, struct error *err);

#endif
