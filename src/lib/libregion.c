/* The library of include/libregion.h: a region server of followers over a file system that cannot write.
 *
 * Invariant: nothing here or below changes the folder. That is not left to good behaviour: every file call goes through fs_readonly(), the engines
 * have no log and so start no threads of their own, and regions are opened without replay. What was handed out keeps the folder alive: arrays hold
 * their stream, streams the folder, and its accounts are counted until the last buffer is gone.
 */
#include "libregion.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrow/cdata.h"
#include "base/log.h"
#include "engine/file/file.h"
#include "engine/metric/metric.h"
#include "engine/mito/mito.h"
#include "exec/expr.h"
#include "os/fs_readonly.h"
#include "os/thread.h"
#include "region/scan_plan.h"
#include "region/server.h"
#include "store/object_store.h"

#define API __attribute__((visibility("default")))

enum { REQUEST_BYTES_MAX = 16 << 20, FILTER_BYTES_MAX = 1 << 20, INDEX_PAGE_BYTES = 64 << 10, DESCRIBE_META_MAX = 64 };

struct entry {
    uint64_t id, rows, files;
    char *engine, *path, *problem;
};

struct libregion {
    _Atomic int refs;
    struct budget root, query;
    struct object_store *store;
    struct region_server *regions;
    struct entry *entries; /* by id */
    size_t n, room;
};

struct stream {
    _Atomic int refs; /* the consumer's stream, and the arrays that came from it */
    struct libregion *folder;
    struct dynbuf request;
    struct work_context work;
    struct region_query *query;
    struct error err;
};

/* ---- errors ---- */

static int number_of(int st)
{
    switch (st) {
    case ST_OK:
        return 0;
    case ST_INVALID_ARGUMENTS:
    case ST_PLAN_QUERY:
    case ST_COLUMN_NOT_FOUND:
        return EINVAL;
    case ST_REGION_NOT_FOUND:
    case ST_NOT_FOUND:
        return ENOENT;
    case ST_EXHAUSTED:
    case ST_NO_MEMORY:
        return ENOMEM;
    case ST_UNSUPPORTED:
        return ENOTSUP;
    default:
        return EIO;
    }
}

static int tell(int st, const struct error *err, char *error, size_t error_bytes)
{
    if (st != ST_OK && error && error_bytes)
        snprintf(error, error_bytes, "%s", err->msg);
    return number_of(st);
}

/* ---- folders ---- */

static void folder_unref(struct libregion *f)
{
    if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
        return;
    region_server_free(f->regions);
    if (f->store)
        f->store->ops->free(f->store);
    for (size_t i = 0; i < f->n; i++) {
        free(f->entries[i].engine);
        free(f->entries[i].path);
        free(f->entries[i].problem);
    }
    free(f->entries);
    free(f);
}

/* Takes the engine. */
static int add_engine(struct libregion *f, struct engine *engine, struct error *err)
{
    int st = region_server_add_engine(f->regions, engine, err);
    if (st != ST_OK)
        engine->ops->free(engine);
    return st;
}

static int add_engines(struct libregion *f, size_t limit, struct error *err)
{
    struct engine *mito, *metric, *file;
    size_t share = limit / 64;
    struct mito_options o = {.store = f->store,
                             .root_budget = &f->root,
                             .write_buffer_bytes = SIZE_MAX / 2,
                             .write_reject_bytes = SIZE_MAX / 2,
                             .caches = {share, share, share, INDEX_PAGE_BYTES, 4 * share},
                             .checkpoint_distance = UINT32_MAX,
                             .default_flat_format = true,
                             .query_indexes = SST_INDEX_ALL};
    TRY(mito_engine_new(&o, &mito, err));
    TRY(add_engine(f, mito, err));
    struct metric_options m = {.mito = mito, .sparse_keys = true};
    TRY(metric_engine_new(&m, &metric, err));
    TRY(add_engine(f, metric, err));
    struct file_engine_options e = {.store = f->store, .fs = fs_readonly(), .budget = &f->query, .cast = expr_cast_column};
    TRY(file_engine_new(&e, &file, err));
    return add_engine(f, file, err);
}

