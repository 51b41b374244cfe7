/* The reserved inspection tables `__inspect/__mito/...` (region-rpc.md 7.2): what files the node has, as rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/mito/inspect.h"
#include "engine/mito/sst_internal.h"

struct inspect_column { const char *name; enum type_id type; enum time_unit unit; bool nullable; };

#define S TYPE_UTF8
static const struct inspect_column sst_manifest[] = {
    {"table_dir", S, 0, false}, {"region_id", TYPE_UINT64, 0, false}, {"table_id", TYPE_UINT32, 0, false}, {"region_number", TYPE_UINT32, 0, false},
    {"region_group", TYPE_UINT8, 0, false}, {"region_sequence", TYPE_UINT32, 0, false}, {"file_id", S, 0, false}, {"index_version", TYPE_UINT64, 0, false},
    {"level", TYPE_UINT8, 0, false}, {"file_path", S, 0, false}, {"file_size", TYPE_UINT64, 0, false}, {"index_file_path", S, 0, true},
    {"index_file_size", TYPE_UINT64, 0, true}, {"num_rows", TYPE_UINT64, 0, false}, {"num_row_groups", TYPE_UINT64, 0, false},
    {"num_series", TYPE_UINT64, 0, true}, {"min_ts", TYPE_TIMESTAMP, UNIT_NANO, true}, {"max_ts", TYPE_TIMESTAMP, UNIT_NANO, true},
    {"sequence", TYPE_UINT64, 0, true}, {"origin_region_id", TYPE_UINT64, 0, false}, {"node_id", TYPE_UINT64, 0, true}, {"visible", TYPE_BOOL, 0, false}};
static const struct inspect_column sst_storage[] = {{"file_path", S, 0, false}, {"file_size", TYPE_UINT64, 0, true},
                                                    {"last_modified_ms", TYPE_TIMESTAMP, UNIT_MILLI, true}, {"node_id", TYPE_UINT64, 0, true}};
static const struct inspect_column puffin_meta[] = {
    {"table_dir", S, 0, false}, {"index_file_path", S, 0, false}, {"region_id", TYPE_UINT64, 0, false}, {"table_id", TYPE_UINT32, 0, false},
    {"region_number", TYPE_UINT32, 0, false}, {"region_group", TYPE_UINT8, 0, false}, {"region_sequence", TYPE_UINT32, 0, false}, {"file_id", S, 0, false},
    {"index_file_size", TYPE_UINT64, 0, true}, {"index_type", S, 0, false}, {"target_type", S, 0, false}, {"target_key", S, 0, false},
    {"target_json", S, 0, false}, {"blob_size", TYPE_UINT64, 0, false}, {"meta_json", S, 0, true}, {"node_id", TYPE_UINT64, 0, true}};
#undef S

static struct dtype *type_for(const struct inspect_column *c)
{
    return c->type == TYPE_TIMESTAMP ? type_temporal(TYPE_TIMESTAMP, c->unit) : type_of(c->type);
}

int inspect_put_text(struct collector *c, uint32_t i, const char *text, struct error *err)
{
    return text ? column_builder_append_bytes(&c->builders[i], text, strlen(text), err) : column_builder_append_null(&c->builders[i], err);
}

int inspect_put_number(struct collector *c, uint32_t i, uint64_t v, struct error *err)
{
    return column_builder_append_fixed(&c->builders[i], &v, err);
}

static int put_number_or_null(struct collector *c, uint32_t i, uint64_t v, bool present, struct error *err)
{
    return present ? inspect_put_number(c, i, v, err) : column_builder_append_null(&c->builders[i], err);
}

static int put_time(struct collector *c, uint32_t i, int64_t value, enum time_unit unit, struct error *err)
{
    static const int64_t scale[] = {1000000000, 1000000, 1000, 1};
    int64_t ns;
    if (__builtin_mul_overflow(value, scale[unit], &ns))
        return column_builder_append_null(&c->builders[i], err);
    return column_builder_append_fixed(&c->builders[i], &ns, err);
}

void inspect_table_dir(const char *region_dir, char *out, size_t room)
{
    size_t n = strlen(region_dir), cut = 1; /* components; a metric region has one more, "data/" or "metadata/" */
    if (n > 6 && (strcmp(region_dir + n - 6, "/data/") == 0 || (n > 10 && strcmp(region_dir + n - 10, "/metadata/") == 0)))
        cut++;
    for (; cut; cut--) {
        n -= n > 0;
        while (n && region_dir[n - 1] != '/')
            n--;
    }
    snprintf(out, room, "%.*s", (int)n, region_dir);
}

