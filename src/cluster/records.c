/* See cluster/records.h. A table never changes its database, so that is kept for good; a database's options are kept until metasrv's broadcast of
 * invalid caches names it, and for ten minutes at most, should a broadcast get lost. An answer that was under way when its database was forgotten is
 * not kept. */
#include "cluster/records.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "format/json/json.h"
#include "os/thread.h"

enum { VALUE_BYTES_MAX = 64 << 20, TABLES_MAX = 1 << 20, DATABASES_MAX = 4096, OPTIONS_MAX = 1024 };
static const int64_t KEEP_NS = 600LL * 1000000000;

struct database {
    struct database *next;
    char *name;
    struct kv *options;
    uint32_t n_options;
    int64_t read_ns;
};

struct records {
    struct metasrv *metasrv;
    pthread_mutex_t lock;   /* guards everything below */
    struct u64_map tables;  /* table id -> name of its database, malloc'ed */
    struct database *first; /* newest first */
    unsigned n_databases;
    uint64_t forgotten; /* counts records_forget_database() */
};

int records_new(struct metasrv *metasrv, struct records **ret_records, struct error *err)
{
    struct records *r = calloc(1, sizeof(*r));
    if (!r)
        return error_no_memory(err, sizeof(*r));
    r->metasrv = metasrv;
    pthread_mutex_init(&r->lock, NULL);
    u64_map_init(&r->tables);
    *ret_records = r;
    return ST_OK;
}

static void database_free(struct database *d)
{
    free(d->name);
    kv_list_free(d->options, d->n_options);
    free(d);
}

static void forget_tables(struct records *r)
{
    size_t pos = 0;
    uint64_t id;
    void *name;
    while (u64_map_next(&r->tables, &pos, &id, &name))
        free(name);
    u64_map_release(&r->tables);
    u64_map_init(&r->tables);
}

/* Those that `name` names, or (NULL) all. lock held. */
static void forget_databases(struct records *r, const char *name)
{
    for (struct database **at = &r->first; *at;) {
        struct database *d = *at;
        if (name && strcmp(d->name, name) != 0) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        r->n_databases--;
        database_free(d);
    }
}

