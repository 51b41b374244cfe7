#include "format/rows/values.h"

#include <string.h>

#include "base/text.h"
#include "format/json/json.h"

enum { DEPTH_MAX = 32 };

/* Members of Value's oneof (frozen: region-rpc.md 3.1). */
enum { MEMBER_BINARY = 12, MEMBER_LIST = 40, MEMBER_STRUCT = 41, MEMBER_JSON = 42 };

static uint32_t member_of(const struct region_column *c)
{
    static const uint8_t by_wire_type[] = {[0] = 11, [1] = 1, [2] = 2, [3] = 3, [4] = 4, [5] = 5, [6] = 6, [7] = 7, [8] = 8, [9] = 9, [10] = 10,
        [11] = 12, [12] = 13, [13] = 14, [14] = 18, [15] = 16, [16] = 17, [17] = 18, [18] = 19, [19] = 20, [20] = 21, [21] = 22, [22] = 23,
        [23] = 24, [24] = 25, [25] = 26, [30] = 31, [31] = 12, [32] = 12, [40] = 40, [41] = 41};
    if (c->logical == LOGICAL_JSON_NATIVE)
        return MEMBER_JSON;
    return c->wire_type >= 0 && (size_t)c->wire_type < sizeof by_wire_type ? by_wire_type[c->wire_type] : 0;
}

static enum value_kind kind_of(const struct dtype *t)
{
    switch ((enum type_id)t->id) {
    case TYPE_BOOL: return VALUE_BOOL;
    case TYPE_FLOAT32: return VALUE_FIXED32;
    case TYPE_FLOAT64: return VALUE_FIXED64;
    case TYPE_DECIMAL128: return VALUE_DECIMAL;
    case TYPE_INTERVAL_MONTH_DAY_NANO: return VALUE_MONTH_DAY_NANO;
    case TYPE_INTERVAL_DAY_TIME: return VALUE_DAY_TIME;
    default: return type_is_varlen(t) ? VALUE_BYTES : type_is_nested(t) || t->id == TYPE_NULL ? VALUE_NESTED : VALUE_INT;
    }
}

int value_form_of(const struct region_column *column, struct value_form *ret_form, struct error *err)
{
    struct value_form f = {.kind = kind_of(column->type), .field = member_of(column)};
    if (f.field == 0)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s has a type that row writes cannot carry", column->name);
    if (f.kind != VALUE_BOOL && f.kind != VALUE_BYTES && f.kind != VALUE_NESTED)
        f.width = type_width(column->type);
    uint32_t wire = f.kind == VALUE_FIXED32 ? PB_FIXED32 : f.kind == VALUE_FIXED64 ? PB_FIXED64
                    : f.kind == VALUE_BYTES || f.kind == VALUE_DECIMAL || f.kind == VALUE_MONTH_DAY_NANO || f.kind == VALUE_NESTED ? PB_BYTES
                                                                                                                                   : PB_VARINT;
    f.key_size = (uint8_t)(pb_write_varint(f.key, (uint64_t)f.field << 3 | wire) - f.key);
    *ret_form = f;
    return ST_OK;
}

bool value_member(const uint8_t *data, size_t size, struct pb_field *ret_member, bool *ret_present)
{
    struct pb_reader r = pb_reader_of(data, size);
    struct pb_field f;
    *ret_present = false;
    while (pb_next(&r, &f)) {
        if (f.number <= MEMBER_JSON) {
            *ret_member = f;
            *ret_present = true;
        }
    }
    return pb_done(&r);
}

/* {hi=1, lo=2}: the value is hi * 2^64 + lo. */
static bool read_decimal(const struct pb_field *member, void *out)
{
    struct pb_reader r = pb_inside(member);
    struct pb_field f;
    uint64_t hi = 0, lo = 0;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            hi = f.value;
        else if (f.number == 2)
            lo = f.value;
    }
    memcpy(out, &lo, 8);
    memcpy((uint8_t *)out + 8, &hi, 8);
    return pb_done(&r);
}

/* {months=1, days=2, nanoseconds=3} */
static bool read_month_day_nano(const struct pb_field *member, void *out)
{
    struct pb_reader r = pb_inside(member);
    struct pb_field f;
    int32_t months = 0, days = 0;
    int64_t nanos = 0;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            months = (int32_t)f.value;
        else if (f.number == 2)
            days = (int32_t)f.value;
        else if (f.number == 3)
            nanos = (int64_t)f.value;
    }
    memcpy(out, &months, 4);
    memcpy((uint8_t *)out + 4, &days, 4);
    memcpy((uint8_t *)out + 8, &nanos, 8);
    return pb_done(&r);
}

