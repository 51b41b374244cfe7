/* The operator that lets other threads help a query's own: below it the rows of a table come in parts, each through filters and projections of its
 * own.
 *
 * Plans are bound as ever; oper_parallelise() then puts exchanges on them. An exchange is not shown in EXPLAIN: its chain of operators stands for
 * those of all parts, and what they have counted is added up there.
 */
#ifndef EXEC_OPER_EXCHANGE_H
#define EXEC_OPER_EXCHANGE_H

#include "exec/oper.h"
#include "os/thread.h"

/* Puts an exchange on every chain of scan, filters and projections of the tree *root whose rows are all needed. `workers` helps, NULL = nobody does;
 * the results are the same. On failure the tree is as usable as before. */
int oper_parallelise(struct oper **root, struct thread_pool *workers, struct error *err);

/* ---- for an operator above that does part of its work part by part, like an aggregation ---- */

struct exchange_stage {
    /* An operator on a part's chain, which is taken, also on failure; any thread. `direct`: it shall hand all its rows on. */
    int (*open)(struct oper *above, struct oper *chain, struct oper **ret_root, struct error *err);
    /* Takes the next batch of the chain, which is root->input; NULL: there is none any more. Keeps it, or hands on what there is to hand on of it:
     * *ret_batch is NULL before. Once it has handed on a batch it keeps nothing. One thread at a time. `direct`: from now on it shall keep nothing. */
    int (*take)(struct oper *root, bool direct, struct batch *batch, struct batch **ret_batch, struct error *err);
    /* Takes over what the part has kept: in the order of the parts, before the first batch of the part comes out; by the thread that pulls. Another
     * may be in take(), which by then keeps nothing any more. */
    int (*join)(struct oper *above, struct oper *root, struct error *err);
};

bool oper_is_exchange(const struct oper *o);
/* Before the first pull. */
void oper_exchange_set_stage(struct oper *exchange, const struct exchange_stage *stage, struct oper *above);
/* oper_next() for the operator above that also comes back, without a batch, after each join(): what the part has kept can be taken then, until the next call. */
int oper_exchange_next(struct oper *exchange, struct batch **ret_batch, bool *ret_joined, struct error *err);
/* Nobody is in any part of the stage any more; for when the operator above is freed, which is before its input. */
void oper_exchange_stop(struct oper *exchange);
/* Joins every part that has begun, in order, and lets no part keep anything from now on: when memory is short. By the thread that pulls. */
int oper_exchange_join_all(struct oper *exchange, struct error *err);

#endif
