/* CSV by position (RFC 4180): quotes double inside quotes, empty cells are null whatever their type, the header is skipped and never looked at.
 *
 * Cells are gathered as text, a batch at a time, and cast to the files' types as a whole: what does not read as its type fails the query.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/file/file.h"

enum { CHUNK_BYTES = 256 << 10, CELL_BYTES_MAX = 64 << 20 };

struct csv_decoder {
    struct file_decoder base;
    struct file_read read;
    struct byte_stream *bytes;
    uint8_t *chunk;
    size_t at, size;
    bool over, header_due;
    uint64_t line;
    struct dynbuf cell;
    int32_t *wanted; /* per column of the files: its place among the wanted, -1 = none */
    struct column_builder *builders;
};

static int peek(struct csv_decoder *d, int *ret_byte, struct error *err)
{
    if (d->at == d->size && !d->over) {
        d->at = 0;
        TRY(byte_stream_read(d->bytes, d->chunk, CHUNK_BYTES, &d->size, err));
        d->over = d->size < CHUNK_BYTES;
    }
    *ret_byte = d->at < d->size ? d->chunk[d->at] : -1;
    return ST_OK;
}

/* The part of a cell up to its end or the next quote; *ret_byte = what stopped it (-1 = end of the file). */
static int plain_part(struct csv_decoder *d, bool quoted, int *ret_byte, struct error *err)
{
    for (;;) {
        TRY(peek(d, ret_byte, err));
        if (*ret_byte < 0)
            return ST_OK;
        size_t start = d->at;
        while (d->at < d->size && d->chunk[d->at] != '"' &&
               (quoted || (d->chunk[d->at] != d->read.region->delimiter && d->chunk[d->at] != '\n' && d->chunk[d->at] != '\r')))
            d->at++;
        TRY(dynbuf_append(&d->cell, d->chunk + start, d->at - start, err));
        if (d->at < d->size) {
            *ret_byte = d->chunk[d->at++];
            return ST_OK;
        }
    }
}

/* One cell into d->cell; *ret_end = what stands behind it: the delimiter, '\n', or -1. */
static int read_cell(struct csv_decoder *d, int *ret_end, struct error *err)
{
    int c;
    dynbuf_clear(&d->cell);
    TRY(peek(d, &c, err));
    if (c == '"') {
        d->at++;
        for (;;) {
            TRY(plain_part(d, true, &c, err));
            if (c < 0)
                return error_set(err, ST_CORRUPT, "%s: a quoted cell from line %llu on is not closed", d->read.path, (unsigned long long)d->line);
            TRY(peek(d, &c, err));
            if (c != '"')
                break;
            d->at++;
            TRY(dynbuf_append_byte(&d->cell, '"', err));
        }
    }
    for (;;) { /* what follows a closing quote belongs to the cell as it is */
        TRY(plain_part(d, false, &c, err));
        if (c != '"')
            break;
        TRY(dynbuf_append_byte(&d->cell, '"', err));
    }
    if (c == '\r') {
        int next;
        TRY(peek(d, &next, err));
        d->at += next == '\n';
        c = '\n';
    }
    *ret_end = c;
    return ST_OK;
}

static int put_cell(struct csv_decoder *d, uint32_t column, struct error *err)
{
    int32_t place = column < d->read.region->n_columns ? d->wanted[column] : -1;
    if (place < 0)
        return ST_OK;
    struct column_builder *b = &d->builders[place];
    return d->cell.size ? column_builder_append_bytes(b, d->cell.data, d->cell.size, err) : column_builder_append_null(b, err);
}

/* One record; *ret_any = false at the end. Empty lines are no records. */
static int read_record(struct csv_decoder *d, bool keep, bool *ret_any, struct error *err)
{
    uint32_t n = 0;
    int end = 0;
    *ret_any = false;
    for (int c = '\n'; c == '\n' || c == '\r';) {
        TRY(peek(d, &c, err));
        if (c < 0)
            return ST_OK;
        d->at += c == '\n' || c == '\r';
        d->line += c == '\n';
    }
    do {
        TRY(read_cell(d, &end, err));
        if (keep)
            TRY(put_cell(d, n, err));
        n++;
    } while (end == d->read.region->delimiter);
    d->line++;
    if (n != d->read.region->n_columns)
        return error_set(err, ST_CORRUPT, "%s line %llu has %u cells, the table's files %u", d->read.path, (unsigned long long)d->line, n,
                         d->read.region->n_columns);
    *ret_any = true;
    return ST_OK;
}

static int csv_next(struct file_decoder *base, struct column **ret_columns, int64_t *ret_rows, struct error *err)
{
    struct csv_decoder *d = (struct csv_decoder *)base;
    int64_t rows = 0;
    bool any = true;
    if (d->header_due) {
        TRY(read_record(d, false, &any, err));
        d->header_due = false;
    }
    while (any && rows < FILE_BATCH_ROWS) {
        TRY(read_record(d, true, &any, err));
        rows += any;
    }
    *ret_rows = rows;
    return file_columns_finish(&d->read, d->builders, rows, ret_columns, err);
}

static void csv_free(struct file_decoder *base)
{
    struct csv_decoder *d = (struct csv_decoder *)base;
    byte_stream_close(d->bytes);
    file_columns_free(&d->read, d->builders);
    dynbuf_release(&d->cell);
    free(d->wanted);
    free(d->chunk);
    free(d);
}

static const struct file_decoder_ops csv_ops = {csv_next, csv_free};

int csv_decoder_open(const struct file_read *read, struct file_decoder **ret_decoder, struct error *err)
{
    struct csv_decoder *d = calloc(1, sizeof *d);
    if (!d)
        return error_no_memory(err, sizeof *d);
    d->base.ops = &csv_ops;
    d->read = *read;
    d->header_due = read->region->has_header;
    dynbuf_init(&d->cell, CELL_BYTES_MAX);
    d->chunk = malloc(CHUNK_BYTES);
    d->wanted = malloc((read->region->n_columns + 1) * sizeof *d->wanted);
    int st = d->chunk && d->wanted ? byte_stream_open(read->engine->fs, read->path, read->region->compression, &d->bytes, err)
                                   : error_no_memory(err, CHUNK_BYTES);
    if (st == ST_OK)
        st = file_columns_new(read, NULL, &d->builders, err);
    for (uint32_t i = 0; st == ST_OK && i < read->region->n_columns; i++)
        d->wanted[i] = -1;
    for (uint32_t i = 0; st == ST_OK && i < read->n_columns; i++)
        d->wanted[read->columns[i]] = (int32_t)i;
    if (st == ST_OK)
        *ret_decoder = &d->base;
    else
        csv_free(&d->base);
    return st;
}
