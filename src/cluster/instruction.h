/* Instructions of metasrv and their replies: the JSON of mailbox messages (heartbeat.md 6). Pure. */
#ifndef CLUSTER_INSTRUCTION_H
#define CLUSTER_INSTRUCTION_H

#include "base/arena.h"
#include "region/member.h"

enum instruction_kind {
    INSTRUCTION_OPEN,
    INSTRUCTION_CLOSE,
    INSTRUCTION_DOWNGRADE,
    INSTRUCTION_UPGRADE,
    INSTRUCTION_FLUSH,
    INSTRUCTION_INVALIDATE,
    INSTRUCTION_FILE_REFS,
    INSTRUCTION_GC,
    INSTRUCTION_ENTER_STAGING,
    INSTRUCTION_SYNC,
    INSTRUCTION_REMAP,
    INSTRUCTION_APPLY_STAGING,
    INSTRUCTION_SUSPEND,
    INSTRUCTION_KINDS,
};

/* One region of an instruction: what is asked (the members that its kind has), and what came of it. */
struct instruction_item {
    uint64_t region_id;
    const char *engine, *path; /* open; close: engine, maybe "" */
    struct kv *options;
    uint32_t n_options; /* open: wal_options included */
    bool skip_wal_replay;
    bool has_timeout;
    int64_t timeout_ns;                    /* downgrade: of the flush; upgrade: of the replay */
    struct region_catchup_request catchup; /* upgrade */
    struct region_sync_request sync;
    const char *partition_expr; /* enter staging: NULL = reject all writes; apply */
    struct region_apply_request apply;

    bool exists, ready;
    char *error; /* malloc'ed; NULL = none */
    struct region_last_entries entries;
};

struct instruction {
    enum instruction_kind kind;
    struct arena arena; /* holds all below but errors */
    struct instruction_item *items;
    uint32_t n_items;
    const char **databases; /* invalidate: "{catalog}/{schema}" of those that have changed */
    uint32_t n_databases;
    bool is_async; /* nobody waits for an answer */
    bool try_all;  /* flush */
    int64_t sent_ns; /* close: asked for by the answer to the heartbeat of that time; 0 = by an instruction */
    struct region_pair *related;
    uint32_t n_related; /* file refs: source -> destination */
    struct region_file_ref *refs;
    uint32_t n_refs; /* gc */
    struct region_pair *versions;
    uint32_t n_versions; /* gc: region -> manifest version */
    bool full_listing;
    struct region_remap_request remap;
    const char *error;    /* of the whole: NULL = none; in the arena */
    struct dynbuf result; /* file refs, gc: JSON that the handler has written */
};

/* The name, for logs and metrics ("OpenRegions"). */
const char *instruction_name(enum instruction_kind kind);

/* ST_UNSUPPORTED: a well-formed instruction that we do not know; ST_CORRUPT: anything else that is not one. */
int instruction_parse(const char *json, size_t size, struct instruction **ret_instruction, struct error *err);
void instruction_free(struct instruction *i); /* NULL is allowed */

/* The InstructionReply; nothing is appended for kinds that are not answered. */
int instruction_reply(const struct instruction *i, struct dynbuf *out, struct error *err);
bool instruction_is_answered(const struct instruction *i);

/* Shared with the reader of metasrv's keys: {"key":"value"} as options, in the arena; `wal_options` of region `number` is added from the second map.
 */
struct json_value;
int instruction_read_options(struct arena *a, const struct json_value *options, const struct json_value *wal_options, uint32_t number,
                             struct kv **ret_options, uint32_t *ret_n, struct error *err);

#endif
