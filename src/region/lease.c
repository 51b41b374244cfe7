/* Leases: who may write until when (see region/member.h).
 *
 * Invariant: a change of a region is acknowledged only if one lease covered it from admission to acknowledgement: `until_ns` lies ahead both times,
 * and `term`, which changes with every loss of leadership, is the same. A late keeper thread can delay the change of roles, never the end of a lease.
 *
 * A grant counts from when its heartbeat was sent, so delays on the way shorten it. One that answers a heartbeat older than the region's last
 * instruction (or than the region's opening) changes no role: metasrv had decided otherwise when it gave the instruction. Neither does it lengthen a
 * lease then, so that what is ignored costs at most the heartbeat that is already on its way.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "region/internal.h"
#include "region/member.h"

/* The slot of a region, or of the region that it is a part of (group bits cleared). s->lock held. */
static struct region_slot *slot_of(struct region_server *s, uint64_t id)
{
    struct region_slot *slot = u64_map_get(&s->slots, id);
    return slot ? slot : u64_map_get(&s->slots, id & ~((uint64_t)0xff << 24));
}

/* ---- what engines ask and tell ---- */

static bool may_commit(void *ctx, uint64_t id)
{
    struct region_server *s = ctx;
    int64_t now_ns = clock_monotonic_ns();
    pthread_mutex_lock(&s->lock);
    const struct region_slot *slot = slot_of(s, id);
    bool fresh = slot && slot->status == SLOT_REGISTERING && !slot->had_before;
    bool may = fresh || (slot && (!slot->has_lease || (slot->role != ROLE_FOLLOWER && slot->until_ns > now_ns)));
    pthread_mutex_unlock(&s->lock);
    return may;
}

static void changed(void *ctx, uint64_t id)
{
    struct region_server *s = ctx;
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = slot_of(s, id);
    if (slot)
        slot->activity++;
    pthread_mutex_unlock(&s->lock);
}

static int database_options(void *ctx, uint64_t id, struct kv **ret_options, uint32_t *ret_n, struct error *err)
{
    struct region_server *s = ctx;
    *ret_options = NULL;
    *ret_n = 0;
    pthread_rwlock_rdlock(&s->records_lock);
    int rc = s->records.database_options ? s->records.database_options(s->records.ctx, id, ret_options, ret_n, err) : ST_OK;
    pthread_rwlock_unlock(&s->records_lock);
    return rc;
}

static int partition_expr(void *ctx, uint64_t id, char **ret_expr, struct error *err)
{
    struct region_server *s = ctx;
    *ret_expr = NULL;
    pthread_rwlock_rdlock(&s->records_lock);
    int rc = s->records.partition_expr ? s->records.partition_expr(s->records.ctx, id, ret_expr, err) : ST_OK;
    pthread_rwlock_unlock(&s->records_lock);
    return rc;
}

void region_server_set_records(struct region_server *s, const struct region_records *records)
{
    pthread_rwlock_wrlock(&s->records_lock);
    s->records = records ? *records : (struct region_records){0};
    pthread_rwlock_unlock(&s->records_lock);
}

void region_lease_attach(struct region_server *s, struct engine *engine)
{
    struct engine_host host = {
        .may_commit = may_commit, .changed = changed, .database_options = database_options, .partition_expr = partition_expr, .ctx = s};
    if (s->options.leased && engine->ops->attach)
        engine->ops->attach(engine, &host);
}

/* ---- a region's lease ---- */

/* s->lock held. */
static void set_role_of(struct region_server *s, struct region_slot *slot, enum region_role role)
{
    if (slot->role != role && role != ROLE_LEADER)
        slot->term = ++s->last_term;
    slot->activity += slot->role != role;
    slot->expired = slot->expired && role == ROLE_FOLLOWER;
    slot->role = role;
}

