/* Building an inverted index: values are interned as they come, and each (value, segment) pair is kept once. */
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"
#include "format/index/inverted.h"
#include "format/index/roaring.h"
#include "format/proto/wire.h"

struct value {
    size_t offset;
    uint32_t size, segment, n_segments;
}; /* segment: the last one, plus 1 */
struct pair {
    uint32_t value, segment;
};

enum { COLUMN_BYTES_MAX = UINT32_MAX / 4 }; /* places in a column's part are 32 bits wide */

void inverted_builder_init(struct inverted_builder *b, struct budget *budget, uint64_t rows_per_segment)
{
    *b = (struct inverted_builder){.budget = budget, .rows_per_segment = rows_per_segment};
    dict_map_init(&b->map);
}

void inverted_builder_release(struct inverted_builder *b)
{
    dict_map_release(&b->map);
    buffer_unref(b->bytes);
    buffer_unref(b->values);
    buffer_unref(b->pairs);
    buffer_unref(b->nulls);
    *b = (struct inverted_builder){0};
}

static struct value *values_of(const struct inverted_builder *b)
{
    return (struct value *)(void *)b->values->data;
}

static dict_key key_of(const void *ctx, uint32_t id)
{
    const struct inverted_builder *b = ctx;
    const struct value *v = &values_of(b)[id];
    return (dict_key){b->bytes->data + v->offset, v->size};
}

/* Room for one more value, and its bytes; what an intern that adds it cannot fail at afterwards. */
static int make_room(struct inverted_builder *b, size_t size, struct error *err)
{
    if (b->n_bytes + size > COLUMN_BYTES_MAX)
        return error_set(err, ST_EXHAUSTED, "more than %d bytes of values", COLUMN_BYTES_MAX);
    TRY(buffer_reserve(&b->bytes, b->budget, b->n_bytes + size + 1, err));
    TRY(buffer_reserve(&b->values, b->budget, (b->n_values + 1) * sizeof(struct value), err));
    return buffer_reserve(&b->pairs, b->budget, (b->n_pairs + 1) * sizeof(struct pair), err);
}

static int add_null(struct inverted_builder *b, uint32_t segment, struct error *err)
{
    TRY(buffer_reserve(&b->nulls, b->budget, (b->n_nulls + 1) * sizeof segment, err));
    uint32_t *nulls = (uint32_t *)(void *)b->nulls->data;
    if (!b->n_nulls || nulls[b->n_nulls - 1] != segment)
        nulls[b->n_nulls++] = segment;
    return ST_OK;
}

int inverted_builder_add(struct inverted_builder *b, const void *value, size_t size, struct error *err)
{
    uint32_t segment = (uint32_t)(b->n_rows / b->rows_per_segment), id;
    bool added;
    if (!value)
        return add_null(b, segment, err);
    TRY(make_room(b, size, err));
    TRY(dict_map_intern(&b->map, hash_bytes(value, size), value, size, key_of, b, &id, &added, err));
    struct value *v = &values_of(b)[id];
    if (added) {
        *v = (struct value){.offset = b->n_bytes, .size = (uint32_t)size};
        if (size)
            memcpy(b->bytes->data + b->n_bytes, value, size);
        b->n_bytes += size;
        b->n_values++;
    }
    if (v->segment == segment + 1)
        return ST_OK;
    v->segment = segment + 1;
    v->n_segments++;
    ((struct pair *)(void *)b->pairs->data)[b->n_pairs++] = (struct pair){id, segment};
    return ST_OK;
}

/* ---- the column's part ---- */

static int by_bytes(const void *x, const void *y, void *ctx)
{
    dict_key a = key_of(ctx, *(const uint32_t *)x), b = key_of(ctx, *(const uint32_t *)y);
    int c = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return c ? c : (a.size > b.size) - (a.size < b.size);
}

/* The numbers of the values in the order of their bytes, and the segments of all, those of value v from starts[v] on. */
static int sort_values(struct inverted_builder *b, struct buffer **ret_order, struct buffer **ret_starts, struct buffer **ret_segments,
                       struct error *err)
{
    TRY(buffer_new_uninit(b->budget, (b->n_values + 1) * sizeof(uint32_t), ret_order, err));
    TRY(buffer_new_uninit(b->budget, (b->n_values + 1) * sizeof(uint64_t), ret_starts, err));
    TRY(buffer_new_uninit(b->budget, (b->n_pairs + 1) * sizeof(uint32_t), ret_segments, err));
    uint32_t *order = (uint32_t *)(void *)(*ret_order)->data, *segments = (uint32_t *)(void *)(*ret_segments)->data;
    uint64_t *next = (uint64_t *)(void *)(*ret_starts)->data, at = 0;
    for (uint32_t v = 0; v < b->n_values; v++) {
        order[v] = v;
        next[v] = at;
        at += values_of(b)[v].n_segments;
    }
    const struct pair *pairs = b->pairs ? (const struct pair *)(const void *)b->pairs->data : NULL;
    for (size_t i = 0; i < b->n_pairs; i++)
        segments[next[pairs[i].value]++] = pairs[i].segment;
    for (uint32_t v = 0; v < b->n_values; v++)
        next[v] -= values_of(b)[v].n_segments;
    if (b->n_values)
        qsort_r(order, b->n_values, sizeof *order, by_bytes, b);
    return ST_OK;
}

