/* The manifest manager on a real folder: byte forms, checkpoints and retention, recovery, failing stores; and region options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/mito/manifest.h"
#include "engine/mito/options.h"
#include "format/proto/wire.h"

/* ---- a store in memory whose writes can be made to fail ---- */

struct object { char *key; uint8_t *data; size_t size; };
struct memory_store { struct object_store base; struct object objects[64]; unsigned n; bool fail; };
struct memory_reader { struct object_reader base; struct object o; };
struct memory_writer { struct object_writer base; struct memory_store *s; char *key; struct dynbuf data; };

static struct object *lookup(struct memory_store *s, const char *key)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (strcmp(s->objects[i].key, key) == 0)
            return &s->objects[i];
    }
    return NULL;
}

static int reader_read(struct object_reader *r, uint64_t offset, void *data, size_t size, struct error *err)
{
    struct memory_reader *m = (struct memory_reader *)r;
    if (offset + size > m->o.size)
        return error_set(err, ST_CORRUPT, "short");
    memcpy(data, m->o.data + offset, size);
    return ST_OK;
}

static void reader_close(struct object_reader *r)
{
    free(r);
}

static const struct object_reader_ops reader_ops = {reader_read, reader_close};

static int store_open(struct object_store *base, const char *key, struct object_reader **ret, struct error *err)
{
    struct object *o = lookup((struct memory_store *)base, key);
    if (!o)
        return error_set(err, ST_NOT_FOUND, "%s", key);
    struct memory_reader *r = calloc(1, sizeof *r);
    *r = (struct memory_reader){{&reader_ops, o->size}, *o};
    *ret = &r->base;
    return ST_OK;
}

static int writer_append(struct object_writer *w, const void *data, size_t size, struct error *err)
{
    return dynbuf_append(&((struct memory_writer *)w)->data, data, size, err);
}

static void writer_abort(struct object_writer *base)
{
    struct memory_writer *w = (struct memory_writer *)base;
    dynbuf_release(&w->data);
    free(w->key);
    free(w);
}

static int writer_commit(struct object_writer *base, struct error *err)
{
    struct memory_writer *w = (struct memory_writer *)base;
    struct memory_store *s = w->s;
    int st = s->fail ? error_set(err, ST_STORAGE, "made to fail") : ST_OK;
    if (st == ST_OK) {
        struct object *o = lookup(s, w->key);
        if (!o) {
            assert_true(s->n < 64);
            o = &s->objects[s->n++];
            o->key = strdup(w->key);
        }
        free(o->data);
        o->data = malloc(w->data.size + 1);
        memcpy(o->data, w->data.data, w->data.size);
        o->data[w->data.size] = 0;
        o->size = w->data.size;
    }
    writer_abort(base);
    return st;
}

static int writer_commit_new(struct object_writer *base, struct error *err)
{
    struct memory_writer *w = (struct memory_writer *)base;
    if (!lookup(w->s, w->key))
        return writer_commit(base, err);
    writer_abort(base);
    return error_set(err, ST_ILLEGAL_STATE, "exists");
}

static const struct object_writer_ops writer_ops = {.append = writer_append, .commit = writer_commit, .commit_new = writer_commit_new, .abort = writer_abort};

static int store_create(struct object_store *base, const char *key, struct object_writer **ret, struct error *err)
{
    (void)err;
    struct memory_writer *w = calloc(1, sizeof *w);
    w->base.ops = &writer_ops;
    w->s = (struct memory_store *)base;
    w->key = strdup(key);
    dynbuf_init(&w->data, 1 << 24);
    *ret = &w->base;
    return ST_OK;
}

static int store_remove(struct object_store *base, const char *key, struct error *err)
{
    (void)err;
    struct memory_store *s = (struct memory_store *)base;
    struct object *o = lookup(s, key);
    if (o) {
        free(o->key);
        free(o->data);
        *o = s->objects[--s->n];
        s->objects[s->n] = (struct object){0};
    }
    return ST_OK;
}

static int store_list(struct object_store *base, const char *prefix, bool recursive, int (*each)(void *, const struct object_info *, struct error *), void *ctx,
                      struct error *err)
{
    struct memory_store *s = (struct memory_store *)base;
    (void)recursive;
    for (unsigned i = 0; i < s->n; i++) {
        struct object_info info = {.key = s->objects[i].key, .size_bytes = s->objects[i].size};
        if (strncmp(info.key, prefix, strlen(prefix)) == 0)
            TRY(each(ctx, &info, err));
    }
    return ST_OK;
}

