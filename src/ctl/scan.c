/* `scan`: runs a query and prints its rows as a table, CSV, JSON lines, or as an Arrow IPC stream (the server's messages, framed). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arrow/ipc.h"
#include "ctl/commands.h"
#include "format/json/json.h"
#include "region/scan_plan.h"

enum scan_format { SCAN_TABLE, SCAN_CSV, SCAN_JSON, SCAN_ARROW };
enum { LINE_BYTES_MAX = 1 << 30, REQUEST_BYTES_MAX = 8 << 20 };

struct scan {
    enum scan_format format;
    FILE *out;
    struct schema *schema;
    struct ipc_dictionaries *dictionaries;
    struct ctl_table table;
    bool has_table;
    struct arena arena; /* texts of one batch */
    struct dynbuf line;
    uint64_t rows;
};

/* ---- Arrow ---- */
static int write_message(struct scan *s, const uint8_t *message, size_t size, const uint8_t *body, size_t body_size, struct error *err)
{
    static const uint8_t zeros[8] = {0};
    uint8_t head[8];
    size_t pad = (8 - size % 8) % 8;
    store_le32(head, UINT32_MAX);
    store_le32(head + 4, (uint32_t)(size + pad));
    fwrite(head, 1, 8, s->out);
    fwrite(message, 1, size, s->out);
    fwrite(zeros, 1, pad, s->out);
    if (body_size)
        fwrite(body, 1, body_size, s->out);
    return ferror(s->out) ? error_set(err, ST_STORAGE, "cannot write the output: %m") : ST_OK;
}

/* ---- text ---- */
static bool is_number(const struct dtype *t)
{
    return type_is_integer(t) || type_is_float(t) || t->id == TYPE_DECIMAL128;
}

static int table_row(struct scan *s, const struct batch *b, int64_t i, struct error *err)
{
    for (uint32_t k = 0; k < b->schema->n_fields; k++) {
        const struct column *c = b->columns[k];
        const char *text = "NULL";
        size_t n = 4;
        if (!column_is_null(c, i))
            TRY(ctl_value_text(&s->arena, c, i, &text, &n, err));
        TRY(ctl_table_cell(&s->table, text, n, is_number(c->type), err));
    }
    return ST_OK;
}

static int csv_text(struct dynbuf *out, const char *text, size_t n, struct error *err)
{
    bool quote = n == 0;
    for (size_t i = 0; i < n && !quote; i++)
        quote = text[i] == '"' || text[i] == ',' || text[i] == '\n' || text[i] == '\r';
    if (!quote)
        return dynbuf_append(out, text, n, err);
    TRY(dynbuf_append_byte(out, '"', err));
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"')
            TRY(dynbuf_append_byte(out, '"', err));
        TRY(dynbuf_append_byte(out, (uint8_t)text[i], err));
    }
    return dynbuf_append_byte(out, '"', err);
}

static int csv_row(struct scan *s, const struct batch *b, int64_t i, struct error *err)
{
    for (uint32_t k = 0; k < b->schema->n_fields; k++) {
        const struct column *c = b->columns[k];
        if (k)
            TRY(dynbuf_append_byte(&s->line, ',', err));
        if (column_is_null(c, i))
            continue; /* null is nothing, empty text is "" */
        const char *text;
        size_t n;
        TRY(ctl_value_text(&s->arena, c, i, &text, &n, err));
        TRY(csv_text(&s->line, text, n, err));
    }
    return dynbuf_append_byte(&s->line, '\n', err);
}

static int json_cell(struct scan *s, const struct column *c, int64_t i, struct error *err)
{
    const char *text;
    size_t n;
    if (column_is_null(c, i))
        return dynbuf_append(&s->line, "null", 4, err);
    switch (c->type->id) {
    case TYPE_BOOL:
        return dynbuf_printf(&s->line, err, "%s", column_bool(c, i) ? "true" : "false");
    case TYPE_FLOAT32:
        return json_put_float(&s->line, COLUMN_VALUES(c, float)[i], err);
    case TYPE_FLOAT64:
        return json_put_double(&s->line, COLUMN_VALUES(c, double)[i], err);
    case TYPE_TIMESTAMP:
        return dynbuf_printf(&s->line, err, "%" PRId64, COLUMN_VALUES(c, int64_t)[i]); /* in the column's unit: nothing is lost */
    default:
        TRY(ctl_value_text(&s->arena, c, i, &text, &n, err));
        return type_is_integer(c->type) ? dynbuf_append(&s->line, text, n, err) : json_put_string(&s->line, text, n, err);
    }
}

static int json_row(struct scan *s, const struct batch *b, int64_t i, struct error *err)
{
    TRY(dynbuf_append_byte(&s->line, '{', err));
    for (uint32_t k = 0; k < b->schema->n_fields; k++) {
        const char *name = b->schema->fields[k]->name;
        if (k)
            TRY(dynbuf_append_byte(&s->line, ',', err));
        TRY(json_put_string(&s->line, name, strlen(name), err));
        TRY(dynbuf_append_byte(&s->line, ':', err));
        TRY(json_cell(s, b->columns[k], i, err));
    }
    return dynbuf_append(&s->line, "}\n", 2, err);
}

