/* Lists and structs as sort keys and grouping keys, against a naive comparison. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "exec/group.h"
#include "exec/sort_key.h"
#include "memory_table.h"

enum { ROWS = 300 };

static uint64_t seed = 3;

static uint32_t pick(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static struct dtype *field_type(struct dtype *(*make)(struct field *const *, uint32_t), struct field *const *fields, uint32_t n)
{
    struct dtype *t = make(fields, n);
    for (uint32_t i = 0; i < n; i++)
        field_unref(fields[i]);
    return t;
}

static struct dtype *list_of(struct field *const *fields, uint32_t n)
{
    (void)n;
    return type_list(TYPE_LIST, fields[0]);
}

/* List(Struct {a Int64, b List(Utf8)}) */
static struct dtype *deep_type(void)
{
    struct dtype *texts = field_type(list_of, (struct field *[]){field_new("item", type_of(TYPE_UTF8), true)}, 1);
    struct dtype *pair = field_type(type_struct, (struct field *[]){field_new("a", type_of(TYPE_INT64), true), field_new("b", texts, true)}, 2);
    struct dtype *list = field_type(list_of, (struct field *[]){field_new("item", pair, true)}, 1);
    type_unref(texts);
    type_unref(pair);
    return list;
}

static void append_random(struct column_builder *b)
{
    static const char *const texts[] = {"", "a", "ab", "b"};
    int64_t v = (int64_t)pick(3) - 1;
    int st;
    if (pick(6) == 0) {
        st = column_builder_append_null(b, NULL);
    } else if (b->type->id == TYPE_INT64) {
        st = column_builder_append_fixed(b, &v, NULL);
    } else if (b->type->id == TYPE_UTF8) {
        const char *text = texts[pick(4)];
        st = column_builder_append_bytes(b, text, strlen(text), NULL);
    } else {
        uint32_t n = b->type->id == TYPE_STRUCT ? b->n_children : pick(3);
        for (uint32_t i = 0; i < n; i++)
            append_random(&b->children[b->type->id == TYPE_STRUCT ? i : 0]);
        st = column_builder_append_nested(b, NULL);
    }
    assert_int_equal(st, ST_OK);
}

/* Order as the specs have it; the values may be of two columns. */
static int compare(const struct column *c, int64_t i, int64_t j, const struct sort_spec *spec)
{
    int sign = spec->descending ? -1 : 1;
    if (column_is_null(c, i) || column_is_null(c, j)) {
        int order = (int)column_is_null(c, j) - (int)column_is_null(c, i);
        return spec->nulls_first ? order : -order;
    }
    if (c->type->id == TYPE_INT64) {
        int64_t a = COLUMN_VALUES(c, int64_t)[i], b = COLUMN_VALUES(c, int64_t)[j];
        return sign * ((a > b) - (a < b));
    }
    if (c->type->id == TYPE_UTF8) {
        int32_t a, b;
        const uint8_t *x = column_bytes(c, i, &a), *y = column_bytes(c, j, &b);
        return sign * sort_key_compare(x, (size_t)a, y, (size_t)b);
    }
    if (c->type->id == TYPE_STRUCT) {
        for (uint32_t k = 0; k < c->n_children; k++) {
            int order = compare(c->children[k], c->offset + i, c->offset + j, spec);
            if (order)
                return order;
        }
        return 0;
    }
    const int32_t *o = COLUMN_VALUES(c, int32_t);
    int32_t a = o[i + 1] - o[i], b = o[j + 1] - o[j];
    for (int32_t k = 0; k < a && k < b; k++) {
        int order = compare(c->children[0], o[i] + k, o[j] + k, spec);
        if (order)
            return order;
    }
    return sign * ((a > b) - (a < b));
}

static struct column *random_column(struct dtype *type, int64_t skip)
{
    struct column_builder b;
    struct column *c, *slice;
    assert_int_equal(column_builder_init(&b, NULL, type, NULL), ST_OK);
    for (int64_t i = 0; i < ROWS + skip; i++)
        append_random(&b);
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    column_builder_release(&b);
    assert_int_equal(column_slice(c, skip, ROWS, &slice, NULL), ST_OK);
    column_unref(c);
    return slice;
}

static int sign_of(int v)
{
    return (v > 0) - (v < 0);
}

static void test_order(void **state)
{
    (void)state;
    struct dtype *type = deep_type();
    assert_true(sort_key_supported(type));
    for (int round = 0; round < 4; round++) {
        struct sort_spec spec = {.descending = round & 1, .nulls_first = round >> 1};
        struct column *c = random_column(type, round * 3);
        struct sort_keys keys = {0};
        assert_int_equal(sort_keys_encode(&keys, NULL, &c, &spec, 1, ROWS, NULL), ST_OK);
        assert_int_equal(keys.stride, 0);
        for (int64_t i = 0; i < ROWS; i++)
            for (int64_t j = 0; j < ROWS; j++) {
                size_t a, b;
                const uint8_t *x = sort_keys_at(&keys, i, &a), *y = sort_keys_at(&keys, j, &b);
                assert_int_equal(sign_of(sort_key_compare(x, a, y, b)), sign_of(compare(c, i, j, &spec)));
            }
        sort_keys_release(&keys, NULL);
        column_unref(c);
    }
    type_unref(type);
}

static void test_groups(void **state)
{
    (void)state;
    struct dtype *types[2] = {deep_type(), type_of(TYPE_INT64)};
    struct sort_spec spec = {0};
    for (uint32_t n_keys = 1; n_keys <= 2; n_keys++) {
        struct budget budget;
        struct group_table *t;
        struct column *batches[2][2], *out[2];
        uint32_t groups[2 * ROWS];
        budget_init(&budget, "query", "knob", SIZE_MAX, NULL);
        assert_int_equal(group_table_new(&budget, types, n_keys, false, &t, NULL), ST_OK);
        for (int b = 0; b < 2; b++) {
            batches[b][0] = random_column(types[0], b * 7);
            batches[b][1] = random_column(types[1], 0);
            assert_int_equal(group_table_map(t, batches[b], ROWS, groups + b * ROWS, NULL), ST_OK);
        }
        uint32_t n = group_table_count(t);
        assert_true(n > 20 && n < 2 * ROWS);
        for (uint32_t k = 0; k < n_keys; k++)
            assert_int_equal(group_table_keys(t, k, 0, n, &out[k], NULL), ST_OK);
        for (int b = 0; b < 2; b++)
            for (int64_t i = 0; i < ROWS; i++)
                for (uint32_t k = 0; k < n_keys; k++) { /* the group's key equals the row's */
                    static char want[4096], got[4096];
                    want[0] = got[0] = 0;
                    memory_print(batches[b][k], i, want, sizeof want);
                    memory_print(out[k], groups[b * ROWS + i], got, sizeof got);
                    assert_string_equal(got, want);
                }
        for (uint32_t i = 0; i < n; i++) /* and no two groups are equal */
            for (uint32_t j = 0; j < i; j++) {
                bool same = true;
                for (uint32_t k = 0; k < n_keys; k++)
                    same &= compare(out[k], i, j, &spec) == 0;
                assert_false(same);
            }
        for (uint32_t k = 0; k < n_keys; k++)
            column_unref(out[k]);
        for (int b = 0; b < 2; b++) {
            column_unref(batches[b][0]);
            column_unref(batches[b][1]);
        }
        assert_true(group_table_bytes(t) > 0);
        group_table_free(t);
        assert_int_equal(budget.used, 0);
    }
    type_unref(types[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_groups)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