static int store_remove_prefix(struct object_store *base, const char *prefix, struct error *err)
{
    struct memory_store *s = (struct memory_store *)base;
    for (unsigned i = 0; i < s->n;)
        if (strncmp(s->objects[i].key, prefix, strlen(prefix)) == 0)
            store_remove(base, s->objects[i].key, err);
        else
            i++;
    return ST_OK;
}

static const struct object_store_ops store_ops = {.open = store_open, .create = store_create, .remove = store_remove, .discard = store_remove, .list = store_list,
                                                  .remove_prefix = store_remove_prefix};

static void store_clear(struct memory_store *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        free(s->objects[i].key);
        free(s->objects[i].data);
    }
}

#define METADATA                                                                                                                                        \
    "{\"column_metadatas\":[{\"column_schema\":{\"name\":\"ts\",\"data_type\":{\"Timestamp\":{\"Millisecond\":null}},\"is_nullable\":false,"                \
    "\"is_time_index\":true,\"default_constraint\":null,\"metadata\":{\"greptime:time_index\":\"true\"}},\"semantic_type\":\"Timestamp\",\"column_id\":1}]," \
    "\"primary_key\":[],\"region_id\":4398046511104,\"schema_version\":0,\"primary_key_encoding\":\"dense\",\"partition_expr\":\"\"}"
#define FILE_JSON                                                                                                                                        \
    "{\"region_id\":4398046511104,\"file_id\":\"4b220a70-2b03-4641-9687-b65d94641208\",\"time_range\":[{\"value\":1451609210000,\"unit\":\"Millisecond\"},"    \
    "{\"value\":1451609520000,\"unit\":\"Millisecond\"}],\"level\":0,\"file_size\":91244,\"max_row_group_uncompressed_size\":512000,\"available_indexes\":["  \
    "\"InvertedIndex\"],\"indexes\":[{\"column_id\":0,\"created_indexes\":[\"InvertedIndex\"]}],\"index_file_size\":871,\"index_version\":0,"                 \
    "\"num_rows\":1000,\"num_row_groups\":1,\"sequence\":1000,\"partition_expr\":null,\"num_series\":10}"

static struct file_meta sample_file(struct sst_column_index *index)
{
    *index = (struct sst_column_index){0, SST_INDEX_INVERTED};
    return (struct file_meta){.region_id = 4398046511104, .file_id = "4b220a70-2b03-4641-9687-b65d94641208", .time_min = 1451609210000, .time_max = 1451609520000,
        .time_unit = UNIT_MILLI, .file_size = 91244, .max_row_group_uncompressed_size = 512000, .available_indexes = SST_INDEX_INVERTED, .indexes = index,
        .n_indexes = 1, .index_file_size = 871, .num_rows = 1000, .num_row_groups = 1, .num_series = 10, .sequence = 1000};
}

static bool exists(struct memory_store *s, unsigned version, const char *kind)
{
    char key[80];
    snprintf(key, sizeof key, "r/manifest/%020u.%s", version, kind);
    return lookup(s, key) != NULL;
}

