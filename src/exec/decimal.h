/* Mathematical functions of decimals, for the tables of kernel_math.c. */
#ifndef EXEC_DECIMAL_H
#define EXEC_DECIMAL_H

#include "exec/kernel_typed.h"

/* 10^n; false unless 0 <= n <= 38. */
bool decimal_power10(int n, __int128 *ret);

int decimal_bind_whole(struct expr *e, struct error *err); /* ceil, floor */
int decimal_whole_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err);
int decimal_bind_round(struct expr *e, struct error *err);
int decimal_round_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err);
int decimal_power_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err);

#endif
