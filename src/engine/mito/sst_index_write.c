/* Building the index file of an SST while its rows are written.
 *
 * Values are taken as they pass; of tags, which come in runs, each run's once a segment. An index is an extra: what goes wrong with a skipping or a
 * full-text index leaves out that column, what goes wrong with a column of the inverted index leaves out all of it (the peer takes a column that is
 * missing in it for one without values), what goes wrong with the file leaves out the index, and the SST is written all the same.
 *
 * A full-text index with words that are not exactly the peer's would make it skip rows that match. So there is one where they surely are: English
 * analyzer, Bloom backend, and no character in the file whose lower case is not known here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/text.h"
#include "engine/mito/sst_index.h"
#include "engine/mito/sst_internal.h"
#include "format/index/bloom.h"
#include "format/index/inverted.h"
#include "format/index/tokens.h"

static struct metric_family rows_total = {
    .name = "greptime_index_create_rows_total", .help = "rows indexed", .kind = METRIC_COUNTER, .label_names = {"type"}};
static struct metric_family bytes_total = {
    .name = "greptime_index_create_bytes_total", .help = "bytes of indexes written", .kind = METRIC_COUNTER, .label_names = {"type"}};

enum { BLOB_BYTES_MAX = 1 << 30, SEGMENT_ROWS = 1024 };

struct indexed_column { /* one of the builders is in use */
    uint32_t column;    /* index into the region's columns */
    enum sst_index_kind kind;
    bool failed;
    bool case_sensitive;        /* of SST_INDEX_FULLTEXT */
    struct bloom_builder bloom; /* of SST_INDEX_FULLTEXT, too */
    struct inverted_builder inverted;
};

struct sst_indexer {
    struct object_store *store;
    const char *dir;
    struct region_metadata *metadata; /* borrowed */
    uint64_t segment_rows, n_rows;
    struct indexed_column *columns; /* in the order of the file: inverted, full-text, skipping */
    uint32_t n_columns;
    struct dynbuf value; /* scratch */
};

static void drop_column(struct indexed_column *k)
{
    if (k->kind == SST_INDEX_INVERTED)
        inverted_builder_release(&k->inverted);
    else
        bloom_builder_release(&k->bloom);
    k->failed = true;
}

void sst_indexer_free(struct sst_indexer *x)
{
    if (!x)
        return;
    for (uint32_t i = 0; i < x->n_columns; i++)
        if (!x->columns[i].failed)
            drop_column(&x->columns[i]);
    free(x->columns);
    dynbuf_release(&x->value);
    free(x);
}

/* Whether the peer's words of such a column's texts are ours. */
static bool has_our_words(const struct region_column *c, const struct region_fulltext_options *f)
{
    return f->enable && !f->chinese && !f->tantivy && type_is_string(c->type);
}

static bool is_ignored(const struct sst_index_options *o, uint32_t column_id)
{
    const uint32_t *ids = o->ignored ? (const uint32_t *)(const void *)o->ignored->data : NULL;
    for (size_t i = 0; ids && i < o->ignored->size / sizeof *ids; i++)
        if (ids[i] == column_id)
            return true;
    return false;
}

uint8_t sst_indexer_wanted(const struct region_column *c, const struct sst_index_options *options)
{
    struct region_index_options w = region_index_options(c);
    return (uint8_t)((w.inverted && !is_ignored(options, c->id) ? SST_INDEX_INVERTED : 0) | (has_our_words(c, &w.fulltext) ? SST_INDEX_FULLTEXT : 0) |
                     (w.skipping ? SST_INDEX_BLOOM : 0));
}

