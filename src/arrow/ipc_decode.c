/* Record batches and dictionaries from IPC messages.
 *
 * Invariant: a column that comes out obeys arrow/column.h whatever the bytes were: offsets rise and stay inside their data, keys inside their
 * dictionary, strings are UTF-8. Source of the format: Arrow columnar format 1.5 (Message.fbs); nodes and buffers are consumed depth first.
 */
#include <stdlib.h>
#include <string.h>

#include "arrow/ipc_internal.h"
#include "base/bits.h"
#include "base/text.h"

struct dictionary {
    int64_t id;
    struct dtype *values;  /* borrowed from the schema */
    uint32_t inside;       /* how many dictionary fields the values hold themselves: they follow in the array */
    struct column *column; /* NULL until a message brought it */
};

struct ipc_dictionaries {
    struct schema *schema;
    struct dictionary *entries; /* depth first, a dictionary before those inside its values */
    uint32_t n;
};

struct decoder {
    struct budget *budget;
    struct ipc_body body;
    struct fb_vector nodes, variadic;
    uint32_t next_node, next_variadic, next_dictionary;
    struct ipc_dictionaries *dictionaries; /* may be NULL */
};

/* A column's head: its FieldNode and, after take_validity(), its bitmap. */
struct node {
    int64_t length, nulls;
    struct buffer *validity;
};

static int decode_column(struct decoder *d, struct dtype *type, struct column **ret_column, struct error *err);

static int take_node(struct decoder *d, struct node *ret_node, struct error *err)
{
    if (d->next_node >= d->nodes.count)
        return error_set(err, ST_CORRUPT, "Arrow batch has too few nodes for its schema");
    const uint8_t *p = fb_vector_data(&d->nodes) + 16 * (size_t)d->next_node++;
    int64_t length = (int64_t)load_le64(p), nulls = (int64_t)load_le64(p + 8);
    if (length < 0 || length > INT32_MAX || nulls < 0 || nulls > length)
        return error_set(err, ST_CORRUPT, "Arrow column of %lld rows and %lld nulls", (long long)length, (long long)nulls);
    *ret_node = (struct node){.length = length, .nulls = nulls};
    return ST_OK;
}

/* Nulls are counted here, so that later code can rely on the number. */
static int take_validity(struct decoder *d, struct node *n, struct error *err)
{
    if (n->nulls == 0)
        return ipc_body_skip(&d->body, err);
    TRY(ipc_body_take(&d->body, bits_bytes(n->length), &n->validity, err));
    n->nulls = n->length - bits_count(n->validity->data, 0, n->length);
    return ST_OK;
}

static bool node_valid(const struct node *n, int64_t i)
{
    return !n->validity || bit_get(n->validity->data, i);
}

/* ---- offsets ---- */

static int narrow_offsets(struct budget *budget, const struct buffer *wide, int64_t n, struct buffer **ret_offsets, struct error *err)
{
    struct buffer *b;
    TRY(buffer_new_uninit(budget, (size_t)(n + 1) * 4, &b, err));
    int64_t worst = 0;
    for (int64_t i = 0; i <= n; i++) {
        int64_t v = (int64_t)load_le64(wide->data + 8 * i);
        worst |= v;
        store_le32(b->data + 4 * i, (uint32_t)v);
    }
    if (worst < 0 || worst > INT32_MAX) {
        buffer_unref(b);
        return worst < 0 ? error_set(err, ST_CORRUPT, "negative Arrow offset") : error_set(err, ST_UNSUPPORTED, "Arrow column of more than 2 GiB");
    }
    *ret_offsets = b;
    return ST_OK;
}

