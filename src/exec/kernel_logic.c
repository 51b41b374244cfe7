/* Three-valued logic, null tests, CASE and COALESCE (functions.md 4.3). */
#include <stdlib.h>
#include <string.h>

#include "exec/expr_internal.h"

enum { OP_AND, OP_OR, OP_XOR, OP_AND_NOT };
enum { TEST_NULL, TEST_NOT_NULL, TEST_TRUE, TEST_NOT_TRUE, TEST_FALSE, TEST_NOT_FALSE };

static int bind_bools(struct expr *e, struct error *err)
{
    for (uint32_t i = 0; i < e->n_args; i++)
        TRY(expr_bind_cast(e, i, type_of(TYPE_BOOL), err));
    e->type = type_of(TYPE_BOOL);
    return ST_OK;
}

/* 0 false, 1 true, 2 null */
static inline uint8_t truth(const struct value *v, int64_t i)
{
    if (value_is_null(v, i))
        return 2;
    return column_bool(v->column, v->scalar ? 0 : i);
}

int kernel_truths(struct expr_context *ctx, struct buffer *bytes, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *validity = NULL;
    int64_t nulls = 0;
    int st = ST_OK;
    for (int64_t i = 0; i < rows; i++)
        nulls += bytes->data[i] == 2;
    if (nulls && (st = buffer_new(ctx->budget, bits_bytes(rows), &validity, err)) == ST_OK)
        for (int64_t i = 0; i < rows; i++) {
            if (bytes->data[i] != 2)
                bit_set(validity->data, i);
            bytes->data[i] &= 1;
        }
    if (st == ST_OK)
        st = kernel_bools(ctx->budget, bytes->data, rows, validity, nulls, ret, err);
    buffer_unref(bytes);
    return st;
}

static const uint8_t tables[4][3][3] = {
    [OP_AND] = {{0, 0, 0}, {0, 1, 2}, {0, 2, 2}},
    [OP_OR] = {{0, 1, 2}, {1, 1, 1}, {2, 1, 2}},
    [OP_XOR] = {{0, 1, 2}, {1, 0, 2}, {2, 2, 2}},
    [OP_AND_NOT] = {{0, 0, 2}, {1, 0, 2}, {2, 2, 2}},
};

static int kernel_binary(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *bytes;
    const uint8_t(*table)[3] = tables[e->function->op];
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows + 8, &bytes, err));
    for (int64_t i = 0; i < rows; i++)
        bytes->data[i] = truth(&args[0], i);
    for (uint32_t k = 1; k < e->n_args; k++)
        for (int64_t i = 0; i < rows; i++)
            bytes->data[i] = table[bytes->data[i]][truth(&args[k], i)];
    return kernel_truths(ctx, bytes, rows, ret, err);
}

static int kernel_not(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    static const uint8_t flipped[] = {1, 0, 2};
    struct buffer *bytes;
    (void)e;
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows + 8, &bytes, err));
    for (int64_t i = 0; i < rows; i++)
        bytes->data[i] = flipped[truth(&args[0], i)];
    return kernel_truths(ctx, bytes, rows, ret, err);
}

static int bind_test(struct expr *e, struct error *err)
{
    if (e->function->op >= TEST_TRUE)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_BOOL), err));
    e->type = type_of(TYPE_BOOL);
    e->nullable = false;
    return ST_OK;
}

static int kernel_test(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *bytes;
    int op = e->function->op;
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows + 8, &bytes, err));
    for (int64_t i = 0; i < rows; i++) {
        if (op <= TEST_NOT_NULL) {
            bytes->data[i] = value_is_null(&args[0], i) == (op == TEST_NULL);
        } else {
            bool is = truth(&args[0], i) == (op <= TEST_NOT_TRUE);
            bytes->data[i] = is == (op == TEST_TRUE || op == TEST_FALSE);
        }
    }
    return kernel_truths(ctx, bytes, rows, ret, err);
}

/* ---- choosing among branches ---- */

int kernel_choose(struct expr_context *ctx, struct dtype *type, const struct value *branches, uint32_t n, const uint8_t *choice, int64_t rows,
                  struct column **ret, struct error *err)
{
    struct column **pieces = calloc(n + 1, sizeof *pieces), *joined = NULL;
    int64_t *base = calloc(n + 1, sizeof *base), total = 0;
    struct buffer *take = NULL;
    int st = pieces && base ? buffer_new_uninit(ctx->budget, (size_t)rows * 4, &take, err) : error_no_memory(err, n * 16);
    for (uint32_t k = 0; k < n && st == ST_OK; k++) {
        pieces[k] = branches[k].column;
        base[k] = total;
        total += branches[k].column->length;
    }
    if (st == ST_OK && n)
        st = column_concat(ctx->budget, pieces, n, &joined, err);
    if (st == ST_OK && n) {
        uint32_t *r = (uint32_t *)(void *)take->data;
        for (int64_t i = 0; i < rows; i++)
            r[i] = choice[i] == 255 ? UINT32_MAX : (uint32_t)(base[choice[i]] + (branches[choice[i]].scalar ? 0 : i));
        st = column_take(ctx->budget, joined, r, rows, ret, err);
    } else if (st == ST_OK) {
        st = column_new_nulls(ctx->budget, type, rows, ret, err);
    }
    column_unref(joined);
    buffer_unref(take);
    free(pieces);
    free(base);
    return st;
}

