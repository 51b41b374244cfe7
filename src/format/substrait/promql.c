/* Payloads of the PromQL extension nodes (promql-nodes.md 2). Numbers are frozen: substrait_extension/promql_plan.proto. */
#include <string.h>

#include "format/substrait/internal.h"

/* Which member of a node's message holds what; 0 = the node has no such member. */
struct layout {
    const char *name;
    uint8_t start, end, interval, span, filter_nan, time, field, columns;
};

static const struct layout layouts[] = {
    [PLAN_SERIES_DIVIDE] = {.name = "SeriesDivide", .time = 4, .columns = 3},
    [PLAN_SERIES_NORMALIZE] = {.name = "SeriesNormalize", .span = 1, .filter_nan = 3, .time = 5, .columns = 6},
    [PLAN_INSTANT_MANIPULATE] = {.name = "InstantManipulate", .start = 1, .end = 2, .interval = 3, .span = 4, .time = 7, .field = 8},
    [PLAN_RANGE_MANIPULATE] = {.name = "RangeManipulate", .start = 1, .end = 2, .interval = 3, .span = 4, .time = 7, .columns = 8},
};

static void read_member(const struct layout *l, const struct pb_field *f, struct plan_series *s)
{
    uint32_t index = f->value > UINT32_MAX ? PLAN_NO_COLUMN : (uint32_t)f->value;
    if (f->wire != PB_VARINT)
        return;
    if (f->number == l->start)
        s->start = (int64_t)f->value;
    else if (f->number == l->end)
        s->end = (int64_t)f->value;
    else if (f->number == l->interval)
        s->interval = (int64_t)f->value;
    else if (f->number == l->span)
        s->span = (int64_t)f->value;
    else if (f->number == l->filter_nan)
        s->filter_nan = f->value != 0;
    else if (f->number == l->time)
        s->time = index;
    else if (f->number == l->field)
        s->field = index;
}

int plan_decode_series(struct plan_decoder *d, const char *name, const struct pb_field *payload, struct plan_series **ret_series, struct error *err)
{
    struct pb_reader r = plan_inside(payload);
    struct pb_field f;
    size_t kind = 0;
    while (kind < sizeof layouts / sizeof *layouts && strcmp(layouts[kind].name, name) != 0)
        kind++;
    *ret_series = NULL;
    if (kind == sizeof layouts / sizeof *layouts)
        return ST_OK;
    struct plan_series *s = ARENA_NEW(d->arena, struct plan_series, err);
    if (!s)
        return err ? (int)err->status : ST_NO_MEMORY;
    s->kind = (enum plan_series_kind)kind;
    while (pb_next(&r, &f))
        read_member(&layouts[kind], &f, s);
    int st = pb_done(&r) ? ST_OK : ST_INVALID_ARGUMENTS;
    if (st == ST_OK && layouts[kind].columns)
        st = plan_decode_indexes(d, payload, layouts[kind].columns, &s->columns, &s->n_columns, err);
    if (st == ST_INVALID_ARGUMENTS)
        return error_set(err, ST_UNEXPECTED, "the payload of the extension node %s is malformed", name);
    TRY(st);
    if (layouts[kind].interval && s->interval <= 0)
        return error_set(err, ST_UNEXPECTED, "%s has the interval %lld ms, which is not positive", name, (long long)s->interval);
    *ret_series = s;
    return ST_OK;
}
