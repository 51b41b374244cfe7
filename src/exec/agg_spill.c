/* The parts of an aggregation on disk. Each level of division uses other bits of the hash; parts are read last made first, so that few are open at a
 * time. */
#include "exec/agg_spill.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "exec/sort_key.h"

enum { PARTS = 16, PART_BITS = 4, LEVELS_MAX = 8 };

struct part {
    struct spill_file *file;
    uint32_t level;
};

struct agg_spill {
    struct work_context *work;
    struct schema *schema; /* of the files: the rows', with grouping sets and the set's number */
    uint32_t *keys, n_keys;
    const uint8_t *sets;
    struct spill_file *open[PARTS]; /* being written */
    uint32_t level;
    struct part *parts; /* written, waiting to be read */
    uint32_t n_parts, parts_room;
    struct vec hashes, rows;
};

static struct budget *budget_of(const struct agg_spill *s)
{
    return s->work->budget;
}

int agg_spill_new(struct work_context *work, struct schema *schema, const uint32_t *keys, uint32_t n_keys, const uint8_t *sets,
                  struct agg_spill **ret_spill, struct error *err)
{
    struct schema *of_files = sets ? schema_with_field(schema, "", type_of(TYPE_UINT32), false) : schema_ref(schema);
    struct agg_spill *s = calloc(1, sizeof *s);
    uint32_t *copy = malloc((n_keys + 1) * sizeof *copy);
    if (!of_files || !s || !copy) {
        schema_unref(of_files);
        free(s);
        free(copy);
        return error_no_memory(err, sizeof *s);
    }
    memcpy(copy, keys, n_keys * sizeof *copy);
    *s = (struct agg_spill){.work = work, .schema = of_files, .keys = copy, .n_keys = n_keys, .sets = sets};
    *ret_spill = s;
    return ST_OK;
}

struct schema *agg_spill_schema(const struct agg_spill *s)
{
    return s->schema;
}

void agg_spill_free(struct agg_spill *s)
{
    if (!s)
        return;
    for (int i = 0; i < PARTS; i++)
        spill_file_free(s->open[i]);
    for (uint32_t i = 0; i < s->n_parts; i++)
        spill_file_free(s->parts[i].file);
    vec_release(&s->hashes, budget_of(s));
    vec_release(&s->rows, budget_of(s));
    schema_unref(s->schema);
    free(s->parts);
    free(s->keys);
    free(s);
}

int agg_spill_start(struct agg_spill *s, uint32_t level, struct error *err)
{
    if (level > LEVELS_MAX)
        return error_set(err, ST_EXHAUSTED,
                         "an aggregation does not fit into memory, though its rows were divided %d times on disk; raise memory_limit or "
                         "query.memory_pool_size",
                         LEVELS_MAX);
    s->level = level;
    return ST_OK;
}

/* ---- hashing ---- */

static uint64_t hash_value(const struct column *c, int64_t i)
{
    int32_t size;
    if (column_is_null(c, i))
        return 0x517cc1b727220a95u;
    if (c->type->id == TYPE_DICTIONARY)
        return hash_value(c->dictionary, COLUMN_VALUES(c, uint32_t)[i]);
    if (type_is_varlen(c->type)) {
        const uint8_t *bytes = column_bytes(c, i, &size);
        return hash_bytes(bytes, (size_t)size);
    }
    if (c->type->id == TYPE_BOOL)
        return hash_u64(column_bool(c, i));
    size_t width = (size_t)type_width(c->type);
    return hash_bytes(c->buffers[0]->data + (size_t)(c->offset + i) * width, width);
}

/* Lists and structs by their sort keys: equal values have equal ones. */
static int hash_nested(struct agg_spill *s, struct column *c, const uint32_t *rows, uint32_t n, struct error *err)
{
    struct sort_keys keys = {.work = s->work};
    struct sort_spec spec = {0};
    uint64_t *hashes = s->hashes.data;
    size_t size;
    int st = sort_keys_encode(&keys, budget_of(s), &c, &spec, 1, c->length, err);
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        const uint8_t *bytes = sort_keys_at(&keys, rows[i], &size);
        hashes[i] = hash_u64(hashes[i] ^ hash_bytes(bytes, size));
    }
    sort_keys_release(&keys, budget_of(s));
    return st;
}

