#include "main/node.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "cluster/cluster.h"
#include "engine/file/file.h"
#include "engine/metric/metric.h"
#include "engine/mito/mito.h"
#include "exec/expr.h"
#include "exec/spill.h"
#include "main/status.h"
#include "os/disk.h"
#include "os/heap.h"
#include "os/net.h"
#include "os/thread.h"
#include "region/member.h"
#include "rpc/server.h"
#include "store/object_store.h"

enum { DISK_POLL_MS = 1000, STOP_GRACE_MS = 10000, WRITE_STALL_MAX_MS = 60000, DEFAULT_SYNC_MS = 1000 };

struct node {
    struct config *config;
    char *home;
    struct fs_file *lock;
    struct budget root, query, requests;
    struct disk *disk, *wal_disk; /* the latter NULL when the log is on the same */
    struct object_store *store;
    struct wal *wal;
    struct wal_report wal_report;
    struct peer_log *peer_log;
    struct peer_log_report peer_report;
    struct spill_space *spill;
    struct region_server *regions;
    struct cluster *cluster; /* NULL: the node runs alone */
    const _Atomic bool *stop;
    struct rpc_server *rpc;
    struct http_server *http;
    struct node_view view;
};

static int join(const char *a, const char *b, char *out, size_t room, struct error *err)
{
    int n = snprintf(out, room, "%s/%s", a, b);
    return n > 0 && (size_t)n < room ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "the path %s/%s is too long", a, b);
}

static bool in_cluster(const struct node *n)
{
    return config_is_set(n->config, OPT_META_ADDRS);
}

/* `base`: where a GreptimeDB datanode has its raft-engine files; they stay as they are. Ours are in a folder in it. */
static int wal_dir(const struct node *n, char base[PATH_MAX], char out[PATH_MAX], struct error *err)
{
    const struct config *c = n->config;
    if (*config_text(c, OPT_WAL_DIR))
        snprintf(base, PATH_MAX, "%s", config_text(c, OPT_WAL_DIR));
    else
        TRY(join(n->home, "wal", base, PATH_MAX, err));
    return join(base, "regiond", out, PATH_MAX, err);
}

/* One process a folder. Alone that is the data folder; the nodes of a cluster may share one, as they do a bucket, and each has a log of its own. */
static int lock_home(struct node *n, struct error *err)
{
    char path[PATH_MAX], base[PATH_MAX], dir[PATH_MAX];
    struct fs *fs = fs_posix();
    TRY(fs_mkdirs(fs, n->home, err));
    if (in_cluster(n))
        TRY(wal_dir(n, base, dir, err));
    else
        snprintf(dir, sizeof dir, "%s", n->home);
    TRY(fs_mkdirs(fs, dir, err));
    TRY(join(dir, "regiond.lock", path, sizeof path, err));
    TRY(fs->ops->open(fs, path, FS_READ | FS_WRITE, &n->lock, err));
    if (fs->ops->lock(n->lock, err) != ST_OK)
        return error_set(err, ST_ILLEGAL_STATE, "another regiond has the folder %s open%s", dir,
                         in_cluster(n) ? "; give each node its own wal.dir" : "");
    return ST_OK;
}

static void disk_changed(void *ctx, const struct disk *disk, const struct disk_state *s)
{
    (void)ctx;
    if (s->full)
        log_error("disk",
                  "the disk of %s is full (%s; %llu of %llu bytes are free): writes, new tables and schema changes are refused, memtables are flushed so that "
                  "the log can be cut. Delete files, drop or truncate tables, or enlarge the disk; writes then go on by themselves",
                  disk_dir(disk), s->cause, (unsigned long long)s->free_bytes, (unsigned long long)s->total_bytes);
    else
        log_info("disk", "the disk of %s has room again (%llu bytes are free): writes go on", disk_dir(disk), (unsigned long long)s->free_bytes);
}

