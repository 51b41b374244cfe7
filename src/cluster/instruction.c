/* Reading instructions: see cluster/instruction.h. serde's externally tagged form: {"Name": payload} or "Name"; unknown keys are ignored. */
#include "cluster/instruction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "format/json/json.h"

enum { ITEMS_MAX = 1 << 20, OPTIONS_MAX = 1024 };

static int bad(const char *what, struct error *err)
{
    return error_set(err, ST_CORRUPT, "an instruction has a bad %s", what);
}

/* ---- values ---- */

/* {"secs":..,"nanos":..} */
static bool read_duration(const struct json_value *v, int64_t *ret_ns)
{
    uint64_t secs = 0, nanos = 0;
    if (!json_u64(json_get(v, "secs"), &secs) || (json_get(v, "nanos") && !json_u64(json_get(v, "nanos"), &nanos)) || nanos > 1000000000)
        return false;
    *ret_ns = secs > INT64_MAX / 1000000000 - 1 ? INT64_MAX : (int64_t)(secs * 1000000000 + nanos);
    return true;
}

static bool is_null(const struct json_value *v)
{
    return !v || v->kind == JSON_NULL;
}

/* A string in the arena; an absent one is "". */
static int read_text(struct arena *a, const struct json_value *v, const char **ret_text, struct error *err)
{
    *ret_text = "";
    if (is_null(v))
        return ST_OK;
    if (!json_text(v))
        return bad("string", err);
    *ret_text = arena_copy(a, v->string, v->string_size, err);
    return *ret_text ? ST_OK : ST_NO_MEMORY;
}

static int read_id(const struct json_value *v, uint64_t *ret_id, struct error *err)
{
    return json_u64(v, ret_id) ? ST_OK : bad("region id", err);
}

/* The key of an object member, a decimal number. */
static int read_key(const struct json_value *member, uint64_t *ret_id, struct error *err)
{
    struct json_value key = {.kind = JSON_STRING, .string = member->key, .string_size = member->key_size};
    return read_id(&key, ret_id, err);
}

int instruction_read_options(struct arena *a, const struct json_value *options, const struct json_value *wal_options, uint32_t number,
                             struct kv **ret_options, uint32_t *ret_n, struct error *err)
{
    char name[16];
    uint32_t n = 0, room = (json_is(options, JSON_OBJECT) ? options->count : 0) + 1;
    if ((!is_null(options) && options->kind != JSON_OBJECT) || (!is_null(wal_options) && wal_options->kind != JSON_OBJECT) || room > OPTIONS_MAX)
        return bad("map of options", err);
    struct kv *list = ARENA_ARRAY(a, room, struct kv, err);
    if (!list)
        return ST_NO_MEMORY;
    for (const struct json_value *v = json_is(options, JSON_OBJECT) ? options->first : NULL; v; v = v->next) {
        if (!json_text(v))
            return bad("option", err);
        list[n] = (struct kv){arena_copy(a, v->key, v->key_size, err), arena_copy(a, v->string, v->string_size, err)};
        if (!list[n].key || !list[n].value)
            return ST_NO_MEMORY;
        n++;
    }
    snprintf(name, sizeof(name), "%u", number);
    const struct json_value *wal = json_get(wal_options, name);
    if (json_text(wal)) {
        list[n] = (struct kv){arena_copy(a, "wal_options", 11, err), arena_copy(a, wal->string, wal->string_size, err)};
        if (!list[n].key || !list[n].value)
            return ST_NO_MEMORY;
        n++;
    }
    *ret_options = list;
    *ret_n = n;
    return ST_OK;
}

/* ---- items ---- */

/* {"datanode_id","table_id","region_number","engine"} */
static int read_ident(struct arena *a, const struct json_value *v, struct instruction_item *item, struct error *err)
{
    uint64_t table, number;
    if (!json_u64(json_get(v, "table_id"), &table) || table > UINT32_MAX || !json_u64(json_get(v, "region_number"), &number) || number > UINT32_MAX)
        return bad("region ident", err);
    item->region_id = table << 32 | number;
    return read_text(a, json_get(v, "engine"), &item->engine, err);
}

