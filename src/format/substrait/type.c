/* Substrait types and literals to Arrow (query-plans.md 1.9 and 1.10). Numbers are frozen: substrait type.proto and algebra.proto. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/substrait/internal.h"

static uint64_t number_in(const struct pb_field *message, uint32_t number)
{
    return plan_member(message, number).value;
}

static enum time_unit unit_of(uint64_t precision, bool *ok)
{
    *ok = precision == 0 || precision == 3 || precision == 6 || precision == 9;
    return precision == 0 ? UNIT_SECOND : precision == 3 ? UNIT_MILLI : precision == 6 ? UNIT_MICRO : UNIT_NANO;
}

static int made(struct plan_decoder *d, struct dtype *type, struct dtype **ret_type, struct error *err)
{
    if (!type)
        return error_no_memory(err, sizeof *type);
    *ret_type = type;
    return plan_keep_type(d, type, err);
}

static int decode_list(struct plan_decoder *d, const struct pb_field *kind, uint64_t variation, const char *const *names, uint32_t n_names,
                       uint32_t *next, unsigned depth, struct dtype **ret_type, struct error *err)
{
    struct pb_field inner = plan_member(kind, 1);
    struct dtype *item;
    bool nullable;
    TRY(plan_decode_type(d, &inner, names, n_names, next, depth + 1, &item, &nullable, err));
    struct field *f = field_new("item", item, true);
    struct dtype *list = f ? type_list(variation ? TYPE_LARGE_LIST : TYPE_LIST, f) : NULL;
    field_unref(f);
    return made(d, list, ret_type, err);
}

static int decode_struct(struct plan_decoder *d, const struct pb_field *kind, const char *const *names, uint32_t n_names, uint32_t *next,
                         unsigned depth, struct dtype **ret_type, struct error *err)
{
    struct pb_reader r = plan_inside(kind);
    struct pb_field f;
    uint32_t n = plan_count(kind, 1), i = 0;
    struct field **fields = calloc(n + 1, sizeof *fields);
    int st = fields ? ST_OK : error_no_memory(err, n * sizeof *fields);
    for (; st == ST_OK && plan_next(&r, 1, &f); i++) {
        char name[16];
        struct dtype *type;
        bool nullable;
        snprintf(name, sizeof name, "c%u", i);
        const char *given = names && *next < n_names ? names[(*next)++] : name;
        st = plan_decode_type(d, &f, names, n_names, next, depth + 1, &type, &nullable, err);
        if (st == ST_OK && !(fields[i] = field_new(given, type, true)))
            st = error_no_memory(err, 64);
    }
    if (st == ST_OK)
        st = made(d, type_struct(fields, n), ret_type, err);
    for (i = 0; fields && i < n; i++)
        field_unref(fields[i]);
    free(fields);
    return st;
}

/* Map of entries {key not null, value}. */
static int map_type(struct plan_decoder *d, struct dtype *key_type, struct dtype *value_type, struct dtype **ret_type, struct error *err)
{
    struct field *members[2] = {field_new("key", key_type, false), field_new("value", value_type, true)};
    struct dtype *entries = members[0] && members[1] ? type_struct(members, 2) : NULL;
    struct field *f = entries ? field_new("entries", entries, false) : NULL;
    struct dtype *map = f ? type_list(TYPE_MAP, f) : NULL;
    field_unref(f);
    type_unref(entries);
    field_unref(members[0]);
    field_unref(members[1]);
    return made(d, map, ret_type, err);
}

static int decode_map(struct plan_decoder *d, const struct pb_field *kind, uint64_t variation, unsigned depth, struct dtype **ret_type,
                      struct error *err)
{
    struct pb_field key = plan_member(kind, 1), value = plan_member(kind, 2);
    struct dtype *key_type, *value_type;
    bool nullable;
    TRY(plan_decode_type(d, &key, NULL, 0, NULL, depth + 1, &key_type, &nullable, err));
    TRY(plan_decode_type(d, &value, NULL, 0, NULL, depth + 1, &value_type, &nullable, err));
    if (variation == 1)
        return made(d, type_dictionary((enum type_id)key_type->id, value_type), ret_type, err);
    return map_type(d, key_type, value_type, ret_type, err);
}

