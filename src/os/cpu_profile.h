/* Where the process spends its CPU time: a timer that counts it sends SIGPROF so often a second, and whoever runs then notes its stack.
 *
 * One profile at a time. What it keeps is bounded (SAMPLE_BYTES_MAX); samples beyond that are counted as dropped. While none is taken, nothing of it
 * costs anything.
 */
#ifndef OS_CPU_PROFILE_H
#define OS_CPU_PROFILE_H

#include "base/error.h"
#include "os/stacks.h"

enum { CPU_PROFILE_FRAMES_MAX = 64, CPU_PROFILE_HERTZ_MAX = 1000 };

/* ST_RATE_LIMITED: one is being taken. */
int cpu_profile_start(unsigned hertz, struct error *err);
/* Ends what start began. Weights are samples; one stack for all equal ones of threads of the same name. */
int cpu_profile_stop(struct sampled_stacks *ret_stacks, struct error *err);

#endif
