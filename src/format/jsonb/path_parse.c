/* Reading JSON paths. The grammar is that of the crate jsonb 0.4.4, whose parser takes the first alternative that fits and does not come back to it;
 * the order of the alternatives below is therefore part of the grammar (a number like 10.5 is read as 10, and the path is then refused). Each
 * function restores x->p when it fails.
 */
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "base/text.h"
#include "format/jsonb/internal.h"
#include "format/jsonb/path_internal.h"

enum { NESTING_MAX = 100 };

struct reader {
    const uint8_t *p, *end;
    struct arena *arena;
    struct error *err;
    int status; /* memory ran out, or nesting went too deep: the failure is final */
    unsigned nesting;
};

static void *new_part(struct reader *x, size_t size)
{
    void *part = arena_alloc(x->arena, size, x->err);
    if (!part)
        x->status = x->err ? (int)x->err->status : ST_NO_MEMORY;
    return part;
}

static bool back(struct reader *x, const uint8_t *p)
{
    x->p = p;
    return false;
}

static void space(struct reader *x)
{
    while (x->p < x->end && (*x->p == ' ' || *x->p == '\t' || *x->p == '\n' || *x->p == '\r'))
        x->p++;
}

static bool tag(struct reader *x, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(x->end - x->p) < n || memcmp(x->p, text, n) != 0)
        return false;
    x->p += n;
    return true;
}

static bool tag_any_case(struct reader *x, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(x->end - x->p) < n || strncasecmp((const char *)x->p, text, n) != 0)
        return false;
    x->p += n;
    return true;
}

static bool spaced_tag(struct reader *x, const char *text)
{
    const uint8_t *start = x->p;
    space(x);
    if (!tag(x, text))
        return back(x, start);
    space(x);
    return true;
}

/* ---- names, numbers ---- */

/* Steps over a backslash and what belongs to it. */
static bool skip_escape(const uint8_t **p, const uint8_t *end)
{
    ptrdiff_t left = end - *p, n = 2;
    if (left < 2)
        return false;
    if ((*p)[1] == 'u') {
        if (left < 6)
            return false;
        n = (*p)[2] == '{' ? 8 : 6;
    }
    if (left < n)
        return false;
    *p += n;
    return true;
}

static bool take_text(struct reader *x, const uint8_t *from, size_t n, bool escaped, const uint8_t **ret_text, size_t *ret_size)
{
    uint8_t *text = new_part(x, n + 1);
    if (n == 0 || !text)
        return false;
    size_t size = n;
    if (escaped)
        size = jsonb_unescape(from, n, text);
    else
        memcpy(text, from, n);
    if (size == SIZE_MAX || !utf8_valid(text, size))
        return false;
    *ret_text = text;
    *ret_size = size;
    return true;
}

static bool raw_name(struct reader *x, const uint8_t **ret_text, size_t *ret_size)
{
    const uint8_t *from = x->p, *p = x->p;
    bool escaped = false;
    while (p < x->end && !(*p && strchr(" ,.:{}[]()?@$|<>!=+-*/%\"'", *p))) {
        if (*p == '\\') {
            escaped = true;
            if (!skip_escape(&p, x->end))
                return false;
        } else {
            p++;
        }
    }
    if (!take_text(x, from, (size_t)(p - from), escaped, ret_text, ret_size))
        return false;
    x->p = p;
    return true;
}

static bool quoted(struct reader *x, const uint8_t **ret_text, size_t *ret_size)
{
    const uint8_t *from = x->p + 1, *p = from;
    bool escaped = false;
    if (x->p == x->end || *x->p != '"')
        return false;
    while (p < x->end && *p != '"') {
        if (*p == '\\') {
            escaped = true;
            if (!skip_escape(&p, x->end))
                return false;
        } else {
            p++;
        }
    }
    if (p == x->end || !take_text(x, from, (size_t)(p - from), escaped, ret_text, ret_size))
        return false;
    x->p = p + 1;
    return true;
}

static bool is_digit(const struct reader *x, const uint8_t *p)
{
    return p < x->end && *p >= '0' && *p <= '9';
}

