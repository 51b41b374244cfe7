/* SSTs written and read back: both layouts, later schemas, pruning that never loses a wanted row, deletion with the last reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/mito/mito.h"
#include "engine/mito/predicate.h"
#include "engine/mito/sst.h"
#include "engine/mito/sst_footer.h"
#include "exec/expr.h"
#include "format/key/key.h"

#define DIR_KEY "data/r/"
enum { HOSTS = 40, POINTS = 5200, ROWS = HOSTS * POINTS }; /* three row groups */

static char root[] = "/tmp/mito_sst_testXXXXXX";
static struct object_store *store;

#define COLUMN(name, type, id, semantic, nullable, index, value)                                                                        \
    "{\"column_schema\":{\"name\":\"" name "\",\"data_type\":" type ",\"is_nullable\":" nullable ",\"is_time_index\":" index            \
    ",\"default_constraint\":" value ",\"metadata\":{}},\"semantic_type\":\"" semantic "\",\"column_id\":" id "}"
#define STRING "{\"String\":{\"size_type\":\"Utf8\"}}"
#define HOST COLUMN("host", STRING, "0", "Tag", "true", "false", "null")
#define RACK COLUMN("rack", "{\"Int32\":{}}", "5", "Tag", "true", "false", "null")
#define TS COLUMN("ts", "{\"Timestamp\":{\"Millisecond\":null}}", "1", "Timestamp", "false", "true", "null")
#define CPU(type) COLUMN("cpu", type, "2", "Field", "true", "false", "null")
#define REST(keys) "],\"primary_key\":" keys ",\"region_id\":4398046511104,\"schema_version\":0,\"primary_key_encoding\":\"dense\",\"partition_expr\":\"\"}"

static struct region_metadata *metadata(const char *json)
{
    struct region_metadata *m;
    struct error err = {0};
    if (region_metadata_from_json(json, strlen(json), &m, &err) != ST_OK)
        fail_msg("%s", err.msg);
    return m;
}

static struct region_metadata *old_schema(void)
{
    return metadata("{\"column_metadatas\":[" HOST "," TS "," CPU("{\"Int64\":{}}") "," RACK REST("[0,5]"));
}

/* Row i: host "hNN" (host 0 is null), rack = host modulo 3 (null for 2), time, cpu (every seventh null). */
static int host_of(int64_t i) { return (int)(i / POINTS); }
static int64_t time_of(int64_t i) { return 1000 * (i % POINTS); }
static bool cpu_of(int64_t i, int64_t *ret) { *ret = i * 3 - 1000; return i % 7 != 0; }

struct rows_source { struct row_source base; struct region_metadata *m; int64_t at; bool deletes; };

static void append_host(struct column_builder *b, int h)
{
    char text[8];
    int n = snprintf(text, sizeof text, "h%02d", h);
    if (h == 0)
        column_builder_append_null(b, NULL);
    else
        column_builder_append_bytes(b, text, (size_t)n, NULL);
}

static struct column *finish(struct column_builder *b)
{
    struct column *c;
    assert_int_equal(column_builder_finish(b, &c, NULL), ST_OK);
    column_builder_release(b);
    return c;
}

static struct column *keys_of(const struct column *host, const struct column *rack)
{
    struct dtype *type = type_dictionary(TYPE_UINT32, type_of(TYPE_BINARY));
    struct column_builder b, codes;
    struct column *c, *d, *k;
    struct dynbuf key;
    dynbuf_init(&key, 1000);
    column_builder_init(&b, NULL, type_of(TYPE_BINARY), NULL);
    column_builder_init(&codes, NULL, type_of(TYPE_UINT32), NULL);
    for (uint32_t i = 0; i < host->length; i++) {
        dynbuf_clear(&key);
        assert_int_equal(column_is_null(host, i) ? key_append_null(&key, NULL) : key_append_value(&key, host, i, NULL), ST_OK);
        assert_int_equal(column_is_null(rack, i) ? key_append_null(&key, NULL) : key_append_value(&key, rack, i, NULL), ST_OK);
        column_builder_append_bytes(&b, key.data, key.size, NULL);
        column_builder_append_fixed(&codes, &i, NULL);
    }
    dynbuf_release(&key);
    d = finish(&b);
    k = finish(&codes);
    assert_int_equal(column_new_nested(type, host->length, 0, NULL, buffer_ref(k->buffers[0]), &d, 1, &c, NULL), ST_OK);
    column_unref(k);
    type_unref(type);
    return c;
}

