/* Which parts of a filter a scan can use: conjuncts of simple comparisons of one column with literals, what full-text predicates need,
 * and patterns of texts. */
#include <string.h>

#include "exec/expr_internal.h"
#include "exec/match_pattern.h"

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

/* Takes the reference to the values. */
static void add(struct scan_predicate *out, uint32_t room, uint32_t *n, uint32_t column, enum scan_op op, struct column *values)
{
    if (*n < room)
        out[(*n)++] = (struct scan_predicate){column, op, values, NULL};
    else
        column_unref(values);
}

static void add_in(struct scan_predicate *out, uint32_t room, uint32_t *n, uint32_t column, struct column **values, uint32_t n_values)
{
    struct column *all;
    if (n_values && column_concat(NULL, values, n_values, &all, NULL) == ST_OK)
        add(out, room, n, column, SCAN_IN, all);
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
    add_in(out, room, n, e->args[0]->column, values, n_values);
}

/* ---- full-text predicates ---- */

static struct column *texts_of(const struct match_need *any)
{
    struct column_builder b;
    struct column *texts = NULL;
    if (column_builder_init(&b, NULL, type_of(TYPE_UTF8), NULL) != ST_OK)
        return NULL;
    int st = ST_OK;
    for (; any && st == ST_OK; any = any->or_else)
        st = column_builder_append_bytes(&b, any->text, any->size, NULL);
    if (st == ST_OK)
        column_builder_finish(&b, &texts, NULL);
    column_builder_release(&b);
    return texts;
}

/* matches(column, pattern): texts that must occur. A pattern that cannot be read says nothing here; the filter will tell. */
static void add_pattern(const struct expr *column, const struct expr *pattern, struct scan_predicate *out, uint32_t room, uint32_t *n)
{
    struct arena arena;
    struct match_node *root;
    struct match_need *needs = NULL;
    int32_t size;
    const char *text = (const char *)column_bytes(pattern->literal, 0, &size);
    arena_init(&arena, NULL);
    if (match_pattern_read(&arena, text, (size_t)size, &root, NULL) == ST_OK && match_pattern_needs(&arena, root, &needs, NULL) == ST_OK)
        for (; needs; needs = needs->next) {
            struct column *texts = texts_of(needs);
            if (texts)
                add(out, room, n, column->column, SCAN_CONTAINS, texts);
        }
    arena_release(&arena);
}

static void add_term(const struct expr *text, const struct expr *term, struct scan_predicate *out, uint32_t room, uint32_t *n)
{
    int32_t size;
    bool lower = is_call(text, "lower") && text->n_args == 1;
    const struct expr *column = lower ? text->args[0] : text;
    if (!usable(column, term))
        return;
    column_bytes(term->literal, 0, &size);
    if (size) /* the empty term is no word */
        add(out, room, n, column->column, lower ? SCAN_LOWER_TERM : SCAN_TERM, column_ref(term->literal));
}

/* LIKE and regular expressions. */
static void add_match(const struct expr *e, struct scan_predicate *out, uint32_t room, uint32_t *n)
{
    const struct expr *column = e->args[0];
    struct scan_test *test = column->kind == EXPR_COLUMN && type_is_string(column->type) && *n < room ? match_test_new(e) : NULL;
    if (test)
        out[(*n)++] = (struct scan_predicate){column->column, SCAN_TEST, NULL, test};
}

static bool is_text(const struct expr *e)
{
    return type_is_string(e->type);
}

/* ---- */

void expr_predicates(const struct expr *e, const struct schema *input, struct scan_predicate *out, uint32_t room, uint32_t *n)
{
    enum scan_op op, mirrored;
    if (is_call(e, "and")) {
        for (uint32_t i = 0; i < e->n_args; i++)
            expr_predicates(e->args[i], input, out, room, n);
    } else if (is_call(e, "or")) {
        struct column *values[OR_VALUES_MAX];
        uint32_t n_values = 0, column = UINT32_MAX;
        if (or_chain(e, &column, values, &n_values))
            add_in(out, room, n, column, values, n_values);
    } else if (e->kind == EXPR_CALL && e->function == &function_in) {
        add_list(e, out, room, n);
    } else if (is_call(e, "is_null") || is_call(e, "is_not_null")) {
        if (e->args[0]->kind == EXPR_COLUMN)
            add(out, room, n, e->args[0]->column, is_call(e, "is_null") ? SCAN_IS_NULL : SCAN_IS_NOT_NULL, NULL);
    } else if (comparison(e, &op, &mirrored)) {
        if (usable(e->args[0], e->args[1]))
            add(out, room, n, e->args[0]->column, op, column_ref(e->args[1]->literal));
        else if (usable(e->args[1], e->args[0]))
            add(out, room, n, e->args[1]->column, mirrored, column_ref(e->args[0]->literal));
    } else if (is_call(e, "matches") && usable(e->args[0], e->args[1]) && is_text(e->args[1])) {
        add_pattern(e->args[0], e->args[1], out, room, n);
    } else if (is_call(e, "matches_term") && is_text(e->args[1])) {
        add_term(e->args[0], e->args[1], out, room, n);
    } else if (e->kind == EXPR_CALL && e->n_args >= 2) {
        add_match(e, out, room, n);
    }
}