static int print_rows(struct scan *s, const struct batch *b, struct error *err)
{
    for (int64_t i = 0; i < b->n_rows; i++) {
        if (i % 256 == 0) {
            arena_release(&s->arena);
            arena_init(&s->arena, NULL);
        }
        if (s->format == SCAN_TABLE)
            TRY(table_row(s, b, i, err));
        else if (s->format == SCAN_CSV)
            TRY(csv_row(s, b, i, err));
        else
            TRY(json_row(s, b, i, err));
        if (s->line.size) {
            fwrite(s->line.data, 1, s->line.size, s->out);
            dynbuf_clear(&s->line);
        }
        if (ferror(s->out))
            return error_set(err, ST_STORAGE, "cannot write the output: %m");
    }
    return ST_OK;
}

/* ---- what arrives ---- */
static int take_schema(void *ctx, const uint8_t *message, size_t size, struct error *err)
{
    struct scan *s = ctx;
    if (s->format == SCAN_ARROW)
        return write_message(s, message, size, NULL, 0, err);
    TRY(ipc_dictionaries_new(message, size, &s->schema, &s->dictionaries, err));
    uint32_t n = s->schema->n_fields;
    const char **names = ARENA_ARRAY(&s->arena, (size_t)n + 1, const char *, err);
    if (!names)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++)
        names[i] = s->schema->fields[i]->name;
    if (s->format == SCAN_TABLE) {
        s->has_table = true;
        return ctl_table_begin(&s->table, s->out, names, n, err);
    }
    for (uint32_t i = 0; s->format == SCAN_CSV && i < n; i++) {
        if (i)
            TRY(dynbuf_append_byte(&s->line, ',', err));
        TRY(csv_text(&s->line, names[i], strlen(names[i]), err));
    }
    return s->format == SCAN_CSV ? dynbuf_append_byte(&s->line, '\n', err) : ST_OK;
}

static int plain_columns(struct batch *b, struct batch **ret_batch, struct error *err)
{
    struct column **columns = calloc(b->schema->n_fields + 1, sizeof(*columns));
    struct field **fields = calloc(b->schema->n_fields + 1, sizeof(*fields));
    struct schema *schema = NULL;
    uint32_t n = b->schema->n_fields;
    int rc = columns && fields ? ST_OK : error_no_memory(err, n * sizeof(*columns));
    for (uint32_t i = 0; i < n && rc == ST_OK; i++) {
        rc = column_decode_dictionary(NULL, b->columns[i], &columns[i], err);
        if (rc == ST_OK && !(fields[i] = field_new(b->schema->fields[i]->name, columns[i]->type, true)))
            rc = error_no_memory(err, sizeof(struct field));
    }
    if (rc == ST_OK && !(schema = schema_new(fields, n)))
        rc = error_no_memory(err, sizeof(struct schema));
    if (rc == ST_OK)
        rc = batch_new(schema, b->n_rows, columns, ret_batch, err); /* takes the columns, also when it fails */
    else
        for (uint32_t i = 0; columns && i < n; i++)
            column_unref(columns[i]);
    for (uint32_t i = 0; fields && i < n; i++)
        if (fields[i])
            field_unref(fields[i]);
    if (schema)
        schema_unref(schema);
    free(columns);
    free(fields);
    return rc;
}

static int take_batch(void *ctx, const uint8_t *message, size_t size, const uint8_t *body, size_t body_size, struct error *err)
{
    struct scan *s = ctx;
    struct buffer *bytes = NULL;
    struct batch *b = NULL, *plain = NULL;
    enum ipc_message kind;
    if (s->format == SCAN_ARROW)
        return write_message(s, message, size, body, body_size, err);
    TRY(ipc_message_kind(message, size, &kind, err));
    if (kind == IPC_MESSAGE_NONE)
        return ST_OK;
    TRY(buffer_new_uninit(NULL, body_size, &bytes, err));
    if (body_size)
        memcpy(bytes->data, body, body_size);
    int rc = kind == IPC_MESSAGE_DICTIONARY ? ipc_decode_dictionary(s->dictionaries, message, size, bytes, NULL, err)
                                            : ipc_decode_batch(s->schema, s->dictionaries, message, size, bytes, NULL, &b, err);
    if (rc == ST_OK && b)
        rc = plain_columns(b, &plain, err);
    if (rc == ST_OK && plain) {
        rc = print_rows(s, plain, err);
        s->rows += (uint64_t)plain->n_rows;
    }
    if (b)
        batch_unref(b);
    if (plain)
        batch_unref(plain);
    buffer_unref(bytes);
    return rc;
}

static int finish(struct scan *s, struct error *err)
{
    if (s->has_table)
        ctl_table_end(&s->table);
    if (s->line.size)
        fwrite(s->line.data, 1, s->line.size, s->out); /* a CSV heading without rows */
    if (s->format == SCAN_ARROW)
        fwrite("\xff\xff\xff\xff\0\0\0\0", 1, 8, s->out);
    return fflush(s->out) || ferror(s->out) ? error_set(err, ST_STORAGE, "cannot write the output: %m") : ST_OK;
}

