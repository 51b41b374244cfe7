/* Expressions that rise with a column: what is proved of them here lets an aggregation do without a hash table (exec/bind_group.c), so only what
 * certainly does is let pass. A zone's local clock is set back once a year; buckets of months depend on the length of months; a TRY_CAST makes NULLs
 * at both ends. */
#include <string.h>

#include "exec/expr_internal.h"

static bool is_time(const struct dtype *t)
{
    return t->id == TYPE_TIMESTAMP && !t->timezone;
}

static bool is_value(const struct expr *e)
{
    return e->kind == EXPR_LITERAL && !column_is_null(e->literal, 0);
}

/* Days and shorter units; no months. */
static bool is_fixed_stride(const struct expr *e)
{
    int32_t months;
    if (!is_value(e) || e->type->id == TYPE_DURATION || e->type->id == TYPE_INTERVAL_DAY_TIME)
        return is_value(e);
    if (e->type->id != TYPE_INTERVAL_MONTH_DAY_NANO)
        return false;
    memcpy(&months, e->literal->buffers[0]->data + (size_t)e->literal->offset * 16, sizeof months);
    return months == 0;
}

int expr_rises_with(const struct expr *e)
{
    if (e->kind == EXPR_COLUMN)
        return is_time(e->type) && !e->nullable ? (int)e->column : -1;
    if (e->kind != EXPR_CALL || !is_time(e->type))
        return -1;
    if (e->function == &function_cast)
        return e->flag ? -1 : expr_rises_with(e->args[0]);
    if (strcmp(e->function->name, "date_trunc") == 0)
        return expr_rises_with(e->args[1]);
    if (strcmp(e->function->name, "date_bin") == 0 && is_fixed_stride(e->args[0]) && (e->n_args == 2 || is_value(e->args[2])))
        return expr_rises_with(e->args[1]);
    return -1;
}
