/* Sorts and aggregations whose memory is short: the same rows as with plenty, nothing left on disk, and clear failures where there is no room at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "aggregate_oper.h"
#include "base/metrics.h"
#include "exec/spill.h"

enum { BATCH = 3000, BATCHES = 24, ROWS = BATCH * BATCHES };

static char root[] = "/tmp/exec_spill_testXXXXXX";
static struct spill_space *space;

/* ---- an input: pseudo-random rows, the same each time ---- */

struct rows_oper { struct oper base; int at; uint64_t seed, keys; };

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static struct column *finish(struct column_builder *b)
{
    struct column *c;
    assert_int_equal(column_builder_finish(b, &c, NULL), ST_OK);
    column_builder_release(b);
    return c;
}

/* s: one of `keys` strings or null; v: one of `keys` numbers; f: any; n: the row's number. */
static int rows_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct rows_oper *o = (struct rows_oper *)base;
    struct column_builder s, v, f, n;
    *ret_batch = NULL;
    if (o->at == BATCHES)
        return ST_OK;
    TRY(column_builder_init(&s, NULL, type_of(TYPE_UTF8), err));
    TRY(column_builder_init(&v, NULL, type_of(TYPE_INT64), err));
    TRY(column_builder_init(&f, NULL, type_of(TYPE_FLOAT64), err));
    TRY(column_builder_init(&n, NULL, type_of(TYPE_INT64), err));
    for (int i = 0; i < BATCH; i++) {
        char text[40];
        uint64_t key = next_random(&o->seed) % o->keys;
        int64_t number = (int64_t)(next_random(&o->seed) % o->keys) - 5, row = (int64_t)o->at * BATCH + i;
        double real = (double)(next_random(&o->seed) % 1000) / 8;
        int size = snprintf(text, sizeof text, "key %llu %.*s", (unsigned long long)key, (int)(key % 20), "xxxxxxxxxxxxxxxxxxxxxxxx");
        if (key % 50 == 7)
            TRY(column_builder_append_null(&s, err));
        else
            TRY(column_builder_append_bytes(&s, text, (size_t)size, err));
        TRY(column_builder_append_fixed(&v, &number, err));
        TRY(column_builder_append_fixed(&f, &real, err));
        TRY(column_builder_append_fixed(&n, &row, err));
    }
    o->at++;
    struct column *columns[] = {finish(&s), finish(&v), finish(&f), finish(&n)};
    return batch_new(base->schema, BATCH, columns, ret_batch, err);
}

static void rows_free(struct oper *o) { free(o); }
static int rows_describe(const struct oper *o, struct dynbuf *out, bool verbose, struct error *err)
{
    (void)o;
    (void)verbose;
    return dynbuf_printf(out, err, "rows");
}
static const struct oper_ops rows_ops = {rows_next, rows_free, rows_describe};

static struct oper *rows(struct work_context *work, uint64_t keys)
{
    struct field *f[] = {field_new("s", type_of(TYPE_UTF8), true), field_new("v", type_of(TYPE_INT64), true), field_new("f", type_of(TYPE_FLOAT64), true),
                         field_new("n", type_of(TYPE_INT64), true)};
    struct rows_oper *o = calloc(1, sizeof *o);
    o->base = (struct oper){.ops = &rows_ops, .schema = schema_new(f, 4), .work = work};
    o->seed = keys;
    o->keys = keys;
    for (int i = 0; i < 4; i++)
        field_unref(f[i]);
    return &o->base;
}

/* ---- what comes out, as one long text a row ---- */

struct lines { char **line; size_t n, room; };

static void add_value(const struct column *c, int64_t i, char *to, size_t room)
{
    int32_t size;
    if (column_is_null(c, i)) {
        snprintf(to, room, "NULL|");
    } else if (c->type->id == TYPE_DICTIONARY) {
        add_value(c->dictionary, COLUMN_VALUES(c, uint32_t)[i], to, room);
    } else if (type_is_varlen(c->type)) {
        const uint8_t *bytes = column_bytes(c, i, &size);
        snprintf(to, room, "%.*s|", size, (const char *)bytes);
    } else if (c->type->id == TYPE_FLOAT64) {
        snprintf(to, room, "%.17g|", COLUMN_VALUES(c, double)[i]);
    } else if (c->type->id == TYPE_UINT8) {
        snprintf(to, room, "%u|", COLUMN_VALUES(c, uint8_t)[i]);
    } else {
        snprintf(to, room, "%lld|", (long long)COLUMN_VALUES(c, int64_t)[i]);
    }
}

static int drain(struct oper *o, struct lines *out, struct error *err)
{
    struct batch *b;
    int st;
    *out = (struct lines){0};
    while ((st = oper_next(o, &b, err)) == ST_OK && b) {
        for (int64_t i = 0; i < b->n_rows; i++) {
            char text[400] = "";
            for (uint32_t c = 0; c < b->schema->n_fields; c++)
                add_value(b->columns[c], i, text + strlen(text), sizeof text - strlen(text));
            if (out->n == out->room)
                out->line = realloc(out->line, (out->room = out->room * 2 + 1000) * sizeof *out->line);
            out->line[out->n++] = strdup(text);
        }
        batch_unref(b);
    }
    oper_free(o);
    return st;
}

