#include "format/raftlog/index.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum { PENDING_BYTES_MAX = 256 << 20, MARKER_BEGIN = 0, MARKER_MIDDLE = 1, MARKER_END = 2 }; /* markers frozen: the peer's */
static const uint8_t MARKER_KEY[] = {'_', '_', 1};

void raftlog_index_init(struct raftlog_index *x, struct budget *budget)
{
    *x = (struct raftlog_index){.budget = budget};
    u64_map_init(&x->groups);
    u64_map_init(&x->pending);
}

static void free_refs(struct raftlog_index *x, struct raftlog_group *g)
{
    budget_release(x->budget, g->capacity * sizeof *g->refs);
    free(g->refs);
    g->refs = NULL;
    g->head = g->n = g->capacity = 0;
}

static void drop_pending(struct raftlog_index *x, uint64_t id)
{
    struct dynbuf *p = u64_map_remove(&x->pending, id);
    if (p)
        dynbuf_release(p);
    free(p);
}

void raftlog_index_finish(struct raftlog_index *x)
{
    size_t pos = 0;
    uint64_t id;
    void *value;
    while (u64_map_next(&x->pending, &pos, &id, &value)) {
        dynbuf_release(value);
        free(value);
    }
    u64_map_release(&x->pending);
    u64_map_init(&x->pending);
}

void raftlog_index_release(struct raftlog_index *x)
{
    size_t pos = 0;
    uint64_t id;
    void *value;
    raftlog_index_finish(x);
    while (u64_map_next(&x->groups, &pos, &id, &value)) {
        free_refs(x, value);
        free(value);
    }
    u64_map_release(&x->groups);
}

void raftlog_index_damage(struct raftlog_index *x)
{
    x->damages++;
}

struct raftlog_group *raftlog_index_find(const struct raftlog_index *x, uint64_t id)
{
    return u64_map_get(&x->groups, id);
}

void raftlog_group_compact(struct raftlog_index *x, struct raftlog_group *g, uint64_t index)
{
    if (!g->n || index <= g->first)
        return;
    uint64_t gone = index - g->first;
    if (gone >= g->n) {
        free_refs(x, g);
        g->has_hole = false;
        return;
    }
    g->head += gone;
    g->n -= gone;
    g->first = index;
}

/* ---- applying ---- */

static int group_of(struct raftlog_index *x, uint64_t id, struct raftlog_group **ret_group, struct error *err)
{
    struct raftlog_group *g = u64_map_get(&x->groups, id);
    if (!g) {
        if (!(g = calloc(1, sizeof *g)))
            return error_no_memory(err, sizeof *g);
        g->id = id;
        int st = u64_map_put(&x->groups, id, g, err);
        if (st != ST_OK) {
            free(g);
            return st;
        }
    }
    *ret_group = g;
    return ST_OK;
}

static int reserve(struct raftlog_index *x, struct raftlog_group *g, uint64_t more, struct error *err)
{
    if (g->head && g->head >= g->n) {
        memmove(g->refs, g->refs + g->head, g->n * sizeof *g->refs);
        g->head = 0;
    }
    size_t need = g->head + g->n + more;
    if (need <= g->capacity)
        return ST_OK;
    size_t capacity = need < 2 * g->capacity ? 2 * g->capacity : need;
    TRY(budget_charge(x->budget, (capacity - g->capacity) * sizeof *g->refs, err));
    struct raftlog_ref *grown = realloc(g->refs, capacity * sizeof *grown);
    if (!grown) {
        budget_release(x->budget, (capacity - g->capacity) * sizeof *g->refs);
        return error_no_memory(err, capacity * sizeof *grown);
    }
    g->refs = grown;
    g->capacity = capacity;
    return ST_OK;
}

/* Makes the group end just before `index`, so that entries from there on can follow. */
static void cut(struct raftlog_index *x, struct raftlog_group *g, uint64_t index, bool rewrite_queue)
{
    if (!g->n)
        return;
    uint64_t end = g->first + g->n;
    if (index > end && !rewrite_queue && g->in_append_queue)
        g->has_hole = true;
    if (index < g->first || index > end)
        free_refs(x, g);
    else
        g->n = index - g->first;
}

