/* The metric engine by its rules: what is refused and with which status, what requests answer, and that sparse and dense data regions hold the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../tool/metric_node.h"
#include "base/log.h"
#include "engine/metric/metadata_region.h"
#include "format/key/sparse.h"
#include "os/fs_sim.h"

static const uint64_t A = (uint64_t)2000 << 32, B = (uint64_t)2001 << 32, NOBODY = (uint64_t)9999 << 32;

struct fixture {
    struct fs_sim *sim;
    struct metric_node node;
};

static void begin(struct fixture *f, bool dense)
{
    *f = (struct fixture){.node = {.dense = dense}};
    log_set_level(LOG_OFF);
    assert_int_equal(fs_sim_new(1, &f->sim, NULL), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(f->sim), "/home", NULL), ST_OK);
    assert_int_equal(metric_node_open(&f->node, fs_sim_fs(f->sim), METRIC_CREATE, NULL), ST_OK);
}

static void reopen(struct fixture *f)
{
    metric_node_close(&f->node);
    assert_int_equal(metric_node_open(&f->node, fs_sim_fs(f->sim), METRIC_OPEN, NULL), ST_OK);
}

static void end(struct fixture *f)
{
    metric_node_close(&f->node);
    fs_sim_free(f->sim);
}

static int write_one(struct fixture *f, uint64_t region, unsigned label, int64_t time, double value)
{
    return metric_node_write(&f->node, &(struct metric_row){region, label, time, value}, 1, NULL);
}

static int delete_one(struct fixture *f, uint64_t region, unsigned label, int64_t time)
{
    struct dynbuf request;
    uint64_t rows;
    dynbuf_init(&request, 1 << 16);
    put_write(&request, &(struct metric_row){region, label, time, 0}, true);
    int st = f->node.metric->ops->write(f->node.metric, region, true, (struct message){request.data, request.size}, &rows, NULL);
    dynbuf_release(&request);
    return st;
}

/* The rows of a table as "time:value " in order of time. */
static const char *rows_of(struct fixture *f, uint64_t region)
{
    static char text[4096];
    struct metric_scan s;
    size_t at = 0;
    assert_int_equal(metric_node_scan(&f->node, region, &s, NULL), ST_OK);
    text[0] = 0;
    for (int64_t done = 0; done < s.n; done++) {
        int64_t next = -1;
        for (int64_t i = 0; i < s.n; i++)
            if (s.times[i] >= 0 && (next < 0 || s.times[i] < s.times[next] || (s.times[i] == s.times[next] && s.values[i] < s.values[next])))
                next = i;
        at += (size_t)sprintf(text + at, "%lld:%g ", (long long)s.times[next], s.values[next]);
        s.times[next] = -1;
    }
    metric_scan_release(&s);
    return text;
}

/* ---- what is refused ---- */

static int create_odd(struct fixture *f, const char *tag, unsigned tag_type, unsigned fields, bool time, const char *option1, const char *option2)
{
    struct dynbuf r;
    char name[16];
    dynbuf_init(&r, 1 << 16);
    pb_put_uint(&r, 1, A, NULL);
    pb_put_string(&r, 2, "metric", NULL);
    if (time)
        put_column_def(&r, 3, "ts", 16, SEMANTIC_TIMESTAMP, 0);
    for (unsigned i = 0; i < fields; i++)
        put_column_def(&r, 3, label_name(100 + i, name), 10, SEMANTIC_FIELD, 1 + i);
    put_column_def(&r, 3, tag, tag_type, SEMANTIC_TAG, 20);
    pb_put_uint(&r, 4, 20, NULL);
    pb_put_string(&r, 5, "greptime/public", NULL);
    if (option1)
        put_option(&r, option1, "4398046511104");
    if (option2)
        put_option(&r, option2, "4398046511104");
    int st = metric_node_send(&f->node, f->node.metric->ops->create_many, &r, NULL);
    dynbuf_release(&r);
    return st;
}

