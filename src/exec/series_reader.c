/* Whole series out of a stream of batches.
 *
 * Most series lie inside a batch: those are handed on as slices, many at a time. Only the one that crosses the border between two batches is copied,
 * joined from its pieces. Invariant: `pending` holds pieces of one series, in order, and nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/oper_series.h"

enum { CHUNK_ROWS_MAX = INT32_MAX }; /* rows are numbered by uint32 */

static const uint32_t *series_numbers(const struct batch *b)
{
    return COLUMN_VALUES(b->columns[b->schema->n_fields - 1], uint32_t);
}

static void drop_pending(struct series_reader *r)
{
    for (uint32_t i = 0; i < r->n_pending; i++)
        batch_unref(r->pending[i]);
    r->n_pending = 0;
}

/* Takes the piece. */
static int add_pending(struct series_reader *r, struct batch *piece, struct error *err)
{
    if (r->n_pending == r->pending_room) {
        uint32_t room = r->pending_room ? r->pending_room * 2 : 16;
        struct batch **grown = realloc(r->pending, room * sizeof *grown);
        if (!grown) {
            batch_unref(piece);
            return error_no_memory(err, room * sizeof *grown);
        }
        r->pending = grown;
        r->pending_room = room;
    }
    r->pending[r->n_pending++] = piece;
    return ST_OK;
}

/* Makes the chunk of rows that are whole series. Takes the batch. */
static int set_chunk(struct series_reader *r, struct batch *b, struct error *err)
{
    struct series_chunk *c = &r->chunk;
    const uint32_t *number = series_numbers(b);
    c->batch = b;
    TRY(vec_reserve(&c->starts, oper_budget(r->input), (size_t)b->n_rows + 1, sizeof(uint32_t), err));
    uint32_t *starts = VEC(&c->starts, uint32_t), n = 0;
    for (int64_t i = 0; i < b->n_rows; i++) {
        starts[n] = (uint32_t)i;
        n += i == 0 || number[i] != number[i - 1];
    }
    /* The slot behind the last start was overwritten by rows of its series. */
    starts[n] = (uint32_t)b->n_rows;
    c->n = n;
    r->n_series += n;
    return ST_OK;
}

/* The series in `pending` is over. */
static int finish_pending(struct series_reader *r, struct error *err)
{
    struct batch *all;
    int64_t rows = 0;
    for (uint32_t i = 0; i < r->n_pending; i++)
        rows += r->pending[i]->n_rows;
    if (rows > CHUNK_ROWS_MAX)
        return error_set(err, ST_EXHAUSTED, "a series has more than 2^31 samples");
    TRY(batch_concat(oper_budget(r->input), r->pending, r->n_pending, &all, err));
    drop_pending(r);
    return set_chunk(r, all, err);
}

/* Takes rows [start, end) of b away as a batch. */
static int cut(struct batch *b, int64_t start, int64_t end, struct batch **ret_piece, struct error *err)
{
    return batch_slice(b, start, end - start, ret_piece, err);
}

/* Rows of b that belong to the series of its first row, and where its last series starts. */
static void outer_series(const struct batch *b, int64_t *ret_first_end, int64_t *ret_last_start)
{
    const uint32_t *number = series_numbers(b);
    int64_t first = 1, last = b->n_rows - 1;
    while (first < b->n_rows && number[first] == number[0])
        first++;
    while (last > 0 && number[last - 1] == number[last])
        last--;
    *ret_first_end = first;
    *ret_last_start = last;
}

/* Deals a new batch out: to the pending series, to the chunk, and its last series to `pending`. Borrows b. */
static int deal(struct series_reader *r, struct batch *b, struct error *err)
{
    int64_t first_end, last_start;
    struct batch *piece;
    outer_series(b, &first_end, &last_start);
    if (r->n_pending) {
        struct batch *newest = r->pending[r->n_pending - 1];
        bool same = series_numbers(newest)[newest->n_rows - 1] == series_numbers(b)[0];
        int64_t from = same ? first_end : 0;
        if (same) {
            TRY(cut(b, 0, first_end, &piece, err));
            TRY(add_pending(r, piece, err));
        }
        if (from < b->n_rows) {
            TRY(cut(b, from, b->n_rows, &r->rest, err));
            return finish_pending(r, err);
        }
        return ST_OK;
    }
    TRY(cut(b, last_start, b->n_rows, &piece, err));
    TRY(add_pending(r, piece, err));
    if (last_start == 0)
        return ST_OK;
    TRY(cut(b, 0, last_start, &piece, err));
    return set_chunk(r, piece, err);
}

int series_reader_next(struct series_reader *r, struct error *err)
{
    batch_unref(r->chunk.batch);
    r->chunk.batch = NULL;
    r->chunk.n = 0;
    while (r->chunk.n == 0) {
        struct batch *b = r->rest;
        r->rest = NULL;
        if (!b)
            TRY(oper_next(r->input, &b, err));
        if (!b)
            return r->n_pending ? finish_pending(r, err) : ST_OK;
        int st = deal(r, b, err);
        batch_unref(b);
        TRY(st);
    }
    return ST_OK;
}

void series_reader_release(struct series_reader *r)
{
    drop_pending(r);
    free(r->pending);
    batch_unref(r->rest);
    batch_unref(r->chunk.batch);
    vec_release(&r->chunk.starts, oper_budget(r->input));
}

int series_print_columns(const struct oper *o, const char *start, const uint32_t *columns, uint32_t n, const char *quote, struct dynbuf *out,
                         struct error *err)
{
    TRY(dynbuf_printf(out, err, "%s[", start));
    for (uint32_t i = 0; i < n; i++)
        TRY(dynbuf_printf(out, err, "%s%s%s%s", i ? ", " : "", quote, o->schema->fields[columns[i]]->name, quote));
    return dynbuf_append_byte(out, ']', err);
}

int series_emit(const struct oper *o, const struct batch *chunk, const uint32_t *rows, uint32_t n, uint32_t time, const int64_t *times,
                struct column *const *replaced, struct batch **ret_batch, struct error *err)
{
    uint32_t n_columns = o->schema->n_fields, made = 0;
    struct column **columns = calloc(n_columns, sizeof *columns);
    int st = columns ? ST_OK : error_no_memory(err, n_columns * sizeof *columns);
    for (; st == ST_OK && made < n_columns; made += st == ST_OK) {
        uint32_t from = made + 1 == n_columns ? chunk->schema->n_fields - 1 : made;
        struct buffer *values;
        if (replaced && replaced[made]) {
            columns[made] = column_ref(replaced[made]);
        } else if (made == time) {
            st = buffer_new_uninit(oper_budget(o), n * sizeof *times, &values, err);
            if (st == ST_OK) {
                memcpy(values->data, times, n * sizeof *times);
                st = column_new(chunk->columns[time]->type, n, 0, NULL, values, NULL, &columns[made], err);
            }
        } else {
            st = column_take(oper_budget(o), chunk->columns[from], rows, n, &columns[made], err);
        }
    }
    if (st == ST_OK)
        st = batch_new(o->schema, n, columns, ret_batch, err);
    else
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    free(columns);
    return st;
}

uint32_t series_metrics(const struct oper *o, bool verbose, struct oper_metric *ret_metrics)
{
    (void)verbose;
    while (!o->n_series && o->input) /* who does not count passes on all that it is given */
        o = o->input;
    ret_metrics[0] = (struct oper_metric){"num_series", o->n_series};
    return 1;
}
