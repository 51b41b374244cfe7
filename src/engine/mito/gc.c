/* Garbage collection under a metasrv's orders (mito-engine.md 6.4).
 *
 * With gc.enable a file that leaves the manifest stays in the store and on record (manifest.h, removed files), because a region of another node may
 * still list or read it. Metasrv asks every node which files it still needs and sends the answers with the order to collect. What goes: files on
 * record for longer than the lingering time that neither the manifest nor an answer names; with a full listing also the old files of which there is
 * no record at all (a flush or compaction that a crash cut short), and of a region that exists no more every file that no answer names.
 *
 * While a manifest is in doubt (manifest.h) a power cut may bring its last change back, and the files that it lists must be there then: what has no
 * record stays, and which files of another region are needed is not answered.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mito/mito.h"
#include "engine/mito/sst_internal.h"

static int tell(struct region_file_sink *sink, uint64_t region_id, const struct removed_file *f, struct error *err)
{
    struct region_file_ref ref = {region_id, f->file_id, f->has_index_version, f->is_index, f->index_version};
    return sink->each(sink->ctx, &ref, err);
}

static int tell_meta(struct region_file_sink *sink, const struct file_meta *f, struct error *err)
{
    struct region_file_ref ref = {f->region_id, f->file_id, f->available_indexes != 0, false, f->index_version};
    return sink->each(sink->ctx, &ref, err);
}

void mito_hold_file(struct mito_engine *e, struct sst_file *file)
{
    pthread_mutex_lock(&e->held_lock);
    file->next_held = e->held;
    e->held = sst_file_ref(file);
    pthread_mutex_unlock(&e->held_lock);
}

void mito_release_held(struct mito_engine *e, bool all)
{
    pthread_mutex_lock(&e->held_lock);
    for (struct sst_file **at = &e->held; *at;) {
        struct sst_file *f = *at;
        if (!all && atomic_load(&f->refs) > 1) {
            at = &f->next_held;
            continue;
        }
        *at = f->next_held;
        sst_file_unref(f);
    }
    pthread_mutex_unlock(&e->held_lock);
}

int mito_region_file_refs(struct mito_engine *e, uint64_t region_id, uint64_t source_id, uint64_t *ret_manifest_version,
                          struct region_file_sink *sink, struct error *err)
{
    struct mito_region *r;
    TRY(mito_region_get(e, region_id, &r, err));
    pthread_mutex_lock(&r->job_lock); /* the manifest does not change */
    const struct manifest *m = manifest_state(r->manifest);
    int st = ST_OK;
    *ret_manifest_version = m->version;
    if (source_id != region_id && manifest_in_doubt(r->manifest)) {
        st = error_set(err, ST_REGION_NOT_READY,
                       "the last change of the manifest of region %llu is in doubt, and with it which files of region %llu it needs",
                       (unsigned long long)region_id, (unsigned long long)source_id);
    } else if (source_id != region_id) {
        for (uint32_t i = 0; st == ST_OK && i < m->n_files; i++)
            if (m->files[i].region_id == source_id)
                st = tell_meta(sink, &m->files[i], err);
    } else {
        /* Files that scans hold although the manifest has let them go. */
        pthread_mutex_lock(&r->engine->held_lock);
        for (struct sst_file *f = r->engine->held; st == ST_OK && f; f = f->next_held)
            if (f->meta.region_id == region_id && atomic_load(&f->refs) > 1)
                st = tell_meta(sink, &f->meta, err);
        pthread_mutex_unlock(&r->engine->held_lock);
    }
    pthread_mutex_unlock(&r->job_lock);
    mito_region_unref(r);
    return st;
}

/* ---- collection ---- */

static bool referenced(const struct region_gc_request *q, const char *file_id)
{
    for (uint32_t i = 0; i < q->n_refs; i++)
        if (q->refs[i].region_id == q->region_id && strcmp(q->refs[i].file_id, file_id) == 0)
            return true;
    return false;
}