void records_free(struct records *r)
{
    if (!r)
        return;
    forget_tables(r);
    u64_map_release(&r->tables);
    forget_databases(r, NULL);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* The JSON of a key; *ret_value = NULL when it is absent. Everything is in the arena. */
static int get_json(struct records *r, struct arena *a, const char *key, const struct json_value **ret_value, struct error *err)
{
    struct dynbuf text;
    bool found = false;
    *ret_value = NULL;
    dynbuf_init(&text, VALUE_BYTES_MAX);
    int rc = metasrv_get(r->metasrv, key, &text, &found, err);
    const char *copy = rc == ST_OK && found ? arena_copy(a, (const char *)text.data, text.size, err) : NULL;
    if (rc == ST_OK && found)
        rc = copy ? json_parse(a, copy, text.size, ret_value, err) : ST_NO_MEMORY;
    dynbuf_release(&text);
    return rc ? error_prefix(err, "metasrv's key %s", key) : ST_OK;
}

/* ---- tables ---- */

static int parse_table(const struct json_value *v, uint32_t table_id, struct table_record *ret, struct error *err)
{
    const struct json_value *info = json_get(v, "table_info");
    const char *engine = json_text(json_get(json_get(info, "meta"), "engine")), *catalog = json_text(json_get(info, "catalog_name"));
    const char *schema = json_text(json_get(info, "schema_name"));
    if (!v)
        return error_set(err, ST_UNEXPECTED, "Table metadata not found for table %u", table_id);
    if (!engine || !catalog || !schema)
        return error_set(err, ST_CORRUPT, "the table info of table %u lacks engine, catalog or schema", table_id);
    int n = snprintf(ret->path, sizeof(ret->path), "%s/%s", catalog, schema);
    if (n >= (int)sizeof(ret->path))
        return error_set(err, ST_CORRUPT, "the database of table %u has a name of %d bytes", table_id, n);
    snprintf(ret->engine, sizeof(ret->engine), "%s", engine);
    return ST_OK;
}

int records_table(struct records *r, uint32_t table_id, struct table_record *ret_table, struct error *err)
{
    char key[64];
    struct arena arena;
    const struct json_value *v;
    snprintf(key, sizeof(key), "__table_info/%u", table_id);
    arena_init(&arena, NULL);
    int rc = get_json(r, &arena, key, &v, err);
    if (rc == ST_OK)
        rc = parse_table(v, table_id, ret_table, err);
    arena_release(&arena);
    return rc;
}

/* The name of the table's database. */
static int database_of(struct records *r, uint32_t table_id, char ret_name[sizeof(((struct table_record *)0)->path)], struct error *err)
{
    struct table_record table;
    pthread_mutex_lock(&r->lock);
    const char *known = u64_map_get(&r->tables, table_id);
    if (known)
        snprintf(ret_name, sizeof(table.path), "%s", known);
    pthread_mutex_unlock(&r->lock);
    if (known)
        return ST_OK;
    TRY(records_table(r, table_id, &table, err));
    snprintf(ret_name, sizeof(table.path), "%s", table.path);
    char *copy = strdup(table.path);
    pthread_mutex_lock(&r->lock);
    if (r->tables.count >= TABLES_MAX)
        forget_tables(r);
    /* Without memory it is asked for again. */
    if (!copy || u64_map_get(&r->tables, table_id) || u64_map_put(&r->tables, table_id, copy, NULL) != ST_OK)
        free(copy);
    pthread_mutex_unlock(&r->lock);
    return ST_OK;
}

/* ---- databases ---- */

/* {"ttl":null|"7days","extra_options":{"compaction.type":"twcs"}}; the texts stay in the tree. */
static int parse_database(struct arena *a, const struct json_value *v, struct kv **ret, uint32_t *ret_n, struct error *err)
{
    const struct json_value *extra = json_get(v, "extra_options"), *ttl = json_get(v, "ttl");
    uint32_t room = (json_is(extra, JSON_OBJECT) ? extra->count : 0) + 1, n = 0;
    struct kv *list = room <= OPTIONS_MAX ? ARENA_ARRAY(a, room, struct kv, err) : NULL;
    if (!list)
        return room <= OPTIONS_MAX ? ST_NO_MEMORY : error_set(err, ST_CORRUPT, "a database with %u options", room);
    if (json_text(ttl))
        list[n++] = (struct kv){(char *)"ttl", (char *)json_text(ttl)};
    for (const struct json_value *o = json_is(extra, JSON_OBJECT) ? extra->first : NULL; o; o = o->next)
        if (json_text(o))
            list[n++] = (struct kv){(char *)o->key, (char *)json_text(o)};
    *ret = list;
    *ret_n = n;
    return ST_OK;
}

/* Keeps what was read, unless something was forgotten meanwhile. */
static void keep(struct records *r, const char *name, const struct kv *options, uint32_t n, uint64_t forgotten)
{
    struct database *d = calloc(1, sizeof(*d));
    if (!d || !(d->name = strdup(name)) || kv_list_copy(options, n, &d->options, NULL) != ST_OK) {
        if (d)
            database_free(d);
        return;
    }
    d->n_options = n;
    d->read_ns = clock_monotonic_ns();
    pthread_mutex_lock(&r->lock);
    bool current = r->forgotten == forgotten;
    if (current) {
        forget_databases(r, r->n_databases < DATABASES_MAX ? name : NULL);
        d->next = r->first;
        r->first = d;
        r->n_databases++;
    }
    pthread_mutex_unlock(&r->lock);
    if (!current)
        database_free(d);
}

static int read_database(struct records *r, const char *name, struct kv **ret_options, uint32_t *ret_n, struct error *err)
{
    char key[600];
    struct arena arena;
    const struct json_value *v;
    struct kv *list;
    uint32_t n;
    pthread_mutex_lock(&r->lock);
    uint64_t forgotten = r->forgotten;
    pthread_mutex_unlock(&r->lock);
    snprintf(key, sizeof(key), "__schema_name/%s", name);
    arena_init(&arena, NULL);
    int rc = get_json(r, &arena, key, &v, err);
    if (rc == ST_OK)
        rc = parse_database(&arena, v, &list, &n, err);
    if (rc == ST_OK)
        rc = kv_list_copy(list, n, ret_options, err);
    if (rc == ST_OK) {
        *ret_n = n;
        keep(r, name, list, n, forgotten);
    }
    arena_release(&arena);
    return rc;
}

int records_database_options(void *records, uint64_t region_id, struct kv **ret_options, uint32_t *ret_n, struct error *err)
{
    struct records *r = records;
    char name[sizeof(((struct table_record *)0)->path)];
    bool known = false;
    int rc = ST_OK;
    TRY(database_of(r, (uint32_t)(region_id >> 32), name, err));
    pthread_mutex_lock(&r->lock);
    for (const struct database *d = r->first; d && !known; d = d->next) {
        known = strcmp(d->name, name) == 0 && clock_monotonic_ns() - d->read_ns < KEEP_NS;
        if (known && (rc = kv_list_copy(d->options, d->n_options, ret_options, err)) == ST_OK)
            *ret_n = d->n_options;
    }
    pthread_mutex_unlock(&r->lock);
    return known ? rc : read_database(r, name, ret_options, ret_n, err);
}

void records_forget_database(struct records *r, const char *name)
{
    pthread_mutex_lock(&r->lock);
    r->forgotten++;
    forget_databases(r, name);
    pthread_mutex_unlock(&r->lock);
}

/* ---- routes ---- */

/* The "region" object of a region's route; NULL when the table has no route, or the region none in it. */
static int find_route(struct records *r, struct arena *a, uint64_t region_id, const struct json_value **ret_region, struct error *err)
{
    char key[64];
    const struct json_value *v, *region;
    uint64_t id;
    snprintf(key, sizeof(key), "__table_route/%u", (uint32_t)(region_id >> 32));
    *ret_region = NULL;
    TRY(get_json(r, a, key, &v, err));
    const struct json_value *routes = json_get(v, "region_routes");
    for (const struct json_value *route = json_is(routes, JSON_ARRAY) ? routes->first : NULL; route; route = route->next) {
        region = json_get(route, "region");
        if (json_u64(json_get(region, "id"), &id) && id == region_id)
            *ret_region = region;
    }
    return ST_OK;
}

int records_check_not_routed(struct records *r, uint64_t region_id, struct error *err)
{
    struct arena arena;
    const struct json_value *region;
    arena_init(&arena, NULL);
    int rc = find_route(r, &arena, region_id, &region, err);
    if (rc == ST_OK && region)
        rc = error_set(err, ST_UNEXPECTED, "region %" PRIu64 " is not here, but still on its table's route", region_id);
    arena_release(&arena);
    return rc;
}

int records_partition_expr(void *records, uint64_t region_id, char **ret_expr, struct error *err)
{
    struct arena arena;
    const struct json_value *region, *expr;
    arena_init(&arena, NULL);
    int rc = find_route(records, &arena, region_id, &region, err);
    *ret_expr = NULL;
    if (rc == ST_OK && region) {
        expr = json_get(region, "partition_expr");
        if (!json_text(expr) || !*json_text(expr)) { /* before 0.15: the first of a list of values */
            const struct json_value *values = json_get(json_get(region, "partition"), "value_list");
            expr = json_is(values, JSON_ARRAY) ? values->first : NULL;
        }
        *ret_expr = strdup(json_text(expr) ? json_text(expr) : "");
        rc = *ret_expr ? ST_OK : error_no_memory(err, 64);
    }
    arena_release(&arena);
    return rc;
}