static int apply_entries(struct raftlog_index *x, bool rewrite_queue, uint64_t place, const struct raftlog_item *item, const uint8_t *end,
                         uint64_t *position, struct error *err)
{
    struct raftlog_group *g;
    const uint8_t *at = item->tails;
    if (!item->n)
        return ST_OK;
    TRY(group_of(x, item->group, &g, err));
    cut(x, g, item->index, rewrite_queue);
    TRY(reserve(x, g, item->n, err));
    if (!g->n)
        g->first = item->index;
    for (uint64_t i = 0; i < item->n; i++) {
        uint64_t tail = 0;
        (void)raftlog_entry_next(&at, end, &tail);
        g->refs[g->head + g->n++] = (struct raftlog_ref){place, (uint32_t)*position, (uint32_t)(tail - *position)};
        *position = tail;
    }
    g->last = item->index + item->n - 1;
    g->epoch = x->damages;
    g->in_append_queue = !rewrite_queue;
    return ST_OK;
}

static int apply_items(struct raftlog_index *x, bool rewrite_queue, uint64_t place, const uint8_t *footer, size_t size, struct error *err)
{
    struct raftlog_items items = raftlog_items_of(footer, size);
    struct raftlog_item item;
    uint64_t position = 0;
    while (raftlog_item_next(&items, &item)) {
        if (item.kind == RAFTLOG_ENTRIES) {
            TRY(apply_entries(x, rewrite_queue, place, &item, items.end, &position, err));
            continue;
        }
        struct raftlog_group *g = raftlog_index_find(x, item.group);
        if (g && item.kind == RAFTLOG_COMPACT) {
            raftlog_group_compact(x, g, item.index);
        } else if (g && item.kind == RAFTLOG_CLEAN) {
            free_refs(x, g);
            free(u64_map_remove(&x->groups, item.group));
        } /* keys hold nothing of a region */
    }
    return ST_OK;
}

/* The marker of an atomic group, -1 = none. */
static int marker_of(const uint8_t *footer, size_t size, uint64_t *ret_id)
{
    struct raftlog_items items = raftlog_items_of(footer, size);
    struct raftlog_item item;
    while (raftlog_item_next(&items, &item))
        if (item.kind == RAFTLOG_PUT && item.key_size == sizeof MARKER_KEY && memcmp(item.key, MARKER_KEY, sizeof MARKER_KEY) == 0 &&
            item.value_size == 1 && *item.value <= MARKER_END) {
            *ret_id = item.group;
            return *item.value;
        }
    return -1;
}

static int keep_pending(struct raftlog_index *x, uint64_t id, uint64_t place, const uint8_t *footer, size_t size, struct error *err)
{
    struct dynbuf *p = u64_map_get(&x->pending, id);
    if (!p) {
        if (!(p = malloc(sizeof *p)))
            return error_no_memory(err, sizeof *p);
        dynbuf_init(p, PENDING_BYTES_MAX);
        int st = u64_map_put(&x->pending, id, p, err);
        if (st != ST_OK) {
            free(p);
            return st;
        }
    }
    uint64_t head[2] = {place, size};
    TRY(dynbuf_append(p, head, sizeof head, err));
    return dynbuf_append(p, footer, size, err);
}

static int apply_pending(struct raftlog_index *x, uint64_t id, struct error *err)
{
    const struct dynbuf *p = u64_map_get(&x->pending, id);
    int st = ST_OK;
    for (size_t at = 0; p && st == ST_OK && at < p->size;) {
        uint64_t place = load_le64(p->data + at), size = load_le64(p->data + at + 8);
        st = apply_items(x, true, place, p->data + at + 16, (size_t)size, err);
        at += 16 + size;
    }
    drop_pending(x, id);
    return st;
}

int raftlog_index_apply(struct raftlog_index *x, bool rewrite_queue, uint64_t place, const uint8_t *footer, size_t size, struct error *err)
{
    uint64_t id = 0;
    int marker = rewrite_queue ? marker_of(footer, size, &id) : -1; /* in the append queue a marker has no effect */
    if (marker < 0)
        return apply_items(x, rewrite_queue, place, footer, size, err);
    if (marker == MARKER_BEGIN)
        drop_pending(x, id);
    else if (!u64_map_get(&x->pending, id))
        return ST_OK; /* its beginning is lost */
    TRY(keep_pending(x, id, place, footer, size, err));
    return marker == MARKER_END ? apply_pending(x, id, err) : ST_OK;
}
