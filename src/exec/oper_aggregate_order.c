/* Aggregation of input in an order in which groups end: where the binder has proved (exec/bind_group.c) that some keys, taken together, never come
 * back to values that they have left, all groups with the values before are whole once these keys change.
 *
 * When there are many groups, or many rows have gone into them, the input is cut at the next such change: the groups are given out, and the tables
 * begin anew with the row behind it. So the memory is that of some thousand groups, or of all that share values of these keys, and a LIMIT above ends
 * the scan. Where these are all the keys there is no hash table either (exec/group_runs.h). Parts of the input that have aggregated by themselves are
 * taken in the same way: their groups are in the input's order, and the last of one part goes on as the first of the next.
 *
 * Groups are given out in the order in which they begin, as from a hash table.
 */
#include <stdlib.h>

#include "exec/oper_aggregate.h"
#include "exec/oper_exchange.h"

enum { CUT_GROUPS = 4096, CUT_ROWS = 131072 };

/* Makes sure that there is something to take in; a part that has kept nothing leaves nothing. */
static int fill(struct aggregate_oper *o, bool *ret_over, struct error *err)
{
    struct batch *b;
    bool joined = false;
    if (o->intake.rows || o->intake.part)
        return ST_OK;
    if (o->part)
        TRY(spill_file_next(o->part, &b, err));
    else if (o->has_parts && o->n_forward)
        TRY(oper_exchange_next(o->base.input, &b, &joined, err));
    else
        TRY(oper_next(o->base.input, &b, err));
    *ret_over = !b && !joined;
    if (!b)
        return ST_OK;
    o->intake = (struct aggregate_intake){.rows = b, .n = b->n_rows};
    if (b->n_rows > INT32_MAX)
        return error_set(err, ST_UNSUPPORTED, "a batch of more than 2^31 rows");
    return o->part ? work_check(o->base.work, err) : ST_OK;
}

/* The forward keys of what comes next; one reference each. */
static int forward_columns(const struct aggregate_oper *o, const struct batch *rows, int64_t n, struct column **ret_columns, struct error *err)
{
    const struct aggregate_intake *in = &o->intake;
    for (uint32_t k = 0; k < o->n_forward; k++) {
        int st = ST_OK;
        if (rows)
            ret_columns[k] = column_ref(rows->columns[o->keys[o->forward[k]]]);
        else
            st = group_table_keys(in->part->groups, o->forward[k], (uint32_t)in->at, (uint32_t)n, &ret_columns[k], err);
        if (st == ST_OK)
            continue;
        while (k > 0)
            column_unref(ret_columns[--k]);
        return st;
    }
    return ST_OK;
}

/* The first row at which the forward keys change; n = none. */
static int find_change(struct aggregate_oper *o, struct column *const *columns, int64_t n, int64_t *ret_row, struct error *err)
{
    uint32_t n_runs;
    *ret_row = 0;
    if (row_edge_differs(&o->edge, columns, 0))
        return ST_OK;
    TRY(runs_find(&o->runs, oper_budget(&o->base), columns, o->n_forward, n, (uint32_t)n, &n_runs, err));
    const uint32_t *starts = o->runs.starts.data;
    uint32_t r = 1;
    while (r < n_runs && !rows_differ(columns, o->n_forward, starts[r]))
        r++;
    *ret_row = starts[r];
    return ST_OK;
}

static bool is_due(const struct aggregate_oper *o)
{
    return !o->spill && (o->n_groups >= CUT_GROUPS || (o->n_groups && o->since_cut >= CUT_ROWS) || aggregate_memory_is_short(o));
}

/* Up to where what comes next is taken in: *n, of which less is left where a cut falls into it. */
static int find_end(struct aggregate_oper *o, const struct batch *rows, int64_t *n, struct error *err)
{
    struct column **columns = calloc(o->n_forward, sizeof *columns);
    int64_t whole = *n;
    if (!columns)
        return error_no_memory(err, o->n_forward * sizeof *columns);
    int st = forward_columns(o, rows, whole, columns, err);
    if (st == ST_OK) {
        if (is_due(o))
            st = find_change(o, columns, whole, n, err);
        o->cut = st == ST_OK && *n < whole;
        if (st == ST_OK && *n > 0)
            st = row_edge_keep(&o->edge, oper_budget(&o->base), columns, *n - 1, err);
        for (uint32_t k = 0; k < o->n_forward; k++)
            column_unref(columns[k]);
    }
    free(columns);
    return st;
}

static int take_rows(struct aggregate_oper *o, struct batch *rows, int64_t n, struct error *err)
{
    struct batch *some;
    if (n == rows->n_rows)
        return aggregate_batch(o, rows, err);
    TRY(batch_slice(rows, 0, n, &some, err));
    int st = aggregate_batch(o, some, err);
    batch_unref(some);
    return st;
}

/* The next piece of what is there. `rows` are those that are left, NULL = groups. */
static int take_piece(struct aggregate_oper *o, struct batch *rows, struct error *err)
{
    struct aggregate_intake *in = &o->intake;
    int64_t n = in->n - in->at;
    if (!rows && n > OPER_BATCH_ROWS)
        n = OPER_BATCH_ROWS;
    if (o->n_forward)
        TRY(find_end(o, rows, &n, err));
    if (n > 0)
        TRY(rows ? take_rows(o, rows, n, err) : aggregate_take_groups(o, in->part, (uint32_t)in->at, (uint32_t)n, err));
    in->at += n;
    o->since_cut += n;
    return ST_OK;
}

int aggregate_take_in(struct aggregate_oper *o, bool *ret_over, struct error *err)
{
    struct aggregate_intake *in = &o->intake;
    struct batch *rows = NULL;
    TRY(fill(o, ret_over, err));
    if (!in->rows && !in->part)
        return ST_OK;
    if (in->rows && in->at)
        TRY(batch_slice(in->rows, in->at, in->n - in->at, &rows, err));
    else if (in->rows)
        rows = batch_ref(in->rows);
    int st = take_piece(o, rows, err);
    batch_unref(rows);
    if (st != ST_OK || in->at < in->n)
        return st;
    o->since_cut += in->part ? in->part->rows : 0;
    if (in->part)
        aggregate_close(in->part);
    batch_unref(in->rows);
    *in = (struct aggregate_intake){0};
    return ST_OK;
}
