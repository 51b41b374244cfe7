/* Functions from lists to lists (functions.md 1.8): each row's result is a list of indexes into the pool of its arguments' items. */
#include "exec/kernel_list.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct list_call {
    const struct expr *e;
    struct expr_context *ctx;
    const struct value *args;
    struct list_maker maker;
    struct column *pool;
    int64_t *bases;
    struct sort_keys keys; /* of the pool, where items are compared */
};

typedef int (*maker_row_fn)(struct list_call *c, int64_t row, bool *ret_null, struct error *err);

/* The arguments that make up the pool, and which of them are lists; the others are read by the functions themselves. */
struct shape {
    maker_row_fn row;
    uint32_t n_pool; /* 0 = all arguments */
    uint64_t lists;
    bool compares;
};

static int64_t element_of(const struct list_call *c, uint32_t arg, int64_t row)
{
    return c->bases[arg] + (c->args[arg].scalar ? 0 : row);
}

static int compare_items(const struct list_call *c, int64_t a, int64_t b)
{
    size_t a_size, b_size;
    const uint8_t *x = sort_keys_at(&c->keys, a, &a_size), *y = sort_keys_at(&c->keys, b, &b_size);
    return sort_key_compare(x, a_size, y, b_size);
}

/* ---- making and joining ---- */

static int make_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    (void)ret_null;
    for (uint32_t k = 0; k < c->e->n_args; k++)
        TRY(list_maker_item(&c->maker, element_of(c, k, row), err));
    return ST_OK;
}

/* A null list counts as an empty one. */
static int append_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    int64_t from, to;
    (void)ret_null;
    if (list_range(&c->args[0], row, &from, &to))
        TRY(list_maker_range(&c->maker, c->bases[0], from, to, err));
    return list_maker_item(&c->maker, element_of(c, 1, row), err);
}

static int prepend_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    int64_t from, to;
    (void)ret_null;
    TRY(list_maker_item(&c->maker, element_of(c, 0, row), err));
    return list_range(&c->args[1], row, &from, &to) ? list_maker_range(&c->maker, c->bases[1], from, to, err) : ST_OK;
}

static int concat_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    int64_t from, to;
    *ret_null = true;
    for (uint32_t k = 0; k < c->e->n_args; k++) {
        if (!list_range(&c->args[k], row, &from, &to))
            continue;
        *ret_null = false;
        TRY(list_maker_range(&c->maker, c->bases[k], from, to, err));
    }
    return ST_OK;
}

static int repeat_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    if ((*ret_null = value_is_null(&c->args[1], row)))
        return ST_OK;
    for (int64_t n = list_integer(&c->args[1], row); n > 0; n--)
        TRY(list_maker_item(&c->maker, element_of(c, 0, row), err));
    return ST_OK;
}

/* The pool is that of the inner lists. */
static int flatten_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    const struct value inner = {c->args[0].column->children[0], false};
    int64_t from, to, inner_from, inner_to;
    if ((*ret_null = !list_range(&c->args[0], row, &from, &to)))
        return ST_OK;
    for (int64_t i = from; i < to; i++)
        if (list_range(&inner, i, &inner_from, &inner_to))
            TRY(list_maker_range(&c->maker, 0, inner_from, inner_to, err));
    return ST_OK;
}

/* ---- parts of one list ---- */

enum { PART_POP_BACK, PART_POP_FRONT, PART_REVERSE };

static int part_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    int64_t from, to;
    if ((*ret_null = !list_range(&c->args[0], row, &from, &to)))
        return ST_OK;
    if (c->e->function->op == PART_REVERSE) {
        while (to > from)
            TRY(list_maker_item(&c->maker, --to, err));
        return ST_OK;
    }
    if (c->e->function->op == PART_POP_BACK)
        return list_maker_range(&c->maker, 0, from, to > from ? to - 1 : to, err);
    return list_maker_range(&c->maker, 0, to > from ? from + 1 : from, to, err);
}

