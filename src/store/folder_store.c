/* Objects as files of a local folder.
 *
 * Invariant: a name under the root outside tmp/ always holds a whole object. Writers fill <root>/tmp/<basename>.<8 random characters>, sync the file,
 * rename it to its place and sync the folder it now is in (the peer leaves the last step out, so there a power cut may take back what was
 * acknowledged). What a crash leaves in tmp/ is wiped at the next open, and so is .tmp/, which older peers used (mito-on-disk.md section 1).
 *
 * A plain remove() is not synced: an object that comes back after a power cut is garbage that its owner removes again; remove_prefix() is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/thread.h"
#include "store/object_store.h"

enum { KEY_BYTES_MAX = 2048, LIST_DEPTH_MAX = 64, WRITER_BUFFER_BYTES = 256 << 10 };

struct folder_store {
    struct object_store store;
    struct fs *fs;
    char *root; /* without trailing slash */
};

struct folder_reader {
    struct object_reader reader;
    struct fs_file *file;
};

struct folder_writer {
    struct object_writer writer;
    struct folder_store *store;
    struct fs_file *file;
    char *path, *tmp_path;
    uint64_t written; /* bytes handed to the file */
    size_t buffered;
    uint8_t *buffer;
    int failed; /* first failure; commit() repeats it */
};

static struct folder_store *folder_of(struct object_store *s)
{
    return (struct folder_store *)s;
}