static void keeps_and_recovers(void **state)
{
    struct memory_store s = {.base = {&store_ops}};
    struct region_metadata *metadata;
    struct manifest_manager *m, *again;
    struct sst_column_index index;
    struct file_meta file = sample_file(&index);
    struct error err = {0};
    (void)state;
    assert_int_equal(region_metadata_from_json(METADATA, strlen(METADATA), &metadata, NULL), ST_OK);
    assert_int_equal(manifest_open(&s.base, "r/", 10, &m, NULL), ST_NOT_FOUND);
    assert_int_equal(manifest_create(&s.base, "r/", 10, metadata, SST_FORMAT_FLAT, 0, &m, &err), ST_OK);
    assert_string_equal((char *)lookup(&s, "r/manifest/00000000000000000000.json")->data,
                        "{\"actions\":[{\"Change\":{\"metadata\":" METADATA ",\"sst_format\":\"flat\",\"append_mode\":null}}]}");
    struct manifest_edit edit = {.add = &file, .n_add = 1, .timestamp_ms = 5, .has_flushed = true, .flushed_entry_id = 7, .flushed_sequence = 1000};
    assert_int_equal(manifest_update_edit(m, &edit, &err), ST_OK);
    assert_string_equal((char *)lookup(&s, "r/manifest/00000000000000000001.json")->data,
                        "{\"actions\":[{\"Edit\":{\"files_to_add\":[" FILE_JSON "],\"files_to_remove\":[],\"timestamp_ms\":5,\"compaction_time_window\":null,"
                        "\"flushed_entry_id\":7,\"flushed_sequence\":1000,\"committed_sequence\":null}}]}");
    s.fail = true;
    edit.flushed_entry_id = 99;
    assert_int_equal(manifest_update_edit(m, &edit, &err), ST_STORAGE);
    assert_int_equal(manifest_state(m)->version, 1);
    assert_int_equal(manifest_state(m)->flushed_entry_id, 7);
    s.fail = false;
    for (unsigned v = 3; v <= 30; v++) {
        edit.flushed_entry_id = v;
        assert_int_equal(manifest_update_edit(m, &edit, &err), ST_OK);
        assert_int_equal(manifest_state(m)->version, v);
    }
    assert_true(exists(&s, 30, "checkpoint") && exists(&s, 20, "checkpoint") && !exists(&s, 10, "checkpoint"));
    assert_true(exists(&s, 30, "json") && exists(&s, 21, "json") && !exists(&s, 20, "json"));
    assert_int_equal(s.n, 13); /* two checkpoints, ten deltas, the pointer */
    edit.flushed_entry_id = 500;
    assert_int_equal(manifest_update_edit(m, &edit, &err), ST_OK);
    assert_int_equal(manifest_open(&s.base, "r/", 10, &again, &err), ST_OK);
    const struct manifest *x = manifest_state(again);
    assert_true(x->version == 31 && x->flushed_entry_id == 500 && x->n_files == 1 && x->files[0].num_rows == 1000 && x->sst_format == SST_FORMAT_FLAT);
    assert_true(manifest_bytes(again) == manifest_bytes(m));
    assert_int_equal(manifest_update_truncate_all(again, 600, 7000, &err), ST_OK);
    assert_true(manifest_state(again)->n_files == 0 && manifest_state(again)->flushed_sequence == 7000 && manifest_state(again)->truncated_entry_id == 600);
    manifest_free(again);
    lookup(&s, "r/manifest/00000000000000000030.checkpoint")->data[20] ^= 1;
    assert_int_equal(manifest_open(&s.base, "r/", 10, &again, &err), ST_CORRUPT);
    manifest_free(m);
    region_metadata_unref(metadata);
    store_clear(&s);
}

static bool says(void *ctx)
{
    return *(bool *)ctx;
}

/* A node without a lease writes no delta, and nobody writes over another node's. */
static void guarded(void **state)
{
    struct memory_store s = {.base = {&store_ops}};
    struct region_metadata *metadata;
    struct manifest_manager *a, *b;
    struct sst_column_index index;
    struct file_meta file = sample_file(&index);
    struct manifest_edit edit = {.add = &file, .n_add = 1, .timestamp_ms = 5, .has_flushed = true, .flushed_entry_id = 7, .flushed_sequence = 1000};
    bool may = true, behind = true;
    struct error err;
    (void)state;
    assert_int_equal(region_metadata_from_json(METADATA, strlen(METADATA), &metadata, NULL), ST_OK);
    assert_int_equal(manifest_create(&s.base, "r/", 10, metadata, SST_FORMAT_FLAT, 0, &a, &err), ST_OK);
    manifest_set_guard(a, says, &may);
    assert_int_equal(manifest_open(&s.base, "r/", 10, &b, &err), ST_OK);
    assert_int_equal(manifest_is_behind(b, &behind, &err), ST_OK);
    assert_false(behind);
    assert_int_equal(manifest_update_edit(a, &edit, &err), ST_OK);
    assert_int_equal(manifest_is_behind(b, &behind, &err), ST_OK);
    assert_true(behind);
    may = false;
    assert_int_equal(manifest_update_edit(a, &edit, &err), ST_REGION_NOT_READY);
    assert_non_null(strstr(err.msg, "lease"));
    assert_false(exists(&s, 2, "json"));
    assert_int_equal(manifest_update_edit(b, &edit, &err), ST_REGION_NOT_READY); /* its version 1 is a's */
    assert_non_null(strstr(err.msg, "another node"));
    assert_int_equal(manifest_state(b)->n_files, 0);
    assert_true(manifest_overtaken(b) && !manifest_overtaken(a));
    assert_int_equal(manifest_update_edit(b, &edit, &err), ST_REGION_NOT_READY); /* nor does it go on behind a's version */
    assert_false(exists(&s, 2, "json"));
    manifest_free(a);
    manifest_free(b);
    region_metadata_unref(metadata);
    store_clear(&s);
}

