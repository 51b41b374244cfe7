/* Calls of scalar functions over small batches, written as text and shown as text. Each is evaluated with plain and with dictionary-encoded columns, which must
 * agree. For unit tests: included once, everything static.
 *
 * Columns are written as values with '|' between them; NULL is null, lists are [1,2,NULL], structs {1,x}, maps [{k,v}], bytes may be 0x00ff. Results are shown in the
 * same way; a failure as "!" and its status.
 */
#ifndef TESTS_EXPR_CALC_H
#define TESTS_EXPR_CALC_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/expr.h"

enum { POOL = 4096, COLUMNS = 4 };

static struct arena arena;
static struct budget budget;
static struct dtype *types[POOL];
static struct column *columns[POOL], *input[COLUMNS];
static int n_types, n_columns, n_input;
static const char *session_timezone; /* set it back to NULL behind the test */
static const struct kv *input_meta;  /* of the fields; set n_input_meta back to 0 behind the test */
static uint32_t n_input_meta;

static inline int set_up(void **state)
{
    (void)state;
    budget_init(&budget, "query", "query.memory_limit", SIZE_MAX, NULL);
    arena_init(&arena, &budget);
    n_types = n_columns = n_input = 0;
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < n_columns; i++)
        column_unref(columns[i]);
    for (int i = 0; i < n_types; i++)
        type_unref(types[i]);
    arena_release(&arena);
    assert_int_equal(budget_used(&budget), 0);
    return 0;
}

static inline struct dtype *decimal(int precision, int scale)
{
    return types[n_types++] = type_decimal(TYPE_DECIMAL128, (uint8_t)precision, (int8_t)scale);
}

static inline struct dtype *stamp(enum time_unit unit)
{
    return type_temporal(TYPE_TIMESTAMP, unit);
}

static inline struct dtype *list_of(struct dtype *item)
{
    struct field *f = field_new("item", item, true);
    types[n_types] = type_list(TYPE_LIST, f);
    field_unref(f);
    return types[n_types++];
}

#define T(name) type_of(TYPE_##name)

static inline __int128 parse128(const char *p)
{
    bool negative = *p == '-';
    unsigned __int128 v = 0;
    for (p += negative; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (unsigned)(*p - '0');
    return (__int128)(negative ? 0 - v : v);
}

static inline size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned v;
    for (; sscanf(hex, "%2x", &v) == 1; hex += 2)
        out[n++] = (uint8_t)v;
    return n;
}

static inline void append(struct column_builder *b, const char *item);

/* "[a,b]" or "{a,b}": items go to the children in turn (lists: all to the only one). */
static inline void append_nested(struct column_builder *b, const char *item)
{
    uint32_t k = 0;
    for (const char *p = item + 1; *p && p[1]; k++) {
        char one[400];
        size_t n = 0;
        for (int depth = 0; p[n] && (depth || (p[n] != ',' && p[n] != ']' && p[n] != '}')); n++)
            depth += (p[n] == '[' || p[n] == '{') - (p[n] == ']' || p[n] == '}');
        snprintf(one, sizeof one, "%.*s", (int)n, p);
        append(&b->children[b->type->id == TYPE_STRUCT ? k : 0], one);
        p += n + (p[n] == ',');
        if (*p == ']' || *p == '}')
            break;
    }
    assert_int_equal(column_builder_append_nested(b, NULL), ST_OK);
}

/* One value in the builder: "NULL", bytes, true/false, a raw number, `months/days/nanos`, or a nested value. */
static inline void append(struct column_builder *b, const char *item)
{
    const struct dtype *t = b->type;
    struct { int32_t months, days; int64_t nanos; } span = {0, 0, 0};
    int st;
    if (strcmp(item, "NULL") == 0)
        st = column_builder_append_null(b, NULL);
    else if (type_is_nested(t))
        return append_nested(b, item);
    else if (type_is_binary(t) && strncmp(item, "0x", 2) == 0) {
        uint8_t raw[16 << 10];
        size_t n = unhex(item + 2, raw);
        st = column_builder_append_bytes(b, raw, n, NULL);
    } else if (type_is_varlen(t))
        st = column_builder_append_bytes(b, item, strlen(item), NULL);
    else if (t->id == TYPE_BOOL)
        st = column_builder_append_bool(b, *item == 't', NULL);
    else if (t->id == TYPE_FLOAT64)
        st = column_builder_append_fixed(b, &(double){strtod(item, NULL)}, NULL);
    else if (t->id == TYPE_FLOAT32)
        st = column_builder_append_fixed(b, &(float){strtof(item, NULL)}, NULL);
    else if (t->id == TYPE_INTERVAL_MONTH_DAY_NANO && sscanf(item, "%d/%d/%ld", &span.months, &span.days, &span.nanos) == 3)
        st = column_builder_append_fixed(b, &span, NULL);
    else
        st = column_builder_append_fixed(b, &(__int128){parse128(item)}, NULL);
    assert_int_equal(st, ST_OK);
}

