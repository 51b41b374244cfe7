/* Schemas as Arrow IPC messages, both ways. The union numbers and field slots are those of Arrow's Schema.fbs.
 *
 * Invariant of the decoder: whatever it accepts can be built as a `struct schema`; union, run-end and list-view types and 32/64-bit decimals
 * are ST_UNSUPPORTED, everything else malformed is ST_CORRUPT.
 */
#include <stdlib.h>
#include <string.h>

#include "arrow/ipc_internal.h"
#include "base/bits.h"

enum { FIELD_NAME, FIELD_NULLABLE, FIELD_TYPE_ID, FIELD_TYPE, FIELD_DICTIONARY, FIELD_CHILDREN, FIELD_META };
enum { SCHEMA_ENDIAN, SCHEMA_FIELDS, SCHEMA_META };
enum fb_type {
    FB_NULL = 1, FB_INT, FB_FLOAT, FB_BINARY, FB_UTF8, FB_BOOL, FB_DECIMAL, FB_DATE, FB_TIME, FB_TIMESTAMP, FB_INTERVAL, FB_LIST, FB_STRUCT, FB_UNION,
    FB_FIXED_BINARY, FB_FIXED_LIST, FB_MAP, FB_DURATION, FB_LARGE_BINARY, FB_LARGE_UTF8, FB_LARGE_LIST, FB_RUN_END, FB_BINARY_VIEW, FB_UTF8_VIEW
};

const uint8_t ipc_none_header[IPC_NONE_HEADER_SIZE] = {0x0C, 0, 0, 0, 0, 0, 6, 0, 8, 0, 6, 0, 6, 0, 0, 0, 0, 0, 4, 0};

int ipc_bad_message(struct error *err)
{
    return error_set(err, ST_CORRUPT, "malformed Arrow IPC message");
}

/* ---- encoding ---- */

static uint32_t build_meta(struct fb_builder *b, const struct kv *meta, uint32_t n)
{
    uint32_t *refs = n ? malloc(n * sizeof *refs) : NULL;
    if (!refs) {
        b->failed |= n != 0;
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t key = fb_build_string(b, meta[i].key), value = fb_build_string(b, meta[i].value);
        fb_table_start(b);
        fb_put_ref(b, 0, key);
        fb_put_ref(b, 1, value);
        refs[i] = fb_table_end(b);
    }
    uint32_t v = fb_build_refs(b, refs, n);
    free(refs);
    return v;
}

static uint32_t build_int(struct fb_builder *b, enum type_id id)
{
    bool is_signed = id <= TYPE_INT64;
    int32_t bits = 8 << (id - (is_signed ? TYPE_INT8 : TYPE_UINT8));
    fb_table_start(b);
    fb_put_i32(b, 0, bits);
    fb_put_u8(b, 1, is_signed);
    return fb_table_end(b);
}

static uint32_t build_unit(struct fb_builder *b, int16_t unit, const char *zone, int32_t bits)
{
    uint32_t z = zone ? fb_build_string(b, zone) : 0;
    fb_table_start(b);
    fb_put_i16(b, 0, unit);
    fb_put_ref(b, 1, z);
    if (bits)
        fb_put_i32(b, 1, bits);
    return fb_table_end(b);
}

static uint32_t build_i32(struct fb_builder *b, int32_t v)
{
    fb_table_start(b);
    fb_put_i32(b, 0, v);
    return fb_table_end(b);
}

static uint32_t build_decimal(struct fb_builder *b, const struct dtype *t)
{
    fb_table_start(b);
    fb_put_i32(b, 0, t->precision);
    fb_put_i32(b, 1, t->scale);
    fb_put_i32(b, 2, t->id == TYPE_DECIMAL128 ? 128 : 256);
    return fb_table_end(b);
}

static uint32_t build_plain(struct fb_builder *b)
{
    fb_table_start(b);
    return fb_table_end(b);
}

