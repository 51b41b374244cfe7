/* Merging runs on disk.
 *
 * Each run is a spill file of small batches; of each one batch is in memory, with its encoded keys. A heap of the runs by their next row (ties: the
 * earlier run) gives the order; output rows are named by (run, row) and copied when a batch is full, or when a run needs its next batch. More than
 * RUNS_MAX runs are first merged into one, so that memory is bounded by RUNS_MAX batches whatever the size of the input.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/sort_rows.h"

enum { RUNS_MAX = 48, RUN_BATCH_ROWS = 1024, RUN_BATCH_BYTES = 4 << 20 };

struct run {
    struct spill_file *file;
    struct batch *batch;   /* NULL at the end */
    struct sort_keys keys; /* of the batch */
    int64_t row;
    uint32_t base; /* where the batch starts among the batches that the output is taken from */
};

struct sort_runs {
    struct work_context *work;
    struct schema *schema;
    struct oper_sort_key *sort;
    uint32_t n_keys;
    struct run runs[RUNS_MAX];
    uint32_t n_runs;
    uint32_t heap[RUNS_MAX], n_heap;
    bool merging;
    uint32_t rows[OPER_BATCH_ROWS]; /* the output batch so far */
    int64_t n_rows;
};

static struct budget *budget_of(const struct sort_runs *r)
{
    return r->work ? r->work->budget : NULL;
}

int sort_runs_new(struct work_context *work, struct schema *schema, const struct oper_sort_key *sort, uint32_t n_keys, struct sort_runs **ret_runs,
                  struct error *err)
{
    struct sort_runs *r = calloc(1, sizeof *r);
    struct oper_sort_key *copy = calloc(n_keys, sizeof *copy);
    if (!r || !copy) {
        free(r);
        free(copy);
        return error_no_memory(err, sizeof *r);
    }
    memcpy(copy, sort, n_keys * sizeof *copy);
    r->work = work;
    r->schema = schema_ref(schema);
    r->sort = copy;
    r->n_keys = n_keys;
    *ret_runs = r;
    return ST_OK;
}

static void release_run(struct sort_runs *r, struct run *run)
{
    spill_file_free(run->file);
    batch_unref(run->batch);
    sort_keys_release(&run->keys, budget_of(r));
    *run = (struct run){0};
}

void sort_runs_free(struct sort_runs *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->n_runs; i++)
        release_run(r, &r->runs[i]);
    schema_unref(r->schema);
    free(r->sort);
    free(r);
}

/* ---- the heap ---- */

static bool precedes(const struct sort_runs *r, uint32_t a, uint32_t b)
{
    size_t x_size, y_size;
    const uint8_t *x = sort_keys_at(&r->runs[a].keys, r->runs[a].row, &x_size), *y = sort_keys_at(&r->runs[b].keys, r->runs[b].row, &y_size);
    int c = sort_key_compare(x, x_size, y, y_size);
    return c ? c < 0 : a < b;
}

static void sift_down(struct sort_runs *r, uint32_t i)
{
    for (;;) {
        uint32_t first = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2; child++)
            if (child < r->n_heap && precedes(r, r->heap[child], r->heap[first]))
                first = child;
        if (first == i)
            return;
        uint32_t run = r->heap[i];
        r->heap[i] = r->heap[first];
        r->heap[first] = run;
        i = first;
    }
}

static int load(struct sort_runs *r, struct run *run, struct error *err)
{
    batch_unref(run->batch);
    run->batch = NULL;
    run->row = 0;
    TRY(spill_file_next(run->file, &run->batch, err));
    return run->batch ? sort_rows_keys(r->work, run->batch, r->sort, r->n_keys, &run->keys, err) : ST_OK;
}

static int start(struct sort_runs *r, struct error *err)
{
    r->merging = true;
    r->n_heap = 0;
    for (uint32_t i = 0; i < r->n_runs; i++) {
        TRY(load(r, &r->runs[i], err));
        if (r->runs[i].batch)
            r->heap[r->n_heap++] = i;
    }
    for (uint32_t i = r->n_heap / 2; i-- > 0;)
        sift_down(r, i);
    return ST_OK;
}

/* ---- output ---- */

/* The batches in memory one behind the other: row numbers of the output index this. */
static void place_batches(struct sort_runs *r)
{
    uint32_t base = 0;
    for (uint32_t i = 0; i < r->n_runs; i++) {
        r->runs[i].base = base;
        base += r->runs[i].batch ? (uint32_t)r->runs[i].batch->n_rows : 0;
    }
}

