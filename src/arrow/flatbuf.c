/* FlatBuffers, see arrow/flatbuf.h. Reader invariant: a struct fb_table or fb_vector with pos != 0 has been checked to lie inside the message. */
#include "arrow/flatbuf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

#define MAX_BUILD ((size_t)256 << 20)

void fb_reader_init(struct fb_reader *r, const void *data, size_t size)
{
    *r = (struct fb_reader){.data = data, .size = size, .work = size * 64 + 65536, .bad = size > INT32_MAX};
}

void fb_spend(struct fb_reader *r, size_t n)
{
    if (n > r->work)
        r->bad = true;
    else
        r->work -= n;
}

static bool inside(struct fb_reader *r, uint64_t pos, uint64_t n)
{
    if (r->bad || pos > r->size || n > r->size - pos)
        r->bad = true;
    return !r->bad;
}

static struct fb_table table_make(struct fb_reader *r, uint64_t pos)
{
    struct fb_table t = {.reader = r};
    if (!inside(r, pos, 4))
        return t;
    int64_t vtable = (int64_t)pos - (int32_t)load_le32(r->data + pos);
    if (vtable < 0 || !inside(r, (uint64_t)vtable, 4)) {
        r->bad = true;
        return t;
    }
    t.vtable = (uint32_t)vtable;
    t.vtable_size = load_le16(r->data + vtable);
    t.table_size = load_le16(r->data + vtable + 2);
    if (t.vtable_size < 4 || t.table_size < 4 || pos == 0 || !inside(r, t.vtable, t.vtable_size) || !inside(r, pos, t.table_size)) {
        r->bad = true;
        return t;
    }
    fb_spend(r, 16);
    t.pos = (uint32_t)pos;
    return t;
}

struct fb_table fb_root(struct fb_reader *r)
{
    if (!inside(r, 0, 8))
        return (struct fb_table){.reader = r};
    return table_make(r, load_le32(r->data));
}

/* Position of a field's inline bytes; 0 = absent. */
static uint32_t slot_pos(const struct fb_table *t, unsigned slot, uint32_t width)
{
    if (t->pos == 0 || t->reader->bad || 4 + 2 * slot + 2 > t->vtable_size)
        return 0;
    uint32_t offset = load_le16(t->reader->data + t->vtable + 4 + 2 * slot);
    if (offset == 0)
        return 0;
    if (offset < 4 || offset + width > t->table_size) {
        t->reader->bad = true;
        return 0;
    }
    return t->pos + offset;
}

uint8_t fb_u8(const struct fb_table *t, unsigned slot, uint8_t otherwise)
{
    uint32_t pos = slot_pos(t, slot, 1);
    return pos ? t->reader->data[pos] : otherwise;
}

int16_t fb_i16(const struct fb_table *t, unsigned slot, int16_t otherwise)
{
    uint32_t pos = slot_pos(t, slot, 2);
    return pos ? (int16_t)load_le16(t->reader->data + pos) : otherwise;
}

int32_t fb_i32(const struct fb_table *t, unsigned slot, int32_t otherwise)
{
    uint32_t pos = slot_pos(t, slot, 4);
    return pos ? (int32_t)load_le32(t->reader->data + pos) : otherwise;
}

int64_t fb_i64(const struct fb_table *t, unsigned slot, int64_t otherwise)
{
    uint32_t pos = slot_pos(t, slot, 8);
    return pos ? (int64_t)load_le64(t->reader->data + pos) : otherwise;
}

struct fb_table fb_table_at(const struct fb_table *t, unsigned slot)
{
    uint32_t pos = slot_pos(t, slot, 4);
    if (!pos)
        return (struct fb_table){.reader = t->reader};
    return table_make(t->reader, (uint64_t)pos + load_le32(t->reader->data + pos));
}

struct fb_vector fb_vector_at(const struct fb_table *t, unsigned slot, size_t width)
{
    struct fb_reader *r = t->reader;
    struct fb_vector v = {.reader = r};
    uint32_t pos = slot_pos(t, slot, 4);
    if (!pos)
        return v;
    uint64_t at = (uint64_t)pos + load_le32(r->data + pos);
    if (!inside(r, at, 4))
        return v;
    uint32_t count = load_le32(r->data + at);
    if (!inside(r, at + 4, (uint64_t)count * width))
        return v;
    v.pos = (uint32_t)at + 4;
    v.count = count;
    return v;
}

struct fb_table fb_vector_table(const struct fb_vector *v, uint32_t i)
{
    assert(i < v->count);
    uint64_t pos = (uint64_t)v->pos + 4 * (uint64_t)i;
    return table_make(v->reader, pos + load_le32(v->reader->data + pos));
}

const uint8_t *fb_vector_data(const struct fb_vector *v)
{
    return v->reader->data + v->pos;
}

const char *fb_string(const struct fb_table *t, unsigned slot, uint32_t *ret_size)
{
    struct fb_vector v = fb_vector_at(t, slot, 1);
    if (v.pos == 0)
        return NULL;
    fb_spend(t->reader, v.count);
    *ret_size = v.count;
    return (const char *)fb_vector_data(&v);
}

