/* The plan of a scan and the streams that read by it.
 *
 * Sources whose time ranges overlap form a group that is merged and deduplicated; groups that do not overlap are read one after another without any
 * merging. In append mode nothing needs merging at all. A group's files are opened when its turn comes, so a LIMIT that is satisfied early
 * never opens the rest.
 */
#include <stdlib.h>

#include "base/metrics.h"
#include "engine/mito/predicate.h"
#include "engine/mito/scan_plan.h"

static struct metric_family read_elapsed = {.name = "greptime_mito_read_stage_elapsed", .help = "seconds of a scan, from plan to the end of its last stream",
                                            .kind = METRIC_HISTOGRAM, .label_names = {"stage"}, .bounds = {.01, .1, 1, 10, 100, 1000, 10000}};

/* ---- the plan ---- */

static int by_start(const void *a, const void *b)
{
    const struct scan_origin *x = a, *y = b;
    return (x->time_min > y->time_min) - (x->time_min < y->time_min);
}

static int by_age(const void *a, const void *b)
{
    const struct scan_origin *x = a, *y = b;
    return (x->age > y->age) - (x->age < y->age);
}

/* End of the group that starts at origin i. */
static uint32_t group_end(const struct scan_plan *p, uint32_t i)
{
    bool by_time = p->snapshot->metadata->n_key == 0; /* groups one behind another are in the order of an empty key */
    if (p->snapshot->mode == MERGE_APPEND && !p->request.want_key_order)
        return i + 1;
    if (p->request.want_key_order && !by_time)
        return p->n_origins;
    int64_t end = p->origins[i].time_max;
    for (i++; i < p->n_origins && p->origins[i].time_min <= end; i++)
        end = p->origins[i].time_max > end ? p->origins[i].time_max : end;
    return i;
}

int scan_plan_add_piece(struct scan_plan *p, const struct scan_piece *piece, struct error *err)
{
    if (p->n_pieces == p->pieces_room) {
        uint32_t room = p->pieces_room * 2 + 8;
        struct scan_piece *grown = realloc(p->pieces, room * sizeof *grown);
        if (!grown)
            return error_no_memory(err, room * sizeof *grown);
        p->pieces = grown;
        p->pieces_room = room;
    }
    p->pieces[p->n_pieces++] = *piece;
    return ST_OK;
}

static int form_groups(struct scan_plan *p, struct error *err)
{
    qsort(p->origins, p->n_origins, sizeof *p->origins, by_start);
    for (uint32_t from = 0, to; from < p->n_origins; from = to) {
        to = group_end(p, from);
        qsort(p->origins + from, to - from, sizeof *p->origins, by_age);
        struct scan_piece group = {.first = from, .n = to - from};
        for (uint32_t i = from; i < to; i++)
            group.rows += p->origins[i].rows;
        TRY(scan_plan_add_piece(p, &group, err));
    }
    return ST_OK;
}

/* Adds an origin unless the time range leaves it out. */
static void add_origin(struct scan_plan *p, struct scan_origin o)
{
    if (o.time_max >= p->time_min && o.time_min <= p->time_max)
        p->origins[p->n_origins++] = o;
    else
        memtable_view_free(o.view);
}

/* The active memtable may gain rows while the scan runs: what it sees of it is what there is now. */
static int add_memtable(struct scan_plan *p, uint32_t i, struct error *err)
{
    struct memtable_stats stats;
    struct memtable_view *views[2];
    uint32_t n;
    memtable_stats(p->snapshot->memtables[i], &stats);
    if (!stats.rows || stats.time_max < p->time_min || stats.time_min > p->time_max)
        return ST_OK;
    TRY(memtable_open_views(p->snapshot->memtables[i], p->work, views, &n, err));
    for (uint32_t k = 0; k < n; k++) {
        memtable_view_stats(views[k], &stats);
        add_origin(p, (struct scan_origin){.view = views[k],
                                           .time_min = stats.time_min,
                                           .time_max = stats.time_max,
                                           .rows = stats.rows,
                                           .age = UINT64_MAX - 2 * (p->snapshot->n_memtables - i) + k});
    }
    return ST_OK;
}

