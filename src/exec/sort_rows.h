/* Ordering rows in memory, and merging ordered runs that lie on disk: the two halves of a sort. */
#ifndef EXEC_SORT_ROWS_H
#define EXEC_SORT_ROWS_H

#include "exec/oper.h"
#include "exec/spill.h"

enum { SORT_KEYS_MAX = 32, SORT_BYTES_PER_ROW = 64 /* what sorting takes beside the rows and var-length keys, at most */ };

/* The encoded keys of the batch's rows (replaces what `keys` held). */
int sort_rows_keys(struct work_context *work, struct batch *b, const struct oper_sort_key *sort, uint32_t n_keys, struct sort_keys *keys, struct error *err);

/* Rows of some batches in order, equal ones as they came: their keys by row, and the rows by key. A zeroed one has none. */
struct sorted_rows {
    struct sort_keys keys;
    struct vec entries; /* sort_rows.c's: runs in order */
    struct vec ends;    /* uint32: where each run ends */
    uint32_t n_runs;
    int64_t n;
    size_t skip; /* bytes of the keys in front of what entries hold of them */
};

/* Of the batches' rows, fewer than 2^32, as if they were joined. */
int sorted_rows_init(struct sorted_rows *r, struct work_context *work, struct batch *const *batches, uint32_t n_batches,
                     const struct oper_sort_key *sort, uint32_t n_keys, struct error *err);
void sorted_rows_release(struct sorted_rows *r, struct budget *budget);
/* Takes over the rows of `more`, by the same keys, as rows behind its own. */
int sorted_rows_append(struct sorted_rows *r, struct sorted_rows *more, struct budget *budget, struct error *err);
/* All rows in order, as uint32 in `order`. */
int sorted_rows_order(struct sorted_rows *r, struct work_context *work, struct vec *order, struct error *err);

/* Runs on disk, each in order, earlier ones with the earlier rows. */
struct sort_runs;
int sort_runs_new(struct work_context *work, struct schema *schema, const struct oper_sort_key *sort, uint32_t n_keys, struct sort_runs **ret_runs,
                  struct error *err);
/* Writes the rows order[0..n) of the batch as the next run. */
int sort_runs_add(struct sort_runs *r, struct batch *b, const uint32_t *order, int64_t n, struct error *err);
/* All rows of all runs in order, batch by batch; NULL at the end. After the first call no run is added any more. */
int sort_runs_next(struct sort_runs *r, struct batch **ret_batch, struct error *err);
void sort_runs_free(struct sort_runs *r); /* NULL is allowed */

#endif
