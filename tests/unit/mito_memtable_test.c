/* The memtable against a naive model: random puts and deletes in parts of all sizes, read back under predicates, time ranges and sequence bounds;
 * and readers beside writers. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/mito/memtable.h"
#include "format/key/key.h"
#include "format/proto/wire.h"
#include "row_samples.h"

#define META_TEXT RS_META(RS_TAG("k", RS_STRING, "null", "0") "," RS_TAG("n", "{\"Int32\":{}}", "null", "1") "," RS_TIME "," \
                          RS_FIELD("x", "{\"Float64\":{}}", "2") "," RS_FIELD("s", RS_STRING, "3"), "0,1")
enum { ROWS_MAX = 40000, SERIES = 40, TIMES = 60 };

struct row { int series, time; uint64_t sequence; bool is_delete, null_x; };
static struct row model[ROWS_MAX];
static uint64_t n_model;

static unsigned next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*state >> 33);
}

/* Series 0 has a null k; the others k = "s<i / 4>", n = i % 4. */
static void series_tags(int series, char *k, int *n)
{
    snprintf(k, 8, "s%d", series / 4 % 100000);
    *n = series % 4;
}

static void add_value(struct dynbuf *row, const struct dynbuf *value)
{
    pb_put_bytes(row, 1, value->data, value->size, NULL);
}

static void add_column(struct dynbuf *rows, struct dynbuf *tmp, const char *name, unsigned type, unsigned semantic)
{
    dynbuf_clear(tmp);
    pb_put_string(tmp, 1, name, NULL);
    pb_put_uint(tmp, 2, type, NULL);
    pb_put_uint(tmp, 3, semantic, NULL);
    pb_put_bytes(rows, 1, tmp->data, tmp->size, NULL);
}

