/* DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY.
 *
 * Header: block size, miniblocks per block, count, first value (zigzag). Block: smallest delta (zigzag), one width byte a miniblock, the miniblocks'
 * (delta - smallest) bit-packed. All arithmetic wraps. Source: Encodings.md.
 */
#include "format/parquet/internal.h"

#include "base/bits.h"

enum { BLOCK_VALUES = 128, MINI_BLOCKS = 4, MINI_VALUES = BLOCK_VALUES / MINI_BLOCKS, MINI_MAX = 1 << 16 };

static bool get_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && *p < end; shift += 7) {
        uint8_t b = *(*p)++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *ret_value = v;
            return true;
        }
    }
    return false;
}

static uint64_t unzigzag(uint64_t v)
{
    return v >> 1 ^ (0 - (v & 1));
}

struct delta_header { uint64_t block, minis, count, first, mini_values; };

static bool get_header(const uint8_t **p, const uint8_t *end, struct delta_header *h)
{
    if (!get_varint(p, end, &h->block) || !get_varint(p, end, &h->minis) || !get_varint(p, end, &h->count) || !get_varint(p, end, &h->first))
        return false;
    if (h->minis == 0 || h->minis > 4096 || h->block == 0 || h->block > MINI_MAX * h->minis || h->block % h->minis != 0)
        return false;
    h->mini_values = h->block / h->minis;
    h->first = unzigzag(h->first);
    return h->mini_values % 8 == 0;
}

/* n values from one miniblock, whose deltas are `width` bits wide; gives the last of them. Times at a steady pace have no bits at all. */
static uint64_t decode_mini(const uint8_t *data, unsigned width, uint64_t *v, size_t n, uint64_t least, uint64_t last)
{
    if (width == 0) {
        for (size_t i = 0; i < n; i++)
            v[i] = last + (i + 1) * least;
        return last + n * least;
    }
    pq_unpack_u64(data, width, v, n);
    for (size_t i = 0; i < n; i++)
        v[i] = last += v[i] + least;
    return last;
}

size_t pq_delta_decode(const uint8_t *data, size_t size, int64_t *out, size_t n)
{
    return pq_delta_decode_prefix(data, size, out, n, n);
}

size_t pq_delta_decode_prefix(const uint8_t *data, size_t size, int64_t *out, size_t n, size_t total)
{
    const uint8_t *p = data, *end = data + size;
    struct delta_header h;
    if (!get_header(&p, end, &h) || h.count != total)
        return 0;
    size_t done = 0;
    uint64_t last = h.first;
    if (n)
        out[done++] = (int64_t)last;
    while (done < n) {
        uint64_t least;
        if (!get_varint(&p, end, &least) || h.minis > (uint64_t)(end - p))
            return 0;
        least = unzigzag(least);
        const uint8_t *widths = p;
        p += h.minis;
        for (uint64_t m = 0; m < h.minis && done < n; m++) {
            size_t k = n - done < h.mini_values ? n - done : (size_t)h.mini_values, whole = (size_t)h.mini_values / 8 * widths[m];
            size_t left = (size_t)(end - p), need = (k * widths[m] + 7) / 8;
            if (widths[m] > 64 || need > left)
                return 0;
            last = decode_mini(p, widths[m], (uint64_t *)out + done, k, least, last);
            p += whole < left ? whole : left;
            done += k;
        }
    }
    return (size_t)(p - data);
}

bool pq_delta_length_decode(const uint8_t *data, size_t size, int64_t *lengths, struct pq_slice *out, size_t n, size_t *ret_used)
{
    size_t used = pq_delta_decode(data, size, lengths, n);
    if (used == 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (lengths[i] < 0 || (uint64_t)lengths[i] > size - used || lengths[i] > INT32_MAX)
            return false;
        out[i] = (struct pq_slice){data + used, (uint32_t)lengths[i]};
        used += (size_t)lengths[i];
    }
    *ret_used = used;
    return true;
}