/* args: [base,] (when, then)*, [else] */
static int bind_case(struct expr *e, struct error *err)
{
    uint32_t first = e->flag, pairs = (e->n_args - first - e->flag2) / 2;
    struct dtype *type = NULL;
    if (pairs > 200)
        return error_set(err, ST_PLAN_QUERY, "a CASE has more than 200 branches");
    e->nullable = !e->flag2;
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t when = first + 2 * i;
        if (e->flag)
            TRY(expr_bind_common(e, 0, when, false, err));
        else
            TRY(expr_bind_cast(e, when, type_of(TYPE_BOOL), err));
        if (!type && e->args[when + 1]->type->id != TYPE_NULL)
            type = e->args[when + 1]->type;
        e->nullable = e->nullable || e->args[when + 1]->nullable;
    }
    if (e->flag2) {
        e->nullable = e->nullable || e->args[e->n_args - 1]->nullable;
        if (!type)
            type = e->args[e->n_args - 1]->type;
    }
    e->type = type_ref(type ? type : type_of(TYPE_NULL));
    for (uint32_t i = 0; i < pairs; i++) {
        if (e->flag) /* the base's type may have grown meanwhile */
            TRY(expr_bind_cast(e, first + 2 * i, e->args[0]->type, err));
        TRY(expr_bind_cast(e, first + 2 * i + 1, e->type, err));
    }
    return e->flag2 ? expr_bind_cast(e, e->n_args - 1, e->type, err) : ST_OK;
}

static int kernel_case(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    uint32_t first = e->flag, pairs = (e->n_args - first - e->flag2) / 2, n = 0;
    struct value branches[202];
    struct buffer *choice;
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows + 8, &choice, err));
    memset(choice->data, 255, (size_t)rows);
    int st = ST_OK;
    for (uint32_t i = 0; i < pairs && st == ST_OK; i++, n++) {
        struct value when = args[first + 2 * i];
        struct column *equal = NULL;
        branches[n] = args[first + 2 * i + 1];
        if (e->flag) {
            bool scalar = args[0].scalar && when.scalar;
            st = kernel_compared("equal", ctx, &args[0], &when, scalar ? 1 : rows, &equal, err);
            when = (struct value){equal, scalar};
        }
        for (int64_t r = 0; r < rows && st == ST_OK; r++)
            if (choice->data[r] == 255 && truth(&when, r) == 1)
                choice->data[r] = (uint8_t)n;
        column_unref(equal);
    }
    if (e->flag2) {
        branches[n] = args[e->n_args - 1];
        for (int64_t r = 0; r < rows; r++)
            if (choice->data[r] == 255)
                choice->data[r] = (uint8_t)n;
        n++;
    }
    if (st == ST_OK)
        st = kernel_choose(ctx, e->type, branches, n, choice->data, rows, ret, err);
    buffer_unref(choice);
    return st;
}

static int bind_coalesce(struct expr *e, struct error *err)
{
    bool nullable = true;
    for (uint32_t i = 1; i < e->n_args; i++)
        TRY(expr_bind_common(e, 0, i, false, err));
    for (uint32_t i = 0; i < e->n_args; i++) {
        TRY(expr_bind_cast(e, i, e->args[0]->type, err));
        nullable = nullable && e->args[i]->nullable;
    }
    e->nullable = nullable;
    e->type = type_ref(e->args[0]->type);
    return ST_OK;
}

static int kernel_coalesce(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *choice;
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows + 8, &choice, err));
    for (int64_t i = 0; i < rows; i++) {
        choice->data[i] = 255;
        for (uint32_t k = 0; k < e->n_args && choice->data[i] == 255; k++)
            if (!value_is_null(&args[k], i))
                choice->data[i] = (uint8_t)k;
    }
    int st = kernel_choose(ctx, e->type, args, e->n_args, choice->data, rows, ret, err);
    buffer_unref(choice);
    return st;
}

const struct function function_case = {"case", 1, UINT32_MAX, bind_case, kernel_case, 0, false};

const struct function functions_logic[] = {
    {"and", 2, UINT32_MAX, bind_bools, kernel_binary, OP_AND, false},
    {"or", 2, UINT32_MAX, bind_bools, kernel_binary, OP_OR, false},
    {"xor", 2, 2, bind_bools, kernel_binary, OP_XOR, false},
    {"and_not", 2, 2, bind_bools, kernel_binary, OP_AND_NOT, false},
    {"not", 1, 1, bind_bools, kernel_not, 0, true},
    {"is_null", 1, 1, bind_test, kernel_test, TEST_NULL, false},
    {"is_not_null", 1, 1, bind_test, kernel_test, TEST_NOT_NULL, false},
    {"is_unknown", 1, 1, bind_test, kernel_test, TEST_NULL, false},
    {"is_not_unknown", 1, 1, bind_test, kernel_test, TEST_NOT_NULL, false},
    {"is_true", 1, 1, bind_test, kernel_test, TEST_TRUE, false},
    {"is_not_true", 1, 1, bind_test, kernel_test, TEST_NOT_TRUE, false},
    {"is_false", 1, 1, bind_test, kernel_test, TEST_FALSE, false},
    {"is_not_false", 1, 1, bind_test, kernel_test, TEST_NOT_FALSE, false},
    {"coalesce", 1, 250, bind_coalesce, kernel_coalesce, 0, false},
    {"nvl", 2, 2, bind_coalesce, kernel_coalesce, 0, false},
    {"ifnull", 2, 2, bind_coalesce, kernel_coalesce, 0, false},
    {0},
};
