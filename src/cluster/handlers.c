/* What each instruction does (heartbeat.md 6). Outcomes go into the items; nothing here decides the form of the reply. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "cluster/executor.h"
#include "os/thread.h"

static void fail(struct instruction_item *item, const char *text)
{
    if (!item->error)
        item->error = strdup(text);
}

static void fail_whole(struct instruction *i, const char *text)
{
    i->error = arena_copy(&i->arena, text, strlen(text), NULL);
    if (!i->error)
        i->error = "out of memory";
}

/* Whether the region is here and led from here ("leader" includes staging and downgrading ones). False: the item has its outcome. */
static bool is_led(struct region_server *s, struct instruction_item *item)
{
    enum region_role role;
    struct error err;
    int rc = region_server_role(s, item->region_id, &role, &err);
    item->exists = rc != ST_REGION_NOT_FOUND;
    if (rc == ST_OK && role == ROLE_FOLLOWER)
        fail(item, "Region is not leader");
    else if (rc && item->exists)
        fail(item, err.msg);
    return rc == ST_OK && role != ROLE_FOLLOWER;
}

struct each {
    struct executor *x;
    struct instruction *i;
};

/* ---- open and close ---- */

static void open_regions(struct executor *x, struct instruction *i)
{
    struct region_open *opens = calloc(i->n_items + 1, sizeof(*opens));
    if (!opens) {
        fail_whole(i, "out of memory");
        return;
    }
    for (uint32_t k = 0; k < i->n_items; k++) {
        const struct instruction_item *item = &i->items[k];
        opens[k] = (struct region_open){.region_id = item->region_id,
                                        .engine = item->engine,
                                        .path = item->path,
                                        .options = item->options,
                                        .n_options = item->n_options,
                                        .skip_wal_replay = item->skip_wal_replay};
    }
    region_server_open_regions(executor_options(x)->regions, opens, i->n_items);
    for (uint32_t k = 0; k < i->n_items; k++)
        if (opens[k].rc)
            fail(&i->items[k], opens[k].err.msg);
    free(opens);
}

static void close_one(void *ctx, size_t k)
{
    struct each *e = ctx;
    struct region_server *s = executor_options(e->x)->regions;
    struct error err;
    uint64_t id = e->i->items[k].region_id;
    int rc = e->i->sent_ns ? region_server_close_closeable(s, id, e->i->sent_ns, &err) : region_server_close_region(s, id, &err);
    if (rc)
        fail(&e->i->items[k], err.msg);
}

/* ---- downgrade: no new writes, flush what there is, then follow ---- */

enum { AGAIN_MS = 100, AGAIN_MAX_MS = 3200, POLL_MS = 10 };

static int64_t deadline_of(const struct instruction_item *item)
{
    int64_t deadline_ns;
    return __builtin_add_overflow(clock_monotonic_ns(), item->timeout_ns, &deadline_ns) ? INT64_MAX : deadline_ns;
}

/* ST_DEADLINE_EXCEEDED: the flush goes on, and the next instruction joins it. */
static int flush_before(struct executor *x, uint64_t region_id, int64_t deadline_ns, struct error *err)
{
    struct region_catchup_request request = {.region_id = region_id};
    struct run *run;
    bool joined;
    int rc;
    TRY(executor_run(x, RUN_FLUSH, &request, &run, &joined, err));
    if (!run_wait(run, deadline_ns, &rc, err))
        rc = error_set(err, ST_DEADLINE_EXCEEDED, "Flush region timeout, region: %" PRIu64, region_id);
    run_unref(run);
    return rc;
}

static int downgrade(struct executor *x, struct instruction_item *item, int64_t deadline_ns, struct error *err)
{
    struct region_server *s = executor_options(x)->regions;
    struct region_last_entries none;
    enum region_role role;
    TRY(region_server_role(s, item->region_id, &role, err));
    /* A leader whose lease ran out (the node was cut off or stopped) is a follower with rows that only it has. But while metasrv still takes it for
     * the leader, its next lease says so, and then those rows can be flushed as usual. */
    if (item->has_timeout && role == ROLE_FOLLOWER && region_server_expired(s, item->region_id)) {
        TRY(region_server_revive(s, item->region_id, err));
        role = ROLE_DOWNGRADING_LEADER;
    }
    if (item->has_timeout && role != ROLE_FOLLOWER) {
        TRY(region_server_set_role_gracefully(s, item->region_id, ROLE_DOWNGRADING_LEADER, &none, err));
        TRY(flush_before(x, item->region_id, deadline_ns, err));
    }
    return region_server_set_role_gracefully(s, item->region_id, ROLE_FOLLOWER, &item->entries, err);
}

