/* A region's description: from the options of its create request, and from and to its one object, `<region dir>/manifest/_file_manifest`
 * (file-engine.md 2 to 4). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/file/file.h"
#include "format/json/json.h"

enum { MANIFEST_BYTES_MAX = 64 << 20, FILES_MAX = 1 << 20 };

#define OPTION_META "__private.file_table_meta"

void file_region_unref(struct file_region *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    for (uint32_t i = 0; i < r->n_files; i++)
        free(r->files[i]);
    for (uint32_t i = 0; i < r->n_columns; i++)
        region_column_release(&r->columns[i]);
    free(r->files);
    free(r->columns);
    free(r->manifest_key);
    free(r->root);
    free(r->location);
    region_metadata_unref(r->metadata);
    free(r);
}

/* ---- options ---- */

static int bad_option(const char *key, const char *value, struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "Invalid value of option %s: %.200s", key, value);
}

/* The folder that `files` are relative to. Remote stores leave root NULL: queries are refused then. */
static int read_location(struct file_region *r, const char *location, struct error *err)
{
    static const char *const remote[] = {"s3://", "oss://", "gcs://", "azblob://"};
    const char *path = strncasecmp(location, "fs://", 5) == 0 ? location + 5 : location, *slash = strrchr(path, '/');
    if (!(r->location = strdup(location)))
        return error_no_memory(err, strlen(location));
    for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
        if (strncasecmp(location, remote[i], strlen(remote[i])) == 0) {
            char next = location[strlen(remote[i])];
            return next && next != '/' ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "empty host: %.200s", location);
        }
    if (path == location && strstr(location, "://"))
        return error_set(err, ST_INVALID_ARGUMENTS, "Unsupported backend protocol: %.200s", location);
    r->root = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup("/");
    return r->root ? ST_OK : error_no_memory(err, strlen(location));
}

static int read_column(const struct json_value *v, uint32_t id, struct region_column *ret_column, struct error *err)
{
    struct arena arena;
    struct dynbuf text;
    const struct json_value *column;
    arena_init(&arena, NULL);
    dynbuf_init(&text, v->size + 128);
    int st = dynbuf_printf(&text, err, "{\"column_schema\":%.*s,\"semantic_type\":\"Field\",\"column_id\":%u}", (int)v->size, v->text, id);
    if (st == ST_OK)
        st = json_parse(&arena, (const char *)text.data, text.size, &column, err);
    if (st == ST_OK)
        st = region_column_from_json(column, ret_column, err);
    dynbuf_release(&text);
    arena_release(&arena);
    return st;
}

/* A path that stays below the root. */
static bool plain_path(const char *p)
{
    return p && *p && strlen(p) < 4096 && strncmp(p, "../", 3) != 0 && !strstr(p, "/../");
}

static int read_table_meta(struct file_region *r, const struct json_value *meta, struct error *err)
{
    const struct json_value *files = json_get(meta, "files"), *columns = json_get(meta, "file_column_schemas");
    if (!json_is(files, JSON_ARRAY) || !json_is(columns, JSON_ARRAY) || files->count > FILES_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "option " OPTION_META " lacks files or file_column_schemas");
    r->files = calloc(files->count + 1, sizeof *r->files);
    r->columns = calloc(columns->count + 1, sizeof *r->columns);
    if (!r->files || !r->columns)
        return error_no_memory(err, files->count * sizeof *r->files);
    for (const struct json_value *f = files->first; f; f = f->next) {
        if (!plain_path(json_text(f)))
            return error_set(err, ST_INVALID_ARGUMENTS, "option " OPTION_META " has a file that is no plain relative path");
        if (!(r->files[r->n_files] = strdup(json_text(f))))
            return error_no_memory(err, f->string_size);
        r->n_files++;
    }
    for (const struct json_value *c = columns->first; c; c = c->next) {
        int st = read_column(c, r->n_columns, &r->columns[r->n_columns], err);
        r->n_columns++;
        TRY(st);
    }
    return ST_OK;
}

