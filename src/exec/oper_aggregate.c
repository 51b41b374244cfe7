/* Hash aggregation, with grouping sets, DISTINCT and FILTER measures, and groups that memory has no room for put aside.
 *
 * A batch is mapped to group numbers once (once per grouping set), the runs of equal numbers are found, and every measure takes the whole batch.
 * FILTER and DISTINCT reduce to a selection: the rows that pass, respectively the rows that brought a new (group, arguments) tuple into a
 * second group table; the measure then takes the selected rows only. Without keys there is one group even for no rows.
 *
 * When memory gets short the table is frozen: rows of groups that it knows are aggregated on, the others' rows go to disk, divided by the hash of
 * their keys (exec/agg_spill.c). When the known groups have been given out, each part on disk is aggregated like the input was, and may be divided
 * again. So a group's rows are all seen in one phase, and no state has to be written. The tables of DISTINCT measures are frozen by themselves
 * (exec/oper_aggregate_distinct.c): what a group has seen must not grow without end either. Where the input comes in parts, each part may have
 * aggregated into a table of its own before (exec/oper_aggregate_parts.c).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "exec/oper_aggregate.h"
#include "exec/oper_exchange.h"

enum {
    RESULT_BYTES_MAX = 8 << 20, /* of one measure in a batch */
    RUN_ROWS_MIN = 4,           /* on average, or measures take rows one by one */
    MAP_RUN_ROWS_MIN = 16,      /* on average, or groups are found row by row: a table looks a row like the one before up at once */
    ORDERED_RUN_ROWS_MIN = 2,   /* the same without a table */
    RUN_PAUSE_BATCHES = 15      /* until runs are looked for again where there were none */
};

void oper_measure_release(struct oper_measure *m)
{
    agg_free(m->agg);
    group_table_free(m->distinct);
    agg_spill_free(m->tuples);
    for (uint32_t k = 0; k < m->call.n_sorts; k++)
        if (m->sort_fields && m->sort_fields[k])
            field_unref(m->sort_fields[k]);
    for (uint32_t k = 0; k < m->call.n_args; k++)
        column_unref(m->call.constants[k]);
    agg_call_release(&m->call);
    free(m->sorts);
    free(m->sort_specs);
    free(m->sort_fields);
    memset(m, 0, sizeof *m);
}

int aggregate_open(struct aggregate_oper *o, struct error *err)
{
    struct budget *budget = oper_budget(&o->base);
    uint32_t n = o->n_keys + (o->n_sets > 1);
    if (n) {
        struct dtype **types = calloc(n, sizeof *types);
        if (!types)
            return error_no_memory(err, n * sizeof *types);
        for (uint32_t k = 0; k < n; k++)
            types[k] = o->base.schema->fields[k]->type;
        int st = group_table_new(budget, types, n, aggregate_is_ordered(o), &o->groups, err);
        free(types);
        TRY(st);
    }
    for (uint32_t i = 0; i < o->n_measures; i++) {
        TRY(agg_open(&o->measures[i].call, budget, &o->measures[i].agg, err));
        TRY(aggregate_open_distinct(o, &o->measures[i], err));
    }
    o->n_groups = o->groups ? 0 : 1;
    return ST_OK;
}

/* Fills the run starts when runs are long enough to pay. */
static int find_runs(struct aggregate_oper *o, const uint32_t *ids, int64_t n, struct agg_rows *rows, struct error *err)
{
    uint32_t changes = 1;
    for (int64_t i = 1; i < n; i++)
        changes += ids[i] != ids[i - 1];
    *rows = (struct agg_rows){.n = n, .groups = ids};
    if ((int64_t)changes * RUN_ROWS_MIN > n)
        return ST_OK;
    TRY(vec_reserve(&o->starts, oper_budget(&o->base), (size_t)changes + 1, 4, err));
    uint32_t *starts = o->starts.data, r = 0;
    starts[r++] = 0;
    for (int64_t i = 1; i < n; i++)
        if (ids[i] != ids[i - 1])
            starts[r++] = (uint32_t)i;
    starts[r] = (uint32_t)n;
    rows->starts = starts;
    rows->n_runs = changes;
    return ST_OK;
}

