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
    struct dynbuf manifest_info;   /* extension MANIFEST_INFO: ONE element `[region_id,{...}]`; the caller joins them into the list */
    struct dynbuf alter_physical;  /* extension ALTER_PHYSICAL */
};

struct region_open_request {
    uint64_t region_id;
    const char *path;                      /* {catalog}/{schema} */
    const struct kv *options; uint32_t n_options;
    bool create_if_missing;
    bool writable;                         /* leader at once (standalone) or follower */
    bool skip_wal_replay;
};

struct region_stat { /* mito-engine.md 9.1 */
    uint64_t region_id;
    enum region_role role;
    uint64_t num_rows, memtable_bytes, wal_bytes, manifest_bytes, sst_bytes, sst_num, index_bytes, written_bytes;
    uint64_t manifest_version, flushed_entry_id, last_entry_id, committed_sequence;
};

struct engine;

struct engine_ops {
    const char *name; /* "mito" */
    /* CreateRequest. Idempotent as in region-rpc.md 4.3. */
    int (*create)(struct engine *e, struct message create, struct region_response *ret, struct error *err);
    int (*open)(struct engine *e, const struct region_open_request *open, struct error *err);
    int (*close)(struct engine *e, uint64_t region_id, struct error *err);
    int (*drop)(struct engine *e, uint64_t region_id, struct error *err);
    int (*alter)(struct engine *e, uint64_t region_id, struct message alter, struct region_response *ret, struct error *err);
    /* InsertRequest / DeleteRequest (their fields are the same). */
    int (*write)(struct engine *e, uint64_t region_id, bool is_delete, struct message write, uint64_t *ret_rows, struct error *err);
    int (*bulk_insert)(struct engine *e, uint64_t region_id, struct message bulk, uint64_t *ret_rows, struct error *err);
    int (*flush)(struct engine *e, uint64_t region_id, struct error *err);
    int (*compact)(struct engine *e, uint64_t region_id, struct message compact, struct error *err);
    int (*truncate)(struct engine *e, uint64_t region_id, struct message truncate, struct error *err);
    /* One reference; ST_REGION_NOT_FOUND. */
    int (*metadata)(struct engine *e, uint64_t region_id, struct region_metadata **ret_meta, struct error *err);
    /* A consistent snapshot of the region as a table. */
    int (*table)(struct engine *e, uint64_t region_id, struct table **ret_table, struct error *err);
    /* The reserved inspection tables (region-rpc.md 7.2): appends the rows of this engine's regions; names as in the spec. */
    int (*inspect)(struct engine *e, const char *name, struct table **ret_table, struct error *err);
    int (*set_role)(struct engine *e, uint64_t region_id, enum region_role role, struct error *err);
    int (*stat)(struct engine *e, uint64_t region_id, struct region_stat *ret_stat, struct error *err);
    /* The region's current options as a map, for the node's own list of regions; keys and values are the caller's to free. */
    int (*options)(struct engine *e, uint64_t region_id, struct kv **ret_options, uint32_t *ret_n, struct error *err);
    /* Flushes nothing (the WAL has it); waits for background work and closes the regions. */
    void (*free)(struct engine *e);
};

struct engine { const struct engine_ops *ops; };

#endif
