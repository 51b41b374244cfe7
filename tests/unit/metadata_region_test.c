/* Metadata: partition versions, JSON round trips, defaults, hostile JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "format/region/metadata.h"
#include "format/proto/wire.h"

static void partition_versions(void **state)
{
    (void)state;
    assert_int_equal(partition_expr_version(NULL), 0);
    assert_int_equal(partition_expr_version(""), 0);
    assert_true(partition_expr_version("{\"Expr\":{\"lhs\":{\"Column\":\"a\"},\"op\":\"LtEq\",\"rhs\":{\"Value\":{\"Int32\":10}}}}") == 4132138614409811531u);
    assert_true(partition_expr_version("{\"Expr\":{\"lhs\":{\"Column\":\"a\"},\"op\":\"Gt\",\"rhs\":{\"Value\":{\"Int32\":10}}}}") == 3749257104032891063u);
    assert_true(partition_expr_version("{\"Expr\":{\"lhs\":{\"Expr\":{\"lhs\":{\"Column\":\"a\"},\"op\":\"GtEq\",\"rhs\":{\"Value\":{\"Int32\":10}}}},\"op\":\"And\","
                                       "\"rhs\":{\"Expr\":{\"lhs\":{\"Column\":\"a\"},\"op\":\"Lt\",\"rhs\":{\"Value\":{\"Int32\":20}}}}}}") == 3347348779737376908u);
}

#define COLUMN(name, type, nullable, value, semantic, id)                                                                                            \
    "{\"column_schema\":{\"name\":\"" name "\",\"data_type\":" type ",\"is_nullable\":" nullable ",\"is_time_index\":false,\"default_constraint\":" value \
    ",\"metadata\":{}},\"semantic_type\":\"" semantic "\",\"column_id\":" id "}"
#define META(columns, key)                                                                                                                            \
    "{\"column_metadatas\":[" columns "],\"primary_key\":[" key "],\"region_id\":18446744073709551615,\"schema_version\":0,"                            \
    "\"primary_key_encoding\":\"dense\",\"partition_expr\":null}"
#define TIME COLUMN("ts", "{\"Timestamp\":{\"Millisecond\":null}}", "false", "null", "Timestamp", "9")

static int read(const char *text, struct region_metadata **ret, struct error *err)
{
    return region_metadata_from_json(text, strlen(text), ret, err);
}

static void round_trips(void **state)
{
    static const char *const texts[] = {
        META(TIME, ""),
        META(COLUMN("a\\\"\\n\\u0001", "{\"String\":{\"size_type\":\"Utf8View\"}}", "true", "{\"Value\":{\"String\":\"x\"}}", "Tag", "1") "," TIME,
             "1"),
        META(COLUMN("d", "{\"Decimal128\":{\"precision\":38,\"scale\":-3}}", "true",
                    "{\"Value\":{\"Decimal128\":{\"value\":-170141183460469231731687303715884105728,\"precision\":38,\"scale\":-3}}}", "Field", "1") "," TIME, ""),
        META(COLUMN("v", "{\"Vector\":{\"dim\":3}}", "true", "{\"Value\":{\"Binary\":[1,255]}}", "Field", "1") "," TIME, ""),
        META(COLUMN("j", "{\"Json\":{\"format\":{\"Native\":{\"Object\":{\"a\":{\"Array\":\"String\"},\"b\":{\"Number\":\"I64\"}}}}}}", "true", "null", "Field", "1") "," TIME, ""),
        META(COLUMN("l", "{\"List\":{\"item_type\":{\"Struct\":{\"fields\":[{\"name\":\"x\",\"data_type\":{\"Int64\":{}},\"nullable\":true,\"metadata\":{}}]}}}}", "true",
                    "{\"Value\":\"Null\"}", "Field", "1") "," TIME, ""),
        META(COLUMN("i", "{\"Interval\":{\"MonthDayNano\":null}}", "true", "{\"Value\":{\"IntervalMonthDayNano\":{\"months\":1,\"days\":-2,\"nanoseconds\":3}}}", "Field", "1") "," TIME, "")};
    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct region_metadata *m;
        struct error err = {0};
        struct dynbuf out;
        dynbuf_init(&out, 1 << 20);
        if (read(texts[i], &m, &err) != ST_OK)
            fail_msg("%s: %s", texts[i], err.msg);
        assert_int_equal(region_metadata_to_json(m, &out, NULL), ST_OK);
        assert_int_equal(out.size, strlen(texts[i]));
        assert_memory_equal(out.data, texts[i], out.size);
        assert_true(m->region_id == UINT64_MAX);
        assert_true(region_metadata_same_schema(m, m));
        dynbuf_release(&out);
        region_metadata_unref(m);
    }
}

static void refuses(void **state)
{
    static const char *const texts[] = {"", "{", "[]", "{}", META("", ""), META(TIME "," TIME, ""), META(TIME, "3"), META(TIME, "9"), META(TIME, "") "x",
        META(COLUMN("a", "{\"Int32\":null}", "true", "null", "Field", "1") "," TIME, ""), META(COLUMN("a\\u0000", "{\"Int32\":{}}", "true", "null", "Field", "1") "," TIME, ""),
        META(COLUMN("a", "{\"Int8\":{}}", "true", "{\"Value\":{\"Int8\":128}}", "Field", "1") "," TIME, ""),
        META(COLUMN("a", "{\"Int8\":{}}", "true", "{\"Function\":\"now()\"}", "Field", "1") "," TIME, "")};
    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct region_metadata *m;
        struct error err = {0};
        assert_int_equal(read(texts[i], &m, &err), ST_CORRUPT);
        assert_true(err.msg[0]);
    }
    char deep[4000];
    memset(deep, '[', sizeof deep);
    struct region_metadata *m;
    assert_int_equal(region_metadata_from_json(deep, sizeof deep, &m, NULL), ST_CORRUPT);
}

static struct region_metadata *sample(void)
{
    struct region_metadata *m;
    assert_int_equal(read(META(COLUMN("k", "{\"String\":{\"size_type\":\"Utf8\"}}", "true", "null", "Tag", "1") "," TIME ","
                               COLUMN("f", "{\"Float64\":{}}", "true", "{\"Value\":{\"Float64\":0.1}}", "Field", "2"), "1"), &m, NULL), ST_OK);
    return m;
}

/* One alter whose kind has a repeated message in field 1 with a name and maybe a second member. */
static int alter(struct region_metadata **m, uint32_t kind, const char *name, uint32_t number, const char *bytes, struct error *err)
{
    struct dynbuf item, list, body;
    struct region_metadata *next = NULL;
    dynbuf_init(&item, 4096);
    dynbuf_init(&list, 4096);
    dynbuf_init(&body, 4096);
    pb_put_string(&item, 1, name, NULL);
    if (bytes)
        pb_put_string(&item, 2, bytes, NULL);
    else if (number)
        pb_put_uint(&item, 2, number, NULL);
    pb_put_bytes(&list, 1, item.data, item.size, NULL);
    pb_put_bytes(&body, kind, list.data, list.size, NULL);
    int st = region_metadata_alter(*m, body.data, body.size, &next, err);
    if (st == ST_OK && next) {
        region_metadata_unref(*m);
        *m = next;
    }
    dynbuf_release(&item);
    dynbuf_release(&list);
    dynbuf_release(&body);
    return st;
}

