/* Tests of the messages, instructions and replies between node and metasrv, and of the report that is kept between heartbeats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <zlib.h>

#include <cmocka.h>

#include "../tool/fake_engine.h"
#include "cluster/instruction.h"
#include "cluster/report.h"
#include "cluster/squeeze.h"

/* ---- squeezing ---- */

static void check_squeezed(const struct dynbuf *plain, const uint32_t *starts, size_t n, size_t bytes_max)
{
    struct dynbuf packed, back;
    z_stream z = {0};
    dynbuf_init(&packed, 64 << 20);
    dynbuf_init(&back, 64 << 20);
    assert_int_equal(squeeze(plain->data, plain->size, starts, n, &packed, NULL), ST_OK);
    assert_true(packed.size <= bytes_max);
    assert_int_equal(dynbuf_append(&packed, "\x03\x00", 2, NULL), ST_OK); /* the last block */
    assert_int_equal(dynbuf_reserve(&back, plain->size + 1, NULL), ST_OK);
    assert_int_equal(inflateInit2(&z, -15), Z_OK);
    z.next_in = packed.data;
    z.avail_in = (uInt)packed.size;
    z.next_out = back.data;
    z.avail_out = (uInt)plain->size + 1;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, plain->size);
    assert_int_equal(z.avail_in, 0);
    if (plain->size)
        assert_memory_equal(back.data, plain->data, plain->size);
    inflateEnd(&z);
    dynbuf_release(&packed);
    dynbuf_release(&back);
}

static unsigned any(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16) % n;
}

static void test_squeeze(void **state)
{
    enum { MESSAGES = 400 };
    uint32_t starts[MESSAGES];
    unsigned seed = 7;
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct dynbuf plain;
        size_t n = any(&seed, MESSAGES);
        dynbuf_init(&plain, 64 << 20);
        for (unsigned i = any(&seed, 50); i; i--)
            assert_int_equal(dynbuf_append_byte(&plain, (uint8_t)any(&seed, 256), NULL), ST_OK);
        for (size_t i = 0; i < n; i++) {
            starts[i] = (uint32_t)plain.size;
            /* Reports, with bytes of any kind in front, now and then one that has nothing to do with the others, or a long run. */
            for (unsigned k = any(&seed, 4); k; k--)
                assert_int_equal(dynbuf_append_byte(&plain, (uint8_t)any(&seed, 256), NULL), ST_OK);
            if (any(&seed, 20) == 0)
                for (unsigned k = any(&seed, 70000) * (any(&seed, 30) == 0); k; k--)
                    assert_int_equal(dynbuf_append_byte(&plain, k % 1000 ? 'x' : '1', NULL), ST_OK);
            else
                assert_int_equal(dynbuf_printf(&plain, NULL, "{\"num_rows\":%u,\"memtable_size\":%u,\"manifest\":{\"Mito\":{\"manifest_version\":%u}}}%s",
                                               any(&seed, 100), any(&seed, 1 << (1 + any(&seed, 14))), any(&seed, 12), any(&seed, 9) ? "" : "8"),
                                 ST_OK);
        }
        check_squeezed(&plain, starts, n, plain.size + plain.size / 8 + 16);
        check_squeezed(&plain, starts, 0, plain.size + plain.size / 8 + 16);
        dynbuf_release(&plain);
    }
    /* What it is for: one region's report after another. */
    struct dynbuf plain;
    dynbuf_init(&plain, 64 << 20);
    for (size_t i = 0; i < MESSAGES; i++) {
        struct region_stat stat = {.region_id = (100000 + i) << 32, .num_rows = i, .memtable_bytes = 700 + i * 37 % 900, .wal_bytes = 300 + i * 17 % 400,
                                   .manifest_bytes = 1234, .written_bytes = 90 * i};
        starts[i] = (uint32_t)plain.size;
        assert_int_equal(message_put_region(&plain, &stat, "mito", NULL), ST_OK);
    }
    check_squeezed(&plain, starts, MESSAGES, plain.size / 4);
    dynbuf_release(&plain);
}

/* ---- messages ---- */

static void test_header(void **state)
{
    (void)state;
    struct dynbuf out;
    dynbuf_init(&out, 1000);
    assert_int_equal(message_put_header(&out, 1, NULL), ST_OK);
    assert_int_equal(out.size, 6); /* the recorded handshake */
    assert_memory_equal(out.data, "\x0a\x04\x08\x01\x18\x01", 6);
    dynbuf_clear(&out);
    assert_int_equal(message_put_range(&out, 1, "a/", 2, "a0", 2, 1536, NULL), ST_OK);
    assert_memory_equal(out.data,
                        "\x0a\x04\x08\x01\x18\x01\x12\x02"
                        "a/"
                        "\x1a\x02"
                        "a0"
                        "\x20\x80\x0c",
                        17);
    dynbuf_release(&out);
}

