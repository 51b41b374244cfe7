/* Region/Handle: from RegionRequest bytes to RegionResponse bytes (region-rpc.md 2 to 5).
 *
 * A body is looked into only as far as its region ids; the engine decodes the rest itself.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "format/proto/wire.h"
#include "region/internal.h"
#include "region/member.h"

enum body {
    BODY_INSERTS = 3, BODY_DELETES, BODY_CREATE, BODY_DROP, BODY_OPEN, BODY_CLOSE, BODY_ALTER, BODY_FLUSH, BODY_COMPACT, BODY_TRUNCATE,
    BODY_CREATES, BODY_DROPS, BODY_ALTERS, BODY_BULK_INSERT, BODY_SYNC, BODY_LIST_METADATA, BODY_BUILD_INDEX, BODY_APPLY_STAGING,
}; /* numbers frozen: the oneof of RegionRequest */

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
static struct metric_family elapsed_family = {.name = "greptime_datanode_handle_region_request_elapsed", .help = "datanode handle region request elapsed",
    .kind = METRIC_HISTOGRAM, .label_names = {LABEL}, .bounds = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}};
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

static bool is_write(enum body b)
{
    return b == BODY_INSERTS || b == BODY_DELETES || b == BODY_BULK_INSERT;
}

static int malformed(const char *what, struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "malformed %s", what);
}

static int region_id_of(struct message m, uint64_t *ret_id, struct error *err)
{
    uint64_t id = 0;
    struct pb_field f;
    struct pb_reader r = pb_reader_of(m.data, m.size);
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT)
            id = f.value;
    }
    if (!pb_done(&r))
        return malformed("region request", err);
    *ret_id = id;
    return ST_OK;
}

int region_parse_options(const uint8_t *data, size_t size, uint32_t field, struct kv **ret_options, uint32_t *ret_n, struct error *err)
{
    struct pb_field f, g;
    uint32_t n = 0;
    struct kv *options = calloc(REGION_OPTIONS_MAX, sizeof(*options));
    if (!options)
        return error_no_memory(err, REGION_OPTIONS_MAX * sizeof(*options));
    for (struct pb_reader r = pb_reader_of(data, size); pb_next(&r, &f);) {
        if (f.number != field || f.wire != PB_BYTES)
            continue;
        struct pb_field key = {0}, value = {0};
        for (struct pb_reader in = pb_inside(&f); pb_next(&in, &g);) {
            if (g.number == 1 && g.wire == PB_BYTES)
                key = g;
            else if (g.number == 2 && g.wire == PB_BYTES)
                value = g;
        }
        if (n == REGION_OPTIONS_MAX) {
            kv_list_free(options, n);
            return error_set(err, ST_INVALID_ARGUMENTS, "more than %d options", REGION_OPTIONS_MAX);
        }
        options[n].key = strndup(key.data ? (const char *)key.data : "", key.size);
        options[n].value = strndup(value.data ? (const char *)value.data : "", value.size);
        if (!options[n].key || !options[n++].value) {
            kv_list_free(options, n);
            return error_no_memory(err, key.size + value.size);
        }
    }
    *ret_options = options;
    *ret_n = n;
    return ST_OK;
}

/* Engine, path and options of a CreateRequest or OpenRequest. */
struct registration {
    char engine[64];
    char *path;
    struct kv *options;
    uint32_t n_options;
};

