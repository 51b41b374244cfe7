/* Blobs of Bloom filters: reading their description and testing segments, and building them while rows pass by. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/hash.h"
#include "format/index/bloom.h"
#include "format/index/description.h"
#include "format/proto/wire.h"

enum { FILTER_BYTES_MAX = 64 << 20 };
static const char what[] = "Bloom filter blob";

/* ---- reading ---- */

static int bad(const char *problem, struct error *err)
{
    return error_set(err, ST_CORRUPT, "%s: %s", what, problem);
}

/* First pass: numbers, and how many segments and filters follow. */
static int count_parts(struct pb_reader r, struct bloom_index *x, uint64_t *ret_segments, struct error *err)
{
    struct pb_field f;
    uint64_t v;
    *ret_segments = 0;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT)
            x->rows_per_segment = f.value;
        else if (f.number == 2 && f.wire == PB_VARINT)
            x->n_segments = f.value > UINT32_MAX ? UINT32_MAX : (uint32_t)f.value;
        else if (f.number == 3 && f.wire == PB_VARINT)
            x->n_rows = f.value;
        else if (f.number == 4 && f.wire == PB_VARINT)
            x->filters_bytes = f.value;
        else if (f.number == 5 && f.wire == PB_VARINT)
            ++*ret_segments;
        else if (f.number == 5 && f.wire == PB_BYTES)
            for (struct pb_reader in = pb_inside(&f); pb_varint(&in, &v);)
                ++*ret_segments;
        else if (f.number == 6 && f.wire == PB_BYTES)
            x->n_filters++;
    }
    return pb_done(&r) ? ST_OK : bad("malformed description", err);
}

static struct bloom_filter read_place(const struct pb_field *message)
{
    struct bloom_filter p = {0};
    struct pb_field f;
    for (struct pb_reader r = pb_inside(message); pb_next(&r, &f);) {
        if (f.wire != PB_VARINT)
            continue;
        p.offset = f.number == 1 ? f.value : p.offset;
        p.n_bytes = f.number == 2 ? f.value : p.n_bytes;
        p.n_elements = f.number == 3 ? f.value : p.n_elements;
    }
    return p;
}

static void read_parts(struct pb_reader r, uint32_t *filter_of, struct bloom_filter *filters)
{
    struct pb_field f;
    uint32_t s = 0, n = 0;
    uint64_t v;
    while (pb_next(&r, &f)) {
        if (f.number == 5 && f.wire == PB_VARINT)
            filter_of[s++] = f.value > UINT32_MAX ? UINT32_MAX : (uint32_t)f.value;
        else if (f.number == 5 && f.wire == PB_BYTES)
            for (struct pb_reader in = pb_inside(&f); pb_varint(&in, &v);)
                filter_of[s++] = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
        else if (f.number == 6 && f.wire == PB_BYTES)
            filters[n++] = read_place(&f);
    }
}

static int check(const struct bloom_index *x, uint64_t segments, struct error *err)
{
    if (!x->rows_per_segment || segments != x->n_segments || segments != x->n_rows / x->rows_per_segment + (x->n_rows % x->rows_per_segment != 0))
        return bad("the number of segments does not fit the rows", err);
    for (uint32_t i = 0; i < x->n_segments; i++)
        if (x->filter_of[i] >= x->n_filters)
            return bad("a segment without a filter", err);
    for (uint32_t i = 0; i < x->n_filters; i++) {
        const struct bloom_filter *f = &x->filters[i];
        if (!f->n_bytes || f->n_bytes % 64 || f->n_bytes > FILTER_BYTES_MAX || f->offset > x->filters_bytes ||
            f->n_bytes > x->filters_bytes - f->offset)
            return bad("a filter of an impossible size or place", err);
    }
    return ST_OK;
}

