/* Scans cut into parts: whatever a region holds (memtables, SSTs, both, overlapping, rewritten, deleted), the parts one after the other are the rows
 * of the whole scan in its order, each once, also when several threads read them at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mito_node.h"
#include "base/hash.h"
#include "os/thread.h"

enum { HOSTS = 40, TIMES = 450, ROWS_A_WRITE = 10000, PART_ROWS = 3000, COLUMNS = 4 };
enum { HOST, TS, V, F };

static const uint64_t REGION = (uint64_t)1024 << 32;

struct fixture {
    struct fs_sim *sim;
    struct node node;
};

static void create(struct fixture *x, const char *option, const char *value)
{
    static const struct node_column columns[COLUMNS] = {[HOST] = {"host", WIRE_STRING, WIRE_TAG},
                                                        [TS] = {"ts", WIRE_TIMESTAMP_MS, WIRE_TIME},
                                                        [V] = {"v", WIRE_INT64, WIRE_FIELD},
                                                        [F] = {"f", WIRE_FLOAT64, WIRE_FIELD}};
    struct error err = {0};
    memset(x, 0, sizeof *x);
    assert_int_equal(fs_sim_new(1, &x->sim, NULL), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(x->sim), "/home", NULL), ST_OK);
    x->node.scan_part_rows = PART_ROWS;
    if (node_open(&x->node, fs_sim_fs(x->sim), &err) != ST_OK)
        fail_msg("%s", err.msg);
    if (node_create(&x->node, REGION, columns, COLUMNS, (const char *[]){option, value, NULL}, &err) != ST_OK)
        fail_msg("%s", err.msg);
}

static void destroy(struct fixture *x)
{
    node_close(&x->node);
    fs_sim_free(x->sim);
}

/* Rows of hosts [host, host + n_hosts) at times [time, time + n_times), every `step`-th of them; f is null in a third. */
static void put(struct fixture *x, bool is_delete, int host, int n_hosts, int time, int n_times, int step, int salt)
{
    struct dynbuf rows, row;
    struct error err = {0};
    int n = 0;
    for (int t = time; t < time + n_times; t++)
        for (int h = host; h < host + n_hosts; h++) {
            if ((t * 31 + h) % step)
                continue;
            if (n++ % ROWS_A_WRITE == 0) {
                dynbuf_init(&rows, 1 << 24);
                put_row_column(&rows, "host", WIRE_STRING, WIRE_TAG);
                put_row_column(&rows, "ts", WIRE_TIMESTAMP_MS, WIRE_TIME);
                if (!is_delete) {
                    put_row_column(&rows, "v", WIRE_INT64, WIRE_FIELD);
                    put_row_column(&rows, "f", WIRE_FLOAT64, WIRE_FIELD);
                }
            }
            dynbuf_init(&row, 1 << 12);
            put_row_value(&row, WIRE_STRING, false, 100 + h);
            put_row_value(&row, WIRE_TIMESTAMP_MS, false, (int64_t)t * 1000);
            if (!is_delete) {
                put_row_value(&row, WIRE_INT64, (t + h + salt) % 5 == 0, t * 7 + h + salt);
                put_row_value(&row, WIRE_FLOAT64, (t + h + salt) % 3 == 0, t + salt);
            }
            put_message(&rows, 2, &row);
            if (n % ROWS_A_WRITE == 0 && node_write(&x->node, REGION, is_delete, &rows, &err) != ST_OK)
                fail_msg("%s", err.msg);
        }
    if (n % ROWS_A_WRITE && node_write(&x->node, REGION, is_delete, &rows, &err) != ST_OK)
        fail_msg("%s", err.msg);
}

static void flush(struct fixture *x)
{
    struct error err = {0};
    if (node_flush(&x->node, REGION, &err) != ST_OK)
        fail_msg("%s", err.msg);
}

/* ---- what comes out ---- */

struct answer {
    uint64_t *rows; /* a hash of each */
    int64_t n, room;
    int status;
};

static uint64_t hash_value(const struct column *c, int64_t i)
{
    int32_t size;
    if (column_is_null(c, i))
        return 1;
    if (c->type->id == TYPE_DICTIONARY)
        return hash_value(c->dictionary, COLUMN_VALUES(c, uint32_t)[i]);
    if (!type_is_varlen(c->type))
        return hash_u64(COLUMN_VALUES(c, uint64_t)[i]);
    const uint8_t *s = column_bytes(c, i, &size);
    return hash_bytes(s, (size_t)size);
}

