/* Minimum and maximum of pages and chunks, in the order that column_orders promises for the type.
 *
 * Floats: NaN never counts, and zeros are widened to -0.0 and +0.0, as parquet.thrift asks.
 */
#include "format/parquet/writer.h"

#include "base/bits.h"

void pqw_bounds_init(struct pqw_bounds *b, struct budget *budget)
{
    b->has = false;
    pq_buf_init(&b->min, budget);
    pq_buf_init(&b->max, budget);
}

void pqw_bounds_release(struct pqw_bounds *b)
{
    pq_buf_release(&b->min);
    pq_buf_release(&b->max);
}

#define SIGN(a, b) (((a) > (b)) - ((a) < (b)))

/* Half precision as an integer that orders like it. */
static int f16_key(const uint8_t *p)
{
    int v = load_le16(p);
    return v & 0x8000 ? -(v & 0x7fff) : v;
}

static float f32_of(const uint8_t *p) { float v; memcpy(&v, p, 4); return v; }
static double f64_of(const uint8_t *p) { double v; memcpy(&v, p, 8); return v; }

int pqw_compare(enum pqw_order order, const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    size_t n = a_size < b_size ? a_size : b_size;
    int c;
    switch (order) {
    case PQW_I32: return SIGN((int32_t)load_le32(a), (int32_t)load_le32(b));
    case PQW_I64: return SIGN((int64_t)load_le64(a), (int64_t)load_le64(b));
    case PQW_U32: return SIGN(load_le32(a), load_le32(b));
    case PQW_U64: return SIGN(load_le64(a), load_le64(b));
    case PQW_F32: return SIGN(f32_of(a), f32_of(b));
    case PQW_F64: return SIGN(f64_of(a), f64_of(b));
    case PQW_F16: return SIGN(f16_key(a), f16_key(b));
    case PQW_BIG_ENDIAN:
        if ((a[0] ^ b[0]) & 0x80)
            return a[0] & 0x80 ? -1 : 1;
        return memcmp(a, b, n);
    default:
        c = n ? memcmp(a, b, n) : 0;
        return c ? c : SIGN(a_size, b_size);
    }
}

static bool is_nan(enum pqw_order order, const uint8_t *p)
{
    switch (order) {
    case PQW_F32: return f32_of(p) != f32_of(p);
    case PQW_F64: return f64_of(p) != f64_of(p);
    case PQW_F16: return (load_le16(p) & 0x7fff) > 0x7c00;
    default: return false;
    }
}

static int put(struct pq_buf *into, const uint8_t *data, size_t size, struct error *err)
{
    into->size = 0;
    return pq_buf_append(into, data, size, err);
}

/* Zeros get the sign that makes the interval wider. */
static void widen_zero(enum pqw_order order, struct pqw_bounds *b)
{
    size_t w = order == PQW_F32 ? 4 : order == PQW_F64 ? 8 : order == PQW_F16 ? 2 : 0;
    if (!w)
        return;
    uint64_t low = 0, high = 0;
    memcpy(&low, b->min.data, w);
    memcpy(&high, b->max.data, w);
    uint64_t sign = (uint64_t)1 << (w * 8 - 1);
    if ((low & ~sign) == 0)
        memcpy(b->min.data, &sign, w);
    if ((high & ~sign) == 0)
        memset(b->max.data, 0, w);
}

static int widen_to(struct pqw_bounds *b, enum pqw_order order, const uint8_t *low, size_t low_size, const uint8_t *high, size_t high_size,
                    struct error *err)
{
    if (!b->has || pqw_compare(order, low, low_size, b->min.data, b->min.size) < 0)
        TRY(put(&b->min, low, low_size, err));
    if (!b->has || pqw_compare(order, high, high_size, b->max.data, b->max.size) > 0)
        TRY(put(&b->max, high, high_size, err));
    b->has = true;
    widen_zero(order, b);
    return ST_OK;
}