static int open_disk(const char *dir, const char *reserve_name, uint64_t reserve_bytes, struct disk **ret_disk, struct error *err)
{
    struct disk_state s;
    struct disk_options o = {.fs = fs_posix(), .dir = dir, .reserve_name = reserve_name, .reserve_bytes = reserve_bytes, .poll_ms = DISK_POLL_MS,
                             .changed = disk_changed};
    TRY(disk_new(&o, ret_disk, err));
    disk_get_state(*ret_disk, &s);
    if (s.held_bytes < s.reserve_bytes && !s.full)
        log_warn("disk", "no reserve of %llu bytes for flushes on the disk of %s: %s; it is tried again", (unsigned long long)s.reserve_bytes, dir,
                 s.cause);
    return ST_OK;
}

/* The disk of the data and, if it is another one, that of the log, which needs no reserve: it frees space by removing files. */
static int open_disks(struct node *n, struct error *err)
{
    char base[PATH_MAX], dir[PATH_MAX], name[64] = "regiond.reserve";
    struct fs_stat home, log;
    struct fs *fs = fs_posix();
    if (in_cluster(n)) /* its nodes may share the folder */
        snprintf(name, sizeof name, "regiond.%llu.reserve", (unsigned long long)config_u64(n->config, OPT_NODE_ID));
    TRY(open_disk(n->home, name, config_u64(n->config, OPT_DISK_RESERVE), &n->disk, err));
    TRY(wal_dir(n, base, dir, err));
    TRY(fs_mkdirs(disk_fs(n->disk), dir, err));
    TRY(fs->ops->stat(fs, n->home, &home, err));
    TRY(fs->ops->stat(fs, dir, &log, err));
    return home.device == log.device ? ST_OK : open_disk(dir, "regiond.reserve", 0, &n->wal_disk, err);
}

static enum wal_durability durability_of(const struct config *c)
{
    const char *text = config_text(c, OPT_WAL_DURABILITY);
    if (*text)
        return strcmp(text, "fsync") == 0 ? WAL_FSYNC : strcmp(text, "os") == 0 ? WAL_OS : WAL_INTERVAL;
    return config_bool(c, OPT_WAL_SYNC_WRITE) ? WAL_FSYNC : WAL_INTERVAL;
}

static int open_peer_log(struct node *n, const char *base, const char *ours, struct error *err)
{
    char done[PATH_MAX];
    const struct peer_log_report *r = &n->peer_report;
    TRY(join(ours, "greptimedb_log_done", done, sizeof done, err));
    struct peer_log_options o = {.fs = disk_fs(n->disk), .dir = base, .done_path = done, .budget = &n->root};
    TRY(peer_log_open(&o, &n->peer_log, &n->peer_report, err));
    if (r->entries)
        log_info("wal", "%s holds a GreptimeDB log with %llu live entries of %llu regions in %llu files; it is read as they open and not written",
                 base, (unsigned long long)r->entries, (unsigned long long)r->regions, (unsigned long long)r->files);
    if (r->damages)
        log_error("wal", "the GreptimeDB log is damaged in %llu places: %s; regions that may have lost entries by it do not open",
                  (unsigned long long)r->damages, r->detail);
    return ST_OK;
}

static int open_wal(struct node *n, struct error *err)
{
    char base[PATH_MAX], dir[PATH_MAX];
    const struct config *c = n->config;
    TRY(wal_dir(n, base, dir, err));
    struct wal_options o = {.fs = disk_fs_growing(n->wal_disk ? n->wal_disk : n->disk), .dir = dir, .durability = durability_of(c), .sync_interval_ms = DEFAULT_SYNC_MS,
                            .segment_bytes = config_u64(c, OPT_WAL_FILE_SIZE)};
    if (config_is_set(c, OPT_WAL_SYNC_PERIOD))
        o.sync_interval_ms = config_duration_ms(c, OPT_WAL_SYNC_PERIOD);
    TRY(wal_open(&o, &n->wal, &n->wal_report, err));
    if (n->wal_report.torn_bytes)
        log_warn("wal", "cut %llu bytes behind the last whole record of the log: %s", (unsigned long long)n->wal_report.torn_bytes,
                 n->wal_report.detail);
    if (n->wal_report.skipped_records)
        log_error("wal", "the log has %llu damaged records: %s; regions that need them do not open, see `regionctl inspect wal %s`",
                  (unsigned long long)n->wal_report.skipped_records, n->wal_report.detail, dir);
    return open_peer_log(n, base, dir, err);
}

