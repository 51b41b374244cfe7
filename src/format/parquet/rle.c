/* The RLE / bit-packed hybrid of levels, dictionary indexes and booleans, and the bit unpackers below it.
 *
 * A run starts with a varint: even = (count << 1), the value follows in whole bytes; odd = (groups of eight << 1 | 1), the values follow bit-packed,
 * least significant bit first. Source: Encodings.md.
 */
#include "format/parquet/internal.h"

#include "base/bits.h"

static bool run_header(const uint8_t **p, const uint8_t *end, uint64_t *ret_header)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 35 && *p < end; shift += 7) {
        uint8_t b = *(*p)++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *ret_header = v;
            return true;
        }
    }
    return false;
}

void pq_unpack_bools(const uint8_t *bits, uint8_t *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        /* Spreads eight bits over eight bytes. */
        uint64_t v = ((bits[i >> 3] * 0x8040201008040201ull) & 0x8080808080808080ull) >> 7;
        v = __builtin_bswap64(v);
        memcpy(out + i, &v, 8);
    }
    for (; i < n; i++)
        out[i] = bits[i >> 3] >> (i & 7) & 1;
}

/* Spreads eight values of `width` <= 8 bits over eight bytes: halves, quarters, eighths. The masks are constants of the caller's loop. */
static inline uint64_t spread8(uint64_t v, unsigned width)
{
    uint64_t half = (UINT64_C(1) << 4 * width) - 1, quarter = ((UINT64_C(1) << 2 * width) - 1) * UINT64_C(0x0000000100000001),
             eighth = ((UINT64_C(1) << width) - 1) * UINT64_C(0x0001000100010001);
    v = (v & half) | (v >> 4 * width & half) << 32;
    v = (v & quarter) | (v >> 2 * width & quarter) << 16;
    return (v & eighth) | (v >> width & eighth) << 8;
}

static void unpack_u8(const uint8_t *data, unsigned width, uint8_t *out, size_t n)
{
    size_t i = 0;
    if (width == 1) {
        pq_unpack_bools(data, out, n);
        return;
    }
    for (; i + 8 <= n; i += 8, data += width)
        store_le64(out + i, spread8(load_le64(data), width));
    for (unsigned k = 0; i < n; i++, k++)
        out[i] = (uint8_t)(load_le64(data + (k * width >> 3)) >> (k * width & 7) & ((1u << width) - 1));
}

static void unpack_u32(const uint8_t *data, unsigned width, uint32_t *out, size_t n)
{
    uint64_t mask = ((uint64_t)1 << width) - 1;
    size_t i = 0;
    if (width == 16) {
        for (; i < n; i++)
            out[i] = load_le16(data + i * 2);
    } else if (width <= 8) {
        for (; i + 8 <= n; i += 8, data += width) {
            uint64_t eight = width == 8 ? load_le64(data) : spread8(load_le64(data), width);
            for (unsigned k = 0; k < 8; k++, eight >>= 8)
                out[i + k] = (uint8_t)eight;
        }
    } else {
        /* Eight values are `width` whole bytes; the position of each inside them is a constant of the loop. */
        for (; i + 8 <= n; i += 8, data += width)
            for (unsigned k = 0; k < 8; k++)
                out[i + k] = (uint32_t)(load_le64(data + (k * width >> 3)) >> (k * width & 7) & mask);
    }
    for (unsigned k = 0; i < n; i++, k++)
        out[i] = (uint32_t)(load_le64(data + (k * width >> 3)) >> (k * width & 7) & mask);
}

void pq_unpack_u64(const uint8_t *data, unsigned width, uint64_t *out, size_t n)
{
    if (width == 0) {
        memset(out, 0, n * sizeof *out);
    } else if (width <= 56) {
        uint64_t mask = ((uint64_t)1 << width) - 1;
        for (size_t i = 0, bit = 0; i < n; i++, bit += width)
            out[i] = load_le64(data + (bit >> 3)) >> (bit & 7) & mask;
    } else {
        uint64_t mask = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
        for (size_t i = 0, bit = 0; i < n; i++, bit += width) {
            unsigned shift = bit & 7;
            uint64_t low = load_le64(data + (bit >> 3)) >> shift;
            uint64_t high = shift ? (uint64_t)data[(bit >> 3) + 8] << (64 - shift) : 0;
            out[i] = (low | high) & mask;
        }
    }
}

