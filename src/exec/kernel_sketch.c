/* Readers of sketches (functions.md 1.14). Bytes that are no sketch give NULL, not an error: the peer's way. */
#include <math.h>

#include "exec/kernel_typed.h"
#include "format/sketch/hll.h"
#include "format/sketch/uddsketch.h"

static int hll_count_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    struct hll h;
    size_t size;
    double count = 0;
    const uint8_t *data = value_text(&c->args[0], row, &size);
    int st = hll_decode(data, size, c->ctx->budget, &h, err);
    if ((*ret_null = st == ST_CORRUPT))
        return ST_OK;
    TRY(st);
    st = hll_count(&h, &count, err);
    *(uint64_t *)ret_value = (uint64_t)round(count);
    hll_release(&h);
    return st;
}

static int uddsketch_calc_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    struct uddsketch s;
    size_t size;
    double q = value_double(&c->args[0], row);
    const uint8_t *data = value_text(&c->args[1], row, &size);
    int st = uddsketch_decode(data, size, c->ctx->budget, &s, err);
    if ((*ret_null = st == ST_CORRUPT))
        return ST_OK;
    TRY(st);
    *ret_null = s.n_buckets == 0;
    if (!*ret_null && !(q >= 0 && q <= 1))
        st = error_set(err, ST_EXECUTE_QUERY, "uddsketch_calc: the quantile %g is not between 0 and 1", q);
    else if (!*ret_null)
        *(double *)ret_value = uddsketch_quantile(&s, q);
    uddsketch_release(&s);
    return st;
}

const struct function functions_sketch[] = {
    FIXED_FUNCTION("hll_count", 1, 1, "X:W?", hll_count_row, 0),
    FIXED_FUNCTION("uddsketch_calc", 2, 2, "DX:D?", uddsketch_calc_row, 0),
    {0},
};
