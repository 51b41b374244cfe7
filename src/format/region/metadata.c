/* Region metadata: life time, look-up, the rules that every metadata holds, and its JSON form.
 *
 * Everything is built through a meta_builder; meta_finish() is the only place where a region_metadata comes from, so its checks hold for all.
 */
#include "format/region/metadata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/region/internal.h"

char *text_copy(const void *text, size_t size)
{
    char *copy = malloc(size + 1);
    if (copy) {
        if (size)
            memcpy(copy, text, size);
        copy[size] = 0;
    }
    return copy;
}

/* ---- columns ---- */

void region_column_release(struct region_column *c)
{
    if (!c)
        return;
    default_clear(c);
    for (uint32_t i = 0; i < c->n_meta; i++) {
        free(c->meta[i].key);
        free(c->meta[i].value);
    }
    free(c->meta);
    free(c->name);
    free(c->native_json);
    free(c->type_json);
    type_unref(c->type);
    field_unref(c->field);
    *c = (struct region_column){0};
}

static bool copy_into(char **to, const char *from)
{
    *to = from ? text_copy(from, strlen(from)) : NULL;
    return *to || !from;
}

int column_copy(const struct region_column *c, struct region_column *ret_copy, struct error *err)
{
    struct region_column n = *c;
    n.type = type_ref(c->type);
    n.default_value = column_ref(c->default_value);
    n.field = NULL;
    n.meta = NULL;
    n.n_meta = 0;
    bool ok = copy_into(&n.name, c->name);
    ok &= copy_into(&n.native_json, c->native_json);
    ok &= copy_into(&n.type_json, c->type_json);
    ok &= copy_into(&n.default_json, c->default_json);
    int st = ok ? ST_OK : error_no_memory(err, 64);
    for (uint32_t i = 0; i < c->n_meta && st == ST_OK; i++)
        st = column_meta_set(&n, c->meta[i].key, c->meta[i].value, strlen(c->meta[i].value), err);
    if (st == ST_OK)
        *ret_copy = n;
    else
        region_column_release(&n);
    return st;
}

const char *column_meta_get(const struct region_column *c, const char *key)
{
    return kv_list_get(c->meta, c->n_meta, key);
}

int column_meta_set(struct region_column *c, const char *key, const char *value, size_t size, struct error *err)
{
    if (memchr(value, 0, size))
        return error_set(err, ST_INVALID_ARGUMENTS, "column metadata %s holds a zero byte", key);
    char *copy = text_copy(value, size);
    if (!copy)
        return error_no_memory(err, size);
    for (uint32_t i = 0; i < c->n_meta; i++) {
        if (strcmp(c->meta[i].key, key) == 0) {
            free(c->meta[i].value);
            c->meta[i].value = copy;
            return ST_OK;
        }
    }
    struct kv *more = realloc(c->meta, (c->n_meta + 1) * sizeof *more);
    char *name = more ? text_copy(key, strlen(key)) : NULL;
    if (more)
        c->meta = more;
    if (!name) {
        free(copy);
        return error_no_memory(err, sizeof *more);
    }
    c->meta[c->n_meta++] = (struct kv){name, copy};
    return ST_OK;
}

