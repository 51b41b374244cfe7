/* JSON functions (functions.md 1.11). A document is JSONB, the text of an early version, or a struct with a column a path.
 *
 * A path that is a literal is read once a batch, another whenever it differs from the row before.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "exec/cast_text.h"
#include "exec/kernel_typed.h"
#include "format/jsonb/path.h"

enum { GET_INT, GET_FLOAT, GET_BOOL, GET_STRING, GET_OBJECT };
enum { IS_NULL, IS_BOOL, IS_INT, IS_FLOAT, IS_STRING, IS_ARRAY, IS_OBJECT };

struct state {
    struct arena arena;    /* of the path */
    struct jsonpath *path; /* NULL = the text is no path, see `why` */
    struct error why;
    struct dynbuf text;     /* the path's text */
    struct dynbuf document; /* a document that came as text */
    struct dynbuf result;
    bool ready;
};

typedef int (*run_fn)(const struct call *c, int64_t rows, struct column **ret, struct error *err);

static int run(const struct call *c, run_fn fn, int64_t rows, struct column **ret, struct error *err)
{
    struct state s = {0};
    struct call call = *c;
    arena_init(&s.arena, c->ctx->budget);
    dynbuf_init(&s.text, INT32_MAX);
    dynbuf_init(&s.document, INT32_MAX);
    dynbuf_init(&s.result, INT32_MAX);
    call.state = &s;
    int st = fn(&call, rows, ret, err);
    arena_release(&s.arena);
    dynbuf_release(&s.text);
    dynbuf_release(&s.document);
    dynbuf_release(&s.result);
    return st;
}

static int kernel_to_text(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                          struct error *err)
{
    return run(&(struct call){e, ctx, args, NULL}, kernel_text_run, rows, ret, err);
}

static int kernel_to_fixed(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                           struct error *err)
{
    return run(&(struct call){e, ctx, args, NULL}, kernel_fixed_run, rows, ret, err);
}

/* ---- documents and paths ---- */

/* The row's document as JSONB; none (size 0) when it is text that does not parse. */
static int read_document(const struct call *c, int64_t row, const uint8_t **ret_data, size_t *ret_size, struct error *err)
{
    struct state *s = c->state;
    *ret_data = value_text(&c->args[0], row, ret_size);
    if (jsonb_is_binary(*ret_data, *ret_size))
        return ST_OK;
    s->document.size = 0;
    int st = jsonb_parse(*ret_data, *ret_size, c->ctx->budget, &s->document, err);
    *ret_data = s->document.data;
    *ret_size = st == ST_OK ? s->document.size : 0;
    return st == ST_INVALID_ARGUMENTS ? ST_OK : st;
}

static int read_path(const struct call *c, const uint8_t *p, size_t n, struct error *err)
{
    struct state *s = c->state;
    if (s->ready && s->text.size == n && memcmp(s->text.data, p, n) == 0)
        return ST_OK;
    arena_release(&s->arena);
    s->path = NULL;
    s->text.size = 0;
    TRY(dynbuf_append(&s->text, p, n, err));
    TRY(dynbuf_reserve(&s->text, 1, err));
    int st = jsonpath_parse(&s->arena, p, n, &s->path, &s->why);
    s->ready = st == ST_OK || st == ST_INVALID_ARGUMENTS;
    return s->ready ? ST_OK : error_set(err, (enum status)st, "%s", s->why.msg);
}

static int bad_path(const struct state *s, struct error *err)
{
    return error_set(err, ST_EXECUTE_QUERY, "%s", s->why.msg);
}

/* s->result becomes what the row's path finds; empty when that is nothing. */
static int select_row(const struct call *c, int64_t row, struct error *err)
{
    struct state *s = c->state;
    size_t n, size;
    const uint8_t *document, *path = value_text(&c->args[1], row, &n);
    s->result.size = 0;
    TRY(read_path(c, path, n, err));
    if (!s->path)
        return ST_OK;
    TRY(read_document(c, row, &document, &size, err));
    return size ? jsonpath_select(s->path, document, size, c->ctx->budget, &s->result, err) : ST_OK;
}