int value_to_fixed(const struct value_form *form, const struct pb_field *member, void *out, struct error *err)
{
    uint64_t v = member->value;
    switch (form->kind) {
    case VALUE_INT:
    case VALUE_FIXED32:
    case VALUE_FIXED64:
        if (member->wire == PB_BYTES)
            break;
        memcpy(out, &v, (size_t)form->width);
        return ST_OK;
    case VALUE_DAY_TIME: {
        /* The wire has days in the high word and milliseconds in the low one; Arrow stores days first. */
        uint32_t parts[2] = {(uint32_t)(v >> 32), (uint32_t)v};
        if (member->wire == PB_BYTES)
            break;
        memcpy(out, parts, 8);
        return ST_OK;
    }
    case VALUE_DECIMAL:
        if (member->wire != PB_BYTES || !read_decimal(member, out))
            break;
        return ST_OK;
    case VALUE_MONTH_DAY_NANO:
        if (member->wire != PB_BYTES || !read_month_day_nano(member, out))
            break;
        return ST_OK;
    default:
        break;
    }
    return error_set(err, ST_INVALID_ARGUMENTS, "a value's bytes do not fit its type");
}

static int append_bytes(struct column_builder *b, const struct pb_field *m, struct error *err)
{
    if (type_is_string(b->type) && !utf8_valid(m->data, m->size))
        return error_set(err, ST_INVALID_ARGUMENTS, "a nested string is not UTF-8");
    return column_builder_append_bytes(b, m->data, m->size, err);
}

static int append_json(struct column_builder *b, const uint8_t *data, size_t size, unsigned depth, struct error *err);

/* {items = `number` repeated}: appends each through `append`, then closes the list. */
static int append_list(struct column_builder *b, struct pb_reader r, uint32_t number, bool json, unsigned depth, struct error *err)
{
    struct pb_field f, member;
    bool present;
    while (pb_next(&r, &f)) {
        if (f.number != number || f.wire != PB_BYTES)
            continue;
        if (json) {
            TRY(append_json(&b->children[0], f.data, f.size, depth + 1, err));
        } else {
            if (!value_member(f.data, f.size, &member, &present))
                return error_set(err, ST_INVALID_ARGUMENTS, "a list value is malformed");
            TRY(value_append_nested(&b->children[0], present ? &member : NULL, depth + 1, err));
        }
    }
    if (!pb_done(&r))
        return error_set(err, ST_INVALID_ARGUMENTS, "a list value is malformed");
    return column_builder_append_nested(b, err);
}

/* StructValue {items=2}: members by position. */
static int append_struct(struct column_builder *b, struct pb_reader r, unsigned depth, struct error *err)
{
    struct pb_field f, member;
    uint32_t i = 0;
    bool present;
    while (pb_next(&r, &f)) {
        if (f.number != 2 || f.wire != PB_BYTES)
            continue;
        if (i >= b->n_children || !value_member(f.data, f.size, &member, &present))
            return error_set(err, ST_INVALID_ARGUMENTS, "a struct value does not fit its type");
        TRY(value_append_nested(&b->children[i++], present ? &member : NULL, depth + 1, err));
    }
    if (!pb_done(&r) || i != b->n_children)
        return error_set(err, ST_INVALID_ARGUMENTS, "a struct value has %u members, its type %u", i, b->n_children);
    return column_builder_append_nested(b, err);
}

