/* Reading a raft-engine folder through the file system: several files, torn ends, damage, what is noted when nobody needs it any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/bits.h"
#include "format/proto/wire.h"
#include "os/fs_sim.h"
#include "wal/peer_log.h"

static struct fs_sim *sim;
static struct dynbuf file; /* in the making */
static uint32_t sequence;

static void put_be64(struct dynbuf *b, uint64_t v)
{
    v = __builtin_bswap64(v);
    assert_int_equal(dynbuf_append(b, &v, 8, NULL), ST_OK);
}

static void begin_file(uint32_t number)
{
    static const char magic[] = "RAFT-LOG-FILE-HEADER-9986AB3E47F320B394C8E84916EB0ED5";
    dynbuf_init(&file, 1 << 20);
    sequence = number;
    dynbuf_append(&file, magic, sizeof magic - 1, NULL);
    put_be64(&file, 2);
    put_be64(&file, 0);
}

static void end_file(const char *suffix, size_t zeros)
{
    char path[64];
    struct fs *fs = fs_sim_fs(sim);
    struct fs_file *f;
    snprintf(path, sizeof path, "/log/%016u.%s", sequence, suffix);
    dynbuf_append_zeros(&file, zeros, NULL);
    struct iovec v = {file.data, file.size};
    assert_int_equal(fs->ops->open(fs, path, FS_WRITE | FS_TRUNCATE, &f, NULL), ST_OK);
    assert_int_equal(f->ops->write_at(f, 0, &v, 1, NULL), ST_OK);
    f->ops->close(f);
    dynbuf_release(&file);
}

/* A batch with entries [first, first + n) of one region, or with a compact command (n = 0). Returns its offset. */
static size_t batch(uint64_t region, uint64_t first, uint64_t n)
{
    struct dynbuf block, footer, entry;
    size_t at = file.size;
    uint8_t crc[4];
    dynbuf_init(&block, 1 << 20);
    dynbuf_init(&footer, 1 << 20);
    pb_put_varint(&footer, 1, NULL);
    pb_put_varint(&footer, region, NULL);
    dynbuf_append_byte(&footer, n ? 1 : 2, NULL);
    if (n)
        pb_put_varint(&footer, n, NULL);
    else
        dynbuf_append_byte(&footer, 2, NULL);
    pb_put_varint(&footer, first, NULL);
    for (uint64_t i = 0; i < n; i++) {
        uint8_t payload[3] = {(uint8_t)region, (uint8_t)(first + i), 7};
        dynbuf_init(&entry, 1 << 10);
        pb_put_uint(&entry, 1, first + i, NULL);
        pb_put_uint(&entry, 2, region, NULL);
        pb_put_bytes(&entry, 3, payload, sizeof payload, NULL);
        dynbuf_append(&block, entry.data, entry.size, NULL);
        pb_put_varint(&footer, block.size, NULL);
        dynbuf_release(&entry);
    }
    if (n) {
        store_le32(crc, (uint32_t)crc32_z(0, block.data, block.size));
        dynbuf_append(&block, crc, 4, NULL);
    }
    store_le32(crc, (uint32_t)crc32_z(0, footer.data, footer.size) ^ sequence);
    dynbuf_append(&footer, crc, 4, NULL);
    put_be64(&file, (16 + block.size + footer.size) << 8);
    put_be64(&file, 16 + block.size);
    if (block.size)
        dynbuf_append(&file, block.data, block.size, NULL);
    dynbuf_append(&file, footer.data, footer.size, NULL);
    dynbuf_release(&block);
    dynbuf_release(&footer);
    return at;
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(fs_sim_new(1, &sim, NULL), ST_OK);
    return fs_mkdirs(fs_sim_fs(sim), "/log", NULL);
}

static int teardown(void **state)
{
    (void)state;
    fs_sim_free(sim);
    return 0;
}

static struct peer_log *open_log(struct peer_log_report *report)
{
    struct peer_log *log = NULL;
    struct error err = {0};
    struct peer_log_options o = {.fs = fs_sim_fs(sim), .dir = "/log", .done_path = "/log/done"};
    if (peer_log_open(&o, &log, report, &err) != ST_OK)
        fail_msg("%s", err.msg);
    return log;
}

struct seen {
    uint64_t first, last, n;
};

static int see(void *ctx, const struct wal_record *record, struct error *err)
{
    struct seen *s = ctx;
    (void)err;
    assert_int_equal(record->size, 3);
    assert_int_equal(record->payload[0], record->region_id);
    assert_int_equal(record->payload[1], record->entry_id);
    if (s->n++ == 0)
        s->first = record->entry_id;
    else
        assert_int_equal(record->entry_id, s->last + 1);
    s->last = record->entry_id;
    return ST_OK;
}

static void expect(struct peer_log *log, uint64_t region, uint64_t after, uint64_t first, uint64_t last)
{
    struct seen s = {0};
    struct error err = {0};
    uint64_t missing;
    if (peer_log_replay(log, region, after, see, &s, &missing, &err) != ST_OK)
        fail_msg("region %llu: %s", (unsigned long long)region, err.msg);
    assert_int_equal(s.n, first ? last - first + 1 : 0);
    if (first) {
        assert_int_equal(s.first, first);
        assert_int_equal(s.last, last);
    }
}

static void expect_corrupt(struct peer_log *log, uint64_t region, uint64_t after)
{
    struct seen s = {0};
    uint64_t missing;
    assert_int_equal(peer_log_replay(log, region, after, see, &s, &missing, NULL), ST_CORRUPT);
}

