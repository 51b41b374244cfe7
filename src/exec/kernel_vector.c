/* Vector functions (functions.md 1.16). A vector is binary, 32-bit floats in little-endian order, or text like [1.0, 2.0].
 *
 * Everything is computed in single precision, each operation rounded once and in the order of the peer's linear algebra library: sums run from the
 * first element to the last, dot products of eight and more elements in eight lanes. A literal in text form is parsed once a batch.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "exec/kernel_typed.h"
#include "exec/vector_text.h"

struct operand {
    const uint8_t *data;
    size_t n;          /* elements */
    struct vec parsed; /* where text becomes floats */
    bool ready;        /* a literal that has been read */
};

struct operands {
    struct operand at[2];
};

static float element(const uint8_t *data, size_t i)
{
    float f;
    memcpy(&f, data + i * 4, 4);
    return f;
}

/* ---- operands ---- */

static int read_operand(const struct call *c, uint32_t arg, int64_t row, struct operand *o, struct error *err)
{
    size_t size;
    const struct value *v = &c->args[arg];
    if (o->ready)
        return ST_OK;
    const uint8_t *p = value_text(v, row, &size);
    if (type_is_string(v->column->type)) {
        TRY(vector_parse(p, size, c->ctx->budget, &o->parsed, &o->n, err));
        o->data = o->parsed.data ? o->parsed.data : (const uint8_t *)"";
    } else {
        if (size % 4)
            return error_set(err, ST_EXECUTE_QUERY, "Invalid binary length of vector: %zu", size);
        o->data = p;
        o->n = size / 4;
    }
    o->ready = v->scalar;
    return ST_OK;
}

static int read_one(const struct call *c, uint32_t arg, int64_t row, struct operand **ret, struct error *err)
{
    *ret = &((struct operands *)c->state)->at[0];
    return read_operand(c, arg, row, *ret, err);
}

static int read_pair(const struct call *c, int64_t row, struct operand **ret_a, struct operand **ret_b, struct error *err)
{
    struct operand *a = ((struct operands *)c->state)->at, *b = a + 1;
    TRY(read_operand(c, 0, row, a, err));
    TRY(read_operand(c, 1, row, b, err));
    if (a->n != b->n)
        return error_set(err, ST_EXECUTE_QUERY, "vectors length not match: %s", c->e->function->name);
    *ret_a = a;
    *ret_b = b;
    return ST_OK;
}

typedef int (*run_fn)(const struct call *c, int64_t rows, struct column **ret, struct error *err);

static int run(const struct call *c, run_fn fn, int64_t rows, struct column **ret, struct error *err)
{
    struct operands o = {0};
    struct call call = *c;
    call.state = &o;
    int st = fn(&call, rows, ret, err);
    vec_release(&o.at[0].parsed, c->ctx->budget);
    vec_release(&o.at[1].parsed, c->ctx->budget);
    return st;
}

static int kernel_to_fixed(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                           struct error *err)
{
    return run(&(struct call){e, ctx, args, NULL}, kernel_fixed_run, rows, ret, err);
}

static int kernel_to_bytes(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                           struct error *err)
{
    return run(&(struct call){e, ctx, args, NULL}, kernel_text_run, rows, ret, err);
}

/* ---- distances ---- */

