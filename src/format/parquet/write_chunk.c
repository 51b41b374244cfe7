/* One column chunk in the making: appends runs of values, closes pages, falls back from the dictionary to plain pages when it grows too large.
 *
 * Finished pages lie compressed in `out` until the row group is complete, since chunks lie one behind the other in the file.
 * Bounds are whole values, because readers decode keys out of them. A chunk with longer ones has none: footer and index would become as large as the
 * data.
 */
#include "format/parquet/writer.h"

#include "base/bits.h"
#include "base/crc32.h"

enum { BOUND_BYTES_MAX = 16 << 10, LEAF_BUFS = 11 };

static void own_bufs(struct pqw_leaf *leaf, struct pq_buf *ret_bufs[LEAF_BUFS])
{
    struct pq_buf *const bufs[LEAF_BUFS] = {&leaf->remap, &leaf->out,    &leaf->pages,   &leaf->bounds_bytes, &leaf->definition, &leaf->repetition,
                                            &leaf->codes, &leaf->values, &leaf->scratch, &leaf->slices,       &leaf->body};
    memcpy(ret_bufs, bufs, sizeof bufs);
}

int pqw_leaf_init(struct pqw_leaf *leaf, struct error *err)
{
    struct pq_buf *bufs[LEAF_BUFS];
    own_bufs(leaf, bufs);
    for (size_t i = 0; i < LEAF_BUFS; i++)
        pq_buf_init(bufs[i], leaf->budget);
    pqw_dictionary_init(&leaf->dictionary, leaf->budget);
    pqw_bounds_init(&leaf->bounds, leaf->budget);
    pqw_bounds_init(&leaf->chunk_bounds, leaf->budget);
    TRY(pqw_physical_of(leaf->type, leaf, err));
    pqw_leaf_next_chunk(leaf);
    return ST_OK;
}

void pqw_leaf_release(struct pqw_leaf *leaf)
{
    struct pq_buf *bufs[LEAF_BUFS];
    own_bufs(leaf, bufs);
    for (size_t i = 0; i < LEAF_BUFS; i++)
        pq_buf_release(bufs[i]);
    pqw_dictionary_release(&leaf->dictionary);
    pqw_bounds_release(&leaf->bounds);
    pqw_bounds_release(&leaf->chunk_bounds);
    column_unref(leaf->remap_of);
    leaf->remap_of = NULL;
}

void pqw_leaf_next_chunk(struct pqw_leaf *leaf)
{
    bool dictionary_type = leaf->physical != PQ_BOOLEAN && leaf->physical != PQ_FIXED;
    leaf->use_dictionary = leaf->options.dictionary && dictionary_type;
    leaf->fell_back = false;
    pqw_dictionary_clear(&leaf->dictionary);
    column_unref(leaf->remap_of);
    leaf->remap_of = NULL;
    leaf->out.size = leaf->pages.size = leaf->bounds_bytes.size = 0;
    leaf->chunk_bounds.has = leaf->long_bounds = leaf->unbounded = false;
    leaf->n_pages = leaf->dictionary_pages = leaf->plain_pages = 0;
    leaf->chunk_values = leaf->chunk_nulls = leaf->chunk_rows = leaf->chunk_string_bytes = leaf->uncompressed_bytes = 0;
}

/* ---- values ---- */

static int put_plain_slices(struct pqw_leaf *leaf, const struct pq_slice *s, size_t n, struct error *err)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += s[i].size + 4;
    TRY(pq_buf_reserve(&leaf->values, total, err));
    uint8_t *p = leaf->values.data + leaf->values.size;
    for (size_t i = 0; i < n; i++) {
        store_le32(p, s[i].size);
        if (s[i].size)
            memcpy(p + 4, s[i].data, s[i].size);
        p += 4 + s[i].size;
    }
    leaf->values.size += total;
    return ST_OK;
}

