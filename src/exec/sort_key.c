/* Encoding of sort keys; see the header for the format. */
#include "exec/sort_key.h"

#include <string.h>

enum { CHECK_ROWS = 1 << 15 }; /* between looks at the cancellation flag */

static bool is_fixed(const struct dtype *t)
{
    return t->id == TYPE_BOOL || t->id == TYPE_NULL || type_width(t) > 0;
}

bool sort_key_supported(const struct dtype *t)
{
    if (t->id == TYPE_RANGE)
        return false;
    if (type_is_varlen(t) || (is_fixed(t) && !type_is_nested(t)))
        return true;
    for (uint32_t k = 0; k < t->n_children; k++)
        if (!sort_key_supported(t->children[k]->type))
            return false;
    return t->n_children > 0;
}

static bool is_variable(const struct dtype *t)
{
    return type_is_varlen(t) || type_is_nested(t);
}

static uint32_t value_width(const struct dtype *t)
{
    return t->id == TYPE_BOOL ? 1 : t->id == TYPE_NULL ? 0 : (uint32_t)type_width(t);
}

uint32_t sort_keys_stride(struct dtype *const *types, uint32_t n)
{
    uint32_t stride = 0;
    for (uint32_t k = 0; k < n; k++) {
        const struct dtype *t = type_values(types[k]);
        if (is_variable(t))
            return 0;
        stride += 1 + value_width(t);
    }
    return stride;
}

/* The value at `from` as big-endian bytes in order. */
static inline void put_fixed(const struct dtype *t, const uint8_t *from, uint32_t width, uint8_t *to)
{
    if (t->id == TYPE_FIXED_BINARY) {
        memcpy(to, from, width);
        return;
    }
    if (t->id == TYPE_INTERVAL_MONTH_DAY_NANO || t->id == TYPE_INTERVAL_DAY_TIME) {
        store_be32(to, load_le32(from) ^ 0x80000000u);
        store_be32(to + 4, load_le32(from + 4) ^ 0x80000000u);
        if (width == 16)
            store_be64(to + 8, load_le64(from + 8) ^ 1ull << 63);
        return;
    }
    for (uint32_t i = 0; i < width; i++)
        to[i] = from[width - 1 - i];
    if (type_is_float(t)) {
        uint8_t flip = to[0] & 0x80 ? 0xff : 0;
        for (uint32_t i = 0; i < width; i++)
            to[i] ^= flip;
        to[0] ^= (uint8_t)~flip & 0x80;
    } else if (!type_is_integer(t) || type_is_signed(t)) {
        to[0] ^= 0x80;
    }
}

/* One value of a fixed type; returns where the next goes. */
static uint8_t *put_scalar(const struct column *c, int64_t i, const struct sort_spec *spec, uint8_t *to)
{
    const struct dtype *t = c->type;
    uint32_t width = value_width(t);
    uint8_t invert = spec->descending ? 0xff : 0;
    if (column_is_null(c, i)) {
        to[0] = spec->nulls_first ? 0 : 2;
        memset(to + 1, 0, width);
        return to + 1 + width;
    }
    to[0] = 1;
    if (t->id == TYPE_BOOL)
        to[1] = column_bool(c, i);
    else
        put_fixed(t, c->buffers[0]->data + (size_t)(c->offset + i) * width, width, to + 1);
    for (uint32_t j = 1; j <= width; j++)
        to[j] ^= invert;
    return to + 1 + width;
}