/* What a region gets before its first grant: never more than the node itself has. s->lock held. */
static int64_t first_until(const struct region_server *s, int64_t now_ns)
{
    int64_t until_ns = now_ns + s->first_lease_ns;
    return s->node_until_ns && s->node_until_ns < until_ns ? s->node_until_ns : until_ns;
}

/* What the engine says of a region's role, if it has one of its own. A region that has just been opened follows until it is told otherwise: a grant
 * to the one that had its id before may have reached it. role_lock held. */
static bool first_role(struct engine *e, uint64_t id, bool follows, enum region_role *ret_role)
{
    struct region_stat stat;
    if (!e->ops->set_role || e->ops->stat(e, id, &stat, NULL) != ST_OK)
        return false;
    if (follows && stat.role != ROLE_FOLLOWER && (e->ops->set_role(e, id, ROLE_FOLLOWER, NULL) || e->ops->stat(e, id, &stat, NULL)))
        return false;
    *ret_role = stat.role;
    return true;
}

void region_lease_arm(struct region_server *s, uint64_t id, struct engine *engine, bool opened)
{
    enum region_role role = ROLE_FOLLOWER;
    if (!s->options.leased)
        return;
    pthread_mutex_lock(&s->role_lock); /* from the look at the role to its note here: no lease may change it in between */
    pthread_mutex_lock(&s->lock);
    const struct region_slot *before = u64_map_get(&s->slots, id);
    bool known = before && before->has_lease;
    pthread_mutex_unlock(&s->lock);
    bool has = first_role(engine, id, opened && !known, &role);
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, id);
    if (slot) {
        slot->has_lease = has;
        slot->role_since_ns = clock_monotonic_ns(); /* known before, too: it was asked to be here anew */
        slot->activity++;
        if (has && known) {
            set_role_of(s, slot, role);
        } else if (has) {
            slot->role = role;
            slot->term = ++s->last_term;
            slot->until_ns = s->first_lease_ns ? first_until(s, slot->role_since_ns) : 0;
        }
    }
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&s->role_lock);
}

static uint64_t owner_of(struct engine *engine, uint64_t id)
{
    return engine->ops->owner ? engine->ops->owner(engine, id) : id;
}

static int no_lease(const struct region_slot *slot, int64_t now_ns, struct error *err)
{
    uint64_t id = slot->id;
    if (!slot->until_ns)
        return error_set(err, ST_REGION_NOT_READY, "Region %" PRIu64 "(%u, %u) has no lease yet", id, (unsigned)(id >> 32), (unsigned)id);
    return error_set(err, ST_REGION_NOT_READY, "Region %" PRIu64 "(%u, %u): the lease from metasrv ran out %" PRId64 " ms ago", id,
                     (unsigned)(id >> 32), (unsigned)id, (now_ns - slot->until_ns) / 1000000);
}

/* `term` 0: admission. */
static int check(struct region_server *s, struct engine *engine, uint64_t id, uint64_t term, uint64_t *ret_term, struct error *err)
{
    if (!s->options.leased)
        return ST_OK;
    uint64_t owner = owner_of(engine, id);
    int64_t now_ns = clock_monotonic_ns();
    int rc = ST_OK;
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, owner);
    if (!slot) {
        rc = error_set(err, ST_REGION_NOT_FOUND, "Region not found, region id: %" PRIu64 "(%u, %u)", id, (unsigned)(id >> 32), (unsigned)id);
    } else if (slot->has_lease && slot->until_ns <= now_ns) {
        rc = no_lease(slot, now_ns, err);
    } else if (slot->has_lease && term && slot->term != term) {
        rc = error_set(err, ST_REGION_NOT_READY,
                       "Region %" PRIu64 "(%u, %u) was taken from this node while the request ran: whether it took effect is unknown", id,
                       (unsigned)(id >> 32), (unsigned)id);
    } else {
        slot->activity++;
        if (ret_term)
            *ret_term = slot->term;
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int region_lease_enter(struct region_server *s, struct engine *engine, uint64_t id, uint64_t *ret_term, struct error *err)
{
    *ret_term = 0;
    return check(s, engine, id, 0, ret_term, err);
}

int region_lease_confirm(struct region_server *s, struct engine *engine, uint64_t id, uint64_t term, struct error *err)
{
    return check(s, engine, id, term, NULL, err);
}

void region_lease_note_instruction(struct region_server *s, uint64_t id)
{
    pthread_mutex_lock(&s->role_lock);
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, id);
    if (slot)
        slot->role_since_ns = clock_monotonic_ns();
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&s->role_lock);
}

