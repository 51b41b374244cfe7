/* HyperLogLog++, see hll.h. The algorithm is that of Heule, Nunkesser and Hall (2013); which codes wait, where they go and when is the crate's,
 * because the bytes show it. */
#include "format/sketch/hll.h"

#include <math.h>
#include <stdlib.h>

#include "format/sketch/hll_bias.h"
#include "format/sketch/internal.h"

enum {
    PRECISION = 14,
    SPARSE_PRECISION = 25,
    REGISTERS = 1 << PRECISION,
    PER_WORD = 5,
    WORDS = (REGISTERS + PER_WORD - 1) / PER_WORD,
    SPARSE_REGISTERS = 1 << (SPARSE_PRECISION - 1), /* a quirk of the crate: half of what the codes can tell apart */
    BYTES_MAX = 4 * REGISTERS / PER_WORD,           /* 13107: longer codes become registers */
    PENDING_MAX = BYTES_MAX / 100,                  /* one more code and all of them move to the sorted ones */
    LINEAR_BELOW = 11500
};

void hll_init(struct hll *h, struct budget *budget)
{
    *h = (struct hll){.budget = budget};
}

void hll_release(struct hll *h)
{
    if (!h)
        return;
    buffer_unref(h->pending);
    buffer_unref(h->sparse);
    buffer_unref(h->registers);
    hll_init(h, h->budget);
}

static uint32_t *words_of(const struct buffer *b)
{
    return b ? (uint32_t *)(void *)b->data : NULL;
}

/* ---- registers ---- */

static uint32_t register_get(const struct hll *h, uint32_t index)
{
    return words_of(h->registers)[index / PER_WORD] >> (index % PER_WORD * 6) & 63;
}

static void register_raise(struct hll *h, uint32_t index, uint32_t rank)
{
    uint32_t old = register_get(h, index);
    if (rank <= old)
        return;
    words_of(h->registers)[index / PER_WORD] ^= (old ^ rank) << (index % PER_WORD * 6);
    h->n_zero -= old == 0;
}

static uint32_t leading_zeros32(uint32_t v)
{
    return v ? (uint32_t)__builtin_clz(v) : 32;
}

/* ---- sparse codes ---- */

static uint32_t code_of_hash(uint64_t hash)
{
    uint32_t index = (uint32_t)(hash >> (64 - SPARSE_PRECISION));
    if (index & ((1u << (SPARSE_PRECISION - PRECISION)) - 1))
        return index << 1;
    uint64_t rest = hash << SPARSE_PRECISION | 1u << (SPARSE_PRECISION - 1);
    return index << 7 | (uint32_t)(1 + __builtin_clzll(rest)) << 1 | 1;
}

static void raise_by_code(struct hll *h, uint32_t code)
{
    if (code & 1) {
        uint32_t rank = (code >> 1 & 63) + SPARSE_PRECISION - PRECISION;
        register_raise(h, code >> (32 - PRECISION), rank > 63 ? 63 : rank);
    } else {
        register_raise(h, code >> (SPARSE_PRECISION + 1 - PRECISION) & (REGISTERS - 1),
                       leading_zeros32(code << (32 - SPARSE_PRECISION + PRECISION - 1)) + 1);
    }
}

/* Walks delta-coded codes; they were checked when they came in. */
struct code_reader {
    const uint8_t *p, *end;
    uint32_t last;
};

static struct code_reader codes_of(const struct hll *h)
{
    const uint8_t *p = h->sparse ? h->sparse->data : NULL;
    return (struct code_reader){p, p ? p + h->sparse_bytes : NULL, 0};
}

static bool next_code(struct code_reader *r, uint32_t *ret_code)
{
    uint32_t delta = 0;
    if (r->p == r->end)
        return false;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t b = *r->p++;
        delta |= (uint32_t)(b & 0x7f) << shift;
        if (b < 0x80)
            break;
    }
    *ret_code = r->last += delta;
    return true;
}

struct code_writer {
    uint8_t *p;
    uint32_t last, count;
};

