/* What a drop leaves: nothing, or the SSTs, when other regions may list them (partial_drop: a repartition gives a region up). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"
#include "mito_node.h"

#define REGION ((uint64_t)7 << 32)

struct left { unsigned ssts, others; };

static int count(void *ctx, const struct object_info *info, struct error *err)
{
    struct left *l = ctx;
    const char *end = strrchr(info->key, '.');
    (void)err;
    if (!info->is_dir)
        ++*(end && strcmp(end, ".parquet") == 0 ? &l->ssts : &l->others);
    return ST_OK;
}

static struct left what_is_left(struct node *n, const char *dir)
{
    struct left l = {0};
    OK(n->store->ops->list(n->store, dir, true, count, &l, err));
    return l;
}

/* What drops have kept so far, as /metrics says. */
static int64_t kept(const char *name)
{
    for (const struct metric_family *f = metric_families(); f; f = f->next) {
        struct metric *m = atomic_load(&f->children);
        if (m && strcmp(f->name, name) == 0)
            return atomic_load(&m->value);
    }
    return 0;
}

/* How a region goes: a drop that ends, or one that a crash ended behind its marker, as the peer or this build writes that, and an open. */
enum way { DROP, PARTIAL_DROP, EMPTY_MARKER, MARKER };

static void goes(enum way way, unsigned ssts)
{
    struct fs_sim *sim;
    struct node n = {0};
    char *dir, key[256];
    int64_t files = kept("regiond_mito_dropped_files_kept_total"), bytes = kept("regiond_mito_dropped_bytes_kept_total");
    OK(fs_sim_new(1, &sim, err));
    OK(fs_mkdirs(fs_sim_fs(sim), "/home", err));
    OK(node_open(&n, fs_sim_fs(sim), err));
    OK(node_create_plain(&n, REGION, err));
    OK(node_write_plain(&n, REGION, 1, 1, 1, err));
    OK(node_flush(&n, REGION, err));
    OK(mito_region_dir(NODE_PATH, strlen(NODE_PATH), REGION_PATH_BARE, REGION, &dir, err));
    assert_int_equal(what_is_left(&n, dir).ssts, 1);
    if (way <= PARTIAL_DROP) {
        OK(n.engine->ops->drop(n.engine, &(struct region_drop_request){.region_id = REGION, .partial_drop = way == PARTIAL_DROP}, err));
    } else {
        snprintf(key, sizeof key, "%s.dropping", dir);
        OK(object_store_put(n.store, key, "files stay", way == MARKER ? 10 : 0, err));
    }
    struct fs *fs = n.fs;
    node_close(&n); /* waits for the keeper */
    OK(node_open(&n, fs, err));
    struct region_open_request open = {.region_id = REGION, .path = NODE_PATH, .writable = true};
    assert_int_equal(n.engine->ops->open(n.engine, &open, NULL), ST_REGION_NOT_FOUND);
    struct left left = what_is_left(&n, dir);
    assert_int_equal(left.ssts, ssts);
    assert_int_equal(left.others, 0);
    assert_int_equal(kept("regiond_mito_dropped_files_kept_total") - files, ssts);
    assert_int_equal(kept("regiond_mito_dropped_bytes_kept_total") > bytes, ssts > 0);
    free(dir);
    node_close(&n);
    fs_sim_free(sim);
}

static void whole(void **state)
{
    (void)state;
    goes(DROP, 0);
    goes(EMPTY_MARKER, 0);
}

static void partial(void **state)
{
    (void)state;
    goes(PARTIAL_DROP, 1);
    goes(MARKER, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole), cmocka_unit_test(partial)};
    log_set_level(LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
