/* Readers of sketches (functions.md 1.14). Bytes that are no sketch give NULL, not an error: the peer's way. */
#include <math.h>

#include "exec/kernel_rows.h"
#include "format/sketch/hll.h"
#include "format/sketch/uddsketch.h"

static int bind_hll_count(struct expr *e, struct error *err)
{
    TRY(expr_bind_cast(e, 0, type_of(TYPE_BINARY), err));
    e->type = type_of(TYPE_UINT64);
    e->nullable = true;
    return ST_OK;
}

static int hll_count_row(struct row_call *call, struct error *err)
{
    struct hll h;
    int32_t size;
    double count;
    const uint8_t *data = row_bytes(call, 0, &size);
    int st = hll_decode(data, (size_t)size, call->ctx->budget, &h, err);
    if (st == ST_CORRUPT)
        return row_null(call, err);
    TRY(st);
    st = hll_count(&h, &count, err);
    hll_release(&h);
    TRY(st);
    return column_builder_append_fixed(call->out, &(uint64_t){(uint64_t)round(count)}, err);
}

static int kernel_hll_count(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                            struct error *err)
{
    return kernel_by_row(e, ctx, args, rows, hll_count_row, NULL, ret, err);
}

static int bind_uddsketch_calc(struct expr *e, struct error *err)
{
    TRY(expr_bind_cast(e, 0, type_of(TYPE_FLOAT64), err));
    TRY(expr_bind_cast(e, 1, type_of(TYPE_BINARY), err));
    e->type = type_of(TYPE_FLOAT64);
    e->nullable = true;
    return ST_OK;
}

static int uddsketch_calc_row(struct row_call *call, struct error *err)
{
    struct uddsketch s;
    int32_t size;
    double q = ROW_VALUE(call, 0, double);
    const uint8_t *data = row_bytes(call, 1, &size);
    int st = uddsketch_decode(data, (size_t)size, call->ctx->budget, &s, err);
    if (st == ST_CORRUPT)
        return row_null(call, err);
    TRY(st);
    if (s.n_buckets == 0)
        st = row_null(call, err);
    else if (!(q >= 0 && q <= 1))
        st = error_set(err, ST_EXECUTE_QUERY, "uddsketch_calc: the quantile %g is not between 0 and 1", q);
    else
        st = column_builder_append_fixed(call->out, &(double){uddsketch_quantile(&s, q)}, err);
    uddsketch_release(&s);
    return st;
}

static int kernel_uddsketch_calc(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                                 struct error *err)
{
    return kernel_by_row(e, ctx, args, rows, uddsketch_calc_row, NULL, ret, err);
}

const struct function functions_sketch[] = {
    {"hll_count", 1, 1, bind_hll_count, kernel_hll_count, 0, true},
    {"uddsketch_calc", 2, 2, bind_uddsketch_calc, kernel_uddsketch_calc, 0, true},
    {.name = NULL},
};