/* Takes the engine. */
static int add_engine(struct node *n, struct engine *engine, struct error *err)
{
    int st = region_server_add_engine(n->regions, engine, err);
    if (st != ST_OK) {
        engine->ops->free(engine);
        return st;
    }
    log_info("regiond", "Region Engine %s is registered", engine->ops->name);
    return ST_OK;
}

/* The kinds of index for which these three options do not say "disable". */
static uint8_t index_kinds(const struct config *c, enum option_id inverted, enum option_id fulltext, enum option_id bloom)
{
    const struct { enum option_id option; uint8_t kind; } all[] = {{inverted, SST_INDEX_INVERTED}, {fulltext, SST_INDEX_FULLTEXT}, {bloom, SST_INDEX_BLOOM}};
    uint8_t kinds = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        kinds |= strcasecmp(config_text(c, all[i].option), "disable") == 0 ? 0 : all[i].kind;
    return kinds;
}

/* In the `async` build mode the files are written first, their indexes later. */
static void build_later(struct mito_options *o)
{
    o->later_indexes[0] = o->flush_indexes;
    o->later_indexes[1] = o->compaction_indexes;
    o->flush_indexes = o->compaction_indexes = 0;
}

static int start_engines(struct node *n, struct error *err)
{
    mito_cast = expr_try_cast_column;
    const struct config *c = n->config;
    struct engine *mito, *metric, *file;
    struct mito_options o = {.store = n->store,
                             .wal = n->wal,
                             .disk = n->disk,
                             .wal_disk = n->wal_disk,
                             .peer_log = n->peer_log,
                             .root_budget = &n->root,
                             .node_id = config_u64(c, OPT_NODE_ID),
                             .write_buffer_bytes = config_u64(c, OPT_MITO_WRITE_BUFFER),
                             .write_reject_bytes = config_u64(c, OPT_MITO_WRITE_REJECT),
                             .caches = {config_u64(c, OPT_MITO_META_CACHE), config_u64(c, OPT_MITO_INDEX_META_CACHE),
                                        config_u64(c, OPT_MITO_INDEX_CONTENT_CACHE), config_u64(c, OPT_MITO_INDEX_PAGE),
                                        config_u64(c, OPT_MITO_PAGE_CACHE), config_u64(c, OPT_MITO_SELECTOR_CACHE)},
                             .checkpoint_distance = (uint32_t)config_u64(c, OPT_MITO_CHECKPOINT_DISTANCE),
                             .default_flat_format = config_bool(c, OPT_MITO_FLAT_FORMAT),
                             .flush_indexes = index_kinds(c, OPT_MITO_INV_FLUSH, OPT_MITO_FT_FLUSH, OPT_MITO_BF_FLUSH),
                             .compaction_indexes = index_kinds(c, OPT_MITO_INV_COMPACTION, OPT_MITO_FT_COMPACTION, OPT_MITO_BF_COMPACTION),
                             .query_indexes = index_kinds(c, OPT_MITO_INV_APPLY, OPT_MITO_FT_APPLY, OPT_MITO_BF_APPLY),
                             .max_background_jobs = (unsigned)config_u64(c, OPT_MITO_FLUSHES),
                             .max_background_compactions = (unsigned)config_u64(c, OPT_MITO_COMPACTIONS),
                             .compaction_bytes_max = config_limit_bytes(c, OPT_MITO_COMPACTION_MEMORY),
                             .compaction_wait_ms = config_wait_ms(c, OPT_MITO_COMPACTION_EXHAUSTED),
                             .min_compaction_interval_ms = config_duration_ms(c, OPT_MITO_MIN_COMPACTION),
                             .auto_flush_interval_ms = config_duration_ms(c, OPT_MITO_AUTO_FLUSH),
                             .wal_purge_bytes = config_u64(c, OPT_WAL_PURGE_THRESHOLD),
                             .write_stall_max_ms = WRITE_STALL_MAX_MS,
                             .gc_enabled = config_bool(c, OPT_MITO_GC_ENABLE),
                             .gc_lingering_ms = config_duration_ms(c, OPT_MITO_GC_LINGER),
                             .gc_unknown_ms = config_duration_ms(c, OPT_MITO_GC_UNKNOWN)};
    if (strcasecmp(config_text(c, OPT_MITO_INDEX_BUILD_MODE), "async") == 0)
        build_later(&o);
    TRY(mito_engine_new(&o, &mito, err));
    TRY(add_engine(n, mito, err));
    struct metric_options m = {.mito = mito, .sparse_keys = !config_is_set(c, OPT_METRIC_SPARSE) || config_bool(c, OPT_METRIC_SPARSE)};
    if (config_is_set(c, OPT_METRIC_FLUSH))
        m.flush_interval_ms = config_duration_ms(c, OPT_METRIC_FLUSH);
    TRY(metric_engine_new(&m, &metric, err));
    TRY(add_engine(n, metric, err));
    struct file_engine_options f = {.store = n->store, .fs = fs_posix(), .budget = &n->query, .cast = expr_cast_column};
    TRY(file_engine_new(&f, &file, err));
    return add_engine(n, file, err);
}

