/* arrow_typeof and arrow_cast: types by their names in Arrow's display forms, old and new (functions.md 1.1). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
    {"BinaryView", TYPE_BINARY_VIEW}, {"Date32", TYPE_DATE32}, {"Date64", TYPE_DATE64}, {"Interval(YearMonth)", TYPE_INTERVAL_YEAR_MONTH},
    {"Interval(DayTime)", TYPE_INTERVAL_DAY_TIME}, {"Interval(MonthDayNano)", TYPE_INTERVAL_MONTH_DAY_NANO},
};

/* A unit at the start of the text, spelt out or short; -1 when there is none. */
static int take_unit(const char **p)
{
    static const char *const words[] = {"Second", "Millisecond", "Microsecond", "Nanosecond"};
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 3; k++) {
            const char *name = k == 0 ? words[i] : k == 1 ? unit_names[i] : i == UNIT_MICRO ? "us" : unit_names[i];
            size_t n = strlen(name);
            if (strncmp(*p, name, n) == 0 && ((*p)[n] == ')' || (*p)[n] == ',')) {
                *p += n;
                return i;
            }
        }
    return -1;
}

/* Timestamp(unit[, None | Some("zone") | "zone"]) behind its bracket. */
static struct dtype *parse_timestamp(const char *p)
{
    char zone[64];
    int unit = take_unit(&p), used = 0;
    if (unit < 0)
        return NULL;
    if (strcmp(p, ")") == 0 || strcmp(p, ", None)") == 0)
        return type_ref(type_temporal(TYPE_TIMESTAMP, (enum time_unit)unit));
    if ((sscanf(p, ", Some(\"%63[^\"]\"))%n", zone, &used) == 1 && used && !p[used]) || (sscanf(p, ", \"%63[^\"]\")%n", zone, &used) == 1 && used && !p[used]))
        return type_timestamp_zoned((enum time_unit)unit, zone);
    return NULL;
}

/* One reference, or NULL when the text names no type that casts know. */
static struct dtype *parse_type(const char *p)
{
    static const struct { const char *name; enum type_id id; } timed[] = {{"Time32(", TYPE_TIME32}, {"Time64(", TYPE_TIME64}, {"Duration(", TYPE_DURATION}};
    int precision, scale, used = 0;
    for (size_t i = 0; i < sizeof plain_types / sizeof *plain_types; i++)
        if (strcmp(p, plain_types[i].name) == 0)
            return type_ref(type_of(plain_types[i].id));
    if (strncmp(p, "Timestamp(", 10) == 0)
        return parse_timestamp(p + 10);
    for (size_t i = 0; i < 3; i++)
        if (strncmp(p, timed[i].name, strlen(timed[i].name)) == 0) {
            p += strlen(timed[i].name);
            int unit = take_unit(&p);
            bool good = unit >= 0 && strcmp(p, ")") == 0 && (i == 2 || (unit >= UNIT_MICRO) == (timed[i].id == TYPE_TIME64));
            return good ? type_ref(type_temporal(timed[i].id, (enum time_unit)unit)) : NULL;
        }
    if (sscanf(p, "Decimal128(%d, %d)%n", &precision, &scale, &used) == 2 && used && !p[used] && precision >= 1 && precision <= 38 && scale >= -38 && scale <= precision)
        return type_decimal(TYPE_DECIMAL128, (uint8_t)precision, (int8_t)scale);
    return NULL;
}

/* Becomes a cast of its first argument. */
static int bind_arrow_cast(struct expr *e, struct error *err)
{
    const struct column *name = expr_literal(e->args[1]);
    char text[120];
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
        return error_set(err, ST_EXECUTE_QUERY, "Unsupported type '%s' of arrow_cast", text);
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

const struct function functions_arrow[] = {
    {"arrow_typeof", 1, 1, bind_typeof, kernel_text_rows, 0, false, .text_row = typeof_row},
    {"arrow_cast", 2, 2, bind_arrow_cast, kernel_arrow_cast, 0, false},
    {0},
};
