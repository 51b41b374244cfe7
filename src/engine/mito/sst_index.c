#include "engine/mito/sst_index.h"

#include <stdlib.h>
#include <string.h>

#include "engine/mito/sst_internal.h"
#include "format/index/tokens.h"
#include "format/key/key.h"

/* What is kept of an index file between scans. */
struct sst_index_list {
    struct cached base;
    struct arena arena;
    struct puffin_file file;
    struct part { /* of each blob: what it says of itself, or, when neither is known, that it is malformed or of another kind */
        bool is_bloom, is_inverted;
        struct bloom_index bloom;
        struct inverted_index inverted;
    } * parts;
};

enum { LIST_BYTES = 16 << 10, CACHED_READ_BYTES_MAX = 4 << 20 }; /* about what a list takes; larger reads would only sweep the cache */

static void list_free(struct cached *value)
{
    struct sst_index_list *list = (struct sst_index_list *)value;
    arena_release(&list->arena);
    free(list);
}

/* ---- reading ---- */

static int open_object(struct sst_index *x, struct error *err)
{
    const struct file_meta *m = &x->sst->meta;
    char key[1024];
    if (x->reader)
        return ST_OK;
    TRY(sst_index_key(x->sst->dir, m->file_id, m->index_version, key, sizeof key, err));
    TRY(x->sst->store->ops->open(x->sst->store, key, &x->reader, err));
    if (x->reader->size_bytes != m->index_file_size)
        return error_set(err, ST_CORRUPT, "index %s has %llu bytes, the manifest says %llu", key, (unsigned long long)x->reader->size_bytes,
                         (unsigned long long)m->index_file_size);
    return ST_OK;
}

static int read_object(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    struct sst_index *x = ctx;
    TRY(open_object(x, err));
    return x->reader->ops->read_at(x->reader, offset, data, size, err);
}

struct page {
    struct cached base;
    struct budget *budget;
    uint8_t bytes[];
};

static void page_free(struct cached *value)
{
    struct page *p = (struct page *)value;
    budget_release(p->budget, p->base.bytes);
    free(p);
}

/* Reads a page that is to be kept; *ret_page = NULL when there is no room for it. */
static int read_page(struct sst_index *x, uint64_t start, size_t size, struct page **ret_page, struct error *err)
{
    struct cache *c = x->sst->caches->index_content;
    size_t bytes = budget_alloc_size(sizeof(struct page) + size);
    *ret_page = NULL;
    if (!cache_admits(c, bytes) || budget_charge(cache_budget(c), bytes, NULL) != ST_OK)
        return ST_OK;
    struct page *p = malloc(bytes);
    int st = p ? read_object(x, start, p->bytes, size, err) : error_no_memory(err, bytes);
    if (st != ST_OK) {
        budget_release(cache_budget(c), bytes);
        free(p);
        return st;
    }
    cached_init(&p->base, bytes, page_free);
    p->budget = cache_budget(c);
    *ret_page = p;
    return ST_OK;
}

/* The part of the range that lies in one page. */
static int read_in_page(struct sst_index *x, uint64_t number, uint64_t offset, void *data, size_t size, struct error *err)
{
    const struct sst_caches *caches = x->sst->caches;
    uint64_t start = number * caches->index_page_bytes, left = x->sst->meta.index_file_size - start;
    struct cache_key key = {x->sst->serial, number};
    struct page *p = (struct page *)cache_get(caches->index_content, key);
    if (!p) {
        TRY(read_page(x, start, left < caches->index_page_bytes ? left : caches->index_page_bytes, &p, err));
        if (!p)
            return read_object(x, offset, data, size, err);
        cache_put(caches->index_content, key, &p->base);
    }
    memcpy(data, p->bytes + (offset - start), size);
    cached_unref(&p->base);
    return ST_OK;
}

/* The caller asks for nothing outside of the file. */
static int read_cached(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    struct sst_index *x = ctx;
    if (!x->sst->caches || size > CACHED_READ_BYTES_MAX)
        return read_object(ctx, offset, data, size, err);
    size_t page = x->sst->caches->index_page_bytes;
    for (size_t done = 0, n; done < size; done += n) {
        uint64_t at = offset + done, end = (at / page + 1) * page;
        n = end - at < size - done ? (size_t)(end - at) : size - done;
        TRY(read_in_page(x, at / page, at, (uint8_t *)data + done, n, err));
    }
    return ST_OK;
}

/* ---- the list ---- */

/* Descriptions that are malformed are passed over: who wants to use that blob is told. */
static void read_part(const struct puffin_source *file, const struct puffin_blob *b, struct arena *a, struct part *p)
{
    struct puffin_source blob;
    if (puffin_blob_source(file, b, &blob, NULL) != ST_OK)
        return;
    if (strcmp(b->type, SST_BLOB_INVERTED) == 0)
        p->is_inverted = inverted_index_open(&blob, a, &p->inverted, NULL) == ST_OK;
    else if (strncmp(b->type, SST_BLOB_BLOOM, strlen(SST_BLOB_BLOOM)) == 0 ||
             strncmp(b->type, SST_BLOB_FULLTEXT_BLOOM, strlen(SST_BLOB_FULLTEXT_BLOOM)) == 0)
        p->is_bloom = bloom_index_open(&blob, a, &p->bloom, NULL) == ST_OK;
}

