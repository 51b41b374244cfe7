/* Copying collected rows into one batch.
 *
 * Few long ranges are sliced and joined; many short ones are taken by index out of their joined batches. Dictionaries that differ between the batches
 * may each be far larger than the output (a memtable's holds every series), so only the values in use are joined. The key column gets a
 * dictionary of its own in which every key stands once: its codes ascend.
 */
#include "engine/mito/gather.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_RANGE 24 /* rows: below this average, index gathering beats slices */

void gather_init(struct gather *g, struct budget *budget, uint32_t n_columns)
{
    *g = (struct gather){.budget = budget, .n_columns = n_columns};
}

static void clear(struct gather *g)
{
    for (size_t i = 0; i < g->n_retired; i++)
        row_batch_free(g->retired[i]);
    g->n_retired = g->n_ranges = g->n_fills = 0;
    g->n_rows = 0;
}

void gather_release(struct gather *g)
{
    clear(g);
    free(g->ranges);
    free(g->fills);
    free(g->retired);
}

static int grow(void **array, size_t n, size_t *room, size_t size, struct error *err)
{
    if (n < *room)
        return ST_OK;
    size_t more = *room ? *room * 2 : 16;
    void *p = realloc(*array, more * size);
    if (!p)
        return error_no_memory(err, more * size);
    *array = p;
    *room = more;
    return ST_OK;
}

int gather_add(struct gather *g, const struct row_batch *batch, int64_t start, int64_t n, struct error *err)
{
    struct gather_range *last = g->n_ranges ? &g->ranges[g->n_ranges - 1] : NULL;
    if (n == 0)
        return ST_OK;
    if (last && last->batch == batch && last->start + last->n == start) {
        last->n += n;
    } else {
        TRY(grow((void **)&g->ranges, g->n_ranges, &g->ranges_room, sizeof *g->ranges, err));
        g->ranges[g->n_ranges++] = (struct gather_range){batch, start, n};
    }
    g->n_rows += n;
    return ST_OK;
}

int gather_fill_value(struct gather *g, int64_t out_row, uint32_t column, const struct row_batch *batch, int64_t row, struct error *err)
{
    TRY(grow((void **)&g->fills, g->n_fills, &g->fills_room, sizeof *g->fills, err));
    g->fills[g->n_fills++] = (struct gather_fill){out_row, column, batch, row};
    return ST_OK;
}

int gather_retire(struct gather *g, struct row_batch *batch, struct error *err)
{
    bool used = false;
    for (size_t i = g->n_ranges; i-- > 0 && !used;)
        used = g->ranges[i].batch == batch;
    for (size_t i = g->n_fills; i-- > 0 && !used;)
        used = g->fills[i].batch == batch;
    int st = used ? grow((void **)&g->retired, g->n_retired, &g->retired_room, sizeof *g->retired, err) : ST_OK;
    if (used && st == ST_OK)
        g->retired[g->n_retired++] = batch;
    else if (!used)
        row_batch_free(batch);
    else
        clear(g), row_batch_free(batch); /* the collected rows would point nowhere */
    return st;
}

/* ---- the plan of one gathering: pieces of batches, and maybe an order over their rows ---- */

struct plan {
    struct gather_range *pieces;
    uint32_t n_pieces;
    uint32_t *order; /* NULL = the pieces one after another */
};

static void plan_release(struct plan *p)
{
    free(p->pieces);
    free(p->order);
}

static uint32_t piece_of(const struct plan *p, const struct row_batch *batch, uint32_t hint)
{
    if (hint < p->n_pieces && p->pieces[hint].batch == batch)
        return hint;
    uint32_t i = 0;
    while (i < p->n_pieces && p->pieces[i].batch != batch)
        i++;
    return i;
}

/* One piece for each batch, from its first used row to its last, and the rows' places in them. */
static void plan_by_index(const struct gather *g, struct plan *p, int64_t *bases)
{
    uint32_t at = 0;
    for (size_t r = 0; r < g->n_ranges; r++) {
        const struct gather_range *range = &g->ranges[r];
        at = piece_of(p, range->batch, at + 1);
        if (at == p->n_pieces) {
            p->pieces[p->n_pieces++] = *range;
            continue;
        }
        struct gather_range *piece = &p->pieces[at];
        int64_t start = range->start < piece->start ? range->start : piece->start;
        int64_t end = range->start + range->n > piece->start + piece->n ? range->start + range->n : piece->start + piece->n;
        *piece = (struct gather_range){range->batch, start, end - start};
    }
    int64_t total = 0, out = 0;
    for (uint32_t i = 0; i < p->n_pieces; i++) {
        bases[i] = total - p->pieces[i].start;
        total += p->pieces[i].n;
    }
    for (size_t r = 0; r < g->n_ranges; r++) {
        at = piece_of(p, g->ranges[r].batch, at + 1);
        for (int64_t k = 0; k < g->ranges[r].n; k++)
            p->order[out++] = (uint32_t)(bases[at] + g->ranges[r].start + k);
    }
}

