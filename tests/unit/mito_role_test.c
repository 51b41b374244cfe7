/* Roles that are given while a region is in a transient state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mito_node.h"

static const uint64_t ID = 1ull << 32;

static enum region_role role(struct node *n)
{
    struct region_stat stat;
    assert_int_equal(n->engine->ops->stat(n->engine, ID, &stat, NULL), ST_OK);
    return stat.role;
}

/* The lease runs out, and comes back, as the region is being altered. What is told of its role is what will be when the alter has ended: the region
 * server, which would else take it for the leader that it no longer is, would not make it one again. */
static void lease_ends_in_alter(void **state)
{
    (void)state;
    struct fs_sim *sim;
    struct node n = {0};
    struct error err = {0};
    struct mito_region *r;
    assert_int_equal(fs_sim_new(1, &sim, &err), ST_OK);
    assert_int_equal(fs_mkdirs(fs_sim_fs(sim), "/home", NULL), ST_OK);
    assert_int_equal(node_open(&n, fs_sim_fs(sim), &err), ST_OK);
    assert_int_equal(node_create_plain(&n, ID, &err), ST_OK);
    assert_int_equal(mito_region_get((struct mito_engine *)n.engine, ID, &r, &err), ST_OK);
    const struct engine_ops *ops = n.engine->ops;
    for (int comes_back = 0; comes_back < 2; comes_back++) {
        assert_int_equal(mito_enter(r, REGION_ALTERING, &err), ST_OK);
        assert_int_equal(role(&n), ROLE_LEADER);
        assert_int_equal(ops->set_role(n.engine, ID, ROLE_FOLLOWER, &err), ST_OK);
        assert_int_equal(role(&n), ROLE_FOLLOWER);
        if (comes_back)
            assert_int_equal(ops->set_role(n.engine, ID, ROLE_LEADER, &err), ST_OK);
        mito_leave(r, REGION_WRITABLE);
        assert_int_equal(role(&n), comes_back ? ROLE_LEADER : ROLE_FOLLOWER);
        assert_int_equal(ops->set_role(n.engine, ID, ROLE_LEADER, &err), ST_OK);
    }
    mito_region_unref(r);
    node_close(&n);
    fs_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lease_ends_in_alter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
