/* Life of the cluster member: see cluster/cluster.h. */
#include "cluster/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/version.h"
#include "cluster/internal.h"
#include "format/json/json.h"

enum { FIRST_LEASE_INTERVALS = 4, MESSAGE_BYTES_MAX = 256 << 20, KEEPER_IDLE_MS = 1000 };

static struct metric_family expired_family = {
    .name = "regiond_leases_expired_total", .help = "leases that ran out before metasrv renewed them", .kind = METRIC_COUNTER};

/* ---- the epoch ---- */

/* Wall clock, but always above the last start's: metasrv takes a smaller epoch for an old message. */
static uint64_t new_epoch(struct fs *fs, const char *path)
{
    struct dynbuf text;
    struct error err;
    char line[32], tmp[1200];
    uint64_t epoch = (uint64_t)clock_wall_ms();
    if (!path)
        return epoch;
    dynbuf_init(&text, 4096);
    if (fs_read_all(fs, path, 4096, &text, NULL) == ST_OK) {
        uint64_t before = strtoull((const char *)text.data, NULL, 10);
        epoch = before >= epoch && before < epoch + 366ull * 86400000 ? before + 1 : epoch;
    }
    dynbuf_release(&text);
    int n = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)epoch);
    snprintf(tmp, sizeof(tmp), "%.1100s.tmp", path);
    if (fs_write_atomic(fs, path, tmp, line, (size_t)n, &err) != ST_OK)
        log_warn(
            "cluster",
            "the node's epoch cannot be remembered: %s; should the clock go back before the next start, metasrv would take that start for an old one",
            err.msg);
    return epoch;
}

/* ---- regions on record ---- */

struct opening_regions {
    struct cluster *cluster;
    struct arena arena;
    struct region_open *list;
    size_t n, room;
    bool recovery;
};

static int add_region(struct opening_regions *o, uint64_t id, const char *engine, const char *path, const struct json_value *value, struct error *err)
{
    if (o->n == o->room) {
        size_t room = o->room ? o->room * 2 : 64;
        struct region_open *more = realloc(o->list, room * sizeof(*more));
        if (!more)
            return error_no_memory(err, room * sizeof(*more));
        o->list = more;
        o->room = room;
    }
    struct region_open open = {.region_id = id, .engine = engine, .path = path};
    struct kv *options;
    TRY(instruction_read_options(&o->arena, json_get(value, "region_options"), json_get(value, "region_wal_options"), (uint32_t)id, &options,
                                 &open.n_options, err));
    open.options = options;
    o->list[o->n++] = open;
    return ST_OK;
}

/* A __dn_table value: the regions of one table that are led from here. */
static int read_table(struct opening_regions *o, const struct json_value *v, struct error *err)
{
    const struct json_value *regions = json_get(v, "regions");
    const char *engine = json_text(json_get(v, "engine")), *path = json_text(json_get(v, "region_storage_path"));
    uint64_t table, number;
    if (!json_u64(json_get(v, "table_id"), &table) || table > UINT32_MAX || !json_is(regions, JSON_ARRAY))
        return error_set(err, ST_CORRUPT, "a table lacks table_id or regions");
    engine = arena_copy(&o->arena, engine ? engine : "mito", strlen(engine ? engine : "mito"), err);
    path = arena_copy(&o->arena, path ? path : "", strlen(path ? path : ""), err);
    if (!engine || !path)
        return ST_NO_MEMORY;
    for (const struct json_value *r = regions->first; r; r = r->next) {
        if (!json_u64(r, &number) || number > UINT32_MAX)
            return error_set(err, ST_CORRUPT, "a table has a bad region number");
        TRY(add_region(o, table << 32 | number, engine, path, v, err));
    }
    return ST_OK;
}

static int each_table(void *ctx, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size, struct error *err)
{
    struct arena arena;
    const struct json_value *v;
    arena_init(&arena, NULL);
    int rc = json_parse(&arena, (const char *)value, value_size, &v, err);
    if (rc == ST_OK)
        rc = read_table(ctx, v, err);
    arena_release(&arena);
    return rc ? error_prefix(err, "metasrv's key %.*s", (int)(key_size < 100 ? key_size : 100), (const char *)key) : ST_OK;
}

static int load_regions(struct opening_regions *o, struct error *err)
{
    char prefix[64];
    struct dynbuf value;
    dynbuf_init(&value, 1 << 16);
    int rc = metasrv_get(o->cluster->metasrv, "__switches/recovery", &value, &o->recovery, err);
    dynbuf_release(&value);
    TRY(rc);
    if (o->recovery)
        log_warn("cluster", "the cluster is in recovery mode: regions that are missing on disk are passed over");
    snprintf(prefix, sizeof(prefix), "__dn_table/%llu/", (unsigned long long)o->cluster->options.node_id);
    return metasrv_range(o->cluster->metasrv, prefix, each_table, o, err);
}

