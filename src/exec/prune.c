/* Column pruning.
 *
 * Top-down, a relation is told which of its output columns are needed; it tells its input, is given back a map from the input's old column numbers
 * to the new ones (NONE = gone), renumbers its own expressions, and gives its caller its own map. Filters and sorts get an `emit` so that columns
 * used only by them go no further. Expression trees are not shared between relations, so each is renumbered exactly once.
 */
#include "exec/prune.h"

#include <string.h>

enum { NONE = UINT32_MAX };

struct pruner {
    struct arena *arena;
    const struct table *table;
    const struct plan_rel *read; /* the one that reads `table` */
};

static int direct_width(const struct plan_rel *rel, uint32_t *ret_width, struct error *err)
{
    uint32_t in = 0;
    if (rel->input)
        TRY(plan_rel_width(rel->input, &in, err));
    switch (rel->kind) {
    case PLAN_READ: case PLAN_VALUES: *ret_width = rel->has_projection ? rel->n_projection : rel->n_columns; return ST_OK;
    case PLAN_UNION: *ret_width = in; return ST_OK;
    case PLAN_FILTER: case PLAN_FETCH: case PLAN_SORT: *ret_width = in; return ST_OK;
    case PLAN_PROJECT: *ret_width = in + rel->n_exprs; return ST_OK;
    case PLAN_AGGREGATE: *ret_width = rel->n_exprs + (rel->n_groupings > 1) + rel->n_measures; return ST_OK;
    case PLAN_EXTENSION:
        if (!rel->series)
            return error_set(err, ST_UNEXPECTED, "the extension node '%s' is not supported", rel->name);
        *ret_width = in + (rel->series->kind == PLAN_RANGE_MANIPULATE);
        return ST_OK;
    default: return error_set(err, ST_UNEXPECTED, "relation '%s' is not supported", rel->name ? rel->name : "?");
    }
}

int plan_rel_width(const struct plan_rel *rel, uint32_t *ret_width, struct error *err)
{
    uint32_t direct;
    TRY(direct_width(rel, &direct, err));
    for (uint32_t i = 0; rel->has_emit && i < rel->n_emit; i++)
        if (rel->emit[i] >= direct)
            return error_set(err, ST_PLAN_QUERY, "emit names column %u of %u", rel->emit[i], direct);
    *ret_width = rel->has_emit ? rel->n_emit : direct;
    return ST_OK;
}

static int mark(const struct plan_expr *e, bool *used, uint32_t width, struct error *err)
{
    if (e->kind == PLAN_FIELD) {
        if (e->field >= width)
            return error_set(err, ST_PLAN_QUERY, "a field reference names column %u of %u", e->field, width);
        used[e->field] = true;
        return ST_OK;
    }
    for (uint32_t i = 0; i < e->n_args; i++)
        TRY(mark(e->args[i], used, width, err));
    return ST_OK;
}

static void renumber(struct plan_expr *e, const uint32_t *map)
{
    if (e->kind == PLAN_FIELD) {
        e->field = map[e->field];
        return;
    }
    for (uint32_t i = 0; i < e->n_args; i++)
        renumber(e->args[i], map);
}

static int prune(struct pruner *p, struct plan_rel *rel, const bool *needed, uint32_t *ret_map, struct error *err);

/* Prunes the input and reports its old width. The arrays live in the arena. */
static int prune_input(struct pruner *p, struct plan_rel *rel, bool *used, uint32_t width, uint32_t **ret_map, struct error *err)
{
    uint32_t *map = ARENA_ARRAY(p->arena, width ? width : 1, uint32_t, err);
    if (!map)
        return ST_NO_MEMORY;
    TRY(prune(p, rel->input, used, map, err));
    *ret_map = map;
    return ST_OK;
}

static int prune_read(struct pruner *p, struct plan_rel *rel, const bool *needed, uint32_t width, uint32_t *map, struct error *err)
{
    uint32_t *projection = ARENA_ARRAY(p->arena, width ? width : 1, uint32_t, err), n = 0;
    if (!projection)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < width; i++) {
        map[i] = needed[i] ? n : NONE;
        if (needed[i])
            projection[n++] = rel->has_projection ? rel->projection[i] : i;
    }
    rel->has_projection = true;
    rel->projection = projection;
    rel->n_projection = n;
    return ST_OK;
}