static bool listed(const struct manifest *m, const struct removed_file *f)
{
    for (uint32_t i = 0; i < m->n_files; i++)
        if (strcmp(m->files[i].file_id, f->file_id) == 0)
            return !f->is_index || m->files[i].index_version == f->index_version;
    return false;
}

/* The file with its index, or the index alone. */
static int delete_file(struct mito_engine *e, const char *dir, const struct removed_file *f, struct error *err)
{
    char key[1024];
    struct object_store *store = e->options.store;
    if (!f->is_index) {
        TRY(sst_object_key(dir, f->file_id, key, sizeof key, err));
        TRY(store->ops->remove(store, key, err));
    }
    if (!f->is_index && !f->has_index_version)
        return ST_OK;
    TRY(sst_index_key(dir, f->file_id, f->index_version, key, sizeof key, err));
    return store->ops->remove(store, key, err);
}

struct unknown_search {
    struct mito_region *region;
    const struct region_gc_request *request;
    int64_t until_ms;
    struct region_file_sink *deleted;
};

static bool held(struct mito_engine *e, const char *file_id)
{
    bool found = false;
    pthread_mutex_lock(&e->held_lock);
    for (struct sst_file *f = e->held; f && !found; f = f->next_held)
        found = strcmp(f->meta.file_id, file_id) == 0 && atomic_load(&f->refs) > 1;
    pthread_mutex_unlock(&e->held_lock);
    return found;
}

/* "<uuid>.parquet", "index/<uuid>.puffin" or "index/<uuid>.<version>.puffin" of which nobody knows. */
static int examine_unknown(void *ctx, const struct object_info *info, struct error *err)
{
    struct unknown_search *s = ctx;
    const struct manifest *m = manifest_state(s->region->manifest);
    const char *slash = strrchr(info->key, '/'), *name = slash ? slash + 1 : info->key, *suffix = name + FILE_ID_SIZE - 1;
    if (info->is_dir || info->modified_ms >= s->until_ms || !mito_is_data_file(name))
        return ST_OK;
    struct removed_file f = {.is_index = strcmp(suffix, ".parquet") != 0};
    memcpy(f.file_id, name, FILE_ID_SIZE - 1);
    f.has_index_version = f.is_index;
    f.index_version = f.is_index && strcmp(suffix, ".puffin") != 0 ? strtoull(suffix + 1, NULL, 10) : 0;
    if (listed(m, &f) || referenced(s->request, f.file_id) || held(s->region->engine, f.file_id))
        return ST_OK;
    for (uint32_t i = 0; i < m->n_removed; i++) /* these go by their own time */
        if (strcmp(m->removed[i].file_id, f.file_id) == 0)
            return ST_OK;
    struct object_store *store = s->region->engine->options.store;
    TRY(manifest_make_durable(s->region->manifest, err));
    TRY(store->ops->remove(store, info->key, err));
    return tell(s->deleted, s->region->id, &f, err);
}

/* Only of a region that takes writes, for a staged one has files that its manifest does not list yet; nor while a compaction or an index build
 * writes some, or the manifest is in doubt. job_lock held. */
static int collect_unknown(struct mito_region *r, const struct region_gc_request *q, struct region_file_sink *deleted, struct error *err)
{
    char index[1280];
    struct object_store *store = r->engine->options.store;
    struct unknown_search s = {r, q, clock_wall_ms() - r->engine->options.gc_unknown_ms, deleted};
    pthread_mutex_lock(&r->lock);
    bool due = r->state == REGION_WRITABLE && !r->rewriting && !manifest_in_doubt(r->manifest);
    pthread_mutex_unlock(&r->lock);
    if (!due)
        return ST_OK;
    snprintf(index, sizeof index, "%sindex/", r->dir);
    TRY(store->ops->list(store, r->dir, false, examine_unknown, &s, err));
    return store->ops->list(store, index, false, examine_unknown, &s, err);
}

