/* Row selections of the SST reader. The page index is only believed as far as its own checks go (format/parquet/page_index.c): pages ascend. */
#include "engine/mito/sst_select.h"

#include <stdlib.h>
#include <string.h>

static int reserve(struct row_selection *s, size_t n, struct error *err)
{
    if (n <= s->room)
        return ST_OK;
    if (n > UINT32_MAX / 2)
        return error_set(err, ST_EXHAUSTED, "a row group in more than 2^31 pieces");
    size_t room = n + n / 2 + 8;
    TRY(budget_charge(s->budget, (room - s->room) * sizeof *s->ranges, err));
    struct parquet_row_range *grown = realloc(s->ranges, room * sizeof *grown);
    if (!grown) {
        budget_release(s->budget, (room - s->room) * sizeof *s->ranges);
        return error_no_memory(err, room * sizeof *grown);
    }
    s->ranges = grown;
    s->room = (uint32_t)room;
    return ST_OK;
}

int row_selection_init(struct row_selection *s, struct budget *budget, int64_t n_rows, struct error *err)
{
    *s = (struct row_selection){.budget = budget};
    TRY(reserve(s, 1, err));
    if (n_rows > 0)
        s->ranges[s->n++] = (struct parquet_row_range){0, n_rows};
    s->n_rows = n_rows;
    return ST_OK;
}

void row_selection_release(struct row_selection *s)
{
    free(s->ranges);
    budget_release(s->budget, s->room * sizeof *s->ranges);
    *s = (struct row_selection){0};
}

/* Appends a range behind those that are there. The caller has made room. */
static void add_range(struct row_selection *s, int64_t start, int64_t end)
{
    if (s->n && s->ranges[s->n - 1].end == start)
        s->ranges[s->n - 1].end = end;
    else
        s->ranges[s->n++] = (struct parquet_row_range){start, end};
    s->n_rows += end - start;
}

int row_selection_add(struct row_selection *s, int64_t start, int64_t end, struct error *err)
{
    TRY(reserve(s, (size_t)s->n + 1, err));
    add_range(s, start, end);
    return ST_OK;
}

static uint32_t count_runs(const uint32_t *rows, int64_t n)
{
    uint32_t runs = n > 0;
    for (int64_t i = 1; i < n; i++)
        runs += rows[i] != rows[i - 1] + 1;
    return runs;
}

int row_selection_keep(struct row_selection *s, const uint32_t *rows, int64_t n, struct error *err)
{
    struct row_selection kept = {.budget = s->budget};
    if (n == s->n_rows)
        return ST_OK;
    TRY(reserve(&kept, (size_t)count_runs(rows, n) + s->n, err));
    int64_t before = 0; /* selected rows in front of range r */
    uint32_t r = 0;
    for (int64_t i = 0; i < n;) {
        while (before + (s->ranges[r].end - s->ranges[r].start) <= rows[i]) {
            before += s->ranges[r].end - s->ranges[r].start;
            r++;
        }
        int64_t end = before + (s->ranges[r].end - s->ranges[r].start), first = i, shift = s->ranges[r].start - before;
        do
            i++;
        while (i < n && rows[i] == rows[i - 1] + 1 && rows[i] < end);
        add_range(&kept, rows[first] + shift, (int64_t)rows[i - 1] + 1 + shift);
    }
    row_selection_release(s);
    *s = kept;
    return ST_OK;
}

void row_selection_cut(struct row_selection *s, int64_t n)
{
    int64_t left = n;
    if (n >= s->n_rows)
        return;
    uint32_t r = 0;
    for (; left > 0; r++) {
        int64_t rows = s->ranges[r].end - s->ranges[r].start;
        if (rows > left)
            s->ranges[r].end = s->ranges[r].start + left;
        left -= rows < left ? rows : left;
    }
    s->n = r;
    s->n_rows = n;
}

int row_selection_intersect(struct row_selection *s, const struct row_selection *other, int64_t base, struct error *err)
{
    struct row_selection both = {.budget = s->budget};
    TRY(reserve(&both, (size_t)s->n + other->n + 1, err));
    for (uint32_t i = 0, k = 0; i < s->n && k < other->n;) {
        int64_t start = other->ranges[k].start - base, end = other->ranges[k].end - base;
        int64_t from = s->ranges[i].start > start ? s->ranges[i].start : start, to = s->ranges[i].end < end ? s->ranges[i].end : end;
        if (from < to)
            add_range(&both, from, to);
        if (s->ranges[i].end < end)
            i++;
        else
            k++;
    }
    row_selection_release(s);
    *s = both;
    return ST_OK;
}