struct part {
    size_t start;
    uint32_t null_bytes, fst_offset, fst_bytes;
};

static int write_values(struct inverted_builder *b, const uint32_t *order, const uint64_t *starts, const uint32_t *segments, struct part *p,
                        struct dynbuf *blob, struct error *err)
{
    struct fst_builder *map;
    TRY(fst_builder_new(b->budget, &map, err));
    int st = ST_OK;
    for (uint32_t i = 0; i < b->n_values && st == ST_OK; i++) {
        const struct value *v = &values_of(b)[order[i]];
        size_t at = blob->size;
        st = roaring_write(segments + starts[order[i]], v->n_segments, blob, err);
        if (st == ST_OK && blob->size - p->start > COLUMN_BYTES_MAX)
            st = error_set(err, ST_EXHAUSTED, "an inverted index of more than %d bytes", COLUMN_BYTES_MAX);
        if (st == ST_OK)
            st = fst_builder_add(map, b->bytes->data + v->offset, v->size, (uint64_t)(blob->size - at) << 32 | (at - p->start), err);
    }
    p->fst_offset = (uint32_t)(blob->size - p->start);
    if (st == ST_OK)
        st = fst_builder_finish(map, blob, err);
    p->fst_bytes = (uint32_t)(blob->size - p->start - p->fst_offset);
    fst_builder_free(map);
    return st;
}

/* ---- descriptions ---- */

/* Proto3: what is zero or empty is left out. */
static int put_number(struct dynbuf *out, uint32_t field, uint64_t v, struct error *err)
{
    return v ? pb_put_uint(out, field, v, err) : ST_OK;
}

static int put_stats(const struct inverted_builder *b, const uint32_t *order, struct dynbuf *out, struct error *err)
{
    TRY(put_number(out, 1, b->n_nulls, err));
    TRY(put_number(out, 2, b->n_values, err));
    for (uint32_t i = 0; i < 2 && b->n_values; i++) {
        dict_key k = key_of(b, order[i ? b->n_values - 1 : 0]);
        if (k.size)
            TRY(pb_put_bytes(out, 3 + i, k.data, k.size, err));
    }
    return ST_OK;
}

static int describe(const char *name, const struct part *p, uint64_t n_bytes, const struct dynbuf *stats, struct dynbuf *out, struct error *err)
{
    TRY(pb_put_string(out, 1, name, err));
    TRY(put_number(out, 2, p->start, err));
    TRY(put_number(out, 3, n_bytes, err));
    TRY(put_number(out, 4, p->fst_offset, err));
    TRY(put_number(out, 5, p->fst_bytes, err));
    TRY(put_number(out, 7, p->null_bytes, err));
    TRY(pb_put_bytes(out, 8, stats->data, stats->size, err));
    return pb_put_uint(out, 9, INVERTED_ROARING, err);
}

static int put_entry(const struct inverted_builder *b, const uint32_t *order, uint32_t column_id, const struct part *p, uint64_t n_bytes,
                     struct dynbuf *description, struct error *err)
{
    struct dynbuf stats, meta, entry;
    char name[16];
    snprintf(name, sizeof name, "%u", (unsigned)column_id);
    dynbuf_init(&stats, 256 << 20);
    dynbuf_init(&meta, 256 << 20);
    dynbuf_init(&entry, 256 << 20);
    int st = put_stats(b, order, &stats, err);
    st = st == ST_OK ? describe(name, p, n_bytes, &stats, &meta, err) : st;
    st = st == ST_OK ? pb_put_string(&entry, 1, name, err) : st;
    st = st == ST_OK ? pb_put_bytes(&entry, 2, meta.data, meta.size, err) : st;
    st = st == ST_OK ? pb_put_bytes(description, 1, entry.data, entry.size, err) : st;
    dynbuf_release(&stats);
    dynbuf_release(&meta);
    dynbuf_release(&entry);
    return st;
}

int inverted_builder_finish(struct inverted_builder *b, uint32_t column_id, struct dynbuf *blob, struct dynbuf *description, struct error *err)
{
    struct buffer *order = NULL, *starts = NULL, *segments = NULL;
    struct part p = {.start = blob->size};
    int st = roaring_write(b->nulls ? (const uint32_t *)(const void *)b->nulls->data : NULL, b->n_nulls, blob, err);
    p.null_bytes = (uint32_t)(blob->size - p.start);
    if (st == ST_OK)
        st = sort_values(b, &order, &starts, &segments, err);
    if (st == ST_OK)
        st = write_values(b, (const uint32_t *)(const void *)order->data, (const uint64_t *)(const void *)starts->data,
                          (const uint32_t *)(const void *)segments->data, &p, blob, err);
    if (st == ST_OK)
        st = put_entry(b, (const uint32_t *)(const void *)order->data, column_id, &p, blob->size - p.start, description, err);
    buffer_unref(order);
    buffer_unref(starts);
    buffer_unref(segments);
    return st;
}

int inverted_index_end(uint64_t n_rows, uint64_t rows_per_segment, struct dynbuf *blob, struct dynbuf *description, struct error *err)
{
    uint8_t tail[4];
    TRY(put_number(description, 2, n_rows, err));
    TRY(put_number(description, 3, rows_per_segment, err));
    store_le32(tail, (uint32_t)description->size);
    TRY(dynbuf_append(blob, description->data, description->size, err));
    return dynbuf_append(blob, tail, sizeof tail, err);
}
