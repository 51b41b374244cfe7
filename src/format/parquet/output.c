/* From a page's dense values to the slots of an Arrow leaf: spreads values around nulls, builds the bitmap, copies strings or codes. */
#include "format/parquet/chunk.h"

#include "base/bits.h"

static bool is_fixed(const struct pq_chunk_reader *r)
{
    return r->how != PQ_CONVERT_BYTES && r->how != PQ_CONVERT_NULL;
}

/* Makes a buffer at least `size` bytes large, growing by half, so that appending stays linear. */
static int grow(struct budget *budget, struct buffer **buf, size_t size, struct error *err)
{
    if (!*buf)
        return buffer_new_uninit(budget, size, buf, err);
    if (size <= (*buf)->size)
        return ST_OK;
    size_t more = (*buf)->size + (*buf)->size / 2;
    return buffer_resize(*buf, size > more ? size : more, err);
}

/* Bytes of the values buffer for n slots. */
static size_t values_bytes(const struct pq_chunk_reader *r, size_t n)
{
    return is_fixed(r) ? n * r->width : r->how == PQ_CONVERT_NULL ? 0 : (n + !r->as_codes) * 4;
}

int pq_out_reserve(struct pq_chunk_reader *r, size_t n, uint8_t **ret_target, struct error *err)
{
    struct pq_leaf_out *out = &r->out;
    size_t slots = (size_t)out->slots + n, want = slots;
    if (slots > INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "parquet: more than 2^31 values in a column");
    if (!out->values) {
        /* The first time: what the row group is likely to take, without believing a huge count. */
        size_t likely = (size_t)r->n_rows, believable = (size_t)r->chunk->total_compressed_bytes * 16;
        believable = believable > 1 << 17 ? believable : 1 << 17;
        likely = likely < believable ? likely : believable;
        want = !r->selection && likely > want ? likely : want;
    }
    TRY(grow(r->budget, &out->values, values_bytes(r, want), err));
    if (r->how == PQ_CONVERT_BYTES && !r->as_codes && out->slots == 0)
        memset(out->values->data, 0, 4);
    *ret_target = out->values->data + (is_fixed(r) ? (size_t)out->slots * r->width : 0);
    return ST_OK;
}

/* Appends validity for n slots; `valid` NULL = all valid. */
static int append_validity(struct pq_chunk_reader *r, const uint8_t *valid, size_t n, size_t n_valid, struct error *err)
{
    struct pq_leaf_out *out = &r->out;
    if (!out->validity && n_valid == n)
        return ST_OK;
    if (!out->validity) {
        TRY(buffer_new_uninit(r->budget, bits_bytes(out->slots + (int64_t)n), &out->validity, err));
        bits_fill(out->validity->data, 0, out->slots, true);
    }
    TRY(grow(r->budget, &out->validity, bits_bytes(out->slots + (int64_t)n), err));
    if (n_valid == n) {
        bits_fill(out->validity->data, out->slots, (int64_t)n, true);
        return ST_OK;
    }
    uint8_t *bits = out->validity->data;
    size_t i = 0;
    int64_t at = out->slots;
    for (; i < n && at & 7; i++, at++)
        bit_put(bits, at, valid[i]);
    for (; i + 8 <= n; i += 8, at += 8) {
        uint64_t v;
        memcpy(&v, valid + i, 8);
        bits[at >> 3] = (uint8_t)(v * 0x0102040810204080ull >> 56); /* gathers eight bytes of 0 or 1 */
    }
    for (; i < n; i++, at++)
        bit_put(bits, at, valid[i]);
    out->nulls += (int64_t)(n - n_valid);
    return ST_OK;
}