/* The offsets of n values as int32, rising from 0 or more; no rows may come without any offset. */
static int take_offsets(struct decoder *d, int64_t n, bool large, struct buffer **ret_offsets, struct error *err)
{
    struct buffer *b, *wide;
    if (n == 0) {
        TRY(ipc_body_skip(&d->body, err));
        return buffer_new(d->budget, 4, ret_offsets, err);
    }
    if (large) {
        TRY(ipc_body_take(&d->body, (size_t)(n + 1) * 8, &wide, err));
        int st = narrow_offsets(d->budget, wide, n, &b, err);
        buffer_unref(wide);
        TRY(st);
    } else {
        TRY(ipc_body_take(&d->body, (size_t)(n + 1) * 4, &b, err));
    }
    const int32_t *o = (const int32_t *)(const void *)b->data;
    bool good = o[0] >= 0;
    for (int64_t i = 0; i < n; i++)
        good &= o[i] <= o[i + 1];
    if (!good) {
        buffer_unref(b);
        return error_set(err, ST_CORRUPT, "Arrow offsets fall");
    }
    *ret_offsets = b;
    return ST_OK;
}

/* ---- strings ---- */

static int check_utf8(const struct node *n, const int32_t *o, const uint8_t *bytes, struct error *err)
{
    if (text_is_ascii(bytes + o[0], (size_t)(o[n->length] - o[0])))
        return ST_OK;
    for (int64_t i = 0; i < n->length; i++)
        if (node_valid(n, i) && !utf8_valid(bytes + o[i], (size_t)(o[i + 1] - o[i])))
            return error_set(err, ST_CORRUPT, "Arrow string in row %lld is not UTF-8", (long long)i);
    return ST_OK;
}

static int decode_varlen(struct decoder *d, const struct dtype *type, const struct node *n, struct buffer **ret_offsets, struct buffer **ret_bytes,
                         struct error *err)
{
    struct buffer *offsets, *bytes = NULL;
    TRY(take_offsets(d, n->length, type->id == TYPE_LARGE_UTF8 || type->id == TYPE_LARGE_BINARY, &offsets, err));
    const int32_t *o = (const int32_t *)(const void *)offsets->data;
    int st = ipc_body_take(&d->body, (size_t)o[n->length], &bytes, err);
    if (st == ST_OK && type_is_string(type))
        st = check_utf8(n, o, bytes->data, err);
    if (st != ST_OK) {
        buffer_unref(offsets);
        buffer_unref(bytes);
        return st;
    }
    *ret_offsets = offsets;
    *ret_bytes = bytes;
    return ST_OK;
}

/* ---- views ---- */

/* Bytes of view i inside the inline part or one of the data buffers; false when it points elsewhere. */
static bool view_bytes(const uint8_t *view, struct buffer *const *data, uint32_t n_data, const uint8_t **ret_bytes, uint32_t *ret_size)
{
    uint32_t size = load_le32(view), index = load_le32(view + 8), offset = load_le32(view + 12);
    *ret_size = size;
    *ret_bytes = view + 4;
    if (size <= 12)
        return true;
    if (size > INT32_MAX || index >= n_data || offset > data[index]->size || size > data[index]->size - offset)
        return false;
    *ret_bytes = data[index]->data + offset;
    return memcmp(*ret_bytes, view + 4, 4) == 0;
}

static int flatten_views(struct decoder *d, const struct node *n, const struct buffer *views, struct buffer *const *data, uint32_t n_data,
                         struct buffer **ret_offsets, struct buffer **ret_bytes, struct error *err)
{
    const uint8_t *at;
    uint32_t size;
    struct buffer *offsets, *bytes;
    TRY(buffer_new_uninit(d->budget, (size_t)(n->length + 1) * 4, &offsets, err));
    uint64_t total = 0;
    int st = ST_OK;
    store_le32(offsets->data, 0);
    for (int64_t i = 0; st == ST_OK && i < n->length; i++) {
        if (node_valid(n, i)) {
            if (!view_bytes(views->data + 16 * i, data, n_data, &at, &size))
                st = error_set(err, ST_CORRUPT, "Arrow view in row %lld points outside its data", (long long)i);
            else if ((total += size) > INT32_MAX)
                st = error_set(err, ST_UNSUPPORTED, "Arrow view column of more than 2 GiB");
        }
        store_le32(offsets->data + 4 * (i + 1), (uint32_t)total);
    }
    if (st == ST_OK)
        st = buffer_new_uninit(d->budget, (size_t)total, &bytes, err);
    if (st != ST_OK) {
        buffer_unref(offsets);
        return st;
    }
    for (int64_t i = 0; i < n->length; i++) {
        uint32_t to = load_le32(offsets->data + 4 * i);
        if (node_valid(n, i) && view_bytes(views->data + 16 * i, data, n_data, &at, &size) && size)
            memcpy(bytes->data + to, at, size);
    }
    *ret_offsets = offsets;
    *ret_bytes = bytes;
    return ST_OK;
}

