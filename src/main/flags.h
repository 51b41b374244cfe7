/* The command line: `regiond [datanode start] [FLAGS]`, with the peer's flags (config-and-http.md section 1). */
#ifndef MAIN_FLAGS_H
#define MAIN_FLAGS_H

#include "config/config.h"

enum flags_result { FLAGS_RUN, FLAGS_DONE, FLAGS_BAD }; /* go on, exit 0 (help or version printed), exit 2 (usage printed) */

/* Sets the configuration from the flags, then from the file and the environment that they name. A failing file is reported through `err`
 * with *ret_result = FLAGS_RUN. */
int flags_parse(int argc, char **argv, char *const *environment, struct config *config, enum flags_result *ret_result, struct error *err);

#endif