static int read_open(struct arena *a, const struct json_value *v, struct instruction_item *item, struct error *err)
{
    const struct json_value *skip = json_get(v, "skip_wal_replay");
    TRY(read_ident(a, json_get(v, "region_ident"), item, err));
    TRY(read_text(a, json_get(v, "region_storage_path"), &item->path, err));
    if (!is_null(skip) && !json_bool(skip, &item->skip_wal_replay))
        return bad("skip_wal_replay", err);
    return instruction_read_options(a, json_get(v, "region_options"), json_get(v, "region_wal_options"), (uint32_t)item->region_id, &item->options,
                                    &item->n_options, err);
}

static int read_downgrade(struct arena *a, const struct json_value *v, struct instruction_item *item, struct error *err)
{
    (void)a;
    const struct json_value *timeout = json_get(v, "flush_timeout");
    TRY(read_id(json_get(v, "region_id"), &item->region_id, err));
    item->has_timeout = !is_null(timeout);
    return !item->has_timeout || read_duration(timeout, &item->timeout_ns) ? ST_OK : bad("flush_timeout", err);
}

static int read_upgrade(struct arena *a, const struct json_value *v, struct instruction_item *item, struct error *err)
{
    (void)a;
    const struct json_value *timeout = json_get(v, "replay_timeout");
    TRY(read_id(json_get(v, "region_id"), &item->region_id, err));
    item->catchup.region_id = item->region_id;
    item->catchup.has_entry_id = json_u64(json_get(v, "last_entry_id"), &item->catchup.entry_id);
    item->catchup.has_metadata_entry_id = json_u64(json_get(v, "metadata_last_entry_id"), &item->catchup.metadata_entry_id);
    item->has_timeout = !is_null(timeout);
    return !item->has_timeout || (json_text(timeout) && duration_parse(timeout->string, &item->timeout_ns)) ? ST_OK : bad("replay_timeout", err);
}

static int read_enter(struct arena *a, const struct json_value *v, struct instruction_item *item, struct error *err)
{
    const struct json_value *directive = json_get(v, "partition_directive");
    if (!directive)
        directive = json_get(v, "partition_expr");
    TRY(read_id(json_get(v, "region_id"), &item->region_id, err));
    if (json_is(directive, JSON_OBJECT) && json_is_string(json_get(directive, "type"), "reject_all_writes"))
        return ST_OK;
    if (!json_text(directive))
        return bad("partition_directive", err);
    return read_text(a, directive, &item->partition_expr, err);
}

static int read_sync(struct arena *a, const struct json_value *v, struct instruction_item *item, struct error *err)
{
    (void)a;
    struct region_sync_request *s = &item->sync;
    const struct json_value *kind = json_only_member(json_get(v, "request")), *info;
    TRY(read_id(json_get(v, "region_id"), &item->region_id, err));
    s->region_id = item->region_id;
    if (kind && strcmp(kind->key, "FromRegion") == 0) {
        s->from_region = true;
        return read_id(json_get(kind, "source_region_id"), &s->source_region_id, err);
    }
    info = kind && strcmp(kind->key, "FromManifest") == 0 ? json_only_member(kind) : NULL;
    if (!info || (strcmp(info->key, "Mito") != 0 && strcmp(info->key, "Metric") != 0))
        return bad("sync request", err);
    s->is_metric = info->key[1] == 'e';
    if (!json_u64(json_get(info, s->is_metric ? "data_manifest_version" : "manifest_version"), &s->manifest_version) ||
        (s->is_metric && !json_u64(json_get(info, "metadata_manifest_version"), &s->metadata_manifest_version)))
        return bad("manifest version", err);
    return ST_OK;
}

static int read_apply(struct arena *a, const struct json_value *v, struct instruction_item *item, struct error *err)
{
    TRY(read_id(json_get(v, "region_id"), &item->region_id, err));
    TRY(read_id(json_get(v, "central_region_id"), &item->apply.central_region_id, err));
    TRY(read_text(a, json_get(v, "partition_expr"), &item->apply.partition_expr, err));
    item->apply.region_id = item->region_id;
    return read_text(a, json_get(v, "manifest_path"), &item->apply.manifest_path, err);
}

