/* Inverted indexes: for each value of a column the segments of rows that hold it (mito-on-disk.md 5.3). Pure.
 *
 *   per column: bitmap of the segments with nulls | bitmaps, in the order of the values | FST: value -> place of its bitmap
 *   protobuf description | u32 its size
 */
#ifndef FORMAT_INDEX_INVERTED_H
#define FORMAT_INDEX_INVERTED_H

#include <stdbool.h>

#include "format/puffin/puffin.h"

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

#endif