/* Digits with an optional sign, as an integer within [min, max]. */
static bool integer(struct reader *x, bool may_have_sign, __int128 min, __int128 max, __int128 *ret)
{
    const uint8_t *p = x->p;
    bool negative = may_have_sign && p < x->end && *p == '-';
    __int128 v = 0;
    p += may_have_sign && p < x->end && (*p == '-' || *p == '+');
    if (!is_digit(x, p))
        return false;
    for (; is_digit(x, p); p++) {
        v = v * 10 + (*p - '0');
        if ((negative ? -v : v) < min || (negative ? -v : v) > max)
            return false;
    }
    x->p = p;
    *ret = negative ? -v : v;
    return true;
}

/* What the integers above did not take: huge, starting with a point, or nan and inf. */
static bool floating(struct reader *x, double *ret)
{
    const uint8_t *start = x->p, *p = x->p;
    p += p < x->end && (*p == '-' || *p == '+');
    bool digits = is_digit(x, p);
    while (is_digit(x, p))
        p++;
    if (p < x->end && *p == '.' && (digits || is_digit(x, p + 1))) {
        digits = true;
        for (p++; is_digit(x, p);)
            p++;
    }
    if (digits && p < x->end && (*p | 32) == 'e') {
        const uint8_t *e = p + 1;
        e += e < x->end && (*e == '-' || *e == '+');
        if (!is_digit(x, e)) { /* final even where a name could be meant */
            x->status = error_set(x->err, ST_INVALID_ARGUMENTS, "a number in a JSON path has no digits in its exponent");
            return false;
        }
        for (p = e; is_digit(x, p);)
            p++;
    }
    if (!digits) {
        if (!tag_any_case(x, "nan") && !tag_any_case(x, "inf"))
            return false;
        p = x->p;
    }
    if (!number_parse((const char *)start, (size_t)(p - start), false, ret))
        return back(x, start);
    x->p = p;
    return true;
}

/* ---- steps ---- */

static bool expr_or(struct reader *x, bool predicate, struct path_expr **ret);

static bool read_index(struct reader *x, struct path_index *ret)
{
    const uint8_t *start = x->p, *behind;
    __int128 v;
    if (integer(x, true, INT32_MIN, INT32_MAX, &v)) {
        *ret = (struct path_index){false, (int32_t)v};
        return true;
    }
    if (!tag_any_case(x, "last"))
        return back(x, start);
    *ret = (struct path_index){true, 0};
    behind = x->p;
    space(x);
    bool minus = tag(x, "-"), plus = !minus && tag(x, "+");
    space(x);
    if ((minus || plus) && integer(x, true, INT32_MIN, INT32_MAX, &v)) {
        v = minus ? -v : v;
        ret->at = (int32_t)(v > INT32_MAX ? INT32_MAX : v);
        return true;
    }
    x->p = behind;
    return true;
}

static bool read_range(struct reader *x, struct path_range *ret)
{
    const uint8_t *behind;
    if (!read_index(x, &ret->from))
        return false;
    behind = x->p;
    space(x);
    bool to = tag_any_case(x, "to");
    space(x);
    ret->single = !to || !read_index(x, &ret->to);
    if (ret->single)
        x->p = behind;
    return true;
}

static bool read_items(struct reader *x, struct path_step *step)
{
    const uint8_t *start = x->p, *behind;
    struct path_range **tail = &step->ranges;
    step->kind = STEP_ITEMS;
    step->ranges = NULL;
    if (!tag(x, "["))
        return false;
    for (;;) {
        struct path_range range = {.single = true};
        behind = x->p;
        space(x);
        if (!read_range(x, &range)) {
            x->p = behind - (step->ranges != NULL); /* the comma does not count */
            break;
        }
        space(x);
        if (!(*tail = new_part(x, sizeof range)))
            return back(x, start);
        **tail = range;
        tail = &(*tail)->next;
        if (!tag(x, ","))
            break;
    }
    return (step->ranges && tag(x, "]")) || back(x, start);
}

static bool read_name(struct reader *x, const char *sign, struct path_step *step)
{
    const uint8_t *start = x->p;
    step->kind = STEP_NAME;
    return (tag(x, sign) && (quoted(x, &step->name, &step->name_size) || raw_name(x, &step->name, &step->name_size))) || back(x, start);
}