/* From 1, inclusive; negative positions count from the end. */
static int slice_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    int64_t from, to;
    for (uint32_t k = 0; k < c->e->n_args; k++)
        if ((*ret_null = value_is_null(&c->args[k], row)))
            return ST_OK;
    list_range(&c->args[0], row, &from, &to);
    int64_t n = to - from, first = list_integer(&c->args[1], row), last = list_integer(&c->args[2], row);
    int64_t stride = c->e->n_args == 4 ? list_integer(&c->args[3], row) : 1;
    if (stride == 0)
        return error_set(err, ST_EXECUTE_QUERY, "array_slice got invalid stride: 0, it cannot be 0");
    first = first < 0 ? (first < -n ? 1 : first + n + 1) : first == 0 ? 1 : first;
    last = last < 0 ? (last < -n ? 0 : last + n + 1) : last > n ? n : last;
    if (first > n || (stride > 0 ? first > last : first < last))
        return ST_OK;
    for (int64_t i = first; stride > 0 ? i <= last : i >= (last < 1 ? 1 : last);) {
        TRY(list_maker_item(&c->maker, from + i - 1, err));
        if (__builtin_add_overflow(i, stride, &i))
            break;
    }
    return ST_OK;
}

static int resize_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    int64_t from, to, n = value_is_null(&c->args[1], row) ? 0 : list_integer(&c->args[1], row);
    if ((*ret_null = !list_range(&c->args[0], row, &from, &to)))
        return ST_OK;
    if (n < 0)
        return error_set(err, ST_EXECUTE_QUERY, "array_resize: the size %lld is negative", (long long)n);
    int64_t fill = c->e->n_args == 3 ? c->bases[2] + (c->args[2].scalar ? 0 : row) : UINT32_MAX, kept = n < to - from ? n : to - from;
    TRY(list_maker_range(&c->maker, 0, from, from + kept, err));
    for (int64_t i = kept; i < n; i++)
        TRY(list_maker_item(&c->maker, fill, err));
    return ST_OK;
}

/* ---- items that equal a value ---- */

enum { HOW_MANY_ONE, HOW_MANY_N, HOW_MANY_ALL };

/* A NULL among lists equals none, as in DataFusion. */
static bool matching(const struct list_call *c, int64_t item, int64_t value)
{
    return compare_items(c, item, value) == 0 && !(type_is_list(c->pool->type) && column_is_null(c->pool, item));
}

static int64_t how_many(const struct list_call *c, uint32_t count_arg, int64_t row)
{
    int op = c->e->function->op;
    return op == HOW_MANY_ONE ? 1 : op == HOW_MANY_ALL ? INT64_MAX : list_integer(&c->args[count_arg], row);
}

static int remove_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    int64_t from, to, value = element_of(c, 1, row);
    bool counted = c->e->function->op == HOW_MANY_N;
    if ((*ret_null = !list_range(&c->args[0], row, &from, &to) || (counted && value_is_null(&c->args[2], row))))
        return ST_OK;
    int64_t left = how_many(c, 2, row);
    for (int64_t i = from; i < to; i++) {
        if (left != 0 && matching(c, i, value))
            left--;
        else
            TRY(list_maker_item(&c->maker, i, err));
    }
    return ST_OK;
}

static int replace_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    int64_t from, to, old = element_of(c, 1, row), new = element_of(c, 2, row);
    bool counted = c->e->function->op == HOW_MANY_N;
    if ((*ret_null = !list_range(&c->args[0], row, &from, &to) || (counted && value_is_null(&c->args[3], row))))
        return ST_OK;
    int64_t left = how_many(c, 3, row);
    for (int64_t i = from; i < to; i++) {
        bool replaced = left > 0 && matching(c, i, old);
        left -= replaced;
        TRY(list_maker_item(&c->maker, replaced ? new : i, err));
    }
    return ST_OK;
}

/* ---- order and sets ---- */

static int by_item(const void *a, const void *b, void *call)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = compare_items(call, x, y);
    return order ? order : (x > y) - (x < y);
}

static int by_place(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void sort_items(struct list_call *c, size_t first)
{
    if (c->maker.n_items - first > 1)
        qsort_r(VEC(&c->maker.items, uint32_t) + first, c->maker.n_items - first, 4, by_item, c);
}

/* Leaves the first of neighbours that are equal, from item `first` of the maker on. */
static void drop_doubles(struct list_call *c, size_t first)
{
    uint32_t *items = VEC(&c->maker.items, uint32_t);
    size_t kept = first;
    for (size_t i = first; i < c->maker.n_items; i++)
        if (kept == first || compare_items(c, items[kept - 1], items[i]) != 0)
            items[kept++] = items[i];
    c->maker.n_items = kept;
}

static int sort_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    int64_t from, to;
    size_t first = c->maker.n_items;
    if ((*ret_null = !list_range(&c->args[0], row, &from, &to)))
        return ST_OK;
    for (uint32_t k = 1; k < c->e->n_args; k++)
        if ((*ret_null = value_is_null(&c->args[k], row)))
            return ST_OK;
    TRY(list_maker_range(&c->maker, 0, from, to, err));
    sort_items(c, first);
    return ST_OK;
}

