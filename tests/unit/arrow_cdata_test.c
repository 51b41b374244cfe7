/* The C data interface as a consumer sees it: formats, buffers, nested and sliced columns, children taken out of their parents, nothing left behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arrow/cdata.h"

enum { ROWS = 5 };

static int owned; /* references that arrays hold */

static void take(void *ctx)
{
    ++*(int *)ctx;
}

static void drop(void *ctx)
{
    --*(int *)ctx;
}

static const struct cdata_owner owner = {take, drop, &owned};

static struct dtype *list_of_texts(void)
{
    struct field *item = field_new("item", type_of(TYPE_UTF8_VIEW), true);
    struct dtype *list = type_list(TYPE_LARGE_LIST, item);
    field_unref(item);
    return list;
}

/* t: texts "0", NULL, "2", ...; l: lists of i texts; s: {x: Int32}; b: Boolean. */
static struct batch *make_batch(struct budget *budget)
{
    struct dtype *list = list_of_texts(), *record;
    struct field *x = field_new("x", type_of(TYPE_INT32), true), *f[4];
    struct kv meta = {(char *)"role", (char *)"tag"};
    record = type_struct(&x, 1);
    struct field *plain = field_new("t", type_of(TYPE_LARGE_UTF8), true);
    f[0] = field_with_meta(plain, &meta, 1);
    f[1] = field_new("l", list, false);
    f[2] = field_new("s", record, true);
    f[3] = field_new("b", type_of(TYPE_BOOL), true);
    struct schema *schema = schema_new(f, 4);
    struct column_builder b[4];
    struct column *columns[4];
    for (int k = 0; k < 4; k++)
        assert_int_equal(column_builder_init(&b[k], budget, f[k]->type, NULL), ST_OK);
    for (int i = 0; i < ROWS + 1; i++) {
        char text = (char)('0' + i);
        int32_t number = i * 10;
        assert_int_equal(i == 2 ? column_builder_append_null(&b[0], NULL) : column_builder_append_bytes(&b[0], &text, 1, NULL), ST_OK);
        for (int k = 0; k < i; k++)
            assert_int_equal(column_builder_append_bytes(&b[1].children[0], &text, 1, NULL), ST_OK);
        assert_int_equal(column_builder_append_nested(&b[1], NULL), ST_OK);
        assert_int_equal(column_builder_append_fixed(&b[2].children[0], &number, NULL), ST_OK);
        assert_int_equal(column_builder_append_nested(&b[2], NULL), ST_OK);
        assert_int_equal(column_builder_append_bool(&b[3], i % 2, NULL), ST_OK);
    }
    for (int k = 0; k < 4; k++) {
        struct column *whole;
        assert_int_equal(column_builder_finish(&b[k], &whole, NULL), ST_OK);
        assert_int_equal(column_slice(whole, 1, ROWS, &columns[k], NULL), ST_OK); /* offsets that are not 0 */
        column_unref(whole);
        column_builder_release(&b[k]);
        field_unref(f[k]);
    }
    field_unref(plain);
    field_unref(x);
    type_unref(list);
    type_unref(record);
    struct batch *batch;
    assert_int_equal(batch_new(schema, ROWS, columns, &batch, NULL), ST_OK);
    schema_unref(schema);
    return batch;
}

static void test_schema(void **state)
{
    struct batch *batch = make_batch(NULL);
    struct ArrowSchema s;
    (void)state;
    assert_int_equal(cdata_export_schema(batch->schema, &s, NULL), ST_OK);
    batch_unref(batch);
    assert_string_equal(s.format, "+s");
    assert_int_equal(s.n_children, 4);
    assert_string_equal(s.children[0]->format, "u");
    assert_string_equal(s.children[0]->name, "t");
    assert_int_equal(s.children[0]->flags, ARROW_FLAG_NULLABLE);
    assert_memory_equal(s.children[0]->metadata, "\1\0\0\0\4\0\0\0role\3\0\0\0tag", 19);
    assert_string_equal(s.children[1]->format, "+l");
    assert_int_equal(s.children[1]->flags, 0);
    assert_null(s.children[1]->metadata);
    assert_string_equal(s.children[1]->children[0]->format, "u");
    assert_string_equal(s.children[2]->children[0]->format, "i");
    assert_string_equal(s.children[3]->format, "b");
    s.release(&s);
    assert_null(s.release);
}

