/* The gRPC server on the C core: one completion queue, a pool of threads that poll it, and the life of a call.
 *
 *   new ──► [receive message] ──► a polling thread takes the call and runs it (another one polls on) ──► [send ... status] ──► done
 *
 * A thread that gets a message runs the call itself, so that a unary call needs no hand-over; before that it makes sure that somebody keeps polling.
 * Everything the C core has to say about a call comes through the same queue, so a client's cancellation is seen while its query runs.
 * A call is freed when its last outstanding batch has completed.
 */
#include "rpc/server.h"

#include <grpc/grpc_security.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "rpc/internal.h"

enum {
    CALLS_POSTED = 32,       /* requests for new calls that wait in the C core */
    THREADS_MAX = 512,
    IDLE_MIN = 2, IDLE_MAX = 8,
    CORE_SLACK_BYTES = 64 << 20, /* above the message limit, so that we and not the C core answer OUT_OF_RANGE */
};

static void *poll_main(void *p);

static void call_unref(struct rpc_call *c)
{
    struct rpc_server *s = c->server;
    if (atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    if (c->message)
        grpc_byte_buffer_destroy(c->message);
    if (c->call)
        grpc_call_unref(c->call);
    grpc_call_details_destroy(&c->details);
    grpc_metadata_array_destroy(&c->metadata);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->sent);
    free(c);
    pthread_mutex_lock(&s->lock);
    if (--s->calls == 0)
        pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* Starts a batch that reports as `event`; false when the C core refuses it. */
static bool start(struct rpc_call *c, const grpc_op *ops, size_t n, enum call_event event)
{
    atomic_fetch_add(&c->refs, 1);
    if (grpc_call_start_batch(c->call, ops, n, &c->tags[event], NULL) == GRPC_CALL_OK)
        return true;
    call_unref(c);
    return false;
}

static void post_call(struct rpc_server *s)
{
    struct rpc_call *c = calloc(1, sizeof(*c));
    if (!c)
        return;
    c->server = s;
    for (int i = 0; i < EVENT_KINDS; i++)
        c->tags[i] = (struct rpc_tag){c, i};
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->sent, NULL);
    grpc_call_details_init(&c->details);
    grpc_metadata_array_init(&c->metadata);
    atomic_store(&c->refs, 1);
    pthread_mutex_lock(&s->lock);
    s->calls++;
    pthread_mutex_unlock(&s->lock);
    if (grpc_server_request_call(s->server, &c->call, &c->details, &c->metadata, s->cq, s->cq, &c->tags[EVENT_NEW]) != GRPC_CALL_OK)
        call_unref(c);
}

/* ---- sending ---- */

static size_t head_op(struct rpc_call *c, grpc_op *ops)
{
    if (c->head_sent)
        return 0;
    c->head_sent = true;
    if (c->method)
        metric_observe(c->method->elapsed, (double)(clock_monotonic_ns() - c->start_ns) / 1e9);
    ops[0] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    return 1;
}

static bool wait_sent(struct rpc_call *c)
{
    pthread_mutex_lock(&c->lock);
    while (c->sending)
        pthread_cond_wait(&c->sent, &c->lock);
    bool ok = c->send_ok;
    pthread_mutex_unlock(&c->lock);
    return ok;
}

bool rpc_call_send(struct rpc_call *c, grpc_byte_buffer *message)
{
    grpc_op ops[2];
    bool ok = !c->head_sent || wait_sent(c);
    if (ok) {
        size_t n = head_op(c, ops);
        ops[n] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message};
        c->sending = true; /* nobody else looks before the batch has begun */
        ok = start(c, ops, n + 1, EVENT_SEND);
        if (!ok)
            c->sending = false;
    }
    grpc_byte_buffer_destroy(message);
    return ok;
}

