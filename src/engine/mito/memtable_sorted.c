/* Reading a sorted part of a memtable: what is wanted are spans of its rows, found by series and by a search for the time bounds; nothing is sorted.
 *
 * A batch that lies in one span shares the part's columns; short spans are taken together by row numbers. Where the part is all there is, and has
 * every (key, time) once, its rows stand for themselves: then the newest row of a series is the last of its span, predicates on fields apply, and a
 * batch without columns is only a number.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/mito/memtable_source.h"
#include "engine/mito/predicate.h"

enum { BATCH_ROWS = 8192 };

struct span {
    uint32_t first, n, run;
}; /* rows [first, first + n), from run `run` on: a span may hold several whole series */

struct sorted_source {
    struct row_source base;
    struct memtable_view *view;
    const struct mem_part *part;
    const struct mem_run *runs;
    struct read_request request; /* columns and predicates are the source's own */
    bool stands;                 /* rows stand for themselves */
    struct span *spans;
    uint32_t n_spans, span; /* the next row is row `at` of span `span` */
    uint32_t at, run;       /* and belongs to run `run` or one behind it */
    int64_t left;           /* rows still to come */
    bool borrows;           /* a part of another source, to which all but `rows` belongs */
    size_t charged;
    uint32_t *rows; /* BATCH_ROWS row numbers of the part, when a batch needs them */
};

/* ---- which rows ---- */