static int start_regions(struct node *n, struct error *err)
{
    char list[PATH_MAX], data[PATH_MAX], spill[PATH_MAX];
    const struct config *c = n->config;
    TRY(join(n->home, "regiond.spill", spill, sizeof spill, err));
    TRY(spill_space_new(fs_posix(), spill, config_u64(c, OPT_QUERY_SPILL), &n->spill, err));
    TRY(join(n->home, "regions.json", list, sizeof list, err));
    TRY(join(n->home, "data", data, sizeof data, err));
    struct region_server_options o = {.fs = disk_fs(n->disk), .list_path = in_cluster(n) ? NULL : list, .data_dir = in_cluster(n) ? NULL : data,
                                      .leased = in_cluster(n), .query_budget = &n->query, .spill = n->spill,
                                      .query_parallelism = (unsigned)config_u64(c, OPT_QUERY_PARALLELISM),
                                      .init_parallelism = (unsigned)config_u64(c, OPT_INIT_PARALLELISM),
                                      .max_concurrent_queries = (unsigned)config_u64(c, OPT_MAX_CONCURRENT_QUERIES),
                                      .response_bytes_max = config_u64(c, OPT_GRPC_MAX_SEND)};
    TRY(region_server_new(&o, &n->regions, err));
    TRY(start_engines(n, err));
    return region_server_start(n->regions, err);
}

/* grpc.server_addr with the bound port; by default this machine's first address. */
static int advertised_addr(const struct node *n, char *out, size_t room, struct error *err)
{
    char ip[NET_IP_MAX] = "127.0.0.1";
    const char *addr = config_text(n->config, OPT_GRPC_SERVER_ADDR), *bind = config_text(n->config, OPT_GRPC_BIND_ADDR), *port = strrchr(bind, ':');
    if (!*addr)
        net_local_ip(ip);
    int size = *addr && strchr(addr, ':') ? snprintf(out, room, "%s", addr) : snprintf(out, room, "%s%s", *addr ? addr : ip, port ? port : "");
    return size > 0 && (size_t)size < room ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "grpc.server_addr is too long");
}