static int rows_next(struct row_source *base, struct row_batch **ret_batch, struct error *err)
{
    struct rows_source *s = (struct rows_source *)base;
    struct column_builder host, rack, time, cpu, op;
    *ret_batch = NULL;
    if (s->at == ROWS)
        return ST_OK;
    int64_t n = ROWS - s->at < 7001 ? ROWS - s->at : 7001, value;
    column_builder_init(&host, NULL, type_of(TYPE_UTF8), NULL);
    column_builder_init(&rack, NULL, type_of(TYPE_INT32), NULL);
    column_builder_init(&time, NULL, type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), NULL);
    column_builder_init(&cpu, NULL, type_of(TYPE_INT64), NULL);
    column_builder_init(&op, NULL, type_of(TYPE_UINT8), NULL);
    for (int64_t i = s->at; i < s->at + n; i++) {
        int32_t r = host_of(i) % 3;
        int64_t t = time_of(i);
        uint8_t o = s->deletes && i % 11 == 0 ? OP_DELETE : OP_PUT;
        append_host(&host, host_of(i));
        r == 2 ? column_builder_append_null(&rack, NULL) : column_builder_append_fixed(&rack, &r, NULL);
        column_builder_append_fixed(&time, &t, NULL);
        column_builder_append_fixed(&op, &o, NULL);
        cpu_of(i, &value) ? column_builder_append_fixed(&cpu, &value, NULL) : column_builder_append_null(&cpu, NULL);
    }
    struct column *h = finish(&host), *t = finish(&time), *c = finish(&cpu), *r = finish(&rack), *o = finish(&op);
    s->at += n;
    return row_batch_new(n, keys_of(h, r), t, NULL, 1, o, (struct column *[]){h, column_ref(t), c, r}, 4, ret_batch, err);
}

static void rows_free(struct row_source *s) { (void)s; }
static const struct row_source_ops rows_ops = {rows_next, rows_free};