static void write_rows(struct memtable *m, struct region_metadata *meta, const struct row *r, int n, bool tags_first)
{
    struct dynbuf rows, row, value;
    struct row_write w;
    struct prepared_write p;
    struct error err = {0};
    dynbuf_init(&rows, 1 << 24);
    dynbuf_init(&row, 1 << 16);
    dynbuf_init(&value, 1 << 16);
    if (!tags_first)
        add_column(&rows, &value, "ts", 16, 2);
    add_column(&rows, &value, "k", 12, 0);
    add_column(&rows, &value, "n", 3, 0);
    if (tags_first)
        add_column(&rows, &value, "ts", 16, 2);
    if (!r->is_delete) {
        add_column(&rows, &value, "x", 10, 1);
        add_column(&rows, &value, "s", 12, 1);
    }
    for (int i = 0; i < n; i++) {
        char k[8], text[24];
        int number;
        series_tags(r[i].series, k, &number);
        dynbuf_clear(&row);
        for (int part = 0; part < 2; part++) {
            if (part == !tags_first) {
                dynbuf_clear(&value);
                if (r[i].series)
                    pb_put_string(&value, 13, k, NULL);
                add_value(&row, &value);
                dynbuf_clear(&value);
                pb_put_uint(&value, 3, (uint64_t)number, NULL);
                add_value(&row, &value);
            } else {
                dynbuf_clear(&value);
                pb_put_uint(&value, 17, (uint64_t)r[i].time, NULL);
                add_value(&row, &value);
            }
        }
        if (!r->is_delete) {
            double x = (double)r[i].sequence;
            uint64_t bits;
            memcpy(&bits, &x, 8);
            dynbuf_clear(&value);
            if (!r[i].null_x)
                pb_put_fixed64(&value, 10, bits, NULL);
            add_value(&row, &value);
            dynbuf_clear(&value);
            snprintf(text, sizeof text, "%llu", (unsigned long long)r[i].sequence);
            pb_put_string(&value, 13, text, NULL);
            add_value(&row, &value);
        }
        pb_put_bytes(&rows, 2, row.data, row.size, NULL);
    }
    if (row_write_decode(rows.data, rows.size, meta, r->is_delete, NULL, &w, &err) != ST_OK || memtable_prepare(m, &w, &p, &err) != ST_OK ||
        memtable_append(m, &w, &p, r->sequence, false, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    row_write_release(&w);
    prepared_write_release(&p);
    dynbuf_release(&rows);
    dynbuf_release(&row);
    dynbuf_release(&value);
}

static void key_of(int series, struct dynbuf *key)
{
    char k[8];
    int n;
    series_tags(series, k, &n);
    dynbuf_clear(key);
    if (series)
        key_append_string(key, k, strlen(k), NULL);
    else
        key_append_null(key, NULL);
    key_append_fixed(key, type_of(TYPE_INT32), &n, NULL);
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->series != y->series) {
        struct dynbuf kx, ky;
        dynbuf_init(&kx, 100);
        dynbuf_init(&ky, 100);
        key_of(x->series, &kx);
        key_of(y->series, &ky);
        int c = memcmp(kx.data, ky.data, kx.size < ky.size ? kx.size : ky.size);
        c = c ? c : (kx.size > ky.size) - (kx.size < ky.size);
        dynbuf_release(&kx);
        dynbuf_release(&ky);
        return c;
    }
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->sequence > y->sequence ? -1 : 1;
}

/* The memtable as one source: through one view of everything, or through those that a scan opens, merged. */
static struct row_source *open_source(struct memtable *m, const struct read_request *q, bool views)
{
    struct memtable_view *opened[2];
    struct row_source *sources[2], *s;
    uint32_t n;
    if (!views) {
        assert_int_equal(memtable_source_new(m, q, &s, NULL), ST_OK);
        return s;
    }
    assert_int_equal(memtable_open_views(m, NULL, opened, &n, NULL), ST_OK);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(memtable_view_source_new(opened[i], q, &sources[i], NULL), ST_OK);
    assert_int_equal(merge_source_new(sources, n, MERGE_APPEND, false, NULL, q->n_columns, NULL, NULL, &s, NULL), ST_OK);
    return s;
}

/* Reads everything and compares it with want[0..n). */
static void check_read(struct memtable *m, struct read_request *q, bool views, struct row *want, uint64_t n)
{
    struct row_source *s;
    struct row_batch *b;
    struct dynbuf key;
    uint64_t at = 0;
    uint32_t columns[] = {3, 4, 2, 0, 1};
    q->columns = columns;
    q->n_columns = 5;
    qsort(want, n, sizeof *want, compare_rows);
    dynbuf_init(&key, 100);
    s = open_source(m, q, views);
    while (row_source_next(s, &b, NULL) == ST_OK && b) {
        for (int64_t i = 0; i < b->n_rows; i++, at++) {
            int32_t size;
            char text[24];
            assert_true(at < n);
            key_of(want[at].series, &key);
            const uint8_t *bytes = column_bytes(b->key->dictionary, COLUMN_VALUES(b->key, uint32_t)[i], &size);
            assert_int_equal(size, key.size);
            assert_memory_equal(bytes, key.data, size);
            assert_int_equal(COLUMN_VALUES(b->time, int64_t)[i], want[at].time);
            assert_int_equal(COLUMN_VALUES(b->columns[2], int64_t)[i], want[at].time);
            assert_true((b->sequence ? COLUMN_VALUES(b->sequence, uint64_t)[i] : b->constant_sequence) == want[at].sequence);
            assert_int_equal(b->op ? COLUMN_VALUES(b->op, uint8_t)[i] : OP_PUT, want[at].is_delete ? OP_DELETE : OP_PUT);
            assert_int_equal(column_is_null(b->columns[0], i), want[at].is_delete || want[at].null_x);
            assert_int_equal(column_is_null(b->columns[1], i), want[at].is_delete);
            if (!want[at].is_delete) {
                snprintf(text, sizeof text, "%llu", (unsigned long long)want[at].sequence);
                bytes = column_bytes(b->columns[1], i, &size);
                assert_int_equal(size, strlen(text));
                assert_memory_equal(bytes, text, size);
                if (!want[at].null_x)
                    assert_true(COLUMN_VALUES(b->columns[0], double)[i] == (double)want[at].sequence);
            }
            assert_int_equal(COLUMN_VALUES(b->columns[4], int32_t)[i], want[at].series % 4);
        }
        row_batch_free(b);
    }
    assert_int_equal(at, n);
    row_source_free(s);
    dynbuf_release(&key);
}

static struct column *int_value(struct dtype *type, int32_t v)
{
    struct column_builder b;
    struct column *c;
    assert_int_equal(column_builder_init(&b, NULL, type, NULL), ST_OK);
    assert_int_equal(column_builder_append_fixed(&b, &v, NULL), ST_OK);
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    column_builder_release(&b);
    return c;
}

static void against_model(void **state)
{
    static const int sizes[] = {1, 1, 1, 7, 40, 300, 1500};
    struct region_metadata *meta;
    struct memtable *m;
    struct row *want = malloc(sizeof model);
    uint64_t random = 1;
    (void)state;
    assert_int_equal(region_metadata_from_json(META_TEXT, strlen(META_TEXT), &meta, NULL), ST_OK);
    assert_int_equal(memtable_new(meta, NULL, &m, NULL), ST_OK);
    struct column *two = int_value(type_of(TYPE_INT32), 2);
    struct scan_predicate n_is_two = {.column = 1, .op = SCAN_EQ, .values = two};
    for (int round = 0; round < 6; round++) {
        for (int k = 0; k < 70; k++) {
            int n = sizes[next_random(&random) % (round ? 7 : 3)];
            if (n_model + (uint64_t)n > ROWS_MAX)
                break;
            bool is_delete = next_random(&random) % 5 == 0;
            for (int i = 0; i < n; i++)
                model[n_model + (uint64_t)i] = (struct row){(int)(next_random(&random) % SERIES), (int)(next_random(&random) % TIMES), n_model + (uint64_t)i + 1,
                                                            is_delete, next_random(&random) % 7 == 0};
            write_rows(m, meta, model + n_model, n, next_random(&random) % 2);
            n_model += (uint64_t)n;
        }
        for (int kind = 0; kind < 8; kind++) {
            struct read_request q = {.metadata = meta, .time_min = INT64_MIN, .time_max = INT64_MAX, .need_key = true};
            if (kind & 1)
                q.predicates = &n_is_two, q.n_predicates = 1;
            if (kind & 2)
                q.time_min = 10, q.time_max = 30;
            if (kind & 4)
                q.has_max_sequence = true, q.max_sequence = n_model / 2;
            uint64_t n = 0;
            for (uint64_t i = 0; i < n_model; i++)
                if ((!(kind & 1) || model[i].series % 4 == 2) && model[i].time >= q.time_min && model[i].time <= q.time_max &&
                    (!(kind & 4) || model[i].sequence <= q.max_sequence))
                    want[n++] = model[i];
            check_read(m, &q, false, want, n);
            check_read(m, &q, true, want, n);
        }
    }
    struct memtable_stats stats;
    memtable_stats(m, &stats);
    assert_int_equal(stats.rows, n_model);
    assert_true(stats.max_sequence == n_model);
    column_unref(two);
    memtable_unref(m);
    region_metadata_unref(meta);
    free(want);
}

/* ---- rows that stand for themselves ---- */

enum { ALONE_SERIES = 30, ALONE_TIMES = 900 };

/* Every (series, time) once, in a shuffled order; x = its sequence. */
static struct memtable *write_unique(struct region_metadata *meta, struct row *rows)
{
    struct memtable *m;
    uint64_t random = 5;
    const int n = ALONE_SERIES * ALONE_TIMES;
    assert_int_equal(memtable_new(meta, NULL, &m, NULL), ST_OK);
    for (int i = 0; i < n; i++)
        rows[i] = (struct row){i / ALONE_TIMES, i % ALONE_TIMES, 0, false, next_random(&random) % 6 == 0};
    for (int i = n - 1; i > 0; i--) {
        int k = (int)(next_random(&random) % (unsigned)(i + 1));
        struct row other = rows[k];
        rows[k] = rows[i];
        rows[i] = other;
    }
    for (int i = 0; i < n; i++)
        rows[i].sequence = (uint64_t)i + 1;
    for (int i = 0; i < n; i += 500)
        write_rows(m, meta, rows + i, n - i < 500 ? n - i : 500, true);
    qsort(rows, (size_t)n, sizeof *rows, compare_rows);
    return m;
}

static bool stands(const struct row *r, const struct read_request *q, double above)
{
    return r->time >= q->time_min && r->time <= q->time_max && (q->n_predicates < 2 || r->series % 4 == 2) &&
           (!q->n_predicates || (!r->null_x && (double)r->sequence > above));
}

static void check_alone(struct memtable *m, const struct read_request *q, const struct row *rows, double above)
{
    struct row_source *s = open_source(m, q, true);
    struct row_batch *b;
    int64_t want = 0, got = 0;
    static const struct row *expected[ALONE_SERIES * ALONE_TIMES];
    for (int i = 0; i < ALONE_SERIES * ALONE_TIMES; i++) {
        struct row next = rows[i + 1 < ALONE_SERIES * ALONE_TIMES ? i + 1 : i];
        bool newest = i + 1 == ALONE_SERIES * ALONE_TIMES || next.series != rows[i].series || next.time > q->time_max;
        if (stands(&rows[i], q, above) && (!q->last_row_only || newest))
            expected[want++] = &rows[i];
    }
    while (row_source_next(s, &b, NULL) == ST_OK && b) {
        for (int64_t i = 0; q->n_columns && i < b->n_rows; i++) {
            const struct row *r = expected[got + i];
            assert_true(got + i < want);
            assert_int_equal(COLUMN_VALUES(b->columns[0], int64_t)[i], r->time);
            assert_int_equal(column_is_null(b->columns[1], i), r->null_x);
            assert_int_equal(COLUMN_VALUES(b->columns[2], int32_t)[i], r->series % 4);
        }
        got += b->n_rows;
        row_batch_free(b);
    }
    assert_int_equal(got, want);
    row_source_free(s);
}

static void alone(void **state)
{
    struct region_metadata *meta;
    uint32_t columns[] = {2, 3, 1};
    uint64_t random = 3;
    (void)state;
    assert_int_equal(region_metadata_from_json(META_TEXT, strlen(META_TEXT), &meta, NULL), ST_OK);
    struct row *rows = malloc(ALONE_SERIES * ALONE_TIMES * sizeof *rows);
    struct memtable *m = write_unique(meta, rows);
    struct column *two = int_value(type_of(TYPE_INT32), 2);
    for (int round = 0; round < 60; round++) {
        double above = next_random(&random) % 3 ? (double)(next_random(&random) % 27000) : -1;
        struct column_builder b;
        struct column *x;
        column_builder_init(&b, NULL, type_of(TYPE_FLOAT64), NULL);
        column_builder_append_fixed(&b, &above, NULL);
        assert_int_equal(column_builder_finish(&b, &x, NULL), ST_OK);
        column_builder_release(&b);
        struct scan_predicate p[] = {{3, SCAN_GT, x}, {1, SCAN_EQ, two}};
        struct read_request q = {.metadata = meta, .columns = columns, .n_columns = round % 4 ? 3 : 0, .predicates = p, .n_predicates = next_random(&random) % 3,
                                 .alone = true, .time_min = INT64_MIN, .time_max = INT64_MAX};
        if (next_random(&random) % 2) {
            q.time_min = next_random(&random) % ALONE_TIMES;
            q.time_max = q.time_min + next_random(&random) % (next_random(&random) % 2 ? 5 : ALONE_TIMES);
        }
        q.last_row_only = !q.n_predicates && next_random(&random) % 2;
        check_alone(m, &q, rows, above);
        column_unref(x);
    }
    column_unref(two);
    memtable_unref(m);
    region_metadata_unref(meta);
    free(rows);
}

/* ---- threads ---- */

struct shared { struct memtable *m; struct region_metadata *meta; _Atomic uint64_t sequence; };

static void *writer(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 300; i++) {
        struct row r[200];
        uint64_t first = atomic_fetch_add(&s->sequence, 200);
        for (int k = 0; k < 200; k++)
            r[k] = (struct row){(i + k) % SERIES, i, first + (uint64_t)k, i % 9 == 0, false};
        write_rows(s->m, s->meta, r, i % 3 ? 200 : 1, true);
    }
    return NULL;
}

