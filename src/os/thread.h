/* Threads, a worker pool, and clocks. Mutexes and condition variables are pthread's own. */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *arg, struct error *err);

/* Puts the calling thread before ordinary ones, if the process may do that; else nothing changes. */
void thread_prefer(void);

/* A fixed pool with one queue. Jobs run in order of arrival, each on any thread. */
struct thread_pool;
int thread_pool_new(const char *name, unsigned threads, size_t queue_max, struct thread_pool **ret_pool, struct error *err);
unsigned thread_pool_threads(const struct thread_pool *pool);
/* ST_EXHAUSTED when the queue is full; ST_ILLEGAL_STATE after stop. */
int thread_pool_submit(struct thread_pool *pool, void (*run)(void *), void *arg, struct error *err);
/* Finishes what is queued, joins the threads, frees the pool. NULL is allowed. */
void thread_pool_free(struct thread_pool *pool);

/* Runs body(ctx, i) for i in [0, n) on the pool and on the calling thread; returns when all are done. Works (serially) with a NULL or full pool. */
void thread_pool_for(struct thread_pool *pool, size_t n, void (*body)(void *ctx, size_t i), void *ctx);

int64_t clock_wall_ms(void);      /* since the Unix epoch */
int64_t clock_wall_ns(void);
int64_t clock_monotonic_ns(void); /* also runs while the machine sleeps (CLOCK_BOOTTIME), so that leases age */
void clock_sleep_ns(int64_t ns);
unsigned cpu_count(void);              /* of the cgroup or machine, rounded up, at least 1 */
uint64_t cpu_millicores(void);         /* the same without rounding up */
uint64_t memory_total_bytes(void);     /* of the cgroup or machine */
/* What the control group has used; false outside of one (unified hierarchy only). */
bool cgroup_cpu_usage_us(uint64_t *ret_us);
bool cgroup_memory_bytes(uint64_t *ret_bytes);
int64_t clock_thread_cpu_ns(void);     /* that the calling thread has used */

void random_bytes(void *data, size_t size); /* from the system's generator */
/* A version 4 UUID in its 36-character lower-case form. */
void uuid_v4(char ret_text[37]);

#endif