/* The value under `name` in JsonObject {entries=1 {key=1, value=2}}. */
static bool json_entry(struct pb_reader r, const char *name, struct pb_field *ret_value)
{
    struct pb_field entry, f, key = {0}, value = {0};
    while (pb_next(&r, &entry)) {
        if (entry.wire != PB_BYTES)
            continue;
        struct pb_reader inside = pb_inside(&entry);
        key = value = (struct pb_field){0};
        while (pb_next(&inside, &f)) {
            if (f.number == 1 && f.wire == PB_BYTES)
                key = f;
            else if (f.number == 2 && f.wire == PB_BYTES)
                value = f;
        }
        if (key.size == strlen(name) && (key.size == 0 || memcmp(key.data, name, key.size) == 0)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static int append_json_struct(struct column_builder *b, const struct pb_field *member, const uint8_t *whole, size_t whole_size, unsigned depth,
                              struct error *err)
{
    /* A value that is no object sits in a struct with the single member __json_plain__ (region-rpc.md 7.10). */
    bool plain = b->n_children == 1 && strcmp(b->type->children[0]->name, "__json_plain__") == 0;
    if (!plain && (member->number != 7 || member->wire != PB_BYTES))
        return error_set(err, ST_INVALID_ARGUMENTS, "a JSON value is not an object, as its column's type asks");
    for (uint32_t i = 0; i < b->n_children; i++) {
        struct pb_field value;
        if (plain)
            TRY(append_json(&b->children[i], whole, whole_size, depth + 1, err));
        else if (json_entry(pb_inside(member), b->type->children[i]->name, &value))
            TRY(append_json(&b->children[i], value.data ? value.data : (const uint8_t *)"", value.size, depth + 1, err));
        else
            TRY(column_builder_append_null(&b->children[i], err));
    }
    return column_builder_append_nested(b, err);
}

/* JsonValue: boolean 1, int 2, uint 3, float 4, str 5, array 6, object 7; none set = null. */
static int append_json(struct column_builder *b, const uint8_t *data, size_t size, unsigned depth, struct error *err)
{
    struct pb_field m;
    bool present;
    if (depth > DEPTH_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "a JSON value is nested deeper than %d", DEPTH_MAX);
    if (!value_member(data, size, &m, &present))
        return error_set(err, ST_INVALID_ARGUMENTS, "a JSON value is malformed");
    if (!present)
        return column_builder_append_null(b, err);
    const struct dtype *t = b->type;
    if (t->id == TYPE_STRUCT)
        return append_json_struct(b, &m, data, size, depth, err);
    if (t->id == TYPE_BOOL && m.number == 1)
        return column_builder_append_bool(b, m.value != 0, err);
    if ((t->id == TYPE_INT64 || t->id == TYPE_UINT64) && (m.number == 2 || m.number == 3))
        return column_builder_append_fixed(b, &m.value, err);
    if (t->id == TYPE_FLOAT64 && m.number >= 2 && m.number <= 4) {
        double d = m.number == 4 ? pb_double(&m) : m.number == 2 ? (double)(int64_t)m.value : (double)m.value;
        return column_builder_append_fixed(b, &d, err);
    }
    if (type_is_varlen(t) && m.number == 5 && m.wire == PB_BYTES)
        return append_bytes(b, &m, err);
    if ((t->id == TYPE_LIST || t->id == TYPE_LARGE_LIST) && m.number == 6 && m.wire == PB_BYTES)
        return append_list(b, pb_inside(&m), 1, true, depth, err);
    return error_set(err, ST_INVALID_ARGUMENTS, "a JSON value does not fit its column's type");
}

int value_append_nested(struct column_builder *b, const struct pb_field *m, unsigned depth, struct error *err)
{
    if (depth > DEPTH_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "a value is nested deeper than %d", DEPTH_MAX);
    if (!m)
        return column_builder_append_null(b, err);
    const struct dtype *t = b->type;
    if (m->number == MEMBER_JSON && m->wire == PB_BYTES)
        return append_json(b, m->data, m->size, depth, err);
    if ((t->id == TYPE_LIST || t->id == TYPE_LARGE_LIST) && m->number == MEMBER_LIST && m->wire == PB_BYTES)
        return append_list(b, pb_inside(m), 1, false, depth, err);
    if (t->id == TYPE_STRUCT && m->number == MEMBER_STRUCT && m->wire == PB_BYTES)
        return append_struct(b, pb_inside(m), depth, err);
    if (t->id == TYPE_BOOL && m->wire == PB_VARINT)
        return column_builder_append_bool(b, m->value != 0, err);
    if (type_is_varlen(t) && m->wire == PB_BYTES && (m->number == MEMBER_BINARY || m->number == 13))
        return append_bytes(b, m, err);
    struct value_form form = {.kind = kind_of(t), .width = type_width(t)};
    uint8_t fixed[16];
    if (form.kind == VALUE_NESTED || form.kind == VALUE_BYTES || form.width == 0 || form.width > 16)
        return error_set(err, ST_INVALID_ARGUMENTS, "a nested value does not fit its type");
    TRY(value_to_fixed(&form, m, fixed, err));
    return column_builder_append_fixed(b, fixed, err);
}
