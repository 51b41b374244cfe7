/* to_char and date_format: points in time as text by a format (functions.md 1.6, 1.12). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "exec/cast_text.h"
#include "exec/chrono.h"
#include "exec/kernel_typed.h"
#include "exec/temporal.h"
#include "exec/zone.h"

static int bind_format(struct expr *e, struct error *err)
{
    bool session = e->function->op;
    const struct dtype *t = e->args[0]->type;
    if (t->id == TYPE_NULL)
        TRY(expr_bind_cast(e, 0, type_temporal(TYPE_TIMESTAMP, UNIT_NANO), err));
    else if (type_is_string(t))
        TRY(expr_bind_cast(e, 0, type_temporal(TYPE_TIMESTAMP, session ? UNIT_MILLI : UNIT_NANO), err));
    t = e->args[0]->type;
    bool clock = t->id == TYPE_TIME32 || t->id == TYPE_TIME64 || t->id == TYPE_DURATION;
    if (t->id != TYPE_TIMESTAMP && t->id != TYPE_DATE32 && t->id != TYPE_DATE64 && !(clock && !session))
        return expr_type_error(e, err);
    if (!type_is_string(e->args[1]->type))
        TRY(expr_bind_cast(e, 1, type_of(TYPE_UTF8), err));
    e->type = type_of(session ? TYPE_UTF8_VIEW : TYPE_UTF8);
    return ST_OK;
}

/* A duration as ISO 8601 or in Arrow's own words. */
static int put_duration(const struct call *c, int64_t row, bool iso, struct text_writer *w, struct error *err)
{
    const struct column *column = c->args[0].column;
    int64_t v = value_number(&c->args[0], row), per = units_per_second(column->type->unit);
    char text[100], fraction[12];
    if (!iso)
        return text_writer_put(w, text, text_of_value(column, c->args[0].scalar ? 0 : row, text, sizeof text), err);
    if (v == 0)
        return text_writer_put(w, "P0D", 3, err);
    unsigned long long seconds = (unsigned long long)llabs(v / per);
    int n = snprintf(fraction, sizeof fraction, ".%09lld", llabs(v % per) * (1000000000 / per));
    while (n > 0 && (fraction[n - 1] == '0' || fraction[n - 1] == '.'))
        fraction[--n] = 0;
    return text_writer_printf(w, err, "%sPT%llu%sS", v < 0 ? "-" : "", seconds, fraction);
}

static int to_char_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n;
    const struct dtype *t = c->args[0].column->type;
    const uint8_t *format = value_text(&c->args[1], row, &n);
    const struct tzif *zone = NULL;
    int64_t v = value_number(&c->args[0], row);
    (void)ret_null;
    if (t->id == TYPE_DURATION)
        return put_duration(c, row, n == 7 && strncasecmp((const char *)format, "ISO8601", 7) == 0, w, err);
    if (t->timezone)
        TRY(zone_find(t->timezone, &zone, err));
    struct moment m = t->id == TYPE_DATE32 ? (struct moment){.days = v} : moment_of(v, t->id == TYPE_DATE64 ? 1000 : units_per_second(t->unit), zone);
    m.clock_only = t->id == TYPE_TIME32 || t->id == TYPE_TIME64;
    m.nameless = true;
    return chrono_print(format, n, &m, w, err);
}

/* Years that chrono can show; the peer prints the number of others. */
static bool shows(const struct moment *m)
{
    int64_t year;
    int32_t month, day;
    civil_of_days(m->days, &year, &month, &day);
    return year >= -262143 && year <= 262142;
}

/* In the session's time zone, dates included: their midnight is one of UTC. */
static int date_format_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n;
    const struct dtype *t = c->args[0].column->type;
    const uint8_t *format = value_text(&c->args[1], row, &n);
    int64_t v = value_number(&c->args[0], row), per = t->id == TYPE_DATE32 ? 1 : t->id == TYPE_DATE64 ? 1000 : units_per_second(t->unit);
    struct moment m = moment_of(t->id == TYPE_DATE32 ? v * 86400 : v, per, c->state);
    (void)ret_null;
    if (!shows(&m))
        return text_writer_printf(w, err, "[Timestamp<%s>: %lld]", time_unit_names[t->id == TYPE_DATE64 ? UNIT_MILLI : t->unit], (long long)v);
    return chrono_print(format, n, &m, w, err);
}

static int kernel_date_format(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                              struct error *err)
{
    const struct call c = {e, ctx, args, (void *)zone_of_session(ctx->timezone)};
    return kernel_text_run(&c, rows, ret, err);
}

const struct function functions_format[] = {
    {"to_char", 2, 2, bind_format, kernel_text_rows, 0, true, .text_row = to_char_row},
    {"date_format", 2, 2, bind_format, kernel_date_format, 1, true, .text_row = date_format_row},
    {0},
};