/* A pause, for as long as there is time. */
static bool pause_before(struct executor *x, int64_t deadline_ns, int64_t ms)
{
    int64_t now_ns = clock_monotonic_ns(), end_ns = now_ns + ms * 1000000;
    while (now_ns < end_ns && now_ns < deadline_ns && !executor_stopping(x)) {
        clock_sleep_ns(POLL_MS * 1000000LL);
        now_ns = clock_monotonic_ns();
    }
    return now_ns < deadline_ns && !executor_stopping(x);
}

/* A failure is answered only when the time is up. After three of them metasrv goes on without this node's rows, as soon as the lease is over; but
 * when the time of its procedure is up, too, it gives the region back to this node, rows and all. */
static void downgrade_one(void *ctx, size_t k)
{
    struct each *e = ctx;
    struct instruction_item *item = &e->i->items[k];
    struct error err;
    int64_t deadline_ns = item->has_timeout ? deadline_of(item) : 0, pause_ms = AGAIN_MS;
    int rc;
    while ((rc = downgrade(e->x, item, deadline_ns, &err)) && rc != ST_REGION_NOT_FOUND && rc != ST_UNSUPPORTED &&
           pause_before(e->x, deadline_ns, pause_ms)) {
        if (rc != ST_REGION_NOT_READY && pause_ms < AGAIN_MAX_MS) /* that one waits for a lease; others for a disk, which is spared */
            pause_ms *= 2;
    }
    item->exists = rc != ST_REGION_NOT_FOUND;
    if (rc && item->exists)
        fail(item, err.msg);
}

/* ---- upgrade ---- */

struct upgrade {
    struct run *run;
    bool waiting;
};

/* Starts the catch-up of one region; the item is settled when there is nothing to wait for. */
static void upgrade_start(struct executor *x, struct instruction_item *item, struct upgrade *u)
{
    enum region_role role;
    struct error err;
    bool joined;
    int rc = region_server_role(executor_options(x)->regions, item->region_id, &role, &err);
    item->exists = rc != ST_REGION_NOT_FOUND;
    item->ready = rc == ST_OK && role == ROLE_LEADER;
    if (rc == ST_OK && !item->ready) {
        rc = executor_run(x, RUN_CATCHUP, &item->catchup, &u->run, &joined, &err);
        u->waiting = rc == ST_OK && !joined;
        if (rc == ST_OK && joined) {
            rc = error_set(&err, ST_REGION_BUSY, "region %" PRIu64 " is catching up already", item->region_id);
            run_unref(u->run);
        }
    }
    if (rc && item->exists)
        fail(item, err.msg);
}

static void upgrade_regions(struct executor *x, struct instruction *i)
{
    struct upgrade *upgrades = calloc(i->n_items + 1, sizeof(*upgrades));
    int64_t deadline_ns = i->n_items && i->items[0].has_timeout ? deadline_of(&i->items[0]) : INT64_MAX;
    if (!upgrades) {
        fail_whole(i, "out of memory");
        return;
    }
    for (uint32_t k = 0; k < i->n_items; k++)
        upgrade_start(x, &i->items[k], &upgrades[k]);
    for (uint32_t k = 0; k < i->n_items; k++) {
        struct error err;
        int rc = ST_OK;
        if (!upgrades[k].waiting)
            continue;
        /* Not done in time: neither ready nor an error, and the work goes on. */
        if (run_wait(upgrades[k].run, deadline_ns, &rc, &err)) {
            i->items[k].ready = rc == ST_OK;
            i->items[k].exists = rc != ST_REGION_NOT_FOUND; /* closed meanwhile: metasrv need not ask again */
            if (rc)
                fail(&i->items[k], err.msg);
        }
        run_unref(upgrades[k].run);
    }
    free(upgrades);
}

/* ---- flush ---- */

static void flush_regions(struct executor *x, struct instruction *i)
{
    bool go_on = true;
    for (uint32_t k = 0; k < i->n_items && go_on; k++) {
        struct instruction_item *item = &i->items[k];
        struct error err = {0};
        if (is_led(executor_options(x)->regions, item)) {
            if (flush_before(x, item->region_id, INT64_MAX, &err) != ST_OK)
                fail(item, err.msg);
        } else if (!item->exists) {
            fail(item, "Region not found");
        }
        go_on = !item->error || i->try_all || i->is_async;
    }
}

