/* The durable list of regions of a node that has no metasrv to tell it:
 * {"version":1,"regions":[{"id","engine","path","options","dropping","found"}]}.
 *
 * The file is replaced as a whole (fs_write_atomic) before a create, drop, close, open or alter of options is acknowledged; concurrent changes share
 * one write. A region marked `dropping` is dropped at the next start, so that a crash inside a drop leaves nothing half alive.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "format/proto/wire.h"
#include "region/internal.h"

enum { LIST_BYTES_MAX = 256 << 20 };

int region_list_put(struct region_server *s, uint64_t id, const char *engine, const char *path, const struct kv *options, uint32_t n,
                    struct error *err)
{
    if (!s->list_path)
        return ST_OK;
    struct kv *copy = NULL;
    TRY(kv_list_copy(options, n, &copy, err));
    char *name = strdup(engine), *place = strdup(path);
    if (!name || !place) {
        free(name);
        free(place);
        kv_list_free(copy, n);
        return error_no_memory(err, 64);
    }
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, id);
    if (slot && (!slot->listed || slot->found)) { /* a repeated create changes nothing, its options included */
        region_slot_clear_list(slot);
        slot->engine_name = name;
        slot->path = place;
        slot->options = copy;
        slot->n_options = n;
        slot->listed = true;
        s->list_version++;
        name = place = NULL;
        copy = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    free(name);
    free(place);
    kv_list_free(copy, n);
    return ST_OK;
}

/* Adds an option to a slot that is not shared yet. */
static int add_option(struct region_slot *slot, const char *key, const char *value, struct error *err)
{
    if (slot->n_options >= OPTIONS_MAP_MAX)
        return error_set(err, ST_CORRUPT, "more than %d options", OPTIONS_MAP_MAX);
    struct kv *more = realloc(slot->options, (slot->n_options + 1) * sizeof(*more));
    if (!more)
        return error_no_memory(err, sizeof(*more));
    slot->options = more;
    struct kv option = {strdup(key), strdup(value)};
    if (!option.key || !option.value) {
        free(option.key);
        free(option.value);
        return error_no_memory(err, 64);
    }
    more[slot->n_options++] = option;
    return ST_OK;
}

/* A slot as it is before its region is opened for the first time in this process; it is in the map. Before the server is shared. */
static int add_slot(struct region_server *s, uint64_t id, const char *engine, const char *path, struct region_slot **ret_slot, struct error *err)
{
    struct region_slot *slot = calloc(1, sizeof(*slot));
    struct region_slot *old = slot ? u64_map_get(&s->slots, id) : NULL;
    if (!slot || old || u64_map_put(&s->slots, id, slot, err)) {
        free(slot);
        return old ? error_set(err, ST_CORRUPT, "region %" PRIu64 " stands twice in %s", id, s->list_path) : error_no_memory(err, 256);
    }
    *slot = (struct region_slot){.id = id, .status = SLOT_REGISTERING, .registering = 1, .listed = true};
    slot->engine = region_engine_by_name(s, engine);
    slot->engine_name = strdup(engine);
    slot->path = strdup(path);
    if (!slot->engine_name || !slot->path)
        return error_no_memory(err, 64);
    *ret_slot = slot;
    return ST_OK;
}

int region_list_adopt(struct region_server *s, uint64_t id, const char *engine, const char *path, const struct kv *option, bool has_option,
                      struct error *err)
{
    struct region_slot *slot;
    TRY(add_slot(s, id, engine, path, &slot, err));
    slot->found = true;
    s->list_version++;
    return has_option ? add_option(slot, option->key, option->value, err) : ST_OK;
}

void region_list_mark_dropping(struct region_server *s, uint64_t id, bool dropping)
{
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, id);
    if (slot && slot->listed && slot->dropping != dropping) {
        slot->dropping = dropping;
        s->list_version++;
    }
    pthread_mutex_unlock(&s->lock);
}

int region_list_alter(struct region_server *s, uint64_t id, struct engine *engine, struct message alter, struct error *err)
{
    struct pb_field f;
    struct kv *options;
    uint32_t n;
    bool of_options = false;
    for (struct pb_reader r = pb_reader_of(alter.data, alter.size); pb_next(&r, &f);)
        of_options |= f.wire == PB_BYTES && (f.number == 6 || f.number == 9);
    if (!s->list_path || !of_options || !engine->ops->options)
        return ST_OK;
    TRY(engine->ops->options(engine, id, &options, &n, err)); /* what the engine made of them is what it must be opened with */
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, id);
    if (slot && slot->listed) {
        kv_list_free(slot->options, slot->n_options);
        slot->options = options;
        slot->n_options = n;
        options = NULL;
        s->list_version++;
    }
    pthread_mutex_unlock(&s->lock);
    kv_list_free(options, n);
    return ST_OK;
}

