/* Protobuf's wire format: a bounds-checked pull reader without allocation, and an appender.
 *
 * One reader serves every message of the project (requests, Substrait, WAL entries, Flight): it is depth-safe because each caller counts its own
 * nesting, and it copies nothing. Source: protobuf.dev/programming-guides/encoding.
 */
#ifndef FORMAT_PROTO_WIRE_H
#define FORMAT_PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bits.h"
#include "base/buffer.h"
#include "base/error.h"

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_reader {
    const uint8_t *p, *end;
};

struct pb_field {
    uint32_t number;
    uint8_t wire;        /* enum pb_wire */
    uint64_t value;      /* VARINT, FIXED64, FIXED32 */
    const uint8_t *data; /* BYTES */
    size_t size;
};

static inline struct pb_reader pb_reader_of(const void *data, size_t size)
{
    const uint8_t *start = data ? (const uint8_t *)data : (const uint8_t *)""; /* the inside of a field that is no message is empty */
    return (struct pb_reader){start, start + size};
}

/* The next varint; false when it is cut off or longer than 10 bytes. */
static inline bool pb_varint(struct pb_reader *r, uint64_t *ret_value)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && r->p < r->end; shift += 7) {
        uint8_t b = *r->p++;
        v |= shift < 64 ? (uint64_t)(b & 0x7f) << shift : 0;
        if (b < 0x80) {
            *ret_value = v;
            return true;
        }
    }
    return false;
}

/* The next field. false at the end of the message or when it is malformed: then r->p != r->end (see pb_done()). Groups are malformed. */
static inline bool pb_next(struct pb_reader *r, struct pb_field *ret_field)
{
    const uint8_t *start = r->p;
    uint64_t key, n;
    if (r->p >= r->end)
        return false;
    if (!pb_varint(r, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff)
        goto bad;
    ret_field->number = (uint32_t)(key >> 3);
    ret_field->wire = key & 7;
    ret_field->value = 0;
    ret_field->data = NULL;
    ret_field->size = 0;
    switch (ret_field->wire) {
    case PB_VARINT:
        if (!pb_varint(r, &ret_field->value))
            goto bad;
        return true;
    case PB_FIXED64:
        if (r->end - r->p < 8)
            goto bad;
        ret_field->value = load_le64(r->p);
        r->p += 8;
        return true;
    case PB_FIXED32:
        if (r->end - r->p < 4)
            goto bad;
        ret_field->value = load_le32(r->p);
        r->p += 4;
        return true;
    case PB_BYTES:
        if (!pb_varint(r, &n) || n > (uint64_t)(r->end - r->p))
            goto bad;
        ret_field->data = r->p;
        ret_field->size = (size_t)n;
        r->p += n;
        return true;
    default:
        break;
    }
bad:
    r->p = start == r->end ? start - 1 : start; /* keeps r->p != r->end */
    return false;
}

/* True when pb_next() stopped because the message is over, not because it is broken. */
static inline bool pb_done(const struct pb_reader *r)
{
    return r->p == r->end;
}

/* A string or bytes field as a reader of the message inside. */
static inline struct pb_reader pb_inside(const struct pb_field *f)
{
    return pb_reader_of(f->data, f->size);
}

static inline double pb_double(const struct pb_field *f) { double d; memcpy(&d, &f->value, 8); return d; }
static inline float pb_float(const struct pb_field *f) { uint32_t v = (uint32_t)f->value; float d; memcpy(&d, &v, 4); return d; }

/* ---- writing ---- */
int pb_put_varint(struct dynbuf *out, uint64_t value, struct error *err);
int pb_put_uint(struct dynbuf *out, uint32_t field, uint64_t value, struct error *err); /* key and varint, zero included */
int pb_put_bytes(struct dynbuf *out, uint32_t field, const void *data, size_t size, struct error *err);
int pb_put_string(struct dynbuf *out, uint32_t field, const char *text, struct error *err);
int pb_put_fixed64(struct dynbuf *out, uint32_t field, uint64_t value, struct error *err);
int pb_put_fixed32(struct dynbuf *out, uint32_t field, uint32_t value, struct error *err);
/* Bytes that a varint takes; writes one to p and returns the byte behind it. */
size_t pb_varint_size(uint64_t value);
uint8_t *pb_write_varint(uint8_t *p, uint64_t value);

#endif