static int decode_decimal(struct plan_decoder *d, const struct pb_field *kind, struct dtype **ret_type, struct error *err)
{
    uint64_t scale = number_in(kind, 1), precision = number_in(kind, 2), variation = number_in(kind, 3);
    int64_t most = variation ? 76 : 38;
    if (precision == 0 || precision > (uint64_t)most || (int64_t)scale > most || (int64_t)scale < -most)
        return error_set(err, ST_UNEXPECTED, "a decimal type has precision %llu and scale %lld", (unsigned long long)precision, (long long)scale);
    return made(d, type_decimal(variation ? TYPE_DECIMAL256 : TYPE_DECIMAL128, (uint8_t)precision, (int8_t)scale), ret_type, err);
}

static int decode_user_type(struct plan_decoder *d, const struct pb_field *kind, struct dtype **ret_type, struct error *err)
{
    const char *name = u64_map_get(&d->type_names, number_in(kind, 1) + 1);
    if (name && strcmp(name, "null") == 0)
        *ret_type = type_of(TYPE_NULL);
    else if (name && strcmp(name, "fp16") == 0)
        *ret_type = type_of(TYPE_FLOAT16);
    else
        return error_set(err, ST_UNEXPECTED, "unknown user-defined type %s", name ? name : "(not declared)");
    return ST_OK;
}

/* Kinds whose only members are variation (1) and nullability (2). */
static struct dtype *simple_type(uint32_t kind, uint64_t variation)
{
    static const enum type_id strings[] = {TYPE_UTF8, TYPE_LARGE_UTF8, TYPE_UTF8_VIEW},
                              binaries[] = {TYPE_BINARY, TYPE_LARGE_BINARY, TYPE_BINARY_VIEW};
    switch (kind) {
    case 1: return type_of(TYPE_BOOL);
    case 2: return type_of(variation ? TYPE_UINT8 : TYPE_INT8);
    case 3: return type_of(variation ? TYPE_UINT16 : TYPE_INT16);
    case 5: return type_of(variation ? TYPE_UINT32 : TYPE_INT32);
    case 7: return type_of(variation ? TYPE_UINT64 : TYPE_INT64);
    case 10: return type_of(TYPE_FLOAT32);
    case 11: return type_of(TYPE_FLOAT64);
    case 12: return variation < 3 ? type_of(strings[variation]) : NULL;
    case 13: return variation < 3 ? type_of(binaries[variation]) : NULL;
    case 14: return variation < 4 ? type_temporal(TYPE_TIMESTAMP, (enum time_unit)variation) : NULL;
    case 16: return type_of(variation ? TYPE_DATE64 : TYPE_DATE32);
    case 19: return type_of(TYPE_INTERVAL_YEAR_MONTH);
    case 21: case 22: return type_of(TYPE_UTF8);
    case 35: return type_of(TYPE_INTERVAL_MONTH_DAY_NANO);
    default: return NULL;
    }
}

