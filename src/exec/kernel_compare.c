/* Comparisons (functions.md 4.2): values as integers where a type has an order of integers, floats by IEEE total order, strings bytewise.
 *
 * Lists, structs and maps are compared by their sort keys: item by item, a NULL inside equal to another one and before all values.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/expr_internal.h"
#include "exec/sort_key.h"

enum { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_DISTINCT, OP_NOT_DISTINCT };

static bool is_comparable(const struct dtype *t)
{
    return type_is_nested(t) ? sort_key_supported(t) : t->id != TYPE_DECIMAL256 && t->id != TYPE_FLOAT16;
}

static int bind_compare(struct expr *e, struct error *err)
{
    TRY(expr_bind_common(e, 0, 1, false, err));
    if (!is_comparable(e->args[0]->type))
        return expr_type_error(e, err);
    e->type = type_of(TYPE_BOOL);
    e->nullable = e->nullable && e->function->op < OP_DISTINCT;
    return ST_OK;
}

/* One operator over two arrays; a stride of 0 repeats a scalar. The four shapes are spelt out so that the compiler vectorises each. */
#define LOOP(ctype, KEY, SIGN)                                                                                            \
    do {                                                                                                                  \
        const ctype *x = (const ctype *)a, *y = (const ctype *)b;                                                         \
        if (sb == 0) {                                                                                                    \
            const ctype k = *y;                                                                                           \
            for (int64_t i = 0; i < n; i++) out[i] = KEY(x[i]) SIGN KEY(k);                                               \
        } else if (sa == 0) {                                                                                             \
            const ctype k = *x;                                                                                           \
            for (int64_t i = 0; i < n; i++) out[i] = KEY(k) SIGN KEY(y[i]);                                               \
        } else {                                                                                                          \
            for (int64_t i = 0; i < n; i++) out[i] = KEY(x[i]) SIGN KEY(y[i]);                                            \
        }                                                                                                                 \
    } while (0)

#define ALL_OPS(ctype, KEY)                          \
    switch (op) {                                    \
    case OP_EQ: LOOP(ctype, KEY, ==); return true;   \
    case OP_NE: LOOP(ctype, KEY, !=); return true;   \
    case OP_LT: LOOP(ctype, KEY, <); return true;    \
    case OP_LE: LOOP(ctype, KEY, <=); return true;   \
    case OP_GT: LOOP(ctype, KEY, >); return true;    \
    default: LOOP(ctype, KEY, >=); return true;      \
    }

#define SAME(v) (v)

static bool compare_fixed(const struct dtype *t, int op, const void *a, int64_t sa, const void *b, int64_t sb, int64_t n, uint8_t *out)
{
    switch ((enum type_id)t->id) {
    case TYPE_INT8: ALL_OPS(int8_t, SAME)
    case TYPE_INT16: ALL_OPS(int16_t, SAME)
    case TYPE_INT32: case TYPE_DATE32: case TYPE_TIME32: case TYPE_INTERVAL_YEAR_MONTH: ALL_OPS(int32_t, SAME)
    case TYPE_INT64: case TYPE_DATE64: case TYPE_TIMESTAMP: case TYPE_TIME64: case TYPE_DURATION: ALL_OPS(int64_t, SAME)
    case TYPE_UINT8: ALL_OPS(uint8_t, SAME)
    case TYPE_UINT16: ALL_OPS(uint16_t, SAME)
    case TYPE_UINT32: ALL_OPS(uint32_t, SAME)
    case TYPE_UINT64: ALL_OPS(uint64_t, SAME)
    case TYPE_FLOAT32: ALL_OPS(int32_t, total_order32)
    case TYPE_FLOAT64: ALL_OPS(int64_t, total_order64)
    case TYPE_DECIMAL128: ALL_OPS(__int128, SAME)
    default: return false;
    }
}

static bool holds(int op, int order)
{
    switch (op) {
    case OP_EQ: return order == 0;
    case OP_NE: return order != 0;
    case OP_LT: return order < 0;
    case OP_LE: return order <= 0;
    case OP_GT: return order > 0;
    default: return order >= 0;
    }
}

#define ORDER(x, y) (((x) > (y)) - ((x) < (y)))

