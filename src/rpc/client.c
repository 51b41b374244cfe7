/* The blocking client: see rpc/client.h. */
#include "rpc/client.h"

#include <stdlib.h>
#include <string.h>

#include "format/proto/wire.h"
#include "rpc/call.h"
#include "rpc/channel.h"

struct rpc_client {
    struct rpc_channel *channel;
    int64_t timeout_ms;
};

int rpc_client_new(const char *addr, int64_t timeout_ms, struct rpc_client **ret_client, struct error *err)
{
    struct rpc_client *c = calloc(1, sizeof(*c));
    if (!c)
        return error_no_memory(err, sizeof(*c));
    int rc = rpc_channel_new(addr, NULL, &c->channel, err);
    if (rc) {
        free(c);
        return rc;
    }
    c->timeout_ms = timeout_ms;
    *ret_client = c;
    return ST_OK;
}

void rpc_client_free(struct rpc_client *c)
{
    if (!c)
        return;
    rpc_channel_free(c->channel);
    free(c);
}

int rpc_client_handle(struct rpc_client *c, const void *request, size_t size, struct dynbuf *ret_response, struct error *err)
{
    struct buffer *reply;
    TRY(rpc_channel_call(c->channel, "/greptime.v1.region.Region/Handle", request, size, c->timeout_ms, &reply, err));
    int rc = dynbuf_append(ret_response, reply->data, reply->size, err);
    buffer_unref(reply);
    return rc;
}

int rpc_client_health(struct rpc_client *c, struct error *err)
{
    struct buffer *reply;
    TRY(rpc_channel_call(c->channel, "/grpc.health.v1.Health/Check", "", 0, c->timeout_ms, &reply, err));
    bool serves = reply->size == 2 && reply->data[0] == 8 && reply->data[1] == 1;
    buffer_unref(reply);
    return serves ? ST_OK : error_set(err, ST_STORAGE, "the server does not serve");
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

static void pluck(struct rpc_client *c, void *tag)
{
    grpc_completion_queue_pluck(c->channel->cq, tag, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
}

/* *ret_message = NULL when there are no more. */
static int receive(struct rpc_client *c, struct client_call *k, struct buffer **ret_message, struct error *err)
{
    grpc_byte_buffer *message = NULL;
    *ret_message = NULL;
    if (client_call_receive(k, &message, &message))
        pluck(c, &message);
    return message ? client_call_take(message, CLIENT_MESSAGE_BYTES_MAX, ret_message, err) : ST_OK;
}

int rpc_client_query(struct rpc_client *c, const void *query_request, size_t size, const struct rpc_query_sink *sink, struct error *err)
{
    struct client_call k;
    struct dynbuf ticket;
    dynbuf_init(&ticket, CLIENT_MESSAGE_BYTES_MAX);
    int rc = pb_put_bytes(&ticket, 1, query_request, size, err);
    if (rc) {
        dynbuf_release(&ticket);
        return rc;
    }
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)ticket.data, ticket.size);
    grpc_byte_buffer *request = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    dynbuf_release(&ticket);
    client_call_start(&k, c->channel->channel, c->channel->cq, "/arrow.flight.protocol.FlightService/DoGet", c->timeout_ms);
    if (client_call_request(&k, request, true, &k.head))
        pluck(c, &k.head);
    grpc_byte_buffer_destroy(request);
    bool has_schema = false;
    while (rc == ST_OK) {
        struct buffer *message;
        rc = receive(c, &k, &message, err);
        if (rc || !message)
            break;
        rc = take(message, sink, &has_schema, err);
        buffer_unref(message);
    }
    if (rc) /* we give up: the server need not go on */
        grpc_call_cancel(k.call, NULL);
    pluck(c, &k);
    if (rc == ST_OK)
        rc = client_call_outcome(&k, err);
    client_call_release(&k);
    return rc;
}
