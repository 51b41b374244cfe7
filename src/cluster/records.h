/* What metasrv has on record of tables, as far as a datanode needs it (heartbeat.md 9): databases' options, routes, table infos. */
#ifndef CLUSTER_RECORDS_H
#define CLUSTER_RECORDS_H

#include "arrow/type.h"
#include "cluster/metasrv.h"

struct records;

int records_new(struct metasrv *metasrv, struct records **ret_records, struct error *err); /* metasrv: borrowed */
void records_free(struct records *r);                                                      /* NULL is allowed */

/* All of these may ask metasrv and wait for it. */

/* The options of the table's database, the caller's to free with kv_list_free(). Answers are kept for ten minutes, or until they are forgotten. */
int records_database_options(void *records, uint64_t region_id, struct kv **ret_options, uint32_t *ret_n, struct error *err);
/* "{catalog}/{schema}": its options have changed. Never waits. */
void records_forget_database(struct records *r, const char *name);

/* The partition expression on the region's route, malloc'ed; NULL when there is no route. */
int records_partition_expr(void *records, uint64_t region_id, char **ret_expr, struct error *err);
/* ST_UNEXPECTED when the region is on its table's route. */
int records_check_not_routed(struct records *r, uint64_t region_id, struct error *err);

struct table_record {
    char engine[32], path[512]; /* path: {catalog}/{schema} */
};
int records_table(struct records *r, uint32_t table_id, struct table_record *ret_table, struct error *err);

#endif
