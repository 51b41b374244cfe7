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
#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "format/key/sparse.h"
#include "format/region/metadata.h"

struct key_span {
    const uint8_t *data; /* per tag, in key order: `0A len value` as on the wire, or 0B for a tag that the schema leaves out */
    uint32_t size;
};

/* What the spans of a run of rows hold when they are the labels of one logical table instead of the region's whole key (labels.c). */
struct key_layout {
    int64_t first_row;         /* up to the next layout's */
    uint32_t table_id, n_labels;
    const uint32_t *identity;  /* table id and n_labels column ids in the order of the spans: equal identities mean equal meaning */
    const uint32_t *columns;   /* per label of a span: index into metadata->columns */
    const uint32_t *by_name;   /* places of the labels in a span, in name order */
    uint64_t hash;             /* of the identity; mixed into the rows' hashes */
};

struct row_write {
    struct region_metadata *metadata; /* one reference */
    bool is_delete;
    int64_t n_rows;
    struct buffer *times;             /* int64 per row, the time index in its own unit */
    struct column **columns;          /* by index into metadata->columns; fields only; NULL = null in every row. Deletes: NOT NULL fields hold zeros */
    struct key_span *spans;           /* per row; NULL when the region has no tags */
    bool spans_are_keys;              /* the spans are encoded primary keys already (bulk inserts, column __primary_key) */
    bool keys_unchecked;              /* ... of somebody else's making: row_write_check_key() before one is kept */
    struct key_layout *layouts;       /* row_write_decode_labels() only; in arena */
    uint32_t n_layouts;
    struct key_label *labels;         /* scratch for row_write_encode_labels(), as long as the longest layout */
    struct arena arena;
    uint64_t *hashes;                 /* per row, of the span */
    int64_t time_min, time_max;
    struct buffer *scratch;           /* holds spans that are not contiguous on the wire */
    struct budget *budget;
    size_t charged_bytes;             /* of spans, hashes and keys made of a batch */
};

/* Decodes a `Rows` message against the metadata and its rules (region-rpc.md 4.1: ST_INVALID_ARGUMENTS names rule and column). The spans point into `rows`,
 * which must outlive *ret_write. Missing columns of a put are filled with their constant defaults. */
int row_write_decode(const uint8_t *rows, size_t size, struct region_metadata *metadata, bool is_delete, struct budget *budget, struct row_write *ret_write,
                     struct error *err);

/* The rows of one logical table of a metric engine's data region. */
struct label_rows { uint32_t table_id; const uint8_t *rows; size_t size; };

/* Decodes the writes of many logical tables into one of their data region `metadata`, which has one Float64 field. Labels are looked up in the region by
 * name (ST_COLUMN_NOT_FOUND); a row's key is that of its own table (metric-engine.md 8.2, 8.3). The spans point into the rows. */
int row_write_decode_labels(const struct label_rows *tables, uint32_t n_tables, struct region_metadata *metadata, bool is_delete, struct budget *budget,
                            struct row_write *ret_write, struct error *err);

/* The same for the Arrow batch of one logical table: which of its columns are labels, `logical` says; the others keep their names. */
int row_write_from_label_batch(const struct batch *batch, uint32_t table_id, const struct region_metadata *logical, struct region_metadata *metadata,
                               struct budget *budget, struct row_write *ret_write, struct error *err);

/* The same form from an Arrow batch (a bulk insert): columns are matched by name and must have the region's types (region-rpc.md 4.2). */
int row_write_from_batch(const struct batch *batch, struct region_metadata *metadata, struct budget *budget, struct row_write *ret_write, struct error *err);
void row_write_release(struct row_write *w);

/* Appends the memcomparable primary key that a span stands for. */
int row_write_encode_key(const struct row_write *w, struct key_span span, struct dynbuf *out, struct error *err);

/* The same for a span of labels; `w` is written to (scratch). */
int row_write_encode_labels(struct row_write *w, const struct key_layout *layout, struct key_span span, struct dynbuf *out, struct error *err);
/* Whether the bytes are a key of the region: ST_INVALID_ARGUMENTS says what is wrong. */
int row_write_check_key(const struct region_metadata *metadata, struct key_span key, struct error *err);

/* Appends the `Rows` message (wal.md 2.1) that says the same as `w` with whole keys in a column __primary_key: keys[i] is that of row i. */
int row_write_encode_rows(const struct row_write *w, const struct key_span *keys, struct dynbuf *out, struct error *err);

/* Number of rows in a `Rows` message without decoding them; false when it is malformed. */
bool rows_count(const uint8_t *rows, size_t size, int64_t *ret_rows);

/* A constant column: `value` (length 1) repeated n times. */
int column_repeat(struct budget *budget, struct column *value, int64_t n, struct column **ret_column, struct error *err);

/* n zero values (empty strings, zero numbers) of a type. */
int column_zeros(struct budget *budget, struct dtype *type, int64_t n, struct column **ret_column, struct error *err);

#endif