static void put_code(struct code_writer *w, uint32_t code)
{
    uint32_t delta = code - w->last;
    for (; delta >= 0x80; delta >>= 7)
        *w->p++ = (uint8_t)(delta | 0x80);
    *w->p++ = (uint8_t)delta;
    w->last = code;
    w->count++;
}

static int to_registers(struct hll *h, struct error *err)
{
    struct code_reader r = codes_of(h);
    uint32_t code;
    TRY(buffer_new(h->budget, WORDS * 4, &h->registers, err));
    h->n_zero = REGISTERS;
    while (next_code(&r, &code))
        raise_by_code(h, code);
    for (uint32_t i = 0; i < h->n_pending; i++)
        raise_by_code(h, words_of(h->pending)[i]);
    buffer_unref(h->pending);
    buffer_unref(h->sparse);
    h->pending = h->sparse = NULL;
    h->n_pending = h->n_sparse = h->last_sparse = 0;
    h->sparse_bytes = 0;
    return ST_OK;
}

/* Merges ascending codes into the sorted ones, which become registers when they get too long. */
static int absorb(struct hll *h, const uint32_t *codes, size_t n, struct error *err)
{
    struct buffer *merged;
    struct code_reader r = codes_of(h);
    uint32_t old;
    size_t i = 0;
    TRY(buffer_new_uninit(h->budget, h->sparse_bytes + n * 5 + 1, &merged, err));
    struct code_writer w = {.p = merged->data};
    bool more = next_code(&r, &old);
    while (more || i < n) {
        if (i == n || (more && old < codes[i])) {
            put_code(&w, old);
            more = next_code(&r, &old);
            continue;
        }
        if (more && old == codes[i])
            more = next_code(&r, &old);
        put_code(&w, codes[i++]);
    }
    buffer_unref(h->sparse);
    h->sparse = merged;
    h->sparse_bytes = (size_t)(w.p - merged->data);
    h->n_sparse = w.count;
    h->last_sparse = w.last;
    return h->sparse_bytes > BYTES_MAX ? to_registers(h, err) : ST_OK;
}

static int settle(struct hll *h, struct error *err)
{
    uint32_t n = h->n_pending;
    h->n_pending = 0;
    return absorb(h, words_of(h->pending), n, err);
}

int hll_add(struct hll *h, uint64_t hash, struct error *err)
{
    if (h->registers) {
        register_raise(h, (uint32_t)(hash >> (64 - PRECISION)), (uint32_t)(1 + __builtin_clzll(hash << PRECISION | 1u << (PRECISION - 1))));
        return ST_OK;
    }
    uint32_t code = code_of_hash(hash), low = 0, high = h->n_pending;
    TRY(buffer_reserve(&h->pending, h->budget, ((size_t)h->n_pending + 1) * 4, err));
    uint32_t *codes = words_of(h->pending);
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (codes[middle] < code)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < h->n_pending && codes[low] == code)
        return ST_OK;
    memmove(codes + low + 1, codes + low, (size_t)(h->n_pending - low) * 4);
    codes[low] = code;
    return ++h->n_pending > PENDING_MAX ? settle(h, err) : ST_OK;
}

/* ---- union ---- */

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t sort_unique(uint32_t *codes, uint32_t n)
{
    uint32_t kept = 0;
    if (n)
        qsort(codes, n, 4, ascending);
    for (uint32_t i = 0; i < n; i++)
        if (kept == 0 || codes[kept - 1] != codes[i])
            codes[kept++] = codes[i];
    return kept;
}

/* All codes of the other wait with ours; if they are too many, all go to the sorted ones. */
static int merge_sparse(struct hll *h, const struct hll *other, struct error *err)
{
    struct buffer *all;
    struct code_reader r = codes_of(other);
    uint32_t n = h->n_pending;
    TRY(buffer_new_uninit(h->budget, ((size_t)h->n_pending + other->n_pending + other->n_sparse) * 4 + 4, &all, err));
    uint32_t *codes = words_of(all);
    if (h->n_pending)
        memcpy(codes, h->pending->data, (size_t)h->n_pending * 4);
    if (other->n_pending)
        memcpy(codes + n, other->pending->data, (size_t)other->n_pending * 4);
    n += other->n_pending;
    while (next_code(&r, &codes[n]))
        n++;
    n = sort_unique(codes, n);
    if (n <= PENDING_MAX) {
        buffer_unref(h->pending);
        h->pending = all;
        h->n_pending = n;
        return ST_OK;
    }
    h->n_pending = 0;
    int st = absorb(h, codes, n, err);
    buffer_unref(all);
    return st;
}

