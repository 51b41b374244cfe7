/* The registry of aggregate functions, and what all of them share: names, state structs, results. */
#include "exec/agg.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct agg_function *const families[] = {
    agg_number_functions, agg_minmax_functions,     agg_order_functions,  agg_moment_functions, agg_bit_functions,
    agg_list_functions,   agg_percentile_functions, agg_digest_functions, agg_approx_functions, agg_count_hash_functions,
    agg_sketch_functions, agg_path_functions,       agg_vector_functions,
};

/* DataFusion's further names. The children of a state have the function's own name under any of them. */
static const struct alias { const char *name, *of; } aliases[] = {
    {"mean", "avg"},           {"covar", "covar_samp"},       {"quantile_cont", "percentile_cont"}, {"stddev_samp", "stddev"},
    {"var_samp", "var"},       {"var_sample", "var"},         {"var_population", "var_pop"},
};

static bool is_named(const char *name, const char *text, size_t size)
{
    return strlen(name) == size && strncasecmp(name, text, size) == 0;
}

static const struct agg_function *find_function(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (is_named(aliases[i].name, name, size))
            return find_function(aliases[i].of, strlen(aliases[i].of));
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const struct agg_function *f = families[i]; f->name; f++)
            if (is_named(f->name, name, size))
                return f;
    return NULL;
}

const struct agg_function *agg_function_at(size_t index, const char **ret_name)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const struct agg_function *f = families[i]; f->name; f++)
            if (index-- == 0) {
                *ret_name = f->name;
                return f;
            }
    if (index >= sizeof aliases / sizeof *aliases)
        return NULL;
    *ret_name = aliases[index].name;
    return find_function(aliases[index].of, strlen(aliases[index].of));
}

static int add_field(struct agg_call *call, struct field *f, struct error *err)
{
    if (!f)
        return error_no_memory(err, sizeof *f);
    if (call->n_state == AGG_STATE_MAX) {
        field_unref(f);
        return error_set(err, ST_UNSUPPORTED, "%s has too many ORDER BY keys", call->name);
    }
    call->state_fields[call->n_state++] = f;
    return ST_OK;
}

int agg_add_state(struct agg_call *call, const char *part, struct dtype *type, struct error *err)
{
    char name[128];
    snprintf(name, sizeof name, "%s[%s]", call->function->name, part);
    return add_field(call, field_new(name, type, true), err);
}

int agg_add_state_named(struct agg_call *call, const char *name, struct dtype *type, struct error *err)
{
    return add_field(call, field_new(name, type, true), err);
}

int agg_sort_field(const struct agg_call *call, uint32_t key, bool nullable, struct field **ret_field, struct error *err)
{
    char text[128];
    const struct field *f = call->sort_fields[key];
    if (!sort_key_supported(f->type))
        return error_set(err, ST_UNSUPPORTED, "ordering by %s is not supported", type_print(f->type, text, sizeof text));
    struct dtype *type = f->type->id == TYPE_DICTIONARY ? f->type->children[0]->type : f->type;
    struct field *plain = field_new(f->name, type, nullable || f->nullable);
    struct field *with_meta = plain ? field_with_meta(plain, f->meta, f->n_meta) : NULL;
    if (plain)
        field_unref(plain);
    if (!with_meta)
        return error_no_memory(err, sizeof *f);
    *ret_field = with_meta;
    return ST_OK;
}

int agg_type_error(const struct agg_call *call, uint32_t arg, struct error *err)
{
    char text[128];
    return error_set(err, ST_PLAN_QUERY, "%s does not take %s", call->function->name, type_print(call->args[arg], text, sizeof text));
}

int agg_constant_float(const struct agg_call *call, uint32_t arg, double *ret_value, struct error *err)
{
    const struct column *c = call->constants[arg];
    if (!c || c->type->id != TYPE_FLOAT64 || column_is_null(c, 0))
        return error_set(err, ST_EXECUTE_QUERY, "argument %u of %s must be a Float64 literal", arg + 1, call->function->name);
    *ret_value = *COLUMN_VALUES(c, double);
    return ST_OK;
}

int agg_constant_int(const struct agg_call *call, uint32_t arg, int64_t *ret_value, struct error *err)
{
    const struct column *c = call->constants[arg];
    if (!c || !type_is_integer(c->type) || column_is_null(c, 0))
        return error_set(err, ST_EXECUTE_QUERY, "argument %u of %s must be an integer literal", arg + 1, call->function->name);
    int width = type_width(c->type), shift = 64 - 8 * width;
    uint64_t bits = 0;
    memcpy(&bits, c->buffers[0]->data + (size_t)c->offset * (size_t)width, (size_t)width);
    if (!type_is_signed(c->type) && bits > INT64_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "argument %u of %s is out of range", arg + 1, call->function->name);
    *ret_value = type_is_signed(c->type) ? (int64_t)(bits << shift) >> shift : (int64_t)bits;
    return ST_OK;
}

