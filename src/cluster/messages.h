/* The messages between a datanode and metasrv (heartbeat.md 2): pure encoders and decoders. */
#ifndef CLUSTER_MESSAGES_H
#define CLUSTER_MESSAGES_H

#include "base/buffer.h"
#include "region/member.h"

/* What a node says of itself in every heartbeat (heartbeat.md 4.1). All texts are borrowed. */
struct node_identity {
    uint64_t node_id, epoch_ms; /* the epoch grows with each start */
    const char *addr;           /* where frontends and metasrv reach this node */
    const char *version, *git_commit, *hostname;
    uint64_t cpu_millicores, memory_bytes;
    uint32_t gc_concurrency;
};

struct node_usage {
    uint64_t cpu_millicores, memory_bytes;
    uint32_t running_gc;
};

struct mailbox_message {
    uint64_t id;
    const char *subject, *from, *to, *json;
}; /* NULL = "" */

int message_put_header(struct dynbuf *out, uint64_t node_id, struct error *err);
/* RangeRequest; `range_end` NULL = that key alone. */
int message_put_range(struct dynbuf *out, uint64_t node_id, const void *key, size_t key_size, const void *range_end, size_t end_size, uint64_t limit,
                      struct error *err);
/* The node's part of a HeartbeatRequest; duration_ms 0 = left out, as in the heartbeats that carry replies. `usage` may be NULL. */
int message_put_node(struct dynbuf *out, const struct node_identity *node, uint64_t duration_ms, const struct node_usage *usage, struct error *err);
/* The reply to a mailbox message: same id and subject, sender and receiver swapped. */
int message_put_mailbox(struct dynbuf *out, const struct mailbox_message *to, const char *json, size_t json_size, int64_t now_ms, struct error *err);
/* One RegionStat, as a field of HeartbeatRequest. */
int message_put_region(struct dynbuf *out, const struct region_stat *stat, const char *engine, struct error *err);

/* ---- decoding ---- */
struct heartbeat_response {
    int32_t error_code; /* of the header; 0 = none */
    char error_text[200];
    bool has_config;
    uint64_t interval_ms, retry_ms;
    bool has_mailbox;
    struct mailbox_message mailbox; /* texts owned */
    bool has_lease;
    uint64_t duration_ms, lease_seconds;
    struct region_grant *grants;
    size_t n_grants; /* owned */
    uint64_t *closeable;
    size_t n_closeable; /* owned */
};
/* ST_CORRUPT. */
int message_read_heartbeat(const void *data, size_t size, struct heartbeat_response *ret_response, struct error *err);
void heartbeat_response_release(struct heartbeat_response *r);
void mailbox_message_release(struct mailbox_message *m);

/* The leader's address of an AskLeaderResponse; false when it names none. */
bool message_read_leader(const void *data, size_t size, char *ret_addr, size_t room);

/* Calls `each` for every pair of a RangeResponse. An error in its header is ST_STORAGE. */
int message_read_range(const void *data, size_t size,
                       int (*each)(void *ctx, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size, struct error *err),
                       void *ctx, bool *ret_more, struct error *err);

#endif
