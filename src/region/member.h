/* The region server of a node that belongs to a cluster: regions that come and go by instruction, their leases and roles, and what is reported of
 * them.
 *
 * A region may be written while its lease lasts. The lease is looked at when a request comes in and again before it is acknowledged, against a clock
 * that runs on while the process or the machine sleeps; so a node that has been cut off or paused stops acknowledging by itself, whatever its threads
 * do. All functions are thread-safe; those that take a region answer ST_REGION_NOT_FOUND when it is not here.
 */
#ifndef REGION_MEMBER_H
#define REGION_MEMBER_H

#include "region/server.h"

/* ---- opening and closing ---- */
struct region_open {
    uint64_t region_id;
    const char *engine, *path;
    const struct kv *options;
    uint32_t n_options;
    bool skip_wal_replay;
    int rc; /* the outcome */
    struct error err;
};
/* Opens all of them as followers, init_parallelism at once; one that is open already succeeds. While they wait for their turn requests are told "not
 * ready". */
void region_server_open_regions(struct region_server *s, struct region_open *opens, size_t n);
/* An absent region is fine. */
int region_server_close_region(struct region_server *s, uint64_t region_id, struct error *err);
/* The same for a region that metasrv wants closed in its answer to the heartbeat that was sent at sent_ns: one that was asked for since (opened,
 * created, given a role by instruction) stays. */
int region_server_close_closeable(struct region_server *s, uint64_t region_id, int64_t sent_ns, struct error *err);

/* ---- leases (heartbeat.md 7) ---- */
/* From now on every region has a lease; those that are open, and later each new one, get `first_ns` until their first grant. */
void region_server_start_leases(struct region_server *s, int64_t first_ns);

struct region_grant {
    uint64_t region_id;
    enum region_role role;
};
struct region_grant_counts {
    unsigned leaders, followers, unknown, promoted, stale;
};
/* Metasrv's answer to the heartbeat that was sent at sent_ns: leases until until_ns, and roles. One that would undo what a later instruction has made
 * of the region is stale and changes nothing. */
void region_server_grant(struct region_server *s, const struct region_grant *grants, size_t n, int64_t sent_ns, int64_t until_ns,
                         struct region_grant_counts *ret_counts);
/* Makes a follower of such a region, until it is closed. False: it is not here, or was asked for since. */
bool region_server_follow_closeable(struct region_server *s, uint64_t region_id, int64_t sent_ns);
/* Makes followers of the regions whose lease is over; returns how many, and when to look again (INT64_MAX = not before a grant). */
unsigned region_server_expire(struct region_server *s, int64_t now_ns, int64_t *ret_next_ns);

/* ---- records ---- */
/* What the cluster has on record of tables: as in struct engine_host. */
struct region_records {
    int (*database_options)(void *ctx, uint64_t region_id, struct kv **ret_options, uint32_t *ret_n, struct error *err);
    int (*partition_expr)(void *ctx, uint64_t region_id, char **ret_expr, struct error *err);
    void *ctx;
};
/* Engines are answered from these records from now on; NULL: there are none any more, and nobody is inside their functions afterwards. */
void region_server_set_records(struct region_server *s, const struct region_records *records);

/* ---- roles and instructions ---- */
/* Whether the region is a follower only because its lease ran out: what it had not flushed by then, nobody else has. */
bool region_server_expired(struct region_server *s, uint64_t region_id);
/* Makes such a region a downgrading leader, so that it can be flushed; it takes no writes. ST_REGION_NOT_READY while metasrv has not granted it to this
 * node again since, as the leader that it is to take down. */
int region_server_revive(struct region_server *s, uint64_t region_id, struct error *err);
/* ST_UNSUPPORTED: a region without a role of its own. */
int region_server_role(struct region_server *s, uint64_t region_id, enum region_role *ret_role, struct error *err);
int region_server_set_role_gracefully(struct region_server *s, uint64_t region_id, enum region_role role, struct region_last_entries *ret_entries,
                                      struct error *err);
int region_server_flush(struct region_server *s, uint64_t region_id, struct error *err);
int region_server_catchup(struct region_server *s, const struct region_catchup_request *request, struct error *err);
int region_server_sync(struct region_server *s, const struct region_sync_request *request, struct error *err);
int region_server_enter_staging(struct region_server *s, uint64_t region_id, const char *partition_expr, struct error *err);
int region_server_remap(struct region_server *s, const struct region_remap_request *request, struct error *err);
int region_server_apply_staging(struct region_server *s, const struct region_apply_request *request, struct error *err);
int region_server_file_refs(struct region_server *s, uint64_t region_id, uint64_t source_id, uint64_t *ret_manifest_version,
                            struct region_file_sink *sink, struct error *err);
/* `engine`: of a region that is not here. */
int region_server_gc(struct region_server *s, const char *engine, const struct region_gc_request *request, struct region_file_sink *deleted,
                     struct error *err);

/* ---- reports ---- */
struct region_activity {
    uint64_t region_id, activity;
    struct engine *engine;
};
const char *region_activity_engine(const struct region_activity *a); /* its name */
/* The regions to report, with counters that differ from the last ones when something may have changed. *ret_list is the caller's to free. */
int region_server_activities(struct region_server *s, struct region_activity **ret_list, size_t *ret_n, struct error *err);
enum { REGION_STATS_MAX = 64 };
/* The statistics of up to REGION_STATS_MAX of them. ret_known[i] false: gone meanwhile, or not to be reported. */
int region_server_stats(struct region_server *s, const struct region_activity *list, size_t n, struct region_stat *ret_stats, bool *ret_known,
                        struct error *err);

#endif
