/* See cluster/metasrv.h. Connections are made anew whenever the leader is looked for, so that nothing of a dead one lingers. */
#include "cluster/metasrv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cluster/messages.h"
#include "os/thread.h"

enum {
    ASK_ATTEMPTS = 3,
    ASK_MS = 3000,
    ASK_PAUSE_MS = 100, /* an attempt lasts ASK_MS even when every address refuses at once, asking again meanwhile */
    KEEPALIVE_MS = 15000,
    KEEPALIVE_TIMEOUT_MS = 5000,
    STORE_KEEPALIVE_MS = 30000,
    STORE_KEEPALIVE_TIMEOUT_MS = 20000,
    PAGE_KEYS = 1536,
    HEARTBEAT_BYTES_MAX = 64 << 20,
    KEY_BYTES_MAX = 1 << 16,
};

struct metasrv {
    char **addrs;
    uint32_t n_addrs;
    uint64_t node_id;
    int64_t timeout_ms, connect_timeout_ms;
};

int metasrv_new(const struct metasrv_options *options, struct metasrv **ret_metasrv, struct error *err)
{
    if (!options->n_addrs)
        return error_set(err, ST_INVALID_ARGUMENTS, "meta_client.metasrv_addrs names no address");
    struct metasrv *m = calloc(1, sizeof(*m));
    if (!m || !(m->addrs = calloc(options->n_addrs, sizeof(*m->addrs)))) {
        free(m);
        return error_no_memory(err, sizeof(*m));
    }
    m->node_id = options->node_id;
    m->timeout_ms = options->timeout_ms;
    m->connect_timeout_ms = options->connect_timeout_ms;
    for (; m->n_addrs < options->n_addrs; m->n_addrs++) {
        if (!(m->addrs[m->n_addrs] = strdup(options->addrs[m->n_addrs]))) {
            metasrv_free(m);
            return error_no_memory(err, 64);
        }
    }
    *ret_metasrv = m;
    return ST_OK;
}

void metasrv_free(struct metasrv *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->n_addrs; i++)
        free(m->addrs[i]);
    free(m->addrs);
    free(m);
}

static void shuffle(uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t r, t;
        random_bytes(&r, sizeof(r));
        t = order[i - 1];
        order[i - 1] = order[r % i];
        order[r % i] = t;
    }
}

/* ---- the leader ---- */

static int heartbeat_channel(struct metasrv *m, const char *addr, struct rpc_channel **ret_channel, struct error *err)
{
    struct rpc_channel_options o = {.connect_timeout_ms = m->connect_timeout_ms,
                                    .keepalive_interval_ms = KEEPALIVE_MS,
                                    .keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS,
                                    .recv_bytes_max = HEARTBEAT_BYTES_MAX};
    return rpc_channel_new(addr, &o, ret_channel, err);
}

struct leader {
    char addr[METASRV_ADDR_MAX];
};

static bool accept_leader(void *ctx, const struct buffer *reply)
{
    return message_read_leader(reply->data, reply->size, ((struct leader *)ctx)->addr, METASRV_ADDR_MAX);
}

/* One round over all addresses, on fresh connections. */
static int ask_once(struct metasrv *m, const struct dynbuf *request, int64_t timeout_ms, struct rpc_channel **ret_channel, struct leader *leader,
                    struct error *err)
{
    struct rpc_channel **channels = calloc(m->n_addrs, sizeof(*channels));
    uint32_t *order = calloc(m->n_addrs, sizeof(*order)), index = 0;
    int rc = channels && order ? ST_OK : error_no_memory(err, m->n_addrs * sizeof(*channels));
    if (rc == ST_OK)
        shuffle(order, m->n_addrs);
    for (uint32_t i = 0; rc == ST_OK && i < m->n_addrs; i++)
        rc = heartbeat_channel(m, m->addrs[order[i]], &channels[i], err);
    if (rc == ST_OK)
        rc = rpc_channel_call_any(channels, m->n_addrs, "/greptime.v1.meta.Heartbeat/AskLeader", request->data, request->size, timeout_ms,
                                  accept_leader, leader, &index, err);
    *ret_channel = NULL;
    for (uint32_t i = 0; channels && i < m->n_addrs; i++) {
        /* The connection to the leader is kept, if it is one of these. */
        if (rc == ST_OK && !*ret_channel && strcmp(m->addrs[order[i]], leader->addr) == 0)
            *ret_channel = channels[i];
        else
            rpc_channel_free(channels[i]);
    }
    if (rc == ST_OK && !*ret_channel)
        rc = heartbeat_channel(m, leader->addr, ret_channel, err);
    free(channels);
    free(order);
    return rc;
}

static int ask(struct metasrv *m, const struct dynbuf *request, const _Atomic bool *stop, struct rpc_channel **ret_channel, struct leader *leader,
               struct error *err)
{
    int rc = ST_OK;
    for (int attempt = 0; attempt < ASK_ATTEMPTS; attempt++) {
        int64_t end_ns = clock_monotonic_ns() + ASK_MS * 1000000LL;
        for (int64_t left_ms = ASK_MS; left_ms > 0; left_ms = (end_ns - clock_monotonic_ns()) / 1000000) {
            if (atomic_load(stop))
                return error_set(err, ST_CANCELLED, "the node is stopping");
            rc = ask_once(m, request, left_ms, ret_channel, leader, err);
            if (rc == ST_OK || rc == ST_NO_MEMORY)
                return rc;
            clock_sleep_ns(ASK_PAUSE_MS * 1000000LL);
        }
        log_warn("cluster", "Failed to ask leader, source: %s, retry %d times", err ? err->msg : "", attempt);
    }
    return rc;
}