/* The measure's inputs: arguments, then sort keys; decoded unless it reads dictionaries. One reference each. */
static int measure_columns(struct aggregate_oper *o, const struct oper_measure *m, struct batch *b, const uint32_t *selected, int64_t n,
                           struct column **ret_columns, struct error *err)
{
    uint32_t total = m->call.n_args + m->call.n_sorts, made = 0;
    struct budget *budget = oper_budget(&o->base);
    int st = ST_OK;
    for (; st == ST_OK && made < total; made += st == ST_OK) {
        struct column *c = b->columns[made < m->call.n_args ? m->args[made] : m->sorts[made - m->call.n_args]], *taken;
        if (selected)
            st = column_take(budget, c, selected, n, &taken, err);
        else
            taken = column_ref(c);
        if (st == ST_OK && !m->call.function->dictionaries) {
            st = column_decode_dictionary(budget, taken, &ret_columns[made], err);
            column_unref(taken);
        } else if (st == ST_OK) {
            ret_columns[made] = taken;
        }
    }
    for (uint32_t i = 0; st != ST_OK && i < made; i++)
        column_unref(ret_columns[i]);
    return st;
}

static void drop_columns(struct column **columns, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        column_unref(columns[i]);
}

int aggregate_update_selected(struct aggregate_oper *o, struct oper_measure *m, struct column *const *columns, const uint32_t *selected, int64_t n,
                              const uint32_t *group_ids, struct error *err)
{
    uint32_t *ids = o->selected_ids.data, starts[2] = {0, (uint32_t)n};
    struct agg_rows rows = {.n = n};
    if (n == 0)
        return ST_OK;
    if (group_ids) {
        for (int64_t i = 0; i < n; i++)
            ids[i] = selected ? group_ids[selected[i]] : group_ids[i];
        rows.groups = ids;
    } else {
        rows.starts = starts;
        rows.n_runs = 1;
    }
    return m->agg->function->update(m->agg, columns, &rows, err);
}

static int update_measure_selected(struct aggregate_oper *o, struct oper_measure *m, struct batch *b, const uint32_t *group_ids, struct error *err)
{
    struct column *columns[AGG_ARGS_MAX + AGG_STATE_MAX];
    struct budget *budget = oper_budget(&o->base);
    uint32_t total = m->call.n_args + m->call.n_sorts;
    int64_t n = b->n_rows;
    TRY(vec_reserve(&o->selected, budget, (size_t)n + 1, 4, err));
    TRY(vec_reserve(&o->selected_ids, budget, (size_t)n + 1, 4, err));
    uint32_t *selected = NULL, *ids = o->selected_ids.data;
    if (m->filter >= 0) {
        const struct column *f = b->columns[m->filter];
        selected = o->selected.data;
        n = 0;
        for (int64_t i = 0; i < b->n_rows; i++) {
            selected[n] = (uint32_t)i;
            n += !column_is_null(f, i) && column_bool(f, i);
        }
    }
    if (n == 0)
        return ST_OK;
    TRY(measure_columns(o, m, b, selected, n, columns, err));
    int st;
    if (m->distinct) {
        for (int64_t i = 0; group_ids && i < n; i++)
            ids[i] = selected ? group_ids[selected[i]] : group_ids[i];
        st = aggregate_distinct(o, m, columns, group_ids ? ids : NULL, n, err);
    } else {
        st = aggregate_update_selected(o, m, columns, selected, n, group_ids, err);
    }
    drop_columns(columns, total);
    return st;
}

static int update_measures(struct aggregate_oper *o, struct batch *b, const struct agg_rows *rows, struct error *err)
{
    for (uint32_t i = 0; i < o->n_measures; i++) {
        struct oper_measure *m = &o->measures[i];
        struct column *columns[AGG_ARGS_MAX + AGG_STATE_MAX];
        TRY(m->agg->function->reserve(m->agg, o->n_groups, err));
        if (m->filter >= 0 || m->distinct) {
            TRY(update_measure_selected(o, m, b, rows->groups, err));
            continue;
        }
        TRY(measure_columns(o, m, b, NULL, b->n_rows, columns, err));
        int st = m->agg->function->update(m->agg, columns, rows, err);
        drop_columns(columns, m->call.n_args + m->call.n_sorts);
        TRY(st);
    }
    return ST_OK;
}

