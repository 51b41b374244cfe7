/* Keys: the first byte picks a type; what decodes must encode to bytes that decode to the same value. Sparse look-ups run on the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "format/key/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum type_id ids[] = {TYPE_BOOL, TYPE_INT8, TYPE_UINT64, TYPE_FLOAT32, TYPE_FLOAT64, TYPE_UTF8, TYPE_BINARY, TYPE_DATE32, TYPE_TIMESTAMP, TYPE_TIME32,
        TYPE_DURATION, TYPE_INTERVAL_DAY_TIME, TYPE_INTERVAL_MONTH_DAY_NANO, TYPE_DECIMAL128};
    struct column_builder b;
    struct column *c;
    struct dynbuf out;
    size_t pos = 0, skipped = 0;
    bool found;
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
    dynbuf_clear(&out);
    (void)key_sparse_label(data, size, 3, &out, &found, NULL);
    dynbuf_release(&out);
    type_unref(type);
    return 0;
}
