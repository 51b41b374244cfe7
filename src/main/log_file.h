/* Log files: one an hour (UTC), `greptimedb.YYYY-MM-DD-HH` with everything and `greptimedb-err.…` with errors, as the peer names them
 * (config-and-http.md section 5); also to standard output if asked. */
#ifndef MAIN_LOG_FILE_H
#define MAIN_LOG_FILE_H

#include <stdbool.h>

#include "base/error.h"

struct log_file_options {
    const char *dir;
    unsigned max_files; /* kept per prefix; older ones are removed when a new hour starts */
    bool to_stdout;
};

/* Makes the folder and becomes the log's sink for the rest of the process. */
int log_file_start(const struct log_file_options *options, struct error *err);

#endif