/* Staged deltas change nothing until they become one; removed files stay on record for garbage collection. */
static void stages_and_remembers(void **state)
{
    struct memory_store s = {.base = {&store_ops}};
    struct region_metadata *metadata;
    struct manifest_manager *m, *again;
    struct manifest blob = {.append_mode = -1};
    struct sst_column_index index;
    struct file_meta file = sample_file(&index);
    struct manifest_edit add = {.add = &file, .n_add = 1, .timestamp_ms = 5}, remove = {.remove = &file, .n_remove = 1, .timestamp_ms = 9};
    struct error err;
    (void)state;
    assert_int_equal(region_metadata_from_json(METADATA, strlen(METADATA), &metadata, NULL), ST_OK);
    assert_int_equal(manifest_create(&s.base, "r/", 3, metadata, SST_FORMAT_FLAT, 0, &m, &err), ST_OK);
    assert_int_equal(manifest_stage_expr(m, "{\"e\":1}", &err), ST_OK);
    assert_non_null(lookup(&s, "r/staging/manifest/00000000000000000001.json"));
    assert_int_equal(manifest_staging_commit(m, NULL, &err), ST_UNEXPECTED); /* an edit is missing */
    assert_int_equal(manifest_stage_edit(m, &add, &err), ST_OK);
    assert_int_equal(manifest_state(m)->n_files, 0);
    assert_int_equal(manifest_staging_commit(m, NULL, &err), ST_OK);
    assert_true(manifest_state(m)->n_files == 1 && manifest_state(m)->version == 3);
    assert_string_equal(manifest_state(m)->metadata->partition_expr, "{\"e\":1}");
    assert_null(lookup(&s, "r/staging/manifest/00000000000000000001.json"));
    assert_int_equal(manifest_blob_put(&s.base, "r/", "remap_manifest_7", manifest_state(m), &err), ST_OK);
    assert_int_equal(manifest_blob_get(&s.base, "r/", "remap_manifest_7", &blob, &err), ST_OK);
    assert_true(blob.n_files == 1 && strcmp(blob.metadata->partition_expr, "{\"e\":1}") == 0);
    assert_int_equal(manifest_blob_get(&s.base, "r/", "../x", &blob, &err), ST_INVALID_ARGUMENTS);
    manifest_release(&blob);

    manifest_keep_removed(m, true);
    assert_int_equal(manifest_update_edit(m, &remove, &err), ST_OK);
    assert_int_equal(manifest_update_edit(m, &add, &err), ST_OK);
    for (int i = 0; i < 3; i++) /* past a checkpoint */
        assert_int_equal(manifest_update_edit(m, &add, &err), ST_OK);
    assert_int_equal(manifest_state(m)->n_removed, 1);
    assert_int_equal(manifest_open(&s.base, "r/", 3, &again, &err), ST_OK);
    const struct manifest *x = manifest_state(again);
    assert_true(x->n_removed == 1 && x->removed[0].removed_at_ms == 9 && !x->removed[0].is_index && strcmp(x->removed[0].file_id, file.file_id) == 0);
    manifest_keep_removed(again, true);
    manifest_forget_removed(again, x->removed, 1);
    assert_int_equal(manifest_state(again)->n_removed, 0);
    manifest_free(again);
    manifest_keep_removed(m, false);
    assert_int_equal(manifest_update_edit(m, &add, &err), ST_OK);
    assert_int_equal(manifest_state(m)->n_removed, 0);
    manifest_free(m);
    region_metadata_unref(metadata);
    store_clear(&s);
}

static void refuses(void **state)
{
    static const char *const texts[] = {"", "{}", "{\"actions\":[{\"New\":{}}]}", "{\"actions\":[\"x\"]}", "{\"actions\":[{\"Change\":{}}]}",
        "{\"actions\":[{\"Edit\":{\"files_to_add\":[{\"file_id\":\"../../etc/passwd\"}],\"files_to_remove\":[]}}]}",
        "{\"actions\":[{\"Edit\":{\"files_to_add\":[{\"file_id\":\"4b220a70-2b03-4641-9687-b65d94641208\",\"level\":2}],\"files_to_remove\":[]}}]}",
        "{\"actions\":[{\"Edit\":{\"files_to_add\":[{\"file_id\":\"4b220a70-2b03-4641-9687-b65d94641208\",\"sequence\":0}],\"files_to_remove\":[]}}]}"};
    struct manifest m = {.append_mode = -1};
    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(manifest_apply_delta(&m, texts[i], strlen(texts[i]), NULL), ST_CORRUPT);
    assert_int_equal(m.n_files, 0);
    manifest_release(&m);
}

