/* Region types: their JSON form, their wire form and their Arrow type.
 *
 * There is one reader, for JSON; it also writes the canonical text, so that type equality is text equality. The wire form is first turned into that
 * JSON. Sources: region-rpc.md 3.1, 3.2, 5.3, 7.10; mito-on-disk.md 2.7.
 */
#include <stdlib.h>
#include <string.h>

#include "format/region/internal.h"

static const struct { const char *name; enum type_id id; } interval_names[] = {
    {"YearMonth", TYPE_INTERVAL_YEAR_MONTH}, {"DayTime", TYPE_INTERVAL_DAY_TIME}, {"MonthDayNano", TYPE_INTERVAL_MONTH_DAY_NANO}};
static const struct {
    const char *name;
    enum type_id id;
    bool object;
} simple_names[] = {{"Null", TYPE_NULL, false},     {"Boolean", TYPE_BOOL, false}, {"Date", TYPE_DATE32, false},  {"Int8", TYPE_INT8, true},
                    {"Int16", TYPE_INT16, true},    {"Int32", TYPE_INT32, true},   {"Int64", TYPE_INT64, true},   {"UInt8", TYPE_UINT8, true},
                    {"UInt16", TYPE_UINT16, true},  {"UInt32", TYPE_UINT32, true}, {"UInt64", TYPE_UINT64, true}, {"Float32", TYPE_FLOAT32, true},
                    {"Float64", TYPE_FLOAT64, true}};

static int bad_type(const struct json_value *v, struct error *err)
{
    int shown = !v ? 0 : v->size > 120 ? 120 : (int)v->size;
    return error_set(err, ST_CORRUPT, "unknown data type: %.*s", shown, v ? v->text : "");
}

static int read_type(const struct json_value *v, unsigned depth, struct dynbuf *out, struct region_column *c, struct dtype **ret_type,
                     struct error *err);

/* {"Timestamp":{"Second":null}} and its like. */
static int read_unit(const struct json_value *tag, struct dynbuf *out, struct dtype **ret_type, struct error *err)
{
    const struct json_value *unit = json_only_member(tag);
    for (unsigned i = 0; unit && i < 4; i++) {
        if (strcmp(unit->key, time_unit_names[i]) != 0)
            continue;
        bool is_timestamp = strcmp(tag->key, "Timestamp") == 0, is_duration = strcmp(tag->key, "Duration") == 0;
        enum type_id id = is_timestamp ? TYPE_TIMESTAMP : is_duration ? TYPE_DURATION : i < 2 ? TYPE_TIME32 : TYPE_TIME64;
        *ret_type = type_temporal(id, (enum time_unit)i);
        return dynbuf_printf(out, err, "{\"%s\":{\"%s\":null}}", tag->key, time_unit_names[i]);
    }
    return bad_type(tag, err);
}

static int read_interval(const struct json_value *tag, struct dynbuf *out, struct dtype **ret_type, struct error *err)
{
    const struct json_value *unit = json_only_member(tag);
    for (unsigned i = 0; unit && i < 3; i++) {
        if (strcmp(unit->key, interval_names[i].name) == 0) {
            *ret_type = type_of(interval_names[i].id);
            return dynbuf_printf(out, err, "{\"Interval\":{\"%s\":null}}", unit->key);
        }
    }
    return bad_type(tag, err);
}

static int read_text(const struct json_value *tag, struct dynbuf *out, struct dtype **ret_type, struct error *err)
{
    bool string = strcmp(tag->key, "String") == 0;
    const struct json_value *form = json_get(tag, string ? "size_type" : "repr_type");
    static const struct { const char *name; enum type_id id; bool string; } forms[] = {
        {"Utf8", TYPE_UTF8, true}, {"LargeUtf8", TYPE_LARGE_UTF8, true}, {"Utf8View", TYPE_UTF8_VIEW, true},
        {"Binary", TYPE_BINARY, false}, {"BinaryView", TYPE_BINARY_VIEW, false}};
    for (unsigned i = 0; i < 5; i++) {
        if (forms[i].string == string && (json_is(tag, JSON_NULL) || json_is_string(form, forms[i].name))) {
            *ret_type = type_of(forms[i].id);
            return dynbuf_printf(out, err, "{\"%s\":{\"%s\":\"%s\"}}", tag->key, string ? "size_type" : "repr_type", forms[i].name);
        }
    }
    return bad_type(tag, err);
}

