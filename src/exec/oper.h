/* Physical operators: each pulls batches from its input and hands batches on.
 *
 * `schema` names and types what comes out, without dictionary types; a batch's columns may nevertheless be dictionaries of the declared type.
 * Filter and project evaluate expressions; aggregate and sort look only at columns, the binder computes their inputs in a projection below.
 */
#ifndef EXEC_OPER_H
#define EXEC_OPER_H

#include "arrow/column.h"
#include "arrow/scan.h"
#include "base/context.h"
#include "exec/agg.h"
#include "exec/sort_key.h"

struct agg_spill;
struct group_table;
struct oper;

/* A number of EXPLAIN ANALYZE. The frontend prints names with "time", "elapsed" or "cost" in them as nanoseconds, with "mem" or "bytes" as sizes. */
struct oper_metric {
    const char *name;
    uint64_t value;
};

enum { OPER_METRICS_MAX = 16 };

struct oper_ops {
    int (*next)(struct oper *o, struct batch **ret_batch, struct error *err); /* may give empty batches; NULL at the end */
    void (*free)(struct oper *o);                                             /* only what is the operator's own */
    int (*describe)(const struct oper *o, struct dynbuf *out, bool verbose, struct error *err); /* the EXPLAIN line; NULL: not shown */
    /* Metrics of its own, behind rows, time, bytes and batches; NULL = none. Returns how many, at most OPER_METRICS_MAX. */
    uint32_t (*metrics)(const struct oper *o, bool verbose, struct oper_metric *ret_metrics);
};

struct oper {
    const struct oper_ops *ops;
    struct schema *schema;
    struct oper *input;       /* NULL for a scan */
    struct oper **others;     /* further inputs: a union's; malloc, freed with the operator */
    uint32_t n_others;
    struct work_context *work;
    bool done;
    uint64_t rows_out, batches_out, bytes_out;
    uint64_t total_ns;        /* the inputs' included */
    uint64_t mem_bytes;       /* most that it held at a time; a scan: all that it read */
    uint64_t n_series;        /* PromQL nodes: series seen */
};

/* Pulls the next batch with at least one row; checks cancellation and keeps the metrics. */
int oper_next(struct oper *o, struct batch **ret_batch, struct error *err);
uint64_t oper_now_ns(void);    /* monotonic */
void oper_free(struct oper *o); /* with its inputs; NULL is allowed */

static inline struct budget *oper_budget(const struct oper *o)
{
    return o->work ? o->work->budget : NULL;
}

/* Constructors take `input` (freed on failure too) and references to what else they keep. A schema that equals the input's is not passed. */

/* Takes the table. The predicates' columns index the table's schema; columns and predicates are copied, the predicates' values referenced. */
int oper_scan_new(struct work_context *work, struct table *table, const char *name, const struct scan_request *request, struct schema *schema,
                  struct oper **ret_oper, struct error *err);

/* The batches of inputs[0..n), n > 0, one after another, under `schema`. Takes the inputs, not the array. */
int oper_union_new(struct oper *const *inputs, uint32_t n, struct schema *schema, struct oper **ret_oper, struct error *err);

bool oper_is_union(const struct oper *o);

/* One batch, referenced: a virtual table. */
int oper_values_new(struct work_context *work, struct batch *batch, struct oper **ret_oper, struct error *err);

bool oper_is_limit(const struct oper *o);
int oper_limit_new(struct oper *input, int64_t offset, int64_t count, struct oper **ret_oper, struct error *err); /* count -1 = all */

struct oper_sort_key {
    uint32_t column;
    struct sort_spec spec;
};

/* limit -1 = all rows; else only the first `limit` ones come out, in bounded memory. */
int oper_sort_new(struct oper *input, const struct oper_sort_key *keys, uint32_t n_keys, int64_t limit, struct oper **ret_oper, struct error *err);
/* The input comes in the order that is wanted: the sort hands its batches on. */
void oper_sort_set_presorted(struct oper *sort);

struct oper_measure {
    struct agg_call call;      /* resolved; taken, with one reference to each constant */
    uint32_t args[AGG_ARGS_MAX];
    uint32_t *sorts;           /* call.n_sorts columns; taken, malloc */
    struct sort_spec *sort_specs;      /* what call.sorts points to; taken, malloc */
    struct field **sort_fields;        /* what call.sort_fields points to; array taken, malloc; fields owned */
    int32_t filter;            /* a Boolean column, -1 = none */
    struct agg *agg;           /* the operator's, like what follows */
    struct group_table *distinct; /* (group, arguments) */
    bool frozen;               /* rows that are not in `distinct` go to `tuples` */
    struct agg_spill *tuples;  /* made when memory gets short for the first time */
};

void oper_measure_release(struct oper_measure *m);

struct oper_aggregate_spec {
    const uint32_t *keys;      /* columns of the input */
    uint32_t n_keys;
    const uint8_t *sets;       /* n_sets * n_keys: 1 = the key takes part; only for n_sets > 1 */
    uint32_t n_sets;           /* 1 = plain; more: grouping sets, and the output has __grouping_id behind the keys */
    const bool *forward;       /* n_keys, NULL = none: the keys that, taken together, never come back to values that they have left, in the input's order */
    struct oper_measure *measures; /* taken (array by malloc) also on failure */
    uint32_t n_measures;
    struct schema *schema;
};
int oper_aggregate_new(struct oper *input, const struct oper_aggregate_spec *spec, struct oper **ret_oper, struct error *err);

enum { OPER_BATCH_ROWS = 8192 };

#endif
