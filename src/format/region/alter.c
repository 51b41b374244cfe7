/* ALTER: a copy of the metadata changed by one AlterRequest (region-rpc.md 4.7). A request that changes nothing gives no new metadata. */
#include <string.h>

#include "format/region/internal.h"

enum alter_kind { ALTER_ADD = 2, ALTER_DROP = 3, ALTER_MODIFY = 5, ALTER_SET_OPTIONS = 6, ALTER_UNSET_OPTIONS = 9, ALTER_SET_INDEX = 10, ALTER_UNSET_INDEX = 11,
    ALTER_DROP_DEFAULTS = 12, ALTER_SET_INDEXES = 13, ALTER_UNSET_INDEXES = 14, ALTER_SET_DEFAULTS = 15, ALTER_SYNC = 16 };

static int broken(struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "malformed alter request");
}

/* The column named by a string field; ST_INVALID_ARGUMENTS when there is none. */
static int find_column(struct meta_builder *b, const struct pb_field *name, struct region_column **ret_column, struct error *err)
{
    for (uint32_t i = 0; i < b->n_columns; i++) {
        if (strlen(b->columns[i].name) == name->size && (!name->size || memcmp(b->columns[i].name, name->data, name->size) == 0)) {
            *ret_column = &b->columns[i];
            return ST_OK;
        }
    }
    return error_set(err, ST_INVALID_ARGUMENTS, "column %.*s not found", name->size > 200 ? 200 : (int)name->size, (const char *)name->data);
}

static int insert_place(struct meta_builder *b, const struct pb_field *location, uint32_t *ret_at, struct error *err)
{
    struct pb_field f, after = {.data = (const uint8_t *)""};
    uint64_t kind = 0;
    *ret_at = b->n_columns;
    if (!location->data)
        return ST_OK;
    struct pb_reader r = pb_inside(location);
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT)
            kind = f.value;
        else if (f.number == 2 && f.wire == PB_BYTES)
            after = f;
    }
    if (!pb_done(&r) || kind > 1)
        return broken(err);
    if (kind == 0) {
        *ret_at = 0;
        return ST_OK;
    }
    struct region_column *c;
    TRY(find_column(b, &after, &c, err));
    *ret_at = (uint32_t)(c - b->columns) + 1;
    return ST_OK;
}

/* Whether the column exists already (fine when identical); otherwise it must be addable. */
static int check_added(const struct meta_builder *b, const struct region_column *c, bool located, bool *ret_exists, struct error *err)
{
    for (uint32_t i = 0; i < b->n_columns; i++) {
        const struct region_column *old = &b->columns[i];
        bool same_name = strcmp(old->name, c->name) == 0;
        if (same_name && (located || !column_same(old, c)))
            return error_set(err, ST_INVALID_ARGUMENTS, "column %s exists already with another definition or place", c->name);
        if (!same_name && old->id == c->id)
            return error_set(err, ST_INVALID_ARGUMENTS, "column id %u of %s is used by %s", c->id, c->name, old->name);
        if (same_name) {
            *ret_exists = true;
            return ST_OK;
        }
    }
    *ret_exists = false;
    if (!c->nullable && c->default_kind == DEFAULT_NONE)
        return error_set(err, ST_INVALID_ARGUMENTS, "no default value for column %s", c->name);
    if (c->semantic == SEMANTIC_TIMESTAMP)
        return error_set(err, ST_INVALID_ARGUMENTS, "a second time index %s", c->name);
    return ST_OK;
}

static int add_column(struct meta_builder *b, const struct pb_field *add, bool *changed, struct error *err)
{
    struct pb_reader r = pb_inside(add);
    struct pb_field f, def = {0}, location = {0};
    struct region_column c = {0}, *place;
    bool exists = false;
    uint32_t at = 0;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            def = f;
        else if (f.number == 3 && f.wire == PB_BYTES)
            location = f;
    }
    if (!pb_done(&r) || !def.data)
        return broken(err);
    int st = column_def_read(def.data, def.size, &c, err);
    if (st == ST_OK)
        st = check_added(b, &c, location.data, &exists, err);
    if (st == ST_OK && !exists) {
        st = insert_place(b, &location, &at, err);
        if (st == ST_OK && c.semantic == SEMANTIC_TAG)
            st = meta_builder_add_key(b, c.id, err);
        if (st == ST_OK)
            st = meta_builder_insert(b, at, &place, err);
        if (st == ST_OK) {
            *place = c;
            c = (struct region_column){0};
            *changed = true;
        }
    }
    region_column_release(&c);
    return st;
}

