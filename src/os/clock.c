/* Clocks, and what the machine or its cgroup gives this process. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/thread.h"

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_wall_ms(void)
{
    return clock_wall_ns() / 1000000;
}

int64_t clock_monotonic_ns(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

void clock_sleep_ns(int64_t ns)
{
    if (ns <= 0)
        return;
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        continue;
}

/* The first line of a small file; false when it cannot be read. */
static bool read_line(const char *path, char *ret_line, int bytes)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool ok = fgets(ret_line, bytes, f) != NULL;
    fclose(f);
    return ok;
}

/* The process' folder in the unified cgroup hierarchy ("" when it is the root or there is none). */
static void cgroup_folder(char ret_path[256])
{
    ret_path[0] = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return;
    char line[512];
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "0::/", 4))
            continue;
        line[strcspn(line, "\n")] = 0;
        if (strlen(line + 3) < 256 && strcmp(line + 3, "/"))
            strcpy(ret_path, line + 3);
    }
    fclose(f);
}

/* Calls `see` with the first line of `name` in the process' cgroup and in all above it: the smallest limit of the path holds. */
static void cgroup_walk(const char *name, void (*see)(const char *line, void *ctx), void *ctx)
{
    char folder[256], path[512], line[128];
    cgroup_folder(folder);
    for (;;) {
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/%s", folder, name);
        if (read_line(path, line, sizeof(line)))
            see(line, ctx);
        char *slash = strrchr(folder, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

static void see_cpu_max(const char *line, void *ctx)
{
    uint64_t *millicores = ctx;
    long long quota, period;
    if (sscanf(line, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0 || quota > INT64_MAX / 1000)
        return;
    uint64_t n = (uint64_t)(quota * 1000 / period);
    if (n < *millicores)
        *millicores = n < 1 ? 1 : n;
}

static void see_memory_max(const char *line, void *ctx)
{
    uint64_t *bytes = ctx;
    unsigned long long limit;
    if (sscanf(line, "%llu", &limit) == 1 && limit > 0 && limit < *bytes)
        *bytes = limit;
}

uint64_t cpu_millicores(void)
{
    uint64_t millicores = 1000;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        millicores = (uint64_t)CPU_COUNT(&set) * 1000;
    else if (sysconf(_SC_NPROCESSORS_ONLN) > 0)
        millicores = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) * 1000;
    cgroup_walk("cpu.max", see_cpu_max, &millicores);
    char quota[64], period[64], both[160];
    if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota, sizeof(quota)) &&
        read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period, sizeof(period))) {
        snprintf(both, sizeof(both), "%s %s", quota, period);
        see_cpu_max(both, &millicores);
    }
    return millicores;
}

unsigned cpu_count(void)
{
    return (unsigned)((cpu_millicores() + 999) / 1000);
}

bool cgroup_cpu_usage_us(uint64_t *ret_us)
{
    char folder[256], path[320], line[128], memory[64];
    unsigned long long us;
    cgroup_folder(folder);
    /* The root has a cpu.stat but no memory.current: it is no control group of ours. */
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.current", folder);
    if (!read_line(path, memory, sizeof(memory)))
        return false;
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.stat", folder);
    if (!read_line(path, line, sizeof(line)) || sscanf(line, "usage_usec %llu", &us) != 1)
        return false;
    *ret_us = us;
    return true;
}

bool cgroup_memory_bytes(uint64_t *ret_bytes)
{
    char folder[256], path[320], line[64];
    unsigned long long bytes;
    cgroup_folder(folder);
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.current", folder);
    if (!read_line(path, line, sizeof(line)) || sscanf(line, "%llu", &bytes) != 1)
        return false;
    *ret_bytes = bytes;
    return true;
}

int64_t clock_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t memory_total_bytes(void)
{
    uint64_t bytes = UINT64_MAX;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0)
        bytes = (uint64_t)pages * (uint64_t)page;
    cgroup_walk("memory.max", see_memory_max, &bytes);
    char line[64];
    if (read_line("/sys/fs/cgroup/memory/memory.limit_in_bytes", line, sizeof(line)))
        see_memory_max(line, &bytes);
    return bytes;
}