typedef int (*item_reader)(struct arena *a, const struct json_value *v, struct instruction_item *item, struct error *err);

static int read_id_item(struct arena *a, const struct json_value *v, struct instruction_item *item, struct error *err)
{
    (void)a;
    return read_id(v, &item->region_id, err);
}

/* An array of items, or a single one. */
static int read_items(struct instruction *i, const struct json_value *payload, item_reader read, struct error *err)
{
    bool many = json_is(payload, JSON_ARRAY);
    const struct json_value *v = many ? payload->first : payload;
    uint32_t n = many ? payload->count : 1;
    if (n > ITEMS_MAX || !payload)
        return bad("list of regions", err);
    i->items = ARENA_ARRAY(&i->arena, n + 1, struct instruction_item, err);
    if (!i->items)
        return ST_NO_MEMORY;
    for (; i->n_items < n; v = v->next) {
        TRY(read(&i->arena, v, &i->items[i->n_items], err));
        i->n_items++;
    }
    return ST_OK;
}

/* ---- the others ---- */

static int read_flush(struct instruction *i, const struct json_value *v, struct error *err)
{
    const struct json_value *strategy = json_get(v, "strategy"), *errors = json_get(v, "error_strategy");
    i->is_async = json_is_string(strategy, "Async");
    i->try_all = json_is_string(errors, "TryAll");
    if ((!is_null(strategy) && !i->is_async && !json_is_string(strategy, "Sync")) ||
        (!is_null(errors) && !i->try_all && !json_is_string(errors, "FailFast")))
        return bad("flush strategy", err);
    if (!json_is(json_get(v, "region_ids"), JSON_ARRAY))
        return bad("list of regions", err);
    return read_items(i, json_get(v, "region_ids"), read_id_item, err);
}

static int count_members(const struct json_value *map, bool arrays, uint32_t *ret_n, struct error *err)
{
    uint64_t n = 0;
    if (!is_null(map) && map->kind != JSON_OBJECT)
        return bad("map", err);
    for (const struct json_value *m = is_null(map) ? NULL : map->first; m; m = m->next) {
        if (arrays && m->kind != JSON_ARRAY)
            return bad("map of lists", err);
        n += arrays ? m->count : 1;
    }
    if (n > ITEMS_MAX)
        return bad("map", err);
    *ret_n = (uint32_t)n;
    return ST_OK;
}

/* {"a":[b,c]} as (a,b), (a,c). */
static int read_pairs(struct arena *a, const struct json_value *map, struct region_pair **ret_pairs, uint32_t *ret_n, struct error *err)
{
    uint32_t n = 0, room;
    TRY(count_members(map, true, &room, err));
    struct region_pair *pairs = ARENA_ARRAY(a, room + 1, struct region_pair, err);
    if (!pairs)
        return ST_NO_MEMORY;
    for (const struct json_value *m = is_null(map) ? NULL : map->first; m; m = m->next)
        for (const struct json_value *v = m->first; v; v = v->next, n++) {
            TRY(read_key(m, &pairs[n].from, err));
            TRY(read_id(v, &pairs[n].to, err));
        }
    *ret_pairs = pairs;
    *ret_n = n;
    return ST_OK;
}

static int read_file_refs(struct instruction *i, const struct json_value *v, struct error *err)
{
    if (!json_is(json_get(v, "query_regions"), JSON_ARRAY))
        return bad("list of regions", err);
    TRY(read_items(i, json_get(v, "query_regions"), read_id_item, err));
    return read_pairs(&i->arena, json_get(v, "related_regions"), &i->related, &i->n_related, err);
}

static int read_ref(struct arena *a, const struct json_value *member, const struct json_value *v, struct region_file_ref *ref, struct error *err)
{
    TRY(read_key(member, &ref->region_id, err));
    if (!json_text(json_get(v, "file_id")))
        return bad("file id", err);
    ref->has_index_version = json_u64(json_get(v, "index_version"), &ref->index_version);
    return read_text(a, json_get(v, "file_id"), &ref->file_id, err);
}

