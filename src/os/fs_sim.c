/* The simulated file system: every file has the contents that processes see and those on disk, every name the file that processes see under it and
 * the one on disk. Everything is under one mutex, and lists are searched linearly, by hash: tests have few files. Names that are nowhere any more
 * make room for new ones. */
#include "os/fs_sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum { SECTOR_BYTES = 512 };

struct bytes {
    uint8_t *data;
    size_t size;
};

struct inode {
    int refs; /* names and open files */
    bool is_dir, locked;
    uint64_t allocated; /* kept for it beyond its size */
    struct bytes seen, disk;
    struct bytes dropped; /* per byte that is seen: 1 = a sync has failed to write it, and none will */
};

struct name {
    char *path;
    uint64_t hash;
    struct inode *seen, *disk; /* NULL: not there */
};

struct fs_sim {
    struct fs fs;
    pthread_mutex_t lock;
    struct name *names;
    size_t count, capacity;
    uint64_t calls, fail_at, random, capacity_bytes;
    bool sticky, syncs_fail;
    enum fs_sim_fault fault;
};

struct sim_file {
    struct fs_file file;
    struct fs_sim *sim;
    struct inode *inode;
    bool writable, owns_lock;
};

static uint64_t next_random(struct fs_sim *s)
{
    return hash_u64(s->random += 0x9e3779b97f4a7c15u);
}

static void inode_unref(struct inode *i)
{
    if (!i || --i->refs)
        return;
    free(i->seen.data);
    free(i->disk.data);
    free(i->dropped.data);
    free(i);
}

static void set_inode(struct inode **slot, struct inode *i)
{
    if (i)
        i->refs++;
    inode_unref(*slot);
    *slot = i;
}

static int resize(struct bytes *b, uint64_t size, struct error *err)
{
    if (size > SIZE_MAX / 2)
        return error_set(err, ST_NO_SPACE, "simulated file too large");
    if (size > b->size) {
        uint8_t *grown = realloc(b->data, (size_t)size);
        if (!grown)
            return error_no_memory(err, (size_t)size);
        memset(grown + b->size, 0, (size_t)size - b->size);
        b->data = grown;
    }
    b->size = (size_t)size;
    return ST_OK;
}

static int copy(struct bytes *to, const struct bytes *from, struct error *err)
{
    TRY(resize(to, from->size, err));
    if (from->size)
        memcpy(to->data, from->data, from->size);
    return ST_OK;
}

/* Counts a call; with the lock held. */
static int call(struct fs_sim *s, const char *what, const char *path, struct error *err)
{
    s->calls++;
    if (!s->fail_at || (s->sticky ? s->calls < s->fail_at : s->calls != s->fail_at))
        return ST_OK;
    return error_set(err, s->fault == FS_SIM_NO_SPACE || s->fault == FS_SIM_NO_SPACE_LATE ? ST_NO_SPACE : ST_STORAGE,
                     "%s %s: simulated failure of call %llu", what, path, (unsigned long long)s->calls);
}

static struct name *find(struct fs_sim *s, const char *path)
{
    uint64_t hash = hash_bytes(path, strlen(path));
    for (size_t i = 0; i < s->count; i++)
        if (s->names[i].hash == hash && !strcmp(s->names[i].path, path))
            return &s->names[i];
    return NULL;
}

/* A place for a new name, not yet counted; NULL without memory. */
static struct name *vacant(struct fs_sim *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (!s->names[i].seen && !s->names[i].disk)
            return &s->names[i];
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 16;
        struct name *grown = realloc(s->names, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        s->names = grown;
        s->capacity = capacity;
    }
    s->names[s->count] = (struct name){0};
    return &s->names[s->count];
}

static int not_found(const char *what, const char *path, struct error *err)
{
    return error_set(err, ST_NOT_FOUND, "%s %s: not there", what, path);
}