/* A region that is open here: what its manifest has on record. job_lock held. */
static int collect_open(struct mito_region *r, const struct region_gc_request *q, struct region_file_sink *deleted, struct error *err)
{
    const struct manifest *m = manifest_state(r->manifest);
    if (!q->has_manifest_version || q->manifest_version != m->version)
        return ST_OK; /* the answers are of another state: the next order will fit */
    int64_t until_ms = clock_wall_ms() - r->engine->options.gc_lingering_ms;
    struct removed_file *gone = calloc(m->n_removed + 1, sizeof *gone);
    uint32_t n = 0;
    int st = gone ? ST_OK : error_no_memory(err, m->n_removed * sizeof *gone);
    for (uint32_t i = 0; st == ST_OK && i < m->n_removed; i++) {
        const struct removed_file *f = &m->removed[i];
        if (f->removed_at_ms >= until_ms || listed(m, f) || referenced(q, f->file_id))
            continue;
        st = manifest_make_durable(r->manifest, err);
        if (st == ST_OK)
            st = delete_file(r->engine, r->dir, f, err);
        if (st == ST_OK) {
            gone[n++] = *f;
            st = tell(deleted, r->id, f, err);
        }
    }
    if (gone)
        manifest_forget_removed(r->manifest, gone, n);
    pthread_mutex_lock(&r->lock);
    mito_note_manifest(r);
    pthread_mutex_unlock(&r->lock);
    free(gone);
    return st == ST_OK && q->full_listing ? collect_unknown(r, q, deleted, err) : st;
}

struct sweep {
    struct mito_engine *engine;
    const struct region_gc_request *request;
    const char *dir;
    struct region_file_sink *deleted;
};

/* "<uuid>.parquet" directly in the folder of a region that exists no more. */
static int sweep_one(void *ctx, const struct object_info *info, struct error *err)
{
    struct sweep *s = ctx;
    struct removed_file f = {.has_index_version = true};
    const char *slash = strrchr(info->key, '/'), *name = slash ? slash + 1 : info->key;
    if (info->is_dir || strlen(name) != FILE_ID_SIZE - 1 + strlen(".parquet") || strcmp(name + FILE_ID_SIZE - 1, ".parquet") != 0)
        return ST_OK;
    memcpy(f.file_id, name, FILE_ID_SIZE - 1);
    if (referenced(s->request, f.file_id))
        return ST_OK;
    TRY(delete_file(s->engine, s->dir, &f, err));
    f.has_index_version = false;
    return tell(s->deleted, s->request->region_id, &f, err);
}

static int collect_dropped(struct mito_engine *e, const struct region_gc_request *q, enum region_path_type path_type,
                           struct region_file_sink *deleted, struct error *err)
{
    char *dir;
    if (!q->full_listing || !q->path)
        return error_set(err, ST_INVALID_ARGUMENTS, "region %llu is not open here, and without a full listing its files cannot be told",
                         (unsigned long long)q->region_id);
    TRY(mito_region_dir(q->path, strlen(q->path), path_type, q->region_id, &dir, err));
    struct sweep s = {e, q, dir, deleted};
    int st = e->options.store->ops->list(e->options.store, dir, false, sweep_one, &s, err);
    free(dir);
    return st;
}

int mito_region_gc(struct mito_engine *e, const struct region_gc_request *request, enum region_path_type path_type, struct region_file_sink *deleted,
                   struct error *err)
{
    struct mito_region *r;
    if (mito_region_get(e, request->region_id, &r, NULL) != ST_OK)
        return collect_dropped(e, request, path_type, deleted, err);
    pthread_mutex_lock(&r->job_lock);
    pthread_mutex_lock(&r->lock);
    int st = r->state != REGION_FOLLOWER
                 ? ST_OK
                 : error_set(err, ST_UNEXPECTED, "region %llu is a follower here: its leader collects", (unsigned long long)r->id);
    pthread_mutex_unlock(&r->lock);
    if (st == ST_OK)
        st = collect_open(r, request, deleted, err);
    pthread_mutex_unlock(&r->job_lock);
    mito_region_unref(r);
    return st;
}
