/* Metadata of finished chunks and their page indexes as Thrift. Field numbers are those of parquet.thrift. */
#include "format/parquet/writer.h"

static const struct pqw_page *pages_of(const struct pqw_leaf *leaf)
{
    return (const struct pqw_page *)(const void *)leaf->pages.data;
}

static void put_statistics(struct thrift_writer *w, const struct pqw_leaf *leaf)
{
    const struct pqw_bounds *b = &leaf->chunk_bounds;
    thrift_begin(w, 12);
    if (b->has && leaf->ordered_signed) {
        thrift_put_bytes(w, 1, b->max.data, b->max.size);
        thrift_put_bytes(w, 2, b->min.data, b->min.size);
    }
    thrift_put_i64(w, 3, leaf->chunk_nulls);
    if (b->has) {
        thrift_put_bytes(w, 5, b->max.data, b->max.size);
        thrift_put_bytes(w, 6, b->min.data, b->min.size);
    }
    thrift_put_bool(w, 7, b->has);
    thrift_put_bool(w, 8, b->has);
    thrift_end(w);
}

/* Only for flat columns, whose levels are 0 and 1. */
static bool has_histogram(const struct pqw_leaf *leaf)
{
    return leaf->max_definition == 1 && leaf->max_repetition == 0;
}

static void put_sizes(struct thrift_writer *w, const struct pqw_leaf *leaf)
{
    bool strings = leaf->physical == PQ_BYTE_ARRAY;
    if (!strings && !has_histogram(leaf))
        return;
    thrift_begin(w, 16);
    if (strings)
        thrift_put_i64(w, 1, leaf->chunk_string_bytes);
    if (has_histogram(leaf)) {
        thrift_put_list(w, 3, THRIFT_I64, 2);
        thrift_put_element_i64(w, leaf->chunk_nulls);
        thrift_put_element_i64(w, leaf->chunk_values - leaf->chunk_nulls);
    }
    thrift_end(w);
}

static int plain_encoding(const struct pqw_leaf *leaf)
{
    bool integer = leaf->physical == PQ_INT32 || leaf->physical == PQ_INT64;
    return leaf->options.delta && !leaf->options.dictionary && integer ? PQ_DELTA_BINARY_PACKED : PQ_PLAIN;
}

static void put_page_count(struct thrift_writer *w, int type, int encoding, uint32_t n)
{
    thrift_begin(w, 0);
    thrift_put_i32(w, 1, type);
    thrift_put_i32(w, 2, encoding);
    thrift_put_i32(w, 3, (int32_t)n);
    thrift_end(w);
}

static void put_encodings(struct thrift_writer *w, const struct pqw_leaf *leaf, bool dictionary)
{
    int encodings[4], n = 0;
    if (leaf->plain_pages && plain_encoding(leaf) != PQ_PLAIN)
        encodings[n++] = plain_encoding(leaf);
    else if (leaf->plain_pages || dictionary)
        encodings[n++] = PQ_PLAIN;
    encodings[n++] = PQ_RLE;
    if (dictionary)
        encodings[n++] = PQ_RLE_DICTIONARY;
    thrift_put_list(w, 2, THRIFT_I32, (uint32_t)n);
    for (int i = 0; i < n; i++)
        thrift_put_element_i32(w, encodings[i]);
}

static void put_meta(struct thrift_writer *w, const struct pqw_leaf *leaf, const struct pqw_chunk_place *place)
{
    bool dictionary = place->dictionary_offset >= 0;
    thrift_begin(w, 3);
    thrift_put_i32(w, 1, (int32_t)leaf->physical);
    put_encodings(w, leaf, dictionary);
    thrift_put_list(w, 3, THRIFT_BINARY, leaf->n_path);
    for (uint32_t i = 0; i < leaf->n_path; i++)
        thrift_put_element_bytes(w, leaf->path[i], strlen(leaf->path[i]));
    thrift_put_i32(w, 4, leaf->options.codec);
    thrift_put_i64(w, 5, leaf->chunk_values);
    thrift_put_i64(w, 6, place->uncompressed_bytes);
    thrift_put_i64(w, 7, place->compressed_bytes);
    thrift_put_i64(w, 9, place->data_offset);
    if (dictionary)
        thrift_put_i64(w, 11, place->dictionary_offset);
    put_statistics(w, leaf);
    thrift_put_list(w, 13, THRIFT_STRUCT, (uint32_t)dictionary + (leaf->dictionary_pages > 0) + (leaf->plain_pages > 0));
    if (dictionary)
        put_page_count(w, PQ_PAGE_DICTIONARY, PQ_PLAIN, 1);
    if (leaf->dictionary_pages)
        put_page_count(w, PQ_PAGE_DATA, PQ_RLE_DICTIONARY, leaf->dictionary_pages);
    if (leaf->plain_pages)
        put_page_count(w, PQ_PAGE_DATA, plain_encoding(leaf), leaf->plain_pages);
    put_sizes(w, leaf);
    thrift_end(w);
}