static void refresh(struct region_server *s, struct engine *engine, uint64_t id, bool by_instruction)
{
    struct region_stat stat;
    pthread_mutex_lock(&s->role_lock);
    int rc = engine->ops->stat(engine, id, &stat, NULL);
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, id);
    if (slot && rc == ST_OK && slot->has_lease) {
        if (by_instruction && slot->role != stat.role)
            slot->role_since_ns = clock_monotonic_ns();
        set_role_of(s, slot, stat.role);
    }
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&s->role_lock);
}

void region_lease_refresh(struct region_server *s, struct engine *engine, uint64_t id)
{
    refresh(s, engine, id, false);
}

void region_lease_take_instructed(struct region_server *s, struct engine *engine, uint64_t id)
{
    refresh(s, engine, id, true);
}

/* ---- all leases ---- */

void region_server_start_leases(struct region_server *s, int64_t first_ns)
{
    size_t pos = 0;
    uint64_t id;
    void *value;
    int64_t now_ns = clock_monotonic_ns();
    pthread_mutex_lock(&s->lock);
    s->first_lease_ns = first_ns;
    while (u64_map_next(&s->slots, &pos, &id, &value)) {
        struct region_slot *slot = value;
        if (slot->has_lease && !slot->until_ns)
            slot->until_ns = first_until(s, now_ns);
    }
    pthread_mutex_unlock(&s->lock);
}

struct role_change {
    uint64_t id;
    struct engine *engine;
    enum region_role role;
};

struct changes {
    struct role_change *list;
    size_t n, room;
};

/* A change that finds no memory is made at the next grant. */
static void add_change(struct changes *c, struct region_slot *slot, enum region_role role)
{
    if (c->n == c->room) {
        size_t room = c->room ? c->room * 2 : 64;
        struct role_change *more = realloc(c->list, room * sizeof(*more));
        if (!more)
            return;
        c->list = more;
        c->room = room;
    }
    c->list[c->n++] = (struct role_change){slot->id, slot->engine, role};
}

/* How many regions are led from here now that were not. role_lock held. */
static unsigned apply_changes(struct region_server *s, struct changes *c)
{
    unsigned promoted = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct role_change *change = &c->list[i];
        struct region_stat stat;
        int rc = change->engine->ops->set_role(change->engine, change->id, change->role, NULL);
        if (rc == ST_OK)
            rc = change->engine->ops->stat(change->engine, change->id, &stat, NULL);
        pthread_mutex_lock(&s->lock);
        struct region_slot *slot = u64_map_get(&s->slots, change->id);
        if (slot && rc == ST_OK) {
            promoted += stat.role == ROLE_LEADER && slot->role != ROLE_LEADER;
            set_role_of(s, slot, stat.role);
        }
        pthread_mutex_unlock(&s->lock);
    }
    free(c->list);
    return promoted;
}

enum { GRANTS_AT_ONCE = 64 };

/* Of metasrv to a heartbeat. */
struct answer {
    int64_t sent_ns, until_ns, now_ns;
};

