/* String functions that look at one row's text as a whole: padding, splitting, mapping (functions.md 1.1 to 1.3). kernel_text.c has the plain slices.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/kernel_typed.h"
#include "base/unicode.h"
#include "os/thread.h"

/* ---- numbers of a text ---- */

static int ascii_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n;
    int32_t first = 0;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    (void)ret_null;
    (void)err;
    if (n)
        unicode_read(p, n, &first);
    memcpy(ret_value, &first, 4);
    return ST_OK;
}

static void put_count(const struct call *c, int64_t v, void *ret_value)
{
    memcpy(ret_value, &v, (size_t)type_width(c->e->type)); /* little-endian: the low half of it is the Int32 */
}

/* The item's place in a comma-separated list, from 1. An empty list has one empty item. */
static int find_in_set_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n, list_size, at = 0;
    const uint8_t *p = value_text(&c->args[0], row, &n), *list = value_text(&c->args[1], row, &list_size);
    int64_t place = 1, found = 0;
    (void)ret_null;
    (void)err;
    for (; !found && at <= list_size; place++) {
        const uint8_t *comma = at < list_size ? memchr(list + at, ',', list_size - at) : NULL;
        size_t end = comma ? (size_t)(comma - list) : list_size;
        if (end - at == n && memcmp(list + at, p, n) == 0)
            found = place;
        at = end + 1;
    }
    put_count(c, found, ret_value);
    return ST_OK;
}

static int32_t *decode(const uint8_t *p, size_t n, size_t *ret_chars)
{
    int32_t *chars = malloc((n + 1) * sizeof *chars);
    *ret_chars = 0;
    for (size_t i = 0; chars && i < n;)
        i += unicode_read(p + i, n - i, &chars[(*ret_chars)++]);
    return chars;
}

/* Edit distance with one row of the table; long texts can be stopped. */
static int distance(const struct call *c, const int32_t *a, size_t n, const int32_t *b, size_t m, uint32_t *line, int64_t *ret, struct error *err)
{
    for (size_t k = 0; k <= m; k++)
        line[k] = (uint32_t)k;
    for (size_t i = 0; i < n; i++) {
        uint32_t diagonal = line[0];
        line[0] = (uint32_t)i + 1;
        if ((i & 255) == 255)
            TRY(work_check(c->ctx->work, err));
        for (size_t k = 0; k < m; k++) {
            uint32_t change = diagonal + (a[i] != b[k]), least = line[k] < line[k + 1] ? line[k] : line[k + 1];
            diagonal = line[k + 1];
            line[k + 1] = change <= least ? change : least + 1;
        }
    }
    *ret = line[m];
    return ST_OK;
}

static int levenshtein_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n, m;
    const uint8_t *p = value_text(&c->args[0], row, &n), *q = value_text(&c->args[1], row, &m);
    size_t scratch_bytes = (n + 2 * m + 3) * sizeof(int32_t);
    int64_t changes = 0;
    (void)ret_null;
    TRY(budget_charge(c->ctx->budget, scratch_bytes, err));
    int32_t *a = decode(p, n, &n), *b = decode(q, m, &m);
    uint32_t *line = malloc((m + 1) * sizeof *line);
    int st = a && b && line ? distance(c, a, n, b, m, line, &changes, err) : error_no_memory(err, scratch_bytes);
    if (st == ST_OK)
        put_count(c, changes, ret_value);
    free(a);
    free(b);
    free(line);
    budget_release(c->ctx->budget, scratch_bytes);
    return st;
}

/* 64 bits when both texts have a large type in common; a view makes it none. */
static int bind_levenshtein(struct expr *e, struct error *err)
{
    bool view = e->args[0]->type->id == TYPE_UTF8_VIEW || e->args[1]->type->id == TYPE_UTF8_VIEW;
    bool large = e->args[0]->type->id == TYPE_LARGE_UTF8 || e->args[1]->type->id == TYPE_LARGE_UTF8;
    TRY(bind_signature(e, err));
    e->type = type_of(large && !view ? TYPE_INT64 : TYPE_INT32);
    return ST_OK;
}