static int add_entry(void *ctx, const struct region_info *info, struct error *err)
{
    struct libregion *f = ctx;
    if (f->n == f->room) {
        size_t room = f->room ? 2 * f->room : 64;
        struct entry *grown = realloc(f->entries, room * sizeof *grown);
        if (!grown)
            return error_no_memory(err, room * sizeof *grown);
        f->entries = grown;
        f->room = room;
    }
    struct entry *e = &f->entries[f->n];
    *e = (struct entry){.id = info->region_id, .rows = info->has_stat ? info->stat.num_rows : 0, .files = info->has_stat ? info->stat.sst_num : 0};
    e->engine = strdup(info->engine);
    e->path = strdup(info->path ? info->path : "");
    e->problem = info->error ? strdup(info->error) : NULL;
    f->n++;
    return e->engine && e->path && (!info->error || e->problem) ? ST_OK : error_no_memory(err, 256);
}

static int by_id(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int open_folder(struct libregion *f, const char *path, const struct libregion_options *options, struct error *err)
{
    char list[PATH_MAX], data[PATH_MAX];
    struct fs *fs = fs_readonly();
    struct fs_stat stat;
    size_t limit = options && options->memory_limit_bytes ? options->memory_limit_bytes : memory_total_bytes() / 2;
    if (snprintf(list, sizeof list, "%s/regions.json", path) >= PATH_MAX || snprintf(data, sizeof data, "%s/data", path) >= PATH_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "the path %.200s... is too long", path);
    TRY(fs->ops->stat(fs, path, &stat, err));
    if (!stat.is_dir)
        return error_set(err, ST_INVALID_ARGUMENTS, "%s is no folder", path);
    budget_init(&f->root, "libregion", "memory_limit_bytes", limit, NULL);
    budget_init(&f->query, "scans", "memory_limit_bytes", SIZE_MAX, &f->root);
    TRY(object_store_open_folder_for_reading(fs, path, &f->store, err));
    struct region_server_options o = {.fs = fs,
                                      .list_path = list,
                                      .data_dir = data,
                                      .query_budget = &f->query,
                                      .query_parallelism = options ? options->threads : 0,
                                      .read_only = true};
    TRY(region_server_new(&o, &f->regions, err));
    TRY(add_engines(f, limit, err));
    TRY(region_server_start(f->regions, err));
    region_server_wait_opened(f->regions);
    TRY(region_server_each(f->regions, add_entry, f, err));
    if (f->n)
        qsort(f->entries, f->n, sizeof *f->entries, by_id);
    return ST_OK;
}

API int libregion_open(const char *folder, const struct libregion_options *options, struct libregion **ret_folder, char *error, size_t error_bytes)
{
    struct error err = {0};
    struct libregion *f = calloc(1, sizeof *f);
    int st = f ? ST_OK : error_no_memory(&err, sizeof *f);
    log_set_level(LOG_OFF); /* what goes wrong is said in errors and in the regions' problems */
    mito_cast = expr_try_cast_column;
    if (f) {
        atomic_init(&f->refs, 1);
        st = open_folder(f, folder, options, &err);
    }
    if (st == ST_OK)
        *ret_folder = f;
    else
        folder_unref(f);
    return tell(st, &err, error, error_bytes);
}

API void libregion_close(struct libregion *folder)
{
    folder_unref(folder);
}

/* ---- what there is ---- */

API size_t libregion_count(const struct libregion *folder)
{
    return folder->n;
}

API int libregion_info(const struct libregion *folder, size_t i, struct libregion_info *ret_info, char *error, size_t error_bytes)
{
    struct error err;
    if (i >= folder->n)
        return tell(error_set(&err, ST_INVALID_ARGUMENTS, "there is no region %zu of %zu", i, folder->n), &err, error, error_bytes);
    const struct entry *e = &folder->entries[i];
    *ret_info = (struct libregion_info){e->id, e->engine, e->path, e->problem, e->rows, e->files};
    return 0;
}

static const char *role_of(const struct region_column *c)
{
    return c->semantic == SEMANTIC_TAG ? "tag" : c->semantic == SEMANTIC_FIELD ? "field" : "time";
}

/* The column as a field whose metadata says its role, besides what it says anyway; NULL when memory is out. */
static struct field *described(const struct region_column *c)
{
    struct kv meta[DESCRIBE_META_MAX];
    uint32_t n = 0;
    meta[n++] = (struct kv){(char *)"regiond:role", (char *)role_of(c)};
    for (uint32_t i = 0; i < c->n_meta && n < DESCRIBE_META_MAX; i++)
        meta[n++] = c->meta[i];
    struct field *plain = field_new(c->name, c->type, c->nullable), *whole = plain ? field_with_meta(plain, meta, n) : NULL;
    field_unref(plain);
    return whole;
}

static int describe(struct libregion *f, uint64_t id, struct ArrowSchema *ret_schema, struct error *err)
{
    struct region_metadata *m;
    uint32_t made = 0;
    TRY(region_server_metadata(f->regions, id, &m, err));
    struct field **fields = calloc((size_t)m->n_columns + 1, sizeof(struct field *));
    struct schema *schema = NULL;
    while (fields && made < m->n_columns && (fields[made] = described(&m->columns[made])))
        made++;
    if (fields && made == m->n_columns)
        schema = schema_new(fields, made);
    int st = schema ? cdata_export_schema(schema, ret_schema, err) : error_no_memory(err, m->n_columns * sizeof(struct field));
    schema_unref(schema);
    for (uint32_t i = 0; i < made; i++)
        field_unref(fields[i]);
    free(fields);
    region_metadata_unref(m);
    return st;
}

API int libregion_describe(struct libregion *folder, uint64_t region_id, struct ArrowSchema *ret_schema, char *error, size_t error_bytes)
{
    struct error err = {0};
    return tell(describe(folder, region_id, ret_schema, &err), &err, error, error_bytes);
}

/* ---- streams ---- */

static void stream_ref(void *ctx)
{
    atomic_fetch_add(&((struct stream *)ctx)->refs, 1);
}

static void stream_unref(void *ctx)
{
    struct stream *s = ctx;
    if (atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    region_query_free(s->query);
    dynbuf_release(&s->request);
    folder_unref(s->folder);
    free(s);
}

static int stream_schema(struct ArrowArrayStream *base, struct ArrowSchema *out)
{
    struct stream *s = base->private_data;
    return number_of(cdata_export_schema(region_query_schema(s->query), out, &s->err));
}

static int stream_next(struct ArrowArrayStream *base, struct ArrowArray *out)
{
    struct stream *s = base->private_data;
    struct batch *batch;
    const struct cdata_owner owner = {stream_ref, stream_unref, s};
    int st = region_query_next(s->query, &batch, &s->err);
    if (st != ST_OK)
        return number_of(st);
    if (!batch) {
        *out = (struct ArrowArray){0}; /* released: the end */
        return 0;
    }
    st = cdata_export_batch(batch, &owner, out, &s->err);
    batch_unref(batch);
    return number_of(st);
}

static const char *stream_error(struct ArrowArrayStream *base)
{
    return ((struct stream *)base->private_data)->err.msg;
}

static void stream_release(struct ArrowArrayStream *base)
{
    struct stream *s = base->private_data;
    atomic_store(&s->work.cancelled, true);
    stream_unref(s);
    base->release = NULL;
}

/* ---- scans ---- */

static int pick_columns(const struct region_metadata *m, const struct libregion_scan *scan, struct arena *arena, struct scan_plan *plan,
                        struct error *err)
{
    bool all = !scan || !scan->columns;
    size_t n = all ? m->n_columns : scan->n_columns;
    if (n == 0 || n > UINT16_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "a scan of %zu columns", n);
    uint32_t *columns = ARENA_ARRAY(arena, n, uint32_t, err);
    if (!columns)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        int found = all ? (int)i : region_metadata_find(m, scan->columns[i], strlen(scan->columns[i]));
        if (found < 0)
            return error_set(err, ST_COLUMN_NOT_FOUND, "region %" PRIu64 " has no column '%.100s'", m->region_id, scan->columns[i]);
        columns[i] = (uint32_t)found;
    }
    plan->columns = columns;
    plan->n_columns = (uint32_t)n;
    return ST_OK;
}

/* `"ts" >= 5`, with AND before it unless it is the first. */
static int put_bound(const char *time_index, const char *op, int64_t bound, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "%s\"", out->size ? " AND " : ""));
    for (const char *p = time_index; *p; p++) {
        if (*p == '"')
            TRY(dynbuf_append_byte(out, '"', err));
        TRY(dynbuf_append_byte(out, (uint8_t)*p, err));
    }
    return dynbuf_printf(out, err, "\" %s %" PRId64, op, bound);
}