/* The constant __grouping_id of a set: a bit a key from the first (highest) on, 1 = the key is absent. */
static int grouping_id(struct aggregate_oper *o, const uint8_t *set, int64_t n, struct column **ret_column, struct error *err)
{
    struct dtype *type = o->base.schema->fields[o->n_keys]->type;
    size_t width = (size_t)type_width(type);
    struct buffer *values;
    uint64_t id = 0;
    for (uint32_t k = 0; k < o->n_keys; k++)
        id = id << 1 | !set[k];
    TRY(buffer_new(oper_budget(&o->base), (size_t)n * width, &values, err));
    for (int64_t i = 0; i < n; i++)
        memcpy(values->data + (size_t)i * width, &id, width);
    return column_new(type, n, 0, NULL, values, NULL, ret_column, err);
}

/* The groups of rows whose keys make runs: those of each run's first row. */
static int map_runs(struct aggregate_oper *o, struct column *const *keys, uint32_t n_keys, uint32_t n_runs, struct error *err)
{
    const uint32_t *starts = o->runs.starts.data;
    uint32_t *ids = o->ids.data, made = 0;
    struct column **firsts = calloc(n_keys, sizeof *firsts);
    int st = firsts ? vec_reserve(&o->heads, oper_budget(&o->base), n_runs, 4, err) : error_no_memory(err, n_keys * sizeof *firsts);
    for (; st == ST_OK && made < n_keys; made += st == ST_OK)
        st = column_take(oper_budget(&o->base), keys[made], starts, n_runs, &firsts[made], err);
    if (st == ST_OK)
        st = group_table_map(o->groups, firsts, n_runs, o->heads.data, err);
    const uint32_t *heads = o->heads.data;
    for (uint32_t r = 0; st == ST_OK && r < n_runs; r++)
        for (uint32_t i = starts[r]; i < starts[r + 1]; i++)
            ids[i] = heads[r];
    for (uint32_t k = 0; k < made; k++)
        column_unref(firsts[k]);
    free(firsts);
    return st;
}

/* Groups of n rows into o->ids, and their runs where these are long. */
static int map_keys(struct aggregate_oper *o, struct column *const *keys, uint32_t n_keys, int64_t n, struct agg_rows *ret_rows, struct error *err)
{
    uint32_t n_runs = 0, least = aggregate_is_ordered(o) ? ORDERED_RUN_ROWS_MIN : MAP_RUN_ROWS_MIN;
    *ret_rows = (struct agg_rows){.n = n, .groups = o->ids.data};
    if (o->skip_runs)
        o->skip_runs--;
    else if (n >= least)
        TRY(runs_find(&o->runs, oper_budget(&o->base), keys, n_keys, n, (uint32_t)n / least, &n_runs, err));
    if (!n_runs) {
        o->skip_runs = o->skip_runs ? o->skip_runs : RUN_PAUSE_BATCHES;
        return group_table_map(o->groups, keys, n, o->ids.data, err);
    }
    if ((int64_t)n_runs * RUN_ROWS_MIN <= n) {
        ret_rows->starts = o->runs.starts.data;
        ret_rows->n_runs = n_runs;
    }
    return map_runs(o, keys, n_keys, n_runs, err);
}

static int map_groups(struct aggregate_oper *o, struct batch *b, const uint8_t *set, struct agg_rows *ret_rows, struct error *err)
{
    uint32_t n = o->n_keys + (set != NULL), made = 0;
    struct column **keys = calloc(n, sizeof *keys);
    int st = keys ? vec_reserve(&o->ids, oper_budget(&o->base), (size_t)b->n_rows + 1, 4, err) : error_no_memory(err, n * sizeof *keys);
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        if (made == o->n_keys)
            st = grouping_id(o, set, b->n_rows, &keys[made], err);
        else if (set && !set[made])
            st = column_new_nulls(oper_budget(&o->base), o->base.schema->fields[made]->type, b->n_rows, &keys[made], err);
        else
            keys[made] = column_ref(b->columns[o->keys[made]]);
    }
    if (st == ST_OK)
        st = map_keys(o, keys, n, b->n_rows, ret_rows, err);
    for (uint32_t k = 0; k < made; k++)
        column_unref(keys[k]);
    free(keys);
    o->n_groups = group_table_count(o->groups);
    return st;
}

/* Tables grow by doubling. */
bool aggregate_room_is_short(const struct aggregate_oper *o)
{
    const struct work_context *work = o->base.work;
    return work && work->spill && budget_headroom(work->budget) < budget_used(work->budget) + SPILL_RESERVE_BYTES;
}

