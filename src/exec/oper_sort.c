/* Sort and top-k.
 *
 * All rows are collected, joined into one batch, their keys encoded (exec/sort_key.h), and entries {first 8 key bytes, row} merge-sorted. Runs
 * that are in order already are found first, so sorted input costs one pass. With a limit k the collected rows are cut back to the best k
 * whenever there are several times as many, and from then on rows behind the k-th are dropped as they come.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "exec/oper.h"

enum { TOPK_SLACK_ROWS = 32768, RUN_MIN = 16 };

struct entry {
    uint64_t prefix;
    uint32_t row;
};

struct sort_oper {
    struct oper base;
    struct oper_sort_key *keys;
    uint32_t n_keys;
    int64_t limit;
    struct batch **parts;
    uint32_t n_parts, parts_capacity;
    int64_t n_rows;
    size_t charged;          /* for parts that are not charged to the query by themselves */
    struct byte_slot bound;  /* key of the k-th best row */
    bool has_bound, sorted;
    struct batch *all;       /* everything, after sorting */
    struct vec order;        /* uint32 rows of `all` */
    int64_t n_order, at;
};

struct sorting {
    const struct sort_keys *keys;
    size_t covered;          /* bytes of the key that the prefix decides */
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
static size_t find_runs(const struct sorting *s, struct entry *e, size_t n, uint32_t *ends)
{
    size_t n_runs = 0;
    for (size_t from = 0; from < n;) {
        size_t to = from + 1;
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
    return n_runs;
}

static void merge(const struct sorting *s, const struct entry *from, size_t a, size_t b, size_t end, struct entry *to)
{
    size_t i = a, j = b, out = a;
    while (i < b && j < end)
        to[out++] = entry_less(s, &from[j], &from[i]) ? from[j++] : from[i++];
    memcpy(to + out, from + i, (b - i) * sizeof *to);
    memcpy(to + out + (b - i), from + j, (end - j) * sizeof *to);
}

/* Sorts e[0..n); `spare` has the same room. Returns which of the two holds the result. */
static struct entry *merge_sort(const struct sorting *s, struct entry *e, struct entry *spare, size_t n, uint32_t *ends)
{
    size_t n_runs = find_runs(s, e, n, ends);
    while (n_runs > 1) {
        size_t made = 0, start = 0;
        for (size_t r = 0; r < n_runs; r += 2) {
            size_t end = r + 1 < n_runs ? ends[r + 1] : ends[r];
            if (r + 1 < n_runs)
                merge(s, e, start, ends[r], end, spare);
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
    return e;
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

static int encode_keys(struct sort_oper *o, struct batch *b, struct sort_keys *keys, struct error *err)
{
    struct column *columns[32];
    struct sort_spec specs[32];
    for (uint32_t k = 0; k < o->n_keys; k++) {
        columns[k] = b->columns[o->keys[k].column];
        specs[k] = o->keys[k].spec;
    }
    return sort_keys_encode(keys, oper_budget(&o->base), columns, specs, o->n_keys, b->n_rows, err);
}

/* The order of b's rows, at most `limit` (-1 = all); *bound becomes the last one's key when there are `limit` of them. */
static int order_rows(struct sort_oper *o, struct batch *b, struct error *err)
{
    struct budget *budget = oper_budget(&o->base);
    struct sort_keys keys = {0};
    struct vec entries = {0}, spare = {0}, ends = {0};
    int64_t n = b->n_rows;
    int st = encode_keys(o, b, &keys, err);
    if (st == ST_OK)
        st = vec_reserve(&entries, budget, (size_t)n + 1, sizeof(struct entry), err);
    if (st == ST_OK)
        st = vec_reserve(&spare, budget, (size_t)n + 1, sizeof(struct entry), err);
    if (st == ST_OK)
        st = vec_reserve(&ends, budget, (size_t)n / 2 + 2, 4, err);
    if (st == ST_OK)
        st = vec_reserve(&o->order, budget, (size_t)n + 1, 4, err);
    if (st == ST_OK) {
        size_t skip = column_null_count(b->columns[o->keys[0].column]) == 0 && b->columns[o->keys[0].column]->type->id != TYPE_DICTIONARY ? 1 : 0;
        struct sorting sorting = {&keys, keys.stride ? skip + 8 : 0};
        fill_entries(&keys, skip, entries.data, n);
        struct entry *sorted = merge_sort(&sorting, entries.data, spare.data, (size_t)n, ends.data);
        o->n_order = o->limit >= 0 && o->limit < n ? o->limit : n;
        for (int64_t i = 0; i < o->n_order; i++)
            VEC(&o->order, uint32_t)[i] = sorted[i].row;
        size_t held = keys.bytes.capacity + entries.capacity + spare.capacity + batch_bytes_held(b);
        o->base.mem_bytes = held > o->base.mem_bytes ? held : o->base.mem_bytes;
    }
    if (st == ST_OK && o->limit > 0 && o->n_order == o->limit) {
        size_t size;
        const uint8_t *key = sort_keys_at(&keys, VEC(&o->order, uint32_t)[o->limit - 1], &size);
        st = byte_slot_set(&o->bound, budget, key, size, err);
        o->has_bound = st == ST_OK;
    }
    vec_release(&entries, budget);
    vec_release(&spare, budget);
    vec_release(&ends, budget);
    sort_keys_release(&keys, budget);
    return st;
}

static void drop_parts(struct sort_oper *o)
{
    for (uint32_t i = 0; i < o->n_parts; i++)
        batch_unref(o->parts[i]);
    o->n_parts = 0;
    budget_release(oper_budget(&o->base), o->charged);
    o->charged = 0;
}

/* Joins the parts into one batch. */
static int join_parts(struct sort_oper *o, struct batch **ret_batch, struct error *err)
{
    TRY(batch_concat(oper_budget(&o->base), o->parts, o->n_parts, ret_batch, err));
    drop_parts(o);
    return ST_OK;
}

/* Bytes that a batch keeps alive outside the query's budget, counted by its own rows. */
static size_t foreign_bytes(const struct batch *b, const struct budget *budget)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < b->schema->n_fields; i++) {
        const struct column *c = b->columns[i];
        if (c->buffers[0] && c->buffers[0]->budget != budget)
            bytes += column_bytes_used(c);
    }
    return bytes;
}

/* Takes the batch. */
static int add_part(struct sort_oper *o, struct batch *b, struct error *err)
{
    size_t bytes = foreign_bytes(b, oper_budget(&o->base));
    int st = o->n_rows + b->n_rows >= UINT32_MAX ? error_set(err, ST_EXHAUSTED, "a sort holds more than 2^32 rows") : ST_OK;
    if (st == ST_OK && o->n_parts == o->parts_capacity) {
        uint32_t capacity = o->parts_capacity ? o->parts_capacity * 2 : 64;
        struct batch **grown = realloc(o->parts, capacity * sizeof *grown);
        if (grown) {
            o->parts = grown;
            o->parts_capacity = capacity;
        } else {
            st = error_no_memory(err, capacity * sizeof *grown);
        }
    }
    if (st == ST_OK)
        st = budget_charge(oper_budget(&o->base), bytes, err);
    if (st != ST_OK) {
        batch_unref(b);
        return st;
    }
    o->charged += bytes;
    o->parts[o->n_parts++] = b;
    o->n_rows += b->n_rows;
    return ST_OK;
}

/* Top-k: leaves out the rows that cannot be among the best any more. Replaces *b. */
static int cut_by_bound(struct sort_oper *o, struct batch **b, struct error *err)
{
    struct budget *budget = oper_budget(&o->base);
    struct sort_keys keys = {0};
    struct vec rows = {0};
    int64_t n = 0;
    int st = encode_keys(o, *b, &keys, err);
    if (st == ST_OK)
        st = vec_reserve(&rows, budget, (size_t)(*b)->n_rows + 1, 4, err);
    for (int64_t i = 0; st == ST_OK && i < (*b)->n_rows; i++) {
        size_t size;
        const uint8_t *key = sort_keys_at(&keys, i, &size);
        if (sort_key_compare(key, size, o->bound.data, o->bound.size) < 0)
            VEC(&rows, uint32_t)[n++] = (uint32_t)i;
    }
    if (st == ST_OK && n < (*b)->n_rows) {
        struct batch *less = NULL;
        if (n)
            st = batch_take(budget, *b, rows.data, n, &less, err);
        if (st == ST_OK) {
            batch_unref(*b);
            *b = less;
        }
    }
    vec_release(&rows, budget);
    sort_keys_release(&keys, budget);
    return st;
}

static int cut_to_limit(struct sort_oper *o, struct error *err)
{
    struct batch *all = NULL, *best;
    TRY(join_parts(o, &all, err));
    int st = order_rows(o, all, err);
    if (st == ST_OK)
        st = batch_take(oper_budget(&o->base), all, o->order.data, o->n_order, &best, err);
    batch_unref(all);
    o->n_rows = 0;
    return st == ST_OK ? add_part(o, best, err) : st;
}

static int collect(struct sort_oper *o, struct error *err)
{
    for (;;) {
        struct batch *b;
        TRY(oper_next(o->base.input, &b, err));
        if (!b)
            break;
        int st = o->has_bound ? cut_by_bound(o, &b, err) : ST_OK;
        if (st != ST_OK) {
            batch_unref(b);
            return st;
        }
        if (!b)
            continue;
        TRY(add_part(o, b, err));
        if (o->limit >= 0 && o->n_rows > o->limit + (o->limit > TOPK_SLACK_ROWS ? o->limit : TOPK_SLACK_ROWS))
            TRY(cut_to_limit(o, err));
    }
    o->sorted = true;
    if (o->n_rows == 0)
        return ST_OK;
    TRY(join_parts(o, &o->all, err));
    return order_rows(o, o->all, err);
}

static int sort_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct sort_oper *o = (struct sort_oper *)base;
    if (!o->sorted && o->limit != 0)
        TRY(collect(o, err));
    int64_t n = o->n_order - o->at;
    if (n > OPER_BATCH_ROWS)
        n = OPER_BATCH_ROWS;
    if (n <= 0) {
        *ret_batch = NULL;
        return ST_OK;
    }
    TRY(batch_take(oper_budget(base), o->all, VEC(&o->order, uint32_t) + o->at, n, ret_batch, err));
    o->at += n;
    return ST_OK;
}

static void sort_free(struct oper *base)
{
    struct sort_oper *o = (struct sort_oper *)base;
    drop_parts(o);
    free(o->parts);
    batch_unref(o->all);
    byte_slot_release(&o->bound, oper_budget(base));
    vec_release(&o->order, oper_budget(base));
    free(o->keys);
    free(o);
}

static int sort_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    const struct sort_oper *o = (const struct sort_oper *)base;
    (void)verbose;
    TRY(dynbuf_printf(out, err, "SortExec: "));
    if (o->limit >= 0)
        TRY(dynbuf_printf(out, err, "TopK(fetch=%lld), ", (long long)o->limit));
    TRY(dynbuf_printf(out, err, "expr=["));
    for (uint32_t k = 0; k < o->n_keys; k++) {
        struct sort_spec s = o->keys[k].spec;
        const char *nulls = s.nulls_first ? "" : " NULLS LAST";
        TRY(dynbuf_printf(out, err, "%s%s@%u %s%s", k ? ", " : "", base->schema->fields[o->keys[k].column]->name, o->keys[k].column,
                          s.descending ? "DESC" : "ASC", nulls));
    }
    return dynbuf_printf(out, err, "], preserve_partitioning=[false]");
}

static uint32_t sort_metrics(const struct oper *base, bool verbose, struct oper_metric *m)
{
    (void)verbose;
    m[0] = (struct oper_metric){"spill_count", 0}; /* sorts stay in memory or fail */
    m[1] = (struct oper_metric){"spilled_bytes", 0};
    m[2] = (struct oper_metric){"spilled_rows", 0};
    m[3] = (struct oper_metric){"peak_mem_used", base->mem_bytes};
    return 4;
}

static const struct oper_ops sort_ops = {sort_next, sort_free, sort_describe, sort_metrics};

int oper_sort_new(struct oper *input, const struct oper_sort_key *keys, uint32_t n_keys, int64_t limit, struct oper **ret_oper, struct error *err)
{
    struct sort_oper *o = calloc(1, sizeof *o);
    struct oper_sort_key *copy = calloc(n_keys, sizeof *copy);
    assert(n_keys > 0 && n_keys <= 32);
    if (!o || !copy) {
        free(o);
        free(copy);
        oper_free(input);
        return error_no_memory(err, sizeof *o);
    }
    memcpy(copy, keys, n_keys * sizeof *copy);
    o->base = (struct oper){.ops = &sort_ops, .schema = schema_ref(input->schema), .input = input, .work = input->work};
    o->keys = copy;
    o->n_keys = n_keys;
    o->limit = limit;
    *ret_oper = &o->base;
    return ST_OK;
}
