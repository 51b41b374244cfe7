#include "engine/metric/metadata_region.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/log.h"
#include "format/proto/wire.h"

#define REGION_PREFIX "__region_"
#define COLUMN_PREFIX "__column_"

/* ---- keys ---- */

bool metadata_key_parse(const char *key, size_t key_size, uint64_t *ret_logical_id, char *name, int64_t *ret_name_size)
{
    enum { PREFIX = sizeof REGION_PREFIX - 1 };
    bool column = key_size > PREFIX && memcmp(key, COLUMN_PREFIX, PREFIX) == 0;
    if (key_size <= PREFIX || (!column && memcmp(key, REGION_PREFIX, PREFIX) != 0))
        return false;
    uint64_t id = 0;
    size_t at = PREFIX;
    for (; at < key_size && key[at] >= '0' && key[at] <= '9'; at++)
        if (__builtin_mul_overflow(id, 10, &id) || __builtin_add_overflow(id, (uint64_t)(key[at] - '0'), &id))
            return false;
    *ret_logical_id = id;
    *ret_name_size = -1;
    if (at == PREFIX)
        return false;
    if (!column)
        return at == key_size;
    if (at == key_size || key[at] != '_' || key[key_size - 1] == '=') /* the names have no padding */
        return false;
    *ret_name_size = base64_decode(key + at + 1, key_size - at - 1, (uint8_t *)name);
    return *ret_name_size >= 0;
}

int metadata_key_of_column(uint64_t logical_id, const char *name, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, COLUMN_PREFIX "%llu_", (unsigned long long)logical_id));
    size_t n = strlen(name);
    TRY(dynbuf_reserve(out, base64_room(n), err));
    out->size += base64_encode(name, n, false, out->data + out->size);
    return ST_OK;
}

/* ---- changes ---- */

enum { STRING = 12, TIMESTAMP_MS = 16 };          /* ColumnDataType */
enum { STRING_VALUE = 13, TIMESTAMP_VALUE = 17 }; /* members of Value */

void metadata_change_init(struct metadata_change *c, bool is_delete)
{
    c->is_delete = is_delete;
    dynbuf_init(&c->rows, (size_t)1 << 30);
}

void metadata_change_release(struct metadata_change *c)
{
    dynbuf_release(&c->rows);
}

static int put_schema(struct dynbuf *rows, const char *name, uint32_t datatype, uint32_t semantic, struct error *err)
{
    uint8_t inside[32], *p = inside;
    *p++ = 0x0a;
    *p++ = (uint8_t)strlen(name);
    p = (uint8_t *)mempcpy(p, name, strlen(name));
    *p++ = 0x10;
    *p++ = (uint8_t)datatype;
    *p++ = 0x18;
    *p++ = (uint8_t)semantic;
    return pb_put_bytes(rows, 1, inside, (size_t)(p - inside), err);
}

static size_t text_value_size(size_t n)
{
    return 1 + pb_varint_size(n) + n;
}

static int put_text(struct dynbuf *rows, const struct dynbuf *text, struct error *err)
{
    TRY(pb_put_varint(rows, 1 << 3 | PB_BYTES, err));
    TRY(pb_put_varint(rows, text_value_size(text->size), err));
    return pb_put_bytes(rows, STRING_VALUE, text->data, text->size, err);
}

/* A row (ts = 0, k[, v]); `value` NULL in deletes. */
static int put_row(struct metadata_change *c, const struct dynbuf *key, const struct dynbuf *value, struct error *err)
{
    static const uint8_t zero_time[] = {0x0a, 0x03, 0x88, 0x01, 0x00}; /* Value{timestamp_millisecond_value = 17: 0} */
    struct dynbuf *rows = &c->rows;
    if (!rows->size) {
        TRY(put_schema(rows, "ts", TIMESTAMP_MS, SEMANTIC_TIMESTAMP, err));
        TRY(put_schema(rows, "k", STRING, SEMANTIC_TAG, err));
        if (!c->is_delete)
            TRY(put_schema(rows, "v", STRING, SEMANTIC_FIELD, err));
    }
    size_t k = text_value_size(key->size), v = c->is_delete ? 0 : text_value_size(value->size);
    TRY(pb_put_varint(rows, 2 << 3 | PB_BYTES, err));
    TRY(pb_put_varint(rows, sizeof zero_time + 1 + pb_varint_size(k) + k + (c->is_delete ? 0 : 1 + pb_varint_size(v) + v), err));
    TRY(dynbuf_append(rows, zero_time, sizeof zero_time, err));
    TRY(put_text(rows, key, err));
    return c->is_delete ? ST_OK : put_text(rows, value, err);
}

