/* The engine object: its vtable, its maps of regions, and the thread that flushes metadata regions so that the log does not wait for them. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/metric/request.h"

static struct metric_family physical_count = {
    .name = "greptime_metric_engine_physical_region_count", .help = "physical region count", .kind = METRIC_GAUGE};
static struct metric_family logical_count = {
    .name = "greptime_metric_engine_logical_region_count", .help = "logical region count", .kind = METRIC_GAUGE};

static struct metric_engine *metric(struct engine *e)
{
    return (struct metric_engine *)e;
}

/* ---- maps ---- */

static int not_found(uint64_t id, const char *what, struct error *err)
{
    return error_set(err, ST_REGION_NOT_FOUND, "%s region not found, region id: %llu(%u, %u)", what, (unsigned long long)id, (uint32_t)(id >> 32),
                     (uint32_t)id);
}

void metric_physical_unref(struct metric_physical *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&p->ddl_lock);
    free(p);
}

int metric_physical_get(struct metric_engine *e, uint64_t id, struct metric_physical **ret_physical, struct error *err)
{
    pthread_rwlock_rdlock(&e->lock);
    struct metric_physical *p = u64_map_get(&e->physicals, id);
    if (p)
        atomic_fetch_add(&p->refs, 1);
    pthread_rwlock_unlock(&e->lock);
    if (!p)
        return not_found(id, "Physical", err);
    *ret_physical = p;
    return ST_OK;
}

int metric_physical_put(struct metric_engine *e, struct metric_physical *p, bool *ret_added, struct error *err)
{
    pthread_rwlock_wrlock(&e->lock);
    bool added = !u64_map_get(&e->physicals, p->id);
    int st = added ? u64_map_put(&e->physicals, p->id, p, err) : ST_OK;
    if (added && st == ST_OK)
        atomic_fetch_add(&p->refs, 1);
    metric_set(metric_plain(&physical_count), (int64_t)e->physicals.count);
    pthread_rwlock_unlock(&e->lock);
    *ret_added = added;
    return st;
}

void metric_physical_remove(struct metric_engine *e, struct metric_physical *p)
{
    pthread_rwlock_wrlock(&e->lock);
    bool was = u64_map_get(&e->physicals, p->id) == p;
    if (was)
        u64_map_remove(&e->physicals, p->id);
    metric_set(metric_plain(&physical_count), (int64_t)e->physicals.count);
    pthread_rwlock_unlock(&e->lock);
    if (was)
        metric_physical_unref(p);
}

bool metric_is_physical(struct metric_engine *e, uint64_t id)
{
    pthread_rwlock_rdlock(&e->lock);
    bool is = u64_map_get(&e->physicals, id) != NULL;
    pthread_rwlock_unlock(&e->lock);
    return is;
}

int metric_logical_get(struct metric_engine *e, uint64_t id, struct metric_physical **ret_physical, uint32_t **ret_ids, uint32_t *ret_n,
                       struct error *err)
{
    uint32_t *ids = NULL;
    int st = ST_OK;
    pthread_rwlock_rdlock(&e->lock);
    const struct metric_logical *l = u64_map_get(&e->logicals, id);
    if (!l) {
        st = not_found(id, "Logical", err);
    } else if (ret_ids && !(ids = malloc((l->n_columns + 1) * sizeof *ids))) {
        st = error_no_memory(err, l->n_columns * sizeof *ids);
    } else {
        atomic_fetch_add(&l->physical->refs, 1);
        *ret_physical = l->physical;
        if (ret_ids) {
            memcpy(ids, l->column_ids, l->n_columns * sizeof *ids);
            *ret_ids = ids;
            *ret_n = l->n_columns;
        }
    }
    pthread_rwlock_unlock(&e->lock);
    return st;
}

int metric_logical_put(struct metric_engine *e, uint64_t id, struct metric_physical *p, const uint32_t *ids, uint32_t n, struct error *err)
{
    struct metric_logical *l = malloc(sizeof *l + n * sizeof *ids);
    if (!l)
        return error_no_memory(err, sizeof *l + n * sizeof *ids);
    l->physical = p;
    l->n_columns = n;
    memcpy(l->column_ids, ids, n * sizeof *ids);
    pthread_rwlock_wrlock(&e->lock);
    struct metric_logical *old = u64_map_get(&e->logicals, id);
    int st = u64_map_put(&e->logicals, id, l, err);
    if (st == ST_OK && !old) {
        p->n_logicals++;
        metric_add(metric_plain(&logical_count), 1);
    }
    pthread_rwlock_unlock(&e->lock);
    free(st == ST_OK ? old : l);
    return st;
}