/* `slot` NULL: not here. The server's lock held. */
static void grant_one(struct region_server *s, struct region_slot *slot, const struct region_grant *g, const struct answer *a,
                      struct changes *changes, struct region_grant_counts *counts)
{
    counts->followers += g->role == ROLE_FOLLOWER;
    counts->leaders += g->role != ROLE_FOLLOWER;
    if (!slot || !slot->has_lease || slot->status != SLOT_READY) {
        counts->unknown++;
        return;
    }
    bool changes_role =
        g->role != slot->role && g->role != ROLE_STAGING_LEADER && !(g->role == ROLE_DOWNGRADING_LEADER && slot->role == ROLE_FOLLOWER);
    if (changes_role && a->sent_ns < slot->role_since_ns) {
        counts->stale++;
        return;
    }
    if (slot->until_ns <= a->now_ns) /* the last lease ended before this one came: what was admitted under it is not covered by one */
        slot->term = ++s->last_term;
    if (a->until_ns > slot->until_ns)
        slot->until_ns = a->until_ns;
    if (a->sent_ns >= slot->granted_ns) {
        slot->granted = g->role;
        slot->granted_ns = a->sent_ns;
    }
    if (g->role != ROLE_FOLLOWER && slot->role == ROLE_FOLLOWER && slot->until_ns <= a->now_ns)
        return; /* over already: nobody leads by it */
    /* Demoted by a lease, as by the end of one: it has rows that nobody else has. */
    if (g->role == ROLE_FOLLOWER && slot->role != ROLE_FOLLOWER)
        slot->expired = true;
    if (changes_role)
        add_change(changes, slot, g->role);
}

void region_server_grant(struct region_server *s, const struct region_grant *grants, size_t n, int64_t sent_ns, int64_t until_ns,
                         struct region_grant_counts *ret_counts)
{
    struct region_grant_counts counts = {0};
    struct changes changes = {0};
    pthread_mutex_lock(&s->role_lock);
    pthread_mutex_lock(&s->lock);
    struct answer answer = {sent_ns, until_ns, clock_monotonic_ns()};
    if (until_ns > s->node_until_ns)
        s->node_until_ns = until_ns;
    for (size_t at = 0, some; at < n; at += some) {
        /* Two rounds: the first one's look-ups depend on nothing, so that their waits for memory overlap. */
        struct region_slot *slots[GRANTS_AT_ONCE];
        some = n - at < GRANTS_AT_ONCE ? n - at : GRANTS_AT_ONCE;
        for (size_t i = 0; i < some; i++) {
            slots[i] = u64_map_get(&s->slots, grants[at + i].region_id);
            __builtin_prefetch(slots[i], 1);
            __builtin_prefetch(slots[i] ? &slots[i]->role_since_ns : NULL, 1);
        }
        for (size_t i = 0; i < some; i++)
            grant_one(s, slots[i], &grants[at + i], &answer, &changes, &counts);
    }
    pthread_mutex_unlock(&s->lock);
    counts.promoted = apply_changes(s, &changes);
    pthread_mutex_unlock(&s->role_lock);
    *ret_counts = counts;
}

/* s->lock held. */
static bool is_closeable(const struct region_slot *slot, int64_t sent_ns)
{
    return slot && slot->engine && sent_ns >= slot->role_since_ns;
}

bool region_lease_is_closeable(struct region_server *s, uint64_t id, int64_t sent_ns)
{
    pthread_mutex_lock(&s->lock);
    bool is = is_closeable(u64_map_get(&s->slots, id), sent_ns);
    pthread_mutex_unlock(&s->lock);
    return is;
}

bool region_server_follow_closeable(struct region_server *s, uint64_t region_id, int64_t sent_ns)
{
    struct changes changes = {0};
    pthread_mutex_lock(&s->role_lock);
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, region_id);
    bool is = is_closeable(slot, sent_ns);
    if (is && slot->has_lease && slot->role != ROLE_FOLLOWER)
        add_change(&changes, slot, ROLE_FOLLOWER);
    pthread_mutex_unlock(&s->lock);
    apply_changes(s, &changes);
    pthread_mutex_unlock(&s->role_lock);
    return is;
}

