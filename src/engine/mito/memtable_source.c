/* Reading a memtable in (key, time, sequence descending) order.
 *
 * The parts are unsorted, but series ids are ranked by key, so one counting sort by rank brings the rows of each series together in the order they were
 * written; series are usually written in time order, so most groups need no more. Rows that the time range, a tag predicate or the sequence bound
 * leave out never enter the sort. Tags and keys then cost nothing: every row's rank is its dictionary code.
 */
#include "engine/mito/memtable_source.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mito/predicate.h"

enum { BATCH_ROWS = 8192, CHECK_SERIES = 256 };

static int64_t time_of(const struct memtable_source *s, struct mem_ref r)
{
    return ((const int64_t *)(const void *)s->parts[r.part]->times->data)[r.row];
}

static uint64_t sequence_of(const struct memtable_source *s, struct mem_ref r)
{
    return mem_part_sequence(s->parts[r.part], r.row);
}

/* ---- which rows ---- */

uint32_t memtable_key_position(const struct region_metadata *metadata, uint32_t column)
{
    for (uint32_t k = 0; k < metadata->n_key; k++)
        if (metadata->key[k] == column)
            return k;
    return UINT32_MAX;
}

int memtable_wanted_series(const struct memtable_view *view, const struct read_request *q, bool **ret_wanted, struct error *err)
{
    uint32_t n = series_snapshot_count(view->series);
    bool *wanted = NULL;
    for (uint32_t p = 0; p < q->n_predicates; p++) {
        const struct scan_predicate *predicate = &q->predicates[p];
        uint32_t k = memtable_key_position(q->metadata, predicate->column);
        struct column *tag;
        if (k == UINT32_MAX)
            continue;
        int st = series_snapshot_tag(view->series, k, &tag, err);
        if (st == ST_OK && !wanted) {
            wanted = malloc(n + 1);
            st = wanted ? ST_OK : error_no_memory(err, n);
            if (wanted)
                memset(wanted, 1, n);
        }
        if (st != ST_OK) {
            free(wanted);
            return st;
        }
        for (uint32_t r = 0; r < n; r++)
            wanted[r] = wanted[r] && predicate_keeps(predicate, tag, r);
    }
    *ret_wanted = wanted;
    return ST_OK;
}

struct filter {
    const uint32_t *ranks;
    const bool *wanted;
    uint32_t n_series;
    int64_t time_min, time_max;
    bool has_max_sequence;
    uint64_t max_sequence;
};

/* The rank of a row, or UINT32_MAX when it is left out. Rows of series newer than the snapshot belong to writes newer than the read. */
static inline uint32_t rank_if_wanted(const struct mem_part *p, int64_t i, const struct filter *f)
{
    uint32_t series = ((const uint32_t *)(const void *)p->series->data)[i];
    int64_t t = ((const int64_t *)(const void *)p->times->data)[i];
    if (series >= f->n_series || t < f->time_min || t > f->time_max)
        return UINT32_MAX;
    uint32_t rank = f->ranks[series];
    if (f->wanted && !f->wanted[rank])
        return UINT32_MAX;
    if (f->has_max_sequence && mem_part_sequence(p, i) > f->max_sequence)
        return UINT32_MAX;
    return rank;
}

/* ---- sorting ---- */

struct sort_row { int64_t time; uint64_t sequence; struct mem_ref ref; uint32_t age; };

static int by_time_then_newest(const void *a, const void *b)
{
    const struct sort_row *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    if (x->sequence != y->sequence)
        return x->sequence > y->sequence ? -1 : 1;
    /* Equal in all three (one bulk insert): the later row counts as newer. */
    if (x->ref.part != y->ref.part)
        return x->ref.part > y->ref.part ? -1 : 1;
    return x->age > y->age ? -1 : 1;
}

/* Insertion sort for rows that are out of place by little, as writers that run side by side leave them. False, with the rows in some order, once the
 * moves are too many for it. */