/* False when memory is out: a list that lacks a region must not replace one that has it. */
static bool add_text(json_t *regions, const struct region_slot *slot)
{
    json_t *options = json_object();
    bool good = true;
    for (uint32_t i = 0; i < slot->n_options; i++)
        good &= json_object_set_new(options, slot->options[i].key, json_string(slot->options[i].value)) == 0;
    json_t *region = json_pack("{s:I,s:s,s:s,s:o}", "id", (json_int_t)slot->id, "engine", slot->engine_name, "path", slot->path, "options", options);
    if (slot->dropping)
        good &= json_object_set_new(region, "dropping", json_true()) == 0;
    if (slot->found)
        good &= json_object_set_new(region, "found", json_true()) == 0;
    return json_array_append_new(regions, region) == 0 && good;
}

/* s->lock held. NULL when memory is out. */
static char *list_text(struct region_server *s)
{
    json_t *regions = json_array(), *root = json_pack("{s:i,s:o}", "version", 1, "regions", regions);
    size_t pos = 0;
    uint64_t id;
    void *value;
    bool good = root != NULL;
    while (good && u64_map_next(&s->slots, &pos, &id, &value))
        good = !((struct region_slot *)value)->listed || add_text(regions, value);
    char *text = good ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    return text;
}

int region_list_save(struct region_server *s, struct error *err)
{
    if (!s->list_path || s->options.read_only)
        return ST_OK;
    char tmp[4096];
    snprintf(tmp, sizeof(tmp), "%s.tmp", s->list_path);
    int rc = ST_OK;
    pthread_mutex_lock(&s->list_lock);
    pthread_mutex_lock(&s->lock);
    uint64_t version = s->list_version;
    char *text = version != s->list_saved ? list_text(s) : NULL;
    pthread_mutex_unlock(&s->lock);
    if (version != s->list_saved) {
        rc = text ? fs_write_atomic(s->options.fs, s->list_path, tmp, text, strlen(text), err) : error_no_memory(err, 4096);
        if (rc == ST_OK)
            s->list_saved = version;
    }
    pthread_mutex_unlock(&s->list_lock);
    free(text);
    return rc;
}

static int load_one(struct region_server *s, json_t *region, struct error *err)
{
    json_int_t id = 0;
    const char *engine = NULL, *path = NULL, *key;
    json_t *options = NULL, *value;
    int dropping = 0, found = 0;
    struct region_slot *slot;
    if (json_unpack(region, "{s:I,s:s,s:s,s:o,s?b,s?b}", "id", &id, "engine", &engine, "path", &path, "options", &options, "dropping", &dropping,
                    "found", &found))
        return error_set(err, ST_CORRUPT, "a region in %s lacks id, engine, path or options", s->list_path);
    TRY(add_slot(s, (uint64_t)id, engine, path, &slot, err));
    slot->dropping = dropping;
    slot->found = found;
    json_object_foreach(options, key, value) {
        if (json_is_string(value))
            TRY(add_option(slot, key, json_string_value(value), err));
    }
    return ST_OK;
}

int region_list_load(struct region_server *s, struct error *err)
{
    struct dynbuf text;
    dynbuf_init(&text, LIST_BYTES_MAX);
    json_error_t why;
    json_t *root = NULL;
    size_t i;
    json_t *region;
    int rc = fs_read_all(s->options.fs, s->list_path, LIST_BYTES_MAX, &text, err);
    if (rc)
        goto out;
    root = json_loadb((const char *)text.data, text.size, 0, &why);
    json_t *regions = json_object_get(root, "regions");
    if (!json_is_array(regions) || json_integer_value(json_object_get(root, "version")) != 1) {
        rc = error_set(err, ST_CORRUPT, "%s is not a list of regions (%s); restore it from a copy", s->list_path, root ? "wrong form" : why.text);
        goto out;
    }
    json_array_foreach(regions, i, region) {
        rc = load_one(s, region, err);
        if (rc)
            break;
    }
out:
    json_decref(root);
    dynbuf_release(&text);
    return rc;
}

struct opening {
    struct region_server *server;
    uint64_t *ids;
    size_t n;
};

