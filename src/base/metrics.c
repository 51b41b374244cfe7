#include "base/metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric_family *families;

static int label_count(const struct metric_family *f)
{
    int n = 0;
    while (n < METRIC_LABELS_MAX && f->label_names[n])
        n++;
    return n;
}

static struct metric *find(struct metric_family *f, const char *const *values, int n)
{
    for (struct metric *m = atomic_load_explicit(&f->children, memory_order_acquire); m; m = m->next) {
        int i = 0;
        while (i < n && strcmp(m->labels[i], values[i]) == 0)
            i++;
        if (i == n)
            return m;
    }
    return NULL;
}

struct metric *metric_child(struct metric_family *f, const char *const *values)
{
    static const char *const other[METRIC_LABELS_MAX] = {"other", "other", "other", "other"};
    static struct metric lost; /* takes updates when the system has no memory for a cell */
    int n = label_count(f);
    struct metric *m = find(f, values, n);
    if (m)
        return m;
    pthread_mutex_lock(&lock);
    if (atomic_load(&f->child_count) >= METRIC_CHILDREN_MAX)
        values = other;
    m = find(f, values, n);
    if (!m && (m = calloc(1, sizeof *m))) {
        m->family = f;
        for (int i = 0; i < n; i++) {
            m->labels[i] = strdup(values[i]);
            if (!m->labels[i])
                m->labels[i] = (char *)"other";
        }
        m->next = atomic_load(&f->children);
        atomic_store_explicit(&f->children, m, memory_order_release);
        atomic_fetch_add(&f->child_count, 1);
        if (!atomic_exchange(&f->registered, 1)) {
            f->next = families;
            families = f;
        }
    }
    pthread_mutex_unlock(&lock);
    return m ? m : &lost;
}

struct metric *metric_plain(struct metric_family *f)
{
    static const char *const none[] = {NULL};
    return metric_child(f, none);
}

void metric_observe(struct metric *m, double value)
{
    int i = 0;
    const double *bounds = m->family->bounds;
    while (i < METRIC_BUCKETS_MAX - 1 && bounds[i] != 0 && value > bounds[i])
        i++;
    atomic_fetch_add_explicit(&m->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->value, 1, memory_order_relaxed);
    uint64_t old = atomic_load_explicit(&m->sum_bits, memory_order_relaxed), now;
    do {
        double sum;
        memcpy(&sum, &old, sizeof sum);
        sum += value;
        memcpy(&now, &sum, sizeof now);
    } while (!atomic_compare_exchange_weak_explicit(&m->sum_bits, &old, now, memory_order_relaxed, memory_order_relaxed));
}

struct metric_family *metric_families(void)
{
    pthread_mutex_lock(&lock);
    struct metric_family *f = families;
    pthread_mutex_unlock(&lock);
    return f;
}
