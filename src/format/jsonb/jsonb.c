/* Reading and assembling JSONB, see jsonb.h. */
#include "format/jsonb/jsonb.h"

#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "format/jsonb/internal.h"

bool jsonb_is_binary(const void *data, size_t size)
{
    uint8_t first = size ? *(const uint8_t *)data : 0;
    return first == JSONB_ARRAY << 5 || first == JSONB_OBJECT << 5 || first == JSONB_SCALAR << 5;
}

static struct jsonb_item item_of(uint32_t entry, const uint8_t *data)
{
    uint32_t kind = entry >> 28 & 7;
    bool word = kind == JSONB_NULL || kind == JSONB_TRUE || kind == JSONB_FALSE; /* has no part, whatever the entry says */
    return (struct jsonb_item){kind <= JSONB_CONTAINER ? (enum jsonb_kind)kind : JSONB_NONE, data, word ? 0 : entry & JSONB_SIZE_MAX};
}

enum jsonb_container jsonb_container(const struct jsonb_item *item, uint32_t *ret_count)
{
    uint32_t header = item->kind == JSONB_CONTAINER && item->size >= 4 ? load_be32(item->data) : 0, kind = header >> 29;
    *ret_count = header & 0x1fffffff;
    return kind == JSONB_SCALAR || kind == JSONB_OBJECT || kind == JSONB_ARRAY ? (enum jsonb_container)kind : (enum jsonb_container)0;
}

struct jsonb_item jsonb_root(const void *data, size_t size)
{
    struct jsonb_item whole = {JSONB_CONTAINER, data, size}, inner = {JSONB_NONE, NULL, 0};
    uint32_t count;
    enum jsonb_container kind = jsonb_container(&whole, &count);
    if (kind != JSONB_SCALAR)
        return kind ? whole : inner;
    if (size < 8)
        return inner;
    inner = item_of(load_be32(whole.data + 4), whole.data + 8);
    return inner.kind == JSONB_CONTAINER || inner.size > size - 8 ? (struct jsonb_item){JSONB_NONE, NULL, 0} : inner;
}

bool jsonb_walk_start(const struct jsonb_item *container, enum jsonb_container kind, struct jsonb_walk *ret_walk)
{
    uint32_t count;
    if (jsonb_container(container, &count) != kind)
        return false;
    uint64_t lists = kind == JSONB_OBJECT ? 2 : 1, head = 4 + 4 * lists * count;
    *ret_walk = (struct jsonb_walk){.left = 0};
    if (head > container->size)
        return true; /* cut off: no members */
    *ret_walk = (struct jsonb_walk){
        .entries = container->data + 4, .values = container->data + head, .end = container->data + container->size, .left = count};
    if (kind != JSONB_OBJECT)
        return true;
    struct jsonb_walk *w = ret_walk;
    w->key_entries = w->entries;
    w->entries += (size_t)count * 4;
    w->keys = w->values;
    for (uint32_t i = 0; i < count; i++) {
        size_t size = load_be32(w->key_entries + (size_t)i * 4) & JSONB_SIZE_MAX;
        if (size > (size_t)(w->end - w->values)) {
            w->left = 0;
            return true;
        }
        w->values += size;
    }
    return true;
}

bool jsonb_walk_next(struct jsonb_walk *w, struct jsonb_item *ret_key, struct jsonb_item *ret_value)
{
    if (w->left == 0)
        return false;
    *ret_key = (struct jsonb_item){JSONB_NONE, NULL, 0};
    *ret_value = item_of(load_be32(w->entries), w->values);
    if (ret_value->size > (size_t)(w->end - w->values)) {
        w->left = 0;
        return false;
    }
    if (w->key_entries) {
        *ret_key = item_of(load_be32(w->key_entries), w->keys);
        w->keys += ret_key->size;
        w->key_entries += 4;
    }
    w->values += ret_value->size;
    w->entries += 4;
    w->left--;
    return true;
}

/* ---- numbers ---- */