int hll_merge(struct hll *h, const struct hll *other, struct error *err)
{
    struct code_reader r = codes_of(other);
    uint32_t code;
    if (!h->registers && !other->registers)
        return merge_sparse(h, other, err);
    if (!h->registers)
        TRY(to_registers(h, err));
    if (other->registers) {
        for (uint32_t i = 0; i < REGISTERS; i++)
            register_raise(h, i, register_get(other, i));
        return ST_OK;
    }
    while (next_code(&r, &code))
        raise_by_code(h, code);
    for (uint32_t i = 0; i < other->n_pending; i++)
        raise_by_code(h, words_of(other->pending)[i]);
    return ST_OK;
}

/* ---- estimate ---- */

static double linear_count(double registers, double zero)
{
    return registers * log(registers / zero);
}

static double bias_of(double raw)
{
    uint32_t low = 0, high = HLL_BIAS_POINTS - 1;
    if (raw <= hll_raw_estimates[0])
        return hll_biases[0];
    if (raw >= hll_raw_estimates[high])
        return hll_biases[high];
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (hll_raw_estimates[middle] < raw)
            low = middle;
        else
            high = middle;
    }
    double ratio = (raw - hll_raw_estimates[low]) / (hll_raw_estimates[high] - hll_raw_estimates[low]);
    return hll_biases[low] + ratio * (hll_biases[high] - hll_biases[low]);
}

int hll_count(struct hll *h, double *ret_count, struct error *err)
{
    if (!h->registers)
        TRY(settle(h, err));
    if (!h->registers) {
        *ret_count = linear_count(SPARSE_REGISTERS, (double)SPARSE_REGISTERS - h->n_sparse);
        return ST_OK;
    }
    double few = h->n_zero ? linear_count(REGISTERS, h->n_zero) : INFINITY, sum = 0, m = REGISTERS;
    if (few <= LINEAR_BELOW) {
        *ret_count = few;
        return ST_OK;
    }
    for (uint32_t i = 0; i < REGISTERS; i++)
        sum += 1.0 / (double)(1ull << register_get(h, i));
    double raw = 0.7213 / (1 + 1.079 / m) * (m * m) / sum;
    *ret_count = raw <= 5 * m ? raw - bias_of(raw) : raw;
    return ST_OK;
}

/* ---- bytes ---- */

int hll_encode(const struct hll *h, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_append_byte(out, PRECISION, err));
    TRY(bincode_put_u64(out, REGISTERS, err));
    TRY(bincode_put_u64(out, SPARSE_REGISTERS, err));
    TRY(bincode_put_u64(out, BYTES_MAX, err));
    TRY(bincode_put_u64(out, h->n_pending, err));
    TRY(dynbuf_append(out, words_of(h->pending), (size_t)h->n_pending * 4, err));
    TRY(bincode_put_u64(out, h->n_sparse, err));
    TRY(bincode_put_u32(out, h->last_sparse, err));
    TRY(bincode_put_u64(out, h->sparse_bytes, err));
    TRY(dynbuf_append(out, words_of(h->sparse), h->sparse_bytes, err));
    TRY(dynbuf_append_byte(out, h->registers != NULL, err));
    if (!h->registers)
        return ST_OK;
    TRY(bincode_put_u64(out, WORDS, err));
    TRY(dynbuf_append(out, words_of(h->registers), WORDS * 4, err));
    TRY(bincode_put_u64(out, REGISTERS, err));
    return bincode_put_u64(out, h->n_zero, err);
}