/* One run: its length into *ret_n, and where its bits are, or (data NULL) its value. */
static bool next_run(const uint8_t **p, const uint8_t *end, unsigned width, size_t room, size_t *ret_n, const uint8_t **ret_bits, uint32_t *ret_value)
{
    uint64_t header;
    if (!run_header(p, end, &header))
        return false;
    size_t left = (size_t)(end - *p), n = (size_t)(header >> 1);
    if (header & 1) {
        n *= 8;
        if (n > room)
            n = room;
        /* The last group may be cut off behind the last value. */
        size_t need = (n * width + 7) / 8, whole = (size_t)(header >> 1) * width;
        if (need > left)
            return false;
        *ret_bits = *p;
        *p += whole < left ? whole : left;
    } else {
        size_t bytes = (width + 7) / 8;
        if (bytes > left)
            return false;
        *ret_bits = NULL;
        *ret_value = 0;
        memcpy(ret_value, *p, bytes);
        *p += bytes;
        if (width < 32 && *ret_value >> width)
            return false;
        if (n > room)
            n = room;
    }
    *ret_n = n;
    return n > 0 || room == 0;
}

/* Decodes values [skip, skip + n); runs before them are passed over, and of a bit-packed one only the groups that hold wanted values are unpacked. */
#define DECODE(NAME, ctype, UNPACK)                                                                                                                  \
    bool NAME(const uint8_t *data, size_t size, unsigned width, size_t skip, ctype *out, size_t n)                                                   \
    {                                                                                                                                                \
        const uint8_t *p = data, *end = data + size, *bits;                                                                                          \
        size_t run, total = skip + n;                                                                                                                \
        uint32_t value = 0;                                                                                                                          \
        if (width == 0) {                                                                                                                            \
            memset(out, 0, n * sizeof *out);                                                                                                         \
            return true;                                                                                                                             \
        }                                                                                                                                            \
        for (size_t at = 0; at < total; at += run) {                                                                                                 \
            if (!next_run(&p, end, width, total - at, &run, &bits, &value))                                                                          \
                return false;                                                                                                                        \
            if (at + run <= skip)                                                                                                                    \
                continue;                                                                                                                            \
            size_t from = at < skip ? skip - at : 0, inside = from & 7;                                                                              \
            ctype *to = out + (at + from - skip);                                                                                                    \
            if (!bits) {                                                                                                                             \
                for (size_t i = 0; i < run - from; i++)                                                                                              \
                    to[i] = (ctype)value;                                                                                                            \
                continue;                                                                                                                            \
            }                                                                                                                                        \
            if (inside) {                                                                                                                            \
                ctype eight[8];                                                                                                                      \
                size_t k = run - from < 8 - inside ? run - from : 8 - inside;                                                                        \
                UNPACK(bits + from / 8 * width, width, eight, inside + k);                                                                           \
                memcpy(to, eight + inside, k * sizeof *to);                                                                                          \
                from += k;                                                                                                                           \
                to += k;                                                                                                                             \
            }                                                                                                                                        \
            if (from < run)                                                                                                                          \
                UNPACK(bits + from / 8 * width, width, to, run - from);                                                                              \
        }                                                                                                                                            \
        return true;                                                                                                                                 \
    }

DECODE(pq_rle_decode_u32, uint32_t, unpack_u32)
DECODE(pq_rle_decode_u8, uint8_t, unpack_u8)

bool pq_rle_is_constant(const uint8_t *data, size_t size, unsigned width, size_t n, uint32_t *ret_value)
{
    const uint8_t *p = data, *bits;
    size_t run;
    return width > 0 && n > 0 && next_run(&p, data + size, width, n, &run, &bits, ret_value) && !bits && run == n;
}

