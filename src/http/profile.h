/* Forms of sampled stacks: pprof's protobuf (not compressed), text, a flame graph as SVG. No stacks: nothing is appended. */
#ifndef HTTP_PROFILE_H
#define HTTP_PROFILE_H

#include "base/buffer.h"
#include "os/stacks.h"

enum profile_form { PROFILE_PROTO, PROFILE_TEXT, PROFILE_FLAMEGRAPH, PROFILE_FORMS };

/* The form of that name (proto, text, flamegraph); PROFILE_FORMS: there is none. */
enum profile_form profile_form_named(const char *name);

/* What weights mean, for protobuf and the flame graph. */
struct profile_meaning {
    const char *type, *unit;               /* "samples", "count" */
    const char *period_type, *period_unit; /* "cpu", "nanoseconds" */
    int64_t period;                        /* each weight stands for so much of period_type; 0 = unknown */
    int64_t start_wall_ns, duration_ns;
};

int profile_write(const struct sampled_stacks *stacks, enum profile_form form, const struct profile_meaning *meaning, struct dynbuf *out,
                  struct error *err);

#endif
