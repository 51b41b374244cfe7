/* Whole plans, from Substrait bytes to rows: binding, pruning, hints, names, errors, metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "exec/query.h"
#include "memory_table.h"
#include "plan_writer.h"

static const struct plan_column columns[] = {{"host", 12}, {"ts", 33}, {"v", 7}, {"f", 11}, {"s", 12}};

static struct memory_table *table;
static struct budget budget;
static struct work_context work;
static char text[1 << 14], metrics[1 << 16];
static struct schema *result;

static int set_up(void **state)
{
    struct kv meta = {(char *)"greptime:time_index", (char *)"true"};
    struct field *ts = field_new("ts", type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), false);
    /* In another order than the plan's base schema, with a column that the plan does not know. */
    struct field *f[] = {field_with_meta(ts, &meta, 1), field_new("extra", type_of(TYPE_INT64), true), field_new("host", type_of(TYPE_UTF8), true),
                         field_new("s", type_of(TYPE_UTF8), true), field_new("v", type_of(TYPE_INT64), true), field_new("f", type_of(TYPE_FLOAT64), true)};
    (void)state;
    budget_init(&budget, "query", "query.memory_limit", SIZE_MAX, NULL);
    work = (struct work_context){.budget = &budget};
    table = memory_table_new(schema_new(f, 6));
    for (int i = 0; i < 6; i++)
        field_unref(f[i]);
    field_unref(ts);
    static const uint32_t key[] = {2};
    table->base.key = key;
    table->base.n_key = 1;
    table->dictionary[2] = true;
    memory_table_add(table, "1 0 a x 10 1.5\n2 0 a y 20 NULL\n3 0 b NULL NULL 2.5");
    memory_table_add(table, "4 0 NULL z 40 4\n5 0 b q 50 5\n6 0 a p NULL 7");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    schema_unref(result);
    result = NULL;
    memory_table_destroy(table);
    assert_int_equal(budget.used, 0);
    return 0;
}

static int resolve(void *ctx, const char *name, struct table **ret_table, struct error *err)
{
    (void)ctx;
    if (strcmp(name, "t") != 0)
        return error_set(err, ST_REGION_NOT_FOUND, "no %s", name);
    *ret_table = &table->base;
    return ST_OK;
}

/* Rows as text, or "<status>: message". */
static const char *run(struct msg plan)
{
    struct query_options o = {.plan = plan.data, .plan_size = plan.size, .resolve = resolve, .work = &work, .verbose = true};
    struct error err = {0};
    struct query *q;
    struct batch *b;
    struct dynbuf json;
    int st = query_open(&o, &q, &err);
    text[0] = 0;
    if (st != ST_OK) {
        snprintf(text, sizeof text, "%s: %s", status_name(st), err.msg);
        return text;
    }
    while ((st = query_next(q, &b, &err)) == ST_OK && b) {
        assert_ptr_equal(b->schema, query_schema(q));
        memory_print_batch(b, text, sizeof text);
        batch_unref(b);
    }
    if (st != ST_OK)
        snprintf(text, sizeof text, "%s: %s", status_name(st), err.msg);
    dynbuf_init(&json, 1 << 20);
    assert_int_equal(query_metrics_json(q, &json, NULL), ST_OK);
    snprintf(metrics, sizeof metrics, "%.*s", (int)json.size, (const char *)json.data);
    assert_ptr_equal(strstr(metrics, "{\"elapsed_compute\":"), metrics);
    assert_non_null(strstr(metrics, "\"plan_metrics\":[{\"plan\":\""));
    dynbuf_release(&json);
    schema_unref(result);
    result = schema_ref(query_schema(q));
    query_free(q);
    return text;
}

static struct msg read_all(void)
{
    return r_read(columns, 5);
}

static void test_read(void **state)
{
    (void)state;
    assert_string_equal(run(plan_of(read_all(), "h t v f s")), "a 1 10 1.5 x\na 2 20 NULL y\nb 3 NULL 2.5 NULL\nNULL 4 40 4 z\nb 5 50 5 q\na 6 NULL 7 p\n");
    assert_string_equal(result->fields[0]->name, "h");
    assert_int_equal(result->fields[0]->type->id, TYPE_UTF8);
    assert_string_equal(field_meta_get(result->fields[1], "greptime:time_index"), "true");
    assert_int_equal(result->n_meta, 1);
    assert_string_equal(result->meta[0].key, "greptime:version");
}

