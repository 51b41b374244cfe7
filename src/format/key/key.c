/* Primary keys in memcomparable form (mito-on-disk.md section 4): comparing two keys byte by byte compares their columns, nulls first.
 *
 * One description drives encoder, decoder and skipper: shape_of() says how a type's payload looks. Every read is checked against the end of the key.
 */
#include "format/key/internal.h"

#include <string.h>

enum shape { SHAPE_NONE, SHAPE_BOOL, SHAPE_UNSIGNED, SHAPE_SIGNED, SHAPE_FLOAT, SHAPE_STRING, SHAPE_BYTES, SHAPE_UNIT, SHAPE_DAY_TIME, SHAPE_MONTH_DAY_NANO,
    SHAPE_DECIMAL };

/* *ret_size: payload bytes behind the presence byte, 0 where they vary. */
static enum shape shape_of(const struct dtype *t, size_t *ret_size)
{
    *ret_size = 0;
    switch ((enum type_id)t->id) {
    case TYPE_BOOL:
        *ret_size = 1;
        return SHAPE_BOOL;
    case TYPE_UINT8: case TYPE_UINT16: case TYPE_UINT32: case TYPE_UINT64:
        *ret_size = (size_t)type_width(t);
        return SHAPE_UNSIGNED;
    case TYPE_INT8: case TYPE_INT16: case TYPE_INT32: case TYPE_INT64: case TYPE_DATE32: case TYPE_TIMESTAMP: case TYPE_INTERVAL_YEAR_MONTH:
        *ret_size = (size_t)type_width(t);
        return SHAPE_SIGNED;
    case TYPE_FLOAT32: case TYPE_FLOAT64:
        *ret_size = (size_t)type_width(t);
        return SHAPE_FLOAT;
    case TYPE_UTF8: case TYPE_LARGE_UTF8: case TYPE_UTF8_VIEW:
        return SHAPE_STRING;
    case TYPE_BINARY: case TYPE_LARGE_BINARY: case TYPE_BINARY_VIEW:
        return SHAPE_BYTES;
    case TYPE_TIME32: case TYPE_TIME64: case TYPE_DURATION:
        *ret_size = 9;
        return SHAPE_UNIT;
    case TYPE_INTERVAL_DAY_TIME:
        *ret_size = 8;
        return SHAPE_DAY_TIME;
    case TYPE_INTERVAL_MONTH_DAY_NANO:
        *ret_size = 16;
        return SHAPE_MONTH_DAY_NANO;
    case TYPE_DECIMAL128:
        *ret_size = 18;
        return SHAPE_DECIMAL;
    default:
        return SHAPE_NONE;
    }
}

static int unsupported(const struct dtype *t, struct error *err)
{
    char name[96];
    return error_set(err, ST_UNSUPPORTED, "type %s cannot be part of a primary key", type_print(t, name, sizeof name));
}

int key_corrupt(const char *what, struct error *err)
{
    return error_set(err, ST_CORRUPT, "primary key: %s", what);
}

/* ---- encoding ---- */

/* `width` little-endian bytes to big-endian, the sign bit flipped for signed types. */
static void put_be(uint8_t *to, const uint8_t *from, size_t width, bool flip)
{
    for (size_t i = 0; i < width; i++)
        to[i] = from[width - 1 - i];
    if (flip)
        to[0] ^= 0x80;
}

static void put_float(uint8_t *to, const uint8_t *from, size_t width)
{
    uint64_t bits = 0, top = (uint64_t)1 << (width * 8 - 1), infinity = width == 4 ? 0x7f800000u : 0x7ff0000000000000u;
    memcpy(&bits, from, width);
    if ((bits & ~top) > infinity)
        bits = width == 4 ? 0x7fc00000u : 0x7ff8000000000000u;
    else if (bits == top)
        bits = 0;
    bits = bits & top ? ~bits : bits | top;
    put_be(to, (const uint8_t *)&bits, width, false);
}

static size_t encode_fixed(uint8_t *to, enum shape shape, const struct dtype *t, const uint8_t *v)
{
    size_t width = (size_t)type_width(t);
    switch (shape) {
    case SHAPE_BOOL:
        to[0] = v[0] != 0;
        return 1;
    case SHAPE_UNSIGNED:
    case SHAPE_SIGNED:
        put_be(to, v, width, shape == SHAPE_SIGNED);
        return width;
    case SHAPE_FLOAT:
        put_float(to, v, width);
        return width;
    case SHAPE_UNIT: {
        int64_t n = width == 4 ? (int32_t)load_le32(v) : (int64_t)load_le64(v);
        put_be(to, (const uint8_t *)&n, 8, true);
        to[8] = t->unit;
        return 9;
    }
    case SHAPE_DAY_TIME: {
        uint64_t n = (uint64_t)load_le32(v) << 32 | load_le32(v + 4);
        put_be(to, (const uint8_t *)&n, 8, true);
        return 8;
    }
    case SHAPE_MONTH_DAY_NANO: {
        unsigned __int128 n = (unsigned __int128)load_le32(v) << 96 | (unsigned __int128)load_le32(v + 4) << 64 | load_le64(v + 8);
        put_be(to, (const uint8_t *)&n, 16, true);
        return 16;
    }
    default:
        put_be(to, v, 16, true);
        to[16] = t->precision;
        to[17] = (uint8_t)((uint8_t)t->scale ^ 0x80);
        return 18;
    }
}

