/* Regions coming and going: create, open (manifest, files, WAL replay), close. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/text.h"
#include "engine/mito/mito.h"
#include "format/proto/wire.h"
#include "format/region/options.h"

static struct metric_family overtaken_regions = {.name = "regiond_mito_regions_overtaken_total", .kind = METRIC_COUNTER,
                                                 .help = "regions that became followers because another node had written to their manifest"};

static struct metric_family gaps = {
    .name = "regiond_mito_manifest_gaps_total", .kind = METRIC_COUNTER, .help = "regions opened whose manifest lacks versions between others"};

enum { PATH_BYTES_MAX = 768 /* keys of all files below it must stay under 1024 bytes */ };

/* "data/{path}/{table id}/{table id}_{sequence}/" (region-rpc.md 9.2), and the path type's folder in it. */
int mito_region_dir(const char *path, size_t path_size, enum region_path_type type, uint64_t region_id, char **ret_dir, struct error *err)
{
    static const char *const inside[] = {[REGION_PATH_BARE] = "", [REGION_PATH_DATA] = "data/", [REGION_PATH_METADATA] = "metadata/"};
    uint32_t table = (uint32_t)(region_id >> 32), sequence = (uint32_t)region_id & 0xffffff;
    size_t room = path_size + 64;
    char *dir = malloc(room);
    if (!dir)
        return error_no_memory(err, room);
    if (path_size > PATH_BYTES_MAX || memchr(path, 0, path_size) || (path_size >= 2 && memmem(path, path_size, "..", 2))) {
        free(dir);
        return error_set(err, ST_INVALID_ARGUMENTS, "the path of region %llu is not a plain relative path", (unsigned long long)region_id);
    }
    snprintf(dir, room, "data/%.*s/%u/%u_%010u/%s", (int)path_size, path, table, table, sequence, inside[type]);
    *ret_dir = dir;
    return ST_OK;
}

static void region_free(struct mito_region *r)
{
    for (uint32_t i = 0; i < r->n_files; i++)
        sst_file_unref(r->files[i]);
    for (uint32_t i = 0; i < r->n_frozen; i++)
        memtable_unref(r->frozen[i]);
    free(r->files);
    free(r->frozen);
    memtable_unref(r->active);
    manifest_free(r->manifest);
    region_metadata_unref(r->metadata);
    region_options_release(&r->options);
    free(r->staging_expr);
    pthread_mutex_destroy(&r->job_lock);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    sst_folder_unref(r->folder);
    free(r->dir);
    free(r);
}

void mito_region_unref(struct mito_region *r)
{
    if (r && atomic_fetch_sub(&r->refs, 1) == 1)
        region_free(r);
}

int mito_region_get(struct mito_engine *e, uint64_t region_id, struct mito_region **ret_region, struct error *err)
{
    pthread_rwlock_rdlock(&e->lock);
    struct mito_region *r = u64_map_get(&e->regions, region_id);
    if (r)
        atomic_fetch_add(&r->refs, 1);
    pthread_rwlock_unlock(&e->lock);
    if (!r)
        return error_set(err, ST_REGION_NOT_FOUND, "Region not found, region id: %llu(%u, %u)", (unsigned long long)region_id,
                         (uint32_t)(region_id >> 32), (uint32_t)region_id);
    *ret_region = r;
    return ST_OK;
}

int mito_region_wrong_state(const struct mito_region *r, const char *wanted, struct error *err)
{
    static const char *const names[] = {"Follower", "Leader(Writable)", "Leader(Altering)", "Leader(Truncating)", "Leader(Dropping)",
                                        "Leader(Downgrading)", "Closed", "Leader(EnteringStaging)", "Leader(Staging)"};
    return error_set(err, ST_REGION_NOT_READY, "Region %llu(%u, %u) is in %s state, expect: %s", (unsigned long long)r->id, (uint32_t)(r->id >> 32),
                     (uint32_t)r->id, names[r->state], wanted);
}

static struct mito_region *region_alloc(struct mito_engine *e, uint64_t id)
{
    struct mito_region *r = calloc(1, sizeof *r);
    struct sst_folder *folder = r ? sst_folder_new() : NULL;
    if (!folder) {
        free(r);
        return NULL;
    }
    r->folder = folder;
    atomic_init(&r->refs, 1);
    r->engine = e;
    r->id = id;
    r->state = REGION_FOLLOWER;
    r->last_flush_ms = r->last_compaction_ms = clock_wall_ms();
    pthread_mutex_init(&r->job_lock, NULL);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    return r;
}