static bool read_int(const uint8_t *p, size_t n, bool is_signed, struct jsonb_number *ret)
{
    uint64_t u;
    switch (n) {
    case 1:
        u = is_signed ? (uint64_t)(int8_t)*p : *p;
        break;
    case 2:
        u = is_signed ? (uint64_t)(int16_t)load_be16(p) : load_be16(p);
        break;
    case 4:
        u = is_signed ? (uint64_t)(int32_t)load_be32(p) : load_be32(p);
        break;
    case 8:
        u = load_be64(p);
        break;
    default:
        return false;
    }
    if (is_signed)
        *ret = (struct jsonb_number){.form = JSONB_INT, .i = (int64_t)u};
    else
        *ret = (struct jsonb_number){.form = JSONB_UINT, .u = u};
    return true;
}

bool jsonb_number(const struct jsonb_item *item, struct jsonb_number *ret)
{
    const uint8_t *p = item->data;
    uint64_t bits;
    if (item->kind != JSONB_NUMBER || item->size == 0)
        return false;
    *ret = (struct jsonb_number){.form = JSONB_FLOAT};
    switch (*p) {
    case NUMBER_ZERO:
        ret->form = JSONB_UINT;
        return true;
    case NUMBER_NAN:
        ret->f = NAN;
        return true;
    case NUMBER_INF:
        ret->f = INFINITY;
        return true;
    case NUMBER_NEG_INF:
        ret->f = -INFINITY;
        return true;
    case NUMBER_INT:
        return read_int(p + 1, item->size - 1, true, ret);
    case NUMBER_UINT:
        return read_int(p + 1, item->size - 1, false, ret);
    case NUMBER_FLOAT:
        if (item->size != 9)
            return false;
        bits = load_be64(p + 1);
        memcpy(&ret->f, &bits, 8);
        return true;
    default:
        return false;
    }
}

double jsonb_number_float(const struct jsonb_number *n)
{
    return n->form == JSONB_INT ? (double)n->i : n->form == JSONB_UINT ? (double)n->u : n->f;
}

int jsonb_number_compare(const struct jsonb_number *a, const struct jsonb_number *b)
{
    if (a->form == JSONB_FLOAT || b->form == JSONB_FLOAT) {
        double x = jsonb_number_float(a), y = jsonb_number_float(b);
        return isnan(x) || isnan(y) ? isnan(x) - isnan(y) : (x > y) - (x < y);
    }
    __int128 x = a->form == JSONB_INT ? a->i : (__int128)a->u, y = b->form == JSONB_INT ? b->i : (__int128)b->u;
    return (x > y) - (x < y);
}

/* ---- assembling ---- */

int jsonb_put_be32(struct dynbuf *out, uint32_t v, struct error *err)
{
    uint8_t bytes[4];
    store_be32(bytes, v);
    return dynbuf_append(out, bytes, 4, err);
}

int jsonb_put_item(const struct jsonb_item *item, struct dynbuf *out, struct error *err)
{
    if (item->kind != JSONB_CONTAINER) {
        TRY(jsonb_put_be32(out, (uint32_t)JSONB_SCALAR << 29, err));
        TRY(jsonb_put_be32(out, (uint32_t)item->kind << 28 | (uint32_t)item->size, err));
    }
    return dynbuf_append(out, item->data, item->size, err);
}

int jsonb_put_array(const struct jsonb_item *items, size_t n, struct dynbuf *out, struct error *err)
{
    if (n > 0x1fffffff)
        return error_set(err, ST_EXHAUSTED, "a JSON array of %zu items", n);
    TRY(jsonb_put_be32(out, (uint32_t)JSONB_ARRAY << 29 | (uint32_t)n, err));
    for (size_t i = 0; i < n; i++)
        TRY(jsonb_put_be32(out, (uint32_t)items[i].kind << 28 | (uint32_t)items[i].size, err));
    for (size_t i = 0; i < n; i++)
        TRY(dynbuf_append(out, items[i].data, items[i].size, err));
    return ST_OK;
}
