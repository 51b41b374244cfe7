/* Allocations that fail on demand, and a count of those alive: for tests that are linked with --wrap for these functions (tests/CMakeLists.txt). Only
 * code that is linked statically is wrapped: ours. */
#ifndef TESTS_UNIT_FAILING_ALLOC_H
#define TESTS_UNIT_FAILING_ALLOC_H

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **ret, size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t most);
void __real_free(void *p);

static struct {
    _Atomic bool counting;           /* while the code under test runs, on any thread */
    _Atomic uint64_t calls, fail_at; /* fail_at 0: none */
    _Atomic bool sticky;             /* and all behind it */
    _Atomic int64_t live;
} failing_alloc;

static bool alloc_fails(void)
{
    if (!atomic_load_explicit(&failing_alloc.counting, memory_order_relaxed))
        return false;
    uint64_t n = atomic_fetch_add(&failing_alloc.calls, 1) + 1, at = atomic_load(&failing_alloc.fail_at);
    return at && (atomic_load(&failing_alloc.sticky) ? n >= at : n == at);
}

static void *alloc_note(void *p)
{
    atomic_fetch_add_explicit(&failing_alloc.live, p != NULL, memory_order_relaxed);
    return p;
}

void *__wrap_malloc(size_t size)
{
    return alloc_fails() ? NULL : alloc_note(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return alloc_fails() ? NULL : alloc_note(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (alloc_fails())
        return NULL;
    void *p = __real_realloc(old, size);
    return old ? p : alloc_note(p);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return alloc_fails() ? NULL : alloc_note(__real_aligned_alloc(alignment, size));
}

int __wrap_posix_memalign(void **ret, size_t alignment, size_t size)
{
    if (alloc_fails())
        return ENOMEM;
    int rc = __real_posix_memalign(ret, alignment, size);
    if (rc == 0)
        alloc_note(*ret);
    return rc;
}

char *__wrap_strdup(const char *text)
{
    return alloc_fails() ? NULL : alloc_note(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t most)
{
    return alloc_fails() ? NULL : alloc_note(__real_strndup(text, most));
}

__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **ret_text, const char *format, ...)
{
    va_list args;
    if (alloc_fails())
        return -1;
    va_start(args, format);
    int size = vasprintf(ret_text, format, args);
    va_end(args);
    if (size >= 0)
        alloc_note(*ret_text);
    return size;
}

void __wrap_free(void *p)
{
    atomic_fetch_sub_explicit(&failing_alloc.live, p != NULL, memory_order_relaxed);
    __real_free(p);
}

/* Allocation number `nth` from now on that is made while counting fails; nth = 0: none. */
static inline void alloc_fail(uint64_t nth, bool sticky)
{
    atomic_store(&failing_alloc.calls, 0);
    atomic_store(&failing_alloc.fail_at, nth);
    atomic_store(&failing_alloc.sticky, sticky);
}

static inline void alloc_count(bool on)
{
    atomic_store(&failing_alloc.counting, on);
}

#endif
