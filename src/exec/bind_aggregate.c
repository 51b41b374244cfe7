/* Binding of aggregations: everything that keys and measures read is computed in one projection below. */
#include <stdlib.h>
#include <string.h>

#include "exec/bind_internal.h"
#include "exec/oper_compute.h"

/* An argument or a sort key of a measure with a FILTER must not fail the query for rows that the filter drops: it is computed as
 * CASE WHEN filter THEN arg END. */
static int guarded(struct binder *b, struct plan_expr *arg, struct plan_expr *filter, struct plan_expr **ret_expr, struct error *err)
{
    *ret_expr = arg;
    if (!filter || arg->kind == PLAN_FIELD || arg->kind == PLAN_LITERAL)
        return ST_OK;
    struct plan_expr *e = ARENA_NEW(b->arena, struct plan_expr, err);
    struct plan_expr **args = ARENA_ARRAY(b->arena, 2, struct plan_expr *, err);
    if (!e || !args)
        return ST_NO_MEMORY;
    args[0] = filter;
    args[1] = arg;
    *e = (struct plan_expr){.kind = PLAN_IF, .args = args, .n_args = 2};
    *ret_expr = e;
    return ST_OK;
}

/* Averages and sums take integers as they are and make floats of them themselves: a cast in front of them would only be another pass over the values.
 * NULL when there is none. DISTINCT counts what the cast gives. */
static const struct plan_expr *cast_of_sum(const struct plan_measure *m, const struct plan_expr *arg)
{
    static const char *const names[] = {"avg", "__avg_state", "sum", "__sum_state"};
    bool sums = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        sums = sums || strcmp(m->name, names[i]) == 0;
    return sums && !m->distinct && m->n_args == 1 && arg->kind == PLAN_CAST && arg->type->id == TYPE_FLOAT64 ? arg->args[0] : NULL;
}

/* All expressions of an aggregation in one list: keys, then for each measure arguments, sort keys, filter. */
static int collect_exprs(struct binder *b, const struct plan_rel *rel, struct plan_expr ***ret_exprs, const struct plan_expr ***ret_uncast,
                         uint32_t *ret_n, struct error *err)
{
    size_t n = rel->n_exprs;
    for (uint32_t i = 0; i < rel->n_measures; i++)
        n += rel->measures[i].n_args + rel->measures[i].n_sorts + (rel->measures[i].filter != NULL);
    struct plan_expr **exprs = ARENA_ARRAY(b->arena, n + 1, struct plan_expr *, err);
    const struct plan_expr **uncast = ARENA_ARRAY(b->arena, n + 1, const struct plan_expr *, err);
    if (!exprs || !uncast)
        return ST_NO_MEMORY;
    uint32_t at = 0;
    for (uint32_t i = 0; i < rel->n_exprs; i++)
        exprs[at++] = rel->exprs[i];
    for (uint32_t i = 0; i < rel->n_measures; i++) {
        const struct plan_measure *m = &rel->measures[i];
        for (uint32_t k = 0; k < m->n_args; k++, at++) {
            TRY(guarded(b, m->args[k], m->filter, &exprs[at], err));
            uncast[at] = cast_of_sum(m, exprs[at]);
        }
        bool state = strncmp(m->name, "__", 2) == 0; /* its children are named by the sort keys as they are */
        for (uint32_t k = 0; k < m->n_sorts; k++)
            TRY(guarded(b, m->sorts[k].expr, state ? NULL : m->filter, &exprs[at++], err));
        if (m->filter)
            exprs[at++] = m->filter;
    }
    *ret_exprs = exprs;
    *ret_uncast = uncast;
    *ret_n = at;
    return ST_OK;
}

/* An expression of an aggregation after the projection below it. */
struct agg_input {
    uint32_t column;        /* where it is */
    struct column *literal; /* its value when it is a literal; the projection's */
};

/* An expression, or what is below its cast if that is an integer and it may go. */
static int bind_input(struct binder *b, const struct plan_expr *plan, const struct plan_expr *uncast, const struct schema *input,
                      struct expr **ret_expr, struct error *err)
{
    if (uncast) {
        TRY(binder_expr(b, uncast, input, ret_expr, err));
        if (type_is_integer(expr_type(*ret_expr)) && !expr_literal(*ret_expr))
            return ST_OK;
        expr_release(*ret_expr);
    }
    return binder_expr(b, plan, input, ret_expr, err);
}