static void opening_free(struct opening_regions *o)
{
    if (!o)
        return;
    free(o->list);
    arena_release(&o->arena);
    free(o);
}

/* ST_OK, or the first failure that counts. */
static int open_all(struct opening_regions *o, struct error *err)
{
    int64_t start_ns = clock_monotonic_ns();
    size_t opened = 0;
    int rc = ST_OK;
    log_info("cluster", "going to open %zu region(s)", o->n);
    region_server_open_regions(o->cluster->options.regions, o->list, o->n);
    for (size_t i = 0; i < o->n; i++) {
        const struct region_open *r = &o->list[i];
        opened += r->rc == ST_OK;
        if (r->rc == ST_OK || (o->recovery && r->rc == ST_REGION_NOT_FOUND))
            continue;
        log_error("cluster", "region %llu could not be opened: %s", (unsigned long long)r->region_id, r->err.msg);
        if (rc == ST_OK)
            rc = error_set(err, r->rc, "Failed to open batch regions: region %llu: %s", (unsigned long long)r->region_id, r->err.msg);
    }
    log_info("cluster", "Opened %zu regions in %lld ms", opened, (long long)((clock_monotonic_ns() - start_ns) / 1000000));
    return rc;
}

static void *open_in_background(void *arg)
{
    (void)open_all(arg, NULL);
    return NULL;
}

int cluster_open_regions(struct cluster *c, bool in_background, struct error *err)
{
    struct opening_regions *o = calloc(1, sizeof(*o));
    if (!o)
        return error_no_memory(err, sizeof(*o));
    o->cluster = c;
    arena_init(&o->arena, NULL);
    c->opening = o;
    TRY(load_regions(o, err));
    if (!in_background) {
        TRY(open_all(o, err));
        log_info("cluster", "all regions are opened");
        return ST_OK;
    }
    TRY(thread_start(&c->opener, "region-opener", open_in_background, o, err));
    c->opener_started = true;
    return ST_OK;
}

/* ---- the keeper ---- */

/* Ends leases in time for what is reported and for engines' background work; requests look at the clock themselves. */
static void *keeper_main(void *arg)
{
    struct cluster *c = arg;
    thread_prefer();
    while (!atomic_load(&c->stop)) {
        int64_t next_ns, now_ns = clock_monotonic_ns();
        unsigned n = region_server_expire(c->options.regions, now_ns, &next_ns);
        if (n) {
            metric_add(metric_plain(&expired_family), n);
            log_warn(
                "cluster",
                "the leases of %u regions have run out: they are followers now and refuse writes until metasrv renews them; is metasrv reachable?",
                n);
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t wait_ns =
            next_ns == INT64_MAX || next_ns - now_ns > KEEPER_IDLE_MS * 1000000LL ? KEEPER_IDLE_MS * 1000000LL : next_ns - now_ns + 1000000;
        until.tv_sec += (until.tv_nsec + wait_ns) / 1000000000;
        until.tv_nsec = (until.tv_nsec + wait_ns) % 1000000000;
        pthread_mutex_lock(&c->lock);
        c->state.expired += n;
        /* A grant only moves ends of leases away, so its wake-up matters only to a keeper that knows of none. */
        if (!atomic_load(&c->stop))
            pthread_cond_timedwait(next_ns == INT64_MAX ? &c->wake : &c->keeper_wake, &c->lock, &until);
        pthread_mutex_unlock(&c->lock);
    }
    return NULL;
}

/* ---- life ---- */

static int fill_identity(struct cluster *c, struct error *err)
{
    const struct cluster_options *o = &c->options;
    gethostname(c->hostname, sizeof(c->hostname) - 1);
    c->server_addr = strdup(o->server_addr);
    if (!c->server_addr)
        return error_no_memory(err, 64);
    c->identity = (struct node_identity){.node_id = o->node_id,
                                         .epoch_ms = new_epoch(o->fs, o->epoch_path),
                                         .addr = c->server_addr,
                                         .version = PEER_VERSION,
                                         .git_commit = PEER_COMMIT,
                                         .hostname = c->hostname,
                                         .cpu_millicores = cpu_millicores(),
                                         .memory_bytes = memory_total_bytes(),
                                         .gc_concurrency = o->gc_jobs_max};
    return ST_OK;
}

static int init(struct cluster *c, struct error *err)
{
    const struct cluster_options *o = &c->options;
    struct metasrv_options metasrv = {o->metasrv_addrs, o->n_metasrv_addrs, o->node_id, o->timeout_ms, o->connect_timeout_ms};
    TRY(fill_identity(c, err));
    TRY(metasrv_new(&metasrv, &c->metasrv, err));
    TRY(records_new(c->metasrv, &c->records, err));
    region_server_set_records(o->regions, &(struct region_records){records_database_options, records_partition_expr, c->records});
    struct executor_options executor = {o->regions, c->records, o->gc_jobs_max, heartbeat_reply, c};
    TRY(executor_new(&executor, &c->executor, err));
    TRY(report_new(&c->report, err));
    TRY(rpc_stream_new(&c->stream, err));
    /* Asked here already, so that a node without a metasrv ends before it has opened anything. */
    char addr[METASRV_ADDR_MAX];
    TRY(metasrv_ask_leader(c->metasrv, &c->stop, &c->channel, addr, err));
    return ST_OK;
}

int cluster_new(const struct cluster_options *options, struct cluster **ret_cluster, struct error *err)
{
    struct cluster *c = calloc(1, sizeof(*c));
    pthread_condattr_t attr;
    if (!c)
        return error_no_memory(err, sizeof(*c));
    c->options = *options;
    c->last = &c->first;
    c->state.since_lease_ms = -1;
    c->interval_ms = c->retry_ms = 3000;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_cond_init(&c->keeper_wake, &attr);
    pthread_condattr_destroy(&attr);
    dynbuf_init(&c->node_bytes, 1 << 16);
    dynbuf_init(&c->message, MESSAGE_BYTES_MAX);
    int rc = init(c, err);
    if (rc) {
        cluster_free(c);
        return rc;
    }
    *ret_cluster = c;
    return ST_OK;
}

int cluster_start(struct cluster *c, struct error *err)
{
    TRY(heartbeat_connect(c, err));
    c->epoch_ns = clock_monotonic_ns();
    region_server_start_leases(c->options.regions, FIRST_LEASE_INTERVALS * c->interval_ms * 1000000);
    log_info("cluster", "Starting heartbeat to Metasrv with config: interval=%lldms. My node id is %llu, address is %s.", (long long)c->interval_ms,
             (unsigned long long)c->options.node_id, c->server_addr);
    TRY(thread_start(&c->keeper, "lease-keeper", keeper_main, c, err));
    c->keeper_started = true;
    TRY(thread_start(&c->heart, "heartbeat", heartbeat_main, c, err));
    c->heart_started = true;
    return ST_OK;
}

bool cluster_wait_leased(struct cluster *c, const _Atomic bool *stop)
{
    pthread_mutex_lock(&c->lock);
    while (!c->answered && !atomic_load(stop)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&c->wake, &c->lock, &until);
    }
    bool answered = c->answered;
    pthread_mutex_unlock(&c->lock);
    return answered;
}

