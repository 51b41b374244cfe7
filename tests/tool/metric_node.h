/* A metric engine with all that it stands on, over any file system, and the requests that tests of it make. Included by test programs only.
 *
 * Labels are l0, l1, ...; a set of them is a bit set. A row has the label of its number set to "v<number>", all others are null. */
#ifndef TESTS_METRIC_NODE_H
#define TESTS_METRIC_NODE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/metric/metric.h"
#include "format/proto/wire.h"

#define METRIC_PHYSICAL ((uint64_t)1024 << 32)

struct metric_node {
    struct budget root;
    struct object_store *store;
    struct wal *wal;
    struct engine *mito, *metric;
    bool dense;                     /* for the next create */
    enum wal_durability durability; /* WAL_FSYNC */
};

enum metric_start { METRIC_BARE, METRIC_CREATE, METRIC_OPEN };

/* ---- requests ---- */

static inline void put_column_def_as(struct dynbuf *out, uint32_t field, const char *name, unsigned type, unsigned semantic, uint32_t id,
                                           bool nullable)
{
    struct dynbuf def, column;
    dynbuf_init(&def, 4096);
    dynbuf_init(&column, 8192);
    pb_put_string(&def, 1, name, NULL);
    pb_put_uint(&def, 2, type, NULL);
    if (nullable)
        pb_put_uint(&def, 3, 1, NULL);
    pb_put_uint(&def, 5, semantic, NULL);
    pb_put_bytes(&column, 1, def.data, def.size, NULL);
    pb_put_uint(&column, 2, id, NULL);
    pb_put_bytes(out, field, column.data, column.size, NULL);
    dynbuf_release(&def);
    dynbuf_release(&column);
}

static inline void put_column_def(struct dynbuf *out, uint32_t field, const char *name, unsigned type, unsigned semantic, uint32_t id)
{
    put_column_def_as(out, field, name, type, semantic, id, semantic != SEMANTIC_TIMESTAMP);
}

static inline void put_option(struct dynbuf *out, const char *key, const char *value)
{
    struct dynbuf entry;
    dynbuf_init(&entry, 4096);
    pb_put_string(&entry, 1, key, NULL);
    pb_put_string(&entry, 2, value, NULL);
    pb_put_bytes(out, 6, entry.data, entry.size, NULL);
    dynbuf_release(&entry);
}

static inline const char *label_name(unsigned i, char *room)
{
    sprintf(room, "l%u", i);
    return room;
}

/* A CreateRequest: time, value, and the labels. */
static inline void put_create(struct dynbuf *out, uint64_t id, unsigned labels, const char *option, const char *value)
{
    char name[16];
    uint32_t next = 2;
    pb_put_uint(out, 1, id, NULL);
    pb_put_string(out, 2, "metric", NULL);
    put_column_def(out, 3, "ts", 16, SEMANTIC_TIMESTAMP, 0);
    put_column_def(out, 3, "val", 10, SEMANTIC_FIELD, 1);
    for (unsigned i = 0; i < 32; i++)
        if (labels >> i & 1) {
            put_column_def(out, 3, label_name(i, name), 12, SEMANTIC_TAG, next);
            pb_put_uint(out, 4, next++, NULL);
        }
    pb_put_string(out, 5, "greptime/public", NULL);
    put_option(out, option, value);
}

static inline int metric_node_send(struct metric_node *n, int (*op)(struct engine *, const struct message *, size_t, struct region_response *, struct error *),
                                   const struct dynbuf *request, struct error *err)
{
    struct region_response response;
    region_response_init(&response, 64 << 20);
    int st = op(n->metric, &(struct message){request->data, request->size}, 1, &response, err);
    region_response_release(&response);
    return st;
}

static inline int metric_node_create_physical(struct metric_node *n, struct error *err)
{
    struct dynbuf request;
    dynbuf_init(&request, 1 << 20);
    put_create(&request, METRIC_PHYSICAL, 0, "physical_metric_table", "");
    if (n->dense)
        put_option(&request, "memtable.partition_tree.primary_key_encoding", "dense");
    int st = metric_node_send(n, n->metric->ops->create_many, &request, err);
    dynbuf_release(&request);
    return st;
}