/* Filter, sort and fetch: the input's columns pass through. */
static int prune_pass(struct pruner *p, struct plan_rel *rel, const bool *needed, uint32_t width, uint32_t *map, struct error *err)
{
    bool *used = ARENA_ARRAY(p->arena, width ? width : 1, bool, err);
    uint32_t *in;
    if (!used)
        return ST_NO_MEMORY;
    memcpy(used, needed, width);
    if (rel->kind == PLAN_FILTER)
        TRY(mark(rel->filter, used, width, err));
    for (uint32_t i = 0; rel->kind == PLAN_SORT && i < rel->n_sorts; i++)
        TRY(mark(rel->sorts[i].expr, used, width, err));
    TRY(prune_input(p, rel, used, width, &in, err));
    if (rel->kind == PLAN_FILTER)
        renumber(rel->filter, in);
    for (uint32_t i = 0; rel->kind == PLAN_SORT && i < rel->n_sorts; i++)
        renumber(rel->sorts[i].expr, in);
    memcpy(map, in, width * sizeof *map);
    return ST_OK;
}

static int prune_project(struct pruner *p, struct plan_rel *rel, const bool *needed, uint32_t *map, struct error *err)
{
    uint32_t width, n = 0, left, *in;
    TRY(plan_rel_width(rel->input, &width, err));
    bool *used = ARENA_ARRAY(p->arena, width ? width : 1, bool, err);
    if (!used)
        return ST_NO_MEMORY;
    memcpy(used, needed, width);
    for (uint32_t i = 0; i < rel->n_exprs; i++)
        if (needed[width + i])
            TRY(mark(rel->exprs[i], used, width, err));
    TRY(prune_input(p, rel, used, width, &in, err));
    TRY(plan_rel_width(rel->input, &left, err));
    memcpy(map, in, width * sizeof *map);
    for (uint32_t i = 0; i < rel->n_exprs; i++) {
        map[width + i] = needed[width + i] ? left + n : NONE;
        if (!needed[width + i])
            continue;
        renumber(rel->exprs[i], in);
        rel->exprs[n++] = rel->exprs[i];
    }
    rel->n_exprs = n;
    return ST_OK;
}

/* The table column that a relation's column comes from unchanged (rows may be missing or more often there), NULL when it is computed. */
static const struct field *origin(const struct pruner *p, const struct plan_rel *rel, uint32_t column)
{
    for (; rel && p->table; rel = rel->input) {
        uint32_t in;
        if (rel->has_emit) {
            if (column >= rel->n_emit)
                return NULL;
            column = rel->emit[column];
        }
        if (rel->kind == PLAN_READ) {
            if (rel != p->read)
                return NULL;
            if (column >= (rel->has_projection ? rel->n_projection : rel->n_columns))
                return NULL;
            column = rel->has_projection ? rel->projection[column] : column;
            int at = column < rel->n_columns ? schema_find(p->table->schema, rel->column_names[column]) : -1;
            return at >= 0 ? p->table->schema->fields[at] : NULL;
        }
        if (rel->kind == PLAN_PROJECT) {
            if (plan_rel_width(rel->input, &in, NULL) != ST_OK)
                return NULL;
            if (column >= in) {
                if (column - in >= rel->n_exprs || rel->exprs[column - in]->kind != PLAN_FIELD)
                    return NULL;
                column = rel->exprs[column - in]->field;
            }
        } else if (rel->kind == PLAN_EXTENSION) {
            /* The time column is computed; range columns are of another type. */
            if (!rel->series || rel->series->kind == PLAN_RANGE_MANIPULATE || column == rel->series->time)
                return NULL;
        } else if (rel->kind != PLAN_FILTER && rel->kind != PLAN_SORT && rel->kind != PLAN_FETCH) {
            return NULL;
        }
    }
    return NULL;
}

static bool never_null(const struct pruner *p, const struct plan_rel *rel, uint32_t column)
{
    const struct field *f = origin(p, rel, column);
    return f && !f->nullable;
}

/* count(x) of an x that is never NULL counts rows. */
static void simplify_count(const struct pruner *p, const struct plan_rel *rel, struct plan_measure *m)
{
    if (m->distinct || (strcmp(m->name, "count") != 0 && strcmp(m->name, "__count_state") != 0))
        return;
    for (uint32_t i = 0; i < m->n_args; i++) {
        const struct plan_expr *e = m->args[i];
        bool sure = e->kind == PLAN_FIELD ? never_null(p, rel->input, e->field) : e->kind == PLAN_LITERAL && !column_is_null(e->literal, 0);
        if (!sure)
            return;
    }
    m->n_args = 0;
}

static int mark_measure(const struct plan_measure *m, bool *used, uint32_t width, struct error *err)
{
    for (uint32_t i = 0; i < m->n_args; i++)
        TRY(mark(m->args[i], used, width, err));
    for (uint32_t i = 0; i < m->n_sorts; i++)
        TRY(mark(m->sorts[i].expr, used, width, err));
    return m->filter ? mark(m->filter, used, width, err) : ST_OK;
}

