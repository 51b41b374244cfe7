/* The operators of PromQL's nodes (promql-nodes.md 3 to 7).
 *
 * The peer makes one batch of every series. Here batches keep their size: SeriesDivide appends a column of series numbers (UInt32, equal in
 * neighbouring rows = same series), the binder carries it through projections and filters as the last column, which the plan does not see, and the
 * nodes above cut at its changes. So a million series of one row are a hundred batches, and filters and projections in between need not know.
 */
#ifndef EXEC_OPER_SERIES_H
#define EXEC_OPER_SERIES_H

#include "exec/oper.h"
#include "format/substrait/plan.h"

/* Constructors as in oper.h; `node` is borrowed only by the call, its columns are checked. */

/* Appends the column of series numbers: a new one wherever one of the keys changes (null equals null). Rows without a time are dropped. */
int oper_divide_new(struct oper *input, const uint32_t *keys, uint32_t n_keys, uint32_t time, struct oper **ret_oper, struct error *err);
int oper_normalize_new(struct oper *input, const struct plan_series *node, struct oper **ret_oper, struct error *err);
/* The input's last column must be the series numbers; these stay the last column. */
int oper_instant_new(struct oper *input, const struct plan_series *node, struct oper **ret_oper, struct error *err);
int oper_range_new(struct oper *input, const struct plan_series *node, struct oper **ret_oper, struct error *err);

/* ---- shared by them ---- */

/* Rows of whole series: series k is rows [starts[k], starts[k + 1]). */
struct series_chunk {
    struct batch *batch;
    struct vec starts; /* uint32 */
    uint32_t n;        /* 0 = at the end */
};

/* Cuts an operator's output into whole series. A series that crosses batches is joined into a chunk of its own. */
struct series_reader {
    struct oper *input;
    struct batch **pending; /* pieces of the series that is not over yet */
    uint32_t n_pending, pending_room;
    struct batch *rest;        /* what is left of a batch behind the series that `pending` was waiting for */
    struct series_chunk chunk; /* the current one; times without nulls */
    uint64_t n_series;         /* seen so far */
};

/* The next chunk; chunk.n = 0 at the end. */
int series_reader_next(struct series_reader *r, struct error *err);
void series_reader_release(struct series_reader *r);

/* The first t = start + k * interval with lo <= t <= hi; lo >= start. */
static inline bool grid_first(int64_t start, int64_t interval, int64_t lo, int64_t hi, int64_t *ret_t)
{
    if (lo > hi)
        return false;
    uint64_t past = ((uint64_t)lo - (uint64_t)start) % (uint64_t)interval, add = past ? (uint64_t)interval - past : 0;
    if (add > (uint64_t)hi - (uint64_t)lo)
        return false;
    *ret_t = (int64_t)((uint64_t)lo + add);
    return true;
}

/* a + b, held at the ends of the range. */
static inline int64_t add_clamped(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? (b < 0 ? INT64_MIN : INT64_MAX) : sum;
}

/* A batch of o's schema: rows[0..n) of the chunk's batch, the time column replaced by `times`. `replaced` (NULL = none) gives columns by output
 * position that stand instead (borrowed, NULL = from the chunk). The series numbers, last in the chunk, come last. */
int series_emit(const struct oper *o, const struct batch *chunk, const uint32_t *rows, uint32_t n, uint32_t time, const int64_t *times,
                struct column *const *replaced, struct batch **ret_batch, struct error *err);

/* num_series */
uint32_t series_metrics(const struct oper *o, bool verbose, struct oper_metric *ret_metrics);

/* ", "-separated names of columns for EXPLAIN. */
int series_print_columns(const struct oper *o, const char *format_start, const uint32_t *columns, uint32_t n, const char *quote, struct dynbuf *out,
                         struct error *err);

#endif
