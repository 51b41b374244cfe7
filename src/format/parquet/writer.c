/* The writer: cuts batches into row groups, feeds the leaves in steps of 1024 rows, and writes page indexes and footer at the end.
 *
 * File: "PAR1" | row groups (chunks: dictionary page, data pages) | column indexes | offset indexes | footer | footer length | "PAR1".
 * Settings follow the peer's SSTs (mito-on-disk.md 3.7): version 1, data page v1.
 */
#include "format/parquet/writer.h"

#include "arrow/ipc.h"
#include "base/base64.h"
#include "base/bits.h"

enum { STEP_ROWS = 1024, STEP_TEXT_BYTES = 16 << 20 }; /* what is written between two looks at the size of pages */

/* A chunk's metadata is serialised when it is done, but for the places of its indexes, which come last. */
struct done_chunk { size_t meta_at, meta_size, column_at, column_size, offset_at, offset_size; };
struct done_group { int64_t n_rows, uncompressed_bytes, compressed_bytes, offset; };

struct parquet_writer {
    struct parquet_writer_options options;
    struct schema *schema;
    struct arena arena;
    struct pq_codecs codecs;
    uint32_t n_leaves, n_groups;
    struct pqw_leaf *leaves;
    struct pq_buf meta, column_indexes, offset_indexes; /* serialised */
    struct pq_buf chunks, groups;                       /* struct done_chunk, struct done_group */
    uint64_t file_bytes;
    int64_t n_rows, group_rows;
    uint64_t largest_group;
};

static int put(struct parquet_writer *w, const void *data, size_t size, struct error *err)
{
    if (size == 0)
        return ST_OK;
    TRY(w->options.write(w->options.ctx, data, size, err));
    w->file_bytes += size;
    return ST_OK;
}

/* ---- leaves ---- */

struct trail { const char *names[PQ_DEPTH_MAX * 2]; uint32_t n; uint8_t definition, repetition; };

static int add_leaves(struct parquet_writer *w, uint32_t column, const char *name, const struct field *f, bool nullable, struct trail t,
                      struct error *err)
{
    const struct dtype *type = type_values(f->type);
    if (t.n + 3 > PQ_DEPTH_MAX)
        return error_set(err, ST_UNSUPPORTED, "parquet: column %s is nested too deeply", name);
    t.names[t.n++] = name;
    t.definition = (uint8_t)(t.definition + nullable);
    if (!type_is_nested(type)) {
        struct pqw_leaf *leaf = &w->leaves[w->n_leaves++];
        const char **path = ARENA_ARRAY(&w->arena, t.n, const char *, err);
        if (!path)
            return ST_NO_MEMORY;
        memcpy(path, t.names, t.n * sizeof *path);
        *leaf = (struct pqw_leaf){.type = (struct dtype *)type, .path = path, .n_path = t.n, .column = column, .max_definition = t.definition,
                                  .max_repetition = t.repetition, .options = w->options.columns[column], .budget = w->options.budget,
                                  .codecs = &w->codecs, .dictionary_bytes_max = w->options.dictionary_bytes_max};
        return pqw_leaf_init(leaf, err);
    }
    bool map = type->id == TYPE_MAP, list = type->id == TYPE_LIST || type->id == TYPE_LARGE_LIST;
    if (map || list) {
        t.names[t.n++] = map ? "key_value" : "list";
        t.definition++;
        t.repetition++;
    } else if (type->id != TYPE_STRUCT) {
        return error_set(err, ST_UNSUPPORTED, "parquet: the type of column %s cannot be written", name);
    }
    const struct dtype *members = map ? type->children[0]->type : type;
    for (uint32_t i = 0; i < members->n_children; i++) {
        const struct field *m = members->children[i];
        TRY(add_leaves(w, column, map ? (i ? "value" : "key") : m->name, m, m->nullable, t, err));
    }
    return ST_OK;
}

