#include "main/status.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/metrics.h"
#include "base/version.h"
#include "os/heap.h"
#include "os/thread.h"

static struct metric_family app_version = {.name = "greptime_app_version", .help = "app version", .kind = METRIC_GAUGE,
                                           .label_names = {"version", "short_version", "app"}};
static struct metric_family cpu_limit = {.name = "greptime_cpu_limit_in_millicores", .help = "cpu limit in millicores", .kind = METRIC_GAUGE,
                                         .label_names = {"app"}};
static struct metric_family memory_limit = {.name = "greptime_memory_limit_in_bytes", .help = "memory limit in bytes", .kind = METRIC_GAUGE,
                                            .label_names = {"app"}};
static struct metric_family memory_accounted = {.name = "regiond_memory_accounted_bytes", .help = "bytes charged to memory_limit",
                                                .kind = METRIC_GAUGE};
static struct metric_family heap_allocated = {.name = "sys_jemalloc_allocated", .help = "bytes that the allocator has handed out",
                                              .kind = METRIC_GAUGE};
static struct metric_family heap_resident = {.name = "sys_jemalloc_resident", .help = "bytes that the allocator keeps resident",
                                             .kind = METRIC_GAUGE};
static struct metric_family write_buffer = {.name = "greptime_mito_write_buffer_bytes", .help = "bytes of memtables", .kind = METRIC_GAUGE};
static struct metric_family wal_bytes = {.name = "regiond_wal_bytes", .help = "bytes of the write-ahead log on disk", .kind = METRIC_GAUGE};
static struct metric_family wal_unsynced = {.name = "regiond_wal_unsynced_bytes", .help = "bytes that a power cut would lose now",
                                            .kind = METRIC_GAUGE};
static struct metric_family degraded = {.name = "regiond_degraded", .help = "1 while the named part of the node is degraded", .kind = METRIC_GAUGE,
                                        .label_names = {"what"}};

static struct metric_family disk_free_bytes = {.name = "regiond_disk_free_bytes", .help = "bytes free on the disk of the data home",
                                               .kind = METRIC_GAUGE};

enum {
    DISK_FULL,
    WAL_DISK_FULL,
    NO_RESERVE,
    TORN_TAIL,
    WAL_DAMAGED,
    WAL_FAILED,
    WAL_UNSETTLED,
    PEER_LOG_DAMAGED,
    REGIONS_FAILED,
    REGIONS_FOUND,
    REGIONS_OVERTAKEN,
    MANIFESTS_IN_DOUBT,
    FLUSHES_FAILED,
    METASRV_LOST,
    NO_LEASE,
    DEGRADED_COUNT
};
static const char *const degraded_names[] = {"disk_full",      "wal_disk_full",     "no_disk_reserve",   "wal_torn_tail",
                                             "wal_damaged",    "wal_failed",        "wal_unsettled",     "greptimedb_log_damaged",
                                             "regions_failed", "regions_read_only", "regions_overtaken", "manifests_in_doubt",
                                             "flushes_failed", "metasrv_lost",      "no_lease"};

/* ---- collecting ---- */

struct tally { json_t *regions, *messages; int64_t count, failed, opening, found, overtaken, in_doubt, unflushed, rows, memtable_bytes; };

static int add_region(void *ctx, const struct region_info *r, struct error *err)
{
    static const char *const roles[] = {"leader", "follower", "downgrading leader", "staging leader"};
    struct tally *t = ctx;
    json_t *o = json_pack("{s:I, s:I, s:I, s:s, s:s}", "id", (json_int_t)r->region_id, "table", (json_int_t)(r->region_id >> 32), "number",
                          (json_int_t)(uint32_t)r->region_id, "engine", r->engine ? r->engine : "", "state", r->state);
    if (!o)
        return error_no_memory(err, 256);
    t->count++;
    t->failed += r->error != NULL;
    t->found += r->found;
    t->opening += strcmp(r->state, "opening") == 0;
    json_object_set_new(o, "path", json_string(r->path ? r->path : ""));
    if (r->error)
        json_object_set_new(o, "error", json_string(r->error));
    if (r->found)
        json_object_set_new(o, "found", json_true());
    if (r->has_stat) {
        t->rows += (int64_t)r->stat.num_rows;
        t->memtable_bytes += (int64_t)r->stat.memtable_bytes;
        t->overtaken += r->stat.overtaken;
        t->in_doubt += r->stat.manifest_in_doubt;
        t->unflushed += r->stat.flush_failed;
        json_object_set_new(o, "role", json_string(roles[r->stat.role]));
        json_object_set_new(o, "rows", json_integer((json_int_t)r->stat.num_rows));
        json_object_set_new(o, "memtable_bytes", json_integer((json_int_t)r->stat.memtable_bytes));
        json_object_set_new(o, "sst_num", json_integer((json_int_t)r->stat.sst_num));
        json_object_set_new(o, "sst_bytes", json_integer((json_int_t)r->stat.sst_bytes));
        json_object_set_new(o, "manifest_version", json_integer((json_int_t)r->stat.manifest_version));
        json_object_set_new(o, "flushed_entry_id", json_integer((json_int_t)r->stat.flushed_entry_id));
        json_object_set_new(o, "last_entry_id", json_integer((json_int_t)r->stat.last_entry_id));
    }
    json_array_append_new(t->regions, o);
    return ST_OK;
}

