/* UDDSketch, see uddsketch.h. */
#include "format/sketch/uddsketch.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "format/sketch/internal.h"

static struct uddsketch_bucket *buckets_of(const struct uddsketch *s)
{
    return s->buckets ? (struct uddsketch_bucket *)(void *)s->buckets->data : NULL;
}

int uddsketch_init(struct uddsketch *s, struct budget *budget, uint64_t max_buckets, double error_rate, struct error *err)
{
    if (max_buckets == 0)
        return error_set(err, ST_INVALID_ARGUMENTS, "a uddsketch needs at least one bucket");
    if (!(error_rate >= 1e-12 && error_rate < 1))
        return error_set(err, ST_INVALID_ARGUMENTS, "the error rate of a uddsketch must be in [1e-12, 1), not %g", error_rate);
    *s = (struct uddsketch){
        .budget = budget, .alpha = error_rate, .gamma = (1 + error_rate) / (1 - error_rate), .max_buckets = max_buckets, .error_rate = error_rate};
    return ST_OK;
}

void uddsketch_release(struct uddsketch *s)
{
    if (!s)
        return;
    buffer_unref(s->buckets);
    s->buckets = NULL;
    s->n_buckets = 0;
}

/* ---- buckets ---- */

static int compare(const struct uddsketch_bucket *a, const struct uddsketch_bucket *b)
{
    if (a->sign != b->sign)
        return a->sign < b->sign ? -1 : 1;
    int by_index = (a->index > b->index) - (a->index < b->index);
    return a->sign == UDDSKETCH_NEGATIVE ? -by_index : by_index;
}

static struct uddsketch_bucket bucket_of_value(double value, double gamma)
{
    struct uddsketch_bucket b = {1, 0, value < 0 ? UDDSKETCH_NEGATIVE : value == 0 ? UDDSKETCH_ZERO : UDDSKETCH_POSITIVE};
    if (value == 0)
        return b;
    double index = ceil(log(fabs(value)) / log(gamma));
    b.index = isnan(index) ? 0 : index >= 0x1p63 ? INT64_MAX : index <= -0x1p63 ? INT64_MIN : (int64_t)index;
    return b;
}

