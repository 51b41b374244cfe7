/* Reads a heap dump of jemalloc (heap_v2, text). Pure; the input may be hostile. */
#ifndef HTTP_HEAP_STACKS_H
#define HTTP_HEAP_STACKS_H

#include "base/error.h"
#include "os/stacks.h"

enum { HEAP_FRAMES_MAX = 256 }; /* the outer ones of a deeper stack are left out */

/* The stacks that hold memory, with its bytes: those of the samples, and as many more as samples of their size stand for. ST_CORRUPT: it is none. */
int heap_stacks_parse(const char *text, size_t size, struct sampled_stacks *ret_stacks, struct error *err);

#endif