static int prune_aggregate(struct pruner *p, struct plan_rel *rel, const bool *needed, uint32_t *map, struct error *err)
{
    uint32_t width, keys = rel->n_exprs + (rel->n_groupings > 1), n = 0, *in;
    TRY(plan_rel_width(rel->input, &width, err));
    bool *used = ARENA_ARRAY(p->arena, width ? width : 1, bool, err);
    if (!used)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < keys; i++)
        map[i] = i;
    for (uint32_t i = 0; i < rel->n_exprs; i++)
        TRY(mark(rel->exprs[i], used, width, err));
    for (uint32_t i = 0; i < rel->n_measures; i++) {
        bool keep = needed[keys + i] || (keys == 0 && i == 0);
        map[keys + i] = keep ? keys + n : NONE;
        if (!keep)
            continue;
        struct plan_measure *m = &rel->measures[n++];
        *m = rel->measures[i];
        simplify_count(p, rel, m);
        TRY(mark_measure(m, used, width, err));
    }
    rel->n_measures = n;
    TRY(prune_input(p, rel, used, width, &in, err));
    for (uint32_t i = 0; i < rel->n_exprs; i++)
        renumber(rel->exprs[i], in);
    for (uint32_t i = 0; i < n; i++) {
        struct plan_measure *m = &rel->measures[i];
        for (uint32_t k = 0; k < m->n_args; k++)
            renumber(m->args[k], in);
        for (uint32_t k = 0; k < m->n_sorts; k++)
            renumber(m->sorts[k].expr, in);
        if (m->filter)
            renumber(m->filter, in);
    }
    return ST_OK;
}

/* ---- PromQL nodes ---- */

/* Is a relation's output cut into series by a SeriesDivide below? Else the nodes that need series take every other column for a label. */
static bool has_series(const struct plan_rel *rel)
{
    for (; rel; rel = rel->input) {
        if (rel->kind == PLAN_EXTENSION && rel->series && rel->series->kind == PLAN_SERIES_DIVIDE)
            return true;
        if (rel->kind != PLAN_EXTENSION && rel->kind != PLAN_PROJECT && rel->kind != PLAN_FILTER && rel->kind != PLAN_FETCH)
            return false;
    }
    return false;
}

static int mark_column(const struct plan_rel *rel, uint32_t column, bool *used, uint32_t width, struct error *err)
{
    if (column >= width)
        return error_set(err, ST_INTERNAL, "%s names column %u of %u", rel->name, column, width);
    used[column] = true;
    return ST_OK;
}

/* The columns that a node reads, whether or not those above want them. */
static int mark_series(const struct pruner *p, const struct plan_rel *rel, bool *used, uint32_t width, struct error *err)
{
    const struct plan_series *s = rel->series;
    bool labels = (s->kind == PLAN_INSTANT_MANIPULATE || s->kind == PLAN_RANGE_MANIPULATE) && !has_series(rel->input);
    TRY(mark_column(rel, s->time, used, width, err));
    if (s->kind == PLAN_INSTANT_MANIPULATE && s->field != PLAN_NO_COLUMN)
        TRY(mark_column(rel, s->field, used, width, err));
    for (uint32_t i = 0; i < s->n_columns && s->kind == PLAN_SERIES_DIVIDE; i++)
        TRY(mark_column(rel, s->columns[i], used, width, err));
    for (uint32_t i = 0; i < width; i++) {
        const struct field *f = origin(p, rel->input, i);
        if (labels || (s->filter_nan && (!f || f->type->id == TYPE_FLOAT64)))
            used[i] = true;
    }
    return ST_OK;
}

/* A RangeManipulate's fields that nobody wants are no fields any more, and a SeriesNormalize does without its tags. */
static int prune_series(struct pruner *p, struct plan_rel *rel, const bool *needed, uint32_t *map, struct error *err)
{
    struct plan_series *s = rel->series;
    uint32_t width, left, n = 0, *in;
    TRY(plan_rel_width(rel->input, &width, err));
    bool *used = ARENA_ARRAY(p->arena, width ? width : 1, bool, err);
    if (!used)
        return ST_NO_MEMORY;
    memcpy(used, needed, width);
    TRY(mark_series(p, rel, used, width, err));
    for (uint32_t i = 0; i < s->n_columns; i++)
        if (s->columns[i] >= width)
            return error_set(err, ST_INTERNAL, "%s names column %u of %u", rel->name, s->columns[i], width);
    TRY(prune_input(p, rel, used, width, &in, err));
    TRY(plan_rel_width(rel->input, &left, err));
    for (uint32_t i = 0; i < s->n_columns; i++)
        if (s->kind != PLAN_SERIES_NORMALIZE && in[s->columns[i]] != NONE)
            s->columns[n++] = in[s->columns[i]];
    s->n_columns = n;
    s->time = in[s->time];
    if (s->kind == PLAN_INSTANT_MANIPULATE && s->field != PLAN_NO_COLUMN)
        s->field = in[s->field];
    memcpy(map, in, width * sizeof *map);
    if (s->kind == PLAN_RANGE_MANIPULATE)
        map[width] = left;
    return ST_OK;
}