/* The column's name in a message that holds nothing else. */
static int read_name(const struct pb_field *message, struct pb_field *ret_name, struct error *err)
{
    struct pb_reader r = pb_inside(message);
    struct pb_field f, name = {.data = (const uint8_t *)""};
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            name = f;
    }
    if (!pb_done(&r))
        return broken(err);
    *ret_name = name;
    return ST_OK;
}

static int drop_column(struct meta_builder *b, const struct pb_field *drop, bool *changed, struct error *err)
{
    struct pb_field name;
    struct region_column *c;
    TRY(read_name(drop, &name, err));
    if (find_column(b, &name, &c, NULL) != ST_OK)
        return ST_OK;
    if (c->semantic != SEMANTIC_FIELD)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s is not a field and cannot be dropped", c->name);
    meta_builder_remove(b, (uint32_t)(c - b->columns));
    *changed = true;
    return ST_OK;
}

static int modify_type(struct meta_builder *b, const struct pb_field *modify, bool *changed, struct error *err)
{
    struct pb_reader r = pb_inside(modify);
    struct pb_field f, name = {.data = (const uint8_t *)""}, extension = {.data = (const uint8_t *)""};
    struct region_column *c;
    int32_t datatype = 0;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            name = f;
        else if (f.number == 2 && f.wire == PB_VARINT)
            datatype = (int32_t)f.value;
        else if (f.number == 3 && f.wire == PB_BYTES)
            extension = f;
    }
    if (!pb_done(&r))
        return broken(err);
    TRY(find_column(b, &name, &c, err));
    if (c->semantic != SEMANTIC_FIELD)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s is not a field, its type cannot change", c->name);
    struct dtype *old = type_ref(c->type);
    int st = region_column_type_from_proto(datatype, extension.data, extension.size, c, err);
    if (st == ST_OK && !type_can_cast(old, c->type))
        st = error_set(err, ST_INVALID_ARGUMENTS, "column %s cannot be cast automatically to its new type", c->name);
    if (st == ST_OK && c->default_value)
        st = default_cast(c, old, err);
    type_unref(old);
    *changed = true;
    return st;
}

static int drop_default(struct meta_builder *b, const struct pb_field *drop, bool *changed, struct error *err)
{
    struct pb_field name;
    struct region_column *c;
    TRY(read_name(drop, &name, err));
    TRY(find_column(b, &name, &c, err));
    if (!c->nullable)
        return error_set(err, ST_INVALID_ARGUMENTS, "column %s is not nullable and needs its default", c->name);
    default_clear(c);
    *changed = true;
    return ST_OK;
}

static int set_default(struct meta_builder *b, const struct pb_field *set, bool *changed, struct error *err)
{
    struct pb_reader r = pb_inside(set);
    struct pb_field f, name = {.data = (const uint8_t *)""}, constraint = {.data = (const uint8_t *)""};
    struct region_column *c;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            name = f;
        else if (f.number == 2 && f.wire == PB_BYTES)
            constraint = f;
    }
    if (!pb_done(&r))
        return broken(err);
    TRY(find_column(b, &name, &c, err));
    *changed = true;
    return default_from_expr(c, constraint.data, constraint.size, err);
}

static int set_one_index(struct meta_builder *b, const struct pb_field *f, bool *changed, struct error *err)
{
    return alter_index(b, f->data, f->size, true, changed, err);
}

static int unset_one_index(struct meta_builder *b, const struct pb_field *f, bool *changed, struct error *err)
{
    return alter_index(b, f->data, f->size, false, changed, err);
}

/* Runs `each` over the repeated field 1 of the message. */
static int for_each(struct meta_builder *b, const struct pb_field *message,
                    int (*each)(struct meta_builder *, const struct pb_field *, bool *, struct error *), bool *changed, struct error *err)
{
    struct pb_reader r = pb_inside(message);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            TRY(each(b, &f, changed, err));
    }
    return pb_done(&r) ? ST_OK : broken(err);
}

/* ---- sync_columns ---- */

