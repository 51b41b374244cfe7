#include "engine/metric/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "format/key/sparse.h"
#include "format/region/options.h"

#define OPTION_PHYSICAL "physical_metric_table"
#define OPTION_LOGICAL  "on_physical_table"
#define OPTION_ENCODING "memtable.partition_tree.primary_key_encoding"
#define OPTION_WINDOW   "compaction.twcs.time_window"

static const char table_id_index[] = "{\"granularity\":1024,\"false-positive-rate-in-10000\":100,\"index-type\":\"BloomFilter\"}";

/* ---- create requests ---- */

/* Types by the names that the peer's message has. */
static int type_mismatch(const char *expected, const struct dtype *actual, struct error *err)
{
    char name[64], text[192];
    type_print(actual, name, sizeof name);
    if (actual->id == TYPE_UTF8)
        snprintf(text, sizeof text, "String(StringType { size_type: Utf8 })");
    else if (actual->id == TYPE_TIMESTAMP)
        snprintf(text, sizeof text, "Timestamp(%s(Timestamp%sType))", time_unit_names[actual->unit], time_unit_names[actual->unit]);
    else
        snprintf(text, sizeof text, "%s(%sType)", name, name);
    return error_set(err, ST_INVALID_ARGUMENTS, "Column type mismatch. Expect %s, got %s", expected, text);
}

/* An internal column as the data region has it. Creates of a table's further regions (a repartition) name them, because the table has them by then. */
static bool is_internal(const struct region_column *c)
{
    bool table_id = c->id == KEY_COLUMN_TABLE_ID && strcmp(c->name, KEY_NAME_TABLE_ID) == 0 && c->type->id == TYPE_UINT32;
    bool tsid = c->id == KEY_COLUMN_TSID && strcmp(c->name, KEY_NAME_TSID) == 0 && c->type->id == TYPE_UINT64;
    return (table_id || tsid) && c->semantic == SEMANTIC_TAG && !c->nullable;
}

static int check_columns(const struct region_metadata *m, struct error *err)
{
    const struct region_column *field = NULL;
    for (uint32_t i = 0; i < m->n_columns; i++) {
        const struct region_column *c = &m->columns[i];
        if (is_internal(c))
            continue;
        if (strcmp(c->name, KEY_NAME_TABLE_ID) == 0 || strcmp(c->name, KEY_NAME_TSID) == 0)
            return error_set(err, ST_INVALID_ARGUMENTS, "Internal column %s is reserved", c->name);
        if (c->semantic == SEMANTIC_TAG && c->type->id != TYPE_UTF8)
            return type_mismatch("String(StringType { size_type: Utf8 })", c->type, err);
        if (c->semantic != SEMANTIC_FIELD)
            continue;
        if (field)
            return error_set(err, ST_INVALID_ARGUMENTS, "Multiple field column found: %s and %s", field->name, c->name);
        field = c;
    }
    if (!field)
        return error_set(err, ST_INVALID_ARGUMENTS, "No field column found");
    return field->type->id == TYPE_FLOAT64 ? ST_OK : type_mismatch("Float64(Float64Type)", field->type, err);
}

static int read_kind(struct metric_create *c, struct error *err)
{
    const char *logical = kv_list_get(c->options, c->n_options, OPTION_LOGICAL);
    char *end;
    c->physical = kv_list_get(c->options, c->n_options, OPTION_PHYSICAL) != NULL;
    if (c->physical && logical)
        return error_set(err, ST_INVALID_ARGUMENTS, "Conflicted region options: both " OPTION_PHYSICAL " and " OPTION_LOGICAL " are given");
    if (!c->physical && !logical)
        return error_set(err, ST_INVALID_ARGUMENTS, "Missing region option: neither " OPTION_PHYSICAL " nor " OPTION_LOGICAL " is given");
    if (c->physical)
        return ST_OK;
    c->physical_id = strtoull(logical, &end, 10);
    if (*logical < '0' || *logical > '9' || *end)
        return error_set(err, ST_UNEXPECTED, "Failed to parse region id: %.200s", logical);
    return ST_OK;
}

int metric_create_read(struct message create, struct metric_create *ret_create, struct error *err)
{
    struct metric_create c = {.message = create, .path = ""};
    struct pb_reader r = pb_reader_of(create.data, create.size);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT) {
            c.region_id = f.value;
        } else if (f.number == 5 && f.wire == PB_BYTES) {
            c.path = (const char *)f.data;
            c.path_size = f.size;
        }
    }
    int st = options_map_read(create.data, create.size, 6, &c.options, &c.n_options, err);
    if (st == ST_OK)
        st = region_metadata_from_create(create.data, create.size, false, ST_UNEXPECTED, &c.columns, err);
    if (st == ST_OK)
        st = read_kind(&c, err);
    if (st == ST_OK)
        st = check_columns(c.columns, err);
    if (st == ST_OK)
        *ret_create = c;
    else
        metric_create_release(&c);
    return st;
}

