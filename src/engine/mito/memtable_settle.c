/* Views of a memtable, and settling: turning the parts as they were written into one that is sorted.
 *
 * Writers only append parts, so the parts at the front are the oldest rows. Settling takes a view of all parts, pins them (their number: no merge of
 * small parts touches them meanwhile), sorts and copies without a lock, and puts the result in their place. Rows written in the meantime stand behind
 * it. Each settling is paid for by the rows that have come since the last one: they are at least a quarter of all, so a row is copied a few times in
 * a memtable's life, and the flush finds it sorted. Readers that hold the old parts keep them.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/mito/memtable_source.h"
#include "os/thread.h"

enum { SETTLE_ROWS_MIN = 16384, SETTLE_SHARE = 4, SETTLE_WAIT_MS = 20 };

/* ---- views ---- */

void memtable_view_free(struct memtable_view *v)
{
    if (!v)
        return;
    for (uint32_t i = 0; i < v->n_parts; i++)
        mem_part_unref(v->parts[i]);
    free(v->parts);
    series_snapshot_unref(v->series);
    memtable_unref(v->memtable);
    free(v);
}

/* Parts [first, last) of those that there are; the memtable's lock is held. */
static int view_of_parts(struct memtable *m, uint32_t first, uint32_t last, struct memtable_view **ret_view, struct error *err)
{
    struct memtable_view *v = calloc(1, sizeof *v);
    struct mem_part **parts = malloc((last - first + 1) * sizeof(struct mem_part *));
    if (!v || !parts) {
        free(v);
        free(parts);
        return error_no_memory(err, (last - first) * sizeof(struct mem_part *));
    }
    *v = (struct memtable_view){.memtable = memtable_ref(m), .parts = parts};
    for (uint32_t i = first; i < last; i++) {
        atomic_fetch_add(&m->parts[i]->refs, 1);
        parts[v->n_parts++] = m->parts[i];
    }
    *ret_view = v;
    return ST_OK;
}

/* Series are resolved before rows are appended: a snapshot taken after the parts knows all their series. */
static int with_series(struct memtable_view *v, struct memtable_view **ret_view, struct error *err)
{
    int st = series_table_snapshot(v->memtable->series, &v->series, err);
    if (st == ST_OK)
        *ret_view = v;
    else
        memtable_view_free(v);
    return st;
}

int memtable_view_all(struct memtable *m, struct memtable_view **ret_view, struct error *err)
{
    struct memtable_view *v;
    pthread_mutex_lock(&m->lock);
    int st = view_of_parts(m, 0, m->n_parts, &v, err);
    pthread_mutex_unlock(&m->lock);
    TRY(st);
    return with_series(v, ret_view, err);
}

void memtable_view_stats(const struct memtable_view *v, struct memtable_stats *ret_stats)
{
    struct memtable_stats s = {.time_min = INT64_MAX, .time_max = INT64_MIN};
    for (uint32_t i = 0; i < v->n_parts; i++) {
        const struct mem_part *p = v->parts[i];
        s.rows += p->n_rows;
        s.time_min = p->time_min < s.time_min ? p->time_min : s.time_min;
        s.time_max = p->time_max > s.time_max ? p->time_max : s.time_max;
    }
    *ret_stats = s;
}

bool memtable_view_may_delete(const struct memtable_view *v)
{
    bool may = false;
    for (uint32_t i = 0; i < v->n_parts; i++)
        may = may || v->parts[i]->ops || v->parts[i]->op != OP_PUT;
    return may;
}

/* ---- settling ---- */

static int copy_internal(struct memtable_source *s, struct mem_part *p, struct budget *budget, struct error *err)
{
    const struct mem_ref *refs = (const struct mem_ref *)(const void *)s->refs->data;
    size_t n = (size_t)s->n_rows;
    TRY(buffer_new_uninit(budget, n * 4, &p->series, err));
    TRY(buffer_new_uninit(budget, n * 8, &p->times, err));
    TRY(buffer_new_uninit(budget, n * 8, &p->sequences, err));
    if (s->any_deletes)
        TRY(buffer_new_uninit(budget, n, &p->ops, err));
    for (size_t i = 0; i < n; i++) {
        const struct mem_part *from = s->parts[refs[i].part];
        ((uint32_t *)(void *)p->series->data)[i] = ((const uint32_t *)(const void *)from->series->data)[refs[i].row];
        ((int64_t *)(void *)p->times->data)[i] = ((const int64_t *)(const void *)from->times->data)[refs[i].row];
        ((uint64_t *)(void *)p->sequences->data)[i] = mem_part_sequence(from, refs[i].row);
        if (p->ops)
            p->ops->data[i] = mem_part_op(from, refs[i].row);
    }
    return ST_OK;
}

static int find_runs(struct mem_part *p, struct budget *budget, struct error *err)
{
    const uint32_t *series = (const uint32_t *)(const void *)p->series->data;
    uint32_t n = 0;
    for (int64_t i = 0; i < p->n_rows; i++)
        n += i == 0 || series[i] != series[i - 1];
    TRY(buffer_new_uninit(budget, ((size_t)n + 1) * sizeof(struct mem_run), &p->runs, err));
    struct mem_run *runs = (struct mem_run *)(void *)p->runs->data;
    for (int64_t i = 0; i < p->n_rows; i++)
        if (i == 0 || series[i] != series[i - 1])
            runs[p->n_runs++] = (struct mem_run){series[i], (uint32_t)i};
    runs[p->n_runs] = (struct mem_run){UINT32_MAX, (uint32_t)p->n_rows};
    return ST_OK;
}