/* ---- repartition ---- */

/* Instructions to leaders whose answer is whether it worked. */
static void ask_leader(void *ctx, size_t k)
{
    struct each *e = ctx;
    struct instruction_item *item = &e->i->items[k];
    struct region_server *s = executor_options(e->x)->regions;
    struct error err;
    if (!is_led(s, item))
        return;
    int rc = e->i->kind == INSTRUCTION_ENTER_STAGING ? region_server_enter_staging(s, item->region_id, item->partition_expr, &err)
             : e->i->kind == INSTRUCTION_SYNC        ? region_server_sync(s, &item->sync, &err)
                                                     : region_server_apply_staging(s, &item->apply, &err);
    item->ready = rc == ST_OK;
    if (rc)
        fail(item, err.msg);
}

static void remap(struct executor *x, struct instruction *i)
{
    struct region_server *s = executor_options(x)->regions;
    struct error err;
    if (is_led(s, &i->items[0]) && region_server_remap(s, &i->remap, &err) != ST_OK)
        fail(&i->items[0], err.msg);
}

/* ---- file references ---- */

/* Writes `"key":[` before the first element of a list, a comma before the others. */
struct json_list {
    struct dynbuf *out;
    uint64_t key;
    bool *first_key;
    bool open;
};

static int list_next(struct json_list *l, struct error *err)
{
    if (l->open)
        return dynbuf_append_byte(l->out, ',', err);
    l->open = true;
    TRY(dynbuf_printf(l->out, err, "%s\"%" PRIu64 "\":[", *l->first_key ? "" : ",", l->key));
    *l->first_key = false;
    return ST_OK;
}

static int put_ref(void *ctx, const struct region_file_ref *ref, struct error *err)
{
    struct json_list *l = ctx;
    TRY(list_next(l, err));
    TRY(dynbuf_printf(l->out, err, "{\"region_id\":%" PRIu64 ",\"file_id\":\"%s\",\"index_version\":", ref->region_id, ref->file_id));
    return ref->has_index_version ? dynbuf_printf(l->out, err, "%" PRIu64 "}", ref->index_version) : dynbuf_printf(l->out, err, "null}");
}

struct refs {
    struct executor *x;
    struct instruction *i;
    struct dynbuf versions, cross;
    struct u64_map noted; /* the regions in `versions`: a table's regions are all each other's destinations */
    bool first_ref, first_cross;
};

static int note_version(struct refs *r, uint64_t region_id, uint64_t version, struct error *err)
{
    if (u64_map_get(&r->noted, region_id))
        return ST_OK;
    TRY(dynbuf_printf(&r->versions, err, "%s\"%" PRIu64 "\":%" PRIu64, r->noted.count ? "," : "", region_id, version));
    return u64_map_put(&r->noted, region_id, r, err);
}

/* Files of one source region: those that readers here hold, and those that destinations here list. */
static int refs_of(struct refs *r, uint64_t source, bool held, struct error *err)
{
    struct region_server *s = executor_options(r->x)->regions;
    struct json_list files = {&r->i->result, source, &r->first_ref, false}, dests = {&r->cross, source, &r->first_cross, false};
    struct region_file_sink sink = {put_ref, &files};
    uint64_t version;
    int rc = held ? region_server_file_refs(s, source, source, &version, &sink, err) : ST_OK;
    if (held && rc == ST_OK)
        rc = note_version(r, source, version, err);
    rc = rc == ST_REGION_NOT_FOUND ? ST_OK : rc;
    for (uint32_t k = 0; rc == ST_OK && k < r->i->n_related; k++) {
        if (r->i->related[k].from != source)
            continue;
        bool before = files.open;
        size_t size = r->i->result.size;
        rc = region_server_file_refs(s, r->i->related[k].to, source, &version, &sink, err);
        if (rc == ST_REGION_NOT_FOUND) {
            rc = ST_OK;
            continue;
        }
        if (rc == ST_OK && (r->i->result.size != size || files.open != before)) {
            rc = list_next(&dests, err);
            if (rc == ST_OK)
                rc = dynbuf_printf(&r->cross, err, "%" PRIu64, r->i->related[k].to);
        }
        if (rc == ST_OK)
            rc = note_version(r, r->i->related[k].to, version, err);
    }
    if (rc == ST_OK && files.open)
        rc = dynbuf_append_byte(&r->i->result, ']', err);
    if (rc == ST_OK && dests.open)
        rc = dynbuf_append_byte(&r->cross, ']', err);
    return rc;
}