void rpc_call_finish_grpc(struct rpc_call *c, grpc_byte_buffer *last, int grpc_code, int greptime_code, const char *text)
{
    grpc_op ops[3];
    char number[16];
    if (c->head_sent)
        wait_sent(c);
    snprintf(number, sizeof(number), "%d", greptime_code);
    grpc_metadata code = {.key = grpc_slice_from_static_string("x-greptime-err-code"), .value = grpc_slice_from_copied_string(number)};
    grpc_slice details = grpc_slice_from_copied_string(text ? text : "");
    size_t n = head_op(c, ops);
    if (last)
        ops[n++] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = last};
    ops[n] = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    ops[n].data.send_status_from_server.status = (grpc_status_code)grpc_code;
    ops[n].data.send_status_from_server.status_details = text ? &details : NULL;
    ops[n].data.send_status_from_server.trailing_metadata = &code;
    ops[n].data.send_status_from_server.trailing_metadata_count = greptime_code ? 1 : 0;
    start(c, ops, n + 1, EVENT_DONE);
    if (last)
        grpc_byte_buffer_destroy(last);
    grpc_slice_unref(details);
    grpc_slice_unref(code.value);
}

void rpc_call_finish(struct rpc_call *c, grpc_byte_buffer *last, int rc, const struct error *err)
{
    if (rc == ST_OK) {
        rpc_call_finish_grpc(c, last, 0, 0, NULL);
        return;
    }
    int code = status_greptime_code(rc);
    char hidden[64];
    snprintf(hidden, sizeof(hidden), "Internal error: %d", code);
    bool hide = code == 1000 || code == 1003;
    if (hide || code == 1002 || code >= 5000)
        log_error("rpc", "%s failed: %s", c->method ? c->method->path : "call", err->msg);
    else
        log_debug("rpc", "%s failed: %s", c->method ? c->method->path : "call", err->msg);
    rpc_call_finish_grpc(c, last, status_grpc_code(rc), code, hide ? hidden : err->msg);
}

/* ---- events ---- */

static void receive(struct rpc_call *c)
{
    grpc_op recv = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &c->message};
    start(c, &recv, 1, EVENT_RECV);
}

