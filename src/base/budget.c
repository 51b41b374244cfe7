#include "base/budget.h"

#include <assert.h>

void budget_init(struct budget *b, const char *name, const char *knob, size_t limit_bytes, struct budget *parent)
{
    b->name = name;
    b->knob = knob;
    b->parent = parent;
    b->limit = limit_bytes;
    atomic_init(&b->used, 0);
    atomic_init(&b->peak, 0);
    b->on_tight = NULL;
    atomic_init(&b->tight, false);
}

void budget_watch(struct budget *b, void (*on_tight)(bool tight))
{
    b->on_tight = on_tight;
}

/* Adds to one level; false when its ceiling is in the way. */
static bool take(struct budget *b, size_t bytes)
{
    size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    do {
        if (bytes > b->limit || used > b->limit - bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + bytes, memory_order_relaxed, memory_order_relaxed));
    size_t now = used + bytes, peak = atomic_load_explicit(&b->peak, memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak_explicit(&b->peak, &peak, now, memory_order_relaxed, memory_order_relaxed))
        ;
    if (b->on_tight && now > b->limit / 4 * 3 && !atomic_exchange_explicit(&b->tight, true, memory_order_relaxed))
        b->on_tight(true);
    return true;
}

int budget_charge(struct budget *b, size_t bytes, struct error *err)
{
    for (struct budget *level = b; level; level = level->parent) {
        if (take(level, bytes))
            continue;
        for (struct budget *undo = b; undo != level; undo = undo->parent)
            atomic_fetch_sub_explicit(&undo->used, bytes, memory_order_relaxed);
        return error_set(err, ST_EXHAUSTED, "memory of '%s' is used up: %zu of %zu bytes in use, %zu more wanted; raise %s", level->name,
                         budget_used(level), level->limit, bytes, level->knob ? level->knob : "memory_limit");
    }
    return ST_OK;
}

void budget_release(struct budget *b, size_t bytes)
{
    for (; b; b = b->parent) {
        size_t before = atomic_fetch_sub_explicit(&b->used, bytes, memory_order_relaxed);
        assert(before >= bytes);
        if (b->on_tight && before - bytes < b->limit / 2 && atomic_load_explicit(&b->tight, memory_order_relaxed) &&
            atomic_exchange_explicit(&b->tight, false, memory_order_relaxed))
            b->on_tight(false);
    }
}

size_t budget_headroom(const struct budget *b)
{
    size_t least = SIZE_MAX;
    for (; b; b = b->parent) {
        size_t used = budget_used(b), room = used < b->limit ? b->limit - used : 0;
        least = room < least ? room : least;
    }
    return least;
}
