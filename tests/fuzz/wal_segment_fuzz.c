/* Hostile log folders: inspecting, opening, replaying and going on must survive any segment.
 *
 * Byte 0 chooses: even = the rest is a segment file as it is; odd = the rest is a program of 8-byte steps that writes segments with right or wrong
 * checksums and any field values, so that the fuzzer need not guess checksums. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "os/fs_sim.h"
#include "base/crc32c.h"
#include "wal/segment.h"
#include "../unit/wal_replay_all.h"

enum { FILE_MAX = 1 << 16 };

static uint8_t file[FILE_MAX];
static size_t file_size;

static void put_file(struct fs *fs, uint64_t sequence)
{
    char path[40] = "/log/0000000000000000.wal";
    path[20] = "0123456789abcdef"[sequence & 15];
    struct fs_file *f;
    struct iovec v = {file, file_size};
    if (fs_mkdirs(fs, "/log", NULL) != ST_OK || fs->ops->open(fs, path, FS_WRITE | FS_TRUNCATE, &f, NULL) != ST_OK)
        abort();
    if (f->ops->write_at(f, 0, &v, 1, NULL) != ST_OK || f->ops->sync(f, NULL) != ST_OK)
        abort();
    f->ops->close(f);
    fs->ops->sync_dir(fs, "/log", NULL);
}

static void step(const uint8_t in[8], uint64_t salt)
{
    size_t size = in[3];
    if (FILE_MAX - file_size < RECORD_HEADER_BYTES + size)
        return;
    uint8_t *record = file + file_size, *payload = record + RECORD_HEADER_BYTES;
    bool checkpoint = in[0] & 8;
    if (checkpoint)
        size = 8 + size % 8 * 16;
    for (size_t i = 0; i < size; i++)
        payload[i] = checkpoint && i >= 8 && i % 8 == 0 ? (uint8_t)(in[4 + i / 8 % 4] & 7) : checkpoint && i != 0 ? 0 : (uint8_t)(in[7] + i);
    struct record_header h = {crc32c(0, payload, size), size, checkpoint ? CHECKPOINT_REGION : in[1] & 3, checkpoint ? 0 : in[2], in[4], file_size};
    if (in[0] & 1)
        h.payload_crc ^= 1;
    if (in[0] & 2)
        h.size = (uint64_t)in[5] << in[6] % 64;
    if (in[0] & 4)
        h.synced = (uint64_t)in[5] << in[6] % 64;
    record_header_put(record, salt, &h);
    if (in[0] & 16)
        record[in[6] % RECORD_HEADER_BYTES] ^= 1;
    file_size += RECORD_HEADER_BYTES + size;
}

static void run_program(struct fs *fs, const uint8_t *data, size_t size)
{
    uint64_t sequence = 1, salt = 77;
    segment_header_put(file, sequence, salt);
    file_size = SEGMENT_HEADER_BYTES;
    for (; size >= 8; data += 8, size -= 8) {
        if (data[0] & 32 && sequence < 6) {
            if (data[0] & 64)
                file_size = file_size < data[7] ? 0 : file_size - data[7];
            put_file(fs, sequence);
            sequence += 1 + (data[0] >> 7);
            segment_header_put(file, sequence, ++salt);
            file_size = SEGMENT_HEADER_BYTES;
        }
        step(data, salt);
    }
    put_file(fs, sequence);
}

static int seen_record(void *ctx, const struct wal_record *r, struct error *err)
{
    volatile uint8_t sink = 0;
    (void)err;
    for (size_t i = 0; r->payload && i < r->size; i++)
        sink = (uint8_t)(sink + r->payload[i]);
    ++*(size_t *)ctx;
    return ST_OK;
}

static int seen_offset(void *ctx, uint64_t offset, const struct wal_record *r, struct error *err)
{
    assert(offset >= SEGMENT_HEADER_BYTES);
    return seen_record(ctx, r, err);
}

static int inspect(void *ctx, const char *name, bool is_dir, struct error *err)
{
    char path[64] = "/log/";
    size_t n = 0;
    (void)is_dir, (void)err;
    strncat(path, name, 40);
    wal_inspect(ctx, path, seen_offset, &n, NULL);
    return ST_OK;
}

static void use_log(struct fs *fs)
{
    struct wal_options o = {.fs = fs, .dir = "/log", .durability = WAL_FSYNC};
    struct wal_report report;
    for (int round = 0; round < 2; round++) {
        struct wal *w;
        struct iovec v = {"abc", 3};
        size_t n = 0;
        if (wal_open(&o, &w, &report, NULL) != ST_OK)
            abort();
        assert(round == 0 || report.torn_bytes == 0);
        for (uint64_t r = 0; r < 6; r++) {
            struct error err;
            int st = wal_replay_all(w, r, r, seen_record, &n, &err);
            assert(st == ST_OK || st == ST_CORRUPT);
            uint64_t last = wal_last_entry_id(w, r);
            if (st == ST_OK && last < UINT64_MAX && wal_append(w, r, last + 1, &v, 1, NULL) != ST_OK)
                abort();
            if (r % 2 && wal_obsolete(w, r, last, NULL) != ST_OK)
                abort();
        }
        struct wal_stats stats;
        wal_stats(w, &stats);
        wal_close(w);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fs_sim *sim;
    if (size < 1 || size > FILE_MAX || fs_sim_new(1, &sim, NULL) != ST_OK)
        return 0;
    struct fs *fs = fs_sim_fs(sim);
    if (data[0] & 1) {
        run_program(fs, data + 1, size - 1);
    } else {
        file_size = size - 1;
        memcpy(file, data + 1, file_size);
        put_file(fs, 1);
    }
    fs->ops->list(fs, "/log", inspect, fs, NULL);
    use_log(fs);
    fs_sim_free(sim);
    return 0;
}
