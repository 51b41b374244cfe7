/* Reading SST files as row sources.
 *
 * One row group at a time, and of it only what is asked for: pages are ruled out by the page index, then the columns that predicates name are decoded
 * and narrow the selection one after another, then the others are decoded for the rows that are left, fitted to the region's current schema, and
 * handed out in slices. What statistics say for sure (one sequence, only puts, all times wanted) is not read at all. A row group of long texts is
 * read in pieces, as large as there is memory for: whole it may be larger than any column can be.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/mito/predicate.h"
#include "engine/mito/sst_column.h"
#include "engine/mito/sst_index.h"

#define BATCH_ROWS 8192
enum { PIECE_TEXT_BYTES = 128 << 20, PIECE_TEXT_BYTES_MIN = 4 << 20, HEADROOM_SHARE = 8 };

struct sst_source {
    struct row_source base;
    struct sst_file *file;
    struct object_reader *reader;
    struct sst_footer *footer;   /* shared, given back at the end */
    struct read_request request; /* columns and predicates are the source's own */
    struct sst_column *columns, time;
    struct sst_column *tested; /* per predicate: its column; file_column -1 = not to be tested here */
    bool read_key, read_time;
    int64_t left; /* rows still wanted, by the request's limit */
    uint32_t *row_groups, n_row_groups, next;
    int64_t from, piece_rows;     /* of row group `next`: rows that were read, rows to read at once (0 = not known yet) */
    int64_t *group_starts;        /* per entry of row_groups: its first row in the file */
    struct row_selection indexed; /* rows of the file that its indexes do not rule out */
    struct row_batch *group;      /* the decoded row group */
    int64_t row;
    bool borrows;                   /* a part of another source, to which all but `group` belongs */
    const struct source_part *part; /* what it is bounded by then */
};

/* A row group while it is read. All the columns hold the selected rows. */
struct parts {
    uint32_t row_group;
    int64_t start; /* its first row in the file */
    struct row_selection rows;
    struct column *key, *time, *sequence, *op, **columns;
    struct column **tested; /* per predicate; shared with `columns` where one column is both */
    uint32_t *kept;         /* scratch */
    bool last_rows;         /* the rows are the last ones of all series in the row group */
    uint64_t constant;
};

static int read_stored(struct sst_source *s, struct parts *p, uint32_t column, struct dtype *type, int flags, bool required,
                       struct column **ret_column, struct error *err)
{
    struct sst_column_request q = {
        s->file,         s->footer,   sst_parquet_source(s->reader), p->row_group, column, type, flags, &p->rows, s->request.budget,
        s->request.keep, p->last_rows};
    struct column *c;
    TRY(work_check(s->request.work, err));
    TRY(sst_column_read(&q, &c, err));
    if (required && column_null_count(c) > 0) {
        column_unref(c);
        return error_set(err, ST_CORRUPT, "column %u of SST %s has nulls where none may be", column, s->file->meta.file_id);
    }
    *ret_column = c;
    return ST_OK;
}

static int read_keys(struct sst_source *s, struct parts *p, struct error *err)
{
    struct column *keys;
    if (p->key)
        return ST_OK;
    TRY(read_stored(s, p, s->footer->key, type_of(TYPE_BINARY), PARQUET_AS_DICTIONARY, true, &keys, err));
    int st = keys->type->id == TYPE_DICTIONARY ? ST_OK : sst_key_dictionary(s->request.budget, &keys, err);
    if (st == ST_OK && column_null_count(keys->dictionary) > 0)
        st = error_set(err, ST_CORRUPT, "a key of SST %s is null", s->file->meta.file_id);
    if (st == ST_OK)
        p->key = keys;
    else
        column_unref(keys);
    return st;
}

