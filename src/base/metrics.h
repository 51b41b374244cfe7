/* Metric cells: counters, gauges and histograms in Prometheus' sense, cheap enough for hot paths.
 *
 * A module declares its families as static variables and asks once for the child it needs (metric_child()); updating a child is one
 * atomic operation. http/ walks the registry to write the exposition text. Children live until the process ends; a family has at
 * most METRIC_CHILDREN_MAX of them, further label values share one child labelled "other".
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum { METRIC_LABELS_MAX = 4, METRIC_CHILDREN_MAX = 1024, METRIC_BUCKETS_MAX = 24 };

struct metric {
    struct metric *next;
    char *labels[METRIC_LABELS_MAX];
    _Atomic int64_t value;                         /* counter and gauge; histogram: count */
    _Atomic uint64_t sum_bits;                     /* histogram: sum, as the bits of a double */
    _Atomic uint64_t buckets[METRIC_BUCKETS_MAX];  /* histogram: not cumulative */
    struct metric_family *family;
};

struct metric_family {
    const char *name, *help;
    enum metric_kind kind;
    const char *label_names[METRIC_LABELS_MAX];    /* NULL behind the last */
    double bounds[METRIC_BUCKETS_MAX];             /* histogram: upper bounds ascending, 0 behind the last */
    struct metric *_Atomic children;
    struct metric_family *next;                    /* registry link, set on first use */
    _Atomic int registered, child_count;
};

/* The child with these label values (as many as label_names; pass NULL-terminated), created at zero on first use. Thread-safe; never NULL. */
struct metric *metric_child(struct metric_family *family, const char *const *label_values);

/* The only child of a family without labels. */
struct metric *metric_plain(struct metric_family *family);

static inline void metric_add(struct metric *m, int64_t n)
{
    atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

static inline void metric_set(struct metric *m, int64_t n)
{
    atomic_store_explicit(&m->value, n, memory_order_relaxed);
}

/* Histogram: one observation (seconds, bytes, ... as the family says). */
void metric_observe(struct metric *m, double value);

/* Families seen so far, in no order. */
struct metric_family *metric_families(void);

#endif