static struct sst_file *write_file(enum sst_format format, bool deletes)
{
    struct region_metadata *m = old_schema();
    struct rows_source rows = {.base = {&rows_ops, 0, INT64_MAX, !deletes}, .deletes = deletes};
    struct sst_write_options o = {.store = store, .region_dir = DIR_KEY, .metadata = m, .format = format, .sequence = 77};
    struct file_meta *files;
    struct sst_file *f;
    struct error err = {0};
    uint32_t n;
    if (sst_write(&o, &rows.base, &files, &n, &err) != ST_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(n, 1);
    assert_int_equal(files->num_rows, ROWS);
    assert_int_equal(files->num_row_groups, 3);
    assert_int_equal(files->time_min, 0);
    assert_int_equal(files->time_max, 1000 * (POINTS - 1));
    assert_int_equal(files->num_series, HOSTS);
    assert_int_equal(files->sequence, 77);
    assert_int_equal(sst_file_new(store, DIR_KEY, files, NULL, &f, NULL), ST_OK);
    free(files);
    region_metadata_unref(m);
    return f;
}

static bool text_is(const struct column *c, int64_t i, const char *want)
{
    int32_t size;
    if (column_is_null(c, i))
        return !want;
    if (c->type->id == TYPE_DICTIONARY)
        return text_is(c->dictionary, COLUMN_VALUES(c, uint32_t)[i], want);
    const uint8_t *text = column_bytes(c, i, &size);
    return want && (size_t)size == strlen(want) && memcmp(text, want, (size_t)size) == 0;
}

static void check_host(const struct column *c, int64_t i, int h)
{
    char want[16];
    snprintf(want, sizeof want, "h%02d", h);
    assert_true(text_is(c, i, h ? want : NULL));
}

static struct row_source *open_source(struct sst_file *f, struct read_request *q)
{
    struct row_source *s;
    struct error err = {0};
    if (sst_source_new(f, q, &s, &err) != ST_OK)
        fail_msg("%s", err.msg);
    return s;
}

static struct row_batch *next(struct row_source *s)
{
    struct row_batch *b;
    struct error err = {0};
    if (row_source_next(s, &b, &err) != ST_OK)
        fail_msg("%s", err.msg);
    return b;
}

static void round_trip(enum sst_format format, bool deletes)
{
    struct sst_file *f = write_file(format, deletes);
    struct region_metadata *m = old_schema();
    struct read_request q = {.metadata = m, .columns = (uint32_t[]){3, 0, 2, 1}, .n_columns = 4, .time_min = INT64_MIN, .time_max = INT64_MAX, .need_key = true};
    struct row_source *s = open_source(f, &q);
    struct row_batch *b;
    int64_t i = 0, value;
    assert_int_equal(s->unique, !deletes);
    while ((b = next(s))) {
        for (int64_t k = 0; k < b->n_rows; k++, i++) {
            assert_int_equal(column_is_null(b->columns[0], k), host_of(i) % 3 == 2);
            if (host_of(i) % 3 != 2)
                assert_int_equal(COLUMN_VALUES(b->columns[0], int32_t)[k], host_of(i) % 3);
            check_host(b->columns[1], k, host_of(i));
            bool some = cpu_of(i, &value);
            assert_int_equal(!column_is_null(b->columns[2], k), some);
            if (some)
                assert_int_equal(COLUMN_VALUES(b->columns[2], int64_t)[k], value);
            assert_int_equal(COLUMN_VALUES(b->time, int64_t)[k], time_of(i));
            assert_int_equal(COLUMN_VALUES(b->columns[3], int64_t)[k], time_of(i));
            assert_int_equal(b->sequence ? COLUMN_VALUES(b->sequence, uint64_t)[k] : b->constant_sequence, 77);
            assert_int_equal(b->op ? COLUMN_VALUES(b->op, uint8_t)[k] : OP_PUT, deletes && i % 11 == 0 ? OP_DELETE : OP_PUT);
        }
        row_batch_free(b);
    }
    assert_int_equal(i, ROWS);
    row_source_free(s);
    region_metadata_unref(m);
    atomic_store(&f->deleted, true);
    char key[128];
    uint64_t size;
    snprintf(key, sizeof key, DIR_KEY "%s.parquet", f->meta.file_id);
    assert_int_equal(store->ops->stat(store, key, &size, NULL), ST_OK);
    assert_int_equal(size, f->meta.file_size);
    sst_file_unref(f);
    assert_int_equal(store->ops->stat(store, key, &size, NULL), ST_NOT_FOUND);
}

static void round_trips(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++)
        round_trip(k & 1 ? SST_FORMAT_FLAT : SST_FORMAT_PRIMARY_KEY, k & 2);
}

/* cpu as text, a new field with a default, a new tag with one: read through the later schema. */
static void later_schema(enum sst_format format)
{
    struct sst_file *f = write_file(format, false);
    struct region_metadata *m = metadata("{\"column_metadatas\":[" HOST "," TS "," CPU(STRING) "," RACK "," COLUMN(
        "mem", "{\"Int64\":{}}", "6", "Field", "true", "false", "{\"Value\":{\"Int64\":42}}") "," COLUMN("zone", STRING, "7", "Tag", "true", "false",
                                                                                                      "{\"Value\":{\"String\":\"z1\"}}") REST("[0,5,7]"));
    static const uint8_t suffix[] = {1, 1, 'z', '1', 0, 0, 0, 0, 0, 0, 2};
    struct read_request q = {.metadata = m, .columns = (uint32_t[]){2, 4, 5}, .n_columns = 3, .time_min = 5000, .time_max = 9000, .need_key = true};
    struct row_source *s = open_source(f, &q);
    struct row_batch *b;
    int64_t seen = 0, value;
    int32_t size;
    while ((b = next(s))) {
        for (int64_t k = 0; k < b->n_rows; k++, seen++) {
            int64_t i = seen / 5 * POINTS + 5 + seen % 5;
            char want[32];
            bool some = cpu_of(i, &value);
            snprintf(want, sizeof want, "%lld", (long long)value);
            assert_int_equal(COLUMN_VALUES(b->time, int64_t)[k], time_of(i));
            assert_true(text_is(b->columns[0], k, some ? want : NULL));
            assert_int_equal(COLUMN_VALUES(b->columns[1], int64_t)[k], 42);
            assert_true(text_is(b->columns[2], k, "z1"));
            const uint8_t *key = column_bytes(b->key->dictionary, COLUMN_VALUES(b->key, uint32_t)[k], &size);
            assert_true(size > 11 && memcmp(key + size - 11, suffix, 11) == 0);
        }
        row_batch_free(b);
    }
    assert_int_equal(seen, HOSTS * 5);
    row_source_free(s);
    region_metadata_unref(m);
    atomic_store(&f->deleted, true);
    sst_file_unref(f);
}