/* Adds b to the bucket of its kind, which it becomes if there is none. */
static int put(struct uddsketch *s, const struct uddsketch_bucket *b, struct error *err)
{
    struct uddsketch_bucket *buckets = buckets_of(s);
    size_t low = 0, high = s->n_buckets;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(&buckets[middle], b);
        if (order == 0) {
            buckets[middle].count += b->count;
            return ST_OK;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    TRY(buffer_reserve(&s->buckets, s->budget, (s->n_buckets + 1) * sizeof *buckets, err));
    buckets = buckets_of(s);
    memmove(buckets + low + 1, buckets + low, (s->n_buckets - low) * sizeof *buckets);
    buckets[low] = *b;
    s->n_buckets++;
    return ST_OK;
}

/* The bucket that b falls into after one compaction: 2i-1 and 2i become i. Order is kept. */
static struct uddsketch_bucket compacted(struct uddsketch_bucket b)
{
    if (b.sign != UDDSKETCH_ZERO && b.index != INT64_MAX)
        b.index = (b.index > 0 ? b.index + 1 : b.index) / 2;
    return b;
}

static void compact(struct uddsketch *s)
{
    struct uddsketch_bucket *buckets = buckets_of(s);
    size_t kept = 0;
    for (size_t i = 0; i < s->n_buckets; i++) {
        struct uddsketch_bucket b = compacted(buckets[i]);
        if (kept && compare(&buckets[kept - 1], &b) == 0)
            buckets[kept - 1].count += b.count;
        else
            buckets[kept++] = b;
    }
    s->n_buckets = kept;
    s->compactions++;
    s->gamma *= s->gamma;
    s->alpha = 2 * s->alpha / (1 + s->alpha * s->alpha);
}

/* Whether another compaction changes anything: 0, 1 and the infinite index stay as they are. */
static bool can_compact(const struct uddsketch *s)
{
    const struct uddsketch_bucket *buckets = buckets_of(s);
    for (size_t i = 0; i < s->n_buckets; i++)
        if (compacted(buckets[i]).index != buckets[i].index)
            return true;
    return false;
}

/* Compacts until the buckets are few enough, or cannot get fewer (at most 7 are left then). */
static void shrink(struct uddsketch *s)
{
    while (s->n_buckets > s->max_buckets && can_compact(s))
        compact(s);
}

int uddsketch_add(struct uddsketch *s, double value, struct error *err)
{
    struct uddsketch_bucket b = bucket_of_value(value, s->gamma);
    TRY(put(s, &b, err));
    shrink(s);
    s->n_values++;
    s->sum += value;
    return ST_OK;
}

/* The base that the sketch started with. */
static double first_gamma(const struct uddsketch *s)
{
    return pow(s->gamma, 1 / exp2(s->compactions));
}

static int copy_buckets(struct uddsketch *s, const struct uddsketch *other, struct error *err)
{
    TRY(buffer_reserve(&s->buckets, s->budget, other->n_buckets * sizeof(struct uddsketch_bucket), err));
    if (other->n_buckets)
        memcpy(s->buckets->data, other->buckets->data, other->n_buckets * sizeof(struct uddsketch_bucket));
    s->n_buckets = other->n_buckets;
    return ST_OK;
}

int uddsketch_merge(struct uddsketch *s, const struct uddsketch *other, struct error *err)
{
    if (other->n_values == 0)
        return ST_OK;
    if (s->max_buckets != other->max_buckets || !(fabs(s->error_rate - other->error_rate) < 1e-9) ||
        !(fabs(first_gamma(s) - first_gamma(other)) < 1e-9))
        return error_set(err, ST_INVALID_ARGUMENTS,
                         "Merging UDDSketch with different parameters: arguments=(%" PRIu64 ", %g) vs actual input=(%" PRIu64 ", %g)", s->max_buckets,
                         s->error_rate, other->max_buckets, other->error_rate);
    if (s->n_values == 0) {
        TRY(copy_buckets(s, other, err));
        s->alpha = other->alpha;
        s->gamma = other->gamma;
        s->compactions = other->compactions;
        s->n_values = other->n_values;
        s->sum = other->sum;
        return ST_OK;
    }
    while (s->compactions < other->compactions)
        compact(s);
    for (size_t i = 0; i < other->n_buckets; i++) {
        struct uddsketch_bucket b = buckets_of(other)[i];
        for (uint32_t k = other->compactions; k < s->compactions; k++)
            b = compacted(b);
        TRY(put(s, &b, err));
    }
    shrink(s);
    s->n_values += other->n_values;
    s->sum += other->sum;
    return ST_OK;
}

static double value_of(const struct uddsketch *s, const struct uddsketch_bucket *b)
{
    double magnitude = pow(s->gamma, (double)b->index - 1) * (1 + s->alpha);
    return b->sign == UDDSKETCH_ZERO ? 0 : b->sign == UDDSKETCH_NEGATIVE ? -magnitude : magnitude;
}

double uddsketch_quantile(const struct uddsketch *s, double q)
{
    const struct uddsketch_bucket *buckets = buckets_of(s);
    double below = (double)s->n_values * q;
    uint64_t rank = below >= 0x1p63 ? INT64_MAX : (uint64_t)below + 1;
    if (rank < s->n_values) {
        for (size_t i = 0; i < s->n_buckets; i++) {
            if (rank <= buckets[i].count)
                return value_of(s, &buckets[i]);
            rank -= buckets[i].count;
        }
    }
    return value_of(s, &buckets[s->n_buckets - 1]);
}

/* ---- bytes ---- */

static int put_key(struct dynbuf *out, const struct uddsketch_bucket *b, struct error *err)
{
    TRY(bincode_put_u32(out, b ? b->sign : UDDSKETCH_INVALID, err));
    return b && b->sign != UDDSKETCH_ZERO ? bincode_put_u64(out, (uint64_t)b->index, err) : ST_OK;
}

int uddsketch_encode(const struct uddsketch *s, struct dynbuf *out, struct error *err)
{
    const struct uddsketch_bucket *buckets = buckets_of(s);
    TRY(bincode_put_u64(out, s->n_buckets, err));
    for (size_t i = 0; i < s->n_buckets; i++) {
        TRY(put_key(out, &buckets[i], err));
        TRY(bincode_put_u64(out, buckets[i].count, err));
        TRY(put_key(out, i + 1 < s->n_buckets ? &buckets[i + 1] : NULL, err));
    }
    TRY(put_key(out, s->n_buckets ? buckets : NULL, err));
    TRY(bincode_put_f64(out, s->alpha, err));
    TRY(bincode_put_f64(out, s->gamma, err));
    TRY(bincode_put_u32(out, s->compactions, err));
    TRY(bincode_put_u64(out, s->max_buckets, err));
    TRY(bincode_put_u64(out, s->n_values, err));
    TRY(bincode_put_f64(out, s->sum, err));
    return bincode_put_f64(out, s->error_rate, err);
}

static int corrupt(const char *what, struct error *err)
{
    return error_set(err, ST_CORRUPT, "uddsketch: %s", what);
}

static int read_key(struct bincode *r, struct uddsketch_bucket *b, struct error *err)
{
    uint32_t sign = bincode_u32(r);
    if (sign > UDDSKETCH_INVALID)
        return corrupt("a bucket has a key of an unknown kind", err);
    b->sign = (enum uddsketch_sign)sign;
    b->index = sign == UDDSKETCH_NEGATIVE || sign == UDDSKETCH_POSITIVE ? (int64_t)bincode_u64(r) : 0;
    return r->broken ? corrupt("it is cut off", err) : ST_OK;
}

static int ascending(const void *a, const void *b)
{
    return compare(a, b);
}

static int read_buckets(struct bincode *r, struct uddsketch *s, struct error *err)
{
    enum { BUCKET_BYTES_MIN = 4 + 8 + 4 };
    struct uddsketch_bucket chained;
    uint64_t n = bincode_u64(r);
    if (n > (uint64_t)(r->end - r->p) / BUCKET_BYTES_MIN)
        return corrupt("it is cut off", err);
    if (n)
        TRY(buffer_new_uninit(s->budget, (size_t)n * sizeof chained, &s->buckets, err));
    struct uddsketch_bucket *buckets = buckets_of(s);
    for (; s->n_buckets < n; s->n_buckets++) {
        struct uddsketch_bucket *b = &buckets[s->n_buckets];
        TRY(read_key(r, b, err));
        if (b->sign == UDDSKETCH_INVALID)
            return corrupt("a bucket without a key", err);
        b->count = bincode_u64(r);
        TRY(read_key(r, &chained, err));
    }
    if (n)
        qsort(buckets, (size_t)n, sizeof chained, ascending);
    for (uint64_t i = 1; i < n; i++)
        if (compare(&buckets[i - 1], &buckets[i]) == 0)
            return corrupt("a bucket stands in it twice", err);
    return read_key(r, &chained, err);
}

static int decode(struct bincode *r, struct uddsketch *s, struct error *err)
{
    TRY(read_buckets(r, s, err));
    s->alpha = bincode_f64(r);
    s->gamma = bincode_f64(r);
    s->compactions = bincode_u32(r);
    s->max_buckets = bincode_u64(r);
    s->n_values = bincode_u64(r);
    s->sum = bincode_f64(r);
    if (r->broken)
        return corrupt("it is cut off", err);
    if (s->compactions > 64 || s->max_buckets == 0) /* more than 64 change nothing */
        return corrupt("its parameters are out of range", err);
    s->error_rate = bincode_f64(r);
    if (r->broken)
        s->error_rate = NAN;
    return ST_OK;
}

int uddsketch_decode(const void *data, size_t size, struct budget *budget, struct uddsketch *ret_sketch, struct error *err)
{
    struct bincode r = {data, (const uint8_t *)data + size, size == 0};
    struct uddsketch s = {.budget = budget};
    int st = decode(&r, &s, err);
    if (st != ST_OK)
        uddsketch_release(&s);
    else
        *ret_sketch = s;
    return st;
}
