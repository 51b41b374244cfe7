/* Who may write a region: its states and the ways between them (region-rpc.md 9.4, heartbeat.md 7).
 *
 *             create, catch-up, lease Leader                       alter, truncate, enter staging
 *   Follower ───────────────────────────────► Writable ◄───────────────────────────────────────► Altering, Truncating, EnteringStaging
 *      ▲  ▲                                   │   ▲  ▲ │
 *      │  └── lease ran out, instruction ─────┘   │  │ └──► Staging (apply: back with other files; lease Leader: back as it was)
 *      └───── Downgrading ◄── instruction ────────┘  └────── lease Leader
 *
 * A transient state ends by itself. A role that is given meanwhile is remembered in `resume` and takes effect then; that keeps the plain change,
 * which a lease makes, from ever waiting. What a transient state still writes is stopped by the manifest's guard when the lease is gone.
 */
#include <stdlib.h>

#include "base/log.h"
#include "engine/mito/mito.h"

static bool transient(enum region_state state)
{
    return state == REGION_ALTERING || state == REGION_TRUNCATING || state == REGION_ENTERING_STAGING;
}

static enum region_role role_of(enum region_state state)
{
    switch (state) {
    case REGION_FOLLOWER:
    case REGION_CLOSED:
        return ROLE_FOLLOWER;
    case REGION_DOWNGRADING:
        return ROLE_DOWNGRADING_LEADER;
    case REGION_STAGING:
        return ROLE_STAGING_LEADER;
    default:
        return ROLE_LEADER;
    }
}

enum region_role mito_region_role(const struct mito_region *r)
{
    return role_of(transient(r->state) ? r->resume : r->state);
}

