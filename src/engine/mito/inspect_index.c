/* The inspection table `__inspect/__mito/__puffin_index_meta`: what the index files of the node's SSTs say of themselves, a row for each column of
 * each index. An index file that cannot be read has no rows; a blob that cannot be read has a row without a description. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/mito/inspect.h"
#include "engine/mito/sst_index.h"
#include "engine/mito/sst_internal.h"
#include "format/index/bloom.h"
#include "format/index/inverted.h"
#include "format/json/json.h"

#define ULL(x) ((unsigned long long)(x))

struct held {
    struct sst_file *file;
    uint64_t region_id;
};

struct row {
    const char *kind, *target; /* target: what stands behind the blob's name, the column id */
    uint64_t bytes;
    const struct dynbuf *description; /* empty = null */
};

static bool is_column_id(const char *target)
{
    size_t n = strspn(target, "0123456789");
    return n > 0 && !target[n] && n <= 10 && strtoull(target, NULL, 10) <= UINT32_MAX;
}

static int put_row(struct collector *c, const struct held *f, const struct row *row, struct error *err)
{
    const struct file_meta *m = &f->file->meta;
    uint32_t number = (uint32_t)f->region_id;
    char table_dir[1100], path[1300], target[64];
    bool known = is_column_id(row->target);
    inspect_table_dir(f->file->dir, table_dir, sizeof table_dir);
    TRY(sst_index_key(f->file->dir, m->file_id, m->index_version, path, sizeof path, err));
    if (known)
        snprintf(target, sizeof target, "{\"column\":%llu}", strtoull(row->target, NULL, 10));
    else
        snprintf(target, sizeof target, "{\"error\":\"failed_to_decode\"}");
    TRY(inspect_put_text(c, 0, table_dir, err));
    TRY(inspect_put_text(c, 1, path, err));
    TRY(inspect_put_number(c, 2, f->region_id, err));
    TRY(inspect_put_number(c, 3, f->region_id >> 32, err));
    TRY(inspect_put_number(c, 4, number, err));
    TRY(inspect_put_number(c, 5, number >> 24, err));
    TRY(inspect_put_number(c, 6, number & 0xffffff, err));
    TRY(inspect_put_text(c, 7, m->file_id, err));
    TRY(inspect_put_number(c, 8, m->index_file_size, err));
    TRY(inspect_put_text(c, 9, row->kind, err));
    TRY(inspect_put_text(c, 10, known ? "column" : "unknown", err));
    TRY(inspect_put_text(c, 11, row->target, err));
    TRY(inspect_put_text(c, 12, target, err));
    TRY(inspect_put_number(c, 13, row->bytes, err));
    TRY(inspect_put_text(c, 14, row->description->size ? (const char *)row->description->data : NULL, err));
    return inspect_put_number(c, 15, c->engine->options.node_id, err);
}

static int describe_bloom(struct sst_index *index, const struct puffin_blob *b, struct dynbuf *out, struct error *err)
{
    struct puffin_source blob;
    const struct bloom_index *x;
    if (sst_index_bloom(index, b, &blob, &x, NULL) != ST_OK)
        return ST_OK;
    return dynbuf_printf(out, err, "\"bloom\":{\"bloom_filter_size\":%llu,\"row_count\":%llu,\"rows_per_segment\":%llu,\"segment_count\":%u}",
                         ULL(x->filters_bytes), ULL(x->n_rows), ULL(x->rows_per_segment), (unsigned)x->n_segments);
}

static int describe_fulltext(struct sst_index *index, const struct puffin_blob *b, struct dynbuf *out, struct error *err)
{
    const char *text = puffin_property(b, "fulltext_config");
    const struct json_value *v = NULL;
    bool chinese = false, case_sensitive = false;
    if (text && json_parse(&index->arena, text, strlen(text), &v, NULL) == ST_OK) {
        json_bool(json_get(v, "case_sensitive"), &case_sensitive);
        chinese = json_get(v, "analyzer") && json_is_string(json_get(v, "analyzer"), "Chinese");
    }
    return dynbuf_printf(out, err, "%s\"fulltext\":{\"analyzer\":\"%s\",\"case_sensitive\":%s}", out->size ? "," : "",
                         chinese ? "Chinese" : "English", case_sensitive ? "true" : "false");
}

/* Braces around the members, and a zero behind them; nothing around nothing. */
static int enclose(const struct dynbuf *members, struct dynbuf *out, struct error *err)
{
    dynbuf_clear(out);
    if (!members->size)
        return ST_OK;
    TRY(dynbuf_printf(out, err, "{%.*s}", (int)members->size, (const char *)members->data));
    TRY(dynbuf_append_byte(out, 0, err));
    return ST_OK;
}

