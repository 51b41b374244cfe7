/* Binding of relations.
 *
 * Bottom-up, each relation becomes one or a few operators. `struct bound` (exec/bind_internal.h) carries along what the optimisations need. Top-down
 * goes only a row limit: FETCH hands it to a SORT below (top-k) or to the scan. Here are the dispatch, the plan as a whole and what all relations
 * share; reads, unions, orders and aggregations have files of their own.
 */
#include "exec/bind.h"

#include <string.h>

#include "exec/bind_internal.h"
#include "exec/bind_series.h"
#include "exec/oper_compute.h"
#include "exec/prune.h"

enum { NAME_BYTES_MAX = 1 << 14 };

bool binder_has_window(const struct plan_expr *e)
{
    if (e->kind == PLAN_OTHER && e->name && strstr(e->name, "window"))
        return true;
    for (uint32_t i = 0; i < e->n_args; i++)
        if (binder_has_window(e->args[i]))
            return true;
    return false;
}

int binder_expr(struct binder *b, const struct plan_expr *e, const struct schema *input, struct expr **ret_expr, struct error *err)
{
    if (binder_has_window(e))
        return error_set(err, ST_UNSUPPORTED, "window functions are not supported");
    return expr_bind(e, input, b->options->timezone, b->arena, ret_expr, err);
}

int binder_column(struct binder *b, uint32_t column, const struct schema *input, struct expr **ret_expr, struct error *err)
{
    struct plan_expr *e = ARENA_NEW(b->arena, struct plan_expr, err);
    if (!e)
        return ST_NO_MEMORY;
    e->kind = PLAN_FIELD;
    e->field = column;
    return expr_bind(e, input, b->options->timezone, b->arena, ret_expr, err);
}

/* The field of an expression: the input's own for a plain column, else named by its text. One reference. */
static int expr_field(const struct expr *e, const struct schema *input, struct field **ret_field, struct error *err)
{
    struct dynbuf name;
    if (expr_column(e) >= 0) {
        *ret_field = field_ref(input->fields[expr_column(e)]);
        return ST_OK;
    }
    dynbuf_init(&name, NAME_BYTES_MAX);
    int st = expr_print(e, input, false, &name, err);
    if (st == ST_OK)
        st = dynbuf_append_byte(&name, 0, err);
    if (st == ST_OK || st == ST_EXHAUSTED) {
        *ret_field = field_new(st == ST_OK ? (const char *)name.data : "(a long expression)", expr_type(e), expr_nullable(e));
        st = *ret_field ? ST_OK : error_no_memory(err, name.size);
    }
    dynbuf_release(&name);
    return st;
}

int binder_schema(struct field **fields, uint32_t n, struct schema **ret_schema, struct error *err)
{
    *ret_schema = schema_new(fields, n);
    return *ret_schema ? ST_OK : error_no_memory(err, n * sizeof *fields);
}

static bool rises_with_time(const struct bound *in, const struct expr *e)
{
    int column = in->scan && in->table->time_index >= 0 ? expr_rises_with(e) : -1;
    return column >= 0 && (in->source[column] == in->table->time_index || in->source[column] == RISES_WITH_TIME);
}

/* Projects the input to the expressions (taken, also on failure; room for one more); `in` is the bound input and becomes the bound output. */
int binder_project(struct binder *b, struct bound *in, struct expr **exprs, uint32_t n, struct error *err)
{
    const struct schema *input = in->oper->schema;
    struct field **fields = ARENA_ARRAY(b->arena, (size_t)n + 1, struct field *, err);
    int32_t *source = ARENA_ARRAY(b->arena, (size_t)n + 1, int32_t, err);
    struct schema *schema = NULL;
    uint32_t made = 0;
    bool identity = n == bound_width(in);
    int st = fields && source ? ST_OK : ST_NO_MEMORY;
    if (st == ST_OK && in->series)
        st = binder_column(b, bound_width(in), input, &exprs[n], err);
    n += st == ST_OK && in->series;
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        int column = expr_column(exprs[made]);
        source[made] = column >= 0 ? in->source[column] : rises_with_time(in, exprs[made]) ? RISES_WITH_TIME : NO_COLUMN;
        identity &= column == (int)made;
        st = expr_field(exprs[made], input, &fields[made], err);
    }
    if (st == ST_OK && !identity)
        st = binder_schema(fields, n, &schema, err);
    for (uint32_t i = 0; i < made; i++)
        field_unref(fields[i]);
    if (st != ST_OK || identity) {
        for (uint32_t i = 0; i < n; i++)
            expr_release(exprs[i]);
        return st;
    }
    struct oper *input_oper = in->oper;
    in->oper = NULL;
    in->source = source;
    st = oper_project_new(input_oper, exprs, n, schema, b->options->timezone, &in->oper, err);
    schema_unref(schema);
    return st;
}

int binder_pick(struct binder *b, struct bound *in, const uint32_t *columns, uint32_t n, struct error *err)
{
    uint32_t width = bound_width(in);
    bool identity = n == width;
    int32_t *source = ARENA_ARRAY(b->arena, (size_t)n + 1, int32_t, err);
    uint32_t *picked = ARENA_ARRAY(b->arena, (size_t)n + 1, uint32_t, err);
    if (!source || !picked)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        if (columns[i] >= width)
            return error_set(err, ST_PLAN_QUERY, "emit names column %u of %u", columns[i], width);
        identity &= columns[i] == i;
        source[i] = in->source[columns[i]];
        picked[i] = columns[i];
    }
    if (identity)
        return ST_OK;
    picked[n] = width;
    source[n] = NO_COLUMN;
    struct oper *input = in->oper;
    in->oper = NULL;
    in->source = source;
    return oper_pick_new(input, picked, n + in->series, &in->oper, err);
}