int plan_decode_type(struct plan_decoder *d, const struct pb_field *message, const char *const *names, uint32_t n_names, uint32_t *next,
                     unsigned depth, struct dtype **ret_type, bool *ret_nullable, struct error *err)
{
    struct pb_reader r = plan_inside(message);
    struct pb_field f, kind = {0};
    bool ok = true;
    if (depth > PLAN_DEPTH_MAX)
        return error_set(err, ST_UNEXPECTED, "a type is nested deeper than %d", PLAN_DEPTH_MAX);
    while (message->data && pb_next(&r, &f))
        if (f.wire == PB_BYTES)
            kind = f;
    if (!message->data || !pb_done(&r) || !kind.data)
        return error_set(err, ST_UNEXPECTED, "a type is missing or malformed");
    bool deep = kind.number == 24 || kind.number == 28;
    *ret_nullable = number_in(&kind, deep ? 4 : kind.number == 27 || kind.number == 25 || kind.number >= 33 || kind.number == 23 ? 3 : 2) != 2;
    switch (kind.number) {
    case 20: /* day interval; variation 1: duration of `precision` */
        *ret_type = number_in(&kind, 1) ? type_temporal(TYPE_DURATION, unit_of(number_in(&kind, 3), &ok)) : type_of(TYPE_INTERVAL_DAY_TIME);
        break;
    case 23:
        if (number_in(&kind, 1) > 1 << 20)
            return error_set(err, ST_UNEXPECTED, "a fixed binary type is too wide");
        return made(d, type_fixed_binary((int32_t)number_in(&kind, 1)), ret_type, err);
    case 24: return decode_decimal(d, &kind, ret_type, err);
    case 25: return decode_struct(d, &kind, names, n_names, next, depth, ret_type, err);
    case 27: return decode_list(d, &kind, number_in(&kind, 2), names, n_names, next, depth, ret_type, err);
    case 28: return decode_map(d, &kind, number_in(&kind, 3), depth, ret_type, err);
    case 30: return decode_user_type(d, &kind, ret_type, err);
    case 33: *ret_type = type_temporal(TYPE_TIMESTAMP, unit_of(number_in(&kind, 1), &ok)); break;
    case 34: return made(d, type_timestamp_zoned(unit_of(number_in(&kind, 1), &ok), "UTC"), ret_type, err);
    case 36: *ret_type = type_temporal(number_in(&kind, 1) > 3 ? TYPE_TIME64 : TYPE_TIME32, unit_of(number_in(&kind, 1), &ok)); break;
    default: *ret_type = simple_type(kind.number, number_in(&kind, 1));
    }
    if (!ok || !*ret_type)
        return error_set(err, ST_UNEXPECTED, "unsupported Substrait type (kind %u)", kind.number);
    return ST_OK;
}

/* ---- literals ---- */

static int finish_one(struct plan_decoder *d, struct column_builder *b, int st, struct column **ret_column, struct error *err)
{
    struct column *c = NULL;
    if (st == ST_OK)
        st = column_builder_finish(b, &c, err);
    column_builder_release(b);
    if (st != ST_OK)
        return st;
    *ret_column = c;
    return plan_keep_column(d, c, err);
}

static int fixed_literal(struct plan_decoder *d, struct dtype *type, const void *value, struct column **ret_column, struct error *err)
{
    struct column_builder b;
    TRY(column_builder_init(&b, NULL, type, err));
    return finish_one(d, &b, column_builder_append_fixed(&b, value, err), ret_column, err);
}

static int bytes_literal(struct plan_decoder *d, struct dtype *type, const struct pb_field *f, struct column **ret_column, struct error *err)
{
    struct column_builder b;
    TRY(column_builder_init(&b, NULL, type, err));
    return finish_one(d, &b, column_builder_append_bytes(&b, f->data, f->size, err), ret_column, err);
}

/* {days=1, seconds=2, microseconds=3, precision=4, subseconds=5} as days and nanoseconds. */
static void read_day_interval(const struct pb_field *f, int64_t *days, int64_t *nanos)
{
    int64_t scale = 1, sub = (int64_t)number_in(f, 5);
    for (uint64_t p = number_in(f, 4); p < 9; p++)
        scale *= 10;
    if (number_in(f, 3))
        sub = (int64_t)number_in(f, 3), scale = 1000;
    *days = (int32_t)number_in(f, 1);
    *nanos = (int64_t)((uint64_t)(int64_t)(int32_t)number_in(f, 2) * 1000000000u + (uint64_t)sub * (uint64_t)scale);
}

