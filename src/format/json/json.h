/* A strict, depth-limited JSON reader that keeps the text.
 *
 * The document becomes a tree in an arena; every value remembers its slice of the input, so that numbers of any size and parts that are kept verbatim lose
 * nothing. Grammar: RFC 8259, UTF-8 checked, nothing behind the value but white space. Memory: under 100 bytes an input byte, charged to the arena.
 */
#ifndef FORMAT_JSON_JSON_H
#define FORMAT_JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"

#define JSON_MAX_DEPTH 96

enum json_kind { JSON_NULL, JSON_TRUE, JSON_FALSE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    enum json_kind kind;
    uint32_t count;          /* members of an array or object */
    const char *text;        /* the value as it stands in the input (borrowed from it) */
    size_t size;
    const char *string;      /* JSON_STRING: unescaped, zero-terminated; may hold zeros inside */
    size_t string_size;
    const char *key;         /* member of an object: its unescaped name */
    size_t key_size;
    const struct json_value *first, *next;
};

/* Parses a whole document; the tree borrows `text` and lives in `a`. ST_CORRUPT names the byte offset. */
int json_parse(struct arena *a, const char *text, size_t size, const struct json_value **ret_value, struct error *err);

/* The first member of that name; NULL when absent or when `object` is no object (or NULL). */
const struct json_value *json_get(const struct json_value *object, const char *name);

/* False when the value is absent, of another kind, or out of range. Integers also come as decimal strings. */
bool json_u64(const struct json_value *v, uint64_t *ret);
bool json_i64(const struct json_value *v, int64_t *ret);
bool json_i128(const struct json_value *v, __int128 *ret);
bool json_double(const struct json_value *v, double *ret); /* null reads as NaN */
bool json_bool(const struct json_value *v, bool *ret);
bool json_is(const struct json_value *v, enum json_kind kind);
bool json_is_string(const struct json_value *v, const char *text);
/* A string without zeros inside, or NULL. */
const char *json_text(const struct json_value *v);
/* The only member of {"Name": payload}; NULL for anything else. The tag is ret->key. */
const struct json_value *json_only_member(const struct json_value *v);

/* Appends a quoted string, escaped as serde_json does. */
int json_put_string(struct dynbuf *out, const void *text, size_t size, struct error *err);
int json_put_i128(struct dynbuf *out, __int128 v, struct error *err);
/* Shortest text that reads back as the same number, in serde_json's layout; NaN and infinities are null. */
int json_put_double(struct dynbuf *out, double v, struct error *err);
int json_put_float(struct dynbuf *out, float v, struct error *err);

#endif
