/* Shared between the files of region/. Lock order: list_lock, then lock. No engine call is made under either. */
#ifndef REGION_INTERNAL_H
#define REGION_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "format/region/options.h"
#include "os/thread.h"
#include "region/member.h"
#include "region/server.h"

enum { REGION_ENGINES_MAX = 4, REGION_MEMBERS_MAX = 65536 };

enum slot_status { SLOT_REGISTERING, SLOT_READY, SLOT_DEREGISTERING, SLOT_FAILED };

struct region_slot {
    uint64_t id;
    enum slot_status status;
    enum slot_status before;   /* status to go back to when a register or deregister fails */
    bool had_before;           /* false: such a failure removes the slot */
    unsigned registering;      /* creates and opens under way */
    struct engine *engine;

    /* A node of a cluster (lease.c), of which each heartbeat and its answer read all regions'. Guarded by the server's lock. */
    bool has_lease;            /* the region has a role of its own */
    enum region_role role;     /* as last told to or heard from the engine */
    int64_t until_ns;          /* the lease ends; 0 = none yet */
    bool expired;              /* it is a follower because its lease ran out, and nothing has changed its role since */
    enum region_role granted;  /* the role of the newest grant, and when the heartbeat was sent that it answers */
    int64_t granted_ns;
    int64_t role_since_ns;     /* of the last role that an instruction gave, or of the opening: answers to older heartbeats do not undo it */
    uint64_t term;             /* new whenever the region may have stopped being led from here */
    uint64_t activity;         /* grows with everything that may change the region's statistics */

    bool listed;               /* part of the durable list */
    bool found;                /* see discover.c: read-only, its options are not known */
    bool dropping;             /* written before a drop begins, so that a restart finishes it */
    char *engine_name, *path;  /* of the durable list */
    struct kv *options;
    uint32_t n_options;
    char *error;               /* SLOT_FAILED */
};

struct region_server {
    struct region_server_options options;
    char *list_path;
    struct engine *engines[REGION_ENGINES_MAX];
    uint32_t n_engines;

    pthread_mutex_t lock;      /* guards slots, list_version, planning, opening */
    pthread_cond_t planned;    /* `planning` fell */
    pthread_cond_t opened;     /* a register ended */
    struct u64_map slots;
    uint64_t slots_made;
    uint64_t list_version;     /* counts changes of the list */
    unsigned planning;
    bool opening;              /* the list is being opened: regions that live in others are not known yet */

    pthread_mutex_t list_lock; /* held while the list is written */
    uint64_t list_saved;       /* version on disk */

    struct thread_pool *writers; /* regions of one RPC */
    struct thread_pool *query_workers; /* help the threads of queries; NULL = one thread a query */
    pthread_t opener;
    bool opener_started, opener_joined;
    pthread_mutex_t opener_lock; /* guards opener_joined */
    _Atomic bool stopping, suspended;

    /* Leases. Order: role_lock, lock. Engines' set_role and stat, which never wait long, are called under role_lock. */
    pthread_mutex_t role_lock;
    int64_t first_lease_ns;      /* what a new region gets until its first grant; 0 = heartbeats have not started */
    int64_t node_until_ns;       /* the newest grant of all */
    uint64_t last_term;
    unsigned ended_early;        /* leases that region_lease_settle() has ended since the keeper last came by, which counts them */

    pthread_rwlock_t records_lock; /* held for reading during calls */
    struct region_records records;
};

enum region_body {
    BODY_INSERTS = 3, BODY_DELETES, BODY_CREATE, BODY_DROP, BODY_OPEN, BODY_CLOSE, BODY_ALTER, BODY_FLUSH, BODY_COMPACT, BODY_TRUNCATE,
    BODY_CREATES, BODY_DROPS, BODY_ALTERS, BODY_BULK_INSERT, BODY_SYNC, BODY_LIST_METADATA, BODY_BUILD_INDEX, BODY_APPLY_STAGING,
}; /* numbers frozen: the oneof of RegionRequest */

/* dispatch.c */

