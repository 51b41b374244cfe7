/* aHash, see the header. A hasher is a running word `buffer` and three keys; every write folds into it by a 128-bit product. */
#include "base/ahash.h"

#include "base/bits.h"

#define MULTIPLE 6364136223846793005u

struct state {
    uint64_t buffer, pad, extra[2];
};

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t rotate(uint64_t v, unsigned by)
{
    return by ? v << by | v >> (64 - by) : v;
}

struct ahash ahash_seeded(uint64_t s0, uint64_t s1, uint64_t s2, uint64_t s3)
{
    /* digits of pi, as aHash takes them */
    return (struct ahash){{s0 ^ 0x452821e638d01377u, s1 ^ 0xbe5466cf34e90c6cu, s2 ^ 0xc0ac29b7c97c50ddu, s3 ^ 0x3f84d5b5b5470917u}};
}

static inline struct state begin(const struct ahash *h)
{
    return (struct state){h->key[1], h->key[0], {h->key[2], h->key[3]}};
}

static inline void write_word(struct state *s, uint64_t v)
{
    s->buffer = fold(v ^ s->buffer, MULTIPLE);
}

static inline void write_block(struct state *s, uint64_t low, uint64_t high)
{
    s->buffer = rotate((s->buffer + s->pad) ^ fold(low ^ s->extra[0], high ^ s->extra[1]), 23);
}

static void write_bytes(struct state *s, const uint8_t *p, size_t n)
{
    s->buffer = (s->buffer + n) * MULTIPLE;
    if (n > 16) {
        write_block(s, load_le64(p + n - 16), load_le64(p + n - 8));
        for (; n > 16; p += 16, n -= 16)
            write_block(s, load_le64(p), load_le64(p + 8));
    } else if (n > 8) {
        write_block(s, load_le64(p), load_le64(p + n - 8));
    } else if (n >= 4) {
        write_block(s, load_le32(p), load_le32(p + n - 4));
    } else if (n >= 2) {
        write_block(s, load_le16(p), p[n - 1]);
    } else {
        write_block(s, n ? p[0] : 0, n ? p[0] : 0);
    }
}

static inline uint64_t finish(const struct state *s)
{
    return rotate(fold(s->buffer, s->pad), s->buffer & 63);
}

uint64_t ahash_u64(const struct ahash *h, uint64_t value)
{
    return fold(fold(value ^ h->key[1], MULTIPLE), h->key[0]);
}

uint64_t ahash_u128(const struct ahash *h, uint64_t low, uint64_t high)
{
    struct state s = begin(h);
    write_block(&s, low, high);
    return fold(s.buffer, s.pad);
}

uint64_t ahash_bool(const struct ahash *h, bool value)
{
    struct state s = begin(h);
    write_word(&s, value);
    return finish(&s);
}

uint64_t ahash_text(const struct ahash *h, const void *text, size_t size)
{
    struct state s = begin(h);
    write_bytes(&s, text, size);
    write_word(&s, 0xff);
    return finish(&s);
}

uint64_t ahash_bytes(const struct ahash *h, const void *bytes, size_t size)
{
    struct state s = begin(h);
    write_word(&s, size);
    write_bytes(&s, bytes, size);
    return finish(&s);
}
