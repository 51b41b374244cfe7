/* The query of a scan: a Substrait plan read -> [filter] -> project -> [fetch] (query-plans.md 1.3-1.10).
 *
 * The read names only the columns that the query uses: those of the output first, then those that only the filter needs.
 */
#include "region/scan_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "exec/cast_text.h"
#include "format/proto/wire.h"

enum { PLAN_BYTES_MAX = 4 << 20, TYPE_DEPTH_MAX = 16, FILTER_TERMS_MAX = 64 };
enum { NULLABLE = 1, REQUIRED = 2 };

/* ---- pieces: every message is written into its own dynbuf and then wrapped ---- */

static int wrap(struct dynbuf *inner, uint32_t field, struct error *err)
{
    struct dynbuf out;
    dynbuf_init(&out, PLAN_BYTES_MAX);
    int rc = pb_put_bytes(&out, field, inner->data, inner->size, err);
    dynbuf_release(inner);
    *inner = out;
    return rc;
}

/* Appends `inner` as a field of `out` and releases it. `rc` is the outcome of filling it. */
static int put_piece(int rc, struct dynbuf *out, uint32_t field, struct dynbuf *inner, struct error *err)
{
    if (rc == ST_OK)
        rc = pb_put_bytes(out, field, inner->data, inner->size, err);
    dynbuf_release(inner);
    return rc;
}

/* ---- types ---- */
struct type_kind { uint32_t field, variation; };

