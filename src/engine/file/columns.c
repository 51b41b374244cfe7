/* The columns that a row-wise decoder fills. A type that the decoder cannot append is gathered as text and cast as a whole, a batch at a time. */
#include <stdlib.h>

#include "engine/file/file.h"

void file_columns_free(const struct file_read *read, struct column_builder *builders)
{
    for (uint32_t i = 0; builders && i < read->n_columns; i++)
        column_builder_release(&builders[i]);
    free(builders);
}

int file_columns_new(const struct file_read *read, bool (*direct)(const struct dtype *type), struct column_builder **ret_builders, struct error *err)
{
    struct column_builder *builders = calloc(read->n_columns + 1, sizeof *builders);
    int st = builders ? ST_OK : error_no_memory(err, (read->n_columns + 1) * sizeof *builders);
    for (uint32_t i = 0; st == ST_OK && i < read->n_columns; i++) {
        struct dtype *type = read->region->columns[read->columns[i]].type;
        st = column_builder_init(&builders[i], read->budget, direct && direct(type) ? type : type_of(TYPE_UTF8), err);
    }
    if (st == ST_OK)
        *ret_builders = builders;
    else
        file_columns_free(read, builders);
    return st;
}

static int finish(const struct file_read *read, struct column_builder *builder, const struct region_column *c, struct column **ret_column,
                  struct error *err)
{
    struct column *text;
    if (type_equal(builder->type, c->type, true))
        return column_builder_finish(builder, ret_column, err);
    TRY(column_builder_finish(builder, &text, err));
    int st = read->engine->cast(read->budget, text, c->type, false, ret_column, err);
    column_unref(text);
    return st == ST_OK ? ST_OK : (error_prefix(err, "%s, column %s", read->path, c->name), st);
}

int file_columns_finish(const struct file_read *read, struct column_builder *builders, int64_t rows, struct column **ret_columns, struct error *err)
{
    uint32_t made = 0;
    int st = ST_OK;
    for (; rows && made < read->n_columns && st == ST_OK; made += st == ST_OK)
        st = finish(read, &builders[made], &read->region->columns[read->columns[made]], &ret_columns[made], err);
    for (uint32_t i = 0; st != ST_OK && i < made; i++)
        column_unref(ret_columns[i]);
    return st;
}
