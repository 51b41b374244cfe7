/* Queries in which an allocation fails: every function and aggregate of the catalogue over columns that it takes, and plans of all nodes. Each ends
 * with an error or with the rows that it has with enough memory, and leaves nothing behind.
 *
 *   ALLOC_STRIDE=1    lets each allocation of each query fail, once and for ever; default: every 17th
 *   ALLOC_ONLY=name   only the queries of that name
 *   ALLOC_TRACE=1     prints each query
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "exec/catalogue.h"
#include "exec/query.h"
#include "failing_alloc.h"
#include "memory_table.h"
#include "plan_writer.h"

static const struct plan_column columns[] = {{"host", 12}, {"ts", 33}, {"v", 7}, {"f", 11}, {"s", 12}};
enum { HOST, TS, V, F, S, N_COLUMNS };

static struct memory_table *table;
static struct budget budget;
static struct work_context work;
static const struct batch_stream_ops *memory_stream_ops;
static uint64_t queries, runs;
static char wanted[1 << 14], found[1 << 14];

/* ---- a table that always has memory ---- */

static int quiet_next(struct batch_stream *s, struct batch **ret_batch, struct error *err)
{
    alloc_count(false);
    int st = memory_stream_ops->next(s, ret_batch, err);
    alloc_count(true);
    return st;
}

static void quiet_free(struct batch_stream *s)
{
    memory_stream_ops->free(s);
}

static int quiet_scan(struct table *t, const struct scan_request *r, struct work_context *w, struct batch_stream **ret_stream, struct error *err)
{
    static const struct batch_stream_ops ops = {quiet_next, quiet_free};
    alloc_count(false);
    int st = memory_scan(t, r, w, ret_stream, err);
    memory_stream_ops = (*ret_stream)->ops;
    (*ret_stream)->ops = &ops;
    alloc_count(true);
    return st;
}

static int set_up(void **state)
{
    static const struct table_ops ops = {quiet_scan, memory_free};
    static const uint32_t key[] = {0};
    struct kv meta = {(char *)"greptime:time_index", (char *)"true"};
    struct field *ts = field_new("ts", type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), false);
    struct field *f[] = {field_new("host", type_of(TYPE_UTF8), true), field_with_meta(ts, &meta, 1), field_new("v", type_of(TYPE_INT64), true),
                         field_new("f", type_of(TYPE_FLOAT64), true), field_new("s", type_of(TYPE_UTF8), true)};
    (void)state;
    budget_init(&budget, "query", "query.memory_limit", SIZE_MAX, NULL);
    work = (struct work_context){.budget = &budget};
    table = memory_table_new(schema_new(f, N_COLUMNS));
    for (int i = 0; i < N_COLUMNS; i++)
        field_unref(f[i]);
    field_unref(ts);
    table->base.ops = &ops;
    table->base.key = key;
    table->base.n_key = 1;
    table->dictionary[0] = true;
    memory_table_add(table, "a 1000 10 1.5 x\na 2000 20 NULL yy\na 3000 NULL 2.5 NULL");
    memory_table_add(table, "b 1000 40 4 z\nb 5000 50 5 q1\nb 6000 3 7 POINT(1)");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    memory_table_destroy(table);
    assert_int_equal(budget_used(&budget), 0);
    return 0;
}

static int resolve(void *ctx, const char *name, struct table **ret_table, struct error *err)
{
    (void)ctx, (void)name, (void)err;
    *ret_table = &table->base;
    return ST_OK;
}

/* ---- one query ---- */

static int run(const struct msg *plan, char *out, size_t room)
{
    struct query_options o = {.plan = plan->data, .plan_size = plan->size, .resolve = resolve, .work = &work};
    struct error err = {0};
    struct query *q;
    struct batch *b = NULL;
    out[0] = 0;
    alloc_count(true);
    int st = query_open(&o, &q, &err);
    if (st == ST_OK) {
        while ((st = query_next(q, &b, &err)) == ST_OK && b) {
            alloc_count(false);
            memory_print_batch(b, out, room);
            alloc_count(true);
            batch_unref(b);
        }
        query_free(q);
    }
    alloc_count(false);
    return st;
}

