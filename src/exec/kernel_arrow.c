/* arrow_metadata; arrow_typeof and arrow_cast: types by their names in Arrow's display forms, old and new (functions.md 1.1). */
#include <stdio.h>
#include <string.h>

#include "exec/kernel_typed.h"

static const char *const unit_names[] = {"s", "ms", "\xc2\xb5s", "ns"};

/* ---- types to text ---- */

/* A type in Arrow 57's display form; returns the bytes written (cut to room - 1). */
static size_t show_type(const struct dtype *t, char *out, size_t room)
{
    char inner[200] = "";
    size_t n = 0;
    switch ((enum type_id)t->id) {
    case TYPE_TIMESTAMP:
        n = t->timezone ? (size_t)snprintf(out, room, "Timestamp(%s, \"%s\")", unit_names[t->unit], t->timezone)
                        : (size_t)snprintf(out, room, "Timestamp(%s)", unit_names[t->unit]);
        break;
    case TYPE_TIME32:
        n = (size_t)snprintf(out, room, "Time32(%s)", unit_names[t->unit]);
        break;
    case TYPE_TIME64:
        n = (size_t)snprintf(out, room, "Time64(%s)", unit_names[t->unit]);
        break;
    case TYPE_DURATION:
        n = (size_t)snprintf(out, room, "Duration(%s)", unit_names[t->unit]);
        break;
    case TYPE_LIST:
    case TYPE_LARGE_LIST:
        show_type(t->children[0]->type, inner, sizeof inner);
        n = (size_t)snprintf(out, room, "%s(%s%s)", t->id == TYPE_LIST ? "List" : "LargeList", t->children[0]->nullable ? "" : "non-null ", inner);
        break;
    case TYPE_STRUCT:
        n = (size_t)snprintf(out, room, "Struct(");
        for (uint32_t i = 0; i < t->n_children && n < room; i++) {
            show_type(t->children[i]->type, inner, sizeof inner);
            n += (size_t)snprintf(out + n, room - n, "%s\"%s\": %s%s", i ? ", " : "", t->children[i]->name,
                                  t->children[i]->nullable ? "" : "non-null ", inner);
        }
        if (n < room)
            n += (size_t)snprintf(out + n, room - n, ")");
        break;
    default:
        type_print(t, out, room);
        n = strlen(out);
    }
    return n < room ? n : room - 1;
}

static int bind_typeof(struct expr *e, struct error *err)
{
    (void)err;
    e->type = type_of(TYPE_UTF8);
    e->nullable = false;
    return ST_OK;
}

static int typeof_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    char text[500];
    (void)row;
    (void)ret_null;
    return text_writer_put(w, text, show_type(c->e->args[0]->type, text, sizeof text), err);
}

/* ---- text to types ---- */

static const struct { const char *name; enum type_id id; } plain_types[] = {
    {"Null", TYPE_NULL}, {"Boolean", TYPE_BOOL}, {"Int8", TYPE_INT8}, {"Int16", TYPE_INT16}, {"Int32", TYPE_INT32}, {"Int64", TYPE_INT64},
    {"UInt8", TYPE_UINT8}, {"UInt16", TYPE_UINT16}, {"UInt32", TYPE_UINT32}, {"UInt64", TYPE_UINT64}, {"Float32", TYPE_FLOAT32}, {"Float64", TYPE_FLOAT64},
    {"Utf8", TYPE_UTF8}, {"LargeUtf8", TYPE_LARGE_UTF8}, {"Utf8View", TYPE_UTF8_VIEW}, {"Binary", TYPE_BINARY}, {"LargeBinary", TYPE_LARGE_BINARY},
    {"BinaryView", TYPE_BINARY_VIEW}, {"Date32", TYPE_DATE32}, {"Date64", TYPE_DATE64}, {"Float16", TYPE_FLOAT16},
};

enum { TYPE_DEPTH_MAX = 16 };