static const char *durability_name(enum wal_durability d)
{
    static const char *const names[] = {"fsync", "interval", "os"};
    return names[d];
}

static void describe_loss(const struct wal_stats *w, char *out, size_t room)
{
    if (w->durability == WAL_FSYNC)
        snprintf(out, room, "nothing: a write is acknowledged after it is on disk");
    else if (w->durability == WAL_INTERVAL)
        snprintf(out, room, "a power cut can lose the last %lld ms of acknowledged writes; kill -9 loses nothing", (long long)w->sync_interval_ms);
    else
        snprintf(out, room, "a power cut can lose whatever the kernel has not written back; kill -9 loses nothing");
}

static void degrade(json_t *list, int what, bool on, const char *text)
{
    const char *labels[] = {degraded_names[what]};
    metric_set(metric_child(&degraded, labels), on);
    if (on)
        json_array_append_new(list, json_sprintf("%s: %s", degraded_names[what], text));
}

static void degraded_cluster(const struct node_view *v, json_t *list)
{
    char text[500];
    struct cluster_state s;
    cluster_state(v->cluster, &s);
    snprintf(text, sizeof text,
             "no heartbeat stream to metasrv (last known leader %.100s): %s; regions stay writable until their leases run out, check metasrv and the "
             "network",
             s.leader, s.last_error);
    degrade(list, METASRV_LOST, !s.connected, text);
    bool out = s.since_lease_ms < 0 || s.since_lease_ms > s.lease_seconds * 1000;
    snprintf(text, sizeof text, "metasrv has not renewed the leases for %lld ms (a lease lasts %lld s): writes are refused until it does",
             (long long)s.since_lease_ms, (long long)s.lease_seconds);
    degrade(list, NO_LEASE, out, text);
}

static json_t *cluster_json(struct cluster *c)
{
    struct cluster_state s;
    cluster_state(c, &s);
    json_t *o = json_pack("{s:b, s:s, s:I, s:I, s:I, s:I}", "connected", s.connected, "leader", s.leader, "connected_ms", (json_int_t)s.connected_ms,
                          "since_lease_ms", (json_int_t)s.since_lease_ms, "lease_seconds", (json_int_t)s.lease_seconds, "heartbeat_interval_ms",
                          (json_int_t)s.interval_ms);
    json_object_set_new(o, "granted_leaders", json_integer(s.leaders));
    json_object_set_new(o, "granted_followers", json_integer(s.followers));
    json_object_set_new(o, "leases_expired", json_integer((json_int_t)s.expired));
    json_object_set_new(o, "reconnects", json_integer((json_int_t)s.reconnects));
    json_object_set_new(o, "heartbeats_late", json_integer((json_int_t)s.late));
    json_object_set_new(o, "reported_regions", json_integer((json_int_t)s.reported_regions));
    json_object_set_new(o, "heartbeat_bytes", json_integer((json_int_t)s.heartbeat_bytes));
    json_object_set_new(o, "heartbeat_cpu_us", json_integer((json_int_t)s.heartbeat_cpu_us));
    json_object_set_new(o, "pending_instructions", json_integer(s.pending_instructions));
    json_object_set_new(o, "pending_replies", json_integer(s.pending_replies));
    if (*s.last_error)
        json_object_set_new(o, "last_error", json_string(s.last_error));
    return o;
}