/* Bounds of a dictionary page: each code counts once a page, however many rows have it. */
static int stamp(struct pqw_leaf *leaf, uint32_t code, struct error *err)
{
    uint32_t *stamps = (uint32_t *)(void *)leaf->dictionary.stamps.data;
    if (stamps[code] == leaf->n_pages + 1)
        return ST_OK;
    stamps[code] = leaf->n_pages + 1;
    const uint8_t *at = leaf->dictionary.body.data + ((uint32_t *)(void *)leaf->dictionary.starts.data)[code];
    struct pq_slice s = {at + 4, load_le32(at)};
    return pqw_bounds_bytes(&leaf->bounds, leaf->order, &s, err);
}

static int append_slices(struct pqw_leaf *leaf, const struct pq_slice *s, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++)
        leaf->string_bytes += s[i].size;
    if (!leaf->use_dictionary) {
        for (size_t i = 0; i < n; i++)
            TRY(pqw_bounds_bytes(&leaf->bounds, leaf->order, &s[i], err));
        return put_plain_slices(leaf, s, n, err);
    }
    TRY(pq_buf_reserve(&leaf->codes, n * 4, err));
    uint32_t *codes = (uint32_t *)(void *)(leaf->codes.data + leaf->codes.size);
    for (size_t i = 0; i < n; i++) {
        if (i && s[i].size == s[i - 1].size && (s[i].data == s[i - 1].data || memcmp(s[i].data, s[i - 1].data, s[i].size) == 0)) {
            codes[i] = codes[i - 1];
            continue;
        }
        TRY(pqw_intern_bytes(&leaf->dictionary, &s[i], &codes[i], err));
        TRY(stamp(leaf, codes[i], err));
    }
    leaf->codes.size += n * 4;
    return ST_OK;
}

static int append_fixed(struct pqw_leaf *leaf, const uint8_t *v, size_t n, struct error *err)
{
    TRY(pqw_bounds_fixed(&leaf->bounds, leaf->order, v, leaf->width, n, err));
    if (!leaf->use_dictionary)
        return pq_buf_append(&leaf->values, v, n * leaf->width, err);
    TRY(pq_buf_reserve(&leaf->codes, n * 4, err));
    TRY(pqw_intern_fixed(&leaf->dictionary, v, leaf->width, n, (uint32_t *)(void *)(leaf->codes.data + leaf->codes.size), err));
    leaf->codes.size += n * 4;
    return ST_OK;
}

/* A batch that brings its own dictionary: each of its values is looked up once. */
static int append_keys(struct pqw_leaf *leaf, const struct pqw_run *run, size_t *ret_n, struct error *err)
{
    const struct column *c = run->column;
    struct column *dictionary = c->dictionary;
    const uint32_t *keys = COLUMN_VALUES(c, uint32_t) + run->start;
    const uint8_t *valid = c->validity ? c->validity->data : NULL;
    size_t n = 0;
    if (leaf->remap_of != dictionary) {
        TRY(pq_buf_fit(&leaf->remap, (size_t)dictionary->length * 4, err));
        memset(leaf->remap.data, 0xff, leaf->remap.size);
        column_unref(leaf->remap_of);
        leaf->remap_of = column_ref(dictionary);
    }
    uint32_t *remap = (uint32_t *)(void *)leaf->remap.data;
    TRY(pq_buf_reserve(&leaf->codes, (size_t)run->n * 4, err));
    uint32_t *codes = (uint32_t *)(void *)(leaf->codes.data + leaf->codes.size);
    for (int64_t i = 0, end; i < run->n; i = end) {
        end = i + 1;
        if (valid && !bit_get(valid, c->offset + run->start + i))
            continue;
        while (!valid && end < run->n && keys[end] == keys[i]) /* a sorted file's tags come in runs */
            end++;
        uint32_t code = remap[keys[i]];
        int32_t size;
        const uint8_t *data = column_bytes(dictionary, keys[i], &size);
        if (code == UINT32_MAX) {
            struct pq_slice s = {data, (uint32_t)size};
            TRY(pqw_intern_bytes(&leaf->dictionary, &s, &code, err));
            remap[keys[i]] = code;
        }
        leaf->string_bytes += size * (end - i);
        if (n == 0 || codes[n - 1] != code)
            TRY(stamp(leaf, code, err));
        for (int64_t k = i; k < end; k++)
            codes[n++] = code;
    }
    leaf->codes.size += n * 4;
    *ret_n = n;
    return ST_OK;
}

