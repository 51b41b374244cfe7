#include "engine/mito/memtable.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mito/memtable_part.h"

/* Parts below SMALL rows are merged, FAN_IN of about one size at a time: a row is copied at most log(SMALL) / log(FAN_IN) times. */
enum { FAN_IN = 32, SMALL = 1024 };

int memtable_new(struct region_metadata *metadata, struct budget *budget, struct memtable **ret_memtable, struct error *err)
{
    struct memtable *m = calloc(1, sizeof *m);
    if (!m)
        return error_no_memory(err, sizeof *m);
    atomic_init(&m->refs, 1);
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->settle_lock, NULL);
    m->metadata = region_metadata_ref(metadata);
    m->budget = budget;
    m->stats = (struct memtable_stats){.time_min = INT64_MAX, .time_max = INT64_MIN};
    int st = series_table_new(metadata, budget, &m->series, err);
    if (st != ST_OK) {
        memtable_unref(m);
        return st;
    }
    *ret_memtable = m;
    return ST_OK;
}

struct memtable *memtable_ref(struct memtable *m)
{
    atomic_fetch_add(&m->refs, 1);
    return m;
}

void memtable_unref(struct memtable *m)
{
    if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
        return;
    for (uint32_t i = 0; i < m->n_parts; i++)
        mem_part_unref(m->parts[i]);
    free(m->parts);
    series_table_free(m->series);
    region_metadata_unref(m->metadata);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->settle_lock);
    free(m);
}

void mem_part_unref(struct mem_part *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    buffer_unref(p->runs);
    buffer_unref(p->series);
    buffer_unref(p->times);
    buffer_unref(p->sequences);
    buffer_unref(p->ops);
    for (uint32_t i = 0; i < p->n_columns; i++)
        column_unref(p->columns[i]);
    free(p);
}

struct mem_part *mem_part_new(uint32_t n_columns)
{
    struct mem_part *p = calloc(1, sizeof *p + n_columns * sizeof(struct column *));
    if (p) {
        atomic_init(&p->refs, 1);
        p->n_columns = n_columns;
    }
    return p;
}

size_t mem_part_bytes(const struct mem_part *p)
{
    size_t n = sizeof *p + p->series->capacity + p->times->capacity;
    n += (p->sequences ? p->sequences->capacity : 0) + (p->ops ? p->ops->capacity : 0) + (p->runs ? p->runs->capacity : 0);
    for (uint32_t i = 0; i < p->n_columns; i++)
        n += column_bytes_held(p->columns[i]);
    return n;
}

int memtable_prepare(struct memtable *m, struct row_write *w, struct prepared_write *ret_prepared, struct error *err)
{
    struct buffer *ids;
    TRY(buffer_new_uninit(m->budget, (size_t)w->n_rows * 4, &ids, err));
    int st = series_table_resolve(m->series, w, (uint32_t *)(void *)ids->data, err);
    if (st != ST_OK) {
        buffer_unref(ids);
        return st;
    }
    ret_prepared->series = ids;
    return ST_OK;
}

void prepared_write_release(struct prepared_write *p)
{
    buffer_unref(p->series);
    p->series = NULL;
}

size_t memtable_key_bytes(struct memtable *m)
{
    return series_table_key_bytes(m->series);
}

void memtable_keys(struct memtable *m, const struct prepared_write *p, int64_t n, struct key_span *ret_keys)
{
    series_table_keys(m->series, (const uint32_t *)(const void *)p->series->data, n, ret_keys);
}

/* ---- merging small parts ---- */

/* Column c of parts[0..n) as one; nulls where a part has none. NULL when all have none. */
static int merge_column(struct memtable *m, struct mem_part *const *parts, uint32_t n, uint32_t c, struct column **ret_column, struct error *err)
{
    struct column *each[FAN_IN];
    uint32_t present = 0, made = 0;
    int st = ST_OK;
    for (uint32_t i = 0; i < n; i++)
        present += parts[i]->columns[c] != NULL;
    *ret_column = NULL;
    if (!present)
        return ST_OK;
    for (; made < n && st == ST_OK; made += st == ST_OK) {
        if (parts[made]->columns[c])
            each[made] = column_ref(parts[made]->columns[c]);
        else
            st = column_new_nulls(m->budget, m->metadata->columns[c].type, parts[made]->n_rows, &each[made], err);
    }
    if (st == ST_OK)
        st = column_concat(m->budget, each, n, ret_column, err);
    for (uint32_t i = 0; i < made; i++)
        column_unref(each[i]);
    return st;
}

static int merge_fixed_parts(struct memtable *m, struct mem_part *const *parts, uint32_t n, struct mem_part *out, struct error *err)
{
    bool deletes = false;
    TRY(buffer_new_uninit(m->budget, (size_t)out->n_rows * 4, &out->series, err));
    TRY(buffer_new_uninit(m->budget, (size_t)out->n_rows * 8, &out->times, err));
    TRY(buffer_new_uninit(m->budget, (size_t)out->n_rows * 8, &out->sequences, err));
    for (uint32_t i = 0; i < n; i++)
        deletes = deletes || parts[i]->ops || parts[i]->op != OP_PUT;
    out->op = OP_PUT;
    if (deletes)
        TRY(buffer_new_uninit(m->budget, (size_t)out->n_rows, &out->ops, err));
    int64_t at = 0;
    for (uint32_t i = 0; i < n; at += parts[i++]->n_rows) {
        const struct mem_part *p = parts[i];
        memcpy(out->series->data + at * 4, p->series->data, (size_t)p->n_rows * 4);
        memcpy(out->times->data + at * 8, p->times->data, (size_t)p->n_rows * 8);
        for (int64_t r = 0; r < p->n_rows; r++) {
            ((uint64_t *)(void *)out->sequences->data)[at + r] = mem_part_sequence(p, r);
            if (deletes)
                out->ops->data[at + r] = mem_part_op(p, r);
        }
    }
    return ST_OK;
}