static int decode_views(struct decoder *d, const struct dtype *type, const struct node *n, struct buffer **ret_offsets, struct buffer **ret_bytes,
                        struct error *err)
{
    if (d->next_variadic >= d->variadic.count)
        return error_set(err, ST_CORRUPT, "Arrow batch has too few variadic buffer counts for its schema");
    uint64_t count = load_le64(fb_vector_data(&d->variadic) + 8 * (size_t)d->next_variadic++);
    if (count > d->body.buffers.count)
        return error_set(err, ST_CORRUPT, "Arrow view column of %llu data buffers", (unsigned long long)count);
    struct buffer *views, **data, *offsets = NULL, *bytes = NULL;
    TRY(ipc_body_take(&d->body, (size_t)n->length * 16, &views, err));
    uint32_t got = 0;
    int st = ST_OK;
    data = calloc(count ? count : 1, sizeof *data);
    if (!data)
        st = error_no_memory(err, count * sizeof *data);
    for (; st == ST_OK && got < count; got += st == ST_OK)
        st = ipc_body_take(&d->body, IPC_WHOLE, &data[got], err);
    if (st == ST_OK)
        st = flatten_views(d, n, views, data, got, &offsets, &bytes, err);
    if (st == ST_OK && type_is_string(type))
        st = check_utf8(n, (const int32_t *)(const void *)offsets->data, bytes->data, err);
    for (uint32_t i = 0; i < got; i++)
        buffer_unref(data[i]);
    free(data);
    buffer_unref(views);
    if (st != ST_OK) {
        buffer_unref(offsets);
        buffer_unref(bytes);
        return st;
    }
    *ret_offsets = offsets;
    *ret_bytes = bytes;
    return ST_OK;
}

/* ---- dictionaries ---- */

static int64_t load_key(const uint8_t *keys, enum type_id type, int64_t i)
{
    switch (type) {
    case TYPE_INT8: return (int8_t)keys[i];
    case TYPE_UINT8: return keys[i];
    case TYPE_INT16: return (int16_t)load_le16(keys + 2 * i);
    case TYPE_UINT16: return load_le16(keys + 2 * i);
    case TYPE_INT32: return (int32_t)load_le32(keys + 4 * i);
    case TYPE_UINT32: return load_le32(keys + 4 * i);
    default: return (int64_t)load_le64(keys + 8 * i); /* of UINT64, what is past INT64_MAX is out of range as well */
    }
}

