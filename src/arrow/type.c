#include "arrow/type.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const time_unit_names[4] = {"Second", "Millisecond", "Microsecond", "Nanosecond"};

static struct dtype singletons[TYPE_COUNT];
static struct dtype temporals[TYPE_COUNT][4];

__attribute__((constructor)) static void init_singletons(void)
{
    for (int id = 0; id < TYPE_COUNT; id++) {
        singletons[id].id = (uint8_t)id;
        for (int unit = 0; unit < 4; unit++) {
            temporals[id][unit].id = (uint8_t)id;
            temporals[id][unit].unit = (uint8_t)unit;
        }
    }
}

struct dtype *type_of(enum type_id id)
{
    assert(id < TYPE_COUNT && id != TYPE_FIXED_BINARY && id != TYPE_DECIMAL128 && id != TYPE_DECIMAL256 && !type_is_nested(&singletons[id]));
    return &singletons[id];
}

struct dtype *type_temporal(enum type_id id, enum time_unit unit)
{
    assert(id == TYPE_TIMESTAMP || id == TYPE_TIME32 || id == TYPE_TIME64 || id == TYPE_DURATION);
    return &temporals[id][unit];
}

static struct dtype *type_make(enum type_id id, struct field *const *children, uint32_t n)
{
    struct dtype *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    t->id = (uint8_t)id;
    if (n) {
        t->children = calloc(n, sizeof(struct field *));
        if (!t->children) {
            free(t);
            return NULL;
        }
        t->n_children = n;
        for (uint32_t i = 0; i < n; i++)
            t->children[i] = field_ref(children[i]);
    }
    return t;
}

struct dtype *type_timestamp_zoned(enum time_unit unit, const char *timezone)
{
    struct dtype *t = type_make(TYPE_TIMESTAMP, NULL, 0);
    if (!t)
        return NULL;
    t->unit = (uint8_t)unit;
    t->timezone = strdup(timezone);
    if (!t->timezone) {
        type_unref(t);
        return NULL;
    }
    return t;
}

struct dtype *type_decimal(enum type_id id, uint8_t precision, int8_t scale)
{
    assert(id == TYPE_DECIMAL128 || id == TYPE_DECIMAL256);
    struct dtype *t = type_make(id, NULL, 0);
    if (t) {
        t->precision = precision;
        t->scale = scale;
    }
    return t;
}

struct dtype *type_fixed_binary(int32_t width_bytes)
{
    struct dtype *t = type_make(TYPE_FIXED_BINARY, NULL, 0);
    if (t)
        t->width = width_bytes;
    return t;
}

struct dtype *type_list(enum type_id id, struct field *item)
{
    assert(id == TYPE_LIST || id == TYPE_LARGE_LIST || id == TYPE_MAP);
    return type_make(id, &item, 1);
}

struct dtype *type_fixed_list(struct field *item, int32_t items)
{
    struct dtype *t = type_make(TYPE_FIXED_LIST, &item, 1);
    if (t)
        t->width = items;
    return t;
}

struct dtype *type_struct(struct field *const *members, uint32_t n)
{
    return type_make(TYPE_STRUCT, members, n);
}

/* A dictionary's or range's value field has no name or nullability of its own. */
static struct dtype *make_keyed(enum type_id id, enum type_id key, struct dtype *values)
{
    struct field *f = field_new("", values, true);
    if (!f)
        return NULL;
    struct dtype *t = type_make(id, &f, 1);
    field_unref(f);
    if (t)
        t->key = (uint8_t)key;
    return t;
}

struct dtype *type_dictionary(enum type_id key, struct dtype *values)
{
    return make_keyed(TYPE_DICTIONARY, key, values);
}

struct dtype *type_range(struct dtype *values)
{
    return make_keyed(TYPE_RANGE, TYPE_INT64, values);
}

struct dtype *type_ref(struct dtype *t)
{
    if (t && atomic_load_explicit(&t->refs, memory_order_relaxed) > 0)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void type_unref(struct dtype *t)
{
    if (!t || atomic_load_explicit(&t->refs, memory_order_relaxed) == 0)
        return;
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < t->n_children; i++)
        field_unref(t->children[i]);
    free(t->children);
    free(t->timezone);
    free(t);
}

bool type_equal(const struct dtype *a, const struct dtype *b, bool strict)
{
    if (a == b)
        return true;
    if (a->id != b->id || a->unit != b->unit || a->precision != b->precision || a->scale != b->scale || a->key != b->key || a->width != b->width ||
        a->n_children != b->n_children)
        return false;
    if ((a->timezone == NULL) != (b->timezone == NULL) || (a->timezone && strcmp(a->timezone, b->timezone) != 0))
        return false;
    for (uint32_t i = 0; i < a->n_children; i++) {
        if (strict && a->id != TYPE_DICTIONARY && a->id != TYPE_RANGE ? !field_equal(a->children[i], b->children[i], true)
                                                                      : !type_equal(a->children[i]->type, b->children[i]->type, strict))
            return false;
    }
    return true;
}

