/* JSON text to JSONB: a tree in an arena, whose sizes are known from the leaves up when it is written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/text.h"
#include "format/jsonb/internal.h"

struct node {
    enum jsonb_kind kind;
    enum jsonb_container container; /* CONTAINER: ARRAY or OBJECT */
    uint32_t count, place;          /* children; where it stands among its siblings in the text */
    struct node *first, *next;      /* children; the next sibling */
    const uint8_t *key, *data;      /* member: its name; STRING: its text */
    size_t key_size, size;          /* size: of the encoded part */
    uint8_t number[9];
};

struct parser {
    const uint8_t *start, *p, *end;
    struct arena *arena;
    struct error *err;
};

static int fail(const struct parser *x, const char *what)
{
    return error_set(x->err, ST_INVALID_ARGUMENTS, "JSON: %s at byte %zu", what, (size_t)(x->p - x->start));
}

static int out_of_arena(const struct parser *x)
{
    return x->err ? (int)x->err->status : ST_NO_MEMORY;
}

/* White space, also written as the escapes \n, \r, \t and \x0C. */
static void skip_space(struct parser *x)
{
    for (;;) {
        size_t left = (size_t)(x->end - x->p);
        if (left && (*x->p == ' ' || *x->p == '\t' || *x->p == '\n' || *x->p == '\f' || *x->p == '\r'))
            x->p++;
        else if (left >= 2 && *x->p == '\\' && (x->p[1] == 'n' || x->p[1] == 'r' || x->p[1] == 't'))
            x->p += 2;
        else if (left >= 4 && memcmp(x->p, "\\x0C", 4) == 0)
            x->p += 4;
        else
            return;
    }
}

/* ---- strings ---- */

/* Four hexadecimal digits, maybe in braces; the byte behind them or NULL. */
static const uint8_t *read_hex(const uint8_t *p, const uint8_t *end, const uint8_t **ret_digits, uint32_t *ret_code)
{
    bool braces = p < end && *p == '{';
    uint32_t code = 0;
    p += braces;
    if (end - p < 4 + braces)
        return NULL;
    *ret_digits = p;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*p++);
        if (digit < 0)
            return NULL;
        code = code << 4 | (uint32_t)digit;
    }
    if (braces && *p++ != '}')
        return NULL;
    *ret_code = code;
    return p;
}

static uint8_t *put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (uint8_t)c;
    } else if (c < 0x800) {
        *out++ = (uint8_t)(0xc0 | c >> 6);
        *out++ = (uint8_t)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *out++ = (uint8_t)(0xe0 | c >> 12);
        *out++ = (uint8_t)(0x80 | (c >> 6 & 63));
        *out++ = (uint8_t)(0x80 | (c & 63));
    } else {
        *out++ = (uint8_t)(0xf0 | c >> 18);
        *out++ = (uint8_t)(0x80 | (c >> 12 & 63));
        *out++ = (uint8_t)(0x80 | (c >> 6 & 63));
        *out++ = (uint8_t)(0x80 | (c & 63));
    }
    return out;
}

static uint8_t *put_lone(uint8_t *out, const uint8_t *digits)
{
    memcpy(out, "\\u", 2);
    memcpy(out + 2, digits, 4);
    return out + 6;
}

/* Behind "\u"; NULL when it is bad. */
static const uint8_t *unescape_unicode(const uint8_t *p, const uint8_t *end, uint8_t **out)
{
    const uint8_t *digits = NULL, *low_digits = NULL;
    uint32_t code = 0, low = 0;
    if (!(p = read_hex(p, end, &digits, &code)))
        return NULL;
    bool high = code >= 0xd800 && code < 0xdc00;
    if (!high || end - p < 2 || p[0] != '\\' || p[1] != 'u') {
        *out = code >= 0xd800 && code < 0xe000 ? put_lone(*out, digits) : put_utf8(*out, code);
        return p;
    }
    if (!(p = read_hex(p + 2, end, &low_digits, &low)))
        return NULL;
    if (low >= 0xdc00 && low < 0xe000)
        *out = put_utf8(*out, ((code - 0xd800) << 10 | (low - 0xdc00)) + 0x10000);
    else
        *out = put_lone(put_lone(*out, digits), low_digits);
    return p;
}

size_t jsonb_unescape(const uint8_t *p, size_t n, uint8_t *out)
{
    static const char from[] = "\\\"/bfnrt", to[] = "\\\"/\b\f\n\r\t";
    const uint8_t *end = p + n;
    uint8_t *at = out;
    while (p < end) {
        if (*p != '\\') {
            *at++ = *p++;
            continue;
        }
        if (++p == end)
            return SIZE_MAX;
        const char *simple = *p ? strchr(from, *p) : NULL;
        if (simple) {
            *at++ = (uint8_t)to[simple - from];
            p++;
        } else if (*p != 'u' || !(p = unescape_unicode(p + 1, end, &at))) {
            return SIZE_MAX;
        }
    }
    return utf8_valid(out, (size_t)(at - out)) ? (size_t)(at - out) : SIZE_MAX;
}