static int find_or_add(struct fs_sim *s, const char *path, struct name **ret_name, struct error *err)
{
    struct name *n = find(s, path);
    if (!n) {
        char *kept = strdup(path);
        n = kept ? vacant(s) : NULL;
        if (!n) {
            free(kept);
            return error_no_memory(err, strlen(path));
        }
        free(n->path);
        *n = (struct name){.path = kept, .hash = hash_bytes(path, strlen(path))};
        s->count += n == &s->names[s->count];
    }
    *ret_name = n;
    return ST_OK;
}

static struct sim_file *file_of(struct fs_file *f)
{
    return (struct sim_file *)f;
}

static int sim_read_at(struct fs_file *f, uint64_t offset, void *data, size_t size, size_t *ret_read, struct error *err)
{
    struct sim_file *p = file_of(f);
    pthread_mutex_lock(&p->sim->lock);
    int st = call(p->sim, "read", "", err);
    if (st == ST_OK) {
        const struct bytes *b = &p->inode->seen;
        size_t n = offset >= b->size ? 0 : b->size - (size_t)offset;
        n = n < size ? n : size;
        if (n)
            memcpy(data, b->data + offset, n);
        *ret_read = n;
    }
    pthread_mutex_unlock(&p->sim->lock);
    return st;
}