static bool simple_kind(const struct dtype *t, struct type_kind *ret)
{
    static const struct { enum type_id id; struct type_kind kind; } kinds[] = {
        {TYPE_BOOL, {1, 0}}, {TYPE_INT8, {2, 0}}, {TYPE_INT16, {3, 0}}, {TYPE_INT32, {5, 0}}, {TYPE_INT64, {7, 0}}, {TYPE_UINT8, {2, 1}},
        {TYPE_UINT16, {3, 1}}, {TYPE_UINT32, {5, 1}}, {TYPE_UINT64, {7, 1}}, {TYPE_FLOAT32, {10, 0}}, {TYPE_FLOAT64, {11, 0}}, {TYPE_UTF8, {12, 0}},
        {TYPE_LARGE_UTF8, {12, 1}}, {TYPE_UTF8_VIEW, {12, 2}}, {TYPE_BINARY, {13, 0}}, {TYPE_LARGE_BINARY, {13, 1}}, {TYPE_BINARY_VIEW, {13, 2}},
        {TYPE_DATE32, {16, 0}}, {TYPE_DATE64, {16, 1}}, {TYPE_INTERVAL_YEAR_MONTH, {19, 0}}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].id == t->id) {
            *ret = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static int put_type(const struct dtype *t, int depth, struct dynbuf *out, struct error *err);

static int put_list_type(const struct dtype *t, int depth, struct dynbuf *out, struct error *err)
{
    struct dynbuf item;
    dynbuf_init(&item, PLAN_BYTES_MAX);
    TRY(put_piece(put_type(t->children[0]->type, depth + 1, &item, err), out, 1, &item, err));
    if (t->id == TYPE_LARGE_LIST)
        TRY(pb_put_uint(out, 2, 1, err));
    return pb_put_uint(out, 3, NULLABLE, err);
}

static int put_struct_type(const struct dtype *t, int depth, struct dynbuf *out, struct error *err)
{
    for (uint32_t i = 0; i < t->n_children; i++) {
        struct dynbuf member;
        dynbuf_init(&member, PLAN_BYTES_MAX);
        TRY(put_piece(put_type(t->children[i]->type, depth + 1, &member, err), out, 1, &member, err));
    }
    return pb_put_uint(out, 3, NULLABLE, err);
}

/* Fills the inside of a type and tells its member number in Type. */
static int fill_type(const struct dtype *t, int depth, struct dynbuf *in, uint32_t *ret_field, struct error *err)
{
    char text[200];
    struct type_kind kind = {0};
    if (simple_kind(t, &kind)) {
        *ret_field = kind.field;
        if (kind.variation)
            TRY(pb_put_uint(in, 1, kind.variation, err));
        return pb_put_uint(in, 2, NULLABLE, err);
    }
    switch (t->id) {
    case TYPE_TIMESTAMP:
    case TYPE_TIME32:
    case TYPE_TIME64:
        *ret_field = t->id == TYPE_TIMESTAMP ? (t->timezone ? 34 : 33) : 36;
        TRY(pb_put_uint(in, 1, (uint64_t)t->unit * 3, err));
        if (t->id == TYPE_TIME64)
            TRY(pb_put_uint(in, 2, 1, err));
        return pb_put_uint(in, 3, NULLABLE, err);
    case TYPE_INTERVAL_DAY_TIME:
    case TYPE_INTERVAL_MONTH_DAY_NANO:
        *ret_field = t->id == TYPE_INTERVAL_DAY_TIME ? 20 : 35;
        TRY(pb_put_uint(in, 2, NULLABLE, err));
        return pb_put_uint(in, 3, t->id == TYPE_INTERVAL_DAY_TIME ? 3 : 9, err);
    case TYPE_DECIMAL128:
        *ret_field = 24;
        TRY(pb_put_uint(in, 1, (uint64_t)(int64_t)t->scale, err));
        TRY(pb_put_uint(in, 2, t->precision, err));
        return pb_put_uint(in, 4, NULLABLE, err);
    case TYPE_LIST:
    case TYPE_LARGE_LIST:
        *ret_field = 27;
        return put_list_type(t, depth, in, err);
    case TYPE_STRUCT:
        *ret_field = 25;
        return put_struct_type(t, depth, in, err);
    default:
        return error_set(err, ST_UNSUPPORTED, "scan cannot ask for a column of type %s", type_print(t, text, sizeof text));
    }
}

static int put_type(const struct dtype *t, int depth, struct dynbuf *out, struct error *err)
{
    struct dynbuf in;
    uint32_t field = 0;
    if (depth > TYPE_DEPTH_MAX)
        return error_set(err, ST_UNSUPPORTED, "a type nested too deeply");
    dynbuf_init(&in, PLAN_BYTES_MAX);
    int rc = fill_type(t, depth, &in, &field, err);
    return put_piece(rc, out, field, &in, err);
}

/* A column's names depth-first: its own, then those of struct members. */
static int put_names(const char *name, const struct dtype *t, uint32_t field, int depth, struct dynbuf *out, struct error *err)
{
    if (name)
        TRY(pb_put_string(out, field, name, err));
    if (depth > TYPE_DEPTH_MAX)
        return ST_OK; /* put_type() refuses it */
    if (t->id == TYPE_STRUCT) {
        for (uint32_t i = 0; i < t->n_children; i++)
            TRY(put_names(t->children[i]->name, t->children[i]->type, field, depth + 1, out, err));
    } else if (t->id == TYPE_LIST || t->id == TYPE_LARGE_LIST) {
        TRY(put_names(NULL, t->children[0]->type, field, depth + 1, out, err));
    }
    return ST_OK;
}

/* ---- the filter ---- */
enum { FN_AND, FN_EQUAL, FN_NOT_EQUAL, FN_LT, FN_LTE, FN_GT, FN_GTE, FN_IS_NULL, FN_IS_NOT_NULL, FN_COUNT };
static const char *const function_names[FN_COUNT] = {"and", "equal", "not_equal", "lt", "lte", "gt", "gte", "is_null", "is_not_null"};

struct term {
    uint32_t column; /* index into the metadata */
    int function;
    const char *text; /* the literal */
    size_t size;
    bool quoted;
};

struct build {
    struct arena *arena;
    const struct scan_plan *plan;
    uint32_t *scan; /* columns of the read: indexes into the metadata */
    uint32_t n_scan;
    struct term terms[FILTER_TERMS_MAX];
    uint32_t n_terms;
};

static bool is_word(char ch)
{
    return (ch && strchr("_-.+:", ch)) || (ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z') || (ch & 0x80);
}

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* A bare word, or text in 'single' or "double" quotes (a doubled quote stands for itself). */
static int take_word(struct build *b, const char **p, const char **ret_text, size_t *ret_size, bool *ret_quoted, struct error *err)
{
    const char *s = skip_space(*p);
    char quote = *s == '\'' || *s == '"' ? *s : 0;
    *ret_quoted = quote == '\'';
    if (!quote) {
        size_t n = 0;
        while (is_word(s[n]))
            n++;
        if (n == 0)
            return error_set(err, ST_INVALID_ARGUMENTS, "the filter lacks a name or value at '%.100s'", s);
        *ret_text = s;
        *ret_size = n;
        *p = s + n;
        return ST_OK;
    }
    char *copy = arena_alloc(b->arena, strlen(s) + 1, err);
    size_t n = 0;
    if (!copy)
        return ST_NO_MEMORY;
    for (s++; *s && (*s != quote || s[1] == quote); s++) {
        s += *s == quote;
        copy[n++] = *s;
    }
    if (!*s)
        return error_set(err, ST_INVALID_ARGUMENTS, "the filter has a quote without end");
    *ret_text = copy;
    *ret_size = n;
    *p = s + 1;
    return ST_OK;
}

static bool take_keyword(const char **p, const char *keyword)
{
    const char *s = skip_space(*p);
    size_t n = strlen(keyword);
    if (strncasecmp(s, keyword, n) || is_word(s[n]))
        return false;
    *p = s + n;
    return true;
}

static int take_operator(struct build *b, const char **p, struct term *t, struct error *err)
{
    static const struct { const char *text; int function; } operators[] = {{"<=", FN_LTE}, {">=", FN_GTE}, {"!=", FN_NOT_EQUAL}, {"<>", FN_NOT_EQUAL},
                                                                           {"==", FN_EQUAL}, {"=", FN_EQUAL}, {"<", FN_LT}, {">", FN_GT}};
    const char *s = skip_space(*p);
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        size_t n = strlen(operators[i].text);
        if (strncmp(s, operators[i].text, n))
            continue;
        t->function = operators[i].function;
        *p = s + n;
        return take_word(b, p, &t->text, &t->size, &t->quoted, err);
    }
    if (!take_keyword(p, "is"))
        return error_set(err, ST_INVALID_ARGUMENTS, "the filter lacks an operator at '%.100s'", s);
    t->function = take_keyword(p, "not") ? FN_IS_NOT_NULL : FN_IS_NULL;
    return take_keyword(p, "null") ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "the filter lacks NULL behind IS");
}