static void once_and_for_ever(const struct msg *plan, const char *name, uint64_t stride)
{
    alloc_fail(0, false);
    if (run(plan, wanted, sizeof wanted) != ST_OK)
        return; /* not for these types */
    uint64_t calls = atomic_load(&failing_alloc.calls);
    queries++;
    for (uint64_t nth = 1 + queries % stride; nth <= calls; nth += stride)
        for (int sticky = 0; sticky < 2; sticky++, runs++) {
            int64_t leaked = 1;
            int st = ST_OK;
            for (int tries = 0; leaked && tries < 3; tries++) { /* what is made once and kept is no leak */
                int64_t before = atomic_load(&failing_alloc.live);
                alloc_fail(nth, sticky);
                st = run(plan, found, sizeof found);
                alloc_fail(0, false);
                leaked = atomic_load(&failing_alloc.live) - before;
            }
            if (st == ST_OK && strcmp(wanted, found) != 0)
                fail_msg("%s: allocation %llu of %llu failed%s, and the rows are others:\n%s\nnot\n%s", name, (unsigned long long)nth,
                         (unsigned long long)calls, sticky ? " and all behind it" : "", found, wanted);
            if (leaked || budget_used(&budget))
                fail_msg("%s: allocation %llu of %llu failed%s: %lld pieces and %zu accounted bytes are left", name, (unsigned long long)nth,
                         (unsigned long long)calls, sticky ? " and all behind it" : "", (long long)leaked, budget_used(&budget));
        }
}

static void try_plan(const struct msg *plan, const char *name)
{
    const char *only = getenv("ALLOC_ONLY"), *stride = getenv("ALLOC_STRIDE");
    if (only && strcmp(only, name) != 0)
        return;
    if (getenv("ALLOC_TRACE"))
        fprintf(stderr, "%s\n", name);
    once_and_for_ever(plan, name, stride ? strtoull(stride, NULL, 10) : 17);
}

static struct msg read_all(void)
{
    return r_read(columns, N_COLUMNS);
}

/* ---- functions ---- */

static struct msg x_list(uint32_t column)
{
    struct msg item = x_field(column);
    return put_msg(MSG, 3, with_args(put_uint(put_uint(MSG, 1, function_anchor("make_array")), 3, 0), 4, &item, 1));
}

/* Arguments by letter: the columns, a list of integers, texts and numbers. */
static struct msg argument(char kind)
{
    switch (kind) {
    case 't':
        return x_field(TS);
    case 'v':
        return x_field(V);
    case 'f':
        return x_field(F);
    case 's':
        return x_field(S);
    case 'h':
        return x_field(HOST);
    case 'l':
        return x_list(V);
    case '1':
        return x_int(1);
    case 'p':
        return x_text("%Y-%m");
    case 'd':
        return x_text("day");
    default:
        return x_text("1");
    }
}

static struct msg x_function(const char *name, const char *kinds)
{
    struct msg args[8], f = put_uint(MSG, 1, function_anchor(name));
    int n = 0;
    for (; kinds[n]; n++)
        args[n] = argument(kinds[n]);
    return put_msg(MSG, 3, with_args(f, 4, args, n));
}

static void try_function(void *ctx, const struct function_info *f)
{
    static const char *const signatures[] = {"",   "v",  "f",  "s",  "t",  "l",   "vv",  "ff",  "sv",  "ss",  "hs",  "sp",  "tp",  "dt",  "lv",
                                             "ll", "l1", "vl", "tt", "tv", "sss", "vvv", "fff", "svv", "lvv", "sxx", "llx", "s11", "l11", "ffv"};
    (void)ctx;
    if (f->aggregate || strcmp(f->name, "random") == 0 || strcmp(f->name, "uuid") == 0)
        return;
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        size_t n = strlen(signatures[i]);
        if (n < f->min_args || n > f->max_args)
            continue;
        struct msg call = x_function(f->name, signatures[i]), plan = plan_of(r_project(read_all(), N_COLUMNS, &call, 1), "x");
        try_plan(&plan, f->name);
    }
}

