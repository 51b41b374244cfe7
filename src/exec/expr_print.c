/* Expressions as text, in DataFusion's two ways: `a + Int64(1)` names a column, `a@0 + 1` stands in EXPLAIN ANALYZE. */
#include <stdio.h>
#include <string.h>

#include "exec/expr_internal.h"
#include "exec/temporal.h"

enum { LITERAL_MAX = 200 };

struct printer {
    const struct schema *input;
    struct dynbuf *out;
    bool physical;
    struct error *err;
};

/* Functions that are written as an operator between, behind or in front of their arguments. */
static const struct sign { const char *name, *text; int precedence; } signs[] = {
    {"or", "OR", 5}, {"and", "AND", 10},
    {"equal", "=", 20}, {"not_equal", "!=", 20}, {"lt", "<", 20}, {"lte", "<=", 20}, {"gt", ">", 20}, {"gte", ">=", 20},
    {"is_distinct_from", "IS DISTINCT FROM", 20}, {"is_not_distinct_from", "IS NOT DISTINCT FROM", 20}, {"regex_match", "~", 20},
    {"regex_imatch", "~*", 20}, {"regex_not_match", "!~", 20}, {"regex_not_imatch", "!~*", 20}, {"like", "LIKE", 20}, {"ilike", "ILIKE", 20},
    {"add", "+", 30}, {"subtract", "-", 30}, {"multiply", "*", 40}, {"divide", "/", 40}, {"modulus", "%", 40}, {"str_concat", "||", 30},
    {"bitwise_and", "&", 25}, {"bitwise_or", "|", 25}, {"bitwise_xor", "BIT_XOR", 25}, {"bitwise_shift_left", "<<", 25},
    {"bitwise_shift_right", ">>", 25}};
static const struct sign tests[] = {
    {"is_null", "IS NULL", 0}, {"is_not_null", "IS NOT NULL", 0}, {"is_true", "IS TRUE", 0}, {"is_not_true", "IS NOT TRUE", 0},
    {"is_false", "IS FALSE", 0},
    {"is_not_false", "IS NOT FALSE", 0}, {"is_unknown", "IS UNKNOWN", 0}, {"is_not_unknown", "IS NOT UNKNOWN", 0}};