static void alters(void **state)
{
    struct region_metadata *m = sample();
    struct error err = {0};
    (void)state;
    assert_int_equal(alter(&m, 5, "f", 0, NULL, &err), ST_OK); /* the chain of region-rpc.md 4.7 */
    assert_string_equal(m->columns[2].default_json, "{\"Value\":{\"Boolean\":true}}");
    assert_int_equal(alter(&m, 5, "f", 3, NULL, &err), ST_OK);
    assert_string_equal(m->columns[2].default_json, "{\"Value\":{\"Int32\":1}}");
    assert_int_equal(alter(&m, 5, "f", 12, NULL, &err), ST_OK);
    assert_string_equal(m->columns[2].default_json, "{\"Value\":{\"String\":\"1\"}}");
    assert_int_equal(m->schema_version, 3);
    assert_int_equal(alter(&m, 15, "f", 0, "{\"Value\":{\"value\":{\"SingleQuotedString\":\"new\"},\"span\":{}}}", &err), ST_OK);
    assert_string_equal(m->columns[2].default_json, "{\"Value\":{\"String\":\"new\"}}");
    assert_int_equal(alter(&m, 12, "f", 0, NULL, &err), ST_OK);
    assert_null(m->columns[2].default_json);
    assert_int_equal(alter(&m, 12, "ts", 0, NULL, &err), ST_INVALID_ARGUMENTS);
    assert_int_equal(alter(&m, 3, "k", 0, NULL, &err), ST_INVALID_ARGUMENTS);
    uint64_t version = m->schema_version;
    assert_int_equal(alter(&m, 3, "absent", 0, NULL, &err), ST_OK);
    assert_int_equal(m->schema_version, version);
    assert_int_equal(alter(&m, 3, "f", 0, NULL, &err), ST_OK);
    assert_int_equal(m->n_columns, 2);
    assert_int_equal(alter(&m, 6, "ttl", 0, "1d", &err), ST_UNSUPPORTED);
    region_metadata_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(partition_versions), cmocka_unit_test(round_trips), cmocka_unit_test(refuses),
                                       cmocka_unit_test(alters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