int metadata_change_region(struct metadata_change *c, uint64_t logical_id, struct error *err)
{
    struct dynbuf key, value;
    dynbuf_init(&key, 64);
    dynbuf_init(&value, 0);
    int st = dynbuf_printf(&key, err, REGION_PREFIX "%llu", (unsigned long long)logical_id);
    if (st == ST_OK)
        st = put_row(c, &key, &value, err);
    dynbuf_release(&key);
    return st;
}

int metadata_change_column(struct metadata_change *c, uint64_t logical_id, const struct region_column *column, struct error *err)
{
    struct dynbuf key, value;
    dynbuf_init(&key, 1 << 20);
    dynbuf_init(&value, 16 << 20);
    int st = metadata_key_of_column(logical_id, column->name, &key, err);
    if (st == ST_OK && !c->is_delete)
        st = region_column_to_json(column, &value, err);
    if (st == ST_OK)
        st = put_row(c, &key, &value, err);
    dynbuf_release(&key);
    dynbuf_release(&value);
    return st;
}

int metadata_change_write(struct metadata_change *c, struct metric_engine *e, uint64_t metadata_id, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct dynbuf request;
    uint64_t rows;
    if (!c->rows.size)
        return ST_OK;
    dynbuf_init(&request, c->rows.size + 64);
    int st = pb_put_uint(&request, 1, metadata_id, err);
    if (st == ST_OK)
        st = pb_put_bytes(&request, 2, c->rows.data, c->rows.size, err);
    struct message write = {request.data, request.size};
    if (st == ST_OK)
        st = m->ops->write(m, metadata_id, c->is_delete, write, &rows, err);
    if (st == ST_NO_SPACE && c->is_delete) /* drops are how an operator makes room */
        st = mito_region_delete_and_flush(e->mito, metadata_id, write, err);
    dynbuf_release(&request);
    return st;
}

/* ---- reading ---- */

struct row_sink {
    int (*each)(void *ctx, const char *key, size_t key_size, const char *value, size_t value_size, struct error *err);
    void *ctx;
};

/* Column 0: keys, column 1, if it was asked for: values. */
static int read_batch(const struct batch *b, const struct row_sink *sink, struct error *err)
{
    struct column *keys, *values = NULL;
    TRY(column_decode_dictionary(NULL, b->columns[0], &keys, err));
    int st = b->schema->n_fields > 1 ? column_decode_dictionary(NULL, b->columns[1], &values, err) : ST_OK;
    for (int64_t i = 0; i < keys->length && st == ST_OK; i++) {
        int32_t size, value_size = 0;
        const uint8_t *key = column_bytes(keys, i, &size);
        const uint8_t *value = values && !column_is_null(values, i) ? column_bytes(values, i, &value_size) : NULL;
        st = sink->each(sink->ctx, (const char *)key, (size_t)size, (const char *)value, (size_t)value_size, err);
    }
    column_unref(keys);
    column_unref(values);
    return st;
}

/* All rows of a metadata region. */
static int read_rows(struct table *table, bool with_values, const struct row_sink *sink, struct error *err)
{
    struct batch_stream *stream = NULL;
    int k = schema_find(table->schema, "k"), v = schema_find(table->schema, "v");
    uint32_t wanted[] = {(uint32_t)k, (uint32_t)v};
    struct scan_request q = {.columns = wanted, .n_columns = with_values ? 2 : 1, .limit = -1};
    int st = k < 0 || v < 0
                 ? error_set(err, ST_CORRUPT, "region %llu is no metadata region: it lacks the column k or v", (unsigned long long)table->region_id)
                 : table->ops->scan(table, &q, NULL, &stream, err);
    while (st == ST_OK) {
        struct batch *batch;
        st = batch_stream_next(stream, &batch, err);
        if (st != ST_OK || !batch)
            break;
        st = read_batch(batch, sink, err);
        batch_unref(batch);
    }
    batch_stream_free(stream);
    return st;
}

/* ---- recovery ---- */

struct id_list {
    uint64_t logical_id;
    bool is_region;
    uint32_t n, room, *ids;
};

struct recovery {
    struct u64_map lists; /* struct id_list by logical id */
    const struct region_metadata *data;
    struct dynbuf name;
    uint64_t unknown; /* columns that the data region lacks */
};

static int list_of(struct recovery *r, uint64_t id, struct id_list **ret_list, struct error *err)
{
    struct id_list *l = u64_map_get(&r->lists, id);
    if (!l) {
        l = calloc(1, sizeof *l);
        if (!l || u64_map_put(&r->lists, id, l, err) != ST_OK) {
            free(l);
            return error_no_memory(err, sizeof *l);
        }
        l->logical_id = id;
    }
    *ret_list = l;
    return ST_OK;
}