static void refused_creates(void **state)
{
    static const char on[] = "on_physical_table", physical[] = "physical_metric_table";
    struct fixture f;
    (void)state;
    begin(&f, false);
    assert_int_equal(create_odd(&f, "l0", 12, 1, true, on, physical), ST_INVALID_ARGUMENTS);
    assert_int_equal(create_odd(&f, "l0", 12, 1, true, NULL, NULL), ST_INVALID_ARGUMENTS);
    assert_int_equal(create_odd(&f, "l0", 12, 2, true, on, NULL), ST_INVALID_ARGUMENTS);
    assert_int_equal(create_odd(&f, "l0", 12, 0, true, on, NULL), ST_INVALID_ARGUMENTS);
    assert_int_equal(create_odd(&f, "l0", 4, 1, true, on, NULL), ST_INVALID_ARGUMENTS);
    assert_int_equal(create_odd(&f, "__tsid", 12, 1, true, on, NULL), ST_INVALID_ARGUMENTS);
    assert_int_equal(create_odd(&f, "l0", 12, 1, false, on, NULL), ST_UNEXPECTED);
    assert_int_equal(create_odd(&f, "l0", 12, 1, true, on, NULL), ST_INVALID_ARGUMENTS); /* a field that the physical region lacks */
    assert_false(metric_node_labels(&f.node, A, 1, &(unsigned){0}));
    end(&f);
}

/* A repartition creates its regions from what the table has by then: the internal columns among it. The same name with another shape is refused. */
static void internal_columns_given(void **state)
{
    static const struct { unsigned table_id_type; bool nullable; int status; } cases[] = {
        {7, false, ST_OK}, {8, false, ST_INVALID_ARGUMENTS}, {7, true, ST_INVALID_ARGUMENTS}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f = {0};
        struct dynbuf r;
        log_set_level(LOG_OFF);
        assert_int_equal(fs_sim_new(1, &f.sim, NULL), ST_OK);
        assert_int_equal(fs_mkdirs(fs_sim_fs(f.sim), "/home", NULL), ST_OK);
        assert_int_equal(metric_node_open(&f.node, fs_sim_fs(f.sim), METRIC_BARE, NULL), ST_OK);
        dynbuf_init(&r, 1 << 16);
        put_create(&r, METRIC_PHYSICAL, 1, "physical_metric_table", "");
        put_column_def_as(&r, 3, KEY_NAME_TABLE_ID, cases[i].table_id_type, SEMANTIC_TAG, KEY_COLUMN_TABLE_ID, cases[i].nullable);
        put_column_def_as(&r, 3, KEY_NAME_TSID, 8, SEMANTIC_TAG, KEY_COLUMN_TSID, false);
        pb_put_uint(&r, 4, KEY_COLUMN_TABLE_ID, NULL);
        pb_put_uint(&r, 4, KEY_COLUMN_TSID, NULL);
        assert_int_equal(metric_node_send(&f.node, f.node.metric->ops->create_many, &r, NULL), cases[i].status);
        dynbuf_release(&r);
        if (cases[i].status == ST_OK) {
            struct region_metadata *m;
            assert_int_equal(f.node.metric->ops->metadata(f.node.metric, METRIC_PHYSICAL, &m, NULL), ST_OK);
            assert_int_equal(m->n_columns, 5);
            assert_true(m->n_key == 3 && m->columns[m->key[0]].id == KEY_COLUMN_TABLE_ID && m->columns[m->key[1]].id == KEY_COLUMN_TSID);
            region_metadata_unref(m);
            assert_int_equal(metric_node_create_logical(&f.node, A, 3, NULL), ST_OK);
            assert_int_equal(write_one(&f, A, 0, 10, 1), ST_OK);
            assert_string_equal(rows_of(&f, A), "10:1 ");
        }
        end(&f);
    }
}

