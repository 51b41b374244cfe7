/* Writing SSTs in both layouts (mito-on-disk.md 3.1 to 3.7). A file becomes visible only when it is whole; a failure removes those written before it. */
#include "base/log.h"
#include "engine/mito/sst_index.h"
#include "engine/mito/sst_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "format/parquet/parquet.h"

enum { ROW_GROUP_TEXT_BYTES = 512 << 20 };

struct sst_writer {
    const struct sst_write_options *o;
    struct schema *schema;
    uint32_t n_leading, *leading; /* metadata columns stored before the last four */
    struct parquet_column_options *codecs;
    struct dynbuf json;
    struct kv kv;                 /* greptime:metadata; the Parquet writer reads it when it finishes */
    struct object_writer *out;
    struct parquet_writer *parquet;
    struct sst_indexer *indexer;  /* of the open file; NULL = no index */
    uint64_t bytes;
    struct file_meta meta;        /* of the open file */
    struct dynbuf last_key;
    bool has_key;
    struct file_meta *files;
    uint32_t n_files;
};

static int put_bytes(void *ctx, const void *data, size_t size, struct error *err)
{
    struct sst_writer *w = ctx;
    w->bytes += size;
    return w->out->ops->append(w->out, data, size, err);
}

static int layout(struct sst_writer *w, struct error *err)
{
    const struct region_metadata *m = w->o->metadata;
    uint32_t n = 0, total;
    w->leading = calloc(m->n_columns + 1, sizeof *w->leading);
    w->codecs = calloc(m->n_columns + 4, sizeof *w->codecs);
    struct field **fields = calloc(m->n_columns + 4, sizeof *fields);
    if (!w->leading || !w->codecs || !fields) {
        free(fields);
        return error_no_memory(err, m->n_columns * sizeof *fields);
    }
    for (uint32_t i = 0; w->o->format == SST_FORMAT_FLAT && !m->sparse_key && i < m->n_key; i++)
        w->leading[n++] = m->key[i];
    for (uint32_t i = 0; i < m->n_columns; i++)
        if (m->columns[i].semantic == SEMANTIC_FIELD)
            w->leading[n++] = i;
    w->n_leading = n;
    for (uint32_t i = 0; i < n; i++)
        fields[i] = field_new(m->columns[w->leading[i]].name, m->columns[w->leading[i]].type, m->columns[w->leading[i]].nullable);
    fields[n] = field_new(m->columns[m->time_index].name, m->columns[m->time_index].type, false);
    fields[n + 1] = field_new("__primary_key", type_of(TYPE_BINARY), false);
    fields[n + 2] = field_new("__sequence", type_of(TYPE_UINT64), false);
    fields[n + 3] = field_new("__op_type", type_of(TYPE_UINT8), false);
    total = n + 4;
    bool whole = true;
    for (uint32_t i = 0; i < total; i++) {
        bool delta = i == n || i == n + 2;
        w->codecs[i] = (struct parquet_column_options){.codec = i == n + 3 ? PARQUET_UNCOMPRESSED : PARQUET_ZSTD, .level = 1, .dictionary = !delta, .delta = delta};
        whole &= fields[i] != NULL;
    }
    w->schema = whole ? schema_new(fields, total) : NULL;
    for (uint32_t i = 0; i < total; i++)
        field_unref(fields[i]);
    free(fields);
    return w->schema ? ST_OK : error_no_memory(err, total * sizeof(void *));
}

/* Rows of each row group but the last, for a file that begins with this batch. Rows of long texts come in fewer, because a row group is kept in
 * memory until it is whole. No segment of an index may lie in two row groups. */
static int64_t row_group_rows(const struct sst_write_options *o, const struct row_batch *b)
{
    static const int64_t fewer[] = {SST_ROW_GROUP_ROWS / 2, SST_ROW_GROUP_ROWS / 5, SST_ROW_GROUP_ROWS / 10};
    int64_t text = row_batch_text_bytes(b, 0, b->n_rows) / b->n_rows, rows = SST_ROW_GROUP_ROWS;
    for (size_t i = 0; i < sizeof fewer / sizeof *fewer && text * rows > ROW_GROUP_TEXT_BYTES; i++)
        if (!o->index.segment_rows || (uint64_t)fewer[i] % o->index.segment_rows == 0)
            rows = fewer[i];
    return rows;
}