static int parse_table_meta(struct file_region *r, const char *text, struct error *err)
{
    struct arena arena;
    const struct json_value *meta;
    arena_init(&arena, NULL);
    int st = json_parse(&arena, text, strlen(text), &meta, err);
    if (st == ST_OK)
        st = read_table_meta(r, meta, err);
    arena_release(&arena);
    if (st == ST_CORRUPT) {
        st = ST_INVALID_ARGUMENTS;
        if (err)
            err->status = ST_INVALID_ARGUMENTS;
    }
    return st;
}

static int read_compression(struct file_region *r, const char *value, struct error *err)
{
    static const struct {
        const char *name;
        enum file_compression compression;
    } names[] = {{"", FILE_PLAIN},    {"gzip", FILE_GZIP}, {"gz", FILE_GZIP},  {"bzip2", FILE_BZIP2},
                 {"bz2", FILE_BZIP2}, {"xz", FILE_XZ},     {"zst", FILE_ZSTD}, {"zstd", FILE_ZSTD}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(value, names[i].name) == 0) {
            r->compression = names[i].compression;
            return ST_OK;
        }
    return bad_option("compression_type", value, err);
}

static int read_format(struct file_region *r, const struct kv *options, uint32_t n, struct error *err)
{
    const char *format = kv_list_get(options, n, "format"), *compression = kv_list_get(options, n, "compression_type");
    const char *delimiter = kv_list_get(options, n, "delimiter"), *header = kv_list_get(options, n, "has_header"),
               *infer = kv_list_get(options, n, "schema_infer_max_record");
    char *end;
    if (format && strcasecmp(format, "orc") == 0)
        return error_set(err, ST_UNSUPPORTED, "ORC files are not supported by this server");
    r->format = !format || strcasecmp(format, "parquet") == 0 ? FILE_PARQUET : strcasecmp(format, "csv") == 0 ? FILE_CSV : FILE_JSON;
    if (format && r->format == FILE_JSON && strcasecmp(format, "json") != 0)
        return bad_option("format", format, err);
    r->delimiter = ',';
    r->has_header = true;
    if (r->format == FILE_PARQUET)
        return ST_OK;
    if (infer && (strtoull(infer, &end, 10), end == infer || *end || *infer == '-'))
        return bad_option("schema_infer_max_record", infer, err);
    if (compression)
        TRY(read_compression(r, compression, err));
    if (r->format == FILE_JSON)
        return ST_OK;
    if (delimiter) {
        unsigned long byte = strtoul(delimiter, &end, 10);
        if (end == delimiter || *end || byte > 255 || byte == '"' || byte == '\n' || byte == '\r')
            return bad_option("delimiter", delimiter, err);
        r->delimiter = (uint8_t)byte;
    }
    if (header && strcmp(header, "true") != 0 && strcmp(header, "false") != 0)
        return bad_option("has_header", header, err);
    r->has_header = !header || strcmp(header, "true") == 0;
    return ST_OK;
}

static int manifest_key(const char *path, uint64_t region_id, char **ret_key, struct error *err)
{
    uint32_t table = (uint32_t)(region_id >> 32), sequence = (uint32_t)region_id & 0xffffff;
    size_t room = strlen(path) + 128;
    char *key = malloc(room);
    if (!key)
        return error_no_memory(err, room);
    if (strlen(path) > 1024 || strstr(path, "..")) {
        free(key);
        return error_set(err, ST_INVALID_ARGUMENTS, "the path of region %llu is not a plain relative path", (unsigned long long)region_id);
    }
    snprintf(key, room, "data/%s/%u/%u_%010u/manifest/_file_manifest", path, table, table, sequence);
    *ret_key = key;
    return ST_OK;
}

int file_region_new(struct region_metadata *metadata, const struct kv *options, uint32_t n_options, const char *path, struct file_region **ret_region,
                    struct error *err)
{
    struct file_region *r = calloc(1, sizeof *r);
    if (!r) {
        region_metadata_unref(metadata);
        return error_no_memory(err, sizeof *r);
    }
    atomic_init(&r->refs, 1);
    r->id = metadata->region_id;
    r->metadata = metadata;
    const char *location = kv_list_get(options, n_options, "location"), *meta = kv_list_get(options, n_options, OPTION_META);
    int st = location ? read_location(r, location, err) : error_set(err, ST_INVALID_ARGUMENTS, "Missing required field location");
    if (st == ST_OK)
        st = meta ? parse_table_meta(r, meta, err) : error_set(err, ST_INVALID_ARGUMENTS, "Missing required field " OPTION_META);
    if (st == ST_OK)
        st = read_format(r, options, n_options, err);
    if (st == ST_OK)
        st = manifest_key(path, r->id, &r->manifest_key, err);
    if (st == ST_OK)
        *ret_region = r;
    else
        file_region_unref(r);
    return st;
}

