/* Creating and altering logical regions: both add columns to the data region that it lacks, in one alter, and then write down who has which.
 *
 * New columns keep the order in which the requests name them first, and get consecutive ids: metasrv compares the answers of all datanodes.
 */
#include <stdlib.h>

#include "engine/metric/metadata_region.h"
#include "engine/metric/request.h"
#include "format/key/sparse.h"

struct wanted_column {
    const char *name;
    size_t name_size;
    bool is_string;
    enum semantic_type semantic;
};

/* What one request wants of a logical region. */
struct wanted {
    uint64_t region_id, physical_id;
    struct wanted_column *columns; /* owned; the names are borrowed */
    uint32_t n_columns;
    int time_unit; /* of creates, -1 = not said */
};

static void wanted_free(struct wanted *all, size_t n)
{
    for (size_t i = 0; all && i < n; i++)
        free(all[i].columns);
    free(all);
}

static int put_manifest_info(struct metric_engine *e, const struct metric_physical *p, struct dynbuf *out, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct region_stat data, meta;
    TRY(m->ops->stat(m, p->id, &data, err));
    TRY(m->ops->stat(m, p->metadata_id, &meta, err));
    return dynbuf_printf(out, err,
                         "%s[%llu,{\"Metric\":{\"data_manifest_version\":%llu,\"data_flushed_entry_id\":%llu,\"metadata_manifest_version\":%llu,"
                         "\"metadata_flushed_entry_id\":%llu}}]",
                         out->size ? "," : "", (unsigned long long)p->id, (unsigned long long)data.manifest_version,
                         (unsigned long long)data.flushed_entry_id, (unsigned long long)meta.manifest_version,
                         (unsigned long long)meta.flushed_entry_id);
}

/* ---- new columns ---- */

struct new_labels {
    char **names; /* owned */
    uint32_t n, room;
    struct dict_map seen;
};

static dict_key new_label_at(const void *ctx, uint32_t i)
{
    const char *name = ((const struct new_labels *)ctx)->names[i];
    return (dict_key){name, strlen(name)};
}

static void new_labels_release(struct new_labels *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        free(l->names[i]);
    free(l->names);
    dict_map_release(&l->seen);
}

static int add_new_label(struct new_labels *l, const struct wanted_column *c, struct error *err)
{
    uint64_t hash = hash_bytes(c->name, c->name_size);
    uint32_t id;
    bool added;
    if (dict_map_find(&l->seen, hash, c->name, c->name_size, new_label_at, l) != UINT32_MAX)
        return ST_OK;
    if (c->semantic != SEMANTIC_TAG)
        return error_set(err, ST_INVALID_ARGUMENTS, "Adding field column %.*s to physical table", (int)(c->name_size < 200 ? c->name_size : 200),
                         c->name);
    if (!c->is_string)
        return error_set(err, ST_INVALID_ARGUMENTS, "Column type mismatch. Expect String(StringType { size_type: Utf8 }), got that of column %.*s",
                         (int)(c->name_size < 200 ? c->name_size : 200), c->name);
    if (l->n == l->room) {
        uint32_t room = l->room ? l->room * 2 : 16;
        char **more = realloc(l->names, room * sizeof *more);
        if (!more)
            return error_no_memory(err, room * sizeof *more);
        l->names = more;
        l->room = room;
    }
    if (!(l->names[l->n] = strndup(c->name, c->name_size)))
        return error_no_memory(err, c->name_size);
    l->n++;
    return dict_map_intern(&l->seen, hash, c->name, c->name_size, new_label_at, l, &id, &added, err);
}

static int find_new_labels(const struct region_metadata *data, const struct wanted *all, const uint32_t *mine, uint32_t n, struct new_labels *out,
                           struct error *err)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < all[mine[i]].n_columns; k++) {
            const struct wanted_column *c = &all[mine[i]].columns[k];
            int at = region_metadata_find(data, c->name, c->name_size);
            if (at < 0)
                TRY(add_new_label(out, c, err));
            else if (data->columns[at].semantic != c->semantic)
                return error_set(err, ST_INVALID_ARGUMENTS, "column %s has another semantic type in the physical region", data->columns[at].name);
        }
    return ST_OK;
}

static uint32_t next_column_id(const struct region_metadata *m)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < m->n_columns; i++)
        if (!(m->columns[i].id & 0x80000000u) && m->columns[i].id >= next)
            next = m->columns[i].id + 1;
    return next;
}

