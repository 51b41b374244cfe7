/* Client calls: one batch for the status under the call's own tag, further batches as they are needed. */
#include <stdlib.h>
#include <string.h>

#include "rpc/call.h"

void client_call_start(struct client_call *k, grpc_channel *channel, grpc_completion_queue *cq, const char *path, int64_t timeout_ms)
{
    *k = (struct client_call){.details = grpc_empty_slice()};
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (timeout_ms > 0)
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
    grpc_slice method = grpc_slice_from_copied_string(path);
    k->call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq, method, NULL, deadline, NULL);
    grpc_slice_unref(method);
    grpc_metadata_array_init(&k->head);
    grpc_metadata_array_init(&k->trailer);
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    status.data.recv_status_on_client.trailing_metadata = &k->trailer;
    status.data.recv_status_on_client.status = &k->status;
    status.data.recv_status_on_client.status_details = &k->details;
    grpc_call_start_batch(k->call, &status, 1, k, NULL);
}

bool client_call_request(struct client_call *k, grpc_byte_buffer *message, bool last, void *tag)
{
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &k->head},
                      {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
                      {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}};
    return grpc_call_start_batch(k->call, ops, last ? 4 : 3, tag, NULL) == GRPC_CALL_OK;
}

bool client_call_receive(struct client_call *k, grpc_byte_buffer **ret_message, void *tag)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = ret_message};
    return grpc_call_start_batch(k->call, &op, 1, tag, NULL) == GRPC_CALL_OK;
}

int client_call_take(grpc_byte_buffer *message, size_t bytes_max, struct buffer **ret_message, struct error *err)
{
    bool too_big = false;
    int rc = rpc_message_flatten(message, bytes_max, NULL, ret_message, &too_big, err);
    grpc_byte_buffer_destroy(message);
    return too_big ? error_set(err, ST_EXHAUSTED, "a reply of more than %zu bytes", bytes_max) : rc;
}

static int status_of_greptime(int code)
{
    for (int st = ST_UNKNOWN; st <= ST_NO_MEMORY; st++) {
        if (status_greptime_code(st) == code)
            return st;
    }
    return ST_UNKNOWN;
}

int client_call_outcome(const struct client_call *k, struct error *err)
{
    if (k->status == GRPC_STATUS_OK)
        return ST_OK;
    int st = k->status == GRPC_STATUS_DEADLINE_EXCEEDED ? ST_DEADLINE_EXCEEDED
             : k->status == GRPC_STATUS_UNAVAILABLE     ? ST_STORAGE
             : k->status == GRPC_STATUS_CANCELLED       ? ST_CANCELLED
             : k->status == GRPC_STATUS_OUT_OF_RANGE    ? ST_EXHAUSTED
                                                        : ST_UNKNOWN;
    for (size_t i = 0; i < k->trailer.count; i++) {
        char text[16] = {0};
        grpc_slice v = k->trailer.metadata[i].value;
        if (grpc_slice_str_cmp(k->trailer.metadata[i].key, "x-greptime-err-code") || GRPC_SLICE_LENGTH(v) >= sizeof(text))
            continue;
        memcpy(text, GRPC_SLICE_START_PTR(v), GRPC_SLICE_LENGTH(v));
        st = status_of_greptime(atoi(text));
    }
    return error_set(err, st, "%.*s (gRPC status %d)", (int)GRPC_SLICE_LENGTH(k->details), (const char *)GRPC_SLICE_START_PTR(k->details),
                     (int)k->status);
}

void client_call_release(struct client_call *k)
{
    grpc_slice_unref(k->details);
    grpc_metadata_array_destroy(&k->head);
    grpc_metadata_array_destroy(&k->trailer);
    grpc_call_unref(k->call);
    k->call = NULL;
}