static bool has_many_groups(const struct aggregate_oper *o)
{
    return !o->frozen && o->n_groups >= SPILL_GROUPS_MIN;
}

bool aggregate_memory_is_short(const struct aggregate_oper *o)
{
    bool many = has_many_groups(o);
    for (uint32_t i = 0; !many && i < o->n_measures; i++)
        many = aggregate_has_many_tuples(&o->measures[i]);
    return many && aggregate_room_is_short(o);
}

static int freeze_groups(struct aggregate_oper *o, struct error *err)
{
    TRY(aggregate_take_parts(o, err));
    if (!o->spill)
        TRY(agg_spill_new(o->base.work, o->base.input->schema, o->keys, o->n_keys, o->n_sets > 1 ? o->sets : NULL, &o->spill, err));
    group_table_freeze(o->groups);
    o->frozen = true;
    return agg_spill_start(o->spill, o->level + 1, err);
}

int aggregate_freeze(struct aggregate_oper *o, struct error *err)
{
    if (has_many_groups(o) && !aggregate_is_ordered(o))
        TRY(freeze_groups(o, err));
    for (uint32_t i = 0; i < o->n_measures; i++)
        if (aggregate_has_many_tuples(&o->measures[i]))
            TRY(aggregate_freeze_distinct(o, &o->measures[i], 1, err));
    return ST_OK;
}

/* Puts the rows of unknown groups aside; *ret_known gets the others, with their groups in o->ids, or NULL when there are none. */
static int put_aside(struct aggregate_oper *o, struct batch *b, uint32_t set, struct batch **ret_known, struct error *err)
{
    struct budget *budget = oper_budget(&o->base);
    uint32_t *ids = o->ids.data, n_known = 0, n_unknown = 0;
    TRY(vec_reserve(&o->selected, budget, (size_t)b->n_rows + 1, 4, err));
    TRY(vec_reserve(&o->selected_ids, budget, (size_t)b->n_rows + 1, 4, err));
    uint32_t *known = o->selected.data, *unknown = o->selected_ids.data;
    for (int64_t i = 0; i < b->n_rows; i++) {
        known[n_known] = unknown[n_unknown] = (uint32_t)i;
        n_known += ids[i] != UINT32_MAX;
        n_unknown += ids[i] == UINT32_MAX;
    }
    *ret_known = n_unknown ? NULL : batch_ref(b);
    if (!n_unknown)
        return ST_OK;
    TRY(agg_spill_put(o->spill, b, set, unknown, n_unknown, err));
    if (!n_known)
        return ST_OK;
    for (uint32_t i = 0; i < n_known; i++)
        ids[i] = ids[known[i]];
    return batch_take(budget, b, known, n_known, ret_known, err);
}

static int update_known(struct aggregate_oper *o, struct batch *b, struct agg_rows *rows, struct error *err)
{
    if (!o->n_measures)
        return ST_OK;
    if (!rows->starts || o->frozen) /* putting rows aside has moved the others */
        TRY(find_runs(o, o->ids.data, b->n_rows, rows, err));
    return update_measures(o, b, rows, err);
}

static int aggregate_set(struct aggregate_oper *o, struct batch *b, uint32_t set, struct error *err)
{
    struct agg_rows rows;
    struct batch *known = b;
    TRY(map_groups(o, b, o->n_sets > 1 ? o->sets + (size_t)set * o->n_keys : NULL, &rows, err));
    if (o->frozen)
        TRY(put_aside(o, b, set, &known, err));
    int st = known ? update_known(o, known, &rows, err) : ST_OK;
    if (o->frozen)
        batch_unref(known);
    return st;
}

int aggregate_batch(struct aggregate_oper *o, struct batch *b, struct error *err)
{
    if (!o->groups) {
        uint32_t starts[2] = {0, (uint32_t)b->n_rows};
        struct agg_rows rows = {.n = b->n_rows, .starts = starts, .n_runs = 1};
        return update_measures(o, b, &rows, err);
    }
    if (o->part && o->n_sets > 1) {
        uint32_t set = agg_spill_set(b);
        if (set >= o->n_sets)
            return error_set(err, ST_CORRUPT, "a spill file holds rows of grouping set %u of %u", set, o->n_sets);
        return aggregate_set(o, b, set, err);
    }
    for (uint32_t s = 0; s < o->n_sets; s++)
        TRY(aggregate_set(o, b, s, err));
    return ST_OK;
}