static int put_sst(struct collector *c, const struct mito_region *r, const struct sst_file *f, struct error *err)
{
    const struct file_meta *m = &f->meta;
    char table_dir[1100], path[1300];
    uint32_t number = (uint32_t)m->region_id;
    bool indexed = m->available_indexes != 0;
    inspect_table_dir(r->dir, table_dir, sizeof table_dir);
    snprintf(path, sizeof path, "%s%s.parquet", f->dir, m->file_id);
    TRY(inspect_put_text(c, 0, table_dir, err));
    TRY(inspect_put_number(c, 1, r->id, err));
    TRY(inspect_put_number(c, 2, r->id >> 32, err));
    TRY(inspect_put_number(c, 3, (uint32_t)r->id, err));
    TRY(inspect_put_number(c, 4, number >> 24, err));
    TRY(inspect_put_number(c, 5, number & 0xffffff, err));
    TRY(inspect_put_text(c, 6, m->file_id, err));
    TRY(inspect_put_number(c, 7, m->index_version, err));
    TRY(inspect_put_number(c, 8, m->level, err));
    TRY(inspect_put_text(c, 9, path, err));
    TRY(inspect_put_number(c, 10, m->file_size, err));
    TRY(sst_index_key(f->dir, m->file_id, m->index_version, path, sizeof path, err));
    TRY(inspect_put_text(c, 11, indexed ? path : NULL, err));
    TRY(put_number_or_null(c, 12, m->index_file_size, indexed, err));
    TRY(inspect_put_number(c, 13, m->num_rows, err));
    TRY(inspect_put_number(c, 14, m->num_row_groups, err));
    TRY(put_number_or_null(c, 15, m->num_series, m->num_series != 0, err));
    TRY(put_time(c, 16, m->time_min, m->time_unit, err));
    TRY(put_time(c, 17, m->time_max, m->time_unit, err));
    TRY(put_number_or_null(c, 18, m->sequence, m->sequence != 0, err));
    TRY(inspect_put_number(c, 19, m->region_id, err));
    TRY(put_number_or_null(c, 20, c->engine->options.node_id, true, err));
    return column_builder_append_bool(&c->builders[21], true, err);
}

static int collect_ssts(struct collector *c, struct error *err)
{
    struct mito_engine *e = c->engine;
    size_t pos = 0;
    uint64_t id;
    void *value;
    int st = ST_OK;
    pthread_rwlock_rdlock(&e->lock);
    while (st == ST_OK && u64_map_next(&e->regions, &pos, &id, &value)) {
        struct mito_region *r = value;
        pthread_mutex_lock(&r->lock);
        for (uint32_t i = 0; st == ST_OK && i < r->n_files; i++)
            st = put_sst(c, r, r->files[i], err);
        pthread_mutex_unlock(&r->lock);
    }
    pthread_rwlock_unlock(&e->lock);
    return st;
}

