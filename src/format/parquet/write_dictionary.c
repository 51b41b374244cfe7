/* The dictionary of a chunk in the making: open addressing over codes; each value is stored once, in the page body itself. */
#include "format/parquet/writer.h"

#include "base/bits.h"
#include "base/hash.h"

enum { NEAR_VALUES = 2048 };

void pqw_dictionary_init(struct pqw_dictionary *d, struct budget *budget)
{
    struct pq_buf *bufs[] = {&d->slots, &d->tags, &d->body, &d->starts, &d->stamps, &d->near};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        pq_buf_init(bufs[i], budget);
    d->n = d->capacity = 0;
}

void pqw_dictionary_clear(struct pqw_dictionary *d)
{
    if (d->capacity)
        memset(d->slots.data, 0, (size_t)d->capacity * 4);
    d->body.size = d->starts.size = d->stamps.size = d->near.size = 0;
    d->n = 0;
}

void pqw_dictionary_release(struct pqw_dictionary *d)
{
    struct pq_buf *bufs[] = {&d->slots, &d->tags, &d->body, &d->starts, &d->stamps, &d->near};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        pq_buf_release(bufs[i]);
    d->n = d->capacity = 0;
}

/* The tag of a slot holds the high half of the hash, whose low half places it: both survive growing. */
static int grow(struct pqw_dictionary *d, struct error *err)
{
    uint32_t capacity = d->capacity ? d->capacity * 2 : 256;
    struct pq_buf slots, tags;
    pq_buf_init(&slots, d->slots.budget);
    pq_buf_init(&tags, d->slots.budget);
    int st = pq_buf_fit(&slots, (size_t)capacity * 4, err);
    if (st == ST_OK)
        st = pq_buf_fit(&tags, (size_t)capacity * 4, err);
    if (st != ST_OK) {
        pq_buf_release(&slots);
        return st;
    }
    memset(slots.data, 0, (size_t)capacity * 4);
    uint32_t *to = (uint32_t *)(void *)slots.data, *to_tags = (uint32_t *)(void *)tags.data;
    const uint32_t *from = (uint32_t *)(void *)d->slots.data, *from_tags = (uint32_t *)(void *)d->tags.data;
    for (uint32_t i = 0; i < d->capacity; i++) {
        if (!from[i])
            continue;
        uint32_t j = from_tags[i] & (capacity - 1);
        while (to[j])
            j = (j + 1) & (capacity - 1);
        to[j] = from[i];
        to_tags[j] = from_tags[i];
    }
    pq_buf_release(&d->slots);
    pq_buf_release(&d->tags);
    d->slots = slots;
    d->tags = tags;
    d->capacity = capacity;
    return ST_OK;
}

static int add(struct pqw_dictionary *d, uint32_t slot, uint32_t tag, struct error *err)
{
    uint32_t zero = 0;
    TRY(pq_buf_append(&d->stamps, &zero, 4, err));
    ((uint32_t *)(void *)d->slots.data)[slot] = ++d->n;
    ((uint32_t *)(void *)d->tags.data)[slot] = tag;
    return ST_OK;
}

/* The table of near values, around the first one of the chunk. */
static int begin_near(struct pqw_dictionary *d, uint64_t first, struct error *err)
{
    if (d->near.size)
        return ST_OK;
    TRY(pq_buf_fit(&d->near, NEAR_VALUES * 4, err));
    memset(d->near.data, 0, d->near.size);
    d->near_base = first - NEAR_VALUES / 2;
    return ST_OK;
}

int pqw_intern_fixed(struct pqw_dictionary *d, const uint8_t *values, uint32_t width, size_t n, uint32_t *codes, struct error *err)
{
    if (n)
        TRY(begin_near(d, width == 4 ? load_le32(values) : load_le64(values), err));
    uint32_t *near = (uint32_t *)(void *)d->near.data;
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t before = v;
        v = width == 4 ? load_le32(values + i * 4) : load_le64(values + i * 8);
        uint64_t from_base = v - d->near_base;
        if (from_base < NEAR_VALUES && near[from_base]) {
            codes[i] = near[from_base] - 1;
            continue;
        }
        if (i && v == before) { /* runs are common: sorted files, constants */
            codes[i] = codes[i - 1];
            continue;
        }
        if (d->n >= d->capacity / 2)
            TRY(grow(d, err));
        uint32_t tag = (uint32_t)hash_u64(v ^ 0x9e3779b97f4a7c15u), mask = d->capacity - 1, j = tag & mask;
        const uint32_t *slots = (uint32_t *)(void *)d->slots.data;
        for (; slots[j]; j = (j + 1) & mask) {
            const uint8_t *have = d->body.data + (size_t)(slots[j] - 1) * width;
            if ((width == 4 ? load_le32(have) : load_le64(have)) == v)
                break;
        }
        if (!slots[j]) {
            TRY(pq_buf_append(&d->body, values + i * width, width, err));
            TRY(add(d, j, tag, err));
        }
        codes[i] = slots[j] - 1;
        if (from_base < NEAR_VALUES)
            near[from_base] = slots[j];
    }
    return ST_OK;
}

int pqw_intern_bytes(struct pqw_dictionary *d, const struct pq_slice *s, uint32_t *ret_code, struct error *err)
{
    if (d->n >= d->capacity / 2)
        TRY(grow(d, err));
    uint32_t tag = (uint32_t)hash_bytes(s->data, s->size), mask = d->capacity - 1, j = tag & mask;
    const uint32_t *slots = (uint32_t *)(void *)d->slots.data, *tags = (uint32_t *)(void *)d->tags.data;
    for (; slots[j]; j = (j + 1) & mask) {
        if (tags[j] != tag)
            continue;
        const uint8_t *have = d->body.data + ((uint32_t *)(void *)d->starts.data)[slots[j] - 1];
        if (load_le32(have) == s->size && (s->size == 0 || memcmp(have + 4, s->data, s->size) == 0))
            break;
    }
    if (!slots[j]) {
        uint32_t start = (uint32_t)d->body.size;
        if (d->body.size > INT32_MAX)
            return error_set(err, ST_EXHAUSTED, "parquet: a dictionary of more than 2 GiB");
        TRY(pq_buf_append(&d->starts, &start, 4, err));
        TRY(pq_buf_append(&d->body, &s->size, 4, err));
        TRY(pq_buf_append(&d->body, s->data, s->size, err));
        TRY(add(d, j, tag, err));
    }
    *ret_code = slots[j] - 1;
    return ST_OK;
}