/* Until the groups in memory are whole: at the end of the input, or where it has been cut. */
static int consume(struct aggregate_oper *o, struct error *err)
{
    TRY(aggregate_open(o, err));
    if (!o->started)
        aggregate_use_parts(o);
    o->started = true;
    for (bool over = false; !over && !o->cut;) {
        TRY(aggregate_take_in(o, &over, err));
        if (!over && !o->cut && !o->intake.part && aggregate_memory_is_short(o))
            TRY(aggregate_freeze(o, err));
    }
    for (uint32_t i = 0; i < o->n_measures; i++) {
        TRY(o->measures[i].agg->function->reserve(o->measures[i].agg, o->n_groups, err));
        TRY(aggregate_finish_distinct(o, &o->measures[i], err));
    }
    size_t bytes = o->groups ? group_table_bytes(o->groups) : 0;
    o->base.mem_bytes = bytes > o->base.mem_bytes ? bytes : o->base.mem_bytes;
    o->consumed = true;
    return ST_OK;
}

/* How many groups go into a batch: fewer when their states are large. */
static uint32_t batch_groups(const struct aggregate_oper *o)
{
    uint32_t n = OPER_BATCH_ROWS;
    for (uint32_t i = 0; i < o->n_measures; i++) {
        uint32_t bytes = o->measures[i].call.function->result_bytes;
        if (bytes > RESULT_BYTES_MAX / n)
            n = RESULT_BYTES_MAX / bytes;
    }
    return n;
}

void aggregate_close(struct aggregate_oper *o)
{
    group_table_free(o->groups);
    o->groups = NULL;
    for (uint32_t i = 0; i < o->n_measures; i++) {
        agg_free(o->measures[i].agg);
        o->measures[i].agg = NULL;
        aggregate_close_distinct(&o->measures[i]);
    }
}

/* The groups in memory have been given out: turns to the rest of the input, or to the next part on disk. False when there is none. */
static int go_on(struct aggregate_oper *o, bool *ret_more, struct error *err)
{
    *ret_more = o->cut;
    if (!o->cut) {
        spill_file_free(o->part);
        o->part = NULL;
        if (o->spill)
            TRY(agg_spill_take(o->spill, &o->part, &o->level, err));
        *ret_more = o->part != NULL;
    }
    if (!*ret_more)
        return ST_OK;
    aggregate_close(o);
    o->frozen = o->consumed = o->cut = false;
    o->n_groups = o->at = 0;
    o->since_cut = 0;
    return ST_OK;
}

static int aggregate_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct aggregate_oper *o = (struct aggregate_oper *)base;
    for (bool more = true; more && (!o->consumed || o->at == o->n_groups);) {
        if (!o->consumed)
            TRY(consume(o, err));
        if (o->at == o->n_groups)
            TRY(go_on(o, &more, err));
    }
    uint32_t n = o->n_groups - o->at, total = base->schema->n_fields, made = 0, n_keys = total - o->n_measures, most = batch_groups(o);
    if (n > most)
        n = most;
    if (n == 0) {
        *ret_batch = NULL;
        return ST_OK;
    }
    struct column **columns = calloc(total ? total : 1, sizeof *columns);
    int st = columns ? ST_OK : error_no_memory(err, total * sizeof *columns);
    for (; st == ST_OK && made < total; made += st == ST_OK) {
        if (made < n_keys)
            st = group_table_keys(o->groups, made, o->at, n, &columns[made], err);
        else
            st = agg_result(o->measures[made - n_keys].agg, o->at, n, &columns[made], err);
    }
    if (st == ST_OK)
        st = batch_new(base->schema, n, columns, ret_batch, err);
    else
        drop_columns(columns, made);
    free(columns);
    o->at += n;
    return st;
}

