/* The cache of counted values: what stays, in which order it goes, and that memory is given back when others need it. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cache.h"

static struct metric hits, misses, bytes;

struct number {
    struct cached base;
    struct budget *budget;
    uint64_t owner, item;
};

static void number_free(struct cached *v)
{
    struct number *n = (struct number *)v;
    budget_release(n->budget, v->bytes);
    free(n);
}

static struct number *number_new(struct budget *budget, struct cache_key key, size_t size)
{
    struct number *n = malloc(sizeof *n);
    assert_int_equal(budget_charge(budget, size, NULL), ST_OK);
    *n = (struct number){.budget = budget, .owner = key.owner, .item = key.item};
    cached_init(&n->base, size, number_free);
    return n;
}

static struct cache *make(struct budget *root, size_t bytes_max)
{
    struct cache *c;
    hits = misses = bytes = (struct metric){0};
    struct cache_options o = {"numbers", "none", root, bytes_max, &hits, &misses, &bytes};
    assert_int_equal(cache_new(&o, &c, NULL), ST_OK);
    return c;
}

static void put(struct cache *c, uint64_t owner, uint64_t item, size_t size)
{
    struct cache_key key = {owner, item};
    struct number *n = number_new(cache_budget(c), key, size);
    cache_put(c, key, &n->base);
    cached_unref(&n->base);
}

static bool has(struct cache *c, uint64_t owner, uint64_t item)
{
    struct number *n = (struct number *)cache_get(c, (struct cache_key){owner, item});
    bool found = n != NULL;
    if (n)
        assert_true(n->owner == owner && n->item == item);
    cached_unref(n ? &n->base : NULL);
    return found;
}

static void test_order(void **state)
{
    struct budget root;
    (void)state;
    budget_init(&root, "root", "none", 1 << 20, NULL);
    struct cache *c = make(&root, 1000);
    for (uint64_t i = 0; i < 10; i++)
        put(c, 1, i, 100);
    assert_true(has(c, 1, 0));
    for (int i = 0; i < 9; i++) {
        put(c, 2, 0, 100); /* not before each of the others has had its round */
        assert_false(has(c, 2, 0));
    }
    put(c, 2, 0, 100);
    put(c, 2, 0, 100);
    assert_true(has(c, 1, 0) && has(c, 2, 0) && !has(c, 1, 1) && has(c, 1, 2));
    put(c, 2, 0, 50); /* in the place of the other one */
    assert_int_equal(bytes.value, 950);
    put(c, 3, 0, 251); /* more than a quarter of the cache */
    assert_false(has(c, 3, 0));
    struct cached *held = cache_get(c, (struct cache_key){1, 5});
    cache_forget(c, 1, 9);
    assert_true(!has(c, 1, 5) && !has(c, 1, 0) && has(c, 1, 9) && has(c, 2, 0));
    assert_int_equal(((struct number *)held)->item, 5);
    cached_unref(held);
    assert_int_equal(bytes.value, 150);
    assert_int_equal(budget_used(&root), 150);
    assert_int_equal(hits.value, 7);
    assert_int_equal(misses.value, 13);
    cache_free(c);
    assert_int_equal(budget_used(&root), 0);
}

/* A reader that goes round and round over twice of what fits is served a good part of it; what nobody asks for any more still goes in the end. */
static void test_rounds(void **state)
{
    struct budget root;
    (void)state;
    budget_init(&root, "root", "none", 1 << 20, NULL);
    struct cache *c = make(&root, 10000);
    for (int round = 0; round < 20; round++)
        for (uint64_t i = 0; i < 200; i++)
            if (!has(c, 1, i))
                put(c, 1, i, 100);
    assert_true(hits.value > 20 * 200 / 4);
    for (int round = 0; round < 8; round++)
        for (uint64_t i = 0; i < 90; i++)
            if (!has(c, 2, i))
                put(c, 2, i, 100);
    int64_t before = hits.value;
    for (uint64_t i = 0; i < 90; i++)
        has(c, 2, i);
    assert_in_range(hits.value - before, 80, 90);
    cache_free(c);
    assert_int_equal(budget_used(&root), 0);
}

/* While others have three quarters of the memory, nothing is taken in and what is there goes, a bit at every use. */
static void test_pressure(void **state)
{
    struct budget root;
    (void)state;
    budget_init(&root, "root", "none", 10000, NULL);
    struct cache *c = make(&root, 4000);
    for (uint64_t i = 0; i < 40; i++)
        put(c, 1, i, 100);
    assert_int_equal(bytes.value, 4000);
    assert_int_equal(budget_charge(&root, 5000, NULL), ST_OK);
    for (int i = 0; i < 100; i++)
        has(c, 7, 7);
    assert_in_range(bytes.value, 1500, 2600);
    assert_false(cache_admits(c, 1000));
    assert_int_equal(budget_charge(&root, 2400, NULL), ST_OK);
    for (int i = 0; i < 100; i++)
        put(c, 2, (uint64_t)i, 100);
    assert_in_range(bytes.value, 0, 200);
    budget_release(&root, 7400);
    put(c, 3, 0, 1000);
    assert_true(has(c, 3, 0));
    cache_free(c);
    assert_int_equal(budget_used(&root), 0);
}

static void *hammer(void *arg)
{
    struct cache *c = arg;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        struct cache_key key = {seed >> 60, (seed >> 40) % 64};
        struct number *n = (struct number *)cache_get(c, key);
        if (n && (n->owner != key.owner || n->item != key.item))
            abort();
        if (n)
            cached_unref(&n->base);
        else
            put(c, key.owner, key.item, 16 + key.item);
        if (i % 1000 == 0)
            cache_forget(c, key.owner, 32);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct budget root;
    pthread_t threads[4];
    (void)state;
    budget_init(&root, "root", "none", 1 << 20, NULL);
    struct cache *c = make(&root, 20000);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, c), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(bytes.value, 1000, 20000);
    assert_int_equal((size_t)bytes.value, budget_used(&root));
    assert_true(hits.value > 1000);
    cache_free(c);
    assert_int_equal(budget_used(&root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_rounds), cmocka_unit_test(test_pressure),
                                       cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
