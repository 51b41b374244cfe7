/* The engine object: its vtable, its registry of regions and its house-keeping thread. */
#include <stdlib.h>

#include "base/log.h"
#include "engine/mito/mito.h"

static struct mito_engine *mito(struct engine *e)
{
    return (struct mito_engine *)e;
}

/* ---- vtable ---- */

static int engine_create(struct engine *e, struct message create, struct region_response *ret, struct error *err)
{
    return mito_region_create(mito(e), create, ret, err);
}

static int engine_open(struct engine *e, const struct region_open_request *open, struct error *err)
{
    return mito_region_open(mito(e), open, REGION_PATH_BARE, err);
}

static int engine_close(struct engine *e, uint64_t region_id, struct error *err)
{
    return mito_region_close(mito(e), region_id, err);
}

static int engine_drop(struct engine *e, const struct region_drop_request *drop, struct error *err)
{
    return mito_region_drop(mito(e), drop->region_id, drop->partial_drop, err);
}

static int engine_alter(struct engine *e, uint64_t region_id, struct message alter, struct region_response *ret, struct error *err)
{
    return mito_region_alter(mito(e), region_id, alter, ret, err);
}

static int engine_write(struct engine *e, uint64_t region_id, bool is_delete, struct message write, uint64_t *ret_rows, struct error *err)
{
    return mito_region_write(mito(e), region_id, is_delete, write, ret_rows, err);
}

static int engine_bulk_insert(struct engine *e, uint64_t region_id, struct message bulk, uint64_t *ret_rows, struct error *err)
{
    return mito_region_bulk_insert(mito(e), region_id, bulk, ret_rows, err);
}

static int engine_flush(struct engine *e, uint64_t region_id, struct error *err)
{
    struct mito_region *r;
    TRY(mito_region_get(mito(e), region_id, &r, err));
    int st = mito_region_flush(r, err);
    mito_region_unref(r);
    return st;
}

static int engine_build_index(struct engine *e, uint64_t region_id, struct error *err)
{
    return mito_region_build_index(mito(e), region_id, err);
}

static int engine_compact(struct engine *e, uint64_t region_id, struct message compact, struct error *err)
{
    return mito_region_compact(mito(e), region_id, compact, err);
}

static int engine_truncate(struct engine *e, uint64_t region_id, struct message truncate, struct error *err)
{
    return mito_region_truncate(mito(e), region_id, truncate, err);
}

static int engine_metadata(struct engine *e, uint64_t region_id, struct region_metadata **ret_meta, struct error *err)
{
    struct mito_region *r;
    TRY(mito_region_get(mito(e), region_id, &r, err));
    pthread_mutex_lock(&r->lock);
    *ret_meta = region_metadata_ref(r->metadata);
    pthread_mutex_unlock(&r->lock);
    mito_region_unref(r);
    return ST_OK;
}

static int engine_table(struct engine *e, uint64_t region_id, struct table **ret_table, struct error *err)
{
    return mito_region_table(mito(e), region_id, ret_table, err);
}

static int engine_inspect(struct engine *e, const char *name, struct table **ret_table, struct error *err)
{
    return mito_inspect(mito(e), name, ret_table, err);
}

static void engine_attach(struct engine *e, const struct engine_host *host)
{
    mito(e)->host = *host;
}

static int engine_set_role(struct engine *e, uint64_t region_id, enum region_role role, struct error *err)
{
    return mito_region_set_role(mito(e), region_id, role, err);
}

static int engine_set_role_gracefully(struct engine *e, uint64_t region_id, enum region_role role, struct region_last_entries *ret_entries, struct error *err)
{
    return mito_region_set_role_gracefully(mito(e), region_id, role, ret_entries, err);
}

static int engine_catchup(struct engine *e, const struct region_catchup_request *request, struct error *err)
{
    return mito_region_catchup(mito(e), request, err);
}

static int engine_sync(struct engine *e, const struct region_sync_request *request, struct error *err)
{
    return mito_region_sync(mito(e), request, err);
}

static int engine_enter_staging(struct engine *e, uint64_t region_id, const char *partition_expr, struct error *err)
{
    return mito_region_enter_staging(mito(e), region_id, partition_expr, err);
}

static int engine_remap(struct engine *e, const struct region_remap_request *request, struct error *err)
{
    return mito_region_remap(mito(e), request, err);
}