static int open_file(struct sst_writer *w, const struct row_batch *first, struct error *err)
{
    const struct sst_write_options *o = w->o;
    const struct region_metadata *m = o->metadata;
    char key[1024];
    w->meta = (struct file_meta){.region_id = m->region_id, .time_min = INT64_MAX, .time_max = INT64_MIN, .level = o->level, .sequence = o->sequence,
                                 .time_unit = (enum time_unit)m->columns[m->time_index].type->unit};
    if (m->partition_expr && *m->partition_expr && !(w->meta.partition_expr = strdup(m->partition_expr)))
        return error_no_memory(err, strlen(m->partition_expr));
    uuid_v4(w->meta.file_id);
    w->has_key = false;
    w->bytes = 0;
    TRY(sst_object_key(o->region_dir, w->meta.file_id, key, sizeof key, err));
    TRY(o->store->ops->create(o->store, key, &w->out, err));
    w->kv = (struct kv){(char *)"greptime:metadata", (char *)w->json.data};
    struct parquet_writer_options p = {.schema = w->schema, .columns = w->codecs, .dictionary_bytes_max = 1 << 20, .page_bytes_max = 1 << 20,
                                       .page_rows_max = 20000, .row_group_rows = row_group_rows(o, first), .created_by = "regiond " REGIOND_VERSION, .kv = &w->kv, .n_kv = 1,
                                       .store_arrow_schema = true, .write = put_bytes, .ctx = w, .budget = o->budget};
    TRY(parquet_writer_new(&p, &w->parquet, err));
    return sst_indexer_new(o, &w->indexer, err);
}

static int close_file(struct sst_writer *w, struct error *err)
{
    struct parquet_write_result r;
    TRY(parquet_writer_finish(w->parquet, &r, err));
    parquet_writer_free(w->parquet);
    w->parquet = NULL;
    w->meta.file_size = r.file_bytes;
    w->meta.num_rows = (uint64_t)r.n_rows;
    w->meta.num_row_groups = r.n_row_groups;
    w->meta.max_row_group_uncompressed_size = r.max_row_group_uncompressed_bytes;
    struct file_meta *grown = realloc(w->files, (w->n_files + 1) * sizeof *grown);
    if (!grown)
        return error_no_memory(err, (w->n_files + 1) * sizeof *grown);
    w->files = grown;
    struct object_writer *out = w->out;
    w->out = NULL;
    w->files[w->n_files++] = w->meta; /* before the commit: one that fails may leave the object there */
    w->meta = (struct file_meta){0};
    TRY(out->ops->commit(out, err));
    struct error why;
    if (w->indexer && sst_indexer_finish(w->indexer, &w->files[w->n_files - 1], &why) != ST_OK)
        log_warn("mito", "SST %s stays without an index: %s", w->files[w->n_files - 1].file_id, why.msg);
    sst_indexer_free(w->indexer);
    w->indexer = NULL;
    return ST_OK;
}

/* Series and time range. Keys ascend, so a series is new when its key differs from the one before. */
static int count_rows(struct sst_writer *w, const struct row_batch *b, struct error *err)
{
    const uint32_t *codes = COLUMN_VALUES(b->key, uint32_t);
    const int64_t *times = COLUMN_VALUES(b->time, int64_t);
    for (int64_t i = 0; i < b->n_rows; i++) {
        w->meta.time_min = times[i] < w->meta.time_min ? times[i] : w->meta.time_min;
        w->meta.time_max = times[i] > w->meta.time_max ? times[i] : w->meta.time_max;
        if (i && codes[i] == codes[i - 1])
            continue;
        int32_t size;
        const uint8_t *key = column_bytes(b->key->dictionary, codes[i], &size);
        if (w->has_key && w->last_key.size == (size_t)size && (!size || memcmp(w->last_key.data, key, (size_t)size) == 0))
            continue;
        w->has_key = true;
        w->meta.num_series++;
        dynbuf_clear(&w->last_key);
        TRY(dynbuf_append(&w->last_key, key, (size_t)size, err));
    }
    return ST_OK;
}

