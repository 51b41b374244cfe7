/* Runs: rows behind one another whose values in some columns are the same. Clustered input has long ones, and what holds for a run's first row need
 * be found out once. */
#ifndef EXEC_RUNS_H
#define EXEC_RUNS_H

#include "arrow/column.h"
#include "exec/vec.h"

struct runs {
    struct vec marks, starts;
};

/* The first rows of the runs of n > 0 rows, then n, in r->starts (uint32). Rows of one run are the same; two runs may be, too (dictionaries hold a
 * value twice, values of nested types are not looked at). There are at most `most` starts: where there would be more, *ret_n is 0. */
int runs_find(struct runs *r, struct budget *budget, struct column *const *columns, uint32_t n_columns, int64_t n, uint32_t most, uint32_t *ret_n,
              struct error *err);
void runs_release(struct runs *r, struct budget *budget);

/* The values of the row before, kept beyond its batch. */
struct row_edge {
    struct column **last; /* plain columns of one row; NULL before the first */
    uint32_t n_columns;
};

int row_edge_init(struct row_edge *e, uint32_t n_columns, struct error *err);
void row_edge_release(struct row_edge *e);
int row_edge_keep(struct row_edge *e, struct budget *budget, struct column *const *columns, int64_t row, struct error *err);
/* Whether the row differs from the one that is kept; with none there it does. */
bool row_edge_differs(const struct row_edge *e, struct column *const *columns, int64_t row);
/* Whether row i differs from row i - 1. */
bool rows_differ(struct column *const *columns, uint32_t n_columns, int64_t i);

#endif
