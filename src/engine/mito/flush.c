/* Flushing memtables to SSTs, and holding writers back while memtables take too much memory or a disk is full. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/mito/mito.h"

static struct metric_family flush_requests = {.name = "greptime_mito_flush_requests_total", .help = "mito flush requests", .kind = METRIC_COUNTER};
static struct metric_family flush_failures = {.name = "greptime_mito_flush_failure_total", .help = "mito flush failures", .kind = METRIC_COUNTER};
static struct metric_family flush_bytes = {.name = "greptime_mito_flush_bytes_total", .help = "bytes of SSTs written by flushes", .kind = METRIC_COUNTER};
static struct metric_family flush_files = {.name = "greptime_mito_flush_file_total", .help = "SSTs written by flushes", .kind = METRIC_COUNTER};
static struct metric_family flush_elapsed = {.name = "greptime_mito_flush_elapsed", .help = "seconds of a flush", .kind = METRIC_HISTOGRAM,
                                             .label_names = {"type"}, .bounds = {1, 5, 25, 125, 625, 3125}};
static struct metric_family inflight = {.name = "greptime_mito_inflight_flush_count", .help = "regions being flushed", .kind = METRIC_GAUGE};
static struct metric_family stalls = {.name = "greptime_mito_write_stall_total", .help = "writes that waited for memory", .kind = METRIC_COUNTER};
static struct metric_family refused = {.name = "regiond_disk_full_rejects_total", .help = "writes and schema changes refused because a disk is full",
                                       .kind = METRIC_COUNTER};
static struct metric_family rejects = {.name = "greptime_mito_write_reject_total", .help = "writes refused for want of memory", .kind = METRIC_COUNTER};

/* A flush makes at most this many files: the rows of far more time windows share them. */
enum { WINDOWS_MAX = 64 };

bool mito_is_full(const struct mito_engine *e, struct memtable *m)
{
    size_t most = e->options.memtable_key_bytes_max ? e->options.memtable_key_bytes_max : (size_t)1 << 30;
    return memtable_key_bytes(m) > most;
}

int mito_freeze(struct mito_region *r, struct error *err)
{
    struct memtable *fresh;
    struct memtable_stats stats;
    do { /* another freeze may end first, and let writes in again */
        r->freezing = true;
        if (r->inflight)
            pthread_cond_wait(&r->changed, &r->lock);
    } while (r->inflight);
    memtable_stats(r->active, &stats);
    int st = ST_OK;
    if (stats.rows) {
        struct memtable **grown = realloc(r->frozen, (r->n_frozen + 1) * sizeof *grown);
        st = grown ? memtable_new(r->metadata, &r->engine->write_budget, &fresh, err) : error_no_memory(err, sizeof *grown);
        if (grown)
            r->frozen = grown;
        if (st == ST_OK) {
            r->frozen[r->n_frozen++] = r->active;
            r->active = fresh;
        }
    }
    r->freezing = false;
    pthread_cond_broadcast(&r->changed);
    return st;
}

/* ---- windows ---- */

static int64_t floor_to(int64_t value, int64_t width)
{
    int64_t q = value / width - (value % width < 0);
    return q < INT64_MIN / width ? INT64_MIN : q * width;
}

/* Width of the time windows that files are cut at, in the time index's unit (mito-on-disk.md 2.4). */
static int64_t window_width(const struct mito_region *r)
{
    const struct region_metadata *m = r->metadata;
    int64_t per = units_per_second(m->columns[m->time_index].type->unit);
    int64_t seconds = mito_window_seconds(r);
    seconds = seconds ? seconds : 86400;
    return seconds > INT64_MAX / per ? INT64_MAX : seconds * per;
}

struct flush_job {
    struct mito_region *region;
    struct region_metadata *metadata;
    struct memtable **memtables;
    uint32_t n_memtables;
    uint64_t entry_id, sequence;
    int64_t time_min, time_max;
    struct sst_index_options index; /* the region's, borrowed: options change under the job lock only */
    uint32_t *columns;          /* all of them */
    bool *fields;
    struct file_meta *files;
    uint32_t n_files;
};

