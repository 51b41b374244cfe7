#include "format/key/sparse.h"

#include <string.h>

#include "base/bits.h"
#include "format/key/internal.h"

/* ---- tsid: FxHash over little-endian words, part of the format ---- */

static uint64_t fx_word(uint64_t h, uint64_t w)
{
    return ((h << 5 | h >> 59) ^ w) * 0x517cc1b727220a95u;
}

static uint64_t fx_string(uint64_t h, const void *data, size_t size)
{
    const uint8_t *p = data;
    for (; size >= 8; p += 8, size -= 8)
        h = fx_word(h, load_le64(p));
    if (size >= 4) {
        h = fx_word(h, load_le32(p));
        p += 4;
        size -= 4;
    }
    while (size--)
        h = fx_word(h, *p++);
    return fx_word(h, 0xff);
}

uint64_t key_tsid(const struct key_label *labels, uint32_t n)
{
    uint64_t names = 0;
    if (!n)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        names = fx_string(names, labels[i].name, labels[i].name_size);
    uint64_t h = fx_word(0, names);
    for (uint32_t i = 0; i < n; i++)
        h = fx_string(h, labels[i].value, labels[i].value_size);
    return h;
}

int key_sparse_append(struct dynbuf *out, uint32_t table_id, const struct key_label *labels, uint32_t n, struct error *err)
{
    TRY(dynbuf_reserve(out, KEY_SPARSE_PREFIX_BYTES, err));
    uint8_t *p = out->data + out->size;
    store_be32(p, KEY_COLUMN_TABLE_ID);
    p[4] = 1;
    store_be32(p + 5, table_id);
    store_be32(p + 9, KEY_COLUMN_TSID);
    p[13] = 1;
    store_be64(p + 14, key_tsid(labels, n));
    out->size += KEY_SPARSE_PREFIX_BYTES;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t id[4];
        store_be32(id, labels[i].column_id);
        TRY(dynbuf_append(out, id, sizeof id, err));
        TRY(key_append_string(out, labels[i].value, labels[i].value_size, err));
    }
    return ST_OK;
}

/* ---- reading ---- */

int key_sparse_prefix(const uint8_t *key, size_t size, uint32_t *ret_table_id, uint64_t *ret_tsid, struct error *err)
{
    if (size < KEY_SPARSE_PREFIX_BYTES || load_be32(key) != KEY_COLUMN_TABLE_ID || key[4] != 1 || load_be32(key + 9) != KEY_COLUMN_TSID ||
        key[13] != 1)
        return key_corrupt("not a sparse key", err);
    *ret_table_id = load_be32(key + 5);
    *ret_tsid = load_be64(key + 14);
    return ST_OK;
}

/* The label at *pos: *ret_text is where key_string_append() finds its bytes. Moves *pos behind it. */
static int next_label(const uint8_t *key, size_t size, size_t *pos, uint32_t *ret_column_id, bool *ret_present, size_t *ret_text, size_t *ret_length,
                      struct error *err)
{
    if (size - *pos < 5)
        return key_corrupt("a label is cut off", err);
    *ret_column_id = load_be32(key + *pos);
    uint8_t present = key[*pos + 4];
    if (present > 1)
        return key_corrupt("bad presence byte", err);
    *ret_present = present;
    *ret_text = *pos + 5;
    *ret_length = 0;
    if (present)
        return key_string_measure(key, size, *pos + 5, ret_length, pos, err);
    *pos += 5;
    return ST_OK;
}

int key_sparse_label(const uint8_t *key, size_t size, uint32_t column_id, struct dynbuf *out, bool *ret_found, struct error *err)
{
    uint32_t table, id;
    uint64_t tsid;
    TRY(key_sparse_prefix(key, size, &table, &tsid, err));
    for (size_t pos = KEY_SPARSE_PREFIX_BYTES; pos < size;) {
        size_t text, length;
        bool present;
        TRY(next_label(key, size, &pos, &id, &present, &text, &length, err));
        if (id != column_id)
            continue;
        if (present)
            TRY(key_string_append(key, text, length, out, err));
        *ret_found = present;
        return ST_OK;
    }
    *ret_found = false;
    return ST_OK;
}

int key_sparse_decode(const uint8_t *key, size_t size, uint32_t column_id, struct dynbuf *scratch, struct column_builder *out, struct error *err)
{
    uint32_t table_id;
    uint64_t tsid;
    bool found;
    if (column_id == KEY_COLUMN_TABLE_ID || column_id == KEY_COLUMN_TSID) {
        bool is_tsid = column_id == KEY_COLUMN_TSID;
        TRY(key_sparse_prefix(key, size, &table_id, &tsid, err));
        if (out->type->id != (is_tsid ? TYPE_UINT64 : TYPE_UINT32))
            return key_corrupt("a reserved column has an unexpected type", err);
        return column_builder_append_fixed(out, is_tsid ? (void *)&tsid : (void *)&table_id, err);
    }
    if (!type_is_varlen(out->type))
        return key_corrupt("a label is no string", err);
    dynbuf_clear(scratch);
    TRY(key_sparse_label(key, size, column_id, scratch, &found, err));
    return found ? column_builder_append_bytes(out, scratch->data ? (const void *)scratch->data : "", scratch->size, err)
                 : column_builder_append_null(out, err);
}

int key_sparse_check(const uint8_t *key, size_t size, int (*each)(void *ctx, uint32_t column_id, struct error *err), void *ctx, struct error *err)
{
    uint32_t table, id;
    uint64_t tsid;
    TRY(key_sparse_prefix(key, size, &table, &tsid, err));
    for (size_t pos = KEY_SPARSE_PREFIX_BYTES; pos < size;) {
        size_t text, length;
        bool present;
        TRY(next_label(key, size, &pos, &id, &present, &text, &length, err));
        if (each)
            TRY(each(ctx, id, err));
    }
    return ST_OK;
}