static int read_response(const void *bytes, size_t size, struct heartbeat_response *r)
{
    struct error err;
    return message_read_heartbeat(bytes, size, r, &err);
}

static void test_response(void **state)
{
    (void)state;
    struct heartbeat_response r;
    /* Recorded: the handshake's answer, and a lease of a node without regions. */
    assert_int_equal(read_response("\x0a\x02\x08\x01\x22\x06\x08\xe8\x07\x10\xe8\x07", 12, &r), ST_OK);
    assert_true(r.has_config && r.interval_ms == 1000 && r.retry_ms == 1000 && !r.has_lease && !r.has_mailbox && !r.error_code);
    heartbeat_response_release(&r);
    assert_int_equal(read_response("\x0a\x02\x08\x01\x1a\x04\x10\x04\x18\x04", 10, &r), ST_OK);
    assert_true(r.has_lease && r.duration_ms == 4 && r.lease_seconds == 4 && !r.n_grants);
    heartbeat_response_release(&r);
    /* Grants: {5}, {6, follower}, {7, role 9}; closeable 8 and 300, packed, and 9, not. */
    assert_int_equal(read_response("\x1a\x17\x0a\x02\x08\x05\x0a\x04\x08\x06\x10\x01\x0a\x04\x08\x07\x10\x09\x22\x03\x08\xac\x02\x20\x09", 25, &r),
                     ST_OK);
    assert_int_equal(r.n_grants, 3);
    assert_int_equal(r.grants[0].role, ROLE_LEADER);
    assert_int_equal(r.grants[1].role, ROLE_FOLLOWER);
    assert_int_equal(r.grants[2].role, ROLE_FOLLOWER); /* a role that we do not know lets us write nothing */
    assert_int_equal(r.n_closeable, 3);
    assert_int_equal(r.closeable[1], 300);
    heartbeat_response_release(&r);
    assert_int_equal(read_response("\x0a\x07\x1a\x05\x08\x02\x12\x01x", 9, &r), ST_OK);
    assert_int_equal(r.error_code, 2);
    heartbeat_response_release(&r);
    assert_int_equal(read_response("\x1a\x05\x0a\x02\x08", 5, &r), ST_CORRUPT);
    assert_int_equal(read_response("\xff\xff", 2, &r), ST_CORRUPT);
}

/* ---- instructions ---- */

static struct instruction *parse(const char *json)
{
    struct instruction *i = NULL;
    struct error err;
    int rc = instruction_parse(json, strlen(json), &i, &err);
    if (rc)
        printf("%s: %s\n", json, err.msg);
    assert_int_equal(rc, ST_OK);
    return i;
}

static void assert_reply(const struct instruction *i, const char *text)
{
    struct dynbuf out;
    dynbuf_init(&out, 1 << 20);
    assert_int_equal(instruction_reply(i, &out, NULL), ST_OK);
    assert_int_equal(dynbuf_append_byte(&out, 0, NULL), ST_OK);
    assert_string_equal((const char *)out.data, text);
    dynbuf_release(&out);
}

