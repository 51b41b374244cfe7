/* See os/cpu_profile.h.
 *
 * The handler runs wherever a thread happens to be, also inside malloc: it takes no lock and allocates nothing. Each sample takes its room from one
 * array by an atomic addition, so that handlers on several CPUs do not meet. backtrace() is called once before, because its first call loads the
 * unwinder; after that it only reads (glibc 2.35 and libgcc 12 find unwind tables without a lock).
 *
 * A signal may be on its way when the timer has been stopped: the handler stays installed for good, and does nothing while `active` is false.
 */
#include "os/cpu_profile.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <ucontext.h>

#include "os/thread.h"

/* A sample: number of frames, name of the thread, frames. */
enum {
    SAMPLE_BYTES_MAX = 8 << 20,
    ROOM = SAMPLE_BYTES_MAX / sizeof(uintptr_t),
    NAME_WORDS = 16 / sizeof(uintptr_t),
    HEAD_WORDS = 1 + NAME_WORDS,
    OWN_FRAMES_MAX = 8
};

static struct {
    pthread_mutex_t lock; /* guards taken, ready */
    bool taken, ready;    /* a profile is being taken; the handler is installed */
    _Atomic bool active;
    _Atomic int inside; /* handlers */
    _Atomic size_t used;
    _Atomic uint64_t dropped;
    uintptr_t *words;
} recorder = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uintptr_t interrupted_at(const void *context)
{
    const ucontext_t *u = context;
#if defined(__x86_64__)
    return (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)u->uc_mcontext.pc;
#else
    (void)u;
    return 0;
#endif
}

static void note_sample(const void *context)
{
    void *frames[CPU_PROFILE_FRAMES_MAX + OWN_FRAMES_MAX];
    char name[NAME_WORDS * sizeof(uintptr_t)] = "";
    int n = backtrace(frames, CPU_PROFILE_FRAMES_MAX + OWN_FRAMES_MAX), first = 0;
    uintptr_t pc = interrupted_at(context);
    while (first < n && (uintptr_t)frames[first] != pc) /* the handler's own frames */
        first++;
    if (first == n) { /* no way through to it: where the CPU was is known at least */
        first = 0;
        n = 1;
        frames[0] = (void *)pc;
    }
    n = n - first < CPU_PROFILE_FRAMES_MAX ? n - first : CPU_PROFILE_FRAMES_MAX;
    size_t at = atomic_fetch_add(&recorder.used, HEAD_WORDS + (size_t)n);
    if (at + HEAD_WORDS + (size_t)n > ROOM) {
        atomic_fetch_add(&recorder.dropped, 1);
        return;
    }
    prctl(PR_GET_NAME, name);
    recorder.words[at] = (uintptr_t)n;
    memcpy(&recorder.words[at + 1], name, sizeof(name));
    memcpy(&recorder.words[at + HEAD_WORDS], frames + first, (size_t)n * sizeof(uintptr_t));
}

static void on_tick(int number, siginfo_t *info, void *context)
{
    int before = errno;
    (void)number;
    (void)info;
    atomic_fetch_add(&recorder.inside, 1);
    if (atomic_load(&recorder.active))
        note_sample(context);
    atomic_fetch_sub(&recorder.inside, 1);
    errno = before;
}

static int set_timer(unsigned hertz)
{
    suseconds_t us = hertz ? (suseconds_t)(1000000 / hertz) : 0;
    struct itimerval every = {.it_interval = {us / 1000000, us % 1000000}, .it_value = {us / 1000000, us % 1000000}};
    return setitimer(ITIMER_PROF, &every, NULL);
}

static int install(struct error *err)
{
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_RESTART | SA_SIGINFO};
    void *frames[2];
    backtrace(frames, 2);
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGPROF, &action, NULL) != 0)
        return error_set(err, ST_UNEXPECTED, "cannot handle SIGPROF: %s", strerror(errno));
    recorder.ready = true;
    return ST_OK;
}

