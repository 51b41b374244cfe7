/* Filter and projection. Columns that only pass through are shared, not copied. */
#include "exec/oper_compute.h"

#include <stdlib.h>
#include <string.h>

struct filter_oper {
    struct oper base;
    bool borrows;         /* made by oper_compute_like(): condition and emit are the other one's */
    struct expr *condition;
    uint32_t *emit;
    struct expr_context ctx;
};

struct project_oper {
    struct oper base;
    bool borrows;         /* as above: expressions and columns */
    struct expr **exprs;  /* NULL where `columns` says it all */
    uint32_t *columns;
    struct expr_context ctx;
};

static int emit_batch(struct schema *schema, struct column **columns, uint32_t made, int64_t n_rows, int st, struct batch **ret_batch, struct error *err)
{
    if (st == ST_OK)
        return batch_new(schema, n_rows, columns, ret_batch, err);
    for (uint32_t i = 0; i < made; i++)
        column_unref(columns[i]);
    return st;
}

static int filter_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct filter_oper *o = (struct filter_oper *)base;
    uint32_t n = base->schema->n_fields, made = 0;
    struct buffer *rows = NULL;
    struct batch *b;
    int64_t kept = 0;
    TRY(oper_next(base->input, &b, err));
    *ret_batch = NULL;
    if (!b)
        return ST_OK;
    struct column **columns = calloc(n ? n : 1, sizeof *columns);
    int st = columns ? expr_filter(o->condition, &o->ctx, b, &rows, &kept, err) : error_no_memory(err, n * sizeof *columns);
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        struct column *c = b->columns[o->emit[made]];
        if (kept == b->n_rows)
            columns[made] = column_ref(c);
        else
            st = column_take(oper_budget(base), c, rows ? (const uint32_t *)(const void *)rows->data : NULL, kept, &columns[made], err);
    }
    if (columns)
        st = emit_batch(base->schema, columns, made, kept, st, ret_batch, err);
    free(columns);
    buffer_unref(rows);
    batch_unref(b);
    return st;
}

static void filter_free(struct oper *base)
{
    struct filter_oper *o = (struct filter_oper *)base;
    if (!o->borrows) {
        expr_release(o->condition);
        free(o->emit);
    }
    free(o);
}

static int filter_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    const struct filter_oper *o = (const struct filter_oper *)base;
    (void)verbose;
    TRY(dynbuf_printf(out, err, "FilterExec: "));
    TRY(expr_print(o->condition, base->input->schema, true, out, err));
    if (base->schema->n_fields == base->input->schema->n_fields)
        return ST_OK;
    TRY(dynbuf_printf(out, err, ", projection=["));
    for (uint32_t i = 0; i < base->schema->n_fields; i++)
        TRY(dynbuf_printf(out, err, "%s%s@%u", i ? ", " : "", base->schema->fields[i]->name, o->emit[i]));
    return dynbuf_printf(out, err, "]");
}

static const struct oper_ops filter_ops = {filter_next, filter_free, filter_describe, NULL};

int oper_filter_new(struct oper *input, struct expr *condition, const uint32_t *emit, uint32_t n_emit, struct schema *schema, const char *timezone,
                    struct oper **ret_oper, struct error *err)
{
    struct filter_oper *o = calloc(1, sizeof *o);
    uint32_t *copy = calloc(n_emit ? n_emit : 1, sizeof *copy);
    if (!o || !copy) {
        free(o);
        free(copy);
        expr_release(condition);
        oper_free(input);
        return error_no_memory(err, sizeof *o);
    }
    if (n_emit)
        memcpy(copy, emit, n_emit * sizeof *copy);
    o->base = (struct oper){.ops = &filter_ops, .schema = schema_ref(schema), .input = input, .work = input->work};
    o->condition = condition;
    o->emit = copy;
    o->ctx = (struct expr_context){.budget = oper_budget(input), .work = input->work, .timezone = timezone};
    *ret_oper = &o->base;
    return ST_OK;
}

static int project_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct project_oper *o = (struct project_oper *)base;
    uint32_t n = base->schema->n_fields, made = 0;
    struct batch *b;
    TRY(oper_next(base->input, &b, err));
    *ret_batch = NULL;
    if (!b)
        return ST_OK;
    struct column **columns = calloc(n ? n : 1, sizeof *columns);
    int st = columns ? ST_OK : error_no_memory(err, n * sizeof *columns);
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        if (!o->exprs[made])
            columns[made] = column_ref(b->columns[o->columns[made]]);
        else
            st = expr_eval(o->exprs[made], &o->ctx, b, &columns[made], err);
    }
    if (columns)
        st = emit_batch(base->schema, columns, made, b->n_rows, st, ret_batch, err);
    free(columns);
    batch_unref(b);
    return st;
}

