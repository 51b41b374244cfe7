/* Commands on whole regions: health, list, describe, create, flush, compact, build-index, drop. */
#include <inttypes.h>
#include <string.h>

#include "ctl/commands.h"
#include "format/proto/wire.h"

enum {
    REQUEST_CREATE = 5,
    REQUEST_DROP = 6,
    REQUEST_OPEN = 7,
    REQUEST_FLUSH = 10,
    REQUEST_COMPACT = 11,
    REQUEST_BUILD_INDEX = 19,
    CREATE_BYTES_MAX = 4 << 20
};

static const struct { const char *name; int32_t datatype; } datatypes[] = {
    {"bool", 0}, {"boolean", 0}, {"int8", 1}, {"int16", 2}, {"int32", 3}, {"int64", 4}, {"int", 4}, {"integer", 4}, {"uint8", 5}, {"uint16", 6},
    {"uint32", 7}, {"uint64", 8}, {"uint", 8}, {"float32", 9}, {"float64", 10}, {"float", 10}, {"double", 10}, {"binary", 11}, {"string", 12},
    {"date", 13}, {"timestamp_s", 15}, {"timestamp_ms", 16}, {"timestamp", 16}, {"timestamp_us", 17}, {"timestamp_ns", 18},
};

int32_t ctl_datatype(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof(datatypes) / sizeof(datatypes[0]); i++) {
        if (strlen(datatypes[i].name) == size && !strncasecmp(datatypes[i].name, name, size))
            return datatypes[i].datatype;
    }
    return -1;
}

int ctl_health(struct ctl *c, struct error *err)
{
    TRY(ctl_arguments(c, NULL, NULL, 0, 0, err));
    TRY(ctl_connect(c, err));
    int rc = rpc_client_health(c->client, err);
    if (rc)
        return error_prefix(err, "%s", c->addr);
    printf("%s is serving\n", c->addr);
    return ST_OK;
}

static int print_regions(struct ctl_table *t, const struct ctl_region *regions, uint32_t n, struct error *err)
{
    char a[24], b[24];
    for (uint32_t i = 0; i < n; i++) {
        const struct ctl_region *r = &regions[i];
        TRY(ctl_table_printf(t, err, "%" PRIu64, r->id));
        TRY(ctl_table_printf(t, err, "%u:%u", (unsigned)(r->id >> 32), (unsigned)r->id));
        TRY(ctl_table_printf(t, err, "%s", r->engine));
        TRY(ctl_table_printf(t, err, "%s", r->state));
        TRY(ctl_table_printf(t, err, "%s", r->role));
        TRY(ctl_table_printf(t, err, "%" PRIu64, r->rows));
        TRY(ctl_table_printf(t, err, "%s", ctl_bytes(r->memtable_bytes, a)));
        TRY(ctl_table_printf(t, err, "%" PRIu64, r->sst_num));
        TRY(ctl_table_printf(t, err, "%s", ctl_bytes(r->sst_bytes, b)));
        TRY(ctl_table_printf(t, err, "%s%s%s", r->path, *r->error ? "  " : "", r->error));
    }
    return ST_OK;
}

int ctl_list(struct ctl *c, struct error *err)
{
    static const char *const headings[] = {"REGION", "TABLE", "ENGINE", "STATE", "ROLE", "ROWS", "MEMORY", "FILES", "SIZE", "PATH"};
    struct ctl_region *regions;
    struct ctl_table t;
    uint32_t n;
    TRY(ctl_arguments(c, NULL, NULL, 0, 0, err));
    TRY(ctl_regions(c, &regions, &n, err));
    int rc = ctl_table_begin(&t, stdout, headings, 10, err);
    if (rc == ST_OK)
        rc = print_regions(&t, regions, n, err);
    if (rc == ST_OK)
        ctl_table_end(&t);
    ctl_table_free(&t);
    return rc;
}

