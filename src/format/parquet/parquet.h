/* Parquet reader and writer: pure codecs over caller-provided bytes.
 *
 * Reader: the caller hands in the footer bytes, gets the decoded metadata, then asks for column chunks; the reader says which byte ranges it needs
 * (parquet_read_fn) and decodes them into Arrow columns. Writer: columns in, bytes out through a callback.
 * Source: the Apache Parquet format 2.11 (parquet.thrift, Encodings.md, the logical types); Dremel levels for nesting.
 */
#ifndef FORMAT_PARQUET_PARQUET_H
#define FORMAT_PARQUET_PARQUET_H

#include <stdbool.h>
#include <stdint.h>

#include "arrow/column.h"
#include "base/arena.h"
#include "base/budget.h"
#include "base/error.h"

/* Reads exactly `size` bytes at `offset` of the file. */
typedef int (*parquet_read_fn)(void *ctx, uint64_t offset, void *data, size_t size, struct error *err);
/* Appends bytes to the file. */
typedef int (*parquet_write_fn)(void *ctx, const void *data, size_t size, struct error *err);

struct parquet_source {
    parquet_read_fn read;
    void *ctx;
    uint64_t size_bytes;
};

/* Statistics of a column chunk or a page, as plain-encoded bytes in the physical type (INT32 as 4, INT64 as 8, BYTE_ARRAY raw ...). */
struct parquet_bounds {
    bool has_min, has_max, min_exact, max_exact, has_null_count;
    const uint8_t *min, *max;
    uint32_t min_size, max_size;
    int64_t null_count;
};

struct parquet_chunk {            /* one leaf column of one row group */
    int64_t values;               /* incl. nulls */
    int64_t total_compressed_bytes, total_uncompressed_bytes;
    int64_t text_bytes;           /* of byte arrays, each counted as often as it stands there; -1 = the file does not say */
    int64_t data_page_offset, dictionary_page_offset; /* dictionary: -1 = none */
    int32_t physical_type, codec;
    uint32_t encodings;           /* bit per Encoding number */
    struct parquet_bounds bounds;
    int64_t offset_index_offset, column_index_offset, bloom_filter_offset; /* -1 = none */
    int32_t offset_index_bytes, column_index_bytes;
};

struct parquet_row_group {
    int64_t n_rows, total_byte_size;
    int64_t first_row;            /* of the file */
    struct parquet_chunk *chunks; /* n_leaves */
};

struct parquet_leaf {             /* a leaf of the schema tree */
    int16_t max_definition, max_repetition;
    int32_t physical_type, type_length;
    const char *path;             /* dotted */
};

struct parquet_page_location { int64_t offset; int32_t compressed_bytes; int64_t first_row; };

struct parquet_page_index {       /* of one chunk; arena-owned by the caller's arena */
    uint32_t n_pages;
    struct parquet_page_location *pages;
    bool has_bounds;
    struct parquet_bounds *bounds; /* n_pages; a null page has has_min = false and null_count = rows */
};

struct parquet_file;

/* Reads and checks the footer. Footer and thrift depth and counts are bounded; memory is charged to `budget` for the life of the file object. */
int parquet_open(const struct parquet_source *source, struct budget *budget, struct parquet_file **ret_file, struct error *err);
void parquet_file_free(struct parquet_file *f);

int64_t parquet_n_rows(const struct parquet_file *f);
uint32_t parquet_n_row_groups(const struct parquet_file *f);
const struct parquet_row_group *parquet_row_group(const struct parquet_file *f, uint32_t i);
uint32_t parquet_n_leaves(const struct parquet_file *f);
const struct parquet_leaf *parquet_leaf(const struct parquet_file *f, uint32_t i);
/* Value of a key-value metadata entry, or NULL. */
const char *parquet_kv(const struct parquet_file *f, const char *key);
const char *parquet_created_by(const struct parquet_file *f);
/* The Arrow schema that pyarrow would report (ARROW:schema is honoured for what Parquet cannot say: zones, durations, views ...; dictionaries are
 * ignored). */
