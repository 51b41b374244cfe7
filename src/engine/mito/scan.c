/* A region as a table: a snapshot of its memtables and files. */
#include <stdlib.h>

#include "engine/mito/predicate.h"
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

struct time_range {
    int64_t min, max;
};

/* Adds a source's range, unless the scan leaves it out. */
static void add_range(struct time_range *ranges, uint32_t *n, const struct time_range *scanned, int64_t min, int64_t max)
{
    if (max >= scanned->min && min <= scanned->max)
        ranges[(*n)++] = (struct time_range){min, max};
}

/* How many groups of ranges that overlap there are. Changes their order. */
static uint32_t count_groups(struct time_range *ranges, uint32_t n)
{
    uint32_t groups = 0;
    for (; n; groups++) {
        struct time_range group = ranges[--n];
        for (uint32_t i = 0; i < n;) {
            if (ranges[i].min > group.max || ranges[i].max < group.min) {
                i++;
                continue;
            }
            group.min = ranges[i].min < group.min ? ranges[i].min : group.min;
            group.max = ranges[i].max > group.max ? ranges[i].max : group.max;
            ranges[i] = ranges[--n];
            i = 0;
        }
    }
    return groups;
}

/* Sources that overlap are merged by key anyway, and without a key groups follow each other in its order; in append mode nothing is merged. */
static bool table_in_key_order(struct table *base, const struct scan_request *q)
{
    const struct mito_table *t = (const struct mito_table *)base;
    struct time_range ranges[KEY_ORDER_SOURCES_MAX], scanned = {INT64_MIN, INT64_MAX};
    struct memtable_stats stats;
    uint32_t n = 0;
    if (!base->key_ordered)
        return false;
    predicate_time_range(q->predicates, q->n_predicates, t->metadata->time_index, &scanned.min, &scanned.max);
    for (uint32_t i = 0; i < t->n_files; i++)
        add_range(ranges, &n, &scanned, t->files[i]->meta.time_min, t->files[i]->meta.time_max);
    for (uint32_t i = 0; i < t->n_memtables; i++) {
        memtable_stats(t->memtables[i], &stats);
        if (stats.rows)
            add_range(ranges, &n, &scanned, stats.time_min, stats.time_max);
    }
    uint32_t sources = n, groups = count_groups(ranges, n);
    if (t->mode == MERGE_APPEND)
        return t->metadata->n_key ? sources <= 1 : sources == groups;
    return groups <= 1 || t->metadata->n_key == 0;
}

static const struct table_ops mito_table_ops = {table_scan, table_free_mito, mito_table_cut, table_in_key_order};

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
                             .series_ordered = !t->metadata->sparse_key && t->mode != MERGE_APPEND,
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
