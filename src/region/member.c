/* Instructions to the region server: see region/member.h. Each finds the region's engine and passes the request on; the roles that come of it are
 * noted. */
#include "region/member.h"

#include <stdlib.h>
#include <string.h>

#include "region/internal.h"

/* ---- opening and closing ---- */

struct opening {
    struct region_server *server;
    struct region_open *opens;
    struct engine **engines;
};

static void open_one(void *ctx, size_t i)
{
    struct opening *o = ctx;
    struct region_open *open = &o->opens[i];
    struct engine *engine = o->engines[i];
    if (!engine)
        return;
    struct region_open_request request = {.region_id = open->region_id,
                                          .path = open->path,
                                          .options = open->options,
                                          .n_options = open->n_options,
                                          .skip_wal_replay = open->skip_wal_replay};
    open->rc = atomic_load(&o->server->stopping) ? error_set(&open->err, ST_CANCELLED, "the node is stopping")
                                                 : engine->ops->open(engine, &request, &open->err);
    if (open->rc == ST_OK)
        open->rc = region_register_members(o->server, engine, open->region_id, &open->err);
    if (open->rc == ST_OK)
        region_lease_arm(o->server, open->region_id, engine, true);
    region_end(o->server, open->region_id, CLASS_REGISTER, open->rc == ST_OK);
}

void region_server_open_regions(struct region_server *s, struct region_open *opens, size_t n)
{
    struct opening o = {s, opens, calloc(n ? n : 1, sizeof(*o.engines))};
    for (size_t i = 0; i < n; i++) {
        struct engine *engine = o.engines ? region_engine_by_name(s, opens[i].engine) : NULL;
        if (!engine)
            opens[i].rc = error_set(&opens[i].err, ST_INVALID_ARGUMENTS, "Region engine %s is not registered", opens[i].engine);
        else
            opens[i].rc = region_begin(s, opens[i].region_id, CLASS_REGISTER, engine, &engine, &opens[i].err);
        if (opens[i].rc == ST_OK)
            o.engines[i] = engine;
    }
    unsigned threads = s->options.init_parallelism ? s->options.init_parallelism : 16;
    struct thread_pool *pool = NULL;
    if (threads > n)
        threads = (unsigned)n;
    if (threads > 1 && thread_pool_new("region-open", threads, n + 1, &pool, NULL) != ST_OK)
        pool = NULL; /* then one after the other */
    thread_pool_for(pool, o.engines ? n : 0, open_one, &o);
    thread_pool_free(pool);
    free(o.engines);
}

int region_server_close_region(struct region_server *s, uint64_t region_id, struct error *err)
{
    return region_deregister(s, region_id, NULL, INT64_MAX, err);
}

int region_server_close_closeable(struct region_server *s, uint64_t region_id, int64_t sent_ns, struct error *err)
{
    return region_deregister(s, region_id, NULL, sent_ns, err);
}

/* ---- roles ---- */

int region_server_role(struct region_server *s, uint64_t region_id, enum region_role *ret_role, struct error *err)
{
    struct engine *engine;
    struct region_stat stat;
    TRY(region_begin(s, region_id, CLASS_OTHER, NULL, &engine, err));
    region_lease_settle(s, region_id);
    TRY(engine->ops->stat(engine, region_id, &stat, err));
    *ret_role = stat.role;
    return ST_OK;
}

int region_server_set_role_gracefully(struct region_server *s, uint64_t region_id, enum region_role role, struct region_last_entries *ret_entries,
                                      struct error *err)
{
    struct engine *engine;
    TRY(region_begin(s, region_id, CLASS_OTHER, NULL, &engine, err));
    *ret_entries = (struct region_last_entries){0};
    if (!engine->ops->set_role_gracefully)
        return ST_OK;
    region_lease_note_instruction(s, region_id);
    int rc = engine->ops->set_role_gracefully(engine, region_id, role, ret_entries, err);
    region_lease_refresh(s, engine, region_id);
    return rc;
}

int region_server_flush(struct region_server *s, uint64_t region_id, struct error *err)
{
    struct engine *engine;
    TRY(region_begin(s, region_id, CLASS_OTHER, NULL, &engine, err));
    return engine->ops->flush(engine, region_id, err);
}

static int unsupported(const struct engine *engine, const char *what, struct error *err)
{
    return error_set(err, ST_UNSUPPORTED, "%s is not supported by the %s engine", what, engine->ops->name);
}

int region_server_catchup(struct region_server *s, const struct region_catchup_request *request, struct error *err)
{
    struct engine *engine;
    TRY(region_begin(s, request->region_id, CLASS_OTHER, NULL, &engine, err));
    if (!engine->ops->catchup)
        return unsupported(engine, "catching up", err);
    int rc = engine->ops->catchup(engine, request, err);
    if (rc == ST_OK)
        rc = region_register_members(s, engine, request->region_id, err);
    region_lease_take_instructed(s, engine, request->region_id);
    return rc;
}