static bool queried(const struct instruction *i, uint64_t region_id)
{
    for (uint32_t k = 0; k < i->n_items; k++)
        if (i->items[k].region_id == region_id)
            return true;
    return false;
}

static int write_refs(struct refs *r, struct error *err)
{
    struct instruction *i = r->i;
    TRY(dynbuf_printf(&i->result, err, "{\"file_refs\":{"));
    for (uint32_t k = 0; k < i->n_items; k++)
        TRY(refs_of(r, i->items[k].region_id, true, err));
    for (uint32_t k = 0; k < i->n_related; k++) {
        bool done = queried(i, i->related[k].from);
        for (uint32_t j = 0; j < k && !done; j++)
            done = i->related[j].from == i->related[k].from;
        if (!done)
            TRY(refs_of(r, i->related[k].from, false, err));
    }
    TRY(dynbuf_printf(&i->result, err, "},\"manifest_version\":{"));
    TRY(dynbuf_append(&i->result, r->versions.data, r->versions.size, err));
    TRY(dynbuf_printf(&i->result, err, "},\"cross_region_refs\":{"));
    TRY(dynbuf_append(&i->result, r->cross.data, r->cross.size, err));
    return dynbuf_printf(&i->result, err, "}}");
}

static void file_refs(struct executor *x, struct instruction *i)
{
    struct refs r = {.x = x, .i = i, .first_ref = true, .first_cross = true};
    struct error err;
    dynbuf_init(&r.versions, i->result.max);
    dynbuf_init(&r.cross, i->result.max);
    u64_map_init(&r.noted);
    if (write_refs(&r, &err) != ST_OK)
        fail_whole(i, err.msg);
    dynbuf_release(&r.versions);
    dynbuf_release(&r.cross);
    u64_map_release(&r.noted);
}

/* ---- garbage collection ---- */

struct collected {
    struct dynbuf files, indexes, processed;
    struct json_list file_list, index_list;
    bool first;
};

static int note_deleted(void *ctx, const struct region_file_ref *ref, struct error *err)
{
    struct collected *c = ctx;
    TRY(list_next(&c->file_list, err));
    TRY(dynbuf_printf(&c->files, err, "\"%s\"", ref->file_id));
    if (!ref->has_index_version)
        return ST_OK;
    TRY(list_next(&c->index_list, err));
    return dynbuf_printf(&c->indexes, err, "[\"%s\",%" PRIu64 "]", ref->file_id, ref->index_version);
}

static int collect_one(struct executor *x, struct instruction *i, uint64_t region_id, const struct table_record *info, struct collected *c,
                       struct error *err)
{
    const struct executor_options *o = executor_options(x);
    enum region_role role;
    struct region_gc_request q = {.region_id = region_id, .path = info->path, .refs = i->refs, .n_refs = i->n_refs, .full_listing = i->full_listing};
    struct region_file_sink sink = {note_deleted, c};
    bool was_first = c->first;
    for (uint32_t k = 0; k < i->n_versions; k++)
        if (i->versions[k].from == region_id) {
            q.has_manifest_version = true;
            q.manifest_version = i->versions[k].to;
        }
    if (region_server_role(o->regions, region_id, &role, NULL) == ST_REGION_NOT_FOUND)
        TRY(records_check_not_routed(o->records, region_id, err));
    bool first_files = was_first, first_indexes = was_first;
    c->file_list = (struct json_list){&c->files, region_id, &first_files, false};
    c->index_list = (struct json_list){&c->indexes, region_id, &first_indexes, false};
    TRY(region_server_gc(o->regions, info->engine, &q, &sink, err));
    /* Every processed region has an entry in both maps, even an empty one. */
    if (!c->file_list.open)
        TRY(dynbuf_printf(&c->files, err, "%s\"%" PRIu64 "\":[", was_first ? "" : ",", region_id));
    if (!c->index_list.open)
        TRY(dynbuf_printf(&c->indexes, err, "%s\"%" PRIu64 "\":[", was_first ? "" : ",", region_id));
    TRY(dynbuf_append_byte(&c->files, ']', err));
    TRY(dynbuf_append_byte(&c->indexes, ']', err));
    TRY(dynbuf_printf(&c->processed, err, "%s%" PRIu64, was_first ? "" : ",", region_id));
    c->first = false;
    return ST_OK;
}