struct extremes { const uint8_t *low, *high; uint64_t values[2]; /* of the common types */ };

/* The least and the greatest of n values of one type. Four of each at a time, so that no comparison waits for the one before. */
#define EXTREMES(type)                                                                                                                               \
    do {                                                                                                                                             \
        const type *v = (const type *)(const void *)values;                                                                                          \
        type lows[4], highs[4];                                                                                                                      \
        for (size_t k = 0; k < 4; k++)                                                                                                               \
            lows[k] = highs[k] = v[first];                                                                                                           \
        size_t i = first;                                                                                                                            \
        for (; i + 4 <= n; i += 4)                                                                                                                   \
            for (size_t k = 0; k < 4; k++) {                                                                                                         \
                lows[k] = v[i + k] < lows[k] ? v[i + k] : lows[k];                                                                                   \
                highs[k] = v[i + k] > highs[k] ? v[i + k] : highs[k];                                                                                \
            }                                                                                                                                        \
        for (; i < n; i++) {                                                                                                                         \
            lows[0] = v[i] < lows[0] ? v[i] : lows[0];                                                                                               \
            highs[0] = v[i] > highs[0] ? v[i] : highs[0];                                                                                            \
        }                                                                                                                                            \
        for (size_t k = 1; k < 4; k++) {                                                                                                             \
            lows[0] = lows[k] < lows[0] ? lows[k] : lows[0];                                                                                         \
            highs[0] = highs[k] > highs[0] ? highs[k] : highs[0];                                                                                    \
        }                                                                                                                                            \
        memcpy(&e->values[0], lows, sizeof *lows);                                                                                                   \
        memcpy(&e->values[1], highs, sizeof *highs);                                                                                                 \
    } while (0)

/* False when there is none (all NaN). What `e` points to are values of the column, or its own. */
static bool extremes(enum pqw_order order, const uint8_t *values, uint32_t width, size_t n, struct extremes *e)
{
    size_t first = 0;
    while (first < n && is_nan(order, values + first * width))
        first++;
    if (first == n)
        return false;
    e->low = (const uint8_t *)&e->values[0];
    e->high = (const uint8_t *)&e->values[1];
    switch (order) {
    case PQW_I32: EXTREMES(int32_t); break;
    case PQW_I64: EXTREMES(int64_t); break;
    case PQW_U32: EXTREMES(uint32_t); break;
    case PQW_U64: EXTREMES(uint64_t); break;
    case PQW_F32: EXTREMES(float); break;   /* comparisons with NaN are false */
    case PQW_F64: EXTREMES(double); break;
    default:
        e->low = e->high = values + first * width;
        for (size_t i = first + 1; i < n; i++) {
            const uint8_t *v = values + i * width;
            if (is_nan(order, v))
                continue;
            e->low = pqw_compare(order, v, width, e->low, width) < 0 ? v : e->low;
            e->high = pqw_compare(order, v, width, e->high, width) > 0 ? v : e->high;
        }
    }
    return true;
}

int pqw_bounds_fixed(struct pqw_bounds *b, enum pqw_order order, const uint8_t *values, uint32_t width, size_t n, struct error *err)
{
    struct extremes e;
    if (order == PQW_NONE || n == 0 || !extremes(order, values, width, n, &e))
        return ST_OK;
    return widen_to(b, order, e.low, width, e.high, width, err);
}

int pqw_bounds_bytes(struct pqw_bounds *b, enum pqw_order order, const struct pq_slice *s, struct error *err)
{
    return order == PQW_NONE ? ST_OK : widen_to(b, order, s->data, s->size, s->data, s->size, err);
}

int pqw_bounds_merge(struct pqw_bounds *into, enum pqw_order order, const struct pqw_bounds *from, struct error *err)
{
    return from->has ? widen_to(into, order, from->min.data, from->min.size, from->max.data, from->max.size, err) : ST_OK;
}
