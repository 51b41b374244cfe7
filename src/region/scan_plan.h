/* The query of a scan of one region, for those who ask without a frontend: regionctl and libregion. */
#ifndef REGION_SCAN_PLAN_H
#define REGION_SCAN_PLAN_H

#include "base/arena.h"
#include "base/buffer.h"
#include "format/region/metadata.h"

struct scan_plan {
    const struct region_metadata *meta;
    const uint32_t *columns; /* indexes into meta->columns, in output order */
    uint32_t n_columns;
    const char *filter;      /* comparisons of columns with values, or IS [NOT] NULL, joined by AND; NULL = none */
    int64_t limit;           /* -1 = none */
};

/* Appends the QueryRequest (a Flight ticket). ST_INVALID_ARGUMENTS: a filter that does not parse. What it needs on the way is in `arena`. */
int scan_plan_request(const struct scan_plan *plan, struct arena *arena, struct dynbuf *out, struct error *err);

#endif