static int read_decimal(const struct json_value *tag, struct dynbuf *out, struct dtype **ret_type, struct error *err)
{
    int64_t precision, scale;
    if (!json_i64(json_get(tag, "precision"), &precision) || !json_i64(json_get(tag, "scale"), &scale) || precision < 1 || precision > 38 ||
        scale < -38 || scale > precision)
        return bad_type(tag, err);
    *ret_type = type_decimal(TYPE_DECIMAL128, (uint8_t)precision, (int8_t)scale);
    if (!*ret_type)
        return error_no_memory(err, sizeof **ret_type);
    return dynbuf_printf(out, err, "{\"Decimal128\":{\"precision\":%d,\"scale\":%d}}", (int)precision, (int)scale);
}

static int wrap_list(struct dtype *item, struct dtype **ret_type, struct error *err)
{
    struct field *f = field_new("item", item, true);
    *ret_type = f ? type_list(TYPE_LIST, f) : NULL;
    field_unref(f);
    return *ret_type ? ST_OK : error_no_memory(err, sizeof **ret_type);
}

static int read_list(const struct json_value *tag, unsigned depth, struct dynbuf *out, struct dtype **ret_type, struct error *err)
{
    struct dtype *item = NULL;
    TRY(dynbuf_printf(out, err, "{\"List\":{\"item_type\":"));
    int st = read_type(json_get(tag, "item_type"), depth + 1, out, NULL, &item, err);
    if (st == ST_OK)
        st = dynbuf_append(out, "}}", 2, err);
    if (st == ST_OK)
        st = wrap_list(item, ret_type, err);
    type_unref(item);
    return st;
}

static int put_string_map(const struct json_value *map, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_append_byte(out, '{', err));
    for (const struct json_value *m = map && map->kind == JSON_OBJECT ? map->first : NULL; m; m = m->next) {
        if (m != map->first)
            TRY(dynbuf_append_byte(out, ',', err));
        TRY(json_put_string(out, m->key, m->key_size, err));
        TRY(dynbuf_append_byte(out, ':', err));
        if (!json_is(m, JSON_STRING))
            return error_set(err, ST_CORRUPT, "metadata value is no string");
        TRY(json_put_string(out, m->string, m->string_size, err));
    }
    return dynbuf_append_byte(out, '}', err);
}

static int read_member(const struct json_value *m, unsigned depth, struct dynbuf *out, struct field **ret_field, struct error *err)
{
    struct dtype *type = NULL;
    bool nullable;
    const char *name = json_text(json_get(m, "name"));
    if (!name || !json_bool(json_get(m, "nullable"), &nullable))
        return bad_type(m, err);
    TRY(dynbuf_printf(out, err, "{\"name\":"));
    TRY(json_put_string(out, name, strlen(name), err));
    TRY(dynbuf_printf(out, err, ",\"data_type\":"));
    TRY(read_type(json_get(m, "data_type"), depth + 1, out, NULL, &type, err));
    *ret_field = field_new(name, type, nullable);
    type_unref(type);
    if (!*ret_field)
        return error_no_memory(err, sizeof **ret_field);
    TRY(dynbuf_printf(out, err, ",\"nullable\":%s,\"metadata\":", nullable ? "true" : "false"));
    TRY(put_string_map(json_get(m, "metadata"), out, err));
    return dynbuf_append_byte(out, '}', err);
}

