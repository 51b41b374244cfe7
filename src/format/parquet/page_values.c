/* The values of one page, by encoding, into dense arrays: fixed-width Arrow values, slices of bytes, or dictionary codes. */
#include "format/parquet/chunk.h"

#include "base/bits.h"

static int plain_slices(const uint8_t *data, size_t size, struct pq_buf *into, size_t n, struct error *err)
{
    if (n > size / 4)
        return pq_corrupt(err, "a page of strings that is too short");
    TRY(pq_buf_fit(into, n * sizeof(struct pq_slice), err));
    struct pq_slice *out = (struct pq_slice *)(void *)into->data;
    for (size_t i = 0; i < n; i++) {
        uint32_t length = size >= 4 ? load_le32(data) : UINT32_MAX;
        if (size < 4 || length > size - 4)
            return pq_corrupt(err, "a string that leaves its page");
        out[i] = (struct pq_slice){data + 4, length};
        data += 4 + (size_t)length;
        size -= 4 + (size_t)length;
    }
    return ST_OK;
}

/* n values of the physical type, converted, to `to`. When both have one layout `to` is decoded into directly. */
static int plain_fixed(struct pq_chunk_reader *r, const uint8_t *data, size_t size, uint8_t *to, size_t n, struct error *err)
{
    if (r->how == PQ_CONVERT_BOOL) {
        if (n > size * 8)
            return pq_corrupt(err, "a page of booleans that is too short");
        pq_unpack_bools(data, to, n);
        return ST_OK;
    }
    if (n > size / r->physical_width)
        return pq_corrupt(err, "a page that is too short for its values");
    pq_convert_fixed(r->how, data, r->physical_width, to, r->width, n);
    return ST_OK;
}

static int byte_stream_split(struct pq_chunk_reader *r, uint8_t *to, size_t n, struct error *err)
{
    uint32_t w = r->physical_width;
    if (r->how == PQ_CONVERT_BOOL || r->leaf->physical_type == PQ_INT96)
        return pq_corrupt(err, "BYTE_STREAM_SPLIT of a type that has none");
    if (n > r->size / w || r->size != n * w)
        return pq_corrupt(err, "a BYTE_STREAM_SPLIT page of the wrong size");
    TRY(pq_buf_fit(&r->scratch, n * w, err));
    uint8_t *plain = r->scratch.data;
    for (uint32_t k = 0; k < w; k++)
        for (size_t i = 0; i < n; i++)
            plain[i * w + k] = r->data[k * n + i];
    pq_convert_fixed(r->how, plain, w, to, r->width, n);
    return ST_OK;
}

/* The first n of the page's values. */
static int delta_fixed(struct pq_chunk_reader *r, uint8_t *to, size_t n, struct error *err)
{
    if (r->leaf->physical_type != PQ_INT32 && r->leaf->physical_type != PQ_INT64)
        return pq_corrupt(err, "DELTA_BINARY_PACKED of a type that is no integer");
    bool direct = r->how == PQ_CONVERT_COPY && r->width == 8;
    if (!direct)
        TRY(pq_buf_fit(&r->scratch, n * 8, err));
    uint8_t *wide = direct ? to : r->scratch.data;
    if (pq_delta_decode_prefix(r->data, r->size, (int64_t *)(void *)wide, n, r->n_values) == 0)
        return pq_corrupt(err, "broken DELTA_BINARY_PACKED data");
    if (direct)
        return ST_OK;
    if (r->physical_width == 4)
        for (size_t i = 0; i < n; i++)
            store_le32(wide + i * 4, load_le32(wide + i * 8));
    pq_convert_fixed(r->how, wide, r->physical_width, to, r->width, n);
    return ST_OK;
}

static int rle_bools(struct pq_chunk_reader *r, uint8_t *to, size_t n, struct error *err)
{
    if (r->how != PQ_CONVERT_BOOL || r->size < 4 || load_le32(r->data) > r->size - 4 ||
        !pq_rle_decode_u8(r->data + 4, load_le32(r->data), 1, 0, to, n))
        return pq_corrupt(err, "broken RLE booleans");
    return ST_OK;
}