int32_t type_width(const struct dtype *t)
{
    switch ((enum type_id)t->id) {
    case TYPE_INT8: case TYPE_UINT8: return 1;
    case TYPE_INT16: case TYPE_UINT16: case TYPE_FLOAT16: return 2;
    case TYPE_INT32: case TYPE_UINT32: case TYPE_FLOAT32: case TYPE_DATE32: case TYPE_TIME32: case TYPE_INTERVAL_YEAR_MONTH: case TYPE_DICTIONARY: return 4;
    case TYPE_INT64: case TYPE_UINT64: case TYPE_FLOAT64: case TYPE_DATE64: case TYPE_TIMESTAMP: case TYPE_TIME64: case TYPE_DURATION:
    case TYPE_INTERVAL_DAY_TIME: case TYPE_RANGE: return 8;
    case TYPE_DECIMAL128: case TYPE_INTERVAL_MONTH_DAY_NANO: return 16;
    case TYPE_DECIMAL256: return 32;
    case TYPE_FIXED_BINARY: return t->width;
    default: return 0;
    }
}

bool type_is_string(const struct dtype *t)
{
    return t->id == TYPE_UTF8 || t->id == TYPE_LARGE_UTF8 || t->id == TYPE_UTF8_VIEW;
}

bool type_is_binary(const struct dtype *t)
{
    return t->id == TYPE_BINARY || t->id == TYPE_LARGE_BINARY || t->id == TYPE_BINARY_VIEW;
}

bool type_is_varlen(const struct dtype *t)
{
    return t->id >= TYPE_UTF8 && t->id <= TYPE_BINARY_VIEW;
}

bool type_is_integer(const struct dtype *t)
{
    return t->id >= TYPE_INT8 && t->id <= TYPE_UINT64;
}

bool type_is_signed(const struct dtype *t)
{
    return t->id >= TYPE_INT8 && t->id <= TYPE_INT64;
}

bool type_is_float(const struct dtype *t)
{
    return t->id >= TYPE_FLOAT16 && t->id <= TYPE_FLOAT64;
}

bool type_is_nested(const struct dtype *t)
{
    return t->id >= TYPE_LIST;
}

const struct dtype *type_values(const struct dtype *t)
{
    return t->id == TYPE_DICTIONARY ? t->children[0]->type : t;
}

const char *type_print(const struct dtype *t, char *out, size_t room)
{
    static const char *const names[TYPE_COUNT] = {
        "Null", "Boolean", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float16", "Float32", "Float64",
        "Utf8", "LargeUtf8", "Utf8View", "Binary", "LargeBinary", "BinaryView", "FixedSizeBinary", "Date32", "Date64", "Timestamp", "Time32", "Time64",
        "Duration", "Interval(YearMonth)", "Interval(DayTime)", "Interval(MonthDayNano)", "Decimal128", "Decimal256", "List", "LargeList",
        "FixedSizeList", "Struct", "Map", "Dictionary", "Range"};
    char inner[128];
    switch ((enum type_id)t->id) {
    case TYPE_TIMESTAMP:
        if (t->timezone)
            snprintf(out, room, "Timestamp(%s, Some(\"%s\"))", time_unit_names[t->unit], t->timezone);
        else
            snprintf(out, room, "Timestamp(%s, None)", time_unit_names[t->unit]);
        break;
    case TYPE_TIME32: case TYPE_TIME64: case TYPE_DURATION:
        snprintf(out, room, "%s(%s)", names[t->id], time_unit_names[t->unit]);
        break;
    case TYPE_DECIMAL128: case TYPE_DECIMAL256:
        snprintf(out, room, "%s(%u, %d)", names[t->id], t->precision, t->scale);
        break;
    case TYPE_FIXED_BINARY:
        snprintf(out, room, "%s(%d)", names[t->id], t->width);
        break;
    case TYPE_LIST: case TYPE_LARGE_LIST: case TYPE_FIXED_LIST: case TYPE_MAP:
        snprintf(out, room, "%s(%s)", names[t->id], type_print(t->children[0]->type, inner, sizeof inner));
        break;
    case TYPE_DICTIONARY: case TYPE_RANGE:
        snprintf(out, room, "Dictionary(%s, %s)", names[t->key], type_print(t->children[0]->type, inner, sizeof inner));
        break;
    default:
        snprintf(out, room, "%s", names[t->id]);
    }
    return out;
}

