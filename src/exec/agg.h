/* Aggregate functions: resolving a call's types, and accumulators that take whole batches.
 *
 * An accumulator holds the states of all groups. It is given columns and the group of every row; no call is made per row. The forms
 * `__<name>_state` give the state as a struct (query-plans.md 3.5), everything else of a call is the same.
 */
#ifndef EXEC_AGG_H
#define EXEC_AGG_H

#include "arrow/column.h"
#include "base/budget.h"
#include "exec/sort_key.h"

enum { AGG_ARGS_MAX = 8, AGG_STATE_MAX = 40 };

/* The rows of one update. Runs are rows of one group behind one another: run r is rows [starts[r], starts[r + 1]). */
struct agg_rows {
    int64_t n;
    const uint32_t *groups; /* NULL: all in group 0 */
    const uint32_t *starts; /* n_runs + 1 of them, NULL when runs are short */
    uint32_t n_runs;
};

static inline uint32_t agg_run_group(const struct agg_rows *rows, uint32_t run)
{
    return rows->groups ? rows->groups[rows->starts[run]] : 0;
}

static inline uint32_t agg_row_group(const struct agg_rows *rows, int64_t row)
{
    return rows->groups ? rows->groups[row] : 0;
}

/* What DISTINCT means to a function (functions.md 2.2). */
enum agg_distinct {
    AGG_DISTINCT_APPLIES,  /* it sees each tuple of arguments once */
    AGG_DISTINCT_IGNORED,  /* no difference, or the peer makes none */
    AGG_DISTINCT_REFUSED,
};

struct agg_function;

/* A bound call: inputs first, what agg_call_resolve() finds out behind them. The types and fields are borrowed by resolve, the results are owned. */
struct agg_call {
    const char *name;              /* as in the plan, also __x_state */
    uint32_t n_args;
    struct dtype *args[AGG_ARGS_MAX]; /* without dictionaries */
    struct column *constants[AGG_ARGS_MAX]; /* the value (one row) of arguments that are literals, else NULL */
    uint32_t n_sorts;
    const struct sort_spec *sorts;
    struct field *const *sort_fields;
    bool distinct;
    bool grouped;                  /* GROUP BY: some functions then compute in another way */
    bool as_float;                 /* sum: the integers stand for Float64, and so does the sum */

    const struct agg_function *function;
    bool state;
    bool descending;               /* the first ORDER BY key is; kept for the functions that do not look at the order of rows */
    struct dtype *value_type;      /* of the finished value */
    bool nullable;
    uint32_t n_state;
    struct field *state_fields[AGG_STATE_MAX];
    struct dtype *result;          /* value_type, or the struct of the state */
};

struct agg {
    const struct agg_function *function;
    struct budget *budget;
    const struct agg_call *call;
};

/* A family of functions that share their accumulator. */
struct agg_function {
    const char *name;
    int which;                     /* tells family members apart */
    uint32_t args_min, args_max;
    /* Fills value_type, nullable and state fields (agg_add_state()); ST_PLAN_QUERY when the types do not fit. */
    int (*resolve)(struct agg_call *call, struct error *err);
    int (*open)(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err);
    int (*reserve)(struct agg *a, uint32_t n_groups, struct error *err);
    /* args[0 .. n_args), then the sort keys' columns; dictionaries only if `dictionaries`. */
    int (*update)(struct agg *a, struct column *const *args, const struct agg_rows *rows, struct error *err);
    int (*finish)(struct agg *a, uint32_t first, uint32_t n, struct column **ret_column, struct error *err);
    int (*state)(struct agg *a, uint32_t first, uint32_t n, struct column **ret_children, struct error *err); /* NULL: has no __x_state form */
    /* Takes the states of the groups [first, first + n) of `from`, whose rows come after those of `a`, into groups[0..n). NULL: cannot be done. */
    int (*combine)(struct agg *a, struct agg *from, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err);
    void (*free)(struct agg *a);
    bool ordered;                  /* looks at ORDER BY */
    bool dictionaries;
    enum agg_distinct distinct;
    uint32_t result_bytes;         /* of a group's result when it is large: the operator then makes smaller batches */
};

/* The functions one after another, then their further names; NULL behind the last. */
const struct agg_function *agg_function_at(size_t index, const char **ret_name);
/* Finds the function and the result. Unknown name: ST_UNEXPECTED. */
int agg_call_resolve(struct agg_call *call, struct error *err);
void agg_call_release(struct agg_call *call);
/* For resolve functions: one child `<function>[<part>]`, or with the whole name given. */
int agg_add_state(struct agg_call *call, const char *part, struct dtype *type, struct error *err);
int agg_add_state_named(struct agg_call *call, const char *name, struct dtype *type, struct error *err);
/* The ORDER BY keys as fields without dictionaries, one reference each: those of a state forced nullable, those inside a list as they are. */
int agg_sort_field(const struct agg_call *call, uint32_t key, bool nullable, struct field **ret_field, struct error *err);
/* "<function> does not take <type>". */
int agg_type_error(const struct agg_call *call, uint32_t arg, struct error *err);
/* The literal in argument `arg`, which the function needs: a float or an integer. ST_EXECUTE_QUERY when it is not one. */
int agg_constant_float(const struct agg_call *call, uint32_t arg, double *ret_value, struct error *err);
int agg_constant_int(const struct agg_call *call, uint32_t arg, int64_t *ret_value, struct error *err);
bool agg_is_number(const struct dtype *t); /* integers, Float32, Float64, Decimal128 */
/* All values of a column of numbers as doubles; those of NULLs are undefined. */
void agg_load_doubles(const struct column *c, double *to);
/* List(item T nullable), one reference; NULL = no memory. */
struct dtype *agg_list_type(struct dtype *item);

int agg_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err); /* the call must outlive it */
/* Value or state of the groups [first, first + n), as the call wants. */
/* combine() of functions that take their own results for values. */
int agg_combine_results(struct agg *a, struct agg *from, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err);
int agg_result(struct agg *a, uint32_t first, uint32_t n, struct column **ret_column, struct error *err);
static inline void agg_free(struct agg *a)
{
    if (a)
        a->function->free(a);
}

/* The families; each table ends with a NULL name. */
extern const struct agg_function agg_number_functions[], agg_minmax_functions[], agg_order_functions[], agg_moment_functions[], agg_bit_functions[],
    agg_list_functions[], agg_percentile_functions[], agg_digest_functions[], agg_approx_functions[], agg_count_hash_functions[],
    agg_sketch_functions[], agg_path_functions[], agg_vector_functions[];

#endif