static int append(struct sst_writer *w, const struct row_batch *b, struct error *err)
{
    uint32_t n = w->n_leading;
    struct buffer *sequences = NULL, *ops = NULL;
    struct column **c = calloc(n + 4, sizeof *c);
    struct batch *batch = NULL;
    int st = c ? count_rows(w, b, err) : error_no_memory(err, n * sizeof *c);
    if (st == ST_OK)
        st = buffer_new_uninit(w->o->budget, (size_t)b->n_rows * 8, &sequences, err);
    for (int64_t i = 0; st == ST_OK && i < b->n_rows; i++)
        ((uint64_t *)(void *)sequences->data)[i] = w->o->sequence;
    if (st == ST_OK)
        st = column_new(type_of(TYPE_UINT64), b->n_rows, 0, NULL, sequences, NULL, &c[n + 2], err);
    if (st == ST_OK && b->op) {
        c[n + 3] = column_ref(b->op);
    } else if (st == ST_OK && (st = buffer_new_uninit(w->o->budget, (size_t)b->n_rows, &ops, err)) == ST_OK) {
        memset(ops->data, OP_PUT, (size_t)b->n_rows);
        st = column_new(type_of(TYPE_UINT8), b->n_rows, 0, NULL, ops, NULL, &c[n + 3], err);
    }
    if (st == ST_OK) {
        for (uint32_t i = 0; i < n; i++)
            c[i] = column_ref(b->columns[w->leading[i]]);
        c[n] = column_ref(b->time);
        c[n + 1] = column_ref(b->key);
        st = batch_new(w->schema, b->n_rows, c, &batch, err);
    } else if (c) {
        column_unref(c[n + 2]);
    }
    if (st == ST_OK)
        st = parquet_writer_append(w->parquet, batch, err);
    batch_unref(batch);
    free(c);
    return st;
}

static int write_all(struct sst_writer *w, struct row_source *source, struct error *err)
{
    for (;;) {
        struct row_batch *b;
        TRY(work_check(w->o->work, err));
        TRY(row_source_next(source, &b, err));
        if (!b)
            return w->parquet ? close_file(w, err) : ST_OK;
        int st = b->n_rows && !w->parquet ? open_file(w, b, err) : ST_OK;
        if (st == ST_OK && b->n_rows)
            st = append(w, b, err);
        if (st == ST_OK && w->indexer)
            sst_indexer_add(w->indexer, b);
        row_batch_free(b);
        if (st == ST_OK && w->parquet && w->o->file_bytes_max && w->bytes >= w->o->file_bytes_max)
            st = close_file(w, err);
        TRY(st);
    }
}

int sst_write(const struct sst_write_options *options, struct row_source *source, struct file_meta **ret_files, uint32_t *ret_n, struct error *err)
{
    struct sst_writer w = {.o = options};
    dynbuf_init(&w.json, 64 << 20);
    dynbuf_init(&w.last_key, 64 << 20);
    int st = region_metadata_to_json(options->metadata, &w.json, err);
    if (st == ST_OK)
        st = dynbuf_append_byte(&w.json, 0, err);
    if (st == ST_OK)
        st = layout(&w, err);
    if (st == ST_OK)
        st = write_all(&w, source, err);
    parquet_writer_free(w.parquet);
    sst_indexer_free(w.indexer);
    if (w.out)
        w.out->ops->abort(w.out);
    file_meta_release(&w.meta);
    for (uint32_t i = 0; st != ST_OK && i < w.n_files; i++) {
        sst_remove_objects(options->store, options->region_dir, &w.files[i]);
        file_meta_release(&w.files[i]);
    }
    schema_unref(w.schema);
    free(w.leading);
    free(w.codecs);
    dynbuf_release(&w.json);
    dynbuf_release(&w.last_key);
    if (st != ST_OK) {
        free(w.files);
        return st;
    }
    *ret_files = w.files;
    *ret_n = w.n_files;
    return ST_OK;
}
