/* The region server: which regions this node serves, and what happens to a request for one of them.
 *
 * It takes undecoded RegionRequest and Flight ticket bytes (region-rpc.md 2, 4, 7), checks the region's status, calls the engine through its vtable
 * and encodes the RegionResponse. On a node without a metasrv it also keeps the durable list of regions (region/list.h).
 * All functions are thread-safe but new, add_engine, start and free.
 */
#ifndef REGION_SERVER_H
#define REGION_SERVER_H

#include "base/context.h"
#include "engine/engine.h"
#include "os/fs.h"

struct region_server_options {
    struct fs *fs;                   /* of list_path; borrowed */
    const char *list_path;           /* the durable list of regions; NULL = regions come and go by instruction only */
    const char *data_dir;            /* searched for regions when there is no list yet; borrowed for start, NULL = never */
    struct budget *query_budget;     /* the node's query memory; borrowed, may be NULL */
    size_t query_bytes_max;          /* of one query; 0 = only query_budget limits */
    unsigned query_parallelism;      /* threads that work for one query, its own included; 0 = as many as there are CPUs */
    struct spill_space *spill;       /* where queries put rows that memory has no room for; borrowed, NULL = nowhere */
    unsigned init_parallelism;       /* regions opened at once at start; 0 = 16 */
    unsigned max_concurrent_queries; /* being planned at once; 0 = unlimited */
    size_t response_bytes_max;       /* 0 = 512 MiB */
    bool read_only;                  /* the list is read, never written, and its regions are open as their manifests have them, without their logs */
    bool leased;                     /* a metasrv says which regions this node may write, and for how long (region/member.h) */
};

struct region_server;

int region_server_new(const struct region_server_options *options, struct region_server **ret_server, struct error *err);

/* Makes an engine known under engine->ops->name; it belongs to the server then, which frees the last one first. Before start. */
int region_server_add_engine(struct region_server *s, struct engine *engine, struct error *err);

/* Reads the list of regions and opens them in the background; fails only when the list itself cannot be read. */
int region_server_start(struct region_server *s, struct error *err);

/* Returns when every region of the list is open or has failed. */
void region_server_wait_opened(struct region_server *s);

/* Nobody may be inside any call. Closes the engines. NULL is allowed. */
void region_server_free(struct region_server *s);

/* One Region/Handle call: RegionRequest in, RegionResponse appended to ret_response. Logs nothing; the caller logs the error. */
int region_server_handle(struct region_server *s, const uint8_t *request, size_t size, struct dynbuf *ret_response, struct error *err);

/* What the region's columns are; one reference. */
int region_server_metadata(struct region_server *s, uint64_t region_id, struct region_metadata **ret_meta, struct error *err);

/* While suspended, queries fail with ST_SUSPENDED. */
void region_server_set_suspended(struct region_server *s, bool suspended);

/* ---- queries ---- */
struct region_query;

/* Opens the query of a Flight ticket (a QueryRequest). Sets work->budget to the query's own account; `work` and the ticket bytes outlive the query. */
int region_server_query(struct region_server *s, const uint8_t *ticket, size_t size, struct work_context *work, struct region_query **ret_query,
                        struct error *err);
struct schema *region_query_schema(const struct region_query *q); /* borrowed */
/* *ret_batch = NULL at the end. Every failure but cancellation and deadline is ST_EXECUTE_QUERY. Batches must go before the query does. */
int region_query_next(struct region_query *q, struct batch **ret_batch, struct error *err);
bool region_query_verbose(const struct region_query *q);
int region_query_metrics_json(const struct region_query *q, struct dynbuf *out, struct error *err);
void region_query_free(struct region_query *q); /* NULL is allowed */

/* ---- for status pages ---- */
struct region_info {
    uint64_t region_id;
    const char *engine;  /* name */
    const char *path;    /* {catalog}/{schema} as in the node's list of regions, "" without one */
    const char *state;   /* "ready", "opening", "closing", "failed" */
    const char *error;   /* why it failed, else NULL */
    bool found;          /* found in the data folder and open for reading only, since nobody told its options */
    bool has_stat;
    struct region_stat stat;
};

/* Calls `each` for every region in no order; stops at its first failure. */
int region_server_each(struct region_server *s, int (*each)(void *ctx, const struct region_info *info, struct error *err), void *ctx,
                       struct error *err);

#endif