static struct answer drain(struct batch_stream *s)
{
    struct answer a = {0};
    struct batch *b;
    while ((a.status = batch_stream_next(s, &b, NULL)) == ST_OK && b) {
        if (a.n + b->n_rows > a.room) {
            a.room = 2 * (a.n + b->n_rows);
            a.rows = realloc(a.rows, (size_t)a.room * sizeof *a.rows);
        }
        for (int64_t i = 0; i < b->n_rows; i++) {
            uint64_t hash = 0;
            for (uint32_t c = 0; c < b->schema->n_fields; c++)
                hash = hash_u64(hash ^ hash_value(b->columns[c], i));
            a.rows[a.n++] = hash;
        }
        batch_unref(b);
    }
    batch_stream_free(s);
    return a;
}

struct reading {
    struct scan_parts *parts;
    struct answer *answers;
};

static void read_part(void *ctx, size_t i)
{
    struct reading *r = ctx;
    struct batch_stream *s;
    r->answers[i].status = r->parts->ops->open(r->parts, (uint32_t)i, &s, NULL);
    if (r->answers[i].status == ST_OK)
        r->answers[i] = drain(s);
}

static uint32_t compare(struct fixture *x, const struct scan_request *q, struct thread_pool *pool)
{
    struct table *t;
    struct batch_stream *s;
    struct reading r;
    assert_int_equal(x->node.engine->ops->table(x->node.engine, REGION, &t, NULL), ST_OK);
    assert_int_equal(t->ops->scan(t, q, NULL, &s, NULL), ST_OK);
    struct answer whole = drain(s);
    assert_int_equal(whole.status, ST_OK);
    assert_int_equal(t->ops->cut(t, q, NULL, &r.parts, NULL), ST_OK);
    uint32_t n = r.parts->n;
    r.answers = calloc(n, sizeof *r.answers);
    thread_pool_for(pool, n, read_part, &r);
    scan_parts_free(r.parts);
    table_free(t);
    int64_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(r.answers[i].status, ST_OK);
        for (int64_t k = 0; k < r.answers[i].n; k++, at++)
            if (at == whole.n || r.answers[i].rows[k] != whole.rows[at])
                fail_msg("part %u of %u differs from the whole scan at row %lld", i, n, (long long)at);
        free(r.answers[i].rows);
    }
    assert_int_equal(at, whole.n);
    free(r.answers);
    free(whole.rows);
    return n;
}

/* All rows, then some by predicates: unless `brief`, each kind by itself, too. Returns the number of parts of the whole. */
static uint32_t check_some(struct fixture *x, bool brief)
{
    static const uint32_t all[COLUMNS] = {HOST, TS, V, F};
    struct thread_pool *pool;
    struct column_builder b[3];
    struct column *values[3];
    const int64_t time = TIMES / 3 * 1000, v = 2000;
    struct dtype *types[] = {type_of(TYPE_UTF8), type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), type_of(TYPE_INT64)};
    for (int i = 0; i < 3; i++)
        assert_int_equal(column_builder_init(&b[i], NULL, types[i], NULL), ST_OK);
    assert_int_equal(column_builder_append_bytes(&b[0], "117", 3, NULL), ST_OK);
    assert_int_equal(column_builder_append_fixed(&b[1], &time, NULL), ST_OK);
    assert_int_equal(column_builder_append_fixed(&b[2], &v, NULL), ST_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(column_builder_finish(&b[i], &values[i], NULL), ST_OK);
        column_builder_release(&b[i]);
    }
    const struct scan_predicate predicates[] = {{HOST, SCAN_GE, values[0]}, {TS, SCAN_GT, values[1]}, {V, SCAN_LT, values[2]}};
    struct scan_request q = {.columns = all, .n_columns = COLUMNS, .limit = -1};
    assert_int_equal(thread_pool_new("scan", 3, 1000, &pool, NULL), ST_OK);
    uint32_t n = compare(x, &q, pool);
    for (uint32_t i = 0; i < 3; i += brief ? 3 : 1) {
        q.predicates = &predicates[i];
        q.n_predicates = 1;
        compare(x, &q, pool);
    }
    q.columns = all + 2;
    q.n_columns = 1;
    q.predicates = predicates;
    q.n_predicates = 3;
    compare(x, &q, pool);
    q.n_columns = 0;
    compare(x, &q, pool);
    q.want_key_order = true;
    q.columns = all;
    q.n_columns = COLUMNS;
    q.n_predicates = 1;
    compare(x, &q, pool);
    q.columns = all + 2;
    q.want_key_order = false;
    q.n_columns = 1;
    q.n_predicates = 0;
    q.want_key_order = true;
    compare(x, &q, pool);
    q.want_key_order = false;
    q.last_row_only = true;
    compare(x, &q, pool);
    q.limit = 10;
    assert_int_equal(compare(x, &q, pool), 1);
    thread_pool_free(pool);
    for (int i = 0; i < 3; i++)
        column_unref(values[i]);
    return n;
}

/* ---- newest rows ---- */