/* Projects the input to exactly the columns that the aggregation reads; inputs[i] = what became of expression i. */
static int project_inputs(struct binder *b, struct bound *in, struct plan_expr *const *plans, const struct plan_expr *const *uncast, uint32_t n,
                          struct agg_input *inputs, struct error *err)
{
    const struct schema *input = in->oper->schema;
    struct expr **exprs = ARENA_ARRAY(b->arena, n + 1, struct expr *, err);
    uint32_t *seen = ARENA_ARRAY(b->arena, input->n_fields + 1, uint32_t, err), made = 0;
    int st = exprs && seen ? ST_OK : ST_NO_MEMORY;
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        struct expr *e;
        st = bind_input(b, plans[i], uncast[i], input, &e, err);
        if (st != ST_OK)
            break;
        int column = expr_column(e);
        if (column >= 0 && seen[column]) {
            inputs[i].column = seen[column] - 1;
            expr_release(e);
            continue;
        }
        inputs[i] = (struct agg_input){made, expr_literal(e)};
        exprs[made++] = e;
        if (column >= 0)
            seen[column] = made;
    }
    if (st != ST_OK) {
        for (uint32_t i = 0; i < made; i++)
            expr_release(exprs[i]);
        return st;
    }
    return binder_project(b, in, exprs, made, err);
}

/* With DISTINCT a list can only be ordered by what is in it: another key has no one value for a distinct item. */
static int check_distinct_order(const struct oper_measure *m, const struct schema *input, struct error *err)
{
    if (!m->call.distinct || !m->call.function->ordered || m->call.function->distinct != AGG_DISTINCT_APPLIES || m->call.n_sorts == 0)
        return ST_OK;
    if (m->call.n_sorts == 1 && strcmp(input->fields[m->sorts[0]]->name, input->fields[m->args[0]]->name) == 0)
        return ST_OK;
    return error_set(err, ST_EXECUTE_QUERY, "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list");
}

static int bind_measure(const struct plan_measure *plan, const struct agg_input *inputs, const struct schema *input, bool grouped,
                        struct oper_measure *m, struct error *err)
{
    uint32_t n_sorts = plan->n_sorts;
    *m = (struct oper_measure){.filter = -1};
    m->call.name = plan->name;
    if (plan->n_args > AGG_ARGS_MAX)
        return error_set(err, ST_UNSUPPORTED, "%s with more than %d arguments", plan->name, AGG_ARGS_MAX);
    m->sorts = calloc(n_sorts + 1, sizeof *m->sorts);
    m->sort_specs = calloc(n_sorts + 1, sizeof *m->sort_specs);
    m->sort_fields = calloc(n_sorts + 1, sizeof *m->sort_fields);
    if (!m->sorts || !m->sort_specs || !m->sort_fields)
        return error_no_memory(err, n_sorts * sizeof *m->sorts);
    m->call.n_args = plan->n_args;
    m->call.distinct = plan->distinct;
    m->call.grouped = grouped;
    for (uint32_t k = 0; k < plan->n_args; k++) {
        m->args[k] = inputs->column;
        m->call.constants[k] = inputs->literal ? column_ref(inputs->literal) : NULL;
        inputs++;
        m->call.args[k] = input->fields[m->args[k]]->type;
        m->call.as_float = cast_of_sum(plan, plan->args[k]) && type_is_integer(m->call.args[k]); /* bind_input() left the cast out */
    }
    m->call.n_sorts = n_sorts;
    for (uint32_t k = 0; k < n_sorts; k++) {
        m->sorts[k] = inputs++->column;
        m->sort_specs[k] = binder_sort_spec(plan->sorts[k].direction);
        m->sort_fields[k] = field_ref(input->fields[m->sorts[k]]);
    }
    m->call.sorts = m->sort_specs;
    m->call.sort_fields = m->sort_fields;
    if (plan->filter) {
        m->filter = (int32_t)inputs->column;
        if (input->fields[m->filter]->type->id != TYPE_BOOL)
            return error_set(err, ST_PLAN_QUERY, "the FILTER of %s is not Boolean", plan->name);
    }
    TRY(agg_call_resolve(&m->call, err));
    TRY(check_distinct_order(m, input, err));
    if (m->call.function->ordered)
        return ST_OK;
    for (uint32_t k = 0; k < n_sorts; k++)
        field_unref(m->sort_fields[k]);
    m->call.n_sorts = 0; /* the order of rows does not matter to it */
    return ST_OK;
}

