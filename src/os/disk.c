/* The reserve, and the file systems that know of it. */
#include "os/disk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "os/thread.h"

enum {
    DISK_SHARE = 20,             /* the reserve is at most this part of the disk */
    RESERVE_MIN_BYTES = 1 << 20, /* less is not worth it */
    STEPS = 16,                  /* in which it is given up: what somebody else takes meanwhile is one of them */
    LOW_SHARE = 8,               /* full: less than this part of the reserve is free */
    MARGIN_SHARE = 4,            /* usable again: this part more than the reserve is free */
    MARGIN_MIN_BYTES = 1 << 20,
    PATTERN_BYTES = 1 << 16,
};

/* A file system in front of the real one. */
struct view {
    struct fs fs;
    struct disk *disk;
    bool uses_reserve;
};

struct disk {
    struct view freeing, growing;
    struct fs *inner;
    char *dir, *reserve_path;
    void (*changed)(void *ctx, const struct disk *disk, const struct disk_state *state);
    void *ctx;
    uint64_t low_bytes, margin_bytes;
    _Atomic bool full;         /* as state.full, for readers without the lock */
    _Atomic unsigned given_up; /* how often a part of the reserve was */
    pthread_mutex_t lock;      /* guards what follows, and the reserve's file */
    struct disk_state state;
    pthread_cond_t stop_wake;
    bool stopping, has_poller;
    int64_t poll_ms;
    pthread_t poller;
};

struct disk_file {
    struct fs_file file;
    struct fs_file *inner;
    struct view *view;
};

/* ---- the reserve; all with the lock held ---- */

static void tell(struct disk *d, bool full)
{
    d->state.full = full;
    d->state.times_full += full;
    atomic_store(&d->full, full);
    if (d->changed)
        d->changed(d->ctx, d, &d->state);
}

static void become_full(struct disk *d, const char *cause)
{
    struct fs_space s;
    if (d->state.full)
        return;
    snprintf(d->state.cause, sizeof(d->state.cause), "%.255s", cause);
    if (d->inner->ops->space(d->inner, d->dir, &s, NULL) == ST_OK)
        d->state.free_bytes = s.free_bytes;
    tell(d, true);
}

static int cut(struct disk *d, uint64_t size)
{
    struct fs_file *f;
    TRY(d->inner->ops->open(d->inner, d->reserve_path, FS_WRITE, &f, NULL));
    int st = f->ops->truncate(f, size, NULL);
    f->ops->close(f);
    return st;
}

/* Gives up a part of the reserve, or the rest. False when there is none. */
static bool give_up(struct disk *d)
{
    uint64_t step = d->state.reserve_bytes / STEPS, left = d->state.held_bytes > 2 * step ? d->state.held_bytes - step : 0;
    if (!d->state.held_bytes)
        return false;
    if (left && cut(d, left) != ST_OK)
        left = 0;
    if (!left && d->inner->ops->remove(d->inner, d->reserve_path, NULL) != ST_OK)
        return false;
    d->state.held_bytes = left;
    atomic_fetch_add(&d->given_up, 1);
    return true;
}

/* For file systems that keep no blocks for a file: contents that do not compress. */
static int fill(struct fs_file *f, uint64_t size, struct error *err)
{
    uint8_t *pattern = malloc(PATTERN_BYTES);
    if (!pattern)
        return error_no_memory(err, PATTERN_BYTES);
    random_bytes(pattern, PATTERN_BYTES);
    int st = ST_OK;
    for (uint64_t at = 0; at < size && st == ST_OK; at += PATTERN_BYTES) {
        memcpy(pattern, &at, sizeof(at));
        struct iovec v = {pattern, size - at < PATTERN_BYTES ? (size_t)(size - at) : PATTERN_BYTES};
        st = f->ops->write_at(f, at, &v, 1, err);
    }
    free(pattern);
    return st;
}

/* Makes the reserve whole, and proves that it does not take the last space: room for the margin is taken too, and given back. */
static int make(struct disk *d, struct error *err)
{
    struct fs *fs = d->inner;
    uint64_t wanted = d->state.reserve_bytes, proof = wanted + d->margin_bytes;
    struct fs_stat info;
    struct fs_file *f;
    TRY(fs->ops->open(fs, d->reserve_path, FS_WRITE, &f, err));
    int st = f->ops->allocate(f, proof, err);
    if (st == ST_OK)
        st = fs->ops->stat(fs, d->reserve_path, &info, err);
    if (st == ST_OK && info.allocated_bytes < proof)
        st = fill(f, proof, err);
    uint64_t left = st == ST_OK ? wanted : d->state.held_bytes;
    int trimmed = left ? f->ops->truncate(f, left, st == ST_OK ? err : NULL) : ST_OK;
    f->ops->close(f);
    st = status_merge(st, trimmed);
    left = trimmed == ST_OK ? left : 0;
    if (!left)
        fs->ops->remove(fs, d->reserve_path, NULL);
    d->state.held_bytes = left;
    return st;
}

