/* Simple predicates on single values: what the scan's pruning and filtering compare with. */
#ifndef ENGINE_MITO_PREDICATE_H
#define ENGINE_MITO_PREDICATE_H

#include "arrow/scan.h"

/* Orders two non-null values of columns of one type (arrow's order: numbers by value, floats by total order, bytes lexicographic). Types without an order
 * (nested ones, intervals) compare as "unknown": *ret_known = false. Dictionaries are looked through. */
int predicate_compare(const struct column *a, int64_t i, const struct column *b, int64_t j, bool *ret_known);

/* Whether row i of the column may satisfy the predicate; true when it cannot be told. NULL satisfies only SCAN_IS_NULL. */
bool predicate_keeps(const struct scan_predicate *p, const struct column *c, int64_t i);

/* Of the rows in[0..n) of the column (NULL: rows 0 to n - 1) those that predicate_keeps(), to out[], which may be in[]; gives how many. A dictionary's values
 * are tested once each. */
int64_t predicate_select(const struct scan_predicate *p, const struct column *c, const uint32_t *in, int64_t n, uint32_t *out);

/* Narrows [*min, *max] of the time index by the predicates on it (its values as int64). */
void predicate_time_range(const struct scan_predicate *predicates, uint32_t n, uint32_t time_index, int64_t *min, int64_t *max);

#endif
