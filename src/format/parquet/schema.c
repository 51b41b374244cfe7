/* The Parquet schema tree as Arrow fields, and the shapes by which nested columns are put together.
 *
 * Follows LogicalTypes.md with its backward-compatibility rules for lists (two-level lists, repeated fields without annotation) and maps, and
 * reports the types that pyarrow reports. Recursion is bounded: metadata.c refused trees deeper than PQ_DEPTH_MAX.
 */
#include "format/parquet/internal.h"

struct build {
    struct parquet_file *file;
    struct error *err;
};

/* What a node's levels are measured against. */
struct place { int16_t slot_definition, repetition; };

static struct pq_shape *element_shape(struct build *b, const struct pq_node *n, struct place at, bool nullable, struct dtype *hint);

static bool is_list(const struct pq_node *n)
{
    return n->physical < 0 && (n->logical == PQ_LOGICAL_LIST || (n->logical == PQ_LOGICAL_NONE && n->converted == PQ_CONVERTED_LIST));
}

static bool is_map(const struct pq_node *n)
{
    return n->physical < 0 && (n->logical == PQ_LOGICAL_MAP ||
                               (n->logical == PQ_LOGICAL_NONE && (n->converted == PQ_CONVERTED_MAP || n->converted == PQ_MAP_KEY_VALUE)));
}

static struct dtype *decimal_type(const struct pq_node *n)
{
    static const int widest[] = {0, 9, 18};
    bool good = n->precision >= 1 && n->precision <= 76 && n->scale >= 0 && n->scale <= n->precision;
    if ((n->physical == PQ_INT32 || n->physical == PQ_INT64) && n->precision > widest[n->physical])
        good = false;
    if (!good || (n->physical != PQ_INT32 && n->physical != PQ_INT64 && n->physical != PQ_BYTE_ARRAY && n->physical != PQ_FIXED))
        return NULL;
    return type_decimal(n->precision <= 38 ? TYPE_DECIMAL128 : TYPE_DECIMAL256, (uint8_t)n->precision, (int8_t)n->scale);
}

static struct dtype *timestamp_type(uint8_t unit, bool utc)
{
    return utc ? type_timestamp_zoned(unit, "UTC") : type_temporal(TYPE_TIMESTAMP, unit);
}

static struct dtype *integer_type(int bits, bool is_signed)
{
    switch (bits) {
    case 8: return type_of(is_signed ? TYPE_INT8 : TYPE_UINT8);
    case 16: return type_of(is_signed ? TYPE_INT16 : TYPE_UINT16);
    case 32: return type_of(is_signed ? TYPE_INT32 : TYPE_UINT32);
    case 64: return type_of(is_signed ? TYPE_INT64 : TYPE_UINT64);
    default: return NULL;
    }
}

static struct dtype *int_leaf_type(const struct pq_node *n)
{
    bool wide = n->physical == PQ_INT64;
    struct dtype *t = NULL;
    if (n->logical == PQ_LOGICAL_INTEGER)
        t = (n->bits == 64) == wide ? integer_type(n->bits, n->is_signed) : NULL;
    else if (n->logical == PQ_LOGICAL_DATE && !wide)
        t = type_of(TYPE_DATE32);
    else if (n->logical == PQ_LOGICAL_TIME && (n->unit != UNIT_MILLI) == wide)
        t = type_temporal(wide ? TYPE_TIME64 : TYPE_TIME32, n->unit);
    else if (n->logical == PQ_LOGICAL_TIMESTAMP && wide)
        t = timestamp_type(n->unit, n->utc);
    if (t || n->logical != PQ_LOGICAL_NONE)
        return t ? t : type_of(wide ? TYPE_INT64 : TYPE_INT32);
    switch (n->converted) {
    case PQ_DATE: return wide ? NULL : type_of(TYPE_DATE32);
    case PQ_TIME_MILLIS: return wide ? NULL : type_temporal(TYPE_TIME32, UNIT_MILLI);
    case PQ_TIME_MICROS: return wide ? type_temporal(TYPE_TIME64, UNIT_MICRO) : NULL;
    case PQ_TIMESTAMP_MILLIS: return wide ? timestamp_type(UNIT_MILLI, true) : NULL;
    case PQ_TIMESTAMP_MICROS: return wide ? timestamp_type(UNIT_MICRO, true) : NULL;
    case PQ_UINT_8: case PQ_UINT_16: case PQ_UINT_32: return wide ? NULL : integer_type(8 << (n->converted - PQ_UINT_8), false);
    case PQ_INT_8: case PQ_INT_16: case PQ_INT_32: return wide ? NULL : integer_type(8 << (n->converted - PQ_INT_8), true);
    case PQ_UINT_64: return wide ? type_of(TYPE_UINT64) : NULL;
    default: return type_of(wide ? TYPE_INT64 : TYPE_INT32);
    }
}

