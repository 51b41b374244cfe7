/* A small blocking gRPC client of a node's port, for regionctl and tests. One call at a time; not thread-safe. */
#ifndef RPC_CLIENT_H
#define RPC_CLIENT_H

#include "base/buffer.h"
#include "base/error.h"

struct rpc_client;

/* Connects lazily. `addr` is "host:port"; timeout_ms bounds each call, 0 = none. */
int rpc_client_new(const char *addr, int64_t timeout_ms, struct rpc_client **ret_client, struct error *err);
void rpc_client_free(struct rpc_client *c); /* NULL is allowed */

/* grpc.health.v1.Health/Check of the node as a whole; ST_STORAGE when it does not answer or does not serve. */
int rpc_client_health(struct rpc_client *c, struct error *err);

/* Region/Handle: RegionRequest in, RegionResponse appended to ret_response. A server's error comes back as its status and text. */
int rpc_client_handle(struct rpc_client *c, const void *request, size_t size, struct dynbuf *ret_response, struct error *err);

/* DoGet of a QueryRequest: calls `schema` with the Schema message, `batch` with every further Arrow message and its body (both borrowed, as an
 * Arrow IPC decoder takes them), and `metrics` with each metrics JSON; each may be NULL. */
struct rpc_query_sink {
    int (*schema)(void *ctx, const uint8_t *message, size_t size, struct error *err);
    int (*batch)(void *ctx, const uint8_t *message, size_t size, const uint8_t *body, size_t body_size, struct error *err);
    int (*metrics)(void *ctx, const char *json, size_t size, struct error *err);
    void *ctx;
};
int rpc_client_query(struct rpc_client *c, const void *query_request, size_t size, const struct rpc_query_sink *sink, struct error *err);

#endif