/* Keys as uint32; nulls get key 0, and keys of null values become nulls themselves. */
static int convert_keys(struct decoder *d, enum type_id key, struct node *n, const struct buffer *raw, const struct column *values,
                        struct buffer **ret_keys, struct error *err)
{
    struct buffer *keys, *validity = NULL;
    int64_t room = values->length;
    TRY(buffer_new(d->budget, (size_t)n->length * 4, &keys, err));
    int st = ST_OK;
    if (column_null_count(values) && (st = buffer_new(d->budget, bits_bytes(n->length), &validity, err)) == ST_OK) {
        if (n->validity)
            bits_copy(validity->data, 0, n->validity->data, 0, n->length);
        else
            bits_fill(validity->data, 0, n->length, true);
    }
    for (int64_t i = 0; st == ST_OK && i < n->length; i++) {
        if (!node_valid(n, i))
            continue;
        int64_t k = load_key(raw->data, key, i);
        if (k < 0 || k >= room)
            st = error_set(err, ST_CORRUPT, "Arrow dictionary key %lld of %lld values", (long long)k, (long long)room);
        else if (validity && column_is_null(values, k))
            bit_clear(validity->data, i);
        else
            store_le32(keys->data + 4 * i, (uint32_t)k);
    }
    if (st != ST_OK) {
        buffer_unref(keys);
        buffer_unref(validity);
        return st;
    }
    if (validity) {
        buffer_unref(n->validity);
        n->validity = validity;
        n->nulls = n->length - bits_count(validity->data, 0, n->length);
    }
    *ret_keys = keys;
    return ST_OK;
}

/* Takes the validity of `n`, also on failure. */
static int decode_dictionary_column(struct decoder *d, struct dtype *type, struct node *n, struct column **ret_column, struct error *err)
{
    static const uint8_t widths[] = {1, 2, 4, 8, 1, 2, 4, 8};
    struct column *values = NULL, *none = NULL;
    struct buffer *raw = NULL, *keys = NULL;
    const struct dictionary *entry = NULL;
    if (d->dictionaries && d->next_dictionary < d->dictionaries->n) {
        entry = &d->dictionaries->entries[d->next_dictionary];
        d->next_dictionary += 1 + entry->inside;
        values = column_ref(entry->column);
    }
    int st = ipc_body_take(&d->body, (size_t)n->length * widths[type->key - TYPE_INT8], &raw, err);
    /* Key 0 must exist even where no row uses it; a column of nothing but nulls may come without its dictionary. */
    if (st == ST_OK && (!values || values->length == 0))
        st = column_new_nulls(d->budget, type->children[0]->type, 1, &none, err);
    if (st == ST_OK && none && n->nulls < n->length)
        st = error_set(err, values ? ST_CORRUPT : ST_UNSUPPORTED, values ? "Arrow dictionary is empty" : "Arrow batch whose dictionary did not come");
    if (st == ST_OK)
        st = convert_keys(d, (enum type_id)type->key, n, raw, none ? none : values, &keys, err);
    buffer_unref(raw);
    if (st != ST_OK) {
        buffer_unref(n->validity);
        column_unref(none);
        column_unref(values);
        return st;
    }
    if (none) {
        column_unref(values);
        values = none;
    }
    return column_new_nested(type, n->length, n->nulls, n->validity, keys, &values, 1, ret_column, err);
}

/* ---- nested ---- */

/* The child shortened to the rows that its parent needs. */
static int fit_child(struct column **child, int64_t rows, struct error *err)
{
    if ((*child)->length == rows)
        return ST_OK;
    if ((*child)->length < rows)
        return error_set(err, ST_CORRUPT, "Arrow child column of %lld rows where %lld are needed", (long long)(*child)->length, (long long)rows);
    struct column *fit;
    TRY(column_slice(*child, 0, rows, &fit, err));
    column_unref(*child);
    *child = fit;
    return ST_OK;
}

static int decode_children(struct decoder *d, const struct dtype *type, const struct node *n, const int32_t *offsets, struct column **children,
                           uint32_t *made, struct error *err)
{
    int64_t rows = n->length;
    if (type->id == TYPE_FIXED_LIST)
        rows *= type->width;
    else if (offsets)
        rows = offsets[n->length];
    if (rows > INT32_MAX)
        return error_set(err, ST_CORRUPT, "Arrow list of %lld items", (long long)rows);
    for (; *made < type->n_children; ++*made) {
        struct column **child = &children[*made];
        TRY(decode_column(d, type->children[*made]->type, child, err));
        int st = fit_child(child, rows, err);
        if (st != ST_OK) {
            column_unref(*child);
            return st;
        }
    }
    return ST_OK;
}