/* Without a chunk dictionary the batch's dictionary gives slices. */
static int append_keyed_slices(struct pqw_leaf *leaf, const struct pqw_run *run, size_t *ret_n, struct error *err)
{
    const struct column *c = run->column;
    const uint32_t *keys = COLUMN_VALUES(c, uint32_t) + run->start;
    size_t n = 0;
    TRY(pq_buf_fit(&leaf->slices, (size_t)run->n * sizeof(struct pq_slice), err));
    struct pq_slice *s = (struct pq_slice *)(void *)leaf->slices.data;
    for (int64_t i = 0; i < run->n; i++) {
        int32_t size;
        if (column_is_null(c, run->start + i))
            continue;
        s[n].data = column_bytes(c->dictionary, keys[i], &size);
        s[n++].size = (uint32_t)size;
    }
    *ret_n = n;
    return append_slices(leaf, s, n, err);
}

/* ---- levels ---- */

static int append_definition(struct pqw_leaf *leaf, const struct pqw_run *run, struct error *err)
{
    if (run->definition) {
        TRY(pq_buf_append(&leaf->definition, run->definition, (size_t)run->n_entries, err));
        return run->repetition ? pq_buf_append(&leaf->repetition, run->repetition, (size_t)run->n_entries, err) : ST_OK;
    }
    if (leaf->max_definition == 0)
        return ST_OK;
    TRY(pq_buf_reserve(&leaf->definition, (size_t)run->n, err));
    uint8_t *d = leaf->definition.data + leaf->definition.size;
    const struct column *c = run->column;
    if (c->type->id == TYPE_NULL)
        memset(d, 0, (size_t)run->n);
    else if (!c->validity)
        memset(d, 1, (size_t)run->n);
    else
        for (int64_t i = 0; i < run->n; i++)
            d[i] = bit_get(c->validity->data, c->offset + run->start + i);
    leaf->definition.size += (size_t)run->n;
    return ST_OK;
}

int pqw_leaf_append(struct pqw_leaf *leaf, const struct pqw_run *run, struct error *err)
{
    int64_t entries = run->definition ? run->n_entries : run->n;
    size_t n = 0;
    TRY(append_definition(leaf, run, err));
    if (run->column->type->id == TYPE_DICTIONARY) {
        TRY(leaf->use_dictionary ? append_keys(leaf, run, &n, err) : append_keyed_slices(leaf, run, &n, err));
    } else {
        const uint8_t *values;
        TRY(pqw_extract(leaf, run, &n, &values, err));
        if (n)
            TRY(leaf->width == 0 ? append_slices(leaf, (struct pq_slice *)(void *)leaf->slices.data, n, err) : append_fixed(leaf, values, n, err));
    }
    if (leaf->max_definition == 0 && (int64_t)n != entries)
        return error_set(err, ST_INVALID_ARGUMENTS, "parquet: null in column %s, which has none", leaf->path[0]);
    leaf->rows += run->rows;
    leaf->n_values += entries;
    leaf->nulls += entries - (int64_t)n;
    if (leaf->use_dictionary && leaf->dictionary.body.size >= leaf->dictionary_bytes_max) {
        TRY(pqw_flush_page(leaf, err));
        leaf->use_dictionary = false;
        leaf->fell_back = true;
    }
    return ST_OK;
}