void metric_create_release(struct metric_create *c)
{
    kv_list_free(c->options, c->n_options);
    region_metadata_unref(c->columns);
    *c = (struct metric_create){0};
}

/* ---- options ---- */

int metric_index_parse(const struct kv *options, uint32_t n, struct metric_index *ret_index, struct error *err)
{
    const char *kind = kv_list_get(options, n, "index.type"), *granularity = kv_list_get(options, n, "index.granularity"),
               *rate = kv_list_get(options, n, "index.false_positive_rate");
    struct metric_index index = {METRIC_INDEX_NONE, 102400, 100};
    char *end;
    if (kind && strcasecmp(kind, "inverted") == 0)
        index.kind = METRIC_INDEX_INVERTED;
    else if (kind && strcasecmp(kind, "skipping") == 0)
        index.kind = METRIC_INDEX_SKIPPING;
    else if (kind)
        return error_set(err, ST_INVALID_ARGUMENTS, "Failed to parse region options: Invalid index type: %.200s", kind);
    if (index.kind == METRIC_INDEX_SKIPPING && granularity) {
        unsigned long long g = strtoull(granularity, &end, 10);
        if (*granularity < '0' || *granularity > '9' || *end || g == 0 || g > UINT32_MAX)
            return error_set(err, ST_INVALID_ARGUMENTS, "Failed to parse region options: Invalid granularity: %.200s", granularity);
        index.granularity = (uint32_t)g;
    }
    if (index.kind == METRIC_INDEX_SKIPPING && rate) {
        double d = strtod(rate, &end);
        if (end == rate || *end || !(d > 0) || d > 1)
            return error_set(err, ST_INVALID_ARGUMENTS, "Failed to parse region options: Invalid false positive rate: %.200s", rate);
        index.rate_in_10000 = (uint32_t)(d * 10000 + 1e-6);
    }
    *ret_index = index;
    return ST_OK;
}

int metric_index_options(const struct metric_index *index, struct kv **options, uint32_t *n, struct error *err)
{
    char granularity[16], rate[16];
    const struct kv own[] = {{(char *)"index.type", (char *)(index->kind == METRIC_INDEX_INVERTED ? "inverted" : "skipping")},
                             {(char *)"index.granularity", granularity},
                             {(char *)"index.false_positive_rate", rate}};
    uint32_t count = index->kind == METRIC_INDEX_NONE ? 0 : index->kind == METRIC_INDEX_INVERTED ? 1 : 3;
    snprintf(granularity, sizeof granularity, "%u", index->granularity);
    snprintf(rate, sizeof rate, "%.4f", index->rate_in_10000 / 10000.0);
    struct kv *grown = realloc(*options, ((size_t)*n + count + 1) * sizeof *grown);
    if (!grown)
        return error_no_memory(err, count * sizeof *grown);
    *options = grown;
    for (uint32_t i = 0; i < count; i++) {
        grown[*n] = (struct kv){strdup(own[i].key), strdup(own[i].value)};
        bool good = grown[*n].key && grown[*n].value;
        ++*n;
        if (!good)
            return error_no_memory(err, 64);
    }
    return ST_OK;
}

struct option_list {
    struct kv *kv;
    uint32_t n;
};

static void set_option(struct option_list *l, const char *key, const char *value)
{
    uint32_t i = 0;
    while (i < l->n && strcmp(l->kv[i].key, key) != 0)
        i++;
    l->kv[i] = (struct kv){(char *)key, (char *)value};
    l->n += i == l->n;
}

int metric_data_options(const struct kv *options, uint32_t n, bool sparse_default, struct kv **ret_options, uint32_t *ret_n, bool *ret_sparse,
                        struct error *err)
{
    static const char *const own[] = {"index.type", "index.granularity", "index.false_positive_rate"};
    struct option_list l = {calloc((size_t)n + 6, sizeof *l.kv), 0};
    if (!l.kv)
        return error_no_memory(err, n * sizeof *l.kv);
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(options[i].key, own[0]) != 0 && strcmp(options[i].key, own[1]) != 0 && strcmp(options[i].key, own[2]) != 0)
            l.kv[l.n++] = options[i];
    set_option(&l, "index.inverted_index.segment_row_count", "256");
    set_option(&l, "memtable.type", "partition_tree");
    const char *encoding = kv_list_get(options, n, OPTION_ENCODING);
    if (!encoding && sparse_default)
        set_option(&l, OPTION_ENCODING, encoding = "sparse");
    if (!kv_list_get(options, n, OPTION_WINDOW)) {
        set_option(&l, "compaction.type", "twcs");
        set_option(&l, OPTION_WINDOW, "1d");
    }
    *ret_sparse = encoding && strcmp(encoding, "sparse") == 0;
    *ret_options = l.kv;
    *ret_n = l.n;
    return ST_OK;
}

