/* range (without its end) and generate_series (with it): lists of integers, dates and timestamps (functions.md 1.8). */
#include <string.h>

#include "base/civil.h"
#include "exec/kernel_list.h"
#include "exec/kernel_typed.h"

enum { SERIES_RANGE, SERIES_INCLUSIVE };

struct step {
    int32_t months, days;
    int64_t nanos;
};

static int bind_series(struct expr *e, struct error *err)
{
    const struct dtype *first = e->args[0]->type;
    bool dates = first->id == TYPE_DATE32, points = first->id == TYPE_TIMESTAMP;
    if (dates || points) {
        if (e->n_args != 3)
            return expr_type_error(e, err);
        struct dtype *type = points && !first->timezone ? type_temporal(TYPE_TIMESTAMP, UNIT_NANO) : NULL;
        if (points && !type && first->unit != UNIT_NANO)
            return expr_type_error(e, err);
        TRY(type ? expr_bind_cast(e, 0, type, err) : ST_OK);
        TRY(expr_bind_cast(e, 1, e->args[0]->type, err));
        TRY(expr_bind_cast(e, 2, type_of(TYPE_INTERVAL_MONTH_DAY_NANO), err));
    } else {
        for (uint32_t k = 0; k < e->n_args; k++)
            TRY(list_bind_integer(e, k, err));
    }
    e->type = list_type_of(e->args[0]->type);
    return e->type ? ST_OK : error_no_memory(err, 64);
}

/* A point in time (days or nanoseconds) one step on; false past the end of time. */
static bool advance(int64_t *at, const struct step *s, bool days)
{
    const int64_t per_day = days ? 1 : 86400000000000;
    int64_t year, day_number = floor_div(*at, per_day), rest = floor_mod(*at, per_day);
    int32_t month, day;
    if (s->months) {
        civil_of_days(day_number, &year, &month, &day);
        int64_t total = year * 12 + month - 1 + s->months;
        year = floor_div(total, 12);
        month = (int32_t)floor_mod(total, 12) + 1;
        int32_t last = days_in_month(year, month);
        day_number = days_of_civil(year, month, day < last ? day : last);
    }
    day_number += s->days;
    int64_t more = days ? s->nanos / 86400000000000 : s->nanos;
    return !__builtin_mul_overflow(day_number, per_day, at) && !__builtin_add_overflow(*at, rest, at) && !__builtin_add_overflow(*at, more, at) &&
           (!days || (*at >= INT32_MIN && *at <= INT32_MAX));
}

static int put(struct column_builder *items, int64_t v, struct error *err)
{
    return column_builder_append_fixed(items, type_width(items->type) == 4 ? (const void *)&(int32_t){(int32_t)v} : &v, err);
}

static int integers(struct column_builder *items, int64_t at, int64_t stop, int64_t step, bool inclusive, struct error *err)
{
    for (; step > 0 ? at < stop || (inclusive && at == stop) : at > stop || (inclusive && at == stop);) {
        TRY(put(items, at, err));
        if (__builtin_add_overflow(at, step, &at))
            break;
    }
    return ST_OK;
}

static int points(struct column_builder *items, int64_t at, int64_t stop, const struct step *step, bool inclusive, struct error *err)
{
    bool days = items->type->id == TYPE_DATE32, down = step->months < 0 || step->days < 0 || step->nanos < 0;
    for (int64_t before; down ? at > stop || (inclusive && at == stop) : at < stop || (inclusive && at == stop);) {
        TRY(put(items, at, err));
        before = at;
        if (!advance(&at, step, days) || at == before)
            break;
    }
    return ST_OK;
}

static int64_t number_at(const struct value *v, int64_t row)
{
    int64_t i = v->scalar ? 0 : row;
    return type_width(v->column->type) == 4 ? COLUMN_VALUES(v->column, int32_t)[i] : COLUMN_VALUES(v->column, int64_t)[i];
}

static int series_row(const struct call *c, int64_t row, struct column_builder *items, bool *ret_null, struct error *err)
{
    const struct expr *e = c->e;
    const struct value *args = c->args;
    bool inclusive = e->function->op == SERIES_INCLUSIVE;
    (void)ret_null;
    if (items->type->id == TYPE_INT64) {
        int64_t start = e->n_args == 1 ? 0 : number_at(&args[0], row), stop = number_at(&args[e->n_args == 1 ? 0 : 1], row);
        int64_t step = e->n_args == 3 ? number_at(&args[2], row) : 1;
        if (step == 0)
            return error_set(err, ST_EXECUTE_QUERY, "step can't be 0 for function %s(start [, stop, step])", e->function->name);
        TRY(integers(items, start, stop, step, inclusive, err));
    } else {
        struct step step;
        memcpy(&step, COLUMN_VALUES(args[2].column, struct step) + (args[2].scalar ? 0 : row), sizeof step);
        if (step.months == 0 && step.days == 0 && step.nanos == 0)
            return error_set(err, ST_EXECUTE_QUERY, "Cannot generate a list with a step of 0 for function %s", e->function->name);
        TRY(points(items, number_at(&args[0], row), number_at(&args[1], row), &step, inclusive, err));
    }
    return ST_OK;
}

const struct function functions_series[] = {
    {"range", 1, 3, bind_series, kernel_list_rows, SERIES_RANGE, true, .list_row = series_row},
    {"generate_series", 1, 3, bind_series, kernel_list_rows, SERIES_INCLUSIVE, true, .list_row = series_row},
    {0},
};
