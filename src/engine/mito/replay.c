/* Replaying the logs when a region opens.
 *
 * Our log comes in stretches (wal/wal.h), the peer's in records, which are gathered. A batch of either is read, checked and decoded by several
 * threads at once and then put into the memtable in the order of the log, which is little work. Between batches the region looks at the memory that
 * memtables take.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/mito/mito.h"

enum {
    BATCH_PIECES = 128,
    BATCH_BYTES = 16 << 20,
    PEER_BATCH_BYTES = 4 << 20,
    REPLAY_SHARES = 32,
    REPLAY_WAIT_MS = 1000,
    TOLD_ROWS_MIN = 100000, /* a log line about fewer is not worth it */
};

static struct metric_family replayed_rows = {
    .name = "regiond_mito_replayed_rows_total", .help = "rows read back from the log by regions that opened", .kind = METRIC_COUNTER};
static struct metric_family replay_elapsed = {.name = "regiond_mito_replay_elapsed",
                                              .help = "seconds that opening regions read the log",
                                              .kind = METRIC_HISTOGRAM,
                                              .bounds = {0.001, 0.01, 0.1, 1, 10, 100, 1000}};

struct replay {
    struct mito_region *region;
    struct wal_replay *log; /* NULL while the peer's is read */
    bool may_flush;
    uint64_t rows;
    uint8_t *bytes; /* of the peer's records: PEER_BATCH_BYTES, charged to the job account; NULL before the first one */
    size_t used;    /* of `bytes`, or what reading the stretches takes */
    uint32_t n;
    struct piece { /* what one thread does at a time */
        struct replay *replay;
        struct wal_stretch *stretch; /* NULL: `record`. Its payload is in `bytes`, or, of one that is alone and too long for it, the log's */
        struct wal_record record;
        struct replayed rows;
        int status;
        struct error error;
    } * pieces; /* BATCH_PIECES; NULL before the first one */
};

static int decode_record(void *ctx, const struct wal_record *record, struct error *err)
{
    struct piece *p = ctx;
    return mito_replay_decode(p->replay->region, record, &p->rows, err);
}

static int read_stretch(struct piece *p, struct error *err)
{
    struct budget *budget = &p->replay->region->engine->job_budget;
    size_t bytes = wal_stretch_bytes(p->stretch);
    TRY(budget_charge(budget, bytes, err));
    int st = wal_stretch_read(p->stretch, decode_record, p, err);
    budget_release(budget, bytes);
    return st;
}

static void decode_piece(void *ctx, size_t i)
{
    struct piece *p = &((struct replay *)ctx)->pieces[i];
    p->status = p->stretch ? read_stretch(p, &p->error) : decode_record(p, &p->record, &p->error);
}

/* While all memtables together outgrow the write buffer, a region that has its share of it is flushed, and one with little waits for the flush of
 * others: a replay of any number of regions needs about as much memory as writing did, and makes no tiny files. */
static int relieve_memory(struct replay *p, struct error *err)
{
    struct mito_engine *e = p->region->engine;
    if (mito_is_full(e, p->region->active)) {
        pthread_mutex_lock(&p->region->lock);
        int st = mito_freeze(p->region, err);
        pthread_mutex_unlock(&p->region->lock);
        TRY(st);
    }
    if (!p->may_flush || budget_used(&e->write_budget) <= e->options.write_buffer_bytes)
        return ST_OK;
    struct memtable_stats stats;
    memtable_stats(p->region->active, &stats);
    if (stats.bytes >= e->options.write_buffer_bytes / REPLAY_SHARES)
        return mito_flush_locked(p->region, err);
    (void)mito_wait_for_flush(e, REPLAY_WAIT_MS); /* going on over the limit is better than not opening */
    return ST_OK;
}

static int apply_piece(struct replay *p, struct piece *piece, struct error *err)
{
    if (piece->status != ST_OK)
        return error_set(err, piece->error.status, "%s", piece->error.msg);
    if (piece->stretch)
        TRY(wal_replay_join(p->log, piece->stretch, err));
    return mito_replay_apply(p->region, &piece->rows, &p->rows, err);
}

static int drain(struct replay *p, struct error *err)
{
    int st = ST_OK;
    if (!p->n)
        return ST_OK;
    thread_pool_for(p->region->engine->replayers, p->n, decode_piece, p);
    for (uint32_t i = 0; i < p->n; i++) {
        if (st == ST_OK)
            st = apply_piece(p, &p->pieces[i], err);
        mito_replayed_release(&p->pieces[i].rows);
        wal_stretch_free(p->pieces[i].stretch);
    }
    p->n = 0;
    p->used = 0;
    TRY(st);
    return relieve_memory(p, err);
}