static void add_column(struct sst_indexer *x, const struct sst_write_options *o, uint32_t column, enum sst_index_kind kind)
{
    struct region_index_options w = region_index_options(&o->metadata->columns[column]);
    struct indexed_column *k = &x->columns[x->n_columns++];
    *k = (struct indexed_column){.column = column, .kind = kind, .case_sensitive = w.fulltext.case_sensitive};
    if (kind == SST_INDEX_INVERTED)
        inverted_builder_init(&k->inverted, o->budget, x->segment_rows);
    else if (kind == SST_INDEX_FULLTEXT)
        bloom_builder_init(&k->bloom, o->budget, w.fulltext.granularity, (double)w.fulltext.rate / 10000);
    else
        bloom_builder_init(&k->bloom, o->budget, w.skipping_granularity, (double)w.skipping_rate / 10000);
}

static void find_columns(struct sst_indexer *x, const struct sst_write_options *o)
{
    static const enum sst_index_kind order[] = {SST_INDEX_INVERTED, SST_INDEX_FULLTEXT, SST_INDEX_BLOOM};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (uint32_t i = 0; i < o->metadata->n_columns; i++)
            if (o->indexes & order[k] & sst_indexer_wanted(&o->metadata->columns[i], &o->index))
                add_column(x, o, i, order[k]);
}

int sst_indexer_new(const struct sst_write_options *o, struct sst_indexer **ret_indexer, struct error *err)
{
    struct sst_indexer *x = calloc(1, sizeof *x);
    if (!x || !(x->columns = calloc(3 * (size_t)o->metadata->n_columns, sizeof *x->columns))) {
        free(x);
        return error_no_memory(err, o->metadata->n_columns * sizeof *x->columns);
    }
    x->store = o->store;
    x->dir = o->region_dir;
    x->metadata = o->metadata;
    x->segment_rows = o->index.segment_rows ? o->index.segment_rows : SEGMENT_ROWS;
    if (SST_ROW_GROUP_ROWS % x->segment_rows)
        x->segment_rows = SST_ROW_GROUP_ROWS; /* as the peer does */
    dynbuf_init(&x->value, 64 << 20);
    find_columns(x, o);
    if (!x->n_columns) {
        sst_indexer_free(x);
        x = NULL;
    }
    *ret_indexer = x;
    return ST_OK;
}

/* ---- rows ---- */

static uint64_t room_of(const struct indexed_column *k)
{
    return k->kind == SST_INDEX_INVERTED ? inverted_builder_room(&k->inverted) : bloom_builder_room(&k->bloom);
}

static int advance(struct indexed_column *k, uint64_t n, struct error *err)
{
    if (k->kind != SST_INDEX_INVERTED)
        return bloom_builder_advance(&k->bloom, n, err);
    inverted_builder_advance(&k->inverted, n);
    return ST_OK;
}

static int add_words(struct indexed_column *k, const uint8_t *text, size_t size, struct dynbuf *scratch, struct error *err)
{
    uint64_t hash;
    if (!utf8_valid(text, size))
        return error_set(err, ST_UNSUPPORTED, "a text is not UTF-8");
    for (size_t pos = 0, start, n; token_next(text, size, &pos, &start, &n);) {
        TRY(sst_index_word(text + start, n, k->case_sensitive, scratch, &hash, err));
        TRY(bloom_builder_add(&k->bloom, hash, err));
    }
    return ST_OK;
}

/* Value `at`, or null, is among those of the open segment. */
static int add_value(struct indexed_column *k, const struct column *values, int64_t at, bool null, struct dynbuf *scratch, struct error *err)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    if (!null)
        TRY(sst_index_value(values, at, scratch, &data, &size, err));
    if (k->kind == SST_INDEX_INVERTED)
        return inverted_builder_add(&k->inverted, data, size, err);
    if (null)
        return ST_OK;
    return k->kind == SST_INDEX_FULLTEXT ? add_words(k, data, size, scratch, err) : bloom_builder_add(&k->bloom, bloom_hash(data, size), err);
}

