/* A file region as a table: its files one after another, their columns fitted to the region's (file-engine.md 6.1). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/file/file.h"

struct file_table {
    struct table base;
    struct file_region *region;
    const struct file_engine_options *engine;
};

struct file_stream {
    struct batch_stream base;
    struct file_region *region;
    const struct file_engine_options *engine;
    struct work_context *work;
    struct budget *budget;
    uint32_t *columns, n_columns; /* wanted, of the region */
    int32_t *sources;             /* per wanted column: its place among `file_columns`, -1 = no file has it */
    uint32_t *file_columns, n_file_columns;
    uint32_t next_file;
    char path[8192];
    struct file_decoder *decoder; /* of the file being read */
    int64_t left;                 /* rows until the request's limit */
};

static int open_next(struct file_stream *s, struct error *err)
{
    const struct file_region *r = s->region;
    int n = snprintf(s->path, sizeof s->path, "%s%s", r->root, r->files[s->next_file++]);
    if (n < 0 || (size_t)n >= sizeof s->path)
        return error_set(err, ST_STORAGE, "the path of a file of %s is too long", r->location);
    struct file_read read = {s->engine, r, s->path, s->file_columns, s->n_file_columns, s->budget};
    return r->format == FILE_CSV    ? csv_decoder_open(&read, &s->decoder, err)
           : r->format == FILE_JSON ? ndjson_decoder_open(&read, &s->decoder, err)
                                    : parquet_decoder_open(&read, &s->decoder, err);
}

/* What a column that no file has holds. */
static int default_column(struct file_stream *s, const struct region_column *c, int64_t n, struct column **ret_column, struct error *err)
{
    if (c->default_kind == DEFAULT_VALUE) {
        struct buffer *zeros;
        TRY(buffer_new(s->budget, (size_t)n * 4, &zeros, err)); /* n times row 0 */
        int st = column_take(s->budget, c->default_value, (const uint32_t *)(const void *)zeros->data, n, ret_column, err);
        buffer_unref(zeros);
        return st;
    }
    if (c->default_kind == DEFAULT_FUNCTION && c->type->id == TYPE_TIMESTAMP) {
        struct timespec now;
        struct buffer *values;
        clock_gettime(CLOCK_REALTIME, &now);
        int64_t per = units_per_second(c->type->unit), v = now.tv_sec * per + now.tv_nsec / (1000000000 / per);
        TRY(buffer_new_uninit(s->budget, (size_t)n * 8, &values, err));
        for (int64_t i = 0; i < n; i++)
            ((int64_t *)(void *)values->data)[i] = v;
        return column_new(c->type, n, 0, NULL, values, NULL, ret_column, err);
    }
    if (!c->nullable)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s is missing from file source and has no default", c->name);
    return column_new_nulls(s->budget, c->type, n, ret_column, err);
}

static int fit_column(struct file_stream *s, uint32_t i, struct column *const *stored, int64_t n, struct column **ret_column, struct error *err)
{
    const struct region_column *c = &s->region->metadata->columns[s->columns[i]];
    if (s->sources[i] < 0)
        return default_column(s, c, n, ret_column, err);
    struct column *from = stored[s->sources[i]], *to;
    if (type_equal(from->type, c->type, false))
        to = column_ref(from);
    else
        TRY(s->engine->cast(s->budget, from, c->type, true, &to, err));
    if (!c->nullable && column_null_count(to)) {
        column_unref(to);
        return error_set(err, ST_CORRUPT, "%s: column %s is not null but has nulls", s->path, c->name);
    }
    *ret_column = to;
    return ST_OK;
}

static int fit(struct file_stream *s, struct column *const *stored, int64_t n, struct batch **ret_batch, struct error *err)
{
    struct column **columns = calloc(s->n_columns + 1, sizeof *columns);
    uint32_t made = 0;
    int st = columns ? ST_OK : error_no_memory(err, s->n_columns * sizeof *columns);
    for (; st == ST_OK && made < s->n_columns; made += st == ST_OK)
        st = fit_column(s, made, stored, n, &columns[made], err);
    if (st == ST_OK)
        st = batch_new(s->base.schema, n, columns, ret_batch, err);
    else
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    free(columns);
    return st;
}

