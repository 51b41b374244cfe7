#include "format/proto/wire.h"

size_t pb_varint_size(uint64_t value)
{
    return (size_t)(value ? (63 - __builtin_clzll(value)) / 7 + 1 : 1);
}

uint8_t *pb_write_varint(uint8_t *p, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *p++ = (uint8_t)(value | 0x80);
    *p++ = (uint8_t)value;
    return p;
}

int pb_put_varint(struct dynbuf *out, uint64_t value, struct error *err)
{
    TRY(dynbuf_reserve(out, 10, err));
    out->size = (size_t)(pb_write_varint(out->data + out->size, value) - out->data);
    return ST_OK;
}

static int put_key(struct dynbuf *out, uint32_t field, enum pb_wire wire, struct error *err)
{
    return pb_put_varint(out, (uint64_t)field << 3 | wire, err);
}

int pb_put_uint(struct dynbuf *out, uint32_t field, uint64_t value, struct error *err)
{
    TRY(put_key(out, field, PB_VARINT, err));
    return pb_put_varint(out, value, err);
}

int pb_put_bytes(struct dynbuf *out, uint32_t field, const void *data, size_t size, struct error *err)
{
    TRY(put_key(out, field, PB_BYTES, err));
    TRY(pb_put_varint(out, size, err));
    return dynbuf_append(out, data, size, err);
}

int pb_put_string(struct dynbuf *out, uint32_t field, const char *text, struct error *err)
{
    return pb_put_bytes(out, field, text, strlen(text), err);
}

int pb_put_fixed64(struct dynbuf *out, uint32_t field, uint64_t value, struct error *err)
{
    TRY(put_key(out, field, PB_FIXED64, err));
    return dynbuf_append(out, &value, 8, err);
}

int pb_put_fixed32(struct dynbuf *out, uint32_t field, uint32_t value, struct error *err)
{
    TRY(put_key(out, field, PB_FIXED32, err));
    return dynbuf_append(out, &value, 4, err);
}
