/* JSONB: the binary form of JSON columns (functions.md 4.12), and how it goes from and to text. The bytes are stored in user tables, hence frozen.
 *
 *   container = header (array, object or scalar, and how many), entries (kind and size of each part), parts
 *   object    = header, entries of the keys, entries of the values, keys in byte order, values
 *   scalar    = header, one entry, its part; only at the top
 * All numbers are big-endian. Readers check every size against the bytes that are there; broken parts read as absent.
 */
#ifndef FORMAT_JSONB_JSONB_H
#define FORMAT_JSONB_JSONB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum { JSONB_DEPTH_MAX = 256, JSONB_SIZE_MAX = 0x0fffffff }; /* of any part */

enum jsonb_kind { JSONB_NULL, JSONB_STRING, JSONB_NUMBER, JSONB_FALSE, JSONB_TRUE, JSONB_CONTAINER, JSONB_NONE = 7 }; /* frozen; NONE = absent */
enum jsonb_container { JSONB_SCALAR = 1, JSONB_OBJECT = 2, JSONB_ARRAY = 4 }; /* frozen: top three bits of a header */

/* A value inside a document, borrowed. A container's bytes begin with its header. */
struct jsonb_item {
    enum jsonb_kind kind;
    const uint8_t *data;
    size_t size;
};

struct jsonb_number {
    enum { JSONB_INT, JSONB_UINT, JSONB_FLOAT } form;
    int64_t i;
    uint64_t u;
    double f;
};

/* False: the bytes are JSON text of an early version, or nothing. */
bool jsonb_is_binary(const void *data, size_t size);

/* Appends the binary form of JSON text (with the leniency of functions.md 4.12). Memory beside `out`: about 60 bytes a value, of `budget`.
 * ST_INVALID_ARGUMENTS says what and where. */
int jsonb_parse(const void *text, size_t size, struct budget *budget, struct dynbuf *out, struct error *err);

/* Appends the text of a document, binary or text. ST_CORRUPT when it is neither. */
int jsonb_print(const void *data, size_t size, struct budget *budget, struct dynbuf *out, struct error *err);
int jsonb_print_number(const struct jsonb_number *n, struct dynbuf *out, struct error *err);

/* The document itself as an item: what a scalar header wraps, or the container. */
struct jsonb_item jsonb_root(const void *data, size_t size);

/* The kind of container and its number of members; {0, 0} when it is none or broken. */
enum jsonb_container jsonb_container(const struct jsonb_item *item, uint32_t *ret_count);

/* Walks an array's items or an object's members in order. */
struct jsonb_walk {
    const uint8_t *key_entries, *entries, *keys, *values, *end;
    uint32_t left;
};
bool jsonb_walk_start(const struct jsonb_item *container, enum jsonb_container kind, struct jsonb_walk *ret_walk); /* false: not of that kind */
bool jsonb_walk_next(struct jsonb_walk *w, struct jsonb_item *ret_key, struct jsonb_item *ret_value);              /* key: NONE in arrays */

bool jsonb_number(const struct jsonb_item *item, struct jsonb_number *ret);
double jsonb_number_float(const struct jsonb_number *n);
/* By value across the three forms; NaN is the greatest and equals itself. */
int jsonb_number_compare(const struct jsonb_number *a, const struct jsonb_number *b);

/* Appends a document that is this item alone, or an array of these items. */
int jsonb_put_item(const struct jsonb_item *item, struct dynbuf *out, struct error *err);
int jsonb_put_array(const struct jsonb_item *items, size_t n, struct dynbuf *out, struct error *err);

#endif