struct newest {
    int64_t times[8 * HOSTS], total;
    uint64_t rows[8 * HOSTS]; /* hashes */
};

static int64_t host_of(const struct column *c, int64_t i)
{
    int64_t number = 0;
    int32_t size;
    if (c->type->id == TYPE_DICTIONARY)
        return host_of(c->dictionary, COLUMN_VALUES(c, uint32_t)[i]);
    const uint8_t *digits = column_bytes(c, i, &size);
    for (int32_t k = 0; k < size; k++)
        number = 10 * number + digits[k] - '0';
    return number - 100;
}

/* The newest row of each host among those that a scan gives. */
static void find_newest(struct fixture *x, bool last_row_only, struct newest *ret)
{
    static const uint32_t all[COLUMNS] = {HOST, TS, V, F};
    const struct scan_request q = {.columns = all, .n_columns = COLUMNS, .limit = -1, .last_row_only = last_row_only};
    struct table *t;
    struct batch_stream *s;
    struct batch *b;
    memset(ret, 0, sizeof *ret);
    for (int h = 0; h < 8 * HOSTS; h++)
        ret->times[h] = INT64_MIN;
    assert_int_equal(x->node.engine->ops->table(x->node.engine, REGION, &t, NULL), ST_OK);
    assert_int_equal(t->ops->scan(t, &q, NULL, &s, NULL), ST_OK);
    while (batch_stream_next(s, &b, NULL) == ST_OK && b) {
        ret->total += b->n_rows;
        for (int64_t i = 0; i < b->n_rows; i++) {
            int64_t h = host_of(b->columns[HOST], i), time = COLUMN_VALUES(b->columns[TS], int64_t)[i];
            uint64_t hash = 0;
            assert_in_range(h, 0, 8 * HOSTS - 1);
            if (time < ret->times[h])
                continue;
            for (uint32_t c = 0; c < COLUMNS; c++)
                hash = hash_u64(hash ^ hash_value(b->columns[c], i));
            ret->rows[h] = time == ret->times[h] ? ret->rows[h] + hash : hash; /* append mode: all of that time */
            ret->times[h] = time;
        }
        batch_unref(b);
    }
    batch_stream_free(s);
    table_free(t);
}

/* Rows in key order are the same rows, in that order. */
static void check_key_order(struct fixture *x)
{
    static const uint32_t all[COLUMNS] = {HOST, TS, V, F};
    struct scan_request q = {.columns = all, .n_columns = COLUMNS, .limit = -1};
    uint64_t sums[2] = {0, 0};
    int64_t counts[2] = {0, 0};
    for (int ordered = 0; ordered < 2; ordered++) {
        int64_t last_host = -1, last_time = 0;
        struct table *t;
        struct batch_stream *s;
        struct batch *b;
        q.want_key_order = ordered;
        assert_int_equal(x->node.engine->ops->table(x->node.engine, REGION, &t, NULL), ST_OK);
        assert_true(t->key_ordered);
        assert_int_equal(t->ops->scan(t, &q, NULL, &s, NULL), ST_OK);
        while (batch_stream_next(s, &b, NULL) == ST_OK && b) {
            counts[ordered] += b->n_rows;
            for (int64_t i = 0; i < b->n_rows; i++) {
                int64_t host = host_of(b->columns[HOST], i), time = COLUMN_VALUES(b->columns[TS], int64_t)[i];
                uint64_t hash = 0;
                assert_true(!ordered || host > last_host || (host == last_host && time >= last_time));
                last_host = host;
                last_time = time;
                for (uint32_t c = 0; c < COLUMNS; c++)
                    hash = hash_u64(hash ^ hash_value(b->columns[c], i));
                sums[ordered] += hash;
            }
            batch_unref(b);
        }
        batch_stream_free(s);
        table_free(t);
    }
    assert_int_equal(counts[0], counts[1]);
    assert_int_equal(sums[0], sums[1]);
}

/* The rows that the hint leaves out are none of the newest. Returns how many it leaves. */
static int64_t check_newest(struct fixture *x)
{
    static struct newest whole, last;
    find_newest(x, false, &whole);
    find_newest(x, true, &last);
    assert_memory_equal(whole.times, last.times, sizeof whole.times);
    assert_memory_equal(whole.rows, last.rows, sizeof whole.rows);
    return last.total;
}

static uint32_t check(struct fixture *x)
{
    return check_some(x, false);
}

/* ---- regions ---- */

static void test_memtable(void **state)
{
    struct fixture x;
    (void)state;
    create(&x, NULL, NULL);
    put(&x, false, 0, HOSTS, 0, TIMES, 1, 0);
    assert_true(check(&x) >= HOSTS * TIMES / PART_ROWS);
    put(&x, false, 3, 1, 5, 10, 1, 9); /* rewrites a few: they stay unsorted beside the sorted ones */
    check(&x);
    destroy(&x);
}

