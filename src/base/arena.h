/* A bump allocator that lives as long as a request, a query or a flush.
 *
 * Blocks double from 4 KiB to 1 MiB, each charged to the arena's budget; nothing is freed before arena_release().
 * Not thread-safe.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/budget.h"
#include "base/error.h"

struct arena_block;

struct arena {
    struct budget *budget; /* borrowed, may be NULL */
    struct arena_block *blocks;
    char *next, *end;
    size_t block_bytes; /* size of the next block */
    size_t total_bytes; /* charged so far */
};

void arena_init(struct arena *a, struct budget *budget);
void arena_release(struct arena *a);

/* `bytes` of zeroed memory aligned to 16, or NULL when the budget or the system has none (then `err` is filled). */
void *arena_alloc(struct arena *a, size_t bytes, struct error *err);

/* Room for n elements, with an overflow check. */
void *arena_array(struct arena *a, size_t n, size_t element_bytes, struct error *err);

/* A copy with a terminating zero behind it. */
char *arena_copy(struct arena *a, const void *data, size_t bytes, struct error *err);

#define ARENA_NEW(a, type, err) ((type *)arena_alloc((a), sizeof(type), (err)))
#define ARENA_ARRAY(a, n, type, err) ((type *)arena_array((a), (n), sizeof(type), (err)))

#endif
