/* PromQL's nodes and functions through whole plans: the nodes against a model that looks at every sample for every point, on random series in random
 * batches; the functions against values worked out from their definitions (promql-nodes.md 4 to 8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>

#include "exec/query.h"
#include "memory_table.h"
#include "plan_writer.h"

enum { TS, HOST, V, W, ID, N_COLUMNS };
static const struct plan_column columns[] = {{"ts", 33}, {"host", 12}, {"v", 11}, {"w", 11}};

static struct memory_table *table;
static struct budget budget;
static struct work_context work;
static char text[1 << 18];

static int set_up(void **state)
{
    struct field *f[] = {field_new("ts", type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), false), field_new("host", type_of(TYPE_UTF8), true),
                         field_new("v", type_of(TYPE_FLOAT64), true), field_new("w", type_of(TYPE_FLOAT64), true),
                         field_new("id", type_of(TYPE_UINT64), true)};
    (void)state;
    budget_init(&budget, "query", "query.memory_limit", 256 << 20, NULL);
    work = (struct work_context){.budget = &budget};
    table = memory_table_new(schema_new(f, N_COLUMNS));
    for (int i = 0; i < N_COLUMNS; i++)
        field_unref(f[i]);
    table->dictionary[HOST] = true;
    return 0;
}

static void clear_rows(void)
{
    for (uint32_t i = 0; i < table->n_batches; i++)
        batch_unref(table->batches[i]);
    table->n_batches = 0;
}

static int tear_down(void **state)
{
    (void)state;
    memory_table_destroy(table);
    assert_int_equal(budget.used, 0);
    return 0;
}

static int resolve(void *ctx, const char *name, struct table **ret_table, struct error *err)
{
    (void)ctx;
    (void)name;
    (void)err;
    *ret_table = &table->base;
    return ST_OK;
}

/* As memory_print(), and windows as [a b c]. */
static void print_row(const struct batch *b, int64_t i)
{
    for (uint32_t k = 0; k < b->schema->n_fields; k++) {
        const struct column *c = b->columns[k];
        if (c->type->id != TYPE_RANGE) {
            memory_print(c, i, text, sizeof text);
        } else {
            struct range r = COLUMN_VALUES(c, struct range)[i];
            strcat(text, "[");
            for (uint32_t j = 0; j < r.length; j++) {
                strcat(text, j ? " " : "");
                memory_print(c->dictionary, r.offset + j, text, sizeof text);
            }
            strcat(text, "]");
        }
        strcat(text, k + 1 < b->schema->n_fields ? " " : "\n");
    }
}

static int open_query(struct msg plan, struct query **ret_query, struct error *err)
{
    struct query_options o = {.plan = plan.data, .plan_size = plan.size, .resolve = resolve, .work = &work};
    return query_open(&o, ret_query, err);
}

static const char *run(struct msg plan)
{
    struct error err = {0};
    struct query *q;
    struct batch *b;
    text[0] = 0;
    int st = open_query(plan, &q, &err);
    if (st == ST_OK) {
        while ((st = query_next(q, &b, &err)) == ST_OK && b) {
            for (int64_t i = 0; i < b->n_rows; i++)
                print_row(b, i);
            batch_unref(b);
        }
        query_free(q);
    }
    if (st != ST_OK)
        snprintf(text, sizeof text, "%s: %s", status_name(st), err.msg);
    return text;
}

/* ---- plans ---- */

static struct msg r_read_all(void)
{
    return r_read(columns, 4);
}

static struct msg r_divide(struct msg input, const char *tags, size_t n_tags)
{
    return r_extension("SeriesDivide", put_uint(put_bytes(MSG, 3, tags, n_tags), 4, TS), input);
}

static struct msg r_by_host(struct msg input)
{
    return r_divide(input, (const char[]){HOST}, 1);
}

static struct msg r_normalize(struct msg input, int64_t offset, bool filter_nan)
{
    return r_extension("SeriesNormalize", put_uint(put_uint(put_uint(MSG, 1, (uint64_t)offset), 3, filter_nan), 5, TS), input);
}

static struct msg grid(int64_t start, int64_t end, int64_t interval, int64_t span)
{
    return put_uint(put_uint(put_uint(put_uint(MSG, 1, (uint64_t)start), 2, (uint64_t)end), 3, (uint64_t)interval), 4, (uint64_t)span);
}

