/* The worker pool: everything runs once, a full queue refuses, the parallel loop covers its range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <string.h>

#include "os/thread.h"

static _Atomic int ran;

static void one(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ran, 1);
}

static void jobs_run_once(void **state)
{
    (void)state;
    struct thread_pool *pool;
    atomic_store(&ran, 0);
    assert_int_equal(thread_pool_new("test", 3, 1000, &pool, NULL), ST_OK);
    for (int i = 0; i < 500; i++)
        assert_int_equal(thread_pool_submit(pool, one, NULL, NULL), ST_OK);
    thread_pool_free(pool);
    assert_int_equal(atomic_load(&ran), 500);
    thread_pool_free(NULL);
}

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool entered, open;
};

static void wait_at(void *arg)
{
    struct gate *g = arg;
    pthread_mutex_lock(&g->lock);
    g->entered = true;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void full_queue(void **state)
{
    (void)state;
    struct gate g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};
    struct thread_pool *pool;
    struct error err;
    atomic_store(&ran, 0);
    assert_int_equal(thread_pool_new("test", 1, 2, &pool, NULL), ST_OK);
    assert_int_equal(thread_pool_submit(pool, wait_at, &g, NULL), ST_OK);
    pthread_mutex_lock(&g.lock);
    while (!g.entered)
        pthread_cond_wait(&g.changed, &g.lock);
    assert_int_equal(thread_pool_submit(pool, one, NULL, NULL), ST_OK);
    assert_int_equal(thread_pool_submit(pool, one, NULL, NULL), ST_OK);
    assert_int_equal(thread_pool_submit(pool, one, NULL, &err), ST_EXHAUSTED);
    g.open = true;
    pthread_cond_broadcast(&g.changed);
    pthread_mutex_unlock(&g.lock);
    thread_pool_free(pool);
    assert_int_equal(atomic_load(&ran), 2);
}

static void mark(void *ctx, size_t i)
{
    atomic_fetch_add(&((_Atomic int *)ctx)[i], 1);
}

static void loops(void **state)
{
    (void)state;
    static _Atomic int marks[300];
    struct thread_pool *pool;
    assert_int_equal(thread_pool_new("test", 3, 2, &pool, NULL), ST_OK);
    for (int round = 0; round < 200; round++) {
        size_t n = (size_t)round % 300;
        memset(marks, 0, sizeof(marks));
        thread_pool_for(round % 4 ? pool : NULL, n, mark, marks);
        for (size_t i = 0; i < 300; i++)
            assert_int_equal(atomic_load(&marks[i]), i < n);
    }
    thread_pool_free(pool);
}

static void clocks_and_ids(void **state)
{
    (void)state;
    int64_t before = clock_monotonic_ns();
    clock_sleep_ns(2000000);
    assert_true(clock_monotonic_ns() - before >= 2000000);
    assert_true(clock_wall_ms() > 1600000000000);
    assert_true(cpu_count() >= 1 && memory_total_bytes() > 1 << 20);
    char a[37], b[37];
    uuid_v4(a);
    uuid_v4(b);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(strspn(a, "0123456789abcdef-"), 36);
    assert_true(a[14] == '4' && strchr("89ab", a[19]) && a[8] == '-' && a[23] == '-');
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_once),
        cmocka_unit_test(full_queue),
        cmocka_unit_test(loops),
        cmocka_unit_test(clocks_and_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