/* The data region's metadata with every wanted column in it. */
static int extend_data_region(struct metric_engine *e, struct metric_physical *p, const struct wanted *all, const uint32_t *mine, uint32_t n,
                              struct region_metadata **ret_data, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct new_labels labels = {0};
    struct region_metadata *data;
    struct region_response ignored;
    struct dynbuf request;
    TRY(m->ops->metadata(m, p->id, &data, err));
    dynbuf_init(&request, 256 << 20);
    region_response_init(&ignored, (size_t)1 << 30);
    int st = find_new_labels(data, all, mine, n, &labels, err);
    if (st == ST_OK && labels.n) {
        st = metric_add_labels(p->id, (const char *const *)labels.names, labels.n, next_column_id(data), &p->index, &request, err);
        if (st == ST_OK)
            st = m->ops->alter(m, p->id, (struct message){request.data, request.size}, &ignored, err);
        region_metadata_unref(data);
        data = NULL;
        if (st == ST_OK)
            st = m->ops->metadata(m, p->id, &data, err);
    }
    region_response_release(&ignored);
    dynbuf_release(&request);
    new_labels_release(&labels);
    if (st == ST_OK)
        *ret_data = data;
    else
        region_metadata_unref(data);
    return st;
}

/* ---- one physical region ---- */

static bool known(struct metric_engine *e, uint64_t id)
{
    pthread_rwlock_rdlock(&e->lock);
    bool is = u64_map_get(&e->logicals, id) != NULL;
    pthread_rwlock_unlock(&e->lock);
    return is;
}

/* The ids that region `id` has already and those that `w` wants, each once. */
static int union_ids(struct metric_engine *e, const struct wanted *w, bool exists, const struct region_metadata *data, uint32_t **ret_ids,
                     uint32_t *ret_n, struct error *err)
{
    struct metric_physical *p;
    uint32_t *old = NULL, n = 0;
    if (exists) {
        TRY(metric_logical_get(e, w->region_id, &p, &old, &n, err));
        metric_physical_unref(p);
    }
    uint32_t *ids = realloc(old, ((size_t)n + w->n_columns + 1) * sizeof *ids);
    if (!ids) {
        free(old);
        return error_no_memory(err, ((size_t)n + w->n_columns) * sizeof *ids);
    }
    for (uint32_t k = 0; k < w->n_columns; k++) {
        uint32_t id = data->columns[region_metadata_find(data, w->columns[k].name, w->columns[k].name_size)].id, i = 0;
        while (i < n && ids[i] != id)
            i++;
        ids[n] = id;
        n += i == n;
    }
    *ret_ids = ids;
    *ret_n = n;
    return ST_OK;
}

/* Puts what the requests want into the metadata region, then into memory. */
static int write_down(struct metric_engine *e, struct metric_physical *p, const struct region_metadata *data, const struct wanted *all,
                      const uint32_t *mine, uint32_t n, bool creating, struct error *err)
{
    struct metadata_change change;
    metadata_change_init(&change, false);
    int st = ST_OK;
    for (uint32_t i = 0; i < n && st == ST_OK; i++) {
        const struct wanted *w = &all[mine[i]];
        if (creating)
            st = metadata_change_region(&change, w->region_id, err);
        for (uint32_t k = 0; k < w->n_columns && st == ST_OK; k++) {
            int at = region_metadata_find(data, w->columns[k].name, w->columns[k].name_size);
            st = metadata_change_column(&change, w->region_id, &data->columns[at], err);
        }
    }
    if (st == ST_OK)
        st = metadata_change_write(&change, e, p->metadata_id, err);
    metadata_change_release(&change);
    for (uint32_t i = 0; i < n && st == ST_OK; i++) {
        uint32_t *ids, n_ids;
        st = union_ids(e, &all[mine[i]], !creating || known(e, all[mine[i]].region_id), data, &ids, &n_ids, err);
        if (st == ST_OK) {
            st = metric_logical_put(e, all[mine[i]].region_id, p, ids, n_ids, err);
            free(ids);
        }
    }
    return st;
}

static int check_units(const struct region_metadata *data, const struct wanted *all, const uint32_t *mine, uint32_t n, struct error *err)
{
    for (uint32_t i = 0; i < n; i++)
        if (all[mine[i]].time_unit >= 0 && all[mine[i]].time_unit != data->columns[data->time_index].type->unit)
            return error_set(err, ST_INVALID_ARGUMENTS, "Unexpected request: Metric has differenttime unit (%s) than the physical region (%s)",
                             time_unit_names[all[mine[i]].time_unit], time_unit_names[data->columns[data->time_index].type->unit]); /* (sic) */
    return ST_OK;
}