static float dot(const uint8_t *a, const uint8_t *b, size_t n)
{
    float lanes[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            lanes[k] += element(a, i + k) * element(b, i + k);
    for (size_t k = 0; k < 4; k++)
        sum += lanes[k] + lanes[k + 4];
    for (; i < n; i++)
        sum += element(a, i) * element(b, i);
    return sum;
}

/* The dot product of a - b with itself, without storing the difference. */
static float squared_distance(const uint8_t *a, const uint8_t *b, size_t n)
{
    float lanes[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++) {
            float d = element(a, i + k) - element(b, i + k);
            lanes[k] += d * d;
        }
    for (size_t k = 0; k < 4; k++)
        sum += lanes[k] + lanes[k + 4];
    for (; i < n; i++) {
        float d = element(a, i) - element(b, i);
        sum += d * d;
    }
    return sum;
}

static float cosine_distance(const uint8_t *a, const uint8_t *b, size_t n)
{
    float product = dot(a, b, n), norm_a = sqrtf(dot(a, a, n)), norm_b = sqrtf(dot(b, b, n));
    if (fabsf(product) < FLT_EPSILON || norm_a < FLT_EPSILON || norm_b < FLT_EPSILON)
        return 1;
    float distance = 1 - product / (norm_a * norm_b);
    return fabsf(distance) < FLT_EPSILON ? 0 : distance;
}

enum { DISTANCE_COS, DISTANCE_L2SQ, DISTANCE_DOT };

static int distance_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    struct operand *a, *b;
    (void)ret_null;
    TRY(read_pair(c, row, &a, &b, err));
    int op = c->e->function->op;
    float distance = op == DISTANCE_COS   ? cosine_distance(a->data, b->data, a->n)
                     : op == DISTANCE_DOT ? dot(a->data, b->data, a->n)
                                          : squared_distance(a->data, b->data, a->n);
    memcpy(ret_value, &distance, 4);
    return ST_OK;
}

/* ---- one number from a vector ---- */

enum { FOLD_SUM, FOLD_PRODUCT, FOLD_AVG };

static float sum_of(const struct operand *o)
{
    float sum = 0;
    for (size_t i = 0; i < o->n; i++)
        sum += element(o->data, i);
    return sum;
}

static int fold_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    struct operand *o;
    float result = 1;
    (void)ret_null;
    TRY(read_one(c, 0, row, &o, err));
    if (c->e->function->op == FOLD_PRODUCT) {
        for (size_t i = 0; i < o->n; i++)
            result *= element(o->data, i);
    } else {
        result = sum_of(o);
        if (c->e->function->op == FOLD_AVG && o->n)
            result /= (float)o->n;
    }
    memcpy(ret_value, &result, 4);
    return ST_OK;
}

static int dim_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    struct operand *o;
    (void)ret_null;
    TRY(read_one(c, 0, row, &o, err));
    memcpy(ret_value, &(uint64_t){o->n}, 8);
    return ST_OK;
}

static int kth_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    struct operand *o;
    int64_t k = value_int64(&c->args[1], row);
    (void)ret_null;
    TRY(read_one(c, 0, row, &o, err));
    if (k < 0 || (uint64_t)k >= o->n)
        return error_set(err, ST_EXECUTE_QUERY, "index out of bound: %s: %lld of %zu", c->e->function->name, (long long)k, o->n);
    memcpy(ret_value, o->data + (size_t)k * 4, 4);
    return ST_OK;
}

/* ---- vectors from vectors ---- */

enum { COMBINE_ADD, COMBINE_SUB, COMBINE_MUL, COMBINE_DIV };

static int combine_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct operand *a, *b;
    uint8_t *out;
    int op = c->e->function->op;
    (void)ret_null;
    TRY(read_pair(c, row, &a, &b, err));
    TRY(text_writer_room(w, a->n * 4, &out, err));
    for (size_t i = 0; i < a->n; i++) {
        float x = element(a->data, i), y = element(b->data, i);
        float z = op == COMBINE_ADD ? x + y : op == COMBINE_SUB ? x - y : op == COMBINE_MUL ? x * y : x / y;
        memcpy(out + i * 4, &z, 4);
    }
    w->size += a->n * 4;
    return ST_OK;
}

static int scale_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct operand *o;
    uint8_t *out;
    float scalar = (float)value_double(&c->args[0], row);
    (void)ret_null;
    TRY(read_one(c, 1, row, &o, err));
    TRY(text_writer_room(w, o->n * 4, &out, err));
    for (size_t i = 0; i < o->n; i++) {
        float x = element(o->data, i), z = c->e->function->op == COMBINE_ADD ? x + scalar : x * scalar;
        memcpy(out + i * 4, &z, 4);
    }
    w->size += o->n * 4;
    return ST_OK;
}

