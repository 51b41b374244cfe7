/* Reading one column chunk: its pages, levels and values, down to the buffers of an Arrow leaf. Shared by chunk.c, page_values.c and assemble.c. */
#ifndef FORMAT_PARQUET_CHUNK_H
#define FORMAT_PARQUET_CHUNK_H

#include "format/parquet/internal.h"

/* A chunk's output so far. A slot is an element of the innermost list (or a row); see struct pq_shape. */
struct pq_leaf_out {
    int64_t slots, nulls, entries;
    struct buffer *values;     /* fixed width, dictionary codes, or offsets */
    struct buffer *bytes;      /* of var-length values */
    size_t n_bytes;
    struct buffer *validity;   /* made at the first null */
    struct pq_buf definition, repetition; /* one byte a level entry, kept for nested columns */
    struct column *dictionary; /* set when `values` are codes */
};

struct pq_chunk_reader {
    const struct parquet_file *file;
    const struct parquet_source *source;
    const struct parquet_leaf *leaf;
    const struct parquet_chunk *chunk;
    const struct pq_shape *shape;
    struct dtype *type;
    struct budget *budget;
    struct pq_codecs *codecs;
    enum pq_conversion how;
    uint32_t physical_width, width; /* of a value decoded, and in the output (bool: 1 while decoded) */
    bool keep_levels, as_codes;
    int64_t n_rows;                 /* of the row group */
    const struct parquet_selection *selection;
    uint32_t range;                 /* first selection range that may still matter */
    int64_t row;                    /* flat: next row; repeated: rows begun so far */

    struct pq_buf bytes, page, levels, dense, picked, scratch, lengths, strings, slices, codes, valid;
    struct pq_buf dictionary_page, dictionary_values, dictionary_slices, dictionary_strings;
    bool has_dictionary;
    uint32_t n_dictionary;

    /* the page being read */
    struct pq_page_header header;
    const uint8_t *data;            /* its values, decompressed */
    size_t size;
    uint8_t *definition, *repetition; /* NULL when there are none */
    size_t n_entries, n_values;     /* with nulls, without */
    const uint8_t *values;          /* decoded, `width` bytes each; like the two below, from the first one picked on */
    const struct pq_slice *strings_of_page;
    const uint32_t *codes_of_page;

    struct pq_leaf_out out;
};

/* Which of a page's values to decode: [first, first + n), and of these, when `rows` is given, those at rows[0 .. n_rows) (ascending, from `first`
 * on). */
struct pq_pick {
    size_t first, n;
    const uint32_t *rows;
    size_t n_rows;
};

static inline size_t pq_pick_count(const struct pq_pick *p)
{
    return p->rows ? p->n_rows : p->n;
}

/* page_values.c: decodes the picked values into values, strings_of_page or codes_of_page. `target`, when given, has room for them, and is where
 * `values` will point if that saves a copy. */
int pq_decode_page_values(struct pq_chunk_reader *r, const struct pq_pick *pick, uint8_t *target, struct error *err);
int pq_read_dictionary(struct pq_chunk_reader *r, struct error *err);

/* output.c: appends level entries [first, last) of the page; `value` is the number of values before `first`, advanced. */
int pq_out_append(struct pq_chunk_reader *r, size_t first, size_t last, size_t *value, struct error *err);
/* Room for n more slots; gives where the first goes (fixed width only). */
int pq_out_reserve(struct pq_chunk_reader *r, size_t n, uint8_t **ret_target, struct error *err);
int pq_out_finish(struct pq_chunk_reader *r, struct column **ret_column, struct error *err);
void pq_out_release(struct pq_leaf_out *out);

/* chunk.c: reads a whole chunk into r->out. The caller has set the fields down to `selection`, and releases. */
int pq_chunk_read(struct pq_chunk_reader *r, uint32_t row_group, uint32_t leaf, struct error *err);
void pq_chunk_release(struct pq_chunk_reader *r);

#endif
