#include "exec/kernel_typed.h"

#include <string.h>

static int bind_argument(struct expr *e, uint32_t i, char letter, struct error *err)
{
    const struct dtype *t = e->args[i]->type;
    switch (letter) {
    case 'T': return type_is_string(t) ? ST_OK : expr_bind_cast(e, i, type_of(TYPE_UTF8), err);
    case 'X': return type_is_varlen(t) ? ST_OK : expr_bind_cast(e, i, type_of(TYPE_UTF8), err);
    case 'O': return expr_bind_cast(e, i, type_of(TYPE_BOOL), err);
    case 'I': return expr_bind_cast(e, i, type_of(TYPE_INT64), err);
    case 'i': return expr_bind_cast(e, i, type_of(TYPE_INT32), err);
    case 'D': return expr_bind_cast(e, i, type_of(TYPE_FLOAT64), err);
    case 'F': return t->id == TYPE_FLOAT32 ? ST_OK : expr_bind_cast(e, i, type_of(TYPE_FLOAT64), err);
    default: return ST_OK;
    }
}

static struct dtype *result_type(const struct expr *e, char letter)
{
    struct dtype *first = e->n_args ? e->args[0]->type : NULL;
    bool large = first && (first->id == TYPE_LARGE_UTF8 || first->id == TYPE_LARGE_BINARY), view = first && first->id == TYPE_UTF8_VIEW;
    switch (letter) {
    case 'u': return type_of(TYPE_UTF8);
    case 'v': return type_of(TYPE_UTF8_VIEW);
    case 'L': return type_of(TYPE_LARGE_UTF8);
    case '1': return type_of(large ? TYPE_LARGE_UTF8 : TYPE_UTF8);
    case 's': return type_of(large ? TYPE_LARGE_UTF8 : view ? TYPE_UTF8_VIEW : TYPE_UTF8);
    case '2': return type_of(large ? TYPE_INT64 : TYPE_INT32);
    case 'O': return type_of(TYPE_BOOL);
    case 'I': return type_of(TYPE_INT64);
    case 'i': return type_of(TYPE_INT32);
    case 'U': return type_of(TYPE_UINT32);
    case 'W': return type_of(TYPE_UINT64);
    case 'b': return type_of(TYPE_UINT8);
    case 'f': return type_of(TYPE_FLOAT32);
    case 'D': return type_of(TYPE_FLOAT64);
    case 'x': return type_of(large ? TYPE_LARGE_BINARY : TYPE_BINARY);
    case 'B': return type_of(TYPE_BINARY);
    case 'y': return type_of(TYPE_BINARY_VIEW);
    default: return type_ref(first);
    }
}

int bind_signature(struct expr *e, struct error *err)
{
    const char *letter = e->function->signature, *colon = strchr(letter, ':');
    for (uint32_t i = 0; i < e->n_args; i++) {
        TRY(bind_argument(e, i, *letter, err));
        if (letter + 1 < colon)
            letter++;
    }
    e->type = result_type(e, colon[1]);
    e->nullable = e->nullable || colon[2] == '?';
    return ST_OK;
}

/* Which rows have a value: starts as the strict arguments say, loses the rows whose function says NULL. */
struct outcome {
    struct buffer *validity;
    int64_t nulls;
};

static int outcome_null(struct outcome *o, struct budget *budget, int64_t rows, int64_t row, struct error *err)
{
    if (!o->validity) {
        TRY(buffer_new(budget, bits_bytes(rows), &o->validity, err));
        bits_fill(o->validity->data, 0, rows, true);
    }
    bit_clear(o->validity->data, row);
    o->nulls++;
    return ST_OK;
}

static size_t bytes_of(const struct value *v)
{
    const struct column *c = v->column;
    if (!type_is_varlen(c->type) || c->length == 0)
        return 0;
    const int32_t *o = (const int32_t *)(const void *)c->buffers[0]->data + c->offset;
    return (size_t)(o[c->length] - o[0]);
}

