/* The engine object: which file regions are open. Whatever would change one is refused with ST_INVALID_ARGUMENTS, as the peer does it. */
#include <stdlib.h>
#include <string.h>

#include "engine/file/file.h"
#include "format/proto/wire.h"
#include "format/region/options.h"

struct file_engine {
    struct engine base;
    struct file_engine_options options;
    pthread_mutex_t lock; /* guards `regions`; held over creates and drops: they are rare and must not cross */
    struct u64_map regions;
};

static struct file_engine *file(struct engine *e)
{
    return (struct file_engine *)e;
}

/* One reference. */
static int get(struct file_engine *e, uint64_t id, struct file_region **ret_region, struct error *err)
{
    pthread_mutex_lock(&e->lock);
    struct file_region *r = u64_map_get(&e->regions, id);
    if (r)
        atomic_fetch_add(&r->refs, 1);
    pthread_mutex_unlock(&e->lock);
    if (!r)
        return error_set(err, ST_REGION_NOT_FOUND, "Region not found, region id: %llu(%u, %u)", (unsigned long long)id, (uint32_t)(id >> 32),
                         (uint32_t)id);
    *ret_region = r;
    return ST_OK;
}

static int refuse(const char *what, struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "Unsupported operation: %s", what);
}

/* ---- create, open, close, drop ---- */

static int create_region(struct file_engine *e, struct message create, struct file_region **ret_region, struct error *err)
{
    struct pb_reader r = pb_reader_of(create.data, create.size);
    struct pb_field f, path = {0};
    struct region_metadata *metadata;
    struct kv *options;
    uint32_t n;
    while (pb_next(&r, &f))
        if (f.number == 5 && f.wire == PB_BYTES)
            path = f;
    char *text = strndup(path.size ? (const char *)path.data : "", path.size);
    if (!text)
        return error_no_memory(err, path.size);
    int st = options_map_read(create.data, create.size, 6, &options, &n, err);
    if (st != ST_OK) {
        free(text);
        return st;
    }
    struct file_region *region = NULL;
    st = region_metadata_from_create(create.data, create.size, false, ST_OK, &metadata, err);
    if (st == ST_OK)
        st = file_region_new(metadata, options, n, text, &region, err);
    if (st == ST_OK)
        st = file_manifest_write(region, options, n, e->options.store, err);
    kv_list_free(options, n);
    free(text);
    if (st == ST_OK)
        *ret_region = region;
    else
        file_region_unref(region);
    return st;
}

static int engine_create(struct engine *base, struct message create, struct region_response *ret, struct error *err)
{
    struct file_engine *e = file(base);
    struct pb_reader r = pb_reader_of(create.data, create.size);
    struct pb_field f;
    struct file_region *region;
    uint64_t id = 0;
    (void)ret;
    while (pb_next(&r, &f))
        if (f.number == 1 && f.wire == PB_VARINT)
            id = f.value;
    pthread_mutex_lock(&e->lock);
    int st = u64_map_get(&e->regions, id) ? ST_OK : create_region(e, create, &region, err);
    if (st == ST_OK && !u64_map_get(&e->regions, id) && (st = u64_map_put(&e->regions, id, region, err)) != ST_OK)
        file_region_unref(region);
    pthread_mutex_unlock(&e->lock);
    return st;
}

static int engine_open(struct engine *base, const struct region_open_request *open, struct error *err)
{
    struct file_engine *e = file(base);
    struct file_region *region;
    pthread_mutex_lock(&e->lock);
    bool is_open = u64_map_get(&e->regions, open->region_id) != NULL;
    int st = is_open ? ST_OK : file_manifest_read(open->path, open->region_id, e->options.store, &region, err);
    if (st == ST_OK && !is_open && (st = u64_map_put(&e->regions, open->region_id, region, err)) != ST_OK)
        file_region_unref(region);
    pthread_mutex_unlock(&e->lock);
    return st == ST_NOT_FOUND && open->dropping ? ST_REGION_NOT_FOUND : st;
}

static int engine_close(struct engine *base, uint64_t id, struct error *err)
{
    struct file_engine *e = file(base);
    (void)err;
    pthread_mutex_lock(&e->lock);
    file_region_unref(u64_map_remove(&e->regions, id));
    pthread_mutex_unlock(&e->lock);
    return ST_OK;
}