static uint64_t sectors_of(const struct inode *i, uint64_t size)
{
    uint64_t bytes = i->is_dir ? SECTOR_BYTES : size > i->allocated ? size : i->allocated;
    return (bytes + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
}

static uint64_t free_now(const struct fs_sim *s)
{
    uint64_t used = 0;
    for (size_t i = 0; i < s->count; i++)
        used += s->names[i].seen ? sectors_of(s->names[i].seen, s->names[i].seen->seen.size) : 0;
    return used > s->capacity_bytes ? 0 : s->capacity_bytes - used;
}

/* How large the file can become on its way to `size`: that, or less on a full disk. */
static uint64_t attainable(const struct fs_sim *s, const struct inode *i, uint64_t size)
{
    uint64_t has = sectors_of(i, i->seen.size), most;
    if (!s->capacity_bytes || sectors_of(i, size) <= has)
        return size;
    most = has + free_now(s);
    return size < most ? size : most;
}

static int no_space(const char *what, struct error *err)
{
    return error_set(err, ST_NO_SPACE, "%s: No space left on the simulated disk", what);
}

static int sim_write_at(struct fs_file *f, uint64_t offset, const struct iovec *iov, int n, struct error *err)
{
    struct sim_file *p = file_of(f);
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += iov[i].iov_len;
    pthread_mutex_lock(&p->sim->lock);
    int st = p->writable ? call(p->sim, "write", "", err) : error_set(err, ST_STORAGE, "write: file is open for reading");
    if (st != ST_OK)
        size = p->writable && size ? (size_t)(next_random(p->sim) % (size + 1)) : 0;
    struct bytes *b = &p->inode->seen;
    uint64_t end = attainable(p->sim, p->inode, offset + size);
    if (end < offset + size) {
        size = end > offset ? (size_t)(end - offset) : 0;
        st = st == ST_OK ? no_space("write", err) : st;
    }
    int grown = offset + size > b->size && size ? resize(b, offset + size, err) : ST_OK;
    for (int i = 0; i < n && size && grown == ST_OK; i++) {
        size_t part = iov[i].iov_len < size ? iov[i].iov_len : size;
        if (part)
            memcpy(b->data + offset, iov[i].iov_base, part);
        if (part && offset < p->inode->dropped.size)
            memset(p->inode->dropped.data + offset, 0, part < p->inode->dropped.size - offset ? part : p->inode->dropped.size - (size_t)offset);
        offset += part;
        size -= part;
    }
    pthread_mutex_unlock(&p->sim->lock);
    return status_merge(st, grown);
}

static uint8_t on_disk(const struct inode *i, size_t at)
{
    return at < i->disk.size ? i->disk.data[at] : 0;
}

static int note_dropped(struct inode *i, struct error *err)
{
    TRY(resize(&i->dropped, i->seen.size, err));
    for (size_t at = 0; at < i->seen.size; at++)
        i->dropped.data[at] |= at >= i->disk.size || i->seen.data[at] != i->disk.data[at];
    return ST_OK;
}

/* What a sync writes. */
static int write_back(struct inode *i, struct error *err)
{
    struct bytes was = {0};
    TRY(i->dropped.size ? copy(&was, &i->disk, err) : ST_OK);
    int st = copy(&i->disk, &i->seen, err);
    for (size_t at = 0; st == ST_OK && at < i->dropped.size && at < i->disk.size; at++)
        if (i->dropped.data[at])
            i->disk.data[at] = at < was.size ? was.data[at] : 0;
    free(was.data);
    return st;
}

static int sim_sync(struct fs_file *f, struct error *err)
{
    struct sim_file *p = file_of(f);
    pthread_mutex_lock(&p->sim->lock);
    int st = call(p->sim, "sync", "", err);
    if (st == ST_OK && p->sim->syncs_fail)
        st = p->sim->fault == FS_SIM_IO ? error_set(err, ST_STORAGE, "sync: simulated failure") : no_space("sync", err);
    if (st == ST_OK)
        st = write_back(p->inode, err);
    else if (p->sim->fault == FS_SIM_NO_SPACE_LATE)
        st = status_merge(st, note_dropped(p->inode, NULL));
    else if (p->sim->fault != FS_SIM_POWER)
        st = status_merge(st, copy(&p->inode->seen, &p->inode->disk, NULL));
    pthread_mutex_unlock(&p->sim->lock);
    return st;
}

static int sim_truncate(struct fs_file *f, uint64_t size, struct error *err)
{
    struct sim_file *p = file_of(f);
    pthread_mutex_lock(&p->sim->lock);
    int st = call(p->sim, "truncate", "", err);
    if (st == ST_OK && attainable(p->sim, p->inode, size) < size)
        st = no_space("truncate", err);
    if (st == ST_OK)
        st = resize(&p->inode->seen, size, err);
    if (st == ST_OK && p->inode->dropped.size > size)
        p->inode->dropped.size = (size_t)size;
    if (st == ST_OK && p->inode->allocated > size)
        p->inode->allocated = size;
    pthread_mutex_unlock(&p->sim->lock);
    return st;
}

static int sim_allocate(struct fs_file *f, uint64_t size, struct error *err)
{
    struct sim_file *p = file_of(f);
    pthread_mutex_lock(&p->sim->lock);
    int st = call(p->sim, "allocate", "", err);
    if (st == ST_OK && attainable(p->sim, p->inode, size) < size)
        st = no_space("allocate", err);
    if (st == ST_OK && p->inode->allocated < size)
        p->inode->allocated = size;
    pthread_mutex_unlock(&p->sim->lock);
    return st;
}

static int sim_size(struct fs_file *f, uint64_t *ret_size, struct error *err)
{
    struct sim_file *p = file_of(f);
    pthread_mutex_lock(&p->sim->lock);
    int st = call(p->sim, "stat", "", err);
    if (st == ST_OK)
        *ret_size = p->inode->seen.size;
    pthread_mutex_unlock(&p->sim->lock);
    return st;
}

static void sim_close(struct fs_file *f)
{
    struct sim_file *p = file_of(f);
    struct fs_sim *s = p->sim;
    pthread_mutex_lock(&s->lock);
    if (p->owns_lock)
        p->inode->locked = false;
    inode_unref(p->inode);
    pthread_mutex_unlock(&s->lock);
    free(p);
}

static int sim_lock(struct fs_file *f, struct error *err)
{
    struct sim_file *p = file_of(f);
    pthread_mutex_lock(&p->sim->lock);
    int st = call(p->sim, "lock", "", err);
    if (st == ST_OK && p->inode->locked && !p->owns_lock)
        st = error_set(err, ST_ILLEGAL_STATE, "locked by another process");
    if (st == ST_OK)
        p->inode->locked = p->owns_lock = true;
    pthread_mutex_unlock(&p->sim->lock);
    return st;
}

static const struct fs_file_ops file_ops = {
    .read_at = sim_read_at,
    .write_at = sim_write_at,
    .sync = sim_sync,
    .truncate = sim_truncate,
    .allocate = sim_allocate,
    .size = sim_size,
    .close = sim_close,
};

/* With the lock held. */
static int open_inode(struct fs_sim *s, const char *path, int flags, struct inode **ret_inode, struct error *err)
{
    struct name *n = find(s, path);
    if (!n || !n->seen) {
        if (!(flags & FS_WRITE))
            return not_found("open", path, err);
        TRY(find_or_add(s, path, &n, err));
        struct inode *i = calloc(1, sizeof(*i));
        if (!i)
            return error_no_memory(err, sizeof(*i));
        set_inode(&n->seen, i);
    } else if (n->seen->is_dir) {
        return error_set(err, ST_STORAGE, "open %s: not a regular file", path);
    } else if (flags & FS_WRITE && flags & FS_EXCLUSIVE) {
        return error_set(err, ST_STORAGE, "open %s: exists", path);
    }
    if (flags & FS_WRITE && flags & FS_TRUNCATE)
        n->seen->seen.size = n->seen->dropped.size = n->seen->allocated = 0;
    *ret_inode = n->seen;
    return ST_OK;
}

static int sim_open(struct fs *fs, const char *path, int flags, struct fs_file **ret_file, struct error *err)
{
    struct fs_sim *s = (struct fs_sim *)fs;
    struct sim_file *p = calloc(1, sizeof(*p));
    if (!p)
        return error_no_memory(err, sizeof(*p));
    *p = (struct sim_file){.file = {&file_ops}, .sim = s, .writable = flags & FS_WRITE};
    pthread_mutex_lock(&s->lock);
    struct inode *i = NULL;
    int st = call(s, "open", path, err);
    if (st == ST_OK)
        st = open_inode(s, path, flags, &i, err);
    if (st == ST_OK)
        set_inode(&p->inode, i);
    pthread_mutex_unlock(&s->lock);
    if (st != ST_OK)
        free(p);
    else
        *ret_file = &p->file;
    return st;
}

static int sim_rename(struct fs *fs, const char *from, const char *to, bool replace, struct error *err)
{
    struct fs_sim *s = (struct fs_sim *)fs;
    pthread_mutex_lock(&s->lock);
    struct name *a = NULL, *b = NULL;
    int st = call(s, "rename", from, err);
    if (st == ST_OK)
        st = find_or_add(s, to, &b, err);
    if (st == ST_OK) { /* adding may have moved the names */
        b = find(s, to);
        a = find(s, from);
        if (!a || !a->seen) {
            st = not_found("rename", from, err);
        } else if (!replace && b->seen) {
            st = error_set(err, ST_ILLEGAL_STATE, "%s exists already", to);
        } else if (a != b) {
            set_inode(&b->seen, a->seen);
            set_inode(&a->seen, NULL);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

/* The last component of a path directly below `dir`, else NULL. */
static const char *child_of(const char *dir, const char *path)
{
    size_t n = strlen(dir);
    while (n && dir[n - 1] == '/')
        n--;
    if (strncmp(path, dir, n) || path[n] != '/' || !path[n + 1] || strchr(path + n + 1, '/'))
        return NULL;
    return path + n + 1;
}

static int sim_remove(struct fs *fs, const char *path, struct error *err)
{
    struct fs_sim *s = (struct fs_sim *)fs;
    pthread_mutex_lock(&s->lock);
    int st = call(s, "remove", path, err);
    struct name *n = st == ST_OK ? find(s, path) : NULL;
    if (st == ST_OK && (!n || !n->seen))
        st = not_found("remove", path, err);
    if (st == ST_OK && n->seen->is_dir) {
        for (size_t i = 0; i < s->count && st == ST_OK; i++)
            if (s->names[i].seen && child_of(path, s->names[i].path))
                st = error_set(err, ST_STORAGE, "remove %s: not empty", path);
        if (st == ST_OK)
            set_inode(&n->disk, NULL);
    }
    if (st == ST_OK)
        set_inode(&n->seen, NULL);
    pthread_mutex_unlock(&s->lock);
    return st;
}

static int sim_mkdir(struct fs *fs, const char *path, struct error *err)
{
    struct fs_sim *s = (struct fs_sim *)fs;
    struct name *n;
    pthread_mutex_lock(&s->lock);
    int st = call(s, "mkdir", path, err);
    if (st == ST_OK)
        st = find_or_add(s, path, &n, err);
    if (st == ST_OK && n->seen && !n->seen->is_dir) {
        st = error_set(err, ST_STORAGE, "mkdir %s: a file is there", path);
    } else if (st == ST_OK && !n->seen && s->capacity_bytes && free_now(s) < SECTOR_BYTES) {
        st = no_space("mkdir", err);
    } else if (st == ST_OK && !n->seen) {
        struct inode *i = calloc(1, sizeof(*i));
        if (i) {
            i->is_dir = true;
            set_inode(&n->seen, i);
            set_inode(&n->disk, i);
        } else {
            st = error_no_memory(err, sizeof(*i));
        }
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

static int sim_sync_dir(struct fs *fs, const char *path, struct error *err)
{
    struct fs_sim *s = (struct fs_sim *)fs;
    pthread_mutex_lock(&s->lock);
    int st = call(s, "sync", path, err);
    for (size_t i = 0; i < s->count && st == ST_OK; i++)
        if (child_of(path, s->names[i].path))
            set_inode(&s->names[i].disk, s->names[i].seen);
    pthread_mutex_unlock(&s->lock);
    return st;
}

static int sim_stat(struct fs *fs, const char *path, struct fs_stat *ret_stat, struct error *err)
{
    struct fs_sim *s = (struct fs_sim *)fs;
    pthread_mutex_lock(&s->lock);
    int st = call(s, "stat", path, err);
    struct name *n = st == ST_OK ? find(s, path) : NULL;
    if (st == ST_OK && (!n || !n->seen))
        st = not_found("stat", path, err);
    if (st == ST_OK)
        *ret_stat = (struct fs_stat){ .is_dir = n->seen->is_dir,
                                      .size_bytes = n->seen->seen.size,
                                      .allocated_bytes = sectors_of(n->seen, n->seen->seen.size) };
    pthread_mutex_unlock(&s->lock);
    return st;
}

struct entry {
    char *name;
    bool is_dir;
};

static int sim_list(struct fs *fs, const char *path, int (*each)(void *ctx, const char *name, bool is_dir, struct error *err), void *ctx,
                    struct error *err)
{
    struct fs_sim *s = (struct fs_sim *)fs;
    pthread_mutex_lock(&s->lock);
    struct entry *list = calloc(s->count + 1, sizeof(*list));
    size_t n = 0;
    int st = list ? call(s, "list", path, err) : error_no_memory(err, s->count);
    struct name *dir = st == ST_OK ? find(s, path) : NULL;
    if (st == ST_OK && (!dir || !dir->seen))
        st = not_found("list", path, err);
    for (size_t i = 0; i < s->count && st == ST_OK; i++) {
        const char *child = s->names[i].seen ? child_of(path, s->names[i].path) : NULL;
        if (!child)
            continue;
        list[n] = (struct entry){strdup(child), s->names[i].seen->is_dir};
        if (!list[n++].name)
            st = error_no_memory(err, strlen(child));
    }
    pthread_mutex_unlock(&s->lock); /* the callee may use the file system */
    for (size_t i = 0; i < n; i++) {
        if (st == ST_OK)
            st = each(ctx, list[i].name, list[i].is_dir, err);
        free(list[i].name);
    }
    free(list);
    return st;
}

static int sim_space(struct fs *fs, const char *path, struct fs_space *ret_space, struct error *err)
{
    struct fs_sim *s = (struct fs_sim *)fs;
    (void)path, (void)err;
    pthread_mutex_lock(&s->lock);
    *ret_space = s->capacity_bytes ? (struct fs_space){free_now(s), s->capacity_bytes} : (struct fs_space){UINT64_MAX / 2, UINT64_MAX / 2};
    pthread_mutex_unlock(&s->lock);
    return ST_OK;
}

static const struct fs_ops ops = {
    .open = sim_open,
    .rename = sim_rename,
    .remove = sim_remove,
    .mkdir = sim_mkdir,
    .sync_dir = sim_sync_dir,
    .stat = sim_stat,
    .list = sim_list,
    .space = sim_space,
    .lock = sim_lock,
};

int fs_sim_new(uint64_t seed, struct fs_sim **ret_sim, struct error *err)
{
    struct fs_sim *s = calloc(1, sizeof(*s));
    if (!s)
        return error_no_memory(err, sizeof(*s));
    s->fs.ops = &ops;
    s->random = seed;
    pthread_mutex_init(&s->lock, NULL);
    *ret_sim = s;
    return ST_OK;
}

void fs_sim_free(struct fs_sim *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        inode_unref(s->names[i].seen);
        inode_unref(s->names[i].disk);
        free(s->names[i].path);
    }
    free(s->names);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct fs *fs_sim_fs(struct fs_sim *s)
{
    return &s->fs;
}

uint64_t fs_sim_calls(struct fs_sim *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t calls = s->calls;
    pthread_mutex_unlock(&s->lock);
    return calls;
}

void fs_sim_fail(struct fs_sim *s, enum fs_sim_fault fault, uint64_t nth, bool sticky)
{
    pthread_mutex_lock(&s->lock);
    s->fault = fault;
    s->fail_at = nth;
    s->sticky = sticky || fault == FS_SIM_POWER;
    s->syncs_fail = false;
    pthread_mutex_unlock(&s->lock);
}

void fs_sim_fail_syncs(struct fs_sim *s, enum fs_sim_fault fault)
{
    pthread_mutex_lock(&s->lock);
    s->fault = fault;
    s->fail_at = 0;
    s->syncs_fail = true;
    pthread_mutex_unlock(&s->lock);
}

void fs_sim_set_capacity(struct fs_sim *s, uint64_t bytes)
{
    pthread_mutex_lock(&s->lock);
    s->capacity_bytes = bytes;
    pthread_mutex_unlock(&s->lock);
}

/* What is left of one file's contents. */
static void cut_contents(struct fs_sim *s, struct inode *i)
{
    struct bytes *seen = &i->seen, *disk = &i->disk;
    for (size_t at = 0; at < i->dropped.size && at < seen->size; at++)
        seen->data[at] = i->dropped.data[at] ? on_disk(i, at) : seen->data[at];
    i->dropped.size = 0;
    uint64_t mode = next_random(s) % 3; /* nothing unsynced survives, all does, or some sectors do */
    size_t size = mode == 0 ? disk->size : seen->size;
    if (mode == 2 && seen->size > disk->size)
        size = disk->size + (size_t)(next_random(s) % (seen->size - disk->size + 1));
    else if (mode == 2 && next_random(s) % 2)
        size = disk->size;
    size_t kept = seen->size;
    if (resize(seen, size, NULL) != ST_OK || resize(disk, size, NULL) != ST_OK)
        abort(); /* a test without memory cannot go on */
    for (size_t at = 0; at < size; at += SECTOR_BYTES) {
        size_t n = size - at < SECTOR_BYTES ? size - at : SECTOR_BYTES;
        bool survives = at < kept && (mode == 1 || (mode == 2 && next_random(s) % 2));
        if (survives)
            memcpy(disk->data + at, seen->data + at, n);
        else
            memcpy(seen->data + at, disk->data + at, n);
    }
}

void fs_sim_power_cut(struct fs_sim *s)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->count; i++) {
        struct name *n = &s->names[i];
        if (n->seen != n->disk) {
            bool keep = next_random(s) % 2;
            set_inode(keep ? &n->disk : &n->seen, keep ? n->seen : n->disk);
        }
        if (n->seen && !n->seen->is_dir)
            cut_contents(s, n->seen);
    }
    s->fail_at = 0;
    s->syncs_fail = false;
    pthread_mutex_unlock(&s->lock);
}