static const struct sign *find(const struct sign *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static const struct sign *operator_of(const struct expr *e)
{
    return e->kind == EXPR_CALL && e->n_args >= 2 ? find(signs, sizeof signs / sizeof *signs, e->function->name) : NULL;
}

static int put(struct printer *p, const char *text)
{
    return dynbuf_append(p->out, text, strlen(text), p->err);
}

static bool is_time_or_span(const struct dtype *t)
{
    return t->id >= TYPE_TIMESTAMP && t->id <= TYPE_INTERVAL_MONTH_DAY_NANO;
}

/* Instants and durations stand as the numbers that they are stored as, intervals by their parts. */
static int print_time_or_span(struct printer *p, const struct column *c)
{
    const struct value v = {.column = (struct column *)c, .scalar = true};
    const char *quote = p->physical || c->type->id == TYPE_TIMESTAMP ? "" : "\"";
    if (c->type->id != TYPE_INTERVAL_DAY_TIME && c->type->id != TYPE_INTERVAL_MONTH_DAY_NANO)
        return dynbuf_printf(p->out, p->err, "%s%lld%s", quote, (long long)value_number(&v, 0), quote);
    struct span s = span_at(&v, 0);
    if (c->type->id == TYPE_INTERVAL_DAY_TIME)
        return dynbuf_printf(p->out, p->err, "%sIntervalDayTime { days: %lld, milliseconds: %lld }%s", quote, (long long)s.days,
                             (long long)(s.nanos / 1000000), quote);
    return dynbuf_printf(p->out, p->err, "%sIntervalMonthDayNano { months: %lld, days: %lld, nanoseconds: %lld }%s", quote, (long long)s.months,
                         (long long)s.days, (long long)s.nanos, quote);
}

/* The value's text, cut when it is long; "..": no text form. */
static int print_value(struct printer *p, const struct column *c)
{
    if (is_time_or_span(c->type))
        return print_time_or_span(p, c);
    struct column *text = NULL;
    struct expr_context ctx = {0};
    bool quoted = (type_is_string(c->type) || c->type->id == TYPE_DATE32 || c->type->id == TYPE_DATE64) && !p->physical;
    if (!cast_supported(c->type, type_of(TYPE_UTF8)) || expr_cast(&ctx, (struct column *)c, type_of(TYPE_UTF8), true, &text, NULL) != ST_OK ||
        column_is_null(text, 0)) {
        column_unref(text);
        return put(p, "..");
    }
    int32_t n;
    const uint8_t *bytes = column_bytes(text, 0, &n);
    int st = dynbuf_printf(p->out, p->err, quoted ? "\"%.*s\"" : "%.*s", n > LITERAL_MAX ? LITERAL_MAX : n, (const char *)bytes);
    column_unref(text);
    return st;
}

/* As DataFusion calls a literal's type: without brackets inside the name. */
static const char *literal_type(const struct dtype *t, char *out, size_t room)
{
    char *bracket;
    switch ((enum type_id)t->id) {
    case TYPE_TIMESTAMP: case TYPE_TIME32: case TYPE_TIME64: case TYPE_DURATION:
        type_print(t, out, room);
        bracket = strchr(out, '(');
        snprintf(bracket, room - (size_t)(bracket - out), "%s", time_unit_names[t->unit]);
        return out;
    case TYPE_INTERVAL_YEAR_MONTH:
        return "IntervalYearMonth";
    case TYPE_INTERVAL_DAY_TIME:
        return "IntervalDayTime";
    case TYPE_INTERVAL_MONTH_DAY_NANO:
        return "IntervalMonthDayNano";
    default:
        return type_print(t, out, room);
    }
}

static int print_literal(struct printer *p, const struct column *c)
{
    const struct dtype *t = c->type;
    char type[100];
    if (!p->physical)
        TRY(dynbuf_printf(p->out, p->err, "%s(", literal_type(t, type, sizeof type)));
    TRY(column_is_null(c, 0) ? put(p, "NULL") : print_value(p, c));
    if (!p->physical && t->id == TYPE_TIMESTAMP)
        TRY(t->timezone ? dynbuf_printf(p->out, p->err, ", Some(\"%s\")", t->timezone) : put(p, ", None"));
    return p->physical ? ST_OK : put(p, ")");
}

static int print(struct printer *p, const struct expr *e);

static int print_operator(struct printer *p, const struct expr *e, const struct sign *sign)
{
    uint32_t n = sign->text[0] == 'L' || sign->text[0] == 'I' ? 2 : e->n_args; /* LIKE has its escape as third argument */
    for (uint32_t i = 0; i < n; i++) {
        const struct sign *inner = operator_of(e->args[i]);
        bool wrap = inner && inner->precedence < sign->precedence;
        if (i)
            TRY(dynbuf_printf(p->out, p->err, " %s ", sign->text));
        TRY(put(p, wrap ? "(" : ""));
        TRY(print(p, e->args[i]));
        TRY(put(p, wrap ? ")" : ""));
    }
    return ST_OK;
}

static int print_list(struct printer *p, const struct expr *e, uint32_t first)
{
    for (uint32_t i = first; i < e->n_args; i++) {
        TRY(put(p, i > first ? (p->physical ? ", " : ",") : ""));
        TRY(print(p, e->args[i]));
    }
    return ST_OK;
}

static int print_case(struct printer *p, const struct expr *e)
{
    uint32_t i = e->flag;
    TRY(put(p, "CASE "));
    if (e->flag) {
        TRY(print(p, e->args[0]));
        TRY(put(p, " "));
    }
    for (; i + 1 < e->n_args; i += 2) {
        TRY(put(p, "WHEN "));
        TRY(print(p, e->args[i]));
        TRY(put(p, " THEN "));
        TRY(print(p, e->args[i + 1]));
        TRY(put(p, " "));
    }
    if (i < e->n_args) {
        TRY(put(p, "ELSE "));
        TRY(print(p, e->args[i]));
        TRY(put(p, " "));
    }
    return put(p, "END");
}

static int print_call(struct printer *p, const struct expr *e)
{
    const struct sign *sign = operator_of(e);
    char type[100];
    if (sign)
        return print_operator(p, e, sign);
    if (e->function == &function_case)
        return print_case(p, e);
    if (e->function == &function_cast) {
        TRY(put(p, e->flag ? "TRY_CAST(" : "CAST("));
        TRY(print(p, e->args[0]));
        return dynbuf_printf(p->out, p->err, " AS %s)", type_print(e->type, type, sizeof type));
    }
    if (e->function == &function_in) {
        TRY(print(p, e->args[0]));
        TRY(put(p, p->physical ? " IN (SET) ([" : " IN ("));
        TRY(print_list(p, e, 1));
        return put(p, p->physical ? "])" : ")");
    }
    sign = e->n_args == 1 ? find(tests, sizeof tests / sizeof *tests, e->function->name) : NULL;
    if (sign) {
        TRY(print(p, e->args[0]));
        return dynbuf_printf(p->out, p->err, " %s", sign->text);
    }
    if (strcmp(e->function->name, "not") == 0)
        TRY(put(p, "NOT "));
    else if (strcmp(e->function->name, "negate") == 0)
        TRY(put(p, "(- "));
    else
        TRY(dynbuf_printf(p->out, p->err, "%s(", e->function->name));
    TRY(print_list(p, e, 0));
    return put(p, strcmp(e->function->name, "not") == 0 ? "" : ")");
}

static int print(struct printer *p, const struct expr *e)
{
    if (e->kind == EXPR_LITERAL)
        return print_literal(p, e->literal);
    if (e->kind == EXPR_CALL)
        return print_call(p, e);
    TRY(put(p, e->column < p->input->n_fields ? p->input->fields[e->column]->name : "?"));
    return p->physical ? dynbuf_printf(p->out, p->err, "@%u", e->column) : ST_OK;
}

int expr_print_values(struct column *values, const char *between, struct dynbuf *out, struct error *err)
{
    struct printer p = {NULL, out, false, err};
    for (int64_t i = 0; i < values->length; i++) {
        struct column *one;
        TRY(column_slice(values, i, 1, &one, err));
        int st = put(&p, i ? between : "");
        if (st == ST_OK)
            st = print_literal(&p, one);
        column_unref(one);
        TRY(st);
    }
    return ST_OK;
}

int expr_print(const struct expr *e, const struct schema *input, bool physical, struct dynbuf *out, struct error *err)
{
    struct printer p = {input, out, physical, err};
    return print(&p, e);
}