static void test_filter_project(void **state)
{
    struct msg exprs[] = {x_field(4), x_call("add", x_field(2), x_int(1))};
    (void)state;
    assert_string_equal(run(plan_of(r_project(r_filter(read_all(), x_call("gt", x_field(2), x_int(15))), 5, exprs, 2), "s v1")), "y 21\nz 41\nq 51\n");
    assert_int_equal(table->last.n_columns, 2);
    assert_int_equal(table->last.n_predicates, 1);
    assert_int_equal(result->fields[1]->type->id, TYPE_INT64);
}

static void test_sort_fetch(void **state)
{
    struct msg exprs[] = {x_field(0), x_field(2)}, by_v = sort_field(x_field(1), 4);
    (void)state;
    struct msg rel = r_sort(r_project(read_all(), 5, exprs, 2), &by_v, 1);
    assert_string_equal(run(plan_of(rel, "h v")), "b 50\nNULL 40\na 20\na 10\nb NULL\na NULL\n");
    struct msg rel2 = r_fetch(r_sort(r_project(read_all(), 5, exprs, 2), &by_v, 1), 1, x_int(2));
    assert_string_equal(run(plan_of(rel2, "h v")), "NULL 40\na 20\n");
    struct msg computed = sort_field(x_call("multiply", x_field(1), x_int(-1)), 1);
    assert_string_equal(run(plan_of(r_fetch(r_sort(r_project(read_all(), 5, exprs, 2), &computed, 1), 0, x_int(3)), "h v")), "b NULL\na NULL\nb 50\n");
    assert_string_equal(run(plan_of(r_fetch(r_project(read_all(), 5, exprs, 2), 1, x_int(1)), "h v")), "a 20\n");
    assert_int_equal(table->last.limit, 2);
    assert_non_null(strstr(run(plan_of(r_fetch(read_all(), 0, x_window()), "h t v f s")), "window"));
}

/* A table that can give rows in the order that a sort asks for is asked for it, and then nothing is sorted. */
static void test_sort_by_key(void **state)
{
    struct msg order[] = {sort_field(x_field(0), 1), sort_field(x_field(1), 1)}, other[] = {sort_field(x_field(1), 1), sort_field(x_field(0), 1)};
    struct msg last[] = {sort_field(x_field(0), 2), sort_field(x_field(1), 1)};
    const char *as_given = "a 1 10 1.5 x\na 2 20 NULL y\nb 3 NULL 2.5 NULL\nNULL 4 40 4 z\nb 5 50 5 q\na 6 NULL 7 p\n";
    (void)state;
    table->base.time_index = 0;
    assert_string_equal(run(plan_of(r_sort(read_all(), order, 2), "h t v f s")),
                        "NULL 4 40 4 z\na 1 10 1.5 x\na 2 20 NULL y\na 6 NULL 7 p\nb 3 NULL 2.5 NULL\nb 5 50 5 q\n");
    assert_false(table->last.want_key_order);
    table->base.key_ordered = true; /* which it does not keep: the rows show that nobody sorts */
    assert_string_equal(run(plan_of(r_sort(read_all(), order, 2), "h t v f s")), as_given);
    assert_true(table->last.want_key_order);
    assert_non_null(strstr(metrics, "SortExec"));
    assert_string_equal(run(plan_of(r_fetch(r_sort(read_all(), order, 2), 1, x_int(4)), "h t v f s")),
                        "a 2 20 NULL y\nb 3 NULL 2.5 NULL\nNULL 4 40 4 z\nb 5 50 5 q\n");
    run(plan_of(r_sort(read_all(), other, 2), "h t v f s"));
    assert_false(table->last.want_key_order);
    run(plan_of(r_sort(read_all(), last, 2), "h t v f s"));
    assert_false(table->last.want_key_order);
    run(plan_of(r_sort(read_all(), order, 1), "h t v f s"));
    assert_false(table->last.want_key_order);
}

