/* Gathering rows (column_take), joining columns (column_concat) and removing dictionaries: the operations that copy values of every type. */
#include "arrow/column.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Validity of the gathered rows; NULL buffer and zero when no row is null. */
static int take_validity(struct budget *budget, const struct column *c, const uint32_t *indices, int64_t n, struct buffer **ret_validity,
                         int64_t *ret_nulls, struct error *err)
{
    bool any = c->validity && column_null_count(c) > 0;
    for (int64_t i = 0; !any && i < n; i++)
        any = indices[i] == UINT32_MAX;
    *ret_validity = NULL;
    *ret_nulls = 0;
    if (!any)
        return ST_OK;
    TRY(buffer_new(budget, bits_bytes(n), ret_validity, err));
    uint8_t *bits = (*ret_validity)->data;
    int64_t valid = 0;
    for (int64_t i = 0; i < n; i++) {
        bool v = indices[i] != UINT32_MAX && !column_is_null(c, indices[i]);
        bits[i >> 3] |= (uint8_t)(v << (i & 7));
        valid += v;
    }
    *ret_nulls = n - valid;
    return ST_OK;
}

#define GATHER(type)                                                                                                                                 \
    do {                                                                                                                                             \
        const type *from = (const type *)(const void *)src;                                                                                          \
        type *to = (type *)(void *)dst;                                                                                                              \
        for (int64_t i = 0; i < n; i++)                                                                                                              \
            to[i] = indices[i] == UINT32_MAX ? (type){0} : from[indices[i]];                                                                         \
    } while (0)

struct wide16 { uint64_t w[2]; };
struct wide32 { uint64_t w[4]; };

static void gather_fixed(uint8_t *dst, const uint8_t *src, int32_t width, const uint32_t *indices, int64_t n)
{
    switch (width) {
    case 1: GATHER(uint8_t); break;
    case 2: GATHER(uint16_t); break;
    case 4: GATHER(uint32_t); break;
    case 8: GATHER(uint64_t); break;
    case 16: GATHER(struct wide16); break;
    case 32: GATHER(struct wide32); break;
    default:
        for (int64_t i = 0; i < n; i++)
            if (indices[i] != UINT32_MAX)
                memcpy(dst + i * width, src + (int64_t)indices[i] * width, (size_t)width);
    }
}

static int take_varlen(struct budget *budget, const struct column *c, const uint32_t *indices, int64_t n, struct buffer **ret_offsets,
                       struct buffer **ret_bytes, struct error *err)
{
    struct buffer *offsets = NULL, *bytes = NULL;
    const int32_t *from = COLUMN_VALUES(c, int32_t);
    TRY(buffer_new_uninit(budget, ((size_t)n + 1) * 4, &offsets, err));
    int32_t *to = (int32_t *)(void *)offsets->data;
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        to[i] = (int32_t)total;
        if (indices[i] != UINT32_MAX)
            total += from[indices[i] + 1] - from[indices[i]];
        if (total > INT32_MAX) {
            buffer_unref(offsets);
            return error_set(err, ST_EXHAUSTED, "a column of strings grows past 2 GiB");
        }
    }
    to[n] = (int32_t)total;
    int st = buffer_new_uninit(budget, (size_t)total, &bytes, err);
    if (st != ST_OK) {
        buffer_unref(offsets);
        return st;
    }
    const uint8_t *data = c->buffers[1]->data;
    for (int64_t i = 0; i < n; i++)
        if (to[i + 1] != to[i])
            memcpy(bytes->data + to[i], data + from[indices[i]], (size_t)(to[i + 1] - to[i]));
    *ret_offsets = offsets;
    *ret_bytes = bytes;
    return ST_OK;
}