static int interval_literal(struct plan_decoder *d, const struct pb_field *f, struct column **ret_column, struct error *err)
{
    if (f->number == 19) {
        int32_t months = (int32_t)(number_in(f, 1) * 12 + number_in(f, 2));
        return fixed_literal(d, type_of(TYPE_INTERVAL_YEAR_MONTH), &months, ret_column, err);
    }
    int64_t days, nanos;
    if (f->number == 20) {
        read_day_interval(f, &days, &nanos);
        int32_t parts[2] = {(int32_t)days, (int32_t)(nanos / 1000000)};
        return fixed_literal(d, type_of(TYPE_INTERVAL_DAY_TIME), parts, ret_column, err);
    }
    struct pb_field months = plan_member(f, 1), day_time = plan_member(f, 2);
    struct { int32_t months, days; int64_t nanos; } value;
    read_day_interval(&day_time, &days, &nanos);
    value.months = (int32_t)(number_in(&months, 1) * 12 + number_in(&months, 2));
    value.days = (int32_t)days;
    value.nanos = nanos;
    return fixed_literal(d, type_of(TYPE_INTERVAL_MONTH_DAY_NANO), &value, ret_column, err);
}

/* precision=1, value=2 */
static int time_literal(struct plan_decoder *d, const struct pb_field *f, struct column **ret_column, struct error *err)
{
    uint64_t precision = number_in(f, 1);
    int64_t value = (int64_t)number_in(f, 2);
    bool ok;
    enum time_unit unit = unit_of(precision, &ok);
    if (!ok)
        return error_set(err, ST_UNEXPECTED, "a time literal has precision %llu", (unsigned long long)precision);
    if (f->number == 37)
        return fixed_literal(d, type_temporal(unit >= UNIT_MICRO ? TYPE_TIME64 : TYPE_TIME32, unit), &value, ret_column, err);
    if (f->number == 34)
        return fixed_literal(d, type_temporal(TYPE_TIMESTAMP, unit), &value, ret_column, err);
    struct dtype *zoned = NULL;
    TRY(made(d, type_timestamp_zoned(unit, "UTC"), &zoned, err));
    return fixed_literal(d, zoned, &value, ret_column, err);
}

static int decimal_literal(struct plan_decoder *d, const struct pb_field *f, struct column **ret_column, struct error *err)
{
    struct pb_field value = plan_member(f, 1);
    uint64_t precision = number_in(f, 2), scale = number_in(f, 3);
    struct dtype *type = NULL;
    if (value.size != 16 || precision == 0 || precision > 38 || (int64_t)scale > 38 || (int64_t)scale < -38)
        return error_set(err, ST_UNEXPECTED, "a decimal literal is malformed");
    TRY(made(d, type_decimal(TYPE_DECIMAL128, (uint8_t)precision, (int8_t)scale), &type, err));
    return fixed_literal(d, type, value.data, ret_column, err);
}

static int null_literal(struct plan_decoder *d, const struct pb_field *f, unsigned depth, struct column **ret_column, struct error *err)
{
    struct dtype *type = NULL;
    bool nullable;
    TRY(plan_decode_type(d, f, NULL, 0, NULL, depth + 1, &type, &nullable, err));
    TRY(column_new_nulls(NULL, type, 1, ret_column, err));
    return plan_keep_column(d, *ret_column, err);
}

/* One list value whose items are the joined literals; no items: of `item_type`. */
static int list_of(struct plan_decoder *d, struct column *items, struct dtype *item_type, bool large, struct column **ret_column, struct error *err)
{
    struct field *f = field_new("item", item_type, true);
    struct dtype *type = NULL;
    struct buffer *offsets;
    struct dtype *list = f ? type_list(large ? TYPE_LARGE_LIST : TYPE_LIST, f) : NULL;
    field_unref(f);
    int st = made(d, list, &type, err);
    if (st == ST_OK)
        st = buffer_new(NULL, 8, &offsets, err);
    if (st != ST_OK) {
        column_unref(items);
        return st;
    }
    ((int32_t *)(void *)offsets->data)[1] = (int32_t)items->length;
    TRY(column_new_nested(type, 1, 0, NULL, offsets, &items, 1, ret_column, err));
    return plan_keep_column(d, *ret_column, err);
}