static int collect(struct executor *x, struct instruction *i, struct collected *c, struct error *err)
{
    for (uint32_t k = 0; k < i->n_items; k++) {
        struct table_record info;
        TRY(records_table(executor_options(x)->records, (uint32_t)(i->items[k].region_id >> 32), &info, err));
        TRY(collect_one(x, i, i->items[k].region_id, &info, c, err));
    }
    TRY(dynbuf_printf(&i->result, err, "{\"deleted_files\":{"));
    TRY(dynbuf_append(&i->result, c->files.data, c->files.size, err));
    TRY(dynbuf_printf(&i->result, err, "},\"deleted_indexes\":{"));
    TRY(dynbuf_append(&i->result, c->indexes.data, c->indexes.size, err));
    TRY(dynbuf_printf(&i->result, err, "},\"need_retry_regions\":[],\"processed_regions\":["));
    TRY(dynbuf_append(&i->result, c->processed.data, c->processed.size, err));
    return dynbuf_printf(&i->result, err, "]}");
}

static void gc(struct executor *x, struct instruction *i)
{
    struct collected c = {.first = true};
    struct error err;
    uint64_t key = 0;
    for (uint32_t k = 0; k < i->n_items; k++)
        if (!k || (uint32_t)i->items[k].region_id < (uint32_t)key)
            key = i->items[k].region_id;
    if (i->n_items && !executor_begin_gc(x, key, &err)) {
        fail_whole(i, err.msg);
        return;
    }
    dynbuf_init(&c.files, i->result.max);
    dynbuf_init(&c.indexes, i->result.max);
    dynbuf_init(&c.processed, i->result.max);
    if (collect(x, i, &c, &err) != ST_OK)
        fail_whole(i, err.msg);
    dynbuf_release(&c.files);
    dynbuf_release(&c.indexes);
    dynbuf_release(&c.processed);
    if (i->n_items)
        executor_end_gc(x, key);
}

/* ---- the whole ---- */

static void log_outcome(const struct instruction *i, int64_t ms)
{
    uint32_t failed = 0;
    const char *why = i->error;
    uint64_t first = i->n_items ? i->items[0].region_id : 0;
    for (uint32_t k = 0; k < i->n_items; k++) {
        failed += i->items[k].error != NULL;
        why = why ? why : i->items[k].error;
    }
    if (why)
        log_warn("cluster", "%s of %u regions (first %" PRIu64 ") took %" PRId64 " ms and failed for %u: %.300s", instruction_name(i->kind),
                 i->n_items, first, ms, i->error ? i->n_items : failed, why);
    else
        log_info("cluster", "%s of %u regions (first %" PRIu64 ") took %" PRId64 " ms", instruction_name(i->kind), i->n_items, first, ms);
}

void instruction_execute(struct executor *x, struct instruction *i)
{
    static void (*const bodies[INSTRUCTION_KINDS])(void *ctx, size_t k) = {
        [INSTRUCTION_CLOSE] = close_one, [INSTRUCTION_DOWNGRADE] = downgrade_one,  [INSTRUCTION_ENTER_STAGING] = ask_leader,
        [INSTRUCTION_SYNC] = ask_leader, [INSTRUCTION_APPLY_STAGING] = ask_leader,
    };
    static void (*const wholes[INSTRUCTION_KINDS])(struct executor * x, struct instruction * i) = {
        [INSTRUCTION_OPEN] = open_regions,
        [INSTRUCTION_UPGRADE] = upgrade_regions,
        [INSTRUCTION_FLUSH] = flush_regions,
        [INSTRUCTION_FILE_REFS] = file_refs,
        [INSTRUCTION_GC] = gc,
        [INSTRUCTION_REMAP] = remap,
    };
    struct each each = {x, i};
    int64_t start_ns = clock_monotonic_ns();
    if (bodies[i->kind])
        executor_for(x, i->n_items, bodies[i->kind], &each);
    else if (wholes[i->kind])
        wholes[i->kind](x, i);
    log_outcome(i, (clock_monotonic_ns() - start_ns) / 1000000);
}
