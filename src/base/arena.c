#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Under AddressSanitizer what nobody was given stays poisoned, with a guard behind every piece: a bump allocator's overruns are not seen otherwise.
 */
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_GUARDED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_GUARDED
#endif
#endif
#ifdef ARENA_GUARDED
#include <sanitizer/asan_interface.h>
enum { GUARD_BYTES = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
enum { GUARD_BYTES = 0 };
#endif

struct arena_block {
    struct arena_block *next;
    size_t bytes;
    _Alignas(16) char data[];
};

enum { FIRST_BLOCK = 4096, LAST_BLOCK = 1 << 20 };

void arena_init(struct arena *a, struct budget *budget)
{
    *a = (struct arena){.budget = budget, .block_bytes = FIRST_BLOCK};
}

void arena_release(struct arena *a)
{
    if (!a)
        return;
    for (struct arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    budget_release(a->budget, a->total_bytes);
    arena_init(a, a->budget);
}

static int grow(struct arena *a, size_t bytes, struct error *err)
{
    size_t want = sizeof(struct arena_block) + bytes;
    if (want < a->block_bytes)
        want = a->block_bytes;
    TRY(budget_charge(a->budget, want, err));
    struct arena_block *b = malloc(want);
    if (!b) {
        budget_release(a->budget, want);
        return error_no_memory(err, want);
    }
    b->next = a->blocks;
    b->bytes = want;
    a->blocks = b;
    a->total_bytes += want;
    a->next = b->data;
    a->end = (char *)b + want;
    ASAN_POISON_MEMORY_REGION(a->next, (size_t)(a->end - a->next));
    if (a->block_bytes < LAST_BLOCK)
        a->block_bytes *= 2;
    return ST_OK;
}

void *arena_alloc(struct arena *a, size_t bytes, struct error *err)
{
    if (bytes > SIZE_MAX / 2) {
        error_no_memory(err, bytes);
        return NULL;
    }
    size_t want = ((bytes + 15) & ~(size_t)15) + GUARD_BYTES;
    if ((!a->next || (size_t)(a->end - a->next) < want) && grow(a, want, err) != ST_OK)
        return NULL;
    void *p = a->next;
    a->next += want;
    ASAN_UNPOISON_MEMORY_REGION(p, bytes);
    return memset(p, 0, bytes);
}

void *arena_array(struct arena *a, size_t n, size_t element_bytes, struct error *err)
{
    if (element_bytes && n > SIZE_MAX / 4 / element_bytes) {
        error_no_memory(err, SIZE_MAX);
        return NULL;
    }
    return arena_alloc(a, n * element_bytes, err);
}

char *arena_copy(struct arena *a, const void *data, size_t bytes, struct error *err)
{
    char *p = arena_alloc(a, bytes + 1, err);
    if (p && bytes)
        memcpy(p, data, bytes);
    return p;
}
