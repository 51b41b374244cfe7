/* A region as a table: a snapshot of its memtables and files, and the streams that read it.
 *
 * Sources whose time ranges overlap form a group that is merged and deduplicated; groups that do not overlap are read one after another without any
 * merging. In append mode nothing needs merging at all. A group's files are opened when its turn comes, so a LIMIT that is satisfied early
 * never opens the rest.
 */
#include <stdlib.h>

#include "engine/mito/mito.h"
#include "engine/mito/predicate.h"

struct mito_table {
    struct table base;
    _Atomic int refs;            /* the table and its streams */
    struct mito_engine *engine;
    struct region_metadata *metadata;
    struct memtable **memtables; /* old to new */
    uint32_t n_memtables;
    struct sst_file **files;
    uint32_t n_files;
    enum merge_mode mode;
    uint8_t indexes;             /* kinds that queries may use */
};

static void snapshot_unref(struct mito_table *t)
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

/* ---- the stream ---- */

struct origin { /* a memtable or a file, not opened yet */
    struct memtable_view *view; /* owned until it is opened */
    struct sst_file *file;
    int64_t time_min, time_max;
    uint64_t age;              /* files by sequence, then memtables: older ones first */
};

struct scan_stream {
    struct batch_stream base;
    struct mito_table *snapshot;
    struct scan_request request;      /* its arrays are the stream's own */
    uint32_t *columns;
    struct scan_predicate *predicates;
    bool *fields;
    struct work_context *work;
    struct budget *budget;
    struct origin *origins;           /* sorted by group */
    uint32_t n_origins, next_origin;
    int64_t time_min, time_max;
    struct row_source *group;         /* the group being read */
    struct scan_stats stats;
};

static int by_start(const void *a, const void *b)
{
    const struct origin *x = a, *y = b;
    return (x->time_min > y->time_min) - (x->time_min < y->time_min);
}

static int by_age(const void *a, const void *b)
{
    const struct origin *x = a, *y = b;
    return (x->age > y->age) - (x->age < y->age);
}

/* End of the group that starts at origin i. */
static uint32_t group_end(const struct scan_stream *s, uint32_t i)
{
    if (s->snapshot->mode == MERGE_APPEND && !s->request.want_key_order)
        return i + 1;
    if (s->request.want_key_order)
        return s->n_origins;
    int64_t end = s->origins[i].time_max;
    for (i++; i < s->n_origins && s->origins[i].time_min <= end; i++)
        end = s->origins[i].time_max > end ? s->origins[i].time_max : end;
    return i;
}

static int open_origin(struct scan_stream *s, struct origin *o, bool alone, struct row_source **ret_source, struct error *err)
{
    bool append = s->snapshot->mode == MERGE_APPEND;
    struct read_request q = {.metadata = s->snapshot->metadata, .columns = s->columns, .n_columns = s->request.n_columns, .predicates = s->predicates,
                             .n_predicates = s->request.n_predicates, .append = append, .alone = alone, .last_row_only = alone && s->request.last_row_only,
                             .limit = (alone || append) && s->request.limit > 0 ? s->request.limit : 0, .time_min = s->time_min, .time_max = s->time_max,
                             .has_max_sequence = s->request.has_memtable_max_sequence, .max_sequence = s->request.memtable_max_sequence,
                             .indexes = s->snapshot->indexes, .budget = s->budget, .work = s->work, .stats = &s->stats, .need_key = !alone};
    struct memtable_view *view = o->view;
    o->view = NULL;
    return view ? memtable_view_source_new(view, &q, ret_source, err) : mito_file_source(o->file, &q, ret_source, err);
}

static int open_group(struct scan_stream *s, struct error *err)
{
    uint32_t from = s->next_origin, to = group_end(s, from), n = 0;
    struct row_source **sources = calloc(to - from, sizeof *sources);
    int st = sources ? ST_OK : error_no_memory(err, (to - from) * sizeof *sources);
    qsort(s->origins + from, to - from, sizeof *s->origins, by_age);
    for (; st == ST_OK && from + n < to; n += st == ST_OK)
        st = open_origin(s, &s->origins[from + n], to - from == 1, &sources[n], err);
    if (st == ST_OK && n == 1 && s->snapshot->mode == MERGE_APPEND) {
        s->group = sources[0];
    } else if (st == ST_OK) {
        st = merge_source_new(sources, n, s->snapshot->mode, true, s->fields, s->request.n_columns, s->budget, s->work, &s->group, err);
    } else {
        for (uint32_t i = 0; i < n; i++)
            row_source_free(sources[i]);
    }
    s->next_origin = to;
    free(sources);
    return st;
}

static int stream_next(struct batch_stream *base, struct batch **ret_batch, struct error *err)
{
    struct scan_stream *s = (struct scan_stream *)base;
    struct row_batch *rows = NULL;
    *ret_batch = NULL;
    while (!rows) {
        TRY(work_check(s->work, err));
        if (!s->group) {
            if (s->next_origin == s->n_origins)
                return ST_OK;
            TRY(open_group(s, err));
        }
        TRY(row_source_next(s->group, &rows, err));
        if (!rows) {
            row_source_free(s->group);
            s->group = NULL;
        }
    }
    for (uint32_t i = 0; i < rows->n_columns; i++)
        column_ref(rows->columns[i]);
    int st = batch_new(base->schema, rows->n_rows, rows->columns, ret_batch, err);
    s->stats.rows += rows->n_rows;
    row_batch_free(rows);
    return st;
}