static struct msg r_instant(struct msg input, struct msg points, uint64_t field)
{
    return r_extension("InstantManipulate", put_uint(put_uint(points, 7, TS), 8, field), input);
}

static struct msg r_range(struct msg input, struct msg points)
{
    return r_extension("RangeManipulate", put_bytes(put_uint(points, 7, TS), 8, (const char[]){V}, 1), input);
}

static struct msg x_float(double v)
{
    struct msg m = MSG;
    m.data[m.size++] = 11 << 3 | PB_FIXED64;
    memcpy(m.data + m.size, &v, 8);
    m.size += 8;
    return put_msg(MSG, 1, m);
}

/* prom_<name>(ts_range, v, args...) over RangeManipulate's output: ts, host, v, w, ts_range. */
static struct msg x_over(const char *name, const struct msg *args, int n)
{
    struct msg all[4] = {x_field(4), x_field(V)};
    for (int i = 0; i < n; i++)
        all[2 + i] = args[i];
    return put_msg(MSG, 3, with_args(put_uint(MSG, 1, function_anchor(name)), 4, all, 2 + n));
}

/* ---- the model ---- */

struct sample {
    int64_t ts;
    int host;
    double v;
    bool null;
};

static struct sample samples[256];
static int n_samples;
static uint64_t seed;