static int take_column(struct sort_runs *r, uint32_t c, struct column **ret_column, struct error *err)
{
    struct column *parts[RUNS_MAX], *all;
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_runs; i++)
        if (r->runs[i].batch)
            parts[n++] = r->runs[i].batch->columns[c];
    TRY(column_concat(budget_of(r), parts, n, &all, err));
    int st = column_take(budget_of(r), all, r->rows, r->n_rows, ret_column, err);
    column_unref(all);
    return st;
}

static int take_output(struct sort_runs *r, struct batch **ret_batch, struct error *err)
{
    uint32_t n = r->schema->n_fields, made = 0;
    struct column **columns = calloc(n + 1, sizeof *columns);
    int st = columns ? ST_OK : error_no_memory(err, n * sizeof *columns);
    for (; st == ST_OK && made < n; made += st == ST_OK)
        st = take_column(r, made, &columns[made], err);
    if (st == ST_OK)
        st = batch_new(r->schema, r->n_rows, columns, ret_batch, err);
    else
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    free(columns);
    r->n_rows = 0;
    return st;
}

int sort_runs_next(struct sort_runs *r, struct batch **ret_batch, struct error *err)
{
    uint32_t ended = UINT32_MAX;
    *ret_batch = NULL;
    TRY(work_check(r->work, err));
    if (!r->merging)
        TRY(start(r, err));
    place_batches(r);
    while (r->n_heap && r->n_rows < OPER_BATCH_ROWS && ended == UINT32_MAX) {
        struct run *run = &r->runs[r->heap[0]];
        r->rows[r->n_rows++] = run->base + (uint32_t)run->row++;
        if (run->row == run->batch->n_rows)
            ended = r->heap[0];
        else
            sift_down(r, 0);
    }
    if (r->n_rows)
        TRY(take_output(r, ret_batch, err));
    int st = ended == UINT32_MAX ? ST_OK : load(r, &r->runs[ended], err);
    if (ended != UINT32_MAX && !r->runs[ended].batch)
        r->heap[0] = r->heap[--r->n_heap];
    if (st == ST_OK && r->n_heap && ended != UINT32_MAX)
        sift_down(r, 0);
    if (st != ST_OK) {
        batch_unref(*ret_batch);
        *ret_batch = NULL;
    }
    return st;
}

/* ---- adding ---- */

/* Rows of a run's batches: fewer where they are long, because a batch of each run is in memory while they are merged. */
static int64_t piece_rows(const struct batch *b)
{
    size_t each = b->n_rows ? batch_bytes_used(b) / (size_t)b->n_rows + 1 : 1;
    int64_t rows = each < RUN_BATCH_BYTES ? (int64_t)(RUN_BATCH_BYTES / each) : 1;
    return rows < RUN_BATCH_ROWS ? rows : RUN_BATCH_ROWS;
}

/* All runs into one. */
static int merge_all(struct sort_runs *r, struct error *err)
{
    struct spill_file *file;
    struct batch *b;
    TRY(spill_file_new(r->work->spill, r->schema, budget_of(r), &file, err));
    int st;
    while ((st = sort_runs_next(r, &b, err)) == ST_OK && b) {
        int64_t rows = piece_rows(b);
        for (int64_t at = 0; st == ST_OK && at < b->n_rows; at += rows) {
            struct batch *piece;
            st = batch_slice(b, at, b->n_rows - at < rows ? b->n_rows - at : rows, &piece, err);
            if (st == ST_OK) {
                st = spill_file_put(file, piece, err);
                batch_unref(piece);
            }
        }
        batch_unref(b);
        if (st != ST_OK)
            break;
    }
    if (st != ST_OK) {
        spill_file_free(file);
        return st;
    }
    for (uint32_t i = 0; i < r->n_runs; i++)
        release_run(r, &r->runs[i]);
    r->runs[0].file = file;
    r->n_runs = 1;
    r->merging = false;
    return ST_OK;
}

int sort_runs_add(struct sort_runs *r, struct batch *b, const uint32_t *order, int64_t n, struct error *err)
{
    struct spill_file *file;
    int64_t rows = piece_rows(b);
    if (r->n_runs == RUNS_MAX)
        TRY(merge_all(r, err));
    TRY(spill_file_new(r->work->spill, r->schema, budget_of(r), &file, err));
    r->runs[r->n_runs++].file = file;
    for (int64_t at = 0; at < n; at += rows) {
        struct batch *piece;
        TRY(work_check(r->work, err));
        TRY(batch_take(budget_of(r), b, order + at, n - at < rows ? n - at : rows, &piece, err));
        int st = spill_file_put(file, piece, err);
        batch_unref(piece);
        TRY(st);
    }
    return ST_OK;
}