static int norm_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct operand *o;
    uint8_t *out;
    float squares = 0;
    (void)ret_null;
    TRY(read_one(c, 0, row, &o, err));
    TRY(text_writer_room(w, o->n * 4, &out, err));
    for (size_t i = 0; i < o->n; i++)
        squares += element(o->data, i) * element(o->data, i);
    float norm = sqrtf(squares);
    for (size_t i = 0; i < o->n; i++) {
        float z = element(o->data, i) / norm;
        memcpy(out + i * 4, &z, 4);
    }
    w->size += o->n * 4;
    return ST_OK;
}

static int subvector_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct operand *o;
    int64_t from = value_int64(&c->args[1], row), to = value_int64(&c->args[2], row);
    (void)ret_null;
    TRY(read_one(c, 0, row, &o, err));
    if (from < 0 || from > to || (uint64_t)to > o->n)
        return error_set(err, ST_EXECUTE_QUERY, "Invalid start and end indices: start=%lld, end=%lld, vec_len=%zu", (long long)from, (long long)to,
                         o->n);
    return text_writer_put(w, o->data + from * 4, (size_t)(to - from) * 4, err);
}

static int parse_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct operand *o;
    (void)ret_null;
    TRY(read_one(c, 0, row, &o, err));
    return text_writer_put(w, o->data, o->n * 4, err);
}

static int print_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct operand *o;
    (void)ret_null;
    TRY(read_one(c, 0, row, &o, err));
    TRY(text_writer_put(w, "[", 1, err));
    for (size_t i = 0; i < o->n; i++) {
        uint8_t *out;
        TRY(text_writer_room(w, NUMBER_PLAIN_MAX + 1, &out, err));
        *out = ',';
        w->size += (i > 0) + number_plain((double)element(o->data, i), true, (char *)out + (i > 0));
    }
    return text_writer_put(w, "]", 1, err);
}

#define TO_FIXED(name, n, signature, row, op)                                                                                                        \
    {                                                                                                                                                \
        name, n, n, bind_signature, kernel_to_fixed, op, true, signature, .fixed_row = row                                                           \
    }
#define TO_BYTES(name, n, signature, row, op)                                                                                                        \
    {                                                                                                                                                \
        name, n, n, bind_signature, kernel_to_bytes, op, true, signature, .text_row = row                                                            \
    }

const struct function functions_vector[] = {
    TO_FIXED("vec_cos_distance", 2, "XX:f", distance_row, DISTANCE_COS),
    TO_FIXED("vec_l2sq_distance", 2, "XX:f", distance_row, DISTANCE_L2SQ),
    TO_FIXED("vec_dot_product", 2, "XX:f", distance_row, DISTANCE_DOT),
    TO_FIXED("vec_elem_sum", 1, "X:f", fold_row, FOLD_SUM),
    TO_FIXED("vec_elem_product", 1, "X:f", fold_row, FOLD_PRODUCT),
    TO_FIXED("vec_elem_avg", 1, "X:f", fold_row, FOLD_AVG),
    TO_FIXED("vec_dim", 1, "X:W", dim_row, 0),
    TO_FIXED("vec_kth_elem", 2, "XI:f", kth_row, 0),
    TO_BYTES("vec_add", 2, "XX:y", combine_row, COMBINE_ADD),
    TO_BYTES("vec_sub", 2, "XX:y", combine_row, COMBINE_SUB),
    TO_BYTES("vec_mul", 2, "XX:y", combine_row, COMBINE_MUL),
    TO_BYTES("vec_div", 2, "XX:y", combine_row, COMBINE_DIV),
    TO_BYTES("vec_scalar_add", 2, "DX:y", scale_row, COMBINE_ADD),
    TO_BYTES("vec_scalar_mul", 2, "DX:y", scale_row, COMBINE_MUL),
    TO_BYTES("vec_norm", 1, "X:y", norm_row, 0),
    TO_BYTES("vec_subvector", 3, "XII:y", subvector_row, 0),
    TO_BYTES("parse_vec", 1, "T:y", parse_row, 0),
    TO_BYTES("vec_to_string", 1, "X:v", print_row, 0),
    {0},
};