int pq_delta_bytes_decode(const uint8_t *data, size_t size, struct pq_buf *lengths, struct pq_buf *bytes, struct pq_slice *out, size_t n,
                          struct error *err)
{
    TRY(pq_buf_fit(lengths, n * 2 * sizeof(int64_t), err));
    int64_t *prefixes = (int64_t *)(void *)lengths->data, *suffixes = prefixes + n;
    size_t used = pq_delta_decode(data, size, prefixes, n), rest;
    if (used == 0 || !pq_delta_length_decode(data + used, size - used, suffixes, out, n, &rest))
        return pq_corrupt(err, "broken DELTA_BYTE_ARRAY data");
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t before = i ? (uint64_t)prefixes[i - 1] + (uint64_t)suffixes[i - 1] : 0;
        if (prefixes[i] < 0 || (uint64_t)prefixes[i] > before)
            return pq_corrupt(err, "a DELTA_BYTE_ARRAY prefix longer than the value before");
        total += (uint64_t)prefixes[i] + (uint64_t)suffixes[i];
        if (total > INT32_MAX)
            return error_set(err, ST_EXHAUSTED, "parquet: a page of more than 2 GiB of strings");
    }
    TRY(pq_buf_fit(bytes, (size_t)total, err));
    uint8_t *to = bytes->data;
    for (size_t i = 0; i < n; i++) {
        if (prefixes[i])
            memcpy(to, out[i - 1].data, (size_t)prefixes[i]);
        memcpy(to + prefixes[i], out[i].data, out[i].size);
        out[i] = (struct pq_slice){to, (uint32_t)(prefixes[i] + suffixes[i])};
        to += out[i].size;
    }
    return ST_OK;
}

/* ---- encoding ---- */

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static uint8_t *pack(uint8_t *p, const uint64_t *v, size_t n, unsigned width)
{
    unsigned __int128 word = 0;
    unsigned bits = 0;
    for (size_t i = 0; width && i < n; i++) {
        word |= (unsigned __int128)v[i] << bits;
        bits += width;
        if (bits >= 64) {
            store_le64(p, (uint64_t)word);
            p += 8;
            word >>= 64;
            bits -= 64;
        }
    }
    for (; bits > 0; bits = bits > 8 ? bits - 8 : 0, word >>= 8)
        *p++ = (uint8_t)word;
    return p;
}

static uint8_t *put_block(uint8_t *p, uint64_t *deltas, size_t n, bool narrow)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < n; i++)
        if ((int64_t)deltas[i] < least)
            least = (int64_t)deltas[i];
    for (size_t i = 0; i < BLOCK_VALUES; i++)
        deltas[i] = i < n ? deltas[i] - (uint64_t)least : 0;
    if (narrow)
        for (size_t i = 0; i < n; i++)
            deltas[i] &= UINT32_MAX;
    p = put_varint(p, zigzag(least));
    uint8_t *widths = p;
    p += MINI_BLOCKS;
    for (size_t m = 0; m < MINI_BLOCKS; m++) {
        uint64_t all = 0;
        for (size_t i = 0; i < MINI_VALUES; i++)
            all |= deltas[m * MINI_VALUES + i];
        widths[m] = (uint8_t)pq_bit_width(all);
        if (m * MINI_VALUES < n)
            p = pack(p, deltas + m * MINI_VALUES, MINI_VALUES, widths[m]);
    }
    return p;
}

int pq_delta_encode(struct pq_buf *out, const int64_t *values, size_t n, bool narrow, struct error *err)
{
    uint64_t deltas[BLOCK_VALUES];
    TRY(pq_buf_reserve(out, 40, err));
    uint8_t *p = out->data + out->size;
    p = put_varint(p, BLOCK_VALUES);
    p = put_varint(p, MINI_BLOCKS);
    p = put_varint(p, n);
    p = put_varint(p, zigzag(n ? values[0] : 0));
    out->size = (size_t)(p - out->data);
    for (size_t i = 1; i < n; i += BLOCK_VALUES) {
        size_t k = n - i < BLOCK_VALUES ? n - i : BLOCK_VALUES;
        for (size_t j = 0; j < k; j++) {
            uint64_t d = (uint64_t)values[i + j] - (uint64_t)values[i + j - 1];
            deltas[j] = narrow ? (uint64_t)(int32_t)(uint32_t)d : d;
        }
        TRY(pq_buf_reserve(out, 16 + MINI_BLOCKS + BLOCK_VALUES * 8, err));
        out->size = (size_t)(put_block(out->data + out->size, deltas, k, narrow) - out->data);
    }
    return ST_OK;
}