int key_append_null(struct dynbuf *out, struct error *err)
{
    return dynbuf_append_byte(out, 0, err);
}

int key_append_string(struct dynbuf *out, const void *text, size_t size, struct error *err)
{
    const uint8_t *p = text;
    TRY(dynbuf_reserve(out, 2 + size / 8 * 9 + 9, err));
    uint8_t *to = out->data + out->size, *start = to;
    *to++ = 1;
    *to++ = size > 0;
    while (size) {
        size_t n = size < 8 ? size : 8;
        memset(to, 0, 8);
        memcpy(to, p, n);
        to[8] = (uint8_t)(size > 8 ? 9 : n);
        to += 9;
        p += n;
        size -= n;
    }
    out->size += (size_t)(to - start);
    return ST_OK;
}

static int append_sequence(struct dynbuf *out, const uint8_t *data, size_t size, struct error *err)
{
    TRY(dynbuf_reserve(out, 2 + 2 * size, err));
    uint8_t *to = out->data + out->size;
    *to++ = 1;
    for (size_t i = 0; i < size; i++) {
        *to++ = 1;
        *to++ = data[i];
    }
    *to = 0;
    out->size += 2 + 2 * size;
    return ST_OK;
}

int key_append_fixed(struct dynbuf *out, const struct dtype *type, const void *value, struct error *err)
{
    size_t size;
    enum shape shape = shape_of(type, &size);
    if (!size)
        return unsupported(type, err);
    TRY(dynbuf_reserve(out, 1 + size, err));
    out->data[out->size] = 1;
    out->size += 1 + encode_fixed(out->data + out->size + 1, shape, type, value);
    return ST_OK;
}

int key_append_value(struct dynbuf *out, const struct column *c, int64_t i, struct error *err)
{
    size_t size;
    if (c->type->id == TYPE_DICTIONARY) {
        if (shape_of(type_values(c->type), &size) == SHAPE_NONE)
            return unsupported(c->type, err);
        return column_is_null(c, i) ? key_append_null(out, err) : key_append_value(out, c->dictionary, COLUMN_VALUES(c, uint32_t)[i], err);
    }
    enum shape shape = shape_of(c->type, &size);
    if (shape == SHAPE_NONE)
        return unsupported(c->type, err);
    if (column_is_null(c, i))
        return key_append_null(out, err);
    if (shape == SHAPE_STRING || shape == SHAPE_BYTES) {
        int32_t n;
        const uint8_t *p = column_bytes(c, i, &n);
        return shape == SHAPE_STRING ? key_append_string(out, p, (size_t)n, err) : append_sequence(out, p, (size_t)n, err);
    }
    if (shape == SHAPE_BOOL) {
        uint8_t on = column_bool(c, i);
        return key_append_fixed(out, c->type, &on, err);
    }
    return key_append_fixed(out, c->type, c->buffers[0]->data + (c->offset + i) * type_width(c->type), err);
}

/* ---- decoding ---- */

static void get_be(uint8_t *to, const uint8_t *from, size_t width, bool flip)
{
    for (size_t i = 0; i < width; i++)
        to[i] = from[width - 1 - i];
    if (flip)
        to[width - 1] ^= 0x80;
}

static bool decode_fixed(const uint8_t *p, enum shape shape, const struct dtype *t, uint8_t *to)
{
    size_t width = (size_t)type_width(t);
    switch (shape) {
    case SHAPE_BOOL:
        to[0] = p[0];
        return p[0] <= 1;
    case SHAPE_UNSIGNED:
    case SHAPE_SIGNED:
        get_be(to, p, width, shape == SHAPE_SIGNED);
        return true;
    case SHAPE_FLOAT: {
        uint64_t bits = 0, top = (uint64_t)1 << (width * 8 - 1);
        get_be((uint8_t *)&bits, p, width, false);
        bits = bits & top ? bits & ~top : ~bits;
        memcpy(to, &bits, width);
        return true;
    }
    case SHAPE_UNIT: {
        int64_t n;
        get_be((uint8_t *)&n, p, 8, true);
        memcpy(to, &n, width);
        return p[8] == t->unit && (width == 8 || (n >= INT32_MIN && n <= INT32_MAX));
    }
    case SHAPE_DAY_TIME: {
        uint64_t n;
        get_be((uint8_t *)&n, p, 8, true);
        store_le32(to, (uint32_t)(n >> 32));
        store_le32(to + 4, (uint32_t)n);
        return true;
    }
    case SHAPE_MONTH_DAY_NANO: {
        unsigned __int128 n;
        get_be((uint8_t *)&n, p, 16, true);
        store_le32(to, (uint32_t)(n >> 96));
        store_le32(to + 4, (uint32_t)(n >> 64));
        store_le64(to + 8, (uint64_t)n);
        return true;
    }
    default:
        get_be(to, p, 16, true);
        return p[16] == t->precision && p[17] == (uint8_t)((uint8_t)t->scale ^ 0x80);
    }
}

