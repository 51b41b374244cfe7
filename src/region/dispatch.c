/* Region/Handle: from RegionRequest bytes to RegionResponse bytes (region-rpc.md 2 to 5).
 *
 * A body is looked into only as far as its region ids; the engine decodes the rest itself.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "base/text.h"
#include "format/proto/wire.h"
#include "region/internal.h"
#include "region/member.h"

/* Metric labels: of one region's request, and of the whole body. */
static const char *const request_names[] = {
    [BODY_INSERTS] = "Put", [BODY_DELETES] = "Delete", [BODY_CREATE] = "Create", [BODY_DROP] = "Drop", [BODY_OPEN] = "Open", [BODY_CLOSE] = "Close",
    [BODY_ALTER] = "Alter", [BODY_FLUSH] = "Flush", [BODY_COMPACT] = "Compact", [BODY_TRUNCATE] = "Truncate", [BODY_BULK_INSERT] = "BulkInserts",
    [BODY_BUILD_INDEX] = "BuildIndex", [BODY_APPLY_STAGING] = "ApplyStagingManifest",
};
static const char *const body_names[] = {
    [BODY_INSERTS] = "Inserts", [BODY_DELETES] = "Deletes", [BODY_CREATE] = "Create", [BODY_DROP] = "Drop", [BODY_OPEN] = "Open",
    [BODY_CLOSE] = "Close", [BODY_ALTER] = "Alter", [BODY_FLUSH] = "Flush", [BODY_COMPACT] = "Compact", [BODY_TRUNCATE] = "Truncate",
    [BODY_CREATES] = "Creates", [BODY_DROPS] = "Drops", [BODY_ALTERS] = "Alters", [BODY_BULK_INSERT] = "BulkInsert", [BODY_SYNC] = "Sync",
    [BODY_LIST_METADATA] = "ListMetadata", [BODY_BUILD_INDEX] = "BuildIndex", [BODY_APPLY_STAGING] = "ApplyStagingManifest",
};

#define LABEL "datanode_region_request_type"
static struct metric_family elapsed_family = {.name = "greptime_datanode_handle_region_request_elapsed",
                                              .help = "datanode handle region request elapsed",
                                              .kind = METRIC_HISTOGRAM,
                                              .label_names = {LABEL},
                                              .bounds = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}};
/* What the node does, but for external tables, is the Mito engine's work: one look at the clock serves both. */
static struct metric_family mito_family = {.name = "greptime_mito_handle_request_elapsed", .help = "seconds of a request", .kind = METRIC_HISTOGRAM,
                                           .label_names = {"type"}, .bounds = {.01, .1, 1, 10, 100, 1000, 10000}};
static struct metric_family rows_family = {.name = "greptime_datanode_region_changed_row_count", .help = "datanode region changed row count",
    .kind = METRIC_COUNTER, .label_names = {LABEL}};
static struct metric_family fail_family = {.name = "greptime_datanode_region_request_fail_count", .help = "datanode region request fail count",
    .kind = METRIC_COUNTER, .label_names = {LABEL}};
static struct metric_family failed_insert_family = {.name = "greptime_datanode_region_failed_insert_count", .kind = METRIC_COUNTER,
    .help = "datanode region failed insert count", .label_names = {LABEL}};

static struct metric *labelled(struct metric_family *family, const char *label)
{
    const char *labels[] = {label, NULL};
    return metric_child(family, labels);
}

static bool is_write(enum region_body b)
{
    return b == BODY_INSERTS || b == BODY_DELETES || b == BODY_BULK_INSERT;
}

static int malformed(const char *what, struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "malformed %s", what);
}

void region_registration_release(struct region_registration *reg)
{
    free(reg->path);
    kv_list_free(reg->options, reg->n_options);
}

static int find_engine(struct region_server *s, const char *name, struct engine **ret_engine, struct error *err)
{
    struct engine *e = region_engine_by_name(s, name);
    if (!e && (!strcmp(name, "mito") || !strcmp(name, "metric") || !strcmp(name, "file")))
        return error_set(err, ST_INVALID_ARGUMENTS, "Region engine %s is not registered", name);
    if (!e)
        return error_set(err, ST_UNEXPECTED, "Unknown engine: %s", name);
    *ret_engine = e;
    return ST_OK;
}

