/* Decoding is most of what a scan of an SST costs, and a decoded column is ten times what it is in the file. So whole columns of row groups stay, as
 * far as page_cache_size goes: a scan that wants all rows of one leaves it there, and one that wants some of them takes these out of it. Columns are
 * immutable and shared by all who use them.
 *
 * Scans for the newest row of each series want a row in a thousand, from all over the row group, and always the same ones. So which these are, and
 * the values that they have, stay by themselves (selector_result_cache_size). That holds for row groups of which no predicate, time or key leaves
 * anything out, in files of which every row counts: an SST does not change, and what deletes and newer rows elsewhere do to its rows is decided
 * above, by scan_plan_last_rows() and the merge, before anything of this is asked for.
 */
#include "engine/mito/sst_column.h"

#include <stdlib.h>
#include <string.h>

struct kept_column {
    struct cached base;
    struct column *column;
};

static void kept_free(struct cached *value)
{
    column_unref(((struct kept_column *)value)->column);
    free(value);
}

static int take_selected(const struct sst_column_request *q, const struct column *all, struct budget *budget, struct column **ret_column,
                         struct error *err)
{
    uint32_t *rows = malloc(((size_t)q->rows->n_rows + 1) * sizeof *rows);
    int64_t n = 0;
    if (!rows)
        return error_no_memory(err, (size_t)q->rows->n_rows * sizeof *rows);
    for (uint32_t i = 0; i < q->rows->n; i++)
        for (int64_t row = q->rows->ranges[i].start; row < q->rows->ranges[i].end; row++)
            rows[n++] = (uint32_t)row;
    int st = column_take(budget, all, rows, n, ret_column, err);
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

static uint64_t width_of(const struct sst_footer *f)
{
    return parquet_schema(f->parquet)->n_fields;
}

/* Out of the cache of whole columns, or the file. */
static int read_column(const struct sst_column_request *q, struct budget *budget, struct column **ret_column, struct error *err)
{
    struct parquet_file *parquet = q->footer->parquet;
    struct cache *c = q->keep && q->file->caches ? q->file->caches->columns : NULL;
    int64_t n_rows = parquet_row_group(parquet, q->row_group)->n_rows;
    uint64_t width = width_of(q->footer), dictionary = (q->flags & PARQUET_AS_DICTIONARY) != 0;
    struct cache_key key = {q->file->serial, 2 * (q->row_group * width + q->column) + dictionary};
    bool all = q->rows->n_rows == n_rows;
    struct parquet_selection some = {q->rows->ranges, q->rows->n};
    struct kept_column *k = c ? (struct kept_column *)cache_get(c, key) : NULL;
    if (k) {
        int st = ST_OK;
        if (all)
            *ret_column = column_ref(k->column);
        else
            st = take_selected(q, k->column, budget, ret_column, err);
        cached_unref(&k->base);
        return st;
    }
    bool stays = all && c && cache_admits(c, (size_t)n_rows * sizeof(uint64_t));
    TRY(parquet_read_column(parquet, &q->source, q->row_group, q->column, all ? NULL : &some, q->type, q->flags, stays ? cache_budget(c) : budget,
                            ret_column, err));
    if (stays) {
        atomic_store(&q->file->kept_items, 2 * parquet_n_row_groups(parquet) * width);
        keep(c, key, *ret_column);
    }
    return ST_OK;
}

/* ---- last rows: item 0 of a row group says which they are, the others are their columns ---- */

static uint64_t last_items(const struct sst_footer *f)
{
    return 2 * width_of(f) + 1;
}

static void note_last_items(struct sst_file *file, const struct sst_footer *f)
{
    atomic_store(&file->kept_last_items, parquet_n_row_groups(f->parquet) * last_items(f));
}

int sst_column_read(const struct sst_column_request *q, struct column **ret_column, struct error *err)
{
    struct cache *c = q->last_rows && q->keep && q->file->caches ? q->file->caches->last_rows : NULL;
    if (!c)
        return read_column(q, q->budget, ret_column, err);
    uint64_t dictionary = (q->flags & PARQUET_AS_DICTIONARY) != 0;
    struct cache_key key = {q->file->serial, q->row_group * last_items(q->footer) + 1 + 2 * q->column + dictionary};
    struct kept_column *k = (struct kept_column *)cache_get(c, key);
    if (k) {
        *ret_column = column_ref(k->column);
        cached_unref(&k->base);
        return ST_OK;
    }
    bool stays = cache_admits(c, (size_t)q->rows->n_rows * sizeof(uint64_t));
    TRY(read_column(q, stays ? cache_budget(c) : q->budget, ret_column, err));
    if (stays) {
        note_last_items(q->file, q->footer);
        keep(c, key, *ret_column);
    }
    return ST_OK;
}

static size_t last_rows_bytes(uint32_t n)
{
    return sizeof(struct last_rows) + n * sizeof(uint32_t);
}

static void last_rows_free(struct cached *value)
{
    struct last_rows *l = (struct last_rows *)value;
    budget_release(l->budget, last_rows_bytes(l->n));
    free(l);
}

struct last_rows *sst_last_rows_get(const struct sst_file *file, const struct sst_footer *footer, uint32_t row_group)
{
    struct cache *c = file->caches ? file->caches->last_rows : NULL;
    return c ? (struct last_rows *)cache_get(c, (struct cache_key){file->serial, row_group * last_items(footer)}) : NULL;
}

void sst_last_rows_put(struct sst_file *file, const struct sst_footer *footer, uint32_t row_group, const uint32_t *rows, uint32_t n)
{
    struct cache *c = file->caches ? file->caches->last_rows : NULL;
    size_t bytes = last_rows_bytes(n);
    if (!c || !cache_admits(c, bytes) || budget_charge(cache_budget(c), bytes, NULL) != ST_OK)
        return;
    struct last_rows *l = malloc(bytes);
    if (!l) {
        budget_release(cache_budget(c), bytes);
        return;
    }
    cached_init(&l->base, bytes, last_rows_free);
    l->budget = cache_budget(c);
    l->n = n;
    memcpy(l->rows, rows, n * sizeof *rows);
    note_last_items(file, footer);
    cache_put(c, (struct cache_key){file->serial, row_group * last_items(footer)}, &l->base);
    cached_unref(&l->base);
}