static void degraded_disk(struct disk *d, int which, json_t *list)
{
    char text[900];
    struct disk_state s;
    struct error full = {.msg = ""};
    disk_get_state(d, &s);
    (void)disk_check(d, &full);
    snprintf(text, sizeof text, "%s (%s; %llu of %llu bytes are free)", full.msg, s.cause, (unsigned long long)s.free_bytes,
             (unsigned long long)s.total_bytes);
    degrade(list, which, s.full, text);
    snprintf(text, sizeof text, "the reserve for flushes on the disk of %s is not whole: %s; it is tried again every second", disk_dir(d), s.cause);
    if (which == DISK_FULL)
        degrade(list, NO_RESERVE, !s.full && s.held_bytes < s.reserve_bytes, text);
}

static json_t *disk_json(struct disk *d)
{
    struct disk_state s;
    disk_get_state(d, &s);
    return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I}", "dir", disk_dir(d), "full", s.full, "free_bytes", (json_int_t)s.free_bytes, "total_bytes",
                     (json_int_t)s.total_bytes, "reserve_bytes", (json_int_t)s.reserve_bytes, "reserve_held_bytes", (json_int_t)s.held_bytes,
                     "times_full", (json_int_t)s.times_full);
}

static json_t *degraded_list(const struct node_view *v, const struct wal_stats *w, const struct tally *t)
{
    char text[400];
    json_t *list = json_array();
    degraded_disk(v->disk, DISK_FULL, list);
    if (v->wal_disk)
        degraded_disk(v->wal_disk, WAL_DISK_FULL, list);
    snprintf(text, sizeof text,
             "%llu bytes behind the last whole record of the log were cut at the last start (writes that were never acknowledged, or not yet synced)",
             (unsigned long long)v->wal_report->torn_bytes);
    degrade(list, TORN_TAIL, v->wal_report->torn_bytes > 0, text);
    snprintf(text, sizeof text, "%llu damaged records in the log: %s; `regionctl inspect wal` shows them",
             (unsigned long long)v->wal_report->skipped_records, v->wal_report->detail);
    degrade(list, WAL_DAMAGED, v->wal_report->skipped_records > 0, text);
    snprintf(text, sizeof text, "%s; writes are refused until the disk is mended and the node restarted", w->failure);
    degrade(list, WAL_FAILED, w->failed, text);
    snprintf(text, sizeof text, "%s; writes are refused until there is room or all regions are flushed, which is tried all the time", w->failure);
    degrade(list, WAL_UNSETTLED, w->unsettled && !w->failed, text);
    snprintf(text, sizeof text, "%lld of %lld regions did not open; their `error` says why", (long long)t->failed, (long long)t->count);
    degrade(list, REGIONS_FAILED, t->failed > 0, text);
    degrade(list, PEER_LOG_DAMAGED, v->peer_report->damages > 0, v->peer_report->detail);
    snprintf(text, sizeof text, "%lld regions were found in the data folder and are open for reading only; `regionctl open` tells their options",
             (long long)t->found);
    degrade(list, REGIONS_FOUND, t->found > 0, text);
    snprintf(text, sizeof text,
             "another node has written to %lld regions that were led from here; they follow until metasrv has them catch up: do two nodes have one "
             "id?",
             (long long)t->overtaken);
    degrade(list, REGIONS_OVERTAKEN, t->overtaken > 0, text);
    snprintf(text, sizeof text,
             "whether the last change of the manifests of %lld regions took effect is not known; the next write to each finds out, check the disk",
             (long long)t->in_doubt);
    degrade(list, MANIFESTS_IN_DOUBT, t->in_doubt > 0, text);
    snprintf(text, sizeof text,
             "the last flush of %lld regions failed: their rows stay in memory and in the log, which grows; the server's log says why, it is tried "
             "again",
             (long long)t->unflushed);
    degrade(list, FLUSHES_FAILED, t->unflushed > 0, text);
    if (v->cluster)
        degraded_cluster(v, list);
    return list;
}

/* ---- caches: their metrics, read back, so that a cache has one way to tell about itself ---- */

static const struct metric_family *find_family(const char *name)
{
    const struct metric_family *f = metric_families();
    while (f && strcmp(f->name, name) != 0)
        f = f->next;
    return f;
}

static int64_t value_of(const struct metric_family *f, const char *label)
{
    const struct metric *m = f ? atomic_load(&f->children) : NULL;
    while (m && strcmp(m->labels[0], label) != 0)
        m = m->next;
    return m ? atomic_load(&m->value) : 0;
}