static int list_literal(struct plan_decoder *d, const struct pb_field *f, uint64_t variation, unsigned depth, struct column **ret_column,
                        struct error *err)
{
    struct pb_field value;
    struct column *items = NULL;
    uint32_t n = plan_count(f, 1), i = 0;
    struct column **values = arena_array(d->arena, n + 1, sizeof *values, err);
    if (!values)
        return err ? (int)err->status : ST_NO_MEMORY;
    for (struct pb_reader r = plan_inside(f); plan_next(&r, 1, &value); i++)
        TRY(plan_decode_literal(d, &value, depth + 1, &values[i], err));
    if (n == 0)
        return error_set(err, ST_UNEXPECTED, "a list literal has no values");
    for (i = 1; i < n; i++)
        if (!type_equal(values[i]->type, values[0]->type, false))
            return error_set(err, ST_UNEXPECTED, "the values of a list literal differ in type");
    TRY(column_concat(NULL, values, n, &items, err));
    return list_of(d, items, values[0]->type, variation != 0, ret_column, err);
}

/* Type.List in a literal of no items. */
static int empty_list_literal(struct plan_decoder *d, const struct pb_field *f, uint64_t variation, unsigned depth, struct column **ret_column,
                              struct error *err)
{
    struct pb_field item = plan_member(f, 1);
    struct dtype *type = NULL;
    struct column *items;
    bool nullable;
    TRY(plan_decode_type(d, &item, NULL, 0, NULL, depth + 1, &type, &nullable, err));
    TRY(column_new_nulls(NULL, type, 0, &items, err));
    return list_of(d, items, type, variation != 0, ret_column, err);
}

static int struct_literal(struct plan_decoder *d, const struct pb_field *f, unsigned depth, struct column **ret_column, struct error *err)
{
    uint32_t n = plan_count(f, 1), i = 0;
    struct column **children = arena_array(d->arena, n + 1, sizeof *children, err);
    struct field **fields = arena_array(d->arena, n + 1, sizeof *fields, err);
    struct pb_field value;
    struct dtype *type = NULL;
    if (!children || !fields)
        return err ? (int)err->status : ST_NO_MEMORY;
    int st = ST_OK;
    for (struct pb_reader r = plan_inside(f); st == ST_OK && plan_next(&r, 1, &value); i++) {
        char name[16];
        snprintf(name, sizeof name, "c%u", i);
        st = plan_decode_literal(d, &value, depth + 1, &children[i], err);
        if (st == ST_OK && !(fields[i] = field_new(name, children[i]->type, true)))
            st = error_no_memory(err, 64);
    }
    if (st == ST_OK)
        st = made(d, type_struct(fields, n), &type, err);
    for (i = 0; i < n; i++)
        field_unref(fields[i]);
    TRY(st);
    for (i = 0; i < n; i++)
        column_ref(children[i]);
    TRY(column_new_nested(type, 1, 0, NULL, NULL, children, n, ret_column, err));
    return plan_keep_column(d, *ret_column, err);
}

/* One map value of the joined keys and values, which are taken. */
static int map_of(struct plan_decoder *d, struct column *keys, struct column *values, struct column **ret_column, struct error *err)
{
    struct column *members[2] = {keys, values}, *entries = NULL;
    struct dtype *type = NULL;
    struct buffer *offsets = NULL;
    int64_t n = keys->length;
    int st = map_type(d, keys->type, values->type, &type, err);
    if (st == ST_OK && column_null_count(keys))
        st = error_set(err, ST_UNEXPECTED, "a map literal has a NULL key");
    if (st == ST_OK)
        st = buffer_new(NULL, 8, &offsets, err);
    if (st != ST_OK) {
        column_unref(keys);
        column_unref(values);
        return st;
    }
    ((int32_t *)(void *)offsets->data)[1] = (int32_t)n;
    st = column_new_nested(type->children[0]->type, n, 0, NULL, NULL, members, 2, &entries, err);
    if (st != ST_OK) {
        buffer_unref(offsets);
        return st;
    }
    TRY(column_new_nested(type, 1, 0, NULL, offsets, &entries, 1, ret_column, err));
    return plan_keep_column(d, *ret_column, err);
}