static int parse_filter(struct build *b, struct error *err)
{
    const char *p = b->plan->filter;
    do {
        const char *name;
        size_t n;
        bool quoted;
        if (b->n_terms == FILTER_TERMS_MAX)
            return error_set(err, ST_INVALID_ARGUMENTS, "a filter of more than %d comparisons", FILTER_TERMS_MAX);
        struct term *t = &b->terms[b->n_terms];
        TRY(take_word(b, &p, &name, &n, &quoted, err));
        int column = region_metadata_find(b->plan->meta, name, n);
        if (column < 0)
            return error_set(err, ST_INVALID_ARGUMENTS, "the filter names '%.*s', which is no column", (int)(n < 100 ? n : 100), name);
        t->column = (uint32_t)column;
        TRY(take_operator(b, &p, t, err));
        b->n_terms++;
    } while (take_keyword(&p, "and"));
    p = skip_space(p);
    return *p ? error_set(err, ST_INVALID_ARGUMENTS, "the filter goes on with '%.100s' where AND was expected", p) : ST_OK;
}

/* Position of a metadata column in the read, added when it is not there yet. */
static uint32_t scan_position(struct build *b, uint32_t column)
{
    for (uint32_t i = 0; i < b->n_scan; i++) {
        if (b->scan[i] == column)
            return i;
    }
    b->scan[b->n_scan] = column;
    return b->n_scan++;
}

