/* Aggregates of floats to the last digit. Sums: in the lanes of arrow-rs (asked from DataFusion 53) without GROUP BY, one after another within
 * groups. Correlation and regression: what GreptimeDB 1.0.2 answers in its own SQL cases. */
#include <math.h>

#include "agg_run.h"

/* The value of group 0; `second` NULL = one argument. */
static double value_of(const char *function, const char *first, const char *second, const uint32_t *groups)
{
    struct agg_run *r = agg_run_new(function);
    struct dtype *types[] = {type_of(TYPE_FLOAT64), type_of(TYPE_FLOAT64)};
    const char *const values[] = {first, second};
    struct column *c;
    double value;
    agg_arg(r, types[0]);
    if (second)
        agg_arg(r, types[1]);
    r->call.grouped = groups;
    assert_int_equal(agg_run_open(r), ST_OK);
    agg_run_batch(r, types, values, second ? 2 : 1, groups, 1);
    assert_int_equal(agg_result(r->agg, 0, 1, &c, &r->err), ST_OK);
    assert_int_equal(column_null_count(c), 0);
    value = *COLUMN_VALUES(c, double);
    column_unref(c);
    agg_run_free(r);
    return value;
}

static double sum_of(const char *values, const uint32_t *groups)
{
    return value_of("sum", values, NULL, groups);
}

static void test_float_sums(void **state)
{
    static const uint32_t one_group[7] = {0};
    static const char values[] = "9.0 6.8 9.3 8.6 9.9 6.7 1.6", with_null[] = "9.0 6.8 NULL 8.6 9.9 6.7 1.6";
    (void)state;
    assert_true(sum_of(values, NULL) == 51.9);
    assert_true(sum_of(values, one_group) == 51.900000000000006);
    assert_true(sum_of(with_null, NULL) == 42.599999999999994);
    assert_true(sum_of(with_null, one_group) == 42.6);
}

static void test_moments(void **state)
{
    static const uint32_t one_group[5] = {0};
    static const char y[] = "3.1 4.9 7.2 8.8 11.1", x[] = "1 2 3 4 5", a[] = "10 20 25 30", b[] = "11 22 NULL 35";
    (void)state;
    assert_true(value_of("corr", a, b, NULL) == 0.9988445981121532);
    assert_true(value_of("corr", a, b, one_group) == 0.9988445981121536);
    assert_true(value_of("regr_slope", y, x, NULL) == 1.9900000000000002);
    assert_true(value_of("regr_intercept", y, x, NULL) == 1.049999999999998);
    assert_true(value_of("regr_r2", y, x, NULL) == 0.9973053289009772);
    assert_true(value_of("var_pop", "inf", NULL, NULL) == 0);
    assert_true(isnan(value_of("var_pop", "inf", NULL, one_group)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_float_sums), cmocka_unit_test(test_moments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
