/* Binding of relations.
 *
 * Bottom-up, each relation becomes one or a few operators. `struct bound` carries along what the optimisations need: which output columns are
 * plain table columns (predicates of filters above become hints for the scan), and which table columns have been filtered on (for the
 * newest-row-of-each-series hint). Top-down goes only a row limit: FETCH hands it to a SORT below (top-k) or to the scan.
 */
#include "exec/bind.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "exec/bind_series.h"
#include "exec/oper_compute.h"
#include "exec/prune.h"

enum { NAME_BYTES_MAX = 1 << 14, NO_COLUMN = -1, PREDICATES_MAX = 64, TOPK_MAX = 1 << 24 };

struct binder {
    const struct query_options *options;
    struct arena *arena;
    struct table *table; /* resolved and not yet given to a scan */
};

struct bound {
    struct oper *oper;
    struct oper *scan;   /* NULL once hints may not pass any more */
    struct table *table; /* the scan's */
    int32_t *source;     /* a table column per output column, or NO_COLUMN; arena */
    bool *filtered;      /* table columns that filters read; arena */
    bool filtered_computed; /* a filter read something that is no table column */
    bool series;         /* the operator's last column holds series numbers (exec/oper_series.h): no output of the relation, but carried along */
};

/* Columns of the relation. */
static uint32_t width_of(const struct bound *in)
{
    return in->oper->schema->n_fields - in->series;
}

static int bind_rel(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err);

static bool has_window(const struct plan_expr *e)
{
    if (e->kind == PLAN_OTHER && e->name && strstr(e->name, "window"))
        return true;
    for (uint32_t i = 0; i < e->n_args; i++)
        if (has_window(e->args[i]))
            return true;
    return false;
}

static int bind_expr(struct binder *b, const struct plan_expr *e, const struct schema *input, struct expr **ret_expr, struct error *err)
{
    if (has_window(e))
        return error_set(err, ST_UNSUPPORTED, "window functions are not supported");
    return expr_bind(e, input, b->options->timezone, b->arena, ret_expr, err);
}

static int bind_column(struct binder *b, uint32_t column, const struct schema *input, struct expr **ret_expr, struct error *err)
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

static int make_schema(struct field **fields, uint32_t n, struct schema **ret_schema, struct error *err)
{
    *ret_schema = schema_new(fields, n);
    return *ret_schema ? ST_OK : error_no_memory(err, n * sizeof *fields);
}

/* Projects the input to the expressions (taken, also on failure; room for one more); `in` is the bound input and becomes the bound output. */
static int project(struct binder *b, struct bound *in, struct expr **exprs, uint32_t n, struct error *err)
{
    const struct schema *input = in->oper->schema;
    struct field **fields = ARENA_ARRAY(b->arena, (size_t)n + 1, struct field *, err);
    int32_t *source = ARENA_ARRAY(b->arena, (size_t)n + 1, int32_t, err);
    struct schema *schema = NULL;
    uint32_t made = 0;
    bool identity = n == width_of(in);
    int st = fields && source ? ST_OK : ST_NO_MEMORY;
    if (st == ST_OK && in->series)
        st = bind_column(b, width_of(in), input, &exprs[n], err);
    n += st == ST_OK && in->series;
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        int column = expr_column(exprs[made]);
        source[made] = column >= 0 ? in->source[column] : NO_COLUMN;
        identity &= column == (int)made;
        st = expr_field(exprs[made], input, &fields[made], err);
    }
    if (st == ST_OK && !identity)
        st = make_schema(fields, n, &schema, err);
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

