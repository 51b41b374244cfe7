/* merge_source_new() against a merge that sorts all rows and walks them: random sources in all modes, with deletes, ties and any batch borders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/mito/source.h"

struct row { /* -1 = null */
    int key, time, op, a, b, source, at;
    uint64_t sequence;
};

static uint64_t seed;
static uint32_t rnd(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static int by_order(const void *x, const void *y)
{
    const struct row *r = x, *s = y;
    if (r->key != s->key)
        return r->key - s->key;
    if (r->time != s->time)
        return r->time - s->time;
    if (r->sequence != s->sequence)
        return r->sequence > s->sequence ? -1 : 1;
    return r->source != s->source ? s->source - r->source : r->at - s->at;
}

static struct column *fixed(struct dtype *type, const void *values, size_t size, int64_t n)
{
    struct buffer *b;
    struct column *c;
    assert_int_equal(buffer_new(NULL, size, &b, NULL), ST_OK);
    memcpy(b->data, values, size);
    assert_int_equal(column_new(type, n, 0, NULL, b, NULL, &c, NULL), ST_OK);
    return c;
}

/* Texts "<prefix>NNN" of the values, -1 = null; as a dictionary that also holds values nobody uses, or plain. */
static struct column *texts(char prefix, struct dtype *type, const int *v, int64_t n, bool coded)
{
    struct column_builder b;
    struct column *c, *d;
    char text[16];
    uint32_t *codes = malloc((size_t)n * 4);
    int64_t entries = 0;
    column_builder_init(&b, NULL, type, NULL);
    if (coded)
        column_builder_append_bytes(&b, "unused", 6, NULL), entries++;
    for (int64_t i = 0; i < n; i++) {
        if (!coded || i == 0 || v[i] != v[i - 1]) {
            snprintf(text, sizeof text, "%c%03d", prefix, v[i]);
            if (v[i] < 0)
                column_builder_append_null(&b, NULL);
            else
                column_builder_append_bytes(&b, text, 4, NULL);
            entries++;
        }
        codes[i] = (uint32_t)entries - 1;
    }
    column_builder_finish(&b, &c, NULL);
    column_builder_release(&b);
    if (coded) {
        struct dtype *t = type_dictionary(TYPE_UINT32, type);
        struct column *keys = fixed(type_of(TYPE_UINT32), codes, (size_t)n * 4, n);
        assert_int_equal(column_new_nested(t, n, 0, NULL, buffer_ref(keys->buffers[0]), &c, 1, &d, NULL), ST_OK);
        column_unref(keys);
        type_unref(t);
        c = d;
    }
    free(codes);
    return c;
}

static struct column *integers(const int *v, int64_t n)
{
    struct column_builder b;
    struct column *c;
    column_builder_init(&b, NULL, type_of(TYPE_INT64), NULL);
    for (int64_t i = 0; i < n; i++) {
        int64_t x = v[i];
        if (x < 0)
            column_builder_append_null(&b, NULL);
        else
            column_builder_append_fixed(&b, &x, NULL);
    }
    column_builder_finish(&b, &c, NULL);
    column_builder_release(&b);
    return c;
}

/* Columns: tag, time, field a, field b. */
static struct row_batch *batch_of(const struct row *r, int64_t n)
{
    int *v = calloc((size_t)n, sizeof *v), *w = calloc((size_t)n, sizeof *w), *k = calloc((size_t)n, sizeof *k);
    int64_t *t = malloc((size_t)n * 8);
    uint64_t *s = malloc((size_t)n * 8);
    uint8_t *o = malloc((size_t)n);
    bool one = true, puts = true;
    for (int64_t i = 0; i < n; i++) {
        k[i] = r[i].key, v[i] = r[i].a, w[i] = r[i].b, t[i] = r[i].time, s[i] = r[i].sequence, o[i] = (uint8_t)r[i].op;
        one &= s[i] == s[0];
        puts &= o[i] == OP_PUT;
    }
    struct column *time = fixed(type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), t, (size_t)n * 8, n);
    struct column *columns[] = {texts('k', type_of(TYPE_UTF8), k, n, rnd(2)), column_ref(time), integers(v, n), texts('b', type_of(TYPE_UTF8), w, n, rnd(2))};
    struct row_batch *b;
    assert_int_equal(row_batch_new(n, texts('k', type_of(TYPE_BINARY), k, n, true), time, one ? NULL : fixed(type_of(TYPE_UINT64), s, (size_t)n * 8, n), s[0],
                                   puts ? NULL : fixed(type_of(TYPE_UINT8), o, (size_t)n, n), columns, 4, &b, NULL),
                     ST_OK);
    free(v), free(w), free(k), free(t), free(s), free(o);
    return b;
}

