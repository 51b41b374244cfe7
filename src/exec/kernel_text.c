/* String functions (functions.md 1.2, 1.3). Each writes its results one behind the other into a text_writer; nothing is allocated a row. */
#include <stdlib.h>
#include <string.h>

#include "exec/kernel_list.h"
#include "exec/kernel_typed.h"
#include "base/unicode.h"

/* ---- binding ---- */

enum { TEXT_UPPER, TEXT_LOWER, TEXT_TRIM, TEXT_LTRIM, TEXT_RTRIM, TEXT_SUBSTR, TEXT_LEFT, TEXT_RIGHT, TEXT_REPLACE, TEXT_REVERSE,
       COUNT_CHARS, COUNT_BYTES, COUNT_BITS, COUNT_POSITION, TEST_STARTS, TEST_ENDS, TEST_CONTAINS };

static int bind_text(struct expr *e, struct error *err)
{
    int op = e->function->op;
    bool sliced = op == TEXT_SUBSTR || op == TEXT_LEFT || op == TEXT_RIGHT;
    TRY(expr_bind_strings(e, 0, sliced ? 1 : e->n_args, err));
    for (uint32_t i = 1; sliced && i < e->n_args; i++) {
        if (!type_is_integer(e->args[i]->type) && e->args[i]->type->id != TYPE_NULL)
            return expr_type_error(e, err);
        TRY(expr_bind_cast(e, i, type_of(TYPE_INT64), err));
    }
    const struct dtype *t = e->args[0]->type;
    bool keeps = op == TEXT_TRIM || op == TEXT_LTRIM || op == TEXT_RTRIM || op == TEXT_LEFT || op == TEXT_RIGHT;
    if (op == TEXT_SUBSTR)
        e->type = type_of(TYPE_UTF8_VIEW);
    else
        e->type = type_of(t->id == TYPE_LARGE_UTF8 ? TYPE_LARGE_UTF8 : t->id == TYPE_UTF8_VIEW && keeps ? TYPE_UTF8_VIEW : TYPE_UTF8);
    return ST_OK;
}

static int bind_count(struct expr *e, struct error *err)
{
    TRY(expr_bind_strings(e, 0, e->n_args, err));
    e->type = type_of(e->args[0]->type->id == TYPE_LARGE_UTF8 ? TYPE_INT64 : TYPE_INT32);
    return ST_OK;
}

static int bind_test(struct expr *e, struct error *err)
{
    TRY(expr_bind_strings(e, 0, e->n_args, err));
    e->type = type_of(TYPE_BOOL);
    return ST_OK;
}

/* The widest kind among the arguments; all of them become strings. */
static int bind_concat(struct expr *e, struct error *err)
{
    enum type_id kind = TYPE_UTF8;
    for (uint32_t i = 0; i < e->n_args && e->function->op; i++)
        if (type_is_list(e->args[i]->type))
            return list_bind_joined(e, err);
    for (uint32_t i = 0; i < e->n_args; i++) {
        enum type_id id = (enum type_id)e->args[i]->type->id;
        if (id == TYPE_UTF8_VIEW || (id == TYPE_LARGE_UTF8 && kind == TYPE_UTF8))
            kind = id;
        if (!type_is_string(e->args[i]->type))
            TRY(expr_bind_cast(e, i, type_of(TYPE_UTF8), err));
    }
    e->type = type_of(kind);
    e->nullable = e->function->op && e->nullable;
    return ST_OK;
}

/* ---- kernels ---- */

static bool in_set(const uint8_t *set, size_t n, const uint8_t *c, size_t size)
{
    for (size_t i = 0; i < n;) {
        size_t m = unicode_skip(set + i, n - i, 1);
        if (m == size && memcmp(set + i, c, m) == 0)
            return true;
        i += m;
    }
    return false;
}

static void trim(int op, const uint8_t **p, size_t *n, const uint8_t *set, size_t set_size)
{
    while (op != TEXT_RTRIM && *n) {
        size_t m = unicode_skip(*p, *n, 1);
        if (!in_set(set, set_size, *p, m))
            break;
        *p += m;
        *n -= m;
    }
    while (op != TEXT_LTRIM && *n) {
        size_t from = unicode_last(*p, *n);
        if (!in_set(set, set_size, *p + from, *n - from))
            break;
        *n = from;
    }
}

/* SQL's substring: positions from 1; a start before that uses up length. */
static int substr(const struct value *args, uint32_t n_args, int64_t row, const uint8_t **p, size_t *n, struct error *err)
{
    int64_t start = value_int64(&args[1], row), end = INT64_MAX;
    if (n_args == 3) {
        int64_t length = value_int64(&args[2], row);
        if (length < 0)
            return error_set(err, ST_EXECUTE_QUERY, "negative substring length not allowed: substr(<str>, %lld, %lld)", (long long)start, (long long)length);
        if (__builtin_add_overflow(start, length, &end))
            end = INT64_MAX;
    }
    if (start < 1)
        start = 1;
    size_t skipped = unicode_skip(*p, *n, start - 1);
    *p += skipped;
    *n = end <= start ? 0 : unicode_skip(*p, *n - skipped, end - start);
    return ST_OK;
}

