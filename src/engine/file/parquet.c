/* Parquet by name: a column that a file lacks is null, a column of another type is cast to the files' type. A row group at a time, cut into batches.
 */
#include "format/parquet/parquet.h"

#include <stdlib.h>
#include <string.h>

#include "engine/file/file.h"

struct parquet_decoder {
    struct file_decoder base;
    struct file_read read;
    struct fs_file *file;
    struct parquet_source source;
    struct parquet_file *parquet;
    uint32_t next_group;
    struct column **group; /* the row group being handed out */
    int64_t at, n_rows;
};

static int read_bytes(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    struct parquet_decoder *d = ctx;
    return fs_read_exact(d->file, offset, data, size, err);
}

static int read_column(struct parquet_decoder *d, uint32_t i, struct column **ret_column, struct error *err)
{
    const struct region_column *want = &d->read.region->columns[d->read.columns[i]];
    int at = schema_find(parquet_schema(d->parquet), want->name);
    struct column *stored;
    if (at < 0)
        return column_new_nulls(d->read.budget, want->type, d->n_rows, ret_column, err);
    TRY(parquet_read_column(d->parquet, &d->source, d->next_group, (uint32_t)at, NULL, NULL, 0, d->read.budget, &stored, err));
    if (type_equal(stored->type, want->type, false)) {
        *ret_column = stored;
        return ST_OK;
    }
    int st = d->read.engine->cast(d->read.budget, stored, want->type, false, ret_column, err);
    column_unref(stored);
    return st;
}

static void drop_group(struct parquet_decoder *d)
{
    for (uint32_t i = 0; d->group && i < d->read.n_columns; i++) {
        column_unref(d->group[i]);
        d->group[i] = NULL;
    }
}

static int parquet_next(struct file_decoder *base, struct column **ret_columns, int64_t *ret_rows, struct error *err)
{
    struct parquet_decoder *d = (struct parquet_decoder *)base;
    while (d->at == d->n_rows) {
        drop_group(d);
        *ret_rows = d->at = d->n_rows = 0;
        if (d->next_group == parquet_n_row_groups(d->parquet))
            return ST_OK;
        d->n_rows = parquet_row_group(d->parquet, d->next_group)->n_rows;
        for (uint32_t i = 0; i < d->read.n_columns; i++)
            TRY(read_column(d, i, &d->group[i], err));
        d->next_group++;
    }
    int64_t n = d->n_rows - d->at < FILE_BATCH_ROWS ? d->n_rows - d->at : FILE_BATCH_ROWS;
    uint32_t made = 0;
    int st = ST_OK;
    for (; made < d->read.n_columns && st == ST_OK; made += st == ST_OK)
        st = column_slice(d->group[made], d->at, n, &ret_columns[made], err);
    for (uint32_t i = 0; st != ST_OK && i < made; i++)
        column_unref(ret_columns[i]);
    d->at += n;
    *ret_rows = n;
    return st;
}

static void parquet_free(struct file_decoder *base)
{
    struct parquet_decoder *d = (struct parquet_decoder *)base;
    drop_group(d);
    parquet_file_free(d->parquet);
    if (d->file)
        d->file->ops->close(d->file);
    free(d->group);
    free(d);
}

static const struct file_decoder_ops parquet_ops = {parquet_next, parquet_free};

int parquet_decoder_open(const struct file_read *read, struct file_decoder **ret_decoder, struct error *err)
{
    struct parquet_decoder *d = calloc(1, sizeof *d);
    struct fs *fs = read->engine->fs;
    if (!d)
        return error_no_memory(err, sizeof *d);
    d->base.ops = &parquet_ops;
    d->read = *read;
    d->group = calloc(read->n_columns + 1, sizeof *d->group);
    d->source = (struct parquet_source){.read = read_bytes, .ctx = d};
    int st = d->group ? fs->ops->open(fs, read->path, FS_READ, &d->file, err) : error_no_memory(err, read->n_columns * sizeof *d->group);
    if (st == ST_OK)
        st = d->file->ops->size(d->file, &d->source.size_bytes, err);
    if (st == ST_OK)
        st = parquet_open(&d->source, read->budget, &d->parquet, err);
    if (st == ST_OK)
        *ret_decoder = &d->base;
    else
        parquet_free(&d->base);
    return st;
}