static int pick(struct binder *b, struct bound *in, const uint32_t *columns, uint32_t n, struct error *err)
{
    uint32_t width = width_of(in);
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
static int drop_series(struct binder *b, struct bound *in, struct error *err)
{
    uint32_t n = width_of(in);
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

/* ---- read ---- */

/* The peer's loose comparison of a plan's and a table's column types. */
static bool loosely_equal(const struct dtype *a, const struct dtype *b)
{
    a = type_values(a);
    b = type_values(b);
    if (type_is_string(a) || type_is_binary(a))
        return type_is_string(a) ? type_is_string(b) : type_is_binary(b);
    if (a->id == b->id)
        return a->id != TYPE_LIST || a->n_children != 1 || b->n_children != 1 || loosely_equal(a->children[0]->type, b->children[0]->type);
    return (a->id == TYPE_DECIMAL128 || a->id == TYPE_DECIMAL256) && (b->id == TYPE_DECIMAL128 || b->id == TYPE_DECIMAL256);
}

static int base_columns(const struct plan_rel *rel, const struct table *t, uint32_t *columns, struct error *err)
{
    char a[96], c[96];
    for (uint32_t i = 0; i < rel->n_columns; i++) {
        int at = schema_find(t->schema, rel->column_names[i]);
        if (at < 0)
            return error_set(err, ST_UNEXPECTED, "column '%s' of the plan is not in table '%s'", rel->column_names[i], rel->name);
        if (!loosely_equal(rel->column_types[i], t->schema->fields[at]->type))
            return error_set(err, ST_UNEXPECTED, "column '%s' is %s in the plan and %s in the table", rel->column_names[i],
                             type_print(rel->column_types[i], a, sizeof a), type_print(t->schema->fields[at]->type, c, sizeof c));
        columns[i] = (uint32_t)at;
    }
    return ST_OK;
}

static int add_predicates(struct bound *in, const struct expr *condition, struct error *err)
{
    struct scan_predicate found[PREDICATES_MAX];
    uint32_t n = 0;
    bool used[1024] = {0};
    uint32_t width = in->oper->schema->n_fields;
    if (!in->scan || width > 1024) {
        in->filtered_computed = true;
        return ST_OK;
    }
    expr_columns_used(condition, used);
    for (uint32_t i = 0; i < width; i++) {
        if (used[i] && in->source[i] == NO_COLUMN)
            in->filtered_computed = true;
        else if (used[i])
            in->filtered[in->source[i]] = true;
    }
    expr_predicates(condition, in->oper->schema, found, PREDICATES_MAX, &n);
    for (uint32_t i = 0; i < n; i++) {
        int32_t source = in->source[found[i].column];
        if (source == NO_COLUMN)
            continue;
        found[i].column = (uint32_t)source;
        TRY(oper_scan_add_predicate(in->scan, &found[i], err));
    }
    return ST_OK;
}

/* Filters `in` by a condition over its columns and keeps only emit[0..n). */
static int filter(struct binder *b, struct bound *in, const struct plan_expr *condition, const uint32_t *emit, uint32_t n, struct error *err)
{
    struct expr *e = NULL;
    char text[96];
    uint32_t width = width_of(in);
    struct field **fields = ARENA_ARRAY(b->arena, (size_t)n + 1, struct field *, err);
    int32_t *source = ARENA_ARRAY(b->arena, (size_t)n + 1, int32_t, err);
    uint32_t *kept = ARENA_ARRAY(b->arena, (size_t)n + 1, uint32_t, err);
    struct schema *schema = NULL;
    if (!fields || !source || !kept)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        if (emit[i] >= width)
            return error_set(err, ST_PLAN_QUERY, "emit names column %u of %u", emit[i], width);
        kept[i] = emit[i];
    }
    if (in->series)
        kept[n++] = width;
    for (uint32_t i = 0; i < n; i++) {
        fields[i] = in->oper->schema->fields[kept[i]];
        source[i] = in->source[kept[i]];
    }
    TRY(bind_expr(b, condition, in->oper->schema, &e, err));
    int st = ST_OK;
    if (expr_type(e)->id != TYPE_BOOL && expr_type(e)->id != TYPE_NULL)
        st = error_set(err, ST_PLAN_QUERY, "a filter's condition is %s, not Boolean", type_print(expr_type(e), text, sizeof text));
    if (st == ST_OK)
        st = add_predicates(in, e, err);
    if (st == ST_OK)
        st = make_schema(fields, n, &schema, err);
    if (st != ST_OK) {
        expr_release(e);
        return st;
    }
    struct oper *input = in->oper;
    in->oper = NULL;
    in->source = source;
    st = oper_filter_new(input, e, kept, n, schema, b->options->timezone, &in->oper, err);
    schema_unref(schema);
    return st;
}

static void mark_fields(const struct plan_expr *e, bool *used, uint32_t n)
{
    if (e->kind == PLAN_FIELD && e->field < n)
        used[e->field] = true;
    for (uint32_t i = 0; i < e->n_args; i++)
        mark_fields(e->args[i], used, n);
}

static void renumber_fields(struct plan_expr *e, const uint32_t *map, uint32_t n)
{
    if (e->kind == PLAN_FIELD)
        e->field = e->field < n ? map[e->field] : UINT32_MAX;
    for (uint32_t i = 0; i < e->n_args; i++)
        renumber_fields(e->args[i], map, n);
}

static int open_scan(struct binder *b, const struct plan_rel *rel, const uint32_t *columns, uint32_t n, int64_t limit, struct bound *ret,
                     struct error *err)
{
    const struct query_options *o = b->options;
    struct table *t = b->table;
    struct field **fields = ARENA_ARRAY(b->arena, n ? n : 1, struct field *, err);
    struct schema *schema;
    ret->source = ARENA_ARRAY(b->arena, n ? n : 1, int32_t, err);
    ret->filtered = ARENA_ARRAY(b->arena, t->schema->n_fields + 1, bool, err);
    if (!fields || !ret->source || !ret->filtered)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        fields[i] = t->schema->fields[columns[i]];
        ret->source[i] = (int32_t)columns[i];
    }
    struct scan_request request = {.columns = columns, .n_columns = n, .limit = limit, .has_memtable_max_sequence = o->has_memtable_max_sequence,
                                   .memtable_max_sequence = o->memtable_max_sequence, .sst_min_sequence = o->sst_min_sequence};
    TRY(make_schema(fields, n, &schema, err));
    b->table = NULL;
    int st = oper_scan_new(o->work, t, rel->name, &request, schema, &ret->oper, err);
    schema_unref(schema);
    if (st == ST_OK) {
        ret->scan = ret->oper;
        ret->table = t;
    }
    return st;
}