static uint32_t rnd(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static int sample_order(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;
    return x->host != y->host ? x->host - y->host : (x->ts > y->ts) - (x->ts < y->ts);
}

static const char *host_name(int host)
{
    static const char *const names[] = {"NULL", "a", "b", "c", "d"};
    return names[host];
}

static void print_sample(const struct sample *s, char *out)
{
    if (s->null)
        sprintf(out, "NULL");
    else
        sprintf(out, "%g", s->v);
}

/* Random series in sorted order, handed to the table in batches cut at random; some values NULL or NaN. */
static void make_samples(bool specials)
{
    char rows[8192] = "", v[40];
    n_samples = 0;
    clear_rows();
    for (int host = 0; host < 5; host++) {
        int64_t ts = (int64_t)rnd(100) - 50;
        for (uint32_t n = rnd(4) ? rnd(30) : 0; n; n--) {
            uint32_t kind = rnd(10);
            samples[n_samples++] = (struct sample){ts, host, specials && kind == 0 ? NAN : (double)rnd(50), specials && kind == 1};
            ts += 1 + rnd(rnd(5) ? 10 : 200);
        }
    }
    qsort(samples, (size_t)n_samples, sizeof *samples, sample_order);
    for (int i = 0; i < n_samples; i++) {
        print_sample(&samples[i], v);
        sprintf(rows + strlen(rows), "%lld %s %s 1 %d\n", (long long)samples[i].ts, host_name(samples[i].host), v, samples[i].host);
        if (i + 1 == n_samples || (rnd(12) == 0 && table->n_batches < 60)) {
            memory_table_add(table, rows);
            rows[0] = 0;
        }
    }
}

/* The samples [*end of the series before, end) of the next series. */
static bool next_series(int *start, int *end)
{
    *start = *end;
    while (*end < n_samples && samples[*end].host == samples[*start].host)
        ++*end;
    return *start < *end;
}

static void model_instant(int64_t start, int64_t to, int64_t interval, int64_t lookback, bool field, char *out)
{
    int from, end = 0;
    char v[40];
    *out = 0;
    while (next_series(&from, &end))
        for (int64_t t = start; t <= to; t += interval) {
            const struct sample *best = NULL;
            for (int i = from; i < end; i++)
                if (samples[i].ts <= t)
                    best = &samples[i];
            if (!best || (best->ts != t && best->ts <= t - lookback) || (field && !best->null && isnan(best->v)))
                continue;
            print_sample(best, v);
            out += sprintf(out, "%lld %s %s 1\n", (long long)t, host_name(best->host), v);
        }
}

static void model_range(int64_t start, int64_t to, int64_t interval, int64_t range, char *out)
{
    int from, end = 0;
    char v[40];
    *out = 0;
    while (next_series(&from, &end)) {
        char *begin = out;
        bool any = false;
        for (int64_t t = start; t <= to; t += interval) {
            char window[4096] = "", times[4096] = "";
            if (t < samples[from].ts || t > samples[end - 1].ts + range)
                continue;
            for (int i = from; i < end; i++) {
                if (samples[i].ts <= t - range || samples[i].ts > t)
                    continue;
                print_sample(&samples[i], v);
                sprintf(window + strlen(window), "%s%s", window[0] ? " " : "", v);
                sprintf(times + strlen(times), "%s%lld", times[0] ? " " : "", (long long)samples[i].ts);
                any = true;
            }
            out += sprintf(out, "%lld %s [%s] 1 [%s]\n", (long long)t, host_name(samples[from].host), window, times);
        }
        if (!any)
            *(out = begin) = 0;
    }
}

static char expected[1 << 18];

static void test_instant_model(void **state)
{
    (void)state;
    for (seed = 1; seed < 200 * 2; seed += 2) {
        uint64_t saved = seed;
        make_samples(true);
        int64_t start = (int64_t)rnd(200) - 100, interval = 1 + rnd(20), end = start + rnd(400), lookback = rnd(3) ? rnd(60) : 0;
        bool field = rnd(2);
        model_instant(start, end, interval, lookback, field, expected);
        assert_string_equal(run(plan_of(r_instant(r_by_host(r_read_all()), grid(start, end, interval, lookback), field ? V : UINT64_MAX), "a b c d")),
                            expected);
        seed = saved;
    }
}

static void test_range_model(void **state)
{
    (void)state;
    for (seed = 1; seed < 200 * 2; seed += 2) {
        uint64_t saved = seed;
        make_samples(false);
        int64_t start = (int64_t)rnd(200) - 100, interval = 1 + rnd(20), end = start + rnd(600), range = rnd(60);
        model_range(start, end, interval, range, expected);
        assert_string_equal(run(plan_of(r_range(r_by_host(r_read_all()), grid(start, end, interval, range)), "a b c d e")), expected);
        seed = saved;
    }
}

/* ---- the nodes' rules one by one ---- */

/* The peer's own vector: samples at these seconds, in one series. */
static void add_vector(void)
{
    static const int at[] = {0, 30, 60, 90, 120, 180, 240, 241, 271, 291};
    char rows[1024] = "";
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        sprintf(rows + strlen(rows), "%d000 a %zu 1 1\n", at[i], i);
    clear_rows();
    memory_table_add(table, rows);
}

/* The first column of the rows, in seconds. */
static const char *seconds(const char *rows)
{
    static char out[1024];
    char *save = NULL, *copy = strdup(rows);
    out[0] = 0;
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        sprintf(out + strlen(out), "%lld ", strtoll(line, NULL, 10) / 1000);
    free(copy);
    return out;
}

static void test_vectors(void **state)
{
    (void)state;
    add_vector();
    assert_string_equal(seconds(run(plan_of(r_instant(r_by_host(r_read_all()), grid(0, 300000, 10000, 10000), V), "a b c d"))),
                        "0 30 60 90 120 180 240 250 280 300 ");
    assert_string_equal(seconds(run(plan_of(r_instant(r_by_host(r_read_all()), grid(0, 300000, 30000, 30000), V), "a b c d"))),
                        "0 30 60 90 120 180 240 270 300 ");
    assert_string_equal(run(plan_of(r_range(r_by_host(r_read_all()), grid(240000, 310000, 30000, 90000)), "a b c d e")),
                        "240000 a [5 6] 1 [180000 240000]\n270000 a [6 7] 1 [240000 241000]\n300000 a [6 7 8 9] 1 [240000 241000 271000 291000]\n");
    /* Windows without samples stay rows inside the grid. */
    assert_string_equal(run(plan_of(r_range(r_by_host(r_read_all()), grid(1, 10001, 3000, 1000)), "a b c d e")),
                        "1 a [0] 1 [0]\n3001 a [] 1 []\n6001 a [] 1 []\n9001 a [] 1 []\n");
    /* A grid that is not aligned to zero keeps its last point (7.4). */
    clear_rows();
    memory_table_add(table, "95 a 1 1 1\n100 a 2 1 1");
    assert_string_equal(run(plan_of(r_range(r_by_host(r_read_all()), grid(5, 200, 10, 8)), "a b c d e")), "95 a [1] 1 [95]\n105 a [2] 1 [100]\n");
    clear_rows();
    memory_table_add(table, "6 a 1 1 1\n167 a 2 1 1");
    assert_non_null(strstr(run(plan_of(r_range(r_by_host(r_read_all()), grid(10, 200, 5, 10)), "a b c d e")), "175 a [2] 1 [167]\n"));
}

static void test_normalize(void **state)
{
    (void)state;
    memory_table_add(table, "1 a 1 1 1\n2 a nan 1 1\n3 a NULL 1 1\n4 a 4 nan 1\n5 b 5 1 1");
    assert_string_equal(run(plan_of(r_normalize(r_by_host(r_read_all()), 100, true), "a b c d")), "101 a 1 1\n103 a NULL 1\n105 b 5 1\n");
    assert_string_equal(run(plan_of(r_normalize(r_by_host(r_read_all()), -1, false), "a b c d")),
                        "0 a 1 1\n1 a nan 1\n2 a NULL 1\n3 a 4 nan\n4 b 5 1\n");
    /* NaN in a column that nobody above looks at drops the row all the same. */
    struct msg exprs[] = {x_field(TS), x_field(V)};
    assert_string_equal(run(plan_of(r_project(r_normalize(r_by_host(r_read_all()), 0, true), 4, exprs, 2), "a b")), "1 1\n3 NULL\n5 5\n");
}

static void test_keys(void **state)
{
    static const struct plan_column with_id[] = {{"ts", 33}, {"host", 12}, {"v", 11}, {"w", 11}, {"id", 107}};
    struct msg read = r_read(with_id, 5);
    (void)state;
    /* Not sorted by any key: the division sorts. */
    memory_table_add(table, "1 a 1 1 2\n2 b 2 1 1\n3 a 3 1 2\n4 NULL 4 1 1\n5 b 5 1 1\n6 NULL 6 1 2");
    assert_string_equal(run(plan_of(r_instant(r_by_host(r_read_all()), grid(6, 6, 1, 100), UINT64_MAX), "a b c d")),
                        "6 NULL 6 1\n6 a 3 1\n6 b 5 1\n");
    assert_string_equal(run(plan_of(r_instant(r_divide(r_read_all(), NULL, 0), grid(6, 6, 1, 100), UINT64_MAX), "a b c d")), "6 NULL 6 1\n");
    assert_non_null(strstr(run(plan_of(r_by_host(r_read_all()), "a b c d")), "4 NULL 4 1\n6 NULL 6 1\n1 a 1 1\n3 a 3 1\n2 b 2 1\n5 b 5 1\n"));
    assert_string_equal(run(plan_of(r_instant(r_divide(read, (const char[]){ID}, 1), grid(6, 6, 1, 100), UINT64_MAX), "a b c d e")),
                        "6 b 5 1 1\n6 NULL 6 1 2\n");
    assert_non_null(strstr(run(plan_of(r_divide(read, (const char[]){V}, 1), "a b c d e")), "cannot use the column v of type Float64 as a tag"));
    assert_non_null(strstr(run(plan_of(r_divide(read, (const char[]){77}, 1), "a b c d e")), "SeriesDivide names column 77 of 5"));
}

/* A subquery keeps its series apart, through projection and filter, though the filter leaves little of each. */
static void test_subquery(void **state)
{
    (void)state;
    memory_table_add(table, "1 a 1 1 1\n2 a 2 1 1\n3 a 3 1 1");
    memory_table_add(table, "4 a 4 1 1\n1 b 10 1 1\n2 b 20 1 1\n3 b 30 1 1\n4 b 40 1 1");
    struct msg exprs[] = {x_field(TS), x_field(HOST), x_call("add", x_field(V), x_float(0.5)), x_field(W)};
    struct msg inner =
        r_filter(r_project(r_instant(r_by_host(r_read_all()), grid(1, 4, 1, 10), V), 4, exprs, 4), x_call("gt", x_field(V), x_float(2)));
    assert_string_equal(run(plan_of(r_range(inner, grid(4, 4, 1, 10)), "a b c d e")),
                        "4 a [2.5 3.5 4.5] 1 [2 3 4]\n4 b [10.5 20.5 30.5 40.5] 1 [1 2 3 4]\n");
    /* Behind an aggregation labels are what is no time, field or float. */
    struct msg keys[] = {x_field(TS), x_field(HOST)}, v = x_field(V), w = x_field(W);
    struct msg sums[] = {measure("sum", &v, 1, NULL, NULL, false), measure("max", &w, 1, NULL, NULL, false)};
    assert_string_equal(run(plan_of(r_range(r_aggregate(r_read_all(), keys, 2, NULL, sums, 2), grid(3, 3, 1, 2)), "a b c d e")),
                        "3 a [2 3] 1 [2 3]\n3 b [20 30] 1 [2 3]\n");
}

static void test_errors(void **state)
{
    struct msg by_v = sort_field(x_field(V), 1), v = x_field(V);
    struct msg range = r_range(r_by_host(r_read_all()), grid(0, 9, 1, 5));
    (void)state;
    memory_table_add(table, "1 a 1 1 1");
    assert_non_null(strstr(run(plan_of(r_instant(r_by_host(r_read_all()), grid(0, 9, 0, 5), V), "a b c d")), "interval 0"));
    assert_non_null(strstr(run(plan_of(r_instant(r_by_host(r_read_all()), grid(0, 9, -1, 5), V), "a b c d")), "interval -1"));
    assert_non_null(
        strstr(run(plan_of(r_instant(r_by_host(r_read_all()), grid(0, 9, 1, 5), 4), "a b c d")), "InstantManipulate names column 4 of 4"));
    assert_non_null(strstr(run(plan_of(r_extension("EmptyMetric", MSG, r_read_all()), "a b c d")), "EmptyMetric"));
    assert_non_null(strstr(run(plan_of(r_extension("SeriesDivide", put_bytes(MSG, 3, "\xff", 1), r_read_all()), "a b c d")), "malformed"));
    assert_non_null(strstr(run(plan_of(r_sort(range, &by_v, 1), "a b c d e")), "sorting by Dictionary(Int64, Float64)"));
    struct msg ms[] = {measure("first_value", &v, 1, NULL, NULL, false)};
    assert_non_null(strstr(run(plan_of(r_aggregate(range, NULL, 0, NULL, ms, 1), "x")), "range vector"));
    struct msg abs = x_call("add", x_field(V), x_field(V));
    assert_non_null(strstr(run(plan_of(r_project(range, 5, &abs, 1), "x")), "add cannot take a range vector"));
    struct msg swapped[] = {x_call("prom_sum_over_time", x_field(V), x_field(4))};
    assert_non_null(
        strstr(run(plan_of(r_project(range, 5, swapped, 1), "x")), "no function matches prom_sum_over_time(Dictionary(Int64, Float64), Dict"));
}

/* Extreme payloads end, or stop when cancelled, without memory. */
static void test_hostile(void **state)
{
    (void)state;
    memory_table_add(table, "-9223372036854775807 a 1 1 1\n0 a 2 1 1\n9223372036854775807 a 3 1 1");
    int64_t most = INT64_MAX, least = INT64_MIN;
    struct msg huge = grid(least, most, most, most);
    assert_string_equal(run(plan_of(r_instant(r_by_host(r_read_all()), huge, V), "a b c d")), "-1 a 1 1\n9223372036854775806 a 2 1\n");
    run(plan_of(r_range(r_by_host(r_read_all()), huge), "a b c d e"));
    assert_non_null(strstr(text, "-1 a [1] 1"));
    run(plan_of(r_range(r_by_host(r_read_all()), grid(least, most, most, least)), "a b c d e"));
    assert_string_equal(text, "");
    run(plan_of(r_instant(r_by_host(r_read_all()), grid(most, least, 1, least), V), "a b c d"));
    assert_string_equal(text, "");
    /* 2^63 points: comes in batches of bounded size. */
    struct query *q;
    struct batch *b;
    struct error err = {0};
    assert_int_equal(open_query(plan_of(r_range(r_by_host(r_read_all()), grid(0, most, 1, most)), "a b c d e"), &q, &err), ST_OK);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(query_next(q, &b, &err), ST_OK);
        assert_int_equal(b->n_rows, 8192);
        batch_unref(b);
    }
    assert_true(budget.peak < 16 << 20);
    work.cancelled = true;
    assert_int_equal(query_next(q, &b, &err), ST_CANCELLED);
    query_free(q);
}