static int put_object(void *ctx, const struct object_info *info, struct error *err)
{
    struct collector *c = ctx;
    size_t n = strlen(info->key);
    if (info->is_dir || n < 8 || (strcmp(info->key + n - 8, ".parquet") != 0 && strcmp(info->key + n - 7, ".puffin") != 0))
        return ST_OK;
    TRY(inspect_put_text(c, 0, info->key, err));
    /* Size and time are for stores whose listing has them; the peer has none for local files. */
    TRY(put_number_or_null(c, 1, 0, false, err));
    TRY(put_number_or_null(c, 2, 0, false, err));
    return put_number_or_null(c, 3, c->engine->options.node_id, true, err);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The folders of the tables that have a region here, each once: nodes may share a store. No I/O happens under the locks. */
static int table_dirs(struct mito_engine *e, char ***ret_dirs, uint32_t *ret_n, struct error *err)
{
    char dir[1100];
    uint32_t n = 0, distinct = 0;
    size_t pos = 0;
    uint64_t id;
    void *value;
    pthread_rwlock_rdlock(&e->lock);
    size_t room = (e->regions.count + 1) * sizeof(char *);
    char **dirs = malloc(room);
    bool good = dirs;
    while (good && u64_map_next(&e->regions, &pos, &id, &value)) {
        inspect_table_dir(((struct mito_region *)value)->dir, dir, sizeof dir);
        good = (dirs[n] = strdup(dir)) != NULL;
        n += good;
    }
    pthread_rwlock_unlock(&e->lock);
    if (n)
        qsort(dirs, n, sizeof *dirs, compare_text);
    for (uint32_t i = 0; i < n; i++) {
        if (distinct && strcmp(dirs[distinct - 1], dirs[i]) == 0)
            free(dirs[i]);
        else
            dirs[distinct++] = dirs[i];
    }
    *ret_dirs = dirs;
    *ret_n = distinct;
    return good ? ST_OK : error_no_memory(err, room);
}

static int collect_objects(struct collector *c, struct error *err)
{
    struct object_store *store = c->engine->options.store;
    char **dirs;
    uint32_t n;
    int st = table_dirs(c->engine, &dirs, &n, err);
    for (uint32_t i = 0; i < n; i++) {
        if (st == ST_OK)
            st = store->ops->list(store, dirs[i], true, put_object, c, err);
        free(dirs[i]);
    }
    free(dirs);
    return st;
}

/* ---- a table of one batch ---- */

struct batch_table {
    struct table base;
    struct batch *batch;
};

struct batch_table_stream {
    struct batch_stream base;
    struct batch *batch; /* NULL once handed out */
};

static int batch_table_next(struct batch_stream *base, struct batch **ret_batch, struct error *err)
{
    struct batch_table_stream *s = (struct batch_table_stream *)base;
    (void)err;
    *ret_batch = s->batch;
    s->batch = NULL;
    return ST_OK;
}

static void batch_table_stream_free(struct batch_stream *base)
{
    batch_unref(((struct batch_table_stream *)base)->batch);
    schema_unref(base->schema);
    free(base);
}

static const struct batch_stream_ops batch_table_stream_ops = {batch_table_next, batch_table_stream_free};

static int batch_table_scan(struct table *t, const struct scan_request *q, struct work_context *work, struct batch_stream **ret_stream,
                            struct error *err)
{
    struct batch *all = ((struct batch_table *)t)->batch;
    struct batch_table_stream *s = calloc(1, sizeof *s);
    struct field *fields[INSPECT_COLUMNS_MAX];
    struct column *columns[INSPECT_COLUMNS_MAX];
    (void)work;
    if (!s)
        return error_no_memory(err, sizeof *s);
    for (uint32_t i = 0; i < q->n_columns && i < INSPECT_COLUMNS_MAX; i++)
        fields[i] = all->schema->fields[q->columns[i]];
    struct schema *plain = schema_new(fields, q->n_columns);
    s->base = (struct batch_stream){&batch_table_stream_ops, plain ? schema_with_meta(plain, all->schema->meta, all->schema->n_meta) : NULL, NULL};
    schema_unref(plain);
    int st = s->base.schema ? ST_OK : error_no_memory(err, 64);
    if (st == ST_OK && all->n_rows) {
        for (uint32_t i = 0; i < q->n_columns && i < INSPECT_COLUMNS_MAX; i++)
            columns[i] = column_ref(all->columns[q->columns[i]]);
        st = batch_new(s->base.schema, all->n_rows, columns, &s->batch, err);
    }
    if (st == ST_OK)
        *ret_stream = &s->base;
    else
        batch_table_stream_free(&s->base);
    return st;
}

static void batch_table_free(struct table *t)
{
    batch_unref(((struct batch_table *)t)->batch);
    schema_unref(t->schema);
    free(t);
}

static const struct table_ops batch_table_ops = {batch_table_scan, batch_table_free, NULL};

static struct schema *schema_for(const struct inspect_column *columns, uint32_t n)
{
    struct field *fields[INSPECT_COLUMNS_MAX] = {0};
    struct kv version = {(char *)"greptime:version", (char *)"0"};
    bool good = true;
    for (uint32_t i = 0; i < n; i++)
        good = (fields[i] = field_new(columns[i].name, type_for(&columns[i]), columns[i].nullable)) && good;
    struct schema *plain = good ? schema_new(fields, n) : NULL;
    struct schema *whole = plain ? schema_with_meta(plain, &version, 1) : NULL;
    schema_unref(plain);
    for (uint32_t i = 0; i < n; i++)
        field_unref(fields[i]);
    return whole;
}

/* The collected rows as a table. */
static int finish(struct collector *c, struct table **ret_table, struct error *err)
{
    struct column *columns[INSPECT_COLUMNS_MAX] = {0};
    struct schema *schema = schema_for(c->columns, c->n);
    struct batch *batch = NULL;
    int64_t rows = c->builders[0].length;
    int st = schema ? ST_OK : error_no_memory(err, 1024);
    uint32_t made = 0;
    for (; st == ST_OK && made < c->n; made += st == ST_OK)
        st = column_builder_finish(&c->builders[made], &columns[made], err);
    if (st == ST_OK)
        st = batch_new(schema, rows, columns, &batch, err);
    else
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    struct batch_table *t = st == ST_OK ? calloc(1, sizeof *t) : NULL;
    if (st == ST_OK && !t) {
        batch_unref(batch);
        st = error_no_memory(err, sizeof *t);
    }
    if (st != ST_OK) {
        schema_unref(schema);
        return st;
    }
    t->base = (struct table){.ops = &batch_table_ops, .schema = schema, .time_index = -1};
    t->batch = batch;
    *ret_table = &t->base;
    return ST_OK;
}

int mito_inspect(struct mito_engine *e, const char *name, struct table **ret_table, struct error *err)
{
    struct collector c = {.engine = e};
    bool manifest = strcasecmp(name, "__inspect/__mito/__sst_manifest") == 0, storage = strcasecmp(name, "__inspect/__mito/__sst_storage") == 0;
    c.columns = manifest ? sst_manifest : storage ? sst_storage : puffin_meta;
    c.n = (uint32_t)(manifest  ? sizeof sst_manifest / sizeof *sst_manifest
                     : storage ? sizeof sst_storage / sizeof *sst_storage
                               : sizeof puffin_meta / sizeof *puffin_meta);
    if (!manifest && !storage && strcasecmp(name, "__inspect/__mito/__puffin_index_meta") != 0)
        return error_set(err, ST_UNEXPECTED, "no such inspection table: %.200s", name);
    int st = ST_OK;
    uint32_t made = 0;
    for (; st == ST_OK && made < c.n; made += st == ST_OK)
        st = column_builder_init(&c.builders[made], &e->scan_budget, type_for(&c.columns[made]), err);
    if (st == ST_OK && manifest)
        st = collect_ssts(&c, err);
    else if (st == ST_OK && storage)
        st = collect_objects(&c, err);
    else if (st == ST_OK)
        st = inspect_collect_indexes(&c, err);
    if (st == ST_OK)
        st = finish(&c, ret_table, err);
    for (uint32_t i = 0; i < made; i++)
        column_builder_release(&c.builders[i]);
    return st;
}
