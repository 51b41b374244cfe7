/* Merging sorted sources into one, and deduplicating it.
 *
 * A heap orders the sources by their next row. The leading one is not advanced row by row: a galloping search finds how many of its rows come before
 * the head of the second, and the whole run is handed to the gatherer as ranges of rows. Equal (key, time) pairs are neighbours in that order,
 * newest first, so deduplication only ever looks at the row before. Source of the rules: mito-on-disk.md 3.3 and mito-engine.md on merge modes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mito/gather.h"

#define BATCH_ROWS 8192

struct cursor {
    struct row_source *source;
    uint32_t rank;                /* place in the list: the later wins ties */
    struct row_batch *batch;      /* never empty; NULL at the end */
    int64_t row;
    const struct column *keys;    /* the batch's key dictionary */
    const uint32_t *codes;
    const int64_t *times;
    const uint64_t *sequences;    /* NULL = constant */
    const uint8_t *ops;           /* NULL = all puts */
    bool long_texts;              /* so much on average that BATCH_ROWS of them are more than a batch may hold */
};

struct merge {
    struct row_source base;
    enum merge_mode mode;
    bool drop_deletes, started;
    struct work_context *work;
    bool *fields;
    struct cursor *cursors;
    uint32_t n_cursors;
    struct cursor **heap;
    uint32_t n_heap;
    struct gather out;
    int64_t out_text; /* bytes of long texts in it */
    /* The last row seen: what the next one is a duplicate of. Its key is kept as bytes, for its batch may be gone. */
    bool has_last;
    struct dynbuf last_key;
    int64_t last_time;
    /* last_non_null: the newest row of the open group may take values from older ones. */
    bool filling;
    const struct row_batch *base_batch;
    int64_t base_row;
    bool *open;                   /* per column: still null; valid when has_open */
    bool has_open;
    uint32_t n_open;
};

/* ---- cursors ---- */

static int cursor_load(struct cursor *c, struct error *err)
{
    c->batch = NULL;
    do {
        row_batch_free(c->batch);
        c->batch = NULL;
        TRY(row_source_next(c->source, &c->batch, err));
    } while (c->batch && c->batch->n_rows == 0);
    c->row = 0;
    if (!c->batch)
        return ST_OK;
    assert(c->batch->key);
    c->keys = c->batch->key->dictionary;
    c->codes = COLUMN_VALUES(c->batch->key, uint32_t);
    c->times = COLUMN_VALUES(c->batch->time, int64_t);
    c->sequences = c->batch->sequence ? COLUMN_VALUES(c->batch->sequence, uint64_t) : NULL;
    c->ops = c->batch->op ? COLUMN_VALUES(c->batch->op, uint8_t) : NULL;
    c->long_texts = row_batch_text_bytes(c->batch, 0, c->batch->n_rows) / c->batch->n_rows >= BATCH_TEXT_BYTES / BATCH_ROWS;
    return ST_OK;
}

static int compare_bytes(const uint8_t *a, int32_t na, const uint8_t *b, int32_t nb)
{
    int32_t least = na < nb ? na : nb;
    int c = least ? memcmp(a, b, (size_t)least) : 0;
    return c ? c : (na > nb) - (na < nb);
}

static uint64_t sequence_at(const struct cursor *c, int64_t row)
{
    return c->sequences ? c->sequences[row] : c->batch->constant_sequence;
}

/* Whether row i of `a` comes before the head of `b`. */
static bool precedes(const struct cursor *a, int64_t i, const struct cursor *b)
{
    uint32_t x = a->codes[i], y = b->codes[b->row];
    if (a->keys != b->keys || x != y) {
        int32_t nx, ny;
        const uint8_t *kx = column_bytes(a->keys, x, &nx), *ky = column_bytes(b->keys, y, &ny);
        int c = compare_bytes(kx, nx, ky, ny);
        if (c)
            return c < 0;
    }
    if (a->times[i] != b->times[b->row])
        return a->times[i] < b->times[b->row];
    uint64_t s = sequence_at(a, i), t = sequence_at(b, b->row);
    return s != t ? s > t : a->rank > b->rank;
}