int key_string_measure(const uint8_t *key, size_t size, size_t pos, size_t *ret_length, size_t *ret_end, struct error *err)
{
    size_t length = 0;
    if (pos >= size || key[pos] > 1)
        return key_corrupt("bad string marker", err);
    if (!key[pos++]) {
        *ret_length = 0;
        *ret_end = pos;
        return ST_OK;
    }
    for (;;) {
        if (size - pos < 9)
            return key_corrupt("string is cut off", err);
        uint8_t n = key[pos + 8];
        if (n < 1 || n > 9)
            return key_corrupt("bad string chunk length", err);
        for (unsigned i = n; i < 8; i++) {
            if (key[pos + i])
                return key_corrupt("bad string padding", err);
        }
        pos += 9;
        length += n == 9 ? 8 : n;
        if (n != 9)
            break;
    }
    *ret_length = length;
    *ret_end = pos;
    return ST_OK;
}

int key_string_append(const uint8_t *key, size_t pos, size_t length, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_reserve(out, length, err));
    for (size_t done = 0; done < length; done += 8)
        memcpy(out->data + out->size + done, key + pos + 1 + done / 8 * 9, length - done < 8 ? length - done : 8);
    out->size += length;
    return ST_OK;
}

static int scan_sequence(const uint8_t *key, size_t size, size_t pos, size_t *ret_length, size_t *ret_end, struct error *err)
{
    size_t length = 0;
    while (pos < size && key[pos] == 1) {
        if (size - pos < 2)
            return key_corrupt("bytes are cut off", err);
        pos += 2;
        length++;
    }
    if (pos >= size || key[pos] != 0)
        return key_corrupt("bytes are cut off", err);
    *ret_length = length;
    *ret_end = pos + 1;
    return ST_OK;
}

static int presence(const uint8_t *key, size_t size, size_t pos, bool *ret_present, struct error *err)
{
    if (pos >= size)
        return key_corrupt("too few columns", err);
    if (key[pos] > 1)
        return key_corrupt("bad presence byte", err);
    *ret_present = key[pos];
    return ST_OK;
}

/* The payload of the value at *pos: its place, end and (for strings and bytes) length. */
static int locate(const uint8_t *key, size_t size, size_t pos, const struct dtype *type, bool *ret_present, size_t *ret_length, size_t *ret_end,
                  struct error *err)
{
    size_t fixed;
    enum shape shape = shape_of(type_values(type), &fixed);
    if (shape == SHAPE_NONE)
        return unsupported(type, err);
    TRY(presence(key, size, pos, ret_present, err));
    pos++;
    *ret_length = 0;
    *ret_end = pos;
    if (!*ret_present)
        return ST_OK;
    if (shape == SHAPE_STRING)
        return key_string_measure(key, size, pos, ret_length, ret_end, err);
    if (shape == SHAPE_BYTES)
        return scan_sequence(key, size, pos, ret_length, ret_end, err);
    if (size - pos < fixed)
        return key_corrupt("a value is cut off", err);
    *ret_end = pos + fixed;
    return ST_OK;
}

int key_skip_value(const uint8_t *key, size_t size, size_t *pos, const struct dtype *type, struct error *err)
{
    bool present;
    size_t length, end;
    TRY(locate(key, size, *pos, type, &present, &length, &end, err));
    *pos = end;
    return ST_OK;
}

static int decode_varlen(const uint8_t *key, size_t pos, size_t length, bool string, struct column_builder *out, struct error *err)
{
    struct dynbuf bytes;
    dynbuf_init(&bytes, length + 64);
    int st = string ? key_string_append(key, pos, length, &bytes, err) : dynbuf_reserve(&bytes, length + 1, err);
    if (st == ST_OK && !string) {
        for (size_t i = 0; i < length; i++)
            bytes.data[i] = key[pos + 1 + 2 * i];
        bytes.size = length;
    }
    if (st == ST_OK)
        st = column_builder_append_bytes(out, bytes.data ? (const void *)bytes.data : "", length, err);
    dynbuf_release(&bytes);
    return st;
}

int key_decode_value(const uint8_t *key, size_t size, size_t *pos, struct column_builder *out, struct error *err)
{
    uint8_t value[16];
    size_t length, end, fixed;
    bool present;
    enum shape shape = shape_of(out->type, &fixed);
    TRY(locate(key, size, *pos, out->type, &present, &length, &end, err));
    if (!present) {
        TRY(column_builder_append_null(out, err));
    } else if (shape == SHAPE_STRING || shape == SHAPE_BYTES) {
        TRY(decode_varlen(key, *pos + 1, length, shape == SHAPE_STRING, out, err));
    } else {
        if (!decode_fixed(key + *pos + 1, shape, out->type, value))
            return key_corrupt("a value that the column's type does not have", err);
        TRY(shape == SHAPE_BOOL ? column_builder_append_bool(out, value[0], err) : column_builder_append_fixed(out, value, err));
    }
    *pos = end;
    return ST_OK;
}
