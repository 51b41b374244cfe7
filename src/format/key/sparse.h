/* Sparse primary keys, those of a metric engine's data region (mito-on-disk.md 4.3), and the series id that is part of them. Pure.
 *
 *   80000004 01 table id (u32 BE)  80000003 01 tsid (u64 BE)  { column id (u32 BE)  01 string }*
 *
 * One pair per label that is not null, in the order of the label names' bytes. A region may have thousands of labels, a series only pays for its own.
 */
#ifndef FORMAT_KEY_SPARSE_H
#define FORMAT_KEY_SPARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "arrow/column.h"
#include "base/buffer.h"
#include "base/error.h"

/* Reserved columns: ids on disk, names in the schema. Frozen. */
#define KEY_COLUMN_TSID     0x80000003u
#define KEY_COLUMN_TABLE_ID 0x80000004u
#define KEY_NAME_TSID       "__tsid"
#define KEY_NAME_TABLE_ID   "__table_id"
#define KEY_NAME_WHOLE      "__primary_key" /* the column of whole keys in row writes and SSTs */

enum { KEY_SPARSE_PREFIX_BYTES = 22 };

/* A label of a series; the value is not null. */
struct key_label {
    uint32_t column_id;
    const char *name;
    size_t name_size;
    const uint8_t *value;
    size_t value_size;
};

/* The id of the series with these labels, which are in name order (metric-engine.md 8.5). */
uint64_t key_tsid(const struct key_label *labels, uint32_t n);

/* Appends the key of that series in the table, tsid included. */
int key_sparse_append(struct dynbuf *out, uint32_t table_id, const struct key_label *labels, uint32_t n, struct error *err);

/* The fixed prefix. ST_CORRUPT when it is not one. */
int key_sparse_prefix(const uint8_t *key, size_t size, uint32_t *ret_table_id, uint64_t *ret_tsid, struct error *err);

/* Finds label `column_id`; *ret_found = false when the label is absent (null). Appends the text to out. */
int key_sparse_label(const uint8_t *key, size_t size, uint32_t column_id, struct dynbuf *out, bool *ret_found, struct error *err);

/* Appends the key's value of column `column_id`, which may be one of the reserved two, to the builder; null when absent. `scratch` is overwritten.
 * ST_CORRUPT when the builder's type cannot be that of the column. */
int key_sparse_decode(const uint8_t *key, size_t size, uint32_t column_id, struct dynbuf *scratch, struct column_builder *out, struct error *err);

/* Whether the bytes are a sparse key from end to end: ST_CORRUPT says where not. Calls `each` (may be NULL) with the column id of every label. */
int key_sparse_check(const uint8_t *key, size_t size, int (*each)(void *ctx, uint32_t column_id, struct error *err), void *ctx, struct error *err);

#endif