/* A region that was found and is open for reading only gives way, to be opened again as the request says. */
static int close_found(struct region_server *s, struct engine *e, uint64_t id, struct error *err)
{
    pthread_mutex_lock(&s->lock);
    const struct region_slot *slot = u64_map_get(&s->slots, id);
    bool found = slot && slot->found;
    pthread_mutex_unlock(&s->lock);
    return found ? e->ops->close(e, id, err) : ST_OK;
}

int region_registration_read(struct region_server *s, struct message m, bool create, struct region_registration *ret_reg, struct error *err)
{
    struct region_registration reg = {.create = create};
    struct pb_field f, path = {0};
    for (struct pb_reader r = pb_reader_of(m.data, m.size); pb_next(&r, &f);) {
        if (f.wire != PB_BYTES)
            continue;
        if (f.number == 2) {
            memset(reg.name, 0, sizeof(reg.name));
            memcpy(reg.name, f.data, f.size < sizeof(reg.name) ? f.size : sizeof(reg.name) - 1);
        } else if (f.number == (create ? 5u : 3u)) {
            path = f;
        }
    }
    const char *text = path.data ? (const char *)path.data : "";
    if (!utf8_valid(text, path.size) || memchr(text, 0, path.size))
        return error_set(err, ST_INVALID_ARGUMENTS, "the path of a region is no text");
    reg.path = strndup(text, path.size);
    if (!reg.path)
        return error_no_memory(err, path.size);
    int rc = options_map_read(m.data, m.size, create ? 6 : 4, &reg.options, &reg.n_options, err);
    if (rc == ST_OK)
        rc = find_engine(s, reg.name, &reg.engine, err);
    if (rc) {
        region_registration_release(&reg);
        return rc;
    }
    for (uint32_t i = 0; i < reg.n_options; i++)
        if (!strcmp(reg.options[i].key, "on_physical_table"))
            reg.host_id = strtoull(reg.options[i].value, NULL, 10);
    *ret_reg = reg;
    return ST_OK;
}

int region_register_begin(struct region_server *s, uint64_t id, struct region_registration *reg, struct error *err)
{
    struct engine *e;
    if (reg->host_id)
        region_wait_opened(s, reg->host_id);
    TRY(region_begin(s, id, CLASS_REGISTER, reg->engine, &e, err));
    int rc = reg->host_id ? region_lease_enter(s, e, reg->host_id, &reg->term, err) : ST_OK;
    if (rc)
        region_end(s, id, CLASS_REGISTER, false);
    return rc;
}

int region_register_end(struct region_server *s, uint64_t id, const struct region_registration *reg, int rc, struct error *err)
{
    if (rc == ST_OK && reg->host_id) {
        rc = region_lease_confirm(s, reg->engine, reg->host_id, reg->term, err);
    } else if (rc == ST_OK) {
        rc = region_list_put(s, id, reg->name, reg->path, reg->options, reg->n_options, err);
        if (rc == ST_OK)
            rc = region_register_members(s, reg->engine, id, err);
        if (rc == ST_OK)
            region_lease_arm(s, id, reg->engine, !reg->create);
    }
    region_end(s, id, CLASS_REGISTER, rc == ST_OK);
    return rc;
}

static int do_register(struct region_server *s, uint64_t id, bool create, struct message m, struct region_response *ret, struct error *err)
{
    struct region_registration reg;
    TRY(region_registration_read(s, m, create, &reg, err));
    int rc = region_register_begin(s, id, &reg, err);
    if (rc == ST_OK) {
        struct region_open_request open = {.region_id = id, .path = reg.path, .options = reg.options, .n_options = reg.n_options,
                                           .writable = !s->options.leased};
        rc = close_found(s, reg.engine, id, err);
        if (rc == ST_OK)
            rc = create ? reg.engine->ops->create(reg.engine, m, ret, err) : reg.engine->ops->open(reg.engine, &open, err);
        rc = region_register_end(s, id, &reg, rc, err);
    }
    region_registration_release(&reg);
    return rc;
}

static bool failed_slot(struct region_server *s, uint64_t id, struct error *err)
{
    pthread_mutex_lock(&s->lock);
    struct region_slot *slot = u64_map_get(&s->slots, id);
    bool failed = slot && slot->before == SLOT_FAILED;
    if (failed)
        error_set(err, ST_REGION_NOT_READY, "Region %" PRIu64 " could not be opened, so it cannot be dropped (closing it forgets it): %.300s", id,
                  slot->error ? slot->error : "");
    pthread_mutex_unlock(&s->lock);
    return failed;
}

