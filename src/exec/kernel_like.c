/* LIKE, ILIKE and the regular expression operators (functions.md 4.5, 4.7).
 *
 * A pattern is compiled once when it is a literal, else whenever it differs from the row before. LIKE patterns become literal bytes and two wildcards;
 * the common shapes (no wildcard inside) are compared directly.
 */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "exec/expr_internal.h"
#include "exec/regex.h"

enum { OP_FOLD = 1, OP_NEGATE = 2, OP_REGEX = 4 };
enum { ANY_ONE = 256, ANY_RUN = 257, REGEX_BYTES_MAX = 10 << 20 };

struct pattern {
    uint8_t *source;           /* what it was compiled from */
    int32_t source_size;
    uint16_t *items;           /* bytes, ANY_ONE, ANY_RUN */
    size_t n_items;
    uint8_t *literal;          /* the bytes alone */
    size_t n_literal;
    bool simple, run_before, run_after; /* [%]literal[%] */
    struct regex *regex;
    uint8_t *folded;           /* scratch for ILIKE */
    size_t folded_room;
};

static void pattern_release(struct pattern *p)
{
    free(p->source);
    free(p->items);
    free(p->literal);
    free(p->folded);
    regex_free(p->regex);
}

/* Lower case by code points; bytes that are not UTF-8 stay. A code point never grows beyond 4 bytes. */
static size_t fold(const uint8_t *text, size_t n, uint8_t *out)
{
    size_t at = 0;
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t c;
        if (text[i] < 0x80) {
            out[at++] = text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i];
            i++;
            continue;
        }
        utf8proc_ssize_t used = utf8proc_iterate(text + i, (utf8proc_ssize_t)(n - i), &c);
        if (used <= 0) {
            out[at++] = text[i++];
            continue;
        }
        at += (size_t)utf8proc_encode_char(utf8proc_tolower(c), out + at);
        i += (size_t)used;
    }
    return at;
}

static int fold_text(struct pattern *p, const uint8_t **text, int32_t *n, struct error *err)
{
    size_t room = (size_t)*n * 4 + 4;
    if (room > p->folded_room) {
        uint8_t *bigger = realloc(p->folded, room);
        if (!bigger)
            return error_no_memory(err, room);
        p->folded = bigger;
        p->folded_room = room;
    }
    size_t size = fold(*text, (size_t)*n, p->folded);
    if (size > INT32_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "a string is too long");
    *text = p->folded;
    *n = (int32_t)size;
    return ST_OK;
}

static int compile_like(struct pattern *p, const uint8_t *text, int32_t n, struct error *err)
{
    p->items = malloc(((size_t)n + 1) * sizeof *p->items);
    p->literal = malloc((size_t)n + 1);
    if (!p->items || !p->literal)
        return error_no_memory(err, (size_t)n * 3);
    p->n_items = p->n_literal = 0;
    for (int32_t i = 0; i < n; i++) {
        if (text[i] == '%') {
            if (!p->n_items || p->items[p->n_items - 1] != ANY_RUN)
                p->items[p->n_items++] = ANY_RUN;
            continue;
        }
        if (text[i] == '_') {
            p->items[p->n_items++] = ANY_ONE;
            continue;
        }
        if (text[i] == '\\' && i + 1 < n)
            i++;
        p->items[p->n_items++] = text[i];
        p->literal[p->n_literal++] = text[i];
    }
    p->run_before = p->n_items && p->items[0] == ANY_RUN;
    p->run_after = p->n_items > 1 && p->items[p->n_items - 1] == ANY_RUN;
    p->simple = p->n_literal + p->run_before + p->run_after == p->n_items;
    return ST_OK;
}