static int read_memtables(struct flush_job *job, int64_t from, int64_t to, struct row_source **ret_source, struct error *err)
{
    struct mito_region *r = job->region;
    struct row_source **sources = calloc(job->n_memtables, sizeof *sources);
    uint32_t n = 0;
    int st = sources ? ST_OK : error_no_memory(err, job->n_memtables * sizeof *sources);
    struct read_request q = {.metadata = job->metadata, .columns = job->columns, .n_columns = job->metadata->n_columns, .time_min = from, .time_max = to,
                             .budget = &r->engine->job_budget, .need_key = true};
    for (; st == ST_OK && n < job->n_memtables; n += st == ST_OK)
        st = memtable_source_new(job->memtables[n], &q, &sources[n], err);
    if (st == ST_OK) {
        enum merge_mode mode = r->options.append_mode ? MERGE_APPEND : r->options.merge_mode;
        st = merge_source_new(sources, n, mode, false, job->fields, job->metadata->n_columns, &r->engine->job_budget, NULL, ret_source, err);
    } else {
        for (uint32_t i = 0; i < n; i++)
            row_source_free(sources[i]);
    }
    free(sources);
    return st;
}

static int write_window(struct flush_job *job, int64_t from, int64_t to, struct error *err)
{
    struct mito_region *r = job->region;
    struct row_source *source;
    struct file_meta *files = NULL;
    uint32_t n = 0;
    TRY(read_memtables(job, from, to, &source, err));
    struct sst_write_options options = {.store = r->engine->options.store, .region_dir = r->dir, .metadata = job->metadata, .format = r->format, .level = 0,
                                        .sequence = job->sequence, .indexes = r->engine->options.flush_indexes,
                                        .index = job->index, .budget = &r->engine->job_budget};
    int st = sst_write(&options, source, &files, &n, err);
    row_source_free(source);
    if (st == ST_OK && n) {
        struct file_meta *grown = realloc(job->files, (job->n_files + n) * sizeof *grown);
        if (grown) {
            memcpy(grown + job->n_files, files, n * sizeof *files);
            job->files = grown;
            job->n_files += n;
        } else {
            st = error_no_memory(err, n * sizeof *files);
        }
    }
    free(files);
    return st;
}

static int write_windows(struct flush_job *job, struct error *err)
{
    int64_t width = window_width(job->region);
    int64_t first = floor_to(job->time_min, width), last = floor_to(job->time_max, width);
    /* In 128 bits: a region may hold both ends of the time axis. */
    __int128 windows = ((__int128)last - first) / width + 1;
    __int128 per_file = (windows + WINDOWS_MAX - 1) / WINDOWS_MAX;
    for (__int128 at = first; at <= last; at += per_file * width) {
        __int128 end = at + per_file * width - 1;
        int64_t from = at < INT64_MIN ? INT64_MIN : (int64_t)at, to = end > INT64_MAX ? INT64_MAX : (int64_t)end;
        TRY(write_window(job, from, to, err));
    }
    return ST_OK;
}

/* ---- the job ---- */

static int flush_begin(struct mito_region *r, struct flush_job *job, struct error *err)
{
    const struct region_metadata *m = r->metadata;
    *job = (struct flush_job){.region = r, .metadata = region_metadata_ref(r->metadata), .entry_id = r->last_entry_id, .sequence = r->committed_sequence,
                              .index = r->options.index, .time_min = INT64_MAX, .time_max = INT64_MIN};
    job->memtables = calloc(r->n_frozen + 1, sizeof *job->memtables);
    job->columns = calloc(m->n_columns, sizeof *job->columns);
    job->fields = calloc(m->n_columns, sizeof *job->fields);
    if (!job->memtables || !job->columns || !job->fields)
        return error_no_memory(err, m->n_columns * sizeof *job->columns);
    for (uint32_t i = 0; i < r->n_frozen; i++) {
        struct memtable_stats stats;
        memtable_stats(r->frozen[i], &stats);
        job->time_min = stats.time_min < job->time_min ? stats.time_min : job->time_min;
        job->time_max = stats.time_max > job->time_max ? stats.time_max : job->time_max;
        job->memtables[job->n_memtables++] = memtable_ref(r->frozen[i]);
    }
    for (uint32_t i = 0; i < m->n_columns; i++) {
        job->columns[i] = i;
        job->fields[i] = m->columns[i].semantic == SEMANTIC_FIELD;
    }
    return ST_OK;
}

