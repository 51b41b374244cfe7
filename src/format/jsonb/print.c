/* JSONB to text in the peer's form: no spaces, keys as they are, strings with Rust's debug escapes, of which \u{..} becomes JSON's \uXXXX. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <utf8proc.h>

#include "base/number.h"
#include "base/text.h"
#include "format/jsonb/internal.h"

int jsonb_print_number(const struct jsonb_number *n, struct dynbuf *out, struct error *err)
{
    char text[NUMBER_RYU_MAX];
    if (n->form == JSONB_INT)
        return dynbuf_printf(out, err, "%" PRId64, n->i);
    if (n->form == JSONB_UINT)
        return dynbuf_printf(out, err, "%" PRIu64, n->u);
    return dynbuf_append(out, text, number_ryu(n->f, false, text), err);
}

/* What Rust shows as it is: no controls, formats, unassigned, private or surrogate characters, no spaces but ' ', and nothing that extends a
 * grapheme. */
static bool is_plain(utf8proc_int32_t c)
{
    const utf8proc_property_t *p = utf8proc_get_property(c);
    switch ((utf8proc_category_t)p->category) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return c == ' ';
    default:
        break;
    }
    bool modifier = c >= 0x1f3fb && c <= 0x1f3ff; /* of skin tone: extends clusters, but is not Grapheme_Extend */
    return p->boundclass != UTF8PROC_BOUNDCLASS_EXTEND || modifier;
}

static int print_char(const uint8_t *p, size_t n, utf8proc_int32_t c, struct dynbuf *out, struct error *err)
{
    static const char plain[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
    const char *simple = c ? memchr(plain, c < 0x80 ? c : 0, sizeof plain - 1) : NULL;
    if (simple)
        return dynbuf_printf(out, err, "\\%c", letters[simple - plain]);
    if (c == 0)
        return dynbuf_append(out, "\\0", 2, err);
    return is_plain(c) ? dynbuf_append(out, p, n, err) : dynbuf_printf(out, err, "\\u{%x}", (unsigned)c);
}

static int print_string(const uint8_t *p, size_t n, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_append_byte(out, '"', err));
    for (size_t i = 0, used; i < n; i += used) {
        utf8proc_int32_t c = p[i];
        for (used = 0; i + used < n && p[i + used] >= ' ' && p[i + used] < 127 && p[i + used] != '"' && p[i + used] != '\\'; used++)
            ;
        if (used) {
            TRY(dynbuf_append(out, p + i, used, err));
            continue;
        }
        used = utf8_length(p + i, n - i);
        if (used == 0)
            return error_set(err, ST_CORRUPT, "JSONB: a string that is not UTF-8");
        if (used > 1)
            utf8proc_iterate(p + i, (utf8proc_ssize_t)used, &c);
        TRY(print_char(p + i, used, c, out, err));
    }
    return dynbuf_append_byte(out, '"', err);
}

static int print_item(const struct jsonb_item *item, unsigned depth, struct dynbuf *out, struct error *err);

static int print_container(const struct jsonb_item *item, unsigned depth, struct dynbuf *out, struct error *err)
{
    uint32_t count, seen = 0;
    struct jsonb_walk walk;
    struct jsonb_item key, value;
    enum jsonb_container kind = jsonb_container(item, &count);
    if ((kind != JSONB_ARRAY && kind != JSONB_OBJECT) || depth > JSONB_DEPTH_MAX || !jsonb_walk_start(item, kind, &walk))
        return error_set(err, ST_CORRUPT, "JSONB: a container that is none, or nested deeper than %d", JSONB_DEPTH_MAX);
    TRY(dynbuf_append_byte(out, kind == JSONB_OBJECT ? '{' : '[', err));
    for (; jsonb_walk_next(&walk, &key, &value); seen++) {
        if (seen)
            TRY(dynbuf_append_byte(out, ',', err));
        if (kind == JSONB_OBJECT) {
            if (key.kind != JSONB_STRING || !utf8_valid(key.data, key.size))
                return error_set(err, ST_CORRUPT, "JSONB: a key that is no string");
            TRY(dynbuf_append_byte(out, '"', err));
            TRY(dynbuf_append(out, key.data, key.size, err));
            TRY(dynbuf_append(out, "\":", 2, err));
        }
        TRY(print_item(&value, depth, out, err));
    }
    if (seen != count)
        return error_set(err, ST_CORRUPT, "JSONB: a container of %u members is cut off behind %u", count, seen);
    return dynbuf_append_byte(out, kind == JSONB_OBJECT ? '}' : ']', err);
}

