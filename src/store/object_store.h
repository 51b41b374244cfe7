/* Object stores: named immutable objects under a root. The local folder now; S3 and others take the same vtable.
 *
 * Keys are relative paths without a leading slash ("data/greptime/public/1024/..."). On a local folder an object appears at once and whole: it is
 * written under <root>/tmp/, synced and renamed (mito-on-disk.md section 1).
 */
#ifndef STORE_OBJECT_STORE_H
#define STORE_OBJECT_STORE_H

#include "base/buffer.h"
#include "base/error.h"
#include "os/fs.h"

struct object_store;
struct object_reader;
struct object_writer;

struct object_info {
    const char *key; /* full key, borrowed for the call */
    bool is_dir;     /* only when listing non-recursively */
    uint64_t size_bytes;
    int64_t modified_ms;
};

struct object_store_ops {
    int (*open)(struct object_store *s, const char *key, struct object_reader **ret_reader, struct error *err); /* ST_NOT_FOUND */
    int (*create)(struct object_store *s, const char *key, struct object_writer **ret_writer, struct error *err);
    int (*remove)(struct object_store *s, const char *key, struct error *err);             /* fine when absent */
    /* Removes an object whose put failed, so that nothing (a power cut above all) brings it back. */
    int (*discard)(struct object_store *s, const char *key, struct error *err);
    int (*remove_prefix)(struct object_store *s, const char *prefix, struct error *err);   /* everything below "prefix/" and the folder itself */
    int (*stat)(struct object_store *s, const char *key, uint64_t *ret_size, struct error *err); /* ST_NOT_FOUND */
    /* Objects below the folder `prefix` ("" = root), one level or all; an absent folder lists nothing. */
    int (*list)(struct object_store *s, const char *prefix, bool recursive, int (*each)(void *ctx, const struct object_info *info, struct error *err),
                void *ctx, struct error *err);
    void (*free)(struct object_store *s);
};

struct object_store { const struct object_store_ops *ops; };

/* Readers are thread-safe and may outlive a remove() of their object. */
struct object_reader_ops {
    int (*read_at)(struct object_reader *r, uint64_t offset, void *data, size_t size, struct error *err); /* exactly size, else ST_CORRUPT */
    void (*close)(struct object_reader *r);
};
struct object_reader { const struct object_reader_ops *ops; uint64_t size_bytes; };

/* One thread. Nothing is visible before commit(). */
struct object_writer_ops {
    int (*append)(struct object_writer *w, const void *data, size_t size, struct error *err);
    int (*commit)(struct object_writer *w, struct error *err); /* durable and visible, or failed; frees the writer either way */
    /* The same, but ST_ILLEGAL_STATE when the object exists; of several at once one succeeds. */
    int (*commit_new)(struct object_writer *w, struct error *err);
    void (*abort)(struct object_writer *w);                    /* frees the writer and leaves no trace */
};
struct object_writer { const struct object_writer_ops *ops; };

/* A folder of `fs`; wipes <root>/tmp when opened. */
int object_store_open_folder(struct fs *fs, const char *root, struct object_store **ret_store, struct error *err);
/* A folder that other processes have open too: what lies in <root>/tmp may be theirs and stays. */
int object_store_open_shared_folder(struct fs *fs, const char *root, struct object_store **ret_store, struct error *err);

/* A folder that is only read: nothing is made or wiped, and `fs` may refuse to write. */
int object_store_open_folder_for_reading(struct fs *fs, const char *root, struct object_store **ret_store, struct error *err);

/* Whole objects. */
int object_store_put(struct object_store *s, const char *key, const void *data, size_t size, struct error *err);
int object_store_put_new(struct object_store *s, const char *key, const void *data, size_t size, struct error *err); /* ST_ILLEGAL_STATE: exists */
int object_store_get(struct object_store *s, const char *key, size_t max_bytes, struct dynbuf *ret_data, struct error *err);

#endif
