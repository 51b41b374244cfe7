/* What the sketch codecs share: a bounds-checked reader and writers of bincode's fixed-width little-endian form. Private to format/sketch.
 */
#ifndef FORMAT_SKETCH_INTERNAL_H
#define FORMAT_SKETCH_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bits.h"
#include "base/buffer.h"

struct bincode {
    const uint8_t *p, *end;
    bool broken; /* something was cut off; every value read since is 0 */
};

static inline const uint8_t *bincode_bytes(struct bincode *r, uint64_t n)
{
    if (r->broken || n > (uint64_t)(r->end - r->p)) {
        r->broken = true;
        return NULL;
    }
    r->p += n;
    return r->p - n;
}

static inline uint8_t bincode_u8(struct bincode *r)
{
    const uint8_t *p = bincode_bytes(r, 1);
    return p ? *p : 0;
}

static inline uint32_t bincode_u32(struct bincode *r)
{
    const uint8_t *p = bincode_bytes(r, 4);
    return p ? load_le32(p) : 0;
}

static inline uint64_t bincode_u64(struct bincode *r)
{
    const uint8_t *p = bincode_bytes(r, 8);
    return p ? load_le64(p) : 0;
}

static inline double bincode_f64(struct bincode *r)
{
    uint64_t bits = bincode_u64(r);
    double d;
    memcpy(&d, &bits, 8);
    return d;
}

static inline int bincode_put_u32(struct dynbuf *out, uint32_t v, struct error *err)
{
    return dynbuf_append(out, &v, 4, err);
}

static inline int bincode_put_u64(struct dynbuf *out, uint64_t v, struct error *err)
{
    return dynbuf_append(out, &v, 8, err);
}

static inline int bincode_put_f64(struct dynbuf *out, double v, struct error *err)
{
    return dynbuf_append(out, &v, 8, err);
}

#endif