int metric_metadata_options(const struct kv *options, uint32_t n, struct kv **ret_options, uint32_t *ret_n, struct error *err)
{
    struct option_list l = {calloc(2, sizeof *l.kv), 0};
    const char *wal = kv_list_get(options, n, "wal_options");
    if (!l.kv)
        return error_no_memory(err, 2 * sizeof *l.kv);
    set_option(&l, "ttl", "forever");
    if (wal)
        set_option(&l, "wal_options", wal);
    *ret_options = l.kv;
    *ret_n = l.n;
    return ST_OK;
}

/* ---- schemas ---- */

/* ColumnDef.options = 8 {options = 1 {key = 1, value = 2}}. */
static int put_column_option(struct dynbuf *def, const char *key, const char *value, struct error *err)
{
    size_t k = strlen(key), v = strlen(value), entry = 1 + pb_varint_size(k) + k + 1 + pb_varint_size(v) + v;
    TRY(pb_put_varint(def, 8 << 3 | PB_BYTES, err));
    TRY(pb_put_varint(def, 1 + pb_varint_size(entry) + entry, err));
    TRY(pb_put_varint(def, 1 << 3 | PB_BYTES, err));
    TRY(pb_put_varint(def, entry, err));
    TRY(pb_put_string(def, 1, key, err));
    return pb_put_string(def, 2, value, err);
}

/* RegionColumnDef{column_def = 1, column_id = 2} as `field` of out. */
static int put_region_column(struct dynbuf *out, uint32_t field, const struct dynbuf *def, uint32_t id, struct error *err)
{
    size_t inside = 1 + pb_varint_size(def->size) + def->size + 1 + pb_varint_size(id);
    TRY(pb_put_varint(out, (uint64_t)field << 3 | PB_BYTES, err));
    TRY(pb_put_varint(out, inside, err));
    TRY(pb_put_bytes(out, 1, def->data, def->size, err));
    return pb_put_uint(out, 2, id, err);
}

/* A column of the request; tags become nullable: of a scalar field that stands twice the last one counts. */
static int copy_column(struct dynbuf *out, const struct pb_field *column, bool is_tag, uint32_t id, struct error *err)
{
    struct dynbuf def;
    struct pb_field f, inner = {0};
    for (struct pb_reader r = pb_inside(column); pb_next(&r, &f);)
        if (f.number == 1 && f.wire == PB_BYTES)
            inner = f;
    dynbuf_init(&def, inner.size + 16);
    int st = dynbuf_append(&def, inner.data, inner.size, err);
    if (st == ST_OK && is_tag)
        st = pb_put_uint(&def, 3, 1, err);
    if (st == ST_OK)
        st = put_region_column(out, 3, &def, id, err);
    dynbuf_release(&def);
    return st;
}

static int put_internal_column(struct dynbuf *out, const char *name, uint32_t datatype, const char *index, uint32_t id, struct error *err)
{
    struct dynbuf def;
    dynbuf_init(&def, 1024);
    int st = pb_put_string(&def, 1, name, err);
    if (st == ST_OK)
        st = pb_put_uint(&def, 2, datatype, err);
    if (st == ST_OK && index)
        st = put_column_option(&def, "skipping_index", index, err);
    if (st == ST_OK)
        st = put_region_column(out, 3, &def, id, err);
    dynbuf_release(&def);
    return st;
}

static int put_data_create(const struct metric_create *c, struct dynbuf *out, struct error *err)
{
    enum { UINT32 = 7, UINT64 = 8 }; /* ColumnDataType */
    struct pb_reader r = pb_reader_of(c->message.data, c->message.size);
    struct pb_field f;
    uint32_t i = 0;
    bool table_id = false, tsid = false;
    TRY(pb_put_uint(out, 1, c->region_id, err));
    TRY(pb_put_uint(out, 4, KEY_COLUMN_TABLE_ID, err));
    TRY(pb_put_uint(out, 4, KEY_COLUMN_TSID, err));
    while (pb_next(&r, &f)) {
        if (f.number == 3 && f.wire == PB_BYTES) {
            const struct region_column *column = &c->columns->columns[i++];
            bool internal = is_internal(column), is_tag = column->semantic == SEMANTIC_TAG && !internal;
            table_id |= internal && column->id == KEY_COLUMN_TABLE_ID;
            tsid |= internal && column->id == KEY_COLUMN_TSID;
            TRY(copy_column(out, &f, is_tag, column->id, err));
            if (is_tag)
                TRY(pb_put_uint(out, 4, column->id, err));
        } else if (f.number == 7 && f.wire == PB_BYTES) {
            TRY(pb_put_bytes(out, 7, f.data, f.size, err));
        }
    }
    if (!table_id)
        TRY(put_internal_column(out, KEY_NAME_TABLE_ID, UINT32, table_id_index, KEY_COLUMN_TABLE_ID, err));
    return tsid ? ST_OK : put_internal_column(out, KEY_NAME_TSID, UINT64, NULL, KEY_COLUMN_TSID, err);
}