int row_selection_keep_segments(struct row_selection *s, const uint8_t *bits, uint64_t n_segments, uint64_t rows_per_segment, struct error *err)
{
    struct row_selection kept = {.budget = s->budget};
    uint32_t runs = 0;
    for (uint64_t i = 0; i < n_segments; i++)
        runs += bit_get(bits, (int64_t)i) && !(i && bit_get(bits, (int64_t)i - 1));
    TRY(reserve(&kept, (size_t)runs + 1, err));
    for (uint64_t i = 0; i < n_segments; i++)
        if (bit_get(bits, (int64_t)i))
            add_range(&kept, (int64_t)(i * rows_per_segment), (int64_t)((i + 1) * rows_per_segment));
    int st = row_selection_intersect(s, &kept, 0, err);
    row_selection_release(&kept);
    return st;
}

bool row_selection_touches(const struct row_selection *s, int64_t start, int64_t end)
{
    uint32_t low = 0, high = s->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->ranges[middle].end <= start)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->n && s->ranges[low].start < end;
}

/* ---- pages ---- */

/* Leaves in `s` what lies in the kept pages, too. */
static int intersect_pages(struct row_selection *s, const struct parquet_page_index *x, const bool *kept, int64_t n_rows, struct error *err)
{
    struct row_selection pages = {.budget = s->budget};
    TRY(reserve(&pages, x->n_pages, err));
    for (uint32_t p = 0; p < x->n_pages; p++)
        if (kept[p])
            add_range(&pages, x->pages[p].first_row, p + 1 < x->n_pages ? x->pages[p + 1].first_row : n_rows);
    int st = row_selection_intersect(s, &pages, 0, err);
    row_selection_release(&pages);
    return st;
}

/* A test of a page's bounds. */
struct page_test {
    const struct sst_footer *f;
    const struct read_request *q;
    const struct scan_predicate *predicate; /* NULL: the request's times */
    struct dtype *type;
    const struct sst_column *leading;       /* not NULL: the pages are of keys, the predicate is on the column that leads them */
};

static int select_by(const struct page_test *t, const struct parquet_source *source, uint32_t row_group, uint32_t column, struct row_selection *s,
                     int64_t *pages_pruned, struct error *err)
{
    const struct parquet_row_group *group = parquet_row_group(t->f->parquet, row_group);
    struct arena arena;
    struct parquet_page_index index;
    uint32_t first, n, pruned = 0;
    parquet_column_leaves(t->f->parquet, column, &first, &n);
    if (n != 1 || parquet_leaf(t->f->parquet, first)->max_repetition > 0)
        return ST_OK;
    arena_init(&arena, s->budget);
    int st = parquet_read_page_index(t->f->parquet, source, row_group, first, &arena, &index, err);
    bool *kept = st == ST_OK && index.n_pages > 1 && index.has_bounds ? ARENA_ARRAY(&arena, index.n_pages, bool, err) : NULL;
    for (uint32_t p = 0; kept && p < index.n_pages; p++) {
        int64_t end = p + 1 < index.n_pages ? index.pages[p + 1].first_row : group->n_rows;
        const struct parquet_bounds *b = &index.bounds[p];
        if (t->leading)
            kept[p] = sst_key_bounds_may_match(t->f, t->leading, t->predicate, b);
        else
            kept[p] = t->predicate ? sst_bounds_may_match(t->predicate, b, end - index.pages[p].first_row, t->type) : sst_times_may_match(t->q, b);
        pruned += !kept[p];
    }
    if (pruned)
        st = intersect_pages(s, &index, kept, group->n_rows, err);
    *pages_pruned += pruned;
    arena_release(&arena);
    return st;
}

int sst_select_pages(const struct sst_footer *f, const struct read_request *q, const struct parquet_source *source, uint32_t row_group,
                     struct row_selection *s, int64_t *pages_pruned, struct error *err)
{
    if (sst_times_cut(f, q, row_group) && sst_times_comparable(f, q))
        TRY(select_by(&(struct page_test){f, q, NULL, NULL, NULL}, source, row_group, f->time, s, pages_pruned, err));
    for (uint32_t i = 0; i < q->n_predicates && s->n_rows; i++) {
        const struct scan_predicate *p = &q->predicates[i];
        struct sst_column c = sst_find_column(f, q->metadata, p->column);
        if (!sst_usable(f, q, p) || c.file_column < 0 || c.want->semantic == SEMANTIC_TIMESTAMP)
            continue;
        struct dtype *type = f->metadata->columns[c.file_column].type;
        if (f->place[c.file_column] < 0 && c.key_position == 0)
            TRY(select_by(&(struct page_test){f, q, p, type, &c}, source, row_group, f->key, s, pages_pruned, err));
        else if (f->place[c.file_column] >= 0 && type_equal(type, c.want->type, false))
            TRY(select_by(&(struct page_test){f, q, p, type, NULL}, source, row_group, (uint32_t)f->place[c.file_column], s, pages_pruned, err));
    }
    return ST_OK;
}
