/* Ordering the rows of one batch in memory, and of several that are in order each.
 *
 * Keys are encoded (exec/sort_key.h), and entries {first 8 key bytes, row} merge-sorted. Runs that are in order already are found first, so sorted
 * input costs one pass. A cancelled query is noticed every CHECK_ROWS rows of a pass.
 */
#include "exec/sort_rows.h"

#include <string.h>

enum { RUN_MIN = 16, CHECK_ROWS = 1 << 15 };

struct entry {
    uint64_t prefix;
    uint32_t row;
};

struct sorting {
    const struct sort_keys *keys;
    size_t covered; /* bytes of the key that the prefix decides */
    struct work_context *work;
    int64_t unchecked; /* rows moved since the last look at the cancellation flag */
};

static inline bool entry_less(const struct sorting *s, const struct entry *a, const struct entry *b)
{
    size_t a_size, b_size;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix;
    const uint8_t *x = sort_keys_at(s->keys, a->row, &a_size), *y = sort_keys_at(s->keys, b->row, &b_size);
    if (a_size <= s->covered && b_size <= s->covered)
        return a_size < b_size;
    return sort_key_compare(x, a_size, y, b_size) < 0;
}

static void insertion_sort(const struct sorting *s, struct entry *e, size_t from, size_t sorted, size_t to)
{
    for (size_t i = sorted; i < to; i++) {
        struct entry x = e[i];
        size_t j = i;
        for (; j > from && entry_less(s, &x, &e[j - 1]); j--)
            e[j] = e[j - 1];
        e[j] = x;
    }
}

static void reverse(struct entry *e, size_t from, size_t to)
{
    while (from + 1 < to) {
        struct entry x = e[from];
        e[from++] = e[--to];
        e[to] = x;
    }
}

/* Ends of the ordered runs that e falls into; short ones are stretched by insertion sort. */
static int find_runs(const struct sorting *s, struct entry *e, size_t n, uint32_t *ends, size_t *ret_runs, struct error *err)
{
    size_t n_runs = 0;
    for (size_t from = 0; from < n;) {
        size_t to = from + 1;
        if (n_runs % (CHECK_ROWS / RUN_MIN) == 0)
            TRY(work_check(s->work, err));
        if (to < n && entry_less(s, &e[to], &e[from])) {
            while (to < n && entry_less(s, &e[to], &e[to - 1]))
                to++;
            reverse(e, from, to);
        } else {
            while (to < n && !entry_less(s, &e[to], &e[to - 1]))
                to++;
        }
        if (to - from < RUN_MIN && to < n) {
            size_t stretched = from + RUN_MIN < n ? from + RUN_MIN : n;
            insertion_sort(s, e, from, to, stretched);
            to = stretched;
        }
        ends[n_runs++] = (uint32_t)to;
        from = to;
    }
    *ret_runs = n_runs;
    return ST_OK;
}

static int merge(const struct sorting *s, const struct entry *from, size_t a, size_t b, size_t end, struct entry *to, struct error *err)
{
    size_t i = a, j = b, out = a;
    while (i < b && j < end) {
        to[out++] = entry_less(s, &from[j], &from[i]) ? from[j++] : from[i++];
        if (out % CHECK_ROWS == 0)
            TRY(work_check(s->work, err));
    }
    memcpy(to + out, from + i, (b - i) * sizeof *to);
    memcpy(to + out + (b - i), from + j, (end - j) * sizeof *to);
    return ST_OK;
}

/* Merges runs of e that end at ends[]; `spare` has the same room. Tells which of the two holds the result. */
static int merge_runs(struct sorting *s, struct entry *e, struct entry *spare, uint32_t *ends, size_t n_runs, struct entry **ret_sorted,
                      struct error *err)
{
    while (n_runs > 1) {
        size_t made = 0, start = 0;
        for (size_t r = 0; r < n_runs; r += 2) {
            size_t end = r + 1 < n_runs ? ends[r + 1] : ends[r];
            if ((s->unchecked += (int64_t)(end - start)) >= CHECK_ROWS) {
                s->unchecked = 0;
                TRY(work_check(s->work, err));
            }
            if (r + 1 < n_runs)
                TRY(merge(s, e, start, ends[r], end, spare, err));
            else
                memcpy(spare + start, e + start, (end - start) * sizeof *e);
            ends[made++] = (uint32_t)end;
            start = end;
        }
        n_runs = made;
        struct entry *swap = e;
        e = spare;
        spare = swap;
    }
    *ret_sorted = e;
    return ST_OK;
}

