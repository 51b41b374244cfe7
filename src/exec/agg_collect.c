/* Keeping rows; see the header.
 *
 * Arranging is a counting sort by group, then a merge sort of each group that is not in order already: with the usual ORDER BY on the time of rows
 * that come sorted by time it is one pass of comparisons.
 */
#include "exec/agg_collect.h"

#include <stdlib.h>
#include <string.h>

void agg_collect_init(struct agg_collect *c, struct budget *budget, uint32_t n_columns)
{
    *c = (struct agg_collect){.budget = budget, .n_columns = n_columns};
}

static void drop_chunks(struct agg_collect *c)
{
    for (size_t i = 0; i < (size_t)c->n_chunks * c->n_columns; i++)
        column_unref(VEC(&c->chunks, struct column *)[i]);
    c->n_chunks = 0;
}

void agg_collect_release(struct agg_collect *c)
{
    drop_chunks(c);
    for (uint32_t k = 0; k < c->n_columns; k++)
        column_unref(c->columns[k]);
    vec_release(&c->chunks, c->budget);
    vec_release(&c->groups, c->budget);
    vec_release(&c->selected, c->budget);
    vec_release(&c->starts, c->budget);
    *c = (struct agg_collect){0};
}

/* A copy of its own (all rows without `rows`: those of another collection, a reference), so that no batch of the scan stays alive for a few of its rows. */
static int copy_rows(struct agg_collect *c, const struct column *from, const uint32_t *rows, int64_t n, struct column **ret_column, struct error *err)
{
    struct column *taken;
    if (!rows) {
        *ret_column = column_ref((struct column *)from);
        return ST_OK;
    }
    TRY(column_take(c->budget, from, rows, n, &taken, err));
    int st = column_decode_dictionary(c->budget, taken, ret_column, err);
    column_unref(taken);
    return st;
}

/* Keeps the rows selected[0..n), NULL = all n; the caller fills in their groups. */
static int add_rows(struct agg_collect *c, struct column *const *columns, const uint32_t *selected, int64_t n, struct error *err)
{
    uint32_t made = 0;
    if (n > INT32_MAX - (int64_t)c->n_rows)
        return error_set(err, ST_EXHAUSTED, "an aggregation keeps more than 2^31 values");
    TRY(vec_reserve(&c->groups, c->budget, (size_t)c->n_rows + (size_t)n, 4, err));
    TRY(vec_reserve(&c->chunks, c->budget, ((size_t)c->n_chunks + 1) * c->n_columns, sizeof(struct column *), err));
    struct column **to = VEC(&c->chunks, struct column *) + (size_t)c->n_chunks * c->n_columns;
    int st = ST_OK;
    for (; st == ST_OK && made < c->n_columns; made += st == ST_OK)
        st = copy_rows(c, columns[made], selected, n, &to[made], err);
    for (uint32_t k = 0; st != ST_OK && k < made; k++)
        column_unref(to[k]);
    TRY(st);
    c->n_chunks++;
    c->n_rows += (uint32_t)n;
    return ST_OK;
}

int agg_collect_add(struct agg_collect *c, struct column *const *columns, const struct agg_rows *rows, uint32_t n_valid, struct error *err)
{
    int64_t n = 0;
    TRY(vec_reserve(&c->selected, c->budget, (size_t)rows->n + 1, 4, err));
    uint32_t *selected = c->selected.data, before = c->n_rows;
    for (int64_t i = 0; i < rows->n; i++) {
        bool valid = true;
        for (uint32_t k = 0; k < n_valid; k++)
            valid &= !column_is_null(columns[k], i);
        selected[n] = (uint32_t)i;
        n += valid;
    }
    if (n == 0)
        return ST_OK;
    TRY(add_rows(c, columns, selected, n, err));
    uint32_t *groups = VEC(&c->groups, uint32_t) + before;
    for (int64_t i = 0; i < n; i++)
        groups[i] = agg_row_group(rows, selected[i]);
    return ST_OK;
}

int agg_collect_combine(struct agg_collect *c, const struct agg_collect *from, uint32_t first, uint32_t n, const uint32_t *groups, struct error *err)
{
    const uint32_t *group_of = from->groups.data;
    for (uint32_t chunk = 0; chunk < from->n_chunks; chunk++) {
        struct column *const *columns = VEC(&from->chunks, struct column *) + (size_t)chunk * from->n_columns;
        int64_t rows = columns[0]->length, kept = 0;
        TRY(vec_reserve(&c->selected, c->budget, (size_t)rows + 1, 4, err));
        uint32_t *selected = c->selected.data, before = c->n_rows;
        for (int64_t i = 0; i < rows; i++) {
            selected[kept] = (uint32_t)i;
            kept += group_of[i] - first < n;
        }
        if (kept)
            TRY(add_rows(c, columns, kept < rows ? selected : NULL, kept, err));
        for (int64_t i = 0; i < kept; i++)
            VEC(&c->groups, uint32_t)[before + i] = groups[group_of[selected[i]] - first];
        group_of += rows;
    }
    return ST_OK;
}