/* One more piece of the batch, which is not full. Most regions that open need none. */
static int add_piece(struct replay *p, struct piece **ret_piece, struct error *err)
{
    if (!p->pieces && !(p->pieces = malloc(BATCH_PIECES * sizeof *p->pieces)))
        return error_no_memory(err, BATCH_PIECES * sizeof *p->pieces);
    *ret_piece = &p->pieces[p->n++];
    **ret_piece = (struct piece){.replay = p};
    return ST_OK;
}

static int gather(void *ctx, const struct wal_record *record, struct error *err)
{
    struct replay *p = ctx;
    if (p->n == BATCH_PIECES || (p->n && record->size > PEER_BATCH_BYTES - p->used))
        TRY(drain(p, err));
    if (!p->bytes) {
        TRY(budget_charge(&p->region->engine->job_budget, PEER_BATCH_BYTES, err));
        if (!(p->bytes = malloc(PEER_BATCH_BYTES))) {
            budget_release(&p->region->engine->job_budget, PEER_BATCH_BYTES);
            return error_no_memory(err, PEER_BATCH_BYTES);
        }
    }
    struct piece *piece;
    TRY(add_piece(p, &piece, err));
    piece->record = *record;
    if (record->size > PEER_BATCH_BYTES)
        return drain(p, err);
    if (record->size) /* an entry may be empty */
        memcpy(p->bytes + p->used, record->payload, record->size);
    piece->record.payload = p->bytes + p->used;
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

static int replay_our_log(struct replay *p, struct error *err)
{
    struct wal_stretch *s = NULL;
    struct piece *piece;
    TRY(wal_replay_open(p->region->engine->options.wal, p->region->id, p->region->flushed_entry_id, &p->log, err));
    int st;
    while ((st = wal_replay_next(p->log, &s, err)) == ST_OK && s) {
        st = add_piece(p, &piece, err);
        if (st != ST_OK) {
            wal_stretch_free(s);
            break;
        }
        piece->stretch = s;
        p->used += wal_stretch_bytes(s);
        if ((p->n == BATCH_PIECES || p->used >= BATCH_BYTES) && (st = drain(p, err)) != ST_OK)
            break;
    }
    if (st == ST_OK)
        st = drain(p, err);
    for (uint32_t i = 0; i < p->n; i++) /* of a failure */
        wal_stretch_free(p->pieces[i].stretch);
    wal_replay_close(p->log);
    return st;
}

static int replay_both(struct replay *p, struct error *err)
{
    struct mito_region *r = p->region;
    const struct mito_options *o = &r->engine->options;
    if (o->peer_log)
        TRY(replay_peer_log(p, err)); /* its entries came before ours */
    TRY(replay_our_log(p, err));
    uint64_t logged = mito_last_logged_entry(r->engine, r->id);
    /* Entries that count no more (role.c, pass_over_log) and that nothing has followed yet: what follows now must not be held to follow them. */
    bool passed_over = r->last_entry_id == r->flushed_entry_id && wal_last_entry_id(o->wal, r->id) > r->last_entry_id;
    r->last_entry_id = logged > r->last_entry_id ? logged : r->last_entry_id;
    if (passed_over)
        TRY(wal_begin_anew(o->wal, r->id, err));
    peer_log_obsolete(o->peer_log, r->id, r->flushed_entry_id);
    return ST_OK;
}

static void tell(const struct replay *p, int64_t started_ns)
{
    double seconds = (double)(clock_monotonic_ns() - started_ns) / 1e9;
    if (!p->rows)
        return;
    metric_add(metric_plain(&replayed_rows), (int64_t)p->rows);
    metric_observe(metric_plain(&replay_elapsed), seconds);
    if (p->rows >= TOLD_ROWS_MIN)
        log_info("mito", "region %llu: %llu rows replayed in %.3f s", (unsigned long long)p->region->id, (unsigned long long)p->rows, seconds);
}

int mito_replay_logs(struct mito_region *r, bool may_flush, struct error *err)
{
    int64_t started_ns = clock_monotonic_ns();
    if (!r->wal_enabled)
        return ST_OK;
    struct replay *p = calloc(1, sizeof *p);
    if (!p)
        return error_no_memory(err, sizeof *p);
    p->region = r;
    p->may_flush = may_flush;
    int st = replay_both(p, err);
    if (st == ST_OK)
        tell(p, started_ns);
    if (p->bytes)
        budget_release(&r->engine->job_budget, PEER_BATCH_BYTES);
    free(p->bytes);
    free(p->pieces);
    free(p);
    return st;
}