static int run_query(struct ctl *c, const struct scan_plan *plan, enum scan_format format, FILE *out, struct error *err)
{
    struct dynbuf request;
    struct scan s = {.format = format, .out = out};
    struct rpc_query_sink sink = {.schema = take_schema, .batch = take_batch, .ctx = &s};
    dynbuf_init(&request, REQUEST_BYTES_MAX);
    dynbuf_init(&s.line, LINE_BYTES_MAX);
    arena_init(&s.arena, NULL);
    int rc = scan_plan_request(plan, &c->arena, &request, err);
    c->bad_usage = rc == ST_INVALID_ARGUMENTS;
    if (rc == ST_OK)
        rc = rpc_client_query(c->client, request.data, request.size, &sink, err);
    if (rc == ST_OK)
        rc = finish(&s, err);
    ctl_table_free(&s.table);
    ipc_dictionaries_free(s.dictionaries);
    if (s.schema)
        schema_unref(s.schema);
    arena_release(&s.arena);
    dynbuf_release(&s.line);
    dynbuf_release(&request);
    return rc;
}

/* ---- the command line ---- */
/* Which columns: all, or those of the comma-separated list. */
static int pick_columns(struct ctl *c, const struct region_metadata *m, const char *list, uint32_t **ret_columns, uint32_t *ret_n, struct error *err)
{
    size_t room = m->n_columns;
    for (const char *p = list; p && *p; p++)
        room += *p == ',';
    uint32_t *columns = ARENA_ARRAY(&c->arena, room + 1, uint32_t, err);
    uint32_t n = 0;
    if (!columns)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; !list && i < m->n_columns; i++)
        columns[n++] = i;
    while (list) {
        size_t size = strcspn(list, ",");
        int found = region_metadata_find(m, list, size);
        if (found < 0)
            return ctl_usage(c, err, "the region has no column '%.*s'", (int)(size < 200 ? size : 200), list);
        for (uint32_t i = 0; i < n; i++) {
            if (columns[i] == (uint32_t)found)
                return ctl_usage(c, err, "the column '%s' is asked for twice", m->columns[found].name);
        }
        columns[n++] = (uint32_t)found;
        list = list[size] ? list + size + 1 : NULL;
    }
    *ret_columns = columns;
    *ret_n = n;
    return ST_OK;
}

static int parse_format(struct ctl *c, const char *text, enum scan_format *ret_format, struct error *err)
{
    static const char *const names[] = {"table", "csv", "json", "arrow"};
    for (int i = 0; i < 4; i++) {
        if (!strcmp(names[i], text)) {
            *ret_format = (enum scan_format)i;
            return ST_OK;
        }
    }
    return ctl_usage(c, err, "'%.100s' is none of table, csv, json, arrow", text);
}

static int scan_region(struct ctl *c, struct scan_plan *plan, const char *region, const char *columns, enum scan_format format, const char *path,
                       struct error *err)
{
    struct region_metadata *m = NULL;
    uint32_t *picked = NULL;
    uint64_t id;
    TRY(ctl_resolve(c, region, &id, err));
    if (ctl_metadata(c, id, &m, err) != ST_OK)
        return error_prefix(err, "region '%s'", region);
    int rc = pick_columns(c, m, columns, &picked, &plan->n_columns, err);
    plan->meta = m;
    plan->columns = picked;
    FILE *out = stdout;
    if (rc == ST_OK && path && !(out = fopen(path, "w")))
        rc = error_set(err, ST_STORAGE, "cannot write %s: %m", path);
    if (rc == ST_OK)
        rc = run_query(c, plan, format, out, err);
    if (out && out != stdout && fclose(out) && rc == ST_OK)
        rc = error_set(err, ST_STORAGE, "cannot write %s: %m", path);
    region_metadata_unref(m);
    return rc;
}

int ctl_scan(struct ctl *c, struct error *err)
{
    const char *columns = NULL, *limit = NULL, *format_name = "table", *path = NULL, *region;
    struct scan_plan plan = {.limit = -1};
    const struct ctl_flag flags[] = {{.name = "--columns", .value = &columns}, {.name = "--filter", .value = &plan.filter},
                                     {.name = "--limit", .value = &limit}, {.name = "--format", .value = &format_name},
                                     {.name = "-o", .value = &path}, {.name = "--output", .value = &path}, {0}};
    enum scan_format format = SCAN_TABLE;
    TRY(ctl_arguments(c, flags, &region, 1, 1, err));
    TRY(parse_format(c, format_name, &format, err));
    if (limit) {
        if (!*limit || strspn(limit, "0123456789") != strlen(limit) || strlen(limit) > 18)
            return ctl_usage(c, err, "--limit %.100s is not a number of rows", limit);
        plan.limit = atoll(limit);
    }
    return scan_region(c, &plan, region, columns, format, path, err);
}
