/* Parts of a memtable; private to memtable*.c. */
#ifndef ENGINE_MITO_MEMTABLE_PART_H
#define ENGINE_MITO_MEMTABLE_PART_H

#include <pthread.h>

#include "engine/mito/memtable.h"
#include "engine/mito/series.h"

struct mem_run { uint32_t series, first; }; /* the rows of one series, up to the first one of the next run */

struct mem_part { /* immutable */
    _Atomic int refs;
    int64_t n_rows;
    struct buffer *runs;      /* NULL: rows as they were written. Else struct mem_run: rows by (key, time, newest first), a run a series and one more at the end */
    uint32_t n_runs;
    bool unique;              /* with runs: no two rows share (key, time), and there are no deletes */
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
    struct memtable_stats stats; /* beside the lock: heartbeats read both of every region */
    struct region_metadata *metadata;
    struct budget *budget;
    struct series_table *series;
    struct mem_part **parts;  /* the first may be sorted, then it holds everything that was written before the others */
    uint32_t n_parts, parts_capacity;
    uint32_t pinned;          /* so many parts are being settled: they stay as they are */
    bool has_deletes;
    pthread_mutex_t settle_lock; /* taken before `lock`; held by who settles */
};

void mem_part_unref(struct mem_part *p);
struct mem_part *mem_part_new(uint32_t n_columns); /* empty; NULL when memory is out */
size_t mem_part_bytes(const struct mem_part *p);

static inline uint64_t mem_part_sequence(const struct mem_part *p, int64_t i)
{
    return p->sequences ? ((const uint64_t *)(const void *)p->sequences->data)[i] : p->first_sequence + (uint64_t)i * p->sequence_step;
}

static inline uint8_t mem_part_op(const struct mem_part *p, int64_t i)
{
    return p->ops ? p->ops->data[i] : p->op;
}

#endif
