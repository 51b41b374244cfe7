/* Sort and top-k.
 *
 * All rows are collected, joined into one batch and ordered (exec/sort_rows.c). With a limit k the collected rows are cut back to the best k whenever
 * there are several times as many, and from then on rows behind the k-th are dropped as they come. Without one, rows that the query's memory has not
 * the room to order are put on disk as an ordered run, and the runs are merged in the end (exec/sort_runs.c). Where the input comes in parts these
 * may have done their share before (exec/oper_sort_parts.c).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "exec/oper_sort.h"

enum {
    TOPK_SLACK_ROWS = 32768,
    PART_SLACK_ROWS = 8192, /* a part, of which there are many, looks for a bound sooner */
    TOPK_SLACK_BYTES = 32 << 20,
    RUN_ROWS_MIN = 16384, /* a run is so many rows, or so many bytes */
    RUN_BYTES_MIN = 8 << 20,
    RUN_BYTES_MAX = 1 << 30 /* a column of texts in one piece ends at 2 GiB */
};

int sort_order_batches(struct sort_oper *o, struct error *err)
{
    struct sorted_rows rows;
    struct budget *budget = oper_budget(&o->base);
    if (o->n_ordered == o->n_batches)
        return ST_OK;
    TRY(sorted_rows_init(&rows, o->base.work, o->batches + o->n_ordered, o->n_batches - o->n_ordered, o->keys, o->n_keys, err));
    int st = sorted_rows_append(&o->ordered, &rows, budget, err);
    sorted_rows_release(&rows, budget);
    o->n_ordered = o->n_batches;
    return st;
}

/* Puts all rows in order: *ret_all and, of its rows, o->order, at most `limit` (-1 = all); *bound becomes the last one's key when there are `limit`
 * of them. */
static int order_rows(struct sort_oper *o, struct batch **ret_all, struct error *err)
{
    struct budget *budget = oper_budget(&o->base);
    struct sorted_rows rows = {0};
    struct batch *all = NULL;
    int st = o->n_ordered ? sort_order_batches(o, err) : ST_OK;
    if (st == ST_OK) {
        rows = o->ordered;
        o->ordered = (struct sorted_rows){0};
        st = sort_join_batches(o, &all, err);
    }
    if (st == ST_OK && !rows.n)
        st = sorted_rows_init(&rows, o->base.work, &all, 1, o->keys, o->n_keys, err);
    if (st == ST_OK)
        st = sorted_rows_order(&rows, o->base.work, &o->order, err);
    if (st == ST_OK) {
        o->n_order = o->limit >= 0 && o->limit < all->n_rows ? o->limit : all->n_rows;
        size_t held = rows.keys.bytes.capacity + (size_t)all->n_rows * 32 + batch_bytes_held(all);
        o->base.mem_bytes = held > o->base.mem_bytes ? held : o->base.mem_bytes;
    }
    if (st == ST_OK && o->limit > 0 && o->n_order == o->limit) {
        size_t size;
        const uint8_t *key = sort_keys_at(&rows.keys, VEC(&o->order, uint32_t)[o->limit - 1], &size);
        st = byte_slot_set(&o->bound, budget, key, size, err);
        o->has_bound = st == ST_OK;
    }
    sorted_rows_release(&rows, budget);
    if (st == ST_OK)
        *ret_all = all;
    else
        batch_unref(all);
    return st;
}

void sort_drop_batches(struct sort_oper *o)
{
    for (uint32_t i = 0; i < o->n_batches; i++)
        batch_unref(o->batches[i]);
    sorted_rows_release(&o->ordered, oper_budget(&o->base));
    o->n_batches = o->n_ordered = 0;
    budget_release(oper_budget(&o->base), o->charged);
    o->charged = o->bytes = 0;
    o->n_rows = 0;
}

/* Joins the batches into one. */
int sort_join_batches(struct sort_oper *o, struct batch **ret_batch, struct error *err)
{
    TRY(work_check(o->base.work, err));
    TRY(batch_concat(oper_budget(&o->base), o->batches, o->n_batches, ret_batch, err));
    sort_drop_batches(o);
    return ST_OK;
}

