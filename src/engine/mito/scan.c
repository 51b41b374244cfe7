/* A region as a table: a snapshot of its memtables and files. */
#include <stdlib.h>

#include "engine/mito/scan_plan.h"

enum { KEY_ORDER_SOURCES_MAX = 8 }; /* a merge holds a row group of each; a sort of more rows may go to disk */

void mito_table_unref(struct mito_table *t)
{
    if (atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    for (uint32_t i = 0; i < t->n_memtables; i++)
        memtable_unref(t->memtables[i]);
    for (uint32_t i = 0; i < t->n_files; i++)
        sst_file_unref(t->files[i]);
    free(t->memtables);
    free(t->files);
    region_metadata_unref(t->metadata);
    free(t);
}

static int table_scan(struct table *base, const struct scan_request *request, struct work_context *work, struct batch_stream **ret_stream,
                      struct error *err)
{
    struct scan_plan *p;
    TRY(scan_plan_new((struct mito_table *)base, request, work, &p, err));
    int st = scan_stream_new(p, 0, p->n_pieces, ret_stream, err);
    scan_plan_unref(p);
    return st;
}

static void table_free_mito(struct table *base)
{
    mito_table_unref((struct mito_table *)base);
}

static const struct table_ops mito_table_ops = {table_scan, table_free_mito, mito_table_cut};

/* ---- the snapshot ---- */

static int take_snapshot(struct mito_table *t, struct mito_region *r, struct error *err)
{
    t->memtables = calloc(r->n_frozen + 1, sizeof *t->memtables);
    t->files = calloc(r->n_files + 1, sizeof *t->files);
    if (!t->memtables || !t->files)
        return error_no_memory(err, r->n_files * sizeof *t->files);
    for (uint32_t i = 0; i < r->n_frozen; i++)
        t->memtables[t->n_memtables++] = memtable_ref(r->frozen[i]);
    t->memtables[t->n_memtables++] = memtable_ref(r->active);
    for (uint32_t i = 0; i < r->n_files; i++)
        t->files[t->n_files++] = sst_file_ref(r->files[i]);
    t->metadata = region_metadata_ref(r->metadata);
    t->mode = r->options.append_mode ? MERGE_APPEND : r->options.merge_mode;
    t->indexes = r->engine->options.query_indexes;
    t->base = (struct table){.ops = &mito_table_ops,
                             .schema = t->metadata->schema,
                             .key = t->metadata->key,
                             .n_key = t->metadata->n_key,
                             .time_index = (int32_t)t->metadata->time_index,
                             .region_id = r->id,
                             .append_mode = r->options.append_mode,
                             .key_ordered = !t->metadata->sparse_key && t->n_files + t->n_memtables <= KEY_ORDER_SOURCES_MAX};
    return ST_OK;
}

static int table_of(struct mito_region *r, struct table **ret_table, struct error *err)
{
    struct mito_table *t = calloc(1, sizeof *t);
    if (!t)
        return error_no_memory(err, sizeof *t);
    atomic_init(&t->refs, 1);
    t->engine = r->engine;
    pthread_mutex_lock(&r->lock);
    int st = take_snapshot(t, r, err);
    pthread_mutex_unlock(&r->lock);
    if (st == ST_OK)
        *ret_table = &t->base;
    else
        mito_table_unref(t);
    return st;
}

int mito_region_table(struct mito_engine *e, uint64_t region_id, struct table **ret_table, struct error *err)
{
    struct mito_region *r;
    TRY(mito_region_get(e, region_id, &r, err));
    int st = table_of(r, ret_table, err);
    mito_region_unref(r);
    return st;
}

int mito_sibling_table(struct mito_engine *e, uint64_t region_id, uint64_t sibling_id, struct table **ret_table, struct error *err)
{
    struct mito_region *r, *sibling;
    if (mito_region_table(e, sibling_id, ret_table, NULL) == ST_OK)
        return ST_OK;
    TRY(mito_region_get(e, region_id, &r, err));
    int st = mito_stored_region(r, sibling_id, &sibling, err);
    if (st == ST_OK) {
        st = table_of(sibling, ret_table, err);
        mito_region_unref(sibling);
    }
    mito_region_unref(r);
    return st;
}
