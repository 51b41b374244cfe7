/* Tests of leases: admission, fencing in mid-write, expiry, stale grants, recall. Time is the real clock, but nothing depends on how fast the machine
 * is: leases are given ends that lie clearly behind or far ahead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../tool/fake_engine.h"
#include "region/internal.h"

static const int64_t HOUR_NS = 3600000000000;

static struct region_server *make(struct fake_engine **ret_fake)
{
    struct region_server_options o = {.fs = fs_posix(), .leased = true};
    struct region_server *s;
    struct error err;
    assert_int_equal(region_server_new(&o, &s, &err), ST_OK);
    *ret_fake = fake_engine_new();
    assert_int_equal(region_server_add_engine(s, &(*ret_fake)->base, &err), ST_OK);
    return s;
}

static int send(struct region_server *s, uint32_t number, const void *body, size_t size, struct error *err)
{
    struct dynbuf request, reply;
    dynbuf_init(&request, 1 << 20);
    dynbuf_init(&reply, 1 << 20);
    pb_put_bytes(&request, 1, "", 0, NULL);
    pb_put_bytes(&request, number, body, size, NULL);
    int rc = region_server_handle(s, request.data, request.size, &reply, err);
    dynbuf_release(&request);
    dynbuf_release(&reply);
    return rc;
}

static int create(struct region_server *s, struct error *err)
{
    return send(s, 5, "\x08\x01\x12\x04mito", 8, err);
}

/* An insert into region 1: InsertRequests{requests{region_id 1, rows 2}}. */
static int write_rows(struct region_server *s, struct error *err)
{
    return send(s, 3, "\x0a\x04\x08\x01\x12\x00", 6, err);
}

static struct region_grant_counts grant(struct region_server *s, enum region_role role, int64_t sent_ns, int64_t until_ns)
{
    struct region_grant g = {1, role};
    struct region_grant_counts counts;
    region_server_grant(s, &g, 1, sent_ns, until_ns, &counts);
    return counts;
}

static void test_admission(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    int64_t next;
    struct region_server *s = make(&fake);
    assert_int_equal(create(s, &err), ST_OK);
    assert_int_equal(write_rows(s, &err), ST_REGION_NOT_READY); /* heartbeats have not started */
    assert_non_null(strstr(err.msg, "no lease yet"));
    region_server_start_leases(s, HOUR_NS);
    assert_int_equal(write_rows(s, &err), ST_OK);
    assert_int_equal(fake->writes, 1);
    int64_t now = clock_monotonic_ns();
    assert_int_equal(region_server_expire(s, now, &next), 0);
    assert_true(next > now + HOUR_NS / 2);
    assert_int_equal(region_server_expire(s, next, &next), 1); /* as if the time had come */
    assert_int_equal(next, INT64_MAX);
    assert_int_equal(fake->role, ROLE_FOLLOWER);
    assert_int_equal(region_server_expire(s, INT64_MAX, &next), 0); /* once */
    struct region_grant_counts counts = grant(s, ROLE_LEADER, clock_monotonic_ns(), clock_monotonic_ns() + HOUR_NS);
    assert_int_equal(counts.promoted, 1);
    assert_int_equal(fake->role, ROLE_LEADER);
    assert_int_equal(write_rows(s, &err), ST_OK);
    region_server_free(s);
}

static void test_short_grant(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    struct region_server *s = make(&fake);
    region_server_start_leases(s, 1);
    assert_int_equal(create(s, &err), ST_OK); /* its first lease is over at once */
    assert_int_equal(write_rows(s, &err), ST_REGION_NOT_READY);
    assert_non_null(strstr(err.msg, "ran out"));
    grant(s, ROLE_LEADER, clock_monotonic_ns() - 10, clock_monotonic_ns() - 5); /* and so is this one: nobody's thread has to notice */
    assert_int_equal(write_rows(s, &err), ST_REGION_NOT_READY);
    grant(s, ROLE_LEADER, clock_monotonic_ns(), clock_monotonic_ns() + HOUR_NS);
    assert_int_equal(write_rows(s, &err), ST_OK);
    grant(s, ROLE_LEADER, clock_monotonic_ns() - HOUR_NS, clock_monotonic_ns() - 5); /* an old one that comes late takes nothing away */
    assert_int_equal(write_rows(s, &err), ST_OK);
    region_server_free(s);
}

