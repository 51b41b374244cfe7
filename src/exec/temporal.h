/* Calendar arithmetic on timestamps, dates, durations and intervals. Private to exec. */
#ifndef EXEC_TEMPORAL_H
#define EXEC_TEMPORAL_H

#include "base/civil.h"
#include "exec/expr_internal.h"

/* Types of `a + b` (add) or `a - b` with at least one temporal side (functions.md 4.1, 4.6). */
int temporal_bind(struct expr *e, bool add, struct error *err);
int temporal_arithmetic(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, bool add, struct column **ret,
                        struct error *err);

/* value (in `unit` since the epoch) plus months, then days, then nanoseconds; false on overflow. */
bool temporal_add(int64_t value, uint8_t unit, int64_t months, int64_t days, __int128 nanos, int64_t *ret);

/* An interval or a duration by its parts. */
struct span { int64_t months, days; __int128 nanos; };
struct span span_at(const struct value *v, int64_t i); /* of row i */

static inline bool type_is_interval(const struct dtype *t)
{
    return t->id >= TYPE_INTERVAL_YEAR_MONTH && t->id <= TYPE_INTERVAL_MONTH_DAY_NANO;
}

/* The number of a date, time, timestamp or duration. */
static inline int64_t value_number(const struct value *v, int64_t i)
{
    int64_t at = v->scalar ? 0 : i;
    return type_width(v->column->type) == 4 ? COLUMN_VALUES(v->column, int32_t)[at] : COLUMN_VALUES(v->column, int64_t)[at];
}

#endif