/* ---- texts of a number ---- */

static int chr_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    int64_t code = value_int64(&c->args[0], row);
    uint8_t out[4];
    (void)ret_null;
    if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return error_set(err, ST_EXECUTE_QUERY, "invalid Unicode scalar value: %lld", (long long)code);
    return text_writer_put(w, out, unicode_write((int32_t)code, out), err);
}

/* A negative number of any width is shown with 64 bits. */
static int to_hex_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    (void)ret_null;
    return text_writer_printf(w, err, "%llx", (unsigned long long)value_int64(&c->args[0], row));
}

static int bind_hex(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type;
    if (!type_is_integer(t) && t->id != TYPE_NULL)
        return expr_type_error(e, err);
    if (t->id != TYPE_UINT64)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_INT64), err));
    e->type = type_of(TYPE_UTF8);
    return ST_OK;
}

static int uuid_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    char text[37];
    (void)c;
    (void)row;
    (void)ret_null;
    uuid_v4(text);
    return text_writer_put(w, text, 36, err);
}

/* ---- texts of texts ---- */

static int concat_ws_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n, separator_size;
    bool first = true;
    if (value_is_null(&c->args[0], row)) {
        *ret_null = true;
        return ST_OK;
    }
    const uint8_t *separator = value_text(&c->args[0], row, &separator_size);
    for (uint32_t k = 1; k < c->e->n_args; k++) {
        if (value_is_null(&c->args[k], row))
            continue;
        if (!first)
            TRY(text_writer_put(w, separator, separator_size, err));
        const uint8_t *p = value_text(&c->args[k], row, &n);
        TRY(text_writer_put(w, p, n, err));
        first = false;
    }
    return ST_OK;
}

static int repeat_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    uint8_t *out;
    int64_t times = value_int64(&c->args[1], row);
    (void)ret_null;
    if (times <= 0 || n == 0)
        return ST_OK;
    if (times > INT32_MAX / (int64_t)n)
        return error_set(err, ST_EXECUTE_QUERY, "string size overflow on repeat: %zu bytes, %lld times", n, (long long)times);
    TRY(text_writer_room(w, n * (size_t)times, &out, err));
    for (int64_t i = 0; i < times; i++, out += n)
        memcpy(out, p, n);
    w->size += n * (size_t)times;
    return ST_OK;
}

/* The last place of the needle in the text, or NULL. */
static const uint8_t *find_last(const uint8_t *p, size_t n, const uint8_t *needle, size_t size)
{
    for (size_t i = n >= size ? n - size + 1 : 0; i > 0; i--)
        if (memcmp(p + i - 1, needle, size) == 0)
            return p + i - 1;
    return NULL;
}

/* The part between the delimiters n - 1 and n; from the end for n < 0. */
static int split_part_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n, size;
    const uint8_t *p = value_text(&c->args[0], row, &n), *delimiter = value_text(&c->args[1], row, &size), *hit;
    int64_t part = value_int64(&c->args[2], row);
    (void)ret_null;
    if (part == 0)
        return error_set(err, ST_EXECUTE_QUERY, "field position must not be zero");
    if (size == 0)
        return part == 1 || part == -1 ? text_writer_put(w, p, n, err) : ST_OK;
    for (; part > 1; part--) {
        if (!(hit = memmem(p, n, delimiter, size)))
            return ST_OK;
        n -= (size_t)(hit + size - p);
        p = hit + size;
    }
    for (; part < -1; part++) {
        if (!(hit = find_last(p, n, delimiter, size)))
            return ST_OK;
        n = (size_t)(hit - p);
    }
    if (part == 1)
        return text_writer_put(w, p, (hit = memmem(p, n, delimiter, size)) ? (size_t)(hit - p) : n, err);
    hit = find_last(p, n, delimiter, size);
    return hit ? text_writer_put(w, hit + size, n - (size_t)(hit + size - p), err) : text_writer_put(w, p, n, err);
}

