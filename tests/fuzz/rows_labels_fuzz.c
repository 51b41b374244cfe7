/* Rows of logical tables: the first byte picks put or delete, the key encoding and where the message is cut into two tables; the rest is their Rows
 * messages. What decodes must have keys that are valid, and must decode to the same rows again from what the log would hold. */
#include <stdlib.h>

#include "../unit/row_samples.h"
#include "format/rows/rows.h"

#define COLUMNS                                                                                                                                        \
    RS_TIME "," RS_FIELD("val", "{\"Float64\":{}}", "1") "," RS_COLUMN("__table_id", "{\"UInt32\":{}}", "false", "null", "Tag", "2147483652") ","          \
        RS_COLUMN("__tsid", "{\"UInt64\":{}}", "false", "null", "Tag", "2147483651") "," RS_TAG("namespace", RS_STRING, "null", "7") ","                   \
        RS_TAG("host", RS_STRING, "null", "2")

static void must(bool good)
{
    if (!good)
        abort();
}

static struct region_metadata *data_region(bool sparse)
{
    static struct region_metadata *made[2];
    if (!made[sparse]) {
        const char *dense = RS_META(COLUMNS, "2147483652,2147483651,7,2");
        must(region_metadata_from_json(dense, strlen(dense), &made[sparse], NULL) == ST_OK);
        made[sparse]->sparse_key = sparse;
    }
    return made[sparse];
}

/* The keys side by side; false when a label is no text. */
static bool encode_keys(struct row_write *w, struct dynbuf *bytes, struct key_span *keys)
{
    for (uint32_t l = 0; l < w->n_layouts; l++)
        for (int64_t i = w->layouts[l].first_row; i < (l + 1 < w->n_layouts ? w->layouts[l + 1].first_row : w->n_rows); i++) {
            size_t at = bytes->size;
            if (row_write_encode_labels(w, &w->layouts[l], w->spans[i], bytes, NULL) != ST_OK)
                return false;
            keys[i] = (struct key_span){(const uint8_t *)at, (uint32_t)(bytes->size - at)};
        }
    for (int64_t i = 0; i < w->n_rows; i++)
        keys[i].data = bytes->data + (size_t)keys[i].data;
    return true;
}

static void log_and_back(struct row_write *w, const struct key_span *keys, struct budget *budget)
{
    struct dynbuf logged;
    struct row_write again;
    dynbuf_init(&logged, 1 << 24);
    must(row_write_encode_rows(w, keys, &logged, NULL) == ST_OK);
    must(row_write_decode(logged.data, logged.size, w->metadata, w->is_delete, budget, &again, NULL) == ST_OK);
    must(again.n_rows == w->n_rows && again.spans_are_keys);
    must(memcmp(again.times->data, w->times->data, (size_t)w->n_rows * 8) == 0);
    for (int64_t i = 0; i < w->n_rows; i++) {
        must(row_write_check_key(w->metadata, keys[i], NULL) == ST_OK);
        must(again.spans[i].size == keys[i].size && memcmp(again.spans[i].data, keys[i].data, keys[i].size) == 0);
    }
    row_write_release(&again);
    dynbuf_release(&logged);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct budget budget;
    struct row_write w;
    if (size < 2 || size > 1 << 16)
        return 0;
    const uint8_t *rows = data + 2;
    size_t rest = size - 2, first = rest * data[1] / 255;
    const struct label_rows tables[] = {{1, rows, first}, {2, rows + first, rest - first}};
    budget_init(&budget, "fuzz", "none", 64 << 20, NULL);
    if (row_write_decode_labels(tables, data[1] == 255 ? 1 : 2, data_region(data[0] & 2), data[0] & 1, &budget, &w, NULL) == ST_OK) {
        struct dynbuf bytes;
        struct key_span *keys = malloc(((size_t)w.n_rows + 1) * sizeof *keys);
        dynbuf_init(&bytes, 1 << 24);
        if (keys && w.n_rows && encode_keys(&w, &bytes, keys))
            log_and_back(&w, keys, &budget);
        free(keys);
        dynbuf_release(&bytes);
        row_write_release(&w);
    }
    must(budget_used(&budget) == 0);
    return 0;
}
