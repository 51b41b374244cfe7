/* array_agg, string_agg and nth_value: functions of the rows of a group in order.
 *
 * NULLs are items of array_agg and nth_value; string_agg leaves them out. A state with ORDER BY carries the sort keys of every item behind the
 * items; string_agg without ORDER BY is joined already. nth_value keeps the rows that can still be the n-th, dropping the others now and then.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/agg_collect.h"

enum { ARRAY, STRING, NTH };
enum { LIST_SORTS_MAX = 32 };

struct list_agg {
    struct agg base;
    struct agg_collect rows;
    uint32_t n_groups;
    int64_t nth; /* counted from 1, from the end if negative; 0 = all rows are kept */
};

/* One struct of all sort keys, as items of a list. */
static int orderings_type(const struct agg_call *call, struct dtype **ret_type, struct error *err)
{
    struct field *fields[LIST_SORTS_MAX];
    uint32_t made = 0;
    int st = ST_OK;
    for (; st == ST_OK && made < call->n_sorts; made += st == ST_OK)
        st = agg_sort_field(call, made, false, &fields[made], err);
    struct dtype *item = st == ST_OK ? type_struct(fields, made) : NULL;
    struct dtype *list = item ? agg_list_type(item) : NULL;
    if (st == ST_OK && !list)
        st = error_no_memory(err, sizeof *list);
    type_unref(item);
    for (uint32_t k = 0; k < made; k++)
        field_unref(fields[k]);
    if (st == ST_OK)
        *ret_type = list;
    return st;
}

static int add_list_states(struct agg_call *call, const char *items, const char *orderings, struct error *err)
{
    struct dtype *list = agg_list_type(call->args[0]);
    if (!list)
        return error_no_memory(err, sizeof *list);
    int st = agg_add_state(call, items, list, err);
    type_unref(list);
    if (st != ST_OK || !call->n_sorts)
        return st;
    TRY(orderings_type(call, &list, err));
    st = agg_add_state(call, orderings, list, err);
    type_unref(list);
    return st;
}

static int list_resolve(struct agg_call *call, struct error *err)
{
    if (call->n_sorts > LIST_SORTS_MAX)
        return error_set(err, ST_UNSUPPORTED, "%s has too many ORDER BY keys", call->name);
    if (call->function->which == ARRAY) {
        call->value_type = agg_list_type(call->args[0]);
        return call->value_type ? add_list_states(call, "array_agg", "array_agg_orderings", err) : error_no_memory(err, sizeof *call->value_type);
    }
    if (call->function->which == NTH) {
        int64_t n;
        TRY(agg_constant_int(call, 1, &n, err));
        if (n == 0)
            return error_set(err, ST_EXECUTE_QUERY, "nth_value counts from 1, 0 is no row");
        call->value_type = type_ref(call->args[0]);
        return add_list_states(call, "nth_value", "nth_value_orderings", err);
    }
    const struct column *delimiter = call->constants[1];
    if (!type_is_string(call->args[0]))
        return agg_type_error(call, 0, err);
    if (!delimiter || (!type_is_string(delimiter->type) && !column_is_null(delimiter, 0)))
        return error_set(err, ST_EXECUTE_QUERY, "the delimiter of string_agg must be a string literal");
    call->value_type = type_ref(type_of(TYPE_LARGE_UTF8));
    return call->n_sorts ? add_list_states(call, "array_agg", "array_agg_orderings", err) : agg_add_state(call, "string_agg", call->value_type, err);
}

static int list_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    struct list_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    agg_collect_init(&a->rows, budget, 1 + call->n_sorts);
    int st = call->function->which == NTH ? agg_constant_int(call, 1, &a->nth, err) : ST_OK;
    if (st != ST_OK) {
        free(a);
        return st;
    }
    *ret_agg = &a->base;
    return ST_OK;
}

static int list_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    (void)err;
    ((struct list_agg *)base)->n_groups = n_groups;
    return ST_OK;
}

/* An ordered state of string_agg is that of array_agg, NULLs included. */
static bool drops_nulls(const struct agg_call *call)
{
    return call->function->which == STRING && !(call->state && call->n_sorts);
}

/* Many more rows than the groups can need? */
static bool overfull(const struct list_agg *a)
{
    uint64_t keep = a->nth < 0 ? 0 - (uint64_t)a->nth : (uint64_t)a->nth;
    return keep && keep < INT32_MAX && a->rows.n_rows > 65536 + 2 * keep * a->n_groups;
}

static int list_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct list_agg *a = (struct list_agg *)base;
    const struct agg_call *call = base->call;
    struct column *columns[1 + LIST_SORTS_MAX];
    columns[0] = args[0];
    for (uint32_t k = 0; k < call->n_sorts; k++)
        columns[1 + k] = args[call->n_args + k];
    TRY(agg_collect_add(&a->rows, columns, rows, drops_nulls(call), err));
    return overfull(a) ? agg_collect_trim(&a->rows, a->n_groups, call->sorts, call->n_sorts, a->nth, err) : ST_OK;
}

static int list_combine(struct agg *base, struct agg *from, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    struct list_agg *a = (struct list_agg *)base;
    TRY(agg_collect_combine(&a->rows, &((struct list_agg *)from)->rows, first, n, groups, err));
    return overfull(a) ? agg_collect_trim(&a->rows, a->n_groups, base->call->sorts, base->call->n_sorts, a->nth, err) : ST_OK;
}

/* How the strings of rows [from, to) join: their bytes with delimiters, and whether there are any. */
static size_t joined_size(const struct column *c, uint32_t from, uint32_t to, size_t delimiter_size, bool *ret_any)
{
    size_t total = 0, n = 0;
    for (uint32_t i = from; i < to; i++) {
        int32_t size;
        if (column_is_null(c, i))
            continue;
        column_bytes(c, i, &size);
        total += (size_t)size;
        n++;
    }
    *ret_any = n > 0;
    return n ? total + (n - 1) * delimiter_size : 0;
}