/* Takes the validity of `n`, also on failure. */
static int decode_nested(struct decoder *d, struct dtype *type, const struct node *n, struct column **ret_column, struct error *err)
{
    struct buffer *offsets = NULL;
    uint32_t made = 0;
    struct column **children = calloc(type->n_children ? type->n_children : 1, sizeof *children);
    int st = children ? ST_OK : error_no_memory(err, type->n_children * sizeof *children);
    if (st == ST_OK && (type->id == TYPE_LIST || type->id == TYPE_LARGE_LIST || type->id == TYPE_MAP))
        st = take_offsets(d, n->length, type->id == TYPE_LARGE_LIST, &offsets, err);
    if (st == ST_OK)
        st = decode_children(d, type, n, offsets ? (const int32_t *)(const void *)offsets->data : NULL, children, &made, err);
    if (st == ST_OK) {
        st = column_new_nested(type, n->length, n->nulls, n->validity, offsets, children, made, ret_column, err);
    } else {
        for (uint32_t i = 0; i < made; i++)
            column_unref(children[i]);
        buffer_unref(offsets);
        buffer_unref(n->validity);
    }
    free(children);
    return st;
}

static int decode_column(struct decoder *d, struct dtype *type, struct column **ret_column, struct error *err)
{
    struct node n;
    struct buffer *b0 = NULL, *b1 = NULL;
    TRY(take_node(d, &n, err));
    if (type->id == TYPE_NULL)
        return column_new(type, n.length, n.length, NULL, NULL, NULL, ret_column, err);
    TRY(take_validity(d, &n, err));
    if (type->id == TYPE_DICTIONARY)
        return decode_dictionary_column(d, type, &n, ret_column, err);
    if (type_is_nested(type))
        return decode_nested(d, type, &n, ret_column, err);
    int st;
    if (type->id == TYPE_UTF8_VIEW || type->id == TYPE_BINARY_VIEW)
        st = decode_views(d, type, &n, &b0, &b1, err);
    else if (type_is_varlen(type))
        st = decode_varlen(d, type, &n, &b0, &b1, err);
    else
        st = ipc_body_take(&d->body, type->id == TYPE_BOOL ? bits_bytes(n.length) : (size_t)n.length * (size_t)type_width(type), &b0, err);
    if (st != ST_OK) {
        buffer_unref(n.validity);
        return st;
    }
    return column_new(type, n.length, n.nulls, n.validity, b0, b1, ret_column, err);
}

/* ---- messages ---- */

static int decoder_init(struct decoder *d, const struct fb_table *batch, int64_t body_length, struct buffer *body,
                        struct ipc_dictionaries *dictionaries, struct budget *budget, int64_t *ret_rows, struct error *err)
{
    struct fb_table packed = fb_table_at(batch, BATCH_COMPRESSION);
    uint8_t codec = fb_u8(&packed, 0, 0), method = fb_u8(&packed, 1, 0);
    int64_t rows = fb_i64(batch, BATCH_LENGTH, 0);
    *d = (struct decoder){.budget = budget, .dictionaries = dictionaries, .nodes = fb_vector_at(batch, BATCH_NODES, 16),
                          .variadic = fb_vector_at(batch, BATCH_VARIADIC, 8),
                          .body = {.bytes = body, .budget = budget, .buffers = fb_vector_at(batch, BATCH_BUFFERS, 16)}};
    if (batch->reader->bad || rows < 0 || rows > INT32_MAX || (uint64_t)body_length > (body ? body->size : 0))
        return ipc_bad_message(err);
    if (packed.pos) {
        if (codec > 1 || method != 0)
            return error_set(err, ST_UNSUPPORTED, "Arrow compression codec %u, method %u", codec, method);
        d->body.compression = codec ? IPC_ZSTD : IPC_LZ4;
    }
    *ret_rows = rows;
    return ST_OK;
}

