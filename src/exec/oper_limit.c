/* OFFSET and LIMIT: slices batches and stops pulling as soon as the last wanted row is out. */
#include <stdlib.h>

#include "exec/oper.h"

struct limit_oper {
    struct oper base;
    int64_t offset, count; /* as asked for */
    int64_t skip, left;    /* left -1 = no end */
};

static int limit_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct limit_oper *o = (struct limit_oper *)base;
    *ret_batch = NULL;
    while (o->left != 0) {
        struct batch *b;
        TRY(oper_next(base->input, &b, err));
        if (!b)
            break;
        if (b->n_rows <= o->skip) {
            o->skip -= b->n_rows;
            batch_unref(b);
            continue;
        }
        int64_t n = b->n_rows - o->skip;
        if (o->left >= 0 && n > o->left)
            n = o->left;
        int st = batch_slice(b, o->skip, n, ret_batch, err);
        batch_unref(b);
        o->skip = 0;
        if (o->left > 0)
            o->left -= n;
        return st;
    }
    return ST_OK;
}

static void limit_free(struct oper *base)
{
    free(base);
}

static int limit_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    const struct limit_oper *o = (const struct limit_oper *)base;
    (void)verbose;
    TRY(dynbuf_printf(out, err, "GlobalLimitExec: skip=%lld, fetch=", (long long)o->offset));
    return o->count < 0 ? dynbuf_printf(out, err, "None") : dynbuf_printf(out, err, "%lld", (long long)o->count);
}

static const struct oper_ops limit_ops = {limit_next, limit_free, limit_describe, NULL};

bool oper_is_limit(const struct oper *o)
{
    return o->ops == &limit_ops;
}

int oper_limit_new(struct oper *input, int64_t offset, int64_t count, struct oper **ret_oper, struct error *err)
{
    struct limit_oper *o = calloc(1, sizeof *o);
    if (!o) {
        oper_free(input);
        return error_no_memory(err, sizeof *o);
    }
    o->base = (struct oper){.ops = &limit_ops, .schema = schema_ref(input->schema), .input = input, .work = input->work};
    o->offset = o->skip = offset;
    o->count = o->left = count;
    *ret_oper = &o->base;
    return ST_OK;
}
