/* DISTINCT measures of an aggregation.
 *
 * Each has a table of the tuples (group, arguments) that there have been; the measure sees the rows that bring a new one. When memory gets short the
 * table is frozen: rows of tuples that it knows bring nothing new as before, those of others go to disk, divided by the hash of the tuple
 * (exec/agg_spill.c). They come back before the groups are given out, one part after another, each through a table of its own, which may be frozen
 * again. So each tuple is let through once, and memory is needed for some of them at a time, however many a group has.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/oper_aggregate.h"

int aggregate_open_distinct(struct aggregate_oper *o, struct oper_measure *m, struct error *err)
{
    struct dtype *types[1 + AGG_ARGS_MAX] = {type_of(TYPE_UINT32)};
    if (!m->call.distinct || m->call.function->distinct == AGG_DISTINCT_IGNORED || !m->call.n_args)
        return ST_OK;
    for (uint32_t k = 0; k < m->call.n_args; k++)
        types[1 + k] = m->call.args[k];
    return group_table_new(oper_budget(&o->base), types, 1 + m->call.n_args, false, &m->distinct, err);
}

void aggregate_close_distinct(struct oper_measure *m)
{
    group_table_free(m->distinct);
    m->distinct = NULL;
    m->frozen = false;
}

bool aggregate_has_many_tuples(const struct oper_measure *m)
{
    return m->distinct && !m->frozen && group_table_count(m->distinct) >= SPILL_GROUPS_MIN;
}

/* ---- new tuples ---- */

static int group_column(struct aggregate_oper *o, const uint32_t *groups, int64_t n, struct column **ret_column, struct error *err)
{
    struct buffer *ids;
    TRY(buffer_new(oper_budget(&o->base), (size_t)n * 4, &ids, err));
    if (groups)
        memcpy(ids->data, groups, (size_t)n * 4);
    return column_new(type_of(TYPE_UINT32), n, 0, NULL, ids, NULL, ret_column, err);
}

/* The rows whose tuple is new, or, once the table is frozen, not in it. columns[0] is their group. */
static int select_new(struct aggregate_oper *o, struct oper_measure *m, struct column *const *columns, int64_t n, int64_t *ret_n, struct error *err)
{
    struct budget *budget = oper_budget(&o->base);
    uint32_t next = m->frozen ? UINT32_MAX : group_table_count(m->distinct);
    TRY(vec_reserve(&o->selected, budget, (size_t)n + 1, 4, err));
    TRY(vec_reserve(&o->distinct_ids, budget, (size_t)n + 1, 4, err));
    TRY(group_table_map(m->distinct, columns, n, o->distinct_ids.data, err));
    const uint32_t *tuple = o->distinct_ids.data;
    uint32_t *selected = o->selected.data;
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        if (tuple[i] != next)
            continue;
        selected[kept++] = (uint32_t)i;
        next += !m->frozen;
    }
    *ret_n = kept;
    return ST_OK;
}

static int put_aside(struct aggregate_oper *o, struct oper_measure *m, struct column *const *columns, int64_t n, int64_t n_selected,
                     struct error *err)
{
    struct column *refs[1 + AGG_ARGS_MAX + AGG_STATE_MAX];
    uint32_t total = 1 + m->call.n_args + m->call.n_sorts;
    struct batch *b;
    if (!n_selected)
        return ST_OK;
    for (uint32_t k = 0; k < total; k++)
        refs[k] = column_ref(columns[k]);
    TRY(batch_new(agg_spill_schema(m->tuples), n, refs, &b, err));
    int st = agg_spill_put(m->tuples, b, 0, o->selected.data, (uint32_t)n_selected, err);
    batch_unref(b);
    return st;
}

int aggregate_distinct(struct aggregate_oper *o, struct oper_measure *m, struct column **columns, uint32_t *ids, int64_t n, struct error *err)
{
    struct column *with_group[1 + AGG_ARGS_MAX + AGG_STATE_MAX];
    uint32_t total = m->call.n_args + m->call.n_sorts;
    int64_t kept = 0;
    TRY(group_column(o, ids, n, &with_group[0], err));
    for (uint32_t k = 0; k < total; k++)
        with_group[1 + k] = columns[k];
    int st = select_new(o, m, with_group, n, &kept, err);
    if (st == ST_OK && m->frozen)
        st = put_aside(o, m, with_group, n, kept, err);
    column_unref(with_group[0]);
    if (st != ST_OK || m->frozen || o->is_part) /* the whole takes them from a part's table */
        return st;
    const uint32_t *selected = o->selected.data;
    for (uint32_t k = 0; kept < n && k < total; k++) {
        struct column *less;
        TRY(column_take(oper_budget(&o->base), columns[k], selected, kept, &less, err));
        column_unref(columns[k]);
        columns[k] = less;
    }
    for (int64_t i = 0; ids && i < kept; i++)
        ids[i] = ids[selected[i]]; /* selected[i] >= i, so nothing is overwritten early */
    return aggregate_update_selected(o, m, columns, NULL, kept, ids, err);
}

