/* Fitting old SSTs to the region's current schema: defaults, casts, tags out of keys, longer keys (mito-on-disk.md 3.4 and section 4). */
#include "engine/mito/sst_footer.h"

#include <stdlib.h>
#include <string.h>

#include "engine/mito/mito.h"
#include "format/key/key.h"
#include "format/key/sparse.h"

/* The time of this moment, n times: what current_timestamp() and now() give to rows that are older than their column, as the peer does. */
static int current_time_column(struct budget *budget, struct dtype *type, int64_t n, struct column **ret_column, struct error *err)
{
    struct buffer *values;
    int64_t now = clock_wall_ns(), second = 1000000000;
    bool days = type->id == TYPE_DATE32;
    int64_t value = days ? now / (86400 * second) : type->id == TYPE_TIMESTAMP ? now / (second / units_per_second(type->unit)) : now / 1000000;
    TRY(buffer_new_uninit(budget, (size_t)n * (days ? 4 : 8), &values, err));
    for (int64_t i = 0; i < n; i++)
        if (days)
            ((int32_t *)(void *)values->data)[i] = (int32_t)value;
        else
            ((int64_t *)(void *)values->data)[i] = value;
    return column_new(type, n, 0, NULL, values, NULL, ret_column, err);
}

int sst_default_column(struct budget *budget, const struct region_column *c, int64_t n, struct column **ret_column, struct error *err)
{
    if (c->default_kind == DEFAULT_FUNCTION && (c->type->id == TYPE_TIMESTAMP || c->type->id == TYPE_DATE32 || c->type->id == TYPE_INT64))
        return current_time_column(budget, c->type, n, ret_column, err);
    if (c->default_kind == DEFAULT_VALUE && c->default_value) {
        uint32_t *rows = calloc((size_t)n + 1, sizeof *rows);
        if (!rows)
            return error_no_memory(err, (size_t)n * sizeof *rows);
        int st = column_take(budget, c->default_value, rows, n, ret_column, err);
        free(rows);
        return st;
    }
    int32_t width = type_width(c->type);
    if (c->nullable || width == 0)
        return column_new_nulls(budget, c->type, n, ret_column, err);
    struct buffer *zeros;
    TRY(buffer_new(budget, (size_t)n * (size_t)width, &zeros, err));
    return column_new(c->type, n, 0, NULL, zeros, NULL, ret_column, err);
}

/* ---- casts ---- */

int (*mito_cast)(struct budget *budget, struct column *c, struct dtype *type, struct column **ret_column, struct error *err);

/* The member of that name; NULL when the struct has none. */
static const struct column *member_named(const struct column *c, const char *name)
{
    for (uint32_t k = 0; k < c->type->n_children; k++)
        if (strcmp(c->type->children[k]->name, name) == 0)
            return c->children[k];
    return NULL;
}

/* What a cast of a struct's members goes by. */
struct struct_cast {
    struct budget *budget;
    struct dtype *type;
};

static int cast_member(void *ctx, const struct column *c, uint32_t i, struct column **ret_column, struct error *err)
{
    const struct struct_cast *cast = ctx;
    const struct field *to = cast->type->children[i];
    const struct column *whole = member_named(c, to->name);
    struct column *member;
    if (!whole)
        return column_new_nulls(cast->budget, to->type, c->length, ret_column, err);
    TRY(column_slice((struct column *)whole, c->offset, c->length, &member, err));
    if (type_equal(member->type, to->type, false)) {
        *ret_column = member;
        return ST_OK;
    }
    int st = sst_cast(cast->budget, member, to->type, ret_column, err);
    column_unref(member);
    return st;
}

int sst_cast(struct budget *budget, const struct column *c, struct dtype *type, struct column **ret_column, struct error *err)
{
    char from[128], to[128];
    if (c->type->id == TYPE_STRUCT && type->id == TYPE_STRUCT) /* native JSON whose type has grown since: by name, null where the file knows none */
        return column_new_struct(budget, type, c, cast_member, &(struct struct_cast){budget, type}, ret_column, err);
    if (mito_cast)
        return mito_cast(budget, (struct column *)c, type, ret_column, err);
    return error_set(err, ST_UNSUPPORTED, "a stored column of type %s cannot be read as %s", type_print(c->type, from, sizeof from),
                     type_print(type, to, sizeof to));
}

/* ---- keys ---- */

int sst_key_dictionary(struct budget *budget, struct column **keys, struct error *err)
{
    struct column *plain = *keys, *values = NULL, *made;
    struct dtype *type = type_dictionary(TYPE_UINT32, type_of(TYPE_BINARY));
    struct buffer *codes = NULL;
    uint32_t *used = malloc(((size_t)plain->length + 1) * sizeof *used), n = 0;
    int st = used && type ? buffer_new_uninit(budget, (size_t)plain->length * 4, &codes, err) : error_no_memory(err, (size_t)plain->length * 4);
    if (st == ST_OK) {
        const uint8_t *last = NULL;
        int32_t last_size = -1, size;
        for (int64_t i = 0; i < plain->length; i++) {
            const uint8_t *key = column_bytes(plain, i, &size);
            if (size != last_size || (size && memcmp(key, last, (size_t)size) != 0))
                used[n++] = (uint32_t)i;
            last = key;
            last_size = size;
            ((uint32_t *)(void *)codes->data)[i] = n - 1;
        }
        st = column_take(budget, plain, used, n, &values, err);
    }
    free(used);
    if (st == ST_OK)
        st = column_new_nested(type, plain->length, 0, NULL, codes, &values, 1, &made, err);
    else
        buffer_unref(codes);
    type_unref(type);
    if (st == ST_OK) {
        column_unref(plain);
        *keys = made;
    }
    return st;
}