/* The first 8 bytes of a row's key behind `skip`, zeros where it is shorter. */
static inline uint64_t prefix_at(const struct sort_keys *keys, size_t skip, int64_t row)
{
    size_t size;
    uint8_t bytes[8] = {0};
    const uint8_t *k = sort_keys_at(keys, row, &size);
    size_t have = size > skip ? size - skip : 0;
    if (have >= 8)
        return load_be64(k + skip);
    memcpy(bytes, k + skip, have);
    return load_be64(bytes);
}

static void fill_entries(const struct sort_keys *keys, size_t skip, struct entry *e, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        e[i] = (struct entry){prefix_at(keys, skip, i), (uint32_t)i};
}

int sort_rows_keys(struct work_context *work, struct batch *b, const struct oper_sort_key *sort, uint32_t n_keys, struct sort_keys *keys,
                   struct error *err)
{
    struct column *columns[SORT_KEYS_MAX];
    struct sort_spec specs[SORT_KEYS_MAX];
    for (uint32_t k = 0; k < n_keys; k++) {
        columns[k] = b->columns[sort[k].column];
        specs[k] = sort[k].spec;
    }
    keys->work = work;
    return sort_keys_encode(keys, work ? work->budget : NULL, columns, specs, n_keys, b->n_rows, err);
}

static struct sorting sorting_of(const struct sorted_rows *r, struct work_context *work)
{
    return (struct sorting){&r->keys, r->keys.stride ? r->skip + 8 : 0, work, 0};
}

/* Merges the runs of the entries into one. */
static int merge_entries(struct sorted_rows *r, struct work_context *work, struct error *err)
{
    struct budget *budget = work ? work->budget : NULL;
    struct sorting sorting = sorting_of(r, work);
    struct vec spare = {0};
    struct entry *sorted;
    if (r->n_runs < 2)
        return ST_OK;
    TRY(vec_reserve(&spare, budget, (size_t)r->n + 1, sizeof(struct entry), err));
    int st = merge_runs(&sorting, r->entries.data, spare.data, r->ends.data, r->n_runs, &sorted, err);
    if (st == ST_OK && sorted == spare.data) {
        struct vec swap = r->entries;
        r->entries = spare;
        spare = swap;
    }
    if (st == ST_OK) {
        r->n_runs = 1;
        VEC(&r->ends, uint32_t)[0] = (uint32_t)r->n;
    }
    vec_release(&spare, budget);
    return st;
}

/* Appends the keys of n rows to those of `at` rows. */
static int append_keys(struct sort_keys *to, int64_t at, const struct sort_keys *from, int64_t n, struct budget *budget, struct error *err)
{
    const uint64_t *offsets = from->offsets.data;
    to->stride = from->stride;
    size_t used = to->stride ? (size_t)at * to->stride : at ? (size_t)VEC(&to->offsets, uint64_t)[at] : 0;
    size_t more = from->stride ? (size_t)n * from->stride : (size_t)offsets[n];
    TRY(vec_reserve(&to->bytes, budget, used + more + 1, 1, err));
    memcpy(VEC(&to->bytes, uint8_t) + used, from->bytes.data, more);
    if (from->stride)
        return ST_OK;
    TRY(vec_reserve(&to->offsets, budget, (size_t)(at + n) + 1, 8, err));
    for (int64_t i = 0; i <= n; i++)
        VEC(&to->offsets, uint64_t)[at + i] = used + offsets[i];
    return ST_OK;
}

