#include "format/rows/bulk.h"

#include <string.h>

#include "arrow/ipc.h"

int bulk_batch_decode(const struct pb_field *ipc, struct budget *budget, struct batch **ret_batch, struct error *err)
{
    struct pb_reader r = pb_inside(ipc);
    struct pb_field f, parts[4] = {{0}};
    struct schema *schema = NULL;
    struct buffer *body = NULL;
    while (pb_next(&r, &f))
        if (f.number <= 3 && f.wire == PB_BYTES)
            parts[f.number] = f;
    if (!pb_done(&r) || !parts[1].data || !parts[2].data)
        return error_set(err, ST_INVALID_ARGUMENTS, "a bulk insert is malformed protobuf");
    int st = ipc_decode_schema(parts[1].data, parts[1].size, &schema, err);
    if (st == ST_OK)
        st = buffer_new_uninit(budget, parts[3].size, &body, err);
    if (st == ST_OK) {
        if (parts[3].size)
            memcpy(body->data, parts[3].data, parts[3].size);
        st = ipc_decode_batch(schema, NULL, parts[2].data, parts[2].size, body, budget, ret_batch, err);
    }
    if (st == ST_CORRUPT) {
        error_prefix(err, "a bulk insert cannot be decoded");
        st = ST_INVALID_ARGUMENTS;
        if (err)
            err->status = ST_INVALID_ARGUMENTS;
    }
    buffer_unref(body);
    schema_unref(schema);
    return st;
}
