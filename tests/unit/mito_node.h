/* A storage node on a simulated disk, and the requests that tests send it: for tests of the whole engine. */
#ifndef TESTS_UNIT_MITO_NODE_H
#define TESTS_UNIT_MITO_NODE_H

#include <stdio.h>
#include <string.h>

#include "engine/mito/mito.h"
#include "format/proto/wire.h"
#include "os/fs_sim.h"

/* The call, with `err` in it, must succeed; what it says otherwise ends the test. */
#define OK(call)                                                                                                                                     \
    do {                                                                                                                                             \
        struct error why = {0};                                                                                                                      \
        struct error *err = &why;                                                                                                                    \
        if ((call) != ST_OK)                                                                                                                         \
            fail_msg("%s: %s", #call, why.msg);                                                                                                      \
    } while (0)

enum { WIRE_INT32 = 3, WIRE_INT64 = 4, WIRE_FLOAT64 = 10, WIRE_STRING = 12, WIRE_TIMESTAMP_MS = 16 }; /* ColumnDataType */
enum { WIRE_TAG = 0, WIRE_FIELD = 1, WIRE_TIME = 2 };
#define NODE_PATH "greptime/public"

struct node {
    struct fs *fs;
    struct budget root;
    struct object_store *store;
    struct wal *wal;
    struct engine *engine;
    struct disk *disk;         /* NULL without disk_reserve_bytes */
    size_t write_buffer_bytes; /* 0 = 64 MiB */
    uint64_t disk_reserve_bytes;
    int64_t scan_part_rows;   /* 0 = the default */
    size_t key_bytes_max;     /* of a memtable; 0 = the default */
    int64_t sync_interval_ms; /* of the log; 0 = the fsync mode */
    unsigned compactions;     /* at a time, in the background; 0 = 1 */
    bool collects;            /* gc.enable, and each file is old enough to be collected */
};

/* Called in front of and behind each call of the code under test; a test may set it. */
static void (*node_around)(bool begins);

static inline void node_calls(void)
{
    if (node_around)
        node_around(true);
}

static inline int node_called(int st)
{
    if (node_around)
        node_around(false);
    return st;
}

static inline int node_open(struct node *n, struct fs *fs, struct error *err)
{
    struct wal_report report;
    size_t buffer = n->write_buffer_bytes ? n->write_buffer_bytes : (size_t)64 << 20;
    *n = (struct node){.fs = fs,
                       .write_buffer_bytes = buffer,
                       .disk_reserve_bytes = n->disk_reserve_bytes,
                       .scan_part_rows = n->scan_part_rows,
                       .key_bytes_max = n->key_bytes_max,
                       .sync_interval_ms = n->sync_interval_ms,
                       .compactions = n->compactions,
                       .collects = n->collects};
    struct disk_options disk = {.fs = fs, .dir = "/home", .reserve_name = "regiond.reserve", .reserve_bytes = n->disk_reserve_bytes};
    budget_init(&n->root, "node", "memory_limit", (size_t)1 << 30, NULL);
    if (n->disk_reserve_bytes)
        TRY(disk_new(&disk, &n->disk, err));
    TRY(object_store_open_folder(n->disk ? disk_fs(n->disk) : fs, "/home", &n->store, err));
    struct wal_options wo = {.fs = n->disk ? disk_fs_growing(n->disk) : fs,
                             .dir = "/home/wal",
                             .durability = n->sync_interval_ms ? WAL_INTERVAL : WAL_FSYNC,
                             .sync_interval_ms = n->sync_interval_ms,
                             .segment_bytes = 4096};
    TRY(wal_open(&wo, &n->wal, &report, err));
    struct mito_options mo = {.store = n->store,
                              .wal = n->wal,
                              .disk = n->disk,
                              .root_budget = &n->root,
                              .write_buffer_bytes = buffer,
                              .write_reject_bytes = 2 * buffer,
                              .checkpoint_distance = 3,
                              .default_flat_format = true,
                              .query_indexes = SST_INDEX_ALL,
                              .caches = {1 << 20, 1 << 20, 1 << 18, 4096, 1 << 16, 1 << 16},
                              .max_background_jobs = 1,
                              .max_background_compactions = n->compactions,
                              .auto_flush_interval_ms = INT64_MAX / 2,
                              .wal_purge_bytes = UINT64_MAX,
                              .write_stall_max_ms = 1000,
                              .memtable_key_bytes_max = n->key_bytes_max,
                              .scan_part_rows = n->scan_part_rows,
                              .gc_enabled = n->collects,
                              .gc_lingering_ms = n->collects ? -1 : 0,
                              .gc_unknown_ms = n->collects ? -1 : 0};
    return mito_engine_new(&mo, &n->engine, err);
}

static inline void node_close(struct node *n)
{
    if (n->engine)
        n->engine->ops->free(n->engine);
    wal_close(n->wal);
    if (n->store)
        n->store->ops->free(n->store);
    disk_free(n->disk);
    n->disk = NULL;
    n->engine = NULL;
    n->wal = NULL;
    n->store = NULL;
}

static inline struct message message_of(const struct dynbuf *b)
{
    return (struct message){b->data, b->size};
}

static inline void put_message(struct dynbuf *out, uint32_t field, struct dynbuf *inside)
{
    pb_put_bytes(out, field, inside->data ? inside->data : (const uint8_t *)"", inside->size, NULL);
    dynbuf_release(inside);
}

static inline void put_option(struct dynbuf *out, uint32_t field, const char *key, const char *value)
{
    struct dynbuf o;
    dynbuf_init(&o, 1 << 16);
    pb_put_string(&o, 1, key, NULL);
    pb_put_string(&o, 2, value, NULL);
    put_message(out, field, &o);
}

/* RegionColumnDef{column_def = 1 {name, data_type, is_nullable, default_constraint, semantic_type}, column_id = 2}; default_json may be NULL. */
static inline void put_column_def(struct dynbuf *out, uint32_t field, const char *name, unsigned type, unsigned semantic, uint32_t id,
                                  const char *default_json)
{
    struct dynbuf def, wrapped;
    dynbuf_init(&def, 1 << 16);
    dynbuf_init(&wrapped, 1 << 16);
    pb_put_string(&def, 1, name, NULL);
    pb_put_uint(&def, 2, type, NULL);
    pb_put_uint(&def, 3, semantic != WIRE_TIME, NULL);
    if (default_json)
        pb_put_string(&def, 4, default_json, NULL);
    pb_put_uint(&def, 5, semantic, NULL);
    put_message(&wrapped, 1, &def);
    pb_put_uint(&wrapped, 2, id, NULL);
    put_message(out, field, &wrapped);
}

/* A ColumnSchema of a Rows message. */
static inline void put_row_column(struct dynbuf *rows, const char *name, unsigned type, unsigned semantic)
{
    struct dynbuf c;
    dynbuf_init(&c, 1 << 12);
    pb_put_string(&c, 1, name, NULL);
    pb_put_uint(&c, 2, type, NULL);
    pb_put_uint(&c, 3, semantic, NULL);
    put_message(rows, 1, &c);
}

/* A Value of a Row; `null` writes the empty one. */
static inline void put_row_value(struct dynbuf *row, unsigned type, bool null, int64_t number)
{
    static const unsigned members[] = {[WIRE_INT32] = 3, [WIRE_INT64] = 4, [WIRE_FLOAT64] = 10, [WIRE_STRING] = 13, [WIRE_TIMESTAMP_MS] = 17};
    struct dynbuf v;
    char text[32];
    dynbuf_init(&v, 1 << 12);
    double d = (double)number;
    uint64_t bits;
    memcpy(&bits, &d, 8);
    snprintf(text, sizeof text, "%lld", (long long)number);
    if (null)
        ;
    else if (type == WIRE_STRING)
        pb_put_string(&v, members[type], text, NULL);
    else if (type == WIRE_FLOAT64)
        pb_put_fixed64(&v, members[type], bits, NULL);
    else
        pb_put_uint(&v, members[type], (uint64_t)number, NULL);
    put_message(row, 1, &v);
}

static inline int node_write(struct node *n, uint64_t region, bool is_delete, struct dynbuf *rows, struct error *err)
{
    struct dynbuf request;
    uint64_t affected;
    dynbuf_init(&request, 1 << 24);
    pb_put_uint(&request, 1, region, NULL);
    put_message(&request, 2, rows);
    node_calls();
    int st = node_called(n->engine->ops->write(n->engine, region, is_delete, message_of(&request), &affected, err));
    dynbuf_release(&request);
    return st;
}

static inline int node_alter(struct node *n, uint64_t region, uint32_t kind, struct dynbuf *body, struct error *err)
{
    struct dynbuf request;
    struct region_response response = {0};
    dynbuf_init(&response.column_metadata, 1 << 20);
    dynbuf_init(&response.manifest_info, 1 << 20);
    dynbuf_init(&request, 1 << 20);
    pb_put_uint(&request, 1, region, NULL);
    put_message(&request, kind, body);
    node_calls();
    int st = node_called(n->engine->ops->alter(n->engine, region, message_of(&request), &response, err));
    dynbuf_release(&request);
    dynbuf_release(&response.column_metadata);
    dynbuf_release(&response.manifest_info);
    return st;
}

struct node_column {
    const char *name;
    unsigned type, semantic;
};

/* A region of these columns, each with its place as its id. `options`: key, value, key, value, NULL; may be NULL. */
static inline int node_create(struct node *n, uint64_t region, const struct node_column *columns, uint32_t n_columns, const char *const *options,
                              struct error *err)
{
    struct dynbuf body;
    struct region_response response = {0};
    dynbuf_init(&response.column_metadata, 1 << 20);
    dynbuf_init(&body, 1 << 16);
    pb_put_uint(&body, 1, region, NULL);
    pb_put_string(&body, 2, "mito", NULL);
    for (uint32_t i = 0; i < n_columns; i++)
        put_column_def(&body, 3, columns[i].name, columns[i].type, columns[i].semantic, i, NULL);
    for (uint32_t i = 0; i < n_columns; i++)
        if (columns[i].semantic == WIRE_TAG)
            pb_put_uint(&body, 4, i, NULL);
    pb_put_string(&body, 5, NODE_PATH, NULL);
    for (; options && options[0]; options += 2)
        put_option(&body, 6, options[0], options[1]);
    node_calls();
    int st = node_called(n->engine->ops->create(n->engine, message_of(&body), &response, err));
    dynbuf_release(&body);
    dynbuf_release(&response.column_metadata);
    return st;
}

/* A region of host (a tag), ts and v (Int64). */
static inline int node_create_plain(struct node *n, uint64_t region, struct error *err)
{
    static const struct node_column columns[] = {
        {"host", WIRE_STRING, WIRE_TAG}, {"ts", WIRE_TIMESTAMP_MS, WIRE_TIME}, {"v", WIRE_INT64, WIRE_FIELD}};
    return node_create(n, region, columns, 3, NULL, err);
}

/* One row of it. */
static inline int node_write_plain(struct node *n, uint64_t region, int64_t host, int64_t ts, int64_t v, struct error *err)
{
    struct dynbuf rows, row;
    dynbuf_init(&rows, 1 << 16);
    dynbuf_init(&row, 1 << 16);
    put_row_column(&rows, "host", WIRE_STRING, WIRE_TAG);
    put_row_column(&rows, "ts", WIRE_TIMESTAMP_MS, WIRE_TIME);
    put_row_column(&rows, "v", WIRE_INT64, WIRE_FIELD);
    put_row_value(&row, WIRE_STRING, false, host);
    put_row_value(&row, WIRE_TIMESTAMP_MS, false, ts);
    put_row_value(&row, WIRE_INT64, false, v);
    put_message(&rows, 2, &row);
    return node_write(n, region, false, &rows, err);
}

/* How many rows the region holds. */
static inline int64_t node_rows(struct node *n, uint64_t region)
{
    struct table *table;
    struct batch_stream *stream;
    struct batch *b;
    int64_t rows = 0;
    struct scan_request q = {.columns = (uint32_t[]){2}, .n_columns = 1, .limit = -1};
    if (n->engine->ops->table(n->engine, region, &table, NULL) != ST_OK)
        return -1;
    if (table->ops->scan(table, &q, NULL, &stream, NULL) == ST_OK) {
        while (batch_stream_next(stream, &b, NULL) == ST_OK && b) {
            rows += b->n_rows;
            batch_unref(b);
        }
        batch_stream_free(stream);
    }
    table_free(table);
    return rows;
}

/* Everything, without the automatic compaction behind it, which would run on a thread of its own. */
static inline int node_flush(struct node *n, uint64_t region, struct error *err)
{
    struct mito_region *r;
    TRY(mito_region_get((struct mito_engine *)n->engine, region, &r, err));
    pthread_mutex_lock(&r->job_lock);
    node_calls();
    int st = node_called(mito_flush_locked(r, err));
    pthread_mutex_unlock(&r->job_lock);
    mito_region_unref(r);
    return st;
}

#endif