static int read_struct(const struct json_value *tag, unsigned depth, struct dynbuf *out, struct dtype **ret_type, struct error *err)
{
    const struct json_value *list = json_get(tag, "fields");
    if (!json_is(list, JSON_ARRAY))
        return bad_type(tag, err);
    uint32_t n = 0;
    struct field **fields = calloc(list->count + 1, sizeof *fields);
    if (!fields)
        return error_no_memory(err, list->count * sizeof *fields);
    int st = dynbuf_printf(out, err, "{\"Struct\":{\"fields\":[");
    for (const struct json_value *m = list->first; m && st == ST_OK; m = m->next) {
        if (n)
            st = dynbuf_append_byte(out, ',', err);
        if (st == ST_OK)
            st = read_member(m, depth, out, &fields[n], err);
        n++;
    }
    if (st == ST_OK)
        st = dynbuf_append(out, "]}}", 3, err);
    if (st == ST_OK && !(*ret_type = type_struct(fields, n)))
        st = error_no_memory(err, sizeof **ret_type);
    for (uint32_t i = 0; i < n; i++)
        field_unref(fields[i]);
    free(fields);
    return st;
}

static int read_dictionary(const struct json_value *tag, unsigned depth, struct dynbuf *out, struct dtype **ret_type, struct error *err)
{
    struct dtype *key = NULL, *value = NULL;
    int st = dynbuf_printf(out, err, "{\"Dictionary\":{\"key_type\":");
    if (st == ST_OK)
        st = read_type(json_get(tag, "key_type"), depth + 1, out, NULL, &key, err);
    if (st == ST_OK && !type_is_integer(key))
        st = bad_type(tag, err);
    if (st == ST_OK)
        st = dynbuf_printf(out, err, ",\"value_type\":");
    if (st == ST_OK)
        st = read_type(json_get(tag, "value_type"), depth + 1, out, NULL, &value, err);
    if (st == ST_OK && value->id == TYPE_DICTIONARY)
        st = bad_type(tag, err);
    if (st == ST_OK)
        st = dynbuf_append(out, "}}", 2, err);
    if (st == ST_OK && !(*ret_type = type_dictionary((enum type_id)key->id, value)))
        st = error_no_memory(err, sizeof **ret_type);
    type_unref(key);
    type_unref(value);
    return st;
}

/* The members of {"Object":{name:T}} in name order, as the peer's ordered map has them. */
static int compare_members(const void *a, const void *b)
{
    const struct json_value *x = *(const struct json_value *const *)a, *y = *(const struct json_value *const *)b;
    size_t n = x->key_size < y->key_size ? x->key_size : y->key_size;
    int c = memcmp(x->key, y->key, n);
    return c ? c : (x->key_size > y->key_size) - (x->key_size < y->key_size);
}

static int read_native(const struct json_value *v, unsigned depth, struct dynbuf *out, struct dtype **ret_type, struct error *err);

static int read_native_object(const struct json_value *object, unsigned depth, struct dynbuf *out, struct dtype **ret_type, struct error *err)
{
    uint32_t n = 0, built = 0;
    const struct json_value **members = calloc(object->count + 1, sizeof *members);
    struct field **fields = calloc(object->count + 1, sizeof *fields);
    int st = members && fields ? dynbuf_printf(out, err, "{\"Object\":{") : error_no_memory(err, object->count * sizeof *fields);
    for (const struct json_value *m = object->first; m && st == ST_OK; m = m->next)
        members[n++] = m;
    if (n)
        qsort(members, n, sizeof *members, compare_members);
    for (uint32_t i = 0; i < n && st == ST_OK; i++) {
        struct dtype *type = NULL;
        if (strlen(members[i]->key) != members[i]->key_size || (i && compare_members(&members[i - 1], &members[i]) == 0))
            st = bad_type(object, err);
        if (st == ST_OK && i)
            st = dynbuf_append_byte(out, ',', err);
        if (st == ST_OK)
            st = json_put_string(out, members[i]->key, members[i]->key_size, err);
        if (st == ST_OK)
            st = dynbuf_append_byte(out, ':', err);
        if (st == ST_OK)
            st = read_native(members[i], depth + 1, out, &type, err);
        if (st == ST_OK && !(fields[built] = field_new(members[i]->key, type, true)))
            st = error_no_memory(err, sizeof **fields);
        built += st == ST_OK;
        type_unref(type);
    }
    if (st == ST_OK)
        st = dynbuf_append(out, "}}", 2, err);
    if (st == ST_OK && !(*ret_type = type_struct(fields, built)))
        st = error_no_memory(err, sizeof **ret_type);
    for (uint32_t i = 0; i < built; i++)
        field_unref(fields[i]);
    free(fields);
    free(members);
    return st;
}

