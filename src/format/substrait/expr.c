/* Expressions (query-plans.md 1.7 and 1.8). Numbers are frozen: substrait algebra.proto. */
#include <string.h>

#include "format/substrait/internal.h"

static int out_of_memory(struct error *err)
{
    return err ? (int)err->status : ST_NO_MEMORY;
}

/* FieldReference {direct_reference=1 {struct_field=2 {field=1, child=2}}}; only plain columns. */
static int read_selection(const struct pb_field *body, struct plan_expr *e, struct error *err)
{
    struct pb_field direct = plan_member(body, 1), struct_field = plan_member(&direct, 2);
    if (!struct_field.data || plan_member(&struct_field, 2).data || plan_member(body, 3).data || plan_member(body, 5).data)
        return error_set(err, ST_UNEXPECTED, "a field reference is not a direct reference to a column");
    uint64_t field = plan_member(&struct_field, 1).value;
    e->kind = PLAN_FIELD;
    e->field = field > UINT32_MAX ? UINT32_MAX : (uint32_t)field;
    return ST_OK;
}

/* ScalarFunction {function_reference=1, arguments=4 {value=3}, args=2 (deprecated)} */
static int read_call(struct plan_decoder *d, const struct pb_field *body, unsigned depth, struct plan_expr *e, struct error *err)
{
    struct pb_field f;
    uint32_t n = plan_count(body, 4);
    bool old = n == 0;
    if (old)
        n = plan_count(body, 2);
    e->kind = PLAN_CALL;
    TRY(plan_function_name(d, plan_member(body, 1).value, &e->name, err));
    e->args = arena_array(d->arena, n + 1, sizeof *e->args, err);
    if (!e->args)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(body); plan_next(&r, old ? 2 : 4, &f); e->n_args++) {
        struct pb_field value = old ? f : plan_member(&f, 3);
        TRY(plan_decode_expr(d, &value, depth + 1, &e->args[e->n_args], err));
    }
    return ST_OK;
}

/* IfThen {ifs=1 {if=1, then=2}, else=2}; a first clause without `then` is the base of CASE x WHEN. */
static int read_if(struct plan_decoder *d, const struct pb_field *body, unsigned depth, struct plan_expr *e, struct error *err)
{
    struct pb_field f, otherwise = plan_member(body, 2);
    e->kind = PLAN_IF;
    e->args = arena_array(d->arena, 2 * (size_t)plan_count(body, 1) + 2, sizeof *e->args, err);
    if (!e->args)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(body); plan_next(&r, 1, &f);) {
        struct pb_field when = plan_member(&f, 1), then = plan_member(&f, 2);
        TRY(plan_decode_expr(d, &when, depth + 1, &e->args[e->n_args++], err));
        if (then.data)
            TRY(plan_decode_expr(d, &then, depth + 1, &e->args[e->n_args++], err));
        else if (e->n_args == 1)
            e->has_base = true;
        else
            return error_set(err, ST_UNEXPECTED, "a CASE clause has no result");
    }
    if (otherwise.data) {
        e->has_else = true;
        TRY(plan_decode_expr(d, &otherwise, depth + 1, &e->args[e->n_args++], err));
    }
    return ST_OK;
}

/* SingularOrList {value=1, options=2} */
static int read_in(struct plan_decoder *d, const struct pb_field *body, unsigned depth, struct plan_expr *e, struct error *err)
{
    struct pb_field value = plan_member(body, 1), f;
    e->kind = PLAN_IN;
    e->args = arena_array(d->arena, (size_t)plan_count(body, 2) + 1, sizeof *e->args, err);
    if (!e->args)
        return out_of_memory(err);
    TRY(plan_decode_expr(d, &value, depth + 1, &e->args[e->n_args++], err));
    for (struct pb_reader r = plan_inside(body); plan_next(&r, 2, &f); e->n_args++)
        TRY(plan_decode_expr(d, &f, depth + 1, &e->args[e->n_args], err));
    return ST_OK;
}

/* Cast {type=1, input=2, failure_behavior=3}: 1 = NULL on failure */
static int read_cast(struct plan_decoder *d, const struct pb_field *body, unsigned depth, struct plan_expr *e, struct error *err)
{
    struct pb_field type = plan_member(body, 1), input = plan_member(body, 2);
    bool nullable;
    e->kind = PLAN_CAST;
    e->null_on_failure = plan_member(body, 3).value == 1;
    e->args = ARENA_ARRAY(d->arena, 1, struct plan_expr *, err);
    if (!e->args)
        return out_of_memory(err);
    e->n_args = 1;
    TRY(plan_decode_type(d, &type, NULL, 0, NULL, depth + 1, &e->type, &nullable, err));
    return plan_decode_expr(d, &input, depth + 1, &e->args[0], err);
}

int plan_decode_expr(struct plan_decoder *d, const struct pb_field *message, unsigned depth, struct plan_expr **ret_expr, struct error *err)
{
    static const char *const others[] = {[5] = "window function", [7] = "switch expression",  [9] = "multi or list",     [10] = "enum",
                                         [12] = "subquery",       [13] = "nested expression", [14] = "dynamic parameter"};
    struct pb_field body = {0}, f;
    struct plan_expr *e = ARENA_NEW(d->arena, struct plan_expr, err);
    if (!e)
        return out_of_memory(err);
    if (depth > PLAN_DEPTH_MAX)
        return error_set(err, ST_UNEXPECTED, "the plan is nested deeper than %d", PLAN_DEPTH_MAX);
    TRY(plan_check(message, "expression", err));
    for (struct pb_reader r = plan_inside(message); message->data && pb_next(&r, &f);)
        if (f.wire == PB_BYTES)
            body = f;
    if (!body.data)
        return error_set(err, ST_UNEXPECTED, "an expression of the plan is empty");
    TRY(plan_check(&body, "expression", err));
    *ret_expr = e;
    switch (body.number) {
    case 1:
        e->kind = PLAN_LITERAL;
        return plan_decode_literal(d, &body, depth + 1, &e->literal, err);
    case 2: return read_selection(&body, e, err);
    case 3: return read_call(d, &body, depth, e, err);
    case 6: return read_if(d, &body, depth, e, err);
    case 8: return read_in(d, &body, depth, e, err);
    case 11: return read_cast(d, &body, depth, e, err);
    default:
        e->kind = PLAN_OTHER;
        e->name = body.number < sizeof others / sizeof *others && others[body.number] ? others[body.number] : "unknown expression";
        return ST_OK;
    }
}
