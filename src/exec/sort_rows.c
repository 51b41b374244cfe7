/* Ordering the rows of one batch in memory.
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

/* Sorts e[0..n); `spare` has the same room. Tells which of the two holds the result. */
static int merge_sort(struct sorting *s, struct entry *e, struct entry *spare, size_t n, uint32_t *ends, struct entry **ret_sorted, struct error *err)
{
    size_t n_runs;
    TRY(find_runs(s, e, n, ends, &n_runs, err));
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

static void fill_entries(const struct sort_keys *keys, size_t skip, struct entry *e, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        size_t size;
        uint8_t bytes[8] = {0};
        const uint8_t *k = sort_keys_at(keys, i, &size);
        size_t have = size > skip ? size - skip : 0;
        if (have >= 8)
            e[i].prefix = load_be64(k + skip);
        else {
            memcpy(bytes, k + skip, have);
            e[i].prefix = load_be64(bytes);
        }
        e[i].row = (uint32_t)i;
    }
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

int sort_rows(struct work_context *work, struct batch *b, const struct oper_sort_key *sort, uint32_t n_keys, struct sort_keys *keys,
              struct vec *order, struct error *err)
{
    struct budget *budget = work ? work->budget : NULL;
    struct vec entries = {0}, spare = {0}, ends = {0};
    int64_t n = b->n_rows;
    int st = sort_rows_keys(work, b, sort, n_keys, keys, err);
    if (st == ST_OK)
        st = vec_reserve(&entries, budget, (size_t)n + 1, sizeof(struct entry), err);
    if (st == ST_OK)
        st = vec_reserve(&spare, budget, (size_t)n + 1, sizeof(struct entry), err);
    if (st == ST_OK)
        st = vec_reserve(&ends, budget, (size_t)n / 2 + 2, 4, err);
    if (st == ST_OK)
        st = vec_reserve(order, budget, (size_t)n + 1, 4, err);
    if (st == ST_OK)
        st = work_check(work, err);
    if (st == ST_OK) {
        const struct column *first = b->columns[sort[0].column];
        size_t skip = column_null_count(first) == 0 && first->type->id != TYPE_DICTIONARY ? 1 : 0;
        struct sorting sorting = {keys, keys->stride ? skip + 8 : 0, work, 0};
        struct entry *sorted;
        fill_entries(keys, skip, entries.data, n);
        st = merge_sort(&sorting, entries.data, spare.data, (size_t)n, ends.data, &sorted, err);
        for (int64_t i = 0; st == ST_OK && i < n; i++)
            VEC(order, uint32_t)[i] = sorted[i].row;
    }
    vec_release(&entries, budget);
    vec_release(&spare, budget);
    vec_release(&ends, budget);
    return st;
}
