/* Helpers that need nothing but the vtable of a file system, so that they work the same on the simulated one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/fs.h"

enum { TREE_DEPTH_MAX = 64 };

int fs_read_exact(struct fs_file *f, uint64_t offset, void *data, size_t size, struct error *err)
{
    size_t got;
    TRY(f->ops->read_at(f, offset, data, size, &got, err));
    if (got < size)
        return error_set(err, ST_CORRUPT, "file ends %zu bytes early (wanted %zu at %llu)", size - got, size, (unsigned long long)offset);
    return ST_OK;
}

int fs_read_all(struct fs *fs, const char *path, size_t max_bytes, struct dynbuf *ret_data, struct error *err)
{
    struct fs_file *f;
    struct dynbuf data;
    TRY(fs->ops->open(fs, path, FS_READ, &f, err));
    dynbuf_init(&data, max_bytes == SIZE_MAX ? SIZE_MAX : max_bytes + 1);
    uint64_t size;
    int st = f->ops->size(f, &size, err);
    if (st == ST_OK && size > max_bytes)
        st = error_set(err, ST_EXHAUSTED, "%s has %llu bytes, more than the %zu allowed", path, (unsigned long long)size, max_bytes);
    if (st == ST_OK)
        st = dynbuf_reserve(&data, (size_t)size + 1, err);
    if (st == ST_OK)
        st = f->ops->read_at(f, 0, data.data, (size_t)size, &data.size, err);
    f->ops->close(f);
    if (st != ST_OK) {
        dynbuf_release(&data);
        return st;
    }
    data.data[data.size] = 0;
    *ret_data = data;
    return ST_OK;
}

/* Syncs the folder that holds `path`. */
static int sync_parent(struct fs *fs, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return fs->ops->sync_dir(fs, ".", err);
    char *parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (!parent)
        return error_no_memory(err, strlen(path));
    int st = fs->ops->sync_dir(fs, parent, err);
    free(parent);
    return st;
}

static bool is_dir(struct fs *fs, const char *path)
{
    struct fs_stat st;
    return fs->ops->stat(fs, path, &st, NULL) == ST_OK && st.is_dir;
}

int fs_mkdirs(struct fs *fs, const char *path, struct error *err)
{
    if (!*path || is_dir(fs, path))
        return ST_OK;
    char *part = strdup(path);
    if (!part)
        return error_no_memory(err, strlen(path) + 1);
    size_t length = strlen(part);
    while (length > 1 && part[length - 1] == '/')
        part[--length] = 0;
    int st = ST_OK;
    for (size_t i = 1; i <= length && st == ST_OK; i++) {
        if (part[i] != '/' && part[i] != 0)
            continue;
        char kept = part[i];
        part[i] = 0;
        if (!is_dir(fs, part)) {
            st = fs->ops->mkdir(fs, part, err);
            /* A folder nobody synced may be gone after a power cut, and everything in it. */
            if (st == ST_OK)
                st = sync_parent(fs, part, err);
        }
        part[i] = kept;
    }
    free(part);
    return st;
}

bool fs_exists(struct fs *fs, const char *path)
{
    struct fs_stat st;
    return fs->ops->stat(fs, path, &st, NULL) == ST_OK;
}

struct name_list {
    struct dynbuf names; /* 'd' or 'f', name, zero; repeated */
};

static int collect_name(void *ctx, const char *name, bool is_dir_entry, struct error *err)
{
    struct name_list *l = ctx;
    TRY(dynbuf_append_byte(&l->names, is_dir_entry ? 'd' : 'f', err));
    return dynbuf_append(&l->names, name, strlen(name) + 1, err);
}

static int remove_tree(struct fs *fs, const char *path, unsigned depth, struct error *err);

static int remove_child(struct fs *fs, const char *path, const char *name, bool dir, unsigned depth, struct error *err)
{
    size_t bytes = strlen(path) + strlen(name) + 2;
    char *child = malloc(bytes);
    if (!child)
        return error_no_memory(err, bytes);
    snprintf(child, bytes, "%s/%s", path, name);
    int st = dir ? remove_tree(fs, child, depth + 1, err) : fs->ops->remove(fs, child, err);
    free(child);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* Names are collected first, as removing while listing may skip entries. Hidden names go last: they are markers that say what a crash in the
 * middle has to finish. */
static int remove_contents(struct fs *fs, const char *path, unsigned depth, struct error *err)
{
    if (depth > TREE_DEPTH_MAX)
        return error_set(err, ST_STORAGE, "%s: folders nested too deep", path);
    struct name_list l;
    dynbuf_init(&l.names, (size_t)1 << 30);
    int st = fs->ops->list(fs, path, collect_name, &l, err);
    for (int hidden = 0; hidden < 2; hidden++) {
        for (size_t at = 0; st == ST_OK && at < l.names.size;) {
            bool dir = l.names.data[at] == 'd';
            const char *name = (const char *)l.names.data + at + 1;
            at += strlen(name) + 2;
            if ((name[0] == '.') == hidden)
                st = remove_child(fs, path, name, dir, depth, err);
        }
        if (st == ST_OK && l.names.size) /* a power cut must not bring back what was hidden behind a marker, nor the marker into a new folder */
            st = fs->ops->sync_dir(fs, path, err);
    }
    dynbuf_release(&l.names);
    return st;
}

static int remove_tree(struct fs *fs, const char *path, unsigned depth, struct error *err)
{
    int st = remove_contents(fs, path, depth, err);
    if (st == ST_OK)
        st = fs->ops->remove(fs, path, err);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

int fs_remove_tree(struct fs *fs, const char *path, struct error *err)
{
    struct fs_stat st;
    int rc = fs->ops->stat(fs, path, &st, err);
    if (rc == ST_NOT_FOUND)
        return ST_OK;
    TRY(rc);
    return st.is_dir ? remove_tree(fs, path, 0, err) : fs->ops->remove(fs, path, err);
}

int fs_clear_dir(struct fs *fs, const char *path, struct error *err)
{
    int st = remove_contents(fs, path, 0, err);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

int fs_write_atomic(struct fs *fs, const char *path, const char *tmp_path, const void *data, size_t size, struct error *err)
{
    struct fs_file *f;
    TRY(fs->ops->open(fs, tmp_path, FS_WRITE | FS_TRUNCATE, &f, err));
    struct iovec v = {(void *)data, size};
    int st = size ? f->ops->write_at(f, 0, &v, 1, err) : ST_OK;
    if (st == ST_OK)
        st = f->ops->sync(f, err);
    f->ops->close(f);
    if (st == ST_OK)
        st = fs->ops->rename(fs, tmp_path, path, true, err);
    if (st != ST_OK) {
        fs->ops->remove(fs, tmp_path, NULL);
        return st;
    }
    return sync_parent(fs, path, err);
}