/* Bytes, Booleans and the intervals with several fields, one row at a time. */
static int order_of(const struct value *a, const struct value *b, int64_t i)
{
    const struct dtype *t = a->column->type;
    int64_t x = a->scalar ? 0 : i, y = b->scalar ? 0 : i;
    if (type_is_varlen(t)) {
        int32_t n, m;
        const uint8_t *p = column_bytes(a->column, x, &n), *q = column_bytes(b->column, y, &m);
        int c = n && m ? memcmp(p, q, (size_t)(n < m ? n : m)) : 0;
        return c ? c : ORDER(n, m);
    }
    if (t->id == TYPE_BOOL)
        return (int)column_bool(a->column, x) - (int)column_bool(b->column, y);
    if (t->id == TYPE_FIXED_BINARY)
        return memcmp(a->column->buffers[0]->data + (a->column->offset + x) * t->width, b->column->buffers[0]->data + (b->column->offset + y) * t->width,
                      (size_t)t->width);
    if (t->id == TYPE_INTERVAL_DAY_TIME) {
        const int32_t *p = COLUMN_VALUES(a->column, int32_t) + a->column->offset + 2 * x, *q = COLUMN_VALUES(b->column, int32_t) + b->column->offset + 2 * y;
        return p[0] != q[0] ? ORDER(p[0], q[0]) : ORDER(p[1], q[1]);
    }
    const struct { int32_t months, days; int64_t nanos; } *p = (const void *)(a->column->buffers[0]->data + (a->column->offset + x) * 16),
                                                          *q = (const void *)(b->column->buffers[0]->data + (b->column->offset + y) * 16);
    return p->months != q->months ? ORDER(p->months, q->months) : p->days != q->days ? ORDER(p->days, q->days) : ORDER(p->nanos, q->nanos);
}

static int compare_nested(struct budget *budget, int op, const struct value *a, const struct value *b, int64_t rows, uint8_t *out, struct error *err)
{
    const struct sort_spec spec = {.nulls_first = true};
    struct sort_keys x = {0}, y = {0};
    int st = sort_keys_encode(&x, budget, &a->column, &spec, 1, a->column->length, err);
    if (st == ST_OK)
        st = sort_keys_encode(&y, budget, &b->column, &spec, 1, b->column->length, err);
    for (int64_t i = 0; st == ST_OK && i < rows; i++) {
        size_t n, m;
        const uint8_t *p = sort_keys_at(&x, a->scalar ? 0 : i, &n), *q = sort_keys_at(&y, b->scalar ? 0 : i, &m);
        out[i] = holds(op, sort_key_compare(p, n, q, m));
    }
    sort_keys_release(&x, budget);
    sort_keys_release(&y, budget);
    return st;
}

/* One byte a row: the comparison as if there were no nulls. */
static int compare_values(struct budget *budget, int op, const struct value *a, const struct value *b, int64_t rows, uint8_t *out, struct error *err)
{
    const struct dtype *t = a->column->type;
    if (t->id == TYPE_NULL) {
        memset(out, 0, (size_t)rows);
        return ST_OK;
    }
    if (a->scalar && b->scalar && rows > 1) { /* x IN (y, column): one answer for all rows */
        TRY(compare_values(budget, op, a, b, 1, out, err));
        memset(out, out[0], (size_t)rows);
        return ST_OK;
    }
    if (type_is_nested(t))
        return compare_nested(budget, op, a, b, rows, out, err);
    int32_t width = type_width(t);
    if (width && compare_fixed(t, op, a->column->buffers[0]->data + a->column->offset * width, !a->scalar,
                               b->column->buffers[0]->data + b->column->offset * width, !b->scalar, rows, out))
        return ST_OK;
    for (int64_t i = 0; i < rows; i++)
        out[i] = holds(op, order_of(a, b, i));
    return ST_OK;
}

static int kernel_compare(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *bytes, *validity = NULL;
    int64_t nulls = 0;
    int op = e->function->op;
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows + 8, &bytes, err));
    int st = compare_values(ctx->budget, op >= OP_DISTINCT ? OP_EQ : op, &args[0], &args[1], rows, bytes->data, err);
    if (st == ST_OK && op >= OP_DISTINCT) {
        for (int64_t i = 0; i < rows; i++) {
            bool na = value_is_null(&args[0], i), nb = value_is_null(&args[1], i);
            bool same = na || nb ? na == nb : bytes->data[i];
            bytes->data[i] = same == (op == OP_NOT_DISTINCT);
        }
    } else if (st == ST_OK) {
        st = kernel_validity(ctx->budget, args, 2, rows, &validity, &nulls, err);
    }
    if (st == ST_OK)
        st = kernel_bools(ctx->budget, bytes->data, rows, validity, nulls, ret, err);
    buffer_unref(bytes);
    return st;
}

/* ---- x IN (...) ---- */

static int bind_in(struct expr *e, struct error *err)
{
    for (uint32_t i = 1; i < e->n_args; i++)
        TRY(expr_bind_common(e, 0, i, false, err));
    for (uint32_t i = 1; i < e->n_args; i++) /* the value's type may have grown meanwhile */
        TRY(expr_bind_cast(e, i, e->args[0]->type, err));
    e->type = type_of(TYPE_BOOL);
    return is_comparable(e->args[0]->type) ? ST_OK : expr_type_error(e, err);
}

