/* What functions there are: for documentation and for people (`regionctl functions`). */
#ifndef EXEC_CATALOGUE_H
#define EXEC_CATALOGUE_H

#include <stdbool.h>
#include <stdint.h>

struct function_info {
    bool aggregate;
    const char *family, *name;
    uint32_t min_args, max_args; /* UINT32_MAX: any number */
    bool strict;                 /* scalar: a NULL argument gives NULL */
    bool partial, ordered;       /* aggregate: has the form __<name>_state; looks at ORDER BY */
};

/* Calls `each` for every scalar function, then for every aggregate function, family by family. */
void catalogue_walk(void (*each)(void *ctx, const struct function_info *f), void *ctx);

#endif