static void flush_end(struct flush_job *job)
{
    for (uint32_t i = 0; i < job->n_memtables; i++)
        memtable_unref(job->memtables[i]);
    for (uint32_t i = 0; i < job->n_files; i++)
        file_meta_release(&job->files[i]);
    free(job->memtables);
    free(job->columns);
    free(job->fields);
    free(job->files);
    region_metadata_unref(job->metadata);
}

/* Objects of files that no manifest lists. */
static void remove_written(struct flush_job *job)
{
    for (uint32_t i = 0; i < job->n_files; i++)
        sst_remove_objects(job->region->engine->options.store, job->region->dir, &job->files[i]);
}

int mito_log_obsolete(struct mito_region *r, struct error *err)
{
    const struct mito_options *o = &r->engine->options;
    if (!r->wal_enabled)
        return ST_OK;
    peer_log_obsolete(o->peer_log, r->id, r->flushed_entry_id);
    return wal_obsolete(o->wal, r->id, r->flushed_entry_id, err);
}

static int flush_commit(struct flush_job *job, struct error *err)
{
    struct mito_region *r = job->region;
    struct manifest_edit edit = {.add = job->files, .n_add = job->n_files, .timestamp_ms = clock_wall_ms(), .has_flushed = true,
                                 .flushed_entry_id = job->entry_id, .flushed_sequence = job->sequence};
    struct added_files added = {0};
    int st = mito_files_prepare(r, job->files, job->n_files, &added, err);
    if (st == ST_OK)
        st = manifest_update_edit(r->manifest, &edit, err);
    if (!mito_note_doubt(r) && st != ST_OK)
        remove_written(job);
    if (st == ST_OK) {
        pthread_mutex_lock(&r->lock);
        mito_files_publish(r, &added);
        for (uint32_t i = 0; i < job->n_memtables; i++)
            memtable_unref(r->frozen[i]);
        if (job->n_memtables) /* none for entries without rows */
            memmove(r->frozen, r->frozen + job->n_memtables, (r->n_frozen - job->n_memtables) * sizeof *r->frozen);
        r->n_frozen -= job->n_memtables;
        r->flushed_entry_id = job->entry_id;
        r->last_flush_ms = clock_wall_ms();
        mito_note_manifest(r);
        pthread_mutex_unlock(&r->lock);
    }
    mito_files_forget(&added);
    return st == ST_OK ? mito_log_obsolete(r, err) : st;
}

int mito_flush_locked(struct mito_region *r, struct error *err)
{
    struct flush_job job = {.region = r};
    pthread_mutex_lock(&r->lock);
    int st = mito_freeze(r, err);
    /* Entries without rows (of writes that failed after they were logged) are done with as well: they must neither meet another schema nor pin the log. */
    bool work = st == ST_OK && (r->n_frozen > 0 || r->last_entry_id > r->flushed_entry_id);
    if (work)
        st = flush_begin(r, &job, err);
    pthread_mutex_unlock(&r->lock);
    if (!work)
        return st;
    static const char *const whole[] = {"total", NULL};
    int64_t start = clock_monotonic_ns();
    metric_add(metric_plain(&inflight), 1);
    metric_add(metric_plain(&flush_requests), 1);
    if (st == ST_OK && job.n_memtables) {
        mito_remove_orphans(r);
        st = write_windows(&job, err);
    }
    if (st == ST_OK) {
        for (uint32_t i = 0; i < job.n_files; i++)
            metric_add(metric_plain(&flush_bytes), (int64_t)job.files[i].file_size);
        metric_add(metric_plain(&flush_files), job.n_files);
        st = flush_commit(&job, err);
    } else {
        metric_add(metric_plain(&flush_failures), 1);
        remove_written(&job);
    }
    flush_end(&job);
    metric_add(metric_plain(&inflight), -1);
    metric_observe(metric_child(&flush_elapsed, whole), (double)(clock_monotonic_ns() - start) / 1e9);
    pthread_mutex_lock(&r->lock);
    r->flush_failed = st != ST_OK;
    pthread_mutex_unlock(&r->lock);
    pthread_mutex_lock(&r->engine->memory_lock);
    pthread_cond_broadcast(&r->engine->memory_freed);
    pthread_mutex_unlock(&r->engine->memory_lock);
    return st;
}