int bloom_index_open(const struct puffin_source *blob, struct arena *a, struct bloom_index *ret_index, struct error *err)
{
    struct bloom_index x = {0};
    const uint8_t *text;
    uint32_t size;
    uint64_t before, segments;
    TRY(index_description_read(blob, what, a, &text, &size, &before, err));
    TRY(count_parts(pb_reader_of(text, size), &x, &segments, err));
    uint32_t *filter_of = ARENA_ARRAY(a, segments + 1, uint32_t, err);
    struct bloom_filter *filters = filter_of ? ARENA_ARRAY(a, x.n_filters + 1, struct bloom_filter, err) : NULL;
    if (!filters)
        return ST_NO_MEMORY;
    read_parts(pb_reader_of(text, size), filter_of, filters);
    x.filter_of = filter_of;
    x.filters = filters;
    if (x.filters_bytes != before)
        return bad("filters of another size than told", err);
    TRY(check(&x, segments, err));
    *ret_index = x;
    return ST_OK;
}

static bool holds(const struct bloom_plan *plan, const uint8_t *filter, const struct bloom_probe *probe)
{
    for (uint32_t i = 0; i < probe->n; i++)
        if (!bloom_contains(plan, filter, probe->hashes[i]))
            return false;
    return true;
}

int bloom_index_test(const struct puffin_source *blob, const struct bloom_index *x, uint32_t segment, const struct bloom_probe *probes, uint32_t n,
                     struct budget *budget, struct buffer **scratch, bool *ret_any, struct error *err)
{
    const struct bloom_filter *f = &x->filters[x->filter_of[segment]];
    struct bloom_plan plan = bloom_plan(f->n_bytes, f->n_elements);
    TRY(buffer_reserve(scratch, budget, f->n_bytes, err));
    TRY(puffin_read(blob, f->offset, (*scratch)->data, f->n_bytes, err));
    bool any = false;
    for (uint32_t i = 0; i < n && !any; i++)
        any = holds(&plan, (*scratch)->data, &probes[i]);
    *ret_any = any;
    return ST_OK;
}

/* ---- building ---- */

void bloom_builder_init(struct bloom_builder *b, struct budget *budget, uint64_t rows_per_segment, double false_positive_rate)
{
    *b = (struct bloom_builder){.budget = budget, .rows_per_segment = rows_per_segment, .false_positive_rate = false_positive_rate};
}

void bloom_builder_release(struct bloom_builder *b)
{
    free(b->set);
    budget_release(b->budget, b->room_set * sizeof *b->set);
    buffer_unref(b->filters);
    buffer_unref(b->places);
    buffer_unref(b->segments);
    *b = (struct bloom_builder){0};
}

static bool put_hash(uint64_t *set, size_t room, uint64_t hash)
{
    size_t i = hash_u64(hash) & (room - 1);
    while (set[i] && set[i] != hash)
        i = (i + 1) & (room - 1);
    bool fresh = !set[i];
    set[i] = hash;
    return fresh;
}

static int grow_set(struct bloom_builder *b, struct error *err)
{
    size_t room = b->room_set ? 2 * b->room_set : 1024;
    TRY(budget_charge(b->budget, room * sizeof *b->set, err));
    uint64_t *grown = calloc(room, sizeof *grown);
    if (!grown) {
        budget_release(b->budget, room * sizeof *b->set);
        return error_no_memory(err, room * sizeof *grown);
    }
    for (size_t i = 0; i < b->room_set; i++)
        if (b->set[i])
            put_hash(grown, room, b->set[i]);
    free(b->set);
    budget_release(b->budget, b->room_set * sizeof *b->set);
    b->set = grown;
    b->room_set = room;
    return ST_OK;
}

int bloom_builder_add(struct bloom_builder *b, uint64_t hash, struct error *err)
{
    if (!hash) {
        b->has_zero = true;
        return ST_OK;
    }
    if (b->n_set >= b->room_set / 2)
        TRY(grow_set(b, err));
    b->n_set += put_hash(b->set, b->room_set, hash);
    return ST_OK;
}

static bool same_as_last(const struct bloom_builder *b, const struct bloom_filter *f)
{
    if (!b->n_filters)
        return false;
    const struct bloom_filter *last = (const struct bloom_filter *)(const void *)b->places->data + b->n_filters - 1;
    return last->n_bytes == f->n_bytes && last->n_elements == f->n_elements &&
           memcmp(b->filters->data + last->offset, b->filters->data + f->offset, f->n_bytes) == 0;
}