/* ---- dictionary codes ---- */

static uint32_t largest_u8(const uint8_t *codes, size_t n)
{
    uint8_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = codes[i] > most ? codes[i] : most;
    return most;
}

static uint32_t largest_u32(const uint32_t *codes, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = codes[i] > most ? codes[i] : most;
    return most;
}

/* The picked codes, in a byte each when `narrow`; else and when they need more bits, in four. */
static int decode_codes(struct pq_chunk_reader *r, const struct pq_pick *pick, bool narrow, const uint8_t **ret_narrow, uint32_t **ret_wide,
                        struct error *err)
{
    size_t n = pick->n;
    unsigned width = r->size ? r->data[0] : 33;
    narrow = narrow && width <= 8;
    *ret_narrow = NULL;
    if (!r->has_dictionary && n > 0)
        return pq_corrupt(err, "a dictionary-encoded page without a dictionary");
    TRY(pq_buf_fit(&r->codes, n * (narrow ? 1 : sizeof(uint32_t)) + 8, err));
    uint8_t *bytes = r->codes.data;
    uint32_t *codes = (uint32_t *)(void *)r->codes.data, most = 0;
    *ret_wide = codes;
    if (n == 0)
        return ST_OK;
    if (width > 32 || !(narrow ? pq_rle_decode_u8(r->data + 1, r->size - 1, width, pick->first, bytes, n)
                               : pq_rle_decode_u32(r->data + 1, r->size - 1, width, pick->first, codes, n)))
        return pq_corrupt(err, "broken dictionary indexes");
    if (width == 32 || UINT64_C(1) << width > r->n_dictionary)
        most = narrow ? largest_u8(bytes, n) : largest_u32(codes, n);
    if (most >= r->n_dictionary)
        return pq_corrupt(err, "a dictionary index past the dictionary");
    for (size_t i = 0; pick->rows && i < pick->n_rows; i++) { /* in place: rows[i] >= i */
        if (narrow)
            bytes[i] = bytes[pick->rows[i]];
        else
            codes[i] = codes[pick->rows[i]];
    }
    if (narrow)
        *ret_narrow = bytes;
    return ST_OK;
}

#define GATHER(type)                                                                                                                                 \
    for (size_t i = 0; i < n; i++) {                                                                                                                 \
        type v;                                                                                                                                      \
        memcpy(&v, from + (size_t)at[i] * sizeof v, sizeof v);                                                                                       \
        memcpy(to + i * sizeof v, &v, sizeof v);                                                                                                     \
    }

#define GATHER_ANY                                                        \
    switch (width) {                                                      \
    case 1: GATHER(uint8_t) break;                                        \
    case 2: GATHER(uint16_t) break;                                       \
    case 4: GATHER(uint32_t) break;                                       \
    case 8: GATHER(uint64_t) break;                                       \
    default:                                                              \
        for (size_t i = 0; i < n; i++)                                    \
            memcpy(to + i * width, from + (size_t)at[i] * width, width);  \
    }

/* to[i] = from[at[i]]; also in place when at[] ascends and at[i] >= i. */
static void gather(const uint8_t *from, const uint32_t *at, uint8_t *to, uint32_t width, size_t n)
{
    GATHER_ANY
}

static void gather_narrow(const uint8_t *restrict from, const uint8_t *restrict at, uint8_t *restrict to, uint32_t width, size_t n)
{
    GATHER_ANY
}

static int dictionary_values(struct pq_chunk_reader *r, const struct pq_pick *pick, uint8_t *to, struct error *err)
{
    const uint8_t *narrow;
    uint32_t *wide;
    size_t n = pq_pick_count(pick);
    TRY(decode_codes(r, pick, true, &narrow, &wide, err));
    if (narrow)
        gather_narrow(r->dictionary_values.data, narrow, to, r->width, n);
    else
        gather(r->dictionary_values.data, wide, to, r->width, n);
    return ST_OK;
}

/* ---- pages ---- */