static int start(struct parquet_writer *w, struct error *err)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->schema->n_fields; i++)
        n += pqw_count_leaves(w->schema->fields[i]->type);
    if (!(w->leaves = ARENA_ARRAY(&w->arena, n + 1, struct pqw_leaf, err)))
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < w->schema->n_fields; i++) {
        const struct field *f = w->schema->fields[i];
        TRY(add_leaves(w, i, f->name, f, f->nullable, (struct trail){.n = 0}, err));
    }
    return put(w, "PAR1", 4, err);
}

int parquet_writer_new(const struct parquet_writer_options *options, struct parquet_writer **ret_writer, struct error *err)
{
    struct parquet_writer *w = calloc(1, sizeof *w);
    if (!w)
        return error_no_memory(err, sizeof *w);
    w->options = *options;
    w->schema = schema_ref(options->schema);
    struct pq_buf *bufs[] = {&w->meta, &w->column_indexes, &w->offset_indexes, &w->chunks, &w->groups};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        pq_buf_init(bufs[i], options->budget);
    arena_init(&w->arena, options->budget);
    int st = start(w, err);
    if (st != ST_OK) {
        parquet_writer_free(w);
        return st;
    }
    *ret_writer = w;
    return ST_OK;
}

void parquet_writer_free(struct parquet_writer *w)
{
    if (!w)
        return;
    for (uint32_t i = 0; i < w->n_leaves; i++)
        pqw_leaf_release(&w->leaves[i]);
    struct pq_buf *bufs[] = {&w->meta, &w->column_indexes, &w->offset_indexes, &w->chunks, &w->groups};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        pq_buf_release(bufs[i]);
    arena_release(&w->arena);
    pq_codecs_release(&w->codecs);
    schema_unref(w->schema);
    free(w);
}

/* ---- row groups ---- */

static int note_chunk(struct parquet_writer *w, struct pqw_leaf *leaf, const struct pqw_chunk_place *place, struct error *err)
{
    struct done_chunk d = {.meta_at = w->meta.size, .column_at = w->column_indexes.size, .offset_at = w->offset_indexes.size};
    struct thrift_writer meta = {.out = &w->meta, .err = err, .depth = 1}, column = {.out = &w->column_indexes, .err = err},
                         offset = {.out = &w->offset_indexes, .err = err};
    pqw_put_chunk(&meta, leaf, place);
    TRY(meta.status);
    if (leaf->order != PQW_NONE && !leaf->long_bounds && !leaf->unbounded) {
        pqw_put_column_index(&column, leaf);
        TRY(column.status);
    }
    pqw_put_offset_index(&offset, leaf, place->data_offset);
    TRY(offset.status);
    d.meta_size = w->meta.size - d.meta_at;
    d.column_size = w->column_indexes.size - d.column_at;
    d.offset_size = w->offset_indexes.size - d.offset_at;
    return pq_buf_append(&w->chunks, &d, sizeof d, err);
}

static int finish_chunk(struct parquet_writer *w, struct pqw_leaf *leaf, struct done_group *g, struct error *err)
{
    struct pqw_chunk_place place = {.offset = (int64_t)w->file_bytes, .dictionary_offset = -1};
    TRY(pqw_flush_page(leaf, err));
    if (leaf->dictionary_pages) {
        leaf->body.size = 0;
        place.dictionary_offset = place.offset;
        TRY(pqw_dictionary_page(leaf, &leaf->body, err));
        TRY(put(w, leaf->body.data, leaf->body.size, err));
    }
    place.data_offset = (int64_t)w->file_bytes;
    TRY(put(w, leaf->out.data, leaf->out.size, err));
    place.compressed_bytes = (int64_t)w->file_bytes - place.offset;
    place.uncompressed_bytes = leaf->uncompressed_bytes;
    g->compressed_bytes += place.compressed_bytes;
    g->uncompressed_bytes += place.uncompressed_bytes;
    TRY(note_chunk(w, leaf, &place, err));
    pqw_leaf_next_chunk(leaf);
    return ST_OK;
}

