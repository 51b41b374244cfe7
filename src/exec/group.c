/* The group-by hash table.
 *
 * Every key becomes a fixed number of bytes: var-length and nested values are interned to 4-byte ids (0 = NULL), others keep their own width and have
 * a null bit in the record's tail. That gives four shapes, chosen once:
 *   NO_KEYS   everything is group 0
 *   ONE_ID    one interned key: the id leads to the group by an array, no second hash table
 *   ONE_WORD  one key of up to 8 bytes; NULL has its group aside
 *   RECORD    records of 16 bytes, or of any other multiple of 8
 * and RUNS (exec/group_runs.h) where the input's order spares the table.
 * Records are packed column by column for a whole batch, then looked up row by row; a row equal to the one before skips the lookup, which makes
 * sorted input cheap. Floats group by their bits, so -0.0 and 0.0 differ, as do NaNs of different bits (the peer's rule).
 */
#include "exec/group.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "exec/group_runs.h"
#include "exec/intern_nested.h"

enum shape { NO_KEYS, ONE_ID, ONE_WORD, RECORD, RUNS };

struct group_key {
    struct dtype *type;
    uint32_t at, width;     /* place in the record */
    uint32_t null_bit;      /* bit number in the record */
    bool interned, nested, open; /* open = has its interner */
    union {
        struct interner strings;
        struct nested_interner values; /* nested */
    };
};

struct group_table {
    struct budget *budget;
    enum shape shape;
    uint32_t n_keys, count, stride;
    struct group_key *keys;
    struct vec records;     /* stride bytes a group */
    struct vec slots;       /* uint64: hash tag << 32 | group + 1 */
    size_t n_slots;
    struct vec group_of_id; /* ONE_ID: uint32 group + 1 */
    uint32_t null_group;    /* ONE_WORD: group + 1 */
    bool frozen;
    struct vec scratch, ids;
    struct group_runs runs; /* RUNS: all but the keys' types */
};

static bool groupable(const struct dtype *t)
{
    return sort_key_supported(t) && t->id != TYPE_DICTIONARY;
}

static int map_interned(struct group_key *key, struct column *c, uint32_t *ids, struct error *err)
{
    return key->nested ? nested_interner_map(&key->values, c, ids, err) : interner_map(&key->strings, c, ids, err);
}

static uint32_t interned_count(const struct group_key *key)
{
    return key->nested ? key->values.keys.count : key->strings.count;
}

static int choose_shape(struct group_table *t, struct error *err)
{
    uint32_t at = 0, nulls = 0;
    for (uint32_t k = 0; k < t->n_keys; k++) {
        struct group_key *key = &t->keys[k];
        key->nested = type_is_nested(key->type);
        key->interned = key->nested || type_is_varlen(key->type);
        key->width = key->interned ? 4 : key->type->id == TYPE_BOOL ? 1 : key->type->id == TYPE_NULL ? 0 : (uint32_t)type_width(key->type);
        key->at = at;
        at += key->width;
        if (!key->interned) {
            key->null_bit = nulls++;
            continue;
        }
        TRY(key->nested ? nested_interner_init(&key->values, t->budget, err) : interner_init(&key->strings, t->budget, err));
        key->open = true;
    }
    for (uint32_t k = 0; k < t->n_keys; k++)
        t->keys[k].null_bit += at * 8;
    at += (nulls + 7) / 8;
    t->stride = (at + 7) / 8 * 8;
    if (t->n_keys == 0)
        t->shape = NO_KEYS;
    else if (t->n_keys == 1 && t->keys[0].interned)
        t->shape = ONE_ID;
    else if (t->n_keys == 1 && t->keys[0].width > 0 && t->keys[0].width <= 8)
        t->shape = ONE_WORD;
    else
        t->shape = RECORD;
    t->stride = t->shape == ONE_ID ? 4 : t->shape == ONE_WORD ? 8 : t->stride < 16 ? 16 : t->stride;
    if (t->shape == ONE_WORD || t->shape == RECORD) {
        t->n_slots = 1024;
        TRY(vec_reserve(&t->slots, t->budget, t->n_slots, 8, err));
    }
    return ST_OK;
}