static int compile(struct pattern *p, int op, const uint8_t *text, int32_t n, struct error *err)
{
    if (p->source && p->source_size == n && memcmp(p->source, text, (size_t)n) == 0)
        return ST_OK;
    free(p->source);
    free(p->items);
    free(p->literal);
    regex_free(p->regex);
    p->source = NULL;
    p->items = NULL;
    p->literal = NULL;
    p->regex = NULL;
    if (op & OP_REGEX) {
        char why[200];
        p->regex = regex_new((const char *)text, (size_t)n, "i", op & OP_FOLD ? 1 : 0, REGEX_BYTES_MAX, why, sizeof why);
        if (!p->regex)
            return error_set(err, ST_EXECUTE_QUERY, "Compute error: Regular expression did not compile: %s", why);
    } else {
        const uint8_t *folded = text;
        int32_t size = n;
        if (op & OP_FOLD)
            TRY(fold_text(p, &folded, &size, err));
        TRY(compile_like(p, folded, size, err));
    }
    p->source = malloc((size_t)n + 1);
    if (!p->source)
        return error_no_memory(err, (size_t)n);
    memcpy(p->source, text, (size_t)n);
    p->source_size = n;
    return ST_OK;
}

/* Bytes of the character at `i`. */
static size_t step(const uint8_t *text, size_t i, size_t n)
{
    size_t from = i++;
    while (i < n && (text[i] & 0xc0) == 0x80)
        i++;
    return i - from;
}

/* Greedy with one point to come back to: the last run. */
static bool wildcard(const struct pattern *p, const uint8_t *text, size_t n)
{
    size_t i = 0, k = 0, back_i = 0, back_k = SIZE_MAX;
    while (i < n) {
        if (k < p->n_items && p->items[k] == ANY_RUN) {
            back_k = ++k;
            back_i = i;
            if (k == p->n_items)
                return true;
        } else if (k < p->n_items && p->items[k] == ANY_ONE) {
            i += step(text, i, n);
            k++;
        } else if (k < p->n_items && p->items[k] == text[i]) {
            i++;
            k++;
        } else if (back_k != SIZE_MAX) {
            back_i += step(text, back_i, n);
            i = back_i;
            k = back_k;
        } else {
            return false;
        }
    }
    while (k < p->n_items && p->items[k] == ANY_RUN)
        k++;
    return k == p->n_items;
}

static bool matches(const struct pattern *p, const uint8_t *text, size_t n)
{
    if (p->regex)
        return regex_match(p->regex, (const char *)text, n);
    if (!p->simple)
        return wildcard(p, text, n);
    if (n < p->n_literal)
        return false;
    if (p->run_before && (p->run_after || p->n_literal == 0))
        return p->n_literal == 0 || memmem(text, n, p->literal, p->n_literal);
    if (!p->run_before && !p->run_after && n != p->n_literal)
        return false;
    return memcmp(p->run_before ? text + n - p->n_literal : text, p->literal, p->n_literal) == 0;
}

static int bind_match(struct expr *e, struct error *err)
{
    TRY(expr_bind_strings(e, 0, e->n_args, err));
    if (e->n_args == 3) {
        const struct column *escape = expr_literal(e->args[2]);
        int32_t n = 0;
        if (!escape)
            return error_set(err, ST_UNSUPPORTED, "the escape character of %s is not a literal", e->function->name);
        const uint8_t *c = column_is_null(escape, 0) ? (const uint8_t *)"\\" : column_bytes(escape, 0, &n);
        if (n > 1 || *c != '\\' || (n == 0 && !column_is_null(escape, 0)))
            return error_set(err, ST_EXECUTE_QUERY, "%s does not support escape characters other than the backslash", e->function->name);
        e->nullable = e->args[0]->nullable || e->args[1]->nullable;
    }
    e->type = type_of(TYPE_BOOL);
    return ST_OK;
}

static int match_rows(int op, const struct value *args, int64_t rows, uint8_t *out, struct error *err)
{
    struct pattern p = {0};
    int st = ST_OK;
    for (int64_t i = 0; st == ST_OK && i < rows; i++) {
        int32_t n, pattern_size;
        out[i] = 0;
        if (value_is_null(&args[0], i) || value_is_null(&args[1], i))
            continue;
        if (i == 0 || !p.source || !args[1].scalar) {
            const uint8_t *pattern = value_bytes(&args[1], i, &pattern_size);
            st = compile(&p, op, pattern, pattern_size, err);
        }
        const uint8_t *text = value_bytes(&args[0], i, &n);
        if (st == ST_OK && (op & (OP_FOLD | OP_REGEX)) == OP_FOLD)
            st = fold_text(&p, &text, &n, err);
        if (st == ST_OK)
            out[i] = matches(&p, text, (size_t)n) != ((op & OP_NEGATE) != 0);
    }
    pattern_release(&p);
    return st;
}

