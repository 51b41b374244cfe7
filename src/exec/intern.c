/* Interning of strings for grouping.
 *
 * Strings lie behind one another in `bytes`; the hash table is open addressing over 64-bit slots that carry 32 bits of the hash, so a probe
 * touches the bytes only on a likely match. Dictionary columns cost one array read a row: the ids of a dictionary's values are kept as long as
 * the dictionary is in use (the last four are).
 */
#include "exec/intern.h"

#include <string.h>

#include "base/hash.h"

int interner_init(struct interner *in, struct budget *budget, struct error *err)
{
    *in = (struct interner){.budget = budget, .count = 1, .n_slots = 256};
    int st = vec_reserve(&in->slots, budget, in->n_slots, 8, err);
    if (st == ST_OK)
        st = vec_reserve(&in->ends, budget, 64, 8, err);
    if (st == ST_OK)
        st = vec_reserve(&in->bytes, budget, 256, 1, err);
    if (st != ST_OK)
        interner_release(in);
    return st;
}

void interner_release(struct interner *in)
{
    for (uint32_t i = 0; i < INTERN_DICTIONARIES; i++) {
        column_unref(in->dictionaries[i].dictionary);
        vec_release(&in->dictionaries[i].ids, in->budget);
    }
    vec_release(&in->slots, in->budget);
    vec_release(&in->ends, in->budget);
    vec_release(&in->bytes, in->budget);
    *in = (struct interner){0};
}

size_t interner_bytes(const struct interner *in)
{
    return in->slots.capacity + in->ends.capacity + in->bytes.capacity;
}

static inline const uint8_t *string_of(const struct interner *in, uint32_t id, size_t *ret_size)
{
    const uint64_t *ends = VEC(&in->ends, const uint64_t);
    *ret_size = ends[id] - ends[id - 1];
    return VEC(&in->bytes, const uint8_t) + ends[id - 1];
}

static int grow_slots(struct interner *in, struct error *err)
{
    struct vec bigger = {0};
    size_t n = in->n_slots * 2, mask = n - 1;
    TRY(vec_reserve(&bigger, in->budget, n, 8, err));
    uint64_t *to = bigger.data;
    for (uint32_t id = 1; id < in->count; id++) {
        size_t size;
        const uint8_t *s = string_of(in, id, &size);
        uint64_t hash = hash_bytes(s, size);
        size_t j = hash & mask;
        while (to[j])
            j = (j + 1) & mask;
        to[j] = (hash & 0xffffffff00000000u) | id;
    }
    vec_release(&in->slots, in->budget);
    in->slots = bigger;
    in->n_slots = n;
    return ST_OK;
}

static int intern_one(struct interner *in, const uint8_t *data, size_t size, uint32_t *ret_id, struct error *err)
{
    uint64_t hash = hash_bytes(data, size);
    uint64_t *slots = in->slots.data;
    size_t mask = in->n_slots - 1, i = hash & mask;
    for (; slots[i]; i = (i + 1) & mask) {
        size_t other_size;
        if ((slots[i] ^ hash) >> 32)
            continue;
        const uint8_t *other = string_of(in, (uint32_t)slots[i], &other_size);
        if (other_size == size && (size == 0 || memcmp(other, data, size) == 0)) {
            *ret_id = (uint32_t)slots[i];
            return ST_OK;
        }
    }
    if (in->frozen) {
        *ret_id = UINT32_MAX;
        return ST_OK;
    }
    if (in->count == INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "a grouping column has more than 2^31 distinct values");
    TRY(vec_reserve(&in->ends, in->budget, (size_t)in->count + 1, 8, err));
    TRY(vec_reserve(&in->bytes, in->budget, in->bytes_used + size, 1, err));
    if (size)
        memcpy(VEC(&in->bytes, uint8_t) + in->bytes_used, data, size);
    in->bytes_used += size;
    VEC(&in->ends, uint64_t)[in->count] = in->bytes_used;
    *ret_id = in->count++;
    slots[i] = (hash & 0xffffffff00000000u) | *ret_id;
    return (size_t)in->count * 2 > in->n_slots ? grow_slots(in, err) : ST_OK;
}

static bool same_dictionary(const struct column *a, const struct column *b)
{
    return a == b || (a->buffers[0] == b->buffers[0] && a->buffers[1] == b->buffers[1] && a->validity == b->validity && a->offset == b->offset &&
                      a->length == b->length);
}

