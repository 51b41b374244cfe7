/* count, sum and avg.
 *
 * One kernel a value type adds into {sum, count} pairs: by runs of rows of one group (the usual case for sorted scans and the only one without
 * GROUP BY), where the inner loop keeps the sum in registers, or row by row. Integer sums wrap, as the peer's do.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/agg.h"

enum { COUNT, SUM, AVG };

struct acc_int { uint64_t sum, count; };
struct acc_float { double sum; uint64_t count; };
struct acc_wide { unsigned __int128 sum; uint64_t count; };

typedef void (*sum_kernel)(void *acc, const struct column *c, const struct agg_rows *rows);

struct number_agg {
    struct agg base;
    struct vec acc;
    size_t width;
    sum_kernel kernel;
};

/* The sum of integers as doubles. A chain of float additions waits for each one; as long as no partial sum can pass 2^53, where doubles lose ones, integer
 * additions, of which the compiler makes vectors, give the same. `bias` makes what is near enough to zero a number of at most `bits` bits. */
enum { EXACT_ROWS = 1 << 13 };

#define SUM_OF_RUN(NAME, ctype, bias, bits)                                                        \
    static double NAME(const ctype *v, uint32_t n)                                                 \
    {                                                                                              \
        uint64_t sum = 0, far = 0;                                                                 \
        double s = 0;                                                                              \
        for (uint32_t i = 0; n <= EXACT_ROWS && i < n; i++) {                                      \
            sum += (uint64_t)v[i];                                                                 \
            far |= (uint64_t)v[i] + (bias);                                                        \
        }                                                                                          \
        if (n <= EXACT_ROWS && far >> (bits) == 0)                                                 \
            return (double)(int64_t)sum;                                                           \
        for (uint32_t i = 0; i < n; i++)                                                           \
            s += (double)v[i];                                                                     \
        return s;                                                                                  \
    }

SUM_OF_RUN(run_i8, int8_t, (uint64_t)1 << 40, 41)
SUM_OF_RUN(run_i16, int16_t, (uint64_t)1 << 40, 41)
SUM_OF_RUN(run_i32, int32_t, (uint64_t)1 << 40, 41)
SUM_OF_RUN(run_i64, int64_t, (uint64_t)1 << 40, 41)
SUM_OF_RUN(run_u8, uint8_t, 0, 40)
SUM_OF_RUN(run_u16, uint16_t, 0, 40)
SUM_OF_RUN(run_u32, uint32_t, 0, 40)
SUM_OF_RUN(run_u64, uint64_t, 0, 40)

#define NO_RUN(v, n) 0

/* Floats are added as arrow-rs does, so that the last digits are the peer's: a whole array in 4 lanes, with nulls in 2; those then in pairs. Besides, a chain of
 * additions waits for each one. */
#define SUM_OF_LANES(NAME, ctype)                                                                  \
    static double NAME(const ctype *v, uint32_t n)                                                 \
    {                                                                                              \
        double lane[4] = {0};                                                                      \
        uint32_t i = 0;                                                                            \
        for (; i + 4 <= n; i += 4)                                                                 \
            for (uint32_t k = 0; k < 4; k++)                                                       \
                lane[k] += (double)v[i + k];                                                       \
        for (uint32_t k = 0; i + k < n; k++)                                                       \
            lane[k] += (double)v[i + k];                                                           \
        return (lane[0] + lane[2]) + (lane[1] + lane[3]);                                          \
    }

SUM_OF_LANES(lanes_f32, float)
SUM_OF_LANES(lanes_f64, double)