/* Child rows behind the gathered lists, and the new offsets. */
static int take_list(struct budget *budget, const struct column *c, const uint32_t *indices, int64_t n, struct buffer **ret_offsets,
                     struct column **ret_child, struct error *err)
{
    const int32_t *from = COLUMN_VALUES(c, int32_t);
    struct buffer *offsets = NULL, *rows = NULL;
    TRY(buffer_new_uninit(budget, ((size_t)n + 1) * 4, &offsets, err));
    int32_t *to = (int32_t *)(void *)offsets->data;
    int64_t total = 0;
    int st = ST_OK;
    for (int64_t i = 0; i < n && st == ST_OK; i++) {
        to[i] = (int32_t)total;
        if (indices[i] != UINT32_MAX)
            total += from[indices[i] + 1] - from[indices[i]];
        if (total > INT32_MAX)
            st = error_set(err, ST_EXHAUSTED, "a list column grows past 2^31 items");
    }
    to[n] = (int32_t)total;
    if (st == ST_OK)
        st = buffer_new_uninit(budget, (size_t)total * 4, &rows, err);
    if (st == ST_OK) {
        uint32_t *r = (uint32_t *)(void *)rows->data;
        for (int64_t i = 0; i < n; i++)
            if (indices[i] != UINT32_MAX)
                for (int32_t j = from[indices[i]]; j < from[indices[i] + 1]; j++)
                    *r++ = (uint32_t)j;
        st = column_take(budget, c->children[0], (const uint32_t *)(const void *)rows->data, total, ret_child, err);
    }
    buffer_unref(rows);
    if (st == ST_OK)
        *ret_offsets = offsets;
    else
        buffer_unref(offsets);
    return st;
}

/* Struct members and fixed-size lists: the children's rows follow from the parent's by arithmetic. */
static int take_children(struct budget *budget, const struct column *c, const uint32_t *indices, int64_t n, struct buffer *validity, int64_t nulls,
                         struct column **ret_column, struct error *err)
{
    int32_t per_row = c->type->id == TYPE_FIXED_LIST ? c->type->width : 1;
    struct buffer *rows = NULL;
    struct column **children = calloc(c->n_children ? c->n_children : 1, sizeof *children);
    uint32_t made = 0;
    int st = children ? buffer_new_uninit(budget, (size_t)n * (size_t)per_row * 4, &rows, err) : error_no_memory(err, 8);
    if (st == ST_OK) {
        uint32_t *r = (uint32_t *)(void *)rows->data;
        for (int64_t i = 0; i < n; i++)
            for (int32_t j = 0; j < per_row; j++)
                *r++ = indices[i] == UINT32_MAX ? UINT32_MAX : (uint32_t)((c->offset + indices[i]) * per_row + j);
        for (; made < c->n_children && st == ST_OK; made += st == ST_OK)
            st = column_take(budget, c->children[made], (const uint32_t *)(const void *)rows->data, n * per_row, &children[made], err);
    }
    buffer_unref(rows);
    if (st == ST_OK) {
        st = column_new_nested(c->type, n, nulls, validity, NULL, children, c->n_children, ret_column, err);
    } else {
        buffer_unref(validity);
        for (uint32_t i = 0; i < made; i++)
            column_unref(children[i]);
    }
    free(children);
    return st;
}

int column_take(struct budget *budget, const struct column *c, const uint32_t *indices, int64_t n, struct column **ret_column, struct error *err)
{
    struct buffer *validity = NULL, *b0 = NULL, *b1 = NULL;
    struct column *child = NULL;
    int64_t nulls = 0;
    enum type_id id = (enum type_id)c->type->id;
    if (id == TYPE_NULL)
        return column_new(c->type, n, n, NULL, NULL, NULL, ret_column, err);
    TRY(take_validity(budget, c, indices, n, &validity, &nulls, err));
    if (id == TYPE_STRUCT || id == TYPE_FIXED_LIST)
        return take_children(budget, c, indices, n, validity, nulls, ret_column, err);
    int st;
    if (type_is_varlen(c->type)) {
        st = take_varlen(budget, c, indices, n, &b0, &b1, err);
    } else if (id == TYPE_LIST || id == TYPE_LARGE_LIST || id == TYPE_MAP) {
        st = take_list(budget, c, indices, n, &b0, &child, err);
        if (st == ST_OK)
            return column_new_nested(c->type, n, nulls, validity, b0, &child, 1, ret_column, err);
    } else if (id == TYPE_BOOL) {
        st = buffer_new(budget, bits_bytes(n), &b0, err);
        for (int64_t i = 0; st == ST_OK && i < n; i++)
            if (indices[i] != UINT32_MAX && column_bool(c, indices[i]))
                bit_set(b0->data, i);
    } else {
        int32_t width = type_width(c->type);
        st = buffer_new_uninit(budget, (size_t)n * (size_t)width, &b0, err);
        if (st == ST_OK)
            gather_fixed(b0->data, c->buffers[0]->data + c->offset * width, width, indices, n);
    }
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    if (id == TYPE_DICTIONARY || id == TYPE_RANGE) {
        child = column_ref(c->dictionary);
        return column_new_nested(c->type, n, nulls, validity, b0, &child, 1, ret_column, err);
    }
    return column_new(c->type, n, nulls, validity, b0, b1, ret_column, err);
}

