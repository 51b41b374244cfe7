/* Columns, batches, builders and batch streams.
 *
 * A column is an immutable, reference-counted slice of shared buffers. The layout by type (see arrow/type.h):
 *   fixed width   buffers[0] = values
 *   BOOL          buffers[0] = bitmap, value i at bit offset + i
 *   var-length    buffers[0] = int32 offsets (length + 1 from `offset`), buffers[1] = bytes
 *   LIST, MAP     buffers[0] = int32 offsets, children[0]; FIXED_LIST: children[0], items from (offset * width)
 *   STRUCT        children, each sliced by the parent's `offset` as well (Arrow's rule)
 *   DICTIONARY    buffers[0] = uint32 keys, dictionary. A null row is null by the rows' own validity: who makes one over values with nulls calls
 *                 column_lift_nulls()
 *   RANGE         buffers[0] = struct range a row, dictionary = the values that they point into (never null: an empty window is {0, 0})
 *   NULL          nothing
 * `validity` NULL means that no value is null. All element access adds `offset`.
 */
#ifndef ARROW_COLUMN_H
#define ARROW_COLUMN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arrow/type.h"
#include "base/bits.h"
#include "base/buffer.h"
#include "base/error.h"

struct column {
    _Atomic int refs;
    struct dtype *type;
    int64_t length, offset;
    int64_t null_count;      /* -1 = not counted yet; see column_null_count() */
    struct buffer *validity; /* NULL = all valid */
    struct buffer *buffers[2];
    uint32_t n_children;
    struct column **children;
    struct column *dictionary;
};

struct batch {
    _Atomic int refs;
    struct schema *schema;
    int64_t n_rows;
    struct column **columns; /* schema->n_fields of them */
};

/* Takes the references to validity, b0 and b1 (NULL where the layout has none), also on failure. `type` is borrowed. */
int column_new(struct dtype *type, int64_t length, int64_t null_count, struct buffer *validity, struct buffer *b0, struct buffer *b1,
               struct column **ret_column, struct error *err);

/* Nested and dictionary columns: as above, and takes the references in children[0..n) (for DICTIONARY and RANGE pass the dictionary as the only child). */
int column_new_nested(struct dtype *type, int64_t length, int64_t null_count, struct buffer *validity, struct buffer *b0,
                      struct column *const *children, uint32_t n_children, struct column **ret_column, struct error *err);

/* A struct of `type` with the rows and nulls of `c`; `member` makes its members, one after another. */
typedef int (*column_member_fn)(void *ctx, const struct column *c, uint32_t member, struct column **ret_column, struct error *err);
int column_new_struct(struct budget *budget, struct dtype *type, const struct column *c, column_member_fn member, void *ctx,
                      struct column **ret_column, struct error *err);

/* `length` nulls of any type. */
int column_new_nulls(struct budget *budget, struct dtype *type, int64_t length, struct column **ret_column, struct error *err);

struct column *column_ref(struct column *c);
void column_unref(struct column *c); /* NULL is allowed */

/* The validity as a bitmap of its own that starts at bit 0; NULL when nothing is null. */
int column_copy_validity(struct budget *budget, const struct column *c, struct buffer **ret_validity, struct error *err);

/* Rows [start, start + length), sharing the buffers. */
int column_slice(struct column *c, int64_t start, int64_t length, struct column **ret_column, struct error *err);

/* Rows at indices[0..n); UINT32_MAX gives a null. Works for every type; dictionaries keep their dictionary. */
int column_take(struct budget *budget, const struct column *c, const uint32_t *indices, int64_t n, struct column **ret_column, struct error *err);

/* The columns one after another; all of one shape. Dictionaries are unified when they differ. */
int column_concat(struct budget *budget, struct column *const *columns, uint32_t n, struct column **ret_column, struct error *err);

/* The same values without dictionary encoding; a reference to c itself when it has none. */
int column_decode_dictionary(struct budget *budget, struct column *c, struct column **ret_column, struct error *err);

/* The same column with the nulls among its dictionary's values as nulls of the rows; a reference to c itself when there are none. */
int column_lift_nulls(struct budget *budget, struct column *c, struct column **ret_column, struct error *err);

/* The same column under another type of the same layout (e.g. Utf8 as Utf8View, Int64 as Timestamp). */
int column_retype(struct column *c, struct dtype *type, struct column **ret_column, struct error *err);

int64_t column_null_count(const struct column *c);

static inline bool column_is_null(const struct column *c, int64_t i)
{
    return c->type->id == TYPE_NULL || (c->validity && !bit_get(c->validity->data, c->offset + i));
}

