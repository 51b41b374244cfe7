/* Files: the only place that makes file-system calls, behind a small vtable.
 *
 * Backends: fs_posix() (the real one), the one in os/disk.h in front of it, which knows what to do when a disk is full, and the simulated one in
 * os/fs_sim.h, which fails calls on demand and, at a simulated power cut, drops or tears whatever was not synced. All functions are thread-safe; one file may be read by many threads at once, written by one.
 * Errors: ST_NOT_FOUND (no such file), ST_NO_SPACE (ENOSPC, EDQUOT), ST_STORAGE (everything else; the message names call, path and errno).
 */
#ifndef OS_FS_H
#define OS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buffer.h"
#include "base/error.h"

enum fs_open_flags {
    FS_READ = 1,
    FS_WRITE = 2,    /* read and write, made if absent */
    FS_EXCLUSIVE = 4, /* with FS_WRITE: fail when it exists */
    FS_TRUNCATE = 8, /* with FS_WRITE */
};

struct fs_stat {
    bool is_dir;
    uint64_t size_bytes;
    uint64_t allocated_bytes; /* blocks that it has on the disk, those kept for it included */
    uint64_t device;          /* files with the same one share their space */
    int64_t modified_ms;
};

struct fs_space {
    uint64_t free_bytes, total_bytes; /* for us: what only root may use is not free */
};

struct fs;
struct fs_file;

struct fs_ops {
    int (*open)(struct fs *fs, const char *path, int flags, struct fs_file **ret_file, struct error *err);
    /* Replaces `to`, or when it must not (`replace` false) fails with ST_ILLEGAL_STATE if that exists. */
    int (*rename)(struct fs *fs, const char *from, const char *to, bool replace, struct error *err);
    int (*remove)(struct fs *fs, const char *path, struct error *err);                 /* a file or an empty folder */
    int (*mkdir)(struct fs *fs, const char *path, struct error *err);                  /* fine when it exists */
    int (*sync_dir)(struct fs *fs, const char *path, struct error *err);
    int (*stat)(struct fs *fs, const char *path, struct fs_stat *ret_stat, struct error *err);
    /* Calls `each` for every entry (not . and ..); stops at its first failure. */
    int (*list)(struct fs *fs, const char *path, int (*each)(void *ctx, const char *name, bool is_dir, struct error *err), void *ctx, struct error *err);
    int (*space)(struct fs *fs, const char *path, struct fs_space *ret_space, struct error *err); /* of the disk that holds `path` */
    /* Exclusive advisory lock on a file, held until the file is closed; ST_ILLEGAL_STATE when somebody else has it. */
    int (*lock)(struct fs_file *file, struct error *err);
};

struct fs_file_ops {
    /* Reads up to `size` bytes; *ret_read < size only at the end of the file. */
    int (*read_at)(struct fs_file *f, uint64_t offset, void *data, size_t size, size_t *ret_read, struct error *err);
    /* Writes all of it at `offset`, or fails (what reached the file is then unknown). */
    int (*write_at)(struct fs_file *f, uint64_t offset, const struct iovec *iov, int n, struct error *err);
    int (*sync)(struct fs_file *f, struct error *err);      /* fdatasync; after a failure the contents since the last sync are in doubt */
    int (*truncate)(struct fs_file *f, uint64_t size, struct error *err);
    int (*allocate)(struct fs_file *f, uint64_t size, struct error *err); /* reserves blocks; a hint, unsupported = OK */
    int (*size)(struct fs_file *f, uint64_t *ret_size, struct error *err);
    void (*close)(struct fs_file *f); /* also removes the lock */
};

struct fs { const struct fs_ops *ops; };
struct fs_file { const struct fs_file_ops *ops; };

struct fs *fs_posix(void);

/* Helpers on top of the vtable. */
int fs_read_exact(struct fs_file *f, uint64_t offset, void *data, size_t size, struct error *err); /* ST_CORRUPT when the file is shorter */
int fs_read_all(struct fs *fs, const char *path, size_t max_bytes, struct dynbuf *ret_data, struct error *err); /* data->data is zero-terminated beyond size */
int fs_mkdirs(struct fs *fs, const char *path, struct error *err);
bool fs_exists(struct fs *fs, const char *path);
int fs_remove_tree(struct fs *fs, const char *path, struct error *err); /* fine when absent */
int fs_clear_dir(struct fs *fs, const char *path, struct error *err);   /* removes all that is in it; fine when absent */
/* Durable replace: writes tmp_path, syncs it, renames it over path, syncs the folder of path. */
int fs_write_atomic(struct fs *fs, const char *path, const char *tmp_path, const void *data, size_t size, struct error *err);

#endif
