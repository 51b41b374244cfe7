/* Replaying the logs when a region opens.
 *
 * Records are gathered into batches and each batch is decoded by several threads at once: the rows carry their sequences, so that it does not matter
 * in which order they reach the memtable. Between batches the region looks at the memory that memtables take.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/mito/mito.h"

enum { BATCH_RECORDS = 64, BATCH_BYTES = 4 << 20, REPLAY_SHARES = 32, REPLAY_WAIT_MS = 1000 };

struct replay {
    struct mito_region *region;
    bool may_flush;
    uint8_t *bytes; /* BATCH_BYTES, charged to the job account; NULL before the first record */
    size_t used;
    struct wal_record records[BATCH_RECORDS]; /* their payloads are in `bytes`, or, of one that is alone and too long for it, the log's */
    int status[BATCH_RECORDS];
    uint32_t n;
    struct error error; /* of the first failure; guarded by lock */
    pthread_mutex_t lock;
};

static void apply_one(void *ctx, size_t i)
{
    struct replay *p = ctx;
    struct error err;
    int st = mito_region_replay(p->region, &p->records[i], &err);
    p->status[i] = st;
    if (st == ST_OK)
        return;
    pthread_mutex_lock(&p->lock);
    if (p->error.status == ST_OK)
        p->error = err;
    pthread_mutex_unlock(&p->lock);
}

/* While all memtables together outgrow the write buffer, a region that has its share of it is flushed, and one with little waits for the flush of
 * others: a replay of any number of regions needs about as much memory as writing did, and makes no tiny files. */
static int relieve_memory(struct replay *p, struct error *err)
{
    struct mito_engine *e = p->region->engine;
    if (!p->may_flush || budget_used(&e->write_budget) <= e->options.write_buffer_bytes)
        return ST_OK;
    struct memtable_stats stats;
    memtable_stats(p->region->active, &stats);
    if (stats.bytes >= e->options.write_buffer_bytes / REPLAY_SHARES)
        return mito_flush_locked(p->region, err);
    (void)mito_wait_for_flush(e, REPLAY_WAIT_MS); /* going on over the limit is better than not opening */
    return ST_OK;
}

static int drain(struct replay *p, struct error *err)
{
    if (!p->n)
        return ST_OK;
    thread_pool_for(p->region->engine->replayers, p->n, apply_one, p);
    p->n = 0;
    p->used = 0;
    if (p->error.status != ST_OK)
        return error_set(err, p->error.status, "%s", p->error.msg);
    return relieve_memory(p, err);
}

static int gather(void *ctx, const struct wal_record *record, struct error *err)
{
    struct replay *p = ctx;
    if (p->n == BATCH_RECORDS || (p->n && record->size > BATCH_BYTES - p->used))
        TRY(drain(p, err));
    if (!p->bytes) {
        TRY(budget_charge(&p->region->engine->job_budget, BATCH_BYTES, err));
        if (!(p->bytes = malloc(BATCH_BYTES))) {
            budget_release(&p->region->engine->job_budget, BATCH_BYTES);
            return error_no_memory(err, BATCH_BYTES);
        }
    }
    struct wal_record *mine = &p->records[p->n++];
    *mine = *record;
    if (record->size > BATCH_BYTES)
        return drain(p, err);
    if (record->size) /* an entry may be empty */
        memcpy(p->bytes + p->used, record->payload, record->size);
    mine->payload = p->bytes + p->used;
    p->used += record->size;
    return ST_OK;
}

uint64_t mito_last_logged_entry(struct mito_engine *e, uint64_t region_id)
{
    uint64_t ours = wal_last_entry_id(e->options.wal, region_id), peers = peer_log_last_entry_id(e->options.peer_log, region_id);
    return ours > peers ? ours : peers;
}

static int replay_peer_log(struct replay *p, struct error *err)
{
    struct mito_region *r = p->region;
    uint64_t missing;
    TRY(peer_log_replay(r->engine->options.peer_log, r->id, r->flushed_entry_id, gather, p, &missing, err));
    if (missing)
        log_warn("mito", "the GreptimeDB log of region %llu begins %llu entries behind what its files hold", (unsigned long long)r->id,
                 (unsigned long long)missing);
    return drain(p, err);
}

int mito_replay_logs(struct mito_region *r, bool may_flush, struct error *err)
{
    const struct mito_options *o = &r->engine->options;
    if (!r->wal_enabled)
        return ST_OK;
    struct replay *p = calloc(1, sizeof *p);
    if (!p)
        return error_no_memory(err, sizeof *p);
    p->region = r;
    p->may_flush = may_flush;
    pthread_mutex_init(&p->lock, NULL);
    int st = o->peer_log ? replay_peer_log(p, err) : ST_OK; /* its entries came before ours */
    if (st == ST_OK)
        st = wal_replay(o->wal, r->id, r->flushed_entry_id, gather, p, err);
    if (st == ST_OK)
        st = drain(p, err);
    if (st == ST_OK) {
        uint64_t logged = mito_last_logged_entry(r->engine, r->id);
        r->last_entry_id = logged > r->last_entry_id ? logged : r->last_entry_id;
        peer_log_obsolete(o->peer_log, r->id, r->flushed_entry_id);
    }
    if (p->bytes)
        budget_release(&r->engine->job_budget, BATCH_BYTES);
    free(p->bytes);
    pthread_mutex_destroy(&p->lock);
    free(p);
    return st;
}
