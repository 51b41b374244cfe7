/* HyperLogLog++ with precision 14 and sparse precision 25: the value of hll(), hll_merge() and the argument of hll_count().
 *
 * The bytes are those of the crate hyperloglogplus 0.4.1 under bincode 1.3 (functions.md 2.5 e); they are stored in user tables, hence frozen. A
 * sketch starts as a set of codes (at most 131 pending ones, the rest sorted and delta-coded) and turns into 16384 registers when the codes would be
 * longer than those. Hashing is the caller's.
 */
#ifndef FORMAT_SKETCH_HLL_H
#define FORMAT_SKETCH_HLL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct hll {
    struct budget *budget;  /* borrowed, may be NULL */
    struct buffer *pending; /* codes in ascending order (the crate's tmpset); NULL = none yet */
    uint32_t n_pending;
    struct buffer *sparse; /* LEB128 deltas of ascending codes; NULL = none yet */
    size_t sparse_bytes;
    uint32_t n_sparse, last_sparse;
    struct buffer *registers; /* words of five 6-bit registers; NULL while the sketch is sparse */
    uint32_t n_zero;          /* registers that are 0 */
};

void hll_init(struct hll *h, struct budget *budget); /* empty; allocates nothing */
void hll_release(struct hll *h);

/* Counts one value, given its 64-bit hash. */
int hll_add(struct hll *h, uint64_t hash, struct error *err);
/* h becomes the union of both. */
int hll_merge(struct hll *h, const struct hll *other, struct error *err);
/* The estimated number of distinct values, not rounded. Moves pending codes to where they belong. */
int hll_count(struct hll *h, double *ret_count, struct error *err);

int hll_encode(const struct hll *h, struct dynbuf *out, struct error *err);
/* A new sketch from its bytes; anything behind them is ignored, as the peer does. ST_CORRUPT when they are no sketch of this precision. */
int hll_decode(const void *data, size_t size, struct budget *budget, struct hll *ret_hll, struct error *err);

#endif
