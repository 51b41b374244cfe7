/* Growable arrays charged to a budget. A failed growth leaves the array as it was. */
#include "exec/vec.h"

#include <stdlib.h>
#include <string.h>

int vec_reserve(struct vec *v, struct budget *budget, size_t n, size_t width, struct error *err)
{
    if (n <= v->capacity / width)
        return ST_OK;
    if (n > SIZE_MAX / 4 / width)
        return error_no_memory(err, SIZE_MAX);
    size_t want = n * width, capacity = v->capacity * 2 > want ? v->capacity * 2 : want;
    if (capacity < 64)
        capacity = 64;
    capacity = budget_alloc_size(capacity);
    TRY(budget_charge(budget, capacity, err)); /* while it moves both are there */
    uint8_t *data = realloc(v->data, capacity);
    if (!data) {
        budget_release(budget, capacity);
        return error_no_memory(err, capacity);
    }
    budget_release(budget, v->capacity);
    memset(data + v->capacity, 0, capacity - v->capacity);
    v->data = data;
    v->capacity = capacity;
    return ST_OK;
}

void vec_release(struct vec *v, struct budget *budget)
{
    free(v->data);
    budget_release(budget, v->capacity);
    *v = (struct vec){0};
}

int byte_slot_set(struct byte_slot *s, struct budget *budget, const uint8_t *data, size_t size, struct error *err)
{
    if (size > INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "a value is longer than 2 GiB");
    if (size > s->capacity) {
        size_t capacity = size + size / 2 + 8;
        TRY(budget_charge(budget, capacity - s->capacity, err));
        uint8_t *grown = realloc(s->data, capacity);
        if (!grown) {
            budget_release(budget, capacity - s->capacity);
            return error_no_memory(err, capacity);
        }
        s->data = grown;
        s->capacity = (uint32_t)capacity;
    }
    if (size)
        memcpy(s->data, data, size);
    s->size = (uint32_t)size;
    return ST_OK;
}

void byte_slot_release(struct byte_slot *s, struct budget *budget)
{
    free(s->data);
    budget_release(budget, s->capacity);
    *s = (struct byte_slot){0};
}