/* `of_run` sums a run without nulls; `has_run` 0: as it stands here; LANES: where there are no groups, and so a run is an array. */
enum { LANES = 2 };
#define SUM_KERNEL(NAME, ctype, acc_type, stype, has_run, of_run)                                  \
    static void NAME(void *acc_, const struct column *c, const struct agg_rows *rows)              \
    {                                                                                              \
        struct acc_type *acc = acc_;                                                               \
        const ctype *v = COLUMN_VALUES(c, ctype);                                                  \
        const uint8_t *bits = column_null_count(c) ? c->validity->data : NULL;                     \
        int64_t off = c->offset;                                                                   \
        for (uint32_t r = 0; rows->starts && r < rows->n_runs; r++) {                              \
            uint32_t from = rows->starts[r], to = rows->starts[r + 1];                             \
            stype s = 0;                                                                           \
            uint64_t n = to - from;                                                                \
            bool whole = has_run == LANES && !rows->groups;                                        \
            if (!bits && (has_run == 1 || whole)) {                                                \
                s = (stype)of_run(v + from, to - from);                                            \
            } else if (!bits) {                                                                    \
                for (uint32_t i = from; i < to; i++)                                               \
                    s += (stype)v[i];                                                              \
            } else {                                                                               \
                stype odd = 0;                                                                     \
                n = 0;                                                                             \
                for (uint32_t i = from; i < to; i++) {                                             \
                    bool valid = bit_get(bits, off + i);                                           \
                    *(whole && (i - from) & 1 ? &odd : &s) += valid ? (stype)v[i] : 0;             \
                    n += valid;                                                                    \
                }                                                                                  \
                s += odd;                                                                          \
            }                                                                                      \
            struct acc_type *a = &acc[agg_run_group(rows, r)];                                     \
            a->sum += s;                                                                           \
            a->count += n;                                                                         \
        }                                                                                          \
        for (int64_t i = 0; !rows->starts && i < rows->n; i++) {                                   \
            if (bits && !bit_get(bits, off + i))                                                   \
                continue;                                                                          \
            struct acc_type *a = &acc[rows->groups[i]];                                            \
            a->sum += (stype)v[i];                                                                 \
            a->count++;                                                                            \
        }                                                                                          \
    }

SUM_KERNEL(sum_i8, int8_t, acc_int, uint64_t, 0, NO_RUN)
SUM_KERNEL(sum_i16, int16_t, acc_int, uint64_t, 0, NO_RUN)
SUM_KERNEL(sum_i32, int32_t, acc_int, uint64_t, 0, NO_RUN)
SUM_KERNEL(sum_u8, uint8_t, acc_int, uint64_t, 0, NO_RUN)
SUM_KERNEL(sum_u16, uint16_t, acc_int, uint64_t, 0, NO_RUN)
SUM_KERNEL(sum_u32, uint32_t, acc_int, uint64_t, 0, NO_RUN)
SUM_KERNEL(sum_64, uint64_t, acc_int, uint64_t, 0, NO_RUN)
SUM_KERNEL(sum_f32, float, acc_float, double, LANES, lanes_f32)
SUM_KERNEL(sum_f64, double, acc_float, double, LANES, lanes_f64)
SUM_KERNEL(sum_i8_f, int8_t, acc_float, double, 1, run_i8)
SUM_KERNEL(sum_i16_f, int16_t, acc_float, double, 1, run_i16)
SUM_KERNEL(sum_i32_f, int32_t, acc_float, double, 1, run_i32)
SUM_KERNEL(sum_i64_f, int64_t, acc_float, double, 1, run_i64)
SUM_KERNEL(sum_u8_f, uint8_t, acc_float, double, 1, run_u8)
SUM_KERNEL(sum_u16_f, uint16_t, acc_float, double, 1, run_u16)
SUM_KERNEL(sum_u32_f, uint32_t, acc_float, double, 1, run_u32)
SUM_KERNEL(sum_u64_f, uint64_t, acc_float, double, 1, run_u64)

/* Buffers promise 64-byte alignment only at row 0 of unsliced foreign data, so the 16-byte values are loaded by memcpy. */
static void sum_decimal(void *acc_, const struct column *c, const struct agg_rows *rows)
{
    struct acc_wide *acc = acc_;
    const uint8_t *v = c->buffers[0]->data + (size_t)c->offset * 16;
    uint32_t run = 0;
    for (int64_t i = 0; i < rows->n; i++) {
        while (rows->starts && i >= rows->starts[run + 1])
            run++;
        if (column_is_null(c, i))
            continue;
        struct acc_wide *a = &acc[rows->starts ? agg_run_group(rows, run) : rows->groups[i]];
        unsigned __int128 x;
        memcpy(&x, v + i * 16, 16);
        a->sum += x;
        a->count++;
    }
}

