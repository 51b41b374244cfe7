/* Puffin files: named blobs behind one another and a JSON list of them at the end (mito-on-disk.md 5.1). Pure: the caller brings the bytes.
 *
 *   "PFA1" | blob 0 | blob 1 | ... | "PFA1" | list | i32 size of the list | u32 flags | "PFA1"
 */
#ifndef FORMAT_PUFFIN_PUFFIN_H
#define FORMAT_PUFFIN_PUFFIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"

/* Bytes [base, base + size_bytes) of something that can be read anywhere: a file, or a blob in it. */
struct puffin_source {
    int (*read)(void *ctx, uint64_t offset, void *data, size_t size, struct error *err); /* exactly size bytes */
    void *ctx;
    uint64_t base, size_bytes;
};

/* ST_CORRUPT when the bytes do not lie inside. */
int puffin_read(const struct puffin_source *s, uint64_t offset, void *data, size_t size, struct error *err);

enum puffin_codec { PUFFIN_PLAIN, PUFFIN_ZSTD, PUFFIN_LZ4 };

struct puffin_property {
    const char *name, *value;
};

struct puffin_blob {
    const char *type;        /* unique: the key by which it is looked up */
    uint64_t offset, length; /* as stored */
    enum puffin_codec codec;
    const struct puffin_property *properties;
    uint32_t n_properties;
};

struct puffin_file {
    const struct puffin_blob *blobs;
    uint32_t n_blobs;
};

/* Reads the list of blobs; it lives in the arena. ST_CORRUPT, ST_UNSUPPORTED for a compressed list (which no known writer makes). */
int puffin_open(const struct puffin_source *s, struct arena *a, struct puffin_file *ret_file, struct error *err);
const struct puffin_blob *puffin_find(const struct puffin_file *f, const char *type); /* NULL: none of that name */
const char *puffin_property(const struct puffin_blob *b, const char *name);           /* NULL: none of that name */

/* The blob's own bytes. ST_UNSUPPORTED when it is compressed. */
int puffin_blob_source(const struct puffin_source *file, const struct puffin_blob *b, struct puffin_source *ret_blob, struct error *err);

/* ---- writing ---- */

/* Writes blobs as they come; the list is kept until the end. */
struct puffin_writer {
    int (*write)(void *ctx, const void *data, size_t size, struct error *err);
    void *ctx;
    uint64_t bytes; /* written so far */
    uint32_t n_blobs;
    struct dynbuf list;
};

void puffin_writer_init(struct puffin_writer *w, int (*write)(void *ctx, const void *data, size_t size, struct error *err), void *ctx);
void puffin_writer_release(struct puffin_writer *w);
int puffin_add_blob(struct puffin_writer *w, const char *type, const struct puffin_property *properties, uint32_t n_properties, const void *data,
                    size_t size, struct error *err);
/* The end of the file; w->bytes is its size then. */
int puffin_writer_finish(struct puffin_writer *w, struct error *err);

#endif
