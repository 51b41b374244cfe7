/* All scalar functions, by family, and the catalogue of these and the aggregates. A family is a table that ends with a nameless entry; a new one gets
 * a line here. */
#include <strings.h>

#include "exec/agg.h"
#include "exec/catalogue.h"
#include "exec/expr_internal.h"

static const struct family {
    const char *name;
    const struct function *functions;
} families[] = {
    {"comparison", functions_compare},
    {"logic", functions_logic},
    {"PromQL", functions_prom},
    {"arithmetic", functions_arithmetic},
    {"bits", functions_bits},
    {"choice", functions_choice},
    {"arrow", functions_arrow},
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
    {"key", functions_key},
    {"vector", functions_vector},
    {"fulltext", functions_fulltext},
    {"json", functions_json},
    {"list", functions_list},
    {"list reading", functions_list_read},
    {"struct", functions_struct},
    {"series", functions_series},
    {"geohash", functions_geohash},
    {"s2", functions_s2},
    {"h3", functions_h3},
    {"wkt", functions_wkt},
};

const struct function *function_find(const char *name)
{
    for (size_t t = 0; t < sizeof families / sizeof *families; t++)
        for (const struct function *f = families[t].functions; f->name; f++)
            if (strcasecmp(f->name, name) == 0)
                return f;
    return NULL;
}

void catalogue_walk(void (*each)(void *ctx, const struct function_info *f), void *ctx)
{
    for (size_t t = 0; t < sizeof families / sizeof *families; t++)
        for (const struct function *f = families[t].functions; f->name; f++)
            each(ctx, &(struct function_info){
                          .family = families[t].name, .name = f->name, .min_args = f->min_args, .max_args = f->max_args, .strict = f->strict});
    const struct agg_function *a;
    const char *name;
    for (size_t i = 0; (a = agg_function_at(i, &name)); i++)
        each(ctx, &(struct function_info){.aggregate = true,
                                          .family = "aggregate",
                                          .name = name,
                                          .min_args = a->args_min,
                                          .max_args = a->args_max,
                                          .partial = a->state != NULL,
                                          .ordered = a->ordered});
}