/* For relations that do not keep series together. */
int binder_drop_series(struct binder *b, struct bound *in, struct error *err)
{
    uint32_t n = bound_width(in);
    uint32_t *columns = ARENA_ARRAY(b->arena, (size_t)n + 1, uint32_t, err);
    if (!in->series)
        return ST_OK;
    if (!columns)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++)
        columns[i] = i;
    struct oper *input = in->oper;
    in->oper = NULL;
    in->series = false;
    return oper_pick_new(input, columns, n, &in->oper, err);
}

/* ---- PromQL ---- */

/* Only the filters below the nodes become hints of the scan. */
static int bind_extension(struct binder *b, struct plan_rel *rel, struct bound *ret, struct error *err)
{
    TRY(bind_rel(b, rel->input, -1, ret, err));
    struct oper *input = ret->oper;
    ret->oper = NULL;
    ret->scan = NULL;
    TRY(bind_series(rel, input, &ret->series, &ret->oper, err));
    uint32_t n = ret->oper->schema->n_fields;
    ret->source = ARENA_ARRAY(b->arena, n, int32_t, err);
    for (uint32_t i = 0; ret->source && i < n; i++)
        ret->source[i] = NO_COLUMN;
    return ret->source ? ST_OK : ST_NO_MEMORY;
}

/* ---- dispatch ---- */

static int bind_direct(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    switch (rel->kind) {
    case PLAN_READ:
        return bind_read(b, rel, limit, ret, err);
    case PLAN_VALUES:
        return bind_values(b, rel, ret, err);
    case PLAN_UNION:
        return bind_union(b, rel, limit, ret, err);
    case PLAN_PROJECT:
        return bind_project(b, rel, limit, ret, err);
    case PLAN_SORT:
        return bind_sort(b, rel, limit, ret, err);
    case PLAN_FETCH:
        return bind_fetch(b, rel, limit, ret, err);
    case PLAN_AGGREGATE:
        return bind_aggregate(b, rel, ret, err);
    case PLAN_EXTENSION:
        return bind_extension(b, rel, ret, err);
    default:
        return error_set(err, ST_UNEXPECTED, "relation '%s' is not supported", rel->name ? rel->name : "?");
    }
}

static int bind_filter(struct binder *b, struct plan_rel *rel, struct bound *ret, struct error *err)
{
    TRY(bind_rel(b, rel->input, -1, ret, err));
    uint32_t n = rel->has_emit ? rel->n_emit : bound_width(ret);
    uint32_t *emit = rel->emit;
    if (!rel->has_emit) {
        emit = ARENA_ARRAY(b->arena, n ? n : 1, uint32_t, err);
        if (!emit)
            return ST_NO_MEMORY;
        for (uint32_t i = 0; i < n; i++)
            emit[i] = i;
    }
    return binder_filter(b, ret, rel->filter, emit, n, err);
}

int bind_rel(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    if (rel->kind == PLAN_FILTER)
        return bind_filter(b, rel, ret, err);
    TRY(bind_direct(b, rel, limit, ret, err));
    if (rel->kind == PLAN_PROJECT || !rel->has_emit)
        return ST_OK;
    return binder_pick(b, ret, rel->emit, rel->n_emit, err);
}

/* The first table scan, depth first; NULL = none. Checks on its way that no FETCH asks for a window function. */
static int find_read(const struct plan_rel *rel, const struct plan_rel **ret_read, struct error *err)
{
    if (rel->kind == PLAN_FETCH && ((rel->offset && binder_has_window(rel->offset)) || (rel->count && binder_has_window(rel->count))))
        return error_set(err, ST_UNSUPPORTED, "This feature is not implemented: Unsupported LIMIT expression: a window function");
    if (rel->kind == PLAN_READ && !*ret_read)
        *ret_read = rel;
    if (rel->input)
        TRY(find_read(rel->input, ret_read, err));
    for (uint32_t i = 0; i < rel->n_others; i++)
        TRY(find_read(rel->others[i], ret_read, err));
    return ST_OK;
}

int bind_plan(struct plan *plan, const struct query_options *options, struct arena *arena, struct oper **ret_root, struct error *err)
{
    struct binder b = {.options = options, .arena = arena};
    struct bound bound = {0};
    uint32_t width;
    const struct plan_rel *read = NULL;
    TRY(find_read(plan->root, &read, err));
    TRY(plan_rel_width(plan->root, &width, err));
    if (read)
        TRY(options->resolve(options->resolve_ctx, read->name, &b.table, err));
    int st = plan_prune(plan->root, read, b.table, arena, err);
    if (st == ST_OK)
        st = bind_rel(&b, plan->root, -1, &bound, err);
    if (st == ST_OK)
        st = binder_drop_series(&b, &bound, err);
    table_free(b.table);
    if (st == ST_OK)
        *ret_root = bound.oper;
    else
        oper_free(bound.oper);
    return st;
}