struct fence {
    struct region_server *server;
    bool again; /* a new lease comes, too */
};

static void lose_lease(struct fake_engine *f, enum fake_call call)
{
    struct fence *fence = f->ctx;
    int64_t next;
    if (call != FAKE_WRITE)
        return;
    assert_int_equal(region_server_expire(fence->server, INT64_MAX, &next), 1);
    if (fence->again)
        grant(fence->server, ROLE_LEADER, clock_monotonic_ns(), clock_monotonic_ns() + HOUR_NS);
}

/* The lease goes while the engine works: the rows are written, but not acknowledged, not even when a new lease has come meanwhile. */
static void test_fencing(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    for (int again = 0; again < 2; again++) {
        struct region_server *s = make(&fake);
        struct fence fence = {s, again};
        region_server_start_leases(s, HOUR_NS);
        assert_int_equal(create(s, &err), ST_OK);
        fake->ctx = &fence;
        fake->meanwhile = lose_lease;
        assert_int_equal(write_rows(s, &err), ST_REGION_NOT_READY);
        assert_int_equal(fake->writes, 1);
        region_server_free(s);
    }
}

static void test_stale_grant(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    struct region_last_entries entries;
    struct region_server *s = make(&fake);
    region_server_start_leases(s, HOUR_NS);
    assert_int_equal(create(s, &err), ST_OK);
    int64_t before = clock_monotonic_ns();
    assert_int_equal(region_server_set_role_gracefully(s, 1, ROLE_FOLLOWER, &entries, &err), ST_OK);
    assert_int_equal(entries.last_entry_id, 7);
    assert_int_equal(grant(s, ROLE_LEADER, before, before + HOUR_NS).stale, 1);
    assert_int_equal(fake->role, ROLE_FOLLOWER);
    grant(s, ROLE_DOWNGRADING_LEADER, clock_monotonic_ns(), clock_monotonic_ns() + HOUR_NS);
    assert_int_equal(fake->role, ROLE_FOLLOWER);                                                               /* a follower stays one */
    assert_int_equal(grant(s, ROLE_LEADER, clock_monotonic_ns(), clock_monotonic_ns() + HOUR_NS).promoted, 1); /* rolled back */
    assert_int_equal(write_rows(s, &err), ST_OK);
    region_server_free(s);
}

/* An upgrade stands against the answers to heartbeats from before it, and these do not lengthen its lease. */
static void test_stale_follower(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    int64_t next;
    struct region_catchup_request up = {.region_id = 1};
    struct region_last_entries entries;
    struct region_server *s = make(&fake);
    region_server_start_leases(s, HOUR_NS);
    assert_int_equal(create(s, &err), ST_OK);
    assert_int_equal(region_server_set_role_gracefully(s, 1, ROLE_FOLLOWER, &entries, &err), ST_OK);
    int64_t before = clock_monotonic_ns();
    assert_int_equal(grant(s, ROLE_FOLLOWER, before, before + HOUR_NS).stale, 0);
    assert_int_equal(region_server_catchup(s, &up, &err), ST_OK);
    for (enum region_role role = ROLE_FOLLOWER; role <= ROLE_DOWNGRADING_LEADER; role++) {
        assert_int_equal(grant(s, role, before, before + 3 * HOUR_NS).stale, 1);
        assert_int_equal(fake->role, ROLE_LEADER);
        assert_int_equal(write_rows(s, &err), ST_OK);
    }
    assert_false(region_server_follow_closeable(s, 1, before));
    assert_int_equal(fake->role, ROLE_LEADER);
    assert_int_equal(region_server_expire(s, before + 2 * HOUR_NS, &next), 1); /* the ignored ones reached further */
    assert_int_equal(region_server_catchup(s, &up, &err), ST_OK);
    grant(s, ROLE_FOLLOWER, clock_monotonic_ns(), clock_monotonic_ns() + HOUR_NS);
    assert_int_equal(fake->role, ROLE_FOLLOWER); /* a newer one is obeyed */
    region_server_free(s);
}

