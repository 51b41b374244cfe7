/* Live SST files: counted references, and the object's removal when the last reader of a deleted file goes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mito/sst_footer.h"
#include "engine/mito/sst_internal.h"

enum { INDEX_VERSIONS_MAX = 1024 }; /* a rebuild adds one; a larger number in a manifest is no count to go through */

int sst_object_key(const char *dir, const char *file_id, char *ret_key, size_t room, struct error *err)
{
    int n = snprintf(ret_key, room, "%s%s.parquet", dir, file_id);
    return n > 0 && (size_t)n < room ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "the path of SST %s is too long", file_id);
}

int sst_index_key(const char *dir, const char *file_id, uint64_t version, char *ret_key, size_t room, struct error *err)
{
    char suffix[24] = "";
    if (version)
        snprintf(suffix, sizeof suffix, ".%llu", (unsigned long long)version);
    int n = snprintf(ret_key, room, "%sindex/%s%s.puffin", dir, file_id, suffix);
    return n > 0 && (size_t)n < room ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "the path of the index of SST %s is too long", file_id);
}

void sst_remove_objects(struct object_store *store, const char *dir, const struct file_meta *meta)
{
    char key[1024];
    if (sst_object_key(dir, meta->file_id, key, sizeof key, NULL) == ST_OK)
        store->ops->remove(store, key, NULL);
    uint64_t n = !meta->available_indexes ? 0 : meta->index_version < INDEX_VERSIONS_MAX ? meta->index_version + 1 : INDEX_VERSIONS_MAX;
    for (uint64_t i = 0; i < n; i++)
        if (sst_index_key(dir, meta->file_id, meta->index_version - i, key, sizeof key, NULL) == ST_OK)
            store->ops->remove(store, key, NULL);
}

void sst_remove_index(struct object_store *store, const char *dir, const struct file_meta *meta)
{
    char key[1024];
    if (sst_index_key(dir, meta->file_id, meta->index_version, key, sizeof key, NULL) == ST_OK)
        store->ops->remove(store, key, NULL);
}

struct sst_folder *sst_folder_new(void)
{
    struct sst_folder *f = calloc(1, sizeof *f);
    if (f)
        atomic_init(&f->refs, 1);
    return f;
}

struct sst_folder *sst_folder_ref(struct sst_folder *f)
{
    if (f)
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void sst_folder_unref(struct sst_folder *f)
{
    if (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
        free(f);
}

int sst_file_new(struct object_store *store, const char *region_dir, struct file_meta *meta, struct sst_caches *caches, struct sst_file **ret_file,
                 struct error *err)
{
    static _Atomic uint64_t last_serial;
    struct sst_file *f = calloc(1, sizeof *f);
    char *dir = f ? strdup(region_dir) : NULL;
    if (!dir) {
        free(f);
        return error_no_memory(err, sizeof *f);
    }
    atomic_init(&f->refs, 1);
    f->meta = *meta;
    memset(meta, 0, sizeof *meta);
    f->store = store;
    f->dir = dir;
    f->caches = caches;
    f->serial = atomic_fetch_add_explicit(&last_serial, 1, memory_order_relaxed) + 1;
    pthread_mutex_init(&f->lock, NULL);
    *ret_file = f;
    return ST_OK;
}

int sst_file_reindexed(const struct sst_file *f, const struct file_meta *meta, struct sst_file **ret_file, struct error *err)
{
    struct file_meta copy;
    TRY(file_meta_copy(meta, &copy, err));
    int st = sst_file_new(f->store, f->dir, &copy, f->caches, ret_file, err);
    if (st == ST_OK)
        (*ret_file)->folder = sst_folder_ref(f->folder);
    else
        file_meta_release(&copy);
    return st;
}

void sst_file_supersede(struct sst_file *f, struct sst_file *fresh, bool index_outdated)
{
    f->successor = sst_file_ref(fresh);
    f->index_outdated = index_outdated && f->meta.available_indexes;
}

struct sst_file *sst_file_ref(struct sst_file *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void sst_file_unref(struct sst_file *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (f->caches && sst_cache_forget(&f->caches->footers, f))
        sst_footer_put(f, f->footer);
    if (f->caches)
        cache_forget(f->caches->columns, f->serial, atomic_load(&f->kept_items));
    if (f->caches)
        cache_forget(f->caches->last_rows, f->serial, atomic_load(&f->kept_last_items));
    if (f->caches && f->meta.available_indexes) {
        cache_forget(f->caches->index_metadata, f->serial, 1);
        cache_forget(f->caches->index_content, f->serial, f->meta.index_file_size / f->caches->index_page_bytes + 1);
    }
    if (atomic_load(&f->deleted))
        sst_remove_objects(f->store, f->dir, &f->meta);
    else if (f->index_outdated)
        sst_remove_index(f->store, f->dir, &f->meta);
    sst_file_unref(f->successor);
    pthread_mutex_destroy(&f->lock);
    file_meta_release(&f->meta);
    sst_folder_unref(f->folder);
    free(f->dir);
    free(f);
}
