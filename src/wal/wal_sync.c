/* Syncing, and what a failed sync leads to.
 *
 * After a failed sync the kernel may have dropped the pages and have marked them clean: a second sync would succeed, and lie. So a failure makes the
 * log read-only, but for one cause that passes: a full disk (file systems that give space out late find it at the sync). In the fsync mode the
 * records were promised to nobody and are taken back (wal.c). In the other modes they are acknowledged. Then the log is unsettled: it takes nothing,
 * its end [synced, size) is in doubt, and each period of the syncer, each append and each attempt to end the segment tries to settle it:
 *
 *   1. What is read back is compared with what was written: the checksum of each record, and one over all headers, which tells older bytes at the
 * same place apart. If all of it is there it is written again at its place, which makes the pages dirty anew, and synced: nothing was lost.
 *   2. Else a part is gone. Its rows are still in memtables, and the engine, which sees the log unsettled, flushes all regions (into files, which may
 * use the disk's reserve). Once no region needs a record of that end it is cut off.
 *
 * Until one of them has succeeded nothing is acknowledged. A record that is gone and that no flush makes superfluous (its region was closed before,
 * or is staging) keeps the log unsettled: then only a restart helps, which finds what a power cut would have left.
 */
#include <stdio.h>

#include "base/crc32c.h"
#include "wal/internal.h"

void wal_fail(struct wal *w, const struct error *why)
{
    if (w->stats.failed)
        return;
    w->stats.failed = true;
    snprintf(w->stats.failure, sizeof(w->stats.failure), "%.200s; the log is read-only until a restart", why->msg);
}

void wal_unsettle(struct wal *w, const struct error *why)
{
    w->stats.unsettled = true;
    if (!w->stats.failed)
        snprintf(w->stats.failure, sizeof(w->stats.failure), "the end of the log could not be synced: %.200s", why->msg);
}

void wal_note_synced(struct wal *w)
{
    w->synced = w->segments[w->count - 1]->size;
    w->unsynced_crc = 0;
    w->stats.syncs++;
    w->stats.unsettled = false;
    if (!w->stats.failed)
        w->stats.failure[0] = 0;
}

int wal_sync_or_fail(struct wal *w, struct fs_file *f, bool takes_back, struct error *err)
{
    struct error why;
    int st = f ? f->ops->sync(f, &why) : w->options.fs->ops->sync_dir(w->options.fs, w->dir, &why);
    if (st == ST_OK)
        return ST_OK;
    if (takes_back && st == ST_NO_SPACE)
        return error_set(err, st, "%s", why.msg);
    pthread_mutex_lock(&w->lock);
    wal_fail(w, &why);
    st = error_set(err, ST_STORAGE, "%s", w->stats.failure);
    pthread_mutex_unlock(&w->lock);
    return st;
}

/* Writes the records of the doubtful end again, as far as they can be read; *ret_whole: all of them could, and are those that were written. */
static int write_again(struct wal *w, const struct segment *s, bool *ret_whole, struct error *err)
{
    struct segment_cursor c;
    uint32_t crc = 0;
    int st = ST_OK;
    *ret_whole = false;
    cursor_init(&c, w->file, s->salt, w->synced, s->size);
    while (st == ST_OK && c.at < c.end) {
        struct record_header h;
        uint8_t bytes[RECORD_HEADER_BYTES];
        const uint8_t *payload = NULL;
        bool valid;
        int got = cursor_header(&c, &h, &valid, err);
        if (got == ST_OK && valid)
            got = cursor_payload(&c, &h, &payload, err);
        if (got == ST_NO_MEMORY)
            st = got;
        else if (!payload) /* or it cannot be read, which is the same */
            break;
        if (st != ST_OK)
            break;
        record_header_put(bytes, s->salt, &h);
        crc = crc32c(crc, bytes, sizeof(bytes));
        struct iovec v[2] = {{bytes, sizeof(bytes)}, {(void *)payload, (size_t)h.size}};
        st = w->file->ops->write_at(w->file, c.at, v, 2, err);
        c.at += RECORD_HEADER_BYTES + h.size;
    }
    *ret_whole = st == ST_OK && c.at == c.end && crc == w->unsynced_crc;
    cursor_release(&c);
    return st;
}

/* A region that needs a record of the doubtful end; 0: none does. With the lock held. */
static uint64_t needs_end(const struct wal *w, const struct segment *s)
{
    size_t pos = 0;
    uint64_t region_id;
    void *span;
    while (u64_map_next(&s->spans, &pos, &region_id, &span))
        if (((const struct span *)span)->last_offset >= w->synced)
            return region_id;
    return 0;
}

/* Makes the file what it would be if the failed calls had not been. Leader only, without the lock. */
static int settle(struct wal *w, struct segment *s, struct error *err)
{
    uint64_t size;
    bool whole;
    TRY(w->file->ops->size(w->file, &size, err));
    if (size > s->size) /* of a write that could not be undone */
        TRY(w->file->ops->truncate(w->file, s->size, err));
    TRY(write_again(w, s, &whole, err));
    if (whole)
        return ST_OK;
    pthread_mutex_lock(&w->lock);
    uint64_t region_id = needs_end(w, s);
    pthread_mutex_unlock(&w->lock);
    if (region_id)
        return error_set(
            err, ST_NO_SPACE,
            "the log could not be synced for want of space, and records of region %llu are gone from it: it takes nothing until that is flushed",
            (unsigned long long)region_id);
    TRY(w->file->ops->truncate(w->file, w->synced, err));
    pthread_mutex_lock(&w->lock);
    s->size = w->synced;
    w->unsynced_crc = 0;
    pthread_mutex_unlock(&w->lock);
    return ST_OK;
}

int wal_sync_newest(struct wal *w, struct error *err)
{
    struct segment *s = w->segments[w->count - 1];
    struct error why = {.status = ST_OK};
    if (w->synced == s->size && !w->stats.unsettled)
        return ST_OK;
    int st = w->stats.unsettled ? settle(w, s, &why) : ST_OK;
    if (st == ST_OK)
        st = wal_sync_or_fail(w, w->file, true, &why);
    pthread_mutex_lock(&w->lock);
    if (st == ST_OK)
        wal_note_synced(w);
    else if (st == ST_NO_SPACE || w->stats.unsettled)
        wal_unsettle(w, &why);
    pthread_mutex_unlock(&w->lock);
    if (st != ST_OK)
        return error_set(err, st, "%s", why.msg);
    return ST_OK;
}
