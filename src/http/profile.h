/* Forms of a CPU profile: pprof's protobuf (not compressed), text, a flame graph as SVG. No samples: nothing is appended. */
#ifndef HTTP_PROFILE_H
#define HTTP_PROFILE_H

#include "base/buffer.h"
#include "os/cpu_profile.h"

enum profile_form { PROFILE_PROTO, PROFILE_TEXT, PROFILE_FLAMEGRAPH };

struct profile_times {
    int64_t start_wall_ns, duration_ns, period_ns; /* period: of CPU time between two samples */
};

int profile_write(const struct cpu_profile *profile, enum profile_form form, const struct profile_times *times, struct dynbuf *out,
                  struct error *err);

#endif