int region_server_sync(struct region_server *s, const struct region_sync_request *request, struct error *err)
{
    struct engine *engine;
    uint64_t term = 0;
    TRY(region_begin(s, request->region_id, CLASS_OTHER, NULL, &engine, err));
    if (!engine->ops->sync)
        return ST_OK;         /* the file engine has nothing to follow */
    if (request->from_region) /* a write, of a leader */
        TRY(region_lease_enter(s, engine, request->region_id, &term, err));
    TRY(engine->ops->sync(engine, request, err));
    TRY(region_register_members(s, engine, request->region_id, err));
    return request->from_region ? region_lease_confirm(s, engine, request->region_id, term, err) : ST_OK;
}

int region_server_enter_staging(struct region_server *s, uint64_t region_id, const char *partition_expr, struct error *err)
{
    struct engine *engine;
    uint64_t term;
    TRY(region_begin(s, region_id, CLASS_OTHER, NULL, &engine, err));
    TRY(region_lease_enter(s, engine, region_id, &term, err));
    if (!engine->ops->enter_staging)
        return unsupported(engine, "staging", err);
    region_lease_note_instruction(s, region_id);
    int rc = engine->ops->enter_staging(engine, region_id, partition_expr, err);
    region_lease_refresh(s, engine, region_id);
    return rc;
}

int region_server_remap(struct region_server *s, const struct region_remap_request *request, struct error *err)
{
    struct engine *engine;
    TRY(region_begin(s, request->region_id, CLASS_OTHER, NULL, &engine, err));
    return engine->ops->remap ? engine->ops->remap(engine, request, err) : unsupported(engine, "remapping manifests", err);
}

int region_server_apply_staging(struct region_server *s, const struct region_apply_request *request, struct error *err)
{
    struct engine *engine;
    TRY(region_begin(s, request->region_id, CLASS_OTHER, NULL, &engine, err));
    if (!engine->ops->apply_staging)
        return unsupported(engine, "staging", err);
    int rc = engine->ops->apply_staging(engine, request, err);
    region_lease_take_instructed(s, engine, request->region_id);
    return rc;
}

int region_server_file_refs(struct region_server *s, uint64_t region_id, uint64_t source_id, uint64_t *ret_manifest_version,
                            struct region_file_sink *sink, struct error *err)
{
    struct engine *engine;
    TRY(region_begin(s, region_id, CLASS_OTHER, NULL, &engine, err));
    if (!engine->ops->file_refs)
        return error_set(err, ST_REGION_NOT_FOUND, "the %s engine has no files to collect", engine->ops->name);
    return engine->ops->file_refs(engine, region_id, source_id, ret_manifest_version, sink, err);
}

int region_server_gc(struct region_server *s, const char *engine_name, const struct region_gc_request *request, struct region_file_sink *deleted,
                     struct error *err)
{
    struct engine *engine;
    int rc = region_begin(s, request->region_id, CLASS_OTHER, NULL, &engine, err);
    if (rc == ST_REGION_NOT_FOUND) {
        engine = region_engine_by_name(s, engine_name);
        rc = engine ? ST_OK : rc;
    }
    TRY(rc);
    return engine->ops->gc ? engine->ops->gc(engine, request, deleted, err) : unsupported(engine, "garbage collection", err);
}

/* ---- reports ---- */

int region_server_activities(struct region_server *s, struct region_activity **ret_list, size_t *ret_n, struct error *err)
{
    size_t n = 0, pos = 0;
    uint64_t id;
    void *value;
    pthread_mutex_lock(&s->lock);
    struct region_activity *list = malloc((s->slots.count + 1) * sizeof(*list));
    while (list && u64_map_next(&s->slots, &pos, &id, &value)) {
        const struct region_slot *slot = value;
        /* A region that is being opened for the first time is not known to the engine yet. */
        if (slot->engine && (slot->status != SLOT_REGISTERING || slot->had_before) && (slot->has_lease || !slot->engine->ops->set_role))
            list[n++] = (struct region_activity){id, slot->activity, slot->engine};
    }
    size_t room = s->slots.count;
    pthread_mutex_unlock(&s->lock);
    if (!list)
        return error_no_memory(err, room * sizeof(*list));
    *ret_list = list;
    *ret_n = n;
    return ST_OK;
}

const char *region_activity_engine(const struct region_activity *a)
{
    return a->engine->ops->name;
}

/* Regions of one engine. */
static void stat_ahead(struct engine *engine, const struct region_activity *list, size_t n)
{
    uint64_t ids[REGION_STATS_MAX];
    for (size_t i = 0; i < n; i++)
        ids[i] = list[i].region_id;
    if (engine->ops->stat_ahead)
        engine->ops->stat_ahead(engine, ids, n);
}

int region_server_stats(struct region_server *s, const struct region_activity *list, size_t n, struct region_stat *ret_stats, bool *ret_known,
                        struct error *err)
{
    for (size_t i = 0, end; i < n; i = end) {
        struct engine *engine = list[i].engine;
        for (end = i + 1; end < n && list[end].engine == engine;)
            end++;
        stat_ahead(engine, list + i, end - i);
        for (size_t k = i; k < end; k++) {
            int rc = engine->ops->stat(engine, list[k].region_id, &ret_stats[k], err);
            ret_known[k] = rc == ST_OK;
            if (rc && rc != ST_REGION_NOT_FOUND && rc != ST_UNSUPPORTED)
                return rc;
            if (rc == ST_OK && ret_stats[k].overtaken) /* its role has changed without a lease or an instruction */
                region_lease_refresh(s, engine, list[k].region_id);
        }
    }
    return ST_OK;
}
