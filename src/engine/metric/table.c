/* Reading logical regions: the data region, cut to the rows of one table and the columns it has, under the schema that clients know (metric-engine.md
 * 9). */
#include <stdlib.h>
#include <string.h>

#include "engine/metric/metric.h"
#include "format/key/sparse.h"

/* ---- metadata ---- */

struct named_index {
    const char *name;
    uint32_t index;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct named_index *)a)->name, ((const struct named_index *)b)->name);
}

/* The columns `ids` of the data region, sorted by name. */
static int project(const struct region_metadata *data, uint64_t logical_id, const uint32_t *ids, uint32_t n, struct region_metadata **ret_meta,
                   struct error *err)
{
    struct named_index *order = malloc((n + 1) * sizeof *order);
    uint32_t *indexes = malloc((n + 1) * sizeof *indexes), found = 0;
    int st = order && indexes ? ST_OK : error_no_memory(err, n * sizeof *order);
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        int at = region_metadata_find_id(data, ids[i]);
        if (at >= 0)
            order[found++] = (struct named_index){data->columns[at].name, (uint32_t)at};
    }
    if (st == ST_OK) {
        qsort(order, found, sizeof *order, by_name);
        for (uint32_t i = 0; i < found; i++)
            indexes[i] = order[i].index;
        st = region_metadata_project(data, logical_id, indexes, found, ret_meta, err);
    }
    free(order);
    free(indexes);
    return st;
}

/* Metadata of a logical region and of the data region it is in. */
static int logical_metadata(struct metric_engine *e, uint64_t id, struct region_metadata **ret_meta, uint64_t *ret_data_id, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct metric_physical *p;
    struct region_metadata *data;
    uint32_t *ids, n;
    TRY(metric_logical_get(e, id, &p, &ids, &n, err));
    int st = m->ops->metadata(m, p->id, &data, err);
    if (st == ST_OK) {
        st = project(data, id, ids, n, ret_meta, err);
        region_metadata_unref(data);
    }
    *ret_data_id = p->id;
    free(ids);
    metric_physical_unref(p);
    return st;
}

int metric_metadata(struct metric_engine *e, uint64_t id, struct region_metadata **ret_meta, struct error *err)
{
    struct engine *m = metric_mito(e);
    uint64_t data_id;
    return metric_is_physical(e, id) ? m->ops->metadata(m, id, ret_meta, err) : logical_metadata(e, id, ret_meta, &data_id, err);
}

/* ---- the stream ---- */

struct logical_stream {
    struct batch_stream base;
    struct batch_stream *data; /* the wanted columns, then __table_id */
    uint32_t table_id, n_columns;
    struct budget *budget;
};

/* Rows of the table: how many, and which unless it is all of them. */
static int select_rows(struct logical_stream *s, struct column *table_ids, uint32_t *rows, int64_t *ret_n, struct error *err)
{
    struct column *plain;
    int64_t n = 0;
    TRY(column_decode_dictionary(NULL, table_ids, &plain, err));
    const uint32_t *ids = COLUMN_VALUES(plain, uint32_t);
    for (int64_t i = 0; i < plain->length; i++) {
        rows[n] = (uint32_t)i;
        n += ids[i] == s->table_id;
    }
    column_unref(plain);
    *ret_n = n;
    return ST_OK;
}

static int cut_batch(struct logical_stream *s, struct batch *b, struct batch **ret_batch, struct error *err)
{
    uint32_t *rows = malloc(((size_t)b->n_rows + 1) * sizeof *rows), made = 0;
    struct column **columns = calloc(s->n_columns + 1, sizeof *columns);
    int64_t n = 0;
    int st = rows && columns ? select_rows(s, b->columns[s->n_columns], rows, &n, err) : error_no_memory(err, (size_t)b->n_rows * sizeof *rows);
    for (; st == ST_OK && made < s->n_columns; made += st == ST_OK) {
        if (n == b->n_rows)
            columns[made] = column_ref(b->columns[made]);
        else
            st = column_take(s->budget, b->columns[made], rows, n, &columns[made], err);
    }
    if (st == ST_OK)
        st = batch_new(s->base.schema, n, columns, ret_batch, err);
    else
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    free(rows);
    free(columns);
    return st;
}

static int stream_next(struct batch_stream *base, struct batch **ret_batch, struct error *err)
{
    struct logical_stream *s = (struct logical_stream *)base;
    *ret_batch = NULL;
    for (;;) {
        struct batch *b, *cut;
        TRY(batch_stream_next(s->data, &b, err));
        if (!b)
            return ST_OK;
        int st = cut_batch(s, b, &cut, err);
        batch_unref(b);
        TRY(st);
        if (cut->n_rows) {
            *ret_batch = cut;
            return ST_OK;
        }
        batch_unref(cut);
    }
}

