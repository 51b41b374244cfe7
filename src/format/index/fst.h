/* Ordered maps from byte strings to u64, as finite state transducers in the format of the crate fst, version 3 (mito-on-disk.md 5.3). Pure.
 *
 * A node is known by the offset of its last byte and is read backwards from there; children come before parents. A key's value is the sum of the
 * outputs on its path.
 */
#ifndef FORMAT_INDEX_FST_H
#define FORMAT_INDEX_FST_H

#include <stdbool.h>

#include "base/buffer.h"

/* ---- reading ---- */

struct fst {
    const uint8_t *data;
    size_t size;
    uint64_t n_keys, root;
};

/* Checks the frame and the checksum; borrows `data`. */
int fst_open(const uint8_t *data, size_t size, struct fst *ret_fst, struct error *err);

struct fst_bound {
    const void *data; /* NULL: no bound */
    size_t size;
    bool inclusive;
};

/* Calls each() for the keys between the bounds, in their order, with their values; its failure ends the walk. */
int fst_walk(const struct fst *f, const struct fst_bound *low, const struct fst_bound *high,
             int (*each)(void *ctx, const uint8_t *key, size_t size, uint64_t value, struct error *err), void *ctx, struct error *err);

/* ---- building ---- */

struct fst_builder;

int fst_builder_new(struct budget *budget, struct fst_builder **ret_builder, struct error *err);
void fst_builder_free(struct fst_builder *b);
/* Keys come in strictly ascending order. */
int fst_builder_add(struct fst_builder *b, const uint8_t *key, size_t size, uint64_t value, struct error *err);
/* Appends the map to `out`. */
int fst_builder_finish(struct fst_builder *b, struct dynbuf *out, struct error *err);

#endif
