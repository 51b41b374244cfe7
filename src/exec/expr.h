/* Bound scalar expressions: typed once, evaluated batch by batch.
 *
 * Binding resolves names to kernels and infers every type as DataFusion 52 does (query-plans.md section 6.3). Evaluation is vectorised; literals stay scalars; a
 * function of one dictionary-encoded column and literals runs once per dictionary value.
 */
#ifndef EXEC_EXPR_H
#define EXEC_EXPR_H

#include "arrow/column.h"
#include "arrow/scan.h"
#include "base/arena.h"
#include "base/context.h"
#include "base/error.h"
#include "format/substrait/plan.h"

struct expr;

struct expr_context {
    struct budget *budget;
    struct work_context *work;
    const char *timezone;       /* IANA name, NULL = UTC */
    bool careful;               /* set by the first failure inside a CASE, AND or the like: from then on branches see only their own rows */
};

/* Binds against the fields of `input`. Unknown functions ST_UNEXPECTED (named), types that do not fit ST_PLAN_QUERY. `timezone` is the
 * session's (NULL: none) and outlives the expression: it is part of some result types. The result lives in `arena`;
 * expr_release() gives its references back. */
int expr_bind(const struct plan_expr *plan, const struct schema *input, const char *timezone, struct arena *arena, struct expr **ret_expr,
              struct error *err);
void expr_release(struct expr *e); /* NULL is allowed */

struct dtype *expr_type(const struct expr *e);   /* borrowed; never a dictionary */
bool expr_nullable(const struct expr *e);
/* The input column that the expression is, or -1. */
int expr_column(const struct expr *e);
/* Its literal (one row), or NULL; borrowed. */
struct column *expr_literal(const struct expr *e);
/* Text in DataFusion's display style: of logical expressions for names, of physical ones for EXPLAIN. ST_EXHAUSTED where `out` is full. */
int expr_print(const struct expr *e, const struct schema *input, bool physical, struct dynbuf *out, struct error *err);
/* The values of a column as logical literals. */
int expr_print_values(struct column *values, const char *between, struct dynbuf *out, struct error *err);

/* Values for every row of the batch. The column has expr_type(), or Dictionary(UInt32, that type) when the input came so. */
int expr_eval(const struct expr *e, struct expr_context *ctx, const struct batch *batch, struct column **ret_column, struct error *err);

/* Rows for which a boolean expression is true: ascending indexes in a buffer of uint32. *ret_rows may be NULL when all rows or none are meant. */
int expr_filter(const struct expr *e, struct expr_context *ctx, const struct batch *batch, struct buffer **ret_rows, int64_t *ret_n, struct error *err);

/* Marks the input columns that the expression reads. */
void expr_columns_used(const struct expr *e, bool *used);

/* The input column, a timestamp without nulls, that the expression never falls with when that rises, nor is ever NULL: date_bin(), date_trunc() and casts of
 * it. -1 = none is known. */
int expr_rises_with(const struct expr *e);

/* Appends the conjuncts of the form `column op literal`, `column IN (literals)`, OR-chains of equality on one column, `column IS [NOT] NULL`, LIKE and
 * regular expressions, and what full-text predicates with literal patterns say of their column. Columns index the input; the caller gets references
 * (scan_predicate_unref()). At most `room` in all; *n counts on. */
void expr_predicates(const struct expr *e, const struct schema *input, struct scan_predicate *out, uint32_t room, uint32_t *n);

/* Casts a column; `null_on_failure` = TRY_CAST. */
int expr_cast(struct expr_context *ctx, struct column *c, struct dtype *type, bool null_on_failure, struct column **ret_column, struct error *err);

/* The same without a query around it, for the storage side, which knows no expressions. */
int expr_cast_column(struct budget *budget, struct column *c, struct dtype *type, bool null_on_failure, struct column **ret_column, struct error *err);
int expr_try_cast_column(struct budget *budget, struct column *c, struct dtype *type, struct column **ret_column, struct error *err);

#endif
