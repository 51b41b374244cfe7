/* What the parts of the Parquet codec share: numbers of parquet.thrift (frozen by the format), the schema tree, page headers, and the encodings. */
#ifndef FORMAT_PARQUET_INTERNAL_H
#define FORMAT_PARQUET_INTERNAL_H

#include "format/parquet/buf.h"
#include "format/parquet/parquet.h"
#include "format/parquet/thrift.h"

enum pq_physical { PQ_BOOLEAN, PQ_INT32, PQ_INT64, PQ_INT96, PQ_FLOAT, PQ_DOUBLE, PQ_BYTE_ARRAY, PQ_FIXED };
enum pq_repetition { PQ_REQUIRED, PQ_OPTIONAL, PQ_REPEATED };
enum pq_page_type { PQ_PAGE_DATA, PQ_PAGE_INDEX, PQ_PAGE_DICTIONARY, PQ_PAGE_DATA_V2 };
enum pq_encoding { PQ_PLAIN = 0, PQ_PLAIN_DICTIONARY = 2, PQ_RLE = 3, PQ_BIT_PACKED = 4, PQ_DELTA_BINARY_PACKED = 5, PQ_DELTA_LENGTH_BYTE_ARRAY = 6,
                   PQ_DELTA_BYTE_ARRAY = 7, PQ_RLE_DICTIONARY = 8, PQ_BYTE_STREAM_SPLIT = 9 };
enum { PQ_CODEC_LZO = 3, PQ_CODEC_LZ4_OLD = 5 };

enum pq_converted { PQ_CONVERTED_NONE = -1, PQ_UTF8, PQ_CONVERTED_MAP, PQ_MAP_KEY_VALUE, PQ_CONVERTED_LIST, PQ_ENUM, PQ_DECIMAL, PQ_DATE,
                    PQ_TIME_MILLIS, PQ_TIME_MICROS, PQ_TIMESTAMP_MILLIS, PQ_TIMESTAMP_MICROS, PQ_UINT_8, PQ_UINT_16, PQ_UINT_32, PQ_UINT_64, PQ_INT_8,
                    PQ_INT_16, PQ_INT_32, PQ_INT_64, PQ_JSON, PQ_BSON, PQ_INTERVAL };
/* Field numbers of the LogicalType union. */
enum pq_logical { PQ_LOGICAL_NONE, PQ_LOGICAL_STRING, PQ_LOGICAL_MAP, PQ_LOGICAL_LIST, PQ_LOGICAL_ENUM, PQ_LOGICAL_DECIMAL, PQ_LOGICAL_DATE,
                  PQ_LOGICAL_TIME, PQ_LOGICAL_TIMESTAMP, PQ_LOGICAL_INTEGER = 10, PQ_LOGICAL_UNKNOWN, PQ_LOGICAL_JSON, PQ_LOGICAL_BSON,
                  PQ_LOGICAL_UUID, PQ_LOGICAL_FLOAT16, PQ_LOGICAL_VARIANT, PQ_LOGICAL_GEOMETRY, PQ_LOGICAL_GEOGRAPHY,
                  PQ_LOGICAL_FOREIGN = 1000 /* one that is not known here */ };

enum { PQ_DEPTH_MAX = 60, PQ_FOOTER_MAX = 256 << 20 };

struct pq_node {                 /* an element of the Parquet schema, in depth-first order; node 0 is the root */
    const char *name;
    int32_t physical;            /* -1 for groups */
    int32_t type_length, repetition, converted, scale, precision;
    int32_t logical;
    uint8_t unit;                /* TIME, TIMESTAMP: enum time_unit */
    bool utc, is_signed;
    uint8_t bits;                /* INTEGER */
    uint32_t n_children, parent;
    uint32_t end;                /* behind the last descendant */
    uint32_t first_leaf, n_leaves;
    int16_t definition, repetition_level;
};

enum pq_shape_kind { PQ_SHAPE_LEAF, PQ_SHAPE_STRUCT, PQ_SHAPE_LIST };

/* The Arrow side of the tree. A node has a slot for each level entry with rep <= repetition && def >= slot_definition; the slot is valid when
 * def >= definition. */
struct pq_shape {
    enum pq_shape_kind kind;
    struct dtype *type;          /* borrowed from the fields of the file's schema */
    bool nullable;
    int16_t definition, slot_definition, repetition;
    uint32_t leaf, first_leaf, n_leaves;
    uint32_t n_children;
    struct pq_shape **children;
    struct field *field;         /* owned: the reference that keeps `type` */
};

struct parquet_file {
    struct arena arena;
    struct budget *budget;
    int64_t n_rows;
    uint32_t n_nodes, n_leaves, n_row_groups, n_columns, n_kv, n_shapes;
    struct pq_node *nodes;
    struct parquet_leaf *leaves;
    uint32_t *leaf_nodes;
    bool *leaf_ordered;          /* its min_value and max_value follow the type's own order */
    struct parquet_row_group *row_groups;
    struct kv *kv;
    const char *created_by;
    struct schema *schema;
    struct pq_shape **columns;
    struct pq_shape *shapes;     /* all of them, for releasing their fields */
};

struct pq_page_header {
    int32_t type, uncompressed_bytes, compressed_bytes, n_values, encoding, definition_encoding, repetition_encoding, n_nulls, n_rows;
    int32_t definition_bytes, repetition_bytes;
    uint32_t crc;
    bool has_crc, compressed;
    size_t header_bytes;
};

