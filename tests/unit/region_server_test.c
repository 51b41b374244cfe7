/* Tests of region/: the status map, idempotency, batches, and the durable list across restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tool/fake_engine.h"
#include "region/internal.h"

static struct region_server *make(const char *list, struct fake_engine **ret_fake)
{
    struct region_server_options o = {.fs = fs_posix(), .list_path = list};
    struct region_server *s;
    struct error err;
    assert_int_equal(region_server_new(&o, &s, &err), ST_OK);
    *ret_fake = fake_engine_new();
    assert_int_equal(region_server_add_engine(s, &(*ret_fake)->base, &err), ST_OK);
    return s;
}

/* Sends a request whose body is `number` and holds `inner`. */
static int send(struct region_server *s, uint32_t number, const struct dynbuf *inner, struct dynbuf *reply, struct error *err)
{
    struct dynbuf request;
    dynbuf_init(&request, 1 << 20);
    pb_put_bytes(&request, 1, "", 0, NULL);
    pb_put_bytes(&request, number, inner->data ? (const void *)inner->data : "", inner->size, NULL);
    dynbuf_clear(reply);
    int rc = region_server_handle(s, request.data, request.size, reply, err);
    dynbuf_release(&request);
    return rc;
}

static int simple(struct region_server *s, uint32_t number, uint64_t id, struct error *err)
{
    struct dynbuf inner, reply;
    dynbuf_init(&inner, 1 << 20);
    dynbuf_init(&reply, 1 << 20);
    pb_put_uint(&inner, 1, id, NULL);
    if (number == 5 || number == 7) {
        pb_put_string(&inner, 2, "mito", NULL);
        pb_put_string(&inner, number == 5 ? 5 : 3, "greptime/public", NULL);
    }
    int rc = send(s, number, &inner, &reply, err);
    dynbuf_release(&inner);
    dynbuf_release(&reply);
    return rc;
}

static void test_idempotency(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    struct region_server *s = make(NULL, &fake);
    assert_int_equal(simple(s, 6, 1, &err), ST_OK);
    assert_int_equal(simple(s, 8, 1, &err), ST_OK);
    assert_int_equal(simple(s, 11, 1, &err), ST_REGION_NOT_FOUND);
    assert_int_equal(simple(s, 5, 1, &err), ST_OK);
    assert_int_equal(simple(s, 5, 1, &err), ST_OK);
    fake->fail_next = ST_UNEXPECTED;
    assert_int_equal(simple(s, 5, 1, &err), ST_UNEXPECTED);
    assert_int_equal(simple(s, 11, 1, &err), ST_OK); /* still there */
    fake->fail_next = ST_REGION_NOT_READY;
    assert_int_equal(simple(s, 6, 1, &err), ST_REGION_NOT_READY);
    assert_int_equal(simple(s, 11, 1, &err), ST_OK);
    assert_int_equal(simple(s, 6, 1, &err), ST_OK);
    assert_int_equal(simple(s, 11, 1, &err), ST_REGION_NOT_FOUND);
    fake->fail_next = ST_UNEXPECTED;
    assert_int_equal(simple(s, 5, 2, &err), ST_UNEXPECTED);
    assert_int_equal(simple(s, 11, 2, &err), ST_REGION_NOT_FOUND);
    region_server_free(s);
}

