/* Region metadata for tests of row writes: all column types, tags of several types, and what NOT NULL and defaults do. */
#ifndef TESTS_ROW_SAMPLES_H
#define TESTS_ROW_SAMPLES_H

#include <string.h>

#include "format/region/metadata.h"

#define RS_COLUMN(name, type, nullable, value, semantic, id)                                                                                          \
    "{\"column_schema\":{\"name\":\"" name "\",\"data_type\":" type ",\"is_nullable\":" nullable ",\"is_time_index\":false,\"default_constraint\":" value \
    ",\"metadata\":{}},\"semantic_type\":\"" semantic "\",\"column_id\":" id "}"
#define RS_META(columns, key)                                                                                                              \
    "{\"column_metadatas\":[" columns "],\"primary_key\":[" key "],\"region_id\":7,\"schema_version\":0,\"primary_key_encoding\":\"dense\"," \
    "\"partition_expr\":\"\"}"
#define RS_FIELD(name, type, id) RS_COLUMN(name, type, "true", "null", "Field", id)
#define RS_TAG(name, type, value, id) RS_COLUMN(name, type, "true", value, "Tag", id)
#define RS_TIME RS_COLUMN("ts", "{\"Timestamp\":{\"Millisecond\":null}}", "false", "null", "Timestamp", "100")
#define RS_STRING "{\"String\":{\"size_type\":\"Utf8\"}}"
#define RS_BINARY "{\"Binary\":{\"repr_type\":\"Binary\"}}"

enum { SAMPLE_TYPES, SAMPLE_TAGS, SAMPLE_RULES, SAMPLE_NO_TAGS, SAMPLE_COUNT };

static const char *const row_samples[SAMPLE_COUNT] = {
    [SAMPLE_TYPES] = RS_META(
        RS_TAG("k", RS_STRING, "null", "0") "," RS_TIME "," RS_FIELD("b", "{\"Boolean\":null}", "1") "," RS_FIELD("i8", "{\"Int8\":{}}", "2") ","
        RS_FIELD("i16", "{\"Int16\":{}}", "3") "," RS_FIELD("i32", "{\"Int32\":{}}", "4") "," RS_FIELD("i64", "{\"Int64\":{}}", "5") ","
        RS_FIELD("u8", "{\"UInt8\":{}}", "6") "," RS_FIELD("u16", "{\"UInt16\":{}}", "7") "," RS_FIELD("u32", "{\"UInt32\":{}}", "8") ","
        RS_FIELD("u64", "{\"UInt64\":{}}", "9") "," RS_FIELD("f32", "{\"Float32\":{}}", "10") "," RS_FIELD("f64", "{\"Float64\":{}}", "11") ","
        RS_FIELD("bin", RS_BINARY, "12") "," RS_FIELD("str", RS_STRING, "13") "," RS_FIELD("date", "{\"Date\":null}", "14") ","
        RS_FIELD("us", "{\"Timestamp\":{\"Microsecond\":null}}", "15") "," RS_FIELD("time", "{\"Time\":{\"Second\":null}}", "16") ","
        RS_FIELD("ns", "{\"Time\":{\"Nanosecond\":null}}", "17") "," RS_FIELD("ym", "{\"Interval\":{\"YearMonth\":null}}", "18") ","
        RS_FIELD("dt", "{\"Interval\":{\"DayTime\":null}}", "19") "," RS_FIELD("mdn", "{\"Interval\":{\"MonthDayNano\":null}}", "20") ","
        RS_FIELD("dec", "{\"Decimal128\":{\"precision\":10,\"scale\":2}}", "21") "," RS_FIELD("j", "{\"Json\":{\"format\":\"Jsonb\"}}", "22") ","
        RS_FIELD("nj", "{\"Json\":{\"format\":{\"Native\":{\"Object\":{\"a\":{\"Number\":\"I64\"},\"b\":{\"Array\":\"String\"}}}}}}", "23") ","
        RS_FIELD("v", "{\"Vector\":{\"dim\":2}}", "24") "," RS_FIELD("l", "{\"List\":{\"item_type\":{\"Int32\":{}}}}", "25") ","
        RS_FIELD("st", "{\"Struct\":{\"fields\":[{\"name\":\"x\",\"data_type\":{\"Int64\":{}},\"nullable\":true,\"metadata\":{}},{\"name\":\"y\",\"data_type\":"
                 RS_STRING ",\"nullable\":true,\"metadata\":{}}]}}", "26"),
        "0"),
    [SAMPLE_TAGS] = RS_META(
        RS_TAG("a", RS_STRING, "null", "0") "," RS_TAG("n", "{\"Int32\":{}}", "{\"Value\":{\"Int32\":-5}}", "1") "," RS_TAG("b", "{\"Boolean\":null}", "null", "2")
        "," RS_TAG("u", "{\"UInt64\":{}}", "null", "3") "," RS_TAG("t", "{\"Timestamp\":{\"Nanosecond\":null}}", "null", "4") ","
        RS_TAG("bin", RS_BINARY, "null", "5") "," RS_TAG("dec", "{\"Decimal128\":{\"precision\":38,\"scale\":10}}", "null", "6") ","
        RS_TAG("f", "{\"Float64\":{}}", "null", "7") "," RS_TIME "," RS_FIELD("x", "{\"Float64\":{}}", "8"),
        "0,1,2,3,4,5,6,7"),
    [SAMPLE_RULES] = RS_META(
        RS_COLUMN("k", RS_STRING, "false", "null", "Tag", "0") "," RS_TAG("d", RS_STRING, "{\"Value\":{\"String\":\"dflt\"}}", "1") "," RS_TIME ","
        RS_COLUMN("must", "{\"Int64\":{}}", "false", "null", "Field", "2") ","
        RS_COLUMN("c", "{\"Int32\":{}}", "false", "{\"Value\":{\"Int32\":42}}", "Field", "3") ","
        RS_COLUMN("s", RS_STRING, "true", "{\"Value\":{\"String\":\"abc\"}}", "Field", "4") ","
        RS_COLUMN("now", "{\"Timestamp\":{\"Millisecond\":null}}", "true", "{\"Function\":\"now()\"}", "Field", "5") ","
        RS_COLUMN("n", "{\"Int32\":{}}", "true", "{\"Value\":\"Null\"}", "Field", "6"),
        "0,1"),
    [SAMPLE_NO_TAGS] = RS_META(RS_TIME "," RS_FIELD("x", "{\"Float64\":{}}", "1") "," RS_FIELD("s", RS_STRING, "2"), ""),
};

static inline int row_sample(unsigned i, struct region_metadata **ret_meta, struct error *err)
{
    return region_metadata_from_json(row_samples[i], strlen(row_samples[i]), ret_meta, err);
}

#endif
