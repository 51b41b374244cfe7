/* The engine vtable: what the region server knows of a storage engine.
 *
 * All calls are thread-safe; the engine orders conflicting ones per region itself. Request bodies come as the undecoded protobuf message of the
 * region request (region-rpc.md section 4), so that each engine decodes what it needs once, straight into its own form.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "arrow/scan.h"
#include "base/buffer.h"
#include "base/error.h"
#include "format/region/metadata.h"

struct message { const uint8_t *data; size_t size; };

enum region_role { ROLE_LEADER = 0, ROLE_FOLLOWER = 1, ROLE_DOWNGRADING_LEADER = 2, ROLE_STAGING_LEADER = 3 }; /* numbers frozen: heartbeat enum */

/* The parts of a RegionResponse that engines fill. */
struct region_response {
    uint64_t affected_rows;
    struct dynbuf column_metadata; /* extension TABLE_COLUMN_METADATA, JSON; size 0 = absent */
    struct dynbuf manifest_info;   /* extension MANIFEST_INFO: elements `[region_id,{...}]` with commas between; the caller makes the list */
    struct dynbuf alter_physical;  /* extension ALTER_PHYSICAL */
};

static inline void region_response_init(struct region_response *r, size_t bytes_max)
{
    *r = (struct region_response){0};
    dynbuf_init(&r->column_metadata, bytes_max);
    dynbuf_init(&r->manifest_info, bytes_max);
    dynbuf_init(&r->alter_physical, bytes_max);
}

static inline void region_response_release(struct region_response *r)
{
    dynbuf_release(&r->column_metadata);
    dynbuf_release(&r->manifest_info);
    dynbuf_release(&r->alter_physical);
}

struct region_open_request {
    uint64_t region_id;
    const char *path;                      /* {catalog}/{schema} */
    const struct kv *options; uint32_t n_options;
    bool create_if_missing;
    bool writable;                         /* leader at once (standalone) or follower */
    bool skip_wal_replay;
    bool dropping;                         /* a drop had begun: opened only to be dropped, and what is half gone may be removed */
};

struct region_drop_request {
    uint64_t region_id;
    bool fast_path, force, partial_drop;   /* region-rpc.md 4.6 */
};

struct region_stat { /* mito-engine.md 9.1 */
    uint64_t region_id;
    enum region_role role;
    uint64_t num_rows, memtable_bytes, wal_bytes, manifest_bytes, sst_bytes, sst_num, index_bytes, written_bytes;
    uint64_t manifest_version, flushed_entry_id, last_entry_id, committed_sequence, removed_files;
    bool overtaken;         /* another node has written to it: it follows until it has caught up */
    bool manifest_in_doubt; /* whether its last change took effect is not known yet; no writes before that is settled */
    bool flush_failed;      /* the last one: its rows stay in memory and in the log */
    bool has_metadata_part; /* a physical metric region: the sums above are of both its parts, the counters of its data part */
    uint64_t metadata_manifest_version, metadata_flushed_entry_id, metadata_last_entry_id;
};

/* What an engine asks of and tells the layer above. Region ids are those of requests or of parts of theirs (same table and sequence, other group). */
struct engine_host {
    /* False when this node may have lost the region to another one: then no manifest and no file of it may be written or removed. Asked right before. */
    bool (*may_commit)(void *ctx, uint64_t region_id);
    /* The region's statistics changed without a request for it: a flush or compaction in the background. */
    void (*changed)(void *ctx, uint64_t region_id);
    /* What the cluster has on record; each may ask metasrv, so never under a lock. NULL ops = there is no such record.
     * The options of the table's database, for where the table's own are silent: "ttl", "compaction.*"; freed with kv_list_free(). */
    int (*database_options)(void *ctx, uint64_t region_id, struct kv **ret_options, uint32_t *ret_n, struct error *err);
    /* The partition expression on the table's route, for regions of before manifests had one: malloc'ed; NULL = no route. */
    int (*partition_expr)(void *ctx, uint64_t region_id, char **ret_expr, struct error *err);
    void *ctx;
};

