/* Keys: the first byte picks a type; what decodes must encode to bytes that decode to the same value. The same bytes are looked into as a sparse key:
 * when it is whole, every label of it must be found, and absent ones must not fail. */
#include <stdlib.h>
#include <string.h>

#include "format/key/key.h"
#include "format/key/sparse.h"

struct whole {
    const uint8_t *key;
    size_t size;
    struct dynbuf *out;
};

static int look_up(void *ctx, uint32_t column_id, struct error *err)
{
    struct whole *w = ctx;
    bool found;
    (void)err;
    dynbuf_clear(w->out);
    if (key_sparse_label(w->key, w->size, column_id, w->out, &found, NULL) != ST_OK)
        abort();
    return ST_OK;
}

static void sparse(const uint8_t *key, size_t size, struct dynbuf *out)
{
    struct whole w = {key, size, out};
    struct column_builder b;
    bool found;
    bool whole = key_sparse_check(key, size, NULL, NULL, NULL) == ST_OK;
    dynbuf_clear(out);
    if (key_sparse_label(key, size, 3, out, &found, NULL) != ST_OK && whole)
        abort();
    if (whole)
        (void)key_sparse_check(key, size, look_up, &w, NULL);
    for (uint32_t id = KEY_COLUMN_TSID; id <= KEY_COLUMN_TABLE_ID; id++) {
        if (column_builder_init(&b, NULL, type_of(id == KEY_COLUMN_TSID ? TYPE_UINT64 : TYPE_UINT32), NULL) == ST_OK &&
            (key_sparse_decode(key, size, id, out, &b, NULL) == ST_OK) < whole)
            abort();
        column_builder_release(&b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum type_id ids[] = {TYPE_BOOL,
                                       TYPE_INT8,
                                       TYPE_UINT64,
                                       TYPE_FLOAT32,
                                       TYPE_FLOAT64,
                                       TYPE_UTF8,
                                       TYPE_BINARY,
                                       TYPE_DATE32,
                                       TYPE_TIMESTAMP,
                                       TYPE_TIME32,
                                       TYPE_DURATION,
                                       TYPE_INTERVAL_DAY_TIME,
                                       TYPE_INTERVAL_MONTH_DAY_NANO,
                                       TYPE_DECIMAL128};
    struct column_builder b;
    struct column *c;
    struct dynbuf out;
    size_t pos = 0, skipped = 0;
    if (!size)
        return 0;
    enum type_id id = ids[data[0] % (sizeof ids / sizeof *ids)];
    struct dtype *type = id == TYPE_DECIMAL128 ? type_decimal(id, 10, 2) : type_of(id);
    dynbuf_init(&out, 1 << 20);
    data++;
    size--;
    if (column_builder_init(&b, NULL, type, NULL) == ST_OK && key_decode_value(data, size, &pos, &b, NULL) == ST_OK) {
        if (key_skip_value(data, size, &skipped, type, NULL) != ST_OK || skipped != pos || column_builder_finish(&b, &c, NULL) != ST_OK)
            abort();
        if (key_append_value(&out, c, 0, NULL) != ST_OK || out.size != pos)
            abort();
        if (id != TYPE_FLOAT32 && id != TYPE_FLOAT64 && memcmp(out.data, data, pos) != 0)
            abort();
        column_unref(c);
    }
    column_builder_release(&b);
    sparse(data, size, &out);
    dynbuf_release(&out);
    type_unref(type);
    return 0;
}
