/* The metric engine over a simulated disk: logical regions are created, given labels, written to and dropped, with power cuts that drop or tear
 * whatever was not synced. Afterwards, with only the physical region opened, every acknowledged table is there with its columns and rows and no
 * dropped one is; what was in doubt is there whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tool/metric_node.h"
#include "base/log.h"
#include "os/fs_sim.h"

enum { TABLES = 12, LABELS = 6, TIMES = 16, SEEDS = 200, CUTS = 4, STEPS = 30 };

/* One logical table: what was acknowledged, and what may be true besides. */
struct table_model {
    bool exists, may_exist, may_be_gone, dropped; /* a dropped table's id is not used again: its rows stay in the data region */
    unsigned labels, may_have_labels; /* bit sets */
    int64_t acked[TIMES], maybe[TIMES][64];
    int n_maybe[TIMES];
};

static uint64_t random_state;

static unsigned next_random(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

static uint64_t table_region(unsigned t)
{
    return (uint64_t)(2000 + t) << 32;
}

/* ---- steps ---- */

static void create(struct metric_node *n, struct table_model *m, unsigned t)
{
    unsigned labels = 1 + next_random((1 << LABELS) - 1);
    if (m[t].exists || m[t].may_exist || m[t].dropped)
        return;
    m[t] = (struct table_model){.may_exist = true, .may_have_labels = labels};
    if (metric_node_create_logical(n, table_region(t), labels, NULL) != ST_OK)
        return;
    m[t].exists = true;
    m[t].labels = labels;
    for (int i = 0; i < TIMES; i++)
        m[t].acked[i] = -1;
}

static void alter(struct metric_node *n, struct table_model *m, unsigned t)
{
    unsigned labels = 1 + next_random((1 << LABELS) - 1);
    if (!m[t].exists || m[t].may_be_gone)
        return;
    m[t].may_have_labels |= labels;
    if (metric_node_add_labels(n, table_region(t), labels, NULL) == ST_OK)
        m[t].labels |= labels;
}

static void drop(struct metric_node *n, struct table_model *m, unsigned t)
{
    struct region_drop_request request = {.region_id = table_region(t)};
    if (!m[t].exists)
        return;
    m[t].may_be_gone = true;
    if (n->metric->ops->drop(n->metric, &request, NULL) == ST_OK)
        m[t] = (struct table_model){.dropped = true};
}

/* One request for two tables; a row's series has only the first label. */
static void write(struct metric_node *n, struct table_model *m, unsigned t, int64_t value)
{
    unsigned tables[2] = {t, (t + 1) % TABLES}, count = 0, time = next_random(TIMES);
    struct metric_row rows[2];
    for (unsigned i = 0; i < 2; i++)
        if (m[tables[i]].exists && !m[tables[i]].may_be_gone && m[tables[i]].labels)
            rows[count++] = (struct metric_row){table_region(tables[i]), (unsigned)__builtin_ctz(m[tables[i]].labels), (int64_t)time, (double)value};
    if (!count)
        return;
    int st = metric_node_write(n, rows, count, NULL);
    for (unsigned i = 0; i < count; i++) {
        struct table_model *w = &m[(rows[i].region_id >> 32) - 2000];
        if (st == ST_OK) {
            w->acked[time] = value;
            w->n_maybe[time] = 0;
        } else {
            w->maybe[time][w->n_maybe[time]++] = value;
        }
    }
}

static void random_step(struct metric_node *n, struct table_model *m, int64_t value)
{
    unsigned what = next_random(16), t = next_random(TABLES);
    if (what == 0)
        (void)n->metric->ops->flush(n->metric, METRIC_PHYSICAL, NULL);
    else if (what <= 3)
        create(n, m, t);
    else if (what == 4)
        alter(n, m, t);
    else if (what == 5)
        drop(n, m, t);
    else
        write(n, m, t, value);
}

/* ---- checks ---- */

static void check_rows(struct metric_node *n, struct table_model *m, unsigned t, uint64_t seed)
{
    int64_t have[TIMES];
    struct metric_scan scan;
    for (int i = 0; i < TIMES; i++)
        have[i] = -1;
    assert_int_equal(metric_node_scan(n, table_region(t), &scan, NULL), ST_OK);
    for (int64_t i = 0; i < scan.n; i++) {
        assert_in_range(scan.times[i], 0, TIMES - 1);
        /* The label a series is named by may have changed with an alter: the newest value of a time is the model's. */
        if ((int64_t)scan.values[i] > have[scan.times[i]])
            have[scan.times[i]] = (int64_t)scan.values[i];
    }
    metric_scan_release(&scan);
    for (int i = 0; i < TIMES; i++) {
        bool good = have[i] == m->acked[i];
        for (int k = 0; k < m->n_maybe[i]; k++)
            good = good || have[i] == m->maybe[i][k];
        if (!good)
            fail_msg("seed %llu: table %u time %d holds %lld, acknowledged was %lld", (unsigned long long)seed, t, i, (long long)have[i],
                     (long long)m->acked[i]);
        m->acked[i] = have[i];
        m->n_maybe[i] = 0;
    }
}

static void check(struct metric_node *n, struct table_model *models, uint64_t seed)
{
    for (unsigned t = 0; t < TABLES; t++) {
        struct table_model *m = &models[t];
        unsigned labels;
        bool is = metric_node_labels(n, table_region(t), LABELS, &labels);
        if ((m->exists && !m->may_be_gone && !is) || (!m->exists && !m->may_exist && is))
            fail_msg("seed %llu: table %u is %s", (unsigned long long)seed, t, is ? "there again" : "gone");
        if (!is) {
            *m = (struct table_model){.dropped = m->dropped || m->may_be_gone};
            continue;
        }
        if ((labels & m->labels) != m->labels || (labels & ~(m->labels | m->may_have_labels)))
            fail_msg("seed %llu: table %u has labels %x, wanted %x and maybe %x", (unsigned long long)seed, t, labels, m->labels, m->may_have_labels);
        if (!m->exists)
            for (int i = 0; i < TIMES; i++)
                m->acked[i] = -1;
        m->exists = true;
        m->may_exist = m->may_be_gone = false;
        m->labels = labels;
        m->may_have_labels = 0;
        check_rows(n, m, t, seed);
    }
}

static void one_seed(uint64_t seed)
{
    struct fs_sim *sim = NULL;
    struct table_model models[TABLES] = {{0}};
    struct metric_node n = {0};
    struct error err = {0};
    random_state = seed * 7919 + 1;
    assert_int_equal(fs_sim_new(seed, &sim, &err), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    if (metric_node_open(&n, fs_sim_fs(sim), METRIC_CREATE, &err) != ST_OK)
        fail_msg("create: %s", err.msg);
    int64_t value = 1;
    for (int cut = 0; cut < CUTS; cut++) {
        for (unsigned steps = next_random(STEPS); steps; steps--)
            random_step(&n, models, value++);
        fs_sim_fail(sim, FS_SIM_POWER, fs_sim_calls(sim) + 1 + next_random(40), true);
        for (unsigned steps = next_random(8); steps; steps--)
            random_step(&n, models, value++);
        metric_node_close(&n);
        fs_sim_power_cut(sim);
        if (metric_node_open(&n, fs_sim_fs(sim), METRIC_OPEN, &err) != ST_OK)
            fail_msg("seed %llu cut %d: %s", (unsigned long long)seed, cut, err.msg);
        check(&n, models, seed);
    }
    metric_node_close(&n);
    fs_sim_free(sim);
}

static void power_cuts(void **state)
{
    (void)state;
    log_set_level(LOG_OFF);
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        one_seed(seed);
}

/* A power cut between the creation of the two regions: the create is repeated and succeeds. */
static void half_created(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 60; at++) {
        struct fs_sim *sim = NULL;
        struct metric_node n = {0};
        struct error err = {0};
        assert_int_equal(fs_sim_new(at, &sim, &err), ST_OK);
        assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
        assert_int_equal(metric_node_open(&n, fs_sim_fs(sim), METRIC_BARE, &err), ST_OK);
        fs_sim_fail(sim, FS_SIM_POWER, fs_sim_calls(sim) + at, true);
        (void)metric_node_create_physical(&n, NULL);
        metric_node_close(&n);
        fs_sim_power_cut(sim);
        if (metric_node_open(&n, fs_sim_fs(sim), METRIC_CREATE, &err) != ST_OK)
            fail_msg("call %u: %s", at, err.msg);
        assert_int_equal(metric_node_create_logical(&n, table_region(0), 3, &err), ST_OK);
        metric_node_close(&n);
        fs_sim_free(sim);
    }
}

/* A power cut within a forced drop: opening the region to finish the drop, as the node's list does, leaves nothing of either region behind. */
static void half_dropped(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 60; at++) {
        struct kv physical = {(char *)"physical_metric_table", (char *)""};
        struct region_open_request open = {
            .region_id = METRIC_PHYSICAL, .path = "greptime/public", .options = &physical, .n_options = 1, .writable = true, .dropping = true};
        struct region_drop_request drop = {.region_id = METRIC_PHYSICAL, .force = true};
        struct fs_sim *sim = NULL;
        struct metric_node n = {0};
        struct error err = {0};
        assert_int_equal(fs_sim_new(at, &sim, &err), ST_OK);
        assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
        assert_int_equal(metric_node_open(&n, fs_sim_fs(sim), METRIC_CREATE, &err), ST_OK);
        assert_int_equal(metric_node_create_logical(&n, table_region(0), 3, &err), ST_OK);
        fs_sim_fail(sim, FS_SIM_POWER, fs_sim_calls(sim) + at, true);
        (void)n.metric->ops->drop(n.metric, &drop, NULL);
        metric_node_close(&n);
        fs_sim_power_cut(sim);
        assert_int_equal(metric_node_open(&n, fs_sim_fs(sim), METRIC_BARE, &err), ST_OK);
        int st = n.metric->ops->open(n.metric, &open, &err);
        if (st == ST_OK)
            st = n.metric->ops->drop(n.metric, &drop, &err);
        if (st != ST_OK && st != ST_REGION_NOT_FOUND)
            fail_msg("call %u: %s", at, err.msg);
        metric_node_close(&n);
        assert_false(fs_exists(fs_sim_fs(sim), "/home/data/greptime/public/1024/1024_0000000000/data/manifest"));
        assert_false(fs_exists(fs_sim_fs(sim), "/home/data/greptime/public/1024/1024_0000000000/metadata/manifest"));
        fs_sim_free(sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(power_cuts), cmocka_unit_test(half_created), cmocka_unit_test(half_dropped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
