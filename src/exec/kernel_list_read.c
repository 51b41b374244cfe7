/* Functions that read lists: their size, their items, what is in them (functions.md 1.8). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "exec/cast_text.h"
#include "exec/kernel_list.h"
#include "exec/kernel_typed.h"
#include "base/unicode.h"

/* ---- sizes ---- */

static unsigned depth_of(const struct dtype *t)
{
    unsigned depth = 0;
    for (; type_is_list(t); t = list_item_type(t))
        depth++;
    return depth;
}

/* The length in dimension `dimension`, following the first item of each level; false where there is none. */
static bool length_at(const struct column *list, int64_t i, int64_t dimension, uint64_t *ret_length)
{
    for (;; dimension--) {
        const struct value v = {(struct column *)list, false};
        int64_t from, to;
        if (dimension < 1 || !list_range(&v, i, &from, &to))
            return false;
        if (dimension == 1) {
            *ret_length = (uint64_t)(to - from);
            return true;
        }
        if (!type_is_list(list_item_type(list->type)) || from == to)
            return false;
        list = list->children[0];
        i = from;
    }
}

/* The product of the lengths, following the first item of each level; 0 for an empty list, the number of entries of a map. */
static int cardinality_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const struct column *list = c->args[0].column;
    int64_t i = c->args[0].scalar ? 0 : row;
    uint64_t n = 1, length = 0, depth = list->type->id == TYPE_MAP ? 1 : depth_of(list->type);
    (void)err;
    for (uint64_t dimension = 1; dimension <= depth; dimension++, n *= length)
        if (!length_at(list, i, (int64_t)dimension, &length))
            length = 0;
    *ret_null = column_is_null(list, i);
    memcpy(ret_value, &n, 8);
    return ST_OK;
}

static int length_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    uint64_t n = 0;
    (void)err;
    *ret_null = !length_at(c->args[0].column, c->args[0].scalar ? 0 : row, c->e->n_args == 2 ? list_integer(&c->args[1], row) : 1, &n);
    memcpy(ret_value, &n, 8);
    return ST_OK;
}

static int ndims_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    (void)row;
    (void)ret_null;
    (void)err;
    memcpy(ret_value, &(uint64_t){depth_of(c->args[0].column->type)}, 8);
    return ST_OK;
}

static int empty_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    int64_t from = 0, to = 0;
    (void)ret_null;
    (void)err;
    list_range(&c->args[0], row, &from, &to);
    *(uint8_t *)ret_value = from == to;
    return ST_OK;
}

static int bind_read(struct expr *e, enum type_id type, struct error *err)
{
    if (e->args[0]->type->id != TYPE_MAP)
        TRY(list_bind_list(e, 0, err));
    for (uint32_t k = 1; k < e->n_args; k++)
        TRY(list_bind_integer(e, k, err));
    e->type = type_of(type);
    e->nullable = true;
    return ST_OK;
}

static int bind_count(struct expr *e, struct error *err)
{
    return bind_read(e, TYPE_UINT64, err);
}

static int bind_empty(struct expr *e, struct error *err)
{
    return bind_read(e, TYPE_BOOL, err);
}

/* ---- numbers as lists ---- */

static int bind_dims(struct expr *e, struct error *err)
{
    TRY(list_bind_list(e, 0, err));
    e->nullable = true;
    e->type = list_type_of(type_of(TYPE_UINT64));
    return e->type ? ST_OK : error_no_memory(err, 64);
}

static int kernel_dims(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct list_maker m;
    const struct column *list = args[0].column;
    int st = list_maker_init(&m, ctx->budget, rows, err);
    for (int64_t row = 0; row < rows && st == ST_OK; row++) {
        int64_t i = args[0].scalar ? 0 : row, dimension = 1;
        uint64_t n = 0;
        for (; st == ST_OK && length_at(list, i, dimension, &n) && n; dimension++)
            st = list_maker_item(&m, (int64_t)n, err);
        if (st == ST_OK)
            st = list_maker_end(&m, row, dimension == 1, err);
    }
    if (st == ST_OK)
        st = list_maker_finish(&m, e->type, NULL, ret, err);
    list_maker_release(&m);
    return st;
}

/* ---- looking for items ---- */

struct search {
    struct column *pool;
    int64_t bases[2];
    struct sort_keys keys;
};

static bool same_item(const struct search *s, int64_t a, int64_t b)
{
    size_t a_size, b_size;
    const uint8_t *x = sort_keys_at(&s->keys, a, &a_size), *y = sort_keys_at(&s->keys, b, &b_size);
    return sort_key_compare(x, a_size, y, b_size) == 0;
}