static void test_aggregate(void **state)
{
    struct msg host = x_field(0), v = x_field(2), f = x_field(3), ts = x_field(1), s = x_field(4), by_ts = sort_field(x_field(1), 2);
    (void)state;
    struct msg ms[] = {measure("count", &ts, 1, NULL, NULL, false), measure("sum", &v, 1, NULL, NULL, false), measure("avg", &f, 1, NULL, NULL, false)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), &host, 1, NULL, ms, 3), "h c s a")), "a 3 30 4.25\nb 2 50 3.75\nNULL 1 40 4\n");
    assert_int_equal(table->last.n_columns, 3);
    struct msg cond = x_call("gt", x_field(2), x_int(10));
    struct msg filtered[] = {measure("count", NULL, 0, NULL, &cond, false), measure("count", &host, 1, NULL, NULL, true)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), NULL, 0, NULL, filtered, 2), "c d")), "3 2\n");
    struct msg one = x_int(1), all[] = {measure("count", &one, 1, NULL, NULL, false)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), NULL, 0, NULL, all, 1), "c")), "6\n");
    assert_int_equal(table->last.n_columns, 0);
    assert_false(result->fields[0]->nullable);
    struct msg last[] = {measure("__last_value_state", &s, 1, &by_ts, NULL, false)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), &host, 1, NULL, last, 1), "h st last_value[last_value] last_value[last_value_is_set]")),
                        "a {p,6,true}\nb {q,5,true}\nNULL {z,4,true}\n");
    assert_true(table->last.last_row_only);
    assert_string_equal(field_meta_get(result->fields[1]->type->children[1], "greptime:time_index"), "true");
    struct msg keys[] = {x_field(0), x_field(4)};
    assert_string_equal(run(plan_of(r_aggregate(r_project(read_all(), 5, keys, 1), keys, 1, NULL, NULL, 0), "h")), "a\nb\nNULL\n");
    struct msg avg_state[] = {measure("__avg_state", &f, 1, NULL, NULL, false)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), NULL, 0, NULL, avg_state, 1), "x avg[count] avg[sum]")), "{5,20}\n");
}

static bool key_order_is_free;

static bool in_key_order(struct table *t, const struct scan_request *request)
{
    (void)t;
    (void)request;
    return key_order_is_free;
}

/* What a plan is written from: it knows its own functions only. */
enum piece { HOST, TS, VALUE, MINUTE, SUM, NOTHING, IS_A, ABOVE_A };

static struct msg piece(enum piece p)
{
    switch (p) {
    case HOST: return x_field(0);
    case TS: return x_field(1);
    case VALUE: return x_field(2);
    case MINUTE: return x_call("date_trunc", x_text("minute"), x_field(1));
    case SUM: return x_call("add", x_field(2), x_int(1));
    case IS_A: return x_call("equal", x_field(0), x_text("a"));
    default: return x_call("gt", x_field(0), x_text("a"));
    }
}

/* How an aggregation by some keys is done: the order that it relies on. */
static const char *ordering(enum piece filter, bool sorts, int n_keys, ...)
{
    static char mode[64];
    struct msg keys[3], input = filter == NOTHING ? read_all() : r_filter(read_all(), piece(filter)), by_v = sort_field(x_field(2), 1);
    va_list args;
    va_start(args, n_keys);
    for (int k = 0; k < n_keys; k++)
        keys[k] = piece((enum piece)va_arg(args, int));
    va_end(args);
    struct msg count = measure("count", NULL, 0, NULL, NULL, false);
    run(plan_of(r_aggregate(sorts ? r_sort(input, &by_v, 1) : input, keys, n_keys, NULL, &count, 1), n_keys == 1 ? "a c" : n_keys == 2 ? "a b c" : "a b d c"));
    if (strstr(text, ": "))
        fail_msg("%s", text);
    const char *found = strstr(metrics, "ordering_mode=");
    snprintf(mode, sizeof mode, "%s%.*s", table->last.want_key_order ? "key order, " : "", found ? (int)strcspn(found + 14, "\"") : 4, found ? found + 14 : "hash");
    return mode;
}