struct array_source { struct row_source base; struct row *rows; int64_t n, at, step; };

static int array_next(struct row_source *base, struct row_batch **ret_batch, struct error *err)
{
    struct array_source *s = (struct array_source *)base;
    (void)err;
    *ret_batch = NULL;
    if (s->at == s->n)
        return ST_OK;
    int64_t n = 1 + rnd((uint32_t)s->step);
    n = n < s->n - s->at ? n : s->n - s->at;
    *ret_batch = batch_of(s->rows + s->at, n);
    s->at += n;
    return ST_OK;
}

static void array_free(struct row_source *base)
{
    free(((struct array_source *)base)->rows);
    free(base);
}

static const struct row_source_ops array_ops = {array_next, array_free};

/* A sorted source of n random rows; a unique one has no repeated (key, time) and no deletes. */
static struct row_source *source_of(struct row *r, int n, bool unique, int step)
{
    struct array_source *s = calloc(1, sizeof *s);
    s->rows = malloc(((size_t)n + 1) * sizeof *s->rows);
    for (int i = 0; i < n; i++) {
        r[i].op = unique ? OP_PUT : r[i].op;
        if (!unique || s->n == 0 || r[i].key != r[i - 1].key || r[i].time != r[i - 1].time)
            s->rows[s->n++] = r[i];
    }
    s->base = (struct row_source){&array_ops, 0, 1 << 20, unique};
    s->step = step;
    return &s->base;
}

/* The rows that must come out; `all` is sorted. */
static int64_t naive(const struct row *all, int64_t n, enum merge_mode mode, bool drop, struct row *out)
{
    int64_t made = 0;
    for (int64_t i = 0, j; i < n; i = j) {
        struct row r = all[i];
        bool open = r.op == OP_PUT && mode == MERGE_LAST_NON_NULL;
        for (j = i + 1; mode != MERGE_APPEND && j < n && all[j].key == r.key && all[j].time == r.time; j++) {
            open = open && all[j].op == OP_PUT;
            if (open && r.a < 0)
                r.a = all[j].a;
            if (open && r.b < 0)
                r.b = all[j].b;
        }
        if (r.op == OP_PUT || !drop)
            out[made++] = r;
    }
    return made;
}

static int text_at(const struct column *c, int64_t i)
{
    int32_t size;
    if (column_is_null(c, i))
        return -1;
    if (c->type->id == TYPE_DICTIONARY)
        return text_at(c->dictionary, COLUMN_VALUES(c, uint32_t)[i]);
    const uint8_t *text = column_bytes(c, i, &size);
    assert_int_equal(size, 4);
    return (text[1] - '0') * 100 + (text[2] - '0') * 10 + text[3] - '0';
}

static void check_rows(const struct row_batch *b, const struct row *want)
{
    for (int64_t i = 0; i < b->n_rows; i++) {
        const struct row *w = &want[i];
        assert_int_equal(text_at(b->key, i), w->key);
        assert_int_equal(text_at(b->columns[0], i), w->key);
        assert_int_equal(COLUMN_VALUES(b->time, int64_t)[i], w->time);
        assert_int_equal(COLUMN_VALUES(b->columns[1], int64_t)[i], w->time);
        assert_int_equal(b->sequence ? COLUMN_VALUES(b->sequence, uint64_t)[i] : b->constant_sequence, w->sequence);
        assert_int_equal(b->op ? COLUMN_VALUES(b->op, uint8_t)[i] : OP_PUT, w->op);
        assert_int_equal(column_is_null(b->columns[2], i) ? -1 : COLUMN_VALUES(b->columns[2], int64_t)[i], w->a);
        assert_int_equal(text_at(b->columns[3], i), w->b);
    }
}

