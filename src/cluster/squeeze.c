/* See cluster/squeeze.h.
 *
 * A message is compared with the one before it, the two read side by side: what is equal becomes a copy, what differs literals. Numbers in decimal
 * may differ in length, so where both sides stand in digits the rest of each number is passed over; when the two have got out of step otherwise, the
 * next bytes are looked for in the old message. Whatever that finds, a copy is made of bytes that are equal, so a wrong guess costs size only. One
 * block with the fixed codes (RFC 1951 3.2.6): zlib's search for matches is most of the cost of a heartbeat in which every region has changed.
 */
#include "cluster/squeeze.h"

#include <string.h>

enum { COPY_MIN = 4, COPY_MAX = 258, DISTANCE_MAX = 32768, LOST_AFTER = 6, NEEDLE = 8 };

struct codes;

struct bits {
    const struct codes *codes;
    uint8_t *at; /* room for all that is to come */
    uint64_t held;
    unsigned n;
};

/* n <= 32. */
static void put(struct bits *b, uint32_t value, unsigned n)
{
    b->held |= (uint64_t)value << b->n;
    b->n += n;
    if (b->n < 32)
        return;
    uint32_t word = (uint32_t)b->held; /* the layout of bits is that of a little-endian word */
    memcpy(b->at, &word, sizeof(word));
    b->at += sizeof(word);
    b->held >>= 32;
    b->n -= 32;
}

/* Huffman codes go out with their highest bit first. */
static uint32_t reversed(uint32_t code, unsigned n)
{
    uint32_t out = 0;
    for (unsigned i = 0; i < n; i++)
        out |= (code >> i & 1) << (n - 1 - i);
    return out;
}

struct codes {
    uint16_t literal[288];
    uint8_t literal_bits[288], distance[30];
    struct {
        uint16_t symbol;
        uint8_t extra, n;
    } length[COPY_MAX + 1];
};

static void make_codes(struct codes *c)
{
    unsigned length = 3;
    for (unsigned s = 0; s < 288; s++) {
        unsigned n = s < 144 ? 8 : s < 256 ? 9 : s < 280 ? 7 : 8;
        c->literal_bits[s] = (uint8_t)n;
        c->literal[s] = (uint16_t)reversed(s < 144 ? 0x30 + s : s < 256 ? 0x190 + s - 144 : s < 280 ? s - 256 : 0xc0 + s - 280, n);
    }
    for (unsigned s = 0; s < 30; s++)
        c->distance[s] = (uint8_t)reversed(s, 5);
    for (unsigned s = 257; s < 285; s++) {
        unsigned n = s < 265 ? 0 : (s - 261) / 4;
        for (unsigned extra = 0; extra < 1u << n && length < COPY_MAX; extra++, length++) {
            c->length[length].symbol = (uint16_t)s;
            c->length[length].extra = (uint8_t)extra;
            c->length[length].n = (uint8_t)n;
        }
    }
    c->length[COPY_MAX].symbol = 285;
    c->length[COPY_MAX].extra = c->length[COPY_MAX].n = 0;
}

static void put_literal(struct bits *b, uint8_t byte)
{
    put(b, b->codes->literal[byte], b->codes->literal_bits[byte]);
}

static void put_copy(struct bits *b, unsigned length, unsigned distance)
{
    unsigned log = distance > 4 ? 31 - (unsigned)__builtin_clz(distance - 1) : 0, n = distance > 4 ? log - 1 : 0;
    unsigned symbol = distance > 4 ? 2 * log + ((distance - 1) >> n & 1) : distance - 1;
    const struct codes *c = b->codes;
    put(b, c->literal[c->length[length].symbol], c->literal_bits[c->length[length].symbol]);
    put(b, c->length[length].extra, c->length[length].n);
    put(b, c->distance[symbol], 5);
    put(b, (distance - 1) & ((1u << n) - 1), n);
}

static size_t equal_bytes(const uint8_t *a, const uint8_t *b, size_t max)
{
    size_t n = 0;
    for (uint64_t x, y; n + 8 <= max; n += 8) {
        memcpy(&x, a + n, 8);
        memcpy(&y, b + n, 8);
        if (x != y)
            return n + (size_t)__builtin_ctzll(x ^ y) / 8;
    }
    while (n < max && a[n] == b[n])
        n++;
    return n;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* [p, end) after [q, p), which is the message before it. */
static void put_message(struct bits *b, const uint8_t *p, const uint8_t *end, const uint8_t *q)
{
    const uint8_t *first = p, *old = q;
    unsigned lost = 0;
    while (p < end) {
        size_t n = q < first && p - q <= DISTANCE_MAX ? equal_bytes(p, q, (size_t)(end - p)) : 0;
        if (n >= COPY_MIN) {
            /* A rest that is too short for a copy goes with the next bytes. */
            n = n > COPY_MAX ? COPY_MAX : n;
            put_copy(b, (unsigned)n, (unsigned)(p - q));
            p += n;
            q += n;
            lost = 0;
            continue;
        }
        for (; n; n--, q++)
            put_literal(b, *p++);
        if (p == end)
            return;
        bool number = is_digit(*p) || (q < first && is_digit(*q));
        for (; p < end && is_digit(*p); p++)
            put_literal(b, *p);
        while (q < first && is_digit(*q))
            q++;
        if (!number) {
            put_literal(b, *p++);
            q += q < first;
        }
        if (++lost > LOST_AFTER && end - p >= NEEDLE) {
            const uint8_t *found = memmem(old, (size_t)(first - old), p, NEEDLE);
            q = found ? found : q;
            lost = 0;
        }
    }
}

int squeeze(const uint8_t *data, size_t size, const uint32_t *starts, size_t n, struct dynbuf *out, struct error *err)
{
    struct codes codes;
    size_t front = n ? starts[0] : size;
    TRY(dynbuf_reserve(out, size + size / 8 + 16, err)); /* no byte takes more than nine bits, no copy more than its bytes would */
    make_codes(&codes);
    struct bits b = {.codes = &codes, .at = out->data + out->size};
    put(&b, 2, 3); /* not the last block; fixed codes */
    for (size_t i = 0; i < front; i++)
        put_literal(&b, data[i]);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = data + starts[i];
        put_message(&b, p, i + 1 < n ? data + starts[i + 1] : data + size, i ? data + starts[i - 1] : p);
    }
    put(&b, codes.literal[256], codes.literal_bits[256]); /* end of block */
    put(&b, 0, 3);                                        /* an empty stored block, which starts at a byte */
    put(&b, 0, (8 - b.n % 8) % 8);
    put(&b, 0xffff0000, 32);
    for (; b.n; b.n -= 8, b.held >>= 8)
        *b.at++ = (uint8_t)b.held;
    out->size = (size_t)(b.at - out->data);
    return ST_OK;
}