int mito_enter(struct mito_region *r, enum region_state state, struct error *err)
{
    pthread_mutex_lock(&r->lock);
    int st = r->state == REGION_WRITABLE ? ST_OK : mito_region_wrong_state(r, "writable", err);
    if (st == ST_OK) {
        r->state = state;
        r->resume = REGION_WRITABLE;
        while (r->inflight)
            pthread_cond_wait(&r->changed, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return st;
}

void mito_leave(struct mito_region *r, enum region_state state)
{
    pthread_mutex_lock(&r->lock);
    r->state = r->resume == REGION_WRITABLE ? state : r->resume;
    if (r->state != REGION_STAGING)
        mito_drop_staging(r);
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

void mito_drop_staging(struct mito_region *r)
{
    free(r->staging_expr);
    r->staging_expr = NULL;
    r->partition_version = partition_expr_version(r->metadata->partition_expr);
}

/* The state that a plain change makes of another. */
static enum region_state after(enum region_state from, enum region_role role)
{
    bool settled = from == REGION_FOLLOWER || from == REGION_WRITABLE || from == REGION_DOWNGRADING || from == REGION_STAGING;
    if (!settled)
        return from;
    if (role == ROLE_LEADER)
        return REGION_WRITABLE;
    if (role == ROLE_FOLLOWER)
        return REGION_FOLLOWER;
    return role == ROLE_DOWNGRADING_LEADER && from != REGION_FOLLOWER ? REGION_DOWNGRADING : from;
}

int mito_region_set_role(struct mito_engine *e, uint64_t region_id, enum region_role role, struct error *err)
{
    struct mito_region *r;
    TRY(mito_region_get(e, region_id, &r, err));
    pthread_mutex_lock(&r->lock);
    if (r->overtaken)
        role = ROLE_FOLLOWER;
    if (transient(r->state)) {
        r->resume = after(r->resume, role);
    } else if (!(r->catching_up && role == ROLE_LEADER)) { /* else rows that it takes now would go as it reloads: it leads once it has caught up */
        bool staged = r->state == REGION_STAGING;
        r->state = after(r->state, role);
        if (staged && r->state != REGION_STAGING)
            mito_drop_staging(r);
    }
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    mito_region_unref(r);
    return ST_OK;
}

void mito_note_overtaken(struct mito_region *r)
{
    r->overtaken = true;
    if (transient(r->state)) {
        r->resume = REGION_FOLLOWER;
    } else {
        if (r->state == REGION_STAGING)
            mito_drop_staging(r);
        r->state = after(r->state, ROLE_FOLLOWER);
    }
    pthread_cond_broadcast(&r->changed);
}

/* Waits until the region is settled, changes it, and waits for the writes that the old state let in. r->lock held. */
static int change_settled(struct mito_region *r, enum region_role role, struct error *err)
{
    while (transient(r->state))
        pthread_cond_wait(&r->changed, &r->lock);
    if (r->state == REGION_CLOSED || r->state == REGION_DROPPING)
        return error_set(err, ST_REGION_NOT_FOUND, "region %llu is being closed", (unsigned long long)r->id);
    if (role == ROLE_LEADER && r->state != REGION_WRITABLE)
        return mito_region_wrong_state(r, "writable", err);
    if (role == ROLE_STAGING_LEADER && r->state != REGION_STAGING)
        return mito_region_wrong_state(r, "staging", err);
    enum region_state next = after(r->state, role);
    if (r->state == REGION_STAGING && next != REGION_STAGING)
        mito_drop_staging(r);
    r->state = next;
    pthread_cond_broadcast(&r->changed);
    while (next != REGION_WRITABLE && next != REGION_STAGING && r->inflight)
        pthread_cond_wait(&r->changed, &r->lock);
    return ST_OK;
}

int mito_region_set_role_gracefully(struct mito_engine *e, uint64_t region_id, enum region_role role, struct region_last_entries *ret_entries,
                                    struct error *err)
{
    struct mito_region *r;
    TRY(mito_region_get(e, region_id, &r, err));
    /* A follower must not be in the middle of a flush, an alter or the commit of a compaction. */
    if (role == ROLE_FOLLOWER)
        pthread_mutex_lock(&r->job_lock);
    pthread_mutex_lock(&r->lock);
    int st = change_settled(r, role, err);
    if (st == ST_OK && ret_entries)
        *ret_entries = (struct region_last_entries){.has_last = true, .last_entry_id = r->last_entry_id};
    pthread_mutex_unlock(&r->lock);
    if (role == ROLE_FOLLOWER)
        pthread_mutex_unlock(&r->job_lock);
    mito_region_unref(r);
    return st;
}

/* ---- catching up ---- */

/* Replaces what the region holds by what storage says, with an empty memtable. job_lock held, no write can come. */
static int reload(struct mito_region *r, struct error *err)
{
    struct mito_engine *e = r->engine;
    struct manifest_manager *manager;
    struct memtable *fresh = NULL;
    struct added_files files = {0};
    TRY(manifest_open(e->options.store, r->dir, e->options.checkpoint_distance, &manager, err));
    const struct manifest *m = manifest_state(manager);
    char *expr = mito_route_expr(r, m->metadata);
    int st = memtable_new(m->metadata, &e->write_budget, &fresh, err);
    if (st == ST_OK)
        st = mito_files_prepare_all(r, m, &files, err);
    pthread_mutex_lock(&r->lock);
    if (st == ST_OK) {
        mito_files_switch(r, &files);
        manifest_free(r->manifest);
        r->manifest = manager;
        r->overtaken = false;
        mito_adopt(r);
        (void)mito_take_expr(r, expr, NULL); /* without memory: at the next open */
        expr = NULL;
        for (uint32_t i = 0; i < r->n_frozen; i++)
            memtable_unref(r->frozen[i]);
        r->n_frozen = 0;
        memtable_unref(r->active);
        r->active = fresh;
    }
    pthread_mutex_unlock(&r->lock);
    free(expr);
    if (st != ST_OK) {
        manifest_free(manager);
        if (fresh)
            memtable_unref(fresh);
    }
    return st;
}

static bool has_rows(struct mito_region *r)
{
    struct memtable_stats stats;
    pthread_mutex_lock(&r->lock);
    memtable_stats(r->active, &stats);
    bool has = stats.rows > 0 || r->n_frozen > 0;
    pthread_mutex_unlock(&r->lock);
    return has;
}

/* The local log has nothing of what another node has written, and what it has of this region is older: its entries count as done, and those that
 * follow begin anew, for the ones in between may be gone with their segments. */
static int pass_over_log(struct mito_region *r, struct error *err)
{
    const struct mito_options *o = &r->engine->options;
    if (!r->wal_enabled)
        return ST_OK;
    uint64_t logged = mito_last_logged_entry(r->engine, r->id);
    pthread_mutex_lock(&r->lock);
    if (logged > r->last_entry_id)
        r->last_entry_id = logged;
    uint64_t done = r->last_entry_id;
    pthread_mutex_unlock(&r->lock);
    peer_log_obsolete(o->peer_log, r->id, done);
    return logged ? wal_begin_anew(o->wal, r->id, err) : ST_OK;
}

static int catch_up(struct mito_region *r, struct error *err)
{
    pthread_mutex_lock(&r->lock);
    bool lead = role_of(r->state) == ROLE_LEADER, behind = r->overtaken;
    while (!lead && r->inflight) /* writes that an earlier role let in: they end in the memtable */
        pthread_cond_wait(&r->changed, &r->lock);
    pthread_mutex_unlock(&r->lock);
    if (lead)
        return ST_OK;
    bool rows = has_rows(r);
    behind |= rows;
    if (rows)
        log_warn("mito", "region %llu catches up with storage: rows that this node had not flushed are given up", (unsigned long long)r->id);
    if (!behind)
        TRY(manifest_is_behind(r->manifest, &behind, err));
    if (behind)
        TRY(reload(r, err));
    TRY(pass_over_log(r, err)); /* even so: a candidate is opened without its log */
    pthread_mutex_lock(&r->lock);
    int st = r->state == REGION_FOLLOWER || r->state == REGION_DOWNGRADING ? ST_OK : mito_region_wrong_state(r, "a follower", err);
    if (st == ST_OK)
        r->state = REGION_WRITABLE;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return st;
}

void mito_follow_overtaker(struct mito_region *r)
{
    struct error err;
    pthread_mutex_lock(&r->job_lock);
    pthread_mutex_lock(&r->lock);
    bool due = r->overtaken && r->state == REGION_FOLLOWER;
    pthread_mutex_unlock(&r->lock);
    due = due && !has_rows(r);
    int st = due ? reload(r, &err) : ST_OK;
    if (due && st == ST_OK)
        st = pass_over_log(r, &err);
    pthread_mutex_unlock(&r->job_lock);
    if (st != ST_OK)
        log_warn("mito", "region %llu cannot follow the node that has written to it: %s; it is tried again", (unsigned long long)r->id, err.msg);
}

int mito_region_catchup(struct mito_engine *e, const struct region_catchup_request *request, struct error *err)
{
    struct mito_region *r;
    TRY(mito_region_get(e, request->region_id, &r, err));
    pthread_mutex_lock(&r->lock);
    bool mine = !r->catching_up;
    r->catching_up = true;
    pthread_mutex_unlock(&r->lock);
    int st = mine ? ST_OK : error_set(err, ST_REGION_BUSY, "region %llu is catching up already", (unsigned long long)r->id);
    if (mine) {
        pthread_mutex_lock(&r->job_lock);
        st = catch_up(r, err);
        pthread_mutex_unlock(&r->job_lock);
        pthread_mutex_lock(&r->lock);
        r->catching_up = false;
        pthread_mutex_unlock(&r->lock);
    }
    mito_region_unref(r);
    return st;
}

int mito_region_sync(struct mito_engine *e, const struct region_sync_request *request, struct error *err)
{
    struct mito_region *r;
    if (request->from_region || request->is_metric)
        return error_set(err, ST_INTERNAL, "region %llu is of the mito engine: it follows the versions of one manifest",
                         (unsigned long long)request->region_id);
    TRY(mito_region_get(e, request->region_id, &r, err));
    pthread_mutex_lock(&r->job_lock);
    pthread_mutex_lock(&r->lock);
    int st = r->state == REGION_FOLLOWER ? ST_OK : mito_region_wrong_state(r, "a follower", err);
    bool behind = r->manifest_version < request->manifest_version;
    pthread_mutex_unlock(&r->lock);
    if (st == ST_OK && behind)
        st = reload(r, err);
    pthread_mutex_unlock(&r->job_lock);
    mito_region_unref(r);
    return st;
}