static void aggregate_free(struct oper *base)
{
    struct aggregate_oper *o = (struct aggregate_oper *)base;
    struct budget *budget = oper_budget(base);
    if (o->has_parts)
        oper_exchange_stop(base->input);
    if (o->is_part) {
        aggregate_close(o);
        free(o->measures);
    } else {
        for (uint32_t i = 0; i < o->n_measures; i++)
            oper_measure_release(&o->measures[i]);
        free(o->measures);
        free(o->keys);
        free(o->sets);
        free(o->forward);
        group_table_free(o->groups);
    }
    batch_unref(o->intake.rows);
    row_edge_release(&o->edge);
    runs_release(&o->runs, budget);
    vec_release(&o->heads, budget);
    spill_file_free(o->part);
    agg_spill_free(o->spill);
    vec_release(&o->ids, budget);
    vec_release(&o->starts, budget);
    vec_release(&o->selected, budget);
    vec_release(&o->selected_ids, budget);
    vec_release(&o->distinct_ids, budget);
    free(o);
}

static int aggregate_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    const struct aggregate_oper *o = (const struct aggregate_oper *)base;
    uint32_t n_keys = base->schema->n_fields - o->n_measures;
    (void)verbose;
    TRY(dynbuf_printf(out, err, "AggregateExec: mode=Single, gby=["));
    for (uint32_t k = 0; k < o->n_keys; k++)
        TRY(dynbuf_printf(out, err, "%s%s@%u as %s", k ? ", " : "", base->input->schema->fields[o->keys[k]]->name, o->keys[k],
                          base->schema->fields[k]->name));
    TRY(dynbuf_printf(out, err, "], aggr=["));
    for (uint32_t i = 0; i < o->n_measures; i++)
        TRY(dynbuf_printf(out, err, "%s%s", i ? ", " : "", base->schema->fields[n_keys + i]->name));
    if (o->n_forward == 0)
        return dynbuf_printf(out, err, "]");
    if (aggregate_is_ordered(o))
        return dynbuf_printf(out, err, "], ordering_mode=Sorted");
    TRY(dynbuf_printf(out, err, "], ordering_mode=PartiallySorted(["));
    for (uint32_t k = 0; k < o->n_forward; k++)
        TRY(dynbuf_printf(out, err, "%s%u", k ? ", " : "", o->forward[k]));
    return dynbuf_printf(out, err, "])");
}

static uint32_t aggregate_metrics(const struct oper *base, bool verbose, struct oper_metric *m)
{
    (void)verbose;
    m[0] = (struct oper_metric){"peak_mem_used", base->mem_bytes};
    return 1;
}

const struct oper_ops aggregate_ops = {aggregate_next, aggregate_free, aggregate_describe, aggregate_metrics};

int oper_aggregate_new(struct oper *input, const struct oper_aggregate_spec *spec, struct oper **ret_oper, struct error *err)
{
    struct aggregate_oper *o = calloc(1, sizeof *o);
    size_t set_bytes = spec->n_sets > 1 ? (size_t)spec->n_sets * spec->n_keys : 0;
    if (!o) {
        for (uint32_t i = 0; i < spec->n_measures; i++)
            oper_measure_release(&spec->measures[i]);
        free(spec->measures);
        oper_free(input);
        return error_no_memory(err, sizeof *o);
    }
    o->base = (struct oper){.ops = &aggregate_ops, .schema = schema_ref(spec->schema), .input = input, .work = input->work};
    o->measures = spec->measures;
    o->n_measures = spec->n_measures;
    o->n_keys = spec->n_keys;
    o->n_sets = spec->n_sets ? spec->n_sets : 1;
    o->keys = calloc(spec->n_keys ? spec->n_keys : 1, sizeof *o->keys);
    o->sets = calloc(set_bytes ? set_bytes : 1, 1);
    o->forward = calloc(spec->n_keys ? spec->n_keys : 1, sizeof *o->forward);
    if (!o->keys || !o->sets || !o->forward) {
        oper_free(&o->base);
        return error_no_memory(err, set_bytes);
    }
    assert(!spec->forward || o->n_sets == 1);
    for (uint32_t k = 0; spec->forward && k < spec->n_keys; k++)
        if (spec->forward[k])
            o->forward[o->n_forward++] = k;
    int st = row_edge_init(&o->edge, o->n_forward, err);
    if (st != ST_OK) {
        oper_free(&o->base);
        return st;
    }
    if (spec->n_keys)
        memcpy(o->keys, spec->keys, spec->n_keys * sizeof *o->keys);
    if (set_bytes)
        memcpy(o->sets, spec->sets, set_bytes);
    *ret_oper = &o->base;
    return ST_OK;
}