static bool may_write_manifest(void *ctx)
{
    const struct mito_region *r = ctx;
    const struct engine_host *host = &r->engine->host;
    return !host->may_commit || host->may_commit(host->ctx, r->id);
}

int64_t mito_window_seconds(const struct mito_region *r)
{
    return r->options.compaction_time_window_ms >= 1000 ? r->options.compaction_time_window_ms / 1000 : r->recorded_window_seconds;
}

void mito_note_manifest(struct mito_region *r)
{
    const struct manifest *m = manifest_state(r->manifest);
    int64_t window_ns;
    bool recorded = m->compaction_time_window && duration_parse(m->compaction_time_window, &window_ns);
    r->recorded_window_seconds = recorded ? window_ns / 1000000000 : 0;
    r->manifest_version = m->version;
    r->manifest_bytes = manifest_bytes(r->manifest);
    r->removed_files = m->n_removed;
    if (r->engine->host.changed)
        r->engine->host.changed(r->engine->host.ctx, r->id);
}

void mito_adopt(struct mito_region *r)
{
    const struct manifest *m = manifest_state(r->manifest);
    region_metadata_unref(r->metadata);
    r->metadata = region_metadata_ref(m->metadata);
    r->partition_version = partition_expr_version(m->metadata->partition_expr);
    r->format = m->sst_format;
    if (m->append_mode >= 0)
        r->options.append_mode = m->append_mode;
    r->flushed_entry_id = m->flushed_entry_id;
    if (r->last_entry_id < m->flushed_entry_id)
        r->last_entry_id = m->flushed_entry_id;
    r->committed_sequence = m->flushed_sequence;
    if (m->has_committed_sequence && m->committed_sequence > r->committed_sequence)
        r->committed_sequence = m->committed_sequence;
    mito_note_manifest(r);
    manifest_keep_removed(r->manifest, r->engine->options.gc_enabled);
    manifest_set_guard(r->manifest, may_write_manifest, r);
}

char *mito_route_expr(const struct mito_region *r, const struct region_metadata *metadata)
{
    const struct engine_host *host = &r->engine->host;
    struct error err;
    char *expr = NULL;
    if (!metadata->partition_expr && host->partition_expr && host->partition_expr(host->ctx, r->id, &expr, &err) != ST_OK)
        log_warn("mito", "the partition expression of region %llu cannot be read: %s; it is opened without one", (unsigned long long)r->id, err.msg);
    return expr;
}

int mito_take_expr(struct mito_region *r, char *expr, struct error *err)
{
    struct region_metadata *metadata = expr ? region_metadata_with_version(r->metadata, r->metadata->schema_version) : NULL;
    if (!metadata) {
        free(expr);
        return expr ? error_no_memory(err, sizeof *metadata) : ST_OK;
    }
    metadata->partition_expr = expr; /* a copy that nobody else has seen yet */
    region_metadata_unref(r->metadata);
    r->metadata = metadata;
    r->partition_version = partition_expr_version(expr);
    r->expr_to_record = true;
    return ST_OK;
}

