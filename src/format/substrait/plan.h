/* A Substrait plan as a tree: what the frontend sends for one region (query-plans.md section 1).
 *
 * Pure decoding: nothing is resolved or typed here but literals and cast targets. Everything lives in the caller's arena; plan_release() gives back the
 * references to types and columns. Relations and expressions that the format knows and this project does not are kept by name, so that binding can name them.
 */
#ifndef FORMAT_SUBSTRAIT_PLAN_H
#define FORMAT_SUBSTRAIT_PLAN_H

#include "arrow/column.h"
#include "base/arena.h"
#include "base/error.h"

enum plan_expr_kind { PLAN_LITERAL, PLAN_FIELD, PLAN_CALL, PLAN_IF, PLAN_IN, PLAN_CAST, PLAN_OTHER };

struct plan_expr {
    enum plan_expr_kind kind;
    struct column *literal;     /* LITERAL: one row, typed, maybe null */
    uint32_t field;             /* FIELD: index into the input's columns */
    const char *name;           /* CALL: lower-case function name without signature; OTHER: what it is */
    struct plan_expr **args;    /* CALL: arguments. IF: [base,] (when, then)*, [else]. IN: value, options*. CAST: operand */
    uint32_t n_args;
    bool has_base, has_else;    /* IF */
    struct dtype *type;         /* CAST: target */
    bool null_on_failure;       /* CAST: TRY_CAST */
};

enum plan_sort_direction { PLAN_ASC_NULLS_FIRST = 1, PLAN_ASC_NULLS_LAST, PLAN_DESC_NULLS_FIRST, PLAN_DESC_NULLS_LAST }; /* frozen: Substrait */

struct plan_sort {
    struct plan_expr *expr;
    enum plan_sort_direction direction;
};

struct plan_measure {
    const char *name;           /* lower-case aggregate name */
    struct plan_expr **args;
    uint32_t n_args;
    struct plan_sort *sorts;
    uint32_t n_sorts;
    struct plan_expr *filter;   /* NULL = none */
    bool distinct;
};

struct plan_grouping {
    uint32_t *keys;             /* indexes into the relation's `keys` */
    uint32_t n_keys;
};

enum plan_series_kind { PLAN_SERIES_DIVIDE, PLAN_SERIES_NORMALIZE, PLAN_INSTANT_MANIPULATE, PLAN_RANGE_MANIPULATE };

enum { PLAN_NO_COLUMN = UINT32_MAX }; /* a column that the sender did not find */

/* A PromQL node (promql-nodes.md 2). Columns index the input's; times are milliseconds. */
struct plan_series {
    enum plan_series_kind kind;
    int64_t start, end, interval;
    int64_t span;                 /* INSTANT: lookback; RANGE: length of a window; NORMALIZE: offset */
    bool filter_nan;              /* NORMALIZE */
    uint32_t time;
    uint32_t field;               /* INSTANT: tested for NaN, or PLAN_NO_COLUMN */
    uint32_t *columns, n_columns; /* DIVIDE, NORMALIZE: tags; RANGE: fields */
};

enum plan_rel_kind { PLAN_READ, PLAN_VALUES, PLAN_FILTER, PLAN_FETCH, PLAN_AGGREGATE, PLAN_SORT, PLAN_PROJECT, PLAN_UNION, PLAN_EXTENSION, PLAN_OTHER_REL };

struct plan_rel {
    enum plan_rel_kind kind;
    const char *name;             /* EXTENSION: type_url; OTHER_REL: what it is; READ: last part of the table's name */
    struct plan_rel *input;       /* all but READ and VALUES; the first one of a UNION */
    struct plan_rel **others;     /* UNION (ALL): the further inputs */
    uint32_t n_others;
    bool has_emit;                /* output columns are `emit`, indexes into the direct output */
    uint32_t *emit, n_emit;

    const char **column_names;    /* READ, VALUES: base schema, top level */
    struct dtype **column_types;
    uint32_t n_columns;
    bool has_projection;          /* READ, VALUES: output columns, indexes into the base schema */
    uint32_t *projection, n_projection;
    struct plan_expr *filter;     /* READ, VALUES (over the base schema), FILTER: the condition */

    struct plan_expr **exprs;     /* PROJECT: expressions; AGGREGATE: distinct key expressions by first appearance; VALUES: row after row */
    uint32_t n_exprs;
    uint32_t n_rows;              /* VALUES */
    struct plan_sort *sorts;      /* SORT */
    uint32_t n_sorts;
    struct plan_expr *offset, *count; /* FETCH: NULL = 0 / unlimited */
    struct plan_grouping *groupings;  /* AGGREGATE: none = one without keys */
    uint32_t n_groupings;
    struct plan_measure *measures;
    uint32_t n_measures;
    struct plan_series *series;   /* EXTENSION: what it is; NULL = a node that this project does not know */
};

struct plan {
    struct plan_rel *root;
    const char **names;           /* RelRoot.names, depth first */
    uint32_t n_names;
    struct dtype **types;         /* references to give back */
    uint32_t n_types, types_capacity;
    struct column **columns;
    uint32_t n_columns, columns_capacity;
    struct budget *budget;      /* the arena's; `charged` bytes of it stand for types and literals */
    size_t charged;
};

/* Decodes a serialized substrait.Plan. Malformed protobuf: ST_INVALID_ARGUMENTS. Anything that a plan cannot hold (several relations, unknown function anchors, types
 * and literals without an Arrow form, nesting deeper than 200): ST_UNEXPECTED, naming it. Nothing of `bytes` is kept. */
int plan_decode(const uint8_t *bytes, size_t size, struct arena *arena, struct plan **ret_plan, struct error *err);
void plan_release(struct plan *plan); /* NULL is allowed */

#endif
