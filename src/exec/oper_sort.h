/* The sort operator, and the same on a part of its input; private to exec/oper_sort*.c. */
#ifndef EXEC_OPER_SORT_H
#define EXEC_OPER_SORT_H

#include "exec/sort_rows.h"

struct sort_oper {
    struct oper base;
    struct oper_sort_key *keys;
    uint32_t n_keys;
    int64_t limit;
    struct batch **batches;
    uint32_t n_batches, batches_capacity;
    struct sorted_rows ordered; /* what is known of the order of the first n_ordered batches */
    uint32_t n_ordered;
    int64_t n_rows;
    size_t bytes;           /* of the batches, as values */
    size_t kept_bytes;      /* with a limit: of those that the last cut left */
    size_t charged;         /* for batches that are not charged to the query by themselves */
    struct byte_slot bound; /* key of the k-th best row */
    bool has_bound, sorted;
    struct batch *all; /* everything, after sorting */
    struct vec order;  /* uint32 rows of `all` */
    int64_t n_order, at;
    struct sort_runs *runs; /* NULL while everything fits into memory */
    uint64_t spills, spilled_bytes, spilled_rows;
    bool presorted; /* nothing of the above is needed but the limit */
    int64_t passed;
    struct sort_bound *best; /* the whole's, NULL without parts or limit */

    /* One that works on a part: */
    bool is_part;           /* keys and best are the whole's */
    bool direct;            /* it hands its rows on */
    uint64_t known;         /* which bound of all parts it has: */
    struct byte_slot other; /* rows behind it are dropped */
    bool has_other;
};

extern const struct oper_ops sort_ops;

/* Takes the batch. */
int sort_add_batch(struct sort_oper *o, struct batch *b, struct error *err);
/* Orders the batches that are not yet ordered among themselves. */
int sort_order_batches(struct sort_oper *o, struct error *err);
void sort_drop_batches(struct sort_oper *o);
int sort_join_batches(struct sort_oper *o, struct batch **ret_batch, struct error *err);
/* A limit: drops the rows that cannot be among the best; replaces *b, by NULL where none is left. */
int sort_cut_by_bound(struct sort_oper *o, struct batch **b, struct error *err);
/* Keeps the best rows only, where there are many more. */
int sort_cut_to_limit(struct sort_oper *o, struct error *err);
bool sort_has_too_many(const struct sort_oper *o);
bool sort_memory_is_short(const struct sort_oper *o);
int sort_spill_run(struct sort_oper *o, struct error *err);

/* oper_sort_parts.c */

/* Where the input is an exchange: its parts shall sort, or keep their best rows. */
int sort_use_parts(struct sort_oper *o, struct error *err);
/* Before the input is freed. */
void sort_stop_parts(struct sort_oper *o);
/* The k-th best key that this part or whole has found, for the others. */
void sort_publish_bound(struct sort_oper *o);
/* Looks for a better one. */
int sort_learn_bound(struct sort_oper *o, struct error *err);

#endif