static void stream_free(struct batch_stream *base)
{
    struct logical_stream *s = (struct logical_stream *)base;
    batch_stream_free(s->data);
    schema_unref(base->schema);
    free(s);
}

static const struct batch_stream_ops stream_ops = {stream_next, stream_free};

/* ---- the table ---- */

struct logical_table {
    struct table base;
    struct table *data;
    struct region_metadata *metadata;
    uint32_t *places; /* per column of the logical schema: index into the data region's */
    uint32_t table_id_place;
    struct column *table_id; /* one value */
};

static void table_free_logical(struct table *base)
{
    struct logical_table *t = (struct logical_table *)base;
    table_free(t->data);
    region_metadata_unref(t->metadata);
    column_unref(t->table_id);
    free(t->places);
    free(t);
}

static int check_columns(const struct logical_table *t, const struct scan_request *q, struct error *err)
{
    uint32_t n = t->base.schema->n_fields;
    for (uint32_t i = 0; i < q->n_columns; i++)
        if (q->columns[i] >= n)
            return error_set(err, ST_INVALID_ARGUMENTS, "column %u of a table with %u columns", q->columns[i], n);
    for (uint32_t i = 0; i < q->n_predicates; i++)
        if (q->predicates[i].column >= n)
            return error_set(err, ST_INVALID_ARGUMENTS, "column %u of a table with %u columns", q->predicates[i].column, n);
    return ST_OK;
}

static int stream_schema(const struct logical_table *t, const struct scan_request *q, struct schema **ret_schema, struct error *err)
{
    struct field **fields = malloc((q->n_columns + 1) * sizeof *fields);
    if (!fields)
        return error_no_memory(err, q->n_columns * sizeof *fields);
    for (uint32_t i = 0; i < q->n_columns; i++)
        fields[i] = t->base.schema->fields[q->columns[i]];
    struct schema *plain = schema_new(fields, q->n_columns);
    free(fields);
    *ret_schema = plain ? schema_with_meta(plain, t->base.schema->meta, t->base.schema->n_meta) : NULL;
    schema_unref(plain);
    return *ret_schema ? ST_OK : error_no_memory(err, 256);
}

/* The request of the data region: its columns, the table's rows. The arrays are for the caller to free, also on failure. */
static int data_request(struct logical_table *t, const struct scan_request *q, struct scan_request *ret_data, uint32_t **ret_columns,
                        struct scan_predicate **ret_predicates, struct error *err)
{
    uint32_t *columns = *ret_columns = malloc((q->n_columns + 1) * sizeof *columns);
    struct scan_predicate *predicates = *ret_predicates = malloc((q->n_predicates + 1) * sizeof *predicates);
    if (!columns || !predicates)
        return error_no_memory(err, (q->n_columns + q->n_predicates) * sizeof *predicates);
    for (uint32_t i = 0; i < q->n_columns; i++)
        columns[i] = t->places[q->columns[i]];
    for (uint32_t i = 0; i < q->n_predicates; i++) {
        predicates[i] = q->predicates[i];
        predicates[i].column = t->places[predicates[i].column];
    }
    columns[q->n_columns] = t->table_id_place;
    predicates[q->n_predicates] = (struct scan_predicate){t->table_id_place, SCAN_EQ, t->table_id};
    *ret_data = *q;
    ret_data->columns = columns;
    ret_data->n_columns++;
    ret_data->predicates = predicates;
    ret_data->n_predicates++;
    ret_data->limit = -1; /* the data region does not know yet which rows count */
    return ST_OK;
}

/* Takes the data region's stream, also on failure. */
static int logical_stream_new(const struct logical_stream *like, struct batch_stream *data, struct batch_stream **ret_stream, struct error *err)
{
    struct logical_stream *s = malloc(sizeof *s);
    if (!s) {
        batch_stream_free(data);
        return error_no_memory(err, sizeof *s);
    }
    *s = *like;
    schema_ref(s->base.schema);
    s->data = data;
    *ret_stream = &s->base;
    return ST_OK;
}

/* What the streams of a scan have in common; the schema is to be given back. */
static int stream_model(const struct logical_table *t, const struct scan_request *q, struct work_context *work, struct logical_stream *ret_model,
                        struct error *err)
{
    TRY(check_columns(t, q, err));
    *ret_model = (struct logical_stream){.base = {.ops = &stream_ops},
                                         .table_id = (uint32_t)(t->base.region_id >> 32),
                                         .n_columns = q->n_columns,
                                         .budget = work ? work->budget : NULL};
    return stream_schema(t, q, &ret_model->base.schema, err);
}

