/* The bidirectional stream: see rpc/channel.h.
 *
 * One completion queue lives as long as the stream object. What is outstanding on it is counted in bits; a close cancels the call and drains until no
 * bit is left, so that no late completion of one call meets the next one.
 */
#include <grpc/compression.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/call.h"
#include "rpc/channel.h"

enum { BIT_STATUS = 1, BIT_HEAD = 2, BIT_RECEIVE = 4, BIT_SEND = 8 };

struct rpc_stream {
    grpc_completion_queue *cq;
    pthread_mutex_t lock; /* guards everything below; waiting for the queue is done without it */
    struct client_call k;
    size_t recv_bytes_max;
    unsigned pending; /* BIT_* under way */
    bool open, ended; /* ended: the status has come */
    grpc_byte_buffer *received, *sending;
};

int rpc_stream_new(struct rpc_stream **ret_stream, struct error *err)
{
    struct rpc_stream *s = calloc(1, sizeof(*s));
    if (!s)
        return error_no_memory(err, sizeof(*s));
    grpc_init();
    s->cq = grpc_completion_queue_create_for_next(NULL);
    pthread_mutex_init(&s->lock, NULL);
    *ret_stream = s;
    return ST_OK;
}

void rpc_stream_free(struct rpc_stream *s)
{
    if (!s)
        return;
    rpc_stream_close(s);
    grpc_completion_queue_shutdown(s->cq);
    while (grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type != GRPC_QUEUE_SHUTDOWN)
        continue;
    grpc_completion_queue_destroy(s->cq);
    pthread_mutex_destroy(&s->lock);
    free(s);
    grpc_shutdown();
}

/* Asks for the next message. Lock held. */
static void receive(struct rpc_stream *s)
{
    if (client_call_receive(&s->k, &s->received, &s->received))
        s->pending |= BIT_RECEIVE;
}

/* Lock held. */
static int open_locked(struct rpc_stream *s, struct rpc_channel *c, const char *path, struct error *err)
{
    client_call_start(&s->k, c->channel, s->cq, path, 0);
    s->recv_bytes_max = c->recv_bytes_max;
    s->pending = BIT_STATUS;
    s->open = true;
    s->ended = false;
    /* Announces gzip, so that large messages may be sent compressed; each message says for itself whether it is. */
    grpc_metadata gzip = {.key = grpc_slice_from_static_string(GRPC_COMPRESSION_REQUEST_ALGORITHM_MD_KEY),
                          .value = grpc_slice_from_static_string("gzip")};
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA, .data.send_initial_metadata = {.count = 1, .metadata = &gzip}},
                      {.op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &s->k.head}};
    if (grpc_call_start_batch(s->k.call, ops, 2, &s->k.head, NULL) != GRPC_CALL_OK)
        return error_set(err, ST_INTERNAL, "the C core refused to open %s", path);
    s->pending |= BIT_HEAD;
    receive(s);
    return ST_OK;
}

int rpc_stream_open(struct rpc_stream *s, struct rpc_channel *c, const char *path, struct error *err)
{
    rpc_stream_close(s);
    pthread_mutex_lock(&s->lock);
    int rc = open_locked(s, c, path, err);
    pthread_mutex_unlock(&s->lock);
    if (rc)
        rpc_stream_close(s);
    return rc;
}

bool rpc_stream_can_send(struct rpc_stream *s)
{
    pthread_mutex_lock(&s->lock);
    bool can = s->open && !s->ended && !(s->pending & BIT_SEND);
    pthread_mutex_unlock(&s->lock);
    return can;
}

