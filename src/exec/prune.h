/* Column pruning on the plan tree, before binding: the frontend sends plans that read every column. */
#ifndef EXEC_PRUNE_H
#define EXEC_PRUNE_H

#include "arrow/scan.h"
#include "format/substrait/plan.h"

/* Number of columns that a relation puts out. ST_UNEXPECTED for relations that this project does not know. */
int plan_rel_width(const struct plan_rel *rel, uint32_t *ret_width, struct error *err);

/* Rewrites the tree in place so that each relation puts out only what those above use; the root keeps all its columns. `table`, which `read`
 * reads (both may be NULL), tells which columns are never NULL: count() of those counts rows. Field references that point nowhere: ST_PLAN_QUERY, those of
 * PromQL nodes: ST_INTERNAL. */
int plan_prune(struct plan_rel *root, const struct plan_rel *read, const struct table *table, struct arena *arena, struct error *err);

#endif