static void test_recall(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    int64_t next;
    struct region_last_entries entries;
    struct region_server *s = make(&fake);
    region_server_start_leases(s, HOUR_NS);
    assert_int_equal(create(s, &err), ST_OK);
    assert_false(region_server_expired(s, 1));
    assert_int_equal(region_server_expire(s, INT64_MAX, &next), 1);
    assert_true(region_server_expired(s, 1));
    assert_int_equal(region_server_revive(s, 1, &err), ST_REGION_NOT_READY);
    grant(s, ROLE_DOWNGRADING_LEADER, clock_monotonic_ns(), clock_monotonic_ns() + HOUR_NS);
    assert_int_equal(fake->role, ROLE_FOLLOWER);
    assert_true(region_server_expired(s, 1));
    assert_int_equal(region_server_revive(s, 1, &err), ST_OK);
    assert_int_equal(fake->role, ROLE_DOWNGRADING_LEADER);
    assert_int_equal(region_server_set_role_gracefully(s, 1, ROLE_FOLLOWER, &entries, &err), ST_OK);
    assert_int_equal(region_server_revive(s, 1, &err), ST_REGION_NOT_READY); /* done: an instruction has made it a follower */
    region_server_free(s);
}

/* ---- what comes in between ---- */

struct other {
    struct region_server *server;
    pthread_t thread;
    _Atomic bool done;
    int rc;
};

static void *expire_all(void *arg)
{
    struct other *o = arg;
    int64_t next;
    (void)region_server_expire(o->server, INT64_MAX, &next);
    o->done = true;
    return NULL;
}

static void start(struct other *o, void *(*body)(void *))
{
    o->done = false;
    assert_int_equal(thread_start(&o->thread, "other", body, o, NULL), ST_OK);
}

/* The lease ends between the look at the region's role and its note: the keeper either gets in before the look or has to wait. */
static void expire_behind_stat(struct fake_engine *f, enum fake_call call)
{
    struct other *o = f->ctx;
    if (call != FAKE_STAT)
        return;
    f->meanwhile = NULL;
    start(o, expire_all);
    for (int i = 0; i < 100 && !o->done; i++)
        clock_sleep_ns(1000000);
}

static void test_created_again_as_it_expires(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    struct region_server *s = make(&fake);
    struct other o = {.server = s};
    region_server_start_leases(s, HOUR_NS);
    assert_int_equal(create(s, &err), ST_OK);
    fake->ctx = &o;
    fake->meanwhile = expire_behind_stat;
    assert_int_equal(create(s, &err), ST_OK);
    pthread_join(o.thread, NULL);
    assert_int_equal(fake->role, ROLE_FOLLOWER);
    assert_int_equal(grant(s, ROLE_LEADER, clock_monotonic_ns(), clock_monotonic_ns() + HOUR_NS).promoted, 1); /* not taken for a leader */
    assert_int_equal(fake->role, ROLE_LEADER);
    region_server_free(s);
}

static void *open_anew(void *arg)
{
    struct other *o = arg;
    struct region_open open = {.region_id = 1, .engine = "mito", .path = ""};
    struct error err;
    o->rc = region_server_close_region(o->server, 1, &err);
    region_server_open_regions(o->server, &open, 1);
    o->rc = o->rc ? o->rc : open.rc;
    o->done = true;
    return NULL;
}

/* While a grant is on its way into the engine the region goes and comes back as a follower, of which metasrv knows nothing yet. */
static void open_before_role(struct fake_engine *f, enum fake_call call)
{
    struct other *o = f->ctx;
    if (call == FAKE_OPEN)
        f->role = ROLE_FOLLOWER;
    if (call != FAKE_SET_ROLE || o->thread)
        return;
    start(o, open_anew);
    while (!f->opens)
        clock_sleep_ns(1000000);
}

static void test_opened_anew_under_a_grant(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    int64_t next;
    struct region_server *s = make(&fake);
    struct other o = {.server = s};
    region_server_start_leases(s, HOUR_NS);
    assert_int_equal(create(s, &err), ST_OK);
    assert_int_equal(region_server_expire(s, INT64_MAX, &next), 1);
    fake->ctx = &o;
    fake->meanwhile = open_before_role;
    grant(s, ROLE_LEADER, clock_monotonic_ns(), clock_monotonic_ns() + HOUR_NS);
    pthread_join(o.thread, NULL);
    assert_int_equal(o.rc, ST_OK);
    assert_int_equal(fake->role, ROLE_FOLLOWER); /* it has not caught up */
    region_server_free(s);
}

