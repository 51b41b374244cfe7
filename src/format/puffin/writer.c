/* Writing Puffin files, byte for byte as the peer does. */
#include <string.h>

#include "base/bits.h"
#include "format/json/json.h"
#include "format/puffin/internal.h"

void puffin_writer_init(struct puffin_writer *w, int (*write)(void *ctx, const void *data, size_t size, struct error *err), void *ctx)
{
    *w = (struct puffin_writer){.write = write, .ctx = ctx};
    dynbuf_init(&w->list, 16 << 20);
}

void puffin_writer_release(struct puffin_writer *w)
{
    dynbuf_release(&w->list);
}

static int put(struct puffin_writer *w, const void *data, size_t size, struct error *err)
{
    TRY(w->write(w->ctx, data, size, err));
    w->bytes += size;
    return ST_OK;
}

static int list_blob(struct puffin_writer *w, const char *type, const struct puffin_property *properties, uint32_t n_properties, size_t size,
                     struct error *err)
{
    TRY(dynbuf_printf(&w->list, err, "%s", w->n_blobs ? ",{\"type\":" : "{\"blobs\":[{\"type\":"));
    TRY(json_put_string(&w->list, type, strlen(type), err));
    TRY(dynbuf_printf(&w->list, err, ",\"fields\":[],\"snapshot-id\":0,\"sequence-number\":0,\"offset\":%llu,\"length\":%zu",
                      (unsigned long long)w->bytes, size));
    for (uint32_t i = 0; i < n_properties; i++) {
        TRY(dynbuf_printf(&w->list, err, "%s", i ? "," : ",\"properties\":{"));
        TRY(json_put_string(&w->list, properties[i].name, strlen(properties[i].name), err));
        TRY(dynbuf_append_byte(&w->list, ':', err));
        TRY(json_put_string(&w->list, properties[i].value, strlen(properties[i].value), err));
    }
    return dynbuf_printf(&w->list, err, n_properties ? "}}" : "}");
}

int puffin_add_blob(struct puffin_writer *w, const char *type, const struct puffin_property *properties, uint32_t n_properties, const void *data,
                    size_t size, struct error *err)
{
    if (!w->bytes)
        TRY(put(w, PUFFIN_MAGIC, PUFFIN_MAGIC_BYTES, err));
    TRY(list_blob(w, type, properties, n_properties, size, err));
    w->n_blobs++;
    return put(w, data, size, err);
}

int puffin_writer_finish(struct puffin_writer *w, struct error *err)
{
    uint8_t numbers[8] = {0};
    if (!w->bytes)
        TRY(put(w, PUFFIN_MAGIC, PUFFIN_MAGIC_BYTES, err));
    TRY(dynbuf_printf(&w->list, err, w->n_blobs ? "]}" : "{\"blobs\":[]}"));
    TRY(put(w, PUFFIN_MAGIC, PUFFIN_MAGIC_BYTES, err));
    TRY(put(w, w->list.data, w->list.size, err));
    store_le32(numbers, (uint32_t)w->list.size);
    TRY(put(w, numbers, sizeof numbers, err));
    return put(w, PUFFIN_MAGIC, PUFFIN_MAGIC_BYTES, err);
}
