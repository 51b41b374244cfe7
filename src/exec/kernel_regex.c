/* regexp_like, _match, _replace, _count, _instr and regexp_extract (functions.md 1.4, 1.10).
 *
 * A pattern is compiled when it or its flags differ from the row before; a literal therefore once a batch. Matches follow each other as in Rust's
 * find_iter(): an empty match directly behind a match does not count.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "exec/kernel_typed.h"
#include "exec/regex.h"
#include "base/unicode.h"

enum {
    COMPILED_MAX = 10 << 20,
    EXTRACT_COMPILED_MAX = 1 << 20,
    EXTRACT_PATTERN_MAX = 10000,
    EXTRACT_MATCH_MAX = 1 << 20,
    EXTRACT_INPUT_MAX = 64 << 20,
    SPANS = 101
};

/* The pattern of the row before. */
struct matcher {
    struct regex *regex;
    uint8_t *source; /* pattern, then flags */
    size_t pattern_size, flags_size;
    size_t input_bytes; /* regexp_extract: seen so far */
};

static void matcher_release(struct matcher *m)
{
    regex_free(m->regex);
    free(m->source);
}

/* Compiles unless it is the same as before. */
static int matcher_set(struct matcher *m, const uint8_t *pattern, size_t n, const char *flags, size_t n_flags, size_t max_bytes, struct error *err)
{
    char why[200];
    if (m->source && m->pattern_size == n && m->flags_size == n_flags && memcmp(m->source, pattern, n) == 0 &&
        memcmp(m->source + n, flags, n_flags) == 0)
        return ST_OK;
    matcher_release(m);
    m->regex = NULL;
    m->source = malloc(n + n_flags + 1);
    if (!m->source)
        return error_no_memory(err, n);
    memcpy(m->source, pattern, n);
    memcpy(m->source + n, flags, n_flags);
    m->pattern_size = n;
    m->flags_size = n_flags;
    m->regex = regex_new((const char *)pattern, n, flags, n_flags, max_bytes, why, sizeof why);
    if (m->regex)
        return ST_OK;
    free(m->source);
    m->source = NULL;
    return error_set(err, ST_EXECUTE_QUERY, "Compute error: Regular expression did not compile: %s", why);
}

/* The flags of an argument without g; *ret_all says whether g was there. */
static size_t read_flags(const struct call *c, uint32_t arg, int64_t row, char out[32], bool *ret_all)
{
    size_t n = 0, size;
    *ret_all = false;
    if (arg >= c->e->n_args || value_is_null(&c->args[arg], row))
        return 0;
    const uint8_t *p = value_text(&c->args[arg], row, &size);
    for (size_t i = 0; i < size; i++) {
        if (p[i] == 'g')
            *ret_all = true;
        else if (n < 31)
            out[n++] = (char)p[i];
    }
    return n;
}

/* Pattern in argument 1, flags in argument `arg`. */
static int prepare(const struct call *c, uint32_t arg, int64_t row, bool *ret_all, struct error *err)
{
    char flags[32];
    size_t n, n_flags = read_flags(c, arg, row, flags, ret_all);
    const uint8_t *pattern = value_text(&c->args[1], row, &n);
    return matcher_set(c->state, pattern, n, flags, n_flags, COMPILED_MAX, err);
}

static int prepare_one(const struct call *c, int64_t row, struct error *err)
{
    bool all;
    TRY(prepare(c, 2, row, &all, err));
    if (all)
        return error_set(err, ST_EXECUTE_QUERY, "%s() does not support the global flag", c->e->function->name);
    return ST_OK;
}

struct matches {
    const char *text;
    size_t size, from;
    long last_end;
};

static bool next_match(const struct matcher *m, struct matches *at, struct regex_span *spans, int n)
{
    while (at->from <= at->size && regex_find(m->regex, at->text, at->size, at->from, spans, n)) {
        if (spans[0].start == spans[0].end && spans[0].end == at->last_end) {
            at->from += at->from < at->size ? unicode_skip((const uint8_t *)at->text + at->from, at->size - at->from, 1) : 1;
            continue;
        }
        at->from = (size_t)spans[0].end;
        at->last_end = spans[0].end;
        return true;
    }
    return false;
}

/* ---- regexp_like, regexp_count, regexp_instr ---- */

static int like_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    (void)ret_null;
    TRY(prepare_one(c, row, err));
    *(uint8_t *)ret_value = regex_match(((struct matcher *)c->state)->regex, (const char *)p, n);
    return ST_OK;
}

/* An Int64 argument that may be missing or NULL. */
static int64_t option(const struct call *c, uint32_t arg, int64_t row, int64_t missing, int64_t null)
{
    return arg >= c->e->n_args ? missing : value_is_null(&c->args[arg], row) ? null : value_int64(&c->args[arg], row);
}