/* Items are separated by '|'. */
static inline struct column *make(struct dtype *type, const char *text)
{
    struct column_builder b;
    assert_int_equal(column_builder_init(&b, &budget, type, NULL), ST_OK);
    for (;;) {
        char item[16 << 10];
        size_t n = strcspn(text, "|");
        snprintf(item, sizeof item, "%.*s", (int)n, text);
        append(&b, item);
        if (!text[n])
            break;
        text += n + 1;
    }
    assert_int_equal(column_builder_finish(&b, &columns[n_columns], NULL), ST_OK);
    column_builder_release(&b);
    return columns[n_columns++];
}

static inline size_t show_one(const struct column *c, int64_t i, char *out, size_t room);

static inline size_t show_nested(const struct column *c, int64_t i, char *out, size_t room)
{
    bool members = c->type->id == TYPE_STRUCT;
    size_t n = (size_t)snprintf(out, room, members ? "{" : "[");
    int64_t at = c->offset + i, from = 0, to = c->n_children;
    if (!members) {
        const int32_t *o = COLUMN_VALUES(c, int32_t) + i;
        from = c->type->id == TYPE_FIXED_LIST ? at * c->type->width : o[0];
        to = c->type->id == TYPE_FIXED_LIST ? from + c->type->width : o[1];
    }
    for (int64_t k = from; k < to; k++) {
        n += (size_t)snprintf(out + n, room - n, k > from ? "," : "");
        n += members ? show_one(c->children[k], at, out + n, room - n) : show_one(c->children[0], k, out + n, room - n);
    }
    return n + (size_t)snprintf(out + n, room - n, members ? "}" : "]");
}

static inline size_t show_bytes(const uint8_t *p, int32_t size, char *out, size_t room)
{
    bool plain = true;
    size_t n;
    for (int32_t i = 0; i < size; i++)
        plain = plain && p[i] >= ' ' && p[i] < 127;
    if (plain)
        return (size_t)snprintf(out, room, "%.*s", size, (const char *)p);
    n = (size_t)snprintf(out, room, "0x");
    for (int32_t i = 0; i < size; i++)
        n += (size_t)snprintf(out + n, room - n, "%02x", p[i]);
    return n;
}

static inline size_t show_one(const struct column *c, int64_t i, char *out, size_t room)
{
    int32_t size;
    if (column_is_null(c, i))
        return (size_t)snprintf(out, room, "NULL");
    if (type_is_nested(c->type))
        return show_nested(c, i, out, room);
    if (type_is_varlen(c->type)) {
        const uint8_t *p = column_bytes(c, i, &size);
        return type_is_binary(c->type) ? show_bytes(p, size, out, room) : (size_t)snprintf(out, room, "%.*s", size, (const char *)p);
    }
    if (c->type->id == TYPE_BOOL)
        return (size_t)snprintf(out, room, "%s", column_bool(c, i) ? "true" : "false");
    if (c->type->id == TYPE_FLOAT64)
        return (size_t)snprintf(out, room, "%.17g", COLUMN_VALUES(c, double)[i]);
    if (c->type->id == TYPE_FLOAT32)
        return (size_t)snprintf(out, room, "%.9g", (double)COLUMN_VALUES(c, float)[i]);
    if (type_width(c->type) == 16) {
        __int128 v = COLUMN_VALUES(c, __int128)[i];
        char digits[50] = "";
        int at = 49;
        bool negative = v < 0;
        do {
            digits[--at] = (char)('0' + abs((int)(v % 10)));
            v /= 10;
        } while (v);
        return (size_t)snprintf(out, room, "%s%s", negative ? "-" : "", digits + at);
    }
    const uint8_t *p = c->buffers[0]->data + (c->offset + i) * type_width(c->type);
    int64_t v = 0;
    memcpy(&v, p, (size_t)type_width(c->type));
    int spare = 64 - 8 * type_width(c->type);
    v = type_is_integer(c->type) && !type_is_signed(c->type) ? v : (int64_t)((uint64_t)v << spare) >> spare;
    return (size_t)snprintf(out, room, type_is_signed(c->type) || !type_is_integer(c->type) ? "%ld" : "%lu", v);
}

static inline void show(struct column *c, char *out, size_t room)
{
    struct column *plain;
    size_t n = 0;
    assert_int_equal(column_decode_dictionary(&budget, c, &plain, NULL), ST_OK);
    for (int64_t i = 0; i < plain->length; i++) {
        n += (size_t)snprintf(out + n, room - n, i ? "|" : "");
        n += show_one(plain, i, out + n, room - n);
    }
    column_unref(plain);
}

