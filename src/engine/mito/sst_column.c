/* Decoding is most of what a scan of an SST costs, and a decoded column is ten times what it is in the file. So whole columns of row groups stay, as
 * far as page_cache_size goes: a scan that wants all rows of one leaves it there, and one that wants some of them takes these out of it. Columns are
 * immutable and shared by all who use them.
 */
#include "engine/mito/sst_column.h"

#include <stdlib.h>

struct kept_column {
    struct cached base;
    struct column *column;
};

static void kept_free(struct cached *value)
{
    column_unref(((struct kept_column *)value)->column);
    free(value);
}

static int take_selected(const struct sst_column_request *q, const struct column *all, struct column **ret_column, struct error *err)
{
    uint32_t *rows = malloc(((size_t)q->rows->n_rows + 1) * sizeof *rows);
    int64_t n = 0;
    if (!rows)
        return error_no_memory(err, (size_t)q->rows->n_rows * sizeof *rows);
    for (uint32_t i = 0; i < q->rows->n; i++)
        for (int64_t row = q->rows->ranges[i].start; row < q->rows->ranges[i].end; row++)
            rows[n++] = (uint32_t)row;
    int st = column_take(q->budget, all, rows, n, ret_column, err);
    free(rows);
    return st;
}

static void keep(struct cache *c, struct cache_key key, struct column *column)
{
    struct kept_column *k = malloc(sizeof *k);
    if (!k)
        return;
    cached_init(&k->base, sizeof *k + column_bytes_held(column), kept_free);
    k->column = column_ref(column);
    cache_put(c, key, &k->base);
    cached_unref(&k->base);
}

int sst_column_read(const struct sst_column_request *q, struct column **ret_column, struct error *err)
{
    struct parquet_file *parquet = q->footer->parquet;
    struct cache *c = q->keep && q->file->caches ? q->file->caches->columns : NULL;
    int64_t n_rows = parquet_row_group(parquet, q->row_group)->n_rows;
    uint64_t width = parquet_schema(parquet)->n_fields, dictionary = (q->flags & PARQUET_AS_DICTIONARY) != 0;
    struct cache_key key = {q->file->serial, 2 * (q->row_group * width + q->column) + dictionary};
    bool all = q->rows->n_rows == n_rows;
    struct parquet_selection some = {q->rows->ranges, q->rows->n};
    struct kept_column *k = c ? (struct kept_column *)cache_get(c, key) : NULL;
    if (k) {
        int st = ST_OK;
        if (all)
            *ret_column = column_ref(k->column);
        else
            st = take_selected(q, k->column, ret_column, err);
        cached_unref(&k->base);
        return st;
    }
    bool stays = all && c && cache_admits(c, (size_t)n_rows * sizeof(uint64_t));
    TRY(parquet_read_column(parquet, &q->source, q->row_group, q->column, all ? NULL : &some, q->type, q->flags, stays ? cache_budget(c) : q->budget,
                            ret_column, err));
    if (stays) {
        atomic_store(&q->file->kept_items, 2 * parquet_n_row_groups(parquet) * width);
        keep(c, key, *ret_column);
    }
    return ST_OK;
}
