/* Exchange: the parts of a scan, run ahead by a pool and handed out in order.
 *
 * The thread that pulls never only waits while there is something to do: it runs the part whose turn it is by itself, unless a worker is at it, and
 * then a part further on. Workers are additional hands: a task on the pool runs parts for a few milliseconds and puts itself behind the tasks of
 * other queries; it ends when the parts that may be run ahead are (a slow client holds no worker), and no task waits for another. Without a pool
 * everything happens in the pulling thread, with the same result: parts are cut by the data, and whoever runs them, their batches come out in their
 * order.
 *
 * Parts that have begun and are not handed out are bounded in number, their batches in bytes; where memory is short no further part begins before its
 * turn. Invariant, under the lock: parts [turn, begun) have a root, one thread at most is in each (`running`), and only the pulling thread begins to
 * free one.
 */
#include "exec/oper_exchange.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "exec/oper_compute.h"

enum {
    AHEAD_BYTES_MAX = 8 << 20, /* of batches that wait for their turn */
    AHEAD_HEADROOM_SHARE =
        6,              /* a part begins ahead of its turn while what is used would fit so often into what is left: queries beside need some, too */
    SLICE_NS = 5000000, /* of a worker, before others have their turn */
    STEP_BATCHES = 8    /* that a stage keeps in one go */
};

static struct metric_family busy_family = {.name = "regiond_query_workers_busy", .help = "Threads that help a query", .kind = METRIC_GAUGE};
static struct metric_family queued_family = {
    .name = "regiond_query_tasks_queued", .help = "Tasks of queries that wait for a worker", .kind = METRIC_GAUGE};
static struct metric_family parts_family = {
    .name = "regiond_query_parts_total", .help = "Parts into which the scans of queries were cut", .kind = METRIC_COUNTER};

struct ready { /* a batch that waits for its part's turn */
    struct ready *next;
    struct batch *batch;
    size_t bytes;
};

struct part {
    struct oper *root;
    struct ready *first, **last;
    bool running, over, joined;
};

struct exchange {
    struct oper base;
    struct oper *chain; /* base.input: stands for all parts */
    struct thread_pool *workers;
    const struct exchange_stage *stage;
    struct oper *above; /* the stage's */
    struct core *core;  /* NULL before the first pull, and for a scan of one part */
    bool opened;
};

/* What tasks on the pool refer to: it lives until the last of them has looked. */
struct core {
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t moved; /* a step has ended */
    struct exchange *x;   /* NULL once the operator is being freed */
    unsigned refs;        /* the operator and the tasks */
    unsigned tasks, tasks_max;
    bool waiting; /* the pulling thread is, on `moved` */
    bool direct;  /* the stage shall keep nothing back */
    struct part *parts;
    uint32_t n, turn, begun, window;
    size_t ahead_bytes;
    uint32_t failed; /* the first part that has failed; n = none */
    int status;
    struct error error;
};

/* ---- parts ---- */

/* A part's chain: the same operators over a part of the scan. */
static int chain_new(struct oper *like, uint32_t part, struct oper **ret_chain, struct error *err)
{
    struct oper *input;
    if (!oper_is_compute(like))
        return oper_scan_part_new(like, part, ret_chain, err);
    TRY(chain_new(like->input, part, &input, err));
    return oper_compute_like(like, input, ret_chain, err);
}

static void add_up(struct oper *to, const struct oper *part)
{
    for (; to; to = to->input, part = part->input) {
        to->rows_out += part->rows_out;
        to->batches_out += part->batches_out;
        to->bytes_out += part->bytes_out;
        to->total_ns += part->total_ns;
        to->mem_bytes += part->mem_bytes;
        if (!to->input)
            oper_scan_add_part(to, part);
    }
}

/* Up to the first batch that the stage hands on, or for some that it keeps: a turn may wait for this. */
static int step_stage(const struct exchange_stage *stage, struct oper *root, bool direct, struct batch **ret_batch, bool *ret_over, struct error *err)
{
    uint64_t start = oper_now_ns();
    int st = ST_OK;
    for (int i = 0; st == ST_OK && i < STEP_BATCHES && !*ret_batch && !*ret_over; i++) {
        struct batch *b;
        st = oper_next(root->input, &b, err);
        if (st != ST_OK)
            break;
        *ret_over = !b;
        st = stage->take(root, direct, b, ret_batch, err);
    }
    root->total_ns += oper_now_ns() - start;
    return st;
}

