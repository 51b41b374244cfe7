/* Queries whose scan comes in parts, run by the pulling thread alone and with a pool of any size beside it: always the same rows in the same order;
 * and what happens when a part fails, the query is cancelled, memory is short or the operators are freed early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>

#include "aggregate_oper.h"
#include "base/hash.h"
#include "base/metrics.h"
#include "exec/oper_compute.h"
#include "exec/oper_exchange.h"
#include "exec/spill.h"
#include "memory_table.h"

enum { K, U, V, F, COLUMNS };
enum { BATCHES = 40, BATCH = 2000, PARTS = 4, FIRST_FAILURE = 17 };

static char root[] = "/tmp/exec_query_parallel_testXXXXXX";
static struct spill_space *space;
static struct memory_table *table, *in_order;

static void set_failure(const char *(*failure)(uint32_t batch))
{
    table->failure = in_order->failure = failure;
}

/* ---- the table: k of 100 strings, u nearly unique, v small numbers or null, f fractions whose sums depend on their order ---- */

static struct column *finish(struct column_builder *b)
{
    struct column *c;
    assert_int_equal(column_builder_finish(b, &c, NULL), ST_OK);
    column_builder_release(b);
    return c;
}

static void add_batch(struct memory_table *t, uint64_t *seed)
{
    struct column_builder b[COLUMNS];
    for (int i = 0; i < COLUMNS; i++)
        assert_int_equal(column_builder_init(&b[i], NULL, t->base.schema->fields[i]->type, NULL), ST_OK);
    for (int i = 0; i < BATCH; i++) {
        char text[32];
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t r = *seed >> 20;
        int size = snprintf(text, sizeof text, "k%llu", (unsigned long long)(r % 100));
        int64_t u = (int64_t)(r % 1000003), v = (int64_t)(r % 37);
        double f = (double)(r % 1000) / 7;
        assert_int_equal(column_builder_append_bytes(&b[K], text, (size_t)size, NULL), ST_OK);
        assert_int_equal(column_builder_append_fixed(&b[U], &u, NULL), ST_OK);
        assert_int_equal(v == 5 ? column_builder_append_null(&b[V], NULL) : column_builder_append_fixed(&b[V], &v, NULL), ST_OK);
        assert_int_equal(column_builder_append_fixed(&b[F], &f, NULL), ST_OK);
    }
    struct column *columns[COLUMNS];
    for (int i = 0; i < COLUMNS; i++)
        columns[i] = finish(&b[i]);
    assert_int_equal(batch_new(t->base.schema, BATCH, columns, &t->batches[t->n_batches++], NULL), ST_OK);
}

/* The same columns in the order of (k, u), of which there are runs of any length, also over the ends of batches and parts. */
static void add_ordered_batch(struct memory_table *t, uint64_t *seed, int64_t *k, int64_t *u)
{
    struct column_builder b[COLUMNS];
    for (int i = 0; i < COLUMNS; i++)
        assert_int_equal(column_builder_init(&b[i], NULL, t->base.schema->fields[i]->type, NULL), ST_OK);
    for (int i = 0; i < BATCH; i++) {
        char text[32];
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t r = *seed >> 20;
        bool long_runs = *k % 3 == 0;
        *k += r % (long_runs ? 2000 : 3000) == 0;
        *u = r % (long_runs ? 100 : 2) ? *u : *u + 1;
        int64_t v = (int64_t)(r % 37);
        double f = (double)(r % 1000) / 7;
        int size = snprintf(text, sizeof text, "k%06lld", (long long)*k);
        assert_int_equal(*k ? column_builder_append_bytes(&b[K], text, (size_t)size, NULL) : column_builder_append_null(&b[K], NULL), ST_OK);
        assert_int_equal(column_builder_append_fixed(&b[U], u, NULL), ST_OK);
        assert_int_equal(v == 5 ? column_builder_append_null(&b[V], NULL) : column_builder_append_fixed(&b[V], &v, NULL), ST_OK);
        assert_int_equal(column_builder_append_fixed(&b[F], &f, NULL), ST_OK);
    }
    struct column *columns[COLUMNS];
    for (int i = 0; i < COLUMNS; i++)
        columns[i] = finish(&b[i]);
    assert_int_equal(batch_new(t->base.schema, BATCH, columns, &t->batches[t->n_batches++], NULL), ST_OK);
}