static int merge_parts(struct memtable *m, struct mem_part *const *parts, uint32_t n, struct mem_part **ret_part, struct error *err)
{
    struct mem_part *out = mem_part_new(m->metadata->n_columns);
    if (!out)
        return error_no_memory(err, sizeof *out);
    out->time_min = INT64_MAX;
    out->time_max = INT64_MIN;
    for (uint32_t i = 0; i < n; i++) {
        out->n_rows += parts[i]->n_rows;
        out->time_min = parts[i]->time_min < out->time_min ? parts[i]->time_min : out->time_min;
        out->time_max = parts[i]->time_max > out->time_max ? parts[i]->time_max : out->time_max;
        out->max_sequence = parts[i]->max_sequence > out->max_sequence ? parts[i]->max_sequence : out->max_sequence;
    }
    int st = merge_fixed_parts(m, parts, n, out, err);
    for (uint32_t c = 0; st == ST_OK && c < out->n_columns; c++)
        st = merge_column(m, parts, n, c, &out->columns[c], err);
    if (st == ST_OK)
        *ret_part = out;
    else
        mem_part_unref(out);
    return st;
}

static int size_class(int64_t rows)
{
    int c = 0;
    for (; rows >= FAN_IN; rows /= FAN_IN)
        c++;
    return c;
}

/* Whether the last FAN_IN parts are small and of size class `class` or less. */
static bool tail_is_small(const struct memtable *m, int class)
{
    for (uint32_t i = 1; i <= FAN_IN; i++) {
        int64_t rows = m->parts[m->n_parts - i]->n_rows;
        if (rows >= SMALL || size_class(rows) > class)
            return false;
    }
    return true;
}

/* Merges the last FAN_IN parts while they are small. The smallest class goes first, so that writes of one size meet in parts of one size; writes of
 * mixed sizes meet in the next class. A failed merge loses nothing: the small parts stay. */
static void merge_tail(struct memtable *m)
{
    while (m->n_parts >= FAN_IN + m->pinned && (tail_is_small(m, 0) || tail_is_small(m, 1))) {
        struct mem_part **tail = m->parts + m->n_parts - FAN_IN, *merged = NULL;
        if (merge_parts(m, tail, FAN_IN, &merged, NULL) != ST_OK)
            return;
        for (int i = 0; i < FAN_IN; i++) {
            m->stats.bytes -= mem_part_bytes(tail[i]);
            mem_part_unref(tail[i]);
        }
        tail[0] = merged;
        m->n_parts -= FAN_IN - 1;
        m->stats.bytes += mem_part_bytes(merged);
    }
}

/* ---- appending ---- */

static int add_part(struct memtable *m, struct mem_part *p, struct error *err)
{
    if (m->n_parts == m->parts_capacity) {
        uint32_t bigger = m->parts_capacity ? m->parts_capacity * 2 : 8;
        struct mem_part **grown = realloc(m->parts, bigger * sizeof *grown);
        if (!grown)
            return error_no_memory(err, bigger * sizeof *grown);
        m->parts = grown;
        m->parts_capacity = bigger;
    }
    m->parts[m->n_parts++] = p;
    m->stats.rows += p->n_rows;
    m->stats.bytes += mem_part_bytes(p);
    m->stats.time_min = p->time_min < m->stats.time_min ? p->time_min : m->stats.time_min;
    m->stats.time_max = p->time_max > m->stats.time_max ? p->time_max : m->stats.time_max;
    m->stats.max_sequence = p->max_sequence > m->stats.max_sequence ? p->max_sequence : m->stats.max_sequence;
    m->has_deletes = m->has_deletes || p->op == OP_DELETE || p->ops;
    return ST_OK;
}

int memtable_append(struct memtable *m, struct row_write *w, struct prepared_write *prepared, uint64_t sequence, bool one_sequence, struct error *err)
{
    if (w->n_rows == 0)
        return ST_OK;
    struct mem_part *p = mem_part_new(m->metadata->n_columns);
    if (!p)
        return error_no_memory(err, sizeof *p);
    assert(w->metadata->n_columns == p->n_columns);
    p->n_rows = w->n_rows;
    p->series = prepared->series;
    p->times = w->times;
    prepared->series = NULL;
    w->times = NULL;
    p->first_sequence = sequence;
    p->sequence_step = !one_sequence;
    p->max_sequence = one_sequence ? sequence : sequence + (uint64_t)w->n_rows - 1;
    p->op = w->is_delete ? OP_DELETE : OP_PUT;
    p->time_min = w->time_min;
    p->time_max = w->time_max;
    for (uint32_t i = 0; i < p->n_columns; i++) {
        p->columns[i] = w->columns[i];
        w->columns[i] = NULL;
    }
    pthread_mutex_lock(&m->lock);
    int st = add_part(m, p, err);
    if (st == ST_OK)
        merge_tail(m);
    pthread_mutex_unlock(&m->lock);
    if (st != ST_OK)
        mem_part_unref(p);
    return st;
}

void memtable_stats(struct memtable *m, struct memtable_stats *ret_stats)
{
    pthread_mutex_lock(&m->lock);
    *ret_stats = m->stats;
    pthread_mutex_unlock(&m->lock);
}

void memtable_stats_ahead(const struct memtable *m)
{
    __builtin_prefetch(&m->lock, 1);
    __builtin_prefetch(&m->stats);
    __builtin_prefetch((const char *)(&m->stats + 1) - 1);
}
