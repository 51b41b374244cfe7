/* The list of live files of a region.
 *
 * A repartition lets several regions share a file: it stays in the folder of the region that wrote it, and carries that region's partition expression
 * of then. Such a file is never deleted here, because nobody here knows whether another region lists it: garbage collection does (gc.c). With
 * gc.enable that holds for all files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mito/mito.h"

const char *mito_own_folder(const char *dir, uint64_t region_id, int *ret_size)
{
    char mine[48];
    const char *at = NULL;
    *ret_size = snprintf(mine, sizeof mine, "/%u_%010u/", (uint32_t)(region_id >> 32), (uint32_t)region_id & 0xffffff);
    for (const char *p = strstr(dir, mine); p; p = strstr(p + 1, mine))
        at = p;
    return at;
}

int mito_sibling_dir(const char *dir, uint64_t region_id, uint64_t sibling_id, char **ret_dir, struct error *err)
{
    char other[48];
    int n;
    const char *at = mito_own_folder(dir, region_id, &n);
    snprintf(other, sizeof other, "/%u_%010u/", (uint32_t)(sibling_id >> 32), (uint32_t)sibling_id & 0xffffff);
    if (!at || sibling_id >> 32 != region_id >> 32)
        return error_set(err, ST_INVALID_ARGUMENTS, "region %llu is no region of the table of %llu", (unsigned long long)sibling_id,
                         (unsigned long long)region_id);
    size_t room = strlen(dir) + sizeof other;
    char *sibling = malloc(room);
    if (!sibling)
        return error_no_memory(err, room);
    snprintf(sibling, room, "%.*s%s%s", (int)(at - dir), dir, other, at + n);
    *ret_dir = sibling;
    return ST_OK;
}

bool mito_rewrite_begin(struct mito_region *r)
{
    pthread_mutex_lock(&r->job_lock);
    bool mine = !r->rewriting;
    r->rewriting = true;
    if (mine)
        mito_remove_orphans(r);
    pthread_mutex_unlock(&r->job_lock);
    return mine;
}

void mito_rewrite_end(struct mito_region *r)
{
    pthread_mutex_lock(&r->job_lock);
    r->rewriting = false;
    pthread_mutex_unlock(&r->job_lock);
}

/* After each change of the list. */
static void sum_up(struct mito_region *r)
{
    memset(&r->in_files, 0, sizeof r->in_files);
    for (uint32_t i = 0; i < r->n_files; i++) {
        r->in_files.rows += r->files[i]->meta.num_rows;
        r->in_files.bytes += r->files[i]->meta.file_size;
        r->in_files.index_bytes += r->files[i]->meta.index_file_size;
    }
}

static int file_open(struct mito_region *r, const struct file_meta *meta, struct sst_file **ret_file, struct error *err)
{
    struct file_meta copy;
    char *dir = NULL;
    if (meta->region_id && meta->region_id != r->id && (uint32_t)(meta->region_id & 0xffffff) != (uint32_t)(r->id & 0xffffff))
        TRY(mito_sibling_dir(r->dir, r->id, meta->region_id, &dir, err));
    int st = file_meta_copy(meta, &copy, err);
    if (st == ST_OK) {
        st = sst_file_new(r->engine->options.store, dir ? dir : r->dir, &copy, &r->engine->caches, ret_file, err);
        if (st != ST_OK)
            file_meta_release(&copy);
        else if (!dir)
            (*ret_file)->folder = sst_folder_ref(r->folder);
    }
    free(dir);
    return st;
}

void mito_files_forget(struct added_files *a)
{
    for (uint32_t i = 0; i < a->n; i++)
        sst_file_unref(a->files[i]);
    free(a->files);
    free(a->list);
    *a = (struct added_files){0};
}

int mito_files_prepare(struct mito_region *r, const struct file_meta *metas, uint32_t n, struct added_files *ret_added, struct error *err)
{
    size_t room = (size_t)r->n_files + n + 1;
    struct added_files a = {.files = calloc((size_t)n + 1, sizeof *a.files), .list = calloc(room, sizeof *a.list)};
    int st = a.files && a.list ? ST_OK : error_no_memory(err, room * sizeof *a.list);
    for (; st == ST_OK && a.n < n; a.n += st == ST_OK)
        st = file_open(r, &metas[a.n], &a.files[a.n], err);
    if (st != ST_OK)
        mito_files_forget(&a);
    else
        *ret_added = a;
    return st;
}