static int collect_origins(struct scan_plan *p, struct error *err)
{
    struct mito_table *t = p->snapshot;
    p->origins = calloc(t->n_files + 2 * (size_t)t->n_memtables + 1, sizeof *p->origins);
    if (!p->origins)
        return error_no_memory(err, (t->n_files + t->n_memtables) * sizeof *p->origins);
    for (uint32_t i = 0; i < t->n_files; i++) {
        const struct file_meta *m = &t->files[i]->meta;
        if (m->sequence && m->sequence <= p->request.sst_min_sequence)
            continue;
        int64_t rows = m->num_rows < INT32_MAX ? (int64_t)m->num_rows : INT32_MAX;
        add_origin(p, (struct scan_origin){.file = t->files[i], .time_min = m->time_min, .time_max = m->time_max, .rows = rows, .age = m->sequence});
    }
    for (uint32_t i = 0; i < t->n_memtables; i++)
        TRY(add_memtable(p, i, err));
    return ST_OK;
}

static int copy_request(struct scan_plan *p, const struct scan_request *q, struct error *err)
{
    const struct region_metadata *m = p->snapshot->metadata;
    p->request = *q;
    p->request.n_predicates = 0;
    p->columns = malloc((q->n_columns + 1) * sizeof *p->columns);
    p->fields = malloc((q->n_columns + 1) * sizeof *p->fields);
    p->predicates = calloc(q->n_predicates + 1, sizeof *p->predicates);
    struct field **fields = malloc((q->n_columns + 1) * sizeof *fields);
    if (!p->columns || !p->fields || !p->predicates || !fields) {
        free(fields);
        return error_no_memory(err, q->n_columns * 16);
    }
    for (uint32_t i = 0; i < q->n_columns; i++) {
        p->columns[i] = q->columns[i];
        p->fields[i] = m->columns[q->columns[i]].semantic == SEMANTIC_FIELD;
        fields[i] = m->columns[q->columns[i]].field;
    }
    for (uint32_t i = 0; i < q->n_predicates; i++) {
        p->predicates[i] = q->predicates[i];
        scan_predicate_ref(&q->predicates[i]);
        p->request.n_predicates++;
    }
    struct schema *plain = schema_new(fields, q->n_columns);
    free(fields);
    p->schema = plain ? schema_with_meta(plain, m->schema->meta, m->schema->n_meta) : NULL;
    schema_unref(plain);
    return p->schema ? ST_OK : error_no_memory(err, 256);
}

int scan_plan_new(struct mito_table *t, const struct scan_request *request, struct work_context *work, struct scan_plan **ret_plan, struct error *err)
{
    struct scan_plan *p = calloc(1, sizeof *p);
    if (!p)
        return error_no_memory(err, sizeof *p);
    atomic_init(&p->refs, 1);
    p->start_ns = clock_monotonic_ns();
    p->snapshot = t;
    atomic_fetch_add(&t->refs, 1);
    p->work = work;
    p->budget = work && work->budget ? work->budget : &t->engine->scan_budget;
    arena_init(&p->arena, p->budget);
    p->time_min = INT64_MIN;
    p->time_max = INT64_MAX;
    int st = copy_request(p, request, err);
    if (st == ST_OK) {
        predicate_time_range(p->predicates, p->request.n_predicates, t->metadata->time_index, &p->time_min, &p->time_max);
        st = collect_origins(p, err);
    }
    if (st == ST_OK)
        st = form_groups(p, err);
    if (st == ST_OK)
        *ret_plan = p;
    else
        scan_plan_unref(p);
    return st;
}