/* ---- one value as SQL ---- */

static bool as_integer(const struct jsonb_item *v, int64_t *ret)
{
    struct jsonb_number n;
    __int128 wide;
    if (v->kind == JSONB_TRUE || v->kind == JSONB_FALSE) {
        *ret = v->kind == JSONB_TRUE;
        return true;
    }
    if (v->kind == JSONB_STRING) {
        if (!text_to_integer((const char *)v->data, v->size, &wide) || wide < INT64_MIN || wide > INT64_MAX)
            return false;
        *ret = (int64_t)wide;
        return true;
    }
    if (!jsonb_number(v, &n) || n.form == JSONB_FLOAT || (n.form == JSONB_UINT && n.u > INT64_MAX))
        return false;
    *ret = n.form == JSONB_INT ? n.i : (int64_t)n.u;
    return true;
}

static bool as_float(const struct jsonb_item *v, double *ret)
{
    struct jsonb_number n;
    if (v->kind == JSONB_TRUE || v->kind == JSONB_FALSE) {
        *ret = v->kind == JSONB_TRUE;
        return true;
    }
    if (v->kind == JSONB_STRING)
        return number_parse((const char *)v->data, v->size, false, ret);
    if (!jsonb_number(v, &n))
        return false;
    *ret = jsonb_number_float(&n);
    return true;
}

static bool as_bool(const struct jsonb_item *v, uint8_t *ret)
{
    bool yes = v->kind == JSONB_TRUE || (v->kind == JSONB_STRING && v->size == 4 && strncasecmp((const char *)v->data, "true", 4) == 0);
    bool no = v->kind == JSONB_FALSE || (v->kind == JSONB_STRING && v->size == 5 && strncasecmp((const char *)v->data, "false", 5) == 0);
    *ret = yes;
    return yes || no;
}

static int put_string(const struct jsonb_item *v, struct dynbuf *scratch, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct jsonb_number n;
    if (v->kind == JSONB_STRING)
        return text_writer_put(w, v->data, v->size, err);
    if (v->kind == JSONB_TRUE || v->kind == JSONB_FALSE)
        return text_writer_put(w, v->kind == JSONB_TRUE ? "true" : "false", v->kind == JSONB_TRUE ? 4 : 5, err);
    if ((*ret_null = !jsonb_number(v, &n)))
        return ST_OK;
    scratch->size = 0;
    TRY(jsonb_print_number(&n, scratch, err));
    return text_writer_put(w, scratch->data, scratch->size, err);
}

static void store(int what, const struct jsonb_item *v, void *ret_value, bool *ret_null)
{
    *ret_null = what == GET_INT ? !as_integer(v, ret_value) : what == GET_FLOAT ? !as_float(v, ret_value) : !as_bool(v, ret_value);
}

/* ---- documents that are structs ---- */

/* The struct's column that the path names: "$." does not count. NULL when there is none. */
static const struct column *member_of(const struct column *document, const char *name, size_t n)
{
    for (uint32_t i = 0; i < document->n_children; i++) {
        const char *member = document->type->children[i]->name;
        if (strlen(member) == n && memcmp(member, name, n) == 0)
            return document->children[i];
    }
    return NULL;
}

static const struct column *member_at_path(const struct call *c, const uint8_t *path, size_t n, struct error *err)
{
    struct state *s = c->state;
    s->document.size = 0;
    if (dynbuf_reserve(&s->document, n + 1, err) != ST_OK)
        return NULL;
    while (n && (*path == ' ' || *path == '\t' || *path == '\n' || *path == '\r')) {
        path++;
        n--;
    }
    while (n && (path[n - 1] == ' ' || path[n - 1] == '\t' || path[n - 1] == '\n' || path[n - 1] == '\r'))
        n--;
    for (size_t i = 0; i < n; i++) {
        if (path[i] == '$' && i + 1 < n && path[i + 1] == '.')
            i++;
        else
            s->document.data[s->document.size++] = path[i];
    }
    return member_of(c->args[0].column, (const char *)s->document.data, s->document.size);
}

