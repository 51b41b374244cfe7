/* The aggregation operator, and the same on a part of its input; private to exec/oper_aggregate*.c. */
#ifndef EXEC_OPER_AGGREGATE_H
#define EXEC_OPER_AGGREGATE_H

#include "exec/agg_spill.h"
#include "exec/group.h"
#include "exec/oper.h"

enum { SPILL_GROUPS_MIN = 1024, SPILL_RESERVE_BYTES = 4 << 20 };

struct aggregate_oper {
    struct oper base;
    uint32_t *keys, n_keys;
    uint8_t *sets;
    uint32_t n_sets;
    struct oper_measure *measures;
    uint32_t n_measures;
    struct group_table *groups;
    struct vec ids, starts, selected, selected_ids, distinct_ids;
    bool consumed;
    uint32_t n_groups, at;
    bool frozen;             /* rows of new groups go to `spill` */
    struct agg_spill *spill; /* made when memory gets short for the first time */
    struct spill_file *part; /* the part that is read in place of the input; NULL = the input */
    uint32_t level;          /* how often what is read was divided */
    bool has_parts;          /* parts of the input aggregate into tables of their own */
    bool taking;             /* their tables are being taken, so that this one can be frozen */

    /* One that works on a part: */
    bool is_part; /* keys, sets and calls are the whole's */
    bool direct;  /* it hands its rows on */
    int64_t rows; /* aggregated */
};

/* Empty tables. */
int aggregate_open(struct aggregate_oper *o, struct error *err);
int aggregate_batch(struct aggregate_oper *o, struct batch *b, struct error *err);
void aggregate_close(struct aggregate_oper *o);

/* Whether the next batch might not find the memory it needs, and the table can be frozen. */
bool aggregate_memory_is_short(const struct aggregate_oper *o);
int aggregate_freeze(struct aggregate_oper *o, struct error *err);

/* oper_aggregate_parts.c */

/* Where the input is an exchange: its parts shall aggregate, if all measures can be put together from parts. */
void aggregate_use_parts(struct aggregate_oper *o);
/* Takes what the parts have aggregated so far; from now on they hand their rows on. */
int aggregate_take_parts(struct aggregate_oper *o, struct error *err);

extern const struct oper_ops aggregate_ops;

#endif
