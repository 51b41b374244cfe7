/* An Arrow schema as Parquet schema elements, annotated with both the old converted types and the logical ones (mito-on-disk.md 3.5 and 3.6). */
#include "format/parquet/writer.h"

uint32_t pqw_count_leaves(const struct dtype *type)
{
    uint32_t n = 0;
    if (type->id == TYPE_DICTIONARY || !type_is_nested(type))
        return 1;
    for (uint32_t i = 0; i < type->n_children; i++)
        n += pqw_count_leaves(type->children[i]->type);
    return n;
}

static void put_converted(struct thrift_writer *w, int converted)
{
    thrift_put_i32(w, 6, converted);
}

/* A LogicalType that has no parameters. */
static void put_logical(struct thrift_writer *w, int logical)
{
    thrift_begin(w, 10);
    thrift_put_empty(w, logical);
    thrift_end(w);
}

static void put_integer(struct thrift_writer *w, int bits, bool is_signed)
{
    int order = bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3;
    put_converted(w, (is_signed ? PQ_INT_8 : PQ_UINT_8) + order);
    thrift_begin(w, 10);
    thrift_begin(w, PQ_LOGICAL_INTEGER);
    thrift_put_i8(w, 1, (int8_t)bits);
    thrift_put_bool(w, 2, is_signed);
    thrift_end(w);
    thrift_end(w);
}

static void put_temporal(struct thrift_writer *w, int logical, uint8_t unit, bool utc)
{
    bool time = logical == PQ_LOGICAL_TIME;
    /* The converted types mean UTC; nanoseconds have none. */
    if (unit != UNIT_NANO && utc)
        put_converted(w, (time ? PQ_TIME_MILLIS : PQ_TIMESTAMP_MILLIS) + (unit == UNIT_MICRO));
    thrift_begin(w, 10);
    thrift_begin(w, logical);
    thrift_put_bool(w, 1, utc);
    thrift_begin(w, 2);
    thrift_put_empty(w, unit);
    thrift_end(w);
    thrift_end(w);
    thrift_end(w);
}

static void put_decimal(struct thrift_writer *w, const struct dtype *t)
{
    put_converted(w, PQ_DECIMAL);
    thrift_put_i32(w, 7, t->scale);
    thrift_put_i32(w, 8, t->precision);
    thrift_begin(w, 10);
    thrift_begin(w, PQ_LOGICAL_DECIMAL);
    thrift_put_i32(w, 1, t->scale);
    thrift_put_i32(w, 2, t->precision);
    thrift_end(w);
    thrift_end(w);
}

static void put_annotation(struct thrift_writer *w, const struct dtype *t)
{
    switch ((enum type_id)t->id) {
    case TYPE_NULL: put_logical(w, PQ_LOGICAL_UNKNOWN); break;
    case TYPE_INT8: put_integer(w, 8, true); break;
    case TYPE_INT16: put_integer(w, 16, true); break;
    case TYPE_UINT8: put_integer(w, 8, false); break;
    case TYPE_UINT16: put_integer(w, 16, false); break;
    case TYPE_UINT32: put_integer(w, 32, false); break;
    case TYPE_UINT64: put_integer(w, 64, false); break;
    case TYPE_FLOAT16: put_logical(w, PQ_LOGICAL_FLOAT16); break;
    case TYPE_UTF8: case TYPE_LARGE_UTF8: case TYPE_UTF8_VIEW:
        put_converted(w, PQ_UTF8);
        put_logical(w, PQ_LOGICAL_STRING);
        break;
    case TYPE_DATE32:
        put_converted(w, PQ_DATE);
        put_logical(w, PQ_LOGICAL_DATE);
        break;
    case TYPE_TIMESTAMP:
        if (t->unit != UNIT_SECOND)
            put_temporal(w, PQ_LOGICAL_TIMESTAMP, t->unit, t->timezone != NULL);
        break;
    case TYPE_TIME32: case TYPE_TIME64:
        if (t->unit != UNIT_SECOND)
            put_temporal(w, PQ_LOGICAL_TIME, t->unit, false);
        break;
    case TYPE_INTERVAL_YEAR_MONTH: case TYPE_INTERVAL_DAY_TIME: put_converted(w, PQ_INTERVAL); break;
    case TYPE_DECIMAL128: case TYPE_DECIMAL256: put_decimal(w, t); break;
    default: break;
    }
}

static void put_group(struct thrift_writer *w, const char *name, int repetition, uint32_t n_children, int converted, int logical)
{
    thrift_begin(w, 0);
    if (repetition >= 0)
        thrift_put_i32(w, 3, repetition);
    thrift_put_string(w, 4, name);
    thrift_put_i32(w, 5, (int32_t)n_children);
    if (converted >= 0)
        put_converted(w, converted);
    if (logical)
        put_logical(w, logical);
    thrift_end(w);
}

static void put_field(struct thrift_writer *w, const char *name, const struct field *f, bool nullable)
{
    const struct dtype *t = type_values(f->type);
    int repetition = nullable ? PQ_OPTIONAL : PQ_REQUIRED;
    if (t->id == TYPE_STRUCT) {
        put_group(w, name, repetition, t->n_children, -1, 0);
        for (uint32_t i = 0; i < t->n_children; i++)
            put_field(w, t->children[i]->name, t->children[i], t->children[i]->nullable);
    } else if (t->id == TYPE_MAP) {
        const struct dtype *entries = t->children[0]->type;
        put_group(w, name, repetition, 1, PQ_CONVERTED_MAP, PQ_LOGICAL_MAP);
        put_group(w, "key_value", PQ_REPEATED, entries->n_children, -1, 0);
        for (uint32_t i = 0; i < entries->n_children; i++)
            put_field(w, i ? "value" : "key", entries->children[i], entries->children[i]->nullable);
    } else if (t->id == TYPE_LIST || t->id == TYPE_LARGE_LIST) {
        put_group(w, name, repetition, 1, PQ_CONVERTED_LIST, PQ_LOGICAL_LIST);
        put_group(w, "list", PQ_REPEATED, 1, -1, 0);
        put_field(w, t->children[0]->name, t->children[0], t->children[0]->nullable);
    } else {
        struct pqw_leaf leaf = {0};
        if (w->status == ST_OK)
            w->status = pqw_physical_of(t, &leaf, w->err);
        thrift_begin(w, 0);
        thrift_put_i32(w, 1, (int32_t)leaf.physical);
        if (leaf.physical == PQ_FIXED)
            thrift_put_i32(w, 2, (int32_t)leaf.width);
        thrift_put_i32(w, 3, repetition);
        thrift_put_string(w, 4, name);
        put_annotation(w, t);
        thrift_end(w);
    }
}

static uint32_t count_elements(const struct dtype *type)
{
    const struct dtype *t = type_values(type);
    uint32_t n = 1;
    if (!type_is_nested(t))
        return 1;
    /* A list has its repeated group besides; a map's is its entries struct. */
    n += t->id == TYPE_LIST || t->id == TYPE_LARGE_LIST;
    for (uint32_t i = 0; i < t->n_children; i++)
        n += count_elements(t->children[i]->type);
    return n;
}

void pqw_put_schema(struct thrift_writer *w, const struct schema *schema)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < schema->n_fields; i++)
        n += count_elements(schema->fields[i]->type);
    thrift_put_list(w, 2, THRIFT_STRUCT, n);
    put_group(w, "arrow_schema", -1, schema->n_fields, -1, 0);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        put_field(w, schema->fields[i]->name, schema->fields[i], schema->fields[i]->nullable);
}
