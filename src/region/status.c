/* The status map: Registering, Ready, Deregistering, Failed, and who may pass in each (region-rpc.md 2.4).
 *
 * Departures from the peer: a create or open that fails on a ready region leaves it ready (the peer forgets it although the engine has it), and a
 * region of the durable list that could not be opened stays, so that requests to it are told why.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "region/internal.h"

enum { OPENING_WAIT_SECONDS = 10 };

struct engine *region_engine_by_name(struct region_server *s, const char *name)
{
    for (uint32_t i = 0; i < s->n_engines; i++) {
        if (!strcmp(s->engines[i]->ops->name, name))
            return s->engines[i];
    }
    return NULL;
}

void region_slot_clear_list(struct region_slot *slot)
{
    free(slot->engine_name);
    free(slot->path);
    kv_list_free(slot->options, slot->n_options);
    slot->engine_name = slot->path = NULL;
    slot->options = NULL;
    slot->n_options = 0;
    slot->listed = slot->dropping = slot->found = false;
}

void region_slot_free(struct region_slot *slot)
{
    if (!slot)
        return;
    region_slot_clear_list(slot);
    free(slot->error);
    free(slot);
}

static int no_region(uint64_t id, struct error *err)
{
    return error_set(err, ST_REGION_NOT_FOUND, "Region not found, region id: %" PRIu64 "(%u, %u)", id, (unsigned)(id >> 32), (unsigned)id);
}

static int not_ready(const struct region_slot *slot, struct error *err)
{
    uint64_t id = slot->id;
    if (slot->status == SLOT_FAILED)
        return error_set(err, ST_REGION_NOT_READY, "Region %" PRIu64 "(%u, %u) could not be opened: %s", id, (unsigned)(id >> 32), (unsigned)id,
                         slot->error ? slot->error : "unknown cause");
    return error_set(err, ST_REGION_NOT_READY, "Region not ready, region id: %" PRIu64 "(%u, %u)", id, (unsigned)(id >> 32), (unsigned)id);
}

static int busy(uint64_t id, struct error *err)
{
    return error_set(err, ST_REGION_BUSY, "Region is busy, region id: %" PRIu64 "(%u, %u)", id, (unsigned)(id >> 32), (unsigned)id);
}

static int begin_register(struct region_server *s, struct region_slot *slot, uint64_t id, struct engine *engine, struct error *err)
{
    /* Parts of regions have a number there, which folders do not show: such a region would share one with its namesake. */
    if (id >> 24 & 0xff)
        return error_set(err, ST_INVALID_ARGUMENTS, "region %" PRIu64 "(%u, %u) is the number of a part of a region", id, (unsigned)(id >> 32), (unsigned)id);
    if (slot && slot->status == SLOT_DEREGISTERING)
        return busy(id, err);
    if (slot && slot->engine && slot->engine != engine)
        return error_set(err, ST_INVALID_ARGUMENTS, "region %" PRIu64 " belongs to engine %s", id, slot->engine->ops->name);
    if (!slot) {
        slot = calloc(1, sizeof(*slot));
        if (!slot)
            return error_no_memory(err, sizeof(*slot));
        slot->id = id;
        slot->activity = ++s->slots_made << 32; /* none that a slot of this id had before */
        int rc = u64_map_put(&s->slots, id, slot, err);
        if (rc) {
            free(slot);
            return rc;
        }
    } else if (slot->registering == 0) {
        slot->had_before = true;
        slot->before = slot->status;
    }
    slot->engine = engine;
    slot->registering++;
    if (slot->status != SLOT_READY)
        slot->status = SLOT_REGISTERING;
    return ST_OK;
}

/* Whether a start may still bring the region. A region that nobody knows may live in one that is being opened. */
static bool may_come(const struct region_server *s, const struct region_slot *slot, bool maybe_member)
{
    return slot ? slot->listed && slot->status == SLOT_REGISTERING : maybe_member && s->opening;
}

/* A region of the list that is still being opened after a start is worth a wait: clients need not know that the node was away. s->lock held. */
static struct region_slot *wait_opened(struct region_server *s, uint64_t id, bool maybe_member)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += OPENING_WAIT_SECONDS;
    struct region_slot *slot = u64_map_get(&s->slots, id);
    while (may_come(s, slot, maybe_member) && !atomic_load(&s->stopping)) {
        if (pthread_cond_timedwait(&s->opened, &s->lock, &until) != 0)
            break;
        slot = u64_map_get(&s->slots, id);
    }
    return slot;
}

void region_wait_opened(struct region_server *s, uint64_t id)
{
    pthread_mutex_lock(&s->lock);
    wait_opened(s, id, false);
    pthread_mutex_unlock(&s->lock);
}