static int parse(const char *key, const char *value, struct region_options *o)
{
    struct kv kv[] = {{(char *)key, (char *)value}, {(char *)"compaction.type", (char *)"twcs"}};
    return region_options_parse(kv, 2, false, o, NULL);
}

static void options(void **state)
{
    static const struct { const char *key, *value; bool good; } cases[] = {
        {"ttl", "7d", true}, {"ttl", "forever", true}, {"ttl", "soon", false}, {"merge_mode", "", true}, {"merge_mode", "last_non_null", true},
        {"merge_mode", "first", false}, {"compaction.twcs.trigger_file_num", "8d", false}, {"compaction.twcs.trigger_file_num", "8", true},
        {"compaction.twcs.time_window", "1000000y", true}, {"comment", "anything", true}, {"append_mode", "yes", false}, {"append_mode", "null", true},
        {"wal_options", "{\"wal.provider\":\"noop\"}", true}, {"wal_options", "{\"wal.provider\":\"kafka\"}", false}, {"wal_options", "{", false},
        {"sst_format", "flat", true}, {"sst_format", "round", false}, {"compaction.twcs.max_output_file_size", "2GB", true}};
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct region_options o;
        int st = parse(cases[i].key, cases[i].value, &o);
        assert_int_equal(st, cases[i].good ? ST_OK : ST_INVALID_ARGUMENTS);
        if (st == ST_OK)
            region_options_release(&o);
    }
    struct kv both[] = {{(char *)"append_mode", (char *)"true"}, {(char *)"merge_mode", (char *)"last_row"}}, lone = {(char *)"compaction.twcs.time_window", (char *)"1h"};
    struct region_options o;
    assert_int_equal(region_options_parse(both, 2, false, &o, NULL), ST_INVALID_ARGUMENTS);
    assert_int_equal(region_options_parse(&lone, 1, false, &o, NULL), ST_INVALID_ARGUMENTS);
    assert_int_equal(region_options_parse(both, 2, true, &o, NULL), ST_OK);
    assert_true(o.append_mode == 1 && !o.has_merge_mode);
    region_options_release(&o);
}

static int set(const struct region_options *o, const char *key, const char *value, struct region_options *ret, bool *manifest)
{
    struct dynbuf option, list, body;
    dynbuf_init(&option, 1024);
    dynbuf_init(&list, 1024);
    dynbuf_init(&body, 1024);
    pb_put_string(&option, 1, key, NULL);
    if (value)
        pb_put_string(&option, 2, value, NULL);
    pb_put_bytes(&list, 1, value ? (void *)option.data : (void *)key, value ? option.size : strlen(key), NULL);
    pb_put_bytes(&body, value ? 6 : 9, list.data, list.size, NULL);
    int st = region_options_alter(o, body.data, body.size, ret, manifest, NULL);
    dynbuf_release(&option);
    dynbuf_release(&list);
    dynbuf_release(&body);
    return st;
}

static void alters_options(void **state)
{
    struct region_options a, b;
    bool manifest;
    (void)state;
    assert_int_equal(region_options_parse(NULL, 0, false, &a, NULL), ST_OK);
    assert_int_equal(set(&a, "compaction.twcs.time_window", "2h", &b, &manifest), ST_OK);
    assert_true(b.compaction_time_window_ms == 7200000 && !manifest);
    region_options_release(&a);
    assert_int_equal(set(&b, "compaction.twcs.time_window", NULL, &a, &manifest), ST_OK);
    assert_true(a.compaction_time_window_ms == 0 && !manifest);
    region_options_release(&b);
    assert_int_equal(set(&a, "append_mode", "true", &b, &manifest), ST_OK);
    assert_true(b.append_mode == 1 && manifest);
    region_options_release(&a);
    assert_int_equal(set(&b, "append_mode", "false", &a, &manifest), ST_INVALID_ARGUMENTS);
    assert_int_equal(set(&b, "storage", "S3", &a, &manifest), ST_INVALID_ARGUMENTS);
    region_options_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_and_recovers), cmocka_unit_test(guarded), cmocka_unit_test(stages_and_remembers), cmocka_unit_test(refuses), cmocka_unit_test(options), cmocka_unit_test(alters_options)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