static inline int metric_node_create_logical(struct metric_node *n, uint64_t id, unsigned labels, struct error *err)
{
    char physical[32];
    struct dynbuf request;
    dynbuf_init(&request, 1 << 20);
    sprintf(physical, "%llu", (unsigned long long)METRIC_PHYSICAL);
    put_create(&request, id, labels, "on_physical_table", physical);
    int st = metric_node_send(n, n->metric->ops->create_many, &request, err);
    dynbuf_release(&request);
    return st;
}

static inline int metric_node_add_labels(struct metric_node *n, uint64_t id, unsigned labels, struct error *err)
{
    char name[16];
    struct dynbuf request, add, column;
    dynbuf_init(&request, 1 << 20);
    dynbuf_init(&add, 1 << 20);
    dynbuf_init(&column, 1 << 16);
    for (unsigned i = 0; i < 32; i++)
        if (labels >> i & 1) {
            dynbuf_clear(&column);
            put_column_def(&column, 1, label_name(i, name), 12, SEMANTIC_TAG, 0);
            pb_put_bytes(&add, 1, column.data, column.size, NULL);
        }
    pb_put_uint(&request, 1, id, NULL);
    pb_put_bytes(&request, 2, add.data, add.size, NULL);
    int st = metric_node_send(n, n->metric->ops->alter_many, &request, err);
    dynbuf_release(&request);
    dynbuf_release(&add);
    dynbuf_release(&column);
    return st;
}

/* ---- writes ---- */

struct metric_row {
    uint64_t region_id;
    unsigned label;
    int64_t time;
    double value;
};

static inline void put_column_schema(struct dynbuf *rows, const char *name, unsigned type, unsigned semantic)
{
    struct dynbuf c;
    dynbuf_init(&c, 256);
    pb_put_string(&c, 1, name, NULL);
    pb_put_uint(&c, 2, type, NULL);
    pb_put_uint(&c, 3, semantic, NULL);
    pb_put_bytes(rows, 1, c.data, c.size, NULL);
    dynbuf_release(&c);
}

/* The InsertRequest (or DeleteRequest) of one row. */
static inline void put_write(struct dynbuf *out, const struct metric_row *r, bool is_delete)
{
    char name[16], text[16];
    struct dynbuf rows, row, v;
    dynbuf_init(&rows, 4096);
    dynbuf_init(&row, 4096);
    dynbuf_init(&v, 256);
    put_column_schema(&rows, "ts", 16, SEMANTIC_TIMESTAMP);
    if (!is_delete)
        put_column_schema(&rows, "val", 10, SEMANTIC_FIELD);
    put_column_schema(&rows, label_name(r->label, name), 12, SEMANTIC_TAG);
    pb_put_uint(&v, 17, (uint64_t)r->time, NULL);
    pb_put_bytes(&row, 1, v.data, v.size, NULL);
    if (!is_delete) {
        uint64_t bits;
        memcpy(&bits, &r->value, 8);
        dynbuf_clear(&v);
        pb_put_fixed64(&v, 10, bits, NULL);
        pb_put_bytes(&row, 1, v.data, v.size, NULL);
    }
    dynbuf_clear(&v);
    sprintf(text, "v%u", r->label);
    pb_put_string(&v, 13, text, NULL);
    pb_put_bytes(&row, 1, v.data, v.size, NULL);
    pb_put_bytes(&rows, 2, row.data, row.size, NULL);
    pb_put_uint(out, 1, r->region_id, NULL);
    pb_put_bytes(out, 2, rows.data, rows.size, NULL);
    dynbuf_release(&rows);
    dynbuf_release(&row);
    dynbuf_release(&v);
}

static inline int metric_node_write(struct metric_node *n, const struct metric_row *rows, unsigned count, struct error *err)
{
    struct dynbuf *requests = calloc(count, sizeof *requests);
    struct message *messages = calloc(count, sizeof *messages);
    uint64_t written;
    for (unsigned i = 0; i < count; i++) {
        dynbuf_init(&requests[i], 1 << 16);
        put_write(&requests[i], &rows[i], false);
        messages[i] = (struct message){requests[i].data, requests[i].size};
    }
    int st = n->metric->ops->write_many(n->metric, messages, count, &written, err);
    for (unsigned i = 0; i < count; i++)
        dynbuf_release(&requests[i]);
    free(requests);
    free(messages);
    return st == ST_OK && written != count ? ST_INTERNAL : st;
}

/* ---- reads ---- */

