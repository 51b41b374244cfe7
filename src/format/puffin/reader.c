/* Reading Puffin files. Nothing in the list is believed: every blob lies between the first magic and the list, or the file is refused. */
#include <string.h>

#include "base/bits.h"
#include "format/json/json.h"
#include "format/puffin/internal.h"

enum { TAIL_BYTES = 12, LIST_BYTES_MAX = 16 << 20, BLOBS_MAX = 1 << 16 };

int puffin_read(const struct puffin_source *s, uint64_t offset, void *data, size_t size, struct error *err)
{
    if (offset > s->size_bytes || size > s->size_bytes - offset)
        return error_set(err, ST_CORRUPT, "bytes %llu to %llu of %llu are wanted", (unsigned long long)offset, (unsigned long long)(offset + size),
                         (unsigned long long)s->size_bytes);
    return size ? s->read(s->ctx, s->base + offset, data, size, err) : ST_OK;
}

static int read_properties(const struct json_value *v, struct arena *a, struct puffin_blob *b, struct error *err)
{
    if (!v || json_is(v, JSON_NULL))
        return ST_OK;
    if (!json_is(v, JSON_OBJECT))
        return error_set(err, ST_CORRUPT, "the properties of a blob are no object");
    struct puffin_property *p = ARENA_ARRAY(a, v->count + 1, struct puffin_property, err);
    if (!p)
        return ST_NO_MEMORY;
    b->properties = p;
    for (const struct json_value *m = v->first; m; m = m->next) {
        p[b->n_properties] = (struct puffin_property){m->key, json_text(m)};
        if (!p[b->n_properties++].value)
            return error_set(err, ST_CORRUPT, "property %.100s of a blob is no text", m->key);
    }
    return ST_OK;
}

static int read_codec(const struct json_value *v, enum puffin_codec *ret_codec, struct error *err)
{
    if (!v || json_is(v, JSON_NULL))
        *ret_codec = PUFFIN_PLAIN;
    else if (json_is_string(v, "zstd"))
        *ret_codec = PUFFIN_ZSTD;
    else if (json_is_string(v, "lz4"))
        *ret_codec = PUFFIN_LZ4;
    else
        return error_set(err, ST_CORRUPT, "a blob has an unknown compression-codec");
    return ST_OK;
}

/* `end`: where the blobs end. */
static int read_blob(const struct json_value *v, uint64_t end, struct arena *a, struct puffin_blob *b, struct error *err)
{
    b->type = json_text(json_get(v, "type"));
    if (!b->type || !json_u64(json_get(v, "offset"), &b->offset) || !json_u64(json_get(v, "length"), &b->length))
        return error_set(err, ST_CORRUPT, "a blob has no type, offset or length");
    if (b->offset < PUFFIN_MAGIC_BYTES || b->offset > end || b->length > end - b->offset)
        return error_set(err, ST_CORRUPT, "blob %.100s (%llu bytes at %llu) lies outside of the blobs, which end at %llu", b->type,
                         (unsigned long long)b->length, (unsigned long long)b->offset, (unsigned long long)end);
    TRY(read_codec(json_get(v, "compression-codec"), &b->codec, err));
    return read_properties(json_get(v, "properties"), a, b, err);
}

static int read_list(const char *text, size_t size, uint64_t end, struct arena *a, struct puffin_file *ret_file, struct error *err)
{
    const struct json_value *root;
    TRY(json_parse(a, text, size, &root, err));
    const struct json_value *list = json_get(root, "blobs");
    if (!json_is(list, JSON_ARRAY) || list->count > BLOBS_MAX)
        return error_set(err, ST_CORRUPT, "no list of blobs, or one of more than %d", BLOBS_MAX);
    struct puffin_blob *blobs = ARENA_ARRAY(a, list->count + 1, struct puffin_blob, err);
    uint32_t n = 0;
    if (!blobs)
        return ST_NO_MEMORY;
    for (const struct json_value *v = list->first; v; v = v->next)
        TRY(read_blob(v, end, a, &blobs[n++], err));
    *ret_file = (struct puffin_file){blobs, n};
    return ST_OK;
}

static int open_list(const struct puffin_source *s, struct arena *a, struct puffin_file *ret_file, struct error *err)
{
    uint8_t tail[TAIL_BYTES];
    if (s->size_bytes < 2 * PUFFIN_MAGIC_BYTES + TAIL_BYTES)
        return error_set(err, ST_CORRUPT, "%llu bytes are too few", (unsigned long long)s->size_bytes);
    uint64_t room = s->size_bytes - TAIL_BYTES - 2 * PUFFIN_MAGIC_BYTES;
    TRY(puffin_read(s, s->size_bytes - TAIL_BYTES, tail, sizeof tail, err));
    uint32_t size = load_le32(tail), flags = load_le32(tail + 4);
    if (memcmp(tail + 8, PUFFIN_MAGIC, PUFFIN_MAGIC_BYTES) != 0)
        return error_set(err, ST_CORRUPT, "no magic at the end");
    if (size > room || size > LIST_BYTES_MAX)
        return error_set(err, ST_CORRUPT, "the list of blobs has %u bytes, there is room for %llu", size, (unsigned long long)room);
    if (flags != 0)
        return error_set(err, ST_UNSUPPORTED, "the list of blobs is compressed");
    uint64_t start = s->size_bytes - TAIL_BYTES - size;
    char *text = arena_alloc(a, (size_t)size + 1, err);
    if (!text)
        return ST_NO_MEMORY;
    TRY(puffin_read(s, start, text, size, err));
    return read_list(text, size, start - PUFFIN_MAGIC_BYTES, a, ret_file, err);
}

int puffin_open(const struct puffin_source *s, struct arena *a, struct puffin_file *ret_file, struct error *err)
{
    int st = open_list(s, a, ret_file, err);
    return st == ST_OK ? ST_OK : (error_prefix(err, "Puffin file"), st);
}

const struct puffin_blob *puffin_find(const struct puffin_file *f, const char *type)
{
    for (uint32_t i = 0; i < f->n_blobs; i++)
        if (strcmp(f->blobs[i].type, type) == 0)
            return &f->blobs[i];
    return NULL;
}

const char *puffin_property(const struct puffin_blob *b, const char *name)
{
    for (uint32_t i = 0; i < b->n_properties; i++)
        if (strcmp(b->properties[i].name, name) == 0)
            return b->properties[i].value;
    return NULL;
}

int puffin_blob_source(const struct puffin_source *file, const struct puffin_blob *b, struct puffin_source *ret_blob, struct error *err)
{
    if (b->codec != PUFFIN_PLAIN)
        return error_set(err, ST_UNSUPPORTED, "blob %.100s is compressed", b->type);
    *ret_blob = (struct puffin_source){file->read, file->ctx, file->base + b->offset, b->length};
    return ST_OK;
}