static struct region_drop_request read_drop(uint64_t id, struct message m)
{
    struct region_drop_request drop = {.region_id = id};
    struct pb_field f;
    for (struct pb_reader r = pb_reader_of(m.data, m.size); pb_next(&r, &f);) {
        drop.fast_path = f.number == 2 ? f.value : drop.fast_path;
        drop.force = f.number == 3 ? f.value : drop.force;
        drop.partial_drop = f.number == 4 ? f.value : drop.partial_drop;
    }
    return drop;
}

static int do_drop(struct region_server *s, struct engine *e, const struct region_drop_request *drop, struct error *err)
{
    if (failed_slot(s, drop->region_id, err))
        return ST_REGION_NOT_READY;
    region_list_mark_dropping(s, drop->region_id, true);
    int rc = region_list_save(s, err);
    if (rc == ST_OK)
        rc = e->ops->drop(e, drop, err);
    if (rc)
        region_list_mark_dropping(s, drop->region_id, false);
    return rc;
}

/* The lease for the drop of a region that lives in another: it changes that one. */
static int enter_host(struct region_server *s, struct engine *e, uint64_t id, bool is_drop, struct error *err)
{
    uint64_t term;
    return is_drop && e->ops->owner && e->ops->owner(e, id) != id ? region_lease_enter(s, e, id, &term, err) : ST_OK;
}

int region_deregister(struct region_server *s, uint64_t id, const struct region_drop_request *drop, int64_t sent_ns, struct error *err)
{
    struct engine *e;
    uint64_t *members = NULL;
    size_t n_members = 0;
    TRY(region_begin(s, id, CLASS_DEREGISTER, NULL, &e, err));
    if (!e) /* absent, or a failed region whose engine this build lacks */
        return ST_OK;
    if (!region_lease_is_closeable(s, id, sent_ns)) { /* from here on nobody can ask for it */
        region_end(s, id, CLASS_DEREGISTER, false);
        return ST_OK;
    }
    int rc = e->ops->members ? e->ops->members(e, id, &members, &n_members, err) : ST_OK;
    if (rc == ST_OK)
        rc = enter_host(s, e, id, drop, err);
    if (rc == ST_OK && drop) {
        rc = do_drop(s, e, drop, err);
    } else if (rc == ST_OK) {
        rc = e->ops->close(e, id, err);
        if (rc == ST_REGION_NOT_FOUND)
            rc = ST_OK;
    }
    region_end(s, id, CLASS_DEREGISTER, rc == ST_OK);
    if (rc == ST_OK)
        region_forget_members(s, e, members, n_members);
    free(members);
    return rc;
}

static int do_apply_staging(struct region_server *s, uint64_t id, struct message m, struct error *err)
{
    struct region_apply_request request = {.region_id = id};
    struct pb_field f;
    char *texts[5] = {0};
    int rc = ST_OK;
    for (struct pb_reader r = pb_reader_of(m.data, m.size); rc == ST_OK && pb_next(&r, &f);) {
        if (f.number == 3 && f.wire == PB_VARINT)
            request.central_region_id = f.value;
        else if ((f.number == 2 || f.number == 4) && f.wire == PB_BYTES && !texts[f.number])
            rc = (texts[f.number] = strndup((const char *)f.data, f.size)) ? ST_OK : error_no_memory(err, f.size);
    }
    request.partition_expr = texts[2] ? texts[2] : "";
    request.manifest_path = texts[4] ? texts[4] : "";
    if (rc == ST_OK)
        rc = region_server_apply_staging(s, &request, err);
    free(texts[2]);
    free(texts[4]);
    return rc;
}

/* {region_id 1, mito_manifest_info 2 {1}, metric_manifest_info 3 {1, 2}} */
static int do_sync(struct region_server *s, uint64_t id, struct message m, struct error *err)
{
    struct region_sync_request request = {.region_id = id};
    struct pb_field f, g;
    bool has = false;
    for (struct pb_reader r = pb_reader_of(m.data, m.size); pb_next(&r, &f);) {
        if ((f.number != 2 && f.number != 3) || f.wire != PB_BYTES)
            continue;
        has = true;
        request.is_metric = f.number == 3;
        for (struct pb_reader in = pb_inside(&f); pb_next(&in, &g);) {
            if (g.number == 1)
                request.manifest_version = g.value;
            else if (g.number == 2)
                request.metadata_manifest_version = g.value;
        }
    }
    return has ? region_server_sync(s, &request, err)
               : error_set(err, ST_INVALID_ARGUMENTS, "a sync request of region %" PRIu64 " has no manifest info", id);
}

