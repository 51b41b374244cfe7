#include "base/buffer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t padded(size_t size)
{
    return (size + BUFFER_ALIGN - 1) & ~(size_t)(BUFFER_ALIGN - 1);
}

static int allocate(struct budget *budget, size_t size, struct buffer **ret_buffer, struct error *err)
{
    if (size > SIZE_MAX / 2)
        return error_no_memory(err, size);
    size_t capacity = padded(size ? size : 1);
    TRY(budget_charge(budget, budget_alloc_size(capacity), err));
    struct buffer *buf = calloc(1, sizeof *buf);
    uint8_t *data = buf ? aligned_alloc(BUFFER_ALIGN, capacity) : NULL;
    if (!data) {
        free(buf);
        budget_release(budget, budget_alloc_size(capacity));
        return error_no_memory(err, capacity);
    }
    atomic_init(&buf->refs, 1);
    buf->data = data;
    buf->size = size;
    buf->capacity = capacity;
    buf->budget = budget;
    *ret_buffer = buf;
    return ST_OK;
}

int buffer_new(struct budget *budget, size_t size, struct buffer **ret_buffer, struct error *err)
{
    TRY(allocate(budget, size, ret_buffer, err));
    memset((*ret_buffer)->data, 0, (*ret_buffer)->capacity);
    return ST_OK;
}

int buffer_new_uninit(struct budget *budget, size_t size, struct buffer **ret_buffer, struct error *err)
{
    TRY(allocate(budget, size, ret_buffer, err));
    memset((*ret_buffer)->data + size, 0, (*ret_buffer)->capacity - size);
    return ST_OK;
}

int buffer_wrap(const void *data, size_t size, void (*free_foreign)(void *), void *owner, struct buffer **ret_buffer, struct error *err)
{
    struct buffer *buf = calloc(1, sizeof *buf);
    if (!buf)
        return error_no_memory(err, sizeof *buf);
    atomic_init(&buf->refs, 1);
    buf->data = (uint8_t *)data;
    buf->size = buf->capacity = size;
    buf->free_foreign = free_foreign;
    buf->owner = owner;
    *ret_buffer = buf;
    return ST_OK;
}

int buffer_resize(struct buffer *buf, size_t size, struct error *err)
{
    assert(!buf->free_foreign && atomic_load(&buf->refs) == 1);
    size_t capacity = padded(size ? size : 1);
    if (capacity > buf->capacity) {
        TRY(budget_charge(buf->budget, budget_alloc_size(capacity), err)); /* while it moves both are there */
        uint8_t *data = aligned_alloc(BUFFER_ALIGN, capacity);
        if (!data) {
            budget_release(buf->budget, budget_alloc_size(capacity));
            return error_no_memory(err, capacity);
        }
        memcpy(data, buf->data, buf->size < size ? buf->size : size);
        free(buf->data);
        budget_release(buf->budget, budget_alloc_size(buf->capacity));
        buf->data = data;
        buf->capacity = capacity;
    }
    buf->size = size;
    size_t tail = capacity < buf->capacity ? capacity : buf->capacity;
    memset(buf->data + size, 0, tail - size);
    return ST_OK;
}

int buffer_reserve(struct buffer **b, struct budget *budget, size_t bytes, struct error *err)
{
    if (!*b)
        return buffer_new_uninit(budget, bytes, b, err);
    return bytes <= (*b)->size ? ST_OK : buffer_resize(*b, bytes + bytes / 2, err);
}

struct buffer *buffer_ref(struct buffer *buf)
{
    if (buf)
        atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
    return buf;
}

void buffer_unref(struct buffer *buf)
{
    if (!buf || atomic_fetch_sub_explicit(&buf->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (buf->free_foreign) {
        buf->free_foreign(buf->owner);
    } else {
        free(buf->data);
        budget_release(buf->budget, budget_alloc_size(buf->capacity));
    }
    free(buf);
}

void dynbuf_init(struct dynbuf *b, size_t max_bytes)
{
    *b = (struct dynbuf){.max = max_bytes};
}

void dynbuf_release(struct dynbuf *b)
{
    if (!b)
        return;
    free(b->data);
    *b = (struct dynbuf){.max = b->max};
}

void dynbuf_clear(struct dynbuf *b)
{
    b->size = 0;
}

int dynbuf_reserve(struct dynbuf *b, size_t bytes, struct error *err)
{
    if (bytes <= b->capacity - b->size)
        return ST_OK;
    if (bytes > b->max || b->size > b->max - bytes)
        return error_set(err, ST_EXHAUSTED, "a buffer would grow to %zu bytes, over its ceiling of %zu", b->size + bytes, b->max);
    size_t capacity = b->capacity ? b->capacity : 256;
    while (capacity < b->size + bytes)
        capacity *= 2;
    if (capacity > b->max)
        capacity = b->max;
    uint8_t *data = realloc(b->data, capacity);
    if (!data)
        return error_no_memory(err, capacity);
    b->data = data;
    b->capacity = capacity;
    return ST_OK;
}

int dynbuf_append(struct dynbuf *b, const void *data, size_t bytes, struct error *err)
{
    TRY(dynbuf_reserve(b, bytes, err));
    if (bytes)
        memcpy(b->data + b->size, data, bytes);
    b->size += bytes;
    return ST_OK;
}

int dynbuf_append_byte(struct dynbuf *b, uint8_t byte, struct error *err)
{
    return dynbuf_append(b, &byte, 1, err);
}

int dynbuf_append_zeros(struct dynbuf *b, size_t bytes, struct error *err)
{
    TRY(dynbuf_reserve(b, bytes, err));
    if (bytes)
        memset(b->data + b->size, 0, bytes);
    b->size += bytes;
    return ST_OK;
}

int dynbuf_printf(struct dynbuf *b, struct error *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return error_set(err, ST_INTERNAL, "bad format");
    TRY(dynbuf_reserve(b, (size_t)n + 1, err));
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->size, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->size += (size_t)n;
    return ST_OK;
}