static void both_queues(void **state)
{
    struct peer_log_report report;
    (void)state;
    begin_file(1);
    batch(1, 1, 3);
    end_file("rewrite", 0);
    begin_file(4);
    batch(1, 4, 2);
    batch(2, 1, 5);
    batch(2, 3, 0); /* compact: 3 is the first that stays */
    end_file("raftlog", 0);
    begin_file(5);
    batch(1, 6, 1);
    end_file("raftlog", 4096);
    struct peer_log *log = open_log(&report);
    assert_int_equal(report.files, 3);
    assert_int_equal(report.damages + report.torn_bytes, 0);
    assert_int_equal(report.entries, 9);
    expect(log, 1, 0, 1, 6);
    expect(log, 1, 4, 5, 6);
    expect(log, 1, 6, 0, 0);
    expect(log, 2, 2, 3, 5);
    expect(log, 3, 0, 0, 0);
    assert_int_equal(peer_log_last_entry_id(log, 2), 5);
    peer_log_close(log);
}

static void gap_in_the_numbers(void **state)
{
    struct peer_log_report report;
    (void)state;
    begin_file(1);
    batch(1, 1, 3);
    end_file("raftlog", 0);
    begin_file(3);
    batch(1, 7, 2);
    end_file("raftlog", 0);
    struct peer_log *log = open_log(&report);
    assert_int_equal(report.ignored_files, 1);
    expect(log, 1, 6, 7, 8);
    peer_log_close(log);
}

static void torn_end(void **state)
{
    struct peer_log_report report;
    (void)state;
    begin_file(1);
    batch(1, 1, 2);
    size_t at = batch(1, 3, 2);
    file.data[at + 20] ^= 1; /* the block of the last batch: only its footer is whole */
    end_file("raftlog", 100);
    struct peer_log *log = open_log(&report);
    assert_int_equal(report.damages, 0);
    assert_int_not_equal(report.torn_bytes, 0);
    expect(log, 1, 0, 1, 2);
    peer_log_close(log);
    begin_file(1);
    batch(1, 1, 2);
    at = batch(1, 3, 2);
    file.size = at + 25; /* cut off within a batch */
    end_file("raftlog", 0);
    log = open_log(&report);
    expect(log, 1, 0, 1, 2);
    peer_log_close(log);
}

/* An older file lost its end. Whoever shows a hole, or nothing behind the damage, may have lost entries; whoever goes on without a hole has not. */
static void damage_in_an_older_file(void **state)
{
    struct peer_log_report report;
    (void)state;
    begin_file(1);
    batch(1, 1, 2);
    batch(2, 1, 2);
    batch(3, 1, 2);
    batch(4, 1, 2);
    size_t at = batch(1, 3, 1);
    file.data[at] ^= 1;
    end_file("raftlog", 0);
    begin_file(2);
    batch(1, 4, 1);
    batch(2, 3, 1);
    end_file("raftlog", 0);
    struct peer_log *log = open_log(&report);
    assert_int_equal(report.damages, 1);
    expect_corrupt(log, 1, 0);
    expect(log, 1, 3, 4, 4); /* what is lost is in its files already */
    expect(log, 2, 0, 1, 3);
    expect_corrupt(log, 3, 0);
    expect_corrupt(log, 5, 0);
    expect(log, 4, 2, 0, 0);
    peer_log_obsolete(log, 1, UINT64_MAX);
    peer_log_close(log);
    assert_false(fs_exists(fs_sim_fs(sim), "/log/done"));
}

/* A damaged block in the middle is met by those who need it only. */
static void damaged_block(void **state)
{
    struct peer_log_report report;
    (void)state;
    begin_file(1);
    size_t at = batch(1, 1, 2);
    file.data[at + 20] ^= 1;
    batch(2, 1, 2);
    batch(1, 3, 2);
    end_file("raftlog", 0);
    struct peer_log *log = open_log(&report);
    assert_int_equal(report.damages, 0);
    expect_corrupt(log, 1, 0);
    expect(log, 1, 2, 3, 4);
    expect(log, 2, 0, 1, 2);
    peer_log_close(log);
}

static void done_and_noted(void **state)
{
    struct peer_log_report report;
    (void)state;
    begin_file(1);
    batch(1, 1, 2);
    batch(2, 1, 2);
    end_file("raftlog", 0);
    struct peer_log *log = open_log(&report);
    peer_log_obsolete(log, 1, 1);
    assert_int_equal(peer_log_pending_regions(log), 2);
    peer_log_obsolete(log, 1, 2);
    peer_log_obsolete(log, 2, UINT64_MAX);
    assert_int_equal(peer_log_pending_regions(log), 0);
    peer_log_close(log);
    log = open_log(&report);
    assert_non_null(log); /* holds the lock */
    assert_int_equal(report.files, 0);
    expect(log, 1, 0, 0, 0);
    peer_log_close(log);
    begin_file(2); /* the datanode ran again */
    batch(1, 3, 1);
    end_file("raftlog", 0);
    log = open_log(&report);
    expect(log, 1, 2, 3, 3);
    peer_log_close(log);
}

static void no_log(void **state)
{
    struct peer_log_report report;
    (void)state;
    assert_null(open_log(&report));
    assert_int_equal(peer_log_last_entry_id(NULL, 1), 0);
    peer_log_obsolete(NULL, 1, 1);
    peer_log_close(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(both_queues),   TEST(gap_in_the_numbers), TEST(torn_end), TEST(damage_in_an_older_file),
                                       TEST(damaged_block), TEST(done_and_noted),     TEST(no_log)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
