/* array_agg, string_agg, nth_value: order, NULLs, empty groups, states with their exact fields; trimming against keeping everything. */
#include "agg_run.h"

#define INT  type_of(TYPE_INT64)
#define TEXT type_of(TYPE_UTF8)

static const uint32_t groups_a[] = {0, 0, 1, 0, 1, 3}, groups_b[] = {3, 1, 0};

static struct agg_run *two_batches(struct agg_run *r, struct dtype *type, bool constant, const char *first, const char *second, const char *keys_a,
                                   const char *keys_b)
{
    struct dtype *types[] = {type, TEXT, INT};
    const char *a[] = {first, NULL, keys_a}, *b[] = {second, NULL, keys_b};
    if (!constant) {
        types[1] = INT;
        a[1] = keys_a;
        b[1] = keys_b;
    }
    if (agg_run_open(r) != ST_OK)
        fail_msg("%s", r->err.msg);
    agg_run_batch(r, types, a, constant ? 3 : 2, groups_a, 4);
    agg_run_batch(r, types, b, constant ? 3 : 2, groups_b, 4);
    return r;
}

static void test_array_agg(void **state)
{
    (void)state;
    struct agg_run *r = agg_run_new("array_agg");
    agg_arg(r, INT);
    two_batches(r, INT, false, "1 2 3 NULL 5 6", "7 8 9", NULL, NULL);
    assert_string_equal(agg_run_text(r, 4), "[1,2,NULL,9]\n[3,5,8]\nNULL\n[6,7]\n");
    agg_run_free(r);
    r = agg_run_new("array_agg");
    agg_arg(r, INT);
    agg_sort(r, "ts", INT, false, true, false);
    two_batches(r, INT, false, "1 2 3 NULL 5 6", "7 8 9", "10 30 1 20 2 1", "1 3 40");
    assert_string_equal(agg_run_text(r, 4), "[9,2,NULL,1]\n[8,5,3]\nNULL\n[6,7]\n"); /* equal keys stay in input order */
    agg_run_free(r);
}

static void test_ordered_state(void **state)
{
    (void)state;
    struct agg_run *r = agg_run_new("__array_agg_state");
    agg_arg(r, TEXT);
    agg_sort(r, "ts", INT, false, false, false);
    two_batches(r, TEXT, false, "a b c NULL e f", "g h i", "10 30 1 20 2 1", "1 3 40");
    assert_string_equal(agg_run_type(r), "{array_agg[array_agg]:[item:Utf8?]?,array_agg[array_agg_orderings]:[item:{ts:Int64}?]?}");
    assert_string_equal(agg_run_text(r, 4), "{[a,NULL,b,i],[{10},{20},{30},{40}]}\n{[c,e,h],[{1},{2},{3}]}\n{NULL,[]}\n{[f,g],[{1},{1}]}\n");
    agg_run_free(r);
}

static void test_string_agg(void **state)
{
    (void)state;
    struct agg_run *r = agg_run_new("string_agg");
    agg_arg(r, TEXT);
    agg_constant(r, TEXT, "--");
    two_batches(r, TEXT, true, "a b NULL c NULL NULL", "NULL h i", NULL, NULL);
    assert_string_equal(agg_run_text(r, 4), "a--b--c--i\nh\nNULL\nNULL\n");
    agg_run_free(r);
    r = agg_run_new("__string_agg_state");
    agg_arg(r, TEXT);
    agg_constant(r, TEXT, "NULL");
    two_batches(r, TEXT, true, "a b NULL c NULL NULL", "NULL h i", NULL, NULL);
    assert_string_equal(agg_run_text(r, 4), "{abci}\n{h}\n{NULL}\n{NULL}\n");
    agg_run_free(r);
    r = agg_run_new("__string_agg_state");
    agg_arg(r, TEXT);
    agg_constant(r, TEXT, ",");
    agg_sort(r, "k", INT, true, false, true);
    two_batches(r, TEXT, true, "a b NULL c NULL NULL", "NULL h i", "3 NULL 1 1 2 1", "0 0 9");
    assert_string_equal(agg_run_text(r, 4), "{[b,c,a,i],[{NULL},{1},{3},{9}]}\n{[h,NULL,NULL],[{0},{1},{2}]}\n{NULL,[]}\n{[NULL,NULL],[{0},{1}]}\n");
    agg_run_free(r);
}

static void test_nth_value(void **state)
{
    (void)state;
    struct agg_run *r = agg_run_new("nth_value");
    agg_arg(r, INT);
    agg_constant(r, INT, "2");
    agg_sort(r, "k", INT, true, false, true);
    two_batches(r, INT, true, "1 2 3 NULL 5 6", "7 8 9", "10 30 1 20 2 1", "1 3 40");
    assert_string_equal(agg_run_text(r, 4), "NULL\n5\nNULL\n7\n");
    agg_run_free(r);
    r = agg_run_new("nth_value");
    agg_arg(r, INT);
    agg_constant(r, INT, "-3");
    two_batches(r, INT, true, "1 2 3 NULL 5 6", "7 8 9", NULL, NULL);
    assert_string_equal(agg_run_text(r, 4), "2\n3\nNULL\nNULL\n");
    agg_run_free(r);
    r = agg_run_new("__nth_value_state");
    agg_arg(r, INT);
    agg_constant(r, INT, "-2");
    agg_sort(r, "k", INT, true, false, true);
    two_batches(r, INT, true, "1 2 3 NULL 5 6", "7 8 9", "10 30 1 20 2 1", "1 3 40");
    assert_string_equal(agg_run_text(r, 4), "{[2,9],[{30},{40}]}\n{[5,8],[{2},{3}]}\n{[],[]}\n{[6,7],[{1},{1}]}\n");
    agg_run_free(r);
}