/* An upgrade of a follower (mito-engine.md 1.7). */
struct region_catchup_request {
    uint64_t region_id;
    bool has_entry_id, has_metadata_entry_id;
    uint64_t entry_id, metadata_entry_id; /* what the last leader had written; checked against a remote log only */
};

/* SyncRegions and gRPC sync: what the leader's manifest has reached. */
struct region_sync_request {
    uint64_t region_id;
    bool from_region;                     /* from the region `source_region_id` (metric engine) instead of the versions */
    uint64_t source_region_id;
    bool is_metric;                       /* both versions are given */
    uint64_t manifest_version, metadata_manifest_version;
};

struct region_last_entries { bool has_last, has_metadata; uint64_t last_entry_id, metadata_last_entry_id; };

struct region_text { uint64_t region_id; const char *text; };
struct region_pair { uint64_t from, to; };

/* RemapManifest: which new regions get the files of which old ones, and the new partition expressions. */
struct region_remap_request {
    uint64_t region_id;                   /* the staging region that does the work */
    const uint64_t *inputs; uint32_t n_inputs;
    const struct region_pair *mapping; uint32_t n_mapping;
    const struct region_text *exprs; uint32_t n_exprs; /* one for each new region */
};

struct region_apply_request {
    uint64_t region_id, central_region_id;
    const char *partition_expr, *manifest_path; /* manifest_path "" (gRPC without one): only a region that has the expression already succeeds */
};

/* A file that somebody still needs, or one that was removed. */
struct region_file_ref { uint64_t region_id; const char *file_id; bool has_index_version, is_index; uint64_t index_version; };
struct region_file_sink { int (*each)(void *ctx, const struct region_file_ref *ref, struct error *err); void *ctx; };

struct region_gc_request {
    uint64_t region_id;
    const char *path;                     /* {catalog}/{schema}: where a region that is not open here had its files; NULL = unknown */
    bool has_manifest_version; uint64_t manifest_version; /* that the references are of */
    const struct region_file_ref *refs; uint32_t n_refs;
    bool full_listing;
};

struct engine;

struct engine_ops {
    const char *name; /* "mito" */
    /* CreateRequest. Idempotent as in region-rpc.md 4.3. */
    int (*create)(struct engine *e, struct message create, struct region_response *ret, struct error *err);
    int (*open)(struct engine *e, const struct region_open_request *open, struct error *err);
    int (*close)(struct engine *e, uint64_t region_id, struct error *err);
    int (*drop)(struct engine *e, const struct region_drop_request *drop, struct error *err);
    int (*alter)(struct engine *e, uint64_t region_id, struct message alter, struct region_response *ret, struct error *err);
    /* InsertRequest / DeleteRequest (their fields are the same). */
    int (*write)(struct engine *e, uint64_t region_id, bool is_delete, struct message write, uint64_t *ret_rows, struct error *err);
    /* Several requests as one, for engines whose regions share work (metric); NULL: the caller calls one after another. Writes are InsertRequests. */
    int (*create_many)(struct engine *e, const struct message *creates, size_t n, struct region_response *ret, struct error *err);
    int (*alter_many)(struct engine *e, const struct message *alters, size_t n, struct region_response *ret, struct error *err);
    int (*write_many)(struct engine *e, const struct message *inserts, size_t n, uint64_t *ret_rows, struct error *err);
    /* The regions that live inside this one (logical regions of a physical one), malloc'ed; NULL: this engine has none. They come and go with it. */
    int (*members)(struct engine *e, uint64_t region_id, uint64_t **ret_ids, size_t *ret_n, struct error *err);
    int (*bulk_insert)(struct engine *e, uint64_t region_id, struct message bulk, uint64_t *ret_rows, struct error *err);
    int (*flush)(struct engine *e, uint64_t region_id, struct error *err);
    int (*compact)(struct engine *e, uint64_t region_id, struct message compact, struct error *err);
    /* Builds what the region's files lack of the indexes that its columns want. */
    int (*build_index)(struct engine *e, uint64_t region_id, struct error *err);
    int (*truncate)(struct engine *e, uint64_t region_id, struct message truncate, struct error *err);
    /* One reference; ST_REGION_NOT_FOUND. */
    int (*metadata)(struct engine *e, uint64_t region_id, struct region_metadata **ret_meta, struct error *err);
    /* A consistent snapshot of the region as a table. */
    int (*table)(struct engine *e, uint64_t region_id, struct table **ret_table, struct error *err);
    /* The reserved inspection tables (region-rpc.md 7.2): appends the rows of this engine's regions; names as in the spec. */
    int (*inspect)(struct engine *e, const char *name, struct table **ret_table, struct error *err);
    /* From now on the engine asks the host (borrowed). Before any region. NULL op = the engine changes nothing by itself. */
    void (*attach)(struct engine *e, const struct engine_host *host);