/* Encodings that can only be read from the start: the page's first n values. */
static int values_from_start(struct pq_chunk_reader *r, uint8_t *to, size_t n, struct error *err)
{
    switch (r->header.encoding) {
    case PQ_PLAIN: return plain_fixed(r, r->data, r->size, to, n, err);
    case PQ_RLE: return rle_bools(r, to, n, err);
    case PQ_DELTA_BINARY_PACKED: return delta_fixed(r, to, n, err);
    case PQ_BYTE_STREAM_SPLIT: return byte_stream_split(r, to, r->n_values, err);
    case PQ_DELTA_BYTE_ARRAY: {
        /* Fixed-length values may be front-coded, too. */
        if (r->leaf->physical_type != PQ_FIXED)
            break;
        TRY(pq_buf_fit(&r->slices, r->n_values * sizeof(struct pq_slice), err));
        struct pq_slice *s = (struct pq_slice *)(void *)r->slices.data;
        TRY(pq_delta_bytes_decode(r->data, r->size, &r->lengths, &r->strings, s, r->n_values, err));
        for (size_t i = 0; i < r->n_values; i++)
            if (s[i].size != r->physical_width)
                return pq_corrupt(err, "a fixed-length value of another length");
        pq_convert_fixed(r->how, r->strings.data, r->physical_width, to, r->width, r->n_values);
        return ST_OK;
    }
    default: break;
    }
    return error_set(err, ST_UNSUPPORTED, "parquet: encoding %d of column %s is not supported", r->header.encoding, r->leaf->path);
}

/* Room for n values of the output's width. One more than asked: the spacing loop of output.c reads ahead by one. */
static int fit_dense(struct pq_chunk_reader *r, size_t n, uint8_t **ret_dense, struct error *err)
{
    TRY(pq_buf_fit(&r->dense, (n + 1) * r->width, err));
    *ret_dense = r->dense.data;
    return ST_OK;
}

static int fixed_values(struct pq_chunk_reader *r, const struct pq_pick *pick, uint8_t *target, struct error *err)
{
    int encoding = r->header.encoding;
    uint8_t *to = target;
    if (encoding == PQ_PLAIN_DICTIONARY || encoding == PQ_RLE_DICTIONARY) {
        if (!to)
            TRY(fit_dense(r, pq_pick_count(pick), &to, err));
        r->values = to;
        return dictionary_values(r, pick, to, err);
    }
    size_t skip = encoding == PQ_PLAIN && r->how != PQ_CONVERT_BOOL ? pick->first : 0; /* only plain values can be found without those before them */
    if (skip) {
        if (pick->first > r->size / r->physical_width)
            return pq_corrupt(err, "a page that is too short for its values");
        r->data += skip * r->physical_width;
        r->size -= skip * r->physical_width;
    }
    if (!to || pick->first > skip || pick->rows || encoding == PQ_BYTE_STREAM_SPLIT || encoding == PQ_DELTA_BYTE_ARRAY)
        TRY(fit_dense(r, r->n_values, &to, err));
    TRY(values_from_start(r, to, pick->first - skip + pick->n, err));
    to += (pick->first - skip) * r->width;
    if (pick->rows)
        gather(to, pick->rows, to, r->width, pick->n_rows);
    r->values = to;
    return ST_OK;
}

static int string_values(struct pq_chunk_reader *r, const struct pq_pick *pick, struct error *err)
{
    size_t n = r->n_values, used;
    const uint8_t *narrow;
    uint32_t *codes;
    struct pq_slice *slices;
    r->codes_of_page = NULL;
    r->strings_of_page = NULL;
    switch (r->header.encoding) {
    case PQ_PLAIN:
        TRY(plain_slices(r->data, r->size, &r->slices, n, err));
        break;
    case PQ_DELTA_LENGTH_BYTE_ARRAY:
        TRY(pq_buf_fit(&r->slices, n * sizeof *slices, err));
        TRY(pq_buf_fit(&r->lengths, n * sizeof(int64_t), err));
        if (!pq_delta_length_decode(r->data, r->size, (int64_t *)(void *)r->lengths.data, (struct pq_slice *)(void *)r->slices.data, n, &used))
            return pq_corrupt(err, "broken DELTA_LENGTH_BYTE_ARRAY data");
        break;
    case PQ_DELTA_BYTE_ARRAY:
        TRY(pq_buf_fit(&r->slices, n * sizeof *slices, err));
        TRY(pq_delta_bytes_decode(r->data, r->size, &r->lengths, &r->strings, (struct pq_slice *)(void *)r->slices.data, n, err));
        break;
    case PQ_PLAIN_DICTIONARY: case PQ_RLE_DICTIONARY:
        TRY(decode_codes(r, pick, false, &narrow, &codes, err));
        r->codes_of_page = codes;
        return ST_OK;
    default:
        return error_set(err, ST_UNSUPPORTED, "parquet: encoding %d of column %s is not supported", r->header.encoding, r->leaf->path);
    }
    slices = (struct pq_slice *)(void *)r->slices.data + pick->first;
    for (size_t i = 0; pick->rows && i < pick->n_rows; i++)
        slices[i] = slices[pick->rows[i]];
    r->strings_of_page = slices;
    return ST_OK;
}