void column_meta_remove(struct region_column *c, const char *key)
{
    for (uint32_t i = 0; i < c->n_meta; i++) {
        if (strcmp(c->meta[i].key, key) == 0) {
            free(c->meta[i].key);
            free(c->meta[i].value);
            memmove(c->meta + i, c->meta + i + 1, (c->n_meta - i - 1) * sizeof *c->meta);
            c->n_meta--;
            return;
        }
    }
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool column_same(const struct region_column *a, const struct region_column *b)
{
    if (a->id != b->id || strcmp(a->name, b->name) != 0 || a->semantic != b->semantic || strcmp(a->type_json, b->type_json) != 0 ||
        a->nullable != b->nullable || a->is_time_index != b->is_time_index || !same_text(a->default_json, b->default_json) || a->n_meta != b->n_meta)
        return false;
    for (uint32_t i = 0; i < a->n_meta; i++) {
        if (!same_text(a->meta[i].value, column_meta_get(b, a->meta[i].key)))
            return false;
    }
    return true;
}

/* ---- the builder ---- */

void meta_builder_release(struct meta_builder *b)
{
    for (uint32_t i = 0; i < b->n_columns; i++)
        region_column_release(&b->columns[i]);
    free(b->columns);
    free(b->key_ids);
    free(b->partition_expr);
    *b = (struct meta_builder){0};
}

int meta_builder_insert(struct meta_builder *b, uint32_t at, struct region_column **ret_column, struct error *err)
{
    if (b->n_columns >= META_MAX_COLUMNS)
        return error_set(err, ST_INVALID_ARGUMENTS, "a region cannot have more than %d columns", META_MAX_COLUMNS);
    if (b->n_columns == b->room) {
        uint32_t room = b->room ? b->room * 2 : 8;
        struct region_column *more = realloc(b->columns, room * sizeof *more);
        if (!more)
            return error_no_memory(err, room * sizeof *more);
        b->columns = more;
        b->room = room;
    }
    memmove(b->columns + at + 1, b->columns + at, (b->n_columns - at) * sizeof *b->columns);
    b->columns[at] = (struct region_column){0};
    b->n_columns++;
    *ret_column = &b->columns[at];
    return ST_OK;
}

void meta_builder_remove(struct meta_builder *b, uint32_t at)
{
    region_column_release(&b->columns[at]);
    memmove(b->columns + at, b->columns + at + 1, (b->n_columns - at - 1) * sizeof *b->columns);
    b->n_columns--;
}

int meta_builder_add_key(struct meta_builder *b, uint32_t column_id, struct error *err)
{
    if (b->n_key >= META_MAX_COLUMNS)
        return error_set(err, ST_INVALID_ARGUMENTS, "too many primary key columns");
    if (b->n_key == b->key_room) {
        uint32_t room = b->key_room ? b->key_room * 2 : 8;
        uint32_t *more = realloc(b->key_ids, room * sizeof *more);
        if (!more)
            return error_no_memory(err, room * sizeof *more);
        b->key_ids = more;
        b->key_room = room;
    }
    b->key_ids[b->n_key++] = column_id;
    return ST_OK;
}

int meta_builder_find(const struct meta_builder *b, const char *name)
{
    for (uint32_t i = 0; i < b->n_columns; i++) {
        if (strcmp(b->columns[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

int meta_builder_copy(const struct region_metadata *m, struct meta_builder *ret_builder, struct error *err)
{
    struct meta_builder b = {.region_id = m->region_id, .schema_version = m->schema_version, .sparse_key = m->sparse_key};
    int st = copy_into(&b.partition_expr, m->partition_expr) ? ST_OK : error_no_memory(err, 1);
    for (uint32_t i = 0; i < m->n_columns && st == ST_OK; i++) {
        struct region_column *c;
        st = meta_builder_insert(&b, i, &c, err);
        if (st == ST_OK)
            st = column_copy(&m->columns[i], c, err);
    }
    for (uint32_t k = 0; k < m->n_key && st == ST_OK; k++)
        st = meta_builder_add_key(&b, m->columns[m->key[k]].id, err);
    if (st == ST_OK)
        *ret_builder = b;
    else
        meta_builder_release(&b);
    return st;
}

/* ---- finishing ---- */

static int by_id(const void *a, const void *b)
{
    uint32_t x = (*(const struct region_column *const *)a)->id, y = (*(const struct region_column *const *)b)->id;
    return (x > y) - (x < y);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct region_column *const *)a)->name, (*(const struct region_column *const *)b)->name);
}

static int check_unique(const struct meta_builder *b, enum status status, struct error *err)
{
    const struct region_column **order = malloc((b->n_columns + 1) * sizeof *order);
    if (!order)
        return error_no_memory(err, b->n_columns * sizeof *order);
    for (uint32_t i = 0; i < b->n_columns; i++)
        order[i] = &b->columns[i];
    int st = ST_OK;
    qsort(order, b->n_columns, sizeof *order, by_id);
    for (uint32_t i = 1; i < b->n_columns && st == ST_OK; i++) {
        if (order[i]->id == order[i - 1]->id)
            st = error_set(err, status, "column id %u is used by %s and %s", order[i]->id, order[i - 1]->name, order[i]->name);
    }
    qsort(order, b->n_columns, sizeof *order, by_name);
    for (uint32_t i = 1; i < b->n_columns && st == ST_OK; i++) {
        if (strcmp(order[i]->name, order[i - 1]->name) == 0)
            st = error_set(err, status, "column name %s is used twice", order[i]->name);
    }
    free(order);
    return st;
}

static int check_new(const struct meta_builder *b, enum status status, struct error *err)
{
    static const char *const reserved[] = {"__sequence", "__op_type", "__primary_key"};
    uint32_t times = 0, tags = 0;
    for (uint32_t i = 0; i < b->n_columns; i++) {
        const struct region_column *c = &b->columns[i];
        times += c->semantic == SEMANTIC_TIMESTAMP;
        tags += c->semantic == SEMANTIC_TAG;
        for (unsigned k = 0; k < 3; k++) {
            if (strcmp(c->name, reserved[k]) == 0)
                return error_set(err, status, "%s is reserved for an internal column", c->name);
        }
        if (c->semantic == SEMANTIC_TIMESTAMP && c->nullable)
            return error_set(err, status, "time index %s must be NOT NULL", c->name);
    }
    if (times != 1)
        return error_set(err, status, "expect only one time index, not %u", times);
    if (tags != b->n_key)
        return error_set(err, status, "%u tag columns, but %u primary key columns", tags, b->n_key);
    return ST_OK;
}

/* The Arrow field that peers see: column metadata, the default, and a mark where several region types share an Arrow type. */
static int make_field(struct region_column *c, struct error *err)
{
    char mark[32];
    struct kv *meta = malloc((c->n_meta + 2) * sizeof *meta);
    uint32_t n = c->n_meta;
    if (!meta)
        return error_no_memory(err, sizeof *meta);
    if (n)
        memcpy(meta, c->meta, n * sizeof *meta);
    if (c->default_json)
        meta[n++] = (struct kv){(char *)"greptime:default_constraint", c->default_json};
    if (c->logical != LOGICAL_PLAIN) {
        snprintf(mark, sizeof mark, c->logical == LOGICAL_VECTOR ? "Vector(%u)" : "Json", c->vector_dim);
        meta[n++] = (struct kv){(char *)"greptime:type", mark};
    }
    struct field *bare = field_new(c->name, c->type, c->nullable);
    c->field = bare ? field_with_meta(bare, meta, n) : NULL;
    field_unref(bare);
    free(meta);
    return c->field ? ST_OK : error_no_memory(err, sizeof *c->field);
}

static int make_schema(struct region_metadata *m, struct error *err)
{
    struct kv version = {(char *)"greptime:version", (char *)"0"};
    struct field **fields = malloc((m->n_columns + 1) * sizeof *fields);
    if (!fields)
        return error_no_memory(err, m->n_columns * sizeof *fields);
    for (uint32_t i = 0; i < m->n_columns; i++)
        fields[i] = m->columns[i].field;
    struct schema *bare = schema_new(fields, m->n_columns);
    m->schema = bare ? schema_with_meta(bare, &version, 1) : NULL;
    schema_unref(bare);
    free(fields);
    return m->schema ? ST_OK : error_no_memory(err, sizeof *m->schema);
}

static int resolve_key(const struct meta_builder *b, struct region_metadata *m, enum status status, struct error *err)
{
    bool *used = calloc(b->n_columns + 1, 1);
    m->key = malloc((b->n_key + 1) * sizeof *m->key);
    int st = used && m->key ? ST_OK : error_no_memory(err, b->n_key * sizeof *m->key);
    for (uint32_t k = 0; k < b->n_key && st == ST_OK; k++) {
        uint32_t i = 0;
        while (i < b->n_columns && b->columns[i].id != b->key_ids[k])
            i++;
        if (i == b->n_columns)
            st = error_set(err, status, "unknown primary key column id %u", b->key_ids[k]);
        else if (used[i])
            st = error_set(err, status, "primary key column %s is listed twice", b->columns[i].name);
        else if (b->columns[i].semantic != SEMANTIC_TAG)
            st = error_set(err, status, "primary key column %s is not a tag", b->columns[i].name);
        else
            used[m->key[k] = i] = true;
    }
    m->n_key = b->n_key;
    free(used);
    return st;
}

static dict_key name_of(const void *ctx, uint32_t i)
{
    const char *name = ((const struct region_metadata *)ctx)->columns[i].name;
    return (dict_key){name, strlen(name)};
}

/* Few names are compared faster than hashed. */
enum { NAMES_UNINDEXED_MAX = 8 };

static int index_names(struct region_metadata *m, struct error *err)
{
    for (uint32_t i = 0; m->n_columns > NAMES_UNINDEXED_MAX && i < m->n_columns; i++) {
        dict_key name = name_of(m, i);
        uint32_t id;
        bool added;
        TRY(dict_map_intern(&m->by_name, hash_bytes(name.data, name.size), name.data, name.size, name_of, m, &id, &added, err));
    }
    return ST_OK;
}

int meta_finish(struct meta_builder *b, bool create, enum status status, struct region_metadata **ret_meta, struct error *err)
{
    uint32_t time = 0;
    TRY(check_unique(b, status, err));
    if (create)
        TRY(check_new(b, status, err));
    while (time < b->n_columns && b->columns[time].semantic != SEMANTIC_TIMESTAMP)
        time++;
    if (time == b->n_columns)
        return error_set(err, status, "time index not found");
    if (b->columns[time].type->id != TYPE_TIMESTAMP)
        return error_set(err, status, "time index %s is not a timestamp", b->columns[time].name);
    struct region_metadata *m = calloc(1, sizeof *m);
    if (!m)
        return error_no_memory(err, sizeof *m);
    atomic_init(&m->refs, 1);
    dict_map_init(&m->by_name);
    m->time_index = time;
    int st = resolve_key(b, m, status, err);
    for (uint32_t i = 0; i < b->n_columns && st == ST_OK; i++)
        st = b->columns[i].field ? ST_OK : make_field(&b->columns[i], err);
    if (st == ST_OK) {
        m->columns = b->columns; /* lent until nothing can fail any more */
        m->n_columns = b->n_columns;
        st = make_schema(m, err);
        if (st == ST_OK)
            st = index_names(m, err);
    }
    if (st != ST_OK) {
        m->columns = NULL;
        m->n_columns = 0;
        region_metadata_unref(m);
        return st;
    }
    m->region_id = b->region_id;
    m->schema_version = b->schema_version;
    m->sparse_key = b->sparse_key;
    m->partition_expr = b->partition_expr;
    free(b->key_ids);
    *b = (struct meta_builder){0};
    *ret_meta = m;
    return ST_OK;
}

struct region_metadata *region_metadata_ref(struct region_metadata *m)
{
    if (m)
        atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void region_metadata_unref(struct region_metadata *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < m->n_columns; i++)
        region_column_release(&m->columns[i]);
    free(m->columns);
    free(m->key);
    free(m->partition_expr);
    dict_map_release(&m->by_name);
    schema_unref(m->schema);
    free(m);
}

struct region_metadata *region_metadata_with_version(const struct region_metadata *m, uint64_t schema_version)
{
    struct meta_builder b;
    struct region_metadata *copy = NULL;
    if (meta_builder_copy(m, &b, NULL) != ST_OK)
        return NULL;
    b.schema_version = schema_version;
    if (meta_finish(&b, false, ST_INTERNAL, &copy, NULL) != ST_OK)
        meta_builder_release(&b);
    return copy;
}

int region_metadata_project(const struct region_metadata *m, uint64_t region_id, const uint32_t *indexes, uint32_t n,
                            struct region_metadata **ret_meta, struct error *err)
{
    struct meta_builder b = {.region_id = region_id};
    int st = ST_OK;
    for (uint32_t i = 0; i < n && st == ST_OK; i++) {
        struct region_column *c;
        st = meta_builder_insert(&b, i, &c, err);
        if (st == ST_OK)
            st = column_copy(&m->columns[indexes[i]], c, err);
        if (st == ST_OK && c->semantic == SEMANTIC_TAG)
            st = meta_builder_add_key(&b, c->id, err);
    }
    if (st == ST_OK)
        st = meta_finish(&b, false, ST_UNEXPECTED, ret_meta, err);
    meta_builder_release(&b);
    return st;
}

int region_metadata_find(const struct region_metadata *m, const char *name, size_t size)
{
    for (uint32_t i = 0; m->n_columns <= NAMES_UNINDEXED_MAX && i < m->n_columns; i++)
        if (strlen(m->columns[i].name) == size && memcmp(m->columns[i].name, name, size) == 0)
            return (int)i;
    uint32_t i = dict_map_find(&m->by_name, hash_bytes(name, size), name, size, name_of, m);
    return i == UINT32_MAX ? -1 : (int)i;
}

int region_metadata_find_id(const struct region_metadata *m, uint32_t column_id)
{
    for (uint32_t i = 0; i < m->n_columns; i++) {
        if (m->columns[i].id == column_id)
            return (int)i;
    }
    return -1;
}

bool region_metadata_same_schema(const struct region_metadata *a, const struct region_metadata *b)
{
    if (a->n_columns != b->n_columns || a->n_key != b->n_key)
        return false;
    for (uint32_t k = 0; k < a->n_key; k++) {
        if (a->columns[a->key[k]].id != b->columns[b->key[k]].id)
            return false;
    }
    for (uint32_t i = 0; i < a->n_columns; i++) {
        if (!column_same(&a->columns[i], &b->columns[i]))
            return false;
    }
    return true;
}

/* ---- the version of a partition expression: a keyed folded-multiply hash, region-rpc.md 11 (the constants are frozen) ---- */

#define PARTITION_K0 0x1454e0511ff219e2u
#define PARTITION_K1 0xfcde4957e3c1a24eu
#define PARTITION_K2 0xb19b6d26ea933510u
#define PARTITION_K3 0x8a442e7a590a3238u

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t rotl(uint64_t x, unsigned n)
{
    return n ? x << n | x >> (64 - n) : x;
}

static uint64_t absorb(uint64_t buf, uint64_t x, uint64_t y)
{
    return rotl((buf + PARTITION_K0) ^ fold(x ^ PARTITION_K2, y ^ PARTITION_K3), 23);
}

uint64_t partition_expr_version(const char *expr)
{
    const uint64_t m = 6364136223846793005u;
    size_t n = expr ? strlen(expr) : 0;
    if (!n)
        return 0;
    uint64_t buf = (PARTITION_K1 + n) * m;
    if (n > 16) {
        buf = absorb(buf, load_le64(expr + n - 16), load_le64(expr + n - 8));
        for (const char *p = expr; expr + n - p > 16; p += 16)
            buf = absorb(buf, load_le64(p), load_le64(p + 8));
    } else if (n > 8) {
        buf = absorb(buf, load_le64(expr), load_le64(expr + n - 8));
    } else if (n >= 4) {
        buf = absorb(buf, load_le32(expr), load_le32(expr + n - 4));
    } else if (n >= 2) {
        buf = absorb(buf, load_le16(expr), (uint8_t)expr[n - 1]);
    } else {
        buf = absorb(buf, (uint8_t)expr[0], (uint8_t)expr[0]);
    }
    buf = fold(0xff ^ buf, m);
    return rotl(fold(buf, PARTITION_K0), buf & 63);
}