static int engine_apply_staging(struct engine *e, const struct region_apply_request *request, struct error *err)
{
    return mito_region_apply_staging(mito(e), request, err);
}

static int engine_file_refs(struct engine *e, uint64_t region_id, uint64_t source_id, uint64_t *ret_manifest_version, struct region_file_sink *sink,
                            struct error *err)
{
    return mito_region_file_refs(mito(e), region_id, source_id, ret_manifest_version, sink, err);
}

static int engine_gc(struct engine *e, const struct region_gc_request *request, struct region_file_sink *deleted, struct error *err)
{
    return mito_region_gc(mito(e), request, REGION_PATH_BARE, deleted, err);
}

static void add_memtable(struct region_stat *s, struct memtable *m)
{
    struct memtable_stats stats;
    memtable_stats(m, &stats);
    s->num_rows += (uint64_t)stats.rows;
    s->memtable_bytes += stats.bytes;
}

static int engine_stat(struct engine *e, uint64_t region_id, struct region_stat *ret_stat, struct error *err)
{
    struct mito_region *r;
    TRY(mito_region_get(mito(e), region_id, &r, err));
    pthread_mutex_lock(&r->lock);
    struct region_stat s = {.region_id = r->id, .manifest_bytes = r->manifest_bytes, .sst_num = r->n_files, .written_bytes = r->written_bytes,
                            .manifest_version = r->manifest_version, .flushed_entry_id = r->flushed_entry_id, .last_entry_id = r->last_entry_id,
                            .committed_sequence = r->committed_sequence, .removed_files = r->removed_files, .role = mito_region_role(r), .overtaken = r->overtaken,
                            .manifest_in_doubt = r->in_doubt, .flush_failed = r->flush_failed, .num_rows = r->in_files.rows,
                            .sst_bytes = r->in_files.bytes, .index_bytes = r->in_files.index_bytes};
    add_memtable(&s, r->active);
    for (uint32_t i = 0; i < r->n_frozen; i++)
        add_memtable(&s, r->frozen[i]);
    pthread_mutex_unlock(&r->lock);
    s.wal_bytes = (uint64_t)((float)s.memtable_bytes * 0.42825f); /* the peer's estimate (mito-engine.md 9.1) */
    *ret_stat = s;
    mito_region_unref(r);
    return ST_OK;
}

static void fetch_reported(const struct mito_region *r)
{
    enum { LINE = 64 };
    __builtin_prefetch(&r->refs, 1);
    for (const char *p = (const char *)&r->lock; p < (const char *)(&r->files + 1); p += LINE)
        __builtin_prefetch(p, 1);
}

/* Each region's memory is far from the next one's, and locks keep a CPU from reading ahead by itself: it is told to, a step for all of them at a time. */
static void engine_stat_ahead(struct engine *e, const uint64_t *ids, size_t n)
{
    enum { AT_ONCE = 64 };
    struct mito_region *regions[AT_ONCE];
    pthread_rwlock_rdlock(&mito(e)->lock);
    for (size_t at = 0, some; at < n; at += some) {
        some = n - at < AT_ONCE ? n - at : AT_ONCE;
        for (size_t i = 0; i < some; i++) {
            regions[i] = u64_map_get(&mito(e)->regions, ids[at + i]);
            if (regions[i])
                fetch_reported(regions[i]);
        }
        for (size_t i = 0; i < some; i++) {
            if (!regions[i])
                continue;
            pthread_mutex_lock(&regions[i]->lock);
            memtable_stats_ahead(regions[i]->active);
            pthread_mutex_unlock(&regions[i]->lock);
        }
    }
    pthread_rwlock_unlock(&mito(e)->lock);
}

static int engine_options(struct engine *e, uint64_t region_id, struct kv **ret_options, uint32_t *ret_n, struct error *err)
{
    struct mito_region *r;
    TRY(mito_region_get(mito(e), region_id, &r, err));
    pthread_mutex_lock(&r->lock);
    int st = region_options_to_kv(&r->options, ret_options, ret_n, err);
    pthread_mutex_unlock(&r->lock);
    mito_region_unref(r);
    return st;
}

/* ---- house-keeping ---- */

enum { KEEPER_PERIOD_MS = 1000 };