/* The type table; its union number goes to *ret_kind. */
static uint32_t build_type(struct fb_builder *b, const struct dtype *t, uint8_t *ret_kind)
{
    enum type_id id = t->id;
#define KIND(k, built) (*ret_kind = (k), (built))
    switch (id) {
    case TYPE_BOOL: return KIND(FB_BOOL, build_plain(b));
    case TYPE_INT8: case TYPE_INT16: case TYPE_INT32: case TYPE_INT64: case TYPE_UINT8: case TYPE_UINT16: case TYPE_UINT32: case TYPE_UINT64:
        return KIND(FB_INT, build_int(b, id));
    case TYPE_FLOAT16: case TYPE_FLOAT32: case TYPE_FLOAT64: return KIND(FB_FLOAT, build_unit(b, (int16_t)(id - TYPE_FLOAT16), NULL, 0));
    case TYPE_UTF8: return KIND(FB_UTF8, build_plain(b));
    case TYPE_LARGE_UTF8: return KIND(FB_LARGE_UTF8, build_plain(b));
    case TYPE_UTF8_VIEW: return KIND(FB_UTF8_VIEW, build_plain(b));
    case TYPE_BINARY: return KIND(FB_BINARY, build_plain(b));
    case TYPE_LARGE_BINARY: return KIND(FB_LARGE_BINARY, build_plain(b));
    case TYPE_BINARY_VIEW: return KIND(FB_BINARY_VIEW, build_plain(b));
    case TYPE_FIXED_BINARY: return KIND(FB_FIXED_BINARY, build_i32(b, t->width));
    case TYPE_DATE32: case TYPE_DATE64: return KIND(FB_DATE, build_unit(b, id == TYPE_DATE64, NULL, 0));
    case TYPE_TIMESTAMP: return KIND(FB_TIMESTAMP, build_unit(b, t->unit, t->timezone, 0));
    case TYPE_TIME32: return KIND(FB_TIME, build_unit(b, t->unit, NULL, 32));
    case TYPE_TIME64: return KIND(FB_TIME, build_unit(b, t->unit, NULL, 64));
    case TYPE_DURATION: return KIND(FB_DURATION, build_unit(b, t->unit, NULL, 0));
    case TYPE_INTERVAL_YEAR_MONTH: case TYPE_INTERVAL_DAY_TIME: case TYPE_INTERVAL_MONTH_DAY_NANO:
        return KIND(FB_INTERVAL, build_unit(b, (int16_t)(id - TYPE_INTERVAL_YEAR_MONTH), NULL, 0));
    case TYPE_DECIMAL128: case TYPE_DECIMAL256: return KIND(FB_DECIMAL, build_decimal(b, t));
    case TYPE_LIST: return KIND(FB_LIST, build_plain(b));
    case TYPE_LARGE_LIST: return KIND(FB_LARGE_LIST, build_plain(b));
    case TYPE_FIXED_LIST: return KIND(FB_FIXED_LIST, build_i32(b, t->width));
    case TYPE_STRUCT: return KIND(FB_STRUCT, build_plain(b));
    case TYPE_MAP: return KIND(FB_MAP, build_plain(b));
    default: return KIND(FB_NULL, build_plain(b));
    }
#undef KIND
}

static uint32_t build_fields(struct fb_builder *b, struct field *const *fields, uint32_t n, int64_t *id);

static uint32_t build_field(struct fb_builder *b, const struct field *f, int64_t *id)
{
    const struct dtype *t = f->type;
    uint32_t dictionary = 0;
    if (t->id == TYPE_DICTIONARY || t->id == TYPE_RANGE) {
        uint32_t key = build_int(b, t->key);
        fb_table_start(b);
        fb_put_i64(b, 0, (*id)++);
        fb_put_ref(b, 1, key);
        dictionary = fb_table_end(b);
        t = t->children[0]->type;
    }
    uint8_t kind;
    uint32_t name = fb_build_string(b, f->name), meta = build_meta(b, f->meta, f->n_meta), type = build_type(b, t, &kind);
    uint32_t children = build_fields(b, t->children, t->n_children, id);
    fb_table_start(b);
    fb_put_ref(b, FIELD_NAME, name);
    fb_put_ref(b, FIELD_TYPE, type);
    fb_put_ref(b, FIELD_DICTIONARY, dictionary);
    fb_put_ref(b, FIELD_CHILDREN, children);
    fb_put_ref(b, FIELD_META, meta);
    fb_put_u8(b, FIELD_NULLABLE, f->nullable);
    fb_put_u8(b, FIELD_TYPE_ID, kind);
    return fb_table_end(b);
}