static struct oper *scan_of(struct memory_table *t, struct work_context *work)
{
    static const uint32_t all[COLUMNS] = {0, 1, 2, 3};
    struct scan_request r = {.columns = all, .n_columns = COLUMNS, .limit = -1};
    struct oper *o;
    assert_int_equal(oper_scan_new(work, &t->base, "t", &r, t->base.schema, &o, NULL), ST_OK);
    return o;
}

static struct oper *scan(struct work_context *work)
{
    return scan_of(table, work);
}

/* ---- queries ---- */

static struct oper *sorted(struct oper *input, uint32_t column, int64_t limit)
{
    struct oper_sort_key key = {.column = column};
    struct oper *o;
    assert_int_equal(oper_sort_new(input, &key, 1, limit, &o, NULL), ST_OK);
    return o;
}

static struct oper *picked(struct oper *input)
{
    static const uint32_t columns[] = {V, K, F};
    struct oper *o;
    assert_int_equal(oper_pick_new(input, columns, 3, &o, NULL), ST_OK);
    return o;
}

enum {
    ROWS,
    FEW_GROUPS,
    MANY_GROUPS,
    NO_KEYS,
    WHOLE_NUMBERS,
    DISTINCT,
    DISTINCT_IN_ALL,
    COLLECTED,
    SKETCHES,
    SORTED,
    TOP,
    SORTED_TIES,
    TOP_TIES,
    TOP_MANY,
    HASHED,
    IN_ORDER,
    PARTLY,
    HASHED_LISTS,
    LISTS_IN_ORDER,
    PARTLY_LISTS,
    QUERIES
};

static struct oper *build_ordered(int what, struct work_context *work)
{
    static const uint32_t keys[] = {U, K};
    static const struct want wants[] = {{"count", -1},      {"sum", V},    {"sum", F},    {"avg", F}, {"max", K}, {"last_value", V, true, F},
                                        {"first_value", F}, {"stddev", F}, {"bit_xor", V}};
    static const struct want lists[] = {{"median", V}, {"count", V, .distinct = true}, {"sum", F}};
    static const bool both[] = {true, true}, second[] = {false, true};
    bool mergeable = what <= PARTLY;
    int order = mergeable ? what - HASHED : what - HASHED_LISTS;
    const struct oper_aggregate_spec spec = {keys, 2, NULL, 1, order == 1 ? both : order == 2 ? second : NULL};
    return aggregate_as(scan_of(in_order, work), spec, mergeable ? wants : lists, mergeable ? 9 : 3);
}

static struct oper *build(int what, struct work_context *work)
{
    static const uint32_t k[] = {K}, u[] = {U};
    static const struct want wants[] = {
        {"count", -1},      {"sum", V},    {"sum", F},     {"avg", F},       {"min", V}, {"max", K}, {"last_value", V, true, U},
        {"first_value", F}, {"stddev", F}, {"bit_xor", V}, {"last_value", K}};
    static const struct want whole_numbers[] = {{"sum", V}, {"max", K}, {"first_value", V}, {"last_value", V}};
    static const struct want distinct[] = {
        {"count", V, .distinct = true}, {"array_agg", V, .distinct = true}, {"array_agg", F, true, F, .distinct = true}, {"sum", F}};
    static const struct want collected[] = {{"array_agg", U}, {"array_agg", V, true, F}, {"median", F}, {"approx_distinct", U}, {"count_hash", V}};
    static const struct want sketches[] = {{"approx_median", F}, {"hll", K}, {"avg", F}};
    switch (what) {
    case ROWS:
        return picked(scan(work));
    case FEW_GROUPS:
        return aggregate(scan(work), k, 1, wants, 11);
    case MANY_GROUPS:
        return aggregate(scan(work), u, 1, wants, 4);
    case NO_KEYS:
        return aggregate(scan(work), NULL, 0, wants, 11);
    case WHOLE_NUMBERS:
        return aggregate(scan(work), u, 1, whole_numbers, 4);
    case DISTINCT:
        return aggregate(scan(work), k, 1, distinct, 4);
    case DISTINCT_IN_ALL:
        return aggregate(scan(work), NULL, 0, distinct, 3); /* but the sum, which depends on the order of additions */
    case COLLECTED:
        return aggregate(scan(work), k, 1, collected, 5);
    case SKETCHES:
        return aggregate(scan(work), k, 1, sketches, 3);
    case SORTED_TIES:
        return sorted(scan(work), K, -1);
    case TOP_TIES:
        return sorted(scan(work), V, 100);
    case TOP_MANY:
        return sorted(scan(work), K, 30000);
    case SORTED:
        return sorted(scan(work), U, -1);
    case HASHED:
    case IN_ORDER:
    case PARTLY:
    case HASHED_LISTS:
    case LISTS_IN_ORDER:
    case PARTLY_LISTS:
        return build_ordered(what, work);
    default:
        return sorted(picked(scan(work)), 2, 100);
    }
}