static void test_rewritten(void **state)
{
    struct fixture x;
    (void)state;
    create(&x, NULL, NULL);
    put(&x, false, 0, HOSTS, 0, TIMES, 1, 0);
    put(&x, false, 0, HOSTS, 0, TIMES, 3, 4);
    put(&x, true, 5, 20, 100, 200, 7, 0);
    assert_true(check(&x) >= 2); /* sorted, but some keys and times are there twice: cut between keys only */
    flush(&x);
    check(&x);
    destroy(&x);
}

static void test_sst(void **state)
{
    struct fixture x;
    (void)state;
    create(&x, NULL, NULL);
    for (int host = 0; host < 6 * HOSTS; host += HOSTS) /* more than one row group */
        put(&x, false, host, HOSTS, 0, TIMES, 1, 0);
    flush(&x);
    assert_true(check_some(&x, true) >= 6 * HOSTS * TIMES / 102400);
    put(&x, false, 0, 6 * HOSTS, TIMES / 2, TIMES, 9, 1);
    put(&x, true, HOSTS, 2 * HOSTS, 0, TIMES, 13, 1);
    assert_true(check_some(&x, true) >= 6 * HOSTS * TIMES / 102400); /* now merged with a memtable, between the keys of the row groups */
    destroy(&x);
}

/* Files one behind another in time, and a memtable behind them. */
static void test_side_by_side(void **state)
{
    struct fixture x;
    (void)state;
    create(&x, NULL, NULL);
    for (int i = 0; i < 6; i++) {
        put(&x, false, 0, HOSTS, i * 120, 120 - i, 1, i);
        if (i < 5)
            flush(&x);
    }
    assert_in_range(check(&x), 2, 12); /* a compaction may have put some together */
    check_key_order(&x);
    destroy(&x);
}

/* Overlapping files and memtables: every mode has its own idea of what two rows of one key and time are. */
static void test_overlapping(void **state)
{
    static const char *const options[][2] = {{NULL, NULL}, {"merge_mode", "last_non_null"}, {"append_mode", "true"}};
    (void)state;
    for (int mode = 0; mode < 3; mode++) {
        struct fixture x;
        create(&x, options[mode][0], options[mode][1]);
        put(&x, false, 0, HOSTS, 0, TIMES, 1, 0);
        flush(&x);
        check_some(&x, true);
        put(&x, false, 10, HOSTS, 200, TIMES, 3, 1);
        check_some(&x, true);
        flush(&x);
        check_some(&x, true);
        put(&x, false, 0, 2 * HOSTS, 0, 2 * TIMES, 7, 2);
        if (mode < 2)
            put(&x, true, 5, HOSTS, 100, TIMES, 11, 0);
        check_some(&x, true);
        flush(&x);
        put(&x, false, 20, 5, 100, 50, 1, 3);
        check_some(&x, true);
        put(&x, false, 0, 2 * HOSTS, 50, TIMES, 1, 4);
        assert_true(check_some(&x, true) >= 2);
        if (mode < 2)
            put(&x, true, 7, HOSTS, 60, TIMES, 5, 4);
        assert_true(check(&x) >= 2);
        check_newest(&x);
        check_key_order(&x);
        destroy(&x);
    }
}

/* Of overlapping files and memtables only the newest rows are merged, unless something was deleted. */
static void test_newest_of_overlapping(void **state)
{
    static const char *const options[][2] = {{NULL, NULL}, {"merge_mode", "last_non_null"}};
    (void)state;
    for (int mode = 0; mode < 2; mode++) {
        struct fixture x;
        create(&x, options[mode][0], options[mode][1]);
        put(&x, false, 0, HOSTS, 0, TIMES, 1, 0);
        flush(&x);
        put(&x, false, 10, HOSTS, 200, TIMES - 200, 3, 1);
        assert_in_range(check_newest(&x), HOSTS, HOSTS * TIMES);
        flush(&x);
        assert_in_range(check_newest(&x), HOSTS, 3 * HOSTS); /* at most one of each file */
        put(&x, false, 0, 2 * HOSTS, TIMES - 50, 50, 1, 2);
        check_newest(&x);
        put(&x, true, 0, 3 * HOSTS, TIMES - 20, 20, 1, 0); /* the newest ones of most */
        check_newest(&x);
        flush(&x);
        assert_true(check_newest(&x) > 3 * HOSTS);
        put(&x, true, 0, 5, 0, TIMES, 1, 0);
        check_newest(&x);
        destroy(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memtable),     cmocka_unit_test(test_rewritten),   cmocka_unit_test(test_sst),
        cmocka_unit_test(test_side_by_side), cmocka_unit_test(test_overlapping), cmocka_unit_test(test_newest_of_overlapping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