/* The requests `mine` of one physical region. `creating`: those that exist already are skipped. */
static int apply(struct metric_engine *e, struct metric_physical *p, const struct wanted *all, uint32_t *mine, uint32_t n, bool creating,
                 struct region_response *ret, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct region_metadata *data;
    uint32_t left = 0;
    TRY(m->ops->metadata(m, p->id, &data, err));
    int st = check_units(data, all, mine, n, err);
    region_metadata_unref(data);
    TRY(st);
    for (uint32_t i = 0; i < n; i++) {
        bool exists = known(e, all[mine[i]].region_id);
        if (!creating && !exists)
            return error_set(err, ST_REGION_NOT_FOUND, "Logical region not found, region id: %llu", (unsigned long long)all[mine[i]].region_id);
        if (!creating || !exists)
            mine[left++] = mine[i];
    }
    TRY(extend_data_region(e, p, all, mine, left, &data, err));
    st = write_down(e, p, data, all, mine, left, creating, err);
    dynbuf_clear(&ret->alter_physical);
    if (st == ST_OK)
        st = region_columns_to_json(data, &ret->alter_physical, err);
    if (st == ST_OK)
        st = put_manifest_info(e, p, &ret->manifest_info, err);
    region_metadata_unref(data);
    return st;
}

/* All requests, one physical region after another in the order of their first request. */
static int apply_all(struct metric_engine *e, struct wanted *all, size_t n, bool creating, struct region_response *ret, struct error *err)
{
    uint32_t *mine = malloc((n + 1) * sizeof *mine);
    bool *done = calloc(n + 1, sizeof *done);
    int st = mine && done ? ST_OK : error_no_memory(err, n * sizeof *mine);
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        struct metric_physical *p;
        uint32_t n_mine = 0;
        if (done[i])
            continue;
        for (size_t k = i; k < n; k++)
            if (all[k].physical_id == all[i].physical_id) {
                done[k] = true;
                mine[n_mine++] = (uint32_t)k;
            }
        st = metric_physical_get(e, all[i].physical_id, &p, err);
        if (st != ST_OK)
            break;
        st = metric_ddl_begin(p, err);
        if (st == ST_OK) {
            st = apply(e, p, all, mine, n_mine, creating, ret, err);
            metric_ddl_end(p);
        }
        metric_physical_unref(p);
    }
    free(mine);
    free(done);
    return st;
}

/* ---- create ---- */

static int want_create(const struct metric_create *c, struct wanted *w, struct error *err)
{
    const struct region_metadata *m = c->columns;
    if (c->physical)
        return error_set(err, ST_INVALID_ARGUMENTS, "Physical table must be created with single request");
    w->columns = calloc(m->n_columns + 1, sizeof *w->columns);
    if (!w->columns)
        return error_no_memory(err, m->n_columns * sizeof *w->columns);
    w->region_id = c->region_id;
    w->physical_id = c->physical_id & ~(uint64_t)0xff000000u;
    w->time_unit = m->columns[m->time_index].type->unit;
    w->n_columns = m->n_columns;
    for (uint32_t i = 0; i < m->n_columns; i++)
        w->columns[i] =
            (struct wanted_column){m->columns[i].name, strlen(m->columns[i].name), m->columns[i].type->id == TYPE_UTF8, m->columns[i].semantic};
    return ST_OK;
}

int metric_create_many(struct metric_engine *e, const struct message *creates, size_t n, struct region_response *ret, struct error *err)
{
    struct metric_create *all = calloc(n + 1, sizeof *all);
    struct wanted *wanted = calloc(n + 1, sizeof *wanted);
    size_t read = 0;
    int st = all && wanted ? ST_OK : error_no_memory(err, n * sizeof *all);
    for (; st == ST_OK && read < n; read += st == ST_OK)
        st = metric_create_read(creates[read], &all[read], err);
    if (st == ST_OK && n == 1 && all[0].physical) {
        st = metric_physical_create(e, creates[0], ret, err);
    } else if (st == ST_OK) {
        for (size_t i = 0; i < n && st == ST_OK; i++)
            st = want_create(&all[i], &wanted[i], err);
        if (st == ST_OK)
            st = apply_all(e, wanted, n, true, ret, err);
    }
    for (size_t i = 0; i < read; i++)
        metric_create_release(&all[i]);
    free(all);
    wanted_free(wanted, n);
    return st;
}

/* ---- alter ---- */

enum {
    ALTER_ADD = 2,
    ALTER_SET_OPTIONS = 6,
    ALTER_UNSET_OPTIONS = 9,
    ALTER_SET_INDEX = 10,
    ALTER_UNSET_INDEX = 11,
    ALTER_SET_INDEXES = 13,
    ALTER_UNSET_INDEXES = 14,
    ALTER_SYNC = 16
}; /* frozen: AlterRequest's kinds */

static int read_alter(struct message alter, uint64_t *ret_id, struct pb_field *ret_kind, struct error *err)
{
    struct pb_reader r = pb_reader_of(alter.data, alter.size);
    struct pb_field f;
    *ret_id = 0;
    *ret_kind = (struct pb_field){0};
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT)
            *ret_id = f.value;
        else if (f.number <= ALTER_SYNC && f.wire == PB_BYTES)
            *ret_kind = f;
    }
    return pb_done(&r) ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "malformed alter request");
}

