/* Inverted indexes: for each value of a column the segments of rows that hold it (mito-on-disk.md 5.3). Pure.
 *
 *   per column: bitmap of the segments with nulls | bitmaps, in the order of the values | FST: value -> place of its bitmap
 *   protobuf description | u32 its size
 */
#ifndef FORMAT_INDEX_INVERTED_H
#define FORMAT_INDEX_INVERTED_H

#include <stdbool.h>

#include "base/hash.h"
#include "format/index/fst.h"
#include "format/puffin/puffin.h"

struct inverted_range {
    struct fst_bound low, high;
    bool (*holds)(const void *ctx, const uint8_t *value, size_t size); /* NULL: all values in between */
    const void *ctx;
};

enum inverted_bitmap { INVERTED_BITVEC = 0, INVERTED_ROARING = 1 };

struct inverted_column {
    uint32_t column_id;
    uint64_t base_offset, n_bytes;                           /* of the column's part of the blob */
    uint32_t fst_offset, fst_bytes, null_offset, null_bytes; /* in that part */
    enum inverted_bitmap bitmap;
};

struct inverted_index {
    uint64_t n_rows, rows_per_segment;
    const struct inverted_column *columns;
    uint32_t n_columns;
};

/* Reads the description; it lives in the arena. Columns that are known by no number are left out. */
int inverted_index_open(const struct puffin_source *blob, struct arena *a, struct inverted_index *ret_index, struct error *err);
const struct inverted_column *inverted_index_find(const struct inverted_index *x, uint32_t column_id); /* NULL: none */

/* Sets the bits of the segments that hold a value of a range (and of no others). `bits` has room for the blob's segments,
 * inverted_index_segments(). What is read is charged to the budget. */
uint64_t inverted_index_segments(const struct inverted_index *x);
int inverted_index_select(const struct puffin_source *blob, const struct inverted_index *x, const struct inverted_column *c,
                          const struct inverted_range *ranges, uint32_t n, uint8_t *bits, struct budget *budget, struct error *err);

/* ---- writing a blob ---- */

/* One column. Values are copied once each. */
struct inverted_builder {
    struct budget *budget;
    uint64_t rows_per_segment, n_rows;
    struct dict_map map;
    struct buffer *bytes, *values, *pairs, *nulls;
    size_t n_bytes, n_pairs, n_nulls;
    uint32_t n_values;
};

void inverted_builder_init(struct inverted_builder *b, struct budget *budget, uint64_t rows_per_segment);
void inverted_builder_release(struct inverted_builder *b);
/* The next row (or any other row of its segment) holds that value; NULL = null. */
int inverted_builder_add(struct inverted_builder *b, const void *value, size_t size, struct error *err);
/* Rows left in the open segment, at least 1. */
static inline uint64_t inverted_builder_room(const struct inverted_builder *b)
{
    return b->rows_per_segment - b->n_rows % b->rows_per_segment;
}
static inline void inverted_builder_advance(struct inverted_builder *b, uint64_t n)
{
    b->n_rows += n;
}
/* Appends the column's part of the blob to `blob` and its entry to `description`. */
int inverted_builder_finish(struct inverted_builder *b, uint32_t column_id, struct dynbuf *blob, struct dynbuf *description, struct error *err);
/* Behind the last column: the description of the whole. */
int inverted_index_end(uint64_t n_rows, uint64_t rows_per_segment, struct dynbuf *blob, struct dynbuf *description, struct error *err);

#endif