bool pqw_page_full(const struct pqw_leaf *leaf, const struct parquet_writer_options *o)
{
    size_t bytes = leaf->use_dictionary ? leaf->codes.size / 32 * pq_bit_width(leaf->dictionary.n) : leaf->values.size;
    return leaf->rows >= o->page_rows_max || bytes >= o->page_bytes_max;
}

/* ---- pages ---- */

static int put_levels(struct pq_buf *body, const struct pq_buf *levels, uint8_t max, struct error *err)
{
    if (max == 0)
        return ST_OK;
    size_t at = body->size;
    TRY(pq_buf_append(body, "\0\0\0\0", 4, err));
    TRY(pq_rle_encode_u8(body, levels->data, levels->size, pq_bit_width(max), err));
    store_le32(body->data + at, (uint32_t)(body->size - at - 4));
    return ST_OK;
}

static int put_delta(struct pqw_leaf *leaf, size_t n, struct error *err)
{
    if (leaf->width == 8)
        return pq_delta_encode(&leaf->body, (const int64_t *)(const void *)leaf->values.data, n, false, err);
    TRY(pq_buf_fit(&leaf->scratch, n * 8, err));
    int64_t *wide = (int64_t *)(void *)leaf->scratch.data;
    for (size_t i = 0; i < n; i++)
        wide[i] = (int32_t)load_le32(leaf->values.data + i * 4);
    return pq_delta_encode(&leaf->body, wide, n, true, err);
}

static bool uses_delta(const struct pqw_leaf *leaf)
{
    return leaf->options.delta && !leaf->options.dictionary && (leaf->physical == PQ_INT32 || leaf->physical == PQ_INT64);
}

static int put_values(struct pqw_leaf *leaf, int *ret_encoding, struct error *err)
{
    size_t n = (size_t)(leaf->n_values - leaf->nulls);
    if (leaf->use_dictionary) {
        uint8_t width = (uint8_t)pq_bit_width(leaf->dictionary.n > 1 ? leaf->dictionary.n - 1 : 1);
        *ret_encoding = PQ_RLE_DICTIONARY;
        TRY(pq_buf_append(&leaf->body, &width, 1, err));
        return pq_rle_encode_u32(&leaf->body, (const uint32_t *)(const void *)leaf->codes.data, n, width, err);
    }
    if (uses_delta(leaf)) {
        *ret_encoding = PQ_DELTA_BINARY_PACKED;
        return put_delta(leaf, n, err);
    }
    *ret_encoding = PQ_PLAIN;
    if (leaf->physical != PQ_BOOLEAN)
        return pq_buf_append(&leaf->body, leaf->values.data, leaf->values.size, err);
    size_t at = leaf->body.size;
    TRY(pq_buf_reserve(&leaf->body, bits_bytes((int64_t)n), err));
    memset(leaf->body.data + at, 0, bits_bytes((int64_t)n));
    for (size_t i = 0; i < n; i++)
        leaf->body.data[at + (i >> 3)] |= (uint8_t)(leaf->values.data[i] << (i & 7));
    leaf->body.size += bits_bytes((int64_t)n);
    return ST_OK;
}

/* Header and compressed body behind what `out` holds. The header has the body's checksum: a bit that the disk lost is an error, not another value. */
static int put_page(struct pqw_leaf *leaf, struct pq_buf *out, int type, int64_t n, int encoding, const struct pq_buf *body, struct error *err)
{
    struct pq_buf packed;
    if (body->size > INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "parquet: a page of column %s takes more than 2 GiB", leaf->path[0]);
    pq_buf_init(&packed, leaf->budget);
    int st = pq_compress(leaf->codecs, leaf->options.codec, leaf->options.level, body->data, body->size, &packed, err);
    struct thrift_writer w = {.out = out, .err = err, .status = st};
    size_t before = out->size;
    thrift_begin(&w, 0);
    thrift_put_i32(&w, 1, type);
    thrift_put_i32(&w, 2, (int32_t)body->size);
    thrift_put_i32(&w, 3, (int32_t)packed.size);
    thrift_put_i32(&w, 4, (int32_t)crc32_ieee(0, packed.data, packed.size));
    thrift_begin(&w, type == PQ_PAGE_DATA ? 5 : 7);
    thrift_put_i32(&w, 1, (int32_t)n);
    thrift_put_i32(&w, 2, encoding);
    if (type == PQ_PAGE_DATA) {
        thrift_put_i32(&w, 3, PQ_RLE);
        thrift_put_i32(&w, 4, PQ_RLE);
    } else {
        thrift_put_bool(&w, 3, false);
    }
    thrift_end(&w);
    thrift_end(&w);
    if (w.status == ST_OK) {
        leaf->uncompressed_bytes += (int64_t)(out->size - before + body->size);
        w.status = pq_buf_append(out, packed.data, packed.size, err);
    }
    pq_buf_release(&packed);
    return w.status;
}