/* Whether an item equals one of those that stand sorted in the maker between `first` and `end`. */
static bool is_among(const struct list_call *c, size_t first, size_t end, int64_t item)
{
    const uint32_t *items = VEC(&c->maker.items, const uint32_t);
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        int order = compare_items(c, items[middle], item);
        if (order == 0)
            return true;
        if (order < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return false;
}

enum { SET_DISTINCT, SET_UNION, SET_INTERSECT, SET_EXCEPT };

/* The maker's items from `first` on, once each, where they stood first. */
static void make_distinct(struct list_call *c, size_t first)
{
    sort_items(c, first);
    drop_doubles(c, first);
    if (c->maker.n_items - first > 1) /* in the pool they stand as they stood in the lists */
        qsort(VEC(&c->maker.items, uint32_t) + first, c->maker.n_items - first, 4, by_place);
}

/* Puts the distinct items of a list into the maker, sorted; returns how many there were before. */
static int put_set(struct list_call *c, uint32_t arg, int64_t from, int64_t to, size_t *ret_first, struct error *err)
{
    *ret_first = c->maker.n_items;
    TRY(list_maker_range(&c->maker, c->bases[arg], from, to, err));
    sort_items(c, *ret_first);
    drop_doubles(c, *ret_first);
    return ST_OK;
}

/* Items of one list that are (or are not) in another, in their order, once each. */
static int filter_row(struct list_call *c, const int64_t from[2], const int64_t to[2], uint32_t which, bool shared, struct error *err)
{
    size_t first, end, kept;
    TRY(put_set(c, 1 - which, from[1 - which], to[1 - which], &first, err));
    kept = end = c->maker.n_items;
    TRY(list_maker_range(&c->maker, c->bases[which], from[which], to[which], err));
    make_distinct(c, end);
    uint32_t *items = VEC(&c->maker.items, uint32_t);
    for (size_t i = end; i < c->maker.n_items; i++)
        if (is_among(c, first, end, items[i]) == shared)
            items[kept++] = items[i];
    c->maker.n_items = kept;
    if (end != first)
        memmove(items + first, items + end, (kept - end) * 4);
    c->maker.n_items -= end - first;
    return ST_OK;
}

static int set_row(struct list_call *c, int64_t row, bool *ret_null, struct error *err)
{
    int64_t from[2] = {0, 0}, to[2] = {0, 0};
    size_t first = c->maker.n_items;
    int op = c->e->function->op;
    for (uint32_t k = 0; k < c->e->n_args; k++)
        if ((*ret_null = !list_range(&c->args[k], row, &from[k], &to[k])))
            return ST_OK;
    if (op == SET_INTERSECT || op == SET_EXCEPT) /* an intersection has the order of the longer list */
        return filter_row(c, from, to, op == SET_INTERSECT && to[0] - from[0] < to[1] - from[1], op == SET_INTERSECT, err);
    for (uint32_t k = 0; k < c->e->n_args; k++)
        TRY(list_maker_range(&c->maker, c->bases[k], from[k], to[k], err));
    make_distinct(c, first);
    return ST_OK;
}

/* ---- the loop ---- */

enum {
    SHAPE_MAKE,
    SHAPE_APPEND,
    SHAPE_PREPEND,
    SHAPE_CONCAT,
    SHAPE_REPEAT,
    SHAPE_FLATTEN,
    SHAPE_PART,
    SHAPE_SLICE,
    SHAPE_RESIZE,
    SHAPE_REMOVE,
    SHAPE_REPLACE,
    SHAPE_SORT,
    SHAPE_SET
};

static const struct shape shapes[] = {
    [SHAPE_MAKE] = {make_row, 0, 0, false},         [SHAPE_APPEND] = {append_row, 2, 1, false},  [SHAPE_PREPEND] = {prepend_row, 2, 2, false},
    [SHAPE_CONCAT] = {concat_row, 0, ~0ull, false}, [SHAPE_REPEAT] = {repeat_row, 1, 0, false},  [SHAPE_FLATTEN] = {flatten_row, 1, 1, false},
    [SHAPE_PART] = {part_row, 1, 1, false},         [SHAPE_SLICE] = {slice_row, 1, 1, false},    [SHAPE_RESIZE] = {resize_row, 1, 1, false},
    [SHAPE_REMOVE] = {remove_row, 2, 1, true},      [SHAPE_REPLACE] = {replace_row, 3, 1, true}, [SHAPE_SORT] = {sort_row, 1, 1, true},
    [SHAPE_SET] = {set_row, 0, ~0ull, true},
};

static int sort_order(const struct list_call *c, int64_t rows, struct sort_spec *ret, struct error *err)
{
    *ret = (struct sort_spec){false, true};
    for (uint32_t k = 1; k < c->e->n_args && rows; k++) {
        int32_t n;
        if (value_is_null(&c->args[k], 0))
            continue;
        const char *p = (const char *)value_bytes(&c->args[k], 0, &n), *yes = k == 1 ? "DESC" : "NULLS FIRST", *no = k == 1 ? "ASC" : "NULLS LAST";
        bool is_yes = (size_t)n == strlen(yes) && strncasecmp(p, yes, (size_t)n) == 0;
        if (!is_yes && !((size_t)n == strlen(no) && strncasecmp(p, no, (size_t)n) == 0))
            return error_set(err, ST_EXECUTE_QUERY, "array_sort expects %s or %s, not '%.*s'", yes, no, n > 50 ? 50 : n, p);
        if (k == 1)
            ret->descending = is_yes;
        else
            ret->nulls_first = is_yes;
    }
    return ST_OK;
}

static int prepare(struct list_call *c, const struct shape *shape, int64_t rows, struct error *err)
{
    uint32_t n = c->e->n_args, n_pool = shape->n_pool && shape->n_pool < n ? shape->n_pool : n;
    struct sort_spec spec = {false, true};
    if (shape == &shapes[SHAPE_FLATTEN]) {
        c->pool = column_ref(c->args[0].column->children[0]->children[0]);
        return ST_OK;
    }
    if (shape == &shapes[SHAPE_RESIZE] && n == 3) { /* the filler is the third argument */
        const struct value pair[2] = {c->args[0], c->args[2]};
        TRY(list_pool(c->ctx, pair, 2, 1, &c->pool, c->bases, err));
        c->bases[2] = c->bases[1];
        return ST_OK;
    }
    if (n_pool)
        TRY(list_pool(c->ctx, c->args, n_pool, shape->lists, &c->pool, c->bases, err));
    else
        TRY(column_new_nulls(c->ctx->budget, type_of(TYPE_NULL), 0, &c->pool, err));
    if (!shape->compares)
        return ST_OK;
    if (shape == &shapes[SHAPE_SORT])
        TRY(sort_order(c, rows, &spec, err));
    return sort_keys_encode(&c->keys, c->ctx->budget, &c->pool, &spec, 1, c->pool->length, err);
}

static int kernel_list(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, const struct shape *shape,
                       struct column **ret, struct error *err)
{
    struct list_call c = {.e = e, .ctx = ctx, .args = args, .bases = calloc(e->n_args + 3, sizeof *c.bases)};
    int st = c.bases ? list_maker_init(&c.maker, ctx->budget, rows, err) : error_no_memory(err, (e->n_args + 3) * sizeof *c.bases);
    if (st == ST_OK)
        st = prepare(&c, shape, rows, err);
    for (int64_t row = 0; row < rows && st == ST_OK; row++) {
        bool null = false;
        st = shape->row(&c, row, &null, err);
        if (st == ST_OK)
            st = list_maker_end(&c.maker, row, null, err);
    }
    if (st == ST_OK)
        st = list_maker_finish(&c.maker, e->type, c.pool, ret, err);
    list_maker_release(&c.maker);
    sort_keys_release(&c.keys, ctx->budget);
    column_unref(c.pool);
    free(c.bases);
    return st;
}

/* ---- binding ---- */

static int set_list_type(struct expr *e, struct dtype *item, struct error *err)
{
    e->type = list_type_of(item);
    return e->type ? ST_OK : error_no_memory(err, 64);
}

/* A list of the first argument's items: its own type, unless that has a fixed size. */
static int set_same_list(struct expr *e, uint32_t arg, struct error *err)
{
    struct dtype *t = e->args[arg]->type;
    if (t->id != TYPE_FIXED_LIST) {
        e->type = type_ref(t);
        return ST_OK;
    }
    return set_list_type(e, list_item_type(t), err);
}

static int comparable(const struct expr *e, struct error *err)
{
    return sort_key_supported(list_item_type(e->args[0]->type)) ? ST_OK : expr_type_error(e, err);
}

static int bind_make(struct expr *e, struct error *err)
{
    for (uint32_t k = 1; k < e->n_args; k++) /* all of the type of the widest so far */
        TRY(expr_bind_common(e, 0, k, false, err));
    for (uint32_t k = 1; k + 1 < e->n_args; k++)
        TRY(expr_bind_cast(e, k, e->args[0]->type, err));
    e->nullable = false;
    return set_list_type(e, e->n_args ? e->args[0]->type : type_of(TYPE_NULL), err);
}

static int bind_append(struct expr *e, struct error *err)
{
    uint32_t list = e->function->op;
    TRY(list_bind_pair(e, list, 1 - list, false, err));
    e->nullable = false;
    return set_same_list(e, list, err);
}

static unsigned list_depth(const struct dtype *t)
{
    unsigned depth = 0;
    for (; type_is_list(t); t = list_item_type(t))
        depth++;
    return depth;
}

/* Lists of different depth: the shallower ones become one item of the deeper. */
static int bind_concat(struct expr *e, struct error *err)
{
    uint32_t deepest = 0;
    bool nullable = true;
    for (uint32_t k = 0; k < e->n_args; k++) {
        TRY(list_bind_list(e, k, err));
        nullable = nullable && e->args[k]->nullable;
        if (list_depth(e->args[k]->type) > list_depth(e->args[deepest]->type) || list_item_type(e->args[deepest]->type)->id == TYPE_NULL)
            deepest = k;
    }
    struct dtype *item = list_item_type(e->args[deepest]->type);
    TRY(set_list_type(e, item, err));
    for (uint32_t k = 0; k < e->n_args; k++)
        TRY(expr_bind_cast(e, k, e->type, err));
    e->nullable = nullable;
    return ST_OK;
}

static int bind_repeat(struct expr *e, struct error *err)
{
    TRY(list_bind_integer(e, 1, err));
    return set_list_type(e, e->args[0]->type, err);
}

static int bind_flatten(struct expr *e, struct error *err)
{
    TRY(list_bind_list(e, 0, err));
    return set_same_list(e, 0, err);
}

static int bind_part(struct expr *e, struct error *err)
{
    TRY(list_bind_list(e, 0, err));
    for (uint32_t k = 1; k < e->n_args; k++)
        TRY(list_bind_integer(e, k, err));
    return set_same_list(e, 0, err);
}

static int bind_resize(struct expr *e, struct error *err)
{
    TRY(list_bind_list(e, 0, err));
    TRY(list_bind_integer(e, 1, err));
    if (e->n_args == 3)
        TRY(list_bind_pair(e, 0, 2, false, err));
    return set_same_list(e, 0, err);
}

static int bind_remove(struct expr *e, struct error *err)
{
    TRY(list_bind_pair(e, 0, 1, false, err));
    if (e->n_args == 3)
        TRY(list_bind_integer(e, 2, err));
    TRY(comparable(e, err));
    return set_same_list(e, 0, err);
}

static int bind_replace(struct expr *e, struct error *err)
{
    TRY(list_bind_pair(e, 0, 1, false, err));
    TRY(list_bind_pair(e, 0, 2, false, err));
    if (e->n_args == 4)
        TRY(list_bind_integer(e, 3, err));
    TRY(comparable(e, err));
    return set_same_list(e, 0, err);
}

static int bind_sort(struct expr *e, struct error *err)
{
    TRY(list_bind_list(e, 0, err));
    for (uint32_t k = 1; k < e->n_args; k++) {
        if (e->args[k]->type->id != TYPE_NULL && !type_is_string(e->args[k]->type))
            return expr_type_error(e, err);
        TRY(expr_bind_cast(e, k, type_of(TYPE_UTF8), err));
    }
    TRY(comparable(e, err));
    return set_same_list(e, 0, err);
}

static int bind_set(struct expr *e, struct error *err)
{
    TRY(list_bind_list(e, 0, err));
    if (e->n_args == 2)
        TRY(list_bind_pair(e, 0, 1, true, err));
    TRY(comparable(e, err));
    return set_same_list(e, 0, err);
}

#define KERNEL(name, shape)                                                                                                                          \
    static int kernel_##name(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,            \
                             struct error *err)                                                                                                      \
    {                                                                                                                                                \
        return kernel_list(e, ctx, args, rows, &shapes[shape], ret, err);                                                                            \
    }