static bool sort_nearly_sorted(struct sort_row *rows, int64_t n)
{
    int64_t moves = 8 * n;
    for (int64_t i = 1; i < n; i++) {
        struct sort_row row = rows[i];
        int64_t at = i;
        for (; at > 0 && moves > 0 && by_time_then_newest(&rows[at - 1], &row) > 0; at--, moves--)
            rows[at] = rows[at - 1];
        rows[at] = row;
        if (moves == 0)
            return false;
    }
    return true;
}

/* Orders the rows of one series; *unique turns false at a repeated time. */
static int sort_group(struct memtable_source *s, struct mem_ref *refs, int64_t n, bool *unique, struct error *err)
{
    bool ascending = true;
    for (int64_t i = 1; i < n && ascending; i++)
        ascending = time_of(s, refs[i - 1]) < time_of(s, refs[i]);
    if (ascending)
        return ST_OK;
    struct sort_row *rows = malloc((size_t)n * sizeof *rows);
    if (!rows)
        return error_no_memory(err, (size_t)n * sizeof *rows);
    for (int64_t i = 0; i < n; i++)
        rows[i] = (struct sort_row){time_of(s, refs[i]), sequence_of(s, refs[i]), refs[i], s->parts[refs[i].part]->runs ? ~refs[i].row : refs[i].row};
    if (!sort_nearly_sorted(rows, n))
        qsort(rows, (size_t)n, sizeof *rows, by_time_then_newest);
    for (int64_t i = 0; i < n; i++) {
        refs[i] = rows[i].ref;
        if (i && rows[i].time == rows[i - 1].time)
            *unique = false;
    }
    free(rows);
    return ST_OK;
}

static bool part_may_match(const struct mem_part *p, const struct read_request *q)
{
    return p->time_max >= q->time_min && p->time_min <= q->time_max;
}

static int sort_rows(struct memtable_source *s, const struct read_request *q, const struct filter *f, struct error *err)
{
    int64_t *starts = calloc((size_t)f->n_series + 1, sizeof *starts); /* rows before each rank */
    if (!starts)
        return error_no_memory(err, f->n_series * sizeof *starts);
    for (uint32_t p = 0; p < s->n_parts; p++)
        for (int64_t i = 0; part_may_match(s->parts[p], q) && i < s->parts[p]->n_rows; i++) {
            uint32_t rank = rank_if_wanted(s->parts[p], i, f);
            if (rank != UINT32_MAX)
                starts[rank + 1]++;
        }
    for (uint32_t r = 0; r < f->n_series; r++)
        starts[r + 1] += starts[r];
    s->n_rows = starts[f->n_series];
    int st = buffer_new_uninit(s->budget, (size_t)s->n_rows * sizeof(struct mem_ref), &s->refs, err);
    if (st == ST_OK)
        st = buffer_new_uninit(s->budget, (size_t)s->n_rows * 4, &s->ranks, err);
    if (st != ST_OK) {
        free(starts);
        return st;
    }
    struct mem_ref *refs = (struct mem_ref *)(void *)s->refs->data;
    uint32_t *ranks = (uint32_t *)(void *)s->ranks->data;
    bool unique = true;
    for (uint32_t p = 0; p < s->n_parts; p++) {
        for (int64_t i = 0; part_may_match(s->parts[p], q) && i < s->parts[p]->n_rows; i++) {
            uint32_t rank = rank_if_wanted(s->parts[p], i, f);
            if (rank == UINT32_MAX)
                continue;
            ranks[starts[rank]] = rank;
            refs[starts[rank]++] = (struct mem_ref){p, (uint32_t)i};
        }
        s->any_deletes = s->any_deletes || s->parts[p]->ops || s->parts[p]->op != OP_PUT;
    }
    /* starts[r] is now where rank r ends. */
    for (uint32_t r = 0; r < f->n_series && st == ST_OK; r++) {
        int64_t from = r ? starts[r - 1] : 0;
        if (r % CHECK_SERIES == 0 && (st = work_check(s->work, err)) != ST_OK)
            break;
        if (starts[r] - from > 1)
            st = sort_group(s, refs + from, starts[r] - from, &unique, err);
    }
    free(starts);
    s->base.unique = unique && !s->any_deletes;
    return st;
}