static int bind_read(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    uint32_t n_base = rel->n_columns, n_out = rel->has_projection ? rel->n_projection : n_base, n = 0;
    uint32_t *base = ARENA_ARRAY(b->arena, n_base + 1, uint32_t, err), *map = ARENA_ARRAY(b->arena, n_base + 1, uint32_t, err);
    uint32_t *columns = ARENA_ARRAY(b->arena, (size_t)n_base + n_out + 1, uint32_t, err), *emit = ARENA_ARRAY(b->arena, n_out + 1, uint32_t, err);
    bool *used = ARENA_ARRAY(b->arena, n_base + 1, bool, err);
    if (!base || !map || !columns || !emit || !used)
        return ST_NO_MEMORY;
    if (!b->table) /* a union's further inputs: each has a snapshot of its own */
        TRY(b->options->resolve(b->options->resolve_ctx, rel->name, &b->table, err));
    TRY(base_columns(rel, b->table, base, err));
    for (uint32_t i = 0; i < n_out; i++) {
        uint32_t c = rel->has_projection ? rel->projection[i] : i;
        if (c >= n_base)
            return error_set(err, ST_PLAN_QUERY, "a projection names column %u of %u", c, n_base);
        map[c] = n;
        emit[i] = n;
        columns[n++] = base[c];
        used[c] = true;
    }
    if (!rel->filter)
        return open_scan(b, rel, columns, n, limit, ret, err);
    bool *wanted = ARENA_ARRAY(b->arena, n_base + 1, bool, err);
    if (!wanted)
        return ST_NO_MEMORY;
    mark_fields(rel->filter, wanted, n_base);
    for (uint32_t c = 0; c < n_base; c++) {
        if (!wanted[c] || used[c])
            continue;
        map[c] = n;
        columns[n++] = base[c];
    }
    renumber_fields(rel->filter, map, n_base);
    TRY(open_scan(b, rel, columns, n, -1, ret, err));
    return filter(b, ret, rel->filter, emit, n_out, err);
}