static int hash_rows(struct agg_spill *s, const struct batch *b, uint32_t set, const uint32_t *rows, uint32_t n, struct error *err)
{
    const uint8_t *takes_part = s->sets ? s->sets + (size_t)set * s->n_keys : NULL;
    TRY(vec_reserve(&s->hashes, budget_of(s), n, 8, err));
    uint64_t *hashes = s->hashes.data;
    memset(hashes, 0, (size_t)n * 8);
    for (uint32_t k = 0; k < s->n_keys; k++) {
        struct column *c = b->columns[s->keys[k]];
        if (takes_part && !takes_part[k])
            continue;
        if (type_is_nested(type_values(c->type))) {
            TRY(hash_nested(s, c, rows, n, err));
            continue;
        }
        for (uint32_t i = 0; i < n; i++)
            hashes[i] = hash_u64(hashes[i] ^ hash_value(c, rows[i]));
    }
    return ST_OK;
}

/* ---- writing ---- */

static int put_part(struct agg_spill *s, uint32_t part, struct batch *b, const uint32_t *rows, uint32_t n, struct error *err)
{
    struct batch *piece;
    if (!s->open[part])
        TRY(spill_file_new(s->work->spill, s->schema, budget_of(s), &s->open[part], err));
    TRY(batch_take(budget_of(s), b, rows, n, &piece, err));
    int st = spill_file_put(s->open[part], piece, err);
    batch_unref(piece);
    return st;
}

/* b, with the set in a column of its own. */
static int add_set(struct agg_spill *s, struct batch *b, uint32_t set, struct batch **ret_batch, struct error *err)
{
    struct buffer *numbers;
    struct column *sets;
    TRY(buffer_new_uninit(budget_of(s), (size_t)b->n_rows * 4, &numbers, err));
    for (int64_t i = 0; i < b->n_rows; i++)
        ((uint32_t *)(void *)numbers->data)[i] = set;
    TRY(column_new(type_of(TYPE_UINT32), b->n_rows, 0, NULL, numbers, NULL, &sets, err));
    return batch_with_column(s->schema, b, sets, ret_batch, err);
}

static int put_parts(struct agg_spill *s, struct batch *b, uint32_t set, const uint32_t *rows, uint32_t n, struct error *err)
{
    uint32_t counts[PARTS + 1] = {0}, at[PARTS], shift = 64 - PART_BITS * s->level;
    TRY(hash_rows(s, b, set, rows, n, err));
    TRY(vec_reserve(&s->rows, budget_of(s), n, 4, err));
    const uint64_t *hashes = s->hashes.data;
    uint32_t *sorted = s->rows.data;
    for (uint32_t i = 0; i < n; i++)
        counts[(hashes[i] >> shift) % PARTS + 1]++;
    for (uint32_t p = 0; p < PARTS; p++) {
        at[p] = counts[p];
        counts[p + 1] += counts[p];
    }
    for (uint32_t i = 0; i < n; i++)
        sorted[at[(hashes[i] >> shift) % PARTS]++] = rows[i];
    for (uint32_t p = 0; p < PARTS; p++)
        if (counts[p + 1] > counts[p])
            TRY(put_part(s, p, b, sorted + counts[p], counts[p + 1] - counts[p], err));
    return ST_OK;
}

int agg_spill_put(struct agg_spill *s, struct batch *b, uint32_t set, const uint32_t *rows, uint32_t n, struct error *err)
{
    struct batch *with_set;
    if (b->schema->n_fields == s->schema->n_fields)
        return put_parts(s, b, set, rows, n, err);
    TRY(add_set(s, b, set, &with_set, err));
    int st = put_parts(s, with_set, set, rows, n, err);
    batch_unref(with_set);
    return st;
}

int agg_spill_take(struct agg_spill *s, struct spill_file **ret_file, uint32_t *ret_level, struct error *err)
{
    if (s->n_parts + PARTS > s->parts_room) {
        struct part *grown = realloc(s->parts, (s->n_parts + 2 * PARTS) * sizeof *grown);
        if (!grown)
            return error_no_memory(err, (s->n_parts + 2 * PARTS) * sizeof *grown);
        s->parts = grown;
        s->parts_room = s->n_parts + 2 * PARTS;
    }
    for (uint32_t p = 0; p < PARTS; p++) {
        if (s->open[p])
            s->parts[s->n_parts++] = (struct part){s->open[p], s->level};
        s->open[p] = NULL;
    }
    *ret_file = NULL;
    if (s->n_parts) {
        const struct part *last = &s->parts[--s->n_parts];
        *ret_file = last->file;
        *ret_level = last->level;
    }
    return ST_OK;
}