/* The encoded defaults of the tags that the file's keys lack. */
static int key_suffix(const struct sst_footer *f, const struct region_metadata *region, struct dynbuf *out, struct error *err)
{
    for (uint32_t i = f->metadata->n_key; i < region->n_key; i++) {
        const struct region_column *c = &region->columns[region->key[i]];
        struct column *value;
        TRY(sst_default_column(NULL, c, 1, &value, err));
        int st = column_is_null(value, 0) ? key_append_null(out, err) : key_append_value(out, value, 0, err);
        column_unref(value);
        TRY(st);
    }
    return ST_OK;
}

int sst_extend_keys(struct budget *budget, const struct sst_footer *f, const struct region_metadata *region, struct column **keys, struct error *err)
{
    struct column *c = *keys, *values = NULL, *made;
    struct column_builder b;
    struct dynbuf suffix, key;
    if (region->sparse_key || f->metadata->sparse_key || f->metadata->n_key >= region->n_key)
        return ST_OK;
    dynbuf_init(&suffix, 1 << 20);
    dynbuf_init(&key, 64 << 20);
    int st = column_builder_init(&b, budget, type_of(TYPE_BINARY), err);
    if (st != ST_OK)
        return st;
    st = key_suffix(f, region, &suffix, err);
    for (int64_t i = 0; st == ST_OK && i < c->dictionary->length; i++) {
        int32_t size;
        const uint8_t *bytes = column_bytes(c->dictionary, i, &size);
        dynbuf_clear(&key);
        st = dynbuf_append(&key, bytes, (size_t)size, err);
        if (st == ST_OK)
            st = dynbuf_append(&key, suffix.data, suffix.size, err);
        if (st == ST_OK)
            st = column_builder_append_bytes(&b, key.data, key.size, err);
    }
    if (st == ST_OK)
        st = column_builder_finish(&b, &values, err);
    column_builder_release(&b);
    dynbuf_release(&suffix);
    dynbuf_release(&key);
    TRY(st);
    struct buffer *codes = buffer_ref(c->buffers[0]);
    TRY(column_new_nested(c->type, c->offset + c->length, 0, NULL, codes, &values, 1, &made, err));
    st = column_slice(made, c->offset, c->length, &values, err);
    column_unref(made);
    if (st == ST_OK) {
        column_unref(c);
        *keys = values;
    }
    return st;
}

static int decode_dense(const struct sst_footer *f, const struct sst_column *c, const uint8_t *key, size_t size, struct column_builder *b,
                        struct error *err)
{
    const struct region_metadata *m = f->metadata;
    size_t at = 0;
    for (int32_t i = 0; i < c->key_position; i++)
        TRY(key_skip_value(key, size, &at, m->columns[m->key[i]].type, err));
    return key_decode_value(key, size, &at, b, err);
}

/* The column that has the keys' codes over `values`; takes `values`. */
static int code_values(struct budget *budget, const struct column *keys, struct column *values, struct column **ret_column, struct error *err)
{
    const uint32_t *codes = COLUMN_VALUES(keys, uint32_t);
    struct buffer *copy = NULL;
    struct column *coded;
    struct dtype *type = type_dictionary(TYPE_UINT32, values->type);
    int st = type ? buffer_new_uninit(budget, (size_t)keys->length * 4, &copy, err) : error_no_memory(err, sizeof *type);
    if (st == ST_OK)
        memcpy(copy->data, codes, (size_t)keys->length * 4);
    if (st == ST_OK) {
        st = column_new_nested(type, keys->length, 0, NULL, copy, &values, 1, &coded, err);
    } else {
        buffer_unref(copy);
        column_unref(values);
    }
    type_unref(type);
    TRY(st);
    st = column_lift_nulls(budget, coded, ret_column, err);
    column_unref(coded);
    return st;
}

int sst_tag_from_key(struct budget *budget, const struct sst_footer *f, const struct sst_column *c, struct column *keys, struct column **ret_column,
                     struct error *err)
{
    const struct region_column *stored = &f->metadata->columns[c->file_column];
    struct column_builder b;
    struct column *values = NULL, *coded;
    struct dynbuf text;
    dynbuf_init(&text, 64 << 20);
    TRY(column_builder_init(&b, budget, stored->type, err));
    int st = ST_OK;
    for (int64_t i = 0; st == ST_OK && i < keys->dictionary->length; i++) {
        int32_t size;
        const uint8_t *key = column_bytes(keys->dictionary, i, &size);
        st = f->metadata->sparse_key ? key_sparse_decode(key, (size_t)size, stored->id, &text, &b, err) : decode_dense(f, c, key, (size_t)size, &b, err);
    }
    if (st == ST_OK)
        st = column_builder_finish(&b, &values, err);
    column_builder_release(&b);
    dynbuf_release(&text);
    TRY(st);
    TRY(code_values(budget, keys, values, &coded, err));
    if (type_is_varlen(stored->type)) {
        *ret_column = coded;
        return ST_OK;
    }
    st = column_decode_dictionary(budget, coded, ret_column, err);
    column_unref(coded);
    return st;
}