/* ---- functions ---- */

/* prom_<name> on the one window (to - range, to] of series a. */
static double over(const char *name, int64_t to, int64_t range, const struct msg *args, int n_args)
{
    struct msg call = x_over(name, args, n_args);
    const char *out = run(plan_of(r_project(r_range(r_by_host(r_read_all()), grid(to, to, 1, range)), 5, &call, 1), "x"));
    if (strcmp(out, "NULL\n") == 0)
        return -12345; /* stands for NULL */
    assert_null(strstr(out, ":"));
    return strtod(out, NULL);
}

#define NULL_VALUE                 (-12345.0)
#define near(got, want, tolerance) assert_true(fabs((got) - (want)) <= (tolerance))

static double extrapolate(const char *name, int64_t to, int64_t range)
{
    struct msg args[] = {x_field(TS), x_int(5)};
    return over(name, to, range, args, 2);
}

static void one_series(const char *values)
{
    char rows[2048] = "", *save = NULL, *copy = strdup(values);
    int at = 1;
    for (char *v = strtok_r(copy, " ", &save); v; v = strtok_r(NULL, " ", &save))
        sprintf(rows + strlen(rows), "%d a %s 1 1\n", at++, v);
    clear_rows();
    memory_table_add(table, rows);
    free(copy);
}