struct answer {
    uint64_t hash; /* of all values in their order */
    int64_t rows;
    int status;
    struct error error;
};

static void add_value(uint64_t *hash, const struct column *c, int64_t i)
{
    int32_t size;
    if (column_is_null(c, i)) {
        *hash = hash_u64(*hash ^ 1);
    } else if (c->type->id == TYPE_LIST) {
        const int32_t *o = COLUMN_VALUES(c, int32_t) + i;
        for (int32_t k = o[0]; k < o[1]; k++)
            add_value(hash, c->children[0], k);
        *hash = hash_u64(*hash ^ (uint64_t)(o[1] - o[0]));
    } else if (type_is_varlen(c->type)) {
        const uint8_t *s = column_bytes(c, i, &size);
        *hash = hash_u64(*hash ^ hash_bytes(s, (size_t)size));
    } else if (c->type->id == TYPE_UINT8) {
        *hash = hash_u64(*hash ^ COLUMN_VALUES(c, uint8_t)[i]);
    } else {
        *hash = hash_u64(*hash ^ COLUMN_VALUES(c, uint64_t)[i]);
    }
}

/* Takes the batch. */
static void add_batch_of(struct answer *a, struct batch *b)
{
    a->rows += b->n_rows;
    for (int64_t i = 0; i < b->n_rows; i++)
        for (uint32_t k = 0; k < b->schema->n_fields; k++)
            add_value(&a->hash, b->columns[k], i);
    batch_unref(b);
}

/* Everything; `stop_after` >= 0: frees the operators after so many batches. */
static struct answer run(struct oper *o, struct thread_pool *pool, int stop_after)
{
    struct answer a = {0};
    struct batch *b = NULL;
    assert_int_equal(oper_parallelise(&o, pool, NULL), ST_OK);
    for (int i = 0; i != stop_after && (a.status = oper_next(o, &b, &a.error)) == ST_OK && b; i++)
        add_batch_of(&a, b);
    oper_free(o);
    return a;
}

static struct answer ask(int what, struct work_context *work, struct thread_pool *pool, int stop_after)
{
    return run(build(what, work), pool, stop_after);
}

static void same(const struct answer *a, const struct answer *b, const char *what, int query, unsigned threads)
{
    assert_int_equal(a->status, ST_OK);
    assert_int_equal(b->status, ST_OK);
    if (a->rows != b->rows || a->hash != b->hash)
        fail_msg("query %d with %u threads, %s: %lld rows instead of %lld, or others", query, threads, what, (long long)b->rows, (long long)a->rows);
}

static int64_t metric_of(const char *name)
{
    for (struct metric_family *f = metric_families(); f; f = f->next)
        if (strcmp(f->name, name) == 0)
            return metric_plain(f)->value;
    return 0;
}

static void with_budget(struct work_context *work, struct budget *budget, size_t bytes)
{
    budget_init(budget, "query", "query.memory_pool_size", bytes, NULL);
    *work = (struct work_context){.budget = budget};
}

static const unsigned pools[] = {1, 2, 8};

static void test_same_answers(void **state)
{
    (void)state;
    set_failure(NULL);
    for (int what = 0; what < QUERIES; what++) {
        struct budget budget;
        struct work_context work;
        with_budget(&work, &budget, SIZE_MAX);
        struct answer alone = ask(what, &work, NULL, -1);
        assert_true(alone.rows > 0);
        for (size_t p = 0; p < sizeof pools / sizeof *pools; p++) {
            struct thread_pool *pool;
            assert_int_equal(thread_pool_new("query", pools[p], 1000, &pool, NULL), ST_OK);
            struct answer a = ask(what, &work, pool, -1);
            thread_pool_free(pool);
            same(&alone, &a, "beside one alone", what, pools[p]);
        }
        assert_int_equal(budget.used, 0);
    }
}