/* What the order of (host, ts) keeps together; the scan is asked for it only where that is free, or not at all where series are in order anyway. */
static void test_aggregate_order(void **state)
{
    struct table_ops ops = *table->base.ops;
    (void)state;
    ops.in_key_order = in_key_order;
    table->base.ops = &ops;
    table->base.key_ordered = true;
    for (int is_free = 0; is_free <= 1; is_free++) {
        key_order_is_free = is_free;
        assert_string_equal(ordering(NOTHING, false, 1, HOST), is_free ? "key order, Sorted" : "hash");
        assert_string_equal(ordering(NOTHING, false, 2, MINUTE, HOST), is_free ? "key order, Sorted" : "hash");
        assert_string_equal(ordering(NOTHING, false, 3, HOST, VALUE, TS), is_free ? "key order, PartiallySorted([0, 2])" : "hash");
        assert_string_equal(ordering(NOTHING, false, 2, SUM, HOST), is_free ? "key order, PartiallySorted([1])" : "hash");
        assert_string_equal(ordering(NOTHING, false, 1, MINUTE), "hash");
        assert_string_equal(ordering(ABOVE_A, false, 1, MINUTE), "hash");
        assert_string_equal(ordering(IS_A, false, 1, MINUTE), is_free ? "key order, Sorted" : "hash");
        assert_string_equal(ordering(IS_A, false, 2, VALUE, MINUTE), is_free ? "key order, PartiallySorted([1])" : "hash");
        assert_string_equal(ordering(NOTHING, true, 1, HOST), "hash");
        assert_string_equal(ordering(IS_A, true, 1, MINUTE), "hash");
    }
    table->base.key_ordered = false;
    assert_string_equal(ordering(NOTHING, false, 1, HOST), "hash");
    table->base.series_ordered = true;
    assert_string_equal(ordering(NOTHING, false, 1, MINUTE), "hash");
    assert_string_equal(ordering(IS_A, false, 1, MINUTE), "Sorted");
    assert_string_equal(ordering(IS_A, false, 2, MINUTE, HOST), "Sorted");
    table->base.n_key = 0;
    assert_string_equal(ordering(NOTHING, false, 1, TS), "Sorted");
    assert_string_equal(ordering(NOTHING, false, 2, MINUTE, HOST), "PartiallySorted([0])");
    assert_string_equal(ordering(NOTHING, true, 1, TS), "hash");
}

/* Casts that averages and sums do not need, and when the newest rows of series are enough. */
static void test_aggregate_shortcuts(void **state)
{
    struct msg host = x_field(0), ts = x_field(1), v = x_field(2), s = x_field(4), by_ts = sort_field(x_field(1), 2);
    struct msg number = x_cast(v, 11);
    (void)state;
    struct msg avg[] = {measure("avg", &number, 1, NULL, NULL, false), measure("sum", &v, 1, NULL, NULL, false)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), &host, 1, NULL, avg, 2), "h a s")), "a 15 30\nb 50 50\nNULL 40 40\n");
    assert_int_equal(result->fields[1]->type->id, TYPE_FLOAT64);
    assert_null(strstr(metrics, "CAST"));
    struct msg state_of[] = {measure("__avg_state", &number, 1, NULL, NULL, false)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), NULL, 0, NULL, state_of, 1), "x avg[count] avg[sum]")), "{4,120}\n");
    struct msg sum[] = {measure("sum", &number, 1, NULL, NULL, false), measure("sum", &v, 1, NULL, NULL, false)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), &host, 1, NULL, sum, 2), "h f i")), "a 30 30\nb 50 50\nNULL 40 40\n");
    assert_int_equal(result->fields[1]->type->id, TYPE_FLOAT64);
    assert_int_equal(result->fields[2]->type->id, TYPE_INT64);
    assert_null(strstr(metrics, "CAST"));
    struct msg sum_state[] = {measure("__sum_state", &number, 1, NULL, NULL, false)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), NULL, 0, NULL, sum_state, 1), "x sum[sum]")), "{120}\n");
    assert_int_equal(result->fields[0]->type->children[0]->type->id, TYPE_FLOAT64);
    struct msg cond = x_call("gt", x_field(2), x_int(10));
    struct msg others[] = {measure("avg", &number, 1, NULL, NULL, true), measure("sum", &number, 1, NULL, NULL, false),
                           measure("avg", &number, 1, NULL, &cond, false)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), NULL, 0, NULL, others, 3), "d s f")), "30 120 36.6667\n");
    assert_int_equal(result->fields[1]->type->id, TYPE_FLOAT64);
    struct msg newest[] = {measure("last_value", &s, 1, &by_ts, NULL, false), measure("max", &ts, 1, NULL, NULL, false)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), &host, 1, NULL, newest, 2), "h l t")), "a p 6\nb q 5\nNULL z 4\n");
    assert_true(table->last.last_row_only);
    assert_null(strstr(metrics, "LastRow")); /* the peer does not know of it */
    struct msg greatest[] = {measure("last_value", &s, 1, &by_ts, NULL, false), measure("max", &v, 1, NULL, NULL, false)};
    run(plan_of(r_aggregate(read_all(), &host, 1, NULL, greatest, 2), "h l v"));
    assert_false(table->last.last_row_only);
}