static void test_extrapolation(void **state)
{
    (void)state;
    /* The peer's vectors; its windows (offset, length) here as (to - range, to], R = 5 ms in each. */
    one_series("1 2 3 4 5 6 7 8 9");
    near(extrapolate("prom_increase", 2, 2), 2.0, 1e-12);
    near(extrapolate("prom_rate", 2, 2), 400.0, 1e-9);
    near(extrapolate("prom_increase", 3, 2), 1.5, 1e-12);
    near(extrapolate("prom_rate", 3, 2), 300.0, 1e-9);
    near(extrapolate("prom_increase", 5, 5), 5.0, 1e-12);
    near(extrapolate("prom_increase", 6, 3), 2.5, 1e-12);
    near(extrapolate("prom_increase", 6, 1), NULL_VALUE, 0);
    one_series("1 2 3 4 1 2 3 4 5");
    near(extrapolate("prom_increase", 6, 2), 2.0, 1e-12);
    near(extrapolate("prom_delta", 5, 2), -4.5, 1e-12);
    near(extrapolate("prom_increase", 5, 2), 1.5, 1e-12);
}

static void test_over_time(void **state)
{
    struct msg q[] = {x_float(0.5)}, low[] = {x_float(-1)}, high[] = {x_float(2)}, none[] = {x_text("x")}, ahead[] = {x_int(1)};
    (void)state;
    one_series("4 2 8 8 1");
    near(over("prom_sum_over_time", 5, 5, NULL, 0), 23, 0);
    near(over("prom_avg_over_time", 5, 5, NULL, 0), 4.6, 1e-5);
    near(over("prom_min_over_time", 5, 5, NULL, 0), 1, 0);
    near(over("prom_max_over_time", 5, 5, NULL, 0), 8, 0);
    near(over("prom_count_over_time", 5, 3, NULL, 0), 3, 0);
    near(over("prom_last_over_time", 4, 3, NULL, 0), 8, 0);
    near(over("prom_present_over_time", 4, 3, NULL, 0), 1, 0);
    near(over("prom_absent_over_time", 4, 3, NULL, 0), NULL_VALUE, 0);
    near(over("prom_changes", 5, 5, NULL, 0), 3, 0);
    near(over("prom_resets", 5, 5, NULL, 0), 2, 0);
    near(over("prom_idelta", 5, 5, NULL, 0), -7, 0);
    near(over("prom_irate", 5, 5, NULL, 0), 1000, 0); /* the counter started again at 1, a millisecond ago */
    near(over("prom_stdvar_over_time", 5, 5, NULL, 0), 8.64, 1e-5);
    near(over("prom_stddev_over_time", 5, 5, NULL, 0), 2.93939, 1e-5);
    near(over("prom_quantile_over_time", 5, 5, q, 1), 4, 0);
    assert_true(over("prom_quantile_over_time", 5, 5, low, 1) < -1e300);
    assert_true(over("prom_quantile_over_time", 5, 5, high, 1) > 1e300);
    assert_true(isnan(over("prom_quantile_over_time", 5, 5, none, 1)));
    /* Slope over x = 0 .. 4 ms: Sxy - Sx Sy / N = -0.002, variance 1e-5. */
    near(over("prom_deriv", 5, 5, NULL, 0), 0.0, 1e-6);
    one_series("1 3 5 7");
    near(over("prom_deriv", 4, 4, NULL, 0), 2000, 1e-3);
    near(over("prom_predict_linear", 4, 4, ahead, 1), 2007, 1e-2);
    one_series("5 5 5");
    near(over("prom_deriv", 3, 3, NULL, 0), 0, 0);
    near(over("prom_deriv", 3, 1, NULL, 0), NULL_VALUE, 0);
    /* y = (1-sf)(s1+b) + sf v with sf = tf = 0.5 over 1 2 4: 1; 0.5*2 + 0.5*(1+1) = 2; b = 0.5*1 + 0.5*1 = 1; 0.5*4 + 0.5*3 = 3.5 */
    one_series("1 2 4");
    struct msg factors[] = {x_float(0.5), x_float(0.5)}, wrong[] = {x_float(1.5), x_float(0.5)};
    near(over("prom_double_exponential_smoothing", 3, 3, factors, 2), 3.5, 0);
    near(over("prom_holt_winters", 3, 3, factors, 2), 3.5, 0);
    assert_true(over("prom_holt_winters", 3, 3, wrong, 2) > 1e300);
    assert_true(isnan(over("prom_holt_winters", 3, 2, factors, 2)));
}

