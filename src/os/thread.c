/* Threads and the worker pool: one queue under one mutex, because jobs are whole requests, flushes or scans, never single rows.
 *
 * Threads are started with all signals blocked, so that signals reach the main thread only.
 */
#include "os/thread.h"

#include <assert.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct start_args {
    void *(*run)(void *);
    void *arg;
    char name[16]; /* the kernel's limit, with the terminating zero */
};

static void *thread_main(void *p)
{
    struct start_args args = *(struct start_args *)p;
    free(p);
    pthread_setname_np(pthread_self(), args.name);
    return args.run(args.arg);
}

int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *arg, struct error *err)
{
    struct start_args *args = calloc(1, sizeof(*args));
    if (!args)
        return error_no_memory(err, sizeof(*args));
    args->run = run;
    args->arg = arg;
    strncpy(args->name, name, sizeof(args->name) - 1);
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGPROF); /* a profile of the CPU's time asks all of them */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t t;
    int rc = pthread_create(&t, NULL, thread_main, args);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) {
        free(args);
        char text[128];
        return error_set(err, ST_EXHAUSTED, "cannot start thread %s: %s", name, strerror_r(rc, text, sizeof(text)));
    }
    *ret_thread = t;
    return ST_OK;
}

void thread_prefer(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), -10);
}

struct pool_job {
    struct pool_job *next;
    void (*run)(void *);
    void *arg;
};

struct thread_pool {
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t wake;
    struct pool_job *first, **last;
    size_t queued, queue_max;
    bool stopping;
    unsigned count;
    pthread_t threads[];
};

static void *pool_main(void *p)
{
    struct thread_pool *pool = p;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct pool_job *job = pool->first;
        if (!job) {
            if (pool->stopping)
                break;
            pthread_cond_wait(&pool->wake, &pool->lock);
            continue;
        }
        pool->first = job->next;
        if (!pool->first)
            pool->last = &pool->first;
        pool->queued--;
        pthread_mutex_unlock(&pool->lock);
        job->run(job->arg);
        free(job);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int thread_pool_new(const char *name, unsigned threads, size_t queue_max, struct thread_pool **ret_pool, struct error *err)
{
    if (threads == 0)
        threads = 1;
    size_t bytes = sizeof(struct thread_pool) + threads * sizeof(pthread_t);
    struct thread_pool *pool = calloc(1, bytes);
    if (!pool)
        return error_no_memory(err, bytes);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->last = &pool->first;
    pool->queue_max = queue_max;
    for (; pool->count < threads; pool->count++) {
        int st = thread_start(&pool->threads[pool->count], name, pool_main, pool, err);
        if (st != ST_OK) {
            thread_pool_free(pool);
            return st;
        }
    }
    *ret_pool = pool;
    return ST_OK;
}

unsigned thread_pool_threads(const struct thread_pool *pool)
{
    return pool->count;
}

int thread_pool_submit(struct thread_pool *pool, void (*run)(void *), void *arg, struct error *err)
{
    struct pool_job *job = calloc(1, sizeof(*job));
    if (!job)
        return error_no_memory(err, sizeof(*job));
    job->run = run;
    job->arg = arg;
    int st = ST_OK;
    pthread_mutex_lock(&pool->lock);
    if (pool->stopping) {
        st = error_set(err, ST_ILLEGAL_STATE, "the thread pool is stopping");
    } else if (pool->queued >= pool->queue_max) {
        st = error_set(err, ST_EXHAUSTED, "the queue of the thread pool is full (%zu jobs)", pool->queued);
    } else {
        *pool->last = job;
        pool->last = &job->next;
        pool->queued++;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    if (st != ST_OK)
        free(job);
    return st;
}

void thread_pool_free(struct thread_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->count; i++)
        pthread_join(pool->threads[i], NULL);
    assert(!pool->first || pool->count == 0);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* A loop shared by the caller and its helpers. A helper that the pool starts after the loop is over finds nothing left and only drops its
 * reference, hence the count; `body` and `ctx` are not touched then. */
struct shared_loop {
    _Atomic size_t next, done;
    _Atomic unsigned refs;
    size_t n;
    void (*body)(void *ctx, size_t i);
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t finished;
};

static void loop_drop(struct shared_loop *loop)
{
    if (atomic_fetch_sub(&loop->refs, 1) != 1)
        return;
    pthread_cond_destroy(&loop->finished);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

static void loop_work(struct shared_loop *loop)
{
    for (;;) {
        size_t i = atomic_fetch_add(&loop->next, 1);
        if (i >= loop->n)
            return;
        loop->body(loop->ctx, i);
        if (atomic_fetch_add(&loop->done, 1) + 1 == loop->n) {
            pthread_mutex_lock(&loop->lock);
            pthread_cond_broadcast(&loop->finished);
            pthread_mutex_unlock(&loop->lock);
        }
    }
}

static void loop_helper(void *p)
{
    struct shared_loop *loop = p;
    loop_work(loop);
    loop_drop(loop);
}

void thread_pool_for(struct thread_pool *pool, size_t n, void (*body)(void *ctx, size_t i), void *ctx)
{
    struct shared_loop *loop = pool && n > 1 ? calloc(1, sizeof(*loop)) : NULL;
    if (!loop) {
        for (size_t i = 0; i < n; i++)
            body(ctx, i);
        return;
    }
    loop->n = n;
    loop->body = body;
    loop->ctx = ctx;
    atomic_init(&loop->refs, 1);
    pthread_mutex_init(&loop->lock, NULL);
    pthread_cond_init(&loop->finished, NULL);
    size_t helpers = n - 1 < pool->count ? n - 1 : pool->count;
    for (size_t i = 0; i < helpers; i++) {
        atomic_fetch_add(&loop->refs, 1);
        if (thread_pool_submit(pool, loop_helper, loop, NULL) != ST_OK) {
            atomic_fetch_sub(&loop->refs, 1); /* never the last: the caller holds one */
            break;
        }
    }
    loop_work(loop);
    pthread_mutex_lock(&loop->lock);
    while (atomic_load(&loop->done) < n)
        pthread_cond_wait(&loop->finished, &loop->lock);
    pthread_mutex_unlock(&loop->lock);
    loop_drop(loop);
}