static int search_init(struct search *s, struct expr_context *ctx, const struct value *args, uint64_t lists, struct error *err)
{
    const struct sort_spec spec = {false, true};
    memset(s, 0, sizeof *s);
    TRY(list_pool(ctx, args, 2, lists, &s->pool, s->bases, err));
    return sort_keys_encode(&s->keys, ctx->budget, &s->pool, &spec, 1, s->pool->length, err);
}

static void search_release(struct search *s, struct expr_context *ctx)
{
    sort_keys_release(&s->keys, ctx->budget);
    column_unref(s->pool);
}

/* Where in a list the value stands, from `from` on; -1 = nowhere. A NULL among lists equals none, as in DataFusion. */
static int64_t find_item(const struct search *s, int64_t from, int64_t to, int64_t value)
{
    bool lists = type_is_list(s->pool->type);
    for (; from < to; from++)
        if (same_item(s, from, value) && !(lists && column_is_null(s->pool, from)))
            return from;
    return -1;
}

static int position_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const struct search *s = c->state;
    int64_t from, to, start = 1;
    if ((*ret_null = !list_range(&c->args[0], row, &from, &to)))
        return ST_OK;
    if (c->e->n_args == 3) {
        if ((*ret_null = value_is_null(&c->args[2], row)))
            return ST_OK;
        start = list_integer(&c->args[2], row);
        if (start < 1 || start > to - from + 1)
            return error_set(err, ST_EXECUTE_QUERY, "array_position: the start %lld lies outside the list", (long long)start);
    }
    int64_t at = find_item(s, from + start - 1, to, s->bases[1] + (c->args[1].scalar ? 0 : row));
    *ret_null = at < 0;
    memcpy(ret_value, &(uint64_t){(uint64_t)(at - from + 1)}, 8);
    return ST_OK;
}

static int has_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const struct search *s = c->state;
    int64_t from, to;
    (void)ret_null; /* strict: neither the list nor the value is null */
    (void)err;
    list_range(&c->args[0], row, &from, &to);
    *(uint8_t *)ret_value = find_item(s, from, to, s->bases[1] + (c->args[1].scalar ? 0 : row)) >= 0;
    return ST_OK;
}

enum { HAS_ALL, HAS_ANY, HAS_ALL_SWAPPED };

static int has_many_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const struct search *s = c->state;
    bool swapped = c->e->function->op == HAS_ALL_SWAPPED, all = c->e->function->op != HAS_ANY, result;
    int in = swapped ? 1 : 0, of = swapped ? 0 : 1;
    int64_t from = 0, to = 0, their_from = 0, their_to = 0;
    (void)err;
    bool have = list_range(&c->args[in], row, &from, &to), theirs = list_range(&c->args[of], row, &their_from, &their_to);
    *ret_null = !have || !theirs;
    if (all && c->args[of].column->children[0]->length == 0) /* the peer looks at the whole column: all of nothing, even where a list is NULL */
        *ret_null = false;
    result = all;
    for (int64_t i = their_from; i < their_to && result == all; i++)
        result = find_item(s, s->bases[in] + from, s->bases[in] + to, s->bases[of] + i) >= 0;
    *(uint8_t *)ret_value = result;
    return ST_OK;
}

static int kernel_search(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                         struct error *err)
{
    struct search s;
    bool lists = e->function->fixed_row == has_many_row;
    int st = search_init(&s, ctx, args, lists ? 3 : 1, err);
    if (st == ST_OK)
        st = kernel_fixed_run(&(struct call){e, ctx, args, &s}, rows, ret, err);
    search_release(&s, ctx);
    return st;
}

static int bind_search(struct expr *e, struct error *err)
{
    bool lists = e->function->fixed_row == has_many_row, position = e->function->fixed_row == position_row;
    TRY(list_bind_pair(e, 0, 1, lists, err));
    if (e->n_args == 3)
        TRY(list_bind_integer(e, 2, err));
    if (!sort_key_supported(list_item_type(e->args[0]->type)))
        return expr_type_error(e, err);
    e->type = type_of(position ? TYPE_UINT64 : TYPE_BOOL);
    e->nullable = e->nullable || position;
    return ST_OK;
}

static int bind_positions(struct expr *e, struct error *err)
{
    TRY(list_bind_pair(e, 0, 1, false, err));
    if (!sort_key_supported(list_item_type(e->args[0]->type)))
        return expr_type_error(e, err);
    e->nullable = true;
    e->type = list_type_of(type_of(TYPE_UINT64));
    return e->type ? ST_OK : error_no_memory(err, 64);
}

