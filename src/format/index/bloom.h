/* Bloom filters over the rows of a file, one for each so many rows (mito-on-disk.md 5.4). Pure.
 *
 *   filter 0 | filter 1 | ... | protobuf description | u32 its size
 *
 * Neither the number of hashes nor the way in which they are taken is stored: both follow from a filter's size and its number of elements by the
 * arithmetic of bloom_plan(). An element is known by its 64-bit hash only: everything that is set or asked for follows from it.
 */
#ifndef FORMAT_INDEX_BLOOM_H
#define FORMAT_INDEX_BLOOM_H

#include <stdbool.h>

#include "format/puffin/puffin.h"

uint64_t bloom_hash(const void *element, size_t size);

/* How a filter of so many bytes, made for so many elements, is used. */
struct bloom_plan {
    uint32_t n_blocks; /* of 64 bytes */
    uint32_t n_bits;   /* set one by one */
    uint32_t round;    /* set four words at a time with this density in 64ths; 0 = none */
};

uint64_t bloom_bytes(uint64_t n_elements, double false_positive_rate);
struct bloom_plan bloom_plan(uint64_t n_bytes, uint64_t n_elements);
void bloom_insert(const struct bloom_plan *p, uint8_t *filter, uint64_t hash);
bool bloom_contains(const struct bloom_plan *p, const uint8_t *filter, uint64_t hash);

/* ---- reading a blob ---- */

struct bloom_filter {
    uint64_t offset, n_bytes, n_elements;
};

struct bloom_index {
    uint64_t rows_per_segment, n_rows, filters_bytes;
    uint32_t n_segments, n_filters;
    const uint32_t *filter_of; /* per segment */
    const struct bloom_filter *filters;
};

/* Reads the description; it lives in the arena. */
int bloom_index_open(const struct puffin_source *blob, struct arena *a, struct bloom_index *ret_index, struct error *err);

/* Elements that a segment must hold all. */
struct bloom_probe {
    const uint64_t *hashes;
    uint32_t n;
};

/* Whether a segment may hold what one of the n probes asks for. `scratch` (NULL at first) is kept between calls and unreferenced by the caller. */
int bloom_index_test(const struct puffin_source *blob, const struct bloom_index *x, uint32_t segment, const struct bloom_probe *probes, uint32_t n,
                     struct budget *budget, struct buffer **scratch, bool *ret_any, struct error *err);

/* ---- writing a blob ---- */

struct bloom_builder {
    struct budget *budget;
    double false_positive_rate;
    uint64_t rows_per_segment, n_rows;
    uint64_t *set; /* hashes of the open segment's elements, open addressing, 0 = free */
    size_t n_set, room_set;
    bool has_zero; /* the hash 0 is in it, too */
    struct buffer *filters, *places, *segments;
    uint64_t filters_bytes;
    uint32_t n_filters, n_segments;
};

void bloom_builder_init(struct bloom_builder *b, struct budget *budget, uint64_t rows_per_segment, double false_positive_rate);
void bloom_builder_release(struct bloom_builder *b);
/* Adds an element of the next row (or of any other row of its segment). */
int bloom_builder_add(struct bloom_builder *b, uint64_t hash, struct error *err);
/* Rows left in the open segment, at least 1. */
static inline uint64_t bloom_builder_room(const struct bloom_builder *b)
{
    return b->rows_per_segment - b->n_rows % b->rows_per_segment;
}
/* n rows are through, at most bloom_builder_room(). */
int bloom_builder_advance(struct bloom_builder *b, uint64_t n, struct error *err);
/* Appends the blob. */
int bloom_builder_finish(struct bloom_builder *b, struct dynbuf *out, struct error *err);

#endif