static int parse_registration(struct message m, bool create, struct registration *ret_reg, struct error *err)
{
    struct registration reg = {0};
    struct pb_field f, path = {0};
    for (struct pb_reader r = pb_reader_of(m.data, m.size); pb_next(&r, &f);) {
        if (f.wire != PB_BYTES)
            continue;
        if (f.number == 2) {
            memset(reg.engine, 0, sizeof(reg.engine));
            memcpy(reg.engine, f.data, f.size < sizeof(reg.engine) ? f.size : sizeof(reg.engine) - 1);
        } else if (f.number == (create ? 5u : 3u)) {
            path = f;
        }
    }
    reg.path = strndup(path.data ? (const char *)path.data : "", path.size);
    if (!reg.path)
        return error_no_memory(err, path.size);
    int rc = region_parse_options(m.data, m.size, create ? 6 : 4, &reg.options, &reg.n_options, err);
    if (rc) {
        free(reg.path);
        return rc;
    }
    *ret_reg = reg;
    return ST_OK;
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

static int do_register(struct region_server *s, uint64_t id, bool create, struct message m, struct region_response *ret, struct error *err)
{
    struct registration reg;
    struct engine *e;
    TRY(parse_registration(m, create, &reg, err));
    int rc = find_engine(s, reg.engine, &e, err);
    if (rc == ST_OK)
        rc = region_begin(s, id, CLASS_REGISTER, e, &e, err);
    if (rc)
        goto out;
    rc = close_found(s, e, id, err);
    if (rc == ST_OK && create) {
        rc = e->ops->create(e, m, ret, err);
    } else if (rc == ST_OK) {
        struct region_open_request open = {.region_id = id, .path = reg.path, .options = reg.options, .n_options = reg.n_options,
                                           .writable = !s->options.leased};
        rc = e->ops->open(e, &open, err);
    }
    if (rc == ST_OK)
        rc = region_list_put(s, id, reg.engine, reg.path, reg.options, reg.n_options, err);
    if (rc == ST_OK)
        region_lease_arm(s, id, e);
    region_end(s, id, CLASS_REGISTER, rc == ST_OK);
out:
    free(reg.path);
    kv_list_free(reg.options, reg.n_options);
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

int region_deregister(struct region_server *s, uint64_t id, bool drop, struct error *err)
{
    struct engine *e;
    TRY(region_begin(s, id, CLASS_DEREGISTER, NULL, &e, err));
    if (!e) /* absent, or a failed region whose engine this build lacks */
        return ST_OK;
    int rc = ST_OK;
    if (drop && failed_slot(s, id, err)) {
        rc = ST_REGION_NOT_READY;
    } else if (drop) {
        region_list_mark_dropping(s, id, true);
        rc = region_list_save(s, err);
        if (rc == ST_OK)
            rc = e->ops->drop(e, id, err);
        if (rc)
            region_list_mark_dropping(s, id, false);
    } else {
        rc = e->ops->close(e, id, err);
        if (rc == ST_REGION_NOT_FOUND)
            rc = ST_OK;
    }
    region_end(s, id, CLASS_DEREGISTER, rc == ST_OK);
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
    return has ? region_server_sync(s, &request, err) : error_set(err, ST_INVALID_ARGUMENTS, "a sync request of region %" PRIu64 " has no manifest info", id);
}

static int change_region(struct region_server *s, struct engine *e, enum body b, uint64_t id, struct message m, struct region_response *ret, struct error *err)
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
    default:
        return error_set(err, ST_UNSUPPORTED, "building indexes is not supported");
    }
}

static int do_other(struct region_server *s, enum body b, uint64_t id, struct message m, struct region_response *ret, struct error *err)
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

/* One region's request; `b` is the single form. */
static int run_one(struct region_server *s, enum body b, struct message m, struct region_response *ret, struct error *err)
{
    uint64_t id;
    TRY(region_id_of(m, &id, err));
    int64_t start = clock_monotonic_ns();
    int rc;
    switch (b) {
    case BODY_CREATE:
    case BODY_OPEN:
        rc = do_register(s, id, b == BODY_CREATE, m, ret, err);
        break;
    case BODY_DROP:
    case BODY_CLOSE:
        rc = region_deregister(s, id, b == BODY_DROP, err);
        break;
    default:
        rc = do_other(s, b, id, m, ret, err);
    }
    const char *name = request_names[b];
    if (name)
        metric_observe(labelled(&elapsed_family, name), (double)(clock_monotonic_ns() - start) / 1e9);
    if (is_write(b) && rc)
        metric_add(labelled(&failed_insert_family, name), 1);
    else if (is_write(b))
        metric_add(labelled(&rows_family, name), (int64_t)ret->affected_rows);
    return rc;
}

/* ---- several regions at once ---- */

struct member {
    struct message message;
    uint64_t region_id, rows;
    int rc;
    struct error err;
};

struct parallel {
    struct region_server *server;
    enum body body;
    struct member *members;
};

static void response_init(struct region_server *s, struct region_response *r)
{
    r->affected_rows = 0;
    dynbuf_init(&r->column_metadata, s->options.response_bytes_max);
    dynbuf_init(&r->manifest_info, s->options.response_bytes_max);
    dynbuf_init(&r->alter_physical, s->options.response_bytes_max);
}

static void response_release(struct region_response *r)
{
    dynbuf_release(&r->column_metadata);
    dynbuf_release(&r->manifest_info);
    dynbuf_release(&r->alter_physical);
}

static void run_member(void *ctx, size_t i)
{
    struct parallel *p = ctx;
    struct member *m = &p->members[i];
    struct region_response r;
    response_init(p->server, &r);
    m->rc = run_one(p->server, p->body, m->message, &r, &m->err);
    m->rows = r.affected_rows;
    response_release(&r);
}

static int by_region(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return x->region_id < y->region_id ? -1 : x->region_id > y->region_id;
}

static bool has_rows(struct message m)
{
    struct pb_field f;
    for (struct pb_reader r = pb_reader_of(m.data, m.size); pb_next(&r, &f);) {
        if (f.number == 2 && f.wire == PB_BYTES)
            return true;
    }
    return false;
}