/* Bytes of a batch's own rows: as values, and of them those that are kept alive outside the query's budget. */
static size_t value_bytes(const struct batch *b, const struct budget *budget, size_t *ret_foreign)
{
    size_t total = 0, foreign = 0;
    for (uint32_t i = 0; i < b->schema->n_fields; i++) {
        const struct column *c = b->columns[i];
        size_t bytes = column_bytes_used(c);
        total += bytes;
        foreign += c->buffers[0] && c->buffers[0]->budget != budget ? bytes : 0;
    }
    *ret_foreign = foreign;
    return total;
}

int sort_add_batch(struct sort_oper *o, struct batch *b, struct error *err)
{
    size_t foreign, bytes = value_bytes(b, oper_budget(&o->base), &foreign);
    int st = o->n_rows + b->n_rows >= UINT32_MAX ? error_set(err, ST_EXHAUSTED, "a sort holds more than 2^32 rows") : ST_OK;
    if (st == ST_OK && o->n_batches == o->batches_capacity) {
        uint32_t capacity = o->batches_capacity ? o->batches_capacity * 2 : 64;
        struct batch **grown = realloc(o->batches, capacity * sizeof *grown);
        if (grown) {
            o->batches = grown;
            o->batches_capacity = capacity;
        } else {
            st = error_no_memory(err, capacity * sizeof *grown);
        }
    }
    if (st == ST_OK)
        st = budget_charge(oper_budget(&o->base), foreign, err);
    if (st != ST_OK) {
        batch_unref(b);
        return st;
    }
    o->charged += foreign;
    o->bytes += bytes;
    o->batches[o->n_batches++] = b;
    o->n_rows += b->n_rows;
    return ST_OK;
}

/* What rows have to come before to be among the best. */
struct sort_end {
    const struct byte_slot *key;
    uint64_t prefix;
    bool ties; /* or they are equal to it */
};

/* The k-th of the rows that came before, or the k-th of others, which may come before or after: the better one. */
static struct sort_end sort_end_of(const struct sort_oper *o)
{
    const struct byte_slot *own = &o->bound, *other = &o->other;
    bool ties = o->has_other && (!o->has_bound || sort_key_compare(other->data, other->size, own->data, own->size) < 0);
    struct sort_end end = {.key = ties ? other : own, .ties = ties};
    end.prefix = end.key->size >= 8 ? load_be64(end.key->data) : 0;
    return end;
}

static inline bool is_before(const struct sort_end *end, const uint8_t *key, size_t size)
{
    if (size >= 8 && end->key->size >= 8 && load_be64(key) != end->prefix)
        return load_be64(key) < end->prefix;
    int c = sort_key_compare(key, size, end->key->data, end->key->size);
    return c < 0 || (c == 0 && end->ties);
}

