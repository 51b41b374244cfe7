/* Aggregation of the parts of an input, each into a table of its own, by whatever thread runs the part; the whole takes the tables in the order of
 * the parts.
 *
 * Measures whose states can be put together are; of DISTINCT ones a part keeps the different (group, arguments) only, in the order in which they came, and the
 * whole sees those as it would have seen the rows.
 *
 * A part gives up on its table, and hands its further rows on as they are, when that has nearly as many groups as rows (then both tables would cost
 * what one does) and when memory gets short. The first rule looks at the part's rows only: the same data is always added up in the same order,
 * whichever threads there are. Before the whole freezes its table it takes those of all parts: no group may be known to a part only then.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/oper_aggregate.h"
#include "exec/oper_exchange.h"

enum {
    TRIAL_ROWS = 2 * OPER_BATCH_ROWS, /* before a table is judged */
    ROWS_PER_GROUP_MIN = 8,
    ROWS_PER_TUPLE_MIN = 2 /* of DISTINCT, which has no state to put together besides */
};

/* What does not change of a measure: another thread may be at the rest of the whole's. */
static struct oper_measure measure_like(const struct oper_measure *m)
{
    struct oper_measure like = {.call = m->call, .sorts = m->sorts, .sort_specs = m->sort_specs, .sort_fields = m->sort_fields, .filter = m->filter};
    memcpy(like.args, m->args, sizeof like.args);
    return like;
}

static int part_open(struct oper *above, struct oper *chain, struct oper **ret_root, struct error *err)
{
    const struct aggregate_oper *whole = (const struct aggregate_oper *)above;
    struct aggregate_oper *o = calloc(1, sizeof *o);
    struct oper_measure *measures = calloc(whole->n_measures + 1, sizeof *measures);
    if (!o || !measures) {
        free(o);
        free(measures);
        oper_free(chain);
        return error_no_memory(err, sizeof *o);
    }
    o->base = (struct oper){.ops = &aggregate_ops, .schema = schema_ref(above->schema), .input = chain, .work = above->work};
    o->is_part = true;
    o->keys = whole->keys;
    o->n_keys = whole->n_keys;
    o->sets = whole->sets;
    o->n_sets = whole->n_sets;
    o->forward = whole->forward;
    o->n_forward = whole->n_forward;
    for (uint32_t i = 0; i < whole->n_measures; i++)
        measures[i] = measure_like(&whole->measures[i]);
    o->measures = measures;
    o->n_measures = whole->n_measures;
    *ret_root = &o->base;
    return ST_OK;
}

static bool gives_up(const struct aggregate_oper *o)
{
    if (aggregate_memory_is_short(o))
        return true;
    if (o->rows < TRIAL_ROWS)
        return false;
    for (uint32_t i = 0; i < o->n_measures; i++)
        if (o->measures[i].distinct && (int64_t)group_table_count(o->measures[i].distinct) * ROWS_PER_TUPLE_MIN > o->rows)
            return true;
    return (int64_t)o->n_groups * ROWS_PER_GROUP_MIN > o->rows;
}

static int aggregate_some(struct aggregate_oper *o, struct batch *b, struct error *err)
{
    if (b->n_rows > INT32_MAX)
        return error_set(err, ST_UNSUPPORTED, "a batch of more than 2^31 rows");
    if (!o->rows)
        TRY(aggregate_open(o, err));
    TRY(aggregate_batch(o, b, err));
    o->rows += b->n_rows;
    o->direct = gives_up(o);
    return ST_OK;
}

static int part_take(struct oper *root, bool direct, struct batch *b, struct batch **ret_batch, struct error *err)
{
    struct aggregate_oper *o = (struct aggregate_oper *)root;
    o->direct |= direct;
    if (!b || o->direct) {
        *ret_batch = b;
        return ST_OK;
    }
    int st = aggregate_some(o, b, err);
    batch_unref(b);
    return st;
}