static void later_schemas(void **state)
{
    (void)state;
    later_schema(SST_FORMAT_FLAT);
    later_schema(SST_FORMAT_PRIMARY_KEY);
}

/* Row groups left after pruning. */
static int prune(struct sst_file *file, const struct read_request *request, uint32_t **ret_row_groups, uint32_t *ret_n, struct error *err)
{
    struct object_reader *reader;
    struct sst_footer *f;
    TRY(sst_open_reader(file, &reader, err));
    int st = sst_footer_get(file, reader, &f, err);
    reader->ops->close(reader);
    TRY(st);
    uint32_t total = parquet_n_row_groups(f->parquet), n = 0;
    uint32_t *groups = malloc((total + 1) * sizeof *groups);
    for (uint32_t g = 0; groups && g < total; g++)
        if (sst_may_match(f, request, g))
            groups[n++] = g;
    sst_footer_put(file, f);
    if (!groups)
        return error_no_memory(err, total * sizeof *groups);
    *ret_row_groups = groups;
    *ret_n = n;
    return ST_OK;
}

/* Every row that satisfies the predicate is still there; what is surely absent is not read. */
static void pruning(void **state)
{
    struct sst_file *f = write_file(SST_FORMAT_FLAT, false);
    struct region_metadata *m = old_schema();
    (void)state;
    for (int op = SCAN_EQ; op <= SCAN_IS_NOT_NULL; op++) {
        for (int64_t v = -2000; v < 3 * ROWS + 2000; v += 39001) {
            struct column_builder b;
            column_builder_init(&b, NULL, type_of(TYPE_INT64), NULL);
            column_builder_append_fixed(&b, &v, NULL);
            struct column *values = finish(&b);
            struct scan_predicate p = {2, (enum scan_op)op, op >= SCAN_IS_NULL ? NULL : values};
            struct read_request q = {.metadata = m, .columns = (uint32_t[]){2}, .n_columns = 1, .predicates = &p, .n_predicates = 1, .alone = true,
                                     .time_min = INT64_MIN, .time_max = INT64_MAX};
            uint32_t *groups, n, at = 0;
            assert_int_equal(prune(f, &q, &groups, &n, NULL), ST_OK);
            bool left[3] = {0}, needed[3] = {0};
            for (; at < n; at++)
                left[groups[at]] = true;
            free(groups);
            for (int64_t i = 0, cpu; i < ROWS; i++) {
                bool some = cpu_of(i, &cpu);
                bool hit = op == SCAN_IS_NULL ? !some : some && (op == SCAN_EQ || op == SCAN_IN ? cpu == v : op == SCAN_NE ? cpu != v : op == SCAN_LT ? cpu < v
                           : op == SCAN_LE ? cpu <= v : op == SCAN_GT ? cpu > v : op == SCAN_GE ? cpu >= v : true);
                needed[i / 102400] |= hit;
            }
            for (int g = 0; g < 3; g++)
                assert_true(left[g] || !needed[g]);
            if (op == SCAN_EQ)
                assert_true(n <= 1);
            q.alone = false;
            assert_int_equal(prune(f, &q, &groups, &n, NULL), ST_OK);
            assert_int_equal(n, 3);
            free(groups);
            column_unref(values);
        }
    }
    region_metadata_unref(m);
    atomic_store(&f->deleted, true);
    sst_file_unref(f);
}

/* ---- exact selection: random predicates against a loop over all rows ---- */

static uint64_t seed = 11;
static int64_t random_below(int64_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((seed >> 33) % (uint64_t)n);
}

struct wanted { int hosts[3], n_hosts; bool has_rack, has_cpu; enum scan_op cpu_op; int32_t rack; int64_t cpu, from, to; bool last; };

