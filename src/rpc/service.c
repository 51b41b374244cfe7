/* The methods of the node's port (region-rpc.md 1.1). Unknown paths have no entry. */
#include <stdlib.h>
#include <string.h>

#include "rpc/internal.h"

static grpc_byte_buffer *bytes_of(const void *data, size_t size)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(data, size);
    grpc_byte_buffer *b = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return b;
}

static void free_bytes(void *data)
{
    free(data);
}

static void region_handle(struct rpc_call *c, const struct buffer *request)
{
    struct error err = {0};
    struct dynbuf reply;
    size_t max = c->server->options.send_bytes_max;
    dynbuf_init(&reply, SIZE_MAX / 2);
    int rc = region_server_handle(c->server->options.regions, request->data, request->size, &reply, &err);
    if (rc) {
        rpc_call_finish(c, NULL, rc, &err);
        dynbuf_release(&reply);
    } else if (reply.size > max) {
        dynbuf_release(&reply);
        rpc_call_finish_grpc(c, NULL, GRPC_STATUS_OUT_OF_RANGE, 0, "Error, encoded message length too large");
    } else {
        grpc_slice slice = grpc_slice_new_with_user_data(reply.data, reply.size, free_bytes, reply.data);
        grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
        grpc_slice_unref(slice);
        rpc_call_finish_grpc(c, message, 0, 0, NULL);
    }
}

static void health_empty(struct rpc_call *c, const struct buffer *request)
{
    (void)request;
    rpc_call_finish_grpc(c, bytes_of("", 0), 0, 0, NULL);
}

static bool known_service(const struct buffer *r)
{
    static const char *const names[] = {"greptime.v1.region.Region", "arrow.flight.protocol.FlightService", "greptime.v1.HealthCheck"};
    if (r->size == 0)
        return true;
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(names[i]);
        if (r->size == n + 2 && r->data[0] == 0x0a && r->data[1] == n && !memcmp(r->data + 2, names[i], n))
            return true;
    }
    return false;
}

static void health_check(struct rpc_call *c, const struct buffer *request)
{
    if (known_service(request))
        rpc_call_finish_grpc(c, bytes_of("\x08\x01", 2), 0, 0, NULL);
    else
        rpc_call_finish_grpc(c, NULL, GRPC_STATUS_NOT_FOUND, 0, "unknown service");
}

static void health_watch(struct rpc_call *c, const struct buffer *request)
{
    struct rpc_server *s = c->server;
    bool sent = rpc_call_send(c, known_service(request) ? bytes_of("\x08\x01", 2) : bytes_of("\x08\x03", 2));
    pthread_mutex_lock(&s->lock);
    bool watch = sent && !s->stopping && !atomic_load(&c->work.cancelled);
    if (watch) {
        atomic_fetch_add(&c->refs, 1);
        c->watching = true;
        c->watch_next = s->watches;
        s->watches = c;
    }
    pthread_mutex_unlock(&s->lock);
    if (!watch)
        rpc_call_finish_grpc(c, NULL, GRPC_STATUS_UNAVAILABLE, 0, "");
}

#define FLIGHT "/arrow.flight.protocol.FlightService/"
static struct rpc_method methods[] = {
    {.path = "/greptime.v1.region.Region/Handle", .run = region_handle},
    {.path = FLIGHT "DoGet", .run = rpc_flight_do_get, .streaming = true},
    {.path = "/greptime.v1.HealthCheck/HealthCheck", .run = health_empty},
    {.path = "/grpc.health.v1.Health/Check", .run = health_check},
    {.path = "/grpc.health.v1.Health/Watch", .run = health_watch, .streaming = true},
    {.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", .answer = rpc_reflection_answer, .streaming = true},
    {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", .answer = rpc_reflection_answer, .streaming = true}, /* as older clients ask */
    {.path = FLIGHT "DoPut"}, {.path = FLIGHT "Handshake"}, {.path = FLIGHT "ListFlights"}, {.path = FLIGHT "GetFlightInfo"},
    {.path = FLIGHT "PollFlightInfo"}, {.path = FLIGHT "GetSchema"}, {.path = FLIGHT "DoExchange"}, {.path = FLIGHT "DoAction"},
    {.path = FLIGHT "ListActions"},
};

static struct metric_family requests_family = {.name = "greptime_servers_grpc_requests_total", .help = "servers grpc requests",
    .kind = METRIC_COUNTER, .label_names = {"path", "code"}};

static struct metric_family elapsed_family = {.name = "greptime_servers_grpc_requests_elapsed", .help = "servers grpc requests elapsed",
    .kind = METRIC_HISTOGRAM, .label_names = {"path", "code"}, .bounds = {0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300}};

void rpc_methods_init(void)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        const char *labels[] = {methods[i].path, "200", NULL};
        methods[i].requests = metric_child(&requests_family, labels);
        methods[i].elapsed = metric_child(&elapsed_family, labels);
    }
}

const struct rpc_method *rpc_method_find(const grpc_slice *path)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (grpc_slice_str_cmp(*path, methods[i].path) == 0)
            return &methods[i];
    }
    return NULL;
}
