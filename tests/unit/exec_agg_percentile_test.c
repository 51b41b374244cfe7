/* median, percentile_cont, quantile and the t-digest functions against sorting. */
#include <math.h>

#include "agg_run.h"
#include "exec/tdigest.h"

enum { GROUPS = 4, ROWS = 5000 };

static uint64_t seed = 1;

static uint64_t next_random(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 17;
}

static const double specials[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e308, -1e308, 5e-324};

struct sample {
    double values[ROWS];
    bool null[ROWS];
    uint32_t groups[ROWS];
    int64_t n;
};

/* Groups 0 to 2 of very different sizes; 3 stays empty. */
static void make_sample(struct sample *s, int64_t n, bool with_specials)
{
    s->n = n;
    for (int64_t i = 0; i < n; i++) {
        uint64_t r = next_random();
        s->values[i] = with_specials && r % 7 == 0 ? specials[r / 7 % 8] : (double)(int64_t)(r % 100000) / 8 - 3000;
        s->null[i] = r % 11 == 0;
        s->groups[i] = r % 97 < 90 ? 0 : r % 97 < 95 ? 1 : 2;
    }
}

static struct column *column_of(const struct sample *s, int64_t from, int64_t n, enum type_id id)
{
    struct column_builder b;
    struct column *c;
    assert_int_equal(column_builder_init(&b, NULL, type_of(id), NULL), ST_OK);
    for (int64_t i = from; i < from + n; i++) {
        float f = (float)s->values[i];
        int32_t whole = (int32_t)s->values[i];
        const void *v = id == TYPE_FLOAT64 ? (const void *)&s->values[i] : id == TYPE_FLOAT32 ? (const void *)&f : (const void *)&whole;
        assert_int_equal(s->null[i] ? column_builder_append_null(&b, NULL) : column_builder_append_fixed(&b, v, NULL), ST_OK);
    }
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    column_builder_release(&b);
    return c;
}

static int total_order(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    x = total_order64(x);
    y = total_order64(y);
    return (x > y) - (x < y);
}

/* The values of a group, sorted. */
static size_t sorted_group(const struct sample *s, uint32_t group, enum type_id id, double *out)
{
    size_t n = 0;
    for (int64_t i = 0; i < s->n; i++)
        if (!s->null[i] && s->groups[i] == group)
            out[n++] = id == TYPE_FLOAT64 ? s->values[i] : id == TYPE_FLOAT32 ? (double)(float)s->values[i] : (double)(int32_t)s->values[i];
    qsort(out, n, sizeof *out, total_order);
    return n;
}

static struct column *run_over(struct agg_run *r, const struct sample *s, enum type_id id, uint32_t value_arg)
{
    struct column *columns[4] = {0}, *c;
    if (agg_run_open(r) != ST_OK)
        fail_msg("%s", r->err.msg);
    for (int64_t from = 0, n; from < s->n; from += n) {
        n = s->n - from < 1700 ? s->n - from : 1700;
        columns[value_arg] = column_of(s, from, n, id);
        assert_int_equal(agg_run_feed(r, columns, n, s->groups + from, GROUPS), ST_OK);
        column_unref(columns[value_arg]);
    }
    assert_int_equal(r->agg->function->reserve(r->agg, GROUPS, NULL), ST_OK);
    assert_int_equal(agg_result(r->agg, 0, GROUPS, &c, &r->err), ST_OK);
    return c;
}

static double value_at(const struct column *c, int64_t i)
{
    return c->type->id == TYPE_FLOAT64   ? COLUMN_VALUES(c, double)[i]
           : c->type->id == TYPE_FLOAT32 ? (double)COLUMN_VALUES(c, float)[i]
                                         : (double)COLUMN_VALUES(c, int32_t)[i];
}

static void assert_same(double want, double got)
{
    if (isnan(want) ? !isnan(got) : want != got)
        fail_msg("want %.17g, got %.17g", want, got);
}

