/* Drops, and the folders of dropped regions.
 *
 * A marker in the folder is the commit point: behind it nothing may fail, and the next open of a region whose drop a crash has cut short finishes
 * that. The folder goes once nobody reads its files any more. After a repartition other regions may list them: then they stay, to be removed by the
 * garbage collection that a metasrv orders (gc.c), and by nothing else.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/mito/mito.h"

static struct metric_family kept_files = {
    .name = "regiond_mito_dropped_files_kept_total",
    .kind = METRIC_COUNTER,
    .help = "files of dropped regions that have stayed for other regions of the table, until metasrv has garbage collected"};
static struct metric_family kept_bytes = {.name = "regiond_mito_dropped_bytes_kept_total",
                                          .kind = METRIC_COUNTER,
                                          .help = "bytes of the files of dropped regions that have stayed for other regions of the table"};

/* A dropped region's folder and the files that it listed. Scans may still read these, and others that a compaction had replaced. */
struct dropped_region {
    struct dropped_region *next;
    char *dir;
    struct sst_folder *folder;
    struct sst_file **files;
    uint32_t n_files;
    int64_t since_ms;
    int64_t failed_ms; /* when its removal failed last; 0: it was not tried yet */
    bool keep_files;   /* other regions of the table may list them */
    bool busy;         /* somebody removes it now */
};

enum { DROP_WAIT_MS = 300000, DROP_RETRY_MS = 10000 };

static int dropped_new(const struct mito_region *r, struct dropped_region **ret_dropped, struct error *err)
{
    struct dropped_region *d = calloc(1, sizeof *d);
    if (!d || !(d->dir = strdup(r->dir))) {
        free(d);
        return error_no_memory(err, sizeof *d);
    }
    *ret_dropped = d;
    return ST_OK;
}

static void dropped_free(struct dropped_region *d)
{
    if (d)
        free(d->dir);
    free(d);
}

static bool still_read(const struct dropped_region *d)
{
    for (uint32_t i = 0; i < d->n_files; i++)
        if (atomic_load(&d->files[i]->refs) > 1)
            return true;
    uint32_t listed = 0; /* in this folder */
    for (uint32_t i = 0; i < d->n_files; i++)
        listed += d->files[i]->folder == d->folder;
    return d->folder && (uint32_t)atomic_load(&d->folder->refs) > listed + 1;
}

static bool is_due(const struct dropped_region *d)
{
    if (d->failed_ms)
        return clock_monotonic_ns() / 1000000 - d->failed_ms > DROP_RETRY_MS;
    return !still_read(d) || clock_wall_ms() - d->since_ms > DROP_WAIT_MS;
}

struct kept {
    int64_t files, bytes;
};

static int count_kept(void *ctx, const struct object_info *info, struct error *err)
{
    struct kept *k = ctx;
    const char *slash = strrchr(info->key, '/');
    (void)err;
    if (info->is_dir || !mito_is_data_file(slash ? slash + 1 : info->key))
        return ST_OK;
    k->files++;
    k->bytes += (int64_t)info->size_bytes;
    return ST_OK;
}

/* What stays belongs to no region any more, so that no statistics of one show it: this does. */
static void tell_kept(struct mito_engine *e, const char *dir)
{
    struct kept k = {0};
    struct error err;
    if (e->options.store->ops->list(e->options.store, dir, true, count_kept, &k, &err) != ST_OK) {
        log_warn("mito", "files of a dropped region stay in %s, how many cannot be told: %s", dir, err.msg);
        return;
    }
    metric_add(metric_plain(&kept_files), k.files);
    metric_add(metric_plain(&kept_bytes), k.bytes);
    if (k.files && e->options.gc_enabled)
        log_info("mito", "%lld files of a dropped region (%lld bytes) stay in %s, for other regions may list them, until metasrv has them collected",
                 (long long)k.files, (long long)k.bytes, dir);
    else if (k.files)
        log_warn("mito",
                 "%lld files of a dropped region (%lld bytes) stay in %s, for other regions may list them: only garbage collection removes them, "
                 "and gc.enable is off here",
                 (long long)k.files, (long long)k.bytes, dir);
}

static int remove_folder(struct mito_engine *e, const char *dir, bool keep_files, struct error *err)
{
    struct object_store *store = e->options.store;
    char key[1280];
    if (!keep_files)
        return store->ops->remove_prefix(store, dir, err);
    snprintf(key, sizeof key, "%smanifest", dir);
    TRY(store->ops->remove_prefix(store, key, err));
    snprintf(key, sizeof key, "%s.dropping", dir);
    TRY(store->ops->discard(store, key, err));
    tell_kept(e, dir);
    return ST_OK;
}

/* Removes one dropped region's folder and forgets it; `again`: unless that fails, for then it is tried again. With keeper_lock, which is let go
 * meanwhile; nobody else touches a busy one. */
static void reap(struct mito_engine *e, struct dropped_region *d, bool again)
{
    struct error err;
    d->busy = true;
    pthread_mutex_unlock(&e->keeper_lock);
    for (uint32_t i = 0; i < d->n_files; i++)
        sst_file_unref(d->files[i]);
    d->n_files = 0;
    int st = remove_folder(e, d->dir, d->keep_files, &err);
    if (st != ST_OK && (!d->failed_ms || !again))
        log_warn("mito", "cannot remove the folder %s of a dropped region: %s; %s", d->dir, err.msg,
                 again ? "it is tried again" : "the next open of it tries again");
    pthread_mutex_lock(&e->keeper_lock);
    if (st != ST_OK && again) {
        d->failed_ms = clock_monotonic_ns() / 1000000;
        d->busy = false;
        pthread_cond_broadcast(&e->reaped);
        return;
    }
    struct dropped_region **at = &e->dropped;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    pthread_cond_broadcast(&e->reaped);
    sst_folder_unref(d->folder);
    free(d->files);
    dropped_free(d);
}