static int concat_validity(struct budget *budget, struct column *const *columns, uint32_t n, int64_t length, struct buffer **ret_validity,
                           int64_t *ret_nulls, struct error *err)
{
    int64_t nulls = 0, at = 0;
    for (uint32_t i = 0; i < n; i++)
        nulls += column_null_count(columns[i]);
    *ret_nulls = nulls;
    *ret_validity = NULL;
    if (nulls == 0)
        return ST_OK;
    TRY(buffer_new(budget, bits_bytes(length), ret_validity, err));
    for (uint32_t i = 0; i < n; at += columns[i++]->length) {
        if (columns[i]->validity)
            bits_copy((*ret_validity)->data, at, columns[i]->validity->data, columns[i]->offset, columns[i]->length);
        else
            bits_fill((*ret_validity)->data, at, columns[i]->length, true);
    }
    return ST_OK;
}

/* Offsets of var-length columns and lists, rebased to one another; *ret_total = end of the last. */
static int concat_offsets(struct budget *budget, struct column *const *columns, uint32_t n, int64_t length, struct buffer **ret_offsets,
                          int64_t *ret_total, struct error *err)
{
    struct buffer *offsets;
    TRY(buffer_new_uninit(budget, ((size_t)length + 1) * 4, &offsets, err));
    int32_t *to = (int32_t *)(void *)offsets->data;
    int64_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        const int32_t *from = COLUMN_VALUES(columns[i], int32_t);
        int64_t delta = total - from[0];
        if (total + (from[columns[i]->length] - from[0]) > INT32_MAX) {
            buffer_unref(offsets);
            return error_set(err, ST_EXHAUSTED, "a joined column grows past 2^31 bytes or items");
        }
        for (int64_t j = 0; j < columns[i]->length; j++)
            *to++ = (int32_t)(from[j] + delta);
        total += from[columns[i]->length] - from[0];
    }
    *to = (int32_t)total;
    *ret_offsets = offsets;
    *ret_total = total;
    return ST_OK;
}

/* Child columns cut to what the parents' rows use, one after another. */
static int concat_child(struct budget *budget, struct column *const *columns, uint32_t n, uint32_t which, struct column **ret_child,
                        struct error *err)
{
    struct column **parts = calloc(n, sizeof *parts);
    int st = parts ? ST_OK : error_no_memory(err, n * sizeof *parts);
    uint32_t made = 0;
    for (; st == ST_OK && made < n; made += st == ST_OK) {
        struct column *c = columns[made];
        int64_t start = c->offset, rows = c->length;
        if (c->type->id == TYPE_FIXED_LIST) {
            start *= c->type->width;
            rows *= c->type->width;
        } else if (c->type->id != TYPE_STRUCT) {
            const int32_t *o = COLUMN_VALUES(c, int32_t);
            start = o[0];
            rows = o[c->length] - o[0];
        }
        st = column_slice(c->children[which], start, rows, &parts[made], err);
    }
    if (st == ST_OK)
        st = column_concat(budget, parts, n, ret_child, err);
    for (uint32_t i = 0; i < made; i++)
        column_unref(parts[i]);
    free(parts);
    return st;
}