/* The keys of all batches; whether none has a null in the first. */
static int encode_batches(struct sorted_rows *r, struct work_context *work, struct batch *const *batches, uint32_t n_batches,
                          const struct oper_sort_key *sort, uint32_t n_keys, bool *ret_plain, struct error *err)
{
    struct budget *budget = work ? work->budget : NULL;
    struct sort_keys keys = {0};
    int st = ST_OK;
    *ret_plain = true;
    for (uint32_t i = 0; st == ST_OK && i < n_batches; i++) {
        const struct column *first = batches[i]->columns[sort[0].column];
        *ret_plain &= column_null_count(first) == 0 && first->type->id != TYPE_DICTIONARY;
        st = sort_rows_keys(work, batches[i], sort, n_keys, n_batches == 1 ? &r->keys : &keys, err);
        if (st == ST_OK && n_batches > 1)
            st = append_keys(&r->keys, r->n, &keys, batches[i]->n_rows, budget, err);
        r->n += batches[i]->n_rows;
    }
    sort_keys_release(&keys, budget);
    return st;
}

int sorted_rows_init(struct sorted_rows *r, struct work_context *work, struct batch *const *batches, uint32_t n_batches,
                     const struct oper_sort_key *sort, uint32_t n_keys, struct error *err)
{
    struct budget *budget = work ? work->budget : NULL;
    bool plain;
    size_t n_runs = 0;
    *r = (struct sorted_rows){0};
    int st = encode_batches(r, work, batches, n_batches, sort, n_keys, &plain, err);
    r->skip = plain ? 1 : 0;
    if (st == ST_OK)
        st = vec_reserve(&r->entries, budget, (size_t)r->n + 1, sizeof(struct entry), err);
    if (st == ST_OK)
        st = vec_reserve(&r->ends, budget, (size_t)r->n / 2 + 2, 4, err);
    if (st == ST_OK) {
        struct sorting sorting = sorting_of(r, work);
        fill_entries(&r->keys, r->skip, r->entries.data, r->n);
        st = find_runs(&sorting, r->entries.data, (size_t)r->n, r->ends.data, &n_runs, err);
        r->n_runs = (uint32_t)n_runs;
    }
    if (st == ST_OK)
        st = merge_entries(r, work, err);
    if (st != ST_OK)
        sorted_rows_release(r, budget);
    return st;
}

void sorted_rows_release(struct sorted_rows *r, struct budget *budget)
{
    sort_keys_release(&r->keys, budget);
    vec_release(&r->entries, budget);
    vec_release(&r->ends, budget);
    *r = (struct sorted_rows){0};
}

/* Entries hold the keys from the first byte on: those of others that do can be compared with them. */
static void skip_nothing(struct sorted_rows *r)
{
    struct entry *e = r->entries.data;
    for (int64_t i = 0; r->skip && i < r->n; i++)
        e[i].prefix = prefix_at(&r->keys, 0, e[i].row);
    r->skip = 0;
}

int sorted_rows_append(struct sorted_rows *r, struct sorted_rows *more, struct budget *budget, struct error *err)
{
    if (r->n == 0) {
        sorted_rows_release(r, budget);
        *r = *more;
        *more = (struct sorted_rows){0};
        return ST_OK;
    }
    if (r->skip != more->skip) {
        skip_nothing(r);
        skip_nothing(more);
    }
    TRY(append_keys(&r->keys, r->n, &more->keys, more->n, budget, err));
    TRY(vec_reserve(&r->entries, budget, (size_t)(r->n + more->n) + 1, sizeof(struct entry), err));
    TRY(vec_reserve(&r->ends, budget, (size_t)r->n_runs + more->n_runs, 4, err));
    const struct entry *from = more->entries.data;
    struct entry *to = VEC(&r->entries, struct entry) + r->n;
    for (int64_t i = 0; i < more->n; i++)
        to[i] = (struct entry){from[i].prefix, from[i].row + (uint32_t)r->n};
    for (uint32_t k = 0; k < more->n_runs; k++)
        VEC(&r->ends, uint32_t)[r->n_runs++] = (uint32_t)r->n + VEC(&more->ends, uint32_t)[k];
    r->n += more->n;
    sorted_rows_release(more, budget);
    return ST_OK;
}

int sorted_rows_order(struct sorted_rows *r, struct work_context *work, struct vec *order, struct error *err)
{
    TRY(merge_entries(r, work, err));
    TRY(vec_reserve(order, work ? work->budget : NULL, (size_t)r->n + 1, 4, err));
    const struct entry *e = r->entries.data;
    for (int64_t i = 0; i < r->n; i++)
        VEC(order, uint32_t)[i] = e[i].row;
    return ST_OK;
}
