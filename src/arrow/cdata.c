#include "arrow/cdata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_BYTES = 128, BUFFERS_MAX = 3 };

/* ---- schemas ---- */

static void release_schema(struct ArrowSchema *s)
{
    for (int64_t i = 0; i < s->n_children; i++) {
        if (s->children[i]->release)
            s->children[i]->release(s->children[i]);
        free(s->children[i]);
    }
    free(s->children);
    free((void *)s->format);
    free((void *)s->name);
    free((void *)s->metadata);
    s->release = NULL;
}

/* The format string; false for types that do not leave the process this way. */
static bool print_format(const struct dtype *t, char out[FORMAT_BYTES])
{
    static const char units[] = "smun";
    static const char *const plain[TYPE_COUNT] = {[TYPE_NULL] = "n",
                                                  [TYPE_BOOL] = "b",
                                                  [TYPE_INT8] = "c",
                                                  [TYPE_UINT8] = "C",
                                                  [TYPE_INT16] = "s",
                                                  [TYPE_UINT16] = "S",
                                                  [TYPE_INT32] = "i",
                                                  [TYPE_UINT32] = "I",
                                                  [TYPE_INT64] = "l",
                                                  [TYPE_UINT64] = "L",
                                                  [TYPE_FLOAT16] = "e",
                                                  [TYPE_FLOAT32] = "f",
                                                  [TYPE_FLOAT64] = "g",
                                                  [TYPE_UTF8] = "u",
                                                  [TYPE_LARGE_UTF8] = "u",
                                                  [TYPE_UTF8_VIEW] = "u",
                                                  [TYPE_BINARY] = "z",
                                                  [TYPE_LARGE_BINARY] = "z",
                                                  [TYPE_BINARY_VIEW] = "z",
                                                  [TYPE_DATE32] = "tdD",
                                                  [TYPE_DATE64] = "tdm",
                                                  [TYPE_INTERVAL_YEAR_MONTH] = "tiM",
                                                  [TYPE_INTERVAL_DAY_TIME] = "tiD",
                                                  [TYPE_INTERVAL_MONTH_DAY_NANO] = "tin",
                                                  [TYPE_LIST] = "+l",
                                                  [TYPE_LARGE_LIST] = "+l",
                                                  [TYPE_STRUCT] = "+s",
                                                  [TYPE_MAP] = "+m"};
    int n = -1;
    if (plain[t->id])
        n = snprintf(out, FORMAT_BYTES, "%s", plain[t->id]);
    else if (t->id == TYPE_FIXED_BINARY)
        n = snprintf(out, FORMAT_BYTES, "w:%d", t->width);
    else if (t->id == TYPE_FIXED_LIST)
        n = snprintf(out, FORMAT_BYTES, "+w:%d", t->width);
    else if (t->id == TYPE_TIMESTAMP)
        n = snprintf(out, FORMAT_BYTES, "ts%c:%s", units[t->unit], t->timezone ? t->timezone : "");
    else if (t->id == TYPE_TIME32 || t->id == TYPE_TIME64)
        n = snprintf(out, FORMAT_BYTES, "tt%c", units[t->unit]);
    else if (t->id == TYPE_DURATION)
        n = snprintf(out, FORMAT_BYTES, "tD%c", units[t->unit]);
    else if (t->id == TYPE_DECIMAL128 || t->id == TYPE_DECIMAL256)
        n = snprintf(out, FORMAT_BYTES, t->id == TYPE_DECIMAL128 ? "d:%d,%d" : "d:%d,%d,256", t->precision, t->scale);
    return n > 0 && n < FORMAT_BYTES;
}

/* Pairs as the interface wants them: a count, then lengths and bytes, in the machine's byte order. NULL when there are none or memory is out. */
static char *print_metadata(const struct kv *meta, uint32_t n)
{
    size_t size = 4;
    for (uint32_t i = 0; i < n; i++)
        size += 8 + strlen(meta[i].key) + strlen(meta[i].value);
    char *out = n && size <= INT32_MAX ? malloc(size) : NULL, *p = out;
    if (!out)
        return NULL;
    memcpy(p, &(int32_t){(int32_t)n}, 4);
    p += 4;
    for (uint32_t i = 0; i < 2 * n; i++) {
        const char *text = i % 2 ? meta[i / 2].value : meta[i / 2].key;
        int32_t length = (int32_t)strlen(text);
        memcpy(p, &length, 4);
        memcpy(p + 4, text, (size_t)length);
        p += 4 + length;
    }
    return out;
}

/* `out` is released by the caller, also after a failure. */
static int fill_schema(struct ArrowSchema *out, const char *name, const char *format, const struct kv *meta, uint32_t n_meta, bool nullable,
                       struct field *const *children, uint32_t n, struct error *err);

static int fill_field(struct ArrowSchema *out, const struct field *f, struct error *err)
{
    char format[FORMAT_BYTES], text[200];
    if (!print_format(f->type, format))
        return error_set(err, ST_UNSUPPORTED, "a column of type %s cannot be handed out", type_print(f->type, text, sizeof text));
    return fill_schema(out, f->name, format, f->meta, f->n_meta, f->nullable, f->type->children, f->type->n_children, err);
}