static sum_kernel pick_kernel(const struct dtype *t, bool as_float)
{
    switch (t->id) {
    case TYPE_INT8: return as_float ? sum_i8_f : sum_i8;
    case TYPE_INT16: return as_float ? sum_i16_f : sum_i16;
    case TYPE_INT32: return as_float ? sum_i32_f : sum_i32;
    case TYPE_INT64: return as_float ? sum_i64_f : sum_64;
    case TYPE_UINT8: return as_float ? sum_u8_f : sum_u8;
    case TYPE_UINT16: return as_float ? sum_u16_f : sum_u16;
    case TYPE_UINT32: return as_float ? sum_u32_f : sum_u32;
    case TYPE_UINT64: return as_float ? sum_u64_f : sum_64;
    case TYPE_DURATION: return sum_64;
    case TYPE_FLOAT32: return sum_f32;
    case TYPE_FLOAT64: return sum_f64;
    case TYPE_DECIMAL128: return sum_decimal;
    default: return NULL;
    }
}

/* Integers become floats on their way into the sum. */
static bool adds_floats(const struct agg_call *call)
{
    return call->function->which == AVG || call->as_float;
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static int number_resolve(struct agg_call *call, struct error *err)
{
    char text[128];
    struct dtype *t = call->n_args ? call->args[0] : NULL, *sum;
    if (call->function->which == COUNT) {
        call->value_type = type_ref(type_of(TYPE_INT64));
        call->nullable = false;
        return agg_add_state(call, "count", call->value_type, err);
    }
    bool avg = call->function->which == AVG;
    if (avg && t && t->id == TYPE_NULL)
        return error_set(err, ST_EXECUTE_QUERY, "AvgAccumulator for (Null --> Float64)");
    if (!pick_kernel(t, adds_floats(call)))
        return error_set(err, ST_PLAN_QUERY, "%s does not take %s", call->function->name, type_print(t, text, sizeof text));
    if (t->id == TYPE_DECIMAL128 && avg) {
        call->value_type = type_decimal(TYPE_DECIMAL128, (uint8_t)min_int(38, t->precision + 4), (int8_t)min_int(38, t->scale + 4));
        sum = t;
    } else if (t->id == TYPE_DECIMAL128) {
        sum = call->value_type = type_decimal(TYPE_DECIMAL128, (uint8_t)min_int(38, t->precision + 10), t->scale);
    } else if (t->id == TYPE_DURATION) {
        sum = call->value_type = type_ref(t);
    } else {
        enum type_id id = adds_floats(call) || type_is_float(t) ? TYPE_FLOAT64 : type_is_signed(t) ? TYPE_INT64 : TYPE_UINT64;
        sum = call->value_type = type_ref(type_of(id));
    }
    if (!call->value_type)
        return error_no_memory(err, sizeof *t);
    if (avg)
        TRY(agg_add_state(call, "count", type_of(TYPE_UINT64), err));
    return agg_add_state(call, "sum", sum, err);
}

static int number_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    (void)budget;
    struct number_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    if (call->function->which == COUNT) {
        a->width = 8;
    } else {
        a->kernel = pick_kernel(call->args[0], adds_floats(call));
        a->width = a->kernel == sum_decimal ? sizeof(struct acc_wide) : sizeof(struct acc_int);
    }
    *ret_agg = &a->base;
    return ST_OK;
}

static int number_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    struct number_agg *a = (struct number_agg *)base;
    return vec_reserve(&a->acc, base->budget, n_groups, a->width, err);
}

