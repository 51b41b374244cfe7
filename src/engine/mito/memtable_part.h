/* Parts of a memtable; private to memtable*.c. */
#ifndef ENGINE_MITO_MEMTABLE_PART_H
#define ENGINE_MITO_MEMTABLE_PART_H

#include <pthread.h>

#include "engine/mito/memtable.h"
#include "engine/mito/series.h"

struct mem_part { /* immutable */
    _Atomic int refs;
    int64_t n_rows;
    struct buffer *series;    /* uint32 */
    struct buffer *times;     /* int64 */
    struct buffer *sequences; /* uint64; NULL: first_sequence + i * sequence_step */
    uint64_t first_sequence, sequence_step;
    struct buffer *ops;       /* uint8; NULL: all `op` */
    uint8_t op;
    int64_t time_min, time_max;
    uint64_t max_sequence;
    uint32_t n_columns;
    struct column *columns[]; /* by index into the metadata; NULL = null in every row (and for tags and the time index) */
};

struct memtable {
    _Atomic int refs;
    pthread_mutex_t lock;     /* guards all below */
    struct region_metadata *metadata;
    struct budget *budget;
    struct series_table *series;
    struct mem_part **parts;
    uint32_t n_parts, parts_capacity;
    struct memtable_stats stats;
    bool has_deletes;
};

void mem_part_unref(struct mem_part *p);

static inline uint64_t mem_part_sequence(const struct mem_part *p, int64_t i)
{
    return p->sequences ? ((const uint64_t *)(const void *)p->sequences->data)[i] : p->first_sequence + (uint64_t)i * p->sequence_step;
}

static inline uint8_t mem_part_op(const struct mem_part *p, int64_t i)
{
    return p->ops ? p->ops->data[i] : p->op;
}

#endif
