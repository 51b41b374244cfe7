/* Shared by the two ways into a row_write. Private to format/rows. */
#ifndef FORMAT_ROWS_INTERNAL_H
#define FORMAT_ROWS_INTERNAL_H

#include "format/proto/wire.h"
#include "format/rows/rows.h"

/* One ColumnSchema of a Rows message. */
struct wire_column { const char *name; size_t name_size; int32_t datatype, semantic; struct pb_field extension; };
bool wire_column_read(const struct pb_field *message, struct wire_column *ret_column);
/* ST_INVALID_ARGUMENTS unless type and semantic are the region column's. */
int wire_column_check(const struct wire_column *w, const struct region_column *c, struct error *err);

/* The next Value of a Row, `0A len value`: *ret_value is where it starts, *p moves behind it. False when there is none or it is cut off. */
static inline bool row_next_value(const uint8_t **p, const uint8_t *end, const uint8_t **ret_value)
{
    uint64_t n;
    if (end - *p < 2 || **p != 0x0a)
        return false;
    struct pb_reader r = {*p + 1, end};
    if (*r.p < 0x80)
        n = *r.p++;
    else if (!pb_varint(&r, &n))
        return false;
    if (n > (uint64_t)(end - r.p))
        return false;
    *ret_value = r.p;
    *p = r.p + n;
    return true;
}

/* A varint that ends exactly at `end`. */
static inline bool whole_varint(const uint8_t *p, const uint8_t *end, uint64_t *ret_value)
{
    if (end - p == 1 && *p < 0x80) {
        *ret_value = *p;
        return true;
    }
    struct pb_reader r = {p, end};
    return pb_varint(&r, ret_value) && r.p == end;
}

/* Empty columns, and room for spans and hashes when the region has tags. */
int row_write_alloc(struct row_write *w, struct region_metadata *metadata, int64_t n_rows, bool is_delete, struct budget *budget, struct error *err);

/* A put of the n given columns, found by name; the others are filled in. Those of the region's key go to tags[] (by place in the key, borrowed); with
 * tags == NULL there may be none, the caller makes the keys. No spans yet unless a column holds whole keys, no time bounds. */
int row_write_adopt(int64_t n_rows, struct field *const *fields, struct column *const *columns, uint32_t n, struct region_metadata *metadata,
                    struct column **tags, struct budget *budget, struct row_write *ret_write, struct error *err);

/* Makes the keys of all rows, charged and side by side in the write's scratch, and points the spans at them. `append` appends one row's. A default
 * repeated in every row's key is more than the request itself. */
typedef int (*row_key_fn)(void *ctx, int64_t row, struct dynbuf *keys, struct error *err);
int row_write_make_keys(struct row_write *w, row_key_fn append, void *ctx, struct error *err);

/* Sets time_min and time_max from `times`. */
void row_write_time_bounds(struct row_write *w);

/* What a column that the write does not mention holds: default, null, or zeros in deletes (region-rpc.md 4.1). Tags are left to the key encoder. */
int row_write_fill_missing(struct row_write *w, uint32_t index, struct error *err);

#endif
