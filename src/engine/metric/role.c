/* Roles, instructions and garbage of physical regions: what concerns both mito regions goes to both, metadata first; the rest to the data region
 * alone (metric-engine.md 7.4 to 7.6). A logical region has the role of the region it lives in. */
#include "base/log.h"
#include "engine/metric/metadata_region.h"

static int need_physical(struct metric_engine *e, uint64_t id, const char *what, enum status status, struct error *err)
{
    return metric_is_physical(e, id) ? ST_OK
                                     : error_set(err, status, "%s is not supported by logical region %llu(%u, %u)", what, (unsigned long long)id,
                                                 (uint32_t)(id >> 32), (uint32_t)id);
}

uint64_t metric_owner(struct metric_engine *e, uint64_t id)
{
    struct metric_physical *p;
    uint64_t owner = id;
    if (metric_logical_get(e, id, &p, NULL, NULL, NULL) == ST_OK) {
        owner = p->id;
        metric_physical_unref(p);
    }
    return owner;
}

int metric_set_role(struct metric_engine *e, uint64_t id, enum region_role role, struct error *err)
{
    struct engine *m = metric_mito(e);
    TRY(need_physical(e, id, "a role", ST_UNSUPPORTED, err));
    int st = m->ops->set_role(m, metric_metadata_id(id), role, err);
    if (st != ST_OK && st != ST_REGION_NOT_FOUND)
        return st;
    st = m->ops->set_role(m, id, role, err);
    return st == ST_REGION_NOT_FOUND ? ST_OK : st;
}

int metric_set_role_gracefully(struct metric_engine *e, uint64_t id, enum region_role role, struct region_last_entries *ret_entries,
                               struct error *err)
{
    struct engine *m = metric_mito(e);
    struct region_last_entries data = {0}, meta = {0};
    TRY(need_physical(e, id, "a role", ST_UNSUPPORTED, err));
    TRY(m->ops->set_role_gracefully(m, metric_metadata_id(id), role, &meta, err));
    TRY(m->ops->set_role_gracefully(m, id, role, &data, err));
    if (ret_entries)
        *ret_entries = (struct region_last_entries){data.has_last, meta.has_last, data.last_entry_id, meta.last_entry_id};
    return ST_OK;
}

/* Reads the metadata region again: logical regions and columns that came to it are known afterwards. A leader's has `all` of them: what was dropped
 * meanwhile is known no more. ddl_lock held. */
static int recover(struct metric_engine *e, struct metric_physical *p, bool all, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct region_metadata *data;
    TRY(m->ops->metadata(m, p->id, &data, err));
    int st = metadata_region_recover(e, p, data, all, err);
    region_metadata_unref(data);
    return st;
}

/* With `source_id` not 0: after the logical regions of that physical region have been copied. */
static int copy_and_recover(struct metric_engine *e, uint64_t id, uint64_t source_id, bool all, struct error *err)
{
    struct metric_physical *p;
    uint64_t n = 0;
    TRY(metric_physical_get(e, id, &p, err));
    int st = metric_ddl_begin(p, err);
    if (st == ST_OK) {
        st = source_id ? metadata_region_copy(e, p, source_id, &n, err) : ST_OK;
        if (st == ST_OK)
            st = recover(e, p, all, err);
        metric_ddl_end(p);
    }
    metric_physical_unref(p);
    if (st == ST_OK && source_id)
        log_info("metric", "region %llu took over %llu logical regions of region %llu", (unsigned long long)id, (unsigned long long)n,
                 (unsigned long long)source_id);
    return st;
}

int metric_catchup(struct metric_engine *e, const struct region_catchup_request *request, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct region_catchup_request meta = {
        .region_id = metric_metadata_id(request->region_id), .has_entry_id = request->has_metadata_entry_id, .entry_id = request->metadata_entry_id};
    struct region_catchup_request data = {.region_id = request->region_id, .has_entry_id = request->has_entry_id, .entry_id = request->entry_id};
    TRY(need_physical(e, request->region_id, "catching up", ST_UNSUPPORTED, err));
    TRY(m->ops->catchup(m, &meta, err));
    TRY(m->ops->catchup(m, &data, err));
    return copy_and_recover(e, request->region_id, 0, true, err);
}

int metric_sync(struct metric_engine *e, const struct region_sync_request *request, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct region_sync_request meta = {.region_id = metric_metadata_id(request->region_id), .manifest_version = request->metadata_manifest_version};
    struct region_sync_request data = {.region_id = request->region_id, .manifest_version = request->manifest_version};
    TRY(need_physical(e, request->region_id, "following a manifest", ST_INVALID_ARGUMENTS, err));
    if (request->from_region && (request->source_region_id == request->region_id || request->source_region_id >> 32 != request->region_id >> 32))
        return error_set(err, ST_INVALID_ARGUMENTS,
                         "region %llu cannot take over the logical regions of region %llu: another region of its table is needed",
                         (unsigned long long)request->region_id, (unsigned long long)request->source_region_id);
    if (request->from_region)
        return copy_and_recover(e, request->region_id, request->source_region_id, false, err);
    if (!request->is_metric)
        return error_set(err, ST_INTERNAL, "region %llu is of the metric engine: it follows the versions of two manifests",
                         (unsigned long long)request->region_id);
    TRY(m->ops->sync(m, &meta, err));
    TRY(m->ops->sync(m, &data, err));
    return copy_and_recover(e, request->region_id, 0, false, err);
}

int metric_enter_staging(struct metric_engine *e, uint64_t id, const char *partition_expr, struct error *err)
{
    struct engine *m = metric_mito(e);
    TRY(need_physical(e, id, "staging", ST_UNSUPPORTED, err));
    return m->ops->enter_staging(m, id, partition_expr, err);
}

int metric_remap(struct metric_engine *e, const struct region_remap_request *request, struct error *err)
{
    struct engine *m = metric_mito(e);
    TRY(need_physical(e, request->region_id, "remapping manifests", ST_INVALID_ARGUMENTS, err));
    return m->ops->remap(m, request, err);
}

int metric_apply_staging(struct metric_engine *e, const struct region_apply_request *request, struct error *err)
{
    struct engine *m = metric_mito(e);
    TRY(need_physical(e, request->region_id, "staging", ST_UNSUPPORTED, err));
    return m->ops->apply_staging(m, request, err);
}

int metric_file_refs(struct metric_engine *e, uint64_t id, uint64_t source_id, uint64_t *ret_manifest_version, struct region_file_sink *sink,
                     struct error *err)
{
    struct engine *m = metric_mito(e);
    TRY(need_physical(e, id, "a list of files", ST_UNSUPPORTED, err));
    return m->ops->file_refs(m, id, source_id, ret_manifest_version, sink, err);
}

int metric_gc(struct metric_engine *e, const struct region_gc_request *request, struct region_file_sink *deleted, struct error *err)
{
    return mito_region_gc(e->mito, request, REGION_PATH_DATA, deleted, err);
}
