/* Which segments hold values of a range: a column's part of the blob is read whole, its map walked, and the bitmaps of the values found are put
 * together. */
#include "base/bits.h"
#include "format/index/inverted.h"
#include "format/index/roaring.h"

enum { COLUMN_BYTES_MAX = 256 << 20 };

uint64_t inverted_index_segments(const struct inverted_index *x)
{
    return x->n_rows / x->rows_per_segment + (x->n_rows % x->rows_per_segment != 0);
}

struct gather {
    const struct inverted_column *c;
    const uint8_t *part;
    const struct inverted_range *range;
    uint8_t *bits;
    uint64_t n_bits;
};

static int add_value(void *ctx, const uint8_t *value, size_t value_size, uint64_t place, struct error *err)
{
    struct gather *g = ctx;
    if (g->range->holds && !g->range->holds(g->range->ctx, value, value_size))
        return ST_OK;
    uint64_t offset = (uint32_t)place, size = place >> 32;
    if (offset > g->c->n_bytes || size > g->c->n_bytes - offset)
        return error_set(err, ST_CORRUPT, "inverted index blob: a bitmap lies outside");
    const uint8_t *p = g->part + offset;
    if (g->c->bitmap == INVERTED_ROARING)
        return roaring_or(p, size, g->bits, g->n_bits, err);
    for (uint64_t i = 0; i < 8 * size; i++) {
        if (!bit_get(p, (int64_t)i))
            continue;
        if (i >= g->n_bits)
            return error_set(err, ST_CORRUPT, "inverted index blob: a bitmap of more segments than there are");
        bit_set(g->bits, (int64_t)i);
    }
    return ST_OK;
}

int inverted_index_select(const struct puffin_source *blob, const struct inverted_index *x, const struct inverted_column *c,
                          const struct inverted_range *ranges, uint32_t n, uint8_t *bits, struct budget *budget, struct error *err)
{
    struct buffer *part;
    struct fst map;
    if (c->n_bytes > COLUMN_BYTES_MAX)
        return error_set(err, ST_EXHAUSTED, "an inverted index of %llu bytes", (unsigned long long)c->n_bytes);
    TRY(buffer_new_uninit(budget, c->n_bytes, &part, err));
    struct gather g = {c, part->data, NULL, bits, inverted_index_segments(x)};
    int st = puffin_read(blob, c->base_offset, part->data, c->n_bytes, err);
    if (st == ST_OK)
        st = fst_open(part->data + c->fst_offset, c->fst_bytes, &map, err);
    for (uint32_t i = 0; i < n && st == ST_OK; i++) {
        g.range = &ranges[i];
        st = fst_walk(&map, &ranges[i].low, &ranges[i].high, add_value, &g, err);
    }
    buffer_unref(part);
    return st;
}