static json_t *caches(void)
{
    const struct metric_family *bytes = find_family("greptime_mito_cache_bytes"), *hits = find_family("greptime_mito_cache_hit"),
                               *misses = find_family("greptime_mito_cache_miss");
    json_t *list = json_object();
    for (const struct metric *m = bytes ? atomic_load(&bytes->children) : NULL; m; m = m->next) {
        int64_t hit = value_of(hits, m->labels[0]), miss = value_of(misses, m->labels[0]);
        json_object_set_new(list, m->labels[0],
                            json_pack("{s:I, s:I, s:I, s:f}", "bytes", (json_int_t)atomic_load(&m->value), "hits", (json_int_t)hit, "misses",
                                      (json_int_t)miss, "hit_rate", hit + miss ? (double)hit / (double)(hit + miss) : 0.0));
    }
    return list;
}

static json_int_t plain_value(const char *name)
{
    const struct metric_family *f = find_family(name);
    const struct metric *m = f ? atomic_load(&f->children) : NULL;
    return m ? (json_int_t)atomic_load(&m->value) : 0;
}

static json_t *compaction(void)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "running", plain_value("greptime_mito_inflight_compaction_count"), "debt_bytes",
                     plain_value("regiond_mito_compaction_debt_bytes"), "started", plain_value("greptime_mito_compaction_requests_total"), "failed",
                     plain_value("greptime_mito_compaction_failure_total"));
}

static json_t *queries(void)
{
    return json_pack("{s:I, s:I, s:I}", "workers", plain_value("regiond_query_workers"), "workers_busy", plain_value("regiond_query_workers_busy"),
                     "tasks_queued", plain_value("regiond_query_tasks_queued"));
}

/* ---- the answers ---- */

int status_json(void *view, struct dynbuf *out, struct error *err)
{
    const struct node_view *v = view;
    struct wal_stats w;
    struct tally t = {.regions = json_array()};
    char host[256] = "", loss[200];
    gethostname(host, sizeof host - 1);
    wal_stats(v->wal, &w);
    describe_loss(&w, loss, sizeof loss);
    int st = region_server_each(v->regions, add_region, &t, err);
    json_t *o = st == ST_OK ? json_pack("{s:s, s:s, s:s, s:s, s:s}", "commit", "", "branch", "", "rustc_version", "", "hostname", host, "version",
                                        PEER_VERSION)
                            : NULL;
    if (!o) {
        json_decref(t.regions);
        return st == ST_OK ? error_no_memory(err, 1024) : st;
    }
    json_object_set_new(o, "server", json_string("regiond " REGIOND_VERSION));
    json_object_set_new(o, "uptime_ms", json_integer(clock_wall_ms() - v->start_ms));
    json_object_set_new(o, "degraded", degraded_list(v, &w, &t));
    json_object_set_new(o, "memory",
                        json_pack("{s:I, s:I, s:I}", "limit_bytes", (json_int_t)v->root_budget->limit, "accounted_bytes",
                                  (json_int_t)budget_used(v->root_budget), "peak_bytes", (json_int_t)atomic_load(&v->root_budget->peak)));
    json_object_set_new(o, "disk", disk_json(v->disk));
    if (v->wal_disk)
        json_object_set_new(o, "wal_disk", disk_json(v->wal_disk));
    json_object_set_new(o, "caches", caches());
    json_object_set_new(o, "compaction", compaction());
    json_object_set_new(o, "queries", queries());
    json_object_set_new(o, "wal", json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "durability", durability_name(w.durability), "can_lose", loss, "bytes",
                                            (json_int_t)w.bytes, "segments", (json_int_t)w.segments, "unsynced_bytes", (json_int_t)w.unsynced_bytes,
                                            "syncs", (json_int_t)w.syncs));
    const struct peer_log_report *p = v->peer_report;
    if (v->peer_log)
        json_object_set_new(o, "greptimedb_log",
                            json_pack("{s:I, s:I, s:I, s:I, s:I}", "entries_at_start", (json_int_t)p->entries, "regions_at_start",
                                      (json_int_t)p->regions, "regions_pending", (json_int_t)peer_log_pending_regions(v->peer_log), "torn_bytes",
                                      (json_int_t)p->torn_bytes, "ignored_files", (json_int_t)p->ignored_files));
    if (v->cluster)
        json_object_set_new(o, "metasrv", cluster_json(v->cluster));
    json_object_set_new(o, "rows", json_integer(t.rows));
    json_object_set_new(o, "regions", t.regions);
    char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(o);
    if (!text)
        return error_no_memory(err, 1024);
    st = dynbuf_append(out, text, strlen(text), err);
    free(text);
    return st;
}