static int parse_string(struct parser *x, const uint8_t **ret_text, size_t *ret_size)
{
    const uint8_t *from = ++x->p;
    while (x->p < x->end && *x->p != '"')
        x->p += *x->p == '\\' && x->end - x->p > 1 ? 2 : 1;
    if (x->p >= x->end)
        return fail(x, "a string that does not end");
    size_t n = (size_t)(x->p - from);
    uint8_t *text = arena_alloc(x->arena, n + 1, x->err);
    if (!text)
        return out_of_arena(x);
    size_t size = jsonb_unescape(from, n, text);
    if (size == SIZE_MAX)
        return fail(x, "a bad escape or bytes that are not UTF-8, in the string that ends");
    x->p++;
    *ret_text = text;
    *ret_size = size;
    return ST_OK;
}

/* ---- numbers ---- */

static size_t digits_at(struct parser *x)
{
    const uint8_t *from = x->p;
    while (x->p < x->end && *x->p >= '0' && *x->p <= '9')
        x->p++;
    return (size_t)(x->p - from);
}

/* The smallest width that holds it. */
static void encode_integer(struct node *n, bool negative, uint64_t magnitude)
{
    int64_t v = (int64_t)(negative ? 0 - magnitude : magnitude);
    size_t width;
    if (magnitude == 0) {
        n->number[0] = NUMBER_ZERO;
        n->size = 1;
        return;
    }
    if (negative)
        width = v >= INT8_MIN ? 1 : v >= INT16_MIN ? 2 : v >= INT32_MIN ? 4 : 8;
    else
        width = magnitude <= UINT8_MAX ? 1 : magnitude <= UINT16_MAX ? 2 : magnitude <= UINT32_MAX ? 4 : 8;
    n->number[0] = negative ? NUMBER_INT : NUMBER_UINT;
    uint8_t wide[8];
    store_be64(wide, (uint64_t)v);
    memcpy(n->number + 1, wide + 8 - width, width);
    n->size = 1 + width;
}

static int encode_float(struct parser *x, struct node *n, const uint8_t *from)
{
    char *text = arena_copy(x->arena, from, (size_t)(x->p - from), x->err);
    if (!text)
        return out_of_arena(x);
    double v = strtod(text, NULL);
    uint64_t bits;
    memcpy(&bits, &v, 8);
    n->number[0] = isinf(v) ? (v < 0 ? NUMBER_NEG_INF : NUMBER_INF) : NUMBER_FLOAT;
    n->size = isinf(v) ? 1 : 9;
    store_be64(n->number + 1, bits);
    return ST_OK;
}

static int parse_number(struct parser *x, struct node *n)
{
    const uint8_t *from = x->p;
    bool negative = *x->p == '-', whole = true, fits = true;
    uint64_t magnitude = 0;
    n->kind = JSONB_NUMBER;
    x->p += negative;
    const uint8_t *first = x->p;
    size_t digits = digits_at(x);
    if (digits == 0 || (*first == '0' && digits > 1))
        return fail(x, "a bad number");
    for (const uint8_t *d = first; d < x->p; d++)
        fits = fits && !__builtin_mul_overflow(magnitude, 10u, &magnitude) && !__builtin_add_overflow(magnitude, (uint64_t)(*d - '0'), &magnitude);
    if (x->p < x->end && *x->p == '.') {
        x->p++;
        whole = false;
        if (digits_at(x) == 0)
            return fail(x, "a number without digits behind its point");
    }
    if (x->p < x->end && (*x->p | 32) == 'e') {
        x->p++;
        whole = false;
        x->p += x->p < x->end && (*x->p == '+' || *x->p == '-');
        if (digits_at(x) == 0)
            return fail(x, "a number without digits in its exponent");
    }
    if (!whole || !fits || (negative && magnitude > (uint64_t)INT64_MAX + 1))
        return encode_float(x, n, from);
    encode_integer(n, negative, magnitude);
    return ST_OK;
}

/* ---- values ---- */

static int parse_value(struct parser *x, unsigned depth, struct node **ret_node);

static int parse_word(struct parser *x, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(x->end - x->p) < n || memcmp(x->p, word, n) != 0)
        return fail(x, "an unknown word");
    x->p += n;
    return ST_OK;
}

static int parse_key(struct parser *x, const uint8_t **ret_key, size_t *ret_size)
{
    skip_space(x);
    if (x->p == x->end || *x->p != '"')
        return fail(x, "a key that is no string");
    TRY(parse_string(x, ret_key, ret_size));
    skip_space(x);
    if (x->p == x->end || *x->p++ != ':')
        return fail(x, "no colon behind a key");
    return ST_OK;
}