static int decode_columns(struct decoder *d, struct schema *schema, int64_t rows, struct batch **ret_batch, struct error *err)
{
    uint32_t made = 0;
    int st = ST_OK;
    struct column **columns = calloc(schema->n_fields ? schema->n_fields : 1, sizeof *columns);
    if (!columns)
        return error_no_memory(err, schema->n_fields * sizeof *columns);
    while (st == ST_OK && made < schema->n_fields) {
        st = decode_column(d, schema->fields[made]->type, &columns[made], err);
        if (st == ST_OK && columns[made++]->length != rows)
            st = error_set(err, ST_CORRUPT, "Arrow column of %lld rows in a batch of %lld", (long long)columns[made - 1]->length, (long long)rows);
    }
    if (st == ST_OK && d->next_node != d->nodes.count)
        st = error_set(err, ST_CORRUPT, "Arrow batch has more nodes than its schema");
    if (st == ST_OK)
        st = batch_new(schema, rows, columns, ret_batch, err);
    else
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    free(columns);
    return st;
}

int ipc_decode_batch(struct schema *schema, struct ipc_dictionaries *dictionaries, const void *message, size_t size, struct buffer *body,
                     struct budget *budget, struct batch **ret_batch, struct error *err)
{
    struct fb_reader r;
    struct fb_table header;
    struct decoder d;
    uint8_t type;
    int64_t body_length, rows;
    TRY(ipc_open_message(&r, message, size, &type, &header, &body_length, err));
    if (type != HEADER_BATCH)
        return error_set(err, ST_CORRUPT, "Arrow message of type %u in place of a record batch", type);
    TRY(decoder_init(&d, &header, body_length, body, dictionaries, budget, &rows, err));
    int st = decode_columns(&d, schema, rows, ret_batch, err);
    ipc_body_release(&d.body);
    return st;
}

static uint32_t count_dictionaries(const struct dtype *t)
{
    uint32_t n = t->id == TYPE_DICTIONARY;
    for (uint32_t i = 0; i < t->n_children; i++)
        n += count_dictionaries(t->children[i]->type);
    return n;
}

static void list_dictionaries(struct ipc_dictionaries *d, const struct dtype *t, const int64_t *ids, uint32_t *next)
{
    if (t->id == TYPE_DICTIONARY) {
        struct dtype *values = t->children[0]->type;
        d->entries[*next] = (struct dictionary){.id = ids[*next], .values = values, .inside = count_dictionaries(values)};
        ++*next;
    }
    for (uint32_t i = 0; i < t->n_children; i++)
        list_dictionaries(d, t->children[i]->type, ids, next);
}

int ipc_dictionaries_new(const void *schema_message, size_t size, struct schema **ret_schema, struct ipc_dictionaries **ret_dictionaries,
                         struct error *err)
{
    struct fb_reader r;
    struct fb_table header;
    struct ipc_ids ids = {0};
    struct schema *schema = NULL;
    uint8_t type;
    int64_t body;
    uint32_t next = 0;
    TRY(ipc_open_message(&r, schema_message, size, &type, &header, &body, err));
    if (type != HEADER_SCHEMA)
        return error_set(err, ST_CORRUPT, "Arrow message of type %u in place of a schema", type);
    struct ipc_dictionaries *d = calloc(1, sizeof *d);
    int st = d ? ipc_read_schema(&header, &schema, &ids, err) : error_no_memory(err, sizeof *d);
    if (st == ST_OK && !(d->entries = calloc(ids.n ? ids.n : 1, sizeof *d->entries)))
        st = error_no_memory(err, ids.n * sizeof *d->entries);
    if (st == ST_OK) {
        d->schema = schema_ref(schema);
        d->n = ids.n;
        for (uint32_t i = 0; i < schema->n_fields; i++)
            list_dictionaries(d, schema->fields[i]->type, ids.ids, &next);
        if (next != ids.n)
            st = ipc_bad_message(err);
    }
    free(ids.ids);
    if (st != ST_OK) {
        ipc_dictionaries_free(d);
        schema_unref(schema);
        return st;
    }
    *ret_schema = schema;
    *ret_dictionaries = d;
    return ST_OK;
}