static void one_round(uint64_t start, int rows_max, int keys, int times)
{
    static const bool fields[] = {false, false, true, true};
    seed = start;
    uint32_t n_sources = 1 + rnd(6);
    int step = (int[]){1, 7, 300, 9000}[rnd(4)];
    enum merge_mode mode = (enum merge_mode)rnd(3);
    bool drop = rnd(2);
    struct row_source *sources[6], *merged;
    struct row *all = malloc((size_t)rows_max * 6 * sizeof *all), *want = malloc((size_t)rows_max * 6 * sizeof *want);
    int64_t total = 0, seen = 0;
    for (uint32_t k = 0; k < n_sources; k++) {
        int n = (int)rnd((uint32_t)rows_max);
        struct row *r = malloc(((size_t)n + 1) * sizeof *r);
        uint64_t sequence = rnd(3) ? 0 : 1 + rnd(4);
        for (int i = 0; i < n; i++)
            r[i] = (struct row){.key = (int)rnd((uint32_t)keys), .time = (int)rnd((uint32_t)times), .op = rnd(5) ? OP_PUT : OP_DELETE, .a = (int)rnd(4) - 1,
                                .b = (int)rnd(4) - 1, .source = (int)k, .sequence = sequence ? sequence : 1 + rnd(5)};
        qsort(r, (size_t)n, sizeof *r, by_order);
        for (int i = 0; i < n; i++)
            r[i].at = i;
        sources[k] = source_of(r, n, rnd(3) == 0, step);
        struct array_source *s = (struct array_source *)sources[k];
        memcpy(all + total, s->rows, (size_t)s->n * sizeof *all);
        total += s->n;
        free(r);
    }
    bool passes = n_sources == 1 && (sources[0]->unique || (mode == MERGE_APPEND && !drop)); /* then its batches may have any size */
    qsort(all, (size_t)total, sizeof *all, by_order);
    int64_t expected = naive(all, total, mode, drop, want);
    assert_int_equal(merge_source_new(sources, n_sources, mode, drop, fields, 4, NULL, NULL, &merged, NULL), ST_OK);
    for (;;) {
        struct row_batch *b;
        assert_int_equal(row_source_next(merged, &b, NULL), ST_OK);
        if (!b)
            break;
        assert_true(b->n_rows > 0 && (passes || b->n_rows <= 8192));
        if (seen + b->n_rows > expected)
            fail_msg("seed %llu: too many rows", (unsigned long long)start);
        check_rows(b, want + seen);
        seen += b->n_rows;
        row_batch_free(b);
    }
    assert_int_equal(seen, expected);
    row_source_free(merged);
    free(all);
    free(want);
}

static void small_sources(void **state)
{
    (void)state;
    for (uint64_t s = 1; s <= 1500; s++)
        one_round(s, 40, 4, 6);
}

static void large_sources(void **state)
{
    (void)state;
    for (uint64_t s = 1; s <= 12; s++)
        one_round(s * 7919, 20000, 20, 3000);
}

static void few_places(void **state)
{
    (void)state;
    for (uint64_t s = 1; s <= 6; s++) /* groups far longer than a batch */
        one_round(s * 104729, 15000, 2, 2);
}

static void no_sources(void **state)
{
    struct row_source *merged;
    struct row_batch *b;
    (void)state;
    assert_int_equal(merge_source_new(NULL, 0, MERGE_LAST_ROW, true, NULL, 0, NULL, NULL, &merged, NULL), ST_OK);
    assert_int_equal(row_source_next(merged, &b, NULL), ST_OK);
    assert_null(b);
    row_source_free(merged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_sources), cmocka_unit_test(large_sources), cmocka_unit_test(few_places),
                                       cmocka_unit_test(no_sources)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