static bool wanted_row(const struct wanted *w, int64_t i, bool fields)
{
    int64_t cpu;
    bool host = w->n_hosts == 0, some = cpu_of(i, &cpu);
    for (int k = 0; k < w->n_hosts; k++)
        host |= host_of(i) == w->hosts[k] && w->hosts[k] != 0;
    bool rack = !w->has_rack || host_of(i) % 3 == w->rack;
    bool value = !fields || !w->has_cpu || (some && (w->cpu_op == SCAN_GT ? cpu > w->cpu : w->cpu_op == SCAN_LE ? cpu <= w->cpu : cpu != w->cpu));
    return host && rack && value && time_of(i) >= w->from && time_of(i) <= w->to;
}

static struct wanted random_wish(void)
{
    static const enum scan_op ops[] = {SCAN_GT, SCAN_LE, SCAN_NE};
    struct wanted w = {.n_hosts = (int)random_below(4), .has_rack = random_below(3) == 0, .has_cpu = random_below(2), .cpu_op = ops[random_below(3)],
                       .rack = (int32_t)random_below(2), .cpu = random_below(3 * ROWS), .from = INT64_MIN, .to = INT64_MAX, .last = random_below(3) == 0};
    for (int k = 0; k < w.n_hosts; k++)
        w.hosts[k] = (int)random_below(HOSTS + 2);
    if (random_below(2)) {
        w.from = 1000 * random_below(POINTS);
        w.to = w.from + 1000 * random_below(random_below(2) ? 20 : POINTS);
    }
    return w;
}

static struct column *host_values(const struct wanted *w)
{
    struct column_builder b;
    column_builder_init(&b, NULL, type_of(TYPE_UTF8), NULL);
    for (int k = 0; k < w->n_hosts; k++)
        append_host(&b, w->hosts[k]);
    return finish(&b);
}

static struct column *one_value(struct dtype *type, const void *value)
{
    struct column_builder b;
    column_builder_init(&b, NULL, type, NULL);
    column_builder_append_fixed(&b, value, NULL);
    return finish(&b);
}

/* The next row of the file that the source should give, from i on. */
static int64_t next_wanted(const struct wanted *w, int64_t i, bool exact)
{
    for (; i < ROWS; i++) {
        if (!wanted_row(w, i, exact))
            continue;
        if (!exact || !w->last)
            return i;
        /* The newest row that tags and times leave; a series that goes over a row group's border gives one for each. */
        bool newest = i + 1 == ROWS || host_of(i + 1) != host_of(i) || !wanted_row(w, i + 1, false) || (i + 1) % 102400 == 0;
        if (newest)
            return i;
    }
    return ROWS;
}

static void check_wish(struct sst_file *f, struct region_metadata *m, const struct wanted *w, bool alone, bool unique)
{
    struct column *hosts = host_values(w), *rack = one_value(type_of(TYPE_INT32), &w->rack), *cpu = one_value(type_of(TYPE_INT64), &w->cpu);
    struct scan_predicate p[3];
    uint32_t n = 0, columns[] = {0, 1, 2, 3};
    if (w->has_cpu)
        p[n++] = (struct scan_predicate){2, w->cpu_op, cpu};
    if (w->n_hosts)
        p[n++] = (struct scan_predicate){0, SCAN_IN, hosts};
    if (w->has_rack)
        p[n++] = (struct scan_predicate){3, SCAN_EQ, rack};
    struct read_request q = {.metadata = m,
                             .columns = columns,
                             .n_columns = 4,
                             .predicates = p,
                             .n_predicates = n,
                             .alone = alone,
                             .last_row_only = w->last && alone,
                             .time_min = w->from,
                             .time_max = w->to,
                             .need_key = !alone,
                             .keep = f->caches != NULL};
    struct row_source *s = open_source(f, &q);
    struct row_batch *b;
    bool exact = alone && unique;
    int64_t i = next_wanted(w, 0, exact), value;
    while ((b = next(s))) {
        for (int64_t k = 0; k < b->n_rows; k++, i = next_wanted(w, i + 1, exact)) {
            assert_in_range(i, 0, ROWS - 1);
            check_host(b->columns[0], k, host_of(i));
            assert_int_equal(COLUMN_VALUES(b->columns[1], int64_t)[k], time_of(i));
            assert_int_equal(!column_is_null(b->columns[2], k), cpu_of(i, &value));
            if (!column_is_null(b->columns[2], k))
                assert_int_equal(COLUMN_VALUES(b->columns[2], int64_t)[k], value);
            assert_int_equal(column_is_null(b->columns[3], k), host_of(i) % 3 == 2);
        }
        row_batch_free(b);
    }
    assert_int_equal(i, ROWS);
    row_source_free(s);
    column_unref(hosts);
    column_unref(rack);
    column_unref(cpu);
}