/* One reference; NULL when the annotation does not fit the physical type. */
static struct dtype *leaf_type(const struct pq_node *n)
{
    bool plain = n->logical == PQ_LOGICAL_NONE;
    if (n->logical == PQ_LOGICAL_DECIMAL || (plain && n->converted == PQ_DECIMAL))
        return decimal_type(n);
    if (n->logical == PQ_LOGICAL_UNKNOWN)
        return type_of(TYPE_NULL);
    switch ((enum pq_physical)n->physical) {
    case PQ_BOOLEAN: return type_of(TYPE_BOOL);
    case PQ_INT32: case PQ_INT64: return int_leaf_type(n);
    case PQ_INT96: return type_temporal(TYPE_TIMESTAMP, UNIT_NANO);
    case PQ_FLOAT: return type_of(TYPE_FLOAT32);
    case PQ_DOUBLE: return type_of(TYPE_FLOAT64);
    case PQ_BYTE_ARRAY:
        if (n->logical == PQ_LOGICAL_STRING || n->logical == PQ_LOGICAL_JSON || n->logical == PQ_LOGICAL_ENUM)
            return type_of(n->logical == PQ_LOGICAL_ENUM ? TYPE_BINARY : TYPE_UTF8);
        return type_of(plain && (n->converted == PQ_UTF8 || n->converted == PQ_JSON) ? TYPE_UTF8 : TYPE_BINARY);
    case PQ_FIXED:
        if (n->logical == PQ_LOGICAL_FLOAT16)
            return n->type_length == 2 ? type_of(TYPE_FLOAT16) : NULL;
        return type_fixed_binary(n->type_length);
    }
    return NULL;
}

static struct pq_shape *new_shape(struct build *b, enum pq_shape_kind kind, const struct pq_node *n, struct place at, uint32_t n_children)
{
    struct pq_shape *s = &b->file->shapes[b->file->n_shapes++];
    *s = (struct pq_shape){.kind = kind, .definition = n->definition, .slot_definition = at.slot_definition, .repetition = at.repetition,
                           .first_leaf = n->first_leaf, .n_leaves = n->n_leaves, .leaf = n->first_leaf, .n_children = n_children};
    s->children = ARENA_ARRAY(&b->file->arena, n_children, struct pq_shape *, b->err);
    return s->children ? s : NULL;
}

/* Takes the reference `type`. */
static struct pq_shape *finish(struct build *b, struct pq_shape *s, const char *name, struct dtype *type, bool nullable)
{
    s->nullable = nullable;
    s->field = type ? field_new(name, type, nullable) : NULL;
    type_unref(type);
    if (!s->field) {
        error_no_memory(b->err, sizeof(struct field));
        return NULL;
    }
    s->type = s->field->type;
    return s;
}

static struct pq_shape *leaf_shape(struct build *b, const struct pq_node *n, struct place at, bool nullable, struct dtype *hint)
{
    struct dtype *type = leaf_type(n);
    if (!type) {
        error_set(b->err, ST_CORRUPT, "parquet: column %s has an annotation that does not fit its type", n->name);
        return NULL;
    }
    if (hint) {
        struct dtype *hinted = pq_hinted_type(n, type, hint);
        if (hinted) {
            type_ref(hinted);
            type_unref(type);
            type = hinted;
        }
    }
    struct pq_shape *s = new_shape(b, PQ_SHAPE_LEAF, n, at, 0);
    if (!s) {
        type_unref(type);
        return NULL;
    }
    return finish(b, s, n->name, type, nullable);
}

/* A field as it stands in a group: repeated ones are lists of themselves. */
static struct pq_shape *member_shape(struct build *b, const struct pq_node *n, struct place at, struct dtype *hint);

static struct pq_shape *struct_shape(struct build *b, const struct pq_node *n, struct place at, bool nullable, struct dtype *hint)
{
    if (hint && (hint->id != TYPE_STRUCT || hint->n_children != n->n_children))
        hint = NULL;
    struct pq_shape *s = new_shape(b, PQ_SHAPE_STRUCT, n, at, n->n_children);
    struct field **fields = s ? ARENA_ARRAY(&b->file->arena, n->n_children, struct field *, b->err) : NULL;
    if (!fields)
        return NULL;
    const struct pq_node *child = n + 1;
    for (uint32_t i = 0; i < n->n_children; i++, child = &b->file->nodes[child->end]) {
        s->children[i] = member_shape(b, child, at, hint ? hint->children[i]->type : NULL);
        if (!s->children[i])
            return NULL;
        fields[i] = s->children[i]->field;
    }
    return finish(b, s, n->name, type_struct(fields, n->n_children), nullable);
}

