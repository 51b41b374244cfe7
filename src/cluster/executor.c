/* See cluster/executor.h.
 *
 * Tasks stand in one list in the order of arrival. A task may start when no older one that is still in the list names one of its regions; that is
 * checked when a task comes and when one ends. The list is short (a metasrv waits for its answers), so a scan of it is cheap.
 */
#include "cluster/executor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/metrics.h"
#include "os/thread.h"

enum { TASK_THREADS = 8, HELPER_THREADS = 16, RUN_THREADS = 8, TASKS_MAX = 4096, QUEUE_MAX = 1 << 20, GC_MAX = 64, REPLY_BYTES_MAX = 64 << 20 };

static struct metric_family instructions_family = {
    .name = "regiond_instructions_total", .help = "instructions from metasrv that were carried out", .kind = METRIC_COUNTER, .label_names = {"kind"}};

struct task {
    struct task *next;
    struct executor *executor;
    struct instruction *instruction;
    struct mailbox_message message;
    bool started;
};

struct run {
    struct run *next;
    _Atomic int refs;
    struct executor *executor;
    enum run_kind kind;
    struct region_catchup_request request; /* a flush uses the region id only */
    pthread_mutex_t lock;                  /* guards the rest */
    pthread_cond_t finished;
    bool done;
    int rc;
    struct error err;
};

struct executor {
    struct executor_options options;
    struct thread_pool *tasks_pool, *helpers, *runs_pool;
    pthread_mutex_t lock; /* guards everything below */
    struct task *first, **last;
    unsigned n_tasks;
    struct run *runs; /* those under way, a reference each */
    uint64_t gc_regions[GC_MAX];
    unsigned n_gc;
    bool stopping;
};

const struct executor_options *executor_options(const struct executor *x)
{
    return &x->options;
}

void executor_for(struct executor *x, size_t n, void (*body)(void *ctx, size_t k), void *ctx)
{
    thread_pool_for(n > 1 ? x->helpers : NULL, n, body, ctx);
}

int executor_new(const struct executor_options *options, struct executor **ret_executor, struct error *err)
{
    struct executor *x = calloc(1, sizeof(*x));
    if (!x)
        return error_no_memory(err, sizeof(*x));
    x->options = *options;
    x->last = &x->first;
    pthread_mutex_init(&x->lock, NULL);
    int rc = thread_pool_new("instruction", TASK_THREADS, QUEUE_MAX, &x->tasks_pool, err);
    if (rc == ST_OK)
        rc = thread_pool_new("instr-helper", HELPER_THREADS, QUEUE_MAX, &x->helpers, err);
    if (rc == ST_OK)
        rc = thread_pool_new("instr-job", RUN_THREADS, QUEUE_MAX, &x->runs_pool, err);
    if (rc) {
        executor_free(x);
        return rc;
    }
    *ret_executor = x;
    return ST_OK;
}

static void task_free(struct task *t)
{
    instruction_free(t->instruction);
    mailbox_message_release(&t->message);
    free(t);
}

bool executor_stopping(struct executor *x)
{
    pthread_mutex_lock(&x->lock);
    bool stopping = x->stopping;
    pthread_mutex_unlock(&x->lock);
    return stopping;
}

/* ---- order ---- */

static bool names(const struct instruction *i, uint64_t region_id)
{
    for (uint32_t k = 0; k < i->n_items; k++)
        if (i->items[k].region_id == region_id)
            return true;
    return false;
}

static bool conflict(const struct instruction *a, const struct instruction *b)
{
    const struct instruction *few = a->n_items < b->n_items ? a : b, *many = few == a ? b : a;
    for (uint32_t k = 0; k < few->n_items; k++)
        if (names(many, few->items[k].region_id))
            return true;
    return false;
}

static void run_task(void *arg);

/* Starts every task that nothing older holds back. x->lock held. */
static void start_ready(struct executor *x)
{
    for (struct task *t = x->first; t && !x->stopping; t = t->next) {
        bool free_to_go = !t->started;
        for (struct task *older = x->first; free_to_go && older != t; older = older->next)
            free_to_go = !conflict(older->instruction, t->instruction);
        if (free_to_go)
            t->started = thread_pool_submit(x->tasks_pool, run_task, t, NULL) == ST_OK;
    }
}

static void answer(struct executor *x, const struct task *t)
{
    struct dynbuf json;
    struct error err;
    dynbuf_init(&json, REPLY_BYTES_MAX);
    if (instruction_reply(t->instruction, &json, &err) == ST_OK)
        x->options.reply(x->options.ctx, &t->message, (const char *)json.data, json.size);
    else
        log_error("cluster", "the reply to \"%.200s\" cannot be written: %s; metasrv will ask again", t->message.subject ? t->message.subject : "",
                  err.msg);
    dynbuf_release(&json);
}

static void run_task(void *arg)
{
    struct task *t = arg;
    struct executor *x = t->executor;
    const char *labels[] = {instruction_name(t->instruction->kind), NULL};
    instruction_execute(x, t->instruction);
    metric_add(metric_child(&instructions_family, labels), 1);
    if (instruction_is_answered(t->instruction))
        answer(x, t);
    pthread_mutex_lock(&x->lock);
    struct task **at = &x->first;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    if (!*at)
        x->last = at;
    x->n_tasks--;
    start_ready(x);
    pthread_mutex_unlock(&x->lock);
    task_free(t);
}