    /* ---- roles (region-rpc.md 9.4); set_role NULL: regions of this engine are always leaders and need no lease ---- */
    /* The region whose role and lease stand for this one's (the physical region of a logical one). NULL op = itself. */
    uint64_t (*owner)(struct engine *e, uint64_t region_id);
    /* The plain change of a lease: takes effect at once, waits for nothing, never fails on the region's state. */
    int (*set_role)(struct engine *e, uint64_t region_id, enum region_role role, struct error *err);
    /* The change of an instruction: returns when no write is in flight that the old role let in. `ret_entries` may be NULL. */
    int (*set_role_gracefully)(struct engine *e, uint64_t region_id, enum region_role role, struct region_last_entries *ret_entries, struct error *err);
    /* Brings a follower up to what storage and log hold and makes it the leader. ST_REGION_BUSY when it is at that already. */
    int (*catchup)(struct engine *e, const struct region_catchup_request *request, struct error *err);
    int (*sync)(struct engine *e, const struct region_sync_request *request, struct error *err);
    /* `partition_expr` NULL = reject all writes. */
    int (*enter_staging)(struct engine *e, uint64_t region_id, const char *partition_expr, struct error *err);
    /* Writes one manifest for each new region, under the names "remap_manifest_{region id}". */
    int (*remap)(struct engine *e, const struct region_remap_request *request, struct error *err);
    int (*apply_staging)(struct engine *e, const struct region_apply_request *request, struct error *err);

    /* ---- garbage ---- */
    /* Files of region `source_id` that region_id knows: with source_id == region_id those that readers hold and the manifest no longer lists, else those of the
     * source that region_id's manifest lists. */
    int (*file_refs)(struct engine *e, uint64_t region_id, uint64_t source_id, uint64_t *ret_manifest_version, struct region_file_sink *sink, struct error *err);
    /* Deletes what nobody needs and tells the sink. ST_REGION_NOT_FOUND: not open here and no full listing. */
    int (*gc)(struct engine *e, const struct region_gc_request *request, struct region_file_sink *deleted, struct error *err);

    /* ST_UNSUPPORTED: a region without a role of its own (a logical metric region): neither reported nor leased. */
    int (*stat)(struct engine *e, uint64_t region_id, struct region_stat *ret_stat, struct error *err);
    /* A hint that stat() of these regions follows: brings what it reads near the CPU, for all of them at once. NULL op = no need. */
    void (*stat_ahead)(struct engine *e, const uint64_t *region_ids, size_t n);
    /* The region's current options as a map, for the node's own list of regions; keys and values are the caller's to free. */
    int (*options)(struct engine *e, uint64_t region_id, struct kv **ret_options, uint32_t *ret_n, struct error *err);
    /* Flushes nothing (the WAL has it); waits for background work and closes the regions. */
    void (*free)(struct engine *e);
};

struct engine { const struct engine_ops *ops; };

#endif
