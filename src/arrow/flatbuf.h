/* A small FlatBuffers builder and a bounds-checked reader, as much of the format as Arrow's metadata uses.
 *
 * Both fail stickily: a wrong offset (reader) or lack of memory (builder) sets a flag, every later call gives defaults, and the caller looks at
 * the flag once at the end. No access leaves the message, whatever its bytes say; loads are unaligned, so alignment is not demanded.
 * Format: https://flatbuffers.dev/internals/ (tables, vtables, vectors; little-endian).
 */
#ifndef ARROW_FLATBUF_H
#define ARROW_FLATBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct fb_reader {
    const uint8_t *data;
    size_t size;
    size_t work; /* what may still be read: parts may be shared inside a message, so a small one could stand for an enormous tree */
    bool bad;
};

struct fb_table {
    struct fb_reader *reader;
    uint32_t pos;               /* 0 = absent: every field reads as its default */
    uint32_t vtable, vtable_size, table_size;
};

struct fb_vector {
    struct fb_reader *reader;
    uint32_t pos;               /* of the first element */
    uint32_t count;             /* 0 when absent */
};

void fb_reader_init(struct fb_reader *r, const void *data, size_t size);
struct fb_table fb_root(struct fb_reader *r);
/* Takes `n` units from the work allowance; marks the message bad when it is used up. */
void fb_spend(struct fb_reader *r, size_t n);

uint8_t fb_u8(const struct fb_table *t, unsigned slot, uint8_t otherwise);
int16_t fb_i16(const struct fb_table *t, unsigned slot, int16_t otherwise);
int32_t fb_i32(const struct fb_table *t, unsigned slot, int32_t otherwise);
int64_t fb_i64(const struct fb_table *t, unsigned slot, int64_t otherwise);
struct fb_table fb_table_at(const struct fb_table *t, unsigned slot);
/* Elements of `width` bytes each, all inside the message. */
struct fb_vector fb_vector_at(const struct fb_table *t, unsigned slot, size_t width);
struct fb_table fb_vector_table(const struct fb_vector *v, uint32_t i);
const uint8_t *fb_vector_data(const struct fb_vector *v);
/* NULL when absent; not terminated. */
const char *fb_string(const struct fb_table *t, unsigned slot, uint32_t *ret_size);

#define FB_MAX_SLOTS 8

/* Grows from its end towards its start; a `ref` is the distance from the end. */
struct fb_builder {
    uint8_t *data;
    size_t capacity, used;
    bool failed;                    /* out of memory, or past 256 MiB */
    uint32_t slots[FB_MAX_SLOTS];   /* refs of the open table's fields, 0 = default */
    uint32_t table_start;
};

void fb_builder_init(struct fb_builder *b);
void fb_builder_release(struct fb_builder *b);
uint32_t fb_build_string(struct fb_builder *b, const char *s);
uint32_t fb_build_refs(struct fb_builder *b, const uint32_t *refs, uint32_t n);
/* n structs (or scalars) of `width` bytes with 8-byte alignment. */
uint32_t fb_build_structs(struct fb_builder *b, const void *data, size_t width, uint32_t n);
/* One table at a time: build its parts before. */
void fb_table_start(struct fb_builder *b);
void fb_put_u8(struct fb_builder *b, unsigned slot, uint8_t v);
void fb_put_i16(struct fb_builder *b, unsigned slot, int16_t v);
void fb_put_i32(struct fb_builder *b, unsigned slot, int32_t v);
void fb_put_i64(struct fb_builder *b, unsigned slot, int64_t v);
void fb_put_ref(struct fb_builder *b, unsigned slot, uint32_t ref); /* 0 = leave the field out */
uint32_t fb_table_end(struct fb_builder *b);
/* Appends the finished message to `out`; its size is a multiple of 8. */
int fb_finish(struct fb_builder *b, uint32_t root, struct dynbuf *out, struct error *err);

#endif
