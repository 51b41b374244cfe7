/* Opens any bytes as a Parquet file, reads every column of every row group in the ways that exist, and the page indexes.
 * The budget stands for memory_limit: what a file claims must not be believed past it. */
#include <string.h>

#include "format/parquet/parquet.h"

struct bytes { const uint8_t *data; size_t size; };

static int read_at(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    const struct bytes *b = ctx;
    if (offset > b->size || size > b->size - offset)
        return error_set(err, ST_STORAGE, "read past the end");
    if (size)
        memcpy(data, b->data + offset, size);
    return ST_OK;
}

static void read_group(const struct parquet_file *f, const struct parquet_source *source, uint32_t g, struct budget *budget)
{
    int64_t n_rows = parquet_row_group(f, g)->n_rows;
    struct parquet_row_range ranges[] = {{0, n_rows > 0}, {n_rows / 2, n_rows / 2 + (n_rows > 2)}};
    struct parquet_selection some = {ranges, 2};
    for (uint32_t c = 0; c < parquet_schema(f)->n_fields && c < 64; c++) {
        for (int way = 0; way < 3; way++) {
            struct column *column = NULL;
            struct error err = {0};
            if (parquet_read_column(f, source, g, c, way == 2 ? &some : NULL, NULL, way, budget, &column, &err) == ST_OK)
                column_null_count(column);
            column_unref(column);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = {data, size};
    struct parquet_source source = {read_at, &bytes, size};
    struct parquet_file *f;
    struct budget budget;
    struct error err = {0};
    budget_init(&budget, "fuzz", "none", 32 << 20, NULL);
    if (parquet_open(&source, &budget, &f, &err) != ST_OK)
        return 0;
    for (uint32_t g = 0; g < parquet_n_row_groups(f) && g < 4; g++) {
        for (uint32_t leaf = 0; leaf < parquet_n_leaves(f) && leaf < 64; leaf++) {
            struct parquet_page_index index;
            struct arena arena;
            arena_init(&arena, &budget);
            parquet_read_page_index(f, &source, g, leaf, &arena, &index, &err);
            arena_release(&arena);
        }
        read_group(f, &source, g, &budget);
    }
    parquet_file_free(f);
    if (budget_used(&budget) != 0)
        __builtin_trap();
    return 0;
}
