/* Structs and maps (functions.md 1.1, 1.8). A field of a row is found by following indexes down the children; values move once, at the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/kernel_list.h"
#include "exec/kernel_typed.h"

/* The text of a literal argument; NULL when it is none. */
static const char *literal_name(const struct expr *e, uint32_t arg, size_t *ret_size)
{
    struct column *c = expr_literal(e->args[arg]);
    return c && type_is_string(c->type) && !column_is_null(c, 0) ? (const char *)value_text(&(struct value){c, true}, 0, ret_size) : NULL;
}

/* ---- making structs ---- */

enum { STRUCT_NAMED, STRUCT_ROW };

static int bind_struct(struct expr *e, struct error *err)
{
    bool named = e->function->op == STRUCT_NAMED;
    uint32_t step = named ? 2 : 1, n = e->n_args / step, made = 0;
    struct field **members = arena_array(e->arena, n + 1, sizeof *members, err);
    int st = members ? ST_OK : err ? (int)err->status : ST_NO_MEMORY;
    if (st == ST_OK && (e->n_args % step || n == 0))
        st = expr_type_error(e, err);
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        char name[256];
        size_t size = 0;
        const char *text = named ? literal_name(e, made * 2, &size) : NULL;
        if (named && (!text || size >= sizeof name)) {
            st = expr_type_error(e, err);
            break;
        }
        snprintf(name, sizeof name, named ? "%.*s" : "c%u", named ? (int)size : (int)made, text);
        if (!(members[made] = field_new(name, e->args[made * step + step - 1]->type, true)))
            st = error_no_memory(err, 64);
    }
    if (st == ST_OK && !(e->type = type_struct(members, n)))
        st = error_no_memory(err, 64);
    for (uint32_t i = 0; i < made; i++)
        field_unref(members[i]);
    e->nullable = false;
    return st;
}

/* The value for every row. */
static int broadcast(struct expr_context *ctx, const struct value *v, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *zeros;
    if (!v->scalar || rows == v->column->length) {
        *ret = column_ref(v->column);
        return ST_OK;
    }
    TRY(buffer_new(ctx->budget, (size_t)rows * 4, &zeros, err));
    int st = column_take(ctx->budget, v->column, (const uint32_t *)(const void *)zeros->data, rows, ret, err);
    buffer_unref(zeros);
    return st;
}

static int kernel_struct(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                         struct error *err)
{
    uint32_t step = e->function->op == STRUCT_NAMED ? 2 : 1, n = e->n_args / step, made = 0;
    struct column **members = calloc(n, sizeof *members);
    int st = members ? ST_OK : error_no_memory(err, n * sizeof *members);
    for (; st == ST_OK && made < n; made += st == ST_OK)
        st = broadcast(ctx, &args[made * step + step - 1], rows, &members[made], err);
    if (st == ST_OK) {
        st = column_new_nested(e->type, rows, 0, NULL, NULL, members, n, ret, err);
    } else {
        for (uint32_t i = 0; i < made; i++)
            column_unref(members[i]);
    }
    free(members);
    return st;
}

/* ---- fields ---- */

static int field_index(const struct dtype *t, const char *name, size_t n)
{
    for (uint32_t i = 0; t->id == TYPE_STRUCT && i < t->n_children; i++)
        if (strlen(t->children[i]->name) == n && memcmp(t->children[i]->name, name, n) == 0)
            return (int)i;
    return -1;
}

static struct dtype *map_value_type(const struct dtype *map)
{
    return map->children[0]->type->children[1]->type;
}

static int bind_get_field(struct expr *e, struct error *err)
{
    struct dtype *t = e->args[0]->type;
    for (uint32_t k = 1; k < e->n_args; k++) {
        size_t n = 0;
        const char *name = literal_name(e, k, &n);
        int at = name ? field_index(t, name, n) : -1;
        if (!name || (t->id != TYPE_MAP && at < 0))
            return name ? error_set(err, ST_PLAN_QUERY, "get_field: there is no field %.*s", n > 100 ? 100 : (int)n, name) : expr_type_error(e, err);
        if (t->id == TYPE_MAP && !type_is_string(t->children[0]->type->children[0]->type))
            return expr_type_error(e, err);
        t = t->id == TYPE_MAP ? map_value_type(t) : t->children[at]->type;
    }
    e->type = type_ref(t);
    e->nullable = true;
    return ST_OK;
}