static bool read_bracket_name(struct reader *x, struct path_step *step)
{
    const uint8_t *start = x->p;
    step->kind = STEP_NAME;
    if (!tag(x, "["))
        return false;
    space(x);
    if (!quoted(x, &step->name, &step->name_size))
        return back(x, start);
    space(x);
    return tag(x, "]") || back(x, start);
}

static bool read_any_item(struct reader *x, struct path_step *step)
{
    const uint8_t *start = x->p;
    step->kind = STEP_ANY_ITEM;
    return (tag(x, "[") && spaced_tag(x, "*") && tag(x, "]")) || back(x, start);
}

static bool read_any_member(struct reader *x, struct path_step *step)
{
    step->kind = STEP_ANY_MEMBER;
    return tag(x, ".*");
}

static bool read_filter(struct reader *x, struct path_step *step)
{
    const uint8_t *start = x->p;
    step->kind = STEP_FILTER;
    if (!tag(x, "?"))
        return false;
    space(x);
    if (!tag(x, "("))
        return back(x, start);
    space(x);
    if (!expr_or(x, false, &step->filter))
        return back(x, start);
    space(x);
    return tag(x, ")") || back(x, start);
}

/* Steps as long as there are any, with space around them. */
static struct path_step *read_steps(struct reader *x, bool filters)
{
    struct path_step *first = NULL, **tail = &first;
    for (;;) {
        const uint8_t *start = x->p;
        struct path_step step = {0};
        space(x);
        bool found = read_any_member(x, &step) || read_any_item(x, &step) || read_name(x, ":", &step) || read_name(x, ".", &step) ||
                     read_items(x, &step) || read_bracket_name(x, &step) || (filters && read_filter(x, &step));
        if (!found || x->status != ST_OK || !(*tail = new_part(x, sizeof step))) {
            x->p = start;
            return first;
        }
        step.next = NULL;
        **tail = step;
        tail = &(*tail)->next;
        space(x);
    }
}

/* ---- conditions ---- */

static bool read_literal(struct reader *x, struct path_operand *o)
{
    __int128 v = 0;
    o->literal = true;
    o->kind = tag(x, "null") ? JSONB_NULL : tag(x, "true") ? JSONB_TRUE : tag(x, "false") ? JSONB_FALSE : JSONB_NUMBER;
    if (o->kind != JSONB_NUMBER)
        return true;
    if (integer(x, false, 0, UINT64_MAX, &v)) {
        o->number = (struct jsonb_number){.form = JSONB_UINT, .u = (uint64_t)v};
        return true;
    }
    if (integer(x, true, INT64_MIN, INT64_MAX, &v)) {
        o->number = (struct jsonb_number){.form = JSONB_INT, .i = (int64_t)v};
        return true;
    }
    o->number.form = JSONB_FLOAT;
    if (floating(x, &o->number.f))
        return true;
    o->kind = JSONB_STRING;
    return quoted(x, &o->text, &o->text_size);
}

static bool read_operand(struct reader *x, bool predicate, struct path_operand *o)
{
    *o = (struct path_operand){0};
    if (tag(x, "$") || (!predicate && (o->current = tag(x, "@")))) {
        o->steps = read_steps(x, false);
        return true;
    }
    return read_literal(x, o);
}