static void expect_format(struct dtype *type, const char *format)
{
    struct field *f = field_new("f", type, true);
    struct schema *schema = schema_new(&f, 1);
    struct ArrowSchema s;
    int st = cdata_export_schema(schema, &s, NULL);
    assert_int_equal(st, format ? ST_OK : ST_UNSUPPORTED);
    if (format) {
        assert_string_equal(s.children[0]->format, format);
        s.release(&s);
    }
    schema_unref(schema);
    field_unref(f);
    type_unref(type);
}

static void test_formats(void **state)
{
    (void)state;
    expect_format(type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), "tsm:");
    expect_format(type_timestamp_zoned(UNIT_NANO, "Europe/Paris"), "tsn:Europe/Paris");
    expect_format(type_temporal(TYPE_TIME32, UNIT_SECOND), "tts");
    expect_format(type_temporal(TYPE_TIME64, UNIT_MICRO), "ttu");
    expect_format(type_temporal(TYPE_DURATION, UNIT_MICRO), "tDu");
    expect_format(type_of(TYPE_DATE32), "tdD");
    expect_format(type_of(TYPE_INTERVAL_MONTH_DAY_NANO), "tin");
    expect_format(type_decimal(TYPE_DECIMAL128, 38, -2), "d:38,-2");
    expect_format(type_decimal(TYPE_DECIMAL256, 70, 3), "d:70,3,256");
    expect_format(type_fixed_binary(16), "w:16");
    expect_format(type_of(TYPE_BINARY_VIEW), "z");
    expect_format(type_of(TYPE_NULL), "n");
    expect_format(type_dictionary(TYPE_UINT32, type_of(TYPE_UTF8)), NULL);
}

static void test_arrays(void **state)
{
    struct budget budget;
    struct ArrowArray a;
    (void)state;
    budget_init(&budget, "test", "test", SIZE_MAX, NULL);
    struct batch *batch = make_batch(&budget);
    assert_int_equal(cdata_export_batch(batch, &owner, &a, NULL), ST_OK);
    batch_unref(batch);
    assert_int_equal(a.length, ROWS);
    assert_int_equal(a.n_buffers, 1);
    assert_int_equal(owned, 1 + 4 + 2); /* itself, the columns, the children of two of them */

    /* A consumer may move a child out and let go of the parent. */
    struct ArrowArray texts = *a.children[0], lists = *a.children[1], records = *a.children[2], flags = *a.children[3];
    for (int k = 0; k < 4; k++)
        a.children[k]->release = NULL;
    a.release(&a);
    assert_null(a.release);

    assert_int_equal(texts.null_count, 1);
    assert_int_equal(texts.n_buffers, 3);
    const int32_t *ends = (const int32_t *)texts.buffers[1] + texts.offset;
    const char *bytes = texts.buffers[2];
    assert_int_equal(bytes[ends[0]], '1');
    assert_false(((const uint8_t *)texts.buffers[0])[0] >> (texts.offset + 1) & 1);
    assert_int_equal(bytes[ends[4]], '5');

    const int32_t *from = (const int32_t *)lists.buffers[1] + lists.offset;
    assert_int_equal(from[3] - from[2], 3);
    assert_null(lists.buffers[0]);
    assert_int_equal(lists.children[0]->length, 1 + 2 + 3 + 4 + 5);

    assert_int_equal(records.n_buffers, 1);
    const int32_t *numbers = (const int32_t *)records.children[0]->buffers[1] + records.children[0]->offset + records.offset;
    assert_int_equal(numbers[0], 10);
    assert_int_equal(((const uint8_t *)flags.buffers[1])[0] >> flags.offset & 3, 1);

    texts.release(&texts);
    lists.release(&lists);
    records.release(&records);
    assert_int_equal(owned, 1);
    flags.release(&flags);
    assert_int_equal(owned, 0);
    assert_int_equal(budget_used(&budget), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schema), cmocka_unit_test(test_formats), cmocka_unit_test(test_arrays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
