/* The real file system.
 *
 * Every call retries EINTR and partial transfers, so that callers see all or an error. Errors are turned into the project's statuses in one place
 * (fs_errno()), with call, path and reason in the message. A file keeps a copy of its path for that.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "os/fs.h"

enum { IOV_BATCH = 1024 }; /* IOV_MAX of Linux */

struct posix_file {
    struct fs_file file;
    int fd;
    char path[];
};

static int fs_errno(struct error *err, int number, const char *call, const char *path)
{
    enum status st = ST_STORAGE;
    if (number == ENOENT)
        st = ST_NOT_FOUND;
    else if (number == ENOSPC || number == EDQUOT)
        st = ST_NO_SPACE;
    char text[128];
    return error_set(err, st, "%s %s: %s", call, path, strerror_r(number, text, sizeof(text)));
}

static struct posix_file *posix_of(struct fs_file *f)
{
    return (struct posix_file *)f;
}

static int posix_read_at(struct fs_file *f, uint64_t offset, void *data, size_t size, size_t *ret_read, struct error *err)
{
    struct posix_file *p = posix_of(f);
    if (offset > INT64_MAX || size > INT64_MAX - offset)
        return error_set(err, ST_STORAGE, "read %s: offset out of range", p->path);
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(p->fd, (char *)data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fs_errno(err, errno, "read", p->path);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *ret_read = done;
    return ST_OK;
}

/* Writes the rest of one vector, of which the first `skip` bytes are out already. */
static int write_rest(struct posix_file *p, const struct iovec *v, size_t skip, off_t at, struct error *err)
{
    while (skip < v->iov_len) {
        ssize_t n = pwrite(p->fd, (const char *)v->iov_base + skip, v->iov_len - skip, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fs_errno(err, n < 0 ? errno : EIO, "write", p->path);
        skip += (size_t)n;
        at += n;
    }
    return ST_OK;
}

static int posix_write_at(struct fs_file *f, uint64_t offset, const struct iovec *iov, int n, struct error *err)
{
    struct posix_file *p = posix_of(f);
    off_t at = (off_t)offset;
    for (;;) {
        while (n > 0 && iov->iov_len == 0)
            iov++, n--;
        if (n <= 0)
            return ST_OK;
        ssize_t wrote = pwritev(p->fd, iov, n < IOV_BATCH ? n : IOV_BATCH, at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return fs_errno(err, wrote < 0 ? errno : EIO, "write", p->path);
        at += wrote;
        size_t left = (size_t)wrote;
        while (n > 0 && left >= iov->iov_len) {
            left -= iov->iov_len;
            iov++, n--;
        }
        if (left > 0) { /* a partial write ended inside this vector */
            TRY(write_rest(p, iov, left, at, err));
            at += (off_t)(iov->iov_len - left);
            iov++, n--;
        }
    }
}

static int posix_sync(struct fs_file *f, struct error *err)
{
    struct posix_file *p = posix_of(f);
    int rc;
    do {
        rc = fdatasync(p->fd);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? fs_errno(err, errno, "fdatasync", p->path) : ST_OK;
}

static int posix_truncate(struct fs_file *f, uint64_t size, struct error *err)
{
    struct posix_file *p = posix_of(f);
    int rc;
    do {
        rc = ftruncate(p->fd, (off_t)size);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? fs_errno(err, errno, "truncate", p->path) : ST_OK;
}

static int posix_allocate(struct fs_file *f, uint64_t size, struct error *err)
{
    struct posix_file *p = posix_of(f);
    int rc;
    do {
        rc = fallocate(p->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0 && errno != EOPNOTSUPP && errno != ENOSYS)
        return fs_errno(err, errno, "fallocate", p->path);
    return ST_OK;
}

static int posix_size(struct fs_file *f, uint64_t *ret_size, struct error *err)
{
    struct posix_file *p = posix_of(f);
    struct stat st;
    if (fstat(p->fd, &st) < 0)
        return fs_errno(err, errno, "stat", p->path);
    *ret_size = (uint64_t)st.st_size;
    return ST_OK;
}

static void posix_close(struct fs_file *f)
{
    struct posix_file *p = posix_of(f);
    close(p->fd);
    free(p);
}

static const struct fs_file_ops posix_file_ops = {
    .read_at = posix_read_at,
    .write_at = posix_write_at,
    .sync = posix_sync,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .size = posix_size,
    .close = posix_close,
};

static int posix_open(struct fs *fs, const char *path, int flags, struct fs_file **ret_file, struct error *err)
{
    (void)fs;
    int how = O_CLOEXEC;
    if (flags & FS_WRITE)
        how |= O_RDWR | O_CREAT | (flags & FS_EXCLUSIVE ? O_EXCL : 0) | (flags & FS_TRUNCATE ? O_TRUNC : 0);
    else
        how |= O_RDONLY;
    int fd;
    do {
        fd = open(path, how, 0644);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return fs_errno(err, errno, "open", path);
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return error_set(err, ST_STORAGE, "open %s: not a regular file", path);
    }
    size_t length = strlen(path);
    struct posix_file *p = malloc(sizeof(*p) + length + 1);
    if (!p) {
        close(fd);
        return error_no_memory(err, sizeof(*p) + length + 1);
    }
    p->file.ops = &posix_file_ops;
    p->fd = fd;
    memcpy(p->path, path, length + 1);
    *ret_file = &p->file;
    return ST_OK;
}

static int posix_rename(struct fs *fs, const char *from, const char *to, bool replace, struct error *err)
{
    (void)fs;
    if ((replace ? rename(from, to) : renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE)) == 0)
        return ST_OK;
    int number = errno;
    if (!replace && number == EEXIST)
        return error_set(err, ST_ILLEGAL_STATE, "%s exists already", to);
    /* A file system without RENAME_NOREPLACE: a hard link fails on an existing name just as atomically. */
    if (!replace && (number == EINVAL || number == ENOSYS)) {
        if (link(from, to) == 0)
            return remove(from) == 0 ? ST_OK : fs_errno(err, errno, "remove", from);
        number = errno;
        if (number == EEXIST)
            return error_set(err, ST_ILLEGAL_STATE, "%s exists already", to);
    }
    struct error inner;
    int st = fs_errno(&inner, number, "rename", from);
    return error_set(err, st, "%s (to %s)", inner.msg, to);
}

static int posix_remove(struct fs *fs, const char *path, struct error *err)
{
    (void)fs;
    return remove(path) < 0 ? fs_errno(err, errno, "remove", path) : ST_OK;
}

static int posix_mkdir(struct fs *fs, const char *path, struct error *err)
{
    (void)fs;
    if (mkdir(path, 0755) == 0)
        return ST_OK;
    int number = errno;
    struct stat st;
    if (number == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return ST_OK;
    return fs_errno(err, number, "mkdir", path);
}

static int posix_sync_dir(struct fs *fs, const char *path, struct error *err)
{
    (void)fs;
    int fd = open(*path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fs_errno(err, errno, "open", path);
    int rc = fsync(fd), number = errno;
    close(fd);
    /* Some network file systems cannot sync folders; their renames are synchronous. */
    if (rc < 0 && number != EINVAL && number != ENOTSUP)
        return fs_errno(err, number, "fsync", path);
    return ST_OK;
}

static int posix_stat(struct fs *fs, const char *path, struct fs_stat *ret_stat, struct error *err)
{
    (void)fs;
    struct stat st;
    if (stat(path, &st) < 0)
        return fs_errno(err, errno == ENOTDIR ? ENOENT : errno, "stat", path);
    *ret_stat = (struct fs_stat){
        .is_dir = S_ISDIR(st.st_mode),
        .size_bytes = (uint64_t)st.st_size,
        .allocated_bytes = (uint64_t)st.st_blocks * 512, /* whatever the block size is */
        .device = st.st_dev,
        .modified_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000,
    };
    return ST_OK;
}

static bool entry_is_dir(DIR *dir, const struct dirent *entry)
{
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
        return entry->d_type == DT_DIR;
    struct stat st;
    return fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int posix_list(struct fs *fs, const char *path, int (*each)(void *ctx, const char *name, bool is_dir, struct error *err), void *ctx,
                      struct error *err)
{
    (void)fs;
    DIR *dir = opendir(path);
    if (!dir)
        return fs_errno(err, errno, "list", path);
    int st = ST_OK;
    while (st == ST_OK) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno)
                st = fs_errno(err, errno, "list", path);
            break;
        }
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        st = each(ctx, entry->d_name, entry_is_dir(dir, entry), err);
    }
    closedir(dir);
    return st;
}

static int posix_space(struct fs *fs, const char *path, struct fs_space *ret_space, struct error *err)
{
    (void)fs;
    struct statvfs v;
    if (statvfs(path, &v) < 0)
        return fs_errno(err, errno, "statvfs", path);
    *ret_space = (struct fs_space){(uint64_t)v.f_bavail * v.f_frsize, (uint64_t)v.f_blocks * v.f_frsize};
    return ST_OK;
}

static int posix_lock(struct fs_file *f, struct error *err)
{
    struct posix_file *p = posix_of(f);
    int rc;
    do {
        rc = flock(p->fd, LOCK_EX | LOCK_NB);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0 && errno == EWOULDBLOCK)
        return error_set(err, ST_ILLEGAL_STATE, "%s is locked by another process", p->path);
    return rc < 0 ? fs_errno(err, errno, "lock", p->path) : ST_OK;
}

static const struct fs_ops posix_ops = {
    .open = posix_open,
    .rename = posix_rename,
    .remove = posix_remove,
    .mkdir = posix_mkdir,
    .sync_dir = posix_sync_dir,
    .stat = posix_stat,
    .list = posix_list,
    .space = posix_space,
    .lock = posix_lock,
};

struct fs *fs_posix(void)
{
    static struct fs fs = {&posix_ops};
    return &fs;
}
