/* Full-text predicates evaluated on rows (functions.md 1.13). Both are case-sensitive searches for substrings.
 *
 * matches(text, pattern): the pattern's words become a tree. It is read as the peer reads it, by four steps whose order shows in odd patterns: words
 * and signs; missing operators filled in (OR between neighbours, "optional" before words without a sign); operators behind their operands; the tree,
 * from the end of those. Then chains of one operator are flattened, and an OR with a required (+) or forbidden (-) word becomes an AND of these.
 * matches_term(text, term): the term with borders of words around it.
 */
#include <stdlib.h>
#include <strings.h>

#include "base/arena.h"
#include "exec/kernel_typed.h"
#include "exec/unicode.h"

enum { TOKENS_MAX = 2000 }; /* also bounds the depth of the tree */

enum token_kind { TOKEN_MUST, TOKEN_NEGATIVE, TOKEN_OPTIONAL, TOKEN_AND, TOKEN_OR, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_PHRASE };

struct token {
    enum token_kind kind;
    const char *text;
    size_t size;
};

struct tokens {
    struct token *at;
    uint32_t n;
};

static bool is_unary(enum token_kind k)
{
    return k <= TOKEN_OPTIONAL;
}

static int bad_pattern(const char *why, struct error *err)
{
    return error_set(err, ST_EXECUTE_QUERY, "matches: invalid pattern: %s", why);
}

static int out_of_arena(struct error *err)
{
    return err ? (int)err->status : ST_NO_MEMORY;
}

static int add_token(struct tokens *t, uint32_t room, struct token token, struct error *err)
{
    if (t->n == room)
        return bad_pattern("too many words", err);
    t->at[t->n++] = token;
    return ST_OK;
}

/* ---- words and signs ---- */

/* One word or the inside of a quoted phrase from *pos on, unescaped; *pos moves behind what was read (a closing quote included). */
static int read_phrase(struct arena *arena, const char *p, size_t n, size_t *pos, bool quoted, struct token *ret_token, struct error *err)
{
    char *text = arena_alloc(arena, n - *pos + 1, err);
    size_t size = 0, i = *pos;
    bool closed = false;
    if (!text)
        return out_of_arena(err);
    for (; i < n; i++) {
        if (p[i] == '"') {
            closed = true;
            break;
        }
        if (!quoted && strchr(" ()+-", p[i]) && p[i])
            break;
        if (p[i] == '\\' && ++i == n)
            return bad_pattern("nothing behind an escape ('\\')", err);
        text[size++] = p[i];
    }
    if (quoted != closed)
        return bad_pattern("unclosed quotes ('\"')", err);
    *pos = i + closed;
    *ret_token = (struct token){TOKEN_PHRASE, text, size};
    return ST_OK;
}

static bool is_word(const struct token *t, const char *word)
{
    return t->size == strlen(word) && strncasecmp(t->text, word, t->size) == 0;
}

static int tokenize(struct arena *arena, const char *p, size_t n, struct tokens *out, struct error *err)
{
    static const char signs[] = "+-()";
    static const enum token_kind kinds[] = {TOKEN_MUST, TOKEN_NEGATIVE, TOKEN_OPEN, TOKEN_CLOSE};
    for (size_t i = 0; i < n;) {
        struct token token = {0};
        const char *sign = p[i] ? strchr(signs, p[i]) : NULL;
        if (p[i] == ' ') {
            if (out->n && (out->at[out->n - 1].kind == TOKEN_MUST || out->at[out->n - 1].kind == TOKEN_NEGATIVE))
                return bad_pattern("a space behind a sign", err);
            i++;
            continue;
        }
        if (sign) {
            token.kind = kinds[sign - signs];
            i++;
        } else if (p[i] == '"') {
            i++;
            TRY(read_phrase(arena, p, n, &i, true, &token, err));
            if (i < n && p[i++] != ' ')
                return bad_pattern("no space behind closing quotes", err);
        } else {
            TRY(read_phrase(arena, p, n, &i, false, &token, err));
            token.kind = is_word(&token, "AND") ? TOKEN_AND : is_word(&token, "OR") ? TOKEN_OR : TOKEN_PHRASE;
        }
        TRY(add_token(out, TOKENS_MAX, token, err));
    }
    return ST_OK;
}

