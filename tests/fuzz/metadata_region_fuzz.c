/* Region metadata: first byte picks JSON, a create request, or an alter request on a fixed region. Whatever comes out must survive a JSON round trip. */
#include <stdlib.h>
#include <string.h>

#include "format/region/metadata.h"

static const char fixed[] =
    "{\"column_metadatas\":[{\"column_schema\":{\"name\":\"k\",\"data_type\":{\"String\":{\"size_type\":\"Utf8\"}},\"is_nullable\":true,\"is_time_index\":false,"
    "\"default_constraint\":null,\"metadata\":{}},\"semantic_type\":\"Tag\",\"column_id\":0},{\"column_schema\":{\"name\":\"t\",\"data_type\":{\"Timestamp\":"
    "{\"Millisecond\":null}},\"is_nullable\":false,\"is_time_index\":true,\"default_constraint\":null,\"metadata\":{}},\"semantic_type\":\"Timestamp\","
    "\"column_id\":1},{\"column_schema\":{\"name\":\"i\",\"data_type\":{\"Float64\":{}},\"is_nullable\":true,\"is_time_index\":false,\"default_constraint\":"
    "{\"Value\":{\"Float64\":1.5}},\"metadata\":{}},\"semantic_type\":\"Field\",\"column_id\":2}],\"primary_key\":[0],\"region_id\":1,\"schema_version\":0,"
    "\"primary_key_encoding\":\"dense\",\"partition_expr\":null}";

static void round_trip(const struct region_metadata *m)
{
    struct dynbuf out;
    struct region_metadata *again;
    dynbuf_init(&out, 64 << 20);
    if (region_metadata_to_json(m, &out, NULL) != ST_OK || region_metadata_from_json((const char *)out.data, out.size, &again, NULL) != ST_OK ||
        !region_metadata_same_schema(m, again))
        abort();
    region_metadata_unref(again);
    dynbuf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct region_metadata *m = NULL, *base = NULL;
    if (!size)
        return 0;
    int st;
    if (data[0] % 3 == 0) {
        st = region_metadata_from_json((const char *)data + 1, size - 1, &m, NULL);
    } else if (data[0] % 3 == 1) {
        st = region_metadata_from_create(data + 1, size - 1, false, ST_INVALID_ARGUMENTS, &m, NULL);
    } else {
        if (region_metadata_from_json(fixed, sizeof fixed - 1, &base, NULL) != ST_OK)
            abort();
        st = region_metadata_alter(base, data + 1, size - 1, &m, NULL);
    }
    if (st == ST_OK && m)
        round_trip(m);
    region_metadata_unref(m);
    region_metadata_unref(base);
    return 0;
}
