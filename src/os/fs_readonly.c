#include "os/fs_readonly.h"

static int refuse(const char *call, const char *path, struct error *err)
{
    return error_set(err, ST_STORAGE, "%s %s: the folder is open for reading only", call, path);
}

static int readonly_open(struct fs *fs, const char *path, int flags, struct fs_file **ret_file, struct error *err)
{
    (void)fs;
    if (flags != FS_READ)
        return refuse("open", path, err);
    return fs_posix()->ops->open(fs_posix(), path, flags, ret_file, err);
}

static int readonly_rename(struct fs *fs, const char *from, const char *to, bool replace, struct error *err)
{
    (void)fs, (void)to, (void)replace;
    return refuse("rename", from, err);
}

static int readonly_remove(struct fs *fs, const char *path, struct error *err)
{
    (void)fs;
    return refuse("remove", path, err);
}

static int readonly_mkdir(struct fs *fs, const char *path, struct error *err)
{
    (void)fs;
    return refuse("mkdir", path, err);
}

static int readonly_sync_dir(struct fs *fs, const char *path, struct error *err)
{
    (void)fs;
    return refuse("sync", path, err);
}

static int readonly_stat(struct fs *fs, const char *path, struct fs_stat *ret_stat, struct error *err)
{
    (void)fs;
    return fs_posix()->ops->stat(fs_posix(), path, ret_stat, err);
}

static int readonly_list(struct fs *fs, const char *path, int (*each)(void *ctx, const char *name, bool is_dir, struct error *err), void *ctx,
                         struct error *err)
{
    (void)fs;
    return fs_posix()->ops->list(fs_posix(), path, each, ctx, err);
}

static int readonly_space(struct fs *fs, const char *path, struct fs_space *ret_space, struct error *err)
{
    (void)fs;
    return fs_posix()->ops->space(fs_posix(), path, ret_space, err);
}

static int readonly_lock(struct fs_file *file, struct error *err)
{
    (void)file;
    return refuse("lock", "a file", err);
}

static const struct fs_ops readonly_ops = {
    .open = readonly_open,
    .rename = readonly_rename,
    .remove = readonly_remove,
    .mkdir = readonly_mkdir,
    .sync_dir = readonly_sync_dir,
    .stat = readonly_stat,
    .list = readonly_list,
    .space = readonly_space,
    .lock = readonly_lock,
};

struct fs *fs_readonly(void)
{
    static struct fs fs = {&readonly_ops};
    return &fs;
}