/* Keys over the concatenation of the distinct dictionaries. */
static int concat_dictionary(struct budget *budget, struct column *const *columns, uint32_t n, int64_t length, struct buffer **ret_keys,
                             struct column **ret_dictionary, struct error *err)
{
    struct column **distinct = calloc(n, sizeof *distinct);
    uint32_t *base = calloc(n, sizeof *base), n_distinct = 0;
    struct buffer *keys = NULL;
    int st = distinct && base ? buffer_new_uninit(budget, (size_t)length * 4, &keys, err) : error_no_memory(err, n * 12);
    uint32_t *to = keys ? (uint32_t *)(void *)keys->data : NULL;
    uint64_t total = 0;
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        uint32_t d = 0;
        while (d < n_distinct && distinct[d] != columns[i]->dictionary)
            d++;
        if (d == n_distinct) {
            base[d] = (uint32_t)total;
            distinct[n_distinct++] = columns[i]->dictionary;
            total += (uint64_t)columns[i]->dictionary->length;
            if (total >= UINT32_MAX)
                st = error_set(err, ST_EXHAUSTED, "a joined dictionary grows past 2^32 values");
        }
        const uint32_t *from = COLUMN_VALUES(columns[i], uint32_t);
        for (int64_t j = 0; st == ST_OK && j < columns[i]->length; j++)
            *to++ = from[j] + base[d];
    }
    if (st == ST_OK && n_distinct == 1)
        *ret_dictionary = column_ref(distinct[0]);
    else if (st == ST_OK)
        st = column_concat(budget, distinct, n_distinct, ret_dictionary, err);
    free(distinct);
    free(base);
    if (st == ST_OK)
        *ret_keys = keys;
    else
        buffer_unref(keys);
    return st;
}

static int concat_flat(struct budget *budget, struct column *const *columns, uint32_t n, int64_t length, struct buffer **ret_b0,
                       struct buffer **ret_b1, struct error *err)
{
    const struct dtype *type = columns[0]->type;
    int64_t total, at = 0;
    if (type_is_varlen(type)) {
        TRY(concat_offsets(budget, columns, n, length, ret_b0, &total, err));
        TRY(buffer_new_uninit(budget, (size_t)total, ret_b1, err));
        for (uint32_t i = 0; i < n; i++) {
            const int32_t *o = COLUMN_VALUES(columns[i], int32_t);
            int64_t size = o[columns[i]->length] - o[0];
            if (size)
                memcpy((*ret_b1)->data + at, columns[i]->buffers[1]->data + o[0], (size_t)size);
            at += size;
        }
        return ST_OK;
    }
    if (type->id == TYPE_BOOL) {
        TRY(buffer_new(budget, bits_bytes(length), ret_b0, err));
        for (uint32_t i = 0; i < n; at += columns[i++]->length)
            bits_copy((*ret_b0)->data, at, columns[i]->buffers[0]->data, columns[i]->offset, columns[i]->length);
        return ST_OK;
    }
    int32_t width = type_width(type);
    TRY(buffer_new_uninit(budget, (size_t)length * (size_t)width, ret_b0, err));
    for (uint32_t i = 0; i < n; at += columns[i++]->length)
        if (columns[i]->length)
            memcpy((*ret_b0)->data + at * width, columns[i]->buffers[0]->data + columns[i]->offset * width, (size_t)(columns[i]->length * width));
    return ST_OK;
}