/* The same rows through a dictionary in another order with one value too many. */
static inline struct column *encoded(struct column *c)
{
    struct column *values, *out;
    struct buffer *keys, *validity = NULL;
    uint32_t reversed[64];
    int64_t n = c->length, nulls = column_null_count(c);
    for (int64_t i = 0; i < n; i++)
        reversed[i] = (uint32_t)(n - 1 - i);
    assert_int_equal(column_take(&budget, c, reversed, n, &values, NULL), ST_OK);
    assert_int_equal(buffer_new(&budget, (size_t)n * 4, &keys, NULL), ST_OK);
    memcpy(keys->data, reversed, (size_t)n * 4);
    if (nulls) {
        assert_int_equal(buffer_new(&budget, 8, &validity, NULL), ST_OK);
        for (int64_t i = 0; i < n; i++)
            if (!column_is_null(c, i))
                bit_set(validity->data, i);
    }
    struct dtype *type = type_dictionary(TYPE_UINT32, c->type);
    assert_int_equal(column_new_nested(type, n, nulls, validity, keys, &values, 1, &out, NULL), ST_OK);
    type_unref(type);
    return out;
}

static inline void run(const struct plan_expr *plan, bool dictionary, char *out, size_t room)
{
    struct field *fields[COLUMNS];
    struct column *given[COLUMNS], *result;
    struct error err = {0};
    struct batch *batch;
    struct expr *e = NULL;
    for (int i = 0; i < n_input; i++) {
        given[i] = dictionary ? encoded(input[i]) : column_ref(input[i]);
        struct field *plain = field_new("c", given[i]->type, true);
        fields[i] = field_with_meta(plain, input_meta, n_input_meta);
        field_unref(plain);
    }
    struct schema *schema = schema_new(fields, (uint32_t)n_input);
    int64_t rows = n_input ? input[0]->length : 1;
    assert_int_equal(batch_new(schema, rows, given, &batch, NULL), ST_OK);
    struct expr_context ctx = {.budget = &budget, .timezone = session_timezone};
    int st = expr_bind(plan, schema, session_timezone, &arena, &e, &err);
    if (st == ST_OK) {
        st = expr_eval(e, &ctx, batch, &result, &err);
        if (st == ST_OK) {
            assert_int_equal(result->length, rows);
            assert_true(type_equal(type_values(result->type), expr_type(e), false));
            show(result, out, room);
            column_unref(result);
        }
    }
    if (st != ST_OK) {
        assert_int_equal(err.status, st);
        assert_true(err.msg[0]);
        snprintf(out, room, "!%s", status_name((enum status)st));
    }
    expr_release(e);
    batch_unref(batch);
    schema_unref(schema);
    for (int i = 0; i < n_input; i++)
        field_unref(fields[i]);
}

static char plain_text[16 << 10], coded_text[16 << 10];

static inline const char *calc(const struct plan_expr *plan)
{
    run(plan, false, plain_text, sizeof plain_text);
    run(plan, true, coded_text, sizeof coded_text);
    assert_string_equal(plain_text, coded_text);
    return plain_text;
}

#define IS(plan, text) assert_string_equal(calc(plan), text)
#define QUERY_ERROR "!execute query"
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static inline struct plan_expr *node(enum plan_expr_kind kind)
{
    struct plan_expr *p = ARENA_NEW(&arena, struct plan_expr, NULL);
    p->kind = kind;
    return p;
}

static inline struct plan_expr *F(uint32_t i)
{
    struct plan_expr *p = node(PLAN_FIELD);
    p->field = i;
    return p;
}

static inline struct plan_expr *L(struct dtype *type, const char *text)
{
    struct plan_expr *p = node(PLAN_LITERAL);
    p->literal = make(type, text);
    return p;
}

static inline struct plan_expr *with_args(enum plan_expr_kind kind, const char *name, ...)
{
    struct plan_expr *p = node(kind), *arg;
    va_list list;
    p->name = name;
    p->args = ARENA_ARRAY(&arena, 40, struct plan_expr *, NULL);
    va_start(list, name);
    while ((arg = va_arg(list, struct plan_expr *)))
        p->args[p->n_args++] = arg;
    va_end(list);
    return p;
}

#define CALL(name, ...) with_args(PLAN_CALL, name, __VA_ARGS__, NULL)
#define IN(...) with_args(PLAN_IN, "in", __VA_ARGS__, NULL)

static inline struct plan_expr *choose(bool base, bool otherwise, struct plan_expr *p)
{
    p->has_base = base;
    p->has_else = otherwise;
    return p;
}
#define CASE(base, otherwise, ...) choose(base, otherwise, with_args(PLAN_IF, "if", __VA_ARGS__, NULL))

static inline struct plan_expr *cast(struct plan_expr *operand, struct dtype *type, bool try)
{
    struct plan_expr *p = with_args(PLAN_CAST, "cast", operand, NULL);
    p->type = type;
    p->null_on_failure = try;
    return p;
}

static inline void given(struct dtype *type, const char *text)
{
    input[n_input++] = make(type, text);
}

#endif