static int read_gc(struct instruction *i, const struct json_value *v, struct error *err)
{
    const struct json_value *manifest = json_get(v, "file_refs_manifest"), *refs = json_get(manifest, "file_refs");
    const struct json_value *versions = json_get(manifest, "manifest_version"), *full = json_get(v, "full_file_listing");
    uint32_t n, k = 0;
    if (!json_is(json_get(v, "regions"), JSON_ARRAY) || (!is_null(full) && !json_bool(full, &i->full_listing)))
        return bad("garbage collection", err);
    TRY(read_items(i, json_get(v, "regions"), read_id_item, err));
    TRY(count_members(refs, true, &n, err));
    if (!(i->refs = ARENA_ARRAY(&i->arena, n + 1, struct region_file_ref, err)))
        return ST_NO_MEMORY;
    for (const struct json_value *m = is_null(refs) ? NULL : refs->first; m; m = m->next)
        for (const struct json_value *r = m->first; r; r = r->next, i->n_refs++)
            TRY(read_ref(&i->arena, m, r, &i->refs[i->n_refs], err));
    TRY(count_members(versions, false, &n, err));
    if (!(i->versions = ARENA_ARRAY(&i->arena, n + 1, struct region_pair, err)))
        return ST_NO_MEMORY;
    for (const struct json_value *m = is_null(versions) ? NULL : versions->first; m; m = m->next, k++) {
        TRY(read_key(m, &i->versions[k].from, err));
        TRY(read_id(m, &i->versions[k].to, err));
    }
    i->n_versions = k;
    return ST_OK;
}

static int read_remap(struct instruction *i, const struct json_value *v, struct error *err)
{
    const struct json_value *inputs = json_get(v, "input_regions"), *exprs = json_get(v, "new_partition_exprs");
    struct region_remap_request *q = &i->remap;
    struct region_pair *mapping;
    uint32_t n;
    if (!json_is(inputs, JSON_ARRAY))
        return bad("list of regions", err);
    TRY(read_items(i, json_get(v, "region_id"), read_id_item, err));
    q->region_id = i->items[0].region_id;
    uint64_t *ids = ARENA_ARRAY(&i->arena, inputs->count + 1, uint64_t, err);
    TRY(count_members(exprs, false, &n, err));
    struct region_text *texts = ARENA_ARRAY(&i->arena, n + 1, struct region_text, err);
    if (!ids || !texts)
        return ST_NO_MEMORY;
    for (const struct json_value *m = inputs->first; m; m = m->next)
        TRY(read_id(m, &ids[q->n_inputs++], err));
    for (const struct json_value *m = is_null(exprs) ? NULL : exprs->first; m; m = m->next) {
        TRY(read_key(m, &texts[q->n_exprs].region_id, err));
        TRY(read_text(&i->arena, m, &texts[q->n_exprs++].text, err));
    }
    q->inputs = ids;
    q->exprs = texts;
    TRY(read_pairs(&i->arena, json_get(v, "region_mapping"), &mapping, &q->n_mapping, err));
    q->mapping = mapping;
    return ST_OK;
}

static int read_database(struct instruction *i, const struct json_value *ident, struct error *err)
{
    const char *catalog = json_text(json_get(ident, "catalog_name")), *schema = json_text(json_get(ident, "schema_name"));
    if (!catalog || !schema)
        return bad("SchemaName", err);
    size_t room = strlen(catalog) + strlen(schema) + 2;
    char *name = arena_alloc(&i->arena, room, err);
    if (!name)
        return ST_NO_MEMORY;
    snprintf(name, room, "%s/%s", catalog, schema);
    i->databases[i->n_databases++] = name;
    return ST_OK;
}