static uint32_t build_fields(struct fb_builder *b, struct field *const *fields, uint32_t n, int64_t *id)
{
    uint32_t *refs = malloc((n ? n : 1) * sizeof *refs);
    if (!refs) {
        b->failed = true;
        return 0;
    }
    for (uint32_t i = 0; i < n; i++)
        refs[i] = build_field(b, fields[i], id);
    uint32_t v = fb_build_refs(b, refs, n);
    free(refs);
    return v;
}

uint32_t ipc_build_schema(struct fb_builder *b, const struct schema *schema)
{
    int64_t id = 0;
    uint32_t fields = build_fields(b, schema->fields, schema->n_fields, &id), meta = build_meta(b, schema->meta, schema->n_meta);
    fb_table_start(b);
    fb_put_ref(b, SCHEMA_FIELDS, fields);
    fb_put_ref(b, SCHEMA_META, meta);
    return fb_table_end(b);
}

int ipc_encode_schema(const struct schema *schema, struct dynbuf *out, struct error *err)
{
    struct fb_builder b;
    fb_builder_init(&b);
    uint32_t root = ipc_build_schema(&b, schema);
    fb_table_start(&b);
    fb_put_ref(&b, MSG_HEADER, root);
    fb_put_i16(&b, MSG_VERSION, METADATA_V5);
    fb_put_u8(&b, MSG_TYPE, HEADER_SCHEMA);
    int st = fb_finish(&b, fb_table_end(&b), out, err);
    fb_builder_release(&b);
    return st;
}

static struct dtype *plain_type(struct dtype *t);

static struct field *plain_field(const struct field *f)
{
    struct dtype *t = plain_type(f->type);
    struct field *plain = t ? field_new(f->name, t, f->nullable) : NULL;
    struct field *with = plain ? field_with_meta(plain, f->meta, f->n_meta) : NULL;
    field_unref(plain);
    type_unref(t);
    return with;
}

static struct dtype *plain_type(struct dtype *t)
{
    if (t->id == TYPE_DICTIONARY)
        return plain_type(t->children[0]->type);
    if (t->n_children == 0 || t->id == TYPE_RANGE)
        return type_ref(t);
    struct field **children = calloc(t->n_children, sizeof *children);
    struct dtype *made = NULL;
    bool good = children != NULL;
    for (uint32_t i = 0; good && i < t->n_children; i++)
        good = (children[i] = plain_field(t->children[i])) != NULL;
    if (good)
        made = t->id == TYPE_STRUCT ? type_struct(children, t->n_children) : t->id == TYPE_FIXED_LIST ? type_fixed_list(children[0], t->width)
                                                                                                     : type_list(t->id, children[0]);
    for (uint32_t i = 0; children && i < t->n_children; i++)
        field_unref(children[i]);
    free(children);
    return made;
}

int ipc_plain_schema(struct schema *schema, struct schema **ret_schema, struct error *err)
{
    struct field **fields = calloc(schema->n_fields ? schema->n_fields : 1, sizeof *fields);
    struct schema *bare = NULL, *plain = NULL;
    bool good = fields != NULL;
    for (uint32_t i = 0; good && i < schema->n_fields; i++)
        good = (fields[i] = plain_field(schema->fields[i])) != NULL;
    if (good && (bare = schema_new(fields, schema->n_fields)))
        plain = schema_with_meta(bare, schema->meta, schema->n_meta);
    schema_unref(bare);
    for (uint32_t i = 0; fields && i < schema->n_fields; i++)
        field_unref(fields[i]);
    free(fields);
    if (!plain)
        return error_no_memory(err, sizeof *plain);
    *ret_schema = plain;
    return ST_OK;
}