/* ---- describe ---- */
static int print_columns(struct ctl_table *t, const struct region_metadata *m, struct error *err)
{
    static const char *const semantics[] = {"tag", "field", "time"};
    char type[200];
    for (uint32_t i = 0; i < m->n_columns; i++) {
        const struct region_column *col = &m->columns[i];
        TRY(ctl_table_printf(t, err, "%u", (unsigned)col->id));
        TRY(ctl_table_cell(t, col->name, strlen(col->name), false, err));
        TRY(ctl_table_printf(t, err, "%s", type_print(col->type, type, sizeof type)));
        TRY(ctl_table_printf(t, err, "%s", semantics[col->semantic]));
        TRY(ctl_table_printf(t, err, "%s", col->nullable ? "yes" : "no"));
        TRY(ctl_table_cell(t, col->default_json ? col->default_json : "-", col->default_json ? strlen(col->default_json) : 1, false, err));
    }
    return ST_OK;
}

static void print_region_status(struct ctl *c, uint64_t id)
{
    struct ctl_region *regions;
    struct error ignored;
    char a[24], b[24];
    uint32_t n;
    if (ctl_regions(c, &regions, &n, &ignored) != ST_OK)
        return; /* the columns are worth showing without it */
    for (uint32_t i = 0; i < n; i++) {
        const struct ctl_region *r = &regions[i];
        if (r->id != id)
            continue;
        printf("engine          %s\nstate           %s%s%s\npath            %s\nrows            %" PRIu64 "\nmemory          %s\n"
               "files           %" PRIu64 " (%s)\n", r->engine, r->state, *r->role ? ", " : "", r->role, r->path, r->rows,
               ctl_bytes(r->memtable_bytes, a), r->sst_num, ctl_bytes(r->sst_bytes, b));
    }
}

int ctl_describe(struct ctl *c, struct error *err)
{
    static const char *const headings[] = {"ID", "COLUMN", "TYPE", "ROLE", "NULLS", "DEFAULT"};
    struct region_metadata *m = NULL;
    struct ctl_table t;
    const char *region;
    uint64_t id;
    TRY(ctl_arguments(c, NULL, &region, 1, 1, err));
    TRY(ctl_resolve(c, region, &id, err));
    if (ctl_metadata(c, id, &m, err) != ST_OK)
        return error_prefix(err, "region '%s'", region);
    printf("region          %" PRIu64 " (%u:%u)\nschema version  %" PRIu64 "\n", id, (unsigned)(id >> 32), (unsigned)id, m->schema_version);
    print_region_status(c, id);
    printf("\n");
    int rc = ctl_table_begin(&t, stdout, headings, 6, err);
    if (rc == ST_OK)
        rc = print_columns(&t, m, err);
    if (rc == ST_OK)
        ctl_table_end(&t);
    ctl_table_free(&t);
    region_metadata_unref(m);
    return rc;
}

