/* Binding of PromQL's nodes: checks what they need of their input and adds it where the plan does not have it. */
#include "exec/bind_series.h"

#include <stdlib.h>

#include "exec/oper_series.h"

enum { SORT_KEYS_MAX = 1024 };

static int check_column(const struct plan_rel *rel, const struct schema *s, uint32_t width, uint32_t column, struct error *err)
{
    if (column >= width)
        return error_set(err, ST_INTERNAL, "%s names column %u of %u", rel->name, column, width);
    if (s->fields[column]->type->id == TYPE_RANGE)
        return error_set(err, ST_PLAN_QUERY, "%s over the range vector %s", rel->name, s->fields[column]->name);
    return ST_OK;
}

/* Strings, any number of them, or one UInt64. */
static int check_tags(const struct plan_rel *rel, const struct schema *s, struct error *err)
{
    const struct plan_series *node = rel->series;
    char text[96];
    for (uint32_t i = 0; i < node->n_columns; i++) {
        const struct dtype *t = s->fields[node->columns[i]]->type;
        if (!type_is_string(t) && !(t->id == TYPE_UINT64 && node->n_columns == 1))
            return error_set(err, ST_INTERNAL, "%s cannot use the column %s of type %s as a tag", rel->name, s->fields[node->columns[i]]->name,
                             type_print(t, text, sizeof text));
    }
    return ST_OK;
}

static int check(const struct plan_rel *rel, const struct schema *s, uint32_t width, struct error *err)
{
    const struct plan_series *node = rel->series;
    char text[96];
    TRY(check_column(rel, s, width, node->time, err));
    if (node->kind == PLAN_INSTANT_MANIPULATE && node->field != PLAN_NO_COLUMN)
        TRY(check_column(rel, s, width, node->field, err));
    for (uint32_t i = 0; i < node->n_columns; i++)
        TRY(check_column(rel, s, width, node->columns[i], err));
    const struct dtype *t = s->fields[node->time]->type;
    if (t->id != TYPE_TIMESTAMP || t->unit != UNIT_MILLI)
        return error_set(err, ST_PLAN_QUERY, "the time index of %s is %s, not a timestamp in milliseconds", rel->name,
                         type_print(t, text, sizeof text));
    return node->kind == PLAN_SERIES_DIVIDE ? check_tags(rel, s, err) : ST_OK;
}

/* Does a Sort below give rows by (tags, time), ascending with nulls first? */
static bool is_sorted(const struct plan_rel *rel)
{
    const struct plan_series *node = rel->series;
    const struct plan_rel *sort = rel->input;
    if (sort->kind != PLAN_SORT || sort->n_sorts < node->n_columns + 1)
        return false;
    for (uint32_t i = 0; i <= node->n_columns; i++) {
        uint32_t column = i < node->n_columns ? node->columns[i] : node->time;
        const struct plan_sort *s = &sort->sorts[i];
        if (s->expr->kind != PLAN_FIELD || s->direction != PLAN_ASC_NULLS_FIRST || s->expr->field != (sort->has_emit ? sort->emit[column] : column))
            return false;
    }
    return true;
}

/* Sorts by some columns and, last, by time. Takes the input. */
static int add_sort(struct oper *input, const uint32_t *columns, uint32_t n, uint32_t time, struct oper **ret_oper, struct error *err)
{
    struct oper_sort_key *keys = calloc((size_t)n + 1, sizeof *keys);
    if (!keys || n >= SORT_KEYS_MAX) {
        int st = keys ? error_set(err, ST_UNSUPPORTED, "a SeriesDivide by %u tags", n) : error_no_memory(err, ((size_t)n + 1) * sizeof *keys);
        free(keys);
        oper_free(input);
        return st;
    }
    for (uint32_t i = 0; i <= n; i++)
        keys[i] = (struct oper_sort_key){i < n ? columns[i] : time, {.nulls_first = true}};
    int st = oper_sort_new(input, keys, n + 1, -1, ret_oper, err);
    free(keys);
    return st;
}

/* Series of an input that no SeriesDivide has cut (an aggregation's, in a subquery): whatever is no time, no field and no float is a label. */
static int add_division(const struct plan_series *node, struct oper *input, struct oper **ret_oper, struct error *err)
{
    const struct schema *s = input->schema;
    uint32_t *labels = calloc((size_t)s->n_fields + 1, sizeof *labels), n = 0;
    if (!labels) {
        int st = error_no_memory(err, s->n_fields * sizeof *labels);
        oper_free(input);
        return st;
    }
    for (uint32_t i = 0; i < s->n_fields; i++) {
        bool label = i != node->time && !(node->kind == PLAN_INSTANT_MANIPULATE && i == node->field) && !type_is_float(s->fields[i]->type) &&
                     sort_key_supported(s->fields[i]->type);
        for (uint32_t k = 0; k < node->n_columns; k++)
            label &= node->columns[k] != i;
        if (label)
            labels[n++] = i;
    }
    int st = add_sort(input, labels, n, node->time, &input, err);
    if (st == ST_OK)
        st = oper_divide_new(input, labels, n, node->time, ret_oper, err);
    free(labels);
    return st;
}

int bind_series(const struct plan_rel *rel, struct oper *input, bool *series, struct oper **ret_oper, struct error *err)
{
    const struct plan_series *node = rel->series;
    int st = check(rel, input->schema, input->schema->n_fields - *series, err);
    if (st == ST_OK && node->kind == PLAN_SERIES_DIVIDE && *series)
        st = error_set(err, ST_UNSUPPORTED, "a SeriesDivide over a SeriesDivide");
    if (st != ST_OK) {
        oper_free(input);
        return st;
    }
    if (node->kind == PLAN_SERIES_NORMALIZE)
        return oper_normalize_new(input, node, ret_oper, err);
    if (node->kind == PLAN_SERIES_DIVIDE) {
        if (!is_sorted(rel))
            TRY(add_sort(input, node->columns, node->n_columns, node->time, &input, err));
        *series = true;
        return oper_divide_new(input, node->columns, node->n_columns, node->time, ret_oper, err);
    }
    if (!*series)
        TRY(add_division(node, input, &input, err));
    *series = true;
    return node->kind == PLAN_INSTANT_MANIPULATE ? oper_instant_new(input, node, ret_oper, err) : oper_range_new(input, node, ret_oper, err);
}