void metric_logical_remove(struct metric_engine *e, uint64_t id)
{
    pthread_rwlock_wrlock(&e->lock);
    struct metric_logical *l = u64_map_remove(&e->logicals, id);
    if (l) {
        l->physical->n_logicals--;
        metric_add(metric_plain(&logical_count), -1);
    }
    pthread_rwlock_unlock(&e->lock);
    free(l);
}

int metric_ddl_begin(struct metric_physical *p, struct error *err)
{
    pthread_mutex_lock(&p->ddl_lock);
    if (!p->closed)
        return ST_OK;
    pthread_mutex_unlock(&p->ddl_lock);
    return not_found(p->id, "Physical", err);
}

void metric_ddl_end(struct metric_physical *p)
{
    pthread_mutex_unlock(&p->ddl_lock);
}

/* ---- vtable ---- */

static int engine_create(struct engine *e, struct message create, struct region_response *ret, struct error *err)
{
    return metric_create_many(metric(e), &create, 1, ret, err);
}

static int engine_create_many(struct engine *e, const struct message *creates, size_t n, struct region_response *ret, struct error *err)
{
    return metric_create_many(metric(e), creates, n, ret, err);
}

static int engine_open(struct engine *e, const struct region_open_request *open, struct error *err)
{
    return metric_open(metric(e), open, err);
}

static int engine_close(struct engine *e, uint64_t id, struct error *err)
{
    return metric_close(metric(e), id, err);
}

static int engine_drop(struct engine *e, const struct region_drop_request *drop, struct error *err)
{
    return metric_drop(metric(e), drop, err);
}

static int engine_alter(struct engine *e, uint64_t id, struct message alter, struct region_response *ret, struct error *err)
{
    (void)id;
    return metric_alter_many(metric(e), &alter, 1, ret, err);
}

static int engine_alter_many(struct engine *e, const struct message *alters, size_t n, struct region_response *ret, struct error *err)
{
    return metric_alter_many(metric(e), alters, n, ret, err);
}

static int engine_write(struct engine *e, uint64_t id, bool is_delete, struct message write, uint64_t *ret_rows, struct error *err)
{
    (void)id;
    return metric_write_many(metric(e), is_delete, &write, 1, ret_rows, err);
}

static int engine_write_many(struct engine *e, const struct message *inserts, size_t n, uint64_t *ret_rows, struct error *err)
{
    return metric_write_many(metric(e), false, inserts, n, ret_rows, err);
}

static int engine_members(struct engine *e, uint64_t id, uint64_t **ret_ids, size_t *ret_n, struct error *err)
{
    return metric_members(metric(e), id, ret_ids, ret_n, err);
}

static int engine_bulk_insert(struct engine *e, uint64_t id, struct message bulk, uint64_t *ret_rows, struct error *err)
{
    return metric_bulk_insert(metric(e), id, bulk, ret_rows, err);
}

/* For requests that only physical regions take: ST_UNSUPPORTED for all others, as the peer answers. */
static int need_physical(struct engine *e, uint64_t id, const char *request, struct error *err)
{
    return metric_is_physical(metric(e), id) ? ST_OK
                                             : error_set(err, ST_UNSUPPORTED, "%s is not supported by logical region %llu(%u, %u)", request,
                                                         (unsigned long long)id, (uint32_t)(id >> 32), (uint32_t)id);
}

static int engine_flush(struct engine *e, uint64_t id, struct error *err)
{
    struct engine *m = metric_mito(metric(e));
    TRY(need_physical(e, id, "flush", err));
    TRY(m->ops->flush(m, metric_metadata_id(id), err));
    return m->ops->flush(m, id, err);
}

static int engine_compact(struct engine *e, uint64_t id, struct message compact, struct error *err)
{
    struct engine *m = metric_mito(metric(e));
    TRY(need_physical(e, id, "compaction", err));
    return m->ops->compact(m, id, compact, err);
}

static int engine_build_index(struct engine *e, uint64_t id, struct error *err)
{
    struct engine *m = metric_mito(metric(e));
    TRY(need_physical(e, id, "building indexes", err));
    return m->ops->build_index(m, id, err);
}

static int engine_truncate(struct engine *e, uint64_t id, struct message truncate, struct error *err)
{
    (void)e;
    (void)truncate;
    return error_set(err, ST_UNSUPPORTED, "truncate is not supported by regions of the metric engine, region id: %llu", (unsigned long long)id);
}

static int engine_metadata(struct engine *e, uint64_t id, struct region_metadata **ret_meta, struct error *err)
{
    return metric_metadata(metric(e), id, ret_meta, err);
}

static int engine_table(struct engine *e, uint64_t id, struct table **ret_table, struct error *err)
{
    return metric_table(metric(e), id, ret_table, err);
}

static uint64_t engine_owner(struct engine *e, uint64_t id)
{
    return metric_owner(metric(e), id);
}

