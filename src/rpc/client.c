/* The blocking client: see rpc/client.h. Every call has batches in flight on one queue and waits for each by its tag. */
#include "rpc/client.h"

#include <grpc/grpc_security.h>
#include <stdlib.h>
#include <string.h>

#include "format/proto/wire.h"
#include "rpc/internal.h"

enum { MESSAGE_BYTES_MAX = 512 << 20 };

struct rpc_client {
    grpc_channel *channel;
    grpc_completion_queue *cq;
    int64_t timeout_ms;
};

struct client_call {
    struct rpc_client *client;
    grpc_call *call;
    grpc_metadata_array head, trailer;
    grpc_status_code status;
    grpc_slice details;
};

int rpc_client_new(const char *addr, int64_t timeout_ms, struct rpc_client **ret_client, struct error *err)
{
    struct rpc_client *c = calloc(1, sizeof(*c));
    if (!c)
        return error_no_memory(err, sizeof(*c));
    grpc_init();
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, .value.integer = MESSAGE_BYTES_MAX},
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_HTTP_PROXY, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_RETRIES, .value.integer = 0},
    };
    grpc_channel_args list = {sizeof(args) / sizeof(args[0]), args};
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    c->channel = grpc_channel_create(addr, plain, &list);
    grpc_channel_credentials_release(plain);
    c->cq = grpc_completion_queue_create_for_pluck(NULL);
    c->timeout_ms = timeout_ms;
    *ret_client = c;
    return ST_OK;
}

void rpc_client_free(struct rpc_client *c)
{
    if (!c)
        return;
    grpc_channel_destroy(c->channel);
    grpc_completion_queue_shutdown(c->cq);
    grpc_completion_queue_destroy(c->cq);
    free(c);
    grpc_shutdown();
}

static bool pluck(struct client_call *k, void *tag)
{
    return grpc_completion_queue_pluck(k->client->cq, tag, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).success;
}

/* Sends the request and asks for the status; the status arrives under the tag `k`. */
static void begin(struct client_call *k, struct rpc_client *c, const char *path, grpc_slice request)
{
    *k = (struct client_call){.client = c};
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (c->timeout_ms > 0)
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(c->timeout_ms, GPR_TIMESPAN));
    k->call = grpc_channel_create_call(c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, c->cq, grpc_slice_from_static_string(path), NULL, deadline, NULL);
    grpc_metadata_array_init(&k->head);
    grpc_metadata_array_init(&k->trailer);
    k->details = grpc_empty_slice();
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    status.data.recv_status_on_client.trailing_metadata = &k->trailer;
    status.data.recv_status_on_client.status = &k->status;
    status.data.recv_status_on_client.status_details = &k->details;
    grpc_call_start_batch(k->call, &status, 1, k, NULL);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&request, 1);
    grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &k->head},
    };
    if (grpc_call_start_batch(k->call, ops, 4, &k->head, NULL) == GRPC_CALL_OK)
        pluck(k, &k->head);
    grpc_byte_buffer_destroy(message);
    grpc_slice_unref(request);
}

/* *ret_message = NULL when there are no more. */
static int receive(struct client_call *k, struct buffer **ret_message, struct error *err)
{
    grpc_byte_buffer *message = NULL;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &message};
    *ret_message = NULL;
    if (grpc_call_start_batch(k->call, &op, 1, &op, NULL) == GRPC_CALL_OK)
        pluck(k, &op);
    if (!message)
        return ST_OK;
    bool too_big = false;
    int rc = rpc_message_flatten(message, MESSAGE_BYTES_MAX, NULL, ret_message, &too_big, err);
    grpc_byte_buffer_destroy(message);
    return too_big ? error_set(err, ST_EXHAUSTED, "a reply of more than %d bytes", MESSAGE_BYTES_MAX) : rc;
}

static int status_of_greptime(int code)
{
    for (int st = ST_UNKNOWN; st <= ST_NO_MEMORY; st++) {
        if (status_greptime_code(st) == code)
            return st;
    }
    return ST_UNKNOWN;
}