static int engine_drop(struct engine *base, const struct region_drop_request *drop, struct error *err)
{
    struct file_engine *e = file(base);
    struct file_region *region;
    TRY(get(e, drop->region_id, &region, err));
    pthread_mutex_lock(&e->lock);
    int st = e->options.store->ops->remove(e->options.store, region->manifest_key, err);
    if (st == ST_OK)
        file_region_unref(u64_map_remove(&e->regions, drop->region_id));
    pthread_mutex_unlock(&e->lock);
    file_region_unref(region);
    return st;
}

/* ---- what is refused ---- */

static int engine_alter(struct engine *e, uint64_t id, struct message alter, struct region_response *ret, struct error *err)
{
    (void)e, (void)id, (void)alter, (void)ret;
    return refuse("Alter", err);
}

static int engine_write(struct engine *e, uint64_t id, bool is_delete, struct message write, uint64_t *ret_rows, struct error *err)
{
    (void)e, (void)id, (void)write, (void)ret_rows;
    return refuse(is_delete ? "Delete" : "Put", err);
}

static int engine_bulk_insert(struct engine *e, uint64_t id, struct message bulk, uint64_t *ret_rows, struct error *err)
{
    (void)e, (void)id, (void)bulk, (void)ret_rows;
    return refuse("BulkInserts", err);
}

static int engine_flush(struct engine *e, uint64_t id, struct error *err)
{
    (void)e, (void)id;
    return refuse("Flush", err);
}

static int engine_compact(struct engine *e, uint64_t id, struct message compact, struct error *err)
{
    (void)e, (void)id, (void)compact;
    return refuse("Compact", err);
}

static int engine_build_index(struct engine *e, uint64_t id, struct error *err)
{
    (void)e, (void)id;
    return refuse("BuildIndex", err);
}

static int engine_truncate(struct engine *e, uint64_t id, struct message truncate, struct error *err)
{
    (void)e, (void)id, (void)truncate;
    return refuse("Truncate", err);
}

/* ---- what is answered ---- */

static int engine_metadata(struct engine *e, uint64_t id, struct region_metadata **ret_meta, struct error *err)
{
    struct file_region *r;
    TRY(get(file(e), id, &r, err));
    *ret_meta = region_metadata_ref(r->metadata);
    file_region_unref(r);
    return ST_OK;
}

static int engine_table(struct engine *e, uint64_t id, struct table **ret_table, struct error *err)
{
    struct file_region *r;
    TRY(get(file(e), id, &r, err));
    int st = file_region_table(r, &file(e)->options, ret_table, err);
    file_region_unref(r);
    return st;
}

static int engine_stat(struct engine *e, uint64_t id, struct region_stat *ret_stat, struct error *err)
{
    struct file_region *r;
    TRY(get(file(e), id, &r, err));
    file_region_unref(r);
    *ret_stat = (struct region_stat){.region_id = id, .role = ROLE_LEADER};
    return ST_OK;
}

static int engine_options(struct engine *e, uint64_t id, struct kv **ret_options, uint32_t *ret_n, struct error *err)
{
    struct file_region *r;
    TRY(get(file(e), id, &r, err)); /* the manifest has them, nobody else needs them */
    file_region_unref(r);
    *ret_options = NULL;
    *ret_n = 0;
    return ST_OK;
}

/* ---- life cycle ---- */

static void engine_free(struct engine *base)
{
    struct file_engine *e = file(base);
    size_t pos = 0;
    uint64_t id;
    void *value;
    while (u64_map_next(&e->regions, &pos, &id, &value))
        file_region_unref(value);
    u64_map_release(&e->regions);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static const struct engine_ops ops = {
    .name = "file",
    .create = engine_create,
    .open = engine_open,
    .close = engine_close,
    .drop = engine_drop,
    .alter = engine_alter,
    .write = engine_write,
    .bulk_insert = engine_bulk_insert,
    .flush = engine_flush,
    .compact = engine_compact,
    .build_index = engine_build_index,
    .truncate = engine_truncate,
    .metadata = engine_metadata,
    .table = engine_table,
    .stat = engine_stat,
    .options = engine_options,
    .free = engine_free,
};

int file_engine_new(const struct file_engine_options *options, struct engine **ret_engine, struct error *err)
{
    struct file_engine *e = calloc(1, sizeof *e);
    if (!e)
        return error_no_memory(err, sizeof *e);
    e->base.ops = &ops;
    e->options = *options;
    pthread_mutex_init(&e->lock, NULL);
    u64_map_init(&e->regions);
    *ret_engine = &e->base;
    return ST_OK;
}