void cluster_stop(struct cluster *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    atomic_store(&c->stop, true);
    pthread_cond_broadcast(&c->wake);
    pthread_cond_broadcast(&c->keeper_wake);
    pthread_mutex_unlock(&c->lock);
    if (c->stream)
        rpc_stream_cancel(c->stream);
    if (c->heart_started)
        pthread_join(c->heart, NULL);
    if (c->keeper_started)
        pthread_join(c->keeper, NULL);
    if (c->opener_started)
        pthread_join(c->opener, NULL);
    c->heart_started = c->keeper_started = c->opener_started = false;
    executor_free(c->executor);
    c->executor = NULL;
}

void cluster_free(struct cluster *c)
{
    if (!c)
        return;
    cluster_stop(c);
    rpc_stream_free(c->stream);
    rpc_channel_free(c->channel);
    while (c->first) {
        struct outgoing *o = c->first;
        c->first = o->next;
        dynbuf_release(&o->json);
        mailbox_message_release(&o->to);
        free(o);
    }
    opening_free(c->opening);
    report_free(c->report);
    region_server_set_records(c->options.regions, NULL);
    records_free(c->records);
    metasrv_free(c->metasrv);
    dynbuf_release(&c->node_bytes);
    dynbuf_release(&c->message);
    pthread_cond_destroy(&c->wake);
    pthread_cond_destroy(&c->keeper_wake);
    pthread_mutex_destroy(&c->lock);
    free(c->server_addr);
    free(c);
}

void cluster_state(struct cluster *c, struct cluster_state *ret_state)
{
    int64_t now_ns = clock_monotonic_ns();
    unsigned pending = c->executor ? executor_pending(c->executor) : 0;
    pthread_mutex_lock(&c->lock);
    *ret_state = c->state;
    ret_state->connected_ms = c->state.connected ? (now_ns - c->connected_at_ns) / 1000000 : 0;
    ret_state->since_lease_ms = c->leased_at_ns ? (now_ns - c->leased_at_ns) / 1000000 : -1;
    ret_state->pending_instructions = pending;
    ret_state->pending_replies = c->n_outgoing;
    pthread_mutex_unlock(&c->lock);
}