/* Without parts, aggregations whose results do not depend on the order of additions give the same. */
static void test_as_without_parts(void **state)
{
    static const int whats[] = {ROWS, WHOLE_NUMBERS, DISTINCT_IN_ALL, COLLECTED, SORTED, TOP, SORTED_TIES, TOP_TIES, TOP_MANY};
    struct budget budget;
    struct work_context work;
    (void)state;
    set_failure(NULL);
    with_budget(&work, &budget, SIZE_MAX);
    for (size_t i = 0; i < sizeof whats / sizeof *whats; i++) {
        struct answer a = ask(whats[i], &work, NULL, -1), whole;
        const struct table_ops *ops = table->base.ops;
        table->base.ops = &(struct table_ops){ops->scan, ops->free, NULL};
        whole = ask(whats[i], &work, NULL, -1);
        table->base.ops = ops;
        same(&whole, &a, "beside one without parts", whats[i], 0);
    }
}

/* By runs, by runs of one key, and by hash: the same groups with the same values in the same order, with parts and without. */
static void test_order_as_hash(void **state)
{
    static const int hashed[] = {HASHED, HASHED_LISTS};
    const struct table_ops *ops = in_order->base.ops;
    struct budget budget;
    struct work_context work;
    (void)state;
    set_failure(NULL);
    for (int round = 0; round < 4; round++) {
        in_order->base.ops = round % 2 ? &(struct table_ops){ops->scan, ops->free, NULL, NULL} : ops;
        with_budget(&work, &budget, SIZE_MAX);
        struct answer hash = ask(hashed[round / 2], &work, NULL, -1);
        assert_true(hash.rows > 10000);
        for (int order = 1; order <= 2; order++) {
            struct answer a = ask(hashed[round / 2] + order, &work, NULL, -1);
            same(&hash, &a, "in order", round, 0);
        }
        in_order->base.ops = ops;
        assert_int_equal(budget.used, 0);
    }
}

/* Groups come out as they end: the first ones need not the whole scan, nor memory for all. */
static void test_order_streams(void **state)
{
    struct budget budget;
    struct work_context work;
    struct oper *first;
    (void)state;
    for (int order = 1; order <= 2; order++) {
        with_budget(&work, &budget, SIZE_MAX);
        in_order->pulled = 0;
        assert_int_equal(oper_limit_new(build(HASHED + order, &work), 0, 5, &first, NULL), ST_OK);
        struct answer a = run(first, NULL, -1);
        assert_int_equal(a.status, ST_OK);
        assert_int_equal(a.rows, 5);
        assert_true(in_order->pulled < BATCHES / 2);
        assert_int_equal(budget.used, 0);
    }
}

/* ---- failures ---- */

static const char *two_fail(uint32_t batch)
{
    return batch == 31 ? "batch 31 is broken" : batch == FIRST_FAILURE ? "batch 17 is broken" : NULL;
}

/* Of queries that are run alike one each: this runs under ThreadSanitizer, too. */
static bool is_one_of_a_kind(int what)
{
    return what <= TOP || what == IN_ORDER || what == PARTLY_LISTS;
}

static void test_failure(void **state)
{
    (void)state;
    for (int what = 0; what < QUERIES; what++)
        for (int round = 0; round < 2 && is_one_of_a_kind(what); round++) {
            struct budget budget;
            struct work_context work;
            struct thread_pool *pool;
            with_budget(&work, &budget, SIZE_MAX);
            assert_int_equal(thread_pool_new("query", 3, 1000, &pool, NULL), ST_OK);
            set_failure(two_fail);
            struct answer a = ask(what, &work, pool, -1);
            set_failure(NULL);
            assert_int_equal(a.status, ST_CORRUPT);
            assert_string_equal(a.error.msg, "batch 17 is broken");
            if (what == ROWS) /* everything before it has come */
                assert_int_equal(a.rows, FIRST_FAILURE * BATCH);
            thread_pool_free(pool);
            assert_int_equal(budget.used, 0);
        }
}

