/* Prometheus exposition: registered families and the process's own figures. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/metrics.h"
#include "http/server.h"

static int print_labels(struct dynbuf *out, const struct metric_family *f, const struct metric *m, const char *le, struct error *err)
{
    int order[METRIC_LABELS_MAX], n = 0;
    while (n < METRIC_LABELS_MAX && f->label_names[n]) {
        order[n] = n;
        n++;
    }
    for (int i = 1; i < n; i++) /* by name, as Prometheus clients print them */
        for (int j = i; j > 0 && strcmp(f->label_names[order[j]], f->label_names[order[j - 1]]) < 0; j--) {
            int t = order[j];
            order[j] = order[j - 1];
            order[j - 1] = t;
        }
    if (n == 0 && !le)
        return ST_OK;
    TRY(dynbuf_append_byte(out, '{', err));
    for (int i = 0; i < n; i++) {
        TRY(dynbuf_printf(out, err, "%s%s=\"", i ? "," : "", f->label_names[order[i]]));
        for (const char *p = m->labels[order[i]]; *p; p++) {
            if (*p == '\n') {
                TRY(dynbuf_append(out, "\\n", 2, err));
                continue;
            }
            if (*p == '"' || *p == '\\')
                TRY(dynbuf_append_byte(out, '\\', err));
            TRY(dynbuf_append_byte(out, (uint8_t)*p, err));
        }
        TRY(dynbuf_append_byte(out, '"', err));
    }
    if (le)
        TRY(dynbuf_printf(out, err, "%sle=\"%s\"", n ? "," : "", le));
    return dynbuf_append_byte(out, '}', err);
}

static int print_sample(struct dynbuf *out, const struct metric_family *f, const struct metric *m, const char *suffix, const char *le,
                        const char *value, struct error *err)
{
    TRY(dynbuf_printf(out, err, "%s%s", f->name, suffix));
    TRY(print_labels(out, f, m, le, err));
    return dynbuf_printf(out, err, " %s\n", value);
}

static int print_histogram(struct dynbuf *out, struct metric_family *f, struct metric *m, struct error *err)
{
    char le[40], value[40];
    uint64_t total = 0;
    for (int i = 0; i < METRIC_BUCKETS_MAX; i++) {
        bool last = i == METRIC_BUCKETS_MAX - 1 || f->bounds[i] == 0;
        total += atomic_load(&m->buckets[i]);
        snprintf(le, sizeof le, "%.10g", f->bounds[i]);
        snprintf(value, sizeof value, "%llu", (unsigned long long)total);
        TRY(print_sample(out, f, m, "_bucket", last ? "+Inf" : le, value, err));
        if (last)
            break;
    }
    double sum;
    uint64_t bits = atomic_load(&m->sum_bits);
    memcpy(&sum, &bits, sizeof sum);
    char text[40];
    snprintf(text, sizeof text, "%.17g", sum);
    TRY(print_sample(out, f, m, "_sum", NULL, text, err));
    return print_sample(out, f, m, "_count", NULL, value, err);
}

static int by_labels(const void *a, const void *b)
{
    const struct metric *x = *(struct metric *const *)a, *y = *(struct metric *const *)b;
    for (int i = 0; i < METRIC_LABELS_MAX && x->labels[i] && y->labels[i]; i++) {
        int c = strcmp(x->labels[i], y->labels[i]);
        if (c)
            return c;
    }
    return 0;
}

static int print_family(struct dynbuf *out, struct metric_family *f, struct error *err)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    struct metric *children[METRIC_CHILDREN_MAX + 1];
    size_t n = 0;
    for (struct metric *m = atomic_load(&f->children); m && n <= METRIC_CHILDREN_MAX; m = m->next)
        children[n++] = m;
    qsort(children, n, sizeof *children, by_labels);
    TRY(dynbuf_printf(out, err, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, kinds[f->kind]));
    for (size_t i = 0; i < n; i++) {
        char value[32];
        snprintf(value, sizeof value, "%lld", (long long)atomic_load(&children[i]->value));
        TRY(f->kind == METRIC_HISTOGRAM ? print_histogram(out, f, children[i], err) : print_sample(out, f, children[i], "", NULL, value, err));
    }
    return ST_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct metric_family *const *)a)->name, (*(struct metric_family *const *)b)->name);
}

/* ---- the process ---- */

static int gauge(struct dynbuf *out, const char *name, const char *help, const char *kind, double value, struct error *err)
{
    return dynbuf_printf(out, err, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, kind, name, value);
}

static long open_fds(void)
{
    long n = -3; /* ".", ".." and the listing itself */
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n > 0 ? n : 0;
}

static int print_process(struct dynbuf *out, struct error *err)
{
    char text[1024] = "", *p;
    FILE *f = fopen("/proc/self/stat", "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    unsigned long utime = 0, stime = 0, vsize = 0;
    unsigned long long start = 0;
    long threads = 0, rss = 0;
    struct rlimit files;
    text[n] = 0;
    if (f)
        fclose(f);
    if ((p = strrchr(text, ')')) != NULL)
        sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %ld %*d %llu %lu %ld", &utime, &stime, &threads, &start,
               &vsize, &rss);
    double ticks = (double)sysconf(_SC_CLK_TCK);
    double boot = 0;
    char line[128];
    for (f = fopen("/proc/stat", "r"); f && fgets(line, sizeof line, f);)
        if (sscanf(line, "btime %lf", &boot) == 1)
            break;
    if (f)
        fclose(f);
    TRY(gauge(out, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", "counter", (double)(utime + stime) / ticks, err));
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        TRY(gauge(out, "process_max_fds", "Maximum number of open file descriptors.", "gauge", (double)files.rlim_cur, err));
    TRY(gauge(out, "process_open_fds", "Number of open file descriptors.", "gauge", (double)open_fds(), err));
    TRY(gauge(out, "process_resident_memory_bytes", "Resident memory size in bytes.", "gauge", (double)rss * (double)sysconf(_SC_PAGESIZE), err));
    TRY(gauge(out, "process_start_time_seconds", "Start time of the process since unix epoch in seconds.", "gauge", boot + (double)start / ticks,
              err));
    TRY(gauge(out, "process_threads", "Number of OS threads in the process.", "gauge", (double)threads, err));
    return gauge(out, "process_virtual_memory_bytes", "Virtual memory size in bytes.", "gauge", (double)vsize, err);
}

int http_metrics_text(struct dynbuf *out, struct error *err)
{
    struct metric_family *sorted[512];
    size_t n = 0;
    for (struct metric_family *f = metric_families(); f && n < 512; f = f->next)
        sorted[n++] = f;
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 0; i < n; i++)
        TRY(print_family(out, sorted[i], err));
    return print_process(out, err);
}