/* Values from row 0 of the slice on; fixed-width types only. */
#define COLUMN_VALUES(c, ctype) ((const ctype *)(const void *)(c)->buffers[0]->data + (c)->offset)

static inline bool column_bool(const struct column *c, int64_t i)
{
    return bit_get(c->buffers[0]->data, c->offset + i);
}

/* Bytes of value i of a var-length column; undefined for nulls (but safe to read, maybe empty). */
static inline const uint8_t *column_bytes(const struct column *c, int64_t i, int32_t *ret_size)
{
    const int32_t *o = (const int32_t *)(const void *)c->buffers[0]->data + c->offset + i;
    *ret_size = o[1] - o[0];
    return c->buffers[1]->data + o[0];
}

/* Is row i of a the same as row k of b: of one type but for dictionaries; null equals null, floats by their bits. */
bool column_values_equal(const struct column *a, int64_t i, const struct column *b, int64_t k);

/* Takes the references in columns[0..n_fields), also on failure; the schema is borrowed. Checks lengths, asserts types. */
int batch_new(struct schema *schema, int64_t n_rows, struct column *const *columns, struct batch **ret_batch, struct error *err);
/* The columns of b and one more behind them, which is taken, also on failure. */
int batch_with_column(struct schema *schema, const struct batch *b, struct column *last, struct batch **ret_batch, struct error *err);
struct batch *batch_ref(struct batch *b);
void batch_unref(struct batch *b);
int batch_slice(struct batch *b, int64_t start, int64_t length, struct batch **ret_batch, struct error *err);

/* Rows at indices[0..n) of every column. */
int batch_take(struct budget *budget, const struct batch *b, const uint32_t *indices, int64_t n, struct batch **ret_batch, struct error *err);

/* Batches of one schema, one after another. Columns that are dictionaries in some of them only come out plain. */
int batch_concat(struct budget *budget, struct batch *const *batches, uint32_t n, struct batch **ret_batch, struct error *err);

/* Bytes that the rows themselves take: a slice's part of its buffers, codes of dictionaries and windows of ranges without what they point to. */
size_t column_bytes_used(const struct column *c);
size_t batch_bytes_used(const struct batch *b);

/* Approximate bytes that a column or batch keeps alive (shared buffers counted whole). */
size_t column_bytes_held(const struct column *c);
size_t batch_bytes_held(const struct batch *b);

/* Appends values one at a time, for cold paths, tests and decoders of rare types. Hot paths fill buffers themselves. */
struct column_builder {
    struct dtype *type; /* one reference */
    struct budget *budget;
    int64_t length, null_count;
    struct buffer *validity; /* made at the first null */
    struct buffer *values;   /* fixed values, bitmap, or offsets */
    struct buffer *bytes;    /* var-length */
    struct column_builder *children; /* list: 1; struct: n; dictionary is not built by value */
    uint32_t n_children;
};

int column_builder_init(struct column_builder *b, struct budget *budget, struct dtype *type, struct error *err);
void column_builder_release(struct column_builder *b);
int column_builder_append_null(struct column_builder *b, struct error *err);
int column_builder_append_bool(struct column_builder *b, bool v, struct error *err);
int column_builder_append_fixed(struct column_builder *b, const void *value, struct error *err); /* type_width() bytes */
int column_builder_append_bytes(struct column_builder *b, const void *data, size_t size, struct error *err);
/* Lists: append the items to children[0] first, then close the list that holds those since the last call. Struct: append to each child, then call. */
int column_builder_append_nested(struct column_builder *b, struct error *err);
/* Hands out the column and leaves the builder empty. */
int column_builder_finish(struct column_builder *b, struct column **ret_column, struct error *err);

/* A pull stream of batches that all have `schema`. */
struct batch_stream;
struct batch_stream_ops {
    /* *ret_batch = NULL at the end (and ever after). One reference to the caller. */
    int (*next)(struct batch_stream *s, struct batch **ret_batch, struct error *err);
    void (*free)(struct batch_stream *s);
};
struct scan_stats;
struct batch_stream {
    const struct batch_stream_ops *ops;
    struct schema *schema; /* owned by the stream */
    const struct scan_stats *stats; /* what it read so far (arrow/scan.h); NULL = it does not count */
};

static inline int batch_stream_next(struct batch_stream *s, struct batch **ret_batch, struct error *err)
{
    return s->ops->next(s, ret_batch, err);
}

static inline void batch_stream_free(struct batch_stream *s)
{
    if (s)
        s->ops->free(s);
}

#endif
