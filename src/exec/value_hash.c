/* Hashing of columns: one loop a layout. */
#include "exec/value_hash.h"

#include <string.h>

bool value_hash_supported(const struct dtype *t)
{
    t = type_values(t);
    int32_t width = type_width(t);
    return type_is_varlen(t) || t->id == TYPE_BOOL || t->id == TYPE_NULL ||
           (width > 0 && width <= 16 && t->id != TYPE_FIXED_BINARY && t->id != TYPE_DICTIONARY && !type_is_nested(t));
}

static void hash_fixed(const struct ahash *h, const struct column *c, uint64_t *hashes)
{
    size_t width = (size_t)type_width(c->type);
    const uint8_t *from = c->buffers[0]->data + (size_t)c->offset * width;
    for (int64_t i = 0; i < c->length; i++, from += width) {
        uint64_t words[2] = {0};
        memcpy(words, from, width);
        hashes[i] = width == 16 ? ahash_u128(h, words[0], words[1]) : ahash_u64(h, words[0]);
    }
}

static void hash_varlen(const struct ahash *h, const struct column *c, uint64_t *hashes)
{
    bool text = type_is_string(c->type);
    for (int64_t i = 0; i < c->length; i++) {
        int32_t size;
        const uint8_t *s = column_bytes(c, i, &size);
        hashes[i] = text ? ahash_text(h, s, (size_t)size) : ahash_bytes(h, s, (size_t)size);
    }
}

static void hash_plain(const struct ahash *h, const struct column *c, uint64_t *hashes)
{
    if (c->type->id == TYPE_NULL) {
        memset(hashes, 0, (size_t)c->length * sizeof *hashes);
        return;
    }
    if (type_is_varlen(c->type))
        hash_varlen(h, c, hashes);
    else if (c->type->id != TYPE_BOOL)
        hash_fixed(h, c, hashes);
    else
        for (int64_t i = 0; i < c->length; i++)
            hashes[i] = ahash_bool(h, column_bool(c, i));
    for (int64_t i = 0; column_null_count(c) && i < c->length; i++)
        hashes[i] = column_is_null(c, i) ? 0 : hashes[i];
}

int value_hash_column(const struct ahash *h, struct column *c, uint64_t *hashes, struct vec *scratch, struct budget *budget, struct error *err)
{
    if (c->type->id != TYPE_DICTIONARY) {
        hash_plain(h, c, hashes);
        return ST_OK;
    }
    if (c->dictionary->length > c->length) {
        struct column *plain;
        TRY(column_decode_dictionary(budget, c, &plain, err));
        hash_plain(h, plain, hashes);
        column_unref(plain);
        return ST_OK;
    }
    const uint32_t *keys = COLUMN_VALUES(c, uint32_t);
    TRY(vec_reserve(scratch, budget, (size_t)c->dictionary->length + 1, 8, err));
    hash_plain(h, c->dictionary, scratch->data);
    for (int64_t i = 0; i < c->length; i++)
        hashes[i] = column_is_null(c, i) ? 0 : VEC(scratch, uint64_t)[keys[i]];
    return ST_OK;
}