/* A wanted column of the region, for the selected rows. */
static int read_wanted(struct sst_source *s, struct parts *p, const struct sst_column *c, struct column **ret_column, struct error *err)
{
    struct budget *budget = s->request.budget;
    struct column *stored, *plain = NULL;
    if (c->file_column < 0)
        return sst_default_column(budget, c->want, p->rows.n_rows, ret_column, err);
    int32_t place = s->footer->place[c->file_column];
    struct dtype *type = s->footer->metadata->columns[c->file_column].type;
    int flags = c->key_position >= 0 && type_is_varlen(type) ? PARQUET_AS_DICTIONARY : 0;
    if (place >= 0) {
        TRY(read_stored(s, p, (uint32_t)place, type, flags, c->want->semantic == SEMANTIC_TIMESTAMP, &stored, err));
    } else {
        TRY(read_keys(s, p, err));
        TRY(sst_tag_from_key(budget, s->footer, c, p->key, &stored, err));
    }
    if (type_equal(type, c->want->type, false)) {
        *ret_column = stored;
        return ST_OK;
    }
    int st = column_decode_dictionary(budget, stored, &plain, err);
    column_unref(stored);
    TRY(st);
    st = sst_cast(budget, plain, c->want->type, ret_column, err);
    column_unref(plain);
    return st;
}

/* ---- narrowing ---- */

static int parts_init(struct sst_source *s, uint32_t g, int64_t from, int64_t to, struct parts *p, struct error *err)
{
    if (to > INT32_MAX)
        return error_set(err, ST_UNSUPPORTED, "a row group of SST %s has %lld rows", s->file->meta.file_id, (long long)to);
    p->row_group = g;
    p->columns = calloc(s->request.n_columns + 1, sizeof *p->columns);
    p->tested = calloc(s->request.n_predicates + 1, sizeof *p->tested);
    if (!p->columns || !p->tested)
        return error_no_memory(err, s->request.n_columns * sizeof *p->columns);
    TRY(row_selection_init(&p->rows, s->request.budget, 0, err));
    return row_selection_add(&p->rows, from, to, err);
}

static void parts_release(struct sst_source *s, struct parts *p)
{
    column_unref(p->key);
    column_unref(p->time);
    column_unref(p->sequence);
    column_unref(p->op);
    for (uint32_t i = 0; p->columns && i < s->request.n_columns; i++)
        column_unref(p->columns[i]);
    for (uint32_t i = 0; p->tested && i < s->request.n_predicates; i++)
        column_unref(p->tested[i]);
    row_selection_release(&p->rows);
    free(p->columns);
    free(p->tested);
    free(p->kept);
}

static int take(struct sst_source *s, struct column **c, const uint32_t *rows, int64_t n, struct error *err)
{
    struct column *kept;
    if (!*c)
        return ST_OK;
    TRY(column_take(s->request.budget, *c, rows, n, &kept, err));
    column_unref(*c);
    *c = kept;
    return ST_OK;
}

/* Keeps the rows kept[0..n) of the selection, and of what has been decoded so far. */
static int narrow(struct sst_source *s, struct parts *p, int64_t n, struct error *err)
{
    if (n == p->rows.n_rows)
        return ST_OK;
    p->last_rows = false;
    TRY(take(s, &p->key, p->kept, n, err));
    TRY(take(s, &p->time, p->kept, n, err));
    for (uint32_t i = 0; i < s->request.n_predicates; i++)
        TRY(take(s, &p->tested[i], p->kept, n, err));
    return row_selection_keep(&p->rows, p->kept, n, err);
}

static int room_for_kept(struct parts *p, struct error *err)
{
    if (!p->kept)
        p->kept = malloc(((size_t)p->rows.n_rows + 1) * sizeof *p->kept);
    return p->kept ? ST_OK : error_no_memory(err, (size_t)p->rows.n_rows * sizeof *p->kept);
}