int region_begin(struct region_server *s, uint64_t id, enum region_class c, struct engine *engine, struct engine **ret_engine, struct error *err)
{
    int rc = ST_OK;
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = wait_opened(s, id, c != CLASS_REGISTER);
    if (c == CLASS_REGISTER) {
        rc = begin_register(s, slot, id, engine, err);
    } else if (c == CLASS_DEREGISTER) {
        engine = NULL;
        if (slot && (slot->status == SLOT_REGISTERING || slot->registering > 0)) {
            rc = busy(id, err);
        } else if (slot && slot->engine && slot->status != SLOT_DEREGISTERING) {
            slot->before = slot->status;
            slot->had_before = true;
            slot->status = SLOT_DEREGISTERING;
            engine = slot->engine;
        }
    } else if (!slot || slot->status == SLOT_DEREGISTERING) {
        rc = no_region(id, err);
    } else if (slot->status != SLOT_READY) {
        rc = not_ready(slot, err);
    } else {
        engine = slot->engine;
    }
    pthread_mutex_unlock(&s->lock);
    if (rc == ST_OK)
        *ret_engine = engine;
    return rc;
}

void region_end(struct region_server *s, uint64_t id, enum region_class c, bool success)
{
    struct region_slot *gone = NULL;
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, id);
    if (slot && c == CLASS_REGISTER) {
        slot->registering--;
        if (success) {
            slot->status = SLOT_READY;
            free(slot->error);
            slot->error = NULL;
        } else if (slot->registering == 0 && slot->status == SLOT_REGISTERING) {
            if (slot->had_before && slot->before != SLOT_REGISTERING)
                slot->status = slot->before;
            else
                gone = u64_map_remove(&s->slots, id);
        }
    } else if (slot && c == CLASS_DEREGISTER) {
        if (success) {
            s->list_version += slot->listed;
            gone = u64_map_remove(&s->slots, id);
        } else {
            slot->status = slot->before;
        }
    }
    pthread_cond_broadcast(&s->opened);
    pthread_mutex_unlock(&s->lock);
    region_slot_free(gone);
}

int region_register_members(struct region_server *s, struct engine *e, uint64_t id, struct error *err)
{
    uint64_t *ids;
    size_t n;
    if (!e->ops->members)
        return ST_OK;
    TRY(e->ops->members(e, id, &ids, &n, err));
    int rc = ST_OK;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n && rc == ST_OK; i++) {
        struct region_slot *slot = u64_map_get(&s->slots, ids[i]);
        if (slot)
            continue;
        slot = calloc(1, sizeof(*slot));
        rc = slot ? u64_map_put(&s->slots, ids[i], slot, err) : error_no_memory(err, sizeof(*slot));
        if (rc)
            free(slot);
        else
            *slot = (struct region_slot){.id = ids[i], .status = SLOT_READY, .engine = e};
    }
    pthread_mutex_unlock(&s->lock);
    free(ids);
    return rc;
}

void region_forget_members(struct region_server *s, struct engine *e, const uint64_t *ids, size_t n)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++) {
        struct region_slot *slot = u64_map_get(&s->slots, ids[i]);
        if (slot && slot->engine == e && slot->status == SLOT_READY && !slot->registering)
            region_slot_free(u64_map_remove(&s->slots, ids[i]));
    }
    pthread_mutex_unlock(&s->lock);
}

int region_server_each(struct region_server *s, int (*each)(void *ctx, const struct region_info *info, struct error *err), void *ctx,
                       struct error *err)
{
    static const char *const names[] = {"opening", "ready", "closing", "failed"};
    pthread_mutex_lock(&s->lock);
    size_t n = 0, room = s->slots.count, pos = 0;
    uint64_t *ids = malloc((room + 1) * sizeof(*ids));
    void *value;
    while (ids && n < room && u64_map_next(&s->slots, &pos, &ids[n], &value))
        n++;
    pthread_mutex_unlock(&s->lock);
    if (!ids)
        return error_no_memory(err, room * sizeof(*ids));
    int rc = ST_OK;
    for (size_t i = 0; i < n && rc == ST_OK; i++) {
        struct region_info info = {.region_id = ids[i]};
        struct engine *engine = NULL;
        char text[sizeof(((struct error *)0)->msg)], path[512] = "";
        pthread_mutex_lock(&s->lock);
        struct region_slot *slot = u64_map_get(&s->slots, ids[i]);
        if (slot) {
            engine = slot->engine;
            info.engine = engine ? engine->ops->name : "";
            info.state = names[slot->status];
            info.found = slot->found;
            snprintf(path, sizeof(path), "%s", slot->path ? slot->path : "");
            info.path = path;
            if (slot->error) {
                strncpy(text, slot->error, sizeof(text) - 1);
                text[sizeof(text) - 1] = 0;
                info.error = text;
            }
        }
        pthread_mutex_unlock(&s->lock);
        if (!slot)
            continue;
        info.has_stat = engine && engine->ops->stat && engine->ops->stat(engine, ids[i], &info.stat, NULL) == ST_OK;
        rc = each(ctx, &info, err);
    }
    free(ids);
    return rc;
}