/* Keys come from requests and manifests: nothing outside the root may be named. */
static int check_key(const char *key, struct error *err)
{
    size_t length = strnlen(key, KEY_BYTES_MAX + 1);
    if (length > KEY_BYTES_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "object key longer than %d bytes", KEY_BYTES_MAX);
    if (key[0] == '/')
        return error_set(err, ST_INVALID_ARGUMENTS, "object key %.200s is an absolute path", key);
    size_t first = strcspn(key, "/");
    if ((first == 3 && !memcmp(key, "tmp", 3)) || (first == 4 && !memcmp(key, ".tmp", 4)))
        return error_set(err, ST_INVALID_ARGUMENTS, "object key %.200s is in the store's own folder", key);
    for (const char *part = key; *part;) {
        size_t n = strcspn(part, "/");
        if ((n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
            return error_set(err, ST_INVALID_ARGUMENTS, "object key %.200s leaves its folder", key);
        part += n;
        if (*part)
            part++;
    }
    return ST_OK;
}

static int join(const char *folder, const char *name, char **ret_path, struct error *err)
{
    size_t a = strlen(folder), b = strlen(name);
    while (b > 1 && name[b - 1] == '/')
        b--;
    char *path = malloc(a + b + 2);
    if (!path)
        return error_no_memory(err, a + b + 2);
    memcpy(path, folder, a);
    if (b > 0 && a > 0)
        path[a++] = '/';
    memcpy(path + a, name, b);
    path[a + b] = 0;
    *ret_path = path;
    return ST_OK;
}

static int path_of(struct folder_store *s, const char *key, bool allow_root, char **ret_path, struct error *err)
{
    TRY(check_key(key, err));
    if (!allow_root && !*key)
        return error_set(err, ST_INVALID_ARGUMENTS, "empty object key");
    return join(s->root, key, ret_path, err);
}

static int reader_read_at(struct object_reader *r, uint64_t offset, void *data, size_t size, struct error *err)
{
    if (offset > r->size_bytes || size > r->size_bytes - offset)
        return error_set(err, ST_CORRUPT, "object has %llu bytes, read wants %zu at %llu", (unsigned long long)r->size_bytes, size,
                         (unsigned long long)offset);
    return fs_read_exact(((struct folder_reader *)r)->file, offset, data, size, err);
}

static void reader_close(struct object_reader *r)
{
    struct folder_reader *f = (struct folder_reader *)r;
    f->file->ops->close(f->file);
    free(f);
}

static const struct object_reader_ops reader_ops = {.read_at = reader_read_at, .close = reader_close};

static int folder_open(struct object_store *s, const char *key, struct object_reader **ret_reader, struct error *err)
{
    struct folder_store *store = folder_of(s);
    char *path;
    TRY(path_of(store, key, false, &path, err));
    struct fs_file *file;
    int st = store->fs->ops->open(store->fs, path, FS_READ, &file, err);
    free(path);
    TRY(st);
    uint64_t size;
    struct folder_reader *r = NULL;
    st = file->ops->size(file, &size, err);
    if (st == ST_OK && !(r = calloc(1, sizeof(*r))))
        st = error_no_memory(err, sizeof(*r));
    if (st != ST_OK) {
        file->ops->close(file);
        return st;
    }
    r->reader = (struct object_reader){&reader_ops, size};
    r->file = file;
    *ret_reader = &r->reader;
    return ST_OK;
}

static void writer_free(struct folder_writer *w)
{
    free(w->buffer);
    free(w->path);
    free(w->tmp_path);
    free(w);
}

static int writer_put(struct folder_writer *w, const struct iovec *iov, int n, size_t size, struct error *err)
{
    int st = w->file->ops->write_at(w->file, w->written, iov, n, err);
    if (st != ST_OK)
        w->failed = st;
    else
        w->written += size;
    return st;
}

static int writer_append(struct object_writer *ow, const void *data, size_t size, struct error *err)
{
    struct folder_writer *w = (struct folder_writer *)ow;
    if (w->failed)
        return error_set(err, w->failed, "an earlier write to %s failed", w->tmp_path);
    if (size < WRITER_BUFFER_BYTES - w->buffered) {
        if (size)
            memcpy(w->buffer + w->buffered, data, size);
        w->buffered += size;
        return ST_OK;
    }
    struct iovec iov[2] = {{w->buffer, w->buffered}, {(void *)data, size}};
    TRY(writer_put(w, iov, 2, w->buffered + size, err));
    w->buffered = 0;
    return ST_OK;
}

static void writer_abort(struct object_writer *ow)
{
    struct folder_writer *w = (struct folder_writer *)ow;
    struct fs *fs = w->store->fs;
    w->file->ops->close(w->file);
    fs->ops->remove(fs, w->tmp_path, NULL);
    writer_free(w);
}

/* The folder of `path`, made if absent and synced when `then_sync`. */
static int with_parent(struct fs *fs, char *path, bool then_sync, struct error *err)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return then_sync ? fs->ops->sync_dir(fs, slash ? "/" : ".", err) : ST_OK;
    *slash = 0;
    int st = then_sync ? fs->ops->sync_dir(fs, path, err) : fs_mkdirs(fs, path, err);
    *slash = '/';
    return st;
}

static int writer_finish(struct object_writer *ow, bool replace, struct error *err)
{
    struct folder_writer *w = (struct folder_writer *)ow;
    struct fs *fs = w->store->fs;
    int st = w->failed;
    if (st)
        error_set(err, st, "an earlier write to %s failed", w->tmp_path);
    struct iovec v = {w->buffer, w->buffered};
    if (st == ST_OK && w->buffered)
        st = writer_put(w, &v, 1, w->buffered, err);
    if (st == ST_OK)
        st = w->file->ops->sync(w->file, err);
    if (st == ST_OK)
        st = with_parent(fs, w->path, false, err);
    if (st == ST_OK)
        st = fs->ops->rename(fs, w->tmp_path, w->path, replace, err);
    if (st != ST_OK) {
        writer_abort(ow);
        return st;
    }
    w->file->ops->close(w->file);
    st = with_parent(fs, w->path, true, err);
    writer_free(w);
    return st;
}

static int writer_commit(struct object_writer *ow, struct error *err)
{
    return writer_finish(ow, true, err);
}

static int writer_commit_new(struct object_writer *ow, struct error *err)
{
    return writer_finish(ow, false, err);
}

static const struct object_writer_ops writer_ops = {
    .append = writer_append, .commit = writer_commit, .commit_new = writer_commit_new, .abort = writer_abort};

/* <root>/tmp/<basename>.<8 random characters> */
static int tmp_path_of(struct folder_store *s, const char *path, char **ret_path, struct error *err)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz012345";
    uint8_t salt[8];
    random_bytes(salt, sizeof(salt));
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t bytes = strlen(s->root) + strlen(base) + 16;
    char *tmp = malloc(bytes);
    if (!tmp)
        return error_no_memory(err, bytes);
    int n = snprintf(tmp, bytes, "%s/tmp/%s.", s->root, base);
    for (int i = 0; i < 8; i++)
        tmp[n + i] = digits[salt[i] & 31];
    tmp[n + 8] = 0;
    *ret_path = tmp;
    return ST_OK;
}

