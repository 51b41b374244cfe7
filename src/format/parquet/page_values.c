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

static int delta_fixed(struct pq_chunk_reader *r, uint8_t *to, size_t n, struct error *err)
{
    if (r->leaf->physical_type != PQ_INT32 && r->leaf->physical_type != PQ_INT64)
        return pq_corrupt(err, "DELTA_BINARY_PACKED of a type that is no integer");
    bool direct = r->how == PQ_CONVERT_COPY && r->width == 8;
    if (!direct)
        TRY(pq_buf_fit(&r->scratch, n * 8, err));
    uint8_t *wide = direct ? to : r->scratch.data;
    if (pq_delta_decode(r->data, r->size, (int64_t *)(void *)wide, n) == 0)
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
    if (r->how != PQ_CONVERT_BOOL || r->size < 4 || load_le32(r->data) > r->size - 4 || !pq_rle_decode_u8(r->data + 4, load_le32(r->data), 1, to, n))
        return pq_corrupt(err, "broken RLE booleans");
    return ST_OK;
}

static int decode_codes(struct pq_chunk_reader *r, uint32_t **ret_codes, struct error *err)
{
    size_t n = r->n_values;
    if (!r->has_dictionary && n > 0)
        return pq_corrupt(err, "a dictionary-encoded page without a dictionary");
    TRY(pq_buf_fit(&r->codes, n * sizeof(uint32_t), err));
    uint32_t *codes = (uint32_t *)(void *)r->codes.data, most = 0;
    if (n == 0) {
        *ret_codes = codes;
        return ST_OK;
    }
    if (r->size < 1 || r->data[0] > 32 || !pq_rle_decode_u32(r->data + 1, r->size - 1, r->data[0], codes, n))
        return pq_corrupt(err, "broken dictionary indexes");
    for (size_t i = 0; i < n; i++)
        most = codes[i] > most ? codes[i] : most;
    if (most >= r->n_dictionary)
        return pq_corrupt(err, "a dictionary index past the dictionary");
    *ret_codes = codes;
    return ST_OK;
}

static void gather(const uint8_t *from, const uint32_t *codes, uint8_t *to, uint32_t width, size_t n)
{
#define GATHER(type)                                                      \
    for (size_t i = 0; i < n; i++) {                                      \
        type v;                                                           \
        memcpy(&v, from + (size_t)codes[i] * sizeof v, sizeof v);         \
        memcpy(to + i * sizeof v, &v, sizeof v);                          \
    }
    switch (width) {
    case 1: GATHER(uint8_t) break;
    case 2: GATHER(uint16_t) break;
    case 4: GATHER(uint32_t) break;
    case 8: GATHER(uint64_t) break;
    default:
        for (size_t i = 0; i < n; i++)
            memcpy(to + i * width, from + (size_t)codes[i] * width, width);
    }
#undef GATHER
}

static int fixed_values(struct pq_chunk_reader *r, uint8_t *to, struct error *err)
{
    uint32_t *codes;
    switch (r->header.encoding) {
    case PQ_PLAIN: return plain_fixed(r, r->data, r->size, to, r->n_values, err);
    case PQ_RLE: return rle_bools(r, to, r->n_values, err);
    case PQ_DELTA_BINARY_PACKED: return delta_fixed(r, to, r->n_values, err);
    case PQ_BYTE_STREAM_SPLIT: return byte_stream_split(r, to, r->n_values, err);
    case PQ_PLAIN_DICTIONARY: case PQ_RLE_DICTIONARY:
        TRY(decode_codes(r, &codes, err));
        gather(r->dictionary_values.data, codes, to, r->width, r->n_values);
        return ST_OK;
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

static int string_values(struct pq_chunk_reader *r, struct error *err)
{
    size_t n = r->n_values, used;
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
        TRY(decode_codes(r, &codes, err));
        r->codes_of_page = codes;
        return ST_OK;
    default:
        return error_set(err, ST_UNSUPPORTED, "parquet: encoding %d of column %s is not supported", r->header.encoding, r->leaf->path);
    }
    r->strings_of_page = (struct pq_slice *)(void *)r->slices.data;
    return ST_OK;
}

static int decimal_values(struct pq_chunk_reader *r, uint8_t *to, struct error *err)
{
    TRY(string_values(r, err));
    if (r->codes_of_page)
        gather(r->dictionary_values.data, r->codes_of_page, to, r->width, r->n_values);
    else if (!pq_convert_decimal_slices(r->strings_of_page, to, r->width, r->n_values))
        return pq_corrupt(err, "a decimal that does not fit its precision");
    return ST_OK;
}

int pq_decode_page_values(struct pq_chunk_reader *r, uint8_t *target, struct error *err)
{
    if (r->how == PQ_CONVERT_NULL)
        return r->n_values ? pq_corrupt(err, "values in a column of nulls") : ST_OK;
    if (r->how == PQ_CONVERT_BYTES)
        return string_values(r, err);
    if (!target) {
        /* One value more than there are: the spacing loop of output.c reads ahead by one. */
        TRY(pq_buf_fit(&r->dense, (r->n_values + 1) * r->width, err));
        target = r->dense.data;
    }
    r->values = target;
    if (r->n_values == 0)
        return ST_OK;
    return r->how == PQ_CONVERT_DECIMAL_BYTES ? decimal_values(r, target, err) : fixed_values(r, target, err);
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