/* ---- gathering a batch ---- */

#define GATHER(ctype)                                                                     \
    do {                                                                                  \
        ctype *to = (ctype *)(void *)out;                                                 \
        for (int64_t i = 0; i < n; i++)                                                   \
            to[i] = bases[refs[i].part] ? ((const ctype *)bases[refs[i].part])[refs[i].row] : (ctype){0}; \
    } while (0)

struct wide { uint64_t w[2]; };

static void gather_fixed(void *out, const void *const *bases, const struct mem_ref *refs, int64_t n, int32_t width)
{
    switch (width) {
    case 1: GATHER(uint8_t); break;
    case 2: GATHER(uint16_t); break;
    case 4: GATHER(uint32_t); break;
    case 8: GATHER(uint64_t); break;
    default: assert(width == 16); GATHER(struct wide);
    }
}

static bool is_text(const struct memtable_source *s, uint32_t column)
{
    return s->metadata->columns[column].semantic == SEMANTIC_FIELD && type_is_varlen(s->metadata->columns[column].type);
}

static int32_t text_size(const struct memtable_source *s, uint32_t column, struct mem_ref r)
{
    const struct column *c = s->parts[r.part]->columns[column];
    return c ? COLUMN_VALUES(c, int32_t)[r.row + 1] - COLUMN_VALUES(c, int32_t)[r.row] : 0;
}

static int64_t text_bytes(const struct memtable_source *s, const struct mem_ref *refs, int64_t n)
{
    int64_t total = 0;
    for (uint32_t k = 0; k < s->n_columns; k++)
        for (int64_t i = 0; is_text(s, s->columns[k]) && i < n; i++)
            total += text_size(s, s->columns[k], refs[i]);
    return total;
}

/* How many of the rows one batch takes. */
static int64_t rows_of_batch(const struct memtable_source *s, const struct mem_ref *refs, int64_t n)
{
    int64_t i = n, total = text_bytes(s, refs, n);
    if (total <= BATCH_TEXT_BYTES)
        return n;
    for (i = 1, total = text_bytes(s, refs, 1); i < n; i++)
        if ((total += text_bytes(s, refs + i, 1)) > BATCH_TEXT_BYTES)
            break;
    return i;
}

static int gather_text(struct memtable_source *s, uint32_t column, const struct mem_ref *refs, int64_t n, struct buffer **ret_offsets,
                       struct buffer **ret_bytes, struct error *err)
{
    struct buffer *offsets, *bytes;
    int64_t total = 0;
    TRY(buffer_new_uninit(s->budget, ((size_t)n + 1) * 4, &offsets, err));
    int32_t *to = (int32_t *)(void *)offsets->data;
    for (int64_t i = 0; i < n && total <= INT32_MAX; i++) {
        to[i] = (int32_t)total;
        total += text_size(s, column, refs[i]);
    }
    int st = total > INT32_MAX
                 ? error_set(err, ST_EXHAUSTED, "column %s of a memtable has more than 2 GiB of text", s->metadata->columns[column].name)
                 : buffer_new_uninit(s->budget, (size_t)total, &bytes, err);
    if (st != ST_OK) {
        buffer_unref(offsets);
        return st;
    }
    to[n] = (int32_t)total;
    for (int64_t i = 0; i < n; i++) {
        const struct column *c = s->parts[refs[i].part]->columns[column];
        if (to[i + 1] > to[i])
            memcpy(bytes->data + to[i], c->buffers[1]->data + COLUMN_VALUES(c, int32_t)[refs[i].row], (size_t)(to[i + 1] - to[i]));
    }
    *ret_offsets = offsets;
    *ret_bytes = bytes;
    return ST_OK;
}