static void encode_fixed(const struct column *c, const struct sort_spec *spec, uint8_t *to, uint32_t stride)
{
    const struct dtype *t = c->type;
    uint32_t width = value_width(t);
    bool nulls = t->id == TYPE_NULL || column_null_count(c) > 0;
    const uint8_t *from = t->id == TYPE_NULL || t->id == TYPE_BOOL ? NULL : c->buffers[0]->data + (size_t)c->offset * width;
    uint64_t flip = (type_is_integer(t) && !type_is_signed(t) ? 0 : 1ull << 63) ^ (spec->descending ? ~0ull : 0);
    bool word = width == 8 && !type_is_float(t) && t->id != TYPE_INTERVAL_DAY_TIME && t->id != TYPE_FIXED_BINARY;
    for (int64_t i = 0; i < c->length; i++, to += stride) {
        if (!word || (nulls && column_is_null(c, i))) {
            put_scalar(c, i, spec, to);
            continue;
        }
        to[0] = 1;
        store_be64(to + 1, load_le64(from + i * 8) ^ flip);
    }
}

static size_t varlen_size(const struct column *c, int64_t i)
{
    int32_t size;
    if (column_is_null(c, i))
        return 1;
    const uint8_t *s = column_bytes(c, i, &size);
    size_t n = (size_t)size + 3;
    for (int32_t j = 0; j < size; j++)
        n += s[j] == 0;
    return n;
}

static uint8_t *put_varlen(const struct column *c, int64_t i, const struct sort_spec *spec, uint8_t *to)
{
    uint8_t invert = spec->descending ? 0xff : 0;
    int32_t size;
    if (column_is_null(c, i)) {
        *to++ = spec->nulls_first ? 0 : 2;
        return to;
    }
    const uint8_t *s = column_bytes(c, i, &size);
    *to++ = 1;
    for (int32_t j = 0; j < size; j++) {
        *to++ = s[j] ^ invert;
        if (s[j] == 0)
            *to++ = 0xff ^ invert;
    }
    *to++ = invert;
    *to++ = invert;
    return to;
}

/* Nested values: a list is its items, each behind a 1, and a 0 at the end; a struct is its members, a list of fixed size its items. */

/* The items of value i: [*ret_from, return value) of the child columns, in which they are one behind the other. */
static int64_t items_of(const struct column *c, int64_t i, int64_t *ret_from)
{
    i += c->offset;
    if (c->type->id == TYPE_STRUCT || c->type->id == TYPE_FIXED_LIST) {
        int64_t width = c->type->id == TYPE_STRUCT ? 1 : c->type->width;
        *ret_from = i * width;
        return (i + 1) * width;
    }
    const int32_t *o = (const int32_t *)(const void *)c->buffers[0]->data + i;
    *ret_from = o[0];
    return o[1];
}

static bool is_counted(const struct dtype *t)
{
    return t->id == TYPE_STRUCT || t->id == TYPE_FIXED_LIST;
}

static size_t value_size(const struct column *c, int64_t i)
{
    int64_t from, to;
    if (type_is_varlen(c->type))
        return varlen_size(c, i);
    if (!type_is_nested(c->type))
        return 1 + value_width(c->type);
    if (column_is_null(c, i))
        return 1;
    if (c->type->id == TYPE_DICTIONARY)
        return value_size(c->dictionary, COLUMN_VALUES(c, uint32_t)[i]);
    size_t n = is_counted(c->type) ? 1 : 2;
    to = items_of(c, i, &from);
    for (; from < to; from++) {
        n += !is_counted(c->type);
        for (uint32_t k = 0; k < c->n_children; k++)
            n += value_size(c->children[k], from);
    }
    return n;
}

static uint8_t *put_value(const struct column *c, int64_t i, const struct sort_spec *spec, uint8_t *out)
{
    uint8_t invert = spec->descending ? 0xff : 0;
    int64_t from, to;
    if (type_is_varlen(c->type))
        return put_varlen(c, i, spec, out);
    if (!type_is_nested(c->type))
        return put_scalar(c, i, spec, out);
    if (column_is_null(c, i)) {
        *out++ = spec->nulls_first ? 0 : 2;
        return out;
    }
    if (c->type->id == TYPE_DICTIONARY)
        return put_value(c->dictionary, COLUMN_VALUES(c, uint32_t)[i], spec, out);
    *out++ = 1;
    to = items_of(c, i, &from);
    for (; from < to; from++) {
        if (!is_counted(c->type))
            *out++ = 1 ^ invert;
        for (uint32_t k = 0; k < c->n_children; k++)
            out = put_value(c->children[k], from, spec, out);
    }
    if (!is_counted(c->type))
        *out++ = invert;
    return out;
}