/* Engine, path and options of a CreateRequest or OpenRequest. */
struct region_registration {
    char name[64];
    bool create; /* an open otherwise */
    struct engine *engine;
    char *path;
    struct kv *options;
    uint32_t n_options;
    uint64_t term;    /* of the host's lease */
    uint64_t host_id; /* the region that this one lives in (metric engine); 0 = none. Such a region is not on the list: it comes with its host */
};
int region_registration_read(struct region_server *s, struct message m, bool create, struct region_registration *ret_reg, struct error *err);
void region_registration_release(struct region_registration *reg);
/* The status map, the list and leases around a create or open. End is called once for every begin that succeeded, with what came of it. */
int region_register_begin(struct region_server *s, uint64_t id, struct region_registration *reg, struct error *err);
int region_register_end(struct region_server *s, uint64_t id, const struct region_registration *reg, int rc, struct error *err);
/* `drop` NULL: a close. `sent_ns`: nothing is done if the region was asked for after that time; INT64_MAX = whatever happens. */
int region_deregister(struct region_server *s, uint64_t id, const struct region_drop_request *drop, int64_t sent_ns, struct error *err);
/* One region's request; `b` is the single form. */
int region_run_one(struct region_server *s, enum region_body b, struct message m, struct region_response *ret, struct error *err);

/* batch.c */
int region_request_id(struct message m, uint64_t *ret_id, struct error *err);
int region_run_parallel(struct region_server *s, enum region_body b, struct message body, struct region_response *ret, struct error *err);
int region_run_batch(struct region_server *s, enum region_body single, struct message body, struct region_response *ret, struct error *err);

/* status.c */
enum region_class { CLASS_REGISTER, CLASS_DEREGISTER, CLASS_OTHER };
struct engine *region_engine_by_name(struct region_server *s, const char *name);
/* Admits an operation (region-rpc.md 2.4). `engine` is asked for by CLASS_REGISTER only. *ret_engine = NULL: deregister of an absent region. */
int region_begin(struct region_server *s, uint64_t id, enum region_class c, struct engine *engine, struct engine **ret_engine, struct error *err);
void region_end(struct region_server *s, uint64_t id, enum region_class c, bool success);
/* Returns once the region is not being opened from the list any more, or after a while. */
void region_wait_opened(struct region_server *s, uint64_t id);
/* Makes the regions that live in this one ready, or forgets them. */
int region_register_members(struct region_server *s, struct engine *e, uint64_t id, struct error *err);
void region_forget_members(struct region_server *s, struct engine *e, const uint64_t *ids, size_t n);
void region_slot_free(struct region_slot *slot);
void region_slot_clear_list(struct region_slot *slot);

/* discover.c */
int region_discover(struct region_server *s, struct error *err);

/* lease.c. All but the host's functions do nothing on a node without a metasrv. */
void region_lease_attach(struct region_server *s, struct engine *engine);
/* After a create or open, before region_end(): the region gets its first lease; an opened one follows. */
void region_lease_arm(struct region_server *s, uint64_t id, struct engine *engine, bool opened);
/* Makes a follower of a leader whose lease is over, as the keeper will when it comes by: whoever asks for the role must not be told of one that is
 * over. */
void region_lease_settle(struct region_server *s, uint64_t id);
/* Whether the region is here, and was already what it is now when that heartbeat was sent: only then may its answer close it. */
bool region_lease_is_closeable(struct region_server *s, uint64_t id, int64_t sent_ns);
/* Admission of whatever changes a region: ST_REGION_NOT_READY without a lease. */
int region_lease_enter(struct region_server *s, struct engine *engine, uint64_t id, uint64_t *ret_term, struct error *err);
/* Before the acknowledgement: the lease has held all the time since. */
int region_lease_confirm(struct region_server *s, struct engine *engine, uint64_t id, uint64_t term, struct error *err);
void region_lease_note_instruction(struct region_server *s, uint64_t id);
void region_lease_refresh(struct region_server *s, struct engine *engine, uint64_t id);
/* The same once an instruction has given the role: answers to heartbeats from before it do not undo it. */
void region_lease_take_instructed(struct region_server *s, struct engine *engine, uint64_t id);

/* list.c */
int region_list_load(struct region_server *s, struct error *err);
/* Puts the region on the list (in memory), with copies of everything. */
int region_list_put(struct region_server *s, uint64_t id, const char *engine, const char *path, const struct kv *options, uint32_t n, struct error *err);
/* Adds a region that was found in the data folder, to be opened; `option` is copied when has_option. */
int region_list_adopt(struct region_server *s, uint64_t id, const char *engine, const char *path, const struct kv *option, bool has_option, struct error *err);
void region_list_mark_dropping(struct region_server *s, uint64_t id, bool dropping);
/* After an alter of options: the list takes those that the engine has now. */
int region_list_alter(struct region_server *s, uint64_t id, struct engine *engine, struct message alter, struct error *err);
/* Makes the list on disk as new as memory; a no-op when it is. */
int region_list_save(struct region_server *s, struct error *err);
void *region_list_open_all(void *server);

#endif
