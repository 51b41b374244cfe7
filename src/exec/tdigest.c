/* t-digest. Both ways to add walk the old and the new centroids in order of their means and close a centroid when it would cross the next limit of
 * the scale function. The two differ from each other in small things (which limit the second centroid gets, when the sorted order is strict) because
 * the peer's do, and states must come out equal. */
#include "exec/tdigest.h"

#include <math.h>
#include <string.h>

#include "base/bits.h"

struct tdigest tdigest_empty(void)
{
    return (struct tdigest){.max = NAN, .min = NAN};
}

void tdigest_release(struct tdigest *d, struct budget *budget)
{
    vec_release(&d->centroids, budget);
}

static double k_to_q(uint64_t k, uint64_t d)
{
    double part = (double)k / (double)d, base = 1 - part;
    return part >= 0.5 ? 1 - 2 * base * base : 2 * part * part;
}

static int64_t order_of(double v)
{
    int64_t bits;
    memcpy(&bits, &v, 8);
    return total_order64(bits);
}

static uint64_t key_of(double v)
{
    return (uint64_t)order_of(v) ^ 1ull << 63;
}

static void insertion_sort(struct centroid *c, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct centroid x = c[i];
        size_t j = i;
        for (; j > 0 && order_of(c[j - 1].mean) > order_of(x.mean); j--)
            c[j] = c[j - 1];
        c[j] = x;
    }
}

/* Radix sort, a byte of the key a pass; bytes that all keys share cost nothing. */
void tdigest_sort(struct centroid *c, struct centroid *spare, size_t n)
{
    uint32_t counts[8][256];
    struct centroid *from = c, *to = spare;
    if (n <= 48) {
        insertion_sort(c, n);
        return;
    }
    memset(counts, 0, sizeof counts);
    for (size_t i = 0; i < n; i++)
        for (int b = 0; b < 8; b++)
            counts[b][(uint8_t)(key_of(c[i].mean) >> (8 * b))]++;
    for (int b = 0; b < 8; b++) {
        uint32_t at = 0, *count = counts[b];
        if (count[(uint8_t)(key_of(from[0].mean) >> (8 * b))] == n)
            continue;
        for (int v = 0; v < 256; v++) {
            uint32_t here = count[v];
            count[v] = at;
            at += here;
        }
        for (size_t i = 0; i < n; i++)
            to[count[(uint8_t)(key_of(from[i].mean) >> (8 * b))]++] = from[i];
        struct centroid *swap = from;
        from = to;
        to = swap;
    }
    if (from != c)
        memcpy(c, from, n * sizeof *c);
}

/* The centroid that is being filled, and where closed ones go. */
struct compression {
    struct centroid current, *out;
    uint32_t n;
    uint64_t k, max_size;
    double count, limit, so_far, sum, sums, weights;
};

static void close_current(struct compression *c)
{
    double sum = c->sums + c->current.weight * c->current.mean, weight = c->current.weight + c->weights;
    c->current = (struct centroid){sum / weight, weight};
    c->sum += sum;
    c->sums = c->weights = 0;
    c->out[c->n++] = c->current;
}

static inline void take(struct compression *c, struct centroid next)
{
    c->so_far += next.weight;
    if (c->so_far <= c->limit) {
        c->sums += next.mean * next.weight;
        c->weights += next.weight;
        return;
    }
    close_current(c);
    c->limit = k_to_q(c->k++, c->max_size) * c->count;
    c->current = next;
}

/* The compressed centroids become the digest's. They are nearly in order: only rounding swaps means. */
static int settle(struct tdigest *d, struct compression *c, struct budget *budget, struct error *err)
{
    close_current(c);
    insertion_sort(c->out, c->n);
    TRY(vec_reserve(&d->centroids, budget, c->n, sizeof(struct centroid), err));
    memcpy(d->centroids.data, c->out, c->n * sizeof *c->out);
    d->n = c->n;
    d->sum = c->sum;
    d->count = c->count;
    return ST_OK;
}

