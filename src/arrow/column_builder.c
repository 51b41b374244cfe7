/* The element-wise column builder. */
#include "arrow/column.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool has_offsets(const struct dtype *t)
{
    return type_is_varlen(t) || t->id == TYPE_LIST || t->id == TYPE_LARGE_LIST || t->id == TYPE_MAP;
}

int column_builder_init(struct column_builder *b, struct budget *budget, struct dtype *type, struct error *err)
{
    assert(type->id != TYPE_DICTIONARY);
    *b = (struct column_builder){.type = type_ref(type), .budget = budget};
    int st = ST_OK;
    if (type->id != TYPE_NULL && type->id != TYPE_STRUCT && type->id != TYPE_FIXED_LIST)
        st = buffer_new(budget, has_offsets(type) ? 4 : 0, &b->values, err);
    if (st == ST_OK && type_is_varlen(type))
        st = buffer_new(budget, 0, &b->bytes, err);
    if (st == ST_OK && type->n_children) {
        b->children = calloc(type->n_children, sizeof *b->children);
        if (!b->children)
            st = error_no_memory(err, type->n_children * sizeof *b->children);
        for (; st == ST_OK && b->n_children < type->n_children; b->n_children += st == ST_OK)
            st = column_builder_init(&b->children[b->n_children], budget, type->children[b->n_children]->type, err);
    }
    if (st != ST_OK)
        column_builder_release(b);
    return st;
}

void column_builder_release(struct column_builder *b)
{
    if (!b)
        return;
    for (uint32_t i = 0; i < b->n_children; i++)
        column_builder_release(&b->children[i]);
    free(b->children);
    buffer_unref(b->validity);
    buffer_unref(b->values);
    buffer_unref(b->bytes);
    type_unref(b->type);
    *b = (struct column_builder){0};
}

/* Makes room for `more` bytes behind size, at least doubling. */
static int grow(struct buffer *buf, size_t more, struct error *err)
{
    size_t old = buf->size, want = old + more;
    if (want > buf->capacity) {
        size_t to = buf->capacity * 2 > want ? buf->capacity * 2 : want;
        TRY(buffer_resize(buf, to, err));
    }
    memset(buf->data + old, 0, want - old);
    buf->size = want;
    return ST_OK;
}

static int mark(struct column_builder *b, bool valid, struct error *err)
{
    if (!valid && !b->validity && b->type->id != TYPE_NULL) {
        TRY(buffer_new(b->budget, bits_bytes(b->length), &b->validity, err));
        bits_fill(b->validity->data, 0, b->length, true);
    }
    if (b->validity) {
        if (bits_bytes(b->length + 1) > b->validity->size)
            TRY(grow(b->validity, 1, err));
        bit_put(b->validity->data, b->length, valid);
    }
    b->null_count += !valid;
    b->length++;
    return ST_OK;
}

static int push_offset(struct column_builder *b, size_t end, struct error *err)
{
    if (end > INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "a column grows past 2 GiB");
    TRY(grow(b->values, 4, err));
    ((int32_t *)(void *)b->values->data)[b->length + 1] = (int32_t)end;
    return ST_OK;
}

int column_builder_append_null(struct column_builder *b, struct error *err)
{
    const struct dtype *t = b->type;
    if (t->id == TYPE_BOOL) {
        if (bits_bytes(b->length + 1) > b->values->size)
            TRY(grow(b->values, 1, err));
    } else if (type_is_varlen(t)) {
        TRY(push_offset(b, b->bytes->size, err));
    } else if (has_offsets(t)) {
        TRY(push_offset(b, (size_t)b->children[0].length, err));
    } else if (t->id == TYPE_STRUCT) {
        for (uint32_t i = 0; i < b->n_children; i++)
            TRY(column_builder_append_null(&b->children[i], err));
    } else if (t->id == TYPE_FIXED_LIST) {
        for (int32_t i = 0; i < t->width; i++)
            TRY(column_builder_append_null(&b->children[0], err));
    } else if (t->id != TYPE_NULL) {
        TRY(grow(b->values, (size_t)type_width(t), err));
    }
    return mark(b, false, err);
}

int column_builder_append_bool(struct column_builder *b, bool v, struct error *err)
{
    assert(b->type->id == TYPE_BOOL);
    if (bits_bytes(b->length + 1) > b->values->size)
        TRY(grow(b->values, 1, err));
    bit_put(b->values->data, b->length, v);
    return mark(b, true, err);
}

int column_builder_append_fixed(struct column_builder *b, const void *value, struct error *err)
{
    size_t width = (size_t)type_width(b->type), at = b->values->size;
    TRY(grow(b->values, width, err));
    memcpy(b->values->data + at, value, width);
    return mark(b, true, err);
}

int column_builder_append_bytes(struct column_builder *b, const void *data, size_t size, struct error *err)
{
    size_t at = b->bytes->size;
    if (size > INT32_MAX || at + size > INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "a column grows past 2 GiB");
    TRY(grow(b->bytes, size, err));
    if (size)
        memcpy(b->bytes->data + at, data, size);
    TRY(push_offset(b, at + size, err));
    return mark(b, true, err);
}

int column_builder_append_nested(struct column_builder *b, struct error *err)
{
    if (has_offsets(b->type))
        TRY(push_offset(b, (size_t)b->children[0].length, err));
    return mark(b, true, err);
}

int column_builder_finish(struct column_builder *b, struct column **ret_column, struct error *err)
{
    struct column **children = NULL, *made_column = NULL;
    struct dtype *type = b->type;
    uint32_t n = b->n_children, made = 0;
    int st = ST_OK;
    if (n) {
        children = calloc(n, sizeof *children);
        st = children ? ST_OK : error_no_memory(err, n * sizeof *children);
        for (; st == ST_OK && made < n; made += st == ST_OK)
            st = column_builder_finish(&b->children[made], &children[made], err);
    }
    if (st == ST_OK) {
        struct buffer *validity = b->validity, *values = b->values, *bytes = b->bytes;
        b->validity = b->values = b->bytes = NULL;
        st = n ? column_new_nested(type, b->length, b->null_count, validity, values, children, n, &made_column, err)
               : column_new(type, b->length, b->null_count, validity, values, bytes, &made_column, err);
    } else {
        for (uint32_t i = 0; i < made; i++)
            column_unref(children[i]);
    }
    free(children);
    if (st == ST_OK) {
        struct budget *budget = b->budget;
        struct dtype *again = type_ref(type);
        column_builder_release(b);
        st = column_builder_init(b, budget, again, err);
        type_unref(again);
        if (st == ST_OK)
            *ret_column = made_column;
        else
            column_unref(made_column);
    }
    return st;
}