/* First row in [first, last) whose time is at least t. */
static uint32_t search_time(const int64_t *times, uint32_t first, uint32_t last, int64_t t)
{
    while (first < last) {
        uint32_t middle = first + (last - first) / 2;
        if (times[middle] < t)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

static void add_span(struct sorted_source *s, uint32_t first, uint32_t last, uint32_t run)
{
    struct span *before = s->n_spans ? &s->spans[s->n_spans - 1] : NULL;
    s->left += last - first;
    if (before && before->first + before->n == first)
        before->n += last - first;
    else
        s->spans[s->n_spans++] = (struct span){first, last - first, run};
}

static int find_spans(struct sorted_source *s, struct error *err)
{
    const struct mem_part *p = s->part;
    const struct read_request *q = &s->request;
    const uint32_t *ranks = series_snapshot_ranks(s->view->series);
    const int64_t *times = (const int64_t *)(const void *)p->times->data;
    bool cut_low = p->time_min<q->time_min, cut_high = p->time_max> q->time_max, *wanted;
    TRY(budget_charge(q->budget, p->n_runs * sizeof *s->spans, err));
    s->charged = p->n_runs * sizeof *s->spans;
    s->spans = malloc(s->charged + 1);
    if (!s->spans)
        return error_no_memory(err, s->charged);
    TRY(memtable_wanted_series(s->view, q, &wanted, err));
    for (uint32_t r = 0; r < p->n_runs; r++) {
        uint32_t first = s->runs[r].first, last = s->runs[r + 1].first;
        if (wanted && !wanted[ranks[s->runs[r].series]])
            continue;
        if (cut_low)
            first = search_time(times, first, last, q->time_min);
        if (cut_high && q->time_max < INT64_MAX)
            last = search_time(times, first, last, q->time_max + 1);
        if (first < last && q->last_row_only && p->unique)
            first = last - 1;
        if (first < last)
            add_span(s, first, last, r);
    }
    free(wanted);
    s->run = s->n_spans ? s->spans[0].run : 0;
    return ST_OK;
}

/* ---- a batch ---- */

/* The rows of a batch: a piece of one span, or row numbers. */
struct piece {
    uint32_t first, run; /* of its first row; also where `rows` is given */
    int64_t n;
    const uint32_t *rows;
};

/* The run that holds a row, from a run at or before it on. */
static uint32_t run_of(const struct sorted_source *s, uint32_t row, uint32_t run)
{
    while (s->runs[run + 1].first <= row)
        run++;
    return run;
}

static int64_t rest_of_span(const struct sorted_source *s)
{
    int64_t rest = s->spans[s->span].n - s->at;
    return rest < s->left ? rest : s->left;
}

static void advance(struct sorted_source *s, int64_t n)
{
    s->at += (uint32_t)n;
    s->left -= n;
    if (s->at == s->spans[s->span].n && ++s->span < s->n_spans) {
        s->at = 0;
        s->run = s->spans[s->span].run;
    }
}

static int next_piece(struct sorted_source *s, struct piece *p, struct error *err)
{
    int64_t rest = rest_of_span(s), n = 0;
    const struct span *span = &s->spans[s->span];
    s->run = run_of(s, span->first + s->at, s->run); /* kept, so that the runs are walked over once */
    *p = (struct piece){span->first + s->at, s->run, rest < BATCH_ROWS ? rest : BATCH_ROWS, NULL};
    if (rest >= BATCH_ROWS / 16 || rest == s->left) {
        advance(s, p->n);
        return ST_OK;
    }
    if (!s->rows && !(s->rows = malloc(BATCH_ROWS * sizeof *s->rows)))
        return error_no_memory(err, BATCH_ROWS * sizeof *s->rows);
    while (s->left && n < BATCH_ROWS) {
        int64_t k = rest_of_span(s) < BATCH_ROWS - n ? rest_of_span(s) : BATCH_ROWS - n;
        for (int64_t i = 0; i < k; i++)
            s->rows[n++] = s->spans[s->span].first + s->at + (uint32_t)i;
        advance(s, k);
    }
    p->n = n;
    p->rows = s->rows;
    return ST_OK;
}

/* Rows of a column of the whole part. */
static int pick(struct sorted_source *s, struct column *c, const struct piece *p, struct column **ret_column, struct error *err)
{
    return p->rows ? column_take(s->request.budget, c, p->rows, p->n, ret_column, err) : column_slice(c, p->first, p->n, ret_column, err);
}

static int pick_buffer(struct sorted_source *s, struct buffer *values, struct dtype *type, const struct piece *p, struct column **ret_column,
                       struct error *err)
{
    struct column *whole;
    TRY(column_new(type, s->part->n_rows, 0, NULL, buffer_ref(values), NULL, &whole, err));
    int st = pick(s, whole, p, ret_column, err);
    column_unref(whole);
    return st;
}

/* The ranks of the rows' series. */
static int ranks_of(struct sorted_source *s, const struct piece *p, struct buffer **ret_ranks, struct error *err)
{
    const uint32_t *rank_of = series_snapshot_ranks(s->view->series);
    struct buffer *ranks;
    TRY(buffer_new_uninit(s->request.budget, (size_t)p->n * 4, &ranks, err));
    uint32_t *to = (uint32_t *)(void *)ranks->data, run = p->run;
    for (int64_t i = 0; i < p->n;) {
        uint32_t row = p->rows ? p->rows[i] : p->first + (uint32_t)i;
        run = run_of(s, row, run);
        uint32_t rank = rank_of[s->runs[run].series], end = s->runs[run + 1].first;
        do
            to[i++] = rank;
        while (i < p->n && (p->rows ? p->rows[i] : p->first + (uint32_t)i) < end);
    }
    *ret_ranks = ranks;
    return ST_OK;
}

static int pick_column(struct sorted_source *s, uint32_t column, const struct piece *p, struct buffer **ranks, struct column **ret_column,
                       struct error *err)
{
    const struct region_metadata *m = s->request.metadata;
    uint32_t k = memtable_key_position(m, column);
    if (column == m->time_index)
        return pick_buffer(s, s->part->times, m->columns[column].type, p, ret_column, err);
    if (k == UINT32_MAX)
        return s->part->columns[column] ? pick(s, s->part->columns[column], p, ret_column, err)
                                        : column_new_nulls(s->request.budget, m->columns[column].type, p->n, ret_column, err);
    if (!*ranks)
        TRY(ranks_of(s, p, ranks, err));
    return memtable_rank_column(s->view->series, s->request.budget, k, *ranks, p->n, ret_column, err);
}

/* Narrows the piece by the predicates on fields, which is allowed when rows stand for themselves. */
static int test_fields(struct sorted_source *s, struct piece *p, struct error *err)
{
    const struct region_metadata *m = s->request.metadata;
    for (uint32_t i = 0; s->stands && i < s->request.n_predicates && p->n; i++) {
        const struct scan_predicate *test = &s->request.predicates[i];
        struct column *values;
        if (test->op == SCAN_TEST || m->columns[test->column].semantic != SEMANTIC_FIELD || !s->part->columns[test->column])
            continue;
        if (!s->rows && !(s->rows = malloc(BATCH_ROWS * sizeof *s->rows)))
            return error_no_memory(err, BATCH_ROWS * sizeof *s->rows);
        if (p->rows) {
            p->n = predicate_select(test, s->part->columns[test->column], p->rows, p->n, s->rows);
            continue;
        }
        TRY(column_slice(s->part->columns[test->column], p->first, p->n, &values, err));
        int64_t kept = predicate_select(test, values, NULL, p->n, s->rows);
        column_unref(values);
        if (kept == p->n)
            continue;
        for (int64_t k = 0; k < kept; k++)
            s->rows[k] += p->first;
        p->rows = s->rows;
        p->n = kept;
    }
    return ST_OK;
}

static int build(struct sorted_source *s, const struct piece *p, struct row_batch **ret_batch, struct error *err)
{
    struct column *key = NULL, *time = NULL, *sequence = NULL, *op = NULL;
    struct column **columns = calloc(s->request.n_columns + 1, sizeof *columns);
    struct buffer *ranks = NULL;
    uint32_t made = 0;
    int st = columns ? ST_OK : error_no_memory(err, s->request.n_columns * sizeof *columns);
    for (; st == ST_OK && made < s->request.n_columns; made += st == ST_OK)
        st = pick_column(s, s->request.columns[made], p, &ranks, &columns[made], err);
    if (st == ST_OK && !s->stands) {
        st = ranks ? ST_OK : ranks_of(s, p, &ranks, err);
        if (st == ST_OK)
            st = memtable_rank_column(s->view->series, s->request.budget, UINT32_MAX, ranks, p->n, &key, err);
        if (st == ST_OK)
            st = pick_column(s, s->request.metadata->time_index, p, &ranks, &time, err);
        if (st == ST_OK)
            st = pick_buffer(s, s->part->sequences, type_of(TYPE_UINT64), p, &sequence, err);
        if (st == ST_OK && s->part->ops)
            st = pick_buffer(s, s->part->ops, type_of(TYPE_UINT8), p, &op, err);
    }
    buffer_unref(ranks);
    if (st == ST_OK) {
        st = row_batch_new(p->n, key, time, sequence, 0, op, columns, s->request.n_columns, ret_batch, err);
    } else {
        column_unref(key);
        column_unref(time);
        column_unref(sequence);
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    }
    free(columns);
    return st;
}

/* All that is left, as a number. */
static int count_rest(struct sorted_source *s, struct row_batch **ret_batch, struct error *err)
{
    int64_t n = s->left;
    s->left = 0;
    return row_batch_new(n, NULL, NULL, NULL, 0, NULL, NULL, 0, ret_batch, err);
}

static bool tests_fields(const struct sorted_source *s)
{
    for (uint32_t i = 0; i < s->request.n_predicates; i++)
        if (s->request.metadata->columns[s->request.predicates[i].column].semantic == SEMANTIC_FIELD)
            return true;
    return false;
}

static int sorted_next(struct row_source *base, struct row_batch **ret_batch, struct error *err)
{
    struct sorted_source *s = (struct sorted_source *)base;
    struct piece p = {0};
    *ret_batch = NULL;
    TRY(work_check(s->request.work, err));
    if (s->left && s->stands && !s->request.n_columns && !tests_fields(s))
        return count_rest(s, ret_batch, err);
    while (s->left && !p.n) {
        TRY(next_piece(s, &p, err));
        TRY(test_fields(s, &p, err));
    }
    return p.n ? build(s, &p, ret_batch, err) : ST_OK;
}

static void sorted_free(struct row_source *base)
{
    struct sorted_source *s = (struct sorted_source *)base;
    free(s->rows);
    if (!s->borrows) {
        read_request_release(&s->request);
        free(s->spans);
        budget_release(s->request.budget, s->charged);
        memtable_view_free(s->view);
    }
    free(s);
}

static const struct row_source_ops sorted_ops = {sorted_next, sorted_free};

int memtable_sorted_source_new(struct memtable_view *view, const struct read_request *q, struct row_source **ret_source, struct error *err)
{
    struct sorted_source *s = calloc(1, sizeof *s);
    if (!s) {
        memtable_view_free(view);
        return error_no_memory(err, sizeof *s);
    }
    const struct mem_part *p = view->parts[0];
    *s = (struct sorted_source){.base = {&sorted_ops, q->time_min, q->time_max, p->unique},
                                .view = view,
                                .part = p,
                                .runs = (const struct mem_run *)(const void *)p->runs->data,
                                .stands = q->alone && !q->need_key && (p->unique || q->append)};
    int st = read_request_copy(&s->request, q, err);
    if (st == ST_OK)
        st = find_spans(s, err);
    if (st != ST_OK) {
        sorted_free(&s->base);
        return st;
    }
    *ret_source = &s->base;
    return ST_OK;
}

/* ---- parts ---- */

int memtable_source_cut(const struct row_source *whole, int64_t part_rows, struct source_part **ret_parts, uint32_t *ret_n, struct error *err)
{
    const struct sorted_source *s = (const struct sorted_source *)whole;
    *ret_parts = NULL;
    *ret_n = 0;
    if (whole->ops != &sorted_ops || s->left == 0)
        return ST_OK;
    size_t room = (size_t)((s->left - 1) / part_rows) + 1;
    struct source_part *parts = calloc(room, sizeof *parts);
    if (!parts)
        return error_no_memory(err, room * sizeof *parts);
    uint32_t n = 0, span = 0, at = 0;
    for (int64_t left = s->left; left > 0; left -= parts[n++].rows) {
        int64_t rows = left < part_rows ? left : part_rows;
        parts[n] = (struct source_part){.first = span, .at = at, .n = rows, .rows = rows};
        while (rows > 0) {
            int64_t rest = s->spans[span].n - at, step = rows < rest ? rows : rest;
            rows -= step;
            at = step == rest ? 0 : at + (uint32_t)step;
            span += step == rest;
        }
    }
    *ret_parts = parts;
    *ret_n = n;
    return ST_OK;
}

int memtable_sorted_part(const struct row_source *whole, const struct source_part *part, struct row_source **ret_source, struct error *err)
{
    struct sorted_source *s = malloc(sizeof *s);
    if (!s)
        return error_no_memory(err, sizeof *s);
    *s = *(const struct sorted_source *)whole;
    s->borrows = true;
    s->rows = NULL;
    s->span = part->first;
    s->at = part->at;
    s->run = s->spans[part->first].run;
    s->left = part->n;
    *ret_source = &s->base;
    return ST_OK;
}

/* ---- parts between keys ---- */

bool memtable_is_sorted_source(const struct row_source *s)
{
    return s->ops == &sorted_ops;
}

static uint32_t rank_of_run(const struct sorted_source *s, uint32_t run)
{
    return series_snapshot_ranks(s->view->series)[s->runs[run].series];
}

uint32_t memtable_sorted_keys(const struct row_source *whole, int64_t stride, struct key_bytes *ret_keys, uint32_t room)
{
    const struct sorted_source *s = (const struct sorted_source *)whole;
    const struct column *keys = series_snapshot_keys(s->view->series);
    int64_t rows = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_spans && n < room; i++) {
        const struct span *span = &s->spans[i];
        uint32_t end = span->first + span->n, run = span->run;
        for (uint32_t row = span->first; row < end && n < room; run++) {
            if (rows >= stride) {
                int32_t size;
                const uint8_t *data = column_bytes(keys, rank_of_run(s, run), &size);
                ret_keys[n++] = (struct key_bytes){data, (size_t)size};
                rows = 0;
            }
            uint32_t to = s->runs[run + 1].first < end ? s->runs[run + 1].first : end;
            rows += to - row;
            row = to;
        }
    }
    return n;
}

/* The first row of the part whose key is not below `key`. */
static uint32_t row_from_key(const struct sorted_source *s, const struct key_bytes *key)
{
    uint32_t rank = key_bytes_lower_bound(series_snapshot_keys(s->view->series), key), low = 0, high = s->part->n_runs;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (rank_of_run(s, middle) < rank)
            low = middle + 1;
        else
            high = middle;
    }
    return s->runs[low].first;
}

void memtable_sorted_cut_keys(const struct row_source *whole, const struct key_bytes *keys, uint32_t n, struct source_part *ret_parts)
{
    const struct sorted_source *s = (const struct sorted_source *)whole;
    uint32_t span = 0, at = 0;
    for (uint32_t i = 0; i <= n; i++) {
        uint32_t end = i < n ? row_from_key(s, &keys[i]) : UINT32_MAX;
        ret_parts[i] = (struct source_part){.first = span, .at = at};
        while (span < s->n_spans && s->spans[span].first + at < end) {
            uint32_t to = end - s->spans[span].first < s->spans[span].n ? end - s->spans[span].first : s->spans[span].n;
            ret_parts[i].n += to - at;
            at = to == s->spans[span].n ? 0 : to;
            span += to == s->spans[span].n;
        }
        ret_parts[i].rows = ret_parts[i].n;
    }
}