/* A list of cache idents. Of what they name, this node keeps the options of databases only. */
static int read_invalidate(struct instruction *i, const struct json_value *v, struct error *err)
{
    if (!json_is(v, JSON_ARRAY))
        return bad("list of cache idents", err);
    if (!(i->databases = ARENA_ARRAY(&i->arena, v->count + 1, const char *, err)))
        return ST_NO_MEMORY;
    for (const struct json_value *ident = v->first; ident; ident = ident->next) {
        const struct json_value *one = json_only_member(ident);
        if (!one)
            return bad("cache ident", err);
        if (strcmp(one->key, "SchemaName") == 0)
            TRY(read_database(i, one, err));
    }
    return ST_OK;
}

/* ---- the whole ---- */

static const struct {
    const char *name, *old_name; /* old_name: the singular that old metasrvs send */
    item_reader items;
    int (*whole)(struct instruction *i, const struct json_value *v, struct error *err);
} kinds[INSTRUCTION_KINDS] = {
    [INSTRUCTION_OPEN] = {"OpenRegions", "OpenRegion", read_open, NULL},
    [INSTRUCTION_CLOSE] = {"CloseRegions", "CloseRegion", read_ident, NULL},
    [INSTRUCTION_DOWNGRADE] = {"DowngradeRegions", "DowngradeRegion", read_downgrade, NULL},
    [INSTRUCTION_UPGRADE] = {"UpgradeRegions", "UpgradeRegion", read_upgrade, NULL},
    [INSTRUCTION_FLUSH] = {"FlushRegions", NULL, NULL, read_flush},
    [INSTRUCTION_INVALIDATE] = {"InvalidateCaches", NULL, NULL, read_invalidate},
    [INSTRUCTION_FILE_REFS] = {"GetFileRefs", NULL, NULL, read_file_refs},
    [INSTRUCTION_GC] = {"GcRegions", NULL, NULL, read_gc},
    [INSTRUCTION_ENTER_STAGING] = {"EnterStagingRegions", NULL, read_enter, NULL},
    [INSTRUCTION_SYNC] = {"SyncRegions", NULL, read_sync, NULL},
    [INSTRUCTION_REMAP] = {"RemapManifest", NULL, NULL, read_remap},
    [INSTRUCTION_APPLY_STAGING] = {"ApplyStagingManifests", NULL, read_apply, NULL},
    [INSTRUCTION_SUSPEND] = {"Suspend", NULL, NULL, NULL},
};

const char *instruction_name(enum instruction_kind kind)
{
    return kinds[kind].name;
}

static int read_kind(struct instruction *i, const struct json_value *v, struct error *err)
{
    const struct json_value *payload = json_only_member(v);
    const char *name = json_is(v, JSON_STRING) ? json_text(v) : payload ? payload->key : NULL;
    if (!name)
        return error_set(err, ST_CORRUPT, "a mailbox message is no instruction");
    for (int k = 0; k < INSTRUCTION_KINDS; k++) {
        if (strcmp(name, kinds[k].name) != 0 && !(kinds[k].old_name && strcmp(name, kinds[k].old_name) == 0))
            continue;
        i->kind = (enum instruction_kind)k;
        if (kinds[k].items)
            return read_items(i, payload, kinds[k].items, err);
        return kinds[k].whole ? kinds[k].whole(i, payload, err) : ST_OK;
    }
    return error_set(err, ST_UNSUPPORTED, "the instruction %.64s is not known", name);
}

int instruction_parse(const char *json, size_t size, struct instruction **ret_instruction, struct error *err)
{
    struct arena text;
    const struct json_value *v;
    struct instruction *i = calloc(1, sizeof(*i));
    if (!i)
        return error_no_memory(err, sizeof(*i));
    arena_init(&i->arena, NULL);
    dynbuf_init(&i->result, (size_t)64 << 20);
    arena_init(&text, NULL);
    int rc = json_parse(&text, json, size, &v, err);
    if (rc == ST_OK)
        rc = read_kind(i, v, err);
    arena_release(&text);
    if (rc == ST_OK)
        *ret_instruction = i;
    else
        instruction_free(i);
    return rc;
}

void instruction_free(struct instruction *i)
{
    if (!i)
        return;
    for (uint32_t k = 0; k < i->n_items; k++)
        free(i->items[k].error);
    dynbuf_release(&i->result);
    arena_release(&i->arena);
    free(i);
}
