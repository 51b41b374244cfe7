/* Physical regions coming and going, and what becomes of their logical ones then. */
#include <stdlib.h>

#include "base/log.h"
#include "engine/metric/metadata_region.h"
#include "engine/metric/request.h"

static struct metric_physical *physical_alloc(uint64_t id, const struct metric_index *index)
{
    struct metric_physical *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    atomic_init(&p->refs, 1);
    p->id = id;
    p->metadata_id = metric_metadata_id(id);
    p->index = *index;
    pthread_mutex_init(&p->ddl_lock, NULL);
    return p;
}

int metric_members(struct metric_engine *e, uint64_t id, uint64_t **ret_ids, size_t *ret_n, struct error *err)
{
    size_t pos = 0, n = 0;
    uint64_t logical_id;
    void *value;
    pthread_rwlock_rdlock(&e->lock);
    struct metric_physical *p = u64_map_get(&e->physicals, id);
    uint64_t *ids = malloc(((p ? p->n_logicals : 0) + 1) * sizeof *ids);
    while (ids && p && u64_map_next(&e->logicals, &pos, &logical_id, &value))
        if (((struct metric_logical *)value)->physical == p)
            ids[n++] = logical_id;
    pthread_rwlock_unlock(&e->lock);
    if (!ids)
        return error_no_memory(err, sizeof *ids);
    *ret_ids = ids;
    *ret_n = n;
    return ST_OK;
}

/* Forgets the region and all that live in it. ddl_lock held. Without memory for the list of those they stay in the map, and the closed region with
 * them. */
static void forget(struct metric_engine *e, struct metric_physical *p)
{
    uint64_t *ids = NULL;
    size_t n = 0;
    p->closed = true;
    if (metric_members(e, p->id, &ids, &n, NULL) != ST_OK)
        atomic_fetch_add(&p->refs, 1);
    for (size_t i = 0; i < n; i++)
        metric_logical_remove(e, ids[i]);
    free(ids);
    metric_physical_remove(e, p);
}

/* Both mito regions are open: takes over what they say. A region that somebody else registered meanwhile stays as it is. */
static int adopt(struct metric_engine *e, uint64_t id, const struct metric_index *index, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct region_metadata *data;
    struct metric_physical *p = physical_alloc(id, index);
    if (!p)
        return error_no_memory(err, sizeof *p);
    bool mine;
    pthread_mutex_lock(&p->ddl_lock);
    int st = metric_physical_put(e, p, &mine, err);
    if (mine && st == ST_OK) {
        st = m->ops->metadata(m, id, &data, err);
        if (st == ST_OK) {
            st = metadata_region_recover(e, p, data, true, err);
            region_metadata_unref(data);
        }
        if (st != ST_OK)
            forget(e, p);
    }
    pthread_mutex_unlock(&p->ddl_lock);
    metric_physical_unref(p);
    return st;
}

static void close_both(struct metric_engine *e, uint64_t id)
{
    struct engine *m = metric_mito(e);
    struct error err;
    if (m->ops->close(m, id, &err) != ST_OK || m->ops->close(m, metric_metadata_id(id), &err) != ST_OK)
        log_warn("metric", "region %llu did not close cleanly: %s", (unsigned long long)id, err.msg);
}

/* ---- create ---- */

static int create_metadata_region(struct metric_engine *e, const struct metric_create *c, struct error *err)
{
    struct mito_create parts = {.path = c->path, .path_size = c->path_size, .path_type = REGION_PATH_METADATA};
    struct region_metadata *schema;
    struct region_response ignored;
    struct kv *options;
    TRY(metric_metadata_options(c->options, c->n_options, &options, &parts.n_options, err));
    parts.options = options;
    region_response_init(&ignored, (size_t)1 << 30);
    int st = metric_metadata_schema(metric_metadata_id(c->region_id), &schema, err);
    if (st == ST_OK) {
        st = mito_region_create_as(e->mito, schema, &parts, &ignored, err);
        region_metadata_unref(schema);
    }
    region_response_release(&ignored);
    free(options);
    return st;
}

static int create_data_region(struct metric_engine *e, const struct metric_create *c, struct region_response *ret, struct error *err)
{
    struct mito_create parts = {.path = c->path, .path_size = c->path_size, .path_type = REGION_PATH_DATA};
    struct region_metadata *schema;
    struct kv *options;
    bool sparse;
    TRY(metric_data_options(c->options, c->n_options, e->options.sparse_keys, &options, &parts.n_options, &sparse, err));
    parts.options = options;
    int st = metric_data_schema(c, sparse, &schema, err);
    if (st == ST_OK) {
        st = mito_region_create_as(e->mito, schema, &parts, ret, err);
        region_metadata_unref(schema);
    }
    free(options);
    return st;
}

int metric_physical_create(struct metric_engine *e, struct message create, struct region_response *ret, struct error *err)
{
    struct metric_create c;
    struct metric_index index;
    TRY(metric_create_read(create, &c, err));
    c.region_id &= ~(uint64_t)0xff000000u;
    int st = metric_index_parse(c.options, c.n_options, &index, err);
    if (st == ST_OK)
        st = create_metadata_region(e, &c, err);
    if (st == ST_OK)
        st = create_data_region(e, &c, ret, err);
    if (st == ST_OK)
        st = adopt(e, c.region_id, &index, err);
    metric_create_release(&c);
    return st;
}

/* ---- open ---- */