/* ---- virtual tables and unions ---- */

/* An expression without columns as a column of one row, cast to `type` unless it is NULL. */
static int constant_column(struct binder *b, const struct plan_expr *plan, struct dtype *type, struct column **ret_column, struct error *err)
{
    struct expr_context ctx = {.budget = b->options->work ? b->options->work->budget : NULL, .work = b->options->work, .timezone = b->options->timezone};
    struct schema *none = NULL;
    struct batch *row = NULL;
    struct expr *e = NULL;
    struct column *value = NULL;
    int st = make_schema(NULL, 0, &none, err);
    if (st == ST_OK)
        st = batch_new(none, 1, NULL, &row, err);
    if (st == ST_OK)
        st = bind_expr(b, plan, none, &e, err);
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
        st = constant_column(b, rel->exprs[(size_t)made * rel->n_columns + which], rel->column_types[which], &parts[made], err);
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
        st = make_schema(fields, n, &schema, err);
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

static int bind_values(struct binder *b, struct plan_rel *rel, struct bound *ret, struct error *err)
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
        TRY(filter(b, ret, rel->filter, all, n, err));
    return rel->has_projection ? pick(b, ret, rel->projection, rel->n_projection, err) : ST_OK;
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
        st = make_schema(fields, first->n_fields, ret_schema, err);
    for (uint32_t i = 0; i < made; i++)
        field_unref(fields[i]);
    return st;
}

/* UNION ALL; the pruning has checked that the inputs are equally wide. */
static int bind_union(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    uint32_t n = rel->n_others + 1, made = 0;
    struct oper **inputs = ARENA_ARRAY(b->arena, n, struct oper *, err);
    struct schema *schema;
    int st = inputs ? ST_OK : ST_NO_MEMORY;
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        struct bound in = {0};
        st = bind_rel(b, made ? rel->others[made - 1] : rel->input, limit, &in, err);
        if (st == ST_OK)
            st = drop_series(b, &in, err);
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

/* ---- project, sort, fetch ---- */

static int bind_project(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    TRY(bind_rel(b, rel->input, limit, ret, err));
    const struct schema *input = ret->oper->schema;
    uint32_t width = width_of(ret), direct = width + rel->n_exprs, n = rel->has_emit ? rel->n_emit : direct, made = 0;
    struct expr **exprs = ARENA_ARRAY(b->arena, (size_t)n + 1, struct expr *, err);
    int st = exprs ? ST_OK : ST_NO_MEMORY;
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        uint32_t at = rel->has_emit ? rel->emit[made] : made;
        if (at >= direct)
            st = error_set(err, ST_PLAN_QUERY, "emit names column %u of %u", at, direct);
        else if (at < width)
            st = bind_column(b, at, input, &exprs[made], err);
        else
            st = bind_expr(b, rel->exprs[at - width], input, &exprs[made], err);
    }
    if (st != ST_OK) {
        for (uint32_t i = 0; i < made; i++)
            expr_release(exprs[i]);
        return st;
    }
    return project(b, ret, exprs, n, err);
}

static struct sort_spec sort_spec_of(enum plan_sort_direction d)
{
    return (struct sort_spec){.descending = d == PLAN_DESC_NULLS_FIRST || d == PLAN_DESC_NULLS_LAST,
                              .nulls_first = d == PLAN_ASC_NULLS_FIRST || d == PLAN_DESC_NULLS_FIRST};
}

