#include "os/heap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Weak, so that programs without jemalloc link too. */
__attribute__((weak)) int mallctl(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size);

static bool read_ctl(const char *name, void *value, size_t size)
{
    return mallctl && mallctl(name, value, &size, NULL, 0) == 0;
}

static bool flag(const char *name)
{
    bool on = false;
    return read_ctl(name, &on, sizeof on) && on;
}

static int set_flag(const char *name, bool on, struct error *err)
{
    if (!heap_profiling_enabled())
        return error_set(err, ST_INVALID_ARGUMENTS, "Memory profiling is not enabled");
    if (mallctl(name, NULL, NULL, &on, sizeof on) != 0)
        return error_set(err, ST_UNEXPECTED, "jemalloc refuses %s = %d", name, on);
    return ST_OK;
}

bool heap_usage(size_t *ret_allocated_bytes, size_t *ret_resident_bytes)
{
    uint64_t epoch = 1; /* writing it refreshes the statistics */
    return mallctl && mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0 &&
           read_ctl("stats.allocated", ret_allocated_bytes, sizeof *ret_allocated_bytes) &&
           read_ctl("stats.resident", ret_resident_bytes, sizeof *ret_resident_bytes);
}

void heap_set_tight(bool tight)
{
    ssize_t decay_ms = 0;
    unsigned arenas = 0;
    char name[64];
    if (!read_ctl("arenas.narenas", &arenas, sizeof arenas) || (!tight && !read_ctl("opt.dirty_decay_ms", &decay_ms, sizeof decay_ms)))
        return;
    mallctl("arenas.dirty_decay_ms", NULL, NULL, &decay_ms, sizeof decay_ms);
    for (unsigned i = 0; i < arenas; i++) {
        snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", i); /* setting it purges; an arena that is not there refuses */
        mallctl(name, NULL, NULL, &decay_ms, sizeof decay_ms);
    }
}

bool heap_profiling_enabled(void)
{
    return flag("opt.prof");
}

bool heap_profile_active(void)
{
    return flag("prof.active");
}

int heap_profile_set_active(bool on, struct error *err)
{
    return set_flag("prof.active", on, err);
}

bool heap_gdump_active(void)
{
    return flag("prof.gdump");
}

int heap_gdump_set_active(bool on, struct error *err)
{
    return set_flag("prof.gdump", on, err);
}

static int append_file(int fd, struct dynbuf *out, struct error *err)
{
    char chunk[16384];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        TRY(dynbuf_append(out, chunk, (size_t)n, err));
    return n < 0 ? error_set(err, ST_STORAGE, "cannot read the heap dump: %s", strerror(errno)) : ST_OK;
}

int heap_profile_dump(struct dynbuf *out, struct error *err)
{
    char path[] = "/tmp/regiond-heap-XXXXXX";
    const char *name = path;
    if (!heap_profiling_enabled())
        return error_set(err, ST_INVALID_ARGUMENTS, "Memory profiling is not enabled");
    int fd = mkstemp(path);
    if (fd < 0)
        return error_set(err, ST_STORAGE, "cannot create a file for the heap dump in /tmp: %s", strerror(errno));
    int st = mallctl("prof.dump", NULL, NULL, &name, sizeof name) == 0 ? append_file(fd, out, err)
                                                                       : error_set(err, ST_UNEXPECTED, "jemalloc cannot dump the heap");
    close(fd);
    unlink(path);
    return st;
}