static _Atomic(struct work_context *) to_cancel;

static const char *cancels(uint32_t batch)
{
    if (batch == 23)
        atomic_load(&to_cancel)->cancelled = true;
    return NULL;
}

static void test_cancelled(void **state)
{
    (void)state;
    for (int what = 0; what < QUERIES; what++) {
        if (!is_one_of_a_kind(what))
            continue;
        struct budget budget;
        struct work_context work;
        struct thread_pool *pool;
        with_budget(&work, &budget, SIZE_MAX);
        assert_int_equal(thread_pool_new("query", 2, 1000, &pool, NULL), ST_OK);
        atomic_store(&to_cancel, &work);
        set_failure(cancels);
        struct answer a = ask(what, &work, pool, -1);
        set_failure(NULL);
        assert_int_equal(a.status, ST_CANCELLED);
        thread_pool_free(pool);
        assert_int_equal(budget.used, 0);
    }
}

/* The client goes away while parts are being run ahead. */
static void test_freed_early(void **state)
{
    struct thread_pool *pool;
    (void)state;
    assert_int_equal(thread_pool_new("query", 4, 1000, &pool, NULL), ST_OK);
    for (int round = 0; round < 16; round++) {
        struct budget budget;
        struct work_context work;
        with_budget(&work, &budget, SIZE_MAX);
        ask(ROWS, &work, pool, round % 4);
        assert_int_equal(budget.used, 0);
    }
    thread_pool_free(pool);
}

/* Nothing is run ahead of a LIMIT that may be satisfied at once. */
static void test_limited(void **state)
{
    struct budget budget;
    struct work_context work;
    struct thread_pool *pool;
    struct oper *both, *first;
    (void)state;
    with_budget(&work, &budget, SIZE_MAX);
    assert_int_equal(thread_pool_new("query", 3, 1000, &pool, NULL), ST_OK);
    struct oper *inputs[] = {picked(scan(&work)), picked(scan(&work))};
    struct schema *schema = schema_ref(inputs[0]->schema);
    assert_int_equal(oper_union_new(inputs, 2, schema, &both, NULL), ST_OK);
    schema_unref(schema);
    assert_int_equal(oper_limit_new(both, 0, 10, &first, NULL), ST_OK);
    table->pulled = 0;
    struct answer a = run(first, pool, -1);
    assert_int_equal(a.status, ST_OK);
    assert_int_equal(a.rows, 10);
    thread_pool_free(pool);
    assert_int_equal(table->pulled, 1);
    assert_int_equal(budget.used, 0);
}

static struct budget node;

/* Others take nearly all of the node's memory while parts are being aggregated. */
static size_t squeezed_bytes; /* that are left */

static const char *squeezes(uint32_t batch)
{
    if (batch == 9)
        assert_int_equal(budget_charge(&node, node.limit - budget_used(&node) - squeezed_bytes, NULL), ST_OK);
    return NULL;
}

/* Aggregations put rows on disk; all groups come out once, with all of their rows. */
static void test_short_memory(void **state)
{
    static const uint32_t u[] = {U};
    static const struct want wants[] = {{"count", -1}, {"sum", V}, {"max", F}};
    struct work_context work;
    struct thread_pool *pool;
    struct answer plenty;
    (void)state;
    squeezed_bytes = (size_t)5 << 20;
    assert_int_equal(thread_pool_new("query", 3, 1000, &pool, NULL), ST_OK);
    for (int round = 0; round < 6; round++) {
        struct budget budget;
        with_budget(&work, &budget, round == 1 ? (size_t)7 << 20 : SIZE_MAX);
        budget_init(&node, "node", "memory_limit", (size_t)1 << 30, NULL);
        budget.parent = &node;
        work.spill = space;
        set_failure(round > 1 ? squeezes : NULL);
        int64_t files = metric_of("regiond_spill_files_total");
        struct answer a = run(sorted(aggregate(scan(&work), u, 1, wants, 3), 0, -1), pool, -1);
        set_failure(NULL);
        if (a.status != ST_OK)
            fail_msg("round %d: %s", round, a.error.msg);
        if (round == 0)
            plenty = a;
        else
            assert_true(metric_of("regiond_spill_files_total") > files);
        same(&plenty, &a, "with little memory", round, 3);
        assert_int_equal(budget.used, 0);
    }
    thread_pool_free(pool);
}