/* ---- decoding ---- */

/* A C string of a FlatBuffers one; absent reads as "". NULL = no memory, or a NUL inside (the reader is marked bad then). */
static char *read_string(const struct fb_table *t, unsigned slot)
{
    uint32_t n = 0;
    const char *s = fb_string(t, slot, &n);
    if (t->reader->bad)
        return NULL;
    if (s && memchr(s, 0, n)) {
        t->reader->bad = true;
        return NULL;
    }
    return strndup(s ? s : "", n);
}

/* Values with NUL bytes (binary extension metadata) cannot be held by a kv and are left out. */
static int read_meta(const struct fb_table *t, unsigned slot, struct kv **ret_meta, uint32_t *ret_n, struct error *err)
{
    struct fb_vector v = fb_vector_at(t, slot, 4);
    *ret_meta = v.count ? calloc(v.count, sizeof(struct kv)) : NULL;
    *ret_n = 0;
    if (v.count && !*ret_meta)
        return error_no_memory(err, v.count * sizeof(struct kv));
    for (uint32_t i = 0; i < v.count && !t->reader->bad; i++) {
        struct fb_table pair = fb_vector_table(&v, i);
        uint32_t n = 0;
        const char *value = fb_string(&pair, 1, &n);
        if (t->reader->bad)
            break;
        if (value && memchr(value, 0, n))
            continue;
        struct kv *kv = &(*ret_meta)[*ret_n];
        kv->key = read_string(&pair, 0);
        kv->value = kv->key ? strndup(value ? value : "", n) : NULL;
        if (!kv->value) {
            free(kv->key);
            return t->reader->bad ? ipc_bad_message(err) : error_no_memory(err, n);
        }
        ++*ret_n;
    }
    return t->reader->bad ? ipc_bad_message(err) : ST_OK;
}

static void free_meta(struct kv *meta, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        free(meta[i].key);
        free(meta[i].value);
    }
    free(meta);
}

static int int_type(const struct fb_table *t, enum type_id *ret_id, struct error *err)
{
    int32_t bits = fb_i32(t, 0, 0);
    int shift = bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : bits == 64 ? 3 : -1;
    if (shift < 0)
        return error_set(err, ST_CORRUPT, "Arrow integer of %d bits", bits);
    *ret_id = (enum type_id)((fb_u8(t, 1, 0) ? TYPE_INT8 : TYPE_UINT8) + shift);
    return ST_OK;
}

static int decimal_type(const struct fb_table *t, struct dtype **ret, struct error *err)
{
    int32_t precision = fb_i32(t, 0, 0), scale = fb_i32(t, 1, 0), bits = fb_i32(t, 2, 128);
    if (bits != 128 && bits != 256)
        return error_set(err, ST_UNSUPPORTED, "decimals of %d bits", bits);
    if (precision < 1 || precision > (bits == 128 ? 38 : 76) || scale < -128 || scale > 127)
        return error_set(err, ST_CORRUPT, "decimal of precision %d and scale %d", precision, scale);
    *ret = type_decimal(bits == 128 ? TYPE_DECIMAL128 : TYPE_DECIMAL256, (uint8_t)precision, (int8_t)scale);
    return ST_OK;
}

