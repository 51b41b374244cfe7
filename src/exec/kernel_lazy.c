/* CASE, COALESCE, AND and OR evaluated row by row where it matters.
 *
 * Normally all arguments are computed for the whole batch, which is faster. When that fails (a division by zero, a cast) the query must not fail for rows
 * whose branch is not taken: the arguments are then computed again, each only for the rows that still ask for it.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/expr_internal.h"

struct lazy {
    struct expr_context *ctx;
    const struct batch *batch;
    uint32_t *left;             /* rows without a result yet */
    int64_t n_left;
    uint32_t *source;           /* by row: index into the pieces laid end to end; UINT32_MAX = null */
    struct column **pieces;
    uint32_t n_pieces;
    int64_t total;
};

/* e for some rows of the batch, without dictionary encoding. */
static int eval_rows(struct lazy *z, const struct expr *e, const uint32_t *rows, int64_t n, struct column **ret, struct error *err)
{
    uint32_t width = z->batch->schema->n_fields;
    bool *used = calloc(width + 1, sizeof *used);
    struct column **columns = calloc(width + 1, sizeof *columns), *out = NULL;
    int st = used && columns ? ST_OK : error_no_memory(err, width * 9);
    if (st == ST_OK)
        expr_columns_used(e, used);
    for (uint32_t i = 0; i < width && st == ST_OK; i++)
        if (used[i])
            st = column_take(z->ctx->budget, z->batch->columns[i], rows, n, &columns[i], err);
    struct batch some = {.refs = 1, .schema = z->batch->schema, .n_rows = n, .columns = columns};
    if (st == ST_OK)
        st = expr_eval(e, z->ctx, &some, &out, err);
    if (st == ST_OK)
        st = column_decode_dictionary(z->ctx->budget, out, ret, err);
    column_unref(out);
    for (uint32_t i = 0; columns && i < width; i++)
        column_unref(columns[i]);
    free(columns);
    free(used);
    return st;
}

/* The rows get their values from e. */
static int answer(struct lazy *z, const struct expr *e, const uint32_t *rows, int64_t n, struct error *err)
{
    if (n == 0)
        return ST_OK;
    TRY(eval_rows(z, e, rows, n, &z->pieces[z->n_pieces], err));
    z->n_pieces++;
    for (int64_t i = 0; i < n; i++)
        z->source[rows[i]] = (uint32_t)(z->total + i);
    z->total += n;
    return ST_OK;
}

static int when_holds(struct lazy *z, const struct expr *e, uint32_t when, struct column **ret, struct error *err)
{
    struct column *a, *b;
    if (!e->flag)
        return eval_rows(z, e->args[when], z->left, z->n_left, ret, err);
    TRY(eval_rows(z, e->args[0], z->left, z->n_left, &a, err));
    int st = eval_rows(z, e->args[when], z->left, z->n_left, &b, err);
    if (st == ST_OK) {
        st = kernel_compared("equal", z->ctx, &(struct value){a, false}, &(struct value){b, false}, z->n_left, ret, err);
        column_unref(b);
    }
    column_unref(a);
    return st;
}

static int lazy_case(struct lazy *z, const struct expr *e, uint32_t *chosen, struct error *err)
{
    uint32_t first = e->flag, pairs = (e->n_args - first - e->flag2) / 2;
    for (uint32_t k = 0; k < pairs && z->n_left; k++) {
        struct column *holds;
        int64_t n = 0, rest = 0;
        TRY(when_holds(z, e, first + 2 * k, &holds, err));
        for (int64_t i = 0; i < z->n_left; i++) {
            uint32_t row = z->left[i];
            if (!column_is_null(holds, i) && column_bool(holds, i))
                chosen[n++] = row;
            else
                z->left[rest++] = row;
        }
        column_unref(holds);
        z->n_left = rest;
        TRY(answer(z, e->args[first + 2 * k + 1], chosen, n, err));
    }
    return e->flag2 ? answer(z, e->args[e->n_args - 1], z->left, z->n_left, err) : ST_OK;
}