static int count_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n = 0, pattern_size = 0;
    int64_t count = 0;
    bool all;
    struct regex_span span;
    const uint8_t *p = value_is_null(&c->args[0], row) ? NULL : value_text(&c->args[0], row, &n);
    (void)ret_null;
    if (!value_is_null(&c->args[1], row))
        value_text(&c->args[1], row, &pattern_size);
    if (n && pattern_size) {
        int64_t start = option(c, 2, row, 1, 1);
        if (start < 1)
            return error_set(err, ST_EXECUTE_QUERY, "regexp_count() requires start to be 1 based");
        TRY(prepare(c, 3, row, &all, err));
        size_t skipped = unicode_skip(p, n, start - 1);
        struct matches at = {(const char *)p + skipped, n - skipped, 0, -1};
        while (next_match(c->state, &at, &span, 1))
            count++;
    }
    memcpy(ret_value, &count, 8);
    return ST_OK;
}

/* Where the N-th match, or a group of the first, starts; the text before `start` is out of sight. */
static int64_t place_of(const struct call *c, const uint8_t *p, size_t n, int64_t start, int64_t nth, int64_t group)
{
    struct regex_span spans[SPANS];
    size_t skipped = unicode_skip(p, n, start - 1);
    struct matches at = {(const char *)p + skipped, n - skipped, 0, -1};
    int wanted = group > 0 ? (int)group : 0;
    bool found = false;
    for (int64_t i = 0; i < (group > 0 ? 1 : nth); i++)
        if (!(found = next_match(c->state, &at, spans, wanted + 1)))
            break;
    return found && spans[wanted].start >= 0 ? start + unicode_chars(p + skipped, (size_t)spans[wanted].start) : 0;
}

static int instr_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n, pattern_size;
    bool all;
    int64_t place = 0;
    if ((*ret_null = value_is_null(&c->args[0], row) || value_is_null(&c->args[1], row)))
        return ST_OK;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    value_text(&c->args[1], row, &pattern_size);
    if (n && pattern_size) {
        int64_t start = option(c, 2, row, 1, 0), nth = option(c, 3, row, 1, 0), group = option(c, 5, row, 0, 0);
        TRY(prepare(c, 4, row, &all, err));
        if (start < 1 || nth < 1)
            return error_set(err, ST_EXECUTE_QUERY, "regexp_instr() requires start and N to be 1 or greater");
        if (start <= unicode_chars(p, n) && group < SPANS)
            place = place_of(c, p, n, start, nth, group);
    }
    memcpy(ret_value, &place, 8);
    return ST_OK;
}

/* ---- regexp_replace ---- */

static bool is_word(uint8_t c)
{
    return isalnum(c) || c == '_';
}

static int put_group(struct text_writer *w, const struct matcher *m, const char *text, const struct regex_span *spans, const uint8_t *name, size_t n,
                     struct error *err)
{
    int group = 0;
    for (size_t i = 0; i < n && group >= 0; i++)
        group = name[i] >= '0' && name[i] <= '9' && group < 1000 ? group * 10 + name[i] - '0' : -1;
    if (group < 0 || n == 0)
        group = regex_group_named(m->regex, (const char *)name, n);
    if (group < 0 || group >= SPANS || group > regex_groups(m->regex) || spans[group].start < 0)
        return ST_OK;
    return text_writer_put(w, text + spans[group].start, (size_t)(spans[group].end - spans[group].start), err);
}

/* \1 and \\1 name a group, like $1, ${1} and $name; $$ is a dollar. */
static int expand(struct text_writer *w, const struct matcher *m, const char *text, const struct regex_span *spans, const uint8_t *by, size_t n,
                  struct error *err)
{
    for (size_t i = 0; i < n;) {
        size_t from = i, to;
        if (by[i] == '\\') {
            from += 1 + (i + 1 < n && by[i + 1] == '\\');
            for (to = from; to < n && isdigit(by[to]); to++)
                ;
            if (to > from) {
                TRY(put_group(w, m, text, spans, by + from, to - from, err));
                i = to;
                continue;
            }
        } else if (by[i] == '$' && i + 1 < n) {
            const uint8_t *brace = by[i + 1] == '{' ? memchr(by + i, '}', n - i) : NULL;
            from += brace ? 2 : 1;
            for (to = from; brace ? by + to < brace : to < n && is_word(by[to]); to++)
                ;
            if (brace || to > from) {
                TRY(put_group(w, m, text, spans, by + from, to - from, err));
                i = to + (brace != NULL);
                continue;
            }
            i += by[i + 1] == '$';
        }
        TRY(text_writer_put(w, by + i++, 1, err));
    }
    return ST_OK;
}