/* Ends the call (cancelling it when `rc` says that we gave up) and gives its outcome. */
static int end(struct client_call *k, int rc, struct error *err)
{
    if (rc)
        grpc_call_cancel(k->call, NULL);
    pluck(k, k);
    if (rc == ST_OK && k->status != GRPC_STATUS_OK) {
        int st = k->status == GRPC_STATUS_DEADLINE_EXCEEDED ? ST_DEADLINE_EXCEEDED : k->status == GRPC_STATUS_UNAVAILABLE ? ST_STORAGE : ST_UNKNOWN;
        for (size_t i = 0; i < k->trailer.count; i++) {
            char text[16] = {0};
            grpc_slice v = k->trailer.metadata[i].value;
            if (grpc_slice_str_cmp(k->trailer.metadata[i].key, "x-greptime-err-code") || GRPC_SLICE_LENGTH(v) >= sizeof(text))
                continue;
            memcpy(text, GRPC_SLICE_START_PTR(v), GRPC_SLICE_LENGTH(v));
            st = status_of_greptime(atoi(text));
        }
        rc = error_set(err, st, "%.*s (gRPC status %d)", (int)GRPC_SLICE_LENGTH(k->details), (const char *)GRPC_SLICE_START_PTR(k->details),
                       (int)k->status);
    }
    grpc_slice_unref(k->details);
    grpc_metadata_array_destroy(&k->head);
    grpc_metadata_array_destroy(&k->trailer);
    grpc_call_unref(k->call);
    return rc;
}

int rpc_client_handle(struct rpc_client *c, const void *request, size_t size, struct dynbuf *ret_response, struct error *err)
{
    struct client_call k;
    struct buffer *reply = NULL;
    begin(&k, c, "/greptime.v1.region.Region/Handle", grpc_slice_from_copied_buffer(request, size));
    int rc = end(&k, receive(&k, &reply, err), err);
    if (rc == ST_OK)
        rc = reply ? dynbuf_append(ret_response, reply->data, reply->size, err) : error_set(err, ST_UNEXPECTED, "the server sent no reply");
    buffer_unref(reply);
    return rc;
}

int rpc_client_health(struct rpc_client *c, struct error *err)
{
    struct client_call k;
    struct buffer *reply = NULL;
    begin(&k, c, "/grpc.health.v1.Health/Check", grpc_empty_slice());
    int rc = end(&k, receive(&k, &reply, err), err);
    if (rc == ST_OK && !(reply && reply->size == 2 && reply->data[0] == 8 && reply->data[1] == 1))
        rc = error_set(err, ST_STORAGE, "the server does not serve");
    buffer_unref(reply);
    return rc;
}

static int take_metrics(const struct pb_field *meta, const struct rpc_query_sink *sink, struct error *err)
{
    struct pb_field f, g;
    for (struct pb_reader r = pb_inside(meta); pb_next(&r, &f);) {
        if (f.number != 2 || f.wire != PB_BYTES)
            continue;
        for (struct pb_reader in = pb_inside(&f); sink->metrics && pb_next(&in, &g);) {
            if (g.number == 1 && g.wire == PB_BYTES)
                TRY(sink->metrics(sink->ctx, (const char *)g.data, g.size, err));
        }
    }
    return ST_OK;
}

/* One FlightData. */
static int take(const struct buffer *message, const struct rpc_query_sink *sink, bool *ret_has_schema, struct error *err)
{
    struct pb_field f, header = {0}, meta = {0}, body = {0};
    struct pb_reader r = pb_reader_of(message->data, message->size);
    while (pb_next(&r, &f)) {
        if (f.wire == PB_BYTES && f.number == 2)
            header = f;
        else if (f.wire == PB_BYTES && f.number == 3)
            meta = f;
        else if (f.wire == PB_BYTES && f.number == 1000)
            body = f;
    }
    if (!pb_done(&r))
        return error_set(err, ST_CORRUPT, "a malformed FlightData message");
    if (meta.data)
        return take_metrics(&meta, sink, err);
    if (!*ret_has_schema) {
        *ret_has_schema = true;
        return sink->schema ? sink->schema(sink->ctx, header.data, header.size, err) : ST_OK;
    }
    return sink->batch ? sink->batch(sink->ctx, header.data, header.size, body.data, body.size, err) : ST_OK;
}

int rpc_client_query(struct rpc_client *c, const void *query_request, size_t size, const struct rpc_query_sink *sink, struct error *err)
{
    struct client_call k;
    struct dynbuf ticket;
    dynbuf_init(&ticket, MESSAGE_BYTES_MAX);
    int rc = pb_put_bytes(&ticket, 1, query_request, size, err);
    if (rc) {
        dynbuf_release(&ticket);
        return rc;
    }
    begin(&k, c, "/arrow.flight.protocol.FlightService/DoGet", grpc_slice_from_copied_buffer((const char *)ticket.data, ticket.size));
    dynbuf_release(&ticket);
    bool has_schema = false;
    while (rc == ST_OK) {
        struct buffer *message;
        rc = receive(&k, &message, err);
        if (rc || !message)
            break;
        rc = take(message, sink, &has_schema, err);
        buffer_unref(message);
    }
    return end(&k, rc, err);
}
