/* Reference-counted byte buffers and growable byte strings.
 *
 * `struct buffer` backs Arrow columns and cached pages: written by one owner while it is being built, immutable once it
 * is shared. Data is 64-byte aligned and padded to 64 bytes with zeros, as Arrow recommends.
 * `struct dynbuf` is the growable one for encoders; it never grows past its ceiling.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/error.h"

#define BUFFER_ALIGN 64

struct buffer {
    _Atomic int refs;
    size_t size;           /* bytes in use */
    size_t capacity;       /* bytes charged and allocated */
    uint8_t *data;
    struct budget *budget; /* borrowed, may be NULL; must outlive the buffer */
    void (*free_foreign)(void *owner); /* set when `data` belongs to somebody else */
    void *owner;
};

/* A buffer of `size` bytes, zero-filled; one reference for the caller. */
int buffer_new(struct budget *budget, size_t size, struct buffer **ret_buffer, struct error *err);

/* Like buffer_new() but leaves the bytes undefined except for the padding. */
int buffer_new_uninit(struct budget *budget, size_t size, struct buffer **ret_buffer, struct error *err);

/* Wraps foreign memory; `free_foreign(owner)` runs when the last reference goes. Takes no budget. */
int buffer_wrap(const void *data, size_t size, void (*free_foreign)(void *), void *owner, struct buffer **ret_buffer, struct error *err);

/* Grows or shrinks a buffer that nobody else holds, keeping its bytes; new bytes are undefined. May move `data`. */
int buffer_resize(struct buffer *buf, size_t size, struct error *err);

/* Makes *b (NULL = nothing yet) hold at least `bytes`, with room to spare for the next calls; what it held stays. */
int buffer_reserve(struct buffer **b, struct budget *budget, size_t bytes, struct error *err);

struct buffer *buffer_ref(struct buffer *buf); /* NULL in, NULL out */
void buffer_unref(struct buffer *buf);         /* NULL is allowed */

struct dynbuf {
    uint8_t *data;
    size_t size, capacity, max; /* bytes */
};

void dynbuf_init(struct dynbuf *b, size_t max_bytes);
void dynbuf_release(struct dynbuf *b);
void dynbuf_clear(struct dynbuf *b);

/* Room for `bytes` more behind `size`; ST_EXHAUSTED past the ceiling. */
int dynbuf_reserve(struct dynbuf *b, size_t bytes, struct error *err);
int dynbuf_append(struct dynbuf *b, const void *data, size_t bytes, struct error *err);
int dynbuf_append_byte(struct dynbuf *b, uint8_t byte, struct error *err);
int dynbuf_append_zeros(struct dynbuf *b, size_t bytes, struct error *err);
int dynbuf_printf(struct dynbuf *b, struct error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
