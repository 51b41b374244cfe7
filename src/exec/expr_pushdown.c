/* Which parts of a filter a scan can use: conjuncts of simple comparisons of one column with literals. */
#include <string.h>

#include "exec/expr_internal.h"

enum { OR_VALUES_MAX = 256 };

static bool is_call(const struct expr *e, const char *name)
{
    return e->kind == EXPR_CALL && strcmp(e->function->name, name) == 0;
}

static bool comparison(const struct expr *e, enum scan_op *op, enum scan_op *mirrored)
{
    static const struct { const char *name; enum scan_op op, mirrored; } table[] = {{"equal", SCAN_EQ, SCAN_EQ}, {"not_equal", SCAN_NE, SCAN_NE},
        {"lt", SCAN_LT, SCAN_GT}, {"lte", SCAN_LE, SCAN_GE}, {"gt", SCAN_GT, SCAN_LT}, {"gte", SCAN_GE, SCAN_LE}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (is_call(e, table[i].name)) {
            *op = table[i].op;
            *mirrored = table[i].mirrored;
            return true;
        }
    return false;
}

static bool usable(const struct expr *column, const struct expr *literal)
{
    return column->kind == EXPR_COLUMN && literal->kind == EXPR_LITERAL && type_equal(column->type, literal->type, false) &&
           !column_is_null(literal->literal, 0);
}

/* column = literal anywhere in a chain of ORs on one column; *column = UINT32_MAX until the first. */
static bool or_chain(const struct expr *e, uint32_t *column, struct column **values, uint32_t *n)
{
    if (is_call(e, "or")) {
        for (uint32_t i = 0; i < e->n_args; i++)
            if (!or_chain(e->args[i], column, values, n))
                return false;
        return true;
    }
    if (!is_call(e, "equal") || *n == OR_VALUES_MAX)
        return false;
    const struct expr *c = e->args[0], *l = e->args[1];
    if (c->kind == EXPR_LITERAL) {
        const struct expr *t = c;
        c = l;
        l = t;
    }
    if (!usable(c, l) || (*column != UINT32_MAX && *column != c->column))
        return false;
    *column = c->column;
    values[(*n)++] = l->literal;
    return true;
}

/* The literals of a list as one column, kept by the expression (its arena cannot hold a reference, so the expression's `literal` slot does). */
static struct column *joined(struct expr *e, struct column **values, uint32_t n)
{
    if (!e->literal && column_concat(NULL, values, n, &e->literal, NULL) != ST_OK)
        return NULL;
    return e->literal;
}

static void add(struct scan_predicate *out, uint32_t room, uint32_t *n, uint32_t column, enum scan_op op, struct column *values)
{
    if (*n < room)
        out[(*n)++] = (struct scan_predicate){column, op, values};
}

static void add_list(const struct expr *e, struct scan_predicate *out, uint32_t room, uint32_t *n)
{
    struct column *values[OR_VALUES_MAX];
    uint32_t n_values = 0;
    if (e->args[0]->kind != EXPR_COLUMN || e->n_args - 1 > OR_VALUES_MAX)
        return;
    for (uint32_t i = 1; i < e->n_args; i++) {
        if (!usable(e->args[0], e->args[i]))
            return;
        values[n_values++] = e->args[i]->literal;
    }
    struct column *all = n_values ? joined((struct expr *)e, values, n_values) : NULL;
    if (all)
        add(out, room, n, e->args[0]->column, SCAN_IN, all);
}

void expr_predicates(const struct expr *e, const struct schema *input, struct scan_predicate *out, uint32_t room, uint32_t *n)
{
    enum scan_op op, mirrored;
    if (is_call(e, "and")) {
        for (uint32_t i = 0; i < e->n_args; i++)
            expr_predicates(e->args[i], input, out, room, n);
    } else if (is_call(e, "or")) {
        struct column *values[OR_VALUES_MAX];
        uint32_t n_values = 0, column = UINT32_MAX;
        struct column *all = or_chain(e, &column, values, &n_values) ? joined((struct expr *)e, values, n_values) : NULL;
        if (all)
            add(out, room, n, column, SCAN_IN, all);
    } else if (e->kind == EXPR_CALL && e->function == &function_in) {
        add_list(e, out, room, n);
    } else if (is_call(e, "is_null") || is_call(e, "is_not_null")) {
        if (e->args[0]->kind == EXPR_COLUMN)
            add(out, room, n, e->args[0]->column, is_call(e, "is_null") ? SCAN_IS_NULL : SCAN_IS_NOT_NULL, NULL);
    } else if (comparison(e, &op, &mirrored)) {
        if (usable(e->args[0], e->args[1]))
            add(out, room, n, e->args[0]->column, op, e->args[1]->literal);
        else if (usable(e->args[1], e->args[0]))
            add(out, room, n, e->args[1]->column, mirrored, e->args[0]->literal);
    }
}