/* ---- those on disk ---- */

/* Group, arguments, sort keys. */
static int new_spill(struct aggregate_oper *o, struct oper_measure *m, struct error *err)
{
    struct field *fields[1 + AGG_ARGS_MAX + AGG_STATE_MAX];
    uint32_t keys[1 + AGG_ARGS_MAX], n = 1 + m->call.n_args + m->call.n_sorts, made = 0;
    int st = ST_OK;
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        if (made > m->call.n_args)
            fields[made] = field_ref(m->call.sort_fields[made - 1 - m->call.n_args]);
        else
            fields[made] = field_new("", made ? m->call.args[made - 1] : type_of(TYPE_UINT32), made > 0);
        if (!fields[made])
            st = error_no_memory(err, sizeof **fields);
        else if (made <= m->call.n_args)
            keys[made] = made;
    }
    struct schema *schema = st == ST_OK ? schema_new(fields, n) : NULL;
    if (st == ST_OK && !schema)
        st = error_no_memory(err, n * sizeof *fields);
    if (st == ST_OK)
        st = agg_spill_new(o->base.work, schema, keys, 1 + m->call.n_args, NULL, &m->tuples, err);
    while (made > 0)
        field_unref(fields[--made]);
    if (schema)
        schema_unref(schema);
    return st;
}

int aggregate_freeze_distinct(struct aggregate_oper *o, struct oper_measure *m, uint32_t level, struct error *err)
{
    if (!m->tuples)
        TRY(new_spill(o, m, err));
    TRY(agg_spill_start(m->tuples, level, err));
    group_table_freeze(m->distinct);
    m->frozen = true;
    return ST_OK;
}

static int take_back(struct aggregate_oper *o, struct oper_measure *m, struct batch *b, struct error *err)
{
    struct column *columns[AGG_ARGS_MAX + AGG_STATE_MAX];
    uint32_t total = m->call.n_args + m->call.n_sorts;
    TRY(work_check(o->base.work, err));
    TRY(vec_reserve(&o->selected_ids, oper_budget(&o->base), (size_t)b->n_rows + 1, 4, err));
    uint32_t *ids = o->selected_ids.data;
    memcpy(ids, COLUMN_VALUES(b->columns[0], uint32_t), (size_t)b->n_rows * 4);
    for (int64_t i = 0; i < b->n_rows; i++)
        if (ids[i] >= o->n_groups)
            return error_set(err, ST_CORRUPT, "a spill file holds rows of group %u of %u", ids[i], o->n_groups);
    for (uint32_t k = 0; k < total; k++)
        columns[k] = column_ref(b->columns[1 + k]);
    int st = aggregate_distinct(o, m, columns, o->groups ? ids : NULL, b->n_rows, err);
    for (uint32_t k = 0; k < total; k++)
        column_unref(columns[k]);
    return st;
}

static int take_back_part(struct aggregate_oper *o, struct oper_measure *m, struct spill_file *part, uint32_t level, struct error *err)
{
    TRY(aggregate_open_distinct(o, m, err));
    for (;;) {
        struct batch *b;
        TRY(spill_file_next(part, &b, err));
        if (!b)
            return ST_OK;
        int st = take_back(o, m, b, err);
        batch_unref(b);
        TRY(st);
        if (aggregate_has_many_tuples(m) && aggregate_room_is_short(o))
            TRY(aggregate_freeze_distinct(o, m, level + 1, err));
    }
}

int aggregate_finish_distinct(struct aggregate_oper *o, struct oper_measure *m, struct error *err)
{
    while (m->tuples) {
        struct spill_file *part;
        uint32_t level;
        aggregate_close_distinct(m);
        TRY(agg_spill_take(m->tuples, &part, &level, err));
        if (!part)
            return ST_OK;
        int st = take_back_part(o, m, part, level, err);
        spill_file_free(part);
        TRY(st);
    }
    return ST_OK;
}