/* Finds the row's value: in a column of its own (*ret_member and its row), or in the text of the column _raw (s->result). */
static int find_in_struct(const struct call *c, int64_t row, const struct column **ret_member, int64_t *ret_row, struct error *err)
{
    struct state *s = c->state;
    const struct column *document = c->args[0].column, *raw = member_of(document, "_raw", 4);
    int64_t at = document->offset + (c->args[0].scalar ? 0 : row);
    size_t n;
    int32_t size;
    const uint8_t *path = value_text(&c->args[1], row, &n);
    s->result.size = 0;
    *ret_member = member_at_path(c, path, n, err);
    *ret_row = at;
    if (*ret_member || !raw || column_is_null(raw, at) || !type_is_string(raw->type))
        return ST_OK;
    const uint8_t *text = column_bytes(raw, at, &size);
    TRY(read_path(c, path, n, err));
    if (!s->path)
        return bad_path(s, err);
    s->document.size = 0;
    int st = jsonb_parse(text, (size_t)size, c->ctx->budget, &s->document, err);
    if (st == ST_INVALID_ARGUMENTS)
        return error_set(err, ST_EXECUTE_QUERY, "inner field '_raw' is not a valid JSON string");
    TRY(st);
    return jsonpath_select(s->path, s->document.data, s->document.size, c->ctx->budget, &s->result, err);
}

/* A member's value as the getter's type; members of other types have none. */
static int store_member(struct expr_context *ctx, int what, const struct column *m, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    bool fits = what == GET_INT ? type_is_integer(m->type) : what == GET_FLOAT ? m->type->id == TYPE_FLOAT64 : m->type->id == TYPE_BOOL;
    struct column *one, *cast = NULL;
    *ret_null = !fits || column_is_null(m, row);
    if (*ret_null)
        return ST_OK;
    if (what == GET_BOOL) {
        *(uint8_t *)ret_value = column_bool(m, row);
        return ST_OK;
    }
    if (what == GET_FLOAT) {
        *(double *)ret_value = COLUMN_VALUES(m, double)[row];
        return ST_OK;
    }
    TRY(column_slice((struct column *)m, row, 1, &one, err));
    int st = expr_cast(ctx, one, type_of(TYPE_INT64), true, &cast, err);
    column_unref(one);
    TRY(st);
    if (!(*ret_null = column_is_null(cast, 0)))
        *(int64_t *)ret_value = *COLUMN_VALUES(cast, int64_t);
    column_unref(cast);
    return ST_OK;
}

/* ---- getters ---- */

static bool is_struct(const struct call *c)
{
    return c->args[0].column->type->id == TYPE_STRUCT;
}

static int wanted(const struct call *c)
{
    static const int by_type[TYPE_COUNT] = {[TYPE_INT64] = GET_INT, [TYPE_FLOAT64] = GET_FLOAT, [TYPE_BOOL] = GET_BOOL};
    return by_type[c->e->type->id];
}

static int get_fixed_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    struct state *s = c->state;
    const struct column *member = NULL;
    int64_t at;
    if ((*ret_null = value_is_null(&c->args[0], row) || value_is_null(&c->args[1], row)))
        return ST_OK;
    if (is_struct(c)) {
        TRY(find_in_struct(c, row, &member, &at, err));
        if (member)
            return store_member(c->ctx, wanted(c), member, at, ret_value, ret_null, err);
    } else {
        TRY(select_row(c, row, err));
    }
    struct jsonb_item v = jsonb_root(s->result.data, s->result.size);
    store(wanted(c), &v, ret_value, ret_null);
    return ST_OK;
}

static int get_string_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct state *s = c->state;
    const struct column *m = NULL;
    int64_t at;
    char text[256];
    if ((*ret_null = value_is_null(&c->args[0], row) || value_is_null(&c->args[1], row)))
        return ST_OK;
    if (is_struct(c)) {
        TRY(find_in_struct(c, row, &m, &at, err));
        if (m && (column_is_null(m, at) || type_is_nested(m->type)))
            return ST_OK; /* shown as empty text */
        if (m && type_is_varlen(m->type)) {
            int32_t n;
            const uint8_t *p = column_bytes(m, at, &n);
            return text_writer_put(w, p, (size_t)n, err);
        }
        if (m)
            return text_writer_put(w, text, text_of_value(m, at, text, sizeof text), err);
    } else {
        TRY(select_row(c, row, err));
    }
    struct jsonb_item v = jsonb_root(s->result.data, s->result.size);
    return put_string(&v, &s->document, w, ret_null, err);
}