/* Readers take what they know from the front of a text without blanks. Those of types give one reference, or NULL. */
static bool take(const char **p, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*p, word, n) != 0)
        return false;
    *p += n;
    return true;
}

static bool take_int(const char **p, int *ret_value)
{
    int used = 0;
    if (sscanf(*p, "%5d%n", ret_value, &used) != 1)
        return false;
    *p += used;
    return true;
}

/* A unit, spelt out or short; -1 when there is none. */
static int take_unit(const char **p)
{
    for (int i = 0; i < 4; i++)
        if (take(p, time_unit_names[i]) || take(p, unit_names[i]) || (i == UNIT_MICRO && take(p, "us")))
            return i;
    return -1;
}

/* unit[, None | Some("zone") | "zone"] */
static struct dtype *read_timestamp(const char **p)
{
    char zone[64];
    int unit = take_unit(p);
    if (unit < 0)
        return NULL;
    bool some = take(p, ",Some(\"");
    if (!some && !take(p, ",\"")) {
        take(p, ",None");
        return type_ref(type_temporal(TYPE_TIMESTAMP, (enum time_unit)unit));
    }
    size_t n = strcspn(*p, "\"");
    if (n >= sizeof zone)
        return NULL;
    memcpy(zone, *p, n);
    zone[n] = 0;
    *p += n;
    return take(p, some ? "\")" : "\"") ? type_timestamp_zoned((enum time_unit)unit, zone) : NULL;
}

static struct dtype *read_timed(const char **p, enum type_id id)
{
    int unit = take_unit(p);
    bool good = unit >= 0 && (id == TYPE_DURATION || (unit >= UNIT_MICRO) == (id == TYPE_TIME64));
    return good ? type_ref(type_temporal(id, (enum time_unit)unit)) : NULL;
}

static struct dtype *read_interval(const char **p)
{
    if (take(p, "YearMonth"))
        return type_ref(type_of(TYPE_INTERVAL_YEAR_MONTH));
    if (take(p, "DayTime"))
        return type_ref(type_of(TYPE_INTERVAL_DAY_TIME));
    return take(p, "MonthDayNano") ? type_ref(type_of(TYPE_INTERVAL_MONTH_DAY_NANO)) : NULL;
}

static struct dtype *read_decimal(const char **p, enum type_id id)
{
    int precision, scale, most = id == TYPE_DECIMAL128 ? 38 : 76;
    if (!take_int(p, &precision) || !take(p, ",") || !take_int(p, &scale))
        return NULL;
    bool good = precision >= 1 && precision <= most && scale >= -most && scale <= precision;
    return good ? type_decimal(id, (uint8_t)precision, (int8_t)scale) : NULL;
}

static struct dtype *read_type(const char **p, unsigned depth);

/* [nullable | non-null] type */
static struct field *read_field(const char **p, const char *name, unsigned depth)
{
    bool nullable = !take(p, "non-null");
    take(p, "nullable");
    struct dtype *t = read_type(p, depth);
    struct field *f = t ? field_new(name, t, nullable) : NULL;
    type_unref(t);
    return f;
}

static struct dtype *read_list(const char **p, enum type_id id, unsigned depth)
{
    struct field *item = read_field(p, "item", depth);
    struct dtype *t = item ? type_list(id, item) : NULL;
    field_unref(item);
    return t;
}

/* "a": type, "b": non-null type, ... */
static struct dtype *read_struct(const char **p, unsigned depth)
{
    struct field *members[TYPE_DEPTH_MAX];
    struct dtype *t = NULL;
    uint32_t n = 0;
    bool good = true;
    do {
        char name[64];
        size_t size = take(p, "\"") ? strcspn(*p, "\"") : sizeof name;
        good = size < sizeof name && n < TYPE_DEPTH_MAX;
        if (!good)
            break;
        memcpy(name, *p, size);
        name[size] = 0;
        *p += size;
        good = take(p, "\":") && (members[n] = read_field(p, name, depth));
        n += good;
    } while (good && take(p, ","));
    if (good)
        t = type_struct(members, n);
    while (n)
        field_unref(members[--n]);
    return t;
}

