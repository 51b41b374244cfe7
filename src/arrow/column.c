/* Columns and batches: life cycle, slicing and the element-wise builder. Gathering and concatenation are in column_take.c. */
#include "arrow/column.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void drop_inputs(struct buffer *validity, struct buffer *b0, struct buffer *b1, struct column *const *children, uint32_t n)
{
    buffer_unref(validity);
    buffer_unref(b0);
    buffer_unref(b1);
    for (uint32_t i = 0; i < n; i++)
        column_unref(children[i]);
}

static struct column *column_alloc(struct dtype *type, int64_t length, int64_t null_count, struct buffer *validity, struct buffer *b0,
                                   struct buffer *b1)
{
    struct column *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    c->type = type_ref(type);
    c->length = length;
    c->null_count = validity ? null_count : type->id == TYPE_NULL ? length : 0;
    c->validity = validity;
    c->buffers[0] = b0;
    c->buffers[1] = b1;
    return c;
}

int column_new(struct dtype *type, int64_t length, int64_t null_count, struct buffer *validity, struct buffer *b0, struct buffer *b1,
               struct column **ret_column, struct error *err)
{
    struct column *c = column_alloc(type, length, null_count, validity, b0, b1);
    if (!c) {
        drop_inputs(validity, b0, b1, NULL, 0);
        return error_no_memory(err, sizeof *c);
    }
    *ret_column = c;
    return ST_OK;
}

int column_new_nested(struct dtype *type, int64_t length, int64_t null_count, struct buffer *validity, struct buffer *b0,
                      struct column *const *children, uint32_t n, struct column **ret_column, struct error *err)
{
    struct column *c = column_alloc(type, length, null_count, validity, b0, NULL);
    if (c && (type->id == TYPE_DICTIONARY || type->id == TYPE_RANGE)) {
        assert(n == 1);
        c->dictionary = children[0];
    } else if (c && n) {
        c->children = malloc(n * sizeof(struct column *));
        if (!c->children) {
            type_unref(c->type);
            free(c);
            c = NULL;
        } else {
            memcpy(c->children, children, n * sizeof(struct column *));
            c->n_children = n;
        }
    }
    if (!c) {
        drop_inputs(validity, b0, NULL, children, n);
        return error_no_memory(err, sizeof *c);
    }
    *ret_column = c;
    return ST_OK;
}

int column_new_struct(struct budget *budget, struct dtype *type, const struct column *c, column_member_fn member, void *ctx,
                      struct column **ret_column, struct error *err)
{
    struct column **members = calloc(type->n_children + 1, sizeof *members);
    struct buffer *validity = NULL;
    uint32_t made = 0;
    int st = members ? column_copy_validity(budget, c, &validity, err) : error_no_memory(err, type->n_children * sizeof *members);
    for (; st == ST_OK && made < type->n_children; made += st == ST_OK)
        st = member(ctx, c, made, &members[made], err);
    if (st == ST_OK) {
        st = column_new_nested(type, c->length, column_null_count(c), validity, NULL, members, made, ret_column, err);
    } else {
        buffer_unref(validity);
        for (uint32_t i = 0; i < made; i++)
            column_unref(members[i]);
    }
    free(members);
    return st;
}

