/* What the process's allocator (jemalloc, where the program links it) says of itself: sizes and heap profiles.
 *
 * Profiles need MALLOC_CONF=prof:true at the start of the process. Without jemalloc (sanitizer builds) every call says "not enabled".
 */
#ifndef OS_HEAP_H
#define OS_HEAP_H

#include "base/buffer.h"
#include "base/error.h"

/* Bytes handed out and bytes resident; false where the allocator does not tell. */
bool heap_usage(size_t *ret_allocated_bytes, size_t *ret_resident_bytes);

/* While memory is tight freed pages go back to the system at once, else after some time: at once costs time, later costs memory. */
void heap_set_tight(bool tight);

bool heap_profiling_enabled(void);
bool heap_profile_active(void);
int heap_profile_set_active(bool on, struct error *err);
/* A profile each time the heap reaches a new peak. */
bool heap_gdump_active(void);
int heap_gdump_set_active(bool on, struct error *err);
/* Appends a heap dump in jemalloc's text format (heap_v2). ST_INVALID_ARGUMENTS when profiling is not enabled. */
int heap_profile_dump(struct dynbuf *out, struct error *err);

#endif