static void project_free(struct oper *base)
{
    struct project_oper *o = (struct project_oper *)base;
    for (uint32_t i = 0; !o->borrows && i < base->schema->n_fields; i++)
        expr_release(o->exprs[i]);
    if (!o->borrows) {
        free(o->exprs);
        free(o->columns);
    }
    free(o);
}

static int project_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    const struct project_oper *o = (const struct project_oper *)base;
    (void)verbose;
    TRY(dynbuf_printf(out, err, "ProjectionExec: expr=["));
    for (uint32_t i = 0; i < base->schema->n_fields; i++) {
        TRY(dynbuf_printf(out, err, "%s", i ? ", " : ""));
        if (o->exprs[i])
            TRY(expr_print(o->exprs[i], base->input->schema, true, out, err));
        else
            TRY(dynbuf_printf(out, err, "%s@%u", base->input->schema->fields[o->columns[i]]->name, o->columns[i]));
        TRY(dynbuf_printf(out, err, " as %s", base->schema->fields[i]->name));
    }
    return dynbuf_printf(out, err, "]");
}

static const struct oper_ops project_ops = {project_next, project_free, project_describe, NULL};

int oper_project_new(struct oper *input, struct expr *const *exprs, uint32_t n, struct schema *schema, const char *timezone, struct oper **ret_oper,
                     struct error *err)
{
    struct project_oper *o = calloc(1, sizeof *o);
    struct expr **own = calloc(n ? n : 1, sizeof(struct expr *));
    uint32_t *columns = calloc(n ? n : 1, sizeof *columns);
    if (!o || !own || !columns) {
        free(o);
        free(own);
        free(columns);
        for (uint32_t i = 0; i < n; i++)
            expr_release(exprs[i]);
        oper_free(input);
        return error_no_memory(err, sizeof *o);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (expr_column(exprs[i]) >= 0) {
            columns[i] = (uint32_t)expr_column(exprs[i]);
            expr_release(exprs[i]);
        } else {
            own[i] = exprs[i];
        }
    }
    o->base = (struct oper){.ops = &project_ops, .schema = schema_ref(schema), .input = input, .work = input->work};
    o->exprs = own;
    o->columns = columns;
    o->ctx = (struct expr_context){.budget = oper_budget(input), .work = input->work, .timezone = timezone};
    *ret_oper = &o->base;
    return ST_OK;
}

int oper_pick_new(struct oper *input, const uint32_t *picked, uint32_t n, struct oper **ret_oper, struct error *err)
{
    struct project_oper *o = calloc(1, sizeof *o);
    struct expr **own = calloc(n ? n : 1, sizeof(struct expr *));
    uint32_t *columns = calloc(n ? n : 1, sizeof *columns);
    struct field **fields = calloc(n ? n : 1, sizeof(struct field *));
    struct schema *schema = NULL;
    for (uint32_t i = 0; fields && columns && i < n; i++) {
        fields[i] = input->schema->fields[picked[i]];
        columns[i] = picked[i];
    }
    if (o && own && columns && fields)
        schema = schema_new(fields, n);
    free(fields);
    if (!schema) {
        free(o);
        free(own);
        free(columns);
        oper_free(input);
        return error_no_memory(err, sizeof *o);
    }
    o->base = (struct oper){.ops = &project_ops, .schema = schema, .input = input, .work = input->work};
    o->exprs = own;
    o->columns = columns;
    *ret_oper = &o->base;
    return ST_OK;
}

bool oper_is_compute(const struct oper *o)
{
    return o->ops == &filter_ops || o->ops == &project_ops;
}

int oper_compute_like(const struct oper *like, struct oper *input, struct oper **ret_oper, struct error *err)
{
    /* Not copied whole: `like` itself is counted up while parts are begun elsewhere. */
    const struct oper base = {.ops = like->ops, .schema = schema_ref(like->schema), .input = input, .work = like->work};
    struct filter_oper *f = NULL;
    struct project_oper *p = NULL;
    if (like->ops == &filter_ops)
        f = malloc(sizeof *f);
    else
        p = malloc(sizeof *p);
    if (!f && !p) {
        schema_unref(base.schema);
        oper_free(input);
        return error_no_memory(err, sizeof *p);
    }
    if (f) {
        const struct filter_oper *other = (const struct filter_oper *)like;
        *f = (struct filter_oper){.base = base, .borrows = true, .condition = other->condition, .emit = other->emit, .ctx = other->ctx};
        f->ctx.careful = false;
        *ret_oper = &f->base;
    } else {
        const struct project_oper *other = (const struct project_oper *)like;
        *p = (struct project_oper){.base = base, .borrows = true, .exprs = other->exprs, .columns = other->columns, .ctx = other->ctx};
        p->ctx.careful = false;
        *ret_oper = &p->base;
    }
    return ST_OK;
}