static int kernel_positions(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                            struct error *err)
{
    struct search s;
    struct list_maker m = {0};
    int st = search_init(&s, ctx, args, 1, err);
    if (st == ST_OK)
        st = list_maker_init(&m, ctx->budget, rows, err);
    for (int64_t row = 0; row < rows && st == ST_OK; row++) {
        int64_t from, to, value = s.bases[1] + (args[1].scalar ? 0 : row);
        bool null = !list_range(&args[0], row, &from, &to);
        for (int64_t at = null ? -1 : find_item(&s, from, to, value); at >= 0 && st == ST_OK; at = find_item(&s, at + 1, to, value))
            st = list_maker_item(&m, at - from + 1, err);
        if (st == ST_OK)
            st = list_maker_end(&m, row, null, err);
    }
    if (st == ST_OK)
        st = list_maker_finish(&m, e->type, NULL, ret, err);
    list_maker_release(&m);
    search_release(&s, ctx);
    return st;
}

/* ---- one item of a list ---- */

enum { PICK_ELEMENT, PICK_ANY, PICK_MAX, PICK_MIN };

/* The index of the row's item, UINT32_MAX for none. */
static uint32_t pick(const struct expr *e, const struct value *args, const struct sort_keys *keys, int64_t row)
{
    const struct column *items = args[0].column->children[0];
    int64_t from, to, best = UINT32_MAX, n;
    if (!list_range(&args[0], row, &from, &to))
        return UINT32_MAX;
    switch (e->function->op) {
    case PICK_ELEMENT:
        n = value_is_null(&args[1], row) ? 0 : list_integer(&args[1], row);
        n = n < 0 ? n + (to - from) : n - 1;
        return n >= 0 && n < to - from ? (uint32_t)(from + n) : UINT32_MAX;
    case PICK_ANY:
        while (from < to && column_is_null(items, from))
            from++;
        return from < to ? (uint32_t)from : UINT32_MAX;
    default:
        for (; from < to; from++) {
            size_t a_size, b_size;
            const uint8_t *a = sort_keys_at(keys, from, &a_size), *b = best == UINT32_MAX ? NULL : sort_keys_at(keys, best, &b_size);
            if (column_is_null(items, from))
                continue;
            int order = b ? sort_key_compare(a, a_size, b, b_size) : 0;
            if (!b || (e->function->op == PICK_MAX ? order > 0 : order < 0))
                best = from;
        }
        return (uint32_t)best;
    }
}

static int kernel_pick(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct column *items = args[0].column->children[0];
    const struct sort_spec spec = {false, !type_is_list(items->type)}; /* a NULL inside a list is more than a value */
    struct sort_keys keys = {0};
    struct buffer *indexes = NULL;
    int st = buffer_new_uninit(ctx->budget, (size_t)rows * 4, &indexes, err);
    if (st == ST_OK && e->function->op >= PICK_MAX)
        st = sort_keys_encode(&keys, ctx->budget, &items, &spec, 1, items->length, err);
    if (st == ST_OK) {
        for (int64_t row = 0; row < rows; row++)
            ((uint32_t *)(void *)indexes->data)[row] = pick(e, args, &keys, row);
        st = column_take(ctx->budget, items, (const uint32_t *)(const void *)indexes->data, rows, ret, err);
    }
    sort_keys_release(&keys, ctx->budget);
    buffer_unref(indexes);
    return st;
}

static int bind_pick(struct expr *e, struct error *err)
{
    TRY(list_bind_list(e, 0, err));
    if (e->n_args == 2)
        TRY(list_bind_integer(e, 1, err));
    e->type = type_ref(list_item_type(e->args[0]->type));
    e->nullable = true;
    return e->function->op < PICK_MAX || sort_key_supported(e->type) ? ST_OK : expr_type_error(e, err);
}

/* ---- distance ---- */

static int distance_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    int64_t from, to, their_from, their_to;
    const struct column *a = c->args[0].column->children[0], *b = c->args[1].column->children[0];
    double sum = 0;
    list_range(&c->args[0], row, &from, &to);
    list_range(&c->args[1], row, &their_from, &their_to);
    if (to - from != their_to - their_from)
        return error_set(err, ST_EXECUTE_QUERY, "Both arrays must have the same length");
    for (int64_t i = 0; i < to - from; i++) {
        if ((*ret_null = column_is_null(a, from + i) || column_is_null(b, their_from + i)))
            return ST_OK;
        double d = COLUMN_VALUES(a, double)[from + i] - COLUMN_VALUES(b, double)[their_from + i];
        sum += d * d;
    }
    *(double *)ret_value = sqrt(sum);
    return ST_OK;
}

