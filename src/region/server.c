/* Life of the region server: see region/server.h. */
#include "region/server.h"

#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "region/internal.h"

enum { WRITER_THREADS = 16, WRITER_QUEUE = 4096, QUERY_THREADS_MAX = 256, QUERY_QUEUE = 65536 };

static struct metric_family workers_family = {
    .name = "regiond_query_workers", .help = "Threads that help the threads of queries", .kind = METRIC_GAUGE};

int region_server_new(const struct region_server_options *options, struct region_server **ret_server, struct error *err)
{
    struct region_server *s = calloc(1, sizeof(*s));
    if (!s)
        return error_no_memory(err, sizeof(*s));
    s->options = *options;
    if (!s->options.response_bytes_max)
        s->options.response_bytes_max = (size_t)512 << 20;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->list_lock, NULL);
    pthread_mutex_init(&s->opener_lock, NULL);
    pthread_mutex_init(&s->role_lock, NULL);
    pthread_rwlock_init(&s->records_lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->planned, &attr);
    pthread_cond_init(&s->opened, NULL);
    pthread_condattr_destroy(&attr);
    u64_map_init(&s->slots);
    int rc = options->read_only ? ST_OK : thread_pool_new("region-write", WRITER_THREADS, WRITER_QUEUE, &s->writers, err);
    unsigned threads = options->query_parallelism ? options->query_parallelism : cpu_count();
    threads = threads < QUERY_THREADS_MAX ? threads : QUERY_THREADS_MAX;
    metric_set(metric_plain(&workers_family), threads > 1 ? threads : 0);
    if (rc == ST_OK && threads > 1)
        rc = thread_pool_new("query", threads, QUERY_QUEUE, &s->query_workers, err);
    if (rc == ST_OK && options->list_path && !(s->list_path = strdup(options->list_path)))
        rc = error_no_memory(err, strlen(options->list_path));
    if (rc) {
        region_server_free(s);
        return rc;
    }
    *ret_server = s;
    return ST_OK;
}

int region_server_add_engine(struct region_server *s, struct engine *engine, struct error *err)
{
    if (s->n_engines == REGION_ENGINES_MAX)
        return error_set(err, ST_INTERNAL, "more than %d engines", REGION_ENGINES_MAX);
    s->engines[s->n_engines++] = engine;
    region_lease_attach(s, engine);
    return ST_OK;
}

int region_server_start(struct region_server *s, struct error *err)
{
    if (!s->list_path)
        return ST_OK;
    int st = region_list_load(s, err);
    if (st == ST_NOT_FOUND)
        st = s->options.data_dir ? region_discover(s, err) : ST_OK;
    TRY(st);
    s->options.data_dir = NULL;
    s->opening = true;
    TRY(thread_start(&s->opener, "region-opener", region_list_open_all, s, err));
    s->opener_started = true;
    return ST_OK;
}

void region_server_wait_opened(struct region_server *s)
{
    pthread_mutex_lock(&s->opener_lock);
    if (s->opener_started && !s->opener_joined) {
        pthread_join(s->opener, NULL);
        s->opener_joined = true;
    }
    pthread_mutex_unlock(&s->opener_lock);
}

void region_server_free(struct region_server *s)
{
    if (!s)
        return;
    atomic_store(&s->stopping, true);
    region_server_wait_opened(s);
    thread_pool_free(s->writers);
    thread_pool_free(s->query_workers);
    for (uint32_t i = s->n_engines; i-- > 0;) /* a later engine may stand on an earlier one */
        s->engines[i]->ops->free(s->engines[i]);
    size_t pos = 0;
    uint64_t id;
    void *value;
    while (u64_map_next(&s->slots, &pos, &id, &value))
        region_slot_free(value);
    u64_map_release(&s->slots);
    pthread_cond_destroy(&s->planned);
    pthread_cond_destroy(&s->opened);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->list_lock);
    pthread_mutex_destroy(&s->opener_lock);
    pthread_mutex_destroy(&s->role_lock);
    pthread_rwlock_destroy(&s->records_lock);
    free(s->list_path);
    free(s);
}

int region_server_metadata(struct region_server *s, uint64_t region_id, struct region_metadata **ret_meta, struct error *err)
{
    struct engine *e;
    TRY(region_begin(s, region_id, CLASS_OTHER, NULL, &e, err));
    return e->ops->metadata(e, region_id, ret_meta, err);
}

void region_server_set_suspended(struct region_server *s, bool suspended)
{
    atomic_store(&s->suspended, suspended);
}