/* What a failed make() leaves behind: a full disk, or one that has room but no reserve. */
static void note_unmade(struct disk *d, int st, const struct error *why)
{
    if (st == ST_NO_SPACE)
        become_full(d, why->msg);
    else if (!d->state.full)
        snprintf(d->state.cause, sizeof(d->state.cause), "%.255s", why->msg);
}

void disk_poll(struct disk *d)
{
    struct fs_space s;
    struct fs_stat info;
    struct error why;
    if (d->inner->ops->space(d->inner, d->dir, &s, NULL) != ST_OK)
        return; /* whoever needs the disk will say so */
    pthread_mutex_lock(&d->lock);
    d->state.free_bytes = s.free_bytes;
    d->state.total_bytes = s.total_bytes;
    if (d->state.held_bytes && d->inner->ops->stat(d->inner, d->reserve_path, &info, NULL) == ST_NOT_FOUND)
        d->state.held_bytes = 0; /* somebody has removed it */
    uint64_t missing = d->state.reserve_bytes - d->state.held_bytes;
    if (!d->state.full && s.free_bytes < d->low_bytes) {
        char cause[128];
        snprintf(cause, sizeof(cause), "fewer than %llu bytes are free", (unsigned long long)d->low_bytes);
        become_full(d, cause);
    } else if ((d->state.full || missing) && s.free_bytes >= d->margin_bytes + missing) {
        int st = make(d, &why);
        if (st != ST_OK)
            note_unmade(d, st, &why);
        if (st == ST_OK)
            d->state.cause[0] = 0;
        if (d->state.full && st != ST_NO_SPACE)
            tell(d, false);
    }
    pthread_mutex_unlock(&d->lock);
}

/* ---- the views ---- */

static struct view *view_of(struct fs *fs)
{
    return (struct view *)fs;
}

static struct disk_file *file_of(struct fs_file *f)
{
    return (struct disk_file *)f;
}

/* After a call that met a full disk, *seen: d->given_up when it began. Whether there is room now that there was not. */
static bool made_room(struct view *v, unsigned *seen, const struct error *why)
{
    struct disk *d = v->disk;
    pthread_mutex_lock(&d->lock);
    become_full(d, why->msg);
    bool room = v->uses_reserve && (atomic_load(&d->given_up) != *seen || give_up(d));
    *seen = atomic_load(&d->given_up);
    pthread_mutex_unlock(&d->lock);
    return room;
}

/* Makes a call that may need space; again, while there is none and the reserve makes some. */
#define RETURN_WITH_ROOM(view, err, call)                                                                                                            \
    do {                                                                                                                                             \
        struct error why;                                                                                                                            \
        unsigned seen = atomic_load(&(view)->disk->given_up);                                                                                        \
        struct error *e = &why;                                                                                                                      \
        int st = (call);                                                                                                                             \
        while (st == ST_NO_SPACE && made_room((view), &seen, &why))                                                                                  \
            st = (call);                                                                                                                             \
        if (st != ST_OK && (err))                                                                                                                    \
            *(err) = why;                                                                                                                            \
        return st;                                                                                                                                   \
    } while (0)

static int file_read_at(struct fs_file *f, uint64_t offset, void *data, size_t size, size_t *ret_read, struct error *err)
{
    struct fs_file *inner = file_of(f)->inner;
    return inner->ops->read_at(inner, offset, data, size, ret_read, err);
}

static int file_write_at(struct fs_file *f, uint64_t offset, const struct iovec *iov, int n, struct error *err)
{
    struct fs_file *inner = file_of(f)->inner;
    RETURN_WITH_ROOM(file_of(f)->view, err, inner->ops->write_at(inner, offset, iov, n, e));
}

/* Not made again: what a failed sync leaves of the contents is in doubt. The reserve makes room for the next file. */
static int file_sync(struct fs_file *f, struct error *err)
{
    struct fs_file *inner = file_of(f)->inner;
    struct view *v = file_of(f)->view;
    struct error why;
    unsigned seen = atomic_load(&v->disk->given_up);
    int st = inner->ops->sync(inner, &why);
    if (st == ST_NO_SPACE)
        (void)made_room(v, &seen, &why);
    if (st != ST_OK && err)
        *err = why;
    return st;
}

