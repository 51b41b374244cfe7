/* Metasrv as a datanode sees it: which of its addresses leads, and its key-value store (heartbeat.md 1 and 9). */
#ifndef CLUSTER_METASRV_H
#define CLUSTER_METASRV_H

#include <stdatomic.h>

#include "base/buffer.h"
#include "base/error.h"
#include "rpc/channel.h"

struct metasrv_options {
    const char *const *addrs;
    uint32_t n_addrs; /* copied */
    uint64_t node_id;
    int64_t timeout_ms, connect_timeout_ms;
};

struct metasrv;

int metasrv_new(const struct metasrv_options *options, struct metasrv **ret_metasrv, struct error *err);
void metasrv_free(struct metasrv *m); /* NULL is allowed */

enum { METASRV_ADDR_MAX = 300 };

/* Asks all addresses at once, three times three seconds; gives an open channel to the leader and its address. Returns early once *stop is set. */
int metasrv_ask_leader(struct metasrv *m, const _Atomic bool *stop, struct rpc_channel **ret_channel, char ret_addr[METASRV_ADDR_MAX],
                       struct error *err);

/* One key; *ret_found = false when it is absent. `value` is appended to. */
int metasrv_get(struct metasrv *m, const char *key, struct dynbuf *ret_value, bool *ret_found, struct error *err);
/* Every key that starts with `prefix`, in pages. */
int metasrv_range(struct metasrv *m, const char *prefix,
                  int (*each)(void *ctx, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size, struct error *err), void *ctx,
                  struct error *err);

#endif