static int corrupt(const char *what, struct error *err)
{
    return error_set(err, ST_CORRUPT, "HyperLogLog sketch: %s", what);
}

static int read_pending(struct bincode *r, struct hll *h, struct error *err)
{
    uint64_t n = bincode_u64(r);
    const uint8_t *p = n <= SIZE_MAX / 4 ? bincode_bytes(r, n * 4) : NULL;
    if (!p || n > UINT32_MAX)
        return corrupt("its pending codes are cut off", err);
    if (n == 0)
        return ST_OK;
    TRY(buffer_new_uninit(h->budget, (size_t)n * 4, &h->pending, err));
    memcpy(h->pending->data, p, (size_t)n * 4);
    h->n_pending = sort_unique(words_of(h->pending), (uint32_t)n);
    return ST_OK;
}

/* Deltas must be whole, at most 5 bytes each and add up to the last code. Only the first may be 0. */
static int read_sparse(struct bincode *r, struct hll *h, struct error *err)
{
    uint64_t count = bincode_u64(r), code = 0, n = 0;
    uint32_t last = bincode_u32(r);
    uint64_t size = bincode_u64(r);
    const uint8_t *p = bincode_bytes(r, size);
    if (!p)
        return corrupt("its sorted codes are cut off", err);
    for (uint64_t i = 0; i < size; n++) {
        uint64_t delta = 0;
        unsigned shift = 0;
        do {
            if (i == size || shift > 28)
                return corrupt("a code is cut off or too long", err);
            delta |= (uint64_t)(p[i] & 0x7f) << shift;
            shift += 7;
        } while (p[i++] & 0x80);
        code += delta;
        if (code > UINT32_MAX || (n && !delta))
            return corrupt("its codes do not ascend", err);
    }
    if (n != count || code != last)
        return corrupt("its codes are not as many as it says", err);
    if (size) {
        TRY(buffer_new_uninit(h->budget, (size_t)size, &h->sparse, err));
        memcpy(h->sparse->data, p, (size_t)size);
    }
    h->sparse_bytes = (size_t)size;
    h->n_sparse = (uint32_t)n;
    h->last_sparse = last;
    return n > SPARSE_REGISTERS - 1 ? corrupt("it has more codes than there can be", err) : ST_OK;
}

static int read_registers(struct bincode *r, struct hll *h, struct error *err)
{
    uint64_t n = bincode_u64(r);
    const uint8_t *p = n == WORDS ? bincode_bytes(r, WORDS * 4) : NULL;
    if (!p || bincode_u64(r) != REGISTERS || h->n_pending || h->n_sparse)
        return corrupt("its registers are cut off, or not as many as its precision asks for", err);
    bincode_u64(r); /* how many are 0: counted below */
    TRY(buffer_new_uninit(h->budget, WORDS * 4, &h->registers, err));
    memcpy(h->registers->data, p, WORDS * 4);
    for (uint32_t i = 0; i < REGISTERS; i++)
        h->n_zero += register_get(h, i) == 0;
    return ST_OK;
}

static int decode(struct bincode *r, struct hll *h, struct error *err)
{
    if (bincode_u8(r) != PRECISION || bincode_u64(r) != REGISTERS || bincode_u64(r) != SPARSE_REGISTERS || bincode_u64(r) != BYTES_MAX)
        return corrupt("it is not of precision 14", err);
    TRY(read_pending(r, h, err));
    TRY(read_sparse(r, h, err));
    uint8_t dense = bincode_u8(r);
    if (dense > 1)
        return corrupt("it says neither that it has registers nor that it has none", err);
    if (dense)
        TRY(read_registers(r, h, err));
    return r->broken ? corrupt("it is cut off", err) : ST_OK;
}

int hll_decode(const void *data, size_t size, struct budget *budget, struct hll *ret_hll, struct error *err)
{
    struct bincode r = {data, (const uint8_t *)data + size, size == 0};
    struct hll h;
    hll_init(&h, budget);
    int st = decode(&r, &h, err);
    if (st != ST_OK)
        hll_release(&h);
    else
        *ret_hll = h;
    return st;
}