/* Rows of one segment. */
static int add_rows(struct indexed_column *k, const struct column *c, int64_t from, int64_t to, struct dynbuf *scratch, struct error *err)
{
    const struct column *values = c->type->id == TYPE_DICTIONARY ? c->dictionary : c;
    const uint32_t *codes = values == c ? NULL : COLUMN_VALUES(c, uint32_t);
    bool before = false; /* whether the row before was null */
    for (int64_t i = from; i < to; i++) {
        bool null = column_is_null(c, i), same = codes && i > from && null == before && (null || codes[i] == codes[i - 1]);
        before = null;
        if (same)
            continue;
        int64_t at = codes ? codes[i] : i;
        TRY(add_value(k, values, at, null || column_is_null(values, at), scratch, err));
    }
    return ST_OK;
}

static int add_batch(struct indexed_column *k, const struct row_batch *b, struct dynbuf *scratch, struct error *err)
{
    for (int64_t i = 0, end; i < b->n_rows; i = end) {
        uint64_t room = room_of(k);
        end = (uint64_t)(b->n_rows - i) < room ? b->n_rows : i + (int64_t)room;
        TRY(add_rows(k, b->columns[k->column], i, end, scratch, err));
        TRY(advance(k, (uint64_t)(end - i), err));
    }
    return ST_OK;
}

/* An inverted index is whole or not at all. */
static void drop(struct sst_indexer *x, struct indexed_column *k)
{
    for (uint32_t i = 0; i < x->n_columns; i++)
        if (!x->columns[i].failed && (&x->columns[i] == k || (k->kind == SST_INDEX_INVERTED && x->columns[i].kind == SST_INDEX_INVERTED)))
            drop_column(&x->columns[i]);
}

void sst_indexer_leave_out(struct sst_indexer *x, uint32_t column)
{
    for (uint32_t i = 0; i < x->n_columns; i++)
        if (x->columns[i].column == column)
            drop(x, &x->columns[i]);
}

/* The column cannot be indexed. Of texts in the newest scripts that is no news. */
static void give_up(struct sst_indexer *x, struct indexed_column *k, const struct error *why)
{
    const char *kind = k->kind == SST_INDEX_INVERTED ? "inverted" : k->kind == SST_INDEX_FULLTEXT ? "full-text" : "skipping";
    enum log_level level = k->kind == SST_INDEX_FULLTEXT && why->status == ST_UNSUPPORTED ? LOG_DEBUG : LOG_WARN;
    log_at(level, "mito", "region %llu: no %s index of column %s for a new SST: %s", (unsigned long long)x->metadata->region_id, kind,
           x->metadata->columns[k->column].name, why->msg);
    drop(x, k);
}

void sst_indexer_add(struct sst_indexer *x, const struct row_batch *b)
{
    struct error err;
    for (uint32_t i = 0; i < x->n_columns; i++)
        if (!x->columns[i].failed && add_batch(&x->columns[i], b, &x->value, &err) != ST_OK)
            give_up(x, &x->columns[i], &err);
    x->n_rows += (uint64_t)b->n_rows;
}

/* ---- the file ---- */

static int put_bytes(void *ctx, const void *data, size_t size, struct error *err)
{
    struct object_writer *out = ctx;
    return out->ops->append(out, data, size, err);
}

static int put_blob(struct sst_indexer *x, struct puffin_writer *w, const char *type, const struct puffin_property *property, const char *label,
                    const struct dynbuf *blob, struct error *err)
{
    const char *const labels[] = {label, NULL};
    TRY(puffin_add_blob(w, type, property, property != NULL, blob->data, blob->size, err));
    metric_add(metric_child(&bytes_total, labels), (int64_t)blob->size);
    metric_add(metric_child(&rows_total, labels), (int64_t)x->n_rows);
    return ST_OK;
}

static void list_column(const struct sst_indexer *x, const struct indexed_column *k, struct file_meta *m)
{
    uint32_t id = x->metadata->columns[k->column].id, i = 0;
    m->available_indexes |= k->kind;
    while (i < m->n_indexes && m->indexes[i].column_id != id)
        i++;
    if (i == m->n_indexes)
        m->indexes[m->n_indexes++] = (struct sst_column_index){id, 0};
    m->indexes[i].kinds |= k->kind;
}