static void *reader(void *arg)
{
    struct shared *s = arg;
    uint32_t columns[] = {3, 4};
    for (int i = 0; i < 60; i++) {
        struct read_request q = {.metadata = s->meta, .columns = columns, .n_columns = 2, .time_min = INT64_MIN, .time_max = INT64_MAX, .need_key = true};
        struct row_source *source = open_source(s->m, &q, i % 4 != 0);
        struct row_batch *b;
        while (row_source_next(source, &b, NULL) == ST_OK && b)
            row_batch_free(b);
        row_source_free(source);
    }
    return NULL;
}

static void threads(void **state)
{
    struct shared s = {.sequence = 1};
    pthread_t t[4];
    (void)state;
    assert_int_equal(region_metadata_from_json(META_TEXT, strlen(META_TEXT), &s.meta, NULL), ST_OK);
    assert_int_equal(memtable_new(s.meta, NULL, &s.m, NULL), ST_OK);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, i < 2 ? writer : reader, &s);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    struct memtable_stats stats;
    memtable_stats(s.m, &stats);
    assert_int_equal(stats.rows, 2 * (200 * 200 + 100));
    struct read_request q = {.metadata = s.meta, .time_min = INT64_MIN, .time_max = INT64_MAX, .need_key = true};
    struct row_source *all = open_source(s.m, &q, true);
    struct row_batch *b;
    int64_t rows = 0;
    while (row_source_next(all, &b, NULL) == ST_OK && b) {
        rows += b->n_rows;
        row_batch_free(b);
    }
    row_source_free(all);
    assert_int_equal(rows, stats.rows);
    memtable_unref(s.m);
    region_metadata_unref(s.meta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_model), cmocka_unit_test(alone), cmocka_unit_test(threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