static struct dtype *read_parameters(const char *name, const char **p, unsigned depth)
{
    static const struct { const char *name; enum type_id id; struct dtype *(*read)(const char **p, enum type_id id); } simple[] = {
        {"Time32", TYPE_TIME32, read_timed}, {"Time64", TYPE_TIME64, read_timed}, {"Duration", TYPE_DURATION, read_timed},
        {"Decimal128", TYPE_DECIMAL128, read_decimal}, {"Decimal256", TYPE_DECIMAL256, read_decimal},
    };
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
        if (strcmp(name, simple[i].name) == 0)
            return simple[i].read(p, simple[i].id);
    if (strcmp(name, "Timestamp") == 0)
        return read_timestamp(p);
    if (strcmp(name, "Interval") == 0)
        return read_interval(p);
    if (strcmp(name, "List") == 0 || strcmp(name, "LargeList") == 0)
        return read_list(p, *name == 'L' && name[1] == 'i' ? TYPE_LIST : TYPE_LARGE_LIST, depth);
    return strcmp(name, "Struct") == 0 ? read_struct(p, depth) : NULL;
}

static struct dtype *read_type(const char **p, unsigned depth)
{
    char name[24];
    size_t n = strspn(*p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    if (n == 0 || n >= sizeof name || depth > TYPE_DEPTH_MAX)
        return NULL;
    memcpy(name, *p, n);
    name[n] = 0;
    *p += n;
    for (size_t i = 0; i < sizeof plain_types / sizeof *plain_types; i++)
        if (strcmp(name, plain_types[i].name) == 0)
            return type_ref(type_of(plain_types[i].id));
    struct dtype *t = take(p, "(") ? read_parameters(name, p, depth + 1) : NULL;
    if (t && !take(p, ")")) {
        type_unref(t);
        t = NULL;
    }
    return t;
}

/* One reference, or NULL when the text names no type that casts know. Blanks outside of quotes are dropped from it. */
static struct dtype *parse_type(char *text)
{
    size_t n = 0;
    bool quoted = false;
    for (const char *c = text; *c; c++) {
        quoted ^= *c == '"';
        if (quoted || !strchr(" \t\n", *c))
            text[n++] = *c;
    }
    text[n] = 0;
    const char *p = text;
    struct dtype *t = read_type(&p, 0);
    if (t && *p) {
        type_unref(t);
        t = NULL;
    }
    return t;
}

/* Becomes a cast of its first argument. */
static int bind_arrow_cast(struct expr *e, struct error *err)
{
    const struct column *name = expr_literal(e->args[1]);
    char text[500];
    int32_t n;
    if (!name || !type_is_string(name->type) || column_is_null(name, 0))
        return error_set(err, ST_EXECUTE_QUERY, "arrow_cast requires its second argument to be a constant string");
    const uint8_t *p = column_bytes(name, 0, &n);
    if (n >= (int32_t)sizeof text || memchr(p, 0, (size_t)n))
        return error_set(err, ST_EXECUTE_QUERY, "Unsupported type of arrow_cast");
    memcpy(text, p, (size_t)n);
    text[n] = 0;
    struct dtype *type = parse_type(text);
    if (!type)
        return error_set(err, ST_EXECUTE_QUERY, "Unsupported type '%.*s' of arrow_cast", n > 100 ? 100 : (int)n, (const char *)p);
    e->type = type;
    e->nullable = e->args[0]->nullable;
    return expr_bind_cast(e, 0, type, err);
}

/* The argument is cast already. The other one is a constant: all of them constant or neither. */
static int kernel_arrow_cast(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    (void)ctx;
    (void)rows;
    return column_retype(args[0].column, e->type, ret, err);
}

/* ---- metadata of fields ---- */

/* The field whose metadata an expression has: casts keep it, functions have none. */
static const struct field *field_of(const struct expr *e)
{
    while (e->kind == EXPR_CALL && e->function == &function_cast)
        e = e->args[0];
    return e->field;
}

/* Map(entries: {keys, values}); one reference, NULL = no memory. */
static struct dtype *metadata_type(void)
{
    struct field *members[2] = {field_new("keys", type_of(TYPE_UTF8), false), field_new("values", type_of(TYPE_UTF8), true)};
    struct dtype *entry = members[0] && members[1] ? type_struct(members, 2) : NULL;
    struct field *entries = entry ? field_new("entries", entry, false) : NULL;
    struct dtype *map = entries ? type_list(TYPE_MAP, entries) : NULL;
    field_unref(entries);
    type_unref(entry);
    field_unref(members[0]);
    field_unref(members[1]);
    return map;
}

static int bind_metadata(struct expr *e, struct error *err)
{
    const struct column *key = e->n_args == 2 ? expr_literal(e->args[1]) : NULL;
    if (e->n_args == 2 && (!key || !type_is_string(key->type) || column_is_null(key, 0)))
        return error_set(err, ST_EXECUTE_QUERY, "Second argument to arrow_metadata must be a string literal key");
    e->type = key ? type_of(TYPE_UTF8) : metadata_type();
    e->nullable = key != NULL;
    return e->type ? ST_OK : error_no_memory(err, 64);
}

/* The pair with the next greater key; NULL behind the last. */
static const struct kv *next_pair(const struct field *f, const char *key)
{
    const struct kv *next = NULL;
    for (uint32_t i = 0; f && i < f->n_meta; i++)
        if ((!key || strcmp(f->meta[i].key, key) > 0) && (!next || strcmp(f->meta[i].key, next->key) < 0))
            next = &f->meta[i];
    return next;
}

/* The map of one row. */
static int put_map(const struct field *f, struct column_builder *b, struct error *err)
{
    struct column_builder *entry = &b->children[0];
    for (const struct kv *pair = next_pair(f, NULL); pair; pair = next_pair(f, pair->key)) {
        TRY(column_builder_append_bytes(&entry->children[0], pair->key, strlen(pair->key), err));
        TRY(column_builder_append_bytes(&entry->children[1], pair->value, strlen(pair->value), err));
        TRY(column_builder_append_nested(entry, err));
    }
    return column_builder_append_nested(b, err);
}

static int put_metadata(const struct expr *e, struct column_builder *b, struct error *err)
{
    const struct field *f = field_of(e->args[0]);
    if (e->n_args == 1)
        return put_map(f, b, err);
    int32_t n;
    const uint8_t *key = column_bytes(expr_literal(e->args[1]), 0, &n);
    for (uint32_t i = 0; f && i < f->n_meta; i++)
        if (strlen(f->meta[i].key) == (size_t)n && memcmp(f->meta[i].key, key, (size_t)n) == 0)
            return column_builder_append_bytes(b, f->meta[i].value, strlen(f->meta[i].value), err);
    return column_builder_append_null(b, err);
}

static int kernel_metadata(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    struct column_builder b;
    (void)args;
    TRY(column_builder_init(&b, ctx->budget, e->type, err));
    int st = ST_OK;
    for (int64_t i = 0; st == ST_OK && i < rows; i++)
        st = put_metadata(e, &b, err);
    if (st == ST_OK)
        st = column_builder_finish(&b, ret, err);
    column_builder_release(&b);
    return st;
}

const struct function functions_arrow[] = {
    {"arrow_metadata", 1, 2, bind_metadata, kernel_metadata, 0, false},
    {"arrow_typeof", 1, 1, bind_typeof, kernel_text_rows, 0, false, .text_row = typeof_row},
    {"arrow_cast", 2, 2, bind_arrow_cast, kernel_arrow_cast, 0, false},
    {0},
};
