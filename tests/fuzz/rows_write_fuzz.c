/* Row writes: the first byte picks the region and put or delete, the rest is a Rows message. One region is made from the message's own schema, so
 * that recorded messages get past the checks of names and types. */
#include <stdlib.h>

#include "../unit/row_samples.h"
#include "base/bits.h"
#include "format/proto/wire.h"
#include "format/rows/rows.h"

static void must(int st)
{
    if (st != ST_OK)
        abort();
}

/* A CreateRequest with the columns of the message. */
static struct region_metadata *region_of(const uint8_t *rows, size_t size)
{
    struct pb_reader r = pb_reader_of(rows, size);
    struct pb_field column, f;
    struct region_metadata *m = NULL;
    struct dynbuf create, inner, outer;
    uint32_t id = 0;
    dynbuf_init(&create, 1 << 20);
    dynbuf_init(&inner, 1 << 20);
    dynbuf_init(&outer, 1 << 20);
    while (pb_next(&r, &column) && id < 40) {
        if (column.number != 1 || column.wire != PB_BYTES)
            continue;
        bool tag = true, time = false;
        dynbuf_clear(&inner);
        dynbuf_clear(&outer);
        for (struct pb_reader c = pb_inside(&column); pb_next(&c, &f);) {
            if (f.number == 1 && f.wire == PB_BYTES)
                must(pb_put_bytes(&inner, 1, f.data, f.size, NULL));
            else if (f.number == 2 && f.wire == PB_VARINT)
                must(pb_put_uint(&inner, 2, f.value, NULL));
            else if (f.number == 3 && f.wire == PB_VARINT)
                must(pb_put_uint(&inner, 5, f.value, NULL)), tag = f.value == 0, time = f.value == 2;
            else if (f.number == 4 && f.wire == PB_BYTES)
                must(pb_put_bytes(&inner, 7, f.data, f.size, NULL));
        }
        must(pb_put_uint(&inner, 3, !time, NULL));
        must(pb_put_bytes(&outer, 1, inner.data, inner.size, NULL));
        must(pb_put_uint(&outer, 2, id, NULL));
        must(pb_put_bytes(&create, 3, outer.data, outer.size, NULL));
        if (tag)
            must(pb_put_uint(&create, 4, id, NULL));
        id++;
    }
    if (create.size)
        region_metadata_from_create(create.data, create.size, false, ST_INVALID_ARGUMENTS, &m, NULL);
    dynbuf_release(&create);
    dynbuf_release(&inner);
    dynbuf_release(&outer);
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct region_metadata *samples[SAMPLE_COUNT];
    struct budget budget;
    struct row_write w;
    int64_t counted;
    if (size == 0 || size > 1 << 16)
        return 0;
    for (unsigned i = 0; i < SAMPLE_COUNT; i++)
        if (!samples[i])
            must(row_sample(i, &samples[i], NULL));
    unsigned pick = (data[0] >> 1) % (SAMPLE_COUNT + 1);
    const uint8_t *rows = data + 1;
    struct region_metadata *m = pick < SAMPLE_COUNT ? region_metadata_ref(samples[pick]) : region_of(rows, size - 1);
    if (!m)
        return 0;
    budget_init(&budget, "fuzz", "none", 64 << 20, NULL);
    if (row_write_decode(rows, size - 1, m, data[0] & 1, &budget, &w, NULL) == ST_OK) {
        struct dynbuf key;
        dynbuf_init(&key, 1 << 24);
        if (!rows_count(rows, size - 1, &counted) || counted != w.n_rows)
            abort();
        for (int64_t i = 0; i < w.n_rows; i++) {
            dynbuf_clear(&key);
            if (w.spans)
                row_write_encode_key(&w, w.spans[i], &key, NULL);
        }
        for (uint32_t c = 0; c < m->n_columns; c++)
            if (w.columns[c] && (w.columns[c]->length != w.n_rows || !type_equal(w.columns[c]->type, m->columns[c].type, false)))
                abort();
        dynbuf_release(&key);
        row_write_release(&w);
    }
    if (budget_used(&budget) != 0)
        abort();
    region_metadata_unref(m);
    return 0;
}