static void test_instructions(void **state)
{
    (void)state;
    struct instruction *i = parse(
        "{\"OpenRegions\":[{\"region_ident\":{\"datanode_id\":2,\"table_id\":1024,\"region_number\":1,\"engine\":\"mito\"},\"region_storage_path\":"
        "\"greptime/public\",\"region_options\":{\"ttl\":\"7d\"},\"region_wal_options\":{\"0\":\"x\",\"1\":\"y\"},\"skip_wal_replay\":true}]}");
    assert_int_equal(i->kind, INSTRUCTION_OPEN);
    assert_int_equal(i->items[0].region_id, (1024ull << 32) + 1);
    assert_int_equal(i->items[0].n_options, 2);
    assert_string_equal(i->items[0].options[1].key, "wal_options");
    assert_string_equal(i->items[0].options[1].value, "y");
    assert_true(i->items[0].skip_wal_replay);
    assert_reply(i, "{\"type\":\"open_regions\",\"result\":true,\"error\":null}");
    i->items[0].error = strdup("no \"such\" thing");
    assert_reply(i, "{\"type\":\"open_regions\",\"result\":false,\"error\":\"no \\\"such\\\" thing\"}");
    instruction_free(i);

    i = parse("{\"DowngradeRegion\":{\"region_id\":\"4398046511105\",\"flush_timeout\":{\"secs\":119,\"nanos\":998000000}}}"); /* the old name, an id
                                                                                                                                  as text */
    assert_int_equal(i->items[0].timeout_ns, 119998000000);
    i->items[0].exists = true;
    i->items[0].entries = (struct region_last_entries){.has_last = true, .last_entry_id = 42};
    assert_reply(i, "{\"type\":\"downgrade_regions\",\"replies\":[{\"region_id\":4398046511105,\"last_entry_id\":42,\"metadata_last_entry_id\":null,"
                    "\"exists\":true,"
                    "\"error\":null}]}");
    instruction_free(i);

    i = parse("{\"UpgradeRegions\":[{\"region_id\":1,\"last_entry_id\":42,\"replay_timeout\":\"1m 59s 998ms 123us "
              "456ns\",\"location_id\":1,\"replay_entry_id\":17}]}");
    assert_int_equal(i->items[0].timeout_ns, 119998123456);
    assert_true(i->items[0].catchup.has_entry_id && i->items[0].catchup.entry_id == 42 && !i->items[0].catchup.has_metadata_entry_id);
    assert_reply(i, "{\"type\":\"upgrade_regions\",\"replies\":[{\"region_id\":1,\"ready\":false,\"exists\":false,\"error\":null}]}");
    instruction_free(i);

    i = parse("{\"FlushRegions\":{\"region_ids\":[1,2,3]}}");
    assert_true(!i->is_async && !i->try_all);
    i->items[1].error = strdup("e");
    assert_reply(i, "{\"type\":\"flush_regions\",\"results\":[[1,{\"Ok\":null}],[2,{\"Err\":\"e\"}]],\"overall_success\":false}");
    instruction_free(i);
    i = parse("{\"FlushRegions\":{\"region_ids\":[1],\"strategy\":\"Async\",\"error_strategy\":\"TryAll\"}}");
    assert_false(instruction_is_answered(i));
    instruction_free(i);

    i = parse("{\"EnterStagingRegions\":[{\"region_id\":1,\"partition_directive\":\"{}\"},{\"region_id\":2,\"partition_directive\":{\"type\":"
              "\"reject_all_writes\"}}]}");
    assert_string_equal(i->items[0].partition_expr, "{}");
    assert_null(i->items[1].partition_expr);
    instruction_free(i);
    i = parse("{\"SyncRegions\":[{\"region_id\":1,\"request\":{\"FromManifest\":{\"Metric\":{\"data_manifest_version\":1,\"data_flushed_entry_id\":2,"
              "\"metadata_manifest_version\":3,\"metadata_flushed_entry_id\":4}}}},{\"region_id\":1,\"request\":{\"FromRegion\":{\"source_region_"
              "id\":2,\"parallelism\":3}}}]}");
    assert_true(i->items[0].sync.is_metric && i->items[0].sync.metadata_manifest_version == 3 && i->items[1].sync.from_region);
    instruction_free(i);
    i = parse("{\"RemapManifest\":{\"region_id\":1,\"input_regions\":[1,5],\"region_mapping\":{\"1\":[1,2],\"5\":[2]},\"new_partition_exprs\":{\"2\":"
              "\"b\",\"1\":\"a\"}}}");
    assert_int_equal(i->remap.n_mapping, 3);
    i->items[0].exists = true;
    assert_reply(
        i, "{\"type\":\"remap_manifest\",\"exists\":true,\"manifest_paths\":{\"2\":\"remap_manifest_2\",\"1\":\"remap_manifest_1\"},\"error\":null}");
    instruction_free(i);
    i = parse(
        "{\"GcRegions\":{\"regions\":[1],\"file_refs_manifest\":{\"file_refs\":{\"1\":[{\"region_id\":1,\"file_id\":\"f\",\"index_version\":null}]},"
        "\"manifest_version\":{\"1\":10},\"cross_region_refs\":{}},\"full_file_listing\":false}}");
    assert_int_equal(i->n_refs, 1);
    assert_int_equal(i->versions[0].to, 10);
    instruction_free(i);
    i = parse("\"Suspend\"");
    assert_int_equal(i->kind, INSTRUCTION_SUSPEND);
    instruction_free(i);
    i = parse("{\"InvalidateCaches\":[{\"CreateFlow\":{}},{\"Whatever\":1}]}");
    assert_false(instruction_is_answered(i));
    instruction_free(i);
}

static void test_bad_instructions(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "{",
                                      "null",
                                      "[]",
                                      "{\"OpenRegions\":7}",
                                      "{\"OpenRegions\":[{}]}",
                                      "{\"CloseRegions\":null}",
                                      "{\"FlushRegions\":[]}",
                                      "{\"FlushRegions\":{\"region_ids\":[-1]}}",
                                      "{\"FlushRegions\":{\"region_ids\":[1],\"strategy\":\"Soon\"}}",
                                      "{\"DowngradeRegions\":[{\"region_id\":1,\"flush_timeout\":\"5s\"}]}",
                                      "{\"UpgradeRegions\":[{\"region_id\":1,\"replay_timeout\":\"5 x\"}]}",
                                      "{\"SyncRegions\":[{\"region_id\":1,\"request\":{\"FromMoon\":{}}}]}",
                                      "{\"RemapManifest\":{\"region_id\":1}}",
                                      "{\"GcRegions\":{\"regions\":[1],\"file_refs_manifest\":{\"file_refs\":{\"x\":[{}]}}}}",
                                      "{\"InvalidateCaches\":{}}",
                                      "{\"OpenRegions\":[{\"region_ident\":{\"table_id\":4294967296,\"region_number\":0}}]}"};
    struct instruction *i;
    struct error err;
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
        assert_int_equal(instruction_parse(bad[k], strlen(bad[k]), &i, &err), ST_CORRUPT);
    assert_int_equal(instruction_parse("{\"Frobnicate\":{}}", 17, &i, &err), ST_UNSUPPORTED);
}

