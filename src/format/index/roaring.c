/* Containers of 2^16 numbers each: sorted arrays up to 4096 numbers, 8 KiB of bits above, and (only read) runs. */
#include "format/index/roaring.h"

#include "base/bits.h"

enum { COOKIE = 12346, COOKIE_RUNS = 12347, ARRAY_MAX = 4096, BITMAP_BYTES = 8192, OFFSETS_FROM = 4 };

/* ---- writing ---- */

static size_t container_end(const uint32_t *numbers, size_t n, size_t start)
{
    size_t end = start;
    while (end < n && numbers[end] >> 16 == numbers[start] >> 16)
        end++;
    return end;
}

static size_t container_bytes(size_t n)
{
    return n > ARRAY_MAX ? BITMAP_BYTES : 2 * n;
}

static int write_container(const uint32_t *numbers, size_t n, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_reserve(out, container_bytes(n), err));
    uint8_t *p = out->data + out->size;
    if (n > ARRAY_MAX) {
        memset(p, 0, BITMAP_BYTES);
        for (size_t i = 0; i < n; i++)
            bit_set(p, numbers[i] & 0xffff);
    } else {
        for (size_t i = 0; i < n; i++)
            store_le16(p + 2 * i, (uint16_t)numbers[i]);
    }
    out->size += container_bytes(n);
    return ST_OK;
}

int roaring_write(const uint32_t *numbers, size_t n, struct dynbuf *out, struct error *err)
{
    uint32_t containers = 0;
    uint8_t word[4];
    for (size_t i = 0; i < n; i = container_end(numbers, n, i))
        containers++;
    store_le32(word, COOKIE);
    TRY(dynbuf_append(out, word, 4, err));
    store_le32(word, containers);
    TRY(dynbuf_append(out, word, 4, err));
    for (size_t i = 0, end; i < n; i = end) {
        end = container_end(numbers, n, i);
        store_le16(word, (uint16_t)(numbers[i] >> 16));
        store_le16(word + 2, (uint16_t)(end - i - 1));
        TRY(dynbuf_append(out, word, 4, err));
    }
    uint32_t offset = 8 + 8 * containers;
    for (size_t i = 0, end; i < n; i = end) {
        end = container_end(numbers, n, i);
        store_le32(word, offset);
        TRY(dynbuf_append(out, word, 4, err));
        offset += (uint32_t)container_bytes(end - i);
    }
    for (size_t i = 0, end; i < n; i = end) {
        end = container_end(numbers, n, i);
        TRY(write_container(numbers + i, end - i, out, err));
    }
    return ST_OK;
}

/* ---- reading ---- */

struct reader {
    const uint8_t *p, *end;
    uint8_t *bits;
    uint64_t n_bits;
};

static int bad(struct error *err)
{
    return error_set(err, ST_CORRUPT, "malformed Roaring bitmap");
}

static bool take(struct reader *r, size_t n, const uint8_t **ret)
{
    if ((size_t)(r->end - r->p) < n)
        return false;
    *ret = r->p;
    r->p += n;
    return true;
}

static bool set_range(struct reader *r, uint64_t from, uint64_t n)
{
    if (from + n > r->n_bits)
        return false;
    bits_fill(r->bits, (int64_t)from, (int64_t)n, true);
    return true;
}

static bool read_runs(struct reader *r, uint64_t base)
{
    const uint8_t *p;
    if (!take(r, 2, &p))
        return false;
    uint32_t runs = load_le16(p);
    if (!take(r, 4 * (size_t)runs, &p))
        return false;
    for (uint32_t i = 0; i < runs; i++)
        if (load_le16(p + 4 * i) + load_le16(p + 4 * i + 2) > 0xffff ||
            !set_range(r, base + load_le16(p + 4 * i), (uint64_t)load_le16(p + 4 * i + 2) + 1))
            return false;
    return true;
}

static bool read_container(struct reader *r, uint64_t base, uint32_t n)
{
    const uint8_t *p;
    if (!take(r, container_bytes(n), &p))
        return false;
    for (uint32_t i = 0; n <= ARRAY_MAX && i < n; i++)
        if (!set_range(r, base + load_le16(p + 2 * i), 1))
            return false;
    for (uint32_t i = 0; n > ARRAY_MAX && i < 8 * BITMAP_BYTES; i++)
        if (bit_get(p, i) && !set_range(r, base + i, 1))
            return false;
    return true;
}

int roaring_or(const uint8_t *data, size_t size, uint8_t *bits, uint64_t n_bits, struct error *err)
{
    struct reader r = {data, data + size, bits, n_bits};
    const uint8_t *p, *flags = NULL, *heads;
    uint32_t n;
    if (!take(&r, 4, &p))
        return bad(err);
    uint32_t cookie = load_le32(p);
    if ((cookie & 0xffff) == COOKIE_RUNS) {
        n = (cookie >> 16) + 1;
        if (!take(&r, (n + 7) / 8, &flags))
            return bad(err);
    } else {
        if (cookie != COOKIE || !take(&r, 4, &p))
            return bad(err);
        n = load_le32(p);
    }
    if (n > 1u << 16 || !take(&r, 4 * (size_t)n, &heads) || ((!flags || n >= OFFSETS_FROM) && !take(&r, 4 * (size_t)n, &p)))
        return bad(err);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t base = (uint64_t)load_le16(heads + 4 * i) << 16;
        if (!(flags && bit_get(flags, i) ? read_runs(&r, base) : read_container(&r, base, (uint32_t)load_le16(heads + 4 * i + 2) + 1)))
            return bad(err);
    }
    return ST_OK;
}