/* AddColumn{column_def = 1 RegionColumnDef{column_def = 1 ColumnDef{name = 1, data_type = 2, semantic_type = 5}}} */
static int read_added(const struct pb_field *add, struct wanted_column *c, struct error *err)
{
    enum { STRING = 12 };
    struct pb_field f = *add, inner;
    for (int depth = 0; depth < 2; depth++) {
        struct pb_reader r = pb_inside(&f);
        struct pb_field found = {0};
        while (pb_next(&r, &inner))
            if (inner.number == 1 && inner.wire == PB_BYTES)
                found = inner;
        if (!pb_done(&r) || !found.data)
            return error_set(err, ST_INVALID_ARGUMENTS, "missing column_def");
        f = found;
    }
    uint64_t datatype = 0, semantic = 0;
    struct pb_reader r = pb_inside(&f);
    while (pb_next(&r, &inner)) {
        if (inner.number == 1 && inner.wire == PB_BYTES) {
            c->name = (const char *)inner.data;
            c->name_size = inner.size;
        } else if (inner.number == 2 && inner.wire == PB_VARINT) {
            datatype = inner.value;
        } else if (inner.number == 5 && inner.wire == PB_VARINT) {
            semantic = inner.value;
        }
    }
    if (!pb_done(&r) || !c->name_size || semantic > SEMANTIC_TIMESTAMP || memchr(c->name, 0, c->name_size))
        return error_set(err, ST_INVALID_ARGUMENTS, "malformed column definition");
    c->is_string = datatype == STRING;
    c->semantic = (enum semantic_type)semantic;
    return ST_OK;
}

static int want_alter(struct metric_engine *e, struct message alter, struct wanted *w, struct error *err)
{
    struct metric_physical *p;
    struct pb_field kind, f;
    uint32_t n = 0;
    TRY(read_alter(alter, &w->region_id, &kind, err));
    TRY(metric_logical_get(e, w->region_id, &p, NULL, NULL, err));
    w->physical_id = p->id;
    w->time_unit = -1;
    metric_physical_unref(p);
    if (kind.number != ALTER_ADD)
        return error_set(err, ST_INVALID_ARGUMENTS, "Unsupported alter kind: a logical region can only be given columns");
    for (struct pb_reader r = pb_inside(&kind); pb_next(&r, &f);)
        n += f.number == 1 && f.wire == PB_BYTES;
    w->columns = calloc(n + 1, sizeof *w->columns);
    if (!w->columns)
        return error_no_memory(err, n * sizeof *w->columns);
    struct pb_reader r = pb_inside(&kind);
    while (pb_next(&r, &f))
        if (f.number == 1 && f.wire == PB_BYTES)
            TRY(read_added(&f, &w->columns[w->n_columns++], err));
    return pb_done(&r) ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "malformed alter request");
}

/* Options, indexes and whole column lists go to the data region; the answer carries nothing. */
static int alter_physical(struct metric_engine *e, uint64_t id, const struct pb_field *kind, struct message alter, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct metric_physical *p;
    struct region_response ignored;
    switch (kind->number) {
    case ALTER_SET_OPTIONS:
    case ALTER_UNSET_OPTIONS:
    case ALTER_SET_INDEX:
    case ALTER_UNSET_INDEX:
    case ALTER_SET_INDEXES:
    case ALTER_UNSET_INDEXES:
    case ALTER_SYNC:
        break;
    default:
        return error_set(err, ST_UNSUPPORTED, "Alter request to physical region is forbidden");
    }
    TRY(metric_physical_get(e, id, &p, err));
    int st = metric_ddl_begin(p, err);
    if (st == ST_OK) {
        region_response_init(&ignored, (size_t)1 << 30);
        st = m->ops->alter(m, id, alter, &ignored, err);
        region_response_release(&ignored);
        metric_ddl_end(p);
    }
    metric_physical_unref(p);
    return st;
}

int metric_alter_many(struct metric_engine *e, const struct message *alters, size_t n, struct region_response *ret, struct error *err)
{
    uint64_t id = 0;
    struct pb_field kind;
    if (n)
        TRY(read_alter(alters[0], &id, &kind, err));
    if (n && metric_is_physical(e, id))
        return n == 1 ? alter_physical(e, id, &kind, alters[0], err)
                      : error_set(err, ST_INVALID_ARGUMENTS, "Physical table must be altered with single request");
    struct wanted *wanted = calloc(n + 1, sizeof *wanted);
    int st = wanted ? ST_OK : error_no_memory(err, n * sizeof *wanted);
    for (size_t i = 0; i < n && st == ST_OK; i++)
        st = want_alter(e, alters[i], &wanted[i], err);
    if (st == ST_OK)
        st = apply_all(e, wanted, n, false, ret, err);
    wanted_free(wanted, n);
    return st;
}
