/* decode_primary_key (functions.md 1.14): the columns in a region's primary key as a list of texts `name : value`. A tool for people, so every row is
 * decoded by itself, into columns of one value.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "exec/cast_text.h"
#include "exec/kernel_list.h"
#include "exec/kernel_typed.h"
#include "format/key/key.h"
#include "format/key/sparse.h"
#include "format/region/metadata.h"

enum { LABELS_MAX = 4096 }; /* of a sparse key */

struct key_reader {
    const struct region_metadata *meta;
    bool sparse;
    struct expr_context *ctx;
    struct dynbuf text, scratch;  /* one item of the list; a label */
    struct column_builder *items; /* of the list that is being made */
};

/* A literal text; error unless it is one. */
static int literal_text(const struct expr *e, uint32_t arg, const char *what, const char **ret_text, size_t *ret_size, struct error *err)
{
    int32_t n;
    const struct column *c = expr_literal(e->args[arg]);
    if (!c || !type_is_string(c->type) || column_is_null(c, 0))
        return error_set(err, ST_EXECUTE_QUERY, "%s must be a string literal", what);
    *ret_text = (const char *)column_bytes(c, 0, &n);
    *ret_size = (size_t)n;
    return ST_OK;
}

static int bind_key(struct expr *e, struct error *err)
{
    if (!type_is_binary(e->args[0]->type))
        return expr_type_error(e, err);
    e->type = list_type_of(type_of(TYPE_UTF8));
    return e->type ? ST_OK : error_no_memory(err, 64);
}

/* Appends a value as the peer's Value prints it. */
static int put_value(struct dynbuf *out, const struct column *c, struct error *err)
{
    char text[NUMBER_PLAIN_MAX];
    size_t n;
    if (column_is_null(c, 0))
        return dynbuf_append(out, "null", 4, err);
    if (type_is_varlen(c->type)) {
        int32_t size;
        const uint8_t *p = column_bytes(c, 0, &size);
        for (int32_t i = 0; type_is_binary(c->type) && i < size; i++)
            TRY(dynbuf_printf(out, err, "%02x", p[i]));
        return type_is_binary(c->type) ? ST_OK : dynbuf_append(out, p, (size_t)size, err);
    }
    if (c->type->id == TYPE_FLOAT32 || c->type->id == TYPE_FLOAT64) {
        bool single = c->type->id == TYPE_FLOAT32;
        n = number_plain(single ? (double)*COLUMN_VALUES(c, float) : *COLUMN_VALUES(c, double), single, text);
        return dynbuf_append(out, text, n, err);
    }
    n = text_of_value(c, 0, text, sizeof text);
    char *t = c->type->id == TYPE_TIMESTAMP ? memchr(text, 'T', n) : NULL;
    if (!t)
        return dynbuf_append(out, text, n, err);
    *t = ' ';
    TRY(dynbuf_append(out, text, n, err));
    return dynbuf_append(out, "+0000", 5, err);
}

/* Ends an item with the value that the builder holds. */
static int end_item(struct key_reader *r, const char *name, struct column_builder *value, struct error *err)
{
    struct column *c;
    TRY(column_builder_finish(value, &c, err));
    dynbuf_clear(&r->text);
    int st = dynbuf_printf(&r->text, err, "%s : ", name);
    if (st == ST_OK)
        st = put_value(&r->text, c, err);
    column_unref(c);
    return st == ST_OK ? column_builder_append_bytes(r->items, r->text.data, r->text.size, err) : st;
}

static int dense_key(struct key_reader *r, const uint8_t *key, size_t size, struct error *err)
{
    size_t pos = 0;
    for (uint32_t k = 0; k < r->meta->n_key; k++) {
        const struct region_column *column = &r->meta->columns[r->meta->key[k]];
        struct column_builder value;
        TRY(column_builder_init(&value, r->ctx->budget, column->type, err));
        int st = key_decode_value(key, size, &pos, &value, err);
        if (st == ST_OK)
            st = end_item(r, column->name, &value, err);
        column_builder_release(&value);
        TRY(st);
    }
    return ST_OK;
}

struct label_ids {
    uint32_t n, ids[LABELS_MAX];
};