/* The entry of a map's row that has the key, as a row of the keys' column; UINT32_MAX for none. */
static uint32_t find_key(const struct column *map, int64_t row, const uint8_t *key, size_t n)
{
    const struct column *entries = map->children[0], *keys = entries->children[0];
    const struct value v = {(struct column *)map, false};
    int64_t from, to;
    if (!list_range(&v, row, &from, &to))
        return UINT32_MAX;
    for (; from < to; from++) {
        int32_t size;
        const uint8_t *p = column_bytes(keys, entries->offset + from, &size);
        if ((size_t)size == n && memcmp(p, key, n) == 0)
            return (uint32_t)(entries->offset + from);
    }
    return UINT32_MAX;
}

static int kernel_get_field(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                            struct error *err)
{
    struct buffer *buffer;
    const struct column *c = args[0].column;
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows * 4, &buffer, err));
    uint32_t *at = (uint32_t *)(void *)buffer->data;
    for (int64_t i = 0; i < rows; i++)
        at[i] = args[0].scalar ? 0 : (uint32_t)i;
    for (uint32_t k = 1; k < e->n_args; k++) {
        size_t n = 0;
        const uint8_t *name = value_text(&args[k], 0, &n);
        bool map = c->type->id == TYPE_MAP;
        for (int64_t i = 0; i < rows; i++) {
            if (at[i] == UINT32_MAX || column_is_null(c, at[i]))
                at[i] = UINT32_MAX;
            else
                at[i] = map ? find_key(c, at[i], name, n) : (uint32_t)(c->offset + at[i]);
        }
        c = map ? c->children[0]->children[1] : c->children[field_index(c->type, (const char *)name, n)];
    }
    int st = column_take(ctx->budget, c, at, rows, ret, err);
    buffer_unref(buffer);
    return st;
}

/* ---- maps ---- */

static struct dtype *map_type(struct dtype *key, struct dtype *value)
{
    struct field *members[2] = {field_new("key", key, false), field_new("value", value, true)};
    struct dtype *entries = members[0] && members[1] ? type_struct(members, 2) : NULL, *map = NULL;
    struct field *f = entries ? field_new("entries", entries, false) : NULL;
    if (f)
        map = type_list(TYPE_MAP, f);
    field_unref(f);
    type_unref(entries);
    field_unref(members[0]);
    field_unref(members[1]);
    return map;
}

static int bind_map(struct expr *e, struct error *err)
{
    TRY(list_bind_list(e, 0, err));
    TRY(list_bind_list(e, 1, err));
    struct dtype *key = list_item_type(e->args[0]->type);
    if (!sort_key_supported(key))
        return expr_type_error(e, err);
    e->type = map_type(key, list_item_type(e->args[1]->type));
    return e->type ? ST_OK : error_no_memory(err, 64);
}

/* Keys must be there and differ. */
static int check_keys(const struct sort_keys *keys, const struct column *items, int64_t from, int64_t to, struct error *err)
{
    for (int64_t i = from; i < to; i++) {
        size_t n, m;
        const uint8_t *a = sort_keys_at(keys, i, &n);
        if (column_is_null(items, i))
            return error_set(err, ST_EXECUTE_QUERY, "map key cannot be null");
        for (int64_t k = from; k < i; k++) {
            const uint8_t *b = sort_keys_at(keys, k, &m);
            if (sort_key_compare(a, n, b, m) == 0)
                return error_set(err, ST_EXECUTE_QUERY, "map key must be unique, a key stands in it twice");
        }
    }
    return ST_OK;
}

static int map_rows(const struct value *args, int64_t rows, const struct sort_keys *keys, struct list_maker *makers, struct error *err)
{
    for (int64_t row = 0; row < rows; row++) {
        int64_t from = 0, to = 0, value_from = 0, value_to = 0;
        bool null = !list_range(&args[0], row, &from, &to) || !list_range(&args[1], row, &value_from, &value_to);
        if (!null) {
            if (to - from != value_to - value_from)
                return error_set(err, ST_EXECUTE_QUERY, "map requires key and value lists to have the same length");
            TRY(check_keys(keys, args[0].column->children[0], from, to, err));
            TRY(list_maker_range(&makers[0], 0, from, to, err));
            TRY(list_maker_range(&makers[1], 0, value_from, value_to, err));
        }
        TRY(list_maker_end(&makers[0], row, null, err));
        TRY(list_maker_end(&makers[1], row, null, err));
    }
    return ST_OK;
}