/* {key_values=1 {key=1, value=2}}; the keys are of one type, and the values. */
static int map_literal(struct plan_decoder *d, const struct pb_field *f, unsigned depth, struct column **ret_column, struct error *err)
{
    uint32_t n = plan_count(f, 1), i = 0;
    struct pb_field pair;
    struct column **keys = arena_array(d->arena, n + 1, sizeof *keys, err), **values = arena_array(d->arena, n + 1, sizeof *values, err);
    struct column *all_keys, *all_values;
    if (!keys || !values)
        return err ? (int)err->status : ST_NO_MEMORY;
    for (struct pb_reader r = plan_inside(f); plan_next(&r, 1, &pair); i++) {
        struct pb_field key = plan_member(&pair, 1), value = plan_member(&pair, 2);
        TRY(plan_decode_literal(d, &key, depth + 1, &keys[i], err));
        TRY(plan_decode_literal(d, &value, depth + 1, &values[i], err));
        if (!type_equal(keys[i]->type, keys[0]->type, false) || !type_equal(values[i]->type, values[0]->type, false))
            return error_set(err, ST_UNEXPECTED, "the entries of a map literal differ in type");
    }
    if (n == 0)
        return error_set(err, ST_UNEXPECTED, "a map literal has no entries");
    TRY(column_concat(NULL, keys, n, &all_keys, err));
    int st = column_concat(NULL, values, n, &all_values, err);
    if (st != ST_OK) {
        column_unref(all_keys);
        return st;
    }
    return map_of(d, all_keys, all_values, ret_column, err);
}

/* Type.Map in a literal of no entries. */
static int empty_map_literal(struct plan_decoder *d, const struct pb_field *f, unsigned depth, struct column **ret_column, struct error *err)
{
    struct pb_field key = plan_member(f, 1), value = plan_member(f, 2);
    struct dtype *key_type, *value_type;
    struct column *keys, *values;
    bool nullable;
    TRY(plan_decode_type(d, &key, NULL, 0, NULL, depth + 1, &key_type, &nullable, err));
    TRY(plan_decode_type(d, &value, NULL, 0, NULL, depth + 1, &value_type, &nullable, err));
    TRY(column_new_nulls(NULL, key_type, 0, &keys, err));
    int st = column_new_nulls(NULL, value_type, 0, &values, err);
    if (st != ST_OK) {
        column_unref(keys);
        return st;
    }
    return map_of(d, keys, values, ret_column, err);
}

/* {type_reference=1, value=2 Any {value=2 UInt32Value {value=1}}}: half floats, the only user-defined type with values. */
static int user_literal(struct plan_decoder *d, const struct pb_field *f, struct column **ret_column, struct error *err)
{
    const char *name = u64_map_get(&d->type_names, number_in(f, 1) + 1);
    struct pb_field any = plan_member(f, 2), value = plan_member(&any, 2);
    uint16_t half = (uint16_t)number_in(&value, 1);
    if (!name || strcmp(name, "fp16") != 0)
        return error_set(err, ST_UNEXPECTED, "a literal of the user-defined type %s", name ? name : "(not declared)");
    return fixed_literal(d, type_of(TYPE_FLOAT16), &half, ret_column, err);
}

static int fixed_binary_literal(struct plan_decoder *d, const struct pb_field *f, struct column **ret_column, struct error *err)
{
    struct dtype *type = NULL;
    if (f->size == 0 || f->size > 1 << 20)
        return error_set(err, ST_UNEXPECTED, "a fixed binary literal of %zu bytes", f->size);
    TRY(made(d, type_fixed_binary((int32_t)f->size), &type, err));
    return fixed_literal(d, type, f->data, ret_column, err);
}

