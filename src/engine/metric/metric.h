/* The metric engine: very many small tables in one region. It owns no storage, it drives the mito engine.
 *
 *   physical region = data region (group 0)      rows of all tables; key: table id, series id, labels (format/key/sparse.h)
 *                   + metadata region (group 1)  which logical regions there are and which columns each has, as keys and values (metadata_region.h)
 *   logical region  = an id that clients know; an entry in memory and rows of the metadata region, nothing else
 *
 * Invariant: a logical region is in memory exactly when its `__region_` key is in the metadata region (but for drops with fast_path), and every
 * column it names is in the data region. A create adds the columns first and writes the keys, in one put, second: a crash in between leaves columns
 * that nobody uses yet. The metadata region is the only durable list of logical regions; opening the physical region brings all of them back.
 *
 * Lock order: metric_physical.ddl_lock, metric_engine.lock, then mito's. No mito call is made under metric_engine.lock.
 */
#ifndef ENGINE_METRIC_METRIC_H
#define ENGINE_METRIC_METRIC_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "engine/engine.h"
#include "engine/mito/mito.h"

struct metric_options {
    struct engine *mito;       /* borrowed; outlives the engine */
    bool sparse_keys;          /* sparse_primary_key_encoding: of data regions that do not say otherwise */
    int64_t flush_interval_ms; /* flush_metadata_region_interval */
};

int metric_engine_new(const struct metric_options *options, struct engine **ret_engine, struct error *err);

/* ---- shared between the files of this folder ---- */

enum metric_index_kind { METRIC_INDEX_NONE, METRIC_INDEX_INVERTED, METRIC_INDEX_SKIPPING };

/* The index of labels that the engine adds (options index.*). */
struct metric_index {
    enum metric_index_kind kind;
    uint32_t granularity, rate_in_10000;
};

struct metric_physical {
    _Atomic int refs;
    uint64_t id, metadata_id; /* of the data and of the metadata region */
    struct metric_index index;
    pthread_mutex_t ddl_lock; /* one create, alter or drop in it at a time */
    bool closed;              /* guarded by ddl_lock */
    uint32_t n_logicals;      /* guarded by metric_engine.lock */
};

struct metric_logical {               /* immutable; an alter puts another in its place */
    struct metric_physical *physical; /* borrowed: the engine holds it as long as it has logical regions */
    uint32_t n_columns;
    uint32_t column_ids[]; /* in the data region; in no order */
};

struct metric_engine {
    struct engine base;
    struct mito_engine *mito;
    struct metric_options options;
    pthread_rwlock_t lock; /* guards the maps */
    struct u64_map physicals, logicals;
    pthread_t flusher;
    pthread_mutex_t flusher_lock;
    pthread_cond_t flusher_wake;
    bool stopping; /* guarded by flusher_lock */
};

static inline struct engine *metric_mito(struct metric_engine *e)
{
    return &e->mito->base;
}

static inline uint64_t metric_metadata_id(uint64_t data_id)
{
    return (data_id & ~(uint64_t)0xff000000u) | 1u << 24;
}

/* engine.c: the maps. References are the caller's; ST_REGION_NOT_FOUND. */
int metric_physical_get(struct metric_engine *e, uint64_t id, struct metric_physical **ret_physical, struct error *err);
void metric_physical_unref(struct metric_physical *p);
bool metric_is_physical(struct metric_engine *e, uint64_t id);
/* Adds the region unless there is one of its id: *ret_added. The map takes a reference of its own. */
int metric_physical_put(struct metric_engine *e, struct metric_physical *p, bool *ret_added, struct error *err);
void metric_physical_remove(struct metric_engine *e, struct metric_physical *p);
/* The physical region of a logical one, and (ret_ids != NULL) a malloc'ed copy of its column ids. */
int metric_logical_get(struct metric_engine *e, uint64_t id, struct metric_physical **ret_physical, uint32_t **ret_ids, uint32_t *ret_n,
                       struct error *err);
/* Adds or replaces. */
int metric_logical_put(struct metric_engine *e, uint64_t id, struct metric_physical *p, const uint32_t *ids, uint32_t n, struct error *err);
void metric_logical_remove(struct metric_engine *e, uint64_t id);
/* Locks the region for DDL; ST_REGION_NOT_FOUND when it was closed meanwhile. */
int metric_ddl_begin(struct metric_physical *p, struct error *err);
void metric_ddl_end(struct metric_physical *p);

/* open.c: physical regions coming and going. */
int metric_physical_create(struct metric_engine *e, struct message create, struct region_response *ret, struct error *err);
int metric_open(struct metric_engine *e, const struct region_open_request *open, struct error *err);
int metric_close(struct metric_engine *e, uint64_t id, struct error *err);
int metric_drop(struct metric_engine *e, const struct region_drop_request *drop, struct error *err);
int metric_members(struct metric_engine *e, uint64_t id, uint64_t **ret_ids, size_t *ret_n, struct error *err);

/* ddl.c: logical regions coming, and changes of both kinds. */
int metric_create_many(struct metric_engine *e, const struct message *creates, size_t n, struct region_response *ret, struct error *err);
int metric_alter_many(struct metric_engine *e, const struct message *alters, size_t n, struct region_response *ret, struct error *err);

/* write.c */
int metric_write_many(struct metric_engine *e, bool is_delete, const struct message *writes, size_t n, uint64_t *ret_rows, struct error *err);
int metric_bulk_insert(struct metric_engine *e, uint64_t id, struct message bulk, uint64_t *ret_rows, struct error *err);

/* role.c */
uint64_t metric_owner(struct metric_engine *e, uint64_t id);
int metric_set_role(struct metric_engine *e, uint64_t id, enum region_role role, struct error *err);
int metric_set_role_gracefully(struct metric_engine *e, uint64_t id, enum region_role role, struct region_last_entries *ret_entries,
                               struct error *err);
int metric_catchup(struct metric_engine *e, const struct region_catchup_request *request, struct error *err);
int metric_sync(struct metric_engine *e, const struct region_sync_request *request, struct error *err);
int metric_enter_staging(struct metric_engine *e, uint64_t id, const char *partition_expr, struct error *err);
int metric_remap(struct metric_engine *e, const struct region_remap_request *request, struct error *err);
int metric_apply_staging(struct metric_engine *e, const struct region_apply_request *request, struct error *err);
int metric_file_refs(struct metric_engine *e, uint64_t id, uint64_t source_id, uint64_t *ret_manifest_version, struct region_file_sink *sink,
                     struct error *err);
int metric_gc(struct metric_engine *e, const struct region_gc_request *request, struct region_file_sink *deleted, struct error *err);

/* table.c */
int metric_metadata(struct metric_engine *e, uint64_t id, struct region_metadata **ret_meta, struct error *err);
int metric_table(struct metric_engine *e, uint64_t id, struct table **ret_table, struct error *err);

#endif