struct column *column_ref(struct column *c)
{
    if (c)
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void column_unref(struct column *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    drop_inputs(c->validity, c->buffers[0], c->buffers[1], c->children, c->n_children);
    free(c->children);
    column_unref(c->dictionary);
    type_unref(c->type);
    free(c);
}

/* Bytes of the first buffer for `length` rows of a type; *ret_has = false where the layout has none. */
static size_t first_buffer_bytes(const struct dtype *t, int64_t length, bool *ret_has)
{
    *ret_has = true;
    if (t->id == TYPE_BOOL)
        return bits_bytes(length);
    if (type_is_varlen(t) || t->id == TYPE_LIST || t->id == TYPE_LARGE_LIST || t->id == TYPE_MAP)
        return ((size_t)length + 1) * 4;
    if (t->id == TYPE_NULL || t->id == TYPE_STRUCT || t->id == TYPE_FIXED_LIST) {
        *ret_has = false;
        return 0;
    }
    return (size_t)length * (size_t)type_width(t);
}

int column_new_nulls(struct budget *budget, struct dtype *type, int64_t length, struct column **ret_column, struct error *err)
{
    struct buffer *validity = NULL, *b0 = NULL, *b1 = NULL;
    struct column **children = NULL;
    uint32_t n = type->n_children, made = 0;
    bool has;
    size_t bytes = first_buffer_bytes(type, length, &has);
    int st = ST_OK;
    if (type->id != TYPE_NULL)
        st = buffer_new(budget, bits_bytes(length), &validity, err);
    if (st == ST_OK && has)
        st = buffer_new(budget, bytes, &b0, err);
    if (st == ST_OK && type_is_varlen(type))
        st = buffer_new(budget, 0, &b1, err);
    if (st == ST_OK && n == 0)
        return column_new(type, length, length, validity, b0, b1, ret_column, err);
    if (st == ST_OK && !(children = calloc(n, sizeof *children)))
        st = error_no_memory(err, n * sizeof *children);
    for (; st == ST_OK && made < n; made++) {
        int64_t rows = type->id == TYPE_STRUCT ? length : type->id == TYPE_FIXED_LIST ? length * type->width : type->id == TYPE_DICTIONARY ? 1 : 0;
        st = column_new_nulls(budget, type->children[made]->type, rows, &children[made], err);
        if (st != ST_OK)
            break;
    }
    if (st == ST_OK)
        st = column_new_nested(type, length, length, validity, b0, children, n, ret_column, err);
    else
        drop_inputs(validity, b0, b1, children, made);
    free(children);
    return st;
}

/* The null count as far as it has been counted: columns are shared by threads, and any of them may be counting. */
static int64_t known_nulls(const struct column *c)
{
    return __atomic_load_n(&c->null_count, __ATOMIC_RELAXED);
}

/* A second handle on the same data. */
static struct column *column_share(struct column *c, struct dtype *type)
{
    struct column *copy = column_alloc(type, c->length, known_nulls(c), c->validity, c->buffers[0], c->buffers[1]);
    if (!copy)
        return NULL;
    copy->offset = c->offset;
    if (c->n_children) {
        copy->children = malloc(c->n_children * sizeof(struct column *));
        if (!copy->children) {
            type_unref(copy->type);
            free(copy);
            return NULL;
        }
        copy->n_children = c->n_children;
        for (uint32_t i = 0; i < c->n_children; i++)
            copy->children[i] = column_ref(c->children[i]);
    }
    buffer_ref(c->validity);
    buffer_ref(c->buffers[0]);
    buffer_ref(c->buffers[1]);
    copy->dictionary = column_ref(c->dictionary);
    copy->null_count = known_nulls(c);
    return copy;
}

int column_copy_validity(struct budget *budget, const struct column *c, struct buffer **ret_validity, struct error *err)
{
    struct buffer *validity = NULL;
    if (column_null_count(c) > 0) {
        TRY(buffer_new(budget, bits_bytes(c->length), &validity, err));
        bits_copy(validity->data, 0, c->validity->data, c->offset, c->length);
    }
    *ret_validity = validity;
    return ST_OK;
}

int column_slice(struct column *c, int64_t start, int64_t length, struct column **ret_column, struct error *err)
{
    assert(start >= 0 && length >= 0 && start + length <= c->length);
    if (start == 0 && length == c->length) {
        *ret_column = column_ref(c);
        return ST_OK;
    }
    struct column *s = column_share(c, c->type);
    if (!s)
        return error_no_memory(err, sizeof *s);
    s->offset += start;
    s->length = length;
    s->null_count = c->type->id == TYPE_NULL ? length : !s->validity || known_nulls(c) == 0 ? 0 : -1;
    *ret_column = s;
    return ST_OK;
}

int column_retype(struct column *c, struct dtype *type, struct column **ret_column, struct error *err)
{
    struct column *s = column_share(c, type);
    if (!s)
        return error_no_memory(err, sizeof *s);
    *ret_column = s;
    return ST_OK;
}

int64_t column_null_count(const struct column *c)
{
    int64_t n = known_nulls(c);
    if (n >= 0)
        return n;
    n = c->validity ? c->length - bits_count(c->validity->data, c->offset, c->length) : 0;
    __atomic_store_n(&((struct column *)c)->null_count, n, __ATOMIC_RELAXED); /* a cache: every thread computes the same value */
    return n;
}

/* The value without its dictionary. */
static const struct column *value_at(const struct column *c, int64_t *i)
{
    if (c->type->id != TYPE_DICTIONARY || column_is_null(c, *i))
        return c;
    *i = COLUMN_VALUES(c, uint32_t)[*i];
    return c->dictionary;
}

static bool items_equal(const struct column *a, int64_t start, const struct column *b, int64_t other, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!column_values_equal(a, start + i, b, other + i))
            return false;
    return true;
}

