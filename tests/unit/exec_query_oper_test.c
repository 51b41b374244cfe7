/* Operators without expressions over a table in memory: aggregate, sort, top-k, limit, states, budgets and cancellation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "aggregate_oper.h"
#include "memory_table.h"

enum { HOST, TS, V, F, S, COLUMNS };

struct fixture {
    struct memory_table *table;
    struct budget budget;
    struct work_context work;
};

static struct schema *make_schema(void)
{
    struct kv meta = {(char *)"greptime:time_index", (char *)"true"};
    struct field *ts = field_new("ts", type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), false);
    struct field *f[COLUMNS] = {field_new("host", type_of(TYPE_UTF8), true), field_with_meta(ts, &meta, 1), field_new("v", type_of(TYPE_INT64), true),
                                field_new("f", type_of(TYPE_FLOAT64), true), field_new("s", type_of(TYPE_UTF8), true)};
    struct schema *s = schema_new(f, COLUMNS);
    field_unref(ts);
    for (int i = 0; i < COLUMNS; i++)
        field_unref(f[i]);
    return s;
}

static void set_up(struct fixture *x, bool dictionary)
{
    memset(x, 0, sizeof *x);
    budget_init(&x->budget, "query", "query.memory_limit", SIZE_MAX, NULL);
    x->work.budget = &x->budget;
    x->table = memory_table_new(make_schema());
    x->table->dictionary[HOST] = dictionary;
    memory_table_add(x->table, "a 1 10 1.5 x\na 2 20 NULL y\nb 3 NULL 2.5 NULL\nNULL 4 40 4 z");
    memory_table_add(x->table, "b 5 50 5 q\na 6 NULL nan p\nc 7 70 -0 NULL");
}

static void tear_down(struct fixture *x)
{
    assert_int_equal(x->budget.used, 0);
    memory_table_destroy(x->table);
}

static struct oper *scan(struct fixture *x)
{
    static const uint32_t all[COLUMNS] = {0, 1, 2, 3, 4};
    struct scan_request r = {.columns = all, .n_columns = COLUMNS, .limit = -1};
    struct oper *o;
    assert_int_equal(oper_scan_new(&x->work, &x->table->base, "t", &r, x->table->base.schema, &o, NULL), ST_OK);
    return o;
}

static char text[1 << 16];

static const char *drain(struct oper *o)
{
    struct error err = {0};
    struct batch *b;
    int st;
    text[0] = 0;
    while ((st = oper_next(o, &b, &err)) == ST_OK && b) {
        memory_print_batch(b, text, sizeof text);
        batch_unref(b);
    }
    if (st != ST_OK)
        snprintf(text, sizeof text, "%s: %s", status_name(st), err.msg);
    oper_free(o);
    return text;
}

static void test_grouped(void **state)
{
    static const uint32_t host[] = {HOST};
    static const struct want wants[] = {{"count", -1}, {"count", V}, {"sum", V}, {"avg", V}, {"min", F}, {"max", F}, {"max", S}, {"min", S}};
    (void)state;
    for (int dictionary = 0; dictionary < 2; dictionary++) {
        struct fixture x;
        set_up(&x, dictionary);
        assert_string_equal(drain(aggregate(scan(&x), host, 1, wants, 8)),
                            "a 3 2 30 15 1.5 nan y p\nb 2 1 50 50 2.5 5 q q\nNULL 1 1 40 40 4 4 z z\nc 1 1 70 70 -0 -0 NULL NULL\n");
        tear_down(&x);
    }
}

/* States of 16 KiB come out in batches of some MiB. */
static void test_large_states(void **state)
{
    static const uint32_t ts[] = {TS};
    static const struct want wants[] = {{"__approx_distinct_state", S}};
    static char rows[64000];
    struct fixture x;
    struct batch *b;
    int64_t total = 0;
    int batches = 0;
    (void)state;
    set_up(&x, false);
    for (int i = 100; i < 1593; i++)
        sprintf(rows + strlen(rows), "a %d 1 1 x%d\n", i, i);
    memory_table_add(x.table, rows);
    struct oper *o = aggregate(scan(&x), ts, 1, wants, 1);
    for (;; batches++) {
        assert_int_equal(oper_next(o, &b, NULL), ST_OK);
        if (!b)
            break;
        assert_in_range(b->n_rows, 1, 512);
        total += b->n_rows;
        batch_unref(b);
    }
    assert_int_equal(total, 1500);
    assert_int_equal(batches, 3);
    oper_free(o);
    tear_down(&x);
}

