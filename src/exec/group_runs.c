/* Groups one behind another. The first rows of the groups that a call brings are a chunk of columns, without dictionaries; keys are slices of chunks.
 */
#include "exec/group_runs.h"

#include <stdlib.h>

int group_runs_init(struct group_runs *g, struct budget *budget, uint32_t n_keys, struct error *err)
{
    *g = (struct group_runs){.budget = budget, .n_keys = n_keys};
    return row_edge_init(&g->last, n_keys, err);
}

void group_runs_release(struct group_runs *g)
{
    for (uint32_t i = 0; i < g->n_chunks * g->n_keys; i++)
        column_unref(VEC(&g->heads, struct column *)[i]);
    vec_release(&g->heads, g->budget);
    vec_release(&g->firsts, g->budget);
    vec_release(&g->rows, g->budget);
    row_edge_release(&g->last);
}

size_t group_runs_bytes(const struct group_runs *g)
{
    size_t n = g->heads.capacity + g->firsts.capacity + g->rows.capacity;
    for (uint32_t i = 0; i < g->n_chunks * g->n_keys; i++)
        n += column_bytes_used(VEC(&g->heads, struct column *)[i]);
    return n;
}

static int head_column(struct group_runs *g, const struct column *key, uint32_t n, struct column **ret_column, struct error *err)
{
    struct column *taken;
    TRY(column_take(g->budget, key, VEC(&g->rows, const uint32_t), n, &taken, err));
    int st = column_decode_dictionary(g->budget, taken, ret_column, err);
    column_unref(taken);
    return st;
}

/* The keys of n new groups. */
static int add_chunk(struct group_runs *g, struct column *const *keys, uint32_t n, struct error *err)
{
    size_t at = (size_t)g->n_chunks * g->n_keys;
    uint32_t made = 0;
    int st = vec_reserve(&g->heads, g->budget, at + g->n_keys, sizeof(struct column *), err);
    if (st == ST_OK)
        st = vec_reserve(&g->firsts, g->budget, (size_t)g->n_chunks + 1, 4, err);
    struct column **heads = st == ST_OK ? VEC(&g->heads, struct column *) + at : NULL;
    for (; st == ST_OK && made < g->n_keys; made += st == ST_OK)
        st = head_column(g, keys[made], n, &heads[made], err);
    if (st != ST_OK) {
        for (uint32_t k = 0; k < made; k++)
            column_unref(heads[k]);
        return st;
    }
    VEC(&g->firsts, uint32_t)[g->n_chunks++] = g->count;
    g->count += n;
    return ST_OK;
}

int group_runs_map(struct group_runs *g, struct column *const *keys, int64_t n, uint32_t *groups, struct error *err)
{
    uint32_t n_new = 0, before = g->count - 1; /* the open group; the first rows of the first batch differ from it */
    TRY(vec_reserve(&g->rows, g->budget, (size_t)n, 4, err));
    for (int64_t i = 0; i < n; i++) {
        if (i ? rows_differ(keys, g->n_keys, i) : row_edge_differs(&g->last, keys, 0))
            VEC(&g->rows, uint32_t)[n_new++] = (uint32_t)i;
        groups[i] = before + n_new;
    }
    if (n_new > INT32_MAX - g->count)
        return error_set(err, ST_EXHAUSTED, "an aggregation has more than 2^31 groups");
    if (!n_new)
        return ST_OK;
    TRY(add_chunk(g, keys, n_new, err));
    return row_edge_keep(&g->last, g->budget, keys, n - 1, err);
}

/* The chunk that a group is in. */
static uint32_t chunk_of(const struct group_runs *g, uint32_t group)
{
    uint32_t low = 0, high = g->n_chunks;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (VEC(&g->firsts, const uint32_t)[middle] <= group)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int group_runs_keys(const struct group_runs *g, uint32_t key, uint32_t first, uint32_t n, struct column **ret_column, struct error *err)
{
    uint32_t from = chunk_of(g, first), to = n ? chunk_of(g, first + n - 1) : from, n_slices = to - from + 1, made = 0;
    struct column **slices = calloc(n_slices, sizeof *slices);
    int st = slices ? ST_OK : error_no_memory(err, n_slices * sizeof *slices);
    for (; st == ST_OK && made < n_slices; made += st == ST_OK) {
        struct column *heads = VEC(&g->heads, struct column *)[(size_t)(from + made) * g->n_keys + key];
        uint32_t start = VEC(&g->firsts, const uint32_t)[from + made], low = first > start ? first - start : 0;
        uint32_t high = first + n - start < (uint32_t)heads->length ? first + n - start : (uint32_t)heads->length;
        st = column_slice(heads, low, high - low, &slices[made], err);
    }
    if (st == ST_OK && n_slices == 1)
        *ret_column = column_ref(slices[0]);
    else if (st == ST_OK)
        st = column_concat(g->budget, slices, n_slices, ret_column, err);
    for (uint32_t i = 0; i < made; i++)
        column_unref(slices[i]);
    free(slices);
    return st;
}