/* Which of the entries have a slot, and which slots a value: one byte each in r->valid; NULL when all have both. */
static int find_valid(struct pq_chunk_reader *r, size_t first, size_t last, const uint8_t **ret_valid, size_t *ret_slots, size_t *ret_valid_count,
                      struct error *err)
{
    size_t n = last - first, slots = 0, count = 0;
    *ret_valid = NULL;
    *ret_slots = *ret_valid_count = n;
    if (!r->definition || r->n_values == r->n_entries)
        return ST_OK;
    const uint8_t *definition = r->definition + first;
    uint8_t most = (uint8_t)r->leaf->max_definition, least = (uint8_t)r->shape->slot_definition;
    TRY(pq_buf_fit(&r->valid, n + 8, err));
    uint8_t *valid = r->valid.data;
    if (least == 0) {
        for (size_t i = 0; i < n; i++)
            count += valid[i] = definition[i] == most;
        slots = n;
    } else {
        for (size_t i = 0; i < n; i++) {
            valid[slots] = definition[i] == most;
            count += definition[i] == most;
            slots += definition[i] >= least;
        }
    }
    *ret_valid = valid;
    *ret_slots = slots;
    *ret_valid_count = count;
    return ST_OK;
}

static void spread(const uint8_t *from, const uint8_t *valid, uint8_t *to, uint32_t width, size_t n)
{
#define SPREAD(type)                                                                                                                                 \
    for (size_t i = 0, j = 0; i < n; i++) {                                                                                                          \
        type v;                                                                                                                                      \
        memcpy(&v, from + j * sizeof v, sizeof v);                                                                                                   \
        v = valid[i] ? v : 0;                                                                                                                        \
        memcpy(to + i * sizeof v, &v, sizeof v);                                                                                                     \
        j += valid[i];                                                                                                                               \
    }
    switch (width) {
    case 1: SPREAD(uint8_t) break;
    case 2: SPREAD(uint16_t) break;
    case 4: SPREAD(uint32_t) break;
    case 8: SPREAD(uint64_t) break;
    default:
        for (size_t i = 0; i < n; i++) {
            if (valid[i]) {
                memcpy(to + i * width, from, width);
                from += width;
            } else {
                memset(to + i * width, 0, width);
            }
        }
    }
#undef SPREAD
}

static int append_fixed(struct pq_chunk_reader *r, const uint8_t *from, const uint8_t *valid, size_t slots, size_t n_valid, struct error *err)
{
    uint8_t *to;
    TRY(pq_out_reserve(r, slots, &to, err));
    if (n_valid < slots)
        spread(from, valid, to, r->width, slots);
    else if (to != from && slots)
        memcpy(to, from, slots * r->width);
    return ST_OK;
}

static int append_codes(struct pq_chunk_reader *r, const uint32_t *codes, const uint8_t *valid, size_t slots, size_t n_valid, struct error *err)
{
    uint8_t *base;
    TRY(pq_out_reserve(r, slots, &base, err));
    uint8_t *to = base + (size_t)r->out.slots * 4;
    if (n_valid < slots) {
        size_t j = 0;
        for (size_t i = 0; i < slots; i++)
            store_le32(to + i * 4, valid[i] ? codes[j++] : 0);
    } else if (slots) {
        memcpy(to, codes, slots * 4);
    }
    return ST_OK;
}

static int append_strings(struct pq_chunk_reader *r, const uint32_t *codes, const struct pq_slice *slices, const uint8_t *valid, size_t slots,
                          size_t n_valid, struct error *err)
{
    struct pq_leaf_out *out = &r->out;
    const struct pq_slice *from = codes ? (struct pq_slice *)(void *)r->dictionary_slices.data : slices;
    uint8_t *base;
    uint64_t total = 0;
    for (size_t i = 0; i < n_valid; i++)
        total += from[codes ? codes[i] : i].size;
    if (total > INT32_MAX - out->n_bytes)
        return error_set(err, ST_EXHAUSTED, "parquet: more than 2 GiB of strings in column %s", r->leaf->path);
    TRY(pq_out_reserve(r, slots, &base, err));
    TRY(grow(r->budget, &out->bytes, out->n_bytes + (size_t)total, err));
    int32_t *offsets = (int32_t *)(void *)base + out->slots;
    uint8_t *to = out->bytes->data + out->n_bytes;
    for (size_t i = 0, j = 0; i < slots; i++) {
        if (n_valid == slots || valid[i]) {
            const struct pq_slice *s = &from[codes ? codes[j] : j];
            j++;
            if (s->size)
                memcpy(to, s->data, s->size);
            to += s->size;
        }
        offsets[i + 1] = (int32_t)(to - out->bytes->data);
    }
    out->n_bytes += (size_t)total;
    return ST_OK;
}