/* ---- the report ---- */

static struct region_server *make_regions(struct fake_engine **ret_fake, uint64_t n)
{
    struct region_server_options o = {.fs = fs_posix(), .leased = true, .init_parallelism = 1};
    struct region_server *s;
    struct error err;
    assert_int_equal(region_server_new(&o, &s, &err), ST_OK);
    *ret_fake = fake_engine_new();
    assert_int_equal(region_server_add_engine(s, &(*ret_fake)->base, &err), ST_OK);
    struct region_open *opens = calloc(n, sizeof *opens);
    for (uint64_t i = 0; i < n; i++)
        opens[i] = (struct region_open){.region_id = i + 1, .engine = "mito", .path = ""};
    region_server_open_regions(s, opens, n);
    free(opens);
    return s;
}

/* Regions in the message, after gunzipping; each id at most once. */
static size_t count_regions(const struct dynbuf *message, bool gzipped, size_t n)
{
    size_t room = gzipped ? 64 << 20 : message->size, found = 0;
    uint8_t *plain = malloc(room);
    bool *seen = calloc(n + 2, sizeof *seen);
    if (gzipped) {
        z_stream z = {.next_in = message->data, .avail_in = (uInt)message->size, .next_out = plain, .avail_out = (uInt)room};
        assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END); /* one member, right CRC and length */
        assert_int_equal(z.avail_in, 0);
        room -= z.avail_out;
        inflateEnd(&z);
    } else {
        memcpy(plain, message->data, room);
    }
    struct pb_reader r = pb_reader_of(plain, room);
    struct pb_field f, g;
    while (pb_next(&r, &f)) {
        if (f.number != 4)
            continue;
        struct pb_reader in = pb_inside(&f);
        assert_true(pb_next(&in, &g) && g.number == 1 && g.value <= n && !seen[g.value]);
        seen[g.value] = true;
        found++;
    }
    assert_true(pb_done(&r));
    free(plain);
    free(seen);
    return found;
}

static void test_report(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 200, 9000};
    for (size_t k = 0; k < 4; k++) {
        struct fake_engine *fake;
        struct region_server *s = make_regions(&fake, sizes[k] + 1);
        struct report *report;
        struct dynbuf node, message;
        struct error err;
        bool gzipped = false;
        size_t n = sizes[k];
        dynbuf_init(&node, 1000);
        dynbuf_init(&message, 64 << 20);
        message_put_header(&node, 1, NULL);
        assert_int_equal(report_new(&report, &err), ST_OK);
        for (int beat = 0; beat < 8; beat++) {
            assert_int_equal(report_update(report, s, &err), ST_OK);
            assert_int_equal(report_write(report, &node, &message, &gzipped, &err), ST_OK);
            assert_int_equal(count_regions(&message, gzipped, n + 1), n + 1);
            assert_int_equal(gzipped, n >= 9000);
        }
        /* Idle regions are not asked again, but for the few whose turn it is. */
        int before = fake->stats;
        assert_int_equal(report_update(report, s, &err), ST_OK);
        assert_true((size_t)(fake->stats - before) <= n / 32 + 1);
        /* One changes, one goes. */
        assert_int_equal(region_server_set_role_gracefully(s, 1, ROLE_FOLLOWER, &(struct region_last_entries){0}, &err), ST_OK);
        if (n)
            assert_int_equal(region_server_close_region(s, n + 1, &err), ST_OK);
        assert_int_equal(report_update(report, s, &err), ST_OK);
        assert_int_equal(report_regions(report), n ? n : 1);
        assert_int_equal(report_write(report, &node, &message, &gzipped, &err), ST_OK);
        assert_int_equal(count_regions(&message, gzipped, n + 1), n ? n : 1);
        report_free(report);
        dynbuf_release(&node);
        dynbuf_release(&message);
        region_server_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_squeeze), cmocka_unit_test(test_header), cmocka_unit_test(test_response), cmocka_unit_test(test_instructions),
                                       cmocka_unit_test(test_bad_instructions), cmocka_unit_test(test_report)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
