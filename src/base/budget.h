/* Memory accounts.
 *
 * A budget is a named ceiling with a parent; the root is `memory_limit`. Charging walks up to the root and
 * either succeeds at every level or changes nothing and fails with ST_EXHAUSTED, naming the level that was full
 * and the configuration key that raises it. Counters are atomic: any thread may charge any budget.
 */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct budget {
    const char *name;      /* "query", "memtable", ... for messages, borrowed, static */
    const char *knob;      /* the configuration key that sets `limit`, borrowed, static */
    struct budget *parent; /* NULL for the root; must outlive this */
    size_t limit;          /* bytes; SIZE_MAX = only the parents limit */
    _Atomic size_t used;   /* bytes charged now */
    _Atomic size_t peak;   /* highest `used` ever */
    void (*on_tight)(bool tight); /* see budget_watch() */
    _Atomic bool tight;
};

void budget_init(struct budget *b, const char *name, const char *knob, size_t limit_bytes, struct budget *parent);

/* Calls on_tight(true) when more than three quarters are in use, and (false) when it is less than half again; from whatever thread. Once, before charging. */
void budget_watch(struct budget *b, void (*on_tight)(bool tight));

/* What an allocation of `bytes` takes from the allocator: its size classes are a quarter of a power of two apart. To be charged in place of `bytes`. */
static inline size_t budget_alloc_size(size_t bytes)
{
    if (bytes <= 128)
        return (bytes + 15) & ~(size_t)15;
    size_t step = (size_t)1 << (61 - __builtin_clzll(bytes - 1));
    return (bytes + step - 1) & ~(step - 1);
}

/* Charges `bytes` to b and all its parents, or fails without effect. A NULL budget is unlimited and not counted. */
int budget_charge(struct budget *b, size_t bytes, struct error *err);

/* Gives `bytes` back at every level. */
void budget_release(struct budget *b, size_t bytes);

/* How many more bytes could be charged now: others may charge the same parents the next moment. SIZE_MAX for NULL. */
size_t budget_headroom(const struct budget *b);

static inline size_t budget_used(const struct budget *b)
{
    return b ? atomic_load_explicit(&b->used, memory_order_relaxed) : 0;
}

#endif