static bool read_comparison(struct reader *x, bool predicate, struct path_expr *e)
{
    static const struct {
        const char *text;
        enum path_op op;
    } ops[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<>", OP_NE}, {"<=", OP_LE}, {"<", OP_LT}, {">=", OP_GE}, {">", OP_GT}};
    const uint8_t *start = x->p;
    size_t i = 0;
    space(x);
    if (!read_operand(x, predicate, &e->a))
        return back(x, start);
    space(x);
    while (i < sizeof ops / sizeof *ops && !tag(x, ops[i].text))
        i++;
    if (i == sizeof ops / sizeof *ops)
        return back(x, start);
    e->op = ops[i].op;
    space(x);
    if (!read_operand(x, predicate, &e->b))
        return back(x, start);
    space(x);
    return true;
}

static bool read_exists(struct reader *x, struct path_expr *e)
{
    const uint8_t *start = x->p;
    e->op = OP_EXISTS;
    e->a = (struct path_operand){0};
    if (!tag(x, "exists"))
        return false;
    space(x);
    if (!tag(x, "("))
        return back(x, start);
    space(x);
    if (!tag(x, "$") && !(e->a.current = tag(x, "@")))
        return back(x, start);
    e->a.steps = read_steps(x, true);
    space(x);
    return tag(x, ")") || back(x, start);
}

static bool read_group(struct reader *x, bool predicate, struct path_expr **ret)
{
    const uint8_t *start = x->p;
    if (!tag(x, "("))
        return false;
    space(x);
    if (!expr_or(x, predicate, ret))
        return back(x, start);
    space(x);
    return tag(x, ")") || back(x, start);
}

static bool read_atom(struct reader *x, bool predicate, struct path_expr **ret)
{
    struct path_expr e = {0};
    if (!read_comparison(x, predicate, &e)) {
        if (read_group(x, predicate, ret))
            return true;
        if (!read_exists(x, &e))
            return false;
    }
    if (!(*ret = new_part(x, sizeof e)))
        return false;
    **ret = e;
    return true;
}

/* Atoms with && between them, or lists of those with ||. An operator without its right side does not belong to it. */
static bool read_list(struct reader *x, bool predicate, enum path_op op, struct path_expr **ret)
{
    struct path_expr *left = NULL, *right;
    for (bool more = true; more;) {
        const uint8_t *behind = x->p;
        more = !left || spaced_tag(x, op == OP_AND ? "&&" : "||");
        if (!more)
            break;
        if (!(op == OP_AND ? read_atom(x, predicate, &right) : read_list(x, predicate, OP_AND, &right))) {
            x->p = behind;
            break;
        }
        if (left) {
            struct path_expr *both = new_part(x, sizeof *both);
            if (!both)
                return false;
            *both = (struct path_expr){.op = op, .left = left, .right = right};
            right = both;
        }
        left = right;
    }
    *ret = left;
    return left != NULL;
}

static bool expr_or(struct reader *x, bool predicate, struct path_expr **ret)
{
    if (x->nesting == NESTING_MAX) {
        x->status = error_set(x->err, ST_INVALID_ARGUMENTS, "a JSON path is nested too deep");
        return false;
    }
    x->nesting++;
    bool good = read_list(x, predicate, OP_OR, ret);
    x->nesting--;
    return good;
}

static bool read_path(struct reader *x, struct jsonpath *path)
{
    struct path_step first = {.kind = STEP_NAME};
    space(x);
    if (expr_or(x, true, &path->predicate))
        return true;
    path->predicate = NULL;
    const uint8_t *start = x->p;
    if (!tag(x, "$")) {
        space(x);
        if (raw_name(x, &first.name, &first.name_size)) {
            if (!(path->steps = new_part(x, sizeof first)))
                return false;
            *path->steps = first;
            path->steps->next = read_steps(x, true);
            return true;
        }
        x->p = start;
    }
    path->steps = read_steps(x, true);
    return true;
}

int jsonpath_parse(struct arena *arena, const void *text, size_t size, struct jsonpath **ret_path, struct error *err)
{
    struct reader x = {text, (const uint8_t *)text + size, arena, err, ST_OK, 0};
    struct jsonpath *path = ARENA_NEW(arena, struct jsonpath, err);
    if (!path)
        return err ? (int)err->status : ST_NO_MEMORY;
    bool good = read_path(&x, path);
    space(&x);
    if (x.status != ST_OK)
        return x.status;
    if (!good || x.p != x.end)
        return error_set(err, ST_INVALID_ARGUMENTS, "'%.*s' is no JSON path: byte %zu makes no sense", size > 200 ? 200 : (int)size,
                         (const char *)text, (size_t)(x.p - (const uint8_t *)text));
    *ret_path = path;
    return ST_OK;
}

bool jsonpath_is_predicate(const struct jsonpath *path)
{
    return path->predicate != NULL;
}
