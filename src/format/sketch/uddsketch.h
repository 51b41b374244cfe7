/* UDDSketch (Epicoco et al., 2020): the value of uddsketch_state(), uddsketch_merge() and the argument of uddsketch_calc().
 *
 * The bytes are those of timescaledb-toolkit's udd-sketch under bincode 1.3 with GreptimeDB's error rate behind them (functions.md 2.5 d); they are
 * stored in user tables, hence frozen. In memory the buckets stand in ascending order of the values they hold: the peer's hash map with a chain
 * through it, without both.
 */
#ifndef FORMAT_SKETCH_UDDSKETCH_H
#define FORMAT_SKETCH_UDDSKETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum uddsketch_sign { UDDSKETCH_NEGATIVE, UDDSKETCH_ZERO, UDDSKETCH_POSITIVE, UDDSKETCH_INVALID }; /* frozen */

struct uddsketch_bucket {
    uint64_t count;
    int64_t index; /* 0 for UDDSKETCH_ZERO */
    enum uddsketch_sign sign;
};

struct uddsketch {
    struct budget *budget;  /* borrowed, may be NULL */
    struct buffer *buckets; /* struct uddsketch_bucket, ascending; NULL = none yet */
    size_t n_buckets;
    double alpha, gamma; /* the error that values may have now, and the base of the buckets: (1 + alpha) / (1 - alpha) */
    uint32_t compactions;
    uint64_t max_buckets;
    uint64_t n_values;
    double sum;
    double error_rate; /* as asked for; NaN when the bytes end before it */
};

/* An empty sketch; allocates nothing. max_buckets 0 and an error rate outside [1e-12, 1) are ST_INVALID_ARGUMENTS. */
int uddsketch_init(struct uddsketch *s, struct budget *budget, uint64_t max_buckets, double error_rate, struct error *err);
void uddsketch_release(struct uddsketch *s);

int uddsketch_add(struct uddsketch *s, double value, struct error *err);
/* s becomes the sketch of both's values. The other must be empty or have been made with the same parameters (ST_INVALID_ARGUMENTS). */
int uddsketch_merge(struct uddsketch *s, const struct uddsketch *other, struct error *err);
/* The value below which the share q of the values lies, q in [0, 1]; the sketch must not be empty. */
double uddsketch_quantile(const struct uddsketch *s, double q);

int uddsketch_encode(const struct uddsketch *s, struct dynbuf *out, struct error *err);
/* A new sketch from its bytes; anything behind them is ignored, as the peer does. ST_CORRUPT when they are none. */
int uddsketch_decode(const void *data, size_t size, struct budget *budget, struct uddsketch *ret_sketch, struct error *err);

#endif