static int finish_group(struct parquet_writer *w, struct error *err)
{
    struct done_group g = {.n_rows = w->group_rows, .offset = (int64_t)w->file_bytes};
    if (w->group_rows == 0)
        return ST_OK;
    for (uint32_t i = 0; i < w->n_leaves; i++)
        TRY(finish_chunk(w, &w->leaves[i], &g, err));
    if ((uint64_t)g.uncompressed_bytes > w->largest_group)
        w->largest_group = (uint64_t)g.uncompressed_bytes;
    w->group_rows = 0;
    w->n_groups++;
    return pq_buf_append(&w->groups, &g, sizeof g, err);
}

static int append_step(struct parquet_writer *w, const struct batch *batch, int64_t start_row, int64_t n, struct error *err)
{
    for (uint32_t i = 0, in_column = 0; i < w->n_leaves; i++) {
        struct pqw_leaf *leaf = &w->leaves[i];
        const struct field *f = w->schema->fields[leaf->column];
        const struct column *c = batch->columns[leaf->column];
        in_column = i > 0 && w->leaves[i - 1].column == leaf->column ? in_column + 1 : 0;
        if (type_is_nested(type_values(f->type))) {
            TRY(pqw_append_nested(leaf, f, in_column, c, start_row, n, err));
        } else {
            struct pqw_run run = {.column = c, .start = start_row, .n = n, .rows = n};
            TRY(pqw_leaf_append(leaf, &run, err));
        }
    }
    w->group_rows += n;
    w->n_rows += n;
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        struct pqw_leaf *leaf = &w->leaves[i];
        bool due = w->group_rows % STEP_ROWS == 0 || leaf->values.size >= STEP_TEXT_BYTES;
        if (due && pqw_page_full(leaf, &w->options))
            TRY(pqw_flush_page(leaf, err));
    }
    return w->group_rows == w->options.row_group_rows ? finish_group(w, err) : ST_OK;
}

/* How many of n rows are written at once: long texts make large pages, and a page's size is an int32. */
static int64_t step_rows(const struct batch *batch, int64_t start, int64_t n)
{
    for (uint32_t i = 0; i < batch->schema->n_fields; i++) {
        const struct column *c = batch->columns[i];
        const int32_t *at = type_is_varlen(c->type) ? COLUMN_VALUES(c, int32_t) + start : NULL;
        while (at && n > 1 && at[n] - at[0] > STEP_TEXT_BYTES)
            n /= 2;
    }
    return n;
}

/* A column that is not of the declared type: keys of a dictionary whose values are no strings become values. */
static int check_columns(struct parquet_writer *w, const struct batch *batch, struct error *err)
{
    if (batch->schema->n_fields != w->schema->n_fields)
        return error_set(err, ST_INVALID_ARGUMENTS, "parquet: a batch of %u columns for a file of %u", batch->schema->n_fields, w->schema->n_fields);
    for (uint32_t i = 0; i < w->schema->n_fields; i++) {
        const struct dtype *have = type_values(batch->columns[i]->type), *want = type_values(w->schema->fields[i]->type);
        bool bytes = type_is_varlen(have) && type_is_varlen(want);
        if (!bytes && !type_equal(have, want, false))
            return error_set(err, ST_INVALID_ARGUMENTS, "parquet: column %s of a batch has another type", w->schema->fields[i]->name);
    }
    return ST_OK;
}

