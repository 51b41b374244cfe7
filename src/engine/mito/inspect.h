/* Shared by the inspection tables. */
#ifndef ENGINE_MITO_INSPECT_H
#define ENGINE_MITO_INSPECT_H

#include "engine/mito/mito.h"

enum { INSPECT_COLUMNS_MAX = 32 };

/* Rows being collected. */
struct collector {
    struct mito_engine *engine;
    const struct inspect_column *columns;
    uint32_t n;
    struct column_builder builders[INSPECT_COLUMNS_MAX];
};

int inspect_put_text(struct collector *c, uint32_t i, const char *text, struct error *err); /* NULL = null */
int inspect_put_number(struct collector *c, uint32_t i, uint64_t v, struct error *err);     /* in the column's own width */
/* "data/…/1024/" of ".../1024/1024_0000000000/" and, of a metric region, of ".../1024/1024_0000000000/data/". */
void inspect_table_dir(const char *region_dir, char *out, size_t room);

int inspect_collect_indexes(struct collector *c, struct error *err);

#endif
