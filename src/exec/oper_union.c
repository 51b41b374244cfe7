/* UNION ALL, and the virtual table: rows that stand in the plan. */
#include <stdlib.h>
#include <string.h>

#include "exec/oper.h"

/* ---- union ---- */

struct union_oper {
    struct oper base;
    uint32_t at; /* the input being read: 0 = base.input, else others[at - 1] */
};

static int union_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct union_oper *o = (struct union_oper *)base;
    struct batch *b = NULL;
    *ret_batch = NULL;
    for (; !b && o->at <= base->n_others; o->at += !b)
        TRY(oper_next(o->at ? base->others[o->at - 1] : base->input, &b, err));
    if (!b)
        return ST_OK;
    for (uint32_t i = 0; i < b->schema->n_fields; i++)
        column_ref(b->columns[i]);
    int st = batch_new(base->schema, b->n_rows, b->columns, ret_batch, err);
    batch_unref(b);
    return st;
}

static void union_free(struct oper *base)
{
    free(base);
}

static int union_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    (void)base;
    (void)verbose;
    return dynbuf_printf(out, err, "UnionExec");
}

static const struct oper_ops union_ops = {union_next, union_free, union_describe, NULL};

bool oper_is_union(const struct oper *o)
{
    return o->ops == &union_ops;
}

int oper_union_new(struct oper *const *inputs, uint32_t n, struct schema *schema, struct oper **ret_oper, struct error *err)
{
    struct union_oper *o = calloc(1, sizeof *o);
    struct oper **others = calloc(n, sizeof(struct oper *));
    if (!o || !others) {
        free(o);
        free(others);
        for (uint32_t i = 0; i < n; i++)
            oper_free(inputs[i]);
        return error_no_memory(err, n * sizeof *others);
    }
    memcpy(others, inputs + 1, (n - 1) * sizeof(struct oper *));
    o->base = (struct oper){.ops = &union_ops, .schema = schema_ref(schema), .input = inputs[0], .work = inputs[0]->work};
    o->base.others = others;
    o->base.n_others = n - 1;
    *ret_oper = &o->base;
    return ST_OK;
}

/* ---- values ---- */

struct values_oper {
    struct oper base;
    struct batch *batch; /* NULL once handed out */
};

static int values_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct values_oper *o = (struct values_oper *)base;
    (void)err;
    *ret_batch = o->batch;
    o->batch = NULL;
    return ST_OK;
}

static void values_free(struct oper *base)
{
    batch_unref(((struct values_oper *)base)->batch);
    free(base);
}

static int values_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    (void)verbose;
    return dynbuf_printf(out, err, base->schema->n_fields ? "DataSourceExec: partitions=1, partition_sizes=[1]" : "PlaceholderRowExec");
}

static const struct oper_ops values_ops = {values_next, values_free, values_describe, NULL};

int oper_values_new(struct work_context *work, struct batch *batch, struct oper **ret_oper, struct error *err)
{
    struct values_oper *o = calloc(1, sizeof *o);
    if (!o)
        return error_no_memory(err, sizeof *o);
    o->base = (struct oper){.ops = &values_ops, .schema = schema_ref(batch->schema), .work = work};
    o->batch = batch_ref(batch);
    *ret_oper = &o->base;
    return ST_OK;
}