static int make_plan(const struct gather *g, struct plan *p, struct error *err)
{
    bool by_index = (size_t)g->n_rows < g->n_ranges * SHORT_RANGE;
    int64_t *bases = by_index ? malloc(g->n_ranges * sizeof *bases) : NULL;
    *p = (struct plan){.pieces = malloc(g->n_ranges * sizeof *p->pieces), .order = by_index ? malloc((size_t)g->n_rows * sizeof *p->order) : NULL};
    if (!p->pieces || (by_index && (!bases || !p->order))) {
        free(bases);
        plan_release(p);
        return error_no_memory(err, g->n_ranges * sizeof *p->pieces);
    }
    if (by_index) {
        plan_by_index(g, p, bases);
    } else {
        memcpy(p->pieces, g->ranges, g->n_ranges * sizeof *p->pieces);
        p->n_pieces = (uint32_t)g->n_ranges;
    }
    free(bases);
    return ST_OK;
}

/* ---- columns ---- */

static void unref_all(struct column **columns, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        column_unref(columns[i]);
    free(columns);
}

/* Replaces a dictionary by the values that the column uses: neighbours with one code share an entry. Null rows stay null by their validity. */
static int shrink_dictionary(struct budget *budget, struct column **column, struct error *err)
{
    struct column *c = *column, *values = NULL, *shrunk;
    struct buffer *codes = NULL, *validity = NULL;
    uint32_t *used = malloc(((size_t)c->length + 1) * sizeof *used), n = 0;
    int64_t nulls = column_null_count(c);
    int st = used ? buffer_new_uninit(budget, (size_t)c->length * 4, &codes, err) : error_no_memory(err, (size_t)c->length * 4);
    if (st == ST_OK && nulls)
        st = buffer_new(budget, bits_bytes(c->length), &validity, err);
    if (st == ST_OK) {
        const uint32_t *from = COLUMN_VALUES(c, uint32_t);
        uint32_t *to = (uint32_t *)(void *)codes->data;
        if (nulls)
            bits_copy(validity->data, 0, c->validity->data, c->offset, c->length);
        for (int64_t i = 0; i < c->length; i++) {
            uint32_t code = nulls && column_is_null(c, i) ? (n ? used[n - 1] : UINT32_MAX) : from[i];
            if (n == 0 || used[n - 1] != code)
                used[n++] = code;
            to[i] = n - 1;
        }
        st = column_take(budget, c->dictionary, used, n, &values, err);
    }
    free(used);
    if (st != ST_OK) {
        buffer_unref(codes);
        buffer_unref(validity);
        return st;
    }
    TRY(column_new_nested(c->type, c->length, nulls, validity, codes, &values, 1, &shrunk, err));
    column_unref(c);
    *column = shrunk;
    return ST_OK;
}

/* Gives pieces of one column the same shape, with dictionaries no larger than need be. */
static int unify(struct budget *budget, struct column **pieces, uint32_t n, struct error *err)
{
    uint32_t n_dictionaries = 0;
    bool differ = false;
    for (uint32_t i = 0; i < n; i++) {
        n_dictionaries += pieces[i]->type->id == TYPE_DICTIONARY;
        differ |= pieces[i]->dictionary != pieces[0]->dictionary;
    }
    if (n_dictionaries == 0 || !differ)
        return ST_OK;
    for (uint32_t i = 0; i < n; i++) {
        if (n_dictionaries == n) {
            if (pieces[i]->dictionary->length > pieces[i]->length)
                TRY(shrink_dictionary(budget, &pieces[i], err));
            continue;
        }
        struct column *plain;
        TRY(column_decode_dictionary(budget, pieces[i], &plain, err));
        column_unref(pieces[i]);
        pieces[i] = plain;
    }
    return ST_OK;
}

static int join(struct budget *budget, struct column **pieces, uint32_t n, const uint32_t *order, int64_t n_rows, struct column **ret_column, struct error *err)
{
    TRY(unify(budget, pieces, n, err));
    if (!order)
        return column_concat(budget, pieces, n, ret_column, err);
    struct column *all;
    TRY(column_concat(budget, pieces, n, &all, err));
    int st = column_take(budget, all, order, n_rows, ret_column, err);
    column_unref(all);
    return st;
}

