/* Shared between cluster.c and heartbeat.c. */
#ifndef CLUSTER_INTERNAL_H
#define CLUSTER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "cluster/cluster.h"
#include "cluster/executor.h"
#include "cluster/report.h"
#include "os/fs.h"
#include "os/thread.h"

struct outgoing {
    struct outgoing *next;
    struct dynbuf json;
    struct mailbox_message to;
};

struct cluster {
    struct cluster_options options;
    struct node_identity identity;
    char *server_addr, hostname[256];
    struct metasrv *metasrv;
    struct records *records;
    struct executor *executor;
    struct report *report; /* of the heartbeat thread, like the buffers and the usage */
    struct dynbuf node_bytes, message;
    struct node_usage usage;
    uint64_t usage_us;
    int64_t usage_at_ns;

    pthread_t opener, heart, keeper;
    bool opener_started, heart_started, keeper_started;
    struct opening_regions *opening;
    _Atomic bool stop;

    struct rpc_channel *channel; /* of the heartbeat thread once it runs */
    struct rpc_stream *stream;
    int64_t epoch_ns;     /* durations in heartbeats count from here */
    int64_t last_sent_ms; /* duration of the newest full heartbeat: no lease can answer a later one */
    bool awaited;         /* its lease has not come yet */
    int64_t interval_ms, retry_ms;

    pthread_mutex_t lock;       /* guards everything below */
    pthread_cond_t wake;        /* `stop`, a response */
    pthread_cond_t keeper_wake; /* `stop` */
    struct outgoing *first, **last;
    unsigned n_outgoing;
    bool answered; /* a response behind the handshake has been handled */
    struct cluster_state state;
    int64_t connected_at_ns, leased_at_ns;
};

/* heartbeat.c */
int heartbeat_connect(struct cluster *c, struct error *err);
void *heartbeat_main(void *cluster);
/* Queues a reply and sends it if the stream is free. For the executor. */
void heartbeat_reply(void *cluster, const struct mailbox_message *to, const char *json, size_t size);

#endif
