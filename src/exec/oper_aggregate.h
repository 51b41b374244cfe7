/* The aggregation operator, and the same on a part of its input; private to exec/oper_aggregate*.c. */
#ifndef EXEC_OPER_AGGREGATE_H
#define EXEC_OPER_AGGREGATE_H

#include "exec/agg_spill.h"
#include "exec/group.h"
#include "exec/oper.h"
#include "exec/runs.h"

enum { SPILL_GROUPS_MIN = 1024, SPILL_RESERVE_BYTES = 4 << 20 };

/* What goes into the tables next: rows, or the groups of a part. */
struct aggregate_intake {
    struct batch *rows;
    struct aggregate_oper *part; /* the exchange's */
    int64_t at, n;               /* of `n` rows or groups, those before `at` have gone */
};

struct aggregate_oper {
    struct oper base;
    uint32_t *keys, n_keys;
    uint8_t *sets;
    uint32_t n_sets;
    struct oper_measure *measures;
    uint32_t n_measures;
    struct group_table *groups;
    struct vec ids, starts, selected, selected_ids, distinct_ids;
    struct runs runs;
    struct vec heads;        /* uint32: groups of runs */
    uint32_t skip_runs;      /* batches in which runs are not looked for */
    bool started;            /* the input has been asked */
    bool consumed;           /* the groups that there are may be given out */
    uint32_t n_groups, at;
    bool frozen;             /* rows of new groups go to `spill` */
    struct agg_spill *spill; /* made when memory gets short for the first time */
    struct spill_file *part; /* the part that is read in place of the input; NULL = the input */
    uint32_t level;          /* how often what is read was divided */
    bool has_parts;          /* parts of the input aggregate into tables of their own */
    bool taking;             /* their tables are being taken, so that this one can be frozen */

    /* Where groups end as the input goes on (exec/oper_aggregate_order.c): */
    uint32_t *forward, n_forward; /* numbers of the keys whose values, once left, do not come back */
    struct aggregate_intake intake;
    struct row_edge edge;    /* those keys of the last row */
    int64_t since_cut;       /* rows taken in since the groups before were given out */
    bool cut;                /* the input goes on behind the groups that there are */

    /* One that works on a part: */
    bool is_part; /* keys, sets and calls are the whole's */
    bool direct;  /* it hands its rows on */
    int64_t rows; /* aggregated */
};

/* Empty tables. */
int aggregate_open(struct aggregate_oper *o, struct error *err);
int aggregate_batch(struct aggregate_oper *o, struct batch *b, struct error *err);
void aggregate_close(struct aggregate_oper *o);
/* Takes the rows selected[0..n) (NULL: all) of a measure's columns, of the groups ids[] (NULL: there is one) by row. */
int aggregate_update_selected(struct aggregate_oper *o, struct oper_measure *m, struct column *const *columns, const uint32_t *selected, int64_t n,
                              const uint32_t *ids, struct error *err);

/* Whether the next batch might not find the memory it needs. */
bool aggregate_room_is_short(const struct aggregate_oper *o);
/* And whether putting rows on disk would help. */
bool aggregate_memory_is_short(const struct aggregate_oper *o);
/* Whether groups come one behind another: there is no table then. */
static inline bool aggregate_is_ordered(const struct aggregate_oper *o)
{
    return o->n_keys && o->n_forward == o->n_keys;
}
/* Rows of further groups, or of further tuples of DISTINCT measures, go to disk from now on, where there are many of them. */
int aggregate_freeze(struct aggregate_oper *o, struct error *err);

/* oper_aggregate_distinct.c */

/* The empty table of a measure that has one. */
int aggregate_open_distinct(struct aggregate_oper *o, struct oper_measure *m, struct error *err);
void aggregate_close_distinct(struct oper_measure *m);
/* n rows of a DISTINCT measure, of the groups ids[] (NULL: there is one): those that bring something new update it, unless this is a part, which only keeps
 * what there is. columns: arguments, then sort keys; replaced, like ids, by those of the new rows. ids may be in o->selected_ids. */
int aggregate_distinct(struct aggregate_oper *o, struct oper_measure *m, struct column **columns, uint32_t *ids, int64_t n, struct error *err);
/* Whether its table is worth freezing. */
bool aggregate_has_many_tuples(const struct oper_measure *m);
/* Rows that are not in the table go to disk from now on; `level` as for agg_spill_start(). */
int aggregate_freeze_distinct(struct aggregate_oper *o, struct oper_measure *m, uint32_t level, struct error *err);
/* Takes them back: behind all rows of the groups that there are. */
int aggregate_finish_distinct(struct aggregate_oper *o, struct oper_measure *m, struct error *err);

/* oper_aggregate_order.c */

/* Takes in what comes next. Of input in order it stops where groups end once there are many: `cut` is set then, and the rest stays for later.
 * *ret_over: there was nothing more. */
int aggregate_take_in(struct aggregate_oper *o, bool *ret_over, struct error *err);

/* oper_aggregate_parts.c */

/* Where the input is an exchange: its parts shall aggregate, if all measures can be put together from parts. */
void aggregate_use_parts(struct aggregate_oper *o);
/* Takes what the parts have aggregated so far; from now on they hand their rows on. */
int aggregate_take_parts(struct aggregate_oper *o, struct error *err);
/* Puts the part's groups [first, first + n) into the whole's table. */
int aggregate_take_groups(struct aggregate_oper *o, struct aggregate_oper *part, uint32_t first, uint32_t n, struct error *err);

extern const struct oper_ops aggregate_ops;

#endif
