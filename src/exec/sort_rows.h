/* Ordering rows in memory, and merging ordered runs that lie on disk: the two halves of a sort. */
#ifndef EXEC_SORT_ROWS_H
#define EXEC_SORT_ROWS_H

#include "exec/oper.h"
#include "exec/spill.h"

enum { SORT_KEYS_MAX = 32, SORT_BYTES_PER_ROW = 64 /* what sorting takes beside the rows and var-length keys, at most */ };

/* The encoded keys of the batch's rows (replaces what `keys` held). */
int sort_rows_keys(struct work_context *work, struct batch *b, const struct oper_sort_key *sort, uint32_t n_keys, struct sort_keys *keys, struct error *err);

/* The rows of the batch in order, as uint32 in `order`, equal ones as they came; `keys` gets their keys. */
int sort_rows(struct work_context *work, struct batch *b, const struct oper_sort_key *sort, uint32_t n_keys, struct sort_keys *keys, struct vec *order,
              struct error *err);

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
