/* Rows kept by an aggregation: for functions whose result needs all values of a group, in input order or in the order of sort keys.
 *
 * While rows come in they are copied as they are, in chunks of a batch each, with the group of every row beside them. Arranging them, once, joins
 * the chunks and permutes the rows so that those of a group lie behind one another: a list column is then a slice, without a copy.
 */
#ifndef EXEC_AGG_COLLECT_H
#define EXEC_AGG_COLLECT_H

#include "exec/agg.h"

struct agg_collect {
    struct budget *budget; /* borrowed */
    uint32_t n_columns;    /* at most AGG_STATE_MAX */
    struct vec chunks;     /* struct column *: n_columns a chunk */
    uint32_t n_chunks;
    struct vec groups; /* uint32 a row */
    uint32_t n_rows;
    struct vec selected; /* scratch */

    bool arranged;
    struct column *columns[AGG_STATE_MAX]; /* the rows, group by group; NULL when there are none */
    struct vec starts;                     /* uint32: group g is rows [starts[g], starts[g + 1]) */
    uint32_t n_groups;
};

void agg_collect_init(struct agg_collect *c, struct budget *budget, uint32_t n_columns);
void agg_collect_release(struct agg_collect *c);

/* Keeps all rows, or those whose first `n_valid` columns are not NULL. Columns may be dictionaries. Not after arranging. */
int agg_collect_add(struct agg_collect *c, struct column *const *columns, const struct agg_rows *rows, uint32_t n_valid, struct error *err);

/* Takes over the rows of the groups [first, first + n) of `from`, whose columns it has, too, as rows of groups[0..n). Not after arranging either. */
int agg_collect_combine(struct agg_collect *c, const struct agg_collect *from, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err);

/* Rows of a group in the order of the last n_sorts columns, equal ones in input order. Called again it does nothing. */
int agg_collect_arrange(struct agg_collect *c, uint32_t n_groups, const struct sort_spec *sorts, uint32_t n_sorts, struct error *err);

/* Arranges, drops all but the first `keep` rows of every group (the last -keep if negative), and takes rows again. */
int agg_collect_trim(struct agg_collect *c, uint32_t n_groups, const struct sort_spec *sorts, uint32_t n_sorts, int64_t keep, struct error *err);

static inline const uint32_t *agg_collect_starts(const struct agg_collect *c, uint32_t first)
{
    return VEC(&c->starts, const uint32_t) + first;
}

/* Groups [first, first + n) as lists of `type` with the values of column `column`; behind column 0, struct items are made of the columns from
 * `column` on. Empty groups give an empty list, or NULL. */
int agg_collect_lists(const struct agg_collect *c, uint32_t column, struct dtype *type, bool null_if_empty, uint32_t first, uint32_t n,
                      struct column **ret_column, struct error *err);

#endif
