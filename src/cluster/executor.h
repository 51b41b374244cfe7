/* Runs instructions: beside each other, but those for one region in the order in which they came. */
#ifndef CLUSTER_EXECUTOR_H
#define CLUSTER_EXECUTOR_H

#include "cluster/instruction.h"
#include "cluster/messages.h"
#include "cluster/records.h"

struct executor_options {
    struct region_server *regions; /* borrowed, like records */
    struct records *records;
    uint32_t gc_jobs_max;
    /* Gets the finished reply of an instruction; called on a thread of the executor. */
    void (*reply)(void *ctx, const struct mailbox_message *to, const char *json, size_t size);
    void *ctx;
};

struct executor;

int executor_new(const struct executor_options *options, struct executor **ret_executor, struct error *err);
/* Takes the instruction, and the texts of the message (left empty). Never waits. ST_EXHAUSTED when too many wait already. */
int executor_submit(struct executor *x, struct instruction *instruction, struct mailbox_message *message, struct error *err);
/* Instructions that wait or run; garbage collections that run. */
unsigned executor_pending(struct executor *x);
unsigned executor_running_gc(struct executor *x);
/* Waits for all that run; what waits is dropped. NULL is allowed. */
void executor_free(struct executor *x);

/* ---- work that goes on when its instruction has given up waiting ---- */

/* One run of a job for a region; a second instruction for the same finds it. */
struct run;
enum run_kind { RUN_FLUSH, RUN_CATCHUP };
/* Starts the job, or joins the one that runs (*ret_joined). One reference to the caller. */
int executor_run(struct executor *x, enum run_kind kind, const struct region_catchup_request *request, struct run **ret_run, bool *ret_joined,
                 struct error *err);
/* False when it is not done by `deadline_ns` (INT64_MAX = for ever); else *ret_rc and err are its outcome. */
bool run_wait(struct run *r, int64_t deadline_ns, int *ret_rc, struct error *err);
void run_unref(struct run *r);

/* handlers.c: does what the instruction says and fills in its outcome. */
void instruction_execute(struct executor *x, struct instruction *i);
const struct executor_options *executor_options(const struct executor *x);
bool executor_stopping(struct executor *x); /* whoever waits for something to get better stops waiting */
/* Runs body(ctx, k) for all k on the executor's helpers too. */
void executor_for(struct executor *x, size_t n, void (*body)(void *ctx, size_t k), void *ctx);
/* A permit for a garbage collection of the table of `region_id`; false with the reason when all are taken or that region's is. */
bool executor_begin_gc(struct executor *x, uint64_t region_id, struct error *err);
void executor_end_gc(struct executor *x, uint64_t region_id);

#endif
