/* Every aggregate function under every too small budget: it fails with ST_EXHAUSTED, or it works, and it gives all memory back. */
#include "agg_run.h"

enum { ROWS = 400, GROUPS = 7 };

#define F64  type_of(TYPE_FLOAT64)
#define I64  type_of(TYPE_INT64)
#define TEXT type_of(TYPE_UTF8)

/* Argument types as letters: i Int64, f Float64, s Utf8, b Boolean, v Binary vectors, t Timestamp(ns); constants in upper case: I 2, F 0.5, B 128, E
 * 0.01, S ",". */
static const struct {
    const char *name, *args;
    bool sorted;
} cases[] = {
    {"count", "is", false},
    {"sum", "i", false},
    {"avg", "f", false},
    {"min", "s", false},
    {"max", "f", false},
    {"first_value", "s", true},
    {"last_value", "i", true},
    {"var", "f", false},
    {"corr", "ff", false},
    {"regr_slope", "if", false},
    {"bit_xor", "i", false},
    {"bool_and", "b", false},
    {"array_agg", "s", true},
    {"array_agg", "i", false},
    {"string_agg", "sS", true},
    {"string_agg", "sS", false},
    {"nth_value", "sI", true},
    {"median", "i", false},
    {"percentile_cont", "fF", false},
    {"quantile", "Ff", false},
    {"approx_median", "f", false},
    {"approx_percentile_cont_with_weight", "fiF", false},
    {"approx_distinct", "s", false},
    {"count_hash", "i", false},
    {"hll", "s", false},
    {"uddsketch_state", "BEf", false},
    {"geo_path", "fft", false},
    {"json_encode_path", "fft", false},
    {"vec_sum", "v", false},
    {"vec_avg", "v", false},
};

static struct dtype *type_of_letter(char letter)
{
    switch (letter) {
    case 'i':
    case 'I':
    case 'B':
        return I64;
    case 's':
    case 'S':
        return TEXT;
    case 'b':
        return type_of(TYPE_BOOL);
    case 'v':
        return type_of(TYPE_BINARY);
    case 't':
        return type_temporal(TYPE_TIMESTAMP, UNIT_NANO);
    default:
        return F64;
    }
}

static struct column *sample(char letter)
{
    struct column_builder b;
    struct column *c;
    assert_int_equal(column_builder_init(&b, NULL, type_of_letter(letter), NULL), ST_OK);
    for (int i = 0; i < ROWS; i++) {
        char text[40];
        float vector[2] = {(float)i, 1};
        snprintf(text, sizeof text, letter == 's' ? "text number %d" : letter == 'b' ? "true" : "%d", i * 37 % 101);
        if (i % 9 == 4)
            memory_append(&b, "NULL");
        else if (letter == 'v')
            assert_int_equal(column_builder_append_bytes(&b, vector, sizeof vector, NULL), ST_OK);
        else
            memory_append(&b, text);
    }
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    column_builder_release(&b);
    return c;
}

/* One run; the budget's peak, or 0 when it was not enough. */
static size_t run(size_t which, bool state, size_t limit)
{
    char name[80];
    uint32_t groups[ROWS];
    struct column *columns[8] = {0}, *result = NULL;
    snprintf(name, sizeof name, state ? "__%s_state" : "%s", cases[which].name);
    struct agg_run *r = agg_run_new(name);
    const char *args = cases[which].args;
    for (size_t k = 0; args[k]; k++) {
        if (args[k] >= 'a') {
            agg_arg(r, type_of_letter(args[k]));
            columns[k] = sample(args[k]);
        } else {
            agg_constant(r, type_of_letter(args[k]),
                         args[k] == 'I'   ? "2"
                         : args[k] == 'B' ? "128"
                         : args[k] == 'E' ? "0.01"
                         : args[k] == 'S' ? ","
                                          : "0.5");
        }
    }
    if (cases[which].sorted) {
        agg_sort(r, "k", TEXT, true, false, true);
        columns[strlen(args)] = sample('s');
    }
    for (int i = 0; i < ROWS; i++)
        groups[i] = (uint32_t)(i / 3 * 5 % GROUPS);
    r->budget.limit = limit;
    int st = agg_run_open(r);
    for (int round = 0; st == ST_OK && round < 3; round++)
        st = agg_run_feed(r, columns, ROWS, groups, GROUPS);
    if (st == ST_OK)
        st = agg_result(r->agg, 0, GROUPS, &result, &r->err);
    column_unref(result);
    if (st != ST_OK && st != ST_EXHAUSTED)
        fail_msg("%s: %s", name, r->err.msg);
    assert_true(st == ST_OK || strstr(r->err.msg, "knob"));
    for (size_t k = 0; k < 8; k++)
        column_unref(columns[k]);
    size_t peak = st == ST_OK ? r->budget.peak : 0;
    agg_run_free(r);
    return peak;
}

static void test_budgets(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int state = 0; state < 2; state++) {
            if (state && strcmp(cases[i].name, "quantile") == 0)
                continue;
            size_t enough = run(i, state, SIZE_MAX), failed = 0;
            assert_true(enough > 0);
            for (size_t limit = 0; limit < enough; limit += enough / 97 + 1)
                failed += run(i, state, limit) == 0;
            assert_true(failed > 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_budgets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