const char *kv_list_get(const struct kv *list, uint32_t n, const char *key)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(list[i].key, key) == 0)
            return list[i].value;
    return NULL;
}

void kv_list_free(struct kv *list, uint32_t n)
{
    for (uint32_t i = 0; list && i < n; i++) {
        free(list[i].key);
        free(list[i].value);
    }
    free(list);
}

int kv_list_copy(const struct kv *list, uint32_t n, struct kv **ret_copy, struct error *err)
{
    struct kv *copy = n ? calloc(n, sizeof *copy) : NULL;
    bool good = n == 0 || copy;
    for (uint32_t i = 0; good && i < n; i++) {
        copy[i].key = strdup(list[i].key);
        copy[i].value = strdup(list[i].value);
        good = copy[i].key && copy[i].value;
    }
    if (!good) {
        kv_list_free(copy, n);
        return error_no_memory(err, n * sizeof *copy);
    }
    *ret_copy = copy;
    return ST_OK;
}

struct field *field_new(const char *name, struct dtype *type, bool nullable)
{
    struct field *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    atomic_init(&f->refs, 1);
    f->name = strdup(name);
    f->type = type_ref(type);
    f->nullable = nullable;
    if (!f->name) {
        field_unref(f);
        return NULL;
    }
    return f;
}

struct field *field_with_meta(const struct field *f, const struct kv *meta, uint32_t n)
{
    struct field *copy = field_new(f->name, f->type, f->nullable);
    if (copy && kv_list_copy(meta, n, &copy->meta, NULL) != ST_OK) {
        field_unref(copy);
        return NULL;
    }
    if (copy)
        copy->n_meta = n;
    return copy;
}

struct field *field_renamed(const struct field *f, const char *name)
{
    struct field *copy = field_with_meta(f, f->meta, f->n_meta);
    char *renamed = copy ? strdup(name) : NULL;
    if (!renamed) {
        field_unref(copy);
        return NULL;
    }
    free(copy->name);
    copy->name = renamed;
    return copy;
}

struct field *field_ref(struct field *f)
{
    if (f)
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void field_unref(struct field *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(f->name);
    type_unref(f->type);
    kv_list_free(f->meta, f->n_meta);
    free(f);
}

const char *field_meta_get(const struct field *f, const char *key)
{
    return kv_list_get(f->meta, f->n_meta, key);
}

bool field_equal(const struct field *a, const struct field *b, bool strict)
{
    if (a == b)
        return true;
    if (!type_equal(a->type, b->type, strict))
        return false;
    if (!strict)
        return true;
    if (strcmp(a->name, b->name) != 0 || a->nullable != b->nullable || a->n_meta != b->n_meta)
        return false;
    for (uint32_t i = 0; i < a->n_meta; i++) {
        const char *other = field_meta_get(b, a->meta[i].key);
        if (!other || strcmp(other, a->meta[i].value) != 0)
            return false;
    }
    return true;
}

struct schema *schema_new(struct field *const *fields, uint32_t n)
{
    struct schema *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    s->fields = calloc(n ? n : 1, sizeof(struct field *));
    if (!s->fields) {
        free(s);
        return NULL;
    }
    s->n_fields = n;
    for (uint32_t i = 0; i < n; i++)
        s->fields[i] = field_ref(fields[i]);
    return s;
}

struct schema *schema_with_field(const struct schema *s, const char *name, struct dtype *type, bool nullable)
{
    uint32_t n = s->n_fields;
    struct field **fields = malloc(((size_t)n + 1) * sizeof *fields), *last = field_new(name, type, nullable);
    struct schema *more = NULL;
    if (fields && last) {
        for (uint32_t i = 0; i < n; i++)
            fields[i] = s->fields[i];
        fields[n] = last;
        more = schema_new(fields, n + 1);
    }
    field_unref(last);
    free(fields);
    return more;
}

struct schema *schema_with_meta(const struct schema *s, const struct kv *meta, uint32_t n)
{
    struct schema *copy = schema_new(s->fields, s->n_fields);
    if (copy && kv_list_copy(meta, n, &copy->meta, NULL) != ST_OK) {
        schema_unref(copy);
        return NULL;
    }
    if (copy)
        copy->n_meta = n;
    return copy;
}

struct schema *schema_ref(struct schema *s)
{
    if (s)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void schema_unref(struct schema *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < s->n_fields; i++)
        field_unref(s->fields[i]);
    free(s->fields);
    kv_list_free(s->meta, s->n_meta);
    free(s);
}

int schema_find(const struct schema *s, const char *name)
{
    for (uint32_t i = 0; i < s->n_fields; i++)
        if (strcmp(s->fields[i]->name, name) == 0)
            return (int)i;
    return -1;
}