static void test_global_and_empty(void **state)
{
    static const struct want wants[] = {{"count", -1},        {"__sum_state", V}, {"__avg_state", V}, {"max", S}, {"__last_value_state", V, true, TS},
                                        {"__count_state", V}, {"first_value", S}, {"stddev_pop", F}};
    static const uint32_t host[] = {HOST};
    struct fixture x;
    (void)state;
    set_up(&x, true);
    assert_string_equal(drain(aggregate(scan(&x), NULL, 0, wants, 7)), "7 {190} {5,190} z {70,7,true} {5} x\n");
    for (uint32_t i = 0; i < x.table->n_batches; i++)
        batch_unref(x.table->batches[i]);
    x.table->n_batches = 0;
    assert_string_equal(drain(aggregate(scan(&x), NULL, 0, wants, 8)), "0 {NULL} {0,NULL} NULL {NULL,NULL,false} {0} NULL NULL\n");
    assert_string_equal(drain(aggregate(scan(&x), host, 1, wants, 8)), "");
    tear_down(&x);
}

static void test_state_layout(void **state)
{
    struct sort_spec asc = {false, false};
    struct fixture x;
    (void)state;
    set_up(&x, false);
    struct field *ts = x.table->base.schema->fields[TS];
    struct agg_call c = {.name = "__last_value_state", .n_args = 1, .args = {type_of(TYPE_FLOAT64)}, .n_sorts = 1, .sorts = &asc, .sort_fields = &ts};
    assert_int_equal(agg_call_resolve(&c, NULL), ST_OK);
    assert_int_equal(c.result->n_children, 3);
    assert_string_equal(c.result->children[0]->name, "last_value[last_value]");
    assert_string_equal(c.result->children[1]->name, "ts");
    assert_true(c.result->children[1]->nullable);
    assert_string_equal(field_meta_get(c.result->children[1], "greptime:time_index"), "true");
    assert_string_equal(c.result->children[2]->name, "last_value[last_value_is_set]");
    agg_call_release(&c);
    struct agg_call unknown = {.name = "no_such"};
    assert_int_equal(agg_call_resolve(&unknown, NULL), ST_UNEXPECTED);
    tear_down(&x);
}

/* Plans may call functions by any of DataFusion's names, in any case; what a state's children are called does not change. */
static void test_aliases(void **state)
{
    static const struct { const char *alias, *name; } pairs[] = {{"mean", "avg"}, {"covar", "covar_samp"}, {"stddev_samp", "stddev"}, {"var_samp", "var"},
        {"var_sample", "var"}, {"var_population", "var_pop"}, {"SUM", "sum"}, {"__Var_Samp_State", "var"}};
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct dtype *f64 = type_of(TYPE_FLOAT64);
        struct agg_call c = {.name = pairs[i].alias, .n_args = strcmp(pairs[i].name, "covar_samp") == 0 ? 2 : 1, .args = {f64, f64}};
        assert_int_equal(agg_call_resolve(&c, NULL), ST_OK);
        assert_string_equal(c.function->name, pairs[i].name);
        assert_int_equal(c.state, i == 7);
        if (c.state)
            assert_string_equal(c.result->children[0]->name, "var[count]");
        agg_call_release(&c);
    }
}

static void test_ordered(void **state)
{
    static const uint32_t host[] = {HOST};
    static const struct want wants[] = {{"last_value", V, true, TS},
                                        {"first_value", V, true, TS, true},
                                        {"first_value", S, true, TS},
                                        {"last_value", S, true, HOST},
                                        {"last_value", HOST}};
    struct fixture x;
    (void)state;
    set_up(&x, true);
    assert_string_equal(drain(aggregate(scan(&x), host, 1, wants, 5)),
                        "a NULL NULL x x a\nb 50 50 NULL NULL b\nNULL 40 40 z z NULL\nc 70 70 NULL NULL c\n");
    tear_down(&x);
}

