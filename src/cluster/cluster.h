/* The node as a member of a cluster: it registers with metasrv, reports its regions, holds them while the leases last and does what it is told
 * (heartbeat.md; docs/cluster.md has the argument why there are never two writers).
 *
 * Threads of its own: one for the heartbeat stream, one that ends leases, and the executor's for instructions. None of the first two ever waits for a
 * disk, for an engine's long work or for memory accounts.
 */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include "cluster/messages.h"

struct cluster_options {
    struct region_server *regions; /* borrowed; made with `leased` */
    const char *const *metasrv_addrs;
    uint32_t n_metasrv_addrs;
    int64_t timeout_ms, connect_timeout_ms;
    uint64_t node_id;
    const char *server_addr; /* what the cluster is told to connect to */
    struct fs *fs;
    const char *epoch_path; /* remembers the node's epoch, so that it grows even when the clock goes back; borrowed for the call */
    uint32_t gc_jobs_max;
};

struct cluster;

/* Looks for metasrv's leader; ST_DEADLINE_EXCEEDED or the last failure when there is none for about nine seconds. No heartbeat is sent yet. */
int cluster_new(const struct cluster_options *options, struct cluster **ret_cluster, struct error *err);

/* Opens the regions that metasrv has on record for this node. A region that does not open fails the call, except a missing one in recovery mode. In
 * the background: returns once the list is read; failures are logged. */
int cluster_open_regions(struct cluster *c, bool in_background, struct error *err);

/* Connects the heartbeat stream and starts the threads. */
int cluster_start(struct cluster *c, struct error *err);
/* Returns when the first response behind the handshake has been handled. False when *stop was set first. */
bool cluster_wait_leased(struct cluster *c, const _Atomic bool *stop);

/* Ends heartbeats and instructions; metasrv is not told, as the peer does not. NULL is allowed. */
void cluster_stop(struct cluster *c);
void cluster_free(struct cluster *c); /* stops; before the region server goes. NULL is allowed */

struct cluster_state { /* for status pages */
    bool connected;
    char leader[300], last_error[200];
    int64_t connected_ms, since_lease_ms; /* for how long, and since the last response with a lease; -1 = never */
    int64_t interval_ms, lease_seconds;
    unsigned leaders, followers, unknown; /* of the last lease */
    uint64_t reconnects, late, expired;   /* heartbeats that left more than an interval late; leases that ran out */
    unsigned pending_instructions, pending_replies;
    size_t reported_regions, heartbeat_bytes;
    int64_t heartbeat_cpu_us; /* of the last full heartbeat, its response not included */
};
void cluster_state(struct cluster *c, struct cluster_state *ret_state);

#endif