/* Puts the fills of column k in place: base rows, then the filling values, taken in the right order. */
static int apply_fills(struct gather *g, uint32_t k, struct column **column, struct error *err)
{
    uint32_t n = 0, made = 1;
    for (size_t i = 0; i < g->n_fills; i++)
        n += g->fills[i].column == k;
    if (n == 0)
        return ST_OK;
    struct column **pieces = calloc(n + 1, sizeof *pieces), *filled;
    uint32_t *order = malloc((size_t)g->n_rows * sizeof *order);
    int st = pieces && order ? ST_OK : error_no_memory(err, (n + 1) * sizeof *pieces);
    if (st == ST_OK) {
        pieces[0] = column_ref(*column);
        for (int64_t i = 0; i < g->n_rows; i++)
            order[i] = (uint32_t)i;
        for (size_t i = 0; i < g->n_fills && st == ST_OK; i++) {
            const struct gather_fill *f = &g->fills[i];
            if (f->column != k)
                continue;
            st = column_slice(f->batch->columns[k], f->row, 1, &pieces[made], err);
            if (st == ST_OK)
                order[f->out_row] = (uint32_t)(g->n_rows + made++ - 1);
        }
    }
    if (st == ST_OK)
        st = join(g->budget, pieces, made, order, g->n_rows, &filled, err);
    if (st == ST_OK) {
        column_unref(*column);
        *column = filled;
    }
    free(order);
    if (pieces)
        unref_all(pieces, pieces[0] ? made : 0);
    return st;
}

typedef struct column *column_of(const struct row_batch *b, uint32_t k);
static struct column *nth(const struct row_batch *b, uint32_t k) { return b->columns[k]; }
static struct column *time_of(const struct row_batch *b, uint32_t k) { (void)k; return b->time; }

static int gather_column(const struct gather *g, const struct plan *p, column_of *get, uint32_t k, struct column **ret_column, struct error *err)
{
    struct column **pieces = calloc(p->n_pieces, sizeof *pieces);
    uint32_t made = 0;
    int st = pieces ? ST_OK : error_no_memory(err, p->n_pieces * sizeof *pieces);
    for (; st == ST_OK && made < p->n_pieces; made += st == ST_OK)
        st = column_slice(get(p->pieces[made].batch, k), p->pieces[made].start, p->pieces[made].n, &pieces[made], err);
    if (st == ST_OK)
        st = join(g->budget, pieces, p->n_pieces, p->order, g->n_rows, ret_column, err);
    unref_all(pieces, made);
    return st;
}

/* ---- keys, sequences, operations ---- */

/* Fills the codes and hands every key to `bytes` once. */
static int collect_keys(const struct gather *g, uint32_t *codes, struct column_builder *keys, struct error *err)
{
    const uint8_t *last = NULL;
    int32_t last_size = -1, size;
    int64_t out = 0;
    for (size_t r = 0; r < g->n_ranges; r++) {
        const struct column *key = g->ranges[r].batch->key;
        const uint32_t *from = COLUMN_VALUES(key, uint32_t) + g->ranges[r].start;
        for (int64_t i = 0; i < g->ranges[r].n; i++) {
            if (i == 0 || from[i] != from[i - 1]) {
                const uint8_t *bytes = column_bytes(key->dictionary, from[i], &size);
                if (size != last_size || (size && memcmp(bytes, last, (size_t)size) != 0))
                    TRY(column_builder_append_bytes(keys, bytes, (size_t)size, err));
                last = bytes;
                last_size = size;
            }
            codes[out++] = (uint32_t)(keys->length - 1);
        }
    }
    return ST_OK;
}

static int gather_keys(const struct gather *g, struct column **ret_key, struct error *err)
{
    struct column_builder keys;
    struct buffer *codes = NULL;
    struct column *dictionary = NULL;
    struct dtype *type = g->ranges[0].batch->key ? g->ranges[0].batch->key->type : NULL;
    *ret_key = NULL;
    if (!type)
        return ST_OK;
    TRY(column_builder_init(&keys, g->budget, type_of(TYPE_BINARY), err));
    int st = buffer_new_uninit(g->budget, (size_t)g->n_rows * 4, &codes, err);
    if (st == ST_OK)
        st = collect_keys(g, (uint32_t *)(void *)codes->data, &keys, err);
    if (st == ST_OK)
        st = column_builder_finish(&keys, &dictionary, err);
    column_builder_release(&keys);
    if (st != ST_OK) {
        buffer_unref(codes);
        return st;
    }
    return column_new_nested(type, g->n_rows, 0, NULL, codes, &dictionary, 1, ret_key, err);
}

