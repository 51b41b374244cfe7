/* Sorted row sources: the currency inside the engine.
 *
 * Memtables and SSTs are read as sources; merging and deduplication turn many into one; a flush, a compaction and a scan consume them.
 * Rows come in (encoded primary key, time, sequence descending) order, over the whole source.
 */
#ifndef ENGINE_MITO_SOURCE_H
#define ENGINE_MITO_SOURCE_H

#include <string.h>

#include "arrow/column.h"
#include "arrow/scan.h"
#include "base/context.h"
#include "format/region/metadata.h"

enum { OP_DELETE = 0, OP_PUT = 1 }; /* frozen: on disk and on the wire */

/* A batch of more than one row holds about as much text at most: rows may be long, and a column of text ends at 2 GiB. */
enum { BATCH_TEXT_BYTES = 32 << 20 };

struct row_batch {
    int64_t n_rows;
    struct column *key;       /* Dictionary(UInt32, Binary): encoded primary keys; zero-length key when the region has none. Keys
                               * ascend by bytes; codes need not, and two codes may stand for equal keys: compare bytes, not codes */
    struct column *time;      /* the time index, its own type; NULL only where key may be, too */
    struct column *sequence;  /* UInt64; NULL = every row has `constant_sequence` */
    uint64_t constant_sequence;
    struct column *op;        /* UInt8; NULL = all OP_PUT */
    uint32_t n_columns;
    struct column **columns;  /* the wanted columns of the region (read_request.columns), tags maybe as Dictionary(UInt32, T); the time index may be among them */
};

/* Takes all the references, also on failure. */
int row_batch_new(int64_t n_rows, struct column *key, struct column *time, struct column *sequence, uint64_t constant_sequence, struct column *op,
                  struct column *const *columns, uint32_t n_columns, struct row_batch **ret_batch, struct error *err);
void row_batch_free(struct row_batch *b);
int row_batch_slice(const struct row_batch *b, int64_t start, int64_t n, struct row_batch **ret_batch, struct error *err);

/* Bytes of text in rows [start, end), dictionaries left out. */
int64_t row_batch_text_bytes(const struct row_batch *b, int64_t start, int64_t end);

struct row_source;
struct row_source_ops {
    int (*next)(struct row_source *s, struct row_batch **ret_batch, struct error *err); /* NULL at the end; the caller frees the batch */
    void (*free)(struct row_source *s);
};
struct row_source {
    const struct row_source_ops *ops;
    int64_t time_min, time_max; /* inclusive bounds of what may come */
    bool unique;                /* no two rows share (key, time) and there are no deletes */
};

static inline int row_source_next(struct row_source *s, struct row_batch **ret_batch, struct error *err) { return s->ops->next(s, ret_batch, err); }
static inline void row_source_free(struct row_source *s)
{
    if (s)
        s->ops->free(s);
}

/* An encoded primary key; the bytes belong to a source. */
struct key_bytes {
    const uint8_t *data;
    size_t size;
};

/* A piece of a source: where it begins and how long it is, in the source's own units (n = 0: nothing), its rows at most, and the keys it is bounded by: from
 * `low` on, before `high`; NULL = not bounded by keys. */
struct source_part {
    uint32_t first, at;
    int64_t n, rows;
    const struct key_bytes *low, *high;
};

static inline int key_bytes_compare(const uint8_t *data, size_t size, const struct key_bytes *key)
{
    size_t least = size < key->size ? size : key->size;
    int c = least ? memcmp(data, key->data, least) : 0;
    return c ? c : (size > key->size) - (size < key->size);
}

/* The first entry of a Binary column, whose values ascend, that is not below the key. */
static inline uint32_t key_bytes_lower_bound(const struct column *keys, const struct key_bytes *key)
{
    uint32_t low = 0, high = (uint32_t)keys->length;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int32_t size;
        const uint8_t *data = column_bytes(keys, middle, &size);
        if (key_bytes_compare(data, (size_t)size, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What is wanted of a memtable or an SST; columns are indexes into `metadata` (the region's current one). */
struct read_request {
    struct region_metadata *metadata;
    const uint32_t *columns; uint32_t n_columns;
    const struct scan_predicate *predicates; uint32_t n_predicates; /* hints for pruning; columns index `metadata` */
    bool append;                /* append mode: every row stands for itself */
    bool alone;                 /* nothing else is merged with the source: when it is unique, its rows stand for themselves, too */
    bool last_row_only;         /* a unique source may leave out all but the newest row of each series */
    int64_t limit;              /* a source of rows that stand for themselves may end after this many; 0 = all */
    int64_t time_min, time_max; /* inclusive, in the time index's unit */
    bool has_max_sequence; uint64_t max_sequence; /* memtables only */
    bool keep;                  /* decoded columns may stay in the caches: other scans may want them */
    uint8_t indexes;            /* kinds of index that may be used (enum sst_index_kind bits) */
    struct budget *budget;      /* where batches are charged */
    struct work_context *work;  /* may be NULL */
    struct scan_stats *stats;   /* may be NULL */
    bool need_key;              /* false: row_batch.key and .time may be NULL (a lone unique source in a scan without merging) */
};

/* A copy for a source to keep: its arrays are the source's, the metadata is borrowed from what the source holds alive. On failure what is to be freed is in it. */
int read_request_copy(struct read_request *to, const struct read_request *from, struct error *err);
void read_request_release(struct read_request *q);

enum merge_mode { MERGE_LAST_ROW, MERGE_LAST_NON_NULL, MERGE_APPEND };

/* One source out of many, deduplicated by `mode` (append: all rows kept). Takes the sources, also on failure. `drop_deletes`: delete rows are removed after
 * they have done their work. A single unique source passes through untouched. Output batches hold up to 8192 rows. `fields`: for each wanted column whether
 * last_non_null may fill it (fields yes; tags and time no). */
int merge_source_new(struct row_source **sources, uint32_t n, enum merge_mode mode, bool drop_deletes, const bool *fields, uint32_t n_columns,
                     struct budget *budget, struct work_context *work, struct row_source **ret_source, struct error *err);

#endif
