/* approx_distinct, count_hash, hll, uddsketch, paths and vectors: counts against exact ones, states, and that merging parts gives the whole. */
#include <math.h>

#include "agg_run.h"
#include "format/sketch/hll.h"
#include "format/sketch/uddsketch.h"

#define F64 type_of(TYPE_FLOAT64)
#define BIN type_of(TYPE_BINARY)

/* Rows `i` of n have the text "v<i % distinct>", or the number. */
static struct column *repeating(enum type_id id, int64_t n, int64_t distinct, bool dictionary)
{
    struct column_builder b;
    struct column *c;
    assert_int_equal(column_builder_init(&b, NULL, type_of(id), NULL), ST_OK);
    for (int64_t i = 0; i < n; i++) {
        char text[30];
        int64_t v = i % distinct * 977;
        snprintf(text, sizeof text, "v%lld", (long long)(i % distinct));
        if (i % 13 == 5)
            assert_int_equal(column_builder_append_null(&b, NULL), ST_OK);
        else if (id == TYPE_UTF8)
            assert_int_equal(column_builder_append_bytes(&b, text, strlen(text), NULL), ST_OK);
        else
            assert_int_equal(column_builder_append_fixed(&b, &v, NULL), ST_OK);
    }
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    column_builder_release(&b);
    if (!dictionary)
        return c;
    struct column *encoded = memory_dictionary(c);
    column_unref(c);
    return encoded;
}

static struct agg_run *count_distinct(const char *name, enum type_id id, int64_t n, int64_t distinct, bool dictionary)
{
    struct agg_run *r = agg_run_new(name);
    struct column *c = repeating(id, n, distinct, dictionary);
    agg_arg(r, type_of(id));
    assert_int_equal(agg_run_open(r), ST_OK);
    assert_int_equal(agg_run_feed(r, &c, n, NULL, 1), ST_OK);
    column_unref(c);
    return r;
}

static void test_approx_distinct(void **state)
{
    (void)state;
    static const int64_t counts[] = {1, 7, 100, 1500, 4000, 20000, 200000};
    for (size_t i = 0; i < 2 * sizeof counts / sizeof *counts; i++) {
        int64_t distinct = counts[i / 2], n = distinct * 2 + distinct % 13 + 26;
        struct agg_run *r = count_distinct("approx_distinct", i % 2 ? TYPE_INT64 : TYPE_UTF8, n, distinct, false);
        double got = strtod(agg_run_text(r, 1), NULL);
        if (fabs(got - (double)distinct) > 1 + 0.03 * (double)distinct)
            fail_msg("%lld distinct values, estimate %g", (long long)distinct, got);
        agg_run_free(r);
    }
}

/* The result, in memory of its own. */
static struct column *state_of(struct agg_run *r, uint32_t n_groups)
{
    static const uint32_t rows[] = {0, 1, 2, 3};
    struct column *c, *copy;
    assert_int_equal(agg_result(r->agg, 0, n_groups, &c, NULL), ST_OK);
    assert_int_equal(column_take(NULL, c, rows, n_groups, &copy, NULL), ST_OK);
    column_unref(c);
    return copy;
}

/* The registers are the same whether the group ever was sparse or not, and for dictionaries. */
static void test_registers(void **state)
{
    (void)state;
    struct agg_run *many = count_distinct("__approx_distinct_state", TYPE_UTF8, 6000, 3000, false);
    struct agg_run *few = count_distinct("__approx_distinct_state", TYPE_UTF8, 1000, 1000, false);
    struct agg_run *encoded = count_distinct("__approx_distinct_state", TYPE_UTF8, 2000, 1000, true);
    assert_string_equal(agg_run_type(many), "{approx_distinct[hll_registers]:Binary?}");
    struct column *a = state_of(many, 1), *b = state_of(few, 1), *d = state_of(encoded, 1);
    int32_t size;
    const uint8_t *x = column_bytes(a->children[0], 0, &size), *y = column_bytes(b->children[0], 0, &size),
                  *z = column_bytes(d->children[0], 0, &size);
    assert_int_equal(size, 16384);
    int set = 0;
    for (int i = 0; i < size; i++) {
        assert_true(y[i] <= x[i]);
        assert_true(y[i] <= z[i]);
        set += y[i] != 0;
    }
    assert_in_range(set, 850, 924);
    column_unref(a);
    column_unref(b);
    column_unref(d);
    agg_run_free(many);
    agg_run_free(few);
    agg_run_free(encoded);
    struct agg_run *r = agg_run_new("__approx_distinct_state");
    agg_arg(r, type_of(TYPE_UTF8));
    assert_int_equal(agg_run_open(r), ST_OK);
    assert_int_equal(agg_run_feed(r, NULL, 0, NULL, 1), ST_OK);
    a = state_of(r, 1);
    x = column_bytes(a->children[0], 0, &size);
    assert_int_equal(size, 16384);
    for (int i = 0; i < size; i++)
        assert_int_equal(x[i], 0);
    column_unref(a);
    agg_run_free(r);
    static const enum type_id refused[] = {TYPE_FLOAT64, TYPE_BOOL, TYPE_BINARY_VIEW};
    for (int i = 0; i < 6; i++) { /* the codes as a GreptimeDB datanode gives them */
        r = agg_run_new("approx_distinct");
        agg_arg(r, type_of(refused[i / 2]));
        r->call.grouped = i % 2;
        assert_int_equal(agg_run_open(r), i % 2 ? ST_EXECUTE_QUERY : ST_UNSUPPORTED);
        agg_run_free(r);
    }
}