/* ---- create ---- */
static int put_column(struct dynbuf *out, const struct ctl_column *col, uint32_t id, struct error *err)
{
    uint8_t bytes[8192];
    struct dynbuf def, wrapped;
    if (strlen(col->name) > sizeof bytes / 2)
        return error_set(err, ST_INVALID_ARGUMENTS, "a column name of %zu bytes", strlen(col->name));
    dynbuf_init(&def, sizeof bytes);
    dynbuf_init(&wrapped, sizeof bytes);
    int rc = pb_put_string(&def, 1, col->name, err);
    if (rc == ST_OK)
        rc = pb_put_uint(&def, 2, (uint64_t)col->datatype, err);
    if (rc == ST_OK && !col->not_null && col->semantic != SEMANTIC_TIMESTAMP)
        rc = pb_put_uint(&def, 3, 1, err);
    if (rc == ST_OK)
        rc = pb_put_uint(&def, 5, col->semantic, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(&wrapped, 1, def.data, def.size, err);
    if (rc == ST_OK)
        rc = pb_put_uint(&wrapped, 2, id, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(out, 3, wrapped.data, wrapped.size, err);
    dynbuf_release(&def);
    dynbuf_release(&wrapped);
    return rc;
}

/* An entry of a map<string, string> with that number. */
static int put_option(struct dynbuf *out, uint32_t field, const char *option, struct error *err)
{
    struct dynbuf entry;
    const char *equals = strchr(option, '=');
    dynbuf_init(&entry, CREATE_BYTES_MAX);
    int rc = pb_put_bytes(&entry, 1, option, (size_t)(equals - option), err);
    if (rc == ST_OK)
        rc = pb_put_string(&entry, 2, equals + 1, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(out, field, entry.data, entry.size, err);
    dynbuf_release(&entry);
    return rc;
}

static int put_create(struct dynbuf *body, uint64_t region_id, const char *name, const struct ctl_column *columns, uint32_t n,
                      const struct ctl_list_value *options, struct error *err)
{
    char path[160] = "regionctl/regions";
    if (name)
        snprintf(path, sizeof path, "regionctl/%s", name);
    TRY(pb_put_uint(body, 1, region_id, err));
    TRY(pb_put_string(body, 2, "mito", err));
    for (uint32_t i = 0; i < n; i++)
        TRY(put_column(body, &columns[i], i, err));
    for (uint32_t i = 0; i < n; i++) {
        if (columns[i].semantic == SEMANTIC_TAG)
            TRY(pb_put_uint(body, 4, i, err));
    }
    TRY(pb_put_string(body, 5, path, err));
    for (uint32_t i = 0; options && i < options->n; i++)
        TRY(put_option(body, 6, options->items[i], err));
    return pb_put_bytes(body, 7, "\x1a\x00", 2, err); /* one region, no partition */
}

int ctl_create_region(struct ctl *c, uint64_t region_id, const char *name, const struct ctl_column *columns, uint32_t n,
                      const struct ctl_list_value *options, struct error *err)
{
    struct dynbuf body;
    dynbuf_init(&body, CREATE_BYTES_MAX);
    int rc = put_create(&body, region_id, name, columns, n, options, err);
    if (rc == ST_OK)
        rc = ctl_send(c, REQUEST_CREATE, &body, NULL, err);
    dynbuf_release(&body);
    return rc;
}

/* NAME:TYPE[:tag|field|time][:notnull] */
static int parse_column(struct ctl *c, const char *text, struct ctl_column *ret_column, struct error *err)
{
    const char *colon = strchr(text, ':');
    if (!colon || colon == text)
        return ctl_usage(c, err, "the column '%.200s' is not NAME:TYPE", text);
    struct ctl_column col = {.semantic = SEMANTIC_FIELD};
    const char *p = colon + 1;
    size_t n = strcspn(p, ":");
    col.name = arena_copy(&c->arena, text, (size_t)(colon - text), err);
    if (!col.name)
        return ST_NO_MEMORY;
    col.datatype = ctl_datatype(p, n);
    if (col.datatype < 0)
        return ctl_usage(c, err, "'%.*s' is not a column type", (int)(n < 100 ? n : 100), p);
    for (p += n; *p == ':'; p += n) {
        n = strcspn(++p, ":");
        if (n == 3 && !memcmp(p, "tag", 3))
            col.semantic = SEMANTIC_TAG;
        else if (n == 5 && !memcmp(p, "field", 5))
            col.semantic = SEMANTIC_FIELD;
        else if (n == 4 && !memcmp(p, "time", 4))
            col.semantic = SEMANTIC_TIMESTAMP;
        else if (n == 7 && !memcmp(p, "notnull", 7))
            col.not_null = true;
        else
            return ctl_usage(c, err, "'%.*s' is none of tag, field, time, notnull", (int)(n < 100 ? n : 100), p);
    }
    *ret_column = col;
    return ST_OK;
}

static int check_options(struct ctl *c, const struct ctl_list_value *options, struct error *err)
{
    for (uint32_t i = 0; i < options->n; i++) {
        if (!strchr(options->items[i], '='))
            return ctl_usage(c, err, "the option '%.200s' is not KEY=VALUE", options->items[i]);
    }
    return ST_OK;
}

int ctl_create(struct ctl *c, struct error *err)
{
    struct ctl_list_value columns = {0}, options = {0};
    const struct ctl_flag flags[] = {{.name = "--column", .list = &columns}, {.name = "--option", .list = &options}, {0}};
    const char *region;
    uint64_t id;
    TRY(ctl_arguments(c, flags, &region, 1, 1, err));
    if (columns.n == 0)
        return ctl_usage(c, err, "create needs at least one --column");
    struct ctl_column *parsed = ARENA_ARRAY(&c->arena, columns.n, struct ctl_column, err);
    if (!parsed)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < columns.n; i++)
        TRY(parse_column(c, columns.items[i], &parsed[i], err));
    TRY(check_options(c, &options, err));
    TRY(ctl_resolve(c, region, &id, err));
    TRY(ctl_create_region(c, id, ctl_is_name(region) ? region : NULL, parsed, columns.n, &options, err));
    printf("created region %" PRIu64 " (%u:%u)\n", id, (unsigned)(id >> 32), (unsigned)id);
    return ST_OK;
}

/* ---- open ---- */
static int open_region(struct ctl *c, const struct ctl_region *r, const struct ctl_list_value *options, struct error *err)
{
    struct dynbuf body;
    dynbuf_init(&body, CREATE_BYTES_MAX);
    int rc = pb_put_uint(&body, 1, r->id, err);
    if (rc == ST_OK)
        rc = pb_put_string(&body, 2, *r->engine ? r->engine : "mito", err);
    if (rc == ST_OK)
        rc = pb_put_string(&body, 3, r->path, err);
    if (rc == ST_OK && !strcmp(r->engine, "metric"))
        rc = put_option(&body, 4, "physical_metric_table=", err);
    for (uint32_t i = 0; rc == ST_OK && i < options->n; i++)
        rc = put_option(&body, 4, options->items[i], err);
    if (rc == ST_OK)
        rc = ctl_send(c, REQUEST_OPEN, &body, NULL, err);
    dynbuf_release(&body);
    if (rc)
        return error_prefix(err, "region %" PRIu64, r->id);
    printf("opened region %" PRIu64 " (%u:%u)\n", r->id, (unsigned)(r->id >> 32), (unsigned)r->id);
    return ST_OK;
}

int ctl_open(struct ctl *c, struct error *err)
{
    struct ctl_list_value options = {0};
    bool all = false;
    const struct ctl_flag flags[] = {{.name = "--all", .on = &all}, {.name = "--option", .list = &options}, {0}};
    const char *region;
    struct ctl_region *regions;
    uint32_t n;
    uint64_t id = 0;
    TRY(ctl_arguments(c, flags, &region, 0, 1, err));
    if (all == (region != NULL))
        return ctl_usage(c, err, "open needs a region, or --all for those that are read-only");
    TRY(check_options(c, &options, err));
    if (region)
        TRY(ctl_resolve(c, region, &id, err));
    TRY(ctl_regions(c, &regions, &n, err));
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        if (all ? !regions[i].found : regions[i].id != id)
            continue;
        any = true;
        TRY(open_region(c, &regions[i], &options, err));
    }
    return any || all ? ST_OK : error_set(err, ST_REGION_NOT_FOUND, "the server has no region '%s'", region);
}

/* ---- flush, compact, build-index, drop ---- */
static int simple(struct ctl *c, uint32_t member, const char *done, struct error *err)
{
    struct dynbuf body;
    const char *region;
    uint64_t id;
    TRY(ctl_arguments(c, NULL, &region, 1, 1, err));
    TRY(ctl_resolve(c, region, &id, err));
    dynbuf_init(&body, 64);
    int rc = pb_put_uint(&body, 1, id, err);
    if (rc == ST_OK)
        rc = ctl_send(c, member, &body, NULL, err);
    dynbuf_release(&body);
    if (rc == ST_OK)
        printf("%s region %" PRIu64 "\n", done, id);
    return rc;
}

int ctl_flush(struct ctl *c, struct error *err)
{
    return simple(c, REQUEST_FLUSH, "flushed", err);
}

int ctl_compact(struct ctl *c, struct error *err)
{
    return simple(c, REQUEST_COMPACT, "compacted", err);
}

int ctl_build_index(struct ctl *c, struct error *err)
{
    return simple(c, REQUEST_BUILD_INDEX, "built the indexes of", err);
}

int ctl_drop(struct ctl *c, struct error *err)
{
    struct region_metadata *m = NULL;
    const char *region;
    uint64_t id;
    TRY(ctl_arguments(c, NULL, &region, 1, 1, err));
    TRY(ctl_resolve(c, region, &id, err));
    if (ctl_metadata(c, id, &m, err) != ST_OK) /* dropping what is not there succeeds: a person wants to know */
        return error_prefix(err, "region '%s'", region);
    region_metadata_unref(m);
    return simple(c, REQUEST_DROP, "dropped", err);
}