static int put_inverted(struct sst_indexer *x, struct puffin_writer *w, struct dynbuf *blob, struct dynbuf *description, struct file_meta *m,
                        struct error *err)
{
    bool any = false;
    for (uint32_t i = 0; i < x->n_columns; i++) {
        struct indexed_column *k = &x->columns[i];
        if (k->failed || k->kind != SST_INDEX_INVERTED)
            continue;
        any = true;
        TRY(inverted_builder_finish(&k->inverted, x->metadata->columns[k->column].id, blob, description, err));
        list_column(x, k, m);
    }
    if (!any)
        return ST_OK;
    TRY(inverted_index_end(x->n_rows, x->segment_rows, blob, description, err));
    return put_blob(x, w, SST_BLOB_INVERTED, NULL, "inverted_index", blob, err);
}

/* The full-text and the skipping indexes. */
static int put_blooms(struct sst_indexer *x, struct puffin_writer *w, struct dynbuf *blob, struct file_meta *m, struct error *err)
{
    static const struct puffin_property analyzers[] = {{SST_WORDS_PROPERTY, SST_WORDS_LOWER}, {SST_WORDS_PROPERTY, SST_WORDS_EXACT}};
    char type[64];
    for (uint32_t i = 0; i < x->n_columns; i++) {
        struct indexed_column *k = &x->columns[i];
        bool words = k->kind == SST_INDEX_FULLTEXT;
        if (k->failed || k->kind == SST_INDEX_INVERTED)
            continue;
        snprintf(type, sizeof type, "%s%u", words ? SST_BLOB_FULLTEXT_BLOOM : SST_BLOB_BLOOM, (unsigned)x->metadata->columns[k->column].id);
        dynbuf_clear(blob);
        TRY(bloom_builder_finish(&k->bloom, blob, err));
        TRY(put_blob(x, w, type, words ? &analyzers[k->case_sensitive] : NULL, words ? "fulltext_index" : "bloom_filter_index", blob, err));
        list_column(x, k, m);
    }
    return ST_OK;
}

/* The index fields of `m` are filled in. */
static int write_file(struct sst_indexer *x, const char *key, struct file_meta *m, struct error *err)
{
    struct object_writer *out;
    struct puffin_writer w;
    struct dynbuf blob, description;
    m->indexes = calloc(x->n_columns, sizeof *m->indexes);
    if (!m->indexes)
        return error_no_memory(err, x->n_columns * sizeof *m->indexes);
    TRY(x->store->ops->create(x->store, key, &out, err));
    puffin_writer_init(&w, put_bytes, out);
    dynbuf_init(&blob, BLOB_BYTES_MAX);
    dynbuf_init(&description, BLOB_BYTES_MAX);
    int st = put_inverted(x, &w, &blob, &description, m, err);
    if (st == ST_OK)
        st = put_blooms(x, &w, &blob, m, err);
    if (st == ST_OK && m->n_indexes)
        st = puffin_writer_finish(&w, err);
    m->index_file_size = w.bytes;
    dynbuf_release(&blob);
    dynbuf_release(&description);
    puffin_writer_release(&w);
    if (st == ST_OK && m->n_indexes)
        return out->ops->commit(out, err);
    out->ops->abort(out);
    return st;
}

int sst_indexer_finish(struct sst_indexer *x, struct file_meta *meta, struct error *err)
{
    struct file_meta m = {0};
    char key[1024];
    TRY(sst_index_key(x->dir, meta->file_id, meta->index_version, key, sizeof key, err));
    int st = write_file(x, key, &m, err);
    if (st != ST_OK)
        x->store->ops->remove(x->store, key, NULL); /* a commit that failed may have left it there */
    if (st != ST_OK || !m.n_indexes) {
        file_meta_release(&m);
        return st;
    }
    meta->available_indexes = m.available_indexes;
    meta->indexes = m.indexes;
    meta->n_indexes = m.n_indexes;
    meta->index_file_size = m.index_file_size;
    return ST_OK;
}
