/* Where the process spends its CPU time: a timer that counts it sends SIGPROF so often a second, and whoever runs then notes its stack.
 *
 * One profile at a time. What it keeps is bounded (SAMPLE_BYTES_MAX); samples beyond that are counted as dropped. While none is taken, nothing of it
 * costs anything.
 */
#ifndef OS_CPU_PROFILE_H
#define OS_CPU_PROFILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { CPU_PROFILE_FRAMES_MAX = 64, CPU_PROFILE_HERTZ_MAX = 1000 };

/* Samples with the same stack, of threads of the same name. */
struct cpu_stack {
    uint64_t samples;
    char thread[16];
    uint32_t n_frames;
    const uintptr_t *frames; /* where the CPU was, then the return addresses outwards */
};

struct cpu_profile {
    struct cpu_stack *stacks; /* in no particular order */
    size_t n_stacks;
    uint64_t dropped;
    uintptr_t *words; /* what `frames` point into */
};

/* ST_RATE_LIMITED: one is being taken. */
int cpu_profile_start(unsigned hertz, struct error *err);
/* Ends what start began. */
int cpu_profile_stop(struct cpu_profile *ret_profile, struct error *err);
void cpu_profile_release(struct cpu_profile *p);

#endif
