/* Live SST files: counted references, and the object's removal when the last reader of a deleted file goes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mito/sst_footer.h"
#include "engine/mito/sst_internal.h"

int sst_object_key(const char *dir, const char *file_id, char *ret_key, size_t room, struct error *err)
{
    int n = snprintf(ret_key, room, "%s%s.parquet", dir, file_id);
    return n > 0 && (size_t)n < room ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "the path of SST %s is too long", file_id);
}

int sst_file_new(struct object_store *store, const char *region_dir, struct file_meta *meta, struct sst_cache *cache, struct sst_file **ret_file,
                 struct error *err)
{
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
    f->cache = cache;
    pthread_mutex_init(&f->lock, NULL);
    *ret_file = f;
    return ST_OK;
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
    char key[1024];
    if (f->cache && sst_cache_forget(f->cache, f))
        sst_footer_put(f, f->footer);
    if (atomic_load(&f->deleted) && sst_object_key(f->dir, f->meta.file_id, key, sizeof key, NULL) == ST_OK)
        f->store->ops->remove(f->store, key, NULL); /* a file that stays behind is an orphan, no longer in the manifest */
    pthread_mutex_destroy(&f->lock);
    file_meta_release(&f->meta);
    free(f->dir);
    free(f);
}
