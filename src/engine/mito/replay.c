/* Replaying the logs when a region opens.
 *
 * Records are gathered into batches. Each batch is decoded by several threads at once and then put into the memtable in the order of the log. Between
 * batches the region looks at the memory that memtables take.
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
    uint32_t n;
    struct one {
        struct wal_record record; /* its payload is in `bytes`, or, of one that is alone and too long for it, the log's */
        struct replayed_rows *rows;
        uint32_t n_rows;
        int status;
        struct error error;
    } records[BATCH_RECORDS];
};

static void decode_one(void *ctx, size_t i)
{
    struct replay *p = ctx;
    struct one *o = &p->records[i];
    o->status = mito_replay_decode(p->region, &o->record, &o->rows, &o->n_rows, &o->error);
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
    int st = ST_OK;
    if (!p->n)
        return ST_OK;
    thread_pool_for(p->region->engine->replayers, p->n, decode_one, p);
    for (uint32_t i = 0; i < p->n; i++) {
        struct one *o = &p->records[i];
        if (st == ST_OK && o->status != ST_OK)
            st = error_set(err, o->error.status, "%s", o->error.msg);
        if (st == ST_OK)
            st = mito_replay_apply(p->region, o->record.entry_id, o->rows, o->n_rows, err);
        mito_replayed_free(o->rows, o->n_rows);
    }
    p->n = 0;
    p->used = 0;
    TRY(st);
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
    struct one *o = &p->records[p->n++];
    *o = (struct one){.record = *record};
    if (record->size > BATCH_BYTES)
        return drain(p, err);
    if (record->size) /* an entry may be empty */
        memcpy(p->bytes + p->used, record->payload, record->size);
    o->record.payload = p->bytes + p->used;
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
    free(p);
    return st;
}
