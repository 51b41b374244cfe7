/* RegionMetadata and ColumnMetadata as JSON, in the peer's key order (mito-on-disk.md 2.7, region-rpc.md 5.2 and 5.5). */
#include <stdlib.h>
#include <string.h>

#include "format/region/internal.h"

static const char *const semantic_names[] = {"Tag", "Field", "Timestamp"};

int region_column_to_json(const struct region_column *c, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"column_schema\":{\"name\":"));
    TRY(json_put_string(out, c->name, strlen(c->name), err));
    TRY(dynbuf_printf(out, err, ",\"data_type\":"));
    TRY(dynbuf_append(out, c->type_json, strlen(c->type_json), err));
    TRY(dynbuf_printf(out, err, ",\"is_nullable\":%s,\"is_time_index\":%s,\"default_constraint\":", c->nullable ? "true" : "false",
                      c->is_time_index ? "true" : "false"));
    const char *value = c->default_json ? c->default_json : "null";
    TRY(dynbuf_append(out, value, strlen(value), err));
    TRY(dynbuf_printf(out, err, ",\"metadata\":{"));
    for (uint32_t i = 0; i < c->n_meta; i++) {
        if (i)
            TRY(dynbuf_append_byte(out, ',', err));
        TRY(json_put_string(out, c->meta[i].key, strlen(c->meta[i].key), err));
        TRY(dynbuf_append_byte(out, ':', err));
        TRY(json_put_string(out, c->meta[i].value, strlen(c->meta[i].value), err));
    }
    return dynbuf_printf(out, err, "}},\"semantic_type\":\"%s\",\"column_id\":%u}", semantic_names[c->semantic], c->id);
}

int region_columns_to_json(const struct region_metadata *m, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_append_byte(out, '[', err));
    for (uint32_t i = 0; i < m->n_columns; i++) {
        if (i)
            TRY(dynbuf_append_byte(out, ',', err));
        TRY(region_column_to_json(&m->columns[i], out, err));
    }
    return dynbuf_append_byte(out, ']', err);
}

int region_key_to_json(const struct region_metadata *m, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "\"primary_key\":["));
    for (uint32_t k = 0; k < m->n_key; k++)
        TRY(dynbuf_printf(out, err, "%s%u", k ? "," : "", m->columns[m->key[k]].id));
    return dynbuf_append_byte(out, ']', err);
}

int region_metadata_to_json(const struct region_metadata *m, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"column_metadatas\":"));
    TRY(region_columns_to_json(m, out, err));
    TRY(dynbuf_append_byte(out, ',', err));
    TRY(region_key_to_json(m, out, err));
    TRY(dynbuf_printf(out, err, ",\"region_id\":%llu,\"schema_version\":%llu,\"primary_key_encoding\":\"%s\",\"partition_expr\":",
                      (unsigned long long)m->region_id, (unsigned long long)m->schema_version, m->sparse_key ? "sparse" : "dense"));
    TRY(m->partition_expr ? json_put_string(out, m->partition_expr, strlen(m->partition_expr), err) : dynbuf_append(out, "null", 4, err));
    return dynbuf_append_byte(out, '}', err);
}

static int bad_column(const char *what, const char *name, struct error *err)
{
    return error_set(err, ST_CORRUPT, "column metadata %s: bad %s", name ? name : "?", what);
}

int region_column_from_json(const struct json_value *v, struct region_column *c, struct error *err)
{
    const struct json_value *s = json_get(v, "column_schema"), *semantic = json_get(v, "semantic_type"), *meta = json_get(s, "metadata");
    const char *name = json_text(json_get(s, "name"));
    uint64_t id;
    if (!name)
        return bad_column("name", NULL, err);
    if (!(c->name = text_copy(name, strlen(name))))
        return error_no_memory(err, strlen(name));
    if (!json_u64(json_get(v, "column_id"), &id) || id > UINT32_MAX)
        return bad_column("column_id", name, err);
    c->id = (uint32_t)id;
    unsigned k = 0;
    while (k < 3 && !(semantic && json_is_string(semantic, semantic_names[k])))
        k++;
    if (k == 3)
        return bad_column("semantic_type", name, err);
    c->semantic = (enum semantic_type)k;
    if (!json_bool(json_get(s, "is_nullable"), &c->nullable) || !json_bool(json_get(s, "is_time_index"), &c->is_time_index))
        return bad_column("flags", name, err);
    if (!json_is(meta, JSON_OBJECT))
        return bad_column("metadata", name, err);
    TRY(type_from_json(json_get(s, "data_type"), c, err));
    for (const struct json_value *m = meta->first; m; m = m->next) {
        if (!json_text(m) || strlen(m->key) != m->key_size)
            return bad_column("metadata", name, err);
        TRY(column_meta_set(c, m->key, m->string, m->string_size, err));
    }
    const struct json_value *value = json_get(s, "default_constraint");
    return value && value->kind != JSON_NULL ? default_from_json(value, c, err) : ST_OK;
}

static int read_metadata(const struct json_value *v, struct meta_builder *b, struct error *err)
{
    const struct json_value *columns = json_get(v, "column_metadatas"), *key = json_get(v, "primary_key");
    const struct json_value *encoding = json_get(v, "primary_key_encoding"), *expr = json_get(v, "partition_expr");
    const struct json_value *version = json_get(v, "schema_version"); /* manifests of file regions have none */
    if (!json_is(columns, JSON_ARRAY) || !json_is(key, JSON_ARRAY) || !json_u64(json_get(v, "region_id"), &b->region_id) ||
        (version && !json_u64(version, &b->schema_version)))
        return error_set(err, ST_CORRUPT, "region metadata: a member is missing or of another kind");
    for (const struct json_value *c = columns->first; c; c = c->next) {
        struct region_column *column;
        TRY(meta_builder_insert(b, b->n_columns, &column, err));
        TRY(region_column_from_json(c, column, err));
    }
    for (const struct json_value *k = key->first; k; k = k->next) {
        uint64_t id;
        if (!json_u64(k, &id) || id > UINT32_MAX)
            return error_set(err, ST_CORRUPT, "region metadata: bad primary key");
        TRY(meta_builder_add_key(b, (uint32_t)id, err));
    }
    if (encoding && !json_is_string(encoding, "dense") && !json_is_string(encoding, "sparse"))
        return error_set(err, ST_CORRUPT, "region metadata: unknown primary key encoding");
    b->sparse_key = encoding && json_is_string(encoding, "sparse");
    if (!expr || expr->kind == JSON_NULL)
        return ST_OK;
    if (!json_text(expr))
        return error_set(err, ST_CORRUPT, "region metadata: bad partition expression");
    b->partition_expr = text_copy(expr->string, expr->string_size);
    return b->partition_expr ? ST_OK : error_no_memory(err, expr->string_size);
}

int region_metadata_from_json(const char *text, size_t size, struct region_metadata **ret_meta, struct error *err)
{
    struct arena arena;
    struct meta_builder b = {0};
    const struct json_value *v;
    arena_init(&arena, NULL);
    int st = json_parse(&arena, text, size, &v, err);
    if (st == ST_OK)
        st = read_metadata(v, &b, err);
    if (st == ST_OK)
        st = meta_finish(&b, false, ST_CORRUPT, ret_meta, err);
    meta_builder_release(&b);
    arena_release(&arena);
    return st;
}
