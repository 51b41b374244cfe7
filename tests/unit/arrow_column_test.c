/* Columns: building, slicing, gathering, joining, dictionaries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "arrow/column.h"

static struct column *strings(const char *const *values, int n)
{
    struct column_builder b;
    struct column *c;
    assert_int_equal(column_builder_init(&b, NULL, type_of(TYPE_UTF8), NULL), ST_OK);
    for (int i = 0; i < n; i++)
        assert_int_equal(values[i] ? column_builder_append_bytes(&b, values[i], strlen(values[i]), NULL) : column_builder_append_null(&b, NULL),
                         ST_OK);
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    column_builder_release(&b);
    return c;
}

static void check_string(const struct column *c, int64_t i, const char *want)
{
    int32_t n;
    if (!want) {
        assert_true(column_is_null(c, i));
        return;
    }
    assert_false(column_is_null(c, i));
    const uint8_t *p = column_bytes(c, i, &n);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(p, want, (size_t)n);
}

static void take_slice_concat_strings(void **state)
{
    const char *const values[] = {"a", NULL, "", "dddd", "ee"};
    struct column *c = strings(values, 5), *s, *t, *j;
    uint32_t rows[] = {4, 1, UINT32_MAX, 0, 3};
    (void)state;
    assert_int_equal(column_take(NULL, c, rows, 5, &t, NULL), ST_OK);
    const char *const taken[] = {"ee", NULL, NULL, "a", "dddd"};
    for (int i = 0; i < 5; i++)
        check_string(t, i, taken[i]);
    assert_int_equal(column_null_count(t), 2);
    assert_int_equal(column_slice(c, 1, 3, &s, NULL), ST_OK);
    assert_int_equal(column_null_count(s), 1);
    assert_int_equal(column_concat(NULL, (struct column *[]){s, t, s}, 3, &j, NULL), ST_OK);
    const char *const joined[] = {NULL, "", "dddd", "ee", NULL, NULL, "a", "dddd", NULL, "", "dddd"};
    for (int i = 0; i < 11; i++)
        check_string(j, i, joined[i]);
    column_unref(c);
    column_unref(s);
    column_unref(t);
    column_unref(j);
}

static struct column *dictionary(struct column *values, const uint32_t *keys, int n)
{
    struct buffer *b;
    struct column *c;
    struct dtype *type = type_dictionary(TYPE_UINT32, values->type);
    assert_int_equal(buffer_new(NULL, (size_t)n * 4, &b, NULL), ST_OK);
    memcpy(b->data, keys, (size_t)n * 4);
    assert_int_equal(column_new_nested(type, n, 0, NULL, b, &values, 1, &c, NULL), ST_OK);
    type_unref(type);
    return c;
}

static void dictionaries_join_and_decode(void **state)
{
    const char *const first[] = {"x", "y"}, *const second[] = {"y", NULL, "z"};
    struct column *a = dictionary(strings(first, 2), (uint32_t[]){1, 0, 1}, 3), *b = dictionary(strings(second, 3), (uint32_t[]){2, 1, 0}, 3), *j, *d;
    const char *const want[] = {"y", "x", "y", "z", NULL, "y"};
    (void)state;
    assert_int_equal(column_concat(NULL, (struct column *[]){a, b}, 2, &j, NULL), ST_OK);
    assert_int_equal(column_decode_dictionary(NULL, j, &d, NULL), ST_OK);
    for (int i = 0; i < 6; i++)
        check_string(d, i, want[i]);
    column_unref(a);
    column_unref(b);
    column_unref(j);
    column_unref(d);
}

static void lists_and_structs(void **state)
{
    struct field *item = field_new("item", type_of(TYPE_INT32), true);
    struct dtype *list = type_list(TYPE_LIST, item);
    struct field *members[] = {field_new("l", list, true), field_new("b", type_of(TYPE_BOOL), true)};
    struct dtype *type = type_struct(members, 2);
    struct column_builder b;
    struct column *c, *s, *t, *j;
    (void)state;
    assert_int_equal(column_builder_init(&b, NULL, type, NULL), ST_OK);
    for (int32_t i = 0; i < 6; i++) {
        if (i == 3) {
            assert_int_equal(column_builder_append_null(&b, NULL), ST_OK);
            continue;
        }
        for (int32_t k = 0; k < i; k++)
            assert_int_equal(column_builder_append_fixed(&b.children[0].children[0], &k, NULL), ST_OK);
        assert_int_equal(column_builder_append_nested(&b.children[0], NULL), ST_OK);
        assert_int_equal(column_builder_append_bool(&b.children[1], i & 1, NULL), ST_OK);
        assert_int_equal(column_builder_append_nested(&b, NULL), ST_OK);
    }
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    assert_int_equal(column_slice(c, 2, 4, &s, NULL), ST_OK);
    assert_int_equal(column_take(NULL, s, (uint32_t[]){3, 1, 0}, 3, &t, NULL), ST_OK);
    assert_int_equal(column_concat(NULL, (struct column *[]){t, s}, 2, &j, NULL), ST_OK);
    assert_int_equal(j->length, 7);
    const int lengths[] = {5, -1, 2, 2, -1, 4, 5};
    for (int i = 0; i < 7; i++) {
        assert_int_equal(column_is_null(j, i), lengths[i] < 0);
        if (lengths[i] < 0)
            continue;
        const int32_t *o = COLUMN_VALUES(j->children[0], int32_t) + j->offset;
        assert_int_equal(o[i + 1] - o[i], lengths[i]);
        assert_int_equal(column_bool(j->children[1], j->offset + i), lengths[i] & 1);
    }
    column_builder_release(&b);
    column_unref(c);
    column_unref(s);
    column_unref(t);
    column_unref(j);
    type_unref(type);
    field_unref(members[0]);
    field_unref(members[1]);
    type_unref(list);
    field_unref(item);
}

/* Windows are cut, gathered and joined; joined columns that share their values keep them once. */
static void ranges_move_with_their_values(void **state)
{
    (void)state;
    struct dtype *type = type_range(type_of(TYPE_INT32));
    struct column *values[2], *parts[3], *all, *some;
    for (int k = 0; k < 2; k++) {
        struct buffer *b;
        assert_int_equal(buffer_new(NULL, 12, &b, NULL), ST_OK);
        memcpy(b->data, (const int32_t[]){10 * k, 10 * k + 1, 10 * k + 2}, 12);
        assert_int_equal(column_new(type_of(TYPE_INT32), 3, 0, NULL, b, NULL, &values[k], NULL), ST_OK);
    }
    for (int k = 0; k < 3; k++) {
        struct buffer *b;
        struct column *child = column_ref(values[k == 2]);
        assert_int_equal(buffer_new(NULL, 16, &b, NULL), ST_OK);
        memcpy(b->data, (const struct range[]){{0, 2}, {1, 2}}, 16);
        assert_int_equal(column_new_nested(type, 2, 0, NULL, b, &child, 1, &parts[k], NULL), ST_OK);
    }
    assert_int_equal(column_concat(NULL, parts, 3, &all, NULL), ST_OK);
    assert_int_equal(all->dictionary->length, 6);
    const struct range *r = COLUMN_VALUES(all, struct range);
    assert_int_equal(r[3].offset, 1);
    assert_int_equal(r[5].offset, 4);
    assert_int_equal(r[5].length, 2);
    assert_int_equal(COLUMN_VALUES(all->dictionary, int32_t)[r[5].offset], 11);
    assert_int_equal(column_take(NULL, all, (const uint32_t[]){5, 0}, 2, &some, NULL), ST_OK);
    assert_ptr_equal(some->dictionary, all->dictionary);
    assert_int_equal(COLUMN_VALUES(some, struct range)[0].offset, 4);
    column_unref(some);
    column_unref(all);
    for (int k = 0; k < 3; k++)
        column_unref(parts[k]);
    column_unref(values[0]);
    column_unref(values[1]);
    type_unref(type);
}

