/* The gRPC service of the node: Region/Handle, Flight DoGet and health checks, on libgrpc's C core (region-rpc.md 1, 7, 8). */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include "base/budget.h"
#include "region/server.h"

enum rpc_flight_compression { RPC_FLIGHT_NONE, RPC_FLIGHT_ARROW_IPC }; /* `transport` is NONE and `all` is ARROW_IPC: replies are never gzip or zstd */

struct rpc_options {
    const char *addr;              /* "IP:port"; port 0 takes a free one */
    struct region_server *regions; /* borrowed */
    struct budget *budget;         /* request messages; borrowed, may be NULL */
    size_t recv_bytes_max, send_bytes_max; /* of one message; 0 = 512 MiB */
    int64_t connection_age_max_ms; /* 0 = none */
    int64_t keepalive_interval_ms; /* HTTP/2 pings on connections with open calls; 0 = none */
    int64_t keepalive_timeout_ms;  /* without an answer for that long the connection and its calls are given up */
    enum rpc_flight_compression compression;
    unsigned threads_max;          /* 0 = 512; calls beyond that are refused */
};

struct rpc_server;

/* Listens, or fails with the reason (address in use). */
int rpc_server_start(const struct rpc_options *options, struct rpc_server **ret_server, struct error *err);
int rpc_server_port(const struct rpc_server *s);
/* Refuses new calls, waits up to `grace_ms` for the running ones, cancels the rest and waits for them. NULL is allowed. */
void rpc_server_stop(struct rpc_server *s, int64_t grace_ms);

#endif