static int get_object_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct state *s = c->state;
    uint32_t count;
    TRY(select_row(c, row, err));
    if (!s->path)
        return bad_path(s, err);
    struct jsonb_item v = jsonb_root(s->result.data, s->result.size);
    *ret_null = jsonb_container(&v, &count) != JSONB_OBJECT;
    return *ret_null ? ST_OK : text_writer_put(w, s->result.data, s->result.size, err);
}

static int bind_getter(struct expr *e, struct error *err)
{
    if (e->args[0]->type->id == TYPE_NULL)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_BINARY), err));
    const struct dtype *document = e->args[0]->type;
    TRY(bind_signature(e, err));
    return type_is_varlen(document) || document->id == TYPE_STRUCT ? ST_OK : expr_type_error(e, err);
}

/* json_get(document, path, NULL::T): what T is decides. */
static int bind_get(struct expr *e, struct error *err)
{
    struct dtype *type = e->n_args == 3 ? e->args[2]->type : type_of(TYPE_UTF8_VIEW);
    TRY(bind_getter(e, err));
    e->type = type_ref(type->id == TYPE_UTF8 || type->id == TYPE_LARGE_UTF8 ? type_of(TYPE_UTF8_VIEW) : type);
    e->nullable = true;
    return ST_OK;
}

static int kernel_get(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    char type[100];
    if (e->n_args != 3)
        return error_set(err, ST_EXECUTE_QUERY, "json_get takes a third argument, whose type is that of the result");
    if (e->type->id == TYPE_UTF8_VIEW)
        return kernel_to_text(e, ctx, args, rows, ret, err);
    if (e->type->id == TYPE_INT64 || e->type->id == TYPE_FLOAT64 || e->type->id == TYPE_BOOL)
        return kernel_to_fixed(e, ctx, args, rows, ret, err);
    return error_set(err, ST_EXECUTE_QUERY, "json_get: unsupported return type %s", type_print(e->type, type, sizeof type));
}

/* ---- tests ---- */

static int is_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    const uint8_t *document;
    size_t size;
    struct jsonb_number n;
    uint32_t count;
    int64_t ignored;
    bool yes = false;
    (void)ret_null;
    TRY(read_document(c, row, &document, &size, err));
    struct jsonb_item v = jsonb_root(document, size);
    switch (c->e->function->op) {
    case IS_NULL:
        yes = v.kind == JSONB_NULL;
        break;
    case IS_BOOL:
        yes = v.kind == JSONB_TRUE || v.kind == JSONB_FALSE;
        break;
    case IS_INT:
        yes = v.kind == JSONB_NUMBER && as_integer(&v, &ignored);
        break;
    case IS_FLOAT:
        yes = jsonb_number(&v, &n);
        break;
    case IS_STRING:
        yes = v.kind == JSONB_STRING;
        break;
    case IS_ARRAY:
        yes = jsonb_container(&v, &count) == JSONB_ARRAY;
        break;
    case IS_OBJECT:
        yes = jsonb_container(&v, &count) == JSONB_OBJECT;
        break;
    }
    *(uint8_t *)ret_value = yes;
    return ST_OK;
}

static int exists_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    struct state *s = c->state;
    const uint8_t *document, *path;
    size_t size, n;
    bool found = false;
    (void)ret_null;
    path = value_text(&c->args[1], row, &n);
    TRY(read_path(c, path, n, err));
    if (!s->path)
        return bad_path(s, err);
    TRY(read_document(c, row, &document, &size, err));
    if (size)
        found = jsonpath_is_predicate(s->path);
    if (size && !found)
        TRY(jsonpath_finds(s->path, document, size, c->ctx->budget, &found, err));
    *(uint8_t *)ret_value = found;
    return ST_OK;
}