static int temporal_type(uint8_t kind, const struct fb_table *t, struct dtype **ret, struct error *err)
{
    int16_t unit = fb_i16(t, 0, kind == FB_TIMESTAMP || kind == FB_INTERVAL ? 0 : 1);
    int16_t top = kind == FB_DATE ? 1 : kind == FB_INTERVAL ? 2 : 3;
    if (unit < 0 || unit > top)
        return error_set(err, ST_CORRUPT, "unit %d of an Arrow time type", unit);
    if (kind == FB_DATE) {
        *ret = type_of(unit ? TYPE_DATE64 : TYPE_DATE32);
    } else if (kind == FB_INTERVAL) {
        *ret = type_of((enum type_id)(TYPE_INTERVAL_YEAR_MONTH + unit));
    } else if (kind == FB_DURATION) {
        *ret = type_temporal(TYPE_DURATION, (enum time_unit)unit);
    } else if (kind == FB_TIME) {
        int32_t bits = fb_i32(t, 1, 32);
        if (bits != (unit <= UNIT_MILLI ? 32 : 64))
            return error_set(err, ST_CORRUPT, "Arrow time of unit %d in %d bits", unit, bits);
        *ret = type_temporal(bits == 32 ? TYPE_TIME32 : TYPE_TIME64, (enum time_unit)unit);
    } else {
        char *zone = read_string(t, 1);
        if (!zone)
            return t->reader->bad ? ipc_bad_message(err) : error_no_memory(err, 1);
        *ret = *zone ? type_timestamp_zoned((enum time_unit)unit, zone) : type_temporal(TYPE_TIMESTAMP, (enum time_unit)unit);
        free(zone);
    }
    return ST_OK;
}

static int nested_type(uint8_t kind, const struct fb_table *t, struct field *const *children, uint32_t n, struct dtype **ret, struct error *err)
{
    if (kind == FB_STRUCT) {
        *ret = type_struct(children, n);
        return ST_OK;
    }
    if (n != 1)
        return error_set(err, ST_CORRUPT, "Arrow list with %u children", n);
    if (kind == FB_FIXED_LIST) {
        int32_t width = fb_i32(t, 0, 0);
        if (width < 0)
            return error_set(err, ST_CORRUPT, "fixed-size list of %d items", width);
        *ret = type_fixed_list(children[0], width);
        return ST_OK;
    }
    if (kind == FB_MAP && (children[0]->type->id != TYPE_STRUCT || children[0]->type->n_children != 2))
        return error_set(err, ST_CORRUPT, "Arrow map whose entries are not pairs");
    *ret = type_list(kind == FB_MAP ? TYPE_MAP : kind == FB_LARGE_LIST ? TYPE_LARGE_LIST : TYPE_LIST, children[0]);
    return ST_OK;
}

static int read_type(uint8_t kind, const struct fb_table *t, struct field *const *children, uint32_t n, struct dtype **ret, struct error *err)
{
    static const uint8_t simple[FB_UTF8_VIEW + 1] = {
        [FB_NULL] = TYPE_NULL + 1, [FB_BOOL] = TYPE_BOOL + 1, [FB_BINARY] = TYPE_BINARY + 1, [FB_UTF8] = TYPE_UTF8 + 1,
        [FB_LARGE_BINARY] = TYPE_LARGE_BINARY + 1, [FB_LARGE_UTF8] = TYPE_LARGE_UTF8 + 1, [FB_BINARY_VIEW] = TYPE_BINARY_VIEW + 1,
        [FB_UTF8_VIEW] = TYPE_UTF8_VIEW + 1};
    enum type_id id;
    int32_t width;
    *ret = NULL;
    bool nested = kind == FB_LIST || kind == FB_LARGE_LIST || kind == FB_FIXED_LIST || kind == FB_MAP || kind == FB_STRUCT;
    if (n && !nested && kind && kind <= FB_UTF8_VIEW && kind != FB_UNION && kind != FB_RUN_END)
        return error_set(err, ST_CORRUPT, "Arrow type number %u with children", kind);
    if (kind <= FB_UTF8_VIEW && simple[kind]) {
        *ret = type_of((enum type_id)(simple[kind] - 1));
        return ST_OK;
    }
    switch (kind) {
    case FB_INT:
        TRY(int_type(t, &id, err));
        *ret = type_of(id);
        return ST_OK;
    case FB_FLOAT:
        width = fb_i16(t, 0, 0);
        if (width < 0 || width > 2)
            return error_set(err, ST_CORRUPT, "Arrow float of precision %d", width);
        *ret = type_of((enum type_id)(TYPE_FLOAT16 + width));
        return ST_OK;
    case FB_DECIMAL:
        return decimal_type(t, ret, err);
    case FB_DATE: case FB_TIME: case FB_TIMESTAMP: case FB_INTERVAL: case FB_DURATION:
        return temporal_type(kind, t, ret, err);
    case FB_FIXED_BINARY:
        width = fb_i32(t, 0, 0);
        if (width < 0)
            return error_set(err, ST_CORRUPT, "fixed-size binary of %d bytes", width);
        *ret = type_fixed_binary(width);
        return ST_OK;
    case FB_LIST: case FB_LARGE_LIST: case FB_FIXED_LIST: case FB_MAP: case FB_STRUCT:
        return nested_type(kind, t, children, n, ret, err);
    default:
        return error_set(err, kind == 0 ? ST_CORRUPT : ST_UNSUPPORTED, "Arrow type number %u", kind);
    }
}