static int copy_sorted(struct memtable_source *s, struct work_context *work, struct mem_part **ret_part, struct error *err)
{
    struct budget *budget = s->view->memtable->budget;
    const struct region_metadata *metadata = s->metadata;
    struct mem_part *p = mem_part_new(metadata->n_columns);
    if (!p)
        return error_no_memory(err, sizeof *p);
    struct memtable_stats stats;
    memtable_view_stats(s->view, &stats);
    p->n_rows = s->n_rows;
    p->op = OP_PUT;
    p->time_min = stats.time_min;
    p->time_max = stats.time_max;
    p->unique = s->base.unique;
    for (uint32_t i = 0; i < s->n_parts; i++)
        p->max_sequence = s->parts[i]->max_sequence > p->max_sequence ? s->parts[i]->max_sequence : p->max_sequence;
    int st = copy_internal(s, p, budget, err);
    if (st == ST_OK)
        st = find_runs(p, budget, err);
    s->budget = budget; /* the columns outlive the read */
    for (uint32_t c = 0; st == ST_OK && c < metadata->n_columns; c++) {
        if (metadata->columns[c].semantic != SEMANTIC_FIELD)
            continue;
        st = work_check(work, err);
        if (st == ST_OK)
            st = memtable_gather_field(s, c, (const struct mem_ref *)(const void *)s->refs->data, s->n_rows, &p->columns[c], err);
    }
    if (st == ST_OK)
        *ret_part = p;
    else
        mem_part_unref(p);
    return st;
}

/* Puts `sorted` in the place of the first n parts. */
static void replace(struct memtable *m, uint32_t n, struct mem_part *sorted)
{
    for (uint32_t i = 0; i < n; i++) {
        m->stats.bytes -= mem_part_bytes(m->parts[i]);
        mem_part_unref(m->parts[i]);
    }
    m->parts[0] = sorted;
    memmove(m->parts + 1, m->parts + n, (m->n_parts - n) * sizeof *m->parts);
    m->n_parts -= n - 1;
    m->stats.bytes += mem_part_bytes(sorted);
}

/* The caller holds settle_lock. Only a cancelled read is a failure. */
static int settle(struct memtable *m, struct work_context *work, struct error *err)
{
    struct memtable_view *view = NULL;
    struct memtable_source *s;
    struct mem_part *sorted = NULL;
    pthread_mutex_lock(&m->lock);
    uint32_t n = m->n_parts;
    int st = view_of_parts(m, 0, n, &view, NULL);
    m->pinned = st == ST_OK ? n : 0;
    pthread_mutex_unlock(&m->lock);
    struct read_request all = {.metadata = m->metadata, .time_min = INT64_MIN, .time_max = INT64_MAX, .budget = m->budget, .work = work};
    if (st == ST_OK)
        st = with_series(view, &view, NULL);
    if (st == ST_OK && (st = memtable_sort_view(view, &all, &s, NULL)) == ST_OK) {
        st = copy_sorted(s, work, &sorted, NULL);
        row_source_free(&s->base);
    }
    pthread_mutex_lock(&m->lock);
    if (st == ST_OK)
        replace(m, n, sorted);
    m->pinned = 0;
    pthread_mutex_unlock(&m->lock);
    return work_check(work, err);
}

static bool worth_settling(struct memtable *m)
{
    int64_t sorted = m->n_parts && m->parts[0]->runs ? m->parts[0]->n_rows : 0, rest = m->stats.rows - sorted;
    return rest >= SETTLE_ROWS_MIN && rest >= m->stats.rows / SETTLE_SHARE && m->stats.rows < UINT32_MAX;
}

/* Waits for another read that settles: its work is what this one would do, too. */
static int lock_settling(struct memtable *m, struct work_context *work, struct error *err)
{
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += SETTLE_WAIT_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_mutex_timedlock(&m->settle_lock, &until) == 0)
            return ST_OK;
        TRY(work_check(work, err));
    }
}

static bool is_worth_settling(struct memtable *m)
{
    pthread_mutex_lock(&m->lock);
    bool worth = worth_settling(m);
    pthread_mutex_unlock(&m->lock);
    return worth;
}

int memtable_open_views(struct memtable *m, struct work_context *work, struct memtable_view *ret_views[2], uint32_t *ret_n, struct error *err)
{
    struct memtable_view *views[2] = {NULL, NULL};
    uint32_t n = 0;
    int st = ST_OK;
    if (is_worth_settling(m)) {
        TRY(lock_settling(m, work, err));
        st = is_worth_settling(m) ? settle(m, work, err) : ST_OK;
        pthread_mutex_unlock(&m->settle_lock);
        TRY(st);
    }
    pthread_mutex_lock(&m->lock);
    uint32_t sorted = m->n_parts && m->parts[0]->runs;
    if (sorted)
        st = view_of_parts(m, 0, 1, &views[n++], err);
    if (st == ST_OK && m->n_parts > sorted)
        st = view_of_parts(m, sorted, m->n_parts, &views[n++], err);
    pthread_mutex_unlock(&m->lock);
    for (uint32_t i = 0; i < n; i++)
        if (st == ST_OK && (st = series_table_snapshot(m->series, &views[i]->series, err)) == ST_OK)
            ret_views[i] = views[i];
    for (uint32_t i = 0; st != ST_OK && i < n; i++)
        memtable_view_free(views[i]);
    if (st == ST_OK)
        *ret_n = n;
    return st;
}