static void test_distinct_and_sets(void **state)
{
    static const uint32_t keys[] = {HOST, V};
    static const uint8_t sets[] = {1, 1, 1, 0, 0, 0};
    static const struct want wants[] = {{"count", HOST, .distinct = true}, {"sum", V, .distinct = true}};
    struct fixture x;
    (void)state;
    set_up(&x, true);
    memory_table_add(x.table, "a 9 10 0 x");
    assert_string_equal(drain(aggregate(scan(&x), NULL, 0, wants, 2)), "3 190\n");
    assert_string_equal(drain(aggregate(scan(&x), keys, 1, wants + 1, 1)), "a 30\nb 50\nNULL 40\nc 70\n");
    assert_string_equal(drain(aggregate_as(scan(&x), (struct oper_aggregate_spec){keys, 2, sets, 3}, (const struct want[]){{"count", -1}}, 1)),
                        "a 10 0 2\na 20 0 1\nb NULL 0 1\nNULL 40 0 1\na NULL 1 4\nb NULL 1 2\nNULL NULL 1 1\nNULL NULL 3 8\n"
                        "b 50 0 1\na NULL 0 1\nc 70 0 1\nc NULL 1 1\n");
    assert_string_equal(drain(aggregate(scan(&x), keys, 1, NULL, 0)), "a\nb\nNULL\nc\n");
    tear_down(&x);
}

static struct oper *sorted(struct oper *input, uint32_t column, bool descending, bool nulls_first, int64_t limit)
{
    struct oper_sort_key keys[] = {{column, {descending, nulls_first}}, {TS, {false, false}}};
    struct oper *o;
    assert_int_equal(oper_sort_new(input, keys, 2, limit, &o, NULL), ST_OK);
    return o;
}

/* The ts column of the rows that come out. */
static const char *order_of(struct oper *o)
{
    static const uint32_t ts[] = {TS};
    static const struct want wants[] = {{"count", -1}};
    static char line[256];
    const char *all = drain(aggregate(o, ts, 1, wants, 1));
    line[0] = 0;
    for (const char *p = all; *p; p = strchr(p, '\n') + 1)
        snprintf(line + strlen(line), sizeof line - strlen(line), "%ld", strtol(p, NULL, 10));
    return line;
}

static void test_sort(void **state)
{
    struct fixture x;
    (void)state;
    set_up(&x, true);
    assert_string_equal(order_of(sorted(scan(&x), HOST, false, true, -1)), "4126357");
    assert_string_equal(order_of(sorted(scan(&x), HOST, true, false, -1)), "7351264");
    assert_string_equal(order_of(sorted(scan(&x), V, false, false, -1)), "1245736");
    assert_string_equal(order_of(sorted(scan(&x), V, true, true, 4)), "3675");
    assert_string_equal(order_of(sorted(scan(&x), F, false, false, -1)), "7134562");
    assert_string_equal(order_of(sorted(scan(&x), S, true, true, -1)), "3742156");
    assert_string_equal(order_of(sorted(scan(&x), S, false, false, 2)), "65");
    assert_string_equal(order_of(sorted(scan(&x), S, false, false, 0)), "");
    tear_down(&x);
}

/* Batches of a few long texts, oldest row first. */
struct texts_oper {
    struct oper base;
    int64_t at;
};

enum { TEXT_BYTES = 1 << 20, TEXT_ROWS = 4, TEXT_BATCHES = 48 };