static int begin(struct core *c, struct part *p, struct error *err)
{
    struct exchange *x = c->x;
    struct oper *chain;
    TRY(chain_new(x->chain, (uint32_t)(p - c->parts), &chain, err));
    if (!x->stage) {
        p->root = chain;
        return ST_OK;
    }
    return x->stage->open(x->above, chain, &p->root, err);
}

/* One step of a part that this thread has claimed; without the lock. */
static int step(struct core *c, struct part *p, bool direct, struct batch **ret_batch, bool *ret_over, struct error *err)
{
    struct exchange *x = c->x;
    *ret_batch = NULL;
    *ret_over = false;
    TRY(work_check(x->base.work, err));
    if (!p->root)
        TRY(begin(c, p, err));
    if (x->stage)
        return step_stage(x->stage, p->root, direct, ret_batch, ret_over, err);
    TRY(oper_next(p->root, ret_batch, err));
    *ret_over = !*ret_batch;
    return ST_OK;
}

static void fail(struct core *c, const struct part *p, int st, const struct error *err)
{
    uint32_t i = (uint32_t)(p - c->parts);
    if (i >= c->failed)
        return;
    c->failed = i;
    c->status = st;
    c->error = *err;
}

/* Runs a claimed part for a step. The lock is held before and after. *ret_batch is the caller's; NULL = none came of it. */
static void run(struct core *c, struct part *p, struct batch **ret_batch)
{
    struct error err = {0};
    bool over, direct = c->direct;
    pthread_mutex_unlock(&c->lock);
    int st = step(c, p, direct, ret_batch, &over, &err);
    pthread_mutex_lock(&c->lock);
    if (st != ST_OK) {
        *ret_batch = NULL;
        fail(c, p, st, &err);
    }
    p->over = st != ST_OK || over;
    p->running = false;
    if (c->waiting)
        pthread_cond_signal(&c->moved);
}

/* Keeps a batch for the part's turn. */
static void keep(struct core *c, struct part *p, struct batch *b)
{
    struct error err = {0};
    struct ready *r = malloc(sizeof *r);
    if (!r) {
        batch_unref(b);
        p->over = true;
        fail(c, p, error_no_memory(&err, sizeof *r), &err);
        return;
    }
    *r = (struct ready){.batch = b, .bytes = batch_bytes_used(b)};
    c->ahead_bytes += r->bytes;
    *p->last = r;
    p->last = &r->next;
}

static struct batch *take(struct core *c, struct part *p)
{
    struct ready *r = p->first;
    struct batch *b = r->batch;
    c->ahead_bytes -= r->bytes;
    p->first = r->next;
    if (!p->first)
        p->last = &p->first;
    free(r);
    return b;
}

/* ---- who runs what ---- */

static bool has_room(const struct core *c)
{
    struct budget *b = oper_budget(&c->x->base);
    size_t used = budget_used(b), room = budget_headroom(b);
    return room / AHEAD_HEADROOM_SHARE > used + AHEAD_BYTES_MAX;
}

static bool is_idle(const struct part *p)
{
    return !p->running && !p->over;
}

/* The part that may be run ahead now, the one whose turn it is last: the pulling thread sees to that. NULL = none. */
static struct part *find_ahead(const struct core *c)
{
    if (!c->x || c->failed < c->n || c->ahead_bytes >= AHEAD_BYTES_MAX)
        return NULL;
    for (uint32_t i = c->turn + 1; i < c->begun; i++)
        if (is_idle(&c->parts[i]))
            return &c->parts[i];
    if (c->turn < c->begun && c->begun < c->n && c->begun - c->turn < c->window && has_room(c))
        return &c->parts[c->begun];
    return c->turn < c->begun && is_idle(&c->parts[c->turn]) ? &c->parts[c->turn] : NULL;
}

static void claim(struct core *c, struct part *p)
{
    if (p == &c->parts[c->begun])
        c->begun++;
    p->running = true;
}

