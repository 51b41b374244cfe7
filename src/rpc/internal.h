/* Shared between the files of rpc/. */
#ifndef RPC_INTERNAL_H
#define RPC_INTERNAL_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/context.h"
#include "base/metrics.h"
#include "os/thread.h"
#include "rpc/server.h"

/* Gathers a received message into one buffer, decompressing gzip and zstd. ST_EXHAUSTED, ST_INVALID_ARGUMENTS; *ret_too_big = over `max`. */
int rpc_message_flatten(grpc_byte_buffer *message, size_t max, struct budget *budget, struct buffer **ret_bytes, bool *ret_too_big, struct error *err);
/* A slice that owns a reference to `b`. Takes the reference. */
grpc_slice rpc_slice_of(struct buffer *b);

enum call_event { EVENT_NEW, EVENT_RECV, EVENT_SEND, EVENT_CLOSE, EVENT_DONE, EVENT_KINDS };

struct rpc_call;
struct rpc_tag { struct rpc_call *call; enum call_event event; };

struct rpc_call {
    _Atomic int refs;           /* one per outstanding batch, one while a thread works on it */
    struct rpc_server *server;
    struct rpc_tag tags[EVENT_KINDS];
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    const struct rpc_method *method;
    int64_t start_ns;
    grpc_byte_buffer *message;
    int closed_cancelled;       /* written by the C core */
    struct work_context work;
    struct rpc_call *watch_next; /* server->watches */
    bool watching;

    pthread_mutex_t lock;       /* guards the rest */
    pthread_cond_t sent;
    bool sending, send_ok, head_sent;
};

struct rpc_method {
    const char *path;
    bool streaming;
    bool wants_message;
    void (*run)(struct rpc_call *c, const struct buffer *request);
    bool (*answer)(struct rpc_call *c, const struct buffer *request); /* instead of run, for streams both ways: false = it has finished the call */
    struct metric *requests, *elapsed; /* set at start */
};

struct rpc_server {
    struct rpc_options options;
    grpc_server *server;
    grpc_completion_queue *cq;
    int port;
    pthread_mutex_t lock;       /* guards everything below */
    pthread_cond_t changed;
    unsigned threads, idle;     /* idle: waiting for an event */
    unsigned calls;             /* that are not freed yet, those posted included */
    bool stopping, stopped;
    struct rpc_call *watches;   /* open Health/Watch calls, one reference each */
};

/* Sends one message; waits for the previous one first. False when the client is gone. Takes `message`. */
bool rpc_call_send(struct rpc_call *c, grpc_byte_buffer *message);
/* Ends the call; `last` (may be NULL, taken) goes out with it. Not waited for. */
void rpc_call_finish(struct rpc_call *c, grpc_byte_buffer *last, int rc, const struct error *err);
void rpc_call_finish_grpc(struct rpc_call *c, grpc_byte_buffer *last, int grpc_code, int greptime_code, const char *text);

/* service.c */
const struct rpc_method *rpc_method_find(const grpc_slice *path);
void rpc_methods_init(void);
bool rpc_reflection_answer(struct rpc_call *c, const struct buffer *request);
void rpc_flight_do_get(struct rpc_call *c, const struct buffer *request);

#endif
