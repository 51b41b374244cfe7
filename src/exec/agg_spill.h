/* Rows that an aggregation puts on disk, divided by the hash of their keys so that all rows of a group are in one part. Of grouping sets each row is put
 * once for every set in whose table its group is not. */
#ifndef EXEC_AGG_SPILL_H
#define EXEC_AGG_SPILL_H

#include "base/context.h"
#include "exec/spill.h"

struct agg_spill;

/* Rows of `schema`, keys in columns keys[0..n_keys). The work context has a spill space and outlives this. `sets`, NULL without grouping sets, is borrowed:
 * n_keys bytes a set, 1 = the key takes part. */
int agg_spill_new(struct work_context *work, struct schema *schema, const uint32_t *keys, uint32_t n_keys, const uint8_t *sets,
                  struct agg_spill **ret_spill, struct error *err);
/* Of what a part gives: the rows', with grouping sets and the set's number. Borrowed. */
struct schema *agg_spill_schema(const struct agg_spill *s);
void agg_spill_free(struct agg_spill *s); /* NULL is allowed */

/* Begins a division; `level` counts how often the rows have been divided, this time included. Too often is ST_EXHAUSTED, naming the option. */
int agg_spill_start(struct agg_spill *s, uint32_t level, struct error *err);
/* Of `b`, which may come from a part, the rows rows[0..n), as those of set number `set`. */
int agg_spill_put(struct agg_spill *s, struct batch *b, uint32_t set, const uint32_t *rows, uint32_t n, struct error *err);
/* Ends the division under way, if any, and hands out a part that has not been read yet, with its level; NULL when there is none. With
 * grouping sets each of its batches has a column more, and rows of one set. */
int agg_spill_take(struct agg_spill *s, struct spill_file **ret_file, uint32_t *ret_level, struct error *err);

/* The set of a batch of a part. It comes from the disk: not checked. */
static inline uint32_t agg_spill_set(const struct batch *b)
{
    return COLUMN_VALUES(b->columns[b->schema->n_fields - 1], uint32_t)[0];
}

#endif