/* Columns of nested types: one part at a time, then put in order. */
static int gather_general(struct memtable_source *s, uint32_t column, const struct mem_ref *refs, int64_t n, struct column **ret_column, struct error *err)
{
    struct column **pieces = calloc(s->n_parts + 1, sizeof *pieces), *joined = NULL;
    int64_t *base = calloc(s->n_parts + 1, sizeof *base);
    struct buffer *take = NULL;
    uint32_t n_pieces = 0;
    int st = pieces && base ? buffer_new_uninit(s->budget, (size_t)n * 4, &take, err) : error_no_memory(err, s->n_parts * 16);
    int64_t total = 0;
    if (st == ST_OK) {
        /* Only the span of rows that this batch uses of each part. */
        int64_t *low = calloc(s->n_parts + 1, sizeof *low), *high = calloc(s->n_parts + 1, sizeof *high);
        st = low && high ? ST_OK : error_no_memory(err, s->n_parts * 16);
        for (int64_t i = 0; st == ST_OK && i < n; i++) {
            uint32_t p = refs[i].part;
            if (high[p] == 0 || refs[i].row < low[p])
                low[p] = refs[i].row;
            if ((int64_t)refs[i].row + 1 > high[p])
                high[p] = (int64_t)refs[i].row + 1;
        }
        for (uint32_t p = 0; st == ST_OK && p < s->n_parts; p++) {
            base[p] = total - low[p];
            if (!high[p] || !s->parts[p]->columns[column])
                continue;
            st = column_slice(s->parts[p]->columns[column], low[p], high[p] - low[p], &pieces[n_pieces], err);
            n_pieces += st == ST_OK;
            total += high[p] - low[p];
        }
        free(low);
        free(high);
    }
    if (st == ST_OK && n_pieces == 0) {
        st = column_new_nulls(s->budget, s->metadata->columns[column].type, n, ret_column, err);
    } else if (st == ST_OK) {
        uint32_t *rows = (uint32_t *)(void *)take->data;
        for (int64_t i = 0; i < n; i++)
            rows[i] = s->parts[refs[i].part]->columns[column] ? (uint32_t)(base[refs[i].part] + refs[i].row) : UINT32_MAX;
        st = column_concat(s->budget, pieces, n_pieces, &joined, err);
        if (st == ST_OK)
            st = column_take(s->budget, joined, rows, n, ret_column, err);
    }
    for (uint32_t p = 0; p < n_pieces; p++)
        column_unref(pieces[p]);
    column_unref(joined);
    buffer_unref(take);
    free(pieces);
    free(base);
    return st;
}

static int gather_validity(struct memtable_source *s, uint32_t column, const struct mem_ref *refs, int64_t n, struct buffer **ret_validity, int64_t *ret_nulls,
                           struct error *err)
{
    bool any = false;
    for (uint32_t p = 0; p < s->n_parts && !any; p++)
        any = !s->parts[p]->columns[column] || column_null_count(s->parts[p]->columns[column]) > 0;
    *ret_validity = NULL;
    *ret_nulls = 0;
    if (!any)
        return ST_OK;
    TRY(buffer_new(s->budget, bits_bytes(n), ret_validity, err));
    for (int64_t i = 0; i < n; i++) {
        const struct column *c = s->parts[refs[i].part]->columns[column];
        if (c && !column_is_null(c, refs[i].row))
            bit_set((*ret_validity)->data, i);
        else
            ++*ret_nulls;
    }
    return ST_OK;
}