static int lazy_coalesce(struct lazy *z, const struct expr *e, struct error *err)
{
    for (uint32_t k = 0; k < e->n_args && z->n_left; k++) {
        int64_t rest = 0;
        TRY(answer(z, e->args[k], z->left, z->n_left, err));
        for (int64_t i = 0; i < z->n_left; i++)
            if (column_is_null(z->pieces[z->n_pieces - 1], i))
                z->left[rest++] = z->left[i];
        z->n_left = rest;
    }
    return ST_OK;
}

/* AND stops at a false, OR at a true. */
static int lazy_bool(struct lazy *z, const struct expr *e, struct column **ret, struct error *err)
{
    uint8_t stop = strcmp(e->function->name, "or") == 0;
    int64_t rows = z->batch->n_rows;
    struct buffer *bytes;
    TRY(buffer_new_uninit(z->ctx->budget, (size_t)rows + 8, &bytes, err));
    memset(bytes->data, !stop, (size_t)rows);
    for (uint32_t k = 0; k < e->n_args && z->n_left; k++) {
        struct column *c;
        int64_t rest = 0;
        int st = eval_rows(z, e->args[k], z->left, z->n_left, &c, err);
        if (st != ST_OK) {
            buffer_unref(bytes);
            return st;
        }
        for (int64_t i = 0; i < z->n_left; i++) {
            uint32_t row = z->left[i];
            bool null = column_is_null(c, i);
            if (!null && column_bool(c, i) == stop) {
                bytes->data[row] = stop;
                continue;
            }
            if (null)
                bytes->data[row] = 2;
            z->left[rest++] = row;
        }
        column_unref(c);
        z->n_left = rest;
    }
    return kernel_truths(z->ctx, bytes, rows, ret, err);
}

bool expr_can_be_lazy(const struct expr *e)
{
    const char *name = e->function->name;
    return e->function == &function_case || strcmp(name, "and") == 0 || strcmp(name, "or") == 0 || strcmp(name, "coalesce") == 0;
}

int expr_eval_lazy(const struct expr *e, struct expr_context *ctx, const struct batch *batch, struct column **ret, struct error *err)
{
    int64_t rows = batch->n_rows;
    struct lazy z = {.ctx = ctx, .batch = batch, .n_left = rows};
    struct buffer *scratch;
    struct column *joined = NULL;
    bool chooses = e->function == &function_case || strcmp(e->function->name, "coalesce") == 0;
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows * 12 + 4, &scratch, err));
    uint32_t *memory = (uint32_t *)(void *)scratch->data;
    z.left = memory;
    z.source = memory + rows;
    memset(z.source, 0xff, (size_t)rows * 4);
    for (int64_t i = 0; i < rows; i++)
        z.left[i] = (uint32_t)i;
    z.pieces = calloc(e->n_args + 1, sizeof *z.pieces);
    int st = z.pieces ? ST_OK : error_no_memory(err, e->n_args * sizeof *z.pieces);
    if (st == ST_OK && e->function == &function_case)
        st = lazy_case(&z, e, memory + 2 * rows, err);
    else if (st == ST_OK && chooses)
        st = lazy_coalesce(&z, e, err);
    else if (st == ST_OK)
        st = lazy_bool(&z, e, ret, err);
    if (st == ST_OK && chooses && z.n_pieces == 0) {
        st = column_new_nulls(ctx->budget, e->type, rows, ret, err);
    } else if (st == ST_OK && z.n_pieces) {
        st = column_concat(ctx->budget, z.pieces, z.n_pieces, &joined, err);
        if (st == ST_OK)
            st = column_take(ctx->budget, joined, z.source, rows, ret, err);
    }
    column_unref(joined);
    for (uint32_t i = 0; i < z.n_pieces; i++)
        column_unref(z.pieces[i]);
    free(z.pieces);
    buffer_unref(scratch);
    return st;
}