int mito_region_flush(struct mito_region *r, struct error *err)
{
    pthread_mutex_lock(&r->job_lock);
    pthread_mutex_lock(&r->lock);
    bool may = r->state == REGION_WRITABLE || r->state == REGION_DOWNGRADING;
    /* What a staging region has got stays in its memtable and its log until staging ends, well or badly. (The peer flushes into staged files, whose rows are lost
     * when staging is given up.) */
    bool staging = r->state == REGION_STAGING;
    int st = may || staging ? ST_OK : mito_region_wrong_state(r, "flushable", err);
    pthread_mutex_unlock(&r->lock);
    if (st == ST_OK && !staging)
        st = mito_flush_locked(r, err);
    pthread_mutex_unlock(&r->job_lock);
    if (st == ST_OK && !staging)
        mito_schedule_compaction(r);
    return st;
}

/* ---- memory pressure ---- */

enum { PRESSED_MAX = 64 }; /* regions flushed in one go */

static bool is_among(uint64_t id, const uint64_t *ids, uint32_t n)
{
    while (n && ids[n - 1] != id)
        n--;
    return n > 0;
}

/* The writable region with most memtable bytes, of those that have not failed; NULL when none holds any. One reference. */
static struct mito_region *largest_region(struct mito_engine *e, const uint64_t *failed, uint32_t n_failed)
{
    struct mito_region *best = NULL;
    size_t best_bytes = 0, pos = 0;
    uint64_t id;
    void *value;
    pthread_rwlock_rdlock(&e->lock);
    while (u64_map_next(&e->regions, &pos, &id, &value)) {
        struct mito_region *r = value;
        struct memtable_stats stats;
        size_t bytes = 0;
        pthread_mutex_lock(&r->lock);
        if (r->state == REGION_WRITABLE && !is_among(id, failed, n_failed)) {
            memtable_stats(r->active, &stats);
            bytes = stats.rows ? stats.bytes : 0;
            for (uint32_t i = 0; i < r->n_frozen; i++) {
                memtable_stats(r->frozen[i], &stats);
                bytes += stats.bytes;
            }
        }
        pthread_mutex_unlock(&r->lock);
        if (bytes > best_bytes) {
            best = r;
            best_bytes = bytes;
        }
    }
    if (best)
        atomic_fetch_add(&best->refs, 1);
    pthread_rwlock_unlock(&e->lock);
    return best;
}

/* One region that cannot be flushed must not stop the writes to all others: then they are flushed all the more often. */
static void flush_for_memory(void *arg)
{
    struct mito_engine *e = arg;
    struct error err;
    uint64_t failed[PRESSED_MAX];
    uint32_t n_failed = 0;
    int st = ST_OK;
    for (int i = 0; i < PRESSED_MAX && st != ST_NO_SPACE && budget_used(&e->write_budget) > e->options.write_buffer_bytes / 4; i++) {
        struct mito_region *r = largest_region(e, failed, n_failed);
        if (!r)
            break;
        st = mito_region_flush(r, &err);
        if (st != ST_OK) {
            failed[n_failed++] = r->id;
            log_warn("mito", "cannot flush region %llu to free memory: %s; its rows stay in memory until a flush succeeds", (unsigned long long)r->id, err.msg);
        }
        mito_region_unref(r);
    }
    atomic_store(&e->flush_scheduled, false);
}