static void functions(void **state)
{
    (void)state;
    catalogue_walk(try_function, NULL);
}

/* ---- aggregates ---- */

static void try_aggregate(void *ctx, const struct function_info *f)
{
    static const char *const signatures[] = {"v", "f", "s", "t", "fv", "vf", "fx", "sx", "ff", "f1", "v1", "tv"};
    (void)ctx;
    if (!f->aggregate)
        return;
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        for (int distinct = 0; distinct < 2; distinct++) {
            struct msg args[2], host = x_field(HOST), order = sort_field(x_field(TS), 1);
            size_t n = strlen(signatures[i]);
            if (n < f->min_args || n > f->max_args)
                continue;
            for (size_t k = 0; k < n; k++)
                args[k] = argument(signatures[i][k]);
            struct msg m = measure(f->name, args, (int)n, f->ordered && !distinct ? &order : NULL, NULL, distinct);
            struct msg plan = plan_of(r_aggregate(read_all(), &host, 1, NULL, &m, 1), "h x");
            try_plan(&plan, f->name);
        }
}

static void aggregates(void **state)
{
    (void)state;
    catalogue_walk(try_aggregate, NULL);
}

/* ---- nodes ---- */

static void nodes(void **state)
{
    (void)state;
    struct msg host = x_field(HOST), v = x_field(V), f = x_field(F), by[] = {sort_field(x_field(S), 1), sort_field(x_field(V), 3)};
    struct msg sums[] = {measure("sum", &v, 1, NULL, NULL, false), measure("avg", &f, 1, NULL, NULL, false),
                         measure("count", &v, 1, NULL, NULL, true)};
    struct msg p = plan_of(r_aggregate(read_all(), &host, 1, NULL, sums, 3), "h s a c");
    try_plan(&p, "aggregate");
    struct msg keys[] = {x_field(HOST), x_field(S)}, sum = measure("sum", &v, 1, NULL, NULL, false);
    p = plan_of(r_aggregate(read_all(), keys, 2, "a,ab,", &sum, 1), "h s g x");
    try_plan(&p, "grouping sets");
    struct msg exprs[] = {x_field(S), x_call("add", x_field(V), x_int(1))};
    p = plan_of(r_project(r_filter(read_all(), x_call("gt", x_field(V), x_int(15))), N_COLUMNS, exprs, 2), "s v1");
    try_plan(&p, "filter");
    p = plan_of(r_sort(read_all(), by, 2), "h t v f s");
    try_plan(&p, "sort");
    p = plan_of(r_fetch(r_sort(read_all(), by, 2), 1, x_int(3)), "h t v f s");
    try_plan(&p, "top");
    struct msg divided = r_extension("SeriesDivide", put_uint(put_bytes(MSG, 3, (const char[]){HOST}, 1), 4, TS),
                                     r_sort(read_all(), (struct msg[]){sort_field(host, 1), sort_field(x_field(TS), 1)}, 2));
    struct msg normalized = r_extension("SeriesNormalize", put_uint(put_uint(MSG, 3, 1), 5, TS), divided);
    struct msg points = put_uint(put_uint(put_uint(put_uint(MSG, 1, 0), 2, 8000), 3, 1000), 4, 3000);
    p = plan_of(r_extension("InstantManipulate", put_uint(put_uint(points, 7, TS), 8, F), normalized), "h t v f s");
    try_plan(&p, "instant");
    struct msg range = r_extension("RangeManipulate", put_bytes(put_uint(points, 7, TS), 8, (const char[]){F}, 1), normalized);
    p = plan_of(range, "h t v f s r");
    try_plan(&p, "range");
}

static void any_was_run(void **state)
{
    (void)state;
    if (getenv("ALLOC_STRIDE"))
        fprintf(stderr, "%llu queries, %llu runs, each with another failing allocation\n", (unsigned long long)queries, (unsigned long long)runs);
    if (!getenv("ALLOC_ONLY"))
        assert_true(queries > 500);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(functions), CASE(aggregates), CASE(nodes), cmocka_unit_test(any_was_run)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