static bool nested_equal(const struct column *a, int64_t i, const struct column *b, int64_t k)
{
    if (a->type->id == TYPE_STRUCT) {
        for (uint32_t c = 0; c < a->n_children; c++)
            if (!column_values_equal(a->children[c], a->offset + i, b->children[c], b->offset + k))
                return false;
        return true;
    }
    if (a->type->id == TYPE_RANGE) {
        struct range r = COLUMN_VALUES(a, struct range)[i], s = COLUMN_VALUES(b, struct range)[k];
        return r.length == s.length && items_equal(a->dictionary, r.offset, b->dictionary, s.offset, r.length);
    }
    if (a->type->id == TYPE_FIXED_LIST)
        return items_equal(a->children[0], (a->offset + i) * a->type->width, b->children[0], (b->offset + k) * a->type->width, a->type->width);
    const int32_t *o = COLUMN_VALUES(a, int32_t) + i, *p = COLUMN_VALUES(b, int32_t) + k;
    return o[1] - o[0] == p[1] - p[0] && items_equal(a->children[0], o[0], b->children[0], p[0], o[1] - o[0]);
}

bool column_values_equal(const struct column *a, int64_t i, const struct column *b, int64_t k)
{
    int32_t n, m;
    a = value_at(a, &i);
    b = value_at(b, &k);
    if (column_is_null(a, i) || column_is_null(b, k))
        return column_is_null(a, i) && column_is_null(b, k);
    if (a->type->id == TYPE_BOOL)
        return column_bool(a, i) == column_bool(b, k);
    if (type_is_nested(a->type))
        return nested_equal(a, i, b, k);
    if (type_is_varlen(a->type)) {
        const uint8_t *p = column_bytes(a, i, &n), *q = column_bytes(b, k, &m);
        return n == m && memcmp(p, q, (size_t)n) == 0;
    }
    size_t width = (size_t)type_width(a->type);
    return memcmp(a->buffers[0]->data + (size_t)(a->offset + i) * width, b->buffers[0]->data + (size_t)(b->offset + k) * width, width) == 0;
}

static size_t bytes_used_of(const struct column *c, int64_t start, int64_t length)
{
    size_t n = c->validity ? bits_bytes(length) : 0;
    const int32_t *o;
    switch ((enum type_id)c->type->id) {
    case TYPE_BOOL: return n + bits_bytes(length);
    case TYPE_FIXED_LIST:
        return n + bytes_used_of(c->children[0], (c->offset + start) * c->type->width, length * c->type->width);
    case TYPE_STRUCT:
        for (uint32_t i = 0; i < c->n_children; i++)
            n += bytes_used_of(c->children[i], c->offset + start, length);
        return n;
    default: break;
    }
    bool list = c->type->id == TYPE_LIST || c->type->id == TYPE_LARGE_LIST || c->type->id == TYPE_MAP;
    if (!list && !type_is_varlen(c->type))
        return n + (size_t)length * (size_t)type_width(c->type);
    if (length == 0)
        return n;
    o = COLUMN_VALUES(c, int32_t) + start;
    n += (size_t)length * sizeof *o;
    return n + (list ? bytes_used_of(c->children[0], o[0], o[length] - o[0]) : (size_t)(o[length] - o[0]));
}