int tdigest_add_values(struct tdigest *d, uint64_t max_size, const struct centroid *values, size_t n, struct vec *scratch, struct budget *budget,
                       struct error *err)
{
    if (n == 0)
        return ST_OK;
    TRY(vec_reserve(scratch, budget, d->n + n, sizeof(struct centroid), err));
    const struct centroid *old = d->centroids.data;
    struct compression c = {.out = scratch->data, .k = 2, .max_size = max_size, .count = d->count + (double)n};
    double min = values[0].mean, max = values[n - 1].mean;
    size_t i = 0, j = 0;
    c.limit = k_to_q(1, max_size) * c.count;
    c.current = d->n && old[0].mean < values[0].mean ? old[i++] : values[j++];
    c.so_far = c.current.weight;
    while (i < d->n || j < n) {
        if (i < d->n && (j == n || old[i].mean < values[j].mean))
            take(&c, old[i++]);
        else
            take(&c, values[j++]);
    }
    bool first = !(d->count > 0);
    double old_min = d->min, old_max = d->max;
    TRY(settle(d, &c, budget, err));
    d->min = first ? min : fmin(old_min, min);
    d->max = first ? max : fmax(old_max, max);
    return ST_OK;
}

int tdigest_add_centroids(struct tdigest *d, uint64_t max_size, const struct centroid *fresh, size_t n, struct vec *scratch, struct budget *budget,
                          struct error *err)
{
    double count = d->count, min = d->count > 0 ? d->min : INFINITY, max = d->count > 0 ? d->max : -INFINITY;
    size_t i = 0, j = 0;
    for (size_t k = 0; k < n; k++) {
        count += fresh[k].weight;
        min = fmin(min, fresh[k].mean);
        max = fmax(max, fresh[k].mean);
    }
    if (n == 0)
        return ST_OK;
    TRY(vec_reserve(scratch, budget, d->n + n, sizeof(struct centroid), err));
    const struct centroid *old = d->centroids.data;
    struct compression c = {.out = scratch->data, .k = 1, .max_size = max_size, .count = count};
    c.limit = k_to_q(1, max_size) * count;
    while (i < d->n || j < n) {
        struct centroid next = j < n && (i == d->n || order_of(fresh[j].mean) <= order_of(old[i].mean)) ? fresh[j++] : old[i++];
        if (i + j > 1) {
            take(&c, next);
        } else {
            c.current = next;
            c.so_far = next.weight;
        }
    }
    TRY(settle(d, &c, budget, err));
    d->min = min;
    d->max = max;
    return ST_OK;
}

int tdigest_merge(struct tdigest *d, uint64_t max_size, const struct tdigest *other, struct vec *scratch, struct budget *budget, struct error *err)
{
    bool first = !(d->count > 0);
    double min = first ? other->min : fmin(d->min, other->min), max = first ? other->max : fmax(d->max, other->max);
    if (!(other->count > 0))
        return ST_OK;
    TRY(tdigest_add_centroids(d, max_size, other->centroids.data, other->n, scratch, budget, err));
    d->min = min; /* those of the values: the outermost centroids may hold several */
    d->max = max;
    return ST_OK;
}

static double clamp(double v, double low, double high)
{
    if (isnan(low) || isnan(high) || isnan(v))
        return v;
    double a = low > high ? high : low, b = low > high ? low : high;
    return v < a ? a : v > b ? b : v;
}

/* The centroid that holds `rank`, and how much weight lies before it. Searched from the nearer end. */
static uint32_t find_centroid(const struct tdigest *d, double q, double rank, double *ret_before)
{
    const struct centroid *c = VEC(&d->centroids, const struct centroid);
    double t;
    if (q > 0.5) {
        t = d->count;
        for (uint32_t k = d->n; k-- > 0;) {
            t -= c[k].weight;
            *ret_before = t;
            if (rank >= t)
                return k;
        }
        return 0;
    }
    t = 0;
    for (uint32_t k = 0; k < d->n; k++) {
        *ret_before = t;
        if (rank < t + c[k].weight)
            return k;
        t += c[k].weight;
    }
    *ret_before = t;
    return d->n - 1;
}

double tdigest_quantile(const struct tdigest *d, double q)
{
    const struct centroid *c = VEC(&d->centroids, const struct centroid);
    double rank = q * d->count, before, delta = 0, min = d->min, max = d->max;
    if (q >= 1)
        return d->max;
    if (q <= 0)
        return d->min;
    uint32_t at = find_centroid(d, q, rank, &before), last = d->n - 1;
    if (d->n > 1) {
        delta = c[at < last ? at + 1 : at].mean - c[at ? at - 1 : at].mean;
        delta = at && at < last ? delta / 2 : delta;
        min = at ? c[at - 1].mean : min;
        max = at < last ? c[at + 1].mean : max;
    }
    double v = c[at].mean + ((rank - before) / c[at].weight - 0.5) * delta;
    if (!isfinite(min) && !signbit(min)) /* nothing but NaNs have come */
        min = -INFINITY;
    if (!isfinite(max) && signbit(max))
        max = INFINITY;
    return clamp(v, min, max);
}
