/* Row batches: the pieces that sorted sources hand on. A batch owns one reference to each of its columns, and all of them have n_rows rows. */
#include "engine/mito/source.h"

#include <assert.h>
#include <stdlib.h>

int row_batch_new(int64_t n_rows, struct column *key, struct column *time, struct column *sequence, uint64_t constant_sequence, struct column *op,
                  struct column *const *columns, uint32_t n_columns, struct row_batch **ret_batch, struct error *err)
{
    struct row_batch *b = calloc(1, sizeof *b);
    struct column **own = calloc(n_columns + 1, sizeof *own);
    if (!b || !own) {
        free(b);
        free(own);
        column_unref(key);
        column_unref(time);
        column_unref(sequence);
        column_unref(op);
        for (uint32_t i = 0; i < n_columns; i++)
            column_unref(columns[i]);
        return error_no_memory(err, sizeof *b + n_columns * sizeof *own);
    }
    *b = (struct row_batch){.n_rows = n_rows, .key = key, .time = time, .sequence = sequence, .constant_sequence = constant_sequence, .op = op,
                            .n_columns = n_columns, .columns = own};
    for (uint32_t i = 0; i < n_columns; i++) {
        assert(columns[i]->length == n_rows);
        own[i] = columns[i];
    }
    *ret_batch = b;
    return ST_OK;
}

void row_batch_free(struct row_batch *b)
{
    if (!b)
        return;
    column_unref(b->key);
    column_unref(b->time);
    column_unref(b->sequence);
    column_unref(b->op);
    for (uint32_t i = 0; i < b->n_columns; i++)
        column_unref(b->columns[i]);
    free(b->columns);
    free(b);
}

int64_t row_batch_text_bytes(const struct row_batch *b, int64_t start, int64_t end)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < b->n_columns; i++)
        if (type_is_varlen(b->columns[i]->type))
            bytes += COLUMN_VALUES(b->columns[i], int32_t)[end] - COLUMN_VALUES(b->columns[i], int32_t)[start];
    return bytes;
}

static int slice_optional(struct column *c, int64_t start, int64_t n, struct column **ret_column, struct error *err)
{
    return c ? column_slice(c, start, n, ret_column, err) : ST_OK;
}

int row_batch_slice(const struct row_batch *b, int64_t start, int64_t n, struct row_batch **ret_batch, struct error *err)
{
    struct row_batch *s = calloc(1, sizeof *s);
    struct column **own = calloc(b->n_columns + 1, sizeof *own);
    if (!s || !own) {
        free(s);
        free(own);
        return error_no_memory(err, sizeof *s);
    }
    *s = (struct row_batch){.n_rows = n, .constant_sequence = b->constant_sequence, .n_columns = b->n_columns, .columns = own};
    int st = slice_optional(b->key, start, n, &s->key, err);
    if (st == ST_OK)
        st = slice_optional(b->time, start, n, &s->time, err);
    if (st == ST_OK)
        st = slice_optional(b->sequence, start, n, &s->sequence, err);
    if (st == ST_OK)
        st = slice_optional(b->op, start, n, &s->op, err);
    for (uint32_t i = 0; st == ST_OK && i < b->n_columns; i++)
        st = column_slice(b->columns[i], start, n, &own[i], err);
    if (st != ST_OK) {
        row_batch_free(s);
        return st;
    }
    *ret_batch = s;
    return ST_OK;
}

int read_request_copy(struct read_request *to, const struct read_request *from, struct error *err)
{
    struct scan_predicate *predicates = calloc(from->n_predicates + 1, sizeof *predicates);
    uint32_t *columns = malloc((from->n_columns + 1) * sizeof *columns);
    *to = *from;
    to->columns = columns;
    to->predicates = predicates;
    if (!predicates || !columns) {
        to->n_predicates = 0;
        return error_no_memory(err, from->n_columns * sizeof *columns);
    }
    for (uint32_t i = 0; i < from->n_columns; i++)
        columns[i] = from->columns[i];
    for (uint32_t i = 0; i < from->n_predicates; i++) {
        predicates[i] = from->predicates[i];
        scan_predicate_ref(&predicates[i]);
    }
    return ST_OK;
}

void read_request_release(struct read_request *q)
{
    for (uint32_t i = 0; q->predicates && i < q->n_predicates; i++)
        scan_predicate_unref(&q->predicates[i]);
    free((void *)q->predicates);
    free((void *)q->columns);
}