static void every_type_has_nulls(void **state)
{
    struct field *item = field_new("item", type_of(TYPE_UTF8), true);
    struct dtype *types[] = {type_of(TYPE_NULL), type_of(TYPE_BOOL), type_of(TYPE_INT64), type_of(TYPE_UTF8), type_decimal(TYPE_DECIMAL128, 38, 2),
                             type_list(TYPE_LIST, item), type_fixed_list(item, 3), type_struct(&item, 1), type_dictionary(TYPE_UINT32, type_of(TYPE_UTF8))};
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct column *c, *t, *j;
        assert_int_equal(column_new_nulls(NULL, types[i], 5, &c, NULL), ST_OK);
        assert_int_equal(column_null_count(c), 5);
        assert_int_equal(column_take(NULL, c, (uint32_t[]){4, 0}, 2, &t, NULL), ST_OK);
        assert_int_equal(column_null_count(t), 2);
        assert_int_equal(column_concat(NULL, (struct column *[]){c, t}, 2, &j, NULL), ST_OK);
        assert_int_equal(column_null_count(j), 7);
        column_unref(c);
        column_unref(t);
        column_unref(j);
        type_unref(types[i]);
    }
    field_unref(item);
}

static void nulls_of_a_dictionary_become_nulls_of_rows(void **state)
{
    const char *const values[] = {"a", NULL, "c"};
    struct column *c = dictionary(strings(values, 3), (uint32_t[]){0, 1, 2, 1, 0, 1}, 6), *s, *r;
    (void)state;
    assert_int_equal(column_slice(c, 1, 4, &s, NULL), ST_OK);
    assert_int_equal(column_null_count(s), 0);
    assert_int_equal(column_lift_nulls(NULL, s, &r, NULL), ST_OK);
    assert_int_equal(column_null_count(r), 2);
    assert_int_equal(r->length, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(column_is_null(r, i), i % 2 == 0);
    column_unref(s);
    assert_int_equal(column_lift_nulls(NULL, r, &s, NULL), ST_OK); /* again: the same */
    assert_int_equal(column_null_count(s), 2);
    column_unref(s);
    column_unref(r);
    column_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(take_slice_concat_strings), cmocka_unit_test(dictionaries_join_and_decode), cmocka_unit_test(lists_and_structs),
        cmocka_unit_test(every_type_has_nulls), cmocka_unit_test(nulls_of_a_dictionary_become_nulls_of_rows),
        cmocka_unit_test(ranges_move_with_their_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
