/* Binding of PromQL's nodes. */
#ifndef EXEC_BIND_SERIES_H
#define EXEC_BIND_SERIES_H

#include "exec/oper.h"
#include "format/substrait/plan.h"

/* The operator of the extension relation `rel` over its bound input, which is taken, also on failure. *series tells whether the operator's last
 * column holds series numbers, which are no output of the plan. What the peer requires of the input is put in between where it is missing: a sort
 * below a SeriesDivide, the division below a node that works by series. Wrong column numbers: ST_INTERNAL; types that do not fit: ST_PLAN_QUERY. */
int bind_series(const struct plan_rel *rel, struct oper *input, bool *series, struct oper **ret_oper, struct error *err);

#endif