static int stream_next(struct batch_stream *base, struct batch **ret_batch, struct error *err)
{
    struct file_stream *s = (struct file_stream *)base;
    int64_t n = 0;
    *ret_batch = NULL;
    if (s->left == 0)
        return ST_OK;
    struct column **stored = calloc(s->n_file_columns + 1, sizeof *stored);
    int st = stored ? ST_OK : error_no_memory(err, s->n_file_columns * sizeof *stored);
    while (st == ST_OK && !n && (s->decoder || s->next_file < s->region->n_files)) {
        st = work_check(s->work, err);
        if (st == ST_OK && !s->decoder)
            st = open_next(s, err);
        if (st == ST_OK)
            st = s->decoder->ops->next(s->decoder, stored, &n, err);
        if (st == ST_OK && !n) {
            s->decoder->ops->free(s->decoder);
            s->decoder = NULL;
        }
    }
    if (st == ST_OK && n) {
        st = fit(s, stored, n, ret_batch, err);
        for (uint32_t i = 0; i < s->n_file_columns; i++)
            column_unref(stored[i]);
        if (s->left > 0)
            s->left = s->left > n ? s->left - n : 0;
    }
    free(stored);
    return st == ST_NOT_FOUND ? error_set(err, ST_STORAGE, "%s does not exist", s->path) : st;
}

static void stream_free(struct batch_stream *base)
{
    struct file_stream *s = (struct file_stream *)base;
    if (s->decoder)
        s->decoder->ops->free(s->decoder);
    schema_unref(base->schema);
    file_region_unref(s->region);
    free(s->columns);
    free(s->sources);
    free(s->file_columns);
    free(s);
}

static const struct batch_stream_ops stream_ops = {stream_next, stream_free};

static int32_t find_in_files(const struct file_region *r, const char *name)
{
    for (uint32_t i = 0; i < r->n_columns; i++)
        if (strcmp(r->columns[i].name, name) == 0)
            return (int32_t)i;
    return -1;
}

/* Which columns are wanted, and which of them the files have. */
static int plan(struct file_stream *s, const struct scan_request *q, struct error *err)
{
    const struct region_metadata *m = s->region->metadata;
    size_t room = (size_t)q->n_columns + 1;
    s->columns = malloc(room * sizeof *s->columns);
    s->sources = malloc(room * sizeof *s->sources);
    s->file_columns = malloc(room * sizeof *s->file_columns);
    struct field **fields = malloc(room * sizeof *fields);
    int st = s->columns && s->sources && s->file_columns && fields ? ST_OK : error_no_memory(err, room * 24);
    for (uint32_t i = 0; st == ST_OK && i < q->n_columns; i++) {
        if (q->columns[i] >= m->n_columns) {
            st = error_set(err, ST_INVALID_ARGUMENTS, "column %u of a table with %u columns", q->columns[i], m->n_columns);
            break;
        }
        const struct region_column *c = &m->columns[q->columns[i]];
        int32_t at = find_in_files(s->region, c->name);
        s->columns[i] = q->columns[i];
        s->sources[i] = at < 0 ? -1 : (int32_t)s->n_file_columns;
        fields[i] = c->field;
        if (at >= 0)
            s->file_columns[s->n_file_columns++] = (uint32_t)at;
    }
    s->n_columns = q->n_columns;
    struct schema *plain = st == ST_OK ? schema_new(fields, q->n_columns) : NULL;
    free(fields);
    TRY(st);
    s->base.schema = plain ? schema_with_meta(plain, m->schema->meta, m->schema->n_meta) : NULL;
    schema_unref(plain);
    return s->base.schema ? ST_OK : error_no_memory(err, 256);
}

static int table_scan(struct table *base, const struct scan_request *q, struct work_context *work, struct batch_stream **ret_stream,
                      struct error *err)
{
    struct file_table *t = (struct file_table *)base;
    if (!t->region->root)
        return error_set(err, ST_UNSUPPORTED, "files at %.300s cannot be read: only local ones can", t->region->location);
    struct file_stream *s = calloc(1, sizeof *s);
    if (!s)
        return error_no_memory(err, sizeof *s);
    s->base.ops = &stream_ops;
    s->region = t->region;
    atomic_fetch_add(&s->region->refs, 1);
    s->engine = t->engine;
    s->work = work;
    s->budget = work && work->budget ? work->budget : t->engine->budget;
    s->left = q->n_predicates ? -1 : q->limit;
    int st = plan(s, q, err);
    if (st == ST_OK)
        *ret_stream = &s->base;
    else
        stream_free(&s->base);
    return st;
}

static void table_free_file(struct table *base)
{
    struct file_table *t = (struct file_table *)base;
    file_region_unref(t->region);
    free(t);
}

static const struct table_ops file_table_ops = {table_scan, table_free_file, NULL};

int file_region_table(struct file_region *r, const struct file_engine_options *engine, struct table **ret_table, struct error *err)
{
    const struct region_metadata *m = r->metadata;
    struct file_table *t = calloc(1, sizeof *t);
    if (!t)
        return error_no_memory(err, sizeof *t);
    atomic_fetch_add(&r->refs, 1);
    t->region = r;
    t->engine = engine;
    t->base = (struct table){
        .ops = &file_table_ops, .schema = m->schema, .key = m->key, .n_key = m->n_key, .time_index = (int32_t)m->time_index, .region_id = r->id};
    *ret_table = &t->base;
    return ST_OK;
}
