/* A growable byte buffer whose capacity is charged to a budget: scratch memory of the reader and pages in the making of the writer.
 *
 * 32 bytes behind `capacity` always exist, so that bit unpackers may load whole words past the end.
 */
#ifndef FORMAT_PARQUET_BUF_H
#define FORMAT_PARQUET_BUF_H

#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/error.h"

enum { PQ_BUF_SLACK = 32 };

struct pq_buf {
    uint8_t *data;
    size_t size, capacity;
    struct budget *budget;
};

static inline void pq_buf_init(struct pq_buf *b, struct budget *budget)
{
    *b = (struct pq_buf){.budget = budget};
}

static inline void pq_buf_release(struct pq_buf *b)
{
    free(b->data);
    budget_release(b->budget, b->capacity);
    pq_buf_init(b, b->budget);
}

int pq_buf_grow(struct pq_buf *b, size_t bytes, struct error *err);

/* Room for `bytes` more behind `size`. */
static inline int pq_buf_reserve(struct pq_buf *b, size_t bytes, struct error *err)
{
    return b->data && bytes <= b->capacity - b->size ? ST_OK : pq_buf_grow(b, bytes, err);
}

static inline int pq_buf_append(struct pq_buf *b, const void *data, size_t bytes, struct error *err)
{
    TRY(pq_buf_reserve(b, bytes, err));
    if (bytes)
        memcpy(b->data + b->size, data, bytes);
    b->size += bytes;
    return ST_OK;
}

/* Makes the size `bytes`; what was there is lost. */
static inline int pq_buf_fit(struct pq_buf *b, size_t bytes, struct error *err)
{
    b->size = 0;
    TRY(pq_buf_reserve(b, bytes, err));
    b->size = bytes;
    return ST_OK;
}

#endif