/* The shape of a native JSON column. */
static int read_native(const struct json_value *v, unsigned depth, struct dynbuf *out, struct dtype **ret_type, struct error *err)
{
    static const struct { const char *name, *inner; enum type_id id; } leaves[] = {{"Null", NULL, TYPE_NULL}, {"Bool", NULL, TYPE_BOOL},
        {"String", NULL, TYPE_UTF8}, {"Number", "U64", TYPE_UINT64}, {"Number", "I64", TYPE_INT64}, {"Number", "F64", TYPE_FLOAT64}};
    const struct json_value *tag = json_only_member(v);
    if (depth > TYPE_MAX_DEPTH)
        return error_set(err, ST_CORRUPT, "type nested too deep");
    for (unsigned i = 0; i < 6; i++) {
        if (leaves[i].inner ? tag && strcmp(tag->key, leaves[i].name) == 0 && json_is_string(tag, leaves[i].inner)
                            : json_is_string(v, leaves[i].name)) {
            *ret_type = type_of(leaves[i].id);
            return leaves[i].inner ? dynbuf_printf(out, err, "{\"Number\":\"%s\"}", leaves[i].inner)
                                   : dynbuf_printf(out, err, "\"%s\"", leaves[i].name);
        }
    }
    if (tag && strcmp(tag->key, "Object") == 0 && tag->kind == JSON_OBJECT)
        return read_native_object(tag, depth, out, ret_type, err);
    if (!tag || strcmp(tag->key, "Array") != 0)
        return bad_type(v, err);
    struct dtype *item = NULL;
    TRY(dynbuf_printf(out, err, "{\"Array\":"));
    TRY(read_native(tag, depth + 1, out, &item, err));
    int st = dynbuf_append_byte(out, '}', err);
    if (st == ST_OK)
        st = wrap_list(item, ret_type, err);
    type_unref(item);
    return st;
}

/* Values that are no objects sit in a struct of one field. */
static int wrap_plain(struct dtype *inner, struct dtype **ret_type, struct error *err)
{
    struct field *f = field_new("__json_plain__", inner, true);
    *ret_type = f ? type_struct(&f, 1) : NULL;
    field_unref(f);
    return *ret_type ? ST_OK : error_no_memory(err, sizeof **ret_type);
}

static int read_json_type(const struct json_value *tag, unsigned depth, struct dynbuf *out, struct region_column *c, struct dtype **ret_type,
                          struct error *err)
{
    const struct json_value *format = json_get(tag, "format"), *native = json_only_member(format);
    if (json_is_string(format, "Jsonb")) {
        *ret_type = type_of(TYPE_BINARY);
        if (c)
            c->logical = LOGICAL_JSONB;
        return dynbuf_printf(out, err, "{\"Json\":{\"format\":\"Jsonb\"}}");
    }
    if (!native || strcmp(native->key, "Native") != 0)
        return bad_type(tag, err);
    struct dtype *inner = NULL;
    TRY(dynbuf_printf(out, err, "{\"Json\":{\"format\":{\"Native\":"));
    size_t start = out->size;
    TRY(read_native(native, depth + 1, out, &inner, err));
    int st = ST_OK;
    if (c) {
        c->logical = LOGICAL_JSON_NATIVE;
        c->native_json = text_copy(out->data + start, out->size - start);
        st = c->native_json ? ST_OK : error_no_memory(err, out->size - start);
    }
    if (st == ST_OK)
        st = inner->id == TYPE_STRUCT ? (*ret_type = type_ref(inner), ST_OK) : wrap_plain(inner, ret_type, err);
    type_unref(inner);
    return st == ST_OK ? dynbuf_append(out, "}}}", 3, err) : st;
}

