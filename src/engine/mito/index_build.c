/* Building indexes of files that have been written without them: on request, and in the `async` build mode after each flush, compaction and ALTER.
 *
 * A file's rows are read once more, in their order, and the new index file takes the next version of its name: what is there is never changed. The
 * manifest edit that adds the file again is the commit point. Until then the new index file is an orphan (orphans.c removes it after a crash); from
 * then on the old one is outdated, and goes with its last reader. A region rewrites one thing at a time: while indexes are built no compaction takes
 * the files away; a truncate may, and then the index is thrown away. Flushes, writes and scans go on.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/mito/mito.h"
#include "engine/mito/sst_footer.h"
#include "engine/mito/sst_index.h"

static struct metric_family built = {
    .name = "regiond_mito_index_builds_total", .help = "indexes built for files that were there", .kind = METRIC_COUNTER};
static struct metric_family failures = {.name = "regiond_mito_index_build_failures_total", .help = "index builds failed", .kind = METRIC_COUNTER};

/* The files of a region at one moment, and by which schema and for which columns they are indexed. */
struct build {
    struct mito_region *region;
    struct region_metadata *metadata;
    uint8_t kinds[2];               /* by the file's level */
    struct sst_index_options index; /* with a reference */
    struct sst_file **files;
    uint32_t n_files;
};

static void build_release(struct build *b)
{
    for (uint32_t i = 0; i < b->n_files; i++)
        sst_file_unref(b->files[i]);
    free(b->files);
    region_metadata_unref(b->metadata);
    buffer_unref(b->index.ignored);
    *b = (struct build){0};
}

static uint8_t kinds_of(const struct file_meta *m, uint32_t column_id)
{
    for (uint32_t i = 0; i < m->n_indexes; i++)
        if (m->indexes[i].column_id == column_id)
            return m->indexes[i].kinds;
    return 0;
}

/* Whether the file has no index of a column that wants one. */
static bool lacks(const struct sst_file *file, const struct region_metadata *metadata, const struct sst_index_options *index, uint8_t kinds)
{
    const struct file_meta *m = &file->meta;
    for (uint32_t i = 0; i < metadata->n_columns; i++)
        if (sst_indexer_wanted(&metadata->columns[i], index) & kinds & ~kinds_of(m, metadata->columns[i].id))
            return true;
    return false;
}

/* The files that lack an index. Those in another region's folder (region_files.c) are left to that region: the names of new versions are its to give.
 * `again`: those, too, for which that was tried in vain. */
static int build_new(struct mito_region *r, const uint8_t kinds[2], bool again, struct build *ret, struct error *err)
{
    pthread_mutex_lock(&r->lock);
    struct build b = {.region = r,
                      .metadata = region_metadata_ref(r->metadata),
                      .kinds = {kinds[0], kinds[1]},
                      .index = {r->options.index.segment_rows, buffer_ref(r->options.index.ignored)},
                      .files = calloc(r->n_files + 1, sizeof *b.files)};
    int st = !b.files                                                    ? error_no_memory(err, r->n_files * sizeof *b.files)
             : r->state == REGION_WRITABLE || r->state == REGION_STAGING ? ST_OK
                                                                         : mito_region_wrong_state(r, "writable", err);
    for (uint32_t i = 0; st == ST_OK && i < r->n_files && r->state == REGION_WRITABLE; i++) {
        struct sst_file *f = r->files[i];
        bool mine = !f->meta.region_id || f->meta.region_id == r->id, tried = atomic_load(&f->index_tried) == r->metadata->schema_version + 1;
        if (mine && (again || !tried) && lacks(f, r->metadata, &b.index, b.kinds[f->meta.level != 0]))
            b.files[b.n_files++] = sst_file_ref(f);
    }
    pthread_mutex_unlock(&r->lock);
    if (st == ST_OK)
        *ret = b;
    else
        build_release(&b);
    return st;
}

/* ---- one file ---- */

/* A column whose type has changed since: its stored values are not those that the region shows. */
static int leave_out_changed(const struct build *b, struct sst_file *file, struct sst_indexer *x, struct error *err)
{
    struct object_reader *reader;
    struct sst_footer *footer;
    TRY(sst_open_reader(file, &reader, err));
    int st = sst_footer_get(file, reader, &footer, err);
    for (uint32_t i = 0; st == ST_OK && i < b->metadata->n_columns; i++) {
        struct sst_column c = sst_find_column(footer, b->metadata, i);
        if (c.file_column >= 0 && !type_equal(footer->metadata->columns[c.file_column].type, c.want->type, false))
            sst_indexer_leave_out(x, i);
    }
    if (st == ST_OK)
        sst_footer_put(file, footer);
    reader->ops->close(reader);
    return st;
}

static int feed(const struct build *b, struct sst_file *file, struct sst_indexer *x, struct error *err)
{
    struct mito_engine *e = b->region->engine;
    struct row_source *source;
    uint32_t n = b->metadata->n_columns, *columns = calloc((size_t)n + 1, sizeof *columns);
    if (!columns)
        return error_no_memory(err, n * sizeof *columns);
    for (uint32_t i = 0; i < n; i++)
        columns[i] = i;
    struct read_request q = {.metadata = b->metadata,
                             .columns = columns,
                             .n_columns = n,
                             .time_min = INT64_MIN,
                             .time_max = INT64_MAX,
                             .budget = &e->compact_budget,
                             .work = &e->compact_work,
                             .need_key = true};
    uint64_t rows = 0;
    int st = sst_source_new(file, &q, &source, err);
    free(columns);
    TRY(st);
    for (;;) {
        struct row_batch *batch;
        if ((st = row_source_next(source, &batch, err)) != ST_OK || !batch)
            break;
        rows += (uint64_t)batch->n_rows;
        sst_indexer_add(x, batch);
        row_batch_free(batch);
    }
    row_source_free(source);
    if (st == ST_OK && rows != file->meta.num_rows)
        st = error_set(err, ST_CORRUPT, "SST %s has %llu rows, the manifest says %llu", file->meta.file_id, (unsigned long long)rows,
                       (unsigned long long)file->meta.num_rows);
    return st;
}