struct mito_region **mito_all_regions(struct mito_engine *e, size_t *ret_n)
{
    size_t pos = 0, n = 0;
    uint64_t id;
    void *value;
    pthread_rwlock_rdlock(&e->lock);
    struct mito_region **all = calloc(e->regions.count + 1, sizeof *all);
    while (all && u64_map_next(&e->regions, &pos, &id, &value)) {
        all[n] = value;
        atomic_fetch_add(&all[n++]->refs, 1);
    }
    pthread_rwlock_unlock(&e->lock);
    *ret_n = n;
    return all;
}

static bool due_for_flush(struct mito_engine *e, struct mito_region *r)
{
    struct memtable_stats stats;
    pthread_mutex_lock(&r->lock);
    memtable_stats(r->active, &stats);
    bool due = r->state == REGION_WRITABLE && (stats.rows || r->n_frozen) && clock_wall_ms() - r->last_flush_ms > e->options.auto_flush_interval_ms;
    pthread_mutex_unlock(&r->lock);
    return due;
}

/* What a change of leadership has left to do. */
static void settle_leadership(struct mito_region *r)
{
    pthread_mutex_lock(&r->lock);
    bool record = r->expr_to_record && r->state == REGION_WRITABLE, overtaken = r->overtaken;
    pthread_mutex_unlock(&r->lock);
    if (record)
        mito_record_expr(r);
    if (overtaken)
        mito_follow_overtaker(r);
}

static void flush_quietly(struct mito_region *r, const char *why)
{
    struct error err;
    if (mito_region_flush(r, &err) != ST_OK)
        log_warn("mito", "flush of region %llu (%s) failed: %s; it is tried again", (unsigned long long)r->id, why, err.msg);
}

/* Regions not flushed for long, and the region that keeps an overlong log alive. */
static void keep_flushed(struct mito_engine *e)
{
    size_t n;
    struct wal_stats wal;
    struct mito_region **all = mito_all_regions(e, &n), *pinning;
    for (size_t i = 0; i < n; i++) {
        if (due_for_flush(e, all[i]))
            flush_quietly(all[i], "idle");
        settle_leadership(all[i]);
        mito_retry_compaction(all[i]);
        mito_region_unref(all[i]);
    }
    free(all);
    wal_stats(e->options.wal, &wal);
    if (wal.failed && !e->log_failure_told) {
        log_error("wal", "%s: writes are refused, reads and flushes go on; mend the disk and restart the node", wal.failure);
        e->log_failure_told = true;
    }
    if (wal.bytes > e->options.wal_purge_bytes && wal.oldest_pinning_region &&
        mito_region_get(e, wal.oldest_pinning_region, &pinning, NULL) == ST_OK) {
        flush_quietly(pinning, "the WAL is longer than wal.purge_threshold");
        mito_region_unref(pinning);
    }
}

static void *keeper(void *arg)
{
    struct mito_engine *e = arg;
    pthread_mutex_lock(&e->keeper_lock);
    while (!e->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += KEEPER_PERIOD_MS / 1000;
        pthread_cond_timedwait(&e->keeper_wake, &e->keeper_lock, &until);
        pthread_mutex_unlock(&e->keeper_lock);
        mito_reap_dropped(e, false);
        mito_release_held(e, false);
        mito_free_space(e);
        keep_flushed(e);
        pthread_mutex_lock(&e->keeper_lock);
    }
    pthread_mutex_unlock(&e->keeper_lock);
    return NULL;
}

/* ---- life cycle ---- */

static void engine_free(struct engine *base)
{
    struct mito_engine *e = mito(base);
    pthread_mutex_lock(&e->keeper_lock);
    e->stopping = true;
    pthread_cond_signal(&e->keeper_wake);
    pthread_mutex_unlock(&e->keeper_lock);
    if (e->options.wal)
        pthread_join(e->keeper, NULL);
    atomic_store(&e->compact_work.cancelled, true);
    thread_pool_free(e->jobs); /* before the compactions: flushes ask for them */
    thread_pool_free(e->compactions);
    thread_pool_free(e->replayers);
    mito_reap_dropped(e, true);
    size_t n;
    struct mito_region **all = mito_all_regions(e, &n);
    for (size_t i = 0; i < n; i++) {
        struct error err;
        if (mito_region_close(e, all[i]->id, &err) != ST_OK)
            log_warn("mito", "region %llu did not close cleanly: %s", (unsigned long long)all[i]->id, err.msg);
        mito_region_unref(all[i]);
    }
    free(all);
    mito_release_held(e, true);
    pthread_mutex_destroy(&e->held_lock);
    u64_map_release(&e->regions);
    sst_caches_release(&e->caches);
    pthread_rwlock_destroy(&e->lock);
    pthread_mutex_destroy(&e->memory_lock);
    pthread_cond_destroy(&e->memory_freed);
    pthread_mutex_destroy(&e->keeper_lock);
    pthread_cond_destroy(&e->keeper_wake);
    pthread_cond_destroy(&e->reaped);
    compact_room_release(&e->compact_room);
    free(e);
}

