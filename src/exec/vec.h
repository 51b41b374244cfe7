/* Growable zero-filled arrays that are charged to a budget: the memory of hash tables, accumulators and sort buffers. */
#ifndef EXEC_VEC_H
#define EXEC_VEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/error.h"

struct vec {
    void *data;
    size_t capacity; /* bytes, all of them charged */
};

/* Room for n elements of `width` bytes, at least doubling; bytes never used before are zero. */
int vec_reserve(struct vec *v, struct budget *budget, size_t n, size_t width, struct error *err);
void vec_release(struct vec *v, struct budget *budget);

#define VEC(v, type) ((type *)(v)->data)

/* A byte string that grows in place, e.g. the best value of a group so far. */
struct byte_slot {
    uint8_t *data;
    uint32_t size, capacity;
};

int byte_slot_set(struct byte_slot *s, struct budget *budget, const uint8_t *data, size_t size, struct error *err);
void byte_slot_release(struct byte_slot *s, struct budget *budget);

#endif