/* ---- operators that are not written ---- */

static int fill_operators(const struct tokens *in, struct tokens *out, struct error *err)
{
    enum { ROOM = 3 * TOKENS_MAX };
    bool joined = true, signed_before = false, sign_just_read = false;
    for (uint32_t i = 0; i < in->n; i++) {
        enum token_kind k = in->at[i].kind;
        bool sign = k == TOKEN_MUST || k == TOKEN_NEGATIVE;
        if (!joined && (k == TOKEN_PHRASE || k == TOKEN_OPEN || sign)) {
            joined = true;
            TRY(add_token(out, ROOM, (struct token){.kind = TOKEN_OR}, err));
        }
        if (k == TOKEN_OPEN || k == TOKEN_AND || k == TOKEN_OR)
            joined = true;
        else if (k == TOKEN_PHRASE || k == TOKEN_CLOSE)
            joined = false;
        if (!signed_before && (k == TOKEN_PHRASE || k == TOKEN_OPEN))
            TRY(add_token(out, ROOM, (struct token){.kind = TOKEN_OPTIONAL}, err));
        else
            signed_before = sign;
        if (sign && sign_just_read)
            return bad_pattern("two signs in a row", err);
        sign_just_read = sign;
        TRY(add_token(out, ROOM, in->at[i], err));
    }
    return ST_OK;
}

/* ---- operators behind their operands ---- */

/* `stack` has room for all tokens. */
static int order_tokens(const struct tokens *in, enum token_kind *stack, struct tokens *out, struct error *err)
{
    uint32_t depth = 0;
    for (uint32_t i = 0; i < in->n; i++) {
        enum token_kind k = in->at[i].kind;
        if (k == TOKEN_PHRASE) {
            out->at[out->n++] = in->at[i];
        } else if (k == TOKEN_CLOSE) {
            while (depth && stack[depth - 1] != TOKEN_OPEN)
                out->at[out->n++] = (struct token){.kind = stack[--depth]};
            if (!depth)
                return bad_pattern("a closing parenthesis without an opening one", err);
            depth--;
        } else {
            bool binary = k == TOKEN_AND || k == TOKEN_OR;
            while (binary && depth && (is_unary(stack[depth - 1]) || (stack[depth - 1] == TOKEN_AND && k == TOKEN_OR)))
                out->at[out->n++] = (struct token){.kind = stack[--depth]};
            stack[depth++] = k;
        }
    }
    while (depth) {
        if (stack[--depth] == TOKEN_OPEN)
            return bad_pattern("an opening parenthesis without a closing one", err);
        out->at[out->n++] = (struct token){.kind = stack[depth]};
    }
    return ST_OK;
}

/* ---- the tree ---- */

enum node_kind { NODE_WORD, NODE_GROUP, NODE_AND, NODE_OR };

struct node {
    enum node_kind kind;
    enum token_kind sign; /* WORD, GROUP: MUST, NEGATIVE or OPTIONAL */
    const char *text;     /* WORD */
    size_t size;
    struct node *first, *next; /* children; the next sibling */
};

struct reader {
    struct arena *arena;
    struct tokens tokens; /* read from the end */
    struct node *stack;   /* linked by `next` */
};

static struct node *pop(struct reader *r)
{
    struct node *n = r->stack;
    if (n) {
        r->stack = n->next;
        n->next = NULL;
    }
    return n;
}

static int push(struct reader *r, struct node node, struct error *err)
{
    struct node *n = ARENA_NEW(r->arena, struct node, err);
    if (!n)
        return out_of_arena(err);
    *n = node;
    n->next = r->stack;
    r->stack = n;
    return ST_OK;
}