/* A page that is not dictionary-encoded came after others that were: what was gathered as codes becomes strings. */
static int leave_codes(struct pq_chunk_reader *r, struct error *err)
{
    struct pq_leaf_out *out = &r->out;
    struct buffer *codes = out->values;
    size_t slots = (size_t)out->slots, n_valid = slots - (size_t)out->nulls, j = 0;
    r->as_codes = false;
    if (slots == 0) {
        buffer_unref(codes);
        out->values = NULL;
        return ST_OK;
    }
    out->values = NULL;
    out->slots = 0;
    uint32_t *dense = (uint32_t *)(void *)codes->data;
    int st = ST_OK;
    if (n_valid < slots) {
        struct pq_buf flags;
        pq_buf_init(&flags, r->budget);
        if ((st = pq_buf_fit(&flags, slots, err)) == ST_OK) {
            for (size_t i = 0; i < slots; i++) {
                flags.data[i] = bit_get(out->validity->data, (int64_t)i);
                dense[j] = dense[i];
                j += flags.data[i];
            }
            st = append_strings(r, dense, NULL, flags.data, slots, n_valid, err);
        }
        pq_buf_release(&flags);
    } else {
        st = append_strings(r, dense, NULL, NULL, slots, n_valid, err);
    }
    buffer_unref(codes);
    out->slots = (int64_t)slots;
    return st;
}

static int append_levels(struct pq_chunk_reader *r, size_t first, size_t last, struct error *err)
{
    if (r->keep_levels && r->definition)
        TRY(pq_buf_append(&r->out.definition, r->definition + first, last - first, err));
    if (r->keep_levels && r->repetition)
        TRY(pq_buf_append(&r->out.repetition, r->repetition + first, last - first, err));
    r->out.entries += (int64_t)(last - first);
    return ST_OK;
}

int pq_out_append(struct pq_chunk_reader *r, size_t first, size_t last, size_t *value, struct error *err)
{
    const uint8_t *valid;
    size_t slots, n_valid;
    TRY(find_valid(r, first, last, &valid, &slots, &n_valid, err));
    if (r->how == PQ_CONVERT_BYTES) {
        if (r->as_codes && !r->codes_of_page)
            TRY(leave_codes(r, err));
        const uint32_t *codes = r->codes_of_page ? r->codes_of_page + *value : NULL;
        if (r->as_codes)
            TRY(append_codes(r, codes, valid, slots, n_valid, err));
        else
            TRY(append_strings(r, codes, codes ? NULL : r->strings_of_page + *value, valid, slots, n_valid, err));
    } else if (r->how != PQ_CONVERT_NULL) {
        TRY(append_fixed(r, r->values + *value * r->width, valid, slots, n_valid, err));
    }
    if (r->how != PQ_CONVERT_NULL)
        TRY(append_validity(r, valid, slots, n_valid, err));
    TRY(append_levels(r, first, last, err));
    r->out.slots += (int64_t)slots;
    *value += n_valid;
    return ST_OK;
}

