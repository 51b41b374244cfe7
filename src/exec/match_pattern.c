/* The patterns of matches() (functions.md 1.13). They are read as the peer reads them, by four steps whose order shows in odd patterns: words and
 * signs; missing operators filled in (OR between neighbours, "optional" before words without a sign); operators behind their operands; the tree, from
 * the end of those. Then chains of one operator are flattened, and an OR with a required (+) or forbidden (-) word becomes an AND of these.
 */
#include "exec/match_pattern.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

struct match_node {
    enum node_kind kind;
    enum token_kind sign; /* WORD, GROUP: MUST, NEGATIVE or OPTIONAL */
    const char *text;     /* WORD */
    size_t size;
    struct match_node *first, *next; /* children; the next sibling */
};

struct reader {
    struct arena *arena;
    struct tokens tokens;     /* read from the end */
    struct match_node *stack; /* linked by `next` */
};

static struct match_node *pop(struct reader *r)
{
    struct match_node *n = r->stack;
    if (n) {
        r->stack = n->next;
        n->next = NULL;
    }
    return n;
}

static int push(struct reader *r, struct match_node node, struct error *err)
{
    struct match_node *n = ARENA_NEW(r->arena, struct match_node, err);
    if (!n)
        return out_of_arena(err);
    *n = node;
    n->next = r->stack;
    r->stack = n;
    return ST_OK;
}

static int read_token(struct reader *r, struct error *err);

/* What is on the stack, else what comes next. */
static int operand(struct reader *r, struct match_node **ret_node, struct error *err)
{
    if (!r->stack)
        TRY(read_token(r, err));
    if (!(*ret_node = pop(r)))
        return bad_pattern("an operator without its operand", err);
    return ST_OK;
}

static int read_token(struct reader *r, struct error *err)
{
    struct match_node *a, *b;
    if (r->tokens.n == 0)
        return ST_OK;
    struct token t = r->tokens.at[--r->tokens.n];
    if (t.kind == TOKEN_PHRASE)
        return push(r, (struct match_node){.kind = NODE_WORD, .sign = TOKEN_OPTIONAL, .text = t.text, .size = t.size}, err);
    TRY(operand(r, &b, err));
    if (is_unary(t.kind)) {
        struct match_node signed_node = {.kind = NODE_GROUP, .sign = t.kind, .first = b};
        if (b->kind == NODE_WORD)
            signed_node = (struct match_node){.kind = NODE_WORD, .sign = t.kind, .text = b->text, .size = b->size};
        return push(r, signed_node, err);
    }
    TRY(operand(r, &a, err));
    a->next = b;
    return push(r, (struct match_node){.kind = t.kind == TOKEN_AND ? NODE_AND : NODE_OR, .first = a}, err);
}

static void append(struct match_node ***tail, struct match_node *n)
{
    **tail = n;
    n->next = NULL;
    *tail = &n->next;
}

/* Children with their parent's operator give it their own children. */
static void flatten(struct match_node *n)
{
    struct match_node *child = n->first, **tail = &n->first, *next, *inner, *inner_next;
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
static int settle_signs(struct match_node *n, struct arena *arena, struct error *err)
{
    struct match_node *child, *next, *must = NULL, *forbidden = NULL, *optional = NULL, *compound = NULL, **rest;
    for (child = n->first; child; child = child->next)
        TRY(settle_signs(child, arena, err));
    if (n->kind != NODE_OR)
        return ST_OK;
    for (child = n->first; child; child = next) {
        bool leaf = child->kind == NODE_WORD || child->kind == NODE_GROUP;
        struct match_node **list = !leaf ? &compound : child->sign == TOKEN_MUST ? &must : child->sign == TOKEN_NEGATIVE ? &forbidden : &optional;
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
    struct match_node *any = compound ? ARENA_NEW(arena, struct match_node, err) : NULL;
    if (compound && !any)
        return out_of_arena(err);
    if (any)
        *any = (struct match_node){.kind = NODE_OR, .first = compound};
    n->kind = NODE_AND;
    n->first = any;
    struct match_node *lists[] = {must, forbidden};
    for (int i = 0; i < 2; i++)
        for (child = lists[i]; child; child = next) {
            next = child->next;
            child->next = n->first;
            n->first = child;
        }
    return ST_OK;
}

int match_pattern_read(struct arena *arena, const char *p, size_t n, struct match_node **ret_root, struct error *err)
{
    struct tokens raw = {ARENA_ARRAY(arena, TOKENS_MAX, struct token, err), 0}, filled = {ARENA_ARRAY(arena, 3 * TOKENS_MAX, struct token, err), 0};
    struct reader r = {arena, {ARENA_ARRAY(arena, 3 * TOKENS_MAX, struct token, err), 0}, NULL};
    enum token_kind *stack = ARENA_ARRAY(arena, 3 * TOKENS_MAX, enum token_kind, err);
    struct match_node *root, *children = NULL;
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
        TRY(push(&r, (struct match_node){.kind = NODE_OR, .first = children}, err));
    }
    root = r.stack;
    flatten(root);
    TRY(settle_signs(root, arena, err));
    *ret_root = root;
    return ST_OK;
}

bool match_pattern_holds(const struct match_node *n, const uint8_t *text, size_t size)
{
    bool result = false;
    if (n->kind == NODE_WORD)
        result = memmem(text, size, n->text, n->size) != NULL;
    else if (n->kind == NODE_GROUP)
        result = match_pattern_holds(n->first, text, size);
    if (n->kind == NODE_WORD || n->kind == NODE_GROUP)
        return result != (n->sign == TOKEN_NEGATIVE);
    for (const struct match_node *child = n->first; child; child = child->next)
        if (match_pattern_holds(child, text, size) != (n->kind == NODE_AND))
            return n->kind == NODE_OR;
    return n->kind == NODE_AND;
}

/* ---- what a text that matches must hold ---- */

static int add_need(struct arena *arena, const struct match_node *word, struct match_need **list, struct error *err)
{
    struct match_need *need = ARENA_NEW(arena, struct match_need, err);
    if (!need)
        return out_of_arena(err);
    *need = (struct match_need){.text = word->text, .size = word->size, .next = *list};
    *list = need;
    return ST_OK;
}

static struct match_need *last_of(struct match_need *n)
{
    while (n->or_else)
        n = n->or_else;
    return n;
}

/* Of an OR one need of each child, any of which will do; a child without needs lets any text match. */
static int needs_of_any(struct arena *arena, const struct match_node *n, struct match_need **list, struct error *err)
{
    struct match_need *any = NULL, *own;
    for (const struct match_node *child = n->first; child; child = child->next) {
        own = NULL;
        TRY(match_pattern_needs(arena, child, &own, err));
        if (!own)
            return ST_OK;
        last_of(own)->or_else = any;
        any = own;
    }
    if (any) {
        any->next = *list;
        *list = any;
    }
    return ST_OK;
}

int match_pattern_needs(struct arena *arena, const struct match_node *n, struct match_need **list, struct error *err)
{
    if (n->kind == NODE_OR)
        return needs_of_any(arena, n, list, err);
    if (n->kind != NODE_AND && n->sign == TOKEN_NEGATIVE)
        return ST_OK;
    if (n->kind == NODE_WORD)
        return n->size ? add_need(arena, n, list, err) : ST_OK;
    for (const struct match_node *child = n->first; child; child = child->next)
        TRY(match_pattern_needs(arena, child, list, err));
    return ST_OK;
}
