/* One Bloom filter: hashing, sizes, and the bits of an element. The arithmetic is in doubles and has to be the peer's to the last bit: the reader
 * recomputes what the writer did. */
#include "format/index/bloom.h"

#include <math.h>
#include <string.h>

#include "base/bits.h"

/* ---- SipHash-1-3 with the peer's key ---- */

static inline uint64_t rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

struct sip {
    uint64_t a, b, c, d;
};

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->b = rotl(s->b, 13) ^ s->a;
    s->a = rotl(s->a, 32);
    s->c += s->d;
    s->d = rotl(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = rotl(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = rotl(s->b, 17) ^ s->c;
    s->c = rotl(s->c, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->d ^= word;
    sip_round(s);
    s->a ^= word;
}

uint64_t bloom_hash(const void *element, size_t size)
{
    const uint64_t k1 = 0x2a00000000000000u; /* k0 is 0 */
    struct sip s = {0x736f6d6570736575u, 0x646f72616e646f6du ^ k1, 0x6c7967656e657261u, 0x7465646279746573u ^ k1};
    const uint8_t *p = element;
    size_t i = 0;
    sip_word(&s, size); /* the length goes before the bytes */
    for (; i + 8 <= size; i += 8)
        sip_word(&s, load_le64(p + i));
    uint64_t last = (uint64_t)(uint8_t)(size + 8) << 56;
    for (size_t k = 0; i + k < size; k++)
        last |= (uint64_t)p[i + k] << (8 * k);
    sip_word(&s, last);
    s.c ^= 0xff;
    for (int k = 0; k < 3; k++)
        sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

/* ---- sizes ---- */

uint64_t bloom_bytes(uint64_t n_elements, double false_positive_rate)
{
    double bytes = ceil((double)n_elements * log(false_positive_rate) / (-8.0 * M_LN2 * M_LN2));
    uint64_t bits = bytes > 64 ? 8 * (uint64_t)bytes : 512;
    return (bits + 511) / 512 * 64;
}

/* How four words with b of 64 bits set (about) are made out of random ones: b = 8 to 32. */
static const char *const operations[] = {"&&",    "&&|&&", "&|&&",  "|&|&&", "|&&",   "&||&&", "||&&",  "|||&&", "&",
                                         "&&&|&", "&&|&",  "|&&|&", "&|&",   "&|&|&", "|&|&",  "||&|&", "|&",    "&&||&",
                                         "&||&",  "|&||&", "||&",   "&|||&", "|||&",  "||||&", ""};
enum { ROUND_MIN = 8, ROUND_MAX = 32 };

struct bloom_plan bloom_plan(uint64_t n_bytes, uint64_t n_elements)
{
    struct bloom_plan p = {.n_blocks = (uint32_t)(n_bytes / 64)};
    double one = log(63.0 / 64.0), cap = 8 * log(0.5) / one;
    double best = 512 / ((double)n_elements / p.n_blocks) * M_LN2;
    double target = floor(best > cap ? cap : best > 1 ? best : 1);
    p.n_bits = (uint32_t)target;
    for (uint32_t b = ROUND_MIN; b <= ROUND_MAX; b++) {
        double rest = round(target - log(1 - b / 64.0) / one * 8);
        if (rest >= 0 && (uint32_t)rest + 1 + strlen(operations[b - ROUND_MIN]) < p.n_bits + p.round)
            p = (struct bloom_plan){p.n_blocks, (uint32_t)rest, b};
    }
    return p;
}

/* ---- bits ---- */

static inline uint64_t step_of(uint64_t h1)
{
    return (h1 >> 32) * 0x517cc1b727220a95u;
}
static inline uint64_t next(uint64_t h1, uint64_t step)
{
    return rotl(h1 + step, 5);
}
static inline uint64_t block_of(const struct bloom_plan *p, uint64_t h1)
{
    return ((h1 >> 32) * p->n_blocks >> 32) * 64;
}

/* The eight words of the round, and the block they belong to. */
static uint64_t round_words(const struct bloom_plan *p, uint64_t h1, uint64_t step, uint64_t words[8])
{
    uint64_t block = block_of(p, h1), lanes[4], quad = step * 4;
    for (int i = 0; i < 4; i++)
        lanes[i] = h1 = next(h1, step);
    for (int half = 0; half < 2; half++) {
        uint64_t made[4];
        for (int i = 0; i < 4; i++)
            made[i] = lanes[i] += quad;
        for (const char *op = operations[p->round - ROUND_MIN]; *op; op++)
            for (int i = 0; i < 4; i++) {
                lanes[i] += quad;
                made[i] = *op == '&' ? made[i] & lanes[i] : made[i] | lanes[i];
            }
        memcpy(words + 4 * half, made, sizeof made);
    }
    return block;
}

void bloom_insert(const struct bloom_plan *p, uint8_t *filter, uint64_t hash)
{
    uint64_t step = step_of(hash), words[8];
    for (uint32_t i = 0; i < p->n_bits; i++) {
        uint8_t *block = filter + block_of(p, hash);
        hash = next(hash, step);
        bit_set(block, hash & 511);
    }
    if (!p->round)
        return;
    uint8_t *block = filter + round_words(p, hash, step, words);
    for (int i = 0; i < 8; i++)
        store_le64(block + 8 * i, load_le64(block + 8 * i) | words[i]);
}

bool bloom_contains(const struct bloom_plan *p, const uint8_t *filter, uint64_t hash)
{
    uint64_t step = step_of(hash), words[8];
    for (uint32_t i = 0; i < p->n_bits; i++) {
        const uint8_t *block = filter + block_of(p, hash);
        hash = next(hash, step);
        if (!bit_get(block, hash & 511))
            return false;
    }
    if (!p->round)
        return true;
    const uint8_t *block = filter + round_words(p, hash, step, words);
    for (int i = 0; i < 8; i++)
        if ((load_le64(block + 8 * i) & words[i]) != words[i])
            return false;
    return true;
}