/* The dictionary page as a column, its strings copied once. */
static int dictionary_column(struct pq_chunk_reader *r, struct column **ret_column, struct error *err)
{
    const struct pq_slice *s = (struct pq_slice *)(void *)r->dictionary_slices.data;
    struct buffer *offsets = NULL, *bytes = NULL;
    uint64_t total = 0;
    for (uint32_t i = 0; i < r->n_dictionary; i++)
        total += s[i].size;
    if (total > INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "parquet: a dictionary of more than 2 GiB");
    TRY(buffer_new(r->budget, ((size_t)r->n_dictionary + 1) * 4, &offsets, err));
    int st = buffer_new_uninit(r->budget, (size_t)total, &bytes, err);
    if (st != ST_OK) {
        buffer_unref(offsets);
        return st;
    }
    uint8_t *to = bytes->data;
    for (uint32_t i = 0; i < r->n_dictionary; i++) {
        if (s[i].size)
            memcpy(to, s[i].data, s[i].size);
        to += s[i].size;
        store_le32(offsets->data + (i + 1) * 4, (uint32_t)(to - bytes->data));
    }
    return column_new((struct dtype *)type_values(r->type), r->n_dictionary, 0, NULL, offsets, bytes, ret_column, err);
}

static int finish_codes(struct pq_chunk_reader *r, struct column **ret_column, struct error *err)
{
    struct pq_leaf_out *out = &r->out;
    struct column *dictionary;
    TRY(dictionary_column(r, &dictionary, err));
    struct dtype *type = type_dictionary(TYPE_UINT32, dictionary->type);
    if (!type) {
        column_unref(dictionary);
        return error_no_memory(err, sizeof *type);
    }
    struct buffer *validity = out->validity, *values = out->values;
    out->validity = out->values = NULL;
    int st = column_new_nested(type, out->slots, out->nulls, validity, values, &dictionary, 1, ret_column, err);
    type_unref(type);
    return st;
}

/* Bytes of 0 and 1 into a bitmap, in place. */
static void pack_bools(struct buffer *values, size_t n)
{
    uint8_t *p = values->data;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t v;
        memcpy(&v, p + i, 8);
        p[i >> 3] = (uint8_t)(v * 0x0102040810204080ull >> 56);
    }
    uint8_t last = 0;
    for (size_t k = i; k < n; k++)
        last |= (uint8_t)(p[k] << (k & 7));
    if (i < n)
        p[i >> 3] = last;
}

int pq_out_finish(struct pq_chunk_reader *r, struct column **ret_column, struct error *err)
{
    struct pq_leaf_out *out = &r->out;
    uint8_t *unused;
    size_t n = (size_t)out->slots;
    if (r->how == PQ_CONVERT_NULL)
        return column_new(r->type, out->slots, out->slots, NULL, NULL, NULL, ret_column, err);
    /* Without a dictionary there is nothing that codes could mean. */
    if (r->as_codes && !r->has_dictionary)
        TRY(leave_codes(r, err));
    TRY(pq_out_reserve(r, 0, &unused, err));
    if (r->as_codes)
        return finish_codes(r, ret_column, err);
    if (r->how == PQ_CONVERT_BOOL)
        pack_bools(out->values, n);
    TRY(buffer_resize(out->values, r->how == PQ_CONVERT_BOOL ? bits_bytes(out->slots) : values_bytes(r, n), err));
    if (out->validity)
        TRY(buffer_resize(out->validity, bits_bytes(out->slots), err));
    if (r->how == PQ_CONVERT_BYTES) {
        TRY(grow(r->budget, &out->bytes, out->n_bytes, err));
        TRY(buffer_resize(out->bytes, out->n_bytes, err));
    }
    struct buffer *validity = out->validity, *values = out->values, *bytes = out->bytes;
    out->validity = out->values = out->bytes = NULL;
    return column_new((struct dtype *)type_values(r->type), out->slots, out->nulls, validity, values, bytes, ret_column, err);
}

void pq_out_release(struct pq_leaf_out *out)
{
    buffer_unref(out->values);
    buffer_unref(out->bytes);
    buffer_unref(out->validity);
    pq_buf_release(&out->definition);
    pq_buf_release(&out->repetition);
    column_unref(out->dictionary);
    *out = (struct pq_leaf_out){0};
}
