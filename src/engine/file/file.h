/* The file engine: external tables, read-only views of CSV, JSON and Parquet files that somebody else put on this node's disk (file-engine.md).
 *
 * A region is one object, its manifest: written once by create, removed by drop, never changed. The user's files are named in it and opened by
 * queries only, so that a missing file fails queries, not the region. A scan reads the files one after another in the order of the list:
 *
 *   bytes ─► inflate (bytes.c) ─► decode (csv.c, ndjson.c, parquet.c): columns of the file ─► fit (scan.c): columns of the region
 */
#ifndef ENGINE_FILE_FILE_H
#define ENGINE_FILE_FILE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "engine/engine.h"
#include "os/fs.h"
#include "store/object_store.h"

struct file_engine_options {
    struct object_store *store; /* of the manifests; borrowed, as is everything here */
    struct fs *fs;              /* of the users' files */
    struct budget *budget;      /* of scans without one of their own */
    /* Casts as the executor does it; `lenient`: what does not go becomes null. */
    int (*cast)(struct budget *budget, struct column *c, struct dtype *type, bool lenient, struct column **ret_column, struct error *err);
};

int file_engine_new(const struct file_engine_options *options, struct engine **ret_engine, struct error *err);

/* ---- shared between the files of this folder ---- */

enum file_format { FILE_CSV, FILE_JSON, FILE_PARQUET };
enum file_compression { FILE_PLAIN, FILE_GZIP, FILE_BZIP2, FILE_XZ, FILE_ZSTD };

/* What a region is; immutable, shared with its scans. */
struct file_region {
    _Atomic int refs;
    uint64_t id;
    char *manifest_key;
    struct region_metadata *metadata;
    enum file_format format;
    enum file_compression compression;
    uint8_t delimiter;
    bool has_header;
    char *root; /* folder of the files, with a trailing slash; NULL: not on this disk */
    char *location;
    uint32_t n_files;
    char **files; /* below root */
    uint32_t n_columns;
    struct region_column *columns; /* of the files */
};

void file_region_unref(struct file_region *r);

/* manifest.c */
/* From the parts of a create request or of a manifest: checks the options in the peer's order (ST_INVALID_ARGUMENTS). Takes the metadata, also on
 * failure. */
int file_region_new(struct region_metadata *metadata, const struct kv *options, uint32_t n_options, const char *path, struct file_region **ret_region,
                    struct error *err);
int file_manifest_write(const struct file_region *r, const struct kv *options, uint32_t n_options, struct object_store *store, struct error *err);
int file_manifest_read(const char *path, uint64_t region_id, struct object_store *store, struct file_region **ret_region, struct error *err);

/* bytes.c: a file's bytes in order, decompressed. */
struct byte_stream;
int byte_stream_open(struct fs *fs, const char *path, enum file_compression compression, struct byte_stream **ret_stream, struct error *err);
/* *ret_read < size only at the end. */
int byte_stream_read(struct byte_stream *s, void *data, size_t size, size_t *ret_read, struct error *err);
void byte_stream_close(struct byte_stream *s); /* NULL is allowed */

/* What a decoder of one file needs; all borrowed and outliving it. */
struct file_read {
    const struct file_engine_options *engine;
    const struct file_region *region;
    const char *path;
    const uint32_t *columns; /* wanted, indexes into region->columns */
    uint32_t n_columns;
    struct budget *budget;
};

enum { FILE_BATCH_ROWS = 8192 };

struct file_decoder;
struct file_decoder_ops {
    /* The next rows: read->n_columns columns of the files' types, references to the caller. *ret_rows = 0 at the end. */
    int (*next)(struct file_decoder *d, struct column **ret_columns, int64_t *ret_rows, struct error *err);
    void (*free)(struct file_decoder *d);
};
struct file_decoder { const struct file_decoder_ops *ops; };

int csv_decoder_open(const struct file_read *read, struct file_decoder **ret_decoder, struct error *err);
int ndjson_decoder_open(const struct file_read *read, struct file_decoder **ret_decoder, struct error *err);
int parquet_decoder_open(const struct file_read *read, struct file_decoder **ret_decoder, struct error *err);

/* columns.c: one builder for each wanted column, of the column's type where direct(type), else of text. NULL = no type is direct. */
int file_columns_new(const struct file_read *read, bool (*direct)(const struct dtype *type), struct column_builder **ret_builders, struct error *err);
/* The rows gathered, as columns of the files' types; the builders are empty then. Nothing at 0 rows. */
int file_columns_finish(const struct file_read *read, struct column_builder *builders, int64_t rows, struct column **ret_columns, struct error *err);
void file_columns_free(const struct file_read *read, struct column_builder *builders); /* NULL is allowed */

/* scan.c: takes a reference of its own. */
int file_region_table(struct file_region *r, const struct file_engine_options *engine, struct table **ret_table, struct error *err);

#endif
