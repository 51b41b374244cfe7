/* Hashes of a column's values as the peer's sketches take them (aHash; base/ahash.h). */
#ifndef EXEC_VALUE_HASH_H
#define EXEC_VALUE_HASH_H

#include "arrow/column.h"
#include "base/ahash.h"
#include "exec/vec.h"

bool value_hash_supported(const struct dtype *t);

/* One hash a row into hashes[0..length); 0 for NULLs (and for one value in 2^64). Dictionaries are hashed value by value when that is less work.
 * `scratch` is kept between calls. */
int value_hash_column(const struct ahash *h, struct column *c, uint64_t *hashes, struct vec *scratch, struct budget *budget, struct error *err);

#endif
