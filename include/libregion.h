/* libregion: reads the regions of a regiond data folder, or of a GreptimeDB 1.0 datanode's, in this process, without a server.
 *
 * What it sees is what the regions' manifests name: rows that have been flushed. Rows that only a write-ahead log holds are not seen; `regionctl flush`, or
 * flush_on_shutdown = true, writes them out. Nothing in the folder is changed, made or locked, so a node may have it open at the same time; libregion_open()
 * takes the manifests as they are then, and a scan fails when the node has meanwhile removed a file that it needs: open the folder again.
 *
 * Functions return 0 or an errno value (EINVAL, ENOENT, EIO, ENOMEM, ENOTSUP), and then put a zero-terminated message into error[0..error_bytes), which may be
 * NULL with error_bytes 0. Outputs are untouched on failure. All functions may be called by many threads at once; a stream is for one thread at a time.
 */
#ifndef LIBREGION_H
#define LIBREGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Arrow's C data interface, as every library that speaks it declares it. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};
#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};
#endif

struct libregion; /* an open folder */

struct libregion_options {
    uint64_t memory_limit_bytes; /* of all scans and caches; 0 = half of the machine's or cgroup's memory */
    unsigned threads;            /* that work for one scan, the caller's included; 0 = as many as there are CPUs */
};

/* `options` NULL: the defaults. ENOENT when there is no such folder. A region that cannot be opened is listed with its problem. */
int libregion_open(const char *folder, const struct libregion_options *options, struct libregion **ret_folder, char *error, size_t error_bytes);
/* Streams and arrays that were handed out stay valid. NULL is allowed. */
void libregion_close(struct libregion *folder);

/* ---- which regions there are ---- */

struct libregion_info {
    uint64_t region_id;
    const char *engine;  /* "mito", "metric", "file" */
    const char *path;    /* {catalog}/{schema}; "" of a logical region of the metric engine */
    const char *problem; /* why it cannot be read; NULL = it can */
    uint64_t rows;       /* in files, before updates and deletes are merged; 0 where that is not known (file engine, logical regions) */
    uint64_t files;
};

size_t libregion_count(const struct libregion *folder);
/* Region i of libregion_count(), in the order of their ids; the texts are valid until libregion_close(). EINVAL: there is no such i. */
int libregion_info(const struct libregion *folder, size_t i, struct libregion_info *ret_info, char *error, size_t error_bytes);

/* The columns, in the region's order, as a struct type. Each field's metadata says its role: "regiond:role" = "tag", "field" or "time". */
int libregion_describe(struct libregion *folder, uint64_t region_id, struct ArrowSchema *ret_schema, char *error, size_t error_bytes);

/* ---- reading ---- */

/* All zero: everything. */
struct libregion_scan {
    const char *const *columns; /* names, in the order in which they are wanted; NULL = all */
    size_t n_columns;
    const char *filter;         /* NULL, or comparisons joined by AND: "host = 'a' AND load > 1.5 AND note IS NOT NULL" */
    bool has_time_min, has_time_max;
    int64_t time_min, time_max; /* of the time index, in its unit: time_min <= time < time_max */
    bool has_limit;
    uint64_t limit;             /* rows */
};

/* `scan` NULL: everything. Rows come without an order; of rows with the same tags and time one comes, as the table's options say.
 * Strings come as Utf8, bytes as Binary, lists as List. get_next() fails with an errno value, get_last_error() says why. */
int libregion_scan(struct libregion *folder, uint64_t region_id, const struct libregion_scan *scan, struct ArrowArrayStream *ret_stream, char *error,
                   size_t error_bytes);

#ifdef __cplusplus
}
#endif

#endif