/* The values one after another (those that neighbours share only once), the windows moved to where theirs are now. */
static int concat_ranges(struct budget *budget, struct column *const *columns, uint32_t n, int64_t length, struct buffer **ret_ranges,
                         struct column **ret_values, struct error *err)
{
    struct column **values = calloc(n, sizeof *values);
    struct buffer *ranges = NULL;
    uint32_t n_values = 0;
    int64_t before = 0, after = 0;
    int st = values ? buffer_new_uninit(budget, (size_t)length * sizeof(struct range), &ranges, err) : error_no_memory(err, n * sizeof *values);
    struct range *to = ranges ? (struct range *)(void *)ranges->data : NULL;
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        const struct range *from = COLUMN_VALUES(columns[i], struct range);
        if (i == 0 || columns[i]->dictionary != values[n_values - 1]) {
            values[n_values++] = columns[i]->dictionary;
            before = after;
            after += columns[i]->dictionary->length;
        }
        if (after > UINT32_MAX)
            st = error_set(err, ST_EXHAUSTED, "joined range vectors grow past 2^32 samples");
        for (int64_t j = 0; st == ST_OK && j < columns[i]->length; j++, to++)
            *to = (struct range){from[j].length ? from[j].offset + (uint32_t)before : 0, from[j].length};
    }
    if (st == ST_OK)
        st = column_concat(budget, values, n_values, ret_values, err);
    if (st == ST_OK)
        *ret_ranges = ranges;
    else
        buffer_unref(ranges);
    free(values);
    return st;
}

int column_concat(struct budget *budget, struct column *const *columns, uint32_t n, struct column **ret_column, struct error *err)
{
    assert(n > 0);
    struct dtype *type = columns[0]->type;
    struct buffer *validity = NULL, *b0 = NULL, *b1 = NULL;
    struct column **children = NULL;
    uint32_t n_children = type->n_children, made = 0;
    int64_t length = 0, nulls = 0, total;
    if (n == 1) {
        *ret_column = column_ref(columns[0]);
        return ST_OK;
    }
    for (uint32_t i = 0; i < n; i++)
        length += columns[i]->length;
    if (type->id == TYPE_NULL)
        return column_new(type, length, length, NULL, NULL, NULL, ret_column, err);
    int st = concat_validity(budget, columns, n, length, &validity, &nulls, err);
    if (st == ST_OK && n_children && !(children = calloc(n_children, sizeof *children)))
        st = error_no_memory(err, n_children * sizeof *children);
    if (st == ST_OK && type->id == TYPE_DICTIONARY) {
        st = concat_dictionary(budget, columns, n, length, &b0, &children[0], err);
        made = st == ST_OK;
    } else if (st == ST_OK && type->id == TYPE_RANGE) {
        st = concat_ranges(budget, columns, n, length, &b0, &children[0], err);
        made = st == ST_OK;
    } else if (st == ST_OK && n_children) {
        if (type->id != TYPE_STRUCT && type->id != TYPE_FIXED_LIST)
            st = concat_offsets(budget, columns, n, length, &b0, &total, err);
        for (; st == ST_OK && made < n_children; made += st == ST_OK)
            st = concat_child(budget, columns, n, made, &children[made], err);
    } else if (st == ST_OK) {
        st = concat_flat(budget, columns, n, length, &b0, &b1, err);
    }
    if (st == ST_OK && n_children) {
        st = column_new_nested(type, length, nulls, validity, b0, children, n_children, ret_column, err);
    } else if (st == ST_OK) {
        st = column_new(type, length, nulls, validity, b0, b1, ret_column, err);
    } else {
        buffer_unref(validity);
        buffer_unref(b0);
        buffer_unref(b1);
        for (uint32_t i = 0; i < made; i++)
            column_unref(children[i]);
    }
    free(children);
    return st;
}

int column_decode_dictionary(struct budget *budget, struct column *c, struct column **ret_column, struct error *err)
{
    if (c->type->id != TYPE_DICTIONARY) {
        *ret_column = column_ref(c);
        return ST_OK;
    }
    const uint32_t *keys = COLUMN_VALUES(c, uint32_t);
    if (column_null_count(c) == 0)
        return column_take(budget, c->dictionary, keys, c->length, ret_column, err);
    struct buffer *rows;
    TRY(buffer_new_uninit(budget, (size_t)c->length * 4, &rows, err));
    uint32_t *r = (uint32_t *)(void *)rows->data;
    for (int64_t i = 0; i < c->length; i++)
        r[i] = column_is_null(c, i) ? UINT32_MAX : keys[i];
    int st = column_take(budget, c->dictionary, r, c->length, ret_column, err);
    buffer_unref(rows);
    return st;
}