/* A lease that ends and is followed by another one before the keeper has noticed: what was let in under the first is not acknowledged. */
static void test_gap(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    struct region_server *s = make(&fake);
    region_server_start_leases(s, 1);
    assert_int_equal(create(s, &err), ST_OK);
    grant(s, ROLE_LEADER, clock_monotonic_ns(), clock_monotonic_ns() + HOUR_NS);
    uint64_t term, again;
    struct engine *e = &fake->base;
    assert_int_equal(region_lease_enter(s, e, 1, &term, &err), ST_OK);
    assert_int_equal(region_lease_confirm(s, e, 1, term, &err), ST_OK);
    pthread_mutex_lock(&s->lock);
    ((struct region_slot *)u64_map_get(&s->slots, 1))->until_ns = clock_monotonic_ns(); /* an hour later */
    pthread_mutex_unlock(&s->lock);
    grant(s, ROLE_LEADER, clock_monotonic_ns(), clock_monotonic_ns() + HOUR_NS);
    assert_int_equal(region_lease_confirm(s, e, 1, term, &err), ST_REGION_NOT_READY);
    assert_int_equal(region_lease_enter(s, e, 1, &again, &err), ST_OK);
    grant(s, ROLE_LEADER, clock_monotonic_ns(), clock_monotonic_ns() + 2 * HOUR_NS); /* in time */
    assert_int_equal(region_lease_confirm(s, e, 1, again, &err), ST_OK);
    region_server_free(s);
}

/* Whoever asks for the role of a leader whose lease is over is told "follower", whether the keeper has come by or not: an upgrade that took it for a
 * leader would not catch up. */
static void test_role_without_keeper(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    int64_t next;
    enum region_role role;
    struct region_server *s = make(&fake);
    region_server_start_leases(s, 1);
    assert_int_equal(create(s, &err), ST_OK);
    assert_int_equal(region_server_role(s, 1, &role, &err), ST_OK);
    assert_int_equal(role, ROLE_FOLLOWER);
    assert_true(region_server_expired(s, 1));
    assert_int_equal(region_server_expire(s, INT64_MAX, &next), 1); /* it counts all the same */
    assert_int_equal(region_server_expire(s, INT64_MAX, &next), 0);
    /* A grant that is over when it comes makes nobody a leader. */
    assert_int_equal(grant(s, ROLE_LEADER, clock_monotonic_ns() - 10, clock_monotonic_ns() - 5).promoted, 0);
    assert_int_equal(fake->role, ROLE_FOLLOWER);
    region_server_free(s);
}

/* Metasrv wants a region closed; before that is done it has the region opened again. */
static void test_closeable_and_asked_for(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    struct region_server *s = make(&fake);
    region_server_start_leases(s, HOUR_NS);
    assert_int_equal(create(s, &err), ST_OK);
    int64_t sent = clock_monotonic_ns();
    assert_true(region_server_follow_closeable(s, 1, sent));
    assert_int_equal(fake->role, ROLE_FOLLOWER);
    fake->role = ROLE_LEADER;
    assert_int_equal(create(s, &err), ST_OK);
    assert_int_equal(region_server_close_closeable(s, 1, sent, &err), ST_OK);
    assert_int_equal(fake->closes, 0);
    assert_int_equal(write_rows(s, &err), ST_OK);
    assert_int_equal(region_server_close_closeable(s, 1, clock_monotonic_ns(), &err), ST_OK);
    assert_int_equal(fake->closes, 1);
    assert_int_equal(region_server_close_closeable(s, 1, clock_monotonic_ns(), &err), ST_OK); /* gone already */
    region_server_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_admission),
                                       cmocka_unit_test(test_short_grant),
                                       cmocka_unit_test(test_fencing),
                                       cmocka_unit_test(test_stale_grant),
                                       cmocka_unit_test(test_stale_follower),
                                       cmocka_unit_test(test_recall),
                                       cmocka_unit_test(test_created_again_as_it_expires),
                                       cmocka_unit_test(test_opened_anew_under_a_grant),
                                       cmocka_unit_test(test_gap),
                                       cmocka_unit_test(test_role_without_keeper),
                                       cmocka_unit_test(test_closeable_and_asked_for)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