static int kernel_match(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct buffer *validity, *bytes;
    int64_t nulls;
    TRY(buffer_new_uninit(ctx->budget, (size_t)rows + 8, &bytes, err));
    int st = match_rows(e->function->op, args, rows, bytes->data, err);
    if (st == ST_OK)
        st = kernel_validity(ctx->budget, args, 2, rows, &validity, &nulls, err);
    if (st == ST_OK)
        st = kernel_bools(ctx->budget, bytes->data, rows, validity, nulls, ret, err);
    buffer_unref(bytes);
    return st;
}

/* ---- patterns as tests of stored texts ---- */

struct match_test {
    struct scan_test base;
    struct pattern pattern;
    bool negate;
};

static bool test_holds(const struct scan_test *base, const uint8_t *text, size_t size)
{
    const struct match_test *t = (const struct match_test *)base;
    return matches(&t->pattern, text, size) != t->negate;
}

static void test_free(struct scan_test *base)
{
    struct match_test *t = (struct match_test *)base;
    pattern_release(&t->pattern);
    free(base->low);
    free(base->high);
    free(t);
}

/* A LIKE that starts with literal bytes finds texts from these on, up to the next string of that size. */
static void like_bounds(struct match_test *t)
{
    size_t n = 0;
    while (n < t->pattern.n_items && t->pattern.items[n] < ANY_ONE)
        n++;
    uint8_t *low = n ? malloc(n) : NULL, *high = n ? malloc(n) : NULL;
    if (!high || !low) {
        free(low);
        free(high);
        return;
    }
    for (size_t i = 0; i < n; i++)
        low[i] = high[i] = (uint8_t)t->pattern.items[i];
    t->base.low = low;
    t->base.low_size = n;
    while (n && high[n - 1] == 0xff)
        n--;
    if (n)
        high[n - 1]++;
    t->base.high = n ? high : NULL;
    t->base.high_size = n;
    if (!n)
        free(high);
}

struct scan_test *match_test_new(const struct expr *e)
{
    int op = e->function->op;
    int32_t n;
    if (e->function->kernel != kernel_match || e->args[1]->kind != EXPR_LITERAL || column_is_null(e->args[1]->literal, 0) ||
        (op & (OP_FOLD | OP_REGEX)) == OP_FOLD)
        return NULL;
    struct match_test *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->base = (struct scan_test){.holds = test_holds, .free = test_free};
    atomic_init(&t->base.refs, 1);
    t->negate = op & OP_NEGATE;
    const uint8_t *text = column_bytes(e->args[1]->literal, 0, &n);
    if (compile(&t->pattern, op, text, n, NULL) != ST_OK) {
        test_free(&t->base);
        return NULL;
    }
    if (!t->negate && t->pattern.regex)
        regex_bounds(t->pattern.regex, &t->base.low, &t->base.low_size, &t->base.high, &t->base.high_size);
    else if (!t->negate)
        like_bounds(t);
    return &t->base;
}

const struct function functions_match[] = {
    {"like", 2, 3, bind_match, kernel_match, 0, true},
    {"ilike", 2, 3, bind_match, kernel_match, OP_FOLD, true},
    {"like_match", 2, 2, bind_match, kernel_match, 0, true},
    {"like_imatch", 2, 2, bind_match, kernel_match, OP_FOLD, true},
    {"like_not_match", 2, 2, bind_match, kernel_match, OP_NEGATE, true},
    {"like_not_imatch", 2, 2, bind_match, kernel_match, OP_FOLD | OP_NEGATE, true},
    {"regex_match", 2, 2, bind_match, kernel_match, OP_REGEX, true},
    {"regex_imatch", 2, 2, bind_match, kernel_match, OP_REGEX | OP_FOLD, true},
    {"regex_not_match", 2, 2, bind_match, kernel_match, OP_REGEX | OP_NEGATE, true},
    {"regex_not_imatch", 2, 2, bind_match, kernel_match, OP_REGEX | OP_FOLD | OP_NEGATE, true},
    {0},
};