static int file_truncate(struct fs_file *f, uint64_t size, struct error *err)
{
    struct fs_file *inner = file_of(f)->inner;
    RETURN_WITH_ROOM(file_of(f)->view, err, inner->ops->truncate(inner, size, e));
}

static int file_allocate(struct fs_file *f, uint64_t size, struct error *err)
{
    struct fs_file *inner = file_of(f)->inner;
    RETURN_WITH_ROOM(file_of(f)->view, err, inner->ops->allocate(inner, size, e));
}

static int file_size(struct fs_file *f, uint64_t *ret_size, struct error *err)
{
    struct fs_file *inner = file_of(f)->inner;
    return inner->ops->size(inner, ret_size, err);
}

static void file_close(struct fs_file *f)
{
    struct fs_file *inner = file_of(f)->inner;
    inner->ops->close(inner);
    free(f);
}

static const struct fs_file_ops file_ops = {
    .read_at = file_read_at,
    .write_at = file_write_at,
    .sync = file_sync,
    .truncate = file_truncate,
    .allocate = file_allocate,
    .size = file_size,
    .close = file_close,
};

static int open_inner(struct view *v, const char *path, int flags, struct fs_file **ret_file, struct error *err)
{
    struct fs *inner = v->disk->inner;
    RETURN_WITH_ROOM(v, err, inner->ops->open(inner, path, flags, ret_file, e));
}

static int view_open(struct fs *fs, const char *path, int flags, struct fs_file **ret_file, struct error *err)
{
    struct disk_file *f = malloc(sizeof(*f));
    if (!f)
        return error_no_memory(err, sizeof(*f));
    *f = (struct disk_file){.file = {&file_ops}, .view = view_of(fs)};
    int st = open_inner(f->view, path, flags, &f->inner, err);
    if (st != ST_OK)
        free(f);
    else
        *ret_file = &f->file;
    return st;
}

static int view_rename(struct fs *fs, const char *from, const char *to, bool replace, struct error *err)
{
    struct fs *inner = view_of(fs)->disk->inner;
    RETURN_WITH_ROOM(view_of(fs), err, inner->ops->rename(inner, from, to, replace, e));
}

static int view_remove(struct fs *fs, const char *path, struct error *err)
{
    struct fs *inner = view_of(fs)->disk->inner;
    RETURN_WITH_ROOM(view_of(fs), err, inner->ops->remove(inner, path, e)); /* file systems that copy on write need space for it */
}

static int view_mkdir(struct fs *fs, const char *path, struct error *err)
{
    struct fs *inner = view_of(fs)->disk->inner;
    RETURN_WITH_ROOM(view_of(fs), err, inner->ops->mkdir(inner, path, e));
}

static int view_sync_dir(struct fs *fs, const char *path, struct error *err)
{
    struct fs *inner = view_of(fs)->disk->inner;
    RETURN_WITH_ROOM(view_of(fs), err, inner->ops->sync_dir(inner, path, e));
}

static int view_stat(struct fs *fs, const char *path, struct fs_stat *ret_stat, struct error *err)
{
    struct fs *inner = view_of(fs)->disk->inner;
    return inner->ops->stat(inner, path, ret_stat, err);
}

static int view_list(struct fs *fs, const char *path, int (*each)(void *ctx, const char *name, bool is_dir, struct error *err), void *ctx,
                     struct error *err)
{
    struct fs *inner = view_of(fs)->disk->inner;
    return inner->ops->list(inner, path, each, ctx, err);
}

static int view_space(struct fs *fs, const char *path, struct fs_space *ret_space, struct error *err)
{
    struct fs *inner = view_of(fs)->disk->inner;
    return inner->ops->space(inner, path, ret_space, err);
}

static int view_lock(struct fs_file *f, struct error *err)
{
    struct fs *inner = file_of(f)->view->disk->inner;
    return inner->ops->lock(file_of(f)->inner, err);
}

static const struct fs_ops view_ops = {
    .open = view_open,
    .rename = view_rename,
    .remove = view_remove,
    .mkdir = view_mkdir,
    .sync_dir = view_sync_dir,
    .stat = view_stat,
    .list = view_list,
    .space = view_space,
    .lock = view_lock,
};

/* ---- life cycle ---- */