/* heartbeat.md 8: leader, regions on record, heartbeats, then the ports. */
static int join_cluster(struct node *n, struct error *err)
{
    char addr[300], base[PATH_MAX], dir[PATH_MAX], epoch[PATH_MAX];
    const struct config *c = n->config;
    struct cluster_options o = {.regions = n->regions, .timeout_ms = config_duration_ms(c, OPT_META_TIMEOUT), .node_id = config_u64(c, OPT_NODE_ID),
                                .connect_timeout_ms = config_duration_ms(c, OPT_META_CONNECT_TIMEOUT), .server_addr = addr, .fs = fs_posix(),
                                .epoch_path = epoch, .gc_jobs_max = (uint32_t)config_u64(c, OPT_MITO_GC_JOBS)};
    o.n_metasrv_addrs = config_list(c, OPT_META_ADDRS, &o.metasrv_addrs);
    TRY(advertised_addr(n, addr, sizeof addr, err));
    TRY(wal_dir(n, base, dir, err));
    TRY(join(dir, "node_epoch", epoch, sizeof epoch, err));
    log_info("regiond", "Creating Datanode { member_id: %llu } instance with %u Metasrv addrs, first %s", (unsigned long long)o.node_id,
             o.n_metasrv_addrs, o.n_metasrv_addrs ? o.metasrv_addrs[0] : "none");
    if (cluster_new(&o, &n->cluster, err) != ST_OK)
        return error_prefix(err, "Failed to initialize meta client");
    TRY(cluster_open_regions(n->cluster, config_bool(c, OPT_INIT_IN_BACKGROUND), err));
    TRY(cluster_start(n->cluster, err));
    if (config_bool(c, OPT_REQUIRE_LEASE) && !cluster_wait_leased(n->cluster, n->stop))
        return error_set(err, ST_CANCELLED, "stopped while waiting for a lease from metasrv");
    return ST_OK;
}

static int start_services(struct node *n, struct error *err)
{
    const struct config *c = n->config;
    const char *compression = config_text(c, OPT_GRPC_FLIGHT_COMPRESSION);
    struct rpc_options rpc = {.addr = config_text(c, OPT_GRPC_BIND_ADDR), .regions = n->regions, .budget = &n->requests,
                              .recv_bytes_max = config_u64(c, OPT_GRPC_MAX_RECV), .send_bytes_max = config_u64(c, OPT_GRPC_MAX_SEND),
                              .connection_age_max_ms = config_duration_ms(c, OPT_GRPC_MAX_CONNECTION_AGE),
                              /* Only when asked for, as the peer, whose datanode pings nobody: three seconds are little for a busy client. */
                              .keepalive_interval_ms = config_is_set(c, OPT_GRPC_KEEP_ALIVE_INTERVAL) ? config_duration_ms(c, OPT_GRPC_KEEP_ALIVE_INTERVAL) : 0,
                              .keepalive_timeout_ms = config_duration_ms(c, OPT_GRPC_KEEP_ALIVE_TIMEOUT),
                              .compression = strcmp(compression, "none") == 0 || strcmp(compression, "transport") == 0 ? RPC_FLIGHT_NONE
                                                                                                                       : RPC_FLIGHT_ARROW_IPC};
    TRY(rpc_server_start(&rpc, &n->rpc, err));
    log_info("regiond", "gRPC server(name=GRPC_SERVER) is bound to %s", rpc.addr);
    n->view = (struct node_view){n->config, n->regions, n->wal, &n->wal_report, n->peer_log, &n->peer_report, &n->root, clock_wall_ms(), n->disk, n->wal_disk, n->cluster};
    struct http_options http = {.addr = config_text(c, OPT_HTTP_ADDR), .cors = config_bool(c, OPT_HTTP_CORS), .body_bytes_max = config_u64(c, OPT_HTTP_BODY_LIMIT),
                                .status = status_json, .config = status_config, .page = status_page, .before_metrics = status_before_metrics, .ctx = &n->view};
    TRY(http_server_start(&http, &n->http, err));
    log_info("regiond", "HTTP server is bound to %s", http.addr);
    return ST_OK;
}