bool pq_bit_packed_levels(const uint8_t *data, size_t size, unsigned width, uint8_t *out, size_t n)
{
    if (width && n > size * 8 / width)
        return false;
    for (size_t i = 0, bit = 0; i < n; i++) {
        unsigned v = 0;
        for (unsigned k = 0; k < width; k++, bit++)
            v = v << 1 | (data[bit >> 3] >> (7 - (bit & 7)) & 1);
        out[i] = (uint8_t)v;
    }
    return true;
}

/* ---- encoding ---- */

static int put_header(struct pq_buf *out, uint64_t v, struct error *err)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    return pq_buf_append(out, bytes, n, err);
}

/* Packs values, the last group filled up with zeros. */
static int put_literals(struct pq_buf *out, const uint32_t *values, size_t n, unsigned width, struct error *err)
{
    size_t groups = (n + 7) / 8;
    TRY(put_header(out, groups << 1 | 1, err));
    TRY(pq_buf_reserve(out, groups * width + 8, err));
    uint8_t *p = out->data + out->size;
    uint64_t word = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < groups * 8; i++) {
        word |= (uint64_t)(i < n ? values[i] : 0) << bits;
        bits += width;
        if (bits >= 32) {
            store_le32(p, (uint32_t)word);
            p += 4;
            word >>= 32;
            bits -= 32;
        }
    }
    store_le64(p, word);
    out->size += groups * width;
    return ST_OK;
}

static int put_run(struct pq_buf *out, uint32_t value, size_t n, unsigned width, struct error *err)
{
    TRY(put_header(out, (uint64_t)n << 1, err));
    return pq_buf_append(out, &value, (width + 7) / 8, err);
}

/* Where the next two equal neighbours begin, or the last value stands. Eight at a time, without a branch for each. */
static size_t next_pair(const uint32_t *values, size_t i, size_t n)
{
    for (; i + 9 <= n; i += 8) {
        uint32_t same = 0;
        for (size_t k = 0; k < 8; k++)
            same |= values[i + k] == values[i + k + 1];
        if (same)
            break;
    }
    while (i + 1 < n && values[i] != values[i + 1])
        i++;
    return i;
}

static size_t end_of_run(const uint32_t *values, size_t i, size_t n)
{
    size_t end = i + 1;
    for (; end + 8 <= n; end += 8) {
        uint32_t other = 0;
        for (size_t k = 0; k < 8; k++)
            other |= values[end + k] ^ values[i];
        if (other)
            break;
    }
    while (end < n && values[end] == values[i])
        end++;
    return end;
}

int pq_rle_encode_u32(struct pq_buf *out, const uint32_t *values, size_t n, unsigned width, struct error *err)
{
    size_t literal = 0, i = 0;
    while (i < n) {
        i = next_pair(values, i, n);
        size_t end = end_of_run(values, i, n);
        /* Literals come in groups of eight: the first values of a run fill up the group before it. */
        size_t fill = (8 - (i - literal) % 8) % 8;
        if (end - i >= fill + 8) {
            if (i + fill > literal)
                TRY(put_literals(out, values + literal, i + fill - literal, width, err));
            TRY(put_run(out, values[i], end - i - fill, width, err));
            literal = end;
        }
        i = end;
    }
    return literal < n ? put_literals(out, values + literal, n - literal, width, err) : ST_OK;
}

int pq_rle_encode_u8(struct pq_buf *out, const uint8_t *values, size_t n, unsigned width, struct error *err)
{
    if (n == 0)
        return ST_OK;
    /* Mostly all levels of a page are the same. */
    if (n == 1 || memcmp(values, values + 1, n - 1) == 0)
        return put_run(out, values[0], n, width, err);
    struct pq_buf wide;
    pq_buf_init(&wide, out->budget);
    int st = pq_buf_fit(&wide, n * sizeof(uint32_t), err);
    uint32_t *v = (uint32_t *)(void *)wide.data;
    for (size_t i = 0; st == ST_OK && i < n; i++)
        v[i] = values[i];
    if (st == ST_OK)
        st = pq_rle_encode_u32(out, v, n, width, err);
    pq_buf_release(&wide);
    return st;
}