static int read_token(struct reader *r, struct error *err);

/* What is on the stack, else what comes next. */
static int operand(struct reader *r, struct node **ret_node, struct error *err)
{
    if (!r->stack)
        TRY(read_token(r, err));
    if (!(*ret_node = pop(r)))
        return bad_pattern("an operator without its operand", err);
    return ST_OK;
}

static int read_token(struct reader *r, struct error *err)
{
    struct node *a, *b;
    if (r->tokens.n == 0)
        return ST_OK;
    struct token t = r->tokens.at[--r->tokens.n];
    if (t.kind == TOKEN_PHRASE)
        return push(r, (struct node){.kind = NODE_WORD, .sign = TOKEN_OPTIONAL, .text = t.text, .size = t.size}, err);
    TRY(operand(r, &b, err));
    if (is_unary(t.kind)) {
        struct node signed_node = {.kind = NODE_GROUP, .sign = t.kind, .first = b};
        if (b->kind == NODE_WORD)
            signed_node = (struct node){.kind = NODE_WORD, .sign = t.kind, .text = b->text, .size = b->size};
        return push(r, signed_node, err);
    }
    TRY(operand(r, &a, err));
    a->next = b;
    return push(r, (struct node){.kind = t.kind == TOKEN_AND ? NODE_AND : NODE_OR, .first = a}, err);
}

static void append(struct node ***tail, struct node *n)
{
    **tail = n;
    n->next = NULL;
    *tail = &n->next;
}

/* Children with their parent's operator give it their own children. */
static void flatten(struct node *n)
{
    struct node *child = n->first, **tail = &n->first, *next, *inner, *inner_next;
    for (; child; child = next) {
        next = child->next;
        flatten(child);
        if (child->kind != n->kind || (n->kind != NODE_AND && n->kind != NODE_OR)) {
            append(&tail, child);
            continue;
        }
        for (inner = child->first; inner; inner = inner_next) {
            inner_next = inner->next;
            append(&tail, inner);
        }
    }
    *tail = NULL;
}

/* An OR with signed words: all required ones and none of the forbidden ones, and one of the rest; without signs the words only count when nothing is
 * required. */
static int settle_signs(struct node *n, struct arena *arena, struct error *err)
{
    struct node *child, *next, *must = NULL, *forbidden = NULL, *optional = NULL, *compound = NULL, **rest;
    for (child = n->first; child; child = child->next)
        TRY(settle_signs(child, arena, err));
    if (n->kind != NODE_OR)
        return ST_OK;
    for (child = n->first; child; child = next) {
        bool leaf = child->kind == NODE_WORD || child->kind == NODE_GROUP;
        struct node **list = !leaf ? &compound : child->sign == TOKEN_MUST ? &must : child->sign == TOKEN_NEGATIVE ? &forbidden : &optional;
        next = child->next;
        child->next = *list;
        *list = child;
    }
    for (rest = &compound; *rest; rest = &(*rest)->next)
        ;
    *rest = must ? NULL : optional;
    n->first = compound;
    if (!must && !forbidden)
        return ST_OK;
    struct node *any = compound ? ARENA_NEW(arena, struct node, err) : NULL;
    if (compound && !any)
        return out_of_arena(err);
    if (any)
        *any = (struct node){.kind = NODE_OR, .first = compound};
    n->kind = NODE_AND;
    n->first = any;
    struct node *lists[] = {must, forbidden};
    for (int i = 0; i < 2; i++)
        for (child = lists[i]; child; child = next) {
            next = child->next;
            child->next = n->first;
            n->first = child;
        }
    return ST_OK;
}

