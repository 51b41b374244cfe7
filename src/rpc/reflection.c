/* grpc.reflection.v1.ServerReflection, as far as the peer's clients use it: the list of services (region-rpc.md 1.1). The names are the peer's; the third
 * is no service of either. There are no file descriptors here: a request for one ends the stream with NOT_FOUND, as it does at the peer for a symbol
 * that it does not know. */
#include <string.h>

#include "format/proto/wire.h"
#include "rpc/internal.h"

enum { FILE_BY_NAME = 3, FILE_OF_SYMBOL = 4, FILE_OF_EXTENSION = 5, EXTENSION_NUMBERS = 6, LIST_SERVICES = 7, REQUEST_BYTES_MAX = 4 << 20 };

/* ServerReflectionResponse{valid_host 1, original_request 2, all_extension_numbers_response 5 | list_services_response 6 {service 1 {name 1}}} */
static int put_answer(const struct buffer *request, const struct pb_field *host, uint32_t kind, struct dynbuf *out, struct error *err)
{
    static const char *const names[] = {"greptime.v1.GreptimeDatabase", "greptime.v1.HealthCheck", "greptime.v1.RegionServer"};
    uint8_t list[256], *p = list;
    if (host->size)
        TRY(pb_put_bytes(out, 1, host->data, host->size, err));
    TRY(pb_put_bytes(out, 2, request->data, request->size, err));
    if (kind == EXTENSION_NUMBERS)
        return pb_put_bytes(out, 5, "", 0, err);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t n = strlen(names[i]); /* all lengths fit into a byte */
        *p++ = 0x0a;
        *p++ = (uint8_t)(n + 2);
        *p++ = 0x0a;
        *p++ = (uint8_t)n;
        p = (uint8_t *)mempcpy(p, names[i], n);
    }
    return pb_put_bytes(out, 6, list, (size_t)(p - list), err);
}

static bool refuse(struct rpc_call *c, int code, const char *text)
{
    rpc_call_finish_grpc(c, NULL, code, 0, text);
    return false;
}

bool rpc_reflection_answer(struct rpc_call *c, const struct buffer *request)
{
    struct pb_field f, host = {0}, asked = {0};
    struct pb_reader r = pb_reader_of(request->data, request->size);
    struct dynbuf out;
    struct error err;
    while (pb_next(&r, &f)) {
        if (f.wire == PB_BYTES && f.number == 1)
            host = f;
        else if (f.wire == PB_BYTES && f.number >= FILE_BY_NAME && f.number <= LIST_SERVICES)
            asked = f;
    }
    if (!pb_done(&r) || !asked.number || request->size > REQUEST_BYTES_MAX)
        return refuse(c, GRPC_STATUS_INVALID_ARGUMENT, "invalid MessageRequest");
    if (asked.number == FILE_OF_EXTENSION)
        return refuse(c, GRPC_STATUS_NOT_FOUND, "extensions are not supported");
    if (asked.number == FILE_BY_NAME || asked.number == FILE_OF_SYMBOL) {
        error_set(&err, ST_NOT_FOUND, "%s '%.*s' not found", asked.number == FILE_BY_NAME ? "file" : "symbol",
                  (int)(asked.size < 200 ? asked.size : 200), asked.data ? (const char *)asked.data : "");
        return refuse(c, GRPC_STATUS_NOT_FOUND, err.msg);
    }
    dynbuf_init(&out, 2 * REQUEST_BYTES_MAX);
    bool going = put_answer(request, &host, asked.number, &out, NULL) == ST_OK;
    if (going) {
        grpc_slice slice = grpc_slice_from_copied_buffer((const char *)out.data, out.size);
        going = rpc_call_send(c, grpc_raw_byte_buffer_create(&slice, 1));
        grpc_slice_unref(slice);
    }
    dynbuf_release(&out);
    if (!going)
        return refuse(c, GRPC_STATUS_CANCELLED, "");
    return true;
}