int column_lift_nulls(struct budget *budget, struct column *c, struct column **ret_column, struct error *err)
{
    struct buffer *validity;
    if (c->type->id != TYPE_DICTIONARY || column_null_count(c->dictionary) == 0) {
        *ret_column = column_ref(c);
        return ST_OK;
    }
    const uint32_t *keys = COLUMN_VALUES(c, uint32_t);
    TRY(buffer_new(budget, bits_bytes(c->offset + c->length), &validity, err));
    for (int64_t i = 0; i < c->length; i++) {
        bit_put(validity->data, c->offset + i, !column_is_null(c, i) && !column_is_null(c->dictionary, keys[i]));
    }
    struct column *dictionary = column_ref(c->dictionary), *whole;
    TRY(column_new_nested(c->type, c->offset + c->length, -1, validity, buffer_ref(c->buffers[0]), &dictionary, 1, &whole, err));
    int st = column_slice(whole, c->offset, c->length, ret_column, err);
    column_unref(whole);
    return st;
}

/* The batch of n columns made so far, or, after a failure, nothing. Takes the columns and the array. */
static int batch_finish(struct schema *schema, int64_t n_rows, struct column **columns, uint32_t made, int st, struct batch **ret_batch,
                        struct error *err)
{
    if (st == ST_OK)
        st = batch_new(schema, n_rows, columns, ret_batch, err);
    else
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    free(columns);
    return st;
}

int batch_take(struct budget *budget, const struct batch *b, const uint32_t *indices, int64_t n, struct batch **ret_batch, struct error *err)
{
    uint32_t n_columns = b->schema->n_fields, made = 0;
    struct column **columns = calloc(n_columns ? n_columns : 1, sizeof *columns);
    int st = columns ? ST_OK : error_no_memory(err, n_columns * sizeof *columns);
    for (; st == ST_OK && made < n_columns; made += st == ST_OK)
        st = column_take(budget, b->columns[made], indices, n, &columns[made], err);
    return batch_finish(b->schema, n, columns, made, st, ret_batch, err);
}

/* Column `which` of all batches joined. */
static int concat_column(struct budget *budget, struct batch *const *batches, uint32_t n, uint32_t which, struct column **parts,
                         struct column **ret_column, struct error *err)
{
    bool decode = false;
    int st = ST_OK;
    uint32_t have = 0;
    for (uint32_t i = 1; i < n; i++)
        decode |= batches[i]->columns[which]->type->id != batches[0]->columns[which]->type->id;
    for (; st == ST_OK && have < n; have += st == ST_OK) {
        struct column *c = batches[have]->columns[which];
        if (decode)
            st = column_decode_dictionary(budget, c, &parts[have], err);
        else
            parts[have] = column_ref(c);
    }
    if (st == ST_OK)
        st = column_concat(budget, parts, n, ret_column, err);
    for (uint32_t i = 0; i < have; i++)
        column_unref(parts[i]);
    return st;
}

int batch_concat(struct budget *budget, struct batch *const *batches, uint32_t n, struct batch **ret_batch, struct error *err)
{
    struct schema *schema = batches[0]->schema;
    uint32_t n_columns = schema->n_fields, made = 0;
    int64_t n_rows = 0;
    if (n == 1) {
        *ret_batch = batch_ref(batches[0]);
        return ST_OK;
    }
    struct column **columns = calloc(n_columns ? n_columns : 1, sizeof *columns), **parts = calloc(n, sizeof *parts);
    int st = columns && parts ? ST_OK : error_no_memory(err, n * sizeof *parts);
    for (uint32_t i = 0; i < n; i++)
        n_rows += batches[i]->n_rows;
    for (; st == ST_OK && made < n_columns; made += st == ST_OK)
        st = concat_column(budget, batches, n, made, parts, &columns[made], err);
    free(parts);
    return batch_finish(schema, n_rows, columns, made, st, ret_batch, err);
}