static int table_scan(struct table *base, const struct scan_request *q, struct work_context *work, struct batch_stream **ret_stream,
                      struct error *err)
{
    struct logical_table *t = (struct logical_table *)base;
    struct logical_stream model;
    struct scan_request request;
    struct batch_stream *data;
    uint32_t *columns;
    struct scan_predicate *predicates;
    TRY(stream_model(t, q, work, &model, err));
    int st = data_request(t, q, &request, &columns, &predicates, err);
    if (st == ST_OK)
        st = t->data->ops->scan(t->data, &request, work, &data, err);
    if (st == ST_OK)
        st = logical_stream_new(&model, data, ret_stream, err);
    schema_unref(model.base.schema);
    free(columns);
    free(predicates);
    return st;
}

/* ---- parts: those of the data region ---- */

struct logical_parts {
    struct scan_parts base;
    struct scan_parts *data;
    struct logical_stream model;
};

static int parts_open(struct scan_parts *base, uint32_t part, struct batch_stream **ret_stream, struct error *err)
{
    struct logical_parts *p = (struct logical_parts *)base;
    struct batch_stream *data;
    TRY(p->data->ops->open(p->data, part, &data, err));
    return logical_stream_new(&p->model, data, ret_stream, err);
}

static void parts_free(struct scan_parts *base)
{
    struct logical_parts *p = (struct logical_parts *)base;
    scan_parts_free(p->data);
    schema_unref(p->model.base.schema);
    free(p);
}

static const struct scan_parts_ops parts_ops = {parts_open, parts_free};

static int table_cut(struct table *base, const struct scan_request *q, struct work_context *work, struct scan_parts **ret_parts, struct error *err)
{
    struct logical_table *t = (struct logical_table *)base;
    struct scan_request request;
    uint32_t *columns;
    struct scan_predicate *predicates;
    struct logical_parts *p = calloc(1, sizeof *p);
    if (!p)
        return error_no_memory(err, sizeof *p);
    p->base.ops = &parts_ops;
    int st = stream_model(t, q, work, &p->model, err);
    if (st == ST_OK) {
        st = data_request(t, q, &request, &columns, &predicates, err);
        if (st == ST_OK)
            st = t->data->ops->cut(t->data, &request, work, &p->data, err);
        free(columns);
        free(predicates);
    }
    if (st != ST_OK) {
        parts_free(&p->base);
        return st;
    }
    p->base.n = p->data->n;
    *ret_parts = &p->base;
    return ST_OK;
}

static const struct table_ops logical_ops = {table_scan, table_free_logical, table_cut};

/* Finds the columns in the snapshot, whose schema is at least as new as the metadata. */
static int find_places(struct logical_table *t, struct error *err)
{
    const struct region_metadata *m = t->metadata;
    t->places = malloc((m->n_columns + 1) * sizeof *t->places);
    if (!t->places)
        return error_no_memory(err, m->n_columns * sizeof *t->places);
    for (uint32_t i = 0; i <= m->n_columns; i++) {
        const char *name = i < m->n_columns ? m->columns[i].name : KEY_NAME_TABLE_ID;
        int at = schema_find(t->data->schema, name);
        if (at < 0)
            return error_set(err, ST_CORRUPT, "the data region of table %u has no column %s", (uint32_t)(m->region_id >> 32), name);
        *(i < m->n_columns ? &t->places[i] : &t->table_id_place) = (uint32_t)at;
    }
    return ST_OK;
}

static int table_id_value(uint32_t id, struct column **ret_column, struct error *err)
{
    struct column_builder b;
    TRY(column_builder_init(&b, NULL, type_of(TYPE_UINT32), err));
    int st = column_builder_append_fixed(&b, &id, err);
    if (st == ST_OK)
        st = column_builder_finish(&b, ret_column, err);
    column_builder_release(&b);
    return st;
}

static int logical_table(struct metric_engine *e, uint64_t id, struct table **ret_table, struct error *err)
{
    struct engine *m = metric_mito(e);
    uint64_t data_id;
    struct logical_table *t = calloc(1, sizeof *t);
    if (!t)
        return error_no_memory(err, sizeof *t);
    int st = logical_metadata(e, id, &t->metadata, &data_id, err);
    if (st == ST_OK)
        st = m->ops->table(m, data_id, &t->data, err);
    if (st == ST_OK)
        st = find_places(t, err);
    if (st == ST_OK)
        st = table_id_value((uint32_t)(id >> 32), &t->table_id, err);
    if (st != ST_OK) {
        table_free_logical(&t->base);
        return st;
    }
    t->base = (struct table){.ops = &logical_ops,
                             .schema = t->metadata->schema,
                             .key = t->metadata->key,
                             .n_key = t->metadata->n_key,
                             .time_index = (int32_t)t->metadata->time_index,
                             .region_id = id,
                             .append_mode = t->data->append_mode};
    *ret_table = &t->base;
    return ST_OK;
}

int metric_table(struct metric_engine *e, uint64_t id, struct table **ret_table, struct error *err)
{
    struct engine *m = metric_mito(e);
    return metric_is_physical(e, id) ? m->ops->table(m, id, ret_table, err) : logical_table(e, id, ret_table, err);
}
