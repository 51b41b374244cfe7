/* Private to format/jsonb. */
#ifndef FORMAT_JSONB_INTERNAL_H
#define FORMAT_JSONB_INTERNAL_H

#include "base/arena.h"
#include "format/jsonb/jsonb.h"

enum {
    NUMBER_ZERO = 0x00,
    NUMBER_NAN = 0x10,
    NUMBER_INF = 0x20,
    NUMBER_NEG_INF = 0x30,
    NUMBER_INT = 0x40,
    NUMBER_UINT = 0x50,
    NUMBER_FLOAT = 0x60
}; /* frozen */

int jsonb_put_be32(struct dynbuf *out, uint32_t v, struct error *err);

/* Unescapes JSON string content (what stands between the quotes) into `out`, which has room for n bytes; the size of the result, or SIZE_MAX when an
 * escape or the UTF-8 is bad. Lone surrogates stay as the text of their escape. */
size_t jsonb_unescape(const uint8_t *p, size_t n, uint8_t *out);

#endif