/* ---- the manifest ---- */

static int put_manifest(const struct file_region *r, const struct kv *options, uint32_t n, struct dynbuf *out, struct error *err)
{
    const struct region_metadata *m = r->metadata;
    TRY(dynbuf_printf(out, err, "{\"region_id\":%llu,\"column_metadatas\":", (unsigned long long)r->id));
    TRY(region_columns_to_json(m, out, err));
    TRY(dynbuf_append_byte(out, ',', err));
    TRY(region_key_to_json(m, out, err));
    TRY(dynbuf_printf(out, err, ",\"options\":{"));
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            TRY(dynbuf_append_byte(out, ',', err));
        TRY(json_put_string(out, options[i].key, strlen(options[i].key), err));
        TRY(dynbuf_append_byte(out, ':', err));
        TRY(json_put_string(out, options[i].value, strlen(options[i].value), err));
    }
    return dynbuf_append(out, "}}", 2, err);
}

int file_manifest_write(const struct file_region *r, const struct kv *options, uint32_t n_options, struct object_store *store, struct error *err)
{
    struct dynbuf text;
    uint64_t size;
    if (store->ops->stat(store, r->manifest_key, &size, NULL) == ST_OK)
        return error_set(err, ST_UNEXPECTED, "Region %llu already has a manifest: %s", (unsigned long long)r->id, r->manifest_key);
    dynbuf_init(&text, MANIFEST_BYTES_MAX);
    int st = put_manifest(r, options, n_options, &text, err);
    if (st == ST_OK)
        st = object_store_put(store, r->manifest_key, text.data, text.size, err);
    dynbuf_release(&text);
    return st;
}

static int read_options(const struct json_value *map, struct arena *arena, struct kv **ret_options, uint32_t *ret_n, struct error *err)
{
    uint32_t n = 0;
    if (!json_is(map, JSON_OBJECT))
        return error_set(err, ST_CORRUPT, "no options");
    struct kv *options = ARENA_ARRAY(arena, map->count + 1, struct kv, err);
    if (!options)
        return ST_NO_MEMORY;
    for (const struct json_value *v = map->first; v; v = v->next)
        if (json_text(v))
            options[n++] = (struct kv){(char *)v->key, (char *)v->string};
    *ret_options = options;
    *ret_n = n;
    return ST_OK;
}

static int parse_manifest(const struct dynbuf *text, const char *path, uint64_t region_id, struct file_region **ret_region, struct error *err)
{
    struct arena arena;
    const struct json_value *root;
    struct region_metadata *metadata;
    struct kv *options;
    uint32_t n;
    arena_init(&arena, NULL);
    int st = json_parse(&arena, (const char *)text->data, text->size, &root, err);
    if (st == ST_OK)
        st = read_options(json_get(root, "options"), &arena, &options, &n, err);
    if (st == ST_OK)
        st = region_metadata_from_json((const char *)text->data, text->size, &metadata, err);
    if (st == ST_OK && metadata->region_id != region_id) {
        st = error_set(err, ST_CORRUPT, "it is the manifest of region %llu", (unsigned long long)metadata->region_id);
        region_metadata_unref(metadata);
    } else if (st == ST_OK) {
        st = file_region_new(metadata, options, n, path, ret_region, err);
    }
    arena_release(&arena);
    return st;
}

int file_manifest_read(const char *path, uint64_t region_id, struct object_store *store, struct file_region **ret_region, struct error *err)
{
    char *key;
    struct dynbuf text;
    TRY(manifest_key(path, region_id, &key, err));
    dynbuf_init(&text, MANIFEST_BYTES_MAX);
    int st = object_store_get(store, key, MANIFEST_BYTES_MAX, &text, err);
    if (st == ST_OK)
        st = parse_manifest(&text, path, region_id, ret_region, err);
    if (st != ST_OK)
        error_prefix(err, "Failed to load region manifest %s", key);
    dynbuf_release(&text);
    free(key);
    return st;
}
