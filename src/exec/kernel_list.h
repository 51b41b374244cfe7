/* What the list kernels share. Private to exec/kernel_list*.c and kernel_map.c.
 *
 * Lists are never copied item by item: the items that can occur in a result stand in one column, the pool, and a result is a list of indexes into it.
 */
#ifndef EXEC_KERNEL_LIST_H
#define EXEC_KERNEL_LIST_H

#include "exec/expr_internal.h"
#include "exec/sort_key.h"
#include "exec/vec.h"

bool type_is_list(const struct dtype *t); /* any of the three kinds */
/* List(item T nullable); one reference, NULL = no memory. */
struct dtype *list_type_of(struct dtype *item);
static inline struct dtype *list_item_type(const struct dtype *list)
{
    return list->children[0]->type;
}

/* The row's items in the list column's child; false for a null list. */
bool list_range(const struct value *v, int64_t row, int64_t *ret_from, int64_t *ret_to);

/* A list column in the making. */
struct list_maker {
    struct budget *budget;
    struct vec items; /* uint32_t: indexes into the pool; UINT32_MAX = a null item */
    size_t n_items;
    struct buffer *offsets, *validity; /* validity: made at the first null */
    int64_t rows, nulls;
};

int list_maker_init(struct list_maker *m, struct budget *budget, int64_t rows, struct error *err);
void list_maker_release(struct list_maker *m);
int list_maker_item(struct list_maker *m, int64_t index, struct error *err);
int list_maker_range(struct list_maker *m, int64_t base, int64_t from, int64_t to, struct error *err);
/* Closes the row's list. Rows are closed in order. */
int list_maker_end(struct list_maker *m, int64_t row, bool null, struct error *err);
/* The column of `type`, with items from the pool; with a NULL pool the indexes themselves are UInt64 items. */
int list_maker_finish(struct list_maker *m, struct dtype *type, struct column *pool, struct column **ret_column, struct error *err);

/* The pool of some arguments: the items of those that are lists, the values of the others; bases[k] = where argument k starts. */
int list_pool(struct expr_context *ctx, const struct value *args, uint32_t n, uint64_t as_lists, struct column **ret_pool, int64_t *ret_bases,
              struct error *err);

/* e->args[list] becomes a list and e->args[other] a value (or list, when `both_lists`) of one item type, which comes back borrowed. */
int list_bind_pair(struct expr *e, uint32_t list, uint32_t other, bool both_lists, struct error *err);
int list_bind_list(struct expr *e, uint32_t arg, struct error *err); /* a plan error unless it is a list; an untyped NULL becomes one */
/* The operator || with a list among its two sides: binds e as array_concat, array_append or array_prepend. */
int list_bind_joined(struct expr *e, struct error *err);
int list_bind_integer(struct expr *e, uint32_t arg, struct error *err);

static inline int64_t list_integer(const struct value *v, int64_t row)
{
    return COLUMN_VALUES(v->column, int64_t)[v->scalar ? 0 : row];
}

#endif
