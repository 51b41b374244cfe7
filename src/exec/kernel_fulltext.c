/* Full-text predicates evaluated on rows (functions.md 1.13). Both are case-sensitive searches for substrings: matches() of the words of a pattern
 * (match_pattern.h), matches_term() of a term with borders of words around it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "exec/kernel_typed.h"
#include "exec/match_pattern.h"
#include "base/unicode.h"

static int matches_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t size;
    const uint8_t *text = value_text(&c->args[0], row, &size);
    (void)err;
    if (!(*ret_null = value_is_null(&c->args[0], row)))
        *(uint8_t *)ret_value = match_pattern_holds(c->state, text, size);
    return ST_OK;
}

/* The first row's pattern serves all rows, as in the peer. */
static int kernel_matches(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                          struct error *err)
{
    struct call call = {e, ctx, args, NULL};
    struct arena arena;
    struct match_node *root = NULL;
    size_t size = 0;
    const uint8_t *pattern = rows && !value_is_null(&args[1], 0) ? value_text(&args[1], 0, &size) : NULL;
    arena_init(&arena, ctx->budget);
    int st = rows ? match_pattern_read(&arena, (const char *)pattern, size, &root, err) : ST_OK;
    call.state = root;
    if (st == ST_OK)
        st = kernel_fixed_run(&call, rows, ret, err);
    arena_release(&arena);
    return st;
}

/* ---- matches_term ---- */

enum char_class { CLASS_ASCII, CLASS_HAN, CLASS_WORD, CLASS_OTHER };
enum term_kind { TERM_ASCII, TERM_WORD, TERM_HAN };

struct term {
    const uint8_t *text;
    size_t size;
    enum term_kind kind;
    bool open_start, open_end; /* that end is no letter: any neighbour will do */
    bool ready;
};

static enum char_class class_of(int32_t c)
{
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
        return CLASS_ASCII;
    if (c < 0x80)
        return CLASS_OTHER;
    return unicode_is_han(c) ? CLASS_HAN : unicode_is_alphanumeric(c) ? CLASS_WORD : CLASS_OTHER;
}

static void term_read(struct term *t, const uint8_t *text, size_t size)
{
    bool han = false, word = false;
    *t = (struct term){.text = text, .size = size};
    for (size_t i = 0; i < size;) {
        int32_t c;
        size_t n = unicode_read(text + i, size - i, &c);
        enum char_class class = class_of(c);
        han = han || class == CLASS_HAN;
        word = word || class == CLASS_WORD;
        t->open_start = i == 0 ? class == CLASS_OTHER : t->open_start;
        t->open_end = class == CLASS_OTHER;
        i += n;
    }
    t->kind = han ? TERM_HAN : word ? TERM_WORD : TERM_ASCII;
}

static bool is_border(const struct term *t, int32_t neighbour)
{
    enum char_class class = class_of(neighbour);
    return t->kind == TERM_ASCII ? class != CLASS_ASCII : t->kind == TERM_WORD ? class == CLASS_OTHER : true;
}

static bool term_found(const struct term *t, const uint8_t *text, size_t size)
{
    int32_t c;
    if (t->size == 0)
        return size == 0;
    for (size_t pos = 0; pos + t->size <= size;) {
        const uint8_t *hit = memmem(text + pos, size - pos, t->text, t->size);
        if (!hit)
            return false;
        size_t at = (size_t)(hit - text), end = at + t->size;
        bool good = true;
        if (at && !t->open_start) {
            size_t last = unicode_last(text, at);
            unicode_read(text + last, at - last, &c);
            good = is_border(t, c);
        }
        if (good && end < size && !t->open_end) {
            unicode_read(text + end, size - end, &c);
            good = is_border(t, c);
        }
        if (good)
            return true;
        pos = at + unicode_read(hit, size - at, &c);
    }
    return false;
}

static int term_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t size, term_size;
    struct term *t = c->state;
    const uint8_t *text = value_text(&c->args[0], row, &size), *term = value_text(&c->args[1], row, &term_size);
    (void)ret_null;
    (void)err;
    if (!t->ready)
        term_read(t, term, term_size);
    t->ready = c->args[1].scalar;
    *(uint8_t *)ret_value = term_found(t, text, size);
    return ST_OK;
}

static int kernel_term(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct term t = {0};
    return kernel_fixed_run(&(struct call){e, ctx, args, &t}, rows, ret, err);
}

const struct function functions_fulltext[] = {
    {"matches", 2, 2, bind_signature, kernel_matches, 0, false, "TT:O", .fixed_row = matches_row},
    {"matches_term", 2, 2, bind_signature, kernel_term, 0, true, "TT:O", .fixed_row = term_row},
    {0},
};
