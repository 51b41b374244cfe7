/* The JSON reader: recursive descent over a slice, at most JSON_MAX_DEPTH deep; no byte outside the slice is read. */
#include "format/json/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct parser {
    struct arena *arena;
    const char *start, *p, *end;
    struct error *err;
};

static int bad(struct parser *x, const char *what)
{
    return error_set(x->err, ST_CORRUPT, "JSON: %s at byte %zu", what, (size_t)(x->p - x->start));
}

static void skip_space(struct parser *x)
{
    while (x->p < x->end && (*x->p == ' ' || *x->p == '\t' || *x->p == '\n' || *x->p == '\r'))
        x->p++;
}

static bool read_hex4(struct parser *x, uint32_t *ret)
{
    uint32_t v = 0;
    if (x->end - x->p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit((uint8_t)*x->p++);
        if (digit < 0)
            return false;
        v = v << 4 | (uint32_t)digit;
    }
    *ret = v;
    return true;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* Behind a backslash; writes what it stands for. An escape is never shorter than its UTF-8. */
static int read_escape(struct parser *x, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (x->p == x->end)
        return bad(x, "unfinished escape");
    char c = *x->p++;
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        *(*to)++ = into[at - from];
        return ST_OK;
    }
    uint32_t v, low;
    if (c != 'u' || !read_hex4(x, &v))
        return bad(x, "unknown escape");
    if (v >= 0xd800 && v < 0xe000) {
        if (v >= 0xdc00 || x->end - x->p < 2 || x->p[0] != '\\' || x->p[1] != 'u')
            return bad(x, "lone surrogate");
        x->p += 2;
        if (!read_hex4(x, &low) || low < 0xdc00 || low > 0xdfff)
            return bad(x, "lone surrogate");
        v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
    }
    *to = put_utf8(*to, v);
    return ST_OK;
}

static int parse_string(struct parser *x, const char **ret_string, size_t *ret_size)
{
    const char *close = x->p + 1;
    while (close < x->end && *close != '"')
        close += *close == '\\' ? 2 : 1;
    if (close >= x->end)
        return bad(x, "unfinished string");
    char *buf = arena_alloc(x->arena, (size_t)(close - x->p), x->err), *to = buf;
    if (!buf)
        return ST_EXHAUSTED;
    for (x->p++; x->p < close;) {
        if (*x->p == '\\') {
            x->p++;
            TRY(read_escape(x, &to));
            continue;
        }
        if ((unsigned char)*x->p < 0x20)
            return bad(x, "control character in a string");
        size_t n = utf8_length((const uint8_t *)x->p, (size_t)(close - x->p));
        if (!n)
            return bad(x, "bad UTF-8");
        memcpy(to, x->p, n);
        to += n;
        x->p += n;
    }
    if (x->p != close)
        return bad(x, "bad escape");
    x->p++;
    *to = 0;
    *ret_string = buf;
    *ret_size = (size_t)(to - buf);
    return ST_OK;
}

static bool skip_digits(struct parser *x)
{
    const char *start = x->p;
    while (x->p < x->end && *x->p >= '0' && *x->p <= '9')
        x->p++;
    return x->p > start;
}

static int parse_number(struct parser *x)
{
    if (*x->p == '-')
        x->p++;
    bool zero = x->p < x->end && *x->p == '0';
    const char *first = x->p;
    if (!skip_digits(x) || (zero && x->p - first > 1))
        return bad(x, "malformed number");
    if (x->p < x->end && *x->p == '.') {
        x->p++;
        if (!skip_digits(x))
            return bad(x, "malformed number");
    }
    if (x->p < x->end && (*x->p == 'e' || *x->p == 'E')) {
        x->p++;
        if (x->p < x->end && (*x->p == '+' || *x->p == '-'))
            x->p++;
        if (!skip_digits(x))
            return bad(x, "malformed number");
    }
    return ST_OK;
}

static int parse_value(struct parser *x, unsigned depth, struct json_value **ret_value);

static int parse_members(struct parser *x, unsigned depth, struct json_value *v)
{
    char close = v->kind == JSON_OBJECT ? '}' : ']';
    const struct json_value **link = &v->first;
    x->p++;
    skip_space(x);
    if (x->p < x->end && *x->p == close) {
        x->p++;
        return ST_OK;
    }
    for (;;) {
        const char *key = NULL;
        size_t key_size = 0;
        struct json_value *member;
        if (v->kind == JSON_OBJECT) {
            skip_space(x);
            if (x->p == x->end || *x->p != '"')
                return bad(x, "expected a member name");
            TRY(parse_string(x, &key, &key_size));
            skip_space(x);
            if (x->p == x->end || *x->p != ':')
                return bad(x, "expected a colon");
            x->p++;
        }
        TRY(parse_value(x, depth + 1, &member));
        member->key = key;
        member->key_size = key_size;
        *link = member;
        link = &member->next;
        v->count++;
        skip_space(x);
        if (x->p == x->end || (*x->p != ',' && *x->p != close))
            return bad(x, "expected a comma or the end of the list");
        if (*x->p++ == close)
            return ST_OK;
    }
}

static int parse_word(struct parser *x, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(x->end - x->p) < n || memcmp(x->p, word, n) != 0)
        return bad(x, "unknown word");
    x->p += n;
    return ST_OK;
}

static int parse_value(struct parser *x, unsigned depth, struct json_value **ret_value)
{
    if (depth > JSON_MAX_DEPTH)
        return bad(x, "nested too deep");
    skip_space(x);
    if (x->p == x->end)
        return bad(x, "expected a value");
    struct json_value *v = ARENA_NEW(x->arena, struct json_value, x->err);
    if (!v)
        return ST_EXHAUSTED;
    v->text = x->p;
    switch (*x->p) {
    case '{':
    case '[':
        v->kind = *x->p == '{' ? JSON_OBJECT : JSON_ARRAY;
        TRY(parse_members(x, depth, v));
        break;
    case '"':
        v->kind = JSON_STRING;
        TRY(parse_string(x, &v->string, &v->string_size));
        break;
    case 't':
        v->kind = JSON_TRUE;
        TRY(parse_word(x, "true"));
        break;
    case 'f':
        v->kind = JSON_FALSE;
        TRY(parse_word(x, "false"));
        break;
    case 'n':
        v->kind = JSON_NULL;
        TRY(parse_word(x, "null"));
        break;
    default:
        v->kind = JSON_NUMBER;
        TRY(parse_number(x));
    }
    v->size = (size_t)(x->p - v->text);
    *ret_value = v;
    return ST_OK;
}

int json_parse(struct arena *a, const char *text, size_t size, const struct json_value **ret_value, struct error *err)
{
    struct parser x = {.arena = a, .start = text, .p = text, .end = text + size, .err = err};
    struct json_value *v;
    if (!text || !size)
        return error_set(err, ST_CORRUPT, "JSON: empty document");
    TRY(parse_value(&x, 0, &v));
    skip_space(&x);
    if (x.p != x.end)
        return bad(&x, "something behind the document");
    *ret_value = v;
    return ST_OK;
}