static int plain_batch(struct parquet_writer *w, const struct batch *batch, struct batch **ret_batch, struct error *err)
{
    struct column **columns = calloc(batch->schema->n_fields ? batch->schema->n_fields : 1, sizeof *columns);
    int st = columns ? ST_OK : error_no_memory(err, batch->schema->n_fields * sizeof *columns);
    uint32_t n = 0;
    struct field **fields = st == ST_OK ? ARENA_ARRAY(&w->arena, batch->schema->n_fields, struct field *, err) : NULL;
    for (; fields && st == ST_OK && n < batch->schema->n_fields; n += st == ST_OK) {
        struct column *c = batch->columns[n];
        if (c->type->id == TYPE_DICTIONARY && !type_is_varlen(type_values(c->type)))
            st = column_decode_dictionary(w->options.budget, c, &columns[n], err);
        else
            columns[n] = column_ref(c);
        if (st == ST_OK)
            fields[n] = field_new("", columns[n]->type, true);
    }
    struct schema *schema = fields && st == ST_OK ? schema_new(fields, n) : NULL;
    if (schema)
        st = batch_new(schema, batch->n_rows, columns, ret_batch, err);
    else
        st = status_merge(st, ST_NO_MEMORY);
    for (uint32_t i = 0; i < n; i++) {
        if (!schema)
            column_unref(columns[i]);
        field_unref(fields[i]);
    }
    schema_unref(schema);
    free(columns);
    return st;
}

int parquet_writer_append(struct parquet_writer *w, const struct batch *batch, struct error *err)
{
    struct batch *plain = NULL;
    bool odd = false;
    TRY(check_columns(w, batch, err));
    for (uint32_t i = 0; i < batch->schema->n_fields; i++)
        odd = odd || (batch->columns[i]->type->id == TYPE_DICTIONARY && !type_is_varlen(type_values(batch->columns[i]->type)));
    if (odd)
        TRY(plain_batch(w, batch, &plain, err));
    int st = ST_OK;
    for (int64_t at = 0; st == ST_OK && at < batch->n_rows;) {
        int64_t n = STEP_ROWS - w->group_rows % STEP_ROWS, group_left = w->options.row_group_rows - w->group_rows;
        n = n < group_left ? n : group_left;
        n = n < batch->n_rows - at ? n : batch->n_rows - at;
        n = step_rows(plain ? plain : batch, at, n);
        st = append_step(w, plain ? plain : batch, at, n, err);
        at += n;
    }
    batch_unref(plain);
    return st;
}

/* ---- footer ---- */

/* The chunk's own fields were written at depth 1 behind field 3; the index places are fields 4 to 7. */
static void put_group(struct thrift_writer *t, const struct parquet_writer *w, uint32_t i, int64_t columns_at, int64_t offsets_at)
{
    const struct done_group *g = (const struct done_group *)(const void *)w->groups.data + i;
    const struct done_chunk *chunks = (const struct done_chunk *)(const void *)w->chunks.data + (size_t)i * w->n_leaves;
    thrift_begin(t, 0);
    thrift_put_list(t, 1, THRIFT_STRUCT, w->n_leaves);
    for (uint32_t k = 0; k < w->n_leaves; k++) {
        const struct done_chunk *d = &chunks[k];
        thrift_begin(t, 0);
        if (t->status == ST_OK)
            t->status = pq_buf_append(t->out, w->meta.data + d->meta_at, d->meta_size, t->err);
        t->last[t->depth] = 3;
        thrift_put_i64(t, 4, offsets_at + (int64_t)d->offset_at);
        thrift_put_i32(t, 5, (int32_t)d->offset_size);
        if (d->column_size) {
            thrift_put_i64(t, 6, columns_at + (int64_t)d->column_at);
            thrift_put_i32(t, 7, (int32_t)d->column_size);
        }
        thrift_end(t);
    }
    thrift_put_i64(t, 2, g->uncompressed_bytes);
    thrift_put_i64(t, 3, g->n_rows);
    thrift_put_i64(t, 5, g->offset);
    thrift_put_i64(t, 6, g->compressed_bytes);
    if (i <= INT16_MAX)
        thrift_put_i16(t, 7, (int16_t)i);
    thrift_end(t);
}