int executor_submit(struct executor *x, struct instruction *instruction, struct mailbox_message *message, struct error *err)
{
    struct task *t = calloc(1, sizeof(*t));
    if (!t) {
        instruction_free(instruction);
        return error_no_memory(err, sizeof(*t));
    }
    *t = (struct task){.executor = x, .instruction = instruction, .message = *message};
    *message = (struct mailbox_message){0};
    int rc = ST_OK;
    pthread_mutex_lock(&x->lock);
    if (x->n_tasks >= TASKS_MAX || x->stopping) {
        rc = error_set(err, ST_EXHAUSTED, "%u instructions wait already", x->n_tasks);
    } else {
        *x->last = t;
        x->last = &t->next;
        x->n_tasks++;
        start_ready(x);
    }
    pthread_mutex_unlock(&x->lock);
    if (rc)
        task_free(t);
    return rc;
}

unsigned executor_pending(struct executor *x)
{
    pthread_mutex_lock(&x->lock);
    unsigned n = x->n_tasks;
    pthread_mutex_unlock(&x->lock);
    return n;
}

void executor_free(struct executor *x)
{
    if (!x)
        return;
    pthread_mutex_lock(&x->lock);
    x->stopping = true;
    pthread_mutex_unlock(&x->lock);
    thread_pool_free(x->tasks_pool);
    thread_pool_free(x->runs_pool);
    thread_pool_free(x->helpers);
    while (x->first) {
        struct task *t = x->first;
        x->first = t->next;
        task_free(t);
    }
    pthread_mutex_destroy(&x->lock);
    free(x);
}

/* ---- runs ---- */

void run_unref(struct run *r)
{
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->finished);
    free(r);
}

static void run_body(void *arg)
{
    struct run *r = arg;
    struct executor *x = r->executor;
    struct error err = {0};
    int rc = r->kind == RUN_FLUSH ? region_server_flush(x->options.regions, r->request.region_id, &err)
                                  : region_server_catchup(x->options.regions, &r->request, &err);
    pthread_mutex_lock(&x->lock);
    struct run **at = &x->runs;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    pthread_mutex_unlock(&x->lock);
    pthread_mutex_lock(&r->lock);
    r->rc = rc;
    r->err = err;
    r->done = true;
    pthread_cond_broadcast(&r->finished);
    pthread_mutex_unlock(&r->lock);
    run_unref(r);
}

static struct run *run_new(struct executor *x, enum run_kind kind, const struct region_catchup_request *request)
{
    struct run *r = calloc(1, sizeof(*r));
    pthread_condattr_t attr;
    if (!r)
        return NULL;
    atomic_init(&r->refs, 2);
    r->executor = x;
    r->kind = kind;
    r->request = *request;
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->finished, &attr);
    pthread_condattr_destroy(&attr);
    return r;
}

int executor_run(struct executor *x, enum run_kind kind, const struct region_catchup_request *request, struct run **ret_run, bool *ret_joined,
                 struct error *err)
{
    int rc = ST_OK;
    pthread_mutex_lock(&x->lock);
    struct run *r = x->runs;
    while (r && !(r->kind == kind && r->request.region_id == request->region_id))
        r = r->next;
    *ret_joined = r != NULL;
    if (r) {
        atomic_fetch_add(&r->refs, 1);
    } else if (!(r = run_new(x, kind, request))) {
        rc = error_no_memory(err, sizeof(*r));
    } else {
        rc = thread_pool_submit(x->runs_pool, run_body, r, err);
        if (rc == ST_OK) {
            r->next = x->runs;
            x->runs = r;
        } else {
            run_unref(r);
            run_unref(r);
        }
    }
    pthread_mutex_unlock(&x->lock);
    if (rc == ST_OK)
        *ret_run = r;
    return rc;
}

bool run_wait(struct run *r, int64_t deadline_ns, int *ret_rc, struct error *err)
{
    pthread_mutex_lock(&r->lock);
    int64_t left_ns;
    while (!r->done && (left_ns = deadline_ns - clock_monotonic_ns()) > 0) {
        if (deadline_ns == INT64_MAX) {
            pthread_cond_wait(&r->finished, &r->lock);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += left_ns / 1000000000;
        until.tv_nsec += left_ns % 1000000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&r->finished, &r->lock, &until);
    }
    bool done = r->done;
    if (done) {
        *ret_rc = r->rc;
        if (err)
            *err = r->err;
    }
    pthread_mutex_unlock(&r->lock);
    return done;
}

/* ---- permits ---- */

bool executor_begin_gc(struct executor *x, uint64_t region_id, struct error *err)
{
    bool may = true;
    pthread_mutex_lock(&x->lock);
    for (unsigned i = 0; may && i < x->n_gc; i++)
        may = x->gc_regions[i] != region_id;
    if (!may)
        error_set(err, ST_REGION_BUSY, "Another gc task is running for the region: %llu", (unsigned long long)region_id);
    else if (x->n_gc >= x->options.gc_jobs_max || x->n_gc == GC_MAX)
        may = error_set(err, ST_RATE_LIMITED, "Too many concurrent GC jobs") == ST_OK;
    else
        x->gc_regions[x->n_gc++] = region_id;
    pthread_mutex_unlock(&x->lock);
    return may;
}

void executor_end_gc(struct executor *x, uint64_t region_id)
{
    pthread_mutex_lock(&x->lock);
    for (unsigned i = 0; i < x->n_gc; i++)
        if (x->gc_regions[i] == region_id) {
            x->gc_regions[i] = x->gc_regions[--x->n_gc];
            break;
        }
    pthread_mutex_unlock(&x->lock);
}

unsigned executor_running_gc(struct executor *x)
{
    pthread_mutex_lock(&x->lock);
    unsigned n = x->n_gc;
    pthread_mutex_unlock(&x->lock);
    return n;
}