static int test_predicate(struct sst_source *s, struct parts *p, uint32_t i, struct error *err)
{
    uint32_t same = 0;
    while (same < i && (!p->tested[same] || s->tested[same].want != s->tested[i].want))
        same++;
    if (same < i)
        p->tested[i] = column_ref(p->tested[same]);
    else
        TRY(read_wanted(s, p, &s->tested[i], &p->tested[i], err));
    TRY(room_for_kept(p, err));
    return narrow(s, p, predicate_select(&s->request.predicates[i], p->tested[i], NULL, p->rows.n_rows, p->kept), err);
}

/* Tags first: whole series go by them. Fields last: theirs is the most to decode. */
static int test_predicates(struct sst_source *s, struct parts *p, enum semantic_type semantic, struct error *err)
{
    for (uint32_t i = 0; i < s->request.n_predicates && p->rows.n_rows; i++)
        if (s->tested[i].file_column >= 0 && s->tested[i].want->semantic == semantic)
            TRY(test_predicate(s, p, i, err));
    return ST_OK;
}

static int read_times(struct sst_source *s, struct parts *p, struct error *err)
{
    if (p->time)
        return ST_OK;
    TRY(read_wanted(s, p, &s->time, &p->time, err));
    if (column_null_count(p->time) > 0)
        return error_set(err, ST_CORRUPT, "a time in SST %s does not fit the column's type", s->file->meta.file_id);
    return ST_OK;
}

static int cut_times(struct sst_source *s, struct parts *p, struct error *err)
{
    int64_t n = 0, min = s->base.time_min, max = s->base.time_max;
    if (!p->rows.n_rows || !sst_times_cut(s->footer, &s->request, p->row_group))
        return ST_OK;
    TRY(read_times(s, p, err));
    TRY(room_for_kept(p, err));
    const int64_t *t = COLUMN_VALUES(p->time, int64_t);
    for (int64_t i = 0; i < p->rows.n_rows; i++) {
        p->kept[n] = (uint32_t)i;
        n += t[i] >= min && t[i] <= max;
    }
    return narrow(s, p, n, err);
}

static const struct parquet_bounds *key_bounds(const struct sst_source *s, uint32_t row_group)
{
    static const struct parquet_bounds unknown;
    uint32_t first, n;
    parquet_column_leaves(s->footer->parquet, s->footer->key, &first, &n);
    return n == 1 ? &parquet_row_group(s->footer->parquet, row_group)->chunks[first].bounds : &unknown;
}

static bool surely_below(const struct parquet_bounds *b, const struct key_bytes *key)
{
    return b->has_max && key_bytes_compare(b->max, b->max_size, key) < 0;
}

static bool surely_from(const struct parquet_bounds *b, const struct key_bytes *key)
{
    return b->has_min && key_bytes_compare(b->min, b->min_size, key) >= 0;
}