void pqw_put_chunk(struct thrift_writer *w, const struct pqw_leaf *leaf, const struct pqw_chunk_place *place)
{
    thrift_put_i64(w, 2, 0);
    put_meta(w, leaf, place);
}

/* 0 unordered, 1 ascending, 2 descending; null pages do not count. */
static int boundary_order(const struct pqw_leaf *leaf)
{
    const struct pqw_page *p = pages_of(leaf), *last = NULL;
    const uint8_t *bytes = leaf->bounds_bytes.data;
    bool up = true, down = true;
    for (uint32_t i = 0; i < leaf->n_pages; i++) {
        if (!p[i].has_bounds)
            continue;
        if (last) {
            int low = pqw_compare(leaf->order, bytes + last->min_at, last->min_size, bytes + p[i].min_at, p[i].min_size);
            int high = pqw_compare(leaf->order, bytes + last->max_at, last->max_size, bytes + p[i].max_at, p[i].max_size);
            up = up && low <= 0 && high <= 0;
            down = down && low >= 0 && high >= 0;
        }
        last = &p[i];
    }
    return up ? 1 : down ? 2 : 0;
}

void pqw_put_column_index(struct thrift_writer *w, const struct pqw_leaf *leaf)
{
    const struct pqw_page *p = pages_of(leaf);
    const uint8_t *bytes = leaf->bounds_bytes.data;
    uint32_t n = leaf->n_pages;
    thrift_begin(w, 0);
    thrift_put_list(w, 1, THRIFT_TRUE, n);
    for (uint32_t i = 0; i < n; i++)
        thrift_put_element_bool(w, !p[i].has_bounds);
    thrift_put_list(w, 2, THRIFT_BINARY, n);
    for (uint32_t i = 0; i < n; i++)
        thrift_put_element_bytes(w, p[i].has_bounds ? bytes + p[i].min_at : NULL, p[i].min_size);
    thrift_put_list(w, 3, THRIFT_BINARY, n);
    for (uint32_t i = 0; i < n; i++)
        thrift_put_element_bytes(w, p[i].has_bounds ? bytes + p[i].max_at : NULL, p[i].max_size);
    thrift_put_i32(w, 4, boundary_order(leaf));
    thrift_put_list(w, 5, THRIFT_I64, n);
    for (uint32_t i = 0; i < n; i++)
        thrift_put_element_i64(w, p[i].nulls);
    if (has_histogram(leaf)) {
        thrift_put_list(w, 7, THRIFT_I64, n * 2);
        for (uint32_t i = 0; i < n; i++) {
            thrift_put_element_i64(w, p[i].nulls);
            thrift_put_element_i64(w, p[i].values - p[i].nulls);
        }
    }
    thrift_end(w);
}

void pqw_put_offset_index(struct thrift_writer *w, const struct pqw_leaf *leaf, int64_t base)
{
    const struct pqw_page *p = pages_of(leaf);
    thrift_begin(w, 0);
    thrift_put_list(w, 1, THRIFT_STRUCT, leaf->n_pages);
    for (uint32_t i = 0; i < leaf->n_pages; i++) {
        thrift_begin(w, 0);
        thrift_put_i64(w, 1, base + p[i].offset);
        thrift_put_i32(w, 2, p[i].bytes);
        thrift_put_i64(w, 3, p[i].first_row);
        thrift_end(w);
    }
    if (leaf->physical == PQ_BYTE_ARRAY) {
        thrift_put_list(w, 2, THRIFT_I64, leaf->n_pages);
        for (uint32_t i = 0; i < leaf->n_pages; i++)
            thrift_put_element_i64(w, p[i].string_bytes);
    }
    thrift_end(w);
}