/* metadata.c, schema.c, page_index.c */
int pq_decode_page_header(const uint8_t *data, size_t size, struct pq_page_header *ret_header, struct error *err);
void pq_read_statistics(struct thrift_reader *r, const struct thrift_field *f, const struct pq_node *node, bool ordered, struct parquet_bounds *b);
void pq_check_bounds(const struct pq_node *node, bool ordered, struct parquet_bounds *b);
int pq_build_schema(struct parquet_file *f, struct error *err);
int pq_read_offset_index(const struct parquet_file *f, const struct parquet_source *source, uint32_t row_group, uint32_t leaf, struct arena *arena,
                         struct parquet_page_index *ret_index, struct error *err);
struct schema *pq_arrow_schema_hint(const struct parquet_file *f); /* one reference, or NULL */
/* hint.c: applies the ARROW:schema entry to a field that the Parquet schema gave; NULL = keep it. */
struct dtype *pq_hinted_type(const struct pq_node *node, struct dtype *type, struct dtype *hint);

/* convert.c: how values of a leaf's physical type become Arrow values. */
enum pq_conversion { PQ_CONVERT_NONE, PQ_CONVERT_COPY, PQ_CONVERT_BOOL, PQ_CONVERT_NARROW, PQ_CONVERT_INT96, PQ_CONVERT_WIDEN, PQ_CONVERT_BIG_ENDIAN,
                     PQ_CONVERT_MONTHS, PQ_CONVERT_DAY_TIME, PQ_CONVERT_BYTES, PQ_CONVERT_DECIMAL_BYTES, PQ_CONVERT_NULL };
struct pq_slice { const uint8_t *data; uint32_t size; };
enum pq_conversion pq_conversion_of(const struct parquet_leaf *leaf, const struct dtype *type);
uint32_t pq_physical_width(const struct parquet_leaf *leaf); /* 0 for BYTE_ARRAY; BOOLEAN: 1, as decoded */
void pq_convert_fixed(enum pq_conversion how, const uint8_t *src, uint32_t src_width, uint8_t *dst, uint32_t dst_width, size_t n);
bool pq_convert_decimal_slices(const struct pq_slice *src, uint8_t *dst, uint32_t dst_width, size_t n);

/* rle.c: the RLE / bit-packed hybrid: values [skip, skip + n). `width` 0..32 (u8: 0..8). Reads past `size` by up to 16 bytes (see PQ_BUF_SLACK). */
bool pq_rle_decode_u32(const uint8_t *data, size_t size, unsigned width, size_t skip, uint32_t *out, size_t n);
bool pq_rle_decode_u8(const uint8_t *data, size_t size, unsigned width, size_t skip, uint8_t *out, size_t n);
/* Whether the first n values are one run, and of which value. */
bool pq_rle_is_constant(const uint8_t *data, size_t size, unsigned width, size_t n, uint32_t *ret_value);
bool pq_bit_packed_levels(const uint8_t *data, size_t size, unsigned width, uint8_t *out, size_t n); /* the deprecated MSB-first form */
void pq_unpack_bools(const uint8_t *bits, uint8_t *out, size_t n);
void pq_unpack_u64(const uint8_t *data, unsigned width, uint64_t *out, size_t n); /* width 0..64 */
int pq_rle_encode_u32(struct pq_buf *out, const uint32_t *values, size_t n, unsigned width, struct error *err);
int pq_rle_encode_u8(struct pq_buf *out, const uint8_t *values, size_t n, unsigned width, struct error *err);
static inline unsigned pq_bit_width(uint64_t max)
{
    return max ? 64 - (unsigned)__builtin_clzll(max) : 0;
}

/* delta.c. The decoders give the bytes used, or 0 when the data is broken or does not hold n values (prefix: `total`, of which n are decoded). */
size_t pq_delta_decode(const uint8_t *data, size_t size, int64_t *out, size_t n);
size_t pq_delta_decode_prefix(const uint8_t *data, size_t size, int64_t *out, size_t n, size_t total);
int pq_delta_encode(struct pq_buf *out, const int64_t *values, size_t n, bool narrow, struct error *err);
/* Slices point into `data`; `lengths` is scratch for n values. */
bool pq_delta_length_decode(const uint8_t *data, size_t size, int64_t *lengths, struct pq_slice *out, size_t n, size_t *ret_used);
/* Slices point into `bytes`. */
int pq_delta_bytes_decode(const uint8_t *data, size_t size, struct pq_buf *lengths, struct pq_buf *bytes, struct pq_slice *out, size_t n,
                          struct error *err);

/* codec.c */
struct pq_codecs { void *zstd_in, *zstd_out; };
void pq_codecs_release(struct pq_codecs *c);
int pq_decompress(struct pq_codecs *c, int codec, const uint8_t *data, size_t size, uint8_t *out, size_t out_size, struct error *err);
/* Refuses a claimed size that the codec cannot reach from `size` bytes, before memory is taken for it. */
bool pq_plausible_size(int codec, const uint8_t *data, size_t size, size_t out_size);
/* Appends to `out`. */
int pq_compress(struct pq_codecs *c, int codec, int level, const uint8_t *data, size_t size, struct pq_buf *out, struct error *err);

static inline int pq_corrupt(struct error *err, const char *what)
{
    return error_set(err, ST_CORRUPT, "parquet: %s", what);
}

#endif