/* Extends `in` by the expressions that are no plain columns; columns[i] is where expression i ends up. */
static int append_exprs(struct binder *b, struct bound *in, struct plan_expr *const *plans, uint32_t n, uint32_t *columns, struct error *err)
{
    const struct schema *input = in->oper->schema;
    uint32_t width = input->n_fields, total = width, made = 0;
    struct expr **exprs = ARENA_ARRAY(b->arena, (size_t)width + n + 1, struct expr *, err);
    int st = exprs ? ST_OK : ST_NO_MEMORY;
    for (; st == ST_OK && made < width; made += st == ST_OK) {
        st = bind_column(b, made, input, &exprs[made], err);
    }
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        struct expr *e;
        st = bind_expr(b, plans[i], input, &e, err);
        if (st != ST_OK)
            break;
        if (expr_column(e) >= 0) {
            columns[i] = (uint32_t)expr_column(e);
            expr_release(e);
        } else {
            columns[i] = total++;
            exprs[made++] = e;
        }
    }
    if (st != ST_OK) {
        for (uint32_t i = 0; i < made; i++)
            expr_release(exprs[i]);
        return st;
    }
    return project(b, in, exprs, total, err);
}

static int bind_sort(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    struct oper_sort_key keys[32];
    struct plan_expr *exprs[32];
    uint32_t columns[32], n = rel->n_sorts;
    char text[96];
    if (n == 0)
        return bind_rel(b, rel->input, limit, ret, err);
    if (n > 32)
        return error_set(err, ST_UNSUPPORTED, "more than 32 sort keys");
    TRY(bind_rel(b, rel->input, -1, ret, err));
    TRY(drop_series(b, ret, err));
    uint32_t width = ret->oper->schema->n_fields;
    for (uint32_t i = 0; i < n; i++)
        exprs[i] = rel->sorts[i].expr;
    TRY(append_exprs(b, ret, exprs, n, columns, err));
    for (uint32_t i = 0; i < n; i++) {
        const struct dtype *t = ret->oper->schema->fields[columns[i]]->type;
        if (!sort_key_supported(t))
            return error_set(err, ST_UNSUPPORTED, "sorting by %s is not supported", type_print(t, text, sizeof text));
        keys[i] = (struct oper_sort_key){columns[i], sort_spec_of(rel->sorts[i].direction)};
    }
    struct oper *input = ret->oper;
    ret->oper = NULL;
    TRY(oper_sort_new(input, keys, n, limit > TOPK_MAX ? -1 : limit, &ret->oper, err));
    if (ret->oper->schema->n_fields == width)
        return ST_OK;
    uint32_t *first = ARENA_ARRAY(b->arena, width ? width : 1, uint32_t, err);
    if (!first)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < width; i++)
        first[i] = i;
    return pick(b, ret, first, width, err);
}

/* OFFSET and LIMIT expressions see one row without columns. NULL or nothing leaves `fallback`. */
static int constant(struct binder *b, const struct plan_expr *plan, int64_t fallback, int64_t *ret_value, struct error *err)
{
    struct column *number;
    *ret_value = fallback;
    if (!plan)
        return ST_OK;
    TRY(constant_column(b, plan, type_of(TYPE_INT64), &number, err));
    if (!column_is_null(number, 0))
        *ret_value = COLUMN_VALUES(number, int64_t)[0];
    column_unref(number);
    return ST_OK;
}

static int bind_fetch(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    int64_t offset, count, below = -1;
    TRY(constant(b, rel->offset, 0, &offset, err));
    TRY(constant(b, rel->count, -1, &count, err));
    if (offset < 0 || count < -1)
        return error_set(err, ST_PLAN_QUERY, "OFFSET and LIMIT must not be negative");
    int64_t wanted = count < 0 ? limit : limit >= 0 && limit < count ? limit : count;
    if (wanted >= 0 && wanted <= INT64_MAX / 2 && offset <= INT64_MAX / 2)
        below = wanted + offset;
    TRY(bind_rel(b, rel->input, below, ret, err));
    struct oper *input = ret->oper;
    ret->oper = NULL;
    ret->scan = NULL;
    return oper_limit_new(input, offset, count, &ret->oper, err);
}

/* ---- aggregate ---- */

/* An argument of a measure with a FILTER must not fail the query for rows that the filter drops: it is computed as CASE WHEN filter THEN arg END. */
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

