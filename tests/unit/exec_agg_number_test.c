/* Sums of floats to the last digit: in the lanes of arrow-rs (asked from DataFusion 53) without GROUP BY, one after another within groups. */
#include "agg_run.h"

static double sum_of(const char *values, const uint32_t *groups)
{
    struct agg_run *r = agg_run_new("sum");
    struct dtype *type = type_of(TYPE_FLOAT64);
    struct column *c;
    double sum;
    agg_arg(r, type);
    assert_int_equal(agg_run_open(r), ST_OK);
    agg_run_batch(r, &type, &values, 1, groups, 1);
    assert_int_equal(agg_result(r->agg, 0, 1, &c, &r->err), ST_OK);
    sum = *COLUMN_VALUES(c, double);
    column_unref(c);
    agg_run_free(r);
    return sum;
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_float_sums)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