void scan_plan_unref(struct scan_plan *p)
{
    static const char *const whole[] = {"total", NULL};
    if (atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    metric_observe(metric_child(&read_elapsed, whole), (double)(clock_monotonic_ns() - p->start_ns) / 1e9);
    for (uint32_t i = 0; i < p->n_wholes; i++)
        row_source_free(p->wholes[i]);
    free(p->wholes);
    arena_release(&p->arena);
    free(p->pieces);
    for (uint32_t i = 0; p->predicates && i < p->request.n_predicates; i++)
        scan_predicate_unref(&p->predicates[i]);
    free(p->predicates);
    free(p->columns);
    free(p->fields);
    for (uint32_t i = 0; i < p->n_origins; i++)
        memtable_view_free(p->origins[i].view);
    free(p->origins);
    schema_unref(p->schema);
    mito_table_unref(p->snapshot);
    free(p);
}

struct read_request scan_plan_read(const struct scan_plan *p, bool alone, bool last_rows, struct scan_stats *stats)
{
    bool append = p->snapshot->mode == MERGE_APPEND;
    return (struct read_request){.metadata = p->snapshot->metadata,
                                 .columns = p->columns,
                                 .n_columns = p->request.n_columns,
                                 .predicates = p->predicates,
                                 .n_predicates = p->request.n_predicates,
                                 .append = append,
                                 .alone = alone,
                                 .last_row_only = last_rows,
                                 .limit = (alone || append) && p->request.limit > 0 ? p->request.limit : 0,
                                 .time_min = p->time_min,
                                 .time_max = p->time_max,
                                 .has_max_sequence = p->request.has_memtable_max_sequence,
                                 .max_sequence = p->request.memtable_max_sequence,
                                 .keep = true,
                                 .indexes = p->snapshot->indexes,
                                 .budget = p->budget,
                                 .work = p->work,
                                 .stats = stats,
                                 .need_key = !alone};
}

int scan_plan_open(const struct scan_plan *p, struct scan_origin *o, bool alone, bool last_rows, struct scan_stats *stats,
                   struct row_source **ret_source, struct error *err)
{
    struct read_request q = scan_plan_read(p, alone, last_rows, stats);
    struct memtable_view *view = o->view;
    o->view = NULL;
    return view ? memtable_view_source_new(view, &q, ret_source, err) : mito_file_source(o->file, &q, ret_source, err);
}

/* ---- streams ---- */

struct scan_stream {
    struct batch_stream base;
    struct scan_plan *plan;
    uint32_t next, end;        /* pieces still to be read */
    struct row_source *source; /* of the piece being read */
    struct scan_stats stats;
};

/* Takes the sources, also on failure. */
static int join_sources(struct scan_stream *s, struct row_source **sources, uint32_t n, struct error *err)
{
    const struct scan_plan *p = s->plan;
    enum merge_mode mode = p->snapshot->mode;
    if (n > 1 || mode != MERGE_APPEND)
        return merge_source_new(sources, n, mode, true, p->fields, p->request.n_columns, p->budget, p->work, &s->source, err);
    s->source = sources[0];
    return ST_OK;
}

/* Not where a delete may take it away, or a partition's filter. */
int scan_plan_last_rows(const struct scan_plan *p, const struct scan_piece *piece, bool *ret_suffice, struct error *err)
{
    bool may_delete = false;
    *ret_suffice = p->request.last_row_only && piece->n == 1;
    if (!p->request.last_row_only || piece->n == 1)
        return ST_OK;
    for (uint32_t i = piece->first; i < piece->first + piece->n && !may_delete; i++) {
        const struct scan_origin *o = &p->origins[i];
        if (!o->file)
            may_delete = memtable_view_may_delete(o->view);
        else if (mito_file_is_shared(o->file, p->snapshot->metadata))
            may_delete = true;
        else
            TRY(sst_may_delete(o->file, &may_delete, err));
    }
    *ret_suffice = !may_delete;
    return ST_OK;
}

/* Source i of a piece; NULL where its part holds nothing. */
static int open_source(struct scan_stream *s, const struct scan_piece *piece, uint32_t i, bool last_rows, struct row_source **ret_source, struct error *err)
{
    const struct scan_plan *p = s->plan;
    struct scan_origin *o = &p->origins[piece->first + i];
    const struct scan_part *part = piece->parts ? &piece->parts[i] : NULL;
    *ret_source = NULL;
    if (!part)
        return scan_plan_open(p, o, piece->n == 1, last_rows, &s->stats, ret_source, err);
    if (part->part.n == 0)
        return ST_OK;
    return o->file ? sst_source_part(part->whole, &part->part, &s->stats, ret_source, err) : memtable_source_part(part->whole, &part->part, ret_source, err);
}

/* Leaves s->source NULL where the piece holds nothing. */
static int open_piece(struct scan_stream *s, const struct scan_piece *piece, struct error *err)
{
    uint32_t n = 0;
    bool last_rows = false;
    if (!piece->parts)
        TRY(scan_plan_last_rows(s->plan, piece, &last_rows, err));
    struct row_source **sources = calloc(piece->n, sizeof *sources);
    int st = sources ? ST_OK : error_no_memory(err, piece->n * sizeof *sources);
    for (uint32_t i = 0; st == ST_OK && i < piece->n; i++) {
        st = open_source(s, piece, i, last_rows, &sources[n], err);
        n += st == ST_OK && sources[n];
    }
    if (st == ST_OK && n)
        st = join_sources(s, sources, n, err);
    else
        for (uint32_t i = 0; i < n; i++)
            row_source_free(sources[i]);
    free(sources);
    return st;
}

/* The puts of a batch, or NULL: deletes from before a region came into append mode hide nothing any more, and are no rows. Takes the batch. */
static int only_puts(const struct scan_plan *p, struct row_batch *b, struct row_batch **ret_batch, struct error *err)
{
    const uint8_t *ops = COLUMN_VALUES(b->op, uint8_t);
    uint32_t *puts = malloc(((size_t)b->n_rows + 1) * sizeof *puts), made = 0;
    struct column **columns = calloc(b->n_columns + 1, sizeof *columns);
    int64_t n = 0;
    int st = puts && columns ? ST_OK : error_no_memory(err, (size_t)b->n_rows * sizeof *puts);
    for (int64_t i = 0; st == ST_OK && i < b->n_rows; i++) {
        puts[n] = (uint32_t)i;
        n += ops[i] != OP_DELETE;
    }
    for (; st == ST_OK && n && made < b->n_columns; made += st == ST_OK)
        st = column_take(p->budget, b->columns[made], puts, n, &columns[made], err);
    *ret_batch = NULL;
    if (st == ST_OK && n)
        st = row_batch_new(n, NULL, NULL, NULL, 0, NULL, columns, b->n_columns, ret_batch, err);
    else
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    row_batch_free(b);
    free(puts);
    free(columns);
    return st;
}

static int stream_next(struct batch_stream *base, struct batch **ret_batch, struct error *err)
{
    struct scan_stream *s = (struct scan_stream *)base;
    struct row_batch *rows = NULL;
    *ret_batch = NULL;
    while (!rows) {
        TRY(work_check(s->plan->work, err));
        if (!s->source) {
            if (s->next == s->end)
                return ST_OK;
            TRY(open_piece(s, &s->plan->pieces[s->next++], err));
            continue;
        }
        TRY(row_source_next(s->source, &rows, err));
        if (!rows) {
            row_source_free(s->source);
            s->source = NULL;
        } else if (rows->op && s->plan->snapshot->mode == MERGE_APPEND) {
            TRY(only_puts(s->plan, rows, &rows, err));
        }
    }
    for (uint32_t i = 0; i < rows->n_columns; i++)
        column_ref(rows->columns[i]);
    int st = batch_new(base->schema, rows->n_rows, rows->columns, ret_batch, err);
    s->stats.rows += rows->n_rows;
    row_batch_free(rows);
    return st;
}

static void stream_free(struct batch_stream *base)
{
    struct scan_stream *s = (struct scan_stream *)base;
    row_source_free(s->source);
    schema_unref(base->schema);
    scan_plan_unref(s->plan);
    free(s);
}

static const struct batch_stream_ops stream_ops = {stream_next, stream_free};

int scan_stream_new(struct scan_plan *p, uint32_t first, uint32_t n, struct batch_stream **ret_stream, struct error *err)
{
    struct scan_stream *s = calloc(1, sizeof *s);
    if (!s)
        return error_no_memory(err, sizeof *s);
    s->base = (struct batch_stream){.ops = &stream_ops, .schema = schema_ref(p->schema), .stats = &s->stats};
    atomic_fetch_add(&p->refs, 1);
    s->plan = p;
    s->next = first;
    s->end = first + n;
    *ret_stream = &s->base;
    return ST_OK;
}
