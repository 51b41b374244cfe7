/* Client connections and calls on the C core: blocking unary calls, one call put to several servers at once, and a bidirectional stream.
 *
 * Whoever calls does the polling: no call here depends on another thread of this process being scheduled, so that a heartbeat leaves on time while
 * every core is busy. All addresses are plaintext "host:port".
 */
#ifndef RPC_CHANNEL_H
#define RPC_CHANNEL_H

#include "base/buffer.h"
#include "base/error.h"

struct rpc_channel;

struct rpc_channel_options {
    int64_t connect_timeout_ms;                          /* 0 = the C core's 20 s */
    int64_t keepalive_interval_ms, keepalive_timeout_ms; /* HTTP/2 pings, also on an idle connection; 0 = none */
    size_t recv_bytes_max;                               /* of one message; 0 = 512 MiB */
};

/* Connects lazily, over a connection of its own. `options` may be NULL. */
int rpc_channel_new(const char *addr, const struct rpc_channel_options *options, struct rpc_channel **ret_channel, struct error *err);
void rpc_channel_free(struct rpc_channel *c); /* NULL is allowed; no call may be open */

/* One unary call; the reply is the caller's. ST_DEADLINE_EXCEEDED after timeout_ms (0 = none); a server's error comes back as its status and text. */
int rpc_channel_call(struct rpc_channel *c, const char *path, const void *request, size_t size, int64_t timeout_ms, struct buffer **ret_reply,
                     struct error *err);

/* The same call to all channels at once. `accept` gets each reply as it comes and returns true for the one that settles it; the other calls are
 * cancelled. ST_OK when one was accepted, with its index; else the last failure (ST_NOT_FOUND when there were replies, but none was accepted). */
int rpc_channel_call_any(struct rpc_channel *const *channels, uint32_t n, const char *path, const void *request, size_t size, int64_t timeout_ms,
                         bool (*accept)(void *ctx, const struct buffer *reply), void *ctx, uint32_t *ret_index, struct error *err);

/* ---- a bidirectional stream ---- */

/* One thread owns a stream: it opens, waits and closes. Sending and cancelling may be done by any thread at any time. It can be opened again after a
 * close. */
struct rpc_stream;
enum rpc_stream_event { RPC_STREAM_MESSAGE, RPC_STREAM_SENT, RPC_STREAM_TIMEOUT, RPC_STREAM_ENDED };

int rpc_stream_new(struct rpc_stream **ret_stream, struct error *err);
void rpc_stream_free(struct rpc_stream *s); /* closes; NULL is allowed */

int rpc_stream_open(struct rpc_stream *s, struct rpc_channel *c, const char *path, struct error *err);
/* Cancels the call and waits until the C core is done with it. */
void rpc_stream_close(struct rpc_stream *s);
/* The owner's wait sees RPC_STREAM_ENDED soon. */
void rpc_stream_cancel(struct rpc_stream *s);

/* A stream sends one message at a time: false while the last one waits for RPC_STREAM_SENT. */
bool rpc_stream_can_send(struct rpc_stream *s);
/* `gzipped`: the bytes are a gzip member and travel as a compressed message. The bytes are copied. ST_REGION_BUSY when it cannot send now. */
int rpc_stream_send(struct rpc_stream *s, const void *message, size_t size, bool gzipped, struct error *err);

/* The next thing that happens, or RPC_STREAM_TIMEOUT once `deadline_ns` (clock_monotonic_ns) has come. MESSAGE gives the caller a buffer; ENDED fills
 * `err` with the server's status. The stream is open. */
enum rpc_stream_event rpc_stream_wait(struct rpc_stream *s, int64_t deadline_ns, struct buffer **ret_message, struct error *err);

#endif