static void core_unref(struct core *c) /* holds the lock, and lets it go */
{
    bool last = --c->refs == 0;
    pthread_mutex_unlock(&c->lock);
    if (!last)
        return;
    pthread_cond_destroy(&c->moved);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void task(void *arg);

/* One task more on the pool; the lock is held. The task's reference is the caller's to take. */
static bool submit(struct core *c)
{
    if (thread_pool_submit(c->x->workers, task, c, NULL) != ST_OK)
        return false;
    metric_add(metric_plain(&queued_family), 1);
    return true;
}

static void task(void *arg)
{
    struct core *c = arg;
    struct part *p;
    uint64_t start = oper_now_ns();
    bool again = false;
    metric_add(metric_plain(&queued_family), -1);
    metric_add(metric_plain(&busy_family), 1);
    pthread_mutex_lock(&c->lock);
    while ((p = find_ahead(c)) != NULL) {
        struct batch *b;
        if (oper_now_ns() - start > SLICE_NS && (again = submit(c)))
            break;
        claim(c, p);
        run(c, p, &b);
        if (b)
            keep(c, p, b);
    }
    metric_add(metric_plain(&busy_family), -1);
    if (again) {
        pthread_mutex_unlock(&c->lock);
        return;
    }
    c->tasks--;
    core_unref(c);
}

/* Asks for help where there is something to help with. Queues are let run half empty first, so that workers do not come for single batches. */
static void call_workers(struct core *c)
{
    while (c->tasks < c->tasks_max && c->ahead_bytes < AHEAD_BYTES_MAX / 2) {
        const struct part *p = find_ahead(c);
        if (!p || p == &c->parts[c->turn] || !submit(c)) /* where it is the only one, it is the caller's own */
            return;
        c->tasks++;
        c->refs++;
    }
}

/* ---- the pulling side ---- */

static void wait_step(struct core *c)
{
    c->waiting = true;
    pthread_cond_wait(&c->moved, &c->lock);
    c->waiting = false;
}

static void wait_idle(struct core *c, const struct part *p)
{
    while (p->running)
        wait_step(c);
}

/* Hands what the part keeps to the stage, unless that is done; without the lock meanwhile. */
static int join(struct core *c, struct part *p, bool *ret_joined, struct error *err)
{
    struct exchange *x = c->x;
    *ret_joined = x->stage && !p->joined;
    if (!*ret_joined)
        return ST_OK;
    p->joined = true;
    pthread_mutex_unlock(&c->lock);
    int st = x->stage->join(x->above, p->root, err);
    pthread_mutex_lock(&c->lock);
    return st;
}

static void close_part(struct core *c, struct part *p)
{
    struct exchange *x = c->x;
    if (p->root && x->stage)
        x->above->total_ns += p->root->total_ns - p->root->input->total_ns;
    if (p->root)
        add_up(x->chain, x->stage ? p->root->input : p->root);
    while (p->first)
        batch_unref(take(c, p));
    oper_free(p->root);
    p->root = NULL;
}

static int report(const struct core *c, struct error *err)
{
    if (err)
        *err = c->error;
    return c->status;
}

/* Goes on until there is a batch of the part whose turn it is, or, if that is asked for, the part has been joined; ST_OK without either: all parts are over.
 * The lock is held. */
static int pull(struct core *c, struct batch **ret_batch, bool *ret_joined, struct error *err)
{
    bool joined;
    while (c->turn < c->n) {
        struct part *p = &c->parts[c->turn];
        call_workers(c);
        if (p->over && !p->first && c->failed == c->turn)
            return report(c, err);
        if (p->over || p->first) {
            TRY(join(c, p, &joined, err));
            if (joined && ret_joined) {
                *ret_joined = true;
                return ST_OK;
            }
        }
        if (p->first) {
            *ret_batch = take(c, p);
            return ST_OK;
        }
        if (p->over) {
            close_part(c, p);
            c->turn++;
            continue;
        }
        struct part *mine = p->running ? find_ahead(c) : p;
        if (!mine) {
            wait_step(c);
            continue;
        }
        struct batch *b;
        claim(c, mine);
        call_workers(c);
        run(c, mine, &b);
        if (b)
            keep(c, mine, b);
    }
    return ST_OK;
}

static int core_new(struct exchange *x, uint32_t n, struct error *err)
{
    struct core *c = calloc(1, sizeof *c);
    struct part *parts = calloc(n, sizeof *parts);
    if (!c || !parts) {
        free(c);
        free(parts);
        return error_no_memory(err, n * sizeof *parts);
    }
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->moved, NULL);
    for (uint32_t i = 0; i < n; i++)
        parts[i].last = &parts[i].first;
    c->x = x;
    c->refs = 1;
    c->parts = parts;
    c->n = c->failed = n;
    c->tasks_max = x->workers ? thread_pool_threads(x->workers) - 1 : 0; /* the pulling thread is one, too */
    c->window = 2 * (c->tasks_max + 1);
    x->core = c;
    metric_add(metric_plain(&parts_family), n);
    return ST_OK;
}