static void test_median(void **state)
{
    (void)state;
    static struct sample s;
    static double sorted[ROWS];
    static const enum type_id ids[] = {TYPE_INT32, TYPE_FLOAT32, TYPE_FLOAT64};
    for (int round = 0; round < 60; round++) {
        enum type_id id = ids[round % 3];
        make_sample(&s, round < 40 ? round : ROWS, id != TYPE_INT32);
        struct agg_run *r = agg_run_new("median");
        agg_arg(r, type_of(id));
        struct column *c = run_over(r, &s, id, 0);
        for (uint32_t g = 0; g < GROUPS; g++) {
            size_t n = sorted_group(&s, g, id, sorted);
            assert_int_equal(column_is_null(c, g), n == 0);
            if (n && id == TYPE_INT32)
                assert_same(n % 2 ? sorted[n / 2] : trunc((sorted[n / 2 - 1] + sorted[n / 2]) / 2), value_at(c, g));
            else if (n && id == TYPE_FLOAT32)
                assert_same(n % 2 ? sorted[n / 2] : (double)(((float)sorted[n / 2 - 1] + (float)sorted[n / 2]) / 2), value_at(c, g));
            else if (n)
                assert_same(n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2, value_at(c, g));
        }
        column_unref(c);
        agg_run_free(r);
    }
}

static void test_median_of_wide_types(void **state)
{
    (void)state;
    struct dtype *decimal = type_decimal(TYPE_DECIMAL128, 38, 2);
    static const char *const decimals[] = {"5 -7 NULL 1000 2"}, *const largest[] = {"9223372036854775807 9223372036854775806"};
    struct agg_run *r = agg_run_new("median");
    agg_arg(r, decimal);
    assert_int_equal(agg_run_open(r), ST_OK);
    agg_run_batch(r, &decimal, decimals, 1, NULL, 1);
    assert_string_equal(agg_run_text(r, 1), "3\n"); /* (2 + 5) / 2 */
    agg_run_free(r);
    type_unref(decimal);
    struct dtype *int64 = type_of(TYPE_INT64);
    r = agg_run_new("median");
    agg_arg(r, int64);
    assert_int_equal(agg_run_open(r), ST_OK);
    agg_run_batch(r, &int64, largest, 1, NULL, 1);
    assert_string_equal(agg_run_text(r, 1), "9223372036854775806\n");
    agg_run_free(r);
    r = agg_run_new("__median_state");
    agg_arg(r, int64);
    assert_int_equal(agg_run_open(r), ST_OK);
    assert_string_equal(agg_run_type(r), "{median[median]:[item:Int64?]?}");
    assert_int_equal(agg_run_feed(r, NULL, 0, NULL, 2), ST_OK);
    assert_string_equal(agg_run_text(r, 2), "{[]}\n{[]}\n");
    agg_run_free(r);
}

static void test_percentile_cont(void **state)
{
    (void)state;
    static struct sample s;
    static double sorted[ROWS];
    static const char *const fractions[] = {"0", "0.5", "0.123456789", "0.99", "1"};
    for (int round = 0; round < 40; round++) {
        double p = strtod(fractions[round % 5], NULL);
        bool descending = round % 2;
        make_sample(&s, round < 30 ? round : ROWS, false);
        struct agg_run *r = agg_run_new("percentile_cont");
        agg_arg(r, type_of(TYPE_FLOAT64));
        agg_constant(r, type_of(TYPE_FLOAT64), fractions[round % 5]);
        agg_sort(r, "v", type_of(TYPE_FLOAT64), true, descending, false);
        struct column *c = run_over(r, &s, TYPE_FLOAT64, 0);
        for (uint32_t g = 0; g < GROUPS; g++) {
            size_t n = sorted_group(&s, g, TYPE_FLOAT64, sorted);
            double index = (descending ? 1 - p : p) * (double)(n - 1);
            assert_int_equal(column_is_null(c, g), n == 0);
            if (!n)
                continue;
            size_t low = (size_t)floor(index), high = (size_t)ceil(index);
            double weight = trunc((index - (double)low) * 1e6) / 1e6;
            assert_same(sorted[low] + (sorted[high] - sorted[low]) * weight, value_at(c, g));
        }
        column_unref(c);
        agg_run_free(r);
    }
    struct agg_run *r = agg_run_new("percentile_cont");
    agg_arg(r, type_of(TYPE_FLOAT64));
    agg_constant(r, type_of(TYPE_FLOAT64), "1.5");
    assert_int_equal(agg_run_open(r), ST_EXECUTE_QUERY);
    agg_run_free(r);
}