void mito_schedule_flush(struct mito_engine *e)
{
    if (atomic_exchange(&e->flush_scheduled, true))
        return;
    if (thread_pool_submit(e->jobs, flush_for_memory, e, NULL) != ST_OK)
        atomic_store(&e->flush_scheduled, false);
}

bool mito_wait_for_flush(struct mito_engine *e, int64_t max_ms)
{
    int64_t deadline = clock_monotonic_ns() + max_ms * 1000000;
    pthread_mutex_lock(&e->memory_lock);
    while (budget_used(&e->write_budget) >= e->options.write_buffer_bytes && clock_monotonic_ns() < deadline) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        mito_schedule_flush(e);
        pthread_cond_timedwait(&e->memory_freed, &e->memory_lock, &until);
    }
    pthread_mutex_unlock(&e->memory_lock);
    return budget_used(&e->write_budget) < e->options.write_buffer_bytes;
}

int mito_wait_for_memory(struct mito_engine *e, struct error *err)
{
    size_t used = budget_used(&e->write_budget);
    if (used < e->options.write_buffer_bytes / 2)
        return ST_OK;
    mito_schedule_flush(e);
    if (used >= e->options.write_reject_bytes) {
        metric_add(metric_plain(&rejects), 1);
        return error_set(err, ST_STORAGE, "write buffer is full, rejecting writes: %zu bytes in memtables, global_write_buffer_reject_size is %zu", used,
                         e->options.write_reject_bytes);
    }
    if (used < e->options.write_buffer_bytes)
        return ST_OK;
    metric_add(metric_plain(&stalls), 1);
    if (!mito_wait_for_flush(e, e->options.write_stall_max_ms))
        return error_set(err, ST_STORAGE, "a write waited %lld ms for memory: memtables are over global_write_buffer_size and no flush succeeds",
                         (long long)e->options.write_stall_max_ms);
    return ST_OK;
}

/* ---- a full disk ---- */

enum { SPACE_FLUSH_INTERVAL_MS = 10000 };

int mito_check_room(const struct mito_engine *e, struct error *err)
{
    int st = disk_check(e->options.disk, err);
    if (st == ST_OK)
        st = disk_check(e->options.wal_disk, err);
    if (st != ST_OK)
        metric_add(metric_plain(&refused), 1);
    return st;
}

static bool pins_log(struct mito_region *r)
{
    struct memtable_stats stats;
    pthread_mutex_lock(&r->lock);
    memtable_stats(r->active, &stats);
    bool pins =
        (r->state == REGION_WRITABLE || r->state == REGION_DOWNGRADING) && (stats.rows || r->n_frozen || r->last_entry_id > r->flushed_entry_id);
    pthread_mutex_unlock(&r->lock);
    return pins;
}

static void flush_for_space(void *arg)
{
    struct mito_engine *e = arg;
    size_t n;
    struct mito_region **all = mito_all_regions(e, &n);
    for (size_t i = 0; i < n; i++) {
        struct error err;
        if (pins_log(all[i]) && mito_region_flush(all[i], &err) != ST_OK)
            log_warn("mito", "cannot flush region %llu, which would let the log of a full disk be cut: %s; it is tried again", (unsigned long long)all[i]->id,
                     err.msg);
        mito_region_unref(all[i]);
    }
    free(all);
    atomic_store(&e->space_flush_scheduled, false);
}

void mito_free_space(struct mito_engine *e)
{
    struct wal_stats wal;
    wal_stats(e->options.wal, &wal);
    bool needed = wal.unsettled || wal.failed || disk_check(e->options.disk, NULL) != ST_OK || disk_check(e->options.wal_disk, NULL) != ST_OK;
    int64_t now = clock_monotonic_ns() / 1000000;
    if (!needed)
        e->space_flush_ms = 0;
    if (!needed || (e->space_flush_ms && now - e->space_flush_ms < SPACE_FLUSH_INTERVAL_MS) || atomic_exchange(&e->space_flush_scheduled, true))
        return;
    e->space_flush_ms = now;
    if (thread_pool_submit(e->jobs, flush_for_space, e, NULL) != ST_OK)
        atomic_store(&e->space_flush_scheduled, false);
}