static int bind_distance(struct expr *e, struct error *err)
{
    struct dtype *list = list_type_of(type_of(TYPE_FLOAT64));
    int st = list ? ST_OK : error_no_memory(err, 64);
    for (uint32_t k = 0; k < 2 && st == ST_OK; k++)
        st = expr_bind_cast(e, k, list, err);
    type_unref(list);
    e->type = type_of(TYPE_FLOAT64);
    e->nullable = true;
    return st;
}

/* ---- text ---- */

struct joining {
    const uint8_t *separator, *null_text;
    size_t separator_size, null_size;
    bool shows_null, started;
};

/* Floats without their .0, everything else as a cast to text shows it. */
static int put_value(const struct column *c, int64_t i, struct text_writer *w, struct error *err)
{
    char text[400];
    int32_t n;
    if (type_is_varlen(c->type)) {
        const uint8_t *p = column_bytes(c, i, &n);
        return text_writer_put(w, p, (size_t)n, err);
    }
    if (type_is_float(c->type) && c->type->id != TYPE_FLOAT16) {
        bool single = c->type->id == TYPE_FLOAT32;
        double v = single ? (double)COLUMN_VALUES(c, float)[i] : COLUMN_VALUES(c, double)[i];
        return text_writer_put(w, text, number_plain(v, single, text), err);
    }
    return text_writer_put(w, text, text_of_value(c, i, text, sizeof text), err);
}

static int join(const struct column *list, int64_t i, struct joining *j, struct text_writer *w, struct error *err)
{
    const struct value v = {(struct column *)list, false};
    const struct column *items = list->children[0];
    int64_t from, to;
    if (!list_range(&v, i, &from, &to))
        return ST_OK;
    for (; from < to; from++) {
        if (type_is_list(items->type)) {
            TRY(join(items, from, j, w, err));
            continue;
        }
        bool null = column_is_null(items, from);
        if (null && !j->shows_null)
            continue;
        if (j->started)
            TRY(text_writer_put(w, j->separator, j->separator_size, err));
        j->started = true;
        TRY(null ? text_writer_put(w, j->null_text, j->null_size, err) : put_value(items, from, w, err));
    }
    return ST_OK;
}

/* What stands for null, argument 2, if there is one. */
static void read_null_text(const struct call *c, int64_t row, struct joining *j)
{
    j->shows_null = c->e->n_args == 3 && !value_is_null(&c->args[2], row);
    if (j->shows_null)
        j->null_text = value_text(&c->args[2], row, &j->null_size);
}

static int to_string_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct joining j = {0};
    if ((*ret_null = value_is_null(&c->args[0], row) || value_is_null(&c->args[1], row)))
        return ST_OK;
    j.separator = value_text(&c->args[1], row, &j.separator_size);
    read_null_text(c, row, &j);
    return join(c->args[0].column, c->args[0].scalar ? 0 : row, &j, w, err);
}

static int bind_to_string(struct expr *e, struct error *err)
{
    TRY(list_bind_list(e, 0, err));
    const struct dtype *leaf = e->args[0]->type;
    while (type_is_list(leaf))
        leaf = list_item_type(leaf);
    if (type_is_nested(leaf))
        return expr_type_error(e, err);
    for (uint32_t k = 1; k < e->n_args; k++)
        if (!type_is_string(e->args[k]->type))
            TRY(expr_bind_cast(e, k, type_of(TYPE_UTF8), err));
    e->type = type_of(TYPE_UTF8);
    return ST_OK;
}

/* Appends the parts of one text to the items; parts that equal the null text are null. */
static int split(struct column_builder *items, const uint8_t *p, size_t n, const struct joining *j, bool by_char, struct error *err)
{
    for (bool more = true; more;) {
        const uint8_t *hit = by_char || j->separator_size == 0 ? NULL : memmem(p, n, j->separator, j->separator_size);
        size_t size = by_char ? unicode_skip(p, n, 1) : hit ? (size_t)(hit - p) : n, step = by_char ? size : size + (hit ? j->separator_size : 0);
        if (by_char && n == 0)
            return ST_OK;
        if (j->shows_null && size == j->null_size && (size == 0 || memcmp(p, j->null_text, size) == 0))
            TRY(column_builder_append_null(items, err));
        else
            TRY(column_builder_append_bytes(items, p, size, err));
        p += step;
        n -= step;
        more = by_char ? n > 0 : hit != NULL;
    }
    return ST_OK;
}