/* What is before the n-th delimiter, or behind the n-th from the end; the whole when there are fewer. */
static int substr_index_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n, size, left;
    const uint8_t *p = value_text(&c->args[0], row, &n), *delimiter = value_text(&c->args[1], row, &size), *at = p, *hit = NULL;
    int64_t count = value_int64(&c->args[2], row);
    (void)ret_null;
    if (count == 0 || n == 0 || size == 0)
        return ST_OK;
    if (count > 0) {
        for (left = n; count > 0 && (hit = memmem(at, left, delimiter, size)); count--) {
            left -= (size_t)(hit + size - at);
            at = hit + size;
        }
        return text_writer_put(w, p, hit ? (size_t)(hit - p) : n, err);
    }
    for (left = n; count < 0 && (hit = find_last(p, left, delimiter, size)); count++)
        left = (size_t)(hit - p);
    return hit ? text_writer_put(w, hit + size, n - (size_t)(hit + size - p), err) : text_writer_put(w, p, n, err);
}

/* A word starts behind whatever is neither letter nor digit. */
static int initcap_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    uint8_t *out, *start;
    bool inside = false;
    (void)ret_null;
    TRY(text_writer_room(w, n * UNICODE_CASE_MAX, &out, err));
    start = out;
    for (size_t i = 0; i < n;) {
        int32_t ch;
        size_t used = unicode_read(p + i, n - i, &ch);
        if (used == 1 && p[i] >= 0x80)
            *out++ = p[i];
        else
            out += inside ? unicode_lower_char(ch, out) : unicode_upper_char(ch, out);
        inside = unicode_is_alphanumeric(ch);
        i += used;
    }
    w->size += (size_t)(out - start);
    return ST_OK;
}

/* `count` characters from the fill text, again and again. */
static int put_fill(struct text_writer *w, int64_t count, const uint8_t *fill, size_t size, struct error *err)
{
    int64_t chars = unicode_chars(fill, size);
    uint8_t *out;
    size_t whole = (size_t)(count / chars), rest = unicode_skip(fill, size, count % chars);
    if (whole > INT32_MAX / size)
        return error_set(err, ST_EXECUTE_QUERY, "the strings of a batch exceed 2 GiB");
    TRY(text_writer_room(w, whole * size + rest, &out, err));
    if (size == 1)
        memset(out, *fill, whole);
    for (size_t i = 0; i < whole && size > 1; i++)
        memcpy(out + i * size, fill, size);
    memcpy(out + whole * size, fill, rest);
    w->size += whole * size + rest;
    return ST_OK;
}

enum { PAD_LEFT, PAD_RIGHT };

/* The length counts grapheme clusters of the text and characters of the fill, as in the peer. */
static int pad_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n, fill_size = 1, at = 0;
    const uint8_t *p = value_text(&c->args[0], row, &n), *fill = (const uint8_t *)" ";
    int64_t length = value_int64(&c->args[1], row), clusters = 0;
    bool left = c->e->function->op == PAD_LEFT;
    (void)ret_null;
    if (c->e->n_args > 2)
        fill = value_text(&c->args[2], row, &fill_size);
    if (length > INT32_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "%s requested length %lld too large", c->e->function->name, (long long)length);
    for (; at < n && clusters < length; clusters++)
        at += unicode_grapheme(p + at, n - at);
    bool pads = clusters < length && fill_size > 0;
    if (pads && left)
        TRY(put_fill(w, length - clusters, fill, fill_size, err));
    TRY(text_writer_put(w, p, at, err));
    return pads && !left ? put_fill(w, length - clusters, fill, fill_size, err) : ST_OK;
}