void ipc_dictionaries_free(struct ipc_dictionaries *d)
{
    if (!d)
        return;
    for (uint32_t i = 0; i < d->n; i++)
        column_unref(d->entries[i].column);
    free(d->entries);
    schema_unref(d->schema);
    free(d);
}

/* The values of the dictionary at `index` from a RecordBatch table of one column. */
static int decode_values(struct ipc_dictionaries *dictionaries, uint32_t index, const struct fb_table *data, int64_t body_length, struct buffer *body,
                         struct budget *budget, struct column **ret_values, struct error *err)
{
    struct decoder d;
    struct column *values = NULL;
    int64_t rows;
    TRY(decoder_init(&d, data, body_length, body, dictionaries, budget, &rows, err));
    d.next_dictionary = index + 1;
    int st = decode_column(&d, dictionaries->entries[index].values, &values, err);
    ipc_body_release(&d.body);
    if (st == ST_OK && (values->length != rows || d.next_node != d.nodes.count)) {
        column_unref(values);
        return error_set(err, ST_CORRUPT, "Arrow dictionary of another shape than its field");
    }
    if (st == ST_OK)
        *ret_values = values;
    return st;
}

int ipc_decode_dictionary(struct ipc_dictionaries *d, const void *message, size_t size, struct buffer *body, struct budget *budget, struct error *err)
{
    struct fb_reader r;
    struct fb_table header;
    struct column *values = NULL;
    uint8_t type;
    int64_t body_length;
    uint32_t index = 0;
    TRY(ipc_open_message(&r, message, size, &type, &header, &body_length, err));
    if (type != HEADER_DICTIONARY)
        return error_set(err, ST_CORRUPT, "Arrow message of type %u in place of a dictionary", type);
    int64_t id = fb_i64(&header, DICTIONARY_ID, 0);
    bool delta = fb_u8(&header, DICTIONARY_DELTA, 0) != 0;
    struct fb_table data = fb_table_at(&header, DICTIONARY_DATA);
    if (r.bad || data.pos == 0)
        return ipc_bad_message(err);
    while (index < d->n && d->entries[index].id != id)
        index++;
    if (index == d->n)
        return error_set(err, ST_CORRUPT, "Arrow dictionary of an id (%lld) that the schema does not name", (long long)id);
    TRY(decode_values(d, index, &data, body_length, body, budget, &values, err));
    if (delta && d->entries[index].column) {
        struct column *parts[2] = {d->entries[index].column, values}, *both = NULL;
        int st = parts[0]->length + parts[1]->length > INT32_MAX ? error_set(err, ST_UNSUPPORTED, "Arrow dictionary of more than 2^31 values")
                                                                 : column_concat(budget, parts, 2, &both, err);
        column_unref(values);
        TRY(st);
        values = both;
    }
    /* Fields may share an id, but only when their values are alike. */
    for (uint32_t i = index; i < d->n; i++) {
        if (d->entries[i].id != id)
            continue;
        if (!type_equal(d->entries[i].values, d->entries[index].values, false)) {
            column_unref(values);
            return error_set(err, ST_CORRUPT, "Arrow dictionary id %lld stands for two types", (long long)id);
        }
        column_unref(d->entries[i].column);
        d->entries[i].column = column_ref(values);
    }
    column_unref(values);
    return ST_OK;
}

int ipc_message_kind(const void *message, size_t size, enum ipc_message *ret_kind, struct error *err)
{
    struct fb_reader r;
    struct fb_table header;
    uint8_t type;
    int64_t body;
    TRY(ipc_open_message(&r, message, size, &type, &header, &body, err));
    if (type > HEADER_BATCH)
        return error_set(err, ST_UNSUPPORTED, "Arrow message of type %u", type);
    *ret_kind = (enum ipc_message)type;
    return ST_OK;
}
