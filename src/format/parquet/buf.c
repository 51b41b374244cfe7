/* Growth of the charged byte buffer; see buf.h. */
#include "format/parquet/buf.h"

int pq_buf_grow(struct pq_buf *b, size_t bytes, struct error *err)
{
    if (bytes > SIZE_MAX / 4 || b->size > SIZE_MAX / 4)
        return error_no_memory(err, bytes);
    size_t want = b->size + bytes, capacity = b->capacity + b->capacity / 2;
    if (capacity < want)
        capacity = want < 64 ? 64 : want;
    capacity = budget_alloc_size(capacity + PQ_BUF_SLACK) - PQ_BUF_SLACK;
    TRY(budget_charge(b->budget, capacity, err)); /* while it moves both are there */
    /* malloc and copy: what lies behind `size` need not move, and an empty buffer needs no copy at all. */
    uint8_t *data = malloc(capacity + PQ_BUF_SLACK);
    if (!data) {
        budget_release(b->budget, capacity);
        return error_no_memory(err, capacity);
    }
    if (b->size)
        memcpy(data, b->data, b->size);
    memset(data + capacity, 0, PQ_BUF_SLACK);
    free(b->data);
    budget_release(b->budget, b->capacity);
    b->data = data;
    b->capacity = capacity;
    return ST_OK;
}