static void refused_requests(void **state)
{
    const struct message nothing = {(const uint8_t *)"", 0};
    struct fixture f;
    struct dynbuf r;
    struct region_response response;
    (void)state;
    begin(&f, false);
    struct engine *e = f.node.metric;
    assert_int_equal(metric_node_create_logical(&f.node, A, 1, NULL), ST_OK);
    assert_int_equal(metric_node_create_logical(&f.node, B, 2, NULL), ST_OK);
    assert_int_equal(write_one(&f, METRIC_PHYSICAL, 0, 1, 1), ST_UNSUPPORTED);
    assert_int_equal(delete_one(&f, METRIC_PHYSICAL, 0, 1), ST_UNSUPPORTED);
    assert_int_equal(write_one(&f, NOBODY, 0, 1, 1), ST_REGION_NOT_FOUND);
    assert_int_equal(write_one(&f, A, 5, 1, 1), ST_COLUMN_NOT_FOUND);
    assert_int_equal(write_one(&f, A, 1, 1, 1), ST_OK); /* another table's label will do */
    assert_int_equal(e->ops->flush(e, A, NULL), ST_UNSUPPORTED);
    assert_int_equal(e->ops->compact(e, A, nothing, NULL), ST_UNSUPPORTED);
    assert_int_equal(e->ops->truncate(e, A, nothing, NULL), ST_UNSUPPORTED);
    assert_int_equal(e->ops->truncate(e, METRIC_PHYSICAL, nothing, NULL), ST_UNSUPPORTED);
    assert_int_equal(metric_node_add_labels(&f.node, METRIC_PHYSICAL, 4, NULL), ST_UNSUPPORTED);
    assert_int_equal(metric_node_add_labels(&f.node, NOBODY, 4, NULL), ST_REGION_NOT_FOUND);
    dynbuf_init(&r, 1024);
    region_response_init(&response, 1 << 20);
    pb_put_uint(&r, 1, A, NULL);
    pb_put_bytes(&r, 3, "\x0a\x03\x0a\x01x", 5, NULL); /* drop_columns */
    assert_int_equal(e->ops->alter(e, A, (struct message){r.data, r.size}, &response, NULL), ST_INVALID_ARGUMENTS);
    dynbuf_release(&r);
    region_response_release(&response);
    struct region_drop_request drop = {.region_id = METRIC_PHYSICAL};
    assert_int_equal(e->ops->drop(e, &drop, NULL), ST_INVALID_ARGUMENTS); /* busy */
    drop.region_id = NOBODY;
    assert_int_equal(e->ops->drop(e, &drop, NULL), ST_REGION_NOT_FOUND);
    drop = (struct region_drop_request){.region_id = METRIC_PHYSICAL, .force = true};
    assert_int_equal(e->ops->drop(e, &drop, NULL), ST_OK);
    assert_int_equal(write_one(&f, A, 0, 1, 1), ST_REGION_NOT_FOUND);
    metric_node_close(&f.node);
    assert_int_equal(metric_node_open(&f.node, fs_sim_fs(f.sim), METRIC_OPEN, NULL), ST_REGION_NOT_FOUND);
    end(&f);
}

/* ---- what is answered ---- */

