/* What a unit of work (a query, a flush) carries with it: its memory account, its cancellation flag and its deadline. */
#ifndef BASE_CONTEXT_H
#define BASE_CONTEXT_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "base/budget.h"
#include "base/error.h"

struct spill_space;

struct work_context {
    struct budget *budget;
    struct spill_space *spill; /* where operators may put what memory has no room for (exec/spill.h); NULL = nowhere */
    _Atomic bool cancelled;  /* set by anybody; read once a batch */
    int64_t deadline_ns;     /* CLOCK_MONOTONIC; 0 = none */
};

/* ST_CANCELLED or ST_DEADLINE_EXCEEDED when the work should stop. Cheap: call it once a batch or page. NULL never stops. */
static inline int work_check(struct work_context *w, struct error *err)
{
    if (!w)
        return ST_OK;
    if (atomic_load_explicit(&w->cancelled, memory_order_relaxed))
        return error_set(err, ST_CANCELLED, "cancelled by the client");
    if (w->deadline_ns) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        if ((int64_t)t.tv_sec * 1000000000 + t.tv_nsec > w->deadline_ns)
            return error_set(err, ST_DEADLINE_EXCEEDED, "the deadline has passed");
    }
    return ST_OK;
}

#endif