static int change_region(struct region_server *s, struct engine *e, enum region_body b, uint64_t id, struct message m, struct region_response *ret,
                         struct error *err)
{
    switch (b) {
    case BODY_INSERTS:
    case BODY_DELETES:
        return e->ops->write(e, id, b == BODY_DELETES, m, &ret->affected_rows, err);
    case BODY_BULK_INSERT:
        return e->ops->bulk_insert(e, id, m, &ret->affected_rows, err);
    case BODY_ALTER:
        TRY(e->ops->alter(e, id, m, ret, err));
        return region_list_alter(s, id, e, m, err);
    case BODY_FLUSH:
        return e->ops->flush(e, id, err);
    case BODY_COMPACT:
        return e->ops->compact(e, id, m, err);
    case BODY_TRUNCATE:
        return e->ops->truncate(e, id, m, err);
    default: /* BODY_BUILD_INDEX */
        return e->ops->build_index(e, id, err);
    }
}

static int do_other(struct region_server *s, enum region_body b, uint64_t id, struct message m, struct region_response *ret, struct error *err)
{
    struct engine *e;
    uint64_t term;
    if (b == BODY_APPLY_STAGING)
        return do_apply_staging(s, id, m, err);
    if (b == BODY_SYNC)
        return do_sync(s, id, m, err);
    TRY(region_begin(s, id, CLASS_OTHER, NULL, &e, err));
    TRY(region_lease_enter(s, e, id, &term, err));
    TRY(change_region(s, e, b, id, m, ret, err));
    return region_lease_confirm(s, e, id, term, err);
}

int region_run_one(struct region_server *s, enum region_body b, struct message m, struct region_response *ret, struct error *err)
{
    uint64_t id;
    TRY(region_request_id(m, &id, err));
    int64_t start = clock_monotonic_ns();
    struct region_drop_request drop;
    int rc;
    switch (b) {
    case BODY_CREATE:
    case BODY_OPEN:
        rc = do_register(s, id, b == BODY_CREATE, m, ret, err);
        break;
    case BODY_DROP:
    case BODY_CLOSE:
        if (b == BODY_DROP)
            drop = read_drop(id, m);
        rc = region_deregister(s, id, b == BODY_DROP ? &drop : NULL, INT64_MAX, err);
        break;
    default:
        rc = do_other(s, b, id, m, ret, err);
    }
    const char *name = request_names[b];
    double seconds = (double)(clock_monotonic_ns() - start) / 1e9;
    if (name) {
        metric_observe(labelled(&elapsed_family, name), seconds);
        metric_observe(labelled(&mito_family, name), seconds);
    }
    if (is_write(b) && rc)
        metric_add(labelled(&failed_insert_family, name), 1);
    else if (is_write(b))
        metric_add(labelled(&rows_family, name), (int64_t)ret->affected_rows);
    return rc;
}

/* ---- list_metadata ---- */

static int list_one(struct region_server *s, uint64_t id, struct dynbuf *out, struct error *err)
{
    struct engine *e = NULL;
    struct region_metadata *meta = NULL;
    int rc = region_begin(s, id, CLASS_OTHER, NULL, &e, err);
    if (rc == ST_OK)
        rc = e->ops->metadata(e, id, &meta, err);
    if (rc == ST_REGION_NOT_FOUND)
        return dynbuf_append(out, "null", 4, err);
    if (rc == ST_OK)
        rc = region_metadata_to_json(meta, out, err);
    region_metadata_unref(meta);
    return rc;
}

static int list_metadata(struct region_server *s, struct message body, struct dynbuf *out, struct error *err)
{
    struct pb_field f;
    struct pb_reader r = pb_reader_of(body.data, body.size);
    bool first = true;
    TRY(dynbuf_append_byte(out, '[', err));
    while (pb_next(&r, &f)) {
        if (f.number != 1)
            continue;
        struct pb_reader ids = pb_inside(&f);
        uint64_t id = f.value;
        while (f.wire == PB_VARINT || (f.wire == PB_BYTES && pb_varint(&ids, &id))) {
            if (!first)
                TRY(dynbuf_append_byte(out, ',', err));
            first = false;
            TRY(list_one(s, id, out, err));
            if (f.wire == PB_VARINT)
                break;
        }
        if (f.wire == PB_BYTES && !pb_done(&ids))
            return malformed("list of region ids", err);
    }
    if (!pb_done(&r))
        return malformed("metadata request", err);
    return dynbuf_append_byte(out, ']', err);
}

