/* See kernel_rows.h. */
#include "exec/kernel_rows.h"

int kernel_by_row(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, row_fn fn, void *state, struct column **ret,
                  struct error *err)
{
    struct column_builder out;
    bool may_be_null = false;
    for (uint32_t i = 0; i < e->n_args; i++)
        may_be_null = may_be_null || args[i].column->type->id == TYPE_NULL || column_null_count(args[i].column) > 0;
    TRY(column_builder_init(&out, ctx->budget, e->type, err));
    struct row_call call = {.e = e, .ctx = ctx, .args = args, .out = &out, .state = state};
    int st = ST_OK;
    for (; call.row < rows && st == ST_OK; call.row++) {
        bool null = false;
        for (uint32_t i = 0; may_be_null && i < e->n_args && !null; i++)
            null = value_is_null(&args[i], call.row);
        st = null ? column_builder_append_null(&out, err) : fn(&call, err);
    }
    if (st == ST_OK)
        st = column_builder_finish(&out, ret, err);
    column_builder_release(&out);
    return st;
}
