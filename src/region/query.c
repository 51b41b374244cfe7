/* Queries: from a Flight ticket to batches (region-rpc.md 7.1).
 *
 * Every table name in a plan means the ticket's region, except the three reserved inspection tables. The permit of max_concurrent_queries is held
 * while a plan is decoded and planned only; execution is limited by memory instead.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "exec/query.h"
#include "format/proto/wire.h"
#include "region/internal.h"

enum {
    PERMIT_WAIT_MS = 100,        /* the peer's */
    QUERY_BASE_BYTES = 384 << 10 /* of a thread, a call and the operators themselves, about, before a query has read anything */
};

struct region_query {
    struct region_server *server;
    uint64_t region_id;
    struct budget budget;
    struct query_options options;
    char *timezone;
    bool charged; /* QUERY_BASE_BYTES */
    struct query *query;
};

static int take_permit(struct region_server *s, struct error *err)
{
    if (!s->options.max_concurrent_queries)
        return ST_OK;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += PERMIT_WAIT_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    while (s->planning >= s->options.max_concurrent_queries && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->planned, &s->lock, &until);
    bool got = s->planning < s->options.max_concurrent_queries;
    s->planning += got;
    pthread_mutex_unlock(&s->lock);
    if (!got)
        return error_set(err, ST_REGION_BUSY, "more than max_concurrent_queries = %u queries wait to be planned", s->options.max_concurrent_queries);
    return ST_OK;
}

static void give_permit(struct region_server *s)
{
    if (!s->options.max_concurrent_queries)
        return;
    pthread_mutex_lock(&s->lock);
    s->planning--;
    pthread_cond_signal(&s->planned);
    pthread_mutex_unlock(&s->lock);
}

static int resolve(void *ctx, const char *name, struct table **ret_table, struct error *err)
{
    struct region_query *q = ctx;
    if (!strncasecmp(name, "__inspect/", 10)) {
        for (uint32_t i = 0; i < q->server->n_engines; i++) {
            struct engine *e = q->server->engines[i];
            if (e->ops->inspect)
                return e->ops->inspect(e, name, ret_table, err);
        }
        return error_set(err, ST_UNSUPPORTED, "no engine serves the inspection table %s", name);
    }
    struct engine *e;
    TRY(region_begin(q->server, q->region_id, CLASS_OTHER, NULL, &e, err));
    return e->ops->table(e, q->region_id, ret_table, err);
}

static bool map_u64(const struct pb_field *entry, uint64_t key, uint64_t *ret_value)
{
    uint64_t k = 0, v = 0;
    struct pb_field f;
    for (struct pb_reader r = pb_inside(entry); pb_next(&r, &f);) {
        if (f.wire == PB_VARINT && f.number == 1)
            k = f.value;
        else if (f.wire == PB_VARINT && f.number == 2)
            v = f.value;
    }
    if (k != key)
        return false;
    *ret_value = v;
    return true;
}

static int parse_context(struct region_query *q, const struct pb_field *context, struct error *err)
{
    struct pb_field f, g;
    struct pb_reader r = pb_inside(context);
    while (pb_next(&r, &f)) {
        if (f.wire != PB_BYTES)
            continue;
        if (f.number == 4) {
            free(q->timezone);
            q->timezone = f.size < 256 ? strndup((const char *)f.data, f.size) : NULL;
        } else if (f.number == 7) {
            struct pb_reader in = pb_inside(&f);
            while (pb_next(&in, &g)) {
                if (g.wire == PB_BYTES && g.number == 1)
                    map_u64(&g, q->region_id, &q->options.sst_min_sequence);
                else if (g.wire == PB_BYTES && g.number == 7 && map_u64(&g, q->region_id, &q->options.memtable_max_sequence))
                    q->options.has_memtable_max_sequence = true;
            }
        } else if (f.number == 8) {
            for (struct pb_reader in = pb_inside(&f); pb_next(&in, &g);)
                q->options.verbose = g.number == 1 && g.wire == PB_VARINT ? g.value != 0 : q->options.verbose;
        }
    }
    return pb_done(&r) ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "malformed query context");
}

static int parse_ticket(struct region_query *q, const uint8_t *ticket, size_t size, struct error *err)
{
    struct pb_reader r = pb_reader_of(ticket, size);
    struct pb_field f, header = {0};
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES) {
            header = f;
        } else if (f.number == 2 && f.wire == PB_VARINT) {
            q->region_id = f.value;
        } else if (f.number == 3 && f.wire == PB_BYTES) {
            q->options.plan = f.data;
            q->options.plan_size = f.size;
        }
    }
    if (!pb_done(&r))
        return error_set(err, ST_INVALID_ARGUMENTS, "malformed query request in the ticket");
    for (r = pb_inside(&header); header.data && pb_next(&r, &f);) {
        if (f.number == 6 && f.wire == PB_BYTES)
            TRY(parse_context(q, &f, err));
    }
    return ST_OK;
}

int region_server_query(struct region_server *s, const uint8_t *ticket, size_t size, struct work_context *work, struct region_query **ret_query,
                        struct error *err)
{
    if (atomic_load(&s->suspended))
        return error_set(err, ST_SUSPENDED, "Service suspended");
    struct region_query *q = calloc(1, sizeof(*q));
    if (!q)
        return error_no_memory(err, sizeof(*q));
    q->server = s;
    budget_init(&q->budget, "query", "query.memory_pool_size", s->options.query_bytes_max ? s->options.query_bytes_max : SIZE_MAX,
                s->options.query_budget);
    int rc = parse_ticket(q, ticket, size, err);
    if (rc)
        goto out;
    if (!q->options.plan)
        q->options.plan = (const uint8_t *)"";
    work->budget = &q->budget;
    work->spill = s->options.spill;
    q->options.work = work;
    q->options.workers = s->query_workers;
    q->options.timezone = q->timezone;
    q->options.resolve = resolve;
    q->options.resolve_ctx = q;
    rc = budget_charge(&q->budget, QUERY_BASE_BYTES, err);
    q->charged = rc == ST_OK;
    if (rc == ST_OK)
        rc = take_permit(s, err);
    if (rc)
        goto out;
    rc = query_open(&q->options, &q->query, err);
    give_permit(s);
out:
    if (rc) {
        work->budget = NULL;
        region_query_free(q);
        return rc;
    }
    *ret_query = q;
    return ST_OK;
}

struct schema *region_query_schema(const struct region_query *q)
{
    return query_schema(q->query);
}

int region_query_next(struct region_query *q, struct batch **ret_batch, struct error *err)
{
    int rc = query_next(q->query, ret_batch, err);
    if (rc != ST_OK && rc != ST_CANCELLED && rc != ST_DEADLINE_EXCEEDED && rc != ST_EXECUTE_QUERY) {
        rc = ST_EXECUTE_QUERY;
        if (err)
            err->status = ST_EXECUTE_QUERY;
    }
    return rc;
}

bool region_query_verbose(const struct region_query *q)
{
    return q->options.verbose;
}

int region_query_metrics_json(const struct region_query *q, struct dynbuf *out, struct error *err)
{
    return query_metrics_json(q->query, out, err);
}

void region_query_free(struct region_query *q)
{
    if (!q)
        return;
    query_free(q->query);
    if (q->charged)
        budget_release(&q->budget, QUERY_BASE_BYTES);
    free(q->timezone);
    free(q);
}
