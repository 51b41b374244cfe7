/* Primary key encoding: memcomparable values, and dense keys as their concatenation (mito-on-disk.md section 4). Pure. Sparse keys: sparse.h. */
#ifndef FORMAT_KEY_KEY_H
#define FORMAT_KEY_KEY_H

#include <stdint.h>

#include "arrow/column.h"
#include "base/buffer.h"
#include "base/error.h"

/* Appends the encoding (presence byte included) of row i of a column, plain or dictionary. ST_UNSUPPORTED for types that cannot be in a key. */
int key_append_value(struct dynbuf *out, const struct column *c, int64_t i, struct error *err);
int key_append_null(struct dynbuf *out, struct error *err);
int key_append_string(struct dynbuf *out, const void *text, size_t size, struct error *err);
/* Fixed-width value given in its in-memory form (type_width() bytes; BOOL: one byte 0/1). */
int key_append_fixed(struct dynbuf *out, const struct dtype *type, const void *value, struct error *err);

/* Decodes the next value of the given type at key[*pos] into the builder, moving *pos behind it. ST_CORRUPT for anything the encoder cannot have made. */
int key_decode_value(const uint8_t *key, size_t size, size_t *pos, struct column_builder *out, struct error *err);
/* Moves *pos behind one value without decoding it. */
int key_skip_value(const uint8_t *key, size_t size, size_t *pos, const struct dtype *type, struct error *err);

#endif