static void test_batches(void **state)
{
    (void)state;
    struct fake_engine *fake;
    struct error err;
    struct region_server *s = make(NULL, &fake);
    struct dynbuf inner, reply;
    dynbuf_init(&inner, 1 << 20);
    dynbuf_init(&reply, 1 << 20);
    assert_int_equal(send(s, 13, &inner, &reply, &err), ST_OK);
    assert_int_equal(send(s, 3, &inner, &reply, &err), ST_OK);
    assert_memory_equal(reply.data, "\x0a\x02\x0a\x00", 4);
    assert_int_equal(reply.size, 4);
    assert_int_equal(simple(s, 5, 1, &err), ST_OK);
    assert_int_equal(simple(s, 5, 2, &err), ST_OK);
    pb_put_bytes(&inner, 1, "\x08\x01", 2, NULL);
    pb_put_bytes(&inner, 1, "\x08\x02", 2, NULL);
    assert_int_equal(send(s, 15, &inner, &reply, &err), ST_OK);
    assert_non_null(memmem(reply.data, reply.size, "[[1,{}],[2,{}]]", 15));
    assert_int_equal(send(s, 3, &inner, &reply, &err), ST_OK); /* members without rows are skipped */
    assert_int_equal(fake->writes, 0);
    dynbuf_release(&inner);
    dynbuf_release(&reply);
    region_server_free(s);
}

static int count_failed(void *ctx, const struct region_info *info, struct error *err)
{
    (void)err;
    *(int *)ctx += info->error != NULL;
    return ST_OK;
}

static void test_list(void **state)
{
    (void)state;
    char dir[] = "/tmp/region_test_XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/regions.json", dir);
    struct fake_engine *fake;
    struct error err;
    struct region_server *s = make(path, &fake);
    assert_int_equal(region_server_start(s, &err), ST_OK);
    for (uint64_t id = 1; id <= 20; id++)
        assert_int_equal(simple(s, 5, id, &err), ST_OK);
    assert_int_equal(simple(s, 6, 20, &err), ST_OK);
    region_server_free(s);

    s = make(path, &fake);
    fake->fail_next = ST_STORAGE;
    assert_int_equal(region_server_start(s, &err), ST_OK);
    region_server_wait_opened(s);
    assert_int_equal(fake->opens, 18);
    int failed = 0;
    assert_int_equal(region_server_each(s, count_failed, &failed, &err), ST_OK);
    assert_int_equal(failed, 1);
    for (uint64_t id = 1; id <= 19; id++) {
        int rc = simple(s, 11, id, &err);
        assert_true(rc == ST_OK || (rc == ST_REGION_NOT_READY && strstr(err.msg, "told to fail")));
        if (rc) {
            assert_int_equal(simple(s, 6, id, &err), ST_REGION_NOT_READY);
            assert_int_equal(simple(s, 7, id, &err), ST_OK); /* opening it again heals it */
            assert_int_equal(simple(s, 11, id, &err), ST_OK);
        }
    }
    region_server_free(s);
    unlink(path);
    rmdir(dir);
}

static struct region_server *opening_server;

/* Somebody has waited long enough and tells the options of a region that was found, while it is being opened. */
static int open_and_be_told(struct engine *e, const struct region_open_request *open, struct error *err)
{
    struct kv told = {(char *)"ttl", (char *)"1d"};
    assert_int_equal(region_list_put(opening_server, open->region_id, "mito", "greptime/elsewhere", &told, 1, err), ST_OK);
    assert_string_equal(open->path, "greptime/public");
    assert_string_equal(open->options[0].key, "append_mode");
    return fake_open(e, open, err);
}

static void test_told_while_opening(void **state)
{
    static const char list[] = "{\"version\":1,\"regions\":[{\"id\":1,\"engine\":\"mito\",\"path\":\"greptime/public\",\"options\":{\"append_mode\":\"true\"},\"found\":true}]}";
    (void)state;
    char dir[] = "/tmp/region_test_XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/regions.json", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(list, file);
    fclose(file);
    struct fake_engine *fake;
    struct error err;
    opening_server = make(path, &fake);
    struct engine_ops ops = *fake->base.ops;
    ops.open = open_and_be_told;
    fake->base.ops = &ops;
    assert_int_equal(region_server_start(opening_server, &err), ST_OK);
    region_server_wait_opened(opening_server);
    assert_int_equal(fake->opens, 1);
    region_server_free(opening_server);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_idempotency), cmocka_unit_test(test_batches), cmocka_unit_test(test_list), cmocka_unit_test(test_told_while_opening)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