static int print_item(const struct jsonb_item *item, unsigned depth, struct dynbuf *out, struct error *err)
{
    struct jsonb_number n;
    switch (item->kind) {
    case JSONB_NULL:
        return dynbuf_append(out, "null", 4, err);
    case JSONB_TRUE:
        return dynbuf_append(out, "true", 4, err);
    case JSONB_FALSE:
        return dynbuf_append(out, "false", 5, err);
    case JSONB_STRING:
        return print_string(item->data, item->size, out, err);
    case JSONB_NUMBER:
        if (!jsonb_number(item, &n))
            return error_set(err, ST_CORRUPT, "JSONB: a number of an unknown form");
        return jsonb_print_number(&n, out, err);
    case JSONB_CONTAINER:
        return print_container(item, depth + 1, out, err);
    default:
        return error_set(err, ST_CORRUPT, "JSONB: a value of an unknown kind, or cut off");
    }
}

/* The length of "\u{X..}" at p with 1 to 6 digits, or 0. */
static size_t braced_escape(const uint8_t *p, size_t n, uint32_t *ret_code)
{
    size_t i = 3;
    uint32_t code = 0;
    if (n < 5 || memcmp(p, "\\u{", 3) != 0)
        return 0;
    for (; i < n && i < 9; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            break;
        code = code << 4 | (uint32_t)digit;
    }
    if (i == 3 || i >= n || p[i] != '}' || code > 0x10ffff)
        return 0;
    *ret_code = code;
    return i + 1;
}

/* Rewrites every \u{X} of the text, also one that stood in it before. */
static int settle_escapes(const uint8_t *p, size_t n, struct dynbuf *out, struct error *err)
{
    uint32_t code = 0;
    for (size_t i = 0, used; i < n;) {
        const uint8_t *next = memchr(p + i, '\\', n - i);
        size_t plain = next ? (size_t)(next - (p + i)) : n - i;
        TRY(dynbuf_append(out, p + i, plain, err));
        i += plain;
        if (!next)
            break;
        used = braced_escape(next, n - i, &code);
        if (!used)
            TRY(dynbuf_append(out, next, used = 1, err));
        else if (code <= 0xffff)
            TRY(dynbuf_printf(out, err, "\\u%04X", code));
        else
            TRY(dynbuf_printf(out, err, "\\u%04X\\u%04X", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff)));
        i += used;
    }
    return ST_OK;
}

int jsonb_print(const void *data, size_t size, struct budget *budget, struct dynbuf *out, struct error *err)
{
    struct dynbuf parsed, text;
    struct jsonb_item root = jsonb_root(data, size);
    struct error first = {0};
    dynbuf_init(&parsed, JSONB_SIZE_MAX);
    dynbuf_init(&text, (size_t)INT32_MAX);
    int st = print_item(&root, 0, &text, &first);
    if (st == ST_CORRUPT) { /* JSON text of an early version? */
        text.size = 0;
        st = jsonb_parse(data, size, budget, &parsed, NULL);
        if (st == ST_OK) {
            root = jsonb_root(parsed.data, parsed.size);
            st = print_item(&root, 0, &text, err);
        } else if (st == ST_INVALID_ARGUMENTS) {
            st = error_set(err, ST_CORRUPT, "%s", first.msg);
        } else {
            error_set(err, (enum status)st, "%s", first.msg);
        }
    } else if (st != ST_OK && err) {
        *err = first;
    }
    if (st == ST_OK)
        st = settle_escapes(text.data, text.size, out, err);
    dynbuf_release(&parsed);
    dynbuf_release(&text);
    return st;
}