/* A null sample is absent, but counts where the peer counts slots. */
static void test_nulls(void **state)
{
    (void)state;
    one_series("NULL 4 NULL 6 NULL");
    near(over("prom_sum_over_time", 5, 5, NULL, 0), 10, 0);
    near(over("prom_avg_over_time", 5, 5, NULL, 0), 2, 0);
    near(over("prom_count_over_time", 5, 5, NULL, 0), 5, 0);
    near(over("prom_last_over_time", 5, 5, NULL, 0), 6, 0);
    near(over("prom_idelta", 5, 5, NULL, 0), 2, 0);
    near(over("prom_irate", 5, 5, NULL, 0), 1000, 0);
    near(over("prom_max_over_time", 3, 1, NULL, 0), NULL_VALUE, 0);
    near(over("prom_present_over_time", 3, 1, NULL, 0), 1, 0);
    near(over("prom_stdvar_over_time", 5, 5, NULL, 0), 1, 0);
}

/* Rows whose window is empty: absent answers 1, quantile NaN, the others NULL. */
static void test_empty_window(void **state)
{
    struct msg q[] = {x_float(0.5)};
    struct msg calls[] = {x_over("prom_absent_over_time", NULL, 0), x_over("prom_quantile_over_time", q, 1), x_over("prom_sum_over_time", NULL, 0)};
    (void)state;
    memory_table_add(table, "1 a 1 1 1\n9 a 2 1 1");
    assert_string_equal(run(plan_of(r_project(r_range(r_by_host(r_read_all()), grid(1, 5, 4, 2)), 5, calls, 3), "a b c")), "NULL 1 1\n1 nan NULL\n");
}

static void test_round(void **state)
{
    struct msg v = x_field(V);
    (void)state;
    memory_table_add(table, "1 a 2.5 1 1\n2 a -2.5 1 1\n3 a 7.3 1 1\n4 a NULL 1 1");
    struct msg calls[] = {x_call("prom_round", v, x_float(0)), x_call("prom_round", v, x_float(0.5)), x_call("prom_round", v, x_float(5))};
    assert_string_equal(run(plan_of(r_project(r_read_all(), 4, calls, 3), "a b c")), "3 2.5 5\n-3 -2.5 -5\n7 7.5 5\nNULL NULL NULL\n");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(test_instant_model), CASE(test_range_model), CASE(test_vectors), CASE(test_normalize),
                                       CASE(test_keys),          CASE(test_subquery),    CASE(test_errors),  CASE(test_hostile),
                                       CASE(test_extrapolation), CASE(test_over_time),   CASE(test_nulls),   CASE(test_empty_window),
                                       CASE(test_round)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