/* ---- expressions ---- */
static int put_field(uint32_t position, struct dynbuf *out, struct error *err)
{
    struct dynbuf e;
    dynbuf_init(&e, PLAN_BYTES_MAX);
    int rc = position ? pb_put_uint(&e, 1, position, err) : ST_OK;
    for (uint32_t field = 2; field && rc == ST_OK; field--) /* StructField in ReferenceSegment in FieldReference */
        rc = wrap(&e, field, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(&e, 4, "", 0, err); /* root_reference */
    return put_piece(rc, out, 2, &e, err);
}

static int bad_literal(struct build *b, const struct term *t, struct error *err)
{
    const struct region_column *col = &b->plan->meta->columns[t->column];
    char text[200];
    return error_set(err, ST_INVALID_ARGUMENTS, "'%.*s' is not a value of column %.100s, which is %s", (int)(t->size < 80 ? t->size : 80), t->text, col->name,
                     type_print(col->type, text, sizeof text));
}

static int put_integer(struct build *b, const struct term *t, const struct dtype *type, struct dynbuf *out, struct error *err)
{
    __int128 v;
    struct type_kind kind = {0};
    int bits = type_width(type) * 8;
    bool is_signed = type_is_signed(type);
    __int128 min = is_signed ? -((__int128)1 << (bits - 1)) : 0, max = ((__int128)1 << (is_signed ? bits - 1 : bits)) - 1;
    if (!text_to_integer(t->text, t->size, &v) || v < min || v > max || !simple_kind(type, &kind))
        return bad_literal(b, t, err);
    int64_t wire = bits == 32 ? (int32_t)v : (int64_t)v;
    TRY(pb_put_uint(out, kind.field, (uint64_t)wire, err));
    return kind.variation ? pb_put_uint(out, 51, kind.variation, err) : ST_OK;
}

static int put_timestamp(struct build *b, const struct term *t, const struct dtype *type, struct dynbuf *out, struct error *err)
{
    struct dynbuf in;
    __int128 number;
    int64_t v;
    if (text_to_integer(t->text, t->size, &number) && number == (int64_t)number)
        v = (int64_t)number;
    else if (!text_to_timestamp(t->text, t->size, NULL, type->unit, &v))
        return bad_literal(b, t, err);
    dynbuf_init(&in, PLAN_BYTES_MAX);
    int rc = pb_put_uint(&in, 1, (uint64_t)type->unit * 3, err);
    if (rc == ST_OK)
        rc = pb_put_uint(&in, 2, (uint64_t)v, err);
    return put_piece(rc, out, type->timezone ? 35 : 34, &in, err);
}

static int fill_literal(struct build *b, const struct term *t, struct dynbuf *out, struct error *err)
{
    const struct dtype *type = b->plan->meta->columns[t->column].type;
    double number;
    bool flag;
    int32_t days;
    if (type_is_integer(type))
        return put_integer(b, t, type, out, err);
    if (type_is_string(type)) {
        struct type_kind kind = {0};
        simple_kind(type, &kind);
        TRY(pb_put_bytes(out, 12, t->text, t->size, err));
        return kind.variation ? pb_put_uint(out, 51, kind.variation, err) : ST_OK;
    }
    switch (type->id) {
    case TYPE_BOOL:
        return text_to_bool(t->text, t->size, &flag) ? pb_put_uint(out, 1, flag, err) : bad_literal(b, t, err);
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        if (!number_parse(t->text, t->size, false, &number))
            return bad_literal(b, t, err);
        if (type->id == TYPE_FLOAT64) {
            uint64_t bits;
            memcpy(&bits, &number, 8);
            return pb_put_fixed64(out, 11, bits, err);
        } else {
            float narrow = (float)number;
            uint32_t bits;
            memcpy(&bits, &narrow, 4);
            return pb_put_fixed32(out, 10, bits, err);
        }
    case TYPE_DATE32:
        return text_to_date(t->text, t->size, &days) ? pb_put_uint(out, 16, (uint64_t)(int64_t)days, err) : bad_literal(b, t, err);
    case TYPE_TIMESTAMP:
        return put_timestamp(b, t, type, out, err);
    default:
        return bad_literal(b, t, err);
    }
}

/* Puts Expression `e` as an argument of the function being written. */
static int put_argument(int rc, struct dynbuf *function, struct dynbuf *e, struct error *err)
{
    if (rc == ST_OK)
        rc = wrap(e, 3, err); /* FunctionArgument.value */
    return put_piece(rc, function, 4, e, err);
}

static int begin_function(struct dynbuf *f, int function, struct error *err)
{
    dynbuf_init(f, PLAN_BYTES_MAX);
    return function ? pb_put_uint(f, 1, (uint64_t)function, err) : ST_OK;
}

static int put_term(struct build *b, const struct term *t, struct dynbuf *out, struct error *err)
{
    struct dynbuf f, e, literal;
    int rc = begin_function(&f, t->function, err);
    dynbuf_init(&e, PLAN_BYTES_MAX);
    if (rc == ST_OK)
        rc = put_field(scan_position(b, t->column), &e, err);
    rc = put_argument(rc, &f, &e, err);
    if (rc == ST_OK && t->function < FN_IS_NULL) {
        dynbuf_init(&e, PLAN_BYTES_MAX);
        dynbuf_init(&literal, PLAN_BYTES_MAX);
        rc = fill_literal(b, t, &literal, err);
        rc = put_piece(rc, &e, 1, &literal, err);
        rc = put_argument(rc, &f, &e, err);
    }
    return put_piece(rc, out, 3, &f, err);
}

static int put_condition(struct build *b, struct dynbuf *out, struct error *err)
{
    TRY(put_term(b, &b->terms[0], out, err));
    for (uint32_t i = 1; i < b->n_terms; i++) {
        struct dynbuf f, e;
        int rc = begin_function(&f, FN_AND, err);
        struct dynbuf left = *out;
        dynbuf_init(out, PLAN_BYTES_MAX);
        dynbuf_init(&e, PLAN_BYTES_MAX);
        rc = put_argument(rc, &f, &left, err);
        if (rc == ST_OK)
            rc = put_term(b, &b->terms[i], &e, err);
        rc = put_argument(rc, &f, &e, err);
        TRY(put_piece(rc, out, 3, &f, err));
    }
    return ST_OK;
}

/* ---- relations: each call replaces *rel by the one above it ---- */
static int build_read(struct build *b, struct dynbuf *rel, struct error *err)
{
    const struct region_metadata *m = b->plan->meta;
    struct dynbuf schema, types, table;
    dynbuf_init(&schema, PLAN_BYTES_MAX);
    dynbuf_init(&types, PLAN_BYTES_MAX);
    int rc = ST_OK;
    for (uint32_t i = 0; i < b->n_scan && rc == ST_OK; i++)
        rc = put_names(m->columns[b->scan[i]].name, m->columns[b->scan[i]].type, 1, 0, &schema, err);
    for (uint32_t i = 0; i < b->n_scan && rc == ST_OK; i++) {
        struct dynbuf type;
        dynbuf_init(&type, PLAN_BYTES_MAX);
        rc = put_piece(put_type(m->columns[b->scan[i]].type, 0, &type, err), &types, 1, &type, err);
    }
    if (rc == ST_OK)
        rc = pb_put_uint(&types, 3, REQUIRED, err);
    rc = put_piece(rc, &schema, 2, &types, err);
    rc = put_piece(rc, rel, 2, &schema, err);
    dynbuf_init(&table, 64);
    if (rc == ST_OK)
        rc = pb_put_string(&table, 1, "region", err);
    rc = put_piece(rc, rel, 7, &table, err);
    return rc ? rc : wrap(rel, 1, err);
}

static int build_filter(struct dynbuf *rel, struct dynbuf *condition, struct error *err)
{
    TRY(wrap(rel, 2, err));
    TRY(pb_put_bytes(rel, 3, condition->data, condition->size, err));
    return wrap(rel, 2, err);
}

static int build_project(struct build *b, struct dynbuf *rel, struct error *err)
{
    struct dynbuf mapping;
    TRY(wrap(rel, 2, err));
    dynbuf_init(&mapping, PLAN_BYTES_MAX);
    int rc = ST_OK;
    for (uint32_t i = 0; i < b->plan->n_columns && rc == ST_OK; i++)
        rc = pb_put_varint(&mapping, b->n_scan + i, err);
    for (uint32_t i = 0; i < 2 && rc == ST_OK; i++) /* output_mapping in Emit, Emit in RelCommon */
        rc = wrap(&mapping, 1 + i, err);
    rc = put_piece(rc, rel, 1, &mapping, err);
    for (uint32_t i = 0; i < b->plan->n_columns && rc == ST_OK; i++) {
        struct dynbuf e;
        dynbuf_init(&e, PLAN_BYTES_MAX);
        rc = put_piece(put_field(i, &e, err), rel, 3, &e, err);
    }
    return rc ? rc : wrap(rel, 7, err);
}

static int build_fetch(int64_t limit, struct dynbuf *rel, struct error *err)
{
    struct dynbuf count;
    TRY(wrap(rel, 2, err));
    dynbuf_init(&count, 64);
    int rc = pb_put_uint(&count, 7, (uint64_t)limit, err);
    if (rc == ST_OK)
        rc = wrap(&count, 1, err); /* Expression.literal */
    rc = put_piece(rc, rel, 6, &count, err);
    return rc ? rc : wrap(rel, 3, err);
}

static int put_functions(struct dynbuf *plan, struct error *err)
{
    for (int i = 0; i < FN_COUNT; i++) {
        struct dynbuf f;
        dynbuf_init(&f, 256);
        int rc = pb_put_uint(&f, 1, UINT32_MAX, err);
        if (rc == ST_OK && i)
            rc = pb_put_uint(&f, 2, (uint64_t)i, err);
        if (rc == ST_OK)
            rc = pb_put_string(&f, 3, function_names[i], err);
        if (rc == ST_OK)
            rc = pb_put_uint(&f, 4, UINT32_MAX, err);
        if (rc == ST_OK)
            rc = wrap(&f, 3, err); /* extension_function */
        TRY(put_piece(rc, plan, 2, &f, err));
    }
    return ST_OK;
}

static int build_plan(struct build *b, struct dynbuf *condition, struct dynbuf *rel, struct dynbuf *plan, struct error *err)
{
    const struct scan_plan *p = b->plan;
    if (p->filter) {
        TRY(parse_filter(b, err));
        TRY(put_condition(b, condition, err));
    }
    TRY(build_read(b, rel, err));
    if (p->filter)
        TRY(build_filter(rel, condition, err));
    TRY(build_project(b, rel, err));
    if (p->limit >= 0)
        TRY(build_fetch(p->limit, rel, err));
    TRY(wrap(rel, 1, err)); /* RelRoot.input */
    for (uint32_t i = 0; i < p->n_columns; i++)
        TRY(put_names(p->meta->columns[p->columns[i]].name, p->meta->columns[p->columns[i]].type, 2, 0, rel, err));
    TRY(wrap(rel, 2, err)); /* PlanRel.root */
    TRY(put_functions(plan, err));
    return pb_put_bytes(plan, 3, rel->data, rel->size, err);
}

int scan_plan_request(const struct scan_plan *plan, struct arena *arena, struct dynbuf *out, struct error *err)
{
    struct dynbuf condition, rel, text;
    struct build *b = ARENA_NEW(arena, struct build, err);
    if (!b)
        return ST_NO_MEMORY;
    b->arena = arena;
    b->plan = plan;
    b->scan = ARENA_ARRAY(arena, (size_t)plan->n_columns + FILTER_TERMS_MAX, uint32_t, err);
    if (!b->scan)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < plan->n_columns; i++)
        b->scan[b->n_scan++] = plan->columns[i];
    dynbuf_init(&condition, PLAN_BYTES_MAX);
    dynbuf_init(&rel, PLAN_BYTES_MAX);
    dynbuf_init(&text, PLAN_BYTES_MAX);
    int rc = build_plan(b, &condition, &rel, &text, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(out, 1, "\x1a\x06public", 8, err);
    if (rc == ST_OK)
        rc = pb_put_uint(out, 2, plan->meta->region_id, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(out, 3, text.data, text.size, err);
    dynbuf_release(&condition);
    dynbuf_release(&rel);
    dynbuf_release(&text);
    return rc;
}
