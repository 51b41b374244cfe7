#include "engine/mito/sst_index.h"

#include "engine/mito/sst_internal.h"
#include "format/index/bloom.h"
#include "format/index/tokens.h"
#include "format/key/key.h"

static int read_object(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    struct object_reader *r = ctx;
    return r->ops->read_at(r, offset, data, size, err);
}

int sst_index_open(const struct sst_file *file, struct budget *budget, struct sst_index *ret_index, struct error *err)
{
    const struct file_meta *m = &file->meta;
    struct sst_index x = {0};
    char key[1024];
    TRY(sst_index_key(file->dir, m->file_id, m->index_version, key, sizeof key, err));
    TRY(file->store->ops->open(file->store, key, &x.reader, err));
    arena_init(&x.arena, budget);
    x.source = (struct puffin_source){read_object, x.reader, 0, x.reader->size_bytes};
    int st = ST_OK;
    if (x.reader->size_bytes != m->index_file_size)
        st = error_set(err, ST_CORRUPT, "index %s has %llu bytes, the manifest says %llu", key, (unsigned long long)x.reader->size_bytes,
                       (unsigned long long)m->index_file_size);
    if (st == ST_OK)
        st = puffin_open(&x.source, &x.arena, &x.file, err);
    if (st != ST_OK) {
        sst_index_close(&x);
        return st;
    }
    *ret_index = x;
    return ST_OK;
}

void sst_index_close(struct sst_index *x)
{
    arena_release(&x->arena);
    x->reader->ops->close(x->reader);
}

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