/* A map, or a list of structs: member k of the entries are the items of argument k that stand in maker k; all makers have the same rows. */
static int finish_entries(const struct expr *e, struct expr_context *ctx, const struct value *args, struct list_maker *makers, struct column **ret,
                          struct error *err)
{
    static const uint32_t none;
    uint32_t n = e->n_args, made = 0;
    int64_t length = (int64_t)makers->n_items;
    struct column *entries, **members = calloc(n, sizeof *members);
    int st = members ? ST_OK : error_no_memory(err, n * sizeof *members);
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        const uint32_t *items = length ? VEC(&makers[made].items, const uint32_t) : &none;
        st = column_take(ctx->budget, args[made].column->children[0], items, length, &members[made], err);
    }
    if (st == ST_OK) {
        st = column_new_nested(e->type->children[0]->type, length, 0, NULL, NULL, members, n, &entries, err);
    } else {
        for (uint32_t i = 0; i < made; i++)
            column_unref(members[i]);
    }
    free(members);
    TRY(st);
    st = column_new_nested(e->type, makers->rows, makers->nulls, makers->validity, makers->offsets, &entries, 1, ret, err);
    makers->offsets = makers->validity = NULL;
    return st;
}

static int kernel_map(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct list_maker makers[2] = {{0}, {0}};
    struct sort_keys keys = {0};
    const struct sort_spec spec = {false, true};
    struct column *key_items = args[0].column->children[0];
    int st = sort_keys_encode(&keys, ctx->budget, &key_items, &spec, 1, key_items->length, err);
    for (int k = 0; st == ST_OK && k < 2; k++)
        st = list_maker_init(&makers[k], ctx->budget, rows, err);
    if (st == ST_OK)
        st = map_rows(args, rows, &keys, makers, err);
    if (st == ST_OK)
        st = finish_entries(e, ctx, args, makers, ret, err);
    list_maker_release(&makers[0]);
    list_maker_release(&makers[1]);
    sort_keys_release(&keys, ctx->budget);
    return st;
}

/* ---- lists side by side ---- */

static int bind_zip(struct expr *e, struct error *err)
{
    struct dtype *entry = NULL;
    uint32_t made = 0;
    struct field **members = arena_array(e->arena, e->n_args, sizeof *members, err);
    int st = members ? ST_OK : err ? (int)err->status : ST_NO_MEMORY;
    for (; st == ST_OK && made < e->n_args; made += st == ST_OK) {
        char name[16];
        snprintf(name, sizeof name, "c%u", made);
        st = list_bind_list(e, made, err);
        if (st == ST_OK && !(members[made] = field_new(name, list_item_type(e->args[made]->type), true)))
            st = error_no_memory(err, 64);
    }
    if (st == ST_OK && (!(entry = type_struct(members, e->n_args)) || !(e->type = list_type_of(entry))))
        st = error_no_memory(err, 64);
    type_unref(entry);
    for (uint32_t i = 0; i < made; i++)
        field_unref(members[i]);
    e->nullable = true;
    return st;
}

/* A row is as long as its longest list; the others are filled up with NULL. NULL when all lists are. */
static int zip_row(const struct value *args, uint32_t n, int64_t row, struct list_maker *makers, struct error *err)
{
    int64_t from, to, longest = -1;
    for (uint32_t k = 0; k < n; k++)
        if (list_range(&args[k], row, &from, &to) && to - from > longest)
            longest = to - from;
    for (uint32_t k = 0; k < n; k++) {
        if (!list_range(&args[k], row, &from, &to))
            from = to = 0;
        TRY(list_maker_range(&makers[k], 0, from, to, err));
        for (int64_t i = to - from; i < longest; i++)
            TRY(list_maker_item(&makers[k], UINT32_MAX, err));
        TRY(list_maker_end(&makers[k], row, longest < 0, err));
    }
    return ST_OK;
}

