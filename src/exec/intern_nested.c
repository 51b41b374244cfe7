/* Interning of nested values; see the header. */
#include "exec/intern_nested.h"

#include <stdlib.h>
#include <string.h>

int nested_interner_init(struct nested_interner *in, struct budget *budget, struct error *err)
{
    *in = (struct nested_interner){0};
    return interner_init(&in->keys, budget, err);
}

void nested_interner_release(struct nested_interner *in)
{
    struct budget *budget = in->keys.budget;
    for (uint32_t i = 0; i < in->n_chunks; i++)
        column_unref(VEC(&in->chunks, struct column *)[i]);
    vec_release(&in->chunks, budget);
    vec_release(&in->rows, budget);
    sort_keys_release(&in->scratch, budget);
    interner_release(&in->keys);
    *in = (struct nested_interner){0};
}

size_t nested_interner_bytes(const struct nested_interner *in)
{
    size_t n = interner_bytes(&in->keys) + in->chunks.capacity;
    for (uint32_t i = 0; i < in->n_chunks; i++)
        n += column_bytes_held(VEC(&in->chunks, struct column *)[i]);
    return n;
}

/* The rows' sort keys as a binary column. */
static int encode(struct nested_interner *in, struct column *c, struct column **ret_keys, struct error *err)
{
    struct budget *budget = in->keys.budget;
    struct sort_spec spec = {.nulls_first = true};
    struct buffer *offsets, *bytes = NULL;
    TRY(sort_keys_encode(&in->scratch, budget, &c, &spec, 1, c->length, err));
    const uint64_t *ends = in->scratch.offsets.data;
    if (ends[c->length] > INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "a grouping column grows past 2 GiB");
    TRY(buffer_new_uninit(budget, ((size_t)c->length + 1) * 4, &offsets, err));
    int st = buffer_new_uninit(budget, ends[c->length], &bytes, err);
    if (st != ST_OK) {
        buffer_unref(offsets);
        return st;
    }
    for (int64_t i = 0; i <= c->length; i++)
        store_le32(offsets->data + i * 4, (uint32_t)ends[i]);
    memcpy(bytes->data, in->scratch.bytes.data, ends[c->length]);
    return column_new(type_of(TYPE_BINARY), c->length, 0, NULL, offsets, bytes, ret_keys, err);
}

/* Keeps the rows that brought new ids; ids count up, so those are the rows with the next one. */
static int keep_new(struct nested_interner *in, const struct column *c, const uint32_t *ids, struct error *err)
{
    struct budget *budget = in->keys.budget;
    uint32_t n = 0;
    TRY(vec_reserve(&in->rows, budget, (size_t)c->length + 1, 4, err));
    for (int64_t i = 0; i < c->length; i++)
        if (ids[i] == in->n_kept + n + 1)
            VEC(&in->rows, uint32_t)[n++] = (uint32_t)i;
    if (n == 0)
        return ST_OK;
    TRY(vec_reserve(&in->chunks, budget, (size_t)in->n_chunks + 1, sizeof(struct column *), err));
    TRY(column_take(budget, c, in->rows.data, n, &VEC(&in->chunks, struct column *)[in->n_chunks], err));
    in->n_chunks++;
    in->n_kept += n;
    return ST_OK;
}

int nested_interner_map(struct nested_interner *in, struct column *c, uint32_t *ids, struct error *err)
{
    struct column *keys;
    TRY(encode(in, c, &keys, err));
    int st = interner_map(&in->keys, keys, ids, err);
    column_unref(keys);
    return st == ST_OK ? keep_new(in, c, ids, err) : st;
}

int nested_interner_column(const struct nested_interner *in, struct dtype *type, const uint32_t *ids, uint32_t n, struct column **ret_column,
                           struct error *err)
{
    struct budget *budget = in->keys.budget;
    struct column *all;
    struct buffer *rows;
    if (in->n_chunks == 0)
        return column_new_nulls(budget, type, n, ret_column, err);
    TRY(buffer_new_uninit(budget, (size_t)n * 4, &rows, err));
    for (uint32_t i = 0; i < n; i++)
        store_le32(rows->data + (size_t)i * 4, ids[i] - 1);
    int st = column_concat(budget, in->chunks.data, in->n_chunks, &all, err);
    if (st == ST_OK) {
        st = column_take(budget, all, (const uint32_t *)(const void *)rows->data, n, ret_column, err);
        column_unref(all);
    }
    buffer_unref(rows);
    return st;
}