static void selections(void **state)
{
    struct region_metadata *m = old_schema();
    (void)state;
    for (int k = 0; k < 4; k++) {
        bool deletes = k & 2;
        struct sst_file *f = write_file(k & 1 ? SST_FORMAT_FLAT : SST_FORMAT_PRIMARY_KEY, deletes);
        for (int round = 0; round < 40; round++) {
            struct wanted w = random_wish();
            check_wish(f, m, &w, round % 4 != 0, !deletes);
        }
        atomic_store(&f->deleted, true);
        sst_file_unref(f);
    }
    region_metadata_unref(m);
}

static void limits(void **state)
{
    struct region_metadata *m = old_schema();
    struct sst_file *f = write_file(SST_FORMAT_FLAT, false);
    (void)state;
    for (int64_t limit = 1; limit < 300000; limit = limit * 7 + 1) {
        struct read_request q = {.metadata = m, .columns = (uint32_t[]){1}, .n_columns = 1, .alone = true, .limit = limit, .time_min = INT64_MIN,
                                 .time_max = INT64_MAX};
        struct row_source *s = open_source(f, &q);
        struct row_batch *b;
        int64_t i = 0;
        while ((b = next(s))) {
            for (int64_t k = 0; k < b->n_rows; k++, i++)
                assert_int_equal(COLUMN_VALUES(b->columns[0], int64_t)[k], time_of(i));
            row_batch_free(b);
        }
        assert_int_equal(i, limit < ROWS ? limit : ROWS);
        row_source_free(s);
    }
    atomic_store(&f->deleted, true);
    sst_file_unref(f);
    region_metadata_unref(m);
}

/* Deletes do not count: who asked for so many rows gets as many that are left when those are gone, alone and in append mode. */
static void limits_and_deletes(void **state)
{
    struct region_metadata *m = old_schema();
    struct sst_file *f = write_file(SST_FORMAT_FLAT, true);
    const int64_t limit = SST_ROW_GROUP_ROWS - 1;
    (void)state;
    for (int append = 0; append < 2; append++) {
        struct read_request q = {.metadata = m, .columns = (uint32_t[]){1}, .n_columns = 1, .alone = true, .append = append, .limit = limit,
                                 .time_min = INT64_MIN, .time_max = INT64_MAX};
        struct row_source *s = open_source(f, &q);
        struct row_batch *b;
        int64_t puts = 0;
        while ((b = next(s))) {
            for (int64_t k = 0; k < b->n_rows; k++)
                puts += !b->op || COLUMN_VALUES(b->op, uint8_t)[k] == OP_PUT;
            row_batch_free(b);
        }
        assert_true(puts >= limit);
        row_source_free(s);
    }
    atomic_store(&f->deleted, true);
    sst_file_unref(f);
    region_metadata_unref(m);
}

/* What is kept of the newest rows serves the scans that want just these, and no others. */
static void newest_rows(void **state)
{
    struct region_metadata *m = old_schema();
    (void)state;
    for (int k = 0; k < 4; k++) {
        struct sst_file *plain = write_file(k & 1 ? SST_FORMAT_FLAT : SST_FORMAT_PRIMARY_KEY, false), *f;
        struct budget root;
        struct sst_caches caches;
        struct file_meta copy;
        /* Room for all, for the lists only; with and without whole columns beside them. */
        struct sst_cache_sizes sizes = {.footers = 1 << 20, .columns = k & 1 ? 64 << 20 : 0, .last_rows = k & 2 ? 8 << 10 : 16 << 20};
        budget_init(&root, "root", "memory_limit", (size_t)1 << 30, NULL);
        assert_int_equal(sst_caches_init(&caches, &root, &root, &sizes, NULL), ST_OK);
        assert_int_equal(file_meta_copy(&plain->meta, &copy, NULL), ST_OK);
        assert_int_equal(sst_file_new(store, DIR_KEY, &copy, &caches, &f, NULL), ST_OK);
        check_wish(f, m, &(struct wanted){.from = 1, .to = INT64_MAX, .last = true}, true, true); /* some row groups are cut */
        for (int round = 0; round < 16; round++) {
            struct wanted w = random_wish();
            if (round % 2)
                w = (struct wanted){.from = INT64_MIN, .to = INT64_MAX, .last = true, .has_cpu = round % 4 == 1, .cpu_op = w.cpu_op, .cpu = w.cpu};
            check_wish(f, m, &w, round % 7 != 0, true);
        }
        assert_in_range(budget_used(cache_budget(caches.last_rows)), 1, sizes.last_rows);
        sst_file_unref(f);
        assert_int_equal(budget_used(cache_budget(caches.last_rows)), 0);
        sst_caches_release(&caches);
        assert_int_equal(budget_used(&root), 0);
        atomic_store(&plain->deleted, true);
        sst_file_unref(plain);
    }
    region_metadata_unref(m);
}