int group_table_new(struct budget *budget, struct dtype *const *types, uint32_t n_keys, bool one_behind_another, struct group_table **ret_table,
                    struct error *err)
{
    char text[128];
    for (uint32_t k = 0; k < n_keys; k++)
        if (!groupable(types[k]))
            return error_set(err, ST_UNSUPPORTED, "grouping by %s is not supported", type_print(types[k], text, sizeof text));
    struct group_table *t = calloc(1, sizeof *t);
    if (t)
        t->keys = calloc(n_keys ? n_keys : 1, sizeof *t->keys);
    if (!t || !t->keys) {
        free(t);
        return error_no_memory(err, sizeof *t + n_keys * sizeof *t->keys);
    }
    t->budget = budget;
    t->n_keys = n_keys;
    for (uint32_t k = 0; k < n_keys; k++)
        t->keys[k].type = type_ref(types[k]);
    t->shape = RUNS;
    int st = one_behind_another && n_keys ? group_runs_init(&t->runs, budget, n_keys, err) : choose_shape(t, err);
    if (st != ST_OK) {
        group_table_free(t);
        return st;
    }
    *ret_table = t;
    return ST_OK;
}

void group_table_free(struct group_table *t)
{
    if (!t)
        return;
    for (uint32_t k = 0; k < t->n_keys; k++) {
        type_unref(t->keys[k].type);
        if (t->keys[k].open && t->keys[k].nested)
            nested_interner_release(&t->keys[k].values);
        else if (t->keys[k].open)
            interner_release(&t->keys[k].strings);
    }
    free(t->keys);
    group_runs_release(&t->runs);
    vec_release(&t->records, t->budget);
    vec_release(&t->slots, t->budget);
    vec_release(&t->group_of_id, t->budget);
    vec_release(&t->scratch, t->budget);
    vec_release(&t->ids, t->budget);
    free(t);
}

uint32_t group_table_count(const struct group_table *t)
{
    return t->shape == RUNS ? t->runs.count : t->count;
}

size_t group_table_bytes(const struct group_table *t)
{
    if (t->shape == RUNS)
        return group_runs_bytes(&t->runs);
    size_t n = t->records.capacity + t->slots.capacity + t->group_of_id.capacity + t->scratch.capacity + t->ids.capacity;
    for (uint32_t k = 0; k < t->n_keys; k++)
        if (t->keys[k].interned)
            n += t->keys[k].nested ? nested_interner_bytes(&t->keys[k].values) : interner_bytes(&t->keys[k].strings);
    return n;
}

void group_table_freeze(struct group_table *t)
{
    t->frozen = true;
    for (uint32_t k = 0; k < t->n_keys; k++)
        t->keys[k].strings.frozen = true;
}

/* Room for one more group's record. */
static int add_group(struct group_table *t, const void *record, uint32_t *ret_group, struct error *err)
{
    if (t->count >= INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "an aggregation has more than 2^31 groups");
    TRY(vec_reserve(&t->records, t->budget, (size_t)t->count + 1, t->stride, err));
    memcpy(VEC(&t->records, uint8_t) + (size_t)t->count * t->stride, record, t->stride);
    *ret_group = t->count++;
    return ST_OK;
}

static inline __attribute__((always_inline)) uint64_t hash_record(const uint8_t *r, size_t stride)
{
    if (stride == 8)
        return hash_u64(load_le64(r));
    if (stride == 16)
        return hash_u64(load_le64(r) ^ (load_le64(r + 8) * 0x9e3779b97f4a7c15u));
    return hash_bytes(r, stride);
}

static int grow_slots(struct group_table *t, struct error *err)
{
    struct vec bigger = {0};
    size_t n = t->n_slots * 2, mask = n - 1;
    TRY(vec_reserve(&bigger, t->budget, n, 8, err));
    uint64_t *to = bigger.data;
    const uint8_t *records = t->records.data;
    for (uint32_t g = 0; g < t->count; g++) {
        if (g + 1 == t->null_group)
            continue;
        uint64_t hash = hash_record(records + (size_t)g * t->stride, t->stride);
        size_t j = hash & mask;
        while (to[j])
            j = (j + 1) & mask;
        to[j] = (hash & 0xffffffff00000000u) | (g + 1);
    }
    vec_release(&t->slots, t->budget);
    t->slots = bigger;
    t->n_slots = n;
    return ST_OK;
}

static inline __attribute__((always_inline)) int find_group(struct group_table *t, const uint8_t *record, size_t stride, uint32_t *ret_group,
                                                            struct error *err)
{
    uint64_t hash = hash_record(record, stride);
    uint64_t *slots = t->slots.data;
    size_t mask = t->n_slots - 1, i = hash & mask;
    for (; slots[i]; i = (i + 1) & mask) {
        uint32_t g = (uint32_t)slots[i] - 1;
        if ((slots[i] ^ hash) >> 32 == 0 && memcmp(VEC(&t->records, uint8_t) + (size_t)g * stride, record, stride) == 0) {
            *ret_group = g;
            return ST_OK;
        }
    }
    if (t->frozen) {
        *ret_group = UINT32_MAX;
        return ST_OK;
    }
    TRY(add_group(t, record, ret_group, err));
    slots[i] = (hash & 0xffffffff00000000u) | (*ret_group + 1);
    return (size_t)t->count * 2 > t->n_slots ? grow_slots(t, err) : ST_OK;
}