/* All expressions of an aggregation in one list: keys, then for each measure arguments, sort keys, filter. */
static int collect_exprs(struct binder *b, const struct plan_rel *rel, struct plan_expr ***ret_exprs, uint32_t *ret_n, struct error *err)
{
    size_t n = rel->n_exprs;
    for (uint32_t i = 0; i < rel->n_measures; i++)
        n += rel->measures[i].n_args + rel->measures[i].n_sorts + (rel->measures[i].filter != NULL);
    struct plan_expr **exprs = ARENA_ARRAY(b->arena, n + 1, struct plan_expr *, err);
    if (!exprs)
        return ST_NO_MEMORY;
    uint32_t at = 0;
    for (uint32_t i = 0; i < rel->n_exprs; i++)
        exprs[at++] = rel->exprs[i];
    for (uint32_t i = 0; i < rel->n_measures; i++) {
        const struct plan_measure *m = &rel->measures[i];
        for (uint32_t k = 0; k < m->n_args; k++)
            TRY(guarded(b, m->args[k], m->filter, &exprs[at++], err));
        for (uint32_t k = 0; k < m->n_sorts; k++)
            exprs[at++] = m->sorts[k].expr;
        if (m->filter)
            exprs[at++] = m->filter;
    }
    *ret_exprs = exprs;
    *ret_n = at;
    return ST_OK;
}

/* An expression of an aggregation after the projection below it. */
struct agg_input {
    uint32_t column;        /* where it is */
    struct column *literal; /* its value when it is a literal; the projection's */
};