int rpc_stream_send(struct rpc_stream *s, const void *message, size_t size, bool gzipped, struct error *err)
{
    int rc = ST_OK;
    pthread_mutex_lock(&s->lock);
    if (!s->open || s->ended || (s->pending & BIT_SEND)) {
        rc = error_set(err, ST_REGION_BUSY, "the stream is closed or still sending");
    } else {
        grpc_slice slice = grpc_slice_from_copied_buffer(message, size);
        s->sending = gzipped ? grpc_raw_compressed_byte_buffer_create(&slice, 1, GRPC_COMPRESS_GZIP) : grpc_raw_byte_buffer_create(&slice, 1);
        grpc_slice_unref(slice);
        grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .flags = gzipped ? 0 : GRPC_WRITE_NO_COMPRESS, .data.send_message.send_message = s->sending};
        if (grpc_call_start_batch(s->k.call, &op, 1, &s->sending, NULL) == GRPC_CALL_OK) {
            s->pending |= BIT_SEND;
        } else {
            grpc_byte_buffer_destroy(s->sending);
            s->sending = NULL;
            rc = error_set(err, ST_STORAGE, "the stream is over");
        }
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void rpc_stream_cancel(struct rpc_stream *s)
{
    pthread_mutex_lock(&s->lock);
    if (s->open)
        grpc_call_cancel(s->k.call, NULL);
    pthread_mutex_unlock(&s->lock);
}

/* Takes one completion into account; RPC_STREAM_TIMEOUT = nothing that the owner need know. Lock held. */
static enum rpc_stream_event took(struct rpc_stream *s, const void *tag)
{
    if (tag == &s->k) {
        s->pending &= ~(unsigned)BIT_STATUS;
        s->ended = true;
        return RPC_STREAM_ENDED;
    }
    if (tag == &s->k.head) {
        s->pending &= ~(unsigned)BIT_HEAD;
    } else if (tag == &s->sending) {
        s->pending &= ~(unsigned)BIT_SEND;
        grpc_byte_buffer_destroy(s->sending);
        s->sending = NULL;
        return RPC_STREAM_SENT;
    } else if (tag == &s->received) {
        s->pending &= ~(unsigned)BIT_RECEIVE;
        return s->received ? RPC_STREAM_MESSAGE : RPC_STREAM_TIMEOUT;
    }
    return RPC_STREAM_TIMEOUT;
}

void rpc_stream_close(struct rpc_stream *s)
{
    rpc_stream_cancel(s);
    pthread_mutex_lock(&s->lock);
    bool was_open = s->open;
    while (s->open && s->pending) {
        pthread_mutex_unlock(&s->lock);
        grpc_event e = grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        pthread_mutex_lock(&s->lock);
        took(s, e.tag);
        if (s->received)
            grpc_byte_buffer_destroy(s->received);
        s->received = NULL;
    }
    if (was_open)
        client_call_release(&s->k);
    s->open = false;
    pthread_mutex_unlock(&s->lock);
}

/* What a completion means to the owner. Lock held. */
static enum rpc_stream_event handle(struct rpc_stream *s, const void *tag, struct buffer **ret_message, struct error *err)
{
    enum rpc_stream_event what = took(s, tag);
    if (what == RPC_STREAM_ENDED && client_call_outcome(&s->k, err) == ST_OK)
        error_set(err, ST_CANCELLED, "the server ended the stream");
    if (what != RPC_STREAM_MESSAGE)
        return what;
    grpc_byte_buffer *message = s->received;
    s->received = NULL;
    if (client_call_take(message, s->recv_bytes_max, ret_message, err) != ST_OK) {
        grpc_call_cancel(s->k.call, NULL); /* the status follows, but this is the better reason */
        s->ended = true;
        return RPC_STREAM_ENDED;
    }
    receive(s);
    return what;
}

enum rpc_stream_event rpc_stream_wait(struct rpc_stream *s, int64_t deadline_ns, struct buffer **ret_message, struct error *err)
{
    for (;;) {
        int64_t left_ns = deadline_ns - clock_monotonic_ns();
        gpr_timespec until = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(left_ns > 0 ? left_ns : 0, GPR_TIMESPAN));
        grpc_event e = grpc_completion_queue_next(s->cq, until, NULL);
        if (e.type != GRPC_OP_COMPLETE)
            return RPC_STREAM_TIMEOUT;
        pthread_mutex_lock(&s->lock);
        enum rpc_stream_event what = handle(s, e.tag, ret_message, err);
        pthread_mutex_unlock(&s->lock);
        if (what != RPC_STREAM_TIMEOUT)
            return what;
    }
}