static inline bool in_order(const struct sort_keys *keys, uint32_t a, uint32_t b)
{
    size_t a_size, b_size;
    const uint8_t *x = sort_keys_at(keys, a, &a_size), *y = sort_keys_at(keys, b, &b_size);
    return sort_key_compare(x, a_size, y, b_size) <= 0;
}

/* Stable merge sort of rows[0..n); `spare` has room for n. */
static void sort_rows(const struct sort_keys *keys, uint32_t *rows, uint32_t *spare, size_t n)
{
    size_t i = 1, half = n / 2, a = 0, b = half, at = 0;
    while (i < n && in_order(keys, rows[i - 1], rows[i]))
        i++;
    if (i >= n)
        return;
    if (n <= 12) {
        for (; i < n; i++) {
            uint32_t row = rows[i];
            size_t j = i;
            for (; j > 0 && !in_order(keys, rows[j - 1], row); j--)
                rows[j] = rows[j - 1];
            rows[j] = row;
        }
        return;
    }
    sort_rows(keys, rows, spare, half);
    sort_rows(keys, rows + half, spare, n - half);
    memcpy(spare, rows, half * sizeof *rows);
    while (a < half && b < n)
        rows[at++] = in_order(keys, spare[a], rows[b]) ? spare[a++] : rows[b++];
    memcpy(rows + at, spare + a, (half - a) * sizeof *rows);
}

/* order[] = the rows, group by group. */
static int group_rows(struct agg_collect *c, uint32_t n_groups, struct vec *order, struct error *err)
{
    TRY(vec_reserve(order, c->budget, (size_t)c->n_rows + 1, 4, err));
    TRY(vec_reserve(&c->starts, c->budget, (size_t)n_groups + 2, 4, err));
    uint32_t *starts = c->starts.data, *rows = order->data;
    const uint32_t *groups = c->groups.data;
    memset(starts, 0, ((size_t)n_groups + 2) * 4);
    for (uint32_t i = 0; i < c->n_rows; i++)
        starts[groups[i] + 2]++;
    for (uint32_t g = 0; g < n_groups; g++)
        starts[g + 1] += starts[g];
    for (uint32_t i = 0; i < c->n_rows; i++)
        rows[starts[groups[i] + 1]++] = i;
    return ST_OK;
}

static int sort_groups(struct agg_collect *c, struct column *const *all, uint32_t n_groups, const struct sort_spec *sorts, uint32_t n_sorts,
                       struct vec *order, struct error *err)
{
    struct sort_keys keys = {0};
    struct vec spare = {0};
    const uint32_t *starts = c->starts.data;
    int st = sort_keys_encode(&keys, c->budget, all + (c->n_columns - n_sorts), sorts, n_sorts, c->n_rows, err);
    if (st == ST_OK)
        st = vec_reserve(&spare, c->budget, (size_t)c->n_rows + 1, 4, err);
    for (uint32_t g = 0; st == ST_OK && g < n_groups; g++)
        sort_rows(&keys, VEC(order, uint32_t) + starts[g], spare.data, starts[g + 1] - starts[g]);
    sort_keys_release(&keys, c->budget);
    vec_release(&spare, c->budget);
    return st;
}

/* Is order[] 0, 1, 2, ...? */
static bool is_identity(const uint32_t *order, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && order[i] == i)
        i++;
    return i == n;
}

/* Joins the chunks; the caller gets one reference a column, after a failure those that were made (the others stay as they are). */
static int join_chunks(struct agg_collect *c, struct column **ret_all, struct error *err)
{
    struct column **parts = calloc(c->n_chunks, sizeof *parts);
    uint32_t made = 0;
    int st = parts ? ST_OK : error_no_memory(err, c->n_chunks * sizeof *parts);
    for (; st == ST_OK && made < c->n_columns; made += st == ST_OK) {
        for (uint32_t i = 0; i < c->n_chunks; i++)
            parts[i] = VEC(&c->chunks, struct column *)[(size_t)i * c->n_columns + made];
        st = column_concat(c->budget, parts, c->n_chunks, &ret_all[made], err);
    }
    free(parts);
    return st;
}

int agg_collect_arrange(struct agg_collect *c, uint32_t n_groups, const struct sort_spec *sorts, uint32_t n_sorts, struct error *err)
{
    struct column *all[AGG_STATE_MAX] = {0};
    struct vec order = {0};
    uint32_t made = 0;
    if (c->arranged)
        return ST_OK;
    int st = group_rows(c, n_groups, &order, err);
    if (st == ST_OK && c->n_chunks) {
        st = join_chunks(c, all, err);
        if (st == ST_OK)
            drop_chunks(c);
    }
    if (st == ST_OK && c->n_rows && n_sorts)
        st = sort_groups(c, all, n_groups, sorts, n_sorts, &order, err);
    bool identity = st == ST_OK && is_identity(order.data, c->n_rows);
    for (; st == ST_OK && c->n_rows && made < c->n_columns; made += st == ST_OK) {
        if (identity)
            c->columns[made] = column_ref(all[made]);
        else
            st = column_take(c->budget, all[made], order.data, c->n_rows, &c->columns[made], err);
    }
    for (uint32_t k = 0; k < c->n_columns; k++)
        column_unref(all[k]);
    vec_release(&order, c->budget);
    vec_release(&c->groups, c->budget);
    c->n_groups = n_groups;
    c->arranged = st == ST_OK;
    return st;
}