/* By key, equal ones as they stand in the text. */
static int by_key(const void *a, const void *b)
{
    const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
    int order = memcmp(x->key, y->key, x->key_size < y->key_size ? x->key_size : y->key_size);
    if (order == 0)
        order = (x->key_size > y->key_size) - (x->key_size < y->key_size);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

/* Members in the order of their keys; of equal keys the last one counts. */
static int sort_members(struct parser *x, struct node *object)
{
    struct node **all = ARENA_ARRAY(x->arena, object->count + 1, struct node *, x->err);
    uint32_t n = 0, kept = 0;
    if (!all)
        return out_of_arena(x);
    for (struct node *m = object->first; m; m = m->next)
        all[n++] = m;
    qsort(all, n, sizeof *all, by_key);
    for (uint32_t i = 0; i < n; i++) {
        if (kept && all[kept - 1]->key_size == all[i]->key_size && memcmp(all[kept - 1]->key, all[i]->key, all[i]->key_size) == 0)
            kept--;
        all[kept++] = all[i];
    }
    object->first = NULL;
    object->count = kept;
    while (kept) {
        all[--kept]->next = object->first;
        object->first = all[kept];
    }
    return ST_OK;
}

static int parse_members(struct parser *x, unsigned depth, struct node *n)
{
    bool object = *x->p++ == '{';
    struct node **tail = &n->first;
    n->kind = JSONB_CONTAINER;
    n->container = object ? JSONB_OBJECT : JSONB_ARRAY;
    for (;; n->count++) {
        const uint8_t *key = NULL;
        size_t key_size = 0;
        skip_space(x);
        if (x->p == x->end)
            return fail(x, "an array or object that does not end");
        if (*x->p == (object ? '}' : ']'))
            break;
        if (n->count && *x->p++ != ',')
            return fail(x, "no comma between values");
        if (object)
            TRY(parse_key(x, &key, &key_size));
        TRY(parse_value(x, depth + 1, tail));
        (*tail)->key = key;
        (*tail)->key_size = key_size;
        (*tail)->place = n->count;
        tail = &(*tail)->next;
    }
    x->p++;
    if (object)
        TRY(sort_members(x, n));
    n->size = 4;
    for (const struct node *m = n->first; m; m = m->next)
        n->size += m->size + m->key_size + (object ? 8 : 4);
    return n->size > JSONB_SIZE_MAX ? fail(x, "a value of more than 256 MiB") : ST_OK;
}

static int parse_value(struct parser *x, unsigned depth, struct node **ret_node)
{
    struct node *n = ARENA_NEW(x->arena, struct node, x->err);
    if (!n)
        return out_of_arena(x);
    if (depth > JSONB_DEPTH_MAX)
        return fail(x, "nested too deep");
    skip_space(x);
    if (x->p == x->end)
        return fail(x, "no value");
    *ret_node = n;
    switch (*x->p) {
    case '{':
    case '[':
        return parse_members(x, depth, n);
    case '"':
        n->kind = JSONB_STRING;
        return parse_string(x, &n->data, &n->size);
    case 'n':
        n->kind = JSONB_NULL;
        return parse_word(x, "null");
    case 't':
        n->kind = JSONB_TRUE;
        return parse_word(x, "true");
    case 'f':
        n->kind = JSONB_FALSE;
        return parse_word(x, "false");
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return parse_number(x, n);
    default:
        return fail(x, "something that starts no value");
    }
}

/* ---- writing ---- */

static int write_part(const struct node *n, struct dynbuf *out, struct error *err)
{
    if (n->kind != JSONB_CONTAINER)
        return dynbuf_append(out, n->kind == JSONB_NUMBER ? n->number : n->data, n->size, err);
    TRY(jsonb_put_be32(out, (uint32_t)n->container << 29 | n->count, err));
    for (const struct node *m = n->first; m && n->container == JSONB_OBJECT; m = m->next)
        TRY(jsonb_put_be32(out, (uint32_t)JSONB_STRING << 28 | (uint32_t)m->key_size, err));
    for (const struct node *m = n->first; m; m = m->next)
        TRY(jsonb_put_be32(out, (uint32_t)m->kind << 28 | (uint32_t)m->size, err));
    for (const struct node *m = n->first; m && n->container == JSONB_OBJECT; m = m->next)
        TRY(dynbuf_append(out, m->key, m->key_size, err));
    for (const struct node *m = n->first; m; m = m->next)
        TRY(write_part(m, out, err));
    return ST_OK;
}

int jsonb_parse(const void *text, size_t size, struct budget *budget, struct dynbuf *out, struct error *err)
{
    struct arena arena;
    struct node *root;
    arena_init(&arena, budget);
    struct parser x = {text, text, (const uint8_t *)text + size, &arena, err};
    int st = size > JSONB_SIZE_MAX ? fail(&x, "a text of more than 256 MiB") : parse_value(&x, 0, &root);
    if (st == ST_OK) {
        skip_space(&x);
        if (x.p != x.end)
            st = fail(&x, "something behind the value");
    }
    if (st == ST_OK && root->kind != JSONB_CONTAINER) {
        st = jsonb_put_be32(out, (uint32_t)JSONB_SCALAR << 29, err);
        if (st == ST_OK)
            st = jsonb_put_be32(out, (uint32_t)root->kind << 28 | (uint32_t)root->size, err);
    }
    if (st == ST_OK)
        st = write_part(root, out, err);
    arena_release(&arena);
    return st;
}