int sort_cut_by_bound(struct sort_oper *o, struct batch **b, struct error *err)
{
    struct budget *budget = oper_budget(&o->base);
    struct sort_keys keys = {0};
    struct vec rows = {0};
    struct sort_end end = sort_end_of(o);
    int64_t n = 0;
    int st = sort_rows_keys(o->base.work, *b, o->keys, o->n_keys, &keys, err);
    if (st == ST_OK)
        st = vec_reserve(&rows, budget, (size_t)(*b)->n_rows + 1, 4, err);
    for (int64_t i = 0; st == ST_OK && i < (*b)->n_rows; i++) {
        size_t size;
        const uint8_t *key = sort_keys_at(&keys, i, &size);
        if (is_before(&end, key, size))
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

/* Long texts make few rows many bytes. */
bool sort_has_too_many(const struct sort_oper *o)
{
    int64_t least = o->is_part ? PART_SLACK_ROWS : TOPK_SLACK_ROWS, slack = o->limit > least ? o->limit : least;
    return o->limit >= 0 && (o->n_rows > o->limit + slack || (o->n_rows > o->limit && o->bytes > 2 * o->kept_bytes + TOPK_SLACK_BYTES));
}

int sort_cut_to_limit(struct sort_oper *o, struct error *err)
{
    struct batch *all, *best;
    TRY(order_rows(o, &all, err));
    int st = batch_take(oper_budget(&o->base), all, o->order.data, o->n_order, &best, err);
    batch_unref(all);
    sort_publish_bound(o);
    if (st == ST_OK)
        st = sort_add_batch(o, best, err);
    o->kept_bytes = o->bytes;
    return st;
}

/* Whether ordering what has been collected, with one batch more, might need more memory than there is: the rows once more as one batch, their keys
 * (which may be as large), entries and order. */
bool sort_memory_is_short(const struct sort_oper *o)
{
    size_t need = 3 * o->bytes + (size_t)o->n_rows * SORT_BYTES_PER_ROW;
    if (o->limit >= 0 || !o->base.work || !o->base.work->spill)
        return false;
    bool worth = o->n_rows >= RUN_ROWS_MIN || o->bytes >= RUN_BYTES_MIN;
    return o->bytes > RUN_BYTES_MAX || (worth && need > budget_headroom(oper_budget(&o->base)) / 2);
}

int sort_spill_run(struct sort_oper *o, struct error *err)
{
    struct batch *all;
    if (!o->runs)
        TRY(sort_runs_new(o->base.work, o->base.schema, o->keys, o->n_keys, &o->runs, err));
    TRY(order_rows(o, &all, err));
    o->spills++;
    o->spilled_rows += (uint64_t)all->n_rows;
    o->spilled_bytes += batch_bytes_held(all);
    int st = sort_runs_add(o->runs, all, VEC(&o->order, const uint32_t), o->n_order, err);
    batch_unref(all);
    vec_release(&o->order, oper_budget(&o->base));
    o->n_order = 0;
    return st;
}

static int collect(struct sort_oper *o, struct error *err)
{
    TRY(sort_use_parts(o, err));
    for (;;) {
        struct batch *b;
        TRY(oper_next(o->base.input, &b, err));
        if (!b)
            break;
        int st = o->has_bound ? sort_cut_by_bound(o, &b, err) : ST_OK;
        if (st != ST_OK) {
            batch_unref(b);
            return st;
        }
        if (!b)
            continue;
        TRY(sort_add_batch(o, b, err));
        if (sort_has_too_many(o))
            TRY(sort_cut_to_limit(o, err));
        else if (sort_memory_is_short(o))
            TRY(sort_spill_run(o, err));
    }
    o->sorted = true;
    if (o->n_rows == 0)
        return ST_OK;
    return o->runs ? sort_spill_run(o, err) : order_rows(o, &o->all, err);
}

static int pass_on(struct sort_oper *o, struct batch **ret_batch, struct error *err)
{
    struct batch *b = NULL;
    int64_t left = o->limit < 0 ? INT64_MAX : o->limit - o->passed;
    if (left)
        TRY(oper_next(o->base.input, &b, err));
    int st = ST_OK;
    if (b && b->n_rows > left) {
        st = batch_slice(b, 0, left, ret_batch, err);
        batch_unref(b);
    } else {
        *ret_batch = b;
    }
    if (st == ST_OK && *ret_batch)
        o->passed += (*ret_batch)->n_rows;
    return st;
}

static int sort_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct sort_oper *o = (struct sort_oper *)base;
    if (o->presorted)
        return pass_on(o, ret_batch, err);
    if (!o->sorted && o->limit != 0)
        TRY(collect(o, err));
    if (o->runs)
        return sort_runs_next(o->runs, ret_batch, err);
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
    if (!o->is_part) {
        sort_stop_parts(o);
        free(o->keys);
    }
    sort_drop_batches(o);
    free(o->batches);
    sort_runs_free(o->runs);
    batch_unref(o->all);
    byte_slot_release(&o->bound, oper_budget(base));
    byte_slot_release(&o->other, oper_budget(base));
    vec_release(&o->order, oper_budget(base));
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
    const struct sort_oper *o = (const struct sort_oper *)base;
    (void)verbose;
    m[0] = (struct oper_metric){"spill_count", o->spills};
    m[1] = (struct oper_metric){"spilled_bytes", o->spilled_bytes};
    m[2] = (struct oper_metric){"spilled_rows", o->spilled_rows};
    m[3] = (struct oper_metric){"peak_mem_used", base->mem_bytes};
    return 4;
}

const struct oper_ops sort_ops = {sort_next, sort_free, sort_describe, sort_metrics};

void oper_sort_set_presorted(struct oper *sort)
{
    ((struct sort_oper *)sort)->presorted = true;
}

int oper_sort_new(struct oper *input, const struct oper_sort_key *keys, uint32_t n_keys, int64_t limit, struct oper **ret_oper, struct error *err)
{
    struct sort_oper *o = calloc(1, sizeof *o);
    struct oper_sort_key *copy = calloc(n_keys, sizeof *copy);
    assert(n_keys > 0 && n_keys <= SORT_KEYS_MAX);
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
