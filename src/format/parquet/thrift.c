/* Thrift compact protocol: pull reader and appender; see thrift.h. */
#include "format/parquet/thrift.h"

#include <assert.h>
#include <string.h>

static uint8_t next_byte(struct thrift_reader *r)
{
    if (r->bad || r->p >= r->end) {
        r->bad = true;
        return 0;
    }
    return *r->p++;
}

static uint64_t next_varint(struct thrift_reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = next_byte(r);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    r->bad = true;
    return 0;
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

bool thrift_next(struct thrift_reader *r, struct thrift_field *f)
{
    uint8_t head = next_byte(r);
    if (r->bad || head == THRIFT_STOP)
        return false;
    f->type = head & 15;
    int64_t id = head >> 4 ? f->id + (head >> 4) : unzigzag(next_varint(r));
    if (id < INT16_MIN || id > INT16_MAX || f->type > THRIFT_UUID || f->type == THRIFT_STOP)
        r->bad = true;
    f->id = (int32_t)id;
    return !r->bad;
}

static void skip_bytes(struct thrift_reader *r, uint64_t n)
{
    if (r->bad || n > (uint64_t)(r->end - r->p))
        r->bad = true;
    else
        r->p += n;
}

static void skip_many(struct thrift_reader *r, uint64_t n, uint8_t type)
{
    if (n > (uint64_t)(r->end - r->p))
        r->bad = true;
    for (uint64_t i = 0; i < n && !r->bad; i++) {
        if (type == THRIFT_TRUE || type == THRIFT_FALSE)
            next_byte(r);
        else
            thrift_skip(r, type);
    }
}

static void skip_container(struct thrift_reader *r, uint8_t type)
{
    if (type == THRIFT_MAP) {
        uint64_t n = next_varint(r);
        uint8_t kinds = n ? next_byte(r) : 0;
        if (n > (uint64_t)(r->end - r->p))
            r->bad = true;
        for (uint64_t i = 0; i < n && !r->bad; i++) {
            skip_many(r, 1, kinds >> 4);
            skip_many(r, 1, kinds & 15);
        }
    } else if (type == THRIFT_STRUCT) {
        for (struct thrift_field f = {0}; thrift_next(r, &f);)
            thrift_skip(r, f.type);
    } else {
        uint8_t head = next_byte(r);
        skip_many(r, head >> 4 == 15 ? next_varint(r) : head >> 4, head & 15);
    }
}

void thrift_skip(struct thrift_reader *r, uint8_t type)
{
    if (r->bad)
        return;
    switch (type) {
    case THRIFT_TRUE: case THRIFT_FALSE: return;
    case THRIFT_I8: skip_bytes(r, 1); return;
    case THRIFT_I16: case THRIFT_I32: case THRIFT_I64: next_varint(r); return;
    case THRIFT_DOUBLE: skip_bytes(r, 8); return;
    case THRIFT_BINARY: skip_bytes(r, next_varint(r)); return;
    case THRIFT_UUID: skip_bytes(r, 16); return;
    case THRIFT_LIST: case THRIFT_SET: case THRIFT_MAP: case THRIFT_STRUCT:
        if (++r->depth > THRIFT_DEPTH_MAX)
            r->bad = true;
        else
            skip_container(r, type);
        r->depth--;
        return;
    default: r->bad = true;
    }
}

bool thrift_enter(struct thrift_reader *r, const struct thrift_field *f)
{
    if (f->type != THRIFT_STRUCT || ++r->depth > THRIFT_DEPTH_MAX)
        r->bad = true;
    return !r->bad;
}

void thrift_leave(struct thrift_reader *r)
{
    if (!r->bad)
        r->depth--;
}

bool thrift_bool(struct thrift_reader *r, const struct thrift_field *f)
{
    if (f->type != THRIFT_TRUE && f->type != THRIFT_FALSE)
        r->bad = true;
    return f->type == THRIFT_TRUE;
}

bool thrift_element_bool(struct thrift_reader *r, const struct thrift_field *element)
{
    if (element->type != THRIFT_TRUE && element->type != THRIFT_FALSE)
        r->bad = true;
    return next_byte(r) == THRIFT_TRUE;
}

int64_t thrift_int(struct thrift_reader *r, const struct thrift_field *f)
{
    if (f->type == THRIFT_I8)
        return (int8_t)next_byte(r);
    if (f->type == THRIFT_I16 || f->type == THRIFT_I32 || f->type == THRIFT_I64)
        return unzigzag(next_varint(r));
    r->bad = true;
    return 0;
}

int32_t thrift_i32(struct thrift_reader *r, const struct thrift_field *f)
{
    int64_t v = thrift_int(r, f);
    if (v < INT32_MIN || v > INT32_MAX)
        r->bad = true;
    return r->bad ? 0 : (int32_t)v;
}

const uint8_t *thrift_bytes(struct thrift_reader *r, const struct thrift_field *f, uint32_t *ret_size)
{
    *ret_size = 0;
    if (f->type != THRIFT_BINARY)
        r->bad = true;
    uint64_t n = next_varint(r);
    if (r->bad || n > (uint64_t)(r->end - r->p) || n > INT32_MAX) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *data = r->p;
    r->p += n;
    *ret_size = (uint32_t)n;
    return data;
}

uint32_t thrift_list(struct thrift_reader *r, const struct thrift_field *f, struct thrift_field *ret_element)
{
    *ret_element = (struct thrift_field){0};
    if (f->type != THRIFT_LIST && f->type != THRIFT_SET)
        r->bad = true;
    uint8_t head = next_byte(r);
    uint64_t n = head >> 4 == 15 ? next_varint(r) : head >> 4;
    if (r->bad || n > (uint64_t)(r->end - r->p)) {
        r->bad = true;
        return 0;
    }
    ret_element->type = head & 15;
    return (uint32_t)n;
}

/* ---- writing ---- */

static void put(struct thrift_writer *w, const void *data, size_t size)
{
    if (w->status == ST_OK)
        w->status = pq_buf_append(w->out, data, size, w->err);
}

static void put_varint(struct thrift_writer *w, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    put(w, bytes, n);
}

static void put_zigzag(struct thrift_writer *w, int64_t v)
{
    put_varint(w, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

void thrift_put_field(struct thrift_writer *w, int id, uint8_t type)
{
    int delta = id - w->last[w->depth];
    uint8_t head = (uint8_t)(delta > 0 && delta < 16 ? delta << 4 | type : type);
    put(w, &head, 1);
    if (!(head >> 4))
        put_zigzag(w, id);
    w->last[w->depth] = (int16_t)id;
}

void thrift_put_bool(struct thrift_writer *w, int id, bool v)
{
    thrift_put_field(w, id, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_put_i8(struct thrift_writer *w, int id, int8_t v)
{
    thrift_put_field(w, id, THRIFT_I8);
    put(w, &v, 1);
}

void thrift_put_i16(struct thrift_writer *w, int id, int16_t v)
{
    thrift_put_field(w, id, THRIFT_I16);
    put_zigzag(w, v);
}

void thrift_put_i32(struct thrift_writer *w, int id, int32_t v)
{
    thrift_put_field(w, id, THRIFT_I32);
    put_zigzag(w, v);
}

void thrift_put_i64(struct thrift_writer *w, int id, int64_t v)
{
    thrift_put_field(w, id, THRIFT_I64);
    put_zigzag(w, v);
}

void thrift_put_bytes(struct thrift_writer *w, int id, const void *data, size_t size)
{
    thrift_put_field(w, id, THRIFT_BINARY);
    thrift_put_element_bytes(w, data, size);
}

void thrift_put_string(struct thrift_writer *w, int id, const char *text)
{
    thrift_put_bytes(w, id, text, strlen(text));
}

void thrift_put_list(struct thrift_writer *w, int id, uint8_t element, uint32_t n)
{
    thrift_put_field(w, id, THRIFT_LIST);
    uint8_t head = (uint8_t)((n < 15 ? n : 15) << 4 | element);
    put(w, &head, 1);
    if (n >= 15)
        put_varint(w, n);
}

void thrift_put_element_i32(struct thrift_writer *w, int32_t v)
{
    put_zigzag(w, v);
}

void thrift_put_element_i64(struct thrift_writer *w, int64_t v)
{
    put_zigzag(w, v);
}

void thrift_put_element_bytes(struct thrift_writer *w, const void *data, size_t size)
{
    put_varint(w, size);
    put(w, data, size);
}

void thrift_put_element_bool(struct thrift_writer *w, bool v)
{
    uint8_t byte = v ? THRIFT_TRUE : THRIFT_FALSE;
    put(w, &byte, 1);
}

void thrift_begin(struct thrift_writer *w, int id)
{
    if (id)
        thrift_put_field(w, id, THRIFT_STRUCT);
    assert(w->depth + 1 < THRIFT_DEPTH_MAX);
    w->last[++w->depth] = 0;
}

void thrift_end(struct thrift_writer *w)
{
    uint8_t stop = THRIFT_STOP;
    put(w, &stop, 1);
    w->depth--;
}

void thrift_put_empty(struct thrift_writer *w, int id)
{
    thrift_begin(w, id);
    thrift_end(w);
}
