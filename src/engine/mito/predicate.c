#include "engine/mito/predicate.h"

#include <stdlib.h>
#include <string.h>

#define ORDER(x, y) (((x) > (y)) - ((x) < (y)))

#define ORDER_VALUES(ctype)                                             \
    do {                                                                \
        ctype x = COLUMN_VALUES(a, ctype)[i], y = COLUMN_VALUES(b, ctype)[j]; \
        return ORDER(x, y);                                             \
    } while (0)

static int compare_bytes(const struct column *a, int64_t i, const struct column *b, int64_t j)
{
    int32_t n, m;
    const uint8_t *x = column_bytes(a, i, &n), *y = column_bytes(b, j, &m);
    int32_t least = n < m ? n : m;
    int c = least ? memcmp(x, y, (size_t)least) : 0;
    return c ? c : ORDER(n, m);
}

int predicate_compare(const struct column *a, int64_t i, const struct column *b, int64_t j, bool *ret_known)
{
    if (a->type->id == TYPE_DICTIONARY) {
        i = COLUMN_VALUES(a, uint32_t)[i];
        a = a->dictionary;
    }
    if (b->type->id == TYPE_DICTIONARY) {
        j = COLUMN_VALUES(b, uint32_t)[j];
        b = b->dictionary;
    }
    *ret_known = true;
    if (type_is_varlen(a->type) && type_is_varlen(b->type))
        return compare_bytes(a, i, b, j);
    *ret_known = a->type->id == b->type->id && a->type->unit == b->type->unit && a->type->scale == b->type->scale;
    if (!*ret_known)
        return 0;
    switch ((enum type_id)a->type->id) {
    case TYPE_BOOL: return (int)column_bool(a, i) - (int)column_bool(b, j);
    case TYPE_INT8: ORDER_VALUES(int8_t);
    case TYPE_INT16: ORDER_VALUES(int16_t);
    case TYPE_INT32: case TYPE_DATE32: case TYPE_TIME32: ORDER_VALUES(int32_t);
    case TYPE_INT64: case TYPE_DATE64: case TYPE_TIMESTAMP: case TYPE_TIME64: case TYPE_DURATION: ORDER_VALUES(int64_t);
    case TYPE_UINT8: ORDER_VALUES(uint8_t);
    case TYPE_UINT16: ORDER_VALUES(uint16_t);
    case TYPE_UINT32: ORDER_VALUES(uint32_t);
    case TYPE_UINT64: ORDER_VALUES(uint64_t);
    case TYPE_DECIMAL128: ORDER_VALUES(__int128);
    case TYPE_FLOAT32: {
        int32_t x = total_order32(COLUMN_VALUES(a, int32_t)[i]), y = total_order32(COLUMN_VALUES(b, int32_t)[j]);
        return ORDER(x, y);
    }
    case TYPE_FLOAT64: {
        int64_t x = total_order64(COLUMN_VALUES(a, int64_t)[i]), y = total_order64(COLUMN_VALUES(b, int64_t)[j]);
        return ORDER(x, y);
    }
    default:
        *ret_known = false;
        return 0;
    }
}

static bool is_null(const struct column *c, int64_t i)
{
    return column_is_null(c, i) || (c->type->id == TYPE_DICTIONARY && column_is_null(c->dictionary, COLUMN_VALUES(c, uint32_t)[i]));
}

static bool passes(const struct scan_test *t, const struct column *c, int64_t i)
{
    int32_t size;
    if (c->type->id == TYPE_DICTIONARY) {
        i = COLUMN_VALUES(c, uint32_t)[i];
        c = c->dictionary;
    }
    if (!type_is_string(c->type))
        return true;
    const uint8_t *text = column_bytes(c, i, &size);
    return t->holds(t, text, (size_t)size);
}

/* Whether the text holds one of the predicate's values. For a term that is less than it asks for: borders of words are the executor's matter. */
static bool holds_any(const struct scan_predicate *p, const struct column *c, int64_t i)
{
    int32_t size, n;
    if (c->type->id == TYPE_DICTIONARY) {
        i = COLUMN_VALUES(c, uint32_t)[i];
        c = c->dictionary;
    }
    if (!type_is_varlen(c->type) || !type_is_varlen(p->values->type))
        return true;
    const uint8_t *text = column_bytes(c, i, &size);
    for (int64_t k = 0; k < p->values->length; k++) {
        const uint8_t *value = column_bytes(p->values, k, &n);
        if (!column_is_null(p->values, k) && n <= size && memmem(text, (size_t)size, value, (size_t)n))
            return true;
    }
    return false;
}

