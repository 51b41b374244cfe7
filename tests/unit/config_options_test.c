/* Configuration: precedence, strict types, unknown and misspelt keys, sizes and durations, and that what is printed loads again to the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"
#include "config/config.h"

static char warned[2000];

static void warn(void *ctx, const char *text)
{
    (void)ctx;
    strncat(warned, text, sizeof warned - strlen(warned) - 1);
}

static struct config *fresh(void)
{
    struct config *c;
    assert_int_equal(config_new(&c, NULL), ST_OK);
    warned[0] = 0;
    return c;
}

static int load(struct config *c, const char *text, struct error *err)
{
    *err = (struct error){0};
    return config_load_toml(c, text, strlen(text), "f.toml", warn, NULL, err);
}

static void precedence(void **state)
{
    char *environment[] = {"X__GRPC__BIND_ADDR=env:1", "X__NODE_ID=3", "X__HTTP__ADDR=env:1", "X__META_CLIENT__METASRV_ADDRS=a:1,b:2", "PATH=/", NULL};
    struct error err;
    struct config *c = fresh();
    const char *const *items;
    (void)state;
    assert_int_equal(config_set_flag(c, OPT_NODE_ID, "1", &err), ST_OK);
    assert_int_equal(load(c, "node_id = 2\n[grpc]\nbind_addr = \"file:2\"\nruntime_size = 5\n", &err), ST_OK);
    assert_int_equal(config_load_environment(c, environment, "X", &err), ST_OK);
    assert_int_equal(config_finish(c, &err), ST_OK);
    assert_int_equal(config_u64(c, OPT_NODE_ID), 1);
    assert_string_equal(config_text(c, OPT_GRPC_BIND_ADDR), "file:2");
    assert_string_equal(config_text(c, OPT_HTTP_ADDR), "env:1");
    assert_int_equal(config_u64(c, OPT_GRPC_RUNTIME_SIZE), 5);
    assert_int_equal(config_u64(c, OPT_INIT_PARALLELISM), 16);
    assert_int_equal(config_list(c, OPT_META_ADDRS, &items), 2);
    assert_string_equal(items[1], "b:2");
    assert_string_equal(warned, "");
    config_free(c);
}

static void strict(void **state)
{
    static const char *const bad[] = {"\nnode_id = \"1\"\n", "\nnode_id = -1\n", "\nnode_id = 1.0\n", "\nrequire_lease_before_startup = 1\n",
        "\nrequire_lease_before_startup = \"true\"\n", "\nhttp.addr = 1\n", "\nhttp.timeout = 30\n", "\nhttp.timeout = \"30\"\n", "\nhttp.body_limit = \"x\"\n",
        "\nmeta_client.metasrv_addrs = [1]\n", "\nmeta_client.metasrv_addrs = \"a\"\n", "\nnode_id = 1 1\n", "\n\xcb\x9c = 1\n", "\nmemory_limit = \"lots\"\n",
        "\nmemory_limits = \"1GiB\"\n", "\n[wal]\ndurabilty = \"os\"\n"};
    struct error err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config *c = fresh();
        int st = load(c, bad[i], &err);
        if (st != ST_INVALID_ARGUMENTS || !strstr(err.msg, "f.toml") || (!strstr(err.msg, "line 2") && !strstr(err.msg, "line 3")))
            fail_msg("%s: %d %s", bad[i], st, err.msg);
        config_free(c);
    }
    struct config *c = fresh();
    assert_int_equal(load(c, "\n[wal]\ndurabilty = \"os\"\n", &err), ST_INVALID_ARGUMENTS);
    assert_non_null(strstr(err.msg, "line 3"));
    assert_non_null(strstr(err.msg, "wal.durability"));
    assert_int_equal(load(c, "[[[[", &err), ST_INVALID_ARGUMENTS);
    assert_int_equal(load(c, "a = \"\xe2\x82\xac\" # \xe2\x82\xac", &err), ST_OK);
    warned[0] = 0;
    assert_int_equal(load(c, "\n\nwhatever = 1\n[some.table]\nx = []\n", &err), ST_OK);
    assert_non_null(strstr(warned, "line 3: unknown configuration key whatever"));
    assert_non_null(strstr(warned, "some.table.x"));
    assert_int_equal(load(c, "wal.provider = \"paper\"", &err), ST_OK);
    assert_int_equal(config_finish(c, &err), ST_INVALID_ARGUMENTS);
    config_free(c);
}

static void memory_policies(void **state)
{
    static const struct {
        const char *text;
        int64_t wait_ms; /* -1: invalid */
    } cases[] = {{"wait", 10000}, {"Wait(3s)", 3000}, {"wait(250ms)", 250}, {"fail", 0},
                 {"skip", 0},     {"wait()", -1},     {"wait(soon)", -1},   {"never", -1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config *c = fresh();
        struct error err;
        assert_int_equal(config_set_flag(c, OPT_MITO_COMPACTION_EXHAUSTED, cases[i].text, &err), ST_OK);
        int st = config_finish(c, &err);
        assert_int_equal(st, cases[i].wait_ms < 0 ? ST_INVALID_ARGUMENTS : ST_OK);
        if (st == ST_OK)
            assert_int_equal(config_wait_ms(c, OPT_MITO_COMPACTION_EXHAUSTED), cases[i].wait_ms);
        else
            assert_non_null(strstr(err.msg, "experimental_compaction_on_exhausted"));
        config_free(c);
    }
}