/* Many tuples in few groups, and many groups of several sets. */
static struct oper *short_of_memory(int what, struct work_context *work)
{
    static const uint32_t keys[] = {K, U}, v_and_k[] = {V, K};
    static const uint8_t sets[] = {1, 0, 0, 1, 0, 0};
    static const bool forward[] = {true}, second[] = {false, true};
    static const struct want wants[] = {{"count", U, .distinct = true}, {"sum", U, .distinct = true}, {"count", V, .distinct = true}, {"max", F}};
    switch (what) {
    case 0:
        return aggregate(scan(work), NULL, 0, wants, 4);
    case 1:
        return aggregate(scan(work), keys, 1, wants, 4);
    case 2:
        return aggregate_as(scan_of(in_order, work), (struct oper_aggregate_spec){keys, 1, NULL, 1, forward}, wants, 4);
    case 3:
        return sorted(sorted(aggregate_as(scan_of(in_order, work), (struct oper_aggregate_spec){v_and_k, 2, NULL, 1, second}, wants, 4), 0, -1), 1, -1);
    default:
        return sorted(sorted(aggregate_as(scan(work), (struct oper_aggregate_spec){keys, 2, sets, 3}, wants, 4), 0, -1), 1, -1);
    }
}

/* Tuples of DISTINCT and groups of grouping sets, whichever thread saw them first, come out once. */
static void test_short_memory_distinct(void **state)
{
    struct thread_pool *pool;
    (void)state;
    squeezed_bytes = (size_t)8 << 20;
    assert_int_equal(thread_pool_new("query", 3, 1000, &pool, NULL), ST_OK);
    for (int what = 0; what < 5; what++) {
        struct answer plenty;
        for (int round = 0; round < (what == 4 ? 2 : 4); round++) { /* what the parts hold of three sets may be more than is left */
            struct budget budget;
            struct work_context work;
            with_budget(&work, &budget, round == 1 ? (size_t)10 << 20 : SIZE_MAX);
            budget_init(&node, "node", "memory_limit", (size_t)1 << 30, NULL);
            budget.parent = &node;
            work.spill = space;
            set_failure(round > 1 ? squeezes : NULL);
            int64_t files = metric_of("regiond_spill_files_total");
            struct answer a = run(short_of_memory(what, &work), pool, -1);
            set_failure(NULL);
            if (a.status != ST_OK)
                fail_msg("query %d, round %d: %s", what, round, a.error.msg);
            plenty = round ? plenty : a;
            same(&plenty, &a, "with little memory", what, 3);
            assert_true(round != 1 || what == 2 || what == 3 || metric_of("regiond_spill_files_total") > files);
            assert_int_equal(budget.used, 0);
        }
    }
    thread_pool_free(pool);
}

/* Sorts put runs on disk, of rows that parts have ordered and of such that they have handed on. */
static void test_short_memory_sorts(void **state)
{
    struct work_context work;
    struct thread_pool *pool;
    (void)state;
    assert_int_equal(thread_pool_new("query", 3, 1000, &pool, NULL), ST_OK);
    for (int what = SORTED; what <= SORTED_TIES; what += SORTED_TIES - SORTED) {
        struct budget budget;
        with_budget(&work, &budget, SIZE_MAX);
        struct answer plenty = ask(what, &work, NULL, -1);
        for (size_t limit = 5; limit <= 21; limit += 4) {
            with_budget(&work, &budget, limit << 20);
            work.spill = space;
            int64_t files = metric_of("regiond_spill_files_total");
            struct answer a = ask(what, &work, pool, -1);
            if (a.status != ST_OK)
                fail_msg("%zu MiB: %s", limit, a.error.msg);
            assert_true(limit > 10 || metric_of("regiond_spill_files_total") > files);
            same(&plenty, &a, "with little memory", what, 3);
            assert_int_equal(budget.used, 0);
        }
    }
    thread_pool_free(pool);
}