static int open_parts(struct exchange *x, struct error *err)
{
    struct oper *scan = x->chain;
    uint32_t n;
    while (scan->input)
        scan = scan->input;
    x->opened = true;
    TRY(oper_scan_cut(scan, &n, err));
    return n > 1 ? core_new(x, n, err) : ST_OK;
}

static int next(struct exchange *x, struct batch **ret_batch, bool *ret_joined, struct error *err)
{
    if (!x->opened)
        TRY(open_parts(x, err));
    if (!x->core)
        return oper_next(x->chain, ret_batch, err);
    *ret_batch = NULL;
    pthread_mutex_lock(&x->core->lock);
    int st = pull(x->core, ret_batch, ret_joined, err);
    pthread_mutex_unlock(&x->core->lock);
    return st;
}

static int exchange_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    return next((struct exchange *)base, ret_batch, NULL, err);
}

int oper_exchange_next(struct oper *exchange, struct batch **ret_batch, bool *ret_joined, struct error *err)
{
    uint64_t start = oper_now_ns();
    *ret_batch = NULL;
    *ret_joined = false;
    int st = exchange->done ? ST_OK : work_check(exchange->work, err);
    if (st == ST_OK && !exchange->done)
        st = next((struct exchange *)exchange, ret_batch, ret_joined, err);
    exchange->done = st != ST_OK || (!*ret_batch && !*ret_joined);
    exchange->total_ns += oper_now_ns() - start;
    return st;
}

void oper_exchange_stop(struct oper *exchange)
{
    struct exchange *x = (struct exchange *)exchange;
    struct core *c = x->core;
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->failed = 0; /* nothing is run ahead any more */
    for (uint32_t i = c->turn; i < c->begun; i++) {
        wait_idle(c, &c->parts[i]);
        close_part(c, &c->parts[i]);
    }
    free(c->parts);
    c->x = NULL;
    core_unref(c);
    x->core = NULL;
}

static void exchange_free(struct oper *base)
{
    oper_exchange_stop(base);
    free(base);
}

static const struct oper_ops exchange_ops = {exchange_next, exchange_free, NULL, NULL};

bool oper_is_exchange(const struct oper *o)
{
    return o->ops == &exchange_ops;
}

void oper_exchange_set_stage(struct oper *exchange, const struct exchange_stage *stage, struct oper *above)
{
    struct exchange *x = (struct exchange *)exchange;
    x->stage = stage;
    x->above = above;
}

int oper_exchange_join_all(struct oper *exchange, struct error *err)
{
    struct core *c = ((struct exchange *)exchange)->core;
    bool joined;
    int st = ST_OK;
    if (!c)
        return ST_OK;
    pthread_mutex_lock(&c->lock);
    c->direct = true;
    for (uint32_t i = c->turn; st == ST_OK && i < c->begun; i++) {
        struct part *p = &c->parts[i];
        wait_idle(c, p);
        p->running = true; /* nobody else comes in */
        if (p->root)
            st = join(c, p, &joined, err);
        p->running = false;
    }
    pthread_mutex_unlock(&c->lock);
    return st;
}

/* ---- putting exchanges on a plan ---- */

static bool is_chain(const struct oper *o)
{
    while (oper_is_compute(o))
        o = o->input;
    return oper_scan_can_cut(o);
}

static int exchange_new(struct oper *chain, struct thread_pool *workers, struct oper **ret_oper, struct error *err)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return error_no_memory(err, sizeof *x);
    x->base = (struct oper){.ops = &exchange_ops, .schema = schema_ref(chain->schema), .input = chain, .work = chain->work};
    x->chain = chain;
    x->workers = workers;
    *ret_oper = &x->base;
    return ST_OK;
}

/* `limited`: a LIMIT above may leave most rows unread, and nothing between gathers them. */
static int parallelise(struct oper **root, struct thread_pool *workers, bool limited, struct error *err)
{
    struct oper *o = *root;
    if (is_chain(o))
        return limited ? ST_OK : exchange_new(o, workers, root, err);
    limited = oper_is_limit(o) || (limited && (oper_is_compute(o) || oper_is_union(o)));
    for (uint32_t i = 0; i < o->n_others; i++)
        TRY(parallelise(&o->others[i], workers, limited, err));
    return o->input ? parallelise(&o->input, workers, limited, err) : ST_OK;
}

int oper_parallelise(struct oper **root, struct thread_pool *workers, struct error *err)
{
    return parallelise(root, workers, false, err);
}