static void batch_create(void **state)
{
    struct fixture f;
    struct dynbuf requests[3];
    struct message messages[3];
    struct region_response first, again;
    struct region_stat before, after;
    (void)state;
    begin(&f, false);
    struct engine *e = f.node.metric;
    assert_int_equal(f.node.mito->ops->stat(f.node.mito, METRIC_PHYSICAL, &before, NULL), ST_OK);
    for (unsigned i = 0; i < 3; i++) { /* labels {0, 2}, {2, 1}, {1, 3}: ids in order of appearance */
        static const unsigned labels[] = {5, 6, 10};
        dynbuf_init(&requests[i], 1 << 16);
        put_create(&requests[i], A + ((uint64_t)i << 32), labels[i], "on_physical_table", "4398046511104");
        messages[i] = (struct message){requests[i].data, requests[i].size};
    }
    region_response_init(&first, 1 << 20);
    region_response_init(&again, 1 << 20);
    assert_int_equal(e->ops->create_many(e, messages, 3, &first, NULL), ST_OK);
    assert_int_equal(f.node.mito->ops->stat(f.node.mito, METRIC_PHYSICAL, &after, NULL), ST_OK);
    assert_true(after.manifest_version == before.manifest_version + 1); /* one alter */
    struct region_metadata *m;
    assert_int_equal(e->ops->metadata(e, METRIC_PHYSICAL, &m, NULL), ST_OK);
    static const char *const names[] = {"ts", "val", "__table_id", "__tsid", "l0", "l2", "l1", "l3"};
    static const uint32_t ids[] = {0, 1, KEY_COLUMN_TABLE_ID, KEY_COLUMN_TSID, 2, 3, 4, 5};
    assert_int_equal(m->n_columns, 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_string_equal(m->columns[i].name, names[i]);
        assert_true(m->columns[i].id == ids[i]);
    }
    region_metadata_unref(m);
    assert_int_equal(e->ops->create_many(e, messages, 3, &again, NULL), ST_OK); /* all are there: the same answer */
    assert_int_equal(first.alter_physical.size, again.alter_physical.size);
    assert_memory_equal(first.alter_physical.data, again.alter_physical.data, first.alter_physical.size);
    assert_true(again.manifest_info.size > 0);
    assert_int_equal(e->ops->metadata(e, A, &m, NULL), ST_OK); /* by name, tags are the key, dense */
    static const char *const sorted[] = {"l0", "l2", "ts", "val"};
    assert_int_equal(m->n_columns, 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_string_equal(m->columns[i].name, sorted[i]);
    assert_true(m->n_key == 2 && m->key[0] == 0 && m->key[1] == 1 && m->time_index == 2 && !m->sparse_key && m->region_id == A);
    region_metadata_unref(m);
    for (unsigned i = 0; i < 3; i++)
        dynbuf_release(&requests[i]);
    region_response_release(&first);
    region_response_release(&again);
    end(&f);
}

/* ---- rows ---- */

static void same_rows(bool dense)
{
    struct fixture f;
    begin(&f, dense);
    assert_int_equal(metric_node_create_logical(&f.node, A, 3, NULL), ST_OK);
    assert_int_equal(metric_node_create_logical(&f.node, B, 1, NULL), ST_OK);
    /* Equal labels in both tables, one request. */
    const struct metric_row rows[] = {{A, 0, 10, 1}, {B, 0, 10, 2}, {A, 1, 20, 3}, {B, 0, 20, 4}, {A, 0, 10, 5}};
    assert_int_equal(metric_node_write(&f.node, rows, 5, NULL), ST_OK);
    assert_string_equal(rows_of(&f, A), "10:5 20:3 ");
    assert_string_equal(rows_of(&f, B), "10:2 20:4 ");
    assert_int_equal(delete_one(&f, A, 0, 10), ST_OK);
    assert_int_equal(delete_one(&f, B, 0, 77), ST_OK);
    for (int round = 0; round < 3; round++) { /* from memory, from the log, from SSTs */
        assert_string_equal(rows_of(&f, A), "20:3 ");
        assert_string_equal(rows_of(&f, B), "10:2 20:4 ");
        if (round == 0)
            reopen(&f);
        else if (round == 1)
            assert_int_equal(f.node.metric->ops->flush(f.node.metric, METRIC_PHYSICAL, NULL), ST_OK);
    }
    struct region_metadata *m;
    assert_int_equal(metric_node_add_labels(&f.node, A, 8, NULL), ST_OK);
    assert_int_equal(f.node.metric->ops->metadata(f.node.metric, METRIC_PHYSICAL, &m, NULL), ST_OK);
    assert_int_equal(m->sparse_key, !dense);
    region_metadata_unref(m);
    assert_int_equal(write_one(&f, A, 3, 30, 6), ST_OK);
    assert_int_equal(write_one(&f, A, 1, 20, 7), ST_OK); /* the series that the SST has: a label that is null does not change it */
    assert_string_equal(rows_of(&f, A), "20:7 30:6 ");
    reopen(&f);
    assert_string_equal(rows_of(&f, A), "20:7 30:6 ");
    assert_string_equal(rows_of(&f, B), "10:2 20:4 ");
    end(&f);
}

static void sparse_rows(void **state)
{
    (void)state;
    same_rows(false);
}

static void dense_rows(void **state)
{
    (void)state;
    same_rows(true);
}

/* The physical region shows table and series ids; equal labels are one series id in all tables. */
static void internal_columns(void **state)
{
    struct fixture f;
    struct table *t;
    struct batch_stream *stream;
    struct batch *b;
    (void)state;
    begin(&f, false);
    assert_int_equal(metric_node_create_logical(&f.node, A, 1, NULL), ST_OK);
    assert_int_equal(metric_node_create_logical(&f.node, B, 1, NULL), ST_OK);
    assert_int_equal(metric_node_write(&f.node, (const struct metric_row[]){{A, 0, 1, 1}, {B, 0, 1, 2}}, 2, NULL), ST_OK);
    assert_int_equal(f.node.metric->ops->table(f.node.metric, METRIC_PHYSICAL, &t, NULL), ST_OK);
    uint32_t columns[] = {(uint32_t)schema_find(t->schema, "__table_id"), (uint32_t)schema_find(t->schema, "__tsid")};
    struct scan_request q = {.columns = columns, .n_columns = 2, .limit = -1};
    assert_int_equal(t->ops->scan(t, &q, NULL, &stream, NULL), ST_OK);
    assert_int_equal(batch_stream_next(stream, &b, NULL), ST_OK);
    assert_int_equal(b->n_rows, 2);
    const struct key_label l0 = {2, "l0", 2, (const uint8_t *)"v0", 2};
    for (int i = 0; i < 2; i++) {
        assert_true(COLUMN_VALUES(b->columns[0], uint32_t)[i] == 2000u + (unsigned)i);
        assert_true(COLUMN_VALUES(b->columns[1], uint64_t)[i] == key_tsid(&l0, 1));
    }
    batch_unref(b);
    batch_stream_free(stream);
    table_free(t);
    end(&f);
}

/* ---- keys of the metadata region ---- */

static void metadata_keys(void **state)
{
    static const char *const names[] = {"my_column", "a", "ab", "abc", "_", "\xc3\xa9t\xc3\xa9", "a/b+c"};
    struct dynbuf key;
    char name[64];
    uint64_t id;
    int64_t size;
    (void)state;
    dynbuf_init(&key, 1024);
    assert_int_equal(metadata_key_of_column(755914245006u, "my_column", &key, NULL), ST_OK);
    assert_true(key.size == 34 && memcmp(key.data, "__column_755914245006_bXlfY29sdW1u", 34) == 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        dynbuf_clear(&key);
        assert_int_equal(metadata_key_of_column(UINT64_MAX, names[i], &key, NULL), ST_OK);
        assert_true(metadata_key_parse((const char *)key.data, key.size, &id, name, &size));
        assert_true(id == UINT64_MAX && (size_t)size == strlen(names[i]) && memcmp(name, names[i], (size_t)size) == 0);
    }
    dynbuf_release(&key);
    static const char region[] = "__region_4445291151360";
    assert_true(metadata_key_parse(region, sizeof region - 1, &id, name, &size) && id == 4445291151360u && size == -1);
    static const char *const bad[] = {"", "__region_", "__region_1x", "__column_1", "__column_x_YQ", "__column_1_Y", "__column_1_Y!", "__column_1_YR",
                                      "__region_99999999999999999999", "__other_1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(metadata_key_parse(bad[i], strlen(bad[i]), &id, name, &size));
}

/* ---- the inspection tables ---- */

/* All texts of a column of an inspection table, a blank behind each. */
static const char *inspected(struct fixture *f, const char *name, const char *column)
{
    static char text[2000];
    struct table *t;
    struct batch_stream *stream;
    struct batch *b;
    size_t n = 0;
    assert_int_equal(f->node.mito->ops->inspect(f->node.mito, name, &t, NULL), ST_OK);
    uint32_t columns[] = {(uint32_t)schema_find(t->schema, column)};
    struct scan_request q = {.columns = columns, .n_columns = 1, .limit = -1};
    assert_int_equal(t->ops->scan(t, &q, NULL, &stream, NULL), ST_OK);
    assert_int_equal(batch_stream_next(stream, &b, NULL), ST_OK);
    for (int64_t i = 0; b && i < b->n_rows; i++) {
        int32_t size;
        const uint8_t *bytes = column_bytes(b->columns[0], i, &size);
        n += (size_t)snprintf(text + n, sizeof text - n, "%.*s ", size, (const char *)bytes);
    }
    batch_unref(b);
    batch_stream_free(stream);
    table_free(t);
    return text;
}

/* The table's folder is the one above the region's, of which "data/" is a part; of a shared store only the tables are shown that have a region here.
 */
static void table_folders(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, false);
    assert_int_equal(metric_node_create_logical(&f.node, A, 1, NULL), ST_OK);
    assert_int_equal(write_one(&f, A, 0, 10, 1), ST_OK);
    assert_int_equal(object_store_put(f.node.store, "data/greptime/public/9/9_0000000000/x.parquet", "x", 1, NULL), ST_OK);
    assert_string_equal(inspected(&f, "__inspect/__mito/__sst_storage", "file_path"), "");
    assert_int_equal(f.node.metric->ops->flush(f.node.metric, METRIC_PHYSICAL, NULL), ST_OK);
    assert_string_equal(inspected(&f, "__inspect/__mito/__sst_manifest", "table_dir"), "data/greptime/public/1024/ data/greptime/public/1024/ ");
    const char *objects = inspected(&f, "__inspect/__mito/__sst_storage", "file_path"), *p = objects;
    int n = 0;
    for (; (p = strstr(p, "data/greptime/public/1024/1024_0000000000/")); p++)
        n++;
    assert_true(n >= 2 && !strstr(objects, "/9/"));
    end(&f);
}

/* A logical region that another leader has dropped is gone once this node has caught up, and keeps the physical one from being dropped no more. */
static void dropped_elsewhere(void **state)
{
    struct fixture f;
    struct metadata_change change;
    struct region_catchup_request catchup = {.region_id = METRIC_PHYSICAL};
    (void)state;
    begin(&f, false);
    struct engine *e = f.node.metric;
    struct metric_engine *metric = (struct metric_engine *)e;
    assert_int_equal(metric_node_create_logical(&f.node, A, 1, NULL), ST_OK);
    assert_int_equal(metric_node_create_logical(&f.node, B, 2, NULL), ST_OK);
    metadata_change_init(&change, true);
    assert_int_equal(metadata_change_region(&change, A, NULL), ST_OK);
    assert_int_equal(metadata_change_write(&change, metric, metric_metadata_id(METRIC_PHYSICAL), NULL), ST_OK);
    metadata_change_release(&change);
    assert_int_equal(e->ops->flush(e, METRIC_PHYSICAL, NULL), ST_OK);
    assert_int_equal(e->ops->set_role(e, METRIC_PHYSICAL, ROLE_FOLLOWER, NULL), ST_OK);
    assert_int_equal(e->ops->catchup(e, &catchup, NULL), ST_OK);
    assert_int_equal(write_one(&f, A, 0, 10, 1), ST_REGION_NOT_FOUND);
    assert_int_equal(write_one(&f, B, 1, 10, 1), ST_OK);
    assert_int_equal(e->ops->drop(e, &(struct region_drop_request){.region_id = B}, NULL), ST_OK);
    assert_int_equal(e->ops->drop(e, &(struct region_drop_request){.region_id = METRIC_PHYSICAL}, NULL), ST_OK);
    end(&f);
}

/* A drop that ended between the two regions is finished by the next one. */
static void drop_in_two_steps(void **state)
{
    struct fixture f;
    const struct region_drop_request drop = {.region_id = METRIC_PHYSICAL};
    const uint64_t metadata_id = metric_metadata_id(METRIC_PHYSICAL);
    (void)state;
    begin(&f, false);
    struct engine *e = f.node.metric, *m = f.node.mito;
    assert_int_equal(m->ops->set_role(m, metadata_id, ROLE_FOLLOWER, NULL), ST_OK);
    assert_int_not_equal(e->ops->drop(e, &drop, NULL), ST_OK);
    assert_int_equal(m->ops->set_role(m, metadata_id, ROLE_LEADER, NULL), ST_OK);
    assert_int_equal(e->ops->drop(e, &drop, NULL), ST_OK);
    assert_int_equal(m->ops->set_role(m, metadata_id, ROLE_LEADER, NULL), ST_REGION_NOT_FOUND);
    assert_int_equal(e->ops->drop(e, &drop, NULL), ST_REGION_NOT_FOUND);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused_creates), cmocka_unit_test(internal_columns_given), cmocka_unit_test(refused_requests), cmocka_unit_test(batch_create),
                                       cmocka_unit_test(sparse_rows),     cmocka_unit_test(dense_rows),       cmocka_unit_test(internal_columns),
                                       cmocka_unit_test(metadata_keys),    cmocka_unit_test(table_folders),   cmocka_unit_test(dropped_elsewhere),
                                       cmocka_unit_test(drop_in_two_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