static int note_page(struct pqw_leaf *leaf, size_t offset, struct error *err)
{
    const struct pqw_bounds *b = &leaf->bounds;
    struct pqw_page p = {.offset = (int64_t)offset, .first_row = leaf->chunk_rows, .nulls = leaf->nulls, .values = leaf->n_values,
                         .string_bytes = leaf->string_bytes, .bytes = (int32_t)(leaf->out.size - offset), .has_bounds = b->has};
    leaf->unbounded |= !b->has && leaf->nulls < leaf->n_values;
    leaf->long_bounds |= b->has && (b->min.size > BOUND_BYTES_MAX || b->max.size > BOUND_BYTES_MAX);
    if (b->has && !leaf->long_bounds) {
        p.min_at = (uint32_t)leaf->bounds_bytes.size;
        p.min_size = (uint32_t)b->min.size;
        TRY(pq_buf_append(&leaf->bounds_bytes, b->min.data, b->min.size, err));
        p.max_at = (uint32_t)leaf->bounds_bytes.size;
        p.max_size = (uint32_t)b->max.size;
        TRY(pq_buf_append(&leaf->bounds_bytes, b->max.data, b->max.size, err));
    }
    return pq_buf_append(&leaf->pages, &p, sizeof p, err);
}

int pqw_flush_page(struct pqw_leaf *leaf, struct error *err)
{
    int encoding;
    size_t offset = leaf->out.size;
    if (leaf->n_values == 0)
        return ST_OK;
    leaf->body.size = 0;
    TRY(put_levels(&leaf->body, &leaf->repetition, leaf->max_repetition, err));
    TRY(put_levels(&leaf->body, &leaf->definition, leaf->max_definition, err));
    TRY(put_values(leaf, &encoding, err));
    TRY(put_page(leaf, &leaf->out, PQ_PAGE_DATA, leaf->n_values, encoding, &leaf->body, err));
    TRY(note_page(leaf, offset, err));
    if (leaf->long_bounds)
        leaf->chunk_bounds.has = false;
    else
        TRY(pqw_bounds_merge(&leaf->chunk_bounds, leaf->order, &leaf->bounds, err));
    leaf->n_pages++;
    leaf->dictionary_pages += leaf->use_dictionary;
    leaf->plain_pages += !leaf->use_dictionary;
    leaf->chunk_values += leaf->n_values;
    leaf->chunk_nulls += leaf->nulls;
    leaf->chunk_rows += leaf->rows;
    leaf->chunk_string_bytes += leaf->string_bytes;
    leaf->n_values = leaf->nulls = leaf->rows = leaf->string_bytes = 0;
    leaf->bounds.has = false;
    leaf->definition.size = leaf->repetition.size = leaf->codes.size = leaf->values.size = 0;
    return ST_OK;
}

int pqw_dictionary_page(struct pqw_leaf *leaf, struct pq_buf *out, struct error *err)
{
    return put_page(leaf, out, PQ_PAGE_DICTIONARY, leaf->dictionary.n, PQ_PLAIN, &leaf->dictionary.body, err);
}
