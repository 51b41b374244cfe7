/* What all operators share: pulling with metrics and cancellation, and freeing. */
#include "exec/oper.h"

#include <stdlib.h>
#include <time.h>

uint64_t oper_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int oper_next(struct oper *o, struct batch **ret_batch, struct error *err)
{
    uint64_t start = oper_now_ns();
    struct batch *b = NULL;
    int st = ST_OK;
    while (!o->done) {
        st = work_check(o->work, err);
        if (st == ST_OK)
            st = o->ops->next(o, &b, err);
        o->done = st != ST_OK || !b;
        if (b && b->n_rows > 0)
            break;
        batch_unref(b);
        b = NULL;
    }
    o->total_ns += oper_now_ns() - start;
    if (st != ST_OK)
        return st;
    if (b) {
        o->rows_out += (uint64_t)b->n_rows;
        o->batches_out++;
        o->bytes_out += batch_bytes_used(b);
    }
    *ret_batch = b;
    return ST_OK;
}

void oper_free(struct oper *o)
{
    while (o) {
        struct oper *input = o->input;
        struct schema *schema = o->schema;
        for (uint32_t i = 0; i < o->n_others; i++)
            oper_free(o->others[i]);
        free(o->others);
        o->ops->free(o);
        schema_unref(schema);
        o = input;
    }
}