/* Many more rows than nth_value keeps: the same as a plain scan says. */
static void test_trim(void **state)
{
    (void)state;
    enum { BATCH = 8192, BATCHES = 40, GROUPS = 3, NTH = 4 };
    static int64_t best[GROUPS][NTH];
    static uint32_t groups[BATCH];
    struct agg_run *r = agg_run_new("nth_value");
    agg_arg(r, INT);
    agg_constant(r, INT, "4");
    agg_sort(r, "k", INT, true, true, false);
    assert_int_equal(agg_run_open(r), ST_OK);
    memset(best, 0x80, sizeof best);
    uint64_t seed = 7;
    for (int b = 0; b < BATCHES; b++) {
        struct buffer *values;
        struct column *columns[3] = {0};
        assert_int_equal(buffer_new(NULL, BATCH * 8, &values, NULL), ST_OK);
        for (int i = 0; i < BATCH; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            int64_t v = (int64_t)(seed >> 20);
            uint32_t g = groups[i] = (uint32_t)(seed >> 15) % GROUPS;
            store_le64(values->data + i * 8, (uint64_t)v);
            for (int k = 0; k < NTH; k++)
                if (v > best[g][k]) {
                    int64_t swap = best[g][k];
                    best[g][k] = v;
                    v = swap;
                }
        }
        assert_int_equal(column_new(INT, BATCH, 0, NULL, values, NULL, &columns[0], NULL), ST_OK);
        columns[2] = columns[0];
        assert_int_equal(agg_run_feed(r, columns, BATCH, groups, GROUPS), ST_OK);
        column_unref(columns[0]);
    }
    char want[200] = "";
    for (int g = 0; g < GROUPS; g++)
        snprintf(want + strlen(want), sizeof want - strlen(want), "%lld\n", (long long)best[g][NTH - 1]);
    assert_string_equal(agg_run_text(r, GROUPS), want);
    assert_true(r->budget.peak < 6u << 20); /* 320k rows of 20 bytes would be more */
    agg_run_free(r);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t constant;
        bool has_constant;
        int want;
    } cases[] = {
        {"nth_value", 0, true, ST_EXECUTE_QUERY}, {"nth_value", 0, false, ST_EXECUTE_QUERY}, {"string_agg", 1, true, ST_PLAN_QUERY},
        {"array_agg", 1, true, ST_PLAN_QUERY},    {"argmax", 1, true, ST_UNEXPECTED},        {"__quantile_state", 1, true, ST_UNEXPECTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct agg_run *r = agg_run_new(cases[i].name);
        char text[30];
        snprintf(text, sizeof text, "%lld", (long long)cases[i].constant);
        agg_arg(r, INT);
        if (cases[i].has_constant)
            agg_constant(r, INT, text);
        else
            agg_arg(r, INT);
        assert_int_equal(agg_run_open(r), cases[i].want);
        agg_run_free(r);
    }
}

/* A column of lists: "1,2" is [1,2], "N" a null item, "NULL" a null list, "-" the empty list. */
static struct column *lists(struct dtype *type, const char *const *texts, uint32_t n)
{
    struct column_builder b;
    struct column *c;
    assert_int_equal(column_builder_init(&b, NULL, type, NULL), ST_OK);
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(texts[i], "NULL") == 0) {
            assert_int_equal(column_builder_append_null(&b, NULL), ST_OK);
            continue;
        }
        for (const char *p = texts[i]; *p && *p != '-'; p += strcspn(p, ","), p += *p == ',') {
            int64_t v = strtoll(p, NULL, 10);
            assert_int_equal(*p == 'N' ? column_builder_append_null(&b.children[0], NULL) : column_builder_append_fixed(&b.children[0], &v, NULL), ST_OK);
        }
        assert_int_equal(column_builder_append_nested(&b, NULL), ST_OK);
    }
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    column_builder_release(&b);
    return c;
}

/* Lists are ordered item by item, a NULL item behind all values; groups grow from batch to batch, one has NULLs only. */
static void test_extremes(void **state)
{
    (void)state;
    static const char *const a[] = {"1,2", "NULL", "2", "1,N", "NULL", "-"}, *const b[] = {"1", "3", "N"};
    static const uint32_t groups[2][6] = {{0, 0, 1, 0, 2, 1}, {0, 3, 1}};
    static const char *const want[][2] = {{"max", "[1,NULL]\n[NULL]\nNULL\n[3]\nNULL\n"}, {"min", "[1]\n[]\nNULL\n[3]\nNULL\n"}};
    for (int i = 0; i < 2; i++) {
        struct agg_run *r = agg_run_new(want[i][0]);
        struct field *item = field_new("item", INT, true);
        struct dtype *type = type_list(TYPE_LIST, item);
        struct column *batches[] = {lists(type, a, 6), lists(type, b, 3)};
        agg_arg(r, type);
        assert_int_equal(agg_run_open(r), ST_OK);
        assert_int_equal(agg_run_feed(r, &batches[0], 6, groups[0], 3), ST_OK);
        assert_int_equal(agg_run_feed(r, &batches[1], 3, groups[1], 5), ST_OK);
        assert_string_equal(agg_run_text(r, 5), want[i][1]);
        agg_run_free(r);
        column_unref(batches[0]);
        column_unref(batches[1]);
        type_unref(type);
        field_unref(item);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_array_agg), cmocka_unit_test(test_ordered_state), cmocka_unit_test(test_string_agg),
        cmocka_unit_test(test_nth_value), cmocka_unit_test(test_trim),          cmocka_unit_test(test_refused),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
