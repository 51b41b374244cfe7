/* `regionctl functions`: the catalogue of this build as tab-separated lines. scripts/functions_doc.py makes docs/functions.md of it. */
#include <inttypes.h>

#include "ctl/commands.h"
#include "exec/catalogue.h"

static void print_one(void *ctx, const struct function_info *f)
{
    FILE *out = ctx;
    const char *nulls = f->aggregate ? (f->partial ? "partial" : "whole") : f->strict ? "strict" : "own";
    fprintf(out, "%s\t%s\t%s\t%" PRIu32, f->aggregate ? "aggregate" : "scalar", f->family, f->name, f->min_args);
    if (f->max_args >= 100)
        fprintf(out, "..");
    else if (f->max_args > f->min_args)
        fprintf(out, "-%" PRIu32, f->max_args);
    fprintf(out, "\t%s%s\n", nulls, f->ordered ? " ordered" : "");
}

int ctl_functions(struct ctl *c, struct error *err)
{
    const char *words[1];
    TRY(ctl_arguments(c, (const struct ctl_flag[]){{.name = NULL}}, words, 0, 0, err));
    catalogue_walk(print_one, stdout);
    return ST_OK;
}