/* The first cluster of `from` that equals the one given; false when there is none. *ret_to: its partner, of size 0 without one. */
static bool mapped(const uint8_t *from, size_t from_size, const uint8_t *to, size_t to_size, const uint8_t *cluster, size_t size,
                   const uint8_t **ret_to, size_t *ret_size)
{
    for (size_t i = 0, k = 0; i < from_size;) {
        size_t m = unicode_grapheme(from + i, from_size - i), partner = unicode_grapheme(to + k, to_size - k);
        if (m == size && memcmp(from + i, cluster, m) == 0) {
            *ret_to = to + k;
            *ret_size = partner;
            return true;
        }
        i += m;
        k += partner;
    }
    return false;
}

static int translate_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n, from_size, to_size, size;
    const uint8_t *p = value_text(&c->args[0], row, &n), *from = value_text(&c->args[1], row, &from_size),
                  *to = value_text(&c->args[2], row, &to_size);
    (void)ret_null;
    for (size_t i = 0, m; i < n; i += m) {
        m = unicode_grapheme(p + i, n - i);
        const uint8_t *put = p + i;
        size = m;
        mapped(from, from_size, to, to_size, p + i, m, &put, &size);
        TRY(text_writer_put(w, put, size, err));
    }
    return ST_OK;
}

/* The text with `length` characters from `start` on replaced; both count characters (the peer mixes in bytes and then fails on some texts). */
static int overlay_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n, by_size;
    const uint8_t *p = value_text(&c->args[0], row, &n), *by = value_text(&c->args[1], row, &by_size);
    int64_t chars = unicode_chars(p, n), start = value_int64(&c->args[2], row), length = unicode_chars(by, by_size), end;
    (void)ret_null;
    if (c->e->n_args > 3) {
        length = value_int64(&c->args[3], row);
        length = length < chars ? length : chars;
    }
    if (start > 1 && start - 1 < chars)
        TRY(text_writer_put(w, p, unicode_skip(p, n, start - 1), err));
    TRY(text_writer_put(w, by, by_size, err));
    if (__builtin_add_overflow(start, length, &end))
        end = start < 0 ? INT64_MIN + 1 : INT64_MAX;
    if (end - 1 >= chars)
        return ST_OK;
    size_t at = unicode_skip(p, n, end - 1);
    return text_writer_put(w, p + at, n - at, err);
}

const struct function functions_string[] = {
    FIXED_FUNCTION("ascii", 1, 1, "T:i", ascii_row, 0),
    FIXED_FUNCTION("find_in_set", 2, 2, "TT:2", find_in_set_row, 0),
    {"levenshtein", 2, 2, bind_levenshtein, kernel_fixed_rows, 0, true, "TT:2", .fixed_row = levenshtein_row},
    TEXT_FUNCTION("chr", 1, 1, "I:u", chr_row, 0),
    {"to_hex", 1, 1, bind_hex, kernel_text_rows, 0, true, .text_row = to_hex_row},
    {"uuid", 0, 0, bind_signature, kernel_text_rows, 0, false, ":u", .text_row = uuid_row, .per_row = true},
    {"concat_ws", 1, 1000, bind_signature, kernel_text_rows, 0, false, "T:u", .text_row = concat_ws_row},
    TEXT_FUNCTION("repeat", 2, 2, "TI:1", repeat_row, 0),
    TEXT_FUNCTION("split_part", 3, 3, "TTI:1", split_part_row, 0),
    TEXT_FUNCTION("substr_index", 3, 3, "TTI:1", substr_index_row, 0),
    TEXT_FUNCTION("substring_index", 3, 3, "TTI:1", substr_index_row, 0),
    TEXT_FUNCTION("initcap", 1, 1, "T:s", initcap_row, 0),
    TEXT_FUNCTION("lpad", 2, 3, "TIT:1", pad_row, PAD_LEFT),
    TEXT_FUNCTION("rpad", 2, 3, "TIT:1", pad_row, PAD_RIGHT),
    TEXT_FUNCTION("translate", 3, 3, "TTT:1", translate_row, 0),
    TEXT_FUNCTION("overlay", 3, 4, "TTI:1", overlay_row, 0),
    {0},
};
