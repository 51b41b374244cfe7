/* Binding of table scans and of filters, whose conditions become hints for the scan below. */
#include <stdlib.h>

#include "exec/bind_internal.h"
#include "exec/oper_compute.h"

enum { PREDICATES_MAX = 64 };

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
        if (used[i] && in->source[i] < 0)
            in->filtered_computed = true;
        else if (used[i])
            in->filtered[in->source[i]] = true;
    }
    expr_predicates(condition, in->oper->schema, found, PREDICATES_MAX, &n);
    int st = ST_OK;
    for (uint32_t i = 0; i < n; i++) {
        int32_t source = in->source[found[i].column];
        if (source >= 0 && st == ST_OK) {
            found[i].column = (uint32_t)source;
            in->fixed[source] |= (found[i].op == SCAN_EQ || found[i].op == SCAN_IN) && found[i].values->length == 1;
            st = oper_scan_add_predicate(in->scan, &found[i], err);
        }
        scan_predicate_unref(&found[i]);
    }
    return st;
}

/* Filters `in` by a condition over its columns and keeps only emit[0..n). */
int binder_filter(struct binder *b, struct bound *in, const struct plan_expr *condition, const uint32_t *emit, uint32_t n, struct error *err)
{
    struct expr *e = NULL;
    char text[96];
    uint32_t width = bound_width(in);
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
    TRY(binder_expr(b, condition, in->oper->schema, &e, err));
    int st = ST_OK;
    if (expr_type(e)->id != TYPE_BOOL && expr_type(e)->id != TYPE_NULL)
        st = error_set(err, ST_PLAN_QUERY, "a filter's condition is %s, not Boolean", type_print(expr_type(e), text, sizeof text));
    if (st == ST_OK)
        st = add_predicates(in, e, err);
    if (st == ST_OK)
        st = binder_schema(fields, n, &schema, err);
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
    ret->fixed = ARENA_ARRAY(b->arena, t->schema->n_fields + 1, bool, err);
    if (!fields || !ret->source || !ret->filtered || !ret->fixed)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        fields[i] = t->schema->fields[columns[i]];
        ret->source[i] = (int32_t)columns[i];
    }
    struct scan_request request = {.columns = columns,
                                   .n_columns = n,
                                   .limit = limit,
                                   .has_memtable_max_sequence = o->has_memtable_max_sequence,
                                   .memtable_max_sequence = o->memtable_max_sequence,
                                   .sst_min_sequence = o->sst_min_sequence};
    TRY(binder_schema(fields, n, &schema, err));
    b->table = NULL;
    int st = oper_scan_new(o->work, t, rel->name, &request, schema, &ret->oper, err);
    schema_unref(schema);
    if (st == ST_OK) {
        ret->scan = ret->oper;
        ret->table = t;
    }
    return st;
}

int bind_read(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
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
    return binder_filter(b, ret, rel->filter, emit, n_out, err);
}
