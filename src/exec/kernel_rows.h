/* Functions whose work for one row is much more than a few instructions (sketches, JSON, geometry): one call a row, the result appended to a builder.
 */
#ifndef EXEC_KERNEL_ROWS_H
#define EXEC_KERNEL_ROWS_H

#include "exec/expr_internal.h"

struct row_call {
    const struct expr *e;
    struct expr_context *ctx;
    const struct value *args; /* row `row` of them; none is null there */
    int64_t row;
    struct column_builder *out;
    void *state; /* the function's own, for the whole batch */
};

/* Appends exactly one value or null to call->out. */
typedef int (*row_fn)(struct row_call *call, struct error *err);

/* Calls fn for every row without a null argument; the others are null. */
int kernel_by_row(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, row_fn fn, void *state, struct column **ret,
                  struct error *err);

#define ROW_VALUE(call, arg, ctype) (COLUMN_VALUES((call)->args[arg].column, ctype)[(call)->args[arg].scalar ? 0 : (call)->row])

static inline const uint8_t *row_bytes(const struct row_call *call, uint32_t arg, int32_t *ret_size)
{
    return value_bytes(&call->args[arg], call->row, ret_size);
}

static inline int row_null(struct row_call *call, struct error *err)
{
    return column_builder_append_null(call->out, err);
}

#endif