static int add_id(struct ipc_ids *ids, int64_t id, struct error *err)
{
    if (ids->n == ids->room) {
        uint32_t room = ids->room ? ids->room * 2 : 8;
        int64_t *grown = realloc(ids->ids, room * sizeof *grown);
        if (!grown)
            return error_no_memory(err, room * sizeof *grown);
        ids->ids = grown;
        ids->room = room;
    }
    ids->ids[ids->n++] = id;
    return ST_OK;
}

static int read_fields(const struct fb_table *t, unsigned slot, int depth, struct ipc_ids *ids, struct field ***ret_fields, uint32_t *ret_n,
                       struct error *err);

static int read_field(const struct fb_table *t, int depth, struct ipc_ids *ids, struct field **ret_field, struct error *err)
{
    struct fb_table encoding = fb_table_at(t, FIELD_DICTIONARY), type_table = fb_table_at(t, FIELD_TYPE);
    enum type_id key = TYPE_INT32;
    struct field **children = NULL, *bare = NULL, *made = NULL;
    struct dtype *type = NULL;
    struct kv *meta = NULL;
    uint32_t n = 0, n_meta = 0;
    if (encoding.pos) {
        struct fb_table index = fb_table_at(&encoding, 1);
        if (index.pos)
            TRY(int_type(&index, &key, err));
        TRY(add_id(ids, fb_i64(&encoding, 0, 0), err));
    }
    char *name = read_string(t, FIELD_NAME);
    int st = name ? ST_OK : t->reader->bad ? ipc_bad_message(err) : error_no_memory(err, 1);
    if (st == ST_OK)
        st = read_fields(t, FIELD_CHILDREN, depth + 1, ids, &children, &n, err);
    if (st == ST_OK)
        st = read_meta(t, FIELD_META, &meta, &n_meta, err);
    if (st == ST_OK)
        st = read_type(fb_u8(t, FIELD_TYPE_ID, 0), &type_table, children, n, &type, err);
    if (st == ST_OK && type && encoding.pos) {
        struct dtype *values = type;
        type = type_dictionary(key, values);
        type_unref(values);
    }
    if (st == ST_OK && type && (bare = field_new(name, type, fb_u8(t, FIELD_NULLABLE, 0) != 0)))
        made = field_with_meta(bare, meta, n_meta);
    if (st == ST_OK)
        st = made ? ST_OK : error_no_memory(err, sizeof *made);
    for (uint32_t i = 0; i < n; i++)
        field_unref(children[i]);
    free(children);
    free_meta(meta, n_meta);
    field_unref(bare);
    type_unref(type);
    free(name);
    if (st == ST_OK)
        *ret_field = made;
    return st;
}

