/* aHash 0.8.12 in its portable form, bit for bit (functions.md 2.5 a): sketches and distinct states hold its values, so all servers of a table must
 * agree on them. Frozen. Not for anything of our own: base/hash.h is faster.
 *
 * The peer's official builds hash integers by a shorter way ("specialised") than their general hasher would; ahash_u64() is that way.
 */
#ifndef BASE_AHASH_H
#define BASE_AHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ahash {
    uint64_t key[4];
};

/* The hasher with_seeds(s0, s1, s2, s3). */
struct ahash ahash_seeded(uint64_t s0, uint64_t s1, uint64_t s2, uint64_t s3);

/* An integer of up to 64 bits; narrower ones and signed ones as their own bits, extended by zeros. */
uint64_t ahash_u64(const struct ahash *h, uint64_t value);
uint64_t ahash_u128(const struct ahash *h, uint64_t low, uint64_t high);
uint64_t ahash_bool(const struct ahash *h, bool value);
uint64_t ahash_text(const struct ahash *h, const void *text, size_t size);
uint64_t ahash_bytes(const struct ahash *h, const void *bytes, size_t size);

#endif
