/* Columns at the border to other libraries of the same process: Arrow's C data interface, of which this is the giving side.
 *
 * What is handed out shares the columns' buffers, so nothing is copied. The layout in memory decides the type that is told (arrow/type.h): all Utf8 kinds go as
 * Utf8, all Binary kinds as Binary, both kinds of list as List.
 */
#ifndef ARROW_CDATA_H
#define ARROW_CDATA_H

#include "arrow/column.h"

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};
#endif

/* What the buffers need to stay valid besides themselves (the account that they are charged to); each array holds a reference. */
struct cdata_owner {
    void (*ref)(void *ctx);
    void (*unref)(void *ctx);
    void *ctx;
};

/* The consumer releases what it is given. Dictionaries and ranges: ST_UNSUPPORTED. */
int cdata_export_schema(const struct schema *schema, struct ArrowSchema *ret_schema, struct error *err);
int cdata_export_batch(struct batch *batch, const struct cdata_owner *owner, struct ArrowArray *ret_array, struct error *err);

#endif