static int read_vector(const struct json_value *tag, struct dynbuf *out, struct region_column *c, struct dtype **ret_type, struct error *err)
{
    uint64_t dim;
    if (!json_u64(json_get(tag, "dim"), &dim) || dim > UINT32_MAX)
        return bad_type(tag, err);
    *ret_type = type_of(TYPE_BINARY);
    if (c) {
        c->logical = LOGICAL_VECTOR;
        c->vector_dim = (uint32_t)dim;
    }
    return dynbuf_printf(out, err, "{\"Vector\":{\"dim\":%u}}", (unsigned)dim);
}

/* Appends the canonical text to `out`; `c` (NULL inside nested types) takes what the Arrow type does not say. *ret_type may be set on failure: it is
 * the caller's. */
static int read_type(const struct json_value *v, unsigned depth, struct dynbuf *out, struct region_column *c, struct dtype **ret_type,
                     struct error *err)
{
    const struct json_value *tag = json_only_member(v);
    if (depth > TYPE_MAX_DEPTH)
        return error_set(err, ST_CORRUPT, "type nested too deep");
    if (!tag)
        return bad_type(v, err);
    for (unsigned i = 0; i < sizeof simple_names / sizeof *simple_names; i++) {
        if (strcmp(tag->key, simple_names[i].name) == 0 && json_is(tag, simple_names[i].object ? JSON_OBJECT : JSON_NULL)) {
            *ret_type = type_of(simple_names[i].id);
            return dynbuf_printf(out, err, "{\"%s\":%s}", tag->key, simple_names[i].object ? "{}" : "null");
        }
    }
    if (strcmp(tag->key, "String") == 0 || strcmp(tag->key, "Binary") == 0)
        return read_text(tag, out, ret_type, err);
    if (strcmp(tag->key, "Timestamp") == 0 || strcmp(tag->key, "Time") == 0 || strcmp(tag->key, "Duration") == 0)
        return read_unit(tag, out, ret_type, err);
    if (strcmp(tag->key, "Interval") == 0)
        return read_interval(tag, out, ret_type, err);
    if (strcmp(tag->key, "Decimal128") == 0)
        return read_decimal(tag, out, ret_type, err);
    if (strcmp(tag->key, "Json") == 0)
        return read_json_type(tag, depth, out, c, ret_type, err);
    if (strcmp(tag->key, "Vector") == 0)
        return read_vector(tag, out, c, ret_type, err);
    if (strcmp(tag->key, "List") == 0)
        return read_list(tag, depth, out, ret_type, err);
    if (strcmp(tag->key, "Struct") == 0)
        return read_struct(tag, depth, out, ret_type, err);
    if (strcmp(tag->key, "Dictionary") == 0)
        return read_dictionary(tag, depth, out, ret_type, err);
    return bad_type(v, err);
}