static int end_segment(struct bloom_builder *b, struct error *err)
{
    uint64_t n = b->n_set + b->has_zero;
    struct bloom_filter f = {b->filters_bytes, bloom_bytes(n, b->false_positive_rate), n};
    struct bloom_plan plan = bloom_plan(f.n_bytes, n);
    TRY(buffer_reserve(&b->filters, b->budget, b->filters_bytes + f.n_bytes, err));
    TRY(buffer_reserve(&b->places, b->budget, (b->n_filters + 1) * sizeof f, err));
    TRY(buffer_reserve(&b->segments, b->budget, (b->n_segments + 1) * sizeof(uint32_t), err));
    uint8_t *bits = b->filters->data + f.offset;
    memset(bits, 0, f.n_bytes);
    for (size_t i = 0; i < b->room_set; i++)
        if (b->set[i])
            bloom_insert(&plan, bits, b->set[i]);
    if (b->has_zero)
        bloom_insert(&plan, bits, 0);
    if (!same_as_last(b, &f)) {
        ((struct bloom_filter *)(void *)b->places->data)[b->n_filters++] = f;
        b->filters_bytes += f.n_bytes;
    }
    ((uint32_t *)(void *)b->segments->data)[b->n_segments++] = b->n_filters - 1;
    if (b->n_set)
        memset(b->set, 0, b->room_set * sizeof *b->set);
    b->n_set = 0;
    b->has_zero = false;
    return ST_OK;
}

int bloom_builder_advance(struct bloom_builder *b, uint64_t n, struct error *err)
{
    b->n_rows += n;
    return b->n_rows % b->rows_per_segment ? ST_OK : end_segment(b, err);
}

/* Proto3: a zero is left out. */
static int put_number(struct dynbuf *out, uint32_t field, uint64_t v, struct error *err)
{
    return v ? pb_put_uint(out, field, v, err) : ST_OK;
}

static int put_description(const struct bloom_builder *b, struct dynbuf *out, struct error *err)
{
    const uint32_t *segments = b->segments ? (const uint32_t *)(const void *)b->segments->data : NULL;
    const struct bloom_filter *places = b->places ? (const struct bloom_filter *)(const void *)b->places->data : NULL;
    size_t packed = 0;
    TRY(put_number(out, 1, b->rows_per_segment, err));
    TRY(put_number(out, 2, b->n_segments, err));
    TRY(put_number(out, 3, b->n_rows, err));
    TRY(put_number(out, 4, b->filters_bytes, err));
    for (uint32_t i = 0; i < b->n_segments; i++)
        packed += pb_varint_size(segments[i]);
    if (packed) {
        TRY(pb_put_varint(out, 5 << 3 | PB_BYTES, err));
        TRY(pb_put_varint(out, packed, err));
    }
    for (uint32_t i = 0; i < b->n_segments; i++)
        TRY(pb_put_varint(out, segments[i], err));
    struct dynbuf place;
    dynbuf_init(&place, 64);
    int st = ST_OK;
    for (uint32_t i = 0; i < b->n_filters && st == ST_OK; i++) {
        dynbuf_clear(&place);
        st = put_number(&place, 1, places[i].offset, err);
        st = st == ST_OK ? put_number(&place, 2, places[i].n_bytes, err) : st;
        st = st == ST_OK ? put_number(&place, 3, places[i].n_elements, err) : st;
        st = st == ST_OK ? pb_put_bytes(out, 6, place.data, place.size, err) : st;
    }
    dynbuf_release(&place);
    return st;
}

int bloom_builder_finish(struct bloom_builder *b, struct dynbuf *out, struct error *err)
{
    uint8_t tail[4];
    if (b->n_rows % b->rows_per_segment)
        TRY(end_segment(b, err));
    if (b->filters_bytes)
        TRY(dynbuf_append(out, b->filters->data, b->filters_bytes, err));
    size_t start = out->size;
    TRY(put_description(b, out, err));
    store_le32(tail, (uint32_t)(out->size - start));
    return dynbuf_append(out, tail, sizeof tail, err);
}
