/* Hostile raft-engine folders: any bytes as the only append file, and, as bit 0 of the first byte says, as a rewrite file or an older file too. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "format/raftlog/raftlog.h"
#include "os/fs_sim.h"
#include "wal/peer_log.h"

static void put_file(struct fs *fs, const char *path, const uint8_t *data, size_t size)
{
    struct fs_file *f;
    struct iovec v = {(void *)data, size};
    if (fs->ops->open(fs, path, FS_WRITE | FS_TRUNCATE, &f, NULL) != ST_OK || f->ops->write_at(f, 0, &v, 1, NULL) != ST_OK)
        abort();
    f->ops->close(f);
}

static int count(void *ctx, const struct wal_record *record, struct error *err)
{
    (void)err;
    *(uint64_t *)ctx += record->size ? record->payload[record->size - 1] + record->payload[0] : 0;
    return ST_OK;
}

/* Makes the checksums of footers right, so that the fuzzer gets behind them. */
static void mend(uint8_t *data, size_t size, uint32_t sequence)
{
    struct raftlog_header h;
    struct raftlog_batch b;
    if (!raftlog_header_get(data, size, &h))
        return;
    for (size_t at = h.size; size - at >= RAFTLOG_BATCH_HEADER && raftlog_batch_get(data + at, &b) && b.total_bytes <= size - at;
         at += b.total_bytes) {
        uint8_t *end = data + at + b.total_bytes - 4, *footer = data + at + b.footer_at, *block = data + at + RAFTLOG_BATCH_HEADER;
        store_le32(end, (uint32_t)crc32_z(0, footer, (size_t)(end - footer)) ^ raftlog_signature(&h, sequence));
        if (raftlog_block_bytes(&b))
            store_le32(footer - 4, (uint32_t)crc32_z(0, block, (size_t)(footer - 4 - block)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fs_sim *sim;
    if (size == 0 || size > 1 << 16 || fs_sim_new(1, &sim, NULL) != ST_OK)
        return 0;
    struct fs *fs = fs_sim_fs(sim);
    uint8_t *copy = malloc(size);
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 4)
        mend(copy, size - 1, 2);
    fs_mkdirs(fs, "/log", NULL);
    put_file(fs, "/log/0000000000000002.raftlog", copy, size - 1);
    if (data[0] & 1)
        put_file(fs, "/log/0000000000000002.rewrite", copy, size - 1);
    if (data[0] & 2)
        put_file(fs, "/log/0000000000000001.raftlog", copy, size - 1);
    struct budget budget;
    struct peer_log *log = NULL;
    struct peer_log_report report;
    budget_init(&budget, "fuzz", "none", 64 << 20, NULL);
    struct peer_log_options o = {.fs = fs, .dir = "/log", .done_path = "/log/done", .budget = &budget};
    if (peer_log_open(&o, &log, &report, NULL) == ST_OK && log) {
        uint64_t sum = 0, missing;
        for (uint64_t table = 1024; table < 1036; table++)
            (void)peer_log_replay(log, table << 32, table % 3, count, &sum, &missing, NULL);
        peer_log_obsolete(log, (uint64_t)1024 << 32, UINT64_MAX);
    }
    peer_log_close(log);
    if (budget_used(&budget))
        abort();
    fs_sim_free(sim);
    free(copy);
    return 0;
}
