/* Functions that are written for one row: the table says their argument and result types, the loops are here.
 *
 * signature: one letter an argument, the last repeats for further ones; ':' and the result's letter; '?' when it may be NULL though no argument is.
 *   arguments  T a string of any kind, X string or binary, A anything as it is, O Boolean, I Int64, i Int32, D Float64, F Float32 or (cast) Float64
 *   results    u Utf8, v Utf8View, L LargeUtf8, 1 like argument 0 with views as Utf8, s like argument 0, 2 Int64 for LargeUtf8 else Int32,
 *              O Boolean, I Int64, i Int32, U UInt32, W UInt64, b UInt8, D Float64, f Float32, x Binary (LargeBinary for large arguments), B Binary,
 *              y BinaryView, = the type of argument 0
 */
#ifndef EXEC_KERNEL_TYPED_H
#define EXEC_KERNEL_TYPED_H

#include "exec/expr_internal.h"
#include "exec/text_writer.h"

/* A call on its way through the rows. `state` belongs to the row function's family (NULL at first). */
struct call {
    const struct expr *e;
    struct expr_context *ctx;
    const struct value *args;
    void *state;
};

int bind_signature(struct expr *e, struct error *err);

/* Strict functions see only rows without NULL arguments. */
int kernel_text_rows(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err);
int kernel_fixed_rows(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err);

int kernel_list_rows(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err);

/* The same for families that carry state; the function's row is called with it. */
int kernel_text_run(const struct call *c, int64_t rows, struct column **ret, struct error *err);
int kernel_fixed_run(const struct call *c, int64_t rows, struct column **ret, struct error *err);
int kernel_list_run(const struct call *c, int64_t rows, struct column **ret, struct error *err);

/* Entries of function tables. */
#define TEXT_FUNCTION(name, min, max, signature, row, op) {name, min, max, bind_signature, kernel_text_rows, op, true, signature, .text_row = row}
#define FIXED_FUNCTION(name, min, max, signature, row, op) {name, min, max, bind_signature, kernel_fixed_rows, op, true, signature, .fixed_row = row}

static inline int64_t value_int64(const struct value *v, int64_t i)
{
    return COLUMN_VALUES(v->column, int64_t)[v->scalar ? 0 : i];
}

static inline int32_t value_int32(const struct value *v, int64_t i)
{
    return COLUMN_VALUES(v->column, int32_t)[v->scalar ? 0 : i];
}

static inline double value_double(const struct value *v, int64_t i)
{
    return COLUMN_VALUES(v->column, double)[v->scalar ? 0 : i];
}

static inline const uint8_t *value_text(const struct value *v, int64_t i, size_t *ret_size)
{
    int32_t n;
    const uint8_t *p = value_bytes(v, i, &n);
    *ret_size = (size_t)n;
    return p;
}

#endif
