/* Groups that come one behind another, as ordered input has them: each row belongs to the last group or begins the next. No hash table; what is kept
 * is each group's first row. */
#ifndef EXEC_GROUP_RUNS_H
#define EXEC_GROUP_RUNS_H

#include "exec/runs.h"

struct group_runs {
    struct budget *budget;
    uint32_t n_keys, count;
    struct row_edge last; /* the last group's keys */
    struct vec heads;     /* struct column *: n_keys a chunk */
    struct vec firsts;    /* uint32 a chunk: its first group */
    uint32_t n_chunks;
    struct vec rows; /* uint32: first rows of new groups */
};

int group_runs_init(struct group_runs *g, struct budget *budget, uint32_t n_keys, struct error *err);
void group_runs_release(struct group_runs *g);
/* As group_table_map(). */
int group_runs_map(struct group_runs *g, struct column *const *keys, int64_t n, uint32_t *groups, struct error *err);
/* As group_table_keys(). */
int group_runs_keys(const struct group_runs *g, uint32_t key, uint32_t first, uint32_t n, struct column **ret_column, struct error *err);
size_t group_runs_bytes(const struct group_runs *g);

#endif
