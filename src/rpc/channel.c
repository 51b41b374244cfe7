/* Channels and unary calls: see rpc/channel.h. */
#include "rpc/channel.h"

#include <grpc/compression.h>
#include <grpc/grpc_security.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/call.h"

/* A server that comes back should be found within a second, not after the C core's two minutes. */
enum { RECONNECT_FIRST_MS = 100, RECONNECT_MAX_MS = 1000, ARGS_MAX = 16 };

static void add_arg(grpc_arg *args, size_t *n, const char *key, int64_t value)
{
    args[(*n)++] = (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value > INT32_MAX ? INT32_MAX : (int)value};
}

int rpc_channel_new(const char *addr, const struct rpc_channel_options *options, struct rpc_channel **ret_channel, struct error *err)
{
    struct rpc_channel_options o = options ? *options : (struct rpc_channel_options){0};
    struct rpc_channel *c = calloc(1, sizeof(*c));
    if (!c)
        return error_no_memory(err, sizeof(*c));
    grpc_init();
    grpc_arg args[ARGS_MAX];
    size_t n = 0;
    c->recv_bytes_max = o.recv_bytes_max ? o.recv_bytes_max : CLIENT_MESSAGE_BYTES_MAX;
    add_arg(args, &n, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int64_t)c->recv_bytes_max);
    add_arg(args, &n, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1);
    add_arg(args, &n, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    add_arg(args, &n, GRPC_ARG_ENABLE_RETRIES, 0);
    add_arg(args, &n, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    add_arg(args, &n, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0); /* rpc_message_flatten() does it, with a bound */
    add_arg(args, &n, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_FIRST_MS);
    add_arg(args, &n, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS);
    if (o.connect_timeout_ms)
        add_arg(args, &n, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, o.connect_timeout_ms); /* this is the C core's connect timeout */
    if (o.keepalive_interval_ms) {
        add_arg(args, &n, GRPC_ARG_KEEPALIVE_TIME_MS, o.keepalive_interval_ms);
        add_arg(args, &n, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, o.keepalive_timeout_ms);
        add_arg(args, &n, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
        add_arg(args, &n, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    }
    grpc_channel_args list = {n, args};
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    c->channel = grpc_channel_create(addr, plain, &list);
    grpc_channel_credentials_release(plain);
    c->cq = grpc_completion_queue_create_for_pluck(NULL);
    *ret_channel = c;
    return ST_OK;
}

void rpc_channel_free(struct rpc_channel *c)
{
    if (!c)
        return;
    grpc_channel_destroy(c->channel);
    grpc_completion_queue_shutdown(c->cq);
    grpc_completion_queue_destroy(c->cq);
    free(c);
    grpc_shutdown();
}

static grpc_byte_buffer *copy_message(const void *data, size_t size)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(data ? data : "", size);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return message;
}

static void pluck(struct rpc_channel *c, void *tag)
{
    grpc_completion_queue_pluck(c->cq, tag, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
}

int rpc_channel_call(struct rpc_channel *c, const char *path, const void *request, size_t size, int64_t timeout_ms, struct buffer **ret_reply,
                     struct error *err)
{
    struct client_call k;
    grpc_byte_buffer *message = copy_message(request, size), *reply = NULL;
    struct buffer *bytes = NULL;
    client_call_start(&k, c->channel, c->cq, path, timeout_ms);
    if (client_call_request(&k, message, true, &k.head))
        pluck(c, &k.head);
    if (client_call_receive(&k, &reply, &reply))
        pluck(c, &reply);
    grpc_byte_buffer_destroy(message);
    int rc = reply ? client_call_take(reply, c->recv_bytes_max, &bytes, err) : ST_OK;
    if (rc)
        grpc_call_cancel(k.call, NULL);
    pluck(c, &k);
    if (rc == ST_OK)
        rc = client_call_outcome(&k, err);
    if (rc == ST_OK && !bytes)
        rc = error_set(err, ST_UNEXPECTED, "the server sent no reply");
    client_call_release(&k);
    if (rc == ST_OK)
        *ret_reply = bytes;
    else
        buffer_unref(bytes);
    return rc;
}

/* ---- the same call to several servers ---- */

enum any_part { ANY_SENT, ANY_REPLY, ANY_STATUS, ANY_PARTS };
struct any_tag {
    uint32_t index;
    enum any_part part;
};

struct any_call {
    struct client_call k;
    grpc_byte_buffer *message, *reply;
    struct any_tag tags[ANY_PARTS];
};

static void any_start(struct any_call *a, uint32_t index, struct rpc_channel *c, grpc_completion_queue *cq, const char *path, const void *request,
                      size_t size, int64_t timeout_ms, unsigned *pending)
{
    for (int part = 0; part < ANY_PARTS; part++)
        a->tags[part] = (struct any_tag){index, part};
    a->message = copy_message(request, size);
    client_call_start(&a->k, c->channel, cq, path, timeout_ms);
    *pending += 1; /* its tag is &a->k, at the start of the any_call */
    *pending += client_call_request(&a->k, a->message, true, &a->tags[ANY_SENT]);
    *pending += client_call_receive(&a->k, &a->reply, &a->tags[ANY_REPLY]);
}

static void cancel_all(struct any_call *calls, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        grpc_call_cancel(calls[i].k.call, NULL);
}

int rpc_channel_call_any(struct rpc_channel *const *channels, uint32_t n, const char *path, const void *request, size_t size, int64_t timeout_ms,
                         bool (*accept)(void *ctx, const struct buffer *reply), void *ctx, uint32_t *ret_index, struct error *err)
{
    struct any_call *calls = calloc(n ? n : 1, sizeof(*calls));
    if (!calls)
        return error_no_memory(err, n * sizeof(*calls));
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    unsigned pending = 0;
    int rc = error_set(err, ST_NOT_FOUND, "no server answered");
    for (uint32_t i = 0; i < n; i++)
        any_start(&calls[i], i, channels[i], cq, path, request, size, timeout_ms, &pending);
    while (pending > 0) {
        grpc_event e = grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        pending--;
        /* A tag inside a call's tags[]; the status tag is the call itself, which needs nothing here. */
        const struct any_tag *tag = e.tag;
        uint32_t i = (uint32_t)(((const char *)e.tag - (const char *)calls) / sizeof(*calls));
        if ((const void *)tag != &calls[i].tags[ANY_REPLY] || !calls[i].reply)
            continue;
        struct buffer *reply;
        int got = client_call_take(calls[i].reply, channels[i]->recv_bytes_max, &reply, rc == ST_OK ? NULL : err);
        if (got == ST_OK && rc != ST_OK && accept(ctx, reply)) {
            rc = ST_OK;
            *ret_index = i;
            cancel_all(calls, n);
        }
        if (got == ST_OK)
            buffer_unref(reply);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct error why;
        if (rc != ST_OK && client_call_outcome(&calls[i].k, &why) != ST_OK)
            rc = error_set(err, why.status, "%s", why.msg);
        grpc_byte_buffer_destroy(calls[i].message);
        client_call_release(&calls[i].k);
    }
    grpc_completion_queue_shutdown(cq);
    while (grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type != GRPC_QUEUE_SHUTDOWN)
        continue;
    grpc_completion_queue_destroy(cq);
    free(calls);
    return rc;
}