void mito_files_publish(struct mito_region *r, struct added_files *a)
{
    for (uint32_t i = 0; i < r->n_files; i++)
        a->list[i] = r->files[i];
    for (uint32_t i = 0; i < a->n; i++)
        a->list[r->n_files++] = a->files[i];
    free(r->files);
    free(a->files);
    r->files = a->list;
    *a = (struct added_files){0};
    sum_up(r);
}

static bool may_be_shared(const struct mito_region *r, const struct file_meta *f)
{
    const char *mine = r->metadata->partition_expr ? r->metadata->partition_expr : "", *its = f->partition_expr ? f->partition_expr : "";
    return (f->region_id && f->region_id != r->id) || strcmp(mine, its) != 0;
}

void mito_files_remove(struct mito_region *r, struct sst_file *const *files, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->n_files; i++) {
        bool gone = false;
        for (uint32_t k = 0; k < n && !gone; k++)
            gone = r->files[i] == files[k];
        if (gone) {
            r->orphans_sought = true;
            atomic_store(&r->files[i]->deleted, !r->engine->options.gc_enabled && !may_be_shared(r, &r->files[i]->meta));
            if (r->engine->options.gc_enabled)
                mito_hold_file(r->engine, r->files[i]);
            sst_file_unref(r->files[i]);
        } else {
            r->files[kept++] = r->files[i];
        }
    }
    r->n_files = kept;
    sum_up(r);
}

bool mito_files_have(const struct mito_region *r, const struct sst_file *file)
{
    for (uint32_t i = 0; i < r->n_files; i++)
        if (r->files[i] == file)
            return true;
    return false;
}

void mito_files_swap(struct mito_region *r, struct sst_file *old, struct sst_file *fresh)
{
    for (uint32_t i = 0; i < r->n_files; i++) {
        if (r->files[i] != old)
            continue;
        r->files[i] = sst_file_ref(fresh);
        r->orphans_sought = true; /* somebody may still use the old index */
        sst_file_supersede(old, fresh, !r->engine->options.gc_enabled && !may_be_shared(r, &old->meta));
        if (r->engine->options.gc_enabled)
            mito_hold_file(r->engine, old);
        sst_file_unref(old);
    }
    sum_up(r);
}

/* What a file that stays becomes when the manifest says `meta` of it: another index may have been built for it. */
static int file_again(struct sst_file *old, const struct file_meta *meta, struct sst_file **ret_file, struct error *err)
{
    if (old->meta.index_version == meta->index_version && old->meta.index_file_size == meta->index_file_size) {
        *ret_file = sst_file_ref(old);
        return ST_OK;
    }
    return sst_file_reindexed(old, meta, ret_file, err);
}

int mito_files_prepare_all(struct mito_region *r, const struct manifest *m, struct added_files *ret_all, struct error *err)
{
    struct added_files a = {.files = calloc((size_t)m->n_files + 1, sizeof *a.files)};
    int st = a.files ? ST_OK : error_no_memory(err, m->n_files * sizeof *a.files);
    for (; st == ST_OK && a.n < m->n_files; a.n += st == ST_OK) {
        const struct file_meta *meta = &m->files[a.n];
        struct sst_file *old = NULL;
        for (uint32_t i = 0; i < r->n_files && !old; i++)
            old = strcmp(r->files[i]->meta.file_id, meta->file_id) == 0 ? r->files[i] : NULL;
        st = old ? file_again(old, meta, &a.files[a.n], err) : file_open(r, meta, &a.files[a.n], err);
    }
    if (st != ST_OK)
        mito_files_forget(&a);
    else
        *ret_all = a;
    return st;
}

void mito_files_switch(struct mito_region *r, struct added_files *all)
{
    for (uint32_t i = 0; i < r->n_files; i++) {
        for (uint32_t k = 0; k < all->n; k++)
            if (all->files[k] != r->files[i] && strcmp(all->files[k]->meta.file_id, r->files[i]->meta.file_id) == 0)
                sst_file_supersede(r->files[i], all->files[k], false);
        sst_file_unref(r->files[i]);
    }
    free(r->files);
    r->files = all->files;
    r->n_files = all->n;
    *all = (struct added_files){0};
    sum_up(r);
}
