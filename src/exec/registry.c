/* All scalar functions, by family. A family is a table that ends with a nameless entry; a new one gets a line here. */
#include <string.h>

#include "exec/expr_internal.h"

static const struct family { const char *name; const struct function *functions; } families[] = {
    {"comparison", functions_compare},
    {"logic", functions_logic},
    {"PromQL", functions_prom},
    {"arithmetic", functions_arithmetic},
    {"bits", functions_bits},
    {"choice", functions_choice},
    {"math", functions_math},
    {"text", functions_text},
    {"string", functions_string},
    {"mysql", functions_mysql},
    {"pattern", functions_match},
    {"regex", functions_regex},
    {"time", functions_time},
    {"conversion", functions_convert},
    {"format", functions_format},
    {"digest", functions_digest},
    {"ip", functions_ip},
    {"sketch", functions_sketch},
    {"vector", functions_vector},
    {"fulltext", functions_fulltext},
    {"json", functions_json},
};

const struct function *function_find(const char *name)
{
    for (size_t t = 0; t < sizeof families / sizeof *families; t++)
        for (const struct function *f = families[t].functions; f->name; f++)
            if (strcmp(f->name, name) == 0)
                return f;
    return NULL;
}
