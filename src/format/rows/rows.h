/* Row writes: from the protobuf `Rows` on the wire (or in the WAL) straight into columns. The hot path of ingestion.
 *
 * One pass over the bytes fills one typed buffer per field column; no value gets an allocation of its own. Tags are not decoded here at all: each row
 * only yields the span of its tag values' wire bytes and their hash, because a time series repeats its tags in every row: whoever owns the
 * series dictionary (engine/mito/series.h) looks the span up and decodes it on the first appearance only (rows_encode_key).
 * Sources: region-rpc.md 3.1, 3.3 and 4.1; wal.md 2.1.
 */
#ifndef FORMAT_ROWS_ROWS_H
#define FORMAT_ROWS_ROWS_H

#include <stdint.h>

#include "arrow/column.h"
#include "base/buffer.h"
#include "base/error.h"
#include "format/region/metadata.h"

struct key_span {
    const uint8_t *data; /* per tag, in key order: `0A len value` as on the wire, or 0B for a tag that the schema leaves out */
    uint32_t size;
};

struct row_write {
    struct region_metadata *metadata; /* one reference */
    bool is_delete;
    int64_t n_rows;
    struct buffer *times;             /* int64 per row, the time index in its own unit */
    struct column **columns;          /* by index into metadata->columns; fields only; NULL = null in every row. Deletes: NOT NULL fields hold zeros */
    struct key_span *spans;           /* per row; NULL when the region has no tags */
    bool spans_are_keys;              /* the spans are encoded primary keys already (bulk inserts) */
    uint64_t *hashes;                 /* per row, of the span */
    int64_t time_min, time_max;
    struct buffer *scratch;           /* holds spans that are not contiguous on the wire */
    struct budget *budget;
    size_t charged_bytes;             /* of spans and hashes */
};

/* Decodes a `Rows` message against the metadata and its rules (region-rpc.md 4.1: ST_INVALID_ARGUMENTS names rule and column). The spans point into `rows`,
 * which must outlive *ret_write. Missing columns of a put are filled with their constant defaults. */
int row_write_decode(const uint8_t *rows, size_t size, struct region_metadata *metadata, bool is_delete, struct budget *budget, struct row_write *ret_write,
                     struct error *err);

/* The same form from an Arrow batch (a bulk insert): columns are matched by name and must have the region's types (region-rpc.md 4.2). */
int row_write_from_batch(const struct batch *batch, struct region_metadata *metadata, struct budget *budget, struct row_write *ret_write, struct error *err);
void row_write_release(struct row_write *w);

/* Appends the memcomparable primary key that a span stands for. */
int row_write_encode_key(const struct row_write *w, struct key_span span, struct dynbuf *out, struct error *err);

/* Number of rows in a `Rows` message without decoding them; false when it is malformed. */
bool rows_count(const uint8_t *rows, size_t size, int64_t *ret_rows);

/* A constant column: `value` (length 1) repeated n times. */
int column_repeat(struct budget *budget, struct column *value, int64_t n, struct column **ret_column, struct error *err);

/* n zero values (empty strings, zero numbers) of a type. */
int column_zeros(struct budget *budget, struct dtype *type, int64_t n, struct column **ret_column, struct error *err);

#endif