/* On failure too, *ret_fields holds *ret_n fields that the caller releases. */
static int read_fields(const struct fb_table *t, unsigned slot, int depth, struct ipc_ids *ids, struct field ***ret_fields, uint32_t *ret_n,
                       struct error *err)
{
    struct fb_vector v = fb_vector_at(t, slot, 4);
    if (t->reader->bad)
        return ipc_bad_message(err);
    if (v.count == 0)
        return ST_OK;
    if (depth > IPC_MAX_DEPTH)
        return error_set(err, ST_UNSUPPORTED, "Arrow schema nested deeper than %d", IPC_MAX_DEPTH);
    *ret_fields = calloc(v.count, sizeof(struct field *));
    if (!*ret_fields)
        return error_no_memory(err, v.count * sizeof(struct field *));
    for (uint32_t i = 0; i < v.count; i++) {
        struct fb_table f = fb_vector_table(&v, i);
        fb_spend(t->reader, 256);
        if (t->reader->bad)
            return ipc_bad_message(err);
        TRY(read_field(&f, depth, ids, &(*ret_fields)[i], err));
        *ret_n = i + 1;
    }
    return ST_OK;
}

int ipc_read_schema(struct fb_table *header, struct schema **ret_schema, struct ipc_ids *ids, struct error *err)
{
    struct field **fields = NULL;
    struct schema *bare = NULL, *schema = NULL;
    struct kv *meta = NULL;
    uint32_t n = 0, n_meta = 0;
    if (fb_i16(header, SCHEMA_ENDIAN, 0) != 0)
        return error_set(err, ST_UNSUPPORTED, "big-endian Arrow data");
    int st = read_fields(header, SCHEMA_FIELDS, 1, ids, &fields, &n, err);
    if (st == ST_OK)
        st = read_meta(header, SCHEMA_META, &meta, &n_meta, err);
    if (st == ST_OK && header->reader->bad)
        st = ipc_bad_message(err);
    if (st == ST_OK) {
        bare = schema_new(fields, n);
        schema = bare ? schema_with_meta(bare, meta, n_meta) : NULL;
        st = schema ? ST_OK : error_no_memory(err, sizeof *schema);
    }
    schema_unref(bare);
    free_meta(meta, n_meta);
    for (uint32_t i = 0; i < n; i++)
        field_unref(fields[i]);
    free(fields);
    if (st == ST_OK)
        *ret_schema = schema;
    return st;
}

int ipc_open_message(struct fb_reader *r, const void *message, size_t size, uint8_t *ret_type, struct fb_table *ret_header, int64_t *ret_body,
                     struct error *err)
{
    fb_reader_init(r, message, size);
    struct fb_table root = fb_root(r);
    int16_t version = fb_i16(&root, MSG_VERSION, 0);
    uint8_t type = fb_u8(&root, MSG_TYPE, HEADER_NONE);
    int64_t body = fb_i64(&root, MSG_BODY, 0);
    struct fb_table header = fb_table_at(&root, MSG_HEADER);
    if (r->bad || body < 0 || (type != HEADER_NONE && header.pos == 0))
        return ipc_bad_message(err);
    if (version != METADATA_V4 && version != METADATA_V5)
        return error_set(err, ST_UNSUPPORTED, "Arrow metadata version number %d", version);
    *ret_type = type;
    *ret_header = header;
    *ret_body = body;
    return ST_OK;
}

int ipc_body_length(const void *message, size_t size, int64_t *ret_bytes, struct error *err)
{
    struct fb_reader r;
    struct fb_table header;
    uint8_t type;
    return ipc_open_message(&r, message, size, &type, &header, ret_bytes, err);
}

int ipc_decode_schema(const void *message, size_t size, struct schema **ret_schema, struct error *err)
{
    struct fb_reader r;
    struct fb_table header;
    struct ipc_ids ids = {0};
    uint8_t type;
    int64_t body;
    TRY(ipc_open_message(&r, message, size, &type, &header, &body, err));
    if (type != HEADER_SCHEMA)
        return error_set(err, ST_CORRUPT, "Arrow message of type %u in place of a schema", type);
    int st = ipc_read_schema(&header, ret_schema, &ids, err);
    free(ids.ids);
    return st;
}