static int fill_schema(struct ArrowSchema *out, const char *name, const char *format, const struct kv *meta, uint32_t n_meta, bool nullable,
                       struct field *const *children, uint32_t n, struct error *err)
{
    *out = (struct ArrowSchema){.flags = nullable ? ARROW_FLAG_NULLABLE : 0, .release = release_schema};
    out->format = strdup(format);
    out->name = strdup(name);
    out->metadata = print_metadata(meta, n_meta);
    out->children = calloc((size_t)n + 1, sizeof *out->children);
    if (!out->format || !out->name || !out->children || (n_meta && !out->metadata))
        return error_no_memory(err, 256);
    for (uint32_t i = 0; i < n; i++) {
        struct ArrowSchema *child = calloc(1, sizeof *child);
        if (!child)
            return error_no_memory(err, sizeof *child);
        out->children[out->n_children++] = child;
        TRY(fill_field(child, children[i], err));
    }
    return ST_OK;
}

int cdata_export_schema(const struct schema *schema, struct ArrowSchema *ret_schema, struct error *err)
{
    struct ArrowSchema out;
    int st = fill_schema(&out, "", "+s", schema->meta, schema->n_meta, false, schema->fields, schema->n_fields, err);
    if (st == ST_OK)
        *ret_schema = out;
    else
        release_schema(&out);
    return st;
}

/* ---- arrays ---- */

/* What an array keeps: consumers may take children out of their parents, so each keeps what it needs by itself. */
struct kept {
    const void *buffers[BUFFERS_MAX];
    struct column *column; /* NULL: the batch as a whole */
    struct cdata_owner owner;
};

static void release_array(struct ArrowArray *a)
{
    struct kept *k = a->private_data;
    for (int64_t i = 0; i < a->n_children; i++) {
        if (a->children[i]->release)
            a->children[i]->release(a->children[i]);
        free(a->children[i]);
    }
    free(a->children);
    if (k) {
        column_unref(k->column);
        if (k->owner.unref)
            k->owner.unref(k->owner.ctx);
        free(k);
    }
    a->release = NULL;
}

/* Buffers that the layout demands are there even where a column of no rows has none. */
static const void *bytes_of(const struct buffer *b)
{
    static const uint64_t nothing[8];
    return b && b->data ? (const void *)b->data : nothing;
}

static int64_t count_buffers(const struct dtype *t)
{
    switch (t->id) {
    case TYPE_NULL:
        return 0;
    case TYPE_STRUCT:
    case TYPE_FIXED_LIST:
        return 1;
    default:
        return type_is_varlen(t) ? 3 : 2;
    }
}

static int begin_array(struct ArrowArray *out, const struct cdata_owner *owner, uint32_t n_children, struct error *err)
{
    struct kept *k = calloc(1, sizeof *k);
    *out = (struct ArrowArray){.release = release_array, .private_data = k};
    out->children = k ? calloc((size_t)n_children + 1, sizeof *out->children) : NULL;
    if (!out->children)
        return error_no_memory(err, sizeof *k);
    k->owner = *owner;
    if (owner->ref)
        owner->ref(owner->ctx);
    out->buffers = k->buffers;
    return ST_OK;
}

static int fill_array(struct ArrowArray *out, struct column *c, const struct cdata_owner *owner, struct error *err);

static int fill_children(struct ArrowArray *out, struct column *const *columns, uint32_t n, const struct cdata_owner *owner, struct error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        struct ArrowArray *child = calloc(1, sizeof *child);
        if (!child)
            return error_no_memory(err, sizeof *child);
        out->children[out->n_children++] = child;
        TRY(fill_array(child, columns[i], owner, err));
    }
    return ST_OK;
}

static int fill_array(struct ArrowArray *out, struct column *c, const struct cdata_owner *owner, struct error *err)
{
    char text[200];
    if (c->type->id == TYPE_DICTIONARY || c->type->id == TYPE_RANGE)
        return error_set(err, ST_UNSUPPORTED, "a column of type %s cannot be handed out", type_print(c->type, text, sizeof text));
    TRY(begin_array(out, owner, c->n_children, err));
    struct kept *k = out->private_data;
    k->column = column_ref(c);
    out->length = c->length;
    out->offset = c->offset;
    out->null_count = c->type->id == TYPE_NULL ? c->length : column_null_count(c);
    out->n_buffers = count_buffers(c->type);
    k->buffers[0] = c->validity ? c->validity->data : NULL;
    for (int64_t i = 1; i < out->n_buffers; i++)
        k->buffers[i] = bytes_of(c->buffers[i - 1]);
    return fill_children(out, c->children, c->n_children, owner, err);
}

int cdata_export_batch(struct batch *batch, const struct cdata_owner *owner, struct ArrowArray *ret_array, struct error *err)
{
    struct ArrowArray out;
    int st = begin_array(&out, owner, batch->schema->n_fields, err);
    out.length = batch->n_rows;
    out.n_buffers = 1; /* a validity that is not there */
    if (st == ST_OK)
        st = fill_children(&out, batch->columns, batch->schema->n_fields, owner, err);
    if (st == ST_OK)
        *ret_array = out;
    else
        release_array(&out);
    return st;
}