/* Projects the input to exactly the columns that the aggregation reads; inputs[i] = what became of expression i. */
static int project_inputs(struct binder *b, struct bound *in, struct plan_expr *const *plans, uint32_t n, struct agg_input *inputs, struct error *err)
{
    const struct schema *input = in->oper->schema;
    struct expr **exprs = ARENA_ARRAY(b->arena, n + 1, struct expr *, err);
    uint32_t *seen = ARENA_ARRAY(b->arena, input->n_fields + 1, uint32_t, err), made = 0;
    int st = exprs && seen ? ST_OK : ST_NO_MEMORY;
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        struct expr *e;
        st = bind_expr(b, plans[i], input, &e, err);
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
    return project(b, in, exprs, made, err);
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

static int bind_measure(const struct plan_measure *plan, const struct agg_input *inputs, const struct schema *input, struct oper_measure *m,
                        struct error *err)
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
    for (uint32_t k = 0; k < plan->n_args; k++) {
        m->args[k] = inputs->column;
        m->call.constants[k] = inputs->literal ? column_ref(inputs->literal) : NULL;
        inputs++;
        m->call.args[k] = input->fields[m->args[k]]->type;
    }
    m->call.n_sorts = n_sorts;
    for (uint32_t k = 0; k < n_sorts; k++) {
        m->sorts[k] = inputs++->column;
        m->sort_specs[k] = sort_spec_of(plan->sorts[k].direction);
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
        st = make_schema(fields, n, ret_schema, err);
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

/* Does the newest row of each series suffice (query-plans.md 4.6)? `in` is the aggregation's input. */
static bool wants_last_rows(const struct plan_rel *rel, const struct bound *in, const struct agg_input *inputs, const struct oper_measure *measures)
{
    const struct table *t = in->table;
    if (!in->scan || in->filtered_computed || rel->n_groupings > 1 || !rel->n_measures || t->time_index < 0)
        return false;
    for (uint32_t i = 0; i < rel->n_measures; i++) {
        const struct oper_measure *m = &measures[i];
        if (strcmp(m->call.function->name, "last_value") != 0 || m->call.n_sorts != 1 || m->filter >= 0 || m->call.distinct ||
            m->sort_specs[0].descending || in->source[m->sorts[0]] != t->time_index)
            return false;
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

static int bind_aggregate(struct binder *b, struct plan_rel *rel, struct bound *ret, struct error *err)
{
    struct plan_expr **plans;
    struct oper_aggregate_spec spec = {.n_keys = rel->n_exprs, .n_sets = rel->n_groupings > 1 ? rel->n_groupings : 1};
    uint32_t n, made = 0;
    uint8_t *sets = NULL;
    TRY(collect_exprs(b, rel, &plans, &n, err));
    if (rel->n_groupings > 1)
        TRY(grouping_sets(b, rel, &sets, err));
    TRY(bind_rel(b, rel->input, -1, ret, err));
    TRY(drop_series(b, ret, err));
    struct agg_input *inputs = ARENA_ARRAY(b->arena, n + 1, struct agg_input, err);
    uint32_t *keys = ARENA_ARRAY(b->arena, rel->n_exprs + 1, uint32_t, err), at = rel->n_exprs;
    if (!inputs || !keys)
        return ST_NO_MEMORY;
    TRY(project_inputs(b, ret, plans, n, inputs, err));
    for (uint32_t k = 0; k < rel->n_exprs; k++)
        keys[k] = inputs[k].column;
    TRY(no_ranges(ret->oper->schema, inputs, n, err));
    const struct schema *input = ret->oper->schema;
    struct oper_measure *measures = calloc(rel->n_measures + 1, sizeof *measures);
    int st = measures ? ST_OK : error_no_memory(err, rel->n_measures * sizeof *measures);
    for (; st == ST_OK && made < rel->n_measures; made++) {
        const struct plan_measure *m = &rel->measures[made];
        st = bind_measure(m, inputs + at, input, &measures[made], err);
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
    if (wants_last_rows(rel, ret, inputs, measures))
        oper_scan_set_last_row(ret->scan);
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
    case PLAN_READ: return bind_read(b, rel, limit, ret, err);
    case PLAN_VALUES: return bind_values(b, rel, ret, err);
    case PLAN_UNION: return bind_union(b, rel, limit, ret, err);
    case PLAN_PROJECT: return bind_project(b, rel, limit, ret, err);
    case PLAN_SORT: return bind_sort(b, rel, limit, ret, err);
    case PLAN_FETCH: return bind_fetch(b, rel, limit, ret, err);
    case PLAN_AGGREGATE: return bind_aggregate(b, rel, ret, err);
    case PLAN_EXTENSION: return bind_extension(b, rel, ret, err);
    default: return error_set(err, ST_UNEXPECTED, "relation '%s' is not supported", rel->name ? rel->name : "?");
    }
}

static int bind_filter(struct binder *b, struct plan_rel *rel, struct bound *ret, struct error *err)
{
    TRY(bind_rel(b, rel->input, -1, ret, err));
    uint32_t n = rel->has_emit ? rel->n_emit : width_of(ret);
    uint32_t *emit = rel->emit;
    if (!rel->has_emit) {
        emit = ARENA_ARRAY(b->arena, n ? n : 1, uint32_t, err);
        if (!emit)
            return ST_NO_MEMORY;
        for (uint32_t i = 0; i < n; i++)
            emit[i] = i;
    }
    return filter(b, ret, rel->filter, emit, n, err);
}

static int bind_rel(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    if (rel->kind == PLAN_FILTER)
        return bind_filter(b, rel, ret, err);
    TRY(bind_direct(b, rel, limit, ret, err));
    if (rel->kind == PLAN_PROJECT || !rel->has_emit)
        return ST_OK;
    return pick(b, ret, rel->emit, rel->n_emit, err);
}

/* The first table scan, depth first; NULL = none. Checks on its way that no FETCH asks for a window function. */
static int find_read(const struct plan_rel *rel, const struct plan_rel **ret_read, struct error *err)
{
    if (rel->kind == PLAN_FETCH && ((rel->offset && has_window(rel->offset)) || (rel->count && has_window(rel->count))))
        return error_set(err, ST_UNSUPPORTED, "window functions are not supported");
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
        st = drop_series(&b, &bound, err);
    table_free(b.table);
    if (st == ST_OK)
        *ret_root = bound.oper;
    else
        oper_free(bound.oper);
    return st;
}