/* Puts what DISTINCT has let pass of groups [first, first + n) of a part into the whole, in the order in which it came; ids[i] is what group first + i is there. */
static int take_tuples(struct aggregate_oper *o, struct oper_measure *m, const struct group_table *tuples, uint32_t first, uint32_t n, const uint32_t *ids,
                       struct error *err)
{
    struct budget *budget = oper_budget(&o->base);
    TRY(vec_reserve(&o->selected, budget, OPER_BATCH_ROWS, 4, err));
    TRY(vec_reserve(&o->selected_ids, budget, OPER_BATCH_ROWS + 1, 4, err));
    for (uint32_t at = 0, total = group_table_count(tuples); at < total; at += OPER_BATCH_ROWS) {
        struct column *columns[AGG_ARGS_MAX + 1], *group;
        uint32_t rows = total - at < OPER_BATCH_ROWS ? total - at : OPER_BATCH_ROWS, kept = 0, made = 0;
        uint32_t *selected = o->selected.data, *to = o->selected_ids.data;
        TRY(work_check(o->base.work, err));
        TRY(group_table_keys(tuples, 0, at, rows, &group, err));
        const uint32_t *groups = COLUMN_VALUES(group, uint32_t);
        for (uint32_t i = 0; i < rows; i++) {
            selected[kept] = i;
            to[kept] = groups[i] - first < n ? ids[groups[i] - first] : 0;
            kept += groups[i] - first < n;
        }
        column_unref(group);
        int st = ST_OK;
        for (; st == ST_OK && made < m->call.n_args; made += st == ST_OK) {
            struct column *all;
            st = group_table_keys(tuples, 1 + made, at, rows, &all, err);
            if (st == ST_OK) {
                st = column_take(budget, all, selected, kept, &columns[made], err);
                column_unref(all);
            }
        }
        if (st == ST_OK && m->call.n_sorts)
            columns[made++] = column_ref(columns[0]);
        if (st == ST_OK && kept)
            st = aggregate_distinct(o, m, columns, o->groups ? to : NULL, kept, err);
        for (uint32_t k = 0; k < made; k++)
            column_unref(columns[k]);
        TRY(st);
    }
    return ST_OK;
}

int aggregate_take_groups(struct aggregate_oper *o, struct aggregate_oper *part, uint32_t first, uint32_t n, struct error *err)
{
    uint32_t n_keys = o->n_keys + (o->n_sets > 1), made = 0;
    struct column **keys = calloc(n_keys + 1, sizeof *keys);
    int st = keys ? vec_reserve(&o->ids, oper_budget(&o->base), n, 4, err) : error_no_memory(err, n_keys * sizeof *keys);
    uint32_t *ids = o->ids.data;
    if (st == ST_OK && !o->groups)
        memset(ids, 0, (size_t)n * sizeof *ids);
    for (; st == ST_OK && o->groups && made < n_keys; made += st == ST_OK)
        st = group_table_keys(part->groups, made, first, n, &keys[made], err);
    if (st == ST_OK && o->groups)
        st = group_table_map(o->groups, keys, n, ids, err);
    if (st == ST_OK && o->groups)
        o->n_groups = group_table_count(o->groups);
    for (uint32_t i = 0; st == ST_OK && i < o->n_measures; i++) {
        struct agg *to = o->measures[i].agg;
        st = to->function->reserve(to, o->n_groups, err);
        if (st == ST_OK && o->measures[i].distinct)
            st = take_tuples(o, &o->measures[i], part->measures[i].distinct, first, n, ids, err);
        else if (st == ST_OK)
            st = to->function->combine(to, part->measures[i].agg, first, n, ids, err);
    }
    for (uint32_t k = 0; k < made; k++)
        column_unref(keys[k]);
    free(keys);
    return st;
}

static int part_join(struct oper *above, struct oper *root, struct error *err)
{
    struct aggregate_oper *o = (struct aggregate_oper *)above, *part = (struct aggregate_oper *)root;
    if (!part->rows)
        return ST_OK;
    for (uint32_t i = 0; i < part->n_measures; i++)
        TRY(part->measures[i].agg->function->reserve(part->measures[i].agg, part->n_groups, err));
    if (o->n_forward && !o->taking) { /* the groups are taken like rows, so that those before them can be given out in between */
        o->intake = (struct aggregate_intake){.part = part, .n = part->n_groups};
        return ST_OK;
    }
    for (uint32_t first = 0; first < part->n_groups; first += OPER_BATCH_ROWS) {
        uint32_t n = part->n_groups - first;
        TRY(work_check(above->work, err));
        TRY(aggregate_take_groups(o, part, first, n < OPER_BATCH_ROWS ? n : OPER_BATCH_ROWS, err));
    }
    aggregate_close(part);
    return !o->taking && aggregate_memory_is_short(o) ? aggregate_freeze(o, err) : ST_OK;
}

static const struct exchange_stage stage = {part_open, part_take, part_join};

void aggregate_use_parts(struct aggregate_oper *o)
{
    if (!oper_is_exchange(o->base.input))
        return;
    for (uint32_t i = 0; i < o->n_measures; i++) {
        const struct oper_measure *m = &o->measures[i];
        if (m->distinct ? m->call.n_sorts > 1 || (m->call.n_sorts && m->sorts[0] != m->args[0]) : !m->call.function->combine)
            return;
    }
    o->has_parts = true;
    oper_exchange_set_stage(o->base.input, &stage, &o->base);
}

int aggregate_take_parts(struct aggregate_oper *o, struct error *err)
{
    if (!o->has_parts)
        return ST_OK;
    o->taking = true;
    int st = oper_exchange_join_all(o->base.input, err);
    o->taking = false;
    return st;
}