/* Without a place on disk: a failure that says so, and nothing left behind. */
static void test_no_memory(void **state)
{
    struct budget budget;
    struct work_context work;
    struct thread_pool *pool;
    (void)state;
    assert_int_equal(thread_pool_new("query", 3, 1000, &pool, NULL), ST_OK);
    with_budget(&work, &budget, 2 << 20);
    struct answer a = ask(MANY_GROUPS, &work, pool, -1);
    assert_int_equal(a.status, ST_EXHAUSTED);
    assert_non_null(strstr(a.error.msg, "query.memory_pool_size"));
    assert_int_equal(budget.used, 0);
    thread_pool_free(pool);
}

/* What does not go to disk (the states of groups that have been begun) fails the one query, with a message that names the option; nothing is left behind. */
static void test_no_memory_beside_disk(void **state)
{
    static const uint32_t keys[] = {K};
    static const struct want lists[] = {{"array_agg", U}, {"array_agg", F}, {"array_agg", V}};
    struct budget budget;
    struct work_context work;
    struct thread_pool *pool;
    (void)state;
    assert_int_equal(thread_pool_new("query", 3, 1000, &pool, NULL), ST_OK);
    for (uint32_t n_keys = 0; n_keys < 2; n_keys++) {
        with_budget(&work, &budget, 2 << 20);
        work.spill = space;
        struct answer a = run(aggregate(scan(&work), keys, n_keys, lists, 3), pool, -1);
        assert_int_equal(a.status, ST_EXHAUSTED);
        assert_non_null(strstr(a.error.msg, "query.memory_pool_size"));
        assert_int_equal(budget.used, 0);
    }
    thread_pool_free(pool);
}

/* ---- many queries, one pool ---- */

struct client {
    struct thread_pool *pool;
    struct answer answer;
    int what;
};

static void *run_client(void *arg)
{
    struct client *c = arg;
    struct budget budget;
    struct work_context work;
    with_budget(&work, &budget, SIZE_MAX);
    c->answer = ask(c->what, &work, c->pool, -1);
    return NULL;
}

static void test_many_at_once(void **state)
{
    struct client clients[8];
    pthread_t threads[8];
    struct thread_pool *pool;
    (void)state;
    assert_int_equal(thread_pool_new("query", 2, 4, &pool, NULL), ST_OK); /* a queue that fills up, too */
    for (int i = 0; i < 8; i++) {
        clients[i] = (struct client){.pool = pool, .what = i / 2 == 0 ? ROWS : i / 2 == 1 ? FEW_GROUPS : i / 2 == 2 ? MANY_GROUPS : NO_KEYS};
        assert_int_equal(pthread_create(&threads[i], NULL, run_client, &clients[i]), 0);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 8; i += 2)
        same(&clients[i].answer, &clients[i + 1].answer, "beside another", clients[i].what, 2);
    thread_pool_free(pool);
}

static int set_up(void **state)
{
    uint64_t seed = 7;
    struct field *f[COLUMNS] = {field_new("k", type_of(TYPE_UTF8), true), field_new("u", type_of(TYPE_INT64), true),
                                field_new("v", type_of(TYPE_INT64), true), field_new("f", type_of(TYPE_FLOAT64), true)};
    (void)state;
    table = memory_table_new(schema_new(f, COLUMNS));
    in_order = memory_table_new(schema_ref(table->base.schema));
    for (int i = 0; i < COLUMNS; i++)
        field_unref(f[i]);
    int64_t k = 0, u = 0;
    for (int i = 0; i < BATCHES; i++) {
        add_batch(table, &seed);
        add_ordered_batch(in_order, &seed, &k, &u);
    }
    in_order->dictionary[K] = true;
    memory_table_cut(table, PARTS);
    memory_table_cut(in_order, PARTS);
    return mkdtemp(root) && spill_space_new(fs_posix(), root, 1 << 30, &space, NULL) == ST_OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    memory_table_destroy(table);
    memory_table_destroy(in_order);
    spill_space_free(space);
    return rmdir(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_answers),  cmocka_unit_test(test_as_without_parts), cmocka_unit_test(test_failure),
        cmocka_unit_test(test_cancelled),     cmocka_unit_test(test_freed_early),      cmocka_unit_test(test_short_memory),
        cmocka_unit_test(test_limited),       cmocka_unit_test(test_no_memory),        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_order_as_hash), cmocka_unit_test(test_order_streams),
        cmocka_unit_test(test_no_memory_beside_disk), cmocka_unit_test(test_short_memory_distinct),    cmocka_unit_test(test_short_memory_sorts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
