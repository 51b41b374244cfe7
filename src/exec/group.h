/* The group-by hash table: gives every row of a batch the number of its group. */
#ifndef EXEC_GROUP_H
#define EXEC_GROUP_H

#include "arrow/column.h"
#include "base/budget.h"

struct group_table;

/* `types` are the keys' types without dictionaries. No keys: one group. `one_behind_another`: the rows of a group follow each other without others in between;
 * then there is no table, and nothing to freeze. */
int group_table_new(struct budget *budget, struct dtype *const *types, uint32_t n_keys, bool one_behind_another, struct group_table **ret_table,
                    struct error *err);
void group_table_free(struct group_table *t);

/* The groups of n rows; new groups get the next numbers in order of appearance. keys[k] may be dictionaries of types[k]. */
int group_table_map(struct group_table *t, struct column *const *keys, int64_t n, uint32_t *groups, struct error *err);

/* From now on rows of groups that are not there get UINT32_MAX instead of a new group; the table does not grow any more. */
void group_table_freeze(struct group_table *t);

uint32_t group_table_count(const struct group_table *t);
size_t group_table_bytes(const struct group_table *t);

/* Key `key` of the groups [first, first + n) as a column of its type. */
int group_table_keys(const struct group_table *t, uint32_t key, uint32_t first, uint32_t n, struct column **ret_column, struct error *err);

#endif
