/* Binding of projections, sorts and fetches. */
#include <stdlib.h>

#include "exec/bind_internal.h"
#include "exec/oper_compute.h"

enum { TOPK_MAX = 1 << 24 };

int bind_project(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    TRY(bind_rel(b, rel->input, limit, ret, err));
    const struct schema *input = ret->oper->schema;
    uint32_t width = bound_width(ret), direct = width + rel->n_exprs, n = rel->has_emit ? rel->n_emit : direct, made = 0;
    struct expr **exprs = ARENA_ARRAY(b->arena, (size_t)n + 1, struct expr *, err);
    int st = exprs ? ST_OK : ST_NO_MEMORY;
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        uint32_t at = rel->has_emit ? rel->emit[made] : made;
        if (at >= direct)
            st = error_set(err, ST_PLAN_QUERY, "emit names column %u of %u", at, direct);
        else if (at < width)
            st = binder_column(b, at, input, &exprs[made], err);
        else
            st = binder_expr(b, rel->exprs[at - width], input, &exprs[made], err);
    }
    if (st != ST_OK) {
        for (uint32_t i = 0; i < made; i++)
            expr_release(exprs[i]);
        return st;
    }
    return binder_project(b, ret, exprs, n, err);
}

struct sort_spec binder_sort_spec(enum plan_sort_direction d)
{
    return (struct sort_spec){.descending = d == PLAN_DESC_NULLS_FIRST || d == PLAN_DESC_NULLS_LAST,
                              .nulls_first = d == PLAN_ASC_NULLS_FIRST || d == PLAN_DESC_NULLS_FIRST};
}

/* Extends `in` by the expressions that are no plain columns; columns[i] is where expression i ends up. */
static int append_exprs(struct binder *b, struct bound *in, struct plan_expr *const *plans, uint32_t n, uint32_t *columns, struct error *err)
{
    const struct schema *input = in->oper->schema;
    uint32_t width = input->n_fields, total = width, made = 0;
    struct expr **exprs = ARENA_ARRAY(b->arena, (size_t)width + n + 1, struct expr *, err);
    int st = exprs ? ST_OK : ST_NO_MEMORY;
    for (; st == ST_OK && made < width; made += st == ST_OK) {
        st = binder_column(b, made, input, &exprs[made], err);
    }
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        struct expr *e;
        st = binder_expr(b, plans[i], input, &e, err);
        if (st != ST_OK)
            break;
        if (expr_column(e) >= 0) {
            columns[i] = (uint32_t)expr_column(e);
            expr_release(e);
        } else {
            columns[i] = total++;
            exprs[made++] = e;
        }
    }
    if (st != ST_OK) {
        for (uint32_t i = 0; i < made; i++)
            expr_release(exprs[i]);
        return st;
    }
    return binder_project(b, in, exprs, total, err);
}

bool binder_orders_as_key(const struct dtype *t)
{
    return type_is_string(type_values(t)) || type_is_integer(type_values(t));
}

/* Whether a scan in key order gives what the sort asks for: all of the key and the time, of types whose encoded keys order like their values. */
static bool is_key_order(const struct bound *in, const struct oper_sort_key *keys, uint32_t n)
{
    const struct table *t = in->table;
    if (!in->scan || !t->key_ordered || n != t->n_key + 1)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        int32_t column = i < t->n_key ? (int32_t)t->key[i] : t->time_index;
        const struct dtype *type = in->oper->schema->fields[keys[i].column]->type;
        if (in->source[keys[i].column] != column || keys[i].spec.descending || !keys[i].spec.nulls_first)
            return false;
        if (i < t->n_key && !binder_orders_as_key(type))
            return false;
    }
    return true;
}

int bind_sort(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    struct oper_sort_key keys[32];
    struct plan_expr *exprs[32];
    uint32_t columns[32], n = rel->n_sorts;
    char text[96];
    if (n == 0)
        return bind_rel(b, rel->input, limit, ret, err);
    if (n > 32)
        return error_set(err, ST_UNSUPPORTED, "more than 32 sort keys");
    TRY(bind_rel(b, rel->input, -1, ret, err));
    TRY(binder_drop_series(b, ret, err));
    uint32_t width = ret->oper->schema->n_fields;
    for (uint32_t i = 0; i < n; i++)
        exprs[i] = rel->sorts[i].expr;
    TRY(append_exprs(b, ret, exprs, n, columns, err));
    for (uint32_t i = 0; i < n; i++) {
        const struct dtype *t = ret->oper->schema->fields[columns[i]]->type;
        if (!sort_key_supported(t))
            return error_set(err, ST_UNSUPPORTED, "sorting by %s is not supported", type_print(t, text, sizeof text));
        keys[i] = (struct oper_sort_key){columns[i], binder_sort_spec(rel->sorts[i].direction)};
    }
    struct oper *input = ret->oper;
    bool presorted = is_key_order(ret, keys, n);
    if (presorted)
        oper_scan_set_key_order(ret->scan);
    else
        ret->reordered = true;
    ret->oper = NULL;
    TRY(oper_sort_new(input, keys, n, presorted || limit <= TOPK_MAX ? limit : -1, &ret->oper, err));
    if (presorted)
        oper_sort_set_presorted(ret->oper);
    if (ret->oper->schema->n_fields == width)
        return ST_OK;
    uint32_t *first = ARENA_ARRAY(b->arena, width ? width : 1, uint32_t, err);
    if (!first)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < width; i++)
        first[i] = i;
    return binder_pick(b, ret, first, width, err);
}

/* OFFSET and LIMIT expressions see one row without columns. NULL or nothing leaves `fallback`. */
static int constant(struct binder *b, const struct plan_expr *plan, int64_t fallback, int64_t *ret_value, struct error *err)
{
    struct column *number;
    *ret_value = fallback;
    if (!plan)
        return ST_OK;
    TRY(binder_constant(b, plan, type_of(TYPE_INT64), &number, err));
    if (!column_is_null(number, 0))
        *ret_value = COLUMN_VALUES(number, int64_t)[0];
    column_unref(number);
    return ST_OK;
}

int bind_fetch(struct binder *b, struct plan_rel *rel, int64_t limit, struct bound *ret, struct error *err)
{
    int64_t offset, count, below = -1;
    TRY(constant(b, rel->offset, 0, &offset, err));
    TRY(constant(b, rel->count, -1, &count, err));
    if (offset < 0 || count < -1)
        return error_set(err, ST_PLAN_QUERY, "OFFSET and LIMIT must not be negative");
    int64_t wanted = count < 0 ? limit : limit >= 0 && limit < count ? limit : count;
    if (wanted >= 0 && wanted <= INT64_MAX / 2 && offset <= INT64_MAX / 2)
        below = wanted + offset;
    TRY(bind_rel(b, rel->input, below, ret, err));
    struct oper *input = ret->oper;
    ret->oper = NULL;
    ret->scan = NULL;
    return oper_limit_new(input, offset, count, &ret->oper, err);
}
