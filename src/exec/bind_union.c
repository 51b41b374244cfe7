/* Binding of virtual tables and of unions. */
#include <stdlib.h>

#include "exec/bind_internal.h"

/* An expression without columns as a column of one row, cast to `type` unless it is NULL. */
int binder_constant(struct binder *b, const struct plan_expr *plan, struct dtype *type, struct column **ret_column, struct error *err)
{
    struct expr_context ctx = {
        .budget = b->options->work ? b->options->work->budget : NULL, .work = b->options->work, .timezone = b->options->timezone};
    struct schema *none = NULL;
    struct batch *row = NULL;
    struct expr *e = NULL;
    struct column *value = NULL;
    int st = binder_schema(NULL, 0, &none, err);
    if (st == ST_OK)
        st = batch_new(none, 1, NULL, &row, err);
    if (st == ST_OK)
        st = binder_expr(b, plan, none, &e, err);
    if (st == ST_OK)
        st = expr_eval(e, &ctx, row, &value, err);
    if (st == ST_OK && type)
        st = expr_cast(&ctx, value, type, false, ret_column, err);
    else if (st == ST_OK)
        *ret_column = column_ref(value);
    column_unref(value);
    expr_release(e);
    batch_unref(row);
    schema_unref(none);
    return st;
}

/* Column `which` of a virtual table. */
static int values_column(struct binder *b, const struct plan_rel *rel, uint32_t which, struct column **ret_column, struct error *err)
{
    struct budget *budget = b->options->work ? b->options->work->budget : NULL;
    uint32_t made = 0;
    struct column **parts = ARENA_ARRAY(b->arena, (size_t)rel->n_rows + 1, struct column *, err);
    int st = parts ? ST_OK : ST_NO_MEMORY;
    if (st == ST_OK && rel->n_rows == 0)
        return column_new_nulls(budget, rel->column_types[which], 0, ret_column, err);
    for (; st == ST_OK && made < rel->n_rows; made += st == ST_OK)
        st = binder_constant(b, rel->exprs[(size_t)made * rel->n_columns + which], rel->column_types[which], &parts[made], err);
    if (st == ST_OK)
        st = column_concat(budget, parts, rel->n_rows, ret_column, err);
    for (uint32_t i = 0; i < made; i++)
        column_unref(parts[i]);
    return st;
}

static int values_batch(struct binder *b, const struct plan_rel *rel, struct batch **ret_batch, struct error *err)
{
    uint32_t n = rel->n_columns, fields_made = 0, made = 0;
    struct field **fields = ARENA_ARRAY(b->arena, (size_t)n + 1, struct field *, err);
    struct column **columns = ARENA_ARRAY(b->arena, (size_t)n + 1, struct column *, err);
    struct schema *schema = NULL;
    int st = fields && columns ? ST_OK : ST_NO_MEMORY;
    for (; st == ST_OK && fields_made < n; fields_made += st == ST_OK) {
        fields[fields_made] = field_new(rel->column_names[fields_made], rel->column_types[fields_made], true);
        st = fields[fields_made] ? ST_OK : error_no_memory(err, sizeof **fields);
    }
    if (st == ST_OK)
        st = binder_schema(fields, n, &schema, err);
    for (; st == ST_OK && made < n; made += st == ST_OK)
        st = values_column(b, rel, made, &columns[made], err);
    if (st == ST_OK)
        st = batch_new(schema, rel->n_rows, columns, ret_batch, err);
    else
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    for (uint32_t i = 0; i < fields_made; i++)
        field_unref(fields[i]);
    schema_unref(schema);
    return st;
}

int bind_values(struct binder *b, struct plan_rel *rel, struct bound *ret, struct error *err)
{
    uint32_t n = rel->n_columns;
    struct batch *batch;
    uint32_t *all = ARENA_ARRAY(b->arena, (size_t)n + 1, uint32_t, err);
    ret->source = ARENA_ARRAY(b->arena, (size_t)n + 1, int32_t, err);
    if (!all || !ret->source)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        all[i] = i;
        ret->source[i] = NO_COLUMN;
    }
    TRY(values_batch(b, rel, &batch, err));
    int st = oper_values_new(b->options->work, batch, &ret->oper, err);
    batch_unref(batch);
    TRY(st);
    if (rel->filter)
        TRY(binder_filter(b, ret, rel->filter, all, n, err));
    return rel->has_projection ? binder_pick(b, ret, rel->projection, rel->n_projection, err) : ST_OK;
}

/* The fields of a union: the first input's, nullable where any input's is. */
static int union_schema(struct binder *b, struct oper *const *inputs, uint32_t n, struct schema **ret_schema, struct error *err)
{
    const struct schema *first = inputs[0]->schema;
    uint32_t made = 0;
    char one[96], other[96];
    struct field **fields = ARENA_ARRAY(b->arena, (size_t)first->n_fields + 1, struct field *, err);
    int st = fields ? ST_OK : ST_NO_MEMORY;
    for (; st == ST_OK && made < first->n_fields; made += st == ST_OK) {
        const struct field *f = first->fields[made];
        bool nullable = f->nullable;
        for (uint32_t i = 1; st == ST_OK && i < n; i++) {
            const struct field *g = inputs[i]->schema->fields[made];
            nullable |= g->nullable;
            if (!type_equal(f->type, g->type, false))
                st = error_set(err, ST_PLAN_QUERY, "column %u of a union is %s and %s", made, type_print(f->type, one, sizeof one),
                               type_print(g->type, other, sizeof other));
        }
        if (st == ST_OK && !(fields[made] = field_new(f->name, f->type, nullable)))
            st = error_no_memory(err, sizeof *f);
    }
    if (st == ST_OK)
        st = binder_schema(fields, first->n_fields, ret_schema, err);
    for (uint32_t i = 0; i < made; i++)
        field_unref(fields[i]);
    return st;
}

/* UNION ALL; the pruning has checked that the inputs are equally wide. */
int bind_union(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    uint32_t n = rel->n_others + 1, made = 0;
    struct oper **inputs = ARENA_ARRAY(b->arena, n, struct oper *, err);
    struct schema *schema;
    int st = inputs ? ST_OK : ST_NO_MEMORY;
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        struct bound in = {0};
        st = bind_rel(b, made ? rel->others[made - 1] : rel->input, limit, &in, err);
        if (st == ST_OK)
            st = binder_drop_series(b, &in, err);
        if (st == ST_OK)
            inputs[made] = in.oper;
        else
            oper_free(in.oper);
    }
    if (st == ST_OK)
        st = union_schema(b, inputs, n, &schema, err);
    if (st != ST_OK) {
        for (uint32_t i = 0; i < made; i++)
            oper_free(inputs[i]);
        return st;
    }
    ret->source = ARENA_ARRAY(b->arena, (size_t)schema->n_fields + 1, int32_t, err);
    for (uint32_t i = 0; ret->source && i < schema->n_fields; i++)
        ret->source[i] = NO_COLUMN;
    st = oper_union_new(inputs, n, schema, &ret->oper, err);
    schema_unref(schema);
    return st == ST_OK && !ret->source ? ST_NO_MEMORY : st;
}