bool predicate_keeps(const struct scan_predicate *p, const struct column *c, int64_t i)
{
    bool known, null = is_null(c, i);
    if (p->op == SCAN_IS_NULL || p->op == SCAN_IS_NOT_NULL)
        return null == (p->op == SCAN_IS_NULL);
    if (null)
        return false;
    if (p->op == SCAN_IN) {
        for (int64_t k = 0; k < p->values->length; k++)
            if (!is_null(p->values, k) && (predicate_compare(c, i, p->values, k, &known) == 0 || !known))
                return true;
        return false;
    }
    if (p->op == SCAN_LOWER_TERM)
        return true;
    if (p->op == SCAN_TEST)
        return passes(p->test, c, i);
    if (p->op == SCAN_CONTAINS || p->op == SCAN_TERM)
        return holds_any(p, c, i);
    if (is_null(p->values, 0))
        return false;
    int order = predicate_compare(c, i, p->values, 0, &known);
    if (!known)
        return true;
    switch (p->op) {
    case SCAN_EQ: return order == 0;
    case SCAN_NE: return order != 0;
    case SCAN_LT: return order < 0;
    case SCAN_LE: return order <= 0;
    case SCAN_GT: return order > 0;
    case SCAN_GE: return order >= 0;
    default: return true;
    }
}

/* ---- whole columns ---- */

/* Rows whose value compares with the predicate's; both without nulls. */
#define SELECT(cond)                                    \
    for (int64_t i = 0; i < n; i++) {                   \
        uint32_t row = in ? in[i] : (uint32_t)i;        \
        out[kept] = row;                                \
        kept += v[row] cond x;                          \
    }                                                   \
    break

#define SELECT_VALUES(ctype)                                                        \
    do {                                                                            \
        const ctype *v = COLUMN_VALUES(c, ctype), x = COLUMN_VALUES(p->values, ctype)[0]; \
        int64_t kept = 0;                                                           \
        switch (p->op) {                                                            \
        case SCAN_EQ: SELECT(==);                                                   \
        case SCAN_NE: SELECT(!=);                                                   \
        case SCAN_LT: SELECT(<);                                                    \
        case SCAN_LE: SELECT(<=);                                                   \
        case SCAN_GT: SELECT(>);                                                    \
        default: SELECT(>=);                                                        \
        }                                                                           \
        return kept;                                                                \
    } while (0)

static int64_t select_integers(const struct scan_predicate *p, const struct column *c, const uint32_t *in, int64_t n, uint32_t *out)
{
    switch ((enum type_id)c->type->id) {
    case TYPE_INT32: case TYPE_DATE32: SELECT_VALUES(int32_t);
    case TYPE_UINT32: SELECT_VALUES(uint32_t);
    case TYPE_UINT64: SELECT_VALUES(uint64_t);
    default: SELECT_VALUES(int64_t);
    }
}

static bool is_plain_comparison(const struct scan_predicate *p, const struct column *c)
{
    enum type_id t = (enum type_id)c->type->id;
    return p->op <= SCAN_GE && column_null_count(c) == 0 && p->values->type->id == c->type->id && p->values->type->unit == c->type->unit &&
           !is_null(p->values, 0) &&
           (t == TYPE_INT32 || t == TYPE_DATE32 || t == TYPE_UINT32 || t == TYPE_UINT64 || t == TYPE_INT64 || t == TYPE_TIMESTAMP);
}

static int64_t select_each(const struct scan_predicate *p, const struct column *c, const uint32_t *in, int64_t n, uint32_t *out)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t row = in ? in[i] : (uint32_t)i;
        if (predicate_keeps(p, c, row))
            out[kept++] = row;
    }
    return kept;
}

int64_t predicate_select(const struct scan_predicate *p, const struct column *c, const uint32_t *in, int64_t n, uint32_t *out)
{
    if (is_plain_comparison(p, c))
        return select_integers(p, c, in, n, out);
    const struct column *d = c->dictionary;
    bool *keeps = d && d->length < n && column_null_count(c) == 0 ? malloc((size_t)d->length + 1) : NULL;
    if (!keeps)
        return select_each(p, c, in, n, out);
    const uint32_t *codes = COLUMN_VALUES(c, uint32_t);
    int64_t kept = 0;
    for (int64_t i = 0; i < d->length; i++)
        keeps[i] = predicate_keeps(p, d, i);
    for (int64_t i = 0; i < n; i++) {
        uint32_t row = in ? in[i] : (uint32_t)i;
        out[kept] = row;
        kept += keeps[codes[row]];
    }
    free(keeps);
    return kept;
}

void predicate_time_range(const struct scan_predicate *predicates, uint32_t n, uint32_t time_index, int64_t *min, int64_t *max)
{
    for (uint32_t k = 0; k < n; k++) {
        const struct scan_predicate *p = &predicates[k];
        if (p->column != time_index || !p->values || p->values->type->id != TYPE_TIMESTAMP || p->values->length != 1 || column_is_null(p->values, 0))
            continue;
        int64_t v = COLUMN_VALUES(p->values, int64_t)[0];
        int64_t low = p->op == SCAN_EQ || p->op == SCAN_GE ? v : p->op == SCAN_GT && v < INT64_MAX ? v + 1 : INT64_MIN;
        int64_t high = p->op == SCAN_EQ || p->op == SCAN_LE ? v : p->op == SCAN_LT && v > INT64_MIN ? v - 1 : INT64_MAX;
        *min = low > *min ? low : *min;
        *max = high < *max ? high : *max;
    }
}