static void left_right(bool left, int64_t k, const uint8_t **p, size_t *n)
{
    int64_t chars = unicode_chars(*p, *n), kept = k >= 0 ? (k < chars ? k : chars) : k < -chars ? 0 : chars + k;
    size_t at = unicode_skip(*p, *n, left ? kept : chars - kept);
    if (left) {
        *n = at;
    } else {
        *p += at;
        *n -= at;
    }
}

static int replace(struct text_writer *w, const struct value *args, int64_t row, const uint8_t *p, size_t n, struct error *err)
{
    int32_t from_size, to_size;
    const uint8_t *from = value_bytes(&args[1], row, &from_size), *to = value_bytes(&args[2], row, &to_size);
    for (size_t i = 0; i < n;) {
        const uint8_t *hit = from_size ? memmem(p + i, n - i, from, (size_t)from_size) : p + i;
        size_t until = hit ? (size_t)(hit - p) : n;
        TRY(text_writer_put(w, p + i, until - i, err));
        if (hit)
            TRY(text_writer_put(w, to, (size_t)to_size, err));
        i = until + (size_t)from_size;
        if (!from_size) {
            size_t m = unicode_skip(p + until, n - until, 1);
            TRY(text_writer_put(w, p + until, m, err));
            i = until + m;
        }
    }
    return from_size ? ST_OK : text_writer_put(w, to, (size_t)to_size, err);
}

static int cased(struct text_writer *w, const uint8_t *p, size_t n, bool upper, struct error *err)
{
    uint8_t *out;
    TRY(text_writer_room(w, n * UNICODE_CASE_MAX, &out, err));
    w->size += upper ? unicode_upper(p, n, out) : unicode_lower(p, n, out);
    return ST_OK;
}

static int reverse(struct text_writer *w, const uint8_t *p, size_t n, struct error *err)
{
    uint8_t *out;
    TRY(text_writer_room(w, n, &out, err));
    w->size += n;
    for (size_t i = 0; i < n;) {
        size_t m = unicode_skip(p + i, n - i, 1);
        memcpy(out + n - i - m, p + i, m);
        i += m;
    }
    return ST_OK;
}

static int text_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    const struct expr *e = c->e;
    const struct value *args = c->args;
    int32_t size, set_size = 1;
    const uint8_t *p = value_bytes(&args[0], row, &size), *set = (const uint8_t *)" ";
    size_t n = (size_t)size;
    int op = e->function->op;
    (void)ret_null;
    switch (op) {
    case TEXT_UPPER: case TEXT_LOWER: return cased(w, p, n, op == TEXT_UPPER, err);
    case TEXT_REPLACE: return replace(w, args, row, p, n, err);
    case TEXT_REVERSE: return reverse(w, p, n, err);
    case TEXT_SUBSTR: TRY(substr(args, e->n_args, row, &p, &n, err)); break;
    case TEXT_LEFT: case TEXT_RIGHT: left_right(op == TEXT_LEFT, value_int64(&args[1], row), &p, &n); break;
    default:
        if (e->n_args > 1)
            set = value_bytes(&args[1], row, &set_size);
        trim(op, &p, &n, set, (size_t)set_size);
    }
    return text_writer_put(w, p, n, err);
}

/* concat() reads NULL as empty; the operator || is strict (op 1). */
static int kernel_concat(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct text_writer w;
    struct buffer *validity = NULL;
    int64_t nulls = 0;
    TRY(text_writer_init(&w, ctx->budget, rows, 0, err));
    int st = e->function->op ? kernel_validity(ctx->budget, args, e->n_args, rows, &validity, &nulls, err) : ST_OK;
    for (int64_t i = 0; st == ST_OK && i < rows; i++) {
        bool here = !validity || bit_get(validity->data, i);
        for (uint32_t k = 0; here && st == ST_OK && k < e->n_args; k++) {
            int32_t n;
            if (value_is_null(&args[k], i))
                continue;
            const uint8_t *p = value_bytes(&args[k], i, &n);
            st = text_writer_put(&w, p, (size_t)n, err);
        }
        text_writer_end_row(&w, i);
    }
    if (st == ST_OK)
        return text_writer_finish(&w, e->type, rows, validity, nulls, ret, err);
    text_writer_release(&w);
    buffer_unref(validity);
    return st;
}