static int split_row(const struct call *c, int64_t row, struct column_builder *items, bool *ret_null, struct error *err)
{
    struct joining j = {0};
    size_t n;
    bool by_char = value_is_null(&c->args[1], row);
    if ((*ret_null = value_is_null(&c->args[0], row)))
        return ST_OK;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    if (!by_char)
        j.separator = value_text(&c->args[1], row, &j.separator_size);
    read_null_text(c, row, &j);
    return split(items, p, n, &j, by_char, err);
}

static int bind_split(struct expr *e, struct error *err)
{
    for (uint32_t k = 0; k < e->n_args; k++)
        if (!type_is_string(e->args[k]->type))
            TRY(expr_bind_cast(e, k, type_of(TYPE_UTF8), err));
    e->nullable = e->args[0]->nullable;
    e->type = list_type_of(e->args[0]->type);
    return e->type ? ST_OK : error_no_memory(err, 64);
}

#define FIXED(name, min, max, bind, kernel, strict, row, op)                                                                                         \
    {                                                                                                                                                \
        name, min, max, bind, kernel, op, strict, .fixed_row = row                                                                                   \
    }
#define BOTH(name, min, max, bind, kernel, strict, row, op)                                                                                          \
    FIXED("array_" name, min, max, bind, kernel, strict, row, op), FIXED("list_" name, min, max, bind, kernel, strict, row, op)

const struct function functions_list_read[] = {
    BOTH("length", 1, 2, bind_count, kernel_fixed_rows, true, length_row, 0),
    FIXED("cardinality", 1, 1, bind_count, kernel_fixed_rows, true, cardinality_row, 0),
    BOTH("ndims", 1, 1, bind_count, kernel_fixed_rows, true, ndims_row, 0),
    FIXED("empty", 1, 1, bind_empty, kernel_fixed_rows, true, empty_row, 0),
    BOTH("empty", 1, 1, bind_empty, kernel_fixed_rows, true, empty_row, 0),
    BOTH("dims", 1, 1, bind_dims, kernel_dims, false, NULL, 0),
    BOTH("position", 2, 3, bind_search, kernel_search, false, position_row, 0),
    BOTH("indexof", 2, 3, bind_search, kernel_search, false, position_row, 0),
    BOTH("positions", 2, 2, bind_positions, kernel_positions, false, NULL, 0),
    BOTH("has", 2, 2, bind_search, kernel_search, true, has_row, 0),
    BOTH("contains", 2, 2, bind_search, kernel_search, true, has_row, 0),
    BOTH("has_all", 2, 2, bind_search, kernel_search, false, has_many_row, HAS_ALL),
    BOTH("has_any", 2, 2, bind_search, kernel_search, false, has_many_row, HAS_ANY),
    FIXED("arrays_overlap", 2, 2, bind_search, kernel_search, false, has_many_row, HAS_ANY),
    FIXED("at_arrow", 2, 2, bind_search, kernel_search, false, has_many_row, HAS_ALL),
    FIXED("arrow_at", 2, 2, bind_search, kernel_search, false, has_many_row, HAS_ALL_SWAPPED),
    BOTH("element", 2, 2, bind_pick, kernel_pick, false, NULL, PICK_ELEMENT),
    BOTH("extract", 2, 2, bind_pick, kernel_pick, false, NULL, PICK_ELEMENT),
    BOTH("any_value", 1, 1, bind_pick, kernel_pick, false, NULL, PICK_ANY),
    BOTH("max", 1, 1, bind_pick, kernel_pick, false, NULL, PICK_MAX),
    BOTH("min", 1, 1, bind_pick, kernel_pick, false, NULL, PICK_MIN),
    BOTH("distance", 2, 2, bind_distance, kernel_fixed_rows, true, distance_row, 0),
    {"array_to_string", 2, 3, bind_to_string, kernel_text_rows, 0, false, .text_row = to_string_row},
    {"list_to_string", 2, 3, bind_to_string, kernel_text_rows, 0, false, .text_row = to_string_row},
    {"array_join", 2, 3, bind_to_string, kernel_text_rows, 0, false, .text_row = to_string_row},
    {"list_join", 2, 3, bind_to_string, kernel_text_rows, 0, false, .text_row = to_string_row},
    {"string_to_array", 2, 3, bind_split, kernel_list_rows, 0, false, .list_row = split_row},
    {"string_to_list", 2, 3, bind_split, kernel_list_rows, 0, false, .list_row = split_row},
    {0},
};