/* Which of the first `max` labels the region has; false when there is no such region. */
static inline bool metric_node_labels(struct metric_node *n, uint64_t id, unsigned max, unsigned *ret_labels)
{
    struct region_metadata *m;
    char name[16];
    if (n->metric->ops->metadata(n->metric, id, &m, NULL) != ST_OK)
        return false;
    *ret_labels = 0;
    for (unsigned i = 0; i < max; i++) {
        label_name(i, name);
        if (region_metadata_find(m, name, strlen(name)) >= 0)
            *ret_labels |= 1u << i;
    }
    region_metadata_unref(m);
    return true;
}

struct metric_scan {
    int64_t n, *times;
    double *values;
};

static inline int metric_node_scan(struct metric_node *n, uint64_t id, struct metric_scan *ret, struct error *err)
{
    struct table *table;
    struct batch_stream *stream = NULL;
    *ret = (struct metric_scan){0};
    TRY(n->metric->ops->table(n->metric, id, &table, err));
    uint32_t columns[2] = {(uint32_t)schema_find(table->schema, "ts"), (uint32_t)schema_find(table->schema, "val")};
    struct scan_request q = {.columns = columns, .n_columns = 2, .limit = -1};
    int st = table->ops->scan(table, &q, NULL, &stream, err);
    for (struct batch *b = NULL; st == ST_OK; batch_unref(b)) {
        st = batch_stream_next(stream, &b, err);
        if (st != ST_OK || !b)
            break;
        ret->times = realloc(ret->times, (size_t)(ret->n + b->n_rows) * 8);
        ret->values = realloc(ret->values, (size_t)(ret->n + b->n_rows) * 8);
        memcpy(ret->times + ret->n, COLUMN_VALUES(b->columns[0], int64_t), (size_t)b->n_rows * 8);
        memcpy(ret->values + ret->n, COLUMN_VALUES(b->columns[1], double), (size_t)b->n_rows * 8);
        ret->n += b->n_rows;
    }
    batch_stream_free(stream);
    table_free(table);
    return st;
}

static inline void metric_scan_release(struct metric_scan *s)
{
    free(s->times);
    free(s->values);
}

/* ---- the node ---- */

static inline int metric_node_open_at(struct metric_node *n, struct fs *fs, const char *home, enum metric_start start, struct error *err)
{
    struct wal_report report;
    char wal[256];
    struct kv physical = {(char *)"physical_metric_table", (char *)""};
    budget_init(&n->root, "node", "memory_limit", (size_t)4 << 30, NULL);
    n->store = NULL;
    n->wal = NULL;
    n->mito = n->metric = NULL;
    TRY(object_store_open_folder(fs, home, &n->store, err));
    snprintf(wal, sizeof wal, "%s/wal", home);
    struct wal_options wo = {.fs = fs, .dir = wal, .durability = n->durability, .segment_bytes = n->durability == WAL_FSYNC ? 4096 : 64 << 20};
    TRY(wal_open(&wo, &n->wal, &report, err));
    struct mito_options mo = {.store = n->store, .wal = n->wal, .root_budget = &n->root, .write_buffer_bytes = 512 << 20, .write_reject_bytes = (size_t)1 << 30,
                              .checkpoint_distance = 3, .default_flat_format = true, .max_background_jobs = 1, .auto_flush_interval_ms = INT64_MAX / 2,
                              .wal_purge_bytes = UINT64_MAX, .write_stall_max_ms = 1000};
    TRY(mito_engine_new(&mo, &n->mito, err));
    struct metric_options options = {.mito = n->mito, .sparse_keys = true};
    TRY(metric_engine_new(&options, &n->metric, err));
    if (start == METRIC_CREATE)
        return metric_node_create_physical(n, err);
    struct region_open_request open = {.region_id = METRIC_PHYSICAL, .path = "greptime/public", .options = &physical, .n_options = 1, .writable = true};
    return start == METRIC_OPEN ? n->metric->ops->open(n->metric, &open, err) : ST_OK;
}

static inline int metric_node_open(struct metric_node *n, struct fs *fs, enum metric_start start, struct error *err)
{
    return metric_node_open_at(n, fs, "/home", start, err);
}

static inline void metric_node_close(struct metric_node *n)
{
    if (n->metric)
        n->metric->ops->free(n->metric);
    if (n->mito)
        n->mito->ops->free(n->mito);
    wal_close(n->wal);
    if (n->store)
        n->store->ops->free(n->store);
}

#endif