static int check_synced(const struct region_metadata *old, const struct meta_builder *b, struct error *err)
{
    for (uint32_t i = 0; i < old->n_columns; i++) {
        const struct region_column *o = &old->columns[i];
        if (o->semantic == SEMANTIC_FIELD)
            continue;
        int at = meta_builder_find(b, o->name);
        const struct region_column *c = at >= 0 ? &b->columns[at] : NULL;
        if (!c || c->id != o->id || c->semantic != o->semantic || (o->semantic == SEMANTIC_TIMESTAMP && strcmp(c->type_json, o->type_json) != 0))
            return error_set(err, ST_INVALID_ARGUMENTS, "sync_columns must keep %s", o->name);
    }
    return ST_OK;
}

static int sync_columns(const struct region_metadata *old, struct meta_builder *b, const struct pb_field *message, bool *changed, struct error *err)
{
    struct meta_builder fresh = {.region_id = b->region_id, .schema_version = b->schema_version, .sparse_key = b->sparse_key};
    struct pb_reader r = pb_inside(message);
    struct pb_field f;
    int st = ST_OK;
    while (st == ST_OK && pb_next(&r, &f)) {
        struct region_column *c;
        if (f.number != 1 || f.wire != PB_BYTES)
            continue;
        st = meta_builder_insert(&fresh, fresh.n_columns, &c, err);
        if (st == ST_OK)
            st = column_def_read(f.data, f.size, c, err);
        if (st == ST_OK && c->semantic == SEMANTIC_TAG)
            st = meta_builder_add_key(&fresh, c->id, err);
    }
    if (st == ST_OK && !pb_done(&r))
        st = broken(err);
    if (st == ST_OK)
        st = check_synced(old, &fresh, err);
    bool same = st == ST_OK && fresh.n_columns == b->n_columns;
    for (uint32_t i = 0; same && i < b->n_columns; i++)
        same = column_same(&fresh.columns[i], &b->columns[i]);
    if (st == ST_OK && !same) {
        fresh.partition_expr = b->partition_expr;
        b->partition_expr = NULL;
        meta_builder_release(b);
        *b = fresh;
        fresh = (struct meta_builder){0};
        *changed = true;
    }
    meta_builder_release(&fresh);
    return st;
}

static int apply(const struct region_metadata *m, struct meta_builder *b, const struct pb_field *kind, bool *changed, struct error *err)
{
    switch (kind->number) {
    case ALTER_ADD:
        return for_each(b, kind, add_column, changed, err);
    case ALTER_DROP:
        return for_each(b, kind, drop_column, changed, err);
    case ALTER_MODIFY:
        return for_each(b, kind, modify_type, changed, err);
    case ALTER_SET_INDEX:
    case ALTER_UNSET_INDEX:
        return alter_index(b, kind->data, kind->size, kind->number == ALTER_SET_INDEX, changed, err);
    case ALTER_DROP_DEFAULTS:
        return for_each(b, kind, drop_default, changed, err);
    case ALTER_SET_INDEXES:
        return for_each(b, kind, set_one_index, changed, err);
    case ALTER_UNSET_INDEXES:
        return for_each(b, kind, unset_one_index, changed, err);
    case ALTER_SET_DEFAULTS:
        return for_each(b, kind, set_default, changed, err);
    case ALTER_SYNC:
        return sync_columns(m, b, kind, changed, err);
    default:
        return error_set(err, ST_UNSUPPORTED, "table options are not part of the metadata");
    }
}

int region_metadata_alter(const struct region_metadata *m, const uint8_t *alter_request, size_t size, struct region_metadata **ret_meta,
                          struct error *err)
{
    struct pb_reader r = pb_reader_of(alter_request ? alter_request : (const uint8_t *)"", size);
    struct pb_field f, kind = {0};
    struct meta_builder b;
    bool changed = false;
    while (pb_next(&r, &f)) {
        bool known = f.number == ALTER_ADD || f.number == ALTER_DROP || f.number == ALTER_MODIFY || f.number == ALTER_SET_OPTIONS ||
                     (f.number >= ALTER_UNSET_OPTIONS && f.number <= ALTER_SYNC);
        if (known && f.wire == PB_BYTES)
            kind = f;
    }
    if (!pb_done(&r))
        return broken(err);
    if (!kind.data)
        return error_set(err, ST_INVALID_ARGUMENTS, "missing kind in AlterRequest");
    TRY(meta_builder_copy(m, &b, err));
    int st = apply(m, &b, &kind, &changed, err);
    if (st == ST_OK && changed) {
        b.schema_version++;
        st = meta_finish(&b, true, ST_INVALID_ARGUMENTS, ret_meta, err);
    } else if (st == ST_OK) {
        *ret_meta = NULL;
    }
    meta_builder_release(&b);
    return st;
}