static int bool_literal(struct plan_decoder *d, bool v, struct column **ret_column, struct error *err)
{
    struct column_builder b;
    TRY(column_builder_init(&b, NULL, type_of(TYPE_BOOL), err));
    return finish_one(d, &b, column_builder_append_bool(&b, v, err), ret_column, err);
}

int plan_decode_literal(struct plan_decoder *d, const struct pb_field *message, unsigned depth, struct column **ret_column, struct error *err)
{
    static const enum type_id strings[] = {TYPE_UTF8, TYPE_LARGE_UTF8, TYPE_UTF8_VIEW},
                              binaries[] = {TYPE_BINARY, TYPE_LARGE_BINARY, TYPE_BINARY_VIEW};
    struct pb_reader r = plan_inside(message);
    struct pb_field f, v = {0};
    uint64_t variation = 0;
    if (depth > PLAN_DEPTH_MAX)
        return error_set(err, ST_UNEXPECTED, "a literal is nested deeper than %d", PLAN_DEPTH_MAX);
    while (pb_next(&r, &f)) {
        if (f.number == 51)
            variation = f.value;
        else if (f.number != 50)
            v = f;
    }
    if (!pb_done(&r))
        return error_set(err, ST_INVALID_ARGUMENTS, "a literal is malformed protobuf");
    switch (v.number) {
    case 1: return bool_literal(d, v.value != 0, ret_column, err);
    case 2: return fixed_literal(d, type_of(variation ? TYPE_UINT8 : TYPE_INT8), &v.value, ret_column, err);
    case 3: return fixed_literal(d, type_of(variation ? TYPE_UINT16 : TYPE_INT16), &v.value, ret_column, err);
    case 5: return fixed_literal(d, type_of(variation ? TYPE_UINT32 : TYPE_INT32), &v.value, ret_column, err);
    case 7: return fixed_literal(d, type_of(variation ? TYPE_UINT64 : TYPE_INT64), &v.value, ret_column, err);
    case 10: return fixed_literal(d, type_of(TYPE_FLOAT32), &v.value, ret_column, err);
    case 11: return fixed_literal(d, type_of(TYPE_FLOAT64), &v.value, ret_column, err);
    case 14: /* deprecated: microseconds, or the unit that the variation says */
        return fixed_literal(d, type_temporal(TYPE_TIMESTAMP, variation < 4 ? (enum time_unit)variation : UNIT_MICRO), &v.value, ret_column, err);
    case 16: return fixed_literal(d, type_of(TYPE_DATE32), &v.value, ret_column, err);
    default: break;
    }
    if (v.wire != PB_BYTES)
        return error_set(err, ST_UNEXPECTED, "unsupported literal (kind %u)", v.number);
    switch (v.number) {
    case 12: return bytes_literal(d, type_of(strings[variation < 3 ? variation : 0]), &v, ret_column, err);
    case 13: return bytes_literal(d, type_of(binaries[variation < 3 ? variation : 0]), &v, ret_column, err);
    case 19: case 20: case 36: return interval_literal(d, &v, ret_column, err);
    case 21: return bytes_literal(d, type_of(TYPE_UTF8), &v, ret_column, err);
    case 23: return fixed_binary_literal(d, &v, ret_column, err);
    case 24: return decimal_literal(d, &v, ret_column, err);
    case 26: return map_literal(d, &v, depth, ret_column, err);
    case 32: return empty_map_literal(d, &v, depth, ret_column, err);
    case 33: return user_literal(d, &v, ret_column, err);
    case 25: return struct_literal(d, &v, depth, ret_column, err);
    case 29: return null_literal(d, &v, depth, ret_column, err);
    case 30: return list_literal(d, &v, variation, depth, ret_column, err);
    case 31: return empty_list_literal(d, &v, variation, depth, ret_column, err);
    case 34: case 35: case 37: return time_literal(d, &v, ret_column, err);
    default: return error_set(err, ST_UNEXPECTED, "unsupported literal (kind %u)", v.number);
    }
}
