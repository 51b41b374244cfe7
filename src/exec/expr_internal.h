/* What the parts of the expression engine share. Private to exec/expr*.c, kernel*.c and cast*.c. */
#ifndef EXEC_EXPR_INTERNAL_H
#define EXEC_EXPR_INTERNAL_H

#include "exec/expr.h"

/* A column, or one value that stands for every row (length 1). */
struct value {
    struct column *column;
    bool scalar;
};

enum expr_kind { EXPR_COLUMN, EXPR_LITERAL, EXPR_CALL };

struct function;

struct expr {
    enum expr_kind kind;
    struct dtype *type;       /* one reference */
    bool nullable;
    uint32_t column;
    struct field *field;      /* of the input column, one reference; NULL for what is not a column */
    struct column *literal;   /* one reference */
    const struct function *function;
    struct expr **args;
    uint32_t n_args;
    bool flag;                /* TRY_CAST; CASE: has a base; LIKE: case-insensitive; ... as the function says */
    bool flag2;               /* CASE: has an ELSE */
    const char *timezone;     /* of the session, borrowed; NULL = none */
    struct arena *arena;      /* where casts are put in while binding */
};

/* Evaluates with `rows` rows; scalar arguments have one. All arguments scalar: rows = 1. Arguments are borrowed, no dictionaries among them. */
typedef int (*kernel_fn)(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err);
/* Checks the arguments, may wrap them in casts (expr_bind_cast), sets e->type (one reference) and e->nullable (preset: any argument nullable). */
typedef int (*bind_fn)(struct expr *e, struct error *err);

/* One row of functions that are written that way (kernel_typed.h). */
struct call;
struct text_writer;
typedef int (*text_row_fn)(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err);
typedef int (*fixed_row_fn)(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err); /* a Boolean is one byte */
/* Appends the items of the row's list; none when it says NULL. */
typedef int (*list_row_fn)(const struct call *c, int64_t row, struct column_builder *items, bool *ret_null, struct error *err);

struct function {
    const char *name;
    uint32_t min_args, max_args;
    bind_fn bind;
    kernel_fn kernel;
    int op;                   /* tells kernels that share code apart */
    bool strict;              /* NULL in, NULL out, row by row: may run on dictionary values */
    const char *signature;    /* types, see kernel_typed.h; NULL when `bind` decides */
    text_row_fn text_row;
    fixed_row_fn fixed_row;
    list_row_fn list_row;
    bool per_row;             /* another value for every row even without arguments: random() */
};

extern const struct function functions_logic[], functions_compare[], functions_arithmetic[], functions_text[], functions_match[], functions_time[];
extern const struct function functions_sketch[], functions_vector[], functions_fulltext[], functions_json[];
extern const struct function functions_arrow[], functions_bits[], functions_choice[], functions_convert[], functions_digest[], functions_format[], functions_ip[];
extern const struct function functions_math[], functions_mysql[], functions_regex[], functions_string[];
/* The test that a call of the functions_match with a literal pattern is for its first argument; NULL when it is none, cannot be shared by threads, or
 * would not say what the call says. */
struct scan_test *match_test_new(const struct expr *e);
const struct function *function_find(const char *name); /* NULL when there is none */
extern const struct function function_case, function_in, function_cast;
extern const struct function functions_list[], functions_list_read[], functions_struct[], functions_series[];
extern const struct function functions_geohash[], functions_s2[], functions_h3[], functions_wkt[], functions_key[];

/* e->args[i] = CAST(e->args[i] AS type) unless it has that type already. */
int expr_bind_cast(struct expr *e, uint32_t i, struct dtype *type, struct error *err);
/* Brings two arguments to DataFusion's common type for comparison or arithmetic (functions.md 4.1). ST_PLAN_QUERY when there is none. */
int expr_bind_common(struct expr *e, uint32_t a, uint32_t b, bool arithmetic, struct error *err);
/* Arguments from..to must be strings; an untyped NULL becomes one. */
int expr_bind_strings(struct expr *e, uint32_t from, uint32_t to, struct error *err);
bool expr_is_scalar(const struct expr *e); /* no column in it */
int expr_type_error(const struct expr *e, struct error *err);

/* Range vectors are arguments of these functions only; no other has to look out for them. */
extern const struct function functions_prom[];
bool function_takes_ranges(const struct function *f);
/* The q-quantile of n values, which are sorted in place; q outside of 0..1 gives an infinity, NaN or no values NaN. */
double float_quantile(double *values, size_t n, double q);

/* Validity of a strict function's result; NULL buffer when nothing is null. */
int kernel_validity(struct budget *budget, const struct value *args, uint32_t n, int64_t rows, struct buffer **ret_validity, int64_t *ret_nulls,
                    struct error *err);

static inline bool value_is_null(const struct value *v, int64_t i)
{
    return column_is_null(v->column, v->scalar ? 0 : i);
}

static inline const uint8_t *value_bytes(const struct value *v, int64_t i, int32_t *ret_size)
{
    return column_bytes(v->column, v->scalar ? 0 : i, ret_size);
}

/* A Boolean column from one byte (0 or 1) a row. Takes the reference to `validity`. */
int kernel_bools(struct budget *budget, const uint8_t *bytes, int64_t rows, struct buffer *validity, int64_t nulls, struct column **ret, struct error *err);

/* A Boolean column from bytes 0, 1 and 2 (null). Takes the reference to `bytes`. */
int kernel_truths(struct expr_context *ctx, struct buffer *bytes, int64_t rows, struct column **ret, struct error *err);

/* Row i comes from branches[choice[i]]; 255 = NULL. */
int kernel_choose(struct expr_context *ctx, struct dtype *type, const struct value *branches, uint32_t n, const uint8_t *choice, int64_t rows,
                  struct column **ret, struct error *err);
/* One of the comparison functions on two values of one type; `rows` results. */
int kernel_compared(const char *name, struct expr_context *ctx, const struct value *a, const struct value *b, int64_t rows, struct column **ret,
                   struct error *err);

/* CASE, COALESCE, AND, OR without computing branches for rows that do not take them. The result is a column of batch->n_rows. */
bool expr_can_be_lazy(const struct expr *e);
int expr_eval_lazy(const struct expr *e, struct expr_context *ctx, const struct batch *batch, struct column **ret, struct error *err);

/* Whether cast.c can go from one type to another. */
bool cast_supported(const struct dtype *from, const struct dtype *to);
/* The same when one of them is nested, and the cast itself. */
bool cast_nested_supported(const struct dtype *from, const struct dtype *to);
int cast_nested(struct expr_context *ctx, struct column *c, struct dtype *to, bool null_on_failure, struct column **ret, struct error *err);

#endif