struct schema *parquet_schema(const struct parquet_file *f); /* borrowed */
/* Leaves of top-level column i are [*ret_first, *ret_first + *ret_n). */
void parquet_column_leaves(const struct parquet_file *f, uint32_t column, uint32_t *ret_first, uint32_t *ret_n);
size_t parquet_memory_bytes(const struct parquet_file *f);

/* Offset index and column index of a leaf chunk; *ret_index.n_pages = 0 when the file has none. */
int parquet_read_page_index(const struct parquet_file *f, const struct parquet_source *source, uint32_t row_group, uint32_t leaf, struct arena *arena,
                            struct parquet_page_index *ret_index, struct error *err);

/* Which rows of a row group to decode: ascending, disjoint [start, end) ranges. NULL selection = all. */
struct parquet_row_range { int64_t start, end; };
struct parquet_selection { const struct parquet_row_range *ranges; uint32_t n; };

enum parquet_read_flags {
    PARQUET_AS_DICTIONARY = 1, /* byte-array columns come as Dictionary(UInt32, T) when every data page is dictionary-encoded, plain otherwise */
};

/* Decodes one top-level column of one row group. Pages outside the selection are skipped (by the offset index when there is one, else by their
 * headers); the output has exactly the selected rows. `type`: the Arrow type wanted (NULL = parquet_schema()'s); a mismatch that is not a plain
 * re-labelling fails. */
int parquet_read_column(const struct parquet_file *f, const struct parquet_source *source, uint32_t row_group, uint32_t column,
                        const struct parquet_selection *selection, struct dtype *type, int flags, struct budget *budget, struct column **ret_column,
                        struct error *err);

enum parquet_codec { PARQUET_UNCOMPRESSED = 0, PARQUET_SNAPPY = 1, PARQUET_GZIP = 2, PARQUET_BROTLI = 4, PARQUET_ZSTD = 6, PARQUET_LZ4_RAW = 7 };

struct parquet_column_options {
    enum parquet_codec codec;
    int level;          /* codec's own; 0 = default (zstd 1) */
    bool dictionary;    /* try a dictionary page, fall back to PLAIN past dictionary_bytes_max */
    bool delta;         /* integers: DELTA_BINARY_PACKED instead of PLAIN where no dictionary is used */
};

struct parquet_writer_options {
    struct schema *schema;                        /* nullability = REQUIRED / OPTIONAL. Dictionary columns are written as their values */
    const struct parquet_column_options *columns; /* one per top-level column; needed by _new() only */
    size_t dictionary_bytes_max;                  /* 1 MiB */
    size_t page_bytes_max;                        /* 1 MiB, checked every 1024 rows */
    int64_t page_rows_max;                        /* 20,000, checked every 1024 rows: full pages hold 20,480 */
    int64_t row_group_rows;                       /* 102,400: every row group but the last has exactly this many */
    const char *created_by;                       /* borrowed until the end, as is kv */
    const struct kv *kv; uint32_t n_kv;           /* key-value metadata */
    bool store_arrow_schema;                      /* adds ARROW:schema */
    parquet_write_fn write; void *ctx;
    struct budget *budget;
};

struct parquet_writer;

int parquet_writer_new(const struct parquet_writer_options *options, struct parquet_writer **ret_writer, struct error *err); /* writes the magic */
/* Rows in any batch size; columns must match the schema (a Dictionary column may stand for its value type). */
int parquet_writer_append(struct parquet_writer *w, const struct batch *batch, struct error *err);

struct parquet_write_result {
    uint64_t file_bytes;
    int64_t n_rows;
    uint32_t n_row_groups;
    uint64_t max_row_group_uncompressed_bytes; /* largest sum of the chunks' total_uncompressed_size */
};
/* Page indexes and footer. The writer must be freed afterwards, also after a failure. */
int parquet_writer_finish(struct parquet_writer *w, struct parquet_write_result *ret_result, struct error *err);
void parquet_writer_free(struct parquet_writer *w);

#endif