static int open_metadata_region(struct metric_engine *e, const struct region_open_request *open, struct error *err)
{
    struct region_open_request own = *open;
    struct kv *options;
    TRY(metric_metadata_options(open->options, open->n_options, &options, &own.n_options, err));
    own.region_id = metric_metadata_id(open->region_id);
    own.options = options;
    int st = mito_region_open(e->mito, &own, REGION_PATH_METADATA, err);
    free(options);
    return st;
}

static int open_data_region(struct metric_engine *e, const struct region_open_request *open, struct error *err)
{
    struct region_open_request own = *open;
    struct kv *options;
    bool sparse;
    TRY(metric_data_options(open->options, open->n_options, e->options.sparse_keys, &options, &own.n_options, &sparse, err));
    own.options = options;
    int st = mito_region_open(e->mito, &own, REGION_PATH_DATA, err);
    free(options);
    return st;
}

/* A drop that was interrupted between the two regions is finished. */
static void finish_drop(struct metric_engine *e, uint64_t id)
{
    struct engine *m = metric_mito(e);
    struct region_drop_request rest = {.region_id = metric_metadata_id(id)};
    struct error err;
    if (m->ops->drop(m, &rest, &err) != ST_OK)
        log_warn("metric", "what is left of dropped region %llu could not be removed: %s", (unsigned long long)id, err.msg);
}

int metric_open(struct metric_engine *e, const struct region_open_request *open, struct error *err)
{
    struct metric_index index;
    for (uint32_t i = 0; i < open->n_options; i++)
        if (strcmp(open->options[i].key, "on_physical_table") == 0)
            return ST_OK; /* a logical region comes with its physical one */
    if (metric_is_physical(e, open->region_id))
        return ST_OK;
    TRY(metric_index_parse(open->options, open->n_options, &index, err));
    TRY(open_metadata_region(e, open, err));
    int st = open_data_region(e, open, err);
    if (st == ST_REGION_NOT_FOUND && open->dropping) {
        finish_drop(e, open->region_id);
        return st;
    }
    if (st == ST_OK)
        st = adopt(e, open->region_id, &index, err);
    if (st != ST_OK)
        close_both(e, open->region_id);
    return st;
}

/* ---- close and drop ---- */

int metric_close(struct metric_engine *e, uint64_t id, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct metric_physical *p;
    if (metric_physical_get(e, id, &p, NULL) != ST_OK)
        return ST_OK;
    int st = metric_ddl_begin(p, NULL);
    if (st == ST_OK) {
        st = m->ops->close(m, id, err);
        if (st == ST_OK)
            st = m->ops->close(m, p->metadata_id, err);
        if (st == ST_OK)
            forget(e, p);
        metric_ddl_end(p);
    } else {
        st = ST_OK; /* somebody else closed it */
    }
    metric_physical_unref(p);
    return st;
}

static int drop_physical(struct metric_engine *e, struct metric_physical *p, const struct region_drop_request *drop, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct region_drop_request data = *drop, meta = *drop;
    pthread_rwlock_rdlock(&e->lock);
    uint32_t n = p->n_logicals;
    pthread_rwlock_unlock(&e->lock);
    if (n && !drop->force)
        return error_set(err, ST_INVALID_ARGUMENTS, "Physical region %llu(%u, %u) is busy, there are still some logical regions using it",
                         (unsigned long long)p->id, (uint32_t)(p->id >> 32), (uint32_t)p->id);
    meta.region_id = p->metadata_id;
    meta.partial_drop = false; /* regions share files of data only */
    int st = m->ops->drop(m, &data, err);
    if (st != ST_OK && st != ST_REGION_NOT_FOUND) /* not there: of a drop that came no further, which this one finishes */
        return st;
    TRY(m->ops->drop(m, &meta, err));
    forget(e, p);
    return ST_OK;
}

/* The rows of the metadata region go first: a crash behind them leaves nothing to come back. */
static int drop_logical(struct metric_engine *e, struct metric_physical *p, const struct region_drop_request *drop, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct metadata_change change;
    struct metric_physical *same;
    struct region_metadata *data;
    uint32_t *ids, n;
    TRY(metric_logical_get(e, drop->region_id, &same, &ids, &n, err));
    metric_physical_unref(same);
    metadata_change_init(&change, true);
    int st = drop->fast_path ? ST_OK : m->ops->metadata(m, p->id, &data, err);
    if (st == ST_OK && !drop->fast_path) {
        st = metadata_change_region(&change, drop->region_id, err);
        for (uint32_t i = 0; i < n && st == ST_OK; i++) {
            int column = region_metadata_find_id(data, ids[i]);
            if (column >= 0)
                st = metadata_change_column(&change, drop->region_id, &data->columns[column], err);
        }
        region_metadata_unref(data);
    }
    if (st == ST_OK)
        st = metadata_change_write(&change, e, p->metadata_id, err);
    if (st == ST_OK)
        metric_logical_remove(e, drop->region_id);
    metadata_change_release(&change);
    free(ids);
    return st;
}

int metric_drop(struct metric_engine *e, const struct region_drop_request *drop, struct error *err)
{
    struct metric_physical *p;
    bool physical = metric_physical_get(e, drop->region_id, &p, NULL) == ST_OK;
    if (!physical)
        TRY(metric_logical_get(e, drop->region_id, &p, NULL, NULL, err));
    int st = metric_ddl_begin(p, err);
    if (st == ST_OK) {
        st = physical ? drop_physical(e, p, drop, err) : drop_logical(e, p, drop, err);
        metric_ddl_end(p);
    }
    metric_physical_unref(p);
    return st;
}