static void test_count_hash(void **state)
{
    (void)state;
    static const enum type_id ids[] = {TYPE_UTF8, TYPE_INT64, TYPE_UTF8};
    for (int i = 0; i < 3; i++) {
        struct agg_run *r = count_distinct("count_hash", ids[i], 5000, 1000, i == 2);
        assert_string_equal(agg_run_text(r, 1), "1001\n"); /* with the NULL: there is no GROUP BY */
        agg_run_free(r);
    }
    struct agg_run *r = agg_run_new("__count_hash_state");
    struct dtype *text = type_of(TYPE_UTF8);
    static const char *const values[] = {"a b a NULL a b"}, *const more[] = {"a c a"};
    agg_arg(r, text);
    assert_int_equal(agg_run_open(r), ST_OK);
    assert_string_equal(agg_run_type(r), "{count_hash[count_hash]:[item:UInt64?]?}");
    agg_run_batch(r, &text, values, 1, (const uint32_t[]){0, 0, 0, 0, 2, 2}, 4);
    agg_run_batch(r, &text, more, 1, (const uint32_t[]){2, 2, 3}, 4);
    struct column *c = state_of(r, 4);
    const int32_t *o = COLUMN_VALUES(c->children[0], int32_t);
    const int32_t want[] = {0, 2, 2, 5, 6};
    assert_memory_equal(o, want, sizeof want);
    const uint64_t *hashes = COLUMN_VALUES(c->children[0]->children[0], uint64_t);
    assert_int_equal(hashes[0], hashes[5]); /* a's, whichever group */
    column_unref(c);
    agg_run_free(r);
    r = agg_run_new("count_hash");
    agg_arg(r, text);
    agg_arg(r, text);
    assert_int_equal(agg_run_open(r), ST_EXECUTE_QUERY);
    agg_run_free(r);
}

static void test_hll(void **state)
{
    (void)state;
    struct column *parts[3];
    for (int i = 0; i < 2; i++) {
        struct agg_run *r = count_distinct("hll", TYPE_UTF8, 20000, i ? 9000 : 6000, false);
        parts[i] = state_of(r, 1);
        agg_run_free(r);
    }
    parts[2] = agg_column(BIN, "NULL rubbish");
    struct agg_run *r = agg_run_new("__hll_merge_state");
    agg_arg(r, BIN);
    assert_int_equal(agg_run_open(r), ST_OK);
    assert_string_equal(agg_run_type(r), "{0:Binary?}");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(agg_run_feed(r, &parts[i], parts[i]->length, NULL, 1), ST_OK);
        column_unref(parts[i]);
    }
    struct column *c = state_of(r, 1);
    struct hll h;
    int32_t size;
    double count;
    const uint8_t *bytes = column_bytes(c->children[0], 0, &size);
    assert_int_equal(hll_decode(bytes, (size_t)size, NULL, &h, NULL), ST_OK);
    assert_int_equal(hll_count(&h, &count, NULL), ST_OK);
    assert_in_range((uint64_t)count, 8750, 9250);
    hll_release(&h);
    column_unref(c);
    agg_run_free(r);
}

