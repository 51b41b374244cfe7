/* Turns a decoded plan into operators. */
#ifndef EXEC_BIND_H
#define EXEC_BIND_H

#include "exec/oper.h"
#include "exec/query.h"
#include "format/substrait/plan.h"

/* Resolves the table, prunes columns and binds. The plan is rewritten; plan, arena and options' timezone must outlive the operators. */
int bind_plan(struct plan *plan, const struct query_options *options, struct arena *arena, struct oper **ret_root, struct error *err);

#endif
