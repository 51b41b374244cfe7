/* geo_path and json_encode_path: the points of a group in order of time, as two lists or as the coordinates of a GeoJSON line string.
 *
 * A NULL coordinate is an item of the lists and zero in the text; a NULL time sorts first. A state carries the points as they came.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec/agg_collect.h"
#include "exec/cast_text.h"

enum { PATH, JSON };
enum { LAT, LNG, TIME, COLUMNS };

static const struct sort_spec by_time = {.nulls_first = true};

struct path_agg {
    struct agg base;
    struct agg_collect points;
    uint32_t n_groups;
};

/* Struct {lat, lng[, timestamp]} of lists that are not null; one reference, NULL = no memory. */
static struct dtype *path_type(uint32_t n)
{
    static const char *const names[] = {"lat", "lng", "timestamp"};
    struct field *fields[COLUMNS] = {0};
    struct dtype *type = NULL;
    uint32_t made = 0;
    for (; made < n; made++) {
        struct dtype *list = agg_list_type(type_of(made == TIME ? TYPE_INT64 : TYPE_FLOAT64));
        fields[made] = list ? field_new(names[made], list, false) : NULL;
        type_unref(list);
        if (!fields[made])
            break;
    }
    if (made == n)
        type = type_struct(fields, n);
    for (uint32_t k = 0; k < made; k++)
        field_unref(fields[k]);
    return type;
}

static int path_resolve(struct agg_call *call, struct error *err)
{
    for (uint32_t k = 0; k < COLUMNS; k++)
        if (call->args[k]->id != (k == TIME ? TYPE_TIMESTAMP : TYPE_FLOAT64) || (k == TIME && call->args[k]->unit != UNIT_NANO))
            return agg_type_error(call, k, err);
    call->value_type = call->function->which == JSON ? type_ref(type_of(TYPE_UTF8)) : path_type(TIME);
    struct dtype *state = path_type(COLUMNS);
    int st = call->value_type && state ? agg_add_state_named(call, "0", state, err) : error_no_memory(err, sizeof *state);
    type_unref(state);
    return st;
}

static int path_open(const struct agg_call *call, struct budget *budget, struct agg **ret_agg, struct error *err)
{
    (void)call;
    struct path_agg *a = calloc(1, sizeof *a);
    if (!a)
        return error_no_memory(err, sizeof *a);
    agg_collect_init(&a->points, budget, COLUMNS);
    *ret_agg = &a->base;
    return ST_OK;
}

static int path_reserve(struct agg *base, uint32_t n_groups, struct error *err)
{
    (void)err;
    ((struct path_agg *)base)->n_groups = n_groups;
    return ST_OK;
}

static int path_update(struct agg *base, struct column *const *args, const struct agg_rows *rows, struct error *err)
{
    struct path_agg *a = (struct path_agg *)base;
    struct column *columns[COLUMNS] = {args[LAT], args[LNG], NULL};
    TRY(column_retype(args[TIME], type_of(TYPE_INT64), &columns[TIME], err));
    int st = agg_collect_add(&a->points, columns, rows, 0, err);
    column_unref(columns[TIME]);
    return st;
}

static int path_combine(struct agg *base, struct agg *from, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    return agg_collect_combine(&((struct path_agg *)base)->points, &((struct path_agg *)from)->points, first, n, groups, err);
}

static int lists(struct path_agg *a, struct dtype *type, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct column *members[COLUMNS];
    uint32_t made = 0;
    int st = ST_OK;
    for (; st == ST_OK && made < type->n_children; made += st == ST_OK)
        st = agg_collect_lists(&a->points, made, type->children[made]->type, false, first, n, &members[made], err);
    if (st == ST_OK)
        return column_new_nested(type, n, 0, NULL, NULL, members, made, ret_column, err);
    for (uint32_t k = 0; k < made; k++)
        column_unref(members[k]);
    return st;
}

static int put_number(const struct column *c, int64_t i, struct dynbuf *out, struct error *err)
{
    char text[40];
    if (column_is_null(c, i))
        return dynbuf_append(out, "0.0", 3, err);
    if (!isfinite(COLUMN_VALUES(c, double)[i]))
        return dynbuf_append(out, "null", 4, err);
    size_t n = text_of_value(c, i, text, sizeof text);
    return dynbuf_append(out, text, n, err);
}

static int put_path(const struct agg_collect *points, uint32_t from, uint32_t to, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_append_byte(out, '[', err));
    for (uint32_t i = from; i < to; i++) {
        TRY(dynbuf_append(out, ",[", i > from ? 2 : 0, err));
        TRY(dynbuf_append(out, "[", i == from, err));
        TRY(put_number(points->columns[LNG], i, out, err));
        TRY(dynbuf_append_byte(out, ',', err));
        TRY(put_number(points->columns[LAT], i, out, err));
        TRY(dynbuf_append_byte(out, ']', err));
    }
    return dynbuf_append_byte(out, ']', err);
}

static int texts(struct path_agg *a, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    const uint32_t *starts = agg_collect_starts(&a->points, first);
    struct column_builder b;
    struct dynbuf text;
    TRY(column_builder_init(&b, a->base.budget, type_of(TYPE_UTF8), err));
    dynbuf_init(&text, INT32_MAX);
    int st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        dynbuf_clear(&text);
        st = put_path(&a->points, starts[i], starts[i + 1], &text, err);
        if (st == ST_OK)
            st = column_builder_append_bytes(&b, text.data, text.size, err);
    }
    if (st == ST_OK)
        st = column_builder_finish(&b, ret_column, err);
    dynbuf_release(&text);
    column_builder_release(&b);
    return st;
}

static int path_finish(struct agg *base, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    struct path_agg *a = (struct path_agg *)base;
    TRY(agg_collect_arrange(&a->points, a->n_groups, &by_time, 1, err));
    return base->function->which == JSON ? texts(a, first, n, ret_column, err) : lists(a, base->call->value_type, first, n, ret_column, err);
}

static int path_state(struct agg *base, uint32_t first, uint32_t n, struct column **ret_children, struct error *err)
{
    struct path_agg *a = (struct path_agg *)base;
    TRY(agg_collect_arrange(&a->points, a->n_groups, NULL, 0, err));
    return lists(a, base->call->state_fields[0]->type, first, n, &ret_children[0], err);
}

static void path_free(struct agg *base)
{
    struct path_agg *a = (struct path_agg *)base;
    agg_collect_release(&a->points);
    free(a);
}

#define FUNCTIONS                                                                                                                                    \
    .args_min = COLUMNS, .args_max = COLUMNS, .resolve = path_resolve, .open = path_open, .reserve = path_reserve, .update = path_update,            \
    .finish = path_finish, .state = path_state, .combine = path_combine, .free = path_free, .distinct = AGG_DISTINCT_IGNORED

const struct agg_function agg_path_functions[] = {
    {.name = "geo_path", .which = PATH, FUNCTIONS},
    {.name = "json_encode_path", .which = JSON, FUNCTIONS},
    {.name = NULL},
};