static struct agg_run *uddsketch(const char *name, const char *buckets, const char *error, struct dtype *type)
{
    struct agg_run *r = agg_run_new(name);
    agg_constant(r, type_of(TYPE_INT64), buckets);
    agg_constant(r, F64, error);
    agg_arg(r, type);
    return r;
}

static void test_uddsketch(void **state)
{
    (void)state;
    struct column *columns[3] = {0};
    struct agg_run *r = uddsketch("uddsketch_state", "128", "0.01", F64);
    assert_int_equal(agg_run_open(r), ST_OK);
    columns[2] = agg_column(F64, "1 2 3 NULL 4 100");
    assert_int_equal(agg_run_feed(r, columns, 6, NULL, 1), ST_OK);
    column_unref(columns[2]);
    columns[2] = state_of(r, 1);
    agg_run_free(r);
    static const struct {
        const char *buckets, *error;
        int want;
    } merges[] = {{"128", "0.01", ST_OK}, {"64", "0.01", ST_EXECUTE_QUERY}, {"128", "0.1", ST_EXECUTE_QUERY}};
    for (int i = 0; i < 3; i++) {
        r = uddsketch("uddsketch_merge", merges[i].buckets, merges[i].error, BIN);
        assert_int_equal(agg_run_open(r), ST_OK);
        int st = agg_run_feed(r, columns, 1, NULL, 1);
        assert_int_equal(st, merges[i].want);
        if (st == ST_OK) {
            struct column *c = state_of(r, 1);
            struct uddsketch s;
            int32_t size;
            const uint8_t *bytes = column_bytes(c, 0, &size);
            assert_int_equal(uddsketch_decode(bytes, (size_t)size, NULL, &s, NULL), ST_OK);
            assert_int_equal(s.n_values, 5);
            assert_true(fabs(uddsketch_quantile(&s, 0.5) - 3) < 0.06);
            uddsketch_release(&s);
            column_unref(c);
        }
        agg_run_free(r);
    }
    column_unref(columns[2]);
    columns[2] = agg_column(BIN, "rubbish");
    r = uddsketch("uddsketch_merge", "128", "0.01", BIN);
    assert_int_equal(agg_run_open(r), ST_OK);
    assert_int_equal(agg_run_feed(r, columns, 1, NULL, 1), ST_EXECUTE_QUERY);
    column_unref(columns[2]);
    agg_run_free(r);
    static const char *const wrong[][2] = {{"0", "0.01"}, {"-5", "0.01"}, {"128", "2"}, {"128", "nan"}};
    for (int i = 0; i < 4; i++) {
        r = uddsketch("uddsketch_state", wrong[i][0], wrong[i][1], F64);
        assert_int_equal(agg_run_open(r), ST_EXECUTE_QUERY);
        agg_run_free(r);
    }
}

static void test_paths(void **state)
{
    (void)state;
    struct dtype *types[] = {F64, F64, type_temporal(TYPE_TIMESTAMP, UNIT_NANO)};
    static const char *const values[] = {"1 2 NULL 4.5", "10 20 30 inf", "3 1 2 9"};
    static const char *const names[] = {"geo_path", "__geo_path_state", "json_encode_path"};
    static const char *const wants[] = {"{[2,NULL,1],[20,30,10]}\n{[4.5],[inf]}\n{[],[]}\n",
                                        "{{[1,2,NULL],[10,20,30],[3,1,2]}}\n{{[4.5],[inf],[9]}}\n{{[],[],[]}}\n",
                                        "[[20.0,2.0],[30.0,0.0],[10.0,1.0]]\n[[null,4.5]]\n[]\n"};
    static const char *const shapes[] = {"{lat:[item:Float64?],lng:[item:Float64?]}",
                                         "{0:{lat:[item:Float64?],lng:[item:Float64?],timestamp:[item:Int64?]}?}", "Utf8"};
    for (int i = 0; i < 3; i++) {
        struct agg_run *r = agg_run_new(names[i]);
        for (int k = 0; k < 3; k++)
            agg_arg(r, types[k]);
        assert_int_equal(agg_run_open(r), ST_OK);
        assert_string_equal(agg_run_type(r), shapes[i]);
        agg_run_batch(r, types, values, 3, (const uint32_t[]){0, 0, 0, 1}, 3);
        assert_string_equal(agg_run_text(r, 3), wants[i]);
        agg_run_free(r);
    }
}