static uint8_t *join(const struct column *c, uint32_t from, uint32_t to, const uint8_t *delimiter, size_t delimiter_size, uint8_t *out)
{
    bool first = true;
    for (uint32_t i = from; i < to; i++) {
        int32_t size;
        if (column_is_null(c, i))
            continue;
        const uint8_t *s = column_bytes(c, i, &size);
        if (!first && delimiter_size)
            out = (uint8_t *)memcpy(out, delimiter, delimiter_size) + delimiter_size;
        if (size)
            out = (uint8_t *)memcpy(out, s, (size_t)size) + size;
        first = false;
    }
    return out;
}

static int string_finish(struct list_agg *a, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct budget *budget = a->base.budget;
    const struct column *c = a->rows.columns[0], *literal = a->base.call->constants[1];
    const uint32_t *starts = agg_collect_starts(&a->rows, first);
    struct buffer *offsets = NULL, *bytes = NULL, *validity = NULL;
    int32_t delimiter_size = 0;
    const uint8_t *delimiter = column_is_null(literal, 0) ? NULL : column_bytes(literal, 0, &delimiter_size);
    size_t total = 0;
    int64_t nulls = 0;
    int st = buffer_new(budget, ((size_t)n + 1) * 4, &offsets, err);
    if (st == ST_OK)
        st = buffer_new(budget, bits_bytes(n), &validity, err);
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        bool any;
        total += joined_size(c, starts[i], starts[i + 1], (size_t)delimiter_size, &any);
        nulls += !any;
        bit_put(validity->data, i, any);
        if (total > INT32_MAX)
            st = error_set(err, ST_EXHAUSTED, "a result of string_agg grows past 2 GiB");
        else
            ((int32_t *)(void *)offsets->data)[i + 1] = (int32_t)total;
    }
    if (st == ST_OK)
        st = buffer_new_uninit(budget, total, &bytes, err);
    if (st != ST_OK) {
        buffer_unref(offsets);
        buffer_unref(validity);
        return st;
    }
    uint8_t *at = bytes->data;
    for (uint32_t i = 0; i < n; i++)
        at = join(c, starts[i], starts[i + 1], delimiter, (size_t)delimiter_size, at);
    return column_new(type_of(TYPE_LARGE_UTF8), n, nulls, validity, offsets, bytes, ret_column, err);
}

static int nth_finish(struct list_agg *a, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    const uint32_t *starts = agg_collect_starts(&a->rows, first);
    uint64_t nth = a->nth < 0 ? 0 - (uint64_t)a->nth : (uint64_t)a->nth;
    struct vec rows = {0};
    if (!a->rows.columns[0])
        return column_new_nulls(a->base.budget, a->base.call->value_type, n, ret_column, err);
    TRY(vec_reserve(&rows, a->base.budget, (size_t)n + 1, 4, err));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t from = starts[i], to = starts[i + 1];
        VEC(&rows, uint32_t)[i] = to - from < nth ? UINT32_MAX : a->nth < 0 ? to - (uint32_t)nth : from + (uint32_t)nth - 1;
    }
    int st = column_take(a->base.budget, a->rows.columns[0], rows.data, n, ret_column, err);
    vec_release(&rows, a->base.budget);
    return st;
}

static int arrange(struct list_agg *a, struct error *err)
{
    const struct agg_call *call = a->base.call;
    if (a->nth && call->state && !a->rows.arranged)
        TRY(agg_collect_trim(&a->rows, a->n_groups, call->sorts, call->n_sorts, a->nth, err));
    return agg_collect_arrange(&a->rows, a->n_groups, call->sorts, call->n_sorts, err);
}

static int list_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct list_agg *a = (struct list_agg *)base;
    TRY(arrange(a, err));
    switch (base->function->which) {
    case ARRAY:
        return agg_collect_lists(&a->rows, 0, base->call->value_type, true, first, n, ret_column, err);
    case STRING:
        return string_finish(a, first, n, ret_column, err);
    default:
        return nth_finish(a, first, n, ret_column, err);
    }
}

static int list_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    struct list_agg *a = (struct list_agg *)base;
    struct field *const *fields = base->call->state_fields;
    TRY(arrange(a, err));
    if (base->function->which == STRING && base->call->n_sorts == 0)
        return string_finish(a, first, n, &ret_children[0], err);
    TRY(agg_collect_lists(&a->rows, 0, fields[0]->type, base->function->which != NTH, first, n, &ret_children[0], err));
    return base->call->n_sorts ? agg_collect_lists(&a->rows, 1, fields[1]->type, false, first, n, &ret_children[1], err) : ST_OK;
}

static void list_free(struct agg *base)
{
    struct list_agg *a = (struct list_agg *)base;
    agg_collect_release(&a->rows);
    free(a);
}

#define FUNCTIONS                                                                                                                                    \
    .resolve = list_resolve, .open = list_open, .reserve = list_reserve, .update = list_update, .finish = list_finish, .state = list_state,          \
    .combine = list_combine, .free = list_free, .ordered = true, .dictionaries = true

const struct agg_function agg_list_functions[] = {
    {.name = "array_agg", .which = ARRAY, .args_min = 1, .args_max = 1, FUNCTIONS},
    {.name = "string_agg", .which = STRING, .args_min = 2, .args_max = 2, FUNCTIONS},
    {.name = "nth_value", .which = NTH, .args_min = 2, .args_max = 2, .distinct = AGG_DISTINCT_IGNORED, FUNCTIONS},
    {.name = NULL},
};