static const struct engine_ops ops = {
    .name = "mito", .create = engine_create, .open = engine_open, .close = engine_close, .drop = engine_drop, .alter = engine_alter,
    .write = engine_write, .bulk_insert = engine_bulk_insert, .flush = engine_flush, .compact = engine_compact, .build_index = engine_build_index, .truncate = engine_truncate,
    .metadata = engine_metadata, .table = engine_table, .inspect = engine_inspect, .set_role = engine_set_role, .stat = engine_stat,
    .stat_ahead = engine_stat_ahead,
    .options = engine_options, .free = engine_free, .attach = engine_attach, .set_role_gracefully = engine_set_role_gracefully,
    .catchup = engine_catchup, .sync = engine_sync, .enter_staging = engine_enter_staging, .remap = engine_remap,
    .apply_staging = engine_apply_staging, .file_refs = engine_file_refs, .gc = engine_gc,
};

/* On failure the pools that are there already are the caller's. */
static int start_threads(struct mito_engine *e, struct error *err)
{
    const struct mito_options *o = &e->options;
    unsigned cpus = cpu_count();
    TRY(thread_pool_new("mito-replay", cpus > 1 ? cpus - 1 : 1, 4096, &e->replayers, err));
    TRY(thread_pool_new("mito-job", o->max_background_jobs ? o->max_background_jobs : 1, 4096, &e->jobs, err));
    TRY(thread_pool_new("mito-compact", o->max_background_compactions, 65536, &e->compactions, err));
    return thread_start(&e->keeper, "mito-keeper", keeper, e, err);
}

int mito_engine_new(const struct mito_options *options, struct engine **ret_engine, struct error *err)
{
    struct mito_engine *e = calloc(1, sizeof *e);
    if (!e)
        return error_no_memory(err, sizeof *e);
    e->base.ops = &ops;
    e->options = *options;
    e->options.max_background_compactions = options->max_background_compactions ? options->max_background_compactions : 1;
    budget_init(&e->write_budget, "memtables", "memory_limit or region_engine.mito.global_write_buffer_size", SIZE_MAX, options->root_budget);
    budget_init(&e->scan_budget, "scans", "memory_limit", SIZE_MAX, options->root_budget);
    budget_init(&e->job_budget, "flushes", "memory_limit", SIZE_MAX, options->root_budget);
    budget_init(&e->compact_budget, "compactions", "memory_limit or region_engine.mito.experimental_compaction_memory_limit",
                options->compaction_bytes_max ? options->compaction_bytes_max : SIZE_MAX, options->root_budget);
    budget_init(&e->cache_budget, "SST footers", "memory_limit or region_engine.mito.sst_meta_cache_size", SIZE_MAX, options->root_budget);
    compact_room_init(&e->compact_room, options->compaction_bytes_max == SIZE_MAX ? 0 : options->compaction_bytes_max, options->compaction_wait_ms);
    pthread_rwlock_init(&e->lock, NULL);
    pthread_mutex_init(&e->memory_lock, NULL);
    pthread_cond_init(&e->memory_freed, NULL);
    pthread_mutex_init(&e->keeper_lock, NULL);
    pthread_mutex_init(&e->held_lock, NULL);
    pthread_cond_init(&e->keeper_wake, NULL);
    pthread_cond_init(&e->reaped, NULL);
    int st = sst_caches_init(&e->caches, &e->cache_budget, options->root_budget, &options->caches, err);
    if (st != ST_OK) {
        free(e);
        return st;
    }
    if (options->wal) /* a reader has nothing to replay, to write or to keep */
        st = start_threads(e, err);
    if (st != ST_OK) {
        thread_pool_free(e->compactions);
        thread_pool_free(e->jobs);
        thread_pool_free(e->replayers);
        sst_caches_release(&e->caches);
        free(e);
        return st;
    }
    *ret_engine = &e->base;
    return ST_OK;
}
