/* Replays a region's records one after the other on one thread, as the tests of the log want to see them. */
#ifndef TESTS_UNIT_WAL_REPLAY_ALL_H
#define TESTS_UNIT_WAL_REPLAY_ALL_H

#include "wal/wal.h"

static inline int wal_replay_nothing(void *ctx, const struct wal_record *record, struct error *err)
{
    (void)ctx, (void)record, (void)err;
    return ST_OK;
}

/* Records behind one that is missing are not shown to `each`. */
static inline int wal_replay_all(struct wal *w, uint64_t region_id, uint64_t after,
                                 int (*each)(void *ctx, const struct wal_record *record, struct error *err), void *ctx, struct error *err)
{
    struct wal_replay *r;
    struct wal_stretch *s = NULL;
    TRY(wal_replay_open(w, region_id, after, &r, err));
    int st = wal_replay_next(r, &s, err);
    while (st == ST_OK && s) {
        int damage = wal_stretch_read(s, wal_replay_nothing, NULL, err);
        if (damage == ST_OK)
            st = wal_replay_join(r, s, err);
        if (st == ST_OK)
            st = wal_stretch_read(s, each, ctx, err);
        wal_stretch_free(s);
        s = NULL;
        if (st == ST_OK)
            st = wal_replay_next(r, &s, err);
    }
    wal_replay_close(r);
    return st;
}

#endif
