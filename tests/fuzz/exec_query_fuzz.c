/* Fuzzes a whole query: the bytes are a Substrait plan over a small table; its result is read to the end. */
#include "../unit/memory_table.h"
#include "exec/query.h"
#include "proto_mutator.h"

static struct memory_table *table;

static int resolve(void *ctx, const char *name, struct table **ret_table, struct error *err)
{
    (void)ctx;
    (void)name;
    (void)err;
    *ret_table = &table->base;
    return ST_OK;
}

static void make_table(void)
{
    struct field *f[] = {field_new("ts", type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), false), field_new("host", type_of(TYPE_UTF8), true),
                         field_new("s", type_of(TYPE_UTF8), true), field_new("v", type_of(TYPE_INT64), true), field_new("f", type_of(TYPE_FLOAT64), true)};
    table = memory_table_new(schema_new(f, 5));
    for (int i = 0; i < 5; i++)
        field_unref(f[i]);
    table->dictionary[1] = true;
    memory_table_add(table, "1 a x 10 1.5\n2 a y 20 NULL\n3 b NULL NULL 2.5\n4 NULL z 40 4");
    memory_table_add(table, "5 b q 50 5\n6 a p NULL 7");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct budget budget;
    struct work_context work = {.budget = &budget};
    struct query_options o = {.plan = data, .plan_size = size, .resolve = resolve, .work = &work};
    struct query *q;
    struct batch *b;
    struct error err;
    if (!table)
        make_table();
    budget_init(&budget, "query", "query.memory_limit", 16 << 20, NULL);
    if (query_open(&o, &q, &err) == ST_OK) {
        struct dynbuf json;
        for (int i = 0; i < 16 && query_next(q, &b, &err) == ST_OK && b; i++)
            batch_unref(b);
        dynbuf_init(&json, 1 << 20);
        query_metrics_json(q, &json, &err);
        dynbuf_release(&json);
        query_free(q);
    }
    if (budget.used != 0)
        abort();
    return 0;
}
