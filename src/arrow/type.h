/* Types, fields and schemas, after Arrow's columnar format 1.x.
 *
 * Types without parameters are immortal singletons (type_of()); the others are reference-counted. Fields and schemas are
 * reference-counted and immutable once built.
 *
 * In memory there is one layout for each family, whatever the logical type says, so that kernels stay few; arrow/ipc and
 * arrow/cdata translate at the border:
 *   Utf8, LargeUtf8, Utf8View, Binary, LargeBinary, BinaryView   int32 offsets + bytes
 *   List, LargeList, Map                                         int32 offsets + one child
 *   Dictionary                                                   uint32 keys + dictionary, whatever `key` says
 *   Range                                                        struct range a row + the values that rows point into
 *
 * Range is no Arrow type: PromQL's range vectors, each row a window of one column of values, travel as Dictionary(Int64, T) whose keys hold
 * offset and length (promql-nodes.md 7.2) and are no indexes. Only slice, take and concatenation of columns, and prom_* functions, know it.
 */
#ifndef ARROW_TYPE_H
#define ARROW_TYPE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum type_id {
    TYPE_NULL, TYPE_BOOL,
    TYPE_INT8, TYPE_INT16, TYPE_INT32, TYPE_INT64, TYPE_UINT8, TYPE_UINT16, TYPE_UINT32, TYPE_UINT64,
    TYPE_FLOAT16, TYPE_FLOAT32, TYPE_FLOAT64,
    TYPE_UTF8, TYPE_LARGE_UTF8, TYPE_UTF8_VIEW, TYPE_BINARY, TYPE_LARGE_BINARY, TYPE_BINARY_VIEW, TYPE_FIXED_BINARY,
    TYPE_DATE32, TYPE_DATE64, TYPE_TIMESTAMP, TYPE_TIME32, TYPE_TIME64, TYPE_DURATION,
    TYPE_INTERVAL_YEAR_MONTH, TYPE_INTERVAL_DAY_TIME, TYPE_INTERVAL_MONTH_DAY_NANO,
    TYPE_DECIMAL128, TYPE_DECIMAL256,
    TYPE_LIST, TYPE_LARGE_LIST, TYPE_FIXED_LIST, TYPE_STRUCT, TYPE_MAP, TYPE_DICTIONARY, TYPE_RANGE,
    TYPE_COUNT
};

enum time_unit { UNIT_SECOND, UNIT_MILLI, UNIT_MICRO, UNIT_NANO };
extern const char *const time_unit_names[4]; /* "Second" and so on, as Arrow and GreptimeDB write them */

static inline int64_t units_per_second(uint8_t unit)
{
    static const int64_t per[] = {1, 1000, 1000000, 1000000000};
    return per[unit];
}

struct field;

struct dtype {
    _Atomic int refs;        /* 0 = immortal */
    uint8_t id;              /* enum type_id */
    uint8_t unit;            /* enum time_unit: timestamp, time, duration */
    uint8_t precision;       /* decimal */
    int8_t scale;            /* decimal */
    uint8_t key;             /* dictionary: enum type_id of the keys as declared; range: INT64 */
    int32_t width;           /* fixed binary: bytes; fixed list: items */
    char *timezone;          /* timestamp: owned, NULL = without zone */
    uint32_t n_children;
    struct field **children; /* list: 1 item; map: 1 struct `entries`; struct: members; dictionary, range: 1 field, the values */
};

/* A window of a range column: rows [offset, offset + length) of its values. In memory as on the wire, the offset in the low half of an int64. */
struct range {
    uint32_t offset, length;
};

struct kv {
    char *key, *value;
};

/* Lists of n malloc'ed pairs; an empty copy is NULL. */
int kv_list_copy(const struct kv *list, uint32_t n, struct kv **ret_copy, struct error *err);
void kv_list_free(struct kv *list, uint32_t n); /* NULL is allowed */
const char *kv_list_get(const struct kv *list, uint32_t n, const char *key); /* NULL when absent */

struct field {
    _Atomic int refs;
    char *name;
    struct dtype *type;
    bool nullable;
    uint32_t n_meta;
    struct kv *meta;
};

struct schema {
    _Atomic int refs;
    uint32_t n_fields;
    struct field **fields;
    uint32_t n_meta;
    struct kv *meta;
};

/* The singleton of a type without parameters. TIMESTAMP, TIME*, DURATION give their seconds form: use type_temporal(). */
struct dtype *type_of(enum type_id id);
/* Immortal as well; `id` is TIMESTAMP (without zone), TIME32, TIME64 or DURATION. */
struct dtype *type_temporal(enum type_id id, enum time_unit unit);

/* The others return one reference, or NULL when memory is out. They take their own references to what they are given. */
struct dtype *type_timestamp_zoned(enum time_unit unit, const char *timezone);
struct dtype *type_decimal(enum type_id id, uint8_t precision, int8_t scale);
struct dtype *type_fixed_binary(int32_t width_bytes);
struct dtype *type_list(enum type_id id, struct field *item); /* LIST, LARGE_LIST; MAP with its entries struct */
struct dtype *type_fixed_list(struct field *item, int32_t items);
struct dtype *type_struct(struct field *const *members, uint32_t n);
struct dtype *type_dictionary(enum type_id key, struct dtype *values);
struct dtype *type_range(struct dtype *values);

struct dtype *type_ref(struct dtype *t);
void type_unref(struct dtype *t);

/* Arrow equality: nested names, nullability and metadata included when `strict`, else only the shape. */
bool type_equal(const struct dtype *a, const struct dtype *b, bool strict);

/* Bytes of one value of a fixed-width type in memory; 0 for NULL, BOOL and the variable-width and nested ones. Dictionary: 4. */
int32_t type_width(const struct dtype *t);
bool type_is_string(const struct dtype *t);   /* the three Utf8 kinds */
bool type_is_binary(const struct dtype *t);   /* the three Binary kinds */
bool type_is_varlen(const struct dtype *t);   /* either */
bool type_is_integer(const struct dtype *t);
bool type_is_signed(const struct dtype *t);
bool type_is_float(const struct dtype *t);
bool type_is_nested(const struct dtype *t);
const struct dtype *type_values(const struct dtype *t); /* a dictionary's value type, else t itself */

/* Arrow's way to print a type, e.g. "Timestamp(Millisecond, None)" (the spelling of arrow-rs); returns `out`. */
const char *type_print(const struct dtype *t, char *out, size_t room);

struct field *field_new(const char *name, struct dtype *type, bool nullable);         /* one reference; NULL = no memory */
struct field *field_with_meta(const struct field *f, const struct kv *meta, uint32_t n); /* a copy with that metadata */
struct field *field_renamed(const struct field *f, const char *name);
struct field *field_ref(struct field *f);
void field_unref(struct field *f);
const char *field_meta_get(const struct field *f, const char *key); /* NULL when absent */
bool field_equal(const struct field *a, const struct field *b, bool strict);

struct schema *schema_new(struct field *const *fields, uint32_t n); /* takes its own references */
/* The fields of s and one more behind them. */
struct schema *schema_with_field(const struct schema *s, const char *name, struct dtype *type, bool nullable);
struct schema *schema_with_meta(const struct schema *s, const struct kv *meta, uint32_t n);
struct schema *schema_ref(struct schema *s);
void schema_unref(struct schema *s);
int schema_find(const struct schema *s, const char *name); /* index of the first field of that name, or -1 */

#endif