KERNEL(make, SHAPE_MAKE)
KERNEL(append, SHAPE_APPEND)
KERNEL(prepend, SHAPE_PREPEND)
KERNEL(concat, SHAPE_CONCAT)
KERNEL(repeat, SHAPE_REPEAT)
KERNEL(part, SHAPE_PART)
KERNEL(slice, SHAPE_SLICE)
KERNEL(resize, SHAPE_RESIZE)
KERNEL(remove, SHAPE_REMOVE)
KERNEL(replace, SHAPE_REPLACE)
KERNEL(sort, SHAPE_SORT)
KERNEL(set, SHAPE_SET)

/* One level; a list without inner lists stays as it is. */
static int kernel_flatten(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                          struct error *err)
{
    if (type_is_list(list_item_type(args[0].column->type)))
        return kernel_list(e, ctx, args, rows, &shapes[SHAPE_FLATTEN], ret, err);
    *ret = column_ref(args[0].column);
    return ST_OK;
}

static int bind_flatten_once(struct expr *e, struct error *err)
{
    TRY(bind_flatten(e, err));
    struct dtype *item = list_item_type(e->type);
    if (!type_is_list(item))
        return ST_OK;
    item = type_ref(list_item_type(item));
    type_unref(e->type);
    e->type = NULL;
    int st = set_list_type(e, item, err);
    type_unref(item);
    return st;
}