static int gather_sequences(const struct gather *g, struct column **ret_sequence, uint64_t *ret_constant, struct error *err)
{
    const struct row_batch *first = g->ranges[0].batch;
    struct buffer *values;
    bool constant = true;
    for (size_t r = 0; r < g->n_ranges; r++)
        constant &= !g->ranges[r].batch->sequence && g->ranges[r].batch->constant_sequence == first->constant_sequence;
    *ret_constant = first->constant_sequence;
    *ret_sequence = NULL;
    if (constant)
        return ST_OK;
    TRY(buffer_new_uninit(g->budget, (size_t)g->n_rows * 8, &values, err));
    uint64_t *to = (uint64_t *)(void *)values->data;
    for (size_t r = 0; r < g->n_ranges; r++) {
        const struct gather_range *range = &g->ranges[r];
        if (range->batch->sequence)
            memcpy(to, COLUMN_VALUES(range->batch->sequence, uint64_t) + range->start, (size_t)range->n * 8);
        for (int64_t i = 0; !range->batch->sequence && i < range->n; i++)
            to[i] = range->batch->constant_sequence;
        to += range->n;
    }
    return column_new(type_of(TYPE_UINT64), g->n_rows, 0, NULL, values, NULL, ret_sequence, err);
}

static int gather_ops(const struct gather *g, struct column **ret_op, struct error *err)
{
    struct buffer *values;
    bool any = false;
    *ret_op = NULL;
    for (size_t r = 0; r < g->n_ranges; r++)
        any |= g->ranges[r].batch->op != NULL;
    if (!any)
        return ST_OK;
    TRY(buffer_new_uninit(g->budget, (size_t)g->n_rows, &values, err));
    uint8_t *to = values->data;
    for (size_t r = 0; r < g->n_ranges; r++) {
        const struct gather_range *range = &g->ranges[r];
        if (range->batch->op)
            memcpy(to, COLUMN_VALUES(range->batch->op, uint8_t) + range->start, (size_t)range->n);
        else
            memset(to, OP_PUT, (size_t)range->n);
        to += range->n;
    }
    if (!memchr(values->data, OP_DELETE, (size_t)g->n_rows)) {
        buffer_unref(values);
        return ST_OK;
    }
    return column_new(type_of(TYPE_UINT8), g->n_rows, 0, NULL, values, NULL, ret_op, err);
}

static int copy_rows(struct gather *g, const struct plan *p, struct row_batch **ret_batch, struct error *err)
{
    struct column *key = NULL, *time = NULL, *sequence = NULL, *op = NULL;
    struct column **columns = calloc(g->n_columns + 1, sizeof *columns);
    uint64_t constant = 0;
    uint32_t made = 0;
    int st = columns ? gather_keys(g, &key, err) : error_no_memory(err, g->n_columns * sizeof *columns);
    if (st == ST_OK)
        st = gather_column(g, p, time_of, 0, &time, err);
    if (st == ST_OK)
        st = gather_sequences(g, &sequence, &constant, err);
    if (st == ST_OK)
        st = gather_ops(g, &op, err);
    while (st == ST_OK && made < g->n_columns) {
        st = gather_column(g, p, nth, made, &columns[made], err);
        if (st == ST_OK)
            st = apply_fills(g, made, &columns[made], err), made++;
    }
    if (st == ST_OK) {
        st = row_batch_new(g->n_rows, key, time, sequence, constant, op, columns, g->n_columns, ret_batch, err);
        free(columns);
        return st;
    }
    column_unref(key);
    column_unref(time);
    column_unref(sequence);
    column_unref(op);
    if (columns)
        unref_all(columns, made);
    return st;
}

int gather_finish(struct gather *g, struct row_batch **ret_batch, struct error *err)
{
    struct plan plan;
    assert(g->n_ranges > 0);
    int st;
    if (g->n_ranges == 1 && g->n_fills == 0) {
        st = row_batch_slice(g->ranges[0].batch, g->ranges[0].start, g->ranges[0].n, ret_batch, err);
    } else {
        st = make_plan(g, &plan, err);
        if (st == ST_OK) {
            st = copy_rows(g, &plan, ret_batch, err);
            plan_release(&plan);
        }
    }
    clear(g);
    return st;
}