/* ---- envelope ---- */

static int put_extension(struct dynbuf *out, const char *key, const struct dynbuf *value, bool list, struct error *err)
{
    if (!value->size)
        return ST_OK;
    size_t value_size = value->size + (list ? 2 : 0), key_size = strlen(key);
    size_t entry = 1 + pb_varint_size(key_size) + key_size + 1 + pb_varint_size(value_size) + value_size;
    TRY(pb_put_varint(out, 3 << 3 | PB_BYTES, err));
    TRY(pb_put_varint(out, entry, err));
    TRY(pb_put_string(out, 1, key, err));
    TRY(pb_put_varint(out, 2 << 3 | PB_BYTES, err));
    TRY(pb_put_varint(out, value_size, err));
    if (list)
        TRY(dynbuf_append_byte(out, '[', err));
    TRY(dynbuf_append(out, value->data, value->size, err));
    return list ? dynbuf_append_byte(out, ']', err) : ST_OK;
}

static int encode(const struct region_response *r, const struct dynbuf *metadata, struct dynbuf *out, struct error *err)
{
    static const uint8_t ok[] = {0x0a, 0x02, 0x0a, 0x00};
    TRY(dynbuf_append(out, ok, sizeof(ok), err));
    if (r->affected_rows)
        TRY(pb_put_uint(out, 2, r->affected_rows, err));
    TRY(put_extension(out, "TABLE_COLUMN_METADATA", &r->column_metadata, false, err));
    TRY(put_extension(out, "MANIFEST_INFO", &r->manifest_info, true, err));
    TRY(put_extension(out, "ALTER_PHYSICAL", &r->alter_physical, false, err));
    return metadata->size ? pb_put_bytes(out, 4, metadata->data, metadata->size, err) : ST_OK;
}

static int dispatch(struct region_server *s, enum region_body b, struct message m, struct region_response *r, struct dynbuf *metadata,
                    struct error *err)
{
    int rc;
    switch (b) {
    case BODY_INSERTS:
    case BODY_DELETES:
        return region_run_parallel(s, b, m, r, err);
    case BODY_LIST_METADATA:
        return list_metadata(s, m, metadata, err);
    case BODY_CREATES:
        rc = region_run_batch(s, BODY_CREATE, m, r, err);
        break;
    case BODY_DROPS:
        rc = region_run_batch(s, BODY_DROP, m, r, err);
        break;
    case BODY_ALTERS:
        rc = region_run_batch(s, BODY_ALTER, m, r, err);
        break;
    default:
        rc = region_run_one(s, b, m, r, err);
    }
    if (b == BODY_CREATE || b == BODY_OPEN || b == BODY_DROP || b == BODY_CLOSE || b == BODY_ALTER || b == BODY_CREATES || b == BODY_DROPS ||
        b == BODY_ALTERS)
        rc = status_merge(rc, region_list_save(s, rc ? NULL : err));
    return rc;
}

int region_server_handle(struct region_server *s, const uint8_t *request, size_t size, struct dynbuf *ret_response, struct error *err)
{
    struct pb_field f;
    struct pb_reader reader = pb_reader_of(request, size);
    bool header = false;
    uint32_t b = 0; /* enum region_body */
    struct message body = {0};
    while (pb_next(&reader, &f)) {
        if (f.wire != PB_BYTES)
            continue;
        if (f.number == 1) {
            header = true;
        } else if (f.number >= BODY_INSERTS && f.number <= BODY_APPLY_STAGING) {
            b = f.number;
            body = (struct message){f.data, f.size};
        }
    }
    if (!pb_done(&reader))
        return malformed("RegionRequest", err);
    if (!header)
        return error_set(err, ST_INVALID_ARGUMENTS, "Expecting non-empty region request header.");
    if (!b)
        return error_set(err, ST_INVALID_ARGUMENTS, "Expecting non-empty region request body.");
    struct region_response r;
    struct dynbuf metadata;
    region_response_init(&r, s->options.response_bytes_max);
    dynbuf_init(&metadata, s->options.response_bytes_max);
    struct metric *fails = labelled(&fail_family, body_names[b]);
    int rc = dispatch(s, b, body, &r, &metadata, err);
    if (rc == ST_OK)
        rc = encode(&r, &metadata, ret_response, err);
    if (rc)
        metric_add(fails, 1);
    region_response_release(&r);
    dynbuf_release(&metadata);
    return rc;
}