/* How many rows of `a` from its position on come before the head of `b`; at least one, at most `most`. */
static int64_t run_length(const struct cursor *a, const struct cursor *b, int64_t most)
{
    int64_t low = 1, step = 1; /* rows [0, low) precede */
    while (low < most && precedes(a, a->row + (low + step - 1 < most ? low + step - 1 : most - 1), b)) {
        low = low + step < most ? low + step : most;
        step *= 2;
    }
    int64_t high = low + step - 1 < most ? low + step - 1 : most; /* row `high` does not precede, or is past the end */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (precedes(a, a->row + middle, b))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- the heap ---- */

static void sift_down(struct merge *m, uint32_t i)
{
    for (;;) {
        uint32_t first = i, left = 2 * i + 1, right = left + 1;
        if (left < m->n_heap && precedes(m->heap[left], m->heap[left]->row, m->heap[first]))
            first = left;
        if (right < m->n_heap && precedes(m->heap[right], m->heap[right]->row, m->heap[first]))
            first = right;
        if (first == i)
            return;
        struct cursor *c = m->heap[i];
        m->heap[i] = m->heap[first];
        m->heap[first] = c;
        i = first;
    }
}

static const struct cursor *second(const struct merge *m)
{
    if (m->n_heap < 2)
        return NULL;
    if (m->n_heap > 2 && precedes(m->heap[2], m->heap[2]->row, m->heap[1]))
        return m->heap[2];
    return m->heap[1];
}

static int start(struct merge *m, struct error *err)
{
    for (uint32_t i = 0; i < m->n_cursors; i++) {
        TRY(cursor_load(&m->cursors[i], err));
        if (m->cursors[i].batch)
            m->heap[m->n_heap++] = &m->cursors[i];
    }
    for (uint32_t i = m->n_heap / 2; i-- > 0;)
        sift_down(m, i);
    m->started = true;
    return ST_OK;
}

/* ---- deduplication ---- */

static bool same_as_last(const struct merge *m, const struct cursor *c, int64_t i)
{
    int32_t size;
    if (!m->has_last || c->times[i] != m->last_time)
        return false;
    const uint8_t *key = column_bytes(c->keys, c->codes[i], &size);
    return (size_t)size == m->last_key.size && (size == 0 || memcmp(key, m->last_key.data, (size_t)size) == 0);
}

static bool same_as_before(const struct cursor *c, int64_t i)
{
    if (c->times[i] != c->times[i - 1])
        return false;
    if (c->codes[i] == c->codes[i - 1])
        return true;
    int32_t n, k;
    const uint8_t *a = column_bytes(c->keys, c->codes[i], &n), *b = column_bytes(c->keys, c->codes[i - 1], &k);
    return compare_bytes(a, n, b, k) == 0;
}

static int remember(struct merge *m, const struct cursor *c, int64_t i, struct error *err)
{
    int32_t size;
    const uint8_t *key = column_bytes(c->keys, c->codes[i], &size);
    m->last_time = c->times[i];
    m->has_last = true;
    if ((size_t)size == m->last_key.size && (size == 0 || memcmp(key, m->last_key.data, (size_t)size) == 0))
        return ST_OK;
    dynbuf_clear(&m->last_key);
    return dynbuf_append(&m->last_key, key, (size_t)size, err);
}

static bool value_is_null(const struct column *c, int64_t i)
{
    return column_is_null(c, i) || (c->type->id == TYPE_DICTIONARY && column_is_null(c->dictionary, COLUMN_VALUES(c, uint32_t)[i]));
}

/* An older row of the group: gives its values to the fields that are still null. A delete hides everything older than itself. */
static int fill_from(struct merge *m, const struct cursor *c, int64_t i, struct error *err)
{
    if (c->ops && c->ops[i] == OP_DELETE) {
        m->filling = false;
        return ST_OK;
    }
    if (!m->has_open) {
        m->n_open = 0;
        for (uint32_t k = 0; k < m->out.n_columns; k++) {
            m->open[k] = m->fields[k] && value_is_null(m->base_batch->columns[k], m->base_row);
            m->n_open += m->open[k];
        }
        m->has_open = true;
    }
    for (uint32_t k = 0; m->n_open && k < m->out.n_columns; k++) {
        if (!m->open[k] || value_is_null(c->batch->columns[k], i))
            continue;
        TRY(gather_fill_value(&m->out, m->out.n_rows - 1, k, c->batch, i, err));
        m->open[k] = false;
        m->n_open--;
    }
    m->filling = m->n_open > 0;
    return ST_OK;
}

static int keep_row(struct merge *m, const struct cursor *c, int64_t i, struct error *err)
{
    bool deleted = c->ops && c->ops[i] == OP_DELETE;
    m->filling = m->mode == MERGE_LAST_NON_NULL && !deleted;
    m->has_open = false;
    m->base_batch = c->batch;
    m->base_row = i;
    return deleted && m->drop_deletes ? ST_OK : gather_add(&m->out, c->batch, i, 1, err);
}

/* Rows of a unique source: only the first can be a duplicate of an earlier row. (Its other rows may still be filled by later ones.) */
static int take_unique_run(struct merge *m, struct cursor *c, int64_t n, struct error *err)
{
    int64_t room = BATCH_ROWS - m->out.n_rows, from = c->row;
    if (same_as_last(m, c, from)) {
        if (m->filling)
            TRY(fill_from(m, c, from, err));
        from++;
        n--;
    }
    n = n < room ? n : room;
    if (n > 0) {
        TRY(gather_add(&m->out, c->batch, from, n - 1, err));
        TRY(keep_row(m, c, from + n - 1, err));
        TRY(remember(m, c, from + n - 1, err));
    }
    c->row = from + n;
    return ST_OK;
}

/* Takes up to n rows; stops before a row that the output has no room for. */
static int take_run(struct merge *m, struct cursor *c, int64_t n, struct error *err)
{
    if (c->source->unique && m->mode != MERGE_APPEND)
        return take_unique_run(m, c, n, err);
    int64_t i = c->row, end = c->row + n;
    for (; i < end; i++) {
        bool first = i == c->row;
        if (m->mode != MERGE_APPEND && (first ? same_as_last(m, c, i) : same_as_before(c, i))) {
            if (m->filling)
                TRY(fill_from(m, c, i, err));
            continue;
        }
        if (m->out.n_rows == BATCH_ROWS)
            break;
        TRY(keep_row(m, c, i, err));
    }
    if (i > c->row && m->mode != MERGE_APPEND)
        TRY(remember(m, c, i - 1, err));
    c->row = i;
    return ST_OK;
}

static bool has_room(const struct merge *m)
{
    return m->out.n_rows < BATCH_ROWS && m->out_text < BATCH_TEXT_BYTES;
}

/* Without room one row at most: a duplicate needs none. */
static int advance(struct merge *m, struct error *err)
{
    struct cursor *c = m->heap[0];
    const struct cursor *rival = second(m);
    int64_t left = c->batch->n_rows - c->row;
    int64_t most = !has_room(m) ? 1 : left < BATCH_ROWS ? left : BATCH_ROWS, from = c->row;
    TRY(take_run(m, c, rival ? run_length(c, rival, most) : most, err));
    if (c->long_texts)
        m->out_text += row_batch_text_bytes(c->batch, from, c->row);
    if (c->row == c->batch->n_rows) {
        struct row_batch *done = c->batch;
        c->batch = NULL;
        TRY(gather_retire(&m->out, done, err));
        TRY(cursor_load(c, err));
        if (!c->batch)
            m->heap[0] = m->heap[--m->n_heap];
    }
    if (m->n_heap)
        sift_down(m, 0);
    return ST_OK;
}

/* Whether the next row can be taken without room in the output. */
static bool next_is_duplicate(const struct merge *m)
{
    return m->mode != MERGE_APPEND && same_as_last(m, m->heap[0], m->heap[0]->row);
}

static int merge_next(struct row_source *base, struct row_batch **ret_batch, struct error *err)
{
    struct merge *m = (struct merge *)base;
    *ret_batch = NULL;
    TRY(work_check(m->work, err));
    if (!m->started)
        TRY(start(m, err));
    for (uint32_t runs = 1; m->n_heap && (has_room(m) || next_is_duplicate(m)); runs++) {
        if (runs % 1024 == 0)
            TRY(work_check(m->work, err));
        TRY(advance(m, err));
    }
    m->filling = false;
    m->out_text = 0;
    return m->out.n_rows ? gather_finish(&m->out, ret_batch, err) : ST_OK;
}

static void merge_free(struct row_source *base)
{
    struct merge *m = (struct merge *)base;
    gather_release(&m->out);
    for (uint32_t i = 0; i < m->n_cursors; i++) {
        row_batch_free(m->cursors[i].batch);
        row_source_free(m->cursors[i].source);
    }
    dynbuf_release(&m->last_key);
    free(m->cursors);
    free(m->heap);
    free(m->fields);
    free(m->open);
    free(m);
}

static const struct row_source_ops merge_ops = {merge_next, merge_free};

static struct merge *merge_alloc(uint32_t n, uint32_t n_columns)
{
    struct merge *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->cursors = calloc(n + 1, sizeof *m->cursors);
    m->heap = calloc(n + 1, sizeof *m->heap);
    m->fields = calloc(n_columns + 1, sizeof *m->fields);
    m->open = calloc(n_columns + 1, sizeof *m->open);
    if (m->cursors && m->heap && m->fields && m->open)
        return m;
    free(m->cursors);
    free(m->heap);
    free(m->fields);
    free(m->open);
    free(m);
    return NULL;
}

int merge_source_new(struct row_source **sources, uint32_t n, enum merge_mode mode, bool drop_deletes, const bool *fields, uint32_t n_columns,
                     struct budget *budget, struct work_context *work, struct row_source **ret_source, struct error *err)
{
    if (n == 1 && (sources[0]->unique || (mode == MERGE_APPEND && !drop_deletes))) {
        *ret_source = sources[0];
        return ST_OK;
    }
    struct merge *m = merge_alloc(n, n_columns);
    if (!m) {
        for (uint32_t i = 0; i < n; i++)
            row_source_free(sources[i]);
        return error_no_memory(err, sizeof *m);
    }
    m->base = (struct row_source){&merge_ops, INT64_MAX, INT64_MIN, mode != MERGE_APPEND && drop_deletes};
    m->mode = mode;
    m->drop_deletes = drop_deletes;
    m->work = work;
    if (fields)
        memcpy(m->fields, fields, n_columns * sizeof *fields);
    m->n_cursors = n;
    dynbuf_init(&m->last_key, (size_t)INT32_MAX);
    gather_init(&m->out, budget, n_columns);
    for (uint32_t i = 0; i < n; i++) {
        m->cursors[i].source = sources[i];
        m->cursors[i].rank = i;
        m->base.time_min = sources[i]->time_min < m->base.time_min ? sources[i]->time_min : m->base.time_min;
        m->base.time_max = sources[i]->time_max > m->base.time_max ? sources[i]->time_max : m->base.time_max;
    }
    *ret_source = &m->base;
    return ST_OK;
}