static int replace_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n, by_size, copied = 0;
    const uint8_t *p = value_text(&c->args[0], row, &n), *by = value_text(&c->args[2], row, &by_size);
    const struct matcher *m = c->state;
    struct regex_span spans[SPANS];
    struct matches at = {(const char *)p, n, 0, -1};
    bool all;
    (void)ret_null;
    TRY(prepare(c, 3, row, &all, err));
    int groups = regex_groups(m->regex);
    while (next_match(m, &at, spans, groups + 1 < SPANS ? groups + 1 : SPANS)) {
        TRY(text_writer_put(w, p + copied, (size_t)spans[0].start - copied, err));
        TRY(expand(w, m, (const char *)p, spans, by, by_size, err));
        copied = (size_t)spans[0].end;
        if (!all)
            break;
    }
    return text_writer_put(w, p + copied, n - copied, err);
}

/* ---- regexp_extract ---- */

static int extract_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n, pattern_size;
    struct matcher *m = c->state;
    struct regex_span span;
    const uint8_t *p = value_text(&c->args[0], row, &n), *pattern = value_text(&c->args[1], row, &pattern_size);
    m->input_bytes += n;
    if (pattern_size > EXTRACT_PATTERN_MAX || m->input_bytes > EXTRACT_INPUT_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "REGEXP_EXTRACT: the %s is too long", pattern_size > EXTRACT_PATTERN_MAX ? "pattern" : "text");
    TRY(matcher_set(m, pattern, pattern_size, "", 0, EXTRACT_COMPILED_MAX, err));
    if (!regex_find(m->regex, (const char *)p, n, 0, &span, 1)) {
        *ret_null = true;
        return ST_OK;
    }
    if (span.end - span.start > EXTRACT_MATCH_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "REGEXP_EXTRACT: a match is over 1 MiB");
    return text_writer_put(w, p + span.start, (size_t)(span.end - span.start), err);
}

static int kernel_regex(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                        struct error *err)
{
    struct matcher m = {0};
    const struct call c = {e, ctx, args, &m};
    const struct function *f = e->function;
    int st = (f->text_row ? kernel_text_run : f->list_row ? kernel_list_run : kernel_fixed_run)(&c, rows, ret, err);
    matcher_release(&m);
    return st;
}

/* ---- regexp_match: a list a row ---- */

static int bind_match(struct expr *e, struct error *err)
{
    TRY(bind_signature(e, err));
    struct field *item = field_new("item", e->type, true);
    struct dtype *list = item ? type_list(TYPE_LIST, item) : NULL;
    field_unref(item);
    if (!list)
        return error_no_memory(err, sizeof *list);
    e->type = list;
    return ST_OK;
}

/* The groups that took part, or the whole match when there are none. *ret_null: no match. */
static int match_row(const struct call *c, int64_t row, struct column_builder *items, bool *ret_null, struct error *err)
{
    size_t n, pattern_size;
    struct regex_span spans[SPANS];
    const struct matcher *m = c->state;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    value_text(&c->args[1], row, &pattern_size);
    TRY(prepare_one(c, row, err));
    if (pattern_size == 0)
        return column_builder_append_bytes(items, "", 0, err);
    int groups = regex_groups(m->regex);
    groups = groups < SPANS ? groups : SPANS - 1;
    if ((*ret_null = !regex_find(m->regex, (const char *)p, n, 0, spans, groups + 1)))
        return ST_OK;
    for (int g = groups ? 1 : 0; g <= groups; g++)
        if (spans[g].start >= 0)
            TRY(column_builder_append_bytes(items, p + spans[g].start, (size_t)(spans[g].end - spans[g].start), err));
    return ST_OK;
}

const struct function functions_regex[] = {
    {"regexp_like", 2, 3, bind_signature, kernel_regex, 0, true, "T:O", .fixed_row = like_row},
    {"regexp_count", 2, 4, bind_signature, kernel_regex, 0, false, "TTIT:I", .fixed_row = count_row},
    {"regexp_instr", 2, 6, bind_signature, kernel_regex, 0, false, "TTIITI:I", .fixed_row = instr_row},
    {"regexp_replace", 3, 4, bind_signature, kernel_regex, 0, true, "T:=", .text_row = replace_row},
    {"regexp_match", 2, 3, bind_match, kernel_regex, 0, true, "T:=?", .list_row = match_row},
    {"regexp_extract", 2, 2, bind_signature, kernel_regex, 0, true, "T:L?", .text_row = extract_row},
    {0},
};