int agg_collect_trim(struct agg_collect *c, uint32_t n_groups, const struct sort_spec *sorts, uint32_t n_sorts, int64_t keep, struct error *err)
{
    uint64_t most = keep < 0 ? 0 - (uint64_t)keep : (uint64_t)keep;
    struct vec groups = {0}, rows = {0};
    uint32_t kept = 0;
    TRY(agg_collect_arrange(c, n_groups, sorts, n_sorts, err));
    const uint32_t *starts = c->starts.data;
    int st = vec_reserve(&groups, c->budget, (size_t)c->n_rows + 1, 4, err);
    if (st == ST_OK)
        st = vec_reserve(&rows, c->budget, (size_t)c->n_rows + 1, 4, err);
    for (uint32_t g = 0; st == ST_OK && g < n_groups; g++) {
        uint32_t from = starts[g], to = starts[g + 1];
        if (to - from > most)
            *(keep < 0 ? &from : &to) = keep < 0 ? to - (uint32_t)most : from + (uint32_t)most;
        for (; from < to; from++) {
            VEC(&groups, uint32_t)[kept] = g;
            VEC(&rows, uint32_t)[kept++] = from;
        }
    }
    struct column *arranged[AGG_STATE_MAX];
    memcpy(arranged, c->columns, sizeof arranged);
    memset(c->columns, 0, sizeof c->columns);
    bool any = c->n_rows > 0;
    c->arranged = false;
    c->n_rows = 0;
    if (st == ST_OK && any) {
        st = add_rows(c, arranged, rows.data, kept, err);
        if (st == ST_OK)
            memcpy(c->groups.data, groups.data, (size_t)kept * 4);
    }
    for (uint32_t k = 0; any && k < c->n_columns; k++)
        column_unref(arranged[k]);
    vec_release(&groups, c->budget);
    vec_release(&rows, c->budget);
    return st;
}

/* Rows [from, from + n) as items of `type`: column `column`, or, sort keys being no structs themselves, structs of the columns from there on. */
static int slice_items(const struct agg_collect *c, uint32_t column, struct dtype *type, uint32_t from, uint32_t n, struct column **ret_column,
                       struct error *err)
{
    struct column *members[AGG_STATE_MAX];
    uint32_t made = 0;
    if (!c->n_rows)
        return column_new_nulls(c->budget, type, 0, ret_column, err);
    if (column == 0 || type->id != TYPE_STRUCT)
        return column_slice(c->columns[column], from, n, ret_column, err);
    int st = ST_OK;
    for (; st == ST_OK && made < type->n_children; made += st == ST_OK)
        st = column_slice(c->columns[column + made], from, n, &members[made], err);
    if (st == ST_OK)
        return column_new_nested(type, n, 0, NULL, NULL, members, made, ret_column, err);
    for (uint32_t k = 0; k < made; k++)
        column_unref(members[k]);
    return st;
}

int agg_collect_lists(const struct agg_collect *c, uint32_t column, struct dtype *type, bool null_if_empty, uint32_t first, uint32_t n,
                      struct column **ret_column, struct error *err)
{
    const uint32_t *starts = agg_collect_starts(c, first);
    struct buffer *offsets = NULL, *validity = NULL;
    struct column *items = NULL;
    int64_t nulls = 0;
    int st = buffer_new_uninit(c->budget, ((size_t)n + 1) * 4, &offsets, err);
    if (st == ST_OK && null_if_empty)
        st = buffer_new(c->budget, bits_bytes(n), &validity, err);
    for (uint32_t i = 0; st == ST_OK && i <= n; i++)
        ((int32_t *)(void *)offsets->data)[i] = (int32_t)(starts[i] - starts[0]);
    for (uint32_t i = 0; st == ST_OK && validity && i < n; i++) {
        bool any = starts[i + 1] > starts[i];
        bit_put(validity->data, i, any);
        nulls += !any;
    }
    if (st == ST_OK)
        st = slice_items(c, column, type->children[0]->type, starts[0], starts[n] - starts[0], &items, err);
    if (st == ST_OK && !nulls) {
        buffer_unref(validity);
        validity = NULL;
    }
    if (st == ST_OK)
        return column_new_nested(type, n, nulls, validity, offsets, &items, 1, ret_column, err);
    buffer_unref(offsets);
    buffer_unref(validity);
    return st;
}