/* ColumnDataType that values of the type travel as. */
int32_t type_to_wire(const struct region_column *c)
{
    static const int8_t plain[TYPE_COUNT] = {[TYPE_NULL] = -1, [TYPE_BOOL] = 0, [TYPE_INT8] = 1, [TYPE_INT16] = 2, [TYPE_INT32] = 3, [TYPE_INT64] = 4,
        [TYPE_UINT8] = 5, [TYPE_UINT16] = 6, [TYPE_UINT32] = 7, [TYPE_UINT64] = 8, [TYPE_FLOAT16] = -1, [TYPE_FLOAT32] = 9, [TYPE_FLOAT64] = 10,
        [TYPE_UTF8] = 12, [TYPE_LARGE_UTF8] = 12, [TYPE_UTF8_VIEW] = 12, [TYPE_BINARY] = 11, [TYPE_LARGE_BINARY] = 11, [TYPE_BINARY_VIEW] = 11,
        [TYPE_FIXED_BINARY] = -1, [TYPE_DATE32] = 13, [TYPE_DATE64] = -1, [TYPE_TIMESTAMP] = 15, [TYPE_TIME32] = 19, [TYPE_TIME64] = 19, [TYPE_DURATION] = -1,
        [TYPE_INTERVAL_YEAR_MONTH] = 23, [TYPE_INTERVAL_DAY_TIME] = 24, [TYPE_INTERVAL_MONTH_DAY_NANO] = 25, [TYPE_DECIMAL128] = 30, [TYPE_DECIMAL256] = -1,
        [TYPE_LIST] = 40, [TYPE_LARGE_LIST] = -1, [TYPE_FIXED_LIST] = -1, [TYPE_STRUCT] = 41, [TYPE_MAP] = -1, [TYPE_DICTIONARY] = 42};
    if (c->logical != LOGICAL_PLAIN)
        return c->logical == LOGICAL_VECTOR ? 32 : 31;
    int32_t wire = plain[c->type->id];
    bool has_unit = c->type->id == TYPE_TIMESTAMP || c->type->id == TYPE_TIME32 || c->type->id == TYPE_TIME64;
    return has_unit ? wire + c->type->unit : wire;
}

static void type_clear(struct region_column *c)
{
    type_unref(c->type);
    free(c->type_json);
    free(c->native_json);
    c->type = NULL;
    c->type_json = c->native_json = NULL;
    c->logical = LOGICAL_PLAIN;
    c->vector_dim = 0;
}

int type_from_json(const struct json_value *v, struct region_column *c, struct error *err)
{
    struct dynbuf out;
    type_clear(c);
    dynbuf_init(&out, 1 << 20);
    int st = read_type(v, 0, &out, c, &c->type, err);
    if (st == ST_OK && !(c->type_json = text_copy(out.data, out.size)))
        st = error_no_memory(err, out.size);
    if (st == ST_OK)
        c->wire_type = type_to_wire(c);
    dynbuf_release(&out);
    return st;
}

/* ---- the wire form ---- */

struct extension { uint32_t kind; struct pb_field member; bool present; };

static int read_extension(const uint8_t *data, size_t size, struct extension *ret, struct error *err)
{
    struct pb_reader r = pb_reader_of(data ? data : (const uint8_t *)"", size);
    struct pb_field f;
    *ret = (struct extension){0};
    while (pb_next(&r, &f)) {
        if (f.number >= 1 && f.number <= 7 && f.wire == (f.number == 2 ? PB_VARINT : PB_BYTES))
            *ret = (struct extension){f.number, f, true};
    }
    return pb_done(&r) ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "malformed data type extension");
}

/* The four fields that nested extensions are made of: varints and bytes by number. */
struct parts { uint64_t number[8]; struct pb_field bytes[8]; };

static int read_parts(const struct pb_field *message, struct parts *ret, struct error *err)
{
    struct pb_reader r = pb_reader_of(message->data ? message->data : (const uint8_t *)"", message->size);
    struct pb_field f;
    *ret = (struct parts){0};
    while (pb_next(&r, &f)) {
        if (f.number < 8 && f.wire == PB_VARINT)
            ret->number[f.number] = f.value;
        else if (f.number < 8 && f.wire == PB_BYTES)
            ret->bytes[f.number] = f;
    }
    return pb_done(&r) ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "malformed data type extension");
}

static int put_wire_type(struct dynbuf *out, int32_t datatype, const struct pb_field *extension, unsigned depth, struct error *err);

static int put_struct_members(struct dynbuf *out, const struct pb_field *message, bool native, unsigned depth, struct error *err);