int memtable_gather_field(struct memtable_source *s, uint32_t column, const struct mem_ref *refs, int64_t n, struct column **ret_column, struct error *err)
{
    struct dtype *type = s->metadata->columns[column].type;
    int32_t width = type_width(type);
    bool text = type_is_varlen(type);
    if (!text && (width == 0 || width > 16 || type->id == TYPE_FIXED_BINARY))
        return gather_general(s, column, refs, n, ret_column, err);
    struct buffer *values, *bytes, *validity;
    int64_t nulls;
    TRY(gather_validity(s, column, refs, n, &validity, &nulls, err));
    if (text) {
        int st = gather_text(s, column, refs, n, &values, &bytes, err);
        if (st != ST_OK) {
            buffer_unref(validity);
            return st;
        }
        return column_new(type, n, nulls, validity, values, bytes, ret_column, err);
    }
    const void **bases = calloc(s->n_parts + 1, sizeof *bases);
    int st = bases ? buffer_new_uninit(s->budget, (size_t)n * (size_t)width, &values, err) : error_no_memory(err, s->n_parts * sizeof *bases);
    if (st != ST_OK) {
        buffer_unref(validity);
        free(bases);
        return st;
    }
    for (uint32_t p = 0; p < s->n_parts; p++)
        if (s->parts[p]->columns[column])
            bases[p] = s->parts[p]->columns[column]->buffers[0]->data + s->parts[p]->columns[column]->offset * width;
    gather_fixed(values->data, bases, refs, n, width);
    free(bases);
    return column_new(type, n, nulls, validity, values, NULL, ret_column, err);
}

int memtable_rank_column(struct series_snapshot *series, struct budget *budget, uint32_t k, struct buffer *ranks, int64_t n, struct column **ret_column,
                         struct error *err)
{
    struct column *values = series_snapshot_keys(series), *coded;
    if (k != UINT32_MAX)
        TRY(series_snapshot_tag(series, k, &values, err));
    if (!type_is_varlen(values->type))
        return column_take(budget, values, (const uint32_t *)(const void *)ranks->data, n, ret_column, err);
    struct dtype *type = type_dictionary(TYPE_UINT32, values->type);
    if (!type)
        return error_no_memory(err, sizeof *type);
    column_ref(values);
    int st = column_new_nested(type, n, 0, NULL, buffer_ref(ranks), &values, 1, &coded, err);
    type_unref(type);
    TRY(st);
    st = column_lift_nulls(budget, coded, ret_column, err);
    column_unref(coded);
    return st;
}

static int gather_column(struct memtable_source *s, uint32_t column, const struct mem_ref *refs, struct buffer *codes, struct column *time, int64_t n,
                         struct column **ret_column, struct error *err)
{
    uint32_t k = memtable_key_position(s->metadata, column);
    if (column == s->metadata->time_index) {
        *ret_column = column_ref(time);
        return ST_OK;
    }
    return k == UINT32_MAX ? memtable_gather_field(s, column, refs, n, ret_column, err)
                           : memtable_rank_column(s->series, s->budget, k, codes, n, ret_column, err);
}

static int gather_internal(struct memtable_source *s, const struct mem_ref *refs, int64_t n, struct column **ret_time, struct column **ret_sequence,
                           struct column **ret_op, struct error *err)
{
    struct buffer *times = NULL, *sequences = NULL, *ops = NULL;
    int st = buffer_new_uninit(s->budget, (size_t)n * 8, &times, err);
    if (st == ST_OK)
        st = buffer_new_uninit(s->budget, (size_t)n * 8, &sequences, err);
    if (st == ST_OK && s->any_deletes)
        st = buffer_new_uninit(s->budget, (size_t)n, &ops, err);
    if (st != ST_OK) {
        buffer_unref(times);
        buffer_unref(sequences);
        return st;
    }
    for (int64_t i = 0; i < n; i++) {
        ((int64_t *)(void *)times->data)[i] = time_of(s, refs[i]);
        ((uint64_t *)(void *)sequences->data)[i] = sequence_of(s, refs[i]);
        if (ops)
            ops->data[i] = mem_part_op(s->parts[refs[i].part], refs[i].row);
    }
    st = column_new(s->metadata->columns[s->metadata->time_index].type, n, 0, NULL, times, NULL, ret_time, err);
    if (st != ST_OK) {
        buffer_unref(sequences);
        buffer_unref(ops);
        return st;
    }
    st = column_new(type_of(TYPE_UINT64), n, 0, NULL, sequences, NULL, ret_sequence, err);
    if (st != ST_OK) {
        buffer_unref(ops);
        return st;
    }
    return ops ? column_new(type_of(TYPE_UINT8), n, 0, NULL, ops, NULL, ret_op, err) : ST_OK;
}

