/* Files that no manifest knows: outputs whose commit a crash has forestalled, inputs whose removal it has.
 *
 * They are looked for once in a region's life in this process, before its first flush or compaction writes anything: then no unlisted file can be of
 * this process, be it one that is being written or one whose commit is in doubt. The files' times would not tell: clocks jump. Opening alone deletes
 * nothing, so that a folder can be looked at first (`regionctl check`). Where regions share files, after a repartition, or a metasrv has garbage
 * collected, one region cannot tell: then nothing is done here.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/mito/mito.h"
#include "engine/mito/sst_internal.h"

static struct metric_family removed = {
    .name = "regiond_mito_orphans_removed_total", .help = "files removed that no manifest lists", .kind = METRIC_COUNTER};

enum { UUID_SIZE = FILE_ID_SIZE - 1 };

struct search {
    struct mito_region *region;
    uint32_t n_removed;
};

/* "<uuid>.parquet", "<uuid>.puffin", "<uuid>.<version>.puffin" */
bool mito_is_data_file(const char *name)
{
    size_t size = strlen(name);
    for (int i = 0; i < UUID_SIZE; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? name[i] != '-' : !strchr("0123456789abcdef", name[i]) || !name[i])
            return false;
    }
    const char *rest = name + UUID_SIZE;
    return strcmp(rest, ".parquet") == 0 || (*rest == '.' && strcmp(name + size - 7, ".puffin") == 0);
}

/* An index file of another version than the manifest says: of a build that was not committed, or one that it has replaced. */
static bool is_other_index(const struct file_meta *m, const char *key)
{
    char index[1024];
    size_t size = strlen(key), n;
    if (size < 7 || strcmp(key + size - 7, ".puffin") != 0 || sst_index_key("", m->file_id, m->index_version, index, sizeof index, NULL) != ST_OK)
        return false;
    n = strlen(index);
    return !m->available_indexes || size < n || strcmp(key + size - n, index) != 0;
}

static int examine(void *ctx, const struct object_info *info, struct error *err)
{
    struct search *s = ctx;
    const char *slash = strrchr(info->key, '/'), *name = slash ? slash + 1 : info->key;
    if (info->is_dir || !mito_is_data_file(name))
        return ST_OK;
    for (uint32_t i = 0; i < s->region->n_files; i++) /* nobody else changes the list under the job lock */
        if (strncmp(s->region->files[i]->meta.file_id, name, UUID_SIZE) == 0 && !is_other_index(&s->region->files[i]->meta, info->key))
            return ST_OK;
    struct object_store *store = s->region->engine->options.store;
    TRY(manifest_make_durable(s->region->manifest, err));
    TRY(store->ops->remove(store, info->key, err));
    s->n_removed++;
    metric_add(metric_plain(&removed), 1);
    return ST_OK;
}

/* Whether what the region lists is all that its folder should hold. r->lock held. */
static bool owns_folder(const struct mito_region *r)
{
    if (r->engine->options.gc_enabled || (r->metadata->partition_expr && *r->metadata->partition_expr))
        return false;
    for (uint32_t i = 0; i < r->n_files; i++)
        if ((r->files[i]->meta.region_id && r->files[i]->meta.region_id != r->id) ||
            (r->files[i]->meta.partition_expr && *r->files[i]->meta.partition_expr))
            return false;
    return r->state == REGION_WRITABLE;
}

void mito_remove_orphans(struct mito_region *r)
{
    char index[1280];
    struct error err;
    struct object_store *store = r->engine->options.store;
    struct search s = {r, 0};
    pthread_mutex_lock(&r->lock);
    /* Also set once a file has left the region: somebody may still read what is no longer listed. */
    bool due = !r->orphans_sought && owns_folder(r);
    r->orphans_sought = true;
    pthread_mutex_unlock(&r->lock);
    if (!due)
        return;
    snprintf(index, sizeof index, "%sindex/", r->dir);
    int st = store->ops->list(store, r->dir, false, examine, &s, &err);
    if (st == ST_OK)
        st = store->ops->list(store, index, false, examine, &s, &err);
    if (st != ST_OK)
        log_warn("mito", "the search for orphaned files in %s ended early: %s; the next start goes on", r->dir, err.msg);
    if (s.n_removed)
        log_info("mito", "%u files in %s that no manifest lists are removed", s.n_removed, r->dir);
}
