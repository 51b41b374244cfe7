/* The writer's inside: leaves, their pages in the making, and what the footer must know about finished chunks. */
#ifndef FORMAT_PARQUET_WRITER_H
#define FORMAT_PARQUET_WRITER_H

#include "format/parquet/internal.h"

/* How values of a leaf compare for statistics. */
enum pqw_order { PQW_NONE, PQW_BOOL, PQW_I32, PQW_I64, PQW_U32, PQW_U64, PQW_F32, PQW_F64, PQW_F16, PQW_BYTES, PQW_BIG_ENDIAN };

struct pqw_bounds {
    bool has;
    struct pq_buf min, max;
};

/* The dictionary of a chunk: `body` is the PLAIN page; values are found by hash, those of byte arrays through `starts`. */
struct pqw_dictionary {
    struct pq_buf slots, tags, body, starts, stamps; /* uint32 each but the body; slots: code + 1; stamps: last page that used a code */
    struct pq_buf near;  /* code + 1 of fixed values from near_base on, where no hash is needed: most columns' values lie close together */
    uint64_t near_base;
    uint32_t n, capacity;
};

struct pqw_page {
    int64_t offset, first_row, nulls, values, string_bytes;
    int32_t bytes;
    bool has_bounds;
    uint32_t min_at, min_size, max_at, max_size; /* in pqw_leaf.bounds_bytes */
};

struct pqw_leaf {
    struct dtype *type;            /* of the values, without dictionary */
    const char *const *path;
    uint32_t n_path;
    uint32_t column;               /* top-level */
    enum pq_physical physical;
    uint32_t width;                /* bytes of a physical value; 0 = BYTE_ARRAY; BOOLEAN: 1 */
    enum pqw_order order;
    bool ordered_signed;
    uint8_t max_definition, max_repetition;
    struct parquet_column_options options;
    struct budget *budget;
    struct pq_codecs *codecs;
    size_t dictionary_bytes_max;

    /* chunk */
    bool use_dictionary, fell_back;
    struct pqw_dictionary dictionary;
    struct pq_buf remap;           /* codes of the current batch dictionary's values, UINT32_MAX = not seen */
    struct column *remap_of;
    struct pq_buf out, pages, bounds_bytes;
    struct pqw_bounds chunk_bounds;
    bool long_bounds;              /* the chunk goes without bounds */
    bool unbounded;                /* a page has values but no bounds (NaN alone): the chunk goes without a column index, which would call it all null */
    uint32_t n_pages, dictionary_pages, plain_pages;
    int64_t chunk_values, chunk_nulls, chunk_rows, chunk_string_bytes, uncompressed_bytes;

    /* page */
    struct pq_buf definition, repetition, codes, values, scratch, slices, body;
    struct pqw_bounds bounds;
    int64_t rows, nulls, n_values, string_bytes;
};

/* A run of rows of one column for a leaf. Flat: rows [start, start + n) of `column`, nulls by its validity; nested: levels are given and `column` has
 * just the n values. */
struct pqw_run {
    const struct column *column;
    int64_t start, n, rows;
    const uint8_t *definition, *repetition; /* nested only: n_entries each */
    int64_t n_entries;
};

/* write_values.c */
int pqw_physical_of(const struct dtype *type, struct pqw_leaf *leaf, struct error *err);
/* Dense physical values of the run's valid rows: *ret_values (fixed; the column's own or in leaf->scratch) or leaf->slices (byte arrays). */
int pqw_extract(struct pqw_leaf *leaf, const struct pqw_run *run, size_t *ret_n, const uint8_t **ret_values, struct error *err);

/* write_dictionary.c */
void pqw_dictionary_init(struct pqw_dictionary *d, struct budget *budget);
void pqw_dictionary_clear(struct pqw_dictionary *d);
void pqw_dictionary_release(struct pqw_dictionary *d);
int pqw_intern_fixed(struct pqw_dictionary *d, const uint8_t *values, uint32_t width, size_t n, uint32_t *codes, struct error *err);
int pqw_intern_bytes(struct pqw_dictionary *d, const struct pq_slice *s, uint32_t *ret_code, struct error *err);

/* write_bounds.c */
void pqw_bounds_init(struct pqw_bounds *b, struct budget *budget);
void pqw_bounds_release(struct pqw_bounds *b);
int pqw_bounds_fixed(struct pqw_bounds *b, enum pqw_order order, const uint8_t *values, uint32_t width, size_t n, struct error *err);
int pqw_bounds_bytes(struct pqw_bounds *b, enum pqw_order order, const struct pq_slice *s, struct error *err);
int pqw_bounds_merge(struct pqw_bounds *into, enum pqw_order order, const struct pqw_bounds *from, struct error *err);
int pqw_compare(enum pqw_order order, const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);

/* write_chunk.c */
int pqw_leaf_init(struct pqw_leaf *leaf, struct error *err);
void pqw_leaf_release(struct pqw_leaf *leaf);
int pqw_leaf_append(struct pqw_leaf *leaf, const struct pqw_run *run, struct error *err);
bool pqw_page_full(const struct pqw_leaf *leaf, const struct parquet_writer_options *o);
int pqw_flush_page(struct pqw_leaf *leaf, struct error *err);
/* The dictionary page (header and body) of a finished chunk. */
int pqw_dictionary_page(struct pqw_leaf *leaf, struct pq_buf *out, struct error *err);
void pqw_leaf_next_chunk(struct pqw_leaf *leaf);

/* write_nested.c: the runs of leaf `leaf_in_column` of a nested column. */
int pqw_append_nested(struct pqw_leaf *leaf, const struct field *field, uint32_t leaf_in_column, const struct column *column, int64_t start,
                      int64_t n, struct error *err);

/* write_schema.c */
void pqw_put_schema(struct thrift_writer *w, const struct schema *schema);
uint32_t pqw_count_leaves(const struct dtype *type);

/* write_footer.c: metadata of a chunk that was written at `offset`; the indexes of its pages. */
struct pqw_chunk_place { int64_t offset, dictionary_offset, data_offset, compressed_bytes, uncompressed_bytes; };
void pqw_put_chunk(struct thrift_writer *w, const struct pqw_leaf *leaf, const struct pqw_chunk_place *place);
void pqw_put_column_index(struct thrift_writer *w, const struct pqw_leaf *leaf);
void pqw_put_offset_index(struct thrift_writer *w, const struct pqw_leaf *leaf, int64_t base);

#endif