static int texts_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct texts_oper *o = (struct texts_oper *)base;
    struct column_builder ts, s;
    struct column *columns[2];
    char *bytes = malloc(TEXT_BYTES);
    *ret_batch = NULL;
    memset(bytes, 'x', TEXT_BYTES);
    if (o->at < TEXT_ROWS * TEXT_BATCHES) {
        assert_int_equal(column_builder_init(&ts, NULL, type_of(TYPE_INT64), err), ST_OK);
        assert_int_equal(column_builder_init(&s, NULL, type_of(TYPE_UTF8), err), ST_OK);
        for (int64_t end = o->at + TEXT_ROWS; o->at < end; o->at++) {
            assert_int_equal(column_builder_append_fixed(&ts, &o->at, err), ST_OK);
            assert_int_equal(column_builder_append_bytes(&s, bytes, TEXT_BYTES, err), ST_OK);
        }
        assert_int_equal(column_builder_finish(&ts, &columns[0], err), ST_OK);
        assert_int_equal(column_builder_finish(&s, &columns[1], err), ST_OK);
        column_builder_release(&ts);
        column_builder_release(&s);
        assert_int_equal(batch_new(base->schema, TEXT_ROWS, columns, ret_batch, err), ST_OK);
    }
    free(bytes);
    return ST_OK;
}

static void texts_free(struct oper *o)
{
    free(o);
}

/* ORDER BY time DESC LIMIT 2 holds a few of them, not tens of thousands. */
static void test_topk_of_long_texts(void **state)
{
    static const struct oper_ops ops = {texts_next, texts_free, NULL, NULL};
    static const struct oper_sort_key newest = {.column = 0, .spec = {.descending = true}};
    struct field *f[] = {field_new("ts", type_of(TYPE_INT64), false), field_new("s", type_of(TYPE_UTF8), true)};
    struct budget budget;
    struct work_context work = {.budget = &budget};
    struct texts_oper *texts = calloc(1, sizeof *texts);
    struct oper *o;
    struct batch *b;
    struct error err = {0};
    (void)state;
    budget_init(&budget, "query", "query.memory_limit", (size_t)TEXT_BYTES * TEXT_ROWS * TEXT_BATCHES / 2, NULL);
    texts->base = (struct oper){.ops = &ops, .schema = schema_new(f, 2), .work = &work};
    assert_int_equal(oper_sort_new(&texts->base, &newest, 1, 2, &o, NULL), ST_OK);
    if (oper_next(o, &b, &err) != ST_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(b->n_rows, 2);
    assert_int_equal(COLUMN_VALUES(b->columns[0], int64_t)[0], TEXT_ROWS * TEXT_BATCHES - 1);
    assert_int_equal(COLUMN_VALUES(b->columns[0], int64_t)[1], TEXT_ROWS * TEXT_BATCHES - 2);
    batch_unref(b);
    assert_int_equal(oper_next(o, &b, &err), ST_OK);
    assert_null(b);
    oper_free(o);
    field_unref(f[0]);
    field_unref(f[1]);
    assert_int_equal(budget.used, 0);
}

static void test_topk_large(void **state)
{
    struct fixture x;
    (void)state;
    set_up(&x, false);
    char *rows = malloc(1 << 20);
    uint64_t seed = 7;
    for (int b = 0; b < 20; b++) {
        size_t n = 0;
        for (int i = 0; i < 5000; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            n += (size_t)sprintf(rows + n, "h%d %d %d 1 s\n", i % 7, b * 5000 + i + 100, (int)(seed >> 40) + 100);
        }
        memory_table_add(x.table, rows);
    }
    free(rows);
    struct oper *o = sorted(scan(&x), V, false, true, 10), *all = sorted(scan(&x), V, false, true, -1), *cut;
    char top[4096];
    snprintf(top, sizeof top, "%s", drain(o));
    assert_int_equal(oper_limit_new(all, 0, 10, &cut, NULL), ST_OK);
    assert_string_equal(top, drain(cut));
    static const struct want wants[] = {{"count", -1}};
    static const uint32_t ts[] = {TS};
    assert_int_equal(oper_limit_new(aggregate(scan(&x), ts, 1, wants, 1), 99999, -1, &cut, NULL), ST_OK);
    drain(cut);
    int lines = 0;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 8);
    tear_down(&x);
}

static void test_limit_stops_pulling(void **state)
{
    struct fixture x;
    struct oper *o;
    (void)state;
    set_up(&x, false);
    assert_int_equal(oper_limit_new(scan(&x), 1, 2, &o, NULL), ST_OK);
    assert_string_equal(drain(o), "a 2 20 NULL y\nb 3 NULL 2.5 NULL\n");
    assert_int_equal(x.table->pulled, 1);
    assert_int_equal(oper_limit_new(scan(&x), 3, 2, &o, NULL), ST_OK);
    assert_string_equal(drain(o), "NULL 4 40 4 z\nb 5 50 5 q\n");
    tear_down(&x);
}