static int kernel_in(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *found, *one, *validity = NULL;
    int64_t nulls = 0;
    TRY(buffer_new(ctx->budget, (size_t)rows + 8, &found, err));
    int st = buffer_new_uninit(ctx->budget, (size_t)rows + 8, &one, err);
    if (st != ST_OK) {
        buffer_unref(found);
        return st;
    }
    /* bit 0: equal to an item; bit 1: some item was null */
    for (uint32_t k = 1; st == ST_OK && k < e->n_args; k++) {
        st = compare_values(ctx->budget, OP_EQ, &args[0], &args[k], rows, one->data, err);
        for (int64_t i = 0; st == ST_OK && i < rows; i++)
            found->data[i] |= value_is_null(&args[k], i) ? 2 : one->data[i];
    }
    for (int64_t i = 0; i < rows && st == ST_OK; i++) {
        bool unknown = value_is_null(&args[0], i) || found->data[i] == 2;
        if (unknown && !validity && (st = buffer_new(ctx->budget, bits_bytes(rows), &validity, err)) == ST_OK)
            bits_fill(validity->data, 0, rows, true);
        if (unknown && validity) {
            bit_clear(validity->data, i);
            nulls++;
        }
        found->data[i] &= 1;
    }
    if (st == ST_OK)
        st = kernel_bools(ctx->budget, found->data, rows, validity, nulls, ret, err);
    else
        buffer_unref(validity);
    buffer_unref(found);
    buffer_unref(one);
    return st;
}

/* ---- x BETWEEN low AND high, NULLIF ---- */

static int bind_between(struct expr *e, struct error *err)
{
    TRY(bind_in(e, err));
    return expr_bind_common(e, 0, 1, false, err);
}

/* x >= low AND x <= high, three-valued. */
static int kernel_between(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *low, *high;
    (void)e;
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows + 8, &low, err));
    int st = buffer_new_uninit(ctx->budget, (size_t)rows + 8, &high, err);
    if (st != ST_OK) {
        buffer_unref(low);
        return st;
    }
    st = compare_values(ctx->budget, OP_GE, &args[0], &args[1], rows, low->data, err);
    if (st == ST_OK)
        st = compare_values(ctx->budget, OP_LE, &args[0], &args[2], rows, high->data, err);
    for (int64_t i = 0; st == ST_OK && i < rows; i++) {
        bool no_low = value_is_null(&args[1], i), no_high = value_is_null(&args[2], i);
        bool outside = (!no_low && !low->data[i]) || (!no_high && !high->data[i]);
        low->data[i] = value_is_null(&args[0], i) ? 2 : outside ? 0 : no_low || no_high ? 2 : 1;
    }
    buffer_unref(high);
    if (st == ST_OK)
        return kernel_truths(ctx, low, rows, ret, err);
    buffer_unref(low);
    return st;
}

static int bind_nullif(struct expr *e, struct error *err)
{
    TRY(bind_compare(e, err));
    e->type = type_ref(e->args[0]->type);
    e->nullable = true;
    return ST_OK;
}

static int kernel_nullif(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *equal, *take;
    (void)e;
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows + 8, &equal, err));
    int st = buffer_new_uninit(ctx->budget, (size_t)rows * 4 + 4, &take, err);
    if (st == ST_OK) {
        uint32_t *from = (uint32_t *)(void *)take->data;
        st = compare_values(ctx->budget, OP_EQ, &args[0], &args[1], rows, equal->data, err);
        for (int64_t i = 0; st == ST_OK && i < rows; i++) {
            bool same = equal->data[i] && !value_is_null(&args[0], i) && !value_is_null(&args[1], i);
            from[i] = same ? UINT32_MAX : args[0].scalar ? 0 : (uint32_t)i;
        }
        if (st == ST_OK)
            st = column_take(ctx->budget, args[0].column, from, rows, ret, err);
        buffer_unref(take);
    }
    buffer_unref(equal);
    return st;
}

const struct function function_in = {"in", 1, UINT32_MAX, bind_in, kernel_in, 0, true};

const struct function functions_compare[] = {
    {"equal", 2, 2, bind_compare, kernel_compare, OP_EQ, true},
    {"not_equal", 2, 2, bind_compare, kernel_compare, OP_NE, true},
    {"lt", 2, 2, bind_compare, kernel_compare, OP_LT, true},
    {"lte", 2, 2, bind_compare, kernel_compare, OP_LE, true},
    {"gt", 2, 2, bind_compare, kernel_compare, OP_GT, true},
    {"gte", 2, 2, bind_compare, kernel_compare, OP_GE, true},
    {"is_distinct_from", 2, 2, bind_compare, kernel_compare, OP_DISTINCT, false},
    {"is_not_distinct_from", 2, 2, bind_compare, kernel_compare, OP_NOT_DISTINCT, false},
    {"between", 3, 3, bind_between, kernel_between, 0, true},
    {"nullif", 2, 2, bind_nullif, kernel_nullif, 0, true},
    {0},
};

int kernel_compared(const char *name, struct expr_context *ctx, const struct value *a, const struct value *b, int64_t rows, struct column **ret,
                   struct error *err)
{
    const struct function *f = function_find(name);
    const struct value pair[2] = {*a, *b};
    return f->kernel(&(struct expr){.function = f, .n_args = 2}, ctx, pair, rows, ret, err);
}