/* Whether `m` has an index of some column that `old` has not. */
static bool gains(const struct file_meta *m, const struct file_meta *old)
{
    for (uint32_t i = 0; i < m->n_indexes; i++)
        if (m->indexes[i].kinds & ~kinds_of(old, m->indexes[i].column_id))
            return true;
    return false;
}

/* Makes `meta`, whose index is in the store, that of the file. *ret_kept: the manifest lists the index, or may. */
static int commit(const struct build *b, struct sst_file *file, struct file_meta *meta, bool *ret_kept, struct error *err)
{
    struct mito_region *r = b->region;
    struct sst_file *fresh;
    struct manifest_edit edit = {.add = meta, .n_add = 1, .timestamp_ms = clock_wall_ms()};
    TRY(sst_file_reindexed(file, meta, &fresh, err));
    pthread_mutex_lock(&r->job_lock);
    pthread_mutex_lock(&r->lock);
    bool valid = mito_files_have(r, file) && r->state == REGION_WRITABLE;
    pthread_mutex_unlock(&r->lock);
    int st = valid ? manifest_update_edit(r->manifest, &edit, err)
                   : error_set(err, ST_CANCELLED, "SST %s was removed while its index was built", meta->file_id);
    bool committed = st == ST_OK;
    if (committed) {
        pthread_mutex_lock(&r->lock);
        mito_files_swap(r, file, fresh);
        mito_note_manifest(r);
        pthread_mutex_unlock(&r->lock);
        metric_add(metric_plain(&built), 1);
    }
    *ret_kept = mito_note_doubt(r) || committed;
    pthread_mutex_unlock(&r->job_lock);
    sst_file_unref(fresh);
    return st;
}

static int build_file(const struct build *b, struct sst_file *file, struct error *err)
{
    struct mito_engine *e = b->region->engine;
    struct sst_write_options o = {.store = file->store,
                                  .region_dir = file->dir,
                                  .metadata = b->metadata,
                                  .indexes = b->kinds[file->meta.level != 0],
                                  .index = b->index,
                                  .budget = &e->compact_budget};
    struct sst_indexer *x;
    struct file_meta meta;
    bool kept = false;
    TRY(work_check(&e->compact_work, err));
    TRY(file_meta_copy(&file->meta, &meta, err));
    file_meta_clear_index(&meta, file->meta.index_file_size ? file->meta.index_version + 1 : 0);
    int st = sst_indexer_new(&o, &x, err);
    if (st == ST_OK && x) {
        st = leave_out_changed(b, file, x, err);
        if (st == ST_OK)
            st = feed(b, file, x, err);
        if (st == ST_OK)
            st = sst_indexer_finish(x, &meta, err);
        sst_indexer_free(x);
    }
    bool gained = st == ST_OK && gains(&meta, &file->meta), written = meta.available_indexes != 0;
    if (st == ST_OK && !gained)
        atomic_store(&file->index_tried, b->metadata->schema_version + 1);
    if (gained)
        st = commit(b, file, &meta, &kept, err);
    if (written && !kept)
        sst_remove_index(file->store, file->dir, &meta);
    file_meta_release(&meta);
    return st;
}

/* Every file gets its chance; the first error is told. */
static int build_all(struct mito_region *r, const uint8_t kinds[2], bool again, struct error *err)
{
    struct build b;
    TRY(build_new(r, kinds, again, &b, err));
    int st = ST_OK;
    for (uint32_t i = 0; i < b.n_files; i++) {
        int mine = build_file(&b, b.files[i], st == ST_OK ? err : NULL);
        metric_add(metric_plain(&failures), mine != ST_OK);
        st = st == ST_OK && mine != ST_CANCELLED ? mine : st;
    }
    build_release(&b);
    return st;
}

/* ---- entry points ---- */

int mito_region_build_index(struct mito_engine *e, uint64_t region_id, struct error *err)
{
    static const uint8_t all[2] = {SST_INDEX_ALL, SST_INDEX_ALL};
    struct mito_region *r;
    TRY(mito_region_get(e, region_id, &r, err));
    while (!mito_rewrite_begin(r))
        clock_sleep_ns(10000000);
    int st = build_all(r, all, true, err);
    mito_rewrite_end(r);
    mito_region_unref(r);
    return st;
}

static void build_quietly(void *arg)
{
    struct mito_region *r = arg;
    struct error err;
    atomic_store(&r->index_build_queued, false);
    if (mito_rewrite_begin(r)) { /* else a compaction runs, after which it is asked for again */
        int st = build_all(r, r->engine->options.later_indexes, false, &err);
        if (st != ST_OK && st != ST_REGION_NOT_READY)
            log_warn("mito", "building indexes of region %llu failed: %s; the next flush tries again", (unsigned long long)r->id, err.msg);
        mito_rewrite_end(r);
    }
    mito_region_unref(r);
}

void mito_schedule_index_build(struct mito_region *r)
{
    struct mito_engine *e = r->engine;
    if (!(e->options.later_indexes[0] | e->options.later_indexes[1]) || atomic_load(&e->compact_work.cancelled) ||
        atomic_exchange(&r->index_build_queued, true))
        return;
    atomic_fetch_add(&r->refs, 1);
    if (thread_pool_submit(e->compactions, build_quietly, r, NULL) == ST_OK)
        return;
    atomic_store(&r->index_build_queued, false);
    mito_region_unref(r);
}