static int match_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    struct state *s = c->state;
    const uint8_t *document, *path;
    size_t size, n;
    bool found = false;
    path = value_text(&c->args[1], row, &n);
    TRY(read_path(c, path, n, err));
    TRY(read_document(c, row, &document, &size, err));
    struct jsonb_item root = jsonb_root(document, size);
    *ret_null = !s->path || !jsonpath_is_predicate(s->path) || size == 0 || root.kind == JSONB_NULL;
    if (!*ret_null)
        TRY(jsonpath_finds(s->path, document, size, c->ctx->budget, &found, err));
    *(uint8_t *)ret_value = found;
    return ST_OK;
}

/* ---- text ---- */

static int parse_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct state *s = c->state;
    size_t n;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    (void)ret_null;
    s->result.size = 0;
    int st = jsonb_parse(p, n, c->ctx->budget, &s->result, err);
    if (st == ST_INVALID_ARGUMENTS)
        return error_set(err, ST_EXECUTE_QUERY, "cannot parse '%.*s' as JSON", n > 100 ? 100 : (int)n, (const char *)p);
    TRY(st);
    return text_writer_put(w, s->result.data, s->result.size, err);
}

static int print_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct state *s = c->state;
    size_t n;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    (void)ret_null;
    if (n == 0)
        return ST_OK;
    s->result.size = 0;
    int st = jsonb_print(p, n, c->ctx->budget, &s->result, err);
    if (st == ST_CORRUPT && err)
        err->status = ST_EXECUTE_QUERY;
    TRY(st == ST_CORRUPT ? ST_EXECUTE_QUERY : st);
    return text_writer_put(w, s->result.data, s->result.size, err);
}

#define TO_TEXT(name, n, bind, strict, signature, row)                                                                                               \
    {                                                                                                                                                \
        name, n, n, bind, kernel_to_text, 0, strict, signature, .text_row = row                                                                      \
    }
#define TO_FIXED(name, n, bind, strict, signature, row, op)                                                                                          \
    {                                                                                                                                                \
        name, n, n, bind, kernel_to_fixed, op, strict, signature, .fixed_row = row                                                                   \
    }

const struct function functions_json[] = {
    TO_TEXT("parse_json", 1, bind_signature, true, "T:y", parse_row),
    TO_TEXT("json_to_string", 1, bind_signature, true, "X:v", print_row),
    TO_TEXT("json_get_string", 2, bind_getter, false, "AT:v?", get_string_row),
    TO_TEXT("json_get_object", 2, bind_signature, true, "XT:y?", get_object_row),
    TO_FIXED("json_get_int", 2, bind_getter, false, "AT:I?", get_fixed_row, 0),
    TO_FIXED("json_get_float", 2, bind_getter, false, "AT:D?", get_fixed_row, 0),
    TO_FIXED("json_get_bool", 2, bind_getter, false, "AT:O?", get_fixed_row, 0),
    {"json_get", 2, 3, bind_get, kernel_get, 0, false, "ATA:v?", .text_row = get_string_row, .fixed_row = get_fixed_row},
    TO_FIXED("json_is_null", 1, bind_signature, true, "X:O", is_row, IS_NULL),
    TO_FIXED("json_is_bool", 1, bind_signature, true, "X:O", is_row, IS_BOOL),
    TO_FIXED("json_is_int", 1, bind_signature, true, "X:O", is_row, IS_INT),
    TO_FIXED("json_is_float", 1, bind_signature, true, "X:O", is_row, IS_FLOAT),
    TO_FIXED("json_is_string", 1, bind_signature, true, "X:O", is_row, IS_STRING),
    TO_FIXED("json_is_array", 1, bind_signature, true, "X:O", is_row, IS_ARRAY),
    TO_FIXED("json_is_object", 1, bind_signature, true, "X:O", is_row, IS_OBJECT),
    TO_FIXED("json_path_exists", 2, bind_signature, true, "XT:O?", exists_row, 0),
    TO_FIXED("json_path_match", 2, bind_signature, true, "XT:O?", match_row, 0),
    {0},
};