/* The members of a list message (field 1), in order. */
static int split(struct message body, bool with_rows, struct member **ret_members, size_t *ret_n, struct error *err)
{
    struct pb_field f;
    size_t n = 0, room = 0;
    struct member *members = NULL;
    struct pb_reader r = pb_reader_of(body.data, body.size);
    int rc = ST_OK;
    while (rc == ST_OK && pb_next(&r, &f)) {
        struct message m = {f.data, f.size};
        if (f.number != 1 || f.wire != PB_BYTES || (with_rows && !has_rows(m)))
            continue;
        if (n == room) {
            room = room ? room * 2 : 4;
            struct member *more = n < REGION_MEMBERS_MAX ? realloc(members, room * sizeof(*more)) : NULL;
            if (!more) {
                free(members);
                return error_set(err, n < REGION_MEMBERS_MAX ? ST_NO_MEMORY : ST_INVALID_ARGUMENTS, "a request for more than %zu regions", n);
            }
            members = more;
        }
        members[n] = (struct member){.message = m};
        rc = region_id_of(m, &members[n++].region_id, err);
    }
    if (rc == ST_OK && !pb_done(&r))
        rc = malformed("list of region requests", err);
    if (rc) {
        free(members);
        return rc;
    }
    *ret_members = members;
    *ret_n = n;
    return ST_OK;
}

static int run_parallel(struct region_server *s, enum body b, struct message body, struct region_response *ret, struct error *err)
{
    size_t n;
    struct member *members, *sorted = NULL;
    TRY(split(body, true, &members, &n, err));
    /* Two writes to one region keep their order: later rows must win. */
    bool repeated = false;
    if (n > 1 && (sorted = malloc(n * sizeof(*sorted)))) {
        memcpy(sorted, members, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), by_region);
        for (size_t i = 1; i < n; i++)
            repeated |= sorted[i].region_id == sorted[i - 1].region_id;
    }
    free(sorted);
    struct parallel p = {s, b, members};
    thread_pool_for(n > 1 && !repeated ? s->writers : NULL, n, run_member, &p);
    int rc = ST_OK;
    for (size_t i = 0; i < n && rc == ST_OK; i++) {
        rc = members[i].rc;
        ret->affected_rows += members[i].rows;
        if (rc && err)
            *err = members[i].err;
    }
    free(members);
    return rc;
}

/* Joins what one member of a batch answered: lists of manifest infos add up, of the others the last one stands. */
static int join(struct region_response *all, const struct region_response *one, struct error *err)
{
    all->affected_rows += one->affected_rows;
    if (one->column_metadata.size) {
        dynbuf_clear(&all->column_metadata);
        TRY(dynbuf_append(&all->column_metadata, one->column_metadata.data, one->column_metadata.size, err));
    }
    if (one->alter_physical.size) {
        dynbuf_clear(&all->alter_physical);
        TRY(dynbuf_append(&all->alter_physical, one->alter_physical.data, one->alter_physical.size, err));
    }
    if (one->manifest_info.size && all->manifest_info.size)
        TRY(dynbuf_append_byte(&all->manifest_info, ',', err));
    return dynbuf_append(&all->manifest_info, one->manifest_info.data, one->manifest_info.size, err);
}

static int run_batch(struct region_server *s, enum body single, struct message body, struct region_response *ret, struct error *err)
{
    size_t n;
    struct member *members;
    TRY(split(body, false, &members, &n, err));
    int rc = ST_OK;
    for (size_t i = 0; i < n && rc == ST_OK; i++) {
        struct region_response one;
        response_init(s, &one);
        rc = run_one(s, single, members[i].message, &one, err);
        if (rc == ST_OK)
            rc = join(ret, &one, err);
        response_release(&one);
    }
    free(members);
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

static int dispatch(struct region_server *s, enum body b, struct message m, struct region_response *r, struct dynbuf *metadata, struct error *err)
{
    int rc;
    switch (b) {
    case BODY_INSERTS:
    case BODY_DELETES:
        return run_parallel(s, b, m, r, err);
    case BODY_LIST_METADATA:
        return list_metadata(s, m, metadata, err);
    case BODY_CREATES:
        rc = run_batch(s, BODY_CREATE, m, r, err);
        break;
    case BODY_DROPS:
        rc = run_batch(s, BODY_DROP, m, r, err);
        break;
    case BODY_ALTERS:
        rc = run_batch(s, BODY_ALTER, m, r, err);
        break;
    default:
        rc = run_one(s, b, m, r, err);
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
    uint32_t b = 0;
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
    response_init(s, &r);
    dynbuf_init(&metadata, s->options.response_bytes_max);
    struct metric *fails = labelled(&fail_family, body_names[b]);
    int rc = dispatch(s, b, body, &r, &metadata, err);
    if (rc == ST_OK)
        rc = encode(&r, &metadata, ret_response, err);
    if (rc)
        metric_add(fails, 1);
    response_release(&r);
    dynbuf_release(&metadata);
    return rc;
}