static int decimal_values(struct pq_chunk_reader *r, const struct pq_pick *pick, uint8_t *target, struct error *err)
{
    uint8_t *to = target;
    size_t n = pq_pick_count(pick);
    if (!to)
        TRY(fit_dense(r, n, &to, err));
    r->values = to;
    TRY(string_values(r, pick, err));
    if (r->codes_of_page)
        gather(r->dictionary_values.data, r->codes_of_page, to, r->width, n);
    else if (!pq_convert_decimal_slices(r->strings_of_page, to, r->width, n))
        return pq_corrupt(err, "a decimal that does not fit its precision");
    return ST_OK;
}

int pq_decode_page_values(struct pq_chunk_reader *r, const struct pq_pick *pick, uint8_t *target, struct error *err)
{
    if (r->how == PQ_CONVERT_NULL)
        return r->n_values ? pq_corrupt(err, "values in a column of nulls") : ST_OK;
    if (r->how == PQ_CONVERT_BYTES)
        return string_values(r, pick, err);
    if (r->n_values == 0)
        return fit_dense(r, 0, (uint8_t **)&r->values, err);
    return r->how == PQ_CONVERT_DECIMAL_BYTES ? decimal_values(r, pick, target, err) : fixed_values(r, pick, target, err);
}

/* The dictionary page lies in r->data; it is copied, as the page buffer is used again. */
int pq_read_dictionary(struct pq_chunk_reader *r, struct error *err)
{
    size_t n = (size_t)r->header.n_values;
    if (r->has_dictionary)
        return pq_corrupt(err, "two dictionaries in a column chunk");
    if (r->header.encoding != PQ_PLAIN && r->header.encoding != PQ_PLAIN_DICTIONARY)
        return error_set(err, ST_UNSUPPORTED, "parquet: dictionary encoding %d", r->header.encoding);
    if (r->leaf->physical_type == PQ_BYTE_ARRAY) {
        TRY(pq_buf_fit(&r->dictionary_page, r->size, err));
        if (r->size)
            memcpy(r->dictionary_page.data, r->data, r->size);
        TRY(plain_slices(r->dictionary_page.data, r->size, &r->dictionary_slices, n, err));
    }
    if (r->how == PQ_CONVERT_DECIMAL_BYTES) {
        TRY(pq_buf_fit(&r->dictionary_values, n * r->width, err));
        if (!pq_convert_decimal_slices((struct pq_slice *)(void *)r->dictionary_slices.data, r->dictionary_values.data, r->width, n))
            return pq_corrupt(err, "a decimal that does not fit its precision");
    } else if (r->how != PQ_CONVERT_BYTES && r->how != PQ_CONVERT_NULL) {
        if (r->how != PQ_CONVERT_BOOL && n > r->size / r->physical_width)
            return pq_corrupt(err, "a dictionary page that is too short");
        if (n > r->size * 8)
            return pq_corrupt(err, "a dictionary page that is too short");
        TRY(pq_buf_fit(&r->dictionary_values, n * r->width, err));
        TRY(plain_fixed(r, r->data, r->size, r->dictionary_values.data, n, err));
    }
    r->n_dictionary = (uint32_t)n;
    r->has_dictionary = true;
    return ST_OK;
}