static const char *quantile_of(struct agg_run *r, const char *q, const char *values)
{
    struct dtype *types[] = {type_of(TYPE_FLOAT64), type_of(TYPE_FLOAT64)};
    const char *texts[] = {NULL, values};
    r->call.name = "quantile";
    agg_constant(r, types[0], q);
    agg_arg(r, types[1]);
    assert_int_equal(agg_run_open(r), ST_OK);
    agg_run_batch(r, types, texts, 2, NULL, 1);
    return agg_run_text(r, 1);
}

static void test_quantile(void **state)
{
    (void)state;
    static const struct {
        const char *q, *values, *want;
    } cases[] = {
        {"0.5", "3 1 5 2", "2.5\n"}, {"0.25", "4 1 3 2 5", "2\n"}, {"-0.5", "1 2", "-inf\n"}, {"1.5", "1 2", "inf\n"},
        {"nan", "1", "nan\n"},       {"0.5", "", "nan\n"},         {"0", "NULL 3 1", "0\n"},  {"1", "7", "7\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct agg_run *r = agg_run_new("quantile");
        assert_string_equal(quantile_of(r, cases[i].q, cases[i].values), cases[i].want);
        agg_run_free(r);
    }
}

/* As good as the digest promises, and exact at the ends. */
static void test_digest(void **state)
{
    (void)state;
    static struct sample s;
    static double sorted[ROWS];
    static const char *const fractions[] = {"0", "0.01", "0.5", "0.9", "0.999", "1"};
    for (int round = 0; round < 18; round++) {
        enum type_id id = round % 3 == 2 ? TYPE_INT32 : TYPE_FLOAT64;
        double p = strtod(fractions[round % 6], NULL);
        make_sample(&s, round < 3 ? 10 : ROWS, false);
        struct agg_run *r = agg_run_new("approx_percentile_cont");
        agg_arg(r, type_of(id));
        agg_constant(r, type_of(TYPE_FLOAT64), fractions[round % 6]);
        agg_constant(r, type_of(TYPE_INT64), "200");
        struct column *c = run_over(r, &s, id, 0);
        for (uint32_t g = 0; g < GROUPS; g++) {
            size_t n = sorted_group(&s, g, id, sorted), below = 0;
            assert_int_equal(column_is_null(c, g), n == 0);
            for (size_t i = 0; i < n; i++)
                below += sorted[i] < value_at(c, g);
            if (n && (p == 0 || p == 1))
                assert_same(sorted[p == 0 ? 0 : n - 1], value_at(c, g));
            else if (n && fabs((double)below - p * (double)n) > 1.5 + 0.02 * (double)n)
                fail_msg("%g of %zu values: %zu below", p, n, below);
        }
        column_unref(c);
        agg_run_free(r);
    }
}

/* The state of a small digest, computed by hand, and that of no rows. */
static void test_digest_state(void **state)
{
    (void)state;
    struct dtype *f64 = type_of(TYPE_FLOAT64);
    static const char *const values[] = {"3 1 NULL 2"};
    struct agg_run *r = agg_run_new("__approx_median_state");
    agg_arg(r, f64);
    assert_int_equal(agg_run_open(r), ST_OK);
    assert_string_equal(agg_run_type(r), "{approx_median[max_size]:UInt64?,approx_median[sum]:Float64?,approx_median[count]:Float64?,"
                                         "approx_median[max]:Float64?,approx_median[min]:Float64?,approx_median[centroids]:[item:Float64?]?}");
    agg_run_batch(r, &f64, values, 1, (const uint32_t[]){1, 1, 1, 1}, 2);
    assert_string_equal(agg_run_text(r, 2), "{100,0,0,nan,nan,[]}\n{100,6,3,3,1,[1,1,2,1,3,1]}\n");
    agg_run_free(r);
    r = agg_run_new("__approx_percentile_cont_with_weight_state");
    struct dtype *types[] = {f64, f64};
    static const char *const weighted[] = {"3 1 9 2 4", "1 2 0 NULL 1"};
    agg_arg(r, f64);
    agg_arg(r, f64);
    agg_constant(r, f64, "0.5");
    assert_int_equal(agg_run_open(r), ST_OK);
    agg_run_batch(r, types, weighted, 2, NULL, 1);
    assert_string_equal(agg_run_text(r, 1), "{100,9,4,4,1,[1,2,3,1,4,1]}\n");
    agg_run_free(r);
}

static void test_digest_of_special_values(void **state)
{
    (void)state;
    struct dtype *f64 = type_of(TYPE_FLOAT64);
    static const char *const values[] = {"nan inf -inf 1 1 1 nan"};
    for (int i = 0; i < 5; i++) {
        static const char *const fractions[] = {"0", "0.1", "0.5", "0.9", "1"};
        struct agg_run *r = agg_run_new("approx_percentile_cont");
        agg_arg(r, f64);
        agg_constant(r, f64, fractions[i]);
        assert_int_equal(agg_run_open(r), ST_OK);
        agg_run_batch(r, &f64, values, 1, NULL, 1);
        agg_run_text(r, 1); /* whatever it says, it says something */
        agg_run_free(r);
    }
}

static void test_digest_sort(void **state)
{
    (void)state;
    static struct centroid c[3000], spare[3000];
    for (size_t n = 0; n <= 3000; n = n * 3 + 1) {
        for (size_t i = 0; i < n; i++)
            c[i] = (struct centroid){i % 5 ? (double)(next_random() % 50) - 25 : specials[i % 8], (double)i};
        tdigest_sort(c, spare, n);
        for (size_t i = 1; i < n; i++) {
            int order = total_order(&c[i - 1].mean, &c[i].mean);
            assert_true(order < 0 || (order == 0 && c[i - 1].weight < c[i].weight));
        }
    }
}

/* An untyped NULL is a Float64, in its state as well. */
static void test_median_of_null(void **state)
{
    (void)state;
    for (int partial = 0; partial < 2; partial++) {
        struct agg_run *r = agg_run_new(partial ? "__median_state" : "median");
        struct column *c;
        agg_arg(r, type_of(TYPE_NULL));
        assert_int_equal(agg_run_open(r), ST_OK);
        assert_int_equal(column_new_nulls(NULL, type_of(TYPE_NULL), 3, &c, NULL), ST_OK);
        assert_int_equal(agg_run_feed(r, &c, 3, NULL, 1), ST_OK);
        column_unref(c);
        assert_string_equal(agg_run_text(r, 1), partial ? "{[]}\n" : "NULL\n");
        assert_string_equal(agg_run_type(r), partial ? "{median[median]:[item:Float64?]?}" : "Float64");
        agg_run_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median_of_null),  cmocka_unit_test(test_median),          cmocka_unit_test(test_median_of_wide_types),
        cmocka_unit_test(test_percentile_cont), cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_digest),          cmocka_unit_test(test_digest_state),
        cmocka_unit_test(test_digest_sort),     cmocka_unit_test(test_digest_of_special_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