static void test_grouping_sets(void **state)
{
    struct msg keys[] = {x_field(0), x_field(4)}, v = x_field(2), ms[] = {measure("sum", &v, 1, NULL, NULL, false)};
    (void)state;
    run(plan_of(r_aggregate(read_all(), keys, 1, "a,", ms, 1), "h g s"));
    assert_non_null(strstr(text, "a 0 30\n"));
    assert_non_null(strstr(text, "NULL 1 120\n"));
    assert_non_null(strstr(text, "NULL 0 40\n"));
    assert_int_equal(result->fields[1]->type->id, TYPE_UINT8);
}

/* The sets repeat their keys; those with literals in them are the same key too. */
static void test_computed_keys_of_sets(void **state)
{
    struct msg keys[] = {x_field(0), x_call("modulus", x_field(2), x_int(20))}, one = x_int(1), ms[] = {measure("count", &one, 1, NULL, NULL, false)};
    (void)state;
    run(plan_of(r_aggregate(read_all(), keys, 2, "b,ab,", ms, 1), "m h g c"));
    assert_int_equal(result->n_fields, 4);
    assert_non_null(strstr(text, "10 NULL 1 2\n"));
    assert_non_null(strstr(text, "10 a 0 1\n"));
    assert_non_null(strstr(text, "NULL NULL 3 6\n"));
}

/* A grouping may refer to one expression any number of times; to as many of them as a plan may have, not more. */
static void test_repeated_references(void **state)
{
    enum { REFERENCES = 1024 };
    uint8_t zeros[REFERENCES + 1] = {0};
    (void)state;
    for (int n = REFERENCES; n <= REFERENCES + 1; n++) {
        struct msg grouping = put_bytes(MSG, 2, zeros, (size_t)n);
        struct msg a = put_msg(put_msg(put_msg(MSG, 2, read_all()), 3, grouping), 5, x_field(4));
        run(plan_of(r_fetch(put_msg(MSG, 4, a), 0, x_int(1)), ""));
        if (n == REFERENCES)
            assert_int_equal(result->n_fields, REFERENCES);
        else
            assert_non_null(strstr(text, "more than 1024 group keys"));
    }
}

/* Rows that a FILTER drops are not computed: 100 / (v - 10) fails for one of them. */
static void test_filtered_arguments(void **state)
{
    struct msg cond = x_call("gt", x_field(2), x_int(10)), quotient = x_call("divide", x_int(100), x_call("subtract", x_field(2), x_int(10)));
    struct msg ms[] = {measure("sum", &quotient, 1, NULL, &cond, false)};
    (void)state;
    assert_string_equal(run(plan_of(r_aggregate(read_all(), NULL, 0, NULL, ms, 1), "s")), "15\n");
    struct msg v = x_field(2), by = sort_field(x_call("divide", x_int(100), x_call("subtract", x_field(2), x_int(10))), 2);
    struct msg above = x_call("gt", x_field(2), x_int(10)), first[] = {measure("first_value", &v, 1, &by, &above, false)};
    assert_string_equal(run(plan_of(r_aggregate(read_all(), NULL, 0, NULL, first, 1), "f")), "50\n");
    struct msg again = x_call("divide", x_int(100), x_call("subtract", x_field(2), x_int(10)));
    struct msg all[] = {measure("sum", &again, 1, NULL, NULL, false)};
    assert_non_null(strstr(run(plan_of(r_aggregate(read_all(), NULL, 0, NULL, all, 1), "s")), "execute query"));
}