static void *poll_main(void *arg)
{
    struct disk *d = arg;
    pthread_mutex_lock(&d->lock);
    while (!d->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += d->poll_ms / 1000;
        until.tv_nsec += d->poll_ms % 1000 * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&d->stop_wake, &d->lock, &until);
        if (d->stopping)
            break;
        pthread_mutex_unlock(&d->lock);
        disk_poll(d);
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* What is on the disk already, and what there can be. */
static void look_around(struct disk *d, uint64_t reserve_bytes)
{
    struct fs_space s = {UINT64_MAX / 2, UINT64_MAX / 2};
    struct fs_stat info;
    struct error why;
    (void)d->inner->ops->space(d->inner, d->dir, &s, NULL);
    uint64_t most = s.total_bytes / DISK_SHARE;
    reserve_bytes = reserve_bytes < most ? reserve_bytes : most;
    reserve_bytes = reserve_bytes < RESERVE_MIN_BYTES ? 0 : reserve_bytes;
    d->state = (struct disk_state){.reserve_bytes = reserve_bytes, .free_bytes = s.free_bytes, .total_bytes = s.total_bytes};
    d->low_bytes = reserve_bytes / LOW_SHARE;
    d->margin_bytes = reserve_bytes / MARGIN_SHARE;
    if (d->margin_bytes < MARGIN_MIN_BYTES)
        d->margin_bytes = MARGIN_MIN_BYTES < most ? MARGIN_MIN_BYTES : most;
    bool there = d->inner->ops->stat(d->inner, d->reserve_path, &info, NULL) == ST_OK;
    uint64_t has = !there ? 0 : info.size_bytes < info.allocated_bytes ? info.size_bytes : info.allocated_bytes;
    d->state.held_bytes = has < reserve_bytes ? has : reserve_bytes;
    if (reserve_bytes && has == reserve_bytes && s.free_bytes >= d->margin_bytes)
        return; /* as the last process left it */
    pthread_mutex_lock(&d->lock);
    int st = make(d, &why);
    if (st != ST_OK)
        note_unmade(d, st, &why);
    pthread_mutex_unlock(&d->lock);
}

int disk_new(const struct disk_options *o, struct disk **ret_disk, struct error *err)
{
    struct disk *d = calloc(1, sizeof(*d));
    if (!d)
        return error_no_memory(err, sizeof(*d));
    d->freeing = (struct view){{&view_ops}, d, true};
    d->growing = (struct view){{&view_ops}, d, false};
    d->inner = o->fs;
    d->changed = o->changed;
    d->ctx = o->ctx;
    d->poll_ms = o->poll_ms;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->stop_wake, NULL);
    size_t room = strlen(o->dir) + strlen(o->reserve_name) + 2;
    d->dir = strdup(o->dir);
    d->reserve_path = malloc(room);
    int st = d->dir && d->reserve_path ? ST_OK : error_no_memory(err, room);
    if (st == ST_OK) {
        snprintf(d->reserve_path, room, "%s/%s", o->dir, o->reserve_name);
        look_around(d, o->reserve_bytes);
        if (d->poll_ms)
            st = thread_start(&d->poller, "disk-poll", poll_main, d, err);
        d->has_poller = d->poll_ms && st == ST_OK;
    }
    if (st != ST_OK)
        disk_free(d);
    else
        *ret_disk = d;
    return st;
}

void disk_free(struct disk *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    pthread_cond_signal(&d->stop_wake);
    pthread_mutex_unlock(&d->lock);
    if (d->has_poller)
        pthread_join(d->poller, NULL);
    pthread_cond_destroy(&d->stop_wake);
    pthread_mutex_destroy(&d->lock);
    free(d->dir);
    free(d->reserve_path);
    free(d);
}

const char *disk_dir(const struct disk *d)
{
    return d->dir;
}

struct fs *disk_fs(struct disk *d)
{
    return &d->freeing.fs;
}

struct fs *disk_fs_growing(struct disk *d)
{
    return &d->growing.fs;
}

int disk_check(const struct disk *d, struct error *err)
{
    if (!d || !atomic_load_explicit(&d->full, memory_order_relaxed))
        return ST_OK;
    return error_set(
        err, ST_NO_SPACE,
        "the disk of %s is full: writes, new tables and schema changes are refused until there is room; reads, flushes, drops and truncates go on. "
        "Delete files, drop or truncate tables, or enlarge the disk",
        d->dir);
}

void disk_get_state(struct disk *d, struct disk_state *ret_state)
{
    pthread_mutex_lock(&d->lock);
    *ret_state = d->state;
    pthread_mutex_unlock(&d->lock);
}