/* ---- the end of a lease ---- */

/* s->lock held. */
static bool is_over(const struct region_slot *slot, int64_t now_ns)
{
    return slot->has_lease && slot->until_ns && slot->role != ROLE_FOLLOWER && slot->until_ns <= now_ns;
}

/* s->lock held. */
static void end_lease(struct region_server *s, struct region_slot *slot, struct changes *changes)
{
    slot->term = ++s->last_term;
    slot->expired = true;
    add_change(changes, slot, ROLE_FOLLOWER);
}

void region_lease_settle(struct region_server *s, uint64_t id)
{
    struct changes changes = {0};
    pthread_mutex_lock(&s->role_lock);
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, id);
    if (slot && is_over(slot, clock_monotonic_ns())) {
        end_lease(s, slot, &changes);
        s->ended_early++;
    }
    pthread_mutex_unlock(&s->lock);
    apply_changes(s, &changes);
    pthread_mutex_unlock(&s->role_lock);
}

unsigned region_server_expire(struct region_server *s, int64_t now_ns, int64_t *ret_next_ns)
{
    struct changes changes = {0};
    size_t pos = 0;
    uint64_t id;
    void *value;
    *ret_next_ns = INT64_MAX;
    pthread_mutex_lock(&s->role_lock);
    pthread_mutex_lock(&s->lock);
    while (u64_map_next(&s->slots, &pos, &id, &value)) {
        struct region_slot *slot = value;
        if (is_over(slot, now_ns))
            end_lease(s, slot, &changes);
        else if (slot->has_lease && slot->until_ns && slot->role != ROLE_FOLLOWER && slot->until_ns < *ret_next_ns)
            *ret_next_ns = slot->until_ns;
    }
    unsigned n = (unsigned)changes.n + s->ended_early;
    s->ended_early = 0;
    pthread_mutex_unlock(&s->lock);
    apply_changes(s, &changes);
    pthread_mutex_unlock(&s->role_lock);
    return n;
}

/* ---- after the end of a lease ---- */

/* s->lock held. */
static bool recalled(const struct region_slot *slot)
{
    bool led = slot->granted == ROLE_LEADER || slot->granted == ROLE_DOWNGRADING_LEADER;
    return led && slot->granted_ns && slot->granted_ns >= slot->role_since_ns && slot->until_ns > clock_monotonic_ns();
}

bool region_server_expired(struct region_server *s, uint64_t region_id)
{
    pthread_mutex_lock(&s->lock);
    const struct region_slot *slot = u64_map_get(&s->slots, region_id);
    bool expired = slot && slot->has_lease && slot->role == ROLE_FOLLOWER && slot->expired;
    pthread_mutex_unlock(&s->lock);
    return expired;
}

int region_server_revive(struct region_server *s, uint64_t region_id, struct error *err)
{
    pthread_mutex_lock(&s->role_lock);
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, region_id);
    struct engine *engine = slot && slot->has_lease && slot->expired && recalled(slot) ? slot->engine : NULL;
    pthread_mutex_unlock(&s->lock);
    int rc = engine ? ST_OK
                    : error_set(err, ST_REGION_NOT_READY,
                                "the lease of region %" PRIu64 " has run out and metasrv has not granted it again: its last rows cannot be flushed",
                                region_id);
    /* By way of the leader: a follower cannot downgrade. */
    if (rc == ST_OK)
        rc = engine->ops->set_role(engine, region_id, ROLE_LEADER, err);
    if (rc == ST_OK)
        rc = engine->ops->set_role(engine, region_id, ROLE_DOWNGRADING_LEADER, err);
    pthread_mutex_lock(&s->lock);
    slot = u64_map_get(&s->slots, region_id);
    if (slot && rc == ST_OK)
        set_role_of(s, slot, ROLE_DOWNGRADING_LEADER);
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&s->role_lock);
    return rc;
}