static void test_moments_of_integers(void **state)
{
    struct msg v = x_field(2), ms[] = {measure("var_pop", &v, 1, NULL, NULL, false), measure("stddev", &v, 1, NULL, NULL, false)};
    (void)state;
    assert_string_equal(run(plan_of(r_aggregate(read_all(), NULL, 0, NULL, ms, 2), "v s")), "250 18.2574\n");
}

/* A Literal without the Expression around it. */
static struct msg literal_body(struct msg x)
{
    struct msg m = x; /* without the Expression around it */
    m.size = x.size - 2;
    memmove(m.data, x.data + 2, m.size);
    return m;
}

static struct msg x_literal(uint32_t kind, struct msg body)
{
    return put_msg(MSG, 1, put_msg(MSG, kind, body));
}

/* Literals that no frontend sends today. */
static void test_rare_literals(void **state)
{
    (void)state;
    struct msg zoned = put_uint(put_uint(MSG, 1, 3), 2, 5), pair = put_msg(put_msg(MSG, 1, literal_body(x_text("k"))), 2, literal_body(x_int(7)));
    struct msg type = put_msg(put_msg(MSG, 1, put_msg(MSG, 12, put_uint(MSG, 2, 1))), 2, put_msg(MSG, 7, put_uint(MSG, 2, 1)));
    struct msg exprs[] = {x_literal(35, zoned), x_literal(26, put_msg(MSG, 1, pair)), x_literal(32, type), put_msg(MSG, 1, put_bytes(MSG, 23, "abcd", 4)),
                          put_msg(MSG, 1, put_uint(MSG, 14, 9)), x_literal(37, put_uint(put_uint(MSG, 1, 6), 2, 11))};
    run(plan_of(r_fetch(r_project(read_all(), 5, exprs, 6), 0, x_int(1)), "z m e b t c"));
    const struct dtype *types[6];
    for (int i = 0; i < 6; i++)
        types[i] = result->fields[i]->type;
    assert_string_equal(types[0]->timezone, "UTC");
    assert_int_equal(types[1]->id, TYPE_MAP);
    assert_int_equal(types[2]->children[0]->type->children[1]->type->id, TYPE_INT64);
    assert_int_equal(types[3]->width, 4);
    assert_int_equal(types[4]->unit, UNIT_SECOND);
    assert_int_equal(types[5]->id, TYPE_TIME64);
    struct msg bad = x_literal(26, MSG), user = x_literal(33, put_uint(MSG, 1, 3));
    assert_non_null(strstr(run(plan_of(r_project(read_all(), 5, &bad, 1), "x")), "no entries"));
    assert_non_null(strstr(run(plan_of(r_project(read_all(), 5, &user, 1), "x")), "user-defined"));
}

/* A virtual table (ReadRel 5) of the columns a (string) and b (i64): rows of literals, or of expressions (member 2). */
static struct msg r_values(const struct msg *values, int n, uint32_t number, struct msg *extra)
{
    static const struct plan_column ab[] = {{"a", 12}, {"b", 7}};
    struct msg names = MSG, types = MSG, table = MSG;
    for (int i = 0; i < 2; i++) {
        names = put_text(names, 1, ab[i].name);
        types = put_msg(types, 1, put_msg(MSG, ab[i].kind, put_uint(MSG, 2, 1)));
    }
    for (int i = 0; i + 1 < n; i += 2)
        table = put_msg(table, number, put_msg(put_msg(MSG, 1, values[i]), 1, values[i + 1]));
    struct msg read = put_msg(put_msg(MSG, 2, put_msg(names, 2, types)), 5, table);
    for (size_t i = 0; extra && i < extra->size; i++)
        read.data[read.size++] = extra->data[i];
    return put_msg(MSG, 1, read);
}