int kernel_text_run(const struct call *c, int64_t rows, struct column **ret, struct error *err)
{
    const struct function *f = c->e->function;
    struct text_writer w;
    struct outcome o = {0};
    TRY(text_writer_init(&w, c->ctx->budget, rows, c->e->n_args ? bytes_of(&c->args[0]) : 0, err));
    int st = f->strict ? kernel_validity(c->ctx->budget, c->args, c->e->n_args, rows, &o.validity, &o.nulls, err) : ST_OK;
    for (int64_t i = 0; st == ST_OK && i < rows; i++) {
        bool null = false;
        if (!o.validity || bit_get(o.validity->data, i)) {
            size_t before = w.size;
            st = f->text_row(c, i, &w, &null, err);
            if (st == ST_OK && null) {
                w.size = before;
                st = outcome_null(&o, c->ctx->budget, rows, i, err);
            }
        }
        text_writer_end_row(&w, i);
    }
    if (st == ST_OK)
        return text_writer_finish(&w, c->e->type, rows, o.validity, o.nulls, ret, err);
    text_writer_release(&w);
    buffer_unref(o.validity);
    return st;
}

int kernel_fixed_run(const struct call *c, int64_t rows, struct column **ret, struct error *err)
{
    const struct function *f = c->e->function;
    struct dtype *type = c->e->type;
    size_t width = type->id == TYPE_BOOL ? 1 : (size_t)type_width(type);
    struct outcome o = {0};
    struct buffer *values = NULL;
    int st = f->strict ? kernel_validity(c->ctx->budget, c->args, c->e->n_args, rows, &o.validity, &o.nulls, err) : ST_OK;
    if (st == ST_OK)
        st = buffer_new(c->ctx->budget, (size_t)rows * width + 8, &values, err);
    for (int64_t i = 0; st == ST_OK && i < rows; i++) {
        bool null = false;
        if (o.validity && !bit_get(o.validity->data, i))
            continue;
        st = f->fixed_row(c, i, values->data + (size_t)i * width, &null, err);
        if (st == ST_OK && null)
            st = outcome_null(&o, c->ctx->budget, rows, i, err);
    }
    if (st != ST_OK) {
        buffer_unref(values);
        buffer_unref(o.validity);
        return st;
    }
    if (type->id != TYPE_BOOL)
        return column_new(type, rows, o.nulls, o.validity, values, NULL, ret, err);
    st = kernel_bools(c->ctx->budget, values->data, rows, o.validity, o.nulls, ret, err);
    buffer_unref(values);
    return st;
}

static bool any_null(const struct call *c, int64_t row)
{
    for (uint32_t k = 0; k < c->e->n_args; k++)
        if (value_is_null(&c->args[k], row))
            return true;
    return false;
}

int kernel_list_run(const struct call *c, int64_t rows, struct column **ret, struct error *err)
{
    const struct function *f = c->e->function;
    struct column_builder lists;
    TRY(column_builder_init(&lists, c->ctx->budget, c->e->type, err));
    int st = ST_OK;
    for (int64_t i = 0; i < rows && st == ST_OK; i++) {
        bool null = f->strict && any_null(c, i);
        if (!null)
            st = f->list_row(c, i, &lists.children[0], &null, err);
        if (st == ST_OK)
            st = null ? column_builder_append_null(&lists, err) : column_builder_append_nested(&lists, err);
    }
    if (st == ST_OK)
        st = column_builder_finish(&lists, ret, err);
    column_builder_release(&lists);
    return st;
}

int kernel_text_rows(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    return kernel_text_run(&(struct call){e, ctx, args, NULL}, rows, ret, err);
}

int kernel_fixed_rows(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    return kernel_fixed_run(&(struct call){e, ctx, args, NULL}, rows, ret, err);
}

int kernel_list_rows(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    return kernel_list_run(&(struct call){e, ctx, args, NULL}, rows, ret, err);
}