static int source_next(struct row_source *base, struct row_batch **ret_batch, struct error *err)
{
    struct memtable_source *s = (struct memtable_source *)base;
    int64_t n = s->n_rows - s->next_row;
    struct column *time = NULL, *sequence = NULL, *op = NULL, *key = NULL;
    *ret_batch = NULL;
    if (n <= 0)
        return ST_OK;
    TRY(work_check(s->work, err));
    const struct mem_ref *refs = (const struct mem_ref *)(const void *)s->refs->data + s->next_row;
    n = rows_of_batch(s, refs, n > BATCH_ROWS ? BATCH_ROWS : n);
    struct column **columns = calloc(s->n_columns + 1, sizeof *columns);
    struct buffer *codes = NULL;
    uint32_t made = 0;
    int st = columns ? buffer_new_uninit(s->budget, (size_t)n * 4, &codes, err) : error_no_memory(err, 8);
    if (st == ST_OK) {
        memcpy(codes->data, s->ranks->data + s->next_row * 4, (size_t)n * 4);
        st = gather_internal(s, refs, n, &time, &sequence, &op, err);
    }
    if (st == ST_OK)
        st = memtable_rank_column(s->series, s->budget, UINT32_MAX, codes, n, &key, err);
    for (; st == ST_OK && made < s->n_columns; made += st == ST_OK)
        st = gather_column(s, s->columns[made], refs, codes, time, n, &columns[made], err);
    buffer_unref(codes);
    if (st == ST_OK) {
        st = row_batch_new(n, key, time, sequence, 0, op, columns, s->n_columns, ret_batch, err);
        s->next_row += n;
    } else {
        column_unref(key);
        column_unref(time);
        column_unref(sequence);
        column_unref(op);
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    }
    free(columns);
    return st;
}

static void source_free(struct row_source *base)
{
    struct memtable_source *s = (struct memtable_source *)base;
    if (!s->borrows) {
        buffer_unref(s->refs);
        buffer_unref(s->ranks);
        free(s->columns);
        memtable_view_free(s->view);
    }
    free(s);
}

static const struct row_source_ops memtable_source_ops = {source_next, source_free};

int memtable_sort_view(struct memtable_view *view, const struct read_request *q, struct memtable_source **ret_source, struct error *err)
{
    struct memtable_source *s = calloc(1, sizeof *s);
    bool *wanted = NULL;
    if (!s) {
        memtable_view_free(view);
        return error_no_memory(err, sizeof *s);
    }
    *s = (struct memtable_source){.base = {.ops = &memtable_source_ops, .time_min = q->time_min, .time_max = q->time_max}, .view = view,
                                  .metadata = view->memtable->metadata, .parts = view->parts, .n_parts = view->n_parts, .series = view->series,
                                  .budget = q->budget, .work = q->work, .n_columns = q->n_columns};
    s->columns = malloc((q->n_columns + 1) * sizeof *s->columns);
    int st = s->columns ? memtable_wanted_series(view, q, &wanted, err) : error_no_memory(err, q->n_columns * sizeof *s->columns);
    if (st == ST_OK) {
        struct filter f = {series_snapshot_ranks(s->series), wanted, series_snapshot_count(s->series), q->time_min, q->time_max, q->has_max_sequence,
                           q->max_sequence};
        for (uint32_t i = 0; i < q->n_columns; i++)
            s->columns[i] = q->columns[i];
        st = sort_rows(s, q, &f, err);
    }
    free(wanted);
    if (st != ST_OK) {
        source_free(&s->base);
        return st;
    }
    *ret_source = s;
    return ST_OK;
}