static int encode_variable(struct sort_keys *keys, struct budget *budget, struct column *const *columns, const struct sort_spec *specs,
                           uint32_t n_keys, int64_t n, struct error *err)
{
    TRY(vec_reserve(&keys->offsets, budget, (size_t)n + 1, 8, err));
    uint64_t *offsets = keys->offsets.data, total = 0;
    for (int64_t i = 0; i < n; i++) {
        offsets[i] = total;
        if (i % CHECK_ROWS == 0)
            TRY(work_check(keys->work, err));
        for (uint32_t k = 0; k < n_keys; k++)
            total += value_size(columns[k], i);
    }
    offsets[n] = total;
    TRY(vec_reserve(&keys->bytes, budget, total + 1, 1, err));
    uint8_t *base = keys->bytes.data;
    struct vec fixed = {0};
    /* Row by row for strings and nested values; a fixed column is encoded aside first, since its kernel wants one stride. */
    struct vec at = {0};
    int st = vec_reserve(&at, budget, (size_t)n + 1, 8, err);
    if (st == ST_OK)
        memcpy(at.data, offsets, (size_t)n * 8);
    for (uint32_t k = 0; st == ST_OK && k < n_keys; k++) {
        const struct column *c = columns[k];
        uint64_t *p = at.data;
        if (is_variable(c->type)) {
            for (int64_t i = 0; st == ST_OK && i < n; i++) {
                p[i] = (uint64_t)(put_value(c, i, &specs[k], base + p[i]) - base);
                if (i % CHECK_ROWS == 0)
                    st = work_check(keys->work, err);
            }
            continue;
        }
        uint32_t width = 1 + value_width(c->type);
        st = vec_reserve(&fixed, budget, (size_t)n + 1, width, err);
        if (st != ST_OK)
            break;
        encode_fixed(c, &specs[k], fixed.data, width);
        for (int64_t i = 0; i < n; i++) {
            memcpy(base + p[i], VEC(&fixed, uint8_t) + (size_t)i * width, width);
            p[i] += width;
        }
    }
    vec_release(&fixed, budget);
    vec_release(&at, budget);
    return st;
}

int sort_keys_encode(struct sort_keys *keys, struct budget *budget, struct column *const *columns, const struct sort_spec *specs, uint32_t n_keys,
                     int64_t n, struct error *err)
{
    struct column *plain[32];
    uint32_t made = 0, at = 0, stride = 0;
    bool variable = false;
    int st = ST_OK;
    if (n_keys > 32)
        return error_set(err, ST_UNSUPPORTED, "more than 32 sort keys");
    for (; st == ST_OK && made < n_keys; made += st == ST_OK) {
        st = column_decode_dictionary(budget, columns[made], &plain[made], err);
        if (st != ST_OK)
            break;
        variable |= is_variable(plain[made]->type);
        stride += 1 + value_width(plain[made]->type);
    }
    keys->stride = variable ? 0 : stride;
    if (st == ST_OK && variable)
        st = encode_variable(keys, budget, plain, specs, n_keys, n, err);
    else if (st == ST_OK)
        st = vec_reserve(&keys->bytes, budget, (size_t)n + 1, stride ? stride : 1, err);
    for (uint32_t k = 0; st == ST_OK && !variable && k < n_keys; k++) {
        encode_fixed(plain[k], &specs[k], VEC(&keys->bytes, uint8_t) + at, stride);
        at += 1 + value_width(plain[k]->type);
    }
    for (uint32_t k = 0; k < made; k++)
        column_unref(plain[k]);
    return st;
}

void sort_keys_release(struct sort_keys *keys, struct budget *budget)
{
    vec_release(&keys->bytes, budget);
    vec_release(&keys->offsets, budget);
}
