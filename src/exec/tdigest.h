/* The t-digest of Dunning and Ertl as DataFusion builds it, so that states of both merge and estimates agree (functions.md 2.5c).
 *
 * A digest is a list of centroids by mean. `max_size` sets how fine it is: at most about that many centroids, small ones at the ends.
 */
#ifndef EXEC_TDIGEST_H
#define EXEC_TDIGEST_H

#include <stdbool.h>

#include "exec/vec.h"

struct centroid {
    double mean, weight;
};

struct tdigest {
    double sum, count, max, min; /* max and min are NaN before the first value */
    struct vec centroids;        /* struct centroid */
    uint32_t n;
};

struct tdigest tdigest_empty(void);
void tdigest_release(struct tdigest *d, struct budget *budget);

/* Adds values, each of weight 1, in total order. `scratch` is memory to work in, kept between calls. */
int tdigest_add_values(struct tdigest *d, uint64_t max_size, const struct centroid *values, size_t n, struct vec *scratch, struct budget *budget,
                       struct error *err);

/* Merges in centroids of any positive weights that are in total order of their means. */
int tdigest_add_centroids(struct tdigest *d, uint64_t max_size, const struct centroid *centroids, size_t n, struct vec *scratch,
                          struct budget *budget, struct error *err);

/* Merges another digest in. */
int tdigest_merge(struct tdigest *d, uint64_t max_size, const struct tdigest *other, struct vec *scratch, struct budget *budget, struct error *err);

/* Puts centroids in total order of their means, equal ones as they were; `spare` has room for n. */
void tdigest_sort(struct centroid *c, struct centroid *spare, size_t n);

/* The value at quantile q; the digest is not empty. */
double tdigest_quantile(const struct tdigest *d, double q);

#endif