static int dictionary_ids(struct interner *in, struct column *dictionary, uint32_t **ret_ids, struct error *err)
{
    struct intern_dictionary *d;
    for (uint32_t i = 0; i < INTERN_DICTIONARIES; i++) {
        d = &in->dictionaries[i];
        if (d->dictionary && same_dictionary(d->dictionary, dictionary)) {
            *ret_ids = d->ids.data;
            return ST_OK;
        }
    }
    d = &in->dictionaries[in->next_dictionary];
    column_unref(d->dictionary);
    d->dictionary = NULL;
    TRY(vec_reserve(&d->ids, in->budget, (size_t)dictionary->length + 1, 4, err));
    memset(d->ids.data, 0, (size_t)dictionary->length * 4);
    d->dictionary = column_ref(dictionary);
    in->next_dictionary = (in->next_dictionary + 1) % INTERN_DICTIONARIES;
    *ret_ids = d->ids.data;
    return ST_OK;
}

static int map_dictionary(struct interner *in, struct column *c, uint32_t *ids, struct error *err)
{
    const uint32_t *keys = COLUMN_VALUES(c, uint32_t);
    struct column *dictionary = c->dictionary;
    uint32_t *known;
    bool nulls = column_null_count(c) > 0;
    TRY(dictionary_ids(in, dictionary, &known, err));
    for (int64_t i = 0; i < c->length; i++) {
        if (nulls && column_is_null(c, i)) {
            ids[i] = 0;
            continue;
        }
        uint32_t k = keys[i];
        if (!known[k]) {
            uint32_t id = 0;
            if (!column_is_null(dictionary, k)) {
                int32_t size;
                const uint8_t *s = column_bytes(dictionary, k, &size);
                TRY(intern_one(in, s, (size_t)size, &id, err));
            }
            known[k] = id + 1;
        }
        ids[i] = known[k] - 1;
    }
    return ST_OK;
}

int interner_map(struct interner *in, struct column *c, uint32_t *ids, struct error *err)
{
    const uint8_t *last = NULL;
    int32_t last_size = -1;
    uint32_t last_id = 0;
    if (c->type->id == TYPE_DICTIONARY)
        return map_dictionary(in, c, ids, err);
    bool nulls = column_null_count(c) > 0;
    for (int64_t i = 0; i < c->length; i++) {
        int32_t size;
        if (nulls && column_is_null(c, i)) {
            ids[i] = 0;
            continue;
        }
        const uint8_t *s = column_bytes(c, i, &size);
        if (size != last_size || (size && memcmp(s, last, (size_t)size) != 0)) {
            TRY(intern_one(in, s, (size_t)size, &last_id, err));
            last = s;
            last_size = size;
        }
        ids[i] = last_id;
    }
    return ST_OK;
}

int interner_column(const struct interner *in, struct dtype *type, const uint32_t *ids, uint32_t n, struct column **ret_column, struct error *err)
{
    struct buffer *offsets = NULL, *bytes = NULL, *validity = NULL;
    size_t total = 0, size;
    uint32_t nulls = 0;
    int st = ST_OK;
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i]) {
            string_of(in, ids[i], &size);
            total += size;
        } else {
            nulls++;
        }
    }
    if (total > INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "a result column grows past 2 GiB");
    st = buffer_new_uninit(in->budget, ((size_t)n + 1) * 4, &offsets, err);
    if (st == ST_OK)
        st = buffer_new_uninit(in->budget, total, &bytes, err);
    if (st == ST_OK && nulls)
        st = buffer_new(in->budget, bits_bytes(n), &validity, err);
    if (st != ST_OK) {
        buffer_unref(offsets);
        buffer_unref(bytes);
        return st;
    }
    int32_t at = 0, *o = (int32_t *)(void *)offsets->data;
    for (uint32_t i = 0; i < n; i++) {
        o[i] = at;
        if (!ids[i])
            continue;
        const uint8_t *s = string_of(in, ids[i], &size);
        if (size)
            memcpy(bytes->data + at, s, size);
        at += (int32_t)size;
        if (validity)
            bit_set(validity->data, i);
    }
    o[n] = at;
    return column_new(type, n, nulls, validity, offsets, bytes, ret_column, err);
}