/* Gives filters and sorts an emit of their own, so that the generic part below can drop columns behind them. */
static int add_emit(struct pruner *p, struct plan_rel *rel, uint32_t width, struct error *err)
{
    if (rel->has_emit || (rel->kind != PLAN_FILTER && rel->kind != PLAN_SORT))
        return ST_OK;
    rel->emit = ARENA_ARRAY(p->arena, width ? width : 1, uint32_t, err);
    if (!rel->emit)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < width; i++)
        rel->emit[i] = i;
    rel->n_emit = width;
    rel->has_emit = true;
    return ST_OK;
}

/* All inputs of a union keep all their columns. */
static int prune_union(struct pruner *p, struct plan_rel *rel, uint32_t width, uint32_t *map, struct error *err)
{
    bool *all = ARENA_ARRAY(p->arena, width ? width : 1, bool, err);
    uint32_t other, *ignored;
    if (!all)
        return ST_NO_MEMORY;
    memset(all, true, width);
    TRY(prune(p, rel->input, all, map, err));
    for (uint32_t i = 0; i < rel->n_others; i++) {
        TRY(plan_rel_width(rel->others[i], &other, err));
        if (other != width)
            return error_set(err, ST_PLAN_QUERY, "a union of relations with %u and %u columns", width, other);
        ignored = ARENA_ARRAY(p->arena, width ? width : 1, uint32_t, err);
        if (!ignored)
            return ST_NO_MEMORY;
        TRY(prune(p, rel->others[i], all, ignored, err));
    }
    return ST_OK;
}

static int prune_direct(struct pruner *p, struct plan_rel *rel, const bool *needed, uint32_t width, uint32_t *map, struct error *err)
{
    switch (rel->kind) {
    case PLAN_READ: case PLAN_VALUES: return prune_read(p, rel, needed, width, map, err);
    case PLAN_UNION: return prune_union(p, rel, width, map, err);
    case PLAN_PROJECT: return prune_project(p, rel, needed, map, err);
    case PLAN_AGGREGATE: return prune_aggregate(p, rel, needed, map, err);
    case PLAN_EXTENSION: return prune_series(p, rel, needed, map, err);
    default: return prune_pass(p, rel, needed, width, map, err);
    }
}

static int prune(struct pruner *p, struct plan_rel *rel, const bool *needed, uint32_t *ret_map, struct error *err)
{
    uint32_t width, n = 0;
    TRY(direct_width(rel, &width, err));
    TRY(add_emit(p, rel, width, err));
    if (!rel->has_emit)
        return prune_direct(p, rel, needed, width, ret_map, err);
    bool *direct = ARENA_ARRAY(p->arena, width ? width : 1, bool, err);
    uint32_t *map = ARENA_ARRAY(p->arena, width ? width : 1, uint32_t, err);
    uint32_t *emit = ARENA_ARRAY(p->arena, rel->n_emit ? rel->n_emit : 1, uint32_t, err);
    if (!direct || !map || !emit)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < rel->n_emit; i++)
        direct[rel->emit[i]] |= needed[i];
    TRY(prune_direct(p, rel, direct, width, map, err));
    for (uint32_t i = 0; i < rel->n_emit; i++) {
        ret_map[i] = needed[i] ? n : NONE;
        if (needed[i])
            emit[n++] = map[rel->emit[i]];
    }
    rel->emit = emit;
    rel->n_emit = n;
    return ST_OK;
}

int plan_prune(struct plan_rel *root, const struct plan_rel *read, const struct table *table, struct arena *arena, struct error *err)
{
    struct pruner p = {arena, table, read};
    uint32_t width;
    TRY(plan_rel_width(root, &width, err));
    bool *needed = ARENA_ARRAY(arena, width ? width : 1, bool, err);
    uint32_t *map = ARENA_ARRAY(arena, width ? width : 1, uint32_t, err);
    if (!needed || !map)
        return ST_NO_MEMORY;
    memset(needed, true, width);
    return prune(&p, root, needed, map, err);
}
