/* Sort keys as byte strings whose memcmp() order is the wanted order, every type and direction included.
 *
 * A key is one byte for the null (0 first, 2 last; 1 = a value) and the value big-endian with the sign bit turned; floats in IEEE total order;
 * strings with 0x00 written as 0x00 0xff and ended by 0x00 0x00; lists and structs as their items, so that they are ordered lexicographically. A
 * descending key has its value bytes inverted. Equal keys mean equal values: grouping by nested values goes through these keys as well.
 */
#ifndef EXEC_SORT_KEY_H
#define EXEC_SORT_KEY_H

#include "arrow/column.h"
#include "base/context.h"
#include "exec/vec.h"

struct sort_spec {
    bool descending, nulls_first;
};

/* Encoded keys of some rows: row i is bytes[i * stride ..] when `stride` is not 0, else bytes[offsets[i] .. offsets[i + 1]). */
struct sort_keys {
    struct vec bytes, offsets;
    uint32_t stride;
    struct work_context *work; /* its cancellation stops the encoding; NULL = nothing does */
};

bool sort_key_supported(const struct dtype *t);

/* The stride of keys of these types, 0 when one of them is var-length. */
uint32_t sort_keys_stride(struct dtype *const *types, uint32_t n);

/* Encodes n rows (replaces what `keys` held). Columns may be dictionaries. */
int sort_keys_encode(struct sort_keys *keys, struct budget *budget, struct column *const *columns, const struct sort_spec *specs, uint32_t n_keys,
                     int64_t n, struct error *err);
void sort_keys_release(struct sort_keys *keys, struct budget *budget);

static inline const uint8_t *sort_keys_at(const struct sort_keys *keys, int64_t i, size_t *ret_size)
{
    if (keys->stride) {
        *ret_size = keys->stride;
        return VEC(&keys->bytes, const uint8_t) + (size_t)i * keys->stride;
    }
    const uint64_t *o = VEC(&keys->offsets, const uint64_t) + i;
    *ret_size = o[1] - o[0];
    return VEC(&keys->bytes, const uint8_t) + o[0];
}

/* Order of two encoded keys. */
static inline int sort_key_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    size_t n = a_size < b_size ? a_size : b_size;
    int c = n ? memcmp(a, b, n) : 0;
    return c ? c : (a_size > b_size) - (a_size < b_size);
}

#endif