static int kernel_zip(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct list_maker *makers = calloc(e->n_args, sizeof *makers);
    int st = makers ? ST_OK : error_no_memory(err, e->n_args * sizeof *makers);
    for (uint32_t k = 0; st == ST_OK && k < e->n_args; k++)
        st = list_maker_init(&makers[k], ctx->budget, rows, err);
    for (int64_t row = 0; st == ST_OK && row < rows; row++)
        st = zip_row(args, e->n_args, row, makers, err);
    if (st == ST_OK)
        st = finish_entries(e, ctx, args, makers, ret, err);
    for (uint32_t k = 0; makers && k < e->n_args; k++)
        list_maker_release(&makers[k]);
    free(makers);
    return st;
}

/* ---- parts of maps ---- */

enum { MAP_KEYS, MAP_VALUES, MAP_ENTRIES, MAP_EXTRACT };

static int bind_map_part(struct expr *e, struct error *err)
{
    struct dtype *t = e->args[0]->type;
    int op = e->function->op;
    if (t->id != TYPE_MAP)
        return expr_type_error(e, err);
    struct dtype *entries = t->children[0]->type, *key = entries->children[0]->type;
    if (op == MAP_EXTRACT) {
        if (!type_is_string(key))
            return expr_type_error(e, err);
        TRY(expr_bind_cast(e, 1, key, err));
    }
    struct field *item =
        op == MAP_ENTRIES ? field_new("item", entries, false) : field_new("item", op == MAP_KEYS ? key : map_value_type(t), true);
    if (item)
        e->type = type_list(TYPE_LIST, item);
    field_unref(item);
    return e->type ? ST_OK : error_no_memory(err, 64);
}

static int kernel_map_part(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                           struct error *err)
{
    int op = e->function->op;
    struct list_maker m;
    const struct column *entries = args[0].column->children[0];
    struct column *pool = op == MAP_ENTRIES ? args[0].column->children[0] : entries->children[op == MAP_KEYS ? 0 : 1];
    int64_t base = op == MAP_ENTRIES ? 0 : entries->offset;
    int st = list_maker_init(&m, ctx->budget, rows, err);
    for (int64_t row = 0; row < rows && st == ST_OK; row++) {
        int64_t from, to;
        bool null = !list_range(&args[0], row, &from, &to);
        if (!null && op != MAP_EXTRACT) {
            st = list_maker_range(&m, base, from, to, err);
        } else if (!null) {
            size_t n = 0;
            const uint8_t *key = value_is_null(&args[1], row) ? NULL : value_text(&args[1], row, &n);
            st = list_maker_item(&m, key ? find_key(args[0].column, args[0].scalar ? 0 : row, key, n) : UINT32_MAX, err);
        }
        if (st == ST_OK)
            st = list_maker_end(&m, row, null, err);
    }
    if (st == ST_OK)
        st = list_maker_finish(&m, e->type, pool, ret, err);
    list_maker_release(&m);
    return st;
}

const struct function functions_struct[] = {
    {"named_struct", 2, UINT32_MAX, bind_struct, kernel_struct, STRUCT_NAMED},
    {"struct", 1, UINT32_MAX, bind_struct, kernel_struct, STRUCT_ROW},
    {"row", 1, UINT32_MAX, bind_struct, kernel_struct, STRUCT_ROW},
    {"get_field", 2, UINT32_MAX, bind_get_field, kernel_get_field},
    {"map", 2, 2, bind_map, kernel_map},
    {"arrays_zip", 2, UINT32_MAX, bind_zip, kernel_zip},
    {"list_zip", 2, UINT32_MAX, bind_zip, kernel_zip},
    {"map_keys", 1, 1, bind_map_part, kernel_map_part, MAP_KEYS},
    {"map_values", 1, 1, bind_map_part, kernel_map_part, MAP_VALUES},
    {"map_entries", 1, 1, bind_map_part, kernel_map_part, MAP_ENTRIES},
    {"map_extract", 2, 2, bind_map_part, kernel_map_part, MAP_EXTRACT},
    {"element_at", 2, 2, bind_map_part, kernel_map_part, MAP_EXTRACT},
    {0},
};
