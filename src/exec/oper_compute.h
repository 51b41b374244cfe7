/* The two operators that evaluate expressions, and what is known of a scan below them. */
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

bool oper_is_compute(const struct oper *o); /* one of these */
/* The same operator over another input, which is taken, also on failure. It borrows from `like`, which may be in use by another thread. */
int oper_compute_like(const struct oper *like, struct oper *input, struct oper **ret_oper, struct error *err);

/* Whether `o` is a scan of a table that can be cut into parts, and does not end early. */
bool oper_scan_can_cut(const struct oper *o);
/* Cuts a scan that has not started. Of one part: the scan goes on as ever. */
int oper_scan_cut(struct oper *scan, uint32_t *ret_n, struct error *err);
/* A part of a scan that has been cut, which it borrows from. */
int oper_scan_part_new(struct oper *scan, uint32_t part, struct oper **ret_oper, struct error *err);
/* What a part has counted becomes the scan's. */
void oper_scan_add_part(struct oper *scan, const struct oper *part);

/* Adds hints to a scan that has not started; columns index the table's schema, values are referenced. */
int oper_scan_add_predicate(struct oper *scan, const struct scan_predicate *predicate, struct error *err);
void oper_scan_set_last_row(struct oper *scan, bool as_peer);
void oper_scan_set_key_order(struct oper *scan);
/* Whether that costs nothing, as far as can be said beforehand. */
bool oper_scan_in_key_order(const struct oper *scan);

#endif