static void test_virtual_table(void **state)
{
    struct msg rows[] = {literal_body(x_text("x")), literal_body(x_int(1)), literal_body(x_text("y")), literal_body(x_int(2))};
    (void)state;
    assert_string_equal(run(plan_of(r_values(rows, 4, 1, NULL), "a b")), "x 1\ny 2\n");
    assert_int_equal(result->fields[1]->type->id, TYPE_INT64);
    assert_non_null(strstr(metrics, "DataSourceExec"));
    assert_string_equal(run(plan_of(r_values(rows, 0, 1, NULL), "a b")), "");
    struct msg mask = put_msg(put_msg(MSG, 3, x_call("gt", x_field(1), x_int(1))), 4, put_msg(MSG, 1, put_msg(MSG, 1, MSG)));
    assert_string_equal(run(plan_of(r_values(rows, 4, 1, &mask), "a")), "y\n");
    struct msg computed[] = {x_text("z"), x_call("add", x_int(1), x_int(2))};
    assert_string_equal(run(plan_of(r_values(computed, 2, 2, NULL), "a b")), "z 3\n");
    /* No columns: one row, and an expression can be asked for. */
    struct msg one = put_msg(MSG, 1, put_msg(put_msg(MSG, 2, put_msg(MSG, 2, MSG)), 5, put_msg(MSG, 1, MSG))), v = x_int(7);
    assert_string_equal(run(plan_of(r_project(one, 0, &v, 1), "v")), "7\n");
    rows[1] = literal_body(x_text("no number"));
    assert_non_null(strstr(run(plan_of(r_values(rows, 2, 1, NULL), "a b")), "no number"));
    assert_non_null(strstr(run(plan_of(put_msg(MSG, 1, put_msg(MSG, 2, MSG)), "")), "names no table"));
}

static void test_union(void **state)
{
    struct msg rows[] = {literal_body(x_text("x")), literal_body(x_int(1))}, hv[] = {x_field(0), x_field(2)}, hf[] = {x_field(0), x_field(3)};
    (void)state;
    struct msg set = put_msg(put_msg(MSG, 2, r_values(rows, 2, 1, NULL)), 2, r_project(read_all(), 5, hv, 2));
    struct msg all = put_msg(MSG, 8, put_uint(put_msg(set, 2, r_project(read_all(), 5, hv, 2)), 3, 6));
    run(plan_of(all, "a b"));
    assert_ptr_equal(strstr(text, "x 1\na 10\na 20\nb NULL\n"), text);
    assert_non_null(strstr(metrics, "{\"plan\":\"UnionExec\",\"level\":0"));
    assert_non_null(strstr(metrics, "SeqScan"));
    struct msg count = measure("count", NULL, 0, NULL, NULL, false);
    assert_string_equal(run(plan_of(r_aggregate(all, NULL, 0, NULL, &count, 1), "n")), "13\n");
    assert_string_equal(run(plan_of(r_fetch(all, 0, x_int(2)), "a b")), "x 1\na 10\n");
    assert_non_null(strstr(run(plan_of(put_msg(MSG, 8, put_uint(set, 3, 5)), "a b")), "set operation 5"));
    struct msg narrow = put_msg(put_msg(MSG, 2, r_values(rows, 2, 1, NULL)), 2, r_project(read_all(), 5, hv, 1));
    assert_non_null(strstr(run(plan_of(put_msg(MSG, 8, put_uint(narrow, 3, 6)), "a b")), "2 and 1 columns"));
    struct msg other = put_msg(put_msg(MSG, 2, r_values(rows, 2, 1, NULL)), 2, r_project(read_all(), 5, hf, 2));
    assert_non_null(strstr(run(plan_of(put_msg(MSG, 8, put_uint(other, 3, 6)), "a b")), "Int64 and Float64"));
}

static void test_exchange(void **state)
{
    struct msg hv[] = {x_field(0), x_field(2)}, emit = put_msg(MSG, 2, put_bytes(MSG, 1, "\1", 1));
    (void)state;
    struct msg in = put_msg(MSG, 2, r_project(read_all(), 5, hv, 2));
    assert_ptr_equal(strstr(run(plan_of(put_msg(MSG, 15, in), "a b")), "a 10\na 20\n"), text);
    assert_ptr_equal(strstr(run(plan_of(put_msg(MSG, 15, put_msg(in, 1, emit)), "b")), "10\n20\n"), text);
}