int status_config(void *view, struct dynbuf *out, struct error *err)
{
    const struct node_view *v = view;
    return config_print(v->config, out, err);
}

void status_before_metrics(void *view)
{
    const struct node_view *v = view;
    static const char short_version[] = "regiond-" REGIOND_VERSION;
    const char *version[] = {PEER_VERSION, short_version, "greptime-datanode"}, *app[] = {"greptime-datanode"};
    struct wal_stats w;
    struct disk_state disk;
    struct tally t = {.regions = json_array()};
    size_t allocated, resident;
    metric_set(metric_child(&app_version, version), 1);
    metric_set(metric_child(&cpu_limit, app), (int64_t)cpu_count() * 1000);
    metric_set(metric_child(&memory_limit, app), (int64_t)v->root_budget->limit);
    if (heap_usage(&allocated, &resident)) {
        metric_set(metric_plain(&heap_allocated), (int64_t)allocated);
        metric_set(metric_plain(&heap_resident), (int64_t)resident);
    }
    metric_set(metric_plain(&memory_accounted), (int64_t)budget_used(v->root_budget));
    disk_get_state(v->disk, &disk);
    metric_set(metric_plain(&disk_free_bytes), (int64_t)disk.free_bytes);
    wal_stats(v->wal, &w);
    metric_set(metric_plain(&wal_bytes), (int64_t)w.bytes);
    metric_set(metric_plain(&wal_unsynced), (int64_t)w.unsynced_bytes);
    (void)region_server_each(v->regions, add_region, &t, NULL);
    metric_set(metric_plain(&write_buffer), t.memtable_bytes);
    json_decref(degraded_list(v, &w, &t));
    json_decref(t.regions);
}

static int page_row(struct dynbuf *out, const char *name, const char *value, struct error *err)
{
    return dynbuf_printf(out, err, "<tr><th>%s</th><td>%s</td></tr>\n", name, value);
}

int status_page(void *view, struct dynbuf *out, struct error *err)
{
    const struct node_view *v = view;
    struct wal_stats w;
    struct tally t = {.regions = json_array()};
    char text[300];
    wal_stats(v->wal, &w);
    int st = region_server_each(v->regions, add_region, &t, err);
    json_t *bad = degraded_list(v, &w, &t);
    if (st == ST_OK)
        st = dynbuf_printf(out, err,
                           "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>regiond</title><style>body{font:16px/1.5 system-ui,sans-serif;"
                           "margin:2rem auto;max-width:44rem;padding:0 1rem}th{text-align:left;padding-right:2rem;font-weight:500;vertical-align:top}"
                           ".bad{background:#fee;padding:.5rem 1rem;border-left:4px solid #c00}</style></head><body><h1>regiond %s</h1>\n"
                           "<p>A region server that stands in for a GreptimeDB datanode. Version: %s</p>\n",
                           REGIOND_VERSION, PEER_VERSION);
    for (size_t i = 0; st == ST_OK && i < json_array_size(bad); i++)
        st = dynbuf_printf(out, err, "<p class=\"bad\">%s</p>\n", json_string_value(json_array_get(bad, i)));
    if (st == ST_OK)
        st = dynbuf_printf(out, err, "<table>\n");
    snprintf(text, sizeof text, "%lld (%lld opening, %lld failed), %lld rows", (long long)t.count, (long long)t.opening, (long long)t.failed,
             (long long)t.rows);
    if (st == ST_OK)
        st = page_row(out, "Regions", text, err);
    snprintf(text, sizeof text, "%.1f of %.1f MiB", (double)budget_used(v->root_budget) / 1048576, (double)v->root_budget->limit / 1048576);
    if (st == ST_OK)
        st = page_row(out, "Memory accounted", text, err);
    snprintf(text, sizeof text, "%s, %.1f MiB in %llu segments", durability_name(w.durability), (double)w.bytes / 1048576,
             (unsigned long long)w.segments);
    if (st == ST_OK)
        st = page_row(out, "Write-ahead log", text, err);
    describe_loss(&w, text, sizeof text);
    if (st == ST_OK)
        st = page_row(out, "Can lose", text, err);
    if (st == ST_OK)
        st = dynbuf_printf(out, err,
                           "</table>\n<p><a href=\"/status\">status</a> · <a href=\"/metrics\">metrics</a> · <a href=\"/config\">config</a> · "
                           "<a href=\"/health\">health</a></p></body></html>\n");
    json_decref(bad);
    json_decref(t.regions);
    return st;
}