/* Footers stay while the cache has room for them, whatever order they are used in, and all are given back in the end. */
static void footer_cache(void **state)
{
    struct budget budget;
    struct sst_caches caches;
    struct sst_cache *cache = &caches.footers;
    struct sst_file *files[3];
    struct region_metadata *m = old_schema();
    (void)state;
    for (int k = 0; k < 3; k++)
        files[k] = write_file(SST_FORMAT_FLAT, false);
    budget_init(&budget, "footers", "none", SIZE_MAX, NULL);
    for (int room = 0; room < 3; room++) {
        assert_int_equal(sst_caches_init(&caches, &budget, NULL, &(struct sst_cache_sizes){.footers = SIZE_MAX}, NULL), ST_OK);
        for (int k = 0; k < 3; k++) {
            struct sst_file *f = files[k], *other;
            struct file_meta copy;
            assert_int_equal(file_meta_copy(&f->meta, &copy, NULL), ST_OK);
            assert_int_equal(sst_file_new(store, DIR_KEY, &copy, &caches, &other, NULL), ST_OK);
            sst_file_unref(f);
            files[k] = other;
        }
        for (int i = 0; i < 20; i++) {
            struct read_request q = {.metadata = m, .columns = (uint32_t[]){1}, .n_columns = 1, .alone = true, .time_min = INT64_MIN, .time_max = INT64_MAX};
            struct row_source *s = open_source(files[i * i % 3], &q);
            if (i == 0) /* the first footer tells how large they are */
                cache->bytes_max = cache->bytes * (size_t)(room + 1) - 1;
            row_batch_free(next(s));
            row_source_free(s);
            if (i == 0)
                continue;
            assert_true(cache->bytes <= cache->bytes_max);
            int kept = 0;
            for (int k = 0; k < 3; k++)
                kept += files[k]->footer != NULL;
            assert_true(kept <= room && (room == 0 || files[i * i % 3]->footer));
        }
        if (room == 0)
            assert_int_equal(budget_used(&budget), 0);
        for (int k = 0; k < 3; k++) {
            struct file_meta copy;
            assert_int_equal(file_meta_copy(&files[k]->meta, &copy, NULL), ST_OK);
            atomic_store(&files[k]->deleted, room == 2);
            sst_file_unref(files[k]);
            assert_int_equal(sst_file_new(store, DIR_KEY, &copy, NULL, &files[k], NULL), ST_OK);
        }
        assert_int_equal(cache->bytes, 0);
        assert_int_equal(budget_used(&budget), 0);
        sst_caches_release(&caches);
    }
    for (int k = 0; k < 3; k++)
        sst_file_unref(files[k]);
    region_metadata_unref(m);
}

static int set_up(void **state)
{
    (void)state;
    mito_cast = expr_try_cast_column;
    return mkdtemp(root) && object_store_open_folder(fs_posix(), root, &store, NULL) == ST_OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    store->ops->free(store);
    return fs_remove_tree(fs_posix(), root, NULL) == ST_OK ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trips), cmocka_unit_test(later_schemas), cmocka_unit_test(pruning),
                                       cmocka_unit_test(selections),  cmocka_unit_test(newest_rows),   cmocka_unit_test(limits),
                                       cmocka_unit_test(limits_and_deletes), cmocka_unit_test(footer_cache)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
