/* Runs a Substrait plan over tables: the public face of exec/. */
#ifndef EXEC_QUERY_H
#define EXEC_QUERY_H

#include "arrow/column.h"
#include "arrow/scan.h"
#include "base/context.h"
#include "base/error.h"

struct thread_pool;

struct query_options {
    const uint8_t *plan;      /* serialized substrait.Plan */
    size_t plan_size;
    const char *timezone;     /* IANA name or +hh:mm; NULL or invalid = UTC */
    bool verbose;             /* EXPLAIN ANALYZE VERBOSE: longer node texts */
    uint64_t memtable_max_sequence; bool has_memtable_max_sequence;
    uint64_t sst_min_sequence;
    /* Gives the table behind a name (the last part of it); the query owns it then. */
    int (*resolve)(void *ctx, const char *name, struct table **ret_table, struct error *err);
    void *resolve_ctx;
    struct work_context *work; /* budget, cancellation; outlives the query */
    struct thread_pool *workers; /* helps the thread that pulls; outlives the query. NULL: nobody does, and the results are the same */
};

struct query;

/* Decodes, binds and optimises the plan. Errors as in region-rpc.md 8.5: undecodable protobuf ST_INVALID_ARGUMENTS, unknown relation, node or function
 * ST_UNEXPECTED (the text names it), types that do not fit ST_PLAN_QUERY, window functions and the like ST_UNSUPPORTED. */
int query_open(const struct query_options *options, struct query **ret_query, struct error *err);
struct schema *query_schema(const struct query *q); /* borrowed; output names from RelRoot.names, no dictionary types */
/* *ret_batch = NULL at the end. Execution errors are ST_EXECUTE_QUERY (or the work context's own). Batches hold at least one row. */
int query_next(struct query *q, struct batch **ret_batch, struct error *err);
/* The metrics JSON of region-rpc.md 7.8. */
int query_metrics_json(const struct query *q, struct dynbuf *out, struct error *err);
void query_free(struct query *q);

#endif