bool agg_is_number(const struct dtype *t)
{
    return type_is_integer(t) || t->id == TYPE_FLOAT32 || t->id == TYPE_FLOAT64 || t->id == TYPE_DECIMAL128;
}

#define LOAD(ctype)                                 \
    for (int64_t i = 0; i < c->length; i++)         \
        to[i] = (double)COLUMN_VALUES(c, ctype)[i]; \
    break;

void agg_load_doubles(const struct column *c, double *to)
{
    double scale = 1;
    switch (c->type->id) {
    case TYPE_INT8: LOAD(int8_t)
    case TYPE_INT16: LOAD(int16_t)
    case TYPE_INT32: LOAD(int32_t)
    case TYPE_INT64: LOAD(int64_t)
    case TYPE_UINT8: LOAD(uint8_t)
    case TYPE_UINT16: LOAD(uint16_t)
    case TYPE_UINT32: LOAD(uint32_t)
    case TYPE_UINT64: LOAD(uint64_t)
    case TYPE_FLOAT32: LOAD(float)
    case TYPE_FLOAT64: LOAD(double)
    default:
        for (int k = 0; k < c->type->scale; k++)
            scale *= 10;
        for (int64_t i = 0; i < c->length; i++) {
            __int128 v;
            memcpy(&v, c->buffers[0]->data + (size_t)(c->offset + i) * 16, 16);
            to[i] = (double)v / scale;
        }
    }
}

struct dtype *agg_list_type(struct dtype *item)
{
    struct field *f = field_new("item", item, true);
    struct dtype *list = f ? type_list(TYPE_LIST, f) : NULL;
    if (f)
        field_unref(f);
    return list;
}

int agg_call_resolve(struct agg_call *call, struct error *err)
{
    size_t size = strlen(call->name);
    call->function = find_function(call->name, size);
    call->state = false;
    call->nullable = true;
    call->descending = call->n_sorts && call->sorts[0].descending;
    if (!call->function && size > 8 && memcmp(call->name, "__", 2) == 0 && strcasecmp(call->name + size - 6, "_state") == 0) {
        call->function = find_function(call->name + 2, size - 8);
        call->state = call->function != NULL;
        if (call->state && !call->function->state)
            call->function = NULL;
    }
    if (!call->function)
        return error_set(err, ST_UNEXPECTED, "no aggregate function is named '%s'", call->name);
    if (call->n_args < call->function->args_min || call->n_args > call->function->args_max)
        return error_set(err, ST_PLAN_QUERY, "%s does not take %u arguments", call->name, call->n_args);
    if (call->distinct && (call->state || call->function->distinct == AGG_DISTINCT_REFUSED))
        return error_set(err, ST_EXECUTE_QUERY, "%s does not take DISTINCT", call->name);
    int st = call->function->resolve(call, err);
    if (st == ST_OK && call->state) {
        call->result = type_struct(call->state_fields, call->n_state);
        st = call->result ? ST_OK : error_no_memory(err, sizeof *call->result);
        call->nullable = false;
    } else if (st == ST_OK) {
        call->result = type_ref(call->value_type);
    }
    if (st != ST_OK)
        agg_call_release(call);
    return st;
}

void agg_call_release(struct agg_call *call)
{
    for (uint32_t i = 0; i < call->n_state; i++)
        field_unref(call->state_fields[i]);
    call->n_state = 0;
    type_unref(call->value_type);
    type_unref(call->result);
    call->value_type = call->result = NULL;
}

int agg_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    struct agg *a;
    TRY(call->function->open(call, budget, &a, err));
    a->function = call->function;
    a->budget = budget;
    a->call = call;
    *ret_agg = a;
    return ST_OK;
}

int agg_result(struct agg *a, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct column *children[AGG_STATE_MAX] = {0};
    const struct agg_call *call = a->call;
    if (!call->state)
        return a->function->finish(a, first, n, ret_column, err);
    int st = a->function->state(a, first, n, children, err);
    if (st == ST_OK)
        return column_new_nested(call->result, n, 0, NULL, NULL, children, call->n_state, ret_column, err);
    for (uint32_t i = 0; i < call->n_state; i++)
        column_unref(children[i]);
    return st;
}

int agg_combine_results(struct agg *a, struct agg *from, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    const struct agg_rows rows = {.n = n, .groups = groups};
    struct column *values;
    TRY(from->function->finish(from, first, n, &values, err));
    int st = a->function->update(a, &values, &rows, err);
    column_unref(values);
    return st;
}
