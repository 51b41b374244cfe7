/* Stacks that were met while something was sampled (CPU time, memory), each with what it stands for. */
#ifndef OS_STACKS_H
#define OS_STACKS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct sampled_stack {
    uint64_t weight; /* samples, bytes */
    char thread[16]; /* its name; "" = whichever */
    uint32_t n_frames;
    const uintptr_t *frames; /* an address in the innermost function, then the return addresses outwards */
};

struct sampled_stacks {
    struct sampled_stack *list; /* in no particular order */
    size_t n;
    uint64_t dropped;
    uintptr_t *words; /* what `frames` point into */
};

static inline void sampled_stacks_release(struct sampled_stacks *s)
{
    free(s->list);
    free(s->words);
    *s = (struct sampled_stacks){0};
}

#endif
