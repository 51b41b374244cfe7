/* Setting and unsetting column indexes, and defaults from serialised SQL expressions: the parts of ALTER that write JSON (region-rpc.md 4.7). */
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "format/region/internal.h"

/* SetFulltext, SetInverted, SetSkipping and their Unset forms, whose numbers overlap. */
struct index_change {
    uint32_t kind; /* 1 fulltext, 2 inverted, 3 skipping */
    struct pb_field column;
    uint64_t number[9];
    double rate;
};

static int read_change(const uint8_t *message, size_t size, struct index_change *ret, struct error *err)
{
    struct pb_reader r = pb_reader_of(message, size);
    struct pb_field f, inner = {0};
    *ret = (struct index_change){.column = {.data = (const uint8_t *)""}};
    while (pb_next(&r, &f)) {
        if (f.number >= 1 && f.number <= 3 && f.wire == PB_BYTES) {
            inner = f;
            ret->kind = f.number;
        }
    }
    if (!pb_done(&r) || !ret->kind)
        return error_set(err, ST_INVALID_ARGUMENTS, "malformed index change");
    r = pb_inside(&inner);
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            ret->column = f;
        else if (f.number < 9 && f.wire == PB_VARINT)
            ret->number[f.number] = f.value;
        else if (f.number == (ret->kind == 1 ? 7u : 5u) && f.wire == PB_FIXED64)
            ret->rate = pb_double(&f);
    }
    return pb_done(&r) ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "malformed index change");
}

static int put_meta(struct region_column *c, const char *key, struct dynbuf *text, struct error *err)
{
    return column_meta_set(c, key, (const char *)text->data, text->size, err);
}

static int write_fulltext(struct region_column *c, const struct region_fulltext_options *f, struct error *err)
{
    struct dynbuf out;
    dynbuf_init(&out, 4096);
    int st = dynbuf_printf(&out, err, "{\"enable\":%s,\"analyzer\":\"%s\",\"case-sensitive\":%s,\"backend\":\"%s\",\"granularity\":%u,\"false-positive-rate-in-10000\":%u}",
                           f->enable ? "true" : "false", f->chinese ? "Chinese" : "English", f->case_sensitive ? "true" : "false",
                           f->tantivy ? "tantivy" : "bloom", (unsigned)f->granularity, (unsigned)f->rate);
    if (st == ST_OK)
        st = put_meta(c, "greptime:fulltext", &out, err);
    dynbuf_release(&out);
    return st;
}

static int check_bloom(uint64_t granularity, double rate, struct error *err)
{
    if (granularity == 0 || granularity > UINT32_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "invalid index granularity %llu", (unsigned long long)granularity);
    if (!(rate > 0 && rate <= 1))
        return error_set(err, ST_INVALID_ARGUMENTS, "invalid false positive rate %g, it must be in (0, 1]", rate);
    return ST_OK;
}

static int change_fulltext(struct region_column *c, const struct index_change *x, bool set, struct error *err)
{
    const char *old_text = column_meta_get(c, "greptime:fulltext");
    struct region_fulltext_options old = region_fulltext_read(old_text);
    if (!type_is_string(c->type))
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s is no string, it cannot have a fulltext index", c->name);
    if (!set) {
        if (!old_text || !old.enable)
            return error_set(err, ST_INVALID_ARGUMENTS, "fulltext index of column %s is disabled already", c->name);
        old.enable = false;
        return write_fulltext(c, &old, err);
    }
    TRY(check_bloom(x->number[6], x->rate, err));
    struct region_fulltext_options f = {x->number[2] != 0, x->number[3] == 1, x->number[4] != 0,
                                        x->number[5] == 0, x->number[6],      (uint64_t)(x->rate * 10000)};
    if (old_text && (old.chinese != f.chinese || old.case_sensitive != f.case_sensitive))
        return error_set(err, ST_INVALID_ARGUMENTS, "analyzer and case sensitivity of the fulltext index of column %s cannot change", c->name);
    f.enable = true;
    return write_fulltext(c, &f, err);
}

static int set_skipping(struct region_column *c, const struct index_change *x, struct error *err)
{
    struct dynbuf out;
    TRY(check_bloom(x->number[3], x->rate, err));
    dynbuf_init(&out, 4096);
    int st = dynbuf_printf(&out, err, "{\"granularity\":%u,\"false-positive-rate-in-10000\":%u,\"index-type\":\"BloomFilter\"}",
                           (unsigned)x->number[3], (unsigned)(x->rate * 10000));
    if (st == ST_OK)
        st = put_meta(c, "greptime:skipping_index", &out, err);
    dynbuf_release(&out);
    return st;
}