/* `name(args)`, as DataFusion calls the column. */
static int measure_field(const struct oper_measure *m, const struct schema *input, struct field **ret_field, struct error *err)
{
    struct dynbuf name;
    dynbuf_init(&name, 1 << 16);
    int st = dynbuf_printf(&name, err, "%s(%s", m->call.name, m->call.distinct ? "DISTINCT " : "");
    for (uint32_t k = 0; st == ST_OK && k < m->call.n_args; k++)
        st = dynbuf_printf(&name, err, "%s%s", k ? "," : "", input->fields[m->args[k]]->name);
    if (st == ST_OK)
        st = dynbuf_printf(&name, err, ")");
    if (st == ST_OK)
        st = dynbuf_append_byte(&name, 0, err);
    if (st == ST_OK) {
        *ret_field = field_new((const char *)name.data, m->call.result, m->call.nullable);
        st = *ret_field ? ST_OK : error_no_memory(err, name.size);
    }
    dynbuf_release(&name);
    return st;
}

static int aggregate_schema(struct binder *b, const struct plan_rel *rel, const struct agg_input *inputs, const struct oper_measure *measures,
                            const struct schema *input, struct schema **ret_schema, struct error *err)
{
    uint32_t n = 0, keys = rel->n_exprs;
    bool sets = rel->n_groupings > 1;
    struct field **fields = ARENA_ARRAY(b->arena, (size_t)keys + 1 + rel->n_measures, struct field *, err);
    int st = fields ? ST_OK : ST_NO_MEMORY;
    for (; st == ST_OK && n < keys; n += st == ST_OK) {
        struct field *f = input->fields[inputs[n].column];
        fields[n] = field_ref(f);
        if (sets && !f->nullable) {
            struct field *nullable = field_new(f->name, f->type, true);
            fields[n] = nullable ? field_with_meta(nullable, f->meta, f->n_meta) : NULL;
            field_unref(f);
            if (nullable)
                field_unref(nullable);
            if (!fields[n])
                st = error_no_memory(err, sizeof *f);
        }
    }
    if (st == ST_OK && sets) {
        enum type_id id = keys <= 8 ? TYPE_UINT8 : keys <= 16 ? TYPE_UINT16 : keys <= 32 ? TYPE_UINT32 : TYPE_UINT64;
        fields[n] = field_new("__grouping_id", type_of(id), false);
        st = fields[n] ? ST_OK : error_no_memory(err, sizeof **fields);
        n += st == ST_OK;
    }
    for (uint32_t i = 0; st == ST_OK && i < rel->n_measures; i++) {
        st = measure_field(&measures[i], input, &fields[n], err);
        n += st == ST_OK;
    }
    if (st == ST_OK)
        st = binder_schema(fields, n, ret_schema, err);
    for (uint32_t i = 0; fields && i < n; i++)
        field_unref(fields[i]);
    return st;
}

static bool is_key_column(const struct table *t, int32_t column)
{
    for (uint32_t i = 0; i < t->n_key; i++)
        if ((int32_t)t->key[i] == column)
            return true;
    return false;
}

/* Whether the newest row of each series gives the measure its value: last_value by time, or the latest time itself. */
static bool is_of_last_rows(const struct oper_measure *m, const struct bound *in)
{
    int32_t time = in->table->time_index;
    if (m->filter >= 0 || m->call.distinct)
        return false;
    if (strcmp(m->call.function->name, "max") == 0)
        return in->source[m->args[0]] == time;
    return strcmp(m->call.function->name, "last_value") == 0 && m->call.n_sorts == 1 && !m->sort_specs[0].descending &&
           in->source[m->sorts[0]] == time;
}

/* Does the newest row of each series suffice (query-plans.md 4.6)? `in` is the aggregation's input. */
static bool wants_last_rows(const struct plan_rel *rel, const struct bound *in, const struct agg_input *inputs, const struct oper_measure *measures,
                            bool *ret_as_peer)
{
    const struct table *t = in->table;
    if (!in->scan || in->filtered_computed || rel->n_groupings > 1 || !rel->n_measures || t->time_index < 0)
        return false;
    *ret_as_peer = true; /* which knows last_value only */
    for (uint32_t i = 0; i < rel->n_measures; i++) {
        if (!is_of_last_rows(&measures[i], in))
            return false;
        *ret_as_peer &= measures[i].call.n_sorts == 1;
    }
    for (uint32_t k = 0; k < rel->n_exprs; k++)
        if (!is_key_column(t, in->source[inputs[k].column]))
            return false;
    for (uint32_t c = 0; c < t->schema->n_fields; c++) {
        bool grouped = false;
        for (uint32_t k = 0; k < rel->n_exprs; k++)
            grouped |= in->source[inputs[k].column] == (int32_t)c;
        if (in->filtered[c] && !grouped)
            return false;
    }
    return true;
}

