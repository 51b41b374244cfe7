/* Files of users: the first byte picks format and compression, the rest is the file. A region with columns of all kinds reads it whole. Casts are
 * left out: what would be cast is null. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/file/file.h"
#include "os/fs_sim.h"

#define COLUMN(name, type) "{\"name\":\"" name "\",\"data_type\":" type ",\"is_nullable\":true,\"is_time_index\":false,\"default_constraint\":null,\"metadata\":{}}"

static const char table_meta[] = "{\"files\":[\"x\"],\"file_column_schemas\":[" COLUMN("ts", "{\"Timestamp\":{\"Millisecond\":null}}") "," COLUMN(
    "s", "{\"String\":{\"size_type\":\"Utf8\"}}") "," COLUMN("i", "{\"Int64\":{}}") "," COLUMN("f", "{\"Float64\":{}}") "," COLUMN("b", "{\"Boolean\":null}") "," COLUMN(
    "l", "{\"List\":{\"item_type\":{\"Int64\":{}}}}") "," COLUMN("st",
                                                               "{\"Struct\":{\"fields\":[{\"name\":\"x\",\"data_type\":{\"Float64\":{}},\"nullable\":true,"
                                                               "\"metadata\":{}}]}}") "]}";
static const char region_json[] =
    "{\"region_id\":1,\"primary_key\":[1],\"column_metadatas\":[{\"column_schema\":{\"name\":\"ts\",\"data_type\":{\"Timestamp\":{\"Millisecond\":null}},"
    "\"is_nullable\":true,\"is_time_index\":true,\"default_constraint\":null,\"metadata\":{}},\"semantic_type\":\"Timestamp\",\"column_id\":0},"
    "{\"column_schema\":{\"name\":\"s\",\"data_type\":{\"String\":{\"size_type\":\"Utf8\"}},\"is_nullable\":true,\"is_time_index\":false,\"default_constraint\":null,"
    "\"metadata\":{}},\"semantic_type\":\"Tag\",\"column_id\":1}"
#define FIELD(name, type, id)                                                                                                                        \
    ",{\"column_schema\":{\"name\":\"" name "\",\"data_type\":" type                                                                                 \
    ",\"is_nullable\":true,\"is_time_index\":false,\"default_constraint\":null,\"metadata\":{}},\"semantic_type\":\"Field\",\"column_id\":" id "}"
    FIELD("i", "{\"Int64\":{}}", "2") FIELD("f", "{\"Float64\":{}}", "3") FIELD("b", "{\"Boolean\":null}", "4")
        FIELD("l", "{\"List\":{\"item_type\":{\"Int64\":{}}}}", "5") FIELD("none", "{\"Int64\":{}}", "6") "]}";

static void must(bool good)
{
    if (!good)
        abort();
}

static int cast(struct budget *budget, struct column *c, struct dtype *type, bool lenient, struct column **ret_column, struct error *err)
{
    (void)lenient;
    return column_new_nulls(budget, type, c->length, ret_column, err);
}

static void read_all(struct file_region *r, const struct file_engine_options *engine)
{
    static const uint32_t columns[] = {6, 5, 4, 3, 2, 1, 0};
    struct scan_request q = {.columns = columns, .n_columns = 7, .limit = -1};
    struct table *t;
    struct batch_stream *s;
    struct batch *b;
    must(file_region_table(r, engine, &t, NULL) == ST_OK);
    must(t->ops->scan(t, &q, NULL, &s, NULL) == ST_OK);
    for (int i = 0; i < 100 && batch_stream_next(s, &b, NULL) == ST_OK && b; i++)
        batch_unref(b);
    batch_stream_free(s);
    table_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"csv", "json", "parquet"}, *const compressions[] = {"", "gz", "bz2", "xz", "zst"};
    struct fs_sim *sim;
    struct region_metadata *m;
    struct file_region *r;
    struct budget budget;
    if (size < 1 || size > 1 << 16)
        return 0;
    struct kv options[] = {{(char *)"location", (char *)"/data/"}, {(char *)"__private.file_table_meta", (char *)table_meta},
                           {(char *)"format", (char *)formats[data[0] % 3]}, {(char *)"compression_type", (char *)compressions[data[0] / 3 % 5]},
                           {(char *)"has_header", (char *)(data[0] & 64 ? "true" : "false")}};
    must(fs_sim_new(1, &sim, NULL) == ST_OK);
    struct fs *fs = fs_sim_fs(sim);
    must(fs_mkdirs(fs, "/data", NULL) == ST_OK && fs_write_atomic(fs, "/data/x", "/data/tmp", data + 1, size - 1, NULL) == ST_OK);
    must(region_metadata_from_json(region_json, sizeof region_json - 1, &m, NULL) == ST_OK);
    must(file_region_new(m, options, 5, "p", &r, NULL) == ST_OK);
    budget_init(&budget, "fuzz", "none", 256 << 20, NULL);
    read_all(r, &(struct file_engine_options){.fs = fs, .budget = &budget, .cast = cast});
    file_region_unref(r);
    must(budget_used(&budget) == 0);
    fs_sim_free(sim);
    return 0;
}