static int recover_key(void *ctx, const char *key, size_t size, const char *value, size_t value_size, struct error *err)
{
    struct recovery *r = ctx;
    struct id_list *l;
    uint64_t id;
    int64_t name_size;
    (void)value;
    (void)value_size;
    dynbuf_clear(&r->name);
    TRY(dynbuf_reserve(&r->name, size + 1, err));
    if (!metadata_key_parse(key, size, &id, (char *)r->name.data, &name_size))
        return error_set(err, ST_UNEXPECTED, "the metadata region has a key that is neither a region's nor a column's: %.*s",
                         (int)(size < 200 ? size : 200), key);
    TRY(list_of(r, id, &l, err));
    if (name_size < 0) {
        l->is_region = true;
        return ST_OK;
    }
    int column = region_metadata_find(r->data, (const char *)r->name.data, (size_t)name_size);
    if (column < 0) { /* no row can have it */
        r->unknown++;
        return ST_OK;
    }
    if (l->n == l->room) {
        uint32_t room = l->room ? l->room * 2 : 8, *more = realloc(l->ids, room * sizeof *more);
        if (!more)
            return error_no_memory(err, room * sizeof *more);
        l->ids = more;
        l->room = room;
    }
    l->ids[l->n++] = r->data->columns[column].id;
    return ST_OK;
}

/* Takes the regions that are in no list out of the maps. */
static int forget_others(struct metric_engine *e, const struct metric_physical *p, const struct recovery *r, struct error *err)
{
    uint64_t *ids;
    size_t n;
    TRY(metric_members(e, p->id, &ids, &n, err));
    for (size_t i = 0; i < n; i++) {
        const struct id_list *l = u64_map_get(&r->lists, ids[i]);
        if (!l || !l->is_region)
            metric_logical_remove(e, ids[i]);
    }
    free(ids);
    return ST_OK;
}

int metadata_region_recover(struct metric_engine *e, struct metric_physical *p, const struct region_metadata *data, bool all, struct error *err)
{
    struct recovery r = {.data = data};
    struct row_sink sink = {recover_key, &r};
    struct engine *m = metric_mito(e);
    struct table *table;
    size_t pos = 0;
    uint64_t id;
    void *value;
    TRY(m->ops->table(m, p->metadata_id, &table, err));
    u64_map_init(&r.lists);
    dynbuf_init(&r.name, 1 << 20);
    int st = read_rows(table, false, &sink, err);
    table_free(table);
    if (st == ST_OK && all)
        st = forget_others(e, p, &r, err);
    while (u64_map_next(&r.lists, &pos, &id, &value)) {
        struct id_list *l = value;
        if (st == ST_OK && l->is_region)
            st = metric_logical_put(e, id, p, l->ids, l->n, err);
        free(l->ids);
        free(l);
    }
    if (r.unknown)
        log_warn("metric", "metadata region %llu names %llu columns that its data region lacks: they are left out",
                 (unsigned long long)p->metadata_id, (unsigned long long)r.unknown);
    u64_map_release(&r.lists);
    dynbuf_release(&r.name);
    return st;
}

/* ---- copying ---- */

struct copy {
    struct metadata_change change;
    uint32_t from, to; /* region numbers */
    uint64_t n;
};

/* The key of a logical region with the number `from`, or of its column, as that of the region `to`; its value stays. */
static int copy_row(void *ctx, const char *key, size_t size, const char *value, size_t value_size, struct error *err)
{
    enum { PREFIX = sizeof REGION_PREFIX - 1 };
    struct copy *c = ctx;
    struct dynbuf fresh, v;
    uint64_t id = 0;
    size_t at = PREFIX;
    while (at < size && key[at] >= '0' && key[at] <= '9')
        id = id * 10 + (uint64_t)(key[at++] - '0');
    if (at <= PREFIX || (uint32_t)id != c->from)
        return ST_OK;
    dynbuf_init(&fresh, size + 32);
    dynbuf_init(&v, value_size);
    int st = dynbuf_printf(&fresh, err, "%.*s%llu%.*s", PREFIX, key, (unsigned long long)((id >> 32 << 32) | c->to), (int)(size - at), key + at);
    if (st == ST_OK)
        st = dynbuf_append(&v, value, value_size, err);
    if (st == ST_OK)
        st = put_row(&c->change, &fresh, &v, err);
    c->n += at == size;
    dynbuf_release(&fresh);
    dynbuf_release(&v);
    return st;
}

int metadata_region_copy(struct metric_engine *e, struct metric_physical *p, uint64_t source_id, uint64_t *ret_n, struct error *err)
{
    struct copy c = {.from = (uint32_t)source_id, .to = (uint32_t)p->id};
    struct row_sink sink = {copy_row, &c};
    struct table *table;
    TRY(mito_sibling_table(e->mito, p->metadata_id, metric_metadata_id(source_id), &table, err));
    metadata_change_init(&c.change, false);
    int st = read_rows(table, true, &sink, err);
    table_free(table);
    if (st == ST_OK)
        st = metadata_change_write(&c.change, e, p->metadata_id, err);
    metadata_change_release(&c.change);
    if (st == ST_OK)
        *ret_n = c.n;
    return st;
}