/* A list whose repeated node is `repeated` and whose items are `element` (which may be the repeated node itself). */
static struct pq_shape *list_of(struct build *b, const struct pq_node *list, const struct pq_node *repeated, const struct pq_node *element,
                                struct place at, bool nullable, struct dtype *hint)
{
    bool hinted = hint && (hint->id == TYPE_LIST || hint->id == TYPE_LARGE_LIST || hint->id == TYPE_FIXED_LIST);
    struct dtype *inner = hinted ? hint->children[0]->type : NULL;
    struct pq_shape *s = new_shape(b, PQ_SHAPE_LIST, list, at, 1);
    if (!s)
        return NULL;
    if (list == repeated)
        s->definition = (int16_t)(repeated->definition - 1);
    struct place inside = {repeated->definition, repeated->repetition_level};
    s->children[0] = element == repeated ? element_shape(b, element, inside, false, inner) : member_shape(b, element, inside, inner);
    if (!s->children[0])
        return NULL;
    return finish(b, s, list->name, type_list(hinted && hint->id == TYPE_LARGE_LIST ? TYPE_LARGE_LIST : TYPE_LIST, s->children[0]->field), nullable);
}

static struct pq_shape *member_shape(struct build *b, const struct pq_node *n, struct place at, struct dtype *hint)
{
    if (n->repetition == PQ_REPEATED)
        return list_of(b, n, n, n, at, false, hint);
    return element_shape(b, n, at, n->repetition == PQ_OPTIONAL, hint);
}

/* Groups with these names, or with more than one field, are the element of an old two-level list. */
static bool is_two_level(const struct pq_node *repeated)
{
    size_t n = strlen(repeated->name);
    bool named = strcmp(repeated->name, "array") == 0 || (n >= 6 && strcmp(repeated->name + n - 6, "_tuple") == 0);
    return repeated->physical >= 0 || repeated->n_children != 1 || named || is_list(repeated) || is_map(repeated);
}

static struct pq_shape *list_shape(struct build *b, const struct pq_node *n, struct place at, bool nullable, struct dtype *hint)
{
    const struct pq_node *repeated = n + 1;
    if (n->n_children != 1 || repeated->repetition != PQ_REPEATED) {
        error_set(b->err, ST_CORRUPT, "parquet: list %s has no repeated field", n->name);
        return NULL;
    }
    return list_of(b, n, repeated, is_two_level(repeated) ? repeated : repeated + 1, at, nullable, hint);
}

static struct pq_shape *map_shape(struct build *b, const struct pq_node *n, struct place at, bool nullable, struct dtype *hint)
{
    const struct pq_node *entries = n + 1;
    if (n->n_children != 1 || entries->repetition != PQ_REPEATED || entries->physical >= 0 || entries->n_children < 1 || entries->n_children > 2) {
        error_set(b->err, ST_CORRUPT, "parquet: map %s has no repeated key and value", n->name);
        return NULL;
    }
    if (entries->n_children == 1)
        return list_of(b, n, entries, entries + 1, at, nullable, hint);
    struct pq_shape *s = new_shape(b, PQ_SHAPE_LIST, n, at, 1);
    if (!s)
        return NULL;
    struct dtype *inner = hint && hint->id == TYPE_MAP ? hint->children[0]->type : NULL;
    struct place inside = {entries->definition, entries->repetition_level};
    if (!(s->children[0] = struct_shape(b, entries, inside, false, inner)))
        return NULL;
    return finish(b, s, n->name, type_list(TYPE_MAP, s->children[0]->field), nullable);
}

static struct pq_shape *element_shape(struct build *b, const struct pq_node *n, struct place at, bool nullable, struct dtype *hint)
{
    if (n->physical >= 0)
        return leaf_shape(b, n, at, nullable, hint);
    if (n->n_children == 0) {
        error_set(b->err, ST_UNSUPPORTED, "parquet: group %s has no columns", n->name);
        return NULL;
    }
    if (is_list(n))
        return list_shape(b, n, at, nullable, hint);
    if (is_map(n))
        return map_shape(b, n, at, nullable, hint);
    return struct_shape(b, n, at, nullable, hint);
}

int pq_build_schema(struct parquet_file *f, struct error *err)
{
    struct error local = {0};
    struct build b = {f, err ? err : &local};
    uint32_t n = f->nodes[0].n_children;
    /* A node gives at most two shapes: a repeated group is a list and its struct. */
    f->shapes = ARENA_ARRAY(&f->arena, (size_t)f->n_nodes * 2, struct pq_shape, b.err);
    f->columns = ARENA_ARRAY(&f->arena, n, struct pq_shape *, b.err);
    struct field **fields = ARENA_ARRAY(&f->arena, n, struct field *, b.err);
    if (!f->shapes || !f->columns || !fields)
        return b.err->status;
    struct schema *hint = pq_arrow_schema_hint(f);
    const struct pq_node *node = &f->nodes[1];
    bool good = true;
    for (uint32_t i = 0; i < n && good; i++, node = &f->nodes[node->end]) {
        bool same = hint && hint->n_fields == n && strcmp(hint->fields[i]->name, node->name) == 0;
        f->columns[i] = member_shape(&b, node, (struct place){0, 0}, same ? hint->fields[i]->type : NULL);
        good = f->columns[i] != NULL;
        fields[i] = good ? f->columns[i]->field : NULL;
    }
    schema_unref(hint);
    if (!good)
        return b.err->status;
    f->n_columns = n;
    f->schema = schema_new(fields, n);
    return f->schema ? ST_OK : error_no_memory(err, n * sizeof *fields);
}
