/* decode_primary_key, and arrow_metadata: the functions that look at what stands around the values. */
#include "expr_calc.h"

#include "format/key/key.h"
#include "format/key/sparse.h"

/* A text literal. */
#define S(text) L(T(UTF8), text)
#define STRING "{\"String\":{\"size_type\":\"Utf8\"}}"
#define TAG(name, type, id)                                                                                                                          \
    "{\"column_schema\":{\"name\":\"" name "\",\"data_type\":" type                                                                                  \
    ",\"is_nullable\":true,\"is_time_index\":false,\"default_constraint\":null,\"metadata\":{}},\"semantic_type\":\"Tag\",\"column_id\":" id "},"
#define META(tags, key, encoding)                                                                                                                    \
    "{\"column_metadatas\":[" tags                                                                                                                   \
    "{\"column_schema\":{\"name\":\"ts\",\"data_type\":{\"Timestamp\":{\"Millisecond\":null}},\"is_nullable\":false,\"is_time_index\":true,"         \
    "\"default_constraint\":null,\"metadata\":{\"greptime:time_index\":\"true\"}},\"semantic_type\":\"Timestamp\",\"column_id\":100}],"              \
    "\"primary_key\":[" key "],\"region_id\":4294967297,\"schema_version\":0,\"primary_key_encoding\":\"" encoding "\",\"partition_expr\":null}"

static const char dense_meta[] = META(TAG("host", STRING, "0") TAG("core", "{\"Int64\":{}}", "1")
                                          TAG("at", "{\"Timestamp\":{\"Millisecond\":null}}", "2") TAG("load", "{\"Float64\":{}}", "3"),
                                      "0,1,2,3", "dense");
static const char sparse_meta[] = META(TAG("k0", STRING, "10") TAG("k1", STRING, "11"), "10,11", "sparse");

/* The bytes as a text that given() reads. */
static const char *hex(const struct dynbuf *b, char out[1000])
{
    size_t n = (size_t)snprintf(out, 1000, "0x");
    for (size_t i = 0; i < b->size; i++)
        n += (size_t)snprintf(out + n, 1000 - n, "%02x", b->data[i]);
    return out;
}

static void test_dense(void **state)
{
    char text[1000], rows[2100];
    struct dynbuf key;
    (void)state;
    dynbuf_init(&key, 1 << 10);
    assert_int_equal(key_append_string(&key, "a longer name", 13, NULL), ST_OK);
    assert_int_equal(key_append_fixed(&key, T(INT64), &(int64_t){-7}, NULL), ST_OK);
    assert_int_equal(key_append_fixed(&key, stamp(UNIT_MILLI), &(int64_t){1500}, NULL), ST_OK);
    assert_int_equal(key_append_fixed(&key, T(FLOAT64), &(double){2}, NULL), ST_OK);
    snprintf(rows, sizeof rows, "%s|NULL|%s", hex(&key, text), text);
    given(T(BINARY), rows);
    IS(CALL("decode_primary_key", F(0), S("dense"), S(dense_meta)),
       "[host : a longer name,core : -7,at : 1970-01-01 00:00:01.500+0000,load : 2]|NULL|"
       "[host : a longer name,core : -7,at : 1970-01-01 00:00:01.500+0000,load : 2]");
    IS(CALL("DECODE_Primary_Key", F(0), S("Sparse"), S(dense_meta)), QUERY_ERROR);
    IS(CALL("decode_primary_key", F(0), S("dense"), S("{}")), QUERY_ERROR);
    IS(CALL("decode_primary_key", F(0), S("tight"), S(dense_meta)), QUERY_ERROR);
    dynbuf_clear(&key);
    for (int i = 0; i < 4; i++)
        assert_int_equal(key_append_null(&key, NULL), ST_OK);
    n_input = 0;
    given(T(BINARY_VIEW), hex(&key, text));
    IS(CALL("decode_primary_key", F(0), S("dense"), S(dense_meta)), "[host : null,core : null,at : null,load : null]");
    dynbuf_release(&key);
}

static void test_sparse(void **state)
{
    char text[1000];
    struct dynbuf key;
    const struct key_label labels[] = {
        {11, "k1", 2, (const uint8_t *)"b", 1}, {10, "k0", 2, (const uint8_t *)"a", 1}, {77, "z", 1, (const uint8_t *)"c", 1}};
    char expected[200];
    (void)state;
    dynbuf_init(&key, 1 << 10);
    assert_int_equal(key_sparse_append(&key, 9, labels, 3, NULL), ST_OK);
    given(T(BINARY), hex(&key, text));
    snprintf(expected, sizeof expected, "[k0 : a,k1 : b,77 : c,__tsid : %lu,__table_id : 9]", key_tsid(labels, 3));
    IS(CALL("decode_primary_key", F(0), S("sparse"), S(sparse_meta)), expected);
    IS(CALL("decode_primary_key", F(0), S("dense"), S(sparse_meta)), QUERY_ERROR);
    dynbuf_release(&key);
}

static void test_metadata(void **state)
{
    (void)state;
    static const struct kv meta[] = {{"greptime:time_index", "true"}, {"a", "1"}};
    given(stamp(UNIT_MILLI), "1|2");
    input_meta = meta;
    n_input_meta = 2;
    IS(CALL("arrow_metadata", F(0), S("greptime:time_index")), "true|true");
    IS(CALL("arrow_metadata", cast(F(0), T(INT64), false), S("a")), "1|1");
    IS(CALL("arrow_metadata", F(0), S("b")), "NULL|NULL");
    IS(CALL("arrow_metadata", CALL("to_unixtime", F(0)), S("a")), "NULL|NULL");
    IS(CALL("arrow_metadata", F(0)), "[{a,1},{greptime:time_index,true}]|[{a,1},{greptime:time_index,true}]");
    IS(CALL("map_keys", CALL("arrow_metadata", F(0))), "[a,greptime:time_index]|[a,greptime:time_index]");
    IS(CALL("arrow_metadata", S("x")), "[]|[]");
    IS(CALL("arrow_metadata", F(0), CALL("lower", S("A"))), QUERY_ERROR);
    n_input_meta = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_dense), TEST(test_sparse), TEST(test_metadata)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