static void fail_slot(struct region_server *s, uint64_t id, const struct error *err)
{
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, id);
    if (slot) {
        slot->before = SLOT_FAILED;
        slot->had_before = true;
        free(slot->error);
        slot->error = strdup(err->msg);
    }
    pthread_mutex_unlock(&s->lock);
    log_error("region", "region %" PRIu64 "(%u, %u) could not be opened: %s; it answers 4008 until it can: repair the cause and restart, or close it",
              id, (unsigned)(id >> 32), (unsigned)id, err->msg);
}

/* What the node did not get to before it ended; `rc` is what came of opening the region. A drop that the engine refuses (a region with others in it)
 * had been refused then, too: the region stays. */
static int finish_drop(struct region_server *s, struct engine *engine, uint64_t id, int rc, bool *dropping, struct error *err)
{
    struct region_drop_request drop = {.region_id = id};
    if (rc == ST_OK && (rc = engine->ops->drop(engine, &drop, err)) == ST_INVALID_ARGUMENTS) {
        region_list_mark_dropping(s, id, false);
        *dropping = false;
        rc = ST_OK;
    }
    return rc == ST_REGION_NOT_FOUND ? ST_OK : rc;
}

static void open_one(void *ctx, size_t i)
{
    struct opening *o = ctx;
    struct region_server *s = o->server;
    uint64_t id = o->ids[i];
    if (atomic_load(&s->stopping))
        return;
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, id);
    struct engine *engine = slot->engine;
    bool dropping = slot->dropping;
    struct error err = {0};
    bool reads = s->options.read_only;
    /* Copies: who has waited long enough for a region that was found tells its options meanwhile. */
    struct kv *options = NULL;
    char *path = strdup(slot->path);
    int rc = path ? kv_list_copy(slot->options, slot->n_options, &options, &err) : error_no_memory(&err, 256);
    struct region_open_request open = {.region_id = id, .path = path, .options = options, .n_options = slot->n_options,
                                       .writable = !slot->found && !reads, .skip_wal_replay = reads, .dropping = dropping};
    if (rc == ST_OK && !engine)
        rc = error_set(&err, ST_INVALID_ARGUMENTS, "engine %s is not registered", slot->engine_name);
    else if (rc == ST_OK && dropping && reads)
        rc = error_set(&err, ST_REGION_NOT_FOUND, "it is being dropped");
    pthread_mutex_unlock(&s->lock);
    if (rc == ST_OK)
        rc = engine->ops->open(engine, &open, &err);
    kv_list_free(options, options ? open.n_options : 0);
    free(path);
    if (dropping && !reads)
        rc = finish_drop(s, engine, id, rc, &dropping, &err);
    if (rc == ST_OK && !dropping)
        rc = region_register_members(s, engine, id, &err);
    if (rc)
        fail_slot(s, id, &err);
    region_end(s, id, CLASS_REGISTER, rc == ST_OK);
    struct engine *again;
    if (rc == ST_OK && dropping && region_begin(s, id, CLASS_DEREGISTER, NULL, &again, NULL) == ST_OK)
        region_end(s, id, CLASS_DEREGISTER, true);
}

void *region_list_open_all(void *server)
{
    struct region_server *s = server;
    struct opening o = {.server = s};
    pthread_mutex_lock(&s->lock);
    size_t pos = 0, room = s->slots.count;
    void *value;
    o.ids = malloc((room + 1) * sizeof(*o.ids));
    while (o.ids && o.n < room && u64_map_next(&s->slots, &pos, &o.ids[o.n], &value))
        o.n += ((struct region_slot *)value)->listed && ((struct region_slot *)value)->status == SLOT_REGISTERING;
    pthread_mutex_unlock(&s->lock);
    struct thread_pool *pool = NULL;
    struct error err = {0};
    unsigned threads = s->options.init_parallelism ? s->options.init_parallelism : 16;
    if (threads > o.n)
        threads = (unsigned)o.n;
    if (threads > 1 && thread_pool_new("region-open", threads, o.n + 1, &pool, &err))
        log_warn("region", "regions are opened one by one: %s", err.msg);
    thread_pool_for(pool, o.n, open_one, &o);
    thread_pool_free(pool);
    pthread_mutex_lock(&s->lock);
    s->opening = false;
    pthread_cond_broadcast(&s->opened);
    pthread_mutex_unlock(&s->lock);
    if (o.n)
        log_info("region", "%zu regions of the list opened or marked as failed", o.n);
    if (region_list_save(s, &err))
        log_error("region", "the list of regions could not be written: %s", err.msg);
    free(o.ids);
    return NULL;
}
