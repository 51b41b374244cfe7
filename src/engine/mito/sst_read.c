/* Reading SST files as row sources.
 *
 * One row group at a time: its columns are decoded whole, fitted to the region's current schema, cut to the wanted times and handed out in slices.
 * What statistics say for sure (one sequence, only puts) is not read at all.
 */
#include "engine/mito/sst_footer.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_ROWS 8192

struct sst_source {
    struct row_source base;
    struct sst_file *file;
    struct object_reader *reader;
    struct sst_footer *footer;      /* shared, given back at the end */
    struct region_metadata *metadata;
    struct sst_column *columns, time;
    uint32_t n_columns;
    struct budget *budget;
    struct work_context *work;
    struct scan_stats *stats;
    bool read_key;
    uint32_t *row_groups, n_row_groups, next;
    struct row_batch *group;        /* the decoded row group */
    int64_t row;
};

static int read_stored(struct sst_source *s, uint32_t row_group, uint32_t column, struct dtype *type, int flags, bool required,
                       struct column **ret_column,
                       struct error *err)
{
    struct parquet_source source = sst_parquet_source(s->reader);
    struct column *c;
    TRY(parquet_read_column(s->footer->parquet, &source, row_group, column, NULL, type, flags, s->budget, &c, err));
    if (required && column_null_count(c) > 0) {
        column_unref(c);
        return error_set(err, ST_CORRUPT, "column %u of SST %s has nulls where none may be", column, s->file->meta.file_id);
    }
    if (c->length != parquet_row_group(s->footer->parquet, row_group)->n_rows) {
        column_unref(c);
        return error_set(err, ST_CORRUPT, "column %u of SST %s has too few rows", column, s->file->meta.file_id);
    }
    *ret_column = c;
    return ST_OK;
}

static int read_keys(struct sst_source *s, uint32_t g, struct column **ret_keys, struct error *err)
{
    struct column *keys;
    TRY(read_stored(s, g, s->footer->key, type_of(TYPE_BINARY), PARQUET_AS_DICTIONARY, true, &keys, err));
    int st = keys->type->id == TYPE_DICTIONARY ? ST_OK : sst_key_dictionary(s->budget, &keys, err);
    if (st == ST_OK && column_null_count(keys->dictionary) > 0)
        st = error_set(err, ST_CORRUPT, "a key of SST %s is null", s->file->meta.file_id);
    if (st == ST_OK)
        *ret_keys = keys;
    else
        column_unref(keys);
    return st;
}

/* A wanted column of the region; `keys` are the file's own. */
static int read_wanted(struct sst_source *s, const struct sst_column *c, uint32_t g, struct column *keys, struct column **ret_column,
                       struct error *err)
{
    int64_t n = parquet_row_group(s->footer->parquet, g)->n_rows;
    struct column *stored, *plain = NULL;
    if (c->file_column < 0)
        return sst_default_column(s->budget, c->want, n, ret_column, err);
    int32_t place = s->footer->place[c->file_column];
    struct dtype *type = s->footer->metadata->columns[c->file_column].type;
    int flags = c->key_position >= 0 && type_is_varlen(type) ? PARQUET_AS_DICTIONARY : 0;
    if (place >= 0)
        TRY(read_stored(s, g, (uint32_t)place, type, flags, c->want->semantic == SEMANTIC_TIMESTAMP, &stored, err));
    else
        TRY(sst_tag_from_key(s->budget, s->footer, c, keys, &stored, err));
    if (type_equal(type, c->want->type, false)) {
        *ret_column = stored;
        return ST_OK;
    }
    int st = column_decode_dictionary(s->budget, stored, &plain, err);
    column_unref(stored);
    TRY(st);
    st = sst_cast(s->budget, plain, c->want->type, ret_column, err);
    column_unref(plain);
    return st;
}

struct parts { struct column *key, *time, *sequence, *op, **columns; uint64_t constant; };

static void parts_release(struct parts *p, uint32_t n)
{
    column_unref(p->key);
    column_unref(p->time);
    column_unref(p->sequence);
    column_unref(p->op);
    for (uint32_t i = 0; p->columns && i < n; i++)
        column_unref(p->columns[i]);
    free(p->columns);
}

static int read_parts(struct sst_source *s, uint32_t g, struct parts *p, struct error *err)
{
    const struct sst_footer *f = s->footer;
    uint64_t op;
    p->columns = calloc(s->n_columns + 1, sizeof *p->columns);
    if (!p->columns)
        return error_no_memory(err, s->n_columns * sizeof *p->columns);
    if (s->read_key)
        TRY(read_keys(s, g, &p->key, err));
    TRY(read_wanted(s, &s->time, g, p->key, &p->time, err));
    if (column_null_count(p->time) > 0)
        return error_set(err, ST_CORRUPT, "a time in SST %s does not fit the column's type", s->file->meta.file_id);
    if (f->zero_sequence)
        p->constant = s->file->meta.sequence;
    else if (!sst_constant(f, g, f->sequence, &p->constant))
        TRY(read_stored(s, g, f->sequence, type_of(TYPE_UINT64), 0, true, &p->sequence, err));
    if (!sst_constant(f, g, f->op, &op) || op != OP_PUT)
        TRY(read_stored(s, g, f->op, type_of(TYPE_UINT8), 0, true, &p->op, err));
    for (uint32_t i = 0; i < s->n_columns; i++) {
        if (s->columns[i].want == s->time.want)
            p->columns[i] = column_ref(p->time);
        else
            TRY(read_wanted(s, &s->columns[i], g, p->key, &p->columns[i], err));
    }
    return p->key ? sst_extend_keys(s->budget, f, s->metadata, &p->key, err) : ST_OK;
}