int metasrv_ask_leader(struct metasrv *m, const _Atomic bool *stop, struct rpc_channel **ret_channel, char ret_addr[METASRV_ADDR_MAX],
                       struct error *err)
{
    struct dynbuf request;
    struct leader leader = {0};
    dynbuf_init(&request, 256);
    int rc = message_put_header(&request, m->node_id, err);
    if (rc == ST_OK)
        rc = ask(m, &request, stop, ret_channel, &leader, err);
    dynbuf_release(&request);
    if (rc == ST_OK)
        memcpy(ret_addr, leader.addr, METASRV_ADDR_MAX);
    return rc;
}

/* ---- the store ---- */

/* One Range call to any address that answers; the store needs no leader. */
static int range_call(struct metasrv *m, const struct dynbuf *request, struct buffer **ret_reply, struct error *err)
{
    struct rpc_channel_options o = {
        .connect_timeout_ms = m->connect_timeout_ms, .keepalive_interval_ms = STORE_KEEPALIVE_MS, .keepalive_timeout_ms = STORE_KEEPALIVE_TIMEOUT_MS};
    uint32_t *order = calloc(m->n_addrs, sizeof(*order));
    if (!order)
        return error_no_memory(err, m->n_addrs * sizeof(*order));
    shuffle(order, m->n_addrs);
    int rc = ST_OK;
    for (uint32_t i = 0; i < m->n_addrs; i++) {
        struct rpc_channel *channel;
        rc = rpc_channel_new(m->addrs[order[i]], &o, &channel, err);
        if (rc)
            break;
        rc = rpc_channel_call(channel, "/greptime.v1.meta.Store/Range", request->data, request->size, m->timeout_ms, ret_reply, err);
        rpc_channel_free(channel);
        if (rc == ST_OK || rc == ST_EXHAUSTED)
            break;
    }
    free(order);
    return rc;
}

/* Where the next page starts: behind the last key of this one. */
struct page {
    struct dynbuf key;
    size_t n;
    int (*each)(void *ctx, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size, struct error *err);
    void *ctx;
};

static int take_pair(void *ctx, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size, struct error *err)
{
    struct page *p = ctx;
    p->n++;
    dynbuf_clear(&p->key);
    TRY(dynbuf_append(&p->key, key, key_size, err));
    TRY(dynbuf_append_byte(&p->key, 0, err));
    return p->each(p->ctx, key, key_size, value, value_size, err);
}

static int read_page(struct metasrv *m, struct page *p, const void *range_end, size_t end_size, uint64_t limit, bool *ret_more, struct error *err)
{
    struct dynbuf request;
    struct buffer *reply = NULL;
    dynbuf_init(&request, 2 * KEY_BYTES_MAX + 256);
    int rc = message_put_range(&request, m->node_id, p->key.data, p->key.size, range_end, end_size, limit, err);
    if (rc == ST_OK)
        rc = range_call(m, &request, &reply, err);
    p->n = 0;
    if (rc == ST_OK)
        rc = message_read_range(reply->data, reply->size, take_pair, p, ret_more, err);
    buffer_unref(reply);
    dynbuf_release(&request);
    return rc;
}

int metasrv_range(struct metasrv *m, const char *prefix,
                  int (*each)(void *ctx, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size, struct error *err), void *ctx,
                  struct error *err)
{
    size_t size = strlen(prefix);
    struct page p = {.each = each, .ctx = ctx};
    char *end = strdup(prefix);
    if (!end || !size) {
        free(end);
        return error_no_memory(err, size);
    }
    end[size - 1]++; /* prefixes end in '/', never in 0xff */
    dynbuf_init(&p.key, KEY_BYTES_MAX);
    int rc = dynbuf_append(&p.key, prefix, size, err);
    uint64_t limit = PAGE_KEYS;
    bool more = true;
    while (rc == ST_OK && more) {
        rc = read_page(m, &p, end, size, limit, &more, err);
        if (rc == ST_EXHAUSTED && limit > 1) { /* the page was too big a message */
            limit /= 2;
            rc = ST_OK;
            more = true;
        } else if (rc == ST_OK && more && !p.n) {
            rc = error_set(err, ST_UNEXPECTED, "metasrv promises more keys of %s and sends none", prefix);
        }
    }
    dynbuf_release(&p.key);
    free(end);
    return rc;
}

struct one_value {
    struct dynbuf *value;
    bool found;
};

static int take_value(void *ctx, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size, struct error *err)
{
    struct one_value *v = ctx;
    (void)key;
    (void)key_size;
    v->found = true;
    return dynbuf_append(v->value, value, value_size, err);
}

int metasrv_get(struct metasrv *m, const char *key, struct dynbuf *ret_value, bool *ret_found, struct error *err)
{
    struct one_value v = {ret_value, false};
    struct page p = {.each = take_value, .ctx = &v};
    bool more;
    dynbuf_init(&p.key, KEY_BYTES_MAX);
    int rc = dynbuf_append(&p.key, key, strlen(key), err);
    if (rc == ST_OK)
        rc = read_page(m, &p, NULL, 0, 0, &more, err);
    dynbuf_release(&p.key);
    if (rc == ST_OK)
        *ret_found = v.found;
    return rc;
}