static int start(unsigned hertz, struct error *err)
{
    if (recorder.taken)
        return error_set(err, ST_RATE_LIMITED, "a CPU profile is being taken already");
    if (!recorder.ready)
        TRY(install(err));
    recorder.words = calloc(ROOM, sizeof(uintptr_t));
    if (!recorder.words)
        return error_no_memory(err, SAMPLE_BYTES_MAX);
    atomic_store(&recorder.used, 0);
    atomic_store(&recorder.dropped, 0);
    atomic_store(&recorder.active, true);
    if (set_timer(hertz < 1 ? 1 : hertz > CPU_PROFILE_HERTZ_MAX ? CPU_PROFILE_HERTZ_MAX : hertz) != 0) {
        atomic_store(&recorder.active, false);
        free(recorder.words);
        return error_set(err, ST_UNEXPECTED, "cannot start the timer of a CPU profile: %s", strerror(errno));
    }
    recorder.taken = true;
    return ST_OK;
}

int cpu_profile_start(unsigned hertz, struct error *err)
{
    pthread_mutex_lock(&recorder.lock);
    int rc = start(hertz, err);
    pthread_mutex_unlock(&recorder.lock);
    return rc;
}

static size_t sample_words(const uintptr_t *sample)
{
    return HEAD_WORDS + sample[0];
}

static int by_content(const void *a, const void *b)
{
    const uintptr_t *x = *(const uintptr_t *const *)a, *y = *(const uintptr_t *const *)b;
    size_t n = sample_words(x) < sample_words(y) ? sample_words(x) : sample_words(y);
    return memcmp(x, y, n * sizeof(uintptr_t)); /* the number of frames stands in front: equal up to there, they are as long */
}

/* Equal samples become one stack. */
static int fold(struct sampled_stacks *p, size_t used, struct error *err)
{
    size_t n = 0;
    for (size_t at = 0; at < used && p->words[at]; at += sample_words(&p->words[at]))
        n++;
    const uintptr_t **samples = malloc((n + 1) * sizeof(*samples));
    p->list = malloc((n + 1) * sizeof(*p->list));
    if (!samples || !p->list) {
        free(samples);
        return error_no_memory(err, (n + 1) * sizeof(*p->list));
    }
    for (size_t at = 0, i = 0; i < n; at += sample_words(&p->words[at]))
        samples[i++] = &p->words[at];
    qsort(samples, n, sizeof(*samples), by_content);
    for (size_t i = 0; i < n; i++) {
        if (i && by_content(&samples[i - 1], &samples[i]) == 0) {
            p->list[p->n - 1].weight++;
            continue;
        }
        struct sampled_stack *s = &p->list[p->n++];
        *s = (struct sampled_stack){.weight = 1, .n_frames = (uint32_t)samples[i][0], .frames = samples[i] + HEAD_WORDS};
        memcpy(s->thread, samples[i] + 1, sizeof(s->thread));
        s->thread[sizeof(s->thread) - 1] = 0;
    }
    free(samples);
    return ST_OK;
}

int cpu_profile_stop(struct sampled_stacks *ret_stacks, struct error *err)
{
    (void)set_timer(0);
    atomic_store(&recorder.active, false);
    while (atomic_load(&recorder.inside))
        clock_sleep_ns(100000);
    size_t used = atomic_load(&recorder.used);
    struct sampled_stacks p = {.words = recorder.words, .dropped = atomic_load(&recorder.dropped)};
    pthread_mutex_lock(&recorder.lock);
    recorder.words = NULL;
    recorder.taken = false;
    pthread_mutex_unlock(&recorder.lock);
    int rc = fold(&p, used < ROOM ? used : ROOM, err);
    if (rc == ST_OK)
        *ret_stacks = p;
    else
        sampled_stacks_release(&p);
    return rc;
}