/* Keeps the ids in ascending order: in a key they are in the order of the labels' names. */
static int note_label(void *ctx, uint32_t column_id, struct error *err)
{
    struct label_ids *l = ctx;
    if (l->n == LABELS_MAX - 2)
        return error_set(err, ST_UNSUPPORTED, "a primary key with more than %d labels", LABELS_MAX - 2);
    uint32_t at = l->n++;
    for (; at && l->ids[at - 1] > column_id; at--)
        l->ids[at] = l->ids[at - 1];
    l->ids[at] = column_id;
    return ST_OK;
}

static int sparse_item(struct key_reader *r, const uint8_t *key, size_t size, uint32_t id, struct error *err)
{
    struct column_builder value;
    char number[16];
    int column = region_metadata_find_id(r->meta, id);
    snprintf(number, sizeof number, "%u", id);
    const char *name = column >= 0                 ? r->meta->columns[column].name
                       : id == KEY_COLUMN_TSID     ? KEY_NAME_TSID
                       : id == KEY_COLUMN_TABLE_ID ? KEY_NAME_TABLE_ID
                                                   : number;
    TRY(column_builder_init(&value, r->ctx->budget,
                            type_of(id == KEY_COLUMN_TSID       ? TYPE_UINT64
                                    : id == KEY_COLUMN_TABLE_ID ? TYPE_UINT32
                                                                : TYPE_UTF8),
                            err));
    int st = key_sparse_decode(key, size, id, &r->scratch, &value, err);
    if (st == ST_OK)
        st = end_item(r, name, &value, err);
    column_builder_release(&value);
    return st;
}

static int sparse_key(struct key_reader *r, const uint8_t *key, size_t size, struct error *err)
{
    struct label_ids labels = {.n = 0};
    TRY(key_sparse_check(key, size, note_label, &labels, err));
    labels.ids[labels.n++] = KEY_COLUMN_TSID;
    labels.ids[labels.n++] = KEY_COLUMN_TABLE_ID;
    for (uint32_t i = 0; i < labels.n; i++)
        TRY(sparse_item(r, key, size, labels.ids[i], err));
    return ST_OK;
}

static int key_row(const struct call *c, int64_t row, struct column_builder *items, bool *ret_null, struct error *err)
{
    int32_t size;
    struct key_reader *r = c->state;
    const uint8_t *key = value_bytes(&c->args[0], row, &size);
    (void)ret_null;
    r->items = items;
    int st = r->sparse ? sparse_key(r, key, (size_t)size, err) : dense_key(r, key, (size_t)size, err);
    if (st != ST_CORRUPT)
        return st;
    return error_set(err, ST_EXECUTE_QUERY, "failed to decode primary key of row %lld as a %s one", (long long)row, r->sparse ? "sparse" : "dense");
}

static int kernel_key(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret, struct error *err)
{
    const char *encoding, *json;
    size_t n, size;
    struct region_metadata *meta;
    TRY(literal_text(e, 1, "the encoding of decode_primary_key", &encoding, &n, err));
    TRY(literal_text(e, 2, "the region metadata of decode_primary_key", &json, &size, err));
    bool sparse = n == 6 && strncasecmp(encoding, "sparse", n) == 0;
    if (!sparse && (n != 5 || strncasecmp(encoding, "dense", n) != 0))
        return error_set(err, ST_EXECUTE_QUERY, "unsupported primary key encoding: %.*s", n > 100 ? 100 : (int)n, encoding);
    if (region_metadata_from_json(json, size, &meta, err) != ST_OK)
        return error_set(err, ST_EXECUTE_QUERY, "failed to parse the region metadata of decode_primary_key");
    struct key_reader r = {.meta = meta, .sparse = sparse, .ctx = ctx};
    dynbuf_init(&r.text, 1 << 24);
    dynbuf_init(&r.scratch, 1 << 24);
    int st = kernel_list_run(&(struct call){e, ctx, args, &r}, rows, ret, err);
    dynbuf_release(&r.text);
    dynbuf_release(&r.scratch);
    region_metadata_unref(meta);
    return st;
}

const struct function functions_key[] = {
    {"decode_primary_key", 3, 3, bind_key, kernel_key, 0, true, .list_row = key_row},
    {0},
};