static int grouping_sets(struct binder *b, const struct plan_rel *rel, uint8_t **ret_sets, struct error *err)
{
    uint32_t n = rel->n_exprs;
    if (n > 64)
        return error_set(err, ST_UNSUPPORTED, "grouping sets over more than 64 keys");
    uint8_t *sets = ARENA_ARRAY(b->arena, (size_t)rel->n_groupings * n + 1, uint8_t, err);
    if (!sets)
        return ST_NO_MEMORY;
    for (uint32_t s = 0; s < rel->n_groupings; s++)
        for (uint32_t k = 0; k < rel->groupings[s].n_keys; k++) {
            if (rel->groupings[s].keys[k] >= n)
                return error_set(err, ST_PLAN_QUERY, "a grouping names key %u of %u", rel->groupings[s].keys[k], n);
            sets[(size_t)s * n + rel->groupings[s].keys[k]] = 1;
        }
    *ret_sets = sets;
    return ST_OK;
}

/* Keys, arguments and sort keys of an aggregation cannot be range vectors. */
static int no_ranges(const struct schema *input, const struct agg_input *inputs, uint32_t n, struct error *err)
{
    for (uint32_t i = 0; i < n; i++)
        if (input->fields[inputs[i].column]->type->id == TYPE_RANGE)
            return error_set(err, ST_PLAN_QUERY, "an aggregation over the range vector %s", input->fields[inputs[i].column]->name);
    return ST_OK;
}

int bind_aggregate(struct binder *b, struct plan_rel *rel, struct bound *ret, struct error *err)
{
    struct plan_expr **plans;
    const struct plan_expr **uncast;
    struct oper_aggregate_spec spec = {.n_keys = rel->n_exprs, .n_sets = rel->n_groupings > 1 ? rel->n_groupings : 1};
    uint32_t n, made = 0;
    uint8_t *sets = NULL;
    TRY(collect_exprs(b, rel, &plans, &uncast, &n, err));
    if (rel->n_groupings > 1)
        TRY(grouping_sets(b, rel, &sets, err));
    TRY(bind_rel(b, rel->input, -1, ret, err));
    TRY(binder_drop_series(b, ret, err));
    struct agg_input *inputs = ARENA_ARRAY(b->arena, n + 1, struct agg_input, err);
    uint32_t *keys = ARENA_ARRAY(b->arena, rel->n_exprs + 1, uint32_t, err), at = rel->n_exprs;
    bool *forward = ARENA_ARRAY(b->arena, rel->n_exprs + 1, bool, err);
    if (!inputs || !keys || !forward)
        return ST_NO_MEMORY;
    TRY(project_inputs(b, ret, plans, uncast, n, inputs, err));
    for (uint32_t k = 0; k < rel->n_exprs; k++)
        keys[k] = inputs[k].column;
    TRY(no_ranges(ret->oper->schema, inputs, n, err));
    const struct schema *input = ret->oper->schema;
    struct oper_measure *measures = calloc(rel->n_measures + 1, sizeof *measures);
    int st = measures ? ST_OK : error_no_memory(err, rel->n_measures * sizeof *measures);
    for (; st == ST_OK && made < rel->n_measures; made++) {
        const struct plan_measure *m = &rel->measures[made];
        st = bind_measure(m, inputs + at, input, rel->n_exprs > 0, &measures[made], err);
        at += m->n_args + m->n_sorts + (m->filter != NULL);
    }
    if (st == ST_OK)
        st = aggregate_schema(b, rel, inputs, measures, input, &spec.schema, err);
    if (st != ST_OK) {
        for (uint32_t i = 0; i < made; i++)
            oper_measure_release(&measures[i]);
        free(measures);
        return st;
    }
    bool as_peer;
    if (wants_last_rows(rel, ret, inputs, measures, &as_peer))
        oper_scan_set_last_row(ret->scan, as_peer);
    if (!sets && binder_group_order(ret, keys, rel->n_exprs, forward))
        spec.forward = forward;
    spec.keys = keys;
    spec.sets = sets;
    spec.measures = measures;
    spec.n_measures = rel->n_measures;
    struct oper *below = ret->oper;
    struct schema *schema = spec.schema;
    ret->oper = NULL;
    ret->scan = NULL;
    ret->source = ARENA_ARRAY(b->arena, schema->n_fields + 1, int32_t, err);
    for (uint32_t i = 0; ret->source && i < schema->n_fields; i++)
        ret->source[i] = NO_COLUMN;
    st = oper_aggregate_new(below, &spec, &ret->oper, err);
    schema_unref(schema);
    return st == ST_OK && !ret->source ? ST_NO_MEMORY : st;
}
