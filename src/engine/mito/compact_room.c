/* Memory that compactions which run at a time may need together: experimental_compaction_memory_limit.
 *
 * A merge asks for what a row group of each of its inputs takes decoded, and waits for others to end when there is not that much, as long as
 * experimental_compaction_on_exhausted says. What it then really takes is charged to the account of compactions, whose ceiling is the same: an
 * estimate that was too low fails that merge, which is tried again with fewer inputs. A merge that needs more than the whole limit by itself gets all
 * of it.
 */
#include <time.h>

#include "base/metrics.h"
#include "engine/mito/mito.h"

static struct metric_family in_use = {
    .name = "greptime_mito_compaction_memory_in_use_bytes", .help = "bytes currently reserved for compaction tasks", .kind = METRIC_GAUGE};
static struct metric_family limit = {
    .name = "greptime_mito_compaction_memory_limit_bytes", .help = "maximum bytes allowed for compaction tasks", .kind = METRIC_GAUGE};
static struct metric_family waited = {.name = "greptime_mito_compaction_memory_wait_seconds",
                                      .help = "time waiting for compaction memory",
                                      .kind = METRIC_HISTOGRAM,
                                      .bounds = {0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12}};
static struct metric_family rejected = {.name = "greptime_mito_compaction_memory_rejected_total",
                                        .help = "number of compaction tasks rejected due to memory limit",
                                        .kind = METRIC_COUNTER,
                                        .label_names = {"type"}};
static const char *const at_once[] = {"try_acquire"}, *const in_time[] = {"wait"};

void compact_room_init(struct compact_room *r, size_t bytes_max, int64_t wait_ms)
{
    *r = (struct compact_room){.bytes_max = bytes_max, .wait_ms = wait_ms};
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->freed, NULL);
    metric_set(metric_plain(&limit), (int64_t)bytes_max);
    metric_set(metric_plain(&in_use), 0);
    metric_add(metric_child(&rejected, at_once), 0);
    metric_add(metric_child(&rejected, in_time), 0);
}

void compact_room_release(struct compact_room *r)
{
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->freed);
}

/* Until it fits, or the time is over. With the lock held. */
static bool wait_for(struct compact_room *r, size_t bytes, const struct work_context *work)
{
    int64_t deadline = clock_monotonic_ns() + r->wait_ms * 1000000;
    while (bytes > r->bytes_max - r->used && clock_monotonic_ns() < deadline && !atomic_load(&work->cancelled)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++; /* to see a cancellation */
        pthread_cond_timedwait(&r->freed, &r->lock, &until);
    }
    return bytes <= r->bytes_max - r->used;
}

int compact_room_take(struct compact_room *r, size_t bytes, const struct work_context *work, size_t *ret_taken, struct error *err)
{
    int64_t start = clock_monotonic_ns();
    bytes = r->bytes_max && bytes > r->bytes_max ? r->bytes_max : bytes;
    pthread_mutex_lock(&r->lock);
    bool fits = !r->bytes_max || wait_for(r, bytes, work);
    size_t used = r->used;
    if (fits)
        metric_set(metric_plain(&in_use), (int64_t)(r->used += bytes));
    pthread_mutex_unlock(&r->lock);
    metric_observe(metric_plain(&waited), (double)(clock_monotonic_ns() - start) / 1e9);
    if (!fits) {
        metric_add(metric_child(&rejected, r->wait_ms ? in_time : at_once), 1);
        return error_set(
            err, ST_EXHAUSTED,
            "a compaction needs %zu bytes, and others use %zu of the %zu that region_engine.mito.experimental_compaction_memory_limit allows", bytes,
            used, r->bytes_max);
    }
    *ret_taken = bytes;
    return ST_OK;
}

void compact_room_give(struct compact_room *r, size_t bytes)
{
    pthread_mutex_lock(&r->lock);
    metric_set(metric_plain(&in_use), (int64_t)(r->used -= bytes));
    pthread_cond_broadcast(&r->freed);
    pthread_mutex_unlock(&r->lock);
}