size_t column_bytes_used(const struct column *c)
{
    return bytes_used_of(c, 0, c->length);
}

size_t batch_bytes_used(const struct batch *b)
{
    size_t n = 0;
    for (uint32_t i = 0; i < b->schema->n_fields; i++)
        n += column_bytes_used(b->columns[i]);
    return n;
}

size_t column_bytes_held(const struct column *c)
{
    if (!c)
        return 0;
    size_t n = sizeof *c;
    if (c->validity)
        n += c->validity->capacity;
    for (int i = 0; i < 2; i++)
        if (c->buffers[i])
            n += c->buffers[i]->capacity;
    for (uint32_t i = 0; i < c->n_children; i++)
        n += column_bytes_held(c->children[i]);
    return n + column_bytes_held(c->dictionary);
}

int batch_new(struct schema *schema, int64_t n_rows, struct column *const *columns, struct batch **ret_batch, struct error *err)
{
    uint32_t n = schema->n_fields;
    struct batch *b = calloc(1, sizeof *b);
    struct column **copy = calloc(n ? n : 1, sizeof *copy);
    if (!b || !copy) {
        free(b);
        free(copy);
        drop_inputs(NULL, NULL, NULL, columns, n);
        return error_no_memory(err, sizeof *b + n * sizeof *copy);
    }
    atomic_init(&b->refs, 1);
    b->schema = schema_ref(schema);
    b->n_rows = n_rows;
    b->columns = copy;
    for (uint32_t i = 0; i < n; i++) {
        assert(columns[i]->length == n_rows);
        copy[i] = columns[i];
    }
    *ret_batch = b;
    return ST_OK;
}

int batch_with_column(struct schema *schema, const struct batch *b, struct column *last, struct batch **ret_batch, struct error *err)
{
    uint32_t n = b->schema->n_fields;
    struct column **columns = malloc(((size_t)n + 1) * sizeof *columns);
    if (!columns) {
        column_unref(last);
        return error_no_memory(err, ((size_t)n + 1) * sizeof *columns);
    }
    for (uint32_t i = 0; i < n; i++)
        columns[i] = column_ref(b->columns[i]);
    columns[n] = last;
    int st = batch_new(schema, b->n_rows, columns, ret_batch, err);
    free(columns);
    return st;
}

struct batch *batch_ref(struct batch *b)
{
    if (b)
        atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void batch_unref(struct batch *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < b->schema->n_fields; i++)
        column_unref(b->columns[i]);
    free(b->columns);
    schema_unref(b->schema);
    free(b);
}

int batch_slice(struct batch *b, int64_t start, int64_t length, struct batch **ret_batch, struct error *err)
{
    uint32_t n = b->schema->n_fields, made = 0;
    struct column **columns = calloc(n ? n : 1, sizeof *columns);
    int st = columns ? ST_OK : error_no_memory(err, n * sizeof *columns);
    for (; st == ST_OK && made < n; made++)
        if ((st = column_slice(b->columns[made], start, length, &columns[made], err)) != ST_OK)
            break;
    if (st == ST_OK)
        st = batch_new(b->schema, length, columns, ret_batch, err);
    else
        drop_inputs(NULL, NULL, NULL, columns, made);
    free(columns);
    return st;
}

size_t batch_bytes_held(const struct batch *b)
{
    size_t n = sizeof *b;
    for (uint32_t i = 0; i < b->schema->n_fields; i++)
        n += column_bytes_held(b->columns[i]);
    return n;
}