static void free_lines(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->line[i]);
    free(l->line);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void assert_same(struct lines *a, struct lines *b, bool ordered)
{
    if (!ordered) {
        qsort(a->line, a->n, sizeof *a->line, by_text);
        qsort(b->line, b->n, sizeof *b->line, by_text);
    }
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++)
        assert_string_equal(a->line[i], b->line[i]);
}

/* ---- the operators ---- */

static struct oper *sort(struct oper *input)
{
    struct oper_sort_key keys[] = {{0, {.descending = true}}, {1, {.nulls_first = true}}};
    struct oper *o;
    assert_int_equal(oper_sort_new(input, keys, 2, -1, &o, NULL), ST_OK);
    return o;
}

static const struct want totals[] = {{"count", 3}, {"sum", 3}, {"avg", 2}, {"min", 0}, {"max", 2}, {"count", 2, .distinct = true}};
static const struct want distinct[] = {{"count", 3, .distinct = true}, {"sum", 1, .distinct = true}, {"count", 0, .distinct = true}, {"sum", 3}};

enum { SORT, BY_TEXT, BY_NUMBER, BY_BOTH, SETS, DISTINCT, DISTINCT_BY_TEXT, DISTINCT_SETS, OPERATORS };

static struct oper *build(int what, struct work_context *work, uint64_t keys)
{
    static const uint32_t both[] = {0, 1}, number[] = {1};
    static const uint8_t sets[] = {1, 1, 0, 1, 0, 0, 1, 0};
    static const struct oper_aggregate_spec grouping_sets = {.keys = both, .n_keys = 2, .sets = sets, .n_sets = 4};
    struct oper *input = rows(work, keys);
    switch (what) {
    case SORT:
        return sort(input);
    case BY_NUMBER:
        return aggregate(input, number, 1, totals, 6);
    case SETS:
        return aggregate_as(input, grouping_sets, totals, 6);
    case DISTINCT:
        return aggregate(input, NULL, 0, distinct, 4);
    case DISTINCT_BY_TEXT:
        return aggregate(input, both, 1, distinct, 4);
    case DISTINCT_SETS:
        return aggregate_as(input, grouping_sets, distinct, 4);
    default:
        return aggregate(input, both, what == BY_BOTH ? 2 : 1, totals, 6);
    }
}

static int entries;
static int count_entry(void *ctx, const char *name, bool is_dir, struct error *err)
{
    (void)ctx;
    (void)name;
    (void)is_dir;
    (void)err;
    entries++;
    return ST_OK;
}

static void assert_clean(struct budget *budget)
{
    entries = 0;
    assert_int_equal(fs_posix()->ops->list(fs_posix(), root, count_entry, NULL, NULL), ST_OK);
    assert_int_equal(entries, 0);
    assert_int_equal(spill_space_bytes(space), 0);
    assert_int_equal(budget_used(budget), 0);
}

static int64_t files_made(void)
{
    const struct metric_family *f = metric_families();
    while (strcmp(f->name, "regiond_spill_files_total") != 0)
        f = f->next;
    return atomic_load(&atomic_load(&f->children)->value);
}

/* Whatever the memory: the right rows, or a failure that names an option; with 8 MiB all work. Most of it takes the disk. */
static void same_rows(void **state)
{
    static const uint64_t keys[] = {10, 3000, ROWS * 4};
    (void)state;
    for (int what = 0; what < OPERATORS; what++) {
        int64_t before = files_made();
        bool many = what >= SETS; /* rows come out, or go in, several times: fewer trials */
        for (size_t k = many; k < (many ? 2 : 3); k++) {
            struct work_context plenty = {0};
            struct lines want, got;
            assert_int_equal(drain(build(what, &plenty, keys[k]), &want, NULL), ST_OK);
            for (size_t mib = many ? 2 : 1; mib <= 16; mib *= many ? 4 : 2) {
                struct budget budget;
                struct error err = {0};
                budget_init(&budget, "query", "query.memory_pool_size", mib << 20, NULL);
                struct work_context work = {.budget = &budget, .spill = space};
                int st = drain(build(what, &work, keys[k]), &got, &err);
                if (st == ST_OK)
                    assert_same(&want, &got, what == SORT);
                else
                    if (st != ST_EXHAUSTED || !strstr(err.msg, "query.memory_pool_size") || mib >= 8)
                        fail_msg("operator %d, %llu keys, %zu MiB: %s", what, (unsigned long long)keys[k], mib, err.msg);
                free_lines(&got);
                assert_clean(&budget);
            }
            free_lines(&want);
        }
        assert_true(files_made() > before);
    }
}

