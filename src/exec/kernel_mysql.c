/* Functions that GreptimeDB has from MySQL: elt, field, format, insert, locate, space (functions.md 1.10). Their texts are LargeUtf8. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exec/kernel_typed.h"
#include "base/unicode.h"

enum { SPACES_MAX = 1 << 20, DECIMALS_MAX = 30 };

static int elt_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n;
    int64_t which = value_is_null(&c->args[0], row) ? 0 : value_int64(&c->args[0], row);
    if (which < 1 || which >= c->e->n_args || value_is_null(&c->args[which], row)) {
        *ret_null = true;
        return ST_OK;
    }
    const uint8_t *p = value_text(&c->args[which], row, &n);
    return text_writer_put(w, p, n, err);
}

static int field_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n, m;
    int64_t found = 0;
    (void)ret_null;
    (void)err;
    if (!value_is_null(&c->args[0], row)) {
        const uint8_t *p = value_text(&c->args[0], row, &n);
        for (uint32_t k = 1; k < c->e->n_args && !found; k++) {
            if (value_is_null(&c->args[k], row))
                continue;
            const uint8_t *q = value_text(&c->args[k], row, &m);
            if (n == m && memcmp(p, q, n) == 0)
                found = k;
        }
    }
    memcpy(ret_value, &found, 8);
    return ST_OK;
}

static int bind_format(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type;
    if (!type_is_integer(t) && t->id != TYPE_FLOAT32 && t->id != TYPE_FLOAT64 && t->id != TYPE_NULL)
        return error_set(err, ST_EXECUTE_QUERY, "FORMAT: unsupported type of the number");
    if (type_is_float(t))
        TRY(expr_bind_cast(e, 0, type_of(TYPE_FLOAT64), err));
    else if (t->id != TYPE_UINT64)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_INT64), err));
    TRY(expr_bind_cast(e, 1, type_of(TYPE_INT64), err));
    e->type = type_of(TYPE_LARGE_UTF8);
    return ST_OK;
}

/* Digits in groups of three; `text` is digits, then perhaps a point and more. */
static int put_grouped(struct text_writer *w, bool negative, const char *text, struct error *err)
{
    size_t whole = strspn(text, "0123456789");
    if (negative)
        TRY(text_writer_put(w, "-", 1, err));
    for (size_t i = 0; i < whole; i++) {
        if (i && (whole - i) % 3 == 0)
            TRY(text_writer_put(w, ",", 1, err));
        TRY(text_writer_put(w, text + i, 1, err));
    }
    return text_writer_put(w, text + whole, strlen(text + whole), err);
}

static int format_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    enum type_id id = (enum type_id)c->args[0].column->type->id;
    int64_t wanted = value_int64(&c->args[1], row);
    int decimals = wanted < 0 ? 0 : wanted > DECIMALS_MAX ? DECIMALS_MAX : (int)wanted;
    char text[400];
    (void)ret_null;
    if (id == TYPE_FLOAT64) {
        double x = value_double(&c->args[0], row), scale = pow(10, decimals), rounded = round(x * scale) / scale;
        if (isnan(x))
            return text_writer_put(w, "NaN", 3, err);
        if (isinf(x))
            return text_writer_put(w, x < 0 ? "-Infinity" : "Infinity", x < 0 ? 9 : 8, err);
        if (!isfinite(rounded)) /* the scaling overflowed; the peer then prints the infinity it got */
            return text_writer_put(w, rounded < 0 ? "-inf" : "inf", rounded < 0 ? 4 : 3, err);
        snprintf(text, sizeof text, "%.*f", decimals, fabs(rounded));
        return put_grouped(w, rounded < 0, text, err);
    }
    int64_t v = value_int64(&c->args[0], row);
    bool negative = id != TYPE_UINT64 && v < 0;
    snprintf(text, sizeof text, "%llu%s%.*s", (unsigned long long)(negative ? 0 - (uint64_t)v : (uint64_t)v), decimals ? "." : "", decimals,
             "000000000000000000000000000000");
    return put_grouped(w, negative, text, err);
}

static int insert_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n, by_size;
    const uint8_t *p = value_text(&c->args[0], row, &n), *by = value_text(&c->args[3], row, &by_size);
    int64_t start = value_int64(&c->args[1], row), length = value_int64(&c->args[2], row);
    (void)ret_null;
    if (start < 1 || start - 1 > unicode_chars(p, n))
        return text_writer_put(w, p, n, err);
    size_t at = unicode_skip(p, n, start - 1), end = at + unicode_skip(p + at, n - at, length);
    TRY(text_writer_put(w, p, at, err));
    TRY(text_writer_put(w, by, by_size, err));
    return text_writer_put(w, p + end, n - end, err);
}

static int locate_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n, m;
    const uint8_t *needle = value_text(&c->args[0], row, &m), *p = value_text(&c->args[1], row, &n), *hit;
    int64_t start = c->e->n_args > 2 ? value_int64(&c->args[2], row) : 1, found = 0;
    (void)ret_null;
    (void)err;
    if (start >= 1 && m == 0) {
        found = start - 1 <= unicode_chars(p, n) ? start : 0;
    } else if (start >= 1) {
        size_t at = unicode_skip(p, n, start - 1);
        if ((hit = memmem(p + at, n - at, needle, m)))
            found = start + unicode_chars(p + at, (size_t)(hit - p) - at);
    }
    memcpy(ret_value, &found, 8);
    return ST_OK;
}

static int space_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    int64_t n = value_int64(&c->args[0], row);
    uint8_t *out;
    (void)ret_null;
    if (n > SPACES_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "SPACE: requested %lld spaces exceeds maximum allowed (%d)", (long long)n, SPACES_MAX);
    if (n <= 0)
        return ST_OK;
    TRY(text_writer_room(w, (size_t)n, &out, err));
    memset(out, ' ', (size_t)n);
    w->size += (size_t)n;
    return ST_OK;
}

const struct function functions_mysql[] = {
    {"elt", 2, 1000, bind_signature, kernel_text_rows, 0, false, "IT:L?", .text_row = elt_row},
    {"field", 2, 1000, bind_signature, kernel_fixed_rows, 0, false, "T:I?", .fixed_row = field_row},
    {"format", 2, 2, bind_format, kernel_text_rows, 0, true, .text_row = format_row},
    TEXT_FUNCTION("insert", 4, 4, "TIIT:L", insert_row, 0),
    FIXED_FUNCTION("locate", 2, 3, "TTI:I", locate_row, 0),
    TEXT_FUNCTION("space", 1, 1, "I:L", space_row, 0),
    {0},
};