static int folder_create(struct object_store *s, const char *key, struct object_writer **ret_writer, struct error *err)
{
    struct folder_store *store = folder_of(s);
    struct folder_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return error_no_memory(err, sizeof(*w));
    w->writer.ops = &writer_ops;
    w->store = store;
    int st = path_of(store, key, false, &w->path, err);
    if (st == ST_OK && !(w->buffer = malloc(WRITER_BUFFER_BYTES)))
        st = error_no_memory(err, WRITER_BUFFER_BYTES);
    if (st == ST_OK)
        st = tmp_path_of(store, w->path, &w->tmp_path, err);
    if (st == ST_OK)
        st = store->fs->ops->open(store->fs, w->tmp_path, FS_WRITE | FS_EXCLUSIVE, &w->file, err);
    if (st != ST_OK) {
        writer_free(w);
        return st;
    }
    *ret_writer = &w->writer;
    return ST_OK;
}

static int folder_remove(struct object_store *s, const char *key, struct error *err)
{
    struct folder_store *store = folder_of(s);
    char *path;
    TRY(path_of(store, key, false, &path, err));
    int st = store->fs->ops->remove(store->fs, path, err);
    free(path);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

static int folder_discard(struct object_store *s, const char *key, struct error *err)
{
    struct folder_store *store = folder_of(s);
    char *path;
    TRY(path_of(store, key, false, &path, err));
    int st = store->fs->ops->remove(store->fs, path, err);
    if (st == ST_OK || st == ST_NOT_FOUND) /* not there for us may still be there on disk */
        st = with_parent(store->fs, path, true, err);
    free(path);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

static int folder_remove_prefix(struct object_store *s, const char *prefix, struct error *err)
{
    struct folder_store *store = folder_of(s);
    char *path;
    TRY(path_of(store, prefix, false, &path, err));
    struct fs_stat info;
    int st = store->fs->ops->stat(store->fs, path, &info, err);
    if (st == ST_OK)
        st = fs_remove_tree(store->fs, path, err);
    if (st == ST_OK)
        st = with_parent(store->fs, path, true, err);
    free(path);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

static int folder_stat(struct object_store *s, const char *key, uint64_t *ret_size, struct error *err)
{
    struct folder_store *store = folder_of(s);
    char *path;
    struct fs_stat info;
    TRY(path_of(store, key, false, &path, err));
    int st = store->fs->ops->stat(store->fs, path, &info, err);
    free(path);
    TRY(st);
    if (info.is_dir)
        return error_set(err, ST_NOT_FOUND, "%s is a folder, not an object", key);
    *ret_size = info.size_bytes;
    return ST_OK;
}

struct listing {
    struct folder_store *store;
    const char *key; /* of the folder being listed, "" for the root */
    bool recursive;
    unsigned depth;
    int (*each)(void *ctx, const struct object_info *info, struct error *err);
    void *ctx;
};

static int list_folder(struct listing *l, struct error *err);

static int list_entry(void *ctx, const char *name, bool is_dir, struct error *err)
{
    struct listing *l = ctx;
    if (!*l->key && (!strcmp(name, "tmp") || !strcmp(name, ".tmp")))
        return ST_OK;
    char *key, *path;
    TRY(join(l->key, name, &key, err));
    int st = ST_OK;
    if (is_dir && l->recursive) {
        struct listing below = *l;
        below.key = key;
        below.depth++;
        st = below.depth > LIST_DEPTH_MAX ? error_set(err, ST_STORAGE, "%s: folders nested too deep", key) : list_folder(&below, err);
    } else {
        struct fs *fs = l->store->fs;
        struct fs_stat info;
        st = join(l->store->root, key, &path, err);
        if (st == ST_OK) {
            st = fs->ops->stat(fs, path, &info, err);
            free(path);
            struct object_info out = {key, is_dir, is_dir ? 0 : info.size_bytes, info.modified_ms};
            if (st == ST_NOT_FOUND) /* removed while we were listing */
                st = ST_OK;
            else if (st == ST_OK)
                st = l->each(l->ctx, &out, err);
        }
    }
    free(key);
    return st;
}

static int list_folder(struct listing *l, struct error *err)
{
    char *path;
    TRY(join(l->store->root, l->key, &path, err));
    struct fs_stat info;
    struct fs *fs = l->store->fs;
    int st = fs->ops->stat(fs, path, &info, err);
    if (st == ST_NOT_FOUND || (st == ST_OK && !info.is_dir))
        st = ST_OK;
    else if (st == ST_OK)
        st = fs->ops->list(fs, path, list_entry, l, err);
    free(path);
    return st;
}

static int folder_list(struct object_store *s, const char *prefix, bool recursive,
                       int (*each)(void *ctx, const struct object_info *info, struct error *err), void *ctx, struct error *err)
{
    TRY(check_key(prefix, err));
    char *key;
    TRY(join("", prefix, &key, err)); /* drops trailing slashes */
    struct listing l = {folder_of(s), key, recursive, 0, each, ctx};
    int st = list_folder(&l, err);
    free(key);
    return st;
}

static void folder_free(struct object_store *s)
{
    struct folder_store *store = folder_of(s);
    free(store->root);
    free(store);
}

static const struct object_store_ops folder_ops = {
    .open = folder_open,
    .create = folder_create,
    .remove = folder_remove,
    .discard = folder_discard,
    .remove_prefix = folder_remove_prefix,
    .stat = folder_stat,
    .list = folder_list,
    .free = folder_free,
};

/* Empties a folder; where it is there, it stays: a full disk may have no room for a new one. */
static int wipe_tmp(struct folder_store *s, const char *name, struct error *err)
{
    char *path;
    TRY(join(s->root, name, &path, err));
    int st = fs_clear_dir(s->fs, path, err);
    free(path);
    return st;
}

enum access { OWNED, SHARED, READ };

static int open_folder(struct fs *fs, const char *root, enum access access, struct object_store **ret_store, struct error *err)
{
    char *tmp = NULL;
    struct folder_store *s = calloc(1, sizeof(*s));
    if (!s)
        return error_no_memory(err, sizeof(*s));
    s->store.ops = &folder_ops;
    s->fs = fs;
    int st = join("", *root ? root : ".", &s->root, err);
    if (st == ST_OK && access != READ)
        st = fs_mkdirs(fs, s->root, err);
    if (st == ST_OK && access == OWNED)
        st = wipe_tmp(s, "tmp", err);
    if (st == ST_OK && access == OWNED)
        st = wipe_tmp(s, ".tmp", err);
    if (st == ST_OK && access != READ)
        st = join(s->root, "tmp", &tmp, err);
    if (st == ST_OK && access != READ)
        st = fs_mkdirs(fs, tmp, err);
    free(tmp);
    if (st != ST_OK) {
        folder_free(&s->store);
        return st;
    }
    *ret_store = &s->store;
    return ST_OK;
}

int object_store_open_folder(struct fs *fs, const char *root, struct object_store **ret_store, struct error *err)
{
    return open_folder(fs, root, OWNED, ret_store, err);
}

int object_store_open_shared_folder(struct fs *fs, const char *root, struct object_store **ret_store, struct error *err)
{
    return open_folder(fs, root, SHARED, ret_store, err);
}

int object_store_open_folder_for_reading(struct fs *fs, const char *root, struct object_store **ret_store, struct error *err)
{
    return open_folder(fs, root, READ, ret_store, err);
}