static void full_disk(void **state)
{
    (void)state;
    struct spill_space *whole = space;
    assert_int_equal(spill_space_new(fs_posix(), root, 1 << 20, &space, NULL), ST_OK);
    for (int what = 0; what < OPERATORS; what++) {
        struct budget budget;
        struct lines got;
        struct error err = {0};
        budget_init(&budget, "query", "query.memory_pool_size", 8 << 20, NULL);
        struct work_context work = {.budget = &budget, .spill = space};
        assert_int_equal(drain(build(what, &work, ROWS * 4), &got, &err), ST_EXHAUSTED);
        assert_non_null(strstr(err.msg, "query.spill_limit"));
        free_lines(&got);
        assert_clean(&budget);
    }
    spill_space_free(space);
    space = whole;
}

/* What a crash left is gone at the next start; a cancelled query leaves nothing. */
static void leftovers(void **state)
{
    char path[64];
    struct spill_space *again;
    (void)state;
    snprintf(path, sizeof path, "%s/17", root);
    assert_int_equal(fs_write_atomic(fs_posix(), path, path, "x", 1, NULL), ST_OK);
    assert_int_equal(spill_space_new(fs_posix(), root, 1 << 20, &again, NULL), ST_OK);
    assert_false(fs_exists(fs_posix(), path));
    spill_space_free(again);
    for (int what = 0; what < OPERATORS; what++) {
        struct budget budget;
        struct batch *b = NULL;
        budget_init(&budget, "query", "query.memory_pool_size", 8 << 20, NULL);
        struct work_context work = {.budget = &budget, .spill = space};
        struct oper *o = build(what, &work, ROWS * 4);
        assert_int_equal(oper_next(o, &b, NULL), ST_OK);
        batch_unref(b);
        atomic_store(&work.cancelled, true);
        assert_int_equal(oper_next(o, &b, NULL), ST_CANCELLED);
        oper_free(o);
        assert_clean(&budget);
    }
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) && spill_space_new(fs_posix(), root, 1 << 30, &space, NULL) == ST_OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    spill_space_free(space);
    return fs_remove_tree(fs_posix(), root, NULL) == ST_OK ? 0 : 1;
}

/* ---- long texts ---- */

enum { TEXT_BYTES = 256 << 10, TEXTS = 400, TEXTS_A_BATCH = 8 };

struct texts_oper {
    struct oper base;
    int64_t at;
};

static int texts_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct texts_oper *o = (struct texts_oper *)base;
    struct column_builder n, s;
    char *bytes = malloc(TEXT_BYTES);
    *ret_batch = NULL;
    memset(bytes, 'x', TEXT_BYTES);
    if (o->at < TEXTS) {
        assert_int_equal(column_builder_init(&n, NULL, type_of(TYPE_INT64), err), ST_OK);
        assert_int_equal(column_builder_init(&s, NULL, type_of(TYPE_UTF8), err), ST_OK);
        for (int64_t end = o->at + TEXTS_A_BATCH; o->at < end; o->at++) {
            int64_t number = o->at * 7919 % TEXTS; /* each number once */
            assert_int_equal(column_builder_append_fixed(&n, &number, err), ST_OK);
            assert_int_equal(column_builder_append_bytes(&s, bytes, TEXT_BYTES, err), ST_OK);
        }
        struct column *columns[] = {finish(&n), finish(&s)};
        assert_int_equal(batch_new(base->schema, TEXTS_A_BATCH, columns, ret_batch, err), ST_OK);
    }
    free(bytes);
    return ST_OK;
}

/* A hundred megabytes of them through a memory of less, in few rows. */
static void long_texts(void **state)
{
    static const struct oper_ops ops = {texts_next, rows_free, rows_describe};
    static const struct oper_sort_key by_number = {.column = 0};
    struct field *f[] = {field_new("n", type_of(TYPE_INT64), false), field_new("s", type_of(TYPE_UTF8), true)};
    struct budget budget;
    struct work_context work = {.budget = &budget, .spill = space};
    struct texts_oper *texts = calloc(1, sizeof *texts);
    struct oper *o;
    struct batch *b;
    struct error err = {0};
    int64_t next = 0;
    (void)state;
    budget_init(&budget, "query", "query.memory_limit", (size_t)88 << 20, NULL);
    texts->base = (struct oper){.ops = &ops, .schema = schema_new(f, 2), .work = &work};
    assert_int_equal(oper_sort_new(&texts->base, &by_number, 1, -1, &o, NULL), ST_OK);
    for (int st; (st = oper_next(o, &b, &err)) != ST_OK || b; batch_unref(b)) {
        if (st != ST_OK)
            fail_msg("%s", err.msg);
        for (int64_t i = 0; i < b->n_rows; i++)
            assert_int_equal(COLUMN_VALUES(b->columns[0], int64_t)[i], next++);
    }
    assert_int_equal(next, TEXTS);
    oper_free(o);
    field_unref(f[0]);
    field_unref(f[1]);
    assert_int_equal(budget.used, 0);
    assert_int_equal(spill_space_bytes(space), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_rows), cmocka_unit_test(full_disk), cmocka_unit_test(leftovers), cmocka_unit_test(long_texts)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