/* Rows in which all arguments are valid. */
static void count_rows(uint64_t *acc, struct column *const *args, uint32_t n_args, const struct agg_rows *rows)
{
    const struct column *with_nulls[AGG_ARGS_MAX];
    uint32_t n = 0;
    for (uint32_t k = 0; k < n_args; k++)
        if (column_null_count(args[k]) > 0)
            with_nulls[n++] = args[k];
    for (uint32_t r = 0; rows->starts && r < rows->n_runs; r++) {
        uint32_t from = rows->starts[r], to = rows->starts[r + 1];
        uint64_t *a = &acc[agg_run_group(rows, r)];
        if (n == 0)
            *a += to - from;
        else if (n == 1 && with_nulls[0]->validity)
            *a += (uint64_t)bits_count(with_nulls[0]->validity->data, with_nulls[0]->offset + from, to - from);
        else
            for (uint32_t i = from; i < to; i++) {
                bool valid = true;
                for (uint32_t k = 0; k < n; k++)
                    valid &= !column_is_null(with_nulls[k], i);
                *a += valid;
            }
    }
    for (int64_t i = 0; !rows->starts && i < rows->n; i++) {
        bool valid = true;
        for (uint32_t k = 0; k < n; k++)
            valid &= !column_is_null(with_nulls[k], i);
        acc[rows->groups[i]] += valid;
    }
}

static int number_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct number_agg *a = (struct number_agg *)base;
    (void)err;
    if (!a->kernel)
        count_rows(a->acc.data, args, base->call->n_args, rows);
    else
        a->kernel(a->acc.data, args[0], rows);
    return ST_OK;
}

/* sum * 10^(difference of scales) / count, cut towards zero; ST_EXECUTE_QUERY when it leaves the result's precision. */
static int decimal_avg(const struct agg_call *call, const struct acc_wide *a, __int128 *ret_value, struct error *err)
{
    __int128 v = (__int128)a->sum, limit = 1;
    for (int i = call->args[0]->scale; i < call->value_type->scale; i++)
        if (__builtin_mul_overflow(v, (__int128)10, &v))
            return error_set(err, ST_EXECUTE_QUERY, "arithmetic overflow in avg");
    v /= (__int128)a->count;
    for (int i = 0; i < call->value_type->precision; i++)
        limit *= 10;
    if (v >= limit || v <= -limit)
        return error_set(err, ST_EXECUTE_QUERY, "arithmetic overflow in avg");
    *ret_value = v;
    return ST_OK;
}

static int value_at(const struct number_agg *a, uint32_t g, bool avg, void *to, struct error *err)
{
    if (a->width == sizeof(struct acc_wide)) {
        const struct acc_wide *w = VEC(&a->acc, const struct acc_wide) + g;
        if (avg)
            return decimal_avg(a->base.call, w, to, err);
        memcpy(to, &w->sum, 16);
        return ST_OK;
    }
    const struct acc_int *i = VEC(&a->acc, const struct acc_int) + g;
    const struct acc_float *f = VEC(&a->acc, const struct acc_float) + g;
    if (avg && a->base.call->value_type->id == TYPE_DURATION)
        *(int64_t *)to = (int64_t)i->sum / (int64_t)i->count;
    else if (avg)
        *(double *)to = f->sum / (double)f->count;
    else
        memcpy(to, &i->sum, 8);
    return ST_OK;
}

static int finish_numbers(const struct number_agg *a, struct dtype *type, bool avg, uint32_t first, uint32_t n, struct column **ret_column,
                          struct error *err)
{
    struct buffer *values = NULL, *validity = NULL;
    size_t width = (size_t)type_width(type);
    uint32_t nulls = 0;
    int st = buffer_new(a->base.budget, n * width, &values, err);
    if (st == ST_OK)
        st = buffer_new(a->base.budget, bits_bytes(n), &validity, err);
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        uint64_t count = width == 16 ? VEC(&a->acc, struct acc_wide)[first + i].count : VEC(&a->acc, struct acc_int)[first + i].count;
        nulls += !count;
        bit_put(validity->data, i, count);
        if (count)
            st = value_at(a, first + i, avg, values->data + i * width, err);
    }
    if (st != ST_OK || !nulls) {
        buffer_unref(validity);
        validity = NULL;
    }
    if (st == ST_OK)
        return column_new(type, n, nulls, validity, values, NULL, ret_column, err);
    buffer_unref(values);
    return st;
}