static inline __attribute__((always_inline)) int find_all(struct group_table *t, const uint8_t *records, size_t stride, int64_t n, uint32_t *groups,
                                                          struct error *err)
{
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *r = records + (size_t)i * stride;
        if (i && memcmp(r, r - stride, stride) == 0)
            groups[i] = groups[i - 1];
        else
            TRY(find_group(t, r, stride, &groups[i], err));
    }
    return ST_OK;
}

/* One column's values into the records; null rows keep zeros. */
static void pack_fixed(const struct group_key *key, const struct column *c, uint8_t *records, size_t stride)
{
    uint8_t *to = records + key->at;
    int64_t n = c->length;
    if (c->type->id == TYPE_NULL)
        return;
    const uint8_t *from = c->buffers[0]->data + (c->type->id == TYPE_BOOL ? 0 : (size_t)c->offset * key->width);
    if (c->type->id == TYPE_BOOL) {
        for (int64_t i = 0; i < n; i++, to += stride)
            *to = bit_get(from, c->offset + i);
    } else if (key->width == 8) {
        for (int64_t i = 0; i < n; i++, to += stride)
            memcpy(to, from + i * 8, 8);
    } else if (key->width == 4) {
        for (int64_t i = 0; i < n; i++, to += stride)
            memcpy(to, from + i * 4, 4);
    } else {
        for (int64_t i = 0; i < n; i++, to += stride)
            memcpy(to, from + i * key->width, key->width);
    }
}

static void pack_nulls(const struct group_key *key, const struct column *c, uint8_t *records, size_t stride)
{
    if (column_null_count(c) == 0)
        return;
    for (int64_t i = 0; i < c->length; i++) {
        if (!column_is_null(c, i))
            continue;
        uint8_t *r = records + (size_t)i * stride;
        memset(r + key->at, 0, key->width);
        r[key->null_bit >> 3] |= (uint8_t)(1u << (key->null_bit & 7));
    }
}

static int map_ids(struct group_table *t, struct column *c, uint32_t *groups, struct error *err)
{
    TRY(map_interned(&t->keys[0], c, groups, err));
    TRY(vec_reserve(&t->group_of_id, t->budget, interned_count(&t->keys[0]), 4, err));
    uint32_t *group_of = t->group_of_id.data;
    for (int64_t i = 0; i < c->length; i++) {
        uint32_t id = groups[i], g;
        if (t->frozen && (id == UINT32_MAX || !group_of[id])) {
            groups[i] = UINT32_MAX;
            continue;
        }
        if (!group_of[id]) {
            TRY(add_group(t, &id, &g, err));
            group_of[id] = g + 1;
        }
        groups[i] = group_of[id] - 1;
    }
    return ST_OK;
}

static int map_word(struct group_table *t, struct column *c, uint32_t *groups, struct error *err)
{
    static const uint8_t zeros[8];
    int64_t n = c->length;
    const uint8_t *records;
    if (t->keys[0].width == 8) {
        records = c->buffers[0]->data + (size_t)c->offset * 8;
    } else {
        TRY(vec_reserve(&t->scratch, t->budget, (size_t)n, 8, err));
        memset(t->scratch.data, 0, (size_t)n * 8);
        pack_fixed(&t->keys[0], c, t->scratch.data, 8);
        records = t->scratch.data;
    }
    if (column_null_count(c) == 0)
        return find_all(t, records, 8, n, groups, err);
    for (int64_t i = 0; i < n; i++) {
        if (!column_is_null(c, i)) {
            TRY(find_group(t, records + i * 8, 8, &groups[i], err));
            continue;
        }
        if (!t->null_group && t->frozen) {
            groups[i] = UINT32_MAX;
            continue;
        }
        if (!t->null_group) {
            uint32_t g;
            TRY(add_group(t, zeros, &g, err));
            t->null_group = g + 1;
        }
        groups[i] = t->null_group - 1;
    }
    return ST_OK;
}