/* Removes the folder `dir` (NULL: all of them), whoever reads there: none of them is left, nor being removed by somebody else, when this returns. */
static void reap_all(struct mito_engine *e, const char *dir)
{
    pthread_mutex_lock(&e->keeper_lock);
    for (struct dropped_region *d = e->dropped; d;) {
        if (dir && strcmp(d->dir, dir) != 0) {
            d = d->next;
            continue;
        }
        if (d->busy)
            pthread_cond_wait(&e->reaped, &e->keeper_lock);
        else
            reap(e, d, false);
        d = e->dropped; /* behind both, the list is another one */
    }
    pthread_mutex_unlock(&e->keeper_lock);
}

void mito_reap_dropped(struct mito_engine *e, bool force)
{
    if (force) {
        reap_all(e, NULL);
        return;
    }
    pthread_mutex_lock(&e->keeper_lock);
    for (struct dropped_region *d = e->dropped; d;) {
        bool due = !d->busy && is_due(d);
        if (due)
            reap(e, d, true);
        d = due ? e->dropped : d->next;
    }
    pthread_mutex_unlock(&e->keeper_lock);
}

/* A drop that a crash has cut short is finished. */
static int finish_marked(struct mito_engine *e, const char *dir, uint64_t region_id, struct error *err)
{
    char key[1280];
    uint64_t size;
    snprintf(key, sizeof key, "%s.dropping", dir);
    int st = e->options.store->ops->stat(e->options.store, key, &size, err);
    if (st == ST_NOT_FOUND)
        return ST_OK;
    TRY(st);                                   /* there may be one: opening the region would bring it back */
    TRY(remove_folder(e, dir, size > 0, err)); /* put_marker() */
    peer_log_obsolete(e->options.peer_log, region_id, UINT64_MAX);
    TRY(wal_obsolete(e->options.wal, region_id, UINT64_MAX, err));
    return error_set(err, ST_REGION_NOT_FOUND, "Region not found, region id: %llu (its drop was completed)", (unsigned long long)region_id);
}

int mito_finish_drop(struct mito_engine *e, const char *dir, uint64_t region_id, struct error *err)
{
    reap_all(e, dir);
    return finish_marked(e, dir, region_id, err);
}

/* ---- drop ---- */

/* The peer's marker, which is empty, or one that says that files stay. */
static int put_marker(struct mito_region *r, bool keep_files, struct error *err)
{
    static const char keep[] = "files stay";
    char key[1280];
    struct object_store *store = r->engine->options.store;
    snprintf(key, sizeof key, "%s.dropping", r->dir);
    int st = object_store_put(store, key, keep, keep_files ? sizeof keep - 1 : 0, err);
    /* A marker that may be there would drop the region at the next open, with whatever was written to it since: then it must not be written to. */
    if (st != ST_OK && store->ops->discard(store, key, NULL) != ST_OK)
        mito_stop_writes(r, REGION_DROPPING);
    return st;
}

/* Hands folder and files over to the keeper, which removes them once nobody reads them. */
static void leave_to_keeper(struct mito_region *r, struct dropped_region *d, bool keep_files)
{
    struct mito_engine *e = r->engine;
    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < r->n_files; i++)
        atomic_store(&r->files[i]->deleted, !keep_files && (!r->files[i]->meta.region_id || r->files[i]->meta.region_id == r->id));
    d->keep_files = keep_files;
    d->folder = r->folder;
    r->folder = NULL;
    d->files = r->files;
    d->n_files = r->n_files;
    d->since_ms = clock_wall_ms();
    r->files = NULL;
    r->n_files = 0;
    memset(&r->in_files, 0, sizeof r->in_files);
    pthread_mutex_unlock(&r->lock);
    pthread_mutex_lock(&e->keeper_lock);
    d->next = e->dropped;
    e->dropped = d;
    pthread_cond_signal(&e->keeper_wake);
    pthread_mutex_unlock(&e->keeper_lock);
}

int mito_region_drop(struct mito_engine *e, uint64_t region_id, bool keep_files, struct error *err)
{
    struct mito_region *r;
    struct dropped_region *dropped = NULL; /* made first: behind the marker nothing may fail */
    TRY(mito_region_get(e, region_id, &r, err));
    pthread_mutex_lock(&r->job_lock);
    pthread_mutex_lock(&r->lock);
    /* After a repartition the files of a region that goes belong to those that stay. It is told (partial_drop); that the region is staged says it,
     * too, but not the other way round: a lease may have ended that meanwhile. */
    keep_files |= r->state == REGION_STAGING;
    bool may = r->state == REGION_STAGING || r->state == REGION_WRITABLE || r->state == REGION_DROPPING;
    int st = may ? ST_OK : mito_region_wrong_state(r, "writable", err);
    pthread_mutex_unlock(&r->lock);
    if (st == ST_OK)
        st = dropped_new(r, &dropped, err);
    if (st == ST_OK)
        st = put_marker(r, keep_files, err);
    if (st != ST_OK) {
        dropped_free(dropped);
    } else {
        mito_stop_writes(r, REGION_DROPPING);
        mito_region_unref(mito_unregister(e, region_id));
        if (r->wal_enabled) {
            peer_log_obsolete(e->options.peer_log, region_id, UINT64_MAX);
            st = wal_obsolete(e->options.wal, region_id, UINT64_MAX, err);
        }
        leave_to_keeper(r, dropped, keep_files);
        mito_reap_dropped(e, false);
    }
    pthread_mutex_unlock(&r->job_lock);
    mito_region_unref(r);
    return st;
}