/* The name and, where it has one, its twin that starts with list_. */
#define BOTH(name, min, max, bind, kernel, op)                                                                                                       \
    {"array_" name, min, max, bind, kernel, op},                                                                                                     \
    {                                                                                                                                                \
        "list_" name, min, max, bind, kernel, op                                                                                                     \
    }

const struct function functions_list[] = {
    {"make_array", 0, UINT32_MAX, bind_make, kernel_make},
    {"make_list", 0, UINT32_MAX, bind_make, kernel_make},
    BOTH("append", 2, 2, bind_append, kernel_append, 0),
    BOTH("push_back", 2, 2, bind_append, kernel_append, 0),
    BOTH("prepend", 2, 2, bind_append, kernel_prepend, 1),
    BOTH("push_front", 2, 2, bind_append, kernel_prepend, 1),
    BOTH("concat", 1, 64, bind_concat, kernel_concat, 0),
    BOTH("cat", 1, 64, bind_concat, kernel_concat, 0),
    BOTH("repeat", 2, 2, bind_repeat, kernel_repeat, 0),
    {"flatten", 1, 1, bind_flatten_once, kernel_flatten},
    BOTH("pop_back", 1, 1, bind_part, kernel_part, PART_POP_BACK),
    BOTH("pop_front", 1, 1, bind_part, kernel_part, PART_POP_FRONT),
    BOTH("reverse", 1, 1, bind_part, kernel_part, PART_REVERSE),
    BOTH("slice", 3, 4, bind_part, kernel_slice, 0),
    BOTH("resize", 2, 3, bind_resize, kernel_resize, 0),
    BOTH("remove", 2, 2, bind_remove, kernel_remove, HOW_MANY_ONE),
    BOTH("remove_n", 3, 3, bind_remove, kernel_remove, HOW_MANY_N),
    BOTH("remove_all", 2, 2, bind_remove, kernel_remove, HOW_MANY_ALL),
    BOTH("replace", 3, 3, bind_replace, kernel_replace, HOW_MANY_ONE),
    BOTH("replace_n", 4, 4, bind_replace, kernel_replace, HOW_MANY_N),
    BOTH("replace_all", 3, 3, bind_replace, kernel_replace, HOW_MANY_ALL),
    BOTH("sort", 1, 3, bind_sort, kernel_sort, 0),
    BOTH("distinct", 1, 1, bind_set, kernel_set, SET_DISTINCT),
    BOTH("union", 2, 2, bind_set, kernel_set, SET_UNION),
    BOTH("intersect", 2, 2, bind_set, kernel_set, SET_INTERSECT),
    BOTH("except", 2, 2, bind_set, kernel_set, SET_EXCEPT),
    {0},
};