static int compile(struct arena *arena, const char *p, size_t n, struct node **ret_root, struct error *err)
{
    struct tokens raw = {ARENA_ARRAY(arena, TOKENS_MAX, struct token, err), 0}, filled = {ARENA_ARRAY(arena, 3 * TOKENS_MAX, struct token, err), 0};
    struct reader r = {arena, {ARENA_ARRAY(arena, 3 * TOKENS_MAX, struct token, err), 0}, NULL};
    enum token_kind *stack = ARENA_ARRAY(arena, 3 * TOKENS_MAX, enum token_kind, err);
    struct node *root, *children = NULL;
    if (!raw.at || !filled.at || !r.tokens.at || !stack)
        return out_of_arena(err);
    TRY(tokenize(arena, p, n, &raw, err));
    TRY(fill_operators(&raw, &filled, err));
    TRY(order_tokens(&filled, stack, &r.tokens, err));
    while (r.tokens.n)
        TRY(read_token(&r, err));
    if (!r.stack)
        return bad_pattern("it is empty", err);
    if (r.stack->next) {
        children = r.stack;
        r.stack = NULL;
        TRY(push(&r, (struct node){.kind = NODE_OR, .first = children}, err));
    }
    root = r.stack;
    flatten(root);
    TRY(settle_signs(root, arena, err));
    *ret_root = root;
    return ST_OK;
}

static bool holds(const struct node *n, const uint8_t *text, size_t size)
{
    bool result = false;
    if (n->kind == NODE_WORD)
        result = memmem(text, size, n->text, n->size) != NULL;
    else if (n->kind == NODE_GROUP)
        result = holds(n->first, text, size);
    if (n->kind == NODE_WORD || n->kind == NODE_GROUP)
        return result != (n->sign == TOKEN_NEGATIVE);
    for (const struct node *child = n->first; child; child = child->next)
        if (holds(child, text, size) != (n->kind == NODE_AND))
            return n->kind == NODE_OR;
    return n->kind == NODE_AND;
}

static int matches_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t size;
    const uint8_t *text = value_text(&c->args[0], row, &size);
    (void)err;
    if (!(*ret_null = value_is_null(&c->args[0], row)))
        *(uint8_t *)ret_value = holds(c->state, text, size);
    return ST_OK;
}

/* The first row's pattern serves all rows, as in the peer. */
static int kernel_matches(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                          struct error *err)
{
    struct call call = {e, ctx, args, NULL};
    struct arena arena;
    struct node *root = NULL;
    size_t size = 0;
    const uint8_t *pattern = rows && !value_is_null(&args[1], 0) ? value_text(&args[1], 0, &size) : NULL;
    arena_init(&arena, ctx->budget);
    int st = rows ? compile(&arena, (const char *)pattern, size, &root, err) : ST_OK;
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

/* Unicode's Scripts.txt, version 16. */
static bool is_han(int32_t c)
{
    static const struct {
        int32_t from, to;
    } ranges[] = {{0x2e80, 0x2e99},   {0x2e9b, 0x2ef3},   {0x2f00, 0x2fd5},   {0x3005, 0x3005},   {0x3007, 0x3007},   {0x3021, 0x3029},
                  {0x3038, 0x303b},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfa6d},   {0xfa70, 0xfad9},   {0x16fe2, 0x16fe3},
                  {0x16ff0, 0x16ff1}, {0x20000, 0x2a6df}, {0x2a700, 0x2b739}, {0x2b740, 0x2b81d}, {0x2b820, 0x2cea1}, {0x2ceb0, 0x2ebe0},
                  {0x2ebf0, 0x2ee5d}, {0x2f800, 0x2fa1d}, {0x30000, 0x3134a}, {0x31350, 0x323af}};
    if (c < ranges[0].from)
        return false;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c <= ranges[i].to)
            return c >= ranges[i].from;
    return false;
}

static enum char_class class_of(int32_t c)
{
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
        return CLASS_ASCII;
    if (c < 0x80)
        return CLASS_OTHER;
    return is_han(c) ? CLASS_HAN : unicode_is_alphanumeric(c) ? CLASS_WORD : CLASS_OTHER;
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