/* Texts and numbers of EXPLAIN ANALYZE. */
static void test_metrics(void **state)
{
    struct msg host = x_field(0), v = x_field(2), ms[] = {measure("sum", &v, 1, NULL, NULL, false)}, by_h = sort_field(x_field(0), 2);
    struct msg cond = x_call("and", x_call("gt", x_call("multiply", x_call("add", x_field(2), x_int(1)), x_int(2)), x_int(3)),
                             x_call("equal", x_field(0), x_text("a")));
    (void)state;
    run(plan_of(r_fetch(r_sort(r_aggregate(r_filter(read_all(), cond), &host, 1, NULL, ms, 1), &by_h, 1), 0, x_int(5)), "h s"));
    static const char *const parts[] = {
        "\"level\":0", "GlobalLimitExec: skip=0, fetch=5", "SortExec: TopK(fetch=5), expr=[host@0 ASC NULLS LAST], preserve_partitioning=[false]",
        "\"spill_count\",0", "AggregateExec: mode=Single, gby=[host@", "aggr=[sum(v)]", "FilterExec: (v@", " + 1) * 2 > 3 AND host@", " = a",
        "SeqScan: region=4398046511104(1024, 0), {\\\"partition_count\\\":{\\\"count\\\":0, \\\"mem_ranges\\\":0, \\\"files\\\":0, \\\"file_ranges\\\":0}, "
        "\\\"projection\\\": [\\\"host\\\", \\\"v\\\"], \\\"filters\\\": [\\\"host = Utf8(\\\\\\\"a\\\\\\\")\\\"]}",
        "[[\"output_rows\",6],[\"elapsed_compute\",", "[\"mem_used\",", "[\"output_bytes\",", "[\"output_batches\",", "\"scan_cost\""};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(metrics, parts[i]))
            fail_msg("%s is not in %s", parts[i], metrics);
    assert_null(strstr(metrics, "\"memory_usage\":0"));
    struct msg later = x_call("gt", x_field(1), x_literal(34, put_uint(put_uint(MSG, 1, 3), 2, 5)));
    run(plan_of(r_filter(read_all(), later), "h t v f s"));
    assert_non_null(strstr(metrics, "FilterExec: ts@1 > 5\""));
    assert_non_null(strstr(metrics, "\\\"filters\\\": [\\\"ts > TimestampMillisecond(5, None)\\\"]"));
}

static void test_errors(void **state)
{
    struct msg v = x_field(2), ms[] = {measure("no_such_aggregate", &v, 1, NULL, NULL, false)}, bad = x_field(9);
    struct plan_column missing[] = {{"nope", 7}};
    struct query *q;
    (void)state;
    assert_non_null(strstr(run(plan_of(r_aggregate(read_all(), NULL, 0, NULL, ms, 1), "x")), "no_such_aggregate"));
    assert_non_null(strstr(run(plan_of(r_project(read_all(), 5, &bad, 1), "x")), "column 9"));
    assert_non_null(strstr(run(plan_of(r_read(missing, 1), "x")), "nope"));
    assert_non_null(strstr(run(plan_of(read_all(), "x")), "result columns"));
    assert_non_null(strstr(run(plan_of(put_msg(MSG, 6, MSG), "x")), "not supported"));
    struct query_options o = {.plan = (const uint8_t *)"\xff\xff", .plan_size = 2, .resolve = resolve, .work = &work};
    assert_int_equal(query_open(&o, &q, NULL), ST_INVALID_ARGUMENTS);
    /* kinds of errors as DataFusion names them */
    struct msg lengths = x_call("vec_l2sq_distance", x_text("[1]"), x_text("[1,2]")), zero;
    assert_non_null(strstr(run(plan_of(r_project(read_all(), 5, &lengths, 1), "x")), ": Execution error: vectors length not match: vec_l2sq_distance"));
    zero = x_call("divide", x_field(2), x_int(0));
    assert_non_null(strstr(run(plan_of(r_project(read_all(), 5, &zero, 1), "x")), ": Divide by zero error"));
    atomic_store(&work.cancelled, true);
    assert_non_null(strstr(run(plan_of(read_all(), "h t v f s")), "cancelled"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(test_read), CASE(test_filter_project), CASE(test_sort_fetch), CASE(test_sort_by_key), CASE(test_aggregate), CASE(test_aggregate_order), CASE(test_aggregate_shortcuts), CASE(test_grouping_sets), CASE(test_repeated_references), CASE(test_computed_keys_of_sets), CASE(test_moments_of_integers), CASE(test_filtered_arguments), CASE(test_rare_literals), CASE(test_virtual_table), CASE(test_union), CASE(test_exchange), CASE(test_metrics),
                                       CASE(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