static void stream_free(struct batch_stream *base)
{
    struct scan_stream *s = (struct scan_stream *)base;
    row_source_free(s->group);
    for (uint32_t i = 0; s->predicates && i < s->request.n_predicates; i++)
        column_unref(s->predicates[i].values);
    free(s->predicates);
    free(s->columns);
    free(s->fields);
    for (uint32_t i = 0; i < s->n_origins; i++)
        memtable_view_free(s->origins[i].view);
    free(s->origins);
    schema_unref(base->schema);
    if (s->snapshot)
        snapshot_unref(s->snapshot);
    free(s);
}

static const struct batch_stream_ops stream_ops = {stream_next, stream_free};

/* Adds an origin unless the time range leaves it out. */
static void add_origin(struct scan_stream *s, struct origin o)
{
    if (o.time_max >= s->time_min && o.time_min <= s->time_max)
        s->origins[s->n_origins++] = o;
    else
        memtable_view_free(o.view);
}

/* The active memtable may gain rows while the scan runs: what it sees of it is what there is now. */
static int add_memtable(struct scan_stream *s, uint32_t i, struct error *err)
{
    struct memtable_stats stats;
    struct memtable_view *views[2];
    uint32_t n;
    memtable_stats(s->snapshot->memtables[i], &stats);
    if (!stats.rows || stats.time_max < s->time_min || stats.time_min > s->time_max)
        return ST_OK;
    TRY(memtable_open_views(s->snapshot->memtables[i], s->work, views, &n, err));
    for (uint32_t k = 0; k < n; k++) {
        memtable_view_stats(views[k], &stats);
        add_origin(s, (struct origin){.view = views[k], .time_min = stats.time_min, .time_max = stats.time_max,
                                      .age = UINT64_MAX - 2 * (s->snapshot->n_memtables - i) + k});
    }
    return ST_OK;
}

static int collect_origins(struct scan_stream *s, struct error *err)
{
    struct mito_table *t = s->snapshot;
    s->origins = calloc(t->n_files + 2 * (size_t)t->n_memtables + 1, sizeof *s->origins);
    if (!s->origins)
        return error_no_memory(err, (t->n_files + t->n_memtables) * sizeof *s->origins);
    for (uint32_t i = 0; i < t->n_files; i++) {
        const struct file_meta *m = &t->files[i]->meta;
        if (m->sequence && m->sequence <= s->request.sst_min_sequence)
            continue;
        add_origin(s, (struct origin){.file = t->files[i], .time_min = m->time_min, .time_max = m->time_max, .age = m->sequence});
    }
    for (uint32_t i = 0; i < t->n_memtables; i++)
        TRY(add_memtable(s, i, err));
    qsort(s->origins, s->n_origins, sizeof *s->origins, by_start);
    return ST_OK;
}

static int copy_request(struct scan_stream *s, const struct scan_request *q, struct error *err)
{
    const struct region_metadata *m = s->snapshot->metadata;
    s->request = *q;
    s->request.n_predicates = 0;
    s->columns = malloc((q->n_columns + 1) * sizeof *s->columns);
    s->fields = malloc((q->n_columns + 1) * sizeof *s->fields);
    s->predicates = calloc(q->n_predicates + 1, sizeof *s->predicates);
    struct field **fields = malloc((q->n_columns + 1) * sizeof *fields);
    if (!s->columns || !s->fields || !s->predicates || !fields) {
        free(fields);
        return error_no_memory(err, q->n_columns * 16);
    }
    for (uint32_t i = 0; i < q->n_columns; i++) {
        s->columns[i] = q->columns[i];
        s->fields[i] = m->columns[q->columns[i]].semantic == SEMANTIC_FIELD;
        fields[i] = m->columns[q->columns[i]].field;
    }
    for (uint32_t i = 0; i < q->n_predicates; i++) {
        s->predicates[i] = q->predicates[i];
        column_ref(q->predicates[i].values);
        s->request.n_predicates++;
    }
    struct schema *plain = schema_new(fields, q->n_columns);
    free(fields);
    s->base.schema = plain ? schema_with_meta(plain, m->schema->meta, m->schema->n_meta) : NULL;
    schema_unref(plain);
    return s->base.schema ? ST_OK : error_no_memory(err, 256);
}

static int table_scan(struct table *base, const struct scan_request *request, struct work_context *work, struct batch_stream **ret_stream, struct error *err)
{
    struct mito_table *t = (struct mito_table *)base;
    struct scan_stream *s = calloc(1, sizeof *s);
    if (!s)
        return error_no_memory(err, sizeof *s);
    s->base.ops = &stream_ops;
    s->base.stats = &s->stats;
    s->snapshot = t;
    atomic_fetch_add(&t->refs, 1);
    s->work = work;
    s->budget = work && work->budget ? work->budget : &t->engine->scan_budget;
    s->time_min = INT64_MIN;
    s->time_max = INT64_MAX;
    int st = copy_request(s, request, err);
    if (st == ST_OK) {
        predicate_time_range(s->predicates, s->request.n_predicates, t->metadata->time_index, &s->time_min, &s->time_max);
        st = collect_origins(s, err);
    }
    if (st != ST_OK) {
        stream_free(&s->base);
        return st;
    }
    *ret_stream = &s->base;
    return ST_OK;
}

static void table_free_mito(struct table *base)
{
    snapshot_unref((struct mito_table *)base);
}

static const struct table_ops mito_table_ops = {table_scan, table_free_mito};

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
    t->base = (struct table){.ops = &mito_table_ops, .schema = t->metadata->schema, .key = t->metadata->key, .n_key = t->metadata->n_key,
                             .time_index = (int32_t)t->metadata->time_index, .region_id = r->id, .append_mode = r->options.append_mode};
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
        snapshot_unref(t);
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
