/* The two operators that evaluate expressions. */
#ifndef EXEC_OPER_COMPUTE_H
#define EXEC_OPER_COMPUTE_H

#include "exec/expr.h"
#include "exec/oper.h"

/* Rows for which `condition` is true; only the input's columns in emit[0..n_emit) come out. Takes the condition, also on failure. */
int oper_filter_new(struct oper *input, struct expr *condition, const uint32_t *emit, uint32_t n_emit, struct schema *schema, const char *timezone,
                    struct oper **ret_oper, struct error *err);

/* One column an expression. Takes the expressions (not the array), also on failure. */
int oper_project_new(struct oper *input, struct expr *const *exprs, uint32_t n_exprs, struct schema *schema, const char *timezone,
                     struct oper **ret_oper, struct error *err);

/* The columns columns[0..n) of the input. */
int oper_pick_new(struct oper *input, const uint32_t *columns, uint32_t n, struct oper **ret_oper, struct error *err);

/* Adds hints to a scan that has not started; columns index the table's schema, values are referenced. */
int oper_scan_add_predicate(struct oper *scan, const struct scan_predicate *predicate, struct error *err);
void oper_scan_set_last_row(struct oper *scan, bool as_peer);

#endif