int metric_data_schema(const struct metric_create *c, bool sparse, struct region_metadata **ret_meta, struct error *err)
{
    struct dynbuf request;
    dynbuf_init(&request, c->message.size + (c->message.size << 1) + 4096);
    int st = put_data_create(c, &request, err);
    if (st == ST_OK)
        st = region_metadata_from_create(request.data, request.size, sparse, ST_INVALID_ARGUMENTS, ret_meta, err);
    dynbuf_release(&request);
    return st;
}

int metric_metadata_schema(uint64_t metadata_id, struct region_metadata **ret_meta, struct error *err)
{
    static const char form[] =
        "{\"column_metadatas\":[{\"column_schema\":{\"name\":\"ts\",\"data_type\":{\"Timestamp\":{\"Millisecond\":null}},\"is_nullable\":false,"
        "\"is_time_index\":false,\"default_constraint\":{\"Value\":{\"Timestamp\":{\"value\":0,\"unit\":\"Millisecond\"}}},\"metadata\":{}},"
        "\"semantic_type\":\"Timestamp\",\"column_id\":0},{\"column_schema\":{\"name\":\"k\",\"data_type\":{\"String\":{\"size_type\":\"Utf8\"}},"
        "\"is_nullable\":false,\"is_time_index\":false,\"default_constraint\":null,\"metadata\":{}},\"semantic_type\":\"Tag\",\"column_id\":1},"
        "{\"column_schema\":{\"name\":\"v\",\"data_type\":{\"String\":{\"size_type\":\"Utf8\"}},\"is_nullable\":true,\"is_time_index\":false,"
        "\"default_constraint\":null,\"metadata\":{}},\"semantic_type\":\"Field\",\"column_id\":2}],\"primary_key\":[1],\"region_id\":%llu,"
        "\"schema_version\":0,\"primary_key_encoding\":\"dense\",\"partition_expr\":\"\"}";
    char text[sizeof form + 32];
    int n = snprintf(text, sizeof text, form, (unsigned long long)metadata_id);
    return region_metadata_from_json(text, (size_t)n, ret_meta, err);
}

/* ---- new labels ---- */

static int put_label(struct dynbuf *out, const char *name, uint32_t id, const struct metric_index *index, struct error *err)
{
    enum { STRING = 12 };
    struct dynbuf def, column;
    char text[128];
    dynbuf_init(&def, strlen(name) + 1024);
    dynbuf_init(&column, strlen(name) + 2048);
    int st = pb_put_string(&def, 1, name, err);
    if (st == ST_OK)
        st = pb_put_uint(&def, 2, STRING, err);
    if (st == ST_OK)
        st = pb_put_uint(&def, 3, 1, err);
    if (st == ST_OK && index->kind == METRIC_INDEX_INVERTED)
        st = put_column_option(&def, "inverted_index", "true", err);
    snprintf(text, sizeof text, "{\"granularity\":%u,\"false-positive-rate-in-10000\":%u,\"index-type\":\"BloomFilter\"}", index->granularity,
             index->rate_in_10000);
    if (st == ST_OK && index->kind == METRIC_INDEX_SKIPPING)
        st = put_column_option(&def, "skipping_index", text, err);
    if (st == ST_OK)
        st = put_region_column(&column, 1, &def, id, err);
    if (st == ST_OK)
        st = pb_put_bytes(out, 1, column.data, column.size, err);
    dynbuf_release(&def);
    dynbuf_release(&column);
    return st;
}

int metric_add_labels(uint64_t data_id, const char *const *names, uint32_t n, uint32_t first_id, const struct metric_index *index, struct dynbuf *out,
                      struct error *err)
{
    struct dynbuf add;
    dynbuf_init(&add, 256 << 20);
    int st = pb_put_uint(out, 1, data_id, err);
    for (uint32_t i = 0; i < n && st == ST_OK; i++)
        st = put_label(&add, names[i], first_id + i, index, err);
    if (st == ST_OK)
        st = pb_put_bytes(out, 2, add.data, add.size, err);
    dynbuf_release(&add);
    return st;
}