void fb_builder_init(struct fb_builder *b)
{
    memset(b, 0, sizeof *b);
}

void fb_builder_release(struct fb_builder *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

/* Makes room for n more bytes in front; NULL when that failed. The bytes are undefined. */
static uint8_t *push(struct fb_builder *b, size_t n)
{
    if (b->failed || n > MAX_BUILD - b->used) {
        b->failed = true;
        return NULL;
    }
    if (!b->data || b->used + n > b->capacity) {
        size_t capacity = b->capacity ? b->capacity : 512;
        while (capacity < b->used + n)
            capacity *= 2;
        uint8_t *data = malloc(capacity);
        if (!data) {
            b->failed = true;
            return NULL;
        }
        if (b->used)
            memcpy(data + capacity - b->used, b->data + b->capacity - b->used, b->used);
        free(b->data);
        b->data = data;
        b->capacity = capacity;
    }
    b->used += n;
    return b->data + b->capacity - b->used;
}

/* Pads so that after `n` more bytes the front is aligned (counted from the end, whose alignment fb_finish() makes the largest). */
static void align_for(struct fb_builder *b, size_t n, size_t align)
{
    size_t pad = (0 - (b->used + n)) & (align - 1);
    uint8_t *p = pad ? push(b, pad) : NULL;
    if (p)
        memset(p, 0, pad);
}

static void push_u32(struct fb_builder *b, uint32_t v)
{
    uint8_t *p = push(b, 4);
    if (p)
        store_le32(p, v);
}

uint32_t fb_build_string(struct fb_builder *b, const char *s)
{
    size_t n = strlen(s);
    align_for(b, n + 1, 4);
    uint8_t *p = push(b, n + 1);
    if (p)
        memcpy(p, s, n + 1);
    push_u32(b, (uint32_t)n);
    return (uint32_t)b->used;
}

uint32_t fb_build_refs(struct fb_builder *b, const uint32_t *refs, uint32_t n)
{
    align_for(b, 0, 4);
    for (uint32_t i = n; i-- > 0;)
        push_u32(b, (uint32_t)b->used + 4 - refs[i]);
    push_u32(b, n);
    return (uint32_t)b->used;
}

uint32_t fb_build_structs(struct fb_builder *b, const void *data, size_t width, uint32_t n)
{
    align_for(b, (size_t)n * width, 8);
    uint8_t *p = push(b, (size_t)n * width);
    if (p && n)
        memcpy(p, data, (size_t)n * width);
    push_u32(b, n);
    return (uint32_t)b->used;
}

void fb_table_start(struct fb_builder *b)
{
    memset(b->slots, 0, sizeof b->slots);
    b->table_start = (uint32_t)b->used;
}

static void put(struct fb_builder *b, unsigned slot, const void *v, size_t n)
{
    assert(slot < FB_MAX_SLOTS);
    align_for(b, n, n);
    uint8_t *p = push(b, n);
    if (p)
        memcpy(p, v, n);
    b->slots[slot] = (uint32_t)b->used;
}

void fb_put_u8(struct fb_builder *b, unsigned slot, uint8_t v) { put(b, slot, &v, sizeof v); }
void fb_put_i16(struct fb_builder *b, unsigned slot, int16_t v) { put(b, slot, &v, sizeof v); }
void fb_put_i32(struct fb_builder *b, unsigned slot, int32_t v) { put(b, slot, &v, sizeof v); }
void fb_put_i64(struct fb_builder *b, unsigned slot, int64_t v) { put(b, slot, &v, sizeof v); }

void fb_put_ref(struct fb_builder *b, unsigned slot, uint32_t ref)
{
    if (ref == 0)
        return;
    align_for(b, 4, 4);
    uint32_t distance = (uint32_t)b->used + 4 - ref;
    put(b, slot, &distance, 4);
}

uint32_t fb_table_end(struct fb_builder *b)
{
    align_for(b, 4, 4);
    push_u32(b, 0);
    uint32_t table = (uint32_t)b->used, n = FB_MAX_SLOTS;
    while (n > 0 && b->slots[n - 1] == 0)
        n--;
    uint32_t size = 4 + 2 * n;
    align_for(b, size, 4); /* the vtable only needs 2, but its table must stay a whole number of words away */
    uint8_t *v = push(b, size);
    if (!v)
        return 0;
    store_le16(v, (uint16_t)size);
    store_le16(v + 2, (uint16_t)(table - b->table_start));
    for (uint32_t i = 0; i < n; i++)
        store_le16(v + 4 + 2 * i, b->slots[i] ? (uint16_t)(table - b->slots[i]) : 0);
    store_le32(b->data + b->capacity - table, (uint32_t)b->used - table);
    return table;
}

int fb_finish(struct fb_builder *b, uint32_t root, struct dynbuf *out, struct error *err)
{
    align_for(b, 4, 8);
    push_u32(b, (uint32_t)b->used + 4 - root);
    if (b->failed)
        return error_set(err, ST_NO_MEMORY, "no memory for an Arrow message");
    return dynbuf_append(out, b->data + b->capacity - b->used, b->used, err);
}