/* A bound on the sequence may cut a part in two. */
static bool is_sorted(const struct memtable_view *view, const struct read_request *q)
{
    return view->n_parts == 1 && view->parts[0]->runs && (!q->has_max_sequence || view->parts[0]->max_sequence <= q->max_sequence);
}

bool memtable_view_can_cut(const struct memtable_view *view, const struct read_request *q)
{
    return is_sorted(view, q) && q->n_columns > 0; /* without columns a batch is only a number */
}

int memtable_view_source_new(struct memtable_view *view, const struct read_request *q, struct row_source **ret_source, struct error *err)
{
    struct memtable_source *s;
    if (q->stats)
        q->stats->memtable_ranges++;
    if (is_sorted(view, q))
        return memtable_sorted_source_new(view, q, ret_source, err);
    TRY(memtable_sort_view(view, q, &s, err));
    *ret_source = &s->base;
    return ST_OK;
}

int memtable_source_new(struct memtable *m, const struct read_request *q, struct row_source **ret_source, struct error *err)
{
    struct memtable_view *view;
    TRY(memtable_view_all(m, &view, err));
    return memtable_view_source_new(view, q, ret_source, err);
}

/* ---- parts ---- */

uint32_t memtable_source_keys(const struct row_source *whole, int64_t stride, struct key_bytes *ret_keys, uint32_t room)
{
    const struct memtable_source *s = (const struct memtable_source *)whole;
    uint32_t n = 0, last = 0;
    if (memtable_is_sorted_source(whole))
        return memtable_sorted_keys(whole, stride, ret_keys, room);
    const uint32_t *ranks = (const uint32_t *)(const void *)s->ranks->data;
    for (int64_t i = stride; i < s->n_rows && n < room; i += stride) {
        int32_t size;
        if (ranks[i] <= last)
            continue;
        last = ranks[i];
        const uint8_t *data = column_bytes(series_snapshot_keys(s->series), last, &size);
        ret_keys[n++] = (struct key_bytes){data, (size_t)size};
    }
    return n;
}

/* The first row whose rank is not below `rank`. */
static int64_t rank_lower_bound(const struct memtable_source *s, uint32_t rank)
{
    const uint32_t *ranks = (const uint32_t *)(const void *)s->ranks->data;
    int64_t low = 0, high = s->n_rows;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (ranks[middle] < rank)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void memtable_source_cut_keys(const struct row_source *whole, const struct key_bytes *keys, uint32_t n, struct source_part *ret_parts)
{
    const struct memtable_source *s = (const struct memtable_source *)whole;
    if (memtable_is_sorted_source(whole)) {
        memtable_sorted_cut_keys(whole, keys, n, ret_parts);
        return;
    }
    int64_t from = 0;
    for (uint32_t i = 0; i <= n; i++) {
        int64_t to = i < n ? rank_lower_bound(s, key_bytes_lower_bound(series_snapshot_keys(s->series), &keys[i])) : s->n_rows;
        ret_parts[i] = (struct source_part){.first = (uint32_t)from, .n = to - from, .rows = to - from};
        from = to;
    }
}

int memtable_source_part(const struct row_source *whole, const struct source_part *part, struct row_source **ret_source, struct error *err)
{
    if (memtable_is_sorted_source(whole))
        return memtable_sorted_part(whole, part, ret_source, err);
    struct memtable_source *s = malloc(sizeof *s);
    if (!s)
        return error_no_memory(err, sizeof *s);
    *s = *(const struct memtable_source *)whole;
    s->borrows = true;
    s->next_row = part->first;
    s->n_rows = part->first + part->n;
    *ret_source = &s->base;
    return ST_OK;
}