/* When the client stops waiting, as in struct work_context; 0 = never, or in centuries. */
static int64_t deadline_of(const struct rpc_call *c)
{
    struct timespec now;
    int64_t at_ns;
    gpr_timespec deadline = gpr_convert_clock_type(c->details.deadline, GPR_CLOCK_MONOTONIC), left;
    if (gpr_time_cmp(deadline, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
        return 0;
    left = gpr_time_sub(deadline, gpr_now(GPR_CLOCK_MONOTONIC));
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (__builtin_mul_overflow(left.tv_sec + now.tv_sec, (int64_t)1000000000, &at_ns) ||
        __builtin_add_overflow(at_ns, now.tv_nsec + left.tv_nsec, &at_ns))
        return left.tv_sec > 0 ? 0 : 1;
    return at_ns > 0 ? at_ns : 1;
}

static void on_new(struct rpc_call *c, bool ok)
{
    if (!ok) {
        call_unref(c); /* shutting down */
        return;
    }
    post_call(c->server);
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &c->closed_cancelled};
    start(c, &close, 1, EVENT_CLOSE);
    c->method = rpc_method_find(&c->details.method);
    c->start_ns = clock_monotonic_ns();
    if (c->method)
        metric_add(c->method->requests, 1);
    c->work.deadline_ns = deadline_of(c);
    if (!c->method || !(c->method->run || c->method->answer))
        rpc_call_finish_grpc(c, NULL, GRPC_STATUS_UNIMPLEMENTED, 0, c->method ? "Not yet implemented" : "");
    else
        receive(c);
    call_unref(c);
}

/* Before a thread goes to work: somebody else must poll. False when there are too many threads. */
static bool leave_polling(struct rpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool ok = s->idle >= IDLE_MIN - 1;
    if (!ok && s->threads < s->options.threads_max) {
        pthread_t t;
        s->threads++;
        s->idle++;
        ok = thread_start(&t, "rpc", poll_main, s, NULL) == ST_OK;
        if (ok) {
            pthread_detach(t);
        } else {
            s->threads--;
            s->idle--;
        }
    }
    ok = ok || s->idle >= 1;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

static void on_message(struct rpc_call *c, bool ok)
{
    struct rpc_server *s = c->server;
    struct buffer *request = NULL;
    struct error err = {0};
    bool too_big = false;
    if (!ok || !c->message) { /* of a stream: its end */
        bool streams = c->method->answer != NULL;
        rpc_call_finish_grpc(c, NULL, streams ? GRPC_STATUS_OK : GRPC_STATUS_INTERNAL, 0, streams ? NULL : "Missing request message.");
        return;
    }
    int rc = leave_polling(s) ? ST_OK : error_set(&err, ST_EXHAUSTED, "more than %u calls at once", s->options.threads_max);
    if (rc == ST_OK)
        rc = rpc_message_flatten(c->message, s->options.recv_bytes_max, s->options.budget, &request, &too_big, &err);
    grpc_byte_buffer_destroy(c->message);
    c->message = NULL;
    if (too_big) {
        char text[128];
        snprintf(text, sizeof(text), "Error, decoded message length too large: the limit is %zu bytes", s->options.recv_bytes_max);
        rpc_call_finish_grpc(c, NULL, GRPC_STATUS_OUT_OF_RANGE, 0, text);
    } else if (rc) {
        rpc_call_finish(c, NULL, rc, &err);
    } else if (!c->method->answer) {
        c->method->run(c, request);
    } else if (c->method->answer(c, request)) {
        receive(c);
    }
    buffer_unref(request);
}

/* The client has closed the call. Behind the setting of `cancelled`: a watch that begins meanwhile sees either that, or is seen here. */
static void end_watch(struct rpc_call *c)
{
    struct rpc_server *s = c->server;
    pthread_mutex_lock(&s->lock);
    struct rpc_call **at = &s->watches;
    while (c->watching && *at && *at != c)
        at = &(*at)->watch_next;
    bool found = c->watching && *at == c;
    if (found)
        *at = c->watch_next;
    pthread_mutex_unlock(&s->lock);
    if (found) {
        rpc_call_finish_grpc(c, NULL, GRPC_STATUS_CANCELLED, 0, "");
        call_unref(c);
    }
}

static void on_event(const struct rpc_tag *tag, bool ok)
{
    struct rpc_call *c = tag->call;
    /* Pairs with the count in start(): what the starter of the batch wrote is visible here. The C core's queue orders it too, but ThreadSanitizer
     * cannot see into that library. */
    (void)atomic_load(&c->refs);
    switch (tag->event) {
    case EVENT_NEW:
        on_new(c, ok);
        return;
    case EVENT_RECV:
        on_message(c, ok);
        break;
    case EVENT_SEND:
        pthread_mutex_lock(&c->lock);
        c->sending = false;
        c->send_ok = ok;
        pthread_cond_broadcast(&c->sent);
        pthread_mutex_unlock(&c->lock);
        break;
    case EVENT_CLOSE:
        if (!ok || c->closed_cancelled)
            atomic_store(&c->work.cancelled, true);
        end_watch(c);
        break;
    default:
        break;
    }
    call_unref(c);
}

static void *poll_main(void *p)
{
    struct rpc_server *s = p;
    for (;;) { /* this thread is counted in `idle` here */
        grpc_event e = grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        pthread_mutex_lock(&s->lock);
        s->idle--;
        if (e.type == GRPC_QUEUE_SHUTDOWN) {
            s->threads--;
            pthread_cond_broadcast(&s->changed);
            pthread_mutex_unlock(&s->lock);
            return NULL;
        }
        if (e.tag == s) {
            s->stopped = true;
            pthread_cond_broadcast(&s->changed);
        }
        pthread_mutex_unlock(&s->lock);
        if (e.tag != s)
            on_event(e.tag, e.success);
        pthread_mutex_lock(&s->lock);
        if (s->idle >= IDLE_MAX) {
            s->threads--;
            pthread_cond_broadcast(&s->changed);
            pthread_mutex_unlock(&s->lock);
            return NULL;
        }
        s->idle++;
        pthread_mutex_unlock(&s->lock);
    }
}

/* ---- start and stop ---- */

static int int_ms(int64_t ms)
{
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static grpc_server *make_server(const struct rpc_options *o)
{
    int64_t core_max = (int64_t)o->recv_bytes_max + CORE_SLACK_BYTES;
#define INT_ARG(name, v) {.type = GRPC_ARG_INTEGER, .key = (char *)(name), .value.integer = (v)}
    grpc_arg args[14] = {
        INT_ARG(GRPC_ARG_ALLOW_REUSEPORT, 0),
        INT_ARG(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, core_max > INT_MAX ? INT_MAX : (int)core_max),
        INT_ARG(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        INT_ARG(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
        INT_ARG(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
        INT_ARG(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 0),
        INT_ARG(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0),
        INT_ARG(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, o->keepalive_interval_ms == 0), /* clients' pings get no strikes either way */
        INT_ARG(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, 1 << 18),
        INT_ARG(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1 << 20),
    };
    size_t n = 0;
    while (args[n].key)
        n++;
    if (o->connection_age_max_ms > 0)
        args[n++] = (grpc_arg)INT_ARG(GRPC_ARG_MAX_CONNECTION_AGE_MS, int_ms(o->connection_age_max_ms));
    if (o->keepalive_interval_ms > 0) {
        args[n++] = (grpc_arg)INT_ARG(GRPC_ARG_KEEPALIVE_TIME_MS, int_ms(o->keepalive_interval_ms));
        args[n++] = (grpc_arg)INT_ARG(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, int_ms(o->keepalive_timeout_ms));
        args[n++] = (grpc_arg)INT_ARG(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    }
    grpc_channel_args list = {n, args};
    return grpc_server_create(&list, NULL);
}

int rpc_server_start(const struct rpc_options *options, struct rpc_server **ret_server, struct error *err)
{
    struct rpc_server *s = calloc(1, sizeof(*s));
    if (!s)
        return error_no_memory(err, sizeof(*s));
    s->options = *options;
    struct rpc_options *o = &s->options;
    o->recv_bytes_max = o->recv_bytes_max ? o->recv_bytes_max : (size_t)512 << 20;
    o->send_bytes_max = o->send_bytes_max ? o->send_bytes_max : (size_t)512 << 20;
    o->threads_max = o->threads_max ? o->threads_max : THREADS_MAX;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    grpc_init();
    rpc_methods_init();
    s->cq = grpc_completion_queue_create_for_next(NULL);
    s->server = make_server(o);
    grpc_server_register_completion_queue(s->server, s->cq, NULL);
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    s->port = grpc_server_add_http2_port(s->server, o->addr, plain);
    grpc_server_credentials_release(plain);
    int rc = s->port ? ST_OK : error_set(err, ST_STORAGE, "cannot listen on %s: is the address in use, or not one of this machine?", o->addr);
    grpc_server_start(s->server);
    for (int i = 0; rc == ST_OK && i < CALLS_POSTED; i++)
        post_call(s);
    for (int i = 0; i < IDLE_MIN && (rc == ST_OK || i == 0); i++) {
        pthread_t t;
        pthread_mutex_lock(&s->lock);
        int started = thread_start(&t, "rpc", poll_main, s, rc ? NULL : err);
        s->threads += started == ST_OK;
        s->idle += started == ST_OK;
        pthread_mutex_unlock(&s->lock);
        if (started == ST_OK)
            pthread_detach(t);
        rc = status_merge(rc, started);
    }
    if (rc) {
        if (s->threads)
            rpc_server_stop(s, 0);
        return rc;
    }
    *ret_server = s;
    return ST_OK;
}

int rpc_server_port(const struct rpc_server *s)
{
    return s->port;
}

/* s->lock held. */
static bool wait_stopped(struct rpc_server *s, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int rc = 0;
    while (!s->stopped && rc == 0)
        rc = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    return s->stopped;
}

void rpc_server_stop(struct rpc_server *s, int64_t grace_ms)
{
    if (!s)
        return;
    grpc_server_shutdown_and_notify(s->server, s->cq, s);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    struct rpc_call *watches = s->watches;
    s->watches = NULL;
    pthread_mutex_unlock(&s->lock);
    while (watches) {
        struct rpc_call *c = watches;
        watches = c->watch_next;
        rpc_call_finish_grpc(c, NULL, GRPC_STATUS_UNAVAILABLE, 0, "the server shuts down");
        call_unref(c);
    }
    pthread_mutex_lock(&s->lock);
    if (!wait_stopped(s, grace_ms)) {
        pthread_mutex_unlock(&s->lock);
        grpc_server_cancel_all_calls(s->server);
        pthread_mutex_lock(&s->lock);
        while (!s->stopped)
            pthread_cond_wait(&s->changed, &s->lock);
    }
    /* The C core is done with them, but a thread may still be at work on one, and the end of a call needs the queue. */
    while (s->calls)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    grpc_completion_queue_shutdown(s->cq);
    pthread_mutex_lock(&s->lock);
    while (s->threads)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    grpc_server_destroy(s->server);
    grpc_completion_queue_destroy(s->cq);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s);
    grpc_shutdown();
}
