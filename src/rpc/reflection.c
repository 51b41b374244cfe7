/* grpc.reflection.v1.ServerReflection, and v1alpha, whose messages are the same: the services of this port and their descriptions
 * (rpc/descriptors.h). A request for what is not known ends the stream with NOT_FOUND, as it does at the peer. The peer lists two names more, for
 * which it has no service here: greptime.v1.GreptimeDatabase and greptime.v1.RegionServer. */
#include <stdio.h>
#include <string.h>

#include "format/proto/wire.h"
#include "rpc/descriptors.h"
#include "rpc/internal.h"

enum {
    FILE_BY_NAME = 3,
    FILE_OF_SYMBOL = 4,
    FILE_OF_EXTENSION = 5,
    EXTENSION_NUMBERS = 6,
    LIST_SERVICES = 7,
    REQUEST_BYTES_MAX = 4 << 20,
    ANSWER_BYTES_MAX = 1 << 20
};

static int put_file(const struct descriptor_file *file, struct dynbuf *out, struct error *err)
{
    struct dynbuf bytes, answer;
    dynbuf_init(&bytes, ANSWER_BYTES_MAX);
    dynbuf_init(&answer, ANSWER_BYTES_MAX);
    int rc = descriptor_file_encode(file, &bytes, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(&answer, 1, bytes.data, bytes.size, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(out, 4, answer.data, answer.size, err);
    dynbuf_release(&bytes);
    dynbuf_release(&answer);
    return rc;
}

static int put_services(struct dynbuf *out, struct error *err)
{
    static const char kind[] = "service ";
    uint8_t list[1024], *p = list;
    for (const struct descriptor *d = descriptors; d->name; d++) {
        if (strncmp(d->name, kind, sizeof(kind) - 1) != 0)
            continue;
        char name[100];
        size_t n = (size_t)snprintf(name, sizeof(name), "%s.%s", d->package, d->name + sizeof(kind) - 1); /* all lengths fit into a byte */
        *p++ = 0x0a;
        *p++ = (uint8_t)(n + 2);
        *p++ = 0x0a;
        *p++ = (uint8_t)n;
        p = (uint8_t *)mempcpy(p, name, n);
    }
    return pb_put_bytes(out, 6, list, (size_t)(p - list), err);
}

/* ServerReflectionResponse{valid_host 1, original_request 2, file_descriptor_response 4 {file_descriptor_proto 1} | all_extension_numbers_response 5
 * | list_services_response 6 {service 1 {name 1}}} */
static int put_answer(const struct buffer *request, const struct pb_field *host, uint32_t kind, const struct descriptor_file *file,
                      struct dynbuf *out, struct error *err)
{
    if (host->size)
        TRY(pb_put_bytes(out, 1, host->data, host->size, err));
    TRY(pb_put_bytes(out, 2, request->data, request->size, err));
    if (file)
        return put_file(file, out, err);
    return kind == EXTENSION_NUMBERS ? pb_put_bytes(out, 5, "", 0, err) : put_services(out, err);
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
    const char *name = (const char *)asked.data;
    const struct descriptor_file *file = asked.number == FILE_BY_NAME     ? descriptor_file_by_name(name, asked.size)
                                         : asked.number == FILE_OF_SYMBOL ? descriptor_file_of_symbol(name, asked.size)
                                                                          : NULL;
    if (!file && (asked.number == FILE_BY_NAME || asked.number == FILE_OF_SYMBOL)) {
        error_set(&err, ST_NOT_FOUND, "%s '%.*s' not found", asked.number == FILE_BY_NAME ? "file" : "symbol",
                  (int)(asked.size < 200 ? asked.size : 200), name ? name : "");
        return refuse(c, GRPC_STATUS_NOT_FOUND, err.msg);
    }
    dynbuf_init(&out, 2 * REQUEST_BYTES_MAX);
    bool going = put_answer(request, &host, asked.number, file, &out, NULL) == ST_OK;
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