/* The first of the selected rows whose key is not below `key`: keys ascend. */
static int64_t rows_below(const struct parts *p, const struct key_bytes *key)
{
    const uint32_t *codes = COLUMN_VALUES(p->key, uint32_t);
    int64_t low = 0, high = p->rows.n_rows;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int32_t size;
        const uint8_t *data = column_bytes(p->key->dictionary, codes[middle], &size);
        if (key_bytes_compare(data, (size_t)size, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int cut_keys(struct sst_source *s, struct parts *p, struct error *err)
{
    const struct parquet_bounds *b = key_bounds(s, p->row_group);
    const struct key_bytes *low = s->part ? s->part->low : NULL, *high = s->part ? s->part->high : NULL;
    low = low && surely_from(b, low) ? NULL : low;
    high = high && surely_below(b, high) ? NULL : high;
    if (!p->rows.n_rows || (!low && !high))
        return ST_OK;
    TRY(read_keys(s, p, err));
    TRY(room_for_kept(p, err));
    int64_t from = low ? rows_below(p, low) : 0, to = high ? rows_below(p, high) : p->rows.n_rows;
    for (int64_t i = from; i < to; i++)
        p->kept[i - from] = (uint32_t)i;
    return narrow(s, p, to > from ? to - from : 0, err);
}

/* To p->kept the last row of each run of one key: the newest, as times ascend in it. */
static int find_last_rows(struct sst_source *s, struct parts *p, int64_t *ret_n, struct error *err)
{
    int64_t n = 0, total = p->rows.n_rows;
    TRY(read_keys(s, p, err));
    const uint32_t *codes = COLUMN_VALUES(p->key, uint32_t);
    for (int64_t i = 0; i + 1 < total; i++) {
        p->kept[n] = (uint32_t)i;
        n += codes[i] != codes[i + 1];
    }
    p->kept[n++] = (uint32_t)(total - 1);
    *ret_n = n;
    return ST_OK;
}

static int keep_last_rows(struct sst_source *s, struct parts *p, struct error *err)
{
    int64_t n = 0, total = p->rows.n_rows;
    if (!total || !s->request.last_row_only || !s->base.unique)
        return ST_OK;
    bool whole = s->request.keep && total == parquet_row_group(s->footer->parquet, p->row_group)->n_rows;
    struct last_rows *known = whole ? sst_last_rows_get(s->file, s->footer, p->row_group) : NULL;
    int st = room_for_kept(p, err);
    if (st == ST_OK && known) {
        n = known->n;
        memcpy(p->kept, known->rows, known->n * sizeof *p->kept);
    } else if (st == ST_OK) {
        st = find_last_rows(s, p, &n, err);
        if (st == ST_OK && whole)
            sst_last_rows_put(s->file, s->footer, p->row_group, p->kept, (uint32_t)n);
    }
    if (known)
        cached_unref(&known->base);
    TRY(st);
    TRY(narrow(s, p, n, err));
    p->last_rows = whole && n < total;
    return ST_OK;
}

static int select_rows(struct sst_source *s, struct parts *p, struct error *err)
{
    struct parquet_source source = sst_parquet_source(s->reader);
    int64_t pruned = 0;
    TRY(row_selection_intersect(&p->rows, &s->indexed, p->start, err));
    TRY(sst_select_pages(s->footer, &s->request, &source, p->row_group, &p->rows, &pruned, err));
    if (s->request.stats)
        s->request.stats->pages_pruned += pruned;
    if (s->request.limit && !s->request.n_predicates && s->base.unique && !sst_times_cut(s->footer, &s->request, p->row_group))
        row_selection_cut(&p->rows, s->left);
    TRY(cut_keys(s, p, err));
    TRY(test_predicates(s, p, SEMANTIC_TAG, err));
    TRY(cut_times(s, p, err));
    TRY(keep_last_rows(s, p, err));
    return test_predicates(s, p, SEMANTIC_FIELD, err);
}

/* ---- reading a row group ---- */

static int read_internal(struct sst_source *s, struct parts *p, struct error *err)
{
    const struct sst_footer *f = s->footer;
    uint64_t op;
    if (s->read_key)
        TRY(read_keys(s, p, err));
    if (s->read_time)
        TRY(read_times(s, p, err));
    if (f->zero_sequence)
        p->constant = s->file->meta.sequence;
    else if (!sst_constant(f, p->row_group, f->sequence, &p->constant))
        TRY(read_stored(s, p, f->sequence, type_of(TYPE_UINT64), 0, true, &p->sequence, err));
    if (!sst_constant(f, p->row_group, f->op, &op) || op != OP_PUT)
        TRY(read_stored(s, p, f->op, type_of(TYPE_UINT8), 0, true, &p->op, err));
    return ST_OK;
}

static int read_columns(struct sst_source *s, struct parts *p, struct error *err)
{
    for (uint32_t i = 0; i < s->request.n_columns; i++) {
        const struct sst_column *c = &s->columns[i];
        for (uint32_t k = 0; k < s->request.n_predicates && !p->columns[i]; k++)
            if (p->tested[k] && s->tested[k].want == c->want)
                p->columns[i] = column_ref(p->tested[k]);
        if (c->want == s->time.want && p->time)
            p->columns[i] = column_ref(p->time);
        else if (!p->columns[i])
            TRY(read_wanted(s, p, c, &p->columns[i], err));
    }
    return p->key ? sst_extend_keys(s->request.budget, s->footer, s->request.metadata, &p->key, err) : ST_OK;
}

/* Whether every row of the group will reach the one who asked for so many: others are deletes, or hide or are hidden by one in the same file. */
static bool all_count(const struct sst_source *s)
{
    return s->base.unique || (s->request.append && s->group && !s->group->op);
}

/* Rows [from, to) of row group i of those that are wanted. */
static int read_rows(struct sst_source *s, uint32_t i, int64_t from, int64_t to, struct error *err)
{
    struct parts p = {.start = s->group_starts[i]};
    int st = parts_init(s, s->row_groups[i], from, to, &p, err);
    if (st == ST_OK)
        st = select_rows(s, &p, err);
    if (st == ST_OK && p.rows.n_rows)
        st = read_internal(s, &p, err);
    if (st == ST_OK && p.rows.n_rows)
        st = read_columns(s, &p, err);
    if (st == ST_OK && p.rows.n_rows) {
        st = row_batch_new(p.rows.n_rows, p.key, p.time, p.sequence, p.constant, p.op, p.columns, s->request.n_columns, &s->group, err);
        p.key = p.time = p.sequence = p.op = NULL;
        free(p.columns);
        p.columns = NULL;
    }
    s->row = 0;
    if (st == ST_OK && all_count(s))
        s->left -= p.rows.n_rows;
    parts_release(s, &p);
    return st;
}

/* The text of a column in a row group, once decoded. Tags stay codes. */
static int64_t text_of(const struct sst_source *s, uint32_t row_group, const struct sst_column *c)
{
    int32_t place = c->file_column >= 0 && c->key_position < 0 ? s->footer->place[c->file_column] : -1;
    int64_t bytes = 0;
    uint32_t first, n;
    if (place < 0)
        return 0;
    parquet_column_leaves(s->footer->parquet, (uint32_t)place, &first, &n);
    for (uint32_t i = first; i < first + n; i++) {
        const struct parquet_chunk *chunk = &parquet_row_group(s->footer->parquet, row_group)->chunks[i];
        int64_t most = chunk->text_bytes > chunk->total_uncompressed_bytes ? chunk->text_bytes : chunk->total_uncompressed_bytes;
        bytes += most > INT64_MAX / 2 - bytes ? INT64_MAX / 2 - bytes : most > 0 ? most : 0;
    }
    return bytes;
}

/* As many rows of a row group as hold `most` bytes of text, at least one; all of them where there is not as much. */
static int64_t rows_of_text(const struct sst_source *s, uint32_t row_group, size_t most)
{
    int64_t n = parquet_row_group(s->footer->parquet, row_group)->n_rows;
    __int128 bytes = 0, rows;
    for (uint32_t i = 0; i < s->request.n_columns; i++)
        if (type_is_varlen(s->columns[i].want->type) || type_is_nested(s->columns[i].want->type))
            bytes += text_of(s, row_group, &s->columns[i]);
    rows = bytes > (__int128)most ? n * (__int128)most / bytes : n;
    return rows > 0 ? (int64_t)rows : 1;
}

/* Many sources may be read side by side: each takes its share of what is left. */
static size_t text_at_once(const struct sst_source *s)
{
    size_t room = budget_headroom(s->request.budget) / HEADROOM_SHARE;
    return room < PIECE_TEXT_BYTES_MIN ? PIECE_TEXT_BYTES_MIN : room < PIECE_TEXT_BYTES ? room : PIECE_TEXT_BYTES;
}

/* The next rows; fewer at once when there is no room for as many and it is text that takes it. Other columns fail alone: each piece decodes what lies
 * before it anew, and many queries that cannot get memory would keep all cores from those that have it. */
static int read_piece(struct sst_source *s, struct error *err)
{
    uint32_t g = s->row_groups[s->next];
    int64_t n = parquet_row_group(s->footer->parquet, g)->n_rows, least = rows_of_text(s, g, PIECE_TEXT_BYTES_MIN);
    s->piece_rows = s->piece_rows ? s->piece_rows : rows_of_text(s, g, text_at_once(s));
    for (;;) {
        int64_t to = s->piece_rows < n - s->from ? s->from + s->piece_rows : n;
        int st = read_rows(s, s->next, s->from, to, err);
        if (st == ST_EXHAUSTED && to - s->from > least) {
            s->piece_rows = (to - s->from) / 2 > least ? (to - s->from) / 2 : least;
            continue;
        }
        TRY(st);
        s->from = to < n ? to : 0;
        s->next += to == n;
        s->piece_rows = to < n ? s->piece_rows : 0;
        return ST_OK;
    }
}

/* How many of the rows that are left make a batch. Without columns it is only a number. */
static int64_t batch_rows(const struct sst_source *s)
{
    const struct row_batch *g = s->group;
    int64_t left = g->n_rows - s->row, n = left < BATCH_ROWS || (!s->request.n_columns && !g->key) ? left : BATCH_ROWS;
    int64_t text = row_batch_text_bytes(g, s->row, s->row + n), fits = text > BATCH_TEXT_BYTES ? n * BATCH_TEXT_BYTES / text : n;
    return fits > 0 ? fits : 1;
}

static int source_next(struct row_source *base, struct row_batch **ret_batch, struct error *err)
{
    struct sst_source *s = (struct sst_source *)base;
    *ret_batch = NULL;
    TRY(work_check(s->request.work, err));
    while (!s->group || s->row == s->group->n_rows) {
        row_batch_free(s->group);
        s->group = NULL;
        if (s->next == s->n_row_groups || (s->request.limit && s->left <= 0))
            return ST_OK;
        int st = read_piece(s, err);
        if (st == ST_CORRUPT)
            error_prefix(err, "SST %s%s", s->file->dir, s->file->meta.file_id);
        TRY(st);
    }
    int64_t n = batch_rows(s);
    TRY(row_batch_slice(s->group, s->row, n, ret_batch, err));
    s->row += n;
    return ST_OK;
}

static void source_free(struct row_source *base)
{
    struct sst_source *s = (struct sst_source *)base;
    row_batch_free(s->group);
    if (s->borrows) {
        free(s);
        return;
    }
    sst_footer_put(s->file, s->footer);
    if (s->reader)
        s->reader->ops->close(s->reader);
    read_request_release(&s->request);
    region_metadata_unref(s->request.metadata);
    sst_file_unref(s->file);
    free(s->columns);
    free(s->tested);
    free(s->row_groups);
    free(s->group_starts);
    row_selection_release(&s->indexed);
    free(s);
}

static const struct row_source_ops sst_ops = {source_next, source_free};

/* Says what of the row groups is to be read. */
static int prepare_columns(struct sst_source *s, struct error *err)
{
    const struct sst_footer *f = s->footer;
    const struct read_request *q = &s->request;
    s->columns = calloc(q->n_columns + 1, sizeof *s->columns);
    s->tested = calloc(q->n_predicates + 1, sizeof *s->tested);
    if (!s->columns || !s->tested)
        return error_no_memory(err, q->n_columns * sizeof *s->columns);
    if (!q->metadata->sparse_key && !f->metadata->sparse_key && f->metadata->n_key > q->metadata->n_key)
        return error_set(err, ST_CORRUPT, "SST %s has more key columns than its region", s->file->meta.file_id);
    s->base.unique = f->unique;
    s->read_key = q->need_key || !(f->unique || (q->append && q->alone));
    s->read_time = s->read_key;
    s->time = sst_find_column(f, q->metadata, q->metadata->time_index);
    if (s->time.file_column != (int32_t)f->metadata->time_index)
        return error_set(err, ST_CORRUPT, "SST %s has another time index than its region", s->file->meta.file_id);
    for (uint32_t i = 0; i < q->n_columns; i++)
        s->columns[i] = sst_find_column(f, q->metadata, q->columns[i]);
    for (uint32_t i = 0; i < q->n_predicates; i++) {
        s->tested[i] = sst_find_column(f, q->metadata, q->predicates[i].column);
        enum scan_op op = q->predicates[i].op;
        /* Tests of fields would be done twice for each text; those of tags are done for each value of a dictionary. */
        bool pays = op != SCAN_LOWER_TERM && (op != SCAN_TEST || s->tested[i].want->semantic == SEMANTIC_TAG);
        if (!sst_usable(f, q, &q->predicates[i]) || !pays)
            s->tested[i].file_column = -1;
    }
    return ST_OK;
}

static int prepare(struct sst_source *s, struct error *err)
{
    uint32_t total = parquet_n_row_groups(s->footer->parquet);
    TRY(prepare_columns(s, err));
    int64_t start = 0, n;
    s->row_groups = malloc((total + 1) * sizeof *s->row_groups);
    s->group_starts = malloc((total + 1) * sizeof *s->group_starts);
    if (!s->row_groups || !s->group_starts)
        return error_no_memory(err, total * sizeof *s->group_starts);
    TRY(row_selection_init(&s->indexed, s->request.budget, 0, err));
    for (uint32_t g = 0; g < total; g++, start += n) {
        n = parquet_row_group(s->footer->parquet, g)->n_rows;
        if (n > 0 && sst_may_match(s->footer, &s->request, g))
            TRY(row_selection_add(&s->indexed, start, start + n, err));
    }
    sst_index_select(s->file, s->footer, &s->request, &s->indexed);
    start = 0;
    for (uint32_t g = 0; g < total; g++, start += n) {
        n = parquet_row_group(s->footer->parquet, g)->n_rows;
        if (!row_selection_touches(&s->indexed, start, start + n))
            continue;
        s->group_starts[s->n_row_groups] = start;
        s->row_groups[s->n_row_groups++] = g;
    }
    if (s->request.stats) {
        s->request.stats->files++;
        s->request.stats->file_ranges += s->n_row_groups;
        s->request.stats->row_groups_pruned += total - s->n_row_groups;
    }
    return ST_OK;
}

int sst_source_new(struct sst_file *file, const struct read_request *request, struct row_source **ret_source, struct error *err)
{
    struct sst_source *s = calloc(1, sizeof *s);
    if (!s)
        return error_no_memory(err, sizeof *s);
    s->base = (struct row_source){&sst_ops, request->time_min, request->time_max, false};
    s->file = sst_file_ref(file);
    s->left = request->limit;
    region_metadata_ref(request->metadata);
    int st = read_request_copy(&s->request, request, err);
    if (st == ST_OK)
        st = sst_open_reader(file, &s->reader, err);
    if (st == ST_OK)
        st = sst_footer_get(file, s->reader, &s->footer, err);
    if (st == ST_OK)
        st = prepare(s, err);
    if (st != ST_OK) {
        source_free(&s->base);
        return st;
    }
    *ret_source = &s->base;
    return ST_OK;
}

int sst_may_delete(struct sst_file *file, bool *ret_may, struct error *err)
{
    struct object_reader *reader;
    struct sst_footer *footer;
    uint64_t op;
    bool may = false;
    TRY(sst_open_reader(file, &reader, err));
    int st = sst_footer_get(file, reader, &footer, err);
    reader->ops->close(reader);
    TRY(st);
    for (uint32_t g = 0; g < parquet_n_row_groups(footer->parquet); g++)
        may = may || !sst_constant(footer, g, footer->op, &op) || op != OP_PUT;
    sst_footer_put(file, footer);
    *ret_may = may;
    return ST_OK;
}

/* ---- parts ---- */

int sst_source_cut(const struct row_source *whole, int64_t part_rows, struct source_part **ret_parts, uint32_t *ret_n, struct error *err)
{
    const struct sst_source *s = (const struct sst_source *)whole;
    uint32_t n = 0;
    *ret_parts = NULL;
    *ret_n = 0;
    if (whole->ops != &sst_ops)
        return ST_OK;
    struct source_part *parts = calloc((size_t)s->n_row_groups + 1, sizeof *parts);
    if (!parts)
        return error_no_memory(err, s->n_row_groups * sizeof *parts);
    for (uint32_t i = 0; i < s->n_row_groups; i++) {
        if (i == 0 || parts[n - 1].rows >= part_rows)
            parts[n++] = (struct source_part){.first = i};
        parts[n - 1].n++;
        parts[n - 1].rows += parquet_row_group(s->footer->parquet, s->row_groups[i])->n_rows;
    }
    *ret_parts = parts;
    *ret_n = n;
    return ST_OK;
}

uint32_t sst_source_keys(const struct row_source *whole, int64_t stride, struct key_bytes *ret_keys, uint32_t room)
{
    const struct sst_source *s = (const struct sst_source *)whole;
    uint32_t n = 0;
    int64_t rows = 0;
    for (uint32_t i = 0; i < s->n_row_groups && n < room; i++) {
        const struct parquet_bounds *b = key_bounds(s, s->row_groups[i]);
        if (rows >= stride && b->has_min && (n == 0 || key_bytes_compare(b->min, b->min_size, &ret_keys[n - 1]) > 0)) {
            ret_keys[n++] = (struct key_bytes){b->min, b->min_size};
            rows = 0;
        }
        rows += parquet_row_group(s->footer->parquet, s->row_groups[i])->n_rows;
    }
    return n;
}

bool sst_source_has_keys(const struct row_source *whole)
{
    const struct sst_source *s = (const struct sst_source *)whole;
    const struct region_metadata *region = s->request.metadata, *own = s->footer->metadata;
    return region->sparse_key == own->sparse_key && (own->sparse_key || own->n_key == region->n_key);
}

void sst_source_cut_keys(const struct row_source *whole, const struct key_bytes *keys, uint32_t n, struct source_part *ret_parts)
{
    const struct sst_source *s = (const struct sst_source *)whole;
    for (uint32_t i = 0, at = 0; i <= n; i++) {
        struct source_part *p = &ret_parts[i];
        *p = (struct source_part){.low = i ? &keys[i - 1] : NULL, .high = i < n ? &keys[i] : NULL};
        while (p->low && at < s->n_row_groups && surely_below(key_bounds(s, s->row_groups[at]), p->low))
            at++;
        p->first = at;
        for (uint32_t g = at; g < s->n_row_groups && !(p->high && surely_from(key_bounds(s, s->row_groups[g]), p->high)); g++) {
            p->n++;
            p->rows += parquet_row_group(s->footer->parquet, s->row_groups[g])->n_rows;
        }
    }
}

int sst_source_part(const struct row_source *whole, const struct source_part *part, struct scan_stats *stats, struct row_source **ret_source,
                    struct error *err)
{
    struct sst_source *s = malloc(sizeof *s);
    if (!s)
        return error_no_memory(err, sizeof *s);
    *s = *(const struct sst_source *)whole;
    s->borrows = true;
    s->part = part;
    s->next = part->first;
    s->n_row_groups = part->first + (uint32_t)part->n;
    s->request.stats = stats;
    *ret_source = &s->base;
    return ST_OK;
}