static int put_blob(struct collector *c, const struct held *f, struct sst_index *index, const struct puffin_blob *b, struct error *err)
{
    static const struct {
        const char *prefix, *kind;
        bool bloom, fulltext;
    } kinds[] = {{SST_BLOB_BLOOM, "bloom_filter", true, false},
                 {SST_BLOB_FULLTEXT_BLOOM, "fulltext_bloom", true, true},
                 {SST_BLOB_FULLTEXT_TANTIVY, "fulltext_tantivy", false, true}};
    struct dynbuf members, text;
    int st = ST_OK;
    dynbuf_init(&members, 1 << 20);
    dynbuf_init(&text, 1 << 20);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && st == ST_OK; i++) {
        size_t n = strlen(kinds[i].prefix);
        if (strncmp(b->type, kinds[i].prefix, n) != 0)
            continue;
        st = kinds[i].bloom ? describe_bloom(index, b, &members, err) : ST_OK;
        if (st == ST_OK && kinds[i].fulltext)
            st = describe_fulltext(index, b, &members, err);
        if (st == ST_OK)
            st = enclose(&members, &text, err);
        if (st == ST_OK)
            st = put_row(c, f, &(struct row){kinds[i].kind, b->type + n, b->length, &text}, err);
    }
    dynbuf_release(&members);
    dynbuf_release(&text);
    return st;
}

static int put_inverted(struct collector *c, const struct held *f, struct sst_index *index, const struct puffin_blob *b, struct error *err)
{
    struct puffin_source blob;
    const struct inverted_index *x;
    struct dynbuf text;
    if (sst_index_inverted(index, b, &blob, &x, NULL) != ST_OK)
        return ST_OK;
    int st = ST_OK;
    dynbuf_init(&text, 1 << 20);
    for (uint32_t i = 0; i < x->n_columns && st == ST_OK; i++) {
        const struct inverted_column *k = &x->columns[i];
        char target[16];
        snprintf(target, sizeof target, "%u", (unsigned)k->column_id);
        dynbuf_clear(&text);
        st = dynbuf_printf(
            &text, err,
            "{\"inverted\":{\"base_offset\":%llu,\"bitmap_type\":\"%s\",\"fst_size\":%u,\"inverted_index_size\":%llu,\"null_bitmap_size\":%u,"
            "\"relative_fst_offset\":%u,\"relative_null_bitmap_offset\":%u,\"segment_row_count\":%llu,\"total_row_count\":%llu}}%c",
            ULL(k->base_offset), k->bitmap == INVERTED_ROARING ? "Roaring" : "BitVec", k->fst_bytes, ULL(k->n_bytes), k->null_bytes, k->fst_offset,
            k->null_offset, ULL(x->rows_per_segment), ULL(x->n_rows), 0);
        if (st == ST_OK)
            st = put_row(c, f, &(struct row){"inverted", target, k->n_bytes, &text}, err);
    }
    dynbuf_release(&text);
    return st;
}

static int put_file(struct collector *c, const struct held *f, struct error *err)
{
    struct sst_index index;
    struct error why;
    if (sst_index_open(f->file, &c->engine->scan_budget, &index, &why) != ST_OK) {
        log_warn("mito", "cannot read the index of SST %s: %s", f->file->meta.file_id, why.msg);
        return ST_OK;
    }
    int st = ST_OK;
    for (uint32_t i = 0; i < index.file.n_blobs && st == ST_OK; i++) {
        const struct puffin_blob *b = &index.file.blobs[i];
        st = strcmp(b->type, SST_BLOB_INVERTED) == 0 ? put_inverted(c, f, &index, b, err) : put_blob(c, f, &index, b, err);
    }
    sst_index_close(&index);
    return st;
}

/* References to the files with an index. No I/O happens under the locks. */
static int hold_files(struct mito_engine *e, struct held **ret_files, uint32_t *ret_n, struct error *err)
{
    struct held *files = NULL;
    uint32_t n = 0;
    size_t pos = 0;
    uint64_t id;
    void *value;
    int st = ST_OK;
    pthread_rwlock_rdlock(&e->lock);
    while (st == ST_OK && u64_map_next(&e->regions, &pos, &id, &value)) {
        struct mito_region *r = value;
        pthread_mutex_lock(&r->lock);
        struct held *grown = realloc(files, (n + r->n_files + 1) * sizeof *files);
        st = grown ? ST_OK : error_no_memory(err, (n + r->n_files) * sizeof *files);
        files = grown ? grown : files;
        for (uint32_t i = 0; st == ST_OK && i < r->n_files; i++)
            if (r->files[i]->meta.available_indexes)
                files[n++] = (struct held){sst_file_ref(r->files[i]), r->id};
        pthread_mutex_unlock(&r->lock);
    }
    pthread_rwlock_unlock(&e->lock);
    *ret_files = files;
    *ret_n = n;
    return st;
}

int inspect_collect_indexes(struct collector *c, struct error *err)
{
    struct held *files;
    uint32_t n;
    int st = hold_files(c->engine, &files, &n, err);
    for (uint32_t i = 0; i < n; i++) {
        if (st == ST_OK)
            st = put_file(c, &files[i], err);
        sst_file_unref(files[i].file);
    }
    free(files);
    return st;
}