static void test_stops(void **state)
{
    static const uint32_t keys[] = {HOST, TS};
    static const struct want wants[] = {{"last_value", S, true, TS}, {"max", S}};
    struct fixture x;
    (void)state;
    set_up(&x, true);
    atomic_store(&x.work.cancelled, true);
    assert_non_null(strstr(drain(sorted(scan(&x), V, false, false, -1)), "cancelled by the client"));
    atomic_store(&x.work.cancelled, false);
    for (size_t limit = 64; limit < 40000; limit += limit / 3 + 50) {
        x.budget.limit = limit;
        drain(aggregate(scan(&x), keys, 2, wants, 2));
        if (strchr(text, ':'))
            assert_non_null(strstr(text, "query.memory_limit"));
        assert_int_equal(x.budget.used, 0);
        drain(sorted(scan(&x), S, false, false, 2));
        assert_int_equal(x.budget.used, 0);
    }
    tear_down(&x);
}

/* Averages of integers are what adding them as doubles one after another gives, bit by bit, however large they are. */
static void test_integer_averages(void **state)
{
    enum { N = 20000 };
    static const uint32_t lengths[] = {1, 3, 100, 8192, 8193, N};
    static const int shifts[] = {7, 39, 40, 41, 53, 62};
    struct budget budget;
    (void)state;
    budget_init(&budget, "query", "knob", SIZE_MAX, NULL);
    for (int k = 0; k < 12; k++) {
        struct agg_call call = {.name = "__avg_state", .n_args = 1, .args = {type_of(k % 2 ? TYPE_INT64 : TYPE_UINT64)}};
        struct buffer *values;
        struct column *c, *result;
        struct agg *a;
        uint64_t seed = (uint64_t)k + 1;
        assert_int_equal(buffer_new_uninit(&budget, N * 8, &values, NULL), ST_OK);
        int64_t *v = (int64_t *)(void *)values->data;
        for (int i = 0; i < N; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            v[i] = (int64_t)(seed >> (64 - shifts[k / 2]));
            v[i] = k % 2 && (seed & 4) ? -v[i] : v[i];
        }
        assert_int_equal(column_new(call.args[0], N, 0, NULL, values, NULL, &c, NULL), ST_OK);
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            uint32_t starts[2] = {0, lengths[l]};
            struct agg_rows rows = {.n = lengths[l], .starts = starts, .n_runs = 1};
            double want = 0;
            for (uint32_t i = 0; i < lengths[l]; i++)
                want += k % 2 ? (double)v[i] : (double)(uint64_t)v[i];
            assert_int_equal(agg_call_resolve(&call, NULL), ST_OK);
            assert_int_equal(agg_open(&call, &budget, &a, NULL), ST_OK);
            assert_int_equal(call.function->reserve(a, 1, NULL), ST_OK);
            assert_int_equal(call.function->update(a, &c, &rows, NULL), ST_OK);
            assert_int_equal(agg_result(a, 0, 1, &result, NULL), ST_OK);
            assert_memory_equal(COLUMN_VALUES(result->children[1], double), &want, sizeof want);
            column_unref(result);
            agg_free(a);
            agg_call_release(&call);
            call = (struct agg_call){.name = "__avg_state", .n_args = 1, .args = {call.args[0]}};
        }
        column_unref(c);
    }
    assert_int_equal(budget_used(&budget), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_grouped), cmocka_unit_test(test_global_and_empty), cmocka_unit_test(test_state_layout), cmocka_unit_test(test_aliases),
                                       cmocka_unit_test(test_ordered), cmocka_unit_test(test_distinct_and_sets), cmocka_unit_test(test_sort),
                                       cmocka_unit_test(test_topk_large), cmocka_unit_test(test_topk_of_long_texts), cmocka_unit_test(test_limit_stops_pulling), cmocka_unit_test(test_stops),
                                       cmocka_unit_test(test_large_states), cmocka_unit_test(test_integer_averages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