static int read_list(struct sst_index *x, struct budget *budget, struct sst_index_list **ret_list, struct error *err)
{
    struct puffin_source source = {read_object, x, 0, x->sst->meta.index_file_size};
    struct sst_index_list *list = calloc(1, sizeof *list);
    if (!list)
        return error_no_memory(err, sizeof *list);
    cached_init(&list->base, sizeof *list, list_free);
    arena_init(&list->arena, budget);
    int st = open_object(x, err);
    if (st == ST_OK)
        st = puffin_open(&source, &list->arena, &list->file, err);
    if (st == ST_OK && !(list->parts = ARENA_ARRAY(&list->arena, (size_t)list->file.n_blobs + 1, struct part, err)))
        st = ST_NO_MEMORY;
    if (st != ST_OK) {
        list_free(&list->base);
        return st;
    }
    for (uint32_t i = 0; i < list->file.n_blobs; i++)
        read_part(&source, &list->file.blobs[i], &list->arena, &list->parts[i]);
    list->base.bytes += list->arena.total_bytes;
    *ret_list = list;
    return ST_OK;
}

static int get_list(struct sst_index *x, struct budget *budget, struct error *err)
{
    struct cache *c = x->sst->caches ? x->sst->caches->index_metadata : NULL;
    struct cache_key key = {x->sst->serial, 0};
    x->list = c ? (struct sst_index_list *)cache_get(c, key) : NULL;
    if (x->list)
        return ST_OK;
    bool keep = c && cache_admits(c, LIST_BYTES);
    TRY(read_list(x, keep ? cache_budget(c) : budget, &x->list, err));
    if (keep)
        cache_put(c, key, &x->list->base);
    return ST_OK;
}

/* ---- */

int sst_index_open(const struct sst_file *file, struct budget *budget, struct sst_index *ret_index, struct error *err)
{
    *ret_index = (struct sst_index){.sst = file};
    int st = get_list(ret_index, budget, err);
    if (st != ST_OK) {
        if (ret_index->reader)
            ret_index->reader->ops->close(ret_index->reader);
        return st;
    }
    arena_init(&ret_index->arena, budget);
    ret_index->source = (struct puffin_source){read_cached, ret_index, 0, file->meta.index_file_size};
    ret_index->file = ret_index->list->file;
    return ST_OK;
}

void sst_index_close(struct sst_index *x)
{
    arena_release(&x->arena);
    cached_unref(&x->list->base);
    if (x->reader)
        x->reader->ops->close(x->reader);
}

static int malformed(const struct puffin_blob *b, struct error *err)
{
    return error_set(err, ST_CORRUPT, "blob %s is malformed", b->type);
}

int sst_index_bloom(const struct sst_index *x, const struct puffin_blob *b, struct puffin_source *ret_blob, const struct bloom_index **ret_bloom,
                    struct error *err)
{
    const struct part *p = &x->list->parts[b - x->file.blobs];
    TRY(puffin_blob_source(&x->source, b, ret_blob, err));
    *ret_bloom = &p->bloom;
    return p->is_bloom ? ST_OK : malformed(b, err);
}

int sst_index_inverted(const struct sst_index *x, const struct puffin_blob *b, struct puffin_source *ret_blob,
                       const struct inverted_index **ret_inverted, struct error *err)
{
    const struct part *p = &x->list->parts[b - x->file.blobs];
    TRY(puffin_blob_source(&x->source, b, ret_blob, err));
    *ret_inverted = &p->inverted;
    return p->is_inverted ? ST_OK : malformed(b, err);
}

/* ---- values and words ---- */

int sst_index_value(const struct column *values, int64_t i, struct dynbuf *scratch, const uint8_t **ret_data, size_t *ret_size, struct error *err)
{
    if (type_is_string(values->type)) {
        int32_t size;
        const uint8_t *text = column_bytes(values, i, &size);
        *ret_data = size ? text : (const uint8_t *)"";
        *ret_size = (size_t)size;
        return ST_OK;
    }
    dynbuf_clear(scratch);
    TRY(key_append_value(scratch, values, i, err));
    *ret_data = scratch->data;
    *ret_size = scratch->size;
    return ST_OK;
}

int sst_index_word(const uint8_t *word, size_t size, bool case_sensitive, struct dynbuf *scratch, uint64_t *ret_hash, struct error *err)
{
    if (!case_sensitive) {
        dynbuf_clear(scratch);
        TRY(dynbuf_reserve(scratch, size * UNICODE_CASE_MAX, err));
        if (!token_lower(word, size, scratch->data, &size))
            return error_set(err, ST_UNSUPPORTED, "a character whose lower case is not known");
        word = scratch->data;
    }
    *ret_hash = bloom_hash(word, size);
    return ST_OK;
}