/* T of {"Native":T}. */
static int put_native(struct dynbuf *out, int32_t datatype, const struct pb_field *extension, unsigned depth, struct error *err)
{
    struct extension e;
    struct parts p;
    if (depth > TYPE_MAX_DEPTH)
        return error_set(err, ST_INVALID_ARGUMENTS, "data type nested too deep");
    TRY(read_extension(extension->data, extension->size, &e, err));
    if (datatype == 0 || datatype == 12)
        return dynbuf_printf(out, err, datatype ? "\"String\"" : "\"Bool\"");
    if (datatype >= 1 && datatype <= 10)
        return dynbuf_printf(out, err, "{\"Number\":\"%s\"}", datatype <= 4 ? "I64" : datatype <= 8 ? "U64" : "F64");
    if (datatype == 40 && e.kind == 4) {
        TRY(read_parts(&e.member, &p, err));
        TRY(dynbuf_printf(out, err, "{\"Array\":"));
        TRY(put_native(out, (int32_t)p.number[1], &p.bytes[2], depth + 1, err));
        return dynbuf_append_byte(out, '}', err);
    }
    if (datatype == 41 && e.kind == 5) {
        TRY(dynbuf_printf(out, err, "{\"Object\":{"));
        TRY(put_struct_members(out, &e.member, true, depth, err));
        return dynbuf_append(out, "}}", 2, err);
    }
    if (datatype == 31 && e.kind == 6) {
        TRY(read_parts(&e.member, &p, err));
        return put_native(out, (int32_t)p.number[1], &p.bytes[2], depth + 1, err);
    }
    if (datatype == 31 || ((datatype == 40 || datatype == 41) && !e.present))
        return dynbuf_printf(out, err, "\"Null\"");
    return error_set(err, ST_INVALID_ARGUMENTS, "data type %d cannot be inside a JSON type", datatype);
}

static int put_struct_members(struct dynbuf *out, const struct pb_field *message, bool native, unsigned depth, struct error *err)
{
    struct pb_reader r = pb_reader_of(message->data ? message->data : (const uint8_t *)"", message->size);
    struct pb_field f;
    bool first = true;
    while (pb_next(&r, &f)) {
        struct parts p;
        if (f.number != 1 || f.wire != PB_BYTES)
            continue;
        TRY(read_parts(&f, &p, err));
        TRY(dynbuf_printf(out, err, "%s%s", first ? "" : ",", native ? "" : "{\"name\":"));
        TRY(json_put_string(out, p.bytes[1].data, p.bytes[1].size, err));
        first = false;
        if (native) {
            TRY(dynbuf_append_byte(out, ':', err));
            TRY(put_native(out, (int32_t)p.number[2], &p.bytes[3], depth + 1, err));
            continue;
        }
        TRY(dynbuf_printf(out, err, ",\"data_type\":"));
        TRY(put_wire_type(out, (int32_t)p.number[2], &p.bytes[3], depth + 1, err));
        TRY(dynbuf_printf(out, err, ",\"nullable\":true,\"metadata\":{}}"));
    }
    return pb_done(&r) ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "malformed struct type");
}

static int put_nested(struct dynbuf *out, int32_t datatype, const struct extension *e, unsigned depth, struct error *err)
{
    struct parts p;
    TRY(read_parts(&e->member, &p, err));
    switch (datatype) {
    case 40:
        TRY(dynbuf_printf(out, err, "{\"List\":{\"item_type\":"));
        TRY(put_wire_type(out, (int32_t)p.number[1], &p.bytes[2], depth + 1, err));
        return dynbuf_append(out, "}}", 2, err);
    case 41:
        TRY(dynbuf_printf(out, err, "{\"Struct\":{\"fields\":["));
        TRY(put_struct_members(out, &e->member, false, depth, err));
        return dynbuf_append(out, "]}}", 3, err);
    default:
        TRY(dynbuf_printf(out, err, "{\"Dictionary\":{\"key_type\":"));
        TRY(put_wire_type(out, (int32_t)p.number[1], &p.bytes[2], depth + 1, err));
        TRY(dynbuf_printf(out, err, ",\"value_type\":"));
        TRY(put_wire_type(out, (int32_t)p.number[3], &p.bytes[4], depth + 1, err));
        return dynbuf_append(out, "}}", 2, err);
    }
}