/* What one of few values or an address must be is looked at once all is read; the error names the key. */
static void values_checked_at_the_end(void **state)
{
    static const struct {
        enum option_id id;
        const char *text, *complaint; /* NULL: it is good */
    } cases[] = {{OPT_GRPC_BIND_ADDR, "127.0.0.1:0", NULL},
                 {OPT_GRPC_BIND_ADDR, "[::]:65535", NULL},
                 {OPT_GRPC_BIND_ADDR, "127.0.0.1", "grpc.bind_addr \"127.0.0.1\" does not end in a port"},
                 {OPT_GRPC_BIND_ADDR, "127.0.0.1:99999", "grpc.bind_addr"},
                 {OPT_GRPC_BIND_ADDR, "127.0.0.1:4294967297", "grpc.bind_addr"},
                 {OPT_GRPC_BIND_ADDR, "127.0.0.1:3001x", "grpc.bind_addr"},
                 {OPT_HTTP_ADDR, "127.0.0.1:", "http.addr"},
                 {OPT_HTTP_ADDR, "127.0.0.1:http", "http.addr"},
                 {OPT_HTTP_ADDR, "127.0.0.1:65536", "http.addr"},
                 {OPT_LOG_FORMAT, "json", NULL},
                 {OPT_LOG_FORMAT, "", NULL},
                 {OPT_LOG_FORMAT, "xml", "unknown variant `xml` of logging.log_format, expected one of text, json"},
                 {OPT_WAL_DURABILITY, "os", NULL},
                 {OPT_WAL_DURABILITY, "fsinc", "expected one of fsync, interval, os"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config *c = fresh();
        struct error err = {0};
        assert_int_equal(config_set_flag(c, cases[i].id, cases[i].text, &err), ST_OK);
        int st = config_finish(c, &err);
        if (st != (cases[i].complaint ? ST_INVALID_ARGUMENTS : ST_OK) || (cases[i].complaint && !strstr(err.msg, cases[i].complaint)))
            fail_msg("%s: %d %s", cases[i].text, st, err.msg);
        config_free(c);
    }
}

static void formats(void **state)
{
    static const struct { const char *text; uint64_t bytes; } sizes[] = {{"0", 0}, {"1", 1}, {"64MB", 64 << 20}, {"64MiB", 64 << 20}, {"64M", 64 << 20},
        {"1.5 GiB", 1610612736}, {"7B", 7}, {" 2 KB ", 2048}, {"1P", 1ull << 50}};
    static const char *const bad_sizes[] = {"", "-1", "0x10", "1kb", "MB", "1 XB", "1MBs", "inf", "nan", "1e999", "99999999999P", "+1"};
    static const struct { const char *text; int64_t ns; } durations[] = {{"0s", 0}, {"30s", 30000000000}, {"1h 30m", 5400000000000}, {"1h30m", 5400000000000},
        {"1day 12h", 129600000000000}, {"0", 0}, {"5µs", 5000}, {"300years", INT64_MAX}, {"250ms", 250000000}, {"3us", 3000}, {"9ns", 9}, {"2days", 172800000000000}, {"1month", 2630016000000000}, {"1M", 2630016000000000}, {"1y", 31557600000000000}};
    static const char *const bad_durations[] = {"", "1", "s", "1x", "-1s", "1.5s", "999999999999y", "99999999999999999999s", "1h 2"};
    uint64_t bytes;
    int64_t ns, again;
    char text[128];
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_true(size_parse(sizes[i].text, &bytes));
        assert_true(bytes == sizes[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad_sizes / sizeof *bad_sizes; i++)
        if (size_parse(bad_sizes[i], &bytes))
            fail_msg("size %s", bad_sizes[i]);
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        assert_true(duration_parse(durations[i].text, &ns));
        assert_true(ns == durations[i].ns);
        if (ns == INT64_MAX)
            continue;
        config_format_duration(ns, text, sizeof text);
        assert_true(duration_parse(text, &again));
        assert_true(again == ns);
    }
    for (size_t i = 0; i < sizeof bad_durations / sizeof *bad_durations; i++)
        if (duration_parse(bad_durations[i], &ns))
            fail_msg("duration %s", bad_durations[i]);
    config_format_size(64 << 20, text, sizeof text);
    assert_string_equal(text, "\"64MiB\"");
    config_format_size(1025, text, sizeof text);
    assert_string_equal(text, "1025");
}

static void round_trip(void **state)
{
    static const char text[] = "node_id = 7\nmemory_limit = \"1GiB\"\n[grpc]\nserver_addr = \"a\\\"b\\\\c\\u0001\\td\"\n[http]\ntimeout = \"90s\"\nbody_limit = 1025\n"
                               "[meta_client]\nmetasrv_addrs = [\"a\", \"b,c\"]\n[[region_engine]]\n[region_engine.mito]\nnum_workers = 3\n";
    struct config *c = fresh();
    struct error err;
    struct dynbuf first, second;
    (void)state;
    dynbuf_init(&first, 1 << 20);
    dynbuf_init(&second, 1 << 20);
    assert_int_equal(load(c, text, &err), ST_OK);
    assert_int_equal(config_finish(c, &err), ST_OK);
    assert_int_equal(config_u64(c, OPT_MITO_NUM_WORKERS), 3);
    assert_true(config_limit_bytes(c, OPT_MEMORY_LIMIT) == 1 << 30);
    assert_int_equal(config_duration_ms(c, OPT_HTTP_TIMEOUT), 90000);
    assert_int_equal(config_print(c, &first, &err), ST_OK);
    config_free(c);
    c = fresh();
    if (config_load_toml(c, (const char *)first.data, first.size, "p", warn, NULL, &err) != ST_OK)
        fail_msg("%s in\n%.*s", err.msg, (int)first.size, first.data);
    assert_string_equal(warned, "");
    assert_int_equal(config_finish(c, &err), ST_OK);
    assert_int_equal(config_print(c, &second, &err), ST_OK);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    config_free(c);
    dynbuf_release(&first);
    dynbuf_release(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(precedence), cmocka_unit_test(strict), cmocka_unit_test(memory_policies),
                                       cmocka_unit_test(values_checked_at_the_end),
                                       cmocka_unit_test(formats), cmocka_unit_test(round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