static int finish_counts(const struct number_agg *a, struct dtype *type, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct buffer *values;
    TRY(buffer_new(a->base.budget, (size_t)n * 8, &values, err));
    uint64_t *to = (uint64_t *)(void *)values->data;
    for (uint32_t i = 0; i < n; i++)
        to[i] = a->width == 8                         ? VEC(&a->acc, uint64_t)[first + i]
                : a->width == sizeof(struct acc_wide) ? VEC(&a->acc, struct acc_wide)[first + i].count
                                                      : VEC(&a->acc, struct acc_int)[first + i].count;
    return column_new(type, n, 0, NULL, values, NULL, ret_column, err);
}

static int number_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct number_agg *a = (struct number_agg *)base;
    struct dtype *t = base->call->value_type;
    if (base->function->which == COUNT)
        return finish_counts(a, t, first, n, ret_column, err);
    return finish_numbers(a, t, base->function->which == AVG, first, n, ret_column, err);
}

static int number_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    struct number_agg *a = (struct number_agg *)base;
    struct field *const *fields = base->call->state_fields;
    if (base->function->which == COUNT)
        return finish_counts(a, fields[0]->type, first, n, &ret_children[0], err);
    if (base->function->which == SUM)
        return finish_numbers(a, fields[0]->type, false, first, n, &ret_children[0], err);
    TRY(finish_counts(a, fields[0]->type, first, n, &ret_children[0], err));
    return finish_numbers(a, fields[1]->type, false, first, n, &ret_children[1], err);
}

static int number_combine(struct agg *base, struct agg *from_base, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    const struct number_agg *a = (const struct number_agg *)base, *from = (const struct number_agg *)from_base;
    bool floats = base->call->value_type->id == TYPE_FLOAT64;
    (void)err;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t g = groups[i], f = first + i;
        if (a->width == 8) {
            VEC(&a->acc, uint64_t)[g] += VEC(&from->acc, uint64_t)[f];
        } else if (a->width == sizeof(struct acc_wide)) {
            VEC(&a->acc, struct acc_wide)[g].sum += VEC(&from->acc, struct acc_wide)[f].sum;
            VEC(&a->acc, struct acc_wide)[g].count += VEC(&from->acc, struct acc_wide)[f].count;
        } else if (floats) {
            VEC(&a->acc, struct acc_float)[g].sum += VEC(&from->acc, struct acc_float)[f].sum;
            VEC(&a->acc, struct acc_float)[g].count += VEC(&from->acc, struct acc_float)[f].count;
        } else {
            VEC(&a->acc, struct acc_int)[g].sum += VEC(&from->acc, struct acc_int)[f].sum;
            VEC(&a->acc, struct acc_int)[g].count += VEC(&from->acc, struct acc_int)[f].count;
        }
    }
    return ST_OK;
}

static void number_free(struct agg *base)
{
    struct number_agg *a = (struct number_agg *)base;
    vec_release(&a->acc, base->budget);
    free(a);
}

#define FUNCTIONS .resolve = number_resolve, .open = number_open, .reserve = number_reserve, .update = number_update, .finish = number_finish, \
                  .state = number_state, .combine = number_combine, .free = number_free

const struct agg_function agg_number_functions[] = {
    {.name = "count", .which = COUNT, .args_min = 0, .args_max = AGG_ARGS_MAX, .dictionaries = true, FUNCTIONS},
    {.name = "sum", .which = SUM, .args_min = 1, .args_max = 1, FUNCTIONS},
    {.name = "avg", .which = AVG, .args_min = 1, .args_max = 1, FUNCTIONS},
    {.name = NULL},
};
