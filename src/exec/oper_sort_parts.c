/* Sorting the parts of an input, each by whatever thread runs it.
 *
 * A part without a limit orders its rows once they are there, and the whole merges the orders, which leaves it one pass over all rows for each time
 * that the number of parts doubles. With a limit k a part keeps its best k rows, and the whole the best of those. All that have found k rows tell the
 * others the k-th key: rows behind it, not those equal to it, cannot be among the best wherever they are. So the rows that come out, equal ones in
 * their order in the input, are the same whoever has known what. Where memory is short a part hands its rows on as they are.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "exec/oper_exchange.h"
#include "exec/oper_sort.h"

enum {
    PART_LIMIT_MAX = 8192 /* a part that keeps most of its rows for the whole to sort again spares nothing */
};

/* The best k-th key of all. */
struct sort_bound {
    pthread_mutex_t lock;
    _Atomic uint64_t version; /* 0 = there is none */
    struct byte_slot key;
};

void sort_publish_bound(struct sort_oper *o)
{
    struct sort_bound *best = o->best;
    if (!best || !o->has_bound)
        return;
    pthread_mutex_lock(&best->lock);
    bool better = !atomic_load(&best->version) || sort_key_compare(o->bound.data, o->bound.size, best->key.data, best->key.size) < 0;
    if (better && byte_slot_set(&best->key, oper_budget(&o->base), o->bound.data, o->bound.size, NULL) == ST_OK)
        atomic_fetch_add(&best->version, 1); /* without memory for it the others only keep more rows */
    pthread_mutex_unlock(&best->lock);
}

int sort_learn_bound(struct sort_oper *o, struct error *err)
{
    struct sort_bound *best = o->best;
    int st = ST_OK;
    if (!best || atomic_load_explicit(&best->version, memory_order_relaxed) == o->known)
        return ST_OK;
    pthread_mutex_lock(&best->lock);
    o->known = atomic_load(&best->version);
    if (!o->has_bound || sort_key_compare(best->key.data, best->key.size, o->bound.data, o->bound.size) < 0) {
        st = byte_slot_set(&o->other, oper_budget(&o->base), best->key.data, best->key.size, err);
        o->has_other = st == ST_OK;
    }
    pthread_mutex_unlock(&best->lock);
    return st;
}

static int part_open(struct oper *above, struct oper *chain, struct oper **ret_root, struct error *err)
{
    const struct sort_oper *whole = (const struct sort_oper *)above;
    struct sort_oper *o = calloc(1, sizeof *o);
    if (!o) {
        oper_free(chain);
        return error_no_memory(err, sizeof *o);
    }
    o->base = (struct oper){.ops = &sort_ops, .schema = schema_ref(above->schema), .input = chain, .work = above->work};
    o->is_part = true;
    o->keys = whole->keys;
    o->n_keys = whole->n_keys;
    o->limit = whole->limit;
    o->best = whole->best;
    *ret_root = &o->base;
    return ST_OK;
}

/* The part's rows are all there. */
static int order_part(struct sort_oper *o, struct error *err)
{
    if (!o->n_rows)
        return ST_OK;
    return o->limit >= 0 ? sort_cut_to_limit(o, err) : sort_order_batches(o, err);
}

static int part_take(struct oper *root, bool direct, struct batch *b, struct batch **ret_batch, struct error *err)
{
    struct sort_oper *o = (struct sort_oper *)root;
    o->direct |= direct;
    if (!b)
        return o->direct ? ST_OK : order_part(o, err);
    int st = sort_learn_bound(o, err);
    if (st == ST_OK && (o->has_bound || o->has_other))
        st = sort_cut_by_bound(o, &b, err);
    if (st != ST_OK || !b || o->direct) {
        *ret_batch = st == ST_OK ? b : NULL;
        if (st != ST_OK)
            batch_unref(b);
        return st;
    }
    TRY(sort_add_batch(o, b, err));
    if (sort_has_too_many(o))
        TRY(sort_cut_to_limit(o, err));
    o->direct = sort_memory_is_short(o);
    return ST_OK;
}

static int part_join(struct oper *above, struct oper *root, struct error *err)
{
    struct sort_oper *o = (struct sort_oper *)above, *part = (struct sort_oper *)root;
    if (part->n_ordered)
        TRY(sort_order_batches(o, err)); /* what came before, if it was handed on */
    for (uint32_t i = 0; i < part->n_batches; i++)
        TRY(sort_add_batch(o, batch_ref(part->batches[i]), err));
    if (part->n_ordered) {
        TRY(sorted_rows_append(&o->ordered, &part->ordered, oper_budget(above), err));
        o->n_ordered = o->n_batches;
    }
    sort_drop_batches(part);
    if (sort_has_too_many(o))
        return sort_cut_to_limit(o, err);
    return sort_memory_is_short(o) ? sort_spill_run(o, err) : ST_OK;
}

static const struct exchange_stage stage = {part_open, part_take, part_join};

int sort_use_parts(struct sort_oper *o, struct error *err)
{
    if (!oper_is_exchange(o->base.input) || o->limit > PART_LIMIT_MAX)
        return ST_OK;
    if (o->limit >= 0 && !o->best) {
        o->best = calloc(1, sizeof *o->best);
        if (!o->best)
            return error_no_memory(err, sizeof *o->best);
        pthread_mutex_init(&o->best->lock, NULL);
    }
    oper_exchange_set_stage(o->base.input, &stage, &o->base);
    return ST_OK;
}

void sort_stop_parts(struct sort_oper *o)
{
    if (oper_is_exchange(o->base.input))
        oper_exchange_stop(o->base.input);
    if (!o->best)
        return;
    byte_slot_release(&o->best->key, oper_budget(&o->base));
    pthread_mutex_destroy(&o->best->lock);
    free(o->best);
}