static int put_wire_type(struct dynbuf *out, int32_t datatype, const struct pb_field *extension, unsigned depth, struct error *err)
{
    static const char *const plain[] = {"{\"Boolean\":null}", "{\"Int8\":{}}", "{\"Int16\":{}}", "{\"Int32\":{}}", "{\"Int64\":{}}", "{\"UInt8\":{}}",
        "{\"UInt16\":{}}", "{\"UInt32\":{}}", "{\"UInt64\":{}}", "{\"Float32\":{}}", "{\"Float64\":{}}", "{\"Binary\":{\"repr_type\":\"Binary\"}}",
        "{\"String\":{\"size_type\":\"Utf8\"}}", "{\"Date\":null}"};
    struct extension e;
    struct parts p = {0};
    if (depth > TYPE_MAX_DEPTH)
        return error_set(err, ST_INVALID_ARGUMENTS, "data type nested too deep");
    TRY(read_extension(extension->data, extension->size, &e, err));
    if (e.present && e.member.wire == PB_BYTES)
        TRY(read_parts(&e.member, &p, err));
    if ((datatype == 11 || datatype == 31) && e.kind == 2)
        return dynbuf_printf(out, err, "{\"Json\":{\"format\":\"Jsonb\"}}");
    if (datatype >= 0 && datatype <= 13)
        return dynbuf_append(out, plain[datatype], strlen(plain[datatype]), err);
    if (datatype >= 14 && datatype <= 18)
        return dynbuf_printf(out, err, "{\"Timestamp\":{\"%s\":null}}", time_unit_names[datatype == 14 ? 2 : datatype - 15]);
    if (datatype >= 19 && datatype <= 22)
        return dynbuf_printf(out, err, "{\"Time\":{\"%s\":null}}", time_unit_names[datatype - 19]);
    if (datatype >= 23 && datatype <= 25)
        return dynbuf_printf(out, err, "{\"Interval\":{\"%s\":null}}", interval_names[datatype - 23].name);
    if (datatype == 30)
        return dynbuf_printf(out, err, "{\"Decimal128\":{\"precision\":%lld,\"scale\":%lld}}", e.kind == 1 ? (long long)p.number[1] : 38,
                             e.kind == 1 ? (long long)(int32_t)p.number[2] : 10);
    if (datatype == 32)
        return dynbuf_printf(out, err, "{\"Vector\":{\"dim\":%u}}", e.kind == 3 ? (unsigned)p.number[1] : 0);
    if (datatype == 31) {
        TRY(dynbuf_printf(out, err, "{\"Json\":{\"format\":{\"Native\":"));
        TRY(e.kind == 6 ? put_native(out, (int32_t)p.number[1], &p.bytes[2], depth + 1, err) : dynbuf_printf(out, err, "\"Null\""));
        return dynbuf_append(out, "}}}", 3, err);
    }
    if ((datatype == 40 && e.kind == 4) || (datatype == 41 && e.kind == 5) || (datatype == 42 && e.kind == 7))
        return put_nested(out, datatype, &e, depth, err);
    if (datatype >= 40 && datatype <= 42)
        return dynbuf_printf(out, err, "{\"Null\":null}");
    return error_set(err, ST_INVALID_ARGUMENTS, "unknown column data type %d", datatype);
}

int region_column_type_from_proto(int32_t datatype, const uint8_t *extension, size_t size, struct region_column *ret_column, struct error *err)
{
    struct dynbuf text;
    struct arena arena;
    const struct json_value *v;
    struct pb_field ext = {.data = extension, .size = size};
    dynbuf_init(&text, 1 << 20);
    arena_init(&arena, NULL);
    int st = put_wire_type(&text, datatype, &ext, 0, err);
    if (st == ST_OK)
        st = json_parse(&arena, (const char *)text.data, text.size, &v, err);
    if (st == ST_OK)
        st = type_from_json(v, ret_column, err);
    if (st == ST_CORRUPT) /* what arrived is at fault, not what is stored */
        st = err ? (err->status = ST_INVALID_ARGUMENTS) : ST_INVALID_ARGUMENTS;
    arena_release(&arena);
    dynbuf_release(&text);
    return st;
}