static int64_t count_row(int op, const struct value *args, int64_t row)
{
    int32_t size, needle_size;
    const uint8_t *p = value_bytes(&args[0], row, &size), *needle, *hit;
    switch (op) {
    case COUNT_CHARS: return unicode_chars(p, (size_t)size);
    case COUNT_BYTES: return size;
    case COUNT_BITS: return (int64_t)size * 8;
    default:
        needle = value_bytes(&args[1], row, &needle_size);
        hit = needle_size ? memmem(p, (size_t)size, needle, (size_t)needle_size) : p;
        return hit ? unicode_chars(p, (size_t)(hit - p)) + 1 : 0;
    }
}

static int kernel_count(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *validity, *values;
    int64_t nulls;
    bool wide = e->type->id == TYPE_INT64;
    TRY(kernel_validity(ctx->budget, args, e->n_args, rows, &validity, &nulls, err));
    int st = buffer_new(ctx->budget, (size_t)rows * (wide ? 8 : 4), &values, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        return st;
    }
    for (int64_t i = 0; i < rows; i++) {
        if (validity && !bit_get(validity->data, i))
            continue;
        int64_t v = count_row(e->function->op, args, i);
        if (wide)
            ((int64_t *)(void *)values->data)[i] = v;
        else
            ((int32_t *)(void *)values->data)[i] = (int32_t)v;
    }
    return column_new(e->type, rows, nulls, validity, values, NULL, ret, err);
}

static int test_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    int32_t n, m;
    int op = c->e->function->op;
    const uint8_t *p = value_bytes(&c->args[0], row, &n), *q = value_bytes(&c->args[1], row, &m);
    bool *holds = ret_value;
    (void)ret_null;
    (void)err;
    if (m > n || m == 0)
        *holds = m == 0;
    else if (op == TEST_CONTAINS)
        *holds = memmem(p, (size_t)n, q, (size_t)m) != NULL;
    else
        *holds = memcmp(op == TEST_STARTS ? p : p + n - m, q, (size_t)m) == 0;
    return ST_OK;
}

const struct function functions_text[] = {
    {"upper", 1, 1, bind_text, kernel_text_rows, TEXT_UPPER, true, .text_row = text_row},
    {"lower", 1, 1, bind_text, kernel_text_rows, TEXT_LOWER, true, .text_row = text_row},
    {"btrim", 1, 2, bind_text, kernel_text_rows, TEXT_TRIM, true, .text_row = text_row},
    {"trim", 1, 2, bind_text, kernel_text_rows, TEXT_TRIM, true, .text_row = text_row},
    {"ltrim", 1, 2, bind_text, kernel_text_rows, TEXT_LTRIM, true, .text_row = text_row},
    {"rtrim", 1, 2, bind_text, kernel_text_rows, TEXT_RTRIM, true, .text_row = text_row},
    {"substring", 2, 3, bind_text, kernel_text_rows, TEXT_SUBSTR, true, .text_row = text_row},
    {"substr", 2, 3, bind_text, kernel_text_rows, TEXT_SUBSTR, true, .text_row = text_row},
    {"left", 2, 2, bind_text, kernel_text_rows, TEXT_LEFT, true, .text_row = text_row},
    {"right", 2, 2, bind_text, kernel_text_rows, TEXT_RIGHT, true, .text_row = text_row},
    {"replace", 3, 3, bind_text, kernel_text_rows, TEXT_REPLACE, true, .text_row = text_row},
    {"reverse", 1, 1, bind_text, kernel_text_rows, TEXT_REVERSE, true, .text_row = text_row},
    {"concat", 1, 1000, bind_concat, kernel_concat, 0, false},
    {"str_concat", 2, 2, bind_concat, kernel_concat, 1, true},
    {"character_length", 1, 1, bind_count, kernel_count, COUNT_CHARS, true},
    {"char_length", 1, 1, bind_count, kernel_count, COUNT_CHARS, true},
    {"length", 1, 1, bind_count, kernel_count, COUNT_CHARS, true},
    {"octet_length", 1, 1, bind_count, kernel_count, COUNT_BYTES, true},
    {"bit_length", 1, 1, bind_count, kernel_count, COUNT_BITS, true},
    {"strpos", 2, 2, bind_count, kernel_count, COUNT_POSITION, true},
    {"instr", 2, 2, bind_count, kernel_count, COUNT_POSITION, true},
    {"position", 2, 2, bind_count, kernel_count, COUNT_POSITION, true},
    {"starts_with", 2, 2, bind_test, kernel_fixed_rows, TEST_STARTS, true, .fixed_row = test_row},
    {"ends_with", 2, 2, bind_test, kernel_fixed_rows, TEST_ENDS, true, .fixed_row = test_row},
    {"contains", 2, 2, bind_test, kernel_fixed_rows, TEST_CONTAINS, true, .fixed_row = test_row},
    {0},
};