void mito_record_expr(struct mito_region *r)
{
    struct error err;
    pthread_mutex_lock(&r->job_lock);
    pthread_mutex_lock(&r->lock);
    bool due = r->expr_to_record && r->state == REGION_WRITABLE;
    r->expr_to_record = r->expr_to_record && !due;
    pthread_mutex_unlock(&r->lock);
    if (due && manifest_update_change(r->manifest, r->metadata, r->format, -1, &err) != ST_OK)
        log_warn("mito", "the partition expression of region %llu is not recorded: %s; the next open tries again", (unsigned long long)r->id, err.msg);
    if (due) {
        mito_note_doubt(r);
        pthread_mutex_lock(&r->lock);
        mito_note_manifest(r);
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_unlock(&r->job_lock);
}

/* Takes over what the manifest says. */
static int adopt_manifest(struct mito_region *r, struct error *err)
{
    const struct manifest *m = manifest_state(r->manifest);
    mito_adopt(r);
    r->wal_enabled = r->options.wal_provider != WAL_PROVIDER_NOOP;
    TRY(memtable_new(r->metadata, &r->engine->write_budget, &r->active, err));
    struct added_files files;
    TRY(mito_files_prepare(r, m->files, m->n_files, &files, err));
    mito_files_publish(r, &files);
    return ST_OK;
}

bool mito_note_doubt(struct mito_region *r)
{
    const struct engine_host *host = &r->engine->host;
    bool doubt = manifest_in_doubt(r->manifest), overtaken = manifest_overtaken(r->manifest);
    pthread_mutex_lock(&r->lock);
    bool was_in_doubt = r->in_doubt;
    r->in_doubt = doubt;
    bool fresh = overtaken && !r->overtaken;
    if (fresh)
        mito_note_overtaken(r);
    pthread_mutex_unlock(&r->lock);
    if (doubt && !was_in_doubt)
        log_error("mito",
                  "whether the last change of the manifest of region %llu took effect is not known (%s): reads go on, a write first finds out; check the disk",
                  (unsigned long long)r->id, r->dir);
    else if (was_in_doubt && !doubt && !overtaken)
        log_info("mito", "the manifest of region %llu is settled", (unsigned long long)r->id);
    if (!fresh)
        return doubt;
    metric_add(metric_plain(&overtaken_regions), 1);
    log_error("mito", "another node has written to the manifest of region %llu (%s): this node follows", (unsigned long long)r->id,
              r->dir);
    if (host->changed)
        host->changed(host->ctx, r->id);
    return doubt;
}

int mito_settle(struct mito_region *r, struct error *err)
{
    pthread_mutex_lock(&r->job_lock);
    int st = manifest_settle(r->manifest, err);
    mito_note_doubt(r);
    pthread_mutex_unlock(&r->job_lock);
    return st;
}

/* ---- open ---- */

/* There is one store, which is called File, and one log: a region whose rows are in Kafka must not be opened as if it had none there. */
static int check_places(const struct region_options *o, struct error *err)
{
    if (o->storage && strcasecmp(o->storage, "file") != 0)
        return error_set(err, ST_INVALID_ARGUMENTS, "Object store not found: %s", o->storage);
    if (o->wal_provider == WAL_PROVIDER_KAFKA)
        return error_set(err, ST_INVALID_ARGUMENTS, "Incompatible WAL provider change. This is typically caused by changing WAL provider in database config file "
                                                    "without completely cleaning existing files. Global provider: `raft_engine`, region provider: `kafka`");
    return ST_OK;
}

/* What was flushed before may still count as needed, after a crash, and would keep the log from being cut for as long as nothing more is written. */
static void release_log(struct mito_region *r)
{
    struct error err;
    const struct mito_options *o = &r->engine->options;
    bool pinned = r->wal_enabled && (o->peer_log || wal_is_pinned(o->wal, r->id)); /* of thousands of regions few are: a sync is dear */
    int st = pinned ? manifest_make_durable(r->manifest, &err) : ST_OK;
    if (st == ST_OK)
        st = mito_log_obsolete(r, &err);
    if (st != ST_OK)
        log_warn("mito", "the log is not cut for region %llu: %s; its next flush tries again", (unsigned long long)r->id, err.msg);
}

static void tell_gap(const struct mito_region *r)
{
    uint64_t first, n;
    if (!manifest_has_gap(r->manifest, &first, &n))
        return;
    metric_add(metric_plain(&gaps), 1);
    log_warn("mito",
             "the manifest of region %llu in %s lacks %llu version(s), the first of them %llu: of writes that failed, or their files are lost; if this is "
             "a restored copy, stop the node and restore the whole folder",
             (unsigned long long)r->id, r->dir, (unsigned long long)n, (unsigned long long)first);
}

static int load_region(struct mito_region *r, const struct kv *options, uint32_t n_options, bool skip_replay, bool writable, struct error *err)
{
    struct mito_engine *e = r->engine;
    TRY(mito_finish_drop(e, r->dir, r->id, err));
    TRY(region_options_parse(options, n_options, true, &r->options, err));
    TRY(check_places(&r->options, err));
    TRY(manifest_open(e->options.store, r->dir, e->options.checkpoint_distance, &r->manifest, err));
    tell_gap(r);
    TRY(adopt_manifest(r, err));
    TRY(mito_take_expr(r, mito_route_expr(r, r->metadata), err));
    if (!skip_replay)
        TRY(mito_replay_logs(r, writable, err));
    release_log(r);
    r->state = writable ? REGION_WRITABLE : REGION_FOLLOWER;
    r->resume = REGION_WRITABLE;
    return ST_OK;
}

static int register_region(struct mito_engine *e, struct mito_region *r, struct error *err)
{
    pthread_rwlock_wrlock(&e->lock);
    int st = u64_map_get(&e->regions, r->id) ? error_set(err, ST_REGION_BUSY, "region %llu is being opened by somebody else", (unsigned long long)r->id)
                                            : u64_map_put(&e->regions, r->id, r, err);
    pthread_rwlock_unlock(&e->lock);
    return st;
}

int mito_region_open(struct mito_engine *e, const struct region_open_request *open, enum region_path_type path_type, struct error *err)
{
    struct mito_region *r;
    if (mito_region_get(e, open->region_id, &r, NULL) == ST_OK) {
        mito_region_unref(r);
        return ST_OK;
    }
    r = region_alloc(e, open->region_id);
    if (!r)
        return error_no_memory(err, sizeof *r);
    int st = mito_region_dir(open->path, strlen(open->path), path_type, open->region_id, &r->dir, err);
    if (st == ST_OK)
        st = load_region(r, open->options, open->n_options, open->skip_wal_replay, open->writable, err);
    if (st == ST_NOT_FOUND)
        st = error_set(err, ST_REGION_NOT_FOUND, "region %llu has no manifest in %s", (unsigned long long)open->region_id, r->dir);
    if (st == ST_OK)
        st = register_region(e, r, err);
    if (st != ST_OK)
        mito_region_unref(r);
    return st;
}

int mito_stored_region(const struct mito_region *sibling, uint64_t region_id, struct mito_region **ret_region, struct error *err)
{
    struct mito_engine *e = sibling->engine;
    struct mito_region *r = region_alloc(e, region_id);
    if (!r)
        return error_no_memory(err, sizeof *r);
    int st = mito_sibling_dir(sibling->dir, sibling->id, region_id, &r->dir, err);
    if (st == ST_OK)
        st = region_options_parse(NULL, 0, true, &r->options, err);
    if (st == ST_OK)
        st = manifest_open(e->options.store, r->dir, e->options.checkpoint_distance, &r->manifest, err);
    if (st == ST_OK)
        st = adopt_manifest(r, err);
    if (st == ST_OK)
        *ret_region = r;
    else
        mito_region_unref(r);
    return st;
}

/* ---- create ---- */

/* A region that is there already must be the same one. */
static int check_same(const struct mito_region *r, const struct region_metadata *wanted, struct error *err)
{
    if (region_metadata_same_schema(r->metadata, wanted))
        return ST_OK;
    return error_set(err, ST_UNEXPECTED, "Region %llu is corrupted, reason: a create request asks for other columns or another primary key than it has",
                     (unsigned long long)r->id);
}

static int create_fresh(struct mito_region *r, struct region_metadata *metadata, const struct mito_create *b, struct error *err)
{
    struct mito_engine *e = r->engine;
    TRY(mito_check_room(e, err));
    TRY(region_options_parse(b->options, b->n_options, false, &r->options, err));
    TRY(check_places(&r->options, err));
    enum sst_format format = r->options.sst_format >= 0 ? (enum sst_format)r->options.sst_format
                             : e->options.default_flat_format ? SST_FORMAT_FLAT : SST_FORMAT_PRIMARY_KEY;
    /* A dropped region of the same id may have left entries behind. */
    uint64_t stale = r->options.wal_provider != WAL_PROVIDER_NOOP ? mito_last_logged_entry(e, r->id) : 0;
    TRY(manifest_create(e->options.store, r->dir, e->options.checkpoint_distance, metadata, format, stale, &r->manifest, err));
    TRY(adopt_manifest(r, err));
    release_log(r);
    r->state = r->resume = REGION_WRITABLE;
    return ST_OK;
}

/* Opens what is on disk, or makes the region. Existing data that cannot be opened is never overwritten (unlike the peer's hazard, mito-on-disk.md 2.8). */
static int create_or_open(struct mito_engine *e, const struct mito_create *b, struct region_metadata *metadata, struct mito_region **ret_region,
                          struct error *err)
{
    struct mito_region *r = region_alloc(e, metadata->region_id);
    if (!r)
        return error_no_memory(err, sizeof *r);
    int st = mito_region_dir(b->path, b->path_size, b->path_type, metadata->region_id, &r->dir, err);
    if (st == ST_OK)
        st = load_region(r, b->options, b->n_options, false, true, err);
    if (st == ST_OK)
        st = check_same(r, metadata, err);
    else if (st == ST_NOT_FOUND || st == ST_REGION_NOT_FOUND) {
        region_options_release(&r->options);
        st = create_fresh(r, metadata, b, err);
    }
    if (st == ST_OK)
        st = register_region(e, r, err);
    if (st != ST_OK) {
        mito_region_unref(r);
        return st;
    }
    atomic_fetch_add(&r->refs, 1);
    *ret_region = r;
    return ST_OK;
}

int mito_region_create_as(struct mito_engine *e, struct region_metadata *metadata, const struct mito_create *create, struct region_response *ret,
                          struct error *err)
{
    struct mito_region *r = NULL;
    int st;
    if (mito_region_get(e, metadata->region_id, &r, NULL) == ST_OK) {
        pthread_mutex_lock(&r->lock);
        st = check_same(r, metadata, err);
        pthread_mutex_unlock(&r->lock);
    } else {
        st = create_or_open(e, create, metadata, &r, err);
    }
    if (st == ST_OK) {
        pthread_mutex_lock(&r->lock);
        r->state = r->state == REGION_FOLLOWER ? REGION_WRITABLE : r->state;
        st = region_columns_to_json(r->metadata, &ret->column_metadata, err);
        pthread_mutex_unlock(&r->lock);
    }
    mito_region_unref(r);
    return st;
}

int mito_region_create(struct mito_engine *e, struct message create, struct region_response *ret, struct error *err)
{
    struct pb_reader r = pb_reader_of(create.data, create.size);
    struct pb_field f;
    struct mito_create parts = {.path = "", .path_type = REGION_PATH_BARE};
    struct region_metadata *metadata = NULL;
    struct region_options options = {0};
    struct kv *kv;
    while (pb_next(&r, &f))
        if (f.number == 5 && f.wire == PB_BYTES) {
            parts.path = (const char *)f.data;
            parts.path_size = f.size;
        }
    TRY(options_map_read(create.data, create.size, 6, &kv, &parts.n_options, err));
    parts.options = kv;
    int st = region_options_parse(kv, parts.n_options, false, &options, err);
    if (st == ST_OK)
        st = region_metadata_from_create(create.data, create.size, options.sparse_key, ST_INVALID_ARGUMENTS, &metadata, err);
    if (st == ST_OK)
        st = mito_region_create_as(e, metadata, &parts, ret, err);
    region_metadata_unref(metadata);
    region_options_release(&options);
    kv_list_free(kv, parts.n_options);
    return st;
}

/* ---- close ---- */

struct mito_region *mito_unregister(struct mito_engine *e, uint64_t region_id)
{
    pthread_rwlock_wrlock(&e->lock);
    struct mito_region *r = u64_map_remove(&e->regions, region_id);
    pthread_rwlock_unlock(&e->lock);
    return r;
}

void mito_stop_writes(struct mito_region *r, enum region_state state)
{
    pthread_mutex_lock(&r->lock);
    r->state = state;
    pthread_cond_broadcast(&r->changed);
    while (r->inflight)
        pthread_cond_wait(&r->changed, &r->lock);
    pthread_mutex_unlock(&r->lock);
}

/* What the log may have lost is in the memtable, for as long as there is one. */
static void flush_if_log_in_doubt(struct mito_region *r)
{
    struct wal_stats wal;
    struct error err;
    wal_stats(r->engine->options.wal, &wal);
    if (r->wal_enabled && (wal.unsettled || wal.failed) && mito_flush_locked(r, &err) != ST_OK)
        log_warn("mito", "region %llu is closed without a flush, and the end of the log is in doubt: %s", (unsigned long long)r->id, err.msg);
}

int mito_region_close(struct mito_engine *e, uint64_t region_id, struct error *err)
{
    struct mito_region *r;
    if (mito_region_get(e, region_id, &r, NULL) != ST_OK)
        return ST_OK;
    pthread_mutex_lock(&r->job_lock);
    pthread_mutex_lock(&r->lock);
    enum region_state was = r->state;
    pthread_mutex_unlock(&r->lock);
    /* Without a WAL the memtable is all there is. What is written once the flush has begun would be lost: then nothing is. */
    bool flushes = !r->wal_enabled && (was == REGION_WRITABLE || was == REGION_STAGING);
    mito_stop_writes(r, REGION_CLOSED);
    int st = flushes ? mito_flush_locked(r, err) : ST_OK;
    if (was == REGION_WRITABLE)
        flush_if_log_in_doubt(r);
    if (st == ST_OK) {
        mito_region_unref(mito_unregister(e, region_id));
    } else {
        pthread_mutex_lock(&r->lock);
        r->state = was;
        pthread_cond_broadcast(&r->changed);
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_unlock(&r->job_lock);
    mito_region_unref(r);
    return st;
}
