/* What the order of a scan says of the keys of a group-by.
 *
 * A scan in key order gives rows in the order of (key columns, time). Filters and projections leave it as it is. The values of the first key columns,
 * taken together, never come back once left, and where these are all key columns, neither do they together with anything that rises with time. A
 * column of which a filter leaves one value takes no part: the order of the others is the same without it. Where that leaves the time alone the rows
 * come in the order of their time: then a table that keeps each series in that order need not be asked for anything.
 */
#include "exec/bind_internal.h"
#include "exec/oper_compute.h"

/* Marks the keys that are the table's column, or like it; whether there are any. */
static bool mark(const struct bound *in, const uint32_t *keys, uint32_t n, int32_t source, bool *forward)
{
    bool any = false;
    for (uint32_t k = 0; k < n; k++) {
        if (in->source[keys[k]] != source)
            continue;
        forward[k] = true;
        any = true;
    }
    return any;
}

/* The keys that a scan in key order keeps together; *ret_columns: of them, key columns that may have several values. */
static bool mark_ordered(const struct bound *in, const uint32_t *keys, uint32_t n, bool *forward, uint32_t *ret_columns)
{
    const struct table *t = in->table;
    bool all = true, any = false;
    *ret_columns = 0;
    for (uint32_t c = 0; c < t->n_key && all; c++) {
        bool is_fixed = in->fixed[t->key[c]];
        all = binder_orders_as_key(t->schema->fields[t->key[c]]->type);
        if (all && !is_fixed) {
            all = mark(in, keys, n, (int32_t)t->key[c], forward);
            *ret_columns += all;
        }
    }
    any = *ret_columns > 0;
    if (all && t->time_index >= 0) {
        any |= mark(in, keys, n, t->time_index, forward);
        any |= mark(in, keys, n, RISES_WITH_TIME, forward);
    }
    for (uint32_t c = 0; any && c < t->n_key; c++)
        if (in->fixed[t->key[c]])
            mark(in, keys, n, (int32_t)t->key[c], forward);
    return any;
}

bool binder_group_order(struct bound *in, const uint32_t *keys, uint32_t n, bool *ret_forward)
{
    uint32_t columns;
    if (!in->scan || in->reordered || !n || !mark_ordered(in, keys, n, ret_forward, &columns))
        return false;
    if (columns == 0 && in->table->series_ordered)
        return true;
    if (!in->table->key_ordered || !oper_scan_in_key_order(in->scan))
        return false;
    oper_scan_set_key_order(in->scan);
    return true;
}
