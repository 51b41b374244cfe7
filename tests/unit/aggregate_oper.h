/* An aggregation over columns of an input, for tests of operators. */
#ifndef TESTS_AGGREGATE_OPER_H
#define TESTS_AGGREGATE_OPER_H

#include <stdlib.h>

#include "exec/oper.h"

struct want {
    const char *name;
    int arg; /* column; negative: none, as in count(*) */
    bool sorted;
    uint32_t sort; /* column, where sorted */
    bool descending, distinct;
};

/* `spec` says the keys, sets and order; measures and schema are made here. */
static inline struct oper *aggregate_as(struct oper *input, struct oper_aggregate_spec spec, const struct want *wants, uint32_t n)
{
    struct oper_measure *m = calloc(n + 1, sizeof *m);
    struct field *fields[32];
    struct error err = {0};
    uint32_t at = 0;
    for (uint32_t k = 0; k < spec.n_keys; k++)
        fields[at++] = field_ref(input->schema->fields[spec.keys[k]]);
    if (spec.n_sets > 1)
        fields[at++] = field_new("__grouping_id", type_of(TYPE_UINT8), false);
    for (uint32_t i = 0; i < n; i++) {
        m[i].filter = -1;
        m[i].call.name = wants[i].name;
        m[i].call.distinct = wants[i].distinct;
        m[i].call.n_args = wants[i].arg >= 0;
        if (wants[i].arg >= 0) {
            m[i].args[0] = (uint32_t)wants[i].arg;
            m[i].call.args[0] = input->schema->fields[wants[i].arg]->type;
        }
        m[i].sorts = calloc(1, sizeof *m[i].sorts);
        m[i].sort_specs = calloc(1, sizeof *m[i].sort_specs);
        m[i].sort_fields = calloc(1, sizeof *m[i].sort_fields);
        if (wants[i].sorted) {
            m[i].call.n_sorts = 1;
            m[i].sorts[0] = wants[i].sort;
            m[i].sort_specs[0].descending = wants[i].descending;
            m[i].sort_fields[0] = field_ref(input->schema->fields[wants[i].sort]);
            m[i].call.sorts = m[i].sort_specs;
            m[i].call.sort_fields = m[i].sort_fields;
        }
        if (agg_call_resolve(&m[i].call, &err) != ST_OK)
            fail_msg("%s", err.msg);
        fields[at++] = field_new(wants[i].name, m[i].call.result, m[i].call.nullable);
    }
    struct schema *s = schema_new(fields, at);
    for (uint32_t i = 0; i < at; i++)
        field_unref(fields[i]);
    spec.measures = m;
    spec.n_measures = n;
    spec.schema = s;
    struct oper *o;
    assert_int_equal(oper_aggregate_new(input, &spec, &o, &err), ST_OK);
    schema_unref(s);
    return o;
}

static inline struct oper *aggregate(struct oper *input, const uint32_t *keys, uint32_t n_keys, const struct want *wants, uint32_t n)
{
    return aggregate_as(input, (struct oper_aggregate_spec){.keys = keys, .n_keys = n_keys, .n_sets = 1}, wants, n);
}

#endif