static int engine_set_role(struct engine *e, uint64_t id, enum region_role role, struct error *err)
{
    return metric_set_role(metric(e), id, role, err);
}

static int engine_set_role_gracefully(struct engine *e, uint64_t id, enum region_role role, struct region_last_entries *ret_entries,
                                      struct error *err)
{
    return metric_set_role_gracefully(metric(e), id, role, ret_entries, err);
}

static int engine_catchup(struct engine *e, const struct region_catchup_request *request, struct error *err)
{
    return metric_catchup(metric(e), request, err);
}

static int engine_sync(struct engine *e, const struct region_sync_request *request, struct error *err)
{
    return metric_sync(metric(e), request, err);
}

static int engine_enter_staging(struct engine *e, uint64_t id, const char *partition_expr, struct error *err)
{
    return metric_enter_staging(metric(e), id, partition_expr, err);
}

static int engine_remap(struct engine *e, const struct region_remap_request *request, struct error *err)
{
    return metric_remap(metric(e), request, err);
}

static int engine_apply_staging(struct engine *e, const struct region_apply_request *request, struct error *err)
{
    return metric_apply_staging(metric(e), request, err);
}

static int engine_file_refs(struct engine *e, uint64_t id, uint64_t source_id, uint64_t *ret_manifest_version, struct region_file_sink *sink,
                            struct error *err)
{
    return metric_file_refs(metric(e), id, source_id, ret_manifest_version, sink, err);
}

static int engine_gc(struct engine *e, const struct region_gc_request *request, struct region_file_sink *deleted, struct error *err)
{
    return metric_gc(metric(e), request, deleted, err);
}

/* The sums of both regions; state and numbers of the log are those of the data region. */
static int engine_stat(struct engine *e, uint64_t id, struct region_stat *ret_stat, struct error *err)
{
    struct engine *m = metric_mito(metric(e));
    struct region_stat data, meta;
    TRY(need_physical(e, id, "a statistic", err));
    TRY(m->ops->stat(m, id, &data, err));
    TRY(m->ops->stat(m, metric_metadata_id(id), &meta, err));
    data.num_rows += meta.num_rows;
    data.memtable_bytes += meta.memtable_bytes;
    data.wal_bytes += meta.wal_bytes;
    data.manifest_bytes += meta.manifest_bytes;
    data.sst_bytes += meta.sst_bytes;
    data.sst_num += meta.sst_num;
    data.index_bytes += meta.index_bytes;
    data.written_bytes += meta.written_bytes;
    data.overtaken |= meta.overtaken;
    data.manifest_in_doubt |= meta.manifest_in_doubt;
    data.flush_failed |= meta.flush_failed;
    data.has_metadata_part = true;
    data.metadata_manifest_version = meta.manifest_version;
    data.metadata_flushed_entry_id = meta.flushed_entry_id;
    data.metadata_last_entry_id = meta.last_entry_id;
    *ret_stat = data;
    return ST_OK;
}

static void engine_stat_ahead(struct engine *e, const uint64_t *ids, size_t n)
{
    enum { AT_ONCE = 32 };
    uint64_t both[2 * AT_ONCE];
    struct engine *m = metric_mito(metric(e));
    for (size_t at = 0, some; at < n; at += some) {
        some = n - at < AT_ONCE ? n - at : AT_ONCE;
        for (size_t i = 0; i < some; i++) {
            both[2 * i] = ids[at + i];
            both[2 * i + 1] = metric_metadata_id(ids[at + i]);
        }
        m->ops->stat_ahead(m, both, 2 * some);
    }
}

/* Those of the data region and the engine's own, which the data region is not told. */
static int engine_options(struct engine *e, uint64_t id, struct kv **ret_options, uint32_t *ret_n, struct error *err)
{
    struct engine *m = metric_mito(metric(e));
    struct metric_physical *p;
    struct kv *options;
    uint32_t n;
    TRY(need_physical(e, id, "an option", err));
    TRY(metric_physical_get(metric(e), id, &p, err));
    struct metric_index index = p->index;
    metric_physical_unref(p);
    TRY(m->ops->options(m, id, &options, &n, err));
    int st = metric_index_options(&index, &options, &n, err);
    if (st != ST_OK) {
        kv_list_free(options, n);
        return st;
    }
    *ret_options = options;
    *ret_n = n;
    return ST_OK;
}

/* ---- the flusher ---- */

/* Ids of all physical regions; NULL when memory is out. */
static uint64_t *physical_ids(struct metric_engine *e, size_t *ret_n)
{
    size_t pos = 0, n = 0;
    void *value;
    pthread_rwlock_rdlock(&e->lock);
    uint64_t *ids = malloc((e->physicals.count + 1) * sizeof *ids);
    while (ids && u64_map_next(&e->physicals, &pos, &ids[n], &value))
        n++;
    pthread_rwlock_unlock(&e->lock);
    *ret_n = n;
    return ids;
}