static int map_records(struct group_table *t, struct column *const *keys, int64_t n, uint32_t *groups, struct error *err)
{
    size_t stride = t->stride;
    TRY(vec_reserve(&t->scratch, t->budget, (size_t)n, stride, err));
    uint8_t *records = t->scratch.data;
    memset(records, 0, (size_t)n * stride);
    for (uint32_t k = 0; k < t->n_keys; k++) {
        struct group_key *key = &t->keys[k];
        if (!key->interned) {
            pack_fixed(key, keys[k], records, stride);
            pack_nulls(key, keys[k], records, stride);
            continue;
        }
        TRY(vec_reserve(&t->ids, t->budget, (size_t)n, 4, err));
        TRY(map_interned(key, keys[k], t->ids.data, err));
        const uint32_t *ids = t->ids.data;
        uint8_t *to = records + key->at;
        for (int64_t i = 0; i < n; i++, to += stride)
            memcpy(to, &ids[i], 4);
    }
    return stride == 16 ? find_all(t, records, 16, n, groups, err) : find_all(t, records, stride, n, groups, err);
}

int group_table_map(struct group_table *t, struct column *const *keys, int64_t n, uint32_t *groups, struct error *err)
{
    struct column *plain[64], **columns = plain;
    int st = ST_OK;
    if (n == 0)
        return ST_OK;
    if (t->shape == NO_KEYS) {
        t->count = 1;
        memset(groups, 0, (size_t)n * 4);
        return ST_OK;
    }
    if (t->shape == RUNS)
        return group_runs_map(&t->runs, keys, n, groups, err);
    if (t->n_keys > 64 && !(columns = calloc(t->n_keys, sizeof *columns)))
        return error_no_memory(err, t->n_keys * sizeof *columns);
    uint32_t made = 0;
    for (; st == ST_OK && made < t->n_keys; made += st == ST_OK) {
        if (keys[made]->type->id == TYPE_DICTIONARY && (!t->keys[made].interned || t->keys[made].nested))
            st = column_decode_dictionary(t->budget, keys[made], &columns[made], err);
        else
            columns[made] = column_ref(keys[made]);
    }
    if (st == ST_OK)
        st = t->shape == ONE_ID     ? map_ids(t, columns[0], groups, err)
             : t->shape == ONE_WORD ? map_word(t, columns[0], groups, err)
                                    : map_records(t, columns, n, groups, err);
    for (uint32_t k = 0; k < made; k++)
        column_unref(columns[k]);
    if (columns != plain)
        free(columns);
    return st;
}

/* Fixed-width keys back out of the records. */
static int unpack_fixed(const struct group_table *t, const struct group_key *key, uint32_t first, uint32_t n, struct column **ret_column,
                        struct error *err)
{
    struct buffer *values = NULL, *validity = NULL;
    const uint8_t *r = VEC(&t->records, const uint8_t) + (size_t)first * t->stride;
    bool is_bool = key->type->id == TYPE_BOOL;
    uint32_t nulls = 0;
    TRY(buffer_new(t->budget, is_bool ? bits_bytes(n) : (size_t)n * key->width, &values, err));
    int st = buffer_new(t->budget, bits_bytes(n), &validity, err);
    if (st != ST_OK) {
        buffer_unref(values);
        return st;
    }
    for (uint32_t i = 0; i < n; i++, r += t->stride) {
        bool null = t->shape == ONE_WORD ? first + i + 1 == t->null_group : r[key->null_bit >> 3] >> (key->null_bit & 7) & 1;
        nulls += null;
        bit_put(validity->data, i, !null);
        if (is_bool)
            bit_put(values->data, i, r[key->at]);
        else
            memcpy(values->data + (size_t)i * key->width, r + key->at, key->width);
    }
    if (!nulls) {
        buffer_unref(validity);
        validity = NULL;
    }
    return column_new(key->type, n, nulls, validity, values, NULL, ret_column, err);
}

int group_table_keys(const struct group_table *t, uint32_t k, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    const struct group_key *key = &t->keys[k];
    if (t->shape == RUNS)
        return group_runs_keys(&t->runs, k, first, n, ret_column, err);
    if (key->type->id == TYPE_NULL)
        return column_new_nulls(t->budget, key->type, n, ret_column, err);
    if (!key->interned)
        return unpack_fixed(t, key, first, n, ret_column, err);
    struct vec ids = {0};
    TRY(vec_reserve(&ids, t->budget, n ? n : 1, 4, err));
    const uint8_t *r = VEC(&t->records, const uint8_t) + (size_t)first * t->stride + key->at;
    for (uint32_t i = 0; i < n; i++, r += t->stride)
        memcpy(VEC(&ids, uint32_t) + i, r, 4);
    int st = key->nested ? nested_interner_column(&key->values, key->type, ids.data, n, ret_column, err)
                         : interner_column(&key->strings, key->type, ids.data, n, ret_column, err);
    vec_release(&ids, t->budget);
    return st;
}
