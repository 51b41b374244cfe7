/* A node on a disk in memory and what a frontend may send it: {request = 1: RegionRequest | query = 2: QueryRequest} repeated, one after another.
 * Afterwards the node is stopped and started again: every region that was ready must be ready, whatever became a part of it. */
#include "../unit/mito_node.h"
#include "base/log.h"
#include "engine/metric/metric.h"
#include "proto_mutator.h"
#include "region/server.h"

struct server {
    struct node node;
    struct region_server *regions;
};

static void start(struct server *s, struct fs *fs)
{
    struct engine *metric;
    struct metric_options mo = {.sparse_keys = true, .flush_interval_ms = INT64_MAX / 2};
    struct region_server_options o = {.fs = fs,
                                      .list_path = "/home/regions.json",
                                      .query_bytes_max = 64 << 20,
                                      .query_parallelism = 1,
                                      .init_parallelism = 1,
                                      .response_bytes_max = 4 << 20};
    memset(s, 0, sizeof *s);
    if (node_open(&s->node, fs, NULL))
        abort();
    o.query_budget = &s->node.root;
    mo.mito = s->node.engine;
    if (metric_engine_new(&mo, &metric, NULL) || region_server_new(&o, &s->regions, NULL) ||
        region_server_add_engine(s->regions, s->node.engine, NULL) || region_server_add_engine(s->regions, metric, NULL) ||
        region_server_start(s->regions, NULL))
        abort();
    region_server_wait_opened(s->regions);
}

static void stop(struct server *s)
{
    region_server_free(s->regions);
    s->node.engine = NULL; /* was the server's */
    node_close(&s->node);
    if (s->node.root.used != 0)
        abort();
}

static void handle(struct server *s, const struct pb_field *f)
{
    struct dynbuf reply;
    struct error err;
    dynbuf_init(&reply, 1 << 22);
    region_server_handle(s->regions, f->data, f->size, &reply, &err);
    dynbuf_release(&reply);
}

static void query(struct server *s, const struct pb_field *f)
{
    struct work_context work = {0};
    struct region_query *q;
    struct batch *b;
    struct error err;
    struct dynbuf json;
    if (region_server_query(s->regions, f->data, f->size, &work, &q, &err) != ST_OK)
        return;
    for (int i = 0; i < 8 && region_query_next(q, &b, &err) == ST_OK && b; i++)
        batch_unref(b);
    dynbuf_init(&json, 1 << 20);
    region_query_metrics_json(q, &json, &err);
    dynbuf_release(&json);
    region_query_free(q);
}

static int remember(void *ctx, const struct region_info *info, struct error *err)
{
    char *ready = ctx;
    size_t n = strlen(ready);
    (void)err;
    if (strcmp(info->state, "ready") == 0)
        snprintf(ready + n, 16384 - n, " %llu,", (unsigned long long)info->region_id);
    return ST_OK;
}

static int compare(void *ctx, const struct region_info *info, struct error *err)
{
    char word[32];
    (void)err;
    snprintf(word, sizeof word, " %llu,", (unsigned long long)info->region_id);
    char *at = strstr(ctx, word);
    if (at && strcmp(info->state, "ready") != 0) {
        fprintf(stderr, "region %s is %s after a restart: %s\n", word, info->state, info->error ? info->error : "");
        abort();
    }
    if (at)
        memset(at, '.', strlen(word));
    return ST_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct server s;
    struct fs_sim *sim;
    struct pb_field f;
    char ready[16384] = "";
    log_set_level(LOG_OFF);
    if (fs_sim_new(1, &sim, NULL) || fs_mkdirs(fs_sim_fs(sim), "/home/wal", NULL))
        abort();
    start(&s, fs_sim_fs(sim));
    for (struct pb_reader r = pb_reader_of(data, size); pb_next(&r, &f);) {
        if (f.wire == PB_BYTES && f.number == 1)
            handle(&s, &f);
        else if (f.wire == PB_BYTES && f.number == 2)
            query(&s, &f);
    }
    region_server_each(s.regions, remember, ready, NULL);
    stop(&s);
    if (ready[0]) {
        start(&s, fs_sim_fs(sim));
        region_server_each(s.regions, compare, ready, NULL);
        stop(&s);
    }
    if (strspn(ready, ".") != strlen(ready)) {
        fprintf(stderr, "regions gone after a restart:%s\n", ready);
        abort();
    }
    fs_sim_free(sim);
    return 0;
}