static int start(struct node *n, struct error *err)
{
    const struct config *c = n->config;
    if (strcmp(config_text(c, OPT_STORAGE_TYPE), "File") != 0)
        return error_set(err, ST_UNSUPPORTED, "storage.type = \"%s\" is not supported yet, only \"File\"", config_text(c, OPT_STORAGE_TYPE));
    if (strcmp(config_text(c, OPT_WAL_PROVIDER), "raft_engine") != 0)
        return error_set(err, ST_UNSUPPORTED, "wal.provider = \"%s\" is not supported yet, only the local log", config_text(c, OPT_WAL_PROVIDER));
    if (strcasecmp(config_text(c, OPT_GRPC_TLS_MODE), "disable") != 0)
        log_warn("regiond",
                 "grpc.tls.mode = \"%s\" has no effect: the gRPC port is plaintext, as that of a GreptimeDB datanode, whose clients know no other",
                 config_text(c, OPT_GRPC_TLS_MODE));
    if (in_cluster(n) && !config_is_set(c, OPT_NODE_ID))
        return error_set(err, ST_INVALID_ARGUMENTS, "Missing config, msg: Missing node id option");
    budget_init(&n->root, "node", "memory_limit", config_limit_bytes(c, OPT_MEMORY_LIMIT), NULL);
    budget_watch(&n->root, heap_set_tight);
    budget_init(&n->query, "queries", "query.memory_pool_size or memory_limit", config_limit_bytes(c, OPT_QUERY_MEMORY), &n->root);
    budget_init(&n->requests, "requests in flight", "memory_limit", SIZE_MAX, &n->root);
    n->home = strdup(config_text(c, OPT_STORAGE_DATA_HOME));
    if (!n->home)
        return error_no_memory(err, 64);
    TRY(lock_home(n, err));
    TRY(open_disks(n, err));
    TRY((in_cluster(n) ? object_store_open_shared_folder : object_store_open_folder)(disk_fs(n->disk), n->home, &n->store, err));
    TRY(open_wal(n, err));
    TRY(start_regions(n, err));
    if (in_cluster(n))
        TRY(join_cluster(n, err));
    else if (!config_bool(c, OPT_INIT_IN_BACKGROUND))
        log_info("regiond", "regions open while others are served");
    return start_services(n, err);
}

int node_start(struct config *config, const _Atomic bool *stop, struct node **ret_node, struct error *err)
{
    struct node *n = calloc(1, sizeof *n);
    if (!n)
        return error_no_memory(err, sizeof *n);
    n->config = config;
    n->stop = stop;
    int st = start(n, err);
    if (st == ST_OK)
        *ret_node = n;
    else
        node_stop(n);
    return st;
}

static int flush_region(void *ctx, const struct region_info *info, struct error *err)
{
    struct error why;
    (void)err;
    if (info->has_stat && info->stat.role != ROLE_FOLLOWER && region_server_flush(ctx, info->region_id, &why) != ST_OK)
        log_warn("regiond", "region %llu was not flushed before the stop: %s; the log has its rows", (unsigned long long)info->region_id, why.msg);
    return ST_OK;
}

/* flush_on_shutdown: the next start has nothing to replay. */
static void flush_all(struct node *n)
{
    (void)region_server_each(n->regions, flush_region, n->regions, NULL);
}

void node_stop(struct node *n)
{
    if (!n)
        return;
    if (n->rpc) {
        rpc_server_stop(n->rpc, STOP_GRACE_MS);
        log_info("regiond", "Service GRPC_SERVER is shutdown!");
    }
    if (n->http) {
        http_server_stop(n->http);
        log_info("regiond", "Service HTTP_SERVER is shutdown!");
    }
    cluster_free(n->cluster);
    if (n->regions && config_bool(n->config, OPT_FLUSH_ON_SHUTDOWN))
        flush_all(n);
    region_server_free(n->regions);
    spill_space_free(n->spill);
    peer_log_close(n->peer_log);
    wal_close(n->wal);
    if (n->store)
        n->store->ops->free(n->store);
    disk_free(n->wal_disk);
    disk_free(n->disk);
    if (n->lock)
        n->lock->ops->close(n->lock);
    free(n->home);
    free(n);
}