/* vectors[i] is added to group groups[i]; NULL stays NULL. Prints the floats of each group. */
static const char *vectors(struct agg_run *r, const float (*v)[2], const bool *null, const uint32_t *groups, int n, uint32_t n_groups,
                           int length_of_last)
{
    struct column_builder b;
    struct column *c;
    assert_int_equal(column_builder_init(&b, NULL, BIN, NULL), ST_OK);
    for (int i = 0; i < n; i++)
        assert_int_equal(null[i] ? column_builder_append_null(&b, NULL)
                                 : column_builder_append_bytes(&b, v[i], i == n - 1 ? (size_t)length_of_last : sizeof v[i], NULL),
                         ST_OK);
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    column_builder_release(&b);
    agg_arg(r, BIN);
    assert_int_equal(agg_run_open(r), ST_OK);
    int st = agg_run_feed(r, &c, n, groups, n_groups);
    column_unref(c);
    r->text[0] = 0;
    if (st != ST_OK)
        return status_name((enum status)st);
    c = state_of(r, n_groups);
    const struct column *bytes = r->call.state ? c->children[0] : c;
    for (uint32_t g = 0; g < n_groups; g++) {
        int32_t size;
        float f[2];
        const uint8_t *data = column_bytes(bytes, g, &size);
        memcpy(f, data, column_is_null(bytes, g) ? 0 : sizeof f);
        sprintf(r->text + strlen(r->text), column_is_null(bytes, g) ? "NULL " : "%g,%g ", (double)f[0], (double)f[1]);
    }
    column_unref(c);
    return r->text;
}

static void test_vectors(void **state)
{
    (void)state;
    static const float v[][2] = {{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}};
    static const bool null[5] = {[3] = true};
    static const uint32_t groups[] = {0, 0, 1, 1, 0};
    static const struct {
        const char *name, *want, *type;
        int last;
    } cases[] = {
        {"vec_sum", "13,16 NULL NULL ", "Binary", 8},
        {"vec_product", "27,80 NULL NULL ", "Binary", 8},
        {"vec_avg", "4.33333,5.33333 5,6 NULL ", "Binary", 8},
        {"__vec_sum_state", "13,16 NULL NULL ", "{x:Binary?}", 8},
        {"__vec_avg_state", "13,16 5,6 NULL ", "{sum:Binary?,count:UInt64?}", 8},
        {"vec_sum", "execute query", "Binary", 4},
        {"vec_avg", "execute query", "Binary", 7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct agg_run *r = agg_run_new(cases[i].name);
        assert_string_equal(vectors(r, v, null, groups, 5, 3, cases[i].last), cases[i].want);
        assert_string_equal(agg_run_type(r), cases[i].type);
        agg_run_free(r);
    }
}

static void test_vectors_as_text(void **state)
{
    (void)state;
    static const struct {
        const char *name, *values, *want;
    } cases[] = {
        {"vec_sum", "[1,-2.5] [2,0.5]", "3,-2"}, {"vec_product", "[3,1e1] [2,0.5]", "6,5"}, {"vec_avg", "[1,2] NULL [2,4]", "1.5,3"},
        {"vec_sum", "[1,2] [1]", NULL},          {"vec_sum", "[1,x]", NULL},               {"vec_sum", "1,2", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct agg_run *r = agg_run_new(cases[i].name);
        struct column *c = agg_column(type_of(TYPE_UTF8), cases[i].values), *result;
        agg_arg(r, type_of(TYPE_UTF8));
        assert_int_equal(agg_run_open(r), ST_OK);
        assert_int_equal(agg_run_feed(r, &c, c->length, NULL, 1), cases[i].want ? ST_OK : ST_EXECUTE_QUERY);
        column_unref(c);
        if (cases[i].want) {
            int32_t size;
            float f[2];
            char text[50];
            assert_int_equal(agg_result(r->agg, 0, 1, &result, &r->err), ST_OK);
            memcpy(f, column_bytes(result, 0, &size), sizeof f);
            assert_int_equal(size, sizeof f);
            snprintf(text, sizeof text, "%g,%g", (double)f[0], (double)f[1]);
            assert_string_equal(text, cases[i].want);
            assert_string_equal(agg_run_type(r), "Binary");
            column_unref(result);
        }
        agg_run_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_approx_distinct), cmocka_unit_test(test_registers), cmocka_unit_test(test_count_hash), cmocka_unit_test(test_hll),
        cmocka_unit_test(test_uddsketch),       cmocka_unit_test(test_paths),     cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_vectors_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