/* The time range is a filter like another; out->data is the text, zero-terminated, or there is none. */
static int put_filter(const struct region_metadata *m, const struct libregion_scan *scan, struct dynbuf *out, struct error *err)
{
    const char *time_index = m->columns[m->time_index].name;
    if (scan && scan->has_time_min)
        TRY(put_bound(time_index, ">=", scan->time_min, out, err));
    if (scan && scan->has_time_max)
        TRY(put_bound(time_index, "<", scan->time_max, out, err));
    if (scan && scan->filter)
        TRY(dynbuf_printf(out, err, "%s%s", out->size ? " AND " : "", scan->filter));
    return out->size ? dynbuf_append_byte(out, 0, err) : ST_OK;
}

static int build_request(struct stream *s, const struct region_metadata *m, const struct libregion_scan *scan, struct error *err)
{
    struct arena arena;
    struct dynbuf filter;
    struct scan_plan plan = {.meta = m, .limit = -1};
    arena_init(&arena, &s->folder->query);
    dynbuf_init(&filter, FILTER_BYTES_MAX);
    int st = pick_columns(m, scan, &arena, &plan, err);
    if (st == ST_OK)
        st = put_filter(m, scan, &filter, err);
    if (st == ST_OK) {
        plan.filter = (const char *)filter.data;
        if (scan && scan->has_limit)
            plan.limit = scan->limit < INT64_MAX ? (int64_t)scan->limit : INT64_MAX;
        st = scan_plan_request(&plan, &arena, &s->request, err);
    }
    dynbuf_release(&filter);
    arena_release(&arena);
    return st;
}

static int start_scan(struct stream *s, uint64_t id, const struct libregion_scan *scan, struct error *err)
{
    struct region_metadata *m;
    TRY(region_server_metadata(s->folder->regions, id, &m, err));
    int st = build_request(s, m, scan, err);
    region_metadata_unref(m);
    TRY(st);
    return region_server_query(s->folder->regions, s->request.data, s->request.size, &s->work, &s->query, err);
}

API int libregion_scan(struct libregion *folder, uint64_t region_id, const struct libregion_scan *scan, struct ArrowArrayStream *ret_stream,
                       char *error, size_t error_bytes)
{
    struct error err = {0};
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return tell(error_no_memory(&err, sizeof *s), &err, error, error_bytes);
    atomic_init(&s->refs, 1);
    atomic_fetch_add(&folder->refs, 1);
    s->folder = folder;
    dynbuf_init(&s->request, REQUEST_BYTES_MAX);
    int st = start_scan(s, region_id, scan, &err);
    if (st == ST_OK)
        *ret_stream = (struct ArrowArrayStream){stream_schema, stream_next, stream_error, stream_release, s};
    else
        stream_unref(s);
    return tell(st, &err, error, error_bytes);
}