/* Replaces a column by its rows at `rows`. */
static int keep(struct sst_source *s, struct column **c, const uint32_t *rows, int64_t n, struct error *err)
{
    struct column *kept;
    if (!*c)
        return ST_OK;
    TRY(column_take(s->budget, *c, rows, n, &kept, err));
    column_unref(*c);
    *c = kept;
    return ST_OK;
}

/* Removes the rows outside the source's times. */
static int cut_times(struct sst_source *s, struct parts *p, struct error *err)
{
    const int64_t *t = COLUMN_VALUES(p->time, int64_t), total = p->time->length;
    int64_t n = 0;
    uint32_t *rows = malloc(((size_t)total + 1) * sizeof *rows);
    if (!rows)
        return error_no_memory(err, (size_t)total * sizeof *rows);
    for (int64_t i = 0; i < total; i++)
        if (t[i] >= s->base.time_min && t[i] <= s->base.time_max)
            rows[n++] = (uint32_t)i;
    int st = ST_OK;
    if (n < total) {
        struct column **own[] = {&p->key, &p->time, &p->sequence, &p->op};
        for (size_t i = 0; i < 4 && st == ST_OK; i++)
            st = keep(s, own[i], rows, n, err);
        for (uint32_t i = 0; i < s->n_columns && st == ST_OK; i++)
            st = keep(s, &p->columns[i], rows, n, err);
    }
    free(rows);
    return st;
}

static int read_group(struct sst_source *s, uint32_t g, struct error *err)
{
    struct parts p = {0};
    const struct parquet_row_group *group = parquet_row_group(s->footer->parquet, g);
    if (group->n_rows > INT32_MAX)
        return error_set(err, ST_UNSUPPORTED, "a row group of SST %s has %lld rows", s->file->meta.file_id, (long long)group->n_rows);
    int st = read_parts(s, g, &p, err);
    if (st == ST_OK)
        st = cut_times(s, &p, err);
    if (st != ST_OK) {
        parts_release(&p, s->n_columns);
        return st;
    }
    st = row_batch_new(p.time->length, p.key, p.time, p.sequence, p.constant, p.op, p.columns, s->n_columns, &s->group, err);
    free(p.columns);
    s->row = 0;
    return st;
}

static int source_next(struct row_source *base, struct row_batch **ret_batch, struct error *err)
{
    struct sst_source *s = (struct sst_source *)base;
    *ret_batch = NULL;
    TRY(work_check(s->work, err));
    while (!s->group || s->row == s->group->n_rows) {
        row_batch_free(s->group);
        s->group = NULL;
        if (s->next == s->n_row_groups)
            return ST_OK;
        TRY(read_group(s, s->row_groups[s->next++], err));
    }
    int64_t left = s->group->n_rows - s->row, n = left < BATCH_ROWS ? left : BATCH_ROWS;
    TRY(row_batch_slice(s->group, s->row, n, ret_batch, err));
    s->row += n;
    return ST_OK;
}

static void source_free(struct row_source *base)
{
    struct sst_source *s = (struct sst_source *)base;
    row_batch_free(s->group);
    sst_footer_put(s->file, s->footer);
    if (s->reader)
        s->reader->ops->close(s->reader);
    region_metadata_unref(s->metadata);
    sst_file_unref(s->file);
    free(s->columns);
    free(s->row_groups);
    free(s);
}

static const struct row_source_ops sst_ops = {source_next, source_free};

/* Picks the row groups and says what of them is to be read. */
static int prepare(struct sst_source *s, const struct read_request *q, struct error *err)
{
    const struct sst_footer *f = s->footer;
    uint32_t total = parquet_n_row_groups(f->parquet);
    s->columns = calloc(q->n_columns + 1, sizeof *s->columns);
    s->row_groups = malloc((total + 1) * sizeof *s->row_groups);
    if (!s->columns || !s->row_groups)
        return error_no_memory(err, total * sizeof *s->row_groups);
    if (!s->metadata->sparse_key && !f->metadata->sparse_key && f->metadata->n_key > s->metadata->n_key)
        return error_set(err, ST_CORRUPT, "SST %s has more key columns than its region", s->file->meta.file_id);
    s->base.unique = f->unique;
    s->read_key = q->need_key || !f->unique;
    s->time = sst_find_column(f, s->metadata, s->metadata->time_index);
    if (s->time.file_column != (int32_t)f->metadata->time_index)
        return error_set(err, ST_CORRUPT, "SST %s has another time index than its region", s->file->meta.file_id);
    for (uint32_t i = 0; i < q->n_columns; i++) {
        s->columns[i] = sst_find_column(f, s->metadata, q->columns[i]);
        s->read_key |= s->columns[i].file_column >= 0 && f->place[s->columns[i].file_column] < 0;
    }
    for (uint32_t g = 0; g < total; g++)
        if (sst_may_match(f, q, g))
            s->row_groups[s->n_row_groups++] = g;
    if (s->stats) {
        s->stats->files++;
        s->stats->file_ranges += s->n_row_groups;
        s->stats->row_groups_pruned += total - s->n_row_groups;
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
    s->metadata = region_metadata_ref(request->metadata);
    s->n_columns = request->n_columns;
    s->budget = request->budget;
    s->work = request->work;
    s->stats = request->stats;
    int st = sst_open_reader(file, &s->reader, err);
    if (st == ST_OK)
        st = sst_footer_get(file, s->reader, &s->footer, err);
    if (st == ST_OK)
        st = prepare(s, request, err);
    if (st != ST_OK) {
        source_free(&s->base);
        return st;
    }
    *ret_source = &s->base;
    return ST_OK;
}