int alter_index(struct meta_builder *b, const uint8_t *message, size_t size, bool set, bool *ret_changed, struct error *err)
{
    struct index_change x;
    struct region_column *c = NULL;
    TRY(read_change(message, size, &x, err));
    for (uint32_t i = 0; i < b->n_columns && !c; i++) {
        if (strlen(b->columns[i].name) == x.column.size && memcmp(b->columns[i].name, x.column.data, x.column.size) == 0)
            c = &b->columns[i];
    }
    if (!c)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %.*s not found", x.column.size > 200 ? 200 : (int)x.column.size,
                         (const char *)x.column.data);
    *ret_changed = true;
    if (x.kind == 1)
        return change_fulltext(c, &x, set, err);
    const char *key = x.kind == 2 ? "greptime:inverted_index" : "greptime:skipping_index";
    if (!set) {
        column_meta_remove(c, key);
        return ST_OK;
    }
    return x.kind == 2 ? column_meta_set(c, key, "true", 4, err) : set_skipping(c, &x, err);
}

/* ---- defaults from SQL ---- */

static int bad_expr(const struct region_column *c, struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "unsupported default expression for column %s", c->name);
}

static int default_from_function(const struct json_value *function, struct region_column *c, struct error *err)
{
    const struct json_value *parts = json_get(function, "name");
    const struct json_value *identifier = json_is(parts, JSON_ARRAY) && parts->count == 1 ? json_get(parts->first, "Identifier") : NULL;
    const char *name = json_text(json_get(identifier, "value"));
    if (!name || (strcasecmp(name, "current_timestamp") != 0 && strcasecmp(name, "now") != 0))
        return bad_expr(c, err);
    const char *text = strcasecmp(name, "now") == 0 ? "{\"Function\":\"now()\"}" : "{\"Function\":\"current_timestamp()\"}";
    return default_from_text(text, strlen(text), c, err);
}

static int hex_literal(const char *hex, struct region_column *c, struct error *err)
{
    struct dynbuf out;
    size_t n = strlen(hex);
    dynbuf_init(&out, 64 << 20);
    int st = n % 2 ? bad_expr(c, err) : dynbuf_printf(&out, err, "{\"Value\":{\"Binary\":[");
    for (size_t i = 0; i + 1 < n && st == ST_OK; i += 2) {
        int high = hex_digit((uint8_t)hex[i]), low = hex_digit((uint8_t)hex[i + 1]);
        st = high < 0 || low < 0 ? bad_expr(c, err) : dynbuf_printf(&out, err, "%s%d", i ? "," : "", high * 16 + low);
    }
    if (st == ST_OK)
        st = dynbuf_append(&out, "]}}", 3, err);
    if (st == ST_OK)
        st = default_from_text((const char *)out.data, out.size, c, err);
    dynbuf_release(&out);
    return st;
}

static int default_from_value(const struct json_value *v, bool negative, struct region_column *c, struct error *err)
{
    const struct json_value *tag = json_only_member(v);
    if (json_is_string(v, "Null")) {
        if (!c->nullable)
            return error_set(err, ST_INVALID_ARGUMENTS, "column %s is not nullable, its default cannot be NULL", c->name);
        return default_from_text("{\"Value\":\"Null\"}", 16, c, err);
    }
    if (!tag)
        return bad_expr(c, err);
    if (strcmp(tag->key, "Number") == 0 && json_is(tag, JSON_ARRAY) && json_text(tag->first))
        return default_from_literal(c, tag->first->string, tag->first->string_size, false, negative, err);
    if (negative)
        return bad_expr(c, err);
    if (strcmp(tag->key, "Boolean") == 0 && (tag->kind == JSON_TRUE || tag->kind == JSON_FALSE))
        return c->type->id == TYPE_BOOL ? default_from_literal(c, tag->text, tag->size, false, false, err) : bad_expr(c, err);
    if (!json_text(tag))
        return bad_expr(c, err);
    if (strcmp(tag->key, "SingleQuotedString") == 0 || strcmp(tag->key, "DoubleQuotedString") == 0)
        return default_from_literal(c, tag->string, tag->string_size, true, false, err);
    return strcmp(tag->key, "HexStringLiteral") == 0 ? hex_literal(tag->string, c, err) : bad_expr(c, err);
}

static int read_expr(const struct json_value *v, struct region_column *c, struct error *err)
{
    const struct json_value *unary = json_get(v, "UnaryOp"), *function = json_get(v, "Function");
    bool negative = false;
    if (c->logical == LOGICAL_JSONB || c->logical == LOGICAL_JSON_NATIVE)
        return error_set(err, ST_INVALID_ARGUMENTS, "JSON column %s cannot have a default", c->name);
    if (function)
        return default_from_function(function, c, err);
    if (unary) {
        if (!json_get(unary, "op") || !json_is_string(json_get(unary, "op"), "Minus"))
            return bad_expr(c, err);
        negative = true;
        v = json_get(unary, "expr");
    }
    const struct json_value *value = json_get(json_get(v, "Value"), "value");
    return value ? default_from_value(value, negative, c, err) : bad_expr(c, err);
}

int default_from_expr(struct region_column *c, const uint8_t *json, size_t size, struct error *err)
{
    struct arena arena;
    const struct json_value *v;
    arena_init(&arena, NULL);
    int st = json_parse(&arena, (const char *)json, size, &v, err);
    if (st == ST_OK)
        st = read_expr(v, c, err);
    arena_release(&arena);
    if (st == ST_CORRUPT)
        st = err ? (int)(err->status = ST_INVALID_ARGUMENTS) : ST_INVALID_ARGUMENTS;
    return st;
}
