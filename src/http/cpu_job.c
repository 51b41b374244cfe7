/* POST /debug/prof/cpu: a CPU profile of `seconds` (5), `frequency` samples a second of CPU time (99), in the form `output` (proto, text,
 * flamegraph).
 *
 * The pages' two threads serve everybody, so the request is suspended while a thread of its own waits, and answered when that resumes it. There is
 * one profile at a time, and so one such thread.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "http/internal.h"
#include "http/profile.h"
#include "os/cpu_profile.h"
#include "os/thread.h"

enum { SECONDS_MAX = 600, BODY_BYTES_MAX = 64 << 20 };

struct http_job {
    struct http_profiler *profiler;
    struct MHD_Connection *connection;
    unsigned seconds, frequency;
    enum profile_form form;
    int rc; /* the outcome, once the request goes on */
    struct error err;
    struct dynbuf body;
};

void http_profiler_init(struct http_profiler *p)
{
    pthread_condattr_t attr;
    *p = (struct http_profiler){0};
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attr);
    pthread_condattr_destroy(&attr);
}

void http_profiler_stop(struct http_profiler *p)
{
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    bool started = p->started;
    p->started = false;
    pthread_mutex_unlock(&p->lock);
    if (started)
        pthread_join(p->thread, NULL);
}

void http_profiler_release(struct http_profiler *p)
{
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
}

void http_job_free(struct http_job *job)
{
    if (!job)
        return;
    dynbuf_release(&job->body);
    free(job);
}

/* For as long as asked, or until the server stops. */
static void wait_for_samples(struct http_profiler *p, unsigned seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping && pthread_cond_timedwait(&p->wake, &p->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&p->lock);
}

static void *job_main(void *arg)
{
    struct http_job *job = arg;
    struct sampled_stacks stacks;
    struct profile_meaning meaning = {.type = "samples",
                                      .unit = "count",
                                      .period_type = "cpu",
                                      .period_unit = "nanoseconds",
                                      .period = 1000000000 / job->frequency,
                                      .start_wall_ns = clock_wall_ns()};
    int64_t start_ns = clock_monotonic_ns();
    wait_for_samples(job->profiler, job->seconds);
    meaning.duration_ns = clock_monotonic_ns() - start_ns;
    job->rc = cpu_profile_stop(&stacks, &job->err);
    if (job->rc == ST_OK) {
        job->rc = profile_write(&stacks, job->form, &meaning, &job->body, &job->err);
        sampled_stacks_release(&stacks);
    }
    MHD_resume_connection(job->connection); /* the job is the request's again */
    return NULL;
}

/* An absent argument leaves the default. */
static bool number_argument(const struct http_request *r, const char *name, unsigned max, unsigned *value)
{
    const char *text = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
    char *end;
    if (!text)
        return true;
    unsigned long n = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || n > max)
        return false;
    *value = (unsigned)n;
    return true;
}

static bool read_arguments(const struct http_request *r, struct http_job *job)
{
    const char *output = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, "output");
    job->form = output ? profile_form_named(output) : PROFILE_PROTO;
    job->seconds = 5;
    job->frequency = 99;
    return job->form != PROFILE_FORMS && number_argument(r, "seconds", SECONDS_MAX, &job->seconds) &&
           number_argument(r, "frequency", CPU_PROFILE_HERTZ_MAX, &job->frequency) && job->frequency;
}

/* p->lock held, which keeps the thread from resuming what is not suspended yet. On success the thread has the job. */
static int begin(struct http_profiler *p, struct http_job *job, struct error *err)
{
    if (p->stopping)
        return error_set(err, ST_CANCELLED, "the server is stopping");
    TRY(cpu_profile_start(job->frequency, err));
    if (p->started) /* the last one's: it has stopped its profile, and has a form to write at most */
        pthread_join(p->thread, NULL);
    int rc = thread_start(&p->thread, "cpu-profile", job_main, job, err);
    p->started = rc == ST_OK;
    if (rc == ST_OK) {
        MHD_suspend_connection(job->connection);
        return ST_OK;
    }
    struct sampled_stacks stacks;
    if (cpu_profile_stop(&stacks, NULL) == ST_OK)
        sampled_stacks_release(&stacks);
    return rc;
}

static int first_call(struct http_profiler *p, struct http_request *r, struct http_answer *a, struct error *err)
{
    struct http_job *job = calloc(1, sizeof(*job));
    struct error why;
    if (!job)
        return error_no_memory(err, sizeof(*job));
    *job = (struct http_job){.profiler = p, .connection = r->connection};
    dynbuf_init(&job->body, BODY_BYTES_MAX);
    if (!read_arguments(r, job)) {
        http_job_free(job);
        return http_refuse(a, 400, "seconds: 0 to 600, frequency: 1 to 1000, output: proto, text or flamegraph", err);
    }
    pthread_mutex_lock(&p->lock);
    int rc = begin(p, job, &why);
    pthread_mutex_unlock(&p->lock);
    if (rc) {
        http_job_free(job);
        return http_refuse(a, 503, why.msg, err);
    }
    log_info("http", "a CPU profile of %u s is being taken", job->seconds);
    r->job = job;
    a->later = true;
    return ST_OK;
}

int http_post_cpu_profile(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    if (!r->job)
        return first_call(http_server_profiler(s), r, a, err);
    a->type = "application/octet-stream";
    if (r->job->rc)
        return error_set(err, (enum status)r->job->rc, "%s", r->job->err.msg);
    return dynbuf_append(&a->body, r->job->body.data, r->job->body.size, err);
}