static void flush_metadata_regions(struct metric_engine *e)
{
    size_t n;
    struct engine *m = metric_mito(e);
    uint64_t *ids = physical_ids(e, &n);
    for (size_t i = 0; ids && i < n; i++) {
        struct region_stat stat;
        struct error err;
        if (m->ops->stat(m, ids[i], &stat, NULL) != ST_OK || stat.role != ROLE_LEADER)
            continue;
        int st = m->ops->flush(m, metric_metadata_id(ids[i]), &err);
        if (st != ST_OK && st != ST_REGION_NOT_FOUND && st != ST_REGION_NOT_READY)
            log_warn("metric", "flush of metadata region %llu failed: %s; it is tried again", (unsigned long long)metric_metadata_id(ids[i]),
                     err.msg);
    }
    free(ids);
}

static void *flusher(void *arg)
{
    struct metric_engine *e = arg;
    pthread_mutex_lock(&e->flusher_lock);
    while (!e->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += e->options.flush_interval_ms / 1000;
        until.tv_nsec += e->options.flush_interval_ms % 1000 * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_cond_timedwait(&e->flusher_wake, &e->flusher_lock, &until) == 0)
            continue;
        pthread_mutex_unlock(&e->flusher_lock);
        flush_metadata_regions(e);
        pthread_mutex_lock(&e->flusher_lock);
    }
    pthread_mutex_unlock(&e->flusher_lock);
    return NULL;
}

/* ---- life cycle ---- */

static void free_maps(struct metric_engine *e)
{
    size_t pos = 0;
    uint64_t id;
    void *value;
    while (u64_map_next(&e->logicals, &pos, &id, &value))
        free(value);
    pos = 0;
    while (u64_map_next(&e->physicals, &pos, &id, &value))
        metric_physical_unref(value);
    u64_map_release(&e->logicals);
    u64_map_release(&e->physicals);
}

static void engine_free(struct engine *base)
{
    struct metric_engine *e = metric(base);
    pthread_mutex_lock(&e->flusher_lock);
    e->stopping = true;
    pthread_cond_signal(&e->flusher_wake);
    pthread_mutex_unlock(&e->flusher_lock);
    if (e->mito->options.wal)
        pthread_join(e->flusher, NULL);
    free_maps(e); /* the mito engine closes the regions */
    pthread_rwlock_destroy(&e->lock);
    pthread_mutex_destroy(&e->flusher_lock);
    pthread_cond_destroy(&e->flusher_wake);
    free(e);
}

static const struct engine_ops ops = {
    .name = "metric",
    .create = engine_create,
    .open = engine_open,
    .close = engine_close,
    .drop = engine_drop,
    .alter = engine_alter,
    .write = engine_write,
    .create_many = engine_create_many,
    .alter_many = engine_alter_many,
    .write_many = engine_write_many,
    .members = engine_members,
    .bulk_insert = engine_bulk_insert,
    .flush = engine_flush,
    .compact = engine_compact, .build_index = engine_build_index,
    .truncate = engine_truncate,
    .metadata = engine_metadata,
    .table = engine_table,
    .owner = engine_owner, .set_role = engine_set_role,
    .stat = engine_stat, .stat_ahead = engine_stat_ahead,
    .options = engine_options,
    .set_role_gracefully = engine_set_role_gracefully, .catchup = engine_catchup, .sync = engine_sync, .enter_staging = engine_enter_staging,
    .remap = engine_remap, .apply_staging = engine_apply_staging, .file_refs = engine_file_refs, .gc = engine_gc, .free = engine_free,
};

int metric_engine_new(const struct metric_options *options, struct engine **ret_engine, struct error *err)
{
    enum { DEFAULT_FLUSH_INTERVAL_MS = 30000 };
    struct metric_engine *e = calloc(1, sizeof *e);
    if (!e)
        return error_no_memory(err, sizeof *e);
    e->base.ops = &ops;
    e->mito = (struct mito_engine *)options->mito;
    e->options = *options;
    if (e->options.flush_interval_ms <= 0)
        e->options.flush_interval_ms = DEFAULT_FLUSH_INTERVAL_MS;
    pthread_rwlock_init(&e->lock, NULL);
    pthread_mutex_init(&e->flusher_lock, NULL);
    pthread_cond_init(&e->flusher_wake, NULL);
    u64_map_init(&e->physicals);
    u64_map_init(&e->logicals);
    int st = e->mito->options.wal ? thread_start(&e->flusher, "metric-flusher", flusher, e, err) : ST_OK; /* readers flush nothing */
    if (st != ST_OK) {
        free(e);
        return st;
    }
    *ret_engine = &e->base;
    return ST_OK;
}