static int put_kv(struct thrift_writer *t, const char *key, const char *value)
{
    thrift_begin(t, 0);
    thrift_put_string(t, 1, key);
    thrift_put_string(t, 2, value);
    thrift_end(t);
    return t->status;
}

/* base64 of the IPC schema message in its stream framing. */
static int arrow_schema_text(const struct schema *schema, struct pq_buf *out, struct error *err)
{
    struct dynbuf message;
    dynbuf_init(&message, 64 << 20);
    int st = dynbuf_append(&message, "\xff\xff\xff\xff\0\0\0\0", 8, err);
    if (st == ST_OK)
        st = ipc_encode_schema(schema, &message, err);
    if (st == ST_OK) {
        store_le32(message.data + 4, (uint32_t)(message.size - 8));
        st = pq_buf_fit(out, base64_room(message.size) + 1, err);
    }
    if (st == ST_OK)
        out->data[base64_encode(message.data, message.size, true, out->data)] = 0;
    dynbuf_release(&message);
    return st;
}

static void put_all_kv(struct thrift_writer *t, const struct parquet_writer *w)
{
    const struct parquet_writer_options *o = &w->options;
    uint32_t n = o->n_kv + o->store_arrow_schema;
    struct pq_buf text;
    if (n == 0)
        return;
    pq_buf_init(&text, o->budget);
    thrift_put_list(t, 5, THRIFT_STRUCT, n);
    for (uint32_t i = 0; i < o->n_kv; i++)
        put_kv(t, o->kv[i].key, o->kv[i].value);
    if (o->store_arrow_schema && t->status == ST_OK)
        t->status = arrow_schema_text(w->schema, &text, t->err);
    if (o->store_arrow_schema && t->status == ST_OK)
        put_kv(t, "ARROW:schema", (const char *)text.data);
    pq_buf_release(&text);
}

static int put_footer(struct parquet_writer *w, int64_t columns_at, int64_t offsets_at, struct error *err)
{
    struct pq_buf footer;
    pq_buf_init(&footer, w->options.budget);
    struct thrift_writer t = {.out = &footer, .err = err};
    thrift_begin(&t, 0);
    thrift_put_i32(&t, 1, 1);
    pqw_put_schema(&t, w->schema);
    thrift_put_i64(&t, 3, w->n_rows);
    thrift_put_list(&t, 4, THRIFT_STRUCT, w->n_groups);
    for (uint32_t i = 0; i < w->n_groups; i++)
        put_group(&t, w, i, columns_at, offsets_at);
    put_all_kv(&t, w);
    thrift_put_string(&t, 6, w->options.created_by ? w->options.created_by : "regiond");
    thrift_put_list(&t, 7, THRIFT_STRUCT, w->n_leaves);
    for (uint32_t i = 0; i < w->n_leaves; i++) {
        thrift_begin(&t, 0);
        thrift_put_empty(&t, 1);
        thrift_end(&t);
    }
    thrift_end(&t);
    int st = t.status;
    if (st == ST_OK) {
        uint8_t tail[8] = {0, 0, 0, 0, 'P', 'A', 'R', '1'};
        store_le32(tail, (uint32_t)footer.size);
        st = pq_buf_append(&footer, tail, 8, err);
    }
    if (st == ST_OK)
        st = put(w, footer.data, footer.size, err);
    pq_buf_release(&footer);
    return st;
}

int parquet_writer_finish(struct parquet_writer *w, struct parquet_write_result *ret_result, struct error *err)
{
    TRY(finish_group(w, err));
    int64_t columns_at = (int64_t)w->file_bytes;
    TRY(put(w, w->column_indexes.data, w->column_indexes.size, err));
    int64_t offsets_at = (int64_t)w->file_bytes;
    TRY(put(w, w->offset_indexes.data, w->offset_indexes.size, err));
    TRY(put_footer(w, columns_at, offsets_at, err));
    *ret_result = (struct parquet_write_result){w->file_bytes, w->n_rows, w->n_groups, w->largest_group};
    return ST_OK;
}
