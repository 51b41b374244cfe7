/* What the files of the binder share; private to exec/bind*.c. */
#ifndef EXEC_BIND_INTERNAL_H
#define EXEC_BIND_INTERNAL_H

#include "exec/expr.h"
#include "exec/oper.h"
#include "exec/query.h"

enum {
    NO_COLUMN = -1,
    RISES_WITH_TIME = -2 /* computed: it never falls when the time index rises, and is never NULL */
};

struct binder {
    const struct query_options *options;
    struct arena *arena;
    struct table *table; /* resolved and not yet given to a scan */
};

struct bound {
    struct oper *oper;
    struct oper *scan;      /* NULL once hints may not pass any more */
    struct table *table;    /* the scan's */
    int32_t *source;        /* a table column per output column, or what else is known of it (negative); arena */
    bool *filtered;         /* table columns that filters read; arena */
    bool *fixed;            /* table columns of which filters leave one value; arena */
    bool reordered;         /* the rows are not in the scan's order any more */
    bool filtered_computed; /* a filter read something that is no table column */
    bool series;            /* the operator's last column holds series numbers (exec/oper_series.h): no output of the relation, but carried along */
};

/* Columns of the relation. */
static inline uint32_t bound_width(const struct bound *in)
{
    return in->oper->schema->n_fields - in->series;
}

int bind_rel(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err);

/* The relations. `limit` rows are enough, -1 = all. On failure the operators that there are stand in *ret. */
int bind_read(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err);
int bind_values(struct binder *b, struct plan_rel *rel, struct bound *ret, struct error *err);
int bind_union(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err); /* UNION ALL */
int bind_project(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err);
int bind_sort(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err);
int bind_fetch(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err);
int bind_aggregate(struct binder *b, struct plan_rel *rel, struct bound *ret, struct error *err);

bool binder_has_window(const struct plan_expr *e);
int binder_expr(struct binder *b, const struct plan_expr *e, const struct schema *input, struct expr **ret_expr, struct error *err);
/* A plain column as an expression. */
int binder_column(struct binder *b, uint32_t column, const struct schema *input, struct expr **ret_expr, struct error *err);
/* An expression without columns as a column of one row, cast to `type` unless it is NULL. */
int binder_constant(struct binder *b, const struct plan_expr *plan, struct dtype *type, struct column **ret_column, struct error *err);
int binder_schema(struct field **fields, uint32_t n, struct schema **ret_schema, struct error *err);
struct sort_spec binder_sort_spec(enum plan_sort_direction d);

/* Each of these puts an operator on the bound input `in`, unless nothing would change. First: the expressions (taken, also on failure; room for one
 * more). */
int binder_project(struct binder *b, struct bound *in, struct expr **exprs, uint32_t n, struct error *err);
int binder_pick(struct binder *b, struct bound *in, const uint32_t *columns, uint32_t n, struct error *err);
/* The rows for which a condition over its columns holds, and of them the columns emit[0..n) only. */
int binder_filter(struct binder *b, struct bound *in, const struct plan_expr *condition, const uint32_t *emit, uint32_t n, struct error *err);
/* Whether encoded keys order like their values, and equal values are equal keys, for a key column of the type. */
bool binder_orders_as_key(const struct dtype *t);
/* Which of the keys keys[0..n) of a group-by, columns of `in`, never come back, taken together, to values that they have left (oper_aggregate_spec.forward).
 * The scan is asked for that order, where it costs nothing. False: none. */
bool binder_group_order(struct bound *in, const uint32_t *keys, uint32_t n, bool *ret_forward);
/* For relations that do not keep series together. */
int binder_drop_series(struct binder *b, struct bound *in, struct error *err);

#endif
